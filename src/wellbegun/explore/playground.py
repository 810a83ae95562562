"""Every combination the page can show, measured: scheme, activation, depth, width, scale.

Schemes that differ only in scale draw the same numbers from one stream, times a factor. So each kind of draw is made
once, and all its gains (std * sqrt(width)) go through the network side by side.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np

from wellbegun._typing import Array
from wellbegun.explore.expected import curves
from wellbegun.explore.networks import (
    HOMOGENEOUS,
    SLOPES,
    Backward,
    Forward,
    backward,
    forward,
    inner,
    inputs,
    layers,
    usual_slope,
    usually_flat,
)
from wellbegun.health.catalogue import COLLAPSE, GRADIENT_RANGE, SATURATED, SIGNAL_RANGE
from wellbegun.schemes import (
    constant,
    fan_in_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    mirrored,
    normal,
    orthogonal,
    uniform,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from wellbegun.schemes.base import Scheme
from wellbegun.theory.activations import DEAD_SLOPE, FLAT_SLOPE

DEPTHS = (2, 5, 10, 20, 30, 50)
WIDTHS = (16, 64, 256)
SCALES = (0.25, 0.5, 0.5**0.5, 1.0, 2**0.5, 2.0, 4.0)
LAYERS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50)  # whose distributions are kept
VALUES = 4096  # entries of the batch that are measured in each layer, at any width
BINS = 25
RANGES = {"tanh": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}  # of the histogram of what is handed on; +-3 for the others
# findings of `wellbegun check` as bits
W101, W102, W201, W202, W301, W103, W702 = (1 << bit for bit in range(7))


@dataclass(frozen=True)
class Choice:
    """A scheme a learner can pick, and the unit draw it is a multiple of."""

    key: str
    label: str
    scheme: Scheme
    kind: str
    unit: Scheme | None = None  # of a kind that is none of KINDS
    widths: tuple[int, ...] = WIDTHS  # at which it can be picked

    def gain(self, width: int) -> float:
        """RMS of the weights, in units of those of the kind."""
        return _rms(self.scheme, width) / _rms(self.unit or KINDS[self.kind], width)


def _rms(scheme: Scheme, width: int) -> float:
    moments = inner(scheme, width).law((width, width)).moments((width, width))
    return math.sqrt(moments.variance + moments.mean**2)


KINDS = {
    "normal": lecun_normal(),
    "uniform": lecun_uniform(),
    "orthogonal": orthogonal(),
    "mirrored": mirrored(orthogonal()),
    "constant": constant(1.0),
}
CHOICES = (
    Choice("zeros", "Zeros", zeros(), "constant"),
    Choice("constant", "Constant 0.01", constant(0.01), "constant"),
    Choice("small", "Naive normal, std 0.01", normal(std=0.01), "normal"),
    Choice("large", "Naive normal, std 1", normal(std=1.0), "normal"),
    Choice("naive_uniform", "Naive uniform, ±0.05", uniform(-0.05, 0.05), "uniform"),
    Choice("fan_in_uniform", "Uniform, ±1/√n", fan_in_uniform(), "uniform"),
    Choice("xavier_normal", "Xavier normal", xavier_normal(), "normal"),
    Choice("xavier_uniform", "Xavier uniform", xavier_uniform(), "uniform"),
    Choice("he_normal", "He normal", he_normal(), "normal"),
    Choice("he_uniform", "He uniform", he_uniform(), "uniform"),
    Choice("lecun_normal", "LeCun normal", lecun_normal(), "normal"),
    Choice("lecun_uniform", "LeCun uniform", lecun_uniform(), "uniform"),
    Choice("orthogonal", "Orthogonal", orthogonal(), "orthogonal"),
    Choice("mirrored", "Mirrored orthogonal", mirrored(orthogonal()), "mirrored"),
)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Measured:
    """What is known of networks that differ in gain only. First axis of all arrays: the gain.

    Gradients are laid out as `triples`: for each depth its layers in order; `gradient` is log10 of their RMS in units
    of the last layer's.
    """

    gains: Array
    handed: Array  # log10 of the RMS handed on, by layer
    gradient: Array  # by depth and layer
    flat: Array  # share of entries, by layer
    dead: Array  # share of units flat for every sample, by layer
    alike: Array  # mean cosine of two samples' sums, by layer
    shape: Array  # histograms of what is handed on, at LAYERS
    gradient_shape: Array  # histograms of |gradient|, for each depth at its LAYERS
    findings: Array  # bits, by depth
    extreme: Array  # log10 of the ratio that decided, by depth: signal and gradient


def kinds_of(choices: Iterable[Choice] = CHOICES) -> dict[str, Scheme]:
    """The unit draws that they are multiples of."""
    return {**KINDS, **{choice.kind: choice.unit for choice in choices if choice.unit is not None}}


def gains_of(kind: str, width: int, choices: Iterable[Choice] = CHOICES) -> Array:
    """All gains the choices of one kind need, at any scale, without repetition."""
    needed = [choice.gain(width) for choice in choices if choice.kind == kind and width in choice.widths]
    gains = {round(gain * scale, 9) for gain in needed for scale in SCALES}
    return np.array(sorted(gains))


def measure(
    kind: str,
    activation: str,
    width: int,
    gains: Array,
    *,
    depth: int = 50,
    seed: int = 0,
    weights: Sequence[Array] | None = None,
) -> Measured:
    """Send samples forward and a gradient back through one network for each gain.

    Args:
        kind: A key of `KINDS`, or of `kinds_of` with `weights`.
        activation: A name of `SLOPES`.
        width: Units of every layer; even for mirrored ones.
        gains: Factors of the kind's weights.
        depth: Layers of the deepest network; shorter ones end at those `DEPTHS` that are smaller.
        weights: `layers(KINDS[kind], depth, width, seed=seed)`, where they are drawn already.

    >>> he = measure("normal", "relu", 64, np.array([2**0.5]), depth=5)
    >>> bool(abs(he.handed[0, 4]) < 0.15), int(he.findings[0, 1])
    (True, 0)
    """
    depths = [each for each in DEPTHS if each <= depth]
    weights = layers(KINDS[kind], depth, width, seed=seed) if weights is None else weights
    # where phi(s x) = s phi(x), one network tells of all: layer l of another has gain ** l times its signal
    shared = activation in HOMOGENEOUS and kind != "constant"
    run = np.ones(1) if shared else gains
    grown = np.log10(gains)[:, None] if shared else np.zeros((len(gains), 1))
    passed = forward(weights, activation, inputs(VALUES // width, width, seed=seed), run)
    half = [Forward(p.sums, p.handed, p.slopes[:, : max(VALUES // width // 2, 8)]) for p in passed]
    ratios, gradient_shapes = _gradients(backward(weights, half, run, depths, seed=seed), depths, grown)
    level, every = grown * np.arange(1, depth + 1), np.ones((len(gains), 1))
    flat, dead = (share * every for share in _flatness(passed, activation))
    alike = _stacked(_alike, passed, "sums") * every
    sums = _stacked(_log_rms, passed, "sums") + level
    findings = _findings(sums, ratios, depths) | _stuck(activation, flat, alike, depths)
    return Measured(
        gains=gains,
        handed=_stacked(_log_rms, passed, "handed") + level,
        gradient=np.concatenate(ratios, axis=1),
        flat=flat,
        dead=dead,
        alike=alike,
        shape=_shapes(passed, grown, range_of(activation)),
        gradient_shape=gradient_shapes,
        findings=np.full_like(findings, W301) if kind == "constant" else findings,  # the rest only follows from it
        extreme=_extremes(sums, ratios, depths),
    )


def range_of(activation: str) -> tuple[float, float]:
    """What the histograms of what is handed on cover."""
    return RANGES.get(activation, (-3.0, 3.0))


def _stacked(what: Callable[[Array], Array], passed: Sequence[Forward], field: str) -> Array:
    return np.stack([what(getattr(each, field)) for each in passed], axis=1)


def _shapes(passed: Sequence[Forward], grown: Array, ends: tuple[float, float]) -> Array:
    kept = [at for at in LAYERS if at <= len(passed)]
    scaled = ((passed[at - 1].handed, 10 ** (grown * at)[:, :, None]) for at in kept)
    return np.stack([_histogram(handed * factor, *ends, BINS) for handed, factor in scaled], axis=1)


def _log_rms(values: Array) -> Array:
    largest = np.abs(values).max(axis=(1, 2), keepdims=True)
    with np.errstate(divide="ignore"):
        mean = np.mean((values / np.where(largest > 0, largest, 1)) ** 2, axis=(1, 2))
        return np.asarray(0.5 * np.log10(mean) + np.log10(largest[:, 0, 0]))


def _flatness(passed: Sequence[Forward], activation: str) -> tuple[Array, Array]:
    usual = usual_slope(activation)
    flat = [(np.abs(p.slopes) < FLAT_SLOPE * usual).mean(axis=(1, 2)) for p in passed]
    dead = [(np.abs(p.slopes) < DEAD_SLOPE * usual).all(axis=1).mean(axis=1) for p in passed]
    return np.stack(flat, axis=1), np.stack(dead, axis=1)


def _alike(sums: Array) -> Array:
    size = np.abs(sums).max(axis=(1, 2), keepdims=True)
    scaled = sums / np.where(size > 0, size, 1)
    length = np.sqrt(np.einsum("gsn,gsn->gs", scaled, scaled))[:, :, None]
    unit = scaled / np.where(length > 0, length, 1)
    unit[..., 0] += (length == 0)[..., 0]  # samples that all became 0 are equal
    total, samples = unit.sum(axis=1), sums.shape[1]
    return np.asarray(((total**2).sum(axis=1) - samples) / (samples * (samples - 1)))


def _histogram(values: Array, low: float, high: float, bins: int) -> Array:
    """Shares for each network (first axis); what lies beyond the ends is counted in the last bins."""
    count = len(values)
    inside = np.clip((values.reshape(count, -1) - low) * (bins / (high - low)), 0, bins - 1).astype(np.intp)
    inside += bins * np.arange(count)[:, None]
    return np.bincount(inside.ravel(), minlength=count * bins).reshape(count, bins) / inside.shape[1]


def _gradients(back: Sequence[Backward], depths: Sequence[int], grown: Array) -> tuple[list[Array], Array]:
    """For each depth: log ratios (gain, layer); and all histograms (gain, depth and layer, bin)."""
    ratios, shapes = [], []
    for end in depths:
        rows = [layer.log_rms[_row(depths, end, index)] for index, layer in enumerate(back[:end])]
        logs = np.stack(rows, axis=1)
        last = np.where(np.isfinite(logs[:, -1]), logs[:, -1], 0.0)
        ratios.append(logs - last[:, None] + grown * np.arange(end - 1, -1, -1))
        for at in LAYERS:
            if at <= end:
                factor = np.where(np.isfinite(ratios[-1][:, at - 1]), ratios[-1][:, at - 1], -300.0).clip(-300, 300)
                unit = np.abs(back[at - 1].gradient[_row(depths, end, at - 1)])
                shapes.append(_histogram(unit * 10 ** factor[:, None, None], 0.0, 3.0, BINS // 2 + 1))
    return ratios, np.stack(shapes, axis=1)


def _row(depths: Sequence[int], end: int, index: int) -> int:
    """Where the depth `end` stands among those that reach layer `index`."""
    return [depth for depth in depths if depth > index].index(end)


def _findings(sums: Array, ratios: Sequence[Array], depths: Sequence[int]) -> Array:
    """What `wellbegun check` finds of signal and gradient, as bits, for each network and depth."""
    bits = []
    for depth, ratio in zip(depths, ratios, strict=True):
        low, high = sums[:, :depth].min(axis=1), sums[:, :depth].max(axis=1)
        first, largest = ratio[:, 0], ratio.max(axis=1)
        forward_bits = W101 * (low < -math.log10(SIGNAL_RANGE)) + W102 * (high > math.log10(SIGNAL_RANGE))
        back_bits = W201 * (first < -math.log10(GRADIENT_RANGE)) + W202 * (largest > math.log10(GRADIENT_RANGE))
        bits.append(forward_bits + back_bits)
    return np.stack(bits, axis=1).astype(np.uint8)


def _stuck(activation: str, flat: Array, alike: Array, depths: Sequence[int]) -> Array:
    """What it finds of saturation in any layer, and of collapse in the last one."""
    limit = usually_flat(activation) + SATURATED * (1 - usually_flat(activation))
    bits = [
        W702 * (flat[:, :depth] > limit).any(axis=1) + W103 * (1 - alike[:, depth - 1] < COLLAPSE) for depth in depths
    ]
    return np.stack(bits, axis=1).astype(np.uint8)


def _extremes(sums: Array, ratios: Sequence[Array], depths: Sequence[int]) -> Array:
    """The log ratios that decide, for each network and depth: of the signal, and of the gradient."""
    extremes = []
    for depth, ratio in zip(depths, ratios, strict=True):
        low, high = sums[:, :depth].min(axis=1), sums[:, :depth].max(axis=1)
        largest = ratio.max(axis=1)
        back = np.where(largest > math.log10(GRADIENT_RANGE), largest, ratio[:, 0])
        extremes.append(np.stack([np.where(-low > high, low, high), back], axis=1))
    return np.stack(extremes, axis=1)


def groups(widths: Sequence[int] = WIDTHS, choices: Iterable[Choice] = CHOICES) -> list[tuple[str, str, int]]:
    """What is measured, in the order of the data: kind, activation, width."""
    pairs = {(choice.kind, width) for choice in choices for width in choice.widths}
    every = itertools.product(kinds_of(choices), SLOPES, widths)
    return [(kind, activation, width) for kind, activation, width in every if (kind, width) in pairs]


@contextmanager
def stopping(threads: int) -> Iterator[tuple[ThreadPoolExecutor, Event]]:
    """Threads that begin nothing more once what waits for them fails or is interrupted, and what tells them so."""
    stopped = Event()
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield pool, stopped
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)


def measure_all(
    progress: Progress | None = None, *, widths: Sequence[int] = WIDTHS, choices: Sequence[Choice] = CHOICES
) -> list[Measured]:
    """All groups, with as many threads as there are processors, up to four.

    Cost: about 15 s of one processor for the widths of the page and the kinds that it has by itself.
    """
    measured: dict[tuple[str, str, int], Measured] = {}
    every, kinds = groups(widths, choices), kinds_of(choices)
    total = len(every)

    def draw_and_measure(kind: str, width: int) -> None:
        weights, gains = layers(kinds[kind], max(DEPTHS), width), gains_of(kind, width, choices)
        for activation in SLOPES:
            if stopped.is_set():
                return
            group = kind, activation, width
            measured[group] = measure(*group, gains, weights=weights)
            if progress is not None:
                progress(len(measured), total, f"{kind} weights, {activation}, width {width}")

    with stopping(min(os.cpu_count() or 1, 4)) as (pool, stopped):
        # the widest first: they take longest
        pairs = sorted({(kind, width) for kind, _, width in every}, key=lambda pair: -pair[1])
        jobs = [pool.submit(draw_and_measure, *pair) for pair in pairs]
        for job in jobs:
            job.result()
    return [measured[group] for group in every]


def has_theory(kind: str, unit: Scheme) -> bool:
    """Whether mean-field theory speaks of it: not of equal weights, nor of formulas."""
    if kind in KINDS:
        return kind != "constant"
    law = unit.law((WIDTHS[0], WIDTHS[0]))
    return law.independent and law.moments().mean == 0


def theory_of(activation: str, kind: str, gains: Array, depth: int = 50) -> tuple[Array, Array]:
    """Theory's curves for all gains, (gain, layer) each, for a kind that it speaks of."""
    each_gain = curves(activation, gains, depth, mirrored=kind == "mirrored")
    return np.array([each.handed for each in each_gain]), np.array([each.gradient for each in each_gain])
