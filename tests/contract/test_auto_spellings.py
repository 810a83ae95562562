"""The same network written in other ways, for which auto must see the same, and neighbours of which it must not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_models import Of

import wellbegun as wb

Forward = Callable[..., Any]


def batch(count: int = 1, width: int = 32) -> Any:
    drawn = torch.randn(count, 64, width, generator=torch.Generator().manual_seed(count))
    return drawn[0] if count == 1 else tuple(drawn)


def rms(found: Tensor) -> float:
    return float(found.detach().square().mean().sqrt())


# ---------------------------------------------------------------------- errors, and streams
def net(m: Any, x: Tensor) -> Tensor:
    given: Tensor = m.read(F.relu(m.mid(F.relu(m.first(x)))))
    return given


def autoencoder(forward: Forward) -> nn.Module:
    torch.manual_seed(0)
    return Of(
        forward,
        first=nn.Linear(32, 64),
        mid=nn.Linear(64, 64),
        read=nn.Linear(64, 32),
        other=nn.Linear(32, 32),
        deviation=nn.Parameter(torch.zeros(32)),
    )


def huber(d: Tensor) -> Tensor:
    return torch.where(d.abs() < 1, 0.5 * d**2, d.abs() - 0.5)


ERRORS: dict[str, tuple[int, Forward]] = {
    "squares": (1, lambda m, x: ((net(m, x) - x) ** 2).mean()),
    "sizes": (1, lambda m, x: (x - net(m, x)).abs().mean()),
    "of neighbours": (1, lambda m, x: ((net(m, x) - x.roll(1, 1)) ** 2).mean()),
    "of some": (1, lambda m, x: (((net(m, x) - x) ** 2) * (x > 0)).sum() / (x > 0).sum()),
    "masked before": (1, lambda m, x: (((net(m, x) - x) * (x > 0)) ** 2).mean()),
    "picked": (1, lambda m, x: ((net(m, x) - x)[:, ::3] ** 2).mean()),
    "roots": (1, lambda m, x: ((net(m, x) - x) ** 2 + 1e-6).sqrt().mean()),
    "huber": (1, lambda m, x: huber(net(m, x) - x).mean()),
    "length": (1, lambda m, x: torch.linalg.vector_norm(net(m, x) - x, dim=1).mean()),
    "distance": (1, lambda m, x: F.pairwise_distance(net(m, x), x).mean()),
    "product": (1, lambda m, x: torch.einsum("bi,bi->b", d := net(m, x) - x, d).mean()),
    "quantile": (1, lambda m, x: torch.maximum(0.9 * (d := x - net(m, x)), -0.1 * d).mean()),
    "likelihood": (1, lambda m, x: (0.5 * ((x - net(m, x)) * (-m.deviation).exp()) ** 2 + m.deviation).mean()),
    "with outputs": (1, lambda m, x: (((p := net(m, x)) - x).pow(2).mean(), p)),
    "of entries": (1, lambda m, x: (net(m, x) - x).abs()),
    "score": (1, lambda m, x: torch.exp(-((net(m, x) - x) ** 2).mean(1))),
    "noise": (2, lambda m, x, z: ((net(m, 0.8 * x + 0.6 * z) - z) ** 2).mean()),
    "sum with noise": (2, lambda m, x, z: ((0.5 * net(m, x + 0.5 * z) + z) ** 2).mean()),
    "another net": (1, lambda m, x: ((net(m, x) - m.other(x)) ** 2).mean()),
}
STREAMS: dict[str, tuple[int, Forward]] = {
    "sum": (1, lambda m, x: x + net(m, x)),
    "difference": (1, lambda m, x: x - net(m, x)),
    "and its error": (2, lambda m, x, y: ((x - net(m, x) - y) ** 2).mean()),
    "and its error, noise within": (2, lambda m, x, z: (((a := x + 0.1 * z) - net(m, a) - x) ** 2).mean()),
    "and its size": (1, lambda m, x: (y := x - net(m, x), (y**2).mean())),
    "normalized by hand": (1, lambda m, x: (y := x + net(m, x)) * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)),
    "bent": (1, lambda m, x: F.relu(x + net(m, x)).mean(1)),
    "read again": (1, lambda m, x: m.other((x - net(m, x)).abs())),
}


@pytest.mark.parametrize("spelling", ERRORS)
def test_what_is_compared_is_a_readout_and_no_end_of_a_branch(spelling: str) -> None:
    count, forward = ERRORS[spelling]
    entry = wb.plan(autoencoder(forward), batch(count), seed=0)["read.weight"]
    assert entry.role == "readout", entry.reason


@pytest.mark.parametrize("spelling", STREAMS)
def test_what_a_stream_goes_on_with_ends_a_branch(spelling: str) -> None:
    count, forward = STREAMS[spelling]
    entry = wb.plan(autoencoder(forward), batch(count), seed=0)["read.weight"]
    assert entry.role == "residual_out", entry.reason


def test_a_reconstruction_that_is_compared_starts_as_one_that_is_returned() -> None:
    def outputs(forward: Forward) -> Tensor:
        model = autoencoder(forward)
        wb.initialize(model, batch(), seed=0)
        return net(model, batch())

    compared, returned = outputs(lambda m, x: ((net(m, x) - x) ** 2).mean()), outputs(net)
    assert rms(compared) == pytest.approx(rms(returned), rel=0.05)
    assert rms(outputs(STREAMS["difference"][1])) > 1.5 * rms(compared)


def test_the_size_of_a_stream_says_nothing_against_its_last_branch() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        for end in (m.mid, m.read):
            x = x + end(F.relu(m.first(x)))
        return (x**2).mean()

    model = Of(forward, first=nn.Linear(32, 64), mid=nn.Linear(64, 32), read=nn.Linear(64, 32))
    roles = {entry.name: entry.role for entry in wb.plan(model, batch(), seed=0).entries}
    assert roles["mid.weight"] == roles["read.weight"] == "residual_out"
