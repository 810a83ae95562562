"""What theory says of every operation, beside what was measured."""

import math
from typing import Any

from wellbegun.planning import SignalPropagation
from wellbegun.planning.propagation import OperationSignal, Quantity
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Figure, Section, choices, lines, plural
from wellbegun.reports.html.tables import Column, table_block, table_data

CROWDED = 60


def theory_section(found: SignalPropagation) -> Section | None:
    """Charts of both, and a table that says where they part; None for a model without operations."""
    rows = [row for row in found if row.kind != "move" or row.flagged]
    if not rows:
        return None
    weighted = [row for row in rows if row.parameter]
    figures = _figures(rows)
    if len(rows) > CROWDED and weighted:  # a line through hundreds of unlike operations is no line
        fewer = {figure.id: figure for figure in _figures(weighted)}
        figures = [
            choices({"weighted ones": fewer[f.id], "all": f}, "Operations")
            if f.id in fewer and f.id != "theory-gradient" else f
            for f in figures
        ]  # fmt: skip
    table = table_data("Theory and measurement", "operation", _columns(rows))
    known = sum(row.second.theory is not None for row in found)
    intro = (
        f"{known} of {plural(len(found), 'operation')} within reach of theory, from the laws of {found.recipe}; "
        f"{len(found.flagged)} measured more than 5 standard errors away."
    )
    body = template(
        "sections.html", intro=intro, figures=figures, notes=(), table=table_block("propagation"),
        folded="All numbers, operation by operation",
    )  # fmt: skip
    data = {figure.id: figure.data for figure in figures}
    return Section("theory", "Theory beside measurement", body, {**data, "propagation": table}, charts=True)


def _figures(rows: list[OperationSignal]) -> list[Figure]:
    weights = [row for row in rows if row.gradient is not None]
    second = [row.second for row in rows]
    correlation = [row.correlation for row in rows]
    gradient = [row.gradient or Quantity() for row in weights]
    return [
        figure
        for figure in (
            _figure("theory-signal", "Signal", "RMS of each output.", "RMS", rows, second, root=True),
            _figure("theory-correlation", "Correlation of two samples", "How alike two inputs have become.",
                    "correlation", rows, correlation, log=False),
            _figure("theory-gradient", "Gradient", "RMS at each weight, in units of the last hidden one's.",
                    "gradient RMS", weights, gradient, root=True),
        )
        if figure is not None
    ]  # fmt: skip


def _figure(
    id: str, title: str, text: str, value: str, rows: list[OperationSignal], quantities: list[Quantity], *,
    root: bool = False, log: bool = True,
) -> Figure | None:  # fmt: skip
    series: dict[str, list[Any]] = {
        "measured": [_plain(quantity.measured, root) for quantity in quantities],
        "theory": [_plain(quantity.theory, root) for quantity in quantities],
    }
    if all(value is None for value in series["theory"]):
        return None
    labels = [f"{row.index}. {row.place}" + (" (off)" if row.flagged else "") for row in rows]
    low = min((v for values in series.values() for v in values if v is not None), default=0.0)
    domain = None if log else (-1.0 if low < -0.05 else 0.0, 1.0)
    xs = [float(number) for number in range(1, len(rows) + 1)]
    axis = "operation, from input to output"
    return lines(id, title, text, axis=axis, value=value, series=series, xs=xs, labels=labels, log=log, domain=domain)


def _plain(value: float | None, root: bool) -> float | None:
    return math.sqrt(max(value, 0.0)) if root and value is not None else value


def _columns(rows: list[OperationSignal]) -> list[Column]:
    gradients = [row.gradient or Quantity() for row in rows]
    pairs = (
        ("RMS", [row.second for row in rows], True),
        ("correlation", [row.correlation for row in rows], False),
        ("gradient", gradients, True),
    )
    columns = [Column("operation", [row.place for row in rows], "code")]
    columns.append(Column("#", [row.index for row in rows], "number", "order of execution"))
    for title, quantities, root in pairs:
        columns.append(Column(f"{title}, theory", [_plain(q.theory, root) for q in quantities], "number"))
        columns.append(Column(f"{title}, measured", [_plain(q.measured, root) for q in quantities], "number"))
    noise = [None if row.second.noise is None else 50 * row.second.noise for row in rows]
    columns.append(Column("noise, %", noise, "number", "standard error of the RMS, from how much units differ"))
    columns.append(Column("verdict", [("off" if row.flagged else row.reason or "as theory says") for row in rows]))
    return columns
