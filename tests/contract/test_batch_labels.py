"""What a loader gives beside the inputs is used where it fits, and what became of it is said."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.backend import BinaryCrossEntropy
from wellbegun.measure import losses
from wellbegun.torch.handles import TensorHandle as Handle

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


def one_hot(labels: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(labels, 5)


@pytest.mark.parametrize("form", [lambda y: y[:, None], one_hot, lambda y: one_hot(y).float()])
def test_labels_in_columns_and_rows_with_a_single_one_are_labels(form: Any) -> None:
    value, description, _ = loss_of((X, form(LABELS)), model())
    assert value == pytest.approx(functional.cross_entropy(model()(X), LABELS).item(), rel=1e-5)
    assert "the batch's labels" in description
    assert "the batch's labels" not in loss_of((X, one_hot(LABELS) + one_hot(LABELS.flip(0))), model())[1]


def test_rows_that_are_left_out_do_not_count() -> None:
    some = torch.where(torch.arange(32) < 20, -100, LABELS)
    net = model()
    value, _, _ = loss_of((X, some), net)
    assert value == pytest.approx(functional.cross_entropy(net(X), some).item(), rel=1e-5)
    functional.cross_entropy(net(X), some).backward()
    found = {one.name: one.gradient for one in wb.check(net, (X, some)).statistics.parameters}
    assert found["2.weight"] == pytest.approx(net[2].weight.grad.norm().item(), rel=1e-4)


def told(batch: Any) -> list[str]:
    health = wb.check(model(), batch)
    return [str(finding) for finding in health.findings if finding.code == "W904"]


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (LABELS + 1, "labels go from 1 to 5, and the 5 classes from 0 to 4"),
        (LABELS - 1, "labels go from -1 to 3"),
        (torch.where(torch.arange(32) == 3, torch.nan, 1.0), "1 of 32 targets are nan or inf"),
    ],
)
def test_targets_that_fit_no_loss_are_told(y: torch.Tensor, text: str) -> None:
    (found,) = told((X, y))
    assert text in found
    for fine in ((X, LABELS), (X, LABELS, y), {"input": X, "labels": LABELS, "id": 1000 * LABELS}):
        assert not told(fine)


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
    assert "The loss is given what the batch holds beside the inputs" in notes


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


class Named(nn.Module):
    def __init__(self, units: int = 5) -> None:
        super().__init__()
        self.net = model(units)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.net(x)


Y = torch.randn(32, 1, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("batch", "loss"),
    [
        ({"x": X, "target": Y}, lambda output, *, target: functional.mse_loss(output, target)),
        ({"x": X, "weight": 1 + 0 * Y, "target": Y}, lambda o, target, weight: (weight * (o - target) ** 2).mean()),
        ({"x": X, "id": LABELS, "labels": Y}, functional.mse_loss),
        ((X, None, {"y": Y, "id": LABELS}), lambda output, given: functional.mse_loss(output, given["y"])),
    ],
)
def test_a_loss_is_given_what_it_names(batch: Any, loss: Any) -> None:
    net = Named(1)
    value, _, notes = loss_of(batch, net, loss=loss)
    assert value == pytest.approx(functional.mse_loss(net(X), Y).item(), rel=1e-5)
    assert "The loss is given what the batch holds beside the inputs" in notes


def test_a_loss_that_needs_what_the_batch_does_not_tell_is_an_error() -> None:
    with pytest.raises(wb.errors.ArgumentError, match=r"inputs \(id, rank\); got \['target'\]"):
        wb.check(Named(), {"x": X, "id": LABELS, "rank": LABELS}, loss=functional.cross_entropy)


def test_a_given_loss_whose_chance_is_known_is_judged() -> None:
    loud = model()
    with torch.no_grad():
        loud[2].weight.mul_(300)
    assert "W501" in wb.check(loud, (X, LABELS), loss=functional.cross_entropy).codes
    smooth = nn.CrossEntropyLoss(label_smoothing=0.3)
    assert "W501" not in wb.check(loud, (X, LABELS), loss=smooth).codes  # another loss, whose chance is not known


def test_what_a_model_takes_as_an_option_is_said() -> None:
    notes = " ".join(wb.check(Named(), (X, LABELS)).notes)
    assert "The last item of the batch is taken for 'mask', which the model can do without." in notes
    assert "do without" not in " ".join(wb.check(Named(), (X,)).notes)


def test_a_loss_of_the_models_own_is_no_output() -> None:
    class Own(Named):
        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
            logits = self.net(x)
            return logits if labels is None else (functional.cross_entropy(logits, labels) * 2, logits)

    net = Own()
    wanted = functional.cross_entropy(net(X), LABELS)
    value, description, notes = loss_of({"x": X, "labels": LABELS}, net)
    assert (value, description) == (pytest.approx(2 * wanted.item(), rel=1e-5), "the loss that the model gives")
    assert f"With readouts that give zero it is {2 * np.log(5):.3g}" in notes
    wanted.backward()
    found = {one.name: one.gradient for one in wb.check(net, {"x": X, "labels": LABELS}).statistics.parameters}
    assert found["net.2.weight"] == pytest.approx(2 * net.net[2].weight.grad.norm().item(), rel=1e-4)


def test_of_a_dict_too_and_one_that_the_model_takes_whole_leaves_nothing() -> None:
    class Plain(Named):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    class Together(Named):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.net(batch["x"])

    batch = {"x": X, "labels": LABELS}
    assert "the batch's labels" in loss_of(batch, Plain())[1]
    assert "random labels" in loss_of(batch, Together())[1]


def test_what_is_no_numbers_is_left_alone() -> None:
    assert "random labels" in loss_of((X, np.array(["a"] * 32)), model())[1]
    assert "random labels" in loss_of((X, "name"), model())[1]


class Loss(Named):
    """One that gives a loss besides."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> Any:
        logits = self.net(x)
        return logits if labels is None else (self.loss(functional.cross_entropy(logits, labels)), logits)


def test_a_loss_of_the_models_own_that_is_no_number_is_found() -> None:
    batch = {"x": X, "labels": LABELS}
    assert "W401" in wb.check(Loss(lambda loss: loss + torch.log(-loss.detach())), batch).codes
    assert not wb.check(Loss(lambda loss: loss), batch).codes
    assert "the batch's labels" in loss_of((X, LABELS), Loss(lambda loss: loss))[1]  # by place, too


def test_probabilities_are_judged_by_their_logarithms() -> None:
    quiet = nn.Sequential(*model(), nn.Softmax(-1))
    value, description, _ = loss_of((X, LABELS), quiet)
    assert value == pytest.approx(functional.nll_loss(quiet(X).log(), LABELS).item(), rel=1e-5)
    assert "cross-entropy of probabilities of 5 classes" in description
    assert not wb.check(quiet, X).codes
    with torch.no_grad():
        quiet[2].weight.mul_(300)
    assert "W501" in wb.check(quiet, X).codes
    assert "W501" in wb.check(quiet, (X, LABELS)).codes


# ---------------------------------------------------------------------- rows of probabilities, whole numbers, bytes
def loud(net: Any, factor: float = 300) -> Any:
    with torch.no_grad():
        net[2].weight.mul_(factor)
    return net


TEACHER = (torch.randn(32, 5, generator=torch.Generator().manual_seed(2)) / 10).softmax(1)
SINGLE = one_hot(LABELS).float()
SOFT = [TEACHER, 0.9 * SINGLE + 0.02, 0.3 * SINGLE + 0.7 * SINGLE.flip(0), TEACHER.bfloat16()]


@pytest.mark.parametrize("rows", SOFT)
@pytest.mark.parametrize("end", [nn.Identity(), nn.LogSoftmax(1), nn.Softmax(1)])
def test_rows_of_probabilities_are_judged_by_a_cross_entropy(rows: torch.Tensor, end: nn.Module) -> None:
    net = nn.Sequential(*model(), end)
    health, wanted = wb.check(net, (X, rows)), functional.cross_entropy(model()(X), rows.float())
    loss = health.statistics.loss
    assert loss is not None
    assert (loss.value, loss.chance) == (pytest.approx(wanted.item(), rel=1e-5), np.log(5))
    assert loss.value > torch.special.entr(rows.float()).sum(1).mean()  # the least there is
    assert not health.codes
    plain = model()
    functional.cross_entropy(plain(X), rows.float()).backward()
    found = {one.name: one.gradient for one in health.statistics.parameters}
    assert found["2.weight"] == pytest.approx(plain[2].weight.grad.norm().item(), rel=1e-4)
    assert "W501" in wb.check(loud(net), (X, rows)).codes


def test_logarithms_of_a_teacher_are_rows_of_probabilities_and_other_rows_are_not() -> None:
    assert loss_of((X, TEACHER.log()), model())[0] == pytest.approx(loss_of((X, TEACHER), model())[0], rel=1e-5)
    for rows in (TEACHER * 1.1, TEACHER - 0.5, TEACHER.log() - 1):
        assert "squared" in loss_of((X, rows), model())[1]
    assert "binary" in loss_of((X, TEACHER), nn.Sequential(*model(), nn.Sigmoid()))[1]


def test_rows_of_probabilities_of_places() -> None:
    pictures, net = torch.randn(2, 3, 8, 8), nn.Conv2d(3, 4, 3, padding=1)
    rows = torch.randn(2, 4, 8, 8).softmax(1)
    assert loss_of((pictures, rows), net)[0] == pytest.approx(functional.cross_entropy(net(pictures), rows).item())


AGES = torch.arange(18, 50)


@pytest.mark.parametrize("y", [AGES, AGES[:, None], -AGES, AGES.to(torch.uint8), AGES.bfloat16()])
def test_whole_numbers_beside_a_single_output_are_targets(y: torch.Tensor) -> None:
    value, description, _ = loss_of((X, y), model(1))
    assert value == pytest.approx(functional.mse_loss(model(1)(X)[:, 0], y.float().flatten()).item(), rel=1e-5)
    assert description == "mean squared error against the batch's targets"
    assert wb.check(model(1), (X, y)).codes == ("W902",)
    assert not wb.check(model(1), (X, y.long() % 5)).codes


def test_whole_numbers_are_targets_in_several_columns_and_not_if_they_are_those_of_samples() -> None:
    counts = torch.stack([AGES % 7, AGES % 5, AGES % 11], 1)
    assert "squared error against the batch's" in loss_of((X, counts), model(3))[1]
    assert "random" in loss_of({"input": X, "id": AGES}, model(1))[1]
    for batch in ({"input": X, "id": AGES, "target": Y}, (X, AGES, Y), {"input": X, "id": AGES, "price": Y}):
        assert loss_of(batch, model(1))[0] == pytest.approx(functional.mse_loss(model(1)(X), Y).item(), rel=1e-5)


@pytest.mark.parametrize("void", [-100, 255])
@pytest.mark.parametrize("units", [1, 5])
def test_places_that_do_not_count(void: int, units: int) -> None:
    pictures, net = torch.randn(2, 3, 8, 8), nn.Conv2d(3, units, 3, padding=1)
    labels = torch.arange(128).reshape(2, 8, 8) % max(units, 2)
    some = torch.where(torch.arange(8) < 3, void, labels)
    output, counted = net(pictures), some != void
    if units == 1:
        wanted = functional.binary_cross_entropy_with_logits(output[:, 0][counted], labels[counted].float())
    else:
        wanted = functional.cross_entropy(output, some, ignore_index=void)
    wanted.backward()
    for y in (some, *([some.to(torch.uint8)] if void > 0 else [])):
        health = wb.check(net, (pictures, y))
        assert health.statistics.loss is not None
        assert health.statistics.loss.value == pytest.approx(wanted.item(), rel=1e-5)
        assert health.statistics.parameters[0].gradient == pytest.approx(net.weight.grad.norm().item(), rel=1e-4)
        assert not health.codes
        assert not health.remarks


def test_bytes_that_a_language_model_shifts_are_labels() -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(11, 16), nn.Linear(16, 11)

        def forward(self, ids: torch.Tensor, labels: torch.Tensor) -> Any:
            logits = self.out(self.table(ids.long()))
            return functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().long()), logits

    ids = (torch.arange(36).reshape(4, 9) % 11).to(torch.uint8)
    value, description, _ = loss_of({"ids": ids, "labels": ids}, Language())
    assert description.endswith("cross-entropy of 11 classes against the batch's labels")
    assert value > 0


def test_labels_of_places_whose_classes_are_on_the_second_axis_and_labels_that_are_true_or_false() -> None:
    signals, labels = torch.randn(4, 16, 20), torch.arange(80).reshape(4, 20) % 5
    net = nn.Conv1d(16, 5, 3, padding=1)
    assert loss_of((signals, labels), net)[0] == pytest.approx(functional.cross_entropy(net(signals), labels).item())
    value, _, _ = loss_of((X, LABELS > 2), model(2))
    assert value == pytest.approx(functional.cross_entropy(model(2)(X), (LABELS > 2).long()).item(), rel=1e-5)


def test_smoothed_labels_of_several_at_once_are_binary_and_nothing_is_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    many = (torch.randn(32, 5, generator=torch.Generator().manual_seed(3)) > 1).float()
    monkeypatch.setattr(np, "unique", lambda *_, **__: pytest.fail("sorts"))
    for targets in (many, many * 0.9 + 0.05, many.bool()):
        found = losses.made_up(Handle(model()(X)), axis=1, beside={"y": targets.numpy()})
        assert isinstance(found.loss, BinaryCrossEntropy)
    assert "squared" in losses.made_up(Handle(model()(X)), axis=1, beside={"y": (many * 0.8).numpy()}).description
