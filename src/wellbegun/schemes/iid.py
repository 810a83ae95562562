"""Independent entries: scales that are less common than those of variance scaling."""

import math
from dataclasses import dataclass, replace

from wellbegun._arguments import choice, message, real
from wellbegun.errors import LayoutError
from wellbegun.laws import Law, Normal
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import publish, scheme, varies
from wellbegun.schemes.scaling import VarianceScaling


@dataclass(frozen=True, repr=False)
class FanScaled(Scheme):
    """A law times n_in^-exponent."""

    one: Law  # for one input
    exponent: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return self.one._scaled(fan_in(self.spelling, shape, layout) ** -self.exponent)


def fan_in(owner: str, shape: tuple[int, ...], layout: Layout) -> float:
    """True number of inputs of a unit, the same in all sections; no inputs are an error."""
    found = layout.section_fans(shape, owner=owner)[0].fan_in
    if not found:
        raise LayoutError(message(owner, "fan", "above 0", found, "An axis of size 0 has no scale."))
    return found


@dataclass(frozen=True, repr=False)
class WithoutStride(Scheme):
    """A scheme whose fans do not see the stride of a convolution."""

    scheme: Scheme

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return self.scheme._law(shape, replace(layout, stride=1))


@scheme(
    formula="Uniform scaling: W ~ U(+-gain sqrt(3 / n_in)), Var W = gain^2 / n_in.",
    shapes="any with an input axis.",
    strengths="bounded and scaled by the width, with a gain for the activation: 1.43 for ReLU, 1.15 for tanh.",
    weaknesses="the gains of the old rule are rounded; `wellbegun.gain` has exact ones.",
    use="models that were written with TensorFlow's UniformUnitScaling or Haiku's UniformScaling.",
    source="Sussillo, Abbott 2014, arXiv:1412.6558; TensorFlow 1 `uniform_unit_scaling_initializer`, Haiku.",
    tensors="hidden",
    example="uniform_scaling(gain=1.43)",
    invariants={
        "Var W = gain^2 / n_in": lambda w: varies(w, 1.43**2 / w.shape[1]),
        "|W| <= gain sqrt(3 / n_in)": lambda w: bool(abs(w).max() <= 1.43 * math.sqrt(3 / w.shape[1])),
    },
)
def uniform_scaling(*, gain: float = 1.0) -> VarianceScaling:
    """Args:
        gain: > 0, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no fans.

    >>> uniform_scaling().law((8, 3)).high
    1.0
    """
    number = real("uniform_scaling", "gain", gain, minimum=0, exclusive=True)
    return VarianceScaling(spell("uniform_scaling", {"gain": number}, {"gain": 1.0}), number**2, "fan_in", "uniform")


UniformScaling = uniform_scaling


@scheme(
    formula="Power of the width: W ~ N(0, gain^2 n_in^(-2 exponent)), so that the std is gain n_in^-exponent.",
    shapes="any with an input axis.",
    strengths="exponent 1/2 is LeCun's; 1 starts small, where large models were seen to generalize better.",
    weaknesses="with an exponent above 1/2 signals shrink by the width unless normalizations follow.",
    use="studies of the scale at the start; readouts whose output is to vanish with the width.",
    source="arXiv:2505.23013 and arXiv:2502.04375 (exponents between 1/2 and 1).",
    tensors="hidden readout",
    invariants={"Var W = gain^2 n_in^(-2 exponent)": lambda w: varies(w, w.shape[1] ** -2.0)},
)
def power_normal(*, exponent: float = 1.0, gain: float = 1.0) -> FanScaled:
    """Args:
        exponent: >= 0: of the std, not of the variance.
        gain: > 0, dimensionless.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> power_normal().law((3, 8)).std
    0.125
    """
    power = real("power_normal", "exponent", exponent, minimum=0)
    number = real("power_normal", "gain", gain, minimum=0, exclusive=True)
    text = spell("power_normal", {"exponent": power, "gain": number}, {"exponent": 1.0, "gain": 1.0})
    return FanScaled(text, Normal(0.0, number), power)


@scheme(
    formula="Rows of unit length on average: W ~ N(0, 1 / d), d the number of output units.",
    shapes="tables (rows, units) and any with an input axis.",
    strengths="a looked-up vector has length 1 at any width, and so has the logit of a row with itself, when tied.",
    weaknesses="entries shrink with the width: models that add positions of size 1 multiply by sqrt(d) first.",
    use="tables of embeddings.",
    source="Flax `nn.Embed` (variance_scaling(1, fan_in) over units); Vaswani et al. 2017, arXiv:1706.03762.",
    tensors="embedding",
    layout="lo",
    invariants={"Var W = 1 / d": lambda w: varies(w, 1 / w.shape[1])},
)
def embedding_normal() -> VarianceScaling:
    """Raises: LayoutError at the draw: no fans.

    >>> embedding_normal().law((1000, 16), layout="lo").std
    0.25
    """
    return VarianceScaling("embedding_normal()", 1.0, "fan_out", "normal")


@scheme(
    formula="EfficientNet convolution: W ~ N(0, 2 / (window * n_out / groups)), whatever the stride.",
    shapes="any with an input axis.",
    strengths="keeps gradients through ReLU at stride 1, depthwise convolutions included.",
    weaknesses="at a stride gradients shrink: `he_normal(mode='fan_out')` counts what an input really reaches.",
    use="models in the line of MobileNet and EfficientNet, where the published scale is wanted.",
    source="Tan, Le 2019, arXiv:1905.11946, and its code; timm divides by the groups, torch's fan_out does not.",
    tensors="convolution",
    shape=(64, 1, 5, 5),
    layout=Layout("oikk", groups=64, stride=2),
    invariants={"Var W = 2 / (window * n_out / groups)": lambda w: varies(w, 2 / 25)},
)
def efficientnet_normal() -> WithoutStride:
    """Raises: LayoutError at the draw: no fans.

    >>> round(efficientnet_normal().law((8, 1, 2, 2), layout=Layout("oikk", groups=8, stride=2)).std ** 2, 12)
    0.5
    """
    return WithoutStride("efficientnet_normal()", VarianceScaling("efficientnet_normal()", 2.0, "fan_out", "normal"))


@dataclass(frozen=True, repr=False)
class RandomWalk(Scheme):
    """N(0, g^2 / n_in) with a gain that depends on n_in."""

    activation: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        n = fan_in(self.spelling, shape, layout)
        linear, relu = math.exp(1 / (2 * n)), math.sqrt(2) * math.exp(1.2 / (max(n, 6) - 2.4))
        return Normal(0.0, (linear if self.activation == "linear" else relu) / math.sqrt(n))


@scheme(
    formula="Random walk: W ~ N(0, g^2/n), g = sqrt(2) exp(1.2 / (max(n, 6) - 2.4)) for ReLU, exp(1 / 2n) if linear.",
    shapes="any with an input axis.",
    strengths="the logarithm of a gradient's length has no drift with depth: narrow, very deep plain nets train.",
    weaknesses="lengths still spread as a random walk; hardly differs from He's where layers are wide.",
    use="plain nets of hundreds of narrow layers.",
    source="Sussillo, Abbott 2014, arXiv:1412.6558.",
    tensors="hidden",
    invariants={"Var W = g^2 / n_in": lambda w: varies(w, 2 * math.exp(2.4 / (w.shape[1] - 2.4)) / w.shape[1])},
)
def random_walk(*, activation: str = "relu") -> RandomWalk:
    """Args:
        activation: "relu" or "linear", those with a formula.
    Raises: ArgumentError here: activation. LayoutError at the draw: no fans.

    >>> math.isclose(random_walk(activation="linear").law((4, 1)).std, math.exp(0.5))
    True
    """
    choice("random_walk", "activation", activation, ("relu", "linear"))
    return RandomWalk(spell("random_walk", {"activation": activation}, {"activation": "relu"}), activation)


publish(globals())
