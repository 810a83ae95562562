"""What gradients learn: GradInit, a factor for each tensor, and MetaInit, a length for each weight."""

import math
from dataclasses import replace

import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Loss, Session
from wellbegun.measure.refined.point import Landscape, Tensors, inner, length
from wellbegun.planning import Plan
from wellbegun.planning.recipes.measured import FirstStep, Quotient

_LEAST = 0.01  # factors stay above it
_THIRDS = 3


def first_step(
    settings: FirstStep, session: Session, plan: Plan, loss: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with a learned factor for each tensor; see `gradinit`."""
    search = _Search(settings, Landscape(session, plan, loss))
    factors, said = search.run(progress)
    names = search.land.start
    best = {name: float(f"{factor:.8g}") for name, factor in zip(names, factors, strict=True)}
    plan = plan.scaled(best, dict.fromkeys(best, "so that the first step of training helps most"))
    return _told(plan, *search.land.said, *said)


class _Search:
    """Adam on the factors: down the loss behind a step, or down the gradient where that is too long."""

    def __init__(self, settings: FirstStep, land: Landscape) -> None:
        self.settings, self.land, self.adam = settings, land, settings.optimizer == "adam"
        entries = sum(values.size for values in land.start.values())
        default = math.sqrt(max(entries, 1)) if self.adam else 1.0
        self.gamma = default if settings.gamma is None else settings.gamma
        shape = land.session.output.shape
        self.samples = shape[0] if shape and not land.own else 0
        self.shortest = math.inf

    def run(self, progress: Progress | None = None) -> tuple[Array, tuple[str, ...]]:
        """The factors of the lowest loss behind a step among those within the bound; what is to be said."""
        settings, start = self.settings, self.land.start
        factors, first, second = np.ones(len(start)), np.zeros(len(start)), np.zeros(len(start))
        best, lowest = factors, math.inf
        for number in range(1, settings.steps + 2):
            if progress is not None:
                progress(number - 1, settings.steps + 1, "step")
            here = {name: factor * start[name] for name, factor in zip(start, factors, strict=True)}
            slope, behind = self._slope(here, number)
            if behind < lowest:
                best, lowest = factors, behind
            if number > settings.steps or not np.isfinite(slope).all():
                break
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            step = first / (1 - 0.9**number) / (np.sqrt(second / (1 - 0.999**number)) + 1e-12)
            factors = np.maximum(factors - settings.rate * step, _LEAST)
        if lowest < math.inf:
            return best, ()
        if not math.isfinite(self.shortest):
            return np.ones(len(start)), ("nothing was learned, because no gradient is finite",)
        return factors, (f"the gradient is longer than {self.gamma:.4g} after {settings.steps} steps",)

    def _slope(self, here: Tensors, number: int) -> tuple[Array, float]:
        """Derivatives by the factors, and the loss behind a step; infinite where the gradient is too long."""
        land, eta = self.land, self.settings.step
        _, gradient = land.gradient(here, self._half(number))
        size = float(sum(np.abs(g).sum() for g in gradient.values())) if self.adam else length(gradient)
        self.shortest = min(self.shortest, size if math.isfinite(size) else math.inf)
        signs = {name: np.sign(g) for name, g in gradient.items()}
        if not size <= self.gamma:
            along = signs if self.adam else {name: g / size for name, g in gradient.items()}
            return inner(land.product(here, gradient, along, self._half(number)), land.start), math.inf
        taken = signs if self.adam else gradient
        behind, after = land.gradient({name: here[name] - eta * taken[name] for name in here}, self._half(number + 1))
        slope = inner(after, land.start)
        if not self.adam:  # a step of signs does not change with the factors
            slope = slope - eta * inner(land.product(here, gradient, after, self._half(number)), land.start)
        return slope, behind if math.isfinite(behind) else math.inf

    def _half(self, number: int) -> Array | None:
        """Two of three parts of the batch; the next two have one of them in common."""
        if self.samples < _THIRDS:
            return None
        part: Array = np.arange(self.samples) * _THIRDS // self.samples
        return np.asarray(part != number % _THIRDS, dtype=np.float64)


# ---------------------------------------------------------------------- metainit
_EPSILON = 1e-5  # of the quotient
_TURN = 1e-2  # relative change of a length, of which the sign of the quotient's change is taken


def quotient(
    settings: Quotient, session: Session, plan: Plan, loss: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with learned lengths of weights; see `metainit`."""
    land, moving = Landscape(session, plan, loss, random=True), list[str]()
    moving = [name for name, values in land.start.items() if values.ndim > 1]
    sizes = np.array([length({name: land.start[name]}) for name in moving])
    factors, memory = np.ones(len(moving)), np.zeros(len(moving))
    best, lowest = factors, math.inf
    for number in range(settings.steps + 1):
        if progress is not None:
            progress(number, settings.steps + 1, "step")
        now = _quotient(land, dict(zip(moving, factors, strict=True)))
        if now < lowest:
            best, lowest = factors, now
        if number == settings.steps or not math.isfinite(now):
            break
        turned = [
            _quotient(land, dict(zip(moving, factors * (1 + _TURN * one), strict=True))) for one in np.eye(len(moving))
        ]
        memory = settings.momentum * memory - settings.rate * np.sign(np.array(turned) - now)
        factors = np.maximum(factors + memory / sizes, _LEAST)
    found = {name: float(f"{factor:.8g}") for name, factor in zip(moving, best, strict=True)}
    plan = plan.scaled(found, dict.fromkeys(found, "so that gradients change least along themselves"))
    said = () if lowest < math.inf else ("nothing was learned, because no gradient is finite and above 0",)
    return _told(plan, *land.said, *said)


def _told(plan: Plan, *said: str) -> Plan:
    return replace(plan, notes=(*plan.notes, *(f"{plan.recipe}: {text}." for text in said)))


def _quotient(land: Landscape, factors: dict[str, float]) -> float:
    """Mean of |(g - H g) / (g + epsilon sign g) - 1| over all entries of all parameters."""
    here = {name: factors.get(name, 1.0) * values for name, values in land.start.items()}
    _, g = land.gradient(here)
    if not 0 < length(g) < math.inf:
        return math.inf
    bent, total, entries = land.product(here, g, g), 0.0, 0
    for name, each in g.items():
        away = each + np.where(each >= 0, _EPSILON, -_EPSILON)
        total += float(np.abs((each - bent[name]) / away - 1).sum())
        entries += each.size
    return total / max(entries, 1)
