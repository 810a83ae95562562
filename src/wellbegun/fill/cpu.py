"""Numba kernels: the same bits as `reference`, at the speed of the machine.

Importing this module loads Numba; only `wellbegun.fill.engine` does so, and only when the work is worth it.
Kernels release the GIL, keep no state and are cached on disk. Each writes rows of a strided destination:
element first + r * step + c of the stream goes to flat[offset + r * pitch + c].

Two shapes of loop, by measurement: laws that turn one word into one value are fused with Philox, so that memory writes
overlap arithmetic; the normal is drawn tile by tile, because both halves together do not fit the vector registers.
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic, overload

from wellbegun.fill import coefficients as co
from wellbegun.fill.cpu64 import normal_pair_64, value_64
from wellbegun.fill.parameters import CentreParameters, NormalParameters, TailParameters, UniformParameters

F, I, W, U = np.float32, np.int32, np.uint32, np.uint64  # noqa: E741 - as in the reference
_OPTIONS: Any = {"nogil": True, "error_model": "numpy"}
_INLINE: Any = {**_OPTIONS, "forceinline": True}  # LLVM would leave calls in the loop, and then not vectorize it
_TILE = 1024  # blocks; words and values of a tile stay in the first-level cache

_MASK, _SHIFT = U(0xFFFFFFFF), U(32)
_MULTIPLY0, _MULTIPLY1 = U(0xD2511F53), U(0xCD9E8D57)
_WEYL0, _WEYL1 = U(0x9E3779B9), U(0xBB67AE85)
_LN2_HIGH, _LN2_LOW = F(co.LN2_HIGH), F(co.LN2_LOW)
_L0, _L1, _L2, _L3, _L4, _L5, _L6, _L7 = (F(value) for value in co.LOG)
_S0, _S1, _S2, _S3 = (F(value) for value in co.SIN)
_C0, _C1, _C2, _C3 = (F(value) for value in co.COS)
_P0, _P1, _P2, _P3, _P4, _P5 = (F(value) for value in co.CENTRE_P)
_Q0, _Q1, _Q2, _Q3, _Q4 = (F(value) for value in co.CENTRE_Q)
_A0, _A1, _A2, _A3, _A4 = (F(value) for value in co.TAIL_P)
_B0, _B1, _B2, _B3 = (F(value) for value in co.TAIL_Q)
_CENTRE_SHIFT, _TAIL_BELOW = F(co.CENTRE_SHIFT), F(co.TAIL_BELOW)


@intrinsic
def _bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int32))

    return types.int32(types.float32), generate


@intrinsic
def _from_bits(typing_context: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@njit(**_INLINE)
def _philox(block, key):
    """Four words in 64-bit lanes: only the low halves count, which saves every mask and shuffle between rounds."""
    x0, x1, x2, x3 = block & _MASK, block >> _SHIFT, U(key[2]), U(key[3])
    k0, k1 = U(key[0]), U(key[1])
    for _ in range(10):
        p0 = (x0 & _MASK) * _MULTIPLY0
        p1 = (x2 & _MASK) * _MULTIPLY1
        x0 = (p1 >> _SHIFT) ^ x1 ^ k0
        x1 = p1
        x2 = (p0 >> _SHIFT) ^ x3 ^ k1
        x3 = p0
        k0 = (k0 + _WEYL0) & _MASK
        k1 = (k1 + _WEYL1) & _MASK
    return W(x0), W(x1), W(x2), W(x3)


# ---------------------------------------------------------------------- transforms, as in the reference
@njit(**_INLINE)
def _clip(value, low, high):
    value = low if value < low else value
    return high if value > high else value


@njit(**_INLINE)
def _log(y, complement):
    value = F(1) - y if complement else y
    bits = _bits(value)
    exponent = I(I(bits - I(0x3F3504F3)) >> I(23))
    f = _from_bits(I(bits - I(exponent << I(23)))) - F(1)
    f = -y if (complement and exponent == 0) else f
    p = ((((((_L7 * f + _L6) * f + _L5) * f + _L4) * f + _L3) * f + _L2) * f + _L1) * f + _L0
    square = f * f
    tail = square * F(-0.5) + square * f * p
    scale = F(exponent)
    return scale * _LN2_HIGH + ((scale * _LN2_LOW + tail) + f)


@njit(**_INLINE)
def _box_muller(radius_word, angle_word):
    signed = I(radius_word)
    y = (F(I(signed ^ I(signed >> I(31)))) + F(0.5)) * F(2.0**-32)
    radius = np.sqrt(F(-2) * _log(y, signed < 0))
    t = F(I(W(angle_word << W(2)))) * F(2.0**-31)
    quadrant = W(W(angle_word + W(0x20000000)) >> W(30))
    square = t * t
    sine = t * (((_S3 * square + _S2) * square + _S1) * square + _S0)
    cosine = square * (((_C3 * square + _C2) * square + _C1) * square + _C0) + F(1)
    swap = (quadrant & W(1)) != 0
    x = sine if swap else cosine
    y = cosine if swap else sine
    x = -x if ((quadrant + W(1)) & W(2)) != 0 else x
    y = -y if (quadrant & W(2)) != 0 else y
    return radius * x, radius * y


@njit(**_INLINE)
def _centre(c):
    r = _CENTRE_SHIFT - c * c
    p = ((((_P5 * r + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _P0
    q = (((_Q4 * r + _Q3) * r + _Q2) * r + _Q1) * r + _Q0
    return c * (p / q)


@njit(**_INLINE)
def _tail(q):
    s = np.sqrt(-_log(q, False))
    p = (((_A4 * s + _A3) * s + _A2) * s + _A1) * s + _A0
    return p / (((_B3 * s + _B2) * s + _B1) * s + _B0)


@njit(**_INLINE)
def _uniform_value(word, p):
    return _clip(p.middle + p.step * F(I(word)), p.low, p.high)


@njit(**_INLINE)
def _centre_value(word, p):
    return _clip(p.location + p.scale * _centre(p.middle + p.step * F(I(word))), p.low, p.high)


@njit(**_INLINE)
def _tail_value(word, p):
    signed = I(word)
    c = p.middle + p.step * F(signed)
    negative = signed < 0
    end = I(signed ^ I(-0x80000000)) if negative else I(signed ^ I(0x7FFFFFFF))
    y = (F(end) + F(0.5)) * F(2.0**-32)
    left = y if negative else F(1) - y
    right = F(1) - y if negative else y
    lower = p.below + p.mass * left
    upper = p.above + p.mass * right
    q = lower if lower < upper else upper
    tail = _tail(q)
    tail = -tail if lower < upper else tail
    z = tail if q < _TAIL_BELOW else _centre(c)
    return _clip(p.location + p.scale * z, p.low, p.high)


def _value(word, parameters):
    """One word -> one value; the law is chosen by the type of `parameters` when a kernel is compiled."""
    raise NotImplementedError  # pragma: no cover - replaced below


@overload(_value, jit_options=_INLINE)
def _choose_value(word, parameters):
    transform = {
        UniformParameters: _uniform_value,
        CentreParameters: _centre_value,
        TailParameters: _tail_value,
    }[parameters.instance_class]
    return lambda word, parameters: transform(word, parameters)


# ---------------------------------------------------------------------- storage
@njit(**_INLINE)
def _to_bfloat16(value):
    bits = W(_bits(value))
    return np.uint16(W(bits + W(0x7FFF) + W(W(bits >> W(16)) & W(1))) >> W(16))


@njit(**_INLINE)
def _to_float16(value):
    """Round to nearest even in integers; subnormals by adding 0.5, whose spacing in float32 is theirs."""
    bits = W(_bits(value))
    sign = W(bits & W(0x80000000))
    magnitude = W(bits ^ sign)
    odd = W(W(magnitude >> W(13)) & W(1))
    normal = W(W(magnitude + W(0xC8000FFF) + odd) >> W(13))
    subnormal = W(W(_bits(_from_bits(I(magnitude)) + F(0.5))) - W(0x3F000000))
    half = subnormal if magnitude < W(0x38800000) else normal
    return np.int16(W(half | W(sign >> W(16))))


def _cast(out, value):
    """Round to the storage of the destination: uint16 holds bfloat16, int16 holds float16."""
    raise NotImplementedError  # pragma: no cover - replaced below


@overload(_cast, jit_options=_INLINE)
def _choose_cast(out, value):
    if out.dtype == types.uint16:
        return lambda out, value: _to_bfloat16(value)
    if out.dtype == types.int16:
        return lambda out, value: _to_float16(value)
    return lambda out, value: value


# ---------------------------------------------------------------------- kernels
@njit(**_INLINE)
def _edge(out, at, block, lane, count, key, parameters):
    """Part of one block: `count` values from `lane` on."""
    words = _philox(U(block), key)
    for k in range(count):
        out[at + k] = _cast(out, _value(words[lane + k], parameters))


@njit(**_INLINE)
def _run(out, first, key, parameters):
    count = out.shape[0]
    lane = first & 3
    head = min((4 - lane) & 3, count)
    _edge(out, 0, first >> 2, lane, head, key, parameters)
    start = U((first + head) >> 2)
    blocks = (count - head) >> 2
    body = out[head : head + 4 * blocks]
    for j in range(blocks):
        w0, w1, w2, w3 = _philox(start + U(j), key)
        body[4 * j] = _cast(out, _value(w0, parameters))
        body[4 * j + 1] = _cast(out, _value(w1, parameters))
        body[4 * j + 2] = _cast(out, _value(w2, parameters))
        body[4 * j + 3] = _cast(out, _value(w3, parameters))
    done = head + 4 * blocks
    _edge(out, done, (first + done) >> 2, 0, count - done, key, parameters)


@njit(cache=True, **_OPTIONS)
def fill_values(flat, offset, pitch, rows, run, first, step, key, parameters):
    """Uniform and truncated normal: one word, one value."""
    for row in range(rows):
        at = offset + row * pitch
        _run(flat[at : at + run], first + row * step, key, parameters)


@njit(**_INLINE)
def _normal_edge(out, at, block, lane, count, key, p):
    w0, w1, w2, w3 = _philox(U(block), key)
    z0, z1 = _box_muller(w0, w1)
    z2, z3 = _box_muller(w2, w3)
    values = (z0, z1, z2, z3)
    for k in range(count):
        out[at + k] = _cast(out, p.mean + p.std * values[lane + k])


@njit(**_INLINE)
def _normal_tile(out, start, key, p, radius_words, angle_words):
    for j in range(out.shape[0] >> 2):
        w0, w1, w2, w3 = _philox(start + U(j), key)
        radius_words[2 * j] = w0
        radius_words[2 * j + 1] = w2
        angle_words[2 * j] = w1
        angle_words[2 * j + 1] = w3
    for j in range(out.shape[0] >> 1):
        x, y = _box_muller(radius_words[j], angle_words[j])
        out[2 * j] = _cast(out, p.mean + p.std * x)
        out[2 * j + 1] = _cast(out, p.mean + p.std * y)


@njit(cache=True, **_OPTIONS)
def fill_normal(flat, offset, pitch, rows, run, first, step, key, p):
    """Normal: pairs of words, pairs of values."""
    radius_words, angle_words = np.empty(2 * _TILE, W), np.empty(2 * _TILE, W)
    for row in range(rows):
        at, element = offset + row * pitch, first + row * step
        lane = element & 3
        head = min((4 - lane) & 3, run)
        _normal_edge(flat, at, element >> 2, lane, head, key, p)
        whole = head + ((run - head) & ~3)
        for done in range(head, whole, 4 * _TILE):
            tile = flat[at + done : at + min(done + 4 * _TILE, whole)]
            _normal_tile(tile, U((element + done) >> 2), key, p, radius_words, angle_words)
        _normal_edge(flat, at + whole, (element + whole) >> 2, 0, run - whole, key, p)


# ---------------------------------------------------------------------- float64: two values a block
@njit(**_INLINE)
def _pair_64(block, key, p):
    w0, w1, w2, w3 = _philox(block, key)
    low, high = U(w0) | (U(w1) << _SHIFT), U(w2) | (U(w3) << _SHIFT)
    return _both_64(low, high, p)


def _both_64(low, high, parameters):
    raise NotImplementedError  # pragma: no cover - replaced below


@overload(_both_64, jit_options=_INLINE)
def _choose_both_64(low, high, parameters):
    if parameters.instance_class is NormalParameters:
        return lambda low, high, parameters: normal_pair_64(low, high, parameters)
    value = value_64(parameters.instance_class)
    return lambda low, high, parameters: (value(low, parameters), value(high, parameters))


@njit(cache=True, **_OPTIONS)
def fill_64(flat, offset, pitch, rows, run, first, step, key, parameters):
    """Every law in float64."""
    for row in range(rows):
        at, element = offset + row * pitch, first + row * step
        head = min(element & 1, run)
        if head:
            flat[at] = _pair_64(U(element >> 1), key, parameters)[1]
        blocks, start = (run - head) >> 1, U((element + head) >> 1)
        body = flat[at + head : at + head + 2 * blocks]
        for j in range(blocks):
            x, y = _pair_64(start + U(j), key, parameters)
            body[2 * j] = x
            body[2 * j + 1] = y
        done = head + 2 * blocks
        if done < run:
            flat[at + done] = _pair_64(U((element + done) >> 1), key, parameters)[0]
