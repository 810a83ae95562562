"""How much memory a fill needs beyond its destination, in fresh processes.

The high-water mark of the resident set is read from the process's own record and reset right before the fill. The one
of getrusage would not do: a child starts with its parent's, and never lets go of what an import once took.
"""

from typing import Any

from first_use import python
from timing import Progress

_SCRIPT = """
import json
from pathlib import Path
import numpy as np

def kib(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))

values, threads = {values}, {threads}
{prepare}
Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew, at what is resident now
before = kib("VmRSS")
{fill}
first = kib("VmHWM") - before
Path("/proc/self/clear_refs").write_text("5")
before = kib("VmRSS")
{fill}
print(json.dumps([first / 1024, (kib("VmHWM") - before) / 1024]))
"""
_OURS = """
import wellbegun as wb
from wellbegun.laws import *
out = np.zeros(values, np.float32)
out.fill(1)  # touches every page
"""
_TORCH = """
import torch
torch.set_num_threads(threads)
out = torch.ones(values)
"""
_NUMPY = """
out = np.zeros(values, np.float32)
out.fill(1)
generator = np.random.default_rng(0)
"""
_LAWS = {
    "uniform": "Uniform(-1, 1)",
    "normal": "Normal(0, 1)",
    "truncated normal ±2": "TruncatedNormal(0, 1, -2, 2)",
    "truncated normal ±4": "TruncatedNormal(0, 1, -4, 4)",
    "Rademacher": "Rademacher()",
    "log-uniform": "LogUniform(1e-3, 1e-1)",
    "constant": "Constant(0.5)",
}


def programs() -> dict[str, tuple[str, str]]:
    """Name -> (preparation, fill)."""
    found = {
        f"wellbegun {name}": (_OURS, f"wb.fill({law}, (values,), seed=0, name='w', out=out, threads=threads)")
        for name, law in _LAWS.items()
    }
    return found | {
        "torch normal_": (_TORCH, "out.normal_()"),
        "torch uniform_": (_TORCH, "out.uniform_()"),
        "torch trunc_normal_": (_TORCH, "torch.nn.init.trunc_normal_(out, a=-2.0, b=2.0)"),
        "NumPy standard_normal": (_NUMPY, "generator.standard_normal(out=out, dtype=np.float32)"),
        "NumPy random": (_NUMPY, "generator.random(out=out, dtype=np.float32)"),
        "NumPy normal, then a copy": (_NUMPY, "out[...] = generator.normal(0, 1, values)"),
    }


def measured(values: int, threads: list[int], progress: Progress) -> list[dict[str, Any]]:
    """MiB beyond the destination: in the first fill of a process (with libraries it loads), and in the second."""
    rows = []
    for number in threads:
        for name, (prepare, fill) in programs().items():
            progress(f"memory: {name}, {number} threads")
            script = _SCRIPT.replace("{prepare}", prepare).replace("{fill}", fill)
            first, second = python(script.replace("{values}", str(values)).replace("{threads}", str(number)))
            rows.append({"fill": name, "threads": number, "first": first, "second": second})
    return rows
