"""Networks of JAX after their public architectures, small, as their users write them. See `jax_models.py`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

KEY = jax.random.key(0)


class Network(NamedTuple):
    """`make(batch)`: what wellbegun is given. `classes`: of the first loss; 0: real numbers against normal targets."""

    style: str
    about: str
    make: Callable[[Any], Any]
    data: Callable[[], Any]
    classes: int = 0


def normal(*shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def tokens(*shape: int, most: int = 64) -> Any:
    return jnp.asarray(np.random.default_rng(1).integers(0, most, shape).astype(np.int32))


def bound(module: nn.Module) -> Callable[[Any], Any]:
    return lambda batch: (module, module.init(KEY, *batch))


def transformed(function: Callable[..., Any]) -> Callable[[Any], Any]:
    made = hk.without_apply_rng(hk.transform(function))
    return lambda batch: (made, made.init(KEY, *batch))


# ---------------------------------------------------------------------- Flax NNX
class ResNetBlock(nnx.Module):
    """He et al. 2016."""

    def __init__(self, inputs: int, units: int, stride: int, rngs: nnx.Rngs) -> None:
        def conv(i: int, size: int, stride: int) -> nnx.Conv:
            return nnx.Conv(i, units, (size, size), stride, padding="SAME", use_bias=False, rngs=rngs)

        self.conv1, self.norm1 = conv(inputs, 3, stride), nnx.BatchNorm(units, rngs=rngs)
        self.conv2, self.norm2 = conv(units, 3, 1), nnx.BatchNorm(units, rngs=rngs)
        self.shortcut = conv(inputs, 1, stride) if stride > 1 or inputs != units else None

    def __call__(self, x: Any) -> Any:
        h = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(h + (x if self.shortcut is None else self.shortcut(x)))


class ResNet18(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, width: int = 16) -> None:
        self.stem = nnx.Conv(3, width, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        sizes = [(width * 2**i, 2 if i and not j else 1) for i in range(4) for j in range(2)]
        before = [width, *(units for units, _ in sizes)]
        self.blocks = nnx.List([ResNetBlock(i, o, s, rngs) for i, (o, s) in zip(before, sizes, strict=False)])
        self.head = nnx.Linear(before[-1], 10, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


class GPTBlock(nnx.Module):
    """Radford et al. 2019."""

    def __init__(self, width: int, rngs: nnx.Rngs) -> None:
        self.ln_1, self.ln_2 = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(4, width, decode=False, rngs=rngs)
        self.fc, self.proj = nnx.Linear(width, 4 * width, rngs=rngs), nnx.Linear(4 * width, width, rngs=rngs)

    def __call__(self, x: Any, mask: Any) -> Any:
        x = x + self.attn(self.ln_1(x), mask=mask)
        return x + self.proj(nnx.gelu(self.fc(self.ln_2(x))))


class GPT2(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, width: int = 64) -> None:
        self.wte, self.wpe = nnx.Embed(64, width, rngs=rngs), nnx.Embed(16, width, rngs=rngs)
        self.h = nnx.List([GPTBlock(width, rngs) for _ in range(4)])
        self.ln_f = nnx.LayerNorm(width, rngs=rngs)

    def __call__(self, ids: Any) -> Any:
        x = self.wte(ids) + self.wpe(jnp.arange(ids.shape[1]))
        mask = nnx.make_causal_mask(ids)
        for block in self.h:
            x = block(x, mask)
        return self.wte.attend(self.ln_f(x))


class UNet(nnx.Module):
    """Ronneberger et al. 2015."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        def conv(i: int, o: int, size: int = 3) -> nnx.Conv:
            return nnx.Conv(i, o, (size, size), rngs=rngs)

        self.down = nnx.List([nnx.List([conv(i, o), conv(o, o)]) for i, o in ((3, 16), (16, 32), (32, 64))])
        self.up = nnx.List([nnx.ConvTranspose(i, i // 2, (2, 2), (2, 2), rngs=rngs) for i in (64, 32)])
        self.merge = nnx.List([nnx.List([conv(i, i // 2), conv(i // 2, i // 2)]) for i in (64, 32)])
        self.head = conv(16, 4, 1)

    def __call__(self, x: Any) -> Any:
        kept = []
        for one, two in self.down:
            x = nnx.relu(two(nnx.relu(one(x))))
            kept.append(x)
            x = nnx.max_pool(x, (2, 2), (2, 2)) if len(kept) < 3 else x
        for up, (one, two), skip in zip(self.up, self.merge, kept[-2::-1], strict=True):
            x = nnx.relu(two(nnx.relu(one(jnp.concatenate([skip, up(x)], -1)))))
        return self.head(x)


class VAE(nnx.Module):
    """Kingma, Welling 2014; the noise comes with the batch."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.encode, self.mean = nnx.Linear(64, 128, rngs=rngs), nnx.Linear(128, 8, rngs=rngs)
        self.log_variance, self.decode = nnx.Linear(128, 8, rngs=rngs), nnx.Linear(8, 128, rngs=rngs)
        self.out = nnx.Linear(128, 64, rngs=rngs)

    def __call__(self, x: Any, noise: Any) -> Any:
        h = nnx.tanh(self.encode(x))
        code = self.mean(h) + jnp.exp(0.5 * self.log_variance(h)) * noise
        return self.out(nnx.tanh(self.decode(code)))


# ---------------------------------------------------------------------- Flax Linen
class WideBlock(nn.Module):
    """Zagoruyko, Komodakis 2016."""

    units: int
    stride: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        def bn() -> nn.BatchNorm:
            return nn.BatchNorm(use_running_average=False)

        h = nn.relu(bn()(x))
        short = nn.Conv(self.units, (1, 1), self.stride, use_bias=False)(h) if x.shape[-1] != self.units else x
        h = nn.Conv(self.units, (3, 3), self.stride, use_bias=False)(h)
        return short + nn.Conv(self.units, (3, 3), use_bias=False)(nn.relu(bn()(h)))


class WideResNet(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(16, (3, 3), use_bias=False)(x)
        for units, stride in ((32, 1), (32, 1), (64, 2), (64, 1)):
            x = WideBlock(units, stride)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=False)(x))
        return nn.Dense(10)(x.mean((1, 2)))


class EncoderBlock(nn.Module):
    heads: int = 4

    @nn.compact
    def __call__(self, x: Any) -> Any:
        width = x.shape[-1]
        x = x + nn.MultiHeadDotProductAttention(self.heads)(nn.LayerNorm()(x))
        return x + nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(x))))


class ViT(nn.Module):
    """Dosovitskiy et al. 2021."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(64, (4, 4), (4, 4), name="patches")(x)
        x = x.reshape(x.shape[0], -1, 64)
        token = self.param("token", nn.initializers.zeros, (1, 1, 64))
        x = jnp.concatenate([jnp.tile(token, (x.shape[0], 1, 1)), x], 1)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], 64))
        for _ in range(4):
            x = EncoderBlock()(x)
        return nn.Dense(10)(nn.LayerNorm()(x)[:, 0])


class MLPMixer(nn.Module):
    """Tolstikhin et al. 2021."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        def mlp(x: Any, units: int) -> Any:
            return nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(units)(x)))

        x = nn.Conv(64, (4, 4), (4, 4))(x).reshape(x.shape[0], -1, 64)
        for _ in range(3):
            x = x + mlp(nn.LayerNorm()(x).swapaxes(1, 2), 32).swapaxes(1, 2)
            x = x + mlp(nn.LayerNorm()(x), 128)
        return nn.Dense(10)(nn.LayerNorm()(x).mean(1))


class Seq2Seq(nn.Module):
    """Sutskever et al. 2014."""

    @nn.compact
    def __call__(self, source: Any, target: Any) -> Any:
        embed = nn.Embed(64, 48)
        carry, _ = nn.RNN(nn.OptimizedLSTMCell(48), return_carry=True, name="encoder")(embed(source))
        x = nn.RNN(nn.OptimizedLSTMCell(48), name="decoder")(embed(target), initial_carry=carry)
        return nn.Dense(64)(x)


class T5(nn.Module):
    """Raffel et al. 2020: norms without a mean, gated units, attention to an encoder."""

    @nn.compact
    def __call__(self, source: Any, target: Any) -> Any:
        def attend(x: Any, memory: Any, mask: Any = None) -> Any:
            return nn.MultiHeadDotProductAttention(4, use_bias=False)(x, memory, mask=mask)

        def gated(x: Any) -> Any:
            h = nn.gelu(nn.Dense(128, use_bias=False)(x)) * nn.Dense(128, use_bias=False)(x)
            return nn.Dense(64, use_bias=False)(h)

        embed = nn.Embed(64, 64)
        memory, x = embed(source), embed(target)
        for _ in range(2):
            h = nn.RMSNorm()(memory)
            memory = memory + attend(h, h)
            memory = memory + gated(nn.RMSNorm()(memory))
        memory = nn.RMSNorm()(memory)
        for _ in range(2):
            h = nn.RMSNorm()(x)
            x = x + attend(h, h, nn.make_causal_mask(target))
            x = x + attend(nn.RMSNorm()(x), memory)
            x = x + gated(nn.RMSNorm()(x))
        return nn.Dense(64, use_bias=False)(nn.RMSNorm()(x))


class Perceiver(nn.Module):
    """Jaegle et al. 2021."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Dense(64)(x)
        latents = self.param("latents", nn.initializers.truncated_normal(0.02), (8, 64))
        z = jnp.broadcast_to(latents, (x.shape[0], 8, 64))
        z = z + nn.MultiHeadDotProductAttention(1)(nn.LayerNorm()(z), nn.LayerNorm()(x))
        for _ in range(3):
            z = EncoderBlock()(z)
        return nn.Dense(10)(nn.LayerNorm()(z.mean(1)))


# ---------------------------------------------------------------------- Equinox
class LlamaBlock(eqx.Module):
    """Touvron et al. 2023."""

    norm1: Any
    norm2: Any
    q: Any
    k: Any
    v: Any
    o: Any
    gate: Any
    up: Any
    down: Any

    def __init__(self, width: int, key: Any) -> None:
        def linear(i: int, o: int) -> eqx.nn.Linear:
            return eqx.nn.Linear(i, o, use_bias=False, key=key)

        self.norm1, self.norm2 = eqx.nn.RMSNorm(width, use_bias=False), eqx.nn.RMSNorm(width, use_bias=False)
        self.q, self.k, self.v, self.o = (linear(width, width) for _ in range(4))
        self.gate, self.up, self.down = linear(width, 2 * width), linear(width, 2 * width), linear(2 * width, width)

    def __call__(self, x: Any) -> Any:
        h = jax.vmap(self.norm1)(x)
        q, k, v = (jax.vmap(layer)(h).reshape(len(x), 4, -1) for layer in (self.q, self.k, self.v))
        q, k = _rotated(q), _rotated(k)
        scores = jnp.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
        scores = jnp.where(jnp.tril(jnp.ones((len(x), len(x)), bool)), scores, -1e9)
        mixed = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v).reshape(len(x), -1)
        x = x + jax.vmap(self.o)(mixed)
        h = jax.vmap(self.norm2)(x)
        return x + jax.vmap(self.down)(jax.nn.silu(jax.vmap(self.gate)(h)) * jax.vmap(self.up)(h))


def _rotated(x: Any) -> Any:
    """Su et al. 2021."""
    half = x.shape[-1] // 2
    angles = jnp.arange(len(x))[:, None, None] / 10_000 ** (jnp.arange(half) / half)
    one, two = jnp.split(x, 2, -1)
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([one * cosine - two * sine, one * sine + two * cosine], -1)


class Llama(eqx.Module):
    embed: Any
    blocks: list[Any]
    norm: Any
    head: Any

    def __init__(self) -> None:
        self.embed, self.blocks = eqx.nn.Embedding(64, 64, key=KEY), [LlamaBlock(64, KEY) for _ in range(3)]
        self.norm, self.head = eqx.nn.RMSNorm(64, use_bias=False), eqx.nn.Linear(64, 64, use_bias=False, key=KEY)

    def __call__(self, ids: Any) -> Any:
        x = jax.vmap(self.embed)(ids)
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.head)(jax.vmap(self.norm)(x))


class ConvNeXtBlock(eqx.Module):
    """Liu et al. 2022."""

    depthwise: Any
    norm: Any
    up: Any
    down: Any
    gamma: Any

    def __init__(self, width: int) -> None:
        self.depthwise = eqx.nn.Conv2d(width, width, 7, padding=3, groups=width, key=KEY)
        self.norm, self.gamma = eqx.nn.LayerNorm(width), jnp.full(width, 1e-6)
        self.up, self.down = eqx.nn.Linear(width, 4 * width, key=KEY), eqx.nn.Linear(4 * width, width, key=KEY)

    def __call__(self, x: Any) -> Any:
        def row(h: Any) -> Any:
            return self.gamma * self.down(jax.nn.gelu(self.up(self.norm(h))))

        h = jnp.moveaxis(self.depthwise(x), 0, -1)
        return x + jnp.moveaxis(jax.vmap(jax.vmap(row))(h), -1, 0)


class ConvNeXt(eqx.Module):
    stem: Any
    blocks: list[Any]
    norm: Any
    head: Any

    def __init__(self) -> None:
        self.stem, self.blocks = eqx.nn.Conv2d(3, 48, 4, 4, key=KEY), [ConvNeXtBlock(48) for _ in range(3)]
        self.norm, self.head = eqx.nn.LayerNorm(48), eqx.nn.Linear(48, 10, key=KEY)

    def __call__(self, x: Any) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x.mean((1, 2))))


class Mamba(eqx.Module):
    """Gu, Dao 2023: one selective layer between an embedding and a readout."""

    embed: Any
    norm: Any
    enter: Any
    select: Any
    step: Any
    a_log: Any
    skip: Any
    leave: Any
    head: Any

    def __init__(self, width: int = 32, states: int = 8) -> None:
        self.embed, self.norm = eqx.nn.Embedding(64, width, key=KEY), eqx.nn.RMSNorm(width, use_bias=False)
        self.enter = eqx.nn.Linear(width, 4 * width, use_bias=False, key=KEY)
        self.select = eqx.nn.Linear(2 * width, 4 + 2 * states, use_bias=False, key=KEY)
        self.step = eqx.nn.Linear(4, 2 * width, key=KEY)
        self.a_log = jnp.log(jnp.tile(jnp.arange(1.0, states + 1), (2 * width, 1)))
        self.skip, self.leave = jnp.ones(2 * width), eqx.nn.Linear(2 * width, width, use_bias=False, key=KEY)
        self.head = eqx.nn.Linear(width, 64, use_bias=False, key=KEY)

    def __call__(self, ids: Any) -> Any:
        x = jax.vmap(self.embed)(ids)
        inner, gate = jnp.split(jax.vmap(self.enter)(jax.vmap(self.norm)(x)), 2, -1)
        inner = jax.nn.silu(inner)
        low, b, c = jnp.split(jax.vmap(self.select)(inner), [4, 4 + self.a_log.shape[1]], -1)
        delta = jax.nn.softplus(jax.vmap(self.step)(low))

        def stepped(state: Any, row: Any) -> Any:
            u, d, b, c = row
            state = jnp.exp(-d[:, None] * jnp.exp(self.a_log)) * state + (d * u)[:, None] * b
            return state, state @ c

        _, y = jax.lax.scan(stepped, jnp.zeros_like(self.a_log), (inner, delta, b, c))
        y = (y + inner * self.skip) * jax.nn.silu(gate)
        return jax.vmap(self.head)(x + jax.vmap(self.leave)(y))
