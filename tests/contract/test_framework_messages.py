"""What JAX and Keras cannot do is one clear message, and what they can is done."""

from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import linen

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError, TraceError

TREE = {"a": jnp.ones((6, 8)), "b": jnp.ones((8, 3))}
X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def predict(tree: Any, x: Any) -> Any:
    return jnp.tanh(x @ tree["a"]) @ tree["b"]


def test_a_check_within_jit_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"holds no values to measure\. Call this outside of jax\.jit"):
        jax.jit(lambda tree: wb.check((predict, tree), X).healthy)(TREE)


def test_a_batch_within_jit_is_told() -> None:
    with pytest.raises(ArgumentError, match=r"the batch holds no values to measure\. Call this outside of jax\.jit"):
        jax.jit(lambda x: wb.check((predict, TREE), x).healthy)(X)


def test_a_path_that_depends_on_values_is_told_the_remedy() -> None:
    with pytest.raises(TraceError, match=r"boolean conversion.* is written with jnp\.where or jax\.lax\.cond"):
        wb.plan((lambda tree, x: predict(tree, x) if x.sum() > 0 else x @ tree["a"], TREE), X)


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of Keras's own kind."""

    def __getitem__(self, _: int) -> Any:
        return X, np.zeros(4)


class Elements:
    """What tf.data.Dataset has."""

    element_spec = None

    def __iter__(self) -> Any:
        return iter([X])


class Subclassed(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Its input has a name of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = keras.layers.Dense(3)
        self.layer.build((None, 6))

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.layer(x["a"])


MODELS = {"torch": torch.nn.Linear(6, 3), "jax": (predict, TREE), "keras": Subclassed()}
LOADERS = (Batches(), Elements())
SAID: list[tuple[str, Any, str]] = [
    *((name, batch, r"must be one batch; got .*next\(iter\(loader\)\)") for name in MODELS for batch in LOADERS),
    *((name, X.tolist(), "without an array among its inputs: .*Give arrays") for name in MODELS),
    ("keras", {"inputs": X, "training": True}, "Of the batch, the model takes training; left out: inputs"),
    ("keras", {"x": {"b": X}}, r"on inputs of shape \(4, 6\): KeyError: 'a'\. Check"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "batch", "match"), SAID)
def test_what_is_no_batch_of_a_model_is_told(model: str, batch: Any, match: str) -> None:
    with pytest.raises((ArgumentTypeError, TraceError), match=match):
        wb.plan(MODELS[model], batch)


def test_a_module_without_variables_is_told_the_remedy() -> None:
    with pytest.raises(ArgumentError, match=r"Give it with its variables, as \(module, module\.init\(key, batch\)\)"):
        wb.check(linen.Dense(3), X)


def test_a_race_of_a_module_without_variables_is_told_the_remedy() -> None:
    data, module = (np.repeat(X, 8, 0), np.arange(32) % 3), linen.Dense(3)
    options: dict[str, Any] = {"rates": [0.01], "seeds": [0], "steps": 2, "jobs": 1, "progress": False}
    with pytest.raises(ArgumentTypeError, match=r"Give lambda seed: \(module, module\.init\(jax\.random\.key"):
        wb.race({"made": None}, lambda: module, data, **options)
    build = lambda seed: (module, module.init(jax.random.key(seed), X))  # noqa: E731
    assert not wb.race({"made": None}, build, data, **options).trials[0].error


def test_keys_of_several_types_are_told() -> None:
    with pytest.raises(ModelError, match="keys of one type"):
        wb.plan((lambda tree, x: x @ tree[0] @ tree["b"], {0: TREE["a"], "b": TREE["b"]}), X)


def test_a_dict_is_the_batch_of_a_function_that_takes_one() -> None:
    def whole(tree: Any, batch: Any) -> Any:
        return predict(tree, batch["x"])

    def named(tree: Any, x: Any) -> Any:
        return predict(tree, x)

    schemes = [[e.scheme for e in wb.plan((f, TREE), {"x": X}, seed=0).entries] for f in (whole, named)]
    assert schemes[0] == schemes[1]
    assert wb.initialize((whole, TREE), {"x": X}, seed=0).health.healthy


def test_a_sequential_without_a_shape_is_told() -> None:
    with pytest.raises(ArgumentError, match="the input of Sequential cannot be told"):
        wb.plan(keras.Sequential([keras.layers.Dense(3)]))


def drawn(shape: Any, dtype: Any = None) -> Any:
    return keras.random.normal(shape, dtype=dtype)


def test_reset_decides_what_functions_draw_from_the_generator_of_keras() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, kernel_initializer=drawn)])
    keras.utils.set_random_seed(3)
    wanted = keras.ops.convert_to_numpy(keras.random.normal((4,)))
    first, again, other = (np.array(wb.reset(model, seed=seed).get_weights()[0]) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).all()
    keras.utils.set_random_seed(3)
    wb.reset(model, seed=1)
    assert (keras.ops.convert_to_numpy(keras.random.normal((4,))) == wanted).all(), "its generator is where it was"


def test_groups_of_a_convolution_in_one_dimension_are_planned() -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((8, 6)), layers.Conv1D(8, 3, groups=2, activation="relu"), layers.Dense(3)])
    before = type(model.layers[0]).call
    entry = wb.plan(model, (4, 8, 6), recipe="classic", seed=0).entries[0]
    assert (entry.role, entry.scheme) == ("hidden", "he_normal()")
    assert entry.layout is not None
    assert (entry.layout.axes, entry.layout.groups) == ("kio", 2)
    assert "call" not in vars(model.layers[0])
    assert type(model.layers[0]).call is before


def test_narrow_numbers_are_compared() -> None:
    narrow = {"a": jnp.full((6, 8), 1.5, jnp.float8_e4m3fn), "b": TREE["b"]}
    assert wb.compare_models((predict, narrow), (predict, narrow)).same

    class Narrow(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.a = torch.nn.Parameter(torch.full((3,), value).to(torch.float8_e4m3fn), requires_grad=False)

    assert wb.compare_models(Narrow(1.5), Narrow(1.5)).same
    assert not wb.compare_models(Narrow(1.5), Narrow(1.75)).same
