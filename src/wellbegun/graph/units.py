"""Which units of what a weight gives a value holds, and along which axes, through reshapes, transposes and cuts."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

from wellbegun.graph.facts import Array, Elementwise, Fact, Move, Norm, Softmax, Split
from wellbegun.graph.provenance import Operand, Signal

Range = tuple[int, int]  # first unit, number of units


class Units(NamedTuple):
    """Entry (i, j, ...) of a value belongs to unit first + i * steps[0] + j * steps[1] + ...: a step of 0 stays."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    first: int = 0

    @property
    def range(self) -> Range | None:
        """Which units it holds, if they are one after the other."""
        count = 1
        for step, size in sorted((s, n) for s, n in zip(self.steps, self.shape, strict=True) if s and n != 1):
            if step != count:
                return None
            count *= size
        return self.first, count


class Held:
    """The units of each value."""

    def __init__(self) -> None:
        self._found: dict[int, Units | None] = {}

    def follow(
        self,
        fact: Fact,
        operands: Sequence[Operand],
        axes: Mapping[int, int | None],
        outputs: Sequence[tuple[Array, int | None]],
        values: Sequence[int],
    ) -> tuple[Range, ...]:
        """Remember those of outputs, of which an axis is told as well; the parts of units that they hold, if it is a
        cut. `axes`: of the values that are read, as far as they were told."""
        read = next(((known.value, array) for known, array in operands if isinstance(known, Signal)), None)
        found: list[Units | None] = []
        units = None
        if read is not None:
            value, given = read
            units = self._found[value] if value in self._found else along(given, axes.get(value))
            found = through(fact, units, given, [array for array, _ in outputs])
        new = [along(array, axis) for array, axis in outputs[len(found) :]]
        self._found.update(zip(values, [*found, *new], strict=True))
        return cuts(units, found)


def along(array: Array, axis: int | None) -> Units:
    """A value whose units are on one axis."""
    return Units(array.shape, tuple(int(place == axis) for place in range(array.rank)))


def through(fact: Fact, units: Units | None, given: Array, outputs: Sequence[Array]) -> list[Units | None]:
    """What becomes of units in the first outputs of an operation, None where it cannot be told; others have units of
    their own."""
    if isinstance(fact, Split):
        return [None] * len(outputs) if units is None else _split(fact, units, outputs)
    if not isinstance(fact, Move) and not (
        isinstance(fact, Elementwise | Norm | Softmax) and outputs[0].shape == given.shape
    ):
        return []
    return [None if units is None else _moved(fact, units, outputs[0])]


def cuts(source: Units | None, parts: Sequence[Units | None]) -> tuple[Range, ...]:
    """The first unit of each part, counted from that of the source, and how many it has; () for parts of other axes,
    and for those whose units are not one after the other."""
    whole = None if source is None else source.range
    ranges = [part.range for part in parts if part is not None]
    found = tuple((one[0] - whole[0], one[1]) for one in ranges if one is not None and whole is not None)
    return found if len(found) == len(parts) and any(size != whole[1] for _, size in found if whole) else ()


def within(units: Range | None, parts: tuple[Range, ...], place: int) -> Range | None:
    """Units that an output of a cut holds, of those that its input holds (None: all)."""
    if not parts:
        return units
    start, size = parts[place]
    return (0 if units is None else units[0]) + start, size


def _split(fact: Split, units: Units, outputs: Sequence[Array]) -> list[Units | None]:
    axis, rank = fact.axis, len(units.shape)
    if axis is None and all(array.rank == rank for array in outputs):
        own = {place for array in outputs for place in range(rank) if array.shape[place] != units.shape[place]}
        axis = own.pop() if len(own) == 1 else None
    if axis is None:
        return [None] * len(outputs)
    kept = [place for place in range(rank) if outputs[0].rank == rank or place != axis]  # one entry each: without it
    starts = accumulate((array.shape[axis] if array.rank == rank else 1 for array in outputs), initial=0)
    steps = tuple(units.steps[place] for place in kept)
    firsts = (units.first + start * units.steps[axis] for start in starts)
    return [Units(array.shape, steps, first) for array, first in zip(outputs, firsts, strict=False)]


def _moved(fact: Fact, units: Units, output: Array) -> Units | None:
    if isinstance(fact, Move) and fact.axes is not None and len(fact.axes) == output.rank:
        if any(len(each) > 1 for each in fact.axes) or (fact.entries == "part" and not fact.start):
            return None
        start = sum(first * step for first, step in zip(fact.start, units.steps, strict=True)) if fact.start else 0
        steps = tuple(units.steps[each[0]] if each else 0 for each in fact.axes)
        return Units(output.shape, steps, units.first + start)
    if output.shape == units.shape:
        return units._replace(shape=output.shape)
    found = _reshaped(units, output.shape) if isinstance(fact, Move) and fact.reshapes else None
    return None if found is None else Units(output.shape, found, units.first)


def _reshaped(units: Units, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Steps along the axes that rows of entries are cut into; None if units then lie along none."""
    found, place = [0] * len(shape), 0
    if prod(shape) != prod(units.shape) or not prod(shape):
        return None
    rest = [(size, step) for size, step in zip(units.shape, units.steps, strict=True) if size > 1]
    new = [axis for axis, size in enumerate(shape) if size > 1]
    while rest:
        (size, step), *rest = rest
        group = new[place : place + 1]
        while prod(shape[axis] for axis in group) != size:
            if prod(shape[axis] for axis in group) < size:
                group.append(new[place + len(group)])
            else:
                (other, inner), *rest = rest
                if step != inner * other:
                    return None
                size, step = size * other, inner
        place += len(group)
        for axis in reversed(group):
            found[axis] = step
            step *= shape[axis]
    return tuple(found)
