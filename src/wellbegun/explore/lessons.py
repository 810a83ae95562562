"""The data of the chapters' figures, each a small measurement with the engine's schemes and quadrature."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.explore.networks import backward, forward, inputs, layer, layers
from wellbegun.laws import Normal
from wellbegun.schemes import (
    constant,
    fan_in_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from wellbegun.schemes.base import Scheme
from wellbegun.theory import activation_of, moments

ONE = np.ones(1)


def _hundredths(values: Any) -> Any:
    """Logarithms as whole hundredths: short in JSON."""
    return np.round(np.asarray(values) * 100).astype(int).tolist()


def _log_rms(values: Array) -> float:
    return 0.5 * math.log10(max(float(np.mean(values**2)), 1e-300))


def mean_square(values: Sequence[Array]) -> list[float]:
    """log10 of the RMS of each."""
    return [_log_rms(np.asarray(each, np.float64)) for each in values]


# ---------------------------------------------------------------------- 2: the same factor again and again
STDS = np.geomspace(0.005, 1.0, 24)


def naive(widths: Sequence[int] = (16, 64, 256), depth: int = 50) -> dict[str, Any]:
    """log10 (times 100) of the RMS handed on, for fixed stds whatever the width: activation, width, std, layer."""
    rms_by: dict[str, Any] = {}
    for activation in ("linear", "relu", "tanh"):
        rms_by[activation] = {}
        for width in widths:
            gains = STDS * math.sqrt(width)
            passed = forward(layers(lecun_normal(), depth, width), activation, inputs(16, width), gains)
            rms = [0.5 * np.log10(np.maximum(np.mean(p.handed**2, axis=(1, 2)), 1e-300)) for p in passed]
            rms_by[activation][width] = _hundredths(np.stack(rms, axis=1))
    return {"stds": [float(f"{std:.3g}") for std in STDS], "rms": rms_by}


# ---------------------------------------------------------------------- 3: forward and backward want different things
SHAPES = {
    "equal": [96] * 9,
    "narrowing": [384, 256, 171, 114, 76, 51, 34, 23, 15],
    "widening": [15, 23, 34, 51, 76, 114, 171, 256, 384],
    "hourglass": [256, 128, 64, 32, 16, 32, 64, 128, 256],
}


def balance(seeds: int = 8) -> dict[str, Any]:
    """log10 (times 100) of signal and gradient RMS by layer: shape of the network, fan, activation."""
    data: dict[str, Any] = {"sizes": SHAPES, "curves": {}}
    for shape, sizes in SHAPES.items():
        for mode in ("fan_in", "fan_out", "fan_avg"):
            scheme = variance_scaling(mode=mode)
            for activation in ("linear", "tanh"):
                runs = [_both_ways(scheme, sizes, activation, seed) for seed in range(seeds)]
                mean = 0.5 * np.log10(np.mean([10 ** (2 * run) for run in runs], axis=0))
                data["curves"][f"{shape} {mode} {activation}"] = _hundredths(mean)
    return data


def _both_ways(scheme: Scheme, sizes: Sequence[int], activation: str, seed: int) -> Array:
    """(2, layers): log10 of the RMS handed on, and of the gradient in units of the last layer's."""
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    weights = [layer(scheme, index, shape, seed=seed) for index, shape in enumerate(shapes)]
    passed = forward(weights, activation, inputs(64, sizes[0], seed=seed), ONE)
    back = np.array([step.log_rms[0, 0] for step in backward(weights, passed, ONE, (len(weights),), seed=seed)])
    return np.array([mean_square([p.handed for p in passed]), back - back[-1]])


# ---------------------------------------------------------------------- 4: the half that ReLU cuts off
SLOPES_BELOW = (0.0, 0.01, 0.1, 0.25, 0.5, 1.0)


def halves(depth: int = 30, width: int = 256) -> list[dict[str, Any]]:
    """For each slope below zero: what is left of a normal signal, the gain that makes up for it, and both by depth."""
    sample = fill(Normal(0.0, 1.0), (200_000,), seed=0, name="explore.halves", dtype="float64")
    edges = np.linspace(-49 / 12, 49 / 12, 50)  # one bar stands around 0
    rows = []
    for slope in SLOPES_BELOW:
        name = f"leaky_relu({slope})"
        phi = activation_of(name)
        curves = {}
        for key, scheme in {
            "he": he_normal(negative_slope=slope),
            "plain": he_normal(),
            "xavier": xavier_normal(),
        }.items():
            passed = _run(scheme, phi, depth, width)
            curves[key] = _hundredths(mean_square(passed))
        after = np.histogram(phi(sample), edges)[0] / len(sample)
        left = moments(name)
        rows.append(
            {"slope": slope, "second": left.second, "gain": left.gain, "after": after.round(5).tolist(), **curves}
        )
    before = np.histogram(sample, edges)[0] / len(sample)
    return [{"edges": edges.round(5).tolist(), "before": before.round(5).tolist()}, *rows]


def _run(scheme: Scheme, phi: Any, depth: int, width: int) -> list[Array]:
    handed, after = inputs(32, width), []
    for weight in layers(scheme, depth, width):
        handed = phi(handed @ weight.T)
        after.append(handed)
    return after


# ---------------------------------------------------------------------- 5: a mean and a variance that come home
BEGINNINGS = ((0.0, 0.2), (0.0, 2.5), (0.8, 0.6), (-0.8, 0.6), (0.6, 2.0), (-0.6, 2.0))


def homing(depth: int = 30, width: int = 512) -> dict[str, Any]:
    """Mean and variance of what is handed on, from different inputs: scheme, activation, beginning, layer."""
    paths_of: dict[str, Any] = {}
    for key, scheme in {"lecun": lecun_normal(), "he": he_normal()}.items():
        weights = layers(scheme, depth, width)
        for activation in ("selu", "tanh", "relu", "elu"):
            phi, paths = activation_of(activation), []
            for mean, variance in BEGINNINGS:
                handed = mean + math.sqrt(variance) * inputs(16, width)
                path = [(float(handed.mean()), float(handed.var()))]
                for weight in weights:
                    handed = phi(handed @ weight.T)
                    path.append((float(handed.mean()), float(handed.var())))
                paths.append(np.round(np.minimum(path, 1e6), 3).tolist())
            paths_of[f"{key} {activation}"] = paths
    return paths_of


TENSIONS = (0.1, 0.3, 1.0, 3.0, 10.0)


def tension(width: int = 256) -> list[dict[str, Any]]:
    """One LeCun layer before tanh, its std times a factor: where the sums fall, and how many lie on flat ground."""
    sums = (inputs(64, width) @ layer(lecun_normal(), 0, (width, width)).T).ravel()
    edges = np.linspace(-5, 5, 51)
    rows = []
    for factor in TENSIONS:
        scaled = np.clip(sums * factor, -4.99, 4.99)
        shares = np.histogram(scaled, edges)[0] / len(sums)
        out = np.histogram(np.tanh(scaled), np.linspace(-1, 1, 42))[0] / len(sums)
        slope = 1 - np.tanh(sums * factor) ** 2
        straight, flat = float(np.mean(slope > 0.95)), float(np.mean(slope < 0.05))
        shown = {"shares": np.round(shares, 5).tolist(), "out": np.round(out, 5).tolist()}
        rows.append({"factor": factor, **shown, "straight": straight, "flat": flat})
    return rows


# ---------------------------------------------------------------------- 6: what a product does to lengths
CIRCLE = 4  # units of the layers whose image of a ball is drawn


def singular(depth: int = 50, width: int = 64) -> dict[str, Any]:
    """Singular values of the product of 1 .. depth matrices, as log10 times 100, largest first; and in layers of four
    units the two longest half axes of what becomes of all inputs of length 1.

    Values below 1e-15 of the largest are lost to rounding and shown at that floor.
    """
    data: dict[str, Any] = {"width": width}
    for key, scheme in {"gaussian": lecun_normal(), "orthogonal": orthogonal()}.items():
        spectra = _spectra(layers(scheme, depth, width))
        values = [_hundredths(np.log10(np.maximum(s, s[0] * 1e-15))) for s in spectra]
        halves = [np.round(s[:2], 4).tolist() for s in _spectra(layers(scheme, depth, CIRCLE))]
        data[key] = {"values": values, "circle": halves}
    return data


def _spectra(weights: Sequence[Array]) -> list[Array]:
    product, spectra = np.eye(weights[0].shape[1]), []
    for weight in weights:
        product = weight @ product
        spectra.append(np.linalg.svd(product, compute_uv=False))
    return spectra


# ---------------------------------------------------------------------- 7: each layer its own scheme
HYBRID = ("relu",) * 12 + ("tanh",) * 12 + ("selu",) * 12
MATCHED = {"relu": he_normal(), "tanh": xavier_normal(gain=5 / 3), "selu": lecun_normal()}


def hybrid(width: int = 128) -> dict[str, Any]:
    """One network with three activations under one scheme for all layers, and under one for each."""
    x = inputs(64, width)
    data: dict[str, Any] = {"activations": HYBRID, "schemes": {k: v.spelling for k, v in MATCHED.items()}}
    plans = {
        "he": [he_normal()] * len(HYBRID),
        "xavier": [xavier_normal()] * len(HYBRID),
        "matched": [MATCHED[activation] for activation in HYBRID],
    }
    for key, schemes in plans.items():
        handed, weights, passed = x[None], [], []
        for index, (scheme, activation) in enumerate(zip(schemes, HYBRID, strict=True)):
            weights.append(layer(scheme, index, (width, width)))
            passed += forward(weights[-1:], activation, handed[0], ONE)
            handed = passed[-1].handed
        back = np.array([step.log_rms[0, 0] for step in backward(weights, passed, ONE, (len(weights),))])
        data[key] = {"signal": mean_square([p.handed for p in passed]), "gradient": (back - back[-1]).tolist()}
    return data


# ---------------------------------------------------------------------- the formulas with numbers in them
COUNTS = (1, 2, 3, 4, 5, 8, 10, 16, 32, 64, 100, 128, 256, 512, 784, 1024)
FORMULAS: dict[str, Scheme] = {
    "zeros": zeros(),
    "constant": constant(0.5),
    "fan_in_uniform": fan_in_uniform(),
    "xavier_normal": xavier_normal(),
    "xavier_uniform": xavier_uniform(),
    "he_normal": he_normal(),
    "he_uniform": he_uniform(),
    "lecun_normal": lecun_normal(),
    "lecun_uniform": lecun_uniform(),
}


def formulas() -> dict[str, Any]:
    """For every number of inputs and outputs: std and, for bounded laws, the bound of each scheme's weights."""
    data: dict[str, Any] = {"counts": COUNTS, "std": {}, "bound": {}}
    for key, scheme in FORMULAS.items():
        laws = [[scheme.law((outputs, count)) for outputs in COUNTS] for count in COUNTS]
        data["std"][key] = [[float(f"{math.sqrt(law.moments().variance):.5g}") for law in row] for row in laws]
        if key.endswith("uniform"):
            data["bound"][key] = [[float(f"{law.support()[1]:.5g}") for law in row] for row in laws]
    return data
