"""Steps -> facts for the builder of graphs: the names of primitives end here."""

import math
from collections.abc import Mapping, Sequence
from string import ascii_letters
from typing import Any

import jax.numpy as jnp
import numpy as np

from wellbegun.backend import Equation, Step, Value, elementwise, nodes_of
from wellbegun.graph import facts
from wellbegun.graph.function import Call, Function, call

_FUNCTIONS: Mapping[str, str] = {  # elementwise primitives -> the operations of functions
    "sub": "subtract", "mul": "multiply", "div": "divide", "max": "maximum", "min": "minimum", "neg": "negative",
    "pow": "power", "logistic": "sigmoid", "abs": "absolute", "asin": "arcsin", "acos": "arccos", "atan": "arctan",
    "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh", "atan2": "arctan2", "erf_inv": "erfinv", "rem": "fmod",
    "is_finite": "isfinite", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal", "add_any": "add", **{name: name for name in (
        "add", "exp", "exp2", "expm1", "log", "log1p", "tanh", "tan", "sin", "cos", "sinh", "cosh", "erf", "erfc",
        "sqrt", "rsqrt", "cbrt", "square", "sign", "floor", "ceil", "round", "lgamma", "digamma")},
}  # fmt: skip
_COMBINES: Mapping[str, facts.Combined] = {
    "add": ("sum", "sum"), "add_any": ("sum", "sum"), "sub": ("sum", "difference"), "mul": ("product", "product"),
    "div": ("product", "quotient"), "max": ("bound", ""), "min": ("bound", ""), "select_n": ("select", ""),
}  # fmt: skip
_LOGIC = frozenset({"and", "or", "xor", "not"})
_CASTS = frozenset({"convert_element_type", "stop_gradient", "reduce_precision", "copy"})
_ELEMENTWISE = frozenset({*_FUNCTIONS, *_LOGIC, *_CASTS, "integer_pow", "select_n", "clamp"})
_FACTS: Mapping[str, facts.Fact] = {
    **dict.fromkeys(("reshape", "squeeze", "expand_dims"), facts.Move("same", view=True, reshapes=True)),
    **dict.fromkeys(("dynamic_update_slice", "scatter"), facts.Move("written")), "dynamic_slice": facts.Move("part"),
    **dict.fromkeys(("sort", "top_k", "approx_top_k"), facts.Move("picked", selects="ranked")),
    **dict.fromkeys(("reduce_max", "reduce_min", "reduce_and", "reduce_or"), facts.Reduce("extremum")),
    **dict.fromkeys(("argmax", "argmin"), facts.Reduce(statistic=False, selects="index")),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"), facts.Reduce(statistic=False)),
    **dict.fromkeys(("reduce_window", "reduce_window_max", "reduce_window_min", "reduce_window_sum"), facts.Pool()),
    "reduce_sum": facts.Reduce("sum"), "reduce_prod": facts.Reduce(), "concatenate": facts.Concat(),
    "scatter-add": facts.Scatter(),
}  # fmt: skip


def fact_of(step: Step) -> facts.Fact:
    """What a step does to the values among its inputs."""
    equation = step.equations[0]
    name, shape = equation.name, equation.outputs[0].shape if equation.outputs else ()
    if step.fact is not None:
        return step.fact
    if name in _ELEMENTWISE:
        return elementwise(equation, _tree(equation), _COMBINES, _CASTS)
    if name == "dot_general":
        return _contraction(equation, biased=len(step.equations) > 1)
    if name in ("conv_general_dilated", "gather"):
        return _gather(equation) if name == "gather" else _convolution(equation)
    if name == "transpose":
        return facts.Move("same", axes=tuple((int(axis),) for axis in equation.params["permutation"]))
    if name == "broadcast_in_dim":
        source = {int(axis): (place,) for place, axis in enumerate(equation.params["broadcast_dimensions"])}
        same = math.prod(shape) == math.prod(getattr(equation.inputs[0], "shape", ()))
        return facts.Move(
            "same" if same else "repeated", axes=tuple(source.get(axis, ()) for axis in range(len(shape)))
        )
    if name in ("slice", "rev", "pad"):
        each = tuple((axis,) for axis in range(len(shape)))
        start = tuple(equation.params.get("start_indices", ())) if equation.params.get("strides") is None else ()
        return facts.Move(
            "part" if name == "slice" else "reordered" if name == "rev" else "padded", axes=each, start=start
        )
    if name == "split":
        return facts.Split(axis=int(equation.params["axis"]))
    return _FACTS.get(name, facts.Opaque())


# ---------------------------------------------------------------------- elementwise
def _tree(equation: Equation) -> Function:
    name, nodes, output = equation.name, nodes_of(equation.inputs), equation.outputs[0]
    if name == "integer_pow":
        return call("power", nodes[0], int(equation.params["y"]))
    if name == "select_n" and len(nodes) == 3:
        return call("where", nodes[0], nodes[2], nodes[1])
    if name == "clamp":
        return call("minimum", call("maximum", nodes[1], nodes[0]), nodes[2])
    if name in _LOGIC:
        return call(f"{'logical' if output.dtype == 'bool' else 'bitwise'}_{name}", *nodes)
    if name in _CASTS:
        return call("cast", nodes[0], to="boolean" if output.dtype == "bool" else output.array.numbers)
    return call(_FUNCTIONS[name], *nodes) if name in _FUNCTIONS else computed(equation)


def computed(equation: Equation) -> Function:
    """What a primitive gives, asked of itself."""

    def ask(given: Sequence[Any]) -> Any:
        kinds = [operand.dtype if isinstance(operand, Value) else None for operand in equation.inputs]
        return np.asarray(equation.compute([jnp.asarray(x, kind) for x, kind in zip(given, kinds, strict=True)])[0])

    told = sorted((key, str(value)) for key, value in equation.params.items())
    return Call(f"{equation.name} {told}", tuple(nodes_of(equation.inputs)), (), ask)


# ---------------------------------------------------------------------- products and tables
def _contraction(equation: Equation, *, biased: bool) -> facts.Contraction:
    (left, right), (first, second) = equation.params["dimension_numbers"]
    sizes = [len(operand.shape) for operand in equation.inputs]
    one, other = list(ascii_letters[: sizes[0]]), list(ascii_letters[sizes[0] : sum(sizes)])
    for a, b in (*zip(left, right, strict=True), *zip(first, second, strict=True)):
        other[b] = one[a]
    kept = [letter for axis, letter in enumerate(one) if axis not in (*left, *first)]
    new = [letter for axis, letter in enumerate(other) if axis not in (*right, *second)]
    output = "".join([*(one[axis] for axis in first), *kept, *new])
    return facts.Contraction(("".join(one), "".join(other)), output, bias=2 if biased else None)


def _convolution(equation: Equation) -> facts.Convolution:
    numbers, dilated = equation.params["dimension_numbers"], equation.params["lhs_dilation"]
    transposed = any(size > 1 for size in dilated)
    letters = ["k"] * len(numbers.rhs_spec)
    letters[numbers.rhs_spec[0]], letters[numbers.rhs_spec[1]] = "o", "i"
    stride = tuple(dilated if transposed else equation.params["window_strides"])
    groups, axis = equation.params["feature_group_count"], numbers.out_spec[1]
    return facts.Convolution("".join(letters), axis, stride, groups, transposed)


def _gather(equation: Equation) -> facts.Fact:
    """Whole slices along one axis, or any other entries."""
    numbers, (table, index) = equation.params["dimension_numbers"], equation.inputs
    axes, sizes = tuple(numbers.start_index_map), equation.params["slice_sizes"]
    whole = all(size == (1 if axis in axes else table.shape[axis]) for axis, size in enumerate(sizes))
    rows = len(axes) == 1 and axes == tuple(numbers.collapsed_slice_dims) and whole
    return facts.Gather(axes, rank=len(index.shape) - 1) if rows else facts.Move("picked")
