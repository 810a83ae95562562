"""Theory beside measurement, as a table for the terminal."""

import math
from typing import TYPE_CHECKING

from wellbegun.planning import SignalPropagation
from wellbegun.planning.propagation import OperationSignal, Quantity
from wellbegun.reports.fitted import Column, Fitted
from wellbegun.reports.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType


def propagation_table(found: SignalPropagation) -> list["RenderableType"]:
    """One row for each operation; gradients are RMS in units of the last hidden weight's."""
    ranks = {"RMS": 0, "seen": 0, "noise": 3, "alike": 2, "seen ": 2, "gradient": 0, "seen  ": 0}
    columns = [Column("operation", "name"), *(Column(name, "number", rank) for name, rank in ranks.items())]
    rows = [row for row in found if row.kind != "move" or row.flagged]
    cells = [(row.place, *_cells(row), _verdict(row)) for row in rows]
    marked = frozenset(i for i, row in enumerate(rows) if row.flagged)
    table = Fitted(f"Theory and measurement, {found.recipe}", [*columns, Column("", "why")], cells, marked)
    known = sum(row.second.theory is not None for row in found)
    off = len(found.flagged)
    text = f"Theory reaches {known} of {len(found)} operations; {off} off by more than 5 standard errors of the noise."
    return [table, safe(text)]


def _cells(row: OperationSignal) -> tuple[str, ...]:
    noise = "" if row.second.noise is None else f"{row.second.noise / 2:.1%}"
    gradient = row.gradient or Quantity()
    return (
        *(_rms(value) for value in (row.second.theory, row.second.measured)),
        noise,
        *("" if v is None else f"{v:.3f}" for v in (row.correlation.theory, row.correlation.measured)),
        *(_rms(value) for value in (gradient.theory, gradient.measured)),
    )


def _rms(value: float | None) -> str:
    return "" if value is None else f"{math.sqrt(max(value, 0.0)):.3g}"


def _verdict(row: OperationSignal) -> str:
    parts = ("signal", row.second), ("correlation", row.correlation), ("gradient", row.gradient)
    off = [name for name, quantity in parts if quantity is not None and quantity.flagged]
    return f"off: {', '.join(off)}" if off else row.reason
