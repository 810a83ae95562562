"""Averages of a function of two independent normal numbers, such as a gate."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.theory.quadrature import ORDER, SMALLEST, TOLERANCE, evaluate, halves, rule

PairFunction = Callable[[Array, Array], Array]
"""An elementwise function of two NumPy arrays."""

_EDGES = np.arange(-9.0, 10.0, 1.5)  # 1e-18 of one argument lies beyond
_ACROSS = np.array([-1.7, 0.3, 0.9])  # of the other argument, where kinks are looked for
_SAME = 1e-9  # kinks that are nearer to each other are one
_FEW, _LARGEST = 1 << 17, 1 << 22  # nodes of a first attempt, and of any
_MOST = 32  # rough panels: more are noise, or a kink that runs along no axis


class Pair(NamedTuple):
    """E phi, E phi^2, E of the squared derivative by each argument, and the estimated errors of the last three."""

    mean: float
    second: float
    slopes: tuple[float, float]
    errors: tuple[float, float, float]


def averages(function: PairFunction, *, owner: str = "moments") -> Pair:
    """Averages over two standard normal arguments.

    A product of Gauss-Legendre panels, split at kinks along both axes. Where these run along the diagonals, as that of
    a maximum does, axes are turned by 45 degrees, which the normal law does not see.

    >>> found = averages(np.maximum)
    >>> bool(abs(found.mean - math.pi**-0.5) < 1e-10), bool(abs(found.second - 1) < 1e-10)
    (True, True)
    """
    found: list[Pair] = []
    for angle, most in ((0.0, _FEW), (math.pi / 4, _FEW), (0.0, _LARGEST), (math.pi / 4, _LARGEST)):
        if (pair := _product(function, owner, angle, most)) is not None:
            found.append(pair)
            if sum(pair.errors) < 1e-8 * pair.second:
                return pair
    if not found:
        raise ArgumentError(f"{owner}: an activation of two arguments must be smooth but for a few kinks.")
    return min(found, key=lambda pair: sum(pair.errors))


def _product(function: PairFunction, owner: str, angle: float, most: int) -> Pair | None:
    c, s = math.cos(angle), math.sin(angle)

    def turned(a: Array, b: Array) -> Array:
        x, y = np.broadcast_arrays(a, b)
        u, v = c * x - s * y, s * x + c * y
        return evaluate(lambda z: function(z, v.ravel()), u, owner)

    first, second = _split(lambda x: turned(x[:, None], _ACROSS)), _split(lambda y: turned(_ACROSS, y[:, None]))
    if len(first) * len(second) * ORDER**2 > most:
        return None
    (x, wx, dx), (y, wy, dy) = _nodes(first), _nodes(second)
    value, weight = turned(x[:, None], y), wx[:, None] * wy
    highest = np.broadcast_to(rule()[4], (max(len(dx), len(dy)), ORDER, ORDER))

    def error(part: Array) -> float:
        rest = np.abs(_along(highest, part, 0)) + np.abs(_along(highest, part, 1))
        return float((weight * rest * (2 * np.abs(part) + rest)).sum())

    da, db = _along(dx, value, 0), _along(dy, value, 1)
    slopes = c * da - s * db, s * da + c * db
    mean, squares = float((weight * value).sum()), [float((weight * part**2).sum()) for part in (value, *slopes)]
    errors = error(value), error(slopes[0]), error(slopes[1])
    return Pair(mean, squares[0], (squares[1], squares[2]), errors)


def _along(matrices: Array, values: Array, axis: int) -> Array:
    """A matrix for each panel, applied along an axis."""
    rows = np.moveaxis(values, axis, 0)
    panels = rows.reshape(-1, ORDER, rows.shape[1])
    return np.moveaxis((matrices[: len(panels)] @ panels).reshape(rows.shape), 0, axis)


def _nodes(edges: Array) -> tuple[Array, Array, Array]:
    """Nodes, weights times the density, and each panel's matrix of derivatives."""
    nodes, weights, _, derivative, _ = rule()
    left, width = edges[:-1, None], np.diff(edges)[:, None]
    x = left + width * (1 + nodes) / 2
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return x.ravel(), (width / 2 * weights * density).ravel(), derivative * (2 / width[:, None])


def _split(function: Callable[[Array], Array]) -> Array:
    """Edges of panels in which all columns of a function are smooth: its kinks, and halves of what is left."""
    _, kinks = _halved(function, _EDGES, SMALLEST)
    edges = np.sort(np.concatenate([_EDGES, kinks]))
    return _halved(function, edges[np.diff(edges, append=np.inf) > _SAME], 1e-3)[0]


def _halved(function: Callable[[Array], Array], edges: Array, smallest: float) -> tuple[Array, Array]:
    """The edges with those of all halves; the middles of panels that would have become narrower."""
    nodes, _, analysis, *_ = rule()
    left, width = edges[:-1], np.diff(edges)
    kept, kinks, size = [edges], [np.empty(0)], 0.0
    while len(left):
        x = left[:, None] + width[:, None] * (1 + nodes) / 2
        coefficients = np.abs(np.tensordot(function(x.ravel()).reshape(*x.shape, -1), analysis, ([1], [1])))
        size = size or float(coefficients.max()) or 1.0
        scale = np.maximum(coefficients.max(axis=(1, 2)), 1e-3 * size)
        rough = coefficients[..., -3:].max(axis=(1, 2)) > 10 * TOLERANCE * scale
        kinks.append((left + width / 2)[rough & (width < smallest)])
        rough &= width >= smallest
        if rough.sum() > _MOST:
            break
        left, width = halves(left[rough], width[rough])
        kept.append(left)
    return np.unique(np.concatenate(kept)), np.concatenate(kinks)
