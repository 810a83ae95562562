"""Law + stream + region -> numbers. One entry, `fill`; one dispatch point, `writers.write`."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from wellbegun._arguments import dtype_of, message, seed_of, shape_of
from wellbegun._typing import Array
from wellbegun.engine.matrices import Matrices
from wellbegun.engine.regions import overlaps, region_of, size_of
from wellbegun.engine.workers import threads_of
from wellbegun.engine.writers import Job, write
from wellbegun.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from wellbegun.laws import Law
from wellbegun.streams import stream_key

__all__ = ["Job", "Matrices", "fill", "write"]


@np.errstate(all="ignore")
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
        dtype: "float32", "float64", "float16", "bfloat16" (for which ml_dtypes must be installed), "complex64" or
            "complex128" (with the law's total variance, E |z - mean|^2).
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
    stream_seed = secrets.randbits(64) if seed is None else seed_of("fill", seed)
    stream_key(stream_seed, name)  # checks the name
    part, workers = region_of(region, sizes), threads_of(threads)
    law.fits(sizes)
    law.check(kind)
    result = _empty(size_of(part), kind) if out is None else _destination(out, size_of(part), kind)
    storage = result.view(np.uint16) if kind == "bfloat16" else result
    write(law, storage, Job(stream_seed, name, sizes, part, kind, workers))
    return result


# ---------------------------------------------------------------------- checks
def _empty(shape: tuple[int, ...], kind: str) -> Array:
    try:
        return np.empty(shape, _numpy_dtype(kind))
    except (ValueError, MemoryError) as error:
        raise ArgumentError(message("fill", "shape", "that of a tensor which fits into memory", shape)) from error


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
    if overlaps(out.shape, out.strides, out.itemsize):
        raise ArgumentError(
            "fill: out has elements that share memory, as broadcast views do. Pass an array of its own."
        )
    return out
