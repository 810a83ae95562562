"""A session over a program: effects substitute values, and nothing is ever written into.

A corrected parameter is another array in the session, and the model keeps its own. A framework adds what its gradients
and losses are.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from wellbegun._arguments import told
from wellbegun._typing import Array, Progress
from wellbegun.backend.hosted import HostedHandle, along
from wellbegun.backend.program import Traced, Value, values_in
from wellbegun.backend.values import Effect, Handle, Observer, Scale
from wellbegun.errors import TraceError
from wellbegun.graph import WEIGHTED, ModelGraph


class FunctionalSession:
    """What `wellbegun.backend.Session` asks for, but losses and gradients. The graph is always that of the trace: a
    program has one path."""

    attended = None  # attention is always made of its parts

    def __init__(self, traced: Traced) -> None:
        self.traced, self.program = traced, traced.program
        self.start = dict(traced.start)
        self.known: dict[int, Any] = {}
        self.shown = {shown.operation: shown for shown in traced.shown}

    @property
    def graph(self) -> ModelGraph:
        return self.traced.graph

    def retrace(self, *, progress: Progress | None = None) -> ModelGraph:
        return self.traced.graph

    def forward(self, observer: Observer, *, progress: Progress | None = None) -> None:
        """One equation after the other; each operation is shown when its last one has run."""
        equations, ends = self.program.equations, {shown.last: shown for shown in self.traced.shown}
        self.known, scope = {**self.program.constants, **self.start}, ""
        for equation in equations:
            try:
                self.known.update(equation.values(self.known))
            except Exception as error:  # whatever a model raises: it is told with its place, and the cause is kept
                raise TraceError(f"check: the model failed at {equation.name!r}: {told(error)}") from error
            if (shown := ends.get(equation.index)) is None:
                continue
            operation = self.graph.operations[shown.operation]
            if progress is not None and operation.scope != scope:
                scope = operation.scope
                progress(equation.index, len(equations), scope)
            inputs, outputs = ([self._handle(value) for value in side] for side in (shown.inputs, shown.outputs))
            for effect in observer(operation, inputs, outputs):
                self._carry_out(effect, equation.index)

    def _handle(self, value: Value) -> Handle:
        return HostedHandle(lambda: np.asarray(self.known[value.number]), value.number)

    # ------------------------------------------------------------------ effects
    def _carry_out(self, effect: Effect, until: int) -> None:
        if isinstance(effect, Scale):
            return self._scale(effect, until)
        known = self.known
        if effect.value is not None:
            number = _number(effect.value)
            value = known[number]
            known[number] = value - along(effect.mean, value.ndim, effect.axis).astype(value.dtype)
        if effect.bias is not None:
            bias = self._parameter(effect.bias)
            self._set({effect.bias: bias - effect.mean.reshape(bias.shape)}, until)
        return None

    def _scale(self, effect: Scale, until: int) -> None:
        known, factor = self.known, effect.factor
        if effect.summand is not None:
            one, total = map(_number, effect.summand)
            known[total] = known[total] + (factor - 1) * known[one]
        for number in dict.fromkeys(map(_number, effect.values)):
            value = known[number]
            if HostedHandle(lambda value=value: value).kind != "integer":  # type: ignore[misc]
                known[number] = value * factor
                if effect.bias is not None:
                    bias = along(self.read(effect.bias).reshape(-1), value.ndim, effect.axis)
                    known[number] = known[number] + ((1 - factor) * bias).astype(value.dtype)
        self._set({name: self._parameter(name) * factor for name in effect.parameters}, until)

    def _set(self, values: Mapping[str, Any], until: int) -> None:
        """Parameters take these values, and so does all that was computed from parameters alone so far."""
        stale = set[int]()
        for name, array in values.items():
            number = self.traced.parameters[name].number
            self.start[number] = self.known[number] = array.astype(self.start[number].dtype)
            stale.add(number)
        for equation in self.program.equations[: until + 1] if stale else ():
            given = {value.number for value in values_in(equation.inputs)}
            if given & stale and not given & self.program.signals:
                self.known.update(equation.values(self.known))
                stale |= {value.number for value in values_in(equation.outputs)}

    # ------------------------------------------------------------------ what it gave
    @property
    def output(self) -> Handle:
        return self._handle(self.end)

    @property
    def main(self) -> int | None:
        return self.traced.values.get(self.end.number)

    @property
    def end(self) -> Value:
        """The value in the program that losses are taken of."""
        if self.traced.main is None:
            raise TraceError("check: the model returns no floating-point array, so there is nothing to take a loss of.")
        return self.traced.main

    @property
    def differentiable(self) -> bool:
        """Whether any parameter leads there."""
        return bool(self.reached(self.program.leading([self.end])))

    def reached(self, leading: Collection[int]) -> dict[str, int]:
        """Parameters among these values, with their numbers."""
        return {name: value.number for name, value in self.traced.parameters.items() if value.number in leading}

    @property
    def places(self) -> Collection[int]:
        """Weighted operations, lookups and sums of real or complex numbers."""
        kinds, graph = WEIGHTED | {"lookup", "add"}, self.graph
        found = [place for place in self.shown if graph.operations[place].kind in kinds]
        return [place for place in found if self._handle(self.shown[place].outputs[0]).kind != "integer"]

    @property
    def scalable(self) -> Collection[str]:
        return list(self.traced.parameters)

    @property
    def trained(self) -> Collection[str]:
        return list(self.traced.parameters)

    def parameter(self, name: str) -> Handle:
        return HostedHandle(lambda: self.read(name))

    def read(self, name: str) -> Array:
        return np.asarray(self._parameter(name))

    def write(self, name: str, values: Array) -> None:
        number = self.traced.parameters[name].number
        self.start[number] = values.astype(self.start[number].dtype)

    def _parameter(self, name: str) -> Any:
        return self.start[self.traced.parameters[name].number]


def _number(handle: Handle) -> int:
    assert isinstance(handle, HostedHandle)  # handles come back as they were shown
    return handle.number
