"""Which layers can be mirrored: units in pairs whose difference the next layers see ("looks linear").

A layer can give mirrored units if a single nonlinearity acts on each of them alone and everything that reads the result
is linear in it and can take the signs.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from wellbegun.graph.follow import escapes, is_linear
from wellbegun.graph.function import Function
from wellbegun.graph.model import ModelGraph, Operation

_MATRICES = frozenset({"linear", "conv", "conv_transpose"})
_ORDERLY = frozenset({"move", "scale", "pool", "norm", "mean"})  # keep units apart, or treat them all alike


@dataclass(frozen=True)
class Layer:
    """One weight with what it feeds: `function` of its output, read by `readers` and by nothing else."""

    name: str
    operation: int
    function: Function
    readers: tuple[str, ...]
    averaged: frozenset[str] = frozenset()  # readers that see means over positions only


def layers_of(graph: ModelGraph) -> Mapping[str, Layer]:
    """Weights followed by exactly one nonlinearity, whose result only weights read."""
    found = {}
    used = used_once(graph)
    for operation in graph.operations:
        name = weight_name(operation)
        if operation.kind not in _MATRICES or name is None or name not in used:
            continue
        step = _single_function(graph, operation.outputs[0])
        if step is None or step.function is None:
            continue
        readers = _readers(graph, step.outputs[0])
        if readers and all(reader in used for reader in readers):
            averaged = frozenset(reader for reader, through in readers.items() if through)
            found[name] = Layer(name, operation.index, step.function, tuple(readers), averaged)
    return found


def can_mirror(graph: ModelGraph, layer: Layer) -> bool:
    """Whether the sizes fit: an even number of units, and readers whose inputs are those units in order."""
    units = size_of(graph, layer.name, "o")
    return (
        units is not None
        and units % 2 == 0
        and all((inputs := size_of(graph, reader, "i")) is not None and inputs % units == 0 for reader in layer.readers)
    )


def used_once(graph: ModelGraph) -> frozenset[str]:
    """Parameters that are one plain matrix or kernel of one operation."""
    count: dict[str, int] = {}
    plain: set[str] = set()
    for _, use in graph.uses():
        count[use.parameter] = count.get(use.parameter, 0) + 1
        layout = use.layout
        if layout is not None and layout.groups == 1 and layout.sections is None and _matrix(layout.axes):
            plain.add(use.parameter)
    return frozenset(name for name in plain if count[name] == 1)


def _matrix(axes: str) -> bool:
    return axes.count("o") == 1 and axes.count("i") == 1 and set(axes) <= set("oik")


def weight_name(operation: Operation) -> str | None:
    """The parameter that is the weight of an operation, if it is one alone."""
    names = [use.parameter for use in operation.uses if use.slot == "weight" and use.computed is None]
    return names[0] if len(names) == 1 else None


def size_of(graph: ModelGraph, name: str, letter: str) -> int | None:
    """Size of the axis of a weight that has a role."""
    for _, use in graph.uses_of(name):
        if use.layout is not None:
            return graph.parameters[name].shape[use.layout.axes.index(letter)]
    return None


def _single_function(graph: ModelGraph, value: int) -> Operation | None:
    """The one nonlinear function through which everything reads a value; norms and reshapes before it are passed."""
    for _ in range(64):
        steps = list(escapes(graph, value))
        functions = {id(step): step for step, _ in steps if step is not None and not is_linear(graph, step)}
        if functions:
            step = next(iter(functions.values()))
            return step if len(functions) == 1 and all(found is step for found, _ in steps) else None
        readers = {reader.index: reader for _, reader in steps if reader is not None}
        if len(readers) != 1 or any(reader is None for _, reader in steps):
            return None
        reader = next(iter(readers.values()))
        if reader.kind not in ("move", "scale", "norm") or any(use.slot == "shift" for use in reader.uses):
            return None
        value = reader.outputs[0]
    return None


def _readers(graph: ModelGraph, value: int) -> dict[str, bool] | None:
    """Weights that read a value through reshapes and pools, and whether through a mean; None if anything else does."""
    found: dict[str, bool] = {}
    queue, seen = deque([(value, False)]), {value}
    while queue:
        current, mean = queue.popleft()
        if current in graph.outputs:
            return None
        for step, reader in escapes(graph, current):
            if reader is None or (step is not None and not is_linear(graph, step)):
                return None
            name = weight_name(reader) if reader.kind in _MATRICES and len(reader.inputs) == 1 else None
            if name is not None:
                found[name] = found.get(name, True) and mean
            elif reader.kind in _ORDERLY and len(reader.inputs) == 1:
                new = [output for output in reader.outputs if output not in seen]
                seen.update(new)
                queue.extend((output, mean or reader.kind == "mean") for output in new)
            else:
                return None
    return found
