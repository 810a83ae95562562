"""Parameters of a model by name: which names are the same memory, and which tensors are computed from others."""

from collections.abc import Iterable
from dataclasses import replace

import torch

from wellbegun.errors import TraceError
from wellbegun.graph import Parameter, axes
from wellbegun.torch.parametrize import Computed, computed_of
from wellbegun.torch.trace.tensors import array_of, storage_of

_Named = list[tuple[str, torch.Tensor]]
_Owners = dict[str, tuple[tuple[str, ...], str]]  # path of a module -> its classes, and the framework layer it is


def parameters_of(model: torch.nn.Module) -> tuple[dict[str, Parameter], dict[int, axes.Derived]]:
    """Parameters by name (tied names point to one of them), and what each tensor is, by its identity."""
    named: _Named = list(model.named_parameters(remove_duplicate=False))
    for name, tensor in named:
        if isinstance(tensor, torch.nn.parameter.UninitializedParameter):
            remedy = "Call initialize, which runs the batch first, or run the model once on a batch yourself."
            raise TraceError(f"model: parameter {name!r} is lazy and has no shape yet. {remedy}")
    canonical, tensors = _canonical(named), dict(named)
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


# ---------------------------------------------------------------------- one memory, several names
def _canonical(named: _Named) -> dict[str, str]:
    """Name -> the name that is filled: itself, or the first name of the memory that holds this tensor."""
    groups: dict[int, _Named] = {}
    for name, tensor in named:
        groups.setdefault(storage_of(tensor) if tensor.numel() else -id(tensor), []).append((name, tensor))
    found: dict[str, str] = {}
    for group in groups.values():
        found.update(_holders(group) if len(group) > 1 else {group[0][0]: group[0][0]})
    return found


def _holders(group: _Named) -> dict[str, str]:
    """Names of one storage: equal views, transposes and slices belong to the largest tensor that holds them."""
    found: dict[str, str] = {}
    holders: _Named = []
    for name, tensor in sorted(group, key=lambda item: -item[1].numel()):
        holder = _holder(name, tensor, holders)
        if holder is None:
            holders.append((name, tensor))
        found[name] = holder or name
    return found


def _holder(name: str, tensor: torch.Tensor, holders: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    for other, larger in holders:
        if larger is tensor or _geometry(larger) == _geometry(tensor):
            return other
        shared = _shared(larger, tensor)
        if shared == tensor.numel():
            return other
        if shared:
            raise TraceError(
                f"model: parameters {other!r} and {name!r} share {shared} entries of one memory, and neither holds "
                "the other, so each cannot be filled exactly once. Give one of them memory of its own."
            )
    return None


def _geometry(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _shared(larger: torch.Tensor, tensor: torch.Tensor) -> int:
    """Number of entries of `tensor` that lie in `larger`; both are views of one storage."""
    (low, high), (start, stop) = _extent(larger), _extent(tensor)
    if stop <= low or high <= start:
        return 0
    if high - low == larger.numel() and low <= start and stop <= high:
        return tensor.numel()
    end = max(high, stop)
    covered = torch.zeros(end, dtype=torch.bool)
    torch.as_strided(covered, larger.shape, larger.stride(), larger.storage_offset()).fill_(True)
    return int(torch.as_strided(covered, tensor.shape, tensor.stride(), tensor.storage_offset()).sum())


def _extent(tensor: torch.Tensor) -> tuple[int, int]:
    first = int(tensor.storage_offset())
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return first, first + 1 + int(last)
