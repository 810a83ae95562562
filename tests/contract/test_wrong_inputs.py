"""Batches, losses and methods that are not what they should be: said in one sentence, or reported as what they are."""

import pytest
import torch
from torch import nn

import wellbegun as wb


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


# ---------------------------------------------------------------------- batches
@pytest.mark.parametrize("batch", [torch.randn(0, 8), torch.full((32, 8), torch.nan), torch.full((32, 8), torch.inf)])
@pytest.mark.parametrize("call", [wb.check, lambda model, batch: wb.initialize(model, batch, seed=0).health])
def test_without_finite_samples(call, batch):
    """They are reported, by `initialize` as by `check`: no correction can come of them."""
    assert "W401" in call(net(), batch).codes


def test_what_is_not_finite_corrects_nothing():
    model = net()
    found = wb.initialize(model, torch.full((32, 8), torch.nan), seed=0)
    again = wb.apply(net(), wb.plan(net(), (32, 8), seed=0)).model
    assert all(entry.factor == 1 for entry in found.plan.entries)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True))


# ---------------------------------------------------------------------- computed weights
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_layers_are_measured(way):
    """Their buffer is read by the backward pass: looking at the weight in between must not touch it."""
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(16, 16), orthogonal_map=way)
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(16, 3))
    batch = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    assert wb.check(model, batch).healthy
    assert wb.initialize(model, batch, seed=0).health.healthy
