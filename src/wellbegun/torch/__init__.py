"""PyTorch: names, runs and stores; what is decided and measured is decided and measured elsewhere."""

from wellbegun.torch import init
from wellbegun.torch.framework import TorchBackend

__all__ = ["BACKEND", "init"]

BACKEND = TorchBackend()
