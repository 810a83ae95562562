"""Structured matrices: values that follow from the place in the tensor, without random words."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, real
from wellbegun._typing import Array
from wellbegun.errors import LayoutError
from wellbegun.laws import Computed, Law
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, blockwise, spell
from wellbegun.schemes.card import near, publish, scheme


@dataclass(frozen=True)
class Sinusoidal(Computed):
    """Rows that are waves along the flattened inputs; see `sinusoidal`."""

    size: tuple[int, ...]
    gain: float = 1.0
    variant: str = "official"

    def waves(self) -> tuple[Array, Array]:
        """Whole periods of each row, and its phase in periods."""
        rows, columns = self.size[0], max(math.prod(self.size[1:]), 1)
        if self.variant == "official":
            index = np.arange(1, rows + 1)
            return index, index % rows / max(rows, 1)
        distinct = max((columns - 1) // 2, 1)
        turns, index = np.divmod(np.arange(rows), distinct)
        return index + 1, turns / (2 * max(-(-rows // distinct), 1))

    def rows(self, start: int, stop: int) -> Array:
        columns = math.prod(self.size[1:])
        periods, phase = (part[start:stop, None] for part in self.waves())
        turns = periods * np.arange(columns) % max(columns, 1) / max(columns, 1)  # whole turns taken off while exact
        return (self.gain * np.sin(2 * np.pi * (turns + phase))).reshape(-1, *self.size[1:])

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)

    def variance(self) -> float:
        """Of the entries where gain is 1, as of a sample; in closed form, as rows are sampled over whole periods."""
        columns, (periods, phase) = math.prod(self.size[1:]), self.waves()
        levels = np.sin(2 * np.pi * phase)
        squares = np.where(2 * periods % columns == 0, columns * levels**2, columns / 2).sum()
        mean = np.where(periods % columns == 0, columns * levels, 0.0).sum() / (len(periods) * columns)
        return float((squares - len(periods) * columns * mean**2) / (len(periods) * columns - 1))


@dataclass(frozen=True, repr=False)
class SinusoidalScheme(Scheme):
    """A law for each section and group."""

    gain: float
    variant: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return blockwise(self.spelling, shape, layout, self._one)

    def _one(self, size: tuple[int, ...]) -> Law:
        plain = Sinusoidal(size, 1.0, self.variant)
        columns = math.prod(size[1:])
        if columns < 3 or not size[0] or not (variance := plain.variance()) > 1e-12:
            allowed = "one with 3 inputs or more, and rows that are not all 0"
            raise LayoutError(message(self.spelling, "shape", allowed, size))
        return Sinusoidal(size, self.gain * math.sqrt(2 / (size[0] + columns) / variance), self.variant)


@scheme(
    formula=(
        "Sinusoidal: W_ij = a sin(i (2 pi j / n + 2 pi / m)) for output i = 1..m and flattened input j = 0..n-1, a "
        "such that entries have the variance 2 gain^2 / (m + n)."
    ),
    shapes="matrices and kernels of 3 flattened inputs or more; each section and group is one of its own.",
    strengths="no random numbers at all, and the scale of Xavier's; rows cover low and high frequencies.",
    weaknesses=(
        "the published rows repeat each other past half of the inputs: (64, 64) has rank 31 and two rows of zeros; "
        "'distinct' does not."
    ),
    use="where a start is to be the same without a seed.",
    source="Fernandez-Hernandez et al. 2025, arXiv:2505.12909; the variant 'distinct' is ours.",
    tensors="hidden convolution",
    example="sinusoidal(variant='distinct')",
    invariants={
        "Var W = 2 gain^2 / (m + n)": lambda w: near(np.array(w.var(ddof=1)), np.array(2 / sum(w.shape))),
        "sum of each row = 0": lambda w: near(w.sum(axis=1), np.zeros(len(w))),
    },
)
def sinusoidal(*, gain: float = 1.0, variant: str = "official") -> SinusoidalScheme:
    """Args:
        gain: > 0, dimensionless.
        variant: "official": as published. "distinct": frequencies stay below half of the inputs, and what is beyond
            starts again with another phase, so that the rank is min(m, 2 ((n - 1) // 2)).
    Raises: ArgumentError here: arguments. LayoutError at the draw: fewer than 3 inputs, experts, rows that are all 0.

    >>> ranks = [np.linalg.matrix_rank(sinusoidal(variant=v)((64, 64), seed=0, dtype="float64"))
    ...          for v in ("official", "distinct")]
    >>> [int(rank) for rank in ranks]
    [31, 62]
    """
    number = real("sinusoidal", "gain", gain, minimum=0, exclusive=True)
    choice("sinusoidal", "variant", variant, ("official", "distinct"))
    options = {"gain": number, "variant": variant}
    text = spell("sinusoidal", options, {"gain": 1.0, "variant": "official"})
    return SinusoidalScheme(text, number, variant)


publish(globals())
