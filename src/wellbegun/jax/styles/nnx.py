"""Flax nnx modules: objects with variables, which may be shared, and which are set in place."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

import jax
from flax import nnx

from wellbegun.errors import ModelError
from wellbegun.graph import Parameter
from wellbegun.jax.described import WEIGHTS, Described, Slot, held_in, layer_of, taking

_PLAIN = (dict, list, tuple)
_HOME = "flax.nnx.nn"


class Place(NamedTuple):
    """A variable, or an array that none holds, at one place in a model; a shared one has several."""

    path: tuple[Any, ...]
    name: str
    variable: Any  # nnx.Variable, or an array
    owner: Any  # the node that holds it


def places_of(model: Any, path: tuple[Any, ...] = (), above: frozenset[int] = frozenset()) -> Iterator[Place]:
    """Every variable at every place: those of a module before those of the modules in it, and each in the order in
    which they were made its attributes."""
    order = {key: position for position, key in enumerate(getattr(model, "__dict__", ()))}
    children = sorted(_children(model), key=lambda child: order.get(str(child[0]), len(order)))
    own = [(key, child) for key, child in children if isinstance(child, nnx.Variable)]
    weights = [key for key, _ in own if key in WEIGHTS]
    for key, variable in own:
        last = "weight" if weights == [key] else str(key)
        yield Place((*path, key), ".".join([*map(str, path), last]), variable, model)
    for key, child in children:
        if not isinstance(child, nnx.Variable) and id(child) not in above:
            yield from places_of(child, (*path, key), above | {id(model)})


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
    places = [place for place in places_of(model) if isinstance(place.variable, nnx.Param)]
    first: dict[int, str] = {}
    for place in sorted(places, key=lambda place: place.name):
        first.setdefault(id(place.variable), place.name)
    return {place.name: _parameter(place, first[id(place.variable)]) for place in places}


def _parameter(place: Place, name: str) -> Parameter:
    value = place.variable.get_value()
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise ModelError(f"model: parameter {place.name!r} holds a {type(value).__name__}; only arrays can be filled.")
    known = tuple(value.shape), value.dtype.name, True, None if name == place.name else name
    layer = layer_of(type(place.owner), nnx.Module, _HOME)
    return Parameter(place.name, *known, layer.owners, held=held_in(value), layer=layer.name)


def described(model: Any, _: object = None) -> Described:
    """The same object comes back, with its variables set.

    Raises:
        ModelError: no parameters, or one where nobody can see it.
    """
    kind = type(model).__name__
    if not parameters_of(model):
        raise ModelError(f"model: {kind} has no parameters, so there is nothing to initialize.")
    known = list(places_of(model))
    places = {place.path: place for place in known}
    definition, state = nnx.split(model)
    flat = list(nnx.to_flat_state(state))
    found = [places.get(path) or Place(path, ".".join(map(str, path)), v, None) for path, v in flat]
    slots = tuple(Slot(p.name, _value(p.variable), isinstance(p.variable, nnx.Param)) for p in found)
    if hidden := next((p.name for p in found if p.owner is None and isinstance(p.variable, nnx.Param)), ""):
        raise ModelError(
            f"model: parameter {hidden!r} is in a container that is no module, list or dict; use nnx's own."
        )

    def function(values: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        filled = [
            (p, v.replace(x) if isinstance(v, nnx.Variable) else x) for (p, v), x in zip(flat, values, strict=True)
        ]
        merged = nnx.merge(definition, nnx.from_flat_state(filled))
        _give_scopes(merged)
        return merged(*args, **kwargs)

    def put(made: Mapping[str, Any]) -> Any:
        for place in known:
            if place.name in made:
                place.variable.set_value(made[place.name])
        return model

    nodes = ((".".join(map(str, path)), node) for path, node in nnx.iter_graph(model))
    layers = {path: layer_of(type(node), nnx.Module, _HOME) for path, node in nodes if isinstance(node, nnx.Module)}
    first = model
    while isinstance(first, nnx.Sequential) and first.layers:
        first = first.layers[0]
    called, tied = taking(first, needed=first is not model), partial(parameters_of, model)
    return Described(kind, slots, function, put, layers, tied, fills=False, called=called)


def _value(variable: Any) -> Any:
    return variable.get_value() if isinstance(variable, nnx.Variable) else variable


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
