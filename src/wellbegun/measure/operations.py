"""What was measured at operations, residual sums and attentions, joined with what the graph says they are."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import WEIGHTED, Analysis, Branch, ModelGraph, Operation, Role
from wellbegun.graph.attention import attentions_of, scoring
from wellbegun.graph.inference import inferred
from wellbegun.graph.residual import aside
from wellbegun.graph.walk import around, batch_norms, depths, forward, leading_to, of_the_batch, weights_before
from wellbegun.health import AttentionStats, OperationStats, StreamStats
from wellbegun.health.catalogue import CHOOSING, ENTROPY, LOGIT_STD
from wellbegun.measure.activations import Shares, shares_of
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.joins import joins
from wellbegun.measure.samples import correlation


@dataclass
class Seen:
    """What one pass gave, and the gradients that came back."""

    forward: ForwardStatistics
    gradients: Mapping[int, float]  # operation -> norm of the gradient at its output
    places: Collection[int]  # where gradients could arrive
    wanted: Collection[int] | None = None  # values that the loss is taken of
    asleep: Collection[int] = ()  # operations whose every way to the output leads through a zero that is meant
    found: "Facts | None" = None

    def gradient(self, index: int) -> float | None:
        """The norm at an operation: 0 where none arrived, None where none can."""
        return None if index in self.asleep else self.gradients.get(index, 0.0 if index in self.places else None)

    def facts(self, graph: Analysis) -> "Facts":
        """What the graph says about it, found once."""
        if self.found is None:
            self.found = _facts(graph, self)
        return self.found


class Facts(NamedTuple):
    """What the graph says about the way of the signal."""

    starts: Mapping[int, float]  # value -> RMS of what came into its stretch without normalization
    renormed: frozenset[int]  # operations with a normalization further on
    depths: Mapping[int, int]  # operation -> weighted operations in series before it
    norms: Mapping[int, int]  # operation -> normalizations over samples before it
    varying: Collection[int]  # operations that depend on the batch, so that samples may differ
    silent: frozenset[int]  # weighted operations that give zeros and have a way around them
    aside: frozenset[int]  # what reaches the output through branches only
    scoring: Collection[int]  # what reaches it through logits of attentions only
    restored: Mapping[int, float]  # value -> largest RMS behind the next normalizations
    joined: Mapping[int, float]  # weighted operation -> RMS of the sum that it goes into
    stopped: frozenset[int]  # weighted operations that nothing but zeros come into, and that nothing leads around
    first: frozenset[int]  # weighted operations that nothing trained stands before
    beside: Mapping[int, tuple[float, float]]  # weighted operation -> RMS of the sum that it is added at, and gradient


_RESETS = frozenset({"norm", "softmax", "statistic"})  # behind which the scale of what came in is forgotten


def weights(graph: ModelGraph, roles: Mapping[str, Role]) -> list[tuple[Operation, Role]]:
    """Weighted operations with the role of their weight."""
    found = []
    for operation in graph.operations:
        names = [use.parameter for use in operation.uses if use.slot in ("weight", "derived", "recurrent_hidden")]
        if operation.kind in WEIGHTED and names and names[-1] in roles:
            found.append((operation, roles[names[-1]]))
    return found


@inferred("how large signals and gradients are", lambda *_: ())
def operation_stats(graph: Analysis, roles: Mapping[str, Role], seen: Seen) -> tuple[OperationStats, ...]:
    """One for each weighted operation, in order."""
    shares, facts = shares_of(graph, seen.forward.samples), seen.facts(graph)
    return tuple(
        _operation(operation, role, seen, shares.get(operation.index), facts)
        for operation, role in weights(graph, roles)
        if operation.index in seen.forward.weighted
    )


def _facts(graph: Analysis, seen: Seen) -> Facts:
    starts, renormed = _starts(graph, seen.forward), leading_to(graph, {"norm"})
    varying = {operation.index for operation in forward(graph, of_the_batch(graph))}
    scores = scoring(graph, seen.wanted or graph.outputs)
    beside: dict[int, tuple[float, float]] = {}
    for index, join in joins(graph, seen.forward, varying, scores).items():
        size = seen.forward.sums[join].rms if join in renormed else starts.get(graph.operations[join].outputs[0])
        beside[index] = seen.forward.sums[join].rms, (seen.gradient(join) or 0.0) * (size or 1.0)
    return Facts(
        starts,
        renormed,
        depths(graph),
        batch_norms(graph),
        varying,
        _silent(graph, seen),
        aside(graph, seen.wanted or graph.outputs),
        scores,
        _restored(graph, seen.forward),
        _joined(graph, seen),
        _stopped(graph, seen),
        _first(graph, seen.forward),
        beside,
    )


def _stopped(graph: Analysis, seen: Seen) -> frozenset[int]:
    """Where functions have made zeros of signals, as thresholds do that nothing reaches, in all places of a weight."""
    found = set[int]()
    places: dict[str, set[int]] = {}
    for index in seen.forward.weighted:
        for use in graph.operations[index].uses:
            places.setdefault(use.parameter, set()).add(index)
    for own in places.values():
        before = (o for index in own for o in _signals_before(graph, index))
        if any(seen.forward.weighted[index].rms_in for index in own) or not own.isdisjoint(seen.asleep):
            continue
        live = any(o.index in seen.forward.weighted and seen.forward.weighted[o.index].rms for o in before)
        if live and not around(graph, own, seen.wanted or graph.outputs):
            found |= own
    return frozenset(found)


def _first(graph: ModelGraph, seen: ForwardStatistics) -> frozenset[int]:
    """Weights that read the batch, or constants and tables that nothing trains, through what nothing trains."""
    behind: set[int] = set()  # values that something trained stands before
    for operation in graph.operations:
        learns = any(graph.parameters[use.parameter].trainable for use in operation.uses)
        if learns or not behind.isdisjoint(operation.inputs):
            behind.update(operation.outputs)
    return frozenset(index for index in seen.weighted if behind.isdisjoint(graph.operations[index].inputs))


def _signals_before(graph: Analysis, index: int) -> Iterator[Operation]:
    inputs = graph.operations[index].inputs[:1]
    return (o for value in inputs for o in weights_before(graph, value, functions=True))


def _operation(
    operation: Operation,
    role: Role,
    seen: Seen,
    shares: Shares | None,
    facts: Facts,
) -> OperationStats:
    index, value, mean, near = operation.index, operation.outputs[0], None, None
    output, gradient, sample = seen.forward.weighted[index], seen.gradient(index), seen.forward.samples.get(value)
    if sample is not None:
        with np.errstate(all="ignore"):
            mean = float(sample.mean(dtype=np.float64))
        if index in facts.varying:
            apart = operation.kind in ("conv", "conv_transpose")  # positions belong to one sample
            near = _near(sample, apart)
    return OperationStats(
        index,
        operation.place,
        operation.kind,
        role.parameter.name,
        "readout" if role.role == "embedding" else role.role,  # a table that is multiplied with reads out
        output.rms_in,
        output.rms,
        output.finite,
        gradient,
        role.ends_branch or index in facts.silent,
        mean=mean,
        correlation=near,
        gradient_rms=None if gradient is None else gradient / math.sqrt(output.entries),
        start_rms=facts.starts.get(value),
        branch=None if role.branch is None else role.branch.add,
        renormed=index in facts.renormed,
        restored=None if index in facts.scoring else facts.restored.get(value),
        depth=facts.depths[index],
        bias=next((use.parameter for use in operation.uses if use.slot == "bias"), ""),
        largest=output.largest,
        joined=facts.joined.get(index),
        fixed_scale=_fixed(operation, index in facts.renormed),
        aside=index in facts.aside,
        scoring=index in facts.scoring,
        norms=facts.norms[index],
        stopped=index in facts.stopped,
        derivative=operation.derivative,
        first=index in facts.first,
        beside=facts.beside.get(index),
        **(shares._asdict() if shares else {}),
    )


def _near(sample: Array | None, apart: bool) -> float | None:
    """Mean cosine between samples, with their positions, or between all positions where they are not `apart`."""
    if sample is None:
        return None
    return correlation(sample if apart else sample.reshape(math.prod(sample.shape[:2]), sample.shape[2]))


def _fixed(operation: Operation, renormed: bool) -> bool:
    """Whether nothing that multiplies its weight reaches the output."""
    weights = [use for use in operation.uses if use.slot in ("weight", "derived")]
    parts = (use.computed.parts.get(use.parameter) for use in weights if use.computed is not None)
    return renormed or any(part is not None and part.what == "free" for part in parts)


def _silent(graph: ModelGraph, seen: Seen) -> frozenset[int]:
    zero = [i for i, found in seen.forward.weighted.items() if not found.rms and graph.outputs]
    return frozenset(index for index in zero if around(graph, {index}, graph.outputs))


def _joined(graph: ModelGraph, seen: Seen) -> dict[int, float]:
    """Of those whose output is only moved, scaled and added: the largest sum on the way."""
    found: dict[int, float] = {}
    for index in seen.forward.weighted:
        readers = graph.consumers.get(graph.operations[index].outputs[0], ())
        while len(readers) == 1 and readers[0].kind in ("move", "scale", "shift", "add") and readers[0].outputs:
            if readers[0].index in seen.forward.sums:
                found[index] = max(found.get(index, 0.0), seen.forward.sums[readers[0].index].rms)
            readers = graph.consumers.get(readers[0].outputs[0], ())
    return found


def _starts(graph: ModelGraph, seen: ForwardStatistics) -> dict[int, float]:
    """Value -> RMS of what came into the stretch without normalization that it belongs to."""
    found: dict[int, tuple[int, float]] = {}  # with the operation at which the stretch began
    for operation in graph.operations:
        known = [found[value] for value in operation.inputs if value in found]
        now = min(known) if known else None
        if operation.kind in _RESETS:
            continue
        if operation.index in seen.tables:
            now = operation.index, seen.tables[operation.index]
        elif operation.index in seen.weighted and now is None:
            now = operation.index, seen.weighted[operation.index].rms_in
        if now is not None:
            found.update(dict.fromkeys(operation.outputs, now))
    return {value: size for value, (_, size) in found.items()}


def _restored(graph: ModelGraph, seen: ForwardStatistics) -> dict[int, float]:
    """Value -> largest RMS behind the normalizations that are next on its ways."""
    found: dict[int, float] = {}
    for operation in reversed(graph.operations):
        here = seen.norms.get(operation.index) if operation.kind in _RESETS else None
        if operation.kind not in _RESETS:
            here = max((found[value] for value in operation.outputs if value in found), default=None)
        for value in operation.inputs if here is not None else ():
            found[value] = max(found.get(value, 0.0), here or 0.0)
    return found


# ---------------------------------------------------------------------- residual sums
@inferred("how residual streams grow", lambda *_: ())
def stream_stats(graph: Analysis, roles: Mapping[str, Role], seen: Seen) -> tuple[StreamStats, ...]:
    """One for each sum x + f(x), in order."""
    branches: dict[int, Branch] = {}
    for role in roles.values():
        if role.branch is not None:
            branches[role.branch.add] = role.branch
    facts = seen.facts(graph)
    ends = {graph.made(graph.plain(branch.value)) for branch in branches.values()}  # of branches with parallel parts
    named = {operation.index: role for operation, role in weights(graph, roles)}
    return tuple(
        found
        for index in sorted(branches.keys() - ends)
        if (found := _stream(graph, branches[index], named, seen, facts)) is not None
    )


def _stream(
    graph: ModelGraph,
    branch: Branch,
    named: Mapping[int, Role],
    seen: Seen,
    facts: Facts,
) -> StreamStats | None:
    operation, total = graph.operations[branch.add], seen.forward.sums.get(branch.add)
    ends = [index for index in branch.ends or sorted(branch.interior) if index in named]
    if total is None or not ends or branch.value not in operation.inputs or len(operation.inputs) != 2:
        return None
    position = operation.inputs.index(branch.value)
    added, stream = total.parts[position], total.parts[1 - position]
    start = facts.starts.get(operation.inputs[1 - position], stream)
    gradient = seen.gradient(branch.add)
    end = graph.operations[ends[-1]]
    share = added / stream if stream else math.inf
    name = named[end.index].parameter.name
    normed = branch.norm in ("pre", "post")
    index, value = branch.add, operation.outputs[0]
    sample = seen.forward.samples.get(value) if index in facts.varying else None
    near = _near(sample, end.kind in ("conv", "conv_transpose"))
    return StreamStats(
        index,
        end.place,
        name,
        total.rms,
        share,
        gradient,
        start,
        normed,
        renormed=index in facts.renormed,
        restored=facts.restored.get(value),
        depth=facts.depths[index],
        aside=index in facts.aside,
        norms=facts.norms[index],
        correlation=near,
    )


# ---------------------------------------------------------------------- attentions
@inferred("how sharp attentions are", lambda *_: ())
def attention_stats(graph: Analysis, seen: Seen) -> tuple[AttentionStats, ...]:
    """One for each attention whose logits could be told, in order."""
    return tuple(_attentions(graph, seen))


def _attentions(graph: Analysis, seen: Seen) -> Iterator[AttentionStats]:
    for attention in attentions_of(graph):
        scores = seen.forward.scores.get(attention.compared)
        if scores is None or not math.isfinite(scores.entropy):
            continue
        makers = [
            maker
            for value in (attention.query, attention.key)
            if value is not None
            for maker in weights_before(graph, value)
        ]
        names = (use.parameter for maker in makers for use in maker.uses if use.slot in ("weight", "derived"))
        operation = graph.operations[attention.compared]
        place, own = operation.place, tuple(dict.fromkeys(names))
        yield AttentionStats(attention.compared, place, scores.std, scores.entropy, scores.keys, own)
    yield from _others(graph, seen, {attention.compared for attention in attentions_of(graph)})


def _others(graph: Analysis, seen: Seen, known: Collection[int]) -> Iterator[AttentionStats]:
    """Softmaxes of features, between weights, that are nearly one-hot. Where their shares weigh what other ways carry,
    as those of experts do, they have to be far nearer."""
    outputs = seen.wanted or graph.outputs
    for index in sorted(seen.forward.scores.keys() - known):
        scores, operation = seen.forward.scores[index], graph.operations[index]
        least = CHOOSING if around(graph, {index}, outputs) else ENTROPY
        loud = scores.std > LOGIT_STD and scores.entropy < least and scores.keys > 3
        if not loud or operation.kind != "softmax" or not operation.inputs:
            continue
        makers = list(weights_before(graph, operation.inputs[0]))
        onwards = forward(graph, operation.outputs)
        if makers and any(reader.index in seen.forward.weighted for reader in onwards):
            uses = (use.parameter for maker in makers for use in maker.uses if use.slot in ("weight", "derived"))
            own = tuple(dict.fromkeys(uses))
            yield AttentionStats(index, operation.place, scores.std, scores.entropy, scores.keys, own)
