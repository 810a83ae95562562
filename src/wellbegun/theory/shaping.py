"""Activations shaped for deep networks without normalization or shortcuts: DKS and TAT."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.theory.activations import Function
from wellbegun.theory.gains import moments, phi_of

TARGETS = {"dks": 1.5, "tat": 0.3, "leaky": 0.9}
_STARTS = tuple(itertools.product((0.1, 1.0, 0.3), (0.5, 0.2, 1.0, -0.5, -1.0)))  # scale and shift of the input
_STEP = 0.02  # of differences of order 6


@dataclass(frozen=True)
class Shaped:
    """x -> output_scale (phi(input_scale x + input_shift) + output_shift): called like the activation it is made of."""

    activation: Callable[..., Any]
    input_scale: float
    input_shift: float
    output_shift: float
    output_scale: float

    def __call__(self, x: Any) -> Any:
        """Of a number or an array, of whatever the activation takes."""
        return self.output_scale * (self.activation(self.input_scale * x + self.input_shift) + self.output_shift)


def shaped_activation(
    activation: str | Callable[..., Any], layers: int, *, method: str = "dks", target: float | None = None
) -> Shaped:
    """An activation shifted and scaled so that a plain chain of `layers` of them neither mixes up nor merges inputs.

    "dks": E phi = 0, E phi^2 = 1 and its derivative by the variance 1, E phi'^2 = target^(1 / layers).

    "tat": E phi^2 = 1, its derivative by the variance 1, E phi'^2 = 1, E phi''^2 = target / layers; of "leaky_relu" the
    slope for which independent inputs end with the cosine `target`.

    Weights are to be `scaled_orthogonal` or `delta_orthogonal`, biases 0, inputs of mean square 1, and sums in the
    network weighted so that squares of the weights add up to 1.

    Args:
        activation: As of `moments`, of one argument; "tat" takes smooth ones, and "relu" or "leaky_relu".
        layers: How many follow each other, >= 1: of the longest way through the network.
        method: "dks" or "tat".
        target: What the whole chain may reach: "dks" > 1, the slope of cosines at 1, default 1.5; "tat" > 0, their
            curvature there, default 0.3; of leaky ReLU in (0, 1), default 0.9.
    Raises:
        As `moments`; ArgumentError, ArgumentTypeError: arguments; no shift and scale that gives it.
    Source: Martens et al. 2021, arXiv:2110.01765 (DKS); Zhang et al. 2022, arXiv:2203.08120 (TAT); package dks.
    Cost: about a second.

    >>> phi = shaped_activation(np.tanh, 50)
    >>> found = moments(phi)
    >>> abs(found.mean) < 1e-6, round(found.second, 6), round(found.slope**50, 4)
    (True, 1.0, 1.5)
    """
    owner, count = "shaped_activation", integer("shaped_activation", "layers", layers, minimum=1)
    choice(owner, "method", method, ("dks", "tat"))
    leaky = method == "tat" and activation in ("relu", "leaky_relu")
    usual = TARGETS["leaky" if leaky else method]
    wanted = real(owner, "target", usual if target is None else target, minimum=float(method == "dks"), exclusive=True)
    if leaky:
        if wanted >= 1:
            raise ArgumentError(message(owner, "target", "in (0, 1) for leaky ReLU", target))
        return _leaky(count, wanted)
    function, _ = phi_of(activation, 1)
    found = _solved(function, wanted ** (1 / count) if method == "dks" else wanted / count, method)
    if found is None:
        allowed = f"one that a shift and a scale can give the conditions of {method}"
        raise ArgumentError(message(owner, "activation", allowed, activation, "Take another, or fewer layers."))
    return Shaped(activation if callable(activation) else function, *found)


def _leaky(layers: int, cosine: float) -> Shaped:
    """By the cosine that independent inputs end with, which falls from 1 at slope 0 to 0 at slope 1."""
    from scipy.optimize import brentq

    def ends(slope: float) -> float:
        c = 0.0
        for _ in range(layers):
            bent = math.sqrt(max(1 - c * c, 0.0)) + (math.pi - math.acos(c)) * c
            c = min(((1 - slope) ** 2 * bent / math.pi + 2 * slope * c) / (1 + slope**2), 1.0)
        return c - cosine

    slope = float(brentq(ends, 0.0, 1.0, xtol=1e-14)) if ends(0.0) > 0 else 0.0
    return Shaped(_Leaky(slope), 1.0, 0.0, 0.0, math.sqrt(2 / (1 + slope**2)))


@dataclass(frozen=True)
class _Leaky:
    """Leaky ReLU of any array: (1 + slope) / 2 x + (1 - slope) / 2 |x|."""

    slope: float

    def __call__(self, x: Any) -> Any:
        return (1 + self.slope) / 2 * x + (1 - self.slope) / 2 * abs(x)


def _solved(function: Function, goal: float, method: str) -> tuple[float, float, float, float] | None:
    """Scale and shift of the input, shift and scale of the output."""
    from scipy.optimize import root

    def shape(unknown: Array) -> tuple[list[float], float, float]:
        """What is left of two conditions; the others give the shift and the scale of the output."""
        scale, shift = math.exp(unknown[0]), float(unknown[1])
        return _conditions(lambda z: function(scale * z + shift), goal, method)

    for scale, shift in _STARTS:
        try:
            end = root(lambda unknown: shape(unknown)[0], [math.log(scale), shift], tol=1e-12)
            left, output_shift, output_scale = shape(end.x)
        except (ArgumentError, OverflowError, ZeroDivisionError, ValueError):  # out where there are no moments
            continue
        inner = math.exp(end.x[0])
        if max(map(abs, left)) < 1e-7 and not (method == "tat" and inner * output_scale >= 2):  # as the package has it
            return inner, float(end.x[1]), output_shift, output_scale
    return None


def _conditions(f: Function, goal: float, method: str) -> tuple[list[float], float, float]:
    found, turned = moments(f), moments(lambda z: z * f(z))
    mean, second = found.mean, found.second
    # d/dq E f(sqrt(q) z)^2 at q = 1 is E (z^2 - 1) f^2 / 2
    squares, means = turned.second - second, moments(lambda z: z * z * f(z)).mean - mean
    if method == "dks":
        variance = second - mean**2
        left = [(squares - 2 * mean * means) / (2 * variance) - 1, found.slope / variance - goal]
        return left, -mean, variance**-0.5
    curved = moments(lambda z: _derivative(f, z)).slope
    shift = (2 * found.slope - squares) / (2 * means)
    left = [(second + 2 * shift * mean + shift**2) / found.slope - 1, curved / found.slope / goal - 1]
    return left, shift, found.slope**-0.5


def _derivative(f: Function, z: Array) -> Array:
    taps = ((45.0, 1), (-9.0, 2), (1.0, 3))
    return np.asarray(sum(tap * (f(z + k * _STEP) - f(z - k * _STEP)) for tap, k in taps) / (60 * _STEP))
