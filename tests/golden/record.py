"""Write hashes.json. Run only for a new stream version: python tests/golden/record.py

Haar orthogonal laws are not in it: they go through BLAS, and are equal to rounding only.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from wellbegun.engine import fill
from wellbegun.laws import (
    Constant,
    Dirac,
    Eye,
    Given,
    Law,
    LogUniform,
    Mapped,
    MappedCopy,
    Mirrored,
    Normal,
    Orthogonal,
    Rademacher,
    Repeat,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from wellbegun.streams import STREAM_VERSION

REAL = ("float32", "float64", "float16", "bfloat16")
COMPLEX = ("complex64", "complex128")
LAWS: list[Law] = [
    Normal(0, 1),
    Normal(0.5, 0.02),
    Uniform(-0.1, 0.1),
    Uniform(1, 3),
    TruncatedNormal(0, 0.02, -0.04, 0.04),
    TruncatedNormal(0, 1, -4, 4),
    TruncatedNormal(1, 2, 0, 9),
    Sections(((3, Constant(1)), (4, Normal(0, 1)))),
    ZeroRows(Normal(0, 1), (0, 3)),
]
CASES: list[tuple[Law, list[int], tuple[str, ...]]] = [
    *((law, [7, 33], REAL) for law in LAWS),
    (Rademacher(0.25, 2), [7, 33], REAL),
    (LogUniform(1e-3, 1e-1), [7, 33], REAL),
    (Sparse(Normal(0, 1), 5), [7, 33], REAL),
    (Sparse(Uniform(1, 2), 3, "input"), [7, 33], REAL),
    (Repeat(Normal(0, 1), 4), [8, 33], REAL),
    (Eye(0.5), [7, 33], REAL),
    (Dirac(2, groups=2), [8, 4, 3, 3], REAL),
    (Given((1.5, -2, 0.1, 3), (2, 2)), [2, 2], REAL),
    (Orthogonal(1.5, method="structured"), [64, 64], REAL),
    (Orthogonal(1, method="structured"), [50, 150], REAL),
    (Orthogonal(1, 1, 3, "structured"), [21, 5], REAL),
    *((law, [7, 33], COMPLEX) for law in (Normal(0.5, 2), Uniform(-1, 2), TruncatedNormal(0, 1, -2, 2), Rademacher())),
    (Mirrored(Normal(0, 1), True, (4, 6)), [8, 10], (*REAL, *COMPLEX)),
    (Mirrored(Uniform(1, 3), False, (4,), leading=1), [3, 5, 4, 3], REAL),
    (Mapped(Mapped(LogUniform(1e-3, 1e-1), "at_least", (0.01,)), "inverse_softplus"), [7, 33], REAL),
    (Mapped(Uniform(0, 16), "log", factor=-1), [7, 33], REAL),
    (Mapped(Uniform(0, 1), "log_decay"), [7, 33], REAL),
    (Mapped(Uniform(0, 1), "logit"), [7, 33], REAL),
    (Mapped(Normal(0, 0.5), "exp"), [7, 33], REAL),
    (MappedCopy(Mapped(Uniform(0.5, 0.9), "log_decay"), "nu", (231,), 1, "log_gain"), [231], REAL),
]


def main() -> None:
    rows = []
    for law, shape, dtypes in CASES:
        for dtype in dtypes:
            row = {"law": law.to_dict(), "shape": shape, "seed": 12345, "name": "golden.weight", "dtype": dtype}
            drawn = fill(law, row["shape"], seed=row["seed"], name=row["name"], dtype=dtype)
            rows.append({**row, "sha256": hashlib.sha256(np.ascontiguousarray(drawn).tobytes()).hexdigest()})
    stored = {"origin": "recorded by record.py, values checked by generator.py", "stream_version": STREAM_VERSION}
    path = Path(__file__).with_name("hashes.json")
    path.write_text(json.dumps({**stored, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
