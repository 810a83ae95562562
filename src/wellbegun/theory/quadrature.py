"""Gaussian averages of any function, to near machine precision, kinks included.

Composite Gauss-Legendre panels over [-14, 14]. On each panel the function is a polynomial through its nodes; a panel
whose highest Legendre coefficients are not small, or which the function leaves at one of 512 places in each unit, is
divided, so panels close in on every kink and jump. The derivative is that of the panel polynomials: it never straddles
a kink and needs no derivative of the function.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import message, told
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.theory.functions import check_real

Function = Callable[[Array], Array]

REACH = 14.0  # the normal density is 1e-43 there
_FAR, _NARROW = 13.0, 1e-9  # if averages exist, what lies beyond and in narrower panels is a rounding error
ORDER = 16
DENSE = 512  # places in a unit where the function is looked at: what is wider than 1 / 512 is seen
SMALLEST = 2e-14  # width, relative to what x is, below which a panel that still does not resolve holds a kink or a jump
TOLERANCE = 1e-11
_SURE = 1e-9  # doubt about the place of a kink, in units, below which it is one
_USUAL = [[at, -at] for at in (0.5, 1.0, 2.0, 2.5, 3.0, 6.0)]  # where kinks are
_INSET, _UNSEEN = 1e-9, 1e-9  # ends of a panel, in its widths; what is missing there between them and the outer nodes
_NOISY = 1024  # rough panels on one level: kinks are few and stay few, rounding noise is everywhere


class Samples(NamedTuple):
    """Nodes, weights times the normal density, values and derivatives there (0 across a jump, as autograd has it).

    `value_rest` and `slope_rest` are what the highest coefficients of a panel add, which is more than what is missing,
    and what was seen to be missing; `width` is that of a node's panel, in units; `kinks` are where kinks and jumps lie.
    """

    x: Array
    weight: Array
    value: Array
    slope: Array
    value_rest: Array
    slope_rest: Array
    width: Array
    kinks: Array

    def average(self, slope: bool) -> tuple[float, float, float, float]:
        """E phi^2, or E phi'^2; its error, and shares of it: beyond 13 standard deviations, and in narrow panels."""
        value, rest = (self.slope, self.slope_rest) if slope else (self.value, self.value_rest)
        each = self.weight * value**2
        whole = float(each.sum())
        error = float((self.weight * rest * (2 * np.abs(value) + rest)).sum())
        narrow, out = float(each[self.width < _NARROW].sum()), np.abs(self.x)
        far = beyond(float(each[out > _FAR].sum()), float(each[(out > _FAR - 1) & (out <= _FAR)].sum()))
        return whole, error + narrow, far / (whole or 1.0), narrow / (whole or 1.0)


def beyond(last: float, before: float) -> float:
    """What lies in the last unit and beyond, from what lies there and in the one before: no less than a geometric
    series where shares fall ever faster, as they do under a normal density."""
    return 0.0 if not last else last / (1 - last / before) if last < before else math.inf


@functools.cache
def rule() -> tuple[Array, Array, Array, Array, Array]:
    """Nodes and weights on [-1, 1], values -> Legendre coefficients, -> derivative values, -> part of the highest."""
    nodes, weights = np.polynomial.legendre.leggauss(ORDER)
    basis = np.polynomial.legendre.legvander(nodes, ORDER - 1)
    analysis = (basis * weights[:, None]).T * (np.arange(ORDER) + 0.5)[:, None]
    slopes = np.stack(
        [np.polynomial.legendre.legval(nodes, np.polynomial.legendre.legder(row)) for row in np.eye(ORDER)], axis=1
    )
    return nodes, weights, analysis, slopes @ analysis, basis[:, -3:] @ analysis[-3:]


@functools.cache
def _looks(count: int) -> tuple[Array, Array, Array]:
    """Places in a panel of width 1, its nodes first, then both ends and so many between; their order; and values at
    nodes -> values of the polynomial through them at the others."""
    others = np.concatenate([[_INSET, 1 - _INSET], (np.arange(count) + 0.5) / max(count, 1)])
    nodes, _, analysis, *_ = rule()
    at = np.concatenate([(1 + nodes) / 2, others])
    return at, np.argsort(at), np.polynomial.legendre.legvander(2 * others - 1, ORDER - 1) @ analysis


class _Look(NamedTuple):
    """Panels of a function: nodes and values there, both at all places in order, and how far the function is from the
    polynomial at the other places."""

    x: Array
    value: Array
    places: Array
    values: Array
    missing: Array


def _look(function: Function, left: Array, width: Array, widest: float, owner: str, finite: bool) -> _Look:
    """Looks at panels, in one call; `widest` of them, in units, tells how many places are needed besides the nodes."""
    at, order, matrix = _looks(1 << math.ceil(math.log2(DENSE * widest)) if DENSE * widest > ORDER else 0)
    x = left[:, None] + width[:, None] * at
    value = evaluate(function, x, owner, finite=finite)
    missing = np.abs(value[:, ORDER:] - value[:, :ORDER] @ matrix.T).max(axis=1)
    return _Look(x[:, :ORDER], value[:, :ORDER], x[:, order], value[:, order], missing)


def sample(function: Function, spread: float = 1.0, *, owner: str = "moments") -> Samples:
    """Sample z -> function(spread z) (array -> array of the same shape, elementwise) finely enough for Gaussian
    averages.

    Raises:
        ArgumentTypeError: not callable, or not elementwise. ArgumentError: not finite somewhere within +-14.
    """
    edges = np.linspace(-REACH, REACH, 113)  # quarters: the usual kinks (0, 1, 3, 6) fall on edges
    if spread > 1:  # quarters of what the function sees, and wider ones from there to those of z
        far = REACH / spread
        between = np.geomspace(far, max(far, 0.25), 2 + math.ceil(2 * math.log(max(0.25 / far, 1.0))))[1:-1]
        edges = np.concatenate([edges[np.abs(edges) > max(far, 0.25) * 1.01], edges / spread, between, -between])
        edges = np.sort(edges)
    if not callable(function):
        raise ArgumentTypeError(message(owner, "an activation", "a name or a function of an array", function))
    found = panels(lambda z, _: function(spread * z), edges[:-1], np.diff(edges), owner)
    x, width, value, size = found.x, found.width[:, None], found.value, found.size[:, None]
    _, weights, _, derivative, highest = rule()
    weight = width / 2 * weights * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    rest, missing = value @ highest.T, found.missing[:, None]
    hidden = np.where(missing > _UNSEEN * np.abs(value).max(axis=1, keepdims=True), missing * ORDER, 0.0)
    slope_rest = (2 * np.abs(rest @ derivative.T) + hidden) / width
    slope_rest[found.size < _NARROW] = 0.0  # there the share itself tells more
    parts = x, weight, value, found.slope, np.abs(rest) + missing, slope_rest, np.broadcast_to(size, x.shape)
    order = np.argsort(x.ravel())
    return Samples(*[*(part.ravel()[order] for part in parts), found.kinks])


class Averages:
    """E phi(sqrt(q) z)^2 and E phi'(sqrt(q) z)^2 for any variance q in a range, of a function that is sampled once.

    Panels grow with the distance from 0, so that they are fine enough for the smallest variance, and reach far enough
    for the largest. A function that overflows has no averages (nan) where it does so within 14 standard deviations.
    """

    def __init__(self, function: Function, low: float, high: float, *, owner: str) -> None:
        steps = 2 + round(4.5 * math.log(REACH * math.sqrt(high / low)))
        outward = np.geomspace(math.sqrt(low) / 2, REACH * math.sqrt(high), steps)
        edges = np.unique(np.concatenate([-outward, [0.0], outward, *_USUAL]))
        found = panels(lambda x, _: function(x), edges[:-1], np.diff(edges), owner, finite=False)
        measure, order = (found.width[:, None] / 2 * rule()[1]).ravel(), np.argsort(np.abs(found.x.ravel()))
        self._measure, self._x = measure[order], np.abs(found.x.ravel()[order])
        self._squares = np.stack([found.value.ravel() ** 2, found.slope.ravel() ** 2], axis=1)[order]
        known = np.isfinite(self._squares).all(axis=1)
        self._largest = float(self._x[~known].min(initial=math.inf)) / REACH
        self._squares[~known] = 0.0

    def at(self, q: Array | float) -> Array:
        """Both averages, on a last axis, for each variance."""
        spreads = np.sqrt(np.asarray(q, np.float64))
        found = np.full((spreads.size, 2), np.nan)
        for row, spread in zip(found, spreads.ravel(), strict=True):
            if spread < self._largest:
                near = slice(np.searchsorted(self._x, REACH * spread))
                density = np.exp((self._x[near] / spread) ** 2 * -0.5) / (math.sqrt(2 * math.pi) * spread)
                row[:] = (density * self._measure[near]) @ self._squares[near]
        return found.reshape(*spreads.shape, 2)


class Panels(NamedTuple):
    """Nodes, values and slopes by panel; and of each its width, the same in units, and what is seen to be missing
    there. `kinks` are where kinks and jumps lie, `rows` the row of each."""

    x: Array
    value: Array
    slope: Array
    width: Array
    size: Array
    missing: Array
    kinks: Array
    rows: Array


def panels(
    function: Callable[[Array, Array], Array],
    left: Array,
    width: Array,
    owner: str,
    *,
    finite: bool = True,
    most: int = _NOISY,
    tolerance: float = TOLERANCE,
) -> Panels:
    """Panels of x -> function(x, row), four to a unit, each a row; divided until it is smooth on each, or jumps, unless
    `most` are rough at once."""
    _, _, analysis, derivative, _ = rule()
    unit, row, typical = 4 * width, np.arange(len(left)), 0.0
    kept: list[tuple[Array, ...]] = []
    kinks: list[tuple[Array, Array]] = []
    while len(left):

        def at(x: Array, row: Array = row) -> Array:
            return function(x, np.repeat(row, x.size // len(row)))

        seen = _look(at, left, width, float((width / unit).max()), owner, finite)
        coefficients = seen.value @ analysis.T
        central = np.abs(left + 0.1) < 2
        typical = typical or float(np.sqrt(np.mean(seen.value[central | ~central.any()] ** 2))) or 1.0
        scale = np.maximum(np.abs(coefficients).max(axis=1), 1e-3 * typical)
        blur = 1e-15 * np.abs(left) / width * np.ptp(seen.value, axis=1)  # by the rounding of places
        rough = np.abs(coefficients[:, -3:]).max(axis=1) > tolerance * scale + blur
        rough |= seen.missing > _UNSEEN * scale + blur
        if rough.sum() > most:
            rough[:] = False
        done = ~rough | (width < SMALLEST * np.maximum(unit / 8, np.abs(left)))
        rise = seen.value - seen.value[:, :1]  # none where the function is constant, to the last digit
        slope = np.where(rough[:, None], 0.0, rise @ derivative.T * (2 / width[:, None]))
        kept.append(tuple(part[done] for part in (seen.x, seen.value, slope, width, width / unit, seen.missing)))
        kinks.append(((left + width / 2)[done & rough], row[done & rough]))
        left, width, parent, met = _divided(
            left[~done], width[~done], unit[~done], *(part[~done] for part in seen[:-1])
        )
        kinks.append((met[0], row[~done][met[1]]))
        unit, row = unit[~done][parent], row[~done][parent]
    parts = [np.concatenate(part) for part in (*zip(*kept, strict=True), *zip(*kinks, strict=True))]
    return Panels(*parts)


@np.errstate(all="ignore")
def _bend(x: Array, value: Array, places: Array, values: Array) -> tuple[Array, Array]:
    """Where the lines through both ends of panels meet, and how far from there a kink may be if values do not lie on
    them; inf where it is not between three nodes on each side."""
    first, last, end = value[:, :1], value[:, -1:], x[:, -1:]
    one = (value[:, 1:2] - first) / (x[:, 1:2] - x[:, :1])
    other = (last - value[:, -2:-1]) / (end - x[:, -2:-1])
    meet = x[:, :1] + (last - first - other * (end - x[:, :1])) / (one - other)
    lines = np.where(places < meet, first + one * (places - x[:, :1]), last + other * (places - end))
    doubt = 4 * np.abs(values - lines).max(axis=1) / np.abs(one - other)[:, 0]
    inside = ((meet > x[:, 2:3]) & (meet < x[:, -3:-2]))[:, 0] & np.isfinite(doubt)
    return meet[:, 0], np.where(inside, doubt, np.inf)


@np.errstate(all="ignore")
def _divided(left: Array, width: Array, unit: Array, *seen: Array) -> tuple[Array, Array, Array, tuple[Array, Array]]:
    """Left edges, widths and numbers of panels of which they are parts: what may hold a kink or a jump, and both sides
    of it; halves of many others, eighths of few, because each level is a call of the function. And where kinks are, and
    in which panels."""
    x, value, *places = seen
    met, doubt = _bend(x, value, *places)
    low, high, torn = _gaps(*places)
    bent = doubt < 0.05 * width
    low, high = np.where(bent, met - doubt, low), np.where(bent, met + doubt, high)
    cut, parts = bent | torn, 2 if len(left) > 16 else 8
    right = left + width
    some = [(cut, [low, high]), (~cut, [left + width * (at / parts) for at in range(1, parts)])]
    cuts = [[edge[which] for edge in (left, *inner, right)] for which, inner in some]
    starts, ends = (np.concatenate([edge for each in cuts for edge in each[part]]) for part in _SIDES)
    parents = np.concatenate([np.flatnonzero(which) for which, inner in some for _ in range(len(inner) + 1)])
    least = SMALLEST * np.maximum(unit / 8, np.abs(left))
    real = ends - starts > least[parents]
    sure = np.where(bent, doubt < _SURE * unit, np.where(torn, high - low, 0.01 * width) < least)
    place = np.where(cut, low + high, left + right) / 2
    return starts[real], (ends - starts)[real], parents[real], (place[sure], np.flatnonzero(sure))


_SIDES = slice(-1), slice(1, None)


def _gaps(places: Array, values: Array) -> tuple[Array, Array, Array]:
    """Between which two places of each panel the function changes most, and whether it hardly does elsewhere."""
    jumps = np.abs(np.diff(values))
    at = jumps.argmax(axis=1)[:, None]
    low, high, jump = (np.take_along_axis(*part, 1)[:, 0] for part in ((places, at), (places, at + 1), (jumps, at)))
    return low, high, jump > 0.8 * np.ptp(values, axis=1)


def evaluate(function: Function, x: Array, owner: str, *, finite: bool = True) -> Array:
    """Values of a function at numbers of any shape; errors where it is not elementwise, or not finite."""
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(function(x.flatten()))  # a copy: it may be written into
            value = value if value.dtype.kind == "c" else value.astype(np.float64, copy=False)
    except Exception as error:  # whatever a function of the user's raises
        remedy = "Write it with NumPy functions, such as np.tanh or np.maximum."
        raise ArgumentTypeError(
            f"{owner}: an activation must take a NumPy array; it failed: {told(error)} {remedy}"
        ) from error
    check_real(value)
    if value.shape != (x.size,):
        raise ArgumentTypeError(
            f"{owner}: an activation must map an array to an array of the same shape; "
            f"got shape {value.shape} from shape {(x.size,)}."
        )
    if finite and not np.isfinite(value).all():
        worst = float(x.ravel()[~np.isfinite(value)][0])
        raise ArgumentError(f"{owner}: an activation must be finite within +-{REACH:g}; it is not at {worst:.6g}.")
    return value.reshape(x.shape)
