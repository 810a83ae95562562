"""Positions: tables and rates that say where an entry of a sequence stands."""

from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, instance, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Computed, Law, Sections
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme


@dataclass(frozen=True)
class Waves(Computed):
    """Sines and cosines of the place, at frequencies that fall geometrically along the units."""

    size: tuple[int, ...]
    base: float = 10000.0
    order: str = "interleaved"
    last: bool = False  # whether the slowest wave has the frequency 1 / base

    def rows(self, start: int, stop: int) -> Array:
        units = self.size[-1]
        half = units // 2
        powers = np.arange(half) / max(half - self.last, 1)
        angles = np.arange(start, stop)[:, None] * self.base**-powers
        sine, cosine = np.sin(angles), np.cos(angles)
        if self.order == "halves":
            return np.concatenate([sine, cosine], axis=1)
        return np.stack([sine, cosine], axis=2).reshape(-1, units)

    def support(self) -> tuple[float, float]:
        return -1.0, 1.0

    def _scaled(self, factor: float) -> Law:
        raise ArgumentError(message("Waves.scaled", "factor", "1, as sines and cosines have their size", factor))


@dataclass(frozen=True, repr=False)
class WavesScheme(Scheme):
    """A row for each place."""

    base: float
    order: str
    last: bool

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        if len(size) != 2 or size[1] % 2:
            raise LayoutError(message(self.spelling, "shape", "(places, units) with an even number of units", size))
        return Waves(size, self.base, self.order, self.last)


@scheme(
    formula="Sin-cos positions: sin(p w_k) and cos(p w_k) of the place p, w_k = base^(-k / (d/2)) for k = 0..d/2 - 1.",
    shapes="(places, units) with an even number of units.",
    strengths="places differ from the start, near ones are alike, and distances show as products; any length.",
    weaknesses="orders and exponents differ between libraries: `order` and `last` name them.",
    use="tables of positions in transformers, learned or fixed.",
    source="Vaswani et al. 2017, arXiv:1706.03762, section 3.5.",
    tensors="positional",
    layout="lo",
    invariants={
        "|W_p|^2 = d / 2": lambda w: near((w**2).sum(axis=1), np.full(len(w), w.shape[1] / 2)),
        "W_p W_q depends on p - q": lambda w: near(np.diagonal(w @ w.T, 1), np.full(len(w) - 1, w[0] @ w[1])),
    },
)
def sincos_positions(*, base: float = 10000.0, order: str = "interleaved", last: bool = False) -> WavesScheme:
    """Args:
        base: > 1: the slowest waves are this much longer than the fastest.
        order: "interleaved": sin, cos, sin, cos, ... as in the paper; "halves": all sines first (MAE, tensor2tensor).
        last: Whether the slowest frequency is exactly 1 / base, w_k = base^(-k / (d/2 - 1)), as in tensor2tensor.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no even number of units.

    >>> sincos_positions()((2, 4), seed=0).tolist()[0]
    [0.0, 1.0, 0.0, 1.0]
    """
    number = real("sincos_positions", "base", base, minimum=1, exclusive=True)
    choice("sincos_positions", "order", order, ("interleaved", "halves"))
    options = {"base": number, "order": order, "last": instance("sincos_positions", "last", last, bool)}
    text = spell("sincos_positions", options, {"base": 10000.0, "order": "interleaved", "last": False})
    return WavesScheme(text, number, order, last)


@dataclass(frozen=True)
class Geometric(Computed):
    """first * ratio^index along a vector."""

    size: tuple[int, ...]
    gain: float = 1.0
    ratio: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        return self.gain * self.ratio ** np.arange(start, stop, dtype=np.float64)


@dataclass(frozen=True, repr=False)
class GeometricScheme(Scheme):
    """A vector whose logarithms are evenly spaced: of frequencies or slopes."""

    base: float
    slopes: bool

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if len(shape) != 1 or not shape[0]:
            raise LayoutError(message(self.spelling, "shape", "that of a vector with entries", shape))
        if not self.slopes:
            return Geometric(shape, 1.0, self.base ** (-1 / shape[0]))
        power = 1 << (shape[0].bit_length() - 1)  # what is left lies between: every other slope of twice as many
        ratio, others = self.base ** (-1 / power), shape[0] - power
        whole = Geometric((power,), ratio, ratio)
        return Sections(((power, whole), (others, Geometric((others,), ratio**0.5, ratio)))) if others else whole


@scheme(
    formula="Rotary frequencies: w_k = base^(-k / n), k = 0..n-1, n half of a head's width.",
    shapes="vectors.",
    strengths="queries and keys that are turned by p w_k meet in products that depend on distances only.",
    weaknesses="far beyond the lengths seen in training the slow waves are new; a larger base helps.",
    use="the inv_freq buffer of rotary embeddings.",
    source="Su et al. 2021, arXiv:2104.09864.",
    tensors="positional",
    shape=(32,),
    layout="o",
    invariants={
        "w_0 = 1": lambda w: w[0] == 1,
        "w_(k+1) / w_k = base^(-1 / n)": lambda w: near(w[1:] / w[:-1], np.full(len(w) - 1, 10000 ** (-1 / len(w)))),
    },
)
def rotary_frequencies(*, base: float = 10000.0) -> GeometricScheme:
    """Args:
        base: > 1, dimensionless; 10,000 in the paper, 500,000 in Llama 3.
    Raises: ArgumentError here: base. LayoutError at the draw: no vector.

    >>> rotary_frequencies(base=16.0)(2, seed=0).tolist()
    [1.0, 0.25]
    """
    number = real("rotary_frequencies", "base", base, minimum=1, exclusive=True)
    return GeometricScheme(spell("rotary_frequencies", {"base": number}, {"base": 10000.0}), number, False)


@scheme(
    formula=(
        "ALiBi slopes: 2^(-8 h / H) for the heads h = 1..H; past the last power of two, every other slope of "
        "twice as many."
    ),
    shapes="vectors with an entry for each head.",
    strengths="logits fall with the distance, at a rate of each head's own, also beyond the lengths of training.",
    weaknesses="for H that is no power of two, as in BLOOM, some libraries take 2^(-8 h / H) all the same.",
    use="the factor of distances that is taken from attention logits.",
    source="Press, Smith, Lewis 2022, arXiv:2108.12409, section 3, and its code.",
    tensors="positional multiplier",
    shape=(12,),
    layout="o",
    invariants={
        "a geometric series of the first 8": lambda w: near(w[:8], 2.0 ** -np.arange(1, 9)),
        "those between for 4 more": lambda w: near(w[8:], 2.0 ** (0.5 - np.arange(1, 5))),
    },
)
def alibi_slopes() -> GeometricScheme:
    """Raises: LayoutError at the draw: no vector.

    >>> alibi_slopes()(4, seed=0).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    return GeometricScheme("alibi_slopes()", 2.0**8, True)


publish(globals())
