"""Health as tables for the terminal: the verdict first, then what was found, then what was measured."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wellbegun.health import Finding, Health, OperationStats
from wellbegun.reports.fitted import Column, Facts, Fitted, Row
from wellbegun.reports.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType

_MOST = 24  # rows of a table; the middle of deep models is left out and said so


def health_table(health: Health) -> list["RenderableType"]:
    """The verdict, signal and gradient by depth, attention, the findings with their remedies."""
    from rich.text import Text

    verdict = Text("healthy", "bold green") if health.healthy else Text("unhealthy", "bold red")
    parts: list[RenderableType] = [Text.assemble("Health: ", verdict, f". {_loss(health)}"), _depth_table(health)]
    if health.statistics.attentions:
        parts.append(_attention_table(health))
    parts += [part for finding in health.findings for part in _finding(finding)]
    if health.statistics.injected:
        note = "the readout is zero, so gradients are those of a random signal sent back from the last hidden layer."
        parts.append(safe(f"Note: {note}"))
    return [*parts, *(safe(f"Note: {note}") for note in health.notes)]


def _finding(found: Finding) -> list["RenderableType"]:
    from rich.text import Text

    style = "bold red" if found.severity == "unhealthy" else "bold yellow"
    value = f": {_number(found.value)}, bound {_number(found.bound)}" if math.isfinite(found.value) else ""
    if found.bound == 0:
        value = ""  # nothing to compare with
    kind = " (a remark)" if found.severity == "remark" else ""
    head = Text.assemble((f"{found.code} {found.title}", style), f" at {found.place}{value}{kind}")
    detail = [("What:", f"{found.detail}.")] if found.detail else []
    return [head, Facts([*detail, ("Why:", f"{found.why}."), ("Remedy:", found.remedy)], indent=2)]


def _loss(health: Health) -> str:
    loss = health.statistics.loss
    if loss is None:
        return ""
    chance = f", chance {loss.chance:.4g}" if loss.chance is not None else ""
    return f"First loss {loss.value:.4g}{chance} ({loss.description})."


def _depth_table(health: Health) -> Fitted:
    """Signal and gradient at weighted operations; the ones at fault are marked."""
    numbers = "signal", "× start", "alike", "dead", "flat", "gradient"
    columns = [Column("#", "number"), Column("place", "name"), Column("weight", "name", 3), Column("role", rank=2)]
    columns += [Column(name, "number", int(name not in ("signal", "gradient"))) for name in numbers]
    operations = health.statistics.operations
    named = _at_fault(health)
    marked = [bool({operation.place, operation.parameter} & named) for operation in operations]
    rows = [_depth_row(number, operation) for number, operation in enumerate(operations, 1)]
    return _table("Signal (RMS) and gradient (norm) by depth", columns, rows, marked)


def _depth_row(number: int, o: OperationStats) -> Row:
    ratio = f"{o.rms / o.start_rms:.3g}" if o.start_rms and o.finite else ""
    shares = _number(o.correlation), _number(o.dead), _number(o.saturated)
    return str(number), o.place, o.parameter, o.role, _number(o.rms), ratio, *shares, _gradient(o.gradient)


def _at_fault(health: Health) -> set[str]:
    """Places and parameters of what makes it unhealthy."""
    bad = [finding for finding in health.findings if finding.severity == "unhealthy"]
    return {finding.place for finding in bad} | {finding.parameter for finding in bad if finding.parameter}


def _attention_table(health: Health) -> Fitted:
    columns = [Column("#", "number"), Column("place", "name")]
    columns += [Column(name, "number") for name in ("logit std", "entropy / log keys", "keys")]
    found = enumerate(health.statistics.attentions, 1)
    rows = [(str(i), a.place, _number(a.logit_std), _number(a.entropy), str(a.keys)) for i, a in found]
    named = _at_fault(health)
    return _table("Attention", columns, rows, [a.place in named for a in health.statistics.attentions])


def _table(title: str, columns: list[Column], rows: Sequence[Row], marked: list[bool]) -> Fitted:
    """Of long tables the start, the end and what is at fault."""
    half, few = _MOST // 2, sum(marked) <= _MOST
    kept = [
        i for i in range(len(rows)) if len(rows) <= _MOST or not half <= i < len(rows) - half or (marked[i] and few)
    ]
    found, places = list[Row](), set[int]()
    for last, i in zip([-1, *kept], kept, strict=False):
        if i > last + 1:
            found.append(("…", f"{i - last - 1} more", *[""] * (len(columns) - 2)))
        if marked[i]:
            places.add(len(found))
        found.append(rows[i])
    return Fitted(title, columns, found, frozenset(places))


def _gradient(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
