"""Unit variance of each layer's output, one layer after the other in one pass."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Effect, Handle, Loss, Scale, Session
from wellbegun.graph import Operation
from wellbegun.measure.refined.layers import Layer, Layers, as_factors
from wellbegun.measure.samples import size_of
from wellbegun.planning import Plan
from wellbegun.planning.recipes.measured import UnitVariance

_NOTHING = 1e-12  # share of the second moment below which a variance is rounding
_STILL = "its output does not vary on the batch"


def unit_variance(
    settings: UnitVariance, session: Session, plan: Plan, _: Loss | None = None, progress: Progress | None = None
) -> Plan:
    """The plan with weights divided by the standard deviation of what they give; see `lsuv`."""
    observer = _Pass(settings, session, plan)
    session.forward(observer, progress=progress)
    factors = {name: np.where(np.isnan(found), 1.0, found) for name, found in observer.factors.items()}
    why = dict.fromkeys(factors, "to unit variance of its output")
    return observer.layers.noted(plan.scaled(as_factors(factors, observer.sizes), why))


class _Pass:
    """Observer of the pass: it scales what the weights give, and remembers the factors."""

    def __init__(self, settings: UnitVariance, session: Session, plan: Plan) -> None:
        self.settings, self.layers = settings, Layers(session, plan)
        self.factors: dict[str, Array] = {}  # of each matrix in a weight; nan: not met yet
        self.sizes: dict[str, tuple[int, ...]] = {}

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        """One operation of the forward pass."""
        layer = self.layers.at(operation, outputs[0])
        if layer is None:
            return
        name, output = layer.entry.name, outputs[0]
        offset = self.layers.offset(layer, inputs, output) if len(layer.sizes) > 1 else None
        known = self.factors.setdefault(name, np.full(len(layer.sizes), math.nan))
        self.sizes[name] = layer.sizes
        if offset is None:
            if np.isnan(known).any():
                known[:] = 1.0
                yield from self._fit(layer, output, known, slice(None), (0, output.shape[layer.axis]))
            else:
                yield from _scaled(layer, output, float(known[0]))
            return
        start = 0
        for place, size in enumerate(layer.sizes):
            bounds = start - offset, start + size - offset
            start += size
            if bounds[0] < 0 or bounds[1] > output.shape[layer.axis]:
                continue
            if math.isnan(known[place]):
                known[place] = 1.0
                yield from self._fit(layer, output, known, slice(place, place + 1), bounds)
            else:
                yield from _scaled(layer, output, float(known[place]), bounds)

    def _fit(
        self, layer: Layer, output: Handle, known: Array, places: slice, bounds: tuple[int, int]
    ) -> Iterator[Effect]:
        name = layer.entry.name
        for _ in range(self.settings.tries):
            variance, second = variance_of(output, layer.axis, bounds)
            if not math.isfinite(variance) or variance <= _NOTHING * second:
                known[places] = 1.0
                return self.layers.leave(name, _STILL if second < math.inf else "its output is not finite")
            if abs(variance - 1) <= self.settings.tolerance:
                return None
            factor = float(f"{variance**-0.5:.8g}")
            known[places] *= factor
            yield from _scaled(layer, output, factor, bounds)
        if abs(variance_of(output, layer.axis, bounds)[0] - 1) > self.settings.tolerance:
            self.layers.leave(name, f"variance 1 was not reached in {self.settings.tries} tries")
        return None


def _scaled(layer: Layer, output: Handle, factor: float, bounds: tuple[int, int] | None = None) -> Iterator[Effect]:
    """What the model would have given with the weight, or some of its units, multiplied."""
    count = output.shape[layer.axis]
    if factor == 1.0:
        return
    if bounds in (None, (0, count)):
        yield Scale(factor, values=(output,), bias=layer.bias, axis=layer.axis)
    else:
        each = np.ones(count)
        each[slice(*bounds)] = factor
        yield Scale(each, values=(output,), bias=layer.bias, axis=layer.axis)


def variance_of(output: Handle, axis: int, bounds: tuple[int, int]) -> tuple[float, float]:
    """Variance over all entries of some units, and their second moment."""
    part = output.part(*[slice(None)] * axis, slice(*bounds))
    entries = max(size_of(part), 1)
    mean = part.mean(axis).mean()
    second = part.norm() ** 2 / entries
    return part.norm(np.full(part.shape[axis], mean), axis) ** 2 / entries, second
