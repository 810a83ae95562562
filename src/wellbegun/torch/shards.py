"""The part of a sharded parameter that lives in this process, and where it lies in the whole."""

from typing import Any

import torch

from wellbegun.errors import TraceError
from wellbegun.fill.regions import Region


def local_part(tensor: torch.Tensor, name: str) -> tuple[torch.Tensor, Region]:
    """The memory of this process and its region of the whole, in stored axes; a plain tensor is its own whole.

    Raises:
        TraceError: a DTensor whose shards are terms of a sum, which hold no values of their own.
    """
    placements: Any = getattr(tensor, "placements", None)
    if placements is None:
        return tensor.detach(), tuple((0, size) for size in tensor.shape)
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    if any(placement.is_partial() for placement in placements):
        remedy = "Redistribute it to Shard or Replicate first."
        raise TraceError(f"initialize: parameter {name!r} is sharded into terms of a sum ({placements}). {remedy}")
    mesh: Any = tensor.device_mesh  # type: ignore[attr-defined]
    sizes, offsets = compute_local_shape_and_global_offset(tensor.shape, mesh, placements)
    local: torch.Tensor = tensor.detach().to_local()  # type: ignore[attr-defined]
    return local, tuple((at, at + size) for at, size in zip(offsets, sizes, strict=True))
