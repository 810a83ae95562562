"""Theory beside measurement, as a table for the terminal."""

import math
from typing import TYPE_CHECKING, Any

from wellbegun.planning import SignalPropagation
from wellbegun.planning.propagation import OperationSignal, Quantity
from wellbegun.reports.text import FOLD, Column, new_table, safe

if TYPE_CHECKING:
    from rich.console import RenderableType


def propagation_table(found: SignalPropagation) -> list["RenderableType"]:
    """One row for each operation; gradients are RMS in units of the last hidden weight's."""
    right: dict[str, Any] = {"justify": "right"}
    columns: list[Column] = [("operation", FOLD), ("RMS", right), ("measured", right), ("noise", right)]
    columns += [("correlation", right), ("measured", right), ("gradient", right), ("measured", right), ("", FOLD)]
    table = new_table(f"Theory and measurement, {found.recipe}", columns)
    for row in (row for row in found if row.kind != "move" or row.flagged):
        table.add_row(*map(safe, (row.place, *_cells(row), _verdict(row))))
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
