"""Recipes, rules and roles -> a plan; a plan carried out -> a ledger. Framework-free."""

from wellbegun.planning.ledger import Ledger, Record, settle
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.planner import make_plan
from wellbegun.planning.recipes import RECIPES, recipe_of
from wellbegun.planning.rules import Rule

__all__ = ["RECIPES", "Entry", "Ledger", "Plan", "Record", "Rule", "make_plan", "recipe_of", "settle"]
