"""Time of `wellbegun.initialize` against training steps and torch's own fills: python benchmarks/initialize_time.py

For each model: seconds of initialize (trace, plan, fill, measured correction, check), of filling alone, of one training
step (forward, backward, Adam), and initialize in units of two steps and a fill. Medians of three, after a first call
that loads what torch loads on first use; `kaiming_normal_` on every weight is what many do instead.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional

import wellbegun as wb


def gpt2(layers: int, width: int) -> nn.Module:
    """GPT-2 from config."""
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(n_layer=layers, n_embd=width, n_head=width // 64, bos_token_id=0, eos_token_id=0)
    return transformers.GPT2LMHeadModel(config)


def perceptron() -> nn.Module:
    """50 layers of width 512."""
    layers: list[nn.Module] = [nn.Linear(784, 512), nn.ReLU()]
    for _ in range(48):
        layers += [nn.Linear(512, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 10))


def convolutional() -> nn.Module:
    """24 convolutions of width 64 with batch normalization."""
    layers: list[nn.Module] = []
    for index in range(24):
        layers += [nn.Conv2d(64 if index else 3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "MLP, 50 layers of 512": (perceptron, torch.randn(256, 784)),
    "conv, 24 layers of 64": (convolutional, torch.randn(32, 3, 32, 32)),
    "GPT-2, 4 layers of 256": (lambda: gpt2(4, 256), {"input_ids": torch.randint(0, 50000, (4, 128))}),
    "GPT-2, 12 layers of 768": (lambda: gpt2(12, 768), {"input_ids": torch.randint(0, 50000, (4, 128))}),
}


def median(task: Callable[[], object]) -> float:
    task()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def kaiming(model: nn.Module) -> None:
    """torch's He on every matrix."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)


def main() -> None:
    console = Console()
    columns = "M parameters", "initialize, s", "plan, s", "fill, s", "kaiming_normal_, s", "one step, s"
    table = Table("model", *columns, "÷ (2 steps + fill)", box=None)
    for name, (build, batch) in MODELS.items():
        model = build()
        plan = wb.plan(model, batch, seed=0)
        optimizer = torch.optim.Adam(model.parameters(), 1e-4)

        def step(model: nn.Module = model, batch: Any = batch, optimizer: Any = optimizer) -> None:
            output = model(**batch) if isinstance(batch, dict) else model(batch)
            logits = getattr(output, "logits", output).flatten(0, -2)
            optimizer.zero_grad()
            functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)).backward()
            optimizer.step()

        whole = median(lambda m=model, b=batch: wb.initialize(m, b, seed=0))
        planned = median(lambda m=model, b=batch: wb.plan(m, b, seed=0))
        fill = median(lambda m=model, p=plan: wb.apply(m, p))
        theirs = median(lambda m=model: kaiming(m))
        one = median(step)
        count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
        figures = (f"{value:.3f}" for value in (whole, planned, fill, theirs, one))
        table.add_row(name, f"{count:.1f}", *figures, f"{whole / (2 * one + fill):.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
