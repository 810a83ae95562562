"""The tables of the papers: what each rule says of a parameter whose axes are known. Multipliers stand in the forward
pass here; `Multipliers.folded` moves them into first values and rates.

Derivations: an entry of the gradient of a matrix is (its output's gradient, 1/n_out) × (its input, 1), so SGD needs
n_out / n_in for changes of its output that are 1 in size, Adam 1 / n_in, and Muon, whose steps have singular values 1,
(n_out / n_in)^(1/2). In a branch that is multiplied with L^-α, gradients are L^-α times and L branches add up, so what
they may change is 1/L each: L^(2α-1) for SGD and L^(α-1) for Adam and Muon.
"""

import math
from collections.abc import Callable

from wellbegun.planning.multipliers import Multipliers, Rates, Training
from wellbegun.planning.scaling.axes import Axes

Rule = Callable[[Axes, float], Multipliers]
"""(axes, α) -> what the rule says."""


def _kept(learning_rate: float, epsilon: float = 1.0) -> Rates:
    """A rate, and the weight decay that shrinks by the same part a step."""
    return Rates(learning_rate, 1 / learning_rate, epsilon)


def _matrix(at: Axes) -> Training:
    rate, muon = 1 / at.wider_in, math.sqrt(at.wider_out / at.wider_in) / at.tall
    return Training(_kept(at.wider_out / at.wider_in), _kept(rate, 1 / at.wider_out), _kept(muon))


def _vector(at: Axes) -> Training:
    rates = Rates(epsilon=1 / at.wider_out)
    return Training(_kept(at.wider_out), rates, rates)


def _deep(found: Multipliers, at: Axes, alpha: float) -> Multipliers:
    """What is in a residual branch that is multiplied with (L / base L)^-α."""
    m, rates = at.deeper, found.training
    training = Training(
        rates.sgd.times(m ** (2 * alpha - 1), m**-alpha),
        rates.adamw.times(m ** (alpha - 1), 1.0, m**-alpha),
        rates.muon.times(m ** (alpha - 1)),
    )
    return Multipliers(found.std, found.forward * (m**-alpha if at.last else 1.0), training)


def mup(at: Axes, alpha: float) -> Multipliers:
    """Yang et al. 2022, arXiv:2203.03466, table 8, relative to the base model; with depth, Dey et al. 2025,
    arXiv:2505.01618, table 1."""
    if at.kind == "matrix":
        found = Multipliers(at.wider_in**-0.5, 1.0, _matrix(at))
    elif at.kind == "vector":
        found = Multipliers(1.0, 1.0, _vector(at))
    elif at.kind == "readout":
        m = at.wider_in
        rates = Rates(epsilon=1 / m)
        found = Multipliers(1.0, 1 / m, Training(_kept(m), rates, rates))
    else:
        found = Multipliers()
    return _deep(found, at, alpha)


def spectral(at: Axes, alpha: float) -> Multipliers:
    """Yang, Simon, Bernstein 2023, arXiv:2310.17813: all is a matrix, against a base of 1, and laws stay."""
    return _deep(Multipliers(1.0, 1.0, _matrix(at)), at, alpha)


def umup(at: Axes, alpha: float) -> Multipliers:
    """Blake et al. 2024, arXiv:2407.17465, table 2, with its multipliers 1/n_in^(1/2) and 1/n_in folded already."""
    found = spectral(at, alpha)
    rates = found.training
    if at.kind == "table":
        rates = Training(rates.sgd, rates.adamw.times(at.outputs**-0.5, at.outputs**0.5), rates.muon)
    return Multipliers(found.std, found.forward, rates)
