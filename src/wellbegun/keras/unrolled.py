"""Recurrent layers around cells of any kind: their steps are written down one by one, as a loop by hand would be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from wellbegun.backend import FIRST, SHORT
from wellbegun.keras.layers import layers_of

_LAYERS = keras.layers
KNOWN: tuple[type[Any], ...] = (  # as a whole
    _LAYERS.LSTM, _LAYERS.GRU, _LAYERS.SimpleRNN, _LAYERS.ConvLSTM1D, _LAYERS.ConvLSTM2D, _LAYERS.ConvLSTM3D,
)  # fmt: skip
Rest = Callable[[Callable[..., Any], tuple[Any, ...], Any], Any]  # a function, arguments, what it gives: one operation


def of_cells(layer: Any) -> bool:
    """Whether it runs over a cell, and is none of the layers that are known as a whole."""
    return isinstance(layer, _LAYERS.RNN) and not isinstance(layer, KNOWN)


@contextmanager
def unrolled(layer: Any, rest: Rest) -> Iterator[None]:
    """Meanwhile, the layer writes its steps down; of long sequences the first ones, and all others by `rest`. Nothing
    is dropped out."""
    inside = [each for each in layers_of(layer).values() if hasattr(each, "recurrent_dropout")]
    names = ("dropout", "recurrent_dropout", "implementation")  # one product of all gates, as without dropout
    kept = [(vars(each), name, vars(each)[name]) for each in inside for name in names if name in vars(each)]
    dropping, own = any(value for _, name, value in kept if "dropout" in name), layer.inner_loop
    for held, name, _ in kept:
        held[name] = 2 if name == "implementation" else 0.0
    last = partial(own, training=False) if dropping else own
    vars(layer)["inner_loop"] = lambda **given: _steps(layer, last, rest, **given)
    try:
        yield
    finally:
        del vars(layer)["inner_loop"]
        for held, name, value in kept:
            held[name] = value


def _steps(layer: Any, own: Any, rest: Rest, sequences: Any, initial_state: Any, mask: Any, training: Any) -> Any:
    output: Any = None
    length, states = sequences.shape[1], list(initial_state)
    order = list(reversed(range(length)) if layer.go_backwards else range(length))
    cell, outputs = layer.cell, []
    mode = {"training": training} if getattr(cell, "_call_has_training_arg", False) else {}
    first = order if length <= SHORT else order[:FIRST]
    for step in first:
        made, new = cell(sequences[:, step], states, **mode)
        new = list(new) if keras.tree.is_nested(new) else [new]
        if mask is not None:
            seen = mask[:, step]
            before = keras.ops.zeros_like(made) if output is None or layer.zero_output_for_mask else output
            made, new = _where(seen, made, before), keras.tree.map_structure(partial(_where, seen), new, states)
        output, states = made, new
        outputs.append(output)
    if len(first) == length:
        return output, keras.ops.stack(outputs, axis=1), states
    if mask is not None:
        raise NotImplementedError("what a masked step repeats is not handed on")
    left = slice(0, length - FIRST) if layer.go_backwards else slice(FIRST, length)
    part = sequences[:, left]
    several = keras.KerasTensor((*output.shape[:1], length - FIRST, *output.shape[1:]), dtype=output.dtype)
    given = keras.tree.map_structure(lambda x: keras.KerasTensor(x.shape, dtype=x.dtype), (output, several, states))

    asked = {} if isinstance(own, partial) else {"training": training}

    def run(part: Any, states: Any) -> Any:
        last, several, states = own(sequences=part, initial_state=states, mask=None, **asked)
        several = several if layer.return_sequences else keras.ops.repeat(last[:, None], length - FIRST, axis=1)
        return last, several, states

    last, several, states = rest(run, (part, states), given)
    whole = keras.ops.concatenate([keras.ops.stack(outputs, axis=1), several], axis=1)
    return last, whole, states


def _where(seen: Any, new: Any, old: Any) -> Any:
    return keras.ops.where(keras.ops.reshape(seen, (-1, *[1] * (len(new.shape) - 1))), new, old)
