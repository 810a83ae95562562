"""Timing of tasks that take turns, and what a run has to say about its machine."""

import importlib
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = Callable[[], object]
Progress = Callable[[str], None]


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seconds(tasks: dict[str, Task], repeats: int, progress: Progress) -> dict[str, float]:
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


def repeated(task: Task, span: float = 2e-3) -> tuple[Task, int]:
    """A task that runs often enough to last about `span` seconds, and how often it does: clocks are coarse."""
    task()
    start = time.perf_counter()
    task()
    count = max(1, round(span / max(time.perf_counter() - start, 1e-7)))

    def many() -> None:
        for _ in range(count):
            task()

    return many, count


def jax() -> Any:
    """JAX with 64-bit types switched on, or None if it is not installed."""
    try:
        found = importlib.import_module("jax")
    except ImportError:
        return None
    found.config.update("jax_enable_x64", True)
    return found


def machine() -> dict[str, Any]:
    """Processor and versions, for the record."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    named = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    versions = {}
    for package in ("wellbegun", "numpy", "torch", "jax", "llvmlite"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    processor = named[0] if named else platform.processor() or platform.machine()
    return {"processor": processor, "processors": processors(), "python": platform.python_version(), **versions}
