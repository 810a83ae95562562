"""The observer of the probe's forward pass: numbers of weighted operations and sums at once, gradients as they come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from wellbegun.graph import WEIGHTED, Operation
from wellbegun.torch.contents import HALF_RANGE
from wellbegun.torch.scores import Scores, of_attention, of_softmax
from wellbegun.torch.tensors import finite, largest, norm, rough_rms, sample
from wellbegun.torch.trace.aten import Attended

_SAMPLED = WEIGHTED | {"norm", "add", "shift", "scale"}  # whose outputs nonlinearities start from


@dataclass(frozen=True)
class Seen:
    """A weighted operation or a sum, on the way forward."""

    rms_in: float
    rms: float
    finite: bool
    largest: float | None
    entries: int


@dataclass(frozen=True)
class Sum:
    """The operands of a sum of two values, and the sum."""

    parts: tuple[float, ...]
    rms: float


class Watch:
    """Collects what happens in one forward pass, and in the backward passes that follow it."""

    def __init__(self) -> None:
        self.forward: dict[int, Seen] = {}
        self.sums: dict[int, Sum] = {}
        self.tables: dict[int, float] = {}  # lookup -> RMS of what it gave
        self.first_input: torch.Tensor | None = None  # a sample of what comes into the first weighted operation
        self.samples: dict[int, torch.Tensor] = {}  # value -> (samples, positions, units)
        self.axes: dict[int, int] = {}  # value -> where its units are
        self.scores: dict[int, Scores] = {}  # softmax or attention -> its logits in numbers
        self.gradients: dict[int, float] = {}  # operation -> norm of the gradient at its output
        self.edges: dict[int, Any] = {}
        self.listening = True  # off while a signal is sent back that is not the gradient
        self._pending: list[tuple[int, torch.Tensor]] = []
        self._attended: Attended | None = None

    def __call__(
        self, operation: Operation, inputs: tuple[torch.Tensor, ...], outputs: tuple[torch.Tensor, ...]
    ) -> None:
        """One operation of the forward pass."""
        self.settle()
        output = outputs[0]
        if operation.kind == "softmax" and inputs:
            self.scores[operation.index] = of_softmax(inputs[0], output, logarithm=operation.logarithm)
        elif operation.kind == "attention" and self._attended is not None:
            self.scores[operation.index] = of_attention(self._attended)
            self._attended = None
        if not (output.is_floating_point() or output.is_complex()):
            return
        if operation.kind in WEIGHTED:
            self._weighted(operation, inputs, output.detach())
        if operation.kind == "lookup":
            self.tables[operation.index] = rough_rms(output.detach())
        if operation.kind == "add" and len(inputs) == 2 and all(x.is_floating_point() for x in inputs):
            self.sums[operation.index] = Sum(tuple(rough_rms(x.detach()) for x in inputs), rough_rms(output.detach()))
        if operation.kind in WEIGHTED or operation.kind in ("lookup", "add"):
            self._pending.append((operation.index, output))
        if operation.kind in _SAMPLED and output.ndim > 1 and output.numel() and not output.is_complex():
            value, axis = operation.outputs[0], self._axis(operation, output)
            self.axes[value], self.samples[value] = axis, sample(output, axis)

    def attended(self, call: Attended) -> None:
        """What a built-in attention is about to compute."""
        self._attended = call

    def _weighted(self, operation: Operation, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        length = norm(output)
        size = largest(output) if not length < HALF_RANGE else None
        came_in = rough_rms(inputs[0].detach()) if inputs else 0.0
        entries = max(output.numel(), 1)
        self.forward[operation.index] = Seen(came_in, length / entries**0.5, finite(output, length), size, entries)
        if self.first_input is None and inputs and inputs[0].is_floating_point() and inputs[0].ndim > 1:
            self.first_input = sample(inputs[0], _unit_axis(operation, inputs[0]))

    def _axis(self, operation: Operation, output: torch.Tensor) -> int:
        if operation.kind in WEIGHTED:
            return _unit_axis(operation, output)
        if operation.over in ("samples", "groups"):
            return 1
        known = self.axes.get(operation.inputs[0]) if operation.inputs else None
        return known if known is not None and known < output.ndim else (1 if output.ndim > 3 else output.ndim - 1)

    def settle(self) -> None:
        """Autograd attaches its node after the dispatcher returns, so it is looked up at the next operation."""
        for index, output in self._pending:
            if output.requires_grad and output.grad_fn is not None:
                edge = torch.autograd.graph.get_gradient_edge(output)
                self.edges[index] = edge
                edge.node.register_prehook(self._listener(index, edge.output_nr))
        self._pending.clear()

    def _listener(self, index: int, position: int) -> Callable[[tuple[Any, ...]], None]:
        def listen(gradients: tuple[Any, ...]) -> None:
            gradient = gradients[position]
            if self.listening:
                self.gradients[index] = 0.0 if gradient is None else norm(gradient)

        return listen


def _unit_axis(operation: Operation, tensor: torch.Tensor) -> int:
    return 1 if operation.kind in ("conv", "conv_transpose") else tensor.ndim - 1
