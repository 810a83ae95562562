"""Nets so deep that PyTorch's defaults do not train: what the schemes and recipes that were made for them do.

Usage: python benchmarks/very_deep.py [--only NAMES] [--seeds 3] [--steps 150] [--json docs/figures/very_deep.json]

Each net is trained on the 1,797 scanned digits of scikit-learn, no warm-up, no clipping, at a few rates; a fifth of the
digits is held out. The figure is the held-out accuracy at the rate that is best on the training digits, for the recipe
and for the defaults of the layers; both see the same batches. 0.1 is chance.
"""

import argparse
import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import wellbegun as wb

WIDTH, HEADS, BATCH = 32, 4, 64


class Case(NamedTuple):
    """A net, what starts it, and how it is trained."""

    build: Callable[[], nn.Module]
    recipe: str
    optimizer: str
    rates: tuple[float, ...]
    steps: int = 0  # 0: as asked for


# ---------------------------------------------------------------------- nets
def plain(layers: int) -> nn.Module:
    """Linear layers and tanh, one after the other: nothing else."""
    hidden = [module for _ in range(layers) for module in (nn.Linear(WIDTH, WIDTH), nn.Tanh())]
    return nn.Sequential(nn.Linear(64, WIDTH), nn.Tanh(), *hidden, nn.Linear(WIDTH, 10))


class FixupBlock(nn.Module):
    """Two layers, with the numbers that Fixup adds around them, and no norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.a, self.b, self.c, self.d = (nn.Parameter(torch.zeros(1)) for _ in "abcd")
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x + self.a) + self.b)
        return torch.relu(x + self.scale * self.last(y + self.c) + self.d)


class ReZeroBlock(nn.Module):
    """x + a f(x)."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.a = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.a * self.inside(x)


def residual(block: Callable[[], nn.Module], blocks: int) -> nn.Module:
    """A stem, blocks, a readout."""
    return nn.Sequential(nn.Linear(64, WIDTH), *(block() for _ in range(blocks)), nn.Linear(WIDTH, 10))


class Layer(nn.Module):
    """Attention and perceptron on the stream, with norms on it, whose sums are alpha x + f(x), or without norms.

    `learned`: alpha is a parameter for each channel of each sum, 1 as constructed.
    """

    def __init__(self, alpha: float, *, norm: bool, learned: bool) -> None:
        super().__init__()
        self.alpha = self.beta = alpha
        if learned:
            self.alpha, self.beta = (nn.Parameter(torch.ones(WIDTH)) for _ in range(2))
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.one, self.two = (nn.LayerNorm(WIDTH) if norm else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).unflatten(-1, (HEADS, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = self.one(self.alpha * x + self.out(mixed))
        return self.two(self.beta * x + self.down(torch.relu(self.up(x))))


class Rows(nn.Module):
    """A transformer that reads a digit as 8 rows: each of them the mean of 8 words.

    Where the size of the stream counts, without norms or beside a learned factor, tables are constructed and read as in
    fairseq, which T-Fixup and Admin were made in: of std 1/sqrt(d) and times sqrt(d).
    """

    def __init__(self, layers: int, alpha: float, *, norm: bool, learned: bool = False) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(17 * 8, WIDTH), nn.Parameter(torch.zeros(64, WIDTH))
        self.scale = math.sqrt(8 * WIDTH) if learned or not norm else 1.0
        if self.scale != 1.0:
            nn.init.normal_(self.words.weight, std=WIDTH**-0.5)
        self.layers = nn.Sequential(*(Layer(alpha, norm=norm, learned=learned) for _ in range(layers)))
        self.readout = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        words = (4 * x + 8).round().clamp(0, 16).long()
        rows = self.scale * (self.words(words) + self.places).unflatten(1, (8, 8)).mean(2)
        return self.readout(self.layers(rows).mean(1))


DEEP, DEEPER = 48, 96
CASES = {
    "10,000 plain layers": Case(lambda: plain(10_000), "auto", "adam", (1e-5,), steps=60),
    "1,000 plain layers": Case(lambda: plain(1_000), "auto", "adam", (3e-4, 1e-4), steps=60),
    "Fixup, 200 blocks": Case(lambda: residual(FixupBlock, 200), "fixup", "sgd", (0.1, 0.03, 0.01)),
    "ReZero, 1,000 blocks": Case(lambda: residual(ReZeroBlock, 1_000), "rezero", "adam", (3e-3, 1e-3), 60),
    "DeepNorm, 96 layers": Case(lambda: Rows(DEEPER, (2 * DEEPER) ** 0.25, norm=True), "deepnorm", "adam", (1e-3,)),
    "Admin, 48 layers": Case(lambda: Rows(DEEP, 1.0, norm=True, learned=True), "admin", "adam", (3e-3, 1e-3), 100),
    "T-Fixup, 48 layers": Case(lambda: Rows(DEEP, 1.0, norm=False), "tfixup", "adam", (3e-3, 1e-3), 100),
}


# ---------------------------------------------------------------------- training
def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    data = load_digits()
    x = torch.tensor((data.data - data.data.mean()) / data.data.std(), dtype=torch.float32)
    y, order = torch.tensor(data.target), torch.randperm(len(data.data), generator=torch.Generator().manual_seed(0))
    held, kept = order[: len(x) // 5], order[len(x) // 5 :]
    return x[kept], y[kept], x[held], y[held]


def trained(model: nn.Module, case: Case, rate: float, steps: int, seed: int) -> tuple[float, float]:
    """Mean training loss of the last tenth, and held-out accuracy; (inf, chance) if it diverged."""
    x, y, test_x, test_y = digits()
    kinds = {"sgd": lambda p: torch.optim.SGD(p, rate, momentum=0.9), "adam": lambda p: torch.optim.Adam(p, rate)}
    optimizer, generator = kinds[case.optimizer](model.parameters()), torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        chosen = torch.randint(0, len(x), (BATCH,), generator=generator)
        loss = functional.cross_entropy(model(x[chosen]), y[chosen])
        if not math.isfinite(loss.item()):
            return math.inf, 0.1
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        hit = (model(test_x).argmax(1) == test_y).float().mean().item()
    last = losses[-max(len(losses) // 10, 1) :]
    return sum(last) / len(last), hit


def best(case: Case, start: nn.Module, steps: int, seed: int) -> float:
    """Held-out accuracy at the rate whose training loss is lowest."""
    found = (trained(copy.deepcopy(start), case, rate, steps, seed) for rate in case.rates)
    return min(found, key=lambda ended: ended[0])[1]


def run(case: Case, steps: int, seed: int) -> dict[str, float]:
    """Held-out accuracies of the recipe and of the defaults, from one seed."""
    torch.manual_seed(seed)
    plain = case.build()
    begun = copy.deepcopy(plain)
    wb.initialize(begun, digits()[0][:BATCH], recipe=case.recipe, seed=seed)
    return {kind: best(case, model, case.steps or steps, seed) for kind, model in (("ours", begun), ("torch", plain))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: dict[str, dict[str, list[float]]] = {}
    if given.json is not None and given.json.exists():
        found = {name: each for name, each in json.loads(given.json.read_text()).items() if name not in given.only}
    for name in given.only:
        found[name] = {"ours": [], "torch": []}
        for seed in range(given.seeds):
            for kind, hit in run(CASES[name], given.steps, seed).items():
                found[name][kind].append(round(hit, 4))
            print(name, found[name], flush=True)
            if given.json is not None:
                given.json.write_text(
                    json.dumps({name: found[name] for name in CASES if name in found}, indent=1) + "\n"
                )


if __name__ == "__main__":
    main()
