"""Laws without random words: values that are a closed formula of place and shape, or numbers that were given."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from wellbegun._arguments import integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.laws.base import Law, Moments, Shares, set_field

_CHUNK = 1 << 18  # entries that are computed at once


class Computed(Law):
    """Base of laws of one tensor whose entries are a formula: everything else is derived from `rows`.

    A law of your own is a frozen dataclass with a field `size`, the shape with axes in canonical order (outputs first),
    numbers as other fields (`gain`, if a factor is to be taken over), and `rows`. The engine writes it in any part and
    number format, and plans read it back once its class is defined. The values are the same in every part; between
    machines they agree to the rounding of the functions that `rows` calls.

    `support` and `moments` take a pass over all values; a law of large tensors overrides what it knows in closed form.

    >>> @dataclass(frozen=True)
    ... class Ramp(Computed):
    ...     size: tuple[int, ...]
    ...     gain: float = 1.0
    ...     def rows(self, start, stop):
    ...         return self.gain * np.add.outer(np.arange(start, stop), np.arange(self.size[1]))
    >>> from wellbegun import fill
    >>> fill(Ramp((4, 3)), (4, 3), seed=0, region=(slice(1, 3),)).tolist()
    [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    >>> Ramp((4, 3)).support(), Ramp((4, 3), 2.0).moments().mean
    ((0.0, 5.0), 5.0)
    """

    size: tuple[int, ...]

    def __post_init__(self) -> None:
        name = type(self).__name__
        set_field(self, "size", tuple(integer(name, "size", size) for size in self.size))
        for field in fields(self):
            if field.type in (float, "float"):
                set_field(self, field.name, real(name, field.name, getattr(self, field.name)))

    def rows(self, start: int, stop: int) -> Array:
        """Entries [start, stop) along the first axis, in float64: (stop - start, *size[1:]), of a scalar (1,)."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.size:
            raise ArgumentError(message(type(self).__name__, "shape", f"{self.size}, that of its values", shape))

    def _chunks(self) -> Iterator[Array]:
        total, each = (self.size or (1,))[0], max(1, _CHUNK // max(math.prod(self.size[1:]), 1))
        return (self.rows(start, min(start + each, total)) for start in range(0, total, each) if math.prod(self.size))

    @np.errstate(all="ignore")  # what leaves the range of numbers is refused by `moments`
    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        count = max(math.prod(self.size), 1)
        mean = sum(float(rows.sum()) / count for rows in self._chunks())
        reach = max((float(np.abs(rows - mean).max()) for rows in self._chunks()), default=0.0)
        if not reach:
            return Moments(mean, 0.0, math.nan, math.nan)
        powers = np.zeros(3)
        for rows in self._chunks():
            deviations = (rows - mean) / reach
            powers += [float((deviations**power).sum()) / count for power in (2, 3, 4)]
        second, third, fourth = powers.tolist()
        return Moments(mean, second * reach**2, third / second**1.5, fourth / second**2)

    def _distribution(self, shape: tuple[int, ...]) -> Shares:
        ordered = np.sort(np.concatenate([np.zeros(0), *(rows.ravel() for rows in self._chunks())]))
        return lambda x: np.searchsorted(ordered, x, side="right") / max(len(ordered), 1)

    def support(self) -> tuple[float, float]:
        ends = [(float(rows.min()), float(rows.max())) for rows in self._chunks()]
        return min((low for low, _ in ends), default=0.0), max((high for _, high in ends), default=0.0)


@dataclass(frozen=True)
class Given(Computed):
    """Numbers computed elsewhere, kept with the plan: small tables such as state matrices or frequencies.

    >>> Given.of([[1.0, 2.0], [3.0, 4.0]])
    Given(values=(1.0, 2.0, 3.0, 4.0), size=(2, 2))
    """

    values: tuple[float, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "values", tuple(float(value) for value in self.values))
        if len(self.values) != math.prod(self.size):
            raise ArgumentError(
                message("Given", "values", f"{math.prod(self.size)} numbers for {self.size}", len(self.values))
            )
        if not all(math.isfinite(value) for value in self.values):
            raise ArgumentError(message("Given", "values", "finite numbers", "nan or inf"))

    @staticmethod
    def of(array: Iterable[Any]) -> "Given":
        """From an array or nested lists of real numbers."""
        numbers = np.asarray(array, dtype=np.float64)
        return Given(tuple(numbers.ravel().tolist()), numbers.shape)

    def rows(self, start: int, stop: int) -> Array:
        """Of the numbers that were given."""
        return np.array(self.values).reshape(self.size or (1,))[start:stop]

    def describe(self) -> str:
        return f"{len(self.values)} given numbers"

    def _scaled(self, factor: float) -> "Given":
        return Given(tuple(factor * value for value in self.values), self.size)
