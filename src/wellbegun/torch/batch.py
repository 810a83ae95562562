"""Batches: what the user gives, what a shape means, and where it has to live."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wellbegun.errors import ArgumentError, ModelError, TraceError
from wellbegun.inputs import InputSpec, arguments_of
from wellbegun.torch.huggingface import inputs_of

Batch = Any  # tensor, array, InputSpec, tuple or list of them, or dict of keyword arguments


@dataclass(frozen=True)
class Call:
    """Positional and keyword arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def tensors(self) -> list[torch.Tensor]:
        """Every tensor in it, in order."""
        return _leaves([*self.args, *self.kwargs.values()])

    def map(self, function: Any) -> "Call":
        """The same call with `function` applied to every tensor."""
        mapped = _map(self.args, function)
        return Call(tuple(mapped), {key: _map(value, function) for key, value in self.kwargs.items()})


def call_of(batch: Batch, model: torch.nn.Module) -> Call:
    """Arguments for model(...): a dict is keyword arguments, a tuple or list positional ones.

    Raises:
        ArgumentTypeError: something that is no batch. ArgumentError: None for a model whose input cannot be told.
    """
    if batch is None:
        batch = _guess(model)
    return Call(*arguments_of(batch, torch.Tensor, _tensor))


def _tensor(array: Any, dtype: str | None) -> torch.Tensor:
    if isinstance(array, torch.Tensor):
        return array.detach()
    found = torch.from_numpy(np.array(array))
    return found if dtype is None else found.to(getattr(torch, dtype))


def _guess(model: torch.nn.Module) -> Batch:
    """Input of a model whose config tells its shape, or its first layer: linear, a lookup table or recurrent."""
    if (named := inputs_of(model)) is not None:
        return {
            key: InputSpec(shape, "float32" if high is None else "int64", high) for key, (shape, high) in named.items()
        }
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


def place(call: Call, model: torch.nn.Module) -> Call:
    """The batch where the model lives: its device, and its dtype for floating-point inputs."""
    first = next(iter(model.parameters()), None)
    if first is None:
        raise ModelError(f"model: {type(model).__name__} has no parameters, so there is nothing to initialize.")
    real = next((p.dtype for p in model.parameters() if p.dtype.is_floating_point), None)

    def move(tensor: torch.Tensor) -> torch.Tensor:
        dtype = real if real is not None and tensor.dtype.is_floating_point else tensor.dtype
        return tensor.to(first.device, dtype)

    return call.map(move)


def _like(node: Any, items: list[Any]) -> Any:
    """A tuple, list or named tuple of the same type with other items."""
    return type(node)(*items) if hasattr(node, "_fields") else type(node)(items)


def _map(node: Any, function: Any) -> Any:
    if isinstance(node, torch.Tensor):
        return function(node)
    if isinstance(node, (tuple, list)):
        return _like(node, [_map(item, function) for item in node])
    if isinstance(node, Mapping):
        return {key: _map(item, function) for key, item in node.items()}
    return node


def _leaves(node: Any) -> list[torch.Tensor]:
    if isinstance(node, torch.Tensor):
        return [node]
    if isinstance(node, (tuple, list)):
        return [tensor for item in node for tensor in _leaves(item)]
    if isinstance(node, Mapping):
        return [tensor for item in node.values() for tensor in _leaves(item)]
    if hasattr(node, "__dataclass_fields__"):
        return [tensor for key in node.__dataclass_fields__ for tensor in _leaves(getattr(node, key))]
    if isinstance(node, torch.distributions.Distribution):
        return [tensor for key in node.arg_constraints for tensor in _leaves(vars(node).get(key))]
    return []


def outputs_of(result: Any) -> list[torch.Tensor]:
    """Tensors in whatever a model returned: tensor, tuple, dict, dataclass or distribution."""
    return _leaves(result)


def main_output(result: Any) -> torch.Tensor:
    """The tensor a loss is taken of: the logits, or the first floating-point output."""
    logits = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
    if isinstance(logits, torch.Tensor):
        return logits
    for tensor in outputs_of(result):
        if tensor.is_floating_point() or tensor.is_complex():
            return tensor
    raise TraceError("check: the model returns no floating-point tensor, so there is nothing to take a loss of.")
