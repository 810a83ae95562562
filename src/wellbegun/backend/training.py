"""Short trainings, as races need them."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from wellbegun._typing import Array
from wellbegun.backend.session import Output, Scalar

Model: TypeAlias = object  # a model of the framework
Batch: TypeAlias = object  # tensors, arrays or shapes, in the forms that `wellbegun.plan` takes
Inputs: TypeAlias = Array | tuple[Array, ...] | dict[str, Array]


@dataclass(frozen=True)
class Course:
    """What every trial of a race has in common: data, loss and length."""

    inputs: Inputs
    targets: Array
    loss: Callable[[Output, object], Scalar] | None = None  # of output and targets; None: cross-entropy, squared error
    chance: float | None = None
    steps: int = 100
    batch_size: int = 128


def samples_at(inputs: Inputs, places: Array) -> Inputs:
    """The samples at these places."""
    if isinstance(inputs, dict):
        return {name: part[places] for name, part in inputs.items()}
    return tuple(part[places] for part in inputs) if isinstance(inputs, tuple) else inputs[places]


Metric: TypeAlias = Callable[[object, object], object]  # of outputs and targets: a number
Optimizer: TypeAlias = str | Callable[[object, float], object]  # a name, or a function of (parameters, rate)


class Trainer(Protocol):
    """Short trainings that repeat: the same seed gives the same batches, masks and losses on the same machine."""

    @property
    def optimizers(self) -> Collection[str]:
        """Names of optimizers."""

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """Random states from a seed and one thread, meanwhile."""

    def build(self, make: Callable[[], Model], seed: int) -> Model:
        """A fresh model, from the random states of this seed.

        Raises:
            ArgumentTypeError: what was made is no model.
        """

    def order(self, samples: int, size: int, seed: int) -> Iterator[Array]:
        """Places of the samples of each batch, without end: one order of all samples after the other."""

    def batch(self, inputs: Inputs) -> Batch:
        """Samples as the framework's own tensors."""

    def loss(self, course: Course, output: Output, places: Array) -> Scalar:
        """The loss of what a model gave for the samples at these places.

        Raises:
            ArgumentTypeError: a loss that is no scalar.
        """

    def attempt(self, model: Model, course: Course, places: Array, optimizers: Iterable[Optimizer]) -> None:
        """One loss on these samples and each optimizer made once, so that what cannot run is told at once.

        Raises:
            ArgumentError: a loss that does not depend on the model. Whatever the user's functions raise.
        """

    def train(
        self,
        model: Model,
        course: Course,
        optimizer: Optimizer,
        rate: float,
        seed: int,
        between: Callable[[], None] = lambda: None,
    ) -> tuple[list[float], bool]:
        """Loss before each update, and whether it diverged: then training ends at once. `between`: before each step."""

    def evaluate(self, model: Model, inputs: Inputs, targets: Array, metric: Metric | None) -> float:
        """The metric of the model's outputs on all these samples, in the mode it is used in after training."""
