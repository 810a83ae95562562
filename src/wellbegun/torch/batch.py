"""Batches: what the user gives, what a shape means, and where it has to live."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch.distributions import Distribution

from wellbegun._arguments import guarded, message
from wellbegun.backend import called, main_of
from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError, TraceError
from wellbegun.huggingface import inputs_of
from wellbegun.inputs import Call, InputSpec, arguments_of, arrays_in, holds_data, parts_of
from wellbegun.torch.compat import tensors
from wellbegun.torch.names import inner

Batch = Any  # tensor, array, InputSpec, tuple or list of them, or dict of keyword arguments


def call_of(batch: Batch, model: torch.nn.Module) -> Call:
    """Arguments for model(...), where the model lives: on its device, and floating-point inputs in its dtype.

    Raises:
        ArgumentTypeError: something that is no batch. ArgumentError: None for a model whose input cannot be told.
        ModelError: no parameters.
    """
    with guarded("batch", batch):  # one that holds itself, or whose attributes cannot be read
        made = batch is None or not holds_data(batch)
        taken = _guess(model) if batch is None else batch
        given = arguments_of(taken, torch.Tensor, _tensor, inner(model).forward)
    held = tensors(model)
    if not held:
        raise ModelError(f"model: {type(model).__name__} has no parameters, so there is nothing to initialize.")
    types = Counter([p.dtype for p in held if p.dtype.is_floating_point])
    real = types.most_common(1)[0][0] if types and (made or len(types) == 1) else None

    if given.made:
        kind, teller = str(real).removeprefix("torch."), "first layer" if isinstance(taken, InputSpec) else "config"
        told = f": the {teller} tells the shape" if batch is None else ""
        made_up = tuple(re.sub(r"\bb?float\d+", kind, text) + told for text in given.made)
        said = tuple(f"{text}." for text in made_up) if batch is None else ()  # to plans, too
        given = replace(given, made=made_up, notes=(*given.notes, *said))

    def move(tensor: torch.Tensor) -> torch.Tensor:
        dtype = real if real is not None and tensor.dtype.is_floating_point else tensor.dtype
        return tensor.to(held[0].device, dtype)

    cast = [t.dtype for t in given.arrays(torch.Tensor) if real is not None and t.dtype.is_floating_point]
    with guarded("batch", batch):
        found = given.map(torch.Tensor, move)
    other = {dtype for dtype in cast if dtype != real}
    if made or not other:
        return found
    named = ", ".join(sorted(str(dtype) for dtype in other))
    cast_to = f"Inputs of {named} are given to the model as {real}, the dtype of all its parameters."
    return replace(found, notes=(*found.notes, cast_to))


def _tensor(array: Any, dtype: str | None) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        return array.detach()
    try:
        found = torch.from_numpy(np.array(array))
    except (TypeError, ValueError) as error:
        allowed = "of numbers or booleans that torch has, in the byte order of this machine"
        raise ArgumentTypeError(message("batch", "array", allowed, str(array.dtype))) from error
    return found if dtype is None else found.to(getattr(torch, dtype))


def _guess(model: torch.nn.Module) -> Batch:
    """Input of a model whose config tells its shape, or its first layer: linear, a lookup table or recurrent."""
    if (named := inputs_of(model)) is not None:
        return named
    for module in model.modules():
        if isinstance(module, torch.nn.modules.lazy.LazyModuleMixin):
            break  # its input is what a batch has to say
        if isinstance(module, torch.nn.Linear):
            return InputSpec((4, module.in_features))
        if isinstance(module, torch.nn.Embedding):
            return InputSpec((4, 8), "int64", module.num_embeddings)
        if isinstance(module, (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN)):
            return InputSpec((4, 8, module.input_size) if module.batch_first else (8, 4, module.input_size))
        if next(module.children(), None) is None:
            break
    remedy = "Give a batch: a tensor, a tuple, a dict of keyword arguments, or a shape such as (32, 3, 32, 32)."
    raise ArgumentError(f"batch: the input of {type(model).__name__} cannot be told from its first layer. {remedy}")


def outputs_of(result: Any) -> list[torch.Tensor]:
    """Tensors in whatever a model returned: tensor, tuple, dict, dataclass, distribution, or an object of any class."""
    return arrays_in(result, torch.Tensor, _parameters) or arrays_in(result, torch.Tensor, parts_of)


def _parameters(node: object) -> list[object]:
    """Of a distribution, and of those that it is made of."""
    if not isinstance(node, Distribution):
        return []
    made_of = [part for part in vars(node).values() if isinstance(part, Distribution)]
    return [*(vars(node).get(key) for key in node.arg_constraints), *made_of]


def real_outputs(result: Any) -> list[torch.Tensor]:
    """What losses may be taken of: floating-point and complex tensors, and logits that only an attribute gives."""
    logits = called(result, "logits")
    tensors = [*outputs_of(result), *([logits] if isinstance(logits, torch.Tensor) else [])]
    real = [one for one in dict.fromkeys(tensors) if one.is_floating_point() or one.is_complex()]
    if not real:
        raise TraceError("check: the model returns no floating-point tensor, so there is nothing to take a loss of.")
    return real


def main_output(result: Any) -> torch.Tensor:
    """The tensor a loss is taken of."""
    return cast(torch.Tensor, main_of(result, real_outputs(result), lambda one: one.requires_grad))
