"""A built model back to fresh values, without building it again."""

from typing import Any, SupportsIndex

from wellbegun._arguments import seed_of
from wellbegun.api.models import apply, plan
from wellbegun.backend import find
from wellbegun.errors import ArgumentError
from wellbegun.streams import fresh_seed


def reset(model: Any, batch: Any = None, *, seed: SupportsIndex | None = None) -> Any:
    """Give a built model the kind of values that its framework's constructors gave it, from a seed.

    Weights and biases are drawn by the laws of the layers' own defaults (recipe `torch@1` for PyTorch and Equinox,
    `flax@1` for Flax nnx), on the streams of wellbegun: the same values on every device. Modules of Flax linen and
    functions of Haiku run their own `init`, and Keras layers their own initializers (`wellbegun.keras.reset`), so that
    what was chosen there holds too. Statistics of normalizations begin anew. For values that fit the model, use
    `initialize`.

    Args:
        model: Of any framework; of JAX any but a function and its tree, which has no layers.
        batch: As for `plan`.
        seed: Integer in [0, 2**64); None draws one.
    Returns:
        The model: the same object for PyTorch, Keras and nnx; another one for all others, whose values stay.
    Raises:
        ArgumentError: a parameter that no layer of the framework holds, which has no value to go back to, or a model
        without layers. The model is then as it was. What `plan` raises.
    Cost: as `plan` and `apply`.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    >>> before = reset(model, (8, 4), seed=1)[0].weight.clone()
    >>> bool((before.abs() <= 4**-0.5).all()), bool((reset(model, (8, 4), seed=1)[0].weight == before).all())
    (True, True)
    """
    number, backend = fresh_seed() if seed is None else seed_of("reset", seed), find(model)
    recipe = backend.constructed(model)
    if not recipe:
        return backend.renewed(model, batch, number)
    decided = plan(model, batch, recipe=recipe, intent="overwrite", seed=number)
    kept = [entry for entry in decided.entries if entry.action == "keep" and entry.shape.count(0) == 0]
    if kept:
        remedy = "Use wb.initialize, with a rule for it."
        raise ArgumentError(f"reset: {kept[0].name!r} has no value to go back to ({kept[0].reason}). {remedy}")
    return apply(backend.renewed(model, batch, number), decided).model
