"""Sums that weights go into beside another way, which is judged in their place: a gate between may be next to shut."""

from collections.abc import Collection, Mapping

from wellbegun.graph import Analysis, Operation
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import backward, forward
from wellbegun.measure.forward import ForwardStatistics

_CARRIES = frozenset({"move", "scale", "shift", "pointwise", "gate", "norm", "pool"})  # a branch on, behind its weights


@inferred("what branches are added to", lambda *_: {})
def joins(
    graph: Analysis, seen: ForwardStatistics, varying: Collection[int], scoring: Collection[int]
) -> Mapping[int, int]:
    """Weighted operation -> the first sum that it goes into with no other weight between, where what it is added to
    depends on the batch, and not on it. Scores that masks are added to are no signal."""
    found: dict[int, int] = {}
    for index in seen.weighted:
        reached: set[int] = set()
        near = forward(graph, graph.operations[index].outputs, lambda reader: reader.kind in _CARRIES)
        ends: list[Operation] = []
        for reader in near:
            reached.add(reader.index)
            ends += [reader] if reader.index in seen.sums and reader.index not in scoring else []
        join = min(ends, key=lambda reader: reader.index, default=None)
        if join is not None and _around(graph, index, join, reached, varying):
            found[index] = join.index
    return found


def _around(graph: Analysis, index: int, join: Operation, reached: Collection[int], varying: Collection[int]) -> bool:
    """Whether a sum has another operand, made of the batch and not of an operation."""
    others = [value for value in join.inputs if graph.made(value) not in reached and graph.made(value) != index]
    if len(others) != 1 or (made := graph.producers.get(others[0])) is None or made.index not in varying:
        return False
    later = backward(graph, others, lambda operation: operation.index > index)
    return all(operation.index != index for operation in later)
