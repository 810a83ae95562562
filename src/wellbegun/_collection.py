"""Pausing Python's search for garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage is collected meanwhile: all that is recorded of a model would set off a search of every object of the
    process, which takes 0.2 s where a large library is loaded. Nothing here leaves garbage that needs it."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
