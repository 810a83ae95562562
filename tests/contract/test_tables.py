"""Tables as they are printed: at 80 columns nothing is broken, no two rows have one name, what is at fault is marked.

The golden texts are written by `python tests/contract/test_tables.py`; look at each before it is committed.
"""

import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn

import wellbegun as wb
from wellbegun.planning import recipe_facts
from wellbegun.reports import tables
from wellbegun.reports.fitted import Column, Fitted, shortened
from wellbegun.reports.text import label, recipes_table, schemes_table
from wellbegun.schemes import cards

GOLDEN = Path(__file__).parents[1] / "golden" / "tables"


class LongNames(nn.Module):
    """A small transformer whose names are long."""

    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.token_embedding_table = nn.Embedding(100, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.transformer_encoder_stack = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.language_modelling_head = nn.Linear(32, 100)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.language_modelling_head(self.transformer_encoder_stack(self.token_embedding_table(tokens)))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))


def cnn() -> nn.Module:
    first = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, stride=2), nn.BatchNorm2d(32), nn.ReLU()
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "mlp": (mlp, (32, 64)),
    "cnn": (cnn, (4, 3, 8, 8)),
    "transformer": (LongNames, "4,6:int64<100"),
}


def printed(found: Any, width: int = 80) -> str:
    """What `wellbegun.show` writes into a pipe of so many columns."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in tables(found):
        console.print(part, crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def plan_of(name: str, **options: Any) -> wb.Plan:
    torch.manual_seed(0)
    build, batch = MODELS[name]
    return wb.plan(build(), batch, seed=1, **options)


@pytest.mark.parametrize("name", MODELS)
def test_plans_are_printed_as_ever(name: str) -> None:
    assert printed(plan_of(name)) == (GOLDEN / f"{name}.txt").read_text()


@pytest.mark.parametrize("width", [60, 80, 100, 160, 10_000])
@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_broken_and_no_two_rows_share_a_name(name: str, width: int) -> None:
    plan = plan_of(name)
    text = printed(plan, width)
    assert all(len(line) <= width for line in text.splitlines())
    body = text.split("─\n")[1].split("\n\n")[0].splitlines()
    rows, names, head = [re.split(r"  +", line.strip()) for line in body if line.strip()], [], ""
    for row, line in zip(rows, filter(str.strip, body), strict=True):
        head = row[0] if len(row) == 1 else head if line.startswith(" ") else ""
        names += [head + row[0]] * (len(row) > 1)
    assert len(set(names)) == len(names)
    numbers = {f"{entry.moments().variance ** 0.5:.4g}" for entry in plan.entries if entry.moments() is not None}
    assert all(any(number in row for row in rows) for number in numbers)
    if width == 10_000:
        assert all(entry.reason in text for entry in plan.entries)
        assert "Left out" not in text


@pytest.mark.parametrize("name", MODELS)
def test_health_fits_and_what_is_at_fault_is_marked(name: str) -> None:
    build, batch = MODELS[name]
    model = build()
    weights = [p for p in model.parameters() if p.ndim > 1]
    with torch.no_grad():
        weights[1].mul_(100 if name == "transformer" else 0)
    health = wb.check(model, batch)
    text = printed(health)
    lines = [line for line in text.splitlines() if not line.startswith(("Health", "Note", "W"))]
    assert all(len(line) <= 80 for line in lines if "'" not in line)  # a name in a call to paste stays whole
    narrow = [line for line in printed(health, 60).splitlines() if not line.startswith(("Health", "Note", "W"))]
    assert all(len(line) <= 60 for line in narrow if "'" not in line and " " in line.strip())  # or one name
    marked = [line for line in text.splitlines() if line.startswith("!")]
    assert marked
    assert {finding.place.split(" ")[0].rpartition(".")[2] for finding in health.findings} & {
        line.split()[2].rpartition(".")[2] for line in marked
    }


def test_a_race_and_theory_fit() -> None:
    model = mlp()
    found = wb.signal_propagation(model, wb.initialize(model, (32, 64), seed=0, calibrate=False).plan, (32, 64))
    assert all(len(line) <= 80 for line in printed(found).splitlines())
    raced = wb.race(["default", "zeros"], mlp, "digits", rates=[1e-2], steps=3, seeds=2, jobs=1)
    assert all(len(line) <= 80 for line in printed(raced).splitlines())


def test_long_names_of_plans_that_differ_stand_above_what_differs() -> None:
    for recipe, width in itertools.product(("classic", "gpt2"), (60, 80)):
        found = printed(wb.diff(plan_of("transformer"), plan_of("transformer", recipe=recipe)), width)
        assert all(len(line) <= width for line in found.splitlines() if "{" not in line)  # what names begin with
    text = printed(wb.diff(plan_of("transformer"), plan_of("transformer", recipe="gpt2")))
    assert "\ntransformer_encoder_stack.layers.{0..1}.self_attn.in_proj_weight (2)\n" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text


def test_lists_of_schemes_and_recipes_fit() -> None:
    found = [*schemes_table(cards(), whole=False), *recipes_table(recipe_facts())]
    assert all(len(line) <= 60 for part in found if isinstance(part, Fitted) for _, line in part.lines(60))


def test_two_groups_never_have_one_label() -> None:
    named = ["0.bias", "2.bias", "4.bias"], ["6.bias", "8.bias"], ["1.bias"]
    assert len({label(group) for group in named}) == 3
    assert label(["a.0.b.1", "a.0.b.2", "a.1.b.1"]) == "a.{0..1}.b.1 (3)"
    model = nn.Sequential(*(nn.Linear(n, m) for n, m in [(8, 8), (8, 8), (8, 4), (4, 4), (4, 4)]))
    first = [line.split("  ")[0] for line in printed(wb.plan(model, (2, 8), seed=0, recipe="classic")).splitlines()]
    rows = [name for name in first if "weight" in name or "bias" in name]
    assert len(set(rows)) == len(rows) >= 4


def test_names_are_cut_in_the_middle_and_stay_apart() -> None:
    names = [f"a_very_long_prefix_of_names.{i}.and_a_long_end_of_them" for i in range(12)]
    cut = shortened(names, 24)
    assert len(set(cut)) == 12
    assert shortened(["same"] * 2 + ["x" * 30], 9) == ["same", "same", "xxxx…xxxx"]
    table = Fitted("T", [Column("name", "name"), Column("n", "number")], [(name, "1.2345678") for name in names])
    lines = [line for _, line in table.lines(30)]
    assert max(map(len, lines)) <= 30
    assert sum("1.2345678" in line for line in lines) == 12


def test_what_a_terminal_would_obey_is_written_out() -> None:
    table = Fitted("T", [Column("name", "name"), Column("why", "text")], [("\x1b[1mbold", "line\nbreak")])
    text = "\n".join(line for _, line in table.lines(80))
    assert "\\x1b[1mbold" in text
    assert "line\\nbreak" in text


if __name__ == "__main__":
    for known in MODELS:
        (GOLDEN / f"{known}.txt").write_text(printed(plan_of(known)))
