"""Schemes whose variance follows the fans: variance scaling and its named members."""

import math
from dataclasses import dataclass

from wellbegun._arguments import choice, message, real
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Normal, Sections, TruncatedNormal, Uniform
from wellbegun.layout import Fans, Layout
from wellbegun.schemes.base import Scheme, spell

MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
DISTRIBUTIONS = ("normal", "truncated", "uniform")
TRUNCATED_STD = 0.87962566103423978  # of N(0, 1) cut to +-2


@dataclass(frozen=True, repr=False)
class VarianceScaling(Scheme):
    """Var W = scale / fan."""

    scale: float
    mode: str
    distribution: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        sections = layout.section_fans(shape, owner=self.spelling)
        laws = [self._one(fans) for fans in sections]
        if len(set(laws)) == 1:
            return laws[0]
        if layout.axes.replace("e", "") != layout.axes or layout.axes.count("o") > 1:
            allowed = "one output axis and no experts, where sections have different scales"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        return Sections(tuple(zip(layout.section_sizes(shape), laws, strict=True)))

    def _one(self, fans: Fans) -> Law:
        fan = _fan(fans, self.mode)
        if fan == 0:
            remedy = "An axis of size 0 has no scale; leave the tensor out."
            raise LayoutError(message(self.spelling, "fan", "above 0", fans, remedy))
        if self.distribution == "uniform":
            bound = math.sqrt(3 * self.scale / fan)
            return Uniform(-bound, bound)
        std = math.sqrt(self.scale / fan)
        if self.distribution == "truncated":
            scale = std / TRUNCATED_STD
            return TruncatedNormal(0.0, scale, -2 * scale, 2 * scale)
        return Normal(0.0, std)


def _fan(fans: Fans, mode: str) -> float:
    return {
        "fan_in": fans.fan_in,
        "fan_out": fans.fan_out,
        "fan_avg": (fans.fan_in + fans.fan_out) / 2,
        "fan_geo_avg": math.sqrt(fans.fan_in * fans.fan_out),
    }[mode]


def variance_scaling(*, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal") -> VarianceScaling:
    """The family behind Xavier, He and LeCun: mean 0, Var W = scale / fan.

    Args:
        scale: > 0, dimensionless: the square of the gain.
        mode: fan = "fan_in", "fan_out", "fan_avg" = (in + out) / 2 or "fan_geo_avg" = sqrt(in * out).
        distribution: "normal" (untruncated), "truncated" (normal cut at +-2 of its uncut std and widened so that the
            result has the asked variance) or "uniform" on +-sqrt(3 Var).
    Shapes: any with an input axis; say the layout for more than two axes.
    Raises: ArgumentError here: scale, mode or distribution outside these. LayoutError at the draw: no fans.
    Strengths: one formula for every width and layer kind; any gain.
    Weaknesses: the right scale is yours to know; `wellbegun.gain` computes it for an activation.
    Use: activations without a named scheme: scale = gain("gelu") ** 2.
    Source: Glorot, Bengio 2010; He et al. 2015, arXiv:1502.01852; Keras and JAX use the same parametrization.

    >>> variance_scaling(scale=2.0) == he_normal()
    True
    >>> law = variance_scaling(distribution="truncated").law((8, 16))
    >>> math.isclose(law.moments().variance, 1 / 16)
    True
    """
    owner = "variance_scaling"
    number = real(owner, "scale", scale, minimum=0, exclusive=True)
    options = {"scale": number, "mode": mode, "distribution": distribution}
    text = spell(owner, options, {"mode": "fan_in", "distribution": "normal"})
    return _make(owner, text, number, mode, distribution)


def _make(owner: str, text: str, scale: float, mode: str, distribution: str) -> VarianceScaling:
    choice(owner, "mode", mode, MODES)
    choice(owner, "distribution", distribution, DISTRIBUTIONS)
    return VarianceScaling(text, scale, mode, distribution)


def fan_in_uniform() -> VarianceScaling:
    """Uniform by fan-in: W ~ U(-1/sqrt(n_in), 1/sqrt(n_in)), Var W = 1 / (3 n_in).

    Shapes: any with an input axis. Raises: LayoutError at the draw: no fans.
    Strengths: bounded and scaled by the width; what torch's Linear and Conv layers do by default.
    Weaknesses: the variance is a third of what keeps even a linear net's signal: it shrinks at every layer.
    Use: as the baseline the other schemes are compared with; shallow nets.
    Source: LeCun et al. 1998, "Efficient BackProp" (the scale); torch `nn.Linear.reset_parameters`.

    With 3 inputs the bounds are +-1/sqrt(3):

    >>> math.isclose(fan_in_uniform().law((4, 3)).high, 1 / math.sqrt(3))
    True
    """
    return VarianceScaling("fan_in_uniform()", 1 / 3, "fan_in", "uniform")


def xavier_normal(*, gain: float = 1.0) -> VarianceScaling:
    """Xavier (Glorot) normal: W ~ N(0, 2 gain^2 / (n_in + n_out)).

    Args:
        gain: > 0, dimensionless.
    Shapes: any with an input axis. Raises: ArgumentError here: gain. LayoutError at the draw: no fans.
    Strengths: balances the variance of signals forward and of gradients backward.
    Weaknesses: ReLU halves the signal at every layer, which Xavier does not make up for.
    Use: layers before tanh or sigmoid.
    Source: Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".

    With 3 inputs and 3 outputs the std is sqrt(1/3):

    >>> math.isclose(xavier_normal().law((3, 3)).std, math.sqrt(1 / 3))
    True
    """
    return _xavier("xavier_normal", gain, "normal")


def xavier_uniform(*, gain: float = 1.0) -> VarianceScaling:
    """Xavier (Glorot) uniform: W ~ U(+-gain sqrt(6 / (n_in + n_out))), the variance of `xavier_normal`.

    Args:
        gain: > 0, dimensionless.
    Shapes: any with an input axis. Raises: ArgumentError here: gain. LayoutError at the draw: no fans.
    Strengths: as `xavier_normal`, and bounded.
    Weaknesses: as `xavier_normal`.
    Use: layers before tanh or sigmoid; attention projections.
    Source: Glorot, Bengio 2010, equation 16.

    With 3 inputs and 3 outputs the bounds are +-1:

    >>> law = xavier_uniform().law((3, 3))
    >>> math.isclose(law.low, -1), math.isclose(law.high, 1)
    (True, True)
    """
    return _xavier("xavier_uniform", gain, "uniform")


def _xavier(owner: str, gain: float, distribution: str) -> VarianceScaling:
    number = real(owner, "gain", gain, minimum=0, exclusive=True)
    return VarianceScaling(spell(owner, {"gain": number}, {"gain": 1.0}), number**2, "fan_avg", distribution)


def he_normal(*, negative_slope: float = 0.0, mode: str = "fan_in") -> VarianceScaling:
    """He (Kaiming) normal: W ~ N(0, g^2 / fan), g^2 = 2 / (1 + negative_slope^2).

    Args:
        negative_slope: Slope of the activation below 0: 0 for ReLU, a for leaky ReLU. Finite.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward.
    Shapes: any with an input axis. Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.
    Strengths: makes up for the half of the signal that ReLU cuts off: E x^2 stays the same at any depth.
    Weaknesses: too large for activations that do not halve the signal; correlations between samples still collapse.
    Use: layers before ReLU, leaky ReLU, PReLU.
    Source: He et al. 2015, arXiv:1502.01852, equations 10 and 15.

    With 3 inputs the std is sqrt(2/3):

    >>> math.isclose(he_normal().law((5, 3)).std, math.sqrt(2 / 3))
    True
    """
    return _he("he_normal", negative_slope, mode, "normal")


def he_uniform(*, negative_slope: float = 0.0, mode: str = "fan_in") -> VarianceScaling:
    """He (Kaiming) uniform: W ~ U(+-g sqrt(3 / fan)), the variance of `he_normal`.

    Args:
        negative_slope: Slope of the activation below 0: 0 for ReLU, a for leaky ReLU. Finite.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward.
    Shapes: any with an input axis. Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.
    Strengths: as `he_normal`, and bounded.
    Weaknesses: as `he_normal`.
    Use: layers before ReLU, leaky ReLU, PReLU.
    Source: He et al. 2015, arXiv:1502.01852.

    With 3 inputs the bounds are +-sqrt(2):

    >>> math.isclose(he_uniform().law((5, 3)).high, math.sqrt(2))
    True
    """
    return _he("he_uniform", negative_slope, mode, "uniform")


def _he(owner: str, negative_slope: float, mode: str, distribution: str) -> VarianceScaling:
    slope = real(owner, "negative_slope", negative_slope)
    text = spell(owner, {"negative_slope": slope, "mode": mode}, {"negative_slope": 0.0, "mode": "fan_in"})
    return _make(owner, text, 2 / (1 + slope**2), mode, distribution)


def lecun_normal() -> VarianceScaling:
    """LeCun normal: W ~ N(0, 1 / n_in).

    Shapes: any with an input axis; a lookup table has n_in = 1. Raises: LayoutError at the draw: no fans.
    Strengths: a linear layer passes the second moment of its input on unchanged; SELU needs exactly this.
    Weaknesses: with ReLU the signal halves at every layer; with tanh it shrinks slowly.
    Use: layers before SELU, linear layers and readouts, scaled tanh and sigmoid.
    Source: LeCun et al. 1998, "Efficient BackProp", equation 16; Klambauer et al. 2017, arXiv:1706.02515 (SELU).

    >>> lecun_normal().law((8, 16)).std
    0.25
    """
    return VarianceScaling("lecun_normal()", 1.0, "fan_in", "normal")


def lecun_uniform() -> VarianceScaling:
    """LeCun uniform: W ~ U(+-sqrt(3 / n_in)), the variance of `lecun_normal`.

    Shapes: any with an input axis. Raises: LayoutError at the draw: no fans.
    Strengths: as `lecun_normal`, and bounded.
    Weaknesses: as `lecun_normal`.
    Use: layers before SELU, linear layers and readouts, scaled tanh and sigmoid.
    Source: LeCun et al. 1998, "Efficient BackProp".

    >>> lecun_uniform().law((8, 3)).high
    1.0
    """
    return VarianceScaling("lecun_uniform()", 1.0, "fan_in", "uniform")
