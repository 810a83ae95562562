"""The observer that corrects: it measures what weights give, has it multiplied on the way, and remembers the factors.

The output of a linear operation is proportional to its weight, so scaling the output on the way is scaling the weight.
In place (`in_place`) the weight itself is scaled at once too: what the framework keeps for its backward pass is then
that of the corrected model, and one pass both corrects and checks. Everything between a weight and the place where its
size is judged is kept from the observer behind this one until it is judged, and multiplied there.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Effect, Handle, Observer, Scale, Session, Shift
from wellbegun.graph import WEIGHTED, Analysis, Branch, Operation, is_multiplied, roles_of, way
from wellbegun.graph.inference import doubt, inferred
from wellbegun.graph.walk import backward
from wellbegun.laws import Constant, Copied, Dependent, RowSums
from wellbegun.measure.logits import Delay, Pair, Step, pairs_of
from wellbegun.measure.samples import rms, size_of, unit_axis
from wellbegun.planning import Entry, Plan

TOLERANCE = 0.02  # relative deviation from the target that is left alone
SAMPLES = 8  # least entries a measured mean is taken of
SHARE = 0.02  # least share of a readout's output that must differ between samples for its mean to be cancelled
GROW = 3.0  # most that a readout is enlarged because what its samples have in common was cancelled, or logits are
LOGITS = 2.0  # logits of an attention are left alone if their std is off 1 by less than this factor
LIMIT = 4.0  # factors beyond it in all, or below its inverse, are a sign of something else: told, and not applied whole
RAW = 16.0  # factor by which what comes before all weights may be too large to be made up for at all


@dataclass
class Sum:
    """A branch with a target, judged at its sum; before what multiplies it on the way there, which is a design."""

    branch: Branch
    delay: Delay
    multiplied: bool
    names: list[str] = field(default_factory=list)
    sizes: dict[int, float] = field(default_factory=dict)  # of what its ends give, where it is multiplied


class Correction:
    """Observer of the pass; `behind` is the observer that sees what is corrected, where the pass is corrected in
    place."""

    def __init__(self, session: Session, plan: Plan, targets: Mapping[str, Entry], behind: Observer) -> None:
        self.graph, self.read, self.targets, self.behind = Analysis.of(session.graph), session.read, targets, behind
        self.doubts: dict[str, str] = {}  # what could not be told, and why
        self.factors: dict[str, float] = {}
        self.because: dict[str, str] = {}  # weight -> why it was corrected once more
        self.refused: dict[str, tuple[float, float, str]] = {}  # weight -> factor asked for, applied, and what for
        self.raw = False  # whether the batch is of another size: then nothing behind makes up for it
        self.centred: dict[str, tuple[str, Array]] = {}  # weight -> its bias, and the mean it cancels
        self.entries = {entry.name: entry for entry in plan.entries}
        self.followers: dict[str, list[str]] = {}  # weight -> biases whose law follows from its own
        for entry in plan.entries:
            if isinstance(entry.law, Dependent) and entry.action == "fill":
                self.followers.setdefault(entry.law.stream, []).append(entry.name)
        self.sums = self._sums()
        self.ends = {end: total for total in self.sums.values() if total.multiplied for end in total.branch.ends}
        copied = any(isinstance(entry.law, Copied) for entry in plan.entries)  # they may have run before they change
        self.in_place = not copied and self._reachable(session) and all(total.delay.way for total in self.sums.values())
        self.delays: dict[int, Delay] = {}  # by the operations that are delayed
        if self.in_place:
            self._delay(*(total.delay for total in self.sums.values()))
        self.pairs: dict[int, Pair] = {}  # attentions, by the operation after which they are judged
        for pair in pairs_of(self.graph, self._free()):
            if not self.delays.keys() & {*pair.query.way, *pair.key.way}:
                self._delay(pair.query, pair.key)
                self.pairs[pair.until] = pair

    def _delay(self, *delays: Delay) -> None:
        self.delays.update({index: delay for delay in delays for index in delay.way})

    @inferred("which branches are corrected", lambda _: {})
    def _sums(self) -> dict[int, Sum]:
        """Branches with targets by the index of their sum."""
        roles, sums = roles_of(self.graph), dict[int, Sum]()
        for name, entry in self.targets.items():
            branch = roles[name].branch
            if not entry.relative or branch is None:
                continue
            if branch.add not in sums:
                sums[branch.add] = Sum(branch, Delay(self._way(branch)), is_multiplied(self.graph, branch))
            sums[branch.add].names.append(name)
        return sums

    def _way(self, branch: Branch) -> tuple[int, ...]:
        """Operations from the ends of a branch to its sum; none where multiplying the weights is not multiplying all
        that they give."""
        add = self.graph.operations[branch.add]
        path = way(self.graph, branch.ends, branch.value)
        overwritten = add.overwrites == 0 and add.inputs[:1] == (branch.value,)
        shifted = any(self._biased(self.graph.operations[index]) for index in branch.ends)
        return () if path is None or overwritten or shifted else path

    @inferred("which weights are free to be corrected", lambda _: [])
    def _free(self) -> list[str]:
        """Weights with a target of their own that all they give is proportional to."""
        shifted = {use.parameter for o in self.graph.operations if self._biased(o) for use in o.uses}
        return [name for name, entry in self.targets.items() if not entry.relative and name not in shifted]

    @inferred("which weights can be corrected in one pass", lambda *_: False)
    def _reachable(self, session: Session) -> bool:
        """Whether every weight with a target is read from its own memory wherever it is used, and used as a weight; and
        so is a bias beside it, which may be shifted."""
        scalable, read = session.scalable, [each for name in self.targets for each in self.graph.uses_of(name)]
        plain = all(use.slot == "weight" and use.exact and not use.copied for _, use in read)
        beside = {use.parameter for operation, _ in read for use in operation.uses if use.slot == "bias"}
        return plain and beside.union(self.targets).issubset(scalable)

    # ------------------------------------------------------------------ the pass
    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        """One operation of the pass: corrected, delayed, or shown as it is."""
        try:
            yield from self._seen(operation, inputs, outputs)
        except Exception as error:  # of any kind: what is corrected so far stands, and the pass goes on without
            doubt(self, "how to correct weights by measurement", error)
            waiting = {id(delay): delay for delay in self.delays.values()}
            self.delays, self.pairs, self.sums, self.targets = {}, {}, {}, {}
            for delay in waiting.values():
                yield from self._release(delay)
            yield from self._show(Step(operation, tuple(inputs), tuple(outputs)))

    def _seen(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        if operation.index in self.ends:
            self.ends[operation.index].sizes[operation.index] = rms(outputs[0])
        if operation.kind in WEIGHTED:
            yield from self._weight(operation, inputs, outputs[0])
        elif operation.index in self.sums:
            if len(inputs) == 2:
                yield from self._sum(operation, inputs, outputs[0])
            yield from self._release(self.sums[operation.index].delay)
        step, delay = Step(operation, tuple(inputs), tuple(outputs)), self.delays.get(operation.index)
        if delay is not None:
            delay.steps.append(step)
        else:
            yield from self._show(step)
        if operation.index in self.pairs:
            yield from self._meet(self.pairs[operation.index])

    def _show(self, step: Step) -> Iterator[Effect]:
        if self.in_place:
            yield from self.behind(*step)

    def _release(self, delay: Delay) -> Iterator[Effect]:
        """Show what was delayed."""
        for step in delay.steps:
            yield from self._show(step)
        delay.steps.clear()

    def _bounded(self, names: Sequence[str], factor: float, what: Callable[[], str]) -> float:
        """A factor of weights. What is too large beyond the limit is shrunk as far as that, lest products and sums
        behind enlarge it again and again; what is too small, as averages are, is left. Both are said."""
        known = {name: self.factors.get(name, 1.0) for name in names}
        if all(1 / LIMIT <= factor * before <= LIMIT for before in known.values()):
            return factor
        nearest = 1.0 if factor > 1 or self.raw else min(1 / (LIMIT * min(known.values())), 1.0)
        told = what()
        self.refused.update({name: (factor * before, nearest * before, told) for name, before in known.items()})
        return nearest

    def _of_the_batch(self, operation: Operation) -> bool:
        """Whether nothing but functions of the batch comes in."""
        return not any(made.kind in WEIGHTED for made in backward(self.graph, operation.inputs))

    def _multiply(self, names: Sequence[str], factor: float) -> tuple[str, ...]:
        """Remember a factor of weights; what is to be multiplied now: they, and the biases that follow from them."""
        for name in names:
            self.factors[name] = self.factors.get(name, 1.0) * factor
        return tuple(each for name in names for each in (name, *self.followers.get(name, ()))) if self.in_place else ()

    # ------------------------------------------------------------------ weights with a target of their own
    def _weight(self, operation: Operation, inputs: Sequence[Handle], output: Handle) -> Iterator[Effect]:
        names = [use.parameter for use in operation.uses if use.slot == "weight"]
        name = next((name for name in names if name in self.targets), None)  # of a computed weight, the one that leads
        entry = self.targets.get(name) if name is not None else None
        if name is None or entry is None or entry.target is None or entry.relative:
            return
        known, parameters = name in self.factors, tuple[str, ...]()
        if known and self.in_place:  # used before: it is corrected already
            return
        bias, axis = self._biased(operation), unit_axis(operation.axis, output)
        if bias is not None and not self._lies_along(bias, output, axis):
            return
        if not known:
            size = self._size(output, bias, axis)
            if entry.role == "readout" and len(self.graph.uses_of(name)) == 1 and bias is None:
                yield from self._centre(name, operation, output, axis)
                reached = entry.target / LIMIT if entry.target <= LIMIT * size else 0.0  # no more than can be applied
                size = max(rms(output), min(size, entry.target) / GROW, reached)
            asked = _factor(entry.target, size)
            self.raw = self.raw or (asked < 1 / RAW and self._of_the_batch(operation))
            factor = self._bounded([name], asked, partial(_sized, size, entry.target, inputs))
            parameters = self._multiply([name], factor)
        factor = self.factors[name]
        if name in self.centred and self.in_place:
            yield Shift(factor * self.centred[name][1], bias=self.centred[name][0])
        if factor != 1.0:
            yield Scale(factor, parameters, (output,), bias, axis)

    def _size(self, output: Handle, bias: str | None, axis: int) -> float:
        """RMS of what a weight gives, without a bias that does not scale with it."""
        length = output.norm() if bias is None else output.norm(self.read(bias), axis)
        return length / math.sqrt(max(size_of(output), 1))

    def _centre(self, weight: str, operation: Operation, output: Handle, axis: int) -> Iterator[Effect]:
        """Cancel what all samples have in common: it only moves the first loss, and hides how they differ."""
        name = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        entry = self.entries.get(name) if name is not None else None
        if name is None or entry is None or entry.action != "fill" or entry.law != Constant(0.0):
            return
        if output.kind == "complex" or not self._lies_along(name, output, axis):  # laws of given numbers are real
            return
        mean, length = output.mean(axis), output.norm()
        if not (math.isfinite(length) and np.isfinite(mean).all()):
            return
        if size_of(output) // max(len(mean), 1) < SAMPLES or output.norm(mean, axis) < SHARE * length:
            return
        yield Shift(mean, value=output, axis=axis)
        self.centred[weight] = name, mean.astype(np.float64)

    def _lies_along(self, bias: str, output: Handle, axis: int) -> bool:
        """Whether a bias has one number for each place along an axis: heads have axes of their own."""
        return math.prod(self.graph.parameters[bias].shape) == output.shape[axis]

    def means(self) -> dict[str, tuple[float, ...]]:
        """Readout biases: minus the mean of what they are added to, in units of the corrected weight."""
        return {
            bias: tuple((-self.factors[weight] * mean).tolist())
            for weight, (bias, mean) in self.centred.items()
            if weight in self.factors
        }

    def _biased(self, operation: Operation) -> str | None:
        """A bias that does not scale with the weight."""
        name = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        law = self.entries[name].law if name in self.entries else None
        unbiased = isinstance(law, RowSums) or (isinstance(law, Constant) and law.value == 0)
        return None if name is None or unbiased else name

    # ------------------------------------------------------------------ what is judged later
    def _sum(self, operation: Operation, inputs: Sequence[Handle], output: Handle) -> Iterator[Effect]:
        total = self.sums[operation.index]
        values = self.graph.operations[operation.index].inputs
        if total.branch.value not in values or operation.arithmetic != "sum":
            return
        position = values.index(total.branch.value)
        added, stream = inputs[position], inputs[1 - position]
        if operation.overwrites == 0:  # the first is overwritten
            added, stream = (output.minus(stream), stream) if position == 0 else (added, output.minus(added))
        target = self.targets[total.names[0]].target
        assert target is not None
        size = math.hypot(*total.sizes.values()) if total.multiplied else rms(added)
        wanted = target * rms(stream) * math.sqrt(len(total.branch.ends))
        told = f"its branch gives RMS {size:.2g}, where {wanted:.2g} is its share of the stream"
        factor = self._bounded(total.names, _factor(wanted, size), lambda: told)
        parameters = self._multiply(total.names, factor)
        if factor != 1.0:
            yield Scale(factor, parameters, total.delay.values, summand=(added, output))

    def _meet(self, pair: Pair) -> Iterator[Effect]:
        """Logits of unit order: queries and keys share the factor, where both are free."""
        size, free = pair.spread(), [name for name in pair.names if name in self.targets]
        if size is not None and math.isfinite(size) and size > 0 and not 1 / LOGITS <= size <= LOGITS:
            wanted = _factor(1.0, max(size, 1 / GROW)) ** (1 / len(free))
            told = f"logits have std {size:.2g} at {pair.place}"
            factor = self._bounded(free, wanted, lambda: told)
            for name, delay in zip(pair.names, (pair.query, pair.key), strict=True):
                if name in free and factor != 1.0:
                    yield Scale(factor, self._multiply([name], factor), delay.values)
                    self.because[name] = f"of which x {factor:.4g} for logits of std {size:.2g} at {pair.place}"
        yield from self._release(pair.query)
        yield from self._release(pair.key)


def _sized(size: float, target: float, inputs: Sequence[Handle]) -> str:
    given = f" from an input of RMS {rms(inputs[0]):.2g}" if inputs else ""
    return f"gives RMS {size:.2g}{given}, where {target:.2g} is wanted"


def _factor(target: float, measured: float) -> float:
    """What to multiply with; 1 where it is near enough, or where there is nothing to measure."""
    if not (math.isfinite(measured) and measured > 0 and target > 0):
        return 1.0
    factor = target / measured
    return 1.0 if abs(factor - 1) <= TOLERANCE else float(f"{factor:.8g}")
