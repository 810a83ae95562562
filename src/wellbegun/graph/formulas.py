"""Elementwise functions that the field has names for, as trees of neutral operations."""

import math
from collections.abc import Callable, Mapping

from wellbegun.graph.function import Function, call

Given = Function | float | int | bool


def scaled(x: Given, factor: float) -> Given:
    """x times a factor."""
    return x if factor == 1 else call("multiply", x, factor)


def clamp(x: Given, low: Given | None = None, high: Given | None = None) -> Given:
    """x, not below `low` and not above `high`."""
    bounded = x if low is None else call("maximum", x, low)
    return bounded if high is None else call("minimum", bounded, high)


def _elu(x: Given, alpha: float = 1, scale: float = 1, inner: float = 1) -> Function:
    below = call("multiply", call("expm1", scaled(x, inner)), alpha * scale)
    return call("where", call("greater", x, 0), scaled(x, scale), below)


def _gelu(x: Given, *, approximate: str = "none") -> Function:
    if approximate == "none":
        return call("multiply", call("multiply", x, 0.5), call("add", 1, call("erf", call("multiply", x, 0.5**0.5))))
    cube = call("multiply", call("multiply", x, x), x)
    inner = call("multiply", call("add", x, call("multiply", cube, 0.044715)), math.sqrt(2 / math.pi))
    return call("multiply", call("multiply", x, 0.5), call("add", 1, call("tanh", inner)))


def _softplus(x: Given, beta: float = 1, threshold: float = 20) -> Function:
    inner = scaled(x, beta)
    smooth = call("divide", call("log1p", call("exp", inner)), beta)
    return call("where", call("greater", inner, threshold), x, smooth)


def _softshrink(x: Given, width: float = 0.5) -> Function:
    low, high = call("less", x, -width), call("greater", x, width)
    inner = call("where", low, call("add", x, width), call("multiply", x, 0))
    return call("where", high, call("subtract", x, width), inner)


def _nan_to_num(x: Given, nan: float | None = None, high: float | None = None, low: float | None = None) -> Function:
    return call("nan_to_num", x, nan=nan or 0.0, high=high, low=low)


def _logit(x: Given, eps: float | None = None) -> Function:
    inside = x if eps is None else clamp(x, eps, 1 - eps)
    return call("log", call("divide", inside, call("subtract", 1, inside)))


def _log_sigmoid(x: Given) -> Function:
    return call("subtract", call("minimum", x, 0), call("log1p", call("exp", call("negative", call("absolute", x)))))


FORMULAS: Mapping[str, Callable[..., Given]] = {
    "relu": lambda x: call("maximum", x, 0),
    "relu6": lambda x: clamp(x, 0, 6),
    "leaky_relu": lambda x, slope=0.01: call("where", call("greater", x, 0), x, call("multiply", x, slope)),
    "prelu": lambda x, slope: call("where", call("greater", x, 0), x, call("multiply", slope, x)),
    "elu": _elu,
    "celu": lambda x, alpha=1: _elu(x, alpha, 1, 1 / alpha),
    "gelu": _gelu,
    "silu": lambda x: call("divide", x, call("add", 1, call("exp", call("negative", x)))),
    "mish": lambda x: call("multiply", x, call("tanh", call("log1p", call("exp", x)))),
    "softplus": _softplus,
    "log_sigmoid": _log_sigmoid,
    "logit": _logit,
    "hardtanh": lambda x, low=-1, high=1: clamp(x, low, high),
    "hardsigmoid": lambda x: call("divide", clamp(call("add", x, 3), 0, 6), 6),
    "hardswish": lambda x: call("divide", call("multiply", x, clamp(call("add", x, 3), 0, 6)), 6),
    "softshrink": _softshrink,
    "hardshrink": lambda x, width=0.5: call(
        "where", call("less_equal", call("absolute", x), width), call("multiply", x, 0), x
    ),
    "threshold": lambda x, at, value: call("where", call("less_equal", x, at), value, x),
    "entropy": lambda x: call("where", call("less", x, 0), -math.inf, call("negative", call("xlogy", x, x))),
    "frac": lambda x: call("subtract", x, call("trunc", x)),
    "lerp": lambda x, y, weight: call("add", x, call("multiply", weight, call("subtract", y, x))),
    "nan_to_num": _nan_to_num,
}
