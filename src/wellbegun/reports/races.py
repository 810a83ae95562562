"""A race as tables for the terminal: the verdict, the standings, the paired differences."""

import math
from typing import TYPE_CHECKING

from wellbegun.racing.records import Paired, Standing
from wellbegun.racing.results import Race
from wellbegun.reports.fitted import Column, Fitted
from wellbegun.reports.text import safe

if TYPE_CHECKING:
    from rich.console import RenderableType


def race_table(race: Race) -> list["RenderableType"]:
    """Verdict first; then what was raced, who stands where, and how far the first is ahead of the others."""
    from rich.text import Text

    verdict = Text(race.verdict, "bold green" if race.winner else "bold yellow")
    parts: list[RenderableType] = [Text.assemble("Race: ", verdict, "."), safe(f"{race.description}.")]
    if race.interrupted:
        parts.append(
            Text(f"Interrupted: {len(race.trials)} trials are kept; what follows is about them.", "bold yellow")
        )
    if race.standings:
        parts.append(_standings(race))
        parts += [safe(_legend(race)), safe(_checks(race))]
    if len(race.standings) > 1 and race.standings[0].steps:
        parts.append(_pairs(race))
    return [*parts, *(safe(text) for text in _failures(race))]


def _standings(race: Race) -> Fitted:
    several = len({standing.best_optimizer for standing in race.standings}) > 1
    pruned = len({standing.steps for standing in race.standings}) > 1
    ranks = {"area": 0, "quartiles": 0, "at end": 0, "metric": 0, "conv.": 0, "rate": 0, "steps": 1, "sec.": 2}
    columns = [Column(name, "number", rank) for name, rank in ranks.items() if name != "steps" or pruned]
    cells = [_cells(standing, _decimals(race), several=several) for standing in race.standings]
    rows = [(found["candidate"], *(found[column.title] for column in columns)) for found in cells]
    return Fitted("Standings", [Column("candidate", "name"), *columns], rows)


def _decimals(race: Race) -> int:
    """As many for every area as show three digits of the smallest."""
    areas = [standing.area for standing in race.standings if standing.area > 0]
    return min(max(2 - math.floor(math.log10(min(areas))), 0), 7) if areas else 3


def _cells(s: Standing, decimals: int, *, several: bool) -> dict[str, str]:
    rate = f"{s.best_optimizer} {s.best_rate:g}" if several else f"{s.best_rate:g}"
    if s.steps == 0:
        return dict.fromkeys(("quartiles", "metric", "conv.", "rate", "sec.", "at end"), "") | {
            "candidate": s.candidate,
            "area": "failed",
            "steps": "0",
        }
    return {
        "candidate": s.candidate,
        "area": f"{s.area:.{decimals}f}",
        "quartiles": f"{s.spread[0]:.{decimals}f}–{s.spread[1]:.{decimals}f}",
        "at end": "none" if math.isnan(s.best_final) else f"{s.best_final:.3g}",
        "metric": "" if s.metric is None else f"{s.metric:.3f}",
        "conv.": f"{s.converged:.0%}",
        "rate": rate,
        "steps": str(s.steps),
        "sec.": f"{s.seconds:.2g}",
    }


def _legend(race: Race) -> str:
    unit = "in units of chance (1: learned nothing)" if race.chance is not None else "in the units of the loss"
    tested = " metric: on test data." if any(standing.metric is not None for standing in race.standings) else ""
    return (
        f"area: under the loss curve at the best rate, median over the seeds, {unit}; lower is better. "
        f"at end: lowest loss of the last steps.{tested} conv.: share of its trials that did not diverge. "
        "sec.: of one trial."
    )


def _checks(race: Race) -> str:
    """What the health check said of each candidate."""
    codes: dict[str, list[str]] = {}
    for standing in race.standings:
        if standing.steps:
            codes.setdefault(" ".join(standing.findings) or "healthy", []).append(standing.candidate)
    return "Check before the first step: " + "; ".join(f"{', '.join(n)}: {found}" for found, n in codes.items()) + "."


def _pairs(race: Race) -> Fitted:
    first = race.standings[0].candidate
    pairs = [pair for pair in race.pairs if pair.first == first]
    short = len({pair.steps for pair in pairs}) > 1
    numbers = "difference", "95 % interval", "ahead on", *(["steps"] if short else [])
    columns = [Column("against", "name"), *(Column(name, "number") for name in numbers), Column("")]
    rows = []
    for pair in pairs:
        difference, interval, ahead, says = _pair_cells(pair, _decimals(race))
        cells = (pair.second, difference, interval, ahead, *([str(pair.steps)] if short else []), says)
        rows.append(cells)
    return Fitted(f"Area of {first}, paired by seed", columns, rows)


def _pair_cells(pair: Paired, decimals: int) -> tuple[str, str, str, str]:
    known = math.isfinite(pair.low)
    interval = f"{pair.low:+.{decimals}f} to {pair.high:+.{decimals}f}" if known else "needs two seeds"
    says = "better" if pair.high < 0 else "worse" if pair.low > 0 else "not certain"
    difference = "" if math.isnan(pair.difference) else f"{pair.difference:+.{decimals}f}"
    return difference, interval, f"{pair.wins} of {pair.trials} seeds", says


def _failures(race: Race) -> list[str]:
    return [
        f"{standing.candidate}: {standing.failed} trials failed. The first: {standing.error}"
        for standing in race.standings
        if standing.failed
    ]
