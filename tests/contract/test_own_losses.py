"""Losses that a model gives itself: which of what it returns they are, and what they would be by chance."""

import math
from typing import Any

import pytest
import torch
from loss_models import (
    COINS,
    FEW,
    LABELS,
    NAMED,
    PLACED,
    G,
    Own,
    X,
    entropies,
    entropy,
    logistic,
    loss_of,
    net,
    smoothed,
)
from torch import nn
from torch.nn import functional

import wellbegun as wb

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


# ---------------------------------------------------------------------- losses that teach nothing, and those of no kind
@pytest.mark.parametrize("place", [lambda loss, z: (loss, z), lambda loss, z: {"loss": loss, "logits": z}])
@pytest.mark.parametrize("change", [torch.Tensor.detach, lambda loss: 0 * loss, lambda loss: (loss - 100).relu()])
@pytest.mark.parametrize("kind", [entropy, smoothed])
def test_a_loss_that_teaches_nothing_is_found(place: Any, change: Any, kind: Any) -> None:
    health = wb.check(Own(lambda *a: place(change(kind(*a)), a[0])), NAMED)
    if change is torch.Tensor.detach and kind is smoothed and isinstance(place(0, 0), tuple):
        assert (loss_of(health).made_up, health.codes) == (True, ())  # it may be a figure to be shown, and
        assert "The model gives a loss itself" in " ".join(health.notes)  # is told as what it may be
    else:
        assert "W801" in health.codes
    assert not wb.check(Own(lambda *a: place(kind(*a), a[0])), NAMED).codes


def accuracy(z: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return (z.argmax(1) == y).float().mean()


FIGURES = [
    lambda z, x, y: (z, {"ce": entropy(z, x, y).detach(), "hits": accuracy(z, y)}),
    lambda z, _, y: (accuracy(z, y), z),
]


@pytest.mark.parametrize("function", FIGURES)
def test_figures_beside_logits_need_no_gradient(function: Any) -> None:
    health = wb.check(Own(function), NAMED)
    assert not health.codes
    assert loss_of(health).description.startswith("cross-entropy")


UNKNOWN = [
    (lambda *a: (smoothed(*a), a[0]), 1),
    (lambda *a: {"loss": smoothed(*a), "logits": a[0]}, 1),
    (smoothed, 1),
    (entropy, 1),
    (lambda *a: 32 * entropy(*a), 32),
    (lambda *a: {"losses": {"one": entropy(*a), "two": smoothed(*a)}, "logits": a[0]}, 2),
    (lambda *a: {"loss_one": entropy(*a), "two_loss": smoothed(*a), "logits": a[0]}, 2),
]


@pytest.mark.parametrize(("function", "times"), UNKNOWN)
def test_a_loss_of_no_known_kind_is_judged_by_what_readouts_of_zero_give(function: Any, times: int) -> None:
    health, loud = wb.check(Own(function), NAMED), Own(function)
    assert loss_of(health).chance == pytest.approx(times * math.log(5), rel=1e-5)
    assert not health.codes
    with torch.no_grad():
        loud.net[2].weight.mul_(300)
    assert wb.check(loud, NAMED).codes == ("W501",)
    known = wb.check(loud, NAMED, chance=1e4)
    assert (loss_of(known).chance, known.codes) == (1e4, ())


@pytest.mark.parametrize("function", [lambda *a: entropy(*a) - 9, lambda *a: entropies(*a)[:, None] - 9])
def test_losses_of_both_signs_are_not_judged_without_a_chance(function: Any) -> None:
    health = wb.check(Own(function), NAMED)
    assert not health.codes
    assert loss_of(health).chance is None
    assert "not judged without `chance`" in " ".join(health.notes)
    advantages = X[:, 0] - X[:, 0].mean()
    signed = Own(lambda *a: (entropies(*a) * advantages).mean())
    assert loss_of(wb.check(signed, NAMED)).chance is None


@pytest.mark.parametrize(
    "function", [lambda *a: (2 * entropy(*a), a[0]), lambda *a: (entropy(*a), a[0]), lambda *a: a[0]]
)
def test_the_chance_that_is_given_counts(function: Any) -> None:
    assert "W501" in wb.check(Own(function), NAMED, chance=0.1).codes
    assert loss_of(wb.check(Own(function), NAMED, chance=0.1)).chance == 0.1
    assert "chance" in " ".join(wb.check(net(), X, chance=0.1).notes)  # of a loss against random labels
    assert not wb.check(net(), X, chance=0.1).codes


@pytest.mark.parametrize("name", ["aux_loss", "commit_loss", "penalty"])
def test_a_part_of_a_loss_beside_logits_is_no_loss_whatever_it_is_called(name: str) -> None:
    health = wb.check(Own(lambda z, *_: {name: z.square().mean(), "logits": z}), NAMED)
    assert loss_of(health).description == "cross-entropy of 5 classes against the batch's labels"
    assert "The model gives a loss itself" in " ".join(health.notes)


def test_losses_of_entries_beside_logits_of_their_shape() -> None:
    batch = {"x": X, "labels": (FEW < 0.3).float()}
    model = Own(lambda z, _, y: (logistic(z, y, reduction="none"), z))
    found = loss_of(wb.check(model, batch))
    assert found.value == pytest.approx(model(**batch)[0].mean().item(), rel=1e-5)
    assert found.chance == math.log(2)


def test_losses_of_places_that_are_fewer_than_the_logits() -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(11, 16), nn.Linear(16, 11)

        def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> Any:
            logits = self.out(self.table(ids))
            return functional.cross_entropy(logits[:, :-1].mT, labels[:, 1:], reduction="none"), logits

    ids = torch.arange(36).reshape(4, 9) % 11
    found = loss_of(wb.check(Language(), {"ids": ids, "labels": ids}))
    assert found.description.startswith("the mean of the losses that the model gives")
    assert found.chance == pytest.approx(math.log(11), rel=1e-5)


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


def test_a_net_at_fault_is_not_told_as_its_loss() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3, bias=False))
    nn.init.constant_(model[0].bias, -100.0)
    assert {"W201", "W701"} <= {*wb.check(model, X, loss=lambda out: (out - 1).square().mean()).codes}
    assert wb.check(net(), X, loss=lambda out: 0 * out.square().mean()).codes == ("W801",)  # the control


@pytest.mark.parametrize("mask", [(0, 255), (1, -100), (0, 1, 255)])
def test_255_is_a_place_that_does_not_count_beside_both_others(mask: tuple[int, ...]) -> None:
    model = nn.Sequential(net(1), nn.Sigmoid())
    labels = torch.tensor(mask)[torch.randint(0, len(mask), (32, 1), generator=G)]
    found = wb.check(model, (X, labels)).statistics.loss
    assert found is not None
    assert ("binary" in found.description and "the batch's targets" in found.description) == (mask != (0, 255))
