"""Data for `trainings.py`: what packages ship, and what is made by rule. Every function gives (inputs, target) of a
training part and of a part that is held out."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_image, make_moons
from torch import Tensor

Part = tuple[tuple[Tensor, ...], Tensor]
Data = tuple[Part, Part]
MODULES = ("argparse", "ast", "decimal", "inspect", "pickle", "subprocess", "tarfile", "typing")


def split(inputs: tuple[np.ndarray, ...], target: np.ndarray, held: int) -> Data:
    """The last `held` samples are held out."""

    def tensor(array: np.ndarray) -> Tensor:
        return torch.tensor(array.astype(np.int64 if array.dtype.kind in "iu" else np.float32))

    x, y = tuple(map(tensor, inputs)), tensor(target)
    return (tuple(a[:-held] for a in x), y[:-held]), (tuple(a[-held:] for a in x), y[-held:])


@cache
def curves(samples: int = 24_000, held: int = 1000) -> Data:
    """Ten smooth curves, moved, stretched, tilted, and hidden in noise: 40 numbers, 10 classes."""
    rng = np.random.default_rng(1)
    templates = rng.normal(size=(10, 9)).cumsum(1)
    templates = (templates - templates.mean(1, keepdims=True)) / templates.std(1, keepdims=True)
    label = rng.integers(0, 10, samples)
    x = np.zeros((samples, 40))
    for row, which in zip(x, label, strict=True):
        length = rng.integers(16, 28)
        start = rng.integers(0, 40 - length)
        place = np.linspace(0, 8, length)
        row[start : start + length] = np.interp(place, np.arange(9), templates[which]) * rng.uniform(0.6, 1.4)
    noise = rng.normal(size=(samples, 40))
    x += 0.35 * (noise + np.roll(noise, 1, 1)) + rng.normal(size=(samples, 1)) * np.linspace(-0.5, 0.5, 40)
    return split(((x - x.mean()) / x.std(),), label, held)


@cache
def sequences() -> Data:
    """The curves as sequences of 20 steps of two numbers."""
    (((x,), y), ((u,), v)) = curves()
    return ((x.reshape(-1, 20, 2),), y), ((u.reshape(-1, 20, 2),), v)


@cache
def images(samples: int = 12_000, held: int = 1000) -> Data:
    """Scanned digits moved over a noisy canvas of 12 x 12; those held out come from other scans."""
    rng, found = np.random.default_rng(2), load_digits()
    x, y = np.zeros((samples, 1, 12, 12)), np.zeros(samples, np.int64)
    for i in range(samples):
        which = rng.integers(1400, 1797) if i >= samples - held else rng.integers(0, 1400)
        row, column = rng.integers(1, 4, 2)
        x[i, 0, row : row + 8, column : column + 8] = found.images[which] / 16 * rng.uniform(0.6, 1.2)
        y[i] = found.target[which]
    x += 0.15 * rng.normal(size=x.shape)
    return split(((x - x.mean()) / x.std(),), y, held)


@cache
def judged() -> Data:
    """For a discriminator: digits on a canvas, and others whose rows were mixed from two scans."""
    rng = np.random.default_rng(3)
    parts = []
    for (x,), _ in images():
        label = rng.integers(0, 2, len(x))
        order = rng.permutation(len(x))
        mixed = x.clone()
        mixed[:, :, 1::2] = x[order][:, :, 1::2]
        chosen = torch.tensor(label, dtype=torch.float32)
        parts.append(((torch.where(chosen[:, None, None, None] > 0, x, mixed),), chosen))
    return parts[0], parts[1]


@cache
def noisy() -> Data:
    """For a denoiser: 8 x 8 digits with noise of a random level, the level, and the noise as the target."""
    rng = np.random.default_rng(4)
    found = load_digits().images[rng.integers(0, 1797, 6000), None] / 8 - 1
    noise, time = rng.normal(size=found.shape), rng.uniform(size=6000)
    angle = (time * np.pi / 2)[:, None, None, None]
    return split((np.cos(angle) * found + np.sin(angle) * noise, time), noise, 1000)


@cache
def scans() -> Data:
    """For autoencoders: 8 x 8 digits between 0 and 1, with noise for a latent variable."""
    rng = np.random.default_rng(5)
    x = load_digits().data[rng.permutation(1797)] / 16
    return split((x, rng.normal(size=(1797, 8))), x, 397)


@cache
def patches() -> Data:
    """8 x 8 pieces of a photograph, standardized, as inputs and targets."""
    rng, image = np.random.default_rng(6), load_sample_image("china.jpg").mean(-1) / 255
    rows, columns = rng.integers(0, image.shape[0] - 8, 5000), rng.integers(0, image.shape[1] - 8, 5000)
    x = np.stack([image[r : r + 8, c : c + 8].ravel() for r, c in zip(rows, columns, strict=True)])
    x = (x - x.mean()) / x.std()
    return split((x,), x, 1000)


@cache
def photograph() -> Data:
    """Coordinates of the pixels of a photograph and their colours; a quarter of the pixels is held out."""
    image = load_sample_image("flower.jpg")[100:260:3, 200:400:3] / 255
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in image.shape[:2]), indexing="ij")
    x, y = np.stack(axes, -1).reshape(-1, 2), image.reshape(-1, 3)
    order = np.random.default_rng(7).permutation(len(x))
    return split((x[order],), ((y - y.mean()) / y.std())[order], len(x) // 4)


@cache
def sources() -> tuple[str, ...]:
    """Modules of the standard library as text."""
    found = [importlib.util.find_spec(name) for name in MODULES]
    texts = [Path(spec.origin).read_text() for spec in found if spec is not None and spec.origin is not None]
    return tuple("".join(c for c in text if c.isascii()) for text in texts)


@cache
def characters(length: int = 32) -> Data:
    """Windows of characters of the standard library, and the same moved by one; the last tenth is held out."""
    text = re.sub(r" +", " ", "".join(sources()))
    known = {c: i for i, c in enumerate(sorted(set(text)))}
    ids = np.array([known[c] for c in text])
    assert max(ids) < 100
    cut = len(ids) * 9 // 10
    train = np.lib.stride_tricks.sliding_window_view(ids[:cut], length + 1)[::7]
    test = np.lib.stride_tricks.sliding_window_view(ids[cut:], length + 1)[:: length + 1][:400]
    return tuple(split((w[:, :-1],), w[:, 1:], 1)[0] for w in (train, test))  # type: ignore[return-value]


@cache
def masked() -> Data:
    """Windows of characters of which a sixth is hidden behind id 100; the target is -100 elsewhere."""
    rng, parts = np.random.default_rng(8), []
    for (ids,), _ in characters():
        hidden = torch.tensor(rng.uniform(size=tuple(ids.shape)) < 1 / 6)
        parts.append(((ids.masked_fill(hidden, 100),), ids.masked_fill(~hidden, -100)))
    return parts[0], parts[1]


@cache
def words() -> Data:
    """Bags of 16 words and the module that they come from."""
    rng, bags, labels = np.random.default_rng(9), [], []
    for label, text in enumerate(sources()):
        ids = [sum(ord(c) * 31**i for i, c in enumerate(word)) % 1000 for word in re.findall(r"[A-Za-z]{2,}", text)]
        bags += [ids[start : start + 16] for start in range(0, min(len(ids), 12_000) - 16, 16)]
        labels += [label] * (len(bags) - len(labels))
    order = rng.permutation(len(bags))
    return split((np.array(bags)[order],), np.array(labels)[order], 800)


@cache
def houses() -> Data:
    """A table made like that of house prices: eight features of which some are skewed, and a target with kinks."""
    rng = np.random.default_rng(10)
    z = rng.normal(size=(6000, 8)) @ (np.eye(8) + 0.3 * rng.normal(size=(8, 8)))
    x = np.where(np.arange(8) % 3 == 0, np.exp(z / 2), z)
    x = (x - x.mean(0)) / x.std(0)
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 2 * np.maximum(x[:, 3], 0.5) + (x[:, 4] > 0.2) + 0.5 * x[:, 5] ** 2
    y += 0.2 * rng.normal(size=6000)
    return split((x,), ((y - y.mean()) / y.std())[:, None], 1000)


@cache
def series() -> Data:
    """Sums of waves with a trend: 64 steps, and the 16 that follow."""
    rng = np.random.default_rng(11)
    time = np.arange(80)
    y = rng.normal(size=(6000, 1)) * (time - 32) / 64 + 0.15 * rng.normal(size=(6000, 80))
    for _ in range(3):
        period, phase = rng.choice([6, 10, 16, 24], (6000, 1)), rng.uniform(0, 2 * np.pi, (6000, 1))
        y += rng.normal(size=(6000, 1)) * np.sin(2 * np.pi * time / period + phase)
    y /= y.std()
    return split((y[:, :64],), y[:, 64:], 1000)


@cache
def graphs() -> Data:
    """Graphs of 16 points in the plane that see their neighbours; a node's class is told by its neighbourhood."""
    rng = np.random.default_rng(12)
    place, group = rng.uniform(size=(3000, 16, 2)), rng.integers(0, 4, (3000, 16))
    near = np.linalg.norm(place[:, :, None] - place[:, None], axis=-1) < 0.4
    group = np.where(place[..., 0] > 0.5, 2, 0) + (place[..., 1] + 0.1 * rng.normal(size=(3000, 16)) > 0.5)
    adjacency = near / np.sqrt(near.sum(-1, keepdims=True) * near.sum(-2, keepdims=True))
    features = rng.normal(size=(4, 8))[group] * 0.7 + rng.normal(size=(3000, 16, 8))
    return split((features, adjacency), group, 600)


@cache
def sets() -> Data:
    """Sets of 16 points: how far they scatter along each axis, the largest distance, and their correlation."""
    rng = np.random.default_rng(13)
    x = rng.normal(size=(6000, 16, 2)) * np.exp(0.5 * rng.normal(size=(6000, 1, 2)))
    x[..., 1] += x[..., 0] * rng.normal(size=(6000, 1))
    y = np.concatenate([x.std(1), np.linalg.norm(x, axis=-1).max(1)[:, None], (x[..., :1] * x[..., 1:]).mean(1)], 1)
    return split((x / x.std(),), (y - y.mean(0)) / y.std(0), 1000)


@cache
def bandit() -> Data:
    """Observations, and the reward of each of four actions, of which a policy sees expectations."""
    rng = np.random.default_rng(14)
    x = rng.normal(size=(6000, 8))
    reward = np.tanh(x @ rng.normal(size=(8, 32)) / 2) @ rng.normal(size=(32, 4)) / 4
    return split((x,), reward, 1000)


@cache
def reversals() -> Data:
    """Seven digits; what a decoder is given (a start and the digits in reverse); and the digits in reverse."""
    x = np.random.default_rng(15).integers(0, 10, (12_000, 7))
    return split((x, np.concatenate([np.full((12_000, 1), 10), x[:, :0:-1]], 1)), x[:, ::-1].copy(), 500)


@cache
def sorting() -> Data:
    """Ten digits with the end (1); a decoder's inputs (a start, 0, and what follows); the digits sorted."""
    x = np.random.default_rng(16).integers(2, 12, (12_000, 10))
    y = np.sort(x, 1)
    return split((np.pad(x, ((0, 0), (0, 1)), constant_values=1), np.pad(y[:, :-1], ((0, 0), (1, 0)))), y, 500)


@cache
def moons() -> Data:
    """Two half circles of points in the plane, for a density."""
    x, _ = make_moons(8000, noise=0.08, random_state=0)
    x = (x - x.mean(0)) / x.std(0)
    return split((x,), x, 1000)
