"""(function, tree): trees of arrays, and a function that is called with one, and with the batch."""

from typing import Any

from wellbegun.jax.described import Described, tree_of


def described(model: Any) -> Described:
    """(function, another tree) comes back.

    Raises:
        ModelError: no arrays of real or complex numbers.
    """
    function, tree = model
    kind = getattr(function, "__name__", type(function).__name__)
    return tree_of(kind, tree, function, lambda new: (function, new), owned=True)
