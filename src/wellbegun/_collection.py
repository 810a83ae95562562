"""Pausing Python's search for garbage."""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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
