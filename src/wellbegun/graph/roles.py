"""What each parameter does in its model, found from the graph and not from names."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wellbegun.graph.follow import Meeting, leads_to_weight, meetings
from wellbegun.graph.model import ModelGraph, Operation, Parameter, Use
from wellbegun.layout import Layout

_WEIGHTS = frozenset({"weight"})
_DIRECT = {  # slots that are roles
    "bias": "bias",
    "norm_scale": "norm_scale",
    "norm_shift": "norm_shift",
    "negative_slope": "negative_slope",
    "scale": "multiplier",
    "token": "token",
    "recurrent_input": "recurrent_input",
    "recurrent_hidden": "recurrent",
    "recurrent_bias_input": "recurrent_bias_input",
    "recurrent_bias_hidden": "recurrent_bias",
    "recurrent_projection": "recurrent_projection",
}


@dataclass(frozen=True)
class Role:
    """The role of one parameter, and what a recipe needs to choose for it."""

    parameter: Parameter
    role: str  # hidden, residual_out, readout, embedding, ...; "unused" or "unknown" if the graph does not tell
    layout: Layout | None = None
    place: str = ""
    met: Meeting | None = None  # what the output of this weight meets first
    also: tuple[str, ...] = ()  # names of other activations it meets
    mode: str = ""  # recurrent kind
    zero_rows: tuple[int, ...] = ()
    shared_readout: bool = False  # a lookup table that is also the readout


def roles_of(graph: ModelGraph) -> Mapping[str, Role]:
    """One role for each canonical parameter (tied names follow theirs)."""
    uses: dict[str, list[tuple[Operation, Use]]] = {}
    for operation, use in graph.uses():
        uses.setdefault(use.parameter, []).append((operation, use))
    return {
        name: _role(graph, parameter, uses.get(name, []))
        for name, parameter in graph.parameters.items()
        if parameter.tied_to is None
    }


def _role(graph: ModelGraph, parameter: Parameter, uses: list[tuple[Operation, Use]]) -> Role:
    if not uses:
        return Role(parameter, "unused")
    weights = [(operation, use) for operation, use in uses if use.slot in _WEIGHTS]
    tables = [(operation, use) for operation, use in uses if use.slot == "table"]
    if tables:
        operation, use = tables[0]
        shared = any(not leads_to_weight(graph, reader) for reader, _ in weights)
        padding = tuple(sorted({row for _, table in tables for row in table.zero_rows}))
        return Role(parameter, "embedding", use.layout, operation.place, zero_rows=padding, shared_readout=shared)
    if weights:
        return _weight(graph, parameter, *weights[0])
    operation, use = uses[0]
    if use.slot in _DIRECT:
        layout = use.layout or _plain(parameter)
        return Role(parameter, _DIRECT[use.slot], layout, operation.place, mode=operation.mode)
    if use.slot == "shift":
        return _shift(parameter, operation)
    return Role(parameter, "unknown", None, operation.place)


def _weight(graph: ModelGraph, parameter: Parameter, operation: Operation, use: Use) -> Role:
    if use.layout is None:
        return Role(parameter, "unknown", None, operation.place)
    met = meetings(graph, operation.outputs[0])
    first = _first(met)
    activations = dict.fromkeys(m.name or "a function" for m in met if m.what == "activation")
    role = Role(parameter, "hidden", use.layout, operation.place, first)
    if first is not None and first.what == "activation":
        activations.pop(first.name or "a function", None)
    role = replace(role, also=tuple(activations))
    if not leads_to_weight(graph, operation):
        return replace(role, role="readout")
    if first is not None and first.through_add and not any(m.what == "activation" and not m.through_add for m in met):
        return replace(role, role="residual_out")
    return role


def _first(met: tuple[Meeting, ...]) -> Meeting | None:
    """The nearest activation; without one, the nearest meeting of any kind."""
    return next((m for m in met if m.what == "activation"), met[0] if met else None)


def _shift(parameter: Parameter, operation: Operation) -> Role:
    """A parameter added to a signal: a bias if it has one axis of more than one entry, else a table of positions."""
    long_axes = sum(size > 1 for size in parameter.shape)
    if long_axes <= 1:
        return Role(parameter, "bias", _plain(parameter), operation.place)
    return Role(parameter, "positional", _plain(parameter), operation.place)


def _plain(parameter: Parameter) -> Layout:
    """A layout for parameters without fans: every axis counts as output."""
    return Layout("o" * len(parameter.shape))
