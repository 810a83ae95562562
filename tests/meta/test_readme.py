"""Every command and code block of the README runs, and its tables are what the scripts make."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line.removeprefix("$ ")
    for language, code in BLOCKS
    if language == "console"
    for line in code.splitlines()
    if line.startswith("$ ")
]
ELSEWHERE = {
    "make test": "it is what runs this",
    "make demo": "tests/meta/test_demo.py runs it, shortened",
    "make bench": "takes minutes; its figures stand in the README",
}


def test_there_is_something_to_run() -> None:
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_blocks_run(number: int, tmp_path: Path) -> None:
    code = PYTHON[number]
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    claims = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    lines = iter(found.stdout.splitlines())
    missing = [claim for claim in claims if claim not in lines]  # in order, with other output between
    assert not missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are run: with the file the README says to write."""
    path = tmp_path_factory.mktemp("readme")
    found = re.search(r"`net\.py`:\n\n```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found, "the README shows net.py"
    (path / "net.py").write_text(found.group(1))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ELSEWHERE])
def test_commands_run(command: str, folder: Path) -> None:
    words = shlex.split(command, comments=True)
    if words[0] in ("git", "pip", "cd"):  # set-up of a machine that is set up already
        return
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    found = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    expected = int(match.group(1)) if (match := re.search(r"# exit status (\d)", command)) else 0
    assert found.returncode == expected, found.stdout + found.stderr


def test_tables_are_generated() -> None:
    """docs/tables.py writes the parts between markers; running it again must change nothing."""
    found = subprocess.run([sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
