"""Drawing on an Nvidia GPU: bits compared with the host's, and bandwidth as ratios to torch on the same memory.

Usage: python benchmarks/gpu.py [--values 268435456] [--compare 1073741824] [--repeats 21] [--json FILE]
Times are medians over repeats by CUDA events; tasks take turns. Exit status 1 if a bit differs, 2 without a GPU.
"""

import argparse
import functools
import importlib.util
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wellbegun import fill
from wellbegun.engine import gpu
from wellbegun.engine.parameters import parameters_of
from wellbegun.engine.regions import Rows
from wellbegun.laws import Law, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.streams import stream_key

LAWS = {
    "uniform": Uniform(-1, 1),
    "normal": Normal(0, 1),
    "truncated normal": TruncatedNormal(0, 1, -2, 2),
    "truncated normal at ±4": TruncatedNormal(0, 1, -4, 4),
    "signs": Rademacher(0, 1),
    "log-uniform": LogUniform(1e-3, 1e-1),
}
TYPES = {
    "float32": (torch.int32, torch.float32, np.float32),
    "bfloat16": (torch.int16, torch.bfloat16, np.uint16),
    "float16": (torch.int16, torch.float16, np.float16),
    "float64": (torch.int64, torch.float64, np.float64),
}
PIECE = 1 << 24  # values compared at once
SEED, NAME = 0, "bench"


def draw(out: torch.Tensor, law: Law, dtype: str, first: int = 0) -> None:
    """Values from `first` on of the stream, into contiguous memory."""
    rows = Rows(0, 0, 1, out.numel(), first, 0)
    gpu.draw(out, [rows], stream_key(SEED, NAME), parameters_of(law, dtype), dtype)


def differences(law: Law, dtype: str, count: int) -> int:
    """How many of the stream's first `count` values differ from the host's."""
    integers, _, stored = TYPES[dtype]
    piece = min(PIECE, count)
    there, host, found = torch.empty(piece, dtype=integers, device="cuda"), np.empty(piece, stored), 0
    for start in range(0, count, piece):
        size = min(piece, count - start)
        draw(there[:size], law, dtype, start)
        fill(law, count, seed=SEED, name=NAME, dtype=dtype, region=((start, start + size),), out=host[:size])
        found += int(np.count_nonzero(there[:size].cpu().numpy() != host[:size].view(f"i{host.itemsize}")))
    return found


def tasks_of(values: int) -> dict[str, tuple[Callable[[], object], int]]:
    """What is timed, each with the bytes it writes; everything writes the same memory."""
    memory = torch.empty(values * 4, dtype=torch.uint8, device="cuda")
    tasks: dict[str, tuple[Callable[[], object], int]] = {}
    for dtype, (integers, real, stored) in TYPES.items():
        size = np.dtype(stored).itemsize
        out, bits = memory.view(real), memory.view(integers)
        for name in ("zero_", "normal_", "uniform_"):
            tasks[f"torch {name}, {dtype}"] = getattr(out, name), out.numel() * size
        tasks[f"torch fill_, {dtype}"] = functools.partial(out.fill_, 0.5), out.numel() * size
        for name, law in LAWS.items():
            tasks[f"{name}, {dtype}"] = (
                lambda bits=bits, law=law, dtype=dtype: draw(bits, law, dtype),
                bits.numel() * size,
            )
    ragged = memory.view(torch.int32)[1:-1]
    tasks["normal, not aligned, float32"] = (
        functools.partial(draw, ragged, LAWS["normal"], "float32", 3),
        ragged.numel() * 4,
    )
    return tasks


def milliseconds(tasks: dict[str, tuple[Callable[[], object], int]], repeats: int) -> dict[str, float]:
    """Median time of each task on the device; the first two turns are warm-up."""
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 2):
        for name, (task, _) in tasks.items():
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            task()
            end.record()
            end.synchronize()
            if turn >= 2:
                times[name].append(start.elapsed_time(end))
    return {name: statistics.median(found) for name, found in times.items()}


def report(rates: dict[str, float]) -> None:
    """GB/s, and ratios to torch's operations of the same dtype."""
    print(f"{'':36}{'GB/s':>8}{'x zero_':>9}{'x normal_':>11}{'x uniform_':>12}")
    for name, rate in rates.items():
        dtype = name.rsplit(", ", 1)[1]
        ratios = [rate / rates[f"torch {peer}, {dtype}"] for peer in ("zero_", "normal_", "uniform_")]
        print(f"{name:36}{rate:8.0f}{ratios[0]:9.2f}{ratios[1]:11.2f}{ratios[2]:12.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1 << 28, help="float32 values in the memory that is written")
    parser.add_argument("--compare", type=int, default=1 << 30, help="values compared in all")
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        print("benchmarks/gpu.py: needs an Nvidia GPU and Triton; this machine lacks one of them.", file=sys.stderr)
        return 2
    each = -(-arguments.compare // (len(LAWS) * len(TYPES)))
    wrong = {f"{name}, {dtype}": differences(law, dtype, each) for name, law in LAWS.items() for dtype in TYPES}
    print(f"{each * len(wrong):,} values compared with the host's, {sum(wrong.values())} differ.")
    tasks = tasks_of(arguments.values)
    times = milliseconds(tasks, arguments.repeats)
    rates = {name: tasks[name][1] / time / 1e6 for name, time in times.items()}
    print(f"{torch.cuda.get_device_name()}, {arguments.values * 4 / 1e9:.2f} GB, medians of {arguments.repeats}")
    report(rates)
    if arguments.json:
        figures: dict[str, Any] = {
            "device": torch.cuda.get_device_name(),
            "versions": {"torch": torch.__version__, "triton": importlib.import_module("triton").__version__},
            "compared": each * len(wrong),
            "differences": wrong,
            "bytes": arguments.values * 4,
            "repeats": arguments.repeats,
            "milliseconds": {name: round(time, 4) for name, time in times.items()},
            "gigabytes_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        }
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
