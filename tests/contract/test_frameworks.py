"""Every model of the table, in every framework that can write it: the same graph, plan, bits and verdict.

What is compared: of graphs, every weighted operation and lookup in order with its parameters, their slots and layouts
up to the order of axes, and the role of every parameter; of plans, every field but shapes, axes and the classes of
modules; of weights, the bits, with axes in canonical order. Verdicts are compared with one other framework for each
model, by turns, since JAX compiles each anew. Keras is in `test_keras.py`.
"""

import functools
import inspect
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import table
from alike import digests_of, plain, told, weighted
from framework_rows import ABOUT, ABSENT, COLUMNS, EXCEPT
from twins import TWINS
from written_once import TEXTS, normal

import wellbegun as wb
from wellbegun.backend import find
from wellbegun.graph import ModelGraph, roles_of
from wellbegun.planning import Plan, make_plan

RECIPES = ("auto", "classic", "gpt2", "fixup")
STYLES = tuple(style for style in COLUMNS if style != "keras")
CELLS = [(row, style) for row in ABOUT for style in STYLES if (row, style) not in ABSENT]
LONG = ("mixer", "separable", "heads", "encoder-decoder", "gpt", "u-net")  # to compile; compared in Keras on PyTorch
TURNS = [row for row in ABOUT if row not in (*LONG, *TWINS)]  # of twins every number is compared in `test_jax.py`
TURNS += LONG if "WELLBEGUN_LONG" in os.environ else ()  # as in scripts/check long
SAID = ("mlp", "relu", "bare", "conv", "residual", "by hand")  # no operation between is named, so texts are equal too
each = pytest.mark.parametrize(("row", "style"), CELLS)


class Cell(NamedTuple):
    model: Any
    batch: Any
    graph: ModelGraph
    plans: Mapping[str, Plan]


@pytest.fixture(autouse=True, scope="module")
def _drawn_on_the_host() -> Iterator[None]:
    """JAX compiles its own draws for each shape, which takes longer than all that is compared."""
    own = inspect.unwrap(jax.nn.initializers.normal).__globals__["random"]

    def uniform(key: Any, shape: Any = (), dtype: Any = None, minval: float = -1, maxval: float = 1, **_: Any) -> Any:
        return jnp.asarray(np.random.default_rng(0).uniform(minval, maxval, shape).astype(np.float32))

    with pytest.MonkeyPatch.context() as patch:
        for module in (jax.random, own):
            patch.setattr(module, "uniform", uniform)
            patch.setattr(module, "normal", lambda key, shape=(), dtype=None, **_: jnp.asarray(normal(*shape)))
            patch.setattr(module, "truncated_normal", lambda key, low, high, shape, *_, **__: uniform(key, shape))
        yield


@functools.cache
def cell(row: str, style: str) -> Cell:
    batch, model = table.batch_of(row, style), table.model_of(row, style)
    graph = find(model).trace(model, batch)
    return Cell(model, batch, graph, {recipe: make_plan(graph, recipe=recipe, seed=0) for recipe in RECIPES})


@functools.cache
def bits(row: str, style: str) -> tuple[Mapping[str, str], Any]:
    found = cell(row, style)
    before = jax.tree.leaves(found.model)
    applied = wb.apply(found.model, found.plans["classic"])
    assert (applied.model is found.model) == (style in ("torch", "nnx"))  # others get a new model, and keep theirs
    assert style == "nnx" or all(a is b for a, b in zip(before, jax.tree.leaves(found.model), strict=True))
    assert jax.tree.structure(applied.model) == jax.tree.structure(found.model)
    with find(applied.model).session(applied.model, found.batch) as session:
        values = {name: np.array(session.read(name)) for name in session.trained}
    return digests_of(values, found.plans["classic"]), applied.ledger.counts()


def alike(style: str, role: str) -> str:
    """A role; what is added behind a normalization written by hand is a bias, in torch, too."""
    return "bias" if style == "plain" and role == "norm_shift" else role


@each
def test_graphs_are_equal(row: str, style: str) -> None:
    one, other = cell(row, "torch").graph, cell(row, style).graph
    assert weighted(one) == weighted(other)
    twins = roles_of(other)
    for found, role in roles_of(one).items():
        if alike(style, role.role) == role.role:
            assert told(role) == told(twins[found])
    first, second = (next(iter(roles_of(graph).values())).net for graph in (one, other))
    assert (first.layers, first.normed, first.stacks, first.readouts) == (
        second.layers, second.normed, second.stacks, second.readouts,
    )  # fmt: skip
    assert one.notes == other.notes == ()


@each
def test_plans_are_equal(row: str, style: str) -> None:
    for recipe in RECIPES:
        one, other = cell(row, "torch").plans[recipe], cell(row, style).plans[recipe]
        if recipe == "auto" and (row, style) in EXCEPT:
            continue
        texts = style == "nnx" and row in SAID
        assert one.notes == other.notes
        for entry in one.entries:
            expected = plain(entry, texts)
            expected["role"] = alike(style, expected["role"])
            assert plain(other[entry.name], texts) == expected, recipe
        assert len(one.entries) == len(other.entries)


@each
def test_bits_are_equal(row: str, style: str) -> None:
    assert bits(row, "torch") == bits(row, style)


def test_a_model_that_is_another_differs() -> None:
    """The comparisons see differences: of a function, and of values."""
    plans = [cell(row, "torch").plans["auto"] for row in ("autoencoder", "vae")]
    assert plain(plans[0].entries[0], False) == plain(plans[0].entries[0], False) != plain(plans[1].entries[0], False)
    assert weighted(cell("gpt", "torch").graph) != weighted(cell("llama", "nnx").graph)
    found = cell("relu", "nnx")
    assert bits("relu", "nnx")[0] != bits("siren", "nnx")[0]
    assert found.plans["auto"]["second.weight"].scheme != found.plans["classic"]["second.weight"].scheme


def verdict(row: str, style: str) -> wb.Result:
    found = cell(row, style)
    return wb.initialize(table.model_of(row, style) if style == "torch" else found.model, found.batch, seed=0)


@pytest.mark.parametrize("row", TURNS)
def test_verdicts_are_equal(row: str) -> None:
    # frameworks run a transposed convolution's window in one direction or the other, so its factor differs a little
    style = next(s for s in STYLES[TURNS.index(row) % len(STYLES) :] + STYLES if (row, s) not in ABSENT)
    turned = any(part.kind == "up" for part in TEXTS[row].parts.values())
    one, other = verdict(row, "torch"), verdict(row, style)
    assert one.health.codes == other.health.codes
    for entry in one.plan.entries if (row, style) not in EXCEPT else ():
        twin = other.plan[entry.name]
        assert (twin.scheme, twin.action, twin.role) == (entry.scheme, entry.action, alike(style, entry.role))
        assert entry.factor == pytest.approx(twin.factor, rel=0.1 if turned else 1e-5)
