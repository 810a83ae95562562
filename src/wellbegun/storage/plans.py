"""Plans on disk: JSON, one file, written whole or not at all."""

import json
import os
from pathlib import Path

from wellbegun._arguments import instance
from wellbegun.planning import Plan
from wellbegun.storage.files import json_object, read_text, write_text


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> Path:
    """Write a plan as JSON. An existing file is replaced only once the new one is complete."""
    return write_text(path, plan_to_json(plan) + "\n")


def plan_to_json(plan: Plan, *, indent: int | None = 1) -> str:
    """A plan as JSON text."""
    return json.dumps(instance("save_plan", "plan", plan, Plan).to_dict(), indent=indent, allow_nan=False)


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan.

    Raises:
        ModelError: no such file, or no JSON. ArgumentError: JSON that is no plan of this format.
    """
    return plan_from_json(read_text("plan", path), str(path))


def plan_from_json(text: str, origin: str = "text") -> Plan:
    """A plan from JSON text."""
    return Plan.from_dict(json_object("plan", text, origin))
