"""A folder with a model, and the command line in it: what a newcomer has."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wellbegun.cli import app

NET = """
import torch
from torch import nn


def mlp():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def spoiled():
    model = mlp()
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    return model


def loud():
    model = mlp()
    with torch.no_grad():
        model[2].weight.mul_(200)
    return model


def deep():
    layers = [layer for _ in range(30) for layer in (nn.Linear(32, 32), nn.Sigmoid())]
    return nn.Sequential(nn.Linear(64, 32), *layers, nn.Linear(32, 4))


def flowers():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
"""
Run = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "first.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delitem(sys.modules, "first", raising=False)
    return tmp_path


@pytest.fixture
def types(folder: Path) -> Run:
    """What `wellbegun ...` prints, on one line, and with the exit status that is expected."""

    def typed(line: str, status: int = 0) -> str:
        found = CliRunner().invoke(app, line.split())
        assert found.exit_code == status, found.output
        return " ".join(found.output.split())

    return typed


@pytest.fixture
def apart(folder: Path) -> Callable[[str], tuple[int, str]]:
    """Status and output of Python code in a process of its own."""

    def ran(code: str) -> tuple[int, str]:
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)
        return found.returncode, found.stdout + found.stderr

    return ran
