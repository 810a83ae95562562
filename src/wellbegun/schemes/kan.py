"""Kolmogorov-Arnold networks: the factors of their splines and bases as three libraries start them."""

import math

import numpy as np

from wellbegun._arguments import real
from wellbegun.laws import Constant, Uniform
from wellbegun.schemes.base import spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.iid import FanScaled
from wellbegun.schemes.scaling import VarianceScaling


@scheme(
    formula="pykan, factor of the base function: W ~ U((mean - spread) / sqrt(n_in), (mean + spread) / sqrt(n_in)).",
    shapes="any with an input axis.",
    strengths="the base functions carry the signal while the splines are still noise.",
    weaknesses="its documentation says normal, its code draws uniform: this is the code.",
    use="`scale_base` of pykan's layers.",
    source="Liu et al. 2024, arXiv:2404.19756; pykan 0.2.8, `KANLayer`.",
    tensors="basis",
    invariants={
        "Var W = spread^2 / (3 n_in)": lambda w: varies(w, 1 / (3 * w.shape[1])),
        "|W| <= (|mean| + spread) / sqrt(n_in)": lambda w: bool(abs(w).max() <= 1 / math.sqrt(w.shape[1])),
    },
)
def kan_base(*, mean: float = 0.0, spread: float = 1.0) -> FanScaled:
    """Args:
        mean: Finite, for one input.
        spread: > 0, half the width of the interval for one input.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> kan_base(mean=1.0).law((8, 4)).high
    1.0
    """
    middle = real("kan_base", "mean", mean)
    half = real("kan_base", "spread", spread, minimum=0, exclusive=True)
    text = spell("kan_base", {"mean": middle, "spread": half}, {"mean": 0.0, "spread": 1.0})
    return FanScaled(text, Uniform(middle - half, middle + half), 0.5)


@scheme(
    formula="pykan, factor of the splines: W = scale / sqrt(n_in), every one.",
    shapes="any with an input axis.",
    strengths="the sum of n_in splines has the size of one of them.",
    weaknesses="constant: what differs between units are the coefficients of the splines.",
    use="`scale_sp` of pykan's layers.",
    source="Liu et al. 2024, arXiv:2404.19756; pykan 0.2.8, `KANLayer`.",
    tensors="basis",
    invariants={"W = scale / sqrt(n_in)": lambda w: near(w, np.full(w.shape, 1 / math.sqrt(w.shape[1])))},
)
def kan_spline_scale(*, scale: float = 1.0) -> FanScaled:
    """Args:
        scale: Finite.
    Raises: ArgumentError here: scale. LayoutError at the draw: no fans.

    >>> kan_spline_scale()((1, 4), seed=0).tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    number = real("kan_spline_scale", "scale", scale)
    return FanScaled(spell("kan_spline_scale", {"scale": number}, {"scale": 1.0}), Constant(number), 0.5)


@scheme(
    formula="efficient-KAN: W ~ U(+-sqrt(6 / ((1 + 5 scale^2) n_in))), torch's Kaiming uniform with a = sqrt(5) scale.",
    shapes="any with an input axis.",
    strengths="the start of a fast and widely used implementation, with its names.",
    weaknesses="a larger `scale` gives smaller weights, since it stands where torch has a negative slope.",
    use="`base_weight` and `spline_scaler` of efficient-KAN's layers.",
    source="efficient-kan, `KANLinear.reset_parameters`; Liu et al. 2024, arXiv:2404.19756.",
    tensors="basis",
    example="efficient_kan(scale=2.0)",
    invariants={
        "Var W = 2 / ((1 + 5 scale^2) n_in)": lambda w: varies(w, 2 / (21 * w.shape[1])),
        "|W| <= sqrt(3 Var W)": lambda w: bool(abs(w).max() <= math.sqrt(6 / (21 * w.shape[1]))),
    },
)
def efficient_kan(*, scale: float = 1.0) -> VarianceScaling:
    """Args:
        scale: Finite: `scale_base` or `scale_spline`.
    Raises: ArgumentError here: scale. LayoutError at the draw: no fans.

    >>> from wellbegun.schemes import fan_in_uniform
    >>> math.isclose(efficient_kan().law((4, 3)).high, fan_in_uniform().law((4, 3)).high)
    True
    """
    number = real("efficient_kan", "scale", scale)
    text = spell("efficient_kan", {"scale": number}, {"scale": 1.0})
    return VarianceScaling(text, 2 / (1 + 5 * number**2), "fan_in", "uniform")


publish(globals())
