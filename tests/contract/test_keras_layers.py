"""Layers and models of Keras that no twin has, in this process, on whichever backend Keras has here."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.backend import find

if importlib.util.find_spec("keras") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

import keras
from keras import layers, ops

from wellbegun.cli import app


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def stack(*parts: layers.Layer) -> keras.Sequential:
    return keras.Sequential([*parts, layers.Dense(3, name="head")])


class Nested(keras.Model):
    """A Functional and a Sequential model in one, and logits in a dict."""

    def __init__(self) -> None:
        super().__init__()
        given = keras.Input((8,))
        self.inner = keras.Model(given, layers.Dense(16, "relu")(given))
        self.tower, self.out = keras.Sequential([layers.Dense(16, "mish"), layers.Dense(16)]), layers.Dense(3)

    def call(self, x: Any, training: bool | None = None) -> Any:
        h = self.inner(x)
        return {"h": h, "logits": self.out(h + self.tower(h))}


class Containers(keras.Model):
    """Variables in a list, a layer in a dict, and another name for the same layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weights_of = [self.add_weight(shape=(8, 8), name=f"w{i}") for i in range(2)]
        self.parts, self.out = {"last": layers.Dense(8)}, layers.Dense(3)

    def call(self, x: Any) -> Any:
        for weight in self.weights_of:
            x = ops.relu(x @ weight)
        return self.out(self.parts["last"](x))


class Variational(keras.Model):
    """A code that is drawn, and a loss that the call adds."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.spread, self.out = layers.Dense(4), layers.Dense(4), layers.Dense(8)
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x: Any) -> Any:
        mean, spread = self.mean(x), self.spread(x)
        self.add_loss(ops.mean(mean**2 + ops.exp(spread) - spread - 1))
        drawn = keras.random.normal(ops.shape(mean), seed=self.seed)
        return self.out(mean + ops.exp(0.5 * spread) * drawn)


def attention() -> keras.Model:
    """Its dropout has Keras compute shares by a layer, which is given the masks."""
    ids = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 8, mask_zero=True)(ids)
    x = x + layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True)
    return keras.Model(ids, layers.Dense(3)(x))


class Values(layers.Layer):
    """What it does depends on values, so symbols cannot pass it."""

    def build(self, shape: Any) -> None:
        self.w = self.add_weight(shape=(8, 8), name="w")

    def call(self, x: Any) -> Any:
        return ops.matmul(x + 1 if bool(ops.any(x > 1e9)) else x, self.w)


MODELS: dict[str, tuple[Callable[[], Any], Any, dict[str, int]]] = {
    "half": (lambda: stack(layers.Dense(16, "relu", dtype="mixed_float16")), normal(32, 8), {"filled": 4}),
    "narrow": (lambda: stack(layers.Dense(16, "relu", dtype="bfloat16")), normal(32, 8), {"filled": 4}),
    "steps": (
        lambda: stack(layers.TimeDistributed(layers.Dense(8, "relu")), layers.GlobalAveragePooling1D()),
        normal(16, 5, 8), {"filled": 4},
    ),
    "cells": (
        lambda: stack(layers.SimpleRNN(8, return_sequences=True), layers.GRU(8, reset_after=False)),
        normal(16, 5, 8), {"filled": 8},
    ),
    "spectral": (lambda: stack(layers.SpectralNormalization(layers.Dense(8))), normal(32, 8), {"filled": 4, "tied": 1}),
    "nested": (Nested, normal(32, 8), {"filled": 8}),
    "in use": (Nested, {"x": normal(32, 8), "training": False}, {"filled": 8}),
    "containers": (Containers, normal(32, 8), {"filled": 6}),
    "variational": (Variational, normal(32, 8), {"filled": 6}),
    "masked": (attention, np.arange(40).reshape(8, 5) % 9, {"filled": 11}),
    "augmented": (
        lambda: stack(layers.Rescaling(2.0), layers.RandomFlip(), layers.Conv2D(4, 3), layers.Flatten()),
        normal(16, 6, 6, 3), {"filled": 4},
    ),
    "a shape": (lambda: stack(layers.Dense(8)), (16, 8), {"filled": 4}),
    "told by itself": (lambda: stack(keras.Input((8,)), layers.Dense(8)), None, {"filled": 4}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_opened(name: str) -> None:
    make, batch, counts = MODELS[name]
    model = make()
    wb.plan(model, batch, seed=0)  # builds it
    held = [np.array(ops.convert_to_numpy(v)) for v in model.non_trainable_variables]
    result = wb.initialize(model, batch, seed=0)
    now = [ops.convert_to_numpy(v) for v in model.non_trainable_variables]
    assert all(map(np.array_equal, held, now))  # statistics, and states of generators
    assert not [note for note in result.plan.notes if "not known" in note]
    assert result.ledger.counts() == {"filled": 0, "kept": 0, "tied": 0} | counts
    assert result.health.healthy
    assert not {entry.role for entry in result.plan.entries} & {"unknown", "unused"}
    assert find(result.model).name == "keras"  # also where it is a module of torch


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="only torch calls it without values")
def test_a_layer_that_stays_whole_is_told() -> None:
    result = wb.initialize(stack(layers.Dense(8, "relu"), Values()), normal(32, 8), seed=0)
    assert result.ledger["values.w"].outcome == "kept"
    assert "'Values'" in result.plan.notes[0]
    assert result.plan["dense.weight"].role == "hidden"


def test_names_do_not_depend_on_what_was_made_before() -> None:
    names = [[entry.name for entry in wb.plan(stack(layers.Dense(8)), (4, 8), seed=0).entries] for _ in range(2)]
    assert names[0] == names[1] == ["dense.weight", "dense.bias", "head.weight", "head.bias"]


def test_faults_are_found_and_corrected_values_are_the_models_own() -> None:
    model = stack(keras.Input((8,)), layers.Dense(16, "relu", kernel_initializer="ones"), layers.Dense(16, "relu"))
    before = model.get_weights()
    health = wb.check(model, normal(64, 8))
    assert "W301" in health.codes
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    result = wb.initialize(model, normal(64, 8) * 4, seed=0)
    assert result.health.healthy
    assert any("measured" in entry.reason for entry in result.plan.entries)
    again = wb.apply(keras.models.clone_model(model), result.plan).model
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


@pytest.mark.parametrize(("units", "end"), [(1, "sigmoid"), (4, "sigmoid"), (4, "softmax")])
def test_losses_of_probabilities_reach_the_weights(units: int, end: str) -> None:
    ends = [layers.Dense(16, "relu", name="first"), layers.Dense(units, end)]  # TensorFlow notes the logits on it
    model = keras.Sequential([keras.Input((8,)), *ends])
    labels = np.random.default_rng(0).integers(0, 2, (32, units)).astype(np.float32)
    targets = labels if end == "sigmoid" else labels[:, 0].astype(np.int64)
    health = wb.initialize(model, (normal(32, 8), targets), seed=0).health
    assert "probabilities" in health.statistics.loss.description
    assert health.healthy, health.codes
    assert next(one.gradient for one in health.statistics.operations if one.parameter == "first.weight")


def test_a_wrong_batch_is_told_in_keras_words_and_nothing_is_changed() -> None:
    model = stack(keras.Input((8,)), layers.Dense(8))
    before, nodes = model.get_weights(), [len(layer._inbound_nodes) for layer in model.layers]
    with pytest.raises(wb.errors.TraceError, match=r"expected shape=\(None, 8\), found shape=\(4, 9\)"):
        wb.initialize(model, normal(4, 9), seed=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert nodes == [len(layer._inbound_nodes) for layer in model.layers]
    with pytest.raises(wb.errors.ArgumentError, match="cannot be told"):
        wb.plan(Containers())
    with pytest.raises(wb.errors.ModelError, match="no parameters"):
        wb.plan(keras.Sequential([layers.Flatten()]), (4, 9))


def test_the_command_line_takes_a_factory(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import keras\n\n\ndef net():\n    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])\n"
    )
    out = tmp_path / "w.safetensors"
    found = CliRunner().invoke(app, ["init", f"{tmp_path / 'net.py'}:net", "--input", "16,8", "--out", str(out)])
    assert found.exit_code == 0, found.output
    from safetensors.numpy import load_file

    assert {name: array.shape for name, array in load_file(out).items()} == {"dense.weight": (8, 3), "dense.bias": (3,)}


def test_an_absent_keras_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "keras" or name.startswith("wellbegun.keras")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(wb.errors.MissingDependencyError, match=r"pip install 'wellbegun\[keras\]'"):
        importlib.import_module("wellbegun.keras")
