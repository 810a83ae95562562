"""What a call of `moments`, `edge_of_chaos` and `operating_point` takes, after the first, for functions of one and two
arguments; and how much of it is in the function itself.

Usage: python benchmarks/gains.py [--repeats 20] [--json docs/figures/gains.json]
Medians on one core. JAX compiles once for each number of values, so its first call takes longer.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch

import wellbegun as wb
from wellbegun.errors import ArgumentError

Function = Callable[..., Any]
ONE: dict[str, str | Function] = {
    '"gelu"': "gelu",
    "NumPy: tanh x": np.tanh,
    "NumPy: max(x - 0.32, 0)": lambda x: np.maximum(x - 0.32, 0),
    "NumPy: round x": np.round,
    "torch: silu x": torch.nn.functional.silu,
    "torch: relu(x + 1.23)": lambda x: torch.relu(x + 1.23),
    "JAX: gelu x": jax.nn.gelu,
    "JAX: relu(x - 2.5)": lambda x: jax.nn.relu(x - 2.5),
}
TWO: dict[str, str | Function] = {
    '"swiglu"': "swiglu",
    "NumPy: a tanh b": lambda a, b: a * np.tanh(b),
    "NumPy: tanh a / (1 + exp b)": lambda a, b: np.tanh(a) / (1 + np.exp(b)),
    "NumPy: max(a, b)": np.maximum,
    "NumPy: hypot(a, b)": np.hypot,
    "NumPy: |a| - |b|": lambda a, b: np.abs(a) - np.abs(b),
    "NumPy: a exp(-(a - b)²)": lambda a, b: a * np.exp(-((a - b) ** 2)),
    "NumPy: exp(a) (1 + b²)": lambda a, b: np.exp(a) * (1 + b * b),
    "NumPy: tanh a where a > b, else b": lambda a, b: np.where(a > b, np.tanh(a), b),
    "NumPy: max(a - 0.3, 0) max(b + 0.7, 0)": lambda a, b: np.maximum(a - 0.3, 0) * np.maximum(b + 0.7, 0),
    "NumPy: clip(a + b, -1, 1)": lambda a, b: np.clip(a + b, -1, 1),
    "torch: tanh a sigmoid b": lambda a, b: torch.tanh(a) * torch.sigmoid(b),
    "torch: max(a, b)": torch.maximum,
    "JAX: gelu a tanh b": lambda a, b: jax.nn.gelu(a, approximate=False) * jax.numpy.tanh(b),
    "JAX: max(a, b)": jax.numpy.maximum,
}


class Counted:
    """A function, how often it was called, and the seconds in it."""

    def __init__(self, function: Function) -> None:
        self.function, self.calls, self.seconds = function, 0, 0.0

    def __call__(self, *arrays: Any) -> Any:
        start = time.perf_counter()
        try:
            return self.function(*arrays)
        finally:
            self.calls, self.seconds = self.calls + 1, self.seconds + time.perf_counter() - start


def seconds(task: Callable[[], object], repeats: int) -> float:
    """Median time of a task after its first run."""
    found = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        with suppress(ArgumentError):  # where there is no edge of chaos
            task()
        found.append(time.perf_counter() - start)
    return statistics.median(found[1:])


def measured(name: str, function: str | Function, repeats: int) -> dict[str, Any]:
    """A row: seconds of each call, and those in the function within `moments`."""
    row: dict[str, Any] = {"name": name, "moments": seconds(lambda: wb.moments(function), repeats)}
    row["edge"] = seconds(lambda: wb.edge_of_chaos(function, bias_std=0.2), repeats)
    row["operating"] = seconds(lambda: wb.operating_point(function, 20), repeats)
    if callable(function):
        counted = Counted(function)
        for _ in range(repeats):
            wb.moments(counted)
        row["inside"], row["calls"] = counted.seconds / repeats, counted.calls / repeats
    row["error"] = wb.moments(function).error
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    torch.set_num_threads(1)
    rows = []
    for name, function in {**ONE, **TWO}.items():
        rows.append(measured(name, function, given.repeats))
        print({key: round(1e3 * v, 2) if key in ("moments", "edge", "operating", "inside") else v
               for key, v in rows[-1].items()}, flush=True)  # fmt: skip
    if given.json is not None:
        given.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
