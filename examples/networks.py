"""Three real networks for the digits, written as anyone would: no wellbegun in here."""

import torch
from torch import nn


class PlainConvNet(nn.Module):
    """30 convolutions with ReLU, no normalization and no skip connections (He et al. 2015 trained such a one)."""

    def __init__(self, depth: int = 30, channels: int = 16) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth - 1))
        self.head = nn.Linear(channels * 8 * 8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(images))
        for layer in self.body:
            x = torch.relu(layer(x))
        return self.head(x.flatten(1))


class HybridMLP(nn.Module):
    """ReLU, tanh and sigmoid layers in one network: no single scheme fits all of them."""

    def __init__(self, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, width), *(nn.Linear(width, width) for _ in range(11))])
        self.head = nn.Linear(width, 10)
        self.activations = [torch.relu, torch.relu, torch.tanh, torch.relu, torch.tanh, torch.sigmoid] * 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1)
        for layer, activation in zip(self.layers, self.activations, strict=True):
            x = activation(layer(x))
        return self.head(x)


class RowLSTM(nn.Module):
    """Reads an image row by row."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(images.flatten(1).unflatten(1, (8, 8)))
        return self.head(states[:, -1])
