"""A graph with what is found about it: each fact once, for whoever plans or measures it."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, TypeVar, cast

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.function import Function, Values
from wellbegun.graph.inference import doubt_notes, inferred
from wellbegun.graph.model import ModelGraph, Operation
from wellbegun.theory import identify

T = TypeVar("T")


class Analysis(ModelGraph):
    """A graph, and the facts that were asked for. It belongs to whoever made it: a graph itself keeps nothing.

    >>> graph = ModelGraph((), {}, ())
    >>> Analysis.of(graph).once(lambda analysis: len(analysis.operations))
    0
    """

    @staticmethod
    def of(graph: ModelGraph) -> "Analysis":
        """Of a graph: the same, if it is one already."""
        if isinstance(graph, Analysis):
            return graph
        return Analysis(graph.operations, graph.parameters, graph.outputs, graph.notes, graph.returned)

    def once(self, fact: "Callable[[Analysis], T]") -> T:
        """A fact about the graph, found when it is first asked for."""
        if fact not in self._facts:
            self._facts[fact] = fact(self)
        return cast(T, self._facts[fact])

    @cached_property
    def doubts(self) -> dict[str, str]:
        """What could not be told, and why."""
        return {}

    @property
    def told(self) -> tuple[str, ...]:
        """Notes of the graph, and of what could not be told of it so far."""
        return (*self.notes, *doubt_notes(self.doubts))

    @cached_property
    def _facts(self) -> dict[Any, Any]:
        return {}

    @cached_property
    def _values(self) -> Values:
        return Values()

    @cached_property
    def _names(self) -> dict[Function, tuple[str, float] | None]:
        return {}

    @cached_property
    def _bent(self) -> dict[Function, bool]:
        return {}

    @cached_property
    def _plain(self) -> dict[int, int]:
        return {}

    # ------------------------------------------------------------------ functions of one value
    @inferred("the name of a function", lambda *_: None)
    def named(self, step: Operation) -> tuple[str, float] | None:
        """Name and slope of the function of a pointwise step; None if it is none that has a name."""
        assert step.function is not None  # pointwise operations have one
        if step.function not in self._names:
            self._names[step.function] = _recognized(partial(self._values, step.function))
        return self._names[step.function]

    @inferred("whether a function is linear", lambda *_: False)
    def is_linear(self, step: Operation) -> bool:
        """Whether a pointwise step is a multiple of its value, up to a constant."""
        assert step.function is not None
        if step.function not in self._bent:
            self._bent[step.function] = _bends(partial(self._values, step.function))
        if self._bent[step.function]:
            return False
        found = self.named(step)
        return found is not None and found[0] == "linear"

    def rescales(self, step: Operation) -> bool:
        """Whether a step moves, scales or shifts a value, and no more."""
        return step.kind in ("move", "scale", "shift") or (step.kind == "pointwise" and self.is_linear(step))

    # ------------------------------------------------------------------ values
    def plain(self, value: int) -> int:
        """The value before any reshapes, copies and constant factors."""
        known, way = self._plain, []
        while value not in known:
            way.append(value)
            producer = self.producers.get(value)
            before = None if producer is None or len(producer.inputs) != 1 else self._passed_on(producer)
            if before is None:
                known[value] = value
                break
            value = before
        found = known[value]
        known.update(dict.fromkeys(way, found))
        return found

    def _passed_on(self, operation: Operation) -> int | None:
        """The value that an operation passes on as it is, but for constant factors: several in a row have one root."""
        if operation.kind == "pointwise" and operation.root is not None and self.is_linear(operation):
            return operation.root
        return operation.inputs[0] if operation.kind == "move" else None

    def source(self, operation: Operation) -> Operation | None:
        """What made the first input of an operation, before reshapes, casts and constant factors."""
        return self.producers.get(self.plain(operation.inputs[0])) if operation.inputs else None

    def made(self, value: int) -> int:
        """Index of the operation that made a value; -1 for the batch."""
        producer = self.producers.get(value)
        return -1 if producer is None else producer.index


def _bends(function: Callable[[Array], Array]) -> bool:
    """Whether a few values already show that a function is not affine: most are not, and naming them takes longer."""
    with np.errstate(all="ignore"):
        low, middle, high = np.asarray(function(np.array([-4.0, 0.5, 5.0])), dtype=np.float64)
    return bool(abs(low + high - 2 * middle) > 1e-3 * (abs(low) + abs(high) + abs(middle)))


def _recognized(function: Callable[[Array], Array]) -> tuple[str, float] | None:
    """Name and slope of a function; affine functions count as linear."""

    def centred(x: Array) -> Array:
        values = function(x)
        return values - function(x * 0)

    known = identify(function)
    if known is None and (affine := identify(centred)) is not None and affine[0] == "linear":
        return affine
    return known
