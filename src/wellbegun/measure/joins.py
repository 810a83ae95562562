"""Sums that weights go into beside another way, which is judged in their place where a gate between is next to shut."""

from collections.abc import Collection, Mapping

from wellbegun.graph import Analysis, Operation
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import backward, forward, of_the_batch
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.samples import correlation

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


@inferred("which factors open to the batch", lambda *_: frozenset())
def opening(graph: Analysis, small: Collection[int]) -> frozenset[int]:
    """Of factors that are next to nothing: those that alone bring the batch to what they are added to, as the class
    token of CaiT. They are learned, and no step of training leaves them so small."""
    joined = {index: others for index in small if (others := _added_to(graph, index)) is not None}
    varying = _varying(graph, joined) if joined else set()
    return frozenset(index for index, others in joined.items() if varying.isdisjoint(others))


def _varying(graph: Analysis, without: Collection[int]) -> set[int]:
    """Values that depend on the batch by a way that passes none of some operations."""
    passed = forward(graph, of_the_batch(graph), lambda reader: reader.index not in without)
    return {value for reader in passed if reader.index not in without for value in reader.outputs}


def behind(graph: Analysis, factors: Collection[int], outputs: Collection[int]) -> frozenset[int]:
    """Operations all of whose ways to some values pass such factors. What is picked of a concatenation is its constant
    part, as the token that patches stand beside."""
    varying, found = _varying(graph, factors), set[int]()
    waiting = [(value, False) for value in outputs]
    seen = set(waiting)
    while waiting:
        value, picked = waiting.pop()
        made = graph.producers.get(value)
        if made is None or made.index in factors:
            continue
        found.add(made.index)
        tokens = [given for given in made.inputs if given not in varying]
        cut = picked and made.kind == "concat" and (tokens or made.uses)
        picks = (picked and made.kind in _CARRIES) or made.entries in ("part", "picked")
        new = {(given, picks) for given in (tokens if cut else made.inputs)} - seen
        seen |= new
        waiting += new
    return frozenset(range(len(graph.operations))) - found


def _added_to(graph: Analysis, index: int) -> list[int] | None:
    """The values that an output is added to behind moves: none if it is a parameter, None if it is added to nothing."""
    value = graph.operations[index].outputs[0]
    while len(readers := graph.consumers.get(value, ())) == 1 and readers[0].outputs:
        others = [other for other in readers[0].inputs if other != value]
        if readers[0].kind == "add" or (readers[0].kind == "shift" and readers[0].uses):
            return [other for other in others if other in graph.producers] if len(others) < 2 else None
        if others or readers[0].kind not in ("move", "pointwise"):
            return None
        value = readers[0].outputs[0]
    return None


def before_opening(graph: Analysis, seen: ForwardStatistics, factors: Collection[int]) -> float:
    """By how much samples differ, in cosine, in front of such factors."""
    found = [0.0]
    for operation in (graph.operations[index] for index in factors):
        values = (*operation.outputs, *operation.inputs, *map(graph.plain, operation.inputs))
        samples = (seen.samples.get(value) for value in values)
        near = (correlation(some) for some in samples if some is not None and some.any())
        found += [1 - one for one in near if one is not None][:1]
    return max(found)
