"""What recipes do on the batch after the fill: from their settings, a session and a plan to a better plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from wellbegun.backend import Loss, Session
from wellbegun.measure.refined.balance import balanced
from wellbegun.measure.refined.learned import first_step, quotient
from wellbegun.measure.refined.normalized import zero_mean
from wellbegun.measure.refined.sequential import unit_variance
from wellbegun.planning import Method, Plan, Refine
from wellbegun.planning.recipes import Refinement
from wellbegun.planning.recipes.measured import Balanced, FirstStep, Quotient, UnitVariance, ZeroMean

_FUNCTIONS: Mapping[type[Refinement], Callable[[Any, Session, Plan, Loss | None], Plan]] = {
    UnitVariance: unit_variance,
    Balanced: balanced,
    FirstStep: first_step,
    Quotient: quotient,
    ZeroMean: zero_mean,
}


def refinement(method: Method, loss: Loss | None = None) -> Refine[Session] | None:
    """What a method does on a batch: its own `refine`, or that of a recipe that measures; None if there is none."""
    settings: Refinement | None = getattr(method, "refinement", None)
    if settings is None:
        return getattr(method, "refine", None)
    return partial(_refined, method, settings, loss)


def _refined(method: Method, settings: Refinement, loss: Loss | None, session: Session, plan: Plan) -> Plan:
    before: tuple[str, ...] = getattr(method, "said", ())
    plan = replace(plan, notes=tuple(note for note in plan.notes if note not in before))
    return _FUNCTIONS[type(settings)](settings, session, plan, loss)
