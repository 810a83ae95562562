"""Write hashes.json. Run only for a new stream version: python tests/golden/record.py"""

import hashlib
import json
from pathlib import Path

import numpy as np

from wellbegun.fill import fill
from wellbegun.laws import Constant, Normal, Sections, TruncatedNormal, Uniform, ZeroRows
from wellbegun.streams import STREAM_VERSION

LAWS = [
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


def main() -> None:
    rows = []
    for law in LAWS:
        for dtype in ("float32", "float64", "float16", "bfloat16"):
            row = {"law": law.to_dict(), "shape": [7, 33], "seed": 12345, "name": "golden.weight", "dtype": dtype}
            drawn = fill(law, row["shape"], seed=row["seed"], name=row["name"], dtype=dtype)
            rows.append({**row, "sha256": hashlib.sha256(np.ascontiguousarray(drawn).tobytes()).hexdigest()})
    stored = {"origin": "recorded by record.py, values checked by generator.py", "stream_version": STREAM_VERSION}
    path = Path(__file__).with_name("hashes.json")
    path.write_text(json.dumps({**stored, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
