"""Which group of an optimizer each array of a JAX model belongs to."""

from collections.abc import Iterable, Mapping
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError
from wellbegun.jax.styles import described, in_place


def labels(model: Any, groups: Iterable[Mapping[str, Any]]) -> Any:
    """The model with the name of its group in place of every parameter, and "none" in place of all that is in none: the
    labels that `optax.multi_transform` asks for, where the model is a tree or holds one.

    Args:
        model: As for `wellbegun.plan`, but no module of Flax nnx, whose variables would be written into.
        groups: What `Plan.param_groups` gave without parameters: each with its names, and a "name".
    Raises:
        ArgumentError: a module of nnx (label `nnx.split(module)`'s state as (function, state)).

    >>> from jax import numpy as jnp
    >>> params = {"first": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
    >>> labels((lambda params, x: x, params), [{"name": "slow", "params": ["first.weight"]}])[1]["first"]
    {'bias': 'none', 'kernel': 'slow'}
    """
    if in_place(model):
        remedy = "Give (function, state) with the state of nnx.split."
        raise ArgumentError(message("labels", "model", "a tree of arrays", type(model).__name__, remedy))
    known = described(model)
    of = {name: str(group["name"]) for group in groups for name in group["params"]}
    parameters = known.parameters
    first = {name: parameter.tied_to or name for name, parameter in parameters.items()}
    return known.put({slot.name: of.get(first.get(slot.name, slot.name), "none") for slot in known.slots})
