"""What recipes do on the batch after the fill: from their settings, a session and a plan to a better plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from wellbegun._arguments import users
from wellbegun._typing import Progress, phase
from wellbegun.backend import Loss, Session
from wellbegun.measure.refined.balance import balanced
from wellbegun.measure.refined.learned import first_step, quotient
from wellbegun.measure.refined.normalized import zero_mean
from wellbegun.measure.refined.sequential import unit_variance
from wellbegun.measure.refined.shares import branch_shares
from wellbegun.planning import Method, Plan, Refine
from wellbegun.planning.recipes import Refinement
from wellbegun.planning.recipes.measured import Balanced, FirstStep, Quotient, UnitVariance, ZeroMean
from wellbegun.planning.recipes.residual import Shares

_FUNCTIONS: Mapping[type[Refinement], Callable[[Any, Session, Plan, Loss | None, Progress | None], Plan]] = {
    UnitVariance: unit_variance,
    Balanced: balanced,
    FirstStep: first_step,
    Quotient: quotient,
    ZeroMean: zero_mean,
    Shares: branch_shares,
}


def refinement(method: Method, loss: Loss | None = None, progress: Progress | None = None) -> Refine[Session] | None:
    """What a method does on a batch: its own `refine`, or that of a recipe that measures; None if there is none."""
    settings: Refinement | None = getattr(method, "refinement", None)
    if settings is not None:
        return partial(_refined, method, settings, loss, phase(progress, "correct"))
    own: Refine[Session] | None = getattr(method, "refine", None)
    return None if own is None else partial(_own, own)


def _own(refine: Refine[Session], session: Session, plan: Plan) -> Plan:
    with users("initialize", "refine"):
        return refine(session, plan)


def _refined(
    method: Method, settings: Refinement, loss: Loss | None, progress: Progress | None, session: Session, plan: Plan
) -> Plan:
    before: tuple[str, ...] = getattr(method, "said", ())
    plan = replace(plan, notes=tuple(note for note in plan.notes if note not in before))
    return _FUNCTIONS[type(settings)](settings, session, plan, loss, progress)
