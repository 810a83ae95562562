"""auto@2 for attention whose places a readout tells apart, by weights of its own for each."""

from collections.abc import Iterator, Mapping

from wellbegun.graph import WEIGHTED, Analysis, Branch, Operation, Role, net_of
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import TRANSPARENT, backward, forward
from wellbegun.planning.recipes.common import ATTENTION

SHARE = 0.6  # of queries, keys, values and of what begins the stream: measured, as positions of half the size


@inferred("which readouts have weights for each place", lambda *_: frozenset())
def read_by_place(graph: Analysis, roles: Mapping[str, Role]) -> frozenset[int]:
    """Operations that begin a stream normalized on its sums, and those that give queries, keys and values from it,
    where what reads the stream has weights for each of its places: less has to be told apart, and mixed, before."""
    asks = ATTENTION - {"attention_out"}
    asked = [(r.operation, r.branch.stream) for r in roles.values() if r.role in asks and r.branch is not None]
    branches = [branch for branch in net_of(roles).branches if branch.norm == "post"]
    flat = {branch.stream for branch in branches if branch.index == branch.count - 1 and _flat(graph, branch)}
    found: set[int] = set()
    for branch in branches:
        mixing = {operation for operation, stream in asked if stream == branch.stream}
        begun = list(_begun(graph, branch)) if mixing and branch.stream in flat and not branch.index else []
        if begun and all(made.kind != "lookup" for made in begun):  # of tables nothing was measured
            found |= mixing.union(made.index for made in begun)
    return frozenset(found)


def _flat(graph: Analysis, last: Branch) -> bool:
    """Whether a weight reads a stream in more inputs than the stream has units."""
    units = {size for index in last.ends for size in _sizes(graph, graph.operations[index], "o")}
    readers = forward(graph, graph.operations[last.add].outputs, _passes)
    return bool(units) and any(size > max(units) for reader in readers for size in _sizes(graph, reader, "i"))


def _begun(graph: Analysis, first: Branch) -> Iterator[Operation]:
    """What a stream begins as: weights, and what is added to them."""
    values = [value for value in graph.operations[first.add].inputs if value != first.value]
    return backward(graph, values, lambda made: made.kind == "concat" or _passes(made))


def _passes(made: Operation) -> bool:
    return made.kind in TRANSPARENT - {"concat"} or made.kind == "pointwise"


def _sizes(graph: Analysis, operation: Operation, axis: str) -> Iterator[int]:
    if operation.kind in WEIGHTED:
        yield from (graph.size_of(use, axis) for use in operation.uses if use.slot == "weight" and use.layout)
