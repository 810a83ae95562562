"""Schemes that give one law, whatever the tensor: those of a parameter that follows from another, or given values."""

from wellbegun.laws import Law, RowSums
from wellbegun.schemes.fixed import FixedScheme


def fixed_law(law: Law) -> FixedScheme:
    """The scheme that gives this law to a tensor that it fits.

    >>> from wellbegun.laws import Given
    >>> fixed_law(Given.of([1.0, 2.0]))((2,), seed=0, layout="o").tolist()
    [1.0, 2.0]
    """
    return FixedScheme(law.describe(), law)


def row_sums(law: Law, stream: str, shape: tuple[int, ...], *, factor: float) -> FixedScheme:
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
    return fixed_law(RowSums(law, stream, shape, factor))
