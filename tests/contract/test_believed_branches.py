"""Branches may be small, also where encoders, experts or patches lie behind them; what fades inside is still found."""

import math
from collections.abc import Callable
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


def small(model: nn.Module) -> nn.Module:
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return model


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        weights = (self.query(x) @ self.key(y).mT / WIDTH**0.5).softmax(-1)
        return self.out(weights @ self.value(y))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.attend, self.cross = Attention(), Attention()
        self.inside = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH))

    def forward(self, x: torch.Tensor, seen: torch.Tensor | None = None) -> torch.Tensor:
        y = self.norms[0](x)
        x = x + self.attend(y, y)
        if seen is not None:
            x = x + self.cross(self.norms[1](x), seen)
        return x + self.inside(self.norms[2](x))


class Picked(nn.Module):
    """Patches beside a token, which alone is read out."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.patches, self.token = nn.Linear(12, WIDTH), nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.places = nn.Parameter(0.02 * torch.randn(1, 17, WIDTH))
        self.layers = nn.ModuleList(Layer() for _ in range(3))
        self.norm, self.head, self.scale = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 10), scale
        small(self.layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), self.scale * self.patches(x)], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


class Translator(nn.Module):
    """A decoder that reads an encoder, whose states are given too."""

    def __init__(self, deep: nn.Module | None = None) -> None:
        super().__init__()
        self.read, self.table, self.deep = nn.Linear(12, WIDTH), nn.Embedding(50, WIDTH), deep or nn.Identity()
        self.encoder, self.decoder = (nn.ModuleList(Layer() for _ in range(2)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.head = nn.Linear(WIDTH, 50)
        small(self.encoder), small(self.decoder)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = self.deep(self.read(x)), self.table(tokens)
        for layer in self.encoder:
            x = layer(x)
        x = self.norms[0](x)
        for layer in self.decoder:
            y = layer(y, x)
        return self.head(self.norms[1](y)), x


class Experts(nn.Module):
    """Weighted experts, and one that all share, side by side in a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.shared = nn.Linear(WIDTH, 4), nn.Sequential(nn.Linear(WIDTH, 64), nn.SiLU())
        self.up, self.down, self.last = nn.Linear(WIDTH, 4 * 64), nn.Linear(64, WIDTH), nn.Linear(64, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        each = torch.nn.functional.silu(self.up(x).unflatten(-1, (4, 64)))
        mixed = (self.router(x).softmax(-1)[..., None] * each).sum(-2)
        return self.down(mixed) + self.last(self.shared(x))


class Mixture(nn.Module):
    def __init__(self, loud: float = 1.0) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(50, WIDTH), nn.Linear(WIDTH, 50)
        self.norms, self.branches = (nn.ModuleList(make() for _ in range(4)) for make in (self.norm, Experts))
        self.last = nn.LayerNorm(WIDTH)
        small(self.branches)
        with torch.no_grad():
            self.branches[1].last.weight.mul_(loud)

    @staticmethod
    def norm() -> nn.Module:
        return nn.LayerNorm(WIDTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for norm, branch in zip(self.norms, self.branches, strict=True):
            x = x + branch(norm(x))
        return self.head(self.last(x))


def fading(layers: int = 12) -> nn.Module:
    return nn.Sequential(*[m for _ in range(layers) for m in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())])


TOKENS = torch.arange(8 * 9).reshape(8, 9) % 50
GOOD: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "patches beside a token": (Picked, torch.randn(8, 16, 12)),
    "an encoder and a decoder": (Translator, (torch.randn(8, 16, 12), TOKENS)),
    "experts side by side": (Mixture, TOKENS),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_lies_behind_small_branches_is_healthy(kind: str) -> None:
    make, batch = GOOD[kind]
    assert wb.check(make(), batch).healthy


def test_an_encoder_that_fades_is_found() -> None:
    codes = wb.check(Translator(fading()), (torch.randn(8, 16, 12), TOKENS)).codes
    assert {"W103", "W201"} & set(codes)


def test_an_encoder_that_gets_no_gradient_is_found() -> None:
    class Cut(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.detach()

    assert "W801" in wb.check(Translator(Cut()), (torch.randn(8, 16, 12), TOKENS)).codes


def test_silent_patches_are_found() -> None:
    assert {"W101", "W103", "W201"} & set(wb.check(Picked(1e-7), torch.randn(8, 16, 12)).codes)


def test_dead_values_before_the_decoder_are_found() -> None:
    model = Translator(nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()))
    nn.init.constant_(model.deep[0].bias, -20.0)
    assert "W701" in wb.check(model, (torch.randn(8, 16, 12), TOKENS)).codes


# ---------------------------------------------------------------------- normalizations over samples
def convolutions(layers: int, *, loud: float = 1.0, norm: bool = True) -> nn.Sequential:
    made: list[nn.Module] = []
    for i in range(layers):
        made += [nn.Conv2d(16 if i else 3, 16, 3, padding=1, bias=False)]
        made += [nn.BatchNorm2d(16), nn.ReLU()] if norm else [nn.ReLU()]
        with torch.no_grad():
            nn.init.kaiming_normal_(made[-2 - norm].weight)
            made[-2 - norm].weight.mul_(loud)
    return nn.Sequential(*made, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


@pytest.mark.parametrize("layers", [12, 20, 28])
def test_what_normalizations_over_samples_multiply_gradients_by_is_no_fault_of_weights(layers: int) -> None:
    assert "W202" not in wb.check(convolutions(layers), torch.randn(8, 3, 8, 8)).codes


def test_gradients_that_weights_multiply_are_found_beside_them() -> None:
    mixed = nn.Sequential(*convolutions(4)[:-3], *convolutions(6, loud=4.0, norm=False)[2:])
    assert "W202" in wb.check(mixed, torch.randn(8, 3, 8, 8)).codes
    assert "W202" in wb.check(convolutions(70), torch.randn(8, 3, 8, 8)).codes  # nor does it train


def test_a_zero_output_of_one_channel_wakes_the_zeros_before_it() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(8, 8, 3, 1, 1), nn.Conv2d(8, 8, 3, 1, 1)
            nn.init.zeros_(self.last.weight), nn.init.zeros_(self.last.bias)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.last(torch.relu(self.first(x)))

    model = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), Block(), Block(), nn.Conv2d(8, 1, 3, 1, 1))
    nn.init.zeros_(model[3].weight), nn.init.zeros_(model[3].bias)
    x = torch.randn(4, 1, 8, 8)
    assert wb.check(model, x).healthy
    nn.init.zeros_(model[0].weight)
    assert "W301" in wb.check(model, x).codes


def test_scales_of_zero_let_what_lies_beside_them_sleep() -> None:
    class Biased(nn.Module):
        """Attention with a net that makes biases of places, and a norm at the end that starts at zero."""

        def __init__(self) -> None:
            super().__init__()
            self.attend, self.norm = Attention(), nn.LayerNorm(WIDTH)
            self.places = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, WIDTH))
            nn.init.zeros_(self.norm.weight)
            self.register_buffer("grid", torch.randn(16, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.norm(self.attend(x, x + self.places(self.grid)))

    model = nn.Sequential(nn.Linear(12, WIDTH), Biased(), Biased(), nn.Linear(WIDTH, 10))
    assert wb.check(model, torch.randn(8, 16, 12)).healthy


class Gated(nn.Module):
    """A stream that is scaled, or bent, in each block beside a branch behind a gate: no plain residual stream."""

    def __init__(self, keep: float, gate: float, bend: Callable[[torch.Tensor], torch.Tensor], *, carry: bool) -> None:
        super().__init__()
        self.read, self.head, self.norm = nn.Linear(16, WIDTH), nn.Linear(WIDTH, 10), nn.LayerNorm(WIDTH)
        self.first, self.second, self.opens = (
            nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(8)) for _ in range(3)
        )
        for layer in self.opens:
            nn.init.normal_(layer.weight, std=0.01), nn.init.constant_(layer.bias, math.log(gate / (1 - gate)))
        self.keep, self.bend, self.carry = keep, bend, carry

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.read(x)
        for first, second, opens in zip(self.first, self.second, self.opens, strict=True):
            gate = opens(x).sigmoid()
            x = self.bend((1 - gate if self.carry else self.keep) * x + gate * second(first(x).relu()))
        return self.head(self.norm(x))


@pytest.mark.parametrize("bend", [torch.relu, torch.tanh, lambda x: x])
@pytest.mark.parametrize(("keep", "gate", "carry"), [(0.9, 1e-4, False), (1.0, 1e-3, True), (0.8, 1e-5, False)])
def test_branches_behind_gates_that_are_nearly_shut_stand_beside_their_stream(bend, keep, gate, carry) -> None:
    assert wb.check(Gated(keep, gate, bend, carry=carry), torch.randn(32, 16)).codes == ()


def test_gradients_that_explode_along_a_gated_stream_are_found() -> None:
    model = Gated(0.9, 0.999, torch.relu, carry=False)
    for layer in (*model.first, *model.second):
        nn.init.normal_(layer.weight, std=0.5)
    assert {"W102", "W202"} & {*wb.check(model, torch.randn(32, 16)).codes}


def test_signals_that_fade_beside_gates_are_found() -> None:
    assert {"W101", "W201"} & {*wb.check(Gated(0.05, 1e-4, torch.tanh, carry=False), torch.randn(32, 16)).codes}


@pytest.mark.parametrize("hidden", [-1e4, -1e38])
def test_masks_that_are_learned_and_added_to_scores_are_no_stream(hidden: float) -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))
            self.decide, self.head = nn.Linear(16, 1), nn.Linear(16, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.query(x) @ self.key(x).mT / 4
            each = functional.softplus(self.decide(x)).mT.expand_as(scores)
            mask = torch.where(torch.ones_like(scores).tril() > 0, 0.0, hidden)
            return self.head(x + self.out(((scores + each * torch.sigmoid(each)) + mask).softmax(-1) @ self.value(x)))

    assert wb.check(Masked(), torch.randn(8, 9, 16)).codes == ()
