"""Thirty trainings for `trainings.py`, frozen before the recipe was tuned: ten to develop with, twenty held out."""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional

import training_data as data
import training_networks as networks

RATES = 3e-4, 9e-4, 2.7e-3, 8.1e-3, 2.43e-2, 7.29e-2
LOW, MIDDLE, HIGH = RATES, RATES[1:], RATES[2:]
LONG = 1000  # steps of networks whose steps are cheap


class Task(NamedTuple):
    """A network, its data and loss; the rates that are tried; whether copies can be trained as one (`vmap`)."""

    build: Callable[[], nn.Module]
    data: Callable[[], data.Data]
    loss: Callable[[Any, Tensor], Tensor]
    rates: tuple[float, ...] = MIDDLE
    rows: int = 64
    steps: int = 300  # with a cosine to zero
    stacked: bool = True


def classes(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, whatever stands before the classes; -100 is not judged."""
    return functional.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1))


def square(output: Tensor, target: Tensor) -> Tensor:
    """Mean squared error."""
    return functional.mse_loss(output, target)


def binary(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of two classes."""
    return functional.binary_cross_entropy_with_logits(output, target)


def bound(output: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
    """Reconstruction and divergence, for each of 64 pixels."""
    pixels, mean, log = output
    lost = functional.binary_cross_entropy_with_logits(pixels, target)
    return lost - 0.5 * (1 + log - mean**2 - log.exp()).sum(-1).mean() / 64


def likelihood(output: Tensor, target: Tensor) -> Tensor:
    """The model says it itself, for each sample."""
    return output.mean() + 0 * target.mean()


def regret(output: Tensor, target: Tensor) -> Tensor:
    """Best reward minus expected reward, with a small price of certainty."""
    chances = output.softmax(-1)
    sure = (chances * output.log_softmax(-1)).sum(-1).mean()
    return (target.amax(-1) - (chances * target).sum(-1)).mean() + 0.01 * sure


DEVELOPMENT: dict[str, Task] = {
    "MLP, 3 x 128, ReLU": Task(lambda: networks.mlp(40, 128, 128, 128, 10), data.curves, classes, steps=LONG),
    "MLP on a table": Task(lambda: networks.mlp(8, 32, 32, 1), data.houses, square, steps=LONG),
    "convolutions, no norm": Task(lambda: networks.convolutions(norm=False), data.curves, classes, LOW, 32),
    "convolutions, BatchNorm": Task(lambda: networks.convolutions(norm=True), data.curves, classes, MIDDLE, 32),
    "LSTM": Task(
        lambda: networks.Recurrent(nn.LSTM, 2, 32, 10, table=False), data.sequences, classes, MIDDLE, 32, stacked=False
    ),
    "ViT": Task(networks.ViT, data.images, classes, LOW, 16, 600),
    "GPT, pre-norm": Task(networks.GPT, data.characters, classes, MIDDLE, 8),
    "token mixer": Task(networks.mixer, data.images, classes, LOW, 16, 600),
    "PatchTST": Task(networks.Forecast, data.series, square, LOW, 16),
    "KAN": Task(
        lambda: nn.Sequential(networks.Spline(8, 16), networks.Spline(16, 16), networks.Spline(16, 1)),
        data.houses, square, steps=LONG,
    ),
}  # fmt: skip
HELD_OUT: dict[str, Task] = {
    "MLP, 20 layers, GELU": Task(lambda: networks.mlp(40, *[48] * 19, 10, act=nn.GELU), data.curves, classes, LOW),
    "ResNet, BatchNorm": Task(lambda: networks.resnet(norm=True), data.images, classes, MIDDLE, 32),
    "ResNet, no norm": Task(lambda: networks.resnet(norm=False), data.images, classes, MIDDLE, 32),
    "densely concatenated": Task(networks.densenet, data.images, classes, MIDDLE, 16),
    "GAN discriminator": Task(networks.discriminator, data.judged, binary, LOW, 32),
    "U-Net, diffusion": Task(networks.UNet, data.noisy, square, MIDDLE, 16),
    "autoencoder": Task(lambda: networks.mlp(64, 64, 32, 8, 32, 64, 64), data.patches, square, steps=LONG),
    "VAE": Task(networks.VAE, data.scans, bound, steps=LONG),
    "SIREN": Task(networks.Sines, data.photograph, square, (1e-4, *LOW), 256, LONG),
    "graph convolution": Task(networks.GCN, data.graphs, classes, HIGH, 16, LONG),
    "embedding bag": Task(networks.Bag, data.words, classes, HIGH, 32, LONG, False),
    "Llama": Task(lambda: networks.Configured("llama"), data.characters, classes, MIDDLE, 8),
    "BERT, post-norm": Task(lambda: networks.Configured("bert"), data.masked, classes, LOW, 8),
    "T5": Task(lambda: networks.Configured("t5"), data.sorting, classes, MIDDLE, 8),
    "GRU, characters": Task(
        lambda: networks.Recurrent(nn.GRU, 24, 48, 100, table=True), data.characters, classes, MIDDLE, 8, stacked=False
    ),
    "LSTM that writes": Task(networks.Reader, data.reversals, classes, MIDDLE, 32, stacked=False),
    "mixture of experts": Task(networks.Experts, data.curves, classes, steps=LONG),
    "normalizing flow": Task(networks.Coupling, data.moons, likelihood, steps=LONG),
    "DeepSets": Task(networks.DeepSets, data.sets, square, LOW, 32, LONG),
    "policy": Task(networks.policy, data.bandit, regret, steps=LONG),
}  # fmt: skip
TASKS = DEVELOPMENT | HELD_OUT
