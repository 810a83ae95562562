"""A framework as a whole."""

import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, TypeVar

from wellbegun._typing import Array, Progress
from wellbegun.backend.session import Loss, Session
from wellbegun.backend.training import Batch, Model, Trainer
from wellbegun.graph import ModelGraph, Parameter
from wellbegun.materialize import Target
from wellbegun.planning import Plan

T = TypeVar("T")
MOST = 1 << 19  # values that are taken of one parameter


class Backend(Protocol):
    """A framework. Its models are checked by `find`; every function takes those alone."""

    @property
    def name(self) -> str:
        """What it is called: torch, jax."""

    @property
    def remedies(self) -> Mapping[str, str]:
        """Its own code for remedies that the catalogue of health has only words for, by code of the finding."""

    def restart(self, seed: int) -> None:
        """Set the random states that building a model draws from."""

    def describe(self, model: Model) -> Mapping[str, Parameter]:
        """Parameters by every name: shapes, dtypes, ties, what is trained. Names are canonical: DESIGN 4.1."""

    def prepare(self, model: Model, batch: Batch) -> Model:
        """The model with a shape for each parameter that waits for a first batch: the same object where it can be.

        Raises:
            TraceError: the forward pass failed, or left one without a shape.
        """

    def trace(
        self, model: Model, batch: Batch = None, *, gather: bool = False, progress: Progress | None = None
    ) -> ModelGraph:
        """The graph of one forward pass in the model's present mode, without arithmetic where that is possible.

        `gather`: whether sharded parameters may be gathered for that, where the path depends on values.

        Raises:
            ArgumentTypeError, ArgumentError: no batch. TraceError: the forward pass failed.
        """

    def session(
        self,
        model: Model,
        batch: Batch = None,
        graph: ModelGraph | None = None,
        *,
        owner: str = "check",
    ) -> AbstractContextManager[Session]:
        """The model with whole copies of sharded parameters and the batch where it lives, ready to run.

        Args:
            model, batch: As for `wellbegun.plan`.
            graph: Whose operations are to be seen; None: those of the pass.
            owner: The function that messages name.
        Raises:
            ArgumentError: the model holds no values.
        """

    def agree(self, model: Model, value: T) -> T:
        """What the first process has, in all those that hold parts of this model."""

    def targets(self, model: Model) -> Mapping[str, Target]:
        """Where the values of each parameter go, by every name: what `wellbegun.materialize.fill_targets` writes to.

        Raises:
            ArgumentError: a parameter holds no memory.
        """

    def rebuild(self, model: Model, targets: Mapping[str, Target]) -> Model:
        """The model with what was written: the same object where targets are its own memory, else a new one."""

    def undone(self, model: Model) -> AbstractContextManager[None]:
        """If the body raises, of whatever kind, the model holds again what it held: values, and their versions."""

    def copied(self, model: Model) -> AbstractContextManager[Model]:
        """A copy to try something on. The model itself stays as it is, also where the copy still runs parts of it.

        Raises:
            ArgumentError: this process holds a part of it only. Whatever copying the objects in it raises.
        """

    def parameter_samples(
        self, model: Model, names: Iterable[str], *, most: int = MOST
    ) -> Mapping[str, tuple[Array, int]]:
        """Some values of each of these parameters, as `looked_at` takes them of a vector or of a matrix (with the last
        axis as its columns), and how many the parameter has.

        Left out: names the model does not have, complex parameters and those without memory.
        """

    # ------------------------------------------------------------------ files and texts
    def read_batch(self, path: Path) -> object:
        """What a file of the framework's own kind holds: tensors, or containers of them."""

    def from_config(self, path: Path, *, light: bool = False) -> Model:
        """The model that a config.json of Hugging Face describes; `light`: a large one may stay without memory.

        Raises:
            ModelError: no such file, no config, or a class that cannot be built. MissingDependencyError: no library.
        """

    def save(self, model: Model, plan: Plan, path: str | os.PathLike[str]) -> Path:
        """Weights, plan and seed in one safetensors file, which an existing one is replaced by once it is complete."""

    def loss_against(self, targets: object) -> tuple[Loss, float | None]:
        """Cross-entropy against whole numbers, else a squared error; and what it is for a model that knows nothing."""

    def constructed(self, model: Model) -> str:
        """The recipe that has the defaults of the layers that a model is made of; "": `renewed` draws these itself.

        Raises:
            ArgumentError: a model without layers.
        """

    def renewed(self, model: Model, batch: Batch, seed: int) -> Model:
        """The model with fresh state other than parameters; with fresh parameters too, where layers are asked."""

    def trainer(self) -> Trainer:
        """Short trainings."""
