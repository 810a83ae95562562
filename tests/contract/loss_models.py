"""Data and models that tests of losses share."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

G = torch.Generator().manual_seed(0)
X, LABELS = torch.randn(32, 16, generator=G), torch.randint(0, 5, (32,), generator=G)
COINS = (torch.rand(32, 1, generator=G) < 0.5).float()
Y, FEW = torch.randn(32, 1, generator=G), torch.rand(32, 5, generator=G)
NAMED, PLACED = {"x": X, "labels": LABELS}, (X, LABELS)
logistic = functional.binary_cross_entropy_with_logits


def net(units: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, units))


def loss_of(health: wb.Health) -> Any:
    assert health.statistics.loss is not None
    return health.statistics.loss


class Own(nn.Module):
    """What a function makes of a net, inputs and targets."""

    def __init__(self, function: Any, units: int = 5) -> None:
        super().__init__()
        self.net, self.function = net(units), function

    def forward(self, x: torch.Tensor, gold: torch.Tensor | None = None, labels: torch.Tensor | None = None) -> Any:
        return self.function(self.net(x), x, labels if gold is None else gold)


def entropy(logits: torch.Tensor, _: Any, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, y)


def entropies(logits: torch.Tensor, _: Any, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, y, reduction="none")


def smoothed(z: torch.Tensor, _: Any, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(z, y, label_smoothing=0.1)
