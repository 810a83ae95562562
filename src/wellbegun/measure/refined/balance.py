"""Krähenbühl's initialization: each unit on its own within a layer, then the rates of change between layers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Effect, Handle, Loss, Session, Shift
from wellbegun.graph import Operation
from wellbegun.measure.refined.within import STILL, Within, bias_after, of_units, principal
from wellbegun.measure.samples import rms, size_of, unit_axis
from wellbegun.measure.signals import random_signal
from wellbegun.planning import Plan
from wellbegun.planning.recipes.measured import Balanced

_NEAR, _FAR = 0.01, 0.1  # of the logarithm of a ratio: good enough, and too much to be silent


def balanced(
    settings: Balanced, session: Session, plan: Plan, _: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with units normalized and layers balanced; see `krahenbuhl`."""
    found = principal(session, plan, settings.beta, progress) if settings.weights == "pca" else {}
    plan = plan.holding(found, dict.fromkeys(found, "principal components of what comes in on the batch"))
    within = Within(session, plan, settings.beta)
    session.forward(within, progress=progress)
    factors = {name: np.where(np.isnan(each), 1.0, each) for name, each in within.factors.items()}
    rates = _Rates(session, plan, factors, within.biases)
    said = rates.balance(settings.rounds, progress) if settings.rounds else ()
    how = ", then equal rates of change of all layers" if settings.rounds else ""
    plan = plan.scaled(rates.factors, dict.fromkeys(factors, f"to standard deviation 1 of each unit{how}"))
    before = ", before the layers before it are balanced" if settings.rounds else ""
    reason = f"the mean of each unit is {settings.beta:g} times its standard deviation on the batch{before}"
    plan = within.layers.noted(plan.holding(rates.biases, dict.fromkeys(rates.biases, reason)))
    return replace(plan, notes=(*plan.notes, *(f"{plan.recipe}: {text}." for text in said)))


class _Rates:
    """RMS(gradient) / RMS(weight) of each layer under a random signal; an observer that takes biases along."""

    def __init__(self, session: Session, plan: Plan, factors: Mapping[str, Array], biases: Mapping[str, Array]) -> None:
        self.session, self.factors, self.biases = session, dict(factors), dict(biases)
        self.weights = {name: _times(session.read(name), plan, name, each) for name, each in factors.items()}
        self.sizes: dict[str, float] = {}  # of what each weight gave in the last pass, without its bias
        self.growth: dict[int, tuple[str, float]] = {}  # operations at which a bias follows
        self.met = set[str]()

    def balance(self, rounds: int, progress: Progress | None = None) -> tuple[str, ...]:
        """Scale the layers until their rates are equal; what is to be said of it."""
        for number in range(rounds + 1):
            for name, values in {**self.weights, **self.biases}.items():
                self.session.write(name, values)
            self.met.clear()
            self.session.forward(self, progress=progress)
            rates = self._rates()
            if len(rates) < 2:
                return ("fewer than two layers get a gradient, so there is nothing to balance",)
            logs = np.log(list(rates.values()))
            target = logs.mean() + math.log(_spread(self.session.output)) / len(logs)
            apart = np.abs(logs - target).max()
            if apart <= _NEAR:
                return ()
            if number < rounds:
                for name, log in zip(rates, logs, strict=True):
                    factor = math.exp((log - target) / 2)
                    self.factors[name] = self.factors[name] * factor
                    self.weights[name] = self.weights[name] * factor
        if apart <= _FAR:
            return ()
        return (
            f"after {rounds} rounds the rates of change of layers are up to x {math.exp(apart):.3g} off their mean",
        )

    def __call__(
        self,
        operation: Operation,
        inputs: Sequence[Handle],  # noqa: ARG002 - its place is that of the protocol
        outputs: Sequence[Handle],
    ) -> Iterator[Effect]:
        """One operation: where a weight gives more or less than before, its bias does too."""
        for use in operation.uses:
            if use.slot == "weight" and use.parameter in self.weights and use.parameter not in self.met:
                self.met.add(use.parameter)
                self._look(use.parameter, operation, outputs[0])
        if operation.index in self.growth:
            bias, growth = self.growth.pop(operation.index)
            less = (self.biases[bias] * (1 - growth)).reshape(-1)
            self.biases[bias] = self.biases[bias] * growth
            yield Shift(less, value=outputs[0], axis=unit_axis(operation.axis, outputs[0]), bias=bias)

    def _look(self, name: str, operation: Operation, output: Handle) -> None:
        place, size = bias_after(self.session.graph, operation), rms(output)
        if place is not None and place.operation == operation.index:
            bias, axis = self.session.read(place.bias).reshape(-1), unit_axis(operation.axis, output)
            size = output.norm(bias, axis) / math.sqrt(max(size_of(output), 1))
        before, self.sizes[name] = self.sizes.get(name), size
        if place is not None and before and size and place.bias in self.biases:
            self.growth[place.operation] = place.bias, size / before

    def _rates(self) -> dict[str, float]:
        found = dict[str, float]()
        if self.session.differentiable and self.session.output.kind == "real":
            signal = random_signal(self.session.output.shape)
            lengths = dict[object, float]()
            receive = lambda place, gradient: lengths.update({place: rms(gradient)})  # noqa: E731
            self.session.backward("output", receive, signal=signal)
            for name, values in self.weights.items():
                size = math.sqrt(float((values**2).mean())) if values.size else 0.0
                if size > 0 and 0 < lengths.get(name, 0.0) < math.inf:
                    found[name] = lengths[name] / size
        return found


def _times(values: Array, plan: Plan, name: str, factors: Array) -> Array:
    """Values with each unit multiplied, in the order in which they are stored."""
    layout = plan[name].layout
    assert layout is not None
    canonical = values.astype(np.float64).transpose(layout.canonical)
    scaled = (canonical.reshape(len(factors), -1) * factors[:, None]).reshape(canonical.shape)
    return scaled.transpose(np.argsort(layout.canonical))


def _spread(output: Handle) -> float:
    """Mean standard deviation of the output's units; 1 where it does not vary."""
    found = float(of_units(output, len(output.shape) - 1)[1].mean()) if size_of(output) else 1.0
    return found if math.isfinite(found) and found > STILL * rms(output) else 1.0
