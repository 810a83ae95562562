"""Short trainings that repeat: the same seed gives the same batches, dropout masks and losses on the same machine."""

import functools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.backend import Batch, Course, Inputs, Metric, Model, Optimizer, Output, Scalar, classes_of, samples_at
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.torch.batch import call_of, main_output, place
from wellbegun.torch.trace.recording import check_model

DIVERGED = 10.0  # times the first loss, or chance if that is more: far above what a rough start makes up for
_CHUNK = 1024  # samples evaluated at once


OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": functools.partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random states of torch, NumPy and Python from a seed, one thread for torch; all is as before at the end."""
    states, threads = (random.getstate(), np.random.get_state()), torch.get_num_threads()
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.set_num_threads(1)  # a sum over threads would depend on how many there are
        restart(seed)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            random.setstate(states[0])
            np.random.set_state(states[1])


def restart(seed: int) -> None:
    """Set the random states of torch, NumPy and Python."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def batches(samples: int, size: int, seed: int) -> Iterator[Array]:
    """Places of the samples of each batch, without end: one order of all samples after the other.

    >>> [sorted(batch.tolist()) for batch, _ in zip(batches(4, 4, 0), range(2))]
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    generator = torch.Generator().manual_seed(seed)
    size, waiting = min(size, samples), np.empty(0, np.int64)
    while True:
        while len(waiting) < size:
            waiting = np.concatenate([waiting, torch.randperm(samples, generator=generator).numpy()])
        yield waiting[:size]
        waiting = waiting[size:]


def targets_of(targets: Array, like: torch.Tensor) -> torch.Tensor:
    """Targets where the output is: whole numbers as classes, others in the output's dtype."""
    found = torch.from_numpy(np.ascontiguousarray(targets))
    return found.to(like.device, like.dtype if found.is_floating_point() else torch.int64)


def default_loss(result: Any, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for whole-number targets, else mean squared error."""
    output = main_output(result)
    if targets.is_floating_point():
        return functional.mse_loss(output.reshape(targets.shape), targets)
    classes, axis = classes_of(tuple(output.shape))
    return functional.cross_entropy(output.movedim(axis, -1).reshape(-1, classes), targets.reshape(-1))


def judge(course: Course, result: Any, targets: Array) -> torch.Tensor:
    """The training loss of what the model returned.

    Raises:
        ArgumentTypeError: the given loss is no scalar tensor.
    """
    wanted = targets_of(targets, main_output(result))
    value = default_loss(result, wanted) if course.loss is None else course.loss(result, wanted)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        allowed = "a function of output and targets that gives a scalar tensor"
        raise ArgumentTypeError(message("race", "loss", allowed, got))
    return value


def forward(model: torch.nn.Module, inputs: Inputs) -> Any:
    """What the model returns for these samples."""
    call = place(call_of(inputs, model), model)
    return model(*call.args, **call.kwargs)


def loss_at(model: torch.nn.Module, course: Course, index: Array) -> torch.Tensor:
    """The training loss on some samples."""
    return judge(course, forward(model, samples_at(course.inputs, index)), course.targets[index])


def optimizer_of(kind: Any, model: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    """An optimizer by name, in its fused form where all parameters allow it, or from a function(parameters, rate)."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not isinstance(kind, str):
        made = kind(parameters, rate)
        if not isinstance(made, torch.optim.Optimizer):
            raise ArgumentTypeError(
                message("race", "optimizers", "functions that return a torch optimizer", type(made).__name__)
            )
        return made
    usual = all(p.device.type in ("cpu", "cuda") and p.dtype.is_floating_point for p in parameters)
    return OPTIMIZERS[kind](parameters, rate, fused=usual)


def train(
    model: torch.nn.Module,
    course: Course,
    optimizer: torch.optim.Optimizer,
    seed: int,
    between: Callable[[], None] = lambda: None,
) -> tuple[list[float], bool]:
    """Loss before each update, and whether it diverged: then training ends at once.

    The order of the batches and the random states that dropout draws from depend on the seed alone. `between` is called
    before each step.
    """
    restart(seed)
    model.train()
    losses: list[float] = []
    order = batches(len(course.targets), course.batch_size, seed)
    for _, index in zip(range(course.steps), order, strict=False):
        between()
        loss = loss_at(model, course, index)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]) or losses[-1] > DIVERGED * max(losses[0], course.chance or 0.0):
            return losses, True
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return losses, False


def evaluate(model: torch.nn.Module, inputs: Inputs, targets: Array, metric: Metric | None) -> float:
    """The metric of the model's main output on all these samples, in eval mode; its own mode comes back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            parts = [main_output(forward(model, samples_at(inputs, index))).detach() for index in _chunks(len(targets))]
    finally:
        model.train(training)
    output = torch.cat(parts)
    return _number((metric or default_metric)(output, targets_of(targets, output)))


def _number(value: Any) -> float:
    return float(value)


def _chunks(samples: int) -> Iterable[Array]:
    return np.array_split(np.arange(samples), math.ceil(samples / _CHUNK))


def default_metric(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Share of classes named correctly, or R² for real targets: higher is better, 1 is perfect."""
    if not targets.is_floating_point():
        return (output.argmax(classes_of(tuple(output.shape))[1]) == targets).double().mean()
    error = (output.reshape(targets.shape).double() - targets.double()).square().mean()
    return 1 - error / targets.double().var(unbiased=False)


def tensors(inputs: Inputs) -> Any:
    """The samples as tensors, in the form `wellbegun.plan` takes as a batch."""
    if isinstance(inputs, dict):
        return {name: torch.from_numpy(np.array(part)) for name, part in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(torch.from_numpy(np.array(part)) for part in inputs)
    return torch.from_numpy(np.array(inputs))


def built(build: Callable[[], Any], seed: int) -> torch.nn.Module:
    """A fresh model from the random state of this seed.

    Raises:
        ArgumentTypeError: the function returns no module.
    """
    restart(seed)
    model = build()
    if not isinstance(model, torch.nn.Module):
        raise ArgumentTypeError(
            message("race", "build", "a function that returns a torch module", type(model).__name__)
        )
    return model


class TorchTrainer:
    """As in `wellbegun.backend`."""

    optimizers = tuple(OPTIMIZERS)

    def seeded(self, seed: int) -> AbstractContextManager[None]:
        """Of torch, NumPy and Python."""
        return seeded(seed)

    def build(self, make: Callable[[], Model], seed: int) -> Model:
        """A module."""
        return built(make, seed)

    def order(self, samples: int, size: int, seed: int) -> Iterator[Array]:
        """By a generator of torch's."""
        return batches(samples, size, seed)

    def batch(self, inputs: Inputs) -> Batch:
        """As tensors."""
        return tensors(inputs)

    def loss(self, course: Course, output: Output, places: Array) -> Scalar:
        """A scalar tensor."""
        return judge(course, output, course.targets[places])

    def attempt(self, model: Model, course: Course, places: Array, optimizers: Iterable[Optimizer]) -> None:
        """One loss, each optimizer."""
        module = check_model(model)
        if not loss_at(module, course, places).requires_grad:
            raise ArgumentError("race: loss must depend on the model's parameters; it does not.")
        for kind in optimizers:
            optimizer_of(kind, module, 1e-3)

    def train(
        self,
        model: Model,
        course: Course,
        optimizer: Optimizer,
        rate: float,
        seed: int,
        between: Callable[[], None] = lambda: None,
    ) -> tuple[list[float], bool]:
        """With an optimizer of torch's."""
        module = check_model(model)
        return train(module, course, optimizer_of(optimizer, module, rate), seed, between)

    def evaluate(self, model: Model, inputs: Inputs, targets: Array, metric: Metric | None) -> float:
        """In eval mode."""
        return evaluate(check_model(model), inputs, targets, metric)
