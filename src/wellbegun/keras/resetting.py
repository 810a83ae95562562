"""A built model back to fresh values, as its own initializers have them."""

import random
from collections.abc import Iterator
from types import FunctionType
from typing import Any, SupportsIndex

import keras

from wellbegun._arguments import message, seed_of, told
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.keras.framework import KerasBackend
from wellbegun.keras.initializers import DRAWN
from wellbegun.keras.layers import children_of, own
from wellbegun.keras.training import KerasTrainer
from wellbegun.streams import fresh_seed


def reset(model: Any, seed: SupportsIndex | None = None) -> Any:
    """Give every variable of a built model a fresh first value, without building it again.

    Layers start as their own initializers have it (`kernel_initializer=` and the like): weights and biases, moving
    statistics, states of random generators, and what an optimizer keeps. What is random is drawn by
    `wellbegun.keras.initializers`, from seeds that `seed` decides, so it gives the same values on every backend, also
    where an initializer has a seed of its own. For values that fit the model, use `wellbegun.initialize` instead.

    Args:
        model: A built Keras model or layer.
        seed: Integer in [0, 2**64); None draws one.
    Returns:
        The model.
    Raises:
        ArgumentTypeError: no Keras model. ArgumentError: it is not built, or a layer of the user's own holds variables
        and cannot be made again from its `get_config()`. The model is then as it was.

    >>> import keras
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    >>> before = reset(model, seed=1).get_weights()
    >>> model.set_weights([values + 1 for values in before])
    >>> bool((reset(model, seed=1).get_weights()[0] == before[0]).all())
    True
    """
    if not isinstance(model, keras.Layer):
        raise ArgumentTypeError(message("reset", "model", "a keras.Model or keras.Layer", type(model).__name__))
    number = fresh_seed() if seed is None else seed_of("reset", seed)
    with KerasBackend().undone(model), KerasTrainer().seeded(number):  # functions may draw from Keras's own generator
        random.seed(number)  # which Keras draws seeds from
        for variable, fresh in list(_fresh(model, "")):
            variable.assign(fresh)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and optimizer.built:
            other = type(optimizer).from_config(optimizer.get_config())
            other.build(
                getattr(optimizer, "_trainable_variables", model.trainable_variables)
            )  # some may be frozen since
            for variable, fresh in zip(optimizer.variables, other.variables, strict=True):
                variable.assign(fresh)
    return model


def _fresh(layer: Any, path: str) -> Iterator[tuple[Any, Any]]:
    """Every variable with a value to start from: of a layer that is made again, or of the layers in it."""
    if not layer.built:
        raise ArgumentError(f"reset: {path or type(layer).__name__!r} is not built. Call the model on a batch first.")
    if not layer.variables:
        return
    alone = layer._trainable_variables or layer._non_trainable_variables
    if not alone and (isinstance(layer, keras.Model) or not own(layer)):
        for name, child in children_of(layer):
            yield from _fresh(child, f"{path}.{name}" if path else name)
        return
    try:
        own_functions = {each.__name__: each for each in vars(layer).values() if isinstance(each, FunctionType)}
        with keras.saving.custom_object_scope(own_functions):
            other = type(layer).from_config(_seeded(layer.get_config()))
        other.build_from_config(layer.get_build_config() or {})
        pairs = list(zip(layer.variables, other.variables, strict=True))
        fits = all(tuple(old.shape) == tuple(new.shape) for old, new in pairs)
    except Exception as error:  # whatever a layer of the user's raises: it is told, and the cause is kept
        raise ArgumentError(f"reset: {path or type(layer).__name__!r} cannot be made again: {told(error)}") from error
    if not fits:
        raise ArgumentError(f"reset: {path or type(layer).__name__!r} makes variables of other shapes when made again.")
    yield from ((old, new.value) for old, new in pairs)


def _seeded(config: Any) -> Any:
    """A layer's config with our initializers in the place of Keras's, which draw a seed for each use."""
    if isinstance(config, dict):
        if config.get("class_name") in DRAWN and isinstance(config.get("config"), dict):
            return keras.saving.serialize_keras_object(DRAWN[config["class_name"]](**config["config"] | {"seed": None}))
        return {key: _seeded(value) for key, value in config.items()}
    return [_seeded(value) for value in config] if isinstance(config, list) else config
