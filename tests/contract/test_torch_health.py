"""PyTorch: known good initializations are healthy, known bad ones are found guilty of the right thing."""

import math

import pytest
import torch
import torch_models as models
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.errors import ArgumentTypeError, TraceError

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))


def codes(model: nn.Module, batch=X, **options) -> tuple[str, ...]:
    return wb.check(model, batch, **options).codes


def filled(model: nn.Module, *rules: tuple[str, str], batch=X) -> nn.Module:
    wb.apply(model, wb.plan(model, batch, rules=list(rules), seed=0))
    return model


@pytest.mark.parametrize("depth", [2, 10, 30])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.SELU, nn.LeakyReLU])
def test_the_plan_is_healthy_in_plain_nets(activation: type[nn.Module], depth: int) -> None:
    assert codes(filled(models.plain(depth, activation))) == ()


def test_he_keeps_the_signal_that_xavier_loses() -> None:
    assert codes(filled(models.plain(30, nn.ReLU), ("*.weight", "he_normal"))) == ()
    assert {"W101", "W201"} <= set(codes(filled(models.plain(30, nn.ReLU), ("*.weight", "xavier_normal"))))
    assert "W201" in codes(models.plain(30, nn.ReLU))  # the framework's default


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([("*.weight", "normal(std=0.01)")], {"W101", "W201"}),
        ([("*.weight", "normal(std=1.0)")], {"W102", "W202", "W501"}),
        ([("*", "zeros")], {"W101", "W201", "W301"}),
        ([("*.weight", "constant(0.01)")], {"W301"}),
        ([("8.weight", "zeros")], {"W101", "W201", "W301"}),
        ([("0.weight", "zeros")], {"W101", "W201", "W301"}),
        ([("8.weight", "ones")], {"W301"}),
        ([("18.weight", "normal(std=2)")], {"W501"}),
        ([("18.weight", "zeros")], set()),  # a readout may start at zero
    ],
    ids=lambda value: str(sorted(value))[:50],
)
def test_bad_scales_are_found(rules: list[tuple[str, str]], expected: set[str]) -> None:
    model = filled(models.plain(10, nn.ReLU), *rules)
    found = set(codes(model))
    assert expected <= found
    if not expected:
        assert not found


def test_zero_hidden_layer_is_guilty_by_symmetry_with_smooth_activations_too() -> None:
    """With tanh and random neighbours the gradients of its units differ; its weights still are all equal."""
    health = wb.check(filled(models.plain(6, nn.Tanh), ("4.weight", "zeros")), X)
    guilty = [finding.place for finding in health.findings if finding.code == "W301"]
    assert guilty == ["parameter 4.weight"]


def test_twins_that_never_part() -> None:
    model = filled(models.plain(4, nn.ReLU))
    with torch.no_grad():
        model[2].weight[1::2] = model[2].weight[::2]
        model[4].weight[:, 1::2] = model[4].weight[:, ::2]  # and nothing downstream tells them apart
    health = wb.check(model, X)
    assert "W301" in health.codes
    with torch.no_grad():
        model[4].weight.copy_(filled(models.plain(4, nn.ReLU))[4].weight)  # consumers differ: the twins will part
    assert codes(model) == ()


def test_residual_branches_may_start_silent() -> None:
    class Residual(nn.Module):
        def __init__(self, blocks: int = 2) -> None:
            super().__init__()
            self.stem = nn.Linear(20, 32)
            self.up = nn.ModuleList(nn.Linear(32, 32) for _ in range(blocks))
            self.down = nn.ModuleList(nn.Linear(32, 32) for _ in range(blocks))
            self.head = nn.Linear(32, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            for up, down in zip(self.up, self.down, strict=True):
                x = x + down(torch.relu(up(x)))
            return self.head(x)

    small = ("head.weight", "normal(std=0.05)")  # classic@1 does not damp branches: the stream doubles in each
    assert codes(filled(Residual(), small)) == ()
    assert codes(filled(Residual(), small, ("down.*", "zeros"))) == ()
    assert "W301" in codes(filled(Residual(), small, ("up.*", "zeros")))


def test_batch_norm_and_its_zero_gamma() -> None:
    def block() -> list[nn.Module]:
        return [nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()]

    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), *block(), *block(), nn.Flatten(), nn.Linear(8 * 64, 10))
    assert codes(filled(model, batch=(16, 1, 8, 8)), (16, 1, 8, 8)) == ()


@pytest.mark.parametrize(
    "break_it",
    [
        lambda m: m[2].weight.data.fill_(float("nan")),
        lambda m: m[2].bias.data.fill_(float("inf")),
        lambda m: m[2].weight.data.mul_(1e38),
    ],
)
def test_non_finite_values_are_found_first(break_it) -> None:
    model = filled(models.plain(4, nn.ReLU))
    break_it(model)
    health = wb.check(model, X)
    assert "W401" in health.codes
    assert "2" in health.findings[0].place


def test_the_first_loss_against_chance_on_real_data() -> None:
    digits = load_digits()
    images, labels = torch.tensor(digits.data[:256], dtype=torch.float32) / 16, torch.tensor(digits.target[:256])
    model = models.plain(4, nn.ReLU, inputs=64)

    def loss(output: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(output, labels)

    filled(model, batch=images)
    health = wb.check(model, images, loss=loss, chance=math.log(10))
    with torch.no_grad():
        assert health.statistics.loss.value == pytest.approx(float(loss(model(images))), rel=1e-6)
    assert health.healthy
    filled(model, ("6.weight", "normal(std=3)"), batch=images)
    assert wb.check(model, images, loss=loss, chance=math.log(10)).codes == ("W501",)
    assert wb.check(model, images, loss=loss).healthy  # no chance given: nothing to judge by


def test_measured_numbers_are_those_of_hooks() -> None:
    """Signal and gradient by an independent way: module hooks and retained gradients."""
    model = filled(models.plain(5, nn.Tanh))
    labels = torch.arange(64) % 10

    def loss(output: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(output, labels)

    outputs: list[torch.Tensor] = []

    def keep(_, __, output: torch.Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    handles = [layer.register_forward_hook(keep) for layer in model if isinstance(layer, nn.Linear)]
    loss(model(X)).backward()
    for handle in handles:
        handle.remove()
    measured = wb.check(model, X, loss=loss).statistics.operations
    assert len(measured) == len(outputs) == 5
    for mine, theirs in zip(measured, outputs, strict=True):
        assert mine.rms == pytest.approx(float(theirs.detach().pow(2).mean().sqrt()), rel=1e-5)
        assert mine.gradient == pytest.approx(float(theirs.grad.norm()), rel=1e-5)
    assert measured[0].input_rms == pytest.approx(float(X.pow(2).mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_in_place_activations_dropout_and_lookup_models(training: bool) -> None:
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Linear(32, 10)).train(training)
    assert codes(filled(model)) == ()
    language = models.TiedLM().train(training)
    tokens = {
        "tokens": torch.randint(0, 30, (4, 12), generator=torch.Generator().manual_seed(0)),
        "mask": torch.ones(4, 12),
    }
    assert codes(filled(language, batch=tokens), tokens) == ()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_healthy(kind: type[nn.Module]) -> None:
    assert codes(filled(kind(20, 32, num_layers=2), batch=(9, 4, 20)), (9, 4, 20)) == ()
    assert "W301" in codes(
        filled(kind(20, 32), ("weight_hh_l0", "zeros"), ("weight_ih_l0", "zeros"), batch=(9, 4, 20)), (9, 4, 20)
    )


def test_bad_losses() -> None:
    model = nn.Linear(20, 3)
    with pytest.raises(ArgumentTypeError, match="a function of the output that gives a scalar tensor"):
        wb.check(model, X, loss=lambda output: output)

    class NoTensor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> str:
            return str((x * self.w).sum())

    with pytest.raises(TraceError, match="returns no floating-point tensor"):
        wb.check(NoTensor(), torch.ones(2, 3))


class Nested(torch.autograd.Function):
    """A layer whose backward pass is one of its own, which writes gradients itself, as in reversible networks."""

    @staticmethod
    def forward(context, x, layer, cut):
        context.layer, context.cut = layer, cut
        context.save_for_backward(x)
        return layer(x).detach()

    @staticmethod
    def backward(context, gradient):
        x = context.saved_tensors[0].detach().requires_grad_()
        with torch.enable_grad():
            made = context.layer(x)
        found = torch.autograd.grad(made, x, gradient, retain_graph=True)[0]
        if not context.cut:
            torch.autograd.backward(made, gradient)
        return found, None, None


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_gradients_that_a_layer_writes_itself_are_seen(cut, begun):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.inner, self.last = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 4)

        def forward(self, x):
            return self.last(Nested.apply(self.first(x), self.inner, cut).relu())

    model = Net()
    model.first.weight.grad = torch.ones(32, 8) if begun else None
    codes = wb.check(model, torch.randn(64, 8)).codes
    assert ("W801" in codes) == cut
    grads = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    assert list(grads) == (["first.weight"] if begun else [])


def test_gradients_are_not_asked_for_without_such_a_layer(monkeypatch):
    """Another thread may be writing them."""
    asked = []
    monkeypatch.setattr("wellbegun.torch.sandbox._Backups.save_attributes", lambda _: asked.append(True))
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    model.unused = nn.Linear(4, 4)
    assert wb.check(model, torch.randn(64, 8)).healthy
    assert not asked
