"""Weights whose rows are averaged by shares, as memories, codebooks and stored patterns are read."""

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
        return _keeps(made) or (made.kind == "pointwise" and graph.is_linear(made))

    met = [made for made in backward(graph, product.inputs[:1], passes) if not passes(made)]
    shares = [made for made in met if made.kind == "softmax" and not made.logarithm]
    if makes_weight(graph, product) is not None:
        return False
    return bool(shares) and all(_over_units(graph, made) if made in shares else bool(made.selects) for made in met)


def _keeps(made: Operation) -> bool:
    """Moves, sums of hard and soft shares, masks and dropout, and what makes their sum 1 again."""
    kept = made.kind == "move" and bool(made.inputs) and not made.selects
    return kept or made.kind in ("add", "norm", "statistic") or (made.kind == "scale" and not made.uses)


def _over_units(graph: Analysis, softmax: Operation) -> bool:
    before = graph.producers.get(softmax.inputs[0])
    return before is not None and before.axis == softmax.axis
