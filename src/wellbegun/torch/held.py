"""Operations whose outputs wait for a factor, held back from the observer that measures."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from wellbegun.graph import Operation
from wellbegun.torch.trace.dispatch import Observer
from wellbegun.torch.trace.tensors import storage_of


class Step(NamedTuple):
    """An operation of the pass, and what it is in the trace, which numbers values in its own way."""

    traced: Operation
    operation: Operation
    inputs: tuple[torch.Tensor, ...]
    outputs: tuple[torch.Tensor, ...]


@dataclass
class Held:
    """The way from weights to where their size is judged, and what has happened on it."""

    way: tuple[int, ...]
    steps: list[Step] = field(default_factory=list)

    def multiply(self, factor: float) -> None:
        """Multiply all that the operations gave, each memory once."""
        done: set[int] = set()
        for step in self.steps:
            for output in step.outputs:
                if (output.is_floating_point() or output.is_complex()) and storage_of(output) not in done:
                    output.mul_(factor)
                done.add(storage_of(output))

    def tensor_of(self, value: int) -> torch.Tensor | None:
        """What an operation gave as this value of the trace."""
        for step in reversed(self.steps):
            if value in step.traced.outputs:
                return step.outputs[step.traced.outputs.index(value)]
        return None

    def release(self, observer: Observer | None) -> None:
        """Show what was held back."""
        for step in self.steps if observer is not None else ():
            assert observer is not None
            observer(step.operation, step.inputs, step.outputs)
        self.steps.clear()
