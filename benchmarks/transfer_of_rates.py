"""Whether the best learning rate moves with the width and the depth of a small language model.

Usage: python benchmarks/transfer_of_rates.py [--quick] [--json docs/figures/transfer.json]

A pre-norm transformer over the characters of Python's own library is trained for a while at rates a root of two apart,
which go up over the first tenth of the steps and then down to 0. The best rate of a seed is where a parabola through
the held-out losses (in the logarithm of the rate) of the best rate and three on each side is lowest. A line through the
logarithms of the best rates over those of the sizes tells by what factor the rate moves from the smallest size to the
largest, with a 95 % interval over the seeds. Widths: mup; depths: completep; both beside the standard parametrization.
About 30 minutes on one quiet core, seed by seed; what --json holds already is not run again.
"""

import argparse
import inspect
import json
import math
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.planning import Parametrization, completep, mup, standard
from wellbegun.racing.statistics import interval

LETTERS, LENGTH, BATCH, HELD, HEAD = string.printable, 32, 16, 256, 16
STEPS, SEEDS = 120, 3
WIDTHS, DEPTHS, WIDTH, DEPTH = (16, 64, 256), (1, 2, 4, 8, 32), 32, 2
START, REACH = -12, 3  # the power of the root of 2 that the first rate is; rates on each side of the best


class Block(nn.Module):
    """Attention and a feed-forward part, each behind a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(width // HEAD, 1)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.qkv(self.first(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(functional.gelu(self.up(self.second(x))))


class Language(nn.Module):
    """Letters to logits of the next one."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(LETTERS), bias=False)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        x = self.letters(text) + self.places(torch.arange(text.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def corpus() -> torch.Tensor:
    """Source of modules of the standard library, as numbers of letters."""
    text = "".join(inspect.getsource(module) for module in (argparse, json.decoder, string, inspect))
    return torch.tensor([LETTERS.find(letter) for letter in text if letter in LETTERS])


def held_out(model: nn.Module, text: torch.Tensor) -> float:
    """Mean loss on the end of the text, which no step sees."""
    rows = text[-HELD * (LENGTH + 1) :].reshape(HELD, -1)
    with torch.no_grad():
        found = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()).item()
    return found if math.isfinite(found) else 2 * math.log(len(LETTERS))


def trained(recipe: Parametrization, width: int, depth: int, rate: float, seed: int, text: torch.Tensor) -> float:
    """Held-out loss after the steps: rates go up over the first tenth of them, then down to 0."""
    model = Language(width, depth)
    plan = wb.plan(model, text[: 2 * LENGTH].reshape(2, -1), recipe=recipe, seed=seed)
    wb.apply(model, plan)
    optimizer = torch.optim.AdamW(plan.param_groups(model.named_parameters(), lr=rate), betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / (STEPS / 10), (STEPS - step) / (STEPS - STEPS / 10))
    )
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        starts = torch.randint(len(text) - (HELD + 1) * (LENGTH + 1), (BATCH,), generator=generator)
        rows = text[(starts[:, None] + torch.arange(LENGTH + 1))]
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return held_out(model, text)


# ---------------------------------------------------------------------- what is run
def recipes() -> dict[tuple[str, str], Callable[[int], tuple[Parametrization, int, int]]]:
    """(axis, parametrization) -> size -> it, width and depth."""
    zero, plain = ("readout",), standard(recipe="classic")
    wide, deep = mup(base=WIDTHS[1], zero=zero), completep(base=WIDTH, depth=DEPTHS[1], zero=zero)
    return {
        ("width", "mup"): lambda size: (wide, size, DEPTH),
        ("width", "standard"): lambda size: (plain, size, DEPTH),
        ("depth", "completep"): lambda size: (deep, WIDTH, size),
        ("depth", "standard"): lambda size: (plain, WIDTH, size),
    }


def run(path: Path | None, seeds: int) -> list[dict[str, Any]]:
    """All trainings that are not done yet, written down after each."""
    found: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path is not None and path.exists() else []
    text = corpus()
    for seed in range(seeds):
        for (axis, name), made in recipes().items():
            power = START
            for size in WIDTHS if axis == "width" else DEPTHS:
                losses = losses_of(found, axis, name, size, seed)
                while (power := next_power(losses, power)) is not None:
                    losses[power] = round(trained(*made(size), 2 ** (power / 2), seed, text), 5)
                    row = {"axis": axis, "recipe": name, "size": size, "seed": seed}
                    found.append({**row, "power": power, "loss": losses[power]})
                    if path is not None:
                        written(path, found)
                power = min(losses, key=losses.__getitem__)
                print(f"seed {seed}, {axis} {size}, {name}: best rate {best(losses):.2g}", flush=True)
    return found


def written(path: Path, found: list[dict[str, Any]]) -> None:
    """The trainings, one a line, and what they say."""
    lines = {"steps": STEPS, "summary": summary(found), "rows": found}
    texts = (f'"{key}": ' + (json.dumps(value) if key == "steps" else _listed(value)) for key, value in lines.items())
    path.write_text("{\n" + ",\n".join(texts) + "\n}\n")


def _listed(rows: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]"


def next_power(losses: dict[int, float], start: int) -> int | None:
    """The rate, as a power of the root of 2, to be tried next: from `start` to where REACH on each side are worse."""
    if not losses:
        return start
    at = min(losses, key=losses.__getitem__)
    return next((at + step for away in range(1, REACH + 1) for step in (-away, away) if at + step not in losses), None)


# ---------------------------------------------------------------------- what it says
def losses_of(found: list[dict[str, Any]], axis: str, name: str, size: int, seed: int) -> dict[int, float]:
    """Held-out losses by the powers of their rates."""
    same = (axis, name, size, seed)
    return {r["power"]: r["loss"] for r in found if (r["axis"], r["recipe"], r["size"], r["seed"]) == same}


def best(losses: dict[int, float]) -> float:
    """The rate at which a parabola through the lowest loss and REACH on each side is lowest."""
    at = min(losses, key=losses.__getitem__)
    near = [power for power in range(at - REACH, at + REACH + 1) if power in losses]
    bend, slope, _ = np.polyfit(near, [losses[power] for power in near], 2)
    return float(2 ** (min(max(-slope / (2 * bend), near[0]), near[-1]) / 2))


def summary(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each axis and parametrization: best rates, and by what factor they move from end to end."""
    lines = []
    for axis, name in dict.fromkeys((row["axis"], row["recipe"]) for row in found):
        sizes = WIDTHS if axis == "width" else DEPTHS
        each = [[losses_of(found, axis, name, size, seed) for size in sizes] for seed in range(SEEDS)]
        each = [of_seed for of_seed in each if all(next_power(one, START) is None for one in of_seed)]
        if not each:
            continue
        rates = np.log([[best(one) for one in of_seed] for of_seed in each])
        at = np.log(sizes)
        moves = [float(np.polyfit(at, of_seed, 1)[0] * (at[-1] - at[0])) for of_seed in rates]
        middle, low, high = interval(moves, 0.95)
        ends = np.mean([[min(one.values()) for one in of_seed] for of_seed in each], axis=0)
        line = {"axis": axis, "recipe": name, "sizes": sizes, "rates": np.exp(rates.mean(axis=0)).tolist()}
        moved = [math.exp(x) for x in (middle, low, high)]
        lines.append({**line, "moves": moved, "losses": ends.tolist(), "seeds": len(rates)})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for line in summary(run(options.json, 1 if options.quick else SEEDS)):
        rates = ", ".join(f"{size}: {rate:.2g}" for size, rate in zip(line["sizes"], line["rates"], strict=True))
        factor, low, high = line["moves"]
        print(f"{line['axis']}, {line['recipe']}: {rates}; moves x {factor:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main()
