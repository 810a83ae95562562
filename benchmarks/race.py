"""A race of 6 candidates × 4 rates × 3 seeds on digits: how long, and what a killed worker and Ctrl-C cost.

Usage: python benchmarks/race.py [--quick] [--json docs/figures/race.json]

Each race runs in a process of its own, from its start to the table, so that imports and the start of workers count.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import nn

import wellbegun as wb
from timing import machine

SOURCES = Path(__file__).parents[1] / "src"
CANDIDATES = {
    "default": None,
    "classic": "classic",
    "auto": "auto",
    "he": "he_normal",
    "xavier": "xavier_normal",
    "orthogonal": "orthogonal",
}


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def deep() -> nn.Module:
    """Fifty plain layers."""
    layers: list[nn.Module] = [nn.Linear(64, 128), nn.ReLU()]
    for _ in range(48):
        layers += [nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 10))


MODELS = {"MLP, 3 layers of 128": small, "plain MLP, 50 layers of 128": deep}


def contest(model: str, path: str, jobs: int, steps: int, prune: str | None) -> None:
    """What runs in a process of its own: tells each trial on a line, and the race at the end."""

    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what they start behind & ignore it

    def tell(done: int, total: int, _: str) -> None:
        print(f"{done}/{total}", flush=True)

    found = wb.race(
        CANDIDATES, MODELS[model], "digits", steps=steps, jobs=jobs, prune=prune, resume=path, progress=tell
    )
    print(json.dumps({"verdict": found.verdict, "interrupted": found.interrupted}), flush=True)


def start(model: str, path: Path, jobs: int = 2, steps: int = 100, prune: str = "") -> "subprocess.Popen[str]":
    command = [sys.executable, __file__, "--contest", model, str(path), str(jobs), str(steps), prune]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def children(pid: int) -> list[int]:
    """Worker processes of a race."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()]


def wait(process: "subprocess.Popen[str]", trials: int | None = None) -> str:
    """Read until so many trials are done, or to the end; the last line."""
    assert process.stdout is not None
    line = ""
    for line in process.stdout:
        if trials is not None and line[0].isdigit() and int(line.split("/")[0]) >= trials:
            return line
    process.wait()
    return line


class Clock:
    """Time of the wall and of processors: on a shared machine the second says more."""

    def __init__(self) -> None:
        self.begin, self.used = time.perf_counter(), self._used()

    @staticmethod
    def _used() -> float:
        found = resource.getrusage(resource.RUSAGE_CHILDREN)
        return found.ru_utime + found.ru_stime

    def read(self) -> dict[str, float]:
        spent = {"seconds": time.perf_counter() - self.begin, "processor seconds": self._used() - self.used}
        return {**spent, "load": os.getloadavg()[0]}


def losses(path: Path) -> dict[Any, tuple[float, ...]]:
    return {trial.key: trial.losses for trial in wb.Race.load(path).trials}


def measured(model: str, folder: Path, steps: int, note: Any) -> dict[str, Any]:
    """Undisturbed with one and two workers, pruned, with a worker killed, with Ctrl-C and the same call again."""
    found: dict[str, Any] = {"model": model}
    for name, options in (("two workers", {}), ("one worker", {"jobs": 1}), ("halving", {"prune": "halving"})):
        note(f"{model}: {name}")
        clock = Clock()
        last = json.loads(wait(start(model, folder / f"{name}.csv", steps=steps, **options)))
        found[name] = {**clock.read(), "verdict": last["verdict"]}
    whole = losses(folder / "two workers.csv")
    found["one worker"]["same losses"] = losses(folder / "one worker.csv") == whole

    note(f"{model}: kill -9 of a worker")
    clock = Clock()
    process = start(model, folder / "killed.csv", steps=steps)
    wait(process, len(whole) // 3)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    wait(process)
    same = losses(folder / "killed.csv") == whole
    found["kill -9 of a worker"] = {**clock.read(), "same losses": same}

    note(f"{model}: Ctrl-C, then the same call")
    clock = Clock()
    process = start(model, folder / "stopped.csv", steps=steps)
    wait(process, len(whole) // 3)
    pressed = time.perf_counter()
    os.killpg(process.pid, signal.SIGINT)
    wait(process)
    stop, kept = time.perf_counter() - pressed, len(losses(folder / "stopped.csv"))
    wait(start(model, folder / "stopped.csv", steps=steps))
    same = losses(folder / "stopped.csv") == whole
    both = {**clock.read(), "same losses": same}
    found["Ctrl-C and again"] = {**both, "seconds to stop": stop, "trials kept": kept, "trials": len(whole)}
    return found


def shown(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="6 candidates × 4 rates × 3 seeds on digits, seconds (of processors)", title_justify="left")
    names = ("two workers", "one worker", "halving", "kill -9 of a worker", "Ctrl-C and again")
    for name in ("model", *names):
        table.add_column(name, justify="left" if name == "model" else "right")
    for row in rows:
        cells = [f"{row[n]['seconds']:.1f} ({row[n]['processor seconds']:.1f})" for n in names]
        same = ["" if row[n].get("same losses", True) else " differs" for n in names]
        table.add_row(row["model"], *map(str.__add__, cells, same))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10 steps, the small network alone")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--contest", nargs=5, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contest:
        model, path, jobs, steps, prune = asked.contest
        contest(model, path, int(jobs), int(steps), prune or None)
        return
    console, rows = Console(), []
    steps = 10 if asked.quick else 100
    for model in list(MODELS)[: 1 if asked.quick else None]:
        with tempfile.TemporaryDirectory() as folder, console.status("") as status:
            rows.append(measured(model, Path(folder), steps, status.update))
    console.print(shown(rows))
    if asked.json:
        figures = {"machine": machine(), "steps": steps, "races": rows}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
