"""A law whose rows have sizes of their own, as a measurement gave them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from wellbegun._arguments import integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Moments, Shares, set_field
from wellbegun.laws.computed import Given


@dataclass(frozen=True)
class ScaledRows(Law):
    """`law` with each row times a number of its own: units that were normalized on a batch.

    A row is one place along the first `axes` axes, in row-major order. Factors are > 0; the draws are those of `law`,
    rounded, times the factor, rounded. Moments and distribution are those of a base whose rows are alike. Plans keep
    one number for each row.

    >>> from wellbegun import fill
    >>> from wellbegun.laws import Normal
    >>> law = ScaledRows(Normal(0, 1), (1.0, 3.0))
    >>> bool((fill(law, (2, 5), seed=0)[1] == 3 * fill(Normal(0, 1), (2, 5), seed=0)[1]).all())
    True
    >>> law.moments().variance
    5.0
    """

    law: Law
    factors: tuple[float, ...]
    axes: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message("ScaledRows", "law", "a law", self.law))
        set_field(self, "axes", integer("ScaledRows", "axes", self.axes, minimum=1))
        checked = (real("ScaledRows", "factors", f, minimum=0, exclusive=True) for f in self.factors)
        set_field(self, "factors", tuple(checked))

    @property
    def couples(self) -> bool:
        return self.law.couples

    @property
    def dense(self) -> bool:
        return self.law.dense

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) < self.axes or math.prod(shape[: self.axes]) != len(self.factors):
            allowed = f"one with {len(self.factors)} rows, as its factors"
            raise ArgumentError(message("ScaledRows", "shape", allowed, shape))
        self.law.fits(shape)

    def rows(self, shape: tuple[int, ...]) -> Array:
        """The factors, shaped to be multiplied with a tensor of this shape."""
        return np.array(self.factors).reshape(*shape[: self.axes], *[1] * (len(shape) - self.axes))

    def block(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return self.law.block(shape)

    def check(self, dtype: str) -> None:
        self.law.check(dtype)
        if self.factors:
            self.law.scaled(max(self.factors)).check(dtype)

    def support(self) -> tuple[float, float]:
        ends = [factor * bound if bound else 0.0 for factor in self.factors for bound in self.law.support()]
        return min(ends, default=0.0), max(ends, default=0.0)

    def describe(self) -> str:
        low, high = min(self.factors, default=1.0), max(self.factors, default=1.0)
        return f"{self.law.describe()}, rows × {low:.4g} to {high:.4g}"

    def _scaled(self, factor: float) -> "ScaledRows":
        return replace(self, factors=tuple(factor * each for each in self.factors))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        one, f = self.law.moments(shape), np.array(self.factors or (1.0,))
        third, fourth = (one.skewness * one.variance**1.5, one.kurtosis * one.variance**2) if one.variance else (0, 0)
        m, v = one.mean, one.variance
        raw = m, v + m**2, third + 3 * m * v + m**3, fourth + 4 * m * third + 6 * m**2 * v + m**4
        r1, r2, r3, r4 = (float((f**power).mean()) * moment for power, moment in enumerate(raw, 1))
        if v == 0 and np.ptp(f) == 0:
            return Moments.of(r1, 0.0, 0.0, 0.0)
        return Moments.of(r1, r2 - r1**2, r3 - 3 * r1 * r2 + 2 * r1**3, r4 - 4 * r1 * r3 + 6 * r1**2 * r2 - 3 * r1**4)

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        shares, (values, counts) = self.law.distribution(shape), np.unique(self.factors, return_counts=True)
        if shares is None or not len(values):
            return shares
        return lambda x: sum(
            (count / len(self.factors) * shares(x / value) for value, count in zip(values, counts, strict=True)),
            start=np.zeros(np.shape(x)),
        )


def scaled_rows(law: Law, factors: Iterable[float], axes: int = 1) -> Law:
    """The law with each row times a number; given numbers are multiplied at once.

    >>> scaled_rows(Given.of([[1.0], [2.0]]), [3.0, 4.0]).values
    (3.0, 8.0)
    """
    numbers = tuple(float(factor) for factor in factors)
    if isinstance(law, ScaledRows) and law.axes == axes:
        return replace(law, factors=tuple(a * b for a, b in zip(law.factors, numbers, strict=True)))
    found = ScaledRows(law, numbers, axes)
    if isinstance(law, Given):
        return Given.of(np.reshape(law.values, law.size) * found.rows(law.size))
    return found
