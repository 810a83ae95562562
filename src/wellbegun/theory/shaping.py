"""Activations that are stretched and shifted so that a deep net stays near its input: DKS and TAT."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np

from wellbegun._arguments import integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.theory.activations import Function
from wellbegun.theory.gains import phi_of
from wellbegun.theory.quadrature import ORDER, rule, sample

Network = SupportsIndex | Callable[[float], float]
_EXACT = 1e-8  # residual at which the conditions hold
_BETAS = (0.5, -0.5, 0.0, 1.0, -1.0, 2.0, -2.0)
_FURTHEST = 20.0  # shift beyond which nothing is taken for a solution
_OFF = 0.1234  # shift that moves kinks off the edges of panels


class Shaped(NamedTuple):
    """gamma (phi(alpha x + beta) + delta) in place of an activation phi."""

    alpha: float
    beta: float
    gamma: float
    delta: float

    def of(self, activation: str | Callable[..., Any]) -> Function:
        """The transformed function of NumPy arrays.

        >>> float(Shaped(2.0, 0.0, 3.0, 1.0).of("relu")(np.array([2.0]))[0])
        15.0
        """
        phi, _ = phi_of(activation, 1)
        return lambda x: self.gamma * (np.asarray(phi(self.alpha * x + self.beta), np.float64) + self.delta)


class _Averages(NamedTuple):
    """Of u(z) = phi(alpha z + beta) and its derivatives by z, over z ~ N(0, 1)."""

    mean: float
    second: float
    slope: float  # E u'^2
    stretch: float  # E u u' z
    lift: float  # E u' z
    bend: float  # E u''^2
    kinked: bool


def dks(activation: str | Callable[..., Any], depth: Network, *, zeta: SupportsFloat = 1.5) -> Shaped:
    """Deep kernel shaping: the transformation with which a net of this depth keeps its inputs apart.

    For f(x) = gamma (phi(alpha x + beta) + delta), z ~ N(0, 1): E f^2 = 1, E f f' z = 1 (a signal of another size keeps
    it), E f = 0 (unlike inputs stay unlike), E f'^2 = s, where s is the slope of one layer at which the steepest
    subnetwork has slope zeta: s^depth = zeta.

    Args:
        activation: As of `moments`, of one argument.
        depth: How many activations follow each other in a plain net, >= 1; or, for others, the function from s to the
            largest slope of any subnetwork, which rises from 1 at s = 1.
        zeta: That slope, > 1.
    Returns:
        `Shaped`: alpha, beta, gamma, delta.
    Raises:
        ArgumentError: no such transformation was found: there is none for functions that are linear, or linear on
            either side of 0. UnknownNameError, ArgumentTypeError: as `moments`.
    Cost: some dozens of quadratures, about a second.
    Use: with `delta_orthogonal()` or `orthogonal()` weights scaled by (outputs / inputs)^(1/2) where outputs are more,
        biases 0, inputs of unit RMS at each position, and sums of branches whose squared weights add up to 1. The model
        is written with the new activation; nothing of it is changed here.
    Avoid: nets with normalization, which need none of this; first-order optimizers on very deep nets (the authors use
        K-FAC; TAT is for SGD).
    Source: Martens et al. 2021, arXiv:2110.01765.

    >>> f = dks("tanh", 50).of("tanh")
    >>> found = sample(f)
    >>> [round(float(found.weight @ part), 6) + 0.0 for part in (found.value, found.value**2, found.slope**2)]
    [0.0, 1.0, 1.008142]
    """
    phi, _ = phi_of(activation, 1)
    steep = real("dks", "zeta", zeta, minimum=1, exclusive=True)
    slope = _local("dks", depth, lambda count: steep ** (1 / count), steep, 1.0, steep)

    def missing(x: Array) -> list[float]:
        found = _averages(phi, *x)
        variance = max(found.second - found.mean**2, 1e-300)
        return [found.slope / variance - slope, (found.stretch - found.mean * found.lift) / variance - 1]

    alpha, beta = _solved("dks", activation, missing, _starts(slope - 1))
    found = _averages(phi, alpha, beta)
    return Shaped(alpha, beta, (found.second - found.mean**2) ** -0.5, -found.mean)


def tat(activation: str | Callable[..., Any], depth: Network, *, tau: SupportsFloat = 0.3) -> Shaped:
    """Tailored activation transformation of a smooth function: the net bends what is near equal by a chosen amount.

    For f as in `dks`: E f^2 = 1, E f f' z = 1, E f'^2 = 1 (gradients keep their size), E f''^2 = k, where k is the
    curvature of one layer at which the subnetwork that bends most has curvature tau: k depth = tau.

    Args:
        activation, depth: As of `dks`; a function goes from k to the largest curvature of any subnetwork, from 0 at 0.
        tau: That curvature, > 0.
    Returns, Raises, Cost: As `dks`; ArgumentError for functions with kinks: `tat_leaky_relu` is for those.
    Use: as of `dks`, for SGD and Adam.
    Source: Zhang et al. 2022, arXiv:2203.08120.

    >>> f = tat("softplus", 50).of("softplus")
    >>> found = sample(f)
    >>> [round(float(found.weight @ part), 6) for part in (found.value**2, found.slope**2)]
    [1.0, 1.0]
    """
    phi, _ = phi_of(activation, 1)
    most = real("tat", "tau", tau, minimum=0, exclusive=True)
    bend = _local("tat", depth, lambda count: most / count, most, 0.0, most)
    if _averages(phi, 1.0, _OFF).kinked:
        raise ArgumentError(message("tat", "activation", "a smooth one", activation, "See tat_leaky_relu."))

    def missing(x: Array) -> list[float]:
        found, delta = _averages(phi, x[0], x[1]), x[2]
        size = max(found.slope, 1e-300)
        second = found.second + 2 * delta * found.mean + delta**2
        return [found.bend / size / bend - 1, (found.stretch + delta * found.lift) / size - 1, second / size - 1]

    starts = [(*start, delta) for start in _starts(bend) for delta in (0.0, -1.0, 1.0)]
    alpha, beta, delta = _solved("tat", activation, missing, starts)
    return Shaped(alpha, beta, _averages(phi, alpha, beta).slope ** -0.5, delta)


def tat_leaky_relu(depth: SupportsIndex, *, eta: SupportsFloat = 0.9) -> tuple[float, float]:
    """Tailored ReLU: the negative slope at which a plain net maps orthogonal inputs to a cosine of eta.

    f(x) = gamma max(x, a x), gamma = (2 / (1 + a^2))^(1/2). One layer maps a cosine c to
    c + (1 - a)^2 / (pi (1 + a^2)) ((1 - c^2)^(1/2) - c arccos c); `depth` of them map 0 to eta.

    Args:
        depth: How many of them follow each other, >= 1.
        eta: That cosine, 0 < eta < 1.
    Returns:
        The slope a and gamma; a = 0, the ReLU, where the net is so shallow that it stays below eta.
    Raises:
        ArgumentError, ArgumentTypeError: a number outside its range.
    Source: Zhang et al. 2022, arXiv:2203.08120.

    >>> slope, gamma = tat_leaky_relu(50)
    >>> round(slope, 3), round(gamma**2 * (1 + slope**2), 12), tat_leaky_relu(2)[0]
    (0.431, 2.0, 0.0)
    """
    count, goal = integer("tat_leaky_relu", "depth", depth, minimum=1), real("tat_leaky_relu", "eta", eta, minimum=0)
    if not 0 < goal < 1:
        raise ArgumentError(message("tat_leaky_relu", "eta", "between 0 and 1, both excluded", eta))

    def short(a: float) -> float:
        c, share = 0.0, (1 - a) ** 2 / (math.pi * (1 + a * a))
        for _ in range(count):
            c = min(c + share * (math.sqrt(1 - c * c) - c * math.acos(c)), 1.0)
        return c - goal

    from scipy.optimize import brentq  # loaded on use, as all of SciPy

    slope = 0.0 if short(0.0) <= 0 else float(brentq(short, 0.0, 1.0, xtol=1e-14))
    return slope, math.sqrt(2 / (1 + slope**2))


def _local(owner: str, depth: Network, plain: Callable[[int], float], goal: float, low: float, high: float) -> float:
    """What one layer may have so that the whole has what is asked."""
    if not callable(depth):
        return plain(integer(owner, "depth", depth, minimum=1))
    from scipy.optimize import brentq

    if not depth(low) < goal <= depth(high):
        allowed = f"a function that rises from below {goal:g} at {low:g} to {goal:g} or more at {high:g}"
        raise ArgumentError(message(owner, "depth", allowed, (depth(low), depth(high))))
    return float(brentq(lambda x: depth(x) - goal, low, high, xtol=1e-14))


def _starts(bend: float) -> list[tuple[float, float]]:
    """Where to begin: alpha grows as the root of what one layer may bend."""
    near = min(2 * math.sqrt(bend), 1.0)
    return [(alpha, beta) for alpha in (near, 3 * near, 1.0, near / 3) for beta in _BETAS]


def _averages(phi: Function, alpha: float, beta: float) -> _Averages:
    found = sample(lambda z: phi(alpha * z + beta), owner="activation")
    w, u, slope, z = found.weight, found.value, found.slope, found.x
    panels, width = slope.reshape(-1, ORDER), found.width.reshape(-1, ORDER)
    second = (panels @ rule()[3].T * (2 / width)).ravel()
    bend = float(w @ second**2)
    mean, square, steep, stretch, lift = (float(w @ part) for part in (u, u**2, slope**2, u * slope * z, slope * z))
    return _Averages(mean, square, steep, stretch, lift, bend, bool(found.kinks.size))


def _solved(
    owner: str, activation: object, missing: Callable[[Array], list[float]], starts: Iterable[tuple[float, ...]]
) -> tuple[float, ...]:
    """Where nothing is missing; alpha, which comes first, is above 0."""
    from scipy.optimize import root

    def of_logarithm(x: Array) -> list[float]:
        try:
            return missing(np.array([math.exp(min(max(x[0], -_FURTHEST), 3.0)), *np.clip(x[1:], -1e3, 1e3)]))
        except ArgumentError:  # it overflows there
            return [1e6] * len(x)

    for start in starts:
        found = root(of_logarithm, [math.log(start[0]), *start[1:]], tol=1e-13)
        if np.abs(of_logarithm(found.x)).max() < _EXACT and np.abs(found.x[:2]).max() < _FURTHEST:
            return (math.exp(found.x[0]), *map(float, found.x[1:]))
    allowed = "one that alpha, beta, gamma and delta can bring to these conditions"
    raise ArgumentError(message(owner, "activation", allowed, activation))
