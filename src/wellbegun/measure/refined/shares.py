"""Factors of residual streams by the variances of their branches (Admin)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wellbegun._typing import Progress
from wellbegun.backend import Effect, Handle, Loss, Scale, Session
from wellbegun.graph import Analysis, Operation
from wellbegun.measure.refined.layers import Layers
from wellbegun.measure.refined.sequential import variance_of
from wellbegun.planning import Plan
from wellbegun.planning.recipes.residual import Shares, rescaled


def branch_shares(
    _settings: Shares, session: Session, plan: Plan, _loss: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with each factor the deviation of all that its stream was given before it: w_1 = 1 and
    w_(i+1)^2 = Var(w_i x_i) + Var(f_i), so that no branch outweighs those before it."""
    observer = _Pass(session, plan)
    session.forward(observer, progress=progress)
    plan = observer.layers.noted(
        plan.scaled(observer.factors, dict.fromkeys(observer.factors, "the deviation of the branches before it"))
    )
    if observer.sums:
        return plan
    text = f"{plan.recipe}: no stream here has a factor that is a parameter, w x + f(x), so that nothing was measured."
    return replace(plan, notes=(*plan.notes, text))


class _Pass:
    """Observer of the pass: it multiplies streams by their factors and measures both sides of each sum."""

    def __init__(self, session: Session, plan: Plan) -> None:
        graph = Analysis.of(session.graph)
        self.layers, self.sums = Layers(session, plan), {each.branch.add: each for each in rescaled(graph)}
        self.scales = {each.operation: each for each in self.sums.values()}
        self.deviations: dict[int, float] = {}  # of each stream so far
        self.factors: dict[str, float] = {}

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        """One operation of the forward pass."""
        if (scale := self.scales.get(operation.index)) is not None:
            if scale.name not in self.layers.entries:
                self.layers.leave(scale.name, "a rule decides about it")
                return
            factor = self.factors.setdefault(scale.name, self.deviations.get(scale.branch.stream, 1.0))
            yield Scale(factor, values=(outputs[0],))
        elif (total := self.sums.get(operation.index)) is not None:
            both = [variance_of(side, len(side.shape) - 1, (0, side.shape[-1]))[0] for side in inputs]
            if math.isfinite(deviation := float(f"{math.sqrt(sum(both)):.8g}")) and deviation > 0:
                self.deviations[total.branch.stream] = deviation
            else:
                self.layers.leave(total.name, "what it multiplies does not vary, or is not finite")
