"""Initializers and fresh values for Keras, in this process, on whichever backend Keras has here."""

import importlib.util
from typing import Any

import numpy as np
import pytest

import wellbegun as wb

if importlib.util.find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

import keras
from keras import layers

from wellbegun.errors import UnknownNameError
from wellbegun.keras import initializers, reset

RANDOM = ("VarianceScaling", "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform",
          "RandomNormal", "TruncatedNormal", "RandomUniform", "Orthogonal")  # fmt: skip


def host(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize("name", RANDOM)
def test_the_law_is_that_of_keras(name: str) -> None:
    ours, theirs = getattr(initializers, name)(seed=3), getattr(keras.initializers, name)(seed=3)
    one, other = host(ours((96, 64))), host(theirs((96, 64)))
    assert one.shape == other.shape
    assert one.std() == pytest.approx(other.std(), rel=0.03)
    assert np.abs(one).max() == pytest.approx(np.abs(other).max(), rel=0.35)
    assert isinstance(ours, getattr(keras.initializers, name))  # layers that look for Keras's classes find them


@pytest.mark.parametrize("name", RANDOM)
def test_configs_make_the_same_again(name: str) -> None:
    layout = wb.Layout("kkio", groups=2)
    one = getattr(initializers, name)(seed=3, layout=layout, name="w")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert type(again) is type(one)
    assert again.layout == layout
    assert np.array_equal(host(one((3, 3, 8, 16))), host(again((3, 3, 8, 16))))
    assert not np.array_equal(host(one((3, 3, 8, 16))), host(getattr(initializers, name)(seed=3)((3, 3, 8, 16))))


def test_values_are_those_of_the_scheme() -> None:
    expected = wb.he_uniform()((48, 32), seed=7, name="first.weight", layout="io")
    found = initializers.he_uniform(seed=7, name="first.weight")((48, 32))
    assert np.array_equal(host(found), expected)
    mirrored = initializers.FromScheme("mirrored(orthogonal())", seed=7)((48, 32))
    assert np.array_equal(host(mirrored), wb.mirrored(wb.orthogonal())((48, 32), seed=7, layout="io"))
    own = initializers.delta_orthogonal(seed=7)((3, 3, 8, 16))
    assert np.array_equal(host(own), wb.delta_orthogonal()((3, 3, 8, 16), seed=7, layout="kkio"))


@pytest.mark.parametrize(
    ("shape", "layout", "fan"),
    [
        ((8, 64, 32), "eio", 64),
        ((3, 3, 16, 64), wb.Layout("kkoi", transposed=True, stride=1), 9 * 64),
        ((5, 5, 64, 4), wb.Layout("kkoo", groups=64), 25),
        ((48, 4, 16), "ioo", 48),
    ],
)
def test_axes_are_what_the_layout_says(shape: tuple[int, ...], layout: Any, fan: int) -> None:
    found = host(initializers.LecunNormal(seed=1, layout=layout)(shape))
    assert found.std() == pytest.approx(fan**-0.5, rel=0.05)
    assert host(keras.initializers.LecunNormal(seed=1)(shape)).std() != pytest.approx(fan**-0.5, rel=0.2)


def test_layers_take_them_and_einsum_reads_its_axes() -> None:
    layer = layers.MultiHeadAttention(4, 8, kernel_initializer=initializers.LecunNormal(seed=1))
    layer.build((None, 10, 48), (None, 10, 48))
    assert host(layer.query_dense.kernel.value).std() == pytest.approx(48**-0.5, rel=0.1)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, kernel_initializer=initializers.get("sparse(sparsity=0.5)"))]
    )
    again = keras.Sequential.from_config(model.get_config())
    assert type(again.layers[0].kernel_initializer).__name__ == "FromScheme"


def test_seeds() -> None:
    unseeded = initializers.GlorotNormal()
    assert np.array_equal(host(unseeded((4, 4))), host(unseeded((4, 4))))
    assert not np.array_equal(host(unseeded((4, 4))), host(initializers.GlorotNormal()((4, 4))))
    generated = initializers.GlorotNormal(seed=keras.random.SeedGenerator(1))
    assert not np.array_equal(host(generated((4, 4))), host(generated((4, 4))))
    with pytest.raises(UnknownNameError, match="got 'he_norml'. Did you mean 'he_normal'"):
        initializers.get("he_norml")


# ---------------------------------------------------------------------- fresh values
class Model(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = layers.Embedding(20, 8), layers.MultiHeadAttention(2, 4, dropout=0.1)
        self.norm, self.cell = layers.BatchNormalization(), layers.LSTM(6)
        self.heads = [layers.Dense(3, kernel_initializer=initializers.FromScheme("he_normal()", seed=5))]

    def call(self, ids: Any, training: bool | None = None) -> Any:
        x = self.embed(ids)
        x = self.norm(self.attention(x, x, training=training), training=training)
        return self.heads[0](self.cell(x))


def test_reset_gives_every_variable_a_fresh_value() -> None:
    assert wb.keras.reset is reset
    model, ids = Model(), np.arange(24, dtype=np.int32).reshape(4, 6) % 20
    model.compile(optimizer="adam", loss="mse")
    model(ids)
    first = reset(model, seed=1).get_weights()
    model.fit(ids, np.ones((4, 3), np.float32), verbose=0)
    assert model.optimizer.iterations.numpy() > 0
    second = reset(model, seed=1).get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert model.optimizer.iterations.numpy() == 0
    third = dict(zip([v.path for v in model.weights], reset(model, seed=2).get_weights(), strict=True))
    changed = {
        path.rpartition("/")[2] for (path, new), old in zip(third.items(), first, strict=True) if (new != old).any()
    }
    assert changed >= {"embeddings", "kernel", "recurrent_kernel"}
    assert not changed & {"bias", "gamma", "moving_mean", "beta"}
    kernels = [values for path, values in third.items() if path.endswith(("query/kernel", "key/kernel"))]
    assert not np.array_equal(*kernels)  # each has a stream of its own


def test_reset_knows_what_was_frozen_since() -> None:
    model, x = keras.Sequential([keras.Input((8,)), layers.Dense(8), layers.Dense(3)]), np.ones((4, 8), np.float32)
    model.compile(optimizer="adam", loss="mse")
    model.fit(x, np.ones((4, 3), np.float32), verbose=0)
    model.layers[0].trainable = False
    first, second = (reset(model, seed=seed).get_weights() for seed in (1, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert model.optimizer.iterations.numpy() == 0


def test_what_reset_cannot_do_is_told_and_nothing_is_changed() -> None:
    class Own(layers.Layer):
        def __init__(self, inner: layers.Layer) -> None:
            super().__init__()
            self.inner = inner

        def build(self, shape: Any) -> None:
            self.gain = self.add_weight(shape=(shape[-1],), initializer="ones")

        def call(self, x: Any) -> Any:
            return self.inner(x) * self.gain

    model = keras.Sequential([keras.Input((4,)), layers.Dense(4), Own(layers.Dense(4))])
    before = model.get_weights()
    with pytest.raises(wb.errors.ArgumentError, match="own"):
        reset(model, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(wb.errors.ArgumentTypeError, match=r"keras\.Model"):
        reset(np.ones(3))
    with pytest.raises(wb.errors.ArgumentError, match="built"):
        reset(keras.Sequential([layers.Dense(4)]))
