"""Equations -> steps, and facts for the builder of graphs: the names of Keras's operations end here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from string import ascii_letters
from typing import Any

import keras
import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Equation, Program, Step, Value, elementwise, nodes_of, values_in
from wellbegun.graph import facts
from wellbegun.graph.formulas import FORMULAS, Given, clamp
from wellbegun.graph.function import Call, Function, Number, call
from wellbegun.graph.model import Mode, Over, Slot
from wellbegun.keras.layers import host
from wellbegun.keras.symbols import Whole
from wellbegun.keras.unrolled import KNOWN

_FUNCTIONS: Mapping[str, str] = {  # elementwise operations -> the operations of functions
    **{"".join(part.capitalize() for part in name.split("_")): name for name in (
        "add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "power", "square", "sqrt", "rsqrt",
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin",
        "arccos", "arctan", "arctan2", "arcsinh", "arccosh", "arctanh", "sigmoid", "erf", "erfc", "erfinv", "sign",
        "floor", "ceil", "trunc", "absolute", "reciprocal", "less", "less_equal", "greater", "greater_equal", "equal",
        "not_equal", "logical_and", "logical_or", "logical_not", "logical_xor", "isfinite", "isnan", "isinf",
        "where", "hypot", "cbrt")},
    "TrueDivide": "divide",
}  # fmt: skip
_ASKED = frozenset({  # elementwise operations that are asked for their values
    "SparseSigmoid", "SparsePlus", "Squareplus", "TanhShrink", "Round", "Mod", "Fmod", "FloorDivide",
    "Heaviside", "Logaddexp", "DivideNoNan", "NanToNum", "Deg2rad", "Rad2deg", "Fabs", "Sinc", "Signbit",
})  # fmt: skip


def _relu(x: Given, slope: float, most: float | None, threshold: float) -> Given:
    """As the activation and the layer of this name have it."""
    above = x if threshold == 0 else call("subtract", x, threshold)
    if slope == 0 == threshold:
        found: Given = FORMULAS["relu"](x)
    else:
        below = call("multiply", above, slope)
        found = call("where", call("greater_equal", x, threshold), x, below)
    return clamp(found, None, most)


_NAMED: Mapping[str, Callable[[Function, Any], Given]] = {  # those that formulas tell, of the operation's settings
    **{name: partial(lambda formula, x, _: FORMULAS[formula](x), formula) for name, formula in (
        ("Relu", "relu"), ("Relu6", "relu6"), ("Softplus", "softplus"), ("Silu", "silu"), ("Mish", "mish"),
        ("LogSigmoid", "log_sigmoid"), ("HardSigmoid", "hardsigmoid"), ("HardSilu", "hardswish"),
        ("HardTanh", "hardtanh"))},
    "Selu": lambda x, _: FORMULAS["elu"](x, 1.6732632423543772, 1.0507009873554805),
    "ReLU": lambda x, o: _relu(x, o.negative_slope, o.max_value, o.threshold),
    "Softsign": lambda x, _: call("divide", x, call("add", 1, call("absolute", x))),
    "LeakyRelu": lambda x, o: FORMULAS["leaky_relu"](x, o.negative_slope),
    "Elu": lambda x, o: FORMULAS["elu"](x, o.alpha), "Celu": lambda x, o: FORMULAS["celu"](x, o.alpha),
    "Gelu": lambda x, o: FORMULAS["gelu"](x, approximate="tanh" if o.approximate else "none"),
    "SoftShrink": lambda x, o: FORMULAS["softshrink"](x, o.threshold),
    "HardShrink": lambda x, o: FORMULAS["hardshrink"](x, o.threshold),
    "Threshold": lambda x, o: FORMULAS["threshold"](x, o.threshold, o.default_value),
    "Clip": lambda x, o: clamp(x, o.x_min, o.x_max),
}  # fmt: skip
_COMBINES: Mapping[str, facts.Combined] = {
    "Add": ("sum", "sum"), "Subtract": ("sum", "difference"), "Multiply": ("product", "product"),
    "Divide": ("product", "quotient"), "TrueDivide": ("product", "quotient"), "Maximum": ("bound", ""),
    "Minimum": ("bound", ""), "Where": ("select", ""),
}  # fmt: skip
_CASTS = frozenset({"Cast", "SaturateCast", "ConvertToTensor", "StopGradient", "Copy", "Array"})
_ELEMENTWISE = frozenset({*_FUNCTIONS, *_ASKED, *_NAMED, *_CASTS})
_PRODUCTS = frozenset({"Matmul", "Einsum", "Dot", "Conv", "DepthwiseConv", "ConvTranspose"})
MOVES = frozenset({"Reshape", "Squeeze", "ExpandDims", "Transpose", "BroadcastTo", *_CASTS})
_FACTS: Mapping[str, facts.Fact] = {
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims", "Ravel"), facts.Move("same", view=True, reshapes=True)),
    **dict.fromkeys(("Flip", "Roll"), facts.Move("reordered")),
    **dict.fromkeys(("Repeat", "Tile"), facts.Move("repeated")),
    **dict.fromkeys(("Slice", "Tril", "Triu"), facts.Move("part")), "SliceUpdate": facts.Move("written"),
    "TakeAlongAxis": facts.Move("picked"), "Masked": facts.Move("masked"), "Pad": facts.Move("padded"),
    **dict.fromkeys(("Sort", "TopK"), facts.Move("picked", selects="ranked")),
    **dict.fromkeys(("Max", "Min", "Amax", "Amin", "Any", "All"), facts.Reduce("extremum")),
    **dict.fromkeys(("Argmax", "Argmin"), facts.Reduce(statistic=False, selects="index")),
    **dict.fromkeys(("Cumsum", "Cumprod"), facts.Reduce(statistic=False)),
    **dict.fromkeys(("MaxPool", "AveragePool", "AdaptiveMaxPool", "AdaptiveAveragePool"), facts.Pool()),
    **dict.fromkeys(("Prod", "Var", "Std", "Moments", "Logsumexp"), facts.Reduce()),
    "Sum": facts.Reduce("sum"), "Mean": facts.Reduce("mean"), "Norm": facts.Reduce("length"),
    **dict.fromkeys(("Concatenate", "Stack", "Append", "Hstack", "Vstack"), facts.Concat()),
    **dict.fromkeys(("OneHot", "MultiHot"), facts.Opaque(selects="index")),
}  # fmt: skip
_LAYERS = keras.layers
_NORMS: Mapping[type[Any], Over] = {
    _LAYERS.BatchNormalization: "samples", _LAYERS.LayerNormalization: "units", _LAYERS.RMSNormalization: "units",
    _LAYERS.GroupNormalization: "groups",
}  # fmt: skip
_RECURRENT: Mapping[type[Any], tuple[Mode, int]] = {
    _LAYERS.GRU: ("gru", 3),
    **dict.fromkeys((_LAYERS.LSTM, _LAYERS.ConvLSTM1D, _LAYERS.ConvLSTM2D, _LAYERS.ConvLSTM3D), ("lstm", 4)),
}
_SLOTS: Mapping[str, Slot] = {
    "kernel": "recurrent_input",
    "recurrent_kernel": "recurrent_hidden",
    "bias": "recurrent_bias_input",
}


def steps_of(program: Program, layers: Mapping[str, Any]) -> Iterator[Step]:
    """All steps; a product and the bias that its layer adds are one."""
    readers: dict[int, list[Equation | None]] = {value.number: [None] for value in values_in(program.outputs)}
    for equation in program.equations:
        for value in values_in(equation.inputs):
            readers.setdefault(value.number, []).append(equation)
    products: dict[int, Equation] = {}
    for equation in program.equations:
        scope = next((path for path in map(_path, reversed(equation.scopes)) if path in layers), "")
        whole, outputs = isinstance(layers.get(scope), _BIASED), tuple(values_in(equation.outputs))
        product = next((products[v.number] for v in values_in(equation.inputs) if v.number in products), None)
        after = readers.get(outputs[0].number, [None])
        biased = len(after) == 1 and after[0] and after[0].name == "Add" and after[0].scopes == equation.scopes
        if whole and equation.name in _PRODUCTS and biased:
            products[outputs[0].number] = equation
        elif product is not None:
            bias = [v for v in values_in(equation.inputs) if v.number not in products]
            yield Step(product.name, scope, (product, equation), (*product.inputs, *bias), outputs, layer=True)
        elif isinstance(equation.params.get("operation"), Whole):
            yield _layer(equation, scope)
        else:
            yield Step(equation.name, scope, (equation,), equation.inputs, outputs, layer=whole)


# layers whose bias is part of their product
_BIASED: tuple[type[Any], ...] = (
    _LAYERS.Dense, _LAYERS.EinsumDense, _LAYERS.Conv1D, _LAYERS.Conv2D, _LAYERS.Conv3D, _LAYERS.DepthwiseConv1D,
    _LAYERS.DepthwiseConv2D, _LAYERS.Conv1DTranspose, _LAYERS.Conv2DTranspose, _LAYERS.Conv3DTranspose,
    _LAYERS.SeparableConv1D, _LAYERS.SeparableConv2D,
)  # fmt: skip


def _path(scope: str) -> str:
    return scope.partition("#")[0]


# ---------------------------------------------------------------------- whole layers
def _layer(equation: Equation, scope: str) -> Step:
    """A layer that is one step: what comes in, and those of its variables that a fact speaks of."""
    layer, count = equation.params["operation"].layer, len(equation.params["operation"].variables)
    given, held = equation.inputs[: len(equation.inputs) - count], equation.inputs[len(equation.inputs) - count :]
    variables = {id(v): value for v, value in zip(equation.params["operation"].variables, held, strict=True)}

    def own(name: str, owner: Any = layer) -> list[Any]:
        variable = getattr(owner, name, None)
        return [variables[id(variable)]] if id(variable) in variables else []

    signals, inputs = [*values_in(given)], equation.inputs
    cell: Any = getattr(layer, "cell", None)
    over = next((over for kind, over in _NORMS.items() if isinstance(layer, kind)), None)
    known: facts.Fact = facts.Opaque()
    if equation.params["operation"].part is not None:
        inputs = (*signals,)  # the steps before show what is done with weights
    elif over is not None and signals:
        scale, shift = own("gamma") or own("scale"), own("beta")
        inputs, rank = (signals[0], *scale, *shift), len(signals[0].shape)
        axis = layer.axis if isinstance(layer.axis, int) else [*layer.axis][-1]
        places = len(scale) or None, len(scale) + 1 if shift else None
        known = facts.Norm(over, not isinstance(layer, _LAYERS.RMSNormalization), axis % rank, *places)
    elif isinstance(layer, (_LAYERS.Dropout, _LAYERS.GaussianDropout, _LAYERS.GaussianNoise, _LAYERS.AlphaDropout)):
        inputs = (signals[0],)
        known = facts.Move("masked", axes=tuple((axis,) for axis in range(len(signals[0].shape))))
    elif isinstance(layer, KNOWN):
        none: tuple[Mode, int] = ("", 1)
        mode, gates = next((found for kind, found in _RECURRENT.items() if isinstance(layer, kind)), none)
        cells = [(slot, own(name, cell)) for name, slot in _SLOTS.items()]
        inputs = (*signals, *(value for _, values in cells for value in values))
        slots = [slot for slot, values in cells for _ in values]
        window = "k" * (len(cell.kernel.shape) - 2)
        letters: dict[Slot, str] = {"recurrent_input": window + "io", "recurrent_hidden": window + "io"}
        if any(slot == "recurrent_bias_input" and value.array.rank > 1 for slot, found in cells for value in found):
            letters["recurrent_bias_input"] = "eo"  # one for each of the two products
        known = facts.Recurrent(mode or _mode(cell), gates, (*[None] * len(signals), *slots), letters)
    outputs = tuple(values_in(equation.outputs))
    return Step(equation.name, scope, (equation,), inputs, outputs, known)


def _mode(cell: Any) -> Mode:
    return "rnn_relu" if cell.activation is keras.activations.relu else "rnn_tanh"


# ---------------------------------------------------------------------- single operations
def fact_of(step: Step) -> facts.Fact:
    """What a step does to the values among its inputs."""
    equation = step.equations[0]
    name, operation = equation.name, equation.params.get("operation")
    if step.fact is not None:
        return step.fact
    if name in _ELEMENTWISE:
        return elementwise(equation, _tree(equation), _COMBINES, _CASTS)
    if name in ("Matmul", "Dot", "Einsum", "Tensordot"):
        return _contraction(equation, biased=len(step.equations) > 1)
    if name in ("Conv", "DepthwiseConv", "ConvTranspose"):
        return _convolution(equation)
    if name in ("Softmax", "LogSoftmax"):
        axis = equation.params.get("axis", getattr(operation, "axis", -1))
        return facts.Softmax(axis % len(step.outputs[0].shape), name == "LogSoftmax")
    if name == "Take":
        return _take(equation)
    return _move(equation) or _FACTS.get(name, facts.Opaque())


def _ordered(equation: Equation, rank: int) -> Array:
    """An array whose sizes tell where its axes were, from 1."""
    sizes, operation = np.empty(range(1, rank + 1), np.int8), equation.params["operation"]
    if equation.name == "Transpose":
        return np.transpose(sizes, operation.axes)
    if equation.name == "Swapaxes":
        return np.swapaxes(sizes, operation.axis1, operation.axis2)
    return np.moveaxis(sizes, operation.source, operation.destination)


def _move(equation: Equation) -> facts.Fact | None:
    name, output = equation.name, equation.outputs[0]
    given = next(values_in(equation.inputs), output)
    rank = len(given.shape)
    if name in ("Transpose", "Swapaxes", "Moveaxis"):
        return facts.Move("same", axes=tuple((size - 1,) for size in _ordered(equation, rank).shape))
    if name == "BroadcastTo":
        lead = len(output.shape) - rank
        pairs = ((axis - lead, size) for axis, size in enumerate(output.shape))
        axes = tuple((axis,) if axis >= 0 and given.shape[axis] == size else () for axis, size in pairs)
        return facts.Move("same" if given.shape == output.shape else "repeated", axes=axes)
    if name in ("Split", "Unstack"):
        return facts.Split(axis=equation.params["operation"].axis % rank)
    if name == "GetItem" and (cut := _cut(equation.params["node"].args[1], given.shape)) is not None:
        return cut
    if name in ("GetItem", "Slice", "Pad", "Flip", "Roll") and len(output.shape) == rank:
        return facts.Move(
            {"Pad": "padded", "Flip": "reordered", "Roll": "reordered"}.get(name, "part"),  # type: ignore[arg-type]
            axes=tuple((axis,) for axis in range(rank)),
        )
    return facts.Move("part") if name == "GetItem" else None


def _cut(key: Any, shape: tuple[int, ...]) -> facts.Move | None:
    """Entries and ranges by numbers; None for anything else."""
    keys = [*key] if isinstance(key, tuple) else [key]
    if (dots := [place for place, one in enumerate(keys) if one is Ellipsis]) and len(dots) == 1:
        keys[dots[0] : dots[0] + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    keys += [slice(None)] * (len(shape) - len(keys))
    plain = all(type(one) is int or (isinstance(one, slice) and one.step in (None, 1)) for one in keys)
    if not plain or len(keys) != len(shape):
        return None
    ranges = [one if isinstance(one, slice) else slice(one, None) for one in keys]
    starts = tuple(one.indices(size)[0] for one, size in zip(ranges, shape, strict=True))
    kept = tuple((axis,) for axis, one in enumerate(keys) if isinstance(one, slice))
    return facts.Move("part", axes=kept, start=starts)


# ---------------------------------------------------------------------- elementwise
def _tree(equation: Equation) -> Function:
    nodes, output = nodes_of(equation.inputs), equation.outputs[0]
    if equation.name in _CASTS:
        return call("cast", nodes[0], to="boolean" if output.dtype == "bool" else output.array.numbers)
    if equation.name in _NAMED:
        found = _NAMED[equation.name](nodes[0], equation.params["operation"])
        return found if isinstance(found, Function) else Number(found)
    known = _FUNCTIONS.get(equation.name)
    return computed(equation) if known is None else call(known, *nodes)


def computed(equation: Equation) -> Function:
    """What an operation gives, asked of itself."""

    def ask(given: Sequence[Any]) -> Any:
        kinds = [operand.dtype if isinstance(operand, Value) else None for operand in equation.inputs]
        arrays = [keras.ops.convert_to_tensor(np.asarray(x), dtype=kind) for x, kind in zip(given, kinds, strict=True)]
        return host(equation.compute(arrays)[0])

    operation = equation.params.get("operation")
    plain = (bool, int, float, str, tuple, list, type(None))
    options = sorted(
        (k, str(v)) for k, v in vars(operation or equation).items() if k[0] != "_" and k != "name" and type(v) in plain
    )
    return Call(f"{equation.name} {options}", tuple(nodes_of(equation.inputs)), (), ask)


# ---------------------------------------------------------------------- products and tables
def _contraction(equation: Equation, *, biased: bool) -> facts.Fact:
    operation: Any = equation.params.get("operation")
    sizes = [len(operand.shape) for operand in equation.inputs[:2]]
    bias = 2 if biased else None
    if equation.name == "Einsum":
        labels = _spelled(operation.subscripts, sizes)
        return facts.Opaque() if labels is None or len(equation.inputs) != 2 else facts.Contraction(*labels, bias=bias)
    if equation.name == "Tensordot":
        return _tensordot(operation.axes, sizes)
    if (equation.name == "Dot" and min(sizes) < 2) or (equation.name == "Dot" and sizes[1] > 2):
        return facts.Opaque()
    return facts.Contraction(*facts.letters(*sizes), bias=bias)


def _tensordot(axes: Any, sizes: list[int]) -> facts.Contraction:
    one, other = ascii_letters[: sizes[0]], list(ascii_letters[sizes[0] : sum(sizes)])
    pairs = (range(sizes[0] - axes, sizes[0]), range(axes)) if isinstance(axes, int) else axes
    pairs = [[each] if isinstance(each, int) else [*each] for each in pairs]
    for left, right in zip(*pairs, strict=True):
        other[right] = one[left]
    second = "".join(other)
    output = "".join(letter for letter in one + second if (letter in one) != (letter in second))
    return facts.Contraction((one, second), output)


def _spelled(subscripts: str, sizes: list[int]) -> tuple[tuple[str, ...], str] | None:
    """Labels of an einsum, with letters for its dots."""
    labels, arrow, output = subscripts.replace(" ", "").partition("->")
    parts = labels.split(",")
    if not arrow or len(parts) != len(sizes) or "0" in subscripts:
        return None
    free = [letter for letter in ascii_letters if letter not in subscripts]
    dots = [size - len(part.replace("...", "")) for part, size in zip(parts, sizes, strict=True)]
    most = max((count for part, count in zip(parts, dots, strict=True) if "..." in part), default=0)
    filled = [part.replace("...", "".join(free[most - n : most])) for part, n in zip(parts, dots, strict=True)]
    return tuple(filled), output.replace("...", "".join(free[:most]))


def _convolution(equation: Equation) -> facts.Convolution:
    operation, (given, kernel) = equation.params["operation"], equation.inputs[:2]
    window, rank = len(kernel.shape) - 2, len(given.shape)
    axis = 1 if operation.data_format == "channels_first" else rank - 1
    stride = equation.params.get("strides", operation.strides)
    stride = (stride,) * window if isinstance(stride, int) else tuple(stride)
    if equation.name == "ConvTranspose":
        return facts.Convolution("k" * window + "oi", axis, stride, 1, transposed=True)
    channels = given.shape[axis]
    if equation.name == "DepthwiseConv":
        ends = "io" if channels == 1 else "oi" if kernel.shape[-1] == 1 else "oo"
        return facts.Convolution("k" * window + ends, axis, stride, channels)
    return facts.Convolution("k" * window + "io", axis, stride, channels // max(kernel.shape[-2], 1))


def _take(equation: Equation) -> facts.Fact:
    """Whole slices along one axis, or any other entries."""
    table, axis = equation.inputs[0], equation.params["operation"].axis
    index = equation.inputs[1] if len(equation.inputs) > 1 else None
    if axis is None or not isinstance(index, Value) or not isinstance(table, Value):
        return facts.Move("picked")
    return facts.Gather((axis % len(table.shape),), rank=max(len(index.shape), 2), layer=True)
