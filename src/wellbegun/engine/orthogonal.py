"""Haar-uniform orthogonal and unitary matrices by one product of Householder reflections.

Stewart 1980, "The efficient generation of random orthogonal matrices" (doi:10.1137/0717034): the QR of a Gaussian
matrix applies reflection j to columns that are Gaussian and independent of it, so the reflectors can be drawn
directly, and only the product remains to be computed: half the work of a QR. The signs (for complex entries: phases) of
the diagonal of R make the result exactly Haar (Mezzadri 2007, arXiv:math-ph/0609050).

The product is taken in panels: I - V T V^H for 64 or 256 reflections at a time (Schreiber and Van Loan 1989), so nearly
all of the work is matrix products. T is the inverse of the upper triangle of V^H V with 1 / tau on its diagonal
(Puglisi 1992). Results agree across machines to a few units in the last place times sqrt(n), not bitwise: the products
are BLAS.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine.blas import single_threaded
from wellbegun.laws import Orthogonal

Draw = Callable[[int, int], Array]  # (first element, count) -> standard normals
Run = Callable[[Callable[[Any], None], Sequence[Any]], None]  # (task, items): the task on every item, on some threads
_SMALL, _LARGE = 64, 256  # reflections in a panel, below and from 2,048 columns
_COLUMNS = 512  # that one thread multiplies at once; the same for any number of threads, and so are the bits
_ROOM = 1 << 20  # bytes of a product that a thread keeps room for
_own = threading.local()
_DRAWN = 1 << 12  # numbers that are drawn at once for small blocks: a channel's window has nine
_STRIP = 32  # columns of a transpose
_LEAF = 16  # size of blocks that are inverted as they are


def inline(task: Callable[[Any], None], items: Sequence[Any]) -> None:
    """One after the other."""
    for item in items:
        task(item)


def orthonormal(law: Orthogonal, shape: tuple[int, ...], draw: Draw, dtype: Any, run: Run = inline) -> Array:
    """All blocks of the tensor at gain 1, in the precision of `draw`; block b uses the normals from b * rows * columns
    on.

    Threads share the blocks if there are several, else the columns of the one.
    """
    blocks, rows, columns = law.matrices(shape)
    long, short = max(rows, columns), min(rows, columns)

    def matrix_of(normals: Array) -> Array:
        matrix = haar(normals, inline if blocks > 1 else run) if short else normals.T
        return matrix if rows >= columns else _turned(matrix)

    with single_threaded():
        if blocks == 1:
            return matrix_of(draw(0, long * short).reshape(short, long)).reshape(shape)
        stacked = np.empty((blocks, rows, columns), dtype)
        together = max(_DRAWN // max(long * short, 1), 1)

        def make(first: int) -> None:
            count = min(together, blocks - first)
            drawn = draw(first * long * short, count * long * short).reshape(count, short, long)
            for place, normals in enumerate(drawn):
                stacked[first + place] = matrix_of(normals)

        run(make, range(0, blocks, together))
    return stacked.reshape(shape)


def _turned(matrix: Array) -> Array:
    """The transpose in order of memory, a strip of columns after the other: whole rows would leave the caches."""
    turned = np.empty(matrix.shape[::-1], matrix.dtype)
    for first in range(0, len(matrix), _STRIP):
        turned[:, first : first + _STRIP] = matrix[first : first + _STRIP].T
    return turned


def haar(normals: Array, run: Run = inline) -> Array:
    """Standard normals (n, m), n <= m -> m x n matrix with orthonormal columns, Haar-uniform.

    Row j of `normals` holds reflector j in its entries from j on; the rest is not read. They are overwritten.
    """
    vectors, factors, phases = reflectors(normals)
    short, long = vectors.shape
    panel = _LARGE if short >= _LARGE * 8 else _SMALL
    q = np.zeros((long, short), vectors.dtype)
    np.fill_diagonal(q, 1)
    for start in range((short - 1) // panel * panel, -1, -panel):
        stop = min(start + panel, short)
        v = vectors[start:stop, start:]
        upper = np.triu(_conjugate(v) @ v.T, 1)
        np.fill_diagonal(upper, 1 / factors[start:stop])
        _reflect(q[start:, start:], v, inverse(upper), run)
    q *= phases
    return q


def _reflect(part: Array, v: Array, t: Array, run: Run) -> None:
    """part -= V T V^H part, in place."""
    left, right = v.T, _conjugate(v)

    def some(first: int) -> None:
        columns = part[:, first : first + _COLUMNS]
        inner = t @ (right @ columns)
        room = _room(inner)
        for top in range(0, len(columns), len(room)):
            rows = left[top : top + len(room)]
            columns[top : top + len(room)] -= np.matmul(rows, inner, out=room[: len(rows)])

    run(some, range(0, part.shape[1], _COLUMNS))


def _room(inner: Array) -> Array:
    """Memory of this thread's own for rows of a product: fresh memory costs as much as a small product."""
    if not hasattr(_own, "memory"):
        _own.memory = np.empty(_ROOM, np.uint8)
    width = inner.shape[1]
    rows = _ROOM // max(width * inner.itemsize, 1)
    return _own.memory[: rows * width * inner.itemsize].view(inner.dtype).reshape(rows, width)


def _conjugate(values: Array) -> Array:
    return values.conj() if values.dtype.kind == "c" else values


def inverse(upper: Array) -> Array:
    """Inverse of an upper triangle: of blocks on its diagonal, then of pairs of blocks, which takes products only."""
    size, width = len(upper), _LEAF
    whole = width << max(-(-size // width) - 1, 0).bit_length()
    padded = np.eye(whole, dtype=upper.dtype)
    padded[:size, :size] = upper
    blocks = np.linalg.inv(_diagonal(padded, width))
    while width < whole:
        first, last = blocks[0::2], blocks[1::2]
        beside = _diagonal(padded, 2 * width)[:, :width, width:]
        blocks = np.zeros((len(first), 2 * width, 2 * width), upper.dtype)
        blocks[:, :width, :width], blocks[:, width:, width:] = first, last
        blocks[:, :width, width:] = -(first @ beside @ last)
        width *= 2
    return blocks[0, :size, :size]


def _diagonal(matrix: Array, width: int) -> Array:
    """Square blocks on the diagonal."""
    index = np.arange(len(matrix) // width)
    return matrix.reshape(len(index), width, len(index), width)[index, :, index]


def reflectors(normals: Array, norms: Array | None = None) -> tuple[Array, Array, Array]:
    """Householder vectors (row j, from entry j on, with a leading 1), factors tau = 2 / |v|^2, and the phases that the
    columns of the product must be multiplied with. `norms` are those of the rows from the diagonal on, if known. The
    vectors overwrite the normals."""
    vectors = normals
    np.copyto(vectors, 0, where=np.tri(len(vectors), vectors.shape[1], -1, dtype=bool))
    diagonal = np.arange(len(vectors))
    if norms is None:
        norms = np.sqrt(np.einsum("jk,jk->j", vectors, _conjugate(vectors)).real)
    lead = vectors[diagonal, diagonal]
    size = np.abs(lead)
    one = vectors.dtype.type(1)
    phase = np.where(size > 0, lead / np.where(size > 0, size, 1), one).astype(vectors.dtype)
    nothing = norms == 0  # a reflector of length 1 can be exactly 0: flip the axis
    norms = np.where(nothing, 1, norms)
    scale = lead + phase * norms
    vectors[diagonal, diagonal] = scale
    vectors /= scale[:, None]
    factors = np.where(nothing, 2, (size + norms) / norms).astype(norms.dtype)
    return vectors, factors, -phase
