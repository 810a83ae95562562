"""The texts of `written_once.py` in torch and in the styles of JAX, of each one's own layers."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from torch_or_none import F, nn, torch
from written_once import Part, Text, held, normal, signed

KEY = jax.random.key(0)


def calls(text: Text, functions: type) -> Callable[..., Any]:
    """A method that runs a text."""
    return signed(text, lambda self, *args, **kwargs: text.call(self, functions, *args, **kwargs))


def variables(init: Callable[..., Any], batch: Any, parts: Mapping[str, Part] = {}) -> Any:
    """What `init` makes, of numbers that are drawn without compiling anything. `parts`: with arrays of its own."""

    def filled(path: Any, array: Any) -> Any:
        names = [str(getattr(key, "key", "")) for key in path]
        own = next((parts[name] for name in names if name in parts), None)
        if own is not None and own.kind == "param":
            return jnp.asarray(held(own))
        if names[-1] not in ("kernel", "embedding", "w", "embeddings"):  # scales, biases, statistics
            return jnp.full(array.shape, float(names[-1] in ("scale", "var")), array.dtype)
        return jnp.asarray(normal(*array.shape) / np.prod(array.shape[:-1], dtype=np.float32) ** 0.5)

    args = batch if isinstance(batch, tuple) else () if isinstance(batch, dict) else (batch,)
    shapes = jax.eval_shape(partial(init, KEY), *args, **(batch if isinstance(batch, dict) else {}))
    return jax.tree_util.tree_map_with_path(filled, shapes)


# ---------------------------------------------------------------------- functions
class Torch:
    relu, tanh, sigmoid, silu, elu = F.relu, torch.tanh, torch.sigmoid, F.silu, F.elu
    sin, exp, sqrt, rsqrt, einsum, reshape = torch.sin, torch.exp, torch.sqrt, torch.rsqrt, torch.einsum, torch.reshape
    gelu = staticmethod(lambda x: F.gelu(x, approximate="tanh"))
    gelu_exact, shape = F.gelu, staticmethod(lambda x: x.shape)
    softmax = staticmethod(lambda x: torch.softmax(x, -1))
    concat = staticmethod(lambda xs: torch.cat(xs, -1))
    channels = staticmethod(lambda xs: torch.cat(xs, -3))
    mean = staticmethod(lambda x, axis: x.mean(axis, keepdim=True))
    sum = staticmethod(lambda x, axis: x.sum(axis, keepdim=True))
    mean_rows, places = staticmethod(lambda x: x.mean(-2)), staticmethod(lambda x: x.mean((-2, -1)))
    split = staticmethod(lambda x, count: x.chunk(count, -1))
    swap, take = staticmethod(lambda x: x.transpose(-1, -2)), staticmethod(lambda table, ids: F.embedding(ids, table))

    @staticmethod
    def scan(step: Any, count: int, width: int, x: Any) -> Any:
        carry = tuple(torch.zeros(*x.shape[:-2], width) for _ in range(count))
        for row in x.unbind(-2):
            carry = step(carry, row)
        return carry


class Jax:
    relu, tanh, sigmoid, silu, elu = jax.nn.relu, jnp.tanh, jax.nn.sigmoid, jax.nn.silu, jax.nn.elu
    sin, exp, sqrt, rsqrt, einsum, reshape = jnp.sin, jnp.exp, jnp.sqrt, jax.lax.rsqrt, jnp.einsum, jnp.reshape
    gelu, gelu_exact = jax.nn.gelu, staticmethod(lambda x: jax.nn.gelu(x, approximate=False))
    softmax, shape = jax.nn.softmax, jnp.shape
    concat = channels = staticmethod(lambda xs: jnp.concatenate(xs, -1))
    mean = staticmethod(lambda x, axis: x.mean(axis, keepdims=True))
    sum = staticmethod(lambda x, axis: x.sum(axis, keepdims=True))
    mean_rows, places = staticmethod(lambda x: x.mean(-2)), staticmethod(lambda x: x.mean((-3, -2)))
    split = staticmethod(lambda x, count: jnp.split(x, count, -1))
    swap, take = staticmethod(lambda x: jnp.swapaxes(x, -1, -2)), staticmethod(lambda table, ids: table[ids])

    @staticmethod
    def scan(step: Any, count: int, width: int, x: Any) -> Any:
        carry = tuple(jnp.zeros((*x.shape[:-2], width)) for _ in range(count))
        return jax.lax.scan(lambda carry, row: (tuple(step(carry, row)), None), carry, jnp.moveaxis(x, -2, 0))[0]


class Channels(Jax):
    """Of JAX, where channels are the first axis of a sample."""

    channels = staticmethod(lambda xs: jnp.concatenate(xs, -3))
    places = staticmethod(lambda x: x.mean((-2, -1)))


# ---------------------------------------------------------------------- torch
def torch_part(part: Part) -> Any:
    options = {"stride": part.stride, "bias": part.bias}
    match part.kind:
        case "dense":
            return nn.Linear(*part.sizes, bias=part.bias)
        case "conv":
            return nn.Conv2d(*part.sizes, padding=part.sizes[2] // 2, groups=part.groups, **options)
        case "up":
            return nn.ConvTranspose2d(*part.sizes, **options)
        case "table":
            return nn.Embedding(*part.sizes)
        case "group_norm":
            return nn.GroupNorm(part.groups, *part.sizes)
        case "param":
            return nn.Parameter(torch.from_numpy(held(part)))
    return nn.LayerNorm(*part.sizes) if part.kind == "layer_norm" else nn.RMSNorm(*part.sizes, eps=1e-6)


def in_torch(text: Text, batch: Any) -> nn.Module:
    model = type("Text", (nn.Module,), {"forward": calls(text, Torch)})()
    for name, part in text.parts.items():
        setattr(model, name, torch_part(part))
    return model


# ---------------------------------------------------------------------- NNX
def nnx_part(part: Part) -> Any:
    rngs, window = nnx.Rngs(0), part.sizes[2:] * 2
    options = {"strides": part.stride, "use_bias": part.bias, "rngs": rngs}
    match part.kind:
        case "dense":
            return nnx.Linear(*part.sizes, use_bias=part.bias, rngs=rngs)
        case "conv":
            padding = part.sizes[2] // 2
            return nnx.Conv(*part.sizes[:2], window, padding=padding, feature_group_count=part.groups, **options)
        case "up":
            return nnx.ConvTranspose(*part.sizes[:2], window, **options)
        case "table":
            return nnx.Embed(*part.sizes, rngs=rngs)
        case "group_norm":
            return nnx.GroupNorm(*part.sizes, num_groups=part.groups, epsilon=1e-5, rngs=rngs)
        case "layer_norm":
            return nnx.LayerNorm(*part.sizes, epsilon=1e-5, rngs=rngs)
        case "rms_norm":
            return nnx.RMSNorm(*part.sizes, epsilon=1e-6, rngs=rngs)
    return nnx.Param(jnp.asarray(held(part)))


class Read:
    """A model whose arrays are read as arrays."""

    def __init__(self, model: Any, parts: Mapping[str, Part], read: Callable[[Any], Any]) -> None:
        self.model, self.parts, self.read = model, parts, read

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.model, name)
        return self.read(found) if self.parts[name].kind == "param" else found


def in_nnx(text: Text, batch: Any) -> nnx.Module:
    reading = text._replace(call=_reading(text, lambda found: found[...]))
    model = type("Text", (nnx.Module,), {"__call__": calls(reading, Jax)})()
    for name, part in text.parts.items():
        setattr(model, name, nnx_part(part))
    return model


def _reading(text: Text, read: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(model: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        return text.call(Read(model, text.parts, read), f, *args, **kwargs)

    call.__signature__ = signature(text.call)  # type: ignore[attr-defined]
    return call


# ---------------------------------------------------------------------- Linen
def linen_part(part: Part, name: str | None = None) -> Any:
    window, units = part.sizes[2:] * 2, part.sizes[min(1, len(part.sizes) - 1)]
    options = {"strides": (part.stride,) * 2, "use_bias": part.bias, "name": name}
    match part.kind:
        case "dense":
            return linen.Dense(units, use_bias=part.bias, name=name)
        case "conv":
            return linen.Conv(units, window, padding=part.sizes[2] // 2, feature_group_count=part.groups, **options)
        case "up":
            return linen.ConvTranspose(units, window, **options)
        case "table":
            return linen.Embed(*part.sizes, name=name)
        case "group_norm":
            return linen.GroupNorm(part.groups, epsilon=1e-5, name=name)
    kind = linen.LayerNorm if part.kind == "layer_norm" else linen.RMSNorm
    return kind(epsilon=1e-5 if part.kind == "layer_norm" else 1e-6, name=name)


def in_linen(text: Text, batch: Any) -> tuple[linen.Module, Any]:
    def setup(self: Any) -> None:
        for name, part in text.parts.items():
            own = part.kind == "param"
            setattr(self, name, self.param(name, lambda *_, p=part: jnp.asarray(held(p))) if own else linen_part(part))

    module = type("Text", (linen.Module,), {"setup": setup, "__call__": calls(text, Jax)})()
    return module, variables(module.init, batch, text.parts)


# ---------------------------------------------------------------------- Haiku
def haiku_part(part: Part, name: str) -> Any:
    units, options = part.sizes[min(1, len(part.sizes) - 1)], {"stride": part.stride, "with_bias": part.bias}
    match part.kind:
        case "dense":
            return hk.Linear(units, with_bias=part.bias, name=name)
        case "conv":
            padding = ((part.sizes[2] // 2,) * 2,) * 2
            count = {"feature_group_count": part.groups, "padding": padding}
            return hk.Conv2D(units, part.sizes[2], name=name, **count, **options)
        case "up":
            return hk.Conv2DTranspose(units, part.sizes[2], name=name, **options)
        case "table":
            return hk.Embed(*part.sizes, name=name)
        case "group_norm":
            return hk.GroupNorm(part.groups, eps=1e-5, name=name)
        case "layer_norm":
            return hk.LayerNorm(-1, True, True, name=name)
        case "rms_norm":
            return hk.RMSNorm(-1, eps=1e-6, name=name)
    return hk.get_parameter(name, part.sizes, init=lambda *_: jnp.asarray(held(part)))


def in_haiku(text: Text, batch: Any) -> Any:
    class Parts:
        def __init__(self) -> None:
            for name, part in text.parts.items():
                setattr(self, name, haiku_part(part, name))

    def function(*args: Any, **kwargs: Any) -> Any:
        return text.call(Parts(), Jax, *args, **kwargs)

    made = hk.transform(function)
    return made, variables(made.init, batch, text.parts)


# ---------------------------------------------------------------------- Equinox
def equinox_part(part: Part) -> Any:
    options = {"stride": part.stride, "use_bias": part.bias, "key": KEY}
    match part.kind:
        case "dense":
            return eqx.nn.Linear(*part.sizes, use_bias=part.bias, key=KEY)
        case "conv":
            return eqx.nn.Conv2d(*part.sizes, padding=part.sizes[2] // 2, groups=part.groups, **options)
        case "up":
            return eqx.nn.ConvTranspose2d(*part.sizes, **options)
        case "table":
            return eqx.nn.Embedding(*part.sizes, key=KEY)
        case "group_norm":
            return eqx.nn.GroupNorm(part.groups, *part.sizes)
        case "layer_norm":
            return eqx.nn.LayerNorm(*part.sizes)
        case "rms_norm":
            return eqx.nn.RMSNorm(*part.sizes, eps=1e-6, use_bias=False)
    return jnp.asarray(held(part))


ROWS = ("dense", "table", "layer_norm", "rms_norm")


class OnRows:
    """A model whose layers of vectors are called on all rows."""

    def __init__(self, model: Any, parts: Mapping[str, Part]) -> None:
        self.model, self.parts = model, parts

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.model, name)
        return _on_rows(found, self.parts[name].kind) if self.parts[name].kind in ROWS else found


def _on_rows(layer: Any, kind: str) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        one = layer
        for _ in range(x.ndim - (kind != "table")):
            one = jax.vmap(one)
        return one(x)

    return call


def in_equinox(text: Text, batch: Any) -> eqx.Module:
    def call(model: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        return text.call(OnRows(model, text.parts), f, *args, **kwargs)

    call.__signature__ = signature(text.call)  # type: ignore[attr-defined]
    own = calls(text._replace(call=call), Channels)

    def begin(self: Any) -> None:
        for name, part in text.parts.items():
            object.__setattr__(self, name, equinox_part(part))

    members = {"__annotations__": dict.fromkeys(text.parts, Any), "__init__": begin, "__call__": own}
    return type(eqx.Module)("Text", (eqx.Module,), members)()


# ---------------------------------------------------------------------- a tree and a function
def plain_part(part: Part) -> Any:
    """What the function below finds in the tree."""
    bias = {"b": jnp.zeros(part.sizes[min(1, len(part.sizes) - 1)])} if part.bias else {}
    match part.kind:
        case "param":
            return jnp.asarray(held(part))
        case "dense":
            return {"w": jnp.asarray(held(part._replace(value="drawn"))), **bias}
        case "conv" | "up":
            i, o, k = part.sizes
            return {"w": jnp.asarray(normal(k, k, i // part.groups, o)) / (k * k * i / part.groups) ** 0.5, **bias}
        case "table":
            return {"w": jnp.asarray(normal(*part.sizes))}
    return {"w": jnp.ones(part.sizes), **({} if part.kind == "rms_norm" else bias)}


def plain_layer(part: Part, p: Any) -> Callable[[Any], Any]:
    def product(x: Any) -> Any:
        found = x @ p["w"]
        return found + p["b"] if "b" in p else found

    def conv(x: Any) -> Any:
        pad, letters = part.sizes[2] // 2, ("NHWC", "HWIO", "NHWC")
        if part.kind == "up":
            found = jax.lax.conv_transpose(x, p["w"], (2, 2), "SAME", dimension_numbers=letters)
        else:
            found = jax.lax.conv_general_dilated(
                x, p["w"], (part.stride,) * 2, [(pad, pad)] * 2, dimension_numbers=letters,
                feature_group_count=part.groups,
            )  # fmt: skip
        return found + p["b"] if "b" in p else found

    def normed(x: Any) -> Any:
        if part.kind == "rms_norm":
            return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6) * p["w"]
        shape, axes = x.shape, -1
        if part.kind == "group_norm":
            x, axes = x.reshape(*shape[:-1], part.groups, -1), (1, 2, 4)
        mean = x.mean(axes, keepdims=True)
        spread = jax.lax.rsqrt(jnp.square(x - mean).mean(axes, keepdims=True) + 1e-5)
        return ((x - mean) * spread).reshape(shape) * p["w"] + p["b"]

    return {"dense": product, "conv": conv, "up": conv, "table": lambda ids: p["w"][ids]}.get(part.kind, normed)


def in_plain(text: Text, batch: Any) -> Any:
    class Tree:
        def __init__(self, p: Any) -> None:
            for name, part in text.parts.items():
                setattr(self, name, p[name] if part.kind == "param" else plain_layer(part, p[name]))

    def function(p: Any, *args: Any, **kwargs: Any) -> Any:
        return text.call(Tree(p), Jax, *args, **kwargs)

    return function, {name: plain_part(part) for name, part in text.parts.items()}
