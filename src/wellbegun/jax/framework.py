"""JAX as `wellbegun.backend` asks for it, whatever style a model is written in."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun._typing import Progress
from wellbegun.backend import Batch, HostedBackend, Loss, Model, Session, Trainer
from wellbegun.engine import Job, write
from wellbegun.errors import ArgumentError
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.jax.described import held_in
from wellbegun.jax.session import JaxSession
from wellbegun.jax.styles import copied, described, in_place, lacking, prepared, renewed, style_of
from wellbegun.jax.trace import traced
from wellbegun.jax.training import JaxTrainer
from wellbegun.laws import Law
from wellbegun.materialize import Sink, Target
from wellbegun.materialize.target import storage_of
from wellbegun.planning import Plan
from wellbegun.storage import save_arrays

_RECIPES: Mapping[str, str] = {"linen": "", "haiku": "", "nnx": "flax@1", "equinox": "torch@1"}


class JaxBackend(HostedBackend):
    """Models as trees of arrays; only the variables of Flax nnx are set in place."""

    name, called = "jax", "JAX"
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
            remedy = "Give it with its variables, as (module, module.init(key, batch))." if lacking(model) else (
                "Call this outside of jax.jit and eval_shape, on real arrays.")  # fmt: skip
            raise ArgumentError(f"{owner}: the model is abstract and holds no values to measure. {remedy}")
        found = traced(model, batch)
        if not all(map(held_in, found.start.values())):
            raise ArgumentError(f"{owner}: the batch holds no values to measure. Call this outside of jax.jit.")
        yield JaxSession(found)

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

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        return save_arrays(path, {name: self._host(array) for name, array in self._real(model).items()}, plan)

    def _real(self, model: Model) -> Mapping[str, Any]:
        if lacking(model):
            return {}
        known = described(model)
        first = {name: parameter.tied_to or name for name, parameter in known.parameters.items()}
        held = (slot for slot in known.slots if held_in(slot.array))
        return {first.get(s.name, s.name): s.array for s in held if jnp.issubdtype(s.array.dtype, jnp.floating)}

    def constructed(self, model: Model) -> str:
        style = style_of(model)
        if style == "equinox" and isinstance(model, tuple):
            remedy = "Make both again: equinox.nn.make_with_state(...)."
            raise ArgumentError(f"reset: a state of Equinox does not say what it started with. {remedy}")
        if style in _RECIPES:
            return _RECIPES[style]
        remedy = "Use wb.initialize, or make the tree again."
        raise ArgumentError(f"reset: a function and its tree have no layers that say what they start with. {remedy}")

    def renewed(self, model: Model, batch: Batch, seed: int) -> Model:
        if style_of(model) in ("linen", "haiku"):
            return renewed(model, batch, seed)
        known, statistics = described(model), {"mean": jnp.zeros_like, "var": jnp.ones_like}
        norms = {path for path, layer in known.layers.items() if layer.does == "norm"}
        parts = ((slot, *slot.name.rpartition(".")[::2]) for slot in known.slots if not slot.parameter)
        own = ((slot, last) for slot, path, last in parts if path in norms and last in statistics)
        fresh = {slot.name: statistics[last](slot.array) for slot, last in own}
        return known.put(fresh) if fresh else model

    def trainer(self) -> Trainer:
        return JaxTrainer()

    def loss_against(self, targets: object) -> tuple[Loss, float | None]:
        labels: Any = jnp.asarray(targets)
        if jnp.issubdtype(labels.dtype, jnp.floating):
            return (lambda output: jnp.mean(jnp.square(output - labels))), None

        def entropy(output: Any) -> jax.Array:
            return -jnp.take_along_axis(jax.nn.log_softmax(output), labels[..., None], axis=-1).mean()

        return entropy, math.log(max(int(labels.max()) + 1, 2))


class _Array(Sink):
    """Arrays are never written into: there will be another one, on the devices where the old one is."""

    def __init__(self, old: Any) -> None:
        self._old: Any = old
        self.made: Any = None

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        host = np.empty(self._old.shape, storage_of(job.dtype))
        write(law, host.transpose(axes), job)
        self.made = _placed(host.view(self._old.dtype), self._old)
        return True


def _placed(values: Any, old: Any) -> Any:
    """On the devices of the old array, and bound to them only if that was: what is free goes where a batch is."""
    if getattr(old, "committed", True):
        return jax.device_put(values, getattr(old, "sharding", None))
    with jax.default_device(*old.devices()):
        return jax.device_put(values)
