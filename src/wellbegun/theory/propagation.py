"""How a signal goes through one operation, in the limit of many units: second moments, means, overlaps, gradients.

Averages are over the draw of the weights, over units and over samples. A function of a normal pre-activation is
expanded in Hermite polynomials: phi(m + s z) = sum_k a_k h_k(z), with a_k by quadrature in one dimension. Then the
average over two correlated normals, an integral in two dimensions, is the series sum_k a_k^2 c^k (Mehler's formula).
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import real
from wellbegun._typing import Array
from wellbegun.theory.activations import Function
from wellbegun.theory.gains import activation_of
from wellbegun.theory.quadrature import Samples, sample

_TERMS = 512  # of the series; a kink leaves about 1e-5 of E phi^2 to the rest
_REST = 1.6 * _TERMS  # the degree that stands for the rest: half of what a kink leaves lies beyond it
_STEP = 0.02  # least relative difference between the two variances a function is looked at


class Signal(NamedTuple):
    """What is known of a value. All are averages over units, samples (and positions) and the draw of the weights.

    `second` is E x^2, `mean` E x, `overlap` E x x' of one unit for two different samples (None: not known), so
    `overlap / second` is the correlation of two inputs. Where units come in mirrored pairs, `twin` is E x y of the two
    members for one sample, `cross` for two different ones. `normal`: a weight made it, and no function has bent it.
    Samples need not be equally large: `spread` is the relative standard deviation of their second moments, `scatter`
    the standard deviation of the correlation among pairs, and `between` the share of spread^2 that is between samples
    (the rest is between positions, which the two samples of a pair have in common). `apart`: what a weight that reads
    pairs multiplies an error of the correlation with.
    """

    second: float = 1.0
    mean: float = 0.0
    overlap: float | None = 0.0
    twin: float | None = None
    cross: float | None = None
    normal: bool = False
    spread: float = 0.0
    scatter: float = 0.0
    between: float = 1.0
    apart: float = 1.0

    @property
    def correlation(self) -> float | None:
        """overlap / second; None if it is not known."""
        return None if self.overlap is None or not self.second else self.overlap / self.second


class Weight(NamedTuple):
    """What a weight does: sums of `terms` products with entries of moments `second` and `mean`.

    `mirrored`: whether its outputs, and its inputs, come in pairs of opposite sign. `joint`: entries have a common mean
    that adds up, unlike that of an identity matrix.
    """

    terms: float
    second: float
    mean: float = 0.0
    outputs_mirrored: bool = False
    inputs_mirrored: bool = False
    joint: bool = True


class Bent(NamedTuple):
    """A signal behind a function, and how sensitive it is.

    `growth` is d log E phi^2 / d log q, `contrast` how a difference in correlation is multiplied, `slope` E phi'^2 and
    `twin_slope` E phi'(x) phi'(y) of mirrored members (None: no pairs).
    """

    signal: Signal
    growth: float
    contrast: float
    slope: float
    twin_slope: float | None


# ---------------------------------------------------------------------- two correlated normals
class Series(NamedTuple):
    """sum_k products_k c^k, with what is left of E phi^2 in even and odd terms of high degree."""

    products: Array
    even: float
    odd: float

    def __call__(self, c: Array | float | list[float]) -> Array:
        """The average for normals of correlation c in [-1, 1]."""
        c = np.asarray(c, np.float64)
        far = np.abs(c) ** _REST
        total = c[..., None] ** np.arange(_TERMS) @ self.products + far * (self.even + np.sign(c) * self.odd)
        return np.asarray(total, np.float64)


def series(function: Function, mean: float = 0.0, spread: float = 1.0) -> Series:
    """c -> E phi(x) phi(y) for normals x, y of this mean and standard deviation, and correlation c.

    Formula: sum_k a_k^2 c^k, a_k = E phi(mean + spread z) h_k(z) with orthonormal Hermite polynomials h_k.
    Source: Mehler 1866; as the correlation map of a network: Poole et al. 2016, arXiv:1606.05340; Daniely et al. 2016,
        arXiv:1602.05897.
    Accuracy: machine precision for smooth functions; for a kink 1e-9 up to |c| = 0.98, and about 1e-6 beyond.

    >>> kernel = series(lambda x: np.maximum(x, 0))
    >>> bool(np.allclose(kernel([0, 1]), [1 / (2 * np.pi), 0.5]))       # (E relu)^2, E relu^2
    True
    """
    samples = _sampled(function, mean, spread)
    return _product(samples, samples)


def correlation_map(activation: str | Function, *, q: float = 1.0) -> Callable[[Array | float], Array]:
    """c -> correlation of phi(x) and phi(y), where x and y have variance q and correlation c (uncentred: E phi phi').

    Formula: E phi(x) phi(y) / E phi(x)^2; the map of a layer without bias.
    Source: Poole et al. 2016, arXiv:1606.05340.
    Raises:
        As `moments`.

    >>> round(float(correlation_map("relu")(0.0)), 9)                    # 1 / pi
    0.318309886
    >>> bool(np.allclose(correlation_map("linear", q=3)([-1, 0.2, 1]), [-1, 0.2, 1]))
    True
    """
    variance = real("correlation_map", "q", q, minimum=0, exclusive=True)
    kernel = series(activation_of(activation) if isinstance(activation, str) else activation, 0.0, math.sqrt(variance))
    whole = float(kernel(1.0))
    return lambda c: kernel(c) / whole


@functools.cache
def _recurrence() -> tuple[Array, Array]:
    k = np.sqrt(np.arange(_TERMS + 1))
    return k, 1 / np.maximum(k, 1)


def _coefficients(samples: Samples) -> Array:
    """a_k = E phi h_k."""
    root, inverse = _recurrence()
    weighted = samples.weight * samples.value
    coefficients = np.empty(_TERMS)
    before, now = np.zeros_like(samples.x), np.ones_like(samples.x)
    for k in range(_TERMS):
        coefficients[k] = weighted @ now
        before, now = now, (samples.x * now - root[k] * before) * inverse[k + 1]
    return coefficients


def _product(low: Samples, high: Samples, between: float = 1.0) -> Series:
    """The series for samples that have one of two variances, each as often, and independently in so many pairs."""
    first = _coefficients(low)
    second = first if high is low else _coefficients(high)
    products = between * ((first + second) / 2) ** 2 + (1 - between) * (first**2 + second**2) / 2
    whole = float(low.weight @ low.value**2 + high.weight @ high.value**2) / 2
    rest = max(whole - float(np.sum(first**2 + second**2)) / 2, 0.0)
    even, odd = float(products[-128::2].sum()), float(products[-127::2].sum())
    share = even / (even + odd) if even + odd > 0 else 0.5
    return Series(products, rest * share, rest * (1 - share))


# ---------------------------------------------------------------------- one operation
def through_function(signal: Signal, function: Function) -> Bent:
    """A function of a normal signal.

    Formula: E phi(m + s z)^2, E phi(m + s z) and E phi(x) phi(y), with s^2 = second - mean^2 and the correlation
    (overlap - mean^2) / s^2; averaged over two sizes 1 +- spread and two correlations c +- scatter.
    Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.

    >>> bent = through_function(Signal(2.0, normal=True), lambda x: np.maximum(x, 0))
    >>> round(bent.signal.second, 9), round(bent.slope, 9), round(bent.growth, 3)
    (1.0, 0.5, 1.0)
    """
    m = signal.mean
    variance = max(signal.second - m * m, 0.0)
    apart = min(max(signal.spread, _STEP), 0.95)
    sizes = [variance * (1 - apart), variance * (1 + apart)]
    low, high = (_sampled(function, m, math.sqrt(size)) for size in sizes)
    seconds = [float(s.weight @ s.value**2) for s in (low, high)]
    second = sum(seconds) / 2
    growth = _log_ratio(*seconds) / math.log((1 + apart) / (1 - apart))
    mean = sum(float(s.weight @ s.value) for s in (low, high)) / 2
    slope = sum(float(s.weight @ s.slope**2) / max(q, 1e-300) for s, q in zip((low, high), sizes, strict=True)) / 2
    kernel = _product(low, high, signal.between * min(signal.spread / apart, 1.0) ** 2)
    overlap, contrast, scatter = _overlap(signal, kernel, variance, second)
    spread = abs(seconds[1] - seconds[0]) / 2 / second if second and signal.spread else 0.0
    twin, cross, twin_slope = _pairs(signal, function, kernel, variance)
    apart_again = 1.0 if twin is None else _apart(signal, kernel, variance, (second - twin) * contrast)
    out = Signal(second, mean, overlap, twin, cross, False, spread, scatter, signal.between, apart_again)
    return Bent(out, growth, contrast, slope, twin_slope)


def _apart(signal: Signal, kernel: Series, variance: float, size: float) -> float:
    """Slope of E (phi(x) - phi(-x)) phi(x') in the correlation of x and x', in units of that of E phi(x) phi(x')."""
    if signal.overlap is None or not variance or size <= 0:
        return 1.0
    c = _clip((signal.overlap - signal.mean**2) / variance)
    ends = np.clip([c - _STEP, c + _STEP, -c - _STEP, -c + _STEP], -1, 1)
    a, b, d, e = (float(value) for value in kernel(ends))
    return (abs(b - a) + abs(e - d)) / max(float(ends[1] - ends[0]), 1e-9) / size


def _sampled(function: Function, mean: float, spread: float) -> Samples:
    return sample(lambda z: function(mean + spread * z), owner="signal_propagation")


def _overlap(signal: Signal, kernel: Series, variance: float, second: float) -> tuple[float | None, float, float]:
    """(E phi(x) phi(y), how a difference in correlation is multiplied, scatter of the new correlation)"""
    if signal.overlap is None:
        return None, 0.0, 0.0
    alike = ((1 - signal.spread) ** 0.5 + (1 + signal.spread) ** 0.5) ** 2 / 4 if signal.spread < 1 else 0.5
    alike = signal.between * alike + 1 - signal.between
    # of samples made equally large
    c = _clip((signal.overlap - signal.mean**2) / variance / alike) if variance else 0.0
    apart = max(signal.scatter, _STEP)
    ends = np.clip([c - apart, c + apart], -1, 1)
    low, high = (float(value) for value in kernel(ends))
    rise = abs(high - low) / second if second else 0.0
    contrast = rise / max(float(ends[1] - ends[0]), 1e-9)
    around = min(signal.scatter, 1 - abs(c))  # the same on both sides, or the mean would move
    overlap = float(np.mean(kernel(np.array([c - around, c + around]))))
    return overlap, contrast, contrast * signal.scatter


def _pairs(
    signal: Signal, function: Function, kernel: Series, variance: float
) -> tuple[float | None, float | None, float | None]:
    """(E phi(x) phi(y), the same for two samples, E phi'(x) phi'(y)) of mirrored members."""
    if signal.twin is None or not variance:
        return None, None, None
    m, s = signal.mean, math.sqrt(variance)
    t = _clip((signal.twin - m * m) / variance)
    if t > -1 + 1e-4:  # no exact mirror images
        return float(kernel(t)), _cross(signal, kernel, variance), None
    both = sample(lambda z: function(m + s * z) * function(m - s * z), owner="signal_propagation")
    odd = sample(lambda z: function(m + s * z) - function(m - s * z), owner="signal_propagation")
    one = _sampled(function, m, s)
    # (phi'(x) + phi'(y))^2 = phi'(x)^2 + phi'(y)^2 + 2 phi'(x) phi'(y)
    slopes = float(odd.weight @ odd.slope**2) / 2 - float(one.weight @ one.slope**2)
    return float(both.weight @ both.value), _cross(signal, kernel, variance), slopes / variance


def _cross(signal: Signal, kernel: Series, variance: float) -> float | None:
    if signal.cross is None:
        return None
    return float(kernel(_clip((signal.cross - signal.mean**2) / variance)))


def _clip(c: float) -> float:
    return min(max(c, -1.0), 1.0)


def _log_ratio(low: float, high: float) -> float:
    return math.log(high / low) if low > 0 and high > 0 else 0.0


def affine(signal: Signal, factor: float, shift: float = 0.0) -> Signal:
    """factor x + shift.

    >>> affine(Signal(1.0, 0.5, 0.3), 2.0, 1.0)[:3]
    (7.0, 2.0, 4.2)
    """

    def moved(value: float | None) -> float | None:
        return None if value is None else factor**2 * value + 2 * factor * shift * signal.mean + shift**2

    second = moved(signal.second) or 0.0
    kept = factor**2 * signal.second / second if second else 0.0
    averages = second, factor * signal.mean + shift, moved(signal.overlap), moved(signal.twin), moved(signal.cross)
    return Signal(*averages, signal.normal, signal.spread * kept, signal.scatter * kept, signal.between)


def through_weight(signal: Signal, weight: Weight) -> Signal:
    """A product with a random matrix or kernel.

    Formula: terms E w^2 E x^2 for zero-mean weights, E x x' alike; (semi-)orthogonal matrices have the same averages.
    Mirrored inputs see x - y of each pair: E x^2 - E x y instead of E x^2.
    Source: He et al. 2015, arXiv:1502.01852; pairs: Balduzzi et al. 2017, arXiv:1702.08591.

    >>> through_weight(Signal(2.0, 1.0, 0.5), Weight(100, 0.01)).second
    2.0
    """
    n, mean = weight.terms, signal.mean
    second, overlap = signal.second, signal.overlap
    if weight.inputs_mirrored and signal.twin is not None:
        second, mean = second - signal.twin, 0.0
        overlap = None if overlap is None or signal.cross is None else overlap - signal.cross
    m2 = weight.mean**2 if weight.joint else 0.0
    common = m2 * n * (n - 1) * mean**2
    out = n * weight.second * second + common
    shared = None if overlap is None else n * weight.second * overlap + common
    first = n * weight.mean * mean
    twin = -out if weight.outputs_mirrored else None
    cross = -shared if weight.outputs_mirrored and shared is not None else None
    return Signal(out, first, shared, twin, cross, True, signal.spread, signal.scatter, signal.between)


def plus_bias(signal: Signal, mean: float, variance: float) -> Signal:
    """x + b, where a unit's b is the same for every sample.

    >>> plus_bias(Signal(1.0, 0.0, 0.2), 0.0, 0.5)[:3]
    (1.5, 0.0, 0.7)
    """
    out = affine(signal, 1.0, mean)
    if not variance:
        return out
    kept = out.second / (out.second + variance)
    overlap = None if out.overlap is None else out.overlap + variance
    spread, scatter = out.spread * kept, out.scatter * kept
    return out._replace(second=out.second + variance, overlap=overlap, spread=spread, scatter=scatter)


def plus(x: Signal, y: Signal, sign: float = 1.0) -> Signal:
    """Sum (sign -1: difference) of two signals whose weights are independent.

    >>> plus(Signal(1.0, 0.0, 0.5), Signal(2.0, 0.0, 0.5)).second
    3.0
    """
    both = 2 * sign * x.mean * y.mean
    overlap = None if x.overlap is None or y.overlap is None else x.overlap + y.overlap + both
    second = x.second + y.second + both
    parts = (x.second / second, y.second / second) if second else (0.5, 0.5)
    spread = parts[0] * x.spread + parts[1] * y.spread  # both parts are as large where a sample is large
    scatter = parts[0] * x.scatter + parts[1] * y.scatter
    mean, normal, between = x.mean + sign * y.mean, x.normal and y.normal, max(x.between, y.between)
    return Signal(second, mean, overlap, None, None, normal, spread, scatter, between)


def times(x: Signal, y: Signal) -> Signal:
    """Entrywise product of two signals whose weights are independent.

    >>> times(Signal(1.0, 0.0, 0.5), Signal(2.0, 0.0, 0.5)).overlap
    0.25
    """
    overlap = None if x.overlap is None or y.overlap is None else x.overlap * y.overlap
    spread, scatter, between = x.spread + y.spread, x.scatter + y.scatter, max(x.between, y.between)
    return Signal(x.second * y.second, x.mean * y.mean, overlap, None, None, False, spread, scatter, between)


def normalized(signal: Signal, *, centred: bool) -> Signal:
    """Every sample divided by its RMS over units (centred: its standard deviation, after taking away its mean).

    >>> normalized(Signal(5.0, 1.0, 2.0), centred=True)[:3]
    (1.0, 0.0, 0.25)
    """
    mean = signal.mean if centred else 0.0
    moved = affine(signal, 1.0, -mean)
    if moved.second <= 0:
        return moved
    return affine(moved, moved.second**-0.5)._replace(spread=0.0)
