"""What a loader gives beside the inputs is used where it fits, and what became of it is said."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(32) % 5


def model(units: int = 5) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, units))


def loss_of(batch: Any, found: nn.Module, **given: Any) -> tuple[float, str, str]:
    health = wb.check(found, batch, **given)
    assert health.statistics.loss is not None
    return health.statistics.loss.value, health.statistics.loss.description, " ".join(health.notes)


@pytest.mark.parametrize("batch", [(X, LABELS), [X, LABELS], (X, LABELS, torch.ones(3))])
def test_labels_of_the_batch_make_the_loss(batch: Any) -> None:
    value, description, notes = loss_of(batch, model())
    assert value == pytest.approx(functional.cross_entropy(model()(X), LABELS).item(), rel=1e-5)
    assert description == "cross-entropy of 5 classes against the batch's labels"
    assert description in notes


@pytest.mark.parametrize("shape", [(32,), (32, 1)])
def test_targets_of_the_batch_make_the_loss(shape: tuple[int, ...]) -> None:
    y = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    value, description, _ = loss_of((X, y), model(1))
    assert value == pytest.approx(functional.mse_loss(model(1)(X).reshape(shape), y).item(), rel=1e-5)
    assert description == "mean squared error against the batch's targets"


@pytest.mark.parametrize("y", [LABELS + 1, LABELS - 1, LABELS[:8], torch.full((32, 5), torch.nan), torch.zeros(0)])
def test_what_does_not_fit_is_said_and_not_used(y: torch.Tensor) -> None:
    value, description, notes = loss_of((X, y), model())
    assert value == loss_of(X, model())[0]
    assert "random labels" in description
    assert "fits no loss that is made up" in notes


def test_labels_of_places_are_used_too() -> None:
    pictures, places = torch.randn(2, 3, 8, 8), torch.arange(2 * 64).reshape(2, 8, 8) % 4
    net = nn.Conv2d(3, 4, 3, padding=1)
    value, _, _ = loss_of((pictures, places), net)
    assert value == pytest.approx(functional.cross_entropy(net(pictures), places).item(), rel=1e-5)


@pytest.mark.parametrize(
    "loss", [functional.cross_entropy, nn.CrossEntropyLoss(), lambda out, y: functional.cross_entropy(out, y)]
)
def test_a_loss_that_needs_labels_is_given_them(loss: Any) -> None:
    value, _, notes = loss_of((X, LABELS), model(), loss=loss)
    assert value == pytest.approx(functional.cross_entropy(model()(X), LABELS).item(), rel=1e-5)
    assert "chance" in notes


def test_a_loss_without_chance_is_said_not_to_be_judged_and_all_else_is() -> None:
    loud = model()
    with torch.no_grad():
        loud[2].weight.mul_(300)
    loss = lambda out: functional.cross_entropy(out, LABELS)  # noqa: E731
    found = wb.check(loud, X, loss=loss)
    assert "W501" not in found.codes
    assert any("not judged" in note for note in found.notes)
    known = wb.check(loud, X, loss=loss, chance=1.6)
    assert "W501" in known.codes
    assert not any("not judged" in note for note in known.notes)
    assert "W501" in wb.check(loud, (X, LABELS)).codes
    nn.init.zeros_(loud[0].weight)
    assert "W301" in wb.check(loud, X, loss=loss).codes


def test_of_a_dict_too_and_one_that_the_model_takes_whole_leaves_nothing() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = model()

    class Named(Whole):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    class Together(Whole):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.net(batch["x"])

    batch = {"x": X, "labels": LABELS}
    assert "the batch's labels" in loss_of(batch, Named())[1]
    assert "random labels" in loss_of(batch, Together())[1]


def test_what_is_no_numbers_is_left_alone() -> None:
    assert "random labels" in loss_of((X, np.array(["a"] * 32)), model())[1]
    assert "random labels" in loss_of((X, "name"), model())[1]
