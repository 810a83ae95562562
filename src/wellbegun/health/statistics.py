"""What is measured about a model at initialization. Plain numbers: tensors stop at the framework's probe."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OperationStats:
    """One weighted operation, in order of execution."""

    index: int
    place: str
    kind: str
    parameter: str  # name of its weight
    role: str  # hidden, residual_out, readout, recurrent, ...
    input_rms: float  # of the signal that comes in
    rms: float  # of its output on the batch
    finite: bool  # whether its whole output is
    gradient: float | None = None  # norm of the loss gradient at its output; None if none arrives
    ends_branch: bool = False  # whether the output is added to a residual stream, and may start at zero
    mean: float | None = None  # of its output
    dead: float | None = None  # share of units whose activation is flat on the whole batch
    saturated: float | None = None  # share of entries at which the activation is flat
    correlation: float | None = None  # mean correlation of two samples' outputs; 1 is rank collapse


@dataclass(frozen=True)
class ParameterStats:
    """One parameter."""

    name: str
    role: str
    rms: float
    finite: bool
    gradient: float | None  # norm of its gradient; None if it gets none
    gradient_finite: bool = True
    units: int = 0  # output units of a weight; 0 where units make no sense
    distinct: int = 0  # units with different incoming weights
    locked: int = 0  # units whose weights and gradients both equal another unit's: they will never part
    ends_branch: bool = False  # whether its output is added to a residual stream


@dataclass(frozen=True)
class LossStats:
    """The loss on the batch, and what it would be by chance."""

    value: float
    chance: float | None  # None if it cannot be told
    description: str  # what loss was used, in words


@dataclass(frozen=True)
class Statistics:
    """Everything one probe measured."""

    operations: tuple[OperationStats, ...]
    parameters: tuple[ParameterStats, ...]
    loss: LossStats | None
    output_rms: float
    injected: bool = False  # the gradients are those of a random signal at the readout, because the readout is zero
    notes: tuple[str, ...] = ()
