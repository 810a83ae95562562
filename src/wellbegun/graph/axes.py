"""Which axis of a parameter became which axis of an array made from it, through views, copies and elementwise steps.

A view's strides say which part of the index space each of its axes runs over; that also covers reshapes that merge or
split axes. A copy starts a new frame with its own strides. Where a framework has no strides, rows tell the same.
"""

from collections.abc import Sequence
from typing import NamedTuple

from wellbegun.graph.facts import Array
from wellbegun.graph.function import Function, Root

AxisSets = tuple[frozenset[int], ...]


class Derived(NamedTuple):
    """An array made from parameters alone."""

    names: frozenset[str]
    shape: tuple[int, ...]  # of the parameter, or of the first array computed from several
    axes: AxisSets | None  # for each of its axes, the parameter axes it runs over; None: no longer known
    frame: tuple[tuple[int, int, frozenset[int]], ...] = ()  # (size, stride, axes) of the storage it lives in
    exact: bool = True  # entries are the parameter's own: only views and copies so far
    pair: int | None = None  # the axis of real and imaginary parts, where the array made of them is complex
    gathered: bool = False  # rows picked by constant indices, in a shape of their own: a table of positions
    copied: bool = False  # in memory of its own: changing the parameter would not change it
    function: Function | None = None  # how it was made; None: not known

    @property
    def name(self) -> str | None:
        """The parameter, if there is only one."""
        return next(iter(self.names)) if len(self.names) == 1 else None


def of_parameter(name: str, array: Array) -> Derived:
    """The parameter itself."""
    axes = _each(array)
    return Derived(frozenset({name}), array.shape, axes, _frame(array, axes), function=Root(name, array.shape))


def _each(array: Array) -> AxisSets:
    return tuple(frozenset({axis}) for axis in range(array.rank))


def _frame(array: Array, axes: AxisSets) -> tuple[tuple[int, int, frozenset[int]], ...]:
    return tuple(zip(array.shape, array.steps, axes, strict=True))


def view(source: Derived, array: Array) -> Derived:
    """A view of the storage that `source` lives in."""
    if source.axes is None:
        return source
    axes = tuple(_covered(source, size, stride) for size, stride in zip(array.shape, array.steps, strict=True))
    return source._replace(axes=axes)


def _covered(source: Derived, size: int, stride: int) -> frozenset[int]:
    """Frame axes whose index range [stride, stride * size) meets that of an axis of the view."""
    if size <= 1 or stride == 0:
        return frozenset()
    found: frozenset[int] = frozenset()
    for frame_size, frame_stride, axes in source.frame:
        if frame_size > 1 and frame_stride and frame_stride < stride * size and stride < frame_stride * frame_size:
            found |= axes
    return found


def mapped(source: Derived, array: Array, axes: Sequence[Sequence[int]]) -> Derived:
    """The same entries where each axis runs over the given axes of `source`: memory is of no matter."""
    if source.axes is None:
        return source
    own = source.axes
    found = tuple(frozenset[int]().union(*(own[axis] for axis in each)) for each in axes)
    return source._replace(axes=found, frame=_frame(array, found))


def copy(source: Derived, array: Array, *, exact: bool = True) -> Derived:
    """A copy with its own storage, or an elementwise function, of the same shape."""
    if source.axes is None or len(source.axes) != array.rank:
        return source._replace(axes=None, exact=False, copied=True)
    return source._replace(frame=_frame(array, source.axes), exact=source.exact and exact, copied=True)


def pick(source: Derived, array: Array, axis: int, rank: int) -> Derived:
    """Slices along one axis, chosen by integers in an array of the given rank, which takes the place of that axis."""
    if source.axes is None or axis >= len(source.axes) or len(source.axes) - 1 + rank != array.rank:
        return source._replace(axes=None, exact=False, gathered=source.gathered or rank > 1, copied=True)
    axes = (*source.axes[:axis], *(source.axes[axis],) * rank, *source.axes[axis + 1 :])
    gathered = source.gathered or rank > 1
    return source._replace(axes=axes, frame=_frame(array, axes), gathered=gathered, copied=True)


def paired(source: Derived, array: Array) -> Derived:
    """Complex numbers, whose parts lie along the last axis of `source`."""
    if source.axes is None or len(source.axes[-1]) != 1:
        return source._replace(axes=None, exact=False)
    return source._replace(axes=source.axes[:-1], frame=_frame(array, source.axes[:-1]), pair=min(source.axes[-1]))


def merge(sources: list[Derived]) -> Derived:
    """Something made of several parameters: only their names are known."""
    gathered = any(source.gathered for source in sources)
    return Derived(frozenset().union(*(source.names for source in sources)), (), None, exact=False, gathered=gathered)


def computed(sources: list[Derived], array: Array) -> Derived:
    """Something computed from parameters that has axes of its own."""
    axes, gathered = _each(array), any(s.gathered for s in sources)
    names = frozenset().union(*(source.names for source in sources))
    return Derived(names, array.shape, axes, _frame(array, axes), exact=False, gathered=gathered)


def letters(derived: Derived, roles: str) -> str | None:
    """Letters of the parameter's axes, if axis j of the array has role roles[j]; None if they contradict.

    An axis that the array does not run over was indexed away: it counts matrices of their own. Axes of size 1 leave
    no trace in strides; they take the roles that are still missing, in order.
    """
    if derived.axes is None or len(derived.axes) != len(roles):
        return None
    found: dict[int, str] = {}
    if derived.pair is not None:  # real and imaginary parts are both summed over
        found[derived.pair] = "i" if "i" in roles else "o"
    for role, axes in zip(roles, derived.axes, strict=True):
        for axis in axes:
            if found.setdefault(axis, role) != role:
                return None
    if len(found) == len(derived.shape):
        return "".join(map(found.__getitem__, range(len(found))))
    missing = [role for role, axes in zip(roles, derived.axes, strict=True) if not axes and role != "e"]
    free = sorted((axis for axis in range(len(derived.shape)) if axis not in found), key=lambda a: derived.shape[a] > 1)
    if len(missing) > len(free):  # axes of size 1 were put in: what nothing else is comes first, windows last
        missing.sort(key=lambda role: (role in found.values(), role == "k"))
    for axis in free:
        single = derived.shape[axis] <= 1
        left = (role for role in missing if single or role not in found.values())
        found[axis] = next(left, "o" if single or "l" in roles else "e")
        if found[axis] in missing:
            missing.remove(found[axis])
    return "".join(found[axis] for axis in range(len(derived.shape)))
