"""What a JAX model of any style is to the rest: named arrays, one call with given arrays, and the way back."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun._arguments import shown, told
from wellbegun.errors import ModelError, TraceError
from wellbegun.graph import Parameter
from wellbegun.graph.model import Over, Use

WEIGHTS = frozenset({"kernel", "embedding", "scale", "weight"})  # what Flax calls the weight of a layer
_WEIGHTS = WEIGHTS | {"w", "embeddings"}  # what others call it, too
_BIASES = frozenset({"b", "bias", "offset"})
ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
Names = tuple[str, ...]


class Layer(NamedTuple):
    """A module: its class and those it inherits from; the framework's own layer that it is; what that does."""

    owners: tuple[str, ...] = ()
    name: str = ""
    does: Literal["", "norm", "table", "mask", "product"] = ""
    over: Over = ""
    last: bool = True  # whether units are on the last axis, and not on the second


_LAYERS: Mapping[str, tuple[Any, ...]] = {
    "BatchNorm": ("norm", "samples"), "LayerNorm": ("norm", "units"), "RMSNorm": ("norm", "units"),
    "GroupNorm": ("norm", "groups"), "InstanceNorm": ("norm", "groups"), "Embed": ("table",), "Embedding": ("table",),
    "Dropout": ("mask",),
    **dict.fromkeys(("Linear", "LinearGeneral", "Dense", "DenseGeneral", "Einsum", "Conv", "ConvND", "ConvTranspose",
                     "ConvNDTranspose"), ("product",)),
}  # fmt: skip


def layer_of(kind: type, base: type, home: str) -> Layer:
    """What a class of modules is. `base`: of all modules; `home`: start of the names of its own packages."""
    kinds = [one for one in kind.__mro__ if issubclass(one, base) and one is not base]
    own = [one.__name__ for one in kinds if one.__module__.startswith(home)]
    known = next((_LAYERS[name] for name in own if name in _LAYERS), ())
    return Layer(tuple(one.__name__ for one in kinds), own[0] if own else "", *known)


class Slot(NamedTuple):
    """An array of a model, by one of its names."""

    name: str
    array: Any
    parameter: bool


@dataclass(frozen=True)
class Described:
    """A model of any style.

    `slots`: its arrays, in the order in which `function(arrays, args, kwargs)` takes them to call it once. `put`: the
    model with other arrays, by name. `layers`: modules by their path; some styles know them once `function` has run, in
    which each call of one is a named scope "path#number". `fills`: whether parameters without values can be given some.
    `called`: the function whose signature tells what a call takes; None: it takes everything.
    """

    kind: str
    slots: tuple[Slot, ...]
    function: Callable[[Sequence[Any], Sequence[Any], Mapping[str, Any]], Any]
    put: Callable[[Mapping[str, Any]], Any]
    layers: dict[str, Layer] = field(default_factory=dict)
    tied: Callable[[], Mapping[str, Parameter]] | None = None  # of a style in which parameters may have several names
    fills: bool = True
    owned: bool = False  # whether operations outside of all scopes are where their parameters are
    called: Callable[..., object] | None = None

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """By every name."""
        if self.tied is not None:
            return self.tied()
        return {slot.name: self._parameter(slot) for slot in self.slots if slot.parameter}

    def _parameter(self, slot: Slot) -> Parameter:
        layer = self.layers.get(slot.name.rpartition(".")[0], Layer())
        shape, dtype, held = tuple(slot.array.shape), slot.array.dtype.name, held_in(slot.array)
        bias = layer.name and layer.does != "norm" and slot.name.endswith(".bias")
        own = Use(slot.name, "bias") if bias else None
        return Parameter(slot.name, shape, dtype, owners=layer.owners, held=held, layer=layer.name, own=own)

    @property
    def stored(self) -> Mapping[str, Any]:
        """Arrays of parameters, by the first name of each."""
        known = self.parameters
        return {known[slot.name].tied_to or slot.name: slot.array for slot in self.slots if slot.parameter}


def held_in(array: Any) -> bool:
    """Whether an array has values: it is neither abstract nor traced by a transform such as `jax.jit`."""
    return not isinstance(array, (jax.ShapeDtypeStruct, jax.core.Tracer))


def scoped(layers: dict[str, Layer], layer: Callable[[type], Layer]) -> Callable[[str, Any, Callable[[], Any]], Any]:
    """For frameworks that let calls of their modules be intercepted: a function of (path, module, call) that runs a
    call under a name of its own, and writes the module down."""
    calls = Counter[str]()

    def run(path: str, module: Any, call: Callable[[], Any]) -> Any:
        layers.setdefault(path, layer(type(module)))
        calls[path] += 1
        with jax.named_scope(f"{path}#{calls[path]}"):
            return call()

    return run


def begun(init: Callable[[Any], Any], others: Callable[[Any], Mapping[str, Any]], state: bool) -> Any:
    """A mapping that `init` makes of a key, whose arrays have no values; but the `others` in it, if `state` is wanted.

    Raises:
        TraceError: the model failed.
    """
    key = jax.random.key(0)
    try:
        shapes = dict(jax.eval_shape(init, key))
        return shapes | dict(jax.jit(lambda key: others(init(key)))(key)) if state else shapes
    except Exception as error:  # whatever a model raises: it is told, and the cause is kept
        raise TraceError(f"trace: the model failed when its arrays were made: {told(error)}") from error


def taking(
    function: Callable[..., Any], *less: str, first: int = 0, needed: bool = False
) -> Callable[..., object] | None:
    """A function with the signature of another, without some of its arguments and without its first ones, or only what
    is `needed`; None if nothing tells it."""
    try:
        known = signature(function)
    except (TypeError, ValueError):  # no Python function
        return None

    def called(*_: object, **__: object) -> None:
        """Only its signature is looked at."""

    named = list(known.parameters.values())[first:]
    kept = [p for p in named if p.name not in less and not (needed and p.default is not p.empty)]
    called.__signature__ = known.replace(parameters=kept)  # type: ignore[attr-defined]
    return called


# ---------------------------------------------------------------------- trees
def tree_of(
    kind: str,
    tree: Any,
    function: Callable[..., Any],
    back: Callable[[Any], Any],
    named: Callable[[Sequence[Any]], tuple[Names, bool]] = lambda path: (keys(path), True),
    *,
    weights: frozenset[str] = _WEIGHTS,
    layers: dict[str, Layer] | None = None,
    owned: bool = False,
    called: Callable[..., object] | None = None,
) -> Described:
    """A model that is a tree of arrays, of which those of real or complex numbers are trained.

    Args:
        kind: What messages call it.
        tree: With arrays, and anything else, as its leaves.
        function: Calls the model once, given another tree, arguments and keyword arguments.
        back: Tree -> model.
        named: The way to an array -> path and last name, and whether it is no other state.
        weights: Last names that are called "weight", where a module has one of them.
        layers, owned, called: As in `Described`.
    Raises:
        ModelError: a tree without arrays to fill, or with two of one name.
    """
    try:
        pairs, structure = jax.tree_util.tree_flatten_with_path(tree)
    except ValueError as error:  # keys of several types, which JAX cannot sort
        raise ModelError(f"model: JAX takes no such tree: {told(error)} Use keys of one type in each dict.") from error
    places = [place for place, (_, leaf) in enumerate(pairs) if isinstance(leaf, ARRAYS)]
    found = [named(pairs[place][0]) for place in places]
    real = [own and jnp.issubdtype(pairs[place][1].dtype, jnp.inexact)
            for (_, own), place in zip(found, places, strict=True)]  # fmt: skip
    if not any(real):
        raise ModelError(f"model: {kind} has no parameters, so there is nothing to initialize.")
    names = canonical([names for names, _ in found], weights)
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ModelError(
            f"model: two arrays of {kind} would be called {shown(twice[0])!r}. Rename one of their modules."
        )
    slots = tuple(Slot(name, pairs[place][1], own) for name, place, own in zip(names, places, real, strict=True))

    def filled(arrays: Sequence[Any]) -> Any:
        leaves = [leaf for _, leaf in pairs]
        for place, array in zip(places, arrays, strict=True):
            leaves[place] = array
        return jax.tree.unflatten(structure, leaves)

    return Described(
        kind, slots, lambda arrays, args, kwargs: function(filled(arrays), *args, **kwargs),
        lambda made: back(filled([made.get(slot.name, slot.array) for slot in slots])),
        {} if layers is None else layers, owned=owned, called=called,
    )  # fmt: skip


def keys(path: Sequence[Any]) -> Names:
    """Of attributes, items, places and children on the way to a leaf."""
    found = (next(getattr(key, name) for name in ("name", "key", "idx") if hasattr(key, name)) for key in path)
    return tuple(map(str, found))


def canonical(places: Sequence[Names], weights: frozenset[str] = _WEIGHTS) -> list[str]:
    """Module path, then "weight" or "bias" where a module has one that is called so, or alike.

    >>> canonical([("first", "w"), ("first", "b"), ("gate", "scale"), ("gate", "kernel"), ()])
    ['first.weight', 'first.bias', 'gate.scale', 'gate.kernel', 'weight']
    """

    def alike(names: Names) -> str:
        last = names[-1] if names else ""
        return "weight" if last in weights else "bias" if weights and last in _BIASES else ""

    several = Counter((names[:-1], alike(names)) for names in places)
    found = (alike(names) if several[names[:-1], alike(names)] == 1 else "" for names in places)
    return [
        ".".join((*names[:-1], last or names[-1])) if names else "weight"
        for names, last in zip(places, found, strict=True)
    ]


def numbered(path: Iterator[str] | Sequence[str]) -> Names:
    """A path in which a layer of a list is its place there: Linen and Haiku have no dots.

    >>> numbered(["encoder", "layers_0"])
    ('encoder', 'layers', '0')
    """
    found: list[str] = []
    for name in path:
        start, _, number = name.rpartition("_")
        found += [start, number] if start and number.isdecimal() else [name]
    return tuple(found)
