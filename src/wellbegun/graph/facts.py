"""What a front end tells of one operation: normalized facts, without the framework's names, arrays or types.

Operands are counted from 0 in the order in which they are handed over; python numbers among a framework's arguments are
no operands, but part of a fact.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from wellbegun.graph.function import Function
from wellbegun.graph.model import Arithmetic, Entries, Mode, Over, Reduction, Selection, Slot

Numbers = Literal["real", "complex", "integer"]  # truth values are integers here
Combines = Literal["", "sum", "product", "bound", "select"]
Combined = tuple[Combines, Arithmetic]


class Array(NamedTuple):
    """An array as a front end tells of it. `strides`, in entries, if it may be a view of memory that is laid out
    otherwise; None: row by row."""

    shape: tuple[int, ...]
    numbers: Numbers = "real"
    strides: tuple[int, ...] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def steps(self) -> tuple[int, ...]:
        """Strides, given or those of rows."""
        if self.strides is not None:
            return self.strides
        return tuple(math.prod(self.shape[axis + 1 :]) for axis in range(len(self.shape)))


@dataclass(frozen=True)
class Elementwise:
    """A function of corresponding entries (after broadcasting): a tree over `Root("0")`, `Root("1")`, ... for the
    operands.

    `combines` says what it makes of two arrays, if neither is a number: their sum (or difference), a product (or
    quotient), the larger or smaller ("bound"), or one or the other ("select").
    """

    function: Function
    combines: Combines = ""
    arithmetic: Arithmetic = ""  # if it is one of these and nothing else
    mask: int | None = None  # operand that chooses
    added: int | None = None  # operand that is added to a product
    slope: int | None = None  # operand that holds the slopes below zero
    entries: Entries = ""


@dataclass(frozen=True)
class Contraction:
    """Sums of products, with a letter for each axis as in einsum: `("mk", "kn")`, `"mn"`."""

    labels: tuple[str, ...]  # of each factor; factors are the first operands
    output: str
    factors: tuple[int, ...] = ()  # which operands they are; (): the first ones
    bias: int | None = None  # operand that is added

    def operand(self, factor: int) -> int:
        """The operand that is a factor."""
        return self.factors[factor] if self.factors else factor

    def roles(self, factor: int) -> str:
        """Letters of a layout for a factor that is a weight: i is summed over, o its own, e counts matrices."""
        return _roles(self.labels, self.output, factor)

    def units(self, rank: int) -> int:
        """The last axis of an output of this rank that no factor but one has."""
        alone = _alone(self.labels, self.output)
        return alone[-1] if alone and len(self.output) == rank else rank - 1


@cache
def _roles(labels: tuple[str, ...], output: str, factor: int) -> str:
    others = "".join(letters for place, letters in enumerate(labels) if place != factor)
    return "".join(
        "o" if letter not in others and letter in output
        else "i" if letter in others and letter not in output
        else "e"
        for letter in labels[factor]
    )  # fmt: skip


@cache
def _alone(labels: tuple[str, ...], output: str) -> tuple[int, ...]:
    """Axes of an output that one factor has."""
    return tuple(place for place, letter in enumerate(output) if sum(letter in own for own in labels) == 1)


@cache
def letters(left: int, right: int) -> tuple[tuple[str, str], str]:
    """Letters of two factors of a matrix product by their numbers of axes, and of the product.

    >>> letters(3, 2)
    (('bmk', 'kn'), 'bmn')
    """
    batch = "bcdefgh"[: max(left, right, 2) - 2]
    if left <= 2 < right:  # rows sorted by expert
        return ("mk"[-left:], batch[-(right - 2) :] + "kn"), "mn"[-left:]
    one = batch[len(batch) - max(left - 2, 0) :] + "mk"[-min(left, 2) :]
    two = batch[len(batch) - max(right - 2, 0) :] + "kn"[: min(right, 2)]
    return (one, two), batch + "m" * (left > 1) + "n" * (right > 1)


@dataclass(frozen=True)
class Convolution:
    """A convolution of operand 0 with operand 1, and operand 2, if there is one, added."""

    letters: str  # layout of the weight: "oikk", "kkio", ...
    axis: int  # of the channels of the output
    stride: tuple[int, ...] = (1,)
    groups: int = 1
    transposed: bool = False


@dataclass(frozen=True)
class Gather:
    """Slices of operand 0 picked by operand 1, ... `rank`: axes of the index, if there is one index, of integers.

    `reduction`: of `width` slices to one, as in bags.
    """

    axes: tuple[int, ...]
    rank: int | None = None
    layer: bool = False  # by a layer that looks up rows of a table
    padding: int = -1  # row that stays zero
    reduction: Reduction = ""
    width: int = 0


@dataclass(frozen=True)
class Reduce:
    """Many entries to one, or to a running result. `statistic`: such as a normalization is made of."""

    reduction: Reduction = ""
    statistic: bool = True
    centre: bool = False  # distances: from the rows of one operand to those of the other
    selects: Selection = ""


@dataclass(frozen=True)
class Move:
    """Entries of operand 0 elsewhere, or beside others.

    `axes`: for each axis of the output the axes of operand 0 that it runs over, where that is known. `view`: it runs
    over the memory of operand 0 by its own strides; without `axes` those tell which axes these are (a reshape of rows
    is one too).
    """

    entries: Entries = "same"
    view: bool = False
    axes: tuple[tuple[int, ...], ...] | None = None
    selects: Selection = ""
    reshapes: bool = False  # whether axes may be merged, split or new
    pairs: bool = False  # real and imaginary parts, made complex
    start: tuple[int, ...] = ()  # of a part: the first entry along each axis, where that is known


@dataclass(frozen=True)
class Concat:
    """Arrays one after the other, or stacked."""


@dataclass(frozen=True)
class Split:
    """Parts of one array along an axis, where that is known; of one entry each, without that axis (an unbinding)."""

    view: bool = False  # as for a move
    axis: int | None = None


@dataclass(frozen=True)
class Pool:
    """Averages or maxima of windows."""


@dataclass(frozen=True)
class Scatter:
    """Sums of entries at given places."""


@dataclass(frozen=True)
class Norm:
    """A normalization of operand 0; `weight` and `bias` are the operands that scale and shift."""

    over: Over
    centred: bool
    axis: int  # of units
    weight: int | None = None
    bias: int | None = None


@dataclass(frozen=True)
class Softmax:
    """Over one axis."""

    axis: int
    logarithm: bool = False


@dataclass(frozen=True)
class Attention:
    """Queries, keys and values as operands 0, 1 and 2; what follows is a mask."""

    width: int
    scale: float


@dataclass(frozen=True)
class Recurrent:
    """A whole recurrent layer or cell: the slot of each operand, None for signals.

    `letters`: by slots, of weights that are stored otherwise than as "oi".
    """

    mode: Mode
    gates: int
    slots: tuple[Slot | None, ...] = field(default=())
    letters: Mapping[Slot, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Opaque:
    """Anything else."""

    reduction: Reduction = ""
    selects: Selection = ""


Fact = (
    Elementwise | Contraction | Convolution | Gather | Reduce | Move | Concat | Split | Pool | Scatter | Norm | Softmax
    | Attention | Recurrent | Opaque
)  # fmt: skip
