"""The values of some parameters, counted, beside the law each was drawn from. Plain data."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.laws import Law
from wellbegun.planning import Entry, Plan

BINS = 8, 48  # fewest and most; in between twice the cube root of the number of values (Rice's rule)


@dataclass(frozen=True)
class Histogram:
    """Values of one parameter: how many fell between each two edges, and what share its law expects there."""

    name: str
    role: str
    law: Law | None  # None for what the plan does not fill
    size: int  # values of the parameter
    counted: int  # values looked at: evenly spaced ones of very large parameters
    finite: int  # of those
    mean: float  # of the finite ones, as the others
    std: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    law_mean: float | None = None  # exact moments
    law_std: float | None = None
    expected: tuple[float, ...] | None = None  # share of values between each two edges; None where no formula tells

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        law = None if self.law is None else self.law.to_dict()
        return {**{field.name: getattr(self, field.name) for field in fields(self)}, "law": law}


def choose(entries: Iterable[Entry], most: int = 24) -> tuple[Entry, ...]:
    """The first, middle and last parameter of every role, filled ones before kept ones, in the plan's order.

    >>> from wellbegun.planning import Entry
    >>> listed = [Entry(f"{i}.w", (2, 2), "float32", "keep", "hidden", None, "keep", None, "", "") for i in range(9)]
    >>> [entry.name for entry in choose(listed)]
    ['0.w', '4.w', '8.w']
    """
    listed = [entry for entry in entries if entry.action != "tie" and 0 not in entry.shape]
    by_role: dict[tuple[bool, str], list[int]] = {}
    for index, entry in enumerate(listed):
        by_role.setdefault((entry.action != "fill", entry.role), []).append(index)
    ranked = []  # the first of every role, then the last, then the middle; weights before vectors
    for (kept, _), same in by_role.items():
        for rank, index in enumerate(dict.fromkeys((same[0], same[-1], same[len(same) // 2]))):
            ranked.append((rank, kept, len(listed[index].shape) < 2, index))
    return tuple(listed[index] for index in sorted(index for *_, index in sorted(ranked)[:most]))


def histograms(plan: Plan, samples: Callable[[Iterable[str]], Mapping[str, tuple[Array, int]]]) -> list[Histogram]:
    """Histograms of a plan's `chosen` parameters; `samples` gives values, and how many there are, of those it can."""
    entries = choose(plan.entries)
    values = samples([entry.name for entry in entries])
    return [histogram(entry, *values[entry.name]) for entry in entries if entry.name in values]


def histogram(entry: Entry, values: Array, size: int) -> Histogram:
    """Count these values of a parameter, all of them or evenly spaced ones."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    mean, std = (float(finite.mean()), float(finite.std())) if finite.size else (0.0, 0.0)
    edges = _edges(finite)
    counts, _ = np.histogram(finite, edges)
    moments = entry.moments()
    return Histogram(
        name=entry.name,
        role=entry.role,
        law=entry.law,
        size=size,
        counted=int(np.size(values)),
        finite=int(finite.size),
        mean=mean,
        std=std,
        edges=tuple(edges.tolist()),
        counts=tuple(int(count) for count in counts),
        law_mean=None if moments is None else float(moments.mean),
        law_std=None if moments is None else float(moments.variance) ** 0.5,
        expected=_expected(entry, edges),
    )


def _edges(finite: Array) -> Array:
    """Equal bins over all values; few different values stand in the middle of a bin of their own."""
    different = np.unique(finite)
    low, high = (different[0], different[-1]) if different.size else (0.0, 0.0)
    if different.size <= 2:
        reach = (high - low) / 2 or abs(low) / 2 or 0.5
        bins = 9 if high > low else 5
        return np.linspace(low - reach, high + reach, bins + 1)
    bins = int(np.clip(2 * np.cbrt(finite.size), *BINS))
    return np.linspace(low, high, bins + 1)


def _expected(entry: Entry, edges: Array) -> tuple[float, ...] | None:
    """What the law puts between the edges: [edge, next), the last one with its end, as NumPy counts."""
    if entry.law is None or entry.layout is None:
        return None
    shares = entry.law.distribution(entry.layout.canonical_shape(entry.shape))
    if shares is None:
        return None
    at = shares(np.append(np.nextafter(edges[:-1], -np.inf), edges[-1]))
    return tuple(float(share) for share in np.diff(at))
