"""Recipes, rules and roles -> a plan; Framework-free."""

from wellbegun.planning.difference import Change, PlanDiff, diff
from wellbegun.planning.explanation import Explanation, explain
from wellbegun.planning.intent import SAMPLE
from wellbegun.planning.method import KEEP, Choice, Method, Refine
from wellbegun.planning.multipliers import Multipliers, Rates, Training
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.planner import make_plan
from wellbegun.planning.propagation import Measured, Measurement, SignalPropagation
from wellbegun.planning.recipes import RECIPES, recipe_facts, recipe_names, recipe_of
from wellbegun.planning.recipes.measured import gradinit, krahenbuhl, lsuv, metainit, weight_norm
from wellbegun.planning.rules import Overrides, Rule, overrides_of, rule_from_table
from wellbegun.planning.scaling.factories import completep, mup, spectral, standard, umup
from wellbegun.planning.scaling.parametrization import Parametrization

__all__ = [
    "KEEP",
    "RECIPES",
    "SAMPLE",
    "Change",
    "Choice",
    "Entry",
    "Explanation",
    "Measured",
    "Measurement",
    "Method",
    "Multipliers",
    "Overrides",
    "Parametrization",
    "Plan",
    "PlanDiff",
    "Rates",
    "Refine",
    "Rule",
    "SignalPropagation",
    "Training",
    "completep",
    "diff",
    "explain",
    "gradinit",
    "krahenbuhl",
    "lsuv",
    "make_plan",
    "metainit",
    "mup",
    "overrides_of",
    "recipe_facts",
    "recipe_names",
    "recipe_of",
    "rule_from_table",
    "spectral",
    "standard",
    "umup",
    "weight_norm",
]
