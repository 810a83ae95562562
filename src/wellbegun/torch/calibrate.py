"""The measured correction: one pass in which every weight with a target gets it, in order of execution.

`gauge` measures and corrects while the model runs; what follows sees the corrected signal, so one pass is enough. The
factors go into the plan's laws and the weights are drawn again, so that the corrected plan gives the same bits wherever
it is carried out, without the batch. Where the weights can be corrected in the pass itself, it is also the pass of
`probe`: the statistics that come back are those of the corrected model.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import torch

from wellbegun._typing import Progress, phase
from wellbegun.graph import ModelGraph
from wellbegun.health import Statistics
from wellbegun.laws import Given
from wellbegun.planning import Ledger, Plan, relinked
from wellbegun.torch.batch import Batch, call_of, is_data, place
from wellbegun.torch.gauge import Gauge
from wellbegun.torch.probe import Loss, probe
from wellbegun.torch.trace import parameters_of, preserved, record
from wellbegun.torch.weights import apply_plan


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
) -> tuple[Plan, Ledger, Statistics]:
    """The plan with laws scaled so that every target is met on the batch, carried out, and what the probe says of it.

    The model is filled as planned already. Made-up inputs are not measured: the plan then depends on the model and the
    seed alone. If anything fails the model is left as planned.
    """
    targets = {entry.name: entry for entry in plan.entries if entry.target is not None and entry.action == "fill"}
    if not targets or not is_data(batch):
        return plan, apply_plan(model, plan, before=plan), probe(model, batch, loss, chance=chance, progress=progress)
    gauge = Gauge(graph, plan, dict(model.named_parameters()), targets)
    try:
        statistics = _run(model, batch, gauge, (loss, chance), progress)
        found = corrected(plan, gauge.factors, gauge.means(), gauge.because)
        ledger = apply_plan(model, found, threads=threads, before=plan, progress=phase(progress, "fill"))
        if statistics is None:
            statistics = probe(model, batch, loss, chance=chance, progress=progress)
    except BaseException:  # of any kind, an interrupt too: the values of the first plan come back
        apply_plan(model, plan, threads=threads, before=corrected(plan, gauge.factors, gauge.means()))
        raise
    if gauge.strayed:
        note = f"The measured correction ends before {gauge.strayed}, where the run on the batch left the traced way."
        found = replace(found, notes=(*found.notes, note))
    return found, ledger, statistics


def _run(
    model: torch.nn.Module,
    batch: Batch,
    gauge: Gauge,
    judged: tuple[Loss | None, float | None],
    progress: Progress | None,
) -> Statistics | None:
    """The pass that corrects; its statistics, if it is one that can be judged too."""
    if gauge.in_place:
        return probe(model, batch, judged[0], chance=judged[1], through=gauge.before, progress=progress)
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    with preserved(model):
        record(model, call, parameters, names, gauge, progress=phase(progress, "correct"))
    return None


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
    return replace(plan, entries=relinked(entries.values()))
