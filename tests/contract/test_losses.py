"""Which loss `check` judges, and what it would be for a model that knows nothing."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

import wellbegun as wb

G = torch.Generator().manual_seed(0)
X, LABELS = torch.randn(32, 16, generator=G), torch.randint(0, 5, (32,), generator=G)
Y = torch.randn(32, 1, generator=G)


def net(units: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, units))


def loss_of(health: wb.Health) -> Any:
    assert health.statistics.loss is not None
    return health.statistics.loss


# ---------------------------------------------------------------------- squared errors
@pytest.mark.parametrize(
    ("targets", "code"),
    [(Y, None), (3 * Y + 1000, "W902"), (1e5 * Y.exp(), "W902"), (Y / 1000, "W501"), (Y / 10 + 5, "W501")],
)
@pytest.mark.parametrize("given", [{}, {"loss": functional.mse_loss}])
def test_the_variance_of_the_targets_is_the_chance_of_a_squared_error(targets: Any, code: Any, given: Any) -> None:
    health = wb.check(net(1), (X, targets), **given)
    assert health.codes == (() if code is None else (code,))
    assert loss_of(health).chance == pytest.approx(targets.var(unbiased=False).item(), rel=1e-4)


def test_each_column_of_targets_has_a_mean_of_its_own() -> None:
    shifted = torch.randn(32, 3, generator=G) + torch.tensor([0.0, 2.0, -2.0])
    assert loss_of(wb.check(net(3), (X, shifted))).chance == pytest.approx(shifted.var(0, unbiased=False).mean().item())


def test_targets_that_do_not_vary_have_no_chance_and_learned_ones_may_be_raw() -> None:
    assert loss_of(wb.check(net(1), (X, torch.ones(32, 1)))).chance is None
    learned = net(1)
    assert "W902" not in wb.check(learned, (X, learned(X).detach() * 1.001 + 0 * Y)).codes
    with torch.no_grad():
        learned[2].weight.mul_(1000)
    exact = learned(X).detach() + Y
    assert "W902" not in wb.check(learned, (X, exact)).codes


@pytest.mark.parametrize("given", [{}, {"loss": functional.mse_loss}])
@pytest.mark.parametrize(
    ("bias", "spread", "code"), [(1000, 3, None), (0, 3, "W902"), (1000, 100, "W902"), (1000, 0.01, "W501")]
)
def test_a_bias_that_is_the_mean_of_raw_targets_leaves_their_deviation(
    bias: float, spread: float, code: Any, given: Any
) -> None:
    model, targets = net(1), spread * Y + 1000
    nn.init.constant_(model[2].bias, bias)
    health = wb.check(model, (X, targets), **given)
    assert health.codes == (() if code is None else (code,))
    assert code != "W501" or "weight" in str(health.findings[0].remedy)  # which zeros mend, and no shifted targets


# ---------------------------------------------------------------------- binary targets
COINS = (torch.rand(32, 1, generator=G) < 0.5).float()


class Odds(nn.Module):
    """A function of one logit."""

    def __init__(self, function: Any, units: int = 1) -> None:
        super().__init__()
        self.net, self.function = net(units), function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.net(x))


SIGMOIDS = [
    torch.sigmoid,
    lambda z: 1 / (1 + (-z).exp()),
    lambda z: (z.tanh() + 1) / 2,
    lambda z: functional.logsigmoid(z).exp().squeeze(1),
]


@pytest.mark.parametrize("function", SIGMOIDS)
def test_a_sigmoid_is_judged_by_a_binary_cross_entropy(function: Any) -> None:
    model = Odds(function)
    for batch in (X, (X, COINS), (X, COINS[:, 0].long())):
        found = loss_of(wb.check(model, batch))
        assert found.chance == math.log(2)
        assert found.description.startswith("binary cross-entropy of probabilities")
    found = loss_of(wb.check(model, (X, COINS)))
    assert found.value == pytest.approx(functional.binary_cross_entropy(model(X), COINS.view_as(model(X))).item())
    assert not wb.check(model, X).codes
    with torch.no_grad():
        model.net[2].weight.mul_(300)
    assert "W501" in wb.check(model, X).codes
    assert "W501" in wb.check(model, (X, COINS)).codes


@pytest.mark.parametrize("units", [2, 5])
def test_a_sigmoid_for_each_class_is_judged_class_by_class(units: int) -> None:
    labels = LABELS % units
    single = functional.one_hot(labels, units).float()
    model, shares = Odds(torch.sigmoid, units), Odds(lambda z: z.softmax(1), units)
    wanted = functional.binary_cross_entropy(model(X), single).item()
    for targets in (single, labels):
        found = loss_of(wb.check(model, (X, targets)))
        assert (found.value, found.chance) == (pytest.approx(wanted), math.log(2))
        assert loss_of(wb.check(shares, (X, targets))).chance == math.log(units)
    with torch.no_grad():
        model.net[2].weight.mul_(300)
    assert "W501" in wb.check(model, (X, single)).codes


def test_gradients_are_those_of_the_binary_cross_entropy() -> None:
    model = Odds(torch.sigmoid)
    functional.binary_cross_entropy(model(X), COINS).backward()
    found = {one.name: one.gradient for one in wb.check(model, (X, COINS)).statistics.parameters}
    assert found["net.0.weight"] == pytest.approx(model.net[0].weight.grad.norm().item(), rel=1e-4)


@pytest.mark.parametrize("targets", [COINS, COINS.bool(), COINS[:, 0].long()])
def test_logits_beside_binary_targets_are_judged_by_a_binary_cross_entropy(targets: torch.Tensor) -> None:
    found, model = loss_of(wb.check(net(1), (X, targets))), net(1)
    wanted = functional.binary_cross_entropy_with_logits(model(X), COINS)
    assert (found.value, found.chance) == (pytest.approx(wanted.item()), math.log(2))


@pytest.mark.parametrize("function", [torch.tanh, lambda z: functional.hardsigmoid(z), lambda z: torch.sigmoid(z) * 3])
def test_what_is_no_sigmoid_is_judged_as_before(function: Any) -> None:
    assert "squared" in loss_of(wb.check(Odds(function), X)).description


def test_a_bias_that_says_that_ones_are_rare_is_no_fault() -> None:
    model = Odds(torch.sigmoid)
    nn.init.constant_(model.net[2].bias, math.log(0.01 / 0.99))
    assert not wb.check(model, X).codes
    assert "W501" in wb.check(model, (X, COINS)).codes


# ---------------------------------------------------------------------- losses that models give themselves
class Own(nn.Module):
    """What a function makes of a net, inputs and targets."""

    def __init__(self, function: Any, units: int = 5) -> None:
        super().__init__()
        self.net, self.function = net(units), function

    def forward(self, x: torch.Tensor, gold: torch.Tensor | None = None, labels: torch.Tensor | None = None) -> Any:
        return self.function(self.net(x), x, labels if gold is None else gold)


def entropy(logits: torch.Tensor, _: Any, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, y)


def entropies(logits: torch.Tensor, _: Any, y: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits, y, reduction="none")


NAMED, PLACED = {"x": X, "labels": LABELS}, (X, LABELS)
OWN = [
    (entropy, PLACED),
    (lambda *a: {"loss": entropy(*a)}, NAMED),
    (lambda *a: entropy(*a)[None], NAMED),
    (entropies, NAMED),
    (lambda *a: {"losses": entropies(*a)}, PLACED),
    (lambda *a: (entropies(*a), a[0]), PLACED),
    (lambda *a: (a[0], entropies(*a)), NAMED),
    (lambda *a: (entropy(*a), a[0].argmax(1)), NAMED),
]


@pytest.mark.parametrize(("function", "batch"), OWN)
def test_a_loss_of_the_models_own_is_judged(function: Any, batch: Any) -> None:
    model, plain = Own(function), net()
    health, wanted = wb.check(model, batch), functional.cross_entropy(plain(X), LABELS)
    assert loss_of(health).value == pytest.approx(wanted.item(), rel=1e-5)
    wanted.backward()
    found = {one.name: one.gradient for one in health.statistics.parameters}
    assert found["net.0.weight"] == pytest.approx(plain[0].weight.grad.norm().item(), rel=1e-4)
    assert not health.codes


FEW = torch.rand(32, 5, generator=G)
logistic = functional.binary_cross_entropy_with_logits
SINGLE = [
    (lambda z, _, y: logistic(z, y, reduction="none"), COINS),
    (lambda z, _, y: logistic(z, y[:, None].float(), reduction="none"), COINS[:, 0].long()),
    (lambda z, _, y: logistic(z[:, 0], y.float(), reduction="none"), COINS[:, 0].long()),
    (lambda z, _, y: logistic(z, y.float(), reduction="none"), (FEW < 0.5).long()),
    (lambda z, _, y: (z - y) ** 2, FEW),
    (lambda z, _, y: -z.log_softmax(1).gather(1, y[:, None]), LABELS),
    (lambda z, _, y: functional.multi_margin_loss(z, y, reduction="none")[:, None].expand(32, 5), LABELS),
]


@pytest.mark.parametrize(("function", "targets"), SINGLE)
def test_losses_of_samples_with_a_second_axis_are_losses(function: Any, targets: torch.Tensor) -> None:
    model = Own(function, targets.shape[1] if targets.ndim > 1 else 1 if targets.max() == 1 else 5)
    health = wb.check(model, {"x": X, "labels": targets})
    found = loss_of(health)
    assert found.value == pytest.approx(model(X, targets).mean().item(), rel=1e-5)
    assert found.description == "the mean of the losses that the model gives"
    assert not health.codes


@pytest.mark.parametrize("function", [lambda z, _, y: z * y, lambda z, _, y: z + y, lambda z, *_: z.relu()])
def test_outputs_that_read_labels_are_no_losses(function: Any) -> None:
    assert "model gives" not in loss_of(wb.check(Own(function), {"x": X, "labels": FEW})).description


class Tasks(nn.Module):
    """Two heads with a loss each."""

    def __init__(self, form: Any) -> None:
        super().__init__()
        self.net, self.one, self.two, self.form = net(16), nn.Linear(16, 5), nn.Linear(16, 5), form

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> Any:
        known = self.net(x).relu()
        return self.form(*(functional.cross_entropy(head(known), labels) for head in (self.one, self.two)))


FORMS = [
    lambda a, b: (a, b),
    lambda a, b: {"l1": a, "reg": b},
    lambda a, b: (a + b, a, b),
    lambda a, b: {"a": a, "b": b, "loss": a + b},
]


@pytest.mark.parametrize("form", FORMS)
def test_of_several_losses_the_sum_is_judged(form: Any) -> None:
    model = Tasks(form)
    health, plain = wb.check(model, NAMED), Tasks(lambda a, b: a + b)
    plain.load_state_dict(model.state_dict())
    plain(X, LABELS).backward()
    assert loss_of(health).value == pytest.approx(plain(X, LABELS).item(), rel=1e-5)
    found = {one.name: one.gradient for one in health.statistics.parameters}
    for name, tensor in plain.named_parameters():
        assert found[name] == pytest.approx(tensor.grad.norm().item(), rel=1e-4)
    assert not health.codes


def test_an_autoencoder_gives_a_loss_without_targets() -> None:
    model = Own(lambda y, x, _: functional.mse_loss(y, x), 16)
    health = wb.check(model, X)
    assert loss_of(health).value == pytest.approx(model(X).item())
    assert "Gradients are those of the loss that the model gives" in " ".join(health.notes)
    assert "W501" in wb.check(model, X, chance=model(X).item() / 3).codes


def test_a_loss_beside_a_reconstruction_is_what_compares_it_with_the_input() -> None:
    model = Own(lambda y, x, _: (y, functional.mse_loss(y, x)), 16)
    assert loss_of(wb.check(model, X)).value == pytest.approx(model(X)[1].item())
    part = Own(lambda y, x, _: (y, y.square().mean()), 16)
    assert "random labels" in loss_of(wb.check(part, X)).description


@pytest.mark.parametrize("shift", [0, 1])
def test_labels_that_a_language_model_shifts_have_a_chance(shift: int) -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(11, 16), nn.Linear(16, 11)

        def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> Any:
            logits = self.out(self.table(ids))
            loss = functional.cross_entropy(logits[:, : 9 - shift].flatten(0, 1), labels[:, shift:].flatten())
            return {"loss": loss, "logits": logits}

    torch.manual_seed(0)
    model, ids = Language(), torch.randint(0, 11, (4, 9), generator=G)
    found = loss_of(wb.check(model, {"ids": ids, "labels": ids}))
    assert (found.value, found.chance) == (pytest.approx(model(ids, ids)["loss"].item()), math.log(11))


@pytest.mark.parametrize(
    ("function", "units", "what"),
    [
        (lambda y, *_: y.squeeze(1), 1, "squared"),
        (lambda y, *_: (y[:, 0], y), 5, "random labels"),  # computed of it, but no loss
        (lambda y, *_: (y, 0.1 * y.square().mean()), 5, "random labels"),  # a penalty: part of a loss
    ],
)
def test_what_is_no_loss_is_judged_as_an_output(function: Any, units: int, what: str) -> None:
    assert what in loss_of(wb.check(Own(function, units), X)).description


def test_what_is_not_finite_is_named_before_the_batch_where_a_loss_refuses_it() -> None:
    model = Own(lambda z, _, y: functional.binary_cross_entropy(z.sigmoid(), y), 1)
    model.net.insert(1, nn.BatchNorm1d(32))
    model.register_buffer("mask", torch.full((3,), -torch.inf))  # as attention has
    batch = {"x": X, "labels": COINS}
    with pytest.raises(wb.errors.TraceError, match="order of arguments") as refused:  # the control
        wb.check(model, {"x": X * torch.nan, "labels": COINS})  # which makes nan of statistics, until they come back
    assert "look there" not in str(refused.value)
    assert not wb.check(model, batch).codes
    for tensor, name in ((model.net[1].running_mean, "buffer"), (model.net[0].weight, "parameter")):
        with torch.no_grad():
            tensor[0] = torch.nan
        with pytest.raises(wb.errors.TraceError, match=f"The model's {name}.* look there first"):
            wb.check(model.eval(), batch)


class Linears(nnx.Module):
    def __init__(self) -> None:
        self.rngs = nnx.Rngs(0)
        self.first, self.last = nnx.Linear(16, 32, rngs=self.rngs), nnx.Linear(32, 5, rngs=self.rngs)

    def __call__(self, x: jax.Array, y: jax.Array) -> Any:
        logits = self.last(jax.nn.tanh(self.first(x)))
        losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)[:, 0]
        parts = losses.mean(), jnp.square(logits).mean()
        return {"alone": parts[0], "beside": (losses, logits), "several": parts}[self.form]

    form = "beside"


@pytest.mark.parametrize("form", ["alone", "beside", "several"])
def test_in_jax_too(form: str) -> None:
    model = Linears()
    model.form = form
    found = wb.check(model, (X.numpy(), LABELS.numpy()))
    given = model(X.numpy(), LABELS.numpy())
    wanted = given if form == "alone" else given[0].mean() if form == "beside" else sum(given)
    assert loss_of(found).value == pytest.approx(float(wanted), rel=1e-5)
    assert "model gives" in loss_of(found).description
    odds = nnx.Sequential(nnx.Linear(16, 1, rngs=nnx.Rngs(0)), jax.nn.sigmoid)
    assert loss_of(wb.check(odds, X.numpy())).chance == math.log(2)
