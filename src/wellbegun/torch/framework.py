"""PyTorch as `wellbegun.backend` asks for it."""

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch.nn import functional

from wellbegun import huggingface
from wellbegun._arguments import message
from wellbegun._typing import Array, Progress
from wellbegun.backend import MOST, Batch, Loss, Model, Session, Trainer, looked_at
from wellbegun.engine.regions import overlaps
from wellbegun.errors import ArgumentError, TraceError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.materialize import Target
from wellbegun.planning import Plan
from wellbegun.storage import metadata_of, saving
from wellbegun.torch import lazy, shards
from wellbegun.torch.handles import TensorHandle
from wellbegun.torch.names import inner
from wellbegun.torch.parameters import parameters_of
from wellbegun.torch.parametrize import visible
from wellbegun.torch.sandbox import preserved, undone
from wellbegun.torch.session import session
from wellbegun.torch.targets import targets
from wellbegun.torch.trace.recording import check_model, trace
from wellbegun.torch.trace.tensors import is_freed
from wellbegun.torch.training import TorchTrainer

T = TypeVar("T")
LARGE = 100_000_000  # parameters from which a model that is only looked at gets no memory


class TorchBackend:
    """PyTorch."""

    name = "torch"
    remedies: Mapping[str, str] = MappingProxyType(
        {
            "W403": "scaler = torch.amp.GradScaler()  # scaler.scale(loss).backward(); scaler.step(optimizer); "
            "scaler.update()",
            "W801": "print([name for name, p in model.named_parameters() if p.grad is None])  "
            "# after loss.backward(): {parameter!r}",
            "W802": "model.get_parameter({parameter!r}).requires_grad_(False)  # or call the layer that holds it",
        }
    )

    def restart(self, seed: int) -> None:
        torch.manual_seed(seed)

    def describe(self, model: Model) -> Mapping[str, Parameter]:
        return parameters_of(check_model(model))[0]

    def prepare(self, model: Model, batch: Batch) -> Model:
        lazy.materialize(check_model(model), batch)
        return model

    def trace(
        self, model: Model, batch: Batch = None, *, gather: bool = False, progress: Progress | None = None
    ) -> ModelGraph:
        """With fake tensors, where the path does not depend on values."""
        module = check_model(model)
        try:
            return trace(module, batch, progress=progress)
        except TraceError:
            if not (gather and shards.sharded(module)):
                raise
        with shards.gathered(module):  # the path depends on values, or the error comes again
            return trace(module, batch, progress=progress)

    def session(
        self, model: Model, batch: Batch = None, graph: ModelGraph | None = None, *, owner: str = "check"
    ) -> AbstractContextManager[Session]:
        return session(check_model(model), batch, graph, owner=owner)

    def agree(self, model: Model, value: T) -> T:
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        return shards.agreed(shards.sharded(check_model(model)) if several else (), value)

    def targets(self, model: Model) -> Mapping[str, Target]:
        return targets(check_model(model))

    def rebuild(self, model: Model, targets: Mapping[str, Target]) -> Model:
        torch.clear_autocast_cache()  # it may hold casts of values before
        return model  # whose own memory they are

    def undone(self, model: Model) -> AbstractContextManager[None]:
        return undone(check_model(model))

    @contextmanager
    def copied(self, model: Model) -> Iterator[Model]:
        module = inner(check_model(model))
        if shards.sharded(module):
            raise ArgumentError("its parameters are sharded over processes.")
        with preserved(module):
            yield copy.deepcopy(module)

    def parameter_samples(
        self, model: Model, names: Iterable[str], *, most: int = MOST
    ) -> Mapping[str, tuple[Array, int]]:
        """Of what this process holds."""
        tensors = visible(check_model(model))
        samples: dict[str, tuple[Array, int]] = {}
        for name in names:
            tensor = tensors[name].detach() if name in tensors else None
            if tensor is None or tensor.is_meta or not tensor.is_floating_point():
                continue
            local: torch.Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
            if is_freed(local) or (local.layout == torch.strided and overlaps(local.shape, local.stride())):
                continue  # no numbers, or one number in many places, are no evidence of anything
            matrix = local.flatten(0, -2) if local.ndim > 1 else local.flatten()
            samples[name] = looked_at(TensorHandle(matrix), most), tensor.numel()
        return samples

    # ------------------------------------------------------------------ files and texts
    def read_batch(self, path: Path) -> object:
        """A .pt file, of which nothing is executed."""
        return torch.load(path, weights_only=True)

    def from_config(self, path: Path, *, light: bool = False) -> Model:
        return huggingface.built(path, _unless_large if light else lambda make: make())

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        """Tied tensors are stored once; `safetensors.torch.load_model(model, path)` reads the weights back."""
        from safetensors.torch import save_model

        with saving(path) as new:
            save_model(inner(check_model(model)), str(new), metadata=metadata_of(plan))
        return Path(path)

    def loss_against(self, targets: object) -> tuple[Loss, float | None]:
        """Of whatever `torch.as_tensor` takes."""
        labels: Any = torch.as_tensor(targets)
        if labels.numel() == 0:
            raise ArgumentError(message("loss", "targets", "one for each sample", tuple(labels.shape)))
        if labels.dtype.is_floating_point:
            return (lambda output: functional.mse_loss(output.float(), labels.to(output.device).float())), None
        classes = int(labels.max()) + 1
        return (
            lambda output: functional.cross_entropy(output, labels.long().to(output.device)),
            math.log(max(classes, 2)),
        )

    def constructed(self, model: Model) -> str:
        return "torch@1"

    def renewed(self, model: Model, batch: Batch, seed: int) -> Model:
        for module in check_model(model).modules():
            getattr(module, "reset_running_stats", lambda: None)()
        return model

    def trainer(self) -> Trainer:
        return TorchTrainer()


def _unless_large(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """The model; a large one without memory."""
    with torch.device("meta"):
        model = make()
    return model if sum(tensor.numel() for tensor in model.parameters()) >= LARGE else make()
