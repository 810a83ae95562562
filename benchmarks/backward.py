"""What `wellbegun.initialize` leaves backward: python benchmarks/backward.py [--json docs/figures/backward.json]

The correction measures forward only. This shows what is left backward: for every network the largest ratio, between any
two layers in series (of a residual stream: between any two of its sums), of the RMS of the signal and of the norm of
the gradient, and the gradient at the first in units of the last. Beside it the framework's default.
"""

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.health import Health

DIGITS = load_digits()
X = torch.tensor((DIGITS.data - DIGITS.data.mean()) / DIGITS.data.std(), dtype=torch.float32)[:128]
TOKENS = torch.randint(2, 1000, (4, 64), generator=torch.Generator().manual_seed(0))
Case = tuple[nn.Module, Any]


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def plain(function: Callable[[torch.Tensor], torch.Tensor], *sizes: int) -> Case:
    """Linear layers of these widths."""
    layers = [module for a, b in pairwise((64, *sizes)) for module in (nn.Linear(a, b), Of(function))]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10)), X


def images(depth: int, *, stride: bool = False) -> Case:
    """Convolutions; with strides the width doubles where the image shrinks."""
    layers: list[nn.Module] = []
    width, inputs = 16, 1
    for index in range(depth):
        halve = stride and index in (depth // 3, 2 * depth // 3)
        width *= 2 if halve else 1
        layers += [nn.Conv2d(inputs, width, 3, padding=1, stride=2 if halve else 1), nn.GELU()]
        inputs = width
    size = 2 if stride else 8
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * size**2, 10)), X.reshape(-1, 1, 8, 8)


class Residual(nn.Module):
    """x + f(norm(x)), or without the norm."""

    def __init__(self, blocks: int, norm: bool) -> None:
        super().__init__()
        make: Callable[[], nn.Module] = (lambda: nn.LayerNorm(64)) if norm else nn.Identity
        inner = (nn.Sequential(make(), nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64)) for _ in range(blocks))
        self.blocks, self.head = nn.ModuleList(inner), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


def hugging_face(name: str) -> Case:
    """A transformer from config, 12 layers of width 128."""
    import transformers as hf

    hf.logging.set_verbosity_error()
    ends = {"vocab_size": 1000, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
    sizes = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 12, "num_attention_heads": 4}
    batch: dict[str, torch.Tensor] = {"input_ids": TOKENS}
    if name == "GPT-2":
        return hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=128, n_layer=12, n_head=4, **ends)).eval(), batch
    if name == "Llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**ends, **sizes)), batch
    if name == "BERT":
        return hf.BertForMaskedLM(hf.BertConfig(**ends, **sizes)).eval(), batch
    config = hf.T5Config(d_model=128, d_kv=32, d_ff=512, num_layers=6, num_heads=4, **ends, decoder_start_token_id=0)
    return hf.T5ForConditionalGeneration(config).eval(), {**batch, "decoder_input_ids": TOKENS}


def _inline(x: torch.Tensor) -> torch.Tensor:
    return x / (1 + x * x).sqrt()


CASES: dict[str, Callable[[], Case]] = {
    **{
        f"50 layers, {name}": lambda function=function: plain(function, *[64] * 49)
        for name, function in {
            "ReLU": torch.relu,
            "GELU": functional.gelu,
            "ELU": functional.elu,
            "tanh": torch.tanh,
            "sigmoid": torch.sigmoid,
            "written inline": _inline,
        }.items()
    },
    "1,000 layers, tanh": lambda: plain(torch.tanh, *[32] * 999),
    "64 and 16 wide in turn, ReLU": lambda: plain(torch.relu, *[64, 16] * 10),
    "63 and 17 wide in turn, ReLU": lambda: plain(torch.relu, *[63, 17] * 10),
    "64 and 16 wide in turn, tanh": lambda: plain(torch.tanh, *[64, 16] * 10),
    "512 narrowing to 16, GELU": lambda: plain(functional.gelu, 512, 256, 128, 64, 32, 16),
    "16 widening to 512, GELU": lambda: plain(functional.gelu, 16, 32, 64, 128, 256, 512),
    "24 convolutions, GELU": lambda: images(24),
    "24 convolutions, strides": lambda: images(24, stride=True),
    "residual, 64 blocks, LayerNorm": lambda: (Residual(64, True), X),
    "residual, 64 blocks, no norm": lambda: (Residual(64, False), X),
    **{f"{name}, from config": lambda name=name: hugging_face(name) for name in ("GPT-2", "Llama", "BERT", "T5")},
}


def ratios(health: Health) -> dict[str, float] | None:
    """Largest ratio of signals and of gradients in series; gradient at the first in units of the last."""
    found = [item for item in health.statistics.operations if item.role != "readout" and item.gradient is not None]
    series = [item for item in found if item.ends_branch] or found
    signals, gradients = [item.rms for item in series], [item.gradient or 0.0 for item in series]
    if min(*signals, *gradients) <= 0:
        return None
    first = gradients[0] / gradients[-1]
    return {"signal": max(signals) / min(signals), "gradient": max(gradients) / min(gradients), "first": first}


def _cell(found: dict[str, float] | None, key: str) -> str:
    return "vanishes" if found is None or not 1e-9 < found[key] < 1e9 else f"{found[key]:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    path, rows = parser.parse_args().json, []
    table = Table("network", "signal", "gradient", "first ÷ last", "default: gradient", "healthy", box=None)
    for name, build in CASES.items():
        torch.manual_seed(0)
        model, batch = build()
        default = ratios(wb.check(model, batch))
        health = wb.initialize(model, batch, seed=0).health
        ours = ratios(health)
        row = {"network": name, "auto": ours, "default": default, "healthy": health.healthy}
        rows.append(row)
        cells = [*(_cell(ours, key) for key in ("signal", "gradient", "first")), _cell(default, "gradient")]
        table.add_row(name, *cells, "yes" if health.healthy else " ".join(health.codes))
    Console(width=120).print(table)
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
