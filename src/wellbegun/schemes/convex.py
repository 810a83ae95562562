"""Input-convex networks: weights that must not be negative, and the biases that go with them."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import integer, message, real
from wellbegun.errors import ArgumentError
from wellbegun.laws import Constant, Law, Mapped, Normal
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.fixed import FixedScheme
from wellbegun.schemes.iid import fan_in


def _mean_square(inputs: float, correlation: float) -> float:
    """Square of the mean weight."""
    arc = math.sqrt(1 - correlation**2) + correlation * math.acos(-correlation)
    return correlation * 2 * math.pi / (inputs * (math.pi - inputs + (inputs - 1) * arc))


def _logs(inputs: float, correlation: float) -> tuple[float, float]:
    """Mean and variance of the logarithm of a weight."""
    square = _mean_square(inputs, correlation)
    spread = math.log1p(2 * (1 - correlation) / inputs / square)
    return (math.log(square) - spread) / 2, spread


def _share(owner: str, correlation: float) -> float:
    share = real(owner, "correlation", correlation, minimum=0, exclusive=True)
    if share >= 1:
        raise ArgumentError(message(owner, "correlation", "below 1", correlation))
    return share


@dataclass(frozen=True, repr=False)
class ConvexScheme(Scheme):
    """Log-normal weights."""

    correlation: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        middle, spread = _logs(fan_in(self.spelling, shape, layout), self.correlation)
        return Mapped(Normal(middle, math.sqrt(spread)), "exp")


@scheme(
    formula=(
        "Convex: log-normal W with Var W = 2 (1 - rho) / n and E W = mu, "
        "mu^2 = 2 pi rho / (n (pi - n + (n - 1) (sqrt(1 - rho^2) + rho acos(-rho)))), n = n_in."
    ),
    shapes="any with an input axis.",
    strengths="behind ReLU, with `convex_bias`, a layer passes mean 0, variance 1 and correlation rho of its units on.",
    weaknesses="very heavy tails: at n = 400 the std is 11 means; stacked layers grow, so watch the measured signal.",
    use="the non-negative weights of input-convex networks with ReLU.",
    source="Hoedt, Klambauer 2023, arXiv:2312.12474.",
    tensors="convex",
    shape=(128, 96),
    invariants={
        "W > 0": lambda w: bool((w > 0).all()),
        "log W has the mean and the variance of that law": lambda w: (
            bool((w > 0).all())
            and abs(np.log(w).mean() - _logs(w.shape[1], 0.5)[0]) < 6 * math.sqrt(_logs(w.shape[1], 0.5)[1] / w.size)
            and varies(np.log(w) - _logs(w.shape[1], 0.5)[0], _logs(w.shape[1], 0.5)[1])
        ),
    },
)
def convex_lognormal(*, correlation: float = 0.5) -> ConvexScheme:
    """Args:
        correlation: rho, in (0, 1): between any two units.
    Raises: ArgumentError here: correlation. LayoutError at the draw: no fans.

    >>> moments = convex_lognormal().law((3, 50)).moments()
    >>> math.isclose(moments.variance, 1 / 50, rel_tol=1e-6)
    True
    """
    share = _share("convex_lognormal", correlation)
    return ConvexScheme(spell("convex_lognormal", {"correlation": share}, {"correlation": 0.5}), share)


@scheme(
    formula="Convex bias: b = -n mu / sqrt(2 pi), against the mean that n weights of mean mu make of ReLUs.",
    shapes="any.",
    strengths="the units start around 0, where ReLU bends.",
    weaknesses="needs to be told the number of inputs of the weight beside it.",
    use="the biases beside weights of `convex_lognormal`.",
    source="Hoedt, Klambauer 2023, arXiv:2312.12474.",
    tensors="bias",
    shape=(7,),
    layout="o",
    example="convex_bias(inputs=400)",
    invariants={
        "b = -n mu / sqrt(2 pi)": lambda w: near(w, np.full(7, -400 * math.sqrt(_mean_square(400, 0.5) / 2 / math.pi)))
    },
)
def convex_bias(*, inputs: int, correlation: float = 0.5) -> FixedScheme:
    """Args:
        inputs: n_in of the weight, >= 1.
        correlation: rho, in (0, 1), as for the weight.
    Raises: ArgumentError here: arguments.

    >>> convex_bias(inputs=100).law(3).value < 0
    True
    """
    count, share = integer("convex_bias", "inputs", inputs, minimum=1), _share("convex_bias", correlation)
    text = spell("convex_bias", {"inputs": count, "correlation": share}, {"correlation": 0.5})
    return FixedScheme(text, Constant(-count * math.sqrt(_mean_square(count, share) / 2 / math.pi)))


publish(globals())
