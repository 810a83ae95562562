"""Operations whose outputs wait for a factor, held back from the observer that measures."""

from dataclasses import dataclass, field

import torch

from wellbegun.graph import Operation
from wellbegun.torch.recorder import Observer
from wellbegun.torch.values import storage_of

Step = tuple[Operation, tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]


@dataclass
class Held:
    """The way from weights to where their size is judged, and what has happened on it."""

    way: tuple[int, ...]
    steps: list[Step] = field(default_factory=list)

    def multiply(self, factor: float) -> None:
        """Multiply all that the operations gave, each memory once."""
        done: set[int] = set()
        for _, _, outputs in self.steps:
            for output in outputs:
                if (output.is_floating_point() or output.is_complex()) and storage_of(output) not in done:
                    output.mul_(factor)
                done.add(storage_of(output))

    def tensor_of(self, value: int) -> torch.Tensor | None:
        """What an operation gave as this value."""
        for operation, _, outputs in reversed(self.steps):
            if value in operation.outputs:
                return outputs[operation.outputs.index(value)]
        return None

    def release(self, observer: Observer | None) -> None:
        """Show what was held back."""
        for step in self.steps if observer is not None else ():
            assert observer is not None
            observer(*step)
        self.steps.clear()
