"""What goes wrong beside the weights is named where it begins: routers, values that are not finite, buffers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))


class Experts(nn.Module):
    """A token goes to the expert that its gate picks; `weighed` says what its output is multiplied with."""

    def __init__(self, weighed: Callable[[torch.Tensor], torch.Tensor], picks: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weighed, self.picks, self.norm, self.head = weighed, picks, nn.LayerNorm(16), nn.Linear(16, 8)
        self.gate = nn.Linear(16, 4, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, out = self.norm(x), torch.zeros_like(x)
        weights, which = self.gate(h).softmax(-1).topk(self.picks, -1)
        weights = self.weighed(weights)
        for number, expert in enumerate(self.experts):
            rows, places = (which == number).nonzero(as_tuple=True)
            if rows.numel():
                out = out.index_add(0, rows, expert(h[rows]) * weights[rows, places, None])
        return self.head(x + out)


@pytest.mark.parametrize(
    "weighed",
    [
        lambda w: w / w.sum(-1, keepdim=True),
        lambda w: w / (w.sum(-1, keepdim=True) + 1e-20),
        lambda w: torch.exp(w.log() - w.log().logsumexp(-1, keepdim=True)),
    ],
)
def test_a_router_that_cancels_is_found(weighed: Any) -> None:
    found = [f for f in wb.check(Experts(weighed), X).findings if "gate" in f.place]
    assert found
    assert found[0].code in ("W801", "W802", "W201")


@pytest.mark.parametrize(("weighed", "picks"), [(lambda w: w, 1), (lambda w: w / w.sum(-1, keepdim=True), 2)])
def test_a_router_that_learns_is_not(weighed: Any, picks: int) -> None:
    assert wb.check(Experts(weighed, picks), X).healthy
