"""Functions of arrays of any framework as functions of NumPy arrays, and how many arguments they take."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentTypeError

_TRIED = np.array([-1.75, -0.25, 0.5, 1.25])
_OTHER = np.array([0.75, -2.5, -1.0, 0.25])
_OFTEN = np.linspace(-4.03, 4.07, 512)  # a tenth of a percent of what is dropped is seen
_SPACES = ("torch", "jax.numpy")  # where arrays of frameworks are made; asked if they are loaded


def elementwise(function: Callable[..., Any], arguments: int = 2) -> tuple[Callable[..., Array], int]:
    """A function that takes and gives NumPy arrays in double precision where it can, and its number of arguments.

    It is tried on a few numbers: with arrays of NumPy, then of the frameworks that are loaded; with one argument, then
    with two, if so many are allowed. A function that takes none of these comes back as it is.

    Raises:
        ArgumentTypeError: it mixes its inputs, gives complex numbers, or others each time.

    >>> elementwise(np.multiply)[1], elementwise(np.tanh)[0](np.array([0.0])).tolist()
    (2, [0.0])
    """
    for count in (number for number in range(1, arguments + 1) if _may_take(function, number)):
        for wrapped in _ways(function):
            try:
                with np.errstate(all="ignore"):
                    found = wrapped(*[_TRIED] * count)
            except Exception:  # of any kind: another way may do
                continue
            if type(found) is np.ndarray and found.shape == _TRIED.shape and found.dtype.kind in "fiubc":
                check_real(found)
                _check_same(wrapped, count)
                _check(wrapped, count, found)
                return wrapped, count
    return function, 1


def _may_take(function: Callable[..., Any], arguments: int) -> bool:
    """Whether a function may be called with so many; what is built in does not tell."""
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        return not callable(function)
    except ValueError:
        return True
    return True


def check_real(found: Array) -> None:
    """An error for complex numbers: all averages are of real ones."""
    if found.dtype.kind == "c":
        remedy = "Give its real part, its size or its phase."
        raise ArgumentTypeError(
            message("activation", "the function", "one that gives real numbers", "complex ones", remedy)
        )


def _check_same(function: Callable[..., Array], count: int) -> None:
    """An error if a function does not give twice what it gave once, where it was tried: it draws numbers, or remembers
    what it was called with."""
    with np.errstate(all="ignore"):
        try:
            one, other = (function(*[_OFTEN] * count) for _ in range(2))
        except Exception:  # of any kind: it tells where it is used
            return
    if not np.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True):
        allowed = "one that gives the same each time"
        remedy = "Switch off what is random in it: eval() of a module."
        raise ArgumentTypeError(message("activation", "the function", allowed, "one that does not", remedy))


def _check(function: Callable[..., Array], count: int, found: Array) -> None:
    """An error if a function of as many arguments, which gave this where it was tried, is not elementwise: other inputs
    change the output of one that stays."""

    def alike(one: Array, other: Array) -> bool:
        return np.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)

    with np.errstate(all="ignore"):
        try:
            others = [function(*[np.where(np.arange(4) == at, _TRIED, _OTHER)] * count)[at] for at in range(4)]
            depends = not alike(found, np.array(others))
        except Exception:  # of any kind: it tells where it is used
            return
    if depends:
        allowed = "elementwise: each output depends on the input in its place, and on no other"
        remedy = "A softmax, norm or sort has no gain: what it gives has a size of its own."
        raise ArgumentTypeError(message("activation", "the function", allowed, "one that mixes its inputs", remedy))


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
            found = np.asarray(found.detach().cpu() if hasattr(found, "detach") else found)
            return found if found.dtype.kind == "c" else found.astype(np.float64)

    return wrapped
