"""What number formats can hold: ranges, and bounds rounded into them."""

import sys

import numpy as np

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError

REAL_OF = {"complex64": "float32", "complex128": "float64"}
SMALLEST_NORMAL = {"float16": 6.104e-5, "bfloat16": 1.1755e-38, "float32": 1.1755e-38, "float64": 2.2251e-308}
WORD = {"float64": 2.0**-63, "float32": 2.0**-31, "float16": 2.0**-31, "bfloat16": 2.0**-31}  # words -> [-1, 1)
_TOP = sys.float_info.max
LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38, "float64": _TOP}


def inside(low: float, high: float, dtype: str) -> tuple[float, float]:
    """Smallest and largest value of `dtype` within [low, high].

    >>> inside(-0.1, 0.1, "bfloat16")
    (-0.099609375, 0.099609375)
    """
    bounds = -_round_down(-low, dtype), _round_down(high, dtype)
    if bounds[0] > bounds[1]:
        remedy = "Widen the bounds or use a wider dtype."
        raise ArgumentError(message("fill", "bounds", f"such that a {dtype} lies between", (low, high), remedy))
    return bounds


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
