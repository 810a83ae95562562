"""What other installed packages add: entry points, looked up when asked for, so that nothing has to be registered."""

import sys
from typing import TYPE_CHECKING, Any

from wellbegun._arguments import typed
from wellbegun.errors import ArgumentError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SCHEMES, RECIPES = "wellbegun.schemes", "wellbegun.recipes"


def installed(group: str) -> dict[str, "EntryPoint"]:
    """The entry points of a group by their names."""
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=group)}


def loaded(entry: "EntryPoint") -> Any:
    """What an entry point names.

    Raises:
        ArgumentError: its package cannot be imported, or does not have it.
    """
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # whatever somebody else's package raises, and if it ends the process
        what = f"{entry.group.partition('.')[2]}: {entry.name!r}, installed as {entry.value!r}"
        raise ArgumentError(f"{what}, cannot be loaded: {typed(error)}") from error


def triton_aborts() -> bool:
    """Whether loading Triton would end the process: TensorFlow came first, and each has an LLVM of its own."""
    return "tensorflow" in sys.modules and "triton" not in sys.modules


def first_line(thing: object) -> str:
    """What the documentation of something begins with."""
    return (getattr(thing, "__doc__", None) or "").strip().partition("\n")[0]
