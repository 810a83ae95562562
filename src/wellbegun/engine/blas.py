"""Matrix products on one thread each, while our own threads share the work.

The threads of OpenBLAS go on spinning for a tenth of a second after a product and slow down whatever runs next, such as
a model's first forward pass; and the number of threads that a caller asks for would mean nothing to them.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_limited = threading.Lock()


@cache
def _libraries() -> Any:
    import scipy.linalg  # noqa: F401 - brings a BLAS of its own, which is found only once it is loaded
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")  # what NumPy and SciPy have loaded, looked for once


@contextmanager
def single_threaded() -> Iterator[None]:
    """One thread for each call of BLAS in this process.

    Whoever comes first sets the limit and lifts it: limits that overlap would restore each other's, and stay.
    """
    if not _limited.acquire(blocking=False):
        yield
        return
    try:
        with _libraries().limit(limits=1):
            yield
    finally:
        _limited.release()
