"""Why one parameter gets what it gets, and where two plans differ, as tables for the terminal."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wellbegun.planning import Change, Entry, Explanation, PlanDiff, Rates
from wellbegun.planning.multipliers import KINDS
from wellbegun.reports.fitted import Column, Fitted, Row
from wellbegun.reports.text import facts, label, law_text, masked, safe, shape_text

if TYPE_CHECKING:
    from rich.console import RenderableType


_HEADING = 24  # characters of a heading of which two fit beside names in 80 columns


# ---------------------------------------------------------------------- one parameter
def explanation_table(found: Explanation) -> list["RenderableType"]:
    """One line for each fact."""
    return facts(found.entry.name, explained(found))


def explained(found: Explanation) -> Iterator[tuple[str, str]]:
    """What there is to say, each with a name; some of it is empty."""
    entry = found.entry
    yield "what", _what(entry)
    yield "shape", f"{_shape(entry)}, {entry.dtype}, {math.prod(entry.shape):,} values"
    yield "also called", ", ".join(found.tied)
    yield "module", entry.owner
    yield "role", entry.role + (f", used at {entry.place}" if entry.place else "")
    yield "its output", _met(entry)
    yield "layout", _layout(found)
    yield "decided by", entry.decided_by
    yield "why", entry.reason
    yield "overruled", "; ".join(entry.overruled)
    if entry.action == "fill":
        yield "scheme", entry.scheme
        yield "formula", found.formula
        yield "law", law_text(entry.law)
        yield "one value", _moments(found)
        yield "source", entry.source
    yield "learning rate", _times(entry.learning_rate)
    rates = [f"{kind}: {_rates(entry.rates(kind))}" for kind in KINDS if entry.training is not None]
    yield "rates", "; ".join(rates)
    yield "forward pass", _times(entry.multiplier)
    if found.key is not None:
        words = " ".join(f"{word:08x}" for word in found.key)
        yield "stream", f"{entry.stream!r} of seed {found.seed}, key {words}"


def _rates(rates: Rates) -> str:
    """What one kind of optimizer multiplies."""
    named = {"learning rate": rates.learning_rate, "weight decay": rates.weight_decay, "ε": rates.epsilon}
    told = [f"{name} {_times(value)}" for name, value in named.items() if value != 1]
    return ", ".join(told) or "nothing is multiplied"


def _times(multiplier: float) -> str:
    return "" if multiplier == 1 else f"× {multiplier:.6g}"


def _what(entry: Entry) -> str:
    kept = "kept: its values stay as they are"
    return {"fill": "filled", "keep": kept, "tie": f"tied to {entry.tied_to}"}[entry.action]


def _shape(entry: Entry) -> str:
    return shape_text(entry.shape)


def _met(entry: Entry) -> str:
    if not entry.meets:
        return ""
    first, *also = entry.meets
    return f"meets {first} first" + (f", and also {', '.join(also)}" if also else "")


def _layout(found: Explanation) -> str:
    layout = found.entry.layout
    if layout is None or not layout.axes:
        return ""
    options = {"groups": layout.groups, "stride": layout.stride, "sections": layout.sections}
    given = [f"{name} {value}" for name, value in options.items() if value is not None and set(_many(value)) != {1}]
    fans = " or ".join(f"fan_in {_count(fans.fan_in)}, fan_out {_count(fans.fan_out)}" for fans in found.fans)
    return ", ".join([layout.axes, *given]) + (f": {fans}" if fans else "")


def _many(value: int | tuple[int, ...]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value


def _count(value: float) -> str:
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}"


def _moments(found: Explanation) -> str:
    if found.moments is None or found.support is None:
        return ""
    low, high = found.support
    spread = f"std {math.sqrt(found.moments.variance):.10g}"
    within = f", within [{low:.10g}, {high:.10g}]" if math.isfinite(low) and math.isfinite(high) and low < high else ""
    return f"mean {found.moments.mean:.10g}, {spread}{within}"


# ---------------------------------------------------------------------- two plans
def diff_table(found: PlanDiff, sides: tuple[str, str] | None = None) -> list["RenderableType"]:
    """One row for each field that differs; parameters that differ only in the numbers of their names share them."""
    headings = [f"{side}: {name}" for side, name in zip("AB", sides or found.recipes, strict=True)]
    long = any(len(heading) > _HEADING for heading in headings)
    narrow = ["A", "B"] if long else headings
    columns = [Column("parameter", "name"), Column("what"), *(Column(heading, "text") for heading in narrow)]
    rows: list[Row] = []
    for row in diff_rows(found):
        rows += [(), row] if row[0] and rows else [row]
    table = Fitted("Where the plans differ", columns, rows)
    total = len(found) + found.same
    parts = [safe(f"{len(found)} of {total} parameters differ.")]
    if found.seeds[0] != found.seeds[1]:
        note = f"Seeds {found.seeds[0]} and {found.seeds[1]}: random values differ in every parameter."
        parts.append(safe(note))
    return [table, *map(safe, headings * long), *parts] if found.changes else parts


def diff_rows(found: PlanDiff) -> Iterator[tuple[str, str, str, str]]:
    """Parameter, what differs, how it is in each; the parameter is named once."""
    for changes in _groups(found):
        first = changes[0]
        name = label([change.name for change in changes])
        for row in change_rows(first):
            yield name, *row
            name = ""


def _groups(found: PlanDiff) -> list[list[Change]]:
    groups: dict[tuple[object, ...], list[Change]] = {}
    for change in found.changes:
        sides = tuple(
            None if e is None else (e.shape, e.action, e.role, e.layout, e.law, masked(e.scheme), masked(e.reason))
            for e in (change.before, change.after)
        )
        rates = [
            None if e is None else (e.learning_rate, e.multiplier, e.training) for e in (change.before, change.after)
        ]
        groups.setdefault((masked(change.name), change.kind, change.fields, sides, *rates), []).append(change)
    return list(groups.values())


def change_rows(change: Change) -> Iterator[tuple[str, str, str]]:
    """What differs in one parameter, and how it is on both sides."""
    before, after = change.before, change.after
    if before is None or after is None:
        yield "parameter", _done(before), _done(after)
        return
    hidden = {"law", "training"} | ({"action", "tied_to", "stream"} if "action" in change.fields else set())
    for field in change.fields:
        if field not in hidden:
            yield field.replace("_", " "), _field(before, field), _field(after, field)
    for kind in KINDS if "training" in change.fields else ():
        if before.rates(kind) != after.rates(kind):
            yield f"rates, {kind}", _rates(before.rates(kind)), _rates(after.rates(kind))
    if "law" in change.fields:
        yield "law", law_text(before.law), law_text(after.law)
    old, new = change.stds
    if "law" in change.fields and old is not None and new is not None and old != new:
        ratio = f" (× {change.ratio:.4g})" if change.ratio is not None else ""
        yield "std", f"{old:.4g}", f"{new:.4g}{ratio}"
    if before.reason != after.reason:
        yield "why", before.reason, after.reason


def _done(entry: Entry | None) -> str:
    return "absent" if entry is None else f"{_shape(entry)}, {entry.scheme or entry.action}"


def _field(entry: Entry, field: str) -> str:
    value = getattr(entry, field)
    if field == "shape":
        return _shape(entry)
    if field == "scheme" and entry.tied_to is not None:
        return _what(entry)
    return "none" if value in (None, "") else str(value)
