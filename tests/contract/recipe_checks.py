"""Checks of recipes: laws, drawn values and constants against numbers that were found without the recipe."""

import math
from typing import Any

import pytest
from torch import nn

import wellbegun as wb
from wellbegun.backend import find
from wellbegun.graph import Analysis
from wellbegun.laws import Constant
from wellbegun.planning import make_plan
from wellbegun.planning.plan import Plan


def traced(model: nn.Module, batch: Any) -> Analysis:
    """The graph of a model, which any number of plans can be made from."""
    return Analysis.of(find(model).trace(model, batch))


def law_std(plan: Plan, name: str) -> float:
    entry = plan[name]
    return math.sqrt(entry.law.moments(entry.layout.canonical_shape(entry.shape)).variance)


def wrong(plan: Plan, expected: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Matrices whose law's std is more than 1 % away: name -> (expected, got). Every matrix must be expected."""
    matrices = {entry.name for entry in plan.entries if len(entry.shape) > 1 and entry.action == "fill"}
    assert matrices == set(expected)
    pairs = {name: (std, law_std(plan, name)) for name, std in expected.items()}
    return {name: pair for name, pair in pairs.items() if abs(pair[1] - pair[0]) > 0.01 * pair[0]}


def check(model: nn.Module, batch: Any, recipe: str, expected: dict[str, float], control: str = "classic") -> Plan:
    """Laws have the expected stds, drawn values too; another recipe fails."""
    graph = traced(model, batch)
    plan = make_plan(graph, recipe=recipe, seed=0)
    assert not wrong(plan, expected)
    assert wrong(make_plan(graph, recipe=control, seed=0), expected), "the control must fail"
    assert not [note for note in plan.notes if "expects a role" in note]
    wb.apply(model, plan)
    parameters = dict(model.named_parameters())
    for name, std in expected.items():
        drawn = parameters[name].detach().double()
        if std == 0:
            assert (drawn == 0).all(), name
        else:  # kurtosis <= 3, so the std of a sample of n is within 5 sqrt(2 / 4n)
            assert drawn.square().mean().sqrt() == pytest.approx(std, rel=5 / math.sqrt(2 * drawn.numel())), name
    return plan


def compare(model: nn.Module, batch: Any, recipe: str, *, skip: tuple[str, ...] = ()) -> int:
    """The values that a model's own package gave it against the laws of a recipe; how many matrices were compared."""
    plan = make_plan(traced(model, batch), recipe=recipe, seed=0)
    compared = 0
    for key, values in model.named_parameters():
        if any(part in key for part in skip):
            continue
        if values.ndim > 1:
            moments = plan[key].moments()
            size = math.sqrt(moments.variance + moments.mean**2)
            own = float(values.detach().double().square().mean().sqrt())
            assert own == pytest.approx(size, rel=5 / math.sqrt(2 * values.numel())), key
            compared += 1
        elif isinstance(plan[key].law, Constant):
            assert (values == start(plan, key)).all(), key
        else:
            low, high = plan[key].law.support()
            assert low <= values.min() <= values.max() <= high, key
    return compared


def start(plan: Plan, name: str) -> float:
    """The constant that a vector starts at."""
    law = plan[name].law
    assert isinstance(law, Constant), name
    return law.value


def blocks(expected: dict[str, float], layers: int) -> dict[str, float]:
    """`name.#.weight` for every layer."""
    found = {}
    for name, std in expected.items():
        found.update({name.replace("#", str(i)): std for i in range(layers)} if "#" in name else {name: std})
    return found


def xavier(fan_in: float, fan_out: float) -> float:
    return math.sqrt(2 / (fan_in + fan_out))
