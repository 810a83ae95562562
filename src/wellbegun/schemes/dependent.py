"""Schemes of one parameter that follow from another's law."""

from dataclasses import dataclass

from wellbegun.laws import Law, RowSums
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme


@dataclass(frozen=True, repr=False)
class RowSumScheme(Scheme):
    """`factor` times the row sums of another parameter."""

    rows_of: RowSums

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        self.rows_of.fits(layout.canonical_shape(shape))
        return self.rows_of


def row_sums(law: Law, stream: str, shape: tuple[int, ...], *, factor: float) -> RowSumScheme:
    """The bias that cancels what a constant in every input adds: factor * sum_j W_ij, W of the other parameter.

    Args:
        law, stream, shape: The other parameter's law, stream name and canonical shape (out, in, *window).
        factor: Minus the mean of the inputs.
    Raises: ArgumentError: no rows, or a law that does not fit.
    Use: the layer after a sigmoid, whose outputs have mean 1/2.
    Source: the shift of means: LeCun et al. 1998, Efficient BackProp.

    >>> from wellbegun.laws import Constant
    >>> row_sums(Constant(1.0), "w", (2, 3), factor=-0.5)((2,), seed=0, layout="o").tolist()
    [-1.5, -1.5]
    """
    return RowSumScheme(f"{factor:.6g} x row sums of {stream}", RowSums(law, stream, shape, factor))
