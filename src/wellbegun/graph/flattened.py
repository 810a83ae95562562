"""Axes of parameters that run over units and places at once: behind a flatten, and before what undoes it."""

from collections.abc import Iterator, Mapping

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.model import Operation, Use
from wellbegun.graph.walk import backward, forward, of_the_batch

Group = tuple[int, ...]  # sizes before, of and after units
_PASSED = frozenset({"pointwise", "norm", "scale", "shift", "move"})  # what acts on each entry of an axis
_WINDOWS = frozenset({"conv", "conv_transpose"})


def groups_of(graph: Analysis, *, of_batch: bool = False) -> Mapping[str, Mapping[str, Group]]:
    """Parameter -> letter of such an axis -> its sizes, where units are not the last of them.

    Where units are is certain beside convolutions. `of_batch`: where the batch itself has them may be told by its rank.
    """
    found: dict[str, dict[str, Group]] = {}
    for operation in graph.operations:
        if operation.merges and _certain(graph, operation, of_batch):
            for reader in forward(graph, operation.outputs, _passes):
                for use in _own(reader):
                    found.setdefault(use.parameter, {})["i" if use.slot == "weight" else "o"] = operation.merges
        if operation.splits and any(o.kind in _WINDOWS for o in forward(graph, operation.outputs, _near)):
            for maker in backward(graph, operation.inputs, _passes):
                for use in (*_own(maker), *(use for use in maker.uses if use.slot == "bias")):
                    found.setdefault(use.parameter, {})["o"] = operation.splits
    return found


def _passes(operation: Operation) -> bool:
    keeps = operation.kind != "move" or operation.entries in ("same", "masked")
    return keeps and operation.kind in _PASSED and not operation.merges and not operation.splits


def _near(operation: Operation) -> bool:
    return operation.kind in _PASSED or operation.kind in ("pool", "add")


def _certain(graph: Analysis, operation: Operation, of_batch: bool) -> bool:
    made = list(backward(graph, operation.inputs, _near))
    batch = of_the_batch(graph)
    given = any(value in batch for each in (operation, *made) for value in each.inputs)
    return any(each.kind in _WINDOWS for each in made) or (of_batch and given)


def _own(operation: Operation) -> Iterator[Use]:
    """Uses of a weight of dense layers, and of what has a number for each unit."""
    dense, each = operation.kind == "linear", operation.kind in _PASSED
    return (use for use in operation.uses if (dense and use.slot == "weight") or (each and use.slot != "opaque"))
