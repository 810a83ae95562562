"""What becomes of ids: where they are read, by whatever operation, whether all of them are read alike, and what tells
samples apart behind that."""

from collections.abc import Sequence

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Handle
from wellbegun.graph import WEIGHTED, Operation
from wellbegun.measure.samples import Rows, sample, size_of, unit_axis

_READS = WEIGHTED | {"lookup", "matmul", "attention", "softmax", "norm"}  # behind which nothing is an id any more
_ADDS = frozenset({"shift", "concat", "add"})
_IDS = 1 << 16  # most that are compared
_COLUMNS = 64  # by which samples are told apart
_FEW = 16  # samples that are looked at first
ROUNDING = 1e-6


class Reads:
    """Follows ids, and masks, to what reads them, and what is the same for all of them further on."""

    def __init__(self) -> None:
        self.blank: set[int] = set()  # operations that read ids which differ, and give the same row for each
        self.shut: set[int] = set()  # these, and those behind at which it is one row again
        self.told: set[int] = set()  # operations behind those at which samples come to differ
        self.held: dict[int, bool] = {}  # value that was not seen to be made -> whether it is one row
        self.drawn: dict[int, int] = {}  # of these, those that differ along their first axis -> how long that is
        self.lengths: dict[int, int] = {}  # real values of the batch, and constants -> length of their first axis
        self.samples: dict[int, int] = {}  # integers -> how many samples they have
        self._alike: dict[int, bool] = {}  # value behind a blank read -> whether all samples have the same
        self._ids: set[int] = set()

    def came(self, value: int, handle: Handle) -> None:
        """A value of the batch, or a constant."""
        if handle.kind == "integer":
            self._ids.add(value)
            self.samples.update({value: handle.shape[0]} if handle.shape else {})
        elif len(handle.shape) > 1 and size_of(handle):
            self.lengths[value] = handle.shape[0]
            self.held[value] = _one_row(handle, len(handle.shape) - 1)
            self.drawn.update({value: handle.shape[0]} if apart(handle) else {})

    def __call__(self, operation: Operation, inputs: Sequence[Handle], output: Handle, rows: int | None) -> None:
        """One operation. `rows`: of a lookup, how many different ones it picks, but for those that pad."""
        given = dict(zip(operation.inputs, inputs, strict=False))
        ids, alike = ([value for value in given if value in known] for known in (self._ids, self._alike))
        if (ids or alike) and output.kind == "integer":
            self._ids.update(operation.outputs)
        if not (ids or alike) or output.kind == "integer" or not size_of(output):
            return
        pads = rows is not None and any(use.zero_rows for use in operation.uses)
        many = rows > 1 if rows is not None else any(_differ(given[value]) for value in ids)
        axis = unit_axis(operation.axis if operation.kind in WEIGHTED else None, output)
        if many and _one_row(output, axis, pads=pads):
            self.shut.add(operation.index)
            self.blank.update(() if alike else (operation.index,))
            self._alike.update(dict.fromkeys(operation.outputs, not (pads and apart(output))))
            return
        if ids and operation.kind not in _READS:
            self._ids.update(operation.outputs)
        if alike:
            came = given[alike[0]]
            self._behind(operation, all(self._alike[value] for value in alike), came, output)

    def _behind(self, operation: Operation, before: bool, came: Handle, output: Handle) -> None:
        """Noise that is added to what is the same for all tells samples apart, and so do sums over different numbers of
        rows that pad; what drops entries at random does not."""
        now = not apart(output)
        if before and not now:
            self.told.update((operation.index,) if operation.kind in _ADDS else ())
            return
        if not now and operation.kind == "mean" and output.shape[-1:] == came.shape[-1:]:
            self.told.add(operation.index)
        self._alike.update(dict.fromkeys(operation.outputs, now))


def _differ(ids: Handle) -> bool:
    if ids.kind != "integer":
        return bool(ids.shape) and not _one_row(ids, len(ids.shape) - 1)
    some = ids.entries(_IDS)
    return bool((some != some[:1]).any())


def apart(handle: Handle, rounding: float = ROUNDING) -> bool:
    """Whether samples differ, which are along the first axis: a few of them may show it already."""
    if len(handle.shape) < 2:
        return False
    return any(not same(Rows(some, 1).some(_COLUMNS), rounding) for some in (handle.part(slice(_FEW)), handle))


def _one_row(handle: Handle, axis: int, *, pads: bool = False) -> bool:
    """Whether all rows are the same, of which there are two at least; rows of zeros may pad."""
    units = handle.shape[axis] if len(handle.shape) > 1 else 1
    if size_of(handle) < 2 * units:
        return False
    some = sample(handle, axis) if len(handle.shape) > 1 else handle.entries(_IDS)[:, None]
    rows = some.reshape(-1, some.shape[-1])
    if not same(rows[rows.any(axis=1)] if pads else rows):
        return False
    if pads:
        rows = np.moveaxis(handle.array(), axis, -1).reshape(-1, units)
        return same(rows[rows.any(axis=1)])
    order = [axis, *(other for other in range(len(handle.shape)) if other != axis)]
    first = handle.transposed(order).part(slice(None), *[slice(1)] * (len(order) - 1)).array().ravel()
    return handle.norm(first, axis) <= ROUNDING * handle.norm()


def same(rows: Array, rounding: float = ROUNDING) -> bool:
    """To what rounding leaves: a mean of equal numbers may differ from them in the last bit."""
    return bool((np.abs(rows - rows[:1]) <= rounding * np.abs(rows[:1]).max(initial=0.0)).all())
