"""Laws of whole matrices and convolution kernels."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, instance, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.laws.base import Law, Mixture, Moments, Part, Shares, set_field, shape_needed
from wellbegun.laws.independent import Constant

METHODS = ("haar", "structured")


@dataclass(frozen=True)
class Orthogonal(Law):
    """(Semi-)orthogonal matrices: every singular value is `gain`.

    The tensor is read as `blocks` matrices stacked along its leading `row_axes` axes; the other axes are columns.
    With rows >= columns, W^T W = gain^2 I, otherwise W W^T = gain^2 I, in each block (for complex dtypes W^H).

    `method` "haar": exactly uniform over all such matrices; a product of Householder reflections, O(rows columns min);
    any region costs as much as the whole, and results agree between machines to rounding, not bitwise.
    "structured": random signs, permutations and Walsh-Hadamard transforms; every row alone in O(n log n), the same bits
    everywhere; entries close to those of Haar matrices, but not exactly distributed like them.

    >>> Orthogonal(gain=2.0).moments((8, 4)).variance      # gain^2 / max(rows, columns)
    0.5
    """

    gain: float = 1.0
    row_axes: int = 1
    blocks: int = 1
    method: str = "haar"

    def __post_init__(self) -> None:
        set_field(self, "gain", real("Orthogonal", "gain", self.gain, minimum=0, exclusive=True))
        set_field(self, "row_axes", integer("Orthogonal", "row_axes", self.row_axes, minimum=1))
        set_field(self, "blocks", integer("Orthogonal", "blocks", self.blocks, minimum=1))
        choice("Orthogonal", "method", self.method, METHODS)

    @property
    def couples(self) -> bool:
        return self.method == "haar"

    def matrices(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """(blocks, rows, columns) of a tensor of this shape."""
        if len(shape) <= self.row_axes:
            allowed = f"a shape with more than {self.row_axes} axes (rows, then columns)"
            raise ArgumentError(message("Orthogonal", "shape", allowed, shape))
        rows, columns = math.prod(shape[: self.row_axes]), math.prod(shape[self.row_axes :])
        if rows % self.blocks:
            raise ArgumentError(message("Orthogonal", "blocks", f"a divisor of the {rows} rows", self.blocks))
        return self.blocks, rows // self.blocks, columns

    def fits(self, shape: tuple[int, ...]) -> None:
        self.matrices(shape)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        size = max(*self.block(shape_needed(self, shape)), 1)
        return Moments(0.0, self.gain**2 / size, 0.0, 3 * size / (size + 2))

    def describe(self) -> str:
        blocks = f" × {self.blocks}" if self.blocks > 1 else ""
        return f"orthogonal, gain {self.gain:.4g}{blocks}"

    def block(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return self.matrices(shape)[1:]

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        """An entry of a Haar matrix is a coordinate of a uniform unit vector, whose square is Beta(1/2, (n - 1)/2), n
        the longer side (Muirhead 1982, theorem 1.5.7)."""
        gain, size = self.gain, max(*self.block(shape), 1)
        if self.method != "haar":
            return None
        if size == 1:  # plus or minus the gain
            return lambda x: 0.5 * (x >= -gain) + 0.5 * (x >= gain)

        def shares(x: Array) -> Array:
            from scipy.special import betainc

            t = np.clip(x / gain, -1.0, 1.0)
            return 0.5 + 0.5 * np.sign(t) * betainc(0.5, (size - 1) / 2, t**2)

        return shares

    def support(self) -> tuple[float, float]:
        return -self.gain, self.gain


@dataclass(frozen=True)
class Eye(Mixture):
    """`gain` on the diagonal of a matrix, else 0; rectangular matrices have a leading identity.

    >>> Eye().moments((2, 4)).mean
    0.25
    """

    _dense = False
    gain: float = 1.0

    def __post_init__(self) -> None:
        set_field(self, "gain", real("Eye", "gain", self.gain))

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ArgumentError(message("Eye", "shape", "a matrix (for convolutions use Dirac)", shape))

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        return _ones_among_zeros(self, self.gain, shape, min(shape) if shape else 0)

    def support(self) -> tuple[float, float]:
        return min(self.gain, 0.0), max(self.gain, 0.0)


@dataclass(frozen=True)
class _Kernel(Mixture):
    """A convolution kernel (out, in, *window) that is zero except at its centre tap."""

    gain: float = 1.0
    groups: int = 1

    def __post_init__(self) -> None:
        name = type(self).__name__
        set_field(self, "gain", real(name, "gain", self.gain))
        set_field(self, "groups", integer(name, "groups", self.groups, minimum=1))

    def fits(self, shape: tuple[int, ...]) -> None:
        name = type(self).__name__
        if not 3 <= len(shape) <= 5:
            raise ArgumentError(message(name, "shape", "(out, in, *window) with a window of 1 to 3 axes", shape))
        if shape[0] % self.groups:
            raise ArgumentError(message(name, "groups", f"a divisor of the {shape[0]} output channels", self.groups))

    def centre(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Index of the tap that a "same" padding lets pass unchanged: (k - 1) // 2 on each window axis."""
        return tuple((size - 1) // 2 for size in shape[2:])

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)


@dataclass(frozen=True)
class Dirac(_Kernel):
    """A convolution that passes its input on: W[g (out/G) + i, i, centre] = gain for i < min(out/G, in/G), else 0.

    With "same" padding and stride 1 the preserved channels come through exactly, for even windows too. `later` takes
    the tap k // 2, as torch's `dirac_` does, which shifts by one where k is even.

    >>> round(Dirac().moments((4, 4, 3, 3)).mean, 6)      # 4 ones among 144 entries
    0.027778
    """

    _dense = False
    later: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("Dirac", "later", self.later, bool)

    def centre(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple((size - 1 + self.later) // 2 for size in shape[2:])

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        ones = self.groups * min(shape[0] // self.groups, shape[1]) if shape else 0
        return _ones_among_zeros(self, self.gain, shape, ones)

    def support(self) -> tuple[float, float]:
        return min(self.gain, 0.0), max(self.gain, 0.0)


@dataclass(frozen=True)
class DeltaOrthogonal(_Kernel):
    """A convolution that is an isometry: zero except at the centre tap, which is orthogonal (out >= in), per group.

    Xiao et al. 2018, arXiv:1806.05393. With "same" padding and stride 1, |conv(x)| = gain |x| for every x.

    >>> round(DeltaOrthogonal().moments((8, 8, 3, 3)).variance * 8 * 9, 12)
    1.0
    """

    _couples = True

    def fits(self, shape: tuple[int, ...]) -> None:
        super().fits(shape)
        if shape[0] // self.groups < shape[1]:
            allowed = "at least as many output as input channels in each group"
            raise ArgumentError(message("DeltaOrthogonal", "shape", allowed, shape))

    @property
    def tap(self) -> Orthogonal:
        """The law of the centre tap."""
        return Orthogonal(abs(self.gain) or 1.0, 1, self.groups)

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        whole = shape_needed(self, shape)
        share = 1 / max(math.prod(whole[2:]), 1) if self.gain else 0.0
        return [Part(1 - share, Constant(0.0), whole), Part(share, self.tap, whole[:2])]


def _ones_among_zeros(law: Law, gain: float, shape: tuple[int, ...] | None, ones: int) -> list[Part]:
    whole = shape_needed(law, shape)
    law.fits(whole)
    share = ones / max(math.prod(whole), 1)
    return [Part(1 - share, Constant(0.0), whole), Part(share, Constant(gain), whole)]
