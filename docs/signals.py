"""Signals and gradients of plain networks in NumPy, with weights from the engine: what the plots show."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import wellbegun as wb
from wellbegun.theory import activation_of

Array = np.ndarray[Any, Any]
SEED = 0


class Flow(NamedTuple):
    """RMS by layer: of the signal behind each weight, of the gradient at the same place; correlation of two inputs."""

    signal: Array
    gradient: Array
    correlation: Array
    lengths: Array  # (layers, samples)


def noise(*shape: int, name: str = "noise") -> Array:
    """Standard normal numbers of a named stream."""
    return wb.normal(std=1.0)(shape, seed=SEED, name=name, layout="o" * len(shape), dtype="float64")


def flow(
    scheme: Any,
    activation: str | Callable[[Array], Array],
    widths: Sequence[int],
    *,
    samples: int = 64,
    skip: float = 0,
) -> Flow:
    """A plain network: every weight from `scheme` (or scheme(layer)), `activation` between them.

    The input is normal, half of its variance common to all samples. A random signal comes back from the last weight.
    """
    function = activation_of(activation) if isinstance(activation, str) else activation
    pick = scheme if callable(scheme) and not hasattr(scheme, "law") else lambda _: scheme
    x = math.sqrt(0.5) * (noise(samples, widths[0], name="input") + noise(1, widths[0], name="common"))
    weights = [
        pick(layer)((out, inp), seed=SEED, name=f"layers.{layer}.weight", dtype="float64")
        for layer, (inp, out) in enumerate(itertools.pairwise(widths))
    ]
    before = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for layer, weight in enumerate(weights):
            out = (function(x) if layer else x) @ weight.T
            x = out + skip * x if skip and layer else out
            before.append(x)
        back = noise(samples, widths[-1], name="gradient")
        gradients = [back]
        for weight, h in zip(weights[:0:-1], before[-2::-1], strict=True):
            through = back @ weight * slope(function, h)
            back = through + skip * back if skip else through
            gradients.append(back)
    return Flow(
        np.array([rms(h) for h in before]),
        np.array([rms(g) for g in gradients[::-1]]),
        np.array([correlation(h) for h in before]),
        np.array([np.sqrt((h**2).mean(axis=1)) for h in before]),
    )


def slope(function: Callable[[Array], Array], x: Array) -> Array:
    """Central difference."""
    step = 1e-5
    return (function(x + step) - function(x - step)) / (2 * step)


def rms(x: Array) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(x * x)))


def correlation(x: Array) -> float:
    """Mean cosine of different samples."""
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300)
    count = len(x)
    return float((np.sum(unit.sum(axis=0) ** 2) - count) / (count * (count - 1)))


class Training(NamedTuple):
    """A small net on scanned digits: loss by step, and one weight of every hidden unit by step."""

    loss: Array
    weights: Array


def train(first: Any, second: Any, *, hidden: int = 12, steps: int = 150, rate: float = 0.5) -> Training:
    """Full-batch gradient descent on 500 of scikit-learn's digits: 64 inputs, tanh units, 10 classes."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x, target = data.data[:500] / 16 - 0.3, np.eye(10)[data.target[:500]]
    w1 = first((hidden, 64), seed=SEED, name="first", dtype="float64")
    w2 = second((10, hidden), seed=SEED, name="second", dtype="float64")
    b1, b2 = np.zeros(hidden), np.zeros(10)
    losses, traces = [], []
    for _ in range(steps):
        h = np.tanh(x @ w1.T + b1)
        logits = h @ w2.T + b2
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses.append(-np.log((p * target).sum(axis=1)).mean())
        traces.append(w1[:, 28].copy())
        error = (p - target) / len(x)
        back = (error @ w2) * (1 - h * h)
        w2 -= rate * error.T @ h
        b2 -= rate * error.sum(axis=0)
        w1 -= rate * back.T @ x
        b1 -= rate * back.sum(axis=0)
    return Training(np.array(losses), np.array(traces))


class Checked(NamedTuple):
    """RMS of signal and norm of gradient by weighted operation, from `wb.check`."""

    signal: list[float]
    gradient: list[float]


def checked(build: Callable[[], Any], batch: Any, **options: Any) -> Checked:
    """A torch model as `build` makes it, or initialized with these options."""
    import torch

    torch.manual_seed(0)
    model = build()
    health = wb.initialize(model, batch, seed=0, **options).health if options else wb.check(model, batch)
    found = health.statistics.operations
    return Checked([o.rms for o in found], [o.gradient or 0.0 for o in found])


def digits(count: int = 128) -> Any:
    """Standardized digits as a torch batch."""
    import torch
    from sklearn.datasets import load_digits

    images = torch.tensor(load_digits().data[:count], dtype=torch.float32)
    return (images - images.mean()) / images.std()


def deep(activation: str, layers: int = 50, width: int = 128) -> Callable[[], Any]:
    """A factory of plain torch nets for the digits."""
    from torch import nn

    def build() -> Any:
        sizes = [64, *[width] * layers]
        kind = getattr(nn, activation)
        hidden = [m for i, o in itertools.pairwise(sizes) for m in (nn.Linear(i, o), kind())]
        return nn.Sequential(*hidden, nn.Linear(width, 10))

    return build


def hybrid() -> Any:
    """Six ReLU, six tanh and six sigmoid layers."""
    from torch import nn

    kinds = [nn.ReLU] * 6 + [nn.Tanh] * 6 + [nn.Sigmoid] * 6
    sizes = [64, *[128] * len(kinds)]
    hidden = [m for i, o, kind in zip(sizes[:-1], sizes[1:], kinds, strict=True) for m in (nn.Linear(i, o), kind())]
    return nn.Sequential(*hidden, nn.Linear(128, 10))


def padded() -> Any:
    """Twenty plain convolutions on 8x8 images, with zero padding."""
    from torch import nn

    layers = [m for k in range(20) for m in (nn.Conv2d(32 if k else 1, 32, 3, padding=1), nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 64, 10))
