"""Where the values of one parameter go: memory that NumPy sees, or a sink that takes values or draws them itself."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import Job, write
from wellbegun.engine.regions import Region, size_of
from wellbegun.errors import WellbegunError
from wellbegun.laws import Law
from wellbegun.layout import Layout

SAME = 1e-3  # relative difference up to which values count as the same
PIECE = 1 << 24  # elements that are drawn on the host at once for a sink


class Sink(Protocol):
    """Memory that NumPy does not see: of a device, or behind something that has to be done with the values."""

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        """Draw the job's region right where it belongs; False if that is not possible, and nothing was done.

        `axes`: the stored axes in the canonical order of the job.
        """

    def put(self, region: Region, values: Array) -> None:
        """Take values that were drawn on the host: a region of what lies here, in stored axes, counted from 0."""
        del region, values  # never given to a sink that draws everything itself, which may do without this


@dataclass(frozen=True, eq=False)
class Target:
    """Where the values of one parameter go, in the order of axes in which it is stored.

    Args:
        shape: Of the whole parameter, wherever its parts lie.
        dtype: Name of its dtype.
        memory: A writable array with any strides (uint16 for bfloat16), or a sink.
        region: The part of the whole that lies there, (start, stop) for each axis; None is everything.
        elements: Instead of a region, a range [start, stop) of the whole's elements in row-major order, as optimizers
            that shard flat parameters hold it; `memory` then has one axis.
        close: Called once the values are there, with a number from the parameter's stream for what it draws itself.
            What it says of them, such as that they had to be scaled, is added to the ledger.
        problem: Why nothing can be written here; raised if the plan fills it, before anything is written.
    """

    shape: tuple[int, ...]
    dtype: str
    memory: Array | Sink | None
    region: Region | None = None
    elements: tuple[int, int] | None = None
    close: Callable[[int], str] | None = None
    problem: WellbegunError | None = None

    @property
    def local_shape(self) -> tuple[int, ...]:
        """Shape that the memory has to have."""
        if self.elements is not None:
            return (self.elements[1] - self.elements[0],)
        return self.shape if self.region is None else size_of(self.region)


def draw(target: Target, law: Law, layout: Layout, job: Job) -> None:
    """Fill one target with a law of the canonical axis order of `layout`; arguments are checked already.

    `job` speaks of the whole parameter; its region is replaced by that of the target.
    """
    assert target.memory is not None
    memory: Array | Sink = target.memory
    if isinstance(memory, np.ndarray) and memory.dtype.name == "bfloat16":
        memory = memory.view(np.uint16)
    if target.elements is not None:
        return _draw_elements(memory, *target.elements, target.shape, law, layout, job)
    region = target.region or tuple((0, size) for size in target.shape)
    return draw_region(memory, region, law, layout.canonical, job)


def draw_region(memory: Array | Sink, region: Region, law: Law, axes: tuple[int, ...], job: Job) -> None:
    """Draw a region, given in stored axes, which `axes` bring into the canonical order of the law."""
    job = replace(job, region=tuple(region[axis] for axis in axes))
    if isinstance(memory, np.ndarray):
        write(law, memory.transpose(axes), job)
    elif not memory.draw(law, job, axes):
        _through_host(memory, law, axes, job)


def _through_host(sink: Sink, law: Law, axes: tuple[int, ...], job: Job) -> None:
    """Draw pieces along the first axis: bounded memory, except for laws that couple entries."""
    sizes = size_of(job.region)
    rows = sizes[0] if sizes else 1
    each = rows if law.couples or not sizes else max(1, PIECE * rows // max(math.prod(sizes), 1))
    stored = tuple(axes.index(axis) for axis in range(len(axes)))
    for start in range(0, max(rows, 1), max(each, 1)):
        within = ((start, min(start + each, rows)), *((0, size) for size in sizes[1:])) if sizes else ()
        bounds = zip(within, job.region, strict=True)
        piece = replace(job, region=tuple((base + low, base + high) for (low, high), (base, _) in bounds))
        host = np.empty(size_of(within), storage_of(job.dtype))
        write(law, host, piece)
        sink.put(tuple(within[axis] for axis in stored), host.transpose(stored))


def change(found: Array, values: Array) -> str:
    """What became of values behind a sink; "" if they are the same.

    >>> change(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    'the parametrization scaled them by 2'
    """
    wide = np.complex128 if np.iscomplexobj(values) else np.float64
    one, two = found.astype(wide).reshape(-1), values.astype(wide).reshape(-1)
    sizes = float(np.linalg.norm(one)), float(np.linalg.norm(two))
    if 0.0 in sizes or float(np.abs(one - two).max()) <= SAME * float(np.abs(two).max()):
        return ""
    cosine = float(np.vdot(two, one).real) / (sizes[0] * sizes[1])
    if cosine < 1 - SAME:
        return f"the parametrization made other values of them (cosine {cosine:.3f})"
    return f"the parametrization scaled them by {sizes[0] / sizes[1]:.4g}"


# ---------------------------------------------------------------------- ranges of elements
def _draw_elements(
    memory: Array | Sink, start: int, stop: int, shape: tuple[int, ...], law: Law, layout: Layout, job: Job
) -> None:
    axes = layout.canonical
    if law.couples:  # any part of it costs as much as all of it
        whole = np.empty(shape, storage_of(job.dtype))
        draw_region(whole, tuple((0, size) for size in shape), law, axes, job)
        return _store(memory, 0, whole.reshape(-1)[start:stop])
    each = stop - start if isinstance(memory, np.ndarray) else PIECE
    for first in range(start, stop, max(each, 1)):
        offset = first - start
        for region in boxes(first, min(first + each, stop), shape):
            size = math.prod(size_of(region))
            if isinstance(memory, np.ndarray):
                values = memory[offset : offset + size].reshape(size_of(region))
            else:
                values = np.empty(size_of(region), storage_of(job.dtype))
            draw_region(values, region, law, axes, job)
            if not isinstance(memory, np.ndarray):
                _store(memory, offset, values.reshape(-1))
            offset += size
    return None


def _store(memory: Array | Sink, offset: int, values: Array) -> None:
    if isinstance(memory, np.ndarray):
        memory[offset : offset + len(values)] = values
    else:
        memory.put(((offset, offset + len(values)),), values)


def boxes(start: int, stop: int, shape: tuple[int, ...]) -> Iterator[Region]:
    """A range of elements in row-major order as the fewest rectangles, in that order.

    >>> list(boxes(3, 9, (3, 4)))
    [((0, 1), (3, 4)), ((1, 2), (0, 4)), ((2, 3), (0, 1))]
    """
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    inner, rest = math.prod(shape[1:]), shape[1:]
    (first, begin), (last, end) = divmod(start, inner), divmod(stop, inner)
    if first == last:
        yield from (((first, first + 1), *box) for box in boxes(begin, end, rest))
        return
    if begin:
        yield from (((first, first + 1), *box) for box in boxes(begin, inner, rest))
        first += 1
    if first < last:
        yield ((first, last), *((0, size) for size in rest))
    yield from (((last, last + 1), *box) for box in boxes(0, end, rest))


def storage_of(dtype: str) -> str:
    """What NumPy calls the memory of a dtype."""
    return "uint16" if dtype == "bfloat16" else dtype
