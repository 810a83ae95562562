"""Recipes against each other: short trainings from each, on data that packages ship.

Usage: python benchmarks/recipes.py [--only NAMES] [--steps 60] [--json docs/figures/recipes.json]

The score is the mean loss over the first steps in units of chance, at the best of several rates: 1 is a network that
learns nothing, lower is better. Every candidate sees the same batches in the same order.
"""

import argparse
import copy
import itertools
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.datasets import load_digits, load_sample_image
from torch import nn
from torch.nn import functional

import wellbegun as wb

SOURCES = Path(__file__).parents[1] / "src" / "wellbegun"
ADAM, SGD = (3e-3, 1e-3, 3e-4), (0.1, 0.01)


class Task(NamedTuple):
    """Data and loss: `batch(generator)` gives inputs and targets."""

    batch: Callable[[torch.Generator], tuple[Any, torch.Tensor]]
    loss: Callable[[Any, torch.Tensor], torch.Tensor]
    chance: float


class Case(NamedTuple):
    """A network with its task, and published recipes that are meant for it."""

    build: Callable[[], nn.Module]
    task: Callable[[], Task]
    recipes: tuple[str, ...] = ()


# ---------------------------------------------------------------------- tasks
def digits(*, image: bool = False) -> Task:
    """1,797 scanned digits, standardized."""
    data = load_digits()
    x = torch.tensor((data.data - data.data.mean()) / data.data.std(), dtype=torch.float32)
    x, y = x.reshape(-1, 1, 8, 8) if image else x, torch.tensor(data.target)

    def batch(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.randint(0, len(x), (64,), generator=generator)
        return x[chosen], y[chosen]

    return Task(batch, functional.cross_entropy, math.log(10))


def text() -> Task:
    """The characters of this package's source code."""
    found = "".join(path.read_text() for path in sorted(SOURCES.rglob("*.py")) if path.read_text().isascii())
    ids = torch.tensor(np.frombuffer(found.encode(), np.uint8).astype(np.int64))

    def batch(generator: torch.Generator) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        starts = torch.randint(0, len(ids) - 65, (16,), generator=generator)
        rows = torch.stack([ids[start : start + 65] for start in starts])
        return {"input_ids": rows[:, :-1]}, rows[:, 1:]

    def loss(output: Any, target: torch.Tensor) -> torch.Tensor:
        logits = getattr(output, "logits", output)
        return functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))

    return Task(batch, loss, math.log(128))


def photograph() -> Task:
    """Coordinates of a photograph's pixels -> its colours."""
    image = torch.tensor(load_sample_image("flower.jpg")[100:260:3, 200:400:3].astype("float32") / 255)
    rows, columns, _ = image.shape
    axes = torch.meshgrid(torch.linspace(-1, 1, rows), torch.linspace(-1, 1, columns), indexing="ij")
    x, y = torch.stack(axes, -1).reshape(-1, 2), image.reshape(-1, 3)
    y = (y - y.mean()) / y.std()
    return Task(lambda _: (x, y), functional.mse_loss, 1.0)


# ---------------------------------------------------------------------- networks
class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def plain(function: Callable[[torch.Tensor], torch.Tensor], layers: int, width: int = 128) -> nn.Module:
    """A plain MLP without normalization."""
    sizes = [64, *[width] * (layers - 1)]
    pairs = [[nn.Linear(a, b), Function(function)] for a, b in itertools.pairwise(sizes)]
    return nn.Sequential(*(module for pair in pairs for module in pair), nn.Linear(width, 10))


def convolutional(layers: int, *, pooled: bool, width: int = 32) -> nn.Module:
    """A plain convolutional net without normalization."""
    pairs = [[nn.Conv2d(width if i else 1, width, 3, padding=1), nn.ReLU()] for i in range(layers)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)]
    flat = [nn.Flatten(), nn.Linear(width * 64, 10)]
    return nn.Sequential(*(module for pair in pairs for module in pair), *(head if pooled else flat))


class Block(nn.Module):
    """relu(x + f(x)) of two convolutions."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(width, width, 3, padding=1, bias=not norm) for _ in "ab")
        self.na, self.nb = (nn.BatchNorm2d(width) if norm else nn.Identity() for _ in "ab")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x + self.nb(self.b(torch.relu(self.na(self.a(x))))))


def residual(*, norm: bool, blocks: int = 9, width: int = 16) -> nn.Module:
    """A small ResNet-20."""
    stem = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width) if norm else nn.Identity(), nn.ReLU()]
    body = [Block(width, norm=norm) for _ in range(blocks)]
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class Recurrent(nn.Module):
    """A character model of two recurrent layers."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embed, self.body = nn.Embedding(128, 64), kind(64, 128, 2, batch_first=True)
        self.head = nn.Linear(128, 128)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.embed(input_ids))[0])


class Sines(nn.Module):
    """A coordinate net of sin(30 a)."""

    def __init__(self, layers: int = 4, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width if i else 2, width) for i in range(layers))
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.sin(30 * layer(x))
        return self.head(x)


def transformer(name: str) -> nn.Module:
    """GPT-2 or Llama, six layers of width 128, from config."""
    import transformers

    transformers.logging.set_verbosity_error()
    if name == "gpt2":
        drop = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
        sizes = {"vocab_size": 128, "n_positions": 64, "n_embd": 128, "n_layer": 6, "n_head": 4}
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(bos_token_id=0, eos_token_id=0, **sizes, **drop))
    sizes = {"vocab_size": 128, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 6}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 64}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **heads))


PLAIN: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], int]] = {
    "ReLU": (torch.relu, 50),
    "leaky ReLU 0.2": (lambda x: functional.leaky_relu(x, 0.2), 50),
    "ELU": (functional.elu, 50),
    "SELU": (functional.selu, 50),
    "GELU": (functional.gelu, 50),
    "SiLU": (functional.silu, 50),
    "mish": (functional.mish, 50),
    "tanh": (torch.tanh, 50),
    "softsign": (functional.softsign, 50),
    "sin": (torch.sin, 50),
    "sigmoid": (torch.sigmoid, 10),
    "written inline": (lambda x: x / (1 + x * x).sqrt(), 50),
    "squared ReLU": (lambda x: torch.relu(x) ** 2, 6),
}
CASES: dict[str, Case] = {
    f"MLP, {layers} layers, {name}": Case(lambda f=f, n=layers: plain(f, n), digits)
    for name, (f, layers) in PLAIN.items()
} | {
    "conv, 24 layers, flat head": Case(lambda: convolutional(24, pooled=False), lambda: digits(image=True)),
    "conv, 8 layers, pooled": Case(lambda: convolutional(8, pooled=True), lambda: digits(image=True)),
    "conv, 24 layers, pooled": Case(lambda: convolutional(24, pooled=True), lambda: digits(image=True)),
    "ResNet-20, BatchNorm": Case(lambda: residual(norm=True), lambda: digits(image=True), ("resnet",)),
    "ResNet-20, no norm": Case(lambda: residual(norm=False), lambda: digits(image=True), ("fixup",)),
    "GPT-2, 6 layers": Case(lambda: transformer("gpt2"), text, ("gpt2",)),
    "Llama, 6 layers": Case(lambda: transformer("llama"), text, ("llama",)),
    "LSTM": Case(lambda: Recurrent(nn.LSTM), text),
    "GRU": Case(lambda: Recurrent(nn.GRU), text),
    "sines on a photograph": Case(Sines, photograph, ("siren",)),
}


# ---------------------------------------------------------------------- trainings
def trained(model: nn.Module, task: Task, optimizer: torch.optim.Optimizer, steps: int) -> float:
    """Mean loss over the steps, in units of chance; a diverged step counts as 1.5."""
    generator, total = torch.Generator().manual_seed(0), 0.0
    for _ in range(steps):
        x, y = task.batch(generator)
        loss = task.loss(model(**x) if isinstance(x, dict) else model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        value = float(loss.detach()) / task.chance
        total += min(value, 1.5) if math.isfinite(value) else 1.5
    return total / steps


def scored(case: Case, task: Task, recipe: str | None, steps: int) -> dict[str, Any]:
    """Score at the best rate, what the check says before, and how long `initialize` took."""
    torch.manual_seed(0)
    model, seconds = case.build(), 0.0
    x, _ = task.batch(torch.Generator().manual_seed(9))
    if recipe is not None:
        start = time.perf_counter()
        health = wb.initialize(model, x, recipe=recipe, seed=0).health
        seconds = time.perf_counter() - start
    else:
        health = wb.check(model, x)
    found = {}
    for name, kind, rates in (("Adam", torch.optim.Adam, ADAM), ("SGD", torch.optim.SGD, SGD)):
        for rate in rates:
            copied = copy.deepcopy(model)
            found[f"{name} {rate:g}"] = trained(copied, task, kind(copied.parameters(), rate), steps)
    best = min(found, key=lambda key: found[key])
    return {"score": round(found[best], 3), "rate": best, "codes": list(health.codes), "seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="parts of the names of networks")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = {n: c for n, c in CASES.items() if not options.only or any(part in n for part in options.only)}
    console, rows = Console(), []
    table = Table("network", "default", "classic", "auto", "published", box=None)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        ticks = bar.add_task("training", total=sum(3 + len(case.recipes) for case in chosen.values()))
        for name, case in chosen.items():
            task, row = case.task(), {"network": name}
            for recipe in (None, "classic", "auto", *case.recipes):
                row[recipe or "default"] = scored(case, task, recipe, options.steps)
                bar.advance(ticks)
            rows.append(row)
    for row in rows:
        published = next((f"{row[r]['score']:.2f} ({r})" for r in row if r in wb_recipes()), "")
        table.add_row(row["network"], *(f"{row[r]['score']:.2f}" for r in ("default", "classic", "auto")), published)
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "rows": rows}, indent=1) + "\n")


def wb_recipes() -> set[str]:
    """Published recipes that any case names."""
    return {recipe for case in CASES.values() for recipe in case.recipes}


if __name__ == "__main__":
    main()
