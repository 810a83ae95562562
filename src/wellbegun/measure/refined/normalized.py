"""Data-dependent start of weight-normalized layers and of ActNorm."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Effect, Handle, Loss, Scale, Session, Shift
from wellbegun.graph import Operation, Use, roles_of
from wellbegun.measure.refined.within import STILL, Within, of_units
from wellbegun.measure.samples import unit_axis
from wellbegun.planning import Plan
from wellbegun.planning.recipes.measured import ZeroMean
from wellbegun.planning.recipes.normalized import affine, directed


def zero_mean(
    _settings: ZeroMean, session: Session, plan: Plan, _loss: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with units and channels of mean 0 and standard deviation 1; see the recipe weight_norm."""
    observer = _Pass(session, plan)
    session.forward(observer, progress=progress)
    within = observer.within
    factors = {name: np.where(np.isnan(each), 1.0, each) for name, each in within.factors.items()}
    plan = plan.scaled(factors, dict.fromkeys(factors, "to standard deviation 1 of each unit"))
    given = {**within.biases, **observer.values}
    plan = within.layers.noted(
        plan.holding(given, dict.fromkeys(given, "mean 0 and standard deviation 1 on the batch"))
    )
    if factors or observer.pairs:
        return plan
    text = f"{plan.recipe}: nothing here is a weight-normalized layer or an ActNorm, so that nothing was measured."
    return replace(plan, notes=(*plan.notes, text))


class _Pass:
    """Observer of the pass: weight-normalized layers as `Within` has it, and the scales and shifts of ActNorm."""

    def __init__(self, session: Session, plan: Plan) -> None:
        graph, roles = session.graph, roles_of(session.graph)
        only = directed(graph, roles)
        self.session, self.within = session, Within(session, plan, 0.0, plain=False, only=only)
        for name in sorted(directed(graph, roles, "i") - only):
            self.within.layers.leave(
                name, "its lengths are those of its inputs (in a transposed convolution, give dim=1)"
            )
        pairs = affine(graph)
        self.pairs = {index: pair for pair in pairs for index in pair}
        self.factors: dict[str, Array] = {}  # of each channel, by names of scales
        self.values: dict[str, Array] = {}  # of scales and shifts

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        """One operation of the forward pass."""
        if operation.index in self.pairs:
            yield from self._normal(operation, outputs[0])
        else:
            yield from self.within(operation, inputs, outputs)

    def _normal(self, operation: Operation, output: Handle) -> Iterator[Effect]:
        (use,) = operation.uses
        name, axis, layers = use.parameter, unit_axis(operation.axis, output), self.within.layers
        held = self.session.read(name).astype(np.float64)
        if name not in layers.entries or held.size != output.shape[axis] or output.kind != "real":
            return layers.leave(name, "it is not the recipe's, or does not have one entry for each channel")
        mean, deviation = of_units(output, axis)
        still = ~(deviation > STILL * np.hypot(mean, deviation))
        if still.any():
            layers.leave(name, "channels of it do not vary on the batch")
        if operation.kind == "shift":
            if name not in self.values:
                self.values[name] = held - np.where(still, 0.0, mean).reshape(held.shape)
            yield Shift((held - self.values[name]).reshape(-1), value=output, axis=axis)
            return None
        if name not in self.factors:
            wanted = np.where(still, 1.0, 1 / np.where(still, 1.0, deviation))
            values = _inverse(use, wanted)
            if values is None:
                return layers.leave(name, "no value of it was found that gives the scale")
            self.factors[name], self.values[name] = wanted, values.reshape(held.shape)
        yield Scale(self.factors[name], values=(output,), axis=axis)
        return None


def _inverse(use: Use, wanted: Array) -> Array | None:
    """What a parameter has to hold so that the signal is scaled so; it was scaled by 1."""
    if use.exact:
        return wanted
    found = [] if use.computed is None else [use.computed.where(float(value)) for value in wanted]
    return None if not found or None in found else np.array(found, dtype=np.float64)
