"""Which framework a model belongs to, by what is loaded: none is imported to find that out."""

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from typing import NamedTuple

from wellbegun._arguments import message
from wellbegun.backend.framework import Backend
from wellbegun.backend.training import Model
from wellbegun.errors import ArgumentTypeError, MissingDependencyError


class _Known(NamedTuple):
    """A framework: the class of its models (module, name), and what messages call it."""

    module: str
    kind: str
    models: str
    remedy: str


KNOWN: Mapping[str, _Known] = {
    "torch": _Known(
        "torch.nn",
        "Module",
        "a torch.nn.Module",
        "PyTorch models need torch. Install it: pip install 'wellbegun[torch]'.",
    ),
    "jax": _Known(
        "flax.nnx",
        "Module",
        "a flax.nnx.Module",
        "Flax models need jax and flax. Install them: pip install 'wellbegun[jax]'.",
    ),
    "keras": _Known(
        "keras",
        "Layer",
        "a keras.Model",
        "Keras models need keras and a backend of it. Install them: pip install 'wellbegun[keras]' and torch, jax or "
        "tensorflow.",
    ),
}
MODELS = " or ".join(known.models for known in KNOWN.values())
FILES: Mapping[str, str] = {".pt": "torch"}  # ending of a file of batches -> the framework whose own it is


def find(model: Model) -> Backend:
    """The framework that a model belongs to, among those that are loaded.

    Raises:
        ArgumentTypeError: no model of any framework. MissingDependencyError: no framework is installed.
    """
    name = belongs(model)
    if name is not None:
        return named(name)
    default()  # without any framework, that is the message
    called = "Call what makes the model, and give what it returns." if callable(model) else ""
    values = "Those are values: give the model that holds them." if isinstance(model, Mapping) and model else ""
    raise ArgumentTypeError(message("wellbegun", "model", MODELS, type(model).__name__, called or values))


def belongs(thing: object) -> str | None:
    """The name of the framework that something is a model of; None if it is none."""
    for name, known in reversed(list(KNOWN.items())):  # a Keras model may be a torch.nn.Module too
        kind = getattr(sys.modules.get(known.module), known.kind, None)
        if isinstance(kind, type) and isinstance(thing, kind):
            return str(name)
    return None


def default() -> Backend:
    """The framework to work with where no model tells: one that is loaded, or else one that is installed.

    Raises:
        MissingDependencyError: there is none.
    """
    loaded = [name for name in KNOWN if sys.modules.get(name) is not None]
    names = loaded or [name for name in KNOWN if importlib.util.find_spec(name) is not None] or list(KNOWN)
    return named(names[0])


def named(name: str) -> Backend:
    """A framework by its name.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        importlib.import_module(KNOWN[name].module)
    except ImportError as error:
        raise MissingDependencyError(f"wellbegun: {KNOWN[name].remedy}") from error
    adapter: Backend = importlib.import_module(f"wellbegun.{name}").BACKEND
    return adapter
