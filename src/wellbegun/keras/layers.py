"""Layers by their paths, and their variables by canonical name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import Parameter

_WEIGHTS = frozenset({"kernel", "embeddings", "gamma", "scale", "alpha"})  # what Keras's layers call their weight
_BIASES = frozenset({"bias", "beta"})


class Slot(NamedTuple):
    """A variable at one place in a model; a shared one has several."""

    name: str
    attribute: str  # what its layer calls it
    variable: Any
    layer: Any
    trained: bool  # a parameter: not a moving statistic or the state of a generator; a frozen one is still one


def layers_of(model: Any) -> dict[str, Any]:
    """Every layer by its path, "" for the model itself: layers within layers follow them. A shared one has several.

    Layers go by the name that they were given. One that Keras named goes by the attribute that holds it, or by its
    class and a number that counts within what holds it, so a model that is built twice has the same names.
    """
    found: dict[str, Any] = {}

    def enter(layer: Any, path: str, above: tuple[Any, ...]) -> None:
        found[path] = layer
        for name, child in children_of(layer):
            if not any(child is one for one in (*above, layer)):
                enter(child, f"{path}.{name}" if path else name, (*above, layer))

    enter(model, "", ())
    return found


def children_of(layer: Any) -> Iterator[tuple[str, Any]]:
    """The layers that a layer holds, by their names in it."""
    held, taken = _attributes(layer), set[str]()
    for child in layer._flatten_layers(include_self=False, recursive=False):
        if isinstance(child, keras.layers.InputLayer):
            continue
        automatic = _snake(type(child).__name__)
        given = re.fullmatch(rf"(forward_|backward_)?{re.escape(automatic)}(_\d+)?", child.name) is None
        name = child.name if given else held.get(id(child), automatic)
        number, free = 0, name
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        yield free, child


def _attributes(layer: Any) -> dict[int, str]:
    """id of what an attribute holds, directly or in lists and dicts -> its path."""
    found: dict[int, str] = {}

    def enter(value: Any, path: str) -> None:
        if isinstance(value, (keras.Layer, keras.Variable)):
            found.setdefault(id(value), path)
        elif isinstance(value, (list, tuple)):
            for place, item in enumerate(value):
                enter(item, f"{path}.{place}")
        elif isinstance(value, Mapping):
            for key, item in value.items():
                enter(item, f"{path}.{key}")

    held = {**vars(layer), **vars(layer).get("_modules", {})}  # where a backend keeps layers apart
    for name, value in held.items():
        if not name.startswith("_") or isinstance(value, (keras.Layer, keras.Variable)):
            enter(value, name.lstrip("_"))
    return found


def _snake(name: str) -> str:
    """How Keras names a layer after its class."""
    name = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def host(array: Any) -> Array:
    """All entries of a variable, or of a tensor of any backend."""
    held: Any = array.value if isinstance(array, keras.Variable) else array
    plain = hasattr(held, "detach") and keras.backend.standardize_dtype(held.dtype) != "bfloat16"
    # torch's own way, where there is one: NumPy warns of that of Keras
    found: Array = held.detach().cpu().numpy() if plain else np.asarray(keras.ops.convert_to_numpy(held))
    return found


def own(layer: Any) -> bool:
    """Whether it is a layer of Keras's own."""
    return type(layer).__module__.split(".")[0] == "keras"


def slots_of(model: Any) -> Iterator[Slot]:
    """Every variable at every place, in the order in which layers made them."""
    for path, layer in layers_of(model).items():
        held = _attributes(layer)
        trained = {id(variable) for variable in layer._trainable_variables}
        variables = [*layer._trainable_variables, *layer._non_trainable_variables]
        names = [held.get(id(v), v.name) if re.fullmatch(r"variable(_\d+)?", v.name) else v.name for v in variables]
        for name, variable in zip(names, variables, strict=True):
            last = _last(name, names) if own(layer) else name
            yield Slot(f"{path}.{last}" if path else last, name, variable, layer, id(variable) in trained)


def _last(name: str, names: list[str]) -> str:
    for kinds, canonical in ((_WEIGHTS, "weight"), (_BIASES, "bias")):
        if [one for one in names if one in kinds] == [name]:
            return canonical
    return name


def parameters_of(model: Any) -> dict[str, Parameter]:
    """Parameters by name; the further names of a shared one are tied to its first."""
    first: dict[int, str] = {}
    found: dict[str, Parameter] = {}
    for slot in slots_of(model):
        if slot.trained:
            name = first.setdefault(id(slot.variable), slot.name)
            found[slot.name] = _parameter(slot, None if name == slot.name else name)
    return found


def _parameter(slot: Slot, tied: str | None) -> Parameter:
    kinds = [kind for kind in type(slot.layer).__mro__ if issubclass(kind, keras.Layer) and kind is not keras.Layer]
    layer = next((kind.__name__ for kind in kinds if kind.__module__.startswith("keras.")), "")
    variable = slot.variable
    known = tuple(variable.shape), str(variable.dtype), bool(variable.trainable), tied
    owners = tuple(kind.__name__ for kind in kinds)
    return Parameter(slot.name, *known, owners, layer=layer, unasked=_unasked(slot))


def _unasked(slot: Slot) -> bool:
    """Whether values are the open forget gate that a layer of Keras's own writes."""
    if slot.attribute != "bias" or not getattr(slot.layer, "unit_forget_bias", False):
        return False
    gates = host(slot.variable).reshape(4, -1)
    return bool((gates == np.array([[0], [1], [0], [0]])).all())
