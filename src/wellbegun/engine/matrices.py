"""Orthogonal matrices that were drawn already, for whoever draws a model's weights more than once."""

from collections.abc import Callable, Hashable

from wellbegun._typing import Array

LIMIT = 1 << 28  # bytes


class Matrices:
    """Matrices by what they are a function of. Passed with a `Job`, so that a second draw only differs in its gain.

    They are safe to share between threads: at worst a matrix is computed twice.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._arrays: dict[Hashable, Array] = {}
        self._free = limit  # bytes

    def get(self, key: Hashable, compute: Callable[[], Array]) -> Array:
        """What `compute` gives, or gave before; it must not be written into. Computed again where memory is used up."""
        if key not in self._arrays:
            array = compute()
            array.flags.writeable = False
            if array.nbytes > self._free:
                return array
            self._arrays[key] = array
            self._free -= array.nbytes
        return self._arrays[key]
