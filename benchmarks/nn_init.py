"""`wellbegun.torch.init` against `torch.nn.init`: the same calls on the same tensors.

Usage: python benchmarks/nn_init.py [--span 8] [--threads 1] [--json FILE]
The shortest of many calls, which take turns: a busy machine adds to the others. `orthogonal_` draws Haar matrices, as
torch does; "structured" is `orthogonal_(method="structured")` against the same call of torch.
"""

import argparse
import json
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import init as theirs

from timing import Task, machine, processors
from wellbegun.torch import init

SHAPES = [(16, 16), (256, 256), (512, 512), (1024, 1024), (2048, 2048), (512, 2048)]
NAMES = ("kaiming_normal_", "kaiming_uniform_", "trunc_normal_", "orthogonal_", "structured")


def shortest(tasks: dict[tuple[str, str], Task], span: float) -> dict[tuple[str, str], float]:
    """Seconds of each task, at its best in `span` seconds for all; they take turns."""
    best = dict.fromkeys(tasks, float("inf"))
    end, turns = time.perf_counter() + span, 0
    while turns < 4 or time.perf_counter() < end:
        turns += 1
        for name, task in [pair for pair in tasks.items() for _ in range(3)]:  # caches hold what the others need first
            start = time.perf_counter()
            task()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def measured(span: float) -> list[dict[str, Any]]:
    """Seconds of each call by both, and their ratio."""
    init.normal_(torch.empty(1 << 22))  # kernels are compiled by now
    rows = []
    for shape in SHAPES:
        weight = torch.empty(shape)
        tasks: dict[tuple[str, str], Task] = {}
        for name in NAMES:
            called, options = ("orthogonal_", {"method": name}) if name == "structured" else (name, {})
            tasks[name, "ours"] = partial(getattr(init, called), weight, **options)
            tasks[name, "torch"] = partial(getattr(theirs, called), weight)
        found = shortest(tasks, span)
        for name in NAMES:
            one, other = found[name, "ours"], found[name, "torch"]
            rows.append({"name": name, "shape": shape, "ours": one, "torch": other, "ratio": other / one})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--span", type=float, default=8.0, help="seconds for each shape")
    parser.add_argument("--threads", type=int, default=processors())
    parser.add_argument("--json", type=Path)
    a = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: a.threads])
    torch.set_num_threads(a.threads)
    rows = measured(a.span)
    table = Table("call", "shape", "torch, ms", "wellbegun, ms", "× torch", title=f"{a.threads} threads, float32")
    for row in sorted(rows, key=lambda row: NAMES.index(row["name"])):
        times = (f"{1e3 * row[side]:.3f}" for side in ("torch", "ours"))
        table.add_row(row["name"], " × ".join(map(str, row["shape"])), *times, f"{row['ratio']:.1f}")
    Console().print(table)
    if a.json is not None:
        a.json.write_text(json.dumps({"machine": machine(), "threads": a.threads, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
