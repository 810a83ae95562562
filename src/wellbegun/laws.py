"""What one tensor's values are, with final numbers. Plain frozen data; `wellbegun.fill` turns a law into numbers.

Every law knows its exact moments and support. They hold before rounding to a dtype; rounding keeps every value inside
the support of a bounded law.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import numpy as np

from wellbegun._arguments import integer, known, message, real
from wellbegun.errors import ArgumentError, ArgumentTypeError

SMALLEST_MASS = 1e-27  # times 2**-33, the smallest tail that float32 holds without losing bits


class Moments(NamedTuple):
    """Exact moments of one entry. `kurtosis` is E(x-m)^4 / variance^2 (3 for a normal).

    `skewness` and `kurtosis` are nan if the variance is 0.
    """

    mean: float
    variance: float
    skewness: float
    kurtosis: float


class Law:
    """Base of all laws."""

    couples: ClassVar[bool] = False  # entries depend on each other: a region costs as much as the whole

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        """Exact moments of one entry; `shape` only matters to laws whose scale depends on it."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; `law_from_dict` reads it back."""
        values = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]
        return {"law": type(self).__name__, **values}


@dataclass(frozen=True)
class Constant(Law):
    """Every entry is `value`.

    >>> Constant(0.5).moments()
    Moments(mean=0.5, variance=0.0, skewness=nan, kurtosis=nan)
    """

    value: float

    def __post_init__(self) -> None:
        _set(self, "value", real("Constant", "value", self.value))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments(self.value, 0.0, math.nan, math.nan)

    def support(self) -> tuple[float, float]:
        return self.value, self.value


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


@dataclass(frozen=True)
class Normal(Law):
    """Independent entries, normal with `mean` and `std` >= 0. 32-bit words reach 6.76 std.

    >>> Normal(0, 0.5).moments()
    Moments(mean=0.0, variance=0.25, skewness=0.0, kurtosis=3.0)
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        _set(self, "mean", real("Normal", "mean", self.mean))
        _set(self, "std", real("Normal", "std", self.std, minimum=0))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return Moments(self.mean, self.std**2, *((0.0, 3.0) if self.std else (math.nan, math.nan)))

    def support(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.std else (self.mean, self.mean)


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
        _set(self, "location", real("TruncatedNormal", "location", self.location))
        _set(self, "scale", real("TruncatedNormal", "scale", self.scale, minimum=0, exclusive=True))
        _set_interval(self, "TruncatedNormal")
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


@dataclass(frozen=True)
class Orthogonal(Law):
    """Haar-uniform (semi-)orthogonal matrices: every singular value is `gain`.

    The tensor is read as `blocks` matrices stacked along its leading `row_axes` axes; the other axes are columns.
    With rows >= columns, W^T W = gain^2 I, otherwise W W^T = gain^2 I, in each block.
    Entries depend on each other, so a region costs as much as the whole.

    >>> Orthogonal(gain=2.0).moments((8, 4)).variance      # gain^2 / max(rows, columns)
    0.5
    """

    couples: ClassVar[bool] = True

    gain: float = 1.0
    row_axes: int = 1
    blocks: int = 1

    def __post_init__(self) -> None:
        _set(self, "gain", real("Orthogonal", "gain", self.gain, minimum=0, exclusive=True))
        _set(self, "row_axes", integer("Orthogonal", "row_axes", self.row_axes, minimum=1))
        _set(self, "blocks", integer("Orthogonal", "blocks", self.blocks, minimum=1))

    def matrices(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(blocks, rows, columns) of a tensor of this shape."""
        if len(shape) <= self.row_axes:
            allowed = f"a shape with more than {self.row_axes} axes (rows, then columns)"
            raise ArgumentError(message("Orthogonal", "shape", allowed, shape))
        rows, columns = math.prod(shape[: self.row_axes]), math.prod(shape[self.row_axes :])
        if rows % self.blocks:
            raise ArgumentError(message("Orthogonal", "blocks", f"a divisor of the {rows} rows", self.blocks))
        return self.blocks, rows // self.blocks, columns

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        if shape is None:
            raise ArgumentTypeError(message("Orthogonal.moments", "shape", "given", None))
        _, rows, columns = self.matrices(shape)
        size = max(rows, columns, 1)
        return Moments(0.0, self.gain**2 / size, 0.0, 3 * size / (size + 2))

    def support(self) -> tuple[float, float]:
        return -self.gain, self.gain


@dataclass(frozen=True)
class Sections(Law):
    """Blocks along the first axis, each with its own law and its own sub-stream `name#index`.

    >>> Sections(((2, Constant(0)), (2, Constant(1)))).moments().mean
    0.5
    """

    parts: tuple[tuple[int, Law], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ArgumentError(message("Sections", "parts", "at least one (size, law)", self.parts))
        for size, law in self.parts:
            integer("Sections", "size", size, minimum=0)
            if not isinstance(law, Law):
                raise ArgumentTypeError(message("Sections", "parts", "pairs (size, law)", law))

    @property
    def rows(self) -> int:
        """Length of the first axis."""
        return sum(size for size, _ in self.parts)

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        rest = () if shape is None else shape[1:]
        sub = [(size, law.moments(None if shape is None else (size, *rest))) for size, law in self.parts]
        return _mixture([(size / max(self.rows, 1), moments) for size, moments in sub])

    def support(self) -> tuple[float, float]:
        bounds = [law.support() for _, law in self.parts]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "Sections", "parts": [[size, law.to_dict()] for size, law in self.parts]}


@dataclass(frozen=True)
class ZeroRows(Law):
    """`law` with some rows of the first axis set to zero: the padding row of a lookup table.

    >>> ZeroRows(Normal(0, 1), (0,)).moments((4, 8)).variance
    0.75
    """

    law: Law
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message("ZeroRows", "law", "a law", self.law))
        _set(self, "rows", tuple(sorted({integer("ZeroRows", "rows", row) for row in self.rows})))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        if shape is None:
            raise ArgumentTypeError(message("ZeroRows.moments", "shape", "given", None))
        share = len(self.rows) / shape[0]
        return _mixture([(share, Constant(0.0).moments()), (1 - share, self.law.moments(shape))])

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, 0.0), max(high, 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "ZeroRows", "base": self.law.to_dict(), "rows": list(self.rows)}


LAWS: Mapping[str, type[Law]] = {
    law.__name__: law for law in (Constant, Uniform, Normal, TruncatedNormal, Orthogonal, Sections, ZeroRows)
}


def law_from_dict(data: Mapping[str, Any]) -> Law:
    """Read a law back from `Law.to_dict` data.

    >>> law_from_dict(ZeroRows(Normal(0, 1), (0,)).to_dict())
    ZeroRows(law=Normal(mean=0.0, std=1.0), rows=(0,))
    """
    name = known("law_from_dict", "law", data.get("law"), LAWS)
    if name == "Sections":
        return Sections(tuple((size, law_from_dict(part)) for size, part in data["parts"]))
    if name == "ZeroRows":
        return ZeroRows(law_from_dict(data["base"]), tuple(data["rows"]))
    arguments = {
        key: float(value) if value in ("inf", "-inf") else value for key, value in data.items() if key != "law"
    }
    try:
        return LAWS[name](**arguments)
    except TypeError as error:
        raise ArgumentTypeError(f"law_from_dict: {name} does not take {sorted(arguments)}.") from error


# ---------------------------------------------------------------------- helpers
def _set(law: Law, field: str, value: object) -> None:
    object.__setattr__(law, field, value)


def _set_interval(law: "Uniform | TruncatedNormal", owner: str) -> None:
    infinite = isinstance(law, TruncatedNormal)
    _set(law, "low", real(owner, "low", law.low, infinite=infinite))
    _set(law, "high", real(owner, "high", law.high, infinite=infinite))
    if law.low >= law.high:
        raise ArgumentError(
            message(owner, "low", f"below high ({law.high:g})", law.low, "For one value use constant().")
        )


def _plain(value: object) -> object:
    if isinstance(value, float) and math.isinf(value):
        return str(value)  # JSON knows no infinity
    return value.to_dict() if isinstance(value, Law) else value


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


def _mixture(parts: list[tuple[float, Moments]]) -> Moments:
    """Moments of an entry picked from the parts with these weights."""
    mean = sum(weight * part.mean for weight, part in parts)
    second = third = fourth = 0.0
    for weight, part in parts:
        shift, own = part.mean - mean, part.variance
        own_third, own_fourth = (part.skewness * own**1.5, part.kurtosis * own**2) if own else (0.0, 0.0)
        second += weight * (own + shift**2)
        third += weight * (own_third + 3 * own * shift + shift**3)
        fourth += weight * (own_fourth + 4 * own_third * shift + 6 * own * shift**2 + shift**4)
    if not second:
        return Moments(mean, 0.0, math.nan, math.nan)
    return Moments(mean, second, third / second**1.5, fourth / second**2)
