"""`keras.layers.RNN` around cells of any kind is looked into, and its faults are found as those of whole layers are."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import wellbegun as wb
from wellbegun.backend import find

X = np.random.default_rng(0).standard_normal((8, 6, 5)).astype(np.float32)
LONG = np.random.default_rng(1).standard_normal((4, 21, 5)).astype(np.float32)


class Minimal(layers.Layer):
    """A cell of its own weights."""

    def __init__(self, units: int = 7) -> None:
        super().__init__()
        self.units = self.state_size = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.back = self.add_weight(shape=(self.units, self.units), name="back")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: Any, states: Any) -> Any:
        state = ops.tanh(x @ self.kernel + states[0] @ self.back + self.bias)
        return state, [state]


class OfLayers(layers.Layer):
    """An LSTM made of two layers, whose gates come in another order."""

    def __init__(self, units: int = 7) -> None:
        super().__init__()
        self.state_size = [units, units]
        self.into, self.back = layers.Dense(4 * units), layers.Dense(4 * units, use_bias=False)

    def build(self, shape: Any) -> None:
        self.into.build(shape)
        self.back.build((None, self.state_size[0]))

    def call(self, x: Any, states: Any) -> Any:
        hidden, memory = states
        forget, new, out, enter = ops.split(self.into(x) + self.back(hidden), 4, axis=-1)
        memory = ops.sigmoid(forget) * memory + ops.sigmoid(enter) * ops.tanh(new)
        hidden = ops.sigmoid(out) * ops.tanh(memory)
        return hidden, [hidden, memory]


class Doubled(layers.RNN):
    """A layer of its own around a cell."""

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        return super().call(sequences * 2, initial_state, mask=mask, training=training)


def stack(layer: Any, shape: tuple[int, ...] = (6, 5)) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), layer, layers.Dense(3)])


CELLS: dict[str, Callable[..., Any]] = {
    "lstm": lambda **k: layers.RNN(layers.LSTMCell(7), **k),
    "gru": lambda **k: layers.RNN(layers.GRUCell(7), **k),
    "gru before": lambda **k: layers.RNN(layers.GRUCell(7, reset_after=False), **k),
    "dropped": lambda **k: layers.RNN(layers.LSTMCell(7, dropout=0.3, recurrent_dropout=0.2), **k),
    "minimal": lambda **k: layers.RNN(Minimal(), **k),
    "of layers": lambda **k: layers.RNN(OfLayers(), **k),
    "stacked": lambda **k: layers.RNN([layers.GRUCell(7), layers.LSTMCell(6)], **k),
    "doubled": lambda **k: Doubled(layers.GRUCell(7), **k),
    "both ways": lambda **k: layers.Bidirectional(layers.RNN(layers.SimpleRNNCell(7), **k)),
}
ROLES = {"recurrent_input", "recurrent", "recurrent_bias_input", "recurrent_bias", "readout", "bias"}


@pytest.mark.parametrize("name", CELLS)
def test_cells_have_the_roles_of_whole_layers(name: str) -> None:
    model = stack(CELLS[name]())
    plan = wb.plan(model, X, seed=0)
    assert {entry.role for entry in plan.entries} <= ROLES
    if name == "stacked":  # the rest of the way is that of any model
        assert not wb.initialize(model, X, seed=0).health.codes
    for variable in model.layers[0].trainable_variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    if name in ("stacked", "of layers"):
        assert "W301" in wb.check(model, X).codes


@pytest.mark.parametrize(("cell", "gate"), [("lstm", 1), ("of layers", 0)])
def test_the_forget_gate_of_a_cell_is_opened_wherever_it_is(cell: str, gate: int) -> None:
    model = stack(CELLS[cell]())
    wb.initialize(model, X, seed=0, recipe="classic")
    bias = next(v for v in model.layers[0].trainable_variables if v.path.endswith("bias"))
    sections = ops.convert_to_numpy(bias.value).reshape(4, 7)
    assert (sections[gate] > 0).all()
    assert not np.delete(sections, gate, 0).any()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_over_time_are_cells_with_a_window(rank: int) -> None:
    layer = getattr(layers, f"ConvLSTM{rank}D")(5, 3, padding="same", dropout=0.2, name="cell")
    model = keras.Sequential([keras.Input((3, *[4] * rank, 2)), layer, layers.Flatten(), layers.Dense(3)])
    plan = wb.initialize(model, (2, 3, *[4] * rank, 2), seed=0, recipe="classic").plan
    found = {entry.role: entry for entry in plan.entries}
    axes = "k" * rank + "io"
    assert found["recurrent"].layout.axes == found["recurrent_input"].layout.axes == axes
    assert "blocks=4" in str(found["recurrent"].law)
    fans = found["recurrent_input"].layout.fans(found["recurrent_input"].shape)
    assert (fans.fan_in, fans.fan_out) == (2 * 3**rank, 5 * 3**rank)  # of one gate
    forget = ops.convert_to_numpy(layer.cell.bias.value).reshape(4, 5)
    assert (forget[1] == 1).all()
    assert not np.delete(forget, 1, 0).any()


WAYS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CELLS), *(("lstm", {key: True}) for key in ("return_sequences", "go_backwards")),
    ("minimal", {"go_backwards": True, "return_sequences": True}), ("both ways", {"return_sequences": True}),
]  # fmt: skip


@pytest.mark.parametrize("batch", [X, LONG])
@pytest.mark.parametrize(("name", "options"), WAYS)
def test_what_is_computed_is_what_the_model_computes(name: str, options: dict[str, Any], batch: Any) -> None:
    model = stack(CELLS[name](**options), batch.shape[1:])
    backend = find(model)
    with backend.session(model, batch) as session:
        session.forward(lambda *_: ())
        assert np.allclose(session.output.array(), ops.convert_to_numpy(model(batch)), atol=1e-5)


def test_masked_steps_repeat_the_state() -> None:
    keras.utils.set_random_seed(0)
    table, ids = layers.Embedding(9, 5, mask_zero=True), np.array([[1, 2, 0, 3], [4, 0, 0, 5]])
    model = keras.Sequential([keras.Input((4,), dtype="int32"), table, layers.RNN(Minimal()), layers.Dense(3)])
    with find(model).session(model, ids) as session:
        session.forward(lambda *_: ())
        assert np.allclose(session.output.array(), ops.convert_to_numpy(model(ids)), atol=1e-5)
    assert wb.plan(model, ids)["rnn.cell.back"].role == "recurrent"


def test_a_sum_behind_a_layer_without_a_bias_is_a_sum() -> None:
    given = keras.Input((8,))
    model = keras.Model(given, layers.Dense(3)(given + layers.Dense(8, use_bias=False, name="branch")(given)))
    kinds = [operation.kind for operation in find(model).trace(model, np.zeros((4, 8), np.float32)).operations]
    assert "add" in kinds
    assert wb.plan(model, (4, 8))["branch.weight"].role == "residual_out"
