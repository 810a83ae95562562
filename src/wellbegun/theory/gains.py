"""Moments and gains of an activation for a standard normal input."""

import math
from typing import NamedTuple

from wellbegun._arguments import known, message, nearest, parse_call, real
from wellbegun.errors import ArgumentError, UnknownNameError
from wellbegun.theory.activations import ACTIVATION_ALIASES, ACTIVATIONS, PARAMETRIC, Function
from wellbegun.theory.quadrature import Samples, sample


class ActivationMoments(NamedTuple):
    """Averages of phi(z) over z ~ N(0, 1), and the gains that follow.

    A layer with Var W = g^2 / fan_in and this activation keeps the second moment of its signal for g = `gain`, its
    variance (for centred weights) for g = `gain_variance`, and the size of its gradient (with fan_out) for
    g = `gain_backward`. `edge_bias_variance` is the bias variance that puts the layer on the edge of chaos at unit
    input variance, with weight std `gain_backward`; nan if it would be negative.
    """

    mean: float
    second: float
    slope: float  # E phi'(z)^2
    gain: float
    gain_variance: float
    gain_backward: float
    edge_bias_variance: float


def moments(activation: str | Function, *, q: float = 1.0) -> ActivationMoments:
    """Moments and gains of an activation by quadrature, to about 1e-9.

    Args:
        activation: A built-in name ("gelu", "leaky_relu(0.2)"), or any elementwise function of a NumPy array.
        q: Variance of the input, > 0; gains are those of phi(sqrt(q) z).
    Raises:
        UnknownNameError: no such name. ArgumentTypeError: neither name nor elementwise function.
        ArgumentError: the function is not finite within +-14 sqrt(q).
    Cost: a few thousand evaluations of the function.
    Source: second-moment gain: He et al. 2015, arXiv:1502.01852; edge of chaos: Schoenholz et al. 2017,
        arXiv:1611.01232; variance gain: Brock et al. 2021, arXiv:2102.06171.

    >>> m = moments("relu")
    >>> round(m.second, 12), round(m.slope, 12), round(m.mean, 8)
    (0.5, 0.5, 0.39894228)
    """
    spread = math.sqrt(real("moments", "q", q, minimum=0, exclusive=True))
    function = activation_of(activation) if isinstance(activation, str) else activation
    scaled = function if spread == 1.0 else _scaled(function, spread)
    return _from_samples(sample(scaled))


def gain(activation: str | Function) -> float:
    """The gain that keeps the second moment through an activation: 1 / sqrt(E phi(z)^2), z ~ N(0, 1).

    Give its square to `variance_scaling(scale=...)`.

    Args:
        activation: A built-in name or any elementwise function of a NumPy array.
    Raises:
        As `moments`; ArgumentError if the function is zero everywhere.

    >>> round(gain("relu") ** 2, 10), round(gain(lambda x: x / 2), 10)
    (2.0, 2.0)
    """
    averages = moments(activation)
    if not math.isfinite(averages.gain):
        raise ArgumentError(message("gain", "activation", "a function that is not zero everywhere", activation))
    return averages.gain


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


def _scaled(function: Function, spread: float) -> Function:
    return lambda x: function(spread * x)


def _from_samples(s: Samples) -> ActivationMoments:
    mean = float(s.weight @ s.value)
    second = float(s.weight @ s.value**2)
    slope = float(s.weight @ s.slope**2)
    slope = slope if slope > 1e-18 * second else 0.0  # rounding of a step function
    variance = float(s.weight @ (s.value - mean) ** 2)
    edge = 1 - second / slope if slope > 0 else math.nan
    return ActivationMoments(
        mean,
        second,
        slope,
        _inverse_root(second),
        _inverse_root(variance),
        _inverse_root(slope),
        max(edge, 0.0) if edge > -1e-9 else math.nan,
    )


def _inverse_root(value: float) -> float:
    return 1 / math.sqrt(value) if value > 0 else math.inf
