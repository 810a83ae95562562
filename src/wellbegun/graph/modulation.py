"""Weights whose output becomes a factor of another signal: coupling layers, FiLM, a learned deviation of noise."""

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.distances import maker
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Operation
from wellbegun.graph.walk import ancestors, forward

_PASSED = frozenset({"move", "split", "pointwise"})


@inferred("whether a weight makes a factor", lambda *_: False)
def modulates(graph: Analysis, layer: Operation) -> bool:
    """Whether the output of a layer becomes a factor, 1 where it is 0, of a signal that does not come from it."""
    if not layer.outputs:
        return False
    ways = forward(graph, [layer.outputs[0]], lambda step: step.kind in _PASSED)
    return any(step.kind == "gate" and _as_factor(graph, layer.outputs[0], step) for step in ways)


def _as_factor(graph: Analysis, output: int, gate: Operation) -> bool:
    factors = [value for value in gate.inputs if output in ancestors(graph, [value])]
    if len(factors) != 1 or len(gate.inputs) < 2 or not _one_at_zero(maker(graph, factors[0])):
        return False
    return any(reader.kind != "mean" for reader in graph.consumers.get(gate.outputs[0], ()))  # no inner product


def _one_at_zero(step: Operation | None) -> bool:
    """Whether a value is a function that is 1 at 0, and grows or falls there: 1 + s, exp(s), 2 sigmoid(s)."""
    if step is None or step.kind != "pointwise" or step.function is None:
        return False
    low, middle, high = np.asarray(step.function(np.array([-0.01, 0.0, 0.01])), np.float64)
    return bool(abs(middle - 1) < 1e-6 and abs(high - low) > 1e-3)
