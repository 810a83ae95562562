"""Recipes, rules and roles -> a plan; a plan carried out -> a ledger. Framework-free."""

from wellbegun.planning.difference import Change, PlanDiff, diff
from wellbegun.planning.explanation import Explanation, explain
from wellbegun.planning.ledger import Ledger, Record, settle
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.planner import make_plan
from wellbegun.planning.propagation import Measured, Measurement, SignalPropagation
from wellbegun.planning.recipes import RECIPES, recipe_of
from wellbegun.planning.rules import Overrides, Rule, overrides_of, rule_from_table

__all__ = [
    "RECIPES",
    "Change",
    "Entry",
    "Explanation",
    "Ledger",
    "Measured",
    "Measurement",
    "Overrides",
    "Plan",
    "PlanDiff",
    "Record",
    "Rule",
    "SignalPropagation",
    "diff",
    "explain",
    "make_plan",
    "overrides_of",
    "recipe_of",
    "rule_from_table",
    "settle",
]
