"""Plans and rules on disk."""

from wellbegun.storage.plans import load_plan, plan_from_json, plan_to_json, save_plan, write_text
from wellbegun.storage.rules import load_rules

__all__ = ["load_plan", "load_rules", "plan_from_json", "plan_to_json", "save_plan", "write_text"]
