"""Ways through a graph: from values to the operations that made them or read them, each value once."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.units import Range

TRANSPARENT = frozenset({"norm", "scale", "shift", "pool", "mean", "concat", "split", "move", "add"})
Passes = Callable[[Operation], bool]


def _all(_: Operation) -> bool:
    return True


def backward(
    graph: ModelGraph, values: Iterable[int], passes: Passes = _all, *, nearest: bool = False
) -> Iterator[Operation]:
    """The operations that made values, and on through the inputs of those that `passes` says are passed.

    `nearest`: those with fewer operations between come first; otherwise each way is followed to its end.
    """
    return _walked(values, lambda value: _made(graph, value), lambda operation: operation.inputs, passes, nearest)


def forward(
    graph: ModelGraph, values: Iterable[int], passes: Passes = _all, *, nearest: bool = False
) -> Iterator[Operation]:
    """The operations that read values, and on through the outputs of those that are passed."""
    readers = graph.consumers
    return _walked(values, lambda value: readers.get(value, ()), lambda operation: operation.outputs, passes, nearest)


def _made(graph: ModelGraph, value: int) -> tuple[Operation, ...]:
    producer = graph.producers.get(value)
    return () if producer is None else (producer,)


def _walked(
    values: Iterable[int],
    beside: Callable[[int], Iterable[Operation]],
    further: Callable[[Operation], Iterable[int]],
    passes: Passes,
    nearest: bool,
) -> Iterator[Operation]:
    waiting = deque(dict.fromkeys(values))
    seen = set(waiting)
    while waiting:
        for operation in beside(waiting.popleft() if nearest else waiting.pop()):
            yield operation
            if passes(operation):
                new = [value for value in further(operation) if value not in seen]
                seen.update(new)
                waiting.extend(new)


def held_parts(graph: ModelGraph, values: Collection[int], passes: Passes) -> dict[int, Range | None]:
    """Which of the units of some values each one holds that comes from them through what is passed: no others; None if
    it may hold any, as what puts different parts together, and as a part of units whose order nobody knows."""
    held: dict[int, Range | None] = dict.fromkeys(values)
    passed = {operation.index for operation in forward(graph, values, passes) if passes(operation)}
    for operation in (graph.operations[index] for index in sorted(passed)):
        ranges = {held[value] for value in operation.inputs if value in held}
        units = ranges.pop() if len(ranges) == 1 else None
        for place, value in enumerate(operation.outputs):
            first, size = operation.cuts[place] if operation.cuts else (0, 0)
            held[value] = (first + (units[0] if units else 0), size) if size else units
    return held


def ancestors(graph: ModelGraph, values: Collection[int]) -> set[int]:
    """Values and every value they depend on."""
    return {*values}.union(*(operation.inputs for operation in backward(graph, values)))


def descendants(graph: ModelGraph, values: Collection[int]) -> set[int]:
    """Values that depend on some."""
    return {value for operation in forward(graph, values) for value in operation.outputs}


def of_the_batch(graph: ModelGraph) -> set[int]:
    """Values that operations read and that none of them made."""
    return {value for operation in graph.operations for value in operation.inputs if value not in graph.producers}


def around(
    graph: ModelGraph, without: Collection[int], values: Collection[int], start: Collection[int] | None = None
) -> bool:
    """Whether values depend on the batch, or some of it, by a way that passes none of some operations."""
    begun = of_the_batch(graph) if start is None else start
    ways = forward(graph, begun, lambda operation: operation.index not in without)
    return any(o.index not in without and not set(values).isdisjoint(o.outputs) for o in ways)


def cut_off_by(graph: ModelGraph, without: Collection[int], values: Iterable[int]) -> frozenset[int]:
    """Operations all of whose ways to some values pass one of a few operations."""
    ways = backward(graph, values, lambda operation: operation.index not in without)
    return frozenset(range(len(graph.operations))) - {operation.index for operation in ways}


def depths(graph: ModelGraph, within: Collection[int] | None = None) -> dict[int, int]:
    """Operation -> weighted operations in series before it; of some operations only, if they are named."""
    after: dict[int, int] = {}  # value -> weighted operations before it
    found: dict[int, int] = {}
    for operation in graph.operations if within is None else (graph.operations[index] for index in sorted(within)):
        found[operation.index] = max((after.get(value, 0) for value in operation.inputs), default=0)
        after.update(dict.fromkeys(operation.outputs, found[operation.index] + (operation.kind in WEIGHTED)))
    return found


def batch_norms(graph: ModelGraph) -> dict[int, int]:
    """Operation -> normalizations over samples on the way to it that has the fewest."""
    after: dict[int, int] = {}
    found: dict[int, int] = {}
    for operation in graph.operations:
        found[operation.index] = min((after.get(value, 0) for value in operation.inputs), default=0)
        own = operation.kind == "norm" and operation.over == "samples"
        after.update(dict.fromkeys(operation.outputs, found[operation.index] + own))
    return found


def in_series(graph: ModelGraph, within: Collection[int] | None = None) -> int:
    """Largest number of weighted operations one after another."""
    found = depths(graph, within)
    return max((depth + (graph.operations[index].kind in WEIGHTED) for index, depth in found.items()), default=0)


@inferred("what leads to a weight", lambda graph, _: frozenset(range(len(graph.operations))))
def leading_to(graph: ModelGraph, kinds: Collection[str]) -> frozenset[int]:
    """Operations from which a way leads to one of some kinds."""
    read = [value for operation in graph.operations if operation.kind in kinds for value in operation.inputs]
    return frozenset(operation.index for operation in backward(graph, read))


def weights_before(graph: Analysis, value: int, *, functions: bool = False) -> Iterator[Operation]:
    """Weighted operations (and lookups) whose output reaches a value without another weight or a nonlinearity between.

    `functions`: pass nonlinear functions of one value too.
    """

    def passes(made: Operation) -> bool:
        return made.kind in TRANSPARENT or (made.kind == "pointwise" and (functions or graph.is_linear(made)))

    return (made for made in backward(graph, [value], passes) if made.kind in WEIGHTED or made.kind == "lookup")
