"""Twelve models with a mistake that people make, in one layer each. Each is `(layer at fault, what the check says)`."""

import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb


def _filled(model: nn.Module, batch: object) -> nn.Module:
    wb.initialize(model, batch, recipe="classic", seed=0, calibrate=False)
    return model


def _plain(depth: int = 8, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Linear(32, 64), activation()]
    for _ in range(depth):
        layers += [nn.Linear(64, 64), activation()]
    model = nn.Sequential(*layers, nn.Linear(64, 10))
    return _filled(model, (32, 32))  # type: ignore[return-value]


class Block(nn.Module):
    """Attention by hand and a feed-forward part."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out, self.up, self.down = nn.Linear(width, width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm1(x)
        logits = self.query(y) @ self.key(y).mT / y.shape[-1] ** 0.5
        x = x + self.out(logits.softmax(-1) @ self.value(y))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


class LanguageModel(nn.Module):
    """A small transformer; the readout shares the table where `tied`."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.table = nn.Embedding(500, 64)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 500, bias=False)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


TOKENS = "8,16:int64<500"


def _language_model(tied: bool = False) -> LanguageModel:
    torch.manual_seed(0)
    tokens = torch.randint(0, 500, (8, 16))
    return _filled(LanguageModel(tied), tokens)  # type: ignore[return-value]


# ---------------------------------------------------------------------- mistakes
def typed_std_one() -> nn.Module:
    """normal_(weight) in one layer: the std was forgotten and is 1."""
    model = _plain()
    nn.init.normal_(model[6].weight, generator=torch.Generator().manual_seed(0))
    return model


def extra_zero() -> nn.Module:
    """std=0.0002 instead of 0.02 in one layer."""
    model = _plain()
    nn.init.normal_(model[8].weight, std=0.0002, generator=torch.Generator().manual_seed(0))
    return model


def zeroed_layer() -> nn.Module:
    """zeros_ on a hidden weight instead of its bias."""
    model = _plain(activation=nn.Tanh)
    nn.init.zeros_(model[4].weight)
    return model


def constant_layer() -> nn.Module:
    """A hidden weight set to one number."""
    model = _plain(4)
    nn.init.constant_(model[4].weight, 0.02)
    return model


def dead_units() -> nn.Module:
    """A bias of -5 before ReLU."""
    model = _plain(4)
    nn.init.constant_(model[4].bias, -5.0)
    return model


def saturated_units() -> nn.Module:
    """Weights twenty times too large before tanh."""
    model = _plain(4, nn.Tanh)
    with torch.no_grad():
        model[4].weight.mul_(20)
    return model


def uninitialized() -> nn.Module:
    """torch.empty that nobody filled."""
    model = _plain(4)
    with torch.no_grad():
        model[6].weight[3, 5] = float("nan")
    return model


def copied_layer() -> nn.Module:
    """Two layers made from one: [layer] * 2 after a deepcopy, or one seed for every layer."""
    model = _plain(4)
    with torch.no_grad():
        model[6].weight.copy_(model[4].weight)
    return model


def loud_readout() -> nn.Module:
    """A readout of std 1 behind a norm: confident and wrong."""
    model = _language_model()
    nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    return model


def tied_normal_table() -> nn.Module:
    """The table of nn.Embedding is N(0, 1); tied to the readout the logits have std 8."""
    model = _language_model(tied=True)
    nn.init.normal_(model.table.weight, generator=torch.Generator().manual_seed(0))
    return model


def sharp_attention() -> nn.Module:
    """Queries and keys five times too large: every position looks at one other."""
    model = _language_model()
    with torch.no_grad():
        model.blocks[1].query.weight.mul_(8)
        model.blocks[1].key.weight.mul_(8)
    return model


class Forgotten(nn.Module):
    """A layer that is made and never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.forgotten, self.last = nn.Linear(32, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            y = self.forgotten(torch.relu(self.first(x)))
        return self.last(torch.relu(self.first(x)) + y)


def cut_off() -> nn.Module:
    """A part of the network under no_grad that was meant to learn."""
    return _filled(Forgotten(), (32, 32))
