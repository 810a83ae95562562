"""Losses that are made up for an output: what they compare it with. Frameworks compute them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, TypeVar

import numpy as np

from wellbegun._typing import Array

T = TypeVar("T")
LEAST_SHARE = 1e-7  # probabilities below count as this, as Keras has it
WHOLE = 1e-3  # how near to 1 the sums of outputs are that are probabilities


def same_entries(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether two shapes are of the same entries, but for axes of length 1."""
    return [n for n in one if n != 1] == [n for n in other if n != 1]


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Mean cross-entropy of logits, whose classes are along `axis`, against labels, one for each row of classes, or
    against rows of probabilities."""

    LEFT_OUT: ClassVar[int] = -100  # the label of rows that do not count

    labels: Array  # int64, of one axis; or float32, of (rows, classes)
    axis: int
    shares: bool = False  # whether the output holds probabilities, and no logits

    @property
    def soft(self) -> bool:
        """Whether it is against rows of probabilities."""
        return self.labels.ndim == 2

    @property
    def classes(self) -> Array:
        """One label for each row, also where it does not count."""
        return np.where(self.labels == self.LEFT_OUT, 0, self.labels)

    @property
    def weights(self) -> Array:
        """What each row counts in the mean, in single precision."""
        return _even(np.ones(len(self.labels), bool) if self.soft else self.labels != self.LEFT_OUT)


@dataclass(frozen=True, eq=False)
class SquaredError:
    """Mean squared error against targets in the shape of the output; of complex outputs, their magnitudes."""

    targets: Array


@dataclass(frozen=True, eq=False)
class BinaryCrossEntropy:
    """Mean cross-entropy of single logits against targets in [0, 1] in the shape of the output."""

    targets: Array  # float32; nan where they do not count
    shares: bool = False  # whether the output holds probabilities, and no logits

    @property
    def known(self) -> Array:
        """Targets with a number in each place."""
        return np.nan_to_num(self.targets)

    @property
    def weights(self) -> Array:
        """What each entry counts in the mean, in single precision."""
        return _even(~np.isnan(self.targets))


MadeUpLoss: TypeAlias = CrossEntropy | BinaryCrossEntropy | SquaredError


def _even(counted: Array) -> Array:
    return np.asarray(counted / max(np.count_nonzero(counted), 1), np.float32)


def classes_of(shape: tuple[int, ...], *, last: bool = False) -> tuple[int, int]:
    """Number of classes of an output and their axis: (N, K), (N, T, K) or (N, K, H, W, ...), where channels are not the
    `last` axis."""
    if len(shape) < 2:
        return 1, 0
    axis = 1 if len(shape) == 2 or (len(shape) > 3 and not last) else len(shape) - 1
    return shape[axis], axis


def called(result: object, *names: str) -> object:
    """What a model calls one of some names in what it returns; None if nothing."""
    found = (result.get(n) if isinstance(result, Mapping) else getattr(result, n, None) for n in names)
    return next((one for one in found if one is not None), None)


def losses_in(result: object) -> tuple[bool, list[object]]:
    """Whether a model calls something its loss or losses, and what; else all that have it in their names."""
    own = called(result, "loss", "losses")
    held = result if isinstance(result, Mapping) else getattr(result, "__dict__", {})
    named = [one for name, one in held.items() if "loss" in str(name).lower()] if own is None else [own]
    return own is not None, named


def main_of(result: object, real: Iterable[T], learns: Callable[[T], bool] = lambda _: True) -> T | None:
    """What losses are taken of: of the `real` outputs the one that a model calls its logits, or the first that learns,
    and no single number, if there are others.

    >>> scale, scores = np.ones(()), np.ones((8, 3))
    >>> main_of((scale, scores), [scale, scores]) is scores, main_of({"logits": scale}, [scores, scale]) is scale
    (True, True)
    """
    logits = called(result, "logits")
    return min(real, key=lambda one: (one is not logits, not learns(one), not getattr(one, "shape", ())), default=None)
