"""Fill rates against torch and NumPy, as ratios in one run: medians over repeats, the same memory, interleaved.

Usage: make bench, or python benchmarks/fill_rates.py [--values 67108864] [--repeats 7] [--threads 2]
Budgets (two threads): normal >= 5x torch normal_, uniform >= 8x torch uniform_, truncated >= 30x torch trunc_normal_.
Exit status 1 if a budget is missed.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from wellbegun import fill
from wellbegun.laws import Law, Normal, TruncatedNormal, Uniform

Task = Callable[[], object]
BUDGETS = {"normal": 5.0, "uniform": 8.0, "truncated normal": 30.0}


def seconds(tasks: dict[str, Task], repeats: int, progress: Callable[[str], None]) -> dict[str, float]:
    """Median time of each task; tasks take turns, so that a slow moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            progress(f"{name}, {turn}/{repeats}")
            start = time.perf_counter()
            task()
            if turn:  # the first is warm-up: page faults, compilation
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


def tasks_of(out: torch.Tensor, slow: torch.Tensor, threads: int) -> dict[str, Task]:
    """Everything that is timed; `slow` is the smaller tensor that torch's truncated normal gets."""
    array = out.numpy()
    generator = np.random.Generator(np.random.SFC64(0))

    def ours(law: Law, dtype: str = "float32") -> Task:
        target = array if dtype == "float32" else array.view(np.uint16)[: array.size]
        return lambda: fill(law, (array.size,), seed=0, name="bench", dtype=dtype, out=target, threads=threads)

    return {
        "memory: torch zero_": out.zero_,
        "torch normal_": out.normal_,
        "torch uniform_": out.uniform_,
        "torch trunc_normal_": lambda: torch.nn.init.trunc_normal_(slow, std=1.0, a=-2.0, b=2.0),
        "numpy normal (SFC64)": lambda: generator.standard_normal(out=array, dtype=np.float32),
        "normal": ours(Normal(0, 1)),
        "uniform": ours(Uniform(-1, 1)),
        "truncated normal": ours(TruncatedNormal(0, 1, -2, 2)),
        "truncated normal at ±4": ours(TruncatedNormal(0, 1, -4, 4)),
        "normal, bfloat16": ours(Normal(0, 1), "bfloat16"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1 << 26)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--figures", type=Path, help="also write the figures of the README's table to this file")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    out = torch.empty(arguments.values)
    slow = out[: max(arguments.values // 16, 1)]
    with Console(stderr=True).status("") as status:
        tasks = tasks_of(out, slow, arguments.threads)
        found = seconds(tasks, arguments.repeats, lambda text: status.update(f"timing {text}"))
    sizes = {name: slow.numel() if "trunc_normal_" in name else out.numel() for name in found}
    rates = {name: sizes[name] / time / 1e6 for name, time in found.items()}
    Console(highlight=False, width=110).print(table_of(rates, arguments))
    peers = {"normal": "torch normal_", "uniform": "torch uniform_", "truncated normal": "torch trunc_normal_"}
    if arguments.figures:
        rounded = {name: round(rate, 1) for name, rate in rates.items()}
        settings = {"values": arguments.values, "threads": arguments.threads, "repeats": arguments.repeats}
        arguments.figures.write_text(json.dumps({**settings, "rates": rounded}, indent=1) + "\n")
    missed = [name for name, peer in peers.items() if rates[name] / rates[peer] < BUDGETS[name]]
    print("Budgets met." if not missed else f"Budgets missed: {', '.join(missed)}.")
    return 1 if missed else 0


def table_of(rates: dict[str, float], arguments: argparse.Namespace) -> Table:
    title = f"{arguments.values:,} values, {arguments.threads} threads, medians of {arguments.repeats}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("fill", "M values/s", "× torch", "× NumPy", "budget", "of memory speed"):
        table.add_column(name, justify="left" if name == "fill" else "right")
    for name, rate in rates.items():
        kind = next((key for key in BUDGETS if key in name), "")
        peer = {"normal": "torch normal_", "uniform": "torch uniform_", "truncated normal": "torch trunc_normal_"}
        peer_name = peer["truncated normal"] if "truncated" in name else peer.get(kind, "")
        ours = not name.startswith(("torch", "numpy", "memory"))
        table.add_row(
            name,
            f"{rate:,.0f}",
            f"{rate / rates[peer_name]:.1f}" if ours else "",
            f"{rate / rates['numpy normal (SFC64)']:.1f}" if ours and "normal" in name else "",
            f"{BUDGETS[name]:g}" if name in BUDGETS else "",
            f"{rate / rates['memory: torch zero_']:.0%}" if "bfloat16" not in name else "",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
