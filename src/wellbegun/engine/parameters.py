"""Law + dtype -> the few numbers a transform needs, rounded once, shared by the reference and every kernel.

Bounds are the outermost values of the target dtype that still lie inside the law's support, so a value clipped to
them before rounding to the dtype cannot leave the support.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from wellbegun._arguments import message
from wellbegun.engine.coefficients import CENTRE_LIMIT_64, TAIL_BELOW
from wellbegun.engine.complexes import REAL_OF, part_of
from wellbegun.errors import ArgumentError
from wellbegun.laws import (
    Law,
    LogUniform,
    Mirrored,
    Normal,
    Rademacher,
    Repeat,
    RowSums,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)

Scalar = Any  # np.float32 or np.float64: one law, two word sizes

SMALLEST_NORMAL = {"float16": 6.104e-5, "bfloat16": 1.1755e-38, "float32": 1.1755e-38, "float64": 2.2251e-308}
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38, "float64": math.inf}


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


def parameters_of(law: Law, dtype: str) -> Parameters:
    """Numbers for the transform of an independent law, as float64 for "float64" and float32 otherwise."""
    check(law, dtype)
    real: type = np.float64 if dtype == "float64" else np.float32
    unit = 2.0**-63 if dtype == "float64" else 2.0**-31
    if isinstance(law, Normal):
        return NormalParameters(real(law.mean), real(law.std))
    if isinstance(law, Uniform):
        low, high = inside(law.low, law.high, dtype)
        middle, half = law.low / 2 + law.high / 2, law.high / 2 - law.low / 2
        return UniformParameters(real(middle), real(half * unit), real(low), real(high))
    if isinstance(law, Rademacher):
        return SignParameters(real(law.mean - law.scale), real(law.mean + law.scale))
    if isinstance(law, LogUniform):
        low, high = inside(law.low, law.high, dtype)
        centre, spread = (math.log(law.high) + math.log(law.low)) / 2, (math.log(law.high) - math.log(law.low)) / 2
        return LogUniformParameters(real(centre), real(spread * unit), real(low), real(high))
    if isinstance(law, TruncatedNormal):
        return _truncated(law, dtype, real, unit)
    raise TypeError(f"no transform for {law!r}")  # a programming error: `fill` dispatches before


def _truncated(law: TruncatedNormal, dtype: str, real: type, unit: float) -> CentreParameters | TailParameters:
    below, above = law.tails()
    mass = law.mass()
    low, high = inside(law.low, law.high, dtype)
    numbers = ((below - above) / 2, mass / 2 * unit, law.location, law.scale, low, high)
    centre = CentreParameters(*(real(number) for number in numbers))
    limit = 0.5 - CENTRE_LIMIT_64 if dtype == "float64" else TAIL_BELOW
    if min(below, above) >= limit:
        return centre
    return TailParameters(*centre, real(below), real(above), real(mass))


def inside(low: float, high: float, dtype: str) -> tuple[float, float]:
    """Smallest and largest value of `dtype` within [low, high].

    >>> inside(-0.1, 0.1, "bfloat16")
    (-0.099609375, 0.099609375)
    """
    found = -_round_down(-low, dtype), _round_down(high, dtype)
    if found[0] > found[1]:
        remedy = "Widen the bounds or use a wider dtype."
        raise ArgumentError(message("fill", "bounds", f"such that a {dtype} lies between", (low, high), remedy))
    return found


def _round_down(value: float, dtype: str) -> float:
    """Largest value of `dtype` that is <= value."""
    if dtype == "float64":
        return float(value)
    if dtype == "bfloat16":
        bits = np.array(_round_down(value, "float32"), np.float32).view(np.uint32)
        cut = bits & np.uint32(0xFFFF0000)
        if value < 0 and cut != bits:
            cut += np.uint32(0x10000)
        return float(cut.view(np.float32))
    real = np.dtype(dtype).type
    rounded = real(value)
    return float(np.nextafter(rounded, real(-np.inf)) if float(rounded) > value else rounded)


def check(law: Law, dtype: str) -> None:
    """Raise if a value of the law could overflow `dtype`, so that nothing non-finite is ever written."""
    if isinstance(law, Sections):
        for _, part in law.parts:
            check(part, dtype)
        return
    if isinstance(law, (ZeroRows, Repeat, Sparse, Mirrored, RowSums)):
        return check(law.law, dtype)
    if dtype in REAL_OF and isinstance(law, (Uniform, LogUniform, TruncatedNormal, Normal, Rademacher)):
        for side in ("real", "imag"):
            check(part_of(law, side), REAL_OF[dtype])
        return
    real = REAL_OF.get(dtype, dtype)
    if _reach(law, real) > LARGEST[real]:
        allowed = f"within the range of {dtype} (largest value {LARGEST[real]:.6g})"
        raise ArgumentError(message("fill", "law", allowed, law, "Use a wider dtype or a smaller scale."))
    if isinstance(law, LogUniform) and law.low < SMALLEST_NORMAL[real]:
        allowed = f"at least {SMALLEST_NORMAL[real]:.6g} in {dtype}"
        raise ArgumentError(message("LogUniform", "low", allowed, law.low, "Use a wider dtype."))
    return None


def _reach(law: Law, dtype: str) -> float:
    if isinstance(law, Normal):
        return abs(law.mean) + (9.5 if dtype == "float64" else 6.77) * law.std  # the largest |z| a word can give
    reach = max(abs(bound) for bound in law.support())
    if isinstance(law, TruncatedNormal):  # far bounds are never reached, and may be infinite
        return min(reach, abs(law.location) + (38.0 if dtype == "float64" else 13.0) * law.scale)
    return reach
