"""Plans, ledgers, schemes and gains as tables for the terminal. Rich is loaded when something is rendered."""

import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wellbegun._arguments import shown
from wellbegun.health.catalogue import Check
from wellbegun.laws import Law
from wellbegun.materialize import Ledger
from wellbegun.planning import Entry, Plan
from wellbegun.reports.fitted import Column, Facts, Fitted, Row
from wellbegun.schemes import Card
from wellbegun.theory import ActivationMoments

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


def safe(text: str) -> "RenderableType":
    """Text in which brackets mean nothing, and what a terminal would obey is written out; line breaks of ours stay."""
    from rich.text import Text

    return Text("\n".join(map(shown, text.split("\n"))))


def console(**options: Any) -> "Console":
    """A console of Rich. COLUMNS=0 says nothing of its width, as elsewhere."""
    from rich.console import Console

    if os.environ.get("COLUMNS") == "0":
        options = {"width": shutil.get_terminal_size().columns} | options
    return Console(highlight=False, **options)


def facts(title: str, found: Iterable[tuple[str, str]]) -> list["RenderableType"]:
    """A title, and a line for each fact that is known."""
    return [safe(title), Facts([(name, value) for name, value in found if value])]


# ---------------------------------------------------------------------- plans
def plan_table(plan: Plan) -> list["RenderableType"]:
    """One row for each parameter (one for all that differ only in the numbers of their names), and the totals."""
    columns = [Column("parameter", "name"), Column("shape", rank=1), Column("role"), Column("scheme", "call")]
    columns += [Column("law", rank=2), Column("std", "number"), Column("why", "why")]
    rows = []
    for entries in _groups(plan):
        first = entries[0]
        found = first.moments()
        std = "" if found is None else f"{math.sqrt(found.variance):.4g}"
        told = shape_text(first.shape), first.role, done(first), law_text(first.law), std, first.reason
        rows.append((label([entry.name for entry in entries]), *told))
    table = Fitted(f"Plan {plan.recipe}, seed {plan.seed}", columns, rows)
    more = [_multipliers(plan)] if any(entry.training for entry in plan.entries) else []
    return [table, *more, safe(_totals(plan)), *(safe(f"Note: {note}") for note in plan.notes)]


def _multipliers(plan: Plan) -> "RenderableType":
    """What training and the forward pass multiply, one row for parameters that are alike."""
    columns = [Column("parameter", "name"), *(Column(name, "number") for name in ("AdamW lr", "decay", "ε"))]
    columns += [Column(name, "number", rank) for name, rank in (("SGD lr", 1), ("Muon lr", 2), ("forward", 0))]
    rows: dict[tuple[str, ...], list[str]] = {}
    for entry in plan.entries:
        if (rates := entry.training) is not None:
            adam = rates.adamw.learning_rate, rates.adamw.weight_decay, rates.adamw.epsilon
            found = *adam, rates.sgd.learning_rate, rates.muon.learning_rate, entry.multiplier
            rows.setdefault((masked(entry.name), *(f"{number:.4g}" for number in found)), []).append(entry.name)
    return Fitted("Multipliers", columns, [(label(names), *key[1:]) for key, names in rows.items()])


PLAN_COLUMNS = ("parameter", "shape", "dtype", "action", "role", "scheme", "law", "mean", "std", "why", "source")


def plan_rows(plan: Plan) -> list[tuple[str, ...]]:
    """The headings, and one row for each parameter; mean and std are those of one value."""
    return [PLAN_COLUMNS, *map(plan_row, plan.entries)]


def plan_row(entry: Entry) -> tuple[str, ...]:
    """One parameter, as told below these headings."""
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


def label(names: Sequence[str]) -> str:
    """One name for several that differ in numbers: groups that share no name have different ones.

    >>> label(["layers.0.fc1.weight", "layers.1.fc1.weight", "layers.2.fc1.weight"])
    'layers.{0..2}.fc1.weight (3)'
    """
    parts = [re.split(r"(\d+)", name) for name in (names[0], names[-1])]
    both = (first if first == last else f"{{{first}..{last}}}" for first, last in zip(*parts, strict=True))
    return "".join(both) + f" ({len(names)})" * (len(names) > 1)


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
def schemes_table(cards: Iterable[Card], *, whole: bool = True) -> list["RenderableType"]:
    """Schemes by family: when to use each; where it is to be whole, what each is good and bad at too."""
    ranks = {"rule": 4, "strengths": 3, "weaknesses": 2, "when to use": 0} if whole else {"when to use": 0}
    columns = [Column("scheme", "text"), *(Column(title, "text", rank) for title, rank in ranks.items())]
    tables: dict[str, list[Row]] = {}
    for card in cards:
        facts = (card.formula, card.strengths, card.weaknesses) if whole else ()
        rows = tables.setdefault(card.family, [])
        rows += [(", ".join((card.name, *card.aliases)), *facts, card.use), *[()] * whole]
    told = "Arguments, shapes, errors and sources: help(wellbegun.he_normal), help(wellbegun.schemes.FAMILY.NAME)."
    more = "" if whole else " Compare some: wellbegun schemes NAME, wellbegun schemes --for router."
    found = [Fitted(f"Schemes: {family}", columns, rows[: -1 if whole else None]) for family, rows in tables.items()]
    return [*found, safe(told + more)]


def recipes_table(facts: Iterable[Mapping[str, Any]]) -> list["RenderableType"]:
    """What each recipe is for, and the optimizer that its scale was found with."""
    rows = [(found["name"], found.get("optimizer", ""), found["about"]) for found in facts]
    table = Fitted("Recipes", [Column("recipe"), Column("optimizer", rank=1), Column("for", "text")], rows)
    return [table, safe("Use one: wellbegun plan MODEL --recipe NAME. All facts: wellbegun recipes --format json")]


def codes_table(codes: Mapping[str, Check]) -> list["RenderableType"]:
    """What each code is called."""
    rows = [(code, check.title, "a remark" * (check.severity == "remark")) for code, check in codes.items()]
    table = Fitted("What a check can find", [Column("code"), Column("what", "text"), Column("")], rows)
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


def gain_table(name: str, found: ActivationMoments, picture: str) -> list["RenderableType"]:
    """The curve, moments and gains of one activation."""
    values = [0.0 if abs(value := getattr(found, field)) < 5e-11 else value for field, *_ in GAIN_ROWS]
    rows = [(row[1], f"{value:.10g}", row[2]) for row, value in zip(GAIN_ROWS, values, strict=True)]
    rows.append(("error", f"{found.error:.0e}", "relative error of these averages, estimated"))
    columns = [Column("quantity"), Column("value", "number"), Column("meaning", "text")]
    drawn = [safe(picture), Fitted(f"{name}, for z ~ N(0, 1)", columns, rows)]
    use = [f"Use it: variance_scaling(scale={found.gain**2:.6g})"] if math.isfinite(found.gain) else []
    flat = ["It is flat between jumps, which have no slope: no gradient passes it."] if use and not found.slope else []
    return [*drawn, *map(safe, [*use, *flat])]
