"""A newcomer with a broken model: `wellbegun check` names the layer at fault, and the remedy it prints mends it."""

from pathlib import Path

import broken_models as broken
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app

PATH = Path(__file__).with_name("broken_models.py")

# factory -> (code, layer at fault)
BROKEN = {
    "typed_std_one": ("W501", "6.weight"),
    "extra_zero": ("W101", "8.weight"),
    "zeroed_layer": ("W301", "4.weight"),
    "constant_layer": ("W301", "4.weight"),
    "dead_units": ("W701", "4.bias"),
    "saturated_units": ("W702", "4.weight"),
    "uninitialized": ("W401", "6.weight"),
    "loud_readout": ("W501", "head.weight"),
    "tied_normal_table": ("W501", "table.weight"),
    "sharp_attention": ("W601", "blocks.1.query.weight"),
}
TO_KNOW = {"copied_layer": ("W302", "6.weight"), "cut_off": ("W801", "forgotten.weight")}


def batch_of(model: nn.Module) -> object:
    return torch.randint(0, 500, (8, 16)) if hasattr(model, "table") else (32, 32)


@pytest.mark.parametrize("name", BROKEN)
def test_the_command_line_names_the_layer_and_the_remedy(name: str) -> None:
    code, layer = BROKEN[name]
    shape = broken.TOKENS if hasattr(getattr(broken, name)(), "table") else "32,32"
    found = CliRunner().invoke(app, ["check", f"{PATH}:{name}", "-i", shape], env={"COLUMNS": "160"})
    assert found.exit_code == 1, found.output
    text = " ".join(found.output.split())
    assert code in text
    assert layer in text[text.index(code) :]
    assert "wb.initialize" in text


@pytest.mark.parametrize("name", BROKEN)
def test_the_remedy_mends_the_layer_and_leaves_the_others(name: str) -> None:
    code, layer = BROKEN[name]
    model = getattr(broken, name)()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    batch = batch_of(model)
    finding = next(f for f in wb.check(model, batch).findings if f.code == code)
    assert layer in f"{finding.place} {finding.remedy}"
    exec(finding.remedy, {"wb": wb, "model": model, "batch": batch})  # what a newcomer would do
    health = wb.check(model, batch)
    assert health.healthy, health.findings
    changed = {key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])}
    assert layer in changed
    assert len(changed) <= 2  # and its bias, or a query with its key


@pytest.mark.parametrize("name", TO_KNOW)
def test_what_is_odd_is_told_too(name: str) -> None:
    code, layer = TO_KNOW[name]
    model = getattr(broken, name)()
    findings = wb.check(model, batch_of(model)).findings
    assert any(f.code == code and layer in f"{f.place} {f.remedy}" for f in findings)


def test_without_the_mistake_all_is_well() -> None:
    """The control: the same networks, as they were before somebody touched them."""
    for model in (broken._plain(), broken._plain(4), broken._plain(4, nn.Tanh), broken._language_model()):
        assert wb.check(model, batch_of(model)).findings == ()
