"""Whole trainings: constructed, classic and auto, at each start's best rate and at the constructed start's.

Usage: python benchmarks/trainings.py [--only NAMES] [--part development|held-out] [--json docs/figures/trainings.json]
       [--resume]

AdamW, a short warm-up and a cosine to zero; every start at every rate sees the same batches. All copies of a network
that differ in seed, rate and start are trained as one, side by side. Two measures: the mean training loss over all
steps, and the loss on data held out at the end, each at the rate that is best for it. Rates are chosen with three
seeds (of values and of the order of data); what is compared comes from sixteen others at those rates, since the least
of several noisy losses is too low. An interval is 95 % of a difference: seeds are paired, and what is left of the
spread is pooled over the starts. The growth of a start is how many times larger its weights are than constructed
ones, as a geometric mean over their entries; whether it says what to multiply a rate with is compared too.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import stats
from torch import Tensor, nn

import training_tasks
import wellbegun as wb
from training_tasks import Task

STARTS = ("constructed", "classic", "auto")
POWERS = {"old": 0.0, "half": 0.5, "scaled": 1.0}  # of the growth, to multiply the constructed start's rate with
CHOOSING, COMPARING = range(3), range(3, 19)  # seeds
WARM, DECAY, BETAS, EPSILON = 0.05, 0.01, (0.9, 0.999), 1e-8
Kind = tuple[str, float, int]  # start, rate, seed
Losses = dict[str, dict[str, list[list[float]]]]  # start -> rate -> (mean of training, held out) for each seed


# ---------------------------------------------------------------------- copies of a network, trained as one
class Copies:
    """Copies of a network with their own values: all parameters of all copies are one matrix, a row for each."""

    def __init__(self, task: Task, models: Sequence[nn.Module]) -> None:
        self.task, self.model = task, models[0]
        named = [dict(model.named_parameters()) for model in models]
        self.shapes = {name: p.shape for name, p in named[0].items()}
        rows = [torch.cat([p.detach().reshape(-1) for p in found.values()]) for found in named]
        self.values = torch.stack(rows).requires_grad_()
        self.buffers = {
            name: torch.stack([dict(model.named_buffers())[name] for model in models])
            for name, _ in models[0].named_buffers()
        }
        self.mean, self.square, self.step = torch.zeros_like(self.values), torch.zeros_like(self.values), 0

    def losses(self, inputs: tuple[Tensor, ...], target: Tensor) -> Tensor:
        """The loss of each copy on its own batch."""

        def one(row: Tensor, buffers: dict[str, Tensor], x: tuple[Tensor, ...], y: Tensor) -> Tensor:
            parts = row.split([shape.numel() for shape in self.shapes.values()])
            values = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
            return self.task.loss(torch.func.functional_call(self.model, (values, buffers), x), y)

        if self.task.stacked:
            return torch.vmap(one, randomness="same")(self.values, self.buffers, inputs, target)
        copies = enumerate(self.values.unbind())
        return torch.stack(
            [one(row, {n: b[i] for n, b in self.buffers.items()}, tuple(x[i] for x in inputs), target[i])
             for i, row in copies]
        )  # fmt: skip

    @torch.no_grad()
    def update(self, rates: Tensor) -> None:
        """AdamW, with a rate for each copy."""
        gradient, self.step = self.values.grad, self.step + 1
        assert gradient is not None
        self.mean.lerp_(gradient, 1 - BETAS[0])
        self.square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        size = self.square.sqrt().div_(math.sqrt(1 - BETAS[1] ** self.step)).add_(EPSILON)
        step = (self.mean / size).mul_(rates[:, None] / (1 - BETAS[0] ** self.step))
        self.values.mul_(1 - DECAY * rates[:, None]).sub_(step)
        self.values.grad = None


def scheduled(step: int, steps: int) -> float:
    """A linear warm-up and a cosine to zero."""
    warm = max(1, round(WARM * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def started(task: Task, start: str, seed: int, inputs: tuple[Tensor, ...]) -> nn.Module:
    """A network as it is constructed, or by a recipe."""
    torch.manual_seed(seed)
    model = task.build()
    if start != "constructed":
        wb.initialize(model, inputs, recipe=start, seed=seed)
    return model


def growth(models: Sequence[nn.Module], others: Sequence[nn.Module]) -> float:
    """How many times larger the weights of models are than those of others, as a geometric mean over all entries."""
    logs, sizes = [], []
    for model, other in zip(models, others, strict=True):
        for new, old in zip(model.parameters(), other.parameters(), strict=True):
            if new.ndim > 1 and new.any() and old.any():
                logs.append(math.log(new.detach().norm() / old.detach().norm()))
                sizes.append(new.numel())
    return float(np.exp(np.average(logs, weights=sizes)))


def trained(task: Task, kinds: Sequence[Kind], steps: int) -> tuple[Losses, dict[tuple[str, int], nn.Module]]:
    """Both measures of copies, and the networks that they began as."""
    (inputs, target), held = task.data()
    order = {seed: np.random.default_rng(seed).integers(0, len(target), (steps, task.rows)) for _, _, seed in kinds}
    first = {seed: tuple(x[found[0]] for x in inputs) for seed, found in order.items()}
    models = {(start, seed): started(task, start, seed, first[seed]) for start, _, seed in kinds}
    copies = Copies(task, [models[start, seed] for start, _, seed in kinds])
    rates = torch.tensor([rate for _, rate, _ in kinds])
    history = []
    for step in range(steps):
        rows = torch.tensor(np.stack([order[seed][step] for _, _, seed in kinds]))
        losses = copies.losses(tuple(x[rows] for x in inputs), target[rows])
        losses.sum().backward()
        copies.update(rates * scheduled(step, steps))
        history.append(losses.detach())
    copies.model.eval()
    found, losses = torch.stack(history), _held_out(copies, held)
    worst = 2 * float(found[0].nanmean().abs()) + 1
    mean, end = (torch.nan_to_num(x, worst, worst, worst).clamp(max=worst) for x in (found, losses))
    result: Losses = {}
    for i, (start, rate, _) in enumerate(kinds):
        both = float(mean[:, i].double().mean()), float(end[i])
        result.setdefault(start, {}).setdefault(f"{rate:g}", []).append([float(f"{loss:.5g}") for loss in both])
    return result, models


def measured(name: str, task: Task, steps: int, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table; what an earlier one has already is not trained again."""
    begin, part = time.perf_counter(), "development" if name in training_tasks.DEVELOPMENT else "held out"
    losses: Losses = row.get("losses", {start: {} for start in STARTS})
    rates = [rate for rate in task.rates if f"{rate:g}" not in losses[STARTS[0]]]
    grown = row.get("growth", {})
    if rates:
        found, models = trained(task, list(product(STARTS, rates, CHOOSING)), steps)
        losses = {start: losses[start] | found[start] for start in STARTS}
        begun = {start: [models[start, seed] for seed in CHOOSING] for start in STARTS}
        grown = {start: growth(begun[start], begun[STARTS[0]]) for start in STARTS}
    row = {"network": name, "part": part, "steps": steps, "growth": grown, "losses": losses}
    asked = {(s, float(rates_of(row, at, measure)[s])) for s in STARTS for at in ("own", "old") for measure in (0, 1)}
    row["compared_losses"], _ = trained(task, [(*each, seed) for each in sorted(asked) for seed in COMPARING], steps)
    return row | {"seconds": round(time.perf_counter() - begin, 1)}


@torch.no_grad()
def _held_out(copies: Copies, held: Any) -> Tensor:
    """The loss on what is held out, in pieces."""
    inputs, target = held
    many, size = len(copies.values), max(copies.task.rows, 32)
    pieces = [
        copies.losses(
            tuple(x[i : i + size].expand(many, *x[i : i + size].shape) for x in inputs),
            target[i : i + size].expand(many, *target[i : i + size].shape),
        )
        for i in range(0, len(target) - size + 1, size)
    ]
    return torch.stack(pieces).mean(0)


# ---------------------------------------------------------------------- what is compared
def best_rate(found: dict[str, Any], measure: int = 1) -> str:
    """The rate with the least loss, over the seeds."""
    return min(found, key=lambda rate: float(np.mean([seed[measure] for seed in found[rate]])))


def rates_of(row: dict[str, Any], at: str, measure: int) -> dict[str, str]:
    """The rate of each start: its own best, or the constructed start's, times a power of its growth."""
    best = {start: best_rate(found, measure) for start, found in row["losses"].items()}
    if at == "own":
        return best
    found, old = row["losses"], float(best["constructed"])
    asked = {start: math.log(old * row["growth"][start] ** POWERS[at]) for start in found}
    return {start: min(found[start], key=lambda rate: abs(math.log(float(rate)) - asked[start])) for start in found}


def compared(row: dict[str, Any], start: str, at: str, measure: int) -> dict[str, float | str]:
    """A start minus the constructed one, and 95 % of that: at its own best rate ("own"), at the constructed start's
    ("old"), or, with the seeds that rates were chosen with, at that times a power of its growth ("half", "scaled")."""
    found, rates = row["compared_losses" if at in ("own", "old") else "losses"], rates_of(row, at, measure)
    values = np.array([[seed[measure] for seed in found[each][rates[each]]] for each in STARTS])
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    free = (values.shape[0] - 1) * (values.shape[1] - 1)
    spread = math.sqrt((left**2).sum() / free * 2 / values.shape[1])
    difference = float(values[STARTS.index(start)].mean() - values[STARTS.index("constructed")].mean())
    interval = float(stats.t.ppf(0.975, free)) * spread
    verdict = "tie" if abs(difference) <= interval else "win" if difference < 0 else "loss"
    return {"difference": difference, "interval": interval, "verdict": verdict}


def counts(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Wins, ties and losses of each start for both measures and rates, for both parts of the tasks."""
    result: dict[str, dict[str, str]] = {}
    for part in dict.fromkeys(row["part"] for row in rows):
        for start, at in product(STARTS[1:], ("own", *POWERS)):
            for measure, name in enumerate(("mean", "held out")):
                found = [compared(row, start, at, measure)["verdict"] for row in rows if row["part"] == part]
                told = "/".join(str(found.count(verdict)) for verdict in ("win", "tie", "loss"))
                result.setdefault(part, {})[f"{start}, {at} rate, {name}"] = told
    return result


def shown(rows: Sequence[dict[str, Any]]) -> Table:
    """A line for each training."""
    table = Table("network", *STARTS, "rates", "own: mean", "held out", "old: mean", "held out", "s", box=None)
    for row in rows:
        rates = {start: best_rate(row["losses"][start]) for start in STARTS}
        ends = [f"{np.mean([s[1] for s in row['compared_losses'][start][rates[start]]]):.4g}" for start in STARTS]
        cells = []
        for at in ("own", "old"):
            for measure in (0, 1):
                each = compared(row, "auto", at, measure)
                sign = {"win": "+", "tie": "=", "loss": "-"}[str(each["verdict"])]
                cells.append(f"{sign} {each['difference']:.3g} ± {each['interval']:.2g}")
        table.add_row(row["network"], *ends, " ".join(rates.values()), *cells, f"{row['seconds']:.0f}")
    return table


def saved(rows: Sequence[dict[str, Any]]) -> str:
    """Everything as JSON: losses, and what is compared."""
    told = [
        row
        | {
            "rates": {start: best_rate(found) for start, found in row["losses"].items()},
            "compared": {at: [compared(row, "auto", at, measure) for measure in (0, 1)] for at in ("own", "old")},
        }
        for row in rows
    ]
    return json.dumps({"counts": counts(rows), "rows": told}) + "\n"


def _rows(known: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [known[name] for name in training_tasks.TASKS if "compared_losses" in known.get(name, {})]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="parts of the names of networks")
    parser.add_argument("--part", choices=("development", "held-out"))
    parser.add_argument("--steps", type=int, help="instead of each task's own")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--resume", action="store_true", help="keep what the file has already")
    options = parser.parse_args()
    parts = {"development": training_tasks.DEVELOPMENT, "held-out": training_tasks.HELD_OUT}
    tasks = parts.get(options.part, training_tasks.TASKS)
    chosen = {n: t for n, t in tasks.items() if not options.only or any(part in n for part in options.only)}
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    known: dict[str, dict[str, Any]] = {}
    if options.resume and options.json and options.json.exists():
        known = {row["network"]: row for row in json.loads(options.json.read_text())["rows"]}
    for name, task in chosen.items():
        known[name] = measured(name, task, options.steps or task.steps, known.get(name, {}))
        Console(stderr=True).print(f"{name}: {known[name]['seconds']} s")
        if options.json:
            options.json.write_text(saved(_rows(known)))
    rows = _rows(known)
    Console(width=200).print(shown(rows), counts(rows))


if __name__ == "__main__":
    main()
