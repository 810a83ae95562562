"""Names for types that many modules use: arrays of any dtype, and what is told while something long runs."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Progress = Callable[[int, int, str], None]  # (done, all, what): steps of one phase; what starts with its name


def phase(progress: Progress | None, name: str) -> Progress | None:
    """The same progress, whose texts start with the name of a phase."""
    if progress is None:
        return None
    return lambda done, total, what: progress(done, total, f"{name} {what}".rstrip())
