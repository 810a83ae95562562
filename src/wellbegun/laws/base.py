"""What every law is and can tell: exact moments, support, plain data."""

import math
from dataclasses import fields
from typing import Any, NamedTuple, SupportsFloat

from wellbegun._arguments import real


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

    @property
    def couples(self) -> bool:
        """Whether entries depend on each other such that a region costs as much as the whole."""
        return False

    def scaled(self, factor: SupportsFloat) -> "Law":
        """The law of factor * x, for a finite factor > 0: the same draws, times the factor up to rounding."""
        return self._scaled(real(f"{type(self).__name__}.scaled", "factor", factor, minimum=0, exclusive=True))

    def _scaled(self, factor: float) -> "Law":
        raise NotImplementedError  # pragma: no cover - every law defines it

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        """Exact moments of one entry; `shape` only matters to laws whose scale depends on it."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def fits(self, shape: tuple[int, ...]) -> None:
        """Raise ArgumentError if a tensor of this shape cannot follow the law."""

    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; `law_from_dict` reads it back."""
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]
        return {"law": type(self).__name__, **values}


def plain(value: object) -> object:
    """JSON-ready form of a field."""
    if isinstance(value, float) and math.isinf(value):
        return str(value)  # JSON knows no infinity
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.to_dict() if isinstance(value, Law) else value


def set_field(law: Law, field: str, value: object) -> None:
    """Write a checked value into a frozen law that is being made."""
    object.__setattr__(law, field, value)


def mixture(parts: list[tuple[float, Moments]]) -> Moments:
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
