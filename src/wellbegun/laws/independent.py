"""Laws with independent entries."""

import math
from dataclasses import dataclass, fields, replace

import numpy as np

from wellbegun._arguments import message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.laws.base import Law, Moments, Shares, set_field
from wellbegun.laws.precision import REAL_OF, SMALLEST_NORMAL, WORD, inside

SMALLEST_MASS = 1e-27  # times 2**-33, the smallest tail that float32 holds without losing bits
"""Least probability that the bounds of a truncated normal may hold."""


class _Independent(Law):
    """A law that draws every entry for itself."""

    _independent = True

    def _scaled(self, factor: float) -> Law:
        return replace(self, **{field.name: factor * getattr(self, field.name) for field in fields(self)})


class Drawn(_Independent):
    """One whose entries are functions of random words."""

    def check(self, dtype: str) -> None:
        if dtype in REAL_OF:
            for side in ("real", "imag"):
                self.component(side).check(REAL_OF[dtype])
        else:
            super().check(dtype)

    def _moved(self, side: str, *values: float) -> tuple[float, ...]:
        """Values of a component in the places of these."""
        mean = self.moments().mean
        centre = mean if side == "real" else 0.0
        return tuple(centre + (value - mean) / math.sqrt(2) for value in values)


class _Bounded(Drawn):
    """One with bounds `low` < `high`."""

    low: float
    high: float

    def _check_bounds(self, *, infinite: bool = False) -> None:
        owner = type(self).__name__
        set_field(self, "low", real(owner, "low", self.low, infinite=infinite))
        set_field(self, "high", real(owner, "high", self.high, infinite=infinite))
        if self.low >= self.high:
            remedy = "For one value use constant()."
            raise ArgumentError(message(owner, "low", f"below high ({self.high:g})", self.low, remedy))

    def support(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class Constant(_Independent):
    """Every entry is `value`.

    >>> Constant(0.5).moments()
    Moments(mean=0.5, variance=0.0, skewness=nan, kurtosis=nan)
    """

    value: float

    def __post_init__(self) -> None:
        set_field(self, "value", real("Constant", "value", self.value))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return Moments(self.value, 0.0, math.nan, math.nan)

    def support(self) -> tuple[float, float]:
        return self.value, self.value

    def describe(self) -> str:
        return f"{self.value:g}"

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        return lambda x: np.where(x >= self.value, 1.0, 0.0)


@dataclass(frozen=True)
class Uniform(_Bounded):
    """Independent entries, uniform on [low, high], low < high.

    >>> Uniform(-1, 1).moments().kurtosis
    1.8
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        self._check_bounds()

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return Moments((self.low + self.high) / 2, (self.high - self.low) ** 2 / 12, 0.0, 1.8)

    def describe(self) -> str:
        return f"U({self.low:.4g}, {self.high:.4g})"

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        return lambda x: np.clip((x - self.low) / (self.high - self.low), 0.0, 1.0)

    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        middle, half = self.low / 2 + self.high / 2, self.high / 2 - self.low / 2
        return "uniform", (middle, half * WORD[dtype], *inside(self.low, self.high, dtype))

    def component(self, side: str) -> Law:
        return Uniform(*self._moved(side, self.low, self.high))


@dataclass(frozen=True)
class Normal(Drawn):
    """Independent entries, normal with `mean` and `std` >= 0. 32-bit words reach 6.76 std.

    >>> Normal(0, 0.5).moments()
    Moments(mean=0.0, variance=0.25, skewness=0.0, kurtosis=3.0)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        set_field(self, "mean", real("Normal", "mean", self.mean))
        set_field(self, "std", real("Normal", "std", self.std, minimum=0))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return Moments(self.mean, self.std**2, *((0.0, 3.0) if self.std else (math.nan, math.nan)))

    def support(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.std else (self.mean, self.mean)

    def describe(self) -> str:
        return f"N({self.mean:g}, {self.std:.4g}²)"

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        if not self.std:
            return lambda x: np.where(x >= self.mean, 1.0, 0.0)
        return lambda x: _normal((x - self.mean) / self.std)

    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        return "normal", (self.mean, self.std)

    def component(self, side: str) -> Law:
        return Normal(self.mean if side == "real" else 0.0, self.std / math.sqrt(2))

    def _reach(self, dtype: str) -> float:
        return abs(self.mean) + (9.5 if dtype == "float64" else 6.77) * self.std  # the largest |z| a word can give


@dataclass(frozen=True)
class Rademacher(Drawn):
    """Independent entries: mean + scale or mean - scale, with probability one half each; scale > 0.

    >>> Rademacher().moments()
    Moments(mean=0.0, variance=1.0, skewness=0.0, kurtosis=1.0)
    """

    mean: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        set_field(self, "mean", real("Rademacher", "mean", self.mean))
        set_field(self, "scale", real("Rademacher", "scale", self.scale, minimum=0, exclusive=True))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return Moments(self.mean, self.scale**2, 0.0, 1.0)

    def support(self) -> tuple[float, float]:
        return self.mean - self.scale, self.mean + self.scale

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        low, high = self.support()
        return lambda x: 0.5 * (x >= low) + 0.5 * (x >= high)

    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        return "sign", self.support()

    def component(self, side: str) -> Law:
        return Rademacher(self.mean if side == "real" else 0.0, self.scale / math.sqrt(2))


@dataclass(frozen=True)
class LogUniform(_Bounded):
    """Independent entries whose logarithm is uniform on [ln low, ln high], 0 < low < high: time steps, rates.

    >>> round(LogUniform(1e-3, 1e-1).moments().mean, 6)
    0.021498
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        self._check_bounds()
        real("LogUniform", "low", self.low, minimum=0, exclusive=True)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        width = math.log(self.high / self.low)
        ratio, top = self.low / self.high, self.high
        m1, m2, m3, m4 = ((1 - ratio**k) / (k * width) for k in (1, 2, 3, 4))  # in units of the upper bound
        variance = m2 - m1**2
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
        return Moments(m1 * top, variance * top**2, third / variance**1.5, fourth / variance**2)

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        return lambda x: np.log(np.clip(x, self.low, self.high) / self.low) / math.log(self.high / self.low)

    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        low, high = math.log(self.low), math.log(self.high)
        return "log_uniform", ((high + low) / 2, (high - low) / 2 * WORD[dtype], *inside(self.low, self.high, dtype))

    def check(self, dtype: str) -> None:
        super().check(dtype)
        if self.low < SMALLEST_NORMAL[dtype]:
            allowed = f"at least {SMALLEST_NORMAL[dtype]:.6g} in {dtype}"
            raise ArgumentError(message("LogUniform", "low", allowed, self.low, "Use a wider dtype."))


@dataclass(frozen=True)
class TruncatedNormal(_Bounded):
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
        self._check_bounds(infinite=True)
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

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        mean, variance, skewness, kurtosis = _truncated_moments(*self.standard_bounds())
        return Moments(self.location + self.scale * mean, self.scale**2 * variance, skewness, kurtosis)

    def describe(self) -> str:
        return f"N({self.location:g}, {self.scale:.4g}²) in [{self.low:.4g}, {self.high:.4g}]"

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        """From the nearer end, so that a far tail keeps its accuracy."""
        low, high = self.standard_bounds()

        def shares(x: Array) -> Array:
            z = np.clip((x - self.location) / self.scale, low, high)
            below = _normal(-low) - _normal(-z) if low > 0 else _normal(z) - _normal(low)
            return np.where(x >= self.high, 1.0, np.clip(below / self.mass(), 0.0, 1.0))

        return shares

    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        """Of the tails; where none can be hit, the engine leaves their numbers out."""
        (below, above), mass = self.tails(), self.mass()
        bounds = inside(self.low, self.high, dtype)
        centre = (below - above) / 2, mass / 2 * WORD[dtype], self.location, self.scale
        return "truncated_tail", (*centre, *bounds, below, above, mass)

    def component(self, side: str) -> Law:
        location, low, high = self._moved(side, self.location, self.low, self.high)
        return TruncatedNormal(location, self.scale / math.sqrt(2), low, high)

    def _reach(self, dtype: str) -> float:  # far bounds are never reached, and may be infinite
        return min(super()._reach(dtype), abs(self.location) + (38.0 if dtype == "float64" else 13.0) * self.scale)


def _truncated_moments(low: float, high: float) -> Moments:
    """Moments of N(0, 1) cut to [low, high], by quadrature.

    SciPy's recursion cancels: against 50 digits, `scipy.stats.truncnorm` (1.17) is wrong by 7e-8 on [10, inf), 2e-8 on
    [8, 9], 1e-3 on [0.3, 0.31] and 0.2 on [-0.001, 0.001]; this by 2e-12 at most.
    """
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
    return Moments.of(mean, second, third, fourth)


_REACH = 13.0  # beyond it the density is below 1e-36 of its largest value


def _normal(z: Array | float) -> Array:
    """Share of a standard normal below z."""
    from scipy.special import ndtr

    return ndtr(z)
