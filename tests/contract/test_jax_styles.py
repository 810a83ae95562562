"""Models of every style of JAX are planned, filled, corrected and checked as their twins in torch are."""

import functools
from typing import Any

import jax
import numpy as np
import pytest
from alike import digests_of, plain, told, weighted
from styles import STYLES, batch_of
from twins import TWINS

import wellbegun as wb
from wellbegun.backend import find
from wellbegun.graph import ModelGraph, roles_of
from wellbegun.planning import make_plan

CASES = [(style, name) for style in STYLES for name in STYLES[style]]
BY_HAND = ("plain", "conv", "auto")  # groups that are normalized by hand are not known to keep mirrored pairs
each = pytest.mark.parametrize(("style", "name"), CASES)


@functools.cache
def made(style: str, name: str) -> tuple[Any, Any]:
    batch = TWINS[name].batch("torch") if style == "torch" else batch_of(style, name)
    return TWINS[name].torch() if style == "torch" else STYLES[style][name](batch), batch


@functools.cache
def graph_of(style: str, name: str) -> ModelGraph:
    model, batch = made(style, name)
    return find(model).trace(model, batch)


@functools.cache
def initialized(style: str, name: str) -> wb.Result:
    model, batch = made(style, name)
    return wb.initialize(TWINS[name].torch() if style == "torch" else model, batch, seed=0)


def values(model: Any, batch: Any) -> dict[str, np.ndarray]:
    with find(model).session(model, batch) as session:
        return {name: np.array(session.read(name)) for name in session.trained}


def alike(style: str, role: str) -> str:
    """A role; what is added behind a normalization written by hand is a bias, in torch, too."""
    return "bias" if style == "plain" and role == "norm_shift" else role


@each
def test_graphs_are_equal(style: str, name: str) -> None:
    one, other = graph_of("torch", name), graph_of(style, name)
    assert weighted(one) == weighted(other)
    twins = roles_of(other)
    for found, role in roles_of(one).items():
        if alike(style, role.role) == role.role:
            assert told(role) == told(twins[found])
    assert one.notes == other.notes == ()


@pytest.mark.parametrize("recipe", ["auto", "classic", "gpt2", "fixup"])
@each
def test_plans_are_equal(style: str, name: str, recipe: str) -> None:
    one, other = (make_plan(graph_of(each, name), recipe=recipe, seed=0) for each in ("torch", style))
    if (style, name, recipe) == BY_HAND:
        return
    assert one.notes == other.notes
    for entry in one.entries:
        expected = plain(entry, False)
        expected["role"] = alike(style, expected["role"])
        assert plain(other[entry.name], False) == expected
    assert len(one.entries) == len(other.entries)


@each
def test_bits_are_equal_and_the_model_given_is_unchanged(style: str, name: str) -> None:
    found = []
    for framework in ("torch", style):
        model, batch = made(framework, name)
        before = jax.tree.leaves(model)
        plan = make_plan(graph_of(framework, name), recipe="classic", seed=1)
        applied = wb.apply(model, plan)
        found.append((digests_of(values(applied.model, batch), plan), applied.ledger.counts()))
        assert all(one is other for one, other in zip(before, jax.tree.leaves(model), strict=True))
        assert jax.tree.structure(applied.model) == jax.tree.structure(model)
    assert found[0] == found[1]


@each
def test_health_is_equal(style: str, name: str) -> None:
    one, other = initialized("torch", name), initialized(style, name)
    assert one.health.codes == other.health.codes == ()
    if (style, name, "auto") == BY_HAND:
        return
    for entry in one.plan.entries:
        twin = other.plan[entry.name]
        assert (twin.scheme, twin.action, twin.role) == (entry.scheme, entry.action, alike(style, entry.role))
        assert entry.factor == pytest.approx(twin.factor, rel=1e-5)
