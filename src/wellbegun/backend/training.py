"""Short trainings, as races need them."""

import math
import random
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Protocol, TypeAlias

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend.losses import classes_of
from wellbegun.backend.session import Output, Scalar
from wellbegun.planning import Plan

DIVERGED = 10.0  # times the first loss, or chance if that is more: far above what a rough start makes up for
# threads that wait for work of a pool, and those that only manage one
_IDLE = (("concurrent.futures.thread", "_worker"), ("distributed.threadpoolexecutor", "_worker"))
_MANAGERS = ("concurrent.futures.process", "joblib.externals.loky.process_executor")

Model: TypeAlias = object  # a model of the framework
Batch: TypeAlias = object  # tensors, arrays or shapes, in the forms that `wellbegun.plan` takes
Inputs: TypeAlias = Array | tuple[Array, ...] | dict[str, Array]
TrainStep: TypeAlias = Callable[[Array], tuple[float, Callable[[], None]]]  # places of samples: loss, and the update


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


def batches(orders: Iterable[Array], size: int) -> Iterator[Array]:
    """Places of the samples of each batch: orders of all samples, one after the other, cut after every `size`.

    >>> [places.tolist() for places in batches([np.array([2, 0, 1]), np.array([1, 2, 0])], 2)]
    [[2, 0], [1, 1], [2, 0]]
    """
    waiting = np.empty(0, np.int64)
    for order in orders:
        waiting = np.concatenate([waiting, order])
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]


def trained(
    course: Course, order: Iterator[Array], step: TrainStep, between: Callable[[], None]
) -> tuple[list[float], bool]:
    """Loss before each update, and whether it diverged. `between`: before each step."""
    losses: list[float] = []
    for _, places in zip(range(course.steps), order, strict=False):
        between()
        loss, update = step(places)
        losses.append(loss)
        if not math.isfinite(loss) or loss > DIVERGED * max(losses[0], course.chance or 0.0):
            return losses, True
        update()
    return losses, False


def score(output: Array, targets: Array) -> float:
    """Share of classes named correctly, or R² for real targets: higher is better, 1 is perfect.

    >>> score(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([0, 0]))
    0.5
    """
    if not np.issubdtype(targets.dtype, np.floating):
        return float((output.argmax(classes_of(output.shape)[1]) == targets).mean())
    wanted = targets.astype(output.dtype).astype(np.float64)
    error = np.square(output.reshape(targets.shape) - wanted).mean()
    with np.errstate(divide="ignore", invalid="ignore"):  # of targets that are all the same
        return float(1 - error / wanted.var())


def made(make: Callable[..., Model], seed: int) -> Model:
    """What a function makes, which may need the seed: models of some frameworks are given their keys.

    >>> made(lambda: "model", 3), made(lambda seed: seed, 3)
    ('model', 3)
    """
    try:
        needed = [each for each in signature(make).parameters.values() if each.default is each.empty]
    except (TypeError, ValueError):  # built-in functions may not tell
        needed = []
    takes = len(needed) == 1 and needed[0].kind in (needed[0].POSITIONAL_ONLY, needed[0].POSITIONAL_OR_KEYWORD)
    return make(seed) if takes else make()


@contextmanager
def host_randomness() -> Iterator[None]:
    """The random states of NumPy and of Python come back."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def others_may_draw() -> bool:
    """Whether threads beside this one may draw random numbers: not daemons, ours, or those of pools without work."""
    frames = sys._current_frames()

    def may(thread: threading.Thread) -> bool:
        if thread is threading.current_thread() or thread.daemon or thread.name.startswith("wellbegun"):
            return False
        frame = frames.get(thread.ident or 0)
        runs = (frame.f_globals.get("__name__"), frame.f_code.co_name) if frame is not None else ()
        return not (runs in _IDLE or type(thread).__module__ in _MANAGERS)

    return any(map(may, threading.enumerate()))


Metric: TypeAlias = Callable[[object, object], object]  # of outputs and targets: a number
Optimizer: TypeAlias = str | Callable[[object, float], object]  # a name, or a function of (parameters, rate)


class Trainer(Protocol):
    """Short trainings that repeat: the same seed gives the same batches, masks and losses on the same machine."""

    @property
    def optimizers(self) -> Collection[str]:
        """Names of optimizers."""

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """Random states from a seed and one thread, meanwhile."""

    @property
    def versions(self) -> Mapping[str, str]:
        """What is used, by name."""

    def spare(self, model: Model) -> Model | None:
        """A copy that training the model leaves as it is; None where it has to be built again."""

    def build(self, make: Callable[..., Model], seed: int) -> Model:
        """A fresh model, from the random states of this seed.

        Raises:
            ArgumentTypeError: what was made is no model.
        """

    def parts(self, model: Model) -> Iterable[object]:
        """What its first values or a training change in place."""

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
        plan: Plan | None = None,
    ) -> tuple[Model, list[float], bool]:
        """The trained model, the loss before each update, and whether it diverged: then training ends at once.
        `between`: before each step. `plan`: whose multipliers the optimizer, which is then named, is given."""

    def evaluate(self, model: Model, inputs: Inputs, targets: Array, metric: Metric | None) -> float:
        """The metric of the model's outputs on all these samples, in the mode it is used in after training."""
