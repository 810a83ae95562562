"""A handle for frameworks whose arrays NumPy can look at: numbers are computed by NumPy."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend.values import Handle


class HostedHandle:
    """Whatever array `read` gives when something is asked. `number`: which value of a pass it is, 0 for others.

    >>> HostedHandle(lambda: np.array([3.0, 4.0])).norm()
    5.0
    """

    __slots__ = ("_read", "number")

    def __init__(self, read: Callable[[], Array], number: int = 0) -> None:
        self._read, self.number = read, number

    @property
    def shape(self) -> tuple[int, ...]:
        return self._read().shape

    @property
    def kind(self) -> Literal["real", "complex", "integer"]:
        """What its entries are; NumPy calls narrow floating-point numbers that it does not have void."""
        return {"f": "real", "V": "real", "c": "complex"}.get(self._read().dtype.kind, "integer")  # type: ignore[return-value]

    def norm(self, less: Array | None = None, axis: int = -1) -> float:
        found = self.array() if less is None else self.array() - along(less, len(self.shape), axis)
        wide = found.astype(np.complex128 if found.dtype.kind == "c" else np.float64)
        return float(np.sqrt(np.vdot(wide, wide).real))

    def minus(self, other: Handle) -> Handle:
        return HostedHandle(lambda: self.array() - other.array())

    def largest(self) -> float:
        return float(np.abs(self.array()).max(initial=0))

    def finite(self) -> bool:
        return bool(np.isfinite(self.array()).all())

    def mean(self, axis: int) -> Array:
        found = np.moveaxis(self.array(), axis, -1)
        return np.asarray(found.reshape(-1, found.shape[-1]).mean(axis=0))

    def part(self, *index: slice | Array) -> Handle:
        return HostedHandle(lambda: self._read()[index])

    def transposed(self, axes: Sequence[int]) -> Handle:
        return HostedHandle(lambda: self._read().transpose(tuple(axes)))

    def entries(self, most: int) -> Array:
        flat = self.array().reshape(-1)
        return flat[:: max(1, flat.size // most)]

    def array(self) -> Array:
        """All entries; narrow floating-point numbers as single precision."""
        found = self._read()
        narrow = self.kind == "real" and found.dtype.itemsize < 4
        return found.astype(np.float32) if narrow else found

    def spread(self, keys: Handle, scale: float) -> float:
        """Of products with keys; several heads of queries may share one of keys."""
        query, key = self.array(), keys.array()
        if query.ndim > 3 and query.shape[-3] != key.shape[-3]:
            key = np.repeat(key, query.shape[-3] // key.shape[-3], axis=-3)
        logits = (query @ key.swapaxes(-1, -2)) * scale
        return float(np.sqrt(logits.var(axis=-1).mean()))


def along(numbers: Array, rank: int, axis: int) -> Array:
    """One number for each place along an axis, shaped to be added to an array."""
    return numbers.reshape(tuple(-1 if place == axis % rank else 1 for place in range(rank)))
