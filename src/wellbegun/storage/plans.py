"""Plans on disk: JSON, one file, written whole or not at all."""

import json
import os
from pathlib import Path

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError, ModelError
from wellbegun.planning import Plan
from wellbegun.storage.files import write_text


def save_plan(plan: Plan, path: str | os.PathLike[str]) -> Path:
    """Write a plan as JSON. An existing file is replaced only once the new one is complete."""
    return write_text(path, plan_to_json(plan) + "\n")


def plan_to_json(plan: Plan, *, indent: int | None = 1) -> str:
    """A plan as JSON text."""
    return json.dumps(plan.to_dict(), indent=indent, allow_nan=False)


def load_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan.

    Raises:
        ModelError: no such file, or no JSON. ArgumentError: JSON that is no plan of this format.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"plan: cannot read {str(path)!r}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"plan: {str(path)!r} is not JSON (it is no text).") from error
    return plan_from_json(text, str(path))


def plan_from_json(text: str, origin: str = "text") -> Plan:
    """A plan from JSON text."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"plan: {origin!r} is not JSON (line {error.lineno}: {error.msg}).") from error
    if not isinstance(data, dict):
        raise ArgumentError(message("plan", "file", "a JSON object", type(data).__name__))
    return Plan.from_dict(data)
