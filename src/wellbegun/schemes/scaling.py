"""Schemes whose variance follows the fans: variance scaling and its named members."""

import math
from dataclasses import dataclass

from wellbegun._arguments import choice, instance, message, real
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Normal, Sections, TruncatedNormal, Uniform
from wellbegun.layout import Fans, Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import publish, scheme, varies

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


@scheme(
    formula="Uniform by fan-in: W ~ U(-1/sqrt(n_in), 1/sqrt(n_in)), Var W = 1 / (3 n_in).",
    shapes="any with an input axis.",
    strengths="bounded and scaled by the width; what torch's Linear and Conv layers do by default.",
    weaknesses="the variance is a third of what keeps even a linear net's signal: it shrinks at every layer.",
    use="as the baseline the other schemes are compared with; shallow nets.",
    source='LeCun et al. 1998, "Efficient BackProp" (the scale); torch `nn.Linear.reset_parameters`.',
    tensors="hidden convolution recurrent_input",
    invariants={"Var W = 1 / (3 n_in)": lambda w: varies(w, 1 / (3 * w.shape[1]))},
)
def fan_in_uniform() -> VarianceScaling:
    """Raises: LayoutError at the draw: no fans.

    With 3 inputs the bounds are +-1/sqrt(3):

    >>> math.isclose(fan_in_uniform().law((4, 3)).high, 1 / math.sqrt(3))
    True
    """
    return VarianceScaling("fan_in_uniform()", 1 / 3, "fan_in", "uniform")


@scheme(
    formula="Xavier (Glorot) normal: W ~ N(0, 2 gain^2 / (n_in + n_out)).",
    shapes="any with an input axis.",
    strengths="balances the variance of signals forward and of gradients backward.",
    weaknesses="ReLU halves the signal at every layer, which Xavier does not make up for.",
    use="layers before tanh or sigmoid.",
    source='Glorot, Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".',
    tensors="hidden query key value recurrent_input",
    example="xavier_normal(gain=0.5)",
    invariants={"Var W = 2 gain^2 / (n_in + n_out)": lambda w: varies(w, 2 * 0.25 / sum(w.shape))},
)
def xavier_normal(*, gain: float = 1.0, truncated: bool = False) -> VarianceScaling:
    """Args:
        gain: > 0, dimensionless.
        truncated: Whether it is cut at +-2 of its uncut std, at the same variance, as in Keras, JAX and Flax.
    Raises: ArgumentError here: gain. LayoutError at the draw: no fans.

    With 3 inputs and 3 outputs the std is sqrt(1/3):

    >>> math.isclose(xavier_normal().law((3, 3)).std, math.sqrt(1 / 3))
    True
    """
    return _xavier("xavier_normal", gain, "normal", truncated)


glorot_normal = xavier_normal


@scheme(
    formula="Xavier (Glorot) uniform: W ~ U(+-gain sqrt(6 / (n_in + n_out))), the variance of `xavier_normal`.",
    shapes="any with an input axis.",
    strengths="as `xavier_normal`, and bounded.",
    weaknesses="as `xavier_normal`.",
    use="layers before tanh or sigmoid; attention projections.",
    source="Glorot, Bengio 2010, equation 16.",
    tensors="hidden query key value query_key key_value query_key_value attention_out recurrent_input",
    invariants={"Var W = 2 gain^2 / (n_in + n_out)": lambda w: varies(w, 2 / sum(w.shape))},
)
def xavier_uniform(*, gain: float = 1.0) -> VarianceScaling:
    """Args:
        gain: > 0, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no fans.

    With 3 inputs and 3 outputs the bounds are +-1:

    >>> law = xavier_uniform().law((3, 3))
    >>> math.isclose(law.low, -1), math.isclose(law.high, 1)
    (True, True)
    """
    return _xavier("xavier_uniform", gain, "uniform", False)


glorot_uniform = xavier_uniform


def _xavier(owner: str, gain: float, distribution: str, truncated: bool) -> VarianceScaling:
    number, cut = real(owner, "gain", gain, minimum=0, exclusive=True), instance(owner, "truncated", truncated, bool)
    text = spell(owner, {"gain": number, "truncated": cut}, {"gain": 1.0, "truncated": False})
    return VarianceScaling(text, number**2, "fan_avg", "truncated" if cut else distribution)


@scheme(
    formula="He (Kaiming) normal: W ~ N(0, g^2 / fan), g^2 = 2 / (1 + negative_slope^2).",
    shapes="any with an input axis.",
    strengths="makes up for the half of the signal that ReLU cuts off: E x^2 stays the same at any depth.",
    weaknesses="too large for activations that do not halve the signal; correlations between samples still collapse.",
    use="layers before ReLU, leaky ReLU, PReLU.",
    source="He et al. 2015, arXiv:1502.01852, equations 10 and 15.",
    tensors="hidden convolution gate up gate_up down",
    example="he_normal(negative_slope=0.2, mode='fan_out')",
    invariants={"Var W = g^2 / fan": lambda w: varies(w, 2 / 1.04 / w.shape[0])},
)
def he_normal(*, negative_slope: float = 0.0, mode: str = "fan_in", truncated: bool = False) -> VarianceScaling:
    """Args:
        negative_slope: Slope of the activation below 0: 0 for ReLU, a for leaky ReLU. Finite.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward.
        truncated: Whether it is cut at +-2 of its uncut std, at the same variance, as in Keras, JAX and Flax.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    With 3 inputs the std is sqrt(2/3):

    >>> math.isclose(he_normal().law((5, 3)).std, math.sqrt(2 / 3))
    True
    """
    return _he("he_normal", negative_slope, mode, "normal", truncated)


kaiming_normal = he_normal


@scheme(
    formula="He (Kaiming) uniform: W ~ U(+-g sqrt(3 / fan)), the variance of `he_normal`.",
    shapes="any with an input axis.",
    strengths="as `he_normal`, and bounded.",
    weaknesses="as `he_normal`.",
    use="layers before ReLU, leaky ReLU, PReLU.",
    source="He et al. 2015, arXiv:1502.01852.",
    tensors="hidden convolution",
    invariants={"Var W = g^2 / fan": lambda w: varies(w, 2 / w.shape[1])},
)
def he_uniform(*, negative_slope: float = 0.0, mode: str = "fan_in") -> VarianceScaling:
    """Args:
        negative_slope: Slope of the activation below 0: 0 for ReLU, a for leaky ReLU. Finite.
        mode: "fan_in" keeps the signal forward, "fan_out" the gradient backward.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    With 3 inputs the bounds are +-sqrt(2):

    >>> math.isclose(he_uniform().law((5, 3)).high, math.sqrt(2))
    True
    """
    return _he("he_uniform", negative_slope, mode, "uniform", False)


kaiming_uniform = he_uniform


def _he(owner: str, negative_slope: float, mode: str, distribution: str, truncated: bool) -> VarianceScaling:
    slope, cut = real(owner, "negative_slope", negative_slope), instance(owner, "truncated", truncated, bool)
    defaults = {"negative_slope": 0.0, "mode": "fan_in", "truncated": False}
    text = spell(owner, {"negative_slope": slope, "mode": mode, "truncated": cut}, defaults)
    return _make(owner, text, 2 / (1 + slope**2), mode, "truncated" if cut else distribution)


@scheme(
    formula="LeCun normal: W ~ N(0, 1 / n_in).",
    shapes="any with an input axis; a lookup table has n_in = 1.",
    strengths="a linear layer passes the second moment of its input on unchanged; SELU needs exactly this.",
    weaknesses="with ReLU the signal halves at every layer; with tanh it shrinks slowly.",
    use="layers before SELU, linear layers and readouts, scaled tanh and sigmoid.",
    source='LeCun et al. 1998, "Efficient BackProp", equation 16; Klambauer et al. 2017, arXiv:1706.02515 (SELU).',
    tensors="hidden readout gate up gate_up time_step",
    invariants={"Var W = 1 / n_in": lambda w: varies(w, 1 / w.shape[1])},
)
def lecun_normal(*, truncated: bool = False) -> VarianceScaling:
    """Args:
        truncated: Whether it is cut at +-2 of its uncut std, at the same variance, as in Keras, JAX and Flax.
    Raises: ArgumentTypeError here: truncated. LayoutError at the draw: no fans.

    >>> lecun_normal().law((8, 16)).std
    0.25
    """
    cut = instance("lecun_normal", "truncated", truncated, bool)
    text = spell("lecun_normal", {"truncated": cut}, {"truncated": False})
    return VarianceScaling(text, 1.0, "fan_in", "truncated" if cut else "normal")


@scheme(
    formula="LeCun uniform: W ~ U(+-sqrt(3 / n_in)), the variance of `lecun_normal`.",
    shapes="any with an input axis.",
    strengths="as `lecun_normal`, and bounded.",
    weaknesses="as `lecun_normal`.",
    use="layers before SELU, linear layers and readouts, scaled tanh and sigmoid.",
    source='LeCun et al. 1998, "Efficient BackProp".',
    tensors="hidden readout",
    invariants={"Var W = 1 / n_in": lambda w: varies(w, 1 / w.shape[1])},
)
def lecun_uniform() -> VarianceScaling:
    """Raises: LayoutError at the draw: no fans.

    >>> lecun_uniform().law((8, 3)).high
    1.0
    """
    return VarianceScaling("lecun_uniform()", 1.0, "fan_in", "uniform")


@scheme(
    formula="The family behind Xavier, He and LeCun: mean 0, Var W = scale / fan.",
    shapes="any with an input axis; say the layout for more than two axes.",
    strengths="one formula for every width and layer kind; any gain.",
    weaknesses="the right scale is yours to know; `wellbegun.gain` computes it for an activation.",
    use='activations without a named scheme: scale = gain("gelu") ** 2.',
    source="Glorot, Bengio 2010; He et al. 2015, arXiv:1502.01852; Keras and JAX use the same parametrization.",
    tensors="hidden convolution gate up gate_up down residual_out router",
    example="variance_scaling(scale=2.5, mode='fan_geo_avg', distribution='uniform')",
    invariants={"Var W = scale / fan": lambda w: varies(w, 2.5 / math.sqrt(w.size))},
)
def variance_scaling(*, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal") -> VarianceScaling:
    """Args:
        scale: > 0, dimensionless: the square of the gain.
        mode: fan = "fan_in", "fan_out", "fan_avg" = (in + out) / 2 or "fan_geo_avg" = sqrt(in * out).
        distribution: "normal" (untruncated), "truncated" (normal cut at +-2 of its uncut std and widened so that the
            result has the asked variance) or "uniform" on +-sqrt(3 Var). JAX's "truncated_normal" and Keras's
            "untruncated_normal" are taken too; what Keras calls "normal" is truncated.
    Raises: ArgumentError here: scale, mode or distribution outside these. LayoutError at the draw: no fans.

    >>> variance_scaling(scale=2.0) == he_normal()
    True
    >>> law = variance_scaling(distribution="truncated").law((8, 16))
    >>> math.isclose(law.moments().variance, 1 / 16)
    True
    """
    owner = "variance_scaling"
    number = real(owner, "scale", scale, minimum=0, exclusive=True)
    distribution = {"truncated_normal": "truncated", "untruncated_normal": "normal"}.get(distribution, distribution)
    options = {"scale": number, "mode": mode, "distribution": distribution}
    text = spell(owner, options, {"mode": "fan_in", "distribution": "normal"})
    return _make(owner, text, number, mode, distribution)


def _make(owner: str, text: str, scale: float, mode: str, distribution: str) -> VarianceScaling:
    choice(owner, "mode", mode, MODES)
    choice(owner, "distribution", distribution, DISTRIBUTIONS)
    return VarianceScaling(text, scale, mode, distribution)


publish(globals())
