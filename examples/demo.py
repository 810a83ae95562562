"""The main job on real data: seven ways to initialize three networks, looked at before training and then trained.

Data: scikit-learn's digits, 1,797 scanned handwritten digits of 8x8 pixels, shipped with the package.
Usage: make demo, or python examples/demo.py [--quick] [--out FOLDER]
"""

import argparse
import copy
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn

import wellbegun as wb
from demo_figure import CHANCE, draw
from networks import HybridMLP, PlainConvNet, RowLSTM
from wellbegun.health import Health
from wellbegun.racing.progress import Progress, shown
from wellbegun.storage import save_plan

NETWORKS: dict[str, type[nn.Module]] = {
    "plain conv net, 30 layers": PlainConvNet,
    "hybrid relu/tanh/sigmoid MLP": HybridMLP,
    "LSTM over rows": RowLSTM,
}
# name -> arguments for wellbegun.initialize; None leaves the framework's default
CANDIDATES: dict[str, dict[str, Any] | None] = {
    "framework default": None,
    "naive normal(0.01)": {"rules": [("*", "normal(std=0.01)"), ("*bias*", "zeros")]},
    "zeros": {"rules": [("*", "zeros")]},
    "Xavier everywhere": {"rules": [("*weight*", "xavier_normal"), ("*bias*", "zeros")]},
    "He everywhere": {"rules": [("*weight*", "he_normal"), ("*bias*", "zeros")]},
    "wellbegun classic": {"recipe": "classic"},
    "wellbegun auto": {},
}
DEEP = "plain conv net, 30 layers"
RIVALS = "framework default", "He everywhere", "wellbegun auto"
RATES = (3e-4, 1e-3, 3e-3)


@dataclass
class Digits:
    """Training and test images, standardized, and their labels."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


@dataclass
class Outcome:
    """One network with one initialization."""

    network: str
    candidate: str
    findings: list[str]
    signal: list[float]
    gradient: list[float]
    losses: dict[str, list[float]] = field(default_factory=dict)  # rate -> loss at each step
    accuracy: dict[str, float] = field(default_factory=dict)

    @property
    def best_rate(self) -> str:
        return max(self.accuracy, key=lambda rate: self.accuracy[rate])


def digits() -> Digits:
    """A fixed split: four fifths to train on."""
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None]
    images = (images - images.mean()) / images.std()
    labels = torch.tensor(bunch.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[: len(order) * 4 // 5], order[len(order) * 4 // 5 :]
    return Digits(images[train], labels[train], images[test], labels[test])


def build(network: str, candidate: str, data: Digits) -> nn.Module:
    """The network with this initialization; the same numbers every time."""
    torch.manual_seed(0)
    model = NETWORKS[network]()
    options = CANDIDATES[candidate]
    if options is not None:
        wb.initialize(model, data.train_images[:64], seed=0, **options)
    return model


def look(model: nn.Module, data: Digits) -> Health:
    """Health on a real batch with real labels."""
    batch, labels = data.train_images[:64], data.train_labels[:64]
    return wb.check(model, batch, loss=lambda out: nn.functional.cross_entropy(out, labels), chance=CHANCE)


def train(model: nn.Module, data: Digits, rate: float, steps: int) -> Iterator[float]:
    """Adam on random batches of 128; yields the loss of each step."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        picked = torch.randint(len(data.train_images), (128,), generator=generator)
        loss = nn.functional.cross_entropy(model(data.train_images[picked]), data.train_labels[picked])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def accuracy(model: nn.Module, data: Digits) -> float:
    """Share of test images named correctly."""
    with torch.no_grad():
        return float((model(data.test_images).argmax(1) == data.test_labels).float().mean())


def run(data: Digits, steps: int, tell: Progress) -> list[Outcome]:
    """Every network with every initialization and rate."""
    total = len(NETWORKS) * len(CANDIDATES) * len(RATES) * steps
    outcomes, done = [], 0
    for network in NETWORKS:
        for candidate in CANDIDATES:
            tell(done, total, f"{network}, {candidate}")
            start = build(network, candidate, data)
            health = look(start, data)
            operations = health.statistics.operations
            outcome = Outcome(
                network,
                candidate,
                list(health.codes),
                [operation.rms for operation in operations],
                [operation.gradient or 0.0 for operation in operations],
            )
            for rate in RATES:
                model = copy.deepcopy(start)
                outcome.losses[f"{rate:g}"] = []
                for loss in train(model, data, rate, steps):
                    outcome.losses[f"{rate:g}"].append(loss)
                    tell(done := done + 1, total, f"{network}, {candidate}")
                outcome.accuracy[f"{rate:g}"] = accuracy(model, data)
            outcomes.append(outcome)
    return outcomes


def before_table(network: str, outcomes: list[Outcome]) -> Table:
    """Signal and gradient by depth, before a single training step."""
    depth = len(outcomes[0].signal)
    shown = sorted({0, depth // 4, depth // 2, 3 * depth // 4, depth - 1})
    title = f"{network}: before training (RMS of the signal and norm of the gradient at layer …)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("initialization", no_wrap=True)
    for name in ("signal", "gradient"):
        for layer in shown:
            table.add_column(f"{name if layer == shown[0] else ''}\n{layer + 1}", justify="right")
    table.add_column("findings")
    for outcome in outcomes:
        cells = [f"{series[layer]:.1e}" for series in (outcome.signal, outcome.gradient) for layer in shown]
        table.add_row(outcome.candidate, *cells, " ".join(outcome.findings) or "healthy")
    return table


def after_table(network: str, outcomes: list[Outcome], steps: int) -> Table:
    """Final loss at every rate, and the best test accuracy."""
    title = f"{network}: after {steps} steps of Adam (chance: loss 2.30, accuracy 10 %)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("initialization", no_wrap=True)
    for rate in RATES:
        table.add_column(f"loss at rate\n{rate:g}", justify="right")
    table.add_column("best test\naccuracy", justify="right")
    for outcome in outcomes:
        losses = [f"{settled(series):.2f}" for series in outcome.losses.values()]
        table.add_row(outcome.candidate, *losses, f"{max(outcome.accuracy.values()):.0%}")
    return table


def figures(outcomes: list[Outcome]) -> list[dict[str, object]]:
    """What the README's table shows, small enough to keep under version control."""
    return [
        {
            "network": outcome.network,
            "candidate": outcome.candidate,
            "findings": outcome.findings,
            "loss": round(min(settled(series) for series in outcome.losses.values()), 3),
            "accuracy": round(max(outcome.accuracy.values()), 4),
        }
        for outcome in outcomes
    ]


def settled(losses: list[float]) -> float:
    """Mean of the last five steps."""
    return sum(losses[-5:]) / len(losses[-5:])


def html_report(data: Digits, steps: int, path: Path) -> Path:
    """To send to a colleague: the deep network before and after, theory beside measurement, and a race of rivals."""
    batch, labels = data.train_images[:64], data.train_labels[:64]
    before = look(build(DEEP, "framework default", data), data)
    model = NETWORKS[DEEP]()
    loss = {"loss": lambda out: nn.functional.cross_entropy(out, labels), "chance": CHANCE}
    result = wb.initialize(model, batch, seed=0, **loss)
    theory = wb.signal_propagation(model, result.plan, batch)
    arrays = data.train_images, data.train_labels, data.test_images, data.test_labels
    rivals = {name: CANDIDATES[name] for name in RIVALS}
    raced = wb.race(rivals, NETWORKS[DEEP], arrays, rates=RATES[1:], seeds=3, steps=steps)
    title = f"{DEEP[0].upper()}{DEEP[1:]}: before and after"
    return Path(wb.report(result, theory, raced, before=before, model=model, path=path, title=title))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few steps only, to see that everything runs")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder for the files it writes")
    parser.add_argument("--figures", type=Path, help="also write the figures of the README's table to this file")
    arguments = parser.parse_args()
    steps = 3 if arguments.quick else 60
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # the vanishing candidates would otherwise spend the time on denormal numbers
    console, data, start = Console(highlight=False, width=150), digits(), time.perf_counter()

    with shown(True, "training") as tell:
        outcomes = run(data, steps, tell)
    for network in NETWORKS:
        ours = [outcome for outcome in outcomes if outcome.network == network]
        console.print(before_table(network, ours))
        console.print(after_table(network, ours, steps))

    picture, table = arguments.out / "demo.png", arguments.out / "demo.json"
    found = [asdict(outcome) for outcome in outcomes]
    draw(found, picture)
    table.write_text(json.dumps(found, indent=1))
    if arguments.figures:
        arguments.figures.write_text(json.dumps(figures(outcomes), indent=1) + "\n")
    written = [picture, table]
    for factory in NETWORKS.values():
        file = f"plan-{factory.__name__}.json"
        written.append(save_plan(wb.initialize(factory(), data.train_images[:64], seed=0).plan, arguments.out / file))
    written.append(html_report(data, max(steps // 2, 2), arguments.out / "report.html"))
    sizes = f"{len(data.train_images)} training and {len(data.test_images)} test digits"
    console.print(f"{sizes}; {time.perf_counter() - start:.0f} s. Wrote:")
    for path in written:
        console.print(f"  {path}")


if __name__ == "__main__":
    main()
