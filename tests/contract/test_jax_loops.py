"""Loops, choices and calls within a model of JAX: what is inside counts as if it were written where it is called."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from twins import normal, rngs

import wellbegun as wb
from wellbegun.backend import find, values_in
from wellbegun.jax import loops
from wellbegun.jax.jaxpr import program_of

KEY = jax.random.key(0)


def tree(*shapes: tuple[int, ...]) -> dict[str, Any]:
    return {f"w{place}": jax.random.normal(KEY, shape) / shape[-2] ** 0.5 for place, shape in enumerate(shapes)}


def computed(function: Any, *arguments: Any, batch: int = 0) -> tuple[list[Any], list[Any], set[str]]:
    """What a program gives, what the function gives, and the primitives in it."""
    closed = jax.make_jaxpr(function)(*arguments)
    program = program_of(closed, batch)
    leaves = jax.tree.leaves(arguments)
    known = program.run({v.number: leaf for v, leaf in zip(program.inputs, leaves, strict=True)}, {})
    found = [known[value.number] for value in values_in(program.outputs)]
    return found, jax.tree.leaves(function(*arguments)), {equation.name for equation in program.equations}


CASES: dict[str, tuple[Any, tuple[Any, ...], set[str]]] = {
    "scan": (lambda x, w: jax.lax.scan(lambda c, r: (jnp.tanh(c @ r), c.sum()), x, w), ((2, 3), (5, 3, 3)), set()),
    "reverse": (
        lambda x, w: jax.lax.scan(lambda c, r: (c + r, 2 * c), x, w, reverse=True), ((3,), (6, 3)), set(),
    ),
    "long": (
        lambda x, w: jax.lax.scan(lambda c, r: (jnp.sin(c + r), c), x, w), ((3,), (loops.SHORT + 9, 3)), {"scan"},
    ),
    "long, reverse": (
        lambda x, w: jax.lax.scan(lambda c, r: (jnp.sin(c + r), c), x, w, reverse=True),
        ((3,), (loops.SHORT + 9, 3)), {"scan"},
    ),
    "unused": (lambda x, w: jax.lax.scan(lambda c, r: (c @ r, c), x, w)[0], ((2, 3), (4, 3, 3)), set()),
    "empty": (lambda x, w: jax.lax.scan(lambda c, r: (c @ r, c), x, w), ((2, 3), (0, 3, 3)), {"scan"}),
    "while": (
        lambda x, w: jax.lax.while_loop(lambda c: jnp.abs(c).sum() < 9, lambda c: 1.5 * c + 0.1, x), ((3,), (1,)),
        {"while"},
    ),
    "while, never": (lambda x, w: jax.lax.while_loop(lambda c: c.sum() > 1e9, jnp.sin, x), ((3,), (1,)), {"while"}),
    "cond": (lambda x, w: jax.lax.cond(x.sum() > 0, jnp.sin, lambda x: x @ w, x), ((3,), (3, 3)), {"select_n"}),
    "switch": (
        lambda x, w: jax.lax.switch(jnp.argmax(x), [jnp.sin, jnp.cos, jnp.square], x), ((3,), (1,)), {"select_n"},
    ),
    "known choice": (lambda x, w: jax.lax.cond(True, jnp.sin, jnp.cos, x), ((3,), (1,)), {"sin"}),
    "remat": (lambda x, w: jax.checkpoint(lambda x: jnp.tanh(x @ w))(x), ((2, 3), (3, 3)), {"tanh"}),
    "vmap": (jax.vmap(lambda x, w: w @ x, in_axes=(0, None)), ((4, 3), (5, 3)), {"dot_general"}),
    "weights first": (lambda x, w: jnp.einsum("eoi,ebi->eob", w, x), ((2, 4, 3), (2, 5, 3)), {"dot_general"}),
    "nested": (
        lambda x, w: jax.lax.scan(lambda c, r: (jax.lax.fori_loop(0, 3, lambda _, y: y @ r, c), None), x, w)[0],
        ((2, 3), (4, 3, 3)), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_computed_is_the_same(name: str) -> None:
    function, shapes, inside = CASES[name]
    x, w = (0.5 * jax.random.normal(jax.random.key(place), shape) for place, shape in enumerate(shapes))
    found, expected, primitives = computed(function, x, w)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)
    assert inside <= primitives
    assert primitives & {"scan", "while", "cond"} <= inside


def test_gradients_come_back_through_loops() -> None:
    def model(p: Any, x: Any) -> Any:
        return jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), None), x, p["w0"])[0]

    params, x = tree((4, 6, 6)), normal(8, 6)
    found: dict[Any, Any] = {}
    with find((model, params)).session((model, params), x) as session:
        session.forward(lambda *_: ())
        session.judge(lambda out: jnp.square(out).sum())
        session.backward("loss", lambda place, gradient: found.update({place: gradient.array()}))
    expected = jax.grad(lambda p: jnp.square(model(p, x)).sum())(params)["w0"]
    np.testing.assert_allclose(found["w0"], expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- stacked layers
def scanned(p: Any, x: Any) -> Any:
    x = x @ p["enter"]["w"]
    return jax.lax.scan(lambda c, q: (c + jax.nn.relu(c @ q["w"] + q["b"]), None), x, p["layers"])[0] @ p["leave"]["w"]


class LinenStack(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        class Layer(linen.Module):
            @linen.compact
            def __call__(self, x: Any, _: Any) -> Any:
                return x + linen.relu(linen.Dense(16, name="dense")(x)), None

        x = linen.Dense(16, name="enter")(x)
        stack = linen.scan(Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=5)
        return linen.Dense(3, name="leave")(stack(name="layers")(x, None)[0])


class NnxStack(nnx.Module):
    def __init__(self) -> None:
        self.enter, self.leave = nnx.Linear(8, 16, rngs=rngs()), nnx.Linear(16, 3, rngs=rngs())
        self.layers = nnx.vmap(lambda r: nnx.Linear(16, 16, rngs=r))(rngs().split(5))

    def __call__(self, x: Any) -> Any:
        layer = nnx.scan(lambda x, layer: x + nnx.relu(layer(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        return self.leave(layer(self.enter(x), self.layers))


class EqxStack(eqx.Module):
    enter: Any
    layers: Any
    leave: Any

    def __init__(self) -> None:
        self.enter, self.leave = eqx.nn.Linear(8, 16, key=KEY), eqx.nn.Linear(16, 3, key=KEY)
        self.layers = eqx.filter_vmap(lambda key: eqx.nn.Linear(16, 16, key=key))(jax.random.split(KEY, 5))

    def __call__(self, x: Any) -> Any:
        arrays, rest = eqx.partition(self.layers, eqx.is_array)
        x, _ = jax.lax.scan(lambda x, one: (x + jax.nn.relu(eqx.combine(one, rest)(x)), None), self.enter(x), arrays)
        return self.leave(x)


def stacks() -> dict[str, Any]:
    drawn = {"enter": (8, 16), "layers": (5, 16, 16), "leave": (16, 3)}
    p = {name: {"w": jax.random.normal(KEY, shape) / 4} for name, shape in drawn.items()}
    p["layers"]["b"] = jnp.zeros((5, 16))
    module = LinenStack()
    return {
        "plain": (scanned, p), "nnx": NnxStack(), "equinox": EqxStack(),
        "linen": (module, module.init(KEY, jnp.zeros((1, 8)))),
    }  # fmt: skip


@pytest.mark.parametrize("style", ["plain", "nnx", "equinox", "linen"])
def test_stacked_layers_are_matrices_of_their_own(style: str) -> None:
    model = stacks()[style]
    result = wb.initialize(model, normal(64, 8), recipe="classic", seed=0)
    (name,) = (
        entry.name for entry in result.plan.entries if entry.name.startswith("layers") and "weight" in entry.name
    )
    layout = result.plan[name].layout
    assert layout is not None
    assert layout.axes in ("eio", "eoi")
    assert layout.fans(result.plan[name].shape).fan_in == 16  # and not five times that
    assert result.plan[name].scheme == "he_normal()"
    with find(result.model).session(result.model, normal(64, 8)) as session:
        weights = session.read(name)
    np.testing.assert_allclose(weights.std((1, 2)), (2 / 16) ** 0.5, rtol=0.2)
    assert not np.array_equal(weights[0], weights[1])
    auto = wb.initialize(model, normal(64, 8), seed=0)
    assert auto.health.healthy
    assert auto.ledger.counts()["filled"] == len(auto.plan.entries)


def test_ensembles_of_models_under_vmap() -> None:
    def model(p: Any, x: Any) -> Any:
        return jax.vmap(lambda q: jnp.tanh(x @ q["first"]["w"] + q["first"]["b"]) @ q["last"]["w"])(p)

    p = {"first": {"w": jax.random.normal(KEY, (3, 8, 16)), "b": jnp.zeros((3, 16))}, "last": tree((3, 16, 4))}
    p["last"] = {"w": p["last"]["w0"]}
    plan = wb.plan((model, p), (32, 8), recipe="classic", seed=0)
    assert plan["first.weight"].layout.fans((3, 8, 16)).fan_in == 8
    assert plan["last.weight"].layout.axes == "eio"


# ---------------------------------------------------------------------- recurrences
def test_a_recurrence_is_the_same_however_long() -> None:
    def model(p: Any, x: Any) -> Any:
        def step(h: Any, u: Any) -> Any:
            h = jnp.tanh(u @ p["enter"]["w"] + h @ p["state"]["w"] + p["state"]["b"])
            return h, h

        return jax.lax.scan(step, jnp.zeros((x.shape[0], 16)), x.swapaxes(0, 1))[1][-1] @ p["leave"]["w"]

    shapes = {"enter": (6, 16), "state": (16, 16), "leave": (16, 3)}
    p = {name: {"w": jax.random.normal(KEY, shape) / 4} for name, shape in shapes.items()}
    p["state"]["b"] = jnp.zeros(16)
    short, long = (wb.plan((model, p), (4, length, 6), recipe="classic", seed=0) for length in (5, loops.SHORT + 20))
    for entry in short.entries:
        assert (entry.scheme, entry.layout, entry.role) == (
            long[entry.name].scheme, long[entry.name].layout, long[entry.name].role,
        )  # fmt: skip
    assert short["state.weight"].role != "unknown"
    result = wb.initialize((model, p), normal(16, loops.SHORT + 20, 6), seed=0)
    assert result.ledger.counts()["filled"] == 4
    assert "W801" not in result.health.codes


@pytest.mark.parametrize("cell", [linen.OptimizedLSTMCell, linen.GRUCell])
def test_recurrent_layers_of_linen(cell: Any) -> None:
    class Model(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return linen.Dense(3, name="leave")(linen.RNN(cell(12, name="cell"))(x)[:, -1])

    result = wb.initialize(Model(), normal(16, 7, 6), seed=0)
    roles = {entry.role for entry in result.plan.entries}
    assert not roles & {"unknown", "unused"}
    assert result.ledger.counts()["kept"] == 0


def test_weights_within_a_choice_are_planned() -> None:
    def model(p: Any, x: Any) -> Any:
        x = jax.checkpoint(lambda x: jax.nn.relu(x @ p["first"]["w"]))(x)
        return jax.lax.cond(x.sum() > 1e9, lambda x: x @ p["one"]["w"], lambda x: x @ p["other"]["w"], x)

    shapes = {"first": (8, 16), "one": (16, 3), "other": (16, 3)}
    p = {name: {"w": jax.random.normal(KEY, shape) / 4} for name, shape in shapes.items()}
    plan = wb.plan((model, p), (32, 8), recipe="classic", seed=0)
    assert plan["first.weight"].scheme == "he_normal()"
    assert plan["one.weight"].layout == plan["other.weight"].layout
    assert plan["one.weight"].role == plan["other.weight"].role
    assert wb.check((model, p), normal(32, 8)).statistics is not None
