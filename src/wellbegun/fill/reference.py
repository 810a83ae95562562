"""The stream contract, version 1, as readable NumPy. Every kernel must give the same bits.

Only operations that IEEE 754 defines exactly are used (+ - * / sqrt, comparisons, integer and bit operations), in a
fixed order and without fused multiply-add, so any machine that keeps to them gives the same numbers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.fill import coefficients as co
from wellbegun.fill.parameters import (
    CentreParameters,
    NormalParameters,
    Parameters,
    TailParameters,
    UniformParameters,
)

Key = tuple[int, int, int, int]
_SLAB = 1 << 16  # elements handled at once, so that temporaries stay in cache

_MASK, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)
_MULTIPLY = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


def philox4x32(counter: Sequence[Array], key: Sequence[Array], rounds: int = 10) -> tuple[Array, ...]:
    """Philox4x32: four counter words and two key words (uint64 arrays holding 32 bits) -> four words of 32 bits.

    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", doi:10.1145/2063384.2063405.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        product0, product1 = c0 * _MULTIPLY[0], c2 * _MULTIPLY[1]
        c0, c1, c2, c3 = (
            (product1 >> _SHIFT) ^ c1 ^ k0,
            product1 & _MASK,
            (product0 >> _SHIFT) ^ c3 ^ k1,
            product0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def words(key: Key, blocks: Array) -> Array:
    """The four words of each block of a stream: shape blocks.shape + (4,)."""
    a, b, c, d = (np.uint64(word) for word in key)
    index = blocks.astype(np.uint64)
    counter = index & _MASK, index >> _SHIFT, np.full_like(index, c), np.full_like(index, d)
    found = philox4x32(counter, (np.full_like(index, a), np.full_like(index, b)))
    return np.stack(found, axis=-1).astype(np.uint32)


# ---------------------------------------------------------------------- float32
F, I, W = np.float32, np.int32, np.uint32  # noqa: E741 - short names keep the formulas readable


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    """Horner's rule, lowest power first, in the dtype of `x`."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + x.dtype.type(coefficient)
    return value


def _log(y: Array, complement: Array) -> Array:
    """ln(y), or ln(1 - y) where `complement`; y in (0, 1/2]. The complement keeps its accuracy as y -> 0."""
    value = np.where(complement, F(1) - y, y)
    bits = value.view(I)
    exponent = (bits - I(0x3F3504F3)) >> I(23)
    f = (bits - (exponent << I(23))).view(F) - F(1)
    f = np.where(complement & (exponent == 0), -y, f)
    square = f * f
    tail = square * F(-0.5) + square * f * _polynomial(f, co.LOG)
    scale = exponent.astype(F)
    return scale * F(co.LN2_HIGH) + ((scale * F(co.LN2_LOW) + tail) + f)


def _fold(word: Array) -> tuple[Array, Array]:
    """A word as y in (0, 1/2] and a flag: u = y, or u = 1 - y where the flag is set, uniform on (0, 1)."""
    signed = word.view(I)
    y = ((signed ^ (signed >> I(31))).astype(F) + F(0.5)) * F(2.0**-32)
    return y, signed < 0


def box_muller(radius_word: Array, angle_word: Array) -> tuple[Array, Array]:
    """Two standard normals from two words: r cos(2 pi v), r sin(2 pi v), r = sqrt(-2 ln u), u and v in 2^-32 steps."""
    radius = np.sqrt(F(-2) * _log(*_fold(radius_word)))
    t = (angle_word << W(2)).view(I).astype(F) * F(2.0**-31)  # angle within its quadrant, in units of pi/4
    quadrant = (angle_word + W(0x20000000)) >> W(30)
    square = t * t
    sine = t * _polynomial(square, co.SIN)
    cosine = square * _polynomial(square, co.COS) + F(1)
    swap = (quadrant & W(1)) != 0
    x, y = np.where(swap, sine, cosine), np.where(swap, cosine, sine)
    x = np.where(((quadrant + W(1)) & W(2)) != 0, -x, x)
    y = np.where((quadrant & W(2)) != 0, -y, y)
    return radius * x, radius * y


def _uniform(block: Array, p: UniformParameters) -> Array:
    return np.minimum(np.maximum(p.middle + p.step * block.view(I).astype(F), p.low), p.high)


def _normal(block: Array, p: NormalParameters) -> Array:
    values = np.empty(block.shape, F)
    values[..., 0::2], values[..., 1::2] = box_muller(block[..., 0::2].copy(), block[..., 1::2].copy())
    return p.mean + p.std * values


def _centre(c: Array) -> Array:
    r = F(co.CENTRE_SHIFT) - c * c
    return c * (_polynomial(r, co.CENTRE_P) / _polynomial(r, co.CENTRE_Q))


def _truncated_centre(block: Array, p: CentreParameters) -> Array:
    z = _centre(p.middle + p.step * block.view(I).astype(F))
    return np.minimum(np.maximum(p.location + p.scale * z, p.low), p.high)


def _truncated_tail(block: Array, p: TailParameters) -> Array:
    signed = block.view(I)
    c = p.middle + p.step * signed.astype(F)
    # u of this word counted from the nearer end, so that small tails keep their relative accuracy
    end = (signed ^ np.where(signed < 0, I(-0x80000000), I(0x7FFFFFFF))).astype(F)
    y = (end + F(0.5)) * F(2.0**-32)
    left, right = np.where(signed < 0, y, F(1) - y), np.where(signed < 0, F(1) - y, y)
    lower, upper = p.below + p.mass * left, p.above + p.mass * right
    q = np.minimum(lower, upper)
    s = np.sqrt(-_log(q, np.zeros(q.shape, np.bool_)))
    tail = _polynomial(s, co.TAIL_P) / _polynomial(s, co.TAIL_Q)
    z = np.where(q < F(co.TAIL_BELOW), np.where(lower < upper, -tail, tail), _centre(c))
    return np.minimum(np.maximum(p.location + p.scale * z, p.low), p.high)


# ---------------------------------------------------------------------- blocks and elements
_Transform = Callable[[Array, Any], Array]
_TRANSFORMS: dict[type, _Transform] = {
    UniformParameters: _uniform,
    NormalParameters: _normal,
    CentreParameters: _truncated_centre,
    TailParameters: _truncated_tail,
}


def block_values(key: Key, blocks: Array, parameters: Parameters) -> Array:
    """Values of whole blocks: shape blocks.shape + (4,) in float32, (2,) in float64."""
    drawn = words(key, blocks)
    if isinstance(parameters[0], np.float64):
        from wellbegun.fill import reference64

        return reference64.TRANSFORMS[type(parameters)](drawn, parameters)
    with np.errstate(invalid="ignore", divide="ignore"):  # lanes that `where` throws away
        return _TRANSFORMS[type(parameters)](drawn, parameters)


def fill_rows(out: Array, first: int, step: int, key: Key, parameters: Parameters, dtype: str) -> None:
    """Write elements first + r * step + c of a stream into out[r, c]."""
    rows, run = out.shape
    per_block = 2 if dtype == "float64" else 4
    width = (run + per_block - 2) // per_block + 1  # blocks a run can touch
    if run > _SLAB:
        for row in range(rows):
            for start in range(0, run, _SLAB):
                piece = out[row : row + 1, start : start + _SLAB]
                fill_rows(piece, first + row * step + start, 0, key, parameters, dtype)
        return
    slab = max(1, _SLAB // (width * per_block))
    for row in range(0, rows, slab):
        starts = first + step * np.arange(row, min(row + slab, rows), dtype=np.int64)
        blocks = starts[:, None] // per_block + np.arange(width, dtype=np.int64)
        values = block_values(key, blocks, parameters).reshape(len(starts), -1)
        pick = starts[:, None] % per_block + np.arange(run, dtype=np.int64)
        out[row : row + slab] = cast(np.take_along_axis(values, pick, axis=1), dtype)


def cast(values: Array, dtype: str) -> Array:
    """Round to the storage of `dtype`, to nearest even. bfloat16 is stored as the upper half of a float32."""
    if dtype == "bfloat16":
        bits = np.ascontiguousarray(values, F).view(W)
        return ((bits + W(0x7FFF) + ((bits >> W(16)) & W(1))) >> W(16)).astype(np.uint16)
    return values.astype(dtype, copy=False)
