"""Recurrent cells that are written out: which weights multiply a state that they made, and which gate keeps it.

A weight is recurrent if what it gives comes back to it without another weight between. Its outputs are followed to the
first functions and products: parts of it that go through a function from 0 to 1 are gates, and the one that multiplies
an older value than the state it was computed from forgets (an LSTM's). Without gates, what comes in has to be added.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.function import UNKNOWN
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, Mode, Operation, Use
from wellbegun.graph.units import Range
from wellbegun.graph.walk import TRANSPARENT, backward, descendants, forward, held_parts, weights_before

_MIXING = WEIGHTED | {"attention", "matmul", "softmax"}
_OPEN = 0.6  # what a gate gives for 0 from which on it counts as open
_NEAR = 1e-6  # how near to 0 and 1 the ends of a gate are
_MARK = 0.375  # makes entries of parameters known again
_RECENT = 4  # uses of a weight that are looked at
Names = tuple[str, ...]
Uses = dict[Names, list[Operation]]


class Member(NamedTuple):
    """What a parameter is in its cell."""

    role: str
    mode: Mode
    sections: int  # matrices in it
    gates: tuple[str, ...]  # what each is for: "forget", or "" for all others
    shape: tuple[int, ...]
    piece: bool = False  # whether it is computed with by being put beside others


class _End(NamedTuple):
    """Where a part of a product's outputs goes: which units (None: all), through which function, into which product."""

    units: Range | None
    function: Operation | None
    product: Operation | None = None


class _Way(NamedTuple):
    """What is met from a value to the first functions and products."""

    ends: tuple[_End, ...]
    added: tuple[int, ...]  # values
    shifts: tuple[Operation, ...]  # sums with parameters


class Cells(NamedTuple):
    """All that are written out."""

    parts: Mapping[str, Member]  # by parameter
    modes: Mapping[int, Mode]  # of the operations of recurrent weights
    number: Mapping[str, int]  # of the cell of each parameter


@inferred("which weights are recurrent", lambda _: Cells({}, {}, {}))
def cells_of(graph: Analysis) -> Cells:
    """Find them."""
    parts, modes, numbers = dict[str, Member](), dict[int, Mode](), dict[str, int]()
    for number, cell in enumerate(_joined(graph, _recurrent(graph))):
        found = _cell(graph, cell)
        parts.update(found)
        numbers.update(dict.fromkeys(found, number))
        recurrent = {name: part.mode for name, part in found.items() if part.role == "recurrent"}
        modes.update((o.index, mode) for name, mode in recurrent.items() for o, _ in graph.uses_of(name))
    return Cells(parts, modes, numbers)


def state_of(graph: Analysis, value: int) -> Mode:
    """The mode of the cell whose state a value is, moved or not; "" if it is none."""
    modes = graph.once(cells_of).modes

    def passes(made: Operation) -> bool:
        return made.kind in TRANSPARENT - {"norm"} or made.kind in ("gate", "pointwise")

    met = backward(graph, [value], passes, nearest=True) if modes else ()
    return next((modes[operation.index] for operation in met if operation.index in modes), "")


def _names(operation: Operation) -> Names:
    return tuple(use.parameter for use in operation.uses if use.slot == "weight" and use.layout is not None)


# ---------------------------------------------------------------------- which they are
def _recurrent(graph: Analysis) -> Uses:
    """The last uses of each recurrent weight that are reached from one before."""
    uses: dict[Names, list[Operation]] = {}
    for operation in graph.operations:
        if operation.kind in WEIGHTED - {"recurrent"} and operation.inputs and (names := _names(operation)):
            uses.setdefault(names, []).append(operation)
    several = {names: found[-_RECENT:] for names, found in uses.items() if len(found) > 1}
    direct = {names: _reached(graph, found, set()) for names, found in several.items()}
    direct = {names: found for names, found in direct.items() if found}
    states = {graph.plain(operation.inputs[0]) for found in direct.values() for operation in found}
    through = {o.index for names in direct for o in uses[names]}
    for names, found in several.items():  # those whose outputs come back through another one, as a reset gate's do
        reads = [operation for operation in found if graph.plain(operation.inputs[0]) in states]
        if names not in direct and len(reads) > 1 and (back := _reached(graph, reads, through)):
            direct[names] = back
    return direct


def _reached(graph: Analysis, uses: list[Operation], through: Collection[int]) -> list[Operation]:
    last = uses[-1].index

    def passes(made: Operation) -> bool:
        return made.index < last and (made.kind not in _MIXING or made.index in through)

    own = {operation.index for operation in uses[1:]}
    met = {o.index for one in uses[:-1] for o in forward(graph, one.outputs, passes) if one.index < o.index}
    return [operation for operation in uses if operation.index in own & met]


def _joined(graph: Analysis, recurrent: Uses) -> Iterator[Uses]:
    """Weights of one cell: what they give meets before another weight reads it."""
    rest = dict(recurrent)
    while rest:
        name, uses = rest.popitem()
        cell, waiting = {name: uses}, [uses]
        while waiting:
            met = (forward(graph, one.outputs, lambda o: o.kind not in _MIXING) for one in waiting.pop())
            ahead = {operation.index for way in met for operation in way}
            for other in [other for other, found in rest.items() if not ahead.isdisjoint(o.index for o in found)]:
                waiting.append(rest[other])
                cell[other] = rest.pop(other)
        yield cell


# ---------------------------------------------------------------------- one cell
def _cell(graph: Analysis, cell: Uses) -> dict[str, Member]:
    """The parts of one; {} if what its weights give neither goes through gates nor meets what comes in."""
    ways = [(operation, _way(graph, operation.outputs[0])) for uses in cell.values() for operation in uses]
    kinds = {end.product.index: kind for operation, way in ways for end in way.ends if end.product is not None
             and (kind := _gate(graph, operation, end, ways))}  # fmt: skip
    own = [operation for names in cell for operation, _ in graph.uses_of(names[0])]
    old = descendants(graph, [value for operation in own for value in operation.outputs])
    inputs: dict[Names, list[Operation]] = {}
    for value in (value for _, way in ways for value in way.added if kinds or value not in old):
        for made in weights_before(graph, value):
            if made.kind != "lookup" and _names(made) not in cell:
                inputs.setdefault(_names(made), []).append(made)
    ends = [end for _, way in ways for end in way.ends]
    mode: Mode = "lstm" if {"forget", "open"} & {*kinds.values()} else "gru"
    if not kinds:
        if not inputs and not any(_beside(graph, operation) for operation, _ in ways):
            return {}
        mode = "rnn_relu" if any(_is_relu(graph, end.function) for end in ends) else "rnn_tanh"
    forget = frozenset(index for index, kind in kinds.items() if kind == "forget")
    sizes = {end.units[1] for end in ends if end.units}
    width = min(sizes or {_inputs(graph, uses[0]) for uses in cell.values()})
    found = _Found(graph, mode, max(width, 1), forget)
    for role, weights in (("recurrent_input", inputs), ("recurrent", cell)):
        for names, uses in weights.items():
            if names:
                found.add(uses[-1], role)
    return found.parts


class _Found:
    """Parts of a cell, weight by weight."""

    def __init__(self, graph: Analysis, mode: Mode, width: int, forget: Collection[int]) -> None:
        """`width`: of the state. `forget`: products with its memory."""
        self.graph, self.mode, self.width, self.forget = graph, mode, width, forget
        self.parts: dict[str, Member] = {}
        self.biased: set[int] = set()  # functions of sums with a bias

    def add(self, operation: Operation, role: str) -> None:
        """A weight, and the biases added to what it gives."""
        way, uses = _way(self.graph, operation.outputs[0]), operation.uses
        self._parts([use for use in uses if use.slot == "weight"], role, way)
        shifts = [(shift.uses, _way(self.graph, shift.outputs[0])) for shift in way.shifts]
        for added, behind in (([use for use in uses if use.slot == "bias"], way), *shifts):
            new = [use for use in added if use.parameter not in self.parts]
            functions = {end.function.index for end in behind.ends if end.function is not None}
            second = role == "recurrent" and functions & self.biased
            if new:
                self._parts(new, "recurrent_bias" if second else "recurrent_bias_input", behind)
                self.biased |= functions

    def _parts(self, uses: Sequence[Use], role: str, way: _Way) -> None:
        places = _pieces(uses)
        for use in uses:
            name = use.parameter
            whole, own = self.graph.shape_of(use), self.graph.parameters[name].shape
            bias = role in ("recurrent_bias", "recurrent_bias_input")
            outputs = math.prod(whole) if bias or use.layout is None else use.layout.size(whole, "o")
            count = max(outputs // self.width, 1)
            marked = {0 if end.units is None else end.units[0] // self.width for end in way.ends
                      if end.product is not None and end.product.index in self.forget
                      and (count == 1 if end.units is None else True)}  # fmt: skip
            gates = tuple("forget" if place in marked else "" for place in range(count))
            if name in places:
                count //= len(places)
                gates = gates[places[name] * count : (places[name] + 1) * count]
            shape = own if use.computed is None or name in places else whole
            self.parts[name] = Member(role, self.mode, count, gates, shape, name in places)


def _way(graph: Analysis, value: int) -> _Way:
    ends, added, shifts = list[_End](), list[int](), list[Operation]()
    waiting: list[tuple[int, Operation | None]] = [(value, None)]
    held = held_parts(graph, [value], lambda o: o.kind in TRANSPARENT - {"concat"} | {"pointwise", "gate"})
    seen = {value}
    while waiting:
        start, function = waiting.pop()
        units = held.get(start)
        for reader in graph.consumers.get(start, ()):
            if reader.kind == "pointwise" and not graph.is_linear(reader):
                ends.append(_End(units, reader))
            elif reader.kind == "gate" and reader.arithmetic == "product":
                ends.append(_End(units, function, reader))
            elif function is not None and reader.kind not in ("split", "move", "pointwise"):
                continue
            elif reader.kind == "add":
                added += [given for given in reader.inputs if given != start]
            elif reader.kind == "shift":
                shifts.append(reader)
            elif reader.kind not in TRANSPARENT - {"concat"} and reader.kind != "pointwise":
                continue
            if reader.kind == "gate" and function is not None:
                continue
            passed = reader if reader.kind == "pointwise" and not graph.is_linear(reader) else function
            waiting += [(output, passed) for output in reader.outputs if output not in seen]
            seen.update(reader.outputs)
    return _Way(tuple(ends), tuple(added), tuple(shifts))


def _gate(graph: Analysis, operation: Operation, end: _End, ways: Sequence[tuple[Operation, _Way]]) -> str:
    """What a product does with a part of what a recurrent weight gives: "forget", "open" (it forgets little at first),
    "gate", or "" if it is none."""
    assert end.product is not None
    if end.function is None or end.function.function is None or len(end.product.inputs) != 2:
        return ""
    low, middle, high = np.asarray(end.function.function(np.array([-50.0, 0.0, 50.0])), np.float64)
    if not (abs(min(low, high)) < _NEAR and abs(max(low, high) - 1) < _NEAR):
        return ""
    other = next((v for v in end.product.inputs if v not in end.function.outputs), end.product.inputs[0])
    state = graph.plain(operation.inputs[0])
    new = descendants(graph, [state, *operation.inputs])
    held = graph.plain(other)
    earlier = [o for o, _ in ways if o.index < operation.index and not {*o.outputs} <= new]
    old = descendants(graph, [value for o in earlier for value in o.outputs])
    summed = any(reader.kind == "add" for value in end.product.outputs for reader in graph.consumers.get(value, ()))
    if held in new or held == state or held not in old or not summed:
        return "gate"
    return "" if low > high else "open" if middle > _OPEN else "forget"


def _beside(graph: Analysis, operation: Operation) -> bool:
    """Whether the state comes to a weight beside something else, put one after the other."""
    made = graph.source(operation)
    return made is not None and made.kind == "concat" and len(made.inputs) > 1


def _is_relu(graph: Analysis, step: Operation | None) -> bool:
    named = None if step is None else graph.named(step)
    return named is not None and named[0] == "relu"


# ---------------------------------------------------------------------- sizes
def _inputs(graph: Analysis, operation: Operation) -> int:
    use = next(use for use in operation.uses if use.slot == "weight" and use.layout is not None)
    return graph.size_of(use, "i")


def _pieces(uses: Sequence[Use]) -> dict[str, int]:
    """Parameter -> its place, where several of one shape are put one after the other to be computed with as one."""
    computed = uses[0].computed if len(uses) > 1 else None
    if (
        computed is None
        or {use.parameter for use in uses} != {*computed.shapes}
        or len({*computed.shapes.values()}) > 1
    ):
        return {}
    given = {name: place + _MARK for place, name in enumerate(computed.shapes)}
    made = computed.function.values({name: np.full(computed.shapes[name], mark) for name, mark in given.items()})
    if made is UNKNOWN:
        return {}
    (shape, *others), found = set(computed.shapes.values()), np.asarray(made)
    while found.ndim > len(shape) and np.ptp(found, axis=0).max(initial=0) == 0:
        found = found[0]  # a row for each sample
    long = [axis for axis, (one, all_of) in enumerate(zip(shape, found.shape, strict=False)) if one != all_of]
    if others or found.ndim != len(shape) or len(long) != 1:
        return {}
    rows = np.moveaxis(found, long[0], 0).reshape(len(uses), -1)
    order = {mark: place for place, mark in enumerate(rows[:, 0])} if np.ptp(rows, axis=1).max() == 0 else {}
    return {name: order[mark] for name, mark in given.items()} if order.keys() == {*given.values()} else {}
