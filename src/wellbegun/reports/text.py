"""Plans, ledgers, schemes and gains as tables for the terminal. Rich is loaded when something is rendered."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from wellbegun._arguments import shown
from wellbegun.health.catalogue import Check
from wellbegun.laws import Law
from wellbegun.materialize import Ledger
from wellbegun.planning import Entry, Plan
from wellbegun.schemes import Card
from wellbegun.theory import ActivationMoments

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


Column = tuple[str, dict[str, Any]]
FOLD: dict[str, Any] = {"overflow": "fold"}


def new_table(title: str, columns: Iterable[Column]) -> "Table":
    """An empty table in the style of all of ours."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, options in columns:
        table.add_column(name, **options)
    return table


def safe(text: str) -> "RenderableType":
    """Text in which brackets mean nothing, and what a terminal would obey is written out; line breaks of ours stay."""
    from rich.text import Text

    return Text("\n".join(map(shown, text.split("\n"))))


def facts(title: str, found: Iterable[tuple[str, str]]) -> list["RenderableType"]:
    """A title, and a line for each fact that is known."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in found:
        if value:
            grid.add_row(name, safe(value))
    return [safe(title), grid]


# ---------------------------------------------------------------------- plans
def plan_table(plan: Plan) -> list["RenderableType"]:
    """One row for each parameter (one for all that differ only in the numbers of their names), and the totals."""
    columns: list[Column] = [("parameter", FOLD), ("shape", {}), ("role", FOLD), ("scheme", FOLD), ("law", FOLD)]
    table = new_table(f"Plan {plan.recipe}, seed {plan.seed}", [*columns, ("why", {"ratio": 1})])
    for entries in _groups(plan):
        first = entries[0]
        name = first.name if len(entries) == 1 else f"{masked(first.name)} ({len(entries)})"
        shape = "×".join(map(str, first.shape)) or "scalar"
        table.add_row(*map(safe, (name, shape, first.role, done(first), law_text(first.law), first.reason)))
    return [table, safe(_totals(plan)), *(safe(f"Note: {note}") for note in plan.notes)]


PLAN_COLUMNS = ("parameter", "shape", "dtype", "action", "role", "scheme", "law", "mean", "std", "why", "source")


def plan_rows(plan: Plan) -> list[tuple[str, ...]]:
    """The headings, and one row for each parameter; mean and std are those of one value."""
    return [PLAN_COLUMNS, *map(_plan_row, plan.entries)]


def _plan_row(entry: Entry) -> tuple[str, ...]:
    moments = entry.moments()
    numbers = ("", "") if moments is None else (f"{moments.mean:.10g}", f"{math.sqrt(moments.variance):.10g}")
    told = shape_text(entry.shape), entry.dtype, entry.action, entry.role, done(entry), law_text(entry.law)
    return (entry.name, *told, *numbers, entry.reason, entry.source)


def shape_text(shape: tuple[int, ...]) -> str:
    """Sizes with × between them."""
    return "×".join(map(str, shape)) or "scalar"


def _groups(plan: Plan) -> list[list[Entry]]:
    """Entries that only differ in numbers within their names, in order of the first."""
    found: dict[tuple[object, ...], list[Entry]] = {}
    for entry in plan.entries:
        scheme, reason = masked(entry.scheme), masked(entry.reason)
        key = masked(entry.name), entry.shape, entry.role, entry.action, scheme, entry.law, reason
        found.setdefault(key, []).append(entry)
    return list(found.values())


def masked(text: str) -> str:
    """The text with * for its numbers."""
    return re.sub(r"\d+", "*", text)


def done(entry: Entry) -> str:
    """What the plan does with a parameter, in a word or a scheme."""
    return {"fill": entry.scheme, "keep": "keep", "tie": f"tied to {entry.tied_to}"}[entry.action]


def _totals(plan: Plan) -> str:
    sizes = dict.fromkeys(("fill", "keep", "tie"), 0)
    counts = dict(sizes)
    for entry in plan.entries:
        counts[entry.action] += 1
        sizes[entry.action] += math.prod(entry.shape)
    filled = f"{counts['fill']} parameters to fill ({sizes['fill']:,} values)"
    return f"{filled}, {counts['keep']} kept ({sizes['keep']:,}), {counts['tie']} tied."


def law_text(law: Law | None) -> str:
    """A law in a few characters."""
    return "" if law is None else law.describe()


# ---------------------------------------------------------------------- ledger
def ledger_line(ledger: Ledger) -> "RenderableType":
    """Counts of outcomes."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in ledger.counts().items() if count)
    return safe(f"{counts}; seed {ledger.seed}.")


# ---------------------------------------------------------------------- schemes and gains
def schemes_table(cards: Iterable[Card]) -> list["RenderableType"]:
    """The comparative table: what each scheme is good and bad at, and when to use it."""
    titles = "rule", "strengths", "weaknesses", "when to use"
    columns: list[Column] = [("scheme", {"no_wrap": True}), *((title, {"ratio": 1}) for title in titles)]
    table = new_table("Initialization schemes", columns)
    for card in cards:
        names = "\n".join((card.name, *(f"= {alias}" for alias in card.aliases)))
        table.add_row(*map(safe, (names, card.formula, card.strengths, card.weaknesses, card.use)))
        table.add_section()
    return [table, safe("Arguments, shapes, errors and sources: help(wellbegun.he_normal) and likewise for each.")]


def recipes_table(about: Mapping[str, str]) -> list["RenderableType"]:
    """What each recipe is for."""
    table = new_table("Recipes", [("recipe", {"no_wrap": True}), ("for", {})])
    for name, text in about.items():
        table.add_row(name, safe(text))
    return [table, safe("Use one: wellbegun plan MODEL --recipe NAME")]


def codes_table(codes: Mapping[str, Check]) -> list["RenderableType"]:
    """What each code is called."""
    table = new_table("What a check can find", [("code", {"no_wrap": True}), ("what", {}), ("", {})])
    for code, check in codes.items():
        table.add_row(code, safe(check.title), "a remark" if check.severity == "remark" else "")
    return [table, safe("A remark makes no model unhealthy. All about one code: wellbegun codes W201")]


GAIN_ROWS = (
    ("mean", "E φ(z)", "mean of the output"),
    ("second", "E φ(z)²", "second moment of the output"),
    ("slope", "E φ'(z)²", "second moment of the slope"),
    ("gain", "1/√E φ²", "gain that keeps the second moment (fan_in)"),
    ("gain_variance", "1/√Var φ", "gain that keeps the variance (centred weights)"),
    ("gain_backward", "1/√E φ'²", "gain that keeps the gradient (fan_out)"),
    ("edge_bias_variance", "1 − E φ²/E φ'²", "bias variance at the edge of chaos, q = 1 (nan: there is none)"),
)


def gain_table(name: str, found: ActivationMoments) -> list["RenderableType"]:
    """Moments and gains of one activation."""
    columns: list[Column] = [("quantity", {}), ("value", {"justify": "right"}), ("meaning", {})]
    table = new_table(f"{name}, for z ~ N(0, 1)", columns)
    for field, symbol, meaning in GAIN_ROWS:
        value = getattr(found, field)
        value = 0.0 if abs(value) < 5e-11 else value
        table.add_row(symbol, f"{value:.10g}", meaning)
    return (
        [table, safe(f"Use it: variance_scaling(scale={found.gain**2:.6g})")] if math.isfinite(found.gain) else [table]
    )
