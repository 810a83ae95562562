"""What reports are made of, without a browser: colours, data, fragments for notebooks, messages."""

import datetime
import json
import math
import platform
import re
import subprocess
import sys
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from html_reports import race
from rich.console import Console
from rich.panel import Panel
from torch import nn
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app
from wellbegun.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from wellbegun.racing.results import Race, Trial
from wellbegun.reports.html import asset, page
from wellbegun.reports.html.fragments import fragment
from wellbegun.reports.html.plans import plan_columns, plan_section
from wellbegun.reports.html.tables import Column, table_data


def light(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_the_guidelines_say() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_told_from_their_ground(scheme: str) -> None:
    style = asset("page.css")
    start = 0 if scheme == "light" else style.index("prefers-color-scheme: dark")
    block = style[start : style.index("--radius" if scheme == "light" else "*, *::before", start)]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    assert len(colours) >= 20
    for ground in ("ground", "panel"):
        for name in ("text", "muted", "link", *(f"series-{i}" for i in range(1, 8))):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["strong-line"], colours[ground]) >= 3, "borders of controls"
    for name in ("good", "bad", "note"):
        for text in (name, "text"):
            assert contrast(colours[text], colours[f"{name}-ground"]) >= 4.5, (text, name)


def test_libraries_come_with_their_licences() -> None:
    for name in ("d3.min.js", "plot.min.js"):
        assert "Permission to use, copy, modify" in asset(name)[:900]
    assert len(page("t", "b", scripts=[asset("d3.min.js"), asset("plot.min.js")])) < 600_000


def test_table_data_writes_repeated_texts_once() -> None:
    found = table_data("c", "n", [Column("a", ["x", "y"] * 50), Column("b", [1.23456789, None] * 50, "number")])
    one, two = found["columns"]
    assert [one["texts"][i] for i in one["at"]] == ["x", "y"] * 50
    assert len(json.dumps(one)) < 500
    assert two["cells"][:2] == [1.23457, None]


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("<script>alert(1)</script>", nn.Linear(8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, "<script>alert(1)</script>")(x)


def displayed() -> dict[str, Any]:
    model = Odd()
    result = wb.initialize(model, torch.randn(16, 8), seed=0)
    first = result.plan.entries[0].name
    trials = [
        Trial(name, "adam", 1e-3, seed, (loss, loss / 2), "done", None, 0.1)
        for name, loss in (("<script>", 1.0), ("b", 2.0))
        for seed in range(3)
    ]
    return {
        "Result": result,
        "Plan": result.plan,
        "Health": result.health,
        "Ledger": result.ledger,
        "SignalPropagation": wb.signal_propagation(model, result.plan, torch.randn(16, 8)),
        "Explanation": wb.explain(result.plan, first),
        "PlanDiff": wb.diff(result.plan, wb.plan(Odd(), (4, 8), recipe="classic", seed=1)),
        "Race": Race.of(tuple(trials), chance=None, description="two <b> candidates"),
    }


def test_notebooks_show_a_fragment_of_everything() -> None:
    for kind, item in displayed().items():
        assert type(item).__name__ == kind
        html = item._repr_html_()
        assert html.startswith('<div class="wellbegun">'), kind
        assert "<script" not in html, kind
        assert "&lt;script&gt;" in html, kind
        assert len(html) < 30_000, kind
        style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
        assert not re.findall(r"(?<![-\w])color: (?!inherit)|background: (?!transparent)", style), "the notebook's own"
        assert all(rule.strip().startswith(".wellbegun") for rule in style.splitlines() if "{" in rule), kind


def test_a_notebook_folds_long_plans_and_shows_every_std() -> None:
    layers = {f"part_{chr(97 + index)}": nn.Linear(8 + index, 9 + index) for index in range(24)}
    plan = wb.plan(nn.Sequential(OrderedDict(layers)), (16, 8), recipe="classic", seed=0)
    html = fragment(plan)
    shown, folded = html.split("<details>")
    assert len(re.findall(r'<th scope="row">', shown)) == 12
    assert "<summary>28 more</summary>" in folded
    assert "8 more; wb.report" in folded
    for entry in plan.entries[:40]:
        moments = entry.moments()
        assert moments is not None
        assert re.search(rf"{entry.name}</th>.*?<td>{math.sqrt(moments.variance):.4g}</td><td class=.wb-why.>", html)
    short = fragment(wb.plan(nn.Sequential(*(nn.Linear(8, 8) for _ in range(7))), (16, 8), seed=0))
    assert "<details>" not in short
    grouped = nn.Sequential(OrderedDict(("b" + str(i), nn.Linear(8, 8)) for i in range(9)))
    torch.manual_seed(0)
    ranged = wb.initialize(grouped, torch.randn(64, 8) @ torch.randn(8, 8), seed=0).plan
    stds = [math.sqrt(found.variance) for e in ranged.entries if e.name.endswith("weight") and (found := e.moments())]
    text = fragment(ranged)
    assert all(f"{std:.4g}" in text for std in (min(stds), max(stds)))


def test_a_fragment_says_what_the_tables_say() -> None:
    found = displayed()
    assert "2 filled; seed 0." in found["Ledger"]._repr_html_()
    assert found["Plan"].entries[0].reason in fragment(found["Plan"]).replace("&#39;", "'")
    unwell = wb.check(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).apply(zero), torch.randn(8, 8))
    html = unwell._repr_html_()
    assert all(f.code in html and f.remedy.split("'")[0] in html for f in unwell.findings)
    assert "✗ unhealthy" in html


# ---------------------------------------------------------------------- terminals, treescope, pandas
def test_rich_prints_what_show_prints(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, item in displayed().items():
        wb.show(item)
        expected = capsys.readouterr().out
        console = Console(width=80, highlight=False)
        console.print(item)
        assert capsys.readouterr().out == expected, kind
        with console.capture() as seen:
            console.print(Panel(item))  # inside something else
        assert expected.splitlines()[0].strip()[:40] in seen.get(), kind


def test_treescope_unfolds_what_repr_tells() -> None:
    treescope = pytest.importorskip("treescope", reason="treescope is optional")
    for kind, item in displayed().items():
        for shown in (item, {"inside": [item]}):
            assert repr(item)[:40] in treescope.render_to_text(shown, ignore_exceptions=False), kind
        assert "# Rich HTML representation" in treescope.render_to_text(item), kind
        assert treescope.render_to_html(item, ignore_exceptions=False), kind
    plain = treescope.render_to_text(displayed()["Plan"].entries[0])
    assert plain.startswith("Entry(")  # the control: what has no form of its own


class FakeFrame:
    """What pandas.DataFrame is called with."""

    def __init__(self, rows: list[Any], columns: list[str]) -> None:
        assert all(len(row) == len(columns) for row in rows)
        assert len(set(columns)) == len(columns)
        self.columns, self.rows = columns, rows

    def column(self, name: str) -> list[Any]:
        return [row[self.columns.index(name)] for row in self.rows]


def test_every_table_is_a_data_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=FakeFrame))
    found = displayed()
    first = {kind: item.to_pandas() for kind, item in found.items()}
    plan, result = found["Plan"], found["Result"]
    assert first["Plan"].column("std") == [math.sqrt(entry.moments().variance) for entry in plan.entries]
    assert first["Plan"].column("shape") == [(8, 8), (8,)]
    assert first["Result"].rows == first["Plan"].rows
    assert result.to_pandas("ledger").column("outcome") == ["filled", "filled"]
    assert result.to_pandas("operations").rows == first["Health"].rows
    assert first["Health"].column("rms") == [found["Health"].statistics.operations[0].rms]
    assert first["SignalPropagation"].column("second_theory")[0] == found["SignalPropagation"].rows[0].second.theory
    assert set(first["PlanDiff"].column("parameter")) == {change.name for change in found["PlanDiff"].changes}
    assert first["Explanation"].rows[0] == ("what", "filled")
    assert first["Race"].column("candidate") == ["<script>", "b"]
    assert len(found["Race"].to_pandas("trials").rows) == 6
    assert found["Race"].to_pandas("pairs").column("wins") == [3]
    unwell = wb.check(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)).apply(zero), torch.randn(8, 8))
    assert tuple(unwell.to_pandas("findings").column("code")) == tuple(f.code for f in unwell.findings) != ()
    with pytest.raises(ArgumentError, match=r"Health.to_pandas: table must be a known name.*operations"):
        unwell.to_pandas("layers")


def test_a_missing_pandas_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="Plan.to_pandas needs pandas: pip install pandas."):
        displayed()["Plan"].to_pandas()


def test_a_real_frame_has_numbers() -> None:
    pytest.importorskip("pandas", reason="pandas is optional")
    found = displayed()
    for kind, item in found.items():
        assert len(item.to_pandas()), kind
    assert found["Plan"].to_pandas()["std"].dtype == "float64"
    assert found["Health"].to_pandas("attentions").empty


def zero(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)


def test_lower_rows_know_no_html() -> None:
    code = "import sys, wellbegun.planning, wellbegun.health; print({'jinja2', 'wellbegun.reports'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stderr


def test_report_takes_one_of_each_and_says_what_is_wrong(tmp_path: Path) -> None:
    model = nn.Linear(8, 4)
    result = wb.initialize(model, (16, 8), seed=0)
    for arguments, options, kind, said in (
        (
            (),
            {},
            ArgumentError,
            "report: found must be a Result, Plan, Ledger, Health, SignalPropagation or Race; got 'nothing'",
        ),
        ((3,), {}, ArgumentTypeError, "report: found must be a Result, Plan, .* got 'int'"),
        ((result, result.plan), {}, ArgumentError, "report: found must be at most one of each; got 'two of Plan'"),
        ((result,), {"before": 3}, ArgumentTypeError, "report: before must be a Health or a Result; got 'int'"),
        (
            (result.plan,),
            {"before": result.health},
            ArgumentError,
            "report: before must be given with the Health of now",
        ),
        ((result.ledger,), {"model": model}, ArgumentError, "report: model must be given with its Plan or Health"),
    ):
        with pytest.raises(kind, match=said):
            wb.report(*arguments, path=tmp_path / "no.html", **options)
    assert not list(tmp_path.iterdir())


def test_report_is_the_same_text_every_time_and_replaces_a_file_whole(tmp_path: Path) -> None:
    result = wb.initialize(nn.Linear(8, 4), (16, 8), seed=0)
    path = tmp_path / "report.html"
    path.write_text("old")
    assert wb.report(result, path=path) == path
    assert path.read_text(encoding="utf-8") == wb.report(result) == wb.report(result.plan, result.ledger, result.health)
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert "What happened to each parameter" in str(wb.report(result.ledger))


def test_a_report_says_of_which_model_it_is_and_how_and_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    result = wb.initialize(model, (16, 8), seed=0)
    used = f"with wellbegun {wb.__version__}, Python {platform.python_version()}, torch {torch.__version__}"

    def said(*items: Any, **options: Any) -> str:
        found = re.search(r'<p class="muted small origin">(.*?)</p>', str(wb.report(*items, **options)))
        assert found is not None
        return found[1]

    assert said(result, model=model) == f"Sequential of 4 parameters. Made {used}."
    assert said(result.health, model=model) == f"Sequential of 4 parameters. Made {used}."
    assert said(result.plan).startswith("A model of 4 parameters. Made with wellbegun ")
    assert said(race()).startswith("Made with wellbegun ")
    day = datetime.date(2026, 11, 29)
    assert said(result, model=model, date=day) == f"Sequential of 4 parameters. Made on 2026-11-29 {used}."
    assert "Made on the eve of &lt;b&gt; with" in said(result, date="the eve of <b>")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert said(result, model=model) == f"Sequential of 4 parameters. Made on 1970-01-02 {used}."
    for wrong in ("yesterday", "9" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", wrong)
        with pytest.raises(ArgumentError, match="report: SOURCE_DATE_EPOCH must be seconds since 1970; got"):
            wb.report(result)
        assert "1900-01-01" in said(result, date="1900-01-01")


def test_who_decided_and_what_became_of_it_are_told_where_they_are_news() -> None:
    result = wb.initialize(nn.Linear(8, 4), (16, 8), seed=0)
    titles = [column.title for column in plan_columns(result.plan.entries)]
    assert "decided by" not in titles
    ruled = wb.plan(nn.Linear(8, 4), (16, 8), seed=0, rules=[("*", "zeros")])
    assert "decided by" in [column.title for column in plan_columns(ruled.entries)]
    kept = replace(result.ledger, records=tuple(replace(record, outcome="kept") for record in result.ledger.records))
    for ledger, told in ((result.ledger, False), (kept, True)):
        table = plan_section(result.plan, ledger).data["plan"]
        assert ("outcome" in [column["title"] for column in table["columns"]]) == told


def test_the_command_line_writes_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "html_net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))\n"
    )
    common = "html_net.py:build", "--input", "32,8"
    for command, *options in (("plan",), ("init", "--out", "w.safetensors", "--seed", "0"), ("check", "-f", "json")):
        name = f"{command}.html"
        found = CliRunner().invoke(app, [command, *common, *options, "--html", name])
        assert found.exit_code == 0, found.output
        assert f"Report written to {name}" in (found.stderr if options[:1] == ["-f"] else found.stdout)
        assert "Content-Security-Policy" in Path(name).read_text()
    assert json.loads(found.stdout)["healthy"] is True
    signal = Path("init.html").read_text().split('id="signal"')[1].split("</script>")[0]
    assert '"name":"before"' in signal, "init shows the model as its factory made it beside what became of it"
    np.savez("data.npz", x=np.random.default_rng(0).normal(size=(64, 8)).astype("float32"), y=np.arange(64) % 4)
    quick = "--rates", "1e-2", "--seeds", "1", "--steps", "2", "--jobs", "1", "-c", "he_normal", "-c", "default"
    found = CliRunner().invoke(app, ["race", "html_net.py:build", "--data", "data.npz", *quick, "--html", "race.html"])
    assert found.exit_code == 0, found.output
    assert 'id="section-race"' in Path("race.html").read_text()
    found = CliRunner().invoke(app, ["check", *common, "--html", "no/x.html"])
    assert found.exit_code == 2
    assert "check: there is no folder 'no' for --html." in found.stderr


@pytest.mark.parametrize("name", ["a\x07b", "a\ud800b", "a\u202eb"])
def test_names_that_no_page_can_show_are_written_out(name: str) -> None:
    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, torch.nn.Linear(4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return getattr(self, name)(x).relu()

    model = Named()
    done = wb.initialize(model, torch.randn(3, 4), seed=0)
    text = str(wb.report(done, model=model))
    assert name not in text
    assert repr(name)[1:-1] in text
    text.encode()


def test_a_report_names_no_model_but_its_own() -> None:
    def made(width: int, last: str = "c") -> torch.nn.Sequential:
        layers = {"a": torch.nn.Linear(4, width), "b": torch.nn.ReLU(), last: torch.nn.Linear(width, 2)}
        torch.nn.utils.parametrizations.weight_norm(layers["a"])
        return torch.nn.Sequential(OrderedDict(layers))

    model = made(8)
    done = wb.initialize(model, torch.randn(16, 4), seed=0)
    for found in (done, done.plan, done.health):
        assert "Sequential" in str(wb.report(found, model=model))
        assert "Sequential" in str(wb.report(found, model=made(8)))  # of another seed: it may have been trained
        with pytest.raises(wb.errors.ArgumentError, match="model must be the one that .* got .*one without 'c.weight'"):
            wb.report(found, model=made(8, "d"))
    with pytest.raises(wb.errors.ArgumentError, match=r"is \("):
        wb.report(done, model=made(6))
