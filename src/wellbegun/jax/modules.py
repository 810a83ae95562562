"""Flax modules: their parameters by canonical name, and one call of them as a pure function."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from wellbegun.errors import ArgumentError, ModelError
from wellbegun.graph import Parameter
from wellbegun.inputs import arguments_of

_WEIGHTS = frozenset({"kernel", "embedding", "scale", "weight"})  # what Flax calls the weight of a layer
_PLAIN = (dict, list, tuple)


class Slot(NamedTuple):
    """A variable, or an array that none holds, at one place in a model; a shared one has several."""

    path: tuple[Any, ...]
    name: str
    variable: Any  # nnx.Variable, or an array
    owner: Any  # the node that holds it


def slots_of(model: Any, path: tuple[Any, ...] = (), above: frozenset[int] = frozenset()) -> Iterator[Slot]:
    """Every variable at every place: those of a module before those of the modules in it, and each in the order in
    which they were made its attributes."""
    order = {key: position for position, key in enumerate(getattr(model, "__dict__", ()))}
    children = sorted(_children(model), key=lambda child: order.get(str(child[0]), len(order)))
    own = [(key, child) for key, child in children if isinstance(child, nnx.Variable)]
    weights = [key for key, _ in own if key in _WEIGHTS]
    for key, variable in own:
        last = "weight" if weights == [key] else str(key)
        yield Slot((*path, key), ".".join([*map(str, path), last]), variable, model)
    for key, child in children:
        if not isinstance(child, nnx.Variable) and id(child) not in above:
            yield from slots_of(child, (*path, key), above | {id(model)})


def _children(node: Any) -> Iterator[tuple[Any, Any]]:
    """Variables and nodes in a node, and the plain containers that it holds them in."""
    plain = type(node) in _PLAIN
    if not plain:
        yield from nnx.iter_children(node)
    held = enumerate(node) if isinstance(node, (list, tuple)) else dict(node if plain else vars(node)).items()
    kinds = (nnx.Variable, nnx.Module) if plain else ()
    yield from ((key, child) for key, child in held if type(child) in _PLAIN or isinstance(child, kinds))


def parameters_of(model: Any) -> dict[str, Parameter]:
    """Parameters by name. The further names of a shared one are tied to the first in alphabetical order, which is the
    same for an abstract model, whose attributes nnx has sorted.

    Raises:
        ModelError: a parameter that is no array.
    """
    slots = [slot for slot in slots_of(model) if isinstance(slot.variable, nnx.Param)]
    first: dict[int, str] = {}
    for slot in sorted(slots, key=lambda slot: slot.name):
        first.setdefault(id(slot.variable), slot.name)
    return {slot.name: _parameter(slot, first[id(slot.variable)]) for slot in slots}


def _parameter(slot: Slot, name: str) -> Parameter:
    value = slot.variable.get_value()
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise ModelError(f"model: parameter {slot.name!r} holds a {type(value).__name__}; only arrays can be filled.")
    classes = [kind for kind in type(slot.owner).__mro__ if issubclass(kind, nnx.Module) and kind is not nnx.Module]
    layer = next((kind.__name__ for kind in classes if kind.__module__.startswith("flax.nnx.nn")), "")
    known = tuple(value.shape), value.dtype.name, True, None if name == slot.name else name
    held = not isinstance(value, jax.ShapeDtypeStruct)
    return Parameter(slot.name, *known, tuple(kind.__name__ for kind in classes), held=held, layer=layer)


# ---------------------------------------------------------------------- one call
class Pure(NamedTuple):
    """A call of a model as a function of its variables' values, whose places `slots` are, and of the call's arrays."""

    function: Callable[..., Any]
    slots: tuple[Slot, ...]
    state: tuple[Any, ...]
    arrays: tuple[jax.Array, ...]
    made: tuple[str, ...]


def pure(model: Any, batch: object) -> Pure:
    """One call as a pure function `f(state, arrays)`, in which each module's operations carry its path.

    Raises:
        ArgumentError: no batch. ArgumentTypeError: something that is none. ModelError: no parameters.
    """
    kinds = [jnp.dtype(p.dtype) for p in parameters_of(model).values()]
    if not kinds:
        raise ModelError(f"model: {type(model).__name__} has no parameters, so there is nothing to initialize.")
    if batch is None:
        remedy = "Give a batch: an array, a tuple, a dict of keyword arguments, or a shape such as (32, 32, 32, 3)."
        raise ArgumentError(f"batch: the input of {type(model).__name__} cannot be told. {remedy}")
    real = next((kind for kind in kinds if jnp.issubdtype(kind, jnp.floating)), None)
    given = arguments_of(batch, jax.Array, lambda array, dtype: _array(array, dtype, real))
    leaves, structure = jax.tree.flatten((given.args, given.kwargs))
    places = {slot.path: slot for slot in slots_of(model)}
    definition, state = nnx.split(model)
    flat = list(nnx.to_flat_state(state))

    def function(values: tuple[Any, ...], arrays: tuple[Any, ...]) -> Any:
        filled = [
            (p, v.replace(x) if isinstance(v, nnx.Variable) else x) for (p, v), x in zip(flat, values, strict=True)
        ]
        merged, rest = nnx.merge(definition, nnx.from_flat_state(filled)), iter(arrays)
        _give_scopes(merged)
        called = [next(rest) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        args, kwargs = jax.tree.unflatten(structure, called)
        return merged(*args, **kwargs)

    arrays = tuple(leaf for leaf in leaves if isinstance(leaf, jax.Array))
    slots = tuple(places.get(p) or Slot(p, ".".join(map(str, p)), v, None) for p, v in flat)
    if hidden := next((slot.name for slot in slots if slot.owner is None and isinstance(slot.variable, nnx.Param)), ""):
        raise ModelError(
            f"model: parameter {hidden!r} is in a container that is no module, list or dict; use nnx's own."
        )
    state_values = tuple(v.get_value() if isinstance(v, nnx.Variable) else v for _, v in flat)
    return Pure(function, slots, state_values, arrays, given.made)


def _array(array: Any, dtype: str | None, real: Any) -> jax.Array:
    found = jnp.asarray(array, None if dtype is None else jax.dtypes.canonicalize_dtype(dtype))
    return found.astype(real) if real is not None and jnp.issubdtype(found.dtype, jnp.floating) else found


def _give_scopes(model: Any) -> None:
    """Let each module of a copy tell where it stands, and at which of its calls it is, while it is called."""
    for path, node in nnx.iter_graph(model):
        if path and isinstance(node, nnx.Module) and callable(node):
            name = partial("{}#{}".format, ".".join(map(str, path)))
            object.__setattr__(node, "_wellbegun_calls", map(name, count()))
            object.__setattr__(node, "__class__", _scoped(type(node)))


@cache
def _scoped(kind: Any) -> Any:
    """The same class, whose calls are under a name of their own."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(next(self._wellbegun_calls)):
            return kind.__call__(self, *args, **kwargs)

    return type(kind.__name__, (kind,), {"__call__": call})
