"""A newcomer with a broken model: the first finding names the layer at fault, and its remedy, pasted, mends it."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb

X = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
IMAGES = X.reshape(64, 1, 8, 8)


class Net(nn.Module):
    """Layers with names: a stem, hidden layers, a head."""

    def __init__(self, activation: Callable[[torch.Tensor], torch.Tensor] = torch.relu, depth: int = 8) -> None:
        super().__init__()
        self.activation = activation
        self.stem = nn.Linear(64, 64)
        self.hidden = nn.ModuleList(nn.Linear(64, 64) for _ in range(depth))
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.stem(x))
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.head(x)


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True) for _ in range(3))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


class Convolves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(1 if i == 0 else 8, 8, 3, padding=1) for i in range(5))
        self.head = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = functional.gelu(layer(x))
        return self.head(x.mean(dim=(2, 3)))


def good(model: nn.Module, batch: Any = X) -> nn.Module:
    assert wb.initialize(model, batch, seed=0).health.healthy
    return model


def logits(model: nn.Module) -> None:
    model.layers[1].self_attn.in_proj_weight[:64].mul_(30)


SEQUENCES = torch.randn(8, 12, 32, generator=torch.Generator().manual_seed(1))
# how it is broken, the code that comes first, the parameter at fault
BROKEN: dict[str, tuple[Callable[[], nn.Module], Any, Callable[[Any], object], str, str]] = {
    "weights a thousand times too small": (Net, X, lambda m: m.hidden[3].weight.mul_(1e-3), "W101", "hidden.3.weight"),
    "weights a thousand times too large": (Net, X, lambda m: m.hidden[5].weight.mul_(1e3), "W102", "hidden.5.weight"),
    "a layer of zeros": (Net, X, lambda m: m.hidden[2].weight.zero_(), "W301", "hidden.2.weight"),
    "one nan": (Net, X, lambda m: m.hidden[4].weight[3, 3:4].fill_(math.nan), "W401", "hidden.4.weight"),
    "a confident head": (Net, X, lambda m: m.head.weight.normal_(), "W501", "head.weight"),
    "a dead layer": (Net, X, lambda m: m.hidden[1].bias.fill_(-20), "W701", "hidden.1.weight"),
    "a saturated layer": (
        lambda: Net(torch.tanh, 3), X, lambda m: m.hidden[1].weight.normal_(std=8), "W702", "hidden.1.weight",
    ),
    "loud attention": (Attends, SEQUENCES, logits, "W601", "layers.1.self_attn.in_proj_weight"),
    "a convolution too small": (Convolves, IMAGES, lambda m: m.layers[2].weight.mul_(1e-4), "W101", "layers.2.weight"),
    "memory as it was found": (Net, X, lambda m: m.hidden[0].weight.mul_(1e38), "W401", "hidden.0.weight"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_the_first_finding_names_the_layer_and_its_remedy_mends_the_model(name: str) -> None:
    build, batch, damage, code, parameter = BROKEN[name]
    torch.manual_seed(0)
    model = good(build(), batch)
    with torch.no_grad():
        damage(model)
    health = wb.check(model, batch)
    assert not health.healthy
    first = health.findings[0]
    assert (first.code, first.parameter) == (code, parameter)
    assert parameter.rpartition(".")[0].split(".self_attn")[0] in first.place
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for finding in health.findings:
        if finding.severity == "unhealthy" and finding.code == code:
            exec(finding.remedy, {"wb": wb, "model": model, "batch": batch})
    after = wb.check(model, batch)
    assert code not in after.codes
    assert after.healthy
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= {parameter, parameter.replace("weight", "bias")}  # and nothing else was touched


def test_a_slow_decay_is_no_single_layers_fault() -> None:
    model = Net(depth=30)
    wb.apply(model, wb.plan(model, X, recipe="classic", rules=[("*.weight", "xavier_normal")], seed=0))
    first = wb.check(model, X).findings[0]
    assert "in every layer" in first.detail
    assert first.remedy == "wb.initialize(model, batch)"
    exec(first.remedy, {"wb": wb, "model": model, "batch": X})
    assert wb.check(model, X).healthy


def test_names_that_need_quotes_are_quoted() -> None:
    model = nn.ModuleDict({"it's": nn.Linear(64, 64), "head": nn.Linear(64, 4)})
    model.forward = lambda x: model["head"](torch.relu(model["it's"](x)))
    nn.init.zeros_(model["it's"].weight)
    found = next(finding for finding in wb.check(model, X).findings if finding.code == "W301")
    exec(found.remedy, {"wb": wb, "model": model, "batch": X})
    assert bool(model["it's"].weight.any())
