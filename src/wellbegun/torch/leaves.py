"""Gradients of parameters as they arrive, without a hook on a parameter.

A parameter is shared with every thread that trains it, and hooks on it would be called there too. The nodes that
compute its gradient in one pass belong to that pass alone.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from wellbegun import backend
from wellbegun.torch.compat import has_hooks
from wellbegun.torch.handles import TensorHandle

Gradient = torch.Tensor | None


class Leaves:
    """Parts of each parameter's gradient, summed in the order in which they come, and handed on when all are there."""

    def __init__(self, trained: Mapping[str, torch.nn.Parameter], receive: backend.Receive) -> None:
        self.trained, self.receive = trained, receive
        self._names = {id(tensor): name for name, tensor in trained.items() if not has_hooks(tensor)}
        self._waiting: Counter[str] = Counter()  # parts that have not come yet
        self._sums: dict[str, torch.Tensor] = {}
        self._done = set[str]()
        self._apart = set[str]()  # what no way leads to, and holds no gradient yet

    def hooked(self, start: Any) -> list[Any]:
        """A hook on each node behind `start` that computes a part; their handles."""
        handles, seen, nodes = [], {start}, [start]
        nested = False
        while nodes:
            node = nodes.pop()
            nested |= isinstance(node, torch.autograd.function.BackwardCFunction)  # of the user's own
            parts: dict[int, str] = {}
            for place, (reached, _) in enumerate(getattr(node, "next_functions", ())):
                name = self._names.get(id(getattr(reached, "variable", None)))
                if name is not None:
                    parts[place] = name
                elif reached is not None and reached not in seen:
                    seen.add(reached)
                    nodes.append(reached)
            if parts:
                self._waiting.update(parts.values())
                handles.append(node.register_hook(self._taking(parts)))
        if nested:  # else gradients are left alone: another thread may be at them
            rest = set(self._names.values()) - self._waiting.keys()
            self._apart = {name for name in rest if self.trained[name].grad is None}
        return handles

    def _taking(self, parts: Mapping[int, str]) -> Callable[..., tuple[Gradient, ...]]:
        def take(gradients: Sequence[Gradient], _: object) -> tuple[Gradient, ...]:
            left = list(gradients)
            for place, name in parts.items():
                part, left[place] = left[place], None  # nothing goes on, and its memory is free
                self._take(name, part)
            return tuple(left)

        return take

    def _take(self, name: str, part: Gradient) -> None:
        self._waiting[name] -= 1
        if part is not None:
            before = self._sums.pop(name, None)
            self._sums[name] = part if before is None else before + part
        if not self._waiting[name] and name in self._sums:
            self._hand_on(name, self._sums.pop(name))

    def _hand_on(self, name: str, gradient: torch.Tensor) -> None:
        self._done.add(name)
        self.receive(name, TensorHandle(gradient if gradient.layout == torch.strided else gradient.to_dense()))

    def rest(self, found: Sequence[Gradient]) -> None:
        """What autograd itself has found, where somebody's hooks change it, and parts whose others never came."""
        for name, gradient in zip(self.trained, found, strict=True):
            left = self._sums.pop(name, gradient)
            if left is None and name in self._apart:  # reversible layers run a backward pass of their own
                left, self.trained[name].grad = self.trained[name].grad, None
            if name not in self._done and left is not None:
                self._hand_on(name, left)
