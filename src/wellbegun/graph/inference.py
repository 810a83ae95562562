"""What we infer may be unknown: an analysis of ours that fails gives a plain answer and a note, never an exception.

Only a model, a loss or a batch can fail. Everything that is found out about them is marked here, with the answer that
stands for "unknown": no branch, no name, no part of an attention.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

from wellbegun._arguments import typed

F = TypeVar("F", bound=Callable[..., Any])


def inferred(what: str, unknown: Callable[..., Any]) -> Callable[[F], F]:
    """Mark an analysis: `what` it tells, and the answer, of the same arguments, where it fails.

    The first argument takes the doubt, if it has `doubts`. The analysis itself is `__wrapped__`.
    """

    def mark(find: F) -> F:
        @functools.wraps(find)
        def found(*args: Any, **kwargs: Any) -> Any:
            try:
                return vars(found)["__wrapped__"](*args, **kwargs)
            except MemoryError:
                raise
            except Exception as error:  # of any kind: what it would have told is unknown
                doubt(args[0] if args else None, what, error)
                return unknown(*args, **kwargs)

        return cast(F, found)

    return mark


def doubt(keeper: Any, what: str, error: Exception) -> None:
    """Remember that something could not be told."""
    doubts = getattr(keeper, "doubts", None)
    if isinstance(doubts, dict):
        doubts.setdefault(what, f"{typed(error)}")


def doubt_notes(doubts: dict[str, str]) -> tuple[str, ...]:
    """A note for each."""
    return tuple(
        f"It could not be told {what}, which is a fault of wellbegun's ({error}): planned and judged without."
        for what, error in doubts.items()
    )
