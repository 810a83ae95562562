"""Signal and gradient by depth, after and before; what attention and the residual stream do."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from wellbegun.health import Health, OperationStats, hidden_operations
from wellbegun.health.catalogue import GRADIENT_RANGE, SIGNAL_RANGE
from wellbegun.health.depth import points_of
from wellbegun.reports.html.operations import SHARES, attention_columns, operation_columns, parameter_columns
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Figure, Section, choices, lines, shown
from wellbegun.reports.html.tables import table_block, table_data

CROWDED = 12  # operations from which on roles can be looked at alone
NOTHING = 0.01  # shares below it need no chart
AXIS = "from input to output"
Sides = dict[str, Health]  # "before" and "now"


def depth_section(now: Health, before: Health | None = None) -> Section | None:
    """Charts of signal and gradient, and what the batch showed of each operation; None for a model without any."""
    statistics = now.statistics
    if not statistics.operations:
        return None
    sides = {"now": now} if before is None else {"before": before, "now": now}
    figures = [_signal(sides), _gradient(sides), *_shares(sides)]
    tables = {
        "operations": table_data("Weighted operations", "operation", operation_columns(now, before)),
        "parameters": table_data("Parameters as measured", "parameter", parameter_columns(statistics.parameters)),
    }
    if statistics.attentions:
        tables["attentions"] = table_data("Attention", "attention", attention_columns(statistics.attentions))
    titles = {"operations": "Every weighted operation", "parameters": "Every parameter", "attentions": "Attention"}
    body = template(
        "depth.html",
        facts=[fact for fact in _facts(now) if fact[1]],
        figures=figures,
        notes=_notes(now),
        tables={titles[name]: table_block(name) for name in tables},
    )
    data = {figure.id: figure.data for figure in figures}
    return Section("depth", "Signal and gradient by depth", body, {**data, **tables}, charts=True)


def _notes(health: Health) -> list[str]:
    injected = (
        "The readout is zero, so the gradients are those of a random signal sent back from the last hidden layer."
    )
    return [*([injected] if health.statistics.injected else []), *health.notes]


def _facts(health: Health) -> list[tuple[str, str]]:
    """Of the model as a whole."""
    found, loss = health.statistics, health.statistics.loss
    chance = "" if loss is None or loss.chance is None else f", by chance {shown(loss.chance)}"
    return [
        ("first loss", "" if loss is None else f"{shown(loss.value)}{chance} ({loss.description})"),
        ("RMS of the output", shown(found.output_rms)),
        ("gain, first to last layer", "" if found.jacobian is None else f"{shown(found.jacobian)} (root mean square)"),
        ("sensitivity", "" if found.sensitivity is None else f"{shown(found.sensitivity)} (change of the output for a "
         "change of the first layer, both relative)"),
        *((title.lower(), _none(health, field)) for field, (title, _) in SHARES.items()),
        ("correlation of inputs", "" if found.input_correlation is None else shown(found.input_correlation)),
    ]  # fmt: skip


def _none(health: Health, field: str) -> str:
    """Said where there is nothing to draw."""
    values = [value for o in health.statistics.operations if (value := getattr(o, field)) is not None]
    if not values or max(map(abs, values)) >= NOTHING:
        return ""
    return "below 1 %" if any(values) else "none"


# ---------------------------------------------------------------------- what stands at each place
@dataclass(frozen=True)
class Spot:
    """One place on the axis."""

    label: str
    signal: float | None
    gradient: float | None


def _spots(health: Health, keep: Callable[[OperationStats], bool]) -> dict[int, Spot]:
    """Weighted operations, by their number."""
    hidden = hidden_operations(health.statistics)
    start = next((o.input_rms for o in hidden), 0.0)
    last = next((o.gradient for o in reversed(hidden) if o.gradient and math.isfinite(o.gradient)), 1.0)
    found = {}
    for number, o in enumerate(health.statistics.operations, 1):
        unit = o.start_rms or start or 1.0
        if keep(o):
            label = f"{number}. {o.parameter or o.place}, {o.role}"
            found[number] = Spot(label, _kept(o, o.rms / unit), _kept(o, o.gradient and o.gradient / last))
    return found


def _kept(o: OperationStats, value: float | None) -> float | None:
    return value if o.finite else math.nan


def _has_role(role: str, operation: OperationStats) -> bool:
    return operation.role == role


def _judged(health: Health) -> dict[int, Spot]:
    """What findings are about: hidden layers outside branches, and the sums of residual streams."""
    statistics = health.statistics
    points = points_of(statistics)
    sums = {stream.index: stream for stream in statistics.streams}
    last = next((p.gradient for p in reversed(points) if p.gradient and math.isfinite(p.gradient)), 1.0)
    found = {}
    for point in points:
        stream = sums.get(point.index)
        label = (
            f"{point.parameter or point.place}" if stream is None else f"sum behind {stream.parameter or stream.place}"
        )
        ratio = stream.rms / (stream.start_rms or 1.0) if point.ratio is None and stream is not None else point.ratio
        found[point.index] = Spot(label, ratio, point.gradient and point.gradient / last)
    return found


def _views(sides: Sides) -> dict[str, dict[str, dict[int, Spot]]]:
    """Ways to look at the same model -> for each side its places; the first is shown."""
    roles = Counter(o.role for o in sides["now"].statistics.operations)
    views: dict[str, Callable[[Health], dict[int, Spot]]] = {}
    if sides["now"].statistics.streams:
        views["layers and residual sums"] = _judged
    views["all weighted operations"] = lambda health: _spots(health, lambda _: True)
    kinds = [role for role, count in roles.items() if count > 2]
    if sum(roles.values()) > CROWDED and len(kinds) > 1:
        views |= {role: partial(_spots, keep=partial(_has_role, role)) for role in kinds}
    return {name: {side: view(health) for side, health in sides.items()} for name, view in views.items()}


# ---------------------------------------------------------------------- charts
def _signal(sides: Sides) -> Figure:
    text = (
        "RMS of each output, in units of what comes in (behind a normalization: of what it gives). A level line is a "
    )
    text += "signal that is kept."
    bounds = {1 / SIGNAL_RANGE: "vanishing below", SIGNAL_RANGE: "exploding above"}
    return _figure("signal", "Forward: the signal", text, "RMS ÷ input", sides, lambda spot: spot.signal, bounds)


def _gradient(sides: Sides) -> Figure:
    text = (
        "Norm of the loss gradient at each output, in units of that at the last hidden layer. Read from right to left."
    )
    bounds = {1 / GRADIENT_RANGE: "vanishing below", GRADIENT_RANGE: "exploding above"}
    value = "gradient ÷ last layer's"
    return _figure("gradient", "Backward: the gradient", text, value, sides, lambda spot: spot.gradient, bounds)


def _figure(
    id: str,
    title: str,
    text: str,
    value: str,
    sides: Sides,
    of: Callable[[Spot], float | None],
    bounds: dict[float, str],
) -> Figure:
    figures = {}
    for name, view in _views(sides).items():
        series, xs, labels = _aligned(view, of)
        zero = any(v == 0 for values in series.values() for v in values)
        note = " Crosses at the bottom edge are exactly 0." if zero else ""
        figures[name] = lines(
            id, title, text + note, axis=AXIS, value=value, series=series, xs=xs, labels=labels, bounds=bounds
        )
    return choices(figures, "Show")


def _aligned(
    view: dict[str, dict[int, Spot]], of: Callable[[Spot], float | None]
) -> tuple[dict[str, list[Any]], list[float], list[str]]:
    """Both sides over the same places."""
    keys = sorted({key for spots in view.values() for key in spots})
    series = {side: [of(spots[key]) if key in spots else None for key in keys] for side, spots in view.items()}
    labels = [next(spots[key].label for spots in reversed(view.values()) if key in spots) for key in keys]
    return series, [float(number) for number in range(1, len(keys) + 1)], labels


def _shares(sides: Sides) -> Iterable[Figure]:
    """Charts of what was measured of units and samples, at the places where it was; nothing is a fact, not a chart."""
    spots = list(_spots(sides["now"], lambda _: True).values())
    for field, (title, text) in SHARES.items():
        found = {name: [getattr(o, field) for o in side.statistics.operations] for name, side in sides.items()}
        places = [
            at for at in range(len(spots)) if any(values[at : at + 1] not in ([], [None]) for values in found.values())
        ]
        series = {name: [(values[at : at + 1] or [None])[0] for at in places] for name, values in found.items()}
        seen = [value for values in series.values() for value in values if value is not None]
        if not seen or max(map(abs, seen)) < NOTHING:
            continue
        given: dict[str, Any] = {
            "series": series,
            "xs": [float(at + 1) for at in places],
            "labels": [spots[at].label for at in places],
            "domain": (-1.0 if min(seen) < -0.05 else 0.0, 1.0),
        }
        yield lines(field, title, text, axis=AXIS, value=title.lower(), log=False, **given)
