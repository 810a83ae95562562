"""What a weight feeds, on graphs written by hand: no framework needed."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellbegun.errors import ArgumentError
from wellbegun.graph import (
    Analysis,
    ModelGraph,
    Operation,
    Parameter,
    Reparametrization,
    Use,
    branches_of,
    bundles_of,
    meetings,
    roles_of,
)
from wellbegun.graph.function import Call, Root, asked
from wellbegun.graph.residual import apart
from wellbegun.graph.walk import ancestors
from wellbegun.layout import Layout


def graph(*steps: tuple, outputs: tuple[int, ...], parameters: dict[str, tuple[int, ...]]) -> Analysis:
    """steps: (kind, inputs, outputs, uses, root, function)"""
    operations = []
    for index, step in enumerate(steps):
        kind, inputs, outs, uses, root, function = (*step, *(None,) * (6 - len(step)))
        tree = None if function is None else asked(function)
        operations.append(Operation(index, kind, kind, "", inputs, outs, uses or (), root, tree))
    named = {name: Parameter(name, shape, "float32") for name, shape in parameters.items()}
    return Analysis(tuple(operations), named, outputs)


def weight(name: str) -> tuple[Use, ...]:
    return (Use(name, "weight", Layout("oi")),)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_passes_through_norms_and_pools_to_the_activation() -> None:
    found = graph(
        ("linear", (0,), (1,), weight("a")),
        ("norm", (1,), (2,)),
        ("pointwise", (2,), (3,), (), 2, relu),
        ("pool", (3,), (4,)),
        ("linear", (4,), (5,), weight("b")),
        outputs=(5,),
        parameters={"a": (3, 3), "b": (2, 3)},
    )
    roles = roles_of(found)
    assert (roles["a"].role, roles["a"].met.what, roles["a"].met.name) == ("hidden", "activation", "relu")
    assert (roles["b"].role, roles["b"].met.what) == ("readout", "output")


def test_affine_steps_are_no_nonlinearity() -> None:
    found = graph(
        ("linear", (0,), (1,), weight("a")),
        ("pointwise", (1,), (2,), (), 1, lambda x: 0.5 * x + 3),
        ("linear", (2,), (3,), weight("b")),
        outputs=(3,),
        parameters={"a": (3, 3), "b": (2, 3)},
    )
    assert [m.what for m in meetings(found, 1)] == ["linear"]


def test_a_pair_of_steps_is_one_function() -> None:
    """x * sigmoid(x) written out: two operations, one activation, recognized by its values."""
    found = graph(
        ("linear", (0,), (1,), weight("a")),
        ("pointwise", (1,), (2,), (), 1, lambda x: 1 / (1 + np.exp(-x))),
        ("pointwise", (1, 2), (3,), (), 1, lambda x: x / (1 + np.exp(-x))),
        ("linear", (3,), (4,), weight("b")),
        outputs=(4,),
        parameters={"a": (3, 3), "b": (2, 3)},
    )
    assert [(m.what, m.name) for m in meetings(found, 1)] == [("activation", "silu")]


def test_branches_sums_and_gates() -> None:
    found = graph(
        ("linear", (0,), (1,), weight("branch")),
        ("add", (0, 1), (2,)),
        ("linear", (2,), (3,), weight("gate")),
        ("linear", (2,), (4,), weight("up")),
        ("pointwise", (3,), (5,), (), 3, relu),
        ("gate", (5, 4), (6,)),
        ("linear", (6,), (7,), weight("down")),
        outputs=(7,),
        parameters=dict.fromkeys(("branch", "gate", "up", "down"), (3, 3)),
    )
    roles = roles_of(found)
    assert roles["branch"].role == "residual_out"
    assert roles["gate"].met.name == "relu"
    assert roles["up"].met.what == "gate"
    assert roles["down"].role == "readout"


def test_statistics_inside_a_norm_do_not_count() -> None:
    found = graph(
        ("linear", (0,), (1,), weight("a")),
        ("pointwise", (1,), (2,), (), 1, np.square),
        ("statistic", (2,), (3,)),
        ("norm", (1, 3), (4,)),
        ("pointwise", (4,), (5,), (), 4, np.tanh),
        ("linear", (5,), (6,), weight("b")),
        outputs=(6,),
        parameters={"a": (3, 3), "b": (3, 3)},
    )
    assert [m.name for m in meetings(found, 1)] == ["tanh"]


def test_opaque_operations_are_met_not_passed() -> None:
    found = graph(
        ("linear", (0,), (1,), weight("a")),
        ("opaque", (1,), (2,)),
        ("pointwise", (2,), (3,), (), 2, relu),
        outputs=(3,),
        parameters={"a": (3, 3), "lost": (4,)},
    )
    roles = roles_of(found)
    assert roles["a"].met.what == "opaque"
    assert roles["lost"].role == "unused"


def test_tables_positions_and_shared_readouts() -> None:
    table = Use("e", "table", Layout("lo"), zero_rows=(0,))
    found = graph(
        ("lookup", (0,), (1,), (table,)),
        ("shift", (1,), (2,), (Use("pos", "shift"),)),
        ("shift", (2,), (3,), (Use("b", "shift"),)),
        ("linear", (3,), (4,), weight("e")),
        outputs=(4,),
        parameters={"e": (9, 4), "pos": (1, 5, 4), "b": (4,)},
    )
    roles = roles_of(found)
    assert (roles["e"].role, roles["e"].shared_readout, roles["e"].zero_rows) == ("embedding", True, (0,))
    assert (roles["pos"].role, roles["b"].role) == ("positional", "bias")


def transformer(*, cross: bool = False) -> Analysis:
    """Attention and a perceptron on a stream; with `cross`, a second stream that attends to the first."""
    steps: list[tuple] = []
    parameters: dict[str, tuple[int, ...]] = {}

    def linear(name: str, value: int, out: int = 4) -> int:
        parameters[name] = (out, 4)
        steps.append(("linear", (value,), (len(steps) + 2,), weight(name)))
        return len(steps) + 1

    def step(kind: str, *values: int, function=None) -> int:
        steps.append((kind, values, (len(steps) + 2,), (), values[0] if function else None, function))
        return len(steps) + 1

    def attend(name: str, x: int, memory: int) -> int:
        q, k, v = (linear(f"{name}.{part}", value) for part, value in (("q", x), ("k", memory), ("v", memory)))
        return step("add", x, linear(f"{name}.o", step("attention", q, k, v)))

    def feed(name: str, x: int) -> int:
        hidden = step("pointwise", linear(f"{name}.in", x), function=relu)
        return step("add", x, linear(f"{name}.out", hidden))

    x = 0
    for block in range(2):
        x = feed(f"enc{block}", attend(f"enc{block}", x, x))
    outputs: tuple[int, ...] = (x,)
    if cross:
        y, memory = 1, x
        for block in range(3):
            y = feed(f"dec{block}", attend(f"dec{block}.cross", attend(f"dec{block}", y, y), memory))
        outputs = (y,)
    return graph(*steps, outputs=outputs, parameters=parameters)


def test_blocks_of_a_stack_are_counted_by_self_attention() -> None:
    roles = roles_of(transformer())
    stack = roles["enc1.q"].stack
    assert stack is not None
    assert (stack.kind, stack.layers, stack.other, stack.width) == ("alone", 2, 0, 4)
    assert [roles[f"enc{i}.{part}"].block for i in range(2) for part in ("q", "o", "in", "out")] == [0] * 4 + [1] * 4
    assert [roles[name].depth for name in ("enc0.q", "enc0.o", "enc0.in", "enc0.out", "enc1.q")] == [0, 1, 2, 3, 4]
    assert roles["enc0.out"].fed_by == asked(relu)
    assert roles["enc0.in"].fed_by is None


def test_a_stack_that_attends_to_another_is_its_decoder() -> None:
    roles = roles_of(transformer(cross=True))
    encoder, decoder = roles["enc0.q"].stack, roles["dec0.q"].stack
    assert encoder is not None
    assert decoder is not None
    assert (encoder.kind, encoder.layers, encoder.other) == ("encoder", 2, 3)
    assert (decoder.kind, decoder.layers, decoder.other) == ("decoder", 3, 2)
    for part in ("q", "k", "v", "o"):  # keys and values of the encoder's output belong to the decoder
        role = roles[f"dec1.cross.{part}"]
        assert (role.stack, role.block, role.branch.index) == (decoder, 1, 4), part
    assert roles["enc1.out"].stack == encoder  # though only cross-attention reads it
    assert (roles["dec2.out"].branch.count, roles["dec2.out"].block) == (9, 2)


def computed(function: Callable[[np.ndarray], np.ndarray], name: str = "one_plus") -> Reparametrization:
    return Reparametrization(Call("a function", (Root(name, (3,)),), (), lambda given: function(given[0])), (3,))


def test_biases_know_their_weight_and_scales_their_norm() -> None:
    names = ("a.bias", "later", "gamma", "plain", "one_plus", "soft", "never")
    found = graph(
        ("linear", (0,), (1,), (*weight("a"), Use("a.bias", "bias"))),
        ("move", (1,), (2,)),
        ("shift", (2,), (3,), (Use("later", "shift"),)),
        ("norm", (3,), (4,)),
        ("scale", (4,), (5,), (Use("gamma", "scale"),)),
        ("scale", (5,), (6,), (Use("plain", "scale"),)),
        ("norm", (6,), (7,)),
        ("scale", (7,), (8,), (Use("one_plus", "scale", exact=False, computed=computed(lambda w: 1 + w)),)),
        ("norm", (8,), (9,)),
        (
            "scale",
            (9,),
            (10,),
            (Use("soft", "scale", exact=False, computed=computed(lambda w: np.log1p(np.exp(w)), "soft")),),
        ),
        ("norm", (10,), (11,)),
        ("scale", (11,), (12,), (Use("never", "scale", exact=False, computed=computed(lambda w: 0 * w, "never")),)),
        ("linear", (12,), (13,), weight("b")),
        outputs=(13,),
        parameters={"a": (3, 3), "b": (2, 3), **dict.fromkeys(names, (3,))},
    )
    roles = roles_of(found)
    assert [roles[name].beside.parameter.name for name in ("a.bias", "later")] == ["a", "a"]
    assert [roles[name].role for name in names[2:]] == ["norm_scale", "multiplier", *["norm_scale"] * 2, "multiplier"]
    assert [roles[name].unit for name in ("gamma", "one_plus")] == [1, 0]
    assert [roles[name].silent for name in ("gamma", "one_plus")] == [0, -1]
    assert roles["soft"].unit == pytest.approx(np.log(np.e - 1))
    assert roles["a"].net.readouts == (("b", 2),)


def test_a_stream_times_a_constant_is_still_residual() -> None:
    for order in ((4, 3), (3, 4)):  # alpha x + f(x), f(x) + alpha x
        found = graph(
            ("linear", (0,), (1,), weight("a")),
            ("pointwise", (1,), (2,), (), 1, relu),
            ("linear", (2,), (3,), weight("b")),
            ("pointwise", (0,), (4,), (), 0, lambda x: 1.5 * x),
            ("add", order, (5,)),
            outputs=(5,),
            parameters={"a": (3, 3), "b": (3, 3)},
        )
        roles = roles_of(found)
        assert (roles["b"].role, roles["b"].branch.layers) == ("residual_out", 2), order
        assert roles["a"].branch is roles["b"].branch


def test_constants_in_a_row_are_one() -> None:
    """2 (1.5 x) + f(1.5 x): the second product is known as a function of x."""
    found = graph(
        ("linear", (0,), (1,), weight("stem")),
        ("pointwise", (1,), (2,), (), 1, lambda x: 1.5 * x),
        ("linear", (2,), (3,), weight("a")),
        ("pointwise", (3,), (4,), (), 3, relu),
        ("linear", (4,), (5,), weight("b")),
        ("pointwise", (2,), (6,), (), 1, lambda x: 3.0 * x),
        ("add", (6, 5), (7,)),
        outputs=(7,),
        parameters={"stem": (3, 3), "a": (3, 3), "b": (3, 3)},
    )
    assert (found.plain(6), found.plain(2)) == (1, 1)
    assert roles_of(found)["b"].role == "residual_out"


@pytest.mark.parametrize("normed", [True, False])
def test_a_learned_factor_on_a_stream_leaves_it_one_where_a_norm_follows(normed: bool) -> None:
    """w x + f(x), as Admin has it; without the norm it may be an output and a skip of another kind."""
    for order in ((4, 3), (3, 4)):
        found = graph(
            ("linear", (0,), (1,), weight("a")),
            ("pointwise", (1,), (2,), (), 1, relu),
            ("linear", (2,), (3,), weight("b")),
            ("scale", (0,), (4,), (Use("w", "scale"),)),
            ("add", order, (5,)),
            ("norm", (5,), (6,)) if normed else ("pointwise", (5,), (6,), (), 5, relu),
            outputs=(6,),
            parameters={"a": (3, 3), "b": (3, 3), "w": (3,)},
        )
        roles = roles_of(found)
        assert (roles["b"].role == "residual_out", roles["a"].branch is not None) == (normed, normed), order


def stream(*, after: tuple = ("pointwise", (5,), (6,), (), 5, relu), width: int = 4) -> Analysis:
    """relu(stem(x)), then relu(h + b(relu(a(h)))), then a readout."""
    return graph(
        ("linear", (0,), (1,), weight("stem")),
        ("pointwise", (1,), (2,), (), 1, relu),
        ("linear", (2,), (3,), weight("a")),
        ("pointwise", (3,), (7,), (), 3, relu),
        ("linear", (7,), (4,), weight("b")),
        ("add", (2, 4), (5,)),
        after,
        ("mean", (6,), (8,)),
        ("linear", (8,), (9,), weight("out")),
        outputs=(9,),
        parameters={"stem": (width, 3), "a": (6, width), "b": (width, 6), "out": (2, width)},
    )


def test_a_stream_in_pairs_has_writers_and_readers() -> None:
    found = stream()
    (bundle,) = bundles_of(found, branches_of(found))
    assert set(bundle.sources) == {"stem", "b"}
    assert set(bundle.readers) == {"a", "out"}
    assert bundle.averaged == {"out"}
    assert not bundle.bends  # no function stands between two sums
    for other in (
        stream(width=5),  # an odd width has no pairs
        stream(after=("norm", (5,), (6,))),
        stream(after=("softmax", (5,), (6,))),
    ):
        assert not bundles_of(other, branches_of(other))


@st.composite
def nets(draw: st.DrawFn) -> tuple[ModelGraph, int, int]:
    """Operations on any earlier values, some with two outputs, and two values."""
    steps, values = [], [0, 1]
    for _ in range(draw(st.integers(1, 14))):
        inputs = tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)))
        made = tuple(range(len(values), len(values) + draw(st.integers(1, 2))))
        steps.append((draw(st.sampled_from(["gate", "linear"])), inputs, made))
        values += made
    first, second = draw(st.lists(st.sampled_from(values), min_size=2, max_size=2, unique=True))
    return graph(*steps, outputs=(values[-1],), parameters={}), first, second


@given(nets())
def test_what_two_values_do_not_share(net: tuple[ModelGraph, int, int]) -> None:
    found, first, second = net
    above = [ancestors(found, [first]), ancestors(found, [second])]
    made = {value: operation.index for value, operation in found.producers.items()}
    latest = max((made.get(value, -1) for value in above[0] & above[1]), default=None)
    expected = None
    if latest is not None:
        expected = tuple({made[v] for v in side if made.get(v, -1) > latest} for side in above)
    sides = apart(found, first, second)
    assert (sides and sides[1:]) == expected
    assert sides is None or (made.get(sides[0], -1) == latest and sides[0] in above[0] & above[1])


def test_unknown_kinds_and_slots_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"Operation: kind must be one of add, .*; got 'dense'"):
        Operation(0, "dense", "dense", "", (), ())
    with pytest.raises(ArgumentError, match=r"Use: slot must be one of bias, .*; got 'kernel'"):
        Use("a", "kernel")


def test_facts_are_found_once_and_a_graph_keeps_nothing() -> None:
    plain = transformer()
    bare = ModelGraph(plain.operations, plain.parameters, plain.outputs)
    before, analysis = set(vars(bare)), Analysis.of(bare)
    roles, asked_for = roles_of(analysis), []
    assert roles_of(analysis) == roles_of(bare) == roles
    assert analysis.once(lambda found: asked_for.append(found) or 3) == 3

    def count(found: Analysis) -> int:
        asked_for.append(found)
        return len(found.operations)

    assert analysis.once(count) == analysis.once(count) == len(bare.operations)
    assert asked_for == [analysis, analysis]  # once for each fact
    assert Analysis.of(analysis) is analysis
    assert set(vars(bare)) == before
