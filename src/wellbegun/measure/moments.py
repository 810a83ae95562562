"""One forward and one backward pass -> the moments of every value, and of gradients at weights, as plain numbers."""

import math
import sys
from collections.abc import Sequence

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Backend, Batch, Effect, Handle, Model, Place
from wellbegun.graph import WEIGHTED, ModelGraph, Operation, roles_of
from wellbegun.measure.samples import size_of
from wellbegun.measure.signals import last_hidden, random_signal
from wellbegun.planning.propagation import Measured, Measurement
from wellbegun.theory import Signal

_SAMPLES, _POSITIONS = 32, 32  # how many are compared pair by pair
_ROWS = 1024  # of samples and positions, from which it is told how many units are independent


class _Moments:
    """Observer of the pass: statistics of every value at once, gradients at weights when they arrive."""

    def __init__(self, *, last: bool) -> None:
        self.last = last  # whether channels of images are the last axis
        self.values: dict[int, Measured] = {}
        self.gradients: dict[int, Measured] = {}
        self.axes: dict[int, int] = {}  # value -> where its units are
        self.weights: dict[int, tuple[tuple[int, ...], int]] = {}  # weighted operation -> shape and axis of its output

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> tuple[Effect, ...]:
        """One operation of the forward pass."""
        if len(inputs) == len(operation.inputs):
            window = operation.axis if operation.kind in ("conv", "conv_transpose") else None
            for value, handle in zip(operation.inputs, inputs, strict=True):
                if value not in self.axes:
                    self._look(value, handle, window)
        for value, handle in zip(operation.outputs, outputs, strict=False):
            self._look(value, handle, operation.axis)
        if operation.kind in WEIGHTED and outputs[0].kind == "real" and len(outputs[0].shape) > 1:
            self.weights[operation.index] = outputs[0].shape, self.axes[operation.outputs[0]]
        return ()

    def _look(self, value: int, handle: Handle, axis: int | None) -> None:
        rank = len(handle.shape)
        if axis is None or axis >= rank:  # channels of images, features elsewhere
            axis = 1 if rank > 3 and not self.last else rank - 1
        self.axes[value] = axis
        if handle.kind == "real" and rank > 1 and size_of(handle):
            with np.errstate(all="ignore"):
                found = measured(handle.array(), axis)
            if math.isfinite(found.signal.second):  # memory may be read before all of it is written
                self.values[value] = found

    def receive(self, place: Place, gradient: Handle) -> None:
        """Take a gradient when it arrives."""
        if not isinstance(place, str) and place in self.weights:
            self.gradients[place] = measured(gradient.array(), self.weights[place][1])


def moments(backend: Backend, model: Model, batch: Batch = None) -> tuple[ModelGraph, Measurement]:
    """The graph of one pass, the moments of every value on a batch, and those of the gradients that a random signal at
    the last hidden weight sends back. Nothing about the model changes.

    Raises:
        ArgumentError: the model is on the meta device.
    """
    with backend.session(model, batch, owner="signal_propagation") as session:
        observer = _Moments(last=session.channels_last)
        session.forward(observer)
        graph = session.graph
        start = last_hidden(graph, roles_of(graph), session) if session.trained else None
        if start is not None and start in observer.weights:
            signal = random_signal(observer.weights[start][0], most=sys.maxsize)
            session.backward(start, observer.receive, signal=signal)
    return graph, Measurement(observer.values, observer.gradients, start)


# ---------------------------------------------------------------------- statistics
def measured(values: Array, axis: int) -> Measured:
    """Averages of an array (samples first, units on `axis`, positions on the other axes), how much units differ."""
    axis = axis if axis > 0 else values.ndim - 1
    x = np.moveaxis(values, axis, -1).reshape(len(values), -1, values.shape[axis])  # samples, positions, units
    x = x.astype(np.float64)
    samples, _, units = x.shape
    squares = (x * x).mean(axis=(0, 1))
    second = float(squares.mean())
    twin = cross = overlap = None
    contrast = 0.0
    if samples > 1:
        products = _between(x, x)
        overlap = float(products.mean())
        differing = products - squares * (overlap / second if second else 0.0)
        contrast = _error(differing) / second if second else 0.0
    if units % 2 == 0:
        one, two = x[..., : units // 2], x[..., units // 2 :]
        twin = float((one * two).mean())
        cross = float(_between(one, two).mean()) if samples > 1 else None
    spread, scatter, between = _unequal(x, second)
    signal = Signal(second, float(x.mean()), overlap, twin, cross, False, spread, scatter, between)
    return Measured(signal, values.shape, units, _error(squares) / second if second else 0.0, contrast)


def _between(x: Array, y: Array) -> Array:
    """E x y of each unit over pairs of different samples at one position."""
    n = len(x)
    pairs = x.sum(axis=0) * y.sum(axis=0) - (x * y).sum(axis=0)
    means: Array = pairs.mean(axis=0) / (n * (n - 1))
    return means


def _error(units: Array) -> float:
    """Standard error of a mean over units; mirrored units count once."""
    n = len(units)
    if n < 2:
        return math.inf
    half = n // 2
    if n % 2 == 0 and half > 1 and np.allclose(units[:half], units[half:], rtol=1e-6):
        units, n = units[:half], half
    return float(units.std(ddof=1)) / math.sqrt(n) * (1 + 10 / n)


def _independent(x: Array) -> float:
    """How many units are independent: the participation ratio of their second moments, less what few rows feign.
    Mirrored units count once, and so do those that narrow layers have brought into line."""
    rows = x.reshape(-1, x.shape[2])
    rows = rows[:: max(len(rows) // _ROWS, 1)]
    gram = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
    trace = float(gram.trace())
    if not trace:
        return float(x.shape[2])
    inverse = float((gram * gram).sum()) / trace**2 - 1 / len(rows)
    return float(min(max(1 / max(inverse, 1e-9), 1.0), x.shape[2]))


def _unequal(x: Array, second: float) -> tuple[float, float, float]:
    """Relative standard deviation of second moments among samples and positions, and standard deviation of correlations
    among pairs, less what so few units make by chance; share of the first that is between samples."""
    units = _independent(x)
    sizes = (x * x).mean(axis=2)
    if not second or sizes.size < 2:
        return 0.0, 0.0, 1.0
    chance = 2 / units
    spread = float(sizes.var(ddof=1)) / second**2 - chance
    samples = float(sizes.var(axis=0, ddof=1).mean()) / second**2 - chance if len(sizes) > 1 else spread
    between = min(max(samples / spread, 0.0), 1.0) if spread > 0 else 1.0
    step = max(x.shape[1] // _POSITIONS, 1)
    some = np.moveaxis(x[:_SAMPLES, ::step], 1, 0)
    some = some / np.maximum(np.sqrt((some**2).mean(axis=2, keepdims=True)), 1e-300)
    gram = some @ np.swapaxes(some, -1, -2) / x.shape[2]
    c = gram[:, ~np.eye(gram.shape[1], dtype=bool)]
    if c.size < 2:
        return math.sqrt(max(spread, 0.0)), 0.0, between
    scatter = float(c.var(ddof=1)) - max(1 - float(c.mean()) ** 2, 0.0) ** 2 / units
    return math.sqrt(max(spread, 0.0)), math.sqrt(max(scatter, 0.0)), between
