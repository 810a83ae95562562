"""The measured correction: one forward pass in which every weight with a target gets it, in order of execution.

The output of a linear operation is proportional to its weight, so scaling the output on the way is scaling the weight:
what follows sees the corrected signal, and one pass is enough. The factors go into the plan's laws, and the weights are
filled again: the corrected plan gives the same bits wherever it is carried out, without the batch.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from wellbegun.graph import WEIGHTED, Branch, ModelGraph, Operation, roles_of
from wellbegun.laws import Constant, Given, RowSums
from wellbegun.planning import Entry, Plan, relinked
from wellbegun.torch.batch import Batch, call_of, is_data, place
from wellbegun.torch.probe import rms
from wellbegun.torch.trace import parameters_of, preserved, record

TOLERANCE = 0.02  # relative deviation from the target that is left alone
SAMPLES = 8  # least entries a measured mean is taken of
SHARE = 0.02  # least share of a readout's output that must differ between samples for its mean to be cancelled
GROW = 3.0  # most that a readout is enlarged because what its samples have in common was cancelled
LARGEST = 1e4  # factors beyond it, or below its inverse, are a sign of something else, and are not applied


def calibrate(model: torch.nn.Module, graph: ModelGraph, plan: Plan, batch: Batch) -> Plan:
    """The plan with laws scaled so that every target is met on the batch. The model is filled as planned already.

    Made-up inputs are not measured: the plan then depends on the model and the seed alone.
    """
    targets = {entry.name: entry for entry in plan.entries if entry.target is not None and entry.action == "fill"}
    if not targets or not is_data(batch):
        return plan
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    gauge = _Gauge(graph, plan, dict(model.named_parameters()), targets)
    with preserved(model):
        record(model, call, parameters, names, gauge, grad=False)
    found = corrected(plan, gauge.factors, gauge.means())
    if not gauge.strayed:
        return found
    note = f"The measured correction ends before {gauge.strayed}, where the run on the batch left the traced way."
    return replace(found, notes=(*found.notes, note))


def corrected(plan: Plan, factors: Mapping[str, float], means: Mapping[str, tuple[float, ...]]) -> Plan:
    """The plan with these parameters' laws multiplied, the laws that follow from them with them, and biases that
    cancel measured means."""
    entries = {entry.name: entry for entry in plan.entries}
    for name, values in means.items():
        reason = "minus the measured mean of what it is added to: only differences between samples remain"
        entries[name] = replace(entries[name], law=Given.of(values), scheme="given", reason=reason)
    for name, factor in factors.items():
        entry = entries[name]
        if entry.law is not None and factor != 1.0:
            reason = f"{entry.reason}; x {factor:.4g} measured"
            entries[name] = replace(entry, law=entry.law.scaled(factor), factor=entry.factor * factor, reason=reason)
    return replace(plan, entries=relinked(entries.values()))


class _Gauge:
    """Observer of the pass: measures, corrects on the way, remembers factors."""

    def __init__(
        self, graph: ModelGraph, plan: Plan, tensors: Mapping[str, torch.Tensor], targets: Mapping[str, Entry]
    ) -> None:
        self.graph, self.tensors, self.targets = graph, tensors, targets
        self.factors: dict[str, float] = {}
        self.strayed = ""  # where the pass took another way than the trace
        self.centred: dict[str, tuple[str, torch.Tensor]] = {}  # weight -> its bias, and the mean it cancels
        self.biases = {entry.name: entry for entry in plan.entries}
        roles = roles_of(graph)
        self.sums: dict[int, tuple[Branch, list[str]]] = {}
        for name, entry in targets.items():
            branch = roles[name].branch
            if entry.relative and branch is not None:
                self.sums.setdefault(branch.add, (branch, []))[1].append(name)

    def means(self) -> dict[str, tuple[float, ...]]:
        """Readout biases: minus the mean of what they are added to, in units of the corrected weight."""
        return {bias: tuple((-self.factors[weight] * mean).tolist()) for weight, (bias, mean) in self.centred.items()}

    def __call__(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        if self.strayed:
            return
        traced = self.graph.operations[operation.index] if operation.index < len(self.graph.operations) else None
        if traced is None or traced.name != operation.name:
            self.strayed = operation.place  # what was measured so far stands
            return
        if operation.kind in WEIGHTED:
            self._weight(operation, outputs[0])
        elif operation.index in self.sums and len(inputs) == 2:
            self._sum(operation, inputs, outputs[0])

    def _weight(self, operation: Operation, output: torch.Tensor) -> None:
        names = [use.parameter for use in operation.uses if use.slot == "weight"]
        name = next((name for name in names if name in self.targets), None)  # of a computed weight, the one that leads
        entry = self.targets.get(name) if name is not None else None
        if name is None or entry is None or entry.relative:
            return
        shift = self._shift(operation, output)
        if name not in self.factors:
            assert entry.target is not None
            size = rms(output if shift is None else output - shift)
            if entry.role == "readout" and len(self.graph.uses_of(name)) == 1 and shift is None:
                size = max(self._centre(name, operation, output), min(size, entry.target) / GROW)
            self.factors[name] = _factor(entry.target, size)
        if self.factors[name] != 1.0:
            output.mul_(self.factors[name])
            if shift is not None:
                output.add_(shift, alpha=1 - self.factors[name])

    def _centre(self, weight: str, operation: Operation, output: torch.Tensor) -> float:
        """Cancel what all samples have in common: it only moves the first loss, and hides how they differ. The RMS of
        what is left."""
        name = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        entry = self.biases.get(name) if name is not None else None
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

    def _shift(self, operation: Operation, output: torch.Tensor) -> torch.Tensor | None:
        """A bias that does not scale with the weight, shaped to be added to the output."""
        name = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        law = self.biases[name].law if name in self.biases else None
        if name is None or isinstance(law, RowSums) or (isinstance(law, Constant) and law.value == 0):
            return None
        bias = self.tensors[name].detach()
        return bias if operation.kind == "linear" else bias.reshape(-1, *[1] * (output.ndim - 2))

    def _sum(self, operation: Operation, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        branch, names = self.sums[operation.index]
        values = self.graph.operations[operation.index].inputs
        if branch.value not in values or operation.name not in ("add", "add_"):
            return
        added = inputs[values.index(branch.value)]
        target = self.targets[names[0]].target
        assert target is not None
        factor = _factor(target * rms(output - added) * math.sqrt(len(branch.ends)), rms(added))
        for name in names:
            self.factors[name] = factor
        if factor != 1.0:
            output.add_(added, alpha=factor - 1)


def _factor(target: float, measured: float) -> float:
    """What to multiply with; 1 where it is near enough, or where the measurement says something else is wrong."""
    if not (math.isfinite(measured) and measured > 0 and target > 0):
        return 1.0
    factor = target / measured
    if abs(factor - 1) <= TOLERANCE or not 1 / LARGEST <= factor <= LARGEST:
        return 1.0
    return float(f"{factor:.8g}")
