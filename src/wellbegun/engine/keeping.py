"""Matrices that take long to compute and may be asked for again with another gain: kept while somebody says so."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from wellbegun._typing import Array

MOST = 1 << 28  # bytes that are kept


class _Kept(dict[Hashable, Array]):
    bytes = 0


_open: ContextVar[_Kept | None] = ContextVar("kept", default=None)


@contextmanager
def keeping() -> Iterator[None]:
    """Inside, an orthogonal matrix that was drawn once is not computed again: only its gain may differ."""
    token = _open.set(_Kept())
    try:
        yield
    finally:
        _open.reset(token)


def kept(which: Hashable, make: Callable[[], Array]) -> Array:
    """What `make` gives, or gave before. Not to be written into."""
    store = _open.get()
    if store is None:
        return make()
    if which not in store:
        found = make()
        found.flags.writeable = False
        if store.bytes + found.nbytes > MOST:
            return found
        store[which], store.bytes = found, store.bytes + found.nbytes
    return store[which]
