"""Which loss `check` judges, and what it would be for a model that knows nothing."""

import math
from typing import Any

import pytest
import torch
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
