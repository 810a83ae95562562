"""A rectangular slice of a tensor and a strided destination -> runs of consecutive elements."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError, ArgumentTypeError

_COUNTED = 1 << 22  # elements whose places are compared

Region = tuple[tuple[int, int], ...]  # (start, stop) of each axis


class Rows(NamedTuple):
    """`rows` runs of `run` consecutive elements: element first + r * step + c goes to offset + r * pitch + c."""

    offset: int
    pitch: int
    rows: int
    run: int
    first: int
    step: int


class _Axis(NamedTuple):
    size: int
    step: int  # distance in elements of the tensor
    pitch: int  # distance in items of the destination


def region_of(region: Sequence[Any] | None, shape: tuple[int, ...]) -> Region:
    """Check a region: one slice (step 1) or (start, stop) for each axis; missing axes are whole."""
    if region is None:
        return tuple((0, size) for size in shape)
    allowed = f"at most {len(shape)} slices or (start, stop) pairs within {shape}"
    if not isinstance(region, (tuple, list)):
        raise ArgumentTypeError(message("fill", "region", allowed, region))
    if len(region) > len(shape):
        raise ArgumentError(message("fill", "region", allowed, region))
    return tuple(
        _bounds(part, size, region, allowed)
        for part, size in itertools.zip_longest(region, shape, fillvalue=slice(None))
    )


def _bounds(part: Any, size: Any, region: object, allowed: str) -> tuple[int, int]:
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        if step != 1:
            raise ArgumentError(message("fill", "region", "slices with step 1", region))
        return start, max(start, stop)
    try:
        start, stop = (int(bound) for bound in part)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(message("fill", "region", allowed, region)) from error
    if not 0 <= start <= stop <= size:
        raise ArgumentError(message("fill", "region", allowed, region))
    return start, stop


def size_of(region: Region) -> tuple[int, ...]:
    """Shape of the region."""
    return tuple(stop - start for start, stop in region)


def within(region: Region, outer: Region) -> tuple[slice, ...]:
    """A region as slices of an array that holds `outer`."""
    pairs = zip(region, outer, strict=True)
    return tuple(slice(start - base, stop - base) for (start, stop), (base, _) in pairs)


def element_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Distance in elements between neighbours along each axis, row-major."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def rows_of(shape: tuple[int, ...], region: Region, pitches: tuple[int, ...]) -> Iterator[Rows] | None:
    """The region as rows, for a destination with these pitches; None if its innermost axis is not contiguous there.

    `pitches` are the strides of the destination in items. The destination's first item has offset 0.
    """
    sizes, steps = size_of(region), element_strides(shape)
    first = sum(start * step for (start, _), step in zip(region, steps, strict=True))
    axes = _merge([_Axis(*axis) for axis in zip(sizes, steps, pitches, strict=True) if axis[0] != 1])
    if not axes or axes[-1].step != 1:
        axes.append(_Axis(1, 1, 1))
    if axes[-1].pitch != 1:
        return None
    return _enumerate(axes, first)


def _merge(axes: list[_Axis]) -> list[_Axis]:
    """Join neighbouring axes that are one axis both in the tensor and in the destination."""
    merged: list[_Axis] = []
    for axis in axes:
        if merged and merged[-1].step == axis.size * axis.step and merged[-1].pitch == axis.size * axis.pitch:
            axis = _Axis(merged.pop().size * axis.size, axis.step, axis.pitch)
        merged.append(axis)
    return merged


def _enumerate(axes: list[_Axis], first: int) -> Iterator[Rows]:
    run = axes[-1].size
    row = axes[-2] if len(axes) > 1 else _Axis(1, 0, 0)
    outer = axes[:-2]
    for index in itertools.product(*(range(axis.size) for axis in outer)):
        offset = sum(i * axis.pitch for i, axis in zip(index, outer, strict=True))
        start = first + sum(i * axis.step for i, axis in zip(index, outer, strict=True))
        yield Rows(offset, row.pitch, row.size, run, start, row.step)


def pieces(rows: Rows, limit: int) -> Iterator[Rows]:
    """Split rows into pieces of at most about `limit` elements; long runs are cut at multiples of 4 elements."""
    offset, pitch, count, run, first, step = rows
    if run > limit:
        cut = max(4, limit & ~3)
        for row, start in itertools.product(range(count), range(0, run, cut)):
            yield Rows(offset + row * pitch + start, 0, 1, min(cut, run - start), first + row * step + start, 0)
        return
    group = max(1, limit // max(run, 1))
    for row in range(0, count, group):
        yield Rows(offset + row * pitch, pitch, min(group, count - row), run, first + row * step, step)


def tiles(region: Region, limit: int, width: int = 512) -> Iterator[Region]:
    """Cut a region into tiles of at most about `limit` elements, narrow along the last axis so that a copy into a
    transposed destination meets each cache line once."""
    sizes = size_of(region)
    chunk, budget = [0] * len(sizes), limit
    for axis in reversed(range(len(sizes))):
        chunk[axis] = max(1, min(sizes[axis], budget, width if axis == len(sizes) - 1 else budget))
        budget //= chunk[axis]
    starts = [range(start, stop, step) for (start, stop), step in zip(region, chunk, strict=True)]
    for corner in itertools.product(*starts):
        yield tuple((at, min(at + step, stop)) for at, step, (_, stop) in zip(corner, chunk, region, strict=True))


def overlaps(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Whether elements share memory, or may. They do not where, from the smallest stride up, each steps over all that
    lies below it; else their places are compared, of at most 2^22.

    >>> overlaps((4, 6), (0, 1)), overlaps((4, 6), (6, 1)), overlaps((2, 3), (3, 2))
    (True, False, False)
    """
    covered, entries = itemsize, math.prod(shape)
    axes = sorted((abs(stride), size) for stride, size in zip(strides, shape, strict=True) if size > 1)
    for stride, size in axes if entries else ():
        if stride < covered:
            break
        covered += stride * (size - 1)
    else:
        return False
    if entries > _COUNTED or axes[0][0] < itemsize:
        return True
    places = np.zeros(1, np.int64)
    for stride, size in axes:
        places = np.add.outer(places, stride * np.arange(size)).ravel()
    return bool((np.diff(np.sort(places)) < itemsize).any())
