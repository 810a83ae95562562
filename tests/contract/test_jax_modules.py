"""Flax modules by name: what their parameters are called, which are shared; and a call as one list of equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from twins import TWINS, rngs

import wellbegun as wb
from wellbegun.backend import HostedHandle, Program, values_in
from wellbegun.jax.call import Pure
from wellbegun.jax.call import pure as pure_call
from wellbegun.jax.jaxpr import program_of
from wellbegun.jax.styles import described
from wellbegun.jax.styles.nnx import parameters_of
from wellbegun.torch.parameters import parameters_of as parameters_of_torch


def pure(model: object, batch: object) -> Pure:
    return pure_call(described(model), batch)


@pytest.mark.parametrize("name", TWINS)
def test_names_are_those_of_torch(name: str) -> None:
    expected, _ = parameters_of_torch(TWINS[name].torch())
    assert list(parameters_of(TWINS[name].jax())) == list(expected)
    found = parameters_of(nnx.eval_shape(TWINS[name].jax))  # whose attributes are in alphabetical order
    assert found.keys() == expected.keys()
    assert not any(parameter.held for parameter in found.values())


def test_names_of_layers_that_hold_several_weights() -> None:
    class Both(nnx.Module):
        def __init__(self) -> None:
            self.kernel, self.scale = nnx.Param(jnp.ones((2, 3))), nnx.Param(jnp.ones(3))
            self.inner = nnx.List([nnx.Param(jnp.ones(2)), nnx.LayerNorm(3, rngs=rngs())])
            self.count = nnx.BatchStat(jnp.zeros(1))

    found = parameters_of(Both())
    assert list(found) == ["kernel", "scale", "inner.0", "inner.1.weight", "inner.1.bias"]
    assert found["inner.1.weight"].owner == found["inner.1.weight"].layer == "LayerNorm"
    assert found["kernel"].owners == ("Both",)


def test_shared_variables_are_tied() -> None:
    class Shared(nnx.Module):
        def __init__(self) -> None:
            self.one = self.other = nnx.Linear(3, 3, rngs=rngs())
            self.weight = self.one.kernel

    found = parameters_of(Shared())
    assert {name: parameter.tied_to for name, parameter in found.items() if name.endswith("weight")} == {
        "weight": "one.weight", "one.weight": None, "other.weight": "one.weight",
    }  # fmt: skip
    assert found["other.bias"].tied_to == "one.bias"


def test_what_is_no_model_or_batch_is_told() -> None:
    with pytest.raises(wb.errors.ModelError, match="no parameters"):
        pure(nnx.Dropout(0.5, rngs=rngs()), (2, 3))
    model = nnx.Linear(2, 3, rngs=rngs())
    with pytest.raises(wb.errors.ArgumentError, match="Give a batch"):
        pure(model, None)
    with pytest.raises(wb.errors.ArgumentTypeError, match="an array, a shape"):
        pure(model, object())


def test_arrays_of_a_batch_are_traced_and_all_else_is_not() -> None:
    class Asks(nnx.Module):
        def __init__(self) -> None:
            self.layer = nnx.Linear(2, 3, rngs=rngs())

        def __call__(self, x: jax.Array, ids: jax.Array, *, times: int, extra: jax.Array | None = None) -> jax.Array:
            assert extra is None
            for _ in range(times):
                x = x + ids
            return self.layer(x)

    whole = pure(Asks(), {"x": (4, 2), "times": 3, "ids": np.ones((4, 2), np.int64), "extra": None})
    assert [array.dtype.name for array in whole.arrays] == ["int32", "float32"]
    assert whole.function(whole.state, whole.arrays).shape == (4, 3)
    assert pure(Asks(), ("4,2", "4,2:int64<5")).arrays[1].max() < 5


def program(name: str) -> tuple[Program, list[jax.Array], jax.Array]:
    model, batch = TWINS[name].jax(), TWINS[name].batch("jax")
    whole = pure(model, batch)
    closed = jax.make_jaxpr(whole.function)(whole.state, whole.arrays)
    return program_of(closed, len(whole.state)), [*whole.state, *whole.arrays], model(batch)


@pytest.mark.parametrize("name", ["relu", "by hand"])
def test_a_flat_list_of_equations_computes_what_the_model_does(name: str) -> None:
    found, leaves, expected = program(name)
    assert [equation.index for equation in found.equations] == list(range(len(found.equations)))
    known = found.run({v.number: leaf for v, leaf in zip(found.inputs, leaves, strict=True)}, {})
    np.testing.assert_allclose(known[next(values_in(found.outputs)).number], expected, rtol=1e-5, atol=1e-6)
    assert {"jit", "pjit", "custom_jvp_call"}.isdisjoint(equation.name for equation in found.equations)


def test_derivatives_of_calls_are_their_own_unless_something_is_added_within() -> None:
    found, *_ = program("relu")
    start = min(found.calls)
    assert found.equations[start].name == "max"
    one = program_of(jax.make_jaxpr(jax.nn.relu)(jnp.zeros(1)), 0)
    (end,) = values_in(one.outputs)

    def slope(added: bool) -> float:
        extra = {0: (end, jnp.zeros(1))} if added else {}
        return float(jax.grad(lambda x: one.run({one.inputs[0].number: x}, extra)[end.number].sum())(jnp.zeros(1))[0])

    assert slope(added=False) == 0.0  # as jax.nn.relu defines it
    assert slope(added=True) == 0.5  # the maximum of two equal numbers


def test_products_of_signals_are_products_of_matrices() -> None:
    def mixed(q: jax.Array, k: jax.Array) -> jax.Array:
        return jnp.einsum("bqhcd,bkhd->hbqck", q, k)

    q, k = jnp.asarray(np.random.rand(2, 3, 4, 5, 6)), jnp.asarray(np.random.rand(2, 7, 4, 6))
    found = program_of(jax.make_jaxpr(mixed)(q, k), 0)
    (product,) = (equation for equation in found.equations if equation.name == "dot_general")
    assert [value.shape for value in product.inputs] == [(4, 2, 15, 6), (4, 2, 6, 7)] or [
        value.shape for value in product.inputs
    ] == [(2, 4, 15, 6), (2, 4, 6, 7)]
    known = found.run({found.inputs[0].number: q, found.inputs[1].number: k}, {})
    np.testing.assert_allclose(known[next(values_in(found.outputs)).number], mixed(q, k), rtol=1e-5)


def test_modules_are_scopes_of_what_they_run() -> None:
    found, *_ = program("residual")
    scopes = {equation.scopes[-1] for equation in found.equations if equation.name == "conv_general_dilated"}
    assert scopes == {"stem#0", "first.0#0", "first.1#0", "second.0#0", "second.1#0"}


def test_numbers_of_arrays() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = HostedHandle(lambda: rows)
    assert found.shape == (3, 4)
    assert found.kind == "real"
    assert found.norm() == pytest.approx(np.linalg.norm(rows))
    assert found.norm(rows.mean(0)) == pytest.approx(np.linalg.norm(rows - rows.mean(0)))
    assert found.norm(rows.mean(1), axis=0) == pytest.approx(np.linalg.norm(rows - rows.mean(1)[:, None]))
    assert found.largest() == 11.0
    assert found.finite()
    np.testing.assert_array_equal(found.mean(-1), rows.mean(0))
    np.testing.assert_array_equal(found.part(slice(0, 2), np.array([0, 1])).array(), rows[:2, [0, 1]])
    np.testing.assert_array_equal(found.transposed((1, 0)).array(), rows.T)
    np.testing.assert_array_equal(found.entries(4), rows.ravel()[::3])
    assert found.spread(found, 0.5) == pytest.approx(np.sqrt((0.5 * rows @ rows.T).var(axis=1).mean()))
    assert HostedHandle(lambda: 2 * rows).minus(found).norm() == pytest.approx(found.norm())
    narrow = HostedHandle(lambda: np.asarray(jnp.asarray([jnp.inf], jnp.bfloat16)))
    assert narrow.kind == "real"
    assert narrow.array().dtype == np.float32
    assert not narrow.finite()
    assert HostedHandle(lambda: np.zeros(3, bool)).kind == "integer"
    shared = HostedHandle(lambda: np.random.default_rng(0).standard_normal((1, 2, 3, 4)))  # heads of keys
    grouped = HostedHandle(lambda: np.repeat(shared.array(), 2, axis=1))
    assert grouped.spread(shared, 1.0) == pytest.approx(grouped.spread(grouped, 1.0))
