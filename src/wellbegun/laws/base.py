"""What every law is and can tell: exact moments, support, distribution, how it is drawn, plain data."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, NamedTuple, SupportsFloat

import numpy as np

from wellbegun._arguments import guarded, known, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.precision import LARGEST, REAL_OF

Shares = Callable[[Array], Array]
"""x -> the share of entries that are at most x."""


class Moments(NamedTuple):
    """Exact moments of one entry. `kurtosis` is E(x-m)^4 / variance^2 (3 for a normal).

    `skewness` and `kurtosis` are nan if the variance is 0.
    """

    mean: float
    variance: float
    skewness: float
    kurtosis: float

    @staticmethod
    def of(mean: float, second: float, third: float, fourth: float) -> "Moments":
        """From the mean and central moments."""
        if not second:
            return Moments(mean, 0.0, math.nan, math.nan)
        return Moments(mean, second, third / second**1.5, fourth / second**2)


class Piece(NamedTuple):
    """Rows [start, stop) of a tensor that have a law of their own; stop None is the last row."""

    law: "Law"
    start: int
    stop: int | None
    stream: int | None  # sub-stream that it is drawn from, if not the tensor's own


@dataclass(frozen=True)
class Law:
    """Base of all laws."""

    _scale: ClassVar[str] = "gain"  # the field that a factor multiplies
    _couples: ClassVar[bool] = False  # what the properties of these names say of all laws of a class
    _independent: ClassVar[bool] = False
    _dense: ClassVar[bool] = True

    def __init_subclass__(cls) -> None:
        """What a law checks of its fields fails with an error of ours, whatever they are."""
        if (check := vars(cls).get("__post_init__")) is not None:
            cls.__post_init__ = _checked(check)  # type: ignore[attr-defined]

    @property
    def couples(self) -> bool:
        """Whether entries depend on each other such that a region costs as much as the whole."""
        return self._couples

    @property
    def independent(self) -> bool:
        """Whether every entry is drawn for itself, whatever the shape."""
        return self._independent

    @property
    def dense(self) -> bool:
        """Whether all entries of a row are alike; False where most are zero by design."""
        return self._dense

    @property
    def mirrored(self) -> tuple[bool, bool]:
        """Whether outputs, and inputs, come in pairs of opposite sign."""
        return False, False

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What is drawn one after the other, where rows have different laws; later pieces win."""
        return ()

    def describe(self) -> str:
        """The law in a few characters, for tables."""
        return repr(self)

    def scaled(self, factor: SupportsFloat) -> "Law":
        """The law of factor * x, for a finite factor > 0: the same draws, times the factor up to rounding."""
        return self._scaled(real(f"{type(self).__name__}.scaled", "factor", factor, minimum=0, exclusive=True))

    def _scaled(self, factor: float) -> "Law":
        return replace(self, **{self._scale: factor * getattr(self, self._scale)})

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        """Exact moments of one entry; `shape` only matters to laws whose scale depends on it."""
        with guarded(f"{type(self).__name__}.moments", self):
            found = self._moments(shape)
            if not (math.isfinite(found.mean) and math.isfinite(found.variance)):
                raise OverflowError
        return found

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        raise NotImplementedError  # pragma: no cover - every law defines it

    def distribution(self, shape: tuple[int, ...]) -> Shares | None:
        """The distribution function of one entry of a tensor, picked at random: P(entry <= x).

        Args:
            shape: Of the tensor, axes in canonical order.
        Returns:
            A function of an array; None for structured orthogonal matrices and `RowSums`, which have no closed form.
        Cost: a few operations for each x.

        >>> from wellbegun.laws import Uniform
        >>> Uniform(-1, 1).distribution((3, 4))([-2.0, 0.0, 0.5, 2.0]).tolist()
        [0.0, 0.5, 0.75, 1.0]
        """
        shares = self._distribution(shape)
        return None if shares is None else np.errstate(all="ignore")(lambda x: shares(np.asarray(x, dtype=np.float64)))

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        return None

    def fits(self, shape: tuple[int, ...]) -> None:
        """Raise ArgumentError if a tensor of this shape cannot follow the law."""

    def support(self) -> tuple[float, float]:
        """Smallest and largest possible value."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def block(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Rows and columns of what is drawn as one matrix in a tensor of this shape."""
        return shape[0], math.prod(shape[1:])

    # ------------------------------------------------------------------ how independent entries are drawn
    def transform(self, dtype: str) -> tuple[str, tuple[float, ...]]:
        """Name of the function of `wellbegun.engine.transforms` that turns random words into values, and its numbers.

        A word w is a signed integer, and `WORD[dtype]` times w is in [-1, 1).
        """
        raise TypeError(f"no transform for {self!r}")  # a programming error: only laws that have one are asked

    def component(self, side: str) -> "Law":
        """Law of the "real" or "imag" part of complex values: both parts are independent, in sub-streams of that name.

        z = x + iy has E z = mean and E |z - mean|^2 = variance: x and y follow the law shrunk by sqrt(2) about its
        mean, y around 0. (Filling both parts with the law itself, as some libraries do for uniform laws, doubles the
        variance.)

        >>> from wellbegun.laws import Normal
        >>> round(Normal(1.0, 2.0).component("imag").moments().variance, 12)
        2.0
        """
        allowed = "one with a complex form (normal, uniform, truncated normal, Rademacher, orthogonal)"
        raise ArgumentError(message("fill", "law", allowed, self, "Use a real dtype."))

    # ------------------------------------------------------------------ number formats
    def check(self, dtype: str) -> None:
        """Raise ArgumentError if a value could overflow `dtype`, so that nothing non-finite is ever written."""
        limit = LARGEST[REAL_OF.get(dtype, dtype)]
        if not self._reach(REAL_OF.get(dtype, dtype)) <= limit:  # nor where it is nan
            allowed = f"within the range of {dtype} (largest value {limit:.6g})"
            raise ArgumentError(message("fill", "law", allowed, self, "Use a wider dtype or a smaller scale."))

    def _reach(self, dtype: str) -> float:
        """The largest magnitude that a draw in a real dtype can have."""
        return max(abs(bound) for bound in self.support())

    # ------------------------------------------------------------------ plain data
    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data; `law_from_dict` reads it back."""
        values = {_KEYS.get(field.name, field.name): _plain(getattr(self, field.name)) for field in fields(self)}
        return {"law": type(self).__name__, **values}


_KEYS = {"law": "base"}  # of fields whose name has another meaning in the data


def _plain(value: object) -> object:
    """JSON-ready form of a field."""
    if isinstance(value, float) and math.isinf(value):
        return str(value)  # JSON knows no infinity
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if isinstance(value, Law) else value


def law_classes(base: type[Law] = Law) -> Iterator[type[Law]]:
    """Every class of laws, in the order of definition, without those that only share code."""
    for law in base.__subclasses__():
        shared = law.__name__[0] == "_" or "_shared" in vars(law)
        if "__dataclass_fields__" in vars(law) and law._moments is not Law._moments and not shared:
            yield law
        yield from law_classes(law)


def law_from_dict(data: Mapping[str, Any]) -> Law:
    """Read a law back from `Law.to_dict` data.

    >>> from wellbegun.laws import Normal, ZeroRows
    >>> law_from_dict(ZeroRows(Normal(0, 1), (0,)).to_dict())
    ZeroRows(law=Normal(mean=0.0, std=1.0), rows=(0,))
    """
    if not isinstance(data, Mapping):
        raise ArgumentTypeError(message("law_from_dict", "law", "a JSON object", data))
    classes = {law.__name__: law for law in law_classes()}
    name = known("law_from_dict", "law", data.get("law"), classes)
    own = {field.name for field in fields(classes[name])}
    names = {key: field for field, key in _KEYS.items() if key not in own}
    arguments = {names.get(key, key): _read(value) for key, value in data.items() if key != "law"}
    with guarded("law_from_dict", data):
        return classes[name](**arguments)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_read, value))
    if isinstance(value, dict):
        return law_from_dict(value)
    return float(value) if value in ("inf", "-inf") else value


def set_field(law: Law, field: str, value: object) -> None:
    """Write a checked value into a frozen law that is being made."""
    object.__setattr__(law, field, value)


def _checked(check: Callable[["Law"], None]) -> Callable[["Law"], None]:
    def checked(law: "Law") -> None:
        try:
            check(law)
        except Exception:  # of any kind: told with its cause
            with guarded(type(law).__name__, tuple(vars(law).values())):
                raise

    return checked


# ---------------------------------------------------------------------- mixtures
class Part(NamedTuple):
    """One of the laws that an entry is picked from: how often, in a tensor of which shape, times which sign."""

    weight: float
    law: Law
    shape: tuple[int, ...] | None
    sign: int = 1


class Mixture(Law):
    """A law whose entries are picked from parts."""

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        """The laws that an entry of a tensor is picked from."""
        raise NotImplementedError  # pragma: no cover - every mixture defines it

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return mixture([(part.weight, _signed(part.law.moments(part.shape), part.sign)) for part in self.mix(shape)])

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        parts = [part for part in self.mix(shape) if part.weight > 0]
        each = [(part, part.law.distribution(part.shape or shape)) for part in parts]
        if not each or any(shares is None for _, shares in each):
            return None
        return lambda x: sum(
            (part.weight * _at(shares, part.sign, x) for part, shares in each if shares is not None),
            start=np.zeros(np.shape(x)),
        )


def shape_needed(law: Law, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape, or an error that asks for it."""
    if shape is None:
        raise ArgumentTypeError(message(f"{type(law).__name__}.moments", "shape", "given", None))
    return shape


def _signed(moments: Moments, sign: int) -> Moments:
    return moments if sign > 0 else moments._replace(mean=-moments.mean, skewness=-moments.skewness)


def _at(shares: Shares, sign: int, x: Array) -> Array:
    """Of the entry, or of its negative: P(-y <= x) = 1 - P(y < -x)."""
    return shares(x) if sign > 0 else 1.0 - shares(np.nextafter(-x, -np.inf))


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
    return Moments.of(mean, second, third, fourth)
