"""The styles in which JAX models are written, each of which one module knows, and nobody else.

A framework is imported here only if it is loaded: who has a model of it has loaded it.
"""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import jax

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError, ArgumentTypeError
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
    name = style_of(model)
    describe = importlib.import_module(f"{__name__}.{name}").described
    found: Described = describe(model) if name == "plain" else describe(model, batch)
    return found


def style_of(model: Any) -> str:
    """The module here that knows a model.

    Raises:
        ArgumentTypeError: no model of any style.
    """
    whole = model if type(model) is tuple else (model,)
    for package, (name, kinds, most) in _STYLES.items():
        classes = tuple(getattr(sys.modules.get(package), kind, ()) for kind in kinds)
        owner = getattr(whole[0], "__self__", None) if package == "flax.linen" else None  # of module.apply
        own = isinstance(whole[0], classes) or isinstance(owner, classes)
        if own and len(whole) <= most and not (package == "equinox" and _function(whole)):
            return name
    if len(whole) == 2 and callable(whole[0]):
        return "plain"
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


def renewed(model: Any, batch: object, seed: int) -> Any:
    """What `init` of Linen or Haiku gives from a seed.

    Raises:
        ArgumentError: no batch, or arrays of other shapes.
    """
    made = importlib.import_module(f"{__name__}.{style_of(model)}").renewed(model, batch, jax.random.key(seed))
    shapes = [jax.tree.map(lambda leaf: getattr(leaf, "shape", None), each) for each in (made, model)]
    if shapes[0] != shapes[1] and type(model) is tuple:
        raise ArgumentError("reset: init gives arrays of other shapes than the model holds, for this batch.")
    return made


def in_place(model: Any) -> bool:
    """Whether a model is an object whose arrays are exchanged, so that the same one comes back."""
    return isinstance(model, getattr(sys.modules.get("flax.nnx"), "Module", ()))


def copied(model: Any) -> Any:
    """A copy of it, or the model itself if nothing changes it."""
    return sys.modules["flax.nnx"].clone(model) if in_place(model) else model
