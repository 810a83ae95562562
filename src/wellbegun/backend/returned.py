"""What a model returns: which of it is the output, and which is a loss that it gives itself."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isclose, prod
from typing import NamedTuple, TypeVar

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend.losses import called, losses_in, main_of
from wellbegun.graph import WEIGHTED, ModelGraph, Operation
from wellbegun.graph.walk import ancestors, around, backward, of_the_batch

T = TypeVar("T")


class Returned(NamedTuple):
    """A real or complex array that a model returns."""

    shape: tuple[int, ...]
    learns: bool  # whether gradients go on from it
    value: int | None  # of the graph; None if it is computed of nothing in the batch


@dataclass(frozen=True)
class OwnLoss:
    """A loss that a model gives itself: the sum of the means of what it returns at places among its `Returned`."""

    places: tuple[int, ...]
    value: float
    each: bool  # whether it gives one for each sample
    evident: bool  # whether it is what the model learns from, and no part of it
    learns: bool  # whether gradients go on from it
    ends: frozenset[int] | None  # of the graph


@dataclass(frozen=True)
class Results:
    """All real and complex arrays that a model returned, beside what it was given.

    Attributes:
        graph: Of the pass.
        found: The arrays; one at least.
        first: Place of what losses are taken of, as far as names and shapes tell.
        called: Whether the model calls that its logits.
        named: Places of what has loss in its name.
        certain: Whether that is called just loss, or losses.
        ordered: Whether what is returned has places and no names, so that a loss may be the first.
        targets: Values of the graph that the model is given as what is called as targets are.
        given: Shapes of the batch.
        values: What is returned at a place.
    """

    graph: ModelGraph
    found: tuple[Returned, ...]
    first: int
    called: bool
    named: tuple[int, ...]
    certain: bool
    ordered: bool
    targets: Collection[int]
    given: Collection[tuple[int, ...]]
    values: Callable[[int], Array]

    @classmethod
    def of(
        cls,
        graph: ModelGraph,
        result: object,
        real: Mapping[T, Returned],
        arrays: Callable[[object], Iterable[T]],
        targets: Collection[int],
        given: Collection[tuple[int, ...]],
        values: Callable[[int], Array],
    ) -> "Results":
        """Of what a model returned: its `real` arrays, known by identity, and what finds arrays in a part of it."""
        places = {one: place for place, one in enumerate(real)}
        certain, losses = losses_in(result)
        named = dict.fromkeys(places[one] for part in losses for one in arrays(part) if one in places)
        main = main_of(result, real, lambda one: real[one].learns)
        assert main is not None, "a model returns something"
        settled, ordered = main is called(result, "logits"), isinstance(result, (tuple, list))
        return cls(graph, (*real.values(),), places[main], settled, (*named,), certain, ordered, targets, given, values)

    @cached_property
    def main(self) -> int:
        """The place of what losses are taken of: the first, or what that is a loss of, if that is returned. A constant,
        as the mean of a Gaussian process before it has seen data, gives way to what is made of the batch."""
        made_of = (i for i, one in enumerate(self.found) if not self.called and self._made_of(self.first, one))
        of_the_batch = (i for i, one in enumerate(self.found) if one.learns and one.value is not None and one.shape)
        constant = self.found[self.first].value is None and not self.called
        return next(made_of, next(of_the_batch, self.first) if constant else self.first)

    @property
    def own_loss(self) -> OwnLoss | None:
        """A loss of the model's own, of which it is evident that it learns from it where it is called just so, or is
        computed of what the last weights give and stands first or reads what the main output does not, as targets or
        the input, or where nothing but numbers, or losses of samples, is returned."""
        places, evident = self._places()
        numbers = [float(np.mean(self.values(i), dtype=np.float64)) for i in places]
        if not places:
            return None
        if len(places) > 1 and isclose(numbers[0], sum(numbers[1:]), rel_tol=1e-4):
            places, numbers = places[:1], numbers[:1]  # which is the sum of the others
        found = [self.found[i] for i in places]
        ends = frozenset(one.value for one in found if one.value is not None)
        known = ends if len(ends) == len(places) else None
        learns = any(one.learns for one in found)
        return OwnLoss(places, sum(numbers), found[0].shape != (), evident, learns, known)

    def _places(self) -> tuple[tuple[int, ...], bool]:
        """The places of `own_loss`, and whether it is evident; none if there is none."""
        main, own = self.main, self.found[self.main]
        learning = [i for i, one in enumerate(self.found) if one.learns]
        others = [i for i in learning if i != main]
        named = tuple(i for i in self.named if i in learning)
        if learning and all(map(self._single, {main, *learning})):
            told = named or self._samples > 1 or any(self._before(self.found[i]) & {*self.targets} for i in learning)
            return (named or tuple(learning), True) if told else ((), False)
        beside = tuple(i for i in named or self.named if i != main and self._fits(i, own))
        if beside and own.learns and (self.certain or any(map(self._evident, beside))):
            return beside, True  # though they may teach nothing
        if not others:
            return self._alone()
        found = [i for i in others if self._loss_of(i, own)]
        place = next(filter(self._evident, found), next(iter(found), None))
        return ((), False) if place is None else ((place,), self._evident(place))

    def _evident(self, place: int) -> bool:
        """Whether what may be a loss is computed of what the last weights give, or reads targets, and is a number that
        stands first, or reads what the main output does not."""
        one, own, single = self.found[place], self.found[self.main], self._single(place)
        if not self._follows(one, own):
            return single and self._direct(one, self.targets)
        first = self.ordered and place < self.main and single
        return first or (self._beyond(one, own) and (single or self._like_losses(place)))

    def _alone(self) -> tuple[tuple[int, ...], bool]:
        """Where the main output is all that learns: it may be losses of samples, or a number before it be its loss."""
        main, own = self.main, self.found[self.main]
        narrow = len(own.shape) == 1 or (len(own.shape) == 2 and (own.shape[1] == 1 or self._positive(main)))
        if own.learns and (main in self.named or (narrow and self._direct(own, self.targets))):
            return (main,), True
        lost = (i for i in range(main) if self._single(i) and self._beyond(self.found[i], own))
        place = next(lost, None)
        return ((), False) if place is None else ((place,), False)

    # ------------------------------------------------------------------ shapes
    @cached_property
    def _samples(self) -> int:
        return max((shape[0] for shape in self.given if len(shape) > 1), default=1)

    def _single(self, place: int) -> bool:
        """Whether it is one number, and not that of the only sample."""
        shape = self.found[place].shape
        return not shape or (shape == (1,) and self._samples > 1)

    def _axis(self, one: Returned) -> int | None:
        """The axis of its units, if that is known."""
        made = None if one.value is None else self.graph.producers.get(one.value)
        return None if made is None else made.axis

    def _each(self, one: Returned, of: Returned) -> bool:
        """Whether it has one number for each row of classes of another."""
        rank, axis = len(of.shape), self._axis(of)
        axes = (1, rank - 1) if axis is None else (axis,)
        rows = [(*of.shape[:axis], *kept, *of.shape[axis + 1 :]) for axis in axes for kept in ((), (1,))]
        return rank > 1 and one.shape != of.shape and one.shape in rows

    def _some(self, one: Returned, of: Returned) -> bool:
        """Whether it has one number for some places in each sample of another, as where labels are shifted."""
        return 0 < len(one.shape) < len(of.shape) and one.shape[0] == of.shape[0] and prod(one.shape) < prod(of.shape)

    def _pools(self, one: Returned, of: Returned) -> bool:
        """Whether it has a number for each of the units of another."""
        own, axis = self._axis(one), self._axis(of)
        return own is not None and axis is not None and one.shape[own] == of.shape[axis]

    def _fits(self, place: int, output: Returned) -> bool:
        """Whether what is called a loss may be one of an output, or its losses."""
        return self._single(place) or self._each(self.found[place], output) or self._losses_of(place, output)

    # ------------------------------------------------------------------ what is computed of what
    def _made_of(self, place: int, output: Returned) -> bool:
        """Whether what is at a place is made of an output without a weight between, a number for each row of classes,
        or its losses."""
        one = self.found[place]
        summed = self._each(one, output) and output.value is not None and self._direct(one, [output.value])
        return summed or self._losses_of(place, output)

    def _loss_of(self, place: int, output: Returned) -> bool:
        """Whether what is at a place may be a loss of an output, or its losses."""
        one = self.found[place]
        if self._single(place) and (self._follows(one, output) or self._direct(one, self.targets)):
            return True
        computed = self._single(place) and output.value in self._before(one) and self._beyond(one, output)
        return computed or self._losses_of(place, output)

    def _losses_of(self, place: int, output: Returned) -> bool:
        """Whether what is at a place is computed of what the last weights of an output give, reads what that does not,
        and has the shape of losses: one for each row of classes, or, where it reads targets, one for each entry; or for
        some places, where it reads targets or holds neither units nor numbers below zero."""
        one = self.found[place]
        targets = self._direct(one, self.targets)
        if self._each(one, output):
            fits = True
        elif one.shape == output.shape:
            fits = bool(one.shape) and targets and self._positive(place)
        else:
            fits = self._some(one, output) and (targets or (self._positive(place) and not self._pools(one, output)))
        return fits and self._follows(one, output) and self._beyond(one, output)

    def _like_losses(self, place: int) -> bool:
        """Whether what is at a place reads targets, or holds no number below zero, as losses do."""
        return self._direct(self.found[place], self.targets) or self._positive(place)

    def _positive(self, place: int) -> bool:
        return bool((self.values(place) >= 0).all())

    def _before(self, one: Returned) -> set[int]:
        """The values that something is computed of."""
        if one.value is None:
            return set()
        if one.value not in self._known:
            self._known[one.value] = ancestors(self.graph, [one.value])
        return self._known[one.value]

    @cached_property
    def _known(self) -> dict[int, set[int]]:
        """What values are computed of, as far as it was asked: many may be returned."""
        return {}

    @cached_property
    def _batch(self) -> set[int]:
        return of_the_batch(self.graph)

    @cached_property
    def _weights(self) -> frozenset[int]:
        """Operations with a weight."""
        return frozenset(o.index for o in self.graph.operations if o.kind in (*WEIGHTED, "lookup"))

    def _direct(self, one: Returned, some: Collection[int] | None = None) -> bool:
        """Whether it reads something of the batch, or `some` values, without a weight between."""
        if one.value is None or (some is not None and not some):
            return False
        return around(self.graph, self._weights, [one.value], some)

    def _follows(self, one: Returned, output: Returned) -> bool:
        """Whether it is computed of what the last weights of an output give, without another weight between."""
        if one.value is None or output.value is None:
            return False
        made = backward(self.graph, [output.value], lambda operation: operation.index not in self._weights)
        last = [operation for operation in made if operation.index in self._weights]
        return all(self._direct(one, self._alike(operation)) for operation in last)

    def _alike(self, operation: Operation) -> set[int]:
        """What a weighted operation gives, and what others do with the same weights."""
        found = (self.graph.uses_of(use.parameter) for use in operation.uses if use.slot == "weight")
        return {value for uses in found for other, _ in uses for value in other.outputs} | {*operation.outputs}

    def _beyond(self, one: Returned, other: Returned) -> bool:
        """Whether it reads something of the batch that no weight has seen, as targets, and another does not so."""
        some = self._before(one) & self._batch
        return any(self._direct(one, [value]) and not self._direct(other, [value]) for value in some)
