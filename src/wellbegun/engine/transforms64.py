"""Random words -> values, for 64-bit words and float64. As `transforms`, with the double polynomials."""

import math
from typing import Any

from wellbegun.engine import coefficients as co
from wellbegun.engine.transforms import V, clip, polynomial, sign, uniform

__all__ = ["log_uniform", "normal", "sign", "truncated_centre", "truncated_tail", "uniform"]

_ANGLE = 2.0**-63 * (math.pi / 4)


def log(ops: Any, y: V, complement: V | None = None) -> V:
    """ln(y), or ln(1 - y) where `complement`. Reduction and polynomial of fdlibm."""
    value = y if complement is None else ops.where(complement, 1 - y, y)
    bits = ops.bits(value)
    exponent = (bits - 0x3FE6A09E667F3BCD) >> 52
    f = ops.number(bits - (exponent << 52)) - 1.0
    if complement is not None:
        f = ops.where(complement & (exponent == 0), -y, f)
    s = f / (f + 2.0)
    z = s * s
    correction = z * polynomial(z, co.LOG_64)
    half = f * 0.5 * f
    scale = ops.real(exponent)
    low = scale * co.LN2_LOW_64
    return scale * co.LN2_HIGH_64 - ((half - (s * (half + correction) + low)) - f)


def exp(ops: Any, x: V) -> V:
    """e^x for |x| < 708, relative error below 3e-16."""
    shifted = x * co.LOG2_E + co.ROUNDING_64
    exponent = ops.bits(shifted) - 0x4338000000000000
    scale = shifted - co.ROUNDING_64
    f = (x - scale * co.LN2_HIGH_64) - scale * co.LN2_LOW_64
    return (1.0 + (f + f * f * polynomial(f, co.EXP_64))) * ops.number((exponent + 1023) << 52)


def box_muller(ops: Any, radius_word: V, angle_word: V) -> tuple[V, V]:
    """Two standard normals from two 64-bit words."""
    signed = ops.signed(radius_word)
    y = (ops.real(signed ^ (signed >> 63)) + 0.5) * 2.0**-64
    radius = ops.sqrt(log(ops, y, signed < 0) * -2.0)
    t = ops.real(ops.signed(angle_word << 2)) * _ANGLE
    quadrant = (angle_word + 0x2000000000000000) >> 62
    z = t * t
    sine = t + t * z * polynomial(z, co.SIN_64)
    half = z * 0.5
    rest = 1.0 - half
    cosine = rest + (((1.0 - rest) - half) + z * z * polynomial(z, co.COS_64))
    swap = (quadrant & 1) != 0
    x, y = ops.where(swap, sine, cosine), ops.where(swap, cosine, sine)
    x = ops.where(((quadrant + 1) & 2) != 0, -x, x)
    y = ops.where((quadrant & 2) != 0, -y, y)
    return radius * x, radius * y


def normal(ops: Any, words: tuple[V, V], p: Any) -> tuple[V, V]:
    """mean + std * z"""
    x, y = box_muller(ops, *words)
    return x * p.std + p.mean, y * p.std + p.mean


def log_uniform(ops: Any, word: V, p: Any) -> V:
    """e^(middle + step * w)"""
    return clip(ops, exp(ops, ops.real(ops.signed(word)) * p.step + p.middle), p)


def truncated_centre(ops: Any, word: V, p: Any) -> V:
    """Inverse normal where no tail can be hit (Wichura's AS 241)."""
    z = _centre(ops.real(ops.signed(word)) * p.step + p.middle)
    return clip(ops, z * p.scale + p.location, p)


def truncated_tail(ops: Any, word: V, p: Any) -> V:
    """Inverse normal everywhere; probabilities are counted from the nearer end."""
    signed = ops.signed(word)
    negative = signed < 0
    end = ops.where(negative, signed ^ -0x8000000000000000, signed ^ 0x7FFFFFFFFFFFFFFF)
    near = (ops.real(end) + 0.5) * 2.0**-64
    lower = ops.where(negative, near, 1 - near) * p.mass + p.below
    upper = ops.where(negative, 1 - near, near) * p.mass + p.above
    left = lower < upper
    s = ops.sqrt(-log(ops, ops.where(left, lower, upper)))
    close, far = s - 1.6, s - co.TAIL_SPLIT_64
    tail = ops.where(
        s <= co.TAIL_SPLIT_64,
        polynomial(close, co.NEAR_P_64) / polynomial(close, co.NEAR_Q_64),
        polynomial(far, co.FAR_P_64) / polynomial(far, co.FAR_Q_64),
    )
    c = ops.real(signed) * p.step + p.middle
    central = ops.where(c < 0.0, -c, c) <= co.CENTRE_LIMIT_64
    z = ops.where(central, _centre(c), ops.where(left, -tail, tail))
    return clip(ops, z * p.scale + p.location, p)


def _centre(c: V) -> V:
    r = co.CENTRE_SHIFT_64 - c * c
    return c * (polynomial(r, co.CENTRE_P_64) / polynomial(r, co.CENTRE_Q_64))
