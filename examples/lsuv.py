"""A method of your own that measures: LSUV, layer-sequential unit variance (Mishkin, Matas 2016, arXiv:1511.06422).

Orthogonal weights and zero biases; then, in order of execution, each weight is divided by the standard deviation of its
output on a batch until that has unit variance. `wb.initialize(model, batch, recipe=LSUV())` does it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import wellbegun as wb
from wellbegun.backend import Effect, Handle, Scale, Session
from wellbegun.graph import ModelGraph, Operation, Role
from wellbegun.planning import Choice, Plan, recipe_of

SOURCE = "Mishkin, Matas 2016, arXiv:1511.06422"
LAYERS = ("linear", "conv", "conv_transpose")


@dataclass(frozen=True)
class LSUV:
    """Layer-sequential unit variance; `tolerance` of the variance, and the most trials for one layer."""

    tolerance: float = 0.1
    trials: int = 10
    full_name: str = "lsuv@1"

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """Orthogonal weights; biases, norms and tables as the textbook has them."""
        choices = recipe_of("classic").choose(graph, roles, decided)
        chosen = {name: choices[name] for name in choices if name not in decided}
        for operation in graph.operations:
            if operation.kind in LAYERS:
                weights = (use.parameter for use in operation.uses if use.slot == "weight" and use.exact)
                chosen |= {
                    name: Choice(wb.orthogonal(), "an orthogonal layer", SOURCE) for name in weights if name in chosen
                }
        return chosen

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """It works on any model."""
        return ()

    def refine(self, session: Session, plan: Plan) -> Plan:
        """Every layer's output gets unit variance, one layer after the other, in one pass."""
        open_names = {entry.name for entry in plan.entries if entry.source == SOURCE} & {*session.scalable}
        factors: dict[str, float] = {}

        def observe(operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
            for use in operation.uses:
                if use.slot == "weight" and use.parameter in open_names - factors.keys():
                    factors[use.parameter] = 1.0
                    yield from self._fit(use.parameter, outputs[0], factors)

        session.forward(observe)
        return plan.scaled(factors, dict.fromkeys(factors, "to unit variance"))

    def _fit(self, name: str, output: Handle, factors: dict[str, float]) -> Iterator[Effect]:
        for _ in range(self.trials):
            variance = variance_of(output)
            if variance == 0 or abs(variance - 1) <= self.tolerance:
                return
            factors[name] *= variance**-0.5
            yield Scale(variance**-0.5, parameters=(name,), values=(output,))


def variance_of(value: Handle) -> float:
    """Of all entries."""
    size = 1
    for length in value.shape:
        size *= length
    mean = float(value.mean(-1).mean())
    return float(value.norm() ** 2 / max(size, 1) - mean**2)
