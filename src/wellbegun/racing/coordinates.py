"""Whether activations, and what training changes of them, keep their size with the width or the depth of a model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from wellbegun._display import Displayed
from wellbegun.racing.statistics import interval

FLAT = 1.2  # what a size may change by from one end of the sizes to the other
CONFIDENCE = 0.95
What = Literal["start", "change"]
WHAT: tuple[What, ...] = ("start", "change")
Says = Literal["flat", "grows", "shrinks", "not certain", "zero"]


@dataclass(frozen=True)
class Coordinate:
    """One activation over the sizes of a model: root mean squares, geometric means over the seeds.

    `slope` is that of its logarithm over the logarithm of the size, with a 95 % interval (Student's t) over the seeds.
    """

    name: str
    what: What  # before training; of the difference after the steps
    values: tuple[float, ...]  # one for each size
    slope: float
    low: float
    high: float
    says: Says
    fades: bool = False  # may shrink: readouts at the start; over depths all at the start, and ends of branches

    @property
    def fault(self) -> bool:
        """Whether it surely changes with the size where it should not."""
        return self.says == "grows" or (self.says == "shrinks" and not self.fades)


@dataclass(frozen=True, repr=False)
class CoordinateCheck(Displayed):
    """What a coordinate check found. `wellbegun.show` prints it; notebooks draw it, and so does
    `wellbegun.reports.html.coordinates.svg`."""

    coordinates: tuple[Coordinate, ...]
    axis: str  # width or depth
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    steps: int
    parametrization: str
    optimizer: str
    rate: float

    @property
    def faults(self) -> tuple[Coordinate, ...]:
        """What surely changes with the size, the steepest first."""
        return tuple(sorted((c for c in self.coordinates if c.fault), key=lambda c: -abs(c.slope)))

    @property
    def flat(self) -> bool:
        """Whether nothing surely changes, and what training changes of the output is known to keep its size."""
        output = [c for c in self.coordinates if c.name == "output" and c.what == "change"]
        return not self.faults and all(c.says == "flat" for c in output)

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.flat:
            return f"flat in {self.axis}"
        if not self.faults:
            return f"not certain to be flat in {self.axis}"
        first = self.faults[0]
        what = "at the start" if first.what == "start" else f"by {self.steps} steps"
        return f"not flat: {first.name} {first.says} {what} as {self.axis}^{first.slope:.2f}"

    def __repr__(self) -> str:
        return f"<CoordinateCheck {self.parametrization}, {self.optimizer}: {self.verdict}>"

    def __getitem__(self, name: str) -> tuple[Coordinate, ...]:
        """What is known of one activation: its start and its change."""
        return tuple(c for c in self.coordinates if c.name == name)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {**asdict(self), "flat": self.flat, "verdict": self.verdict}


def coordinate(name: str, what: What, found: Mapping[int, Sequence[float]], *, fades: bool = False) -> Coordinate:
    """From the sizes of the model, each with one value for each seed.

    >>> coordinate("a", "change", {64: (1.0, 1.1), 256: (2.0, 2.2), 1024: (4.0, 4.4)}).says
    'grows'
    """
    table = np.array([found[size] for size in found], np.float64)  # sizes, seeds
    values = [float(np.exp(np.log(row[row > 0]).mean())) if (row > 0).any() else 0.0 for row in table]
    if not (np.isfinite(table).all() and (table > 0).all()):
        says: Says = "zero" if not table.any() else "not certain"
        return Coordinate(name, what, tuple(values), math.nan, -math.inf, math.inf, says, fades)
    at = np.log(np.array(list(found), np.float64))
    slopes = (at - at.mean()) @ (np.log(table) - np.log(table).mean(axis=0)) / np.square(at - at.mean()).sum()
    slope, low, high = interval([float(s) for s in slopes], CONFIDENCE)
    bound = math.log(FLAT) / (at.max() - at.min())
    says = "grows" if low > bound else "shrinks" if high < -bound else "flat" if abs(slope) <= bound else "not certain"
    return Coordinate(name, what, tuple(values), slope, low, high, says, fades)
