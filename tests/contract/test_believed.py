"""What trains is healthy however it is built, and the bad start of the same kind beside it is still found."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.backend.hosted import HostedHandle
from wellbegun.measure.samples import Rows, outlying


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def mlp(*widths: int) -> nn.Sequential:
    return nn.Sequential(*[m for a, b in pairwise(widths) for m in (nn.Linear(a, b), nn.ReLU())][:-1])


def clusters(width: int, classes: int, samples: int = 512) -> tuple[torch.Tensor, torch.Tensor]:
    labels = torch.arange(samples) % classes
    return torch.randn(classes, width)[labels] + torch.randn(samples, width), labels


# ---------------------------------------------------------------------- trained values
@pytest.mark.parametrize("widths", [(32, 64, 5), (16, 32, 32, 5), (64, 256, 10), (24, 16, 3)])
def test_a_small_trained_net_is_seen_as_trained(widths: tuple[int, ...]) -> None:
    model, (x, labels) = mlp(*widths), clusters(widths[0], widths[-1])
    assert not wb.check(model, x[:64]).statistics.trained
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(300):
        optimizer.zero_grad()
        functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    health = wb.check(model, x[:64])
    assert health.healthy
    assert health.statistics.trained
    assert not any("wb.initialize" in finding.remedy for finding in health.findings)


def test_a_confident_fresh_net_is_not() -> None:
    model = mlp(32, 64, 5)
    nn.init.uniform_(model[2].weight, -2, 2)
    health = wb.check(model, torch.randn(64, 32))
    assert health.codes == ("W501",)
    assert "wb.initialize" in health.findings[0].remedy


RANDOM = np.random.default_rng(0)
LAWS: dict[str, Callable[[int, int], Any]] = {
    "normal": lambda n, m: RANDOM.normal(size=(n, m)),
    "uniform": lambda n, m: RANDOM.uniform(-1, 1, (n, m)),
    "positive": lambda n, m: RANDOM.uniform(0, 1, (n, m)),
    "truncated": lambda n, m: (x := RANDOM.normal(size=(n, 4 * m)))[:, :m].clip(-2, 2) + 1e-6 * x[:, m : 2 * m],
    "of heavy tails": lambda n, m: RANDOM.standard_t(3, size=(n, m)),
    "orthogonal": lambda n, m: np.linalg.qr(RANDOM.normal(size=(max(n, m), max(n, m))))[0][:n, :m],
    "sparse": lambda n, m: RANDOM.normal(size=(n, m)) * (RANDOM.random((n, m)) < 0.1),
    "in sections": lambda n, m: RANDOM.normal(size=(n, m)) * np.repeat([1.0, 0.2, 1.0, 3.0], -(-n // 4))[:n, None],
    "by columns": lambda n, m: RANDOM.normal(size=(n, m)) * np.linspace(0.1, 2, m),
}


@pytest.mark.parametrize("law", LAWS)
def test_random_matrices_are_never_taken_for_trained(law: str) -> None:
    shapes = [(8, 8), (8, 64), (16, 16), (96, 9), (32, 64), (64, 32), (10, 300), (128, 128), (300, 700)]
    for n, m in shapes:
        for _ in range(20 if n < 100 else 4):
            values = LAWS[law](n, m)
            assert not outlying(Rows(HostedHandle(lambda values=values: values), 1)) > 4
    direction = RANDOM.normal(size=(96, 1)) @ RANDOM.normal(size=(1, 96)) / math.sqrt(96)
    learned = RANDOM.normal(size=(96, 96)) + 4 * direction
    assert outlying(Rows(HostedHandle(lambda: learned), 1)) > 5


def test_a_remedy_of_confident_outputs_says_when_it_would_harm() -> None:
    model, x = nn.Linear(32, 5), torch.randn(64, 32)  # too small for training to show
    nn.init.normal_(model.weight)
    (found,) = wb.check(model, x).findings
    assert found.code == "W501"
    assert found.remedy.endswith("# unless it was trained")
    labels = torch.arange(64) % 5
    given = wb.check(model, x, loss=lambda out: functional.cross_entropy(out, labels), chance=math.log(5))
    assert "unless" not in given.findings[0].remedy


# ---------------------------------------------------------------------- what the made-up loss cannot see
class Dueling(nn.Module):
    """A value of the state and advantages of actions, whose mean is taken away."""

    def __init__(self, trunk: nn.Module, width: int, actions: int, *, cut: bool = False) -> None:
        super().__init__()
        self.trunk, self.cut = trunk, cut
        self.value, self.advantage = mlp(width, 32, 1), mlp(width, 32, actions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.trunk(x)
        hidden = hidden.detach() if self.cut else hidden
        advantage = self.advantage(hidden)
        return self.value(hidden) + advantage - advantage.mean(dim=1, keepdim=True)


class Router(nn.Module):
    """The one weight of the expert that is picked, divided by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts, self.head = nn.Linear(16, 4), nn.Linear(16, 4 * 32), nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        most, which = self.router(x).softmax(dim=-1).max(dim=-1)
        each = self.experts(x).unflatten(-1, (4, 32))[torch.arange(len(x)), which]
        return self.head(torch.relu(each * (most / most)[:, None]))


def test_what_all_classes_share_is_a_remark_under_a_made_up_loss() -> None:
    x = torch.randn(32, 16)
    model = Dueling(nn.Sequential(nn.Linear(16, 64), nn.ReLU()), 64, 6)
    health = wb.check(model, x)
    assert health.healthy
    assert "W802" in health.remarks
    assert not {"W801", "W802"} & set(wb.check(model, x, loss=lambda out: (out[:, 0] - 1).square().mean()).codes)
    images = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 64), nn.ReLU())
    assert wb.check(Dueling(images, 64, 4), torch.randn(32, 1, 14, 14)).healthy


def test_what_cancels_inside_or_is_cut_is_found() -> None:
    x = torch.randn(32, 16)
    assert "W801" in wb.check(Router(), x).codes
    trunk = nn.Sequential(nn.Linear(16, 64), nn.ReLU())
    assert "W801" in wb.check(Dueling(trunk, 64, 6, cut=True), x).codes


# ---------------------------------------------------------------------- the batch
class Steps(nn.Module):
    """Steps of time from a first state of zeros or of a constant of its own."""

    def __init__(self, first: torch.Tensor) -> None:
        super().__init__()
        self.read, self.cell, self.head = nn.Linear(4, 24), nn.Linear(24, 24), nn.Linear(24, 5)
        self.register_buffer("first", first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.first.expand(len(x), -1)
        for step in range(x.shape[1]):
            state = torch.tanh(self.cell(state) + self.read(x[:, step]))
        return self.head(state)


@pytest.mark.parametrize("first", [torch.zeros(1, 24), torch.full((1, 24), 50.0), torch.linspace(-90, 90, 24)[None]])
def test_constants_of_the_model_are_no_input(first: torch.Tensor) -> None:
    x = torch.randn(16, 6, 4)
    health = wb.check(Steps(first), x)
    assert not {"W901", "W902", "W903"} & {finding.code for finding in health.findings}
    assert [one.name for one in health.statistics.inputs] == ["the batch"]
    assert "W902" in wb.check(Steps(first), 300 * x).codes


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_integers_that_a_weight_reads_as_numbers_are_an_input(scale: float) -> None:
    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.table, self.head = nn.Conv2d(3, 16, 3), nn.Embedding(300, 16), nn.Linear(16, 5)

        def forward(self, x: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            x = x.float() if scale == 1 else x.float() * scale
            return self.head(torch.relu(self.read(x)).mean((2, 3)) + self.table(words))

    batch = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8), torch.randint(200, 300, (8,))
    found = wb.check(Pixels(), batch).findings
    assert [one.place for one in found if one.code == "W902"] == ["the batch"] * (scale == 1)


def test_a_weight_used_at_every_step_learns_from_all_of_them() -> None:
    class Cells(nn.Module):
        def __init__(self, scale: float = 1.0) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(12, 32), nn.Linear(32, 5)
            self.below = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(12, 12), nn.Tanh())])
            with torch.no_grad():
                for layer in self.below[::2]:
                    nn.init.orthogonal_(layer.weight, scale)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x, h, c = self.below(x), torch.zeros(len(x), 32), torch.zeros(len(x), 32)
            for step in range(x.shape[1]):
                h, c = self.cell(x[:, step], (h, c))
            return self.head(h)

    x = torch.randn(16, 9, 12)
    assert wb.check(Cells(), x).healthy
    assert {"W101", "W201"} & set(wb.check(Cells(0.2), x).codes)  # the layers below vanish


@pytest.mark.parametrize(
    ("model", "batch"),
    [
        (mlp(16, 32, 5), torch.randn(0, 16)),
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)), torch.randn(0, 3, 8, 8)),
        (nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 5)), torch.zeros(0, 7, dtype=torch.long)),
    ],
)
def test_an_empty_batch_is_blamed_itself(model: nn.Module, batch: torch.Tensor) -> None:
    health = wb.check(model, batch)
    assert health.codes == ("W901",)
    assert "no samples" in health.findings[0].detail


def test_a_side_without_the_batch_is_no_collapse() -> None:
    class Offset(nn.Module):
        def __init__(self, *, shut: bool = False) -> None:
            super().__init__()
            self.read, self.side, self.head = nn.Linear(16, 32), nn.Linear(4, 32), nn.Linear(32, 5)
            self.register_buffer("first", torch.ones(1, 4))
            self.hidden, self.scale = nn.Linear(32, 32), 1e-7 if shut else 1.0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.hidden(self.scale * torch.relu(self.read(x)) + 1 * (self.scale < 1)))
            return self.head(hidden * torch.sigmoid(self.side(self.first.expand(len(x), -1))))

    x = torch.randn(32, 16)
    assert wb.check(Offset(), x).healthy
    assert "W103" in wb.check(Offset(shut=True), x).codes


# ---------------------------------------------------------------------- few samples, few units, masks
def test_few_made_up_labels_are_no_confident_output() -> None:
    model = mlp(16, 32, 5)
    with torch.no_grad():
        model[2].weight.mul_(4)
    for seed in range(8):
        x = torch.randn(2, 16, generator=torch.Generator().manual_seed(seed))
        assert "W501" not in wb.check(model, x).codes
    with torch.no_grad():
        model[2].weight.mul_(20)
    assert "W501" in wb.check(model, torch.randn(2, 16)).codes


def test_a_level_that_is_added_again_is_no_confident_output() -> None:
    class Level(nn.Module):
        def __init__(self, *, again: bool) -> None:
            super().__init__()
            self.read, self.again = mlp(48, 64, 24), again

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mean, size = x.mean(dim=-1, keepdim=True), x.std(dim=-1, keepdim=True)
            out = self.read((x - mean) / size)
            return out * size + mean if self.again else out

    x = torch.randn(16, 48).cumsum(dim=-1)
    assert wb.check(Level(again=True), x).healthy
    model = Level(again=False)
    nn.init.normal_(model.read[2].weight)
    assert "W501" in wb.check(model, x).codes


class Windows(nn.Module):
    """Attention within windows, of which some hide the keys that are no neighbours by -100."""

    def __init__(self, loud: float = 1.0) -> None:
        super().__init__()
        self.attend, self.head = nn.Linear(16, 48), nn.Linear(16, 5)
        with torch.no_grad():
            self.attend.weight[:32].mul_(loud)
        mask = torch.zeros(4, 1, 8, 8)
        mask[1, :, :4, 4:] = mask[1, :, 4:, :4] = mask[3, :, ::2, 1::2] = -100.0
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.attend(x).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        logits = query @ key.mT / 8**0.5 + self.mask.repeat(len(x) // 4, 1, 1, 1)
        return self.head((logits.softmax(-1) @ value).transpose(1, 2).flatten(2))


def test_masks_that_differ_between_windows_are_no_logits() -> None:
    x = torch.randn(8, 8, 16)
    assert wb.check(Windows(), x).healthy
    assert "W601" in wb.check(Windows(12.0), x).codes


def test_two_units_of_a_squeeze_may_both_be_off() -> None:
    class Squeeze(nn.Module):
        def __init__(self, units: int) -> None:
            super().__init__()
            self.stem, self.down, self.up = nn.Conv2d(3, 16, 3), nn.Conv2d(16, units, 1), nn.Conv2d(units, 16, 1)
            self.head = nn.Linear(16, 5)
            nn.init.constant_(self.down.bias, -1.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.stem(x))
            each = self.up(torch.relu(self.down(x.mean(dim=(2, 3), keepdim=True))))
            return self.head((x * torch.sigmoid(each)).mean(dim=(2, 3)))

    x = torch.randn(8, 3, 12, 12)
    assert not {"W701", "W702"} & set(wb.check(Squeeze(2), x).codes)
    assert "W701" in wb.check(Squeeze(32), x).codes


def test_two_unlucky_labels_do_not_make_a_first_loss_high() -> None:
    batch, codes = torch.randn(2, 8), set[str]()
    for seed in range(12):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
        model[2].weight.data.mul_(0.1)
        model[2].bias.data.copy_(torch.tensor([1.3, -0.3, -1.0])[torch.randperm(3)])
        codes |= {*wb.check(model, batch).codes}
    assert not codes
    model[2].bias.data.mul_(5)
    assert "W501" in wb.check(model, torch.randn(32, 8)).codes
