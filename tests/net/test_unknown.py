"""Each analysis of ours fails, or answers that it does not know, one at a time: all is planned, filled, checked."""

import gc
from types import FunctionType
from typing import Any

import models
import pytest
import torch

import wellbegun as wb
from wellbegun.graph.inference import inferred

SAMPLE = ("torch: tied, with a mask", "recipe: translator, relative", "hand: experts, gathered")
MARK = inferred("", print)(print).__code__  # what marked analyses have in common


def analyses() -> dict[str, Any]:
    """Every analysis that is marked, once the modules that hold them are loaded."""
    model, batch = models.build(SAMPLE[0])
    wb.initialize(model, batch, seed=0)
    functions = [one for one in gc.get_objects() if type(one) is FunctionType]
    found = [one for one in functions if one.__code__ is MARK]
    return {f"{one.__module__}.{one.__qualname__}": one for one in found if one.__wrapped__ is not print}


ANALYSES = analyses()


def raising(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("on purpose")


def test_there_are_many_and_they_are_found() -> None:
    assert len(ANALYSES) >= 30


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_without_any_one_analysis_every_model_is_planned_filled_and_checked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ANALYSES[name], "__wrapped__", raising)  # so the answer is that which stands for "unknown"
    for sample in SAMPLE:
        model, batch = models.build(sample)
        found = wb.initialize(model, batch, seed=0)
        assert set(found.ledger.counts()) <= {"filled", "kept", "tied", "loaded"}
        assert all(torch.isfinite(tensor).all() for tensor in model.parameters())
        wb.check(model, batch)
