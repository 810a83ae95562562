"""Views of one memory: which parameter holds the entries of which other ones."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.errors import TraceError


class View(NamedTuple):
    """Where the entries of a tensor lie: `memory` is a number for what it shares with others."""

    memory: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


_Named = list[tuple[str, View]]


def holders(views: Mapping[str, View]) -> dict[str, str]:
    """Name -> the name that is filled: itself, or the first name of the memory that holds these entries.

    Raises:
        TraceError: two share entries, and neither holds the other.

    >>> table = View(1, 0, (4, 3), (3, 1), "float32")
    >>> holders({"rows": View(1, 3, (2, 3), (3, 1), "float32"), "table": table, "again": table})
    {'table': 'table', 'again': 'table', 'rows': 'table'}
    """
    groups: dict[int, _Named] = {}
    for name, view in views.items():
        groups.setdefault(view.memory, []).append((name, view))
    found: dict[str, str] = {}
    for group in groups.values():
        distinct: _Named = []
        for name, view in sorted(group, key=lambda item: -math.prod(item[1].shape)):
            holder = _holder(name, view, distinct)
            if holder is None:
                distinct.append((name, view))
            found[name] = holder or name
    return found


def _holder(name: str, view: View, others: Iterable[tuple[str, View]]) -> str | None:
    for other, larger in others:
        shared = math.prod(view.shape) if larger == view else _shared(larger, view)
        if shared == math.prod(view.shape):
            return other
        if shared:
            raise TraceError(
                f"model: parameters {other!r} and {name!r} share {shared} entries of one memory, and neither holds "
                "the other, so each cannot be filled exactly once. Give one of them memory of its own."
            )
    return None


def _shared(larger: View, view: View) -> int:
    """Number of entries of a view that lie in another one."""
    (low, high), (start, stop) = _extent(larger), _extent(view)
    if stop <= low or high <= start:
        return 0
    if high - low == math.prod(larger.shape) and low <= start and stop <= high:
        return math.prod(view.shape)
    covered = np.zeros(max(high, stop), bool)
    _seen(covered, larger)[...] = True
    return int(_seen(covered, view).sum())


def _seen(memory: Array, view: View) -> Array:
    return np.lib.stride_tricks.as_strided(memory[view.offset :], view.shape, view.strides)


def _extent(view: View) -> tuple[int, int]:
    last = sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    return view.offset, view.offset + 1 + last
