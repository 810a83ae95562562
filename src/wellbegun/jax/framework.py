"""JAX with Flax nnx as `wellbegun.backend` asks for it."""

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
from flax import nnx

from wellbegun._typing import Array, Progress
from wellbegun.backend import MOST, Batch, HostedHandle, Loss, Model, Session, Trainer, looked_at
from wellbegun.engine import Job, write
from wellbegun.errors import ArgumentError, ModelError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.jax.modules import parameters_of, slots_of
from wellbegun.jax.session import JaxSession
from wellbegun.jax.trace import traced
from wellbegun.laws import Law
from wellbegun.materialize import Sink, Target
from wellbegun.materialize.target import storage_of
from wellbegun.planning import Plan

T = TypeVar("T")


class JaxBackend:
    """Flax nnx modules, whose variables are set in place."""

    name = "jax"
    remedies: Mapping[str, str] = MappingProxyType({"W801": "# look before {parameter} for jax.lax.stop_gradient"})

    def restart(self, seed: int) -> None:
        """Nothing: models are given their keys."""

    def describe(self, model: Model) -> Mapping[str, Parameter]:
        return parameters_of(model)

    def prepare(self, model: Model, batch: Batch) -> None:
        """Nothing waits for a batch in nnx."""

    def trace(
        self, model: Model, batch: Batch = None, *, gather: bool = False, progress: Progress | None = None
    ) -> ModelGraph:
        return traced(model, batch).graph

    @contextmanager
    def session(
        self, model: Model, batch: Batch = None, graph: ModelGraph | None = None, *, owner: str = "check"
    ) -> Iterator[Session]:
        if not all(parameter.held for parameter in parameters_of(model).values()):
            raise ArgumentError(f"{owner}: the model is abstract and holds no values; there is nothing to measure.")
        yield JaxSession(traced(model, batch))

    def agree(self, model: Model, value: T) -> T:
        """There is one controller."""
        return value

    def targets(self, model: Model) -> Mapping[str, Target]:
        parameters, variables = parameters_of(model), {slot.name: slot.variable for slot in slots_of(model)}
        if abstract := [name for name, parameter in parameters.items() if not parameter.held]:
            remedy = "Build it with real arrays first: not under nnx.eval_shape."
            raise ArgumentError(f"initialize: parameter {abstract[0]!r} is abstract and holds no values. {remedy}")
        return {name: Target(p.shape, p.dtype, _Variable(variables[name])) for name, p in parameters.items()}

    def rebuild(self, model: Model, targets: Mapping[str, Target]) -> Model:
        """The same: its variables are set."""
        return model

    @contextmanager
    def undone(self, model: Model) -> Iterator[None]:
        kept = [
            (slot.variable, slot.variable.get_value())
            for slot in slots_of(model)
            if hasattr(slot.variable, "get_value")
        ]
        try:
            yield
        except BaseException:  # of any kind, an interrupt too
            for variable, value in kept:
                variable.set_value(value)
            raise

    @contextmanager
    def copied(self, model: Model) -> Iterator[Model]:
        yield nnx.clone(model)

    def parameter_samples(
        self, model: Model, names: Iterable[str], *, most: int = MOST
    ) -> Mapping[str, tuple[Array, int]]:
        values = {slot.name: slot.variable.get_value() for slot in slots_of(model)}
        known = ((name, values.get(name)) for name in names)
        real = ((n, a) for n, a in known if isinstance(a, jax.Array) and jnp.issubdtype(a.dtype, jnp.floating))
        flat = ((n, np.asarray(a).reshape(-1, *(a.shape[-1:] if a.ndim > 1 and a.size else ()))) for n, a in real)
        return {name: (looked_at(HostedHandle(partial(np.asarray, array)), most), array.size) for name, array in flat}

    # ------------------------------------------------------------------ files and texts
    def read_batch(self, path: Path) -> object:
        raise ModelError(f"input: cannot read {str(path)!r}: JAX has no such files. Save the batch as .npz.")

    def from_config(self, path: Path, *, light: bool = False) -> Model:
        raise ModelError(f"model: {str(path)!r} describes a PyTorch model; for JAX give path.py:factory.")

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        """Every variable of real numbers under its canonical name, with Flax's order of axes."""
        from safetensors.numpy import save_file

        from wellbegun.storage import metadata_of, saving

        values = {slot.name: slot.variable.get_value() for slot in slots_of(model)}
        arrays = {n: np.asarray(a) for n, a in values.items() if jnp.issubdtype(a.dtype, jnp.floating)}
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
        raise ArgumentError("race: races train PyTorch models; a Flax module can be planned, initialized and checked.")


class _Variable(Sink):
    """Arrays are never written into: a variable gets another one, on the devices where its old one is."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        old = self._variable.get_value()
        host = np.empty(old.shape, storage_of(job.dtype))
        write(law, host.transpose(axes), job)
        self._variable.set_value(jax.device_put(host.view(old.dtype), old.sharding))
        return True
