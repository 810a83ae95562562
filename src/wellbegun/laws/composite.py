"""Laws made of other laws."""

import itertools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from wellbegun._arguments import choice, instance, integer, message
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Mixture, Moments, Part, Piece, Shares, set_field, shape_needed
from wellbegun.laws.independent import Constant


@dataclass(frozen=True)
class Sections(Mixture):
    """Blocks along the first axis, each with its own law and its own sub-stream `name#index`.

    >>> Sections(((2, Constant(0)), (2, Constant(1)))).moments().mean
    0.5
    """

    parts: tuple[tuple[int, Law], ...]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ArgumentError(message("Sections", "parts", "at least one (size, law)", self.parts))
        for size, law in self.parts:
            integer("Sections", "size", size, minimum=0)
            if not isinstance(law, Law):
                raise ArgumentTypeError(message("Sections", "parts", "pairs (size, law)", law))

    @property
    def couples(self) -> bool:
        return any(law.couples for _, law in self.parts)

    @property
    def rows(self) -> int:
        """Length of the first axis."""
        return sum(size for size, _ in self.parts)

    def fits(self, shape: tuple[int, ...]) -> None:
        if not shape or self.rows != shape[0]:
            allowed = f"one whose first axis has {self.rows} rows, as its sections"
            raise ArgumentError(message("Sections", "shape", allowed, shape))
        for size, part in self.parts:
            part.fits((size, *shape[1:]))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        ends = [0, *itertools.accumulate(size for size, _ in self.parts)]
        bounds = zip(self.parts, itertools.pairwise(ends), strict=True)
        return tuple(Piece(law, *bound, stream=index) for index, ((_, law), bound) in enumerate(bounds))

    def describe(self) -> str:
        return ", ".join(f"{size}: {law.describe()}" for size, law in self.parts)

    def check(self, dtype: str) -> None:
        for _, law in self.parts:
            law.check(dtype)

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        total = max(self.rows, 1)
        shapes = [None if shape is None else (size, *shape[1:]) for size, _ in self.parts]
        return [Part(size / total, law, own) for (size, law), own in zip(self.parts, shapes, strict=True)]

    def support(self) -> tuple[float, float]:
        bounds = [law.support() for _, law in self.parts]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def _scaled(self, factor: float) -> "Sections":
        return Sections(tuple((size, law._scaled(factor)) for size, law in self.parts))


@dataclass(frozen=True)
class _Wrapper(Mixture):
    """A law made of one other, `law`."""

    law: Law

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message(type(self).__name__, "law", "a law", self.law))

    @property
    def couples(self) -> bool:
        return self.law.couples

    @property
    def dense(self) -> bool:
        return self._dense and self.law.dense

    def check(self, dtype: str) -> None:
        self.law.check(dtype)

    def _scaled(self, factor: float) -> "_Wrapper":
        return replace(self, law=self.law._scaled(factor))


@dataclass(frozen=True)
class ZeroRows(_Wrapper):
    """`law` with some rows of the first axis set to zero: the padding row of a lookup table.

    >>> ZeroRows(Constant(4.0), (0,)).moments((4, 8)).mean
    3.0
    """

    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "rows", tuple(sorted({integer("ZeroRows", "rows", row) for row in self.rows})))

    def fits(self, shape: tuple[int, ...]) -> None:
        last = self.rows[-1] if self.rows else 0
        if not shape or (self.rows and last >= shape[0]):
            raise ArgumentError(message("ZeroRows", "shape", f"one that has row {last}", shape))
        self.law.fits(shape)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        zeros = (Piece(Constant(0.0), row, row + 1, None) for row in self.rows)
        return Piece(self.law, 0, None, None), *zeros

    def describe(self) -> str:
        return f"{self.law.describe()}, row {', '.join(map(str, self.rows))} = 0"

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        whole = shape_needed(self, shape)
        share = len(self.rows) / whole[0]
        return [Part(share, Constant(0.0), whole), Part(1 - share, self.law, whole)]

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, 0.0), max(high, 0.0)


@dataclass(frozen=True)
class Repeat(_Wrapper):
    """Each row of `law` repeated `times` times in a row: the convolution before a pixel shuffle (ICNR).

    Aitken et al. 2017, arXiv:1707.02937: with times = r^2 for an upsampling by r in two dimensions, the shuffled output
    starts as nearest-neighbour upsampling, without checkerboards. `tiled`: all rows again and again, for shuffles that
    take the blocks first (TensorFlow's depth_to_space).

    >>> Repeat(Constant(2.0), 4).moments().mean
    2.0
    """

    times: int
    tiled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "times", integer("Repeat", "times", self.times, minimum=1))
        instance("Repeat", "tiled", self.tiled, bool)

    def base_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the tensor whose rows are repeated."""
        if not shape or shape[0] % self.times:
            raise ArgumentError(
                message("Repeat", "shape", f"one whose first axis is a multiple of {self.times}", shape)
            )
        return shape[0] // self.times, *shape[1:]

    def fits(self, shape: tuple[int, ...]) -> None:
        self.law.fits(self.base_shape(shape))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        return self.law.moments(None if shape is None else self.base_shape(shape))

    def _distribution(self, shape: tuple[int, ...]) -> Shares | None:
        return self.law.distribution(self.base_shape(shape))

    def support(self) -> tuple[float, float]:
        return self.law.support()


@dataclass(frozen=True)
class Sparse(_Wrapper):
    """`law` at exactly `nonzeros` randomly chosen places of every unit, 0 elsewhere.

    `per` "output": a unit is a row, and has that many inputs (Martens 2010 uses 15); "input": a unit is a column of the
    tensor flattened to (out, rest), and feeds that many outputs (as torch's `sparse_`). The pattern comes from the
    sub-stream `name#mask`; the values are those of the dense law at the same places.

    >>> Sparse(Constant(1.0), 2).moments((3, 8)).mean
    0.25
    """

    _dense = False
    nonzeros: int
    per: str = "output"

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "nonzeros", integer("Sparse", "nonzeros", self.nonzeros, minimum=0))
        choice("Sparse", "per", self.per, ("output", "input"))

    def units(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(units, places in each)."""
        if len(shape) < 2:
            raise ArgumentError(message("Sparse", "shape", "one with output and input axes", shape))
        rows, columns = shape[0], math.prod(shape[1:])
        units, places = (rows, columns) if self.per == "output" else (columns, rows)
        if self.nonzeros > places:
            allowed = f"at most the {places} places of a unit"
            raise ArgumentError(message("Sparse", "nonzeros", allowed, self.nonzeros))
        return units, places

    def fits(self, shape: tuple[int, ...]) -> None:
        self.units(shape)
        self.law.fits(shape)

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        whole = shape_needed(self, shape)
        share = self.nonzeros / max(self.units(whole)[1], 1)
        return [Part(1 - share, Constant(0.0), whole), Part(share, self.law, whole)]

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, 0.0), max(high, 0.0)


class Half(NamedTuple):
    """Entries [start, stop) of an axis are `sign` times those of the base from `base` on."""

    start: int
    stop: int
    base: int
    sign: int

    @property
    def base_stop(self) -> int:
        """End of that part of the base."""
        return self.base + self.stop - self.start


@dataclass(frozen=True)
class Mirrored(_Wrapper):
    """Units in pairs of opposite sign, so that a network with ReLUs starts linear ("looks linear" initialization).

    Balduzzi et al. 2017, arXiv:1702.08591: [[A], [-A]] first, [[B, -B], [-B, B]] inside, [C, -C] last. A layer gives
    [a; -a], and as relu(a) - relu(-a) = a, the next one sees a: with orthogonal A, B, C the whole is an isometry.

    A tensor has the axes (..., out, in, *window) with `leading` axes before `out`. `outputs`: its second half is the
    negative of the first. `inputs`: sizes of the blocks that `in` consists of (several after a concatenation), in each
    of which the second half is the negative of the first; () leaves the inputs as they are. The base has the stream of
    the tensor, and `base_shape`: half as long on each mirrored axis.

    >>> Mirrored(Constant(3.0), outputs=True, inputs=(8,)).moments((4, 8))
    Moments(mean=0.0, variance=9.0, skewness=0.0, kurtosis=1.0)
    >>> import numpy as np
    >>> from wellbegun import fill
    >>> from wellbegun.laws import Eye
    >>> a = np.array([0.5, -2.0])
    >>> pairs = np.maximum(fill(Mirrored(Eye(), True, ()), (4, 2), seed=0) @ a, 0)
    >>> (fill(Mirrored(Eye(), False, (4,)), (2, 4), seed=0) @ pairs).tolist()
    [0.5, -2.0]
    """

    outputs: bool
    inputs: tuple[int, ...]
    leading: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.outputs, bool):
            raise ArgumentTypeError(message("Mirrored", "outputs", "True or False", self.outputs))
        if not isinstance(self.inputs, (tuple, list)):
            raise ArgumentTypeError(message("Mirrored", "inputs", "a tuple of block sizes", self.inputs))
        set_field(self, "inputs", tuple(integer("Mirrored", "inputs", size) for size in self.inputs))
        set_field(self, "leading", integer("Mirrored", "leading", self.leading))
        if not (self.outputs or self.inputs):
            allowed = "the sizes of blocks where outputs is False"
            raise ArgumentError(message("Mirrored", "inputs", allowed, self.inputs, "One of both is mirrored."))

    def base_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the tensor that is mirrored."""
        if len(shape) < self.leading + 2:
            allowed = f"one with {self.leading} leading axes, then those of outputs and inputs"
            raise ArgumentError(message("Mirrored", "shape", allowed, shape))
        before, (rows, columns), window = shape[: self.leading], shape[self.leading :][:2], shape[self.leading + 2 :]
        if self.outputs and rows % 2:
            raise ArgumentError(message("Mirrored", "shape", "one with an even number of outputs", shape))
        if any(size % 2 for size in self.inputs):
            raise ArgumentError(message("Mirrored", "inputs", "even sizes", self.inputs))
        if self.inputs and sum(self.inputs) != columns:
            allowed = f"one with {sum(self.inputs)} inputs, as its blocks {self.inputs}"
            raise ArgumentError(message("Mirrored", "shape", allowed, shape))
        return *before, rows // 2 if self.outputs else rows, columns // 2 if self.inputs else columns, *window

    def halves(self, shape: tuple[int, ...]) -> tuple[list[Half], list[Half]]:
        """What the axes of outputs and inputs consist of."""
        rows, columns = shape[self.leading : self.leading + 2]
        return (
            _halves((rows,)) if self.outputs else [Half(0, rows, 0, 1)],
            _halves(self.inputs) if self.inputs else [Half(0, columns, 0, 1)],
        )

    def fits(self, shape: tuple[int, ...]) -> None:
        self.law.fits(self.base_shape(shape))

    @property
    def mirrored(self) -> tuple[bool, bool]:
        return self.outputs, bool(self.inputs)

    def describe(self) -> str:
        sides = " and ".join(["outputs"] * self.outputs + ["inputs"] * bool(self.inputs))
        return f"{self.law.describe()}, {sides} ±"

    def block(self, shape: tuple[int, ...]) -> tuple[int, int]:
        return self.law.block(self.base_shape(shape))

    def mix(self, shape: tuple[int, ...] | None) -> list[Part]:
        base = None if shape is None else self.base_shape(shape)
        return [Part(0.5, self.law, base), Part(0.5, self.law, base, sign=-1)]

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, -high), max(high, -low)


def _halves(blocks: tuple[int, ...]) -> list[Half]:
    halves: list[Half] = []
    start = 0
    for size in blocks:
        middle, stop = start + size // 2, start + size
        halves += [Half(start, middle, start // 2, 1), Half(middle, stop, start // 2, -1)]
        start = stop
    return halves
