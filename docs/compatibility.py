"""The tables of docs/compatibility.md, from docs/figures/compatibility.json."""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

Row = dict[str, Any]
FIGURES = Path(__file__).parent / "figures"


def rows() -> list[Row]:
    found: list[Row] = json.loads((FIGURES / "compatibility.json").read_text())["rows"]
    return found


def learns(row: Row) -> bool:
    start, end = row["loss"]
    return end < 0.9 * start if end is not None else False


def false_alarm(row: Row) -> bool:
    """An alarm about a constructed start that hooks call healthy and that learns its batch, unless it can be seen."""
    told = bool(row.get("alarms_constructed")) and "loss" in row and learns(row) and not row["unhealthy_constructed"]
    return told and not _true(row)


def _true(row: Row) -> bool:
    """Whether what is told can be seen where ranges do not show it: a first loss ten times that of zeros, or that 40
    steps do not bring below the first one of `auto`, and a weight that no gradient reaches."""
    if row["alarms_constructed"] == ["W501"]:
        far = row.get("loss_zero") is not None and row["loss"][0] > 10 * row["loss_zero"]
        return far or ("loss_auto" in row and bool(row["loss"][1] > row["loss_auto"][0]))
    places = [text.split(":")[0].removeprefix("W801 parameter ") for text in row["findings_constructed"]]
    return row["alarms_constructed"] == ["W801"] and any(place in row.get("unreached", ()) for place in places)


def ours(row: Row) -> bool:
    return bool(row.get("alarms")) and not row.get("unhealthy")


def _share(rows: list[Row], holds: Callable[[Row], bool]) -> str:
    good = sum(map(holds, rows))
    return f"{good} of {len(rows)}"


def _tensors(rows: list[Row], zero: bool, lost: str) -> str:
    known = [(row, [why == "zero weight" for why in row["special"].values()].count(zero)) for row in rows]
    total, gone = sum(count for _, count in known), sum(len(row[lost]) for row in rows)
    return f"{total - gone} of {total}"


def _criteria(rows: list[Row]) -> dict[str, str]:
    done = [row for row in rows if "alarms" in row]
    looked = [row for row in done if "unhealthy_constructed" in row]
    checked = [row for row in done if "alarms_constructed" in row]
    raw = [row for row in done if row.get("raw")]
    timed = [row["ratio"] for row in done if "ratio" in row]
    return {
        "planned, filled, corrected and checked without an exception": _share(rows, lambda row: "alarms" in row),
        "every parameter in the ledger and finite": _share(
            done, lambda row: not row["missing"] and not row["infinite"]
        ),
        "no fake tensor afterwards": _share(looked, lambda row: not row["fake"]),
        "finite from memory full of nan, or not trained and named (models that can be made without memory)": _share(
            raw, lambda row: "raw_error" not in row and not row.get("raw_infinite")
        ),
        "tensors with values put there on purpose: kept": _tensors(done, False, "lost"),
        "weights that are zero on purpose: kept": _tensors(done, True, "opened"),
        "signals and gradients in range, constructed": _share(looked, lambda row: not row["unhealthy_constructed"]),
        "signals and gradients in range, auto": _share(looked, lambda row: not row["unhealthy"]),
        "no false alarm of `check`, constructed": _share(checked, lambda row: not false_alarm(row)),
        "alarms of `check`, constructed": _share(checked, lambda row: bool(row["alarms_constructed"])),
        "`check` calls its own start healthy": _share(done, lambda row: not row["alarms"]),
        "median time of `initialize` in training steps": f"{median(timed):.0f}" if timed else "",
    }


def criteria_table() -> str:
    halves = {half: [row for row in rows() if row["half"] == half] for half in ("development", "held out")}
    columns = {f"{half}, {len(found)} models": _criteria(found) for half, found in halves.items()}
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for criterion in next(iter(columns.values())):
        lines.append(f"| {criterion} | {' | '.join(found[criterion] for found in columns.values())} |")
    return "\n".join(lines)


def _faults(row: Row) -> str:
    told = [f"`{_short(row[key])}`" for key in ("error", "raw_error") if row.get(key)]
    for key, what in {
        "missing": "not in the ledger", "infinite": "not finite", "raw_infinite": "not finite from raw memory",
        "lost": "not kept", "unhealthy": "out of range", "alarms": "alarms about its own start",
    }.items():  # fmt: skip
        if row.get(key):
            more = f" and {len(row[key]) - 2} more" if len(row[key]) > 2 else ""
            told.append(f"{what}: {', '.join(f'`{_short(one)}`' for one in row[key][:2])}{more}")
    if false_alarm(row):
        told.append(f"false alarm: {' '.join(row['alarms_constructed'])}")
    return "; ".join(told)


def _short(text: str) -> str:
    text = " ".join(str(text).split()).replace("|", "/").replace("`", "'")
    return text if len(text) <= 120 else text[:117] + "..."


def packages_table() -> str:
    lines = ["| package | models | all criteria hold |", "|---|---|---|"]
    for package in sorted({row["name"].partition(": ")[0] for row in rows()}):
        found = [row for row in rows() if row["name"].partition(": ")[0] == package]
        lines.append(f"| {package} | {len(found)} | {sum(not _faults(row) for row in found)} |")
    return "\n".join(lines)


def faults_table() -> str:
    lines = ["| model | half | what does not hold |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['half']} | {_faults(row)} |" for row in rows() if _faults(row)]
    return "\n".join(lines)
