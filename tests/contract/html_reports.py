"""Reports to open in a browser: of a broken and a mended network, a race, a large plan, and names that are markup."""

import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import wellbegun as wb
from wellbegun.health import Health
from wellbegun.laws import Normal
from wellbegun.planning import Entry, Plan, SignalPropagation
from wellbegun.racing.results import Race, Trial

EVIL = "<script>alert(1)</script>"
CLOSING = "</script><!--<img src=x onerror=alert(1)>"
DEPTH = 50


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    bunch = load_digits()
    images = torch.tensor(bunch.data[:96], dtype=torch.float32)
    return (images - images.mean()) / images.std(), torch.tensor(bunch.target[:96])


def deep_mlp() -> nn.Sequential:
    """50 tanh layers with weights so small that the signal dies."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for number in range(DEPTH - 1):
        layers += [nn.Linear(64 if number == 0 else 48, 48), nn.Tanh()]
    model = nn.Sequential(*layers, nn.Linear(48, 10))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.03) if parameter.ndim > 1 else nn.init.zeros_(parameter)
    return model


@cache
def mended() -> tuple[nn.Module, Health, wb.Result, SignalPropagation]:
    """The same network before and after."""
    images, labels = digits()
    model = deep_mlp()
    judge = {"loss": lambda out: nn.functional.cross_entropy(out, labels), "chance": math.log(10)}
    before = wb.check(model, images, **judge)
    result = wb.initialize(model, images, seed=0, **judge)
    return model, before, result, wb.signal_propagation(model, result.plan, images)


@cache
def race() -> Race:
    """Three candidates, two rates, three seeds; one diverges at the high rate, and one trial fails."""
    trials = []
    for place, name in enumerate(("auto", "he", EVIL)):
        for rate in (1e-3, 1e-2):
            for seed in range(3):
                pace = (3 - place) * (10 * rate) ** 0.3 * (1 + 0.05 * seed)
                losses = tuple(2.3 * math.exp(-pace * step / 40) + 0.02 * math.sin(step + seed) for step in range(120))
                status, error = "done", ""
                if name == "he" and rate == 1e-2:
                    status, losses = "diverged", (*losses[:10], 50.0, math.inf)
                if name == EVIL and rate == 1e-3 and seed == 2:
                    status, losses, error = "failed", (), "ValueError: <b>no</b>"
                trials.append(Trial(name, "adam", rate, seed, losses, status, None, 0.5, error))
    return Race.of(tuple(trials), chance=math.log(10), description="a race for tests")


def large_plan(count: int = 10_000) -> Plan:
    """Names, shapes, laws and reasons that all differ: nothing can be put together."""
    from wellbegun.layout import Layout

    letters = [chr(97 + i) for i in range(26)]
    entries = tuple(
        Entry(
            f"tower_{letters[i % 26]}.stage_{letters[i // 26 % 26]}_{letters[i // 676 % 26]}.blocks.{i}.attn.weight",
            (64 + i % 100, 64), "float32", "fill", ("hidden", "query", "key")[i % 3], Layout("oi"),
            f"normal(std={0.01 + i * 1e-6:.6g})", Normal(0, 0.01 + i * 1e-6), "s", f"a reason of its own, number {i}",
            "a source of 2026", decided_by="rule 1",
        )
        for i in range(count)
    )  # fmt: skip
    return Plan(entries, "test@1", 0)


class Encoder(nn.Module):
    """Three blocks of attention with a residual stream."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x).mean(1))


class Evil(nn.Module):
    """A module and a parameter whose names are markup, and a bad weight, so that a finding names it."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(EVIL, nn.Linear(16, 32))
        self.register_parameter(CLOSING.replace(".", ""), nn.Parameter(torch.zeros(32)))
        self.head = nn.Linear(32, 4)
        nn.init.zeros_(getattr(self, EVIL).weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(getattr(self, EVIL)(x) + getattr(self, CLOSING)))


def faults(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds wrong with a page in its present state: rule, first element."""
    package = pytest.importorskip("axe_playwright_python", reason="make setup installs it")
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.evaluate((Path(package.__file__).parent / "axe.min.js").read_text())  # no network
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]]
