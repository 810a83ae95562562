"""What is said of the first loss: how far above chance it is, and whether it teaches anything."""

import glob
import math

from wellbegun.health.catalogue import FIXED_RATIO, LOSS_RATIO, LOUDER, SQUARED_RATIO, TRAINED_RATIO
from wellbegun.health.depth import hidden_operations, readouts
from wellbegun.health.findings import Finding, finding
from wellbegun.health.remedies import Remedy
from wellbegun.health.statistics import OperationStats, Statistics

AT_TARGETS = "the batch's targets"  # a place


def first_loss(statistics: Statistics) -> list[Finding]:
    """Whether the loss is far above what it is for a model that knows nothing, and which weight makes it so."""
    loss = statistics.loss
    if loss is None or loss.chance is None:
        return []
    usual = SQUARED_RATIO if loss.at_zero or loss.targets_rms is not None else LOSS_RATIO
    bound = TRAINED_RATIO if statistics.trained and statistics.by_made_up else usual
    if loss.value - loss.error <= bound * loss.chance or loss.raw_targets:
        return []
    if bound * loss.chance < (loss.targets_rms or 0.0) ** 2 < bound * loss.value:  # the error of an output of zero
        detail = f"targets of RMS {loss.targets_rms:.3g} have a standard deviation of {math.sqrt(loss.chance):.3g}"
        words = "# subtract their mean from the targets, or let the bias of the readout start at it"
        return [finding("W501", AT_TARGETS, loss.value / loss.chance, bound, detail=detail, remedy=words)]
    last = [*readouts(statistics), *statistics.operations[-1:]]
    unless = "it was trained" if statistics.by_made_up else ""  # labels that were made up do not tell
    ratio, detail = loss.value / loss.chance, f"the output has RMS {statistics.output_rms:.3g}"
    if last and last[0].fixed_scale:  # a temperature decides it, and no first value of a weight
        if ratio <= FIXED_RATIO:
            return []
        words = "# lower what the output is multiplied with, as a temperature: the scale of no weight reaches it"
        told = last[0].place, ratio, FIXED_RATIO, last[0].parameter
        return [finding("W501", *told, detail=detail, remedy=words, unless=unless)]
    if not last:
        return [finding("W501", "loss", ratio, bound, detail=detail, unless=unless)]
    loudest = _loudest(statistics, last[0])
    if loudest is not last[0]:
        detail += f", and the signal grows {loudest.rms / loudest.input_rms:.3g} times here"
        return [finding("W501", loudest.place, ratio, bound, loudest.parameter, detail=detail, unless=unless)]
    name = last[0].parameter
    tied = any(parameter.name == name and parameter.role == "embedding" for parameter in statistics.parameters)
    rule = "normal(std=0.02)" if tied else "zeros"  # a table of zeros would silence the input too
    detail += ", and the weight behind it is the embedding" if tied else ""
    own = tuple(glob.escape(one) for one in (name, last[0].bias) if one)
    calls = tuple(Remedy(own[:most], tuple((one, rule) for one in own[:most])) for most in range(1, len(own) + 1))
    return [finding("W501", last[0].place, ratio, bound, name, detail=detail, first=calls, unless=unless)]


def _loudest(statistics: Statistics, readout: OperationStats) -> OperationStats:
    """The readout, unless a layer from which no normalization parts it enlarges the signal far more than it does."""
    inside = [
        o
        for o in hidden_operations(statistics)
        if o.branch is None and o.start_rms == readout.start_rms and o.index < readout.index
    ]
    loudest = max(inside, key=lambda o: o.rms / o.input_rms, default=readout)
    own = readout.rms / readout.input_rms if readout.input_rms else 0.0
    return loudest if inside and loudest.rms / loudest.input_rms > LOUDER * own else readout


def unmoved(statistics: Statistics) -> list[Finding]:
    """A loss of the user's or the model's whose gradient is exactly zero everywhere: no step moves anything. Where it
    does send a gradient, which gets lost in the net, other checks say where."""
    loss = statistics.loss
    got = [p for p in statistics.parameters if p.trainable and p.gradient is not None]
    if loss is None or loss.made_up or statistics.trained or not got or any(p.gradient for p in got):
        return []
    sent = readouts(statistics) if statistics.injected else statistics.operations  # before those it is not the loss's
    if any(operation.gradient for operation in sent):
        return []
    detail = f"{loss.description} is {loss.value:.3g}, and its gradient is exactly zero at all of {len(got)} parameters"
    words = "# look at what the loss is multiplied with, and at margins and clips that it is behind"
    return [finding("W801", "loss", 0.0, 0.0, detail=detail, remedy=words)]
