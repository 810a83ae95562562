"""What short trainings have in common in all frameworks: NumPy can look at their arrays."""

import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.backend.find import MODELS, belongs
from wellbegun.backend.losses import classes_of, main_of
from wellbegun.backend.session import Output, Scalar, no_scalar
from wellbegun.backend.training import (
    Batch,
    Course,
    Inputs,
    Metric,
    Model,
    Optimizer,
    TrainStep,
    batches,
    host_randomness,
    made,
    samples_at,
    score,
    trained,
)
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.planning import Plan

_CHUNK = 1024  # samples evaluated at once


class HostedTrainer:
    """Part of `wellbegun.backend.Trainer`."""

    optimizers = ("sgd", "momentum", "adam", "adamw")

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        with host_randomness():
            self._restart(seed)
            yield

    def _restart(self, seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed % 2**32)

    def build(self, make: Callable[..., Model], seed: int) -> Model:
        self._restart(seed)
        model = made(make, seed)
        if belongs(model) is None:
            allowed = f"a function that returns {MODELS}"
            raise ArgumentTypeError(message("race", "build", allowed, type(model).__name__))
        return model

    def parts(self, model: Model) -> Iterable[object]:
        return () if isinstance(model, tuple) else (model,)  # arrays of a tree never change

    def order(self, samples: int, size: int, seed: int) -> Iterator[Array]:
        generator = np.random.default_rng(seed)
        return batches((generator.permutation(samples) for _ in count()), min(size, samples))

    def batch(self, inputs: Inputs) -> Batch:
        return inputs

    def loss(self, course: Course, output: Output, places: Array) -> Scalar:
        return self._loss(course, output, self._array(course.targets[places]))

    def _loss(self, course: Course, output: Any, targets: Any) -> Any:
        """Of the targets as the framework's array."""
        main = self._main(output)
        found: Any = None
        if course.loss is not None:
            found = course.loss(output, targets)
        elif "float" in str(targets.dtype):
            found = self._squared(self._shaped(main, tuple(targets.shape)) - targets)
        else:
            found = self._entropy(main, classes_of(tuple(main.shape))[1], targets)
        if math.prod(getattr(found, "shape", (0,))) != 1:
            raise no_scalar("race", found, "output and targets", "array")
        return self._shaped(found, ())

    def evaluate(self, model: Model, inputs: Inputs, targets: Array, metric: Metric | None) -> float:
        run, chunks = self._runs(model), math.ceil(len(targets) / _CHUNK)
        output = self._joined([run(samples_at(inputs, at)) for at in np.array_split(np.arange(len(targets)), chunks)])
        if metric is None:
            return score(self._host(output), targets)
        found: Any = metric(output, self._like(targets, output))
        return float(found)

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
        if plan is not None:
            remedy = "Give an optimizer that has them, as a function, and no parametrization."
            raise ArgumentError(f"train: only optimizers of PyTorch are given the multipliers of a plan. {remedy}")
        step, after = self._begun(model, course, optimizer, rate, seed)
        order = self.order(len(course.targets), course.batch_size, seed)
        losses, diverged = trained(course, order, step, between)
        return after(), losses, diverged

    # ------------------------------------------------------------------ what a framework adds
    def _begun(
        self, model: Model, course: Course, optimizer: Optimizer, rate: float, seed: int
    ) -> tuple[TrainStep, Callable[[], Model]]:
        """What makes a step, and what gives the model as it is after the last one."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _joined(self, outputs: list[Any]) -> Any:
        """One after the other."""
        return self._array(np.concatenate([self._host(output) for output in outputs]))

    def _like(self, targets: Array, output: Any) -> Any:
        """Targets as the framework's own, for an output."""
        return self._array(targets)

    def _array(self, values: Array) -> Any:
        """As the framework's own."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _shaped(self, array: Any, shape: tuple[int, ...]) -> Any:
        """The same entries in another shape."""
        return array.reshape(shape)

    def _host(self, array: Any) -> Array:
        return np.asarray(array)

    def _real(self, output: Any) -> Iterable[Any]:
        """Arrays of real or complex numbers in what a model returned."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _main(self, output: Any) -> Any:
        """What losses are taken of."""
        return main_of(output, self._real(output))

    def _squared(self, error: Any) -> Any:
        """The mean of squares."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _entropy(self, logits: Any, axis: int, labels: Any) -> Any:
        """Mean cross-entropy of logits, whose classes are along an axis."""
        raise NotImplementedError  # pragma: no cover - every framework defines it

    def _runs(self, model: Model) -> Callable[[Inputs], Any]:
        """The model's main output for samples, in the mode it is used in after training."""
        raise NotImplementedError  # pragma: no cover - every framework defines it
