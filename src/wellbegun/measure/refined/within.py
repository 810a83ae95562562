"""Each unit gets a mean and a standard deviation on the batch; weights of principal components of what comes in."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Effect, Handle, Scale, Session, Shift
from wellbegun.graph import ModelGraph, Operation
from wellbegun.measure.refined.layers import Layer, Layers
from wellbegun.measure.samples import unit_axis
from wellbegun.planning import Plan

STILL = 1e-6  # share of the RMS below which a deviation is rounding
_ROWS = 1 << 13  # inputs that principal components are taken of
_LEAST = 1e-6  # share of the largest variance that a component has at least


class Place(NamedTuple):
    """Where a bias is added to what a weight gives."""

    bias: str
    operation: int


def bias_after(graph: ModelGraph, operation: Operation) -> Place | None:
    """The bias of a weighted operation: of its own, or the next thing that is added."""
    own = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
    if own is not None:
        return Place(own, operation.index)
    value = operation.outputs[0]
    while len(readers := graph.consumers.get(value, ())) == 1:
        (reader,) = readers
        if reader.kind == "shift" and len(reader.uses) == 1 and reader.uses[0].exact:
            return Place(reader.uses[0].parameter, reader.index)
        if reader.kind != "move" or len(reader.inputs) != 1:
            return None
        value = reader.outputs[0]
    return None


class Within:
    """Observer of a pass: every unit of a weight of ours gets standard deviation 1, and mean `beta` where it has a
    bias of ours. `capture`: the weight whose inputs are looked at before. `only`: other weights are not looked at."""

    def __init__(
        self,
        session: Session,
        plan: Plan,
        beta: float,
        capture: str = "",
        *,
        plain: bool = True,
        only: Collection[str] | None = None,
    ) -> None:
        self.session, self.graph, self.beta, self.capture = session, session.graph, beta, capture
        self.layers, self.only = Layers(session, plan, plain=plain), only
        self.factors: dict[str, Array] = {}  # of each unit; nan: not met yet
        self.biases: dict[str, Array] = {}  # new values
        self.places: dict[int, Place] = {}  # operations at which a mean is still to be set
        self.inputs: Array | None = None

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> Iterator[Effect]:
        """One operation of the forward pass."""
        asked = self.only is None or any(use.parameter in self.only for use in operation.uses)
        layer = self.layers.at(operation, outputs[0]) if asked else None
        if layer is not None:
            if layer.entry.name == self.capture and self.inputs is None and layer.entry.name not in self.factors:
                self.inputs = _seen(layer, operation, inputs[0]) if inputs else None
            yield from self._scaled(layer, operation, inputs, outputs[0])
        if operation.index in self.places:
            yield from self._shifted(self.places.pop(operation.index).bias, operation, outputs[0])

    def _scaled(self, layer: Layer, operation: Operation, inputs: Sequence[Handle], output: Handle) -> Iterator[Effect]:
        name, units = layer.entry.name, layer.units
        start = self.layers.offset(layer, inputs, output)
        if start is None or output.kind != "real":
            why = "its units do not lie along one axis of its output, or are complex"
            return self.layers.leave(name, why)
        if not output.finite():
            return self.layers.leave(name, "its output is not finite")
        known = self.factors.setdefault(name, np.full(units, np.nan))[start : start + output.shape[layer.axis]]
        if np.isnan(known).all():
            mean, deviation = of_units(output, layer.axis)
            still = ~(deviation > STILL * np.hypot(mean, deviation)) | ~np.isfinite(deviation)
            if still.any():
                self.layers.leave(name, "units of it do not vary on the batch")
            known[:] = np.where(still, 1.0, 1 / np.where(still, 1.0, deviation))
        if (place := bias_after(self.graph, operation)) is not None:
            self.places[place.operation] = place
        yield Scale(np.where(np.isnan(known), 1.0, known), values=(output,), bias=layer.bias, axis=layer.axis)
        return None

    def _shifted(self, bias: str, operation: Operation, output: Handle) -> Iterator[Effect]:
        axis = unit_axis(operation.axis, output)
        values = self.session.read(bias)
        if not output.finite():
            self.layers.leave(bias, "what it is added to is not finite")
        elif bias not in self.layers.entries or values.size != output.shape[axis]:
            self.layers.leave(bias, "it is not the recipe's, or does not have one entry for each unit")
        elif bias in self.biases:
            yield Shift((values - self.biases[bias]).reshape(-1), value=output, axis=axis)
        else:
            less = of_units(output, axis)[0] - self.beta
            self.biases[bias] = values - less.reshape(values.shape)
            yield Shift(less, value=output, axis=axis)


def of_units(output: Handle, axis: int) -> tuple[Array, Array]:
    """Mean and standard deviation of each unit."""
    rows = np.moveaxis(output.array(), axis, -1).reshape(-1, output.shape[axis]).astype(np.float64)
    mean = rows.mean(axis=0)
    return mean, np.sqrt(((rows - mean) ** 2).mean(axis=0))


# ---------------------------------------------------------------------- principal components
def principal(session: Session, plan: Plan, beta: float, progress: Progress | None = None) -> dict[str, Array]:
    """Weights from the principal components of their inputs, one pass for each; the session holds them from then on."""
    first, found = Within(session, plan, beta), dict[str, Array]()
    session.forward(first, progress=progress)
    for name in first.factors:
        entry, observer = plan[name], Within(session, plan, beta, capture=name)
        if entry.layout is None or entry.layout.sections or entry.layout.transposed:
            continue
        session.forward(observer, progress=progress)
        if observer.inputs is not None:
            stored = session.read(name).astype(np.float64)
            drawn = stored.transpose(entry.layout.canonical)
            values = components(observer.inputs, drawn.reshape(len(drawn), -1), entry.layout.groups)
            back = np.argsort(entry.layout.canonical)
            found[name] = values.reshape(drawn.shape).transpose(back)
            session.write(name, found[name])
    return found


def components(rows: Array, drawn: Array, groups: int) -> Array:
    """Whitening components of rows (samples, groups * inputs), largest first; units beyond them stay as drawn."""
    found, each, width = drawn.copy(), len(drawn) // groups, drawn.shape[1]
    for group in range(groups):
        own = rows[:, group * width : (group + 1) * width].astype(np.float64)
        own = own - own.mean(axis=0)
        variances, vectors = np.linalg.eigh(own.T @ own / max(len(own), 1))
        order = np.argsort(-variances)[: min(each, len(own) - 1)]
        order = order[variances[order] > _LEAST * variances.max(initial=0)]
        best = vectors[:, order].T / np.sqrt(variances[order])[:, None]
        signs = np.sign(best[np.arange(len(best)), np.abs(best).argmax(axis=1)])
        found[group * each : group * each + len(best)] = best * signs[:, None]
    return found


def _seen(layer: Layer, operation: Operation, given: Handle) -> Array | None:
    """What a weight is multiplied with, as rows in the order of its inputs: patches without padding and dilation."""
    layout, values = layer.entry.layout, given.array()
    if layout is None or given.kind != "real" or not np.isfinite(values).all():
        return None
    shape = layout.canonical_shape(layer.entry.shape)
    if operation.kind == "linear":
        rows = values.reshape(-1, values.shape[-1])
        return rows[:: -(-len(rows) // _ROWS)] if layout.axes in ("oi", "io") and rows.shape[1] == shape[1] else None
    window, rank = shape[2:], values.ndim
    if operation.kind != "conv" or len(window) != rank - 2 or values.shape[layer.axis] != layout.groups * shape[1]:
        return None
    images = np.moveaxis(values, layer.axis, 1)
    if any(size < taps for size, taps in zip(images.shape[2:], window, strict=True)):
        return None
    patches = np.lib.stride_tricks.sliding_window_view(images, window, axis=tuple(range(2, rank)))
    rows = np.moveaxis(patches, 1, rank - 1).reshape(-1, images.shape[1] * int(np.prod(window)))
    return rows[:: -(-len(rows) // _ROWS)]
