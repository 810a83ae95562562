"""Numbers of a trained tensor that a scheme is given."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import message, told
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError

_SHOWN = 64  # numbers that a scheme's text repeats


@dataclass(frozen=True)
class Donor:
    """An array as a value that can be compared and hashed. Texts show small ones as lists, others by their shape."""

    shape: tuple[int, ...]
    data: bytes

    @staticmethod
    def of(owner: str, argument: str, given: Any) -> "Donor":
        """From an array or tensor of any framework, or nested lists, of finite real numbers."""
        allowed = "an array of finite real numbers, axes in canonical order (outputs first)"
        try:
            array = _numbers(given.array if isinstance(given, Donor) else given)
        except Exception as error:  # whatever an object's own conversion raises
            raise ArgumentTypeError(message(owner, argument, allowed, type(given).__name__, told(error))) from error
        if not array.ndim or not np.isfinite(array).all():
            raise ArgumentError(message(owner, argument, allowed, given))
        return Donor(array.shape, array.tobytes())

    @property
    def array(self) -> Array:
        """The numbers."""
        return np.frombuffer(self.data).reshape(self.shape)

    def __repr__(self) -> str:
        if len(self.data) <= 8 * _SHOWN:
            return repr(self.array.tolist())
        return f"<{' x '.join(map(str, self.shape))} numbers>"


def _numbers(given: Any) -> Array:
    """In float64. Tensors that NumPy may not look into (bfloat16, other devices) give lists of their numbers."""
    try:
        return np.asarray(given).astype(np.float64, casting="same_kind")  # no texts, no imaginary parts
    except (TypeError, RuntimeError):
        if isinstance(given, (list, tuple)) or not hasattr(given, "tolist"):
            raise
        return np.asarray(given.tolist(), dtype=np.float64)
