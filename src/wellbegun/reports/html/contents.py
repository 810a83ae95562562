"""What a report is about, checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.health import Health
from wellbegun.materialize import Ledger
from wellbegun.planning import Plan, SignalPropagation
from wellbegun.racing.results import Race
from wellbegun.reports.histogram import Histogram

KINDS: dict[type, str] = {
    Plan: "plan",
    Ledger: "ledger",
    Health: "health",
    SignalPropagation: "propagation",
    Race: "race",
}


@dataclass(frozen=True)
class Contents:
    """At least one of these; `before` only with `health`, histograms only with `plan`."""

    plan: Plan | None = None
    ledger: Ledger | None = None
    health: Health | None = None
    before: Health | None = None
    propagation: SignalPropagation | None = None
    race: Race | None = None
    histograms: Sequence[Histogram] = ()


def contents_of(items: Iterable[Any], before: Any = None, *, with_model: bool = False) -> Contents:
    """The contents of a report of these things; see `wellbegun.report`."""
    allowed = "a Result, Plan, Ledger, Health, SignalPropagation or Race"
    parts: dict[str, Any] = {}
    for item in items:
        kind = KINDS.get(type(item))
        if kind is None:
            raise ArgumentTypeError(message("report", "found", allowed, type(item).__name__))
        if kind in parts:
            raise ArgumentError(message("report", "found", "at most one of each", f"two of {type(item).__name__}"))
        parts[kind] = item
    if not parts:
        raise ArgumentError(message("report", "found", allowed, "nothing"))
    if before is not None:
        if not isinstance(before, Health):
            raise ArgumentTypeError(message("report", "before", "a Health or a Result", type(before).__name__))
        if "health" not in parts:
            raise ArgumentError(message("report", "before", "given with the Health of now", "no Health"))
        parts["before"] = before
    if with_model and not {"plan", "health"} & parts.keys():
        raise ArgumentError(message("report", "model", "given with its Plan or Health", "neither"))
    return Contents(**parts)
