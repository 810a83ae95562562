"""What is known of an array while a model runs: it depends on the batch, is made of parameters, or is a constant."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from wellbegun._typing import Array as Values
from wellbegun.graph import axes
from wellbegun.graph.axes import Derived
from wellbegun.graph.facts import Array, Elementwise, Fact, Gather, Move, Split
from wellbegun.graph.function import ROOT, UNKNOWN, Function, Number, Pending, Root, Scalar, call
from wellbegun.graph.model import KEPT


class Signal(NamedTuple):
    """A value that depends on the batch."""

    value: int
    root: int  # the value it is an elementwise function of: itself, if it is no function of another
    function: Function = ROOT
    statistic_of: frozenset[int] = frozenset()  # roots whose mean or variance went into it
    makers: frozenset[int] = frozenset()  # the operations that computed those statistics
    normed: frozenset[int] = frozenset()  # roots that it is a normalized version of
    picked: Derived | None = None  # slices of a parameter chosen by the batch, until it is seen what they are for
    lookup: int = -1  # the operation that picked them


@dataclass(frozen=True)
class Fixed:
    """A value that depends neither on the batch nor on parameters; `number` if all its entries are known and equal."""

    number: Scalar | None = None
    function: Function | None = field(default=None, compare=False, repr=False)  # how it was made of others, if known
    values: Callable[[], Values | None] | None = field(default=None, compare=False, repr=False)  # reads what exists
    lost: bool = field(default=False, compare=False)  # whether what memory holds now is not known at all


Known = Signal | Derived | Fixed


class Operand(NamedTuple):
    """One array that an operation reads."""

    known: Known
    array: Array


def function_of(operand: Operand) -> Function | None:
    """How an array without a batch is made of parameters and constants; None: nobody knows."""
    known = operand.known
    if isinstance(known, Signal):
        return None
    if isinstance(known, Derived) or known.function is not None:
        return known.function
    if known.number is not None:
        return call("full", Number(known.number), shape=operand.array.shape)
    return None if known.values is None or known.lost else Pending(known.values)


def combined(function: Function | None, operands: list[Operand]) -> Function | None:
    """A tree over the operands, with what these are made of in their places."""
    if function is None:
        return None
    given: dict[str, Function] = {}
    for name in [function.name] if isinstance(function, Root) else function.roots:
        made = function_of(operands[int(name)]) if name.isdecimal() else None
        if made is None:
            return None
        given[name] = made
    return function.substitute(given)


def signals_of(operands: list[Operand]) -> list[Signal]:
    """The values among them that depend on the batch, each once."""
    return list({known.value: known for known, _ in operands if isinstance(known, Signal)}.values())


def derived_of(operands: list[Operand]) -> list[Derived]:
    """What is made of parameters among them."""
    return [known for known, _ in operands if isinstance(known, Derived)]


# ---------------------------------------------------------------------- parameters and constants through operations


class Reader(Protocol):
    """What only the front end can tell of an operation on parameters and constants, where it is asked for."""

    def function(self, position: int) -> Function | None:
        """How an output is computed: a tree over `Root("0")`, ... for the operands. None: unknown."""

    def number(self, position: int) -> Scalar | None:
        """The value of an output, if it has one entry and that exists."""


class Step(NamedTuple):
    """An operation on parameters and constants only."""

    fact: Fact
    operands: list[Operand]
    reader: Reader | None
    in_place: bool

    def function(self, position: int) -> Function | None:
        """How an output is made of parameters and constants."""
        own = isinstance(self.fact, Elementwise) and position == 0
        told = None if self.reader is None else self.reader.function(position)
        return combined(self.fact.function if own and isinstance(self.fact, Elementwise) else told, self.operands)

    def number(self) -> Scalar | None:
        """What arithmetic with equal entries gives."""
        given = [known.number for known, _ in self.operands if isinstance(known, Fixed) and known.number is not None]
        if not isinstance(self.fact, Elementwise) or len(given) < len(self.operands):
            return None
        found = self.fact.function.values({str(place): np.asarray(number) for place, number in enumerate(given)})
        return None if found is UNKNOWN or np.size(found) != 1 else float(np.real(found))


def constant_from(made: Step, output: Array, position: int) -> Known:
    """What an operation on constants gives."""
    fact, first = made.fact, made.operands[0].known if made.operands else None
    keeps = isinstance(fact, Split) or (isinstance(fact, Move) and fact.entries in KEPT)
    if keeps and isinstance(first, Fixed):
        return Fixed(first.number, made.function(position))
    number = None if made.reader is None else made.reader.number(position)
    if number is None and position == 0 and output.numbers == "real":
        number = made.number()
    return Fixed(number, made.function(position))


def derived_from(made: Step, output: Array, position: int) -> Known:
    """What an operation on parameters gives."""
    product = isinstance(made.fact, Elementwise) and made.fact.combines == "product"
    if product and any(known == Fixed(0.0) for known, _ in made.operands):
        return Fixed(0.0)  # a first state of zeros, times a parameter
    found = derived_by(made.fact, made.operands, output, in_place=made.in_place)
    return found._replace(function=made.function(position))


def derived_by(fact: Fact, operands: list[Operand], output: Array, *, in_place: bool) -> Derived:
    """What an operation on parameters gives."""
    sources = derived_of(operands)
    whole = [known for known, array in operands if isinstance(known, Derived) and array.shape == output.shape]
    source = (whole or sources)[0]
    if len({one.names for one in sources}) > 1:
        return axes.computed(sources, output)
    if isinstance(fact, Gather) and fact.rank is not None:
        return axes.pick(sources[0], output, fact.axes[0], max(fact.rank, 2) if fact.layer else fact.rank)
    if in_place:
        return axes.view(source, output)
    elsewhere = moved(fact, source, output)
    if elsewhere is not None:
        return elsewhere
    return axes.copy(source, output, exact=False) if whole else axes.computed(sources, output)


def moved(fact: Fact, source: Derived, output: Array) -> Derived | None:
    """What a move makes of a parameter; None: it is no move."""
    if isinstance(fact, Move) and fact.pairs:
        return axes.paired(source, output)
    if isinstance(fact, Move | Split) and fact.view:
        return axes.view(source, output)
    if isinstance(fact, Move):
        if fact.axes is not None:
            return axes.mapped(source, output, fact.axes)
        return axes.copy(source, output, exact=fact.entries != "masked")
    kept = isinstance(fact, Elementwise) and fact.entries in ("same", "written")
    return axes.copy(source, output) if kept or isinstance(fact, Gather | Split) else None
