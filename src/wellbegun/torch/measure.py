"""One forward and one backward pass -> the moments of every value, and of gradients at weights, as plain numbers."""

import math
from collections.abc import Callable
from typing import Any

import torch

from wellbegun._arguments import message
from wellbegun.engine import fill
from wellbegun.errors import ArgumentError
from wellbegun.graph import WEIGHTED, ModelGraph, Operation, roles_of
from wellbegun.laws import Normal
from wellbegun.planning.propagation import Measured, Measurement
from wellbegun.theory import Signal
from wellbegun.torch.batch import Batch, call_of, place
from wellbegun.torch.trace.recording import check_model, parameters_of, preserved, record

_SAMPLES, _POSITIONS = 32, 32  # how many are compared pair by pair
_ROWS = 1024  # of samples and positions, from which it is told how many units are independent


class _Meter:
    """Observer of the pass: statistics of every value at once, gradients at weights when they arrive."""

    def __init__(self) -> None:
        self.values: dict[int, Measured] = {}
        self.gradients: dict[int, Measured] = {}
        self.edges: dict[int, Any] = {}
        self._axes: dict[int, int] = {}
        self._pending: tuple[int, torch.Tensor] | None = None

    def __call__(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        self.settle()
        if len(inputs) == len(operation.inputs):
            for value, tensor in zip(operation.inputs, inputs, strict=True):
                if value not in self._axes:
                    self._look(value, tensor, _usual_axis(tensor))
        for value, tensor in zip(operation.outputs, outputs, strict=False):
            self._look(value, tensor, self._axis(operation, tensor))
        if operation.kind in WEIGHTED:
            self._pending = operation.index, outputs[0]

    def _axis(self, operation: Operation, output: torch.Tensor) -> int:
        if operation.kind in ("conv", "conv_transpose"):
            return 1
        for value in operation.inputs:
            seen = self.values.get(value)
            if operation.kind != "linear" and seen is not None and seen.shape == tuple(output.shape):
                return self._axes[value]
        return output.ndim - 1 if operation.kind == "linear" else _usual_axis(output)

    def _look(self, value: int, tensor: torch.Tensor, axis: int) -> None:
        self._axes[value] = axis
        if tensor.is_floating_point() and tensor.ndim > 1 and tensor.numel():
            found = measured(tensor.detach(), axis)
            if math.isfinite(found.signal.second):  # memory may be read before all of it is written
                self.values[value] = found

    def settle(self) -> None:
        """Autograd attaches its node after the dispatcher returns, so it is looked up at the next operation."""
        if self._pending is None:
            return
        (index, output), self._pending = self._pending, None
        if output.requires_grad and output.grad_fn is not None and output.is_floating_point() and output.ndim > 1:
            edge = torch.autograd.graph.get_gradient_edge(output)
            self.edges[index] = edge
            edge.node.register_prehook(self._listener(index, edge.output_nr, output.ndim))

    def _listener(self, index: int, position: int, rank: int) -> Callable[[tuple[Any, ...]], None]:
        def listen(gradients: tuple[Any, ...]) -> None:
            found = gradients[position]
            if found is not None:
                self.gradients[index] = measured(found.detach(), 1 if rank > 3 else rank - 1)

        return listen


def measure(model: torch.nn.Module, batch: Batch = None) -> tuple[ModelGraph, Measurement]:
    """The graph of one pass, the moments of every value on a batch, and those of the gradients that a random signal at
    the last hidden weight sends back. Nothing about the model changes.

    Raises:
        ArgumentError: the model is on the meta device.
    """
    check_model(model)
    parameters, names = parameters_of(model)
    call = place(call_of(batch, model), model)
    if any(tensor.is_meta for tensor in model.parameters()):
        raise ArgumentError(message("signal_propagation", "model", "one that holds values", "one on the meta device"))
    meter = _Meter()
    with preserved(model):
        graph, _ = record(model, call, parameters, names, meter)
        meter.settle()
        sent = _send(model, graph, meter)
    return graph, Measurement(meter.values, meter.gradients, sent)


def _send(model: torch.nn.Module, graph: ModelGraph, meter: _Meter) -> int | None:
    """A random unit signal back from the last weight that is no readout."""
    roles = roles_of(graph)
    hidden = [
        operation.index
        for operation in graph.operations
        if operation.index in meter.edges
        and not any(use.parameter in roles and roles[use.parameter].role == "readout" for use in operation.uses)
    ]
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    if not hidden or not trained:
        return None
    edge = meter.edges[hidden[-1]]
    output = edge.node._input_metadata[edge.output_nr]
    drawn = fill(Normal(0, 1), tuple(output.shape), seed=0, name="predict.signal")
    signal = torch.from_numpy(drawn).to(output.device, output.dtype)
    torch.autograd.grad([edge], trained, grad_outputs=[signal], allow_unused=True)
    return hidden[-1]


# ---------------------------------------------------------------------- statistics
def _usual_axis(tensor: torch.Tensor) -> int:
    """Where units are, if nothing tells: channels second in images, features last elsewhere."""
    return 1 if tensor.ndim > 3 else tensor.ndim - 1


def measured(tensor: torch.Tensor, axis: int) -> Measured:
    """Averages of a tensor (samples first, units on `axis`, positions on the other axes) and how much units differ."""
    axis = axis if axis > 0 else tensor.ndim - 1
    x = tensor.movedim(axis, -1).reshape(len(tensor), -1, tensor.shape[axis]).double()  # samples, positions, units
    samples, _, units = x.shape
    squares = (x * x).mean(dim=(0, 1))
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
    return Measured(signal, tuple(tensor.shape), units, _error(squares) / second if second else 0.0, contrast)


def _between(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """E x y of each unit over pairs of different samples at one position."""
    n = len(x)
    pairs = x.sum(dim=0) * y.sum(dim=0) - (x * y).sum(dim=0)
    return pairs.mean(dim=0) / (n * (n - 1))


def _error(units: torch.Tensor) -> float:
    """Standard error of a mean over units; mirrored units count once."""
    n = len(units)
    if n < 2:
        return math.inf
    half = n // 2
    if n % 2 == 0 and half > 1 and torch.allclose(units[:half], units[half:], rtol=1e-6):
        units, n = units[:half], half
    return float(units.std()) / math.sqrt(n) * (1 + 10 / n)


def _independent(x: torch.Tensor) -> float:
    """How many units are independent: the participation ratio of their second moments, less what few rows feign.
    Mirrored units count once, and so do those that narrow layers have brought into line."""
    rows = x.reshape(-1, x.shape[2])
    rows = rows[:: max(len(rows) // _ROWS, 1)]
    gram = rows @ rows.mT if len(rows) < rows.shape[1] else rows.mT @ rows
    trace = float(gram.diagonal().sum())
    if not trace:
        return float(x.shape[2])
    inverse = float((gram * gram).sum()) / trace**2 - 1 / len(rows)
    return float(min(max(1 / max(inverse, 1e-9), 1.0), x.shape[2]))


def _unequal(x: torch.Tensor, second: float) -> tuple[float, float, float]:
    """Relative standard deviation of second moments among samples and positions, and standard deviation of correlations
    among pairs, less what so few units make by chance; share of the first that is between samples."""
    units = _independent(x)
    sizes = (x * x).mean(dim=2)
    if not second or sizes.numel() < 2:
        return 0.0, 0.0, 1.0
    chance = 2 / units
    spread = float(sizes.var()) / second**2 - chance
    samples = float(sizes.var(dim=0).mean()) / second**2 - chance if len(sizes) > 1 else spread
    between = min(max(samples / spread, 0.0), 1.0) if spread > 0 else 1.0
    step = max(x.shape[1] // _POSITIONS, 1)
    some = x[:_SAMPLES, ::step].movedim(1, 0)
    some = some / some.pow(2).mean(dim=2, keepdim=True).sqrt().clamp_min(1e-300)
    gram = some @ some.mT / x.shape[2]
    off = ~torch.eye(gram.shape[1], dtype=torch.bool, device=gram.device)
    c = gram[:, off]
    if c.numel() < 2:
        return math.sqrt(max(spread, 0.0)), 0.0, between
    scatter = float(c.var()) - float((1 - c.mean() ** 2).clamp_min(0) ** 2) / units
    return math.sqrt(max(spread, 0.0)), math.sqrt(max(scatter, 0.0)), between
