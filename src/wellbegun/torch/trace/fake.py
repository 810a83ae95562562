"""Fast ways of running operations on fake tensors, for which torch's own takes up to three milliseconds each.

Layers repeat: what comes out of an operation is remembered, by everything that its shape could depend on. What is
unusual in any way is left to torch, whose messages are the better ones. Torch's own cache of such results passes by
whatever has parameters in it: with it alone, planning a GPT-2 of two layers takes 91 ms instead of 44, and 60 linear
layers take 199 ms instead of 61 (torch 2.13, processor time, the same process).
"""

from functools import cache
from typing import Any

import torch

from wellbegun.torch.compat import (
    FakeTensor,
    fake_mode,
    fake_twin,
    in_kernel_invocation_manager,
    memory_of,
    no_dispatch,
    schema_of,
)

_REAL = (torch.Tensor, torch.nn.Parameter)  # types of what the model holds
_KEPT = 4096  # results that are remembered
_DEPENDS = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}  # on values
Made = tuple[tuple[Any, ...], ...]  # shape, strides, dtype and device of each result
_made: dict[Any, tuple[Made, bool] | None] = {}  # call -> results, and whether it is a single one; None: unusual


def run(func: Any, args: Any, kwargs: Any) -> Any:
    """The operation itself, by a shortcut if there is one."""
    if func.overloadpacket.__name__ == "_grouped_mm" and (args[0].is_meta or isinstance(args[0], FakeTensor)):
        groups = (args[2].shape[0],) if args[0].ndim == args[1].ndim == 2 else ()  # torch has a rule for bfloat16 only
        return args[0].new_empty((*groups, *args[0].shape[:-1], args[1].shape[-1]))
    mode = fake_mode()
    if mode is None or not args:
        return func(*args, **kwargs)
    if func is torch.ops.prim.device.default and type(args[0]) is FakeTensor:
        return args[0].fake_device
    kind = _kind(func)
    if kind == "view" and not kwargs and (source := _twin(args[0], mode)) is not None:
        return _view(func, (source, *args[1:]), source)
    key = _key((func, args, tuple(kwargs.items()))) if kind == "new" else None
    if key is None:
        return func(*args, **kwargs)
    if key not in _made:
        return _remembered(key, func(*args, **kwargs), args)
    known = _made[key]
    return func(*args, **kwargs) if known is None else _again(mode, *known)


@cache
def _kind(func: Any) -> str:
    """Whether results are views of the first operand, or memory of their own whose shapes do not depend on values."""
    if func.is_view or func.overloadpacket.__name__ == "_unsafe_view":
        return "view"
    schema = schema_of(func)
    fresh = not any(returned.alias_info for returned in schema.returns)
    return "new" if fresh and not schema.is_mutable and not _DEPENDS & set(func.tags) else "other"


# ---------------------------------------------------------------------- results with memory of their own
def _key(node: Any) -> Any:
    """Everything that shapes depend on; None for tensors known by value, and for what cannot be told from others."""
    if isinstance(node, FakeTensor):
        plain = type(node) is FakeTensor and node.ndim and node.layout == torch.strided and node.constant is None
        return (node.shape, node.stride(), node.dtype, node.fake_device) if plain else None
    if isinstance(node, torch.Tensor):
        plain = type(node) in _REAL and node.ndim and node.layout == torch.strided
        return (node.shape, node.stride(), node.dtype, node.device) if plain else None
    if isinstance(node, (list, tuple)):
        parts = tuple(_key(item) for item in node)
        return None if None in parts else parts
    return (type(node), node) if node.__hash__ is not None else None


def _remembered(key: Any, result: Any, args: Any) -> Any:
    """The result, once what it looks like is remembered."""
    found = list(result) if isinstance(result, (list, tuple)) else [result]
    if len(_made) >= _KEPT:
        _made.clear()
    taken = {memory_of(arg) for arg in args if isinstance(arg, torch.Tensor)}
    usual = type(result) in (FakeTensor, tuple) and all(
        type(one) is FakeTensor and one.constant is None and memory_of(one) not in taken for one in found
    )
    looks = tuple((one.shape, one.stride(), one.dtype, one.fake_device) for one in found) if usual else ()
    _made[key] = (looks, not isinstance(result, tuple)) if usual else None
    return result


def _again(mode: Any, looks: Made, single: bool) -> Any:
    found = tuple(_new(mode, *look) for look in looks)
    return found[0] if single else found


def _new(mode: Any, shape: Any, strides: Any, dtype: Any, device: Any) -> Any:
    with no_dispatch():
        memory = torch.empty_strided(shape, strides, dtype=dtype, device="meta")
    return FakeTensor(mode, memory, device)


# ---------------------------------------------------------------------- views
def _view(func: Any, args: Any, source: Any) -> Any:
    """Views share memory, so torch makes them: of the memory that the fake tensor pretends to have."""
    with in_kernel_invocation_manager(source.fake_mode):
        found = func(*args)
    return FakeTensor(source.fake_mode, found, source.fake_device) if type(found) is torch.Tensor else func(*args)


def _twin(tensor: Any, mode: Any) -> Any:
    """A plain fake tensor itself, or the one that stands for a parameter; None for others."""
    if type(tensor) is FakeTensor and tensor.constant is None and tensor.layout == torch.strided:
        return tensor
    if type(tensor) not in _REAL or tensor.layout != torch.strided or tensor.is_meta:
        return None
    found = fake_twin(mode, tensor)
    if found is None:
        found = _new(mode, tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        mode.fake_tensor_converter.set_tensor_memo(tensor, found)
    return found
