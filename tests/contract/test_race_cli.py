"""The race on the command line: what is shown, files, exit status 0 done, 2 wrong use, 130 after Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app

NET = """
import numpy as np
from torch import nn
from sklearn.datasets import load_digits

class Net(nn.Module):
    def __init__(self, depth=1):
        super().__init__()
        layers = [nn.Linear(64, 32), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Linear(32, 32), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(32, 10))
    def forward(self, x):
        return self.layers(x)

def build():
    return Net()

def deep():
    return Net(18)

model = Net()

def halve(model):
    for parameter in model.parameters():
        parameter.data.mul_(0.5)

def data():
    x, y = load_digits(return_X_y=True)
    return x.astype(np.float32) / 16, y
"""
SMALL = ("--rates", "3e-3", "--seeds", "2", "--steps", "4", "--jobs", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "racing_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delitem(sys.modules, "racing_net", raising=False)
    return tmp_path


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, ["race", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output if status else result.stdout


def test_the_default_candidates_race_on_digits(folder: Path) -> None:
    text = run("racing_net.py:build", "--data", "digits", *SMALL)
    assert text.startswith("Race: ")
    assert "6 candidates × 1 rate × 2 seeds, adam, 4 steps of 128 samples; Net with" in " ".join(text.split())
    for name in ("default", "classic", "auto", "he", "xavier", "orthogonal"):
        assert name in text


def test_candidates_data_and_files(folder: Path) -> None:
    """A model in a loose file goes to worker processes that cannot import it."""
    chosen = ("-c", "half=racing_net.py:halve", "-c", "he_normal(mode='fan_out')", "-c", "zero=zeros", "-c", "default")
    more = (
        "--optimizer",
        "sgd",
        "--optimizer",
        "adam",
        "--seeds",
        "7,9",
        "--resume",
        "kept.csv",
        "--out",
        "all.parquet",
    )
    shown = run("racing_net.py:build", "-d", "racing_net.py:data", *SMALL, *chosen, *more, "-j", "2", "-f", "json")
    data = json.loads(shown)
    assert {t["candidate"] for t in data["trials"]} == {"half", "he_normal(mode='fan_out')", "zero", "default"}
    assert {(t["optimizer"], t["seed"]) for t in data["trials"]} == {(o, s) for o in ("sgd", "adam") for s in (7, 9)}
    assert {t["status"] for t in data["trials"]} == {"done"}
    assert wb.Race.load("kept.csv").trials == wb.Race.load("all.parquet").trials


def test_an_npz_file_is_the_same_data(folder: Path) -> None:
    x, y = load_digits(return_X_y=True)
    np.savez("data.npz", x=x.astype(np.float32) / 16, y=y)
    one = run("racing_net.py:build", "-d", "data.npz", "-c", "auto", *SMALL, "-f", "json")
    two = run("racing_net.py:build", "-d", "racing_net.py:data", "-c", "auto", *SMALL, "-f", "json")
    assert [t["losses"] for t in json.loads(one)["trials"]] == [t["losses"] for t in json.loads(two)["trials"]]


WRONG = [
    (("racing_net.py:nothing", "-d", "digits"), "has no 'nothing'"),
    (("racing_net.py:model", "-d", "digits"), "is a Net. A race needs a function that makes a fresh model"),
    (("racing_net.py:build", "-d", "digts"), "data must be 'digits'"),
    (("racing_net.py:build", "-d", "none.npz"), "there is no file 'none.npz'"),
    (("racing_net.py:build", "-d", "digits", "--rates", "fast"), "rates: expected numbers separated by commas"),
    (("racing_net.py:build", "-d", "digits", "--rates", "nan"), "rates must be a finite number > 0; got nan"),
    (("racing_net.py:build", "-d", "digits", "--seeds", "x"), "seeds: expected numbers"),
    (("racing_net.py:build", "-d", "digits", "-c", "he_nrmal"), "Did you mean 'he_normal'?"),
    (("racing_net.py:build", "-d", "digits", "-c", "a=auto", "-c", "a=zeros"), "two are called 'a'"),
    (("racing_net.py:build", "-d", "digits", "-c", "=auto"), "expected a recipe, a scheme or name=one"),
    (("racing_net.py:build", "-d", "digits", "--optimizer", "adm"), "Did you mean 'adam'?"),
    (("racing_net.py:build", "-d", "digits", "--prune", "half"), "prune must be one of 'halving'"),
    (("racing_net.py:build", "-d", "digits", "--out", "race.json"), "out: expected a file ending in .parquet or .csv"),
    (("racing_net.py:build", "-d", "digits", "--out", "nowhere/race.csv"), "there is no folder 'nowhere'"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG, ids=lambda value: str(value)[-40:])
def test_wrong_use_is_one_message_and_status_2(folder: Path, arguments: tuple[str, ...], told: str) -> None:
    text = run(*arguments, status=2)
    assert text.startswith("Error: ")
    assert told in " ".join(text.split())
    assert len(text.splitlines()) == 1


def test_ctrl_c_shows_and_keeps_what_is_done_and_exits_with_130(folder: Path) -> None:
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored in the background
    command = [
        sys.executable,
        "-c",
        f"{start}; from wellbegun.cli import main; main()",
        "race",
        "racing_net.py:deep",
        "-d",
        "digits",
        "-c",
        "default",
    ]
    command += ["-c", "xavier_normal", "--steps", "300", "--jobs", "1", "--resume", "kept.csv"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    while not (folder / "kept.csv").exists() and process.poll() is None:
        os.sched_yield()
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Interrupted: " in out
    assert "Trials written to kept.csv" in out
    assert all(line.startswith("racing ") for line in errors.splitlines())
    kept = wb.Race.load(folder / "kept.csv")
    assert kept.interrupted
    assert 1 <= len(kept.trials) < 24
