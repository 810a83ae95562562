"""The builder, fed by hand as a front end that reads equations would feed it: no framework needed."""

import numpy as np
import pytest

from wellbegun.graph import ModelGraph, Parameter, roles_of
from wellbegun.graph.build import Builder
from wellbegun.graph.facts import (
    Array,
    Contraction,
    Convolution,
    Elementwise,
    Fact,
    Gather,
    Move,
    Opaque,
    Reduce,
    Softmax,
)
from wellbegun.graph.function import Function, Root, call
from wellbegun.graph.provenance import Fixed, Known, Operand
from wellbegun.layout import Layout
from wellbegun.planning import make_plan

ONE, TWO, THREE = Root("0"), Root("1"), Root("2")


class Box:
    """A variable of the equations."""

    def __init__(self, known: Known, shape: tuple[int, ...], numbers: str = "real") -> None:
        self.known, self.array = known, Array(shape, numbers)


class Equations:
    """A little language of equations, as a jaxpr is one."""

    def __init__(self, parameters: dict[str, tuple[int, ...]]) -> None:
        named = {name: Parameter(name, shape, "float32") for name, shape in parameters.items()}
        self.builder = Builder(named, channels_last=True)
        self.weights = {
            name: Box(self.builder.parameter(name, Array(shape)), shape) for name, shape in parameters.items()
        }

    def batch(self, *shape: int, numbers: str = "real") -> Box:
        return Box(self.builder.batch(Array(shape, numbers)), shape, numbers)

    def do(self, fact: Fact, *operands: Box, shape: tuple[int, ...], name: str = "", numbers: str = "real") -> Box:
        given = [Operand(box.known, box.array) for box in operands]
        record = self.builder.record(fact, given, [Array(shape, numbers)], name=name)
        return Box(record.known[0], shape, numbers)

    def apply(self, function: Function, *operands: Box, combines: str = "", arithmetic: str = "") -> Box:
        shape = max((box.array.shape for box in operands), key=lambda shape: (len(shape), np.prod(shape)))
        return self.do(Elementwise(function, combines, arithmetic), *operands, shape=shape)

    def add(self, one: Box, two: Box) -> Box:
        return self.apply(call("add", ONE, TWO), one, two, combines="sum", arithmetic="sum")

    def multiply(self, one: Box, two: Box) -> Box:
        return self.apply(call("multiply", ONE, TWO), one, two, combines="product", arithmetic="product")

    def dot(self, one: Box, two: Box, labels: tuple[str, str], output: str) -> Box:
        sizes = dict(zip("".join(labels), (*one.array.shape, *two.array.shape), strict=True))
        return self.do(Contraction(labels, output), one, two, shape=tuple(sizes[letter] for letter in output))

    def dense(self, x: Box, name: str) -> Box:
        letters = "abcd"[: x.array.rank - 1]
        found = self.dot(x, self.weights[f"{name}.kernel"], (f"{letters}i", "io"), f"{letters}o")
        bias = self.weights.get(f"{name}.bias")
        return found if bias is None else self.add(found, self.row(bias, found))

    def row(self, box: Box, like: Box) -> Box:
        """broadcast_in_dim of a vector to the last axis."""
        axes = (*((),) * (like.array.rank - 1), (0,))
        return self.do(Move("repeated", axes=axes), box, shape=like.array.shape)

    def mean(self, x: Box) -> Box:
        """reduce_sum, a division by a number, and broadcast_in_dim."""
        total = self.do(Reduce("sum"), x, shape=x.array.shape[:-1])
        found = self.apply(call("divide", ONE, float(x.array.shape[-1])), total)
        axes = (*((axis,) for axis in range(x.array.rank - 1)), ())
        return self.do(Move("repeated", axes=axes), found, shape=(*x.array.shape[:-1], 1))

    def norm(self, x: Box, name: str) -> Box:
        """As Flax has it: the fast variance, and the scale multiplied onto the inverse standard deviation."""
        squares, mean = self.mean(self.apply(call("square", ONE), x)), self.mean(x)
        variance = self.apply(
            call("subtract", ONE, TWO), squares, self.apply(call("square", ONE), mean), combines="sum"
        )
        bounded = self.apply(call("maximum", ONE, 0.0), variance, combines="bound")
        inverse = self.apply(call("rsqrt", call("add", ONE, 1e-6)), bounded)
        scale = self.multiply(inverse, self.row(self.weights[f"{name}.scale"], x))
        centred = self.apply(call("subtract", ONE, TWO), x, mean, combines="sum", arithmetic="difference")
        return self.add(self.multiply(centred, scale), self.row(self.weights[f"{name}.bias"], x))

    def graph(self, *outputs: Box) -> ModelGraph:
        return self.builder.graph([box.known for box in outputs])


def dense(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.kernel": (inputs, outputs), f"{name}.bias": (outputs,)}


def test_an_inline_activation_is_one_function_of_one_value() -> None:
    at = Equations({**dense("a", 8, 16), **dense("b", 16, 4)})
    hidden = at.dense(at.batch(5, 8), "a")
    gate = at.apply(call("sigmoid", ONE), hidden)
    graph = at.graph(at.dense(at.multiply(hidden, gate), "b"))
    roles = roles_of(graph)
    assert [roles[name].role for name in ("a.kernel", "a.bias", "b.kernel")] == ["hidden", "bias", "readout"]
    assert roles["a.kernel"].met.name == "silu"
    assert roles["a.kernel"].layout == Layout("io")
    assert roles["a.bias"].beside.parameter.name == "a.kernel"
    assert {entry.action for entry in make_plan(graph, recipe="auto", seed=0).entries} == {"fill"}
    steps = [operation for operation in graph.operations if operation.kind == "pointwise"]
    assert [step.root for step in steps] == [graph.operations[1].outputs[0]] * 2


def test_layers_with_the_same_activation_share_its_function() -> None:
    at = Equations({**dense("a", 8, 8), **dense("b", 8, 8), **dense("c", 8, 2)})
    x = at.batch(5, 8)
    for name in ("a", "b"):
        x = at.apply(call("tanh", ONE), at.dense(x, name))
    first, second = (o.function for o in at.graph(at.dense(x, "c")).operations if o.kind == "pointwise")
    assert first is second
    assert first == call("tanh", Root("x"))
    assert first.domain == (-1.0, 1.0)


def test_a_norm_in_parts_with_its_scale_on_the_deviation() -> None:
    names = {"n.scale": (8,), "n.bias": (8,), **dense("a", 8, 8), **dense("b", 8, 2)}
    at = Equations(names)
    hidden = at.norm(at.dense(at.batch(4, 6, 8), "a"), "n")
    graph = at.graph(at.dense(at.apply(call("maximum", ONE, 0.0), hidden), "b"))
    roles = roles_of(graph)
    assert [roles[name].role for name in ("n.scale", "n.bias", "a.kernel")] == ["norm_scale", "bias", "hidden"]
    assert roles["a.kernel"].met.name == "relu"
    assert [operation.kind for operation in graph.operations].count("norm") == 2
    assert not any(operation.kind == "scale" for operation in graph.operations)


def test_heads_of_an_attention_in_parts() -> None:
    """Kernels (d, heads, width), logits by a contraction, one softmax: as Flax and einsum spell it."""
    d, heads, width = 8, 2, 4
    names = {**{f"{part}.kernel": (d, heads, width) for part in "qkv"}, "o.kernel": (heads, width, d)}
    at = Equations({**names, **dense("head", d, 3)})
    x = at.batch(5, 6, d)
    q, k, v = (at.dot(x, at.weights[f"{part}.kernel"], ("btd", "dhw"), "bthw") for part in "qkv")
    logits = at.do(Contraction(("bqhw", "bkhw"), "bhqk"), q, k, shape=(5, heads, 6, 6))
    scaled = at.apply(call("multiply", ONE, width**-0.5), logits)
    weights = at.do(Softmax(3), scaled, shape=(5, heads, 6, 6))
    mixed = at.do(Contraction(("bhqk", "bkhw"), "bqhw"), weights, v, shape=(5, 6, heads, width))
    out = at.dot(mixed, at.weights["o.kernel"], ("bqhw", "hwd"), "bqd")
    graph = at.graph(at.dense(at.add(x, out), "head"))
    roles = roles_of(graph)
    assert [roles[f"{part}.kernel"].role for part in "qkvo"] == ["query", "key", "value", "attention_out"]
    assert [roles[f"{part}.kernel"].layout.axes for part in "qo"] == ["ioo", "iio"]
    assert roles["q.kernel"].head_width == width
    assert roles["o.kernel"].ends_branch
    softmax = next(operation for operation in graph.operations if operation.kind == "softmax")
    assert softmax.axis == 3


def test_convolutions_with_channels_last_and_tables() -> None:
    at = Equations({"c.kernel": (3, 3, 4, 16), "d.kernel": (3, 3, 16, 8), "t.embedding": (30, 8)})
    x = at.batch(2, 9, 9, 4)
    x = at.do(Convolution("kkio", 3), x, at.weights["c.kernel"], shape=(2, 9, 9, 16))
    x = at.do(
        Convolution("kkio", 3), at.apply(call("maximum", ONE, 0.0), x), at.weights["d.kernel"], shape=(2, 9, 9, 8)
    )
    tokens = at.batch(2, 9, 9, numbers="integer")
    rows = at.do(Gather((0,), 3, layer=True), at.weights["t.embedding"], tokens, shape=(2, 9, 9, 8))
    graph = at.graph(at.add(x, rows))
    roles = roles_of(graph)
    assert roles["c.kernel"].layout.axes == "kkio"
    assert (roles["t.embedding"].role, roles["t.embedding"].layout.axes) == ("embedding", "lo")
    assert [operation.axis for operation in graph.operations] == [3, 3, 3, 3, 3]


def test_reshapes_without_strides_keep_the_axes_of_parameters() -> None:
    """A kernel (d, heads * width) is reshaped and transposed before it is used."""
    at = Equations({"w": (8, 6)})
    split = at.do(Move("same", view=True, reshapes=True), at.weights["w"], shape=(8, 2, 3))
    turned = at.do(Move("same", axes=((1,), (2,), (0,))), split, shape=(2, 3, 8))
    flat = at.do(Move("same", view=True, reshapes=True), turned, shape=(6, 8))
    x = at.dot(at.batch(4, 8), flat, ("bi", "oi"), "bo")
    assert roles_of(at.graph(x))["w"].layout == Layout("io")


def test_weights_computed_from_parameters() -> None:
    at = Equations({"a": (8, 3), "b": (3, 8), "g": (8, 8)})
    product = at.do(Contraction(("ik", "ko"), "io"), at.weights["a"], at.weights["b"], shape=(8, 8))
    x = at.dot(at.batch(4, 8), product, ("bi", "io"), "bo")  # how it is computed was not told
    scaled = at.apply(call("multiply", ONE, 2.0), at.weights["g"])
    graph = at.graph(at.dot(x, scaled, ("bi", "io"), "bo"))
    uses = {use.parameter: use for _, use in graph.uses()}
    assert (uses["a"].slot, uses["a"].computed) == ("derived", None)
    part = uses["g"].computed.parts["g"]
    assert (part.what, part.size) == ("weight", pytest.approx(2))


def test_masks_of_constants_and_unknown_operations() -> None:
    at = Equations({**dense("a", 8, 8), **dense("b", 8, 2)})
    hidden = at.dense(at.batch(4, 8), "a")
    mask, zeros = Box(Fixed(), (4, 8), "integer"), Box(Fixed(0.0), (4, 8))
    masked = at.do(Elementwise(call("where", ONE, TWO, THREE), "select", mask=0), mask, hidden, zeros, shape=(4, 8))
    lost = at.do(Opaque(), masked, shape=(4, 8), name="fft")
    graph = at.graph(at.dense(lost, "b"))
    kinds = [(operation.kind, operation.entries) for operation in graph.operations]
    assert ("move", "masked") in kinds
    assert any("'fft' is not known" in note for note in graph.notes)
    assert roles_of(graph)["a.kernel"].met.what == "opaque"
