"""Coordinate checks: flat where theory says so, not for the standard parametrization, and what is missing is found."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.planning import Entry, completep, mup, standard
from wellbegun.racing.coordinates import CoordinateCheck, coordinate
from wellbegun.reports.html.coordinates import svg

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(256, 16)).astype(np.float32)
DATA = INPUTS, (INPUTS @ GENERATOR.normal(size=(16, 4))).argmax(1)
WIDTHS = (64, 128, 256, 512)


def mlp(width: int) -> nn.Sequential:
    layers = [nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4)]
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Pre-norm branches of two weights."""

    def __init__(self, depth: int, width: int = 32) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(16, width), nn.LayerNorm(width), nn.Linear(width, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.up, self.down = (nn.ModuleList(nn.Linear(width, width) for _ in range(depth)) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        for norm, up, down in zip(self.norms, self.up, self.down, strict=True):
            x = x + down(torch.relu(up(norm(x))))
        return self.head(self.norm(x))


def checked(sizes: tuple[int, ...] = WIDTHS, build: Any = mlp, **options: Any) -> CoordinateCheck:
    return wb.coordinate_check(build, sizes, DATA, **({"rate": 2**-8} | options))


def slope(found: CoordinateCheck, name: str, what: str) -> float:
    return next(c.slope for c in found[name] if c.what == what)


# ---------------------------------------------------------------------- width
@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 2**-8), ("sgd", 0.1), ("muon", 0.02)])
def test_mup_is_flat_in_width(optimizer: str, rate: float) -> None:
    sizes = WIDTHS if optimizer == "adamw" else WIDTHS[::3]
    recipe = mup(base=mlp(64).state_dict(), zero=["readout"])
    found = checked(sizes, parametrization=recipe, optimizer=optimizer, rate=rate)
    assert found.flat, found
    assert found.faults == ()
    assert [c.name for c in found.coordinates if c.what == "change"] == ["0.weight", "2.weight", "output"]
    assert found["output"][0].says == "zero"


def test_the_standard_parametrization_is_not() -> None:
    found = checked(parametrization=standard())
    assert not found.flat
    assert {c.name for c in found.faults} >= {"2.weight", "output"}
    assert all(c.what == "change" and c.says == "grows" for c in found.faults)
    assert slope(found, "output", "change") > 0.3
    assert found.verdict.startswith("not flat: ")


def test_a_missing_multiplier_of_the_readout_is_found() -> None:
    """Rates and values of table 8, but nobody divides the output by m."""
    recipe = mup(base=mlp(64).state_dict(), zero=["readout"], fold=False)
    found = checked(WIDTHS[::3], parametrization=recipe)
    assert [(c.name, c.what, c.says) for c in found.faults] == [("output", "change", "grows")]
    assert slope(found, "output", "change") > 0.4


@pytest.mark.parametrize(("power", "faults"), [(0.5, []), (1.0, [("2.weight", "start", "shrinks")])])
def test_a_factor_m_in_place_of_its_root_is_found(power: float, faults: list[Any]) -> None:
    """In a model that brings values and rates of its own."""

    def build(width: int) -> nn.Module:
        model, m = mlp(width), width / 64
        nn.init.normal_(model[2].weight, std=math.sqrt(2 / 64) * m**-power)
        nn.init.zeros_(model[4].weight)
        return model

    def optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
        m = model[2].in_features / 64
        slow = [model[2].weight, model[4].weight]
        rest = [p for p in model.parameters() if all(p is not other for other in slow)]
        return torch.optim.Adam([{"params": slow, "lr": rate / m}, {"params": rest, "lr": rate}])

    found = checked(WIDTHS[::3], build, optimizer=optimizer)
    assert [(c.name, c.what, c.says) for c in found.faults if c.what == "start"] == faults
    assert (found.parametrization, found.optimizer) == ("as built", "optimizer")
    if faults:
        assert slope(found, "2.weight", "start") == pytest.approx(-0.5, abs=0.1)


# ---------------------------------------------------------------------- depth
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_completep_is_flat_in_depth(alpha: float) -> None:
    recipe = completep(base=32, depth=1, alpha=alpha, zero=["readout"])
    found = checked((2, 6, 18), Residual, axis="depth", parametrization=recipe, rate=2**-9)
    assert found.faults == ()
    assert slope(found, "down.*.weight", "start") == pytest.approx(-alpha, abs=0.15)
    assert all(abs(slope(found, name, "change")) < 0.15 for name in ("output", "stream *", "first.weight"))


def test_the_standard_parametrization_grows_with_depth() -> None:
    found = checked((2, 6, 18), Residual, axis="depth", parametrization=standard(), rate=2**-9)
    assert {("stream *", "start"), ("stream *", "change")} <= {(c.name, c.what) for c in found.faults}
    assert "depth^" in found.verdict


# ---------------------------------------------------------------------- what is said and shown
def test_verdicts_need_certainty() -> None:
    steep, level = {64: (1.0, 1.1), 512: (2.0, 2.3)}, {64: (1.0, 1.1), 512: (1.05, 1.12)}
    assert coordinate("a", "change", steep).says == "grows"
    assert coordinate("a", "change", {size: values[:1] for size, values in steep.items()}).says == "not certain"
    assert coordinate("a", "change", level).says == "flat"
    assert coordinate("a", "change", {64: (1.0, 1.0), 512: (0.0, 0.0)}).says == "not certain"
    assert coordinate("a", "start", {64: (math.nan, 1.0), 512: (1.0, 1.0)}).says == "not certain"
    shrunk = {64: (2.0, 2.2), 512: (1.0, 1.1)}
    assert coordinate("a", "start", shrunk).fault
    assert not coordinate("a", "start", shrunk, fades=True).fault
    assert coordinate("a", "start", steep, fades=True).fault


def test_a_check_is_shown_everywhere(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = tuple(coordinate("a<b", what, {64: (1.0, 1.1), 512: (2.0, 2.3)}) for what in ("start", "change"))
    found = CoordinateCheck(lines, "width", (64, 512), (0, 1), 4, "mup", "adamw", 0.01)
    wb.show(found)
    printed = capsys.readouterr().out
    assert "not flat: a<b grows" in printed
    assert max(map(len, printed.splitlines())) <= 80
    html = found._repr_html_()
    assert "a&lt;b" in html
    assert "<script" not in html
    assert svg(found).count("<polyline") == 2
    assert json.loads(json.dumps(found.to_dict()))["flat"] is False


def test_bad_arguments_are_told_before_anything_is_trained() -> None:
    for options, error, text in (
        ({"sizes": (64,)}, ArgumentError, "two or more different ones"),
        ({"sizes": (64, 0)}, ArgumentError, "sizes"),
        ({"axis": "heads"}, ArgumentError, "axis"),
        ({"rate": 0}, ArgumentError, "rate"),
        ({"steps": 0}, ArgumentError, "steps"),
        ({"sizes": 64}, ArgumentTypeError, "sizes|arguments"),
        ({"build": 3}, ArgumentTypeError, "lambda size: Model"),
        ({"build": mlp(8)}, ArgumentTypeError, "fresh model"),
        ({"seeds": ()}, ArgumentError, "coordinate_check: seeds"),
        ({"seeds": (1, 1)}, ArgumentError, "all different"),
        ({"loss": "entropy"}, ArgumentTypeError, "loss"),
        ({"parametrization": "mup"}, ArgumentTypeError, "parametrization"),
        ({"parametrization": lambda size: size}, ArgumentTypeError, "parametrization"),
        ({"parametrization": standard(), "optimizer": torch.optim.Adam}, ArgumentError, "a name, beside"),
        ({"optimizer": "adagrad"}, ArgumentError, "optimizer"),
    ):
        with pytest.raises(error, match=text):
            checked(**({"sizes": (8, 16)} | options))


def test_a_race_multiplies_what_the_plan_says() -> None:
    """Forms of one model that train alike, and one whose rates somebody left out."""

    def build() -> nn.Module:
        return mlp(32)

    same, wide = mlp(32).state_dict(), mlp(8).state_dict()
    candidates = {"torch": "torch", "base": mup(base=same, recipe="torch"), "wide": mup(base=wide, recipe="torch")}
    found = wb.race(candidates, build, DATA, rates=[0.01], seeds=1, steps=5, jobs=1, progress=False)
    losses = {trial.candidate: trial.losses for trial in found.trials}
    assert losses["base"] == pytest.approx(losses["torch"], rel=1e-5)
    usual = {"optimizers": ["adamw"], "rates": [0.5], "seeds": 1, "steps": 3, "jobs": 1, "progress": False}
    decayed = wb.race(candidates, build, DATA, **usual).trials
    assert decayed[0].losses == pytest.approx(decayed[1].losses, rel=1e-5)
    model = mlp(32)
    plan = wb.plan(model, (64, 16), recipe=candidates["wide"], seed=0)
    assert losses["wide"][0] != pytest.approx(losses["torch"][0], rel=1e-3)  # the readout is divided by 4
    own = {"plan": dataclasses.replace(plan, entries=tuple(map(plain, plan.entries))), "with": plan}
    rates = wb.race(own, build, DATA, rates=[0.01], seeds=1, steps=5, jobs=1, progress=False).trials
    with_rates, without = (next(t.losses for t in rates if t.candidate == name) for name in ("with", "plan"))
    assert with_rates == pytest.approx(losses["wide"], rel=1e-5)
    assert with_rates[0] == without[0]
    assert with_rates[2] != pytest.approx(without[2], rel=1e-3)


def plain(entry: Entry) -> Entry:
    """An entry without rates."""
    return dataclasses.replace(entry, training=None)
