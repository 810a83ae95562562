"""JAX as `wellbegun.backend` asks for it, whatever style a model is written in."""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import MOST, Batch, HostedHandle, Loss, Model, Session, Trainer, looked_at
from wellbegun.engine import Job, write
from wellbegun.errors import ArgumentError, ModelError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.jax.described import held_in
from wellbegun.jax.session import JaxSession
from wellbegun.jax.styles import copied, described, in_place, lacking, prepared
from wellbegun.jax.trace import traced
from wellbegun.laws import Law
from wellbegun.materialize import Sink, Target
from wellbegun.materialize.target import storage_of
from wellbegun.planning import Plan

T = TypeVar("T")


class JaxBackend:
    """Models as trees of arrays; only the variables of Flax nnx are set in place."""

    name = "jax"
    remedies: Mapping[str, str] = MappingProxyType({"W801": "# look before {parameter} for jax.lax.stop_gradient"})

    def restart(self, seed: int) -> None:
        """Nothing: models are given their keys."""

    def describe(self, model: Model) -> Mapping[str, Parameter]:
        return described(model).parameters

    def prepare(self, model: Model, batch: Batch) -> Model:
        return prepared(model, batch)

    def trace(
        self, model: Model, batch: Batch = None, *, gather: bool = False, progress: Progress | None = None
    ) -> ModelGraph:
        return traced(model, batch).graph

    @contextmanager
    def session(
        self, model: Model, batch: Batch = None, graph: ModelGraph | None = None, *, owner: str = "check"
    ) -> Iterator[Session]:
        if not all(held_in(slot.array) for slot in described(model, batch).slots):
            raise ArgumentError(f"{owner}: the model is abstract and holds no values; there is nothing to measure.")
        yield JaxSession(traced(model, batch))

    def agree(self, model: Model, value: T) -> T:
        """There is one controller."""
        return value

    def targets(self, model: Model) -> Mapping[str, Target]:
        if lacking(model):
            remedy = "Give it with its variables, as (module, module.init(key, batch)); they may be abstract."
            raise ArgumentError(f"apply: {type(model).__name__} has no parameters yet. {remedy}")
        known = described(model)
        parameters, stored = known.parameters, known.stored
        empty = [slot.name for slot in known.slots if not (held_in(slot.array) or (slot.parameter and known.fills))]
        if empty:
            remedy = "Build it with real arrays first: not under eval_shape."
            raise ArgumentError(f"initialize: {empty[0]!r} is abstract and holds no values. {remedy}")
        return {name: Target(p.shape, p.dtype, _Array(stored[p.tied_to or name])) for name, p in parameters.items()}

    def rebuild(self, model: Model, targets: Mapping[str, Target]) -> Model:
        """Variables of nnx are set; else it is another one."""
        found = {name: getattr(target.memory, "made", None) for name, target in targets.items()}
        return described(model).put({name: array for name, array in found.items() if array is not None})

    @contextmanager
    def undone(self, model: Model) -> Iterator[None]:
        kept = described(model).stored if in_place(model) else {}
        try:
            yield
        except BaseException:  # of any kind, an interrupt too
            if kept:
                described(model).put(kept)
            raise

    @contextmanager
    def copied(self, model: Model) -> Iterator[Model]:
        yield copied(model)

    def parameter_samples(
        self, model: Model, names: Iterable[str], *, most: int = MOST
    ) -> Mapping[str, tuple[Array, int]]:
        stored = {} if lacking(model) else described(model).stored
        known = ((name, stored.get(name)) for name in names)
        held = ((n, a) for n, a in known if a is not None and held_in(a))
        real = ((n, a) for n, a in held if jnp.issubdtype(a.dtype, jnp.floating))
        flat = ((n, np.asarray(a).reshape(-1, *(a.shape[-1:] if a.ndim > 1 and a.size else ()))) for n, a in real)
        return {name: (looked_at(HostedHandle(partial(np.asarray, array)), most), array.size) for name, array in flat}

    # ------------------------------------------------------------------ files and texts
    def read_batch(self, path: Path) -> object:
        raise ModelError(f"input: cannot read {str(path)!r}: JAX has no such files. Save the batch as .npz.")

    def from_config(self, path: Path, *, light: bool = False) -> Model:
        raise ModelError(f"model: {str(path)!r} describes a PyTorch model; for JAX give path.py:factory.")

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        """Every array of real numbers under its canonical name, with the model's order of axes."""
        from safetensors.numpy import save_file

        from wellbegun.storage import metadata_of, saving

        slots = described(model).slots
        arrays = {s.name: np.asarray(s.array) for s in slots if jnp.issubdtype(s.array.dtype, jnp.floating)}
        with saving(path) as new:
            save_file(arrays, str(new), metadata=metadata_of(plan))
        return Path(path)

    def loss_against(self, targets: object) -> tuple[Loss, float | None]:
        labels: Any = jnp.asarray(targets)
        if jnp.issubdtype(labels.dtype, jnp.floating):
            return (lambda output: jnp.mean(jnp.square(output - labels))), None

        def entropy(output: Any) -> jax.Array:
            return -jnp.take_along_axis(jax.nn.log_softmax(output), labels[..., None], axis=-1).mean()

        return entropy, math.log(max(int(labels.max()) + 1, 2))

    def trainer(self) -> Trainer:
        raise ArgumentError("race: races train PyTorch models; a JAX model can be planned, initialized and checked.")


class _Array(Sink):
    """Arrays are never written into: there will be another one, on the devices where the old one is."""

    def __init__(self, old: Any) -> None:
        self._old, self.made = old, None

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        host = np.empty(self._old.shape, storage_of(job.dtype))
        write(law, host.transpose(axes), job)
        self.made = jax.device_put(host.view(self._old.dtype), getattr(self._old, "sharding", None))
        return True
