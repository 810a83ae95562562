"""Equinox: modules are trees, called once for each sample; (module, state) if it keeps a state."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache, partial
from inspect import signature
from itertools import count
from typing import Any

import equinox
import jax

from wellbegun.jax.described import Described, Layer, keys, layer_of, taking, tree_of


def described(model: Any, _: object = None) -> Described:
    """Another module comes back, or (module, state).

    Raises:
        ModelError: no arrays of real or complex numbers.
    """
    stateful = isinstance(model, tuple)
    module = model[0] if stateful else model

    def function(new: Any, *args: Any, **kwargs: Any) -> Any:
        called, state = new if stateful else (new, None)
        _give_scopes(called)
        leaves, structure = jax.tree.flatten((args, kwargs))
        along = [place for place, leaf in enumerate(leaves) if getattr(leaf, "ndim", 0)]

        def one(arrays: Mapping[int, Any], key: Any) -> Any:
            each = [arrays.get(place, leaf) for place, leaf in enumerate(leaves)]
            args, kwargs = jax.tree.unflatten(structure, each)
            if key is not None:
                kwargs = {**kwargs, "key": key}
            return called(*args, state, **kwargs)[0] if stateful else called(*args, **kwargs)

        arrays = {place: leaves[place] for place in along}
        size = next((len(array) for array in arrays.values()), 1)
        drawn = jax.random.split(jax.random.key(0), size) if "key" in _taken(module) - kwargs.keys() else None
        return jax.vmap(one, axis_name=_axis(module), axis_size=size)(arrays, drawn)

    def named(path: Any) -> tuple[tuple[str, ...], bool]:
        return (keys(path)[1:], path[0].idx == 0) if stateful else (keys(path), True)

    kind, layers = type(module).__name__, {path: _layer(type(node)) for path, node in _nodes(module, "")}
    own: dict[str, Any] = {"weights": frozenset(), "layers": layers, "owned": True}
    return tree_of(kind, model, function, lambda new: new, named, called=taking(module.__call__, "state", "key"), **own)


def _layer(kind: type) -> Layer:
    found = layer_of(kind, equinox.Module, "equinox.nn")
    return found._replace(last=found.name in ("LayerNorm", "RMSNorm"))


def _nodes(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Modules by their path."""
    if isinstance(node, equinox.Module):
        yield path, node
        fields = (field.name for field in dataclasses.fields(node) if not field.metadata.get("static"))
        inner: Any = ((name, getattr(node, name, None)) for name in fields)
    else:
        inner = enumerate(node) if isinstance(node, (list, tuple)) else node.items() if isinstance(node, dict) else ()
    for key, child in inner:
        yield from _nodes(child, f"{path}.{key}" if path else str(key))


def _give_scopes(model: Any) -> None:
    """Let each module of a copy tell where it stands, and at which of its calls it is, while it is called."""
    for path, node in list(_nodes(model, "")):
        if path and callable(node):
            object.__setattr__(node, "_wellbegun_calls", map(partial("{}#{}".format, path), count()))
            kind: Any = type(node)
            object.__setattr__(node, "__class__", _scoped(kind))


@cache
def _scoped(kind: Any) -> Any:
    """The same class, whose calls are under a name of their own, which the leaves of its objects need not know."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with jax.named_scope(next(self._wellbegun_calls)):
            return kind.__call__(self, *args, **kwargs)

    own = {"__call__": call, "__annotations__": {"_wellbegun_calls": Any}, "__module__": kind.__module__}
    own["_wellbegun_calls"] = equinox.field(static=True, init=False, default=None)
    return type(kind)(kind.__name__, (kind,), own)


def _taken(module: Any) -> set[str]:
    return set(signature(module.__call__).parameters)


def _axis(module: Any) -> Any:
    """What normalizations over the batch call its axis."""
    kind = equinox.nn.BatchNorm
    nodes = jax.tree.leaves(module, is_leaf=lambda node: isinstance(node, kind))
    return next((node.axis_name for node in nodes if isinstance(node, kind)), "batch")
