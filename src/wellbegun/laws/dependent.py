"""Laws of one parameter that follow from the values of another."""

import math
from dataclasses import dataclass

from wellbegun._arguments import integer, message, real
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Moments, set_field


@dataclass(frozen=True)
class RowSums(Law):
    """`factor` times the sum of each row of another tensor: that of `law` and `shape` in the stream `stream`.

    With factor -c it is the bias that cancels a mean c in every input of a layer: -c sum_j W_ij. The seed is the same;
    the other tensor is drawn again in pieces, so that nothing but its name and law is needed.

    >>> from wellbegun.laws import Constant
    >>> RowSums(Constant(2.0), "w", (3, 5), -0.5).moments().mean
    -5.0
    """

    _scale = "factor"

    law: Law
    stream: str
    shape: tuple[int, ...]
    factor: float

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message("RowSums", "law", "a law", self.law))
        if not isinstance(self.stream, str):
            raise ArgumentTypeError(message("RowSums", "stream", "the name of a stream", self.stream))
        set_field(self, "shape", tuple(integer("RowSums", "shape", size, minimum=0) for size in self.shape))
        if len(self.shape) < 2:
            raise ArgumentError(message("RowSums", "shape", "one with rows", self.shape))
        set_field(self, "factor", real("RowSums", "factor", self.factor))
        self.law.fits(self.shape)

    @property
    def couples(self) -> bool:
        """Whether entries of the other tensor depend on each other."""
        return self.law.couples

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape[:1]:
            raise ArgumentError(message("RowSums", "shape", f"{self.shape[:1]}, one entry for each row", shape))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
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

    def check(self, dtype: str) -> None:
        self.law.check(dtype)
