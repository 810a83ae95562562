"""Kinds of JAX models beside plain layers: abstract ones, other state, masks, shared and boxed parameters, dtypes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from flax.core import FrozenDict, freeze
from styles import STYLES, batch_of
from twins import normal, tokens

import wellbegun as wb
from wellbegun.backend import find

KEY = jax.random.key(0)
CASES = [(style, name) for style in STYLES for name in ("mlp", "transformer")]


class Net(linen.Module):
    """State, masks, and what depends on a flag."""

    @linen.compact
    def __call__(self, x: Any, train: bool = True) -> Any:
        x = linen.BatchNorm(use_running_average=not train)(linen.Dense(16)(x))
        return linen.Dense(4, name="head")(linen.Dropout(0.5, deterministic=not train)(linen.relu(x)))


def net() -> Any:
    return Net(), Net().init({"params": KEY, "dropout": KEY}, normal(2, 8))


def hidden(x: Any, is_training: bool = True) -> Any:
    x = jax.nn.relu(hk.BatchNorm(True, True, 0.9)(hk.Linear(16)(x), is_training))
    return hk.Linear(4)(hk.dropout(hk.next_rng_key(), 0.5, x))


class EqxNet(eqx.Module):
    first: Any
    norm: Any
    drop: Any
    last: Any

    def __init__(self) -> None:
        self.first, self.last = eqx.nn.Linear(8, 16, key=KEY), eqx.nn.Linear(16, 4, key=KEY)
        self.norm, self.drop = eqx.nn.BatchNorm(16, "rows", mode="batch"), eqx.nn.Dropout(0.5)

    def __call__(self, x: Any, state: Any, *, key: Any) -> Any:
        x, state = self.norm(self.first(x), state)
        return self.last(self.drop(jax.nn.relu(x), key=key)), state


@pytest.mark.parametrize("bound", [False, True])
def test_new_arrays_are_bound_to_devices_as_the_old_ones_were(bound: bool) -> None:
    place = jax.devices()[0] if bound else None  # what is bound to one device does not meet a batch on several
    tree = {name: jax.device_put(np.zeros(shape, np.float32), place) for name, shape in (("a", (8, 4)), ("b", (4, 3)))}
    function = lambda tree, x: jax.nn.relu(x @ tree["a"]) @ tree["b"]  # noqa: E731
    _, made = wb.initialize((function, tree), normal(16, 8), seed=0, intent="overwrite").model
    assert [made[name].committed for name in tree] == [array.committed for array in tree.values()] == [bound] * 2


# ---------------------------------------------------------------------- without values
@pytest.mark.parametrize(("style", "name"), CASES)
def test_models_without_memory_are_planned_and_filled_alike(style: str, name: str) -> None:
    batch = batch_of(style, name)
    model = STYLES[style][name](batch)
    kept = model[0] if isinstance(model, tuple) else None
    abstract = eqx.filter_eval_shape(lambda: model[1:] if kept is not None else model)
    abstract = abstract if kept is None else (kept, *abstract)
    plan = wb.plan(model, batch, seed=0, intent="overwrite")
    found = wb.plan(abstract, batch, seed=0)
    assert {e.name: (e.scheme, e.law, e.layout) for e in found.entries} == {
        e.name: (e.scheme, e.law, e.layout) for e in plan.entries
    }
    one, other = (wb.apply(each, plan).model for each in (model, abstract))
    assert jax.tree.all(jax.tree.map(np.array_equal, eqx.filter(one, eqx.is_array), eqx.filter(other, eqx.is_array)))
    with pytest.raises(wb.errors.ArgumentError, match="abstract"):
        wb.check(abstract, batch)


def test_a_model_too_large_for_memory_is_planned() -> None:
    class Wide(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            return linen.Dense(3)(linen.relu(linen.Dense(300_000)(linen.Dense(300_000)(x))))

    assert wb.plan(Wide(), (2, 8), seed=0)["Dense.1.weight"].shape == (300_000, 300_000)
    model = eqx.filter_eval_shape(lambda: eqx.nn.MLP(8, 3, 300_000, 2, key=KEY))
    assert wb.plan(model, (2, 8), seed=0)["layers.1.weight"].shape == (300_000, 300_000)


@pytest.mark.parametrize("style", ["linen", "haiku"])
def test_what_has_no_arrays_yet_gets_them(style: str) -> None:
    """The same as of its pair; state has the values that its framework gives it."""
    x = normal(32, 8)
    made = Net() if style == "linen" else hk.transform_with_state(hidden)
    pair = net() if style == "linen" else (made, *made.init(KEY, x))
    one = wb.initialize(pair, x, seed=0, intent="overwrite").model
    other = wb.initialize(made, x, seed=0).model
    assert jax.tree.all(jax.tree.map(np.array_equal, one[1], other[1]))
    assert jax.tree.all(jax.tree.map(lambda a, b: np.allclose(a, b, rtol=1e-4), one[2:], other[2:]))
    with pytest.raises(wb.errors.ArgumentError, match="has no parameters yet"):
        wb.apply(made, wb.plan(made, x, seed=0))
    with pytest.raises(wb.errors.ArgumentError, match="Give a batch"):
        wb.plan(made)
    with pytest.raises(wb.errors.TraceError, match="when its arrays were made"):
        wb.plan(made, {"wrong": x})


def test_state_without_values_is_told() -> None:
    module, _ = net()
    shapes = jax.eval_shape(lambda: net()[1])
    plan = wb.plan((module, shapes), (4, 8), seed=0)
    with pytest.raises(wb.errors.ArgumentError, match=r"'BatchNorm\.0\.mean' is abstract"):
        wb.apply((module, shapes), plan)


# ---------------------------------------------------------------------- state and random numbers
def test_other_state_comes_back_as_it_was() -> None:
    x, flax = normal(32, 8), net()
    made = hk.transform_with_state(hidden)
    equinox = eqx.nn.make_with_state(EqxNet)()
    state = [flax[1]["batch_stats"], made.init(KEY, x)[1], equinox[1]]
    for model, before, of in (
        (flax, state[0], lambda new: new[1]["batch_stats"]),
        ((made, *made.init(KEY, x)), state[1], lambda new: new[2]),
        (equinox, state[2], lambda new: new[1]),
    ):
        result = wb.initialize(model, x, seed=0)
        assert result.health.healthy
        assert result.ledger.counts() == {"filled": 6, "kept": 0, "tied": 0}
        assert jax.tree.all(jax.tree.map(np.array_equal, of(result.model), before))
        assert "W501" not in wb.check(result.model, x).codes


def test_flags_of_a_model_are_part_of_the_batch() -> None:
    for train in (True, False):
        with find(net()).session(net(), {"x": normal(32, 8), "train": train}) as session:
            masked = [operation.entries for operation in session.graph.operations].count("masked")
        assert masked == train


def test_biases_with_axes_for_a_window_are_means() -> None:
    """A readout that is a convolution of Equinox has biases of shape (out, 1)."""
    layers = [eqx.nn.Conv1d(2, 8, 3, key=KEY), eqx.nn.Lambda(jax.nn.relu), eqx.nn.ConvTranspose1d(8, 2, 3, key=KEY)]
    result = wb.initialize(eqx.nn.Sequential(layers), normal(16, 2, 10), seed=0)
    assert result.model.layers[2].bias.shape == (2, 1)
    assert result.plan["layers.2.bias"].scheme == "given"
    assert result.health.healthy


def test_functions_of_equinox_are_functions() -> None:
    function = eqx.filter_jit(lambda model, x: jax.vmap(model)(x))
    result = wb.initialize((function, eqx.nn.MLP(8, 3, 16, 2, key=KEY)), normal(32, 8), seed=0)
    assert result.ledger.counts()["filled"] == 6
    assert isinstance(result.model[1], eqx.nn.MLP)


def test_modules_in_a_tree_are_arrays_in_it() -> None:
    keys = jax.random.split(KEY, 5)
    ensemble = eqx.filter_vmap(lambda key: eqx.nn.MLP(8, 3, 16, 1, key=key))(keys)

    def mean(models: Any, x: Any) -> Any:
        return eqx.filter_vmap(lambda one: jax.vmap(one)(x))(models["members"]).mean(0)

    result = wb.initialize((mean, {"members": ensemble}), normal(32, 8), seed=0)
    weight = result.model[1]["members"].layers[0].weight
    assert result.plan["members.layers.0.weight"].role == "hidden"
    assert len(np.unique(np.asarray(weight).reshape(5, -1), axis=0)) == 5
    assert result.health.healthy


def test_a_layer_that_two_share_is_one() -> None:
    class Tied(eqx.Module):
        shared: Any

        def __init__(self) -> None:
            pair = eqx.nn.Embedding(20, 8, key=KEY), eqx.nn.Linear(8, 20, use_bias=False, key=KEY)
            self.shared = eqx.nn.Shared(pair, lambda pair: pair[1].weight, lambda pair: pair[0].weight)

        def __call__(self, ids: Any) -> Any:
            table, readout = self.shared()
            return jax.vmap(readout)(jax.vmap(table)(ids))

    class Twice(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            layer = linen.Dense(8, name="both")
            return linen.Dense(3, name="last")(layer(linen.relu(layer(x))))

    assert [entry.name for entry in wb.plan(Tied(), tokens(4, 5, most=20), seed=0).entries] == [
        "shared.pytree.0.weight"
    ]
    plan = wb.plan(Twice(), (16, 8), recipe="classic", seed=0)
    assert sorted(entry.name for entry in plan.entries) == ["both.bias", "both.weight", "last.bias", "last.weight"]


def test_containers_stay_what_they_are() -> None:
    class Boxed(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            init = linen.with_partitioning(linen.initializers.lecun_normal(), ("in", "out"))
            return linen.Dense(3, name="last")(linen.relu(linen.Dense(16, kernel_init=init, name="first")(x)))

    x, module = normal(32, 8), Boxed()
    variables = module.init(KEY, x)
    found = wb.initialize((module, variables), x, seed=0)
    assert {entry.name for entry in found.plan.entries} == {"first.weight", "first.bias", "last.weight", "last.bias"}
    assert isinstance(found.model[1]["params"]["first"]["kernel"], linen.Partitioned)
    assert isinstance(wb.initialize((module, freeze(variables)), x, seed=0).model[1], FrozenDict)
    function = wb.initialize((module.apply, variables), x, seed=0)
    assert {entry.name for entry in function.plan.entries} == {entry.name for entry in found.plan.entries}
    assert function.model[0] == module.apply
    bound = wb.initialize(module.bind(variables), x, seed=0).model
    assert jax.tree.all(jax.tree.map(np.array_equal, bound.variables, found.model[1]))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_numbers_of_few_bits(dtype: Any) -> None:
    class Narrow(linen.Module):
        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.relu(linen.Dense(16, param_dtype=dtype, dtype=dtype, name="first")(x))
            return linen.Dense(3, param_dtype=dtype, dtype=dtype, name="last")(x)

    result = wb.initialize(Narrow(), normal(32, 8), recipe="classic", seed=0)
    kernel, law = result.model[1]["params"]["first"]["kernel"], result.plan["first.weight"].law
    assert result.health.statistics is not None
    assert kernel.dtype == dtype
    assert law is not None
    expected = wb.fill(law, (16, 8), seed=0, name="first.weight", dtype=jnp.dtype(dtype).name)
    np.testing.assert_array_equal(
        np.asarray(kernel).T.view(f"u{expected.itemsize}"), expected.view(f"u{expected.itemsize}")
    )


def test_double_precision_if_it_is_on() -> None:
    def model(p: Any, x: Any) -> Any:
        return jax.nn.relu(x @ p["first"]["w"]) @ p["last"]["w"]

    with jax.enable_x64(True):
        p = {"first": {"w": jnp.ones((8, 16))}, "last": {"w": jnp.ones((16, 3))}}
        new = wb.initialize((model, p), np.random.default_rng(0).standard_normal((32, 8)), seed=0).model[1]
        assert {array.dtype.name for array in jax.tree.leaves(new)} == {"float64"}
        assert not np.array_equal(new["first"]["w"], new["first"]["w"].astype(np.float32))


# ---------------------------------------------------------------------- what is no model, and where models come from
@pytest.mark.parametrize(
    ("model", "match"),
    [
        (lambda: (lambda p, x: x,), "a JAX model"),
        (lambda: (lambda p, x: x, {}), "a JAX model"),
        (lambda: (lambda p, x: x, {"count": jnp.arange(3)}), "has no parameters"),
        (lambda: {"w": jnp.ones(3)}, "Those are values: give the model that holds them"),
        (lambda: Net, "Call what makes the model"),
        (lambda: (Net(),), "a JAX model"),
        (lambda: (*net(), jnp.ones(3)), r"\(function, tree of arrays\); got 'tuple'"),
        (lambda: (jnp.sin, {"w": jnp.ones(3)}, jnp.ones(3)), r"\(function, tree of arrays\); got 'tuple'"),
        (lambda: [jnp.sin, {"w": jnp.ones(3)}], "a JAX model"),
        (lambda: net()[1], "Those are values"),
    ],
)
def test_wrong_models_get_one_message(model: Any, match: str) -> None:
    with pytest.raises((wb.errors.ArgumentTypeError, wb.errors.ModelError), match=match):
        wb.plan(model(), (4, 8))


def test_nothing_is_loaded_that_a_model_does_not_need() -> None:
    code = """
import sys, jax, jax.numpy as jnp, wellbegun as wb
p = {"first": {"w": jnp.ones((8, 16)), "b": jnp.zeros(16)}}
print(wb.apply((lambda p, x: x @ p["first"]["w"], p), wb.plan((lambda p, x: x @ p["first"]["w"], p), (4, 8))).ledger)
assert not {"flax", "equinox", "haiku", "torch"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


FACTORIES = """
import equinox, haiku, jax, jax.numpy as jnp
from flax import linen
class Net(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(3)(linen.relu(linen.Dense(16)(x)))
net = haiku.transform(lambda x: haiku.Linear(3)(jax.nn.relu(haiku.Linear(16)(x))))
def mlp():
    return equinox.nn.MLP(8, 3, 16, 1, key=jax.random.key(0))
def pair():
    p = {"first": {"w": jnp.zeros((8, 16)), "b": jnp.zeros(16)}, "last": {"w": jnp.zeros((16, 3))}}
    return (lambda p, x: jax.nn.relu(x @ p["first"]["w"] + p["first"]["b"]) @ p["last"]["w"]), p
"""


@pytest.mark.parametrize(
    ("factory", "name"), [("Net", "Dense.0.weight"), ("net", "linear.weight"), ("mlp", "layers.0.weight"), ("pair", "")]
)
def test_the_command_line_takes_factories_of_every_style(factory: str, name: str, tmp_path: Path) -> None:
    from safetensors.numpy import load_file
    from typer.testing import CliRunner

    from wellbegun.cli import app

    (tmp_path / "models.py").write_text(FACTORIES)
    out, page = tmp_path / "weights.safetensors", tmp_path / "report.html"
    asked = ["init", f"{tmp_path}/models.py:{factory}", "--input", "16,8", "--seed", "0", "--out", str(out)]
    found = CliRunner().invoke(app, [*asked, "--html", str(page)])
    assert found.exit_code == 0, found.output
    assert load_file(str(out))[name or "first.weight"].std() > 0
    assert page.stat().st_size > 0


def test_a_parameter_whose_gradient_is_stopped_is_frozen_and_a_signal_is_cut() -> None:
    still, relu = jax.lax.stop_gradient, jax.nn.relu
    widths, names = (16, 16, 16, 4), "abc"
    tree = {name: normal(i, o) * (2 / i) ** 0.5 for name, i, o in zip(names, widths, widths[1:], strict=False)}

    def features(p: Any, x: Any) -> Any:
        return relu(relu(x @ still(p["a"])) @ p["b"]) @ p["c"]

    def cut(p: Any, x: Any) -> Any:
        return relu(still(relu(x @ p["a"])) @ p["b"]) @ p["c"]

    found = wb.check((jax.jit(features), tree), normal(32, 16))
    assert not found.codes
    assert [parameter.name for parameter in found.statistics.parameters if not parameter.trainable] == ["a"]
    assert "W801" in wb.check((cut, tree), normal(32, 16)).codes


@pytest.mark.parametrize("targets", ["none", "labels", "numbers", "coins"])
def test_outputs_that_are_spread_over_a_mesh_are_judged(targets: str) -> None:
    """Of explicit axes, which say in its type where an array is: labels and targets are whole."""
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "d"))
    x, labels = normal(32, 16), np.arange(32) % 4
    y = {"labels": labels, "numbers": normal(32, 4), "coins": np.eye(4)[labels] + np.eye(4)[labels - 1]}.get(targets)

    def build(w: Any, x: Any) -> Any:
        return x @ w["a"]["weight"]

    w = {"a": {"weight": normal(16, 4)}}
    whole = wb.check((build, w), x if y is None else (x, y), seed=0).statistics.loss
    with jax.set_mesh(mesh):
        parts = jax.tree.map(lambda array: jax.device_put(array, spread), w)
        assert jax.typeof(build(parts, x)).sharding.spec[1] == "d"
        found = wb.check((build, parts), x if y is None else (x, y), seed=0).statistics.loss
    assert found is not None
    assert whole is not None
    assert found.value == pytest.approx(whole.value, rel=1e-5)
