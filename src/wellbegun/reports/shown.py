"""Which tables show which object, and the forms that others ask for."""

import importlib
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from wellbegun.health import Health
from wellbegun.materialize import Ledger
from wellbegun.measure.comparison import ModelComparison
from wellbegun.planning import Explanation, Plan, PlanDiff, SignalPropagation
from wellbegun.racing.coordinates import CoordinateCheck
from wellbegun.racing.results import Race
from wellbegun.reports.comparison import comparison_table
from wellbegun.reports.coordinates import coordinate_table
from wellbegun.reports.health import health_table
from wellbegun.reports.plans import diff_table, explanation_table
from wellbegun.reports.propagation import propagation_table
from wellbegun.reports.races import race_table
from wellbegun.reports.text import console, ledger_line, plan_table

if TYPE_CHECKING:
    from rich.console import RenderableType

Shown = Plan | PlanDiff | Explanation | Ledger | Health | SignalPropagation | Race | ModelComparison | CoordinateCheck


def tables(item: Shown) -> list["RenderableType"]:
    """What shows this object on a terminal."""
    if isinstance(item, Plan):
        return plan_table(item)
    if isinstance(item, PlanDiff):
        return diff_table(item)
    if isinstance(item, Explanation):
        return explanation_table(item)
    if isinstance(item, SignalPropagation):
        return propagation_table(item)
    if isinstance(item, ModelComparison):
        return comparison_table(item)
    if isinstance(item, CoordinateCheck):
        return coordinate_table(item)
    if isinstance(item, Race):
        return race_table(item)
    return health_table(item) if isinstance(item, Health) else [ledger_line(item)]


def parts_of(item: Any) -> tuple[Any, ...]:
    """What a result consists of, which a higher row defines; anything else as it is."""
    if isinstance(item, get_args(Shown)):
        return (item,)
    return tuple(part for name in ("plan", "ledger", "health") if (part := getattr(item, name, None)) is not None)


def rendered(form: str, item: Any) -> Any:
    """What is shown as HTML or by Rich, or a function that gives data frames: see `wellbegun._display`."""
    if form == "html":
        return importlib.import_module("wellbegun.reports.html.fragments").fragment(item)
    if form == "frames":
        return partial(importlib.import_module("wellbegun.reports.frames").frame, item)
    from rich.console import Group

    return Group(*(table for part in parts_of(item) for table in tables(part)))


def print_tables(items: Iterable[Shown]) -> None:
    """Print each as its tables, to the standard output."""
    out = console()
    for item in items:
        for part in tables(item):
            out.print(part, crop=False)
