"""PyTorch; where there is none, names that let models of other frameworks be written beside its own."""

from typing import Any

__all__ = ["F", "nn", "torch"]


class _Absent:
    """Every name in it is a class, so that what is written of it can be read."""

    def __getattr__(self, name: str) -> Any:
        return object


try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    torch = nn = F = _Absent()
