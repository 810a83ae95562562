"""Which operation of a graph an operation of a pass is: the two number values each in its own way."""

from dataclasses import replace

from wellbegun.backend.values import Strayed
from wellbegun.graph import ModelGraph, Operation, idle


class Alignment:
    """Follows a pass along a graph. Moves of the graph that lead nowhere may be missing from the pass: autograd repeats
    views of fake tensors."""

    def __init__(self, graph: ModelGraph) -> None:
        self.graph, self.idle = graph, idle(graph)
        self.skipped: dict[int, int] = {}  # operation of the pass -> operations of the graph that it did without so far
        self.values: dict[int, int] = {}  # value of the pass -> of the graph
        self.differs = False
        self._last = 0

    def __call__(self, operation: Operation) -> Operation:
        """The operation as the graph numbers it.

        Raises:
            Strayed: the graph has another one here.
        """
        operations, at = self.graph.operations, operation.index + self._last
        read = [self.values.get(value) for value in operation.inputs]
        while at < len(operations) and at in self.idle and not _same(operations[at], operation, read):
            at += 1
        if at >= len(operations) or operations[at].name != operation.name:
            raise Strayed(operation.place)
        self._last = self.skipped[operation.index] = at - operation.index
        traced = operations[at]
        self.values.update(zip(operation.outputs, traced.outputs, strict=False))
        for value, given in zip(operation.inputs, traced.inputs, strict=False):
            self.values.setdefault(value, given)
        self.differs = self.differs or (at, *traced.outputs) != (operation.index, *operation.outputs)
        return self._numbered(operation, at) if self.differs else operation

    def _numbered(self, operation: Operation, index: int) -> Operation:
        inputs, outputs = (tuple(self._value(v) for v in values) for values in (operation.inputs, operation.outputs))
        root = None if operation.root is None else self._value(operation.root)
        return replace(operation, index=index, inputs=inputs, outputs=outputs, root=root)

    def _value(self, value: int) -> int:
        return self.values.get(value, value)

    def aligned(self, recorded: ModelGraph) -> ModelGraph:
        """What was recorded of the pass, with the numbers of the graph; the graph itself, with all that is known of it,
        where the pass has shown the same."""
        found, given = self._renumbered(recorded) if self.differs else recorded, self.graph
        same = found.operations == given.operations and found.parameters == given.parameters
        rest = (found.outputs, found.notes, found.returned) == (given.outputs, given.notes, given.returned)
        return given if same and rest else found

    def _renumbered(self, recorded: ModelGraph) -> ModelGraph:
        ran, skipped = dict[int, Operation](), 0
        for operation in recorded.operations:  # some stand for parameters and constants, and were not shown
            skipped = self.skipped.get(operation.index, skipped)
            at = operation.index + skipped
            if operation.index not in self.skipped and at < len(self.graph.operations):
                self.values.update(zip(operation.outputs, self.graph.operations[at].outputs, strict=False))
            ran[at] = self._numbered(operation, at)
        operations = tuple(ran.get(at, operation) for at, operation in enumerate(self.graph.operations[: max(ran) + 1]))
        outputs = tuple(self._value(value) for value in recorded.outputs)
        return ModelGraph(operations, recorded.parameters, outputs, recorded.notes, recorded.returned)


def _same(traced: Operation, operation: Operation, read: list[int | None]) -> bool:
    """Whether an operation may be this one of the graph: the same on the same values, as far as they are known."""
    pairs = zip(traced.inputs, read, strict=False)
    return traced.name == operation.name and all(value is None or given == value for given, value in pairs)
