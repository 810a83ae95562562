"""What `wellbegun.initialize` and `check` do on the models of many packages, each built small from its configuration.

Usage: python benchmarks/compatibility.py [--only GLOB] [--half development] [--json docs/figures/compatibility.json]

The models stand in tests/compat; `pip install ".[dev,compat]"` brings their packages. Each runs in a process of its own
with a limit of time. What is measured by `tests/compat/measure.py` shares no code with the library. With `--json`,
rows of a file that is there are kept where they are not measured again.
"""

import argparse
import fnmatch
import json
import multiprocessing
import os
import sys
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "compat"))

import measure  # noqa: E402
import registry  # noqa: E402
import torch  # noqa: E402
from rows import ROWS, torchvision_operators  # noqa: E402

LIMIT = 150  # seconds for one model


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="models whose names match")
    parser.add_argument("--half", choices=("development", "held out"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one model")
    chosen = parser.parse_args()
    names = [name for name in ROWS if fnmatch.fnmatch(name, chosen.only)]
    names = [name for name in names if chosen.half in (None, registry.half(name))]
    kept = json.loads(chosen.json.read_text())["rows"] if chosen.json and chosen.json.exists() else []
    rows = {row["name"]: row for row in kept if row["name"] in ROWS}
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    torchvision_operators()
    for package in ("torchvision", "transformers", "wellbegun.api", "wellbegun.torch"):  # once, for all processes
        __import__(package)
    for number, name in enumerate(names, 1):
        row = rows[name] = alone(name, chosen.limit)
        print(f"{number}/{len(names)} {name}: {verdict(row)}", flush=True)
        if chosen.json:
            found = {"torch": torch.__version__, "rows": [rows[known] for known in ROWS if known in rows]}
            chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def alone(name: str, limit: float) -> dict[str, Any]:
    """The row of one model, measured in a process of its own."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    began, process = time.perf_counter(), context.Process(target=work, args=(name, writer))
    process.start()
    writer.close()
    row: dict[str, Any] = {"name": name, "half": registry.half(name)}
    try:
        while reader.poll(max(0.0, limit - (time.perf_counter() - began))):
            row |= reader.recv()
        row.setdefault("error", f"longer than {limit:g} s")
    except EOFError:
        if "done" not in row:
            row.setdefault("error", "the process ended")
    process.kill()
    process.join()
    return row


def work(name: str, writer: Connection) -> None:
    """Sends what is known after each step, so that a later one that fails loses nothing."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    os.dup2(1, 2)
    for part in measure.measured(name):
        writer.send(part)
    writer.send({"done": True})


def verdict(row: dict[str, Any]) -> str:
    found = row.get("error") or row.get("raw_error") or ""
    texts = [
        f"{key}: {' '.join(row[key])}" for key in ("lost", "unhealthy", "alarms", "alarms_constructed") if row.get(key)
    ]
    return f"{found or 'runs'}; {'; '.join(texts)}; {row.get('ratio', 0):.1f} steps"


if __name__ == "__main__":
    sys.exit(main())
