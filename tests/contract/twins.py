"""Models written twice, in torch and in Flax nnx, with the same module paths: they must be planned and filled alike.

Batches are NumPy arrays in torch's order of axes; `Twin.batch` brings images to the order that each framework takes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from torch_or_none import F, nn, torch
from written_once import normal, tokens


@dataclass(frozen=True)
class Twin:
    """One model in two frameworks. `images`: whether arrays of rank 4 are NCHW in torch and NHWC in JAX."""

    torch: Callable[[], nn.Module]
    jax: Callable[[], nnx.Module]
    data: Callable[[], Any]
    images: bool = False

    def batch(self, framework: str) -> Any:
        """The batch as a framework takes it."""

        def one(array: np.ndarray) -> Any:
            if framework == "torch":
                return torch.from_numpy(array)
            last = self.images and array.ndim == 4 and framework != "equinox"
            return jnp.asarray(array.transpose(0, 2, 3, 1) if last else array)

        found = self.data()
        if isinstance(found, dict):
            return {name: one(array) for name, array in found.items()}
        return tuple(one(array) for array in found) if isinstance(found, tuple) else one(found)


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


# ---------------------------------------------------------------------- dense layers
class TorchMLP(nn.Module):
    """An activation written where it is used."""

    def __init__(self, sizes: tuple[int, ...] = (12, 32, 32, 5)) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x)
            x = x * torch.sigmoid(x)
        return self.layers[-1](x)


class JaxMLP(nnx.Module):
    def __init__(self, sizes: tuple[int, ...] = (12, 32, 32, 5)) -> None:
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs()) for a, b in pairwise(sizes)])

    def __call__(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = layer(x)
            x = x * jax.nn.sigmoid(x)
        return self.layers[-1](x)


class TorchRelu(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(12, 64), nn.Linear(64, 64), nn.Linear(64, 5, bias=False)

    def forward(self, x: Any) -> Any:
        return self.third(F.tanh(self.second(F.relu(self.first(x)))))


class JaxRelu(nnx.Module):
    def __init__(self) -> None:
        self.first, self.second = nnx.Linear(12, 64, rngs=rngs()), nnx.Linear(64, 64, rngs=rngs())
        self.third = nnx.Linear(64, 5, use_bias=False, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        return self.third(jnp.tanh(self.second(nnx.relu(self.first(x)))))


class TorchBare(nn.Module):
    """Parameters without layers: products, a multiplier, a shift, a gated unit; and two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.gate = nn.Parameter(torch.zeros(12, 24)), nn.Parameter(torch.zeros(24, 48))
        self.up, self.down = nn.Parameter(torch.zeros(24, 48)), nn.Parameter(torch.zeros(48, 24))
        self.gain, self.shift = nn.Parameter(torch.ones(24)), nn.Parameter(torch.zeros(24))
        self.leave = nn.Linear(24, 3)

    def forward(self, x: Any, y: Any) -> Any:
        x = torch.cat([x, y], 1) @ self.enter + self.shift
        x = x + self.gain * ((F.silu(x @ self.gate) * (x @ self.up)) @ self.down)
        return self.leave(x)


class JaxBare(nnx.Module):
    def __init__(self) -> None:
        self.enter, self.gate = nnx.Param(jnp.zeros((12, 24))), nnx.Param(jnp.zeros((24, 48)))
        self.up, self.down = nnx.Param(jnp.zeros((24, 48))), nnx.Param(jnp.zeros((48, 24)))
        self.gain, self.shift = nnx.Param(jnp.ones(24)), nnx.Param(jnp.zeros(24))
        self.leave = nnx.Linear(24, 3, rngs=rngs())

    def __call__(self, x: Any, y: Any) -> Any:
        x = jnp.concatenate([x, y], 1) @ self.enter[...] + self.shift
        x = x + self.gain * ((jax.nn.silu(x @ self.gate[...]) * (x @ self.up[...])) @ self.down[...])
        return self.leave(x)


# ---------------------------------------------------------------------- convolutions
class TorchConv(nn.Module):
    """A net of images: a stride, a depthwise convolution, a normalization over the batch and one over groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16)
        self.wide, self.groups = nn.Conv2d(16, 32, 1), nn.GroupNorm(4, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(self.groups(self.wide(self.depthwise(x))))
        return self.head(x.mean((2, 3)))


class JaxConv(nnx.Module):
    def __init__(self) -> None:
        self.stem = nnx.Conv(3, 16, (3, 3), padding=1, use_bias=False, rngs=rngs())
        self.norm = nnx.BatchNorm(16, epsilon=1e-5, rngs=rngs())
        self.depthwise = nnx.Conv(16, 16, (3, 3), strides=2, padding=1, feature_group_count=16, rngs=rngs())
        self.wide = nnx.Conv(16, 32, (1, 1), rngs=rngs())
        self.groups = nnx.GroupNorm(32, num_groups=4, epsilon=1e-5, rngs=rngs())
        self.head = nnx.Linear(32, 5, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.stem(x)))
        x = nnx.relu(self.groups(self.wide(self.depthwise(x))))
        return self.head(x.mean((1, 2)))


class TorchResidualConv(nn.Module):
    """Residual blocks of convolutions with normalizations, and a pool."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.first = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1, bias=False) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.BatchNorm2d(16) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(blocks))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(self.stem(x), 2)
        for first, norm, second in zip(self.first, self.norms, self.second, strict=True):
            x = x + second(F.relu(norm(first(x))))
        return self.head(F.relu(x).mean((2, 3)))


class JaxResidualConv(nnx.Module):
    def __init__(self, blocks: int = 2) -> None:
        def conv(inputs: int, use_bias: bool = True) -> nnx.Conv:
            return nnx.Conv(inputs, 16, (3, 3), padding=1, use_bias=use_bias, rngs=rngs())

        self.stem = conv(3)
        self.first = nnx.List([conv(16, use_bias=False) for _ in range(blocks)])
        self.norms = nnx.List([nnx.BatchNorm(16, rngs=rngs()) for _ in range(blocks)])
        self.second = nnx.List([conv(16) for _ in range(blocks)])
        self.head = nnx.Linear(16, 5, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        x = nnx.max_pool(self.stem(x), (2, 2), strides=(2, 2))
        for first, norm, second in zip(self.first, self.norms, self.second, strict=True):
            x = x + second(nnx.relu(norm(first(x))))
        return self.head(nnx.relu(x).mean((1, 2)))


class TorchDense(nn.Module):
    """A class for each place of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 5, 1)

    def forward(self, x: Any) -> Any:
        return self.last(F.relu(self.first(x)))


class JaxDense(nnx.Module):
    def __init__(self) -> None:
        self.first = nnx.Conv(3, 16, (3, 3), padding=1, rngs=rngs())
        self.last = nnx.Conv(16, 5, (1, 1), rngs=rngs())

    def __call__(self, x: Any) -> Any:
        return self.last(nnx.relu(self.first(x)))


# ---------------------------------------------------------------------- transformers
class TorchBlock(nn.Module):
    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused
        self.before, self.middle = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def mixed(self, x: Any) -> Any:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if self.fused:
            found = F.scaled_dot_product_attention(q, k, v)
        else:
            found = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v
        return self.out(found.transpose(1, 2).flatten(2))

    def forward(self, x: Any) -> Any:
        x = x + self.mixed(self.before(x))
        return x + self.down(F.gelu(self.up(self.middle(x)), approximate="tanh"))


class JaxBlock(nnx.Module):
    def __init__(self, width: int, heads: int, fused: bool) -> None:
        def linear(a: int, b: int) -> nnx.Linear:
            return nnx.Linear(a, b, rngs=rngs())

        self.heads, self.fused = heads, fused
        self.before = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs())
        self.middle = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs())
        self.query, self.key, self.value, self.out = (linear(width, width) for _ in range(4))
        self.up, self.down = linear(width, 4 * width), linear(4 * width, width)

    def mixed(self, x: Any) -> Any:
        q, k, v = (layer(x).reshape(*x.shape[:-1], self.heads, -1) for layer in (self.query, self.key, self.value))
        if self.fused:
            found = jax.nn.dot_product_attention(q, k, v)
        else:
            weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / q.shape[-1] ** 0.5)
            found = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
        return self.out(found.reshape(x.shape))

    def __call__(self, x: Any) -> Any:
        x = x + self.mixed(self.before(x))
        return x + self.down(nnx.gelu(self.up(self.middle(x))))


class TorchTransformer(nn.Module):
    """Tokens and positions, blocks on a residual stream, a norm, a readout."""

    def __init__(self, fused: bool = False) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(40, 32), nn.Parameter(torch.zeros(1, 10, 32))
        self.blocks = nn.ModuleList(TorchBlock(32, 4, fused) for _ in range(2))
        self.norm, self.readout = nn.LayerNorm(32), nn.Linear(32, 40, bias=False)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids) + self.position
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


class JaxTransformer(nnx.Module):
    def __init__(self, fused: bool = False) -> None:
        self.embed, self.position = nnx.Embed(40, 32, rngs=rngs()), nnx.Param(jnp.zeros((1, 10, 32)))
        self.blocks = nnx.List([JaxBlock(32, 4, fused) for _ in range(2)])
        self.norm = nnx.LayerNorm(32, epsilon=1e-5, rngs=rngs())
        self.readout = nnx.Linear(32, 40, use_bias=False, rngs=rngs())

    def __call__(self, ids: Any) -> Any:
        x = self.embed(ids) + self.position
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


class TorchHeads(nn.Module):
    """Attention with matrices whose outputs are heads, as Flax's own layer has them; here they are flat."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class TorchTied(nn.Module):
    """A table that is also the readout, and normalizations without a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(40, 32), nn.RMSNorm(32, eps=1e-6)
        self.attention, self.last = TorchHeads(32, 4), nn.RMSNorm(32, eps=1e-6)

    def forward(self, ids: Any, scale: Any) -> Any:
        x = self.embed(ids)
        x = x + self.attention(self.norm(x)) * scale
        return F.linear(self.last(x), self.embed.weight)


class JaxTied(nnx.Module):
    def __init__(self) -> None:
        self.embed, self.norm = nnx.Embed(40, 32, rngs=rngs()), nnx.RMSNorm(32, rngs=rngs())
        self.attention = nnx.MultiHeadAttention(4, 32, decode=False, rngs=rngs())
        self.last = nnx.RMSNorm(32, rngs=rngs())

    def __call__(self, ids: Any, scale: Any) -> Any:
        x = self.embed(ids)
        x = x + self.attention(self.norm(x)) * scale
        return self.embed.attend(self.last(x))


class TorchByHand(nn.Module):
    """Normalizations of the user's own, after the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner = nn.Linear(12, 32), nn.Linear(32, 32)
        self.gamma, self.beta = nn.Parameter(torch.ones(32)), nn.Parameter(torch.zeros(32))
        self.root, self.leave = nn.Parameter(torch.ones(32)), nn.Linear(32, 5)

    def forward(self, x: Any) -> Any:
        x = self.enter(x)
        x = x + F.gelu(self.inner(x))
        mean = x.mean(-1, keepdim=True)
        x = (x - mean) / torch.sqrt(((x - mean) ** 2).mean(-1, keepdim=True) + 1e-5) * self.gamma + self.beta
        return self.leave(x * torch.rsqrt((x**2).mean(-1, keepdim=True) + 1e-6) * self.root)


class JaxByHand(nnx.Module):
    def __init__(self) -> None:
        self.enter, self.inner = nnx.Linear(12, 32, rngs=rngs()), nnx.Linear(32, 32, rngs=rngs())
        self.gamma, self.beta = nnx.Param(jnp.ones(32)), nnx.Param(jnp.zeros(32))
        self.root, self.leave = nnx.Param(jnp.ones(32)), nnx.Linear(32, 5, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        x = self.enter(x)
        x = x + jax.nn.gelu(self.inner(x), approximate=False)
        mean = x.mean(-1, keepdims=True)
        x = (x - mean) / jnp.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5) * self.gamma + self.beta
        return self.leave(x * jax.lax.rsqrt((x**2).mean(-1, keepdims=True) + 1e-6) * self.root)


class TorchSiren(nn.Module):
    """Sines of a coordinate net, and a code that is drawn around a mean, as a VAE's without its noise."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.inner = nn.Linear(2, 32), nn.Linear(32, 32)
        self.mean, self.spread = nn.Linear(32, 16), nn.Linear(32, 16)
        self.leave = nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        x = torch.sin(self.inner(torch.sin(30 * self.enter(x))))
        return self.leave(torch.tanh(self.mean(x)) + torch.exp(0.5 * self.spread(x)))


class JaxSiren(nnx.Module):
    def __init__(self) -> None:
        self.enter, self.inner = nnx.Linear(2, 32, rngs=rngs()), nnx.Linear(32, 32, rngs=rngs())
        self.mean, self.spread = nnx.Linear(32, 16, rngs=rngs()), nnx.Linear(32, 16, rngs=rngs())
        self.leave = nnx.Linear(16, 3, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        x = jnp.sin(self.inner(jnp.sin(30 * self.enter(x))))
        return self.leave(jnp.tanh(self.mean(x)) + jnp.exp(0.5 * self.spread(x)))


TWINS: Mapping[str, Twin] = {
    "mlp": Twin(TorchMLP, JaxMLP, lambda: normal(64, 12)),
    "relu": Twin(TorchRelu, JaxRelu, lambda: normal(64, 12)),
    "bare": Twin(TorchBare, JaxBare, lambda: (normal(64, 6), normal(64, 6) * 2)),
    "conv": Twin(TorchConv, JaxConv, lambda: normal(16, 3, 12, 12), images=True),
    "residual": Twin(TorchResidualConv, JaxResidualConv, lambda: normal(16, 3, 12, 12), images=True),
    "dense": Twin(TorchDense, JaxDense, lambda: normal(8, 3, 6, 6), images=True),
    "transformer": Twin(TorchTransformer, JaxTransformer, lambda: tokens(16, 10)),
    "fused": Twin(lambda: TorchTransformer(fused=True), lambda: JaxTransformer(fused=True), lambda: tokens(16, 10)),
    "tied": Twin(TorchTied, JaxTied, lambda: {"ids": tokens(16, 10), "scale": np.full((16, 1, 1), 0.5, np.float32)}),
    "siren": Twin(TorchSiren, JaxSiren, lambda: normal(64, 2)),
    "by hand": Twin(TorchByHand, JaxByHand, lambda: normal(64, 12)),
}
