"""Moments and gains of an activation for a standard normal input."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import known, message, nearest, parse_call, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.theory.activations import ACTIVATION_ALIASES, ACTIVATIONS, GATES, PARAMETRIC, Function, PairFunction
from wellbegun.theory.functions import elementwise
from wellbegun.theory.pairs import averages
from wellbegun.theory.quadrature import Samples, sample


class ActivationMoments(NamedTuple):
    """Averages of phi(z) over z ~ N(0, 1), and the gains that follow.

    A layer with Var W = g^2 / fan_in and this activation keeps the second moment of its signal for g = `gain`, its
    variance (for centred weights) for g = `gain_variance`, and the size of its gradient (with fan_out) for
    g = `gain_backward`. `edge_bias_variance` is the bias variance that puts the layer on the edge of chaos at unit
    input variance, with weight std `gain_backward`; nan if it would be negative.

    Jumps have no slope, as for autograd: a function that is flat between them, as np.round, has `slope` 0 and no
    `gain_backward` (inf), though it changes with its input.

    `error` is an estimate, mostly too large, of the relative error of `second` and `slope`: 1e-13 for most functions,
    1e-10 for those of two arguments, 1e-5 for the slope of a function in single precision, 1e-2 for that of one whose
    kinks run along curves. `slopes` are those by each argument, whose sum is `slope`; it is inf where no average
    exists, as for the square root of |z|, or none can be told, as for jumps along a curve.
    """

    mean: float
    second: float
    slope: float  # E phi'(z)^2
    gain: float
    gain_variance: float
    gain_backward: float
    edge_bias_variance: float
    error: float = math.nan
    slopes: tuple[float, ...] = ()


def moments(activation: str | Callable[..., Any], *, q: float = 1.0) -> ActivationMoments:
    """Moments and gains of an activation by adaptive quadrature, to about 1e-9; the result tells its error.

    What is seen: with one argument whatever is as wide as 1/512 of the standard deviation, and for q > 1 what is as
    wide as 1/512 within 14 of 0; with two, bands of 1/64 of it and islands of 1/14 within 3 deviations, twice as wide
    within 6. What is narrower may be missed, and `error` knows nothing of it then.

    Args:
        activation: A built-in name ("gelu", "leaky_relu(0.2)", "swiglu"), or any elementwise function of one argument,
            or of two independent ones, as gates have: of arrays of NumPy, PyTorch or JAX.
        q: Variance of the inputs, > 0; gains are those of phi(sqrt(q) z).
    Raises:
        UnknownNameError: no such name. ArgumentTypeError: neither name nor elementwise function; or it gives complex
        numbers, or others each time. ArgumentError: the function is not finite within +-14 sqrt(q), or E phi^2 is not,
        or lies in tails beyond that.
    Cost: 20,000 evaluations of the function in 6 to 15 calls; with two arguments 60,000 to 150,000 in 15 to 30.
    Source: second-moment gain: He et al. 2015, arXiv:1502.01852; edge of chaos: Schoenholz et al. 2017,
        arXiv:1611.01232; variance gain: Brock et al. 2021, arXiv:2102.06171.

    >>> m = moments("relu")
    >>> round(m.second, 12), round(m.slope, 12), round(m.mean, 8), m.error < 1e-12
    (0.5, 0.5, 0.39894228, True)
    >>> by_u, by_v = moments(lambda u, v: u * np.maximum(v, 0)).slopes
    >>> round(by_u, 12), round(by_v, 12)
    (0.5, 0.5)
    """
    spread = math.sqrt(real("moments", "q", q, minimum=0, exclusive=True))
    function, arguments = phi_of(activation)
    if arguments == 1:
        return _from_samples(sample(function, spread))
    if (
        factor := factor_of(function if spread == 1 else _scaled(function, spread))
    ) is not None:  # E u^2 psi(v)^2 = E psi^2
        found = _from_samples(sample(factor[0]))
        slopes = (found.second, found.slope)
        return _gains(0.0, found.second, slopes if factor[1] == 0 else slopes[::-1], found.error)
    pair = averages(function, spread)
    relative = pair.errors[0] / (pair.second or 1.0)
    steep = [each / (sum(pair.slopes) or 1.0) for each in pair.errors[1:]]
    exists(relative)
    known = tuple(math.inf if each > _POOR else slope for each, slope in zip(steep, pair.slopes, strict=True))
    return _gains(pair.mean, pair.second, known, relative + sum(each for each in steep if each <= _POOR))


def gain(activation: str | Callable[..., Any]) -> float:
    """The gain that keeps the second moment through an activation: 1 / sqrt(E phi(z)^2), z ~ N(0, 1).

    Give its square to `variance_scaling(scale=...)`.

    Args:
        activation: As of `moments`.
    Raises:
        As `moments`; ArgumentError if the function is zero everywhere.

    >>> round(gain("relu") ** 2, 10), round(gain(lambda x: x / 2), 10)
    (2.0, 2.0)
    """
    averages = moments(activation)
    if not math.isfinite(averages.gain):
        raise ArgumentError(message("gain", "activation", "a function that is not zero everywhere", activation))
    return averages.gain


def phi_of(activation: Any, arguments: int = 2) -> tuple[Callable[..., Array], int]:
    """An activation by its name, or as a function of NumPy arrays; and its number of arguments."""
    if not (isinstance(activation, str) or callable(activation)):
        allowed = "a name or a function of an array"
        raise ArgumentTypeError(message("activation", "an activation", allowed, activation))
    if not isinstance(activation, str):
        return elementwise(activation, arguments)
    if activation not in GATES or arguments == 1:
        return activation_of(activation), 1
    psi = ACTIVATIONS[GATES[activation]]
    return lambda u, v: u * psi(v), 2


def factor_of(function: PairFunction) -> tuple[Function, int] | None:
    """psi, where a function of two arguments is one of them times psi of the other, as gates are, and which; or None.

    >>> factor_of(lambda u, v: np.tanh(u) * v)[1], factor_of(np.hypot)
    (1, None)
    """

    def turned(place: int, x: Array, y: Array) -> Array:
        return np.asarray(function(x, y) if place == 0 else function(y, x))

    @np.errstate(all="ignore")
    def alike(place: int, u: Array, v: Array) -> bool:
        ones, size = np.ones_like(v), len(u)
        found = turned(
            place, *map(np.concatenate, [(np.repeat(u, len(v)), ones), (np.tile(v, size), v)])
        )  # in one call
        psi = found[-len(v) :]
        return bool(psi.any() and np.allclose(found[: -len(v)], np.outer(u, psi).ravel(), rtol=1e-12, atol=0))

    for place in (0, 1):
        if alike(place, _SOME[:3], _SOME[3:]) and alike(place, _MANY, _MANY):
            return lambda x, place=place: turned(place, np.ones_like(x), x), place
    return None


_SOME = np.array([-3.0, 0.25, 1.6, -2.2, -0.8, 0.4, 1.3, 3.1, 5.0])
_MANY = np.concatenate([np.linspace(-3, 3, 128), np.linspace(3.05, 6, 32), np.linspace(-6, -3.05, 32)])


def activation_of(text: str) -> Function:
    """A built-in activation by name, alias or call: "tanh", "swish", "leaky_relu(0.2)", "elu(alpha=0.5)".

    >>> import numpy as np
    >>> float(activation_of("leaky_relu(0.2)")(np.array([-1.0]))[0])
    -0.2
    """
    name, positional, keywords = parse_call("activation", text)
    name = ACTIVATION_ALIASES.get(name, name)
    if not positional and not keywords:
        return ACTIVATIONS[known("activation", "name", name, ACTIVATIONS)]
    if name not in PARAMETRIC:
        hint = nearest(name, PARAMETRIC)
        allowed = "one of " + ", ".join(f"{key}({option})" for key, (option, _) in PARAMETRIC.items())
        raise UnknownNameError(message("activation", "a name with parameters", allowed, text, hint))
    option, function = PARAMETRIC[name]
    given = dict(zip([option], positional, strict=False)) | keywords
    if set(given) != {option} or len(positional) > 1:
        raise ArgumentError(message("activation", "arguments", f"{name}({option}=...)", text))
    value = real(name, option, given[option])
    return lambda x: function(x, value)


def _scaled(function: Callable[..., Array], spread: float) -> Callable[..., Array]:
    return lambda *x: function(*(spread * each for each in x))


_POOR = 0.05  # relative error beyond which there is no average


def exists(share: float) -> None:
    """An error where such a share of a second moment is not known."""
    if not share < _POOR:
        text = "its second moment is infinite, or lies in tails, poles or details that no quadrature finds"
        raise ArgumentError(f"moments: an activation must have averages for normal inputs; {text} ({share:.2g} of it).")


def _from_samples(s: Samples) -> ActivationMoments:
    mean = float(s.weight @ s.value)
    second, error, far, narrow = s.average(slope=False)
    exists(far + narrow + error / (second or 1.0))
    variance = float(s.weight @ (s.value - mean) ** 2)
    slope, rough, steep, thin = s.average(slope=True)
    relative = rough / (slope or 1.0) + steep
    if relative + thin > _POOR:
        slope, relative = math.inf, 0.0
    return _gains(mean, second, (slope,), max(error / (second or 1.0) + far, relative), variance)


def _gains(
    mean: float, second: float, slopes: tuple[float, ...], error: float, variance: float | None = None
) -> ActivationMoments:
    slope = sum(slopes)
    edge = 1 - second / slope if 0 < slope < math.inf else math.nan
    return ActivationMoments(
        mean,
        second,
        slope,
        _inverse_root(second),
        _inverse_root(second - mean**2 if variance is None else variance),
        _inverse_root(slope),
        max(edge, 0.0) if edge > -1e-9 else math.nan,
        error,
        slopes,
    )


def _inverse_root(value: float) -> float:
    return 1 / math.sqrt(value) if value > 0 else math.inf
