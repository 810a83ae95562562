"""The values of a model's parameters, counted."""

import torch

from wellbegun.planning import Plan
from wellbegun.planning.histograms import Histogram, choose, histogram
from wellbegun.torch.parametrize import visible

_MOST = 1 << 19  # values looked at in one parameter


def histograms(model: torch.nn.Module, plan: Plan, *, most: int = 24) -> tuple[Histogram, ...]:
    """Histograms of the first, middle and last parameter of every role of the plan, beside their laws.

    Parameters of more than half a million values are sampled at even distances. Complex ones and those without memory
    are left out.
    """
    tensors = visible(model)
    found = []
    for entry in choose((entry for entry in plan.entries if entry.name in tensors), most):
        tensor = tensors[entry.name].detach()
        if tensor.is_complex() or tensor.is_meta or not tensor.is_floating_point():
            continue
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        flat = local.reshape(-1)
        values = flat[:: max(1, flat.numel() // _MOST)].double().cpu().numpy()
        found.append(histogram(entry, values, tensor.numel()))
    return tuple(found)
