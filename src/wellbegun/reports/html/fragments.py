"""What a notebook shows: a small scoped fragment without scripts, in the notebook's own colours."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wellbegun.health import Health
from wellbegun.materialize import Ledger
from wellbegun.measure.comparison import ModelComparison
from wellbegun.planning import Entry, Explanation, Plan, PlanDiff, SignalPropagation
from wellbegun.racing.coordinates import CoordinateCheck
from wellbegun.racing.results import Race
from wellbegun.reports.comparison import HEADINGS, comparison_rows, told
from wellbegun.reports.coordinates import coordinate_rows
from wellbegun.reports.coordinates import told as trained
from wellbegun.reports.html.coordinates import svg
from wellbegun.reports.html.findings import measured
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import plural, shown
from wellbegun.reports.html.plans import groups, outcome_text, totals
from wellbegun.reports.html.verdict import Verdict, health_verdict, propagation_verdict, race_verdict
from wellbegun.reports.plans import diff_rows, explained
from wellbegun.reports.shown import parts_of
from wellbegun.reports.text import done, label, law_text

if TYPE_CHECKING:
    from markupsafe import Markup

FIRST, MOST = 12, 40  # rows of a table that are shown, and those that unfold with them


@dataclass(frozen=True)
class Grid:
    """A plain table."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: str = ""  # what to open it with; "" shows it

    @property
    def left_out(self) -> int:
        """Rows beyond the most that are there."""
        return max(0, len(self.rows) - MOST)

    @property
    def parts(self) -> Sequence[Sequence[Sequence[str]]]:
        """The rows that are shown at once, and those behind them."""
        end = MOST if self.folded or len(self.rows) <= FIRST + 2 else FIRST
        return [part for part in (self.rows[:end], self.rows[end:MOST]) if part]


def fragment(item: Any) -> str:
    """HTML of a plan, health, ledger, signal propagation, explanation, difference, race or result.

    >>> from wellbegun.planning import Plan
    >>> found = fragment(Plan((), "auto@2", 0))
    >>> "auto@2" in found, "<script" in found
    (True, False)
    """
    render = _RENDERERS.get(type(item))
    if render is not None:
        return str(render(item))
    return "".join(map(fragment, reversed(parts_of(item))))


def _html(head: str, verdict: Verdict | None = None, lines: Sequence[str] = (), grids: Sequence[Grid] = ()) -> "Markup":
    return template("fragment.html", head=head, verdict=verdict, lines=lines, grids=[g for g in grids if g.rows])


def _plan(plan: Plan) -> "Markup":
    rows = []
    for members in groups(plan) or [[index] for index in range(len(plan))]:
        entry = plan.entries[members[0]]
        name = label([plan.entries[index].name for index in members])
        laws = {law_text(plan.entries[index].law) for index in members}
        law = laws.pop() if len(laws) == 1 else f"{len(laws)} different"
        shape = "×".join(map(str, entry.shape)) or "scalar"
        rows.append(
            (name, shape, entry.role, done(entry), law, _std([plan.entries[index] for index in members]), entry.reason)
        )
    headings = "parameter", "shape", "role", "scheme", "law", "std", "why"
    return _html("Plan", None, [totals(plan), *(f"Note: {note}" for note in plan.notes)], [Grid(headings, rows)])


def _std(entries: Sequence[Entry]) -> str:
    """Of one value, as in the table of `wellbegun.show`; from the least to the largest of several."""
    stds = [math.sqrt(found.variance) for entry in entries if (found := entry.moments()) is not None]
    return " to ".join(dict.fromkeys(f"{std:.4g}" for std in (min(stds), max(stds)))) if stds else ""


def _health(health: Health) -> "Markup":
    verdict = health_verdict(health)
    found = [(f.code, f.title, f.place, measured(f), f.why, f.remedy) for f in health.findings]
    numbers = [
        (str(k), o.place, o.parameter, o.role, shown(o.rms), shown(o.gradient))
        for k, o in enumerate(health.statistics.operations, 1)
    ]
    depth = Grid(("#", "operation", "weight", "role", "signal RMS", "gradient norm"), numbers, "Signal by depth")
    headings = "code", "finding", "where", "measured", "why", "remedy"
    return _html("Health", verdict, [*verdict.also, *health.notes], [Grid(headings, found), depth])


def _ledger(ledger: Ledger) -> "Markup":
    rows = [(record.name, record.outcome, record.law, record.reason) for record in ledger.records]
    return _html(
        "Ledger", None, [outcome_text(ledger)], [Grid(("parameter", "outcome", "law", "why"), rows, "Parameters")]
    )


def _propagation(found: SignalPropagation) -> "Markup":
    rows = [
        (row.place, shown(row.second.theory), shown(row.second.measured), shown(row.correlation.theory),
         shown(row.correlation.measured), "off" if row.flagged else row.reason)
        for row in sorted(found, key=lambda row: not row.flagged)
    ]  # fmt: skip
    headings = "operation", "E x², theory", "measured", "correlation, theory", "measured", "verdict"
    return _html("Theory beside measurement", propagation_verdict(found), [], [Grid(headings, rows, "Operations")])


def _explanation(found: Explanation) -> "Markup":
    return _html(found.entry.name, None, [], [Grid((), [pair for pair in explained(found) if pair[1]])])


def _diff(found: PlanDiff) -> "Markup":
    headings = ["parameter", "what", *(f"{side}: {name}" for side, name in zip("AB", found.recipes, strict=True))]
    total = len(found) + found.same
    lines = [f"{len(found)} of {plural(total, 'parameter')} differ."]
    if found.seeds[0] != found.seeds[1]:
        lines.append(f"Seeds {found.seeds[0]} and {found.seeds[1]}: random values differ in every parameter.")
    return _html("Where the plans differ", None, lines, [Grid(headings, list(diff_rows(found)))])


def _comparison(found: ModelComparison) -> "Markup":
    return _html(f"Two models: {told(found)}", None, [], [Grid(HEADINGS, comparison_rows(found), "Tensors")])


def _race(race: Race) -> "Markup":
    rows = [
        (s.candidate, shown(s.area), f"{shown(s.spread[0])} to {shown(s.spread[1])}", shown(s.best_final),
         f"{s.converged:.0%}", f"{s.best_optimizer}, {shown(s.best_rate)}", shown(s.seconds))
        for s in race.standings
    ]  # fmt: skip
    headings = "candidate", "area", "middle half", "best final loss", "converged", "best at", "seconds"
    return _html("Race", race_verdict(race), [race.description], [Grid(headings, rows)])


def _coordinates(found: CoordinateCheck) -> "Markup":
    headings = "activation", "what", *map(str, found.sizes), "slope", "95 %", ""
    grid = Grid(headings, coordinate_rows(found), "Root mean squares")
    return _html(f"Coordinate check: {found.verdict}", None, [trained(found), svg(found)], [grid])


_RENDERERS: dict[type, Callable[[Any], "Markup"]] = {
    Plan: _plan,
    Health: _health,
    Ledger: _ledger,
    SignalPropagation: _propagation,
    Explanation: _explanation,
    PlanDiff: _diff,
    Race: _race,
    ModelComparison: _comparison,
    CoordinateCheck: _coordinates,
}
