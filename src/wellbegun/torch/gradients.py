"""Gradients of parameters in numbers, each taken when it arrives: they are never in memory all at once."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wellbegun.torch.tensors import finite, norm, some_entries

_LEAST = 2.0**-24  # smallest float16 above zero
_FAR = 1e-4  # RMS of a gradient above which few of its entries are that small
_ENTRIES = 4096  # of a gradient that are looked at for underflow


@dataclass(frozen=True)
class Gradient:
    """One gradient in numbers, and itself where it is to be compared."""

    size: float  # its length as a vector
    finite: bool
    underflow: float | None  # share of its live entries that float16 cannot hold, if it is small at all
    whole: torch.Tensor | None = None


class Gradients:
    """The gradients of trained parameters, by name. `compared`: names of those that are kept whole."""

    def __init__(self, trained: Mapping[str, torch.nn.Parameter], compared: Collection[str] = ()) -> None:
        self.trained, self.compared = trained, frozenset(compared)
        self.found: dict[str, Gradient] = {}

    def backward(self, end: torch.Tensor, sent: torch.Tensor | None, *, again: bool) -> None:
        """One backward pass, without touching `.grad`. `again`: what it needs is kept for another."""
        if not end.requires_grad or not self.trained:
            return
        with self._taken():
            parameters = list(self.trained.values())
            torch.autograd.grad(end, parameters, sent, retain_graph=again, allow_unused=True)

    @contextmanager
    def _taken(self) -> Iterator[None]:
        before = {name: tensor._backward_hooks for name, tensor in self.trained.items()}
        handles: list[Any] = []
        try:
            for name, tensor in self.trained.items():
                handles.append(tensor.register_hook(self._taking(name)))  # type: ignore[no-untyped-call]
            yield
        finally:
            for handle in handles:
                handle.remove()
            for name, hooks in before.items():
                if hooks is None:  # not an empty table of them either
                    self.trained[name]._backward_hooks = None

    def _taking(self, name: str) -> Callable[[torch.Tensor], torch.Tensor | None]:
        def take(gradient: torch.Tensor) -> torch.Tensor | None:
            sparse = gradient.layout != torch.strided  # of a table, where the user asked for it
            found = gradient.to_dense() if sparse else gradient
            size = norm(found)
            far = size > _FAR * max(found.numel(), 1) ** 0.5
            whole = found if name in self.compared else None
            self.found[name] = Gradient(size, finite(found, size), None if far else _underflow(found), whole)
            if sparse:
                return None
            return gradient.new_zeros(()).expand(gradient.shape)  # goes on in its place, and its memory is free

        return take


def _underflow(gradient: torch.Tensor) -> float | None:
    some = some_entries(gradient, _ENTRIES).abs().double().cpu().numpy()
    live = np.count_nonzero(some > 0)
    return (live - np.count_nonzero(some >= _LEAST)) / live if live else None
