"""Distances from rows of a parameter, as in radial basis functions: which shifts are one, and how large they are; and
lengths that signals are divided by.

Inputs and centres are taken for independent standard normals, so a difference has variance 2.
"""

import math

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.meetings import escapes
from wellbegun.graph.model import ModelGraph, Operation, Use

_NEAR = 0.01  # how far from 1 a size counts as 1: what is added to a statistic is small
_GRID = np.linspace(0.1, 4.0, 24)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(64)


@inferred("what is a distance", lambda *_: False)
def is_distance(graph: ModelGraph, shift: Operation) -> bool:
    """Whether everything that reads a shifted signal sees its size only, not its sign."""
    steps = escapes(graph, shift.outputs[0])
    return bool(steps) and all(
        reader is not None
        and reader.kind == "mean"
        and (reader.reduction == "length" if step is None else step.function is not None and _even(step.function))
        for step, reader in steps
    )


def _even(function: Function) -> bool:
    with np.errstate(all="ignore"):
        plus, minus = np.asarray(function(_GRID), np.float64), np.asarray(function(-_GRID), np.float64)
    return bool(np.allclose(plus, minus, rtol=1e-6) and np.ptp(plus) > 0)


@inferred("the unit of a distance", lambda *_: None)
def unit_of(graph: ModelGraph, operation: Operation, use: Use) -> float | None:
    """What makes a multiplied distance 1 in size: the value of the multiplier; None if no distance is multiplied."""
    size = _size(graph, operation.inputs[0]) if operation.inputs else None
    if size is None or not math.isfinite(size) or size == 0:
        return None
    wanted = abs(size) if operation.arithmetic == "quotient" else 1 / abs(size)
    if use.computed is None:
        return float(f"{wanted:.8g}")
    found = use.computed.where(wanted)
    return use.computed.where(-wanted) if found is None or found < 0 else found


def _size(graph: ModelGraph, value: int) -> float | None:
    """What a function of a distance is, where every difference has variance 2."""
    step = maker(graph, value)
    if step is None or step.kind != "pointwise" or step.root is None or step.function is None:
        return _distance(graph, step)
    root = _distance(graph, maker(graph, step.root))
    return None if root is None else float(np.asarray(step.function(np.array([root])), np.float64)[0])


def maker(graph: ModelGraph, value: int) -> Operation | None:
    """What made a value, before reshapes and copies."""
    step = graph.producers.get(value)
    while step is not None and step.kind == "move" and step.inputs:
        step = graph.producers.get(step.inputs[0])
    return step


def _distance(graph: ModelGraph, step: Operation | None) -> float | None:
    """A distance itself, or a sum or mean of a function of the differences."""
    if step is None or step.kind != "mean" or not step.inputs:
        return None
    centres = [use.parameter for use in step.uses if use.slot == "centre"]
    if centres:
        return math.sqrt(2 * graph.parameters[centres[0]].shape[-1])
    inner = maker(graph, step.inputs[0])
    function = inner.function if inner is not None and inner.kind == "pointwise" else None
    shift = inner if function is None or inner is None or inner.root is None else maker(graph, inner.root)
    if shift is None or shift.kind != "shift" or not is_distance(graph, shift):
        return None
    rows = [graph.parameters[use.parameter].shape[-1] for use in shift.uses if use.slot == "shift"]
    if step.reduction == "length":
        return math.sqrt(2 * rows[0])
    each = _mean(function, 2.0) if function is not None else 0.0
    return each * rows[0] if step.reduction == "sum" else each


def _mean(function: Function, variance: float, power: int = 1) -> float:
    """E f(z)^power for a normal z."""
    values: Array = np.asarray(function(_NODES * math.sqrt(variance)), np.float64) ** power
    return float(values @ _WEIGHTS / _WEIGHTS.sum())


# ---------------------------------------------------------------------- lengths
@inferred("the size of what a normalization gives", lambda *_: 1.0)
def normed_size(graph: ModelGraph, value: int) -> float:
    """RMS of a normalized signal, with constants behind it: 1, unless it is divided by a length or a sum by hand."""
    step, function = _function_of(graph, value)
    factor = 1.0 if function is None else abs(float(np.ptp(np.asarray(function(np.array([0.0, 1.0])), np.float64))))
    if step is None or step.kind != "norm" or step.arithmetic not in ("quotient", "product"):
        return 1.0
    statistics = [given for given in step.inputs if _statistic(graph, given)]
    others = [given for given in step.inputs if given not in statistics]
    if len(statistics) != 1 or len(others) != 1:
        return 1.0
    by = _statistic(graph, statistics[0])
    size = factor * _spread(graph, others[0]) * (by if step.arithmetic == "product" else 1 / by)
    return size if 0 < size < math.inf and abs(size - 1) > _NEAR else 1.0


def _function_of(graph: ModelGraph, value: int) -> tuple[Operation | None, Function | None]:
    """What made a value, or what it is a function of, with that function."""
    step = maker(graph, value)
    if step is None or step.kind != "pointwise" or step.root is None:
        return step, None
    return maker(graph, step.root), step.function


def _spread(graph: ModelGraph, value: int) -> float:
    """RMS of a function of a standard normal."""
    _, function = _function_of(graph, value)
    return 1.0 if function is None else math.sqrt(_mean(function, 1.0, 2))


def _statistic(graph: ModelGraph, value: int) -> float:
    """A function of a length, sum or mean over functions of independent standard normals; 0 for any other value."""
    step, function = _function_of(graph, value)
    if step is None or step.kind != "statistic" or step.reduction not in ("length", "sum", "mean"):
        return 0.0
    _, inner = _function_of(graph, step.inputs[0])
    if step.reduction == "length":
        found = math.sqrt(step.width) * _spread(graph, step.inputs[0])
    else:
        found = (step.width if step.reduction == "sum" else 1) * (0.0 if inner is None else _mean(inner, 1.0))
    return found if function is None else float(np.asarray(function(np.array([found])), np.float64)[0])
