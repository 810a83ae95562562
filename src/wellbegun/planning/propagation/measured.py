"""What a framework measures of values and gradients: plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wellbegun.theory import Signal


@dataclass(frozen=True)
class Measured:
    """One value on a batch, or the gradient at it. `signal` holds the averages.

    `error` is the relative standard error of its second moment, `contrast_error` the standard error of its correlation,
    both from how much units differ: std over units / sqrt(units), times 1 + 10 / units for the few degrees of freedom.
    Given what comes in, units of a weight with independent rows are independent, and samples add no noise of their own,
    because input and output are averaged over the same ones. (Semi-)orthogonal rows differ less than that.
    """

    signal: Signal
    shape: tuple[int, ...]
    units: int
    error: float
    contrast_error: float


@dataclass(frozen=True)
class Measurement:
    """Values by number, and gradients at the outputs of weights by operation; those of a random signal sent back from
    the operation `sent`."""

    values: Mapping[int, Measured] = field(default_factory=dict)
    gradients: Mapping[int, Measured] = field(default_factory=dict)
    sent: int | None = None
