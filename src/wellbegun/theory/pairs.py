"""Averages of a function of two independent normal numbers, such as a gate.

The plane is cut into cells between two values of v and two lines u(v), on each of which the function is a polynomial
through Gauss-Legendre nodes of both. Cells end where lines of kinks run, which are found on a few probes across the
plane; what is rough nonetheless is halved, and evaluated at once.
"""

import itertools
import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.theory.activations import PairFunction
from wellbegun.theory.kinks import lines
from wellbegun.theory.quadrature import ORDER, REACH, beyond, evaluate, rule

_EDGES = np.array([-REACH, -6.0, -3.0, 0.0, 3.0, 6.0, REACH])  # the usual kinks (0, 3, 6) fall on edges
_WIDE = 16.0  # spread from which what happens near 0 is narrow
_CELLS = 1 << 11  # in all: more are noise, or kinks that run along curves
_AT_ONCE = 48  # cells whose numbers stay in the cache
_FINE = 3 / 64  # distance of places that are looked at within 3 of 0; twice as much within 6
_LEAST, _MOST_PLACES = 10.0, 64  # in a row of a cell: fewer are no closer than nodes
_FAR = 0.01  # square of how far a function stands off, in its range on a cell, where it is more than rough
_FEW = 48  # rough cells, that may all hold the same
NEAR = 2.8  # between variances that do with the same nodes
_FLAT = 1e-9  # slope, as a share of the second moment, that is not looked into
_PLACED = 1e-13  # relative error of what lies beside a line of kinks
_EACH = 1e-11  # relative error of a cell that is not halved


class Pair(NamedTuple):
    """E phi, E phi^2, E of the squared derivative by each argument, the estimated errors of the last three, and the
    lines of kinks."""

    mean: float
    second: float
    slopes: tuple[float, float]
    errors: tuple[float, float, float]
    lines: Array


@np.errstate(all="ignore")
def averages(
    function: PairFunction,
    spread: float = 1.0,
    *,
    owner: str = "moments",
    shares: list[Array] | None = None,
    known: Array | None = None,
) -> Pair:
    """Averages over two normal arguments of this spread; slopes are by them divided by it. What lies beyond 13 of
    either counts as an error. `shares` takes what each node adds to E phi^2 and to E of its squared gradient, and its
    u^2 + v^2. Where lines of kinks are known, the function has been looked at.

    >>> found = averages(np.maximum)
    >>> bool(abs(found.mean - math.pi**-0.5) < 1e-10), bool(abs(found.second - 1) < 1e-10)
    (True, True)
    """
    scaled = function if spread == 1 else lambda u, v: function(spread * u, spread * v)
    along = lines(scaled, owner) if known is None else known
    cells, kept, halved = _cells(along, _edges(spread)), np.zeros(10), np.full(10, math.inf)
    change, hidden, looked = np.full(3, math.inf), np.zeros(3), 0
    while True:
        found, rests, boxes, cut, each = _measured(scaled, cells, owner, shares is not None, known is None)
        jumps = (found[9] > 0) & (found[9] < _FLAT * (kept + found.sum(axis=1))[1])
        found[[[2], [3], [5], [6]], jumps] = rests[1:, :, jumps] = 0.0  # they have no slope
        here = found.sum(axis=1)
        whole, before, change = kept + here, change, np.abs(here - halved)[1:4]
        sizes = np.array([whole[1], *[max(whole[2:4].sum(), _FLAT * whole[1])] * 2])[:, None, None]
        rough = (rests / np.where(sizes > 0, sizes, 1)).max(axis=0) > _EACH
        parts, any_rough = _divided(cells, rough, boxes), rough.any(axis=0)
        noise = any_rough.mean() > 0.75 and any_rough.sum() > _FEW  # and halves are no better
        noise = noise and bool((here[4:7] >= 0.7 * halved[4:7]).all())
        looked, hidden = (
            looked + cells.shape[1],
            hidden + _cut_off(*(each[:, any_rough] for each in (cells, boxes, cut))),
        )
        last = not any_rough.any() or looked + parts.shape[1] > _CELLS or noise
        if shares is not None:
            each[1][:, jumps] = 0.0
            shares.append(each[:, :, ~any_rough | last].reshape(3, -1))
        if last:
            break
        kept, halved, cells = kept + found[:, ~any_rough].sum(axis=1), found[:, any_rough].sum(axis=1), parts
    whole[4:7] += hidden
    if any_rough.any():  # no less than what more halves would change, if each changes as much of the one before
        ratio = np.clip(np.nan_to_num(change / before, nan=1.0), 0.5, 0.97)
        whole[4:7] += np.where(np.isfinite(change), change * ratio / (1 - ratio), whole[1:4])
    mean, second, by_u, by_v, *errors, last, before_last, _ = (float(number) for number in whole)
    errors[0] += beyond(last, before_last) + _PLACED * second
    return Pair(mean, second, (by_u, by_v), (errors[0], errors[1], errors[2]), along)


class Sampled(NamedTuple):
    """Averages at variance q, the lines of kinks there, and a function of smaller variances, down to q / `NEAR`, that
    gives E phi^2 and E |grad phi|^2 without another call of phi; and the variance at which phi was looked at."""

    q: float
    looked: float
    pair: Pair
    at: Callable[[float], Array]


def sampled(function: PairFunction, q: float, owner: str, near: Sampled | None = None) -> Sampled:
    """What is known of a variance near is not looked for again."""
    spread, shares = math.sqrt(q), list[Array]()
    known = None if near is None else near.pair.lines * [1.0, 1.0, math.sqrt(near.q / q)]
    pair = averages(function, spread, owner=owner, shares=shares, known=known)
    *squares, away = np.concatenate(shares, axis=1)
    seen = np.flatnonzero(np.any([part > 1e-17 * part.sum() for part in squares], axis=0))
    nodes, away = np.stack([squares[0], squares[1] / q])[:, seen], away[seen]

    def at(smaller: float) -> Array:
        ratio = q / smaller
        found: Array = nodes @ (ratio * np.exp(away * (0.5 - 0.5 * ratio)))
        return found

    return Sampled(q, q if near is None else near.looked, pair, at)


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
def _edges(spread: float) -> Array:
    """Where cells end; for large spreads also where they would for none, and between, for what happens near 0."""
    if spread <= _WIDE:
        return _EDGES
    near, most = _EDGES / spread, 3.0 / REACH * spread
    between = REACH / spread * np.geomspace(1, most, 2 + math.ceil(math.log(most) / math.log(6)))[1:-1]
    return np.unique(np.concatenate([_EDGES, near, between, -between]))


def _cells(lines: Array, edges: Array) -> Array:
    """Cells between edges along both axes and lines a u + b v = c."""
    a, b, c = lines.T
    level = np.abs(a) < 1e-7
    slope = np.concatenate([0 * edges, -b[~level] / a[~level]])
    offset = np.concatenate([edges, c[~level] / a[~level]])
    with np.errstate(all="ignore"):
        cross = ((offset[:, None] - offset) / (slope - slope[:, None]))[np.triu_indices(len(slope), 1)]
    v = np.sort(np.concatenate([edges, c[level] / b[level], cross[np.abs(cross) < REACH]]))
    v = v[np.diff(v, append=np.inf) > 1e-9]
    ends = np.stack([np.clip(slope * each[:, None] + offset, -REACH, REACH) for each in (v[:-1], v[1:])])
    ends = np.take_along_axis(ends, np.argsort(ends.sum(axis=0), axis=1)[None], 2)
    sides = np.broadcast_arrays(v[:-1, None], v[1:, None], *ends[..., :-1], *ends[..., 1:])
    cells = np.stack([side.ravel() for side in sides])
    return cells[:, cells[4] + cells[5] - cells[2] - cells[3] > 1e-9]


def _divided(cells: Array, rough: Array, boxes: Array) -> Array:
    """Halves of the cells that are rough along u, along v; quarters of those that are along both; and boxes in cells,
    with what is around them. A box is where it starts and ends along v, and along u, as shares of the cell."""
    along_u, along_v = rough
    boxed, whole = _small(boxes), np.ones(cells.shape[1])
    halves = [np.where(along, 0.5, 1.0) for along in (along_v, along_u)]
    v, u = ((0 * whole, *np.where(boxed, boxes[at : at + 2], [halves[at // 2], whole]), whole) for at in (0, 2))
    parts = [cells[:, :0]]
    for (v0, v1), (u0, u1) in itertools.product(itertools.pairwise(v), itertools.pairwise(u)):
        some = (along_u | along_v) & (v1 > v0) & (u1 > u0)
        if some.any():
            parts.append(_part(*(of[..., some] for of in (cells, v0, v1, u0, u1))))
    return np.concatenate(parts, axis=1)


def _small(boxes: Array) -> Array:
    return np.asarray((np.diff(boxes, axis=0)[::2] < 0.5).all(axis=0))


def _cut_off(cells: Array, boxes: Array, cut: Array) -> Array:
    """What edges of cells cut off from boxes beside which there is no other."""
    some = np.flatnonzero(cut[0] > 0)
    if not len(some):
        return cut[:, some].sum(axis=1)
    low, high, *ends = _part(cells, *boxes)
    left, right = np.minimum(*ends[:2]), np.maximum(*ends[2:])
    far = [upper[some, None] < lower - 1e-9 for lower, upper in ((low, high), (left, right))]
    far += [lower[some, None] > upper + 1e-9 for lower, upper in ((low, high), (left, right))]
    alone = (~np.any(far, axis=0)).sum(axis=1) == 1
    return np.asarray(cut[:, some[alone]].sum(axis=1))


def _part(cells: Array, v0: Array, v1: Array, u0: Array, u1: Array) -> Array:
    low, high, left, left_end, right, right_end = cells

    def at(v: Array, u: Array) -> Array:
        return (left + (left_end - left) * v) * (1 - u) + (right + (right_end - right) * v) * u

    return np.stack([low + (high - low) * v0, low + (high - low) * v1, at(v0, u0), at(v1, u0), at(v0, u1), at(v1, u1)])


def _measured(function: PairFunction, cells: Array, owner: str, every: bool, look: bool) -> tuple[Array, ...]:
    """Of each cell: E phi, E phi^2, both slopes, the errors of these three, the shares far out, and that of a jump;
    the errors, of the same three, along u and along v; the box with what stands off, and what an edge of the cell
    may cut off from it, if it is small; and, if asked for, `shares` of each node."""
    size = cells.shape[1]
    some = np.array_split(np.arange(size), -(-size // _AT_ONCE))
    counts, group = np.unique(_counts(cells) * look, axis=1, return_inverse=True)
    grids = [(_grid(*count), np.flatnonzero(group == at)) for at, count in enumerate(counts.T.tolist()) if min(count)]
    at = [_places(cells[:, part], *_nodes()) for part in some]
    at += [_places(cells[:, part], *grid[:2]) for grid, part in grids]
    v_of_all = np.concatenate([np.repeat(v.ravel(), u.shape[-1]) for u, v in at])
    of_all = evaluate(lambda x: function(x, v_of_all), np.concatenate([u.ravel() for u, _ in at]), owner)
    values = np.split(of_all, np.cumsum([u.size for u, _ in at[:-1]]))
    found, rests, each = (np.empty(shape) for shape in ((10, size), (3, 2, size), (3, ORDER, size * every, ORDER)))
    boxes, cut = np.repeat([[0.0], [1.0], [0.0], [1.0]], size, axis=1), np.zeros((3, size))
    for part, (u, v), value in zip(some, at, values, strict=False):
        found[:, part], rests[..., part], weight, (phi, by_u, by_v) = _sums(cells[:, part], u, v, value)
        if every:
            each[:, :, part] = weight * phi**2, weight * (by_u**2 + by_v**2), u * u + (v * v)[..., None]
    nodes = np.concatenate([value.reshape(ORDER, -1, ORDER) for value in values[: len(some)]], axis=1)
    for (grid, part), (u, v), value in zip(grids, at[len(some) :], values[len(some) :], strict=True):
        value = value.reshape(u.shape)
        off = (value - _told(nodes[:, part], *grid[2:])) ** 2
        missing, most = _unseen(cells[:, part], u, v, off)
        more = 2 * np.sqrt(missing * found[1:4, part]) + missing
        far = np.flatnonzero(off.max(axis=(0, 2)) > _FAR * np.ptp(nodes[:, part], axis=(0, 2)) ** 2)
        boxes[:, part[far]] = _boxes(off[:, far], *grid[:2])
        box = boxes[:, part]
        cut[:, part] = 4 * most * (_small(box) & ((box[::2] <= 0).any(axis=0) | (box[1::2] >= 1).any(axis=0)))
        found[4:7, part] += more
        rests[..., part] += more[:, None]
    return found, rests, boxes, cut, each


def _places(cells: Array, across: Array, along: Array) -> tuple[Array, Array]:
    """u, by place along v, cell and place along u; and v, by the first two. Places are shares of a cell's width."""
    low, high, left, left_end, right, right_end = cells
    at = across[:, None]
    start, stop = (one + (other - one) * at for one, other in ((left, left_end), (right, right_end)))
    return start[..., None] + (stop - start)[..., None] * along, low + (high - low) * at


def _nodes() -> tuple[Array, Array]:
    at: Array = (1 + rule()[0]) / 2
    return at, at


@cache
def _grid(rows: int, count: int) -> tuple[Array, Array, Array, Array]:
    """Places besides the nodes, in so many rows, in each of which they stand elsewhere; and along v and along u, values
    at nodes -> values of the polynomial through them there."""
    across = (np.arange(rows) + 0.5) / rows
    along = (np.arange(count) + 0.02 + 0.96 * (np.arange(rows) * 0.618 % 1)[:, None]) / count
    analysis = rule()[2]
    to_across, to_along = (np.polynomial.legendre.legvander(2 * at - 1, ORDER - 1) @ analysis for at in (across, along))
    return across, along[:, None], to_across, to_along


def _counts(cells: Array) -> Array:
    """How many places along v, and along u, a cell is looked at in besides its nodes."""
    low, high, left, left_end, right, right_end = cells
    out_v, out_u = np.maximum(low, -high), np.maximum(np.minimum(left, left_end), -np.maximum(right, right_end))
    near = np.maximum(np.maximum(out_u, out_v), 0.0)
    wide = np.stack([high - low, np.maximum(right - left, right_end - left_end)])
    needed = wide / np.select([near < 3, near < 6], [_FINE, 2 * _FINE], 1.0)
    powers = np.exp2(np.ceil(np.log2(np.maximum(needed, 4.0)))).astype(int)
    return np.where(needed.max(axis=0) > _LEAST, np.minimum(powers, _MOST_PLACES), 0)


def _told(nodes: Array, across: Array, along: Array) -> Array:
    """Values of the polynomials of cells at a grid of places."""
    rows: Array = (across @ nodes.reshape(ORDER, -1)).reshape(len(across), -1, ORDER)
    return rows @ along.transpose(0, 2, 1)


def _unseen(cells: Array, u: Array, v: Array, off: Array) -> tuple[Array, Array]:
    """E of the squared distance of a function from its polynomial on each cell, and of the squares of its slopes; and
    the same for the one place that has most of it."""
    low, high, left, left_end, right, right_end = cells
    rows, _, count = u.shape
    width = right - left + (right_end - left_end - right + left) * ((v - low) / (high - low))
    weight = np.exp(v * v * -0.5) * width * (high - low) / (2 * math.pi * rows * count)
    each = np.exp(u * u * -0.5) * off * weight[..., None]
    lost = each.sum(axis=(0, 2)), each.max(axis=(0, 2))
    scales = np.stack([np.ones_like(low), (count / width.max(axis=0)) ** 2, (rows / (high - low)) ** 2])
    return lost[0] * scales, lost[1] * scales


def _boxes(off: Array, across: Array, along: Array) -> Array:
    """Boxes with what stands off most in cells, and two places more on each side, for what is as wide as that."""
    hit = off > 0.25 * off.max(axis=(0, 2), keepdims=True)
    found = []
    for at, where in ((across[:, None, None], hit.any(axis=2, keepdims=True)), (along, hit)):
        step = 2 / off.shape[0 if at.shape[0] == at.size else 2]
        low, high = np.where(where, at, 1.0).min(axis=(0, 2)) - step, np.where(where, at, 0.0).max(axis=(0, 2)) + step
        found += [np.maximum(low, 0.0), np.minimum(high, 1.0)]
    return np.stack(found)


def _sums(cells: Array, u: Array, v: Array, value: Array) -> tuple[Array, Array, Array, Array]:
    nodes, weights, _, derivative, highest = rule()
    low, high, left, left_end, right, right_end = cells
    at, lean, more = (1 + nodes) / 2, left_end - left, right_end - right - left_end + left
    value, width = value.reshape(u.shape), right - left + more * at[:, None]
    weight = np.exp(u * u * -0.5)
    weight *= (weights[:, None] * (high - low) * width * np.exp(v * v * -0.5) / (8 * math.pi))[..., None] * weights

    def along_v(matrix: Array, values: Array) -> Array:
        return (matrix @ values.reshape(*values.shape[:-3], ORDER, -1)).reshape(values.shape)

    parts = np.empty((3, *value.shape))
    rise = value - value[:1, :, :1]  # none where the function is constant, to the last digit
    parts[0], parts[1], by_v = value, rise @ derivative.T, along_v(derivative, rise)
    parts[1] *= (2 / width)[..., None]
    by_v -= parts[1] * (lean[:, None] / 2 + more[:, None] / 2 * at)  # u moves where v does, along an edge
    np.multiply(by_v, (2 / (high - low))[:, None], out=parts[2])
    squares = np.einsum("ync,kync,kync->kn", weight, parts, parts)
    errors = []
    for rest in (parts @ highest.T, along_v(highest, parts)):
        missing = np.einsum("ync,kync,kync->kn", weight, rest, rest)
        errors.append(2 * np.sqrt(missing * squares) + missing)  # Cauchy-Schwarz
    out = np.flatnonzero(np.maximum(np.abs(cells[2:]).max(axis=0), np.abs(cells[:2]).max(axis=0)) > REACH - 2)
    far, reach = np.zeros((2, len(low))), np.maximum(np.abs(u[:, out]), np.abs(v[:, out])[..., None])
    share = weight[:, out] * value[:, out] ** 2
    for row, inner in zip(far, (REACH - 1, REACH - 2), strict=True):
        row[out] = np.where((reach > inner) & (reach <= inner + 1), share, 0.0).sum(axis=(0, 2))
    mean, mass = np.einsum("ync,kync->kn", weight, np.stack([value, np.ones_like(value)]))
    few, jump = np.flatnonzero(mass < _FLAT), np.zeros(len(low))
    steps = [np.abs(np.diff(value[:, few], axis=axis)).max(axis=(0, 2)) for axis in (0, 2)]
    size = np.ptp(value[:, few], axis=(0, 2))
    jump[few] = np.where(np.maximum(*steps) > 0.7 * size, mass[few] * size**2, 0.0)
    return np.stack([mean, *squares, *(errors[0] + errors[1]), *far, jump]), np.stack(errors, axis=1), weight, parts
