"""One call of a model as a pure function of its arrays and of a batch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from wellbegun.errors import ArgumentError
from wellbegun.inputs import Call, arguments_of
from wellbegun.jax.described import Described


class Pure(NamedTuple):
    """A call of a model as a function `f(state, arrays)` of its arrays and of the call's."""

    function: Callable[..., Any]
    model: Described
    state: tuple[Any, ...]
    arrays: tuple[jax.Array, ...]
    call: Call


def arguments(kind: str, batch: object, real: Any = None, called: Callable[..., object] | None = None) -> Call:
    """The batch as arguments. `real`: the dtype that floating-point arrays take; None: their own. `called`: as of
    `Described`.

    Raises:
        ArgumentError: no batch. ArgumentTypeError: something that is none.
    """
    if batch is None:
        remedy = "Give a batch: an array, a tuple, a dict of keyword arguments, or a shape such as (32, 32, 32, 3)."
        raise ArgumentError(f"batch: the input of {kind} cannot be told. {remedy}")
    return arguments_of(batch, jax.Array, lambda array, dtype: _array(array, dtype, real), called)


def _array(array: Any, dtype: str | None, real: Any) -> jax.Array:
    found = jnp.asarray(array, None if dtype is None else jax.dtypes.canonicalize_dtype(dtype))
    return found.astype(real) if real is not None and jnp.issubdtype(found.dtype, jnp.floating) else found


def pure(model: Described, batch: object) -> Pure:
    """One call as a pure function, in which operations carry the path of their module, if the style knows modules.

    Raises:
        What `arguments` raises.
    """
    kinds = (jnp.dtype(slot.array.dtype) for slot in model.slots if slot.parameter)
    real = next((kind for kind in kinds if jnp.issubdtype(kind, jnp.floating)), None)
    given = arguments(model.kind, batch, real, model.called)
    leaves, structure = jax.tree.flatten((given.args, given.kwargs))

    def function(values: tuple[Any, ...], arrays: tuple[Any, ...]) -> Any:
        rest = iter(arrays)
        called = [next(rest) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        return model.function(values, *jax.tree.unflatten(structure, called))

    arrays = tuple(leaf for leaf in leaves if isinstance(leaf, jax.Array))
    return Pure(function, model, tuple(slot.array for slot in model.slots), arrays, given)
