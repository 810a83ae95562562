"""Functions of arrays of any framework as functions of NumPy arrays, and how many arguments they take."""

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from wellbegun._typing import Array

_TRIED = np.array([-1.75, -0.25, 0.5, 1.25])
_SPACES = ("torch", "jax.numpy")  # where arrays of frameworks are made; asked if they are loaded


def elementwise(function: Callable[..., Any], arguments: int = 2) -> tuple[Callable[..., Array], int]:
    """A function that takes and gives NumPy arrays in double precision where it can, and its number of arguments.

    It is tried on a few numbers: with arrays of NumPy, then of the frameworks that are loaded; with one argument, then
    with two, if so many are allowed. A function that takes none of these comes back as it is.

    >>> elementwise(np.multiply)[1], elementwise(np.tanh)[0](np.array([0.0])).tolist()
    (2, [0.0])
    """
    for count in range(1, arguments + 1):
        for wrapped in _ways(function):
            try:
                with np.errstate(all="ignore"):
                    found = wrapped(*[_TRIED] * count)
            except Exception:  # of any kind: another way may do
                continue
            if type(found) is np.ndarray and found.shape == _TRIED.shape and found.dtype.kind in "fiub":
                return wrapped, count
    return function, 1


def _ways(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The function itself; with arrays of each framework, in double precision and in single, where parameters are. Each
    gets copies: a function may write into its arguments."""
    yield lambda *arrays: function(*(np.array(array) for array in arrays))
    for space in (sys.modules[name] for name in _SPACES if name in sys.modules):
        for dtype in (np.float64, np.float32):
            yield _through(function, space, dtype)


def _through(function: Callable[..., Any], space: Any, dtype: Any) -> Callable[..., Array]:
    package = sys.modules[space.__name__.partition(".")[0]]
    doubled = getattr(package, "enable_x64", nullcontext)  # of those that know double precision on demand only

    def wrapped(*arrays: Array) -> Array:
        with doubled(True):
            found = function(*(space.asarray(np.array(array, dtype, order="C")) for array in arrays))
            return np.asarray(found.detach().cpu() if hasattr(found, "detach") else found, np.float64)

    return wrapped
