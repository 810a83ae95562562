"""A model as a list of equations, for frameworks whose arrays are never written into: values by their numbers.

An equation's index says which it is, however often the program runs; effects change what is known of a value.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from wellbegun.graph import ModelGraph, facts
from wellbegun.graph.build import Builder
from wellbegun.graph.facts import Array, Contraction, Convolution, Fact
from wellbegun.graph.function import Function, Number, Root, Scalar
from wellbegun.graph.model import Entries
from wellbegun.graph.provenance import Known as Provenance
from wellbegun.graph.provenance import Operand as Provided
from wellbegun.graph.provenance import Reader, Signal

SHORT = 16  # steps of a loop that is written out whole whatever it runs over
FIRST = 4  # steps of a longer one that are; they show what all of them do


class Value(NamedTuple):
    """One value: its number, its array as the builder of graphs sees it, and its dtype."""

    number: int
    array: Array
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes."""
        return self.array.shape


Operand = Value | Any  # a value, or a literal number
Known = Mapping[int, Any]  # arrays by the numbers of values


@dataclass(frozen=True)
class Equation:
    """One primitive, what it reads and what it makes."""

    index: int
    name: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    scopes: tuple[str, ...]  # what it runs in, outermost first
    params: Mapping[str, Any]
    last: int  # the last equation of it: of a call with derivatives of its own, which is opened too
    compute: Callable[[Sequence[Any]], Sequence[Any]]

    def values(self, known: Known) -> dict[int, Any]:
        """What it gives, by the numbers of values, where others are known."""
        made = self.compute([read(known, operand) for operand in self.inputs])
        return {value.number: array for value, array in zip(self.outputs, made, strict=True)}


@dataclass(frozen=True)
class Program:
    """Equations in order, the values they start from, those they give, and constants by their number."""

    equations: tuple[Equation, ...]
    calls: Mapping[int, Equation]  # calls with derivatives of their own, by the index of their first equation
    inputs: tuple[Value, ...]
    outputs: tuple[Operand, ...]
    constants: Known
    signals: frozenset[int]  # numbers of the values that depend on the batch
    stops: frozenset[int] = frozenset()  # equations that no gradient comes back through
    held: frozenset[int] = frozenset()  # of these, those that do nothing else

    def run(self, given: Known, added: Mapping[int, tuple[Value, Any]]) -> dict[int, Any]:
        """All values, from those of the inputs. `added`: equation -> what is added to a value that it gives. Calls with
        derivatives of their own are not opened unless something is added within."""
        known, at = {**self.constants, **given}, 0
        while at < len(self.equations):
            call, equation = self.calls.get(at), self.equations[at]
            if call is not None and not any(place in added for place in range(at, call.last + 1)):
                equation = call
            known.update(equation.values(known))
            if at in added:
                value, array = added[at]
                known[value.number] = known[value.number] + array
            at = equation.last + 1
        return known

    @property
    def frozen(self) -> frozenset[int]:
        """Numbers of values that are read only to stop their gradients: they are meant to stay."""
        read: dict[bool, set[int]] = {True: set(), False: {value.number for value in values_in(self.outputs)}}
        for equation in self.equations:
            read[equation.index in self.held].update(value.number for value in values_in(equation.inputs))
        return frozenset(read[True] - read[False])

    def leading(self, wanted: Sequence[Operand], *, stopped: bool = True) -> frozenset[int]:
        """Numbers of the values that gradients of some come back to, these included; of all that they are made of, if
        these are not `stopped` where gradients are."""
        found = {value.number for value in values_in(wanted)}
        for equation in reversed(self.equations):
            here = any(value.number in found for value in values_in(equation.outputs))
            if here and not (stopped and equation.index in self.stops):
                found.update(value.number for value in values_in(equation.inputs))
        return frozenset(found)


def read(known: Known, operand: Operand) -> Any:
    """The array that an operand stands for."""
    return known[operand.number] if isinstance(operand, Value) else operand


def values_in(operands: Sequence[Operand]) -> Iterator[Value]:
    """The values among operands."""
    return (operand for operand in operands if isinstance(operand, Value))


def elementwise(
    equation: Equation, function: Function, combines: Mapping[str, facts.Combined], casts: Collection[str]
) -> facts.Elementwise:
    """The fact of an elementwise operation. `combines`: how its inputs meet, by its name; `casts`: names of those that
    keep the entries."""
    how, arithmetic = combines.get(equation.name, ("", ""))
    chooses = how == "select" and isinstance(equation.inputs[0], Value)
    entries: Entries = "same" if equation.name in casts else ""
    return facts.Elementwise(function, how, arithmetic, mask=0 if chooses else None, entries=entries)


def nodes_of(inputs: Sequence[Operand]) -> list[Function]:
    """A root for each value, counted from 0, and numbers for literals."""
    roots = (Root(str(place)) for place in range(len(inputs)))
    return [next(roots) if isinstance(operand, Value) else Number(number_of(operand)) for operand in inputs]


def number_of(literal: Any) -> Scalar:
    """What a literal is."""
    found: Scalar = np.asarray(literal).item()
    return found


@dataclass(frozen=True)
class Step:
    """One or several equations that do one thing. `fact`: where it is not for the first equation to tell. `layer`:
    whether they are a layer of the framework's, whose first input is what comes in, and whose second its weight."""

    name: str
    scope: str
    equations: tuple[Equation, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Value, ...]
    fact: Fact | None = None
    layer: bool = False

    @property
    def last(self) -> int:
        """The index of the equation after which its outputs are known."""
        return self.equations[-1].index


class Asked(NamedTuple):
    """A step that works on parameters and constants alone: `computed` is how an equation makes what it gives, `moves`
    are names of those that give a literal again."""

    step: Step
    computed: Callable[[Equation], Function]
    moves: Collection[str]

    @property
    def _single(self) -> bool:
        return len(self.step.equations) == 1 == len(self.step.outputs) and self.step.fact is None

    def function(self, position: int) -> Function | None:  # noqa: ARG002 - as the protocol has it
        """The operation itself."""
        return self.computed(self.step.equations[0]) if self._single else None

    def number(self, position: int) -> Scalar | None:  # noqa: ARG002 - as the protocol has it
        """A literal that is moved or spread out."""
        equation = self.step.equations[0]
        moved = self._single and equation.name in self.moves and equation.inputs
        return number_of(equation.inputs[0]) if moved and not isinstance(equation.inputs[0], Value) else None


class Shown(NamedTuple):
    """An operation of the graph: the equation after which it is known, and what it reads and makes."""

    operation: int
    last: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def recorded(
    builder: Builder, steps: Iterable[tuple[Step, Fact, Reader]], known: dict[int, Provenance]
) -> Iterator[Shown]:
    """Tell a builder all steps; those that are operations of its graph. `known`: what is known of each value, by its
    number; it is filled on the way."""
    for step, fact, reader in steps:
        builder.scope, values = step.scope, tuple(values_in(step.inputs))
        operands = [Provided(known[value.number], value.array) for value in values]
        if step.layer and isinstance(fact, (Contraction, Convolution)) and not isinstance(operands[0].known, Signal):
            signal = builder.stand_in(operands[0].known, operands[0].array)  # learned queries, a grid
            operands[0] = operands[0]._replace(known=signal)
        made = [value.array for value in step.outputs]
        record = builder.record(fact, operands, made, name=step.name, reader=reader)
        known.update((value.number, found) for value, found in zip(step.outputs, record.known, strict=True))
        if record.operation is not None:
            inputs = tuple(dict.fromkeys(values[place] for place in record.read))
            yield Shown(record.operation.index, step.last, inputs, step.outputs)


@dataclass(frozen=True)
class Traced:
    """A graph beside the program that it was read from."""

    graph: ModelGraph
    program: Program
    shown: tuple[Shown, ...]
    values: Mapping[int, int]  # number of a value in the program -> in the graph
    parameters: Mapping[str, Value]  # by their first names
    start: Known  # what the program starts from
    returned: Callable[[Known], Any]  # what the model returns, where all values are known
    made: tuple[str, ...]  # inputs that were made up, in words
    beside: Mapping[str, Any] = field(default_factory=dict)  # what the batch holds that the model does not take
    targets: Mapping[str, Value] = field(default_factory=dict)  # what it takes that is called as targets are

    def unread(self) -> Mapping[int, Sequence[int]]:
        """Equation -> the numbers of values that depend on the batch and that nothing reads or shows after it."""
        read = [(equation.index, (*equation.inputs, *equation.outputs)) for equation in self.program.equations]
        last: dict[int, int] = {}
        for index, operands in (*read, *((shown.last, (*shown.inputs, *shown.outputs)) for shown in self.shown)):
            last.update((value.number, max(index, last.get(value.number, 0))) for value in values_in(operands))
        kept = {value.number for value in values_in(self.program.outputs)}
        found: dict[int, list[int]] = {}
        for number in last.keys() & self.program.signals - kept:
            found.setdefault(last[number], []).append(number)
        return found
