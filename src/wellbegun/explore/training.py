"""Tiny networks trained in NumPy: what a first value does to the steps that follow."""

from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.explore.networks import layer, slope_of
from wellbegun.laws import Normal
from wellbegun.schemes import constant, normal, orthogonal, xavier_normal, zeros
from wellbegun.schemes.base import Scheme
from wellbegun.theory import activation_of

CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
ODD = np.array([0.0, 1.0, 1.0, 0.0])  # exclusive or: no single unit can tell
FRAMES = 61
SYMMETRY = {"zeros": zeros(), "constant": constant(0.5), "random": xavier_normal()}


def symmetry(scheme: Scheme, *, steps: int = 600, rate: float = 0.5, seed: int = 0) -> dict[str, Any]:
    """Train 2 inputs, 3 tanh units and 1 sigmoid output on exclusive or; keep 61 frames of all weights.

    Returns:
        "step", "loss", "hidden" (frame, unit, input), "bias" (frame, unit), "out" (frame, unit), "gradient" (frame,
        unit, input): that of `hidden`.

    >>> frames = symmetry(constant(0.5), steps=60)
    >>> all(frame[0] == frame[1] == frame[2] for frame in frames["hidden"])
    True
    """
    w, v = layer(scheme, 0, (3, 2), seed=seed), layer(scheme, 1, (1, 3), seed=seed)
    b, c = np.zeros(3), np.zeros(1)
    frames: dict[str, list[Any]] = {key: [] for key in ("step", "loss", "hidden", "bias", "out", "gradient")}
    every = steps // (FRAMES - 1)
    for step in range(steps + 1):
        h = np.tanh(CORNERS @ w.T + b)
        p = activation_of("sigmoid")(h @ v.T + c)[:, 0]
        error = (p - ODD)[:, None] / len(ODD)  # of the mean cross-entropy
        back = error @ v * (1 - h * h)
        if step % every == 0:
            loss = -float(np.mean(ODD * np.log(p) + (1 - ODD) * np.log1p(-p)))
            now = (step, loss, w, b, v[0], back.T @ CORNERS)
            for key, value in zip(frames, now, strict=True):
                frames[key].append(np.round(value, 4).tolist())
        w, b = w - rate * back.T @ CORNERS, b - rate * back.sum(axis=0)
        v, c = v - rate * error.T @ h, c - rate * error.sum(axis=0)
    return frames


STARTS = {
    "Naive normal, std 0.01": normal(std=0.01),
    "Xavier normal": xavier_normal(),
    "Orthogonal": orthogonal(),
    "Naive normal, std 1": normal(std=1.0),
}


RATES = (0.005, 0.01, 0.015)


def spirals(samples: int = 200) -> tuple[Array, Array]:
    """Two arms of a spiral and which of them a point is on.

    >>> x, y = spirals(10)
    >>> x.shape, y.tolist()
    ((10, 2), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    """
    along = np.linspace(0.15, 1.0, samples)
    arm = np.arange(samples) % 2
    angle = 2.2 * np.pi * along + np.pi * arm
    noise = fill(Normal(0.0, 0.03), (samples, 2), seed=0, name="explore.spirals", dtype="float64")
    return np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1) * 1.7 + noise, arm


def course(scheme: Scheme, *, depth: int = 10, width: int = 32, steps: int = 300) -> dict[str, Any]:
    """Train a deep tanh network on the spirals with momentum; loss, and how far the weights went from their start.

    Returns:
        "step", "loss" (mean cross-entropy), "moved": the length of the way in units of the start's length, and the
        "rate" of the three tried that ended lowest.
    """
    courses = [_one_course(scheme, depth, width, steps, rate) for rate in RATES]
    return min(courses, key=lambda one: one["loss"][-1] if np.isfinite(one["loss"][-1]) else np.inf)


def _one_course(scheme: Scheme, depth: int, width: int, steps: int, rate: float) -> dict[str, Any]:
    x, y = spirals()
    sizes = [2, *[width] * depth, 2]
    start = [layer(scheme, i, (sizes[i + 1], sizes[i])) for i in range(depth + 1)]
    weights, speed = [w.copy() for w in start], [np.zeros_like(w) for w in start]
    length = np.sqrt(sum(float((w**2).sum()) for w in start))
    course: dict[str, Any] = {"rate": rate, "step": [], "loss": [], "moved": []}
    for step in range(steps + 1):
        loss, gradients = loss_and_gradients(weights, x, y)
        if step % 5 == 0:
            way = np.sqrt(sum(float(((w - s) ** 2).sum()) for w, s in zip(weights, start, strict=True)))
            for key, value in (("step", step), ("loss", loss), ("moved", way / length)):
                course[key].append(round(float(value), 4))
        speed = [0.9 * v - rate * g for v, g in zip(speed, gradients, strict=True)]
        weights = [w + v for w, v in zip(weights, speed, strict=True)]
    return course


def loss_and_gradients(
    weights: list[Array], x: Array, labels: Array, activation: str = "tanh"
) -> tuple[float, list[Array]]:
    """Mean cross-entropy of a plain network without biases, and its gradient for every weight."""
    phi, slope = activation_of(activation), slope_of(activation)
    handed, sums = [x], []
    for index, weight in enumerate(weights):
        sums.append(handed[-1] @ weight.T)
        handed.append(phi(sums[-1]) if index < len(weights) - 1 else sums[-1])
    scores = handed[-1] - handed[-1].max(axis=1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    rows = np.arange(len(x))
    back = np.exp(logs)
    back[rows, labels] -= 1
    back /= len(x)
    gradients = []
    for index in range(len(weights) - 1, -1, -1):
        gradients.append(back.T @ handed[index])
        if index:
            back = back @ weights[index] * slope(sums[index - 1])
    return -float(logs[rows, labels].mean()), gradients[::-1]
