"""Weights whose output becomes a factor of another signal: coupling layers, FiLM, a learned deviation of noise."""

from collections.abc import Iterator

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.analysis import Analysis
from wellbegun.graph.distances import maker
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Operation
from wellbegun.graph.walk import ancestors, forward

_PASSED = frozenset({"move", "split", "concat", "pointwise", "scale", "shift"})
_AROUND = np.array([-0.5, -0.01, 0.0, 0.01, 0.5])  # what a layer gives: factors are judged by what becomes of it
_UNKNOWN = np.full(len(_AROUND), np.nan)


@inferred("whether a weight makes a factor", lambda *_: False)
def modulates(graph: Analysis, layer: Operation) -> bool:
    """Whether the output of a layer becomes a factor, as usual where it is 0, of noise or of another signal."""
    if not layer.outputs:
        return False
    output = layer.outputs[0]
    return any(
        _as_factor(graph, output, step, around) if step.kind == "gate" else _as_noise(graph, step, around)
        for step, around in _joins(output, graph)
    )


class _Around:
    """What values behind a layer are where it gives about 0, each computed when it is asked for: functions in a row are
    one function of the value that they begin with."""

    def __init__(self, output: int) -> None:
        self._known = {output: _AROUND}
        self._made: dict[int, Operation] = {}

    def passes(self, step: Operation) -> None:
        """One more step on the way."""
        self._made.update(dict.fromkeys(step.outputs, step))

    def of(self, value: int) -> Array:
        """What a value is; nan where that is not known."""
        way = list[tuple[int, Operation]]()
        while value not in self._known:
            step = self._made.get(value)
            source = None if step is None else self._source(step)
            if step is None or source is None:
                return _UNKNOWN
            way.append((value, step))
            value = source
        given = self._known[value]
        for made, step in reversed(way):
            given = self._known[made] = _given(step, given)
        return given

    def _source(self, step: Operation) -> int | None:
        if step.kind == "pointwise":
            return step.root
        return next((value for value in step.inputs if value in self._made or value in self._known), None)


def _joins(output: int, graph: Analysis) -> Iterator[tuple[Operation, _Around]]:
    """Products and sums behind what a layer gives, with what values on the way are where it is about 0."""
    around = _Around(output)
    for step in forward(graph, [output], lambda step: step.kind in _PASSED):
        if step.kind in ("gate", "add"):
            yield step, around
        elif step.kind in _PASSED:
            around.passes(step)


def _given(step: Operation, given: Array) -> Array:
    """What a step gives. Numbers that are not known leave 0 as it is if they multiply it, as masks leave what they do
    not hide; a parameter that is added begins at 0, and a constant stands where a mask hides."""
    if step.kind == "pointwise":
        with np.errstate(all="ignore"):
            return _UNKNOWN if step.function is None else np.asarray(step.function(given), np.float64)
    if step.kind not in ("scale", "shift"):
        return given
    zero = given[2] == 0 and (step.kind == "scale" or bool(step.uses))
    return given if zero or (_is_factor(given) and (step.kind == "scale" or not step.uses)) else _UNKNOWN


def _as_factor(graph: Analysis, output: int, gate: Operation, around: _Around) -> bool:
    factors = [value for value in gate.inputs if output in ancestors(graph, [value])]
    if len(factors) != 1 or len(gate.inputs) < 2 or not _is_factor(around.of(factors[0])):
        return False
    return any(reader.kind != "mean" for reader in graph.consumers.get(gate.outputs[0], ()))  # no inner product


def _as_noise(graph: Analysis, total: Operation, around: _Around) -> bool:
    """Whether an exponential, as a deviation is, multiplies numbers that are drawn, or constant, and is added to a
    signal. Behind other functions that are 1 at 0 there may be dropout, or a buffer."""
    for value in total.inputs:
        step = maker(graph, value)
        if step is not None and step.kind == "scale" and not step.uses and _is_exponential(around.of(value)):
            return True
    return False


def _is_factor(factor: Array) -> bool:
    """Whether a value is 1 at 0, and grows or falls there, as 1 + s and 2 sigmoid(s); or an exponential."""
    return _varies(factor) and (bool(abs(factor[2] - 1) < 1e-6) or _is_exponential(factor))


def _varies(factor: Array) -> bool:
    return bool(np.isfinite(factor).all() and abs(factor[3] - factor[1]) > 1e-3 * abs(factor[2]))


def _is_exponential(factor: Array) -> bool:
    """Whether a value is a constant times the exponential of what is odd, as exp(s - 1) and exp(tanh(s)), which leaves
    ratios as they are."""
    if not (_varies(factor) and (factor > 0).all()):
        return False
    logarithm = np.log(factor)
    return bool(np.allclose(logarithm + logarithm[::-1], 2 * logarithm[2], atol=1e-6))
