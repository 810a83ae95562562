"""Gaussian averages of any function, to near machine precision, kinks included.

Composite Gauss-Legendre panels over [-14, 14]. On each panel the function is a polynomial through its nodes; a panel
whose highest Legendre coefficients are not small is halved, so panels close in on every kink and jump. The derivative
is that of the panel polynomials: it never straddles a kink and needs no derivative of the function.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import message, told
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError

Function = Callable[[Array], Array]

_REACH = 14.0  # the normal density is 1e-43 there
_ORDER = 16
_SMALLEST = 1e-11  # width below which a panel that still does not resolve holds a kink or a jump
_TOLERANCE = 1e-11
_NOISY = 256  # rough panels on one level: kinks are few and stay few, rounding noise is everywhere


class Samples(NamedTuple):
    """Nodes, weights times the normal density, values and derivatives there (0 across a jump, as autograd has it)."""

    x: Array
    weight: Array
    value: Array
    slope: Array


@functools.cache
def _rule() -> tuple[Array, Array, Array, Array]:
    """Nodes and weights on [-1, 1], values -> Legendre coefficients, values -> derivative values."""
    nodes, weights = np.polynomial.legendre.leggauss(_ORDER)
    basis = np.polynomial.legendre.legvander(nodes, _ORDER - 1)
    analysis = (basis * weights[:, None]).T * (np.arange(_ORDER) + 0.5)[:, None]
    slopes = np.stack(
        [np.polynomial.legendre.legval(nodes, np.polynomial.legendre.legder(row)) for row in np.eye(_ORDER)], axis=1
    )
    return nodes, weights, analysis, slopes @ analysis


def sample(function: Function, *, owner: str = "moments") -> Samples:
    """Sample `function` (array -> array of the same shape, elementwise) finely enough for Gaussian averages.

    Raises:
        ArgumentTypeError: not callable, or not elementwise. ArgumentError: not finite somewhere within +-14.
    """
    if not callable(function):
        raise ArgumentTypeError(message(owner, "an activation", "a name or a function of an array", function))
    nodes, weights, analysis, derivative = _rule()
    edges = np.linspace(-_REACH, _REACH, 113)  # quarters: the usual kinks (0, 1, 3, 6) fall on edges
    left, width = edges[:-1], np.diff(edges)
    kept: list[tuple[Array, ...]] = []
    level, size = 0, 0.0
    while len(left):
        x = left[:, None] + width[:, None] * (1 + nodes) / 2
        value = _evaluate(function, x, owner)
        coefficients = value @ analysis.T
        size = size or float(np.sqrt(np.mean(value[48:64] ** 2))) or 1.0  # typical value for |x| < 2
        scale = np.maximum(np.abs(coefficients).max(axis=1), 1e-3 * size)
        rough = np.abs(coefficients[:, -3:]).max(axis=1) > _TOLERANCE * scale
        if level > 3 and rough.sum() > _NOISY:
            rough[:] = False
        smallest, level = width < _SMALLEST, level + 1
        done = ~rough | smallest
        slope = np.where(rough[:, None], 0.0, value @ derivative.T * (2 / width[:, None]))
        kept.append((x[done], width[done], value[done], slope[done]))
        left, width = _halves(left[~done], width[~done])
    x, width, value, slope = (np.concatenate(part) for part in zip(*kept, strict=True))
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    weight = width[:, None] / 2 * weights * density
    order = np.argsort(x.ravel())
    return Samples(*(part.ravel()[order] for part in (x, weight, value, slope)))


def _halves(left: Array, width: Array) -> tuple[Array, Array]:
    half = width / 2
    return np.concatenate([left, left + half]), np.concatenate([half, half])


def _evaluate(function: Function, x: Array, owner: str) -> Array:
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(function(x.ravel()), dtype=np.float64)
    except Exception as error:  # whatever a function of the user's raises
        remedy = "Write it with NumPy functions, such as np.tanh or np.maximum."
        raise ArgumentTypeError(
            f"{owner}: an activation must take a NumPy array; it failed: {told(error)} {remedy}"
        ) from error
    if value.shape != (x.size,):
        raise ArgumentTypeError(
            f"{owner}: an activation must map an array to an array of the same shape; "
            f"got shape {value.shape} from shape {(x.size,)}."
        )
    if not np.isfinite(value).all():
        worst = float(x.ravel()[~np.isfinite(value)][0])
        raise ArgumentError(f"{owner}: an activation must be finite within +-{_REACH:g}; it is not at {worst:.6g}.")
    return value.reshape(x.shape)
