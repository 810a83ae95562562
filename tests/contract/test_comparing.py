"""Two models are compared tensor by tensor, across frameworks too."""

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentTypeError


def net(width: int = 64) -> nn.Module:
    return nn.Sequential(nn.Linear(32, width), nn.ReLU(), nn.LayerNorm(width), nn.Linear(width, 10))


def verdicts(first: Any, second: Any) -> dict[str, str]:
    return {tensor.name: tensor.verdict for tensor in wb.compare_models(first, second).tensors}


def test_what_differs_is_told() -> None:
    one, two = net(), net()
    assert wb.compare_models(one, one).same
    found = wb.compare_models(one, two)
    assert found.alike
    assert not found.same
    assert found.counts() == {"same": 2, "alike": 4, "differs": 0, "missing": 0}  # the norm is constant
    nn.init.xavier_normal_(two[3].weight)
    nn.init.ones_(two[2].bias)
    nn.init.uniform_(two[3].bias, 0.2, 0.3)
    with torch.no_grad():
        two[0].weight[3, 4] = torch.nan
    said = {tensor.name: tensor.why for tensor in wb.compare_models(one, two).tensors if tensor.verdict == "differs"}
    assert said.keys() == {"0.weight", "2.bias", "3.weight", "3.bias"}
    assert said["2.bias"] == "0 against 1"
    assert said["3.weight"].startswith("standard deviation 0.07")
    assert said["0.weight"] == "not all values are finite"


def test_models_of_other_shapes_and_names() -> None:
    assert verdicts(net(), net(48))["0.weight"] == "differs"
    assert verdicts(nn.Sequential(net()), net())["0.0.weight"] == "missing"
    with pytest.raises(ArgumentTypeError, match="must be a"):
        wb.compare_models(net(), 3)


def test_laws_of_one_size_are_told_apart() -> None:
    one, two = nn.Linear(200, 300, bias=False), nn.Linear(200, 300, bias=False)
    nn.init.normal_(one.weight, std=1.0)
    nn.init.uniform_(two.weight, -(3**0.5), 3**0.5)
    (tensor,) = wb.compare_models(one, two).tensors
    assert tensor.why == "the same mean and standard deviation, but another distribution"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("first", "second", "values"), [((16, 8), (0.354, 0.5), 128), ((64, 32), (0.354, 0.4), 2048)])
def test_sizes_of_few_values_are_told_apart(first: Any, second: Any, values: int) -> None:
    pairs = [(nn.Linear(*first, bias=False), nn.Linear(*first, bias=False)) for _ in range(20)]
    for one, two in pairs:
        assert one.weight.numel() == values
        for layer, bound in zip((one, two), second, strict=True):
            nn.init.uniform_(layer.weight, -bound, bound)
    assert sum("standard deviation" in wb.compare_models(*pair).tensors[0].why for pair in pairs) >= 16


def test_models_of_one_law_are_seldom_told_apart() -> None:
    assert sum(not wb.compare_models(net(), net()).alike for _ in range(60)) <= 1


def test_a_port_starts_the_same_with_one_seed_and_not_by_itself() -> None:
    nnx = pytest.importorskip("flax.nnx")

    class Original(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm, self.out = nn.Linear(32, 64), nn.LayerNorm(64), nn.Linear(64, 10)

        def forward(self, x: Any) -> Any:
            return self.out(self.norm(torch.relu(self.inner(x))))

    class Port(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.inner, self.norm = nnx.Linear(32, 64, rngs=rngs), nnx.LayerNorm(64, rngs=rngs)
            self.out = nnx.Linear(64, 10, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.out(self.norm(nnx.relu(self.inner(x))))

    one, two = Original(), Port(nnx.Rngs(0))
    own = verdicts(one, two)
    assert own == {
        "inner.weight": "differs", "inner.bias": "differs", "norm.weight": "same", "norm.bias": "same",
        "out.weight": "differs", "out.bias": "differs",
    }  # fmt: skip
    wb.initialize(two, (8, 32), seed=3, recipe="torch")
    assert wb.compare_models(one, two).alike
    for model in (one, two):
        wb.initialize(model, (8, 32), seed=0, recipe="classic")
    assert wb.compare_models(one, two).same
    wb.initialize(two, (8, 32), seed=1, recipe="classic")
    assert wb.compare_models(one, two).alike
    assert not wb.compare_models(one, two).same


def test_a_forgotten_transpose_is_not_the_same() -> None:
    one, two = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
    two.weight.data.copy_(one.weight.data.T)
    assert wb.compare_models(one, two).counts()["same"] == 0
    wide, tall = nn.Linear(8, 4, bias=False), nn.Linear(4, 8, bias=False)
    tall.weight.data.copy_(wide.weight.data.T)
    assert verdicts(wide, tall) == {"weight": "differs"}
    nnx = pytest.importorskip("flax.nnx")
    port, batch = nnx.Linear(8, 8, use_bias=False, rngs=nnx.Rngs(0)), torch.zeros(2, 8).numpy()
    for values, verdict in ((one.weight.detach().numpy(), "alike"), (one.weight.detach().numpy().T, "same")):
        port.kernel.set_value(port.kernel.get_value().at[:].set(values))
        assert [t.verdict for t in wb.compare_models(one, port, batch).tensors] == [verdict]
    (unsaid,) = wb.compare_models(one, port).tensors
    assert (unsaid.verdict, "give a batch" in unsaid.why) == ("alike", True)


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.rnn, self.out = kind(5, 7, batch_first=True), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.rnn(x)[0][:, -1])


@pytest.mark.parametrize(
    ("kind", "layer", "order"),
    [
        (nn.LSTM, lambda: keras.layers.LSTM(7), (0, 1, 2, 3)),
        (nn.LSTM, lambda: keras.layers.RNN(keras.layers.LSTMCell(7)), (1, 0, 3, 2)),
        (nn.GRU, lambda: keras.layers.GRU(7), (1, 0, 2)),
        (nn.RNN, lambda: keras.layers.SimpleRNN(7), (0,)),
    ],
)
def test_recurrent_layers_of_two_frameworks_are_paired(kind: Any, layer: Any, order: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    one, batch = Recurrent(kind), torch.randn(2, 4, 5).numpy()
    two = keras.Sequential([keras.Input((4, 5)), layer(), keras.layers.Dense(3, name="out")])
    held = {name: value.detach().numpy() for name, value in one.rnn.named_parameters()}
    turned = {name: np.concatenate([np.split(value, len(order))[i] for i in order]) for name, value in held.items()}
    biases, cell = (turned["bias_ih_l0"], turned["bias_hh_l0"]), two.layers[0].cell
    cell.kernel.assign(turned["weight_ih_l0"].T)
    cell.recurrent_kernel.assign(turned["weight_hh_l0"].T)
    cell.bias.assign(np.stack(biases) if len(cell.bias.shape) > 1 else sum(biases))
    found = [tensor for tensor in wb.compare_models(one, two, batch).tensors if "rnn" in tensor.name]
    assert {tensor.name: tensor.verdict for tensor in found} == {
        "rnn.weight_ih_l0": "same", "rnn.weight_hh_l0": "same", "rnn.bias_ih_l0 + rnn.bias_hh_l0": "same",
    }  # fmt: skip
    assert all(("gates in order" in tensor.why) == (order != tuple(range(len(order)))) for tensor in found)
    cell.kernel.assign(3 * cell.kernel.value)
    assert wb.compare_models(one, two, batch).tensors[-2].verdict == "differs"
    assert wb.compare_models(one, two).counts()["missing"] == 7  # nothing tells what is what


def test_what_holds_no_values_is_never_the_same() -> None:
    for made in (lambda: nn.Linear(3, 3, device="meta"), lambda: nn.Linear(3, 3, dtype=torch.complex64)):
        assert wb.compare_models(made(), made()).counts() == {"same": 0, "alike": 0, "differs": 0, "missing": 2}


def test_it_is_shown_everywhere(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    one, two = net(), net()
    nn.init.ones_(two[3].weight)
    found = wb.compare_models(one, two)
    wb.show(found)
    text = capsys.readouterr().out
    assert text.startswith("Two models: 2 same, 3 alike, 1 differs.")
    assert max(map(len, text.splitlines())) <= 80
    lines = [line for line in text.splitlines() if line.startswith("! ")]
    assert [line.split()[1] for line in lines] == ["3.weight"]
    assert "3.weight" in found._repr_html_()
    assert repr(found) == "<ModelComparison: 2 same, 3 alike, 1 differs>"


def test_what_a_layer_writes_unasked_is_compared_too() -> None:
    keras = pytest.importorskip("keras")
    one, two = (keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)]) for _ in range(2))
    bias = one.layers[0].cell.bias
    assert verdicts(one, two)["lstm.cell.bias"] == "same"
    assert wb.plan(one, (2, 5, 3), seed=0)["lstm.cell.bias"].decided_by != "intent"  # nobody's purpose
    bias.assign(bias + 100)
    assert verdicts(one, two)["lstm.cell.bias"] == "differs"
    assert wb.plan(one, (2, 5, 3), seed=0)["lstm.cell.bias"].decided_by == "intent"  # the control
