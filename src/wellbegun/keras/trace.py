"""A Keras model and a batch -> the graph of one forward pass, as it is trained: nothing is computed."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np

from wellbegun._arguments import told
from wellbegun.backend import Asked, Program, Traced, Value, number_of, read, recorded, values_in
from wellbegun.errors import ArgumentError, ModelError, TraceError
from wellbegun.graph.build import Builder
from wellbegun.graph.provenance import Fixed, Known, Signal
from wellbegun.inputs import Call, InputSpec, arguments_of
from wellbegun.keras.facts import MOVES, computed, fact_of, steps_of
from wellbegun.keras.layers import host, layers_of, parameters_of, slots_of
from wellbegun.keras.program import program_of
from wellbegun.keras.symbols import Recorded, forgotten


class _Written(NamedTuple):
    """What was written down of a call."""

    program: Program
    result: Any  # what it returned
    flat: list[Any]  # all in it, with a value of the program for each tensor
    state: list[tuple[Any, Value]]  # variables
    arrays: list[Any]
    made: tuple[str, ...]


def traced(model: Any, batch: object) -> Traced:
    """The graph and its program; nothing is computed, and nothing about the model changes but that it is built.

    Raises:
        TraceError: the forward pass failed. ArgumentError: no batch. ModelError: no parameters.
    """
    call = built(model, batch)
    whole = _written(model, call)
    program, parameters = whole.program, parameters_of(model)
    held = [*(variable.value for variable, _ in whole.state), *whole.arrays]
    start = {value.number: array for value, array in zip(program.inputs, held, strict=True)}
    builder = Builder(parameters, channels_last=keras.config.image_data_format() == "channels_last")
    names = {id(slot.variable): parameters[slot.name].tied_to or slot.name for slot in slots_of(model) if slot.trained}
    known: dict[int, Known] = {number: _constant(array) for number, array in {**start, **program.constants}.items()}
    own = {names[id(variable)]: value for variable, value in whole.state if id(variable) in names}
    known.update((value.number, builder.parameter(name, value.array)) for name, value in own.items())
    known.update((value.number, builder.batch(value.array)) for value in program.inputs[len(whole.state) :])
    steps = ((step, fact_of(step), Asked(step, computed, MOVES)) for step in steps_of(program, layers_of(model)))
    shown = tuple(recorded(builder, steps, known))
    graph = builder.graph(known[value.number] for value in values_in(program.outputs))
    values = {number: found.value for number, found in known.items() if isinstance(found, Signal)}

    def returned(known: Mapping[int, Any]) -> Any:
        return keras.tree.pack_sequence_as(whole.result, [read(known, one) for one in whole.flat])

    graph = replace(graph, notes=(*graph.notes, *call.notes))
    given = dict(zip(map(id, whole.arrays), program.inputs[len(whole.state) :], strict=True))
    targets = {name: given[id(one)] for name, one in call.targets(type(keras.ops.zeros(())), _taken(model)).items()}
    return Traced(graph, program, shown, values, own, start, returned, whole.made, call.beside, targets)


def _constant(array: Any) -> Known:
    """An array that depends on no batch; of one entry, with its value."""
    values = partial(host, array)
    single = host(array) if int(np.prod(array.shape)) == 1 else None
    return Fixed(None if single is None or np.iscomplexobj(single) else number_of(single), values=values)


# ---------------------------------------------------------------------- what comes in
def built(model: Any, batch: object) -> Call:
    """The arguments of a call, after which the model has its variables.

    Raises:
        ArgumentError: no batch, where the model does not say what it takes. ModelError: no parameters.
    """
    if batch is None:
        batch = _told(model)
    if batch is None:
        remedy = "Give a batch: an array, a tuple, a dict of keyword arguments, or a shape such as (32, 32, 32, 3)."
        raise ArgumentError(f"batch: the input of {type(model).__name__} cannot be told. {remedy}")
    tensor = type(keras.ops.zeros(()))
    call = arguments_of(batch, tensor, _array, _taken(model))
    if len(call.args) > 1 and isinstance(getattr(model, "_inputs_struct", None), (list, tuple)):
        call = replace(call, args=([*call.args],))
    if not all(layer.built for layer in layers_of(model).values()):
        with _failing(call), forgotten(layers_of(model).values()):
            _called(model, call.map(tensor, _symbol))
    if not parameters_of(model):
        raise ModelError(f"model: {type(model).__name__} has no parameters, so there is nothing to initialize.")
    return call


def _called(model: Any, call: Call) -> Any:
    """A call as in training, where the batch does not say otherwise."""
    training = {"training": True} if model._call_has_training_arg else {}
    return model(*call.args, **{**training, **call.kwargs})


def _written(model: Any, call: Call) -> _Written:
    tensor, symbolic = type(keras.ops.zeros(())), dict[int, Any]()
    arrays = call.arrays(tensor)
    given = call.map(tensor, lambda array: symbolic.setdefault(id(array), _symbol(array)))
    recorded = Recorded(model)
    with _failing(call), recorded.opened(), keras.StatelessScope():  # some layers draw, and count, at once
        variables = list({id(slot.variable): slot.variable for slot in slots_of(model)}.values())
        result = _called(model, given)
        leaves = [recorded.inner(one) for one in keras.tree.flatten(result)]
        outputs = [one for one in leaves if isinstance(one, keras.KerasTensor)]
        inputs = [*map(recorded.symbol, variables), *(symbolic[id(array)] for array in arrays)]
        program, values = program_of(recorded, inputs, len(variables), outputs)
    flat = [values[id(one)] if isinstance(one, keras.KerasTensor) else one for one in leaves]
    return _Written(program, result, flat, list(zip(variables, program.inputs, strict=False)), arrays, call.made)


@contextmanager
def _failing(call: Call) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a model raises: it is told with its place, and the cause is kept
        raise TraceError(call.failure(type(keras.ops.zeros(())), _cause(error))) from error


def _cause(error: Exception) -> str:
    """What Keras says of an error, without the frame that it puts around it."""
    key = isinstance(error, KeyError)  # which shows its text as Python writes it
    parts = re.sub(r"\x1b\[\d+m", "", str(error.args[0] if key and error.args else error)).split("\n\n")
    framed = ("Exception encountered when", "Arguments received", "Could not automatically infer")
    found = [part.strip() for part in parts if part.strip() and not part.startswith(framed)]
    return told(RuntimeError("KeyError: " * key + found[0])) if found and len(parts) > 1 else told(error)


def _symbol(array: Any) -> Any:
    return keras.KerasTensor(tuple(array.shape), dtype=keras.backend.standardize_dtype(array.dtype))


def _array(array: Any, dtype: str | None) -> Any:
    floating = dtype is None and isinstance(array, np.ndarray) and array.dtype == np.float64
    return keras.ops.convert_to_tensor(array, dtype=keras.config.floatx() if floating else dtype)


def _taken(model: Any) -> Callable[..., object]:
    """What a model takes: one structure, or several tensors one after the other, where it was made of symbols."""
    structure = getattr(model, "_inputs_struct", None)
    if structure is None and not isinstance(model, keras.Sequential):
        return model.call  # type: ignore[no-any-return]
    several = isinstance(structure, (list, tuple)) and len(structure) > 1
    return (lambda *inputs: inputs) if several else (lambda inputs: inputs)


def _told(model: Any) -> Any:
    """What a model that was made of symbols takes, made up."""
    try:
        structure = model.inputs if isinstance(model, keras.Sequential) else getattr(model, "_inputs_struct", None)
    except (AttributeError, ValueError):  # a Sequential that has no shape yet
        return None

    def made(tensor: Any) -> InputSpec:
        if None in tensor.shape[1:]:
            asked = f"of shape {tuple(tensor.shape)}. Give a batch: an array, or a shape such as (32, 32, 32, 3)."
            raise ArgumentError(f"batch: the model takes inputs {asked}")
        kind = keras.backend.standardize_dtype(tensor.dtype)
        return InputSpec((tensor.shape[0] or 32, *tensor.shape[1:]), kind, None if "float" in kind else 2)

    found = None if not structure else keras.tree.map_structure(made, structure)
    return tuple(found) if isinstance(found, list) else found
