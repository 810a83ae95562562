"""What a call of `moments`, `edge_of_chaos` and `operating_point` takes after the first, for functions of one and two
arguments, and how much of `moments` is spent in the function itself.

Usage: python benchmarks/gains.py [--repeats 20]
Medians of processor time on one core: a busy machine adds little. JAX compiles once for each number of values.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import jax
import numpy as np
import torch

import wellbegun as wb
from wellbegun.errors import ArgumentError

Function = Callable[..., Any]
FUNCTIONS: dict[str, str | Function] = {
    '"gelu"': "gelu",
    "NumPy: max(x - 0.32, 0)": lambda x: np.maximum(x - 0.32, 0),
    "NumPy: round x": np.round,
    "torch: relu(x + 1.23)": lambda x: torch.relu(x + 1.23),
    "JAX: relu(x - 2.43)": lambda x: jax.nn.relu(x - 2.43),
    '"swiglu"': "swiglu",
    "NumPy: tanh a / (1 + exp b)": lambda a, b: np.tanh(a) / (1 + np.exp(b)),
    "NumPy: max(a, b)": np.maximum,
    "NumPy: hypot(a, b)": np.hypot,
    "NumPy: a exp(-(a - b)²)": lambda a, b: a * np.exp(-((a - b) ** 2)),
    "NumPy: exp(a) (1 + b²)": lambda a, b: np.exp(a) * (1 + b * b),
    "NumPy: tanh a where a > b, else b": lambda a, b: np.where(a > b, np.tanh(a), b),
    "NumPy: max(a - 0.3, 0) max(b + 0.7, 0)": lambda a, b: np.maximum(a - 0.3, 0) * np.maximum(b + 0.7, 0),
    "NumPy: clip(a + b, -1, 1)": lambda a, b: np.clip(a + b, -1, 1),
    "torch: tanh a sigmoid b": lambda a, b: torch.tanh(a) * torch.sigmoid(b),
    "torch: max(a, b)": torch.maximum,
    "JAX: gelu a tanh b": lambda a, b: jax.nn.gelu(a) * jax.numpy.tanh(b),
    "JAX: max(a, b)": jax.numpy.maximum,
}


class Timed:
    """A function, how often it is called, and the time in it."""

    def __init__(self, function: Function) -> None:
        self.function, self.calls, self.time = function, 0, 0.0

    def __call__(self, *arrays: Any) -> Any:
        start = time.process_time()
        try:
            return self.function(*arrays)
        finally:
            self.calls, self.time = self.calls + 1, self.time + time.process_time() - start


def milliseconds(task: Callable[[], object], repeats: int) -> float:
    """Median time of a task after its first run."""
    found = []
    for _ in range(repeats + 1):
        start = time.process_time()
        with suppress(ArgumentError):  # where there is no edge of chaos
            task()
        found.append(time.process_time() - start)
    return 1e3 * statistics.median(found[1:])


def row(name: str, function: str | Function, repeats: int) -> str:
    """A line of the table."""
    timed = Timed(function) if callable(function) else None
    calls = wb.moments, partial(wb.edge_of_chaos, bias_std=0.2), partial(wb.operating_point, layers=20)
    times = [milliseconds(partial(call, function), repeats) for call in calls]
    if timed is not None:
        milliseconds(partial(wb.moments, timed), repeats)
    inside = "" if timed is None else f"{1e3 * timed.time / (repeats + 1):.1f} in {timed.calls // (repeats + 1)} calls"
    return (
        f"| {name} | {times[0]:.1f} | {inside} | {times[1]:.1f} | {times[2]:.1f} | {wb.moments(function).error:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    print("| function | moments, ms | of it in the function | edge of chaos | operating point | error |")
    print("|---|---|---|---|---|---|")
    for name, function in FUNCTIONS.items():
        print(row(name, function, repeats), flush=True)


if __name__ == "__main__":
    main()
