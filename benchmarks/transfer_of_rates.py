"""Whether the best learning rate moves with the width and the depth of a small language model.

Usage: python benchmarks/transfer_of_rates.py [--quick] [--json docs/figures/transfer.json]

A pre-norm transformer over the characters of Python's own library is trained for a while at rates a factor of two
apart. The best rate of a seed is where a parabola through the best three losses (in the logarithm of the rate) is
lowest. A line through the logarithms of the best rates over those of the sizes tells by what factor the rate moves from
the smallest size to the largest, with a 95 % interval over the seeds. Widths: mup; depths: completep; both beside the
standard parametrization. About 15 minutes on one quiet core, seed by seed; what --json holds already is not run again.
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

LETTERS, LENGTH, BATCH, HEAD = string.printable, 32, 8, 16
STEPS, SEEDS = 80, 3
WIDTHS, DEPTHS, WIDTH, DEPTH = (16, 64, 256), (1, 4, 32), 32, 2
RATES = tuple(2.0**-power for power in (11, 10, 9, 8, 7, 6, 5))


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
    text = "".join(inspect.getsource(module) for module in (argparse, inspect, json.decoder, string))
    return torch.tensor([LETTERS.find(letter) for letter in text if letter in LETTERS])


def trained(recipe: Parametrization, width: int, depth: int, rate: float, seed: int, text: torch.Tensor) -> float:
    """Mean loss of the last eighth of the steps."""
    model = Language(width, depth)
    plan = wb.plan(model, text[: 2 * LENGTH].reshape(2, -1), recipe=recipe, seed=seed)
    wb.apply(model, plan)
    optimizer = torch.optim.AdamW(plan.param_groups(model.named_parameters(), lr=rate), betas=(0.9, 0.95))
    generator, losses = torch.Generator().manual_seed(seed), []
    for _ in range(STEPS):
        starts = torch.randint(len(text) - LENGTH - 1, (BATCH,), generator=generator)
        rows = text[(starts[:, None] + torch.arange(LENGTH + 1))]
        loss = functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    found = torch.stack(losses[-STEPS // 8 :]).mean().item()
    return found if math.isfinite(found) else 2 * math.log(len(LETTERS))


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
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path is not None and path.exists() else []
    done = {(row["axis"], row["recipe"], row["size"], row["rate"], row["seed"]) for row in found}
    text = corpus()
    for seed in range(seeds):
        for (axis, name), made in recipes().items():
            for size in WIDTHS if axis == "width" else DEPTHS:
                for rate in RATES:
                    if (axis, name, size, rate, seed) in done:
                        continue
                    loss = round(trained(*made(size), rate, seed, text), 5)
                    found.append({"axis": axis, "recipe": name, "size": size, "rate": rate, "seed": seed, "loss": loss})
                    if path is not None:
                        path.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")
                print(
                    f"seed {seed}, {axis} {size}, {name}: best rate {best(found, axis, name, size, seed):.2g}",
                    flush=True,
                )
    return found


# ---------------------------------------------------------------------- what it says
def best(found: list[dict[str, Any]], axis: str, name: str, size: int, seed: int) -> float:
    """The rate at which a parabola through the three best losses in a row is lowest."""
    same = (axis, name, size, seed)
    rows = sorted((r["rate"], r["loss"]) for r in found if (r["axis"], r["recipe"], r["size"], r["seed"]) == same)
    logs, losses = np.log([rate for rate, _ in rows]), np.array([loss for _, loss in rows])
    at = min(max(int(losses.argmin()), 1), len(rows) - 2)
    bend, slope, _ = np.polyfit(logs[at - 1 : at + 2], losses[at - 1 : at + 2], 2)
    place = -slope / (2 * bend) if bend > 0 else logs[int(losses.argmin())]
    return float(np.exp(min(max(place, logs[0]), logs[-1])))


def summary(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each axis and parametrization: best rates, and by what factor they move from end to end."""
    lines = []
    for axis, name in dict.fromkeys((row["axis"], row["recipe"]) for row in found):
        rows = [row for row in found if (row["axis"], row["recipe"]) == (axis, name)]
        sizes = sorted({row["size"] for row in rows})
        full = len(RATES) * len(sizes)
        seeds = [s for s in sorted({row["seed"] for row in rows}) if sum(row["seed"] == s for row in rows) == full]
        if not seeds:
            continue
        rates = np.log([[best(found, axis, name, size, seed) for size in sizes] for seed in seeds])
        at = np.log(sizes)
        moves = [float(np.polyfit(at, of_seed, 1)[0] * (at[-1] - at[0])) for of_seed in rates]
        middle, low, high = interval(moves, 0.95)
        line = {"axis": axis, "recipe": name, "sizes": sizes, "rates": np.exp(rates.mean(axis=0)).tolist()}
        lines.append({**line, "moves": [math.exp(x) for x in (middle, low, high)], "seeds": len(seeds)})
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
