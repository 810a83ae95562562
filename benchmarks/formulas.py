"""The formulas of the stream contract around their polynomials, on numbers of any kind, and their exact values.

A formula holds its polynomial p linearly: value = A(u) + B(u) p(x(u)). One text gives, on mpmath numbers, what p has to
approximate and how an error of p counts; and on NumPy arrays the errors of the working precision.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import mpmath
import numpy as np
from mpmath import mp, mpf
from scipy import special

from wellbegun.engine import coefficients as co

Ratio = tuple[tuple[Any, ...], tuple[Any, ...]]  # numerator and denominator, lowest power first
ONE = (1.0,)


@dataclass(frozen=True)
class Problem:
    """One table of coefficients: formula, exact value, interval of its argument u, and what is shipped."""

    name: str
    whole: Callable[[Any, Any], Any]  # (u, p) -> value
    variable: Callable[[Any], Any]  # u -> argument of the polynomial
    exact: Callable[[Any], Any]  # in mpmath's digits
    low: float
    high: float
    shipped: Ratio
    fast: Callable[[Any], Any] | None = None  # exact value in float64, for float32 tables
    relative: bool = True

    @property
    def degrees(self) -> tuple[int, int]:
        """Of numerator and denominator."""
        return len(self.shipped[0]) - 1, len(self.shipped[1]) - 1

    @property
    def real(self) -> type:
        """The word of the table."""
        return np.float64 if self.fast is None else np.float32


def _log(f: Any, p: Any) -> Any:
    square = f * f
    return (square * -0.5 + square * f * p) + f


def _exp(f: Any, p: Any) -> Any:
    return 1.0 + (f + f * f * p)


def _cos(t: Any, p: Any) -> Any:
    return t * t * p + 1.0


def _sin_64(t: Any, p: Any) -> Any:
    return t + t * (t * t) * p


def _log_64(f: Any, p: Any) -> Any:
    s = f / (f + 2.0)
    half = f * 0.5 * f
    return f - (half - s * (half + s * s * p))


def _cos_64(t: Any, p: Any) -> Any:
    z = t * t
    half = z * 0.5
    rest = 1.0 - half
    return rest + (((1.0 - rest) - half) + z * z * p)


def _ratio_squared(f: Any) -> Any:
    s = f / (f + 2.0)
    return s * s


def _quantile_centre(c: Any) -> Any:
    """z with Phi(z) = 1/2 + c."""
    z = mpf(float(special.ndtri(0.5 + float(c))))
    for _ in range(2):  # Newton doubles the digits
        z -= (mpmath.erf(z / mp.sqrt(2)) / 2 - c) / mpmath.npdf(z)
    return z


def _quantile_tail(s: Any) -> Any:
    """z with Phi(-z) = exp(-s^2)."""
    z, q = -mpf(float(special.ndtri_exp(-(float(s) ** 2)))), mp.exp(-s * s)
    for _ in range(2):
        z += (mpmath.ncdf(-z) - q) / mpmath.npdf(z)
    return z


# ---------------------------------------------------------------------- the tables
QUARTER, SMALL = math.pi / 4, 2.0**-10  # at 0 itself a relative error has no meaning


def _plain(u: Any) -> Any:
    return u


def _square(u: Any) -> Any:
    return u * u


def _product(u: Any, p: Any) -> Any:
    return u * p


def _alone(_u: Any, p: Any) -> Any:
    return p


def _minus(shift: float, s: Any) -> Any:
    return s - shift


def _below(shift: float, c: Any) -> Any:
    return shift - c * c


def problems() -> list[Problem]:
    """Every table of `coefficients`."""
    return [*_words_32(), *_words_64()]


def _words_32() -> list[Problem]:
    root, half = math.sqrt(0.5) - 1, math.log(2) / 2
    tail = [math.sqrt(-math.log(q)) for q in (co.TAIL_BELOW, 1.2e-38)]
    centre = partial(_below, co.CENTRE_SHIFT)
    quotients = (co.CENTRE_P, co.CENTRE_Q), (co.TAIL_P, co.TAIL_Q)

    def sine(t: Any) -> Any:
        return mp.sin(mp.pi * t / 4)

    def cosine(t: Any) -> Any:
        return mp.cos(mp.pi * t / 4)

    def ndtri(c: Any) -> Any:
        return special.ndtri(0.5 + c)

    def ndtri_tail(s: Any) -> Any:
        return -special.ndtri_exp(-s * s)

    return [
        Problem("LOG", _log, _plain, mp.log1p, root, math.sqrt(2) - 1, (co.LOG, ONE), np.log1p),
        Problem("EXP", _exp, _plain, mp.exp, -half, half, (co.EXP, ONE), np.exp),
        Problem("SIN", _product, _square, sine, SMALL, 1, (co.SIN, ONE), lambda t: np.sin(QUARTER * t)),
        Problem("COS", _cos, _square, cosine, SMALL, 1, (co.COS, ONE), lambda t: np.cos(QUARTER * t), relative=False),
        Problem("CENTRE", _product, centre, _quantile_centre, SMALL, 0.48, quotients[0], ndtri),
        Problem("TAIL", _alone, _plain, _quantile_tail, *tail, quotients[1], ndtri_tail),
    ]


def _words_64() -> list[Problem]:
    half, limit = math.log(2) / 2, co.CENTRE_LIMIT_64
    near = math.sqrt(-math.log(0.5 - limit))
    centre, by_near, by_far = partial(_below, co.CENTRE_SHIFT_64), partial(_minus, 1.6), partial(_minus, 5.0)
    centres, nears, fars = (co.CENTRE_P_64, co.CENTRE_Q_64), (co.NEAR_P_64, co.NEAR_Q_64), (co.FAR_P_64, co.FAR_Q_64)
    return [
        Problem("LOG_64", _log_64, _ratio_squared, mp.log1p, SMALL, math.sqrt(2) - 1, (co.LOG_64, ONE)),
        Problem("EXP_64", _exp, _plain, mp.exp, -half, half, (co.EXP_64, ONE)),
        Problem("SIN_64", _sin_64, _square, mp.sin, SMALL, QUARTER, (co.SIN_64, ONE)),
        Problem("COS_64", _cos_64, _square, mp.cos, SMALL, QUARTER, (co.COS_64, ONE), relative=False),
        Problem("CENTRE_64", _product, centre, _quantile_centre, SMALL, limit, centres),
        Problem("NEAR_64", _alone, by_near, _quantile_tail, near, 5, nears),
        Problem("FAR_64", _alone, by_far, _quantile_tail, 5, 27, fars),
    ]
