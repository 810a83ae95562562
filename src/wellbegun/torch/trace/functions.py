"""ATen's elementwise operations, and those that weights are computed with, as trees of neutral ones.

What is not listed is asked of torch itself, which is handed over beside the node.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from wellbegun.graph.formulas import FORMULAS, Given, clamp, scaled
from wellbegun.graph.function import Call, Function, Number, Root, call
from wellbegun.torch.trace.tensors import tensors_in

_KINDS = {torch.bool: "boolean"}


def _divide(x: Given, y: Given, *, rounding_mode: str | None = None) -> Function:
    found = call("divide", x, y)
    return found if rounding_mode is None else call(rounding_mode, found)


def _cast(x: Given, *, dtype: torch.dtype | None = None, **_: Any) -> Given:
    if dtype is None or dtype.is_floating_point or dtype.is_complex:
        return x if dtype is None or dtype.is_complex else call("cast", x, to="real")
    return call("cast", x, to=_KINDS.get(dtype, "integer"))


def _with_product(x: Given, one: Given, two: Given, *, value: Any = 1, op: str = "multiply") -> Function:
    return call("add", x, scaled(call(op, one, two), value))


_NAMES = {"prelu": "_prelu_kernel", "log_sigmoid": "log_sigmoid_forward", "entropy": "special_entr"}  # ATen's own
ELEMENTWISE: dict[str, Callable[..., Given]] = {
    **{_NAMES.get(name, name): formula for name, formula in FORMULAS.items()},
    "add": lambda x, y, alpha=1: call("add", x, scaled(y, alpha)),
    "sub": lambda x, y, alpha=1: call("subtract", x, scaled(y, alpha)),
    "rsub": lambda x, y, alpha=1: call("subtract", y, scaled(x, alpha)),
    "div": _divide, "true_divide": _divide, "pow": partial(call, "power"),
    "clamp": lambda x, min=None, max=None: clamp(x, min, max), "clamp_min": clamp,
    "clamp_max": lambda x, high: clamp(x, None, high), "where": lambda mask, x, y: call("where", mask, x, y),
    "masked_fill": lambda x, mask, value: call("where", mask, value, x),
    "addcmul": _with_product, "addcdiv": partial(_with_product, op="divide"),
    "_to_copy": _cast, "clone": lambda x, **_: x, "copy_": lambda x, *_: x, "positive": lambda x: x,
    "round": lambda x, *, decimals=0: call("round", x, decimals=decimals),
    **{name: partial(call, op) for name, op in {
        "mul": "multiply", "neg": "negative", "abs": "absolute", "sgn": "sign", "asin": "arcsin", "acos": "arccos",
        "atan": "arctan", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2",
        "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
        "special_ndtr": "normal_cdf", "special_log_ndtr": "log_normal_cdf", "special_i0": "i0",
        "special_xlogy": "xlogy",
    }.items()},
    **{name: partial(call, name) for name in (
        "square", "reciprocal", "sign", "maximum", "minimum", "fmax", "fmin", "exp", "exp2", "expm1", "log", "log2",
        "log10", "log1p", "sqrt", "rsqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot", "logaddexp",
        "logaddexp2", "sigmoid", "erf", "erfc", "erfinv", "lgamma", "digamma", "xlogy", "sinc", "i0", "floor", "ceil",
        "trunc", "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_not", "logical_xor",
        "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "floor_divide", "remainder", "fmod",
    )},
}  # fmt: skip


Arguments = tuple[tuple[Any, ...], tuple[tuple[str, Any], ...]]  # with roots in the place of tensors


def arguments_of(args: Any, kwargs: Any) -> Arguments:
    """The arguments of a call with roots in the place of its tensors, numbered in order."""
    count = [0]
    given = tuple(_node(arg, count) for arg in args)
    return given, tuple((key, _node(value, count)) for key, value in kwargs.items() if key not in _PLACES)


def tree_of(name: str, arguments: Arguments) -> Function | None:
    """A call of an elementwise operation as a tree over its tensors in order; None: it is not listed."""
    plain = name[:-1] if name.endswith("_") and name != "copy_" else name
    made = ELEMENTWISE.get(plain)
    if made is None:
        return None
    try:
        found = made(*arguments[0], **dict(arguments[1]))
    except (TypeError, ValueError):  # an overload with other arguments
        return None
    return found if isinstance(found, Function) else Number(found)


_PLACES = frozenset({"device", "pin_memory", "layout", "memory_format", "non_blocking", "out"})


def _axes(args: Any, position: int, kwargs: Any) -> tuple[tuple[int, ...] | None, bool]:
    """(axes, whether they are kept) of a reduction; (): all."""
    given = args[position] if len(args) > position else kwargs.get("dim")
    rank = args[0].ndim
    axes = None if given is None else tuple(axis % rank for axis in ([given] if isinstance(given, int) else given))
    return axes or None, bool(args[position + 1] if len(args) > position + 1 else kwargs.get("keepdim", False))


_REDUCED = {"sum": "sum", "mean": "mean", "amax": "largest", "amin": "smallest"}


def array_tree(name: str, args: Any, kwargs: Any) -> Function | None:
    """A call on whole arrays, as weights are computed with, as a tree over its tensors; None: it is not listed."""
    root = _root(0)
    if name in ("_to_copy", "clone"):
        return tree_of(name, arguments_of(args, kwargs))
    if name == "cat":
        axis = (args[1] if len(args) > 1 else kwargs.get("dim", 0)) % args[0][0].ndim
        return call("concatenate", *(_root(position) for position in range(len(args[0]))), axis=axis)
    if name in ("tril", "triu"):
        return call(name, root, k=args[1] if len(args) > 1 else 0)
    if name in ("linalg_vector_norm", "norm") and (args[1] if len(args) > 1 else 2) == 2:
        axes, keep = _axes(args, 2, kwargs)
        return call("length", root, axes=axes, keep=keep)
    if name in _REDUCED and args[0].is_floating_point():
        axes, keep = _axes(args, 1, kwargs)
        return call(_REDUCED[name], root, axes=axes, keep=keep)
    if name == "_weight_norm_interface":
        dim = args[2] if len(args) > 2 else 0
        others = tuple(axis for axis in range(args[0].ndim) if axis != dim % args[0].ndim)
        return call("multiply", root, call("divide", _root(1), call("length", root, axes=others, keep=True)))
    return None


def _node(node: Any, count: list[int]) -> Any:
    if isinstance(node, torch.Tensor):
        count[0] += 1
        return _root(count[0] - 1)
    if isinstance(node, (list, tuple)):
        return tuple(_node(item, count) for item in node)
    return node


@cache
def _root(position: int) -> Root:
    return Root(str(position))


# ---------------------------------------------------------------------- asked of torch
def asked(func: Any, args: Any, kwargs: Any, output: int = 0) -> Call:
    """A node that torch evaluates, in float64; what it draws, like dropout, is the same each time."""
    given, named = arguments_of(args, kwargs)
    options = (("call", repr((given, named))), ("output", output))
    nodes = tuple(_root(position) for position in range(len(tensors_in((args, list(kwargs.values()))))))
    return Call(f"torch {func}", nodes, options, partial(_run, func, given, named, output))


def _run(func: Any, given: Any, named: Any, output: int, values: Sequence[Any]) -> Any:
    tensors = [torch.from_numpy(np.array(value)) for value in values]  # copies: some operations write
    options = {key: _filled(value, tensors) for key, value in named if key != "dtype"}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = func(*_filled(given, tensors), **options)
    one = found[output] if isinstance(found, (tuple, list)) else found
    return (one.to(torch.float64) if one.is_floating_point() else one).contiguous().numpy()


def _filled(node: Any, tensors: list[torch.Tensor]) -> Any:
    if isinstance(node, Root):
        return tensors[int(node.name)]
    return [_filled(item, tensors) for item in node] if isinstance(node, tuple) else node
