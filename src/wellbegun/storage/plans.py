"""Plans on disk: JSON, one file, written whole or not at all."""

import json
import os
from pathlib import Path

from wellbegun._arguments import cut, instance, message
from wellbegun.errors import ArgumentError, ArgumentTypeError, WellbegunError
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
        ArgumentTypeError: no path. ModelError: no such file, or no JSON. ArgumentError: JSON that is no plan of this
        format.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(message("load_plan", "path", "the path of a file", path))
    return plan_from_json(read_text("plan", path), str(path))


def plan_from_json(text: str, origin: str = "text") -> Plan:
    """A plan from JSON text."""
    data = json_object("plan", text, origin)
    try:
        return Plan.from_dict(data)
    except WellbegunError as error:
        raise ArgumentError(f"{cut(origin)} is no plan that can be read here: {error}") from error
