"""Every command and code block of the README runs, and its tables are what the scripts make."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import documents
import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


STEPS = documents.steps(README.read_text())


def test_there_is_something_to_run() -> None:
    kinds = [step.kind for step in STEPS]
    assert kinds.count("python") >= 3
    assert kinds.count("command") >= 8
    assert [step.name for step in STEPS if step.kind == "file"] == ["net.py"]


@pytest.fixture(scope="module")
def outcomes() -> list[Any]:
    return list(documents.run([README], apart=True))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_code_and_commands_run(number: int, outcomes: list[Any]) -> None:
    assert not outcomes[number].failed, str(outcomes[number])


def test_tables_are_generated() -> None:
    """docs/tables.py writes the parts between markers; running it again must change nothing."""
    found = subprocess.run([sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
