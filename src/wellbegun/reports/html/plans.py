"""The plan: every parameter with its law and the reason."""

import math

from wellbegun.materialize import Ledger
from wellbegun.planning import Entry, Plan
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Section, plural
from wellbegun.reports.html.tables import Column, table_block, table_data
from wellbegun.reports.text import done, law_text, masked

DONE = {"fill": "filled", "keep": "kept", "tie": "tied"}  # action -> the outcome that was planned


def plan_section(plan: Plan, ledger: Ledger | None = None) -> Section:
    """A table of the parameters; with a ledger also what became of each, where that is not what was planned."""
    columns = plan_columns(plan.entries)
    if ledger is not None:
        outcomes = {record.name: record.outcome for record in ledger.records}
        if any(outcomes.get(entry.name) != DONE[entry.action] for entry in plan.entries):
            columns.append(Column("outcome", [outcomes.get(entry.name, "") for entry in plan.entries]))
    table = table_data(f"Plan {plan.recipe}, seed {plan.seed}", "parameter", columns, groups(plan))
    body = template(
        "sections.html", intro=totals(plan), figures=(), notes=plan.notes, table=table_block("plan"), folded=""
    )
    return Section("plan", "The plan, parameter by parameter", body, {"plan": table})


def ledger_section(ledger: Ledger) -> Section:
    """What happened to each parameter, where there is no plan to show beside it."""
    records = ledger.records
    columns = [
        Column("parameter", [record.name for record in records], "code"),
        Column("outcome", [record.outcome for record in records]),
        Column("law", [record.law for record in records], "code"),
        Column("why", [record.reason for record in records]),
    ]
    table = table_data(f"Ledger, seed {ledger.seed}", "parameter", columns)
    body = template(
        "sections.html", intro=outcome_text(ledger), figures=(), notes=(), table=table_block("ledger"), folded=""
    )
    return Section("ledger", "What happened to each parameter", body, {"ledger": table})


def plan_columns(entries: tuple[Entry, ...]) -> list[Column]:
    """What a plan says of each parameter; who decided, where that was not the recipe alone."""
    decided = [entry.decided_by for entry in entries]
    moments = [entry.moments() for entry in entries]
    stds = [None if found is None else float(found.variance**0.5) for found in moments]
    return [
        Column("parameter", [entry.name for entry in entries], "code"),
        Column("shape", ["×".join(map(str, entry.shape)) or "scalar" for entry in entries]),
        Column("role", [entry.role for entry in entries]),
        Column("scheme", [done(entry) for entry in entries], "code"),
        Column("law", [law_text(entry.law) for entry in entries]),
        Column("std", stds, "number", "exact standard deviation of one value"),
        Column("why", [entry.reason for entry in entries]),
        Column("source", [entry.source for entry in entries]),
        *([Column("decided by", decided)] if any(not by.startswith("recipe ") for by in decided) else []),
    ]


def groups(plan: Plan) -> list[list[int]] | None:
    """Parameters that differ only in the numbers within their names and texts; None if each is one of its kind."""
    found: dict[tuple[object, ...], list[int]] = {}
    for index, entry in enumerate(plan.entries):
        key = masked(entry.name), entry.shape, entry.role, entry.action, masked(entry.scheme), masked(entry.reason)
        found.setdefault(key, []).append(index)
    return list(found.values()) if len(found) < len(plan) else None


def totals(plan: Plan) -> str:
    """Counts of parameters and values for each action, in a sentence."""
    parts = []
    for action, text in (("fill", "to fill"), ("keep", "kept as they are"), ("tie", "tied to another")):
        chosen = [entry for entry in plan.entries if entry.action == action]
        if chosen:
            values = sum(math.prod(entry.shape) for entry in chosen)
            parts.append(f"{plural(len(chosen), 'parameter')} {text} ({plural(values, 'value')})")
    return f"Recipe {plan.recipe}, seed {plan.seed}: {', '.join(parts) or 'no parameters'}."


def outcome_text(ledger: Ledger) -> str:
    """Counts of outcomes, in a sentence."""
    counts = [f"{count:,} {outcome}" for outcome, count in ledger.counts().items() if count]
    return f"{', '.join(counts) or 'No parameters'}; seed {ledger.seed}."
