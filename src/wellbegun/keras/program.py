"""What was written down as a list of equations, each computed by the operation itself on the arrays of the backend."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from wellbegun.backend import Equation, Operand, Program, Value, values_in
from wellbegun.graph.facts import Array, Numbers
from wellbegun.keras.symbols import Node, Recorded, Whole

_NUMBERS = (bool, int, float, np.generic)
Spec = tuple[tuple[int, ...], str]  # shape and dtype


def value_of(number: int, shape: Sequence[int], dtype: Any) -> Value:
    """A value of a program."""
    kind = keras.backend.standardize_dtype(dtype)
    numbers: Numbers = "real" if "float" in kind else "complex" if "complex" in kind else "integer"
    return Value(number, Array(tuple(shape), numbers), kind)


class Writer:
    """Writes equations, one after the other. `values`: of tensors, by id."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.constants: dict[int, Any] = {}
        self.signals: set[int] = set()
        self.values: dict[int, Value] = {}
        self._count = 0

    def value(self, shape: Sequence[int], dtype: Any) -> Value:
        """A new one."""
        self._count += 1
        return value_of(self._count, shape, dtype)

    def add(
        self,
        name: str,
        inputs: Sequence[Operand],
        given: Sequence[Spec],
        scopes: tuple[str, ...],
        compute: Callable[[Sequence[Any]], Sequence[Any]],
        **params: Any,
    ) -> tuple[Value, ...]:
        """One equation; what it gives."""
        index, made = len(self.equations), tuple(self.value(*spec) for spec in given)
        self.equations.append(Equation(index, name, tuple(inputs), made, scopes, params, index, compute))
        if any(value.number in self.signals for value in values_in(inputs)):
            self.signals.update(value.number for value in made)
        return made

    def node(self, node: Node) -> None:
        """One operation that was written down."""
        name, leaves = type(node.operation).__name__, keras.tree.flatten((node.args, node.kwargs))
        operands = [self._operand(leaf) for leaf in leaves]
        if name in _PARTS:
            called = dict(zip(_PARTS_OF[name], node.args, strict=False)) | dict(node.kwargs)
            made = _PARTS[name](self, node, {key: self._operand(one) for key, one in called.items()})
            if made is not None:
                self.values[id(node.outputs[0])] = made
                return
        read = [operand is not None for operand in operands]
        compute = partial(_run, node, leaves, read)
        given = [(tensor.shape, tensor.dtype) for tensor in node.outputs]
        inputs = [operand for operand in operands if operand is not None]
        known = node.operation.layer if isinstance(node.operation, Whole) else node.operation
        made_all = self.add(_called(known), inputs, given, node.scopes, compute, operation=node.operation, node=node)
        self.values.update((id(tensor), value) for tensor, value in zip(node.outputs, made_all, strict=True))

    def _operand(self, leaf: Any) -> Operand | None:
        """A value, a number, or None for what is no operand."""
        if isinstance(leaf, keras.KerasTensor):
            return self.values[id(leaf)]
        if isinstance(leaf, _NUMBERS):
            return leaf
        if isinstance(leaf, (np.ndarray, keras.Variable)) or keras.ops.is_tensor(leaf):
            value = self.value(leaf.shape, leaf.dtype)
            self.constants[value.number] = leaf.value if isinstance(leaf, keras.Variable) else leaf
            return value
        return None


def _run(node: Node, leaves: list[Any], read: list[bool], inputs: Sequence[Any]) -> list[Any]:
    given = iter(inputs)
    filled = [next(given) if own else leaf for leaf, own in zip(leaves, read, strict=True)]
    args, kwargs = keras.tree.pack_sequence_as((node.args, node.kwargs), filled)
    return list(keras.tree.flatten(node.operation.call(*args, **kwargs)))


def _called(operation: Any) -> str:
    return type(operation).__name__


# ---------------------------------------------------------------------- operations that are made of others
def _single(function: Callable[..., Any], *options: Any, **named: Any) -> Callable[[Sequence[Any]], Sequence[Any]]:
    return lambda inputs: [function(*inputs, *options, **named)]


def _separable(writer: Writer, node: Node, given: dict[str, Any]) -> Value | None:
    """A depthwise convolution, and one of single places."""
    operation, inputs, kernel = node.operation, given["inputs"], given["depthwise_kernel"]
    asked = {key: getattr(operation, key) for key in ("strides", "padding", "data_format", "dilation_rate")}
    shape = keras.KerasTensor(inputs.shape, dtype=inputs.dtype)
    depth = keras.ops.depthwise_conv(shape, keras.KerasTensor(kernel.shape, dtype=kernel.dtype), **asked)
    first = _single(keras.ops.depthwise_conv, **asked)
    spec = [(depth.shape, depth.dtype)]
    (middle,) = writer.add("DepthwiseConv", (inputs, kernel), spec, node.scopes, first, operation=operation)
    output, plain = node.outputs[0], {"padding": "valid", "data_format": operation.data_format}
    second = _single(keras.ops.conv, **plain)
    spec, operands = [(output.shape, output.dtype)], (middle, given["pointwise_kernel"])
    return writer.add("Conv", operands, spec, node.scopes, second, operation=operation, strides=1)[0]


def _transposed(writer: Writer, node: Node, given: dict[str, Any]) -> Value | None:
    """The same by the function: the operation of Keras 3.15 hands its settings on in the wrong order."""
    names, output = ("strides", "padding", "output_padding", "data_format", "dilation_rate"), node.outputs[0]
    compute = _single(keras.ops.conv_transpose, **{name: getattr(node.operation, name) for name in names})
    spec, operands = [(output.shape, output.dtype)], (given["inputs"], given["kernel"])
    return writer.add("ConvTranspose", operands, spec, node.scopes, compute, operation=node.operation)[0]


def _einsum(writer: Writer, node: Node, given: dict[str, Any]) -> Value | None:
    """A product of two signals as one of matrices: what is measured of attentions looks at rows and columns, wherever
    a model has its heads."""
    left, right = given.get("left"), given.get("right")
    if not isinstance(left, Value) or not isinstance(right, Value) or "." in node.operation.subscripts:
        return None
    if not {left.number, right.number} <= writer.signals or "->" not in node.operation.subscripts:
        return None
    labels, output = node.operation.subscripts.replace(" ", "").split("->")
    return product(writer, (left, right), (labels.split(",")[0], labels.split(",")[1]), output, node)


def product(writer: Writer, factors: Sequence[Value], labels: tuple[str, str], output: str, node: Node) -> Value | None:
    """A product of two signals, whose axes have these letters, as one of matrices."""
    one, other = labels
    alone = [letter for letter in output if (letter in one) != (letter in other)]
    if alone and alone[0] in other:  # rows first: queries before keys
        one, other, factors = other, one, factors[::-1]
    summed_alone = (set(one) ^ set(other)) - set(output)
    if summed_alone or any(len(set(letters)) < len(letters) for letters in (*labels, output)):
        return None
    sizes = dict(zip(one + other, factors[0].shape + factors[1].shape, strict=True))
    batch = [letter for letter in one if letter in other and letter in output]
    summed = [letter for letter in one if letter in other and letter not in output]
    rows, columns = ([x for x in own if x not in rest] for own, rest in ((one, other), (other, one)))

    def matrices(value: Value, own: str, order: list[str], shape: list[int]) -> Value:
        return _moved(writer, value, [own.index(letter) for letter in order], tuple(shape), node)

    kept, terms = [sizes[letter] for letter in batch], math.prod(sizes[letter] for letter in summed)
    high, wide = (math.prod(sizes[letter] for letter in own) for own in (rows, columns))
    left = matrices(factors[0], one, batch + rows + summed, [*kept, high, terms])
    right = matrices(factors[1], other, batch + summed + columns, [*kept, terms, wide])
    shape = (*kept, high, wide)
    (made,) = writer.add("Matmul", (left, right), [(shape, left.dtype)], node.scopes, _single(keras.ops.matmul))
    order = batch + rows + columns
    made = _moved(writer, made, [*range(len(shape))], tuple(sizes[letter] for letter in order), node)
    return _moved(
        writer, made, [order.index(letter) for letter in output], tuple(sizes[letter] for letter in output), node
    )


def _moved(writer: Writer, value: Value, order: list[int], shape: tuple[int, ...], node: Node) -> Value:
    """Axes in another order, and then in another shape."""
    if order != [*range(len(order))]:
        spec = [(tuple(value.shape[axis] for axis in order), value.dtype)]
        operation = SimpleNamespace(axes=order)
        compute = _single(keras.ops.transpose, order)
        (value,) = writer.add("Transpose", (value,), spec, node.scopes, compute, operation=operation)
    if shape != value.shape:
        compute = _single(keras.ops.reshape, shape)
        (value,) = writer.add("Reshape", (value,), [(shape, value.dtype)], node.scopes, compute)
    return value


def _attention(writer: Writer, node: Node, given: dict[str, Any]) -> Value | None:
    """Products, a softmax and products: (samples, places, heads, width) in, the same out."""
    query, key, value = given["query"], given["key"], given["value"]
    operation, heads = node.operation, query.shape[2]
    if (
        key.shape[2] != heads
        or operation.attn_logits_soft_cap is not None
        or not {query.number, key.number, value.number} <= writer.signals
    ):
        return None
    logits = product(writer, (query, key), ("bthd", "bshd"), "bhts", node)
    scale = given.get("scale")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    assert logits is not None
    spec = [(logits.shape, logits.dtype)]
    (logits,) = writer.add("Multiply", (logits, scale), spec, node.scopes, _single(keras.ops.multiply))
    masks = [mask for mask in (given.get("mask"), _causal(writer, logits) if operation.is_causal else None) if mask]
    for mask in masks:
        low = _single(_hidden)
        (logits,) = writer.add("Masked", (logits, mask), spec, node.scopes, low)
    if given.get("bias") is not None:
        (logits,) = writer.add("Add", (logits, given["bias"]), spec, node.scopes, _single(keras.ops.add))
    (shares,) = writer.add("Softmax", (logits,), spec, node.scopes, _single(keras.ops.softmax), axis=-1)
    return product(writer, (shares, value), ("bhts", "bshd"), "bthd", node)


def _causal(writer: Writer, logits: Value) -> Value:
    rows, columns = logits.shape[-2:]
    value = writer.value((1, 1, rows, columns), "bool")
    writer.constants[value.number] = keras.ops.convert_to_tensor(np.tri(rows, columns, dtype=bool)[None, None])
    return value


def _hidden(logits: Any, mask: Any) -> Any:
    """Logits where they are seen, and next to nothing elsewhere."""
    low = keras.ops.cast(
        -0.7 * float(np.finfo(np.float16 if "16" in str(logits.dtype) else np.float32).max), logits.dtype
    )
    return keras.ops.where(keras.ops.cast(mask, "bool"), logits, low)


_PARTS: dict[str, Callable[[Writer, Node, dict[str, Any]], Value | None]] = {
    "SeparableConv": _separable, "ConvTranspose": _transposed, "Einsum": _einsum, "DotProductAttention": _attention,
}  # fmt: skip
_PARTS_OF = {
    "SeparableConv": ("inputs", "depthwise_kernel", "pointwise_kernel"), "ConvTranspose": ("inputs", "kernel"),
    "Einsum": ("left", "right"),
    "DotProductAttention": ("query", "key", "value", "bias", "mask", "scale"),
}  # fmt: skip


def program_of(
    recorded: Recorded, inputs: Sequence[Any], batch: int, outputs: Sequence[Any]
) -> tuple[Program, Mapping[int, Value]]:
    """The program, and the values of tensors. `batch`: the first input that is no variable."""
    writer = Writer()
    for tensor in inputs:
        writer.values[id(tensor)] = writer.value(tensor.shape, tensor.dtype)
    given = tuple(writer.values[id(tensor)] for tensor in inputs)
    writer.signals.update(value.number for value in given[batch:])
    for node in recorded.nodes(inputs, outputs):
        writer.node(node)
    made = tuple(writer.values[id(recorded.inner(tensor))] for tensor in outputs)
    held = frozenset(e.index for e in writer.equations if e.name == "StopGradient")
    integers = (e for e in writer.equations if all(value.array.numbers == "integer" for value in values_in(e.outputs)))
    stops = held.union(e.index for e in integers)
    signals = frozenset(writer.signals)
    return Program(tuple(writer.equations), {}, given, made, writer.constants, signals, stops, held), writer.values
