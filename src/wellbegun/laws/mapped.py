"""Monotone functions of drawn values, elementwise: logarithms of rates, biases before a softplus, poles on a ring."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import known, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Moments, Shares, set_field
from wellbegun.laws.dependent import Dependent
from wellbegun.laws.independent import Constant, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.laws.precision import REAL_OF

NUMPY = SimpleNamespace(exp=np.exp, log=np.log, expm1=np.expm1, log1p=np.log1p, maximum=np.maximum)
"""What functions of the table are made of, as NumPy has it; the engine has exact ones, of the same names."""


class Function(NamedTuple):
    """One row of the table. `value` takes a namespace such as NUMPY, x and the row's numbers."""

    value: Callable[..., Array]
    inverse: Callable[..., Array]  # the largest x with value <= y, or the smallest where it falls
    rising: bool = True
    domain: tuple[float, float] = (-math.inf, math.inf)  # open
    numbers: int = 0  # how many it takes; kinks are at these


def _log_gain(y: Array) -> Array:
    return np.where(y >= 0, math.inf, np.log(-0.5 * np.log1p(-np.exp(2 * np.minimum(y, 0)))))


FUNCTIONS: dict[str, Function] = {
    "exp": Function(lambda ops, x: ops.exp(x), lambda y: np.log(np.maximum(y, 0))),
    "log": Function(lambda ops, x: ops.log(x), np.exp, domain=(0.0, math.inf)),
    "at_least": Function(lambda ops, x, c: ops.maximum(x, c), lambda y, c: np.where(y < c, -math.inf, y), numbers=1),
    "inverse_softplus": Function(
        lambda ops, x: x + ops.log(-ops.expm1(-x)), lambda y: np.logaddexp(0, y), domain=(0.0, math.inf)
    ),
    "logit": Function(
        lambda ops, x: ops.log(x) - ops.log1p(-x), lambda y: np.exp(-np.logaddexp(0, -y)), domain=(0.0, 1.0)
    ),
    # a linear recurrent unit stores nu, and its pole has |pole|^2 = exp(-2 e^nu)
    "log_decay": Function(
        lambda ops, x: ops.log(ops.log(x) * -0.5), lambda y: np.exp(-2 * np.exp(y)), rising=False, domain=(0.0, 1.0)
    ),
    # and log gamma = log sqrt(1 - |pole|^2), a function of nu
    "log_gain": Function(lambda ops, x: ops.log(-ops.expm1(ops.exp(x) * -2.0)) * 0.5, _log_gain),
}
"""By the names that plans have: exp x, ln x, max(x, c), ln(e^x - 1), ln(x / (1 - x)), ln(-ln(x) / 2) and
ln(1 - e^(-2 e^x)) / 2."""


class _Function(Law):
    """What `Mapped` and `MappedCopy` share: factor * function(x; numbers) of what `law` draws."""

    law: Law
    function: str
    numbers: tuple[float, ...]
    factor: float

    def _checked(self) -> None:
        owner = type(self).__name__
        if not isinstance(self.law, _DRAWN):
            allowed = "a law that draws every entry for itself (Uniform, Normal, LogUniform, Mapped, ...)"
            raise ArgumentTypeError(message(owner, "law", allowed, self.law))
        row = FUNCTIONS[known(owner, "function", self.function, FUNCTIONS)]
        set_field(self, "numbers", tuple(real(owner, "numbers", number) for number in self.numbers))
        set_field(self, "factor", real(owner, "factor", self.factor))
        if len(self.numbers) != row.numbers:
            raise ArgumentError(message(owner, "numbers", f"{row.numbers} of them for {self.function}", self.numbers))
        (low, high), (least, most) = self.law.support(), row.domain
        if low < least or high > most or least == high or low == most or not self.factor:
            allowed = f"within ({least:g}, {most:g}) for {self.function}, and its factor not 0"
            raise ArgumentError(message(owner, "law", allowed, (self.law, self.factor)))

    def values(self, x: Array, ops: Any = NUMPY) -> Array:
        """The function of draws of `law` in float64. Where it has a pole at an end that they can reach, they keep half
        a step of their words away from it."""
        inner = np.clip(x, *self._ends())
        return self.factor * FUNCTIONS[self.function].value(ops, inner, *self.numbers)

    def _ends(self) -> tuple[float, float]:
        (low, high), reach = self.law.support(), self.law._reach("float64")
        low, high = max(low, -reach), min(high, reach)
        (least, most), half = FUNCTIONS[self.function].domain, 2.0**-54 * (high - low)
        return max(low, least + half), min(high, most - half, math.nextafter(most, -math.inf))

    def _reach(self, dtype: str) -> float:
        return max(abs(bound) for bound in self._bounds(np.array(self._ends())))

    def support(self) -> tuple[float, float]:
        return self._bounds(np.array(self.law.support()))

    @np.errstate(all="ignore")
    def _bounds(self, ends: Array) -> tuple[float, float]:
        found = FUNCTIONS[self.function].value(NUMPY, ends, *self.numbers) * self.factor
        return float(found.min()), float(found.max())

    def check(self, dtype: str) -> None:
        if dtype in REAL_OF:
            self.component("real")  # which says that there is none
        self.law.check("float64")
        super().check(dtype)

    def nodes(self, cuts: tuple[float, ...] = ()) -> tuple[Array, Array]:
        """Points and weights: E g(entry) = sum of weight g(point), for functions that may have kinks at the cuts."""
        inner = [FUNCTIONS[self.function].inverse(np.array(cut / self.factor), *self.numbers) for cut in cuts]
        x, weights = _nodes(self.law, (*self.numbers, *map(float, inner)))
        return self.values(x), weights

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        with np.errstate(all="ignore"):
            x, weights = self.nodes()
            mean = float(weights @ x)
            second, third, fourth = (float(weights @ (x - mean) ** power) for power in (2, 3, 4))
        return Moments.of(mean, second, third, fourth)

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        row, inner = FUNCTIONS[self.function], self.law.distribution(shape)
        assert inner is not None  # every law with independent entries has one
        if row.rising is (self.factor > 0):
            return lambda y: inner(row.inverse(y / self.factor, *self.numbers))
        # P(f(X) <= y) = P(X >= x) = 1 - P(X < x)
        return lambda y: 1.0 - inner(np.nextafter(row.inverse(y / self.factor, *self.numbers), -math.inf))

    def _text(self, of: str) -> str:
        times = "" if self.factor == 1 else f"{self.factor:.4g} × "
        return f"{times}{self.function}({', '.join([of, *(f'{number:.4g}' for number in self.numbers)])})"


@dataclass(frozen=True)
class Mapped(_Function):
    """Independent entries: `factor` times a monotone function of what another such law draws.

    `function` is a name of `FUNCTIONS`, `numbers` are those that it takes besides x. Entries are drawn in float64,
    whatever the dtype, and rounded once: the same bits on any machine, since the function is made of operations that
    IEEE 754 defines exactly, within a few units in the last place of float64. A function that has a pole where the base
    ends (the logarithm of U(0, 1)) is finite at every draw. Real dtypes only. Moments by quadrature, to about 1e-12.

    >>> from wellbegun import fill
    >>> rates = Mapped(Uniform(1.0, 16.0), "log")
    >>> math.isclose(rates.moments().mean, (16 * math.log(16) - 15) / 15)
    True
    >>> steps = Mapped(Mapped(LogUniform(1e-3, 1e-1), "at_least", (0.01,)), "inverse_softplus")
    >>> math.isclose(np.logaddexp(0, fill(steps, 1000, seed=0, dtype="float64")).min(), 0.01)
    True
    """

    _independent = True
    law: Law
    function: str
    numbers: tuple[float, ...] = ()
    factor: float = 1.0
    _scale = "factor"

    def __post_init__(self) -> None:
        self._checked()

    def describe(self) -> str:
        return self._text(self.law.describe())


@dataclass(frozen=True)
class MappedCopy(_Function, Dependent):
    """`factor` times a monotone function of the values of another tensor of the same canonical shape.

    The other tensor has independent entries; it is drawn again in its own dtype, so this one fits what is stored.

    >>> from wellbegun import fill
    >>> law = MappedCopy(Uniform(1.0, 2.0), "rate", (4,), 1.0, "log")
    >>> rate = fill(Uniform(1.0, 2.0), 4, seed=0, name="rate", dtype="float64")
    >>> bool(np.allclose(fill(law, 4, seed=0, name="log_rate", dtype="float64"), np.log(rate), atol=1e-15))
    True
    """

    function: str
    numbers: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        Dependent.__post_init__(self)
        self._checked()

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise ArgumentError(message("MappedCopy", "shape", f"{self.shape}, that of {self.stream!r}", shape))

    def check(self, dtype: str) -> None:
        Dependent.check(self, dtype)
        _Function.check(self, dtype)

    def describe(self) -> str:
        return self._text(f"the values of {self.stream}")


_DRAWN = (Constant, Uniform, Normal, Rademacher, LogUniform, TruncatedNormal, Mapped)


# ---------------------------------------------------------------------- averages over a law
def _nodes(law: Law, cuts: tuple[float, ...]) -> tuple[Array, Array]:
    if isinstance(law, Mapped):
        return law.nodes(cuts)
    if isinstance(law, (Constant, Rademacher)):
        points = np.unique(law.support())
        return points, np.full(len(points), 1 / len(points))
    shares = law.distribution(())
    assert shares is not None
    edges = np.unique([0.0, *shares(np.array(cuts)).tolist(), 1.0])
    lefts, widths = edges[:-1, None], np.diff(edges)[:, None]
    t = np.linspace(-6.0, 6.0, 1201)  # the double exponential rule: ends may be poles
    inner, outer = (1 / (1 + np.exp(sign * np.pi * np.sinh(t))) for sign in (-1, 1))
    weights = widths * np.pi * np.cosh(t) * inner * outer * 0.01
    below, above = lefts + widths * inner, (1 - lefts - widths) + widths * outer
    return _quantiles(law, below.ravel(), above.ravel()), weights.ravel()


def _quantiles(law: Law, below: Array, above: Array) -> Array:
    """The x that has these shares below and above it, counted from the nearer end."""
    from scipy.special import ndtri

    near = below < above
    if isinstance(law, Uniform):
        width = law.high - law.low
        return np.where(near, law.low + width * below, law.high - width * above)
    if isinstance(law, LogUniform):
        width = math.log(law.high / law.low)
        return np.where(near, law.low * np.exp(width * below), law.high * np.exp(-width * above))
    if isinstance(law, Normal):
        return law.mean + law.std * np.where(near, ndtri(below), -ndtri(above))
    assert isinstance(law, TruncatedNormal)
    (left, right), mass = law.tails(), law.mass()
    below, above = left + mass * below, right + mass * above
    return law.location + law.scale * np.where(below < above, ndtri(below), -ndtri(above))
