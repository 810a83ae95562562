"""What a value meets first on its way through the model: a nonlinearity, another weight, the output."""

from collections import deque
from dataclasses import dataclass

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import TRANSPARENT, forward, of_the_batch

_KEEPS = frozenset({"move", "scale", "shift"})  # units and their sizes, up to a factor and an offset


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


@inferred("what the output of a weight meets", lambda *_: ())
def meetings(graph: Analysis, value: int) -> tuple[Meeting, ...]:
    """Everything met from `value`, nearest first. Normalization, pooling, sums and reshapes are passed through."""
    found: list[Meeting] = []
    queue, seen = deque([(value, 0, False)]), {value}
    while queue:
        start, steps, added = queue.popleft()
        for step, reader in escapes(graph, start):
            known = ("linear", 1.0) if step is None else graph.named(step)
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


@inferred("which layers read the input", lambda *_: False)
def bends_input(graph: Analysis, operation: Operation) -> bool:
    """Whether a layer is the first to read a signal of the batch, and the first thing that acts on what it gives is a
    function that is not linear, and no gate of another signal: wherever its weight is used."""
    names = {use.parameter for use in operation.uses if use.slot == "weight"}
    users = {made.index: made for name in names for made, _ in graph.uses_of(name)}
    return all(_bends(graph, made) for made in {operation.index: operation, **users}.values())


def _first_readers(graph: Analysis) -> set[int]:
    """Operations that depend on the batch, and on nothing that a weight gives."""
    given = (made.outputs for made in graph.operations if made.kind in WEIGHTED or made.kind == "lookup")
    behind = {reader.index for reader in forward(graph, {value for outputs in given for value in outputs})}
    return {reader.index for reader in forward(graph, of_the_batch(graph))} - behind


def _bends(graph: Analysis, operation: Operation) -> bool:
    """As `bends_input`, of one use."""
    if operation.index not in graph.once(_first_readers):
        return False
    value: int | None = operation.outputs[0] if operation.outputs else None
    while value is not None:
        found = escapes(graph, value)
        bent = [reader for step, reader in found if step is not None and not graph.is_linear(step)]
        if bent:
            return all(reader is not None and reader.kind != "gate" for reader in bent)
        readers = {reader.index: reader for _, reader in found if reader is not None}.values()
        passed = [reader for reader in readers if reader.kind in _KEEPS and reader.outputs]
        value = passed[0].outputs[0] if len(passed) == len(readers) == 1 else None
    return False
