"""How much a random signal at a model's output grows on its way back: Hutchinson's estimate of the Jacobian."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from wellbegun.graph import ModelGraph, Role
from wellbegun.torch.summary import weights
from wellbegun.torch.tensors import norm, rms
from wellbegun.torch.watch import Watch

_SENT = 1 << 20  # about how many entries a random signal has that is sent back
_TOLD = 8  # least entries of an output whose RMS says what is usual


@dataclass(frozen=True)
class Way:
    """From the first weighted output, or table, to the model's output."""

    watch: Watch
    first: int | None
    output: torch.Tensor

    @classmethod
    def of(cls, graph: ModelGraph, roles: Mapping[str, Role], watch: Watch, output: torch.Tensor) -> "Way":
        """The way of this pass; no first where there is none to go."""
        trunk = [o.index for o, role in weights(graph, roles) if o.index in watch.edges and role.branch is None]
        first = min([*trunk, *(index for index in watch.tables if index in watch.edges)], default=None)
        open_ = output.requires_grad and output.is_floating_point() and output.numel()
        return cls(watch, first if open_ else None, output)

    def of_random(self) -> float | None:
        """Root of the mean squared singular value, from one random signal sent back; the graph is kept."""
        if self.first is None:
            return None
        signal = random_signal(self.output.shape, self.output.device, self.output.dtype)
        ends: Any = {"grad_outputs": [signal], "allow_unused": True, "retain_graph": True}
        self.watch.listening = False
        found: torch.Tensor | None = torch.autograd.grad([self.output], [self.watch.edges[self.first]], **ends)[0]
        self.watch.listening = True
        return None if found is None else norm(found) / norm(signal)

    def of_loss(self, length: float) -> float | None:
        """The same from the gradient of a loss, of this length at the output, which has come back already."""
        came = None if self.first is None else self.watch.gradients.get(self.first)
        return None if came is None else came / length

    def relative(self, gain: float | None) -> float | None:
        """The same of relative changes: 1 where both ends have the same size."""
        if gain is None or self.first is None or self.output.numel() < _TOLD:
            return None
        size, tables = rms(self.output.detach()), self.watch.tables
        start = tables[self.first] if self.first in tables else self.watch.forward[self.first].rms
        return gain * start / size if size else None


def aimless(length: float, limit: float) -> bool:
    """Whether a gradient points in random directions: its square is what random targets make of it, not more, and not
    less, as where numbers of half precision vanish."""
    return limit > 0 and limit / 2 <= length**2 <= limit


def random_signal(shape: Any, device: Any, dtype: torch.dtype) -> torch.Tensor:
    """Standard normal numbers, the same every time, for some of the rows where there are very many; of torch's
    generator, which is the faster one for a throw-away."""
    real = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32
    kind = (torch.complex128 if real == torch.float64 else torch.complex64) if dtype.is_complex else real
    last = shape[-1] if shape else 1
    rows = math.prod(shape) // max(last, 1)
    each = max(math.prod(shape) // _SENT, 1)
    drawn = torch.randn((-(-rows // each), last), generator=torch.Generator().manual_seed(0), dtype=kind)
    signal = torch.zeros((rows, last), dtype=dtype, device=device)
    signal[::each] = drawn.to(device, dtype)
    return signal.reshape(tuple(shape))
