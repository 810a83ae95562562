"""Schemes whose law does not depend on the shape: constants and the naive random ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from wellbegun._arguments import choice, message, real
from wellbegun.errors import ArgumentError
from wellbegun.laws import Constant, Law, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell


@dataclass(frozen=True, repr=False)
class FixedScheme(Scheme):
    """The same law for every shape."""

    fixed: Law

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        return self.fixed


def zeros() -> FixedScheme:
    """All zeros: W = 0.

    Shapes: any. Raises: nothing.
    Strengths: simple; right for biases, and for the last layer of a branch or of a model, which should start silent.
    Weaknesses: in a hidden layer all units stay equal, so the layer learns as if it had one unit (symmetry).
    Use: biases, norm shifts, readouts; never hidden weights.
    Source: Goodfellow, Bengio, Courville 2016, "Deep Learning", section 8.4.

    >>> zeros()((2, 2), seed=0).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    return FixedScheme("zeros()", Constant(0.0))


def ones() -> FixedScheme:
    """All ones: W = 1.

    Shapes: any. Raises: nothing.
    Strengths: a norm layer starts as plain normalization.
    Weaknesses: in a weight matrix all units are equal and signals grow with the fan-in.
    Use: norm scales, multiplicative gates.
    Source: Ioffe, Szegedy 2015, arXiv:1502.03167.

    >>> ones()(3, seed=0).tolist()
    [1.0, 1.0, 1.0]
    """
    return FixedScheme("ones()", Constant(1.0))


def constant(value: float) -> FixedScheme:
    """Every entry is `value`.

    Shapes: any. Raises: ArgumentError here, if value is not finite; at the draw, if it overflows the dtype.
    Strengths: exact; biases with a meaning (log-odds of a class, forget gate 1).
    Weaknesses: in a weight matrix all units stay equal (symmetry).
    Use: biases and scalar parameters with a known right value.
    Source: Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures" (forget bias 1).

    >>> constant(0.5)(2, seed=0).tolist()
    [0.5, 0.5]
    """
    number = real("constant", "value", value)
    return FixedScheme(f"constant(value={number!r})", Constant(number))


def uniform(low: float, high: float) -> FixedScheme:
    """Naive uniform: W ~ U(low, high), low < high, both finite, in units of the weight.

    Shapes: any. Raises: ArgumentError here, if low >= high or a bound is not finite.
    Strengths: breaks symmetry; bounded.
    Weaknesses: the scale ignores the width: signals vanish or explode with depth unless the bounds happen to fit.
    Use: quick tests; tables of embeddings with a known range.
    Source: LeCun et al. 1998, "Efficient BackProp", section 4.6 (why the scale must follow the fan-in).

    >>> w = uniform(-0.1, 0.1)((64, 64), seed=0)
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    law = Uniform(low, high)
    return FixedScheme(f"uniform(low={law.low!r}, high={law.high!r})", law)


def normal(mean: float = 0.0, std: float = 0.01) -> FixedScheme:
    """Naive normal: W ~ N(mean, std^2), std >= 0, in units of the weight.

    Shapes: any. Raises: ArgumentError here, if mean or std is not finite or std is negative.
    Strengths: breaks symmetry; the scale is what you say.
    Weaknesses: a fixed std ignores the width: too small and signals vanish with depth, too large and they explode.
    Use: quick tests; embeddings; recipes that prescribe a number (GPT-2 and BERT: 0.02).
    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks" (std 0.01).

    >>> w = normal(std=0.5)((256, 256), seed=0, name="w")
    >>> abs(float(w.std()) - 0.5) < 5 * 0.5 / (2 * w.size) ** 0.5
    True
    """
    law = Normal(real("normal", "mean", mean), real("normal", "std", std, minimum=0))
    text = spell("normal", {"mean": law.mean, "std": law.std}, {"mean": 0.0})
    return FixedScheme(text, law)


def rademacher(*, scale: float = 1.0) -> FixedScheme:
    """Random signs: W = scale or -scale, with probability one half each.

    Args:
        scale: > 0, in units of the weight.
    Shapes: any. Raises: ArgumentError here: scale.
    Strengths: the smallest kurtosis of all: every weight matters equally; exact in every number format.
    Weaknesses: few different values: narrow layers may start with equal units; a fixed scale ignores the width.
    Use: binary and low-precision networks, random projections.
    Source: Achlioptas 2003, "Database-friendly random projections".

    >>> sorted(set(rademacher(scale=0.5)((8, 8), seed=0).ravel().tolist()))
    [-0.5, 0.5]
    """
    number = real("rademacher", "scale", scale, minimum=0, exclusive=True)
    return FixedScheme(spell("rademacher", {"scale": number}, {"scale": 1.0}), Rademacher(0.0, number))


def log_uniform(low: float, high: float) -> FixedScheme:
    """Log-uniform: ln W ~ U(ln low, ln high), 0 < low < high.

    Shapes: any. Raises: ArgumentError here: bounds.
    Strengths: every order of magnitude is equally likely.
    Weaknesses: positive values only; not for weights that need both signs.
    Use: time steps of state-space models, rates and scales.
    Source: Gu et al. 2022, arXiv:2206.11893 (time steps between 0.001 and 0.1).

    >>> w = log_uniform(1e-3, 1e-1)(1000, seed=0)
    >>> bool(w.min() >= 1e-3), bool(w.max() <= 1e-1)
    (True, True)
    """
    law = LogUniform(low, high)
    return FixedScheme(f"log_uniform(low={law.low!r}, high={law.high!r})", law)


def truncated_normal(
    *,
    mean: float = 0.0,
    std: float = 0.02,
    low: float = -2.0,
    high: float = 2.0,
    bounds: str = "std",
    std_is: str = "before",
) -> FixedScheme:
    """Normal cut to an interval: W ~ N(mean, std^2) given low <= W <= high.

    Args:
        mean: Mean of the uncut normal, in units of the weight.
        std: Standard deviation, > 0, of the normal before or after the cut (see `std_is`).
        low: Lower bound, in the unit that `bounds` names; may be -inf.
        high: Upper bound, above low; may be inf.
        bounds: "std": in standard deviations of the uncut normal from its mean, as TensorFlow, Keras and JAX mean it;
            "absolute": in units of the weight, as torch means it (std 0.02 with bounds +-2 cuts nothing).
        std_is: "before": `std` is that of the uncut normal, so draws at +-2 have 0.8796 std (Keras, JAX);
            "after": draws have exactly `std` (what variance-scaling schemes do).
    Shapes: any.
    Raises: ArgumentError here: bad numbers, low >= high, bounds that hold less than 1e-27 of the normal, or a std that
        no normal cut to these absolute bounds can have.
    Strengths: no outliers: low-precision formats and deep nets are safe from rare large weights.
    Weaknesses: two meanings of bounds and of std are in use; like every fixed scale it ignores the width.
    Use: transformer recipes that prescribe it (BERT, ViT).
    Source: Devlin et al. 2019, arXiv:1810.04805; inverse normal: Wichura 1988, AS 241.

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
