"""What a value meets first on its way through the model: a nonlinearity, another weight, the output."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.function import Function
from wellbegun.graph.model import ModelGraph, Operation
from wellbegun.theory import identify

TRANSPARENT = frozenset({"norm", "scale", "shift", "pool", "mean", "concat", "split", "move", "add"})


@dataclass(frozen=True)
class Meeting:
    """The first thing on one path: `what` is "activation", or the kind of operation met, or "output"."""

    what: str
    steps: int
    through_add: bool
    place: str
    name: str = ""  # of the activation, if its values are those of a known one
    slope: float = 0.0  # of a leaky ReLU or linear function
    function: Function | None = None


def meetings(graph: ModelGraph, value: int) -> tuple[Meeting, ...]:
    """Everything met from `value`, nearest first. Normalization, pooling, sums and reshapes are passed through."""
    found: list[Meeting] = []
    queue, seen = deque([(value, 0, False)]), {value}
    while queue:
        start, steps, added = queue.popleft()
        for step, reader in escapes(graph, start):
            known = ("linear", 1.0) if step is None else _name(graph, step)
            if known is None or known[0] != "linear":
                name, slope = known or ("", 0.0)
                place = reader.place if reader else "output"
                found.append(Meeting("activation", steps, added, place, name, slope, step.function if step else None))
            elif reader is None:
                found.append(Meeting("output", steps, added, "output"))
            elif reader.kind in TRANSPARENT:
                for output in reader.outputs:
                    if output not in seen:
                        seen.add(output)
                        queue.append((output, steps + 1, added or reader.kind == "add"))
            else:
                found.append(Meeting(reader.kind, steps, added, reader.place))
    return tuple(sorted(found, key=lambda meeting: meeting.steps))


def escapes(graph: ModelGraph, root: int) -> list[tuple[Operation | None, Operation | None]]:
    """Where functions of `root` are used: the pointwise step that gives the function (None: root itself), and what
    reads it that is no such step (None: the model's output). Statistics inside a normalization only scale, and do not
    count."""
    users = graph.rooted.get(root, ())
    group: dict[int, Operation | None] = {root: None}
    group.update({value: operation for operation in users for value in operation.outputs})
    found: list[tuple[Operation | None, Operation | None]] = []
    for value, step in group.items():
        for reader in graph.consumers.get(value, ()):
            if reader not in users and reader.kind != "statistic":
                found.append((step, reader))
        if value in graph.outputs:
            found.append((step, None))
    return found


def _name(graph: ModelGraph, step: Operation) -> tuple[str, float] | None:
    """Name and slope of a step's function, looked at once."""
    assert step.function is not None  # pointwise operations have one
    if step.function not in graph.activations:
        graph.activations[step.function] = _recognize(partial(graph.values, step.function))
    return graph.activations[step.function]


def is_linear(graph: ModelGraph, step: Operation) -> bool:
    """Whether a pointwise step is a multiple of its value, up to a constant."""
    assert step.function is not None
    if step.function not in graph.bends:
        graph.bends[step.function] = _bends(partial(graph.values, step.function))
    if graph.bends[step.function]:
        return False
    found = _name(graph, step)
    return found is not None and found[0] == "linear"


def _bends(function: Callable[[Array], Array]) -> bool:
    """Whether a few values already show that a function is not affine: most are not, and naming them takes longer."""
    with np.errstate(all="ignore"):
        low, middle, high = np.asarray(function(np.array([-4.0, 0.5, 5.0])), dtype=np.float64)
    return bool(abs(low + high - 2 * middle) > 1e-3 * (abs(low) + abs(high) + abs(middle)))


def _recognize(function: Callable[[Array], Array]) -> tuple[str, float] | None:
    """Name and slope of a function; affine functions count as linear."""

    def centred(x: Array) -> Array:
        values = function(x)
        return values - function(x * 0)

    known = identify(function)
    if known is None and (affine := identify(centred)) is not None and affine[0] == "linear":
        return affine
    return known
