"""Sums of two values that are read for their size alone, as errors of a reconstruction are: comparisons, no streams."""

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.meetings import escapes
from wellbegun.graph.model import WEIGHTED, Operation
from wellbegun.graph.walk import leading_to

_GRID = np.linspace(0.1, 4.0, 24)
_PASSED = frozenset({"move", "split", "concat", "scale", "shift"})
_PRODUCTS = frozenset({"product", "quotient"})


@inferred("which sums are comparisons", lambda *_: False)
def is_comparison(graph: Analysis, total: Operation) -> bool:
    """Whether no weight reads a sum, and all else that does sees how far it is from 0, past factors and means."""
    if total.index in graph.once(_read_by_weights):
        return False
    held, waiting, products = set(total.outputs), [*total.outputs], list[Operation]()
    sized = False
    while waiting:
        for step, reader in escapes(graph, waiting.pop()):
            if step is not None and not graph.is_linear(step):
                if not _extreme_at_zero(step.function):
                    return False
            elif reader is None:
                return False  # it is returned as it is
            elif reader.kind == "matmul":
                products.append(reader)
            elif _passes(reader):
                waiting += set(reader.outputs) - held
                held.update(reader.outputs)
                continue
            elif reader.reduction != "length":
                return False
            sized = True
    return sized and all(held.issuperset(product.inputs) for product in products)


def _read_by_weights(graph: Analysis) -> frozenset[int]:
    return leading_to(graph, WEIGHTED)


def _passes(reader: Operation) -> bool:
    """Whether an operation gives entries of a value times others, or their sums or means."""
    reduced = reader.kind == "mean" and reader.reduction in ("sum", "mean")
    return reader.kind in _PASSED or reduced or (reader.kind == "gate" and reader.arithmetic in _PRODUCTS)


def _extreme_at_zero(function: Function | None) -> bool:
    """Whether a function is least, or largest, at 0, and leaves that on both sides."""
    if function is None:
        return False
    with np.errstate(all="ignore"):
        middle = np.asarray(function(np.zeros(1)), np.float64)[0]
        above, below = (np.asarray(function(sign * _GRID), np.float64) - middle for sign in (1, -1))
    return bool((above * below >= 0).all() and above[-1] * below[-1] > 0)
