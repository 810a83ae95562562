"""Two models are compared tensor by tensor, across frameworks too."""

from typing import Any

import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError


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


def test_a_second_batch_needs_a_first() -> None:
    one = net()
    with pytest.raises(ArgumentError, match="^compare_models: second_batch needs batch too.*give both, or none$"):
        wb.compare_models(one, one, second_batch=torch.zeros(2, 32))
    assert wb.compare_models(one, one, torch.zeros(2, 32), second_batch=torch.zeros(2, 32)).same


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
    one, two = (keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)]) for _ in range(2))
    bias = one.layers[0].cell.bias
    assert verdicts(one, two)["lstm.cell.bias"] == "same"
    assert wb.plan(one, (2, 5, 3), seed=0)["lstm.cell.bias"].decided_by != "intent"  # nobody's purpose
    bias.assign(bias + 100)
    assert verdicts(one, two)["lstm.cell.bias"] == "differs"
    assert wb.plan(one, (2, 5, 3), seed=0)["lstm.cell.bias"].decided_by == "intent"  # the control


# ---------------------------------------------------------------------- images with channels first, and last
IMAGES = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
LAST = IMAGES.transpose(0, 2, 3, 1)


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm1d(72, eps=1e-3)
        self.inner, self.out = nn.Linear(72, 72, bias=False), nn.Linear(72, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)
        return self.out(torch.relu(self.inner(self.norm(x.flatten(1)))))


def conv_in_keras(*before: Any) -> Any:
    layers = keras.layers
    dense = [layers.Dense(72, "relu", use_bias=False, name="inner"), layers.Dense(5, name="out")]
    start = [keras.Input((8, 8, 3)), layers.Conv2D(8, 3, activation="relu", name="conv"), layers.MaxPooling2D()]
    return keras.Sequential([*start, *before, layers.Flatten(), layers.BatchNormalization(name="norm"), *dense])


class ConvInFlax(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.conv = nnx.Conv(3, 8, (3, 3), padding="VALID", rngs=rngs)
        self.norm = nnx.BatchNorm(72, epsilon=1e-3, rngs=rngs)
        self.inner, self.out = nnx.Linear(72, 72, use_bias=False, rngs=rngs), nnx.Linear(72, 5, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = nnx.max_pool(nnx.relu(self.conv(x)), (2, 2), (2, 2))
        return self.out(nnx.relu(self.inner(self.norm(x.reshape(len(x), -1)))))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.up = nn.Linear(6, 36), nn.Conv2d(4, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(torch.relu(self.inner(x)).view(-1, 4, 3, 3))


def decoder_in_keras() -> Any:
    layers = keras.layers
    start = [keras.Input((6,)), layers.Dense(36, "relu", name="inner"), layers.Reshape((3, 3, 4))]
    return keras.Sequential([*start, layers.Conv2D(2, 3, name="up")])


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = nn.Linear(192, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.only(x.flatten(1))


def dense_in_keras() -> Any:
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(7, name="only")])


def other_order(values: Any, units: int) -> Any:
    """Rows ordered by units, ordered by places."""
    return values.reshape(units, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def outputs(model: Any, batch: Any) -> np.ndarray:
    if isinstance(model, keras.Model):
        return np.asarray(keras.ops.convert_to_numpy(model(batch, training=True)))
    return model(torch.tensor(batch)).detach().numpy() if isinstance(model, nn.Module) else np.asarray(model(batch))


def put(model: Any, name: str, kernel: Any) -> None:
    if isinstance(model, keras.Model):
        return model.get_layer(name).kernel.assign(kernel.copy())
    layer = getattr(model, name)
    return layer.kernel.set_value(layer.kernel.get_value().at[:].set(kernel))


@pytest.mark.parametrize(
    ("original", "port", "batches", "name", "rows", "units"),
    [
        (Conv, conv_in_keras, (IMAGES, LAST), "inner", True, 8),
        (Conv, ConvInFlax, (IMAGES, LAST), "inner", True, 8),
        (Decoder, decoder_in_keras, (IMAGES[:, 0, 0, :6],) * 2, "inner", False, 4),
        (Dense, dense_in_keras, (IMAGES, LAST), "only", True, 3),
    ],
)
def test_layers_around_a_flatten_are_the_same_where_outputs_are(
    original: Any, port: Any, batches: Any, name: str, rows: bool, units: int
) -> None:
    one, other = original(), port()
    for model, batch in zip((one, other), batches, strict=True):
        wb.initialize(model, batch, recipe="classic", seed=0)
    found = {tensor.name: tensor for tensor in wb.compare_models(one, other, *batches).tensors}
    parts = {f"{name}.weight", *(() if rows or name == "only" else (f"{name}.bias",))}
    assert {n for n, tensor in found.items() if tensor.verdict == "alike"} >= {f"{name}.weight"}
    assert {n for n, tensor in found.items() if tensor.verdict != "same"} <= parts
    assert "another order: outputs differ" in found[f"{name}.weight"].why
    away = outputs(one, batches[0]), outputs(other, batches[1])
    last = away[0].transpose(0, 2, 3, 1) if away[0].ndim == 4 else away[0]
    assert not np.allclose(last, away[1], atol=1e-3)  # the control: it was true
    weight = getattr(one, name).weight.detach().numpy()
    put(other, name, other_order(weight.T, units) if rows else other_order(weight, units).T)
    assert wb.compare_models(one, other, *batches).same
    assert np.allclose(last, outputs(other, batches[1]), atol=1e-5)


def test_a_flatten_that_is_ordered_as_the_originals_changes_nothing() -> None:
    one, other = Conv(), conv_in_keras(keras.layers.Permute((3, 1, 2)))
    for model, batch in ((one, IMAGES), (other, LAST)):
        wb.initialize(model, batch, recipe="classic", seed=0)
    assert wb.compare_models(one, other, IMAGES, LAST).same
    assert np.allclose(outputs(one, IMAGES), outputs(other, LAST), atol=1e-5)


def test_a_transposed_kernel_of_a_convolution_is_found() -> None:
    one, other = Conv(), conv_in_keras(keras.layers.Permute((3, 1, 2)))
    for model, batch in ((one, IMAGES), (other, LAST)):
        wb.initialize(model, batch, recipe="classic", seed=0)
    put(other, "conv", one.conv.weight.detach().numpy().transpose(3, 2, 1, 0))  # width before height
    found = [tensor for tensor in wb.compare_models(one, other, IMAGES, LAST).tensors if tensor.verdict != "same"]
    assert [(tensor.name, tensor.verdict) for tensor in found] == [("conv.weight", "alike")]
    assert "may be transposed" in found[0].why


def test_a_batch_of_four_axes_that_both_take_tells_nothing_of_channels() -> None:
    one = Dense()
    other = keras.Sequential([keras.Input((3, 8, 8)), keras.layers.Flatten(), keras.layers.Dense(7, name="only")])
    for model in (one, other):
        wb.initialize(model, IMAGES, recipe="classic", seed=0)
    assert wb.compare_models(one, other, IMAGES).same
