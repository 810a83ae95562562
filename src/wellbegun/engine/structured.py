"""Structured orthogonal matrices: random signs, permutations and Walsh-Hadamard transforms.

A square matrix of size n is a product of PASSES passes. A pass permutes the coordinates, flips random signs, and
transforms blocks of them: n in binary says the sizes, 1000 = 512 + 256 + 128 + 64 + 32 + 8, so every n is served at
O(n log n) a row. Row i starts as the i-th unit vector and goes through all passes; no other row is needed for it. Four
passes leave entries that a Kolmogorov-Smirnov test at 40,000 values does not tell from normal ones, with a kurtosis
within 5 % of 3 (`benchmarks/orthogonal.py` measures it). Below SMALL the transforms are too short to mix; there the
matrix is a product of Householder reflections in a fixed order of operations.

A rectangular matrix is cut along its longer side into square pieces (the last one up to twice as long and cut off),
weighted so that all entries have the same variance: the short side's vectors stay orthonormal.

Every step is an IEEE-exact operation in a fixed order, so the bits are the same everywhere. The idea of mixing with
signs and Hadamard transforms: Ailon and Chazelle 2009 (doi:10.1137/060673096).
"""

import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine.orthogonal import reflectors
from wellbegun.engine.parameters import NormalParameters
from wellbegun.engine.reference import Key, element_words, fill_rows
from wellbegun.laws import Orthogonal

PASSES = 4
SMALL = 32


class Piece(NamedTuple):
    """One square matrix: where it stands along the longer side, how much of it, its size and weight."""

    start: int
    size: int
    weight: float


def pieces_of(long: int, short: int) -> list[Piece]:
    """Cut a long x short matrix into pieces along its longer side.

    >>> [(piece.start, piece.size) for piece in pieces_of(70, 30)]
    [(0, 30), (30, 40)]
    """
    if short == 0:
        return []
    count = max(1, long // short)
    sizes = [short] * (count - 1) + [long - short * (count - 1)]
    starts = np.cumsum([0, *sizes[:-1]])
    return [Piece(int(start), size, math.sqrt(size / long)) for start, size in zip(starts, sizes, strict=True)]


class Pass(NamedTuple):
    """Coordinate j of the result is sign[j] * v[order[j]], then transformed in blocks; signs carry the scale."""

    order: Array
    sign: Array


def blocks_of(size: int) -> Iterator[tuple[int, int]]:
    """(start, length) of the transformed blocks: the binary digits of the size, largest first."""
    start = 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            yield start, 1 << bit
            start += 1 << bit


def _scales(size: int) -> Array:
    scales = np.empty(size)
    for start, length in blocks_of(size):
        scales[start : start + length] = 1 / math.sqrt(length)
    return scales


def passes_of(key: Key, size: int, real: type) -> list[Pass]:
    """Orders and signs from the stream: 2 * size words for each pass."""
    passes = []
    for number in range(PASSES):
        drawn = element_words(key, np.array([2 * number * size]), 2 * size)[0]
        ranks = drawn[:size].astype(np.uint64) << np.uint64(32) | np.arange(size, dtype=np.uint64)
        signs = np.where(drawn[size:] >> np.uint32(31), -1.0, 1.0) * _scales(size)
        passes.append(Pass(np.argsort(ranks).astype(np.int32), signs.astype(real)))
    return passes


def rows_reference(passes: list[Pass], rows: Array) -> Array:
    """Rows of the square matrix, as an array of shape (len(rows), size)."""
    size, real = len(passes[0].sign), passes[0].sign.dtype
    values = np.zeros((len(rows), size), real)
    values[np.arange(len(rows)), rows] = 1
    for order, sign in passes:
        values = values[:, order] * sign
        for start, length in blocks_of(size):
            values[:, start : start + length] = _hadamard(values[:, start : start + length].copy())
    return values


def _hadamard(values: Array) -> Array:
    """Unscaled Walsh-Hadamard transform of each row; sums of neighbours first, in place."""
    rows, length = values.shape
    half = 1
    while half < length:
        pairs = values.reshape(rows, length // (2 * half), 2, half)
        first, second = pairs[:, :, 0].copy(), pairs[:, :, 1]
        pairs[:, :, 0] += second
        np.subtract(first, second, out=pairs[:, :, 1])
        half *= 2
    return values


def small(normals: Array) -> Array:
    """An orthogonal matrix of a size below SMALL from standard normals (size, size), in a fixed order of operations."""
    size = len(normals)
    squares = np.triu(normals) ** 2
    total = np.zeros(size, normals.dtype)
    for column in range(size):  # one by one: NumPy's own sums differ between machines
        total = total + squares[:, column]
    vectors, factors, phases = reflectors(normals, np.sqrt(total))
    q = np.eye(size, dtype=normals.dtype)
    for j in reversed(range(size)):
        products = np.zeros(size, normals.dtype)
        for k in range(j, size):
            products = products + vectors[j, k] * q[k]
        q[j:] -= (factors[j] * vectors[j, j:])[:, None] * products
    return q * phases


class Square:
    """One square matrix of the stream `key`; gives any of its rows."""

    def __init__(self, key: Key, size: int, real: type, engine: str) -> None:
        self.size, self.real, self.engine = size, real, engine
        self.whole: Array | None = None
        if size < SMALL:
            self.whole = small(_normals(key, size, real))
            return
        self.passes = passes_of(key, size, real)
        self.blocks = np.array(list(blocks_of(size)), np.int64)
        self.landing = np.empty(size, np.int32)  # where the first pass puts each unit vector
        self.landing[self.passes[0].order] = np.arange(size, dtype=np.int32)

    def rows(self, rows: Array, out: Array | None = None) -> Array:
        """These rows, as (len(rows), size); into `out` if its rows are contiguous."""
        if self.whole is not None:
            values = self.whole[rows]
        elif self.engine == "reference":
            values = rows_reference(self.passes, rows)
        else:
            values = self._compiled(rows, out)
        if out is not None and values is not out:
            out[...] = values
            return out
        return values

    def _compiled(self, rows: Array, out: Array | None) -> Array:
        from wellbegun.engine.compiler import rows_kernel
        from wellbegun.engine.structured_kernel import lanes_of

        lanes = lanes_of(np.dtype(self.real).name)
        groups = -(-len(rows) // lanes)
        direct = out is not None and len(rows) % lanes == 0 and out.strides[1] == out.itemsize
        target: Array = out if out is not None and direct else np.empty((groups * lanes, self.size), self.real)
        place = self.landing[np.resize(rows, groups * lanes)]
        index = np.searchsorted(self.blocks[:, 0], place, side="right") - 1
        offset, length = (self.blocks[index, side].astype(np.int32) for side in (0, 1))
        later = self.passes[1:]
        tables = (
            np.concatenate([one.order for one in later]),
            np.concatenate([one.sign for one in later]),
            self.blocks[:, 0].copy(),
            self.blocks[:, 1].copy(),
            aligned(self.size * lanes, self.real),
            aligned(self.size * lanes, self.real),
            offset,
            length,
            self.passes[0].sign[place],
        )
        sizes = target.strides[0], groups, self.size, len(later), len(self.blocks)
        rows_kernel(np.dtype(self.real).name)(target, sizes, place - offset, tables)
        return target if direct else target[: len(rows)]


def aligned(count: int, real: type, boundary: int = 64) -> Array:
    """Memory that starts at a cache line."""
    raw = np.empty(count * np.dtype(real).itemsize + boundary, np.uint8)
    skip = -raw.ctypes.data % boundary
    return raw[skip : skip + count * np.dtype(real).itemsize].view(real)


def _normals(key: Key, size: int, real: type) -> Array:
    normals: Array = np.empty((1, size * size), real)
    dtype = np.dtype(real).name
    fill_rows(normals, 0, 0, key, NormalParameters(real(0), real(1)), dtype)
    return normals.reshape(size, size)


class Structured:
    """All rows of a tensor with a structured orthogonal law: its blocks and pieces, made when first needed."""

    def __init__(
        self, law: Orthogonal, shape: tuple[int, ...], key_of: Callable[[str], Key], real: type, engine: str
    ) -> None:
        _, self.height, self.columns = law.matrices(shape)
        self.gain, self.real = law.gain, real
        self.pieces = pieces_of(max(self.height, self.columns), min(self.height, self.columns))
        self.square = cache(
            lambda block, number: Square(key_of(f"{block}.{number}"), self.pieces[number].size, real, engine)
        )

    def rows(self, wanted: Array) -> Array:
        """These rows of the stacked blocks, in ascending order, as (len(wanted), columns)."""
        values: Array = np.empty((len(wanted), self.columns), self.real)
        block, local = wanted // max(self.height, 1), wanted % max(self.height, 1)
        for number, piece in enumerate(self.pieces):
            across = self.height <= self.columns or len(self.pieces) == 1  # pieces stand side by side
            for one in np.unique(block):
                mine = block == one
                if not across:
                    mine &= (local >= piece.start) & (local < piece.start + piece.size)
                places = np.flatnonzero(mine)
                if len(places):
                    start, before = (piece.start, 0) if across else (0, piece.start)
                    part = values[places[0] : places[-1] + 1, start : start + piece.size]
                    self._take(self.square(int(one), number), local[places] - before, part, piece)
        return values

    def _take(self, square: Square, rows: Array, part: Array, piece: Piece) -> None:
        if part.shape[1] == square.size:
            square.rows(rows, part)
        else:
            part[...] = square.rows(rows)[:, : part.shape[1]]
        scale = self.real(self.gain * piece.weight)
        if scale != 1:
            part *= scale
