"""What each parameter does in its model, found from the graph and not from names."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.attention import QKV, joined, orders_of, parts_of
from wellbegun.graph.blocks import Stack, feeding, innermost, places_of
from wellbegun.graph.cells import Member, cells_of
from wellbegun.graph.distances import is_distance, normed_size, unit_of
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.meetings import Meeting, meetings
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation, Parameter, Use
from wellbegun.graph.proportional import Bag, bag_of, constant_around, constant_behind
from wellbegun.graph.reparametrized import Reparametrization
from wellbegun.graph.residual import Branch, branches_of, layers_in_series
from wellbegun.graph.tables import offset, scored
from wellbegun.graph.walk import leading_to, weights_before
from wellbegun.layout import Layout

_WEIGHTS = frozenset({"weight"})
_LSTM = ("", "forget", "", "")  # the order of gates in layers of frameworks
_DIRECT = {  # slots that are roles
    "bias": "bias",
    "norm_scale": "norm_scale",
    "norm_shift": "norm_shift",
    "negative_slope": "negative_slope",
    "scale": "multiplier",
    "token": "token",
    "centre": "centre",
    "recurrent_input": "recurrent_input",
    "recurrent_hidden": "recurrent",
    "recurrent_bias_input": "recurrent_bias_input",
    "recurrent_bias_hidden": "recurrent_bias",
    "recurrent_projection": "recurrent_projection",
}


@dataclass(frozen=True)
class Net:
    """Facts about the whole model that recipes need."""

    layers: int = 0  # weighted operations in series
    branches: tuple[Branch, ...] = ()
    normed: bool = False  # whether there is any normalization
    stacks: tuple[Stack, ...] = ()  # one for each stream
    readouts: tuple[tuple[str, int], ...] = ()  # weights that no other weight follows, with their number of outputs

    @property
    def blocks(self) -> int:
        """Blocks of the decoder, or of the longest stack if no stack is one; 1 without any."""
        decoders = [stack.layers for stack in self.stacks if stack.kind == "decoder"]
        return max(decoders or [stack.layers for stack in self.stacks] or [1])


@dataclass(frozen=True)
class Role:
    """The role of one parameter, and what a recipe needs to choose for it."""

    parameter: Parameter  # with the shape of the weight that is computed from it, where one is
    role: str  # hidden, residual_out, readout, embedding, ...; "unused" or "unknown" if the graph does not tell
    layout: Layout | None = None
    place: str = ""
    met: Meeting | None = None  # what the output of this weight meets first
    also: tuple[str, ...] = ()  # names of other activations it meets
    mode: str = ""  # recurrent kind
    gates: tuple[str, ...] = ()  # what the sections of a recurrent parameter are for: "forget", or "" for any other
    parts: tuple[str, ...] = ()  # what equal parts of its units feed, in order, where several matrices are in one
    zero_rows: tuple[int, ...] = ()
    shared_readout: bool = False  # a lookup table that is also the readout
    readout_scale: float = 1.0  # what constants multiply the input and output of such a readout with
    depth: int = 0  # weighted operations in series before it
    stack: Stack | None = None  # the stack of blocks that its branch belongs to
    block: int = 0  # number of its block in the stack, from 0
    head_width: int = 0  # of a query, key or value: width of a head, if known
    fed_by: Function | None = field(default=None, compare=False, repr=False)  # nonlinearity that its input comes from
    computed: Reparametrization | None = field(
        default=None, compare=False, repr=False
    )  # how the weight is computed from it
    unit: float = 1.0  # the number that makes what it multiplies, or a table with what follows gives, 1 in size
    silent: float = 0.0  # and the one that silences it; other than 1 and 0 where the scale is computed, as 1 + w is
    beside: "Role | None" = field(default=None, repr=False)  # of a bias: the weight whose output it is added to
    branch: Branch | None = None  # the innermost residual branch it is in
    ends_branch: bool = False  # whether what it gives is added to the stream without another weight between
    operation: int = -1  # index of the operation that uses it first
    on_table: bool = False  # positions: whether what they are added to comes from a lookup table
    multiplied: bool = False  # positions: whether they meet a signal in a product of two values, as queries do
    bag: Bag = field(default_factory=Bag)  # a table: how many of its rows become one value
    scored: float = 0  # a table: terms of the product of its rows with those of tables, where the model ends in it
    offset: float = 0  # a table of one number a row: how many of them an output adds up, if nothing else reads them
    alone: bool = False  # a token: whether it is a signal by itself, as queries of an attention are
    timed: bool = False  # whether it is inside a branch with time steps, as in a state-space layer
    net: Net = field(default_factory=Net, compare=False, repr=False)

    @property
    def is_weight(self) -> bool:
        """Whether its own entries are those of a weight, one for one, and `layout` speaks of them."""
        if self.computed is None:
            return True
        name, part = self.parameter.name, self.computed.parts.get(self.parameter.name)
        single = part is not None and part.what in ("weight", "free", "bent")
        return single and self.computed.shapes[name] == self.parameter.shape


def roles_of(graph: ModelGraph) -> Mapping[str, Role]:
    """One role for each canonical parameter (tied names follow theirs). An `Analysis` finds them once."""
    return MappingProxyType(Analysis.of(graph).once(_roles))


def net_of(roles: Mapping[str, Role]) -> Net:
    """What roles of one model know of all of it."""
    return next((role.net for role in roles.values()), Net())


def _roles(graph: Analysis) -> dict[str, Role]:
    facts = _Facts(graph)
    found = {
        name: _completed(graph, facts, parameter)
        for name, parameter in graph.parameters.items()
        if parameter.tied_to is None
    }
    for name, role in found.items():
        if role.role == "bias" and (beside := found.get(facts.weight_beside(role) or "")) is not None:
            found[name] = replace(role, beside=beside)
    return found


@inferred("the role of a parameter", lambda _, __, parameter: Role(parameter, "unknown"))
def _completed(graph: Analysis, facts: "_Facts", parameter: Parameter) -> Role:
    return facts.complete(_role(facts, parameter, graph.uses_of(parameter.name)))


class _Facts:
    """What is found once for the whole graph."""

    def __init__(self, graph: Analysis) -> None:
        self.graph = graph
        self.parts = graph.once(parts_of)
        self.orders = orders_of(graph)
        branches = branches_of(graph)
        self.places = places_of(graph, branches)
        self.cells = graph.once(cells_of).parts
        self.innermost = {**innermost(branches), **self.places.aside}
        self.ends = {index: branch for branch in branches for index in branch.ends}
        self.gammas = {name: branch for branch in branches for name in branch.gammas}
        self.scales = {name: branch for branch in branches for name in branch.scales}
        self.leading = leading_to(graph, WEIGHTED)  # a weight that is none of them is a readout
        self.timed = {
            self.innermost[i] for i, part in self.parts.items() if part == "time_step" and i in self.innermost
        }
        normed = any(operation.kind == "norm" for operation in graph.operations)
        stacks = tuple(self.places.stacks.values())
        self.net = Net(layers_in_series(graph), branches, normed, stacks, tuple(self._readouts()))

    def complete(self, role: Role) -> Role:
        """The role with what the structure of the model says about it."""
        name, index, said = role.parameter.name, role.operation, self._placed(role)
        scaled = self.gammas.get(name) or self.scales.get(name)
        branch = self.ends.get(index) if index in self.ends else self.innermost.get(index)
        if role.role in ("norm_scale", "multiplier"):
            if name in self.scales:
                said["role"] = "residual_scale"
            return replace(role, branch=scaled or branch, ends_branch=scaled is not None, net=self.net, **said)
        if role.role == "bias" and self.parts.get(index) == "time_step":
            said["role"] = "time_step_bias"
        said["timed"] = branch in self.timed and index not in self.ends
        if role.role == "positional":
            said["on_table"], said["multiplied"] = self._on_table(index), self._multiplied(index)
        if role.role == "embedding" and index >= 0:
            said["unit"] = 1 / constant_behind(self.graph, self.graph.operations[index].outputs[0])
            said["bag"] = bag_of(self.graph, self.graph.operations[index])
            lookup, leads = self.graph.operations[index], index in self.leading
            said["scored"] = scored(self.graph, lookup, leads=leads)
            said["offset"] = 0 if leads else offset(self.graph, lookup)
            said["readout_scale"] = constant_around(self.graph, name) if role.shared_readout else 1.0
        if role.role == "token":
            said["alone"] = self.graph.operations[index].kind == "move" and not self.graph.operations[index].inputs
        return replace(role, branch=branch, ends_branch=index in self.ends, net=self.net, **said)

    def _on_table(self, index: int) -> bool:
        inputs = self.graph.operations[index].inputs
        return any(found.kind == "lookup" for value in inputs for found in weights_before(self.graph, value))

    def _multiplied(self, index: int) -> bool:
        readers = [o for value in self.graph.operations[index].outputs for o in self.graph.consumers.get(value, ())]
        return bool(readers) and all(reader.kind == "matmul" for reader in readers)

    def _placed(self, role: Role) -> dict[str, Any]:
        """Where in the model the operation is that uses it."""
        index, places = role.operation, self.places
        if index < 0:
            return {}
        operation = self.graph.operations[index]
        beside = self._weighed(operation)
        branch = self.ends.get(index) or self.innermost.get(index)
        return {
            "depth": places.depth[index if beside is None else beside.index],
            "stack": places.stacks.get(branch.stream) if branch else None,
            "block": places.blocks.get(branch.add, 0) if branch else 0,
            "head_width": places.heads.get(index, 0),
            "fed_by": feeding(self.graph, operation) if operation.kind in WEIGHTED else None,
        }

    def weight_beside(self, role: Role) -> str | None:
        """The weight whose output a bias is added to, in the same operation or right before."""
        if role.operation < 0:
            return None
        made = self._weighed(self.graph.operations[role.operation])
        return next((use.parameter for use in made.uses if use.slot in _WEIGHTS), None) if made is not None else None

    def _weighed(self, operation: Operation) -> Operation | None:
        """A weighted operation itself, or the one whose output is shifted right behind it."""
        made = self.graph.source(operation) if operation.kind == "shift" else operation
        return made if made is not None and made.kind in WEIGHTED else None

    def _readouts(self) -> Iterator[tuple[str, int]]:
        for operation, use in self.graph.uses():
            last = (
                operation.kind in WEIGHTED and operation.index not in self.leading and operation.index not in self.ends
            )
            if last and use.slot in _WEIGHTS and use.layout is not None:
                yield use.parameter, self.graph.size_of(use, "o")


def _role(facts: _Facts, parameter: Parameter, uses: tuple[tuple[Operation, Use], ...]) -> Role:
    if not uses:
        return _unused(parameter)
    weights = [(operation, use) for operation, use in uses if use.slot in _WEIGHTS]
    tables = [(operation, use) for operation, use in uses if use.slot == "table"]
    operation, use = min(
        tables or weights or uses, key=lambda pair: pair[1].computed is not None
    )  # the plain one first
    if parameter.name in facts.cells:
        return _in_cell(parameter, facts.cells[parameter.name], operation, use)
    whole = tables or weights or use.slot.startswith("recurrent")  # its entries are those of what is computed
    if whole and use.computed is not None:
        parameter = replace(parameter, shape=use.computed.shape)
    if tables:
        shared = any(reader.index not in facts.leading for reader, _ in weights)
        padding = tuple(sorted({row for _, table in tables for row in table.zero_rows}))
        role = Role(parameter, "embedding", use.layout, operation.place, zero_rows=padding, shared_readout=shared)
    elif weights:
        role = _weight(facts, parameter, operation, use)
        if role.role in QKV and (all_of := joined(facts.parts.get(o.index, "") for o, _ in weights)) is not None:
            role = replace(role, role=all_of)  # slices of one weight may be used by several operations
    elif use.slot in _DIRECT:
        layout = use.layout or _plain(parameter)
        name = _DIRECT[use.slot]
        gates = _LSTM if operation.mode == "lstm" and layout.sections == len(_LSTM) else ()
        role = Role(parameter, name, layout, operation.place, mode=operation.mode, gates=gates)
        if name == "norm_scale" or (name == "multiplier" and _follows_norm(facts.graph, operation)):
            role = _norm_scale(role, use, _size_scaled(facts.graph, operation))
        elif name == "multiplier":
            unit = unit_of(facts.graph, operation, use)
            role = role if unit is None else replace(role, role="distance_scale", unit=unit)
    elif use.slot == "shift":
        role = _shift(facts.graph, parameter, operation)
    else:
        role = Role(parameter, "unknown", None, operation.place)
    computed = use.computed if whole else None
    return replace(role, operation=operation.index, computed=computed)


def _in_cell(parameter: Parameter, part: Member, operation: Operation, use: Use) -> Role:
    """The role of a parameter of a recurrent cell that is written out."""
    plain = part.piece or use.computed is None
    parameter = replace(parameter, shape=part.shape)
    layout = use.layout if use.slot == "weight" and use.layout is not None else _plain(parameter)
    if part.sections > 1 and layout.axes.count("o") == 1 and layout.groups == 1:
        layout = replace(layout, sections=part.sections)
    computed = None if plain else use.computed
    return Role(
        parameter, part.role, layout, operation.place, mode=part.mode, gates=part.gates, operation=operation.index,
        computed=computed,
    )  # fmt: skip


def _weight(facts: _Facts, parameter: Parameter, operation: Operation, use: Use) -> Role:
    if use.layout is None:
        return Role(parameter, "unknown", None, operation.place)
    met = meetings(facts.graph, operation.outputs[0])
    first = _first(met)
    activations = dict.fromkeys(m.name or "a function" for m in met if m.what == "activation")
    if first is not None and first.what == "activation":
        activations.pop(first.name or "a function", None)
    name = facts.parts.get(operation.index, "hidden")
    if name == "hidden" and operation.index in facts.ends:
        name = "residual_out"
    if operation.index not in facts.leading and operation.index not in facts.ends:
        name = "readout"
    layout = _in_sections(facts.graph, operation, name, parameter, use.layout)
    parts = facts.orders.get(operation.index, ())
    return Role(parameter, name, layout, operation.place, first, tuple(activations), parts=parts)


def _unused(parameter: Parameter) -> Role:
    """By its own layer, if that says what it is: a layer on a path that was not taken."""
    own = parameter.own
    if own is None:
        return Role(parameter, "unused")
    role = {"weight": "hidden", "table": "embedding"}.get(own.slot) or _DIRECT[own.slot]
    return Role(parameter, role, own.layout or _plain(parameter), zero_rows=own.zero_rows)


_FUSED = {"query_key_value": 3, "key_value": 2, "query_key": 2, "gate_up": 2}


def _in_sections(graph: ModelGraph, operation: Operation, name: str, parameter: Parameter, layout: Layout) -> Layout:
    """The layout of a fused projection whose output is cut into its parts at once: a matrix for each."""
    parts = _FUSED.get(name)
    if parts is None or layout.sections is not None or layout.groups != 1 or layout.axes.count("o") != 1:
        return layout
    outputs = parameter.shape[layout.axes.index("o")]
    readers = graph.consumers.get(operation.outputs[0], ())
    if len(readers) == 1 and readers[0].kind == "move":  # back to the shape of the batch
        readers = graph.consumers.get(readers[0].outputs[0], ())
    each = tuple((place * (outputs // parts), outputs // parts) for place in range(parts))
    cut = len(readers) == 1 and readers[0].kind == "split" and readers[0].cuts == each
    return replace(layout, sections=parts) if cut and outputs % parts == 0 else layout


def _size_scaled(graph: Analysis, operation: Operation) -> float:
    """RMS of a normalized signal that a scale multiplies, with the constants behind the scale where it is not 1."""
    size = normed_size(graph, operation.inputs[0]) if operation.kind == "scale" and operation.inputs else 1.0
    size *= 1.0 if size == 1 else constant_behind(graph, operation.outputs[0])
    return 1.0 if math.isclose(size, 1, rel_tol=1e-3) else size


def _norm_scale(role: Role, use: Use, size: float) -> Role:
    """The scale of a normalization, built in or written by hand, which gives a signal of this size; of one that is
    computed, where it makes that 1 and 0."""
    wanted = float(f"{1 / size:.8g}")
    if use.computed is None:
        return replace(role, role="norm_scale" if use.exact else "multiplier", unit=wanted if use.exact else 1.0)
    unit, silent = use.computed.where(wanted), use.computed.where(0.0)
    if unit is None:
        return replace(role, role="multiplier")
    return replace(role, role="norm_scale", unit=unit, silent=unit if silent is None else silent)


def _follows_norm(graph: Analysis, operation: Operation) -> bool:
    before = graph.source(operation)
    return before is not None and before.kind == "norm"


def _first(met: tuple[Meeting, ...]) -> Meeting | None:
    """The nearest activation; without one, the nearest meeting of any kind."""
    return next((m for m in met if m.what == "activation"), met[0] if met else None)


def _shift(graph: Analysis, parameter: Parameter, operation: Operation) -> Role:
    """A parameter added to a signal: a bias if it has one axis of more than one entry, else a table of positions, or of
    centres that distances are measured from."""
    long_axes = sum(size > 1 for size in parameter.shape)
    name = "bias" if long_axes <= 1 else "centre" if is_distance(graph, operation) else "positional"
    return Role(parameter, name, _plain(parameter), operation.place)


def _plain(parameter: Parameter) -> Layout:
    """A layout for parameters without fans: every axis counts as output."""
    return Layout("o" * len(parameter.shape))
