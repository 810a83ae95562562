"""Nothing is made up and nothing is taken for granted without being said; what takes long says how far it is."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app
from wellbegun.racing import progress


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, 16), nn.Linear(16, 4)

    def forward(self, tokens: torch.Tensor, extra: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.table(tokens).mean(1)
        return self.head(hidden if extra is None else hidden + extra)


FIRST = ": the first layer tells the shape"
NORMAL = "standard normal, made up"
NAMED = {"tokens": torch.zeros(4, 3, dtype=torch.int64), "extra": (4, 16)}
TWO_TOLD = ("input0: int64 (4, 3), whole numbers below 9, made up", f"input1: float32 (4, 16), {NORMAL}")
MADE: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "nothing": (lambda: nn.Linear(8, 4), None, (f"batch: float32 (4, 8), {NORMAL}{FIRST}",)),
    "a shape": (lambda: nn.Linear(8, 4), (32, 8), (f"batch: float32 (32, 8), {NORMAL}",)),
    "double": (lambda: nn.Linear(8, 4).double(), (32, 8), (f"batch: float64 (32, 8), {NORMAL}",)),
    "half": (lambda: nn.Linear(8, 4).bfloat16(), "32,8", (f"batch: bfloat16 (32, 8), {NORMAL}",)),
    "words": (Two, None, (f"batch: int64 (4, 8), whole numbers below 50, made up{FIRST}",)),
    "by name": (Two, NAMED, (f"extra: float32 (4, 16), {NORMAL}",)),
    "two": (Two, ("4,3:int64<9", (4, 16)), TWO_TOLD),
    "data": (lambda: nn.Linear(8, 4), torch.zeros(4, 8), ()),
}


@pytest.mark.parametrize("case", MADE)
def test_made_up_inputs_are_named(case: str) -> None:
    build, batch, told = MADE[case]
    for health in (wb.check(build(), batch), wb.initialize(build(), batch, seed=0).health):
        assert tuple(note for note in health.notes if "made up" in note) == tuple(f"{text}." for text in told)
    invented = tuple(note for note in wb.plan(build(), batch, seed=0).notes if "made up" in note)
    assert invented == (tuple(f"{text}." for text in told) if batch is None else ())  # shapes of the user's are known


def test_a_model_of_another_framework_tells_the_same() -> None:
    nnx = pytest.importorskip("flax.nnx")
    notes = wb.check(nnx.Linear(8, 4, rngs=nnx.Rngs(0)), (32, 8)).notes
    assert "batch: float32 (32, 8), standard normal, made up." in notes


NET = "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))\n"


def test_commands_say_what_they_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quiet.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "quiet", raising=False)
    said = {
        command: " ".join(CliRunner().invoke(app, command.split()).output.split())
        for command in (
            "check quiet.py:build",
            "init quiet.py:build -o w.safetensors",
            "init quiet.py:build -s 5 -o w.safetensors",
        )
    }
    check, drawn, given = said.values()
    assert check.startswith("quiet.py:build: seed 0, in training mode. Health: healthy")
    assert ": recipe auto@2, seed " in drawn
    assert " (drawn), in training mode. 6 filled" in drawn or " (drawn), in training mode. 4 filled" in drawn
    assert given.startswith("quiet.py:build: recipe auto@2, seed 5, in training mode.")
    for text in said.values():
        assert "batch: float32 (4, 8), standard normal, made up: the first layer tells the shape." in text
        assert "cross-entropy of 4 classes against random labels" in text


def test_what_takes_long_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.shown(True, "training") as tell:
        tell(1, 10, "early")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.shown(True, "training") as tell:
        tell(2, 10, "a, 0.1")
    with progress.shown(True, "") as tell:
        tell(3, 10, "trace of 0")
    assert capsys.readouterr().err == "training 2 of 10, 0 s: a, 0.1\n3 of 10, 0 s: trace of 0\n"
    with progress.shown(False) as tell:
        tell(1, 2, "")
    assert capsys.readouterr().err == ""
