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

from wellbegun.graph import WEIGHTED, Branch, ModelGraph, Operation, roles_of, way
from wellbegun.laws import Constant, RowSums
from wellbegun.planning import Entry, Plan
from wellbegun.torch.probe import rms
from wellbegun.torch.recorder import Observer
from wellbegun.torch.values import storage_of

TOLERANCE = 0.02  # relative deviation from the target that is left alone
SAMPLES = 8  # least entries a measured mean is taken of
SHARE = 0.02  # least share of a readout's output that must differ between samples for its mean to be cancelled
GROW = 3.0  # most that a readout is enlarged because what its samples have in common was cancelled
LARGEST = 1e4  # factors beyond it, or below its inverse, are a sign of something else, and are not applied

Step = tuple[Operation, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]


@dataclass
class Held:
    """Operations whose outputs wait for a factor, and where they get it."""

    way: tuple[int, ...]
    until: int  # the operation at which they are judged
    branch: Branch
    names: list[str]
    steps: list[Step] = field(default_factory=list)


class Gauge:
    """Observer of the pass; `behind` is the observer that sees what is corrected."""

    def __init__(
        self, graph: ModelGraph, plan: Plan, tensors: Mapping[str, torch.Tensor], targets: Mapping[str, Entry]
    ) -> None:
        self.graph, self.tensors, self.targets = graph, tensors, targets
        self.factors: dict[str, float] = {}
        self.strayed = ""  # where the pass took another way than the trace
        self.centred: dict[str, tuple[str, torch.Tensor]] = {}  # weight -> its bias, and the mean it cancels
        self.entries = {entry.name: entry for entry in plan.entries}
        self.followers: dict[str, list[str]] = {}  # weight -> biases whose law follows from its own
        for entry in plan.entries:
            if isinstance(entry.law, RowSums) and entry.action == "fill":
                self.followers.setdefault(entry.law.stream, []).append(entry.name)
        self.sums, ways = self._sums()
        self.in_place = self._reachable() and all(held.way for held in self.sums.values())
        self.held = ways if self.in_place else {}
        self.behind: Observer | None = None

    def _sums(self) -> tuple[dict[int, Held], dict[int, Held]]:
        """Branches with targets by their sum, and by each operation on the way to it."""
        roles, sums = roles_of(self.graph), dict[int, Held]()
        for name, entry in self.targets.items():
            branch = roles[name].branch
            if not entry.relative or branch is None:
                continue
            if branch.add not in sums:
                sums[branch.add] = Held(self._way(branch), branch.add, branch, [])
            sums[branch.add].names.append(name)
        return sums, {index: held for held in sums.values() for index in held.way}

    def _way(self, branch: Branch) -> tuple[int, ...]:
        """Operations from the ends of a branch to its sum; none where multiplying the weights is not multiplying all
        that they give."""
        add = self.graph.operations[branch.add]
        found = way(self.graph, branch.ends, branch.value)
        overwritten = add.name == "add_" and add.inputs[:1] == (branch.value,)
        shifted = any(self._biased(self.graph.operations[index]) for index in branch.ends)
        return () if found is None or overwritten or shifted else found

    def _reachable(self) -> bool:
        """Whether every weight with a target is read from its own memory wherever it is used, and used as a weight."""
        return all(
            type(self.tensors.get(name)) is torch.nn.Parameter
            and type(self.tensors[name].data) is torch.Tensor
            and all(use.slot == "weight" and not use.copied for _, use in self.graph.uses_of(name))
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
        if not self.strayed:
            self._correct(operation, inputs, outputs)
        held = None if self.strayed else self.held.get(operation.index)
        if held is not None:
            held.steps.append((operation, inputs, outputs))
        elif self.behind is not None:
            self.behind(operation, inputs, outputs)

    def _correct(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        traced = self.graph.operations[operation.index] if operation.index < len(self.graph.operations) else None
        if traced is None or traced.name != operation.name:
            self.strayed = operation.place  # what was measured so far stands
            for held in self.sums.values():
                self._release(held)
        elif operation.kind in WEIGHTED:
            self._weight(operation, outputs[0])
        elif operation.index in self.sums:
            if len(inputs) == 2:
                self._sum(operation, inputs, outputs[0])
            self._release(self.sums[operation.index])

    def _release(self, held: Held) -> None:
        """Show what was held back to the observer behind."""
        for step in held.steps:
            if self.behind is not None:
                self.behind(*step)
        held.steps.clear()

    def _multiply(self, name: str, factor: float) -> None:
        """A weight, and the biases that follow from it."""
        self.factors[name] = self.factors.get(name, 1.0) * factor
        if self.in_place and factor != 1.0:
            for each in (name, *self.followers.get(name, ())):
                self.tensors[each].data.mul_(factor)

    # ------------------------------------------------------------------ weights with a target of their own
    def _weight(self, operation: Operation, output: torch.Tensor) -> None:
        name = next((use.parameter for use in operation.uses if use.slot == "weight"), None)
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
        axis = -1 if operation.kind == "linear" else 1
        flat = output.movedim(axis, -1).reshape(-1, output.shape[axis])
        mean = flat.mean(dim=0)
        if len(flat) < SAMPLES or rms(flat - mean) < SHARE * rms(flat):
            return rms(output)
        output.sub_(mean if axis == -1 else mean.reshape(-1, *[1] * (output.ndim - 2)))
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
        return bias if operation.kind == "linear" else bias.reshape(-1, *[1] * (output.ndim - 2))

    # ------------------------------------------------------------------ branches
    def _sum(self, operation: Operation, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        held = self.sums[operation.index]
        values = self.graph.operations[operation.index].inputs
        if held.branch.value not in values or operation.name not in ("add", "add_"):
            return
        position = values.index(held.branch.value)
        added, stream = inputs[position], inputs[1 - position]
        if operation.name == "add_":  # the first is overwritten
            added, stream = (output - stream, stream) if position == 0 else (added, output - added)
        target = self.targets[held.names[0]].target
        assert target is not None
        factor = _factor(target * rms(stream) * math.sqrt(len(held.branch.ends)), rms(added))
        for name in held.names:
            self._multiply(name, factor)
        if factor != 1.0:
            output.add_(added, alpha=factor - 1)
            _multiplied(held.steps, factor)


def _multiplied(steps: list[Step], factor: float) -> None:
    """Multiply what operations gave, each memory once."""
    done: set[int] = set()
    for _, _, outputs in steps:
        for output in outputs:
            if (output.is_floating_point() or output.is_complex()) and storage_of(output) not in done:
                output.mul_(factor)
            done.add(storage_of(output))


def _factor(target: float, measured: float) -> float:
    """What to multiply with; 1 where it is near enough, or where the measurement says something else is wrong."""
    if not (math.isfinite(measured) and measured > 0 and target > 0):
        return 1.0
    factor = target / measured
    if abs(factor - 1) <= TOLERANCE or not 1 / LARGEST <= factor <= LARGEST:
        return 1.0
    return float(f"{factor:.8g}")
