"""Random words -> values, for 32-bit words. The stream contract, version 1, in formulas.

Written once. `engine.reference` runs these functions on NumPy arrays: that is the definition. `engine.kernels` runs the
same functions on symbols that stand for vector registers and writes down the operations they ask for, so a compiled
kernel cannot differ. Only operations that IEEE 754 defines exactly are used (+ - * / sqrt, comparisons, integer and
bit operations), in this order and without fused multiply-add.

`ops` gives what Python's operators do not: where, sqrt, changes of type. Arguments are vectors; plain numbers take
their type. `word` is unsigned.
"""

from collections.abc import Sequence
from typing import Any

from wellbegun.engine import coefficients as co

V = Any  # a NumPy array, or a symbolic vector
MASK = 0xFFFFFFFF
MULTIPLY = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85


def philox(counter: Sequence[V], keys: Sequence[tuple[V, V]]) -> tuple[V, V, V, V]:
    """Philox4x32 (Salmon et al. 2011, doi:10.1145/2063384.2063405) in 64-bit lanes, of which only the low halves count.

    Letting the high halves hold garbage between rounds saves every mask and shuffle there. `keys` holds the pair of
    key words of each round.
    """
    c0, c1, c2, c3 = counter
    for k0, k1 in keys:
        p0, p1 = (c0 & MASK) * MULTIPLY[0], (c2 & MASK) * MULTIPLY[1]
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1, (p0 >> 32) ^ c3 ^ k1, p0
    return c0, c1, c2, c3


def polynomial(x: V, coefficients: Sequence[float]) -> V:
    """Horner's rule, lowest power first."""
    value = x * coefficients[-1] + coefficients[-2]
    for coefficient in coefficients[-3::-1]:
        value = value * x + coefficient
    return value


def log(ops: Any, y: V, complement: V | None = None) -> V:
    """ln(y), or ln(1 - y) where `complement` (then y <= 1/2, and the result keeps its accuracy as y -> 0)."""
    value = y if complement is None else ops.where(complement, 1 - y, y)
    bits = ops.bits(value)
    exponent = (bits - 0x3F3504F3) >> 23
    f = ops.number(bits - (exponent << 23)) - 1.0
    if complement is not None:
        f = ops.where(complement & (exponent == 0), -y, f)
    square = f * f
    tail = square * -0.5 + square * f * polynomial(f, co.LOG)
    scale = ops.real(exponent)
    return scale * co.LN2_HIGH + ((scale * co.LN2_LOW + tail) + f)


def exp(ops: Any, x: V) -> V:
    """e^x for |x| < 87, relative error below 2e-7."""
    shifted = x * co.LOG2_E + co.ROUNDING  # the sum's low bits hold the nearest integer
    exponent = ops.bits(shifted) - 0x4B400000
    scale = shifted - co.ROUNDING
    f = (x - scale * co.LN2_HIGH) - scale * co.LN2_LOW
    power = ops.number((exponent + 127) << 23)
    return (1.0 + (f + f * f * polynomial(f, co.EXP))) * power


def box_muller(ops: Any, radius_word: V, angle_word: V) -> tuple[V, V]:
    """Two standard normals: r cos(2 pi v), r sin(2 pi v), r = sqrt(-2 ln u), u and v in 2^-32 steps."""
    signed = ops.signed(radius_word)
    y = (ops.real(signed ^ (signed >> 31)) + 0.5) * 2.0**-32  # in (0, 1/2]; u = y, or 1 - y where the word is negative
    radius = ops.sqrt(log(ops, y, signed < 0) * -2.0)
    x, y = _direction(ops, angle_word)
    return radius * x, radius * y


def _direction(ops: Any, word: V) -> tuple[V, V]:
    """Cosine and sine of 2 pi word / 2^32."""
    t = ops.real(ops.signed(word << 2)) * 2.0**-31  # angle within its quadrant, in units of pi/4
    quadrant = (word + 0x20000000) >> 30
    square = t * t
    sine = t * polynomial(square, co.SIN)
    cosine = square * polynomial(square, co.COS) + 1.0
    swap = (quadrant & 1) != 0
    x, y = ops.where(swap, sine, cosine), ops.where(swap, cosine, sine)
    x = ops.where(((quadrant + 1) & 2) != 0, -x, x)
    return x, ops.where((quadrant & 2) != 0, -y, y)


def clip(ops: Any, value: V, p: Any) -> V:
    """Into the bounds of a law."""
    value = ops.where(value < p.low, p.low, value)
    return ops.where(value > p.high, p.high, value)


def normal(ops: Any, words: tuple[V, V], p: Any) -> tuple[V, V]:
    """mean + std * z"""
    x, y = box_muller(ops, *words)
    return x * p.std + p.mean, y * p.std + p.mean


def uniform(ops: Any, word: V, p: Any) -> V:
    """middle + step * w, w the word as a signed integer"""
    return clip(ops, ops.real(ops.signed(word)) * p.step + p.middle, p)


def sign(ops: Any, word: V, p: Any) -> V:
    """middle + step or middle - step by the word's top bit"""
    return ops.where(ops.signed(word) < 0, p.low, p.high)


def log_uniform(ops: Any, word: V, p: Any) -> V:
    """e^(middle + step * w)"""
    return clip(ops, exp(ops, ops.real(ops.signed(word)) * p.step + p.middle), p)


def truncated_centre(ops: Any, word: V, p: Any) -> V:
    """Inverse normal where no tail can be hit."""
    z = _centre(ops.real(ops.signed(word)) * p.step + p.middle)
    return clip(ops, z * p.scale + p.location, p)


def truncated_tail(ops: Any, word: V, p: Any) -> V:
    """Inverse normal everywhere; probabilities are counted from the nearer end, so small tails keep their accuracy."""
    signed = ops.signed(word)
    negative = signed < 0
    end = ops.where(negative, signed ^ -0x80000000, signed ^ 0x7FFFFFFF)
    near = (ops.real(end) + 0.5) * 2.0**-32
    lower = ops.where(negative, near, 1 - near) * p.mass + p.below
    upper = ops.where(negative, 1 - near, near) * p.mass + p.above
    left = lower < upper
    q = ops.where(left, lower, upper)
    s = ops.sqrt(-log(ops, q))
    tail = polynomial(s, co.TAIL_P) / polynomial(s, co.TAIL_Q)
    centre = _centre(ops.real(signed) * p.step + p.middle)
    z = ops.where(q < co.TAIL_BELOW, ops.where(left, -tail, tail), centre)
    return clip(ops, z * p.scale + p.location, p)


def _centre(c: V) -> V:
    r = co.CENTRE_SHIFT - c * c
    return c * (polynomial(r, co.CENTRE_P) / polynomial(r, co.CENTRE_Q))


# ---------------------------------------------------------------------- storage: round to nearest even, in integers
def to_bfloat16(ops: Any, value: V) -> V:
    """The upper half of a float32, as an unsigned 32-bit integer below 2^16."""
    bits = ops.unsigned(ops.bits(value))
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def to_float16(ops: Any, value: V) -> V:
    """float16 as an unsigned 32-bit integer below 2^16; subnormals by adding 0.5, whose float32 spacing is theirs."""
    bits = ops.unsigned(ops.bits(value))
    sign_bit = bits & 0x80000000
    magnitude = bits ^ sign_bit
    ordinary = (magnitude + 0xC8000FFF + ((magnitude >> 13) & 1)) >> 13
    small = ops.unsigned(ops.bits(ops.number(ops.signed(magnitude)) + 0.5)) - 0x3F000000
    return ops.where(magnitude < 0x38800000, small, ordinary & 0xFFFF) | (sign_bit >> 16)
