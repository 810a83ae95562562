"""Small samples of values, and which rows of weights are equal, by handles."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Handle
from wellbegun.engine import fill
from wellbegun.laws import Law
from wellbegun.theory.spectrum import beyond_chance

UNITS, ENTRIES, SAMPLES = 64, 256, 32  # most that `sample` keeps of a value; samples, if it has positions too
_FLAT = 1 << 18  # entries above which a statistic that allows it is taken of some only
_FEW = 1 << 14  # random numbers that are kept
_COLUMNS = 8  # looked at first when rows are compared
_SOME, _WIDE = 96, 1024  # rows and columns whose singular values are looked at
_BLOCK = 1 << 22  # entries of rows that are hashed at once: bounded memory, whatever the size


def drawn(law: Law, shape: tuple[int, ...], name: str, dtype: str = "float32") -> Array:
    """Random numbers that are the same every time; few are kept, as drawing them takes longer than a small pass."""
    if math.prod(shape) > _FEW:
        return fill(law, shape, seed=0, name=name, dtype=dtype)
    return _few(law, shape, name, dtype).copy()


@lru_cache(16)
def _few(law: Law, shape: tuple[int, ...], name: str, dtype: str) -> Array:
    return fill(law, shape, seed=0, name=name, dtype=dtype)


def size_of(handle: Handle) -> int:
    """Number of entries."""
    return math.prod(handle.shape)


def rms(handle: Handle) -> float:
    """Root mean square, in double precision; 0 for no entries."""
    return handle.norm() / math.sqrt(max(size_of(handle), 1))


def rough_rms(handle: Handle) -> float:
    """Root mean square of every k-th sample if there are more than 2^19 entries; a relative standard error of 1 %."""
    step = min(max(size_of(handle) // _FLAT, 1), max(handle.shape[0] // 4, 1)) if handle.shape else 1
    return rms(handle.part(slice(None, None, step)) if step > 1 else handle)


def is_finite(handle: Handle, length: float) -> bool:
    """Whether every entry is; the norm tells, unless squares overflow."""
    return math.isfinite(length) or handle.finite()


def unit_axis(axis: int | None, handle: Handle) -> int:
    """The axis of units of an operation's output; the last where nothing tells."""
    return len(handle.shape) - 1 if axis is None else axis


def sample(handle: Handle, axis: int) -> Array:
    """A copy of some entries as (samples, positions, units), evenly spaced along each axis; units are on `axis`. There
    are two axes at least."""
    rank = len(handle.shape)
    order = [*(other for other in range(rank) if other != axis), axis]
    shape = [max(handle.shape[at], 1) for at in order]
    step = -(-shape[0] // (SAMPLES if rank > 2 else ENTRIES))
    places = [slice(None, None, step)]
    left = max(1, ENTRIES // -(-shape[0] // step))
    for at in range(1, rank - 1):
        keep = max(1, round(left ** (1 / (rank - 1 - at))))
        step = -(-shape[at] // keep)
        places.append(slice(None, None, step))
        left = max(1, left // -(-shape[at] // step))
    step = -(-shape[-1] // UNITS)
    places.append(slice((shape[-1] - 1) % step // 2, None, step))  # as many left out on either side
    some = np.array(handle.transposed(order).part(*places).array())
    return some.reshape(len(some), math.prod(some.shape[1:-1]), some.shape[-1])


def correlation(samples: Array) -> float | None:
    """Mean cosine between two different samples, of at most 32; None for fewer than two, or samples of zeros."""
    # not a whole step: rows may be positions of sequences, and one of them the same in all
    rows = np.linspace(0, len(samples) - 1, min(len(samples), SAMPLES)).round().astype(int)
    some = samples[rows].astype(np.float64)
    some = some.reshape(len(some), math.prod(some.shape[1:]))
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("nk,nk->n", some, some))
        some = some[lengths > 0] / lengths[lengths > 0, None]
        n = len(some)
        if n < 2:
            return None
        mean = float((np.sum(some.sum(axis=0) ** 2) - n) / (n * (n - 1)))
    return min(mean, 1.0) if math.isfinite(mean) else None


# ---------------------------------------------------------------------- equal rows
class Rows(NamedTuple):
    """The units of a weight as the rows of a matrix, which is made in blocks when it is needed: it may be large."""

    handle: Handle  # axes of units first
    axes: int  # how many those are

    def __len__(self) -> int:
        return math.prod(self.handle.shape[: self.axes])

    def some(self, most: int) -> Array:
        """About as many evenly spaced columns."""
        inputs = self.handle.shape[self.axes :]
        count = math.prod(inputs)
        places = np.unravel_index(np.arange(0, count, max(1, count // most)), inputs) if inputs else ()
        return _flat(self.handle.part(*[slice(None)] * self.axes, *places).array(), len(self))

    def hashes(self) -> Array:
        """A 64-bit number for each row, equal for equal rows (0.0 and -0.0 count as equal)."""
        first = max(self.handle.shape[0], 1)
        each = max(1, _BLOCK // max(size_of(self.handle) // first, 1))
        blocks = (self.handle.part(slice(start, start + each)) for start in range(0, first, each))
        inner = math.prod(self.handle.shape[1 : self.axes])
        return np.concatenate([_hashed(_flat(block.array(), block.shape[0] * inner)) for block in blocks])


def _flat(rows: Array, count: int) -> Array:
    """Two axes; complex entries as two."""
    flat = np.ascontiguousarray(rows).reshape(count, rows.size // count if count else 0)
    return flat.view(flat.real.dtype) if np.iscomplexobj(flat) else flat


def _hashed(rows: Array) -> Array:
    multipliers = np.random.Generator(np.random.PCG64(1)).integers(-(2**62), 2**62, rows.shape[1]) | 1
    mixed = (rows.astype(np.float64) + 0.0).view(np.int64) * multipliers
    found: Array = ((mixed ^ (mixed >> 32)) * multipliers).sum(axis=1)  # or sign bits would cancel in pairs
    return found


def different(rows: Rows) -> int:
    """Number of different rows."""
    if any(_all_different(rows.some(columns)) for columns in (1, _COLUMNS)):
        return len(rows)  # rows that differ in a few columns need no further look
    return len(np.unique(rows.hashes())) if rows.handle.largest() else 1


def _all_different(rows: Array) -> bool:
    keys = rows[:, 0] if rows.shape[1] == 1 else _hashed(rows)
    return len(np.unique(keys, equal_nan=False)) == len(rows)


def twins(rows: Rows, gradients: Array) -> int:
    """Number of rows that equal another one both in weights and in gradients, of which these are the hashes."""
    _, counts = np.unique(rows.hashes() * 0x9E3779B97F4A7C1 + gradients, return_counts=True)
    return int(counts[counts > 1].sum())


def digest(handle: Handle) -> int:
    """A 64-bit number, equal for equal tensors of one shape."""
    hashes = Rows(handle, min(len(handle.shape), 1)).hashes() if handle.shape else np.zeros(1, np.int64)
    return int(_hashed(hashes.view(np.float64)[None])[0])


def outlying(rows: Rows) -> float:
    """How far the largest singular value of some rows and columns lies `beyond_chance`."""
    first, *window, last = rows.handle.shape
    each = max(_WIDE // max(math.prod(window), 1), 1)
    steps = slice(None, None, -(-first // _SOME)), *[slice(None)] * len(window), slice(None, None, -(-last // each))
    some = rows.handle.part(*steps).array()
    return beyond_chance(some.reshape(len(some), -1))
