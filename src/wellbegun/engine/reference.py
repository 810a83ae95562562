"""The stream contract, version 1, on NumPy arrays: what every kernel must reproduce bit for bit."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import transforms, transforms64
from wellbegun.engine.parameters import PAIRED, TRANSFORMS, Parameters

Key = tuple[int, int, int, int]
_SLAB = 1 << 16  # elements handled at once, so that temporaries stay in cache
_SIGNED = {4: np.int32, 8: np.int64}
_UNSIGNED = {4: np.uint32, 8: np.uint64}
_REAL = {4: np.float32, 8: np.float64}


def _as(x: Array, types: dict[int, Any]) -> Array:
    return x.view(types[x.dtype.itemsize])


OPS = SimpleNamespace(  # what `transforms` needs beyond Python's operators; see `llvm_symbols.Symbols` for another set
    where=np.where,
    sqrt=np.sqrt,
    bits=lambda x: _as(x, _SIGNED),
    number=lambda x: _as(x, _REAL),
    signed=lambda x: _as(x, _SIGNED),
    unsigned=lambda x: _as(x, _UNSIGNED),
    real=lambda x: x.astype(_REAL[x.dtype.itemsize]),
)


def words(key: Key, blocks: Array, rounds: int = 10) -> Array:
    """The four words of each block of a stream, as uint32 of shape blocks.shape + (4,)."""
    index = blocks.astype(np.uint64)
    mask = np.uint64(transforms.MASK)
    upper = (np.full_like(index, np.uint64(word)) for word in key[2:])
    drawn = transforms.philox((index & mask, index >> np.uint64(32), *upper), round_keys(key[:2], rounds))
    return np.stack([(word & mask).astype(np.uint32) for word in drawn], axis=-1)


def element_words(key: Key, starts: Array, run: int) -> Array:
    """32-bit words of elements starts[r] + c of a stream: shape (len(starts), run)."""
    blocks = starts[:, None] // 4 + np.arange((run + 2) // 4 + 1)
    drawn = words(key, blocks).reshape(len(starts), -1)
    return np.take_along_axis(drawn, starts[:, None] % 4 + np.arange(run), axis=1)


def round_keys(key: tuple[int, ...], rounds: int = 10) -> list[tuple[Any, Any]]:
    """The key words of each round."""
    bumps = (
        [(word + number * weyl) & transforms.MASK for number in range(rounds)]
        for word, weyl in zip(key, transforms.WEYL, strict=True)
    )
    return [(np.uint64(first), np.uint64(second)) for first, second in zip(*bumps, strict=True)]


def block_values(key: Key, blocks: Array, parameters: Parameters) -> Array:
    """Values of whole blocks: shape blocks.shape + (4,) in float32, (2,) in float64."""
    drawn = words(key, blocks)
    wide = isinstance(parameters[0], np.float64)
    if wide:  # two 64-bit words, low half first
        drawn = drawn[..., 0::2].astype(np.uint64) | drawn[..., 1::2].astype(np.uint64) << np.uint64(32)
    transform = getattr(transforms64 if wide else transforms, TRANSFORMS[type(parameters)])
    with np.errstate(all="ignore"):  # lanes that `where` throws away
        if type(parameters) not in PAIRED:
            return transform(OPS, drawn, parameters)
        values = np.empty(drawn.shape, _REAL[drawn.dtype.itemsize])
        pair = drawn[..., 0::2].copy(), drawn[..., 1::2].copy()
        values[..., 0::2], values[..., 1::2] = transform(OPS, pair, parameters)
        return values


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
        rounded = transforms.to_bfloat16(OPS, np.ascontiguousarray(values, np.float32))
        return rounded.astype(np.uint16).reshape(values.shape)  # of a scalar too, which becomes a row above
    return values.astype(dtype, copy=False)


def plain(stored: Array, dtype: str) -> Array:
    """Stored values as numbers that can be computed with."""
    if dtype == "bfloat16":
        return (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return stored
