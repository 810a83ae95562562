"""`wellbegun.torch.init` against `torch.nn.init`: the same calls on the same tensors.

Usage: python benchmarks/nn_init.py [--repeats 7] [--threads 1] [--json FILE]
Medians over repeats in which all calls take turns. Seeds are drawn and laws are made within each call. `orthogonal_`
draws Haar matrices, as torch does; "structured" is `orthogonal_(method="structured")` against the same call of torch.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import init as theirs

from timing import machine, processors, repeated, seconds
from wellbegun.torch import init

SHAPES = [(16, 16), (256, 256), (512, 512), (1024, 1024), (2048, 2048), (512, 2048)]
NAMES = ("kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "orthogonal_", "structured")


def measured(repeats: int) -> list[dict[str, Any]]:
    """Seconds of each call by both, and their ratio."""
    init.normal_(torch.empty(1 << 22))  # kernels are compiled by now
    rows = []
    for shape in SHAPES:
        weight, tasks = torch.empty(shape), {}
        for name in NAMES:
            called, options = ("orthogonal_", {"method": name}) if name == "structured" else (name, {})
            one, other = getattr(init, called), getattr(theirs, called)
            tasks[name, "ours"] = lambda one=one, options=options, weight=weight: one(weight, **options)
            tasks[name, "torch"] = lambda other=other, weight=weight: other(weight)
        many = {key: repeated(task) for key, task in tasks.items()}
        found = seconds({"/".join(key): task for key, (task, _) in many.items()}, repeats, lambda _: None)
        for name in NAMES:
            one, other = (found[f"{name}/{side}"] / many[name, side][1] for side in ("ours", "torch"))
            rows.append({"name": name, "shape": shape, "ours": one, "torch": other, "ratio": other / one})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
    torch.set_num_threads(a.threads)
    rows = measured(a.repeats)
    table = Table("call", "shape", "torch, ms", "wellbegun, ms", "× torch", title=f"{a.threads} threads, float32")
    for row in sorted(rows, key=lambda row: NAMES.index(row["name"])):
        times = (f"{1e3 * row[side]:.3f}" for side in ("torch", "ours"))
        table.add_row(row["name"], " × ".join(map(str, row["shape"])), *times, f"{row['ratio']:.1f}")
    Console().print(table)
    if a.json is not None:
        a.json.write_text(json.dumps({"machine": machine(), "threads": a.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
