"""The observer that corrects: it measures what weights give, multiplies it on the way, and remembers the factors.

The output of a linear operation is proportional to its weight, so scaling the output on the way is scaling the weight.
In place (`in_place`) the weight itself is scaled at once too, without the graph of gradients noticing: what autograd
keeps for its backward pass is then that of the corrected model, and one pass both corrects and checks. Everything
between a weight and the place where its size is judged is held back from the observer behind this one until it is
judged, and multiplied there.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from wellbegun.graph import WEIGHTED, Branch, ModelGraph, Operation, idle, roles_of, way
from wellbegun.laws import Constant, RowSums
from wellbegun.planning import Entry, Plan
from wellbegun.torch.held import Held, Step
from wellbegun.torch.logits import Pair, pairs_of
from wellbegun.torch.probe import rms
from wellbegun.torch.trace.aten import Attended
from wellbegun.torch.trace.dispatch import Observer

TOLERANCE = 0.02  # relative deviation from the target that is left alone
SAMPLES = 8  # least entries a measured mean is taken of
SHARE = 0.02  # least share of a readout's output that must differ between samples for its mean to be cancelled
GROW = 3.0  # most that a readout is enlarged because what its samples have in common was cancelled, or logits are
LOGITS = 2.0  # logits of an attention are left alone if their std is off 1 by less than this factor
LARGEST = 1e4  # factors beyond it, or below its inverse, are a sign of something else, and are not applied


@dataclass
class Sum:
    """A branch with a target, judged at its sum."""

    branch: Branch
    held: Held
    names: list[str] = field(default_factory=list)


class Strayed(BaseException):
    """The pass has left the traced way. No Exception: models that catch those must not go on."""


class Gauge:
    """Observer of the pass; `behind` is the observer that sees what is corrected. `strict`: where the pass leaves the
    traced way it ends with `Strayed`; otherwise it goes on, and what follows is not corrected."""

    def __init__(
        self,
        graph: ModelGraph,
        plan: Plan,
        tensors: Mapping[str, torch.Tensor],
        targets: Mapping[str, Entry],
        *,
        strict: bool = False,
    ) -> None:
        self.strict = strict
        self.graph, self.tensors, self.targets = graph, tensors, targets
        self.factors: dict[str, float] = {}
        self.because: dict[str, str] = {}  # weight -> why it was corrected once more
        self.idle = idle(graph)
        self.skipped = 0  # operations of the trace that the pass has not: autograd repeats views of fake tensors
        self.values: dict[int, int] = {}  # of the pass -> of the trace
        self.strayed = ""  # where the pass took another way than the trace
        self.centred: dict[str, tuple[str, torch.Tensor]] = {}  # weight -> its bias, and the mean it cancels
        self.entries = {entry.name: entry for entry in plan.entries}
        self.followers: dict[str, list[str]] = {}  # weight -> biases whose law follows from its own
        for entry in plan.entries:
            if isinstance(entry.law, RowSums) and entry.action == "fill":
                self.followers.setdefault(entry.law.stream, []).append(entry.name)
        self.behind: Observer | None = None
        self.sums = self._sums()
        self.in_place = self._reachable() and all(found.held.way for found in self.sums.values())
        self.held: dict[int, Held] = {}  # by the operations that are held
        if self.in_place:
            self._hold(*(found.held for found in self.sums.values()))
        self.pairs: dict[int, Pair] = {}  # attentions, by the operation after which they are judged
        for pair in pairs_of(graph, self._free()):
            if not self.held.keys() & {*pair.query.way, *pair.key.way}:
                self._hold(pair.query, pair.key)
                self.pairs[pair.until] = pair

    def _hold(self, *ways: Held) -> None:
        self.held.update({index: held for held in ways for index in held.way})

    def _sums(self) -> dict[int, Sum]:
        """Branches with targets by the index of their sum."""
        roles, sums = roles_of(self.graph), dict[int, Sum]()
        for name, entry in self.targets.items():
            branch = roles[name].branch
            if not entry.relative or branch is None:
                continue
            if branch.add not in sums:
                sums[branch.add] = Sum(branch, Held(self._way(branch)))
            sums[branch.add].names.append(name)
        return sums

    def _way(self, branch: Branch) -> tuple[int, ...]:
        """Operations from the ends of a branch to its sum; none where multiplying the weights is not multiplying all
        that they give."""
        add = self.graph.operations[branch.add]
        found = way(self.graph, branch.ends, branch.value)
        overwritten = add.overwrites == 0 and add.inputs[:1] == (branch.value,)
        shifted = any(self._biased(self.graph.operations[index]) for index in branch.ends)
        return () if found is None or overwritten or shifted else found

    def _free(self) -> list[str]:
        """Weights with a target of their own that all they give is proportional to."""
        shifted = {use.parameter for o in self.graph.operations if self._biased(o) for use in o.uses}
        return [name for name, entry in self.targets.items() if not entry.relative and name not in shifted]

    def _reachable(self) -> bool:
        """Whether every weight with a target is read from its own memory wherever it is used, and used as a weight."""
        return all(
            type(self.tensors.get(name)) is torch.nn.Parameter
            and type(self.tensors[name].data) is torch.Tensor
            and all(use.slot == "weight" and use.exact and not use.copied for _, use in self.graph.uses_of(name))
            for name in self.targets
        )

    # ------------------------------------------------------------------ the pass
    def before(self, observer: Observer) -> Observer:
        """This observer, with another one behind it."""
        self.behind = observer
        return self

    def __call__(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        """One operation of the pass: corrected, held back, or shown as it is."""
        traced = None if self.strayed else self._traced(operation)
        if traced is not None:
            self._correct(traced, inputs, outputs)
        held = None if traced is None else self.held.get(traced.index)
        if held is not None and traced is not None:
            held.steps.append(Step(traced, operation, inputs, outputs))
        elif self.behind is not None:
            self.behind(operation, inputs, outputs)
        if traced is not None and traced.index in self.pairs:
            self._meet(self.pairs[traced.index])

    def attended(self, call: Attended | None) -> None:
        """What a built-in attention is about to compute: for the observer behind."""
        tell = getattr(self.behind, "attended", None)
        if tell is not None:
            tell(call)

    def _traced(self, operation: Operation) -> Operation | None:
        """The operation of the trace that this is; None once the pass has left the traced way."""
        operations, at = self.graph.operations, operation.index + self.skipped
        read = [self.values.get(value) for value in operation.inputs]
        while at < len(operations) and at in self.idle and not _same(operations[at], operation, read):
            at += 1
        if at < len(operations) and operations[at].name == operation.name:
            self.skipped = at - operation.index
            self.values.update(zip(operation.outputs, operations[at].outputs, strict=False))
            return operations[at]
        if self.strict:
            raise Strayed
        self.strayed = operation.place  # what was measured so far stands
        for held in self.held.values():
            held.release(self.behind)
        return None

    def _correct(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        """One operation of the trace, with what the pass gave."""
        if operation.kind in WEIGHTED:
            self._weight(operation, outputs[0])
        elif operation.index in self.sums:
            if len(inputs) == 2:
                self._sum(operation, inputs, outputs[0])
            self.sums[operation.index].held.release(self.behind)

    def _multiply(self, name: str, factor: float) -> None:
        """A weight, and the biases that follow from it."""
        self.factors[name] = self.factors.get(name, 1.0) * factor
        if self.in_place and factor != 1.0:
            for each in (name, *self.followers.get(name, ())):
                self.tensors[each].data.mul_(factor)

    # ------------------------------------------------------------------ weights with a target of their own
    def _weight(self, operation: Operation, output: torch.Tensor) -> None:
        names = [use.parameter for use in operation.uses if use.slot == "weight"]
        name = next((name for name in names if name in self.targets), None)  # of a computed weight, the one that leads
        entry = self.targets.get(name) if name is not None else None
        if name is None or entry is None or entry.relative:
            return
        known = name in self.factors
        if known and self.in_place:  # used before: it is corrected already
            return
        shift = self._shift(operation, output)
        if not known:
            assert entry.target is not None
            size = rms(output if shift is None else output - shift)
            if entry.role == "readout" and len(self.graph.uses_of(name)) == 1 and shift is None:
                size = max(self._centre(name, operation, output), min(size, entry.target) / GROW)
            self._multiply(name, _factor(entry.target, size))
        factor = self.factors[name]
        if name in self.centred and self.in_place:
            bias, mean = self.centred[name]
            self.tensors[bias].data.sub_((factor * mean).to(self.tensors[bias]))
        if factor != 1.0:
            output.mul_(factor)
            if shift is not None:
                output.add_(shift, alpha=1 - factor)

    def _centre(self, weight: str, operation: Operation, output: torch.Tensor) -> float:
        """Cancel what all samples have in common: it only moves the first loss, and hides how they differ. The RMS of
        what is left."""
        name = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        entry = self.entries.get(name) if name is not None else None
        if name is None or entry is None or entry.action != "fill" or entry.law != Constant(0.0):
            return rms(output)
        if output.is_complex():  # laws of given numbers are real
            return rms(output)
        axis = output.ndim - 1 if operation.axis is None else operation.axis
        flat = output.movedim(axis, -1).reshape(-1, output.shape[axis])
        mean = flat.mean(dim=0)
        if len(flat) < SAMPLES or rms(flat - mean) < SHARE * rms(flat):
            return rms(output)
        output.sub_(mean.reshape(-1, *[1] * (output.ndim - 1 - axis)))
        self.centred[weight] = name, mean.double().cpu()
        return rms(output)

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

    def _shift(self, operation: Operation, output: torch.Tensor) -> torch.Tensor | None:
        """Such a bias, shaped to be added to the output."""
        name = self._biased(operation)
        if name is None:
            return None
        bias = self.tensors[name].detach()
        behind = 0 if operation.axis is None else output.ndim - 1 - operation.axis
        return bias.reshape(-1, *[1] * behind) if behind else bias

    # ------------------------------------------------------------------ what is judged later
    def _sum(self, operation: Operation, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        found = self.sums[operation.index]
        values = self.graph.operations[operation.index].inputs
        if found.branch.value not in values or operation.arithmetic != "sum":
            return
        position = values.index(found.branch.value)
        added, stream = inputs[position], inputs[1 - position]
        if operation.overwrites == 0:  # the first is overwritten
            added, stream = (output - stream, stream) if position == 0 else (added, output - added)
        target = self.targets[found.names[0]].target
        assert target is not None
        factor = _factor(target * rms(stream) * math.sqrt(len(found.branch.ends)), rms(added))
        for name in found.names:
            self._multiply(name, factor)
        if factor != 1.0:
            output.add_(added, alpha=factor - 1)
            found.held.multiply(factor)

    def _meet(self, pair: Pair) -> None:
        """Logits of unit order: queries and keys share the factor, where both are free."""
        size, free = pair.spread(), [name for name in pair.names if name in self.targets]
        if size is not None and math.isfinite(size) and size > 0 and not 1 / LOGITS <= size <= LOGITS:
            factor = _factor(1.0, max(size, 1 / GROW)) ** (1 / len(free))
            for name, held in zip(pair.names, (pair.query, pair.key), strict=True):
                if name in free:
                    self._multiply(name, factor)
                    held.multiply(factor)
                    self.because[name] = f"of which x {factor:.4g} for logits of std {size:.2g} at {pair.place}"
        pair.query.release(self.behind)
        pair.key.release(self.behind)


def _same(traced: Operation, operation: Operation, read: list[int | None]) -> bool:
    """Whether an operation may be this one of the trace: the same on the same values, as far as they are known."""
    pairs = zip(traced.inputs, read, strict=False)
    return traced.name == operation.name and all(value is None or given == value for given, value in pairs)


def _factor(target: float, measured: float) -> float:
    """What to multiply with; 1 where it is near enough, or where the measurement says something else is wrong."""
    if not (math.isfinite(measured) and measured > 0 and target > 0):
        return 1.0
    factor = target / measured
    if abs(factor - 1) <= TOLERANCE or not 1 / LARGEST <= factor <= LARGEST:
        return 1.0
    return float(f"{factor:.8g}")
