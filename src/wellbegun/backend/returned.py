"""What a model returns: which of it is the output, and which is a loss that it gives itself."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import WEIGHTED, ModelGraph
from wellbegun.graph.walk import ancestors, around, of_the_batch


class Returned(NamedTuple):
    """A real or complex array that a model returns."""

    shape: tuple[int, ...]
    learns: bool  # whether gradients go on from it
    value: int | None  # of the graph; None if they cannot be matched

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return math.prod(self.shape) == 1 and len(self.shape) < 2

    def each(self, of: tuple[int, ...]) -> bool:
        """Whether it has one number for each row of classes of another."""
        ways = (of[:-1], (*of[:-1], 1), (*of[:1], *of[2:]))
        return bool(self.shape) and self.shape != of and self.shape in ways and len(of) > 1

    def some(self, of: tuple[int, ...]) -> bool:
        """Whether it has one number for some places in each sample of another, as where labels are shifted."""
        return 0 < len(self.shape) < len(of) and self.shape[0] == of[0] and math.prod(self.shape) < math.prod(of)


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
        logits: Place of what the model calls its logits.
        named: Places of what has loss in its name.
        certain: Whether that is called just loss, or losses.
        ordered: Whether what is returned has places and no names, so that a loss may be the first.
        targets: Values of the graph that the model is given as what is called as targets are.
        given: Shapes of the batch.
        values: What is returned at a place.
    """

    graph: ModelGraph
    found: tuple[Returned, ...]
    logits: int | None
    named: tuple[int, ...]
    certain: bool
    ordered: bool
    targets: Collection[int]
    given: Collection[tuple[int, ...]]
    values: Callable[[int], Array]

    @cached_property
    def main(self) -> int:
        """The place of what losses are taken of: the logits, or the first that learns, and no loss itself, if what it
        is computed of is returned too."""
        if self.logits is not None:
            return self.logits
        place = min(range(len(self.found)), key=lambda i: (not self.found[i].learns, not self.found[i].shape))
        return next((i for i, one in enumerate(self.found) if self._losses_of(place, one)), place)

    @property
    def own_loss(self) -> OwnLoss | None:
        """A loss of the model's own, of which it is evident that it learns from it where it is called just so, stands
        before the main output, reads what that does not, compares it with the input, or where nothing but numbers, or
        losses of samples, is returned."""
        places, evident = self._places()
        numbers = [float(np.mean(self.values(i), dtype=np.float64)) for i in places]
        if not places:
            return None
        if len(places) > 1 and math.isclose(numbers[0], sum(numbers[1:]), rel_tol=1e-4):
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
        if learning and all(self.found[i].single for i in {main, *learning}):
            samples = max((shape[0] for shape in self.given if len(shape) > 1), default=1)
            return (named or tuple(learning), True) if named or self.targets or samples > 1 else ((), False)
        beside = tuple(i for i in named or self.named if i != main and self._loss_of(i, own))
        if beside and own.learns and (self.certain or any(map(self._evident, beside))):
            return beside, True  # though they may teach nothing
        if not others:
            return self._alone()
        place = next((i for i in others if self._loss_of(i, own)), None)
        return ((), False) if place is None else ((place,), self._evident(place))

    def _evident(self, place: int) -> bool:
        """Whether what may be a loss stands first, compares the main output with the input, or reads what that does
        not."""
        one, own = self.found[place], self.found[self.main]
        first = self.ordered and place < self.main and one.single and bool(self._before(one) & self._batch)
        compares = own.shape in self.given and self._direct(one) and not self._direct(own)
        return first or compares or (self._beyond(one, own) and (one.single or self._like_losses(place)))

    def _alone(self) -> tuple[tuple[int, ...], bool]:
        """Where the main output is all that learns: it may be losses of samples, or a number before it be its loss."""
        main, own = self.main, self.found[self.main]
        wide = len(own.shape) == 2 and self._direct(own, self.targets)
        each = len(own.shape) == 1 or (wide and (own.shape[1] == 1 or (self.values(main) >= 0).all()))
        if own.learns and (main in self.named or (self.targets and each)):
            return (main,), True
        lost = (i for i in range(main) if self.found[i].single and self._beyond(self.found[i], own))
        place = next(lost, None)
        return ((), False) if place is None else ((place,), False)

    def _loss_of(self, place: int, output: Returned) -> bool:
        """Whether what is at a place may be a loss of an output, or its losses."""
        one = self.found[place]
        return one.single or one.each(output.shape) or self._losses_of(place, output)

    def _losses_of(self, place: int, output: Returned) -> bool:
        """Whether what is at a place is computed of an output, or reads targets beside it, and has the shape of losses:
        one for each row of classes; or, where it reads both, one for some places or for each entry."""
        one = self.found[place]
        if one.each(output.shape):
            return self._reads(one, output) or (self._beyond(one, output) and self._like_losses(place))
        if one.shape == output.shape:
            fits = bool(one.shape) and self._direct(one, self.targets) and self._positive(place)
        else:
            fits = one.some(output.shape) and self._like_losses(place)
        return fits and self._reads(one, output) and self._beyond(one, output)

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
            self._known[one.value] = ancestors(self.graph, one.value)
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

    def _reads(self, one: Returned, other: Returned) -> bool:
        """Whether it is computed of another."""
        return other.value in self._before(one)

    def _direct(self, one: Returned, some: Collection[int] | None = None) -> bool:
        """Whether it reads something of the batch, or `some` values of it, that no weight has seen."""
        if one.value is None or (some is not None and not some):
            return False
        return around(self.graph, self._weights, [one.value], some)

    def _beyond(self, one: Returned, other: Returned) -> bool:
        """Whether it reads something of the batch that another does not, and no weight has seen, as targets."""
        if one.value is None or other.value is None:
            return False
        return self._direct(one, (self._before(one) - self._before(other)) & self._batch)
