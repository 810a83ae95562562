"""A method of your own that measures: textbook weights, and logits of one small size on the batch.

What feeds the output of the model is scaled so that its logits have this standard deviation: its first loss is that
of a model that knows nothing. `wb.initialize(model, batch, recipe=CalmLogits())` does it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wellbegun.backend import Effect, Handle, Scale, Session
from wellbegun.graph import ModelGraph, Operation, Role
from wellbegun.planning import Choice, Plan, recipe_of


@dataclass(frozen=True)
class CalmLogits:
    """The standard deviation of each output over the batch."""

    std: float = 0.1
    full_name: str = "calm_logits@1"

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """As the textbook has it."""
        return recipe_of("classic").choose(graph, roles, decided)

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """Whether there is anything to scale."""
        return () if any(role.role == "readout" for role in roles.values()) else ("no weight feeds the output",)

    def refine(self, session: Session, plan: Plan) -> Plan:
        """One pass: each readout is scaled where it runs, so that what follows sees it."""
        factors: dict[str, float] = {}
        readouts = {entry.name for entry in plan.entries if entry.role == "readout" and entry.action == "fill"}

        def observe(operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
            for use in operation.uses:
                if use.slot == "weight" and use.parameter in readouts - factors.keys():
                    size = float(np.std(outputs[0].array(), axis=0).mean())
                    factors[use.parameter] = self.std / size if size > 0 else 1.0
                    yield Scale(factors[use.parameter], values=(outputs[0],))

        session.forward(observe)
        return plan.scaled(factors, dict.fromkeys(factors, "so that logits are small"))
