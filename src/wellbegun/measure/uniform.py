"""Outputs that are the same for all samples of a batch whose samples differ."""

from collections.abc import Mapping

from wellbegun.backend import Handle, Session
from wellbegun.graph import WEIGHTED, Analysis, Operation
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import backward, descendants, of_the_batch
from wellbegun.health import UniformOutput
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.reads import ROUNDING, apart, same

_SAMPLES = 4  # least that are compared
_LOOKED = 1 << 10  # entries of an output
_FAINT = 1e-3  # RMS of what a normalization gives that has nothing to enlarge but rounding
_ENLARGED = 1e-4
_ADDED = frozenset({"bias", "shift", "norm_shift", "recurrent_bias_input", "recurrent_bias_hidden"})
_STEPS = (-1.0, 0.0, 1.0)  # what thresholds give, which may be the same by chance


@inferred("whether the output tells samples apart", lambda *_: None)
def uniform_output(
    graph: Analysis, session: Session, seen: ForwardStatistics, handles: Mapping[str, Handle]
) -> UniformOutput | None:
    """Where all samples have the same output, to what rounding leaves, and no weight or factor of zero makes it so:
    behind such ones a net wakes up."""
    output, main = session.output, session.main
    if main is None or output.kind != "real" or len(output.shape) < 2 or output.shape[0] < _SAMPLES:
        return None
    if apart(output, _ENLARGED):  # nearly always, and told by a few entries, before the graph is walked
        return None
    read = {value for value, samples in seen.told_apart().items() if samples == output.shape[0]}
    if main not in (varying := descendants(graph, read)) or set(output.entries(_LOOKED).tolist()) <= {*_STEPS}:
        return None
    way = [o for o in backward(graph, [main]) if not varying.isdisjoint(o.outputs)]
    # a normalization over single values enlarges what rounding leaves of them less their mean
    faint = any(seen.norms.get(o.index, 1.0) < _FAINT for o in way)
    rounding = _ENLARGED if faint else ROUNDING
    if apart(output, rounding):
        return None
    if any(_given_alike(seen, value, output.shape[0]) for value in of_the_batch(graph)):
        return None  # other inputs may say no more than which samples belong together
    weights = {use.parameter for o in way for use in o.uses if use.slot not in _ADDED} & handles.keys()
    if any(not handles[name].largest() for name in weights):
        return None
    known = {o.index: seen.samples[o.outputs[0]] for o in way if o.outputs and o.outputs[0] in seen.samples}
    differ = [i for i in known if len(known[i]) == 1 or not same(known[i].reshape(len(known[i]), -1))]
    alike = [i for i in known if i not in differ]
    if differ and not faint and not any(o.index > max(differ) and _mixes(o) for o in way):
        return None  # what each sample is made of differs: it was rounded away beside a large offset
    # the last one that still tells samples apart, or the first that does not, where all before it is of one sample
    place, behind = (max(differ), not faint) if differ else (min(alike, default=way[0].index), False)
    operation = graph.operations[place]
    return UniformOutput(operation.place, next((use.parameter for use in operation.uses), ""), output.shape[0], behind)


def _given_alike(seen: ForwardStatistics, value: int, samples: int) -> bool:
    """Whether a value of the batch has a row for each sample, and the same for all."""
    rows = seen.reads.samples.get(value) == samples and value in seen.alike
    first = (
        value in seen.inputs and not seen.inputs[value].rms
    )  # zeros, as first states are, are no input of the user's
    return rows or (value not in seen.reads.drawn and seen.reads.lengths.get(value) == samples and not first)


def _mixes(operation: Operation) -> bool:
    """Whether one sample's values may come of others', or of none."""
    own = operation.kind in WEIGHTED or (operation.kind == "norm" and operation.over != "samples")
    own = own or operation.kind in ("pointwise", "scale", "shift", "add", "split", "concat")
    return not (own or (operation.kind == "move" and operation.entries in ("same", "reordered")))
