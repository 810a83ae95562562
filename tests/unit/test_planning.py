"""Roles + rules -> plan -> ledger, on a graph written by hand; plans as data."""

import json

import numpy as np
import pytest

from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError, RuleError, UnknownNameError
from wellbegun.graph import ModelGraph, Operation, Parameter, Use
from wellbegun.laws import Constant, Normal
from wellbegun.layout import Layout
from wellbegun.materialize.ledger import settle
from wellbegun.planning import Plan, Rule, make_plan, recipe_of
from wellbegun.schemes import he_normal, zeros
from wellbegun.storage import load_plan, plan_from_json, plan_to_json, save_plan

PARAMETERS = {
    "fc1.weight": Parameter("fc1.weight", (8, 4), "float32"),
    "fc1.bias": Parameter("fc1.bias", (8,), "float32"),
    "frozen.weight": Parameter("frozen.weight", (8, 8), "float32", trainable=False),
    "head.weight": Parameter("head.weight", (2, 8), "bfloat16"),
    "head.tied": Parameter("head.tied", (2, 8), "bfloat16", tied_to="head.weight"),
}


def model(extra: dict[str, Parameter] | None = None) -> ModelGraph:
    oi = Layout("oi")
    uses = Use("fc1.weight", "weight", oi), Use("fc1.bias", "bias")
    operations = (
        Operation(0, "linear", "addmm", "fc1", (0,), (1,), uses),
        Operation(1, "pointwise", "relu", "", (1,), (2,), (), 1, lambda x: np.maximum(x, 0)),
        Operation(2, "linear", "mm", "frozen", (2,), (3,), (Use("frozen.weight", "weight", oi),)),
        Operation(3, "linear", "mm", "head", (3,), (4,), (Use("head.weight", "weight", oi),)),
    )
    return ModelGraph(operations, {**PARAMETERS, **(extra or {})}, (4,))


def test_every_parameter_has_one_entry_with_a_reason() -> None:
    plan = make_plan(model(), seed=5, recipe="classic")
    assert [entry.name for entry in plan.entries] == list(PARAMETERS)
    assert plan["fc1.weight"].scheme == "he_normal()"
    assert plan["fc1.weight"].law == Normal(0, 0.5**0.5)
    assert plan["fc1.bias"].law == Constant(0)
    assert plan["head.weight"].scheme == "lecun_normal()"
    assert (plan["frozen.weight"].action, plan["head.tied"].action) == ("keep", "tie")
    assert plan["head.tied"].tied_to == "head.weight"
    assert all(entry.reason for entry in plan.entries)
    assert (plan.seed, plan.recipe, len(plan)) == (5, "classic@1", 5)
    with pytest.raises(RuleError, match="one of the model's; got 'fc2.weight'"):
        plan["fc2.weight"]


def test_rules_exclusions_and_frozen_parameters() -> None:
    plan = make_plan(model(), rules=[("*", "ones"), ("fc1.*", zeros()), ("fc1.bias", "keep")], seed=0)
    assert [plan[name].scheme for name in PARAMETERS] == ["zeros()", "keep", "keep", "ones()", ""]
    assert plan["fc1.weight"].reason == "rule 'fc1.*'"
    assert (
        make_plan(model(), rules={"fc1.weight": "orthogonal(gain=2)"}, seed=0)["fc1.weight"].scheme
        == "orthogonal(gain=2.0)"
    )
    assert make_plan(model(), exclude="fc1.*", seed=0)["fc1.weight"].reason == "excluded by 'fc1.*'"
    filled = make_plan(model(), frozen="fill", seed=0)
    assert filled["frozen.weight"].action == "fill"
    assert make_plan(model(), seed=None).seed != make_plan(model(), seed=None).seed  # fresh entropy, recorded


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"rules": [("fc9.*", "zeros")]},
            RuleError,
            r"matches a parameter; got 'fc9\.\*'.*The parameters are: fc1.weight",
        ),
        ({"exclude": ["fc1.wait"]}, RuleError, r"exclude must be a pattern .*Did you mean 'fc1.weight'"),
        ({"rules": [("head.tied", "zeros")]}, RuleError, "Name 'head.weight', which is the same storage"),
        ({"rules": [("frozen.*", "zeros")]}, RuleError, "pass frozen='fill'"),
        ({"rules": [("fc1.*", "zeroes")]}, UnknownNameError, "Did you mean 'zeros'"),
        ({"rules": [("fc1.bias", "he_normal")]}, RuleError, "fc1.bias: he_normal.*one with fans"),
        ({"rules": [("head.weight", "constant(1e39)")]}, RuleError, "within the range of bfloat16"),
        ({"rules": "fc1"}, ArgumentTypeError, "a list of .pattern, scheme."),
        ({"rules": [3]}, ArgumentTypeError, "pairs .pattern, scheme. or Rule"),
        ({"rules": [(3, "zeros")]}, ArgumentTypeError, "rule: pattern must be a glob"),
        ({"rules": [("fc1.*", 3)]}, ArgumentTypeError, "a scheme, its name, 'keep', a law"),
        ({"recipe": "clasic"}, UnknownNameError, "Did you mean 'classic'"),
        ({"frozen": "yes"}, ArgumentError, "frozen must be one of 'keep', 'fill'"),
        ({"seed": -1}, ArgumentError, "plan: seed"),
    ],
)
def test_bad_options(options: dict, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make_plan(model(), **{"seed": 0, **options})


def test_what_nothing_can_be_said_of_is_kept_and_named_at_once_and_strict_refuses_it() -> None:
    extra = {
        "aux.weight": Parameter("aux.weight", (3, 3, 3), "float32"),
        "aux.bias": Parameter("aux.bias", (3,), "float32"),
    }
    with pytest.raises(RuleError, match=r"of 2 parameters nothing can be said; nothing was changed") as caught:
        make_plan(model(extra), seed=0, strict=True)
    assert "aux.weight, aux.bias: is not used in the forward pass of this batch" in str(caught.value)
    plan = make_plan(model(extra), seed=0)
    assert plan["aux.weight"].action == plan["aux.bias"].action == "keep"
    assert [note for note in plan.notes if "aux.weight, aux.bias" in note]
    with pytest.raises(RuleError, match="the graph does not tell their roles"):
        make_plan(model(extra), rules=[("aux.*", "lecun_normal")], seed=0)
    plan = make_plan(model(extra), rules=[Rule("aux.weight", he_normal(), "kio"), ("aux.bias", "ones")], seed=0)
    assert plan["aux.weight"].law == Normal(0, (2 / 9) ** 0.5)
    integers = {"count": Parameter("count", (3,), "int64")}
    with pytest.raises(RuleError, match=r"count: has dtype int64; wellbegun fills .* Exclude it"):
        make_plan(model(integers), rules=[("count", "zeros")], seed=0)


def test_plans_survive_the_disk(tmp_path) -> None:
    plan = make_plan(model(), rules=[("fc1.bias", "keep")], seed=2**64 - 1)
    assert plan_from_json(plan_to_json(plan)) == plan
    path = save_plan(plan, tmp_path / "plan.json")
    assert load_plan(path) == plan
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]  # nothing half-written is left
    data = json.loads(path.read_text())
    assert (data["format"], data["stream_version"], data["seed"]) == (1, 1, 2**64 - 1)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("{", ModelError, "is not JSON"),
        ("[]", ArgumentError, "a JSON object; got 'list'"),
        ('{"format": 9}', ArgumentError, "format must be 1; got 9"),
        ('{"format": 1, "stream_version": 2}', ArgumentError, "stream_version must be 1; got 2"),
        ('{"format": 1, "stream_version": 1, "entries": [{}], "recipe": "", "seed": 0}', ArgumentError, "incomplete"),
        (
            '{"format": 1, "stream_version": 1, "recipe": "", "seed": 0, "entries": [{"layout": null, "law": {}}]}',
            ArgumentError,
            "law must be a name",
        ),
    ],
)
def test_bad_plan_files(text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as raised:
        plan_from_json(text, "a.json")
    assert "a.json" in str(raised.value)
    with pytest.raises(ModelError, match="cannot read"):
        load_plan("/nowhere/plan.json")
    with pytest.raises(ArgumentTypeError, match="path must be the path of a file; got None"):
        load_plan(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("factor", "2", "factor must be a finite number; got '2'"),
        ("target", [1], r"target must be a finite number; got \[1\]"),
        ("relative", 1, "relative must be True or False; got 1"),
        ("source", None, "source must be a text; got None"),
        ("meets", "relu", "meets must be a list of texts; got 'relu'"),
        ("overruled", [2], r"overruled must be a list of texts; got \(2,\)"),
        ("tied_to", 3, "tied_to must be a text; got 3"),
        ("shape", 5, "shape must be a tuple of integers >= 0; got '5'"),
        ("law", None, "law must be there, to fill it; got None"),
        ("name", "fc1.bias", "fc1.bias has two entries"),
    ],
)
def test_each_field_of_a_plan_file_is_judged_by_itself(field: str, value: object, match: str) -> None:
    data = json.loads(plan_to_json(make_plan(model(), seed=0)))
    assert plan_from_json(json.dumps(data)).to_dict() == data
    assert data["entries"][0]["name"] == "fc1.weight"
    data["entries"][0][field] = value
    with pytest.raises(ArgumentError, match=match):
        plan_from_json(json.dumps(data))


def test_ledger_says_what_happened_exactly_once() -> None:
    plan = make_plan(model(), seed=0)
    ledger = settle(plan, ["fc1.weight", "fc1.bias", "head.weight"])
    assert ledger.counts() == {"filled": 3, "kept": 1, "tied": 1}
    assert ledger["head.tied"].outcome == "tied"
    for written in (["fc1.weight"], ["fc1.weight", "fc1.weight", "fc1.bias", "head.weight"], ["x"]):
        with pytest.raises(RuleError, match="ledger: written twice"):
            settle(plan, written)


def test_recipes_are_versioned() -> None:
    assert recipe_of("classic") is recipe_of("classic@1")
    assert isinstance(make_plan(model(), recipe="classic@1", seed=0), Plan)
