"""Weights whose output becomes a factor of another signal: coupling layers, FiLM, a learned deviation of noise."""

from collections.abc import Iterator, Mapping

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Operation
from wellbegun.graph.walk import ancestors, forward

_PASSED = frozenset({"move", "split", "concat", "pointwise", "scale", "shift"})
_AROUND = np.array([-0.01, 0.0, 0.01])  # what a layer gives: factors are judged by what becomes of it
_UNKNOWN = np.full(3, np.nan)


@inferred("whether a weight makes a factor", lambda *_: False)
def modulates(graph: Analysis, layer: Operation) -> bool:
    """Whether the output of a layer becomes a factor, 1 where it is 0, of a signal that does not come from it."""
    if not layer.outputs:
        return False
    output = layer.outputs[0]
    return any(_as_factor(graph, output, gate, held) for gate, held in _gates(output, graph))


def _gates(output: int, graph: Analysis) -> Iterator[tuple[Operation, Mapping[int, Array]]]:
    """Products behind what a layer gives, with what values on the way are where it is about 0."""
    held = {output: _AROUND}
    for step in forward(graph, [output], lambda step: step.kind in _PASSED):
        if step.kind == "gate":
            yield step, held
        elif step.kind in _PASSED:
            held.update(dict.fromkeys(step.outputs, _given(step, held)))


def _given(step: Operation, held: Mapping[int, Array]) -> Array:
    """What a step gives. Numbers that are not known leave 0 as it is if they multiply it, as masks leave what they do
    not hide; a parameter that is added begins at 0, and a constant stands where a mask hides."""
    if step.kind == "pointwise":
        given = held.get(-1 if step.root is None else step.root)
        return _UNKNOWN if given is None or step.function is None else np.asarray(step.function(given), np.float64)
    given = next(held[value] for value in step.inputs if value in held)
    if step.kind not in ("scale", "shift"):
        return given
    known = given[1] == (0 if step.uses else 1) or (step.kind == "scale" and given[1] == 0)
    return given if known else _UNKNOWN


def _as_factor(graph: Analysis, output: int, gate: Operation, held: Mapping[int, Array]) -> bool:
    factors = [value for value in gate.inputs if output in ancestors(graph, [value])]
    if len(factors) != 1 or len(gate.inputs) < 2 or not _one_at_zero(held.get(factors[0], _UNKNOWN)):
        return False
    return any(reader.kind != "mean" for reader in graph.consumers.get(gate.outputs[0], ()))  # no inner product


def _one_at_zero(factor: Array) -> bool:
    """Whether a value is 1 at 0, and grows or falls there: 1 + s, exp(s), 2 sigmoid(s)."""
    low, middle, high = factor
    return bool(abs(middle - 1) < 1e-6 and abs(high - low) > 1e-3)
