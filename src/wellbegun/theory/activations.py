"""Activation functions by name, as NumPy functions, and the recognition of a function by its values."""

import functools
import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from wellbegun._typing import Array

Function = Callable[[Array], Array]
"""An elementwise function of a NumPy array."""
PairFunction = Callable[[Array, Array], Array]
"""An elementwise function of two NumPy arrays."""

FLAT_SLOPE = 0.05  # an activation is flat where its slope is below this share of its RMS slope for normal inputs
DEAD_SLOPE = 0.01  # a unit is dead if its slope is below this share for every sample
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _erf(x: Array) -> Array:
    from scipy.special import erf  # loaded on use: SciPy costs more to import than all of wellbegun

    return erf(x)


def _normal_cdf(x: Array) -> Array:
    from scipy.special import ndtr

    return ndtr(x)


def _leaky(x: Array, slope: float) -> Array:
    return np.where(x >= 0, x, slope * x)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _celu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _hardsigmoid(x: Array) -> Array:
    return np.clip(x / 6 + 0.5, 0, 1)


ACTIVATIONS: Mapping[str, Function] = MappingProxyType(
    {
        "linear": lambda x: x,
        "relu": lambda x: np.maximum(x, 0),
        "leaky_relu": partial(_leaky, slope=0.01),
        "prelu": partial(_leaky, slope=0.25),
        "rrelu": partial(_leaky, slope=11 / 48),
        "relu6": lambda x: np.clip(x, 0, 6),
        "squared_relu": lambda x: np.maximum(x, 0) ** 2,
        "abs": np.abs,
        "elu": partial(_elu, alpha=1.0),
        "celu": partial(_celu, alpha=1.0),
        "selu": lambda x: SELU_SCALE * _elu(x, SELU_ALPHA),
        "gelu": lambda x: x * _normal_cdf(x),
        "gelu_tanh": _gelu_tanh,
        "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
        "silu": lambda x: x * _sigmoid(x),
        "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
        "softplus": lambda x: np.logaddexp(0, x),
        "logsigmoid": lambda x: -np.logaddexp(0, -x),
        "softsign": lambda x: x / (1 + np.abs(x)),
        "tanh": np.tanh,
        "lecun_tanh": lambda x: 1.7159 * np.tanh(2 * x / 3),
        "tanhshrink": lambda x: x - np.tanh(x),
        "hardtanh": lambda x: np.clip(x, -1, 1),
        "erf": _erf,
        "sigmoid": _sigmoid,
        "hardsigmoid": _hardsigmoid,
        "hardswish": lambda x: x * _hardsigmoid(x),
        "sin": np.sin,
        "cos": np.cos,
        "gaussian": lambda x: np.exp(-x * x),
        "exp": np.exp,
    }
)
"""Activation functions by name."""
ACTIVATION_ALIASES: Mapping[str, str] = MappingProxyType({"identity": "linear", "swish": "silu", "lrelu": "leaky_relu"})
"""Other names of the same functions."""
GATES: Mapping[str, str] = MappingProxyType(
    {"glu": "sigmoid", "reglu": "relu", "geglu": "gelu", "swiglu": "silu", "bilinear": "linear"}
)
"""Functions u psi(v) of two arguments, by name, and the name of psi."""
PARAMETRIC: Mapping[str, tuple[str, Callable[..., Array]]] = MappingProxyType(
    {"leaky_relu": ("slope", _leaky), "elu": ("alpha", _elu), "celu": ("alpha", _celu)}
)

_GRID = np.concatenate([np.linspace(-8, 8, 161), [-0.5, 1e-3, -1e-3, 0.77]])


@functools.cache
def _references() -> tuple[list[str], Array]:
    """Named activations, and the values of each in a row."""
    with np.errstate(all="ignore"):
        return list(ACTIVATIONS), np.stack([known(_GRID) for known in ACTIVATIONS.values()])


def identify(function: Function) -> tuple[str, float] | None:
    """Name of a function by its values: ("relu", 0.0), ("leaky_relu", slope), ("linear", slope), ("tanh", 0.0), ...

    Positively homogeneous functions are recognized by their two slopes, the others by comparison with the named ones
    to 1e-5 (single-precision code can differ by as much). None if nothing fits.

    >>> identify(lambda x: x * (x > 0)), identify(lambda x: np.where(x > 0, x, 0.2 * x))
    (('relu', 0.0), ('leaky_relu', 0.2))
    """
    with np.errstate(all="ignore"):
        values = np.asarray(function(_GRID.copy()), dtype=np.float64)  # a copy: it may be written into
    if values.shape != _GRID.shape or not np.isfinite(values).all():
        return None
    up, down = float(values[160] / 8), float(values[0] / -8)
    if _close(values, np.where(_GRID > 0, up * _GRID, down * _GRID), 1e-6).all():
        return _homogeneous(up, down)
    names, references = _references()
    same = _close(values, references, 1e-5).all(axis=1)
    return (names[int(same.argmax())], 0.0) if same.any() else None


def _close(values: Array, references: Array, tolerance: float) -> Array:
    """Where finite values are equal, but for single precision; `np.isclose` takes ten times as long on a few."""
    close: Array = np.abs(values - references) <= tolerance + 1e-5 * np.abs(references)
    return close


def frequency(function: Function) -> float | None:
    """w, if the function is sin(w x); None if it is not.

    >>> frequency(lambda x: np.sin(30 * x))
    30.0
    """
    with np.errstate(all="ignore"):
        slope = float(np.asarray(function(np.array([1e-6])), dtype=np.float64)[0]) * 1e6
        if not math.isfinite(slope) or slope == 0:
            return None
        grid = np.linspace(-1, 1, 41) * 4 / abs(slope)  # a little more than one period
        values = np.asarray(function(grid.copy()), dtype=np.float64)
    return round(slope, 6) if np.allclose(values, np.sin(slope * grid), atol=1e-5) else None


@functools.cache
def standard_inputs() -> Array:
    """A standard normal input, as its 200 quantiles."""
    from statistics import NormalDist  # loaded on use: it costs as much as half of this package

    return np.array([NormalDist().inv_cdf((i + 0.5) / 200) for i in range(200)])


def _homogeneous(up: float, down: float) -> tuple[str, float] | None:
    if math.isclose(up, down, rel_tol=1e-6):
        return "linear", round(up, 6)
    if not math.isclose(up, 1.0, rel_tol=1e-5):
        return None
    return ("relu", 0.0) if abs(down) < 1e-6 else ("leaky_relu", round(down, 6))
