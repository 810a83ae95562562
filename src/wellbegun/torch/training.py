"""Short trainings that repeat: the same seed gives the same batches, dropout masks and losses on the same machine."""

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from wellbegun import backend
from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.inputs import mapped
from wellbegun.planning import Plan
from wellbegun.torch.batch import call_of, main_output
from wellbegun.torch.handles import numpy
from wellbegun.torch.losses import scalar
from wellbegun.torch.names import parameters
from wellbegun.torch.trace.recording import check_model

_KINDS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "momentum": functools.partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}


class TorchTrainer(backend.HostedTrainer):
    """As in `wellbegun.backend`."""

    versions: Mapping[str, str] = {"torch": str(torch.__version__)}

    def spare(self, model: backend.Model) -> backend.Model | None:
        with suppress(Exception):  # torch and users' classes refuse copies with errors of many kinds
            return copy.deepcopy(model)
        return None

    def parts(self, model: backend.Model) -> Iterable[object]:
        module: Any = model
        return *module.parameters(), *module.buffers()

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """One thread for torch: a sum over threads would depend on how many there are."""
        threads, devices = torch.get_num_threads(), list(range(torch.cuda.device_count()))
        with torch.random.fork_rng(devices=devices), super().seeded(seed):
            torch.set_num_threads(1)
            try:
                yield
            finally:
                torch.set_num_threads(threads)

    def _restart(self, seed: int) -> None:
        super()._restart(seed)
        torch.manual_seed(seed)

    def order(self, samples: int, size: int, seed: int) -> Iterator[Array]:
        generator = torch.Generator().manual_seed(seed)
        return backend.batches(
            (torch.randperm(samples, generator=generator).numpy() for _ in count()), min(size, samples)
        )

    def batch(self, inputs: backend.Inputs) -> backend.Batch:
        return mapped(inputs, np.ndarray, lambda part: torch.from_numpy(np.array(part)))

    def loss(self, course: backend.Course, output: backend.Output, places: Array) -> torch.Tensor:
        wanted = self._like(course.targets[places], main_output(output))
        value = _default_loss(output, wanted) if course.loss is None else course.loss(output, wanted)
        return scalar("race", value, "output and targets")

    def attempt(
        self, model: backend.Model, course: backend.Course, places: Array, optimizers: Iterable[backend.Optimizer]
    ) -> None:
        module = check_model(model)
        if not self.loss(course, _forward(module, backend.samples_at(course.inputs, places)), places).requires_grad:
            raise ArgumentError("race: loss must depend on the model's parameters; it does not.")
        for kind in optimizers:
            _optimizer(kind, module, 1e-3)

    def train(
        self,
        model: backend.Model,
        course: backend.Course,
        optimizer: backend.Optimizer,
        rate: float,
        seed: int,
        between: Callable[[], None] = lambda: None,
        plan: Plan | None = None,
    ) -> tuple[backend.Model, list[float], bool]:
        module = check_model(model)
        optimizers = [_optimizer(optimizer, module, rate)] if plan is None else _planned(optimizer, module, rate, plan)
        self._restart(seed)
        module.train()

        def step(places: Array) -> tuple[float, Callable[[], None]]:
            loss = self.loss(course, _forward(module, backend.samples_at(course.inputs, places)), places)

            def update() -> None:
                module.zero_grad()
                torch.autograd.backward(loss)
                for one in optimizers:
                    one.step()

            return float(loss.detach()), update

        order = self.order(len(course.targets), course.batch_size, seed)
        return module, *backend.trained(course, order, step, between)

    def _runs(self, model: backend.Model) -> Callable[[backend.Inputs], torch.Tensor]:
        """In eval mode; the module's own mode comes back."""
        module = check_model(model)

        def run(inputs: backend.Inputs) -> torch.Tensor:
            training = module.training
            module.eval()
            try:
                with torch.no_grad():
                    return main_output(_forward(module, inputs)).detach()
            finally:
                module.train(training)

        return run

    def _joined(self, outputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(outputs)

    def _like(self, targets: Array, output: torch.Tensor) -> torch.Tensor:
        """Targets where the output is: whole numbers as classes, others in the output's dtype."""
        found = torch.from_numpy(np.ascontiguousarray(targets))
        return found.to(output.device, output.dtype if found.is_floating_point() else torch.int64)

    def _host(self, array: torch.Tensor) -> Array:
        return numpy(array)


def _forward(model: torch.nn.Module, inputs: backend.Inputs) -> Any:
    """What the model returns for these samples."""
    call = call_of(inputs, model)
    return model(*call.args, **call.kwargs)


def _optimizer(kind: Any, model: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    """An optimizer by name, in its fused form where all parameters allow it, or from a function(parameters, rate)."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not isinstance(kind, str):
        made = kind(parameters, rate)
        if not isinstance(made, torch.optim.Optimizer):
            allowed = "functions that return a torch optimizer"
            raise ArgumentTypeError(message("race", "optimizers", allowed, type(made).__name__))
        return made
    usual = all(p.device.type in ("cpu", "cuda") and p.dtype.is_floating_point for p in parameters)
    return _KINDS[kind](parameters, rate, fused=usual)


def _planned(kind: Any, model: torch.nn.Module, rate: float, plan: Plan) -> list[torch.optim.Optimizer]:
    """An optimizer by name, with its usual decay, given what the plan multiplies; AdamW takes what Muon does not."""
    make, family = _KINDS.get(kind, torch.optim.AdamW), {"momentum": "sgd", "adam": "adamw"}.get(kind, kind)
    decay = make([torch.empty(0)]).defaults["weight_decay"]
    groups = plan.param_groups(parameters(model), lr=rate, weight_decay=decay, optimizer=family)
    matrices = [group for group in groups if group.get("use_muon")]
    rest = [group for group in groups if not group.get("use_muon")]
    return [of(found) for of, found in ((torch.optim.Muon, matrices), (make, rest)) if found]


def _default_loss(result: Any, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy for whole-number targets, else mean squared error."""
    output = main_output(result)
    if targets.is_floating_point():
        return functional.mse_loss(output.reshape(targets.shape), targets)
    classes, axis = backend.classes_of(tuple(output.shape))
    rows = output.movedim(axis, -1).reshape(-1, classes)
    shares = (rows >= 0).all() & ((rows.sum(-1) - 1).abs() < backend.WHOLE).all()  # of a softmax, and no logits
    return functional.cross_entropy(rows.clamp(min=backend.LEAST_SHARE).log() if shares else rows, targets.reshape(-1))
