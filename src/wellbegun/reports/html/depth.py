"""Signal and gradient by depth, after and before."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from wellbegun.health import Health, OperationStats, hidden_operations
from wellbegun.health.findings import GRADIENT_RANGE, SIGNAL_RANGE
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Figure, Section, choices, lines
from wellbegun.reports.html.tables import Column, table_block, table_data

CROWDED = 12  # operations from which on roles can be looked at alone
AXIS = "weighted operation, from input to output"
# field of OperationStats -> title, what to look for
SHARES = {
    "dead": ("Dead units", "Share of units whose activation is flat on the whole batch: they learn nothing."),
    "saturated": (
        "Saturated entries",
        "Share of entries at which the activation is flat: little gradient passes them.",
    ),
    "correlation": (
        "Correlation of two samples",
        "1 means that the network no longer tells its inputs apart (rank collapse).",
    ),
}


def depth_section(now: Health, before: Health | None = None) -> Section | None:
    """Charts of signal and gradient, and what the batch showed of each operation; None for a model without any."""
    operations = now.statistics.operations
    if not operations:
        return None
    sides = {"now": now} if before is None else {"before": before, "now": now}
    figures = [_signal(sides), _gradient(sides), *_shares(sides)]
    data = {figure.id: figure.data for figure in figures}
    table = table_data("Signal and gradient by depth", "operation", _columns(sides))
    body = template(
        "sections.html",
        intro="",
        figures=figures,
        notes=_notes(now),
        table=table_block("operations"),
        folded="All numbers, operation by operation",
    )
    return Section("depth", "Signal and gradient by depth", body, {**data, "operations": table}, charts=True)


def _notes(health: Health) -> list[str]:
    injected = (
        "The readout is zero, so the gradients are those of a random signal sent back from the last hidden layer."
    )
    return [*([injected] if health.statistics.injected else []), *health.statistics.notes]


def entering(health: Health) -> float:
    """RMS of what comes into the first hidden layer: the unit of signals. 0 if there is none."""
    return next((operation.input_rms for operation in hidden_operations(health.statistics)), 0.0)


def last_gradient(health: Health) -> float:
    """Norm of the gradient at the last hidden layer that one reaches: the unit of gradients. 0 if there is none."""
    found = [o.gradient for o in hidden_operations(health.statistics) if o.gradient and math.isfinite(o.gradient)]
    return found[-1] if found else 0.0


_Sides = dict[str, Health]


def _signal(sides: _Sides) -> Figure:
    units = {name: entering(side) for name, side in sides.items()}
    relative = all(unit and math.isfinite(unit) for unit in units.values())
    series = {
        name: _values(side, lambda o, unit=units[name]: o.rms / unit if relative else o.rms)  # type: ignore[misc]
        for name, side in sides.items()
    }
    text = "RMS of each output, in units of what enters the first layer. A level line is a signal that is kept."
    bounds = {1 / SIGNAL_RANGE: "vanishing below", SIGNAL_RANGE: "exploding above"}
    return _figure("signal", "Forward: the signal", text, "RMS ÷ input" if relative else "RMS", series, sides, bounds)


def _gradient(sides: _Sides) -> Figure:
    units = {name: last_gradient(side) for name, side in sides.items()}
    series = {
        name: _values(side, lambda o, unit=units[name]: None if o.gradient is None else o.gradient / (unit or 1.0))  # type: ignore[misc]
        for name, side in sides.items()
    }
    text = (
        "Norm of the loss gradient at each output, in units of that at the last hidden layer. Read from right to left."
    )
    bounds = {1 / GRADIENT_RANGE: "vanishing below", GRADIENT_RANGE: "exploding above"}
    return _figure("gradient", "Backward: the gradient", text, "gradient ÷ last layer's", series, sides, bounds)


def _figure(
    id: str, title: str, text: str, value: str, series: dict[str, list[Any]], sides: _Sides, bounds: dict[float, str]
) -> Figure:
    """Of all operations; in a deep model of several roles also of each role alone, which repeats less."""
    labels, roles = _labels(sides), _roles(sides)
    if any(0.0 in values for values in series.values()):
        text += " Crosses at the bottom edge are exactly 0."
    kinds = [role for role, count in Counter(roles).items() if count > 2]
    parts = {"all": list(range(len(roles)))}
    if len(roles) > CROWDED and len(kinds) > 1:
        parts |= {role: [i for i, own in enumerate(roles) if own == role] for role in kinds}
    figures = {}
    for name, places in parts.items():
        chosen = {side: [values[i] if i < len(values) else None for i in places] for side, values in series.items()}
        xs = [float(i + 1) for i in places]
        own = [labels[i] for i in places]
        figures[name] = lines(id, title, text, axis=AXIS, value=value, series=chosen, xs=xs, labels=own, bounds=bounds)
    return choices(figures, "Role")


def _shares(sides: _Sides) -> list[Figure]:
    """Charts of what was measured of units and samples, where it was."""
    labels = _labels(sides)
    xs = [float(number) for number in range(1, len(labels) + 1)]
    found = []
    for field, (title, text) in SHARES.items():
        series = {name: _values(side, lambda o, field=field: getattr(o, field)) for name, side in sides.items()}  # type: ignore[misc]
        if all(value is None for values in series.values() for value in values):
            continue
        low = min((v for values in series.values() for v in values if isinstance(v, float)), default=0.0)
        padded = {name: values + [None] * (len(xs) - len(values)) for name, values in series.items()}
        domain = (-1.0 if low < -0.05 else 0.0, 1.0)
        found.append(
            lines(
                field, title, text, axis=AXIS, value="share" if field != "correlation" else "correlation",
                series=padded, xs=xs, labels=labels, log=False, domain=domain,
            )
        )  # fmt: skip
    return found


def _values(health: Health, value: Callable[[OperationStats], float | None]) -> list[Any]:
    return [value(o) if o.finite else math.nan for o in health.statistics.operations]


def _longer(sides: _Sides) -> tuple[OperationStats, ...]:
    """Operations of the deeper model; usually both are one."""
    return max((side.statistics.operations for side in sides.values()), key=len)


def _labels(sides: _Sides) -> list[str]:
    return [f"{number}. {o.parameter or o.place}, {o.role}" for number, o in enumerate(_longer(sides), 1)]


def _roles(sides: _Sides) -> list[str]:
    return [operation.role for operation in _longer(sides)]


def _columns(sides: _Sides) -> list[Column]:
    """The statistics of the model as it is now, and those of before beside them."""
    now, before = sides["now"], sides.get("before")
    operations = now.statistics.operations
    unit = entering(now)
    columns = [
        Column("operation", [o.place for o in operations], "code"),
        Column("#", list(range(1, len(operations) + 1)), "number", "order of execution"),
        Column("weight", [o.parameter for o in operations], "code"),
        Column("role", [o.role for o in operations]),
        Column("signal RMS", [o.rms for o in operations], "number"),
        Column("× input", [o.rms / unit if unit and o.finite else None for o in operations], "number"),
        Column("gradient norm", [o.gradient for o in operations], "number"),
    ]
    for field in ("mean", *SHARES):
        values = [getattr(o, field) for o in operations]
        if any(value is not None for value in values):
            columns.append(Column(field, values, "number", SHARES.get(field, ("", "mean of the output"))[1]))
    if before is not None:
        old = {o.place: o for o in before.statistics.operations}
        columns += [
            Column("RMS before", [old[o.place].rms if o.place in old else None for o in operations], "number"),
            Column(
                "gradient before", [old[o.place].gradient if o.place in old else None for o in operations], "number"
            ),
        ]
    return columns
