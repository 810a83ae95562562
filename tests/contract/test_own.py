"""Schemes and recipes of one's own: a function or a small class, passed or installed, does all that a built-in does."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError, RuleError, UnknownNameError
from wellbegun.layout import Layout
from wellbegun.materialize import Target, fill_targets
from wellbegun.planning import Choice, Method, recipe_names, recipe_of
from wellbegun.racing.entrants import candidates_of
from wellbegun.schemes import SCHEMES, Scheme, card_named, cards, parse_scheme, scheme_of


def small(fans: wb.Fans) -> wb.laws.Law:
    """Half of what LeCun's rule gives."""
    return wb.laws.Normal(0, 0.5 / fans.fan_in)


def tall(shape: tuple[int, ...]) -> Scheme:
    return wb.normal(std=1 / shape[0])


def wound(layout: Layout, shape: tuple[int, ...], *, turns: float = 1.0) -> Scheme:
    return wb.orthogonal(gain=turns * (2 if "k" in layout.axes else 1))


@dataclass(frozen=True)
class Damped:
    """Weights that a depth divides."""

    depth: int = 1

    def __call__(self, fans: wb.Fans) -> wb.laws.Law:
        return wb.laws.Uniform(-1 / (self.depth * fans.fan_in), 1 / (self.depth * fans.fan_in))


SCHEMES_OF_OWN: list[Any] = [
    small,
    tall,
    wound,
    Damped(3),
    wb.laws.Normal(0, 0.1),
    wb.he_normal,
    lambda fans: small(fans),
]


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


def conv() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))


# ---------------------------------------------------------------------- schemes, as built-in ones are tested
@pytest.mark.parametrize("given", SCHEMES_OF_OWN)
@pytest.mark.parametrize("order", ["oikk", "kkio", "iokk"])
def test_the_stored_order_of_axes_does_not_matter(given: Any, order: str) -> None:
    scheme = scheme_of(given)
    plain = scheme((6, 4, 3, 5), seed=0, name="w", layout="oikk")
    layout = Layout(order, transposed=False)
    sizes = {"o": [6], "i": [4], "k": [3, 5]}
    drawn = scheme(tuple(sizes[letter].pop(0) for letter in order), seed=0, name="w", layout=layout)
    assert (drawn.transpose(layout.canonical) == plain).all()
    assert (drawn != 0).any()


@pytest.mark.parametrize("given", SCHEMES_OF_OWN[:-1])
def test_they_are_values(given: Any) -> None:
    scheme = scheme_of(given)
    assert scheme_of(scheme) is scheme
    assert scheme_of(given) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme
    assert hash(scheme_of(given)) == hash(scheme)
    assert [other for other in map(scheme_of, SCHEMES_OF_OWN) if other == scheme] == [scheme]
    with pytest.raises(AttributeError):
        scheme.spelling = "other"  # type: ignore[misc]


@pytest.mark.parametrize("given", SCHEMES_OF_OWN)
@pytest.mark.parametrize("build", [mlp, conv])
def test_they_work_in_rules_plans_files_and_reports(given: Any, build: Callable[[], Any], tmp_path: Path) -> None:
    shape = (8, 12) if build is mlp else (8, 3, 8, 8)
    model, again, plain = build(), build(), build()
    result = wb.initialize(model, shape, rules=[("0.weight", given)], seed=0)
    entry = result.plan["0.weight"]
    assert entry.scheme == repr(scheme_of(given))
    assert entry.law == scheme_of(given).law(entry.shape, layout=entry.layout)
    read = wb.load_plan(wb.save_plan(result.plan, tmp_path / "plan.json"))
    assert read == result.plan
    wb.apply(again, read)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    wb.initialize(plain, shape, seed=0)
    assert not torch.equal(plain[0].weight, model[0].weight)  # the control: without the rule
    assert entry.law.describe() in dict(wb.reports.plans.explained(wb.explain(result.plan, "0.weight")))["law"]
    assert entry.name in wb.report(result)
    assert wb.diff(result.plan, wb.plan(build(), shape, seed=0))["0.weight"].fields[0] == "scheme"


def test_any_part_of_a_tensor_has_the_same_bits() -> None:
    for given in (small, tall, Damped(2)):
        whole_plan = wb.plan(mlp(), (8, 12), rules=[("0.weight", given)], seed=3)
        plan = replace(whole_plan, entries=(whole_plan["0.weight"],))
        whole = wb.fill(plan["0.weight"].law, (16, 12), seed=3, name="0.weight")
        part = np.empty((5, 7), np.float32)
        fill_targets(plan, {"0.weight": Target((16, 12), "float32", part, ((4, 9), (2, 9)))})
        assert (part == whole[4:9, 2:9]).all()
        assert not (part == whole[5:10, 2:9]).any()  # the control


def test_what_functions_are_given_is_what_they_name() -> None:
    seen: dict[str, Any] = {}

    def curious(shape: Any, fans: Any, layout: Any) -> Scheme:
        seen.update(shape=shape, fans=fans, layout=layout)
        return wb.zeros()

    scheme_of(curious).law((3, 3, 4, 6), layout="kkio")
    assert seen == {"shape": (6, 4, 3, 3), "fans": wb.Fans(36.0, 54.0), "layout": Layout("kkio")}
    assert scheme_of(tall).law((5,), layout="o") == wb.laws.Normal(0, 0.2)  # no fans are asked of a bias
    with pytest.raises(LayoutError, match=r"small\(\): layout must be one with fans"):
        scheme_of(small).law((5,), layout="o")


def led(level: int, shape: tuple[int, ...]) -> wb.laws.Law:
    return wb.laws.Constant(level)


class Bare:
    """Not even a dataclass."""

    def __call__(self, shape: tuple[int, ...]) -> wb.laws.Law:
        return wb.laws.Constant(len(shape))


def test_texts_are_the_same_in_every_process() -> None:
    assert repr(scheme_of(partial(wound, turns=2))) == "wound(turns=2)"
    assert scheme_of(partial(wound, turns=2)) == scheme_of(partial(wound, turns=2)) != scheme_of(wound)
    assert scheme_of(partial(wb.he_normal, mode="fan_out")) == wb.he_normal(mode="fan_out")
    assert scheme_of(partial(led, 3)).law((2,), layout="o") == wb.laws.Constant(3)
    assert repr(scheme_of(partial(Damped, 2))) == "Damped(2)"
    assert repr(scheme_of(Bare())) == repr(scheme_of(Bare)) == "Bare()"
    assert scheme_of(Bare).law((3, 4)) == wb.laws.Constant(2)


def test_schemes_of_schemes_take_them() -> None:
    layout = Layout("oi", sections=2)
    assert wb.mirrored(small) == wb.mirrored(scheme_of(small))
    assert repr(wb.icnr(tall, 2)) == "icnr(tall(), 2)"
    assert wb.by_section(wb.laws.Constant(0), wb.ones()).law((4, 3), layout=layout) == wb.by_section(
        wb.zeros(), wb.ones()
    ).law((4, 3), layout=layout)
    assert wb.by_section(small, tall).law((8, 3), layout=layout).moments((8, 3)).variance > 0
    with pytest.raises(ArgumentTypeError, match="mirrored: scheme must be a scheme, a law, or a function"):
        wb.mirrored("he_normal")  # type: ignore[arg-type]


def test_a_race_knows_a_function_by_its_code() -> None:
    def told(given: Any) -> str:
        return candidates_of({"own": given})[0].text

    def changed(role: Any) -> str:
        return "ones"

    changed.__qualname__ = plain.__qualname__
    for key in ("recipe", "rules"):
        one, two = (given if key == "recipe" else [("*", given)] for given in (plain, changed))
        assert told({key: one}) == told({key: one})
        assert told({key: one}) != told({key: two})
        assert " at 0x" not in told({key: one})
    assert " at 0x" not in told({"recipe": Halved()}) + told({"rules": [wb.Rule("*", small)]})
    assert told({"recipe": recipe_of("classic")}) == "initialize {'recipe': 'classic@1'}"
    assert told({"rules": [("*", Damped(2))]}) != told({"rules": [("*", Damped(3))]})
    assert told({"rules": [("*", "zeros")]}) == "initialize {'rules': [('*', 'zeros')]}"  # the control: as ever


def scaled(by: float) -> Callable[..., Any]:
    def one(fans: wb.Fans) -> wb.laws.Law:
        return wb.laws.Normal(0, by / fans.fan_in)

    return one


def stated(by: float) -> Callable[..., Any]:
    def one(fans: wb.Fans, by: float = by) -> wb.laws.Law:
        return wb.laws.Normal(0, by / fans.fan_in)

    return one


def by_name(by: float) -> Callable[..., Any]:
    def one(fans: wb.Fans, *, by: float = by) -> wb.laws.Law:
        return wb.laws.Normal(0, by / fans.fan_in)

    return one


class Held:
    def __init__(self, by: Any) -> None:
        self.by = {"deep": [by]}

    def __call__(self, fans: wb.Fans) -> wb.laws.Law:
        return wb.laws.Normal(0, float(self.by["deep"][0]) / fans.fan_in)

    def method(self, fans: wb.Fans) -> wb.laws.Law:
        return self(fans)


@pytest.mark.parametrize(
    "made",
    [scaled, stated, by_name, Held, lambda by: Held(by).method, lambda by: Held(np.full(3, by)),
     lambda by: Held(torch.full((3,), by)), lambda by: partial(wound, turns=by), lambda by: Held(scaled(by))],
)  # fmt: skip
def test_a_race_knows_a_function_by_all_that_it_is_made_of(made: Callable[[Any], Any]) -> None:
    def told(given: Any) -> str:
        return candidates_of({"own": given})[0].text

    for wrap in (lambda own: own, lambda own: {"rules": [("*", own)]}, lambda own: {"recipe": own}):
        one, again, other = (told(wrap(made(by))) for by in (1.0, 1.0, 2.0))
        assert one == again != other
        assert " at 0x" not in one
    inside = [candidates_of({"own": wb.mirrored(scaled(by))})[0].text for by in (1.0, 1.0, 2.0)]
    assert inside[0] == inside[1] != inside[2]


SETTINGS: dict[str, Any] = {"by": 1.0, "more": [torch.nn.Parameter(torch.ones(2))]}


class Common:
    size = 1.0

    @property
    def own(self) -> float:
        return self.size


class Slotted(Common):
    __slots__ = ("by",)

    def __init__(self) -> None:
        self.by = 1.0

    def __call__(self, fans: wb.Fans) -> wb.laws.Law:
        return wb.laws.Normal(0, self.by * self.own)


def by_settings(fans: wb.Fans) -> wb.laws.Law:
    return wb.laws.Normal(0, SETTINGS["by"])


def test_a_race_knows_what_functions_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def told() -> list[str]:
        return [candidates_of({"own": given})[0].text for given in (by_settings, Slotted(), plain)]

    first = told()
    assert first == told()
    monkeypatch.setitem(SETTINGS, "by", 2.0)
    second = told()
    assert [a != b for a, b in zip(first, second, strict=True)] == [True, False, False]
    SETTINGS["more"][0].data[0] = 5
    monkeypatch.setattr(Common, "size", 3.0)
    assert [a != b for a, b in zip(second, told(), strict=True)] == [True, True, False]


def test_a_race_knows_a_function_in_another_process() -> None:
    code = "from wellbegun.racing.fingerprint import function_text as t\n"
    code += "print(t(lambda role: 'zeros' if role in {'bias', 'norm', 'shift', 'scale'} else 'ones'))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": s},
        ).stdout
        for s in "123"
    }
    assert len(seen) == 1


def test_a_race_takes_what_stands_for_a_scheme_or_a_recipe() -> None:
    for given in (small, Damped(3), wb.laws.Normal(0, 0.1), wb.he_normal(), "he_normal"):
        (found,) = candidates_of({"own": given})
        assert [rule.scheme for rule in found.what["rules"]] == [scheme_of(given)]
    for given in (plain, Halved()):
        assert candidates_of({"own": given})[0].what == {"recipe": given}
    assert candidates_of({"own": lambda model: None})[0].kind == "function"  # the control

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))

    options = {"rates": [1e-2], "steps": 3, "seeds": 1, "jobs": 1}
    same = {"recipe": "classic", "rules": [wb.Rule(shape="*,*", scheme=Damped(3))]}
    found = wb.race({"ours": Damped(3), "same": same}, build, "digits", **options)
    assert found.trials[0].losses == found.trials[1].losses


def test_what_is_named_as_one_of_ours_is_told_from_it() -> None:
    def he_normal(fans: wb.Fans) -> wb.laws.Law:
        return wb.laws.Constant(1)

    def classic(role: Any) -> str:
        return "zeros"

    found = wb.plan(mlp(), (8, 12), rules=[("0.weight", he_normal)], recipe=classic, seed=0)
    assert (found["0.weight"].scheme, found.recipe) == ("own.he_normal()", "own.classic@1")
    assert wb.diff(found, wb.plan(mlp(), (8, 12), recipe="classic", seed=0)).recipes == ("own.classic@1", "classic@1")


def bare(size: int) -> wb.laws.Law:
    return wb.laws.Constant(size)


def numbers(shape: tuple[int, ...]) -> Any:
    return np.zeros(shape)


def broken(fans: wb.Fans) -> wb.laws.Law:
    return wb.laws.Normal(0, 1 / (fans.fan_in - fans.fan_in))


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (bare, ArgumentTypeError, r"a function of shape, fans or layout, by these names.*bare\(\)"),
        (lambda: 3, ArgumentTypeError, "what it returns must be a law"),
        (numbers, RuleError, r"numbers\(\): what it returns must be a law .* or a scheme.*Given.of"),
        (broken, RuleError, r"broken\(\): the function raised ZeroDivisionError"),
        (wb.mirrored, ArgumentTypeError, "a scheme of your own must be .*Missing a required argument: 'scheme'"),
        (print, ArgumentTypeError, "what it returns must be a law"),
        (3, ArgumentTypeError, "a scheme, its name, 'keep', a law, or a function of shape, fans or layout"),
        (None, ArgumentTypeError, "a scheme, its name"),
    ],
)
def test_anything_else_is_one_clear_message(given: Any, error: type[Exception], said: str) -> None:
    model = mlp()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(error, match=said):
        wb.initialize(model, (8, 12), rules=[("0.weight", given)], seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


# ---------------------------------------------------------------------- recipes
def plain(role: Any) -> Any:
    """He before everything, and a silent readout."""
    if role.role == "bias":
        return "zeros"
    return Choice("zeros", "silent", learning_rate=0.5) if role.role == "readout" else small


class Halved:
    full_name = "halved@1"

    def choose(self, graph: Any, roles: Any, decided: Any) -> Any:
        return dict(recipe_of("classic").choose(graph, roles, decided))

    def notes(self, roles: Any) -> tuple[str, ...]:
        return ("a note",)


def test_a_function_of_the_role_is_a_recipe(tmp_path: Path) -> None:
    model = mlp()
    result = wb.initialize(model, (8, 12), recipe=plain, rules=[("2.bias", "ones")], seed=0)
    found = result.plan
    assert found.recipe == "plain@1"
    assert [e.scheme for e in found.entries] == ["small()", "zeros()", "zeros()", "ones()"]
    assert found["2.weight"].learning_rate == 0.5
    assert found["0.weight"].reason == "hidden: what plain@1 gives it"
    assert found["0.weight"].decided_by == "recipe plain@1"
    assert not model[2].weight.any()
    assert wb.load_plan(wb.save_plan(found, tmp_path / "p.json")) == found
    assert "plain@1" in wb.report(result)
    assert isinstance(recipe_of(plain), Method)


def test_what_a_recipe_leaves_out_is_kept_and_said() -> None:
    model = mlp()
    found = wb.plan(model, (8, 12), recipe=lambda role: "ones" if role.role == "bias" else None, seed=0)
    assert found["0.weight"].action == "keep"
    assert any("0.weight" in note for note in found.notes)
    assert found["0.bias"].scheme == "ones()"  # the control


def test_a_class_is_made_and_other_things_are_told() -> None:
    assert wb.plan(mlp(), (8, 12), recipe=Halved, seed=0) == wb.plan(mlp(), (8, 12), recipe=Halved(), seed=0)
    for given, error, said in (
        (lambda role: 3, ArgumentTypeError, "<lambda>@1, asked for 0.weight: Choice: scheme must be a scheme"),
        (lambda role: "he_nromal", UnknownNameError, "<lambda>@1, asked for 0.weight: .*'he_normal'"),
        (lambda role: broken, RuleError, r"0.weight: broken\(\): the function raised ZeroDivisionError"),
        (lambda role: numbers, RuleError, r"numbers\(\): what it returns must be a law"),
        (lambda role: role.nothing, ArgumentError, "asked for 0.weight, raised AttributeError"),
        (3, ArgumentTypeError, "plan: recipe must be a name, a function of a role"),
        (Damped, ArgumentError, "asked for 0.weight, raised"),
        ("nothing", UnknownNameError, "Known: "),
    ):
        with pytest.raises(error, match=said):
            wb.plan(mlp(), (8, 12), recipe=given, seed=0)
    unnamed, unversioned = Halved(), partial(plain)
    unnamed.full_name, unversioned.version = 3, "two"
    for given, said in ((unnamed, "full_name must be a text"), (unversioned, "version must be an integer")):
        with pytest.raises(ArgumentTypeError, match=said):
            wb.plan(mlp(), (8, 12), recipe=given, seed=0)


# ---------------------------------------------------------------------- installed
FILE = '''"""Schemes and recipes of a package."""
import wellbegun as wb
from dataclasses import dataclass

def thin(fans, times=1.0):
    "A tenth of the fans."
    return wb.laws.Normal(0, times / (10 * fans.fan_in))

@dataclass(frozen=True)
class Deep:
    "Less for each layer."
    layers: int = 1
    def __call__(self, shape):
        return wb.normal(std=1 / (self.layers * shape[0]))

def silent(role):
    return "zeros"

class Quiet:
    full_name = "quiet@2"
    def choose(self, graph, roles, decided):
        return {name: wb.planning.Choice("zeros", "quiet") for name in roles}
    def notes(self, roles):
        return ()
'''
ENTRIES = {
    "wellbegun.schemes": "thin = own_parts:thin\ndeep = own_parts:Deep\nzeros = own_parts:thin\n"
    "lost = own_parts:lost\nends = own_end:ends",
    "wellbegun.recipes": "silent = own_parts:silent\nquiet = own_parts:Quiet\nauto = own_parts:silent",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with entry points, installed."""
    (tmp_path / "own_parts.py").write_text(FILE)
    (tmp_path / "own_end.py").write_text("import sys\nsys.exit(3)\n")
    about = tmp_path / "own_parts-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 1\n")
    (about / "entry_points.txt").write_text("\n".join(f"[{group}]\n{lines}" for group, lines in ENTRIES.items()))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_parts", None)


def test_installed_schemes_are_known_by_name(package: Path) -> None:
    assert parse_scheme("thin").law((4, 5)) == wb.laws.Normal(0, 1 / 50)
    for text in ("thin()", "thin(times=3.0)", "deep()", "deep(4)", "deep(layers=2)"):
        assert repr(parse_scheme(text)) == text
        assert parse_scheme(repr(parse_scheme(text))) == parse_scheme(text)
    assert parse_scheme("deep(layers=2)").law((4, 5)) == wb.laws.Normal(0, 1 / 8)
    assert parse_scheme("mirrored(thin())").law((4, 6)) == wb.mirrored(parse_scheme("thin")).law((4, 6))
    assert parse_scheme("zeros") == wb.zeros()  # a name of ours stays ours
    (package / "rules.toml").write_text('[[rule]]\npattern = "0.weight"\nscheme = "deep(layers=2)"\n')
    found = wb.plan(mlp(), (8, 12), rules="rules.toml", seed=0)
    assert found["0.weight"].law == wb.laws.Normal(0, 1 / 32)
    assert wb.explain(found, "0.weight").formula == "Less for each layer."
    for text, error, said in (
        ("thim", UnknownNameError, "Did you mean 'thin'"),
        ("thin(tines=2)", ArgumentTypeError, "unexpected keyword argument 'tines'"),
        ("deep(1, 2)", ArgumentTypeError, "Too many positional arguments"),
        ("ends", ArgumentError, "'ends', installed as 'own_end:ends', cannot be loaded: SystemExit: 3"),
        ("lost", ArgumentError, "'lost', installed as 'own_parts:lost', cannot be loaded: AttributeError"),
    ):
        with pytest.raises(error, match=said):
            parse_scheme(text)


def test_nothing_is_known_of_what_is_not_installed() -> None:
    with pytest.raises(UnknownNameError, match="thin"):
        parse_scheme("thin")
    assert "silent" not in recipe_names()
    assert [card.name for card in cards(others=True)] == list(SCHEMES)
    assert card_named("glorot_normal") == card_named("xavier_normal") is not None
    assert card_named("thin") is None


def test_installed_recipes_are_known_by_name(package: Path) -> None:
    assert wb.plan(mlp(), (8, 12), recipe="silent", seed=0).recipe == "silent@1"
    assert wb.plan(mlp(), (8, 12), recipe="quiet@2", seed=0) == wb.plan(mlp(), (8, 12), recipe="quiet", seed=0)
    assert recipe_of("auto").full_name.startswith("auto@")
    assert wb.plan(mlp(), (8, 12), seed=0)["0.weight"].scheme != "zeros()"
    with pytest.raises(UnknownNameError, match="quiet@1"):
        recipe_of("quiet@1")
    silent, thin = candidates_of(["silent", "thin(times=3.0)"])
    assert silent.what == {"recipe": "silent@1"}
    assert thin.what["rules"][0].scheme == parse_scheme("thin(times=3.0)")


def invoke(*words: str) -> str:
    found = CliRunner().invoke(app, list(words), env={"COLUMNS": "100", "NO_COLOR": "1"})
    assert found.exit_code == 0, found.output
    return found.output


def test_the_command_line_takes_them(package: Path) -> None:
    (package / "net.py").write_text("from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(12, 4))\n")
    common = ("net.py:net", "-i", "8,12", "--seed", "0", "--format", "json")

    def law(*options: str) -> Any:
        return json.loads(invoke("plan", *common, *options))["entries"][0]["scheme"]

    assert law("--recipe", "silent") == law("--recipe", "own_parts.py:silent") == "zeros()"
    assert law("--rule", "*.weight=deep(layers=2)") == "deep(layers=2)"
    assert law("--rule", "*.weight=own_parts.py:thin") == "thin()"
    assert law() != law("--recipe", "quiet") == "zeros()"  # the control
    assert "own_parts:silent" in invoke("recipes")
    told = json.loads(invoke("schemes", "--format", "json"))
    assert {"thin", "deep", "lost"} <= {card["name"] for card in told}
    assert "cannot be loaded" in next(card["formula"] for card in told if card["name"] == "lost")
    invoke("init", "net.py:net", "-i", "8,12", "--recipe", "own_parts.py:Quiet", "--out", "w.safetensors")
    assert json.loads(invoke("plan", *common, "--diff", "quiet"))["recipes"][1] == "quiet@2"
