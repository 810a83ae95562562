"""A coordinate check as a table for the terminal."""

import math
from typing import TYPE_CHECKING

from wellbegun.racing.coordinates import CONFIDENCE, FLAT, Coordinate, CoordinateCheck
from wellbegun.reports.fitted import Column, Fitted
from wellbegun.reports.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType


def coordinate_table(found: CoordinateCheck) -> list["RenderableType"]:
    """The verdict; root mean squares at every size, with the slope of their logarithms."""
    from rich.text import Text

    verdict = Text(found.verdict, "bold green" if found.flat else "bold yellow")
    ends = (0, len(found.sizes) - 1)
    sizes = [Column(str(size), "number", 0 if at in ends else 2) for at, size in enumerate(found.sizes)]
    numbers = [*sizes, Column("slope", "number"), Column("95 %", "number", 1)]
    columns = [Column("activation", "name"), Column("what"), *numbers]
    rows = coordinate_rows(found)
    marked = frozenset(at for at, coordinate in enumerate(found.coordinates) if coordinate.fault)
    table = Fitted(f"Root mean squares over {found.axis}", [*columns, Column("")], rows, marked)
    return [Text.assemble("Coordinate check: ", verdict, "."), safe(told(found)), table, safe(_LEGEND)]


_LEGEND = (
    "start: before training; change: of the difference that the steps make. slope: of logarithms over logarithms of "
    f"the size, with an interval over the seeds ({CONFIDENCE:.0%}). flat: the line changes by less than x {FLAT:g} "
    "from end to end. Readouts may shrink at the start; over depths everything may then, and what ends a branch."
)


def told(found: CoordinateCheck) -> str:
    """What was trained."""
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) != 1)}"
    return f"{found.parametrization}, {found.optimizer} at {found.rate:g}, {found.steps} steps, {seeds}."


def coordinate_rows(found: CoordinateCheck) -> list[tuple[str, ...]]:
    """A row for each coordinate: name, what, sizes, slope, interval, what they say."""
    return [(c.name, c.what, *(f"{value:.3g}" for value in c.values), *_slope(c), c.says) for c in found.coordinates]


def _slope(c: Coordinate) -> tuple[str, str]:
    known = math.isfinite(c.low)
    slope = "" if math.isnan(c.slope) else f"{c.slope:+.2f}"
    return slope, f"{c.low:+.2f} to {c.high:+.2f}" if known else ""
