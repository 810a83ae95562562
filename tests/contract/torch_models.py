"""Models and helpers the torch tests share."""

import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.torch.trace.recording import trace


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


class Of(nn.Module):
    """A model made of a function: modules, and shapes of parameters by name."""

    def __init__(self, function, **parts) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            made = nn.Parameter(torch.zeros(part)) if isinstance(part, tuple) else part
            setattr(self, name, made)

    def forward(self, *inputs: torch.Tensor):
        return self.function(self, *inputs)


def uses(model: nn.Module, batch) -> dict[str, tuple[str, str]]:
    """The first use of each parameter: its slot, and the letters of its axes."""
    found: dict[str, tuple[str, str]] = {}
    for _, use in trace(model, batch).uses():
        found.setdefault(use.parameter, (use.slot, use.layout.axes if use.layout else ""))
    return found


def fans(model: nn.Module, batch) -> dict[str, float]:
    """fan_in of every parameter that has one."""
    plan = wb.plan(model, batch, recipe="classic", seed=0)
    layouts = {entry.name: (entry.layout, entry.shape) for entry in plan.entries if entry.layout is not None}
    return {n: layout.section_fans(shape)[0].fan_in for n, (layout, shape) in layouts.items() if "i" in layout.axes}


class Hybrid(nn.Module):
    """Layers with different activations, functional calls, an inline activation, a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Linear(8 * 16, 32)
        self.selu = nn.Linear(32, 32)
        self.inline = nn.Parameter(torch.zeros(32, 24))
        self.shift = nn.Parameter(torch.zeros(24))
        self.gelu = nn.Linear(24, 24)
        self.leaky = nn.Linear(24, 24)
        self.plain = nn.Linear(24, 16, bias=False)
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2).flatten(1)
        x = torch.tanh(self.wide(x))
        x = functional.selu(self.selu(x))
        x = x @ self.inline + self.shift
        x = x * torch.sigmoid(x)
        x = functional.gelu(self.gelu(x))
        x = functional.leaky_relu(self.leaky(x), 0.2)
        return self.head(self.plain(x))


class Named(nn.Module):
    """An MLP whose layers have names of their own."""

    def __init__(self, *names: str, width: int = 16) -> None:
        super().__init__()
        self.order = names
        for name in names:
            setattr(self, name, nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.order:
            x = torch.relu(getattr(self, name)(x))
        return x


class TiedLM(nn.Module):
    """Lookup table tied to the readout, padding row, positions, a residual block with a norm written by hand."""

    def __init__(self, vocabulary: int = 30, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width, padding_idx=2)
        self.positions = nn.Parameter(torch.zeros(1, 12, width))
        self.scale = nn.Parameter(torch.ones(width))
        self.up = nn.Linear(width, 32)
        self.down = nn.Linear(32, width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        x = self.embed(tokens) + self.positions[:, : tokens.shape[1]]
        h = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        x = x + self.down(torch.relu(self.up(h)))
        if mask is not None:
            x = x * mask[..., None]
        return {"logits": self.head(x)}


def plain(depth: int, activation: type[nn.Module], width: int = 64, inputs: int = 20) -> nn.Sequential:
    """A deep plain MLP with ten outputs."""
    layers: list[nn.Module] = [nn.Linear(inputs, width), activation()]
    for _ in range(depth - 2):
        layers += [nn.Linear(width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))
