"""Which units of what a weight gives a value holds, and along which axes, through reshapes, transposes and cuts."""

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import NamedTuple

from wellbegun.graph.facts import Array, Concat, Elementwise, Fact, Gather, Move, Norm, Pool, Scatter, Softmax, Split
from wellbegun.graph.provenance import Operand, Signal

Range = tuple[int, int]  # first unit, number of units
# through which units may be known; others have none
_FOLLOWED = Concat | Elementwise | Gather | Move | Norm | Pool | Scatter | Softmax | Split


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
    """The units of what a weight gave and of what is made of it: None where nobody knows them."""

    def __init__(self) -> None:
        self._found: dict[int, Units | None] = {}

    def follow(
        self,
        fact: Fact,
        operands: Sequence[Operand],
        outputs: Sequence[tuple[Array, int | None]],
        values: Sequence[int],
        *,
        weighted: bool,
    ) -> tuple[Range, ...]:
        """Remember those of outputs, of which an axis is told as well; the parts of units that they hold, if it is a
        cut. `weighted`: whether a weight makes them, whose units are on that axis."""
        if weighted:
            self._found.update(zip(values, (_along(*output) for output in outputs), strict=True))
            return ()
        read = [known.value for known, _ in operands if isinstance(known, Signal) and known.value in self._found]
        if not read or not isinstance(fact, _FOLLOWED):
            return ()
        arrays = [array for array, _ in outputs]
        given = [self._found[value] for value in read]
        if isinstance(fact, Elementwise):
            given = [None if units is None else _spread(units, arrays[0]) for units in given]
        units = given[0] if len({*given}) == 1 else None
        found = [None] * len(arrays) if units is None else through(fact, units, arrays)
        self._found.update(zip(values, found, strict=False))
        return cuts(units, found)

    def axis(self, fact: Fact, value: int, output: Array) -> int | None:
        """The axis on which a reshape leaves all units; None if they are on several, or nobody knows."""
        units = self._found.get(value)
        if units is None or not isinstance(fact, Move) or not fact.reshapes:
            return None
        moved = _moved(fact, units, output)
        places = [] if moved is None else [place for place, step in enumerate(moved.steps) if step]
        return places[0] if len(places) == 1 else None


def _along(array: Array, axis: int | None) -> Units:
    """A value whose units are on one axis."""
    return Units(array.shape, tuple(int(place == axis) for place in range(array.rank)))


def through(fact: Fact, units: Units, outputs: Sequence[Array]) -> Sequence[Units | None]:
    """What becomes of units in the outputs of an operation, None where it cannot be told."""
    if isinstance(fact, Split):
        return _split(fact, units, outputs)
    if isinstance(fact, Gather):
        keeps = fact.rank == 1 and not any(units.steps[axis] for axis in fact.axes)
    else:
        keeps = isinstance(fact, Elementwise | Norm | Softmax | Pool)
    moved = _moved(fact, units, outputs[0]) if isinstance(fact, Move) else None
    return [_spread(units, outputs[0]) if keeps else moved]


def _spread(units: Units, output: Array) -> Units | None:
    """Units where no axis is moved, but some may be longer, or new ones before them; None if theirs are."""
    lead = output.rank - len(units.shape)
    if lead < 0:
        return None
    sizes = [*zip(output.shape[lead:], units.shape, units.steps, strict=True)]
    steps = (0,) * lead + tuple(step if size == own else 0 for size, own, step in sizes)
    known = all(own in (size, 1) or not step for size, own, step in sizes)
    return Units(output.shape, steps, units.first) if known else None


def cuts(source: Units | None, parts: Sequence[Units | None]) -> tuple[Range, ...]:
    """The first unit of each part, counted from that of the source, and how many it has; () for parts of other axes,
    and for those whose units are not one after the other."""
    whole = None if source is None else source.range
    ranges = [part.range for part in parts if part is not None]
    found = tuple((one[0] - whole[0], one[1]) for one in ranges if one is not None and whole is not None)
    return found if len(found) == len(parts) and any(size != whole[1] for _, size in found if whole) else ()


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


def _moved(fact: Move, units: Units, output: Array) -> Units | None:
    if fact.entries not in ("same", "repeated", "masked") and not (fact.entries in ("part", "picked") and fact.start):
        return None
    if fact.axes is not None and len(fact.axes) == output.rank:
        if any(len(each) > 1 for each in fact.axes):
            return None
        start = sum(first * step for first, step in zip(fact.start, units.steps, strict=True)) if fact.start else 0
        steps = tuple(units.steps[each[0]] if each else 0 for each in fact.axes)
        return Units(output.shape, steps, units.first + start)
    if not fact.reshapes:
        return _spread(units, output) if output.rank == len(units.shape) else None
    found = _reshaped(units, output.shape)
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
