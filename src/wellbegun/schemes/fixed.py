"""Schemes whose law does not depend on the shape: constants and the naive random ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from wellbegun._arguments import choice, message, real
from wellbegun.errors import ArgumentError
from wellbegun.laws import Constant, Law, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import publish, scheme, varies


@dataclass(frozen=True, repr=False)
class FixedScheme(Scheme):
    """The same law for every tensor that it fits."""

    fixed: Law
    axes: str = ""  # that the tensor has to have, in the order of the alphabet: "io" is a matrix, "" any

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if self.axes:
            self._check_axes(layout, self.axes)
        self.fixed.fits(layout.canonical_shape(shape))
        return self.fixed


@scheme(
    formula="All zeros: W = 0.",
    shapes="any.",
    strengths="simple; right for biases, and for the last layer of a branch or of a model, which should start silent.",
    weaknesses="in a hidden layer all units stay equal, so the layer learns as if it had one unit (symmetry).",
    use="biases, norm shifts, readouts; never hidden weights.",
    source='Goodfellow, Bengio, Courville 2016, "Deep Learning", section 8.4.',
    tensors="bias norm_shift readout residual_out recurrent_bias_input recurrent_bias time_step_bias positional",
    invariants={"W = 0": lambda w: not w.any()},
)
def zeros() -> FixedScheme:
    """Raises: nothing.

    >>> zeros()((2, 2), seed=0).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return FixedScheme("zeros()", Constant(0.0))


@scheme(
    formula="All ones: W = 1.",
    shapes="any.",
    strengths="a norm layer starts as plain normalization.",
    weaknesses="in a weight matrix all units are equal and signals grow with the fan-in.",
    use="norm scales, multiplicative gates.",
    source="Ioffe, Szegedy 2015, arXiv:1502.03167.",
    tensors="norm_scale distance_scale",
    invariants={"W = 1": lambda w: bool((w == 1).all())},
)
def ones() -> FixedScheme:
    """Raises: nothing.

    >>> ones()(3, seed=0).tolist()
    [1.0, 1.0, 1.0]
    """
    return FixedScheme("ones()", Constant(1.0))


@scheme(
    formula="Every entry is `value`.",
    shapes="any.",
    strengths="exact; biases with a meaning (log-odds of a class, forget gate 1).",
    weaknesses="in a weight matrix all units stay equal (symmetry).",
    use="biases and scalar parameters with a known right value.",
    source='Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures" (forget bias 1).',
    tensors="bias negative_slope multiplier residual_scale norm_scale recurrent_bias_input",
    example="constant(value=0.3)",
    invariants={"W = value": lambda w: bool((w == 0.3).all())},
)
def constant(value: float) -> FixedScheme:
    """Raises: ArgumentError here, if value is not finite; at the draw, if it overflows the dtype.

    >>> constant(0.5)(2, seed=0).tolist()
    [0.5, 0.5]
    """
    number = real("constant", "value", value)
    return FixedScheme(f"constant(value={number!r})", Constant(number))


@scheme(
    formula="Naive uniform: W ~ U(low, high), low < high, both finite, in units of the weight.",
    shapes="any.",
    strengths="breaks symmetry; bounded.",
    weaknesses="the scale ignores the width: signals vanish or explode with depth unless the bounds happen to fit.",
    use="quick tests; tables of embeddings with a known range.",
    source='LeCun et al. 1998, "Efficient BackProp", section 4.6 (why the scale must follow the fan-in).',
    tensors="embedding centre",
    example="uniform(low=-1.0, high=2.0)",
    invariants={
        "low <= W <= high": lambda w: bool(w.min() >= -1 and w.max() <= 2),
        "Var W = (high - low)^2 / 12": lambda w: varies(w - 0.5, 9 / 12),
    },
)
def uniform(low: float, high: float) -> FixedScheme:
    """Raises: ArgumentError here, if low >= high or a bound is not finite.

    >>> w = uniform(-0.1, 0.1)((64, 64), seed=0)
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    law = Uniform(low, high)
    return FixedScheme(f"uniform(low={law.low!r}, high={law.high!r})", law)


@scheme(
    formula="Naive normal: W ~ N(mean, std^2), std >= 0, in units of the weight.",
    shapes="any.",
    strengths="breaks symmetry; the scale is what you say.",
    weaknesses="a fixed std ignores the width: too small and signals vanish with depth, too large and they explode.",
    use="quick tests; embeddings; recipes that prescribe a number (GPT-2 and BERT: 0.02).",
    source='Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks" (std 0.01).',
    tensors="embedding positional token router query key value query_key key_value query_key_value hidden readout",
    example="normal(std=0.02)",
    invariants={"Var W = std^2": lambda w: varies(w, 0.02**2)},
)
def normal(mean: float = 0.0, std: float = 0.01) -> FixedScheme:
    """Raises: ArgumentError here, if mean or std is not finite or std is negative.

    >>> w = normal(std=0.5)((256, 256), seed=0, name="w")
    >>> abs(float(w.std()) - 0.5) < 5 * 0.5 / (2 * w.size) ** 0.5
    True
    """
    law = Normal(real("normal", "mean", mean), real("normal", "std", std, minimum=0))
    text = spell("normal", {"mean": law.mean, "std": law.std}, {"mean": 0.0})
    return FixedScheme(text, law)


@scheme(
    formula="Random signs: W = scale or -scale, with probability one half each.",
    shapes="any.",
    strengths="the smallest kurtosis of all: every weight matters equally; exact in every number format.",
    weaknesses="few different values: narrow layers may start with equal units; a fixed scale ignores the width.",
    use="binary and low-precision networks, random projections.",
    source='Achlioptas 2003, "Database-friendly random projections".',
    tensors="hidden",
    example="rademacher(scale=0.5)",
    invariants={
        "|W| = scale": lambda w: bool((abs(w) == 0.5).all()),
        "W = -W in distribution": lambda w: abs(w.sum()) < 6 * 0.5 * w.size**0.5,
    },
)
def rademacher(*, scale: float = 1.0) -> FixedScheme:
    """Args:
        scale: > 0, in units of the weight.
    Raises: ArgumentError here: scale.

    >>> sorted(set(rademacher(scale=0.5)((8, 8), seed=0).ravel().tolist()))
    [-0.5, 0.5]
    """
    number = real("rademacher", "scale", scale, minimum=0, exclusive=True)
    return FixedScheme(spell("rademacher", {"scale": number}, {"scale": 1.0}), Rademacher(0.0, number))


@scheme(
    formula="Log-uniform: ln W ~ U(ln low, ln high), 0 < low < high.",
    shapes="any.",
    strengths="every order of magnitude is equally likely.",
    weaknesses="positive values only; not for weights that need both signs.",
    use="time steps of state-space models, rates and scales.",
    source="Gu et al. 2022, arXiv:2206.11893 (time steps between 0.001 and 0.1).",
    tensors="time_step_bias multiplier",
    example="log_uniform(low=0.1, high=2.0)",
    invariants={"low <= W <= high": lambda w: bool(w.min() >= 0.1 and w.max() <= 2)},
)
def log_uniform(low: float, high: float) -> FixedScheme:
    """Raises: ArgumentError here: bounds.

    >>> w = log_uniform(1e-3, 1e-1)(1000, seed=0)
    >>> bool(w.min() >= 1e-3), bool(w.max() <= 1e-1)
    (True, True)
    """
    law = LogUniform(low, high)
    return FixedScheme(f"log_uniform(low={law.low!r}, high={law.high!r})", law)


@scheme(
    formula="Normal cut to an interval: W ~ N(mean, std^2) given low <= W <= high.",
    shapes="any.",
    strengths="no outliers: low-precision formats and deep nets are safe from rare large weights.",
    weaknesses="two meanings of bounds and of std are in use; like every fixed scale it ignores the width.",
    use="transformer recipes that prescribe it (BERT, ViT).",
    source="Devlin et al. 2019, arXiv:1810.04805; inverse normal: Wichura 1988, AS 241.",
    tensors="embedding positional token hidden",
    example="truncated_normal(std=0.02, low=-3.0, high=1.0)",
    invariants={"low <= W <= high": lambda w: bool(w.min() >= -0.06 and w.max() <= 0.02)},
)
def truncated_normal(
    *,
    mean: float = 0.0,
    std: float = 0.02,
    low: float = -2.0,
    high: float = 2.0,
    bounds: str = "std",
    std_is: str = "before",
) -> FixedScheme:
    """Args:
        mean: Mean of the uncut normal, in units of the weight.
        std: Standard deviation, > 0, of the normal before or after the cut (see `std_is`).
        low: Lower bound, in the unit that `bounds` names; may be -inf.
        high: Upper bound, above low; may be inf.
        bounds: "std": in standard deviations of the uncut normal from its mean, as TensorFlow, Keras and JAX mean it;
            "absolute": in units of the weight, as torch means it (std 0.02 with bounds +-2 cuts nothing).
        std_is: "before": `std` is that of the uncut normal, so draws at +-2 have 0.8796 std (Keras, JAX);
            "after": draws have exactly `std` (what variance-scaling schemes do).
    Raises: ArgumentError here: bad numbers, low >= high, bounds that hold less than 1e-27 of the normal, or a std that
        no normal cut to these absolute bounds can have.

    >>> w = truncated_normal(std=0.02)((64, 64), seed=0)
    >>> bool(abs(w).max() <= 0.04)
    True
    >>> round(truncated_normal(std=1, std_is="after").law((2, 2)).moments().variance, 12)
    1.0
    """
    owner = "truncated_normal"
    mean, std = real(owner, "mean", mean), real(owner, "std", std, minimum=0, exclusive=True)
    low, high = real(owner, "low", low, infinite=True), real(owner, "high", high, infinite=True)
    choice(owner, "bounds", bounds, ("std", "absolute"))
    choice(owner, "std_is", std_is, ("before", "after"))
    if low >= high:
        raise ArgumentError(message(owner, "low", f"below high ({high:g})", low))
    law = _cut(mean, std, low, high, bounds == "absolute", std_is == "after")
    options = {"mean": mean, "std": std, "low": low, "high": high, "bounds": bounds, "std_is": std_is}
    defaults = {"mean": 0.0, "low": -2.0, "high": 2.0, "bounds": "std", "std_is": "before"}
    return FixedScheme(spell(owner, options, defaults), law)


@lru_cache  # a std after the cut takes some quadratures
def _cut(mean: float, std: float, low: float, high: float, absolute: bool, after: bool) -> TruncatedNormal:
    def with_scale(scale: float) -> TruncatedNormal:
        if absolute:
            return TruncatedNormal(mean, scale, low, high)
        return TruncatedNormal(mean, scale, mean + low * scale, mean + high * scale)

    if not after:
        return with_scale(std)
    if not absolute:
        return with_scale(std / math.sqrt(with_scale(1.0).moments().variance))
    return with_scale(_scale_for(std, lambda scale: math.sqrt(with_scale(scale).moments().variance), low, high, mean))


def _scale_for(std: float, spread: Callable[[float], float], low: float, high: float, mean: float) -> float:
    """Scale of the uncut normal that leaves `std` after an absolute cut; the widest cut normal is the uniform."""
    from scipy.optimize import brentq

    largest = (high - low) / math.sqrt(12)
    if not (low <= mean <= high):
        raise ArgumentError(message("truncated_normal", "mean", f"within [{low:g}, {high:g}] for std_is='after'", mean))
    if std >= largest * (1 - 1e-9):
        allowed = f"below {largest:.6g}, the std of the uniform between the bounds, for std_is='after'"
        raise ArgumentError(message("truncated_normal", "std", allowed, std))
    upper = std
    while spread(upper) < std and upper < 1e9 * std:
        upper *= 2
    if spread(upper) < std:
        raise ArgumentError(message("truncated_normal", "std", "reachable within the bounds", std))
    return float(brentq(lambda scale: spread(scale) - std, std * 0.5, upper, xtol=1e-14 * std, rtol=1e-14))


publish(globals())
