"""Sharded parameters: the part that lives in this process, and models run as if they were whole."""

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from wellbegun.engine.regions import Region
from wellbegun.errors import TraceError
from wellbegun.torch.compat import module_tables, shard_of, tensors

T = TypeVar("T")


def local_part(tensor: torch.Tensor, name: str) -> tuple[torch.Tensor, Region]:
    """The memory of this process and its region of the whole, in stored axes; a plain tensor is its own whole.

    Raises:
        TraceError: a DTensor whose shards are terms of a sum, which hold no values of their own.
    """
    placements: Any = getattr(tensor, "placements", None)
    if placements is None:
        return tensor.detach(), tuple((0, size) for size in tensor.shape)
    if any(placement.is_partial() for placement in placements):
        remedy = "Redistribute it to Shard or Replicate first."
        raise TraceError(f"initialize: parameter {name!r} is sharded into terms of a sum ({placements}). {remedy}")
    sizes, offsets = shard_of(tensor)
    local: torch.Tensor = tensor.detach().to_local()  # type: ignore[attr-defined]
    return local, tuple((at, at + size) for at, size in zip(offsets, sizes, strict=True))


# ---------------------------------------------------------------------- whole models
def sharded(model: torch.nn.Module) -> list[torch.Tensor]:
    """Parameters of which this process holds a part; [] for most models."""
    return [tensor for tensor in tensors(model) if hasattr(tensor, "placements")]


@contextmanager
def gathered(model: torch.nn.Module) -> Iterator[bool]:
    """The model with whole copies of its sharded parameters, and without what shards them again; whether there are any.

    Every process has to come here together, and needs memory for the whole model. The shards come back as they were.
    """
    parts = sharded(model)
    with _swapped(model, {id(part): _whole(part) for part in parts}):
        yield bool(parts)


def _whole(part: Any) -> torch.nn.Parameter:
    with torch.no_grad():
        values = part.new_empty(part.shape) if part.is_meta else part.full_tensor()
    return torch.nn.Parameter(values.clone(), requires_grad=part.requires_grad)


@contextmanager
def pretended(model: torch.nn.Module, known: dict[int, T]) -> Iterator[dict[int, T]]:
    """The model with parameters of the whole shapes in place of shards, under a fake mode that is active: no values,
    no communication. What is known of each tensor by identity is then known of what stands for it."""
    parts: Any = sharded(model)
    stand = {id(part): torch.empty(part.shape, dtype=part.dtype, device=part.device) for part in parts}
    swapped = {id(part): torch.nn.Parameter(stand[id(part)], requires_grad=part.requires_grad) for part in parts}
    with _swapped(model, swapped):
        yield {**known, **{id(swapped[key]): known[key] for key in swapped}}


@contextmanager
def _swapped(model: torch.nn.Module, swaps: dict[int, torch.nn.Parameter]) -> Iterator[None]:
    """Other parameters in the places of some, and no hooks of torch.distributed."""
    if not swaps:
        yield
        return
    saved: list[tuple[MutableMapping[Any, Any], dict[Any, Any]]] = []
    for module in model.modules():
        parameters = module_tables(module, "parameters")
        saved.append((parameters, dict(parameters)))
        for name, tensor in parameters.items():
            if id(tensor) in swaps:
                parameters[name] = swaps[id(tensor)]
        for which in ("forward_pre_hooks", "forward_hooks"):
            hooks = module_tables(module, which)
            saved.append((hooks, dict(hooks)))
            for key in [key for key, hook in hooks.items() if _distributes(hook)]:
                del hooks[key]
    try:
        yield
    finally:
        for table, kept in saved:
            table.clear()
            table.update(kept)


def _distributes(hook: Callable[..., Any]) -> bool:
    """Whether a hook gathers, shards or converts: those of FSDP and of tensor parallelism."""
    while hasattr(hook, "func"):
        hook = hook.func
    return str(getattr(hook, "__module__", "")).startswith("torch.distributed")


def agreed(parts: Sequence[Any], value: T) -> T:
    """What the first process of the mesh of these shards has, in all of them, so that they belong to one whole."""
    if not parts:
        return value
    import torch.distributed as dist

    mesh = parts[0].device_mesh
    box = [value]
    for dimension in range(mesh.ndim):
        group = mesh.get_group(dimension)
        dist.broadcast_object_list(box, src=dist.get_global_rank(group, 0), group=group)
    return box[0]
