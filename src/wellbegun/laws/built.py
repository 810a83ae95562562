"""Laws whose tensor is computed as a whole from another draw: factors of one matrix, values that share words."""

from dataclasses import dataclass

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentTypeError
from wellbegun.laws.base import Law


@dataclass(frozen=True)
class Built(Law):
    """Base of laws that draw one array in float64 and compute the tensor from all of it: everything else is in `source`
    and `whole`.

    Tensors that belong together name one `stream` and compute their parts of the same draw: both factors of a product,
    the parts of a decomposition. Without a name the draw is in the tensor's own stream. A region costs as much as the
    whole; where `whole` calls LAPACK, results agree between machines to rounding, not bitwise.

    >>> from wellbegun import fill
    >>> from wellbegun.laws import Moments, Normal
    >>> @dataclass(frozen=True)
    ... class Sorted(Built):
    ...     def source(self, shape):
    ...         return Normal(0, 1), shape
    ...     def whole(self, drawn, shape):
    ...         return sorted(drawn)
    ...     def _moments(self, shape):
    ...         return Moments(0.0, 1.0, 0.0, 3.0)
    >>> values = fill(Sorted(), 5, seed=0)
    >>> bool((values[1:] >= values[:-1]).all())
    True
    """

    stream: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.stream, str):
            raise ArgumentTypeError(message(type(self).__name__, "stream", "the name of a stream", self.stream))

    @property
    def couples(self) -> bool:
        return True

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        """What is drawn for a tensor of this shape: a law, and the shape of the draw."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """The tensor, computed from the draw."""
        raise NotImplementedError  # pragma: no cover - every law defines it

    def support(self) -> tuple[float, float]:
        return -float("inf"), float("inf")

    def _reach(self, dtype: str) -> float:
        """Of numbers of ordinary size; a law that may be beyond knows it."""
        return 0.0
