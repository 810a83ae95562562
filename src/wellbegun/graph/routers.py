"""Weights that give scores to choose by, as routers of experts do, and nothing else."""

from collections.abc import Iterator

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import TRANSPARENT, backward, forward

_PASSED = TRANSPARENT | {"pointwise", "softmax"}


def routers_of(graph: Analysis) -> Iterator[Operation]:
    """Weights whose output a choice is made from. What other weights read too, in whole or in part, is a signal, from
    which neighbours or its largest entries are picked."""
    choices = [operation for operation in graph.operations if operation.selects in ("ranked", "index")]
    asked = {made.index: made for choice in choices for value in choice.inputs for made in _before(graph, value)}
    signals, left = set[int](), {index: _readers(graph, made) for index, made in asked.items()}
    while new := {index for index, readers in left.items() if readers - (left.keys() - signals)} - signals:
        signals |= new  # a weight that gives scores alone, made of other scores, makes no signal of these
    return (made for index, made in asked.items() if index not in signals)


def _before(graph: ModelGraph, value: int) -> Iterator[Operation]:
    """The weights whose output a choice is made from."""
    return (made for made in backward(graph, [value], lambda o: o.kind in _PASSED) if made.kind in WEIGHTED)


def _readers(graph: ModelGraph, layer: Operation) -> set[int]:
    """The weights that read what a layer gives, not as a factor or as places, but as it is or in parts."""
    held, found = {*layer.outputs[:1]}, set[int]()
    for step in sorted(forward(graph, layer.outputs[:1]), key=lambda made: made.index):
        if step.kind in WEIGHTED and held.intersection(step.inputs):
            found.add(step.index)
        held.update(_given(step, held))
    return found


def _given(step: Operation, held: set[int]) -> tuple[int, ...]:
    """What a step gives of some values; no indices, which come second where entries are ranked."""
    whole = step.kind == "gate" and held.issuperset(step.inputs)  # a signal, times which of its entries are large
    signal = step.entries != "masked" or step.inputs[0] in held  # and not what is hidden of another one
    if step.selects in ("index", "drawn") or not (whole or step.kind in _PASSED) or held.isdisjoint(step.inputs):
        return ()
    return (step.outputs if step.kind == "split" else step.outputs[:1]) if signal else ()
