"""Methods of somebody else's: choices from the graph, and a refinement against a session."""

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb
from calm_logits import CalmLogits
from wellbegun.backend import Scale
from wellbegun.planning import Choice, Method, Plan, recipe_of

X = torch.randn(64, 24, generator=torch.Generator().manual_seed(0))


def mlp(depth: int = 6) -> nn.Sequential:
    hidden = [layer for _ in range(depth) for layer in (nn.Linear(32, 32), nn.ReLU())]
    return nn.Sequential(nn.Linear(24, 32), nn.ReLU(), *hidden, nn.Linear(32, 5))


def equal(one: nn.Module, two: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


# ---------------------------------------------------------------------- the example
@pytest.mark.parametrize("std", [0.1, 2.0])
def test_a_method_of_somebody_else_measures_and_replays(std: float) -> None:
    method, rules = CalmLogits(std), [("0.weight", "normal(std=0.5)")]
    model, plain = mlp(), mlp()
    result = wb.initialize(model, X, recipe=method, rules=rules, seed=0)
    assert result.plan.recipe == "calm_logits@1"
    assert float(model(X).detach().std(0, correction=0).mean()) == pytest.approx(std, rel=1e-3)
    assert "so that logits are small" in result.plan["14.weight"].reason
    assert (result.plan["0.weight"].factor, result.plan["0.weight"].law) == (1, wb.laws.Normal(0, 0.5))
    assert equal(model, wb.apply(mlp(), result.plan).model)
    wb.initialize(plain, X, recipe=method, rules=rules, seed=0, calibrate=False)  # the control: nothing is measured
    assert float(plain(X).detach().std(0, correction=0).mean()) != pytest.approx(std, rel=0.2)


# ---------------------------------------------------------------------- what a refinement may do
@dataclasses.dataclass(frozen=True)
class Own:
    """The textbook, and a refinement that is given."""

    refine: Any
    full_name: str = "own@3"

    def choose(self, *known: Any) -> Any:
        return dict(recipe_of("classic").choose(*known))

    def notes(self, roles: Any) -> tuple[str, ...]:
        return (f"{len(roles)} parameters",)


def scale_all(session: Any) -> None:
    def observe(operation: Any, inputs: Any, outputs: Any) -> Any:
        names = tuple(use.parameter for use in operation.uses if use.slot == "weight")
        if names:
            yield Scale(7.0, parameters=names, values=(outputs[0],))

    session.forward(observe)


def test_what_is_not_in_the_plan_is_lost() -> None:
    def refine(session: Any, plan: Plan) -> Plan:
        scale_all(session)
        session.write("2.weight", session.read("2.weight") * 0)
        return plan

    expected, model = mlp(), mlp()
    wb.initialize(expected, X, recipe="classic", seed=0)
    result = wb.initialize(model, X, recipe=Own(refine), seed=0)
    assert equal(expected, model)
    assert result.plan.notes == ("16 parameters",)
    assert isinstance(Own(None), Method)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_refinement_that_fails_leaves_the_model_as_it_was(error: type[BaseException]) -> None:
    def refine(session: Any, plan: Plan) -> Plan:
        scale_all(session)
        raise error("no")

    model = mlp()
    expected = copy.deepcopy(model)
    with pytest.raises(error, match="no"):
        wb.initialize(model, X, recipe=Own(refine), seed=0)
    assert equal(expected, model)


def test_a_parameter_that_a_method_leaves_out_is_kept() -> None:
    class Half(Own):
        def choose(self, graph: Any, roles: Any, decided: Any) -> Any:
            chosen = super().choose(graph, roles, decided)
            del chosen["0.bias"]
            return chosen

    with pytest.raises(wb.errors.RuleError, match=r"0.bias: is used in a way own@3 has no rule"):
        wb.plan(mlp(), (2, 24), recipe=Half(None), seed=0, strict=True)
    assert wb.plan(mlp(), (2, 24), recipe=Half(None), seed=0)["0.bias"].action == "keep"
    assert wb.plan(mlp(), (2, 24), recipe=Half(None), rules=[("0.bias", "zeros")], seed=0)["0.bias"].scheme == "zeros()"
    with pytest.raises(wb.errors.ArgumentTypeError, match="plan: recipe must be a name"):
        wb.plan(mlp(), (2, 24), recipe=3, seed=0)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- what choices may say
class Wide(Own):
    """Multipliers, and a layer that starts as the negative of another."""

    def choose(self, graph: Any, roles: Any, decided: Any) -> Any:
        chosen = super().choose(graph, roles, decided)
        law = wb.laws.Normal(0, 0.1)
        chosen["2.weight"] = Choice(wb.normal(std=0.1), "first", learning_rate=0.25, multiplier=4.0)
        copy = wb.laws.Copied(law, "2.weight", (32, 32), -1.0)
        from wellbegun.schemes.dependent import fixed_law

        chosen["4.weight"] = Choice(fixed_law(copy), "the negative of it")
        return chosen


def test_multipliers_and_copies_are_stored_explained_and_compared() -> None:
    model = mlp()
    result = wb.initialize(model, X, recipe=Wide(None), seed=0)
    assert torch.equal(model[4].weight, -model[2].weight)
    plan = result.plan
    assert (plan["2.weight"].learning_rate, plan["2.weight"].multiplier) == (0.25, 4.0)
    assert (plan["0.weight"].learning_rate, plan["0.weight"].multiplier) == (1.0, 1.0)
    assert plan["4.weight"].scheme == "-1 × the values of 2.weight"
    assert wb.storage.plan_from_json(wb.storage.plan_to_json(plan)) == plan
    other = dataclasses.replace(
        plan,
        entries=tuple(dataclasses.replace(e, multiplier=1.0) if e.name == "2.weight" else e for e in plan.entries),
    )
    assert wb.diff(plan, other)["2.weight"].fields == ("multiplier",)
    said = dict(wb.reports.plans.explained(wb.explain(plan, "2.weight")))
    assert (said["learning rate"], said["forward pass"]) == ("× 0.25", "× 4")
    assert dict(wb.reports.plans.explained(wb.explain(plan, "0.weight")))["learning rate"] == ""


def test_a_copy_follows_what_it_is_a_copy_of() -> None:
    plan = wb.plan(mlp(), (2, 24), recipe=Wide(None), seed=0)
    scaled = plan.scaled({"2.weight": 3.0})
    assert scaled["4.weight"].law.law.std == pytest.approx(0.3)
    with pytest.raises(wb.errors.RuleError, match=r"4.weight holds -1 × the values of 2.weight, which is not filled"):
        wb.plan(mlp(), (2, 24), recipe=Wide(None), exclude=["2.weight"], seed=0)


def test_old_plans_have_no_multipliers() -> None:
    plan = wb.plan(mlp(), (2, 24), recipe="classic", seed=0)
    data = plan.to_dict()
    for entry in data["entries"]:
        del entry["learning_rate"], entry["multiplier"]
    assert Plan.from_dict(data) == plan
