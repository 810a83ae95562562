"""Outputs that are the same for all samples are found, wherever samples are lost; by zeros that wake they are meant."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

X = torch.randn(32, 8, generator=torch.Generator().manual_seed(1))
IDS = torch.randint(0, 50, (16, 6), generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


class Net(nn.Module):
    """A function of the batch and of parts."""

    def __init__(self, function: Callable[..., torch.Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x, *self.parts)


def mlp(out: int = 5) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, out))


def zeros(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    return layer


CUT = {
    "times zero": lambda x, net: net(x * 0),
    "minus itself": lambda x, net: net(x - x),
    "first sample": lambda x, net: net(x[:1].expand_as(x)),
    "mean before": lambda x, net: net(x.mean(0, keepdim=True).expand(len(x), -1)),
    "mean inside": lambda x, net: net[2:](net[:2](x).mean(0, keepdim=True)).expand(len(x), -1),
    "mean behind": lambda x, net: net(x).mean(0, keepdim=True).expand(len(x), -1),
    "softmax of one": lambda x, net: net(x.sum(1, keepdim=True).softmax(1).expand(-1, 8)),
    "rounded away": lambda x, net: net((x / 100).round()),
    "clamped": lambda x, net: net(x.clamp(7, 8)),
    "largest of all": lambda x, net: net(x).amax(0, keepdim=True).repeat(len(x), 1),
    "norm of one value": lambda x, net: net(functional.layer_norm(x[..., None], (1,)).squeeze(-1)),
}


@pytest.mark.parametrize("name", CUT)
def test_samples_that_are_lost_are_found(name: str) -> None:
    """What sums up a set may be told to all of it: of that, it is a remark."""
    health = wb.check(Net(CUT[name], mlp()), X)
    summed = name in ("mean inside", "mean behind", "largest of all")
    assert "W103" in (health.remarks if summed else health.codes)
    assert health.healthy == summed


OFFSET = {
    "large": lambda: nn.Sequential(*mlp()[:4], biased(nn.Linear(32, 5), 1e6)),
    "of energies": lambda: Net(lambda x, net: net(x) * 0.05 - 1e5, mlp(1)),
    "half precision": lambda: nn.Sequential(*mlp()[:4], biased(nn.Linear(32, 1), 5.0, 1e-3)).bfloat16(),
    "rounded": lambda: Net(lambda x, net: (y := 0.1 * net(x) + 2.2) + (y.round() - y).detach(), mlp()),
}


def biased(layer: nn.Linear, bias: float, size: float = 1.0) -> nn.Linear:
    nn.init.constant_(layer.bias, bias)
    layer.weight.data.mul_(size)
    return layer


@pytest.mark.parametrize("name", OFFSET)
def test_what_is_rounded_away_beside_an_offset_is_not(name: str) -> None:
    model = OFFSET[name]()
    x = X.to(next(model.parameters()).dtype)
    told = wb.check(model, x)
    assert "W103" not in (*told.codes, *told.remarks)


def test_inputs_that_are_the_same_for_all_samples_leave_the_output_so() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(8, 32), nn.Linear(32, 4)

        def forward(self, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
            return self.last(torch.relu(near @ self.first(x)))

    near = torch.eye(16).roll(1, 0) + torch.eye(16).roll(-1, 0)
    assert "W103" not in wb.check(Graph(), (torch.ones(16, 8), near)).codes


@pytest.mark.parametrize("groups", [8, 2])
def test_a_norm_over_one_value_forgets_it(groups: int) -> None:
    def net() -> nn.Sequential:
        norm = nn.GroupNorm(groups, 8)
        return nn.Sequential(nn.Conv2d(3, 8, 8), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8, 4))

    assert ("W103" in wb.check(net(), IMAGES).codes) == (groups == 8)


def test_where_they_are_lost_is_told() -> None:
    behind = next(one for one in wb.check(Net(CUT["mean behind"], mlp()), X).findings if one.code == "W103")
    assert behind.place.startswith("parts.0.4")
    assert "not behind it" in behind.detail
    before = wb.check(Net(CUT["mean before"], mlp()), X).findings[0]
    assert before.place.startswith("parts.0.0")
    assert "not behind it" not in before.detail


MEANT = {
    "as it is": (lambda x, net: net(x), [mlp()]),
    "readout of zero": (lambda x, net: net(x), [nn.Sequential(*mlp()[:4], zeros(nn.Linear(32, 5)))]),
    "branch of zero alone": (lambda x, net, end: end(net(x)) + 1.0, [mlp(8), zeros(nn.Linear(8, 5))]),
    "centred": (lambda x, net: net(x - x.mean(0)), [mlp()]),
    "mean beside": (lambda x, net: net(x) + net(x).mean(0, keepdim=True), [mlp()]),
    "a sign of one unit": (lambda x, net: torch.sign(net(x) + 30), [mlp(1)]),
    "one set": (lambda x, net: net(x).mean(0), [mlp()]),
    "softmax over samples": (lambda x, net: net(x) * net(x).softmax(0), [mlp()]),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_tells_samples_apart_or_will_is_not(name: str) -> None:
    function, parts = MEANT[name]
    assert "W103" not in wb.check(Net(function, *parts), X).codes


def test_ids_and_batches_of_equal_samples() -> None:
    table = nn.Embedding(50, 8)
    lost = Net(lambda x, table, net: net(table(x).mean((0, 1), keepdim=True)[0].expand(len(x), -1)), table, mlp())
    kept = Net(lambda x, table, net: net(table(x).mean(1)), table, mlp())
    assert "W103" in wb.check(lost, IDS).codes
    assert "W103" not in wb.check(kept, IDS).codes
    assert "W103" not in wb.check(mlp(), X[:1].repeat(32, 1)).codes  # the batch itself tells nothing apart


class Cosines(nn.Module):
    """Cosines with classes, at a temperature."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.net, self.classes, self.scale = mlp(16), nn.Parameter(torch.randn(10, 16)), scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * functional.linear(functional.normalize(self.net(x)), functional.normalize(self.classes))


@pytest.mark.parametrize(("scale", "found"), [(1.0, False), (16.0, False), (64.0, False), (1e4, True)])
def test_cosines_at_a_temperature_that_is_far_too_low(scale: float, found: bool) -> None:
    labels = torch.randint(0, 10, (32,))
    loss = lambda out: functional.cross_entropy(out, labels)  # noqa: E731
    health = wb.check(Cosines(scale), X, loss=loss, chance=math.log(10))
    assert ("W501" in health.codes) == found
    assert all("temperature" in one.remedy for one in health.findings if one.code == "W501")


@pytest.mark.parametrize("size", [1.0, 1e-6, 0.0])
def test_a_token_opened_by_factors_of_any_size_down_to_zero(size: float) -> None:
    from test_believed_tokens import Token

    batch = torch.randn(16, 9, 12, generator=torch.Generator().manual_seed(1))
    assert wb.check(Token(size), batch).healthy
