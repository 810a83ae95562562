"""Zeros that are meant (branch ends, outputs, transforms that start as the identity) are healthy; others are found."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def zero(layer: Any, bias: torch.Tensor | None = None) -> Any:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    if bias is not None:
        layer.bias.data.copy_(bias.flatten())
    return layer


def waves(time: torch.Tensor) -> torch.Tensor:
    return torch.sin(time[:, None] * torch.linspace(0.1, 3, 32))


class Block(nn.Module):
    """Attention and MLP, shifted, scaled and gated by a condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.inside = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.condition = nn.Sequential(nn.SiLU(), zero(nn.Linear(width, 6 * width)))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        a, b, g, d, e, h = self.condition(c)[:, None].chunk(6, -1)
        y = self.norms[0](x) * (1 + b) + a
        x = x + g * self.attend(y, y, y)[0]
        return x + h * self.inside(self.norms[1](x) * (1 + e) + d)


class Diffuser(nn.Module):
    def __init__(self, damage: Callable[[Any], object] = lambda _: None, width: int = 32) -> None:
        super().__init__()
        self.patches, self.time = nn.Conv2d(3, width, 4, 4), nn.Sequential(nn.Linear(32, width), nn.SiLU())
        self.blocks = nn.ModuleList(Block(width) for _ in range(3))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.condition = nn.Sequential(nn.SiLU(), zero(nn.Linear(width, 2 * width)))
        self.out = zero(nn.Linear(width, 48))
        with torch.no_grad():
            damage(self)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        c, x = self.time(waves(time)), self.patches(x).flatten(2).mT
        for block in self.blocks:
            x = block(x, c)
        a, b = self.condition(c)[:, None].chunk(2, -1)
        return self.out(self.norm(x) * (1 + b) + a)


class Residual(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, before), nn.SiLU(), nn.Conv2d(before, after, 3, 1, 1))
        self.last = nn.Sequential(nn.GroupNorm(4, after), nn.SiLU(), zero(nn.Conv2d(after, after, 3, 1, 1)))
        self.time, self.skip = nn.Linear(32, after), nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return self.skip(x) + self.last(self.first(x) + self.time(time)[..., None, None])


class Down(nn.Module):
    """A U-Net of one level, whose branches and output are zero."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.cut, self.stem = cut, nn.Conv2d(3, 16, 3, 1, 1)
        self.time = nn.Sequential(nn.Linear(32, 32), nn.SiLU())
        self.down, self.inside = nn.Conv2d(16, 32, 3, 2, 1), Residual(32, 32)
        self.up, self.outside = nn.ConvTranspose2d(32, 16, 2, 2), Residual(32, 16)
        self.out = nn.Sequential(nn.GroupNorm(4, 16), nn.SiLU(), zero(nn.Conv2d(16, 3, 3, 1, 1)))

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        x, time = self.stem(x), self.time(waves(time))
        y = self.inside(self.down(x), time)
        y = y.detach() if self.cut else y
        return self.out(self.outside(torch.cat([x, self.up(y)], 1), time))


IMAGES, TIMES = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)), 9 * torch.arange(4.0)


@pytest.mark.parametrize("make", [Diffuser, Down])
def test_zero_branches_and_a_zero_output_are_healthy(make: Callable[[], nn.Module]) -> None:
    health = wb.check(make(), (IMAGES, TIMES))
    assert health.healthy
    assert health.statistics.injected


DAMAGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "patches of zeros": (lambda m: (m.patches.weight.zero_(), m.patches.bias.zero_()), "W103"),
    "loud attention": (lambda m: m.blocks[0].attend.in_proj_weight.mul_(12), "W601"),
    "nan": (lambda m: m.time[0].weight[0].fill_(torch.nan), "W401"),
    "equal units": (lambda m: m.patches.weight.copy_(m.patches.weight[:1].expand_as(m.patches.weight)), "W301"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_bad_beside_zeros_that_are_meant_is_found(damage: str) -> None:
    damaged, code = DAMAGES[damage]
    assert code in wb.check(Diffuser(damaged), (IMAGES, TIMES)).codes


def test_a_detached_half_beside_zero_branches_is_found() -> None:
    assert "W801" in wb.check(Down(cut=True), (IMAGES, TIMES)).codes


# ---------------------------------------------------------------------- transforms that start as the identity
class Points(nn.Module):
    """A transform of points that is made of them, before the points are read."""

    def __init__(self, start: torch.Tensor | None) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU())
        self.deep = nn.Sequential(nn.Linear(32, 32), nn.ReLU())
        self.turn = zero(nn.Linear(32, 9), start)
        self.read = nn.Sequential(nn.Conv1d(3, 32, 1), nn.BatchNorm1d(32), nn.ReLU(), nn.Conv1d(32, 64, 1), nn.ReLU())
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        turn = self.turn(self.deep(self.look(x).amax(-1))).unflatten(-1, (3, 3))
        return self.head(self.read(turn @ x).amax(-1))


class Places(nn.Module):
    """The same of the places at which an image is read."""

    def __init__(self, start: torch.Tensor | None) -> None:
        super().__init__()
        look = nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(288, 32), nn.ReLU()
        self.look, self.move = nn.Sequential(*look), zero(nn.Linear(32, 6), start)
        self.read = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = functional.affine_grid(self.move(self.look(x)).unflatten(-1, (2, 3)), list(x.shape), align_corners=False)
        return self.read(functional.grid_sample(x, grid, align_corners=False))


class Made(nn.Module):
    """A weight that another net makes, of which only the bias tells at the start."""

    def __init__(self, start: torch.Tensor | None) -> None:
        super().__init__()
        self.maker = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), zero(nn.Linear(32, 16 * 32), start))
        self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5))

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(torch.einsum("bi,bio->bo", x, self.maker(c).unflatten(-1, (16, 32)))))


IDENTITIES: dict[str, tuple[Callable[[torch.Tensor | None], nn.Module], Callable[[], Any], Any]] = {
    "points": (Points, lambda: torch.eye(3), lambda: torch.randn(16, 3, 64)),
    "places": (Places, lambda: torch.eye(3)[:2], lambda: torch.randn(16, 1, 16, 16)),
    "weights": (Made, lambda: torch.randn(512) / 4, lambda: (torch.randn(32, 16), torch.randn(32, 8))),
}


@pytest.mark.parametrize("kind", IDENTITIES)
def test_a_transform_whose_bias_is_meant_is_healthy(kind: str) -> None:
    make, start, batch = IDENTITIES[kind]
    assert wb.check(make(start()), batch()).healthy


@pytest.mark.parametrize("kind", ["points", "weights"])
def test_a_transform_that_sends_all_to_zero_is_found(kind: str) -> None:
    make, _, batch = IDENTITIES[kind]
    assert not wb.check(make(None), batch()).healthy


def test_a_dead_layer_behind_the_transform_is_found() -> None:
    model = Points(torch.eye(3))
    zero(model.read[3])
    assert {"W201", "W301"} <= set(wb.check(model, torch.randn(16, 3, 64)).codes)


# ---------------------------------------------------------------------- zero times zero
class Branches(nn.Module):
    """A stream whose branches end at zero; one of them may hold other zeros too."""

    def __init__(self, damage: Callable[[Any], object] = lambda _: None) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(16, 32), nn.Linear(32, 5)
        self.ins, self.outs = (
            nn.ModuleList(nn.Linear(32, 32) for _ in range(4)),
            nn.ModuleList(nn.Linear(32, 32) for _ in range(4)),
        )
        self.scales, self.norms = (
            nn.ParameterList(torch.ones(32) for _ in range(4)),
            nn.ModuleList(nn.LayerNorm(32) for _ in range(4)),
        )
        for layer in self.outs:
            zero(layer)
        with torch.no_grad():
            damage(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for norm, one, two, scale in zip(self.norms, self.ins, self.outs, self.scales, strict=True):
            x = x + scale * two(torch.relu(one(norm(x))))
        return self.out(x)


def test_a_branch_that_starts_at_zero_wakes_and_one_of_zero_times_zero_never_does() -> None:
    batch = torch.randn(32, 16)
    assert wb.check(Branches(), batch).healthy
    assert wb.check(Branches(lambda m: zero(m.out)), batch).healthy
    dead: dict[str, Callable[[Any], object]] = {
        "ins.1.weight": lambda m: zero(m.ins[1]),
        "outs.2.weight": lambda m: m.scales[2].zero_(),
        "ins.3.weight": lambda m: (zero(m.ins[3]), m.outs[3].weight.normal_(), m.scales[3].zero_()),
        "outs.0.weight": lambda m: (m.norms[0].weight.zero_(), m.ins[0].bias.zero_()),
    }
    for name, damage in dead.items():
        model = Branches(damage)
        found = [f for f in wb.check(model, batch).findings if f.code == "W301"]
        assert name in [f.parameter for f in found], name
        optimizer, before = torch.optim.SGD(model.parameters(), 0.1), model.get_parameter(name).clone()
        for _ in range(5):
            model(batch).square().mean().backward()
            optimizer.step()
        assert torch.equal(model.get_parameter(name), before), name


class Adapted(nn.Module):
    """A weight with two factors beside it, of which one starts at zero, or both do."""

    def __init__(self, first: float, last: float) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(16, 32), nn.Linear(32, 5)
        self.first, self.last = nn.Parameter(first * torch.randn(4, 16)), nn.Parameter(last * torch.randn(32, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.layer.weight + self.last @ self.first
        return self.out(functional.linear(x, weight, self.layer.bias).relu())


@pytest.mark.parametrize(("first", "last", "codes"), [(0.1, 0, ()), (0, 0.1, ()), (0, 0, ("W801",))])
def test_factors_of_a_weight_that_are_both_zero_are_found(first: float, last: float, codes: tuple[str, ...]) -> None:
    health = wb.check(Adapted(first, last), torch.randn(32, 16))
    assert health.codes == codes
    assert all("so is what it is multiplied with" in found.detail for found in health.findings if found.code in codes)


class Around(nn.Module):
    """A branch of two layers, in which one starts at zero, or both do."""

    def __init__(
        self, first: float, last: float, bias: float, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        super().__init__()
        self.stem, self.first, self.last, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.function = function
        for layer, size in ((self.first, first), (self.last, last)):
            layer.weight.data.mul_(size)
        self.first.bias.data.mul_(bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.out(x + self.last(self.function(self.first(x))))


@pytest.mark.parametrize("function", [torch.sigmoid, functional.softplus, lambda x: torch.sigmoid(x).square()])
def test_zeros_in_a_branch_whose_units_would_never_part_are_found(function: Any) -> None:
    x = torch.randn(32, 16)
    assert "W301" in wb.check(Around(0, 0, 0, function), x).codes
    for fine in ((0, 1, 0), (1, 0, 0), (0, 0, 1)):
        assert not wb.check(Around(*fine, function), x).codes


class Factors(nn.Module):
    """A branch times what a function makes of factors that are one number, or one for each unit."""

    def __init__(self, function: Any, start: float, shape: tuple[int, ...]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.inner, self.last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
        self.a, self.b = (nn.Parameter(torch.full(shape, start)) for _ in range(2))
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stream = torch.relu(self.first(x))
        return self.last(stream + self.function(self.a, self.b) * torch.tanh(self.inner(stream)))


@pytest.mark.parametrize("shape", [(), (16,)])
@pytest.mark.parametrize(
    ("function", "start", "stuck"),
    [
        (lambda a, b: a * b, 0.0, True),
        (lambda a, b: a**2 + b**2, 0.0, True),
        (lambda a, b: a.tanh() * b.abs(), 0.0, True),
        (lambda a, b: a * (b + 1), 0.0, False),
        (lambda a, b: a + b, 0.0, False),
        (lambda a, b: a * b, 0.1, False),
    ],
)
def test_factors_of_zero_that_no_step_moves_are_found(function: Any, start: float, stuck: bool, shape: Any) -> None:
    torch.manual_seed(1)
    assert ("W801" in wb.check(Factors(function, start, shape), torch.randn(32, 16)).codes) == stuck


class Steered(nn.Module):
    """What a hint says enters by one connection of zeros, and leaves by another that reads nothing else."""

    def __init__(self, *, trained: bool = True) -> None:
        super().__init__()
        self.stem, self.hint, self.inside, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.enter, self.leave = zero(nn.Linear(16, 16)), zero(nn.Linear(16, 16))
        self.enter.requires_grad_(trained)

    def forward(self, x: torch.Tensor, hint: torch.Tensor) -> torch.Tensor:
        x, told = self.stem(x), self.enter(torch.relu(self.hint(hint)))
        return self.out(x + torch.relu(self.inside(x + told)) + self.leave(told))


def test_a_zero_that_reads_a_zero_wakes_behind_it_and_both_are_kept() -> None:
    batch = torch.randn(32, 16), torch.randn(32, 16)
    model = Steered()
    assert wb.check(model, batch).healthy
    assert wb.initialize(model, batch, seed=0).health.healthy
    assert not model.enter.weight.any()
    assert not model.leave.weight.any()
    assert "leave.weight" in [f.parameter for f in wb.check(Steered(trained=False), batch).findings if f.code == "W301"]


class Gated(nn.Module):
    """One gate before the readout, with nothing around it, or with the signal."""

    def __init__(self, logit: float, *, around: bool) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4)
        self.gate, self.around = nn.Parameter(torch.tensor(logit)), around

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        y = torch.sigmoid(self.gate) * self.inner(x)
        return self.last(x + y if self.around else y)


def test_a_shut_gate_that_nothing_leads_around_is_found() -> None:
    batch = torch.randn(32, 16)
    for logit in (-12.0, -40.0):  # 150 steps of Adam leave 0.7 and all of the loss; nothing of it at -3
        assert wb.check(Gated(logit, around=False), batch).codes == ("W101",)
        assert "W101" not in wb.check(Gated(logit, around=True), batch).codes
    assert not wb.check(Gated(-3.0, around=False), batch).codes
