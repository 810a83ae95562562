"""Which framework a model belongs to, by what is loaded: none is imported to find that out."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import message
from wellbegun.backend.framework import Backend
from wellbegun.backend.training import Model
from wellbegun.errors import ArgumentTypeError, MissingDependencyError
from wellbegun.inputs import arrays_in, parts_of


class _Known(NamedTuple):
    """A framework: its package; the classes of its models, (module, names); what messages call them; and its arrays,
    where (function, tree of arrays) is a model too."""

    module: str
    kinds: Mapping[str, tuple[str, ...]]
    models: str
    remedy: str
    arrays: tuple[str, ...] = ()

    def has(self, thing: object) -> bool:
        """Whether something is one of its models; only what is loaded can be."""
        whole: tuple[Any, ...] = thing if type(thing) is tuple else (thing,)
        pair = len(whole) in (2, 3) and bool(self.arrays)
        if not whole or (type(thing) is tuple and not pair):
            return False
        if isinstance(whole[0], tuple(_classes(self.kinds))):
            return True
        kinds: Any = (np.ndarray, *_classes({self.module: self.arrays}))
        held: Any = (*kinds, *_classes(self.kinds))  # or a module, which is a tree of them
        return pair and len(kinds) > 1 and callable(whole[0]) and bool(arrays_in(whole[1], held, parts_of))


def _classes(kinds: Mapping[str, tuple[str, ...]]) -> Iterator[type]:
    found = (getattr(sys.modules.get(module), name, None) for module, names in kinds.items() for name in names)
    return (kind for kind in found if isinstance(kind, type))


KNOWN: Mapping[str, _Known] = {
    "torch": _Known(
        "torch",
        {"torch.nn": ("Module",)},
        "a torch.nn.Module",
        "PyTorch models need torch. Install it: pip install 'wellbegun[torch]'.",
    ),
    "jax": _Known(
        "jax",
        {
            **dict.fromkeys(("flax.nnx", "flax.linen", "equinox"), ("Module",)),
            "haiku": ("Transformed", "TransformedWithState"),
        },
        "a JAX model (a module of Flax or Equinox, or a function and its arrays: (module, variables), "
        "(transformed, params), (function, params))",
        "JAX models need jax. Install it: pip install 'wellbegun[jax]'.",
        ("Array", "ShapeDtypeStruct"),
    ),
    "keras": _Known(
        "keras",
        {"keras": ("Layer",)},
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
    kinds = reversed([*KNOWN.items()])  # a model of Keras may be a module of torch, too
    return next((name for name, known in kinds if known.has(thing)), None)


def default() -> Backend:
    """The framework to work with where no model tells: one that is loaded, or else one that is installed.

    Raises:
        MissingDependencyError: there is none.
    """
    loaded = [name for name in KNOWN if sys.modules.get(name) is not None]
    names = loaded or [name for name in KNOWN if importlib.util.find_spec(name) is not None] or list(KNOWN)
    for name in names:
        with suppress(MissingDependencyError):  # Keras is installed, say, and no backend of it
            return named(name)
    return named(next(iter(KNOWN)))


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
