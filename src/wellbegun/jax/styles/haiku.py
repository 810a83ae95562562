"""Haiku: (transformed, params), (transformed, params, state), or a transformed function whose params a batch makes."""

from functools import partial
from inspect import signature
from typing import Any

import haiku
import jax

from wellbegun.jax.call import arguments
from wellbegun.jax.described import Described, begun, keys, layer_of, numbered, scoped, tree_of


def described(model: Any, batch: object = None) -> Described:
    """(transformed, params) comes back, with the state if there is one.

    Raises:
        ArgumentError: no params, and no batch. ModelError: no parameters.
    """
    transformed, *parts = model if type(model) is tuple else made(model, batch)
    layers: dict[str, Any] = {}

    def function(new: Any, *args: Any, **kwargs: Any) -> Any:
        run = scoped(layers, partial(layer_of, base=haiku.Module, home="haiku."))

        def intercepted(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            again = partial(call, *args, **kwargs)
            if context.method_name != "__call__":
                return again()
            return run(".".join(_path(context.module.module_name)), context.module, again)

        rng = (jax.random.key(0),) if "rng" in signature(transformed.apply).parameters else ()
        with haiku.intercept_methods(intercepted):
            found = transformed.apply(*new, *rng, *args, **kwargs)
        return found[0] if len(new) > 1 else found

    def named(path: Any) -> tuple[tuple[str, ...], bool]:
        names = keys(path)
        return (*_path(names[1]), *names[2:]), names[0] == "0"

    kind = getattr(transformed.apply, "__name__", "function")
    return tree_of(kind, tuple(parts), function, lambda new: (transformed, *new), named, layers=layers)


def _path(name: str) -> tuple[str, ...]:
    return numbered([part for part in name.split("/") if part != "~"])


def made(transformed: Any, batch: object, *, state: bool = False) -> tuple[Any, ...]:
    """(transformed, params[, state]) where params have no values. `state`: whether the state has its own.

    Raises:
        ArgumentError: no batch.
    """
    given, stateful = arguments("a transformed function", batch), isinstance(transformed, haiku.TransformedWithState)

    def init(key: Any) -> dict[str, Any]:
        found = transformed.init(key, *given.args, **given.kwargs)
        return dict(zip(("params", "state"), found if stateful else (found,), strict=False))

    found = begun(init, lambda new: {name: part for name, part in new.items() if name == "state"}, state)
    return (transformed, *found.values())


def renewed(model: Any, batch: object, key: Any) -> Any:
    """The same with what `init` gives."""
    transformed = model[0] if type(model) is tuple else model
    given = arguments("a transformed function", batch)
    found = transformed.init(key, *given.args, **given.kwargs)
    return (transformed, *(found if isinstance(transformed, haiku.TransformedWithState) else (found,)))
