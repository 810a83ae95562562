"""Values of some parameters, counted, beside their laws."""

from collections.abc import Sequence
from typing import Any

from wellbegun.reports.histogram import Histogram
from wellbegun.reports.html.parts import Figure, Section, shown
from wellbegun.reports.text import law_text

TEXT = (
    "Bars: values counted in the model. Dashed line: what the law of the plan puts into each bin. "
    "The first, middle and last parameter of every role."
)


def weights_section(histograms: Sequence[Histogram]) -> Section | None:
    """One chart and a list to choose the parameter from; None without parameters."""
    if not histograms:
        return None
    specs = [_spec(found) for found in histograms]
    options = tuple(f"{found.name} ({found.role})" for found in histograms)
    figure = Figure("histograms", "Values, counted", TEXT, specs, options, "Parameter", facts=True)
    return Section("weights", "Weights against their laws", figure.body, {figure.id: specs}, charts=True)


def _spec(found: Histogram) -> dict[str, Any]:
    label = f"Values of {found.name}, counted."
    spec: dict[str, Any] = {"kind": "bars", "label": label, "edges": found.edges, "counts": found.counts}
    expected = None if found.expected is None else [float(f"{share:.5g}") for share in found.expected]
    return {**spec, "expected": expected, "facts": _facts(found)}


def _facts(found: Histogram) -> list[tuple[str, str]]:
    """Texts beside the chart."""
    looked = f"{found.size:,}" if found.counted == found.size else f"{found.size:,}, of which {found.counted:,} counted"
    facts = [("role", found.role), ("values", looked)]
    if found.law is not None:
        facts.append(("law", law_text(found.law)))
    if found.finite < found.counted:
        facts.append(("not finite", f"{found.counted - found.finite:,}"))
    facts.append(("mean", _pair(found.mean, found.law_mean)))
    facts.append(("std", _pair(found.std, found.law_std)))
    if found.law is not None and found.expected is None:
        facts.append(("shape", "no formula tells how the values of this law are distributed"))
    return facts


def _pair(measured: float, law: float | None) -> str:
    return shown(measured) if law is None else f"{shown(measured)}, by the law {shown(law)}"
