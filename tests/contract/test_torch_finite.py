"""Paths that depend on whether values are finite are found without values; all others are not guessed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.errors import TraceError
from wellbegun.torch.trace.recording import trace

Ask = Callable[[torch.Tensor], object]


class Clamped(nn.Module):
    """Clamps behind its first layer where a question is answered with no, as encoders do in half precision."""

    def __init__(self, well: Ask) -> None:
        super().__init__()
        self.well = well
        self.enter, self.head = nn.Linear(16, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.enter(x))
        if not self.well(h):
            h = torch.nan_to_num(h.clamp(-100, 100))
        return self.head(h)


FINITE: dict[str, Ask] = {
    "isfinite, all": lambda h: torch.isfinite(h).all(),
    "isfinite, item": lambda h: h.isfinite().all().item(),
    "no isinf, no isnan": lambda h: not (torch.isinf(h).any() or torch.isnan(h).any()),
    "either": lambda h: not (torch.isinf(h) | torch.isnan(h)).any(),
    "by hand": lambda h: (h * 0 == 0).all(),
    "one by one": lambda h: h.eq(h).all() and (h.abs() != math.inf).all(),
    "half of it": lambda h: torch.isfinite(h[:, :16].reshape(-1)).all(),
}
OTHER: dict[str, Ask] = {  # nothing that holds for every finite value
    "small": lambda h: (h.abs() < 1e4).all(),
    "a sign": lambda h: (h > 0).any(),
    "a number": lambda h: (h == 1).all(),
    "another number": lambda h: not (h == 3.7).any(),
    "a sum": lambda h: h.sum() > -1,
    "with a mask": lambda h: (torch.isfinite(h) & (torch.arange(32, device=h.device) > 40)).any(),
    "filled": lambda h: not torch.isinf(h).masked_fill(torch.arange(32, device=h.device) > 3, True).any(),
    "two values": lambda h: (h == h.flip(0)).all(),
}


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_question_whether_values_are_finite_needs_none(name: str, device: str) -> None:
    model = Clamped(FINITE[name]).to(device)
    graph = trace(model, (8, 16))
    assert any("whether values are finite, in the model itself: traced as if they are" in note for note in graph.notes)
    assert not any("with the given batch" in note for note in graph.notes)
    assert "clamp" not in {operation.name for operation in graph.operations}
    plain = trace(Clamped(lambda h: True).to(device), (8, 16))
    assert [o.name for o in graph.operations if o.kind in ("linear", "norm")] == ["addmm", "addmm"]
    assert not any("finite" in note for note in plain.notes)


@pytest.mark.parametrize("name", OTHER)
def test_other_questions_are_asked_of_real_values(name: str) -> None:
    graph = trace(Clamped(OTHER[name]), torch.ones(8, 16))
    assert any("traced with the given batch" in note for note in graph.notes)
    with pytest.raises(TraceError, match="depends on values"):
        trace(Clamped(OTHER[name]).to("meta"), (8, 16))


def test_where_values_are_not_finite_the_pass_takes_its_own_way() -> None:
    model, batch = Clamped(FINITE["isfinite, all"]), torch.randn(64, 16)
    good = wb.initialize(model, batch, seed=0)
    assert good.health.healthy
    batch[3, 5] = math.inf
    found = wb.initialize(model, batch, seed=0)
    assert not found.health.healthy
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


class Refusing(nn.Module):
    """Reads values to choose its path, and takes no nan."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        if math.isnan(hidden.min().item()):
            raise ValueError("nan among the activations")
        return self.last(hidden.relu())


def test_memory_without_numbers_is_traced_though_the_model_refuses_nan() -> None:
    with torch.device("meta"):
        model = Refusing()
    model.to_empty(device="cpu")
    with torch.no_grad():
        for one in model.parameters():
            one.fill_(math.nan)
    x, state = torch.randn(32, 8), torch.get_rng_state()
    wb.plan(model, x, seed=0)
    assert all(one.isnan().all() for one in model.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert wb.initialize(model, x, seed=0).health.healthy
