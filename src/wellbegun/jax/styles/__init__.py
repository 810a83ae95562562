"""The styles in which JAX models are written, each of which one module knows, and nobody else.

A framework is imported here only if it is loaded: who has a model of it has loaded it.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentTypeError
from wellbegun.jax.described import Described

_STYLES: Mapping[str, tuple[str, tuple[str, ...], int]] = {  # package -> its module here, classes of models, most parts
    "flax.nnx": ("nnx", ("Module",), 1),
    "flax.linen": ("linen", ("Module",), 2),
    "equinox": ("equinox", ("Module",), 2),
    "haiku": ("haiku", ("Transformed", "TransformedWithState"), 3),
}
_ALLOWED = (
    "a module of Flax or Equinox, or (module, variables), (transformed, params[, state]), (module, state), or "
    "(function, tree of arrays)"
)


def described(model: Any, batch: object = None) -> Described:
    """What a model is. `batch`: for those that make their arrays when they are called first, which are abstract then.

    Raises:
        ArgumentTypeError: no model of any style. What its style raises.
    """
    whole = model if type(model) is tuple else (model,)
    for package, (name, kinds, most) in _STYLES.items():
        classes = tuple(getattr(sys.modules.get(package), kind, ()) for kind in kinds)
        owner = getattr(whole[0], "__self__", None) if package == "flax.linen" else None  # of module.apply
        own = isinstance(whole[0], classes) or isinstance(owner, classes)
        if own and len(whole) <= most and not (package == "equinox" and _function(whole)):
            found: Described = importlib.import_module(f"{__name__}.{name}").described(model, batch)
            return found
    if len(whole) == 2 and callable(whole[0]):
        return importlib.import_module(f"{__name__}.plain").described(model)  # type: ignore[no-any-return]
    raise ArgumentTypeError(message("wellbegun", "model", _ALLOWED, type(model).__name__))


def _function(whole: tuple[Any, ...]) -> bool:
    """Whether a module of Equinox is a function of a tree, such as what `filter_jit` makes, and has no state."""
    return len(whole) > 1 and not isinstance(whole[1], sys.modules["equinox"].nn.State)


def lacking(model: Any) -> str:
    """The module here that can make the arrays of a model without any: a module of Linen, or what Haiku makes of a
    function; "" for all others."""
    linen, haiku = (sys.modules.get(package) for package in ("flax.linen", "haiku"))
    if isinstance(model, (getattr(haiku, "Transformed", ()), getattr(haiku, "TransformedWithState", ()))):
        return "haiku"
    free = isinstance(model, getattr(linen, "Module", ())) and getattr(model, "scope", None) is None
    return "linen" if free else ""


def prepared(model: Any, batch: object) -> Any:
    """The model with a place for each parameter: the same, or (module, variables) of a module that had none, and
    (transformed, params[, state]).

    Raises:
        ArgumentError: such a model without a batch. TraceError: it failed.
    """
    name = lacking(model)
    return importlib.import_module(f"{__name__}.{name}").made(model, batch, state=True) if name else model


def in_place(model: Any) -> bool:
    """Whether a model is an object whose arrays are exchanged, so that the same one comes back."""
    return isinstance(model, getattr(sys.modules.get("flax.nnx"), "Module", ()))


def copied(model: Any) -> Any:
    """A copy of it, or the model itself if nothing changes it."""
    return sys.modules["flax.nnx"].clone(model) if in_place(model) else model
