"""What is measured about a model at initialization. Plain numbers: tensors stop at the framework's probe."""

import math
from dataclasses import dataclass

from wellbegun.health.catalogue import RAW


@dataclass(frozen=True)
class OperationStats:
    """One weighted operation, in order of execution.

    `mean`, `dead`, `saturated` and `correlation` are of at most 64 units and 256 entries of each, evenly spaced: exact
    in small layers. In larger ones shares of units have a standard error below 0.05, those of entries one below 0.03,
    the mean one below 0.01 RMS, and a unit that is alive at less than one in a hundred entries may count as dead.
    """

    index: int
    place: str
    kind: str
    parameter: str  # name of its weight
    role: str  # hidden, residual_out, readout, recurrent, ...
    input_rms: float  # of the signal that comes in
    rms: float  # of its output on the batch
    finite: bool  # whether its whole output is
    gradient: float | None = None  # norm of the loss gradient at its output; None if none arrives
    ends_branch: bool = False  # whether it may start at zero: added to a stream, or zero with a way around it
    mean: float | None = None  # of its output
    dead: float | None = None  # share of units whose activation is flat on the whole batch
    saturated: float | None = None  # share of entries at which the activation is flat
    correlation: float | None = None  # mean cosine between the outputs of two samples (or tokens); 1 is rank collapse
    gradient_rms: float | None = None  # of the loss gradient at its output, for each entry
    start_rms: float | None = None  # of what came into the stretch without normalization that it belongs to
    branch: int | None = None  # the sum at which the residual branch that it is in ends: the stream is judged instead
    renormed: bool = False  # whether a normalization further on forgets its scale
    restored: float | None = None  # largest RMS behind the normalizations that are next
    depth: int | None = None  # weighted operations in series before it
    bias: str = ""  # name of its bias, if it has one
    activation: str = ""  # what `dead` and `saturated` are of
    flat: float | None = None  # share of entries at which that is flat for standard normal input: half for a ReLU
    gates: bool = False  # whether it multiplies something, and may be shut
    units: int = 0  # units that were looked at, for `dead`
    entries: int = 0  # entries of each
    largest: float | None = None  # largest magnitude of its output; None where its norm is within float16's range
    joined: float | None = None  # RMS of the sum that its output goes into, with nothing nonlinear between
    fixed_scale: bool = False  # whether its own scale is forgotten before the loss, as in cosines at a temperature
    aside: bool = False  # whether it reaches the output through residual branches only, or from other places
    scoring: bool = False  # whether it reaches the output through logits of attentions only
    norms: int = 0  # normalizations over samples on the way to it that has the fewest
    stopped: bool = False  # whether nothing but zeros come in, of signals that functions before it lose
    derivative: bool = False  # whether it is a step of a derivative, whose size is not that of a signal
    first: bool = False  # whether nothing that is trained stands before it
    beside: tuple[float, float] | None = None  # of the sum that it is added at, where another way leads: RMS, gradient


@dataclass(frozen=True)
class StreamStats:
    """A sum x + f(x) of a residual stream."""

    index: int
    place: str  # the weighted operation that ends the branch f
    parameter: str  # its weight
    rms: float  # of the sum
    share: float  # RMS of f(x) in units of that of x
    gradient: float | None  # norm of the loss gradient at the sum
    start_rms: float  # of what came into the stretch without normalization that the stream belongs to
    normed: bool  # whether a normalization stands before or behind each branch, so that scales do not multiply
    renormed: bool = False  # whether a normalization further on forgets the scale of the sum
    restored: float | None = None  # as of operations, and so are all that follow
    depth: int | None = None
    aside: bool = False
    norms: int = 0
    correlation: float | None = None


@dataclass(frozen=True)
class AttentionStats:
    """One attention, built in or written by hand; of at most 2 samples, 4 heads and 32 queries."""

    index: int
    place: str
    logit_std: float  # of the logits of one query, over the keys it sees
    entropy: float  # of its weights, in units of the logarithm of the number of keys
    keys: int  # most keys that a query sees
    weights: tuple[str, ...] = ()  # parameters that make queries and keys


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
    gradient_rms: float | None = None
    update: float | None = None  # RMS of its gradient / RMS of its values: relative change by a step of rate 1
    largest: float | None = None  # largest magnitude; None where its norm is within float16's range
    underflow: float | None = None  # share of it that is not zero but would be in float16; None above RMS 1e-4
    by_design: bool = False  # zero, in a branch with a way around it, and about to leave zero
    stuck: bool = False  # zero, and multiplied with what is zero too, before anything reads it
    combined: bool = False  # whether the weight of the operation is computed from it and others
    trainable: bool = True
    used: bool = True  # whether the forward pass reads it
    reaches: bool | None = None  # whether the graph leads from it to what the loss is taken of; None: cannot be told
    elsewhere: bool = False  # whether something that is returned, and that the loss is not taken of, is made of it
    weighs: bool = False  # whether it is the weight of a product, convolution or recurrent layer
    twin: str = ""  # an earlier parameter that holds the same random numbers in other memory
    twin_beside: bool = False  # whether the two stay equal: same input, or same gradient


@dataclass(frozen=True)
class InputStats:
    """One input of the batch, as the model reads it."""

    name: str
    rms: float
    bad: int  # entries that are nan or inf
    entries: int
    low: float | None = None  # least and largest RMS of a column, of those that are not zero, if it has two axes
    high: float | None = None
    constant: int = 0  # columns that are the same in every sample, and not zero
    filled: float = 1.0  # share of entries that are not zero, where it has two axes
    raw: bool = False  # whether a weight reads it as it is, with no normalization directly behind


@dataclass(frozen=True)
class CodebookStats:
    """A table of which each place takes the row that is nearest to it."""

    place: str
    parameter: str
    used: int  # different rows that were taken
    codes: int  # rows
    places: int  # that were looked at


@dataclass(frozen=True)
class UniformOutput:
    """An output that is the same for all samples, though samples of the batch differ."""

    place: str  # the last operation that tells samples apart; the first that does not, if none does
    parameter: str
    samples: int
    behind: bool  # whether `place` tells them apart, so that it is lost behind it


@dataclass(frozen=True)
class BufferStats:
    """A buffer that holds what memory held before anything was written to it."""

    name: str
    low: float  # least and largest of its finite entries
    high: float
    bad: int  # entries that are nan or inf, of those looked at


@dataclass(frozen=True)
class Origin:
    """Where a value, or a gradient on the way back, is the first that is not finite."""

    place: str
    detail: str  # the numbers of what came in
    parameter: str = ""  # that the operation uses
    operation: bool = True  # or else it is the loss


@dataclass(frozen=True)
class LossStats:
    """The loss on the batch, and what it would be by chance."""

    value: float
    chance: float | None  # None if it cannot be told
    description: str  # what loss was used, in words
    made_up: bool = False  # whether it was, as labels and targets of which the description does not say otherwise
    error: float = 0.0  # standard deviation of its value over random labels
    targets_rms: float | None = None  # of the batch's targets, of which it is the squared error
    at_zero: bool = False  # whether the chance was measured, with readouts that give zero
    misfit: str = ""  # what is wrong with the targets of the batch, so that no loss can be taken of them

    @property
    def raw_targets(self) -> float:
        """The RMS of targets that have a raw scale which the model has not learned; 0 of others, as where a bias of the
        output is their mean and what is left is small."""
        size = self.targets_rms or 0.0
        return size if size > RAW and self.value >= max(self.chance or 0.0, RAW**2) else 0.0


@dataclass(frozen=True)
class Statistics:
    """Everything one probe measured."""

    operations: tuple[OperationStats, ...]
    parameters: tuple[ParameterStats, ...]
    loss: LossStats | None
    output_rms: float
    injected: bool = False  # the gradients are those of a random signal at the readout, because the readout is zero
    notes: tuple[str, ...] = ()
    streams: tuple[StreamStats, ...] = ()
    attentions: tuple[AttentionStats, ...] = ()
    jacobian: float | None = None  # root of the mean squared singular value from the first weighted output to the last
    sensitivity: float | None = None  # the same, of relative changes: 1 in a net without biases and saturation
    input_correlation: float | None = None  # of what comes into the first weighted operation
    inputs: tuple[InputStats, ...] = ()
    differentiable: bool = True  # whether the output has a history that gradients could follow
    buffers: tuple[BufferStats, ...] = ()  # that hold nothing sensible
    codebooks: tuple[CodebookStats, ...] = ()
    origin: Origin | None = None  # where values stop being finite
    trained: str = ""  # what shows that the values were trained; "" if nothing does
    blank: tuple[tuple[str, str], ...] = ()  # lookups and tables whose rows are all the same, if nothing else tells
    opening: float = 0.0  # how much samples differ, in cosine, before factors next to nothing that alone let them in
    uniform: UniformOutput | None = None  # an output that is the same for all samples, if no zeros make it so

    @property
    def by_made_up(self) -> bool:
        """Whether the gradients are those of a loss that was made up."""
        return self.loss is not None and self.loss.made_up

    @property
    def finite(self) -> bool:
        """Whether all values and gradients are, as far as they were looked at."""
        known = self.loss is None or math.isfinite(self.loss.value)
        return known and all(o.finite for o in self.operations) and all(p.gradient_finite for p in self.parameters)
