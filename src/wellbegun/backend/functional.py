"""A session over a program: effects substitute values, and nothing is ever written into.

A corrected parameter is another array in the session, and the model keeps its own. A framework adds how it makes arrays
and takes gradients.
"""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from wellbegun._arguments import told
from wellbegun._typing import Array, Progress
from wellbegun.backend.hosted import HostedHandle, along
from wellbegun.backend.losses import MadeUpLoss, same_entries
from wellbegun.backend.program import Shown, Traced, Value, values_in
from wellbegun.backend.returned import OwnLoss, Results, Returned
from wellbegun.backend.session import Judged, Loss, Receive, Signal, Start, check_write
from wellbegun.backend.values import Effect, Handle, Observer, Scale
from wellbegun.errors import TraceError
from wellbegun.graph import WEIGHTED, ModelGraph, Operation
from wellbegun.inputs import arrays_in, targets_for

Arrays = Mapping[Any, Any]
Run = Callable[[Arrays, Arrays, Mapping[int, Any]], Any]


class FunctionalSession:
    """What `wellbegun.backend.Session` asks for. The graph is always that of the trace: a program has one path."""

    attended = None  # attention is always made of its parts
    channels_last = True
    given: Mapping[str, str] = MappingProxyType({})

    def __init__(self, traced: Traced) -> None:
        self.traced, self.program, self.made = traced, traced.program, traced.made
        self.start = dict(traced.start)
        self.everywhere = False  # whether gradients are asked for at all operations
        self.known: dict[int, Any] = {}  # arrays that are still to be read, by the numbers of values
        self.shown = {shown.operation: shown for shown in traced.shown}
        self._loss: Loss | OwnLoss | None = None  # of the user's or the model's, as judged last
        self._sent: Any = None  # the gradient of a made-up loss, as judged last
        self._cells: WeakValueDictionary[int, _Cell] = WeakValueDictionary()  # of handles that somebody holds

    @property
    def graph(self) -> ModelGraph:
        return self.traced.graph

    @property
    def beside(self) -> Mapping[str, Array]:
        given = {name: self._host(array) for name, array in self.traced.beside.items() if hasattr(array, "shape")}
        labels = {name: values for name, values in self._labels.items() if values.ndim == 1}
        signals = self.program.leading([self.end], stopped=False) if labels else frozenset[int]()
        for name, values in [*labels.items()]:  # what the output is made of is an input, but for labels of its classes
            if self.traced.targets[name].number in signals and same_entries(self.end.shape, values.shape):
                del labels[name]
        return {**labels, **given}

    @property
    def taken(self) -> Mapping[str, Array]:
        return {name: values for name, values in self._labels.items() if values.ndim > 1}

    @property
    def _labels(self) -> dict[str, Array]:
        return {name: self._host(self.start[value.number]) for name, value in self.traced.targets.items()}

    def retrace(self, *, progress: Progress | None = None) -> ModelGraph:
        return self.traced.graph

    def forward(self, observer: Observer, *, everywhere: bool = False, progress: Progress | None = None) -> None:
        """One equation after the other; each operation is shown when its last one has run."""
        self.everywhere = everywhere
        equations, ends = self.program.equations, {shown.last: shown for shown in self.traced.shown}
        self.known, scope, unread = {**self.program.constants, **self.start}, "", self.traced.unread()
        self._cells.clear()
        for equation in equations:
            try:
                self.known.update(equation.values(self.known))
            except Exception as error:  # whatever a model raises: it is told with its place, and the cause is kept
                raise TraceError(f"check: the model failed at {equation.name!r}: {told(error)}") from error
            if (shown := ends.get(equation.index)) is not None:
                operation = self.graph.operations[shown.operation]
                if progress is not None and operation.scope != scope:
                    scope = operation.scope
                    progress(equation.index, len(equations), scope)
                self._show(operation, shown, observer)
            for number in unread.get(equation.index, ()):
                del self.known[number]

    def _show(self, operation: Operation, shown: Shown, observer: Observer) -> None:
        inputs, outputs = ([self._handle(value) for value in side] for side in (shown.inputs, shown.outputs))
        for effect in observer(operation, inputs, outputs):
            self._carry_out(effect, shown.last)

    def _handle(self, value: Value) -> Handle:
        cell = self._cells.get(value.number) or _Cell(self.known[value.number])
        self._cells[value.number] = cell
        return HostedHandle(lambda: self._host(cell.array), value.number)

    def _host(self, array: Any) -> Array:
        """All entries of an array of the framework's."""
        return np.asarray(array)

    def _like(self, values: Any, array: Any) -> Any:
        """Values as an array of the framework's, in the numbers of another one."""
        return values.astype(array.dtype)

    def _zeros(self, value: Value) -> Any:
        """An array of zeros like one of the program's."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _scalar(self, found: Any) -> Any:
        """The one number that a loss gave, as an array without axes; an error if it is none."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _made_up(self, loss: MadeUpLoss, output: Any) -> tuple[Any, Any]:
        """A made-up loss of an output, and its gradient there."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _gradients(self, run: Run, held: Arrays, added: Arrays, sent: Any, key: Any) -> tuple[Arrays, Arrays]:
        """Gradients of `run(held, added, start)` for both, if this is sent back. Equal keys: the same computation."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _change(self, handle: Handle, change: Callable[[Any], Any]) -> None:
        """Another array for a value, where it is still to be read and where somebody looks at it."""
        number = _number(handle)
        cell = self._cells[number]
        cell.array = change(cell.array)
        if number in self.known:
            self.known[number] = cell.array

    # ------------------------------------------------------------------ effects
    def _carry_out(self, effect: Effect, until: int) -> None:
        if isinstance(effect, Scale):
            return self._scale(effect, until)
        if effect.value is not None:
            mean, axis = effect.mean, effect.axis
            self._change(effect.value, lambda x: x - self._like(along(mean, x.ndim, axis), x))
        if effect.bias is not None:
            bias = self._parameter(effect.bias)
            self._set({effect.bias: bias - self._like(effect.mean.reshape(bias.shape), bias)}, until)
        return None

    def _scale(self, effect: Scale, until: int) -> None:
        factor: Any = effect.factor
        bias = None if effect.bias is None else self.read(effect.bias).reshape(-1)

        def scaled(x: Any) -> Any:
            units = isinstance(factor, np.ndarray)
            times = self._like(along(factor, x.ndim, effect.axis), x) if units else factor
            return x * times + (0 if bias is None else self._like((1 - factor) * along(bias, x.ndim, effect.axis), x))

        if effect.summand is not None:
            part = self._cells[_number(effect.summand[0])].array
            self._change(effect.summand[1], lambda total: total + (factor - 1) * part)
        for handle in {_number(handle): handle for handle in effect.values}.values():
            if handle.kind != "integer":
                self._change(handle, scaled)
        self._set({name: self._parameter(name) * factor for name in effect.parameters}, until)

    def _set(self, values: Mapping[str, Any], until: int) -> None:
        """Parameters take these values, and so does all that was computed from parameters alone so far."""
        stale = set[int]()
        for name, array in values.items():
            number = self.traced.parameters[name].number
            self.start[number] = self.known[number] = self._like(array, self.start[number])
            stale.add(number)
        for equation in self.program.equations[: until + 1] if stale else ():
            given = {value.number for value in values_in(equation.inputs)}
            if given & stale and not given & self.program.signals:
                self.known.update(equation.values(self.known))
                stale |= {value.number for value in values_in(equation.outputs)}

    # ------------------------------------------------------------------ backward
    def judge(self, loss: Loss | MadeUpLoss | OwnLoss) -> Judged:
        """The user's loss, or the model's, in the model's own numbers, others in single precision."""
        if isinstance(loss, MadeUpLoss):
            value, gradient = self._made_up(loss, self.known[self.end.number])
            self._loss, self._sent = None, gradient
            return Judged(float(self._host(value)), self._given(gradient))
        self.given = {} if isinstance(loss, OwnLoss) else targets_for(loss, self.traced.beside)
        self._loss = loss
        return Judged(float(self._host(self._of_users(loss, self.known))), None)

    def _of_users(self, loss: Loss | OwnLoss, known: Arrays) -> Any:
        """A loss of the user's: of the main output and of what the batch holds beside the inputs, or of the output; or
        one of the model's."""
        if isinstance(loss, OwnLoss):
            return sum(self._mean(known[self._real[place].number]) for place in loss.places)
        more = {name: self.traced.beside[key] for name, key in self.given.items()}
        return self._scalar(loss(known[self.end.number], **more) if more else loss(self.traced.returned(known)))

    def backward(
        self,
        start: Start,
        receive: Receive,
        *,
        signal: Signal | None = None,
        until: int | None = None,
        again: bool = False,
    ) -> None:
        """The pass is run once more, with zeros added where gradients are wanted: `again` makes no difference."""
        loss = self._loss if start == "loss" else None
        end = self.shown[start].outputs[0] if isinstance(start, int) else self.end
        own = [self._real[place] for place in loss.places] if isinstance(loss, OwnLoss) else self.program.outputs
        leading = self.program.leading([end] if loss is None else own)
        reached = self.reached(leading) if until is None else {}
        places = [self.shown[place] for place in (self.places if until is None else [until]) if place != start]
        ends = {shown.last: shown for shown in places if shown.outputs[0].number in leading}

        def run(parameters: Arrays, added: Arrays, known: Mapping[int, Any]) -> Any:
            given = {**known, **{reached[name]: array for name, array in parameters.items()}}
            made = self.program.run(given, {at: (shown.outputs[0], added[at]) for at, shown in ends.items()})
            return made[end.number] if loss is None else self._of_users(loss, made)

        held = {name: self.start[number] for name, number in reached.items()}
        zeros = {at: self._zeros(shown.outputs[0]) for at, shown in ends.items()}
        sent = None
        if loss is None:
            sent = self._sent if signal is None else self._like(signal.spread(end.shape), self._zeros(end))
        found: Arrays = {}
        came: Arrays = {}
        if held or zeros:  # what is asked for may lie beside the way
            found, came = self._gradients(run, held, zeros, sent, (end, until, id(loss), self.everywhere))
        if isinstance(start, int) and until is None:
            receive(start, self._given(sent))
        for at in sorted(ends, reverse=True):
            receive(ends[at].operation, self._given(came[at]))
        for name, gradient in found.items():
            receive(name, self._given(gradient))

    def _given(self, array: Any) -> Handle:
        return HostedHandle(lambda: self._host(array))

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
        return self._real[self._results.main]

    @cached_property
    def _real(self) -> list[Value]:
        real = dict.fromkeys(value for value in values_in(self.program.outputs) if value.array.numbers != "integer")
        if not real:
            raise TraceError("check: the model returns no floating-point array, so there is nothing to take a loss of.")
        return [*real]

    @property
    def own_loss(self) -> OwnLoss | None:
        return self._results.own_loss

    @cached_property
    def _results(self) -> Results:
        """What the program returns; numbers are those of the first pass."""
        values, signals = self.traced.values, self.program.signals
        learns = (bool(self.reached(self.program.leading([value]))) for value in self._real)
        told = zip(self._real, learns, strict=True)
        found = {value: Returned(value.shape, one, values.get(value.number)) for value, one in told}
        result = self.traced.returned({value.number: value for value in values_in(self.program.outputs)})
        arrays = lambda part: arrays_in(part, Value)  # noqa: E731
        given = [value.shape for value in self.program.inputs if value.number in signals]
        targets = [values[one.number] for one in self.traced.targets.values() if one.number in values]
        host = lambda place: np.asarray(self._host(self.known[self._real[place].number]))  # noqa: E731
        return Results.of(self.graph, result, found, arrays, targets, given, host)

    def _mean(self, array: Any) -> Any:
        """The mean of an array of the framework's."""
        return array.mean()

    @property
    def differentiable(self) -> bool:
        """Whether any parameter leads there."""
        return bool(self.reached(self.program.leading([self.end])))

    def reached(self, leading: Collection[int]) -> dict[str, int]:
        """Parameters among these values, with their numbers."""
        return {
            name: value.number for name in self.trained if (value := self.traced.parameters[name]).number in leading
        }

    @property
    def places(self) -> Collection[int]:
        """Weighted operations, lookups and sums of real or complex numbers."""
        kinds, graph = WEIGHTED | {"lookup", "add"}, self.graph
        found = [place for place in self.shown if self.everywhere or graph.operations[place].kind in kinds]
        return [place for place in found if self.shown[place].outputs[0].array.numbers != "integer"]

    @property
    def buffers(self) -> Mapping[str, Handle]:
        return {}  # compiled into the program as constants

    @property
    def scalable(self) -> Collection[str]:
        return [name for name, value in self.traced.parameters.items() if value.array.numbers != "integer"]

    @cached_property
    def trained(self) -> Collection[str]:
        frozen = self.program.frozen
        return [name for name in self.scalable if self.traced.parameters[name].number not in frozen]

    def parameter(self, name: str) -> Handle:
        return HostedHandle(lambda: self.read(name))

    def read(self, name: str) -> Array:
        return self._host(self._parameter(name))

    def write(self, name: str, values: Array) -> None:
        check_write(name, values, {each: value.shape for each, value in self.traced.parameters.items()})
        number = self.traced.parameters[name].number
        self.start[number] = self._like(values, self.start[number])

    def _parameter(self, name: str) -> Any:
        return self.start[self.traced.parameters[name].number]


class _Cell:
    """The array of a value, which its handles share."""

    __slots__ = ("__weakref__", "array")

    def __init__(self, array: Any) -> None:
        self.array = array


def _number(handle: Handle) -> int:
    assert isinstance(handle, HostedHandle)  # handles come back as they were shown
    return handle.number
