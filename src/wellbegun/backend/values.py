"""Values in numbers, what an observer of a pass sees, and the effects that it returns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import Operation


# ---------------------------------------------------------------------- tensors in numbers
class Handle(Protocol):
    """A value of a pass, a gradient or a parameter, in numbers: the tensor itself stays in the framework.

    It speaks of what the tensor holds when it is asked: of a value that an effect has changed, what it is now.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes, as the framework stores them."""

    @property
    def kind(self) -> Literal["real", "complex", "integer"]:
        """What its entries are: truth values count as integers."""

    def norm(self, less: Array | None = None, axis: int = -1) -> float:
        """Root of the sum of squared magnitudes, as if in double precision; 0 for no entries.

        `less`: what is subtracted first, one number for each place along `axis`.
        """

    def minus(self, other: "Handle") -> "Handle":
        """The difference to a value of the same shape."""

    def largest(self) -> float:
        """Largest magnitude; 0 for no entries."""

    def finite(self) -> bool:
        """Whether every entry is."""

    def mean(self, axis: int) -> Array:
        """Mean of each unit over all else, in the precision of the values; units are along `axis`."""

    def part(self, *index: slice | Array) -> "Handle":
        """Some of the entries, by the rules of NumPy: a slice or an array of places for each of the first axes."""

    def transposed(self, axes: Sequence[int]) -> "Handle":
        """The same with its axes in another order."""

    def entries(self, most: int) -> Array:
        """About `most` of the entries, flat: every k-th in row-major order, k = max(1, size // most)."""

    def array(self) -> Array:
        """All entries, for tensors that are small: float32 or wider, complex or integer. Not to be written into."""

    def spread(self, keys: "Handle", scale: float) -> float:
        """Root of the mean variance, over the rows of `keys`, of scale * (this @ keys transposed): for products of
        queries (..., queries, width) and keys (..., keys, width) that are too large to be looked at elsewhere."""


class Attended(NamedTuple):
    """What a built-in attention is asked to compute; axes of queries and keys are (samples, heads, places, width)."""

    query: Handle
    key: Handle
    mask: Handle | None  # added to the logits, or where they are seen
    causal: bool
    scale: float | None  # None: 1 / sqrt(width)


# ---------------------------------------------------------------------- effects
@dataclass(frozen=True, eq=False)
class Scale:
    """Multiply parameters, and values of the pass, so that it goes on as if they had been so from the start.

    Gradients that are sent back later are those of the multiplied parameters. A factor may be an array, one number for
    each unit along `axis` of the values: then there are values only, and no parameters.
    """

    factor: float | Array
    parameters: tuple[str, ...] = ()
    values: tuple[Handle, ...] = ()  # shown earlier, or now; memory that several of them share is multiplied once
    bias: str | None = None  # a parameter that these values contain as a summand, and that is not multiplied
    axis: int = -1  # of the values, where that bias lies, and units
    summand: tuple[Handle, Handle] | None = None  # (x, s): s += (factor - 1) * x, before the values are multiplied


@dataclass(frozen=True, eq=False)
class Shift:
    """Subtract a mean, one number for each unit, from a value of the pass, from a bias, or from both."""

    mean: Array
    value: Handle | None = None
    axis: int = -1  # of the value: where its units are
    bias: str | None = None


Effect: TypeAlias = Scale | Shift


class Observer(Protocol):
    """Sees a forward pass, one operation of the graph after the other, with handles of what went in and came out.

    What it gives is carried out one by one while it is iterated: a generator sees the outcome of an effect when it goes
    on. Inputs are those that depend on the batch, in the order of `operation.inputs` where there are as many.
    """

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterable[Effect]:
        """One operation, directly after it has run."""


class Strayed(BaseException):
    """A pass has left the path of the graph, at this place. No Exception: models that catch those must not go on."""


# ---------------------------------------------------------------------- samples
_GROUP = 4  # neighbouring rows


def looked_at(values: Handle, most: int) -> Array:
    """About `most` entries, evenly spaced, as float64. Of a matrix: some rows in groups of neighbours, which are alike
    where a table follows a pattern, and of wide ones every k-th entry.

    >>> from wellbegun.backend import HostedHandle
    >>> matrix = HostedHandle(lambda: np.arange(600.0).reshape(100, 6))
    >>> looked_at(matrix, 48)[:, 0] / 6
    array([ 0.,  1.,  2.,  3., 96., 97., 98., 99.])
    """
    if len(values.shape) < 2 or 0 in values.shape:
        return values.entries(most).astype(np.float64)
    rows, width = values.shape
    step = -(-width // max(most // _GROUP, 1))
    groups = max(1, most // (_GROUP * -(-width // step)))
    return values.part(_places(rows, groups), slice(None, None, step)).array().astype(np.float64)


@lru_cache(64)
def _places(rows: int, groups: int) -> Array:
    """Of rows, evenly spaced groups: layers repeat."""
    starts = np.linspace(0, max(rows - _GROUP, 0), min(groups, rows)).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(min(_GROUP, rows)))
