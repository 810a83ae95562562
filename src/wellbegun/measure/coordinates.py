"""What a model's activations are on one batch: a sample of each, to be compared with what they are after some steps."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wellbegun._typing import Array
from wellbegun.backend import Backend, Batch, Effect, Handle, Model
from wellbegun.graph import WEIGHTED, Analysis, ModelGraph, Operation
from wellbegun.graph.residual import branches_of
from wellbegun.graph.walk import leading_to

MOST = 1 << 16  # entries of each activation
OUTPUT = "output"


@dataclass
class Activations:
    """A sample of what each weight and table of one model gives, by its name; of each residual stream at its end; and
    of the output. It is an observer of a pass."""

    graph: ModelGraph
    values: dict[str, Array] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)  # operation -> what it is called here
    readouts: frozenset[str] = frozenset({OUTPUT})
    ends: frozenset[str] = frozenset()  # weights that end a residual branch

    def __post_init__(self) -> None:
        graph = Analysis.of(self.graph)
        for operation in graph.operations:
            own = [use.parameter for use in operation.uses if use.slot in ("weight", "table", "recurrent_hidden")]
            if own and operation.kind in (*WEIGHTED, "lookup"):
                self.names[operation.index] = own[0]
        leading, branches = leading_to(graph, WEIGHTED), branches_of(graph)
        self.ends = frozenset(self.names[at] for branch in branches for at in branch.ends if at in self.names)
        self.readouts |= {name for index, name in self.names.items() if index not in leading} - self.ends
        for branch in branches:
            if branch.index == branch.count - 1:
                self.names[branch.add] = f"stream {branch.stream + 1}"

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> tuple[Effect, ...]:
        """One operation of the forward pass."""
        del inputs
        name = self.names.get(operation.index)
        if name is not None and outputs[0].kind == "real":
            self.values[name] = outputs[0].entries(MOST).astype("float64")
        return ()


def activations(backend: Backend, model: Model, batch: Batch, graph: ModelGraph | None = None) -> Activations:
    """Run the model once. Nothing about it changes. `graph`: that of an earlier pass, whose operations are shown.

    Raises:
        TraceError: it fails on the batch.
    """
    with backend.session(model, batch, graph, owner="coordinate_check") as session:
        found = Activations(session.retrace() if graph is None else graph)
        session.forward(found)
        output = session.output.entries(MOST).astype("float64")
        for name, values in [*found.values.items()]:  # a readout whose output is that of the model
            if name in found.readouts and values.shape == output.shape and (values == output).all():
                del found.values[name]
        found.values[OUTPUT] = output
        return found
