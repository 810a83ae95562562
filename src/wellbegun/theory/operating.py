"""The operating point of a deep plain network: how large pre-activations may be before gradients grow with depth."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import integer
from wellbegun._typing import Array
from wellbegun.theory.activations import Function
from wellbegun.theory.edge import averages_of
from wellbegun.theory.gains import phi_of
from wellbegun.theory.quadrature import evaluate

GROWTH = 3.0  # largest growth of the gradient over the whole depth that the operating point may cost
_STEPS = 25  # grid points of q, 3 for each factor of 10


class Operating(NamedTuple):
    """Where a layer works best.

    `second` is E psi(sqrt(q) z)^2 for z ~ N(0, 1): the next layer, of gain g, has pre-activations of variance
    g^2 second. `growth` is q E psi'^2 / E psi^2, or 1 if that is less: what one layer multiplies the squared gradient
    with once the second moment of the signal is held constant. Where E psi = 0 it is 1 for linear psi only (Poincare).
    """

    q: float
    second: float
    growth: float


def is_odd(function: Function) -> bool:
    """Whether a function is odd up to a constant, as tanh, sin and sigmoid are.

    >>> is_odd(np.tanh), is_odd(lambda x: 1 / (1 + np.exp(-x))), is_odd(np.abs)
    (True, True, False)
    """
    x = np.concatenate([np.linspace(0, 8, 65), [1e-3, 0.77, 2.9]])
    with np.errstate(all="ignore"):
        value = np.asarray(function(x.copy()), np.float64)  # a copy: it may be written into
        total, size = value + np.asarray(function(-x), np.float64), float(np.abs(value).max())
    return bool(np.isfinite(total).all() and np.ptp(total) <= 1e-6 * max(size, 1e-30))


def odd_part(function: Function, offset: float = 0.0) -> Function:
    """psi(a) = phi(c + a) - phi(c - a), what a layer sees of a pair of mirrored units with offset c.

    >>> float(odd_part(lambda x: np.maximum(x, 0))(np.array([-2.0]))[0])
    -2.0
    """

    def psi(a: Array) -> Array:
        return np.asarray(function(offset + a) - function(offset - a), np.float64)

    return psi


def centred(function: Function) -> Function:
    """phi(a) - phi(0)"""

    def psi(a: Array) -> Array:
        return np.asarray(function(a * 1) - function(a * 0), np.float64)

    return psi


def operating_point(activation: str | Callable[..., Any], layers: int) -> Operating | None:
    """Largest variance q of an activation's input for which `layers` layers grow gradients at most `GROWTH`-fold.

    q is at most 1, or as much larger as psi is flatter than the identity at 0 (16 for the sigmoid). None if psi grows
    faster than linearly everywhere, so that no q is small enough.

    Args:
        activation: As of `moments`; where units come in mirrored pairs, `theory.odd_part` of it.
        layers: How many of them follow each other, >= 1.
    Raises:
        As `moments`; ArgumentError, ArgumentTypeError: `layers` is no integer above 0.

    Source: the role of E psi'^2: Schoenholz et al. 2017, arXiv:1611.01232; targets by depth: Martens et al. 2021,
        arXiv:2110.01765.
    Cost: a few quadratures.

    >>> operating_point("linear", 50).q, operating_point(np.tanh, 50).q < operating_point(np.tanh, 5).q
    (1.0, True)
    """
    count = integer("operating_point", "layers", layers, minimum=1)
    psi, arguments = phi_of(activation)
    near = 0.0 if arguments > 1 else float(evaluate(psi, np.array([1e-3]), "operating_point", finite=False)[0])
    slope = 1.0 if arguments > 1 else abs(near) / 1e-3
    if not math.isfinite(slope) or slope <= 0:
        return None
    largest = min(max(slope**-2, 1.0), 16.0)
    grid = largest * 10 ** (-np.arange(_STEPS) / 3)
    limit = math.log(GROWTH) / count
    exact, scan, _ = averages_of("operating_point", psi, grid[-1], grid[0])
    points = cache(lambda step: _point(float(grid[step]), *exact(grid[step])))

    def small(step: int) -> bool:
        return (point := points(step)) is not None and math.log(point.growth) <= limit

    first = 0
    if arguments > 1:  # where roughly; then one step to the left, or as many as it takes to the right
        second, gradient = np.moveaxis(scan(grid), -1, 0)
        with np.errstate(all="ignore"):
            low_enough = np.log(np.maximum(grid * gradient / second, 1.0)) <= limit
        first = int(low_enough.argmax()) if low_enough.any() else _STEPS - 1
        while first and small(first - 1):
            first -= 1
    found = next((step for step in range(first, _STEPS) if small(step)), None)
    return None if found is None else points(found)


def _point(q: float, second: float, gradient: float) -> Operating | None:
    return Operating(q, second, max(q * gradient / second, 1.0)) if 0 < second < math.inf else None
