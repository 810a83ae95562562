"""Law + dtype -> the few numbers a transform needs, rounded once, shared by the reference and every kernel.

Bounds are the outermost values of the target dtype that still lie inside the law's support, so a value clipped to
them before rounding to the dtype cannot leave the support.
"""

from typing import Any, NamedTuple

import numpy as np

from wellbegun.engine.coefficients import CENTRE_LIMIT_64, TAIL_BELOW
from wellbegun.laws import Law

Scalar = Any  # np.float32 or np.float64: one law, two word sizes


class UniformParameters(NamedTuple):
    """value = clip(middle + step * w, low, high) with w the word as a signed integer."""

    middle: Scalar
    step: Scalar
    low: Scalar
    high: Scalar


class NormalParameters(NamedTuple):
    """value = mean + std * z with z by Box-Muller."""

    mean: Scalar
    std: Scalar


class SignParameters(NamedTuple):
    """value = low where the word's top bit is set, else high."""

    low: Scalar
    high: Scalar


class LogUniformParameters(NamedTuple):
    """value = clip(e^(middle + step * w), low, high)."""

    middle: Scalar
    step: Scalar
    low: Scalar
    high: Scalar


class CentreParameters(NamedTuple):
    """value = clip(location + scale * z(middle + step * w), low, high); bounds that need no tail of the inverse."""

    middle: Scalar
    step: Scalar
    location: Scalar
    scale: Scalar
    low: Scalar
    high: Scalar


class TailParameters(NamedTuple):
    """As CentreParameters, with what the tails need: the shares cut off on both sides, and the share kept."""

    middle: Scalar
    step: Scalar
    location: Scalar
    scale: Scalar
    low: Scalar
    high: Scalar
    below: Scalar
    above: Scalar
    mass: Scalar


Parameters = (
    UniformParameters | NormalParameters | SignParameters | LogUniformParameters | CentreParameters | TailParameters
)


TRANSFORMS: dict[type, str] = {
    UniformParameters: "uniform",
    NormalParameters: "normal",
    CentreParameters: "truncated_centre",
    TailParameters: "truncated_tail",
    SignParameters: "sign",
    LogUniformParameters: "log_uniform",
}
"""Which function of `transforms` each kind belongs to: the one table the reference and the compiled kernels share."""
PAIRED = frozenset({NormalParameters})  # two words -> two values; the others turn each word into one value
_KINDS: dict[str, Any] = {name: kind for kind, name in TRANSFORMS.items()}


def parameters_of(law: Law, dtype: str) -> Parameters:
    """Numbers for the transform of an independent law, as float64 for "float64" and float32 otherwise."""
    law.check(dtype)
    name, numbers = law.transform(dtype)
    real: type = np.float64 if dtype == "float64" else np.float32
    kind = _KINDS[name]
    parameters: Parameters = kind(*(real(number) for number in numbers))
    return _without_tails(parameters, numbers, dtype) if isinstance(parameters, TailParameters) else parameters


def _without_tails(tails: TailParameters, numbers: tuple[float, ...], dtype: str) -> Parameters:
    """The shorter transform, where the bounds cut off so much that no tail of the inverse normal is needed."""
    below, above, _ = numbers[-3:]
    limit = 0.5 - CENTRE_LIMIT_64 if dtype == "float64" else TAIL_BELOW
    return CentreParameters(*tails[:6]) if min(below, above) >= limit else tails
