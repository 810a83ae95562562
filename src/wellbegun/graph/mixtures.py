"""Weights whose rows are averaged by shares, as memories, codebooks and stored patterns are read."""

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Operation
from wellbegun.graph.proportional import makes_weight
from wellbegun.graph.walk import backward


@inferred("whether rows of a weight are averaged by shares", lambda *_: False)
def rows_are_shared(graph: Analysis, name: str) -> bool:
    """Whether a weight is multiplied as it is, somewhere, with what a softmax over its rows gives."""
    readers = (made for made, use in graph.uses_of(name) if use.slot == "weight" and use.computed is None)
    single = len(graph.parameters[name].shape) == 2  # rows are units, and not kernels or matrices
    return single and any(made.kind == "linear" and _are_shares(graph, made) for made in readers)


def _are_shares(graph: Analysis, product: Operation) -> bool:
    def passes(made: Operation) -> bool:
        return _keeps(made) or _leaves(made)

    shared = False
    for made in backward(graph, product.inputs[:1], passes):
        softmax = made.kind == "softmax" and not made.logarithm
        if not passes(made) and not (_over_units(graph, made) if softmax else made.selects):
            return False  # the nearest weight, mostly, so that no stream is walked to its beginning
        shared |= softmax
    return shared and makes_weight(graph, product) is None


def _keeps(made: Operation) -> bool:
    """Moves, sums of hard and soft shares, masks and dropout, and divisions by a sum. Behind other norms, and factors,
    rows are added, not averaged."""
    if made.kind == "move":
        return bool(made.inputs) and not made.selects
    if made.kind == "statistic":
        return made.reduction in ("sum", "extremum")
    plain = made.kind == "norm" and bool(made.arithmetic)
    return plain or made.kind == "add" or (made.kind == "scale" and not made.uses)


def _leaves(made: Operation) -> bool:
    """Whether a function leaves what it is given."""
    given = np.array([0.0, 0.25, 1.0])
    return made.kind == "pointwise" and made.function is not None and np.allclose(made.function(given), given)


def _over_units(graph: Analysis, softmax: Operation) -> bool:
    before = graph.producers.get(softmax.inputs[0])
    return before is not None and before.axis == softmax.axis
