"""Averages of a function of two independent normal numbers, such as a gate.

The plane is cut into cells between two values of v and two lines u(v), on each of which the function is a polynomial
through Gauss-Legendre nodes of both. Cells end where lines of kinks run, which are found on a few probes across the
plane; what is rough nonetheless is halved, and evaluated at once.
"""

import itertools
import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.theory.quadrature import (
    ORDER,
    REACH,
    SMALLEST,
    STRAIGHT,
    TOLERANCE,
    bend,
    evaluate,
    places,
    rule,
    unseen,
)

PairFunction = Callable[[Array, Array], Array]
"""An elementwise function of two NumPy arrays."""

_EDGES = np.array([-REACH, -6.0, -3.0, 0.0, 3.0, 6.0, REACH])  # the usual kinks (0, 3, 6) fall on edges
_BETWEEN = np.array([1.3717, 4.6173, 7.2891])  # edges of probes besides, where no kink will be by chance
_PROBES = np.array([-2.1713, -0.8329, 0.3137, 1.3631])  # of the other argument, where kinks are looked for
_PARTS = 8  # of a rough panel
_MOST = 128  # rough panels on one level, and kinks: more are noise
_NOISE, _TRIED = 1e-3, 4  # relative error up to which, and level from which, what halves do not mend is noise
_CELLS = 1 << 12  # of one level: more are noise, or kinks that run along curves
_AT_ONCE = 48  # cells whose numbers stay in the cache
_EACH = 1e-11  # relative error of a cell that is not halved


class Pair(NamedTuple):
    """E phi, E phi^2, E of the squared derivative by each argument, and the estimated errors of the last three."""

    mean: float
    second: float
    slopes: tuple[float, float]
    errors: tuple[float, float, float]


@np.errstate(all="ignore")
def averages(function: PairFunction, *, owner: str = "moments") -> Pair:
    """Averages over two standard normal arguments; what lies beyond 13 of either counts as an error.

    >>> found = averages(np.maximum)
    >>> bool(abs(found.mean - math.pi**-0.5) < 1e-10), bool(abs(found.second - 1) < 1e-10)
    (True, True)
    """
    cells, kept, halved = _cells(_lines(_kinks(function, owner))), np.zeros(8), np.full(8, math.inf)
    for level in itertools.count():
        found, rests = _measured(function, cells, owner)
        here = found.sum(axis=1)
        worse = here[4] > 0.7 * halved[4] and here[5:7].sum() > 0.7 * halved[5:7].sum()
        if worse and (level > _TRIED or here[4] < _NOISE * (kept + here)[1]):  # halves are no better
            kept += halved
            break
        whole = kept + here
        sizes = np.array([whole[1], *[whole[2:4].sum()] * 2])[:, None, None]
        rough = (rests / np.where(sizes > 0, sizes, 1)).max(axis=0) > _EACH
        parts, any_rough = _halves(cells, rough), rough.any(axis=0)
        if not any_rough.any() or parts.shape[1] > _CELLS:
            kept = whole
            break
        kept, halved, cells = kept + found[:, ~any_rough].sum(axis=1), found[:, any_rough].sum(axis=1), parts
    mean, second, *slopes, first, by_u, by_v, far = (float(number) for number in kept)
    if sum(slopes) <= 1e-18 * second:  # rounding of a step function
        slopes, by_u, by_v = [0.0, 0.0], 0.0, 0.0
    return Pair(mean, second, (slopes[0], slopes[1]), (first + far, by_u, by_v))


@np.errstate(all="ignore")
def glimpse(function: PairFunction, spreads: Array, owner: str) -> Array:
    """E phi(s z)^2 and E of its squared gradient by z, on a last axis, for each s: in one call of the function, by
    Gauss-Hermite nodes. Exact to rounding where phi is smooth on the scale of s, to some ten percent at kinks."""
    nodes, matrix = _hermite()
    u, v = np.broadcast_arrays(spreads[:, None, None] * nodes[:, None], spreads[:, None, None] * nodes)
    value = evaluate(lambda x: function(x, v.ravel()), u, owner, finite=False)
    shares, degrees = (matrix @ value @ matrix.T) ** 2, np.arange(len(nodes))
    return np.stack([shares.sum(axis=(1, 2)), (shares * (degrees[:, None] + degrees)).sum(axis=(1, 2))], axis=-1)


@cache
def _hermite() -> tuple[Array, Array]:
    """Nodes, and the matrix from values there to coefficients of orthonormal Hermite polynomials."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    rows = [np.ones_like(nodes), nodes]
    for degree in range(1, len(nodes) - 1):
        rows.append((nodes * rows[-1] - math.sqrt(degree) * rows[-2]) / math.sqrt(degree + 1))
    return nodes, np.stack(rows) * weights / math.sqrt(2 * math.pi)


# ---------------------------------------------------------------------- cells: v from and to, and u from and to at both
def _cells(lines: Array) -> Array:
    """Cells between lines a u + b v = c."""
    a, b, c = lines.T
    level = np.abs(a) < 1e-7
    slope = np.concatenate([0 * _EDGES, -b[~level] / a[~level]])
    offset = np.concatenate([_EDGES, c[~level] / a[~level]])
    with np.errstate(all="ignore"):
        cross = ((offset[:, None] - offset) / (slope - slope[:, None]))[np.triu_indices(len(slope), 1)]
    v = np.sort(np.concatenate([_EDGES, c[level] / b[level], cross[np.abs(cross) < REACH]]))
    v = v[np.diff(v, append=np.inf) > 1e-9]
    ends = np.stack([np.clip(slope * each[:, None] + offset, -REACH, REACH) for each in (v[:-1], v[1:])])
    ends = np.take_along_axis(ends, np.argsort(ends.sum(axis=0), axis=1)[None], 2)
    sides = np.broadcast_arrays(v[:-1, None], v[1:, None], *ends[..., :-1], *ends[..., 1:])
    cells = np.stack([side.ravel() for side in sides])
    return cells[:, cells[4] + cells[5] - cells[2] - cells[3] > 1e-9]


def _halves(cells: Array, rough: Array) -> Array:
    """Halves of the cells that are rough along u, along v; quarters of those that are along both."""
    along_u, along_v = rough
    low, high, *ends = cells[:, along_v]
    middle = [(low + high) / 2, *((ends[at] + ends[at + 1]) / 2 for at in (0, 2))]
    lower = np.stack([low, middle[0], ends[0], middle[1], ends[2], middle[2]])
    upper = np.stack([middle[0], high, middle[1], ends[1], middle[2], ends[3]])
    both = along_u[along_v]
    cells = np.concatenate([cells[:, along_u & ~along_v], lower[:, both], upper[:, both]], axis=1)
    left, right, between = cells.copy(), cells.copy(), (cells[2:4] + cells[4:6]) / 2
    left[4:6], right[2:4] = between, between
    return np.concatenate([left, right, lower[:, ~both], upper[:, ~both]], axis=1)


def _measured(function: PairFunction, cells: Array, owner: str) -> tuple[Array, Array]:
    """Of each cell: E phi, E phi^2, both slopes, the errors of these three, and the share far out; and the errors, of
    the same three, along u and along v."""
    some = np.array_split(cells, -(-cells.shape[1] // _AT_ONCE), axis=1)
    u, v = ([part[place] for part in map(_nodes, some)] for place in (0, 1))
    v_of_all = np.concatenate([np.repeat(part.ravel(), ORDER) for part in v])
    value = evaluate(lambda x: function(x, v_of_all), np.concatenate([part.ravel() for part in u]), owner)
    values = np.split(value, np.cumsum([part.size for part in u[:-1]]))
    found = [_sums(*part) for part in zip(some, u, v, values, strict=True)]
    return np.concatenate([one for one, _ in found], axis=-1), np.concatenate([one for _, one in found], axis=-1)


def _nodes(cells: Array) -> tuple[Array, Array]:
    """u, by node along v, cell and node along u; and v, by the first two."""
    low, high, left, left_end, right, right_end = cells
    at = (1 + rule()[0]) / 2
    start, stop = (one + (other - one) * at[:, None] for one, other in ((left, left_end), (right, right_end)))
    return start[..., None] + (stop - start)[..., None] * at, low + (high - low) * at[:, None]


def _sums(cells: Array, u: Array, v: Array, value: Array) -> tuple[Array, Array]:
    nodes, weights, _, derivative, highest = rule()
    low, high, left, left_end, right, right_end = cells
    at, lean, more = (1 + nodes) / 2, left_end - left, right_end - right - left_end + left
    value, width = value.reshape(u.shape), right - left + more * at[:, None]
    weight = np.exp(u * u * -0.5)
    weight *= (weights[:, None] * (high - low) * width * np.exp(v * v * -0.5) / (8 * math.pi))[..., None] * weights

    def along_v(matrix: Array, values: Array) -> Array:
        return (matrix @ values.reshape(*values.shape[:-3], ORDER, -1)).reshape(values.shape)

    parts = np.empty((3, *value.shape))
    parts[0], parts[1], by_v = value, value @ derivative.T, along_v(derivative, value)
    parts[1] *= (2 / width)[..., None]
    by_v -= parts[1] * (lean[:, None] / 2 + more[:, None] / 2 * at)  # u moves where v does, along an edge
    np.multiply(by_v, (2 / (high - low))[:, None], out=parts[2])
    squares = np.einsum("ync,kync,kync->kn", weight, parts, parts)
    errors = []
    for rest in (parts @ highest.T, along_v(highest, parts)):
        missing = np.einsum("ync,kync,kync->kn", weight, rest, rest)
        errors.append(2 * np.sqrt(missing * squares) + missing)  # Cauchy-Schwarz
    out = np.flatnonzero(np.maximum(np.abs(cells[2:]).max(axis=0), np.abs(cells[:2]).max(axis=0)) > REACH - 1)
    far = np.zeros(len(low))
    beyond = np.maximum(np.abs(u[:, out]), np.abs(v[:, out])[..., None]) > REACH - 1
    far[out] = np.where(beyond, weight[:, out] * value[:, out] ** 2, 0.0).sum(axis=(0, 2))
    mean = np.einsum("ync,ync->n", weight, value)
    return np.stack([mean, *squares, *(errors[0] + errors[1]), far]), np.stack(errors, axis=1)


# ---------------------------------------------------------------------- kinks
def _kinks(function: PairFunction, owner: str) -> Array:
    """Points (u, v) on the probes where the function has a kink or a jump, and the number of the probe."""
    _, _, analysis, *_ = rule()
    edges = np.unique(np.concatenate([_EDGES[1:-1], _BETWEEN, -_BETWEEN]))
    probe = np.repeat(np.arange(2 * len(_PROBES)), len(edges) - 1)
    left, width = (np.tile(part, 2 * len(_PROBES)) for part in (edges[:-1], np.diff(edges)))
    kinks, size = [np.empty((0, 3))], 0.0
    while len(left):
        x = places(left, width)
        both = evaluate(partial(_on_probes, function, np.repeat(probe, x.shape[1])), x, owner)
        x, value = x[:, :-2], both[:, :-2]
        coefficients = np.abs(value @ analysis.T)
        size = size or float(coefficients.max()) or 1.0
        rough = unseen(both, coefficients.max(axis=1) + 1e-4 * size)
        rough |= coefficients[:, -3:].max(axis=1) > 10 * TOLERANCE * coefficients[:, 1:].max(axis=1) + 1e-13 * size
        met, bent = bend(x, value)
        found = rough & ((bent & (width < STRAIGHT)) | (width < SMALLEST))
        where = np.where(bent, met, left + width / 2)
        kinks.append(np.stack([*_points(probe, where), probe], axis=1)[found])
        rough &= ~found
        if rough.sum() > _MOST:
            return kinks[0]
        jumps, widest = np.abs(np.diff(value)), np.abs(np.diff(value)).argmax(axis=1)[:, None]
        torn = rough & (jumps.max(axis=1) > 0.8 * np.ptp(value, axis=1))  # between two nodes
        one, other = (np.take_along_axis(x, widest + side, 1)[torn, 0] for side in (0, 1))
        rough &= ~torn
        step = width[rough] / _PARTS  # parts overlap: no node lies near the ends
        parts = (left[rough] + step * (np.arange(_PARTS) - 0.01)[:, None]).ravel()
        probe = np.concatenate([probe[torn], np.tile(probe[rough], _PARTS)])
        left, width = np.concatenate([one, parts]), np.concatenate([other - one, np.tile(1.02 * step, _PARTS)])
    return np.concatenate(kinks)


def _points(probe: Array, x: Array) -> tuple[Array, Array]:
    """u and v of what lies at x on a probe: the first run along u."""
    other, across = _PROBES[probe % len(_PROBES)], probe < len(_PROBES)
    return np.where(across, x, other), np.where(across, other, x)


def _on_probes(function: PairFunction, probe: Array, x: Array) -> Array:
    return function(*_points(probe, x))


def _lines(points: Array) -> Array:
    """Lines a u + b v = c, a^2 + b^2 = 1, on which points of three probes or more lie; and one along an axis through
    each of a few points that are on none."""
    u, v, probe = points.T
    i, j = np.triu_indices(len(points) if len(points) <= _MOST else 0, 1)
    i, j = i[probe[i] != probe[j]], j[probe[i] != probe[j]]
    a, b = v[j] - v[i], u[i] - u[j]
    length = np.hypot(a, b)
    a, b = (part / length * np.sign(0.7 * a + 0.7141 * b) for part in (a, b))
    c = a * u[i] + b * v[i]
    key = np.round(np.arctan2(b, a) * 1e6) * 1e9 + np.round(c * 1e6)
    order = np.lexsort((-length, key))  # the two points that are farthest from each other tell most
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    a, b, c = (part[order][first[count >= 3]] for part in (a, b, c))
    alone = (np.abs(u[:, None] * a + v[:, None] * b - c) > 1e-7).all(axis=1)
    if alone.sum() > len(_PROBES):
        alone[:] = False
    upright = (probe < len(_PROBES))[alone]
    single = np.stack([upright, ~upright, np.where(upright, u[alone], v[alone])], axis=1)
    return np.concatenate([np.stack([a, b, c], axis=1), single])
