"""Laws with independent entries."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import message, real
from wellbegun.errors import ArgumentError
from wellbegun.laws.base import Law, Moments, set_field

SMALLEST_MASS = 1e-27  # times 2**-33, the smallest tail that float32 holds without losing bits
"""Least probability that the bounds of a truncated normal may hold."""


@dataclass(frozen=True)
class Constant(Law):
    """Every entry is `value`.

    >>> Constant(0.5).moments()
    Moments(mean=0.5, variance=0.0, skewness=nan, kurtosis=nan)
    """

    value: float

    def __post_init__(self) -> None:
        set_field(self, "value", real("Constant", "value", self.value))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments(self.value, 0.0, math.nan, math.nan)

    def support(self) -> tuple[float, float]:
        return self.value, self.value

    def _scaled(self, factor: float) -> "Constant":
        return Constant(factor * self.value)


@dataclass(frozen=True)
class Uniform(Law):
    """Independent entries, uniform on [low, high], low < high.

    >>> Uniform(-1, 1).moments().kurtosis
    1.8
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _set_interval(self, "Uniform")

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments((self.low + self.high) / 2, (self.high - self.low) ** 2 / 12, 0.0, 1.8)

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def _scaled(self, factor: float) -> "Uniform":
        return Uniform(factor * self.low, factor * self.high)


@dataclass(frozen=True)
class Normal(Law):
    """Independent entries, normal with `mean` and `std` >= 0. 32-bit words reach 6.76 std.

    >>> Normal(0, 0.5).moments()
    Moments(mean=0.0, variance=0.25, skewness=0.0, kurtosis=3.0)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        set_field(self, "mean", real("Normal", "mean", self.mean))
        set_field(self, "std", real("Normal", "std", self.std, minimum=0))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments(self.mean, self.std**2, *((0.0, 3.0) if self.std else (math.nan, math.nan)))

    def support(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.std else (self.mean, self.mean)

    def _scaled(self, factor: float) -> "Normal":
        return Normal(factor * self.mean, factor * self.std)


@dataclass(frozen=True)
class Rademacher(Law):
    """Independent entries: mean + scale or mean - scale, with probability one half each; scale > 0.

    >>> Rademacher().moments()
    Moments(mean=0.0, variance=1.0, skewness=0.0, kurtosis=1.0)
    """

    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        set_field(self, "mean", real("Rademacher", "mean", self.mean))
        set_field(self, "scale", real("Rademacher", "scale", self.scale, minimum=0, exclusive=True))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments(self.mean, self.scale**2, 0.0, 1.0)

    def support(self) -> tuple[float, float]:
        return self.mean - self.scale, self.mean + self.scale

    def _scaled(self, factor: float) -> "Rademacher":
        return Rademacher(factor * self.mean, factor * self.scale)


@dataclass(frozen=True)
class LogUniform(Law):
    """Independent entries whose logarithm is uniform on [ln low, ln high], 0 < low < high: time steps, rates.

    >>> round(LogUniform(1e-3, 1e-1).moments().mean, 6)
    0.021498
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _set_interval(self, "LogUniform")
        real("LogUniform", "low", self.low, minimum=0, exclusive=True)

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        width = math.log(self.high / self.low)
        ratio, top = self.low / self.high, self.high
        m1, m2, m3, m4 = ((1 - ratio**k) / (k * width) for k in (1, 2, 3, 4))  # in units of the upper bound
        variance = m2 - m1**2
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
        return Moments(m1 * top, variance * top**2, third / variance**1.5, fourth / variance**2)

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def _scaled(self, factor: float) -> "LogUniform":
        return LogUniform(factor * self.low, factor * self.high)


@dataclass(frozen=True)
class TruncatedNormal(Law):
    """Independent entries: a normal with `location` and `scale` > 0, cut to [low, high] (absolute values, may be inf).

    `scale` is the standard deviation *before* the cut, as in scipy.stats.truncnorm; `moments()` tells the one after.

    >>> law = TruncatedNormal(0.0, 1.0, -2.0, 2.0)
    >>> round(law.moments().variance ** 0.5, 12), round(law.moments().kurtosis, 5)
    (0.879625661034, 2.36554)
    """

    location: float
    scale: float
    low: float
    high: float

    def __post_init__(self) -> None:
        set_field(self, "location", real("TruncatedNormal", "location", self.location))
        set_field(self, "scale", real("TruncatedNormal", "scale", self.scale, minimum=0, exclusive=True))
        _set_interval(self, "TruncatedNormal", infinite=True)
        if self.mass() < SMALLEST_MASS:
            bounds = tuple(round(bound, 3) for bound in self.standard_bounds())
            allowed = f"bounds that hold at least {SMALLEST_MASS:g} of the normal"
            raise ArgumentError(message("TruncatedNormal", "low and high", allowed, bounds, "(In units of scale.)"))

    def standard_bounds(self) -> tuple[float, float]:
        """The bounds in units of `scale`, relative to `location`."""
        return (self.low - self.location) / self.scale, (self.high - self.location) / self.scale

    def tails(self) -> tuple[float, float]:
        """Shares of the uncut normal below `low` and above `high`, each with full relative accuracy."""
        low, high = self.standard_bounds()
        return math.erfc(-low / math.sqrt(2)) / 2, math.erfc(high / math.sqrt(2)) / 2

    def mass(self) -> float:
        """Share of the uncut normal that lies within the bounds."""
        low, high = self.standard_bounds()
        if low * high > 0:  # same side: subtract the smaller tails
            near, far = sorted((abs(low), abs(high)))
            return (math.erfc(near / math.sqrt(2)) - math.erfc(far / math.sqrt(2))) / 2
        return (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        mean, variance, skewness, kurtosis = _truncated_moments(*self.standard_bounds())
        return Moments(self.location + self.scale * mean, self.scale**2 * variance, skewness, kurtosis)

    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def _scaled(self, factor: float) -> "TruncatedNormal":
        return TruncatedNormal(*(factor * number for number in (self.location, self.scale, self.low, self.high)))


def _set_interval(law: "Uniform | TruncatedNormal | LogUniform", owner: str, *, infinite: bool = False) -> None:
    set_field(law, "low", real(owner, "low", law.low, infinite=infinite))
    set_field(law, "high", real(owner, "high", law.high, infinite=infinite))
    if law.low >= law.high:
        remedy = "For one value use constant()."
        raise ArgumentError(message(owner, "low", f"below high ({law.high:g})", law.low, remedy))


def _truncated_moments(low: float, high: float) -> Moments:
    """Moments of N(0, 1) cut to [low, high], by quadrature: the textbook recursion cancels for narrow bounds."""
    near = min(max(low, 0.0), high)  # the density's largest value within the bounds
    start, stop = max(low, near - _REACH), min(high, near + _REACH)
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(start, stop, 97)
    half = np.diff(edges)[:, None] / 2
    x = (edges[:-1, None] + half * (1 + nodes)).ravel()
    w = (half * weights).ravel() * np.exp((near - x) * (near + x) / 2)
    w /= w.sum()
    mean = float(w @ x)
    second, third, fourth = (float(w @ (x - mean) ** power) for power in (2, 3, 4))
    if low == -high:
        mean, third = 0.0, 0.0  # exactly, not to 1e-17
    return Moments(mean, second, third / second**1.5, fourth / second**2)


_REACH = 13.0  # beyond it the density is below 1e-36 of its largest value
