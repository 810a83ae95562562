"""How the values of one tensor are distributed: the share of entries at or below x, exactly, for most laws."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.laws.base import Law
from wellbegun.laws.composite import Given, Mirrored, Repeat, Sections, Sparse, ZeroRows
from wellbegun.laws.independent import Constant, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.laws.matrices import DeltaOrthogonal, Dirac, Eye, Orthogonal

Shares = Callable[[Array], Array]


def distribution(law: Law, shape: tuple[int, ...]) -> Shares | None:
    """The distribution function of one entry of a tensor, picked at random: P(entry <= x).

    Args:
        law: Any law.
        shape: Of the tensor, axes in canonical order.
    Returns:
        A function of a float64 array; None for structured orthogonal matrices and `RowSums`, which have no closed form.
    Source: an entry of a Haar orthogonal matrix is a coordinate of a uniform unit vector, whose square is Beta(1/2,
        (n - 1)/2), n the longer side (Muirhead 1982, theorem 1.5.7). Cost: a few operations for each x.

    >>> shares = distribution(Uniform(-1, 1), (3, 4))
    >>> shares(np.array([-2.0, 0.0, 0.5, 2.0])).tolist()
    [0.0, 0.5, 0.75, 1.0]
    """
    found = _SIMPLE.get(type(law))
    if found is not None:
        return lambda x: found(law, np.asarray(x, dtype=np.float64))
    parts = _parts(law, shape)
    known = [(weight, sign, distribution(part, size)) for weight, sign, part, size in parts if weight > 0]
    if not known or any(part is None for _, _, part in known):
        return None
    return lambda x: sum((w * _signed(part, sign, x) for w, sign, part in known if part), start=np.zeros(np.shape(x)))


def _signed(shares: Shares, sign: int, x: Array) -> Array:
    """Of the entry, or of its negative: P(-y <= x) = 1 - P(y < -x)."""
    return shares(x) if sign > 0 else 1.0 - shares(np.nextafter(-np.asarray(x, dtype=np.float64), -np.inf))


# ---------------------------------------------------------------------- mixtures
_Part = tuple[float, int, Law, tuple[int, ...]]  # weight, sign, law, shape


def _parts(law: Law, shape: tuple[int, ...]) -> list[_Part]:
    """The laws that an entry is picked from."""
    size = max(math.prod(shape), 1)
    if isinstance(law, Sections):
        return [(rows / max(law.rows, 1), 1, part, (rows, *shape[1:])) for rows, part in law.parts]
    if isinstance(law, ZeroRows):
        return _among_zeros(1 - len(law.rows) / shape[0], law.law, shape)
    if isinstance(law, Sparse):
        return _among_zeros(law.nonzeros / max(law.matrix(shape)[1], 1), law.law, shape)
    if isinstance(law, Repeat):
        return [(1.0, 1, law.law, law.base_shape(shape))]
    if isinstance(law, Mirrored):
        return [(0.5, sign, law.law, law.base_shape(shape)) for sign in (1, -1)]
    if isinstance(law, (Eye, Dirac)):
        square = min(shape) if isinstance(law, Eye) else law.groups * min(shape[0] // law.groups, shape[1])
        return _among_zeros(square / size, Constant(law.gain), shape)
    if isinstance(law, DeltaOrthogonal):
        return _among_zeros(1 / max(math.prod(shape[2:]), 1) if law.gain else 0.0, law.tap, shape[:2])
    if isinstance(law, Orthogonal) and law.method == "haar":
        _, rows, columns = law.matrices(shape)
        return [(1.0, 1, _Coordinate(law.gain, max(rows, columns, 1)), shape)]
    return []


def _among_zeros(share: float, law: Law, shape: tuple[int, ...]) -> list[_Part]:
    return [(1 - share, 1, Constant(0.0), shape), (share, 1, law, shape)]


class _Coordinate(Law):
    """One coordinate of a uniform vector of length `gain` in `size` dimensions."""

    def __init__(self, gain: float, size: int) -> None:
        self.gain, self.size = gain, size


# ---------------------------------------------------------------------- closed forms
def _normal(z: Array) -> Array:
    from scipy.special import ndtr

    found: Array = ndtr(z)
    return found


def _normal_shares(law: Any, x: Array) -> Array:
    if not law.std:
        return np.where(x >= law.mean, 1.0, 0.0)
    found: Array = _normal((x - law.mean) / law.std)
    return found


def _truncated_shares(law: Any, x: Array) -> Array:
    """From the nearer end, so that a far tail keeps its accuracy."""
    low, high = law.standard_bounds()
    z = np.clip((x - law.location) / law.scale, low, high)
    inside = _normal(-low) - _normal(-z) if low > 0 else _normal(z) - _normal(low)
    found: Array = np.where(x >= law.high, 1.0, np.clip(inside / law.mass(), 0.0, 1.0))
    return found


def _two(x: Array, low: float, high: float) -> Array:
    """One of two values, each as often."""
    found: Array = 0.5 * (x >= low) + 0.5 * (x >= high)
    return found


def _coordinate_shares(law: Any, x: Array) -> Array:
    from scipy.special import betainc

    t = np.clip(x / law.gain, -1.0, 1.0)
    if law.size == 1:  # plus or minus the gain
        return _two(x, -law.gain, law.gain)
    found: Array = 0.5 + 0.5 * np.sign(t) * betainc(0.5, (law.size - 1) / 2, t**2)
    return found


_SIMPLE: dict[type[Law], Callable[[Any, Array], Array]] = {
    Constant: lambda law, x: np.where(x >= law.value, 1.0, 0.0),
    Uniform: lambda law, x: np.clip((x - law.low) / (law.high - law.low), 0.0, 1.0),
    Normal: _normal_shares,
    TruncatedNormal: _truncated_shares,
    Rademacher: lambda law, x: _two(x, law.mean - law.scale, law.mean + law.scale),
    LogUniform: lambda law, x: np.log(np.clip(x, law.low, law.high) / law.low) / math.log(law.high / law.low),
    Given: lambda law, x: np.searchsorted(np.sort(law.values), x, side="right") / max(len(law.values), 1),
    _Coordinate: _coordinate_shares,
}
