"""Factors beyond [1/4, 4] are told and not applied; what multiplies a branch on its way to the sum is a design."""

from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb


def size(value: torch.Tensor) -> float:
    return float(value.detach().double().square().mean().sqrt())


class Multiplied(nn.Module):
    """Four branches of a stream, each multiplied on its way to the sum."""

    def __init__(self, how: str, width: int = 32) -> None:
        super().__init__()
        self.stem, self.how, self.seen = nn.Linear(12, width), how, list[float]()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(4)
        )
        start = torch.tensor(1e-3) if how == "gate" else torch.full((width,), 1e-5)
        self.scales = nn.ParameterList(nn.Parameter(start.clone()) for _ in range(4 if how != "constant" else 0))
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        self.seen = [size(x)]
        for number, branch in enumerate(self.branches):
            added = branch(x)
            self.seen.append(size(added))
            scale: Any = 0.01 if self.how == "constant" else self.scales[number]
            x = x + added * (torch.tanh(scale) if self.how == "gate" else scale)
        return self.head(x)


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("how", ["layer scale", "gate", "constant"])
def test_what_multiplies_a_branch_is_no_part_of_its_size(how: str) -> None:
    torch.manual_seed(0)
    model = Multiplied(how)
    held = [scale.detach().clone() for scale in model.scales]
    result = wb.initialize(model, batch(64, 12), seed=0)
    model(batch(64, 12))
    assert model.seen[1:] == pytest.approx([0.5 * model.seen[0]] * 4, rel=0.05)
    assert all(torch.equal(one, two) for one, two in zip(held, model.scales, strict=True))
    assert not any("too much" in entry.reason for entry in result.plan.entries)


@pytest.mark.parametrize("times", [0.01, 30.0])
def test_a_factor_beyond_the_limit_is_told_and_not_applied(times: float) -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (nn.Linear(24, 24), nn.ReLU())]
    model, x = nn.Sequential(*layers, nn.Linear(24, 4)), times * batch(64, 24)
    plain = wb.initialize(model, x, seed=0, calibrate=False).plan
    plan = wb.initialize(model, x, seed=0).plan
    assert all(0.25 <= entry.factor <= 4 for entry in plan.entries)
    first = plan["0.weight"]
    assert first.law == plain["0.weight"].law
    assert "too much" in first.reason
    assert "left at the rule's value" in first.reason
    note = next(note for note in plan.notes if note.startswith("Not corrected"))
    assert "0.weight: gives RMS" in note
    assert f"an input of RMS {size(x):.2g}" in note
    near = wb.initialize(model, 2 * batch(64, 24), seed=0).plan  # the control: within the limit it is corrected
    assert near["0.weight"].factor == pytest.approx(0.5, rel=0.1)
    assert not any(note.startswith("Not corrected") for note in near.notes)
