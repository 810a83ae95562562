"""The builder of a graph: front ends tell it facts about operations, one by one, and what they read; it finds the rest.

What an array is to the model is `Known`: a `Signal` depends on the batch, `Derived` is made of parameters, `Fixed` is
neither. The builder gives it, and a front end keeps it beside its own array (by identity, or by variable) and hands it
back as an `Operand` where the array is read. The builder sees shapes and strides, never an array.

It owns what is the same in every framework: functions of one value, normalizations written by hand, provenance of
parameters through views and copies, weights computed from parameters, experts picked by the batch, which axis holds the
units, and notes on what is not understood.

A front end that reads equations (a jaxpr) feeds them in order, bodies of calls (pjit, remat, custom_jvp, ...) inlined:

- dot_general: `Contraction(labels, output)`: a letter for each axis. A contracted axis has one letter in both factors
  that the output lacks, a batch axis one that all three have.
- conv_general_dilated: `Convolution(letters, axis, ...)`: the layout of the kernel from `rhs_spec` ("kkio"), the axis
  of channels from `out_spec`; transposed where the input is dilated. Operands: input, kernel.
- gather of slices (an embedding): `Gather((axis,), rank=axes of the index)`, operands table and index; other gathers:
  `Move("picked")`.
- elementwise primitives: `Elementwise(tree over Root("0"), ...)`, with `combines` and `arithmetic`. Literals are
  `Number`s in the tree and no operands; integer_pow is a "power" with a number, select_n a "where" with
  combines="select" and mask=0, convert_element_type a "cast".
- reduce_sum, reduce_max: `Reduce("sum")`, `Reduce("extremum")`; argmax and top_k with `selects`.
- broadcast_in_dim, transpose, slice: `Move` with `axes`; reshape: `Move("same", view=True, reshapes=True)`, whose axes
  the builder tells from the two shapes.
- custom_jvp bodies: inlined, so that an activation is one function of one value whatever it is made of. A softmax is
  one `Softmax`, as its parts would look like a normalization.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from wellbegun.graph import axes
from wellbegun.graph.axes import Derived
from wellbegun.graph.facts import Array, Attention, Contraction, Elementwise, Fact, Gather, Move, Recurrent, Reduce
from wellbegun.graph.function import EVERYTHING, ROOT, Call, Function, Number, Root
from wellbegun.graph.guards import answered, finite_notes
from wellbegun.graph.inference import doubt_notes
from wellbegun.graph.meaning import bounds, fields_of, kind_of, over_units, regrouped, unit_axis, usual_axis
from wellbegun.graph.model import WEIGHTED, Kind, ModelGraph, Operation, Parameter, Slot, Use
from wellbegun.graph.notes import opaque_notes
from wellbegun.graph.picked import as_weights, one_each, routed
from wellbegun.graph.provenance import (
    Fixed,
    Known,
    Operand,
    Reader,
    Signal,
    Step,
    constant_from,
    derived_from,
    derived_of,
    moved,
    signals_of,
)  # fmt: skip
from wellbegun.graph.units import Held
from wellbegun.graph.uses import Weighted, other_uses, recurrent_uses, weight_uses

Statistic = tuple[frozenset[int], frozenset[int], frozenset[int]]  # as in Signal: statistic_of, makers, normed
_NO_STATISTIC: Statistic = (frozenset(), frozenset(), frozenset())


class Record(NamedTuple):
    """What an operation gave."""

    known: tuple[Known, ...]  # of its outputs
    operation: Operation | None = None  # None: it works on parameters and constants only
    read: tuple[int, ...] = ()  # operands that depend on the batch


class _Found(NamedTuple):
    """What an operation on the batch's values is found to be."""

    kind: Kind
    uses: tuple[Use, ...] = ()
    root: int | None = None
    function: Function | None = None


class Builder:
    """Writes down operations, and what is known of arrays."""

    def __init__(self, parameters: Mapping[str, Parameter], *, channels_last: bool = False) -> None:
        """`channels_last`: where units are in values of more than three axes that nothing else tells of."""
        self.parameters = parameters
        self.operations: list[Operation] = []
        self.sections: dict[str, int] = {}  # weights that hold several matrices, told by a layer
        self.scope = ""  # path of the module that is running
        self.derivative = False  # whether what is running takes one
        self._last = channels_last
        self._axes: dict[int, int | None] = {}  # value -> axis of its units
        self._held = Held()
        self._domains: dict[int, tuple[float, float]] = {}  # value -> bounds of its entries, where they are known
        self._integers: set[int] = set()  # operations whose outputs hold no real or complex numbers
        self._makers: dict[int, int] = {}  # value -> index of the operation that made it
        self._functions: dict[Any, Function] = {}  # made before, of the same parts
        self._asked: list[Operation] = []  # where a path depends on whether values are finite
        self._values = 0
        self.doubts: dict[str, str] = {}  # what could not be told, and why

    # ------------------------------------------------------------------ what comes in
    def batch(self, array: Array) -> Signal:
        """A new value that depends on the batch."""
        value = self._new(usual_axis(array.rank, last=self._last))
        return Signal(value, value)

    def parameter(self, name: str, array: Array) -> Derived:
        """A parameter, or an array that a module computes as one."""
        return axes.of_parameter(name, array)

    def stand_in(self, known: Known, array: Array, slot: Slot = "token") -> Signal:
        """An array that depends on no batch as a signal: parameters that stand for themselves, or constants."""
        names = sorted(known.names) if isinstance(known, Derived) else []
        signal = self.batch(array)
        what, uses = "parameter" if names else "constant", tuple(Use(name, slot) for name in names)
        index, axis = len(self.operations), self._axes[signal.value]
        self.operations.append(Operation(index, "move", what, self.scope, (), (signal.value,), uses, axis=axis))
        return signal

    def mixed(self, signals: Sequence[Signal], derived: Sequence[Derived], array: Array) -> Record:
        """An array some of whose memory was written to through another one, by what depends on the batch."""
        names = sorted(frozenset[str]().union(*(known.names for known in derived)))
        found, axis = _Found("move", tuple(Use(name, "token") for name in names)), self._axes[signals[0].value]
        return self._append(found, Move("written"), "alias", list(signals), [(array, axis)])

    def _new(self, axis: int | None) -> int:
        self._values += 1
        self._axes[self._values] = axis
        return self._values

    # ------------------------------------------------------------------ operations
    def record(
        self,
        fact: Fact,
        operands: Sequence[Operand],
        outputs: Sequence[Array],
        *,
        name: str,
        reader: Reader | None = None,
        overwrites: int | None = None,
    ) -> Record:
        """One operation, and what is known of its outputs.

        Args:
            fact: What it does.
            operands: The arrays that it reads, in order.
            outputs: What it gives.
            name: What the framework calls it: for people.
            reader: Tells more where it works on parameters and constants only.
            overwrites: The operand whose memory the first output is written into; -1: memory that is no operand.
        """
        given = list(operands)
        if isinstance(fact, Recurrent) or any(isinstance(known, Signal) for known, _ in given):
            return self._compute(fact, given, outputs, name, overwrites)
        made = derived_from if derived_of(given) else constant_from
        own = Step(fact, given, reader, in_place=overwrites is not None)
        return Record(tuple([made(own, output, position) for position, output in enumerate(outputs)]))

    def answer(self, signal: Signal) -> bool | None:
        """What a truth value is, if it is whether others are finite, which the graph then says was asked; or None."""
        found = answered(signal.value, self.maker)
        if found is None:
            return None
        self._asked.append(found[1])
        return found[0]

    def maker(self, value: int) -> Operation | None:
        """The operation that made a value; None for the batch."""
        index = self._makers.get(value)
        return None if index is None else self.operations[index]

    def graph(self, outputs: Iterable[Known]) -> ModelGraph:
        """What has been recorded, given what the model returned."""
        given = list(outputs)
        values = tuple(known.value for known in given if isinstance(known, Signal))
        returned = frozenset[str]().union(*(known.names for known in given if isinstance(known, Derived)))
        notes = (*opaque_notes(self.operations, self._integers), *finite_notes(self._asked), *doubt_notes(self.doubts))
        return ModelGraph(tuple(self.operations), self.parameters, values, notes, returned)

    # ------------------------------------------------------------------ operations on the batch's values
    def _compute(
        self, fact: Fact, operands: list[Operand], outputs: Sequence[Array], name: str, overwrites: int | None
    ) -> Record:
        special = any(isinstance(known, Derived) or getattr(known, "picked", None) for known, _ in operands)
        weights = None
        if special:  # most operations meet no parameter
            if isinstance(fact, Attention | Contraction):
                operands = [self._standing(fact, operand, place) for place, operand in enumerate(operands)]
            settled = as_weights(operands)
            weights = weight_uses(fact, settled, self.sections)
            if weights is not None and settled is not operands:
                self._settle(operands, settled)
                operands = settled
        signals = signals_of(operands)
        found = self._found(fact, operands, signals, weights, special=special)
        if found.kind == "add" and special and (picked := self._picked_biases(operands)):
            signals = [signal for signal in signals if signal.picked is None]
            found = found._replace(kind="shift", uses=(*found.uses, *picked))
        elif found.kind == "shift" and found.uses:
            found = found._replace(uses=tuple(self._added(use, signals[0]) for use in found.uses))
        read = [place for place, (known, _) in enumerate(operands) if isinstance(known, Signal)]
        first = operands[read[0]] if read else None
        units = [(output, self._units(fact, found.kind, output, first)) for output in outputs]
        over = None if overwrites is None else _overwritten(overwrites, operands, signals)
        statistic = self._statistics(fact, found, signals)
        record = self._append(found, fact, name, signals, units, operands, statistic, over)
        known = record.known
        if special and len(outputs) == 1:
            known = (self._keep_picked(fact, operands, outputs[0], known[0]),)
        return Record(known, record.operation, tuple(read))

    def _found(
        self, fact: Fact, operands: list[Operand], signals: list[Signal], weights: Weighted | None, *, special: bool
    ) -> _Found:
        if weights is not None:
            return _Found(*weights)
        if isinstance(fact, Recurrent):
            return _Found("recurrent", recurrent_uses(fact, operands))
        if isinstance(fact, Elementwise):
            found = self._elementwise(fact, operands, signals)
        else:
            found = _Found(kind_of(fact, several=len({signal.root for signal in signals}) > 1))
        return found._replace(uses=found.uses + other_uses(fact, operands, found.kind)) if special else found

    def _append(
        self,
        found: _Found,
        fact: Fact,
        name: str,
        signals: list[Signal],
        outputs: Sequence[tuple[Array, int | None]],
        operands: Sequence[Operand] = (),
        statistic: Statistic = _NO_STATISTIC,
        overwrites: int | None = None,
    ) -> Record:
        """Write an operation down. `outputs` with the axis of their units."""
        read = tuple([signal.value for signal in signals])
        values = tuple([self._new(axis) for _, axis in outputs])
        cuts = self._held.follow(fact, operands, outputs, values, weighted=found.kind in (*WEIGHTED, "lookup"))
        known: list[Known] = []
        for position, value in enumerate(values):
            if found.function is None:
                limits = bounds(fact, [self._domains.get(one, EVERYTHING) for one in read] if self._domains else ())
                own: Function = ROOT if limits is EVERYTHING else Root(ROOT.name, bounds=limits)
            else:
                own, limits = _output(found.function, position), found.function.domain
            known.append(Signal(value, value if found.root is None else found.root, own, *statistic))
            if limits is not EVERYTHING:
                self._domains[value] = limits
        index, placed = len(self.operations), [self._axes.get(getattr(known, "value", -1)) for known, _ in operands]
        operation = Operation(
            index, found.kind, name, self.scope, read, values, found.uses, found.root, found.function,
            axis=outputs[0][1] if outputs else None, overwrites=overwrites, cuts=cuts,
            derivative=self.derivative,
            **fields_of(fact, found.kind, operands, outputs),
            **(over_units(fact, operands, placed) if len(read) == 2 else regrouped(fact, operands, outputs, placed)),
        )  # fmt: skip
        if all(array.numbers == "integer" for array, _ in outputs):
            self._integers.add(index)
        self._makers.update(dict.fromkeys(values, index))
        self.operations.append(operation)
        return Record(tuple(known), operation)

    def _elementwise(self, fact: Elementwise, operands: list[Operand], signals: list[Signal]) -> _Found:
        """A function of one value, or a combination of several things."""
        roots = {signal.root for signal in signals}
        others = [known for known, _ in operands if not isinstance(known, Signal)]
        if len(roots) > 1:
            chosen = [known for place, (known, _) in enumerate(operands) if place != fact.mask and known in signals]
            masked = fact.mask is not None and len(chosen) == 1  # by what the batch says
            return _Found("move") if masked else self._combine(fact, signals)
        if fact.mask is not None and isinstance(operands[fact.mask].known, Fixed):
            return _Found("move")  # what a mask of constants hides is no function of the value
        numbers = all(isinstance(other, Fixed) and other.number is not None for other in others)
        if fact.slope is not None or numbers:
            return _Found("pointwise", (), roots.pop(), self._function(fact.function, operands))
        kinds: dict[str, Kind] = {"sum": "shift", "product": "scale", "bound": "move", "select": "move"}
        return _Found(kinds.get(fact.combines, "opaque"))

    def _function(self, tree: Function, operands: list[Operand]) -> Function:
        """A function of one value, the same object for the same function of the same function."""
        given: dict[str, Function] = {}
        for position, (known, _) in enumerate(operands):
            if isinstance(known, Signal):
                given[str(position)] = known.function
            elif isinstance(known, Fixed) and known.number is not None:
                given[str(position)] = Number(known.number)
        key = tree.digest, tuple((name, part.digest, part.domain) for name, part in given.items())
        if key not in self._functions:
            self._functions[key] = tree.substitute(given)
        return self._functions[key]

    def _combine(self, fact: Elementwise, signals: list[Signal]) -> _Found:
        """Two or more values: a normalization by hand if one is a statistic of the other, else a sum or a gate."""
        for signal in signals:
            others = (other for other in signals if other.root != signal.root)
            if signal.statistic_of & frozenset().union(*({other.root} | other.normed for other in others)):
                return _Found("norm", tuple(use for index in sorted(signal.makers) for use in self._statistic(index)))
        return _Found("add" if fact.combines == "sum" else "gate")

    def _statistic(self, index: int) -> tuple[Use, ...]:
        """Say that an operation is part of a normalization by hand: the parameters that scale it there."""
        operation = self.operations[index]
        others = tuple(use for use in operation.uses if use.slot != "scale")
        self.operations[index] = replace(operation, kind="statistic", uses=others)
        return tuple(replace(use, slot="norm_scale") for use in operation.uses if use.slot == "scale")

    def _statistics(self, fact: Fact, found: _Found, signals: list[Signal]) -> Statistic:
        """Roots whose statistics an output carries, and the operations that took them."""
        if not signals:
            return _NO_STATISTIC
        kind, one, own = found.kind, signals[0], frozenset({len(self.operations)})
        if isinstance(fact, Reduce) and fact.statistic and len(signals) == 1:
            return one.statistic_of | {one.root} | one.normed, one.makers | own, frozenset()
        if kind in {"pointwise", "move", "scale", "shift"} and len({signal.root for signal in signals}) == 1:
            scaled = (
                kind == "scale" and found.uses and one.statistic_of
            )  # its parameter may be that of the normalization
            return one.statistic_of, one.makers | own if scaled else one.makers, one.normed
        if kind == "norm":
            return frozenset(), frozenset(), frozenset().union(*({s.root} | s.normed for s in signals))
        common = frozenset[int]()
        if kind in {"add", "gate"}:  # as the mean of squares less the square of the mean
            common = frozenset.intersection(*(signal.statistic_of for signal in signals))
        return (common, own.union(*(signal.makers for signal in signals)), frozenset()) if common else _NO_STATISTIC

    def _units(self, fact: Fact, kind: Kind, output: Array, first: Operand | None) -> int | None:
        known, given = (None, None) if first is None else first
        axis = self._axes.get(known.value) if isinstance(known, Signal) else None
        if isinstance(known, Signal) and (told := self._held.axis(fact, known.value, output)) is not None:
            return told
        return unit_axis(fact, kind, output, given, axis, last=self._last)

    # ------------------------------------------------------------------ parameters in unusual places
    def _standing(self, fact: Fact, operand: Operand, place: int) -> Operand:
        """Parameters that stand for a signal: queries of their own, tables of relative positions in a product."""
        known = operand.known
        if isinstance(known, Derived) and isinstance(fact, Attention) and place < 3:
            return operand._replace(known=self.stand_in(known, operand.array))
        if isinstance(known, Derived) and known.gathered and isinstance(fact, Contraction) and len(fact.labels) == 2:
            return operand._replace(known=self.stand_in(known, operand.array, "shift"))
        return operand

    def _settle(self, operands: list[Operand], settled: list[Operand]) -> None:
        """What was picked has turned out to be weights, so picking it was no lookup."""
        for (before, _), (after, _) in zip(operands, settled, strict=True):
            if isinstance(before, Signal) and after is not before:
                self._no_lookup(before)

    def _no_lookup(self, signal: Signal) -> None:
        lookup = self.operations[signal.lookup]
        self.operations[signal.lookup] = replace(lookup, kind="move", uses=(), entries="picked")

    def _picked_biases(self, operands: list[Operand]) -> tuple[Use, ...]:
        """Rows of a parameter picked by what a weight gave (a router), and added: biases of experts."""
        signals = signals_of(operands)
        picked = [signal for signal in signals if signal.picked is not None and len(signal.picked.shape) == 2]
        if len(picked) != 1 or len(signals) != 2 or not routed(self.operations[picked[0].lookup], self.maker):
            return ()
        self._no_lookup(picked[0])
        names = picked[0].picked.names if picked[0].picked is not None else ()
        return tuple(Use(name, "bias") for name in sorted(names))

    def _added(self, use: Use, signal: Signal) -> Use:
        """A parameter that is added: one row for each expert, if a weight with as many gave what it is added to."""
        return replace(use, slot="bias") if one_each(use, signal, self.parameters, self.maker) else use

    def _keep_picked(self, fact: Fact, operands: list[Operand], output: Array, signal: Known) -> Known:
        """Follow slices that the batch picked through views and copies."""
        source = operands[0].known if operands else None
        if isinstance(signal, Signal) and isinstance(fact, Gather) and fact.rank is not None:
            if isinstance(source, Derived) and not fact.layer:
                picked = axes.pick(source, output, fact.axes[0], fact.rank)
                return signal._replace(picked=picked, lookup=len(self.operations) - 1)
            return signal
        if not isinstance(signal, Signal) or not isinstance(source, Signal) or source.picked is None:
            return signal
        picked_by = moved(fact, source.picked, output)
        return signal if picked_by is None else signal._replace(picked=picked_by, lookup=source.lookup)


def _output(function: Function, position: int) -> Function:
    """Of an operation with several outputs, one: only the first is the function."""
    return function if position == 0 else Call(f"output {position}", (function,))


def _overwritten(position: int | None, operands: list[Operand], signals: list[Signal]) -> int | None:
    """As in `Operation`: the place of an operand among the values that are read."""
    if position is None or position < 0:
        return position
    known = operands[position].known
    return signals.index(known) if isinstance(known, Signal) and known in signals else -1
