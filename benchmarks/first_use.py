"""The first fill of a process, in fresh processes: what import, compiler and page faults cost before and in it."""

import json
import statistics
import subprocess
import sys
from typing import Any

from timing import Progress

_CLOCK = "import json, time\nmarks, last = {}, time.perf_counter()\n" + (
    "def mark(name):\n    global last\n    marks[name] = time.perf_counter() - last\n    last = time.perf_counter()\n"
)
_OURS = """
import numpy as np
mark("import NumPy")
import wellbegun as wb
mark("import")
out = np.empty({values}, np.float32)
draw = lambda: wb.fill(wb.laws.Normal(0, 1), out.shape, seed=0, name="w", out=out, threads={threads})
last = time.perf_counter()
{split}
draw()
mark("first fill")
draw()
mark("second fill")
"""
_SPLIT = """
import llvmlite.binding
mark("import llvmlite")
from wellbegun.engine.compiler import kernel
from wellbegun.engine.workers import STREAM_FROM
from wellbegun.engine.parameters import NormalParameters
kernel(NormalParameters, "float32", "stream" if out.nbytes >= STREAM_FROM else "wide")
mark("compile")
"""
_TORCH = """
import torch
mark("import")
torch.set_num_threads({threads})
out = torch.empty({values})
last = time.perf_counter()
out.normal_()
mark("first fill")
out.normal_()
mark("second fill")
"""
_NUMPY = """
import numpy as np
mark("import")
out = np.empty({values}, np.float32)
generator = np.random.default_rng(0)
last = time.perf_counter()
generator.standard_normal(out=out, dtype=np.float32)
mark("first fill")
generator.standard_normal(out=out, dtype=np.float32)
mark("second fill")
"""
PROGRAMS = {
    "wellbegun": _OURS.replace("{split}", ""),
    "wellbegun, step by step": _OURS.replace("{split}", _SPLIT),
    "torch normal_": _TORCH,
    "NumPy standard_normal": _NUMPY,
}


def python(code: str) -> Any:
    """What a fresh process prints as JSON."""
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measured(values: int, threads: int, repeats: int, progress: Progress) -> dict[str, dict[str, float]]:
    """Median seconds of each step of each program; programs take turns. Each touches its memory for the first time."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in PROGRAMS}
    for turn in range(repeats):
        for name, program in PROGRAMS.items():
            progress(f"first use: {name}, {turn + 1}/{repeats}")
            code = program.replace("{values}", str(values)).replace("{threads}", str(threads))
            found[name].append(python(_CLOCK + code + "print(json.dumps(marks))"))
    return {
        name: {step: statistics.median(run[step] for run in runs) for step in runs[0]} for name, runs in found.items()
    }
