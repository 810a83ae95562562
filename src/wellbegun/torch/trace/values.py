"""What the recorder knows of a tensor: a value that depends on the batch, something made of parameters, a constant."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from wellbegun.torch.trace.axes import Derived
from wellbegun.torch.trace.expression import ROOT, Number


@dataclass(frozen=True)
class Signal:
    """A value that depends on the batch."""

    value: int
    root: int  # the value it is an elementwise function of: itself, if it is no function of another
    expression: Any = ROOT
    statistic_of: frozenset[int] = frozenset()  # roots whose mean or variance went into it
    makers: frozenset[int] = frozenset()  # the operations that computed those statistics
    normed: frozenset[int] = frozenset()  # roots that it is a normalized version of
    picked: Derived | None = None  # slices of a parameter chosen by the batch, until it is seen what they are for
    lookup: int = -1  # the operation that picked them


@dataclass(frozen=True)
class Fixed:
    """A value that depends neither on the batch nor on parameters; `number` if all its entries are known and equal."""

    number: float | None = None
    expression: Any = field(default=None, compare=False, repr=False)  # how it was made of other constants, if known
    lost: bool = field(default=False, compare=False)  # whether what memory holds now is not known at all


Known = Signal | Derived | Fixed


def tensors_in(tree: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists and tuples, in order."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    found: list[torch.Tensor] = []
    for item in tree if isinstance(tree, (list, tuple)) else ():
        if isinstance(item, torch.Tensor):
            found.append(item)
        elif isinstance(item, (list, tuple)):
            found += tensors_in(item)
    return found


def storage_of(tensor: torch.Tensor) -> int:
    """A number for the memory that a tensor and its views share."""
    if tensor.layout != torch.strided or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        return id(tensor)  # sparse tensors have several storages and no views
    return int(tensor.untyped_storage()._cdata)


def number_of(tensor: torch.Tensor) -> float | None:
    """The value of a one-entry tensor that holds one."""
    from torch._subclasses.fake_tensor import FakeTensor

    if tensor.numel() != 1 or tensor.is_meta or tensor.is_complex() or tensor.layout != torch.strided:
        return None
    held = tensor.constant if isinstance(tensor, FakeTensor) else tensor
    with _disable_current_modes():  # fake tensors refuse to read a value, but this one is real
        return None if held is None else float(held.detach())


def template(node: Any, known: dict[int, Any]) -> Any:
    """Arguments with tensors replaced by expressions and numbers."""
    if isinstance(node, torch.Tensor):
        found = known[id(node)]
        if isinstance(found, Signal):
            return found.expression
        number = found.number if isinstance(found, Fixed) else _slope(node)
        return Number(0.0 if number is None else number)
    if isinstance(node, (list, tuple)):
        return tuple(template(item, known) for item in node)
    return node


def _slope(weight: torch.Tensor) -> float:
    """Mean slope of a PReLU, or torch's initial one where the values do not exist yet."""
    from torch._subclasses.fake_tensor import FakeTensor

    if weight.is_meta or isinstance(weight, FakeTensor):
        return 0.25
    with _disable_current_modes():
        return float(weight.detach().double().mean())
