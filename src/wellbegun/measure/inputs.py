"""What the batch holds, and whether a weight reads it as it is."""

from dataclasses import replace

import numpy as np

from wellbegun.backend import Handle
from wellbegun.graph import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import forward as read_by
from wellbegun.health import InputStats
from wellbegun.measure.samples import is_finite, size_of

_ENTRIES = 2**19  # of a table that are looked at
_CLOSE = frozenset({"move", "shift", "split"})  # what may lie between an input and the weight, or it and a norm


def came(handle: Handle) -> InputStats:
    """One input in numbers; columns are of at most 1,024 rows, and of fewer where there are many columns."""
    length, entries = handle.norm(), size_of(handle)
    if not is_finite(handle, length):
        return InputStats("", length, int(np.count_nonzero(~np.isfinite(handle.array()))), entries)
    whole = InputStats("", length / max(entries, 1) ** 0.5, 0, entries)
    if len(handle.shape) != 2 or handle.shape[0] < 4 or handle.kind != "real":
        return whole
    most = min(1024, max(256, _ENTRIES // max(handle.shape[1], 1)))
    rows = handle.part(slice(None, None, -(-handle.shape[0] // most))).array()
    same = (rows == rows[:1]).all(axis=0)
    sizes = np.sqrt(np.einsum("ij,ij->j", rows, rows, dtype=np.float64, casting="same_kind") / len(rows))
    live = sizes[sizes > 0]
    constant = int(np.count_nonzero(same & (sizes > 0)))
    low, high = (float(live.min()), float(live.max())) if live.size else (None, None)
    filled = np.count_nonzero(rows) / max(rows.size, 1)
    return replace(whole, constant=constant, low=low, high=high, filled=filled)


def input_stats(graph: ModelGraph, found: dict[int, InputStats], cast: dict[int, InputStats]) -> tuple[InputStats, ...]:
    """Each input that was read, with its name, and integers among them that a weight reads as numbers; constants of the
    model, as first states, are none."""
    found = {**found, **{value: stats for value, stats in cast.items() if _raw(graph, value)}}
    order = sorted(value for value in found if value not in graph.producers)
    names = {value: "the batch" if len(order) == 1 else f"input {i} of the batch" for i, value in enumerate(order)}
    raw = {value: _raw(graph, value) for value in order}
    return tuple(
        replace(found[value], name=names[value], raw=raw[value], constant=found[value].constant * raw[value])
        for value in order
    )


def _raw(graph: ModelGraph, value: int) -> bool:
    near = read_by(graph, [value], lambda operation: operation.kind in _CLOSE)
    return any(operation.kind in WEIGHTED and not _normed(graph, operation) for operation in near)


def _normed(graph: ModelGraph, operation: Operation) -> bool:
    behind = read_by(graph, operation.outputs, lambda following: following.kind in _CLOSE)
    return any(following.kind in ("norm", "statistic") for following in behind)
