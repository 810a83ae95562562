"""Models of the table in Keras, with the same paths; and, run as a script, what becomes of them on one backend.

KERAS_BACKEND is read once in a process, so each backend has a process of its own, which prints JSON.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from written_once import TEXTS, Part, Text, held, normal, signed, tokens

import wellbegun as wb
from wellbegun.backend import find
from wellbegun.keras import initializers

SAME: dict[str, Any] = {"padding": "same"}


def images(*shape: int) -> np.ndarray:
    return normal(*shape).transpose(0, 2, 3, 1)


class MLP(layers.Layer):
    """No model, and an activation that is written out."""

    def __init__(self, sizes: tuple[int, ...] = (32, 32, 5)) -> None:
        super().__init__()
        self.layers = [layers.Dense(size) for size in sizes]

    def call(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x)
            x = x * ops.sigmoid(x)
        return self.layers[-1](x)


def relu() -> keras.Model:
    names = {"first": (64, "relu"), "second": (64, "tanh")}
    stack = [layers.Dense(units, activation, name=name) for name, (units, activation) in names.items()]
    return keras.Sequential([*stack, layers.Dense(5, use_bias=False, name="third")])


class Bare(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.gate = self.made(12, 24), self.made(24, 48)
        self.up, self.down = self.made(24, 48), self.made(48, 24)
        self.gain, self.shift = self.made(24, value="ones"), self.made(24)
        self.leave = layers.Dense(3)

    def made(self, *shape: int, value: str = "zeros") -> Any:
        return self.add_weight(shape=shape, initializer=value)

    def call(self, x: Any, y: Any) -> Any:
        x = ops.concatenate([x, y], 1) @ self.enter + self.shift
        x = x + self.gain * ((ops.silu(x @ self.gate) * (x @ self.up)) @ self.down)
        return self.leave(x)


def conv() -> keras.Model:
    """A Functional model."""
    x = given = keras.Input((12, 12, 3))
    x = layers.Conv2D(16, 3, use_bias=False, name="stem", **SAME)(x)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, name="norm")(x))
    x = layers.ZeroPadding2D(1)(x)  # torch pads both sides where a stride leaves one over
    x = layers.DepthwiseConv2D(3, strides=2, name="depthwise")(x)
    x = layers.GroupNormalization(4, epsilon=1e-5, name="groups")(layers.Conv2D(32, 1, name="wide")(x))
    return keras.Model(given, layers.Dense(5, name="head")(ops.mean(ops.relu(x), (1, 2))))


class Residual(keras.Model):
    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.stem, self.pool = layers.Conv2D(16, 3, **SAME), layers.MaxPooling2D()
        self.first = [layers.Conv2D(16, 3, use_bias=False, **SAME) for _ in range(blocks)]
        self.norms = [layers.BatchNormalization(epsilon=1e-5) for _ in range(blocks)]
        self.second = [layers.Conv2D(16, 3, **SAME) for _ in range(blocks)]
        self.head = layers.Dense(5)

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.pool(self.stem(x))
        for first, norm, second in zip(self.first, self.norms, self.second, strict=True):
            x = x + second(ops.relu(norm(first(x), training=training)))
        return self.head(ops.mean(ops.relu(x), (1, 2)))


class Block(layers.Layer):
    """`fused`: attention as Keras's own function has it, else by products."""

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.before, self.middle = layers.LayerNormalization(epsilon=1e-5), layers.LayerNormalization(epsilon=1e-5)
        self.query, self.key, self.value, self.out = (layers.Dense(width) for _ in range(4))
        self.up, self.down = layers.Dense(4 * width, lambda x: ops.gelu(x, approximate=True)), layers.Dense(width)

    def mixed(self, x: Any) -> Any:
        shape = (*ops.shape(x)[:-1], self.heads, -1)
        q, k, v = (ops.reshape(layer(x), shape) for layer in (self.query, self.key, self.value))
        if self.fused:
            found = ops.dot_product_attention(q, k, v)
        else:
            shares = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5)
            found = ops.einsum("bhqk,bkhd->bqhd", shares, v)
        return self.out(ops.reshape(found, ops.shape(x)))

    def call(self, x: Any) -> Any:
        x = x + self.mixed(self.before(x))
        return x + self.down(self.up(self.middle(x)))


class Transformer(keras.Model):
    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.embed = layers.Embedding(40, 32)
        self.position = self.add_weight(shape=(1, 10, 32), initializer="zeros", name="position")
        self.blocks = [Block(32, 4, fused) for _ in range(2)]
        self.norm, self.readout = layers.LayerNormalization(epsilon=1e-5), layers.Dense(40, use_bias=False)

    def call(self, ids: Any) -> Any:
        x = self.embed(ids) + self.position
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


class Tied(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = layers.Embedding(40, 32), layers.RMSNormalization(epsilon=1e-6)
        self.attention = layers.MultiHeadAttention(4, 8)
        self.last = layers.RMSNormalization(epsilon=1e-6)

    def call(self, ids: Any, scale: Any) -> Any:
        x = self.embed(ids)
        h = self.norm(x)
        x = x + self.attention(h, h) * scale
        return self.last(x) @ ops.transpose(self.embed.embeddings)


class ByHand(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner, self.leave = layers.Dense(32), layers.Dense(32), layers.Dense(5)
        self.gamma = self.add_weight(shape=(32,), initializer="ones")
        self.beta = self.add_weight(shape=(32,), initializer="zeros")
        self.root = self.add_weight(shape=(32,), initializer="ones")

    def call(self, x: Any) -> Any:
        x = self.enter(x)
        x = x + ops.gelu(self.inner(x), approximate=False)
        mean = ops.mean(x, -1, keepdims=True)
        spread = ops.sqrt(ops.mean((x - mean) ** 2, -1, keepdims=True) + 1e-5)
        x = (x - mean) / spread * self.gamma + self.beta
        return self.leave(x * ops.rsqrt(ops.mean(x**2, -1, keepdims=True) + 1e-6) * self.root)


# ---------------------------------------------------------------------- texts
class Keras:
    """What texts compute with."""

    relu, tanh, sigmoid, silu, elu, sin = ops.relu, ops.tanh, ops.sigmoid, ops.silu, ops.elu, ops.sin
    exp, sqrt, rsqrt, einsum, reshape, shape = ops.exp, ops.sqrt, ops.rsqrt, ops.einsum, ops.reshape, ops.shape
    gelu, softmax = ops.gelu, ops.softmax
    gelu_exact = staticmethod(lambda x: ops.gelu(x, approximate=False))
    concat = channels = staticmethod(lambda xs: ops.concatenate(xs, -1))
    mean = staticmethod(lambda x, axis: ops.mean(x, axis, keepdims=True))
    sum = staticmethod(lambda x, axis: ops.sum(x, axis, keepdims=True))
    mean_rows, places = staticmethod(lambda x: ops.mean(x, -2)), staticmethod(lambda x: ops.mean(x, (-3, -2)))
    split = staticmethod(lambda x, count: ops.split(x, count, -1))
    swap, take = staticmethod(lambda x: ops.swapaxes(x, -1, -2)), staticmethod(lambda t, ids: ops.take(t, ids, 0))

    @staticmethod
    def scan(step: Any, count: int, width: int, x: Any) -> Any:
        carry = tuple(ops.zeros((ops.shape(x)[0], width)) for _ in range(count))
        for row in range(x.shape[1]):
            carry = step(carry, x[:, row])
        return carry


def made(model: keras.Model, name: str, part: Part) -> Any:
    options: dict[str, Any] = {"use_bias": part.bias}
    match part.kind:
        case "param":
            return model.add_weight(shape=part.sizes, initializer=lambda *_, **__: held(part), name=name)
        case "dense":
            return layers.Dense(part.sizes[1], **options)
        case "conv" if part.groups > 1:
            return layers.DepthwiseConv2D(part.sizes[2], strides=part.stride, **SAME, **options)
        case "conv":
            return layers.Conv2D(part.sizes[1], part.sizes[2], strides=part.stride, **SAME, **options)
        case "up":
            return layers.Conv2DTranspose(part.sizes[1], part.sizes[2], strides=part.stride, **options)
        case "table":
            return layers.Embedding(*part.sizes)
        case "layer_norm":
            return layers.LayerNormalization(epsilon=1e-5)
        case "group_norm":
            return layers.GroupNormalization(part.groups, epsilon=1e-5)
    return layers.RMSNormalization(epsilon=1e-6)


def written(text: Text) -> keras.Model:
    """A subclassed model that runs a text."""
    call = signed(text, lambda self, *args, **kwargs: text.call(self, Keras, *args, **kwargs))
    model = type("Written", (keras.Model,), {"call": call})()
    for name, part in text.parts.items():
        setattr(model, name, made(model, name, part))
    return model


def turned(text: Text) -> Any:
    """The batch of a text, with channels last."""
    found = text.data()
    return found.transpose(0, 2, 3, 1) if text.images else found


BY_HAND: Mapping[str, tuple[Callable[[], keras.Model], Callable[[], Any]]] = {
    "mlp": (MLP, lambda: normal(64, 12)),
    "relu": (relu, lambda: normal(64, 12)),
    "bare": (Bare, lambda: (normal(64, 6), normal(64, 6) * 2)),
    "conv": (conv, lambda: images(16, 3, 12, 12)),
    "residual": (Residual, lambda: images(16, 3, 12, 12)),
    "transformer": (Transformer, lambda: tokens(16, 10)),
    "fused": (lambda: Transformer(fused=True), lambda: tokens(16, 10)),
    "tied": (Tied, lambda: {"ids": tokens(16, 10), "scale": np.full((16, 1, 1), 0.5, np.float32)}),
    "by hand": (ByHand, lambda: normal(64, 12)),
}  # fmt: skip
TWINS = {n: (partial(written, text), partial(turned, text)) for n, text in TEXTS.items() if n not in BY_HAND} | BY_HAND
"""Those that the table has in torch."""


# ---------------------------------------------------------------------- layers that only Keras has
class Recurrent(keras.Model):
    """A mask, two directions, both kinds of gates."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.first = layers.Embedding(40, 16, mask_zero=True), layers.LSTM(12, return_sequences=True)
        self.second, self.head = layers.Bidirectional(layers.GRU(8)), layers.Dense(3)
        self.norm = layers.BatchNormalization()

    def call(self, ids: Any, training: bool | None = None) -> Any:
        return self.head(self.second(self.norm(self.first(self.embed(ids)), training=training)))


def kernels() -> keras.Model:
    """Convolutions of every kind, and a dropout."""
    return keras.Sequential([
        keras.Input((12, 12, 3)), layers.Conv2D(8, 3, activation="relu"),
        layers.Conv2D(8, 3, padding="same", groups=2, activation="relu"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"), layers.SeparableConv2D(12, 3),
        layers.LeakyReLU(negative_slope=0.2), layers.Dropout(0.1),
        layers.Conv2DTranspose(8, 3, strides=2, activation="elu"), layers.GlobalAveragePooling2D(), layers.Dense(5),
    ])  # fmt: skip


def named() -> keras.Model:
    """Inputs in a dict, and a layer that is used twice."""
    one, other, shared = keras.Input((6,), name="one"), keras.Input((6,), name="other"), layers.Dense(16, "gelu")
    both = layers.Concatenate()([shared(one), shared(other)])
    return keras.Model({"one": one, "other": other}, layers.EinsumDense("ab,bc->ac", (3,), bias_axes="c")(both))


OWN: Mapping[str, tuple[Callable[[], keras.Model], Callable[[], Any]]] = {
    "recurrent": (Recurrent, lambda: tokens(16, 8, most=39) + 1),
    "kernels": (kernels, lambda: images(16, 3, 12, 12)),
    "named": (named, lambda: {"one": normal(64, 6), "other": normal(64, 6) * 2}),
}


# ---------------------------------------------------------------------- what becomes of them
def told(entry: Any) -> dict[str, Any]:
    """What is the same in every framework: letters without their order."""
    layout = entry.layout
    window = "k" * layout.axes.count("k") if layout else ""
    letters = layout and ["".join(sorted(set(layout.axes) - {"k"})) + window, layout.groups, layout.stride]
    return {"name": entry.name, "role": entry.role, "scheme": entry.scheme, "layout": letters, "reason": entry.reason}


def bits(model: Any, plan: Any) -> dict[str, str]:
    """A digest of each parameter, with its axes in canonical order."""
    found = {}
    targets = find(model).targets(model)
    for entry in plan.entries:
        values = np.asarray(values_of(model, entry.name, targets))
        order = entry.layout.canonical if entry.layout else range(values.ndim)
        found[entry.name] = hashlib.sha256(np.ascontiguousarray(values.transpose(tuple(order))).tobytes()).hexdigest()
    return found


def values_of(model: Any, name: str, targets: Any) -> Any:
    from wellbegun.keras.layers import slots_of

    return next(slot.variable for slot in slots_of(model) if slot.name == name).numpy()


def state(model: keras.Model) -> str:
    held = [np.asarray(ops.convert_to_numpy(v)).tobytes() for v in model.variables]
    nodes = [len(layer._inbound_nodes) + len(layer._outbound_nodes) for layer in model._flatten_layers()]
    return hashlib.sha256(b"".join(held) + repr((nodes, keras.utils.get_custom_objects())).encode()).hexdigest()


def named_so_far() -> int:
    return int(layers.Add().name.rpartition("_")[2].replace("add", "0"))


def outcome(make: Callable[[], keras.Model], batch: Any, *, checked: bool) -> dict[str, Any]:
    """Plan, bits, and where it is to be checked what a check says and leaves."""
    keras.utils.set_random_seed(0)
    model = make()
    plan = wb.plan(model, batch, seed=0)
    model = wb.apply(model, plan).model
    known = {"plan": [told(entry) for entry in plan.entries], "notes": list(plan.notes), "bits": bits(model, plan)}
    if not checked:
        return known
    before, count = state(model), named_so_far()
    health = wb.check(model, batch)
    left = state(model) == before and named_so_far() == count + 1
    result = wb.initialize(model, batch, seed=0)
    return known | {
        "left": left, "counts": dict(result.ledger.counts()), "healthy": result.health.healthy,
        "codes": sorted(health.codes), "scalars": {k: v for k, v in health.scalars().items() if np.isfinite(v)},
    }  # fmt: skip


def drawn_on_the_host() -> None:
    """Keras's own draws are compiled for each shape, which takes JAX longer than all that is tested."""
    for name in ("VarianceScaling", "RandomUniform", "Orthogonal"):
        own = getattr(initializers, name)
        theirs = getattr(keras.initializers, name)
        for method in ("_values", "_letters"):
            setattr(theirs, method, getattr(own, method))
        theirs._scheme, theirs.layout, theirs.name = own._scheme, None, ""
        theirs.__call__ = lambda self, shape, dtype=None: self._values(shape, dtype or "float32")


if __name__ == "__main__":
    drawn_on_the_host()
    everything = {**TWINS, **OWN}
    print(json.dumps({n: outcome(make, data(), checked=n in sys.argv[1:]) for n, (make, data) in everything.items()}))
