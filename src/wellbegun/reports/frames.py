"""The facts behind every table as data frames. pandas is imported here, when one is asked for, and nowhere else."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from wellbegun._arguments import known
from wellbegun.errors import MissingDependencyError
from wellbegun.health import AttentionStats, Finding, Health, InputStats, OperationStats, ParameterStats, StreamStats
from wellbegun.materialize import Ledger, Record
from wellbegun.measure.comparison import ComparedTensor, ModelComparison
from wellbegun.planning import Entry, Explanation, Plan, PlanDiff, Rates, SignalPropagation
from wellbegun.planning.multipliers import KINDS
from wellbegun.racing.coordinates import Coordinate, CoordinateCheck
from wellbegun.racing.records import Paired, Standing, Trial
from wellbegun.reports.plans import change_rows, explained
from wellbegun.reports.shown import parts_of
from wellbegun.reports.text import PLAN_COLUMNS, plan_row

Records = tuple[Sequence[str], list[Sequence[Any]]]
"""The headings and the rows."""
_STATISTICS = {
    "operations": OperationStats, "parameters": ParameterStats, "attentions": AttentionStats, "streams": StreamStats,
    "inputs": InputStats,
}  # fmt: skip


def frame(item: Any, table: str | None = None) -> Any:
    """A table of an object as a pandas.DataFrame; see `to_pandas` of what is shown."""
    found: dict[str, Records] = {}
    for part in parts_of(item):
        found |= records(part)
    owner = f"{type(item).__name__}.to_pandas"
    columns, rows = found[next(iter(found)) if table is None else known(owner, "table", table, found)]
    try:
        import pandas
    except ImportError as error:
        raise MissingDependencyError(f"{owner} needs pandas: pip install pandas.") from error
    return pandas.DataFrame(rows, columns=list(columns))


def records(item: Any) -> dict[str, Records]:
    """The tables of one object by their names, the most telling first."""
    if isinstance(item, Plan):
        return {"plan": (PLAN_COLUMNS, [*map(_entry, item.entries)]), "multipliers": _multipliers(item)}
    if isinstance(item, CoordinateCheck):
        return {"coordinates": _plain(Coordinate, item.coordinates)}
    if isinstance(item, Ledger):
        return {"ledger": _plain(Record, item.records)}
    if isinstance(item, Health):
        found = {name: _plain(kind, getattr(item.statistics, name)) for name, kind in _STATISTICS.items()}
        return {**found, "findings": _plain(Finding, item.findings, left_out="candidates")}
    if isinstance(item, SignalPropagation):
        return {"operations": _signals(item)}
    if isinstance(item, Explanation):
        return {"facts": (("what", "value"), [pair for pair in explained(item) if pair[1]])}
    if isinstance(item, ModelComparison):
        return {"tensors": _plain(ComparedTensor, item.tensors)}
    if isinstance(item, PlanDiff):
        rows: list[Sequence[Any]] = [(change.name, *row) for change in item.changes for row in change_rows(change)]
        return {"changes": (("parameter", "what", "before", "after"), rows)}
    found = {"standings": _plain(Standing, item.standings), "pairs": _plain(Paired, item.pairs)}
    return {**found, "trials": _plain(Trial, item.trials)}


def _entry(entry: Entry) -> Sequence[Any]:
    """What the plan's table tells of a parameter, with its numbers as numbers."""
    moments = entry.moments()
    numbers = (None, None) if moments is None else (moments.mean, math.sqrt(moments.variance))
    told = dict(zip(PLAN_COLUMNS, plan_row(entry), strict=True))
    return [*(told | {"shape": entry.shape} | dict(zip(("mean", "std"), numbers, strict=True))).values()]


def _multipliers(plan: Plan) -> Records:
    """What a parametrization multiplies, for every kind of optimizer."""
    rates = [field.name for field in fields(Rates)]
    columns = ["parameter", "role", "forward", *(f"{kind}_{rate}" for kind in KINDS for rate in rates)]
    own = [entry for entry in plan.entries if entry.tied_to is None]
    rows: list[Sequence[Any]] = [
        [e.name, e.role, e.multiplier, *(getattr(e.rates(kind), rate) for kind in KINDS for rate in rates)] for e in own
    ]
    return columns, rows


def _plain(kind: Any, items: Iterable[Any], left_out: str = "") -> Records:
    """Every field of plain data."""
    names = [field.name for field in fields(kind) if field.name != left_out]
    return names, [[getattr(item, name) for name in names] for item in items]


def _signals(found: SignalPropagation) -> Records:
    """Theory beside measurement, in columns of their own."""
    names, sides = ("second", "correlation", "gradient"), ("theory", "measured", "noise", "error")
    columns = ["index", "place", "kind", "parameter", "mean", "flagged", "reason"]
    rows: list[Sequence[Any]] = [
        [*(getattr(row, name) for name in columns)]
        + [getattr(getattr(row, name), side, None) for name in names for side in sides]
        for row in found
    ]
    return [*columns, *(f"{name}_{side}" for name in names for side in sides)], rows
