"""What `check` measures, each by a second way; that it is cheap, works in every mode and dtype, and changes nothing."""

import copy
import itertools
import math
import random
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.backend import CrossEntropy, classes_of
from wellbegun.health import OperationStats
from wellbegun.measure import forward
from wellbegun.measure.losses import made_up
from wellbegun.measure.signals import aimless
from wellbegun.theory.activations import FLAT_SLOPE
from wellbegun.torch.handles import TensorHandle
from wellbegun.torch.losses import gradient_of

X = torch.randn(64, 20, generator=torch.Generator().manual_seed(0))
SEQUENCES = torch.randn(2, 10, 32, generator=torch.Generator().manual_seed(1))


class Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def net(activation: nn.Module, scale: float = 1.0, shift: float = 0.0) -> nn.Sequential:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 48), activation, nn.Linear(48, 10))
    with torch.no_grad():
        model[0].weight.mul_(scale)
        model[0].bias.add_(shift)
    return model


def first(model: nn.Module, batch=X) -> OperationStats:
    return wb.check(model, batch).statistics.operations[0]


# ---------------------------------------------------------------------- activations
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "in place": lambda x: x.relu_(),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softsign": functional.softsign,
    "hard tanh": functional.hardtanh,
    "gelu by hand": lambda x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
    "logistic by hand": lambda x: 1 / (1 + torch.exp(-x)),
    "sine": lambda x: torch.sin(3 * x),
}


@pytest.mark.parametrize("scale", [1.0, 12.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_dead_and_saturated_shares_are_those_of_autograd(name: str, scale: float) -> None:
    function = ACTIVATIONS[name]
    model = net(Function(function), scale, shift=-1.0)
    found = first(model)
    z = model[0](X).detach().double().requires_grad_()
    slopes = torch.autograd.grad(function(z.clone()).sum(), z)[0].abs()
    usual = torch.randn(200_000, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    typical = torch.autograd.grad(function(usual.clone()).sum(), usual)[0].square().mean().sqrt()
    assert found.saturated == pytest.approx(float((slopes < FLAT_SLOPE * typical).double().mean()), abs=0.01)
    assert found.dead == pytest.approx(float((slopes < 0.01 * typical).all(dim=0).double().mean()), abs=0.03)
    assert (found.units, found.entries) == (48, 64)


def test_the_function_counts_and_not_its_name() -> None:
    soft, hard = net(Function(lambda x: torch.tanh(x))), net(Function(lambda x: torch.tanh(50 * x)))
    assert first(soft).saturated < 0.05
    assert first(hard).saturated > 0.8
    assert "W702" in wb.check(net(nn.Tanh(), 50.0), X).codes
    assert "W702" not in wb.check(net(nn.ReLU(), 50.0), X).codes  # which is flat at half of its entries by design


def test_gates_may_be_shut_and_readouts_may_saturate() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.value, self.head = nn.Linear(20, 32), nn.Linear(20, 32), nn.Linear(32, 1)
            nn.init.constant_(self.gate.bias, -6.0)
            nn.init.constant_(self.head.bias, -6.0)  # a prior of rare events

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            value = self.value(x)
            return torch.sigmoid(self.head(value + torch.sigmoid(self.gate(x)) * value))

    torch.manual_seed(0)
    health = wb.check(Gated(), X)
    assert health.healthy
    gate = next(o for o in health.statistics.operations if o.parameter == "gate.weight")
    assert gate.saturated > 0.9
    assert gate.gates


# ---------------------------------------------------------------------- numbers of values
def test_mean_correlation_and_gradient_rms() -> None:
    model = net(nn.Tanh(), shift=0.5)
    labels = torch.arange(64) % 10

    def loss(y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(y, labels)

    found = wb.check(model, X, loss=loss).statistics.operations[0]
    z = model[0](X)
    z.retain_grad()
    loss(model[2](model[1](z))).backward()
    rows = functional.normalize(z.detach().double()[np.linspace(0, 63, 32).round()], dim=1)
    cosines = (rows @ rows.T)[~torch.eye(32, dtype=torch.bool)]
    assert found.mean == pytest.approx(float(z.detach().mean()), rel=1e-5)
    assert found.correlation == pytest.approx(float(cosines.mean()), rel=1e-6)
    assert found.gradient_rms == pytest.approx(float(z.grad.square().mean().sqrt()), rel=1e-5)


def test_large_values_are_sampled_with_the_stated_error() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 200, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(200 * 1024, 4))
    with torch.no_grad():
        model[0].bias.copy_(torch.linspace(-2, 1, 200))
    images = torch.randn(8, 3, 32, 32)
    found = first(model, images)
    z = model[0](images).detach()
    assert found.mean == pytest.approx(float(z.mean()), abs=0.02 * found.rms)
    assert found.saturated == pytest.approx(float((z < 0).double().mean()), abs=0.05)
    alive = (z > 0).double().mean(dim=(0, 2, 3))
    assert float((alive == 0).double().mean()) - 0.1 < found.dead < float((alive < 0.01).double().mean()) + 0.1
    assert float((alive < 0.5).double().mean()) > found.dead + 0.2  # the control
    assert found.rms == pytest.approx(float(z.square().mean().sqrt()), rel=1e-4)


def test_the_jacobian_of_a_linear_net_is_its_frobenius_norm() -> None:
    torch.manual_seed(0)
    sizes = [(20, 300), (300, 200), (200, 150)]
    model = nn.Sequential(*(nn.Linear(*size, bias=False) for size in sizes))
    batch = torch.randn(64, 20)
    found = wb.check(model, batch).statistics
    product = (model[2].weight @ model[1].weight).detach()
    exact = float(product.norm()) / math.sqrt(150)
    assert found.jacobian == pytest.approx(exact, rel=0.05)
    assert found.jacobian != pytest.approx(exact / math.sqrt(2), rel=0.1)
    relu = nn.Sequential(nn.Linear(20, 300, bias=False), nn.ReLU(), nn.Linear(300, 150, bias=False))
    assert wb.check(relu, batch).statistics.sensitivity == pytest.approx(1.0, rel=0.15)  # positively homogeneous


def test_a_gradient_that_vanished_says_nothing_of_random_signals() -> None:
    assert aimless(0.98, 1.0)
    assert not aimless(1.02, 1.0)
    assert not aimless(0.0, 1.0)  # nothing can be divided by it
    assert not aimless(0.0, 0.0)
    assert not aimless(math.nan, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("shape", [(12, 5), (12, 1), (12,), (4, 6, 7), (4, 7, 3, 2), (4, 7, 2, 2, 2)])
def test_the_gradient_of_the_made_up_loss_is_that_of_autograd(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    output = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype).requires_grad_()
    made = made_up(TensorHandle(output), axis=classes_of(shape)[1]).loss
    found, sent = gradient_of(made, output)
    real = output.abs() if output.is_complex() else output
    axis = {1: 0, 2: 1, 3: 2}.get(len(shape), 1)
    if len(shape) == 1 or shape[axis] == 1:
        value = functional.mse_loss(real.float(), torch.from_numpy(made.targets))
    else:
        rows = real.movedim(axis, -1).reshape(-1, shape[axis]).float()
        assert isinstance(made, CrossEntropy)
        assert set(made.labels.tolist()) <= set(range(shape[axis]))
        value = functional.cross_entropy(rows, torch.from_numpy(made.labels))
    (expected,) = torch.autograd.grad(value, [output])
    assert found == pytest.approx(float(value.detach()), rel=1e-5)
    assert sent.dtype == expected.dtype
    assert sent.shape == expected.shape
    tolerance = {torch.bfloat16: 1e-2}.get(dtype, 1e-5)
    assert float((sent - expected).abs().max()) <= tolerance * float(expected.abs().max())


def test_updates_are_relative_to_the_weights() -> None:
    model, labels = net(nn.ReLU()), torch.arange(64) % 10

    def loss(y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(y, labels)

    found = {p.name: p for p in wb.check(model, X, loss=loss).statistics.parameters}
    gradient = torch.autograd.grad(loss(model(X)), model[0].weight)[0]
    assert found["0.weight"].update == pytest.approx(float(gradient.norm() / model[0].weight.detach().norm()), rel=1e-5)


# ---------------------------------------------------------------------- attention
class Attends(nn.Module):
    def __init__(self, way: str, mask: torch.Tensor | None = None, *, causal: bool = False, keys: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.way, self.mask, self.causal, self.keys = way, mask, causal, keys
        self.q, self.k, self.v = nn.Linear(32, 32), nn.Linear(32, 8 * keys), nn.Linear(32, 8 * keys)
        self.head = nn.Linear(32, 10)
        with torch.no_grad():
            self.q.weight.mul_(4)

    def logits(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q, k, v = (f(x).unflatten(-1, (-1, 8)).transpose(1, 2) for f in (self.q, self.k, self.v))
        k, v = (t.repeat_interleave(4 // self.keys, dim=1) for t in (k, v))
        scores = q @ k.mT / math.sqrt(8)
        if self.causal:
            scores = scores.masked_fill(torch.ones(10, 10, dtype=torch.bool).triu(1), -torch.inf)
        if self.mask is not None:
            masked = self.mask.dtype == torch.bool
            scores = scores.masked_fill(~self.mask, -1e9) if masked else scores + self.mask
        return scores, v

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "hand":
            scores, v = self.logits(x)
            mixed = torch.softmax(scores, dim=-1) @ v
        else:
            q, k, v = (f(x).unflatten(-1, (-1, 8)).transpose(1, 2) for f in (self.q, self.k, self.v))
            mixed = functional.scaled_dot_product_attention(
                q, k, v, attn_mask=self.mask, is_causal=self.causal, enable_gqa=self.keys < 4
            )
        return self.head(mixed.transpose(1, 2).flatten(2))


PADDING = torch.ones(2, 1, 1, 10, dtype=torch.bool)
PADDING[1, ..., 6:] = False
BIAS = torch.randn(1, 4, 10, 10, generator=torch.Generator().manual_seed(2)) * 2


@pytest.mark.parametrize("way", ["hand", "fused"])
@pytest.mark.parametrize(
    "options",
    [{}, {"causal": True}, {"mask": PADDING}, {"mask": BIAS}, {"keys": 2}, {"keys": 2, "causal": True}],
    ids=["plain", "causal", "padding", "biased", "grouped", "grouped, causal"],
)
def test_attention_is_measured_however_it_is_computed(way: str, options: dict) -> None:
    model = Attends(way, **options)
    (found,) = wb.check(model, SEQUENCES).statistics.attentions
    stds, entropies = [], []
    for row in model.logits(SEQUENCES)[0].detach().double().reshape(-1, 10):
        seen = row[row > -1e8]
        if len(seen) > 1:
            weights = torch.softmax(seen, 0)
            stds.append(float(seen.var(correction=0)))
            entropies.append(float(-(weights * weights.log()).sum()) / math.log(len(seen)))
    assert found.logit_std == pytest.approx(math.sqrt(np.mean(stds)), rel=1e-4)
    assert found.entropy == pytest.approx(np.mean(entropies), rel=1e-4)
    assert found.keys == 10
    assert found.weights == ("q.weight", "k.weight")


def test_a_softmax_over_classes_is_no_attention() -> None:
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10), nn.Softmax(dim=-1))
    with torch.no_grad():
        model[2].weight.mul_(500)
    found = wb.check(model, X)
    assert found.statistics.attentions == ()
    assert not {"W601", "W602"} & set(found.codes)


def test_packed_attention_of_torch_names_its_projection() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    (found,) = wb.check(layer, SEQUENCES).statistics.attentions
    assert found.weights == ("self_attn.in_proj_weight",)


# ---------------------------------------------------------------------- parameters
def test_tied_constant_and_patterned_tensors_are_no_twins() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.tied = nn.Linear(20, 20), nn.Linear(20, 20), nn.Linear(20, 20)
            self.tied.weight = self.one.weight
            self.ramps = nn.ParameterList(torch.arange(1.0, 21.0).log() for _ in range(2))
            for layer in (self.one, self.two, self.tied):
                nn.init.zeros_(layer.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.two(torch.tanh(self.one(x * self.ramps[0])))
            return self.tied(torch.tanh(x) + self.ramps[1])

    torch.manual_seed(0)
    model = Model()
    assert not any(p.twin for p in wb.check(model, X).statistics.parameters)
    with torch.no_grad():
        model.two.weight.copy_(model.one.weight)
    twins = [p for p in wb.check(model, X).statistics.parameters if p.twin]
    assert [(p.name, p.twin, p.twin_beside) for p in twins] == [("two.weight", "one.weight", False)]


def test_no_gradient_is_told_apart_by_its_reason() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.cut, self.unused, self.frozen = (nn.Linear(20, 20) for _ in range(4))
            self.frozen.requires_grad_(False)
            self.other = nn.Linear(20, 3)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.one(x) + self.cut(x).detach() + self.frozen(x), self.other(x)

    found = {f.code: f for f in wb.check(Model(), X).findings}
    assert (found["W801"].parameter, found["W801"].severity) == ("cut.weight", "unhealthy")
    assert found["W802"].severity == "remark"
    assert "frozen" not in str(found)
    parameters = {p.name: p for p in wb.check(Model(), X).statistics.parameters}
    assert not parameters["unused.weight"].used
    assert parameters["other.weight"].reaches is False  # it leads to another output than the one with a loss


def test_a_model_that_nothing_comes_back_through() -> None:
    class Model(nn.Module):
        def __init__(self, grad: bool) -> None:
            super().__init__()
            self.layer, self.head, self.grad = nn.Linear(20, 20), nn.Linear(20, 3), grad

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.set_grad_enabled(self.grad):
                return self.head(torch.relu(self.layer(x)))

    found = wb.initialize(Model(False), X, seed=0).health
    assert found.codes == ("W801",)
    assert found.findings[0].parameter == "layer.weight"
    assert wb.initialize(Model(True), X, seed=0).health.healthy  # the control


def test_the_range_of_half_precision() -> None:
    model = net(nn.ReLU())
    with torch.no_grad():
        model[0].weight.mul_(1e6)
        model[2].weight.mul_(1e-6)
    found = wb.check(model, X)
    assert "W402" in found.remarks
    assert found.statistics.operations[0].largest == pytest.approx(float(model[0](X).detach().abs().max()), rel=1e-6)
    quiet = wb.check(net(nn.ReLU()), X, loss=lambda y: 1e-9 * y.square().mean())
    assert "W403" in quiet.remarks
    assert "W403" not in wb.check(net(nn.ReLU()), X).remarks


# ---------------------------------------------------------------------- cost and side effects
CALLS: list[str] = []  # not the model's, which would be put back


class Counting(nn.Module):
    """Counts forward passes, and backward passes that reach its first weight or its output."""

    def __init__(self, readout: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))
        with torch.no_grad():
            self.layers[4].weight.mul_(readout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        CALLS.append("forward")
        h = self.layers[0](x)
        h.register_hook(lambda _: CALLS.append("backward"))
        return self.layers[1:](h)


@pytest.mark.parametrize(("readout", "passes"), [(1.0, 1), (20.0, 2), (0.0, 2)])
def test_one_forward_and_at_most_two_backwards(readout: float, passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one where the first says nothing of random signals, or nothing at all."""
    model, grads = Counting(readout), []
    run = torch.autograd._engine_run_backward
    count = lambda ends, *a, **k: grads.append(ends) or run(ends, *a, **k)  # noqa: E731
    monkeypatch.setattr(torch.autograd, "_engine_run_backward", count)
    monkeypatch.setattr("wellbegun.api.models.tried", lambda _, model, health, *rest: health)  # which measures copies
    CALLS.clear()
    statistics = wb.check(model, X).statistics
    assert statistics.injected is (readout == 0)
    assert (statistics.jacobian is None) is (readout == 0)
    assert CALLS.count("forward") == 1
    assert 1 <= CALLS.count("backward") <= 2
    assert len(grads) == passes


@pytest.mark.parametrize("loss", ["classes", "numbers"])
def test_the_gradient_of_random_targets_is_as_good_as_a_random_signal(
    loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    sizes, scale = (20, 300, 200, 64 if loss == "classes" else 1), 0.05 if loss == "numbers" else 0.3
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b, bias=False), nn.Tanh())][:-1]
    model, batch = nn.Sequential(*layers), torch.randn(256, 20)
    with torch.no_grad():
        model[4].weight.mul_(scale)
    found = wb.check(model, batch).statistics
    monkeypatch.setattr(sys.modules["wellbegun.measure.probe"], "aimless", lambda *_: False)
    other = wb.check(model, batch).statistics
    assert found.jacobian == pytest.approx(other.jacobian, rel=0.1)
    assert found.sensitivity == pytest.approx(other.sensitivity, rel=0.1)
    assert found.jacobian != other.jacobian  # two ways, not one
    monkeypatch.undo()
    if loss == "numbers":
        return
    with torch.no_grad():  # the control: one large output aims its gradient
        model[4].weight[0].mul_(200)
    right = wb.check(model, batch).statistics.jacobian
    product = torch.autograd.functional.jacobian(lambda h: model[1:](h).sum(0), model[0](batch[:32]).detach())
    assert right == pytest.approx(float(product.square().sum() / 32 / 64) ** 0.5, rel=0.2)
    monkeypatch.setattr(sys.modules["wellbegun.measure.probe"], "aimless", lambda *_: True)
    assert wb.check(model, batch).statistics.jacobian > 1.3 * right


def everything(model: nn.Module) -> dict[str, object]:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    flags = {name: (p.requires_grad, id(p), p._version) for name, p in model.named_parameters()}
    hooks = {
        name: (module.training, len(module._forward_hooks), len(module._forward_pre_hooks), len(module._backward_hooks))
        for name, module in model.named_modules()
    }
    rng = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    return {"state": state, "grads": grads, "flags": flags, "hooks": hooks, "rng": rng}


def same(one: object, two: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and torch.equal(one, two)
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, tuple):
        return isinstance(two, tuple) and len(one) == len(two) and all(map(same, one, two))
    return one == two


@pytest.mark.parametrize("training", [True, False])
def test_nothing_changes(training: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(True),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(512, 10),
    ).train(training)
    model[0].weight.requires_grad_(False)
    model[5].bias.grad = torch.ones(10)
    batch = torch.randn(16, 1, 8, 8)
    given, before = batch.clone(), everything(model)
    wb.check(model, batch)
    assert same(before, everything(model))
    assert torch.equal(batch, given)
    if training:  # the control: a plain pass does change what is compared
        model(batch).sum().backward()
        after = everything(model)
        for what in ("state", "grads", "rng"):
            assert not same(before[what], after[what]), what


def test_the_same_twice_and_in_any_mode() -> None:
    model = net(nn.ReLU())
    assert wb.check(model, X) == wb.check(model, X)
    with torch.no_grad():
        quiet = wb.check(model, X)
    assert quiet.statistics.operations[0].gradient
    with torch.inference_mode():
        assert wb.check(model, X.clone()) == quiet
    assert wb.check(model, X) == quiet


# ---------------------------------------------------------------------- precision
def test_autocast_and_bfloat16() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(20, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    full = wb.check(model, X)
    with torch.autocast("cpu", torch.bfloat16):
        cast = wb.check(model, X)
    half = wb.check(copy.deepcopy(model).bfloat16(), X)
    for other in (cast, half):
        assert other.healthy
        for one, two in zip(full.statistics.operations, other.statistics.operations, strict=True):
            assert two.rms == pytest.approx(one.rms, rel=0.02)
            assert two.gradient == pytest.approx(one.gradient, rel=0.05)
    assert cast.statistics.operations[0].rms != full.statistics.operations[0].rms  # it was autocast that was measured


def test_attention_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        (found,) = wb.check(Attends("fused", causal=True), SEQUENCES).statistics.attentions
    (full,) = wb.check(Attends("fused", causal=True), SEQUENCES).statistics.attentions
    assert found.logit_std == pytest.approx(full.logit_std, rel=0.02)


def test_double_precision_and_complex_weights() -> None:
    assert wb.check(net(nn.Tanh()).double(), X.double()).healthy

    class Fourier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(11, 11, dtype=torch.complex64) / math.sqrt(11))
            self.head = nn.Linear(20, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.fft.irfft(torch.fft.rfft(x) @ self.weight, n=20))

    torch.manual_seed(0)
    assert wb.check(Fourier(), X).healthy


def test_hooks_of_the_user_stay() -> None:
    model, called = net(nn.Tanh()), []
    handle = model[0].weight.register_hook(lambda gradient: called.append(float(gradient.norm())))
    found = wb.check(model, X).statistics.parameters[0]
    assert called == pytest.approx([found.gradient])
    model(X).sum().backward()
    assert len(called) == 2
    handle.remove()


def test_sparse_gradients_count_as_the_dense_ones_they_stand_for() -> None:
    words = torch.randint(0, 50, (32, 7), generator=torch.Generator().manual_seed(0))
    found = []
    for sparse in (True, False):
        layers = nn.Embedding(50, 16, sparse=sparse), Function(lambda h: h.mean(1)), nn.Linear(16, 50)
        result = wb.initialize(nn.Sequential(*layers), words, seed=0)
        found.append([(p.gradient, p.underflow, p.units) for p in result.health.statistics.parameters])
        assert result.health.healthy
    assert found[0] == found[1]
    assert found[0][0][0] > 0


def test_integers_that_are_made_numbers_again_and_again_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, came, layer = list[tuple[int, ...]](), forward.came, nn.Linear(8, 3)
    monkeypatch.setattr(forward, "came", lambda handle: looked.append(handle.shape) or came(handle))
    counts = []
    for times in (1, 3):
        model = Function(lambda x, times=times: sum(layer(x.float()) for _ in range(times)))
        model.layer = layer
        wb.check(model, torch.arange(32).reshape(4, 8))
        counts.append(looked.count((4, 8)))
        looked.clear()
    assert counts[0] == counts[1] > 0
