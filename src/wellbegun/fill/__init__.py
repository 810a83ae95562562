"""Law + stream + region -> numbers. One entry, `fill`; one dispatch point, `write`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from wellbegun._arguments import dtype_of, message, shape_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from wellbegun.fill import engine as _engine
from wellbegun.fill.parameters import check, inside, parameters_of
from wellbegun.fill.reference import cast
from wellbegun.fill.regions import Region, region_of, rows_of, size_of, tiles
from wellbegun.laws import Constant, Law, Normal, Orthogonal, Sections, TruncatedNormal, Uniform, ZeroRows
from wellbegun.streams import fresh_seed, stream_key, substream

__all__ = ["fill", "write"]

_TILE = 1 << 15  # elements drawn at once for a destination that is not contiguous


def fill(
    law: Law,
    shape: Iterable[SupportsIndex] | SupportsIndex,
    *,
    seed: SupportsIndex | None,
    name: str = "",
    region: Sequence[Any] | None = None,
    dtype: Any = "float32",
    out: Array | None = None,
    threads: int | None = None,
) -> Array:
    """Draw a tensor, or one rectangular region of it, from the stream (seed, name).

    Args:
        law: What the values are; see `wellbegun.laws`.
        shape: Shape of the whole tensor, axes in canonical order (experts, lookup, outputs, inputs, window).
        seed: Integer in [0, 2**64); None draws one from the operating system.
        name: Name of the stream; by convention the parameter's dotted name.
        region: One slice of step 1 (or (start, stop)) for each axis; missing axes are whole. None is everything.
        dtype: "float32", "float64", "float16" or "bfloat16" (for which ml_dtypes must be installed).
        out: Destination of the region's shape and of this dtype (uint16 also holds bfloat16), any strides.
        threads: Worker threads; None uses all processors. The values do not depend on it.
    Returns:
        The region's values: `out` if given, else a new C-contiguous array.
    Raises:
        ArgumentError: a value outside its range, a destination that does not fit, or a law that overflows the dtype.
        ArgumentTypeError: a wrong type. MissingDependencyError: bfloat16 without ml_dtypes. Nothing is written then.

    Cost: proportional to the region for independent laws; `Orthogonal` computes the whole, O(rows columns min).

    >>> from wellbegun.laws import Normal
    >>> whole = fill(Normal(0, 1), (64, 32), seed=1, name="w")
    >>> part = fill(Normal(0, 1), (64, 32), seed=1, name="w", region=(slice(10, 20), slice(3, 5)))
    >>> bool((part == whole[10:20, 3:5]).all())
    True
    """
    if not isinstance(law, Law):
        raise ArgumentTypeError(
            message("fill", "law", "a law from wellbegun.laws", law, "Schemes give one: .law(shape).")
        )
    sizes, kind = shape_of("fill", shape), dtype_of("fill", dtype)
    stream_seed = fresh_seed() if seed is None else seed
    stream_key(stream_seed, name)  # checks both
    part, workers = region_of(region, sizes), _engine.threads_of(threads)
    _fits(law, sizes)
    check(law, kind)
    result = np.empty(size_of(part), _numpy_dtype(kind)) if out is None else _destination(out, size_of(part), kind)
    storage = result.view(np.uint16) if kind == "bfloat16" else result
    write(law, storage, seed=stream_seed, name=name, shape=sizes, region=part, dtype=kind, threads=workers)
    return result


def write(
    law: Law,
    out: Array,
    *,
    seed: SupportsIndex,
    name: str,
    shape: tuple[int, ...],
    region: Region,
    dtype: str,
    threads: int,
    engine: str | None = None,
) -> None:
    """The one dispatch point: arguments are checked, `out` is the region's storage (uint16 for bfloat16)."""
    _WRITERS[type(law)](law, out, _Job(seed, name, shape, region, dtype, threads, engine))


class _Job:
    """Where the values come from and go to; `part` narrows it."""

    def __init__(
        self,
        seed: SupportsIndex,
        name: str,
        shape: tuple[int, ...],
        region: Region,
        dtype: str,
        threads: int,
        engine: str | None,
    ) -> None:
        self.seed, self.name, self.shape, self.region = seed, name, shape, region
        self.dtype, self.threads, self.engine = dtype, threads, engine

    def part(self, name: str, rows: int, region: Region) -> "_Job":
        shape = (rows, *self.shape[1:])
        return _Job(self.seed, name, shape, region, self.dtype, self.threads, self.engine)


def _constant(law: Constant, out: Array, job: _Job) -> None:
    out[...] = cast(np.array([law.value], np.float64 if job.dtype == "float64" else np.float32), job.dtype)[0]


def _independent(law: Law, out: Array, job: _Job) -> None:
    if out.size == 0:
        return
    parameters, key = parameters_of(law, job.dtype), stream_key(job.seed, job.name)
    engine = job.engine or _engine.choose(out.size)

    def draw(target: Array, region: Region, threads: int) -> bool:
        pitches = tuple(stride // target.itemsize for stride in target.strides)
        aligned = all(stride % target.itemsize == 0 for stride in target.strides) and target.flags.aligned
        rows = rows_of(job.shape, region, pitches) if aligned and min(pitches, default=0) >= 0 else None
        if rows is None:
            return False
        extent = 1 + sum((size - 1) * pitch for size, pitch in zip(target.shape, pitches, strict=True))
        flat = np.lib.stride_tricks.as_strided(target, (extent,), (target.itemsize,))
        _engine.draw(flat, list(rows), key, parameters, job.dtype, threads=threads, engine=engine)
        return True

    if draw(out, job.region, job.threads):
        return

    def tile(region: Region) -> None:
        scratch = np.empty(size_of(region), out.dtype)
        draw(scratch, region, 1)
        inner = zip(region, job.region, strict=True)
        out[tuple(slice(start - base, stop - base) for (start, stop), (base, _) in inner)] = scratch

    _engine.parallel(tile, list(tiles(job.region, _TILE)), job.threads)


def _orthogonal(law: Orthogonal, out: Array, job: _Job) -> None:
    from wellbegun.fill.orthogonal import fill_orthogonal

    working = "float64" if job.dtype == "float64" else "float32"

    def normals(first: int, count: int) -> Array:
        found = np.empty(count, working)
        where: Region = ((first, first + count),)
        arguments = _Job(job.seed, job.name, (first + count,), where, working, job.threads, job.engine)
        _independent(Normal(0.0, 1.0), found, arguments)
        return found

    whole = fill_orthogonal(law, job.shape, normals)
    values = whole[tuple(slice(*bounds) for bounds in job.region)]
    low, high = inside(-law.gain, law.gain, job.dtype)
    out[...] = cast(np.clip(values, low, high, out=np.array(values)), job.dtype)


def _sections(law: Sections, out: Array, job: _Job) -> None:
    (start, stop), *rest = job.region
    base = 0
    for index, (size, part) in enumerate(law.parts):
        low, high = max(start, base), min(stop, base + size)
        if low < high:
            region = ((low - base, high - base), *rest)
            inner = job.part(substream(job.name, index), size, region)
            _WRITERS[type(part)](part, out[low - start : high - start], inner)
        base += size


def _zero_rows(law: ZeroRows, out: Array, job: _Job) -> None:
    _WRITERS[type(law.law)](law.law, out, job)
    start, stop = job.region[0]
    for row in law.rows:
        if start <= row < stop:
            out[row - start] = 0


_WRITERS: dict[type[Law], Callable[[Any, Array, _Job], None]] = {
    Constant: _constant,
    Uniform: _independent,
    Normal: _independent,
    TruncatedNormal: _independent,
    Orthogonal: _orthogonal,
    Sections: _sections,
    ZeroRows: _zero_rows,
}


# ---------------------------------------------------------------------- checks
def _fits(law: Law, shape: tuple[int, ...]) -> None:
    """Laws that speak of rows must fit the shape."""
    if isinstance(law, Orthogonal):
        law.matrices(shape)
    if isinstance(law, Sections):
        if not shape or law.rows != shape[0]:
            allowed = f"one whose first axis has {law.rows} rows, as its sections"
            raise ArgumentError(message("fill", "shape", allowed, shape))
        for size, part in law.parts:
            _fits(part, (size, *shape[1:]))
    if isinstance(law, ZeroRows):
        if not shape or (law.rows and law.rows[-1] >= shape[0]):
            raise ArgumentError(message("fill", "shape", f"one that has row {law.rows[-1]}", shape))
        _fits(law.law, shape)


def _numpy_dtype(dtype: str) -> "np.dtype[Any]":
    if dtype != "bfloat16":
        return np.dtype(dtype)
    try:
        import ml_dtypes
    except ImportError as error:
        remedy = "pip install ml_dtypes, or pass a uint16 array as out."
        raise MissingDependencyError(f"fill: dtype 'bfloat16' needs ml_dtypes for its NumPy type. {remedy}") from error
    return np.dtype(ml_dtypes.bfloat16)


def _destination(out: Array, shape: tuple[int, ...], dtype: str) -> Array:
    if not isinstance(out, np.ndarray):
        raise ArgumentTypeError(message("fill", "out", "a NumPy array", type(out).__name__))
    if out.shape != shape:
        raise ArgumentError(message("fill", "out", f"of shape {shape}", out.shape))
    stored = ("bfloat16", "uint16") if dtype == "bfloat16" else (dtype,)
    if out.dtype.name not in stored or not out.dtype.isnative:
        raise ArgumentError(message("fill", "out", f"of dtype {dtype}", out.dtype.name))
    if not out.flags.writeable:
        raise ArgumentError("fill: out is read-only. Pass a writable array; nothing was changed.")
    if _overlaps(out):
        raise ArgumentError(
            "fill: out has elements that share memory, as broadcast views do. Pass an array of its own."
        )
    return out


def _overlaps(out: Array) -> bool:
    """Whether elements may share memory: from the smallest stride up, each must step over all that lies below it."""
    covered = out.itemsize
    for stride, size in sorted(
        (abs(stride), size) for stride, size in zip(out.strides, out.shape, strict=True) if size > 1
    ):
        if stride < covered:
            return True
        covered += stride * (size - 1)
    return False
