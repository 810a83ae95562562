"""What a fact says of an operation and its values: its kind and fields, the axis of units, bounds of entries."""

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, cast

from wellbegun.graph.facts import (
    Array,
    Attention,
    Concat,
    Contraction,
    Convolution,
    Elementwise,
    Fact,
    Gather,
    Move,
    Norm,
    Pool,
    Reduce,
    Scatter,
    Softmax,
    Split,
)  # fmt: skip
from wellbegun.graph.function import EVERYTHING
from wellbegun.graph.model import KEPT, Kind
from wellbegun.graph.numeric import Interval
from wellbegun.graph.provenance import Operand

_LAST = frozenset({"linear", "recurrent", "attention", "lookup", "matmul"})


def usual_axis(rank: int, *, last: bool = False) -> int | None:
    """Where units are, if nothing tells: channels second in images, unless they are `last`; features last elsewhere."""
    return 1 if rank > 3 and not last else rank - 1 if rank else None


def unit_axis(
    fact: Fact, kind: Kind, output: Array, given: Array | None, axis: int | None, *, last: bool
) -> int | None:
    """The axis of units of an output. `given` is the first operand that depends on the batch, `axis` that of its units;
    `last`: whether the framework has channels last."""
    rank = output.rank
    if not rank:
        return None
    if isinstance(fact, Convolution | Norm | Softmax):
        return fact.axis
    if kind == "linear" and isinstance(fact, Contraction):
        return fact.units(rank)
    if kind in _LAST or isinstance(fact, Attention):
        return rank - 1
    if axis is None or given is None:
        return usual_axis(rank, last=last)
    if isinstance(fact, Move) and fact.axes is not None and len(fact.axes) == rank:
        return next((place for place, source in enumerate(fact.axes) if axis in source), usual_axis(rank, last=last))
    if given.rank == rank and (given.shape == output.shape or not (isinstance(fact, Move) and fact.reshapes)):
        return axis
    if isinstance(fact, Elementwise) and given.rank < rank:  # as broadcasting has it
        return axis + rank - given.rank
    return usual_axis(rank, last=last)


def bounds(fact: Fact, given: Sequence[Interval]) -> Interval:
    """Bounds of what an operation that is no function of one value gives, from those of what it reads."""
    if isinstance(fact, Softmax):
        return (-math.inf, 0.0) if fact.logarithm else (0.0, 1.0)
    if isinstance(fact, Reduce) and fact.reduction == "length":
        return 0.0, math.inf
    if isinstance(fact, Contraction | Convolution) or all(interval is EVERYTHING for interval in given):
        return EVERYTHING
    low, high = min(low for low, _ in given), max(high for _, high in given)
    if isinstance(fact, Reduce) and fact.reduction == "sum":
        return 0.0 if low >= 0 else -math.inf, 0.0 if high <= 0 else math.inf
    if isinstance(fact, Pool) or (isinstance(fact, Move) and fact.entries == "padded"):
        return min(low, 0.0), max(high, 0.0)  # zeros beside the entries
    kept = isinstance(fact, Move) and fact.entries in KEPT
    averaged = isinstance(fact, Reduce) and fact.reduction in ("mean", "extremum")
    return (low, high) if kept or averaged or isinstance(fact, Concat | Split) else EVERYTHING


# ---------------------------------------------------------------------- fields
_SHARED = ("arithmetic", "reduction", "entries", "selects", "over", "centred", "logarithm", "mode", "width", "scale")


@cache
def _shared(fact: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(fact) if field.name in _SHARED)


def fields_of(
    fact: Fact, kind: Kind, operands: Sequence[Operand], outputs: Sequence[tuple[Array, int | None]]
) -> dict[str, Any]:
    """What a fact says that an operation keeps."""
    found = {name: getattr(fact, name) for name in _shared(cast(Any, type(fact)))}
    if kind == "move" and isinstance(fact, Elementwise):
        found["entries"] = "masked"
    elif kind == "move" and isinstance(fact, Gather):
        found["entries"] = "picked"
    elif kind == "matmul" and isinstance(fact, Contraction):
        found["width"] = _terms(fact, operands)
    elif isinstance(fact, Reduce) and operands and outputs:
        found["width"] = math.prod(operands[0].array.shape) // max(math.prod(outputs[0][0].shape), 1)
    return found


def over_units(fact: Fact, operands: Sequence[Operand], axes: Sequence[int | None]) -> dict[str, Any]:
    """Of a product of two values, in which of them the terms run over units, which are on these axes of operands."""
    if isinstance(fact, Contraction) and len(fact.labels) == 2:
        found = [(fact.labels[factor], axes[fact.operand(factor)]) for factor in (0, 1)]
        return {"over_units": tuple(axis is not None and own[axis] not in fact.output for own, axis in found)}
    if isinstance(fact, Convolution):
        kernel = zip(fact.letters, operands[1].array.shape, strict=True)
        return {"over_units": (False, True), "width": math.prod(size for letter, size in kernel if letter != "o")}
    return {}


def regrouped(
    fact: Fact, operands: Sequence[Operand], outputs: Sequence[tuple[Array, int | None]], axes: Sequence[int | None]
) -> dict[str, Any]:
    """Of a reshape, sizes of the axes that are merged into one, or one is split into, if units are not the last."""
    if not isinstance(fact, Move) or not fact.reshapes or not outputs:
        return {}
    (made, own), given, axis = outputs[0], operands[0].array, axes[0]
    if own is None or axis is None:
        return {}
    return {"merges": _group(given.shape, axis, made.shape, own), "splits": _group(made.shape, own, given.shape, axis)}


def _group(many: tuple[int, ...], unit: int, few: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """Sizes before, of and after one axis among those that an axis of `few` runs over; () if none comes after it."""
    for first in range(unit + 1):
        for last in range(unit + 2, len(many) + 1):
            if math.prod(many[:first]) == math.prod(few[:axis]) and math.prod(many[first:last]) == few[axis]:
                after = math.prod(many[unit + 1 : last])
                return (math.prod(many[first:unit]), many[unit], after) if after > 1 else ()
    return ()


def _terms(fact: Contraction, operands: Sequence[Operand]) -> int:
    """Number of terms in each sum of products."""
    sizes = dict(zip(fact.labels[0], operands[fact.operand(0)].array.shape, strict=True))
    return math.prod(size for letter, size in sizes.items() if letter not in fact.output)


def kind_of(fact: Fact, *, several: bool) -> Kind:
    """Kind of an operation on values of the batch that is no function of one; `several`: of more than one."""
    if isinstance(fact, Contraction):
        return "matmul" if len(fact.labels) == 2 else "opaque"
    if isinstance(fact, Scatter):
        return "add" if several else "mean"
    if isinstance(fact, Gather):
        return "opaque" if fact.layer else "move"
    return _KINDS.get(type(fact), "opaque")


_KINDS: dict[type, Kind] = {
    Reduce: "mean", Move: "move", Concat: "concat", Split: "split", Pool: "pool", Norm: "norm", Softmax: "softmax",
    Attention: "attention",
}  # fmt: skip
