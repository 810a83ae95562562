"""What looks faint or flat to a measure and is not: behind norms, in logits, in sums with itself; and what truly is."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

WIDTH = 32


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def small(model: nn.Module, std: float = 0.02) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
    return model


class Pooled(nn.Module):
    """Stages of small convolutions; a branch whose factor is 1e-5 stands in each, and norms stand in the branches."""

    def __init__(self, std: float = 0.02) -> None:
        super().__init__()
        widths = (3, 16, 16, 32, 32)
        self.stages = small(nn.ModuleList(nn.Conv2d(*pair, 3, 2, 1) for pair in itertools.pairwise(widths)), std)
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for width in widths[1:])
        self.scales = nn.ParameterList(torch.full((width, 1, 1), 1e-5) for width in widths[1:])
        self.mixes = small(nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths[1:]))
        self.last, self.head = nn.GroupNorm(1, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for stage, norm, scale, mix in zip(self.stages, self.norms, self.scales, self.mixes, strict=True):
            x = stage(x)
            x = x + scale * mix(norm(x))
        return self.head(self.last(x).mean((2, 3)))


@pytest.mark.parametrize(("std", "healthy"), [(0.015, True), (1e-4, False)])
def test_a_faint_signal_that_a_norm_restores_is_none_and_one_that_its_epsilon_swallows_is(
    std: float, healthy: bool
) -> None:
    health = wb.check(Pooled(std), torch.randn(4, 3, 64, 64))
    assert health.healthy is healthy
    restored = [o.restored for o in health.statistics.operations if o.parameter == "stages.3.weight"]
    assert (restored[0] > 0.1) is healthy


class Placed(nn.Module):
    """Attention after norms, with places that are compared with what is there, and a net that makes biases of them."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(50, WIDTH), nn.Parameter(0.02 * torch.randn(12, WIDTH))
        self.parts = nn.ModuleList(nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(5)) for _ in range(2))
        self.biases = nn.ModuleList(nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1)) for _ in range(2))
        self.norms, self.head = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3)), nn.Linear(WIDTH, 50)
        self.register_buffer("grid", torch.rand(12, 12, 2))
        small(self)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norms[2](self.table(tokens))
        for (query, key, value, near, out), bias, norm in zip(self.parts, self.biases, self.norms, strict=False):
            logits = (
                query(x) @ (key(x).mT + near(self.places).mT) / WIDTH**0.5 + 8 * torch.sigmoid(bias(self.grid))[..., 0]
            )
            x = norm(x + out(logits.softmax(-1) @ value(x)))
        return self.head(x)


def test_what_only_weighs_signals_carries_none() -> None:
    health = wb.check(Placed(), torch.randint(50, (8, 12)))
    assert health.healthy
    scoring = {o.parameter for o in health.statistics.operations if o.scoring}
    assert scoring == {f"parts.{i}.{j}.weight" for i in (0, 1) for j in (0, 1, 3)} | {
        f"biases.{i}.{j}.weight" for i in (0, 1) for j in (0, 2)
    }


def test_of_a_fused_attention_too() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 64, batch_first=True)

    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.layer, self.head = layer, nn.Linear(WIDTH, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = nn.functional.scaled_dot_product_attention(self.query(x), self.key(x), self.value(x))
            return self.head(self.layer(y))

    found = wb.check(Crossed(), torch.randn(8, 12, WIDTH)).statistics.operations
    assert {o.parameter for o in found if o.scoring} == {"query.weight", "key.weight"}


class Snake(nn.Module):
    """x + sin(ax)^2 / a, whose second term is flat near zero."""

    def __init__(self, alone: bool = False) -> None:
        super().__init__()
        self.factor, self.alone = nn.Parameter(torch.ones(16, 1)), alone

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wave = torch.sin(self.factor * x).square() / (self.factor + 1e-9)
        return wave if self.alone else x + wave


@pytest.mark.parametrize("alone", [False, True])
def test_a_function_that_is_added_to_its_own_value_is_not_flat(alone: bool) -> None:
    first = nn.Conv1d(1, 16, 7, padding=3)
    nn.init.normal_(first.weight, std=1e-4), nn.init.zeros_(first.bias)
    model = nn.Sequential(
        first, Snake(alone), nn.Conv1d(16, 16, 3, padding=1), nn.BatchNorm1d(16), nn.ReLU(), nn.Conv1d(16, 4, 1)
    )
    assert ("W701" in wb.check(model, torch.randn(8, 1, 64)).codes) is alone


class Vocoder(nn.Module):
    """Small convolutions, with biases of their own, in branches of a stream that carries the signal."""

    def __init__(self, cut: float = 1.0) -> None:
        super().__init__()
        self.first, self.up, self.last = (
            nn.Conv1d(20, 32, 7, padding=3),
            nn.ConvTranspose1d(32, 16, 8, 4, 2),
            nn.Conv1d(16, 1, 7, padding=3),
        )
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.1), nn.Conv1d(16, 16, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv1d(16, 16, 3, padding=1)
            )
            for _ in range(3)
        )
        with torch.no_grad():
            for layer in self.branches.modules():
                if isinstance(layer, nn.Conv1d):
                    layer.weight.normal_(0, 0.002)
            self.up.weight.mul_(cut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(nn.functional.leaky_relu(self.first(x), 0.1))
        for branch in self.branches:
            x = x + branch(x)
        return torch.tanh(self.last(nn.functional.leaky_relu(x, 0.1)))


def test_a_branch_that_tells_no_samples_apart_leaves_the_stream_that_does() -> None:
    batch = torch.randn(4, 20, 16)
    assert "W103" not in wb.check(Vocoder(), batch).codes
    assert "W103" in wb.check(Vocoder(1e-6), batch).codes


def test_what_is_added_inside_a_faint_branch_gets_its_gradient() -> None:
    """A factor of 1e-7 behind it is no cancelling."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.inside, self.places = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(4, WIDTH)
            self.scale = nn.Parameter(torch.full((WIDTH,), 1e-7))
            self.register_buffer("grid", torch.randn(12, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.scale * self.inside(self.norm(x + self.places(self.grid)))

    model = nn.Sequential(
        nn.Linear(12, WIDTH), Block(), Block(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10)
    )
    assert wb.check(model, torch.randn(8, 12, 12)).healthy


def test_the_loss_is_taken_of_an_output_that_has_a_history() -> None:
    class Points(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores = self.body(x)
            return scores.argmax(-1).float(), scores

    health = wb.check(Points(), torch.randn(32, 16))
    assert health.healthy
    assert health.statistics.differentiable


class Firing(torch.autograd.Function):
    """Spikes, of which the way back knows a slope."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return (x > 1).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return grads[0] / (1 + 10 * (x - 1).abs()) ** 2


class Spiking(nn.Module):
    """Two layers of units that fire when what they have summed up is above 1."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(16, 64), nn.Linear(64, 64), nn.Linear(64, 4)
        for layer in (self.first, self.second):
            nn.init.normal_(layer.weight, 0, scale * layer.in_features**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, one, two = torch.zeros(len(x), 4), torch.zeros(len(x), 64), torch.zeros(len(x), 64)
        for _ in range(4):
            one = 0.9 * one + self.first(x)
            two = 0.9 * two + self.second(Firing.apply(one))
            out = out + self.head(Firing.apply(two))
        return out


def test_units_that_never_fire_are_found_and_those_that_start_later_are_none() -> None:
    x = torch.randn(32, 16)
    (found,) = (one for one in wb.check(Spiking(0.02), x).findings if one.severity == "unhealthy")
    assert (found.code, found.place) == ("W101", "second (linear)")
    assert "W101" not in wb.check(Spiking(2.0), x).codes


class Refined(nn.Module):
    """Places that three layers refine, each from those before, which no gradient goes back through; logits first."""

    def __init__(self, *, all_zero: bool = False) -> None:
        super().__init__()
        self.stem, self.start, self.seen = nn.Linear(16, 16), nn.Parameter(torch.randn(4)), nn.Linear(4, 16)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 16)) for _ in range(3))
        self.move = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
        self.out = nn.Linear(16, 5)
        for layer in self.move[0 if all_zero else 2 :: 2]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        h, place = self.stem(x), self.start.sigmoid().expand(len(x), -1)
        for block in self.blocks:
            h = functional.layer_norm(h + block(h) + self.seen(place), (16,))
            moved = (self.move(h) + place.logit()).sigmoid()
            place = moved.detach()
        return {"logits": self.out(h), "places": moved}


def test_a_zero_last_layer_of_places_that_are_refined_is_healthy_and_two_are_not() -> None:
    x = torch.randn(64, 16)
    assert wb.check(Refined(), x).healthy
    assert {f.parameter for f in wb.check(Refined(all_zero=True), x).findings if f.code == "W301"} >= {"move.0.weight"}


def test_another_output_is_no_way_around_a_layer_of_zeros() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.own, self.inner, self.out, self.other = (nn.Linear(16, 16) for _ in range(5))
            nn.init.zeros_(self.inner.weight)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            h = torch.tanh(self.stem(x))
            return self.out(h), self.other(torch.tanh(self.inner(torch.tanh(self.own(h)))))

    for loss in (None, lambda found: sum(one.square().mean() for one in found)):
        assert "W301" in wb.check(Two(), torch.randn(64, 16), loss=loss).codes


class Shared(nn.Module):
    """A softmax of scores: shares of experts, or all that the next layer sees."""

    def __init__(self, times: float, *, weighs: bool) -> None:
        super().__init__()
        self.scores, self.experts, self.out = nn.Linear(32, 8), nn.Linear(32, 8 * 16), nn.Linear(16, 5)
        self.inside, self.weighs = nn.Linear(8, 16), weighs
        with torch.no_grad():
            self.scores.weight.mul_(times)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shares = self.scores(x).softmax(-1)
        given = self.experts(x).unflatten(-1, (8, 16))
        return self.out(torch.relu((shares[..., None] * given).sum(1) if self.weighs else self.inside(shares)))


@pytest.mark.parametrize(("times", "weighs", "found"), [(20, True, False), (900, True, True), (20, False, True)])
def test_shares_that_weigh_signals_may_be_sharper_than_those_that_carry_them(
    times: float, weighs: bool, found: bool
) -> None:
    assert ("W602" in wb.check(Shared(times, weighs=weighs), torch.randn(64, 32)).codes) == found


class Field(nn.Module):
    """What takes derivatives of a network itself, as for forces and residuals of equations."""

    def __init__(self, order: int, size: float = 1.0) -> None:
        super().__init__()
        layers = [layer for _ in range(3) for layer in (nn.Linear(20, 20), nn.Tanh())]
        self.net, self.order = nn.Sequential(nn.Linear(2, 20), nn.Tanh(), *layers, nn.Linear(20, 1)), order
        with torch.no_grad():
            for weight in self.net.parameters():
                weight.mul_(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.clone().requires_grad_()
        y = start = self.net(x)
        for _ in range(self.order):
            y = torch.autograd.grad(y.sum(), x, create_graph=True)[0][:, :1]
        return y + start


@pytest.mark.parametrize("order", [1, 2, 3])
def test_steps_of_derivatives_that_a_model_takes_carry_no_signal(order: int) -> None:
    torch.manual_seed(0)
    batch = torch.randn(64, 2)
    assert wb.check(Field(order), batch).codes == ()
    assert {"W101", "W103"} & {*wb.check(Field(order, 0.05), batch).codes}  # the control: the network itself fades
    taken = [o.derivative for o in wb.check(Field(order), batch).statistics.operations]
    assert taken[:5] == [False] * 5
    assert all(taken[5:])
    assert len(taken) > 5 * order
