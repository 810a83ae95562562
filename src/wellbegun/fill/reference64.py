"""The float64 half of the stream contract: uniforms from two words, double polynomials, IEEE-exact steps only."""

from collections.abc import Callable
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.fill import coefficients as co
from wellbegun.fill.parameters import CentreParameters, NormalParameters, TailParameters, UniformParameters

D, L, U = np.float64, np.int64, np.uint64


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + D(coefficient)
    return value


def _join(block: Array) -> Array:
    """Four words -> two 64-bit words, low half first."""
    wide = block.astype(U)
    return wide[..., 0::2] | (wide[..., 1::2] << U(32))


def _log(y: Array, complement: Array) -> Array:
    """ln(y), or ln(1 - y) where `complement`; y in (0, 1/2]. The reduction and polynomial of fdlibm."""
    value = np.where(complement, D(1) - y, y)
    bits = value.view(L)
    exponent = (bits - L(0x3FE6A09E667F3BCD)) >> L(52)
    f = (bits - (exponent << L(52))).view(D) - D(1)
    f = np.where(complement & (exponent == 0), -y, f)
    s = f / (D(2) + f)
    z = s * s
    correction = z * _polynomial(z, co.LOG_64)
    half = D(0.5) * f * f
    scale = exponent.astype(D)
    low = scale * D(co.LN2_LOW_64)
    return scale * D(co.LN2_HIGH_64) - ((half - (s * (half + correction) + low)) - f)


def box_muller(radius_word: Array, angle_word: Array) -> tuple[Array, Array]:
    """Two standard normals from two 64-bit words."""
    signed = radius_word.view(L)
    y = ((signed ^ (signed >> L(63))).astype(D) + D(0.5)) * D(2.0**-64)
    radius = np.sqrt(D(-2) * _log(y, signed < 0))
    x = (angle_word << U(2)).view(L).astype(D) * D(2.0**-63 * (np.pi / 4))
    quadrant = (angle_word + U(0x2000000000000000)) >> U(62)
    z = x * x
    sine = x + x * z * _polynomial(z, co.SIN_64)
    half = D(0.5) * z
    rest = D(1) - half
    cosine = rest + (((D(1) - rest) - half) + z * z * _polynomial(z, co.COS_64))
    swap = (quadrant & U(1)) != 0
    first, second = np.where(swap, sine, cosine), np.where(swap, cosine, sine)
    first = np.where(((quadrant + U(1)) & U(2)) != 0, -first, first)
    second = np.where((quadrant & U(2)) != 0, -second, second)
    return radius * first, radius * second


def _uniform(block: Array, p: UniformParameters) -> Array:
    return np.minimum(np.maximum(p.middle + p.step * _join(block).view(L).astype(D), p.low), p.high)


def _normal(block: Array, p: NormalParameters) -> Array:
    wide = _join(block)
    values = np.stack(box_muller(wide[..., 0].copy(), wide[..., 1].copy()), axis=-1)
    return p.mean + p.std * values


def _centre(c: Array) -> Array:
    r = D(co.CENTRE_SHIFT_64) - c * c
    return c * (_polynomial(r, co.CENTRE_P_64) / _polynomial(r, co.CENTRE_Q_64))


def _truncated_centre(block: Array, p: CentreParameters) -> Array:
    z = _centre(p.middle + p.step * _join(block).view(L).astype(D))
    return np.minimum(np.maximum(p.location + p.scale * z, p.low), p.high)


def _truncated_tail(block: Array, p: TailParameters) -> Array:
    signed = _join(block).view(L)
    c = p.middle + p.step * signed.astype(D)
    end = (signed ^ np.where(signed < 0, L(-0x8000000000000000), L(0x7FFFFFFFFFFFFFFF))).astype(D)
    y = (end + D(0.5)) * D(2.0**-64)
    left, right = np.where(signed < 0, y, D(1) - y), np.where(signed < 0, D(1) - y, y)
    lower, upper = p.below + p.mass * left, p.above + p.mass * right
    s = np.sqrt(-_log(np.minimum(lower, upper), np.zeros(c.shape, np.bool_)))
    near, far = s - D(1.6), s - D(co.TAIL_SPLIT_64)
    near_tail = _polynomial(near, co.NEAR_P_64) / _polynomial(near, co.NEAR_Q_64)
    far_tail = _polynomial(far, co.FAR_P_64) / _polynomial(far, co.FAR_Q_64)
    tail = np.where(s <= D(co.TAIL_SPLIT_64), near_tail, far_tail)
    z = np.where(np.abs(c) > D(co.CENTRE_LIMIT_64), np.where(lower < upper, -tail, tail), _centre(c))
    return np.minimum(np.maximum(p.location + p.scale * z, p.low), p.high)


TRANSFORMS: dict[type, Callable[[Array, Any], Array]] = {
    UniformParameters: _uniform,
    NormalParameters: _normal,
    CentreParameters: _truncated_centre,
    TailParameters: _truncated_tail,
}
