"""Plans to disk and back."""

from wellbegun.storage.plans import load_plan, plan_from_json, plan_to_json, save_plan

__all__ = ["load_plan", "plan_from_json", "plan_to_json", "save_plan"]
