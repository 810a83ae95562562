"""The measured correction: one pass in which every weight with a target gets it, in order of execution.

`gauge` measures and corrects while the model runs; what follows sees the corrected signal, so one pass is enough. The
factors go into the plan's laws and the weights are drawn again, so that the corrected plan gives the same bits wherever
it is carried out, without the batch. Where the weights can be corrected in the pass itself, it is also the pass of
`probe`: the statistics that come back are those of the corrected model. Where the run on the batch takes another way
than the trace with fake tensors did (libraries look whether they are traced), it is traced again with the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch

from wellbegun._typing import Progress, phase
from wellbegun.engine import Matrices
from wellbegun.graph import ModelGraph
from wellbegun.health import Statistics
from wellbegun.laws import Given
from wellbegun.materialize import Ledger
from wellbegun.planning import Entry, Plan
from wellbegun.torch.batch import Batch, Call, call_of, is_data, place
from wellbegun.torch.gauge import Gauge, Strayed
from wellbegun.torch.probe import Loss, probe
from wellbegun.torch.targets import apply_plan
from wellbegun.torch.trace.dispatch import Observer
from wellbegun.torch.trace.recording import parameters_of, preserved, record


def calibrate(
    model: torch.nn.Module,
    graph: ModelGraph,
    plan: Plan,
    batch: Batch,
    loss: Loss | None = None,
    *,
    chance: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    matrices: Matrices | None = None,
) -> tuple[Plan, Ledger, Statistics]:
    """The plan with laws scaled so that every target is met on the batch, carried out, and what the probe says of it.

    The model is filled as planned already. Made-up inputs are not measured: the plan then depends on the model and the
    seed alone. If anything fails the model is left as planned. `matrices`: orthogonal ones that the fill has drawn.
    """
    targets = {entry.name: entry for entry in plan.entries if entry.target is not None and entry.action == "fill"}
    if not targets or not is_data(batch):
        return plan, apply_plan(model, plan, before=plan), probe(model, batch, loss, chance=chance, progress=progress)
    measured = _Correction(model, plan, call_of(batch, model), targets, progress, matrices)
    try:
        statistics = measured.run(graph, lambda through: probe(model, batch, loss, chance=chance, **through))
        found = measured.plan()
        told = phase(progress, "fill")
        ledger = apply_plan(model, found, threads=threads, before=plan, progress=told, matrices=matrices)
        if statistics is None:
            statistics = probe(model, batch, loss, chance=chance, progress=progress)
    except BaseException:  # of any kind, an interrupt too: the values of the first plan come back
        apply_plan(model, plan, threads=threads, before=measured.plan(), matrices=matrices)
        raise
    return found, ledger, statistics


class _Correction:
    """Passes of one model under a gauge: one if the run takes the traced way, else another along the way it took."""

    def __init__(
        self,
        model: torch.nn.Module,
        plan: Plan,
        call: Call,
        targets: Mapping[str, Entry],
        progress: Progress | None,
        matrices: Matrices | None,
    ) -> None:
        self.model, self.first, self.targets, self.progress = model, plan, targets, progress
        self.call, self.matrices = place(call, model), matrices
        self.tensors = dict(model.named_parameters())
        self.gauge: Gauge | None = None

    def run(self, graph: ModelGraph, judged: Callable[[dict[str, Any]], Statistics]) -> Statistics | None:
        """Correct; the statistics of the pass, if it was one that could be judged too."""
        try:
            return self._run(graph, judged, strict=True)
        except Strayed:
            apply_plan(self.model, self.first, before=self.plan(), matrices=self.matrices)
            return self._run(self._record(None), judged, strict=False)

    def _run(
        self, graph: ModelGraph, judged: Callable[[dict[str, Any]], Statistics], *, strict: bool
    ) -> Statistics | None:
        self.gauge = gauge = Gauge(graph, self.first, self.tensors, self.targets, strict=strict)
        if gauge.in_place:
            return judged({"through": gauge.before, "progress": self.progress})
        self._record(gauge)
        return None

    def _record(self, observer: Observer | None) -> ModelGraph:
        parameters, names = parameters_of(self.model)
        with preserved(self.model):
            told = phase(self.progress, "trace" if observer is None else "correct")
            return record(self.model, self.call, parameters, names, observer, progress=told)[0]

    def plan(self) -> Plan:
        """The plan with what has been measured so far."""
        gauge = self.gauge
        if gauge is None:
            return self.first
        found = corrected(self.first, gauge.factors, gauge.means(), gauge.because)
        if not gauge.strayed:
            return found
        note = f"The measured correction ends before {gauge.strayed}, where the run on the batch left the traced way."
        return replace(found, notes=(*found.notes, note))


def corrected(
    plan: Plan,
    factors: Mapping[str, float],
    means: Mapping[str, tuple[float, ...]],
    because: Mapping[str, str] = MappingProxyType({}),
) -> Plan:
    """The plan with these parameters' laws multiplied, the laws that follow from them with them, and biases that
    cancel measured means. `because`: what else is to be said of a factor."""
    entries = {entry.name: entry for entry in plan.entries}
    for name, values in means.items():
        reason = "minus the measured mean of what it is added to: only differences between samples remain"
        entries[name] = replace(entries[name], law=Given.of(values), scheme="given", reason=reason)
    for name, factor in factors.items():
        entry = entries[name]
        if entry.law is not None and factor != 1.0:
            more = f", {because[name]}" if name in because else ""
            reason = f"{entry.reason}; x {factor:.4g} measured{more}"
            entries[name] = replace(entry, law=entry.law.scaled(factor), factor=entry.factor * factor, reason=reason)
    return replace(plan, entries=tuple(entries.values())).consistent()
