"""Models of `twins` written in the other styles of JAX, with the same module paths: the same plan and bits result.

A style's model is made with arrays of its own framework; what is passed to wellbegun is what its users hold.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
from flax import linen
from frameworks import variables
from twins import TWINS

KEY = jax.random.key(0)
Make = Callable[[Any], Any]  # of a batch, as the style takes it: what wellbegun is given


def bound(module: linen.Module) -> Make:
    return lambda batch: (module, variables(module.init, batch))


def haiku(function: Callable[..., Any]) -> Make:
    made = hk.transform_with_state(function)
    return lambda batch: (made, *variables(made.init, batch))


def normed(x: Any, p: Any, axes: Any, epsilon: float = 1e-5) -> Any:
    """A normalization by hand."""
    mean = x.mean(axes, keepdims=True)
    variance = jnp.square(x - mean).mean(axes, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + epsilon) * p["scale"] + p["bias"]


def drawn(*shape: int) -> Any:
    return jax.random.normal(KEY, shape) / math.prod(shape[:-1]) ** 0.5


def dense(i: int, o: int) -> dict[str, Any]:
    return {"w": drawn(i, o), "b": jnp.zeros(o)}


def scales(n: int) -> dict[str, Any]:
    return {"scale": jnp.ones(n), "bias": jnp.zeros(n)}


def linear(p: Any, x: Any) -> Any:
    return x @ p["w"] + p["b"]


# ---------------------------------------------------------------------- dense layers
class LinenMLP(linen.Module):
    def setup(self) -> None:
        self.layers = [linen.Dense(32), linen.Dense(32), linen.Dense(5)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x)
            x = x * jax.nn.sigmoid(x)
        return self.layers[-1](x)


def haiku_mlp(x: Any) -> Any:
    for place, width in enumerate((32, 32)):
        x = hk.Linear(width, name=f"layers_{place}")(x)
        x = x * jax.nn.sigmoid(x)
    return hk.Linear(5, name="layers_2")(x)


class EqxMLP(eqx.Module):
    layers: list[Any]

    def __init__(self) -> None:
        self.layers = [eqx.nn.Linear(12, 32, key=KEY), eqx.nn.Linear(32, 32, key=KEY), eqx.nn.Linear(32, 5, key=KEY)]

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x)
            x = x * jax.nn.sigmoid(x)
        return self.layers[-1](x)


def plain_mlp(p: Any, x: Any) -> Any:
    for layer in p["layers"][:-1]:
        x = linear(layer, x)
        x = x * jax.nn.sigmoid(x)
    return linear(p["layers"][-1], x)


# ---------------------------------------------------------------------- convolutions
class LinenConv(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.Conv(16, (3, 3), padding=1, use_bias=False, name="stem")(x)
        x = linen.relu(linen.BatchNorm(use_running_average=False, epsilon=1e-5, name="norm")(x))
        x = linen.Conv(16, (3, 3), strides=2, padding=1, feature_group_count=16, name="depthwise")(x)
        x = linen.Conv(32, (1, 1), name="wide")(x)
        x = linen.relu(linen.GroupNorm(4, epsilon=1e-5, name="groups")(x))
        return linen.Dense(5, name="head")(x.mean((1, 2)))


def haiku_conv(x: Any) -> Any:
    one = ((1, 1), (1, 1))
    x = hk.Conv2D(16, 3, padding=one, with_bias=False, name="stem")(x)
    x = jax.nn.relu(hk.BatchNorm(True, True, 0.9, eps=1e-5, name="norm")(x, is_training=True))
    x = hk.Conv2D(16, 3, stride=2, padding=one, feature_group_count=16, name="depthwise")(x)
    x = hk.Conv2D(32, 1, name="wide")(x)
    x = jax.nn.relu(hk.GroupNorm(4, eps=1e-5, name="groups")(x))
    return hk.Linear(5, name="head")(x.mean((1, 2)))


class EqxConv(eqx.Module):
    stem: Any
    norm: Any
    depthwise: Any
    wide: Any
    groups: Any
    head: Any

    def __init__(self) -> None:
        self.stem = eqx.nn.Conv2d(3, 16, 3, padding=1, use_bias=False, key=KEY)
        self.norm = eqx.nn.BatchNorm(16, "batch", mode="batch")
        self.depthwise = eqx.nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, key=KEY)
        self.wide, self.groups = eqx.nn.Conv2d(16, 32, 1, key=KEY), eqx.nn.GroupNorm(4, 32)
        self.head = eqx.nn.Linear(32, 5, key=KEY)

    def __call__(self, x: Any, state: Any) -> Any:
        x, state = self.norm(self.stem(x), state)
        x = jax.nn.relu(self.groups(self.wide(self.depthwise(jax.nn.relu(x)))))
        return self.head(x.mean((1, 2))), state


def conv(p: Any, x: Any, **options: Any) -> Any:
    found = jax.lax.conv_general_dilated(
        x, p["w"], **{"window_strides": (1, 1), "padding": "SAME", **options},
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip
    return found + p["b"] if "b" in p else found


def plain_conv(p: Any, x: Any) -> Any:
    x = jax.nn.relu(normed(conv(p["stem"], x), p["norm"], (0, 1, 2)))
    one = [(1, 1), (1, 1)]
    x = conv(p["depthwise"], x, window_strides=(2, 2), padding=one, feature_group_count=16)
    x = conv(p["wide"], x)
    grouped = x.reshape(*x.shape[:-1], 4, -1)
    shaped = {name: part.reshape(4, -1) for name, part in p["groups"].items()}
    x = jax.nn.relu(normed(grouped, shaped, (1, 2, 4)).reshape(x.shape))
    return linear(p["head"], x.mean((1, 2)))


def conv_tree() -> Any:
    return {
        "stem": {"w": drawn(3, 3, 3, 16)}, "norm": scales(16),
        "depthwise": {"w": drawn(3, 3, 1, 16), "b": jnp.zeros(16)},
        "wide": {"w": drawn(1, 1, 16, 32), "b": jnp.zeros(32)}, "groups": scales(32), "head": dense(32, 5),
    }  # fmt: skip


# ---------------------------------------------------------------------- residual convolutions
def pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


class LinenResidual(linen.Module):
    def setup(self) -> None:
        def conv(use_bias: bool = True) -> linen.Conv:
            return linen.Conv(16, (3, 3), padding=1, use_bias=use_bias)

        self.stem, self.first, self.second = conv(), [conv(False), conv(False)], [conv(), conv()]
        self.norms = [linen.BatchNorm(use_running_average=False, epsilon=1e-5) for _ in range(2)]
        self.head = linen.Dense(5)

    def __call__(self, x: Any) -> Any:
        x = linen.max_pool(self.stem(x), (2, 2), strides=(2, 2))
        for first, norm, second in zip(self.first, self.norms, self.second, strict=True):
            x = x + second(linen.relu(norm(first(x))))
        return self.head(linen.relu(x).mean((1, 2)))


def haiku_residual(x: Any) -> Any:
    def conv(name: str, with_bias: bool = True) -> Any:
        return hk.Conv2D(16, 3, padding=((1, 1), (1, 1)), with_bias=with_bias, name=name)

    x = hk.max_pool(conv("stem")(x), (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    for place in range(2):
        norm = hk.BatchNorm(True, True, 0.9, eps=1e-5, name=f"norms_{place}")
        h = norm(conv(f"first_{place}", False)(x), is_training=True)
        x = x + conv(f"second_{place}")(jax.nn.relu(h))
    return hk.Linear(5, name="head")(jax.nn.relu(x).mean((1, 2)))


class EqxResidual(eqx.Module):
    stem: Any
    first: list[Any]
    norms: list[Any]
    second: list[Any]
    head: Any

    def __init__(self) -> None:
        def conv(inputs: int, use_bias: bool = True) -> eqx.nn.Conv2d:
            return eqx.nn.Conv2d(inputs, 16, 3, padding=1, use_bias=use_bias, key=KEY)

        self.stem, self.first, self.second = conv(3), [conv(16, False) for _ in range(2)], [conv(16), conv(16)]
        self.norms = [eqx.nn.BatchNorm(16, "batch", mode="batch") for _ in range(2)]
        self.head = eqx.nn.Linear(16, 5, key=KEY)

    def __call__(self, x: Any, state: Any) -> Any:
        x = eqx.nn.MaxPool2d(2, 2)(self.stem(x))
        for first, norm, second in zip(self.first, self.norms, self.second, strict=True):
            h, state = norm(first(x), state)
            x = x + second(jax.nn.relu(h))
        return self.head(jax.nn.relu(x).mean((1, 2))), state


def plain_residual(p: Any, x: Any) -> Any:
    x = pooled(conv(p["stem"], x))
    for first, norm, second in zip(p["first"], p["norms"], p["second"], strict=True):
        x = x + conv(second, jax.nn.relu(normed(conv(first, x), norm, (0, 1, 2))))
    return linear(p["head"], jax.nn.relu(x).mean((1, 2)))


def residual_tree() -> Any:
    def conv(inputs: int) -> dict[str, Any]:
        return {"w": drawn(3, 3, inputs, 16), "b": jnp.zeros(16)}

    bare = [{"w": drawn(3, 3, 16, 16)} for _ in range(2)]
    both = {"first": bare, "norms": [scales(16), scales(16)], "second": [conv(16), conv(16)]}
    return {"stem": conv(3), **both, "head": dense(16, 5)}


# ---------------------------------------------------------------------- transformers
def mixed(q: Any, k: Any, v: Any, fused: bool = False) -> Any:
    """Attention of four heads; axes before the last two may be samples. `fused`: by JAX's own function."""
    q, k, v = (x.reshape(*x.shape[:-1], 4, -1) for x in (q, k, v))
    if fused:
        found = jax.nn.dot_product_attention(q, k, v)
        return found.reshape(*found.shape[:-2], -1)
    weights = jax.nn.softmax(jnp.einsum("...qhd,...khd->...hqk", q, k) / q.shape[-1] ** 0.5)
    found = jnp.einsum("...hqk,...khd->...qhd", weights, v)
    return found.reshape(*found.shape[:-2], -1)


class LinenBlock(linen.Module):
    fused: bool = False

    @linen.compact
    def __call__(self, x: Any) -> Any:
        h = linen.LayerNorm(epsilon=1e-5, name="before")(x)
        h = mixed(*(linen.Dense(32, name=name)(h) for name in ("query", "key", "value")), self.fused)
        x = x + linen.Dense(32, name="out")(h)
        h = linen.Dense(128, name="up")(linen.LayerNorm(epsilon=1e-5, name="middle")(x))
        return x + linen.Dense(32, name="down")(jax.nn.gelu(h))


class LinenTransformer(linen.Module):
    fused: bool = False

    def setup(self) -> None:
        self.embed = linen.Embed(40, 32)
        self.position = self.param("position", linen.initializers.zeros, (1, 10, 32))
        self.blocks = [LinenBlock(self.fused) for _ in range(2)]
        self.norm, self.readout = linen.LayerNorm(epsilon=1e-5), linen.Dense(40, use_bias=False)

    def __call__(self, ids: Any) -> Any:
        x = self.embed(ids) + self.position
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


class LinenTied(linen.Module):
    def setup(self) -> None:
        self.embed, self.norm = linen.Embed(40, 32), linen.RMSNorm(epsilon=1e-6)
        self.attention, self.last = linen.MultiHeadDotProductAttention(4), linen.RMSNorm(epsilon=1e-6)

    def __call__(self, ids: Any, scale: Any) -> Any:
        x = self.embed(ids)
        x = x + self.attention(self.norm(x)) * scale
        return self.embed.attend(self.last(x))


class HaikuBlock(hk.Module):
    def __call__(self, x: Any, fused: bool) -> Any:
        h = hk.LayerNorm(-1, True, True, name="before")(x)
        h = mixed(*(hk.Linear(32, name=name)(h) for name in ("query", "key", "value")), fused)
        x = x + hk.Linear(32, name="out")(h)
        h = hk.Linear(128, name="up")(hk.LayerNorm(-1, True, True, name="middle")(x))
        return x + hk.Linear(32, name="down")(jax.nn.gelu(h))


def haiku_transformer(ids: Any, fused: bool = False) -> Any:
    x = hk.Embed(40, 32, name="embed")(ids) + hk.get_parameter("position", (1, 10, 32), init=jnp.zeros)
    for place in range(2):
        x = HaikuBlock(name=f"blocks_{place}")(x, fused)
    return hk.Linear(40, with_bias=False, name="readout")(hk.LayerNorm(-1, True, True, name="norm")(x))


class EqxBlock(eqx.Module):
    before: Any
    middle: Any
    query: Any
    key: Any
    value: Any
    out: Any
    up: Any
    down: Any
    fused: bool = eqx.field(static=True)

    def __init__(self, fused: bool) -> None:
        self.fused = fused
        self.before, self.middle = eqx.nn.LayerNorm(32), eqx.nn.LayerNorm(32)
        self.query, self.key, self.value, self.out = (eqx.nn.Linear(32, 32, key=KEY) for _ in range(4))
        self.up, self.down = eqx.nn.Linear(32, 128, key=KEY), eqx.nn.Linear(128, 32, key=KEY)

    def __call__(self, x: Any) -> Any:
        h = jax.vmap(self.before)(x)
        h = mixed(*(jax.vmap(layer)(h) for layer in (self.query, self.key, self.value)), self.fused)
        x = x + jax.vmap(self.out)(h)
        h = jax.vmap(self.up)(jax.vmap(self.middle)(x))
        return x + jax.vmap(self.down)(jax.nn.gelu(h))


class EqxTransformer(eqx.Module):
    embed: Any
    position: Any
    blocks: list[Any]
    norm: Any
    readout: Any

    def __init__(self, fused: bool = False) -> None:
        self.embed, self.position = eqx.nn.Embedding(40, 32, key=KEY), jnp.zeros((1, 10, 32))
        self.blocks = [EqxBlock(fused) for _ in range(2)]
        self.norm, self.readout = eqx.nn.LayerNorm(32), eqx.nn.Linear(32, 40, use_bias=False, key=KEY)

    def __call__(self, ids: Any) -> Any:
        x = jax.vmap(self.embed)(ids) + self.position[0]
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.readout)(jax.vmap(self.norm)(x))


def plain_transformer(p: Any, ids: Any, fused: bool = False) -> Any:
    x = p["embed"]["embedding"][ids] + p["position"]
    for block in p["blocks"]:
        h = normed(x, block["before"], -1)
        x = x + linear(block["out"], mixed(*(linear(block[name], h) for name in ("query", "key", "value")), fused))
        x = x + linear(block["down"], jax.nn.gelu(linear(block["up"], normed(x, block["middle"], -1))))
    return normed(x, p["norm"], -1) @ p["readout"]["w"]


def transformer_tree() -> Any:
    def block() -> dict[str, Any]:
        four = {name: dense(32, 32) for name in ("query", "key", "value", "out")}
        return {"before": scales(32), "middle": scales(32), **four, "up": dense(32, 128), "down": dense(128, 32)}

    return {
        "embed": {"embedding": drawn(40, 32)}, "position": jnp.zeros((1, 10, 32)),
        "blocks": [block(), block()], "norm": scales(32), "readout": {"w": drawn(32, 40)},
    }  # fmt: skip


# ---------------------------------------------------------------------- the table
STYLES: Mapping[str, Mapping[str, Make]] = {
    "linen": {
        "mlp": bound(LinenMLP()), "conv": bound(LinenConv()), "transformer": bound(LinenTransformer()),
        "residual": bound(LinenResidual()), "fused": bound(LinenTransformer(fused=True)), "tied": bound(LinenTied()),
    },
    "haiku": {
        "mlp": haiku(haiku_mlp), "conv": haiku(haiku_conv), "transformer": haiku(haiku_transformer),
        "residual": haiku(haiku_residual), "fused": haiku(partial(haiku_transformer, fused=True)),
    },
    "equinox": {
        "mlp": lambda _: EqxMLP(), "conv": lambda _: eqx.nn.make_with_state(EqxConv)(),
        "transformer": lambda _: EqxTransformer(), "residual": lambda _: eqx.nn.make_with_state(EqxResidual)(),
        "fused": lambda _: EqxTransformer(fused=True),
    },
    "plain": {
        "mlp": lambda _: (plain_mlp, {"layers": [dense(12, 32), dense(32, 32), dense(32, 5)]}),
        "conv": lambda _: (plain_conv, conv_tree()), "transformer": lambda _: (plain_transformer, transformer_tree()),
        "residual": lambda _: (plain_residual, residual_tree()),
        "fused": lambda _: (partial(plain_transformer, fused=True), transformer_tree()),
    },
}  # fmt: skip


def batch_of(style: str, name: str) -> Any:
    """The batch of a twin, with images as a style takes them."""
    return TWINS[name].batch(style)
