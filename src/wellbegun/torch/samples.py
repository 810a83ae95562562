"""Values of a model's parameters as NumPy arrays, large parameters sampled at even distances."""

from collections.abc import Iterable

import torch

from wellbegun._typing import Array
from wellbegun.torch.parametrize import visible

_MOST = 1 << 19  # values taken of one parameter


def parameter_samples(model: torch.nn.Module, names: Iterable[str]) -> dict[str, tuple[Array, int]]:
    """Some values of each of these parameters, in double precision, and how many the parameter has.

    Left out: names the model does not have, complex parameters and those without memory.
    """
    tensors = visible(model)
    samples: dict[str, tuple[Array, int]] = {}
    for name in names:
        tensor = tensors[name].detach() if name in tensors else None
        if tensor is None or tensor.is_meta or not tensor.is_floating_point():
            continue
        local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        flat = local.reshape(-1)
        samples[name] = flat[:: max(1, flat.numel() // _MOST)].double().cpu().numpy(), tensor.numel()
    return samples
