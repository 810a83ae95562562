"""What a part of a tensor costs next to the whole: a fill's cost should be proportional to the part."""

from typing import Any

import numpy as np

from timing import Progress, Task, repeated, seconds
from wellbegun import fill
from wellbegun.laws import Normal

Region = tuple[slice, slice]


def parts_of(side: int) -> dict[str, Region]:
    """1/64 of a square in three shapes, and a single row and column."""
    whole, strip, eighth = slice(0, side), slice(side // 4, side // 4 + side // 64), slice(side // 4, side * 3 // 8)
    one = slice(side // 3, side // 3 + 1)
    return {
        "whole": (whole, whole),
        "1/64: rows": (strip, whole),
        "1/64: columns": (whole, strip),
        "1/64: block": (eighth, eighth),
        "one row": (one, whole),
        "one column": (whole, one),
    }


def measured(side: int, threads: int, repeats: int, progress: Progress) -> list[dict[str, Any]]:
    """Seconds of each part, into memory of its own and into its place in the whole; memory has been touched."""
    base = np.ones((side, side), np.float32)
    tasks, counts = {}, {}
    parts = parts_of(side)
    for name, region in parts.items():
        own = np.ones_like(base[region], order="C")
        for place, out in (("own", own), ("place", base[region])):
            tasks[f"{name}/{place}"], counts[f"{name}/{place}"] = repeated(_task(side, region, out, threads), 0.01)
    found = seconds(tasks, repeats, lambda text: progress(f"regions: {text}"))
    time = {name: found[name] / counts[name] for name in found}
    rows = []
    for name, region in parts.items():
        share = base[region].size / base.size
        own, place = time[f"{name}/own"], time[f"{name}/place"]
        relative = own / time["whole/own"]
        rows.append({"part": name, "share": share, "seconds": own, "of_whole": relative, "in_place_seconds": place})
        rows[-1]["per_value"] = relative / share
    return rows


def _task(side: int, region: Region, out: np.ndarray, threads: int) -> Task:
    return lambda: fill(Normal(0, 1), (side, side), seed=0, name="w", region=region, out=out, threads=threads)
