"""Flax linen: (module, variables), (module.apply, variables), a bound module, or one whose variables a batch makes."""

from functools import partial
from typing import Any

import jax
from flax import linen
from jax.tree_util import GetAttrKey

from wellbegun.jax.call import arguments
from wellbegun.jax.described import WEIGHTS, Described, begun, keys, layer_of, numbered, scoped, taking, tree_of

_STREAMS = "params"  # what every stream of random numbers falls back to


def described(model: Any, batch: object = None) -> Described:
    """(module, variables) comes back, or a bound module.

    Raises:
        ArgumentError: a module without variables, and no batch. ModelError: no parameters.
    """
    bound = not isinstance(model, tuple) and model.scope is not None
    given, variables = model.unbind() if bound else model if isinstance(model, tuple) else made(model, batch)
    module = getattr(given, "__self__", given)
    layers: dict[str, Any] = {}

    def function(new: Any, *args: Any, **kwargs: Any) -> Any:
        run = scoped(layers, partial(layer_of, base=linen.Module, home="flax.linen"))

        def intercepted(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            again = partial(call, *args, **kwargs)
            own = context.method_name == "__call__" and context.module.scope is not None
            return run(".".join(numbered(context.module.path)), context.module, again) if own else again()

        with linen.intercept_methods(intercepted):
            others = [name for name in new if name != "params"]
            found = module.apply(new, *args, rngs={_STREAMS: jax.random.key(0)}, mutable=others, **kwargs)
        return found[0]

    def back(new: Any) -> Any:
        return module.bind(new) if bound else (given, new)

    def named(path: Any) -> tuple[tuple[str, ...], bool]:
        names = keys([key for key in path if not isinstance(key, GetAttrKey)])  # boxes with metadata have attributes
        return numbered(names[1:]), names[0] == "params"

    own: dict[str, Any] = {"weights": WEIGHTS, "layers": layers, "called": _taken(module)}
    return tree_of(type(module).__name__, variables, function, back, named, **own)


def _taken(module: Any) -> Any:
    """What tells what a call takes: of a list of modules, the first."""
    first = module
    while isinstance(first, linen.Sequential) and first.layers:
        first = first.layers[0]
    called = first.__call__ if isinstance(first, linen.Module) and callable(first) else first
    return taking(called, needed=first is not module)


def made(module: Any, batch: object, *, state: bool = False) -> tuple[Any, Any]:
    """(module, variables) where parameters have no values. `state`: whether all others have theirs.

    Raises:
        ArgumentError: no batch.
    """
    given = arguments(type(module).__name__, batch, called=_taken(module))

    def init(key: Any) -> Any:
        return module.init(key, *given.args, **given.kwargs)

    return module, begun(init, lambda new: {name: part for name, part in new.items() if name != "params"}, state)


def renewed(model: Any, batch: object, key: Any) -> Any:
    """The same with what `init` gives."""
    bound = not isinstance(model, tuple) and model.scope is not None
    given = model.unbind()[0] if bound else model[0] if isinstance(model, tuple) else model
    module = getattr(given, "__self__", given)
    call = arguments(type(module).__name__, batch, called=_taken(module))
    variables = module.init(key, *call.args, **call.kwargs)
    return module.bind(variables) if bound else (given, variables)
