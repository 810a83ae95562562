"""Residual streams: which sums are x + f(x), what is inside each branch, and which branches share a stream."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.cells import cells_of
from wellbegun.graph.comparisons import is_comparison
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import TRANSPARENT, backward, descendants, forward, in_series, of_the_batch, weights_before


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


@inferred("which sums are residual", lambda *_: ())
def branches_of(graph: Analysis) -> tuple[Branch, ...]:
    """Every residual branch, in order of execution."""
    found: list[Branch] = []
    previous: dict[int, int] = {}  # sum -> the sum before it on the stream
    sums = {operation.index for operation in graph.operations if operation.kind == "add"}
    gated = graph.once(cells_of).modes.keys()
    for operation in graph.operations:
        if operation.index in sums and (split := _split(graph, operation)) is not None:
            stream, branch, interior = split
            last = [*weights_before(graph, branch)] or [*_mixed(graph, branch)]
            ends = tuple(sorted({end.index for end in last if end.index in interior}))
            if ends and gated >= {*ends}:
                continue  # a state and what a cell makes of it
            before = _sum_before(graph, stream, {other.add for other in found})
            if (before is None or operation.arithmetic == "difference") and is_comparison(graph, operation):
                continue  # an error, as of a reconstruction; a sum whose stream was added to before goes on with it
            gammas, scales = _multipliers(graph, branch, interior)
            norm = _norm(graph, operation, stream, branch, interior)
            layers = in_series(graph, interior)
            inside = frozenset(interior)
            found.append(Branch(operation.index, branch, 0, 0, 1, layers, ends, norm, gammas, scales, inside))
            if before is not None:
                previous[operation.index] = before
    return _numbered(found, previous)


def _mixed(graph: Analysis, branch: int) -> Iterator[Operation]:
    """Weights whose outputs are averaged at the end of a branch, by shares that come from a weight alone, as those of
    soft experts do: an attention compares two values for its own."""
    for product in backward(graph, [branch], lambda made: made.kind in TRANSPARENT):
        for value in product.inputs if product.kind == "matmul" else ():
            shares = [made for made in backward(graph, [value], graph.rescales) if made.kind == "softmax"]
            before = (made for one in shares for made in backward(graph, one.inputs, graph.rescales))
            asked = (made.kind for made in before if not graph.rescales(made))
            if shares and {*asked} <= WEIGHTED:
                yield from (end for other in product.inputs if other != value for end in weights_before(graph, other))


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
def _split(graph: Analysis, operation: Operation) -> tuple[int, int, set[int]] | None:
    """(stream value, branch value, operations of the branch) of a sum; None if it is not residual."""
    if len(operation.inputs) != 2 or _scored(graph, operation):
        return None
    first, second = sorted(operation.inputs, key=lambda value: graph.made(graph.plain(value)))
    if (interior := _between(graph, first, second)) is not None:
        return (first, second, interior) if _weighted(graph, interior) else None
    return _projected(graph, first, second) or _rescaled(graph, operation)


def factor_on(graph: ModelGraph, stream: int) -> tuple[str, Operation] | None:
    """A parameter that multiplies a value, and the operation that does it, behind moves."""
    made = graph.producers.get(stream)
    while made is not None and made.kind == "move" and len(made.inputs) == 1:
        made = graph.producers.get(made.inputs[0])
    if made is None or made.kind != "scale" or len(made.inputs) != 1 or len(made.uses) != 1:
        return None
    return made.uses[0].parameter, made


def _rescaled(graph: Analysis, operation: Operation) -> tuple[int, int, set[int]] | None:
    """A sum whose stream passes a learned factor, where a normalization behind it keeps it from growing (Admin)."""
    for stream, branch in (operation.inputs, operation.inputs[::-1]):
        factor = factor_on(graph, stream)
        interior = None if factor is None else _between(graph, factor[1].inputs[0], branch)
        if interior and _weighted(graph, interior) and _only_normed(graph, operation.outputs[0]):
            return stream, branch, interior
    return None


def _scored(graph: Analysis, total: Operation) -> bool:
    """Whether all that reads a sum is a softmax: scores and what is added to them, which earlier layers may share."""

    def passes(reader: Operation) -> bool:
        return reader.kind in ("scale", "shift", "move", "add", "pointwise")

    ends = [reader for reader in forward(graph, total.outputs, passes) if not passes(reader)]
    return bool(ends) and all(reader.kind == "softmax" for reader in ends)


def _projected(graph: Analysis, first: int, second: int) -> tuple[int, int, set[int]] | None:
    """A sum whose stream passes a weight of its own, as where a residual net changes width."""
    own = apart(graph, first, second)
    if own is None:
        return None
    common, *sides = own
    ways = {operation.index for operation in forward(graph, [common])}
    layers = [in_series(graph, side & ways) for side in sides]
    if min(layers) < 1 or layers[0] == layers[1]:
        return None
    return (first, second, sides[1]) if layers[1] > layers[0] else (second, first, sides[0])


def _between(graph: Analysis, start: int, end: int) -> set[int] | None:
    """Operations on the ways from one value to another; None if there is no way."""
    origin, earliest = graph.plain(start), graph.made(graph.plain(start))
    behind: set[int] = set()
    stack, hit = [end], False
    while stack:
        value = stack.pop()
        if graph.plain(value) == origin:
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
        if any(graph.plain(value) == origin or graph.made(value) in reached for value in operation.inputs):
            reached.add(index)
    return reached


def apart(graph: Analysis, first: int, second: int) -> tuple[int, set[int], set[int]] | None:
    """The last value that two values depend on, and the later operations behind either; None if there is none.

    Latest first: when a value is reached, all that reads it has been, so it is known whose it is.
    """
    sides = {first: 1, second: 2}
    waiting = [(-graph.made(value), value) for value in sides]
    heapify(waiting)
    own: tuple[set[int], set[int]] = set(), set()
    while waiting:
        negative, value = heappop(waiting)
        if sides[value] == 1 | 2:
            return value, own[0] - {-negative}, own[1] - {-negative}
        producer = graph.producers.get(value)
        if producer is None:
            continue
        own[sides[value] - 1].add(producer.index)
        for given in producer.inputs:
            if given not in sides:
                heappush(waiting, (-graph.made(given), given))
            sides[given] = sides.get(given, 0) | sides[value]
    return None


def _weighted(graph: Analysis, indexes: Iterable[int]) -> bool:
    return any(graph.operations[index].kind in WEIGHTED for index in indexes)


@inferred("what lies beside residual streams", lambda *_: frozenset())
def aside(graph: Analysis, outputs: Collection[int]) -> frozenset[int]:
    """Operations that reach these outputs through residual branches only, as encoders of a decoder do, or from other
    places than those that are picked in the end, as patches beside a token that reads them."""
    inside = frozenset[int]().union(*(branch.interior for branch in branches_of(graph)))
    varying = descendants(graph, of_the_batch(graph))
    picks = {o.index for o in graph.operations if o.entries in ("part", "picked")}

    def joins(made: Operation) -> bool:
        constant = any(use.slot == "token" for use in made.uses) or not varying.issuperset(made.inputs)
        return made.kind == "concat" and constant

    ways = [*backward(graph, outputs, lambda made: made.index not in inside and made.index not in picks)]
    picked = [value for made in ways if made.index in picks - inside for value in made.inputs]
    ways += backward(graph, picked, lambda made: made.index not in inside and not joins(made))
    return frozenset(range(len(graph.operations))) - {made.index for made in ways if made.index not in inside}


@inferred("how many layers are in series", lambda *_: 1)
def layers_in_series(graph: ModelGraph) -> int:
    """Weighted operations on the longest way through the model."""
    return in_series(graph)


def _sum_before(graph: Analysis, stream: int, sums: set[int]) -> int | None:
    """The sum that a stream comes from, through functions of one value."""
    producer = graph.producers.get(stream)
    while producer is not None:
        if producer.index in sums:
            return producer.index
        if producer.kind not in TRANSPARENT | {"pointwise"} or producer.kind in ("add", "concat"):
            return None
        oldest = min(producer.inputs, key=graph.made, default=None)  # of a norm by hand, the signal
        producer = None if oldest is None else graph.producers.get(oldest)
    return None


def _tail(graph: Analysis, branch: int, interior: set[int]) -> Iterator[Operation]:
    """Operations between the last weight of a branch and the sum, last first."""
    producer = graph.producers.get(branch)
    while producer is not None and producer.index in interior and producer.kind not in WEIGHTED:
        yield producer
        oldest = min(producer.inputs, key=graph.made, default=None)
        producer = None if oldest is None else graph.producers.get(oldest)


def _multipliers(graph: Analysis, branch: int, interior: set[int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    gammas: list[str] = []
    scales: list[str] = []
    for operation in _tail(graph, branch, interior):
        if operation.kind == "norm":
            gammas += [use.parameter for use in operation.uses if use.slot == "norm_scale"]
        elif operation.kind == "scale":
            before = graph.producers.get(graph.plain(operation.inputs[0]))
            normed = before is not None and before.kind == "norm"
            (gammas if normed else scales).extend(use.parameter for use in operation.uses if use.slot == "scale")
    return tuple(gammas), tuple(scales)


def _norm(graph: Analysis, add: Operation, stream: int, branch: int, interior: set[int]) -> str:
    if any(operation.kind == "norm" for operation in _tail(graph, branch, interior)):
        return "inner"
    if _meets_norm(graph, stream, interior):
        return "pre"
    return "post" if _only_normed(graph, add.outputs[0]) else "none"


def _meets_norm(graph: Analysis, value: int, interior: set[int]) -> bool:
    """Whether a value enters the branch through a normalization."""

    def passes(reader: Operation) -> bool:
        if reader.index in interior:
            return reader.kind not in WEIGHTED
        return reader.kind == "move" or (reader.kind == "pointwise" and graph.is_linear(reader))

    met = forward(graph, [graph.plain(value)], passes)
    return any(reader.kind == "norm" and reader.index in interior for reader in met)


def _only_normed(graph: Analysis, value: int) -> bool:
    """Whether everything that reads a value is part of a normalization of it."""
    readers = [r for r in graph.consumers.get(value, ()) if r.kind != "pointwise" or not graph.is_linear(r)]
    return bool(readers) and all(_leads_to_norm(graph, reader) for reader in readers)


def _leads_to_norm(graph: Analysis, reader: Operation) -> bool:
    if reader.kind in ("norm", "statistic"):
        return True
    outputs = [r for value in reader.outputs for r in graph.consumers.get(value, ())]
    return (
        reader.kind in ("pointwise", "move") and bool(outputs) and all(r.kind in ("norm", "statistic") for r in outputs)
    )
