"""Tables of what one pass over the batch showed: operations, parameters, attention."""

from collections.abc import Sequence
from typing import Any

from wellbegun.health import AttentionStats, Health, OperationStats, ParameterStats
from wellbegun.reports.html.tables import Column

# field of OperationStats -> title, what to look for
SHARES = {
    "correlation": (
        "Correlation of two samples",
        "1 means that the network no longer tells its inputs apart (rank collapse).",
    ),
    "dead": ("Dead units", "Share of units whose activation is flat on the whole batch: they learn nothing."),
    "saturated": (
        "Saturated entries",
        "Share of entries at which the activation is flat: little gradient passes them.",
    ),
}


def operation_columns(now: Health, before: Health | None) -> list[Column]:
    """Of the model as it is now, with those of before beside them."""
    found = now.statistics.operations
    columns = [
        Column("operation", [o.place for o in found], "code"),
        Column("#", list(range(1, len(found) + 1)), "number", "order of execution"),
        Column("weight", [o.parameter for o in found], "code"),
        Column("role", [o.role for o in found]),
        Column("RMS in", [o.input_rms for o in found], "number"),
        Column("RMS out", [o.rms for o in found], "number"),
        Column("× start", [_ratio(o) for o in found], "number", "output in units of what came into its stretch"),
        Column("gradient norm", [o.gradient for o in found], "number"),
    ]
    for field, hint in (("mean", "mean of the output"), *((name, text) for name, (_, text) in SHARES.items())):
        values = [getattr(o, field) for o in found]
        if any(value is not None for value in values):
            columns.append(Column(field, values, "number", hint))
    if before is not None:
        old = {o.place: o for o in before.statistics.operations}
        rms = [old[o.place].rms if o.place in old else None for o in found]
        gradients = [old[o.place].gradient if o.place in old else None for o in found]
        columns += [Column("RMS before", rms, "number"), Column("gradient before", gradients, "number")]
    return columns


def _ratio(o: OperationStats) -> float | None:
    return o.rms / o.start_rms if o.start_rms and o.finite else None


def parameter_columns(found: Sequence[ParameterStats]) -> list[Column]:
    """Scale, gradient and symmetry of every parameter."""
    columns = [
        Column("parameter", [p.name for p in found], "code"),
        Column("role", [p.role for p in found]),
        Column("RMS", [p.rms for p in found], "number"),
        Column("largest", [p.largest for p in found], "number", "largest magnitude"),
        Column("gradient norm", [p.gradient for p in found], "number"),
        Column(
            "update", [p.update for p in found], "number", "relative change by a step of rate 1: RMS of gradient / RMS"
        ),
        Column("units", [p.units or None for p in found], "number", "output units of a weight"),
        Column(
            "distinct", [p.distinct if p.units else None for p in found], "number", "units with weights of their own"
        ),
        Column("locked", [p.locked if p.units else None for p in found], "number", "units that will never part"),
    ]
    remarks = [_remark(p) for p in found]
    return [*columns, *([Column("remark", remarks)] if any(remarks) else [])]


def _remark(p: ParameterStats) -> str:
    parts: dict[str, Any] = {
        "not finite": not p.finite,
        "gradient not finite": not p.gradient_finite,
        "frozen": not p.trainable,
        "not used": not p.used,
        f"equal to {p.twin}": p.twin,
    }
    return ", ".join(text for text, holds in parts.items() if holds)


def attention_columns(found: Sequence[AttentionStats]) -> list[Column]:
    """What queries look at."""
    return [
        Column("attention", [a.place for a in found], "code"),
        Column("logit std", [a.logit_std for a in found], "number", "over the keys that a query sees"),
        Column("entropy", [a.entropy for a in found], "number", "of the weights, in units of log(keys): 1 is uniform"),
        Column("keys", [a.keys for a in found], "number", "most that a query sees"),
        Column("weights", [", ".join(a.weights) for a in found], "code"),
    ]
