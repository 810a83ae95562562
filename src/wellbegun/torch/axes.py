"""Which axis of a parameter became which axis of a tensor made from it, through views, copies and elementwise steps.

A view's strides say which part of the index space each of its axes runs over; that also covers reshapes that merge or
split axes. A copy starts a new frame with its own strides.
"""

from dataclasses import dataclass, replace
from typing import Any

AxisSets = tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Derived:
    """A tensor made from parameters alone."""

    names: frozenset[str]
    rank: int  # of the parameter
    axes: AxisSets | None  # for each of its axes, the parameter axes it runs over; None: no longer known
    frame: tuple[tuple[int, int, frozenset[int]], ...] = ()  # (size, stride, axes) of the storage it lives in
    exact: bool = True  # entries are the parameter's own: only views and copies so far

    @property
    def name(self) -> str | None:
        """The parameter, if there is only one."""
        return next(iter(self.names)) if len(self.names) == 1 else None


def of_parameter(name: str, tensor: Any) -> Derived:
    """The parameter itself."""
    axes = tuple(frozenset({axis}) for axis in range(tensor.ndim))
    return Derived(frozenset({name}), tensor.ndim, axes, _frame(tensor, axes))


def _frame(tensor: Any, axes: AxisSets) -> tuple[tuple[int, int, frozenset[int]], ...]:
    return tuple(zip(tensor.shape, tensor.stride(), axes, strict=True))


def view(source: Derived, tensor: Any) -> Derived:
    """A view of the storage that `source` lives in."""
    if source.axes is None:
        return source
    axes = tuple(_covered(source, size, stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return replace(source, axes=axes)


def _covered(source: Derived, size: int, stride: int) -> frozenset[int]:
    """Frame axes whose index range [stride, stride * size) meets that of an axis of the view."""
    if size <= 1 or stride == 0:
        return frozenset()
    found: frozenset[int] = frozenset()
    for frame_size, frame_stride, axes in source.frame:
        if frame_size > 1 and frame_stride and frame_stride < stride * size and stride < frame_stride * frame_size:
            found |= axes
    return found


def copy(source: Derived, tensor: Any, *, exact: bool = True) -> Derived:
    """A copy with its own storage, or an elementwise function, of the same shape."""
    if source.axes is None or len(source.axes) != tensor.ndim:
        return replace(source, axes=None, exact=False)
    return replace(source, frame=_frame(tensor, source.axes), exact=source.exact and exact)


def merge(sources: list[Derived]) -> Derived:
    """Something made of several parameters: only their names are known."""
    return Derived(frozenset().union(*(source.names for source in sources)), 0, None, exact=False)


def letters(derived: Derived, roles: str) -> str | None:
    """Letters of the parameter's axes, if axis j of the tensor has role roles[j]; None if they contradict.

    Axes of size 1 leave no trace in strides; they take the roles that are still missing, in order.
    """
    if derived.axes is None or len(derived.axes) != len(roles):
        return None
    found: dict[int, str] = {}
    for role, axes in zip(roles, derived.axes, strict=True):
        for axis in axes:
            if found.setdefault(axis, role) != role:
                return None
    missing = [role for role in dict.fromkeys(roles) if role not in found.values() and role != "e"]
    for axis in range(derived.rank):
        if axis not in found:
            found[axis] = missing.pop(0) if missing else "o"
    return "".join(found[axis] for axis in range(derived.rank))
