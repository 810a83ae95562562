"""A writer for each law or base of laws: (law, destination, job) -> values there. The dispatch table is at the end."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import mapped, workers
from wellbegun.engine.matrices import Matrices
from wellbegun.engine.parameters import parameters_of
from wellbegun.engine.reference import cast, element_words, plain
from wellbegun.engine.regions import Region, rows_of, size_of, tiles, within
from wellbegun.laws import (
    Built,
    Computed,
    Constant,
    Copied,
    DeltaOrthogonal,
    Dirac,
    Eye,
    Law,
    Mapped,
    MappedCopy,
    Mirrored,
    Normal,
    Orthogonal,
    Repeat,
    RowSums,
    ScaledRows,
    Sections,
    Sparse,
    ZeroRows,
)
from wellbegun.laws.composite import Half
from wellbegun.laws.independent import Drawn
from wellbegun.laws.precision import REAL_OF, inside
from wellbegun.streams import stream_key, substream

PIECE = 1 << 20  # elements of a constant that a thread writes at once
TILE = 1 << 15  # elements drawn at once for a destination that is not contiguous


@dataclass(frozen=True)
class Job:
    """Where values come from and go to: stream, shape of the whole, region of it, dtype, and how to compute."""

    seed: int
    name: str
    shape: tuple[int, ...]
    region: Region
    dtype: str
    threads: int
    engine: str | None = None  # None: whatever is faster
    matrices: Matrices | None = field(default=None, compare=False, repr=False)  # orthogonal ones drawn before

    @property
    def key(self) -> tuple[int, int, int, int]:
        """Key of the stream."""
        return stream_key(self.seed, self.name)

    def sub(self, part: str | int, **changes: Any) -> "Job":
        """The job of a sub-stream."""
        return replace(self, name=substream(self.name, part), **changes)


def write(law: Law, out: Array, job: Job) -> None:
    """The one dispatch point. Arguments are checked; `out` is the region's storage (uint16 for bfloat16)."""
    next(WRITERS[kind] for kind in type(law).__mro__ if kind in WRITERS)(law, out, job)


# ---------------------------------------------------------------------- independent entries
def _constant(law: Constant, out: Array, job: Job) -> None:
    value = _store(np.array([law.value]), job)[0]
    if not out.flags.c_contiguous or out.size < 2 * PIECE:
        out[...] = value
        return
    flat = out.reshape(-1)

    def paint(start: int) -> None:
        flat[start : start + PIECE] = value

    workers.parallel(paint, range(0, flat.size, PIECE), job.threads)


def _independent(law: Law, out: Array, job: Job) -> None:
    if out.size == 0:
        return
    if job.dtype in REAL_OF:
        for part, target in (("real", out.real), ("imag", out.imag)):
            write(law.component(part), target, job.sub(part, dtype=REAL_OF[job.dtype]))
        return
    parameters, key = parameters_of(law, job.dtype), job.key
    engine = job.engine or workers.choose(out.size)

    def draw(target: Array, region: Region, threads: int) -> bool:
        pitches = tuple(stride // target.itemsize for stride in target.strides)
        aligned = all(stride % target.itemsize == 0 for stride in target.strides) and target.flags.aligned
        rows = rows_of(job.shape, region, pitches) if aligned and min(pitches, default=0) >= 0 else None
        if rows is None:
            return False
        extent = 1 + sum((size - 1) * pitch for size, pitch in zip(target.shape, pitches, strict=True))
        flat = np.lib.stride_tricks.as_strided(target, (extent,), (target.itemsize,))
        workers.draw(flat, list(rows), key, parameters, job.dtype, threads=threads, engine=engine)
        return True

    if draw(out, job.region, job.threads):
        return

    def tile(region: Region) -> None:
        scratch = np.empty(size_of(region), out.dtype)
        draw(scratch, region, 1)
        out[within(region, job.region)] = scratch

    workers.parallel(tile, list(tiles(job.region, TILE)), job.threads)


def _store(values: Array, job: Job) -> Array:
    """Round float64 or working-precision values to the job's storage."""
    if job.dtype in REAL_OF or job.dtype == "float64":
        return values.astype(job.dtype)
    return cast(values.astype(np.float32), job.dtype)


# ---------------------------------------------------------------------- matrices
def _orthogonal(law: Orthogonal, out: Array, job: Job) -> None:
    if out.size == 0:
        return
    if law.method == "structured":
        return _structured(law, out, job)
    from wellbegun.engine.orthogonal import orthonormal

    working = job.dtype if job.dtype in ("float64", "complex64", "complex128") else "float32"
    unit = Normal(0.0, 2.0**0.5 if working in REAL_OF else 1.0)  # both parts of a complex normal have variance 1

    blocks, *_ = law.matrices(job.shape)
    inner = 1 if blocks > 1 else job.threads  # the blocks are shared out already

    def normals(first: int, count: int) -> Array:
        drawn = np.empty(count, working)
        where: Region = ((first, first + count),)
        _independent(unit, drawn, replace(job, shape=(first + count,), region=where, dtype=working, threads=inner))
        return drawn

    def run(task: Callable[[Any], None], items: Sequence[Any]) -> None:
        workers.parallel(task, items, job.threads)

    def compute() -> Array:
        return orthonormal(law, job.shape, normals, working, run)

    key = job.seed, job.name, job.shape, working, law.row_axes, law.blocks
    whole = compute() if job.matrices is None else job.matrices.get(key, compute)
    part = whole[tuple(slice(*bounds) for bounds in job.region)]
    if out.dtype == whole.dtype:
        _bound(np.multiply(part, law.gain, out=out), law.gain, job)
    else:  # matrices that may be used again are not written into
        scaled = np.multiply(part, law.gain, out=part if part.flags.writeable else None)
        out[...] = _bounded(scaled, law.gain, job)
    return None


def _bounded(values: Array, gain: float, job: Job) -> Array:
    """As stored. Changes `values`, which nobody else has."""
    return values.astype(job.dtype, copy=False) if job.dtype in REAL_OF else cast(_bound(values, gain, job), job.dtype)


def _bound(values: Array, gain: float, job: Job) -> Array:
    """Entries are at most `gain`, and rounding must not push them beyond: in place."""
    return values if job.dtype in REAL_OF else np.clip(values, *inside(-gain, gain, job.dtype), out=values)


def _structured(law: Orthogonal, out: Array, job: Job) -> None:
    from wellbegun.engine.structured import Structured

    real: type = np.float64 if REAL_OF.get(job.dtype, job.dtype) == "float64" else np.float32
    engine = job.engine or workers.choose(out.size)
    source = Structured(law, job.shape, lambda part: job.sub(part).key, real, engine)
    row_ranges = [np.arange(*bounds) for bounds in job.region[: law.row_axes]]
    wanted = np.ravel_multi_index(np.ix_(*row_ranges), job.shape[: law.row_axes]).ravel()
    columns = tuple(slice(*bounds) for bounds in job.region[law.row_axes :])
    target = out.reshape(len(wanted), *out.shape[law.row_axes :]) if out.flags.c_contiguous else None
    buffer = np.empty((len(wanted), *out.shape[law.row_axes :]), out.dtype) if target is None else target
    each = max(16, (1 << 18) // max(source.columns, 1) // 16 * 16)

    def some(start: int) -> None:
        values = source.rows(wanted[start : start + each])
        shaped = values.reshape(len(values), *job.shape[law.row_axes :])[(slice(None), *columns)]
        buffer[start : start + each] = _bounded(shaped, law.gain, job)

    workers.parallel(some, range(0, len(wanted), each), job.threads)
    if target is None:
        out[...] = buffer.reshape(out.shape)


def _dirac(law: Dirac, out: Array, job: Job) -> None:
    out[...] = 0
    (top, bottom), (left, right), *window = job.region
    centre = law.centre(job.shape)
    if not all(start <= at < stop for at, (start, stop) in zip(centre, window, strict=True)):
        return
    each, channels = job.shape[0] // law.groups, np.arange(min(job.shape[0] // law.groups, job.shape[1]))
    rows = (np.arange(law.groups)[:, None] * each + channels).ravel()
    columns = np.tile(channels, law.groups)
    keep = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    tap = tuple(at - start for at, (start, _) in zip(centre, window, strict=True))
    places: Any = (rows[keep] - top, columns[keep] - left, *tap)
    out[places] = _store(np.array([law.gain]), job)[0]


def _delta_orthogonal(law: DeltaOrthogonal, out: Array, job: Job) -> None:
    out[...] = 0
    window, centre = job.region[2:], law.centre(job.shape)
    if law.gain and all(start <= at < stop for at, (start, stop) in zip(centre, window, strict=True)):
        tap = tuple(at - start for at, (start, _) in zip(centre, window, strict=True))
        index: Any = (slice(None), slice(None), *tap)
        write(law.tap, out[index], replace(job, shape=job.shape[:2], region=job.region[:2]))


# ---------------------------------------------------------------------- laws made of laws
def _pieces(law: Law, out: Array, job: Job) -> None:
    (start, stop), *rest = job.region
    for piece in law.pieces:
        end = job.shape[0] if piece.stop is None else piece.stop
        low, high = max(start, piece.start), min(stop, end)
        if low < high:
            region = (low - piece.start, high - piece.start), *rest
            own = replace(job, shape=(end - piece.start, *job.shape[1:]), region=region)
            write(piece.law, out[low - start : high - start], own if piece.stream is None else own.sub(piece.stream))


def _repeat(law: Repeat, out: Array, job: Job) -> None:
    (start, stop), *rest = job.region
    first, last, shape = start // law.times, -(-stop // law.times), law.base_shape(job.shape)
    if law.tiled:
        return _tiled(law, out, job, shape)
    each = last - first if law.couples else TILE // max(out[:1].size, 1)  # a coupled base costs all of it each time
    each = max(1, each)
    for base in range(first, last, each):
        until = min(base + each, last)
        scratch = np.empty((until - base, *out.shape[1:]), out.dtype)
        write(law.law, scratch, replace(job, shape=shape, region=((base, until), *rest)))
        low, high = max(start, base * law.times), min(stop, until * law.times)
        picked = np.arange(low, high) // law.times - base
        out[low - start : high - start] = scratch[picked]
    return None


def _tiled(law: Repeat, out: Array, job: Job, shape: tuple[int, ...]) -> None:
    (start, stop), *rest = job.region
    for base in range(0, job.shape[0], max(shape[0], 1)):
        low, high = max(start, base), min(stop, base + shape[0])
        if low < high:
            own = replace(job, shape=shape, region=((low - base, high - base), *rest))
            write(law.law, out[low - start : high - start], own)


def _sparse(law: Sparse, out: Array, job: Job) -> None:
    write(law.law, out, job)
    _, places = law.units(job.shape)
    rest = np.ravel_multi_index(np.ix_(*(np.arange(*bounds) for bounds in job.region[1:])), job.shape[1:]).ravel()
    rows = np.arange(*job.region[0])
    units, inside_unit = (rows, rest) if law.per == "output" else (rest, rows)
    key, each = job.sub("mask").key, max(1, (1 << 18) // max(places, 1))

    def some(start: int) -> None:
        chosen = units[start : start + each]
        zero = ~_pattern(key, chosen, places, law.nonzeros)[:, inside_unit]
        if law.per == "output":
            out[start : start + each][zero.reshape(len(chosen), *out.shape[1:])] = 0
        else:
            index: tuple[Any, ...] = np.unravel_index(np.arange(start, start + len(chosen)), out.shape[1:])
            unit, row = np.nonzero(zero)
            out[(row, *(axis[unit] for axis in index))] = 0

    workers.parallel(some, range(0, len(units), each), job.threads)


def _pattern(key: tuple[int, int, int, int], units: Array, places: int, nonzeros: int) -> Array:
    """Places of the `nonzeros` smallest words of each unit (ties by place): shape (len(units), places)."""
    if nonzeros in (0, places):
        return np.full((len(units), places), nonzeros > 0)
    words = element_words(key, units * places, places).astype(np.uint64)
    ranks = words << np.uint64(32) | np.arange(places, dtype=np.uint64)
    limit = np.partition(ranks, nonzeros - 1, axis=1)[:, nonzeros - 1 : nonzeros]
    return ranks <= limit


def _mirrored(law: Mirrored, out: Array, job: Job) -> None:
    if out.size == 0:
        return
    axis, shape = law.leading, law.base_shape(job.shape)
    bounds = job.region[axis : axis + 2]
    rows, columns = (_clipped(halves, *ends) for halves, ends in zip(law.halves(job.shape), bounds, strict=True))

    def base(part: Region, target: Array) -> Array:
        write(law.law, target, replace(job, shape=shape, region=(*job.region[:axis], *part, *job.region[axis + 2 :])))
        return target

    hull = tuple((min(half.base for half in some), max(half.base_stop for half in some)) for some in (rows, columns))
    # any part of a coupled base costs as much as all of it, so it is drawn once
    sizes = (*out.shape[:axis], *size_of(hull), *out.shape[axis + 2 :])
    whole = base(hull, np.empty(sizes, out.dtype)) if law.couples else None
    drawn: dict[Region, tuple[Array, int]] = {}  # parts of the base that lie in `out` already, with their signs
    for row, column in itertools.product(rows, columns):
        part, sign = ((row.base, row.base_stop), (column.base, column.base_stop)), row.sign * column.sign
        index: Any = (*[slice(None)] * axis, slice(row.start, row.stop), slice(column.start, column.stop))
        target = out[index]
        if whole is not None:
            source, known = whole[(*[slice(None)] * axis, *within(part, hull))], 1
        elif part in drawn:
            source, known = drawn[part]
        else:
            source, known = base(part, target), 1
            drawn[part] = target, sign
        _signed(source, target, sign * known, job.dtype)


def _clipped(halves: list[Half], start: int, stop: int) -> list[Half]:
    """The part of the halves in [start, stop), counted from there."""
    cut = ((half, max(half.start, start), min(half.stop, stop)) for half in halves)
    return [
        Half(low - start, high - start, half.base + low - half.start, half.sign)
        for half, low, high in cut
        if low < high
    ]


def _signed(source: Array, target: Array, sign: int, dtype: str) -> None:
    """target = sign * source, exactly; they may be one array."""
    if sign < 0 and dtype == "bfloat16":
        np.bitwise_xor(source, np.uint16(0x8000), out=target)
    elif sign < 0:
        np.negative(source, out=target)
    elif source is not target:
        target[...] = source


def _computed(law: Computed, out: Array, job: Job) -> None:
    whole, target = (job.region, out) if job.region else (((0, 1),), out[None])  # a scalar is one row
    (first, last), *rest = whole
    inner = tuple(slice(*bounds) for bounds in rest)
    each = max(1, TILE // max(math.prod(job.shape[1:]), 1))

    def some(start: int) -> None:
        stop = min(start + each, last)
        target[start - first : stop - first] = _store(law.rows(start, stop)[:, *inner], job)

    workers.parallel(some, range(first, last, each) if out.size else (), job.threads)


def _row_sums(law: RowSums, out: Array, job: Job) -> None:
    ((start, stop),) = job.region
    rest = tuple((0, size) for size in law.shape[1:])
    columns = math.prod(law.shape[1:])
    each = max(1, TILE // max(columns, 1)) if not law.couples else max(1, stop - start)
    for row in range(start, stop, each):
        part = ((row, min(row + each, stop)), *rest)
        drawn = np.empty(size_of(part), out.dtype)
        write(law.law, drawn, replace(job, name=law.stream, shape=law.shape, region=part))
        sums = (
            plain(drawn, job.dtype)
            .reshape(len(drawn), -1)
            .sum(axis=1, dtype=np.complex128 if job.dtype in REAL_OF else np.float64)
        )
        out[row - start : row - start + len(drawn)] = _store(law.factor * sums, job)


def _copied(law: Copied, out: Array, job: Job) -> None:
    write(law.law, out, replace(job, name=law.stream))
    if law.factor == -1.0:
        _signed(out, out, -1, job.dtype)
    elif law.factor != 1.0:
        out[...] = _store(plain(out, job.dtype) * law.factor, job)


WRITERS: dict[type[Law], Callable[[Any, Array, Job], None]] = {
    Constant: _constant,
    Drawn: _independent,
    Mapped: partial(mapped.draw, write),
    MappedCopy: partial(mapped.follow, write),
    Orthogonal: _orthogonal,
    Eye: lambda law, out, job: _dirac(Dirac(law.gain), out, job),  # one without a window
    Dirac: _dirac,
    DeltaOrthogonal: _delta_orthogonal,
    Sections: _pieces,
    ZeroRows: _pieces,
    Repeat: _repeat,
    Sparse: _sparse,
    Mirrored: _mirrored,
    RowSums: _row_sums,
    ScaledRows: partial(mapped.multiply, write),
    Copied: _copied,
    Computed: _computed,
    Built: partial(mapped.build, write),
}
