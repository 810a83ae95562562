"""Pausing Python's search for garbage, and keeping nothing from it."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

_T = TypeVar("_T")


class _Inside:
    """How many are in there, and whether garbage was collected before."""

    def __init__(self) -> None:
        self.lock, self.count, self.before = threading.Lock(), 0, False

    def enter(self) -> None:
        with self.lock:
            if not self.count:
                self.before = gc.isenabled()
                gc.disable()
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count and self.before:
                gc.enable()


_inside = _Inside()


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: all that is recorded of a model would set off a search of every object of the
    process, which takes 0.2 s where a large library is loaded. Nothing here leaves garbage that needs it.

    Python has only one switch for it: the first of several threads that are in here turns it, and the last one back."""
    _inside.enter()
    try:
        yield
    finally:
        _inside.leave()


def by_class(find: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """As `functools.cache`, of what is asked of classes: those that nobody else holds go."""
    known = WeakKeyDictionary[type, Any]()

    @wraps(find)
    def found(kind: type) -> _T:
        if kind not in known:
            known[kind] = find(kind)
        answer: _T = known[kind]
        return answer

    return found
