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


class Passed(BaseException):
    """Carries an error of a progress callback through code of a model, which may catch errors of its own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def passing(progress: Progress | None) -> Progress | None:
    """The same progress, whose errors leave as `Passed`."""
    if progress is None:
        return None

    def tell(done: int, total: int, what: str) -> None:
        try:
            progress(done, total, what)
        except Exception as error:  # whatever the user's function raises is theirs, and none of the model's
            raise Passed(error) from error

    return tell
