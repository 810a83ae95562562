"""A model and a batch -> the graph of one forward pass, read from its jaxpr."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun._arguments import told
from wellbegun.backend import Asked, Program, Traced, Value, number_of, read, recorded, values_in
from wellbegun.errors import TraceError
from wellbegun.graph.build import Builder
from wellbegun.graph.provenance import Fixed, Known, Signal
from wellbegun.jax.call import Pure, pure
from wellbegun.jax.described import held_in
from wellbegun.jax.facts import computed, fact_of
from wellbegun.jax.jaxpr import channels_last, program_of
from wellbegun.jax.steps import MOVES, Told, steps_of
from wellbegun.jax.styles import described


def traced(model: Any, batch: object) -> Traced:
    """The graph and its program; nothing is computed, and nothing about the model changes.

    Raises:
        TraceError: the forward pass failed. What `described` and `pure` raise.
    """
    whole = pure(described(model, batch), batch)
    closed, shapes = _jaxpr(whole)
    program = program_of(closed, len(whole.state))
    held = (*whole.state, *whole.arrays)
    start = {value.number: array for value, array in zip(program.inputs, held, strict=True)}
    builder = Builder(whole.model.parameters, channels_last=channels_last(program))
    known, parameters, told_of = _known(builder, whole, program, start)
    steps = ((step, fact_of(step), Asked(step, computed, MOVES)) for step in steps_of(program, told_of))
    shown = tuple(recorded(builder, steps, known))
    graph = builder.graph(known[value.number] for value in values_in(program.outputs))
    values = {number: found.value for number, found in known.items() if isinstance(found, Signal)}
    unflatten = partial(jax.tree.unflatten, jax.tree.structure(shapes))

    def returned(known: Mapping[int, Any]) -> Any:
        return unflatten([read(known, operand) for operand in program.outputs])

    call, given = whole.call, dict(zip(map(id, whole.arrays), program.inputs[len(whole.state) :], strict=True))
    targets = {name: given[id(one)] for name, one in call.targets(jax.Array, whole.model.called).items()}
    graph = replace(graph, notes=(*graph.notes, *call.notes))
    return Traced(graph, program, shown, values, parameters, start, returned, call.made, call.beside, targets)


def _jaxpr(whole: Pure) -> tuple[Any, Any]:
    try:
        return jax.make_jaxpr(whole.function, return_shape=True)(whole.state, whole.arrays)
    except Exception as error:  # whatever a model raises: it is told with its place, and the cause is kept
        traced = isinstance(error, (jax.errors.JAXTypeError, jax.errors.JAXIndexError))
        by = " What depends on values is written with jnp.where or jax.lax.cond, as for jax.jit." if traced else ""
        raise TraceError(whole.call.failure(jax.Array, f"{told(error)}{by}")) from error


def _known(
    builder: Builder, whole: Pure, program: Program, start: Mapping[int, Any]
) -> tuple[dict[int, Known], dict[str, Value], Told]:
    """What is known of the values that a program starts from; parameters by their first names, and what modules say."""
    held = {**{number: start[number] for number in start if number not in program.signals}, **program.constants}
    known: dict[int, Known] = {number: _constant(array) for number, array in held.items()}
    parameters: dict[str, Value] = {}
    names: dict[int, str] = {}
    for value, slot in zip(program.inputs, whole.model.slots, strict=False):
        if slot.parameter:
            first = builder.parameters[slot.name].tied_to or slot.name
            known[value.number] = builder.parameter(first, value.array)
            parameters[first], names[value.number] = value, slot.name
    known.update((value.number, builder.batch(value.array)) for value in program.inputs[len(whole.state) :])
    return known, parameters, Told(whole.model.layers, names, whole.model.owned)


def _constant(array: Any) -> Known:
    """An array that depends on no batch; of one entry, with its value."""
    held = _held(array) if getattr(array, "size", 0) == 1 else None
    return Fixed(None if held is None or np.iscomplexobj(held) else number_of(held), values=partial(_held, array))


def _held(array: Any) -> Any:
    """An array that exists, and is no key of random numbers."""
    whole = (
        isinstance(array, (jax.Array, np.ndarray))
        and held_in(array)
        and not jnp.issubdtype(array.dtype, jax.dtypes.prng_key)
    )
    return np.asarray(array) if whole else None
