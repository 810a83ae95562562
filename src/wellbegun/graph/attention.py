"""What a weight does inside attention, gated units and experts: query, key, value, gate, up, down, router."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.function import Call
from wellbegun.graph.inference import inferred
from wellbegun.graph.meetings import meetings
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation, Use
from wellbegun.graph.modulation import modulates
from wellbegun.graph.routers import routers_of
from wellbegun.graph.walk import TRANSPARENT, backward, forward, held_parts, weights_before

_NAMES = {  # what one weight feeds -> its role; a fused projection feeds several
    frozenset({"query"}): "query",
    frozenset({"key"}): "key",
    frozenset({"value"}): "value",
    frozenset({"query", "key"}): "query_key",
    frozenset({"key", "value"}): "key_value",
    frozenset({"query", "key", "value"}): "query_key_value",
    frozenset({"gate"}): "gate",
    frozenset({"up"}): "up",
    frozenset({"gate", "up"}): "gate_up",
}
QKV = frozenset({"query", "key", "value", "query_key", "key_value"})  # of which one weight may hold several
_PARTS = {name: parts for parts, name in _NAMES.items()}


class Attention(NamedTuple):
    """The values that one attention reads and makes, the width of its heads, and how queries and keys meet."""

    query: int | None
    key: int | None
    value: int | None
    output: int
    width: int
    compared: int  # index of the operation that compares queries and keys: the softmax, or the whole
    product: int  # index of the operation that multiplies queries with keys
    scale: float | None  # what turns their products into logits, if that is a multiplication


def joined(names: Iterable[str]) -> str | None:
    """The role of a weight whose slices have these roles, if they make one.

    >>> joined(["query", "key_value"])
    'query_key_value'
    """
    parts = [_PARTS.get(name, frozenset()) for name in names]
    return _NAMES.get(frozenset().union(*parts)) if all(parts) else None


@inferred("what weights do in attentions, gates and routers", lambda *_: {})
def parts_of(graph: Analysis) -> Mapping[int, str]:
    """Weighted operation -> its part, for those that have one."""
    feeds: dict[int, set[str]] = {}
    found: dict[int, str] = {}
    for attention in attentions_of(graph):
        for name, start in zip(("query", "key", "value"), attention[:3], strict=True):
            for operation in weights_before(graph, start, functions=name != "value") if start is not None else ():
                feeds.setdefault(operation.index, set()).add(name)
        found.update((operation.index, "attention_out") for operation in _next_weights(graph, attention.output))
    for operation in graph.operations:
        if operation.kind == "gate" and len(operation.inputs) == 2:
            found.update(_gate(graph, operation, feeds))
    found.update((made.index, "router") for made in routers_of(graph))
    named = {index: _NAMES[frozenset(parts)] for index, parts in feeds.items() if frozenset(parts) in _NAMES}
    return {**found, **named}


@inferred("the order of what is fused in one weight", lambda *_: {})
def orders_of(graph: Analysis) -> Mapping[int, tuple[str, ...]]:
    """Weighted operation that feeds several of query, key and value -> what equal parts of its units feed, in order,
    for those of which it can be told."""
    starts: dict[int, set[str]] = {}
    for attention in attentions_of(graph):
        for name, start in zip(("query", "key", "value"), attention[:3], strict=True):
            if start is not None:
                starts.setdefault(start, set()).add(name)
    fused = [index for index, name in graph.once(parts_of).items() if len(_fused(name)) > 1]
    found = {index: _order(graph, graph.operations[index], starts) for index in fused}
    return {index: order for index, order in found.items() if order}


def _fused(name: str) -> frozenset[str]:
    return _PARTS.get(name, frozenset()) & {"query", "key", "value"}


def _order(graph: Analysis, operation: Operation, starts: Mapping[int, set[str]]) -> tuple[str, ...]:
    parts = _fused(graph.once(parts_of)[operation.index])
    use = next((use for use in operation.uses if use.slot == "weight" and use.layout is not None), None)
    if use is None:
        return ()
    width, rest = divmod(graph.size_of(use, "o"), len(parts))
    places: dict[int, set[str]] = {}
    held = held_parts(graph, operation.outputs, lambda o: o.kind in TRANSPARENT or o.kind == "pointwise")
    for value in held.keys() & starts if width and not rest else ():
        first, size = held[value] or (0, width * len(parts))
        place = first // width if (first + size - 1) // width == first // width else -1
        places.setdefault(place, set()).update(starts[value] & parts)
    order = [places.get(place, set()) for place in range(len(parts))]
    return tuple(name for (name,) in order) if all(len(names) == 1 for names in order) and -1 not in places else ()


# ---------------------------------------------------------------------- attention
def attentions_of(graph: Analysis) -> tuple[Attention, ...]:
    """Every attention, built in or written by hand."""
    return graph.once(_attentions)


def _attentions(graph: Analysis) -> tuple[Attention, ...]:
    return tuple(_found(graph))


def _found(graph: Analysis) -> Iterator[Attention]:
    for operation in graph.operations:
        if operation.kind == "attention" and operation.inputs:
            query, *rest = operation.inputs
            key = rest[0] if rest else query  # equal inputs are listed once
            how = operation.width, operation.index, operation.index, operation.scale
            yield Attention(query, key, rest[1] if len(rest) > 1 else key, operation.outputs[0], *how)
        if compares(operation):
            scores = _product_before(graph, operation)
            mixing = None if scores is None else _product_after(graph, operation, scores)
            if scores is not None and mixing is not None:
                query, key = scores.inputs[0], scores.inputs[-1]
                weights = _product_input(graph, mixing, operation)
                value = next((given for given in mixing.inputs if given != weights), None)
                scale = _scale_between(graph, scores, operation)
                compared = scores.width, operation.index, scores.index
                yield Attention(query, key, value, mixing.outputs[0], *compared, scale)


@inferred("what makes logits of attentions", lambda *_: frozenset())
def scoring(graph: Analysis, outputs: Collection[int]) -> frozenset[int]:
    """Operations all of whose ways to these outputs lead through the logits of attentions: they weigh signals, and
    carry none."""
    stops: dict[int, set[int | None]] = {}
    for attention in attentions_of(graph):
        compared = graph.operations[attention.compared]
        whole = compared.index == attention.product
        stops[compared.index] = {attention.query, attention.key} - {attention.value} if whole else {*compared.inputs}
    needed, carrying = set(outputs), set[int]()
    for operation in reversed(graph.operations):
        if needed.intersection(operation.outputs):
            carrying.add(operation.index)
            needed.update(set(operation.inputs) - stops.get(operation.index, set()))
    ways = backward(graph, outputs)
    return frozenset(operation.index for operation in ways) - carrying


def compares(operation: Operation) -> bool:
    """Whether an operation is a softmax, or the exponential of one that is written out."""
    function = operation.function
    if operation.kind != "pointwise" or not isinstance(function, Call) or function.op != "exp":
        return operation.kind == "softmax" and not operation.logarithm
    with np.errstate(all="ignore"):
        low, middle, high = (float(x) for x in np.asarray(function(np.array([-1.0, 0.0, 1.0])), np.float64))
    return 0 < low < middle < high < math.inf and math.isclose(high / middle, middle / low, rel_tol=1e-6)


def _between(graph: ModelGraph) -> Callable[[Operation], bool]:
    """Whether masks, sums and scales may stand between a product and its softmax."""

    def passes(made: Operation) -> bool:
        return made.kind in TRANSPARENT or made.kind == "pointwise" or made.logarithm or _masks(graph, made)

    return passes


def _mixes_heads(graph: Analysis, operation: Operation, scores: Operation) -> bool:
    """Whether a square weight mixes heads: what a query or key comes from has as many units as all of them together."""
    before = (made for value in scores.inputs for made in weights_before(graph, value, functions=True))
    units = {graph.size_of(use, "o") for made in before for use in _matrices(made)}
    return any(heads * scores.width in units for heads in _squares(graph, operation))


def _squares(graph: ModelGraph, operation: Operation) -> list[int]:
    """Sizes of the square weights of a dense layer."""
    sizes = ((graph.size_of(use, "i"), graph.size_of(use, "o")) for use in _matrices(operation))
    return [inputs for inputs, outputs in sizes if inputs == outputs and operation.kind == "linear"]


def _matrices(operation: Operation) -> list[Use]:
    return [use for use in operation.uses if use.slot == "weight" and use.layout is not None]


def _masks(graph: ModelGraph, operation: Operation) -> bool:
    """Whether a product is one with what the batch holds, and no weight has seen, as masks are."""
    product = operation.kind == "gate" and operation.arithmetic == "product" and len(operation.inputs) == 2
    return product and any(_given(graph, value) for value in operation.inputs)


def _given(graph: ModelGraph, value: int) -> bool:
    return not any(made.uses or made.kind == "matmul" for made in backward(graph, [value]))


def _product_before(graph: Analysis, softmax: Operation) -> Operation | None:
    """The product of two signals whose entries the softmax compares, as they are or with heads mixed."""
    between, mixers = _between(graph), list[Operation]()
    plain = next((made for made in backward(graph, softmax.inputs, between) if made.kind == "matmul"), None)

    def passes(made: Operation) -> bool:
        if square := bool(_squares(graph, made)):
            mixers.append(made)
        return square or between(made)

    if plain is not None:
        return plain
    found = next((made for made in backward(graph, softmax.inputs, passes) if made.kind == "matmul"), None)
    return found if found is not None and all(_mixes_heads(graph, made, found) for made in mixers) else None


def _scale_between(graph: ModelGraph, product: Operation, softmax: Operation) -> float | None:
    """The slope at 0 of the way from a product to its softmax, through masks and sums; None if there is another kind of
    step."""
    scale, value = 1.0, softmax.inputs[0]
    while value not in product.outputs:
        step = graph.producers[value]
        if step.kind == "pointwise" and step.function is not None and step.root is not None:
            low, high = (float(found) for found in np.asarray(step.function(np.array([-1e-3, 1e-3])), np.float64))
            if not (math.isfinite(low) and math.isfinite(high)):
                return None
            scale, value = scale * (high - low) / 2e-3, step.root
        elif step.kind in ("move", "shift", "add") or _keeps_differences(graph, step):
            value = next((given for given in step.inputs if _behind(graph, given, product)), -1)
        else:
            return None
        if value < 0 or (value not in product.outputs and value not in graph.producers):
            return None
    return scale


def _behind(graph: ModelGraph, value: int, product: Operation) -> bool:
    """Whether a value comes from a product through steps of one kind or another that keep its shape."""

    between = _between(graph)

    def passes(made: Operation) -> bool:
        return between(made) and made.index > product.index

    return any(made is product for made in backward(graph, [value], passes))


def _keeps_differences(graph: ModelGraph, step: Operation) -> bool:
    """Whether logits keep their differences: their largest or all of their sum is taken away, or some are masked."""
    return step.logarithm or (step.kind == "norm" and step.arithmetic == "difference") or _masks(graph, step)


def _product_after(graph: Analysis, softmax: Operation, scores: Operation) -> Operation | None:
    for reader in _readers(graph, softmax.outputs[0]):
        for product in _readers(graph, reader.outputs[0]) if _mixes_heads(graph, reader, scores) else (reader,):
            if product.kind == "matmul":
                return product
    return None


def _product_input(graph: ModelGraph, product: Operation, softmax: Operation) -> int:
    """Which input of a product comes from the softmax."""

    def behind(value: int) -> bool:
        return any(made is softmax for made in backward(graph, [value], lambda made: made.index > softmax.index))

    return next(filter(behind, product.inputs), product.inputs[0])


def _readers(graph: Analysis, value: int) -> Iterator[Operation]:
    """Operations that read a value, through reshapes, scales and linear functions."""

    def passes(reader: Operation) -> bool:
        through = reader.kind in ("move", "scale", "split", "concat", "norm", "shift") or _masks(graph, reader)
        return through or (reader.kind == "pointwise" and graph.is_linear(reader))

    return (reader for reader in forward(graph, [value], passes, nearest=True) if not passes(reader))


def _next_weights(graph: Analysis, value: int) -> Iterator[Operation]:
    return (reader for reader in _readers(graph, value) if reader.kind in WEIGHTED)


# ---------------------------------------------------------------------- gates
def _gate(graph: Analysis, operation: Operation, feeds: dict[int, set[str]]) -> dict[int, str]:
    """A product of f(a) and b, both straight from weights: gate and up; the next weight is down."""
    sides = [(list(weights_before(graph, value)), value) for value in operation.inputs]
    plain = [(found, value) for found, value in sides if len(found) == 1]
    if len(plain) == 1:
        linear, value = plain[0]
        other = next(given for given in operation.inputs if given != value)
        gated = list(weights_before(graph, other, functions=True))
        pairs = [("up", linear), ("gate", gated)] if len(gated) == 1 and _direct(graph, other) else []
    else:  # no nonlinearity on either side: the first factor is called the gate
        pairs = list(zip(("gate", "up"), (found for found, _ in plain), strict=False)) if len(plain) == 2 else []
    if any(modulates(graph, weight) for _, found in pairs for weight in found):
        return {}  # a factor that begins at 1 lets the other through
    down = {weight.index: "down" for weight in _next_weights(graph, operation.outputs[0])}
    for name, (weight,) in pairs:
        if down:
            feeds.setdefault(weight.index, set()).add(name)
        elif name == "gate" and _positive(graph, weight):
            down[weight.index] = "time_step"
    return down if pairs else {}


def _positive(graph: Analysis, weight: Operation) -> bool:
    """Whether a weight's output goes through a softplus, as the time step of a state-space model does."""
    return any(meeting.name == "softplus" for meeting in meetings(graph, weight.outputs[0]))


def _direct(graph: ModelGraph, value: int) -> bool:
    """Whether a value is a function of one signal straight from a weight: no pooling as in squeeze-and-excitation."""
    producer = graph.producers.get(value)
    while producer is not None and producer.kind not in WEIGHTED:
        if producer.kind in ("mean", "pool", "add") or not producer.inputs:
            return False
        producer = graph.producers.get(producer.root or producer.inputs[0])
    return producer is not None
