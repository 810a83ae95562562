"""Gaussian averages of any function, to near machine precision, kinks included.

Composite Gauss-Legendre panels over [-14, 14]. On each panel the function is a polynomial through its nodes; a panel
whose highest Legendre coefficients are not small is halved, so panels close in on every kink and jump. The derivative
is that of the panel polynomials: it never straddles a kink and needs no derivative of the function.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import message, told
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError

Function = Callable[[Array], Array]

REACH = 14.0  # the normal density is 1e-43 there
_FAR, _NARROW = 13.0, 1e-9  # if averages exist, what lies beyond and in narrower panels is a rounding error
ORDER = 16
SMALLEST = 1e-11  # width below which a panel that still does not resolve holds a kink or a jump
TOLERANCE = 1e-11
STRAIGHT = 1e-5  # width below which a function is straight on both sides of a kink
_USUAL = [[at, -at] for at in (0.5, 1.0, 2.0, 2.5, 3.0, 6.0)]  # where kinks are
_INSET, _UNSEEN = 1e-9, 1e-9  # ends of a panel, in its widths; what is missing there between them and the outer nodes
_NOISY = 256  # rough panels on one level: kinks are few and stay few, rounding noise is everywhere


class Samples(NamedTuple):
    """Nodes, weights times the normal density, values and derivatives there (0 across a jump, as autograd has it).

    `value_rest` and `slope_rest` are what the highest coefficients of a panel add, which is more than what is missing;
    `width` is that of a node's panel.
    """

    x: Array
    weight: Array
    value: Array
    slope: Array
    value_rest: Array
    slope_rest: Array
    width: Array

    def average(self, slope: bool) -> tuple[float, float, float, float]:
        """E phi^2, or E phi'^2; its error, the share of it beyond 13 standard deviations, and that of narrow panels."""
        value, rest = (self.slope, self.slope_rest) if slope else (self.value, self.value_rest)
        each = self.weight * value**2
        whole = float(each.sum())
        error = float((self.weight * np.abs(rest) * (2 * np.abs(value) + np.abs(rest))).sum())
        far, narrow = (float(each[where].sum()) for where in (np.abs(self.x) > _FAR, self.width < _NARROW))
        return whole, error + narrow, far / (whole or 1.0), narrow / (whole or 1.0)


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
def _to_ends() -> Array:
    """Values at nodes -> values of the polynomial through them at both ends of a panel."""
    ends = np.polynomial.legendre.legvander(np.array([2 * _INSET - 1, 1 - 2 * _INSET]), ORDER - 1)
    found: Array = ends @ rule()[2]
    return found


def places(left: Array, width: Array) -> Array:
    """Nodes of panels, and both ends behind them."""
    at = np.append((1 + rule()[0]) / 2, [_INSET, 1 - _INSET])
    return left[:, None] + width[:, None] * at


def unseen(value: Array, scale: Array) -> Array:
    """Whether panels hold a jump or a kink between an end and the first node from there: values at `places`."""
    missing = np.abs(value[:, -2:] - value[:, :-2] @ _to_ends().T).max(axis=1)
    return np.asarray(missing > _UNSEEN * scale)


def sample(function: Function, *, owner: str = "moments") -> Samples:
    """Sample `function` (array -> array of the same shape, elementwise) finely enough for Gaussian averages.

    Raises:
        ArgumentTypeError: not callable, or not elementwise. ArgumentError: not finite somewhere within +-14.
    """
    edges = np.linspace(-REACH, REACH, 113)  # quarters: the usual kinks (0, 1, 3, 6) fall on edges
    x, width, value, slope = _panels(function, edges, owner)
    _, weights, _, derivative, highest = rule()
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    weight = width[:, None] / 2 * weights * density
    rest = value @ highest.T
    slope_rest, wide = rest @ derivative.T * (2 / width[:, None]), np.broadcast_to(width[:, None], x.shape)
    slope_rest = np.where(width[:, None] < _NARROW, 0.0, slope_rest)  # there the share itself tells more
    order = np.argsort(x.ravel())
    return Samples(*(part.ravel()[order] for part in (x, weight, value, slope, rest, slope_rest, wide)))


class Averages:
    """E phi(sqrt(q) z)^2 and E phi'(sqrt(q) z)^2 for any variance q in a range, of a function that is sampled once.

    Panels grow with the distance from 0, so that they are fine enough for the smallest variance, and reach far enough
    for the largest. A function that overflows has no averages (nan) where it does so within 14 standard deviations.
    """

    def __init__(self, function: Function, low: float, high: float, *, owner: str) -> None:
        steps = 2 + round(4.5 * math.log(REACH * math.sqrt(high / low)))
        outward = np.geomspace(math.sqrt(low) / 2, REACH * math.sqrt(high), steps)
        edges = np.unique(np.concatenate([-outward, [0.0], outward, *_USUAL]))
        x, width, value, slope = _panels(function, edges, owner, finite=False)
        self._measure = (width[:, None] / 2 * rule()[1]).ravel()
        self._x = x.ravel()
        self._squares = np.stack([value.ravel() ** 2, slope.ravel() ** 2], axis=1)
        known = np.isfinite(self._squares).all(axis=1)
        self._largest = float(np.abs(self._x[~known]).min(initial=math.inf)) / REACH
        self._squares[~known] = 0.0

    def at(self, q: Array | float) -> Array:
        """Both averages, on a last axis, for each variance."""
        spread = np.sqrt(np.asarray(q, np.float64))[..., None]
        density = np.exp(-((self._x / spread) ** 2) / 2) / (math.sqrt(2 * math.pi) * spread)
        found: Array = (density * self._measure) @ self._squares
        return np.where(spread < self._largest, found, np.nan)


def _panels(function: Function, edges: Array, owner: str, *, finite: bool = True) -> tuple[Array, Array, Array, Array]:
    """Nodes, widths, values and slopes of panels between edges, halved until each is smooth or holds a kink."""
    if not callable(function):
        raise ArgumentTypeError(message(owner, "an activation", "a name or a function of an array", function))
    _, _, analysis, derivative, _ = rule()
    left, width = edges[:-1], np.diff(edges)
    kept: list[tuple[Array, ...]] = []
    level, size = 0, 0.0
    while len(left):
        x = places(left, width)
        both = evaluate(function, x, owner, finite=finite)
        x, value = x[:, :-2], both[:, :-2]
        coefficients = value @ analysis.T
        size = size or float(np.sqrt(np.mean(value[np.abs(left + 0.1) < 2] ** 2))) or 1.0  # typical value for |x| < 2
        scale = np.maximum(np.abs(coefficients).max(axis=1), 1e-3 * size)
        rough = (np.abs(coefficients[:, -3:]).max(axis=1) > TOLERANCE * scale) | unseen(both, scale)
        if level > 3 and rough.sum() > _NOISY:
            rough[:] = False
        smallest, level = width < SMALLEST, level + 1
        done = ~rough | smallest
        slope = np.where(rough[:, None], 0.0, value @ derivative.T * (2 / width[:, None]))
        kept.append((x[done], width[done], value[done], slope[done]))
        left, width = _split(left[~done], width[~done], *bend(x[~done], value[~done]))
    x, width, value, slope = (np.concatenate(part) for part in zip(*kept, strict=True))
    return x, width, value, slope


@np.errstate(all="ignore")
def bend(x: Array, value: Array) -> tuple[Array, Array]:
    """Where the lines through both ends of narrow panels meet, and whether values lie on these."""
    at, rise = x - x[:, :1], value - value[:, :1]
    one, other = (rise[:, 1] / at[:, 1])[:, None], ((rise[:, -1] - rise[:, -2]) / (at[:, -1] - at[:, -2]))[:, None]
    meet = (rise[:, -1:] - other * at[:, -1:]) / (one - other)
    off = np.abs(rise - np.where(at < meet, one * at, rise[:, -1:] + other * (at - at[:, -1:]))).max(axis=1)
    inside = (meet > at[:, 2:3]) & (meet < at[:, -3:-2])  # three nodes on each side
    bent = inside & (off < 1e-3 * np.abs(rise).max(axis=1))[:, None]
    return (x[:, :1] + meet)[:, 0], bent[:, 0]


def _split(left: Array, width: Array, met: Array, bent: Array) -> tuple[Array, Array]:
    """Left edges and widths of parts of panels: both sides of a bend, halves of many panels, eighths of few, because
    each level is a call of the function."""
    bent &= width < STRAIGHT
    parts = 2 if len(left) > 16 else 8
    step = width[~bent] / parts
    one = met[bent] - left[bent]
    others = (left[~bent] + step * np.arange(parts)[:, None]).ravel()
    widths = one, width[bent] - one, np.tile(step, parts)
    return np.concatenate([left[bent], met[bent], others]), np.concatenate(widths)


def evaluate(function: Function, x: Array, owner: str, *, finite: bool = True) -> Array:
    """Values of a function at numbers of any shape; errors where it is not elementwise, or not finite."""
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(function(x.flatten()), dtype=np.float64)  # a copy: it may be written into
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
    if finite and not np.isfinite(value).all():
        worst = float(x.ravel()[~np.isfinite(value)][0])
        raise ArgumentError(f"{owner}: an activation must be finite within +-{REACH:g}; it is not at {worst:.6g}.")
    return value.reshape(x.shape)
