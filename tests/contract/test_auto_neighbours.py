"""Neighbours of what auto knows, which differ from it in a factor, a norm or a reader."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_models import Of

import wellbegun as wb

X = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
BEHIND: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "layer norm": lambda m, p: m.norm(p),
    "batch norm": lambda m, p: m.batch(p),
    "by hand": lambda _, p: (p - p.mean(-1, keepdim=True)) / p.std(-1, keepdim=True),
    "times their number": lambda _, p: 64 * p,
    "times its root": lambda _, p: p * 64**0.5,
}


@pytest.mark.parametrize("name", BEHIND)
def test_rows_are_added_and_not_averaged_behind_a_norm_or_a_factor(name: str) -> None:
    torch.manual_seed(0)
    model = Of(
        lambda m, x: m.o(torch.relu(m.m(BEHIND[name](m, m.a(x).softmax(-1))))),
        a=nn.Linear(16, 64),
        norm=nn.LayerNorm(64),
        batch=nn.BatchNorm1d(64),
        m=nn.Linear(64, 64),
        o=nn.Linear(64, 4),
    )
    plan = wb.initialize(model, X, seed=0).plan
    assert "averaged by shares" not in plan["m.weight"].reason
    given = BEHIND[name](model, model.a(X).softmax(-1))
    assert 0.1 < float(model.m(given).detach().square().mean().sqrt()) < 3


FEATURES: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "dropout": lambda _, u: F.dropout(F.elu(u) + 1, 0.1),
    "a buffer": lambda m, u: (F.elu(u) + 1) * m.steps,
    "a buffer behind tanh": lambda m, u: (1 + torch.tanh(u)) * m.steps,
    "a buffer behind a sigmoid": lambda m, u: 2 * torch.sigmoid(u) * m.steps,
}


@pytest.mark.parametrize("name", FEATURES)
def test_features_times_constants_are_no_deviations(name: str) -> None:
    torch.manual_seed(0)
    model = Of(
        lambda m, x: m.o(FEATURES[name](m, m.u(x)) + m.r(x)),
        u=nn.Linear(16, 32),
        r=nn.Linear(16, 32),
        o=nn.Linear(32, 1),
    )
    model.register_buffer("steps", torch.linspace(0.5, 1.5, 32))
    assert (wb.plan(model, X, seed=0)["u.weight"].target or 1.0) > 0.3


def test_scores_that_make_other_scores_are_those_of_routers() -> None:
    def mix(m: nn.Module, x: Tensor, scores: Tensor) -> Tensor:
        best = scores.softmax(-1).topk(2, -1)
        weights = torch.zeros_like(scores).scatter(-1, best.indices, best.values)
        return x + torch.einsum("bn,bnd->bd", weights, torch.stack([expert(x) for expert in m.experts], 1))

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        first = m.r1(x)
        x = mix(m, x, first)
        return m.o(mix(m, x, m.r2(x) + m.again(first)))

    torch.manual_seed(0)
    layers = {"r1": nn.Linear(16, 4), "r2": nn.Linear(16, 4), "again": nn.Linear(4, 4), "o": nn.Linear(16, 2)}
    model = Of(forward, experts=nn.ModuleList(nn.Linear(16, 16) for _ in range(4)), **layers)
    plan = wb.plan(model, X, seed=0)
    assert [plan[f"{name}.weight"].role for name in ("r1", "r2", "again")] == ["router"] * 3
