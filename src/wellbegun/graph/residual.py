"""Residual streams: which sums are x + f(x), what is inside each branch, and which branches share a stream."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from wellbegun.graph.follow import TRANSPARENT, is_linear
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation


@dataclass(frozen=True)
class Branch:
    """One f of a sum x + f(x)."""

    add: int  # index of the sum
    value: int  # what the branch adds
    stream: int  # streams are numbered in order of execution
    index: int  # place among the branches of its stream, from 0
    count: int  # branches of the stream
    layers: int  # weighted operations in series inside
    ends: tuple[int, ...]  # weighted operations whose output is added without another weight between
    norm: str  # "pre": on the way in; "post": on the sum; "inner": behind the last weight; "none"
    gammas: tuple[str, ...]  # scales of a normalization behind the last weight
    scales: tuple[str, ...]  # other parameters that multiply what the last weight gives (LayerScale, ReZero)
    interior: frozenset[int]  # operations inside


def branches_of(graph: ModelGraph) -> tuple[Branch, ...]:
    """Every residual branch, in order of execution."""
    found: list[Branch] = []
    previous: dict[int, int] = {}  # sum -> the sum before it on the stream
    sums = {operation.index for operation in graph.operations if operation.kind == "add"}
    for operation in graph.operations:
        if operation.index in sums and (split := _split(graph, operation)) is not None:
            stream, branch, interior = split
            ends = tuple(sorted({end.index for end in weights_before(graph, branch) if end.index in interior}))
            gammas, scales = _multipliers(graph, branch, interior)
            norm = _norm(graph, operation, stream, branch, interior)
            layers = _series(graph, interior)
            inside = frozenset(interior)
            found.append(Branch(operation.index, branch, 0, 0, 1, layers, ends, norm, gammas, scales, inside))
            before = _sum_before(graph, stream, {other.add for other in found})
            if before is not None:
                previous[operation.index] = before
    return _numbered(found, previous)


def _numbered(found: list[Branch], previous: Mapping[int, int]) -> tuple[Branch, ...]:
    stream: dict[int, int] = {}
    for branch in found:
        before = previous.get(branch.add)
        stream[branch.add] = stream[before] if before in stream else len(set(stream.values()))
    counts = {number: sum(other == number for other in stream.values()) for number in set(stream.values())}
    seen: dict[int, int] = {}
    numbered = []
    for branch in found:
        number = stream[branch.add]
        index = seen[number] = seen.get(number, -1) + 1
        numbered.append(replace(branch, stream=number, index=index, count=counts[number]))
    return tuple(numbered)


# ---------------------------------------------------------------------- one sum
def _split(graph: ModelGraph, operation: Operation) -> tuple[int, int, set[int]] | None:
    """(stream value, branch value, operations of the branch) of a sum; None if it is not residual."""
    if len(operation.inputs) != 2:
        return None
    first, second = sorted(operation.inputs, key=lambda value: _made(graph, plain(graph, value)))
    if (interior := _between(graph, first, second)) is not None:
        return (first, second, interior) if _weighted(graph, interior) else None
    return _projected(graph, first, second)


def _projected(graph: ModelGraph, first: int, second: int) -> tuple[int, int, set[int]] | None:
    """A sum whose stream passes a weight of its own, as where a residual net changes width."""
    own = apart(graph, first, second)
    if own is None:
        return None
    layers = [_series(graph, side) for side in own]
    if min(layers) < 1 or layers[0] == layers[1]:
        return None
    return (first, second, own[1]) if layers[1] > layers[0] else (second, first, own[0])


def _between(graph: ModelGraph, start: int, end: int) -> set[int] | None:
    """Operations on the ways from one value to another; None if there is no way."""
    origin, earliest = plain(graph, start), _made(graph, plain(graph, start))
    behind: set[int] = set()
    stack, hit = [end], False
    while stack:
        value = stack.pop()
        if plain(graph, value) == origin:
            hit = True
            continue
        producer = graph.producers.get(value)
        if producer is None or producer.index <= earliest or producer.index in behind:
            continue
        behind.add(producer.index)
        stack += producer.inputs
    if not hit or not _weighted(graph, behind):
        return behind if hit else None  # the callers look for weights
    reached: set[int] = set()
    for index in sorted(behind):
        operation = graph.operations[index]
        if any(plain(graph, value) == origin or _made(graph, value) in reached for value in operation.inputs):
            reached.add(index)
    return reached


def apart(graph: ModelGraph, first: int, second: int) -> tuple[set[int], set[int]] | None:
    """Operations behind either of two values, back to the last value that both depend on; None if there is none.

    Latest first: when a value is reached, all that reads it has been, so it is known whose it is.
    """
    sides = {first: 1, second: 2}
    waiting = [(-_made(graph, value), value) for value in sides]
    heapify(waiting)
    own: tuple[set[int], set[int]] = set(), set()
    while waiting:
        negative, value = heappop(waiting)
        if sides[value] == 1 | 2:
            return own[0] - {-negative}, own[1] - {-negative}
        producer = graph.producers.get(value)
        if producer is None:
            continue
        own[sides[value] - 1].add(producer.index)
        for given in producer.inputs:
            if given not in sides:
                heappush(waiting, (-_made(graph, given), given))
            sides[given] = sides.get(given, 0) | sides[value]
    return None


def ancestors(graph: ModelGraph, value: int) -> set[int]:
    """A value and every value it depends on."""
    found: set[int] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if current not in found:
            found.add(current)
            producer = graph.producers.get(current)
            stack += producer.inputs if producer else ()
    return found


def _made(graph: ModelGraph, value: int) -> int:
    producer = graph.producers.get(value)
    return -1 if producer is None else producer.index


def plain(graph: ModelGraph, value: int) -> int:
    """The value before any reshapes, copies and constant factors."""
    known, way = graph.plains, []
    while value not in known:
        way.append(value)
        producer = graph.producers.get(value)
        if producer is None or len(producer.inputs) != 1 or not _changes_nothing(graph, producer):
            known[value] = value
            break
        value = producer.inputs[0]
    found = known[value]
    known.update(dict.fromkeys(way, found))
    return found


def _changes_nothing(graph: ModelGraph, operation: Operation) -> bool:
    if operation.kind == "pointwise":
        return operation.root == operation.inputs[0] and is_linear(graph, operation)
    return operation.kind == "move"


def _weighted(graph: ModelGraph, indexes: Iterable[int]) -> bool:
    return any(graph.operations[index].kind in WEIGHTED for index in indexes)


def _series(graph: ModelGraph, indexes: set[int]) -> int:
    """Largest number of weighted operations one after another."""
    depth: dict[int, int] = {}
    longest = 0
    for index in sorted(indexes):
        operation = graph.operations[index]
        before = max((depth.get(value, 0) for value in operation.inputs), default=0)
        now = before + (operation.kind in WEIGHTED)
        longest = max(longest, now)
        depth.update(dict.fromkeys(operation.outputs, now))
    return longest


def layers_in_series(graph: ModelGraph) -> int:
    """Weighted operations on the longest way through the model."""
    return _series(graph, set(range(len(graph.operations))))


def weights_before(graph: ModelGraph, value: int, *, functions: bool = False) -> Iterator[Operation]:
    """Weighted operations (and lookups) whose output reaches a value without another weight or a nonlinearity between.

    `functions`: pass nonlinear functions of one value too.
    """
    stack, seen = [value], {value}
    while stack:
        producer = graph.producers.get(stack.pop())
        if producer is None:
            continue
        if producer.kind in WEIGHTED or producer.kind == "lookup":
            yield producer
        elif producer.kind in TRANSPARENT or (
            producer.kind == "pointwise" and (functions or is_linear(graph, producer))
        ):
            new = [given for given in producer.inputs if given not in seen]
            seen.update(new)
            stack += new


def _sum_before(graph: ModelGraph, stream: int, sums: set[int]) -> int | None:
    """The sum that a stream comes from, through functions of one value."""
    producer = graph.producers.get(stream)
    while producer is not None:
        if producer.index in sums:
            return producer.index
        if producer.kind not in TRANSPARENT | {"pointwise"} or producer.kind in ("add", "concat"):
            return None
        oldest = min(producer.inputs, key=lambda value: _made(graph, value))  # of a norm by hand, the signal
        producer = graph.producers.get(oldest)
    return None


def _tail(graph: ModelGraph, branch: int, interior: set[int]) -> Iterator[Operation]:
    """Operations between the last weight of a branch and the sum, last first."""
    producer = graph.producers.get(branch)
    while producer is not None and producer.index in interior and producer.kind not in WEIGHTED:
        yield producer
        oldest = min(producer.inputs, key=lambda value: _made(graph, value), default=None)
        producer = None if oldest is None else graph.producers.get(oldest)


def _multipliers(graph: ModelGraph, branch: int, interior: set[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    gammas: list[str] = []
    scales: list[str] = []
    for operation in _tail(graph, branch, interior):
        if operation.kind == "norm":
            gammas += [use.parameter for use in operation.uses if use.slot == "norm_scale"]
        elif operation.kind == "scale":
            before = graph.producers.get(plain(graph, operation.inputs[0]))
            normed = before is not None and before.kind == "norm"
            (gammas if normed else scales).extend(use.parameter for use in operation.uses if use.slot == "scale")
    return tuple(gammas), tuple(scales)


def _norm(graph: ModelGraph, add: Operation, stream: int, branch: int, interior: set[int]) -> str:
    if any(operation.kind == "norm" for operation in _tail(graph, branch, interior)):
        return "inner"
    if _meets_norm(graph, stream, interior):
        return "pre"
    return "post" if _only_normed(graph, add.outputs[0]) else "none"


def _meets_norm(graph: ModelGraph, value: int, interior: set[int]) -> bool:
    """Whether a value enters the branch through a normalization."""
    stack, seen = [plain(graph, value)], {plain(graph, value)}
    while stack:
        for reader in graph.consumers.get(stack.pop(), ()):
            if reader.index not in interior or reader.kind in WEIGHTED:
                continue
            if reader.kind == "norm":
                return True
            new = [output for output in reader.outputs if output not in seen]
            seen.update(new)
            stack += new
    return False


def _only_normed(graph: ModelGraph, value: int) -> bool:
    """Whether everything that reads a value is part of a normalization of it."""
    readers = [r for r in graph.consumers.get(value, ()) if r.kind != "pointwise" or not is_linear(graph, r)]
    return bool(readers) and all(_leads_to_norm(graph, reader) for reader in readers)


def _leads_to_norm(graph: ModelGraph, reader: Operation) -> bool:
    if reader.kind in ("norm", "statistic"):
        return True
    outputs = [r for value in reader.outputs for r in graph.consumers.get(value, ())]
    return (
        reader.kind in ("pointwise", "move") and bool(outputs) and all(r.kind in ("norm", "statistic") for r in outputs)
    )
