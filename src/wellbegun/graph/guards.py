"""Questions whether values are finite, answered without values: they are, in a model that starts well.

Libraries ask them before they clamp what overflows in half precision (DETR, many encoders). The answer is found by
evaluating what the model computes, never by the names of operations, and the trace says that it was given.
"""

from collections.abc import Callable, Iterable

import numpy as np

from wellbegun.graph.model import Operation
from wellbegun.graph.notes import some_of

_SIZES = np.concatenate([np.arange(100.0), np.geomspace(1e-38, 3e38, 300)])
_FINITE = np.concatenate([-_SIZES[::-1], _SIZES])
_REST = np.array([np.nan, np.inf, -np.inf])


def answered(value: int, maker: Callable[[int], Operation | None]) -> tuple[bool, Operation] | None:
    """What a truth value is for all finite values that it is computed from, if any other may change it, and the
    operation that tells; None: it asks something else. `maker`: the operation that made a value."""
    operation = maker(value)
    while operation is not None and _keeps(operation):
        operation = maker(operation.inputs[0])
    if operation is None or operation.function is None:
        return None
    with np.errstate(all="ignore"):
        finite, rest = operation.function(_FINITE), operation.function(_REST)
    if np.isin(finite, (0.0, 1.0)).all() and np.ptp(finite) == 0 and (rest != finite[0]).any():
        return bool(finite[0]), operation
    return None


def _keeps(operation: Operation) -> bool:
    """Whether what is the same for all entries stays so: masks bring in values of their own."""
    moves = operation.kind == "move" and operation.entries not in ("", "masked", "written")
    return (moves or operation.reduction == "extremum") and len(operation.inputs) == 1


def finite_notes(asked: Iterable[Operation]) -> tuple[str, ...]:
    """A note that names the places of such questions."""
    places = list(dict.fromkeys(operation.scope or "the model itself" for operation in asked))
    if not places:
        return ()
    return (f"The path depends on whether values are finite, in {some_of(places)}: traced as if they are.",)
