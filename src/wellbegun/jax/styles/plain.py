"""(function, tree): trees of arrays, and a function that is called with one, and with the batch."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from wellbegun.jax.described import Described, taking, tree_of


def described(model: Any) -> Described:
    """(function, another tree) comes back.

    Raises:
        ModelError: no arrays of real or complex numbers.
    """
    function, tree = model
    kind = getattr(function, "__name__", type(function).__name__)
    called = taking(function, first=1)
    return tree_of(kind, tree, _called(function), lambda new: (function, new), owned=True, called=called)


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    """A dict that a function does not take as keyword arguments is its batch."""

    def run(tree: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            signature(function).bind(tree, *args, **kwargs)
        except ValueError:  # built-in functions may not tell
            pass
        except TypeError:
            return function(tree, *args, kwargs) if kwargs else function(tree, *args)
        return function(tree, *args, **kwargs)

    return run
