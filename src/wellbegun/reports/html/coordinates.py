"""A coordinate check as a picture: lines over sizes, both logarithmic, before training and of what training changes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wellbegun.racing.coordinates import WHAT, Coordinate, CoordinateCheck
from wellbegun.reports.html.page import template

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT, LEFT, ROOM = 330, 240, 46, 150  # of a panel, what its axis takes, and the names beside both
DASHES = ("", "6 3", "2 3", "8 3 2 3")


def svg(found: CoordinateCheck) -> "Markup":
    """A drawing in the colour of the text around it; series differ in dashes, and those at fault are thick.

    >>> from wellbegun.racing.coordinates import coordinate
    >>> lines = tuple(coordinate("a", what, {64: (1.0, 1.1), 256: (1.0, 1.2)}) for what in WHAT)
    >>> drawn = svg(CoordinateCheck(lines, "width", (64, 256), (0, 1), 4, "mup", "adamw", 0.01))
    >>> drawn.count("<polyline"), drawn.startswith("<svg")
    (2, True)
    """
    names = list(dict.fromkeys(c.name for c in found.coordinates))
    panels = [_panel(found, what, names) for what in WHAT]
    keys = [(14 * at + 24, name, DASHES[at % len(DASHES)]) for at, name in enumerate(names)]
    size = (2 * WIDTH + ROOM, max(HEIGHT, 14 * len(names) + 34))
    return template("coordinates.svg", size=size, panels=panels, keys=keys, found=found, edge=2 * WIDTH + 8)


def _panel(found: CoordinateCheck, what: str, names: Sequence[str]) -> dict[str, object]:
    """Lines and ticks of one side, in pixels; both sides have the same powers of ten."""
    every = [value for c in found.coordinates for value in c.values if 0 < value < math.inf] or [1.0]
    low, high = math.floor(math.log10(min(every))), math.floor(math.log10(max(every))) + 1
    at = _scale(found.sizes, LEFT, WIDTH - 12)
    up = _scale((10.0**low, 10.0**high), HEIGHT - 40, 26)
    dashes = {name: DASHES[place % len(DASHES)] for place, name in enumerate(names)}
    drawn = [c for c in found.coordinates if c.what == what]
    step = max((high - low) // 6, 1)
    return {
        "left": WIDTH * (what != "start"),
        "title": "before training" if what == "start" else f"changed by {found.steps} steps",
        "lines": [(_points(c, found.sizes, at, up), dashes[c.name], c.fault, c.name) for c in drawn],
        "across": [(_place(size, at), str(size)) for size in found.sizes],
        "up": [(_place(10.0**power, up), f"{10.0**power:g}") for power in range(low, high + 1, step)],
    }


Scale = tuple[float, float, float, float]


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    low, high = math.log(min(values)), math.log(max(values))
    return low, max(high - low, 1e-9), start, end


def _place(value: float, scale: Scale) -> float:
    low, reach, start, end = scale
    return round(start + (end - start) * (math.log(value) - low) / reach, 1)


def _points(c: Coordinate, sizes: Sequence[int], at: Scale, up: Scale) -> str:
    pairs = ((size, value) for size, value in zip(sizes, c.values, strict=True) if 0 < value < math.inf)
    return " ".join(f"{_place(size, at)},{_place(value, up)}" for size, value in pairs)
