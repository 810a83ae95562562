"""Runs what Markdown documents show: Python blocks in order, commands, and the files that blocks are named after.

Usage: python -W error documents.py [--apart] DOCUMENT ...     # prints one JSON list of outcomes

Each document has a folder and a process of its own (--apart: each Python block has). Processes are forked from one that
has imported torch and planned a model, so a document costs what its code costs.

- ```python runs; `print(...)  # value` claims that this line is printed.
- ```console: each `$ command` runs, and the lines below it must be printed, in order; `...` stands for any lines. A
  comment `# exit status 1` says what it ends with; `> file` at its end is understood.
- A block with title="name", or below a line "`name`:", is written to that file.
"""

import json
import multiprocessing
import os
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^( *)```([^\n`]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
NAMED = re.compile(r"`([\w./-]+)`:\n\n$")
ELSEWHERE = ("pip ", "git ", "cd ", "make", "open ", "wellbegun explore ")  # done already, or has tests of its own


@dataclass(frozen=True)
class Step:
    """One thing to do. `expected` are lines that must be printed, `status` how it must end."""

    kind: str  # python, command, file
    text: str
    line: int
    expected: tuple[str, ...] = ()
    status: int = 0
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a step."""

    document: str
    step: dict[str, Any]
    status: int
    output: str
    missing: tuple[str, ...]

    @property
    def failed(self) -> bool:
        return self.status != self.step["status"] or bool(self.missing)

    def __str__(self) -> str:
        where = f"{self.document}:{self.step['line']}"
        return f"{where}: status {self.status}, not printed: {self.missing}\n{self.step['text']}\n{self.output}"


def steps(text: str) -> list[Step]:
    """What a document asks for, in order."""
    found: list[Step] = []
    for fence in FENCE.finditer(text):
        language, code = fence[2].strip().partition(" ")[0], textwrap.dedent(fence[3])
        line = text.count("\n", 0, fence.start()) + 1
        named = TITLE.search(fence[2]) or NAMED.search(text[: fence.start()])
        if named:
            found.append(Step("file", code, line, name=named[1]))
        elif language == "python":
            claims = tuple(re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE))
            found.append(Step("python", code, line, claims))
        elif language == "console":
            found += _commands(code, line)
    return found


def _commands(code: str, line: int) -> Iterator[Step]:
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        command, *output = part.splitlines()
        status = re.search(r"# exit status (\d+)", command)
        printed = tuple(item for item in output if item.strip())
        yield Step("command", command, line, printed, int(status[1]) if status else 0)


def missing(expected: Sequence[str], output: str) -> tuple[str, ...]:
    """Expected lines that do not follow each other in the output, however they are indented."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    wanted = [" ".join(line.split()) for line in expected]
    return tuple(line for line in wanted if line != "..." and not any(_same(line, other) for other in lines))


def _same(line: str, other: str) -> bool:
    return other.startswith(line[:-3].rstrip()) if line.endswith("...") else line == other


# ---------------------------------------------------------------------- processes
def captured(action: Callable[[], None]) -> tuple[int, str, str]:
    """Exit status, and everything printed to standard output and to standard error, also by libraries."""
    status = 0
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        saved = os.dup(1), os.dup(2)
        sys.stdout.flush()
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            action()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:  # whatever a document raises is its outcome
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


def _worker(pipe: Any) -> None:
    """Runs code as it comes, in one namespace."""
    module = type(sys)("__main__")
    sys.modules["__main__"] = module
    sys.path.insert(0, "")
    while (code := pipe.recv()) is not None:
        pipe.send(captured(lambda code=code: exec(compile(code, "<document>", "exec"), module.__dict__)))


class Worker:
    """A forked process that runs Python blocks."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_worker, args=(other,))
        self.process.start()
        other.close()

    def run(self, code: str) -> tuple[int, str, str]:
        """Status, output and errors of one block."""
        self.pipe.send(code)
        try:
            found: tuple[int, str, str] = self.pipe.recv()
        except EOFError:
            return 1, "", "the process died"
        return found

    def stop(self) -> None:
        """End it."""
        if self.process.is_alive():
            self.pipe.send(None)
        self.process.join()


def _command(words: list[str]) -> None:
    sys.argv, program = words, words[0]
    sys.path.insert(0, "")
    if program == "wellbegun":
        from wellbegun.cli import main

        main()
    elif program == "python" and words[1].endswith(".py"):
        sys.argv = words[1:]
        runpy.run_path(words[1], run_name="__main__")
    else:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        sys.exit(subprocess.run(words, env={**os.environ, "PATH": path}, check=False).returncode)


def run_command(text: str) -> tuple[int, str]:
    """Status and output of one command, in a fork of this process."""
    words = shlex.split(text, comments=True)
    if text.startswith(ELSEWHERE):
        return 0, ""
    words, target = (words[:-2], words[-1]) if ">" in words[-2:-1] else (words, None)
    worker = Worker()
    try:
        status, output, errors = worker.run(f"import documents\ndocuments._command({words!r})")
    finally:
        worker.stop()
    if target is not None:
        Path(target).write_text(output)
    return status, output + errors


def run_document(path: str, apart: bool) -> list[Outcome]:
    """Every step of a document, in a folder of its own."""
    outcomes, worker = [], None
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for step in steps(Path(path).read_text()):
            status, output = 0, ""
            if step.kind == "file":
                Path(step.name).parent.mkdir(parents=True, exist_ok=True)
                Path(step.name).write_text(step.text)
            elif step.kind == "command":
                status, output = run_command(step.text)
            else:
                if worker is None or apart:
                    if worker is not None:
                        worker.stop()
                    worker = Worker()
                status, output, errors = worker.run(step.text)
                output += errors
            skipped = step.kind == "command" and step.text.startswith(ELSEWHERE)
            lost = () if skipped else missing(step.expected, output)
            outcomes.append(Outcome(path, asdict(step), status, output, lost))
        if worker is not None:
            worker.stop()
        os.chdir("/")
    return outcomes


def run(documents: Sequence[Path], *, apart: bool = False) -> list[Outcome]:
    """Run documents in a fresh interpreter; for tests."""
    asked = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # Keras asks torch so
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        asked,
        __file__,
        *(["--apart"] if apart else []),
        *map(str, documents),
    ]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "COLUMNS": "100", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr
    return [Outcome(**{**item, "missing": tuple(item["missing"])}) for item in json.loads(found.stdout)]


def main() -> None:
    import torch  # what every document would import

    import wellbegun.api
    import wellbegun.cli

    wellbegun.api.plan(torch.nn.Linear(2, 2), torch.zeros(2, 2))  # no threads, no gradients: forks lose both
    sys.modules.setdefault("documents", sys.modules["__main__"])
    apart, paths = "--apart" in sys.argv, [word for word in sys.argv[1:] if word != "--apart"]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=context) as pool:
        found = pool.map(run_document, [str(Path(path).resolve()) for path in paths], [apart] * len(paths))
        print(json.dumps([asdict(outcome) for outcomes in found for outcome in outcomes]))


if __name__ == "__main__":
    main()
