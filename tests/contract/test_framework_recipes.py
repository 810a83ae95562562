"""keras@1, flax@1 and haiku@1 give any model what the layers of those frameworks start with."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.laws import Constant


class Reader(nn.Module):
    """A table, a recurrent layer, a norm and a readout."""

    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 24)
        self.memory = kind(24, 32, batch_first=True)
        self.norm = nn.LayerNorm(32)
        self.slope = nn.PReLU()
        self.out = nn.Linear(32, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.out(self.slope(self.norm(self.memory(self.table(tokens))[0][:, -1])))


TOKENS = torch.arange(24).reshape(2, 12) % 50


def std_of(plan: wb.Plan, name: str) -> float:
    entry = plan[name]
    return math.sqrt(entry.law.moments(entry.layout.canonical_shape(entry.shape)).variance)


CUT = 0.8796256610342398  # std of a standard normal cut at two
EXPECTED: dict[str, dict[str, Any]] = {
    "keras": {
        "table.weight": 0.05 / math.sqrt(3), "memory.weight_ih_l0": math.sqrt(2 / (24 + 128)),
        "memory.weight_hh_l0": math.sqrt(1 / 128), "out.weight": math.sqrt(2 / 42), "slope.weight": 0.0,
    },
    "flax": {
        "table.weight": math.sqrt(1 / 24), "memory.weight_ih_l0": math.sqrt(1 / 24),
        "memory.weight_hh_l0": math.sqrt(1 / 128), "out.weight": math.sqrt(1 / 32), "slope.weight": 0.0,
    },
    "haiku": {
        "table.weight": CUT, "memory.weight_ih_l0": CUT * math.sqrt(1 / 56),
        "memory.weight_hh_l0": CUT * math.sqrt(1 / 56), "out.weight": CUT * math.sqrt(1 / 32),
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", EXPECTED)
def test_sizes_are_those_of_the_sources(recipe: str) -> None:
    plan = wb.plan(Reader(), TOKENS, recipe=recipe, seed=0)
    for name, std in EXPECTED[recipe].items():
        assert std_of(plan, name) == pytest.approx(std, rel=1e-6, abs=1e-12), name
    other = wb.plan(Reader(), TOKENS, recipe="torch", seed=0)  # the control
    assert std_of(other, "out.weight") != pytest.approx(EXPECTED[recipe]["out.weight"], rel=0.05)
    assert plan["norm.weight"].law == Constant(1.0)
    assert plan["out.bias"].law == plan["norm.bias"].law == plan["memory.bias_hh_l0"].law == Constant(0.0)
    assert plan.recipe == f"{recipe}@1"


def test_a_forget_gate_of_keras_is_open() -> None:
    model = Reader()
    wb.initialize(model, TOKENS, recipe="keras", seed=0)
    bias, kernel = model.memory.bias_ih_l0.detach(), model.memory.weight_hh_l0.detach()
    assert bias.reshape(4, 32).mean(1).tolist() == [0, 1, 0, 0]
    assert torch.allclose(kernel.T @ kernel, torch.eye(32), atol=1e-5)  # all gates are one matrix
    assert model.slope.weight.item() == 0
    flax = wb.initialize(Reader(), TOKENS, recipe="flax", seed=0).model
    kernel = flax.memory.weight_hh_l0.detach()
    assert torch.allclose(kernel.T @ kernel, torch.eye(32), atol=1e-5)
    assert not flax.memory.bias_ih_l0.any()
    assert flax.slope.weight.item() == pytest.approx(0.01)
    gru = wb.plan(Reader(nn.GRU), TOKENS, recipe="keras", seed=0)
    assert gru["memory.bias_ih_l0"].law == Constant(0.0)


def test_convolutions_count_their_window() -> None:
    model = nn.Sequential(
        nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3, groups=4), nn.Flatten(), nn.Linear(16, 4)
    )
    batch, stds = (
        (2, 8, 5, 5),
        {"keras": math.sqrt(2 / (24 * 9)), "flax": 1 / math.sqrt(72), "haiku": CUT / math.sqrt(72)},
    )
    for recipe, std in stds.items():
        plan = wb.plan(model, batch, recipe=recipe, seed=0)
        assert std_of(plan, "0.weight") == pytest.approx(std, rel=1e-6)
    assert std_of(wb.plan(model, batch, recipe="flax", seed=0), "2.weight") == pytest.approx(1 / 6, rel=1e-6)


def test_flax_gives_what_flax_gives() -> None:
    """Laws against fresh values of Flax itself."""
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.table = nnx.Embed(400, 64, rngs=rngs)
            self.dense = nnx.Linear(64, 300, rngs=rngs)
            self.norm = nnx.LayerNorm(300, rngs=rngs)
            self.out = nnx.Linear(300, 100, rngs=rngs)

        def __call__(self, tokens: Any) -> Any:
            return self.out(self.norm(nnx.relu(self.dense(self.table(tokens)))))

    model = Net(nnx.Rngs(0))
    plan = wb.plan(model, np.arange(24).reshape(2, 12), recipe="flax", seed=0)
    for name, layer in (("table", model.table.embedding), ("dense", model.dense.kernel), ("out", model.out.kernel)):
        values, entry = np.asarray(layer.get_value()), plan[f"{name}.weight"]
        assert values.std() == pytest.approx(std_of(plan, f"{name}.weight"), rel=5 / math.sqrt(2 * values.size)), name
        assert abs(values).max() <= entry.law.support()[1] * (1 + 1e-6)
    classic = wb.plan(model, np.arange(24).reshape(2, 12), recipe="classic", seed=0)
    assert std_of(classic, "dense.weight") > 1.3 * std_of(plan, "dense.weight")  # the control


@pytest.mark.parametrize("low_rank", ["beside", "within"])
def test_flax_gives_low_rank_pairs_what_flax_gives(low_rank: str) -> None:
    nnx = pytest.importorskip("flax.nnx")
    rngs = nnx.Rngs(0)
    base = nnx.Linear(64, 200, rngs=rngs)
    pair = {"beside": lambda: nnx.LoRA(64, 48, 200, base_module=base, rngs=rngs),
            "within": lambda: nnx.LoRALinear(64, 200, lora_rank=48, rngs=rngs)}[low_rank]()  # fmt: skip
    model = nnx.Sequential(pair, nnx.relu, nnx.Linear(200, 3, rngs=rngs))
    plan, lora = wb.plan(model, (4, 64), recipe="flax", seed=0), pair if low_rank == "beside" else pair.lora
    laws = {entry.name.rpartition(".")[2]: entry.law for entry in plan.entries if "lora_" in entry.name}
    values = np.asarray(lora.lora_a.get_value())
    assert laws["lora_a"].support()[1] == pytest.approx(math.sqrt(6 / 64))
    assert abs(values).max() == pytest.approx(math.sqrt(6 / 64), rel=0.01)
    assert laws["lora_b"] == Constant(0.0)
    assert not np.asarray(lora.lora_b.get_value()).any()


def test_haiku_gives_its_recurrent_layers_what_haiku_gives() -> None:
    """A GRU and a plain cell have fans of their own for each matrix, also behind an LSTM, which has one matrix."""
    jax, hk = pytest.importorskip("jax"), pytest.importorskip("haiku")

    def run(x: Any) -> Any:
        for cell in (hk.VanillaRNN(64), hk.LSTM(64), hk.GRU(64)):
            x, _ = hk.dynamic_unroll(cell, x, cell.initial_state(2), time_major=False)
        return x

    net, batch = hk.without_apply_rng(hk.transform(run)), np.ones((2, 3, 96), np.float32)
    values = net.init(jax.random.key(0), batch)
    plan = wb.plan((net, values), batch, recipe="haiku", seed=0)
    stds = {entry.shape: std_of(plan, entry.name) for entry in plan.entries}
    own = {value.shape: np.asarray(value).std() for value in jax.tree.leaves(values) if value.ndim > 1}
    assert len(own) == 4
    for shape, std in own.items():
        assert std == pytest.approx(stds[shape], rel=5 / math.sqrt(2 * math.prod(shape))), shape


def test_a_matrix_of_haiku_is_joined_with_that_of_its_own_layer_only() -> None:
    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.GRU(24, 16, batch_first=True), nn.LSTM(16, 40, 2, bidirectional=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x)[0])[0]

    plan = wb.plan(Stack(), (2, 5, 24), recipe="haiku", seed=0)
    assert std_of(plan, "first.weight_ih_l0") == pytest.approx(24**-0.5)  # after the cut, as VarianceScaling has it
    assert std_of(plan, "first.weight_hh_l0") == pytest.approx(16**-0.5)
    for end, inputs in (("l0", 16), ("l0_reverse", 16), ("l1", 80), ("l1_reverse", 80)):
        for part in ("ih", "hh"):
            assert std_of(plan, f"second.weight_{part}_{end}") == pytest.approx(CUT / math.sqrt(inputs + 40)), end


def test_flax_gives_recurrent_matrices_what_flax_gives() -> None:
    """One orthogonal matrix for all gates that are stored in one; of gates stored apart each is one."""
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.apart = nnx.LSTMCell(32, 32, rngs=rngs)
            self.lstm, self.gru = nnx.OptimizedLSTMCell(32, 32, rngs=rngs), nnx.GRUCell(32, 32, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            for cell in (self.apart, self.lstm, self.gru):
                state = x[:, 0] * 0 if cell is self.gru else (x[:, 0] * 0, x[:, 0] * 0)
                for step in range(2):
                    state, y = cell(state, x[:, step])
            return y

    model = Net(nnx.Rngs(0))
    plan = wb.plan(model, np.ones((2, 2, 32), np.float32), recipe="flax", seed=0)
    for name, layer in (
        ("lstm.dense_h", model.lstm.dense_h),
        ("gru.dense_h", model.gru.dense_h),
        ("apart.hf", model.apart.hf),
    ):
        own = float(np.square(layer.kernel.get_value()).mean())
        assert std_of(plan, f"{name}.weight") == pytest.approx(math.sqrt(own), rel=1e-4), name


def test_keras_counts_channels_of_depthwise_kernels() -> None:
    keras = pytest.importorskip("keras")
    layers, given = keras.layers, keras.Input((6, 6, 32))
    deep = layers.SeparableConv2D(8, 3, depth_multiplier=2)(layers.DepthwiseConv2D(3, depth_multiplier=4)(given))
    model = keras.Model(given, layers.Conv2D(8, 1, groups=4)(deep))
    plan = wb.plan(model, np.ones((1, 6, 6, 32), np.float32), recipe="keras", seed=0)
    weights = {tuple(variable.shape): keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables}
    stds = {entry.shape: std_of(plan, entry.name) for entry in plan.entries if len(entry.shape) == 4}
    assert sorted(stds) == [(1, 1, 2, 8), (1, 1, 256, 8), (3, 3, 32, 4), (3, 3, 128, 2)]
    for shape, std in stds.items():
        assert std == pytest.approx(weights[shape].std(), rel=5 / math.sqrt(2 * math.prod(shape))), shape
    assert stds[3, 3, 32, 4] == pytest.approx(math.sqrt(2 / (9 * 32 + 9 * 4)))
