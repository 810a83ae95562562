"""Health as tables for the terminal: the verdict first, then what was found, then what was measured."""

import math
from typing import TYPE_CHECKING, Any

from wellbegun.health import Finding, Health, OperationStats
from wellbegun.reports.text import FOLD, Column, new_table, safe

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_RIGHT: dict[str, Any] = {"justify": "right"}
_MOST = 24  # rows of a table; the middle of deep models is left out and said so


def health_table(health: Health) -> list["RenderableType"]:
    """The verdict, signal and gradient by depth, attention, the findings with their remedies."""
    from rich.text import Text

    verdict = Text("healthy", "bold green") if health.healthy else Text("unhealthy", "bold red")
    parts: list[RenderableType] = [Text.assemble("Health: ", verdict, f". {_loss(health)}"), _depth_table(health)]
    if health.statistics.attentions:
        parts.append(_attention_table(health))
    parts += [_finding(finding) for finding in health.findings]
    if health.statistics.injected:
        note = "the readout is zero, so gradients are those of a random signal sent back from the last hidden layer."
        parts.append(safe(f"Note: {note}"))
    return [*parts, *(safe(f"Note: {note}") for note in health.notes)]


def _finding(found: Finding) -> "RenderableType":
    from rich.text import Text

    style = "bold red" if found.severity == "unhealthy" else "bold yellow"
    head = Text(f"{found.code} {found.title}", style)
    value = f": {_number(found.value)}, bound {_number(found.bound)}" if math.isfinite(found.value) else ""
    if found.bound == 0:
        value = ""  # nothing to compare with
    detail = f"\n  What: {found.detail}." if found.detail else ""
    kind = " (a remark)" if found.severity == "remark" else ""
    why = f"\n  Why: {found.why}.\n  Remedy: {found.remedy}"
    return Text.assemble(head, f" at {found.place}{value}{kind}{detail}{why}")


def _loss(health: Health) -> str:
    loss = health.statistics.loss
    if loss is None:
        return ""
    chance = f", chance {loss.chance:.4g}" if loss.chance is not None else ""
    return f"First loss {loss.value:.4g}{chance} ({loss.description})."


def _depth_table(health: Health) -> "Table":
    """Signal and gradient at weighted operations."""
    columns: list[Column] = [("#", _RIGHT), ("place", FOLD), ("weight", FOLD), ("role", {})]
    numbers = "signal RMS", "× start", "alike", "dead", "flat", "gradient norm"
    table = new_table("Signal and gradient by depth", [*columns, *((name, _RIGHT) for name in numbers)])
    operations = health.statistics.operations
    _fill(table, [_depth_row(number, operation) for number, operation in enumerate(operations, 1)])
    return table


def _depth_row(number: int, o: OperationStats) -> tuple[str, ...]:
    ratio = f"{o.rms / o.start_rms:.3g}" if o.start_rms and o.finite else ""
    shares = _number(o.correlation), _number(o.dead), _number(o.saturated)
    return str(number), o.place, o.parameter, o.role, _number(o.rms), ratio, *shares, _gradient(o.gradient)


def _attention_table(health: Health) -> "Table":
    columns: list[Column] = [("place", FOLD), ("logit std", _RIGHT), ("entropy / log keys", _RIGHT), ("keys", _RIGHT)]
    table = new_table("Attention", columns)
    attentions = health.statistics.attentions
    _fill(table, [(a.place, _number(a.logit_std), _number(a.entropy), str(a.keys)) for a in attentions])
    return table


def _fill(table: "Table", rows: list[tuple[str, ...]]) -> None:
    half = _MOST // 2
    for number, row in enumerate(rows):
        if len(rows) > _MOST and half <= number < len(rows) - half:
            if number == half:
                table.add_row("…", safe(f"{len(rows) - _MOST} more"))
            continue
        table.add_row(*map(safe, row))


def _gradient(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
