"""Dead and saturated shares: where the slope of the nonlinearity behind a weight is tiny, whatever the function is.

The function is the traced expression of its pre-activation, so no list of names is needed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import WEIGHTED, Analysis, ModelGraph, Operation
from wellbegun.graph.function import Function
from wellbegun.graph.meetings import escapes
from wellbegun.graph.walk import backward, forward, weights_before
from wellbegun.theory import identify
from wellbegun.theory.activations import DEAD_SLOPE, FLAT_SLOPE, standard_inputs

Usual = Callable[[Function], tuple[float, float, str]]
_FAR = 40.0  # input at which a function without bound is large
_STEP = 1e-4  # of the difference quotient, relative to arguments above 1


class Shares(NamedTuple):
    """Of one activation, on a sample of its inputs: as in the statistics of an operation."""

    activation: str
    dead: float
    saturated: float
    flat: float  # what `saturated` is for standard normal inputs
    gates: bool
    units: int
    entries: int


def shares_of(graph: Analysis, samples: Mapping[int, Array]) -> dict[int, Shares]:
    """Weighted operation -> its shares, for those whose output goes into a nonlinear function of one value."""
    found: dict[int, Shares] = {}
    usual = cache(_usual)  # layers share their functions
    for root in graph.rooted:
        seen = _sample(graph, root, samples)
        before = [o.index for o in weights_before(graph, root) if o.kind in WEIGHTED] if seen is not None else []
        if seen is None or not before or max(before) in found:
            continue
        for step, gates in _activations(graph, root):
            if _added(graph, root, step):
                continue  # x + f(x) is steep where f is flat
            shares = _shares(step, seen, gates, usual)
            if shares is not None:
                found[max(before)] = shares
                break
    return found


def _sample(graph: ModelGraph, value: int, samples: Mapping[int, Array]) -> Array | None:
    """The sample of a value, or of what it is another view of."""
    while value not in samples:
        producer = graph.producers.get(value)
        if producer is None or producer.kind != "move" or len(producer.inputs) != 1:
            return None
        value = producer.inputs[0]
    return samples[value]


def _activations(graph: Analysis, root: int) -> Iterator[tuple[Operation, bool]]:
    """Nonlinear functions of a value that something reads, those that gate last."""
    readers: dict[int, list[Operation | None]] = {}
    for step, reader in escapes(graph, root):
        if step is not None and not graph.is_linear(step):
            readers.setdefault(step.index, []).append(reader)
    gating = {index: all(r is not None and _gates(graph, r) for r in found) for index, found in readers.items()}
    for index in sorted(readers, key=lambda index: (gating[index], index)):
        yield graph.operations[index], gating[index]


def _added(graph: Analysis, root: int, step: Operation) -> bool:
    """Whether a function of a value is added to the value itself, each of them moved or scaled at most."""
    plain = graph.rescales
    sums = {reader.index for reader in forward(graph, step.outputs, plain) if reader.kind == "add"}
    before = [root, *(value for made in backward(graph, [root], plain) if plain(made) for value in made.inputs)]
    return bool(sums) and any(reader.index in sums for reader in forward(graph, before, plain))


def _gates(graph: ModelGraph, reader: Operation, further: int = 6) -> bool:
    if reader.kind in ("move", "scale", "shift", "pointwise") and reader.outputs and further:
        following = graph.consumers.get(reader.outputs[0], ())
        return bool(following) and all(_gates(graph, one, further - 1) for one in following)
    return reader.kind in ("gate", "matmul", "opaque")


def _shares(step: Operation, sample: Array, gates: bool, usual: Usual) -> Shares | None:
    assert step.function is not None  # pointwise operations have one
    units = sample.shape[-1]
    x = sample.reshape(-1, units).astype(np.float64)
    if not np.isfinite(x).all():
        return None
    scale, flat, name = usual(step.function)
    if not 0 < scale < math.inf:
        return None
    own = _slopes(step.function, x.ravel()).reshape(x.shape)
    if not np.isfinite(own).all():
        return None
    dead = float((own < DEAD_SLOPE * scale).all(axis=0).mean())
    low = own < FLAT_SLOPE * scale
    if low.any():
        low[low] = ~_tail(step.function, x[low], own[low])
    saturated = np.count_nonzero(low) / max(own.size, 1)
    return Shares(name or step.name.rstrip("_"), dead, saturated, flat, gates, units, len(x))


def _tail(function: Function, x: Array, slopes: Array) -> Array:
    """Where a function falls to zero as exponentials do, and grows without bound elsewhere, as softplus: there it is
    small, and changes as fast as it is small."""
    with np.errstate(all="ignore"):
        values = np.asarray(function(np.append(x, [_FAR, -_FAR])), np.float64)
        unbounded = abs(values[-2] - values[-1]) > _FAR / 4
        found: Array = unbounded & (values[:-2] > 0) & (slopes > 0.5 * values[:-2])
    return found


def _usual(function: Function) -> tuple[float, float, str]:
    """The RMS slope of a function for standard normal inputs, the share of them at which it is flat, and what it is
    called if it is a known one."""
    slopes = _slopes(function, standard_inputs())
    with np.errstate(all="ignore"):
        scale = math.sqrt(float(np.mean(slopes**2)))
    known = identify(function)
    return scale, float((slopes < FLAT_SLOPE * scale).mean()), "" if known is None else known[0]


def _slopes(function: Function, x: Array) -> Array:
    step = np.abs(x)
    np.maximum(step, 1.0, out=step)
    step *= _STEP
    ends = np.empty((2, x.size))
    np.add(x, step, out=ends[0])
    np.subtract(x, step, out=ends[1])
    with np.errstate(all="ignore"):
        values = np.asarray(function(ends))
        slopes: Array = np.subtract(values[0], values[1], out=ends[0])
        np.abs(slopes, out=slopes)
        slopes /= np.add(step, step, out=step)
    return slopes
