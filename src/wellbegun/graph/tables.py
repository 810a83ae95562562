"""What rows of tables put into the outputs of a model by themselves: as numbers that are added, and as products."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Operation
from wellbegun.graph.proportional import slope_of
from wellbegun.graph.walk import backward

_PASSED = frozenset({"move", "split", "shift", "scale"})


class Part(NamedTuple):
    """The part of a value that is of one degree in entries of tables."""

    terms: float  # its variance, for independent entries of variance 1
    tables: frozenset[int]  # the lookups that rows in it come from


_Sum = dict[int, Part]  # by degree


@inferred("which rows of tables are multiplied with each other", lambda *_: 0)
def scored(graph: Analysis, lookup: Operation, *, leads: bool) -> float:
    """Number of terms where rows of a table are multiplied with rows of tables and summed; 0 where they are not.
    `leads`: whether a weight reads them too, in some way."""
    part = graph.once(_in_first if leads else _in_any).get(lookup.index, {}).get(2)
    return part.terms if part is not None else 0 if leads else _multiplied(graph, lookup)


@inferred("which tables hold numbers that are added to an output", lambda *_: 0)
def offset(graph: Analysis, lookup: Operation) -> float:
    """Where a table has one number a row, and these are added to an output and nothing else: how many are added up."""
    parts = graph.once(_in_any).get(lookup.index, {})
    single = graph.parameters[lookup.uses[0].parameter].shape[-1:] == (1,)
    return parts[1].terms if single and set(parts) == {1} else 0


def _in_any(graph: Analysis) -> Mapping[int, _Sum]:
    return _put_out(graph, graph.outputs)


def _in_first(graph: Analysis) -> Mapping[int, _Sum]:
    """Of a table that weights read, what further outputs have are penalties, and the like."""
    return _put_out(graph, graph.outputs[:1])


@inferred("what tables put into an output by themselves", lambda *_: {})
def _put_out(graph: Analysis, outputs: Iterable[int]) -> Mapping[int, _Sum]:
    """Lookup -> what reaches an output of its rows through sums and products of rows alone, by degree."""
    held = graph.once(_held)
    result: dict[int, _Sum] = {}
    for value in outputs:
        for degree, part in held.get(value, {}).items():
            for table in part.tables:
                known = result.setdefault(table, {})
                known[degree] = max(known.get(degree, part), part, key=lambda each: each.terms)
    return result


@inferred("what values hold of tables", lambda *_: {})
def _held(graph: Analysis) -> Mapping[int, _Sum]:
    held: dict[int, _Sum] = {}
    for step in graph.operations:
        values = step.inputs if step.root is None else (step.root,)  # functions in a row are one of the first value
        found = _made(graph, step, [held.get(value, {}) for value in values])
        held.update(dict.fromkeys(step.outputs, found) if found else {})
    return held


def _looked_up(graph: Analysis, step: Operation) -> _Sum:
    """Rows that the batch picks; which of a codebook are, its own entries say."""
    chosen = any(made.uses for made in backward(graph, step.inputs))
    if chosen or not any(use.slot == "table" for use in step.uses):
        return {}
    return _times({1: Part(1.0, frozenset({step.index}))}, _added(step))


def _made(graph: Analysis, step: Operation, given: list[_Sum]) -> _Sum:
    """What an operation makes of its inputs; nothing where anything else of the model has a say in it."""
    if step.kind == "lookup":
        return _looked_up(graph, step)
    if not any(given):
        return {}
    if step.kind in _PASSED:
        return given[0]
    if step.kind == "mean" and step.reduction in ("sum", "mean"):
        return _times(given[0], _added(step))
    if step.kind == "add":
        return _joined(given, sum)
    if step.kind == "concat":
        return _joined(given, max)
    if step.kind == "pointwise":
        return _bent(graph, step, given[0])
    product = step.kind == "matmul" or (step.kind == "gate" and step.arithmetic == "product")
    if product and len(given) == 2 and all(given):
        return _times(_product(*given), max(step.width, 1) if step.kind == "matmul" else 1)
    return {}


def _added(step: Operation) -> float:
    """What a sum of so many entries makes of their variance. A mean may be one over samples, as of a loss, and a row is
    not to be larger where there are more of these."""
    return max(step.width, 1) if step.reduction == "sum" else 1.0


def _bent(graph: Analysis, step: Operation, given: _Sum) -> _Sum:
    """Squares are products; what else bends a value, as a sigmoid before the output, is passed by."""
    assert step.function is not None
    if graph.is_linear(step):
        return _times(given, slope_of(graph, step) ** 2)
    zero, one, *others = np.asarray(step.function(np.array([0.0, 1.0, -1.0, 2.0, -3.0])), np.float64).tolist()
    square = zero == 0 and one != 0 and np.allclose(others, [one, 4 * one, 9 * one])
    return _times(_product(given, given), one**2) if square else given


def _times(given: _Sum, factor: float) -> _Sum:
    return {degree: part._replace(terms=part.terms * factor) for degree, part in given.items()}


def _product(first: _Sum, second: _Sum) -> _Sum:
    each = [
        {i + j: Part(one.terms * other.terms, one.tables | other.tables)}
        for i, one in first.items()
        for j, other in second.items()
    ]
    return _joined(each, sum)


def _joined(given: Iterable[_Sum], put: Callable[[Iterator[float]], float]) -> _Sum:
    parts: dict[int, list[Part]] = {}
    for each in given:
        for degree, part in each.items():
            parts.setdefault(degree, []).append(part)
    return {
        degree: Part(put(part.terms for part in found), frozenset().union(*(part.tables for part in found)))
        for degree, found in parts.items()
    }


# ---------------------------------------------------------------------- products that something else reads
def _multiplied(graph: Analysis, lookup: Operation) -> int:
    """The same where rows are multiplied right as they are looked up, whatever reads the products."""
    if (product := _only_reader(graph, lookup)) is None or not all(_is_row(graph, v) for v in product.inputs):
        return 0
    if product.kind == "matmul":
        whole = product.width == graph.parameters[lookup.uses[0].parameter].shape[-1]
        return product.width if whole and any(product.over_units) else 0  # an axis of 1 may count as units
    total = _only_reader(graph, product) if (product.kind, product.arithmetic) == ("gate", "product") else None
    return total.width if total is not None and total.reduction == "sum" else 0


def _only_reader(graph: Analysis, step: Operation) -> Operation | None:
    """What reads the result, if it is one operation, past moves."""
    while len(readers := graph.consumers.get(step.outputs[0], ())) == 1 and readers[0].outputs:
        step = readers[0]
        if step.kind != "move":
            return step
    return None


def _is_row(graph: Analysis, value: int) -> bool:
    made = list(backward(graph, [value], lambda operation: operation.kind == "move"))
    return bool(made) and made[-1].kind == "lookup"
