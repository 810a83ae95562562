"""What training has to multiply for one parameter, and the symmetry that moves a factor between forward pass, first
values and rates."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wellbegun._arguments import positive


@dataclass(frozen=True)
class Rates:
    """What one optimizer multiplies its settings with for one parameter; each is above 0.

    The weight decay is what torch's optimizers take: a step shrinks a weight by learning rate × weight decay.
    """

    learning_rate: float = 1.0
    weight_decay: float = 1.0
    epsilon: float = 1.0

    def __post_init__(self) -> None:
        positive("Rates", self, ("learning_rate", "weight_decay", "epsilon"))

    def times(self, learning_rate: float = 1.0, weight_decay: float = 1.0, epsilon: float = 1.0) -> "Rates":
        """These, multiplied."""
        return Rates(self.learning_rate * learning_rate, self.weight_decay * weight_decay, self.epsilon * epsilon)


@dataclass(frozen=True)
class Training:
    """The rates of each kind of optimizer. Adam and AdamW are one kind; Muon takes matrices alone, and AdamW the rest.

    >>> Training.from_dict(Training(adamw=Rates(0.25, 4.0)).to_dict()).adamw
    Rates(learning_rate=0.25, weight_decay=4.0, epsilon=1.0)
    """

    sgd: Rates = field(default_factory=Rates)
    adamw: Rates = field(default_factory=Rates)
    muon: Rates = field(default_factory=Rates)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {kind: {item.name: getattr(getattr(self, kind), item.name) for item in fields(Rates)} for kind in KINDS}

    @staticmethod
    def from_dict(data: Mapping[str, Mapping[str, float]]) -> "Training":
        """Read back what `to_dict` gave."""
        return Training(**{kind: Rates(**rates) for kind, rates in data.items()})


KINDS = tuple(item.name for item in fields(Training))
"""Kinds of optimizers."""


@dataclass(frozen=True)
class Multipliers:
    """All that a parametrization says of one parameter W, which the forward pass uses as `forward` × W.

    Two such values train alike, step by step, if one is `moved` from the other: with θ times the forward multiplier, a
    standard deviation of 1/θ times and learning rates of 1/θ² (SGD) or 1/θ times (Adam, Muon), all products with W, and
    all changes of them, are the same (the abc symmetry: Yang and Hu 2021, arXiv:2011.14522; Yang et al. 2022,
    arXiv:2203.03466, lemma J.1). Adam's ε is then θ times, as its gradients are, and the weight decay is such that a
    step shrinks a weight by the same part.

    >>> Multipliers(forward=0.25).moved(4.0)
    Multipliers(std=0.25, forward=1.0, training=Training(sgd=Rates(learning_rate=0.0625, weight_decay=16.0, \
epsilon=1.0), adamw=Rates(learning_rate=0.25, weight_decay=4.0, epsilon=4.0), muon=Rates(learning_rate=0.25, \
weight_decay=4.0, epsilon=1.0)))
    """

    std: float = 1.0
    forward: float = 1.0
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        positive("Multipliers", self, ("std", "forward"))

    def moved(self, factor: float) -> "Multipliers":
        """The same training with the forward multiplier times `factor` > 0."""
        rates = self.training
        moved = Training(
            rates.sgd.times(factor**-2, factor**2),
            rates.adamw.times(1 / factor, factor, factor),
            rates.muon.times(1 / factor, factor),
        )
        return replace(self, std=self.std / factor, forward=self.forward * factor, training=moved)

    def folded(self) -> "Multipliers":
        """The same training without a multiplier in the forward pass."""
        return self.moved(1 / self.forward)
