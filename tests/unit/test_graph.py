"""What a weight feeds, on graphs written by hand: no framework needed."""

import numpy as np

from wellbegun.graph import ModelGraph, Operation, Parameter, Use, meetings, roles_of
from wellbegun.layout import Layout


def graph(*steps: tuple, outputs: tuple[int, ...], parameters: dict[str, tuple[int, ...]]) -> ModelGraph:
    """steps: (kind, inputs, outputs, uses, root, function)"""
    operations = []
    for index, step in enumerate(steps):
        kind, inputs, outs, uses, root, function = (*step, *(None,) * (6 - len(step)))
        operations.append(Operation(index, kind, kind, "", inputs, outs, uses or (), root, function))
    named = {name: Parameter(name, shape, "float32") for name, shape in parameters.items()}
    return ModelGraph(tuple(operations), named, outputs)


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
