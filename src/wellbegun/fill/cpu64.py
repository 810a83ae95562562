"""Numba transforms for float64: the same bits as `reference64`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from wellbegun.fill import coefficients as co
from wellbegun.fill.parameters import CentreParameters, TailParameters, UniformParameters

D, L, U = np.float64, np.int64, np.uint64
_INLINE: Any = {"nogil": True, "error_model": "numpy", "forceinline": True}
_LN2_HIGH, _LN2_LOW = D(co.LN2_HIGH_64), D(co.LN2_LOW_64)
_ANGLE = D(2.0**-63 * (np.pi / 4))
_SPLIT, _LIMIT, _SHIFT = D(co.TAIL_SPLIT_64), D(co.CENTRE_LIMIT_64), D(co.CENTRE_SHIFT_64)


@intrinsic
def _bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return types.int64(types.float64), generate


@intrinsic
def _from_bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


def _horner(coefficients: tuple[float, ...]) -> Callable[[Any], Any]:
    """A compiled polynomial, lowest power first; the loop over constants is unrolled by LLVM."""
    count, last = len(coefficients), len(coefficients) - 1

    @njit(**_INLINE)
    def polynomial(x):
        value = coefficients[last]
        for k in range(1, count):
            value = value * x + coefficients[last - k]
        return value

    return polynomial


_log_polynomial, _sine_polynomial, _cosine_polynomial = _horner(co.LOG_64), _horner(co.SIN_64), _horner(co.COS_64)
_centre_p, _centre_q = _horner(co.CENTRE_P_64), _horner(co.CENTRE_Q_64)
_near_p, _near_q = _horner(co.NEAR_P_64), _horner(co.NEAR_Q_64)
_far_p, _far_q = _horner(co.FAR_P_64), _horner(co.FAR_Q_64)


@njit(**_INLINE)
def _clip(value, low, high):
    value = low if value < low else value
    return high if value > high else value


@njit(**_INLINE)
def _log(y, complement):
    value = D(1) - y if complement else y
    bits = _bits(value)
    exponent = (bits - L(0x3FE6A09E667F3BCD)) >> L(52)
    f = _from_bits(bits - (exponent << L(52))) - D(1)
    f = -y if (complement and exponent == 0) else f
    s = f / (D(2) + f)
    z = s * s
    correction = z * _log_polynomial(z)
    half = D(0.5) * f * f
    scale = D(exponent)
    low = scale * _LN2_LOW
    return scale * _LN2_HIGH - ((half - (s * (half + correction) + low)) - f)


@njit(**_INLINE)
def normal_pair_64(radius_word, angle_word, p):
    signed = L(radius_word)
    y = (D(signed ^ (signed >> L(63))) + D(0.5)) * D(2.0**-64)
    radius = np.sqrt(D(-2) * _log(y, signed < 0))
    x = D(L(angle_word << U(2))) * _ANGLE
    quadrant = (angle_word + U(0x2000000000000000)) >> U(62)
    z = x * x
    sine = x + x * z * _sine_polynomial(z)
    half = D(0.5) * z
    rest = D(1) - half
    cosine = rest + (((D(1) - rest) - half) + z * z * _cosine_polynomial(z))
    swap = (quadrant & U(1)) != 0
    first = sine if swap else cosine
    second = cosine if swap else sine
    first = -first if ((quadrant + U(1)) & U(2)) != 0 else first
    second = -second if (quadrant & U(2)) != 0 else second
    return p.mean + p.std * (radius * first), p.mean + p.std * (radius * second)


@njit(**_INLINE)
def _centre(c):
    r = _SHIFT - c * c
    return c * (_centre_p(r) / _centre_q(r))


@njit(**_INLINE)
def _uniform_value(word, p):
    return _clip(p.middle + p.step * D(L(word)), p.low, p.high)


@njit(**_INLINE)
def _centre_value(word, p):
    return _clip(p.location + p.scale * _centre(p.middle + p.step * D(L(word))), p.low, p.high)


@njit(**_INLINE)
def _tail_value(word, p):
    signed = L(word)
    c = p.middle + p.step * D(signed)
    negative = signed < 0
    end = signed ^ L(-0x8000000000000000) if negative else signed ^ L(0x7FFFFFFFFFFFFFFF)
    y = (D(end) + D(0.5)) * D(2.0**-64)
    left = y if negative else D(1) - y
    right = D(1) - y if negative else y
    lower, upper = p.below + p.mass * left, p.above + p.mass * right
    s = np.sqrt(-_log(lower if lower < upper else upper, False))
    near, far = s - D(1.6), s - _SPLIT
    tail = _near_p(near) / _near_q(near) if s <= _SPLIT else _far_p(far) / _far_q(far)
    tail = -tail if lower < upper else tail
    z = tail if abs(c) > _LIMIT else _centre(c)
    return _clip(p.location + p.scale * z, p.low, p.high)


_VALUES = {UniformParameters: _uniform_value, CentreParameters: _centre_value, TailParameters: _tail_value}


def value_64(law: type) -> Callable[..., Any]:
    """The compiled transform of one 64-bit word for this kind of parameters."""
    return _VALUES[law]
