"""Laws made of other laws, and laws that hold given numbers."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, integer, message
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws.base import Law, Moments, mixture, set_field
from wellbegun.laws.independent import Constant


@dataclass(frozen=True)
class Sections(Law):
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
    def rows(self) -> int:
        """Length of the first axis."""
        return sum(size for size, _ in self.parts)

    def fits(self, shape: tuple[int, ...]) -> None:
        if not shape or self.rows != shape[0]:
            allowed = f"one whose first axis has {self.rows} rows, as its sections"
            raise ArgumentError(message("Sections", "shape", allowed, shape))
        for size, part in self.parts:
            part.fits((size, *shape[1:]))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        rest = () if shape is None else shape[1:]
        sub = [(size, law.moments(None if shape is None else (size, *rest))) for size, law in self.parts]
        return mixture([(size / max(self.rows, 1), moments) for size, moments in sub])

    def support(self) -> tuple[float, float]:
        bounds = [law.support() for _, law in self.parts]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "Sections", "parts": [[size, law.to_dict()] for size, law in self.parts]}


@dataclass(frozen=True)
class ZeroRows(Law):
    """`law` with some rows of the first axis set to zero: the padding row of a lookup table.

    >>> ZeroRows(Constant(4.0), (0,)).moments((4, 8)).mean
    3.0
    """

    law: Law
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.law, Law):
            raise ArgumentTypeError(message("ZeroRows", "law", "a law", self.law))
        set_field(self, "rows", tuple(sorted({integer("ZeroRows", "rows", row) for row in self.rows})))

    def fits(self, shape: tuple[int, ...]) -> None:
        if not shape or (self.rows and self.rows[-1] >= shape[0]):
            raise ArgumentError(message("ZeroRows", "shape", f"one that has row {self.rows[-1]}", shape))
        self.law.fits(shape)

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        if shape is None:
            raise ArgumentTypeError(message("ZeroRows.moments", "shape", "given", None))
        share = len(self.rows) / shape[0]
        return mixture([(share, Constant(0.0).moments()), (1 - share, self.law.moments(shape))])

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, 0.0), max(high, 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "ZeroRows", "base": self.law.to_dict(), "rows": list(self.rows)}


@dataclass(frozen=True)
class Repeat(Law):
    """Each row of `law` repeated `times` times in a row: the convolution before a pixel shuffle (ICNR).

    Aitken et al. 2017, arXiv:1707.02937: with times = r^2 for an upsampling by r in two dimensions, the shuffled output
    starts as nearest-neighbour upsampling, without checkerboards.

    >>> Repeat(Constant(2.0), 4).moments().mean
    2.0
    """

    law: Law
    times: int

    def __post_init__(self) -> None:
        _check_law("Repeat", self.law)
        set_field(self, "times", integer("Repeat", "times", self.times, minimum=1))

    def base_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the tensor whose rows are repeated."""
        if not shape or shape[0] % self.times:
            raise ArgumentError(
                message("Repeat", "shape", f"one whose first axis is a multiple of {self.times}", shape)
            )
        return shape[0] // self.times, *shape[1:]

    def fits(self, shape: tuple[int, ...]) -> None:
        self.law.fits(self.base_shape(shape))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return self.law.moments(None if shape is None else self.base_shape(shape))

    def support(self) -> tuple[float, float]:
        return self.law.support()

    def to_dict(self) -> dict[str, Any]:
        return {"law": "Repeat", "base": self.law.to_dict(), "times": self.times}


@dataclass(frozen=True)
class Sparse(Law):
    """`law` at exactly `nonzeros` randomly chosen places of every unit, 0 elsewhere.

    `per` "output": a unit is a row, and has that many inputs (Martens 2010 uses 15); "input": a unit is a column of the
    tensor flattened to (out, rest), and feeds that many outputs (as torch's `sparse_`). The pattern comes from the
    sub-stream `name#mask`; the values are those of the dense law at the same places.

    >>> Sparse(Constant(1.0), 2).moments((3, 8)).mean
    0.25
    """

    law: Law
    nonzeros: int
    per: str = "output"

    def __post_init__(self) -> None:
        _check_law("Sparse", self.law)
        set_field(self, "nonzeros", integer("Sparse", "nonzeros", self.nonzeros, minimum=0))
        choice("Sparse", "per", self.per, ("output", "input"))

    def matrix(self, shape: tuple[int, ...]) -> tuple[int, int]:
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
        self.matrix(shape)
        self.law.fits(shape)

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        if shape is None:
            raise ArgumentTypeError(message("Sparse.moments", "shape", "given", None))
        share = self.nonzeros / max(self.matrix(shape)[1], 1)
        return mixture([(1 - share, Constant(0.0).moments()), (share, self.law.moments(shape))])

    def support(self) -> tuple[float, float]:
        low, high = self.law.support()
        return min(low, 0.0), max(high, 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "Sparse", "base": self.law.to_dict(), "nonzeros": self.nonzeros, "per": self.per}


@dataclass(frozen=True)
class Given(Law):
    """Numbers computed elsewhere, kept with the plan: small tables such as state matrices or frequencies.

    >>> Given.of([[1.0, 2.0], [3.0, 4.0]])
    Given(values=(1.0, 2.0, 3.0, 4.0), size=(2, 2))
    """

    values: tuple[float, ...]
    size: tuple[int, ...]

    def __post_init__(self) -> None:
        set_field(self, "values", tuple(float(value) for value in self.values))
        set_field(self, "size", tuple(integer("Given", "size", size) for size in self.size))
        if len(self.values) != math.prod(self.size):
            raise ArgumentError(
                message("Given", "values", f"{math.prod(self.size)} numbers for {self.size}", len(self.values))
            )
        if not all(math.isfinite(value) for value in self.values):
            raise ArgumentError(message("Given", "values", "finite numbers", "nan or inf"))

    @staticmethod
    def of(array: Iterable[Any]) -> "Given":
        """From an array or nested lists of real numbers."""
        found = np.asarray(array, dtype=np.float64)
        return Given(tuple(found.ravel().tolist()), found.shape)

    def fits(self, shape: tuple[int, ...]) -> None:
        if shape != self.size:
            raise ArgumentError(message("Given", "shape", f"{self.size}, that of its values", shape))

    def moments(self, shape: tuple[int, ...] | None = None) -> Moments:
        return mixture([(1 / max(len(self.values), 1), Constant(value).moments()) for value in self.values])

    def support(self) -> tuple[float, float]:
        return min(self.values, default=0.0), max(self.values, default=0.0)

    def to_dict(self) -> dict[str, Any]:
        return {"law": "Given", "values": list(self.values), "size": list(self.size)}


def _check_law(owner: str, law: object) -> None:
    if not isinstance(law, Law):
        raise ArgumentTypeError(message(owner, "law", "a law", law))
