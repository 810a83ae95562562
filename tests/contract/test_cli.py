"""The command line as a user meets it: output, files, exit status 0 healthy, 1 unhealthy, 2 wrong use."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_model
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app, common
from wellbegun.planning import Plan
from wellbegun.schemes import SCHEMES
from wellbegun.storage import plan_from_json

MODEL = """
import torch
from torch import nn

def mlp():
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10))

def deep():
    layers = [nn.Linear(64, 64), nn.ReLU()] * 1
    for _ in range(29):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 32)
        self.head = nn.Linear(32, 20, bias=False)
        self.head.weight = self.embed.weight
    def forward(self, tokens):
        return self.head(torch.tanh(self.embed(tokens)))

def lazy():
    return nn.Sequential(nn.LazyLinear(32), nn.ReLU(), nn.LazyLinear(10))

def number():
    return 3

def broken():
    raise ValueError("no weights today")

def leaving():
    raise SystemExit(3)

def hinge(x):
    import numpy as np
    return np.maximum(x, 0)
"""

runner = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "bad.py").write_text("this is no python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(common.console, "_width", 160)  # it was made before, and may have read another one
    return tmp_path


def run(*arguments: str, status: int = 0) -> str:
    result = runner.invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result.output


CLASSIC = ("--recipe", "classic")


def test_plan_shows_every_parameter_and_why(folder: Path) -> None:
    text = run("plan", "net.py:mlp", "--input", "8,64", "--seed", "1", *CLASSIC)
    assert "Plan classic@1, seed 1" in text
    assert re.search(r"0\.weight\s+32×64\s+hidden\s+he_normal\(\)\s+N\(0, 0\.1768²\)\s+0\.1768\s+feeds relu", text)
    assert re.search(r"2\.weight .* xavier_normal\(\)", text)
    assert "6 parameters to fill (3,466 values), 0 kept (0), 0 tied (0)" in text or "0 tied." in text
    long = run("plan", "net.py:deep", "--input", "8,64", *CLASSIC)
    assert "{0..58}.weight (30)" in long  # layers that differ only by their number share a row


def test_plan_as_json_and_to_a_file(folder: Path) -> None:
    data = json.loads(
        run(
            "plan",
            "net.py:mlp",
            "-i",
            "8,64",
            *CLASSIC,
            "-r",
            "0.*=zeros",
            "-x",
            "4.bias",
            "-f",
            "json",
            "-o",
            "plan.json",
        )
    )
    assert [entry["scheme"] for entry in data["entries"]] == [
        "zeros()",
        "zeros()",
        "xavier_normal()",
        "zeros()",
        "lecun_normal()",
        "keep",
    ]
    assert plan_from_json((folder / "plan.json").read_text()) == Plan.from_dict(data)


RULES = """
exclude = ["4.bias"]

[[rule]]
type = "Linear"
shape = ">=32,*"
scheme = "orthogonal"

[[rule]]
role = "bias"
scheme = "constant(0.5)"
"""


def test_rules_from_a_file_come_before_those_of_the_command(folder: Path) -> None:
    (folder / "rules.toml").write_text(RULES)
    options = ("--rules", "rules.toml", "-r", "2.bias=ones")
    data = json.loads(run("plan", "net.py:mlp", "-i", "8,64", *CLASSIC, "-s", "1", *options, "-f", "json"))
    schemes = [entry["scheme"] for entry in data["entries"]]
    half = "constant(value=0.5)"
    assert schemes == ["orthogonal()", half, "orthogonal()", "ones()", "lecun_normal()", "keep"]
    found = wb.plan(torch.nn.Sequential(*_mlp()), (8, 64), rules=folder / "rules.toml", recipe="classic", seed=1)
    assert found["0.weight"].scheme == "orthogonal()"
    assert found == wb.plan(torch.nn.Sequential(*_mlp()), (8, 64), rules="rules.toml", recipe="classic", seed=1)
    only = json.loads(run("plan", "net.py:mlp", "-i", "8,64", "--only", "0.*", "--only", "*.bias", "-f", "json"))
    assert [entry["action"] for entry in only["entries"]] == ["fill", "fill", "keep", "fill", "keep", "fill"]
    text = run("init", "net.py:mlp", "-i", "8,64", *options, "--only", "0.*", "--only", "2.*", "-o", "w.safetensors")
    assert "4 filled, 2 kept" in text


def _mlp() -> list[torch.nn.Module]:
    layers = torch.nn.Linear(64, 32), torch.nn.Linear(32, 32), torch.nn.Linear(32, 10)
    return [layers[0], torch.nn.ReLU(), layers[1], torch.nn.Tanh(), layers[2]]


def test_explain_tells_everything_about_one_parameter(folder: Path) -> None:
    options = ("plan", "net.py:mlp", "-i", "8,64", *CLASSIC, "-s", "1", "--explain", "0.weight")
    text = run(*options)
    for fact in (
        "32×64, float32, 2,048 values",
        "Linear",
        "hidden, used at 0 (linear)",
        "meets relu first",
        "oi: fan_in 64, fan_out 32",
        "recipe classic@1",
        "feeds relu, which passes half of the signal",
        "he_normal()",
        "He (Kaiming) normal",
        "mean 0, std 0.1767766953",
        "He et al. 2015",
        "'0.weight' of seed 1, key",
    ):
        assert fact in text
    data = json.loads(run(*options, "-f", "json"))
    assert (data["name"], data["fans"]) == ("0.weight", [{"fan_in": 64.0, "fan_out": 32.0}])
    ruled = run(*options, "-r", "0.*=ones", "-r", "*.weight=orthogonal")
    assert re.search(r"decided by +rule 2 of 2", ruled)
    assert re.search(r"overruled +rule 1 \('0\.\*'\)", ruled)
    tied = run("plan", "net.py:Tied", "-i", "4,6:int64<20", "--explain", "head.weight")
    assert "the same storage as embed.weight" in tied


def test_diff_shows_where_plans_differ(folder: Path) -> None:
    base = ("plan", "net.py:mlp", "-i", "8,64", *CLASSIC)
    assert "0 of 6 parameters differ." in run(*base, "--diff", "classic@1")
    run(*base, "-s", "5", "-r", "0.weight=normal(std=0.5)", "-r", "4.bias=keep", "-o", "other.json")
    text = run(*base, "--diff", "other.json")  # without a seed, that of the file
    assert "2 of 6 parameters differ." in text
    assert "B: other.json" in text
    assert re.search(r"std +0\.1768 +0\.5 \(× 2\.828\)", text)
    assert re.search(r"4\.bias +scheme +zeros\(\) +keep", text)
    assert "Seeds 6 and 5: random values differ" in run(*base, "--diff", "other.json", "-s", "6")
    data = json.loads(run(*base, "--diff", "other.json", "-f", "json"))
    assert data["seeds"] == [5, 5]
    assert [change["name"] for change in data["changes"]] == ["0.weight", "4.bias"]


def test_init_writes_weights_plan_and_seed(folder: Path) -> None:
    text = run("init", "net.py:mlp", "--input", "8,64", "--seed", "7", "--out", "w.safetensors")
    assert "6 filled; seed 7." in text
    assert "Health: healthy" in text
    assert "Weights, plan and seed 7 written to w.safetensors" in text
    with safe_open(folder / "w.safetensors", "pt") as file:
        metadata = file.metadata()
        weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - a file, not a dict
    assert metadata["wellbegun.seed"] == "7"
    plan = plan_from_json(metadata["wellbegun.plan"])
    expected = torch.nn.Sequential(
        torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 10)
    )
    wb.apply(expected, plan)
    assert all(torch.equal(weights[name], value) for name, value in expected.state_dict().items())
    load_model(expected, str(folder / "w.safetensors"))


def test_init_corrects_by_a_batch_of_data(folder: Path) -> None:
    batch = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * 3
    torch.save(batch, folder / "batch.pt")
    data = json.loads(run("init", "net.py:mlp", "-i", "batch.pt", "-s", "7", "-o", "w.safetensors", "-f", "json"))
    assert data["healthy"]
    with safe_open(folder / "w.safetensors", "pt") as file:
        plan = plan_from_json(file.metadata()["wellbegun.plan"])
    assert plan == wb.initialize(torch.nn.Sequential(*_mlp()), batch, seed=7).plan
    assert plan["0.weight"].factor == pytest.approx(1 / 3, rel=0.1)
    again = json.loads(run("init", "net.py:mlp", "-i", "64,64", "-s", "7", "-o", "w.safetensors", "-f", "json"))
    assert again["operations"][0]["rms"] != data["operations"][0]["rms"]


def test_init_draws_prints_and_records_a_seed(folder: Path) -> None:
    seeds = set()
    for _ in range(2):
        data = json.loads(run("init", "net.py:mlp", "-i", "8,64", "-o", "w.safetensors", "-f", "json"))
        with safe_open(folder / "w.safetensors", "pt") as file:
            assert file.metadata()["wellbegun.seed"] == str(data["seed"])
        seeds.add(data["seed"])
    assert len(seeds) == 2
    assert data["ledger"] == {"filled": 6, "kept": 0, "tied": 0}


def test_init_from_a_plan_on_disk(folder: Path) -> None:
    run("plan", "net.py:mlp", "-i", "8,64", "-s", "3", "-o", "plan.json")
    run("init", "net.py:mlp", "-i", "8,64", "-s", "3", "-o", "a.safetensors")
    run("init", "net.py:mlp", "-i", "8,64", "--plan", "plan.json", "-o", "b.safetensors")
    with safe_open(folder / "a.safetensors", "pt") as a, safe_open(folder / "b.safetensors", "pt") as b:
        assert torch.equal(a.get_tensor("0.weight"), b.get_tensor("0.weight"))


def test_tied_weights_are_stored_once(folder: Path) -> None:
    run("init", "net.py:Tied", "-i", "4,6:int64<20", "-s", "0", "-o", "w.safetensors")
    with safe_open(folder / "w.safetensors", "pt") as file:
        assert len(list(file.keys())) == 1


def test_check_as_junit_for_continuous_integration(folder: Path) -> None:
    root = ElementTree.fromstring(run("check", "net.py:deep", "-i", "8,64", "-f", "junit", status=1))
    suite = root.find("testsuite")
    cases = suite.findall("testcase")
    assert [case.get("name")[:4] for case in cases] == [f"W{i}xx" for i in range(1, 10)]
    failed = [case for case in cases if case.find("failure") is not None]
    assert int(suite.get("failures")) == len(failed) > 0
    assert int(suite.get("tests")) == 9
    failure = next(case for case in failed if case.get("name").startswith("W2xx")).find("failure")
    assert failure.get("type") == "W201"
    assert "vanishing gradient at" in failure.get("message")
    assert "Remedy: wb.initialize(model, batch" in failure.text
    good = ElementTree.fromstring(run("check", "net.py:mlp", "-i", "8,64", "-f", "junit", status=0))
    assert good.find("testsuite").get("failures") == "0"


DRAWN = """
import random
import numpy as np
import torch
from torch import nn

def build():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    with torch.no_grad():
        model[0].weight.mul_(random.uniform(1, 2) * float(np.random.uniform(1, 2)))
        model[2].weight.normal_(std=30)
    return model
"""


def test_a_gate_repeats(tmp_path: Path) -> None:
    (tmp_path / "drawn.py").write_text(DRAWN)

    def found(*options: str) -> str:
        command = ["check", f"{tmp_path}/drawn.py:build", "-i", "16,8", "--format", "json", *options]
        return CliRunner().invoke(app, command).stdout

    torch.manual_seed(1)
    first, state = found(), torch.seed()
    assert json.loads(first)["findings"][0]["code"] == "W501"
    assert found() == first == found("--seed", "0")
    assert found("--seed", "5") != first
    assert found("--seed", "5") == found("--seed", "5"), state
    assert CliRunner().invoke(app, ["check", f"{tmp_path}/drawn.py:build", "-i", "16,8", "--seed", "-1"]).exit_code == 2


def test_check_allows_codes(folder: Path) -> None:
    found = json.loads(run("check", "net.py:deep", "-i", "8,64", "-f", "json", status=1))
    codes = {finding["code"] for finding in found["findings"] if finding["severity"] == "unhealthy"}
    options = [text for code in sorted(codes) for text in ("--allow", code)]
    assert "W201" not in run("check", "net.py:deep", "-i", "8,64", *options, status=0)
    assert "health: code must be a known name; got 'W999'" in run(
        "check", "net.py:deep", "-i", "8,64", "--allow", "W999", status=2
    )


def test_check_exit_status_tells_health(folder: Path) -> None:
    assert "healthy" in run("check", "net.py:mlp", "-i", "8,64", status=0)
    text = run("check", "net.py:deep", "-i", "8,64", status=1)
    assert "unhealthy" in text
    assert "W201 vanishing gradient" in text
    assert "Remedy:" in text
    data = json.loads(run("check", "net.py:deep", "-i", "8,64", "-f", "json", status=1))
    assert data["healthy"] is False
    assert data["findings"][0]["code"] == "W201"
    run("init", "net.py:mlp", "-i", "8,64", "-r", "*.weight=normal(std=0.001)", "-o", "w.safetensors", status=1)
    assert (folder / "w.safetensors").exists()


def test_batches_from_files(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 64)).astype(np.float32), rng.integers(0, 10, 16)
    torch.save(torch.from_numpy(x), folder / "batch.pt")
    for called in ("y", "label"):
        np.savez(folder / "batch.npz", x=x, **{called: y})  # type: ignore[arg-type]
        data = json.loads(run("check", "net.py:mlp", "-i", "batch.npz", "-f", "json"))
        assert data["loss"]["description"] == "the given loss"
        assert data["loss"]["chance"] == pytest.approx(np.log(y.max() + 1))
    assert "cross-entropy of 10 classes" in run("check", "net.py:mlp", "-i", "batch.pt")
    np.savez(folder / "named.npz", tokens=rng.integers(0, 20, (4, 6)))
    # torch's N(0, 1) table is far too large for a readout: found guilty
    assert "W501" in run("check", "net.py:Tied", "-i", "named.npz", status=1)


@pytest.mark.parametrize(
    "command", [("plan",), ("init", "-o", "w.safetensors"), ("init", "-o", "w.safetensors", "--html", "r.html")]
)
def test_lazy_models_get_their_shapes_from_the_batch(folder: Path, command: tuple[str, ...]) -> None:
    name, *options = command
    run(name, "net.py:lazy", "-i", "16,64", *options)
    assert "a batch" in run(name, "net.py:lazy", *options, status=2).lower()


def test_a_lazy_model_is_checked(folder: Path) -> None:
    text = run("check", "net.py:lazy", "-i", "16,64", "--html", "r.html")
    assert "healthy" in text
    assert (folder / "r.html").stat().st_size > 1000
    assert "cannot be told from its first layer" in run("check", "net.py:lazy", status=2)


def test_schemes_table_has_every_scheme(folder: Path) -> None:
    text = run("schemes")
    assert all(name in text for name in SCHEMES)
    for asked in (("he_normal",), ("--for", "norm scale")):
        found = run("schemes", *asked)
        assert all(heading in found for heading in ("strengths", "weaknesses", "when to use"))
        assert ("kaiming_normal" in found, "ones" in found) == (asked == ("he_normal",), asked != ("he_normal",))
    assert "Did you mean 'router'" in run("schemes", "--for", "rooter", status=2)
    assert "Did you mean 'he_normal'" in run("schemes", "he_norml", status=2)
    cards = json.loads(run("schemes", "-f", "json"))
    assert {card["name"] for card in cards} == set(SCHEMES)
    assert all(card["strengths"] and card["weaknesses"] and card["use"] for card in cards)


def test_gain(folder: Path) -> None:
    shown = run("gain", "relu")
    assert "1.414213562" in shown
    assert shown.count("•") == 41  # its curve
    gate = json.loads(run("gain", "swiglu", "-f", "json"))
    assert gate["slopes"] == pytest.approx([0.35577552, 0.37948235], abs=1e-8)
    assert gate["curve"]["phi"][-1] == pytest.approx(4 / (1 + math.exp(-4)))
    assert json.loads(run("gain", "tanh", "-f", "json"))["gain"] == pytest.approx(1.59253742, abs=1e-8)
    assert json.loads(run("gain", "net.py:hinge", "-f", "json"))["second"] == pytest.approx(0.5)
    assert json.loads(run("gain", "numpy:tanh", "-f", "json"))["second"] == pytest.approx(0.39429449, abs=1e-8)
    assert json.loads(run("gain", "sigmoid", "-f", "json"))["edge_bias_variance"] == "nan"


WRONG = [
    (("plan", "net.py"), "model: expected path.py:factory, package.module:factory or hf:config.json; got 'net.py'"),
    (("plan", "nowhere.py:f"), "there is no file 'nowhere.py'"),
    (("plan", "bad.py:f"), "running 'bad.py' failed: SyntaxError"),
    (("plan", "net.py:mpl"), "'net.py' has no 'mpl'. Did you mean 'mlp'?"),
    (("plan", "net.py:number"), "returned something of type int, not a torch.nn.Module"),
    (("plan", "net.py:broken"), "calling 'net.py:broken' failed: ValueError: no weights today"),
    (("plan", "net.py:leaving"), "calling 'net.py:leaving' failed: SystemExit: 3"),
    (("plan", "no_such_package:f"), "cannot import 'no_such_package'"),
    (("plan", "net.py:mlp", "-i", "8x64"), "input: spec must be a shape such as 32,1,8,8"),
    (("plan", "net.py:mlp", "-i", "8,65"), "the forward pass failed in module '0'"),
    (("plan", "net.py:mlp", "-i", "8,64", "-r", "0.weight"), "rule: expected 'pattern=scheme'"),
    (("plan", "net.py:mlp", "-i", "8,64", "-r", "9.*=zeros"), "a pattern that matches a parameter; got '9.*'"),
    (("plan", "net.py:mlp", "-i", "8,64", "-r", "0.*=he_norml"), "Did you mean 'he_normal'?"),
    (("plan", "net.py:mlp", "-i", "8,64", "--recipe", "clasic"), "Did you mean 'classic'?"),
    (("plan", "net.py:mlp", "-i", "8,64", "-s", "-1"), "seed must be an integer in [0, 2**64); got -1"),
    (("plan", "net.py:mlp", "-i", "8,64", "-o", "nowhere/plan.json"), "there is no folder 'nowhere'"),
    (
        ("plan", "net.py:mlp", "-i", "8,64", "-r", "0.*=ones", "-r", "*=zeros"),
        "are decided by rule 2 ('*'). Later rules",
    ),
    (
        ("plan", "net.py:mlp", "-i", "8,64", "--only", "9.*"),
        "only must be a pattern that matches a parameter; got '9.*'",
    ),
    (("plan", "net.py:mlp", "-i", "8,64", "--rules", "none.toml"), "rules: cannot read 'none.toml': No such file"),
    (("plan", "net.py:mlp", "-i", "8,64", "--rules", "bad.py"), "rules: 'bad.py' is not TOML"),
    (("plan", "net.py:mlp", "-i", "8,64", "--rules", "bad.toml"), "bad.toml, rule 1: key must be one of 'pattern'"),
    (("plan", "net.py:mlp", "-i", "8,64", "--rules", "role.toml"), "Did you mean 'bias'? The roles are: hidden, bias"),
    (("plan", "net.py:mlp", "-i", "8,64", "--explain", "0.wait"), "one of the model's; got '0.wait'. Did you mean"),
    (("plan", "net.py:mlp", "-i", "8,64", "--diff", "clasic"), "a known name; got 'clasic'. Did you mean 'classic'?"),
    (("plan", "net.py:mlp", "-i", "8,64", "--diff", "none.json"), "plan: cannot read 'none.json'"),
    (("plan", "net.py:mlp", "-i", "8,64", "--diff", "fake.npz"), "plan: 'fake.npz' is not JSON"),
    (("plan", "net.py:mlp", "--diff", "classic", "--explain", "0.bias"), "give --explain or --diff, not both"),
    (("init", "net.py:mlp", "-o", "w.safetensors", "--plan", "p.json", "-s", "1"), "--plan says everything"),
    (
        ("init", "net.py:mlp", "-o", "w.safetensors", "--plan", "p.json", "--recipe", "classic"),
        "--plan says everything",
    ),
    (("init", "net.py:mlp", "-i", "8,64", "-o", "nowhere/w.safetensors"), "there is no folder 'nowhere'"),
    (("init", "net.py:mlp", "-i", "8,64", "-o", "w.safetensors", "--plan", "net.py"), "is not JSON"),
    (("check", "net.py:mlp", "-i", "nothing.npz"), "there is no file 'nothing.npz'"),
    (("check", "net.py:mlp", "-i", "fake.npz"), "cannot read 'fake.npz' as .npz"),
    (("gain", "rellu"), "Did you mean 'relu'?"),
    (("gain", "math:sqrt"), "an activation must"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(row[0])[:60] for row in WRONG])
def test_wrong_use_is_one_message_and_status_two(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "fake.npz").write_text("nothing of the kind")
    (folder / "bad.toml").write_text('[[rule]]\nscheme = "zeros"\npatern = "*"')
    (folder / "role.toml").write_text('[[rule]]\nscheme = "zeros"\nrole = "bais"')
    text = run(*arguments, status=2)
    assert message in " ".join(text.split())
    assert "Traceback" not in text
    assert not (folder / "w.safetensors").exists()


def test_a_full_disk_is_one_message_and_status_two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wellbegun.storage.files.os.fsync", full)
    text = run("plan", "net.py:mlp", "-i", "8,64", "-o", "plan.json", status=2)
    assert "No space left on device" in text
    assert "Traceback" not in text
    assert not (folder / "plan.json").exists()


def test_python_dash_m_and_help(folder: Path) -> None:
    found = subprocess.run([sys.executable, "-m", "wellbegun", "--help"], capture_output=True, text=True, check=True)
    for command in ("plan", "init", "check", "schemes", "gain"):
        assert command in found.stdout
    version = subprocess.run(
        [sys.executable, "-m", "wellbegun", "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == wb.__version__
    assert subprocess.run([sys.executable, "-m", "wellbegun", "plna"], capture_output=True).returncode == 2
