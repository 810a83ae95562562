"""A method of your own that learns: GradInit (Zhu et al. 2021, arXiv:2102.08098), one factor for each parameter.

The factors descend the loss behind one step of SGD, or the gradient's length where that is above `norm`; products with
the Hessian are differences of gradients. `wb.initialize(model, batch, recipe=GradInit(loss))` does it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun.backend import Session
from wellbegun.graph import ModelGraph, Role
from wellbegun.planning import Choice, Plan, recipe_of

Tensors = dict[str, Any]


@dataclass(frozen=True)
class GradInit:
    """A loss of the output, the step of SGD, the longest gradient, and the steps and rate of the factors."""

    loss: Callable[[Any], Any]
    step: float = 0.1
    norm: float = 1.0
    steps: int = 30
    rate: float = 0.03
    full_name: str = "gradinit@1"

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        return recipe_of("classic").choose(graph, roles, decided)

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        return ()

    def refine(self, session: Session, plan: Plan) -> Plan:
        names = [entry.name for entry in plan.entries if entry.action == "fill" and entry.name in session.trained]
        start = {name: np.array(session.read(name), np.float64) for name in names}
        factors, first, second = np.ones(len(names)), 0.0, 0.0
        for number in range(1, self.steps + 1):
            here = {name: factor * start[name] for name, factor in zip(names, factors, strict=True)}
            slope = self._slope(session, here, start)
            first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
            step = first / (1 - 0.9**number) / (np.sqrt(second / (1 - 0.999**number)) + 1e-12)
            factors = np.maximum(factors - self.rate * step, 0.01)
        return plan.scaled(
            dict(zip(names, map(float, factors), strict=True)), dict.fromkeys(names, "learned by GradInit")
        )

    def _slope(self, session: Session, here: Tensors, start: Tensors) -> Any:
        """Derivatives by the factors, of the gradient's length or of the loss behind one step."""
        gradient = self.gradient(session, here)
        if (length := size_of(gradient)) > self.norm:
            bent = self._hessian(session, here, gradient, gradient)
            return np.array([(bent[name] * start[name]).sum() / length for name in here])
        after = self.gradient(session, {name: here[name] - self.step * gradient[name] for name in here})
        bent = self._hessian(session, here, gradient, after)
        return np.array([((after[name] - self.step * bent[name]) * start[name]).sum() for name in here])

    def _hessian(self, session: Session, here: Tensors, gradient: Tensors, along: Tensors) -> Tensors:
        reach = 1e-3 * size_of(here) / max(size_of(along), 1e-12)
        moved = self.gradient(session, {name: here[name] + reach * along[name] for name in here})
        return {name: (moved[name] - gradient[name]) / reach for name in here}

    def gradient(self, session: Session, here: Tensors) -> Tensors:
        """Of the loss by each parameter, at these values."""
        found = {}
        for name, values in here.items():
            session.write(name, values)
            found[name] = np.zeros_like(values)
        session.forward(lambda operation, inputs, outputs: ())
        session.judge(self.loss)
        session.backward("loss", lambda place, g: found.update({place: g.array()}) if place in found else None)
        return found


def size_of(tensors: Tensors) -> float:
    return float(np.sqrt(sum((values**2).sum() for values in tensors.values())))
