"""Parameters of a model by name: which names are the same memory, and which tensors are computed from others."""

from dataclasses import replace

import torch

from wellbegun.backend import View, holders
from wellbegun.errors import TraceError
from wellbegun.graph import Parameter, axes
from wellbegun.torch.parametrize import Computed, computed_of
from wellbegun.torch.trace.tensors import array_of, storage_of

_Owners = dict[str, tuple[tuple[str, ...], str]]  # path of a module -> its classes, and the framework layer it is


def parameters_of(model: torch.nn.Module) -> tuple[dict[str, Parameter], dict[int, axes.Derived]]:
    """Parameters by name (tied names point to one of them), and what each tensor is, by its identity."""
    named = list(model.named_parameters(remove_duplicate=False))
    for name, tensor in named:
        if isinstance(tensor, torch.nn.parameter.UninitializedParameter):
            remedy = "Call initialize, which runs the batch first, or run the model once on a batch yourself."
            raise TraceError(f"model: parameter {name!r} is lazy and has no shape yet. {remedy}")
    tensors = dict(named)
    canonical = holders({name: _view(tensor) for name, tensor in named})
    owners = {path: (_classes(module), _layer(module)) for path, module in model.named_modules(remove_duplicate=False)}
    computed = {name: found for found in computed_of(model) for name in found.originals}
    found: dict[str, Parameter] = {}
    known: dict[int, axes.Derived] = {}
    for name, tensor in named:
        first = canonical[name]
        parameter = _parameter(name, tensor, owners)
        if (above := computed.get(first)) is not None:
            found.setdefault(above.name, _visible(above, owners))
            parameter = replace(parameter, tied_to=above.name, set_by=above.name)
        elif first != name:
            parameter = replace(parameter, tied_to=first)
        found[name] = parameter
        whole = axes.of_parameter(first, array_of(tensors[first]))
        known[id(tensor)] = whole if tensors[first] is tensor else axes.view(whole, array_of(tensor))
    return found, known


def _parameter(name: str, tensor: torch.Tensor, owners: _Owners) -> Parameter:
    dtype = str(tensor.dtype).removeprefix("torch.")
    path = name.rpartition(".")[0]
    classes, layer = owners.get(path, ((), ""))
    shape, held = tuple(tensor.shape), not tensor.is_meta
    return Parameter(name, shape, dtype, tensor.requires_grad, None, classes, held=held, layer=layer)


def _visible(computed: Computed, owners: _Owners) -> Parameter:
    """The tensor that a module computes, as if it were a parameter of that module."""
    found = _parameter(computed.name, computed.like(), owners)
    return replace(found, trainable=any(target.requires_grad for target in computed.targets()))


def _classes(module: torch.nn.Module) -> tuple[str, ...]:
    """Names of the class of a module and of those it inherits from, up to torch.nn.Module."""
    bases = (base for base in type(module).__mro__[1:] if issubclass(base, torch.nn.Module))
    return (type(module).__name__, *(base.__name__ for base in bases if base is not torch.nn.Module))


def _layer(module: torch.nn.Module) -> str:
    """The framework's own class that a module is; "" for modules of the user's own."""
    kinds = [kind for kind in type(module).__mro__ if kind.__module__.startswith("torch.nn.modules.")]
    return kinds[0].__name__ if kinds and kinds[0] is not torch.nn.Module else ""


def _view(tensor: torch.Tensor) -> View:
    """Where a tensor lies; one without entries shares them with no other."""
    array, memory = array_of(tensor), storage_of(tensor) if tensor.numel() else -id(tensor)
    offset = 0 if array.strides is None else int(tensor.storage_offset())
    return View(memory, offset, array.shape, array.strides or (), str(tensor.dtype))
