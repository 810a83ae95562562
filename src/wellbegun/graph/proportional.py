"""The way from weights to where their size is judged: everything on it is proportional to them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.residual import Branch
from wellbegun.graph.walk import TRANSPARENT, backward, forward

_PROPORTIONAL = frozenset({"move", "split", "concat", "scale", "add"})


@inferred("what lies between a branch and its sum", lambda *_: None)
def way(graph: Analysis, ends: Iterable[int], value: int) -> tuple[int, ...] | None:
    """Operations from weighted ones (`ends`, included) to the one that makes a value, in order of execution.

    None if what lies between is not proportional to what the ends give, is read by anything else but the reader of
    `value`, or is written in place: multiplying the weights would not be multiplying everything on the way.
    """
    starts = frozenset(ends)
    found: set[int] = set()
    stack = [value]
    while stack:
        producer = graph.producers.get(stack.pop())
        if producer is None or producer.index < min(starts, default=0):
            return None
        if producer.index in found:
            continue
        found.add(producer.index)
        if producer.index in starts:
            continue
        followed = _followed(graph, producer, starts)
        if followed is None:
            return None
        stack += followed
    order = tuple(sorted(found))
    return order if starts <= found and _alone(graph, order, value) else None


def _followed(graph: Analysis, step: Operation, starts: frozenset[int]) -> list[int] | None:
    """The inputs that an operation is proportional to; None if it is not."""
    if step.overwrites is not None or not step.inputs:
        return None
    if step.kind == "pointwise":
        return list(step.inputs) if step.root == step.inputs[0] and _multiple(graph, step) else None
    if step.kind == "gate":
        behind = [given for given in step.inputs if _leads(graph, given, starts)]
        return behind if len(behind) == 1 and step.arithmetic == "product" else None
    return list(step.inputs) if step.kind in _PROPORTIONAL else None


def _multiple(graph: Analysis, step: Operation) -> bool:
    """Whether a pointwise step multiplies by a constant, and adds none."""
    assert step.function is not None
    return graph.is_linear(step) and float(np.asarray(step.function(np.zeros(1)))[0]) == 0


@inferred("whether a branch is multiplied on its way to the sum", lambda *_: False)
def is_multiplied(graph: Analysis, branch: Branch) -> bool:
    """Whether a parameter or constant multiplies what the ends of a branch give, before it is added."""
    ends = set(branch.ends)

    def passes(made: Operation) -> bool:
        return made.index in branch.interior - ends and (made.kind in TRANSPARENT or made.kind == "pointwise")

    made = [step for step in backward(graph, [branch.value], passes) if passes(step)]
    return any(step.kind == "scale" or (step.kind == "pointwise" and slope_of(graph, step) != 1) for step in made)


def slope_of(graph: Analysis, step: Operation) -> float:
    """What a pointwise step multiplies its value with; 1 for any other function."""
    assert step.function is not None
    if not graph.is_linear(step):
        return 1.0
    zero, one = (float(found) for found in np.asarray(step.function(np.array([0.0, 1.0]))))
    return one - zero


@inferred("which constant multiplies a value", lambda *_: 1.0)
def constant_behind(graph: Analysis, value: int) -> float:
    """What constants multiply a value with before anything else reads it; 1 without any."""
    return _constants(graph, value)[0]


def _constants(graph: Analysis, value: int) -> tuple[float, int]:
    """What constants multiply a value with, and what they make of it."""
    before = found = 1.0
    while len(readers := graph.consumers.get(value, ())) == 1 and readers[0].outputs:
        step = readers[0]
        if step.kind == "move" and step.inputs == (value,):
            before = found
        elif step.kind == "pointwise" and _multiple(graph, step):
            found = before * abs(slope_of(graph, step))
        else:
            break
        value = step.outputs[0]
    return found or 1.0, value


@inferred("which constants stand around a weight", lambda *_: 1.0)
def constant_around(graph: Analysis, name: str) -> float:
    """What constants multiply what a readout with a weight reads, and what it gives if nothing bends that."""
    operation = next(made for made, use in graph.uses_of(name) if made.kind in WEIGHTED and use.slot == "weight")
    found, last = _constants(graph, operation.outputs[0])
    found, made = 1.0 if graph.consumers.get(last) else found, graph.producers.get(operation.inputs[0])
    while made is not None and made.inputs:
        if made.kind == "pointwise" and made.root is not None and _multiple(graph, made):
            found, value = found * abs(slope_of(graph, made)), made.root
        elif made.kind == "move":
            value = made.inputs[0]
        else:
            break
        made = graph.producers.get(value)
    return found


@inferred("how often what a weight gives is added up", lambda *_: 1.0)
def added_up(graph: Analysis, name: str) -> float:
    """How many times what a weight gives one entry of an output holds, where it is used again and again and added, as
    over steps of time; 1 for a mean of them, and where nothing is added."""
    own = {made.index for made, use in graph.uses_of(name) if made.kind in WEIGHTED and use.slot == "weight"}
    held: dict[int, float] = {}
    for step in graph.operations if len(own) > 1 else ():
        before = [held.get(value, 0.0) for value in step.inputs]
        times = 1.0 if step.index in own else _times(graph, step, before, held)
        held.update(dict.fromkeys(step.outputs, times) if times else {})
    return max((held.get(value, 0.0) for value in graph.outputs), default=0.0) or 1.0


def _times(graph: Analysis, step: Operation, before: list[float], held: Mapping[int, float]) -> float:
    """The same of what one step gives, by what its inputs hold."""
    if not any(before):
        return 0.0
    joined = graph.producers.get(step.inputs[0])
    if step.kind == "add" and step.arithmetic == "sum":
        return sum(before)
    if step.kind == "pointwise":
        return before[0] * abs(slope_of(graph, step)) if graph.is_linear(step) else 0.0
    if step.reduction in ("sum", "mean") and joined is not None and joined.kind == "concat":
        total = sum(held.get(value, 0.0) for value in joined.inputs)
        return total / (step.width if step.reduction == "mean" else 1) if step.width == len(joined.inputs) else 1.0
    return max(before) if step.kind in TRANSPARENT else 0.0


class Bag(NamedTuple):
    """How rows of a table become one value: how many, and whether their mean or sum."""

    rows: int = 1
    averaged: bool = False


@inferred("whether rows of a table are combined", lambda *_: Bag())
def bag_of(graph: Analysis, lookup: Operation) -> Bag:
    """What is made of the rows that are looked up, before anything else reads them."""
    step = lookup
    while not step.reduction:
        readers = graph.consumers.get(step.outputs[0], ())
        if len(readers) != 1 or readers[0].kind not in ("move", "mean") or len(readers[0].inputs) != 1:
            return Bag()
        step = readers[0]
    return Bag(max(step.width, 1), step.reduction == "mean") if step.reduction in ("sum", "mean") else Bag()


@inferred("which weights are made by a layer", lambda *_: None)
def makes_weight(graph: Analysis, layer: Operation) -> tuple[Operation, int] | None:
    """Where what a layer gives is the weight of another value: the product, and that value."""
    value = layer.outputs[0]
    while len(readers := graph.consumers.get(value, ())) == 1 and readers[0].kind in ("move", "shift"):
        value = readers[0].outputs[0] if readers[0].outputs else -1
    if len(readers) != 1 or len(readers[0].over_units) != 2 or len(readers[0].inputs) != 2:
        return None
    product, place = readers[0], readers[0].inputs.index(value)
    other = product.inputs[1 - place]
    source = graph.producers.get(graph.plain(other))
    # where terms run over units of both, as of queries and keys, a layer's output is no less a signal than this one
    straight = source is not None and source.kind in (*WEIGHTED, "softmax", "shift") and product.over_units[1 - place]
    return None if straight or not product.over_units[place] else (product, other)


def goes_on(graph: Analysis, step: Operation) -> bool:
    """Whether what an operation gives meets a function or another product before it is put out."""
    behind = forward(graph, step.outputs)
    return any(o.over_units or (o.kind == "pointwise" and not graph.is_linear(o)) for o in behind)


def _leads(graph: ModelGraph, value: int, starts: frozenset[int]) -> bool:
    """Whether a value comes from one of these operations."""
    first = min(starts)
    return any(made.index in starts for made in backward(graph, [value], lambda made: made.index >= first))


def _alone(graph: ModelGraph, order: tuple[int, ...], value: int) -> bool:
    """Whether nothing off the way reads what is on it, but one operation that reads the value."""
    on = frozenset(order)
    for index in order:
        for made in graph.operations[index].outputs:
            readers = [reader for reader in graph.consumers.get(made, ()) if reader.index not in on]
            if made in graph.outputs or (made != value and readers) or len(readers) > 1:
                return False
    return True


def idle(graph: ModelGraph) -> frozenset[int]:
    """Moves that lead nowhere: nothing but other such moves reads what they give."""
    found: set[int] = set()
    for operation in reversed(graph.operations):
        if operation.kind != "move":
            continue
        readers = [reader.index for value in operation.outputs for reader in graph.consumers.get(value, ())]
        if found.issuperset(readers) and not set(operation.outputs) & set(graph.outputs):
            found.add(operation.index)
    return frozenset(found)
