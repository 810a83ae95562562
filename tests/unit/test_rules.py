"""Rules: what each condition means, which rule wins, what decides nothing; rules from TOML; diff and explanation."""

import json
from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError, ModelError, RuleError, UnknownNameError
from wellbegun.graph import ModelGraph, Operation, Parameter, Use
from wellbegun.laws import Constant, Normal
from wellbegun.layout import Fans, Layout
from wellbegun.planning import Overrides, Plan, Rule, diff, explain, make_plan
from wellbegun.schemes import he_normal, zeros
from wellbegun.storage import load_rules, plan_from_json, plan_to_json
from wellbegun.streams import stream_key

LINEAR, CONV = ("Linear",), ("Conv2d", "_ConvNd")
PARAMETERS = {
    p.name: p
    for p in (
        Parameter("stem.weight", (16, 3, 3, 3), "float32", owners=CONV),
        Parameter("stem.bias", (16,), "float32", owners=CONV),
        Parameter("layers.0.weight", (8, 16), "float32", owners=LINEAR),
        Parameter("layers.0.bias", (8,), "float32", owners=LINEAR),
        Parameter("layers.1.weight", (8, 8), "float32", owners=LINEAR),
        Parameter("layers.1.bias", (8,), "float32", owners=LINEAR),
        Parameter("old.weight", (8, 8), "float32", trainable=False, owners=LINEAR),
        Parameter("head.weight", (2, 8), "float32", owners=("Head", "Linear")),
        Parameter("head.tied", (2, 8), "float32", tied_to="head.weight", owners=("Head", "Linear")),
    )
}
FREE = [name for name, p in PARAMETERS.items() if p.trainable and p.tied_to is None]


def model() -> ModelGraph:
    operations = []
    for index, (name, layout) in enumerate(
        (("stem", "oikk"), ("layers.0", "oi"), ("layers.1", "oi"), ("old", "oi"), ("head", "oi"))
    ):
        uses = [Use(f"{name}.weight", "weight", Layout(layout))]
        if f"{name}.bias" in PARAMETERS:
            uses.append(Use(f"{name}.bias", "bias"))
        kind, value = ("conv" if layout == "oikk" else "linear"), 2 * index
        operations.append(Operation(value, kind, "addmm", name, (value,), (value + 1,), tuple(uses)))
        after = Operation(value + 1, "pointwise", "relu", "", (value + 1,), (value + 2,), (), value + 1, _relu)
        operations.append(after)
    return ModelGraph(tuple(operations[:-1]), PARAMETERS, (9,))


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def plan(*rules: object, **options: object) -> Plan:
    return make_plan(model(), rules=list(rules), **{"seed": 0, "recipe": "classic", **options})


# ---------------------------------------------------------------------- conditions
@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"pattern": "layers.*"}, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]),
        ({"pattern": "layers.[1-9].*"}, ["layers.1.weight", "layers.1.bias"]),
        ({"regex": r"(stem|head)\.weight"}, ["stem.weight", "head.weight"]),
        ({"type": "Conv*"}, ["stem.weight", "stem.bias"]),
        ({"type": "_ConvNd"}, ["stem.weight", "stem.bias"]),  # inherited from
        ({"type": "Head"}, ["head.weight"]),
        ({"role": "bias"}, ["stem.bias", "layers.0.bias", "layers.1.bias"]),
        ({"role": "read*"}, ["head.weight"]),
        ({"shape": "8,8"}, ["layers.1.weight"]),
        ({"shape": "*,8"}, ["layers.1.weight", "head.weight"]),
        ({"shape": "*"}, ["stem.bias", "layers.0.bias", "layers.1.bias"]),
        ({"shape": "...,3,3"}, ["stem.weight"]),
        ({"shape": "16, ..."}, ["stem.weight", "stem.bias"]),
        ({"shape": "16,...,3"}, ["stem.weight"]),
        ({"shape": "> 2,>=16"}, ["layers.0.weight"]),
        ({"shape": "<8,<=8"}, ["head.weight"]),
        ({"type": "Linear", "shape": "*,*", "pattern": "*.0.*"}, ["layers.0.weight"]),
    ],
)
def test_each_condition_and_all_of_them_together(conditions: dict[str, str], names: list[str]) -> None:
    found = plan(Rule(scheme="constant(7)", **conditions))
    assert [entry.name for entry in found.entries if entry.scheme == "constant(value=7.0)"] == names
    assert {found[name].decided_by for name in names} == {"rule 1 of 1"}
    assert plan({"scheme": "constant(7)", **conditions}) == found  # as a table


SHAPE = st.lists(st.integers(0, 12), max_size=4).map(tuple)


@given(shape=SHAPE, data=st.data())
def test_shapes_match_what_their_text_says(shape: tuple[int, ...], data: st.DataObject) -> None:
    bounds = data.draw(st.lists(st.tuples(st.sampled_from(["", ">=", "<=", ">", "<"]), st.integers(0, 12)), max_size=4))
    compare = {
        "": int.__eq__,
        ">=": int.__ge__,
        "<=": int.__le__,
        ">": int.__gt__,
        "<": int.__lt__,
    }
    split = data.draw(st.none() | st.integers(0, len(bounds)))
    texts = [f"{sign}{bound}" for sign, bound in bounds]
    if split is not None:
        texts.insert(split, "...")
        ends = [*shape[:split], *shape[len(shape) - (len(bounds) - split) :]] if len(shape) >= len(bounds) else None
    else:
        ends = list(shape) if len(shape) == len(bounds) else None
    if not texts:
        return
    expected = ends is not None and all(
        compare[sign](size, bound) for (sign, bound), size in zip(bounds, ends, strict=True)
    )
    rule = Rule(scheme="zeros", shape=",".join(texts))
    assert rule.matches(Parameter("w", shape, "float32")) is expected


def test_rules_print_as_the_calls_that_make_them() -> None:
    for rule in (
        Rule("head.*", "zeros"),
        Rule(scheme="keep", role="bias"),
        Rule("*", he_normal(), "oi"),
        Rule("a.*", "ones", regex=r"a\.\d+", type="Linear", shape="*,*"),
    ):
        names = {"Rule": Rule, "zeros": zeros, "he_normal": he_normal, "Layout": Layout}
        names["ones"] = __import__("wellbegun").ones
        assert eval(repr(rule), names) == rule
    assert str(Rule("a.*", "ones", regex=r"a\.\d+")) == r"'a.*', regex=r'a\.\d+'"


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"pattern": None, "scheme": "zeros"}, ArgumentTypeError, "rule: pattern must be a glob"),
        (
            {},
            ArgumentTypeError,
            "rule: scheme must be a scheme, its name, 'keep', a law, or a .*; got None",
        ),
        ({"scheme": "zeroes"}, UnknownNameError, "Did you mean 'zeros'"),
        ({"scheme": "zeros", "regex": "(a"}, ArgumentError, r"regex must be a regular expression; got '\(a'. At pos"),
        ({"scheme": "zeros", "type": int}, ArgumentTypeError, "type must be a glob over class names"),
        ({"scheme": "zeros", "role": 3}, ArgumentTypeError, "role must be a glob over roles"),
        ({"scheme": "zeros", "shape": (3, 3)}, ArgumentTypeError, "shape must be one condition for each axis"),
        ({"scheme": "zeros", "shape": "3x3"}, ArgumentError, "shape must be one condition for each axis"),
        ({"scheme": "zeros", "shape": "...,3,..."}, ArgumentError, "Give '...' once"),
        ({"scheme": "zeros", "layout": 3}, ArgumentTypeError, "layout must be letters"),
        ({"scheme": "zeros", "layout": "xy"}, LayoutError, "made of the letters"),
    ],
)
def test_bad_rules(arguments: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Rule(**arguments)


# ---------------------------------------------------------------------- precedence
GLOBS = st.sampled_from(["*", "layers.*", "*.bias", "*.weight", "layers.0.*", "head.*", "stem.?ias", "*.1.bias"])


@given(rules=st.lists(st.tuples(GLOBS, st.sampled_from(["keep", "constant(1)", "constant(2)"])), max_size=6))
def test_the_last_matching_rule_wins_and_a_rule_that_wins_nowhere_is_an_error(rules: list[tuple[str, str]]) -> None:
    expected = {}
    for name in FREE:
        matching = [number for number, (glob, _) in enumerate(rules) if fnmatchcase(name, glob)]
        expected[name] = matching[-1] if matching else None
    idle = [number for number in range(len(rules)) if number not in expected.values()]
    if idle:
        with pytest.raises(RuleError, match=rf"plan: rule {idle[0] + 1} must be"):
            plan(*rules)
        return
    found = plan(*rules)
    for name, number in expected.items():
        entry = found[name]
        if number is None:
            assert entry.decided_by == "recipe classic@1"
            continue
        assert entry.decided_by == f"rule {number + 1} of {len(rules)}"
        assert entry.scheme == Rule(*rules[number]).scheme or entry.scheme == repr(Rule(*rules[number]).scheme)
        lost = [f"rule {n + 1} ({glob!r})" for n, (glob, _) in enumerate(rules[:number]) if fnmatchcase(name, glob)]
        assert list(entry.overruled) == lost


def test_a_rule_brings_its_own_layout_or_none() -> None:
    found = plan(Rule("layers.*.weight", "he_normal", "io"), ("layers.1.weight", "he_normal"))
    assert found["layers.0.weight"].law == Normal(0, (2 / 8) ** 0.5)
    assert found["layers.1.weight"].layout == Layout("oi")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rules": [("0", "zeros")]}, r"rule 1 must be a pattern that matches a parameter; got '0'"),
        (
            {"rules": [Rule(scheme="zeros", type="linaer")]},
            r"a type that .*Did you mean 'Linear'\? The types of modules",
        ),
        ({"rules": [Rule(scheme="zeros", role="baias")]}, r"a role that .*Did you mean 'bias'\? The roles are: hidden"),
        ({"rules": [Rule(scheme="zeros", shape="9,9")]}, r"a shape that .*The shapes are: '16,3,3,3', '16', '8,16'"),
        ({"rules": [Rule(scheme="zeros", regex="layers")]}, r"a regex that .*It has to match the whole name"),
        ({"rules": [Rule("stem.*", "zeros", type="Linear")]}, r"rule 1 .* no parameter meets them all"),
        (
            {"rules": [("head.*", "zeros"), ("*", "ones")]},
            r"rule 1 .*: head.weight is decided by rule 2 \('\*'\)\. Later",
        ),
        (
            {"rules": [("*.bias", "zeros"), ("*", "ones")]},
            r"nothing: stem.bias, layers.0.bias, layers.1.bias are decided by rule 2 \('\*'\)\. Later",
        ),
        (
            {"rules": [("*", "zeros"), ("*", "zeros")]},
            r"layers.0.weight and 4 more are decided by rule 2 \('\*'\); old.weight is frozen.*\. Later rules win",
        ),
        ({"rules": [("head.*", "ones")], "exclude": "head.*"}, r"head.weight is excluded by 'head.\*'. Remove it"),
        ({"rules": [("head.*", "ones")], "only": ["stem.*"]}, r"head.weight is not in only \('stem.\*'\). Remove it"),
        ({"rules": [("old.*", "ones")]}, r"rule 1 must be one that matches a trainable.*frozen='fill'"),
        ({"rules": [("head.tied", "ones")]}, r"rule 1 .*tied names; got .*Name 'head.weight'"),
        ({"only": "haed.*"}, r"only must be a pattern that matches a parameter; got 'haed.\*'. Did you mean"),
        ({"only": "old.*"}, r"only must be one that matches a trainable parameter.*frozen='fill'"),
        ({"only": "head.*", "exclude": "head.*"}, r"only must be a pattern that leaves a parameter open"),
        ({"exclude": "haed.*"}, r"exclude must be a pattern that matches a parameter"),
    ],
)
def test_what_decides_nothing_is_an_error(options: dict, match: str) -> None:
    with pytest.raises(RuleError, match=match):
        plan(*options.pop("rules", ()), **options)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"only": []}, ArgumentError, r"plan: only must be at least one pattern; got \[\]"),
        ({"only": [3]}, ArgumentTypeError, "plan: only must be globs"),
        ({"exclude": 3}, ArgumentTypeError, "plan: exclude must be globs"),
        ({"rules": [{"scheme": "zeros", "patern": "*"}]}, ArgumentError, "rule: key must be .*Did you mean 'pattern'"),
    ],
)
def test_bad_options(options: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make_plan(model(), seed=0, **options)


def test_only_and_exclude_speak_of_every_name_of_a_storage() -> None:
    found = plan(only=["layers.*", "head.tied"], exclude="layers.1.*")
    assert [e.name for e in found.entries if e.action == "fill"] == ["layers.0.weight", "layers.0.bias", "head.weight"]
    assert found["stem.weight"].reason == "not in only ('layers.*', 'head.tied')"
    assert (found["stem.weight"].decided_by, found["layers.1.bias"].decided_by) == ("only", "exclude")
    assert plan(exclude="head.tied")["head.weight"].action == "keep"
    assert plan(only="*.bias")["stem.bias"].action == "fill"


# ---------------------------------------------------------------------- files
RULES = """
exclude = ["stem.bias"]
only = ["*.weight", "*.bias"]

[[rule]]
role = "bias"
scheme = "constant(0.5)"

[[rule]]
type = "Conv2d"
shape = "...,3,3"
scheme = "he_normal(mode='fan_out')"
layout = { axes = "oikk", groups = 1, stride = [2, 2] }

[[rule]]
pattern = "layers.*"
regex = '.*\\.1\\.\\w+'
scheme = "keep"
"""


def test_rules_from_a_file(tmp_path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    found = load_rules(path)
    assert found.rules == (
        Rule(scheme="constant(0.5)", role="bias"),
        Rule(scheme="he_normal(mode='fan_out')", type="Conv2d", shape="...,3,3", layout=Layout("oikk", stride=(2, 2))),
        Rule("layers.*", "keep", regex=r".*\.1\.\w+"),
    )
    assert (found.exclude, found.only) == (("stem.bias",), ("*.weight", "*.bias"))
    listed = plan(*found.rules, exclude=found.exclude, only=found.only)
    assert make_plan(model(), rules=found, seed=0, recipe="classic") == listed
    more = found.then([("head.*", "ones")], exclude="layers.0.weight", only="*")
    assert (len(more.rules), more.exclude, more.only) == (4, ("stem.bias", "layers.0.weight"), ("*",))
    assert load_rules(tmp_path / "empty.toml") == Overrides() if (tmp_path / "empty.toml").write_text("") else True


BAD_FILES = [
    ("[[rule]", ModelError, "rules.toml' is not TOML: .*line 1"),
    ('[[rules]]\nscheme = "zeros"', ArgumentError, "rules.toml: key must be .*Did you mean 'rule'"),
    ('[rule]\nscheme = "zeros"', ArgumentTypeError, r"rule must be tables, each under a line \[\[rule\]\]"),
    ("rule = [3]", ArgumentTypeError, "rules.toml, rule 1: value must be a table"),
    ('exclude = "a"', ArgumentTypeError, r"exclude must be a list of globs such as \['head.\*'\]; got 'a'"),
    ("only = [3]", ArgumentTypeError, "only must be a list of globs"),
    ("only = []", ArgumentError, "only must be at least one pattern"),
    (
        '[[rule]]\nscheme = "zeros"\n[[rule]]\npatern = "*"',
        ArgumentError,
        "rule 2: key must be .*Did you mean 'pattern'",
    ),
    ('[[rule]]\npattern = "*"', ArgumentTypeError, "rule 1: scheme must be a scheme"),
    ('[[rule]]\nscheme = "zeroes"', UnknownNameError, "rule 1: scheme: name .*Did you mean 'zeros'"),
    ('[[rule]]\nscheme = "zeros"\nshape = 3', ArgumentTypeError, "rule 1: shape must be one condition for each axis"),
    ('[[rule]]\nscheme = "zeros"\nlayout = {axis = "oi"}', ArgumentError, "layout: key must .*Did you mean 'axes'"),
    ('[[rule]]\nscheme = "zeros"\nlayout = {groups = 2}', ArgumentTypeError, "rule 1: Layout: axes must be letters"),
]


@pytest.mark.parametrize(("text", "error", "match"), BAD_FILES)
def test_bad_rule_files(tmp_path, text: str, error: type[Exception], match: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(error, match=match):
        load_rules(path)


def test_unreadable_rule_files(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"rules: cannot read '.*nothing.toml': No such file"):
        load_rules(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="is not TOML"):
        load_rules(tmp_path / "binary.toml")


# ---------------------------------------------------------------------- diff
def test_equal_plans_do_not_differ() -> None:
    found = diff(plan(), plan())
    assert (found.identical, len(found), found.same) == (True, 0, len(PARAMETERS))
    assert not diff(plan(), plan(seed=1)).identical
    assert diff(plan(), plan(seed=1)).seeds == (0, 1)
    with pytest.raises(ArgumentTypeError, match="diff: after must be a Plan; got 'str'"):
        diff(plan(), "plan.json")


def test_a_diff_names_what_differs_and_by_how_much() -> None:
    rules = [("layers.0.weight", "normal(std=0.5)"), ("stem.bias", "keep"), Rule("layers.1.*t", "he_normal", "io")]
    found = diff(plan(), plan(*rules))
    assert [change.name for change in found.changes] == ["stem.bias", "layers.0.weight", "layers.1.weight"]
    assert found.same == len(PARAMETERS) - 3
    assert found["stem.bias"].fields == ("action", "scheme", "law")
    assert found["stem.bias"].stds == (0.0, None)
    change = found["layers.0.weight"]
    assert (change.kind, change.fields) == ("changed", ("scheme", "law"))
    assert change.ratio == pytest.approx(0.5 / (2 / 16) ** 0.5)
    assert found["layers.1.weight"].fields == ("layout",)  # square: the same law, transposed values
    data = json.loads(json.dumps(found.to_dict()))
    assert data["changes"][1]["fields"]["scheme"] == ["he_normal()", "normal(std=0.5)"]
    assert data["changes"][0]["reasons"] == ["bias starts at 0", "rule 'stem.bias'"]
    with pytest.raises(KeyError):
        found["head.weight"]


def test_a_diff_names_parameters_that_only_one_plan_has() -> None:
    whole = plan()
    part = Plan(whole.entries[2:], "classic@1", 0)
    assert [(c.name, c.kind) for c in diff(whole, part).changes] == [
        ("stem.weight", "removed"),
        ("stem.bias", "removed"),
    ]
    assert {c.kind for c in diff(part, whole).changes} == {"added"}
    assert diff(part, whole).changes[0].ratio is None
    json.dumps(diff(part, whole).to_dict())


@given(rules=st.lists(st.tuples(st.sampled_from(FREE), st.sampled_from(["keep", "constant(3)"])), max_size=4))
def test_a_diff_names_exactly_the_parameters_with_a_rule(rules: list[tuple[str, str]]) -> None:
    rules = list(dict(rules).items())
    found = diff(plan(), plan(*rules))
    assert {change.name for change in found.changes} == {name for name, _ in rules}
    assert {change.name for change in diff(plan(*rules), plan()).changes} == {name for name, _ in rules}


# ---------------------------------------------------------------------- explanations
def test_an_explanation_tells_everything() -> None:
    rules = (("stem.*", "ones"), Rule(scheme="he_normal", type="Conv2d", shape="...,3,3"))
    found = explain(plan(*rules), "stem.weight")
    assert found.entry.owner == "Conv2d"
    assert found.entry.place == "stem (conv)"
    assert found.entry.meets == ("relu",)
    assert found.entry.decided_by == "rule 2 of 2"
    assert found.entry.overruled == ("rule 1 ('stem.*')",)
    assert found.fans == (Fans(27.0, 144.0),)
    assert "He (Kaiming) normal" in found.formula
    assert found.moments.variance == pytest.approx(2 / 27)
    assert found.key == stream_key(0, "stem.weight")
    data = json.loads(json.dumps(found.to_dict(), allow_nan=True))
    assert data["std"] == pytest.approx((2 / 27) ** 0.5)
    assert data["fans"] == [{"fan_in": 27.0, "fan_out": 144.0}]
    assert data["reason"] == "rule type='Conv2d', shape='...,3,3'"


def test_explanations_of_what_is_not_filled() -> None:
    found = plan()
    tied, kept, bias = explain(found, "head.tied"), explain(found, "old.weight"), explain(found, "stem.bias")
    assert (tied.entry.tied_to, tied.key, tied.fans, tied.moments) == ("head.weight", None, (), None)
    assert explain(found, "head.weight").tied == ("head.tied",)
    assert (kept.entry.decided_by, kept.key, kept.formula) == ("frozen", None, "")
    assert (bias.fans, bias.support) == ((), (0.0, 0.0))
    with pytest.raises(RuleError, match=r"plan: parameter must be one of the model's; got 'stem.wait'. Did you mean"):
        explain(found, "stem.wait")


# ---------------------------------------------------------------------- plans as data
def test_plans_with_rules_replay_from_json_bit_for_bit() -> None:
    rules = [Rule(scheme="he_normal", layout="io", pattern="layers.*.weight"), ("stem.*", "truncated_normal(std=0.3)")]
    found = plan(*rules, ("head.*", "orthogonal(gain=0.7)"), only=["*"], exclude="layers.1.bias")
    again = plan_from_json(plan_to_json(found))
    assert again == found
    for entry, copy in zip(found.entries, again.entries, strict=True):
        assert [type(value) for value in vars(entry).values()] == [type(value) for value in vars(copy).values()]
        if entry.law is not None:
            shape = entry.layout.canonical_shape(entry.shape)
            values = [fill(e.law, shape, seed=found.seed, name=e.stream).tobytes() for e in (entry, copy)]
            assert values[0] == values[1]


def test_plans_written_before_entries_knew_their_deciders_can_be_read() -> None:
    data = plan(("head.*", "ones")).to_dict()
    for entry in data["entries"]:
        for key in ("owner", "place", "meets", "decided_by", "overruled"):
            del entry[key]
    old = Plan.from_dict(json.loads(json.dumps(data)))
    assert old["head.weight"].law == Constant(1)
    assert diff(old, plan(("head.*", "ones"))).identical
    assert explain(old, "head.weight").entry.decided_by == ""
