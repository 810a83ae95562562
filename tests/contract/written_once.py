"""Models as texts that any framework runs: named parts, and a call that is given the framework's functions.

Each framework builds the parts of its own layers (`frameworks.py`, and `keras_models.py` for Keras), so what is
compared is how layers of different frameworks are understood; models in each framework's own manner are in `twins.py`,
`styles.py` and `keras_models.py`. A call counts axes from the end, since some frameworks call a model sample by sample.
"""

from collections.abc import Callable, Mapping
from inspect import Parameter, Signature, signature
from typing import Any, NamedTuple

import numpy as np


class Part(NamedTuple):
    """A layer, or with kind "param" an array of the model's own that begins as `value`."""

    kind: str
    sizes: tuple[int, ...]
    bias: bool = True
    stride: int = 1
    groups: int = 1
    value: str = ""


class Text(NamedTuple):
    """`call(model, functions, *inputs)`. `images`: arrays of rank 4 are NCHW, or NHWC where channels are last."""

    parts: Mapping[str, Part]
    call: Callable[..., Any]
    data: Callable[[], Any]
    images: bool = False


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def tokens(*shape: int, most: int = 40) -> np.ndarray:
    return np.random.default_rng(1).integers(0, most, shape).astype(np.int32)


def held(part: Part) -> np.ndarray:
    """What an array of the model's own holds when it is made."""
    if part.value != "drawn":
        return getattr(np, part.value)(part.sizes, np.float32)
    return normal(*part.sizes) / np.float32(part.sizes[-2]) ** 0.5


def signed(text: Text, call: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is called as the text is."""
    inputs = list(signature(text.call).parameters.values())[2:]
    call.__signature__ = Signature([Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *inputs])  # type: ignore[attr-defined]
    call.__name__ = call.__qualname__ = text.call.__name__
    return call


def dense(inputs: int, units: int, bias: bool = True) -> Part:
    return Part("dense", (inputs, units), bias)


def conv(inputs: int, units: int, size: int, stride: int = 1, groups: int = 1, bias: bool = True) -> Part:
    return Part("conv", (inputs, units, size), bias, stride, groups)


def up(inputs: int, units: int) -> Part:
    """A transposed convolution that doubles the sides."""
    return Part("up", (inputs, units, 2), stride=2)


def table(count: int, width: int) -> Part:
    return Part("table", (count, width))


def norm(width: int, kind: str = "layer_norm", groups: int = 1) -> Part:
    return Part(kind, (width,), groups=groups)


def param(*shape: int, value: str = "drawn") -> Part:
    return Part("param", shape, value=value)


# ---------------------------------------------------------------------- dense layers and arrays
def mlp(m: Any, f: Any, x: Any) -> Any:
    return m.third(f.tanh(m.second(f.relu(m.first(x)))))


def bare(m: Any, f: Any, x: Any, y: Any) -> Any:
    x = f.concat([x, y]) @ m.enter + m.shift
    x = x + m.gain * ((f.silu(x @ m.gate) * (x @ m.up)) @ m.down)
    return m.leave(x)


def siren(m: Any, f: Any, x: Any) -> Any:
    x = f.sin(m.inner(f.sin(30 * m.enter(x))))
    return m.leave(f.tanh(m.mean(x)) + f.exp(0.5 * m.spread(x)))


def by_hand(m: Any, f: Any, x: Any) -> Any:
    x = m.enter(x)
    x = x + f.gelu_exact(m.inner(x))
    mean = f.mean(x, -1)
    x = (x - mean) / f.sqrt(f.mean((x - mean) ** 2, -1) + 1e-5) * m.gamma + m.beta
    return m.leave(x * f.rsqrt(f.mean(x**2, -1) + 1e-6) * m.root)


def vae(m: Any, f: Any, x: Any, noise: Any) -> Any:
    h = f.silu(m.encoder(x))
    code = m.mean(h) + f.exp(0.5 * m.spread(h)) * noise
    return m.leave(f.silu(m.decoder(code)))


def weight_normed(m: Any, f: Any, x: Any) -> Any:
    def direction(v: Any) -> Any:
        return v / f.sqrt(f.sum(v * v, 0))

    x = f.relu(x @ (m.magnitude * direction(m.direction)) + m.shift)
    return m.leave(x)


def shared(m: Any, f: Any, one: Any, other: Any) -> Any:
    return m.leave(f.concat([f.gelu(m.both(one)), f.gelu(m.both(other))]))


def experts(m: Any, f: Any, x: Any) -> Any:
    """Every expert on every sample, weighed by a gate."""
    inner = f.relu(f.einsum("...i,eih->...eh", x, m.enter))
    found = f.einsum("...eh,eho->...eo", inner, m.down)
    return m.leave(f.einsum("...e,...eo->...o", f.softmax(m.gate(x)), found))


def autoencoder(m: Any, f: Any, x: Any) -> Any:
    return m.fourth(f.elu(m.third(m.code(f.elu(m.first(x))))))


# ---------------------------------------------------------------------- images
def per_place(m: Any, f: Any, x: Any) -> Any:
    return m.last(f.relu(m.first(x)))


def transposed(m: Any, f: Any, x: Any) -> Any:
    return f.tanh(m.last(f.relu(m.second(f.relu(m.first(x))))))


def unet(m: Any, f: Any, x: Any) -> Any:
    one = f.relu(m.enter(x))
    two = f.relu(m.lower(m.down(one)))
    back = f.channels([m.up(two), one])
    return m.leave(f.relu(m.merge(back)))


def separable(m: Any, f: Any, x: Any) -> Any:
    x = f.relu(m.groups(m.stem(x)))
    x = x + m.narrow(f.gelu(m.wide(m.depthwise(x))))
    return m.head(f.places(x))


# ---------------------------------------------------------------------- sequences
def lstm(m: Any, f: Any, x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        state, cell = carry
        i, g, o, forget = f.split(row @ m.enter + state @ m.state + m.shift, 4)
        cell = f.sigmoid(forget) * cell + f.sigmoid(i) * f.tanh(g)
        return f.sigmoid(o) * f.tanh(cell), cell

    return m.leave(f.scan(step, 2, 16, x)[0])


def gru(m: Any, f: Any, x: Any) -> Any:
    def step(carry: Any, row: Any) -> Any:
        (state,) = carry
        reset, keep = f.split(f.sigmoid(row @ m.enter + state @ m.state + m.shift), 2)
        new = f.tanh(row @ m.enter_new + reset * (state @ m.state_new) + m.shift_new)
        return (keep * state + (1 - keep) * new,)

    return m.leave(f.scan(step, 1, 16, x)[0])


def gated(m: Any, f: Any, x: Any) -> Any:
    """Layers on rows of a sequence with gates, as a dilated convolution would have them."""
    x = m.enter(x)
    x = x + m.out(f.tanh(m.filter(x)) * f.sigmoid(m.gate(x)))
    return m.leave(f.relu(x))


def mixer(m: Any, f: Any, x: Any) -> Any:
    x = m.enter(x)
    x = x + f.swap(m.tokens_down(f.gelu(m.tokens_up(f.swap(m.before(x))))))
    x = x + m.down(f.gelu(m.up(m.middle(x))))
    return m.leave(f.mean_rows(m.last(x)))


def attended(f: Any, q: Any, k: Any, v: Any) -> Any:
    """Of (rows, heads, width) each."""
    shares = f.softmax(f.einsum("...qhd,...khd->...hqk", q, k) / q.shape[-1] ** 0.5)
    return f.einsum("...hqk,...khd->...qhd", shares, v)


def heads(m: Any, f: Any, x: Any) -> Any:
    """Weights whose outputs are heads and entries: three axes."""
    h = m.norm(x)
    q, k, v = (f.einsum("...ti,ihd->...thd", h, weight) for weight in (m.query, m.key, m.value))
    x = x + f.einsum("...thd,hdo->...to", attended(f, q, k, v), m.out)
    return m.leave(m.last(x))


def split_heads(f: Any, x: Any) -> Any:
    return f.reshape(x, (*f.shape(x)[:-1], 4, 8))


def merge_heads(f: Any, x: Any) -> Any:
    return f.reshape(x, (*f.shape(x)[:-2], 32))


def gpt(m: Any, f: Any, ids: Any) -> Any:
    x = m.embed(ids) + m.position
    h = m.before(x)
    found = attended(f, *(split_heads(f, layer(h)) for layer in (m.query, m.key, m.value)))
    x = x + m.out(merge_heads(f, found))
    x = x + m.down(f.gelu(m.up(m.middle(x))))
    return m.readout(m.last(x))


def gpt_tied(m: Any, f: Any, ids: Any, scale: Any) -> Any:
    x = f.take(m.embed, ids)
    x = x + m.down(f.silu(m.up(m.norm(x)))) * scale
    return m.last(x) @ f.swap(m.embed)


def llama(m: Any, f: Any, ids: Any) -> Any:
    """A gated unit behind a norm without a mean."""
    x = m.embed(ids)
    h = m.before(x)
    x = x + m.down(f.silu(m.gate(h)) * m.up(h))
    return m.readout(m.last(x))


def crossed(m: Any, f: Any, source: Any, target: Any) -> Any:
    """An encoder, and a decoder that attends to it."""
    memory = m.encoder(f.gelu(m.enter(m.embed(source))))
    x = m.embed(target)
    q, k, v = (split_heads(f, layer(one)) for layer, one in ((m.query, x), (m.key, memory), (m.value, memory)))
    x = m.norm(x + m.out(merge_heads(f, attended(f, q, k, v))))
    return m.readout(x)


def pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    return normal(*shape), normal(*shape, seed=1)


TEXTS: Mapping[str, Text] = {
    "relu": Text({"first": dense(12, 64), "second": dense(64, 64), "third": dense(64, 5, False)}, mlp,
                 lambda: normal(64, 12)),
    "bare": Text({
        "enter": param(12, 24), "gate": param(24, 48), "up": param(24, 48), "down": param(48, 24),
        "gain": param(24, value="ones"), "shift": param(24, value="zeros"), "leave": dense(24, 3),
    }, bare, lambda: (normal(64, 6), normal(64, 6) * 2)),
    "siren": Text({
        "enter": dense(2, 32), "inner": dense(32, 32), "mean": dense(32, 16), "spread": dense(32, 16),
        "leave": dense(16, 3),
    }, siren, lambda: normal(64, 2)),
    "by hand": Text({
        "enter": dense(12, 32), "inner": dense(32, 32), "gamma": param(32, value="ones"),
        "beta": param(32, value="zeros"), "root": param(32, value="ones"), "leave": dense(32, 5),
    }, by_hand, lambda: normal(64, 12)),
    "dense": Text({"first": conv(3, 16, 3), "last": conv(16, 5, 1)}, per_place, lambda: normal(8, 3, 6, 6), True),
    "vae": Text({
        "encoder": dense(12, 32), "mean": dense(32, 4), "spread": dense(32, 4), "decoder": dense(4, 32),
        "leave": dense(32, 12),
    }, vae, lambda: (normal(64, 12), normal(64, 4, seed=1))),
    "weight norm": Text({
        "direction": param(12, 32), "magnitude": param(32, value="ones"), "shift": param(32, value="zeros"),
        "leave": dense(32, 5),
    }, weight_normed, lambda: normal(64, 12)),
    "shared layer": Text({"both": dense(6, 16), "leave": dense(32, 3)}, shared,
                         lambda: dict(zip(("one", "other"), pair(64, 6), strict=True))),
    "experts": Text({
        "gate": dense(12, 4), "enter": param(4, 12, 16), "down": param(4, 16, 12), "leave": dense(12, 5),
    }, experts, lambda: normal(64, 12)),
    "autoencoder": Text({
        "first": dense(12, 32), "code": dense(32, 3), "third": dense(3, 32), "fourth": dense(32, 12),
    }, autoencoder, lambda: normal(64, 12)),
    "transposed": Text({"first": conv(4, 16, 1), "second": up(16, 8), "last": up(8, 3)}, transposed,
                       lambda: normal(16, 4, 3, 3), True),
    "u-net": Text({
        "enter": conv(3, 8, 3), "down": conv(8, 16, 3, 2), "lower": conv(16, 16, 3), "up": up(16, 8),
        "merge": conv(16, 8, 3), "leave": conv(8, 2, 1),
    }, unet, lambda: normal(4, 3, 7, 7)[:, :, :6, :6].copy(), True),
    "separable": Text({
        "stem": conv(3, 16, 3, 1, 1, False), "groups": norm(16, "group_norm", 4), "depthwise": conv(16, 16, 3, 1, 16),
        "wide": conv(16, 32, 1), "narrow": conv(32, 16, 1), "head": dense(16, 5),
    }, separable, lambda: normal(8, 3, 6, 6), True),
    "lstm": Text({
        "enter": param(6, 64), "state": param(16, 64), "shift": param(64, value="zeros"), "leave": dense(16, 3),
    }, lstm, lambda: normal(16, 5, 6)),
    "gru": Text({
        "enter": param(6, 32), "state": param(16, 32), "shift": param(32, value="zeros"),
        "enter_new": param(6, 16), "state_new": param(16, 16), "shift_new": param(16, value="zeros"),
        "leave": dense(16, 3),
    }, gru, lambda: normal(16, 5, 6)),
    "gated": Text({
        "enter": dense(6, 16), "filter": dense(16, 16), "gate": dense(16, 16), "out": dense(16, 16),
        "leave": dense(16, 3),
    }, gated, lambda: normal(8, 5, 6)),
    "mixer": Text({
        "enter": dense(6, 16), "before": norm(16), "tokens_up": dense(5, 12), "tokens_down": dense(12, 5),
        "middle": norm(16), "up": dense(16, 32), "down": dense(32, 16), "last": norm(16), "leave": dense(16, 3),
    }, mixer, lambda: normal(16, 5, 6)),
    "heads": Text({
        "norm": norm(32), "query": param(32, 4, 8), "key": param(32, 4, 8), "value": param(32, 4, 8),
        "out": param(4, 8, 32), "last": norm(32), "leave": dense(32, 5),
    }, heads, lambda: normal(16, 6, 32)),
    "gpt": Text({
        "embed": table(40, 32), "position": param(6, 32, value="zeros"), "before": norm(32), "query": dense(32, 32),
        "key": dense(32, 32), "value": dense(32, 32), "out": dense(32, 32), "middle": norm(32), "up": dense(32, 128),
        "down": dense(128, 32), "last": norm(32), "readout": dense(32, 40, False),
    }, gpt, lambda: tokens(16, 6)),
    "gpt, tied": Text({
        "embed": param(40, 32), "norm": norm(32), "up": dense(32, 128), "down": dense(128, 32), "last": norm(32),
    }, gpt_tied, lambda: {"ids": tokens(16, 6), "scale": np.full((16, 1, 1), 0.5, np.float32)}),
    "llama": Text({
        "embed": table(40, 32), "before": norm(32, "rms_norm"), "gate": dense(32, 64, False),
        "up": dense(32, 64, False),
        "down": dense(64, 32, False), "last": norm(32, "rms_norm"), "readout": dense(32, 40, False),
    }, llama, lambda: tokens(16, 6)),
    "encoder-decoder": Text({
        "embed": table(40, 32), "enter": dense(32, 64), "encoder": dense(64, 32), "query": dense(32, 32),
        "key": dense(32, 32), "value": dense(32, 32), "out": dense(32, 32), "norm": norm(32),
        "readout": dense(32, 40, False),
    }, crossed, lambda: {"source": tokens(16, 7), "target": tokens(16, 5)}),
}  # fmt: skip
