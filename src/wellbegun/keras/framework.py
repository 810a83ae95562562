"""Keras as `wellbegun.backend` asks for it, on whichever backend it has."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from wellbegun._typing import Array, Progress
from wellbegun.backend import Batch, HostedBackend, Loss, Model, Session, Trainer
from wellbegun.engine import Job, write
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.keras.layers import host, parameters_of, slots_of
from wellbegun.keras.session import KerasSession
from wellbegun.keras.trace import built, traced
from wellbegun.keras.training import KerasTrainer
from wellbegun.laws import Law
from wellbegun.materialize import Sink, Target
from wellbegun.materialize.target import storage_of
from wellbegun.planning import Plan
from wellbegun.storage import save_arrays


class KerasBackend(HostedBackend):
    """Layers and models, whose variables are assigned through Keras."""

    name, called = "keras", "Keras"
    remedies: Mapping[str, str] = MappingProxyType({"W801": "# look before {parameter} for keras.ops.stop_gradient"})

    def restart(self, seed: int) -> None:
        keras.utils.set_random_seed(seed % 2**32)

    def describe(self, model: Model) -> Mapping[str, Parameter]:
        return parameters_of(model)

    def prepare(self, model: Model, batch: Batch) -> Model:
        built(model, batch)
        return model

    def trace(
        self, model: Model, batch: Batch = None, *, gather: bool = False, progress: Progress | None = None
    ) -> ModelGraph:
        return traced(model, batch).graph

    @contextmanager
    def session(
        self, model: Model, batch: Batch = None, graph: ModelGraph | None = None, *, owner: str = "check"
    ) -> Iterator[Session]:
        yield KerasSession(traced(model, batch))

    def targets(self, model: Model) -> Mapping[str, Target]:
        variables = _variables(model)
        return {n: Target(p.shape, p.dtype, _Variable(variables[n])) for n, p in parameters_of(model).items()}

    def rebuild(self, model: Model, targets: Mapping[str, Target]) -> Model:
        """The same: its variables are assigned."""
        return model

    @contextmanager
    def undone(self, model: Model) -> Iterator[None]:
        kept = _kept(model)
        try:
            yield
        except BaseException:  # of any kind, an interrupt too
            _put_back(kept)
            raise

    @contextmanager
    def copied(self, model: Model) -> Iterator[Model]:
        """The model itself, whose values come back: models of the user's own cannot be copied."""
        kept = _kept(model)
        try:
            yield model
        finally:
            _put_back(kept)

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        return save_arrays(path, {name: self._host(array) for name, array in self._real(model).items()}, plan)

    def _real(self, model: Model) -> Mapping[str, Any]:
        return {name: variable for name, variable in _variables(model).items() if "float" in variable.dtype}

    def _host(self, array: Any) -> Array:
        return host(array)

    def constructed(self, model: Model) -> str:
        return ""

    def renewed(self, model: Model, batch: Batch, seed: int) -> Model:
        from wellbegun.keras.resetting import reset

        built(model, batch)
        return reset(model, seed)

    def trainer(self) -> Trainer:
        return KerasTrainer()

    def loss_against(self, targets: object) -> tuple[Loss, float | None]:
        labels: Any = keras.ops.convert_to_tensor(targets)
        if "float" in keras.backend.standardize_dtype(labels.dtype):
            return (lambda output: keras.ops.mean(keras.ops.square(output - labels))), None

        def entropy(output: Any) -> Any:
            losses = keras.ops.sparse_categorical_crossentropy(labels, output, from_logits=True)
            return keras.ops.mean(losses)

        return entropy, math.log(max(int(host(labels).max()) + 1, 2))


class _Variable(Sink):
    """A variable is assigned what was drawn."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        host = np.empty(tuple(self._variable.shape), storage_of(job.dtype))
        write(law, host.transpose(axes), job)
        self._variable.assign(host.view(_numpy(job.dtype)))
        return True


def _numpy(dtype: str) -> Any:
    """NumPy's type of this name, which another package has if it is narrow."""
    if dtype != "bfloat16":
        return np.dtype(dtype)
    import ml_dtypes

    return np.dtype(ml_dtypes.bfloat16)


def _variables(model: Model) -> dict[str, Any]:
    return {slot.name: slot.variable for slot in slots_of(model)}


def _kept(model: Model) -> list[tuple[Any, Array]]:
    """Every variable, and a copy of what it holds."""
    return [
        (variable, np.array(host(variable))) for variable in {id(v): v for v in _variables(model).values()}.values()
    ]


def _put_back(kept: list[tuple[Any, Array]]) -> None:
    for variable, values in kept:
        variable.assign(values)
