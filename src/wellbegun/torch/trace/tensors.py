"""Tensors among arguments, their memory, and their values where these exist."""

from functools import cache
from typing import Any

import numpy as np
import torch

from wellbegun._typing import Array as Values
from wellbegun.graph.facts import Array, Numbers
from wellbegun.graph.function import Scalar
from wellbegun.torch.compat import FakeTensor, beneath_modes


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


@cache
def _numbers(dtype: torch.dtype) -> Numbers:
    return "real" if dtype.is_floating_point else "complex" if dtype.is_complex else "integer"


def array_of(tensor: torch.Tensor) -> Array:
    """Shape, strides and kind of numbers of a tensor."""
    strides = tensor.stride() if tensor.layout is torch.strided else None
    return Array(tuple(tensor.shape), _numbers(tensor.dtype), strides)


def number_of(tensor: torch.Tensor) -> Scalar | None:
    """The value of a one-entry tensor that holds one."""
    if tensor.numel() != 1 or tensor.is_meta or tensor.is_complex() or tensor.layout != torch.strided:
        return None
    held = tensor.constant if isinstance(tensor, FakeTensor) else tensor
    with beneath_modes():  # fake tensors refuse to read a value, but this one is real
        return None if held is None else held.detach().item()


def exists(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds values that can be read."""
    return not (tensor.is_meta or isinstance(tensor, FakeTensor) or tensor.layout is not torch.strided)


class _Memory:
    """Memory as NumPy asks for it."""

    def __init__(self, tensor: torch.Tensor, **interface: Any) -> None:
        self.tensor, self.__array_interface__ = tensor, interface  # which lives as long as the array


def is_freed(tensor: torch.Tensor) -> bool:
    """Whether the storage was given back, as sharded trainings do between uses: whoever touches it ends the process."""
    return tensor.layout == torch.strided and tensor.numel() > 0 and not tensor.untyped_storage().nbytes()


def wrapped(tensor: torch.Tensor, name: str) -> str:
    """What is wrong with a parameter of a class of its own that keeps its values in others, as quantized weights do;
    "" for all else, shards too."""
    own = not (type(tensor) in (torch.Tensor, torch.nn.Parameter) or isinstance(tensor, FakeTensor))
    if not own or hasattr(tensor, "placements") or tensor.is_meta or not tensor.numel() or is_freed(tensor):
        return ""
    try:
        held = tensor.layout != torch.strided or bool(tensor.data_ptr())
    except RuntimeError:  # as some say it
        held = False
    where = "keeps its values in other tensors, where they are not filled. Initialize the model before it is wrapped."
    return "" if held else f"parameter {name!r} is a {type(tensor).__name__}, which {where}"


def seen(tensor: torch.Tensor) -> Values:
    """The memory of a tensor on the host as NumPy sees it; bfloat16 as uint16. torch can still resize it, unlike what
    `Tensor.numpy` has seen."""
    stored = tensor.detach().view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor.detach()
    shape, kind = tuple(stored.shape), np.dtype(str(stored.dtype).removeprefix("torch."))
    if not stored.numel():
        return np.empty(shape, kind)
    if not stored.data_ptr():
        return stored.numpy()  # an error that says what it is instead
    strides, memory = tuple(step * kind.itemsize for step in stored.stride()), (stored.data_ptr(), False)
    return np.asarray(_Memory(stored, version=3, shape=shape, typestr=kind.str, strides=strides, data=memory))


def values_of(tensor: torch.Tensor) -> Values | None:
    """The values of a tensor, without a copy where NumPy has its type; None for types that it has not."""
    with beneath_modes():
        held = tensor.detach().cpu()
        plain = (held.float() if held.dtype == torch.bfloat16 else held).resolve_conj().resolve_neg()
        return seen(plain)
