"""The edge of chaos: where gradients neither grow nor fade with depth, and how far two inputs stay apart."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.theory.activations import Function
from wellbegun.theory.gains import exists, factor_of, phi_of
from wellbegun.theory.pairs import NEAR, Sampled, glimpse, sampled
from wellbegun.theory.propagation import series
from wellbegun.theory.quadrature import Averages

Means = Callable[[Array | float], Array]
_GRID = np.geomspace(1e-4, 100, 61)  # of q
_LOOKED = 1 / 11, 2.2  # what a variance that needs no look of its own may be of one that had it
_ABOVE = 1.27  # what is sampled above q: the next place of the grid


class Edge(NamedTuple):
    """Std of weights times sqrt(fan_in), and the variance of pre-activations it settles at."""

    weight_std: float
    q: float


class FixedPoint(NamedTuple):
    """Where a deep network settles: variance q of pre-activations, correlation c of two inputs, and chi = dc'/dc at 1.

    `depth_scale` is the number of layers over which a difference from c shrinks by e; inf on the edge of chaos.
    """

    q: float
    c: float
    chi: float
    depth_scale: float


def edge_of_chaos(activation: str | Callable[..., Any], *, bias_std: float = 0.0) -> Edge:
    """Weight std (for fan_in weights: std / sqrt(fan_in)) that puts a deep network on the edge of chaos.

    Formula: sigma_w^2 E phi'(sqrt(q) z)^2 = 1 and q = sigma_w^2 E phi(sqrt(q) z)^2 + bias_std^2; the smallest such q.
    Without bias it is sigma_w = 1 / |phi'(0)| at q = 0 if phi(0) = 0, and any q (1 is returned) for ReLU and the like.

    Args:
        activation: As of `moments`; both arguments of a gate have variance q.
        bias_std: Standard deviation of the biases, >= 0.
    Raises:
        ArgumentError: there is none, as for ReLU with a bias. UnknownNameError, ArgumentTypeError: as `moments`.
    Use: `normal(std=edge.weight_std / math.sqrt(fan_in))` for weights and `normal(std=bias_std)` for biases.
    Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.

    >>> edge = edge_of_chaos("tanh", bias_std=0.2)
    >>> round(edge.weight_std, 4), round(edge.q, 3)
    (1.3041, 0.512)
    >>> round(edge_of_chaos("relu").weight_std ** 2, 9)
    2.0
    """
    bias = real("edge_of_chaos", "bias_std", bias_std, minimum=0)
    at, scan, function = averages_of("edge_of_chaos", activation, 1e-4, 100.0)

    def excess(q: Array, found: Array) -> Array:
        second, slope = np.moveaxis(found, -1, 0)
        with np.errstate(all="ignore"):
            return np.where(slope > 0, q - second / slope - bias * bias, np.nan)

    known = cache(at)

    def exact(q: float) -> float:
        return float(excess(np.asarray(q), known(q)))

    values, rough = excess(_GRID, scan(_GRID)), scan is not at
    alike = bool(np.all(np.abs(values + bias * bias) < (0.5 if rough else 1e-9) * _GRID))
    alike = alike and all(abs(exact(q) + bias * bias) < 1e-9 * q for q in (10.0, 1.0))  # positively homogeneous
    if bias == 0 and alike:
        return Edge(float(known(1.0)[1]) ** -0.5, 1.0)
    at_zero = None if function is None else _at_zero(function)
    if bias == 0 and at_zero is not None:
        return Edge(1 / at_zero, 0.0)
    bracket = None if alike else _rise(values, exact) if rough else next(iter(_rises(values)), None)
    if bracket is not None:
        from scipy.optimize import brentq  # loaded on use, as all of SciPy

        left, right = (float(q) for q in _GRID[bracket : bracket + 2])
        q = float(brentq(exact, left, right, xtol=1e-9 * left if rough else 1e-14))
        return Edge(float(known(q)[1]) ** -0.5, q)
    remedy = "Use a smaller bias_std, or the second-moment gain: wellbegun.gain(activation)."
    raise ArgumentError(message("edge_of_chaos", "activation", "one with an edge of chaos", activation, remedy))


def fixed_point(activation: str | Callable[..., Any], weight_std: float, bias_std: float = 0.0) -> FixedPoint:
    """Where variance and correlation settle for these weights and biases, by iterating the maps.

    Formula: q -> sigma_w^2 E phi^2 + sigma_b^2, then c -> (sigma_w^2 E phi(x) phi(y) + sigma_b^2) / q, started at 0.9.
    Source: Schoenholz et al. 2017, arXiv:1611.01232.
    Raises:
        ArgumentError: the variance does not settle between 1e-6 and 1e6.

    >>> settled = fixed_point("tanh", 1.2, 0.3)                    # ordered: all inputs become equal
    >>> settled.chi < 1, round(settled.c, 6)
    (True, 1.0)
    """
    function, _ = phi_of(activation, 1)
    weight = real("fixed_point", "weight_std", weight_std, minimum=0, exclusive=True)
    bias = real("fixed_point", "bias_std", bias_std)
    w, b = weight * weight, bias * bias
    q, averages = 1.0, Averages(function, 1e-6, 1e6, owner="fixed_point")
    for _ in range(500):
        before, q = q, w * float(averages.at(q)[0]) + b
        if not 1e-6 < q < 1e6:
            raise ArgumentError(message("fixed_point", "weight_std", "one at which the variance settles", weight_std))
        if abs(q - before) < 1e-13 * q:
            break
    kernel = series(function, 0.0, math.sqrt(q))
    chi = w * float(averages.at(q)[1])
    c = 0.9
    for _ in range(20000):
        before, c = c, (w * float(kernel(c)) + b) / q
        if abs(c - before) < 1e-14:
            break
    c = min(c, 1.0)
    near = chi if c > 1 - 1e-6 else w * float(kernel(c + 1e-5) - kernel(c - 1e-5)) / 2e-5 / q
    scale = -1 / math.log(near) if 0 < near < 1 - 1e-12 else math.inf
    return FixedPoint(q, c, chi, scale)


def averages_of(
    owner: str, activation: str | Callable[..., Any], low: float, high: float
) -> tuple[Means, Means, Function | None]:
    """q -> E phi^2 and E |grad phi|^2; the same for many q at once, roughly where the first takes long for each (it is
    the first otherwise); and the function itself if it has one argument."""
    function, arguments = phi_of(activation)
    factor = (function, 0) if arguments == 1 else factor_of(function)
    if factor is None:
        known: list[Sampled] = []

        def of_pair(q: Array | float) -> Array:
            for each in known:
                if each.q / NEAR <= q <= each.q:
                    return each.at(float(q))
            top = _ABOVE * float(q)
            near = next((each for each in known if _LOOKED[0] <= top / each.looked <= _LOOKED[1]), None)
            try:
                found = sampled(function, top, owner, near)
                exists(found.pair.errors[0] / (found.pair.second or 1.0))
            except ArgumentError:  # it is not finite for variances as large
                if q <= low:
                    raise
                return np.array([np.nan, np.nan])
            known.append(found)
            return found.at(float(q))

        def glance(q: Array | float) -> Array:
            return glimpse(function, np.sqrt(q), owner) / np.stack([np.ones_like(q), q], axis=-1)

        return of_pair, glance, None
    found = Averages(factor[0], low, high, owner=owner)
    if arguments == 1:
        return found.at, found.at, function

    def gated(q: Array | float) -> Array:
        second, slope = np.moveaxis(found.at(q), -1, 0)
        return np.stack([q * second, second + q * slope], axis=-1)

    return gated, gated, None


def _rises(values: Array) -> list[int]:
    """Steps of the grid on which values turn from negative to positive."""
    rising = (values[:-1] < 0) & (values[1:] >= 0) & np.isfinite(values[:-1] + values[1:])
    found: list[int] = np.flatnonzero(rising).tolist()
    return found


def _rise_from(low: int, exact: Callable[[float], float]) -> int | None:
    """The first such step from one on, by exact values."""
    for step in range(low, len(_GRID) - 1):
        if exact(float(_GRID[step])) < 0 <= exact(float(_GRID[step + 1])):
            return step
    return None


def _rise(values: Array, exact: Callable[[float], float]) -> int | None:
    """The first such step, where values are rough: exact ones nearby decide, or some on all of it if there is none."""
    for step in _rises(values):
        low = step
        while low and not exact(float(_GRID[low])) < 0:
            low -= 1
        if (found := _rise_from(low, exact)) is not None:
            return found
    clear = np.abs(values) > 0.5 * _GRID  # more than rough values are off
    coarse = [float(values[at] if clear[at] else exact(float(_GRID[at]))) for at in range(0, len(_GRID), 6)]
    first = next(iter(_rises(np.array(coarse))), None)
    return None if first is None else _rise_from(6 * first, exact)


def _at_zero(function: Function) -> float | None:
    """|phi'(0)|, if phi(0) = 0 and both sides have the same slope."""
    x = np.array([-1e-5, -5e-6, 0.0, 5e-6, 1e-5])
    with np.errstate(all="ignore"):
        far_low, low, middle, high, far_high = np.asarray(function(x), np.float64)
    bent = max(abs(far_low + far_high), abs(2 * high - far_high)) > 1e-3 * abs(far_high)  # or it jumps
    if not math.isfinite(far_low + low + high + far_high) or abs(middle) > 1e-17 or bent or far_high == 0:
        return None
    return float(abs(2 * (high - low) / 1e-5 - (far_high - far_low) / 2e-5))  # straight on to distance 0
