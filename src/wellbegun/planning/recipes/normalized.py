"""Layers that normalize by parameters of their own: weights of a direction and a length; a scale and a shift."""

from collections.abc import Mapping
from typing import NamedTuple

from wellbegun.graph import WEIGHTED, ModelGraph, Operation, Role


class Affine(NamedTuple):
    """A signal that is scaled and shifted by parameters with one entry for each unit, in either order (ActNorm)."""

    scale: int  # operations
    shift: int


def directed(graph: ModelGraph, roles: Mapping[str, Role], unit: str = "o") -> frozenset[str]:
    """Weights, or what they are computed from, that consist of a direction and of a length for each output unit, or for
    each input ("i")."""
    lengths: dict[str, list[tuple[int, ...]]] = {}
    for parameter in graph.parameters.values():
        if parameter.set_by is not None:
            lengths.setdefault(parameter.set_by, []).append(parameter.shape)
    found = set[str]()
    for name, role in roles.items():
        parts = {} if role.computed is None else role.computed.parts
        if sorted(part.what for part in parts.values()) == ["free", "magnitude"]:
            found.add(name)
        elif name in lengths and role.layout is not None:
            shape = graph.parameters[name].shape
            letters = dict(enumerate(role.layout.axes))
            each = tuple(size if letters[axis] == unit else 1 for axis, size in enumerate(shape))
            if sorted(lengths[name]) == sorted([each, shape]):
                found.add(name)
    return frozenset(found)


def affine(graph: ModelGraph) -> tuple[Affine, ...]:
    """Where a signal meets a scale and a shift that are one after the other in one module, and no bias of a layer."""
    found, taken = list[Affine](), set[int]()
    for operation in graph.operations:
        readers = graph.consumers.get(operation.outputs[0], ()) if operation.outputs else ()
        behind = readers[0] if len(readers) == 1 else operation
        one, two = _parameter(graph, operation), _parameter(graph, behind)
        if {operation.kind, behind.kind} != {"scale", "shift"} or operation.scope != behind.scope or not (one and two):
            continue
        alike = graph.parameters[one].shape == graph.parameters[two].shape and one != two
        if alike and operation.index not in taken and not _after_weight(graph, operation):
            pair = operation.index, behind.index
            taken.update(pair)
            found.append(Affine(*(pair if operation.kind == "scale" else pair[::-1])))
    return tuple(found)


def _parameter(graph: ModelGraph, operation: Operation) -> str | None:
    """The one parameter of an operation on one signal, if it lies along one axis."""
    name = operation.uses[0].parameter if len(operation.uses) == 1 and len(operation.inputs) == 1 else None
    shape = graph.parameters[name].shape if name is not None else ()
    return name if sum(size > 1 for size in shape) == 1 else None


def _after_weight(graph: ModelGraph, operation: Operation) -> bool:
    """Whether it shifts what a weight of the same module gave, perhaps in another shape: that is a bias."""
    maker = graph.producers.get(operation.inputs[0])
    while maker is not None and maker.kind == "move" and len(maker.inputs) == 1:
        maker = graph.producers.get(maker.inputs[0])
    bias = operation.kind == "shift" and maker is not None and maker.kind in WEIGHTED
    return bias and maker is not None and maker.scope == operation.scope
