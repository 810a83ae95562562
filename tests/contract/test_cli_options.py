"""Options of commands: help, lists, formats, tables as data, seeds, names of files, a pipe that nobody reads."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wellbegun._tables import read_table
from wellbegun.cli import app
from wellbegun.errors import ModelError
from wellbegun.health import CATALOGUE
from wellbegun.planning import recipe_facts
from wellbegun.reports import to_csv, to_markdown

NET = """
import torch
from torch import nn

class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.gate, self.b = nn.Linear(4, 16), nn.Parameter(torch.rand(16)), nn.Linear(16, 3)
    def forward(self, x):
        return self.b(torch.tanh(self.a(x)) * self.gate)

def build():
    return Gated()

def real():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gated.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "gated", raising=False)
    return tmp_path


def run(*arguments: str, status: int = 0) -> str:
    found = CliRunner().invoke(app, list(arguments))
    assert found.exit_code == status, found.output
    return found.output


@pytest.mark.parametrize(
    "command", ["", "plan", "init", "check", "race", "explore", "schemes", "gain", "codes", "recipes"]
)
def test_short_help(command: str) -> None:
    words = command.split()
    assert run(*words, "-h") == run(*words, "--help")


def test_completion_is_offered() -> None:
    assert "--install-completion" in run("-h")
    for words, wanted in (
        ("wellbegun ra", "race"),
        ("wellbegun plan --recipe gp", "gpt2"),
        ("wellbegun codes W90", "W902"),
    ):
        asked = {"_WELLBEGUN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        code = "import sys; sys.argv = ['wellbegun']; from wellbegun.cli import main; main()"
        found = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
        )
        assert wanted in found.stdout.split(), found.stderr


def test_recipes_and_codes_are_listed() -> None:
    listed = run("recipes")
    for facts in recipe_facts():
        assert re.search(rf"^{facts['name']} +{re.escape(facts['optimizer'])} +\S", listed, re.MULTILINE), facts
    assert json.loads(run("recipes", "-f", "json")) == json.loads(json.dumps(recipe_facts()))
    assert all(f"\n{code}  " in run("codes") for code in ("W101", "W902"))
    for code, check in CATALOGUE.items():
        text = " ".join(run("codes", code.lower()).split())
        assert code in text
        assert " ".join(check.why.split()) in text
        assert "{" not in text
    assert json.loads(run("codes", "W201", "-f", "json"))["W201"]["title"] == CATALOGUE["W201"].title
    assert "got 'W200'" in run("codes", "W200", status=2)


def test_a_plan_as_csv_and_as_markdown(folder: Path) -> None:
    options = ("plan", "gated.py:build", "-i", "8,4", "-s", "1")
    plan = json.loads(run(*options, "-f", "json"))
    rows = list(csv.DictReader(io.StringIO(run(*options, "-f", "csv"))))
    assert [row["parameter"] for row in rows] == [entry["name"] for entry in plan["entries"]]
    assert all(float(row["std"]) >= 0 for row in rows if row["action"] == "fill")
    lines = run(*options, "-f", "markdown").splitlines()
    assert {line.count("|") - line.count("\\|") for line in lines} == {12}
    one = list(csv.reader(io.StringIO(run(*options, "--explain", "a.weight", "-f", "csv"))))
    assert ["shape", "16×4, float32, 64 values"] in one
    other = list(csv.DictReader(io.StringIO(run(*options, "--diff", "classic", "-f", "csv"))))
    assert {row["parameter"] for row in other} == {"a.weight", "a.bias", "b.weight"}


def test_wide_tables_leave_nothing_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words, column in (
        (["plan", "gated.py:build"], "law"),
        (["check", "gated.py:build"], "weight"),
        (["schemes", "he_normal"], "rule"),
    ):
        narrow, wide = run(*words), run(*words, "--wide")
        assert "Left out here, shown by --wide:" in narrow or column in narrow
        assert "Left out" not in wide
        assert column in wide.split("───")[0]


def test_the_same_command_writes_the_same_bytes(folder: Path) -> None:
    """Also of parameters that keep the values that the factory drew."""
    first, second = {}, {}
    for found in (first, second):
        found["printed"] = run(
            "init", "gated.py:build", "-s", "3", "-o", "w.safetensors", "--html", "i.html", "-f", "json"
        )
        run("plan", "gated.py:build", "-s", "3", "-o", "plan.json", "--html", "p.html")
        run("check", "gated.py:build", "-s", "3", "--html", "c.html")
        found |= {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".py" and path.is_file()}
    assert len(first) == 6
    assert first == second
    run("init", "gated.py:build", "--plan", "plan.json", "-o", "v.safetensors")
    assert (folder / "v.safetensors").read_bytes() == first["w.safetensors"]


def test_drawn_seeds_can_be_retyped(folder: Path) -> None:
    seeds = {json.loads(run("plan", "gated.py:build", "-f", "json"))["seed"] for _ in range(3)}
    assert len(seeds) > 1
    assert max(seeds) < 10**6


@pytest.mark.parametrize(
    ("command", "option", "file", "end"),
    [
        ("init", "--out", "w.pt", "w.safetensors"),
        ("plan", "--out", "p.yaml", "p.json"),
        ("plan", "--html", "p.pdf", "p.html"),
    ],
)
def test_files_are_called_what_they_are(folder: Path, command: str, option: str, file: str, end: str) -> None:
    text = run(command, "gated.py:build", option, file, status=2)
    assert f"Write '{end}'" in text
    assert not (folder / file).exists()


@pytest.mark.parametrize("words", [["schemes"], ["gain", "relu"], ["codes", "-f", "json"], ["--version"], ["-h"]])
def test_a_pipe_that_nobody_reads_is_no_verdict(words: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "wellbegun", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141
    process.stderr.close()


# ---------------------------------------------------------------------- tables as data
RACE = ("--rates", "1e-2", "--steps", "3", "--jobs", "1", "-c", "default", "-c", "zeros")


def table(path: Path, parted: str = ",", heading: bool = True, kind: str = "text") -> None:
    x = np.random.default_rng(0).normal(size=(40, 4)).round(3)
    target = {"text": ["abc"[i % 3] for i in range(40)], "whole": [i % 3 + 1 for i in range(40)], "real": x.sum(1)}[
        kind
    ]
    rows = [[*"pqrs", "kind"]] * heading + [[*row, wanted] for row, wanted in zip(x, target, strict=True)]
    path.write_text("\n".join(parted.join(map(str, row)) for row in rows) + "\n\n")


def test_names_in_data_are_shown_and_not_sent() -> None:
    rows = [("name", "law"), ("a\x1b[31m\nb", "|x|")]
    assert list(csv.reader(io.StringIO(to_csv(rows))))[1] == [r"a\x1b[31m\nb", "|x|"]
    assert to_markdown(rows).splitlines()[2:] == [r"| a\x1b[31m\nb | \|x\| |"]


def test_a_race_on_a_csv_file_says_what_it_took_for_what(folder: Path) -> None:
    table(folder / "d.csv")
    text = " ".join(run("race", "gated.py:build", "--data", "d.csv", *RACE).split())
    assert text.startswith("Data: d.csv, 40 rows, 4 inputs as they are; target 'kind': 3 classes (a, b, c). Race:")
    table(folder / "real.csv", kind="real")
    loss = ("--loss", "torch.nn.functional:l1_loss", "--seed", "7", "--seeds", "2")
    assert "parameters on d.csv (32 samples, 8 to test on); cross-entropy" in text
    found = json.loads(run("race", "gated.py:real", "--data", "real.csv", *RACE, *loss, "-f", "json"))
    assert {trial["seed"] for trial in found["trials"]} == {7, 8}
    assert "the given loss" in found["description"]
    assert "leave out --seed" in run(
        "race", "gated.py:real", "-d", "real.csv", *RACE, "-s", "1", "--seeds", "1,2", status=2
    )
    assert "healthy" in run("check", "gated.py:build", "-i", "d.csv")


@pytest.mark.parametrize("parted", [",", ";", "\t"])
@pytest.mark.parametrize("heading", [True, False])
@pytest.mark.parametrize("kind", ["text", "whole", "real"])
def test_tables_are_read(folder: Path, parted: str, heading: bool, kind: str) -> None:
    if kind == "text" and not heading:
        return  # the first line would be taken for headings
    table(folder / "d.csv", parted, heading, kind)
    found = read_table("d.csv", "data")
    assert found.x.shape == (40, 4)
    assert found.x.dtype == np.float32
    assert found.y.shape == ((40, 1) if kind == "real" else (40,))
    assert kind == "real" or set(found.y) == {0, 1, 2}
    first = read_table("d.csv", "data", "p" if heading else "1") if kind != "text" else None
    assert first is None or first.x.shape == (40, 4)


def test_cells_may_be_quoted_and_classes_mixed(folder: Path) -> None:
    (folder / "q.CSV").write_text('"a","the\nkind"\n1,"x, y"\n2,"7"\n3,"x, y"\n')
    found = read_table("q.CSV", "data")
    assert (found.x.ravel().tolist(), found.y.tolist()) == ([1, 2, 3], [1, 0, 1])
    (folder / "one.csv").write_text("a,b\n1,2\n2,2\n")
    assert "1 class (2 to 2)" in read_table("one.csv", "data").text


BAD = {
    "none.csv": (None, "No such file"),
    "empty.csv": ("", "needs two columns"),
    "short.csv": ("a,b\n", "needs two columns"),
    "ragged.csv": ("a,b\n1,2\n1\n", "line 3: there are 2 columns; got 1 cells"),
    "words.csv": ("a,b\n1,2\nx,3\n", "line 3: column 'a' must be a finite number; got 'x'"),
    "gap.csv": ("a,b\n1,2\n,3\n", "line 3: column 'a' must be a finite number; got ''"),
    "nan.csv": ("a,b\n1,2\n2,nan\n", "line 3: column 'b' must be a finite number; got 'nan'"),
    "class.csv": ("a,b\n1,x\n2,y\n3,\n4,x\n", "line 4: column 'b' must be a class; got ''"),
    "typo.csv": ("a,b\n1,2\n2,3\n3,4x\n", "line 4: column 'b' must be a finite number; got '4x'"),
    "null.csv": ("a,b\n1,2\n\0,3\n", "line 3"),
    "twice.csv": ("a,a,b\n1,2,3\n", "two columns share a heading"),
    "bytes.csv": (b"\xff\xfe\x00a", "cannot be read as .csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_message(folder: Path, name: str) -> None:
    text, told = BAD[name]
    if text is not None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match="data: ") as raised:
        read_table(name, "data")
    assert told in str(raised.value)
    assert str(raised.value).startswith(f"data: '{name}'")
    assert "Did you mean 'kind'" in _unknown_target(folder)


def _unknown_target(folder: Path) -> str:
    table(folder / "d.csv")
    return run("race", "gated.py:build", "-d", "d.csv", "--target", "kin", *RACE, status=2)
