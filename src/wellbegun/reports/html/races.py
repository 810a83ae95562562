"""A race: loss curves with their spread, the standings, and how certain the differences are."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from wellbegun.racing.results import Race, Trial
from wellbegun.racing.statistics import quantile
from wellbegun.reports.html.page import template
from wellbegun.reports.html.parts import Figure, Section, choices, lines, plural, short, shown
from wellbegun.reports.html.tables import Column, table_block, table_data

POINTS = 150  # of a curve, at most
Arm = tuple[str, float]


def race_section(race: Race) -> Section | None:
    """Curves, standings, differences and every trial; None for a race without trials."""
    if not race.trials:
        return None
    figures = [figure for figure in (_curves(race), _differences(race)) if figure is not None]
    data: dict[str, Any] = {figure.id: figure.data for figure in figures}
    data["standings"] = table_data("Standings, best first", "candidate", _standings(race))
    data["trials"] = table_data("Every trial", "trial", _trials(race.trials))
    if race.pairs:
        data["pairs"] = table_data("Candidates compared on the same seeds", "pair", _pairs(race))
    tables = {name: table_block(name) for name in ("standings", "pairs", "trials") if name in data}
    body = template("race.html", race=race, intro=_intro(race), figures=figures, tables=tables)
    return Section("race", "The race", body, data, charts=True)


def _intro(race: Race) -> str:
    chance = "" if race.chance is None else f" A model that knows nothing has a loss of {shown(race.chance)}."
    cut = " The race was interrupted: what is shown is what was done." if race.interrupted else ""
    what = race.description or "several trainings of each candidate"
    return f"{plural(len(race.trials), 'trial')}: {what}.{chance}{cut}"


# ---------------------------------------------------------------------- curves
def _curves(race: Race) -> Figure | None:
    """Median and quartiles over the seeds, at the best rate of each candidate and at every other one."""
    best = {s.candidate: (s.best_optimizer, s.best_rate) for s in race.standings}
    arms = sorted({trial.arm for trial in race.trials})
    found = {"best optimizer and rate of each": _figure(race, best)}
    if len(arms) > 1:
        found |= {
            f"{optimizer}, rate {rate:g}": _figure(race, dict.fromkeys(best, (optimizer, rate)))
            for optimizer, rate in arms
        }
    drawn = {name: figure for name, figure in found.items() if figure is not None}
    return choices(drawn, "Optimizer and rate") if drawn else None


def _figure(race: Race, arms: Mapping[str, Arm]) -> Figure | None:
    curves = {}
    for candidate, arm in arms.items():
        trials = [t for t in race.trials if t.candidate == candidate and t.arm == arm and t.losses]
        if trials:
            curves[candidate] = trials
    steps = max((len(t.losses) for trials in curves.values() for t in trials), default=0)
    if not steps:
        return None
    at = sorted({round(i * (steps - 1) / (POINTS - 1)) for i in range(POINTS)})
    series: dict[str, list[Any]] = {}
    bands: dict[str, tuple[list[Any], list[Any]]] = {}
    for candidate, trials in curves.items():
        low, middle, high = zip(*(_quartiles(trials, step) for step in at), strict=True)
        series[candidate] = list(middle)
        if len(trials) > 1:
            bands[candidate] = list(low), list(high)
    top = _top(race, [trial for trials in curves.values() for trial in trials])
    text = "Median training loss over the seeds; the band holds the middle half of them. "
    text += "Losses above the axis are drawn at its top."
    return lines(
        "curves", "Loss while training", text, axis="step", value="loss", series=series, bands=bands,
        xs=[float(step + 1) for step in at], log=False, domain=(0.0, top),
        bounds={} if race.chance is None else {race.chance: "chance"},
    )  # fmt: skip


def _quartiles(trials: Sequence[Trial], step: int) -> tuple[Any, Any, Any]:
    """Over the trials that got so far; one that diverged has an infinite loss from then on."""
    values = sorted(
        t.losses[step] if step < len(t.losses) and not math.isnan(t.losses[step]) else math.inf
        for t in trials
        if step < len(t.losses) or t.status == "diverged"
    )
    if 2 * len(values) < len(trials) or not values:
        return None, None, None
    if math.isinf(values[-1]):  # no line between finite and infinite
        spots = [values[round(share * (len(values) - 1))] for share in (0.25, 0.5, 0.75)]
        return spots[0], spots[1], spots[2]
    return quantile(values, 0.25), statistics.median(values), quantile(values, 0.75)


def _top(race: Race, trials: Sequence[Trial]) -> float:
    """Losses above it stand at the edge: twice chance, or a little more than where most begin."""
    starts = sorted(t.losses[0] for t in trials if math.isfinite(t.losses[0]))
    most = 1.25 * statistics.median(starts) if starts else 1.0
    return max(most, 1.25 * race.chance) if race.chance else most


# ---------------------------------------------------------------------- differences
def _differences(race: Race) -> Figure | None:
    """The leader against every other one."""
    if not race.standings:
        return None
    leader = race.standings[0].candidate
    pairs = [
        pair for pair in race.pairs if pair.first == leader and math.isfinite(pair.low) and math.isfinite(pair.high)
    ]
    if not pairs:
        return None
    rows = [
        {
            "name": f"{pair.first} against {pair.second}", "value": short(pair.difference),
            "low": short(pair.low), "high": short(pair.high),
            "notes": [f"smaller area on {pair.wins} of {plural(pair.trials, 'seed')}"],
        }
        for pair in pairs
    ]  # fmt: skip
    title = f"How certain {leader} is ahead"
    share = f"{100 * pairs[0].confidence:g} % interval"
    text = f"Difference of the areas under the loss curves on the same seeds, with its {share}. "
    text += f"Left of 0, {leader} is better; an interval that holds 0 is grey and decides nothing."
    spec = {"kind": "intervals", "label": f"{title}.", "x": {"title": "difference in area"}, "rows": rows}
    return Figure("differences", title, text, spec)


# ---------------------------------------------------------------------- tables
def _standings(race: Race) -> list[Column]:
    found = race.standings
    unit = "in units of chance" if race.chance else "of the loss"
    columns = [
        Column("candidate", [s.candidate for s in found]),
        Column("area", [s.area for s in found], "number", f"median area under the loss curve, {unit}: lower is faster"),
        Column("middle half", [f"{shown(s.spread[0])} to {shown(s.spread[1])}" for s in found], "text", "of the seeds"),
        Column("final loss", [s.best_final for s in found], "number", "lowest over optimizers and rates"),
        Column(
            "converged, %", [100 * s.converged for s in found], "number", "share of its trials that did not diverge"
        ),
        Column("metric", [s.metric for s in found], "number"),
        Column("rate", [s.best_rate for s in found], "number", "where its area is lowest"),
        Column("optimizer", [s.best_optimizer for s in found], "text", "where its area is lowest"),
        Column("seconds", [s.seconds for s in found], "number", "median time of a trial"),
        Column("steps", [s.steps for s in found], "number", "steps the area covers"),
        Column("findings", [" ".join(s.findings) for s in found], "text", "of the health check before the first step"),
    ]
    if any(s.failed for s in found):
        columns.append(Column("failed", [s.failed for s in found], "number", "trials with an error"))
        columns.append(Column("error", [s.error for s in found]))
    return columns


def _pairs(race: Race) -> list[Column]:
    found = race.pairs
    return [
        Column("pair", [f"{p.first} against {p.second}" for p in found]),
        Column("difference", [p.difference for p in found], "number", "of the areas; below 0 the first is better"),
        Column("low", [p.low for p in found], "number", "end of the interval"),
        Column("high", [p.high for p in found], "number", "end of the interval"),
        Column("wins", [p.wins for p in found], "number", "seeds on which the first is better"),
        Column("seeds", [p.trials for p in found], "number"),
        Column("certain", ["yes" if p.certain else "no" for p in found]),
    ]


def _trials(found: Sequence[Trial]) -> list[Column]:
    return [
        Column("candidate", [t.candidate for t in found]),
        Column("optimizer", [t.optimizer for t in found]),
        Column("rate", [t.rate for t in found], "number"),
        Column("seed", [t.seed for t in found], "number"),
        Column("status", [t.status for t in found]),
        Column("steps", [len(t.losses) for t in found], "number"),
        Column("final loss", [t.final for t in found], "number", "mean of the last five"),
        Column("metric", [t.metric for t in found], "number"),
        Column("seconds", [t.seconds for t in found], "number"),
        Column("error", [t.error for t in found]),
    ]
