"""Whether `check` is right: it judges good and bad starts, 40 and 39, and each is trained briefly.

Usage: python benchmarks/health.py [--only NAMES] [--steps 80] [--json docs/figures/health.json]

Good starts (defaults of frameworks, recipes) must be healthy, and must train: a fixed batch is learned by Adam or SGD
at the best of several rates. The score is the last loss in units of chance, 1 is a model that learns nothing. Bad
starts must be found; what they lose is shown, and some train all the same, late or only with Adam.
"""

import argparse
import copy
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional

import wellbegun as wb

ROOT = Path(__file__).parents[1]
RATES: dict[str, tuple[float, ...]] = {"adam": (1e-2, 3e-3, 1e-3), "sgd": (0.3, 0.1, 0.01)}
LEARNED = 0.8  # score below which a model has learned


def output_of(model: nn.Module, batch: Any) -> torch.Tensor:
    found = model(**batch) if isinstance(batch, dict) else model(batch)
    return found if isinstance(found, torch.Tensor) else found.logits


def task_of(output: torch.Tensor, batch: Any) -> tuple[Any, float]:
    """A loss of the output that only a model which learns can lower, and its value for one that knows nothing."""
    generator = torch.Generator().manual_seed(1)
    if output.ndim == 3 and output.shape[-1] > 1:  # of each token: say the token before
        ids = batch.get("decoder_input_ids", batch.get("input_ids")) if isinstance(batch, dict) else batch
        if ids.is_floating_point():
            labels = (ids[..., 0] > 0).long()
            return lambda y: functional.cross_entropy(y.flatten(0, 1), labels.flatten()), math.log(2)
        labels = ids.roll(1, dims=1).flatten()
        return lambda y: functional.cross_entropy(y.flatten(0, 1), labels), math.log(output.shape[-1])
    if output.ndim == 4 and output.shape[1] == 2:  # of each pixel: is it bright?
        labels = (batch[:, 0] > 0).long()
        return lambda y: functional.cross_entropy(y, labels), math.log(2)
    if output.ndim == 2 and 1 < output.shape[1] < 64:
        labels = torch.randint(0, output.shape[1], (len(output),), generator=generator)
        return lambda y: functional.cross_entropy(y, labels), math.log(output.shape[1])
    shape = (*output.shape[:1], *[1] * (output.ndim - 1))
    targets = (0.1 + 0.8 * torch.rand(shape, generator=generator)).expand(output.shape)
    return lambda y: functional.mse_loss(y, targets), float(targets.var())


def trained(model: nn.Module, batch: Any, name: str, rate: float, steps: int) -> float:
    """Last loss in units of chance; infinite if it is not finite."""
    model = copy.deepcopy(model)
    torch.manual_seed(0)
    kind = torch.optim.Adam if name == "adam" else torch.optim.SGD
    optimizer = kind(model.parameters(), lr=rate)
    loss_of, chance = task_of(output_of(model, batch).detach(), batch)
    last: list[float] = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(output_of(model, batch))
        if not bool(torch.isfinite(loss)):
            return math.inf
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        last.append(float(loss.detach()) / chance)
    return sum(last[-5:]) / 5


def row(case: Any, steps: int) -> dict[str, Any]:
    torch.manual_seed(0)
    model, batch = case.make()
    start = time.perf_counter()
    health = wb.check(model, batch)
    seconds = time.perf_counter() - start
    scores = {name: min(trained(model, batch, name, rate, steps) for rate in rates) for name, rates in RATES.items()}
    found = set(health.codes) | set(health.remarks)
    right = health.healthy if not case.expected else bool(found & case.expected)
    return {
        "name": case.name,
        "good": not case.expected,
        "right": right,
        "codes": list(health.codes),
        "remarks": list(health.remarks),
        "place": health.findings[0].place if health.findings else "",
        "seconds": round(seconds, 4),
        **{name: None if math.isinf(score) else round(score, 4) for name, score in scores.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="part of the names")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path.append(str(ROOT / "tests" / "contract"))  # the test judges the same cases
    import health_cases

    rows = []
    for case in (case for name, case in health_cases.CASES.items() if options.only in name):
        rows.append(row(case, options.steps))
        print(rows[-1], file=sys.stderr, flush=True)
    table = Table("start", "should be", "found", "remarks", "Adam", "SGD", title="check against training")
    for one in rows:
        style = None if one["right"] else "red"
        found = " ".join(one["codes"]) or "healthy"
        expected = "healthy" if one["good"] else "found"
        table.add_row(
            one["name"], expected, found, " ".join(one["remarks"]), str(one["adam"]), str(one["sgd"]), style=style
        )
    Console(width=150).print(table)
    good = [one for one in rows if one["good"]]
    learned = [one for one in good if any(one[name] is not None and one[name] < LEARNED for name in RATES)]
    print(f"{sum(one['right'] for one in good)} of {len(good)} good starts are called healthy, {len(learned)} learned.")
    bad = [one for one in rows if not one["good"]]
    print(f"{sum(one['right'] for one in bad)} of {len(bad)} bad starts are found.")
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "learned": LEARNED, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
