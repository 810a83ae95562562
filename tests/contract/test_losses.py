"""Which loss `check` judges, and what it would be for a model that knows nothing."""

import math
from typing import Any

import pytest
import torch
from loss_models import COINS, LABELS, G, X, Y, loss_of, net
from torch import nn
from torch.nn import functional

import wellbegun as wb


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


# ---------------------------------------------------------------------- where classes are
@pytest.mark.parametrize(
    ("made", "shape", "what"),
    [
        (lambda: nn.Conv1d(3, 5, 1), (4, 3, 8), "5 classes"),
        (lambda: nn.Conv1d(3, 1, 1), (4, 3, 8), "squared"),
        (lambda: nn.Linear(3, 5), (4, 8, 3), "5 classes"),
        (lambda: nn.Linear(3, 5), (4, 8, 6, 3), "5 classes"),
        (lambda: nn.Conv2d(3, 5, 1), (4, 3, 8, 6), "5 classes"),
    ],
)
def test_classes_are_the_units_of_the_readout(made: Any, shape: tuple[int, ...], what: str) -> None:
    assert what in loss_of(wb.check(made(), torch.randn(shape, generator=G))).description
