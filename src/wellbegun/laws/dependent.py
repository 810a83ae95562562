"""Laws of one parameter that follow from the values of another."""

import math
from dataclasses import dataclass

from wellbegun._arguments import integer, message, real
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Moments, set_field
from wellbegun.laws.independent import Constant


@dataclass(frozen=True)
class Dependent(Law):
    """Base of laws that are a function of another tensor: that of `law` and `shape` in the stream `stream`, of the same
    seed and dtype, times `factor`.

    The other tensor is drawn again in pieces, so that nothing but its name and law is needed. Where its law changes,
    `Plan.consistent` brings this one up to date.
    """

    _scale = "factor"

    law: Law
    stream: str
    shape: tuple[int, ...]
    factor: float

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message(name, "law", "a law", self.law))
        if not isinstance(self.stream, str):
            raise ArgumentTypeError(message(name, "stream", "the name of a stream", self.stream))
        set_field(self, "shape", tuple(integer(name, "shape", size, minimum=0) for size in self.shape))
        set_field(self, "factor", real(name, "factor", self.factor))
        self.law.fits(self.shape)

    @property
    def couples(self) -> bool:
        """Whether entries of the other tensor depend on each other."""
        return self.law.couples

    @property
    def alone(self) -> Law | None:
        """What stands for it where nothing fills the other tensor; None: it cannot be had then."""
        return None

    def check(self, dtype: str) -> None:
        self.law.check(dtype)


@dataclass(frozen=True)
class RowSums(Dependent):
    """`factor` times the sum of each row of another tensor.

    With factor -c it is the bias that cancels a mean c in every input of a layer: -c sum_j W_ij.

    >>> from wellbegun.laws import Constant
    >>> RowSums(Constant(2.0), "w", (3, 5), -0.5).moments().mean
    -5.0
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.shape) < 2:
            raise ArgumentError(message("RowSums", "shape", "one with rows", self.shape))

    @property
    def alone(self) -> Law:
        return Constant(0.0)

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape[:1]:
            raise ArgumentError(message("RowSums", "shape", f"{self.shape[:1]}, one entry for each row", shape))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Mean and variance as for independent entries, which orthogonal rows only have nearly; kurtosis that of the
        normal limit."""
        one, terms = self.law.moments(self.shape), math.prod(self.shape[1:])
        variance = self.factor**2 * terms * one.variance
        known = (0.0, 3.0) if variance else (math.nan, math.nan)
        return Moments(self.factor * terms * one.mean, variance, *known)

    def support(self) -> tuple[float, float]:
        ends = [self.factor * math.prod(self.shape[1:]) * bound for bound in self.law.support()]
        return min(ends), max(ends)

    def describe(self) -> str:
        return f"{self.factor:.4g} × row sums of {self.stream}"


@dataclass(frozen=True)
class Copied(Dependent):
    """`factor` times another tensor of the same canonical shape: encoders that start as twins, pairs that cancel.

    >>> from wellbegun import fill
    >>> from wellbegun.laws import Normal
    >>> online = fill(Normal(0, 1), (3, 5), seed=0, name="online.weight")
    >>> law = Copied(Normal(0, 1), "online.weight", (3, 5), -1.0)
    >>> bool((fill(law, (3, 5), seed=0, name="target.weight") == -online).all())
    True
    """

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise ArgumentError(message("Copied", "shape", f"{self.shape}, that of {self.stream!r}", shape))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        one = self.law.moments(self.shape)
        skewness = math.copysign(1.0, self.factor) * one.skewness
        if not self.factor:
            return Moments(0.0, 0.0, math.nan, math.nan)
        return Moments(self.factor * one.mean, self.factor**2 * one.variance, skewness, one.kurtosis)

    def support(self) -> tuple[float, float]:
        ends = [self.factor * bound if self.factor else 0.0 for bound in self.law.support()]
        return min(ends), max(ends)

    def describe(self) -> str:
        return f"{self.factor:.4g} × the values of {self.stream}"

    def check(self, dtype: str) -> None:
        self.law.check(dtype)
        if self.factor:
            self.law.scaled(abs(self.factor)).check(dtype)
