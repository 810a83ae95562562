"""The measured correction: one pass in which every weight with a target gets it, in order of execution.

`correction` measures and corrects while the model runs; what follows sees the corrected signal, so one pass is enough.
The factors go into the plan's laws and the weights are drawn again, so that the corrected plan gives the same bits
wherever it is carried out, without the batch. Where the weights can be corrected in the pass itself, it is also the
pass of `probe`: the statistics that come back are those of the corrected model. Where the run on the batch takes
another path than the graph (libraries look whether they are traced), it is traced again with the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Progress, phase
from wellbegun.backend import Backend, Batch, Loss, Model, Session, Strayed
from wellbegun.errors import ArgumentTypeError, TraceError
from wellbegun.graph import Analysis, ModelGraph, roles_of
from wellbegun.graph.inference import doubt_notes, inferred
from wellbegun.health import Statistics
from wellbegun.inputs import holds_data
from wellbegun.laws import Uniform
from wellbegun.materialize import Ledger
from wellbegun.measure.correction import LIMIT, Correction
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.probe import probe, statistics
from wellbegun.planning import Entry, Plan, Refine

FEW = 4  # weights that a note names


class Write(Protocol):
    """Fills a model as a plan says, where it is filled as another plan says already."""

    def __call__(
        self, model: Model, plan: Plan, before: Plan | None, progress: Progress | None = None
    ) -> tuple[Model, Ledger]:
        """Write what differs, or all without `before`: the model with these values, the same object or another."""


def calibrate(
    backend: Backend,
    model: Model,
    graph: ModelGraph,
    plan: Plan,
    batch: Batch,
    write: Write,
    *,
    refine: Refine[Session] | None = None,
    data: bool = True,
    loss: Loss | None = None,
    chance: float | None = None,
    progress: Progress | None = None,
) -> tuple[Model, Plan, Ledger, Statistics]:
    """The model with laws scaled so that every target is met on the batch, this plan, and what the probe says of it.

    The model is filled as planned already. Made-up inputs are not measured: the plan then depends on the model and the
    seed alone. Whoever calls undoes what was written if anything fails. `refine`: what a method does instead; `data`:
    whether it needs some.
    """
    if refine is not None and (holds_data(batch) or not data):
        model, plan, ledger = _refined(backend, model, graph, plan, batch, write, refine, progress)
        return model, plan, ledger, probe(backend, model, batch, loss, chance=chance, progress=progress)
    if refine is not None:
        why = f"{plan.recipe}: nothing was measured, because a shape holds no data. Pass a batch to `initialize`."
        plan = replace(plan, notes=(*plan.notes, why))
    targets = {entry.name: entry for entry in plan.entries if entry.target is not None and entry.action == "fill"}
    if not targets or not holds_data(batch):
        model, ledger = write(model, plan, plan)
        return model, plan, ledger, probe(backend, model, batch, loss, chance=chance, progress=progress)
    run = _Run(plan, targets, partial(write, model), progress)
    with backend.session(model, batch, graph) as session:
        passed, measured = run(session), None
        lessened = backend.agree(model, run.lessened(session.graph))  # all processes make the pass again, or none
        if passed is not None and not lessened:
            measured = statistics(session, passed, loss, chance=chance, progress=progress)
    if lessened:  # once more, beside smaller ones
        smaller = plan.scaled(lessened)
        model, _ = write(model, smaller, run.plan())
        return calibrate(
            backend, model, graph, smaller, batch, write, data=data, loss=loss, chance=chance, progress=progress
        )
    final = backend.agree(model, run.plan())
    model, ledger = write(model, final, plan, phase(progress, "fill"))
    if measured is None:
        measured = probe(backend, model, batch, loss, chance=chance, progress=progress)
    return model, final, ledger, measured


def _refined(
    backend: Backend,
    model: Model,
    graph: ModelGraph,
    plan: Plan,
    batch: Batch,
    write: Write,
    refine: Refine[Session],
    progress: Progress | None,
) -> tuple[Model, Plan, Ledger]:
    """The model as a method's own refinement plans it, along the path that the model takes on this batch."""
    try:
        with backend.session(model, batch, graph) as session:
            try:
                final = refine(session, plan)
            except Strayed:
                write(model, plan, None)
                session.retrace(progress=phase(progress, "trace"))
                final = refine(session, plan)
        if not isinstance(final, Plan):
            raise ArgumentTypeError(message("initialize", "what refine returns", "a Plan", type(final).__name__))
        final = backend.agree(model, final.consistent())
        model, ledger = write(model, final, None, phase(progress, "fill"))
        return model, final, ledger
    except Strayed as strayed:
        raise TraceError(f"initialize: the model takes another path in each pass, at {strayed}.") from None


class _Run:
    """Passes of one model: one if the run takes the path of the graph, else another along the path it took."""

    def __init__(
        self, plan: Plan, targets: Mapping[str, Entry], write: Callable[[Plan, Plan], object], progress: Progress | None
    ) -> None:
        self.first, self.targets, self.write, self.progress = plan, targets, write, progress
        self.correction: Correction | None = None
        self.ended = ""  # where the second pass has left its path too

    def __call__(self, session: Session) -> ForwardStatistics | None:
        """Correct; what the pass has shown, if it was one of the corrected model."""
        try:
            return self._run(session)
        except Strayed:
            self.write(self.first, self.plan())
            session.retrace(progress=phase(self.progress, "trace"))
        try:
            return self._run(session)
        except Strayed as strayed:
            self.ended = str(strayed)  # what was measured so far stands
            return None

    def _run(self, session: Session) -> ForwardStatistics | None:
        forward = ForwardStatistics(session)
        self.correction = Correction(session, self.first, self.targets, forward)
        in_place = self.correction.in_place
        session.forward(self.correction, progress=phase(self.progress, "measure" if in_place else "correct"))
        return forward if in_place else None

    @inferred("which offsets are lessened", lambda *_: {})
    def lessened(self, graph: ModelGraph) -> dict[str, float]:
        """Factors of random biases beside weights that are left too small: they would hide the signal."""
        found, entries = dict[str, float](), {entry.name: entry for entry in self.first.entries}
        refused = {} if self.correction is None else self.correction.refused
        for name, role in roles_of(Analysis.of(graph)).items():
            beside = role.beside.parameter.name if role.role == "bias" and role.beside is not None else ""
            if beside not in refused or name not in entries or not isinstance(entries[name].law, Uniform):
                continue
            asked, applied, _ = refused[beside]
            fresh = entries[name].factor == 1.0 and entries[name].decided_by == entries[beside].decided_by
            if fresh and asked > applied:
                found[name] = LIMIT * applied / asked
        return found

    def plan(self) -> Plan:
        """The plan with what has been measured so far."""
        if self.correction is None:
            return self.first
        plan = _centred(self.first, self.correction.means())
        plan = _left(plan.scaled(self.correction.factors, self.correction.because), self.correction.refused)
        plan = replace(plan, notes=(*plan.notes, *doubt_notes(self.correction.doubts)))
        if not self.ended:
            return plan
        note = f"The measured correction ends before {self.ended}, where the run on the batch left the traced way."
        return replace(plan, notes=(*plan.notes, note))


def _left(plan: Plan, refused: Mapping[str, tuple[float, float, str]]) -> Plan:
    """The plan, which says of weights that would need a factor beyond the limit what was done instead."""
    if not refused:
        return plan
    asked = [f"{name} (x {factor:.3g})" for name, (factor, _, _) in refused.items()]
    some = ", ".join(asked[:FEW]) + (f" and {len(asked) - FEW} more" if len(asked) > FEW else "")
    first, (*_, what) = next(iter(refused.items()))
    note = (
        f"Not corrected, or not all the way, because a factor beyond {LIMIT:g} or below 1/{LIMIT:g} is a sign of "
        f"something else: {some}. {first}: {what}. What stands first is the cause, or the input before it."
    )
    entries = (
        replace(entry, reason=_instead(entry.reason, *refused[entry.name])) if entry.name in refused else entry
        for entry in plan.entries
    )
    return replace(plan, entries=tuple(entries), notes=(*plan.notes, note))


def _instead(reason: str, asked: float, applied: float, what: str) -> str:
    done = "left at the rule's value" if applied == 1 else f"multiplied by {applied:.3g} only"
    return f"{reason}; {what}: x {asked:.4g} would be too much, so that it is {done}"


def _centred(plan: Plan, means: Mapping[str, tuple[float, ...]]) -> Plan:
    """The plan with biases that cancel measured means."""
    reason = "minus the measured mean of what it is added to: only differences between samples remain"
    return plan.holding({name: np.array(mean) for name, mean in means.items()}, dict.fromkeys(means, reason))
