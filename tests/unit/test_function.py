"""Functions as data: kinds of numbers, bounds, equality, JSON, long chains, and what nobody knows."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellbegun.graph.function import (
    ROOT,
    UNKNOWN,
    Call,
    Constant,
    Number,
    Pending,
    Root,
    Values,
    asked,
    call,
    from_list,
    to_list,
)
from wellbegun.graph.numeric import OPERATIONS

GRID = np.concatenate([np.linspace(-6, 6, 41), [-1e-3, 1e-3]])
CASES = {
    "silu": (call("multiply", ROOT, call("sigmoid", ROOT)), lambda x: x / (1 + np.exp(-x))),
    "mask as a factor": (call("multiply", ROOT, call("greater", ROOT, 0)), lambda x: np.maximum(x, 0)),
    "one less a mask": (call("subtract", 1, call("greater", ROOT, 0)), lambda x: (x <= 0) * 1.0),
    "whole numbers": (call("divide", call("cast", ROOT, to="integer"), 2), lambda x: np.trunc(x) / 2),
    "a negative power": (
        call("power", call("cast", call("add", ROOT, 9), to="integer"), -1),
        lambda x: 1 / np.trunc(x + 9),
    ),
    "where": (call("where", call("less", ROOT, 1), call("square", ROOT), 3), lambda x: np.where(x < 1, x * x, 3)),
    "a constant array": (call("add", ROOT, Constant(np.arange(len(GRID)))), lambda x: x + np.arange(len(GRID))),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_and_json(name: str) -> None:
    function, expected = CASES[name]
    np.testing.assert_allclose(function(GRID), expected(GRID), rtol=1e-15)
    saved, places = to_list([function])
    again = from_list(json.loads(json.dumps(saved)))[places[function.digest]]
    assert again == function
    assert hash(again) == hash(function)
    assert again.domain == function.domain
    assert (again(GRID) == function(GRID)).all()


def test_truth_values_stay_truth_values_and_whole_numbers_whole() -> None:
    roots = {"x": np.array([-1.0, 2.0])}
    assert call("greater", ROOT, 0).values(roots).dtype == np.bool_
    assert call("logical_and", call("greater", ROOT, 0), True).values(roots).dtype == np.bool_
    assert call("add", call("cast", ROOT, to="integer"), 1).values(roots).dtype == np.int64
    assert Number(1) != Number(1.0) != Number(True) != Number(1)


def test_equal_by_value_and_no_other_way() -> None:
    one, two = call("multiply", call("tanh", ROOT), 2.0), call("multiply", call("tanh", Root("x")), 2.0)
    assert one == two
    assert {one: 1}[two] == 1
    assert one != call("multiply", call("tanh", ROOT), 2.5) != call("add", call("tanh", ROOT), 2.0)
    assert call("round", ROOT, decimals=1) != call("round", ROOT, decimals=2)


def test_a_long_chain_does_not_recurse() -> None:
    step, values = ROOT, Values()
    for _ in range(10_000):
        step = call("add", call("multiply", step, 0.5), 1.0)
        values(step, np.zeros(2))
    assert step(np.zeros(3)) == pytest.approx(2.0)
    saved, places = to_list([step])
    assert from_list(saved)[places[step.digest]] == step
    assert len(step.substitute({"x": Root("y")}).roots) == 1
    repr(step)


def test_what_nobody_knows_is_unknown_and_no_exception() -> None:
    lost = call("add", Call("something", (ROOT,)), 1)
    assert lost.values({"x": GRID}) is UNKNOWN
    assert np.isnan(lost(GRID)).all()
    raising = asked(lambda x: x[999])
    assert np.isnan(raising(GRID)).all()
    assert np.isnan(call("matmul", ROOT, np.pi)(GRID)).all()
    assert call("add", ROOT, Root("y")).values({"x": GRID}) is UNKNOWN
    assert asked(np.tanh, "tanh")(GRID) == pytest.approx(np.tanh(GRID))
    assert to_list([asked(np.tanh, "tanh")])[0][1][:2] == ["call", "tanh"]


def test_arrays_are_read_when_they_are_needed() -> None:
    read = []

    def values() -> np.ndarray:
        read.append(1)
        return np.arange(3.0)

    tree = call("multiply", Root("w", (3,)), Pending(values))
    assert not read
    settled = tree.settled()
    assert settled == call("multiply", Root("w", (3,)), Constant(np.arange(3.0)))
    assert (settled.values({"w": np.ones(3)}) == np.arange(3.0)).all()
    assert tree.settled().domain == (-np.inf, np.inf)
    gone = call("multiply", Root("w", (3,)), Pending(lambda: None))
    assert gone.values({"w": np.ones(3)}) is UNKNOWN
    assert gone.settled().values({"w": np.ones(3)}) is UNKNOWN


UNARY = ("exp", "tanh", "sigmoid", "erf", "sin", "absolute", "square", "negative", "sign", "expm1", "floor", "arctan")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> Call:
    if depth == 0:
        return draw(st.sampled_from([ROOT, Number(0.5), Number(-2.0), Number(3)]))
    if draw(st.booleans()):
        return call(draw(st.sampled_from(UNARY)), draw(trees(depth - 1)))
    return call(draw(st.sampled_from(BINARY)), draw(trees(depth - 1)), draw(trees(depth - 1)))


@given(trees())
def test_every_value_is_within_the_bounds(tree: Call) -> None:
    low, high = tree.domain
    values = tree(GRID)
    real = values[~np.isnan(values)]
    assert (real >= low - 1e-9 * abs(low)).all() if np.isfinite(low) else True
    assert (real <= high + 1e-9 * abs(high)).all() if np.isfinite(high) else True


def test_bounds_that_are_asked_for() -> None:
    positive = [call("square", ROOT), call("exp", ROOT), call("absolute", ROOT), call("multiply", ROOT, ROOT),
                call("log1p", call("exp", ROOT)), call("power", ROOT, 2), call("maximum", ROOT, 0), call("rsqrt", ROOT),
                call("length", ROOT)]  # fmt: skip
    assert all(function.domain[0] >= 0 for function in positive)
    assert call("sigmoid", ROOT).domain == (0, 1)
    assert call("sqrt", Root("x", bounds=(0.0, 4.0))).domain == (0, 2)
    assert call("power", ROOT, 3).domain == (-np.inf, np.inf)


def test_operations_are_named_once() -> None:
    assert {"add", "where", "cast", "matmul", "erf"} <= set(OPERATIONS)
