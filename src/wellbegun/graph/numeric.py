"""The operations that functions are made of: how NumPy computes each, and between which bounds its values are."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from wellbegun._typing import Array

Interval = tuple[float, float]
Operation = Callable[..., Any]
_ALL: Interval = (-math.inf, math.inf)


class Bounded(Protocol):
    """A function whose values are known to be between bounds."""

    @property
    def domain(self) -> Interval:
        """The bounds."""


def _special(name: str) -> Operation:
    def function(*given: Any) -> Any:
        from scipy import special  # loaded on use: SciPy costs more to import than all of wellbegun

        return getattr(special, name)(*given)

    return function


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def _numbers(x: Any) -> Any:
    """Truth values as integers, where arithmetic is not defined for them."""
    return np.asarray(x, np.int64) if getattr(x, "dtype", None) == np.bool_ else x


def _cast(x: Any, to: str) -> Any:
    if to == "boolean":
        return np.asarray(x) != 0
    if to == "integer":
        return np.asarray(np.trunc(np.asarray(x, np.float64)), np.int64)
    found = np.asarray(x)
    return found if found.dtype.kind == "c" else np.asarray(found, np.float64)


def _rounded(x: Any, decimals: int = 0) -> Any:
    return np.round(x, decimals)


def _power(x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)) and not isinstance(y, bool) and y in (2, 3):  # as frameworks do: a power takes long
        return np.square(x) if y == 2 else np.square(x) * x
    floating = np.asarray(x, np.float64) if np.any(np.asarray(y) < 0) else x  # integers have no negative powers
    return np.power(floating, y)


def _nan_to_num(x: Any, nan: float = 0.0, high: float | None = None, low: float | None = None) -> Any:
    return np.nan_to_num(np.asarray(x, np.float64), nan=nan, posinf=high, neginf=low)


def _slice(x: Array, axis: int, start: int, stop: int, step: int) -> Array:
    return x[(*[slice(None)] * axis, slice(start, stop, step))]


def _length(x: Array, axes: tuple[int, ...] | None = None, keep: bool = False) -> Array:
    found: Array = np.sqrt(np.sum(np.square(np.abs(x)), axis=axes, keepdims=keep))
    return found


def _cat(*given: Array, axis: int) -> Array:
    return np.concatenate(given, axis=axis)


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        # arithmetic
        "add": np.add, "subtract": lambda x, y: np.subtract(_numbers(x), _numbers(y)), "multiply": np.multiply,
        "divide": np.divide, "negative": lambda x: np.negative(_numbers(x)), "power": _power, "square": np.square,
        "reciprocal": lambda x: 1 / np.asarray(x, np.float64), "absolute": np.abs, "sign": np.sign,
        "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod,
        "maximum": np.maximum, "minimum": np.minimum, "fmax": np.fmax, "fmin": np.fmin,
        # functions
        "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
        "log1p": np.log1p, "sqrt": np.sqrt, "cbrt": np.cbrt, "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin,
        "cos": np.cos, "tan": np.tan, "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan, "sinh": np.sinh,
        "cosh": np.cosh, "tanh": np.tanh, "arcsinh": np.arcsinh, "arccosh": np.arccosh, "arctanh": np.arctanh,
        "arctan2": np.arctan2, "hypot": np.hypot, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
        "sigmoid": _sigmoid, "erf": _special("erf"), "erfc": _special("erfc"), "erfinv": _special("erfinv"),
        "lgamma": _special("gammaln"), "digamma": _special("digamma"), "normal_cdf": _special("ndtr"),
        "log_normal_cdf": _special("log_ndtr"), "xlogy": _special("xlogy"), "sinc": np.sinc, "i0": _special("i0"),
        # rounding and kinds of numbers
        "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": _rounded, "cast": _cast,
        "nan_to_num": _nan_to_num, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
        # comparisons and choices
        "less": np.less, "less_equal": np.less_equal, "greater": np.greater, "greater_equal": np.greater_equal,
        "equal": np.equal, "not_equal": np.not_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
        "logical_not": np.logical_not, "logical_xor": np.logical_xor, "bitwise_and": np.bitwise_and,
        "bitwise_or": np.bitwise_or, "bitwise_not": np.bitwise_not, "bitwise_xor": np.bitwise_xor, "where": np.where,
        # arrays: for weights that are computed from parameters
        "full": lambda value, shape: np.full(shape, value), "reshape": np.reshape,
        "transpose": np.transpose, "broadcast": np.broadcast_to,
        "slice": _slice, "take": lambda x, axis, index: np.take(x, index, axis=axis),
        "concatenate": _cat, "flip": lambda x, axes: np.flip(x, axis=axes),
        "tril": lambda x, k=0: np.tril(x, k), "triu": lambda x, k=0: np.triu(x, k),
        "matmul": np.matmul, "sum": lambda x, axes=None, keep=False: np.sum(x, axis=axes, keepdims=keep),
        "mean": lambda x, axes=None, keep=False: np.mean(x, axis=axes, keepdims=keep), "length": _length,
        "largest": lambda x, axes=None, keep=False: np.max(x, axis=axes, keepdims=keep),
        "smallest": lambda x, axes=None, keep=False: np.min(x, axis=axes, keepdims=keep),
    }
)  # fmt: skip
"""Name -> what computes it from arrays and numbers, and from options by name."""

_RISING = frozenset(
    {"exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "arctan", "sinh", "tanh", "arcsinh",
     "erf", "sigmoid", "normal_cdf", "log_normal_cdf", "floor", "ceil", "trunc", "round", "erfinv"}
)  # fmt: skip
_BOUNDS: Mapping[str, Interval] = MappingProxyType(
    {"sin": (-1, 1), "cos": (-1, 1), "sign": (-1, 1), "arcsin": (-math.pi / 2, math.pi / 2), "arccos": (0, math.pi),
     "cosh": (1, math.inf), "hypot": (0, math.inf), "length": (0, math.inf), "i0": (1, math.inf), "erfc": (0, 2),
     "rsqrt": (0, math.inf), **dict.fromkeys(
         ("isnan", "isinf", "isfinite", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
          "logical_and", "logical_or", "logical_not", "logical_xor"), (0, 1))}
)  # fmt: skip
_SAME = frozenset(
    {"reshape", "transpose", "broadcast", "slice", "take", "flip", "mean", "largest", "smallest", "full", "cast"}
)


def domain_of(op: str, arguments: Sequence[Bounded]) -> Interval:
    """Bounds between which every value of an operation is, from those of its arguments.

    >>> from wellbegun.graph.function import ROOT, call
    >>> call("multiply", ROOT, ROOT).domain, call("add", call("exp", ROOT), 1).domain
    ((0.0, inf), (1.0, inf))
    """
    if op in _BOUNDS:
        return float(_BOUNDS[op][0]), float(_BOUNDS[op][1])
    bounds = [argument.domain for argument in arguments]
    if len(bounds) == 1 and op in _SAME:
        return bounds[0]
    if op in _RISING:
        with np.errstate(all="ignore"):
            return _ordered([float(OPERATIONS[op](np.float64(bound))) for bound in bounds[0]])
    if op in ("square", "absolute") or (op == "multiply" and arguments[0] == arguments[1]):
        return _folded(bounds[0], 1 if op == "absolute" else 2)
    if op == "power":
        low, high = bounds[1]
        even = low == high and low > 0 and low % 2 == 0
        return _folded(bounds[0], low) if even else (0.0, math.inf) if bounds[0][0] >= 0 else _ALL
    if op == "where":
        return min(bounds[1][0], bounds[2][0]), max(bounds[1][1], bounds[2][1])
    if op in ("maximum", "minimum", "fmax", "fmin"):
        pick = max if op in ("maximum", "fmax") else min
        return pick(bounds[0][0], bounds[1][0]), pick(bounds[0][1], bounds[1][1])
    if op in ("concatenate", *_SAME):
        return min(low for low, _ in bounds), max(high for _, high in bounds)
    return _combined(op, bounds)


def _combined(op: str, bounds: list[Interval]) -> Interval:
    """Of sums, products and sums of many."""
    first, second = bounds[0], bounds[-1]
    if op == "negative":
        return -first[1], -first[0]
    if op == "add":
        return _ordered([first[0] + second[0], first[1] + second[1]])
    if op == "subtract":
        return _ordered([first[0] - second[1], first[1] - second[0]])
    if op == "multiply":
        return _ordered([_product(x, y) for x in first for y in second])
    if op in ("divide", "reciprocal") and first[0] >= 0 and second[0] >= 0:
        return 0.0, math.inf
    if op == "divide" and second[0] == second[1] != 0:
        return _ordered([bound / second[0] for bound in first])
    if op == "sum" and first[0] >= 0:
        return 0.0, math.inf
    return _ALL


def _product(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _folded(bounds: Interval, power: float) -> Interval:
    with np.errstate(all="ignore"):
        sizes = [float(np.float64(abs(bound)) ** power) for bound in bounds]
    return 0.0 if bounds[0] <= 0 <= bounds[1] else min(sizes), max(sizes)


def _ordered(bounds: list[float]) -> Interval:
    return _ALL if any(math.isnan(bound) for bound in bounds) else (min(bounds), max(bounds))
