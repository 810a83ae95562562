"""The third body: Keras models, on torch and another backend, are planned, filled, measured and checked as their twins.

Each backend runs in a process of its own (`keras_models.py`), and all of it is compared here. The other one is JAX, or
what KERAS_BACKEND names: `scripts/check --keras tensorflow`.
"""

import functools
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import table
import twins
from framework_rows import ABOUT, ABSENT

import wellbegun as wb

pytestmark = pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
HERE = Path(__file__).parent
TWINS = tuple(row for row in ABOUT if (row, "keras") not in ABSENT)
OWN = ("recurrent", "kernels", "named")
CHOSEN = os.environ["KERAS_BACKEND"]
OTHER = "jax" if CHOSEN == "torch" else CHOSEN
CHECKED = {"torch": (*TWINS, *OWN), OTHER: ("mlp", "named")}


def run(backend: str, *arguments: str) -> str:
    """What a script prints, with Keras on one backend."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, cwd=HERE)
    assert not done.returncode, done.stderr[-2000:]
    return done.stdout


@functools.cache
def outcomes(backend: str) -> Any:
    return json.loads(run(backend, "keras_models.py", *CHECKED[backend]))


@functools.cache
def torch_twin(name: str) -> tuple[wb.Plan, Any, Any]:
    model, batch = table.model_of(name, "torch"), table.batch_of(name, "torch")
    plan = wb.plan(model, batch, seed=0)
    return plan, wb.apply(model, plan).model, batch


def same_name(name: str) -> str:
    return name.replace("attention_output", "out")  # what Keras calls it in its attention


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    """Operations have other names in other frameworks."""
    return entry | {"name": same_name(entry["name"]), "reason": re.sub(r"\(\w+\)", "", entry["reason"])}


def told(entry: Any) -> dict[str, Any]:
    layout = entry.layout
    window = "k" * layout.axes.count("k") if layout else ""
    letters = layout and ["".join(sorted(set(layout.axes) - {"k"})) + window, layout.groups, layout.stride]
    found = {"name": entry.name, "role": entry.role, "scheme": entry.scheme, "layout": letters, "reason": entry.reason}
    return plain(json.loads(json.dumps(found)))


@pytest.mark.parametrize("name", TWINS)
def test_plans_and_bits_are_those_of_the_twin_in_torch(name: str) -> None:
    plan, model, _ = torch_twin(name)
    found, parameters = outcomes("torch")[name], dict(model.named_parameters())
    expected = {entry.name: told(entry) for entry in plan.entries}
    planned = {same_name(entry["name"]): plain(entry) for entry in found["plan"]}
    assert planned == expected
    for own, digest in found["bits"].items():
        if own != same_name(own):
            continue  # the name of a stream is part of it
        layout = plan[same_name(own)].layout
        values = parameters[same_name(own)].detach().numpy()
        values = values.transpose(layout.canonical) if layout else values
        assert hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest() == digest, own


@pytest.mark.parametrize("name", [*TWINS, *OWN])
def test_plans_and_bits_are_equal_on_backends(name: str) -> None:
    one, other = (outcomes(backend)[name] for backend in ("torch", OTHER))
    assert one["plan"] == other["plan"]
    assert one["notes"] == other["notes"]
    assert one["bits"] == other["bits"]


@pytest.mark.parametrize("name", [name for name in TWINS if name != "tied"])
def test_health_is_that_of_the_twin_in_torch(name: str) -> None:
    _, model, batch = torch_twin(name)
    health, found = wb.check(model, batch), outcomes("torch")[name]
    assert sorted(health.codes) == found["codes"]
    if name not in twins.TWINS:
        return  # what is sampled of rows, heads and experts depends on the order of axes
    expected = {key: value for key, value in health.scalars().items() if np.isfinite(value)}
    for key in expected.keys() & found["scalars"].keys():
        assert found["scalars"][key] == pytest.approx(expected[key], rel=1e-4, abs=1e-6), key
    measured = [{key for key in each if "(" not in key} for each in (expected, found["scalars"])]
    assert measured[0] == measured[1]


@pytest.mark.parametrize("name", CHECKED[OTHER])
def test_health_is_equal_on_backends(name: str) -> None:
    one, other = (outcomes(backend)[name] for backend in ("torch", OTHER))
    assert one["codes"] == other["codes"]
    assert one["scalars"] == pytest.approx(other["scalars"], rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", [*TWINS, *OWN])
def test_a_check_leaves_no_trace_and_all_is_accounted_for(name: str) -> None:
    found = outcomes("torch")[name]
    assert found["left"]
    assert found["healthy"]
    assert sum(found["counts"].values()) == len(found["plan"])


LABELLED = """
import keras, numpy as np, wellbegun as wb
from keras import layers
rng = np.random.default_rng(0)
x, y = rng.standard_normal((32, 8)).astype("float32"), rng.integers(0, 5, 32)
m = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(5)])
entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
some = np.where(np.arange(32) < 9, -100, y)
for batch, kept, given in (((x, y), slice(None), None), ((x, some), slice(9, None), None),
                           ((x, y), slice(None), lambda output, target: entropy(target, output))):
    found = wb.check(m, batch, loss=given)
    right = float(keras.ops.convert_to_numpy(keras.ops.stop_gradient(entropy(y[kept], m(x[kept])))))
    loss = found.statistics.loss
    assert abs(loss.value - right) < 1e-4 and loss.chance and "the batch's labels" in loss.description, loss
    assert any("inputs are the first 1" in note for note in found.notes)
m.layers[-1].kernel.assign(m.layers[-1].kernel * 300)
assert "W501" in wb.check(m, (x, y)).codes
shares = keras.Sequential([m, layers.Softmax()])
assert "cross-entropy of probabilities" in wb.check(shares, (x, y)).statistics.loss.description
assert "W501" in wb.check(shares, (x, y)).codes
one = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
assert "mean squared error against the batch's targets" == wb.check(one, (x, x[:, :1])).statistics.loss.description
print("fine")
"""
OWN_LOSSES = """
import keras, math, numpy as np, wellbegun as wb
from keras import layers, ops
rng = np.random.default_rng(0)
x, y = rng.standard_normal((32, 8)).astype("float32"), rng.integers(0, 5, 32)
class Own(keras.Model):
    def __init__(self, function):
        super().__init__()
        keras.utils.set_random_seed(0)
        self.first, self.last, self.function = layers.Dense(16, activation="relu"), layers.Dense(5), function
    def call(self, x, labels):
        z = self.last(self.first(x))
        return self.function(-ops.take_along_axis(ops.log_softmax(z), ops.cast(labels[:, None], "int32"), axis=1), z)
mean, stopped = ops.mean, ops.stop_gradient
for function, chance, codes in ((lambda e, z: mean(e), 1, ()), (lambda e, z: e, 1, ()), (lambda e, z: (e, z), 1, ()),
                                (lambda e, z: (mean(e), z), 1, ()), (lambda e, z: e - 9, None, ()),
                                (lambda e, z: {"loss": 2 * mean(e), "logits": z}, 2, ()),
                                (lambda e, z: (stopped(mean(e)), z), 1, ("W201", "W801")),
                                (lambda e, z: (0 * mean(e), z), None, ("W801",))):
    found = wb.check(Own(function), {"x": x, "labels": y})
    loss = found.statistics.loss
    assert "model gives" in loss.description and found.codes == codes, (loss, found.codes)
    assert loss.chance is None if chance is None else abs(loss.chance - chance * math.log(5)) < 1e-4, loss
plain = keras.Sequential([keras.Input((8,)), layers.Dense(5)])
rows = np.eye(5, dtype="float32")[y] * 0.9 + 0.02
for model in (plain, keras.Sequential([plain, layers.Softmax()])):
    loss = wb.check(model, (x, rows)).statistics.loss
    right = float(ops.mean(keras.losses.categorical_crossentropy(rows, plain(x), from_logits=True)))
    assert abs(loss.value - right) < 1e-4 and loss.chance == math.log(5), loss
one = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
assert wb.check(one, (x, y + 40)).codes == ("W902",)
loss = wb.check(one, (x, np.where(np.arange(32) < 9, -100, y % 2))).statistics.loss
right = keras.losses.binary_crossentropy(y[9:, None] % 2, one(x[9:]), from_logits=True)
assert abs(loss.value - float(ops.mean(right))) < 1e-4 and loss.chance == math.log(2), loss
print("fine")
"""


def test_losses_of_the_models_own_and_targets_of_other_kinds_are_judged_as_in_torch() -> None:
    assert run("torch", "-c", OWN_LOSSES) == "fine\n"


def test_labels_beside_the_inputs_make_the_loss() -> None:
    assert run(CHOSEN, "-c", LABELLED) == "fine\n"


def test_layers_that_only_keras_has() -> None:
    entries = {name: {e["name"]: e for e in outcomes(OTHER)[name]["plan"]} for name in OWN}
    recurrent = entries["recurrent"]
    assert recurrent["first.cell.weight"]["layout"][0] == "io"
    assert recurrent["first.cell.bias"]["scheme"] == "zeros()"  # what Keras writes there is nobody's purpose
    assert recurrent["second.backward_layer.cell.recurrent_kernel"]["role"] == "recurrent"
    assert recurrent["norm.weight"]["role"] == "norm_scale"  # though a mask comes in beside the signal
    assert entries["kernels"]["depthwise_conv2d.weight"]["layout"] == ["okk", 8, [1, 1]]
    assert [e["role"] for e in entries["named"].values()] == ["hidden", "bias", "readout", "bias"]


SHARDED = """
import keras, hashlib, numpy
from wellbegun.keras import initializers
own = keras.distribution
digests = [hashlib.sha256(numpy.asarray(initializers.he_normal(seed=3)((32, 64))).tobytes()).hexdigest()]
for shape in ((1,), (2, 2), (8,)):
    devices = own.list_devices()[: int(numpy.prod(shape))]
    places = own.LayoutMap(own.DeviceMesh(shape, ("batch", "model")[-len(shape):], devices=devices))
    places["dense.*kernel"] = (None, "model")
    with own.ModelParallel(layout_map=places).scope():
        layer = keras.layers.Dense(64, kernel_initializer=initializers.he_normal(seed=3), name="dense")
        layer.build((None, 32))
    value = layer.kernel.value
    assert value.addressable_shards[0].data.shape == (32, 64 // shape[-1])
    digests.append(hashlib.sha256(numpy.asarray(value).tobytes()).hexdigest())
assert len(set(digests)) == 1, digests
"""


def test_initializers_fill_shards_with_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    run("jax", "-c", SHARDED)
