"""Laws whose tensor is computed as a whole from another draw: factors of one matrix, values that share words."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentTypeError
from wellbegun.laws.base import Law, Moments, shape_needed

_ENTRIES = 1 << 13  # that moments are taken of, or all of one tensor's


@dataclass(frozen=True)
class Built(Law):
    """Base of laws that draw one array in float64 and compute the tensor from all of it: everything else is in `source`
    and `whole`.

    Tensors that belong together name one `stream` and compute their parts of the same draw, where the seed is one: both
    factors of a product, the parts of a decomposition. Without a name the draw is in the tensor's own stream. A region
    costs as much as the whole; where `whole` calls LAPACK, results agree between machines to rounding, not bitwise.
    Where the draw is standard normal, moments are those of simulated tensors, the same each time: one large one, or as
    many small ones as it takes; laws of large ones know better.

    >>> from wellbegun import fill
    >>> from wellbegun.laws import Normal
    >>> @dataclass(frozen=True)
    ... class Sorted(Built):
    ...     def source(self, shape):
    ...         return Normal(0, 1), shape
    ...     def whole(self, drawn, shape):
    ...         return sorted(drawn)
    >>> values = fill(Sorted(), 5, seed=0)
    >>> bool((values[1:] >= values[:-1]).all())
    True
    """

    _couples = True
    stream: str = ""
    _shared = True  # no law by itself
    in_parts: ClassVar[bool] = False  # whether real and imaginary parts are drawn each by its `component`

    def __post_init__(self) -> None:
        if not isinstance(self.stream, str):
            raise ArgumentTypeError(message(type(self).__name__, "stream", "the name of a stream", self.stream))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        """What is drawn for a tensor of this shape: a law, and the shape of the draw."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """The tensor, computed from the draw."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        size = shape_needed(self, shape)
        self.fits(size)
        return self._simulated(size)

    def _simulated(self, size: tuple[int, ...]) -> Moments:
        random, shape = np.random.default_rng(0), self.source(size)[1]
        draws = min(max(_ENTRIES // max(math.prod(size), 1), 1), 256)
        values = np.stack([self.whole(random.standard_normal(shape), size) for _ in range(draws)])
        mean = float(values.mean()) if values.size else 0.0
        second, third, fourth = (float(((values - mean) ** power).sum()) / max(values.size, 1) for power in (2, 3, 4))
        return Moments.of(mean, second, third, fourth)

    def support(self) -> tuple[float, float]:
        return -math.inf, math.inf

    def _reach(self, dtype: str) -> float:
        """Of numbers of ordinary size, where the law does not know better."""
        reach = super()._reach(dtype)
        return reach if reach < math.inf else 0.0
