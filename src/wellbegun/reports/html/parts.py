"""What every section is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wellbegun.reports.html.page import template

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Section:
    """A part of a report with a heading of its own."""

    id: str
    title: str
    body: "Markup"
    data: Mapping[str, Any] = field(default_factory=dict)  # id -> JSON for charts and tables
    charts: bool = False  # whether it draws any


@dataclass(frozen=True)
class Figure:
    """A chart, or several of which one is shown: the data have the form that `assets/charts.js` reads."""

    id: str
    title: str
    text: str  # what to look for, in a sentence or two
    data: Any  # a spec, or a list of them
    options: tuple[str, ...] = ()  # names of those in the list
    asks: str = ""  # label of the choice
    facts: bool = False  # whether the specs have texts to stand beside the chart

    @property
    def body(self) -> "Markup":
        """Where it is drawn."""
        return template("figure.html", figure=self)


def choices(figures: Mapping[str, Figure], asks: str) -> Figure:
    """The same figure in several ways, with a list to choose from; the first is shown."""
    first = next(iter(figures.values()))
    if len(figures) == 1:
        return first
    return replace(first, data=[figure.data for figure in figures.values()], options=tuple(figures), asks=asks)


def lines(
    id: str,
    title: str,
    text: str,
    *,
    axis: str,
    value: str,
    series: Mapping[str, list[Any]],
    xs: list[float],
    labels: list[str] | None = None,
    bounds: Mapping[float, str] | None = None,
    log: bool = True,
    domain: tuple[float, float] | None = None,
    bands: Mapping[str, tuple[list[Any], list[Any]]] | None = None,
) -> Figure:
    """A line for each series over common places on the axis; a band around those that have one.

    Args:
        id, title, text: Of the figure.
        axis, value: What stands at the horizontal and at the vertical axis.
        series: Name -> a value for each place; None where there is none.
        xs: The places.
        labels: What each place is called.
        bounds: Values with a dotted line and a text.
        log: Whether the vertical axis is logarithmic.
        domain: Ends of the vertical axis, if it is not.
        bands: Name of a series -> its lower and upper values.
    """
    found = [
        {"name": name, "values": [short(v) for v in values], **_band((bands or {}).get(name))}
        for name, values in series.items()
    ]
    limits = [{"value": bound, "text": said} for bound, said in (bounds or {}).items()]
    vertical = {"title": value, "log": log, **({"domain": domain} if domain else {})}
    spec = {"kind": "lines", "label": f"{title}.", "xs": xs, "labels": labels, "x": {"title": axis}, "y": vertical}
    return Figure(id, title, text, {**spec, "series": found, "bounds": limits})


def _band(ends: tuple[list[Any], list[Any]] | None) -> dict[str, Any]:
    return {} if ends is None else {"low": [short(v) for v in ends[0]], "high": [short(v) for v in ends[1]]}


def short(value: Any) -> Any:
    """Five digits of a float, which a chart cannot show apart."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def shown(value: float | None) -> str:
    """A number in a text.

    >>> shown(0.123456), shown(None), shown(float("nan"))
    ('0.123', 'none', 'nan')
    """
    return "none" if value is None else f"{value:.3g}"


def plural(count: int, noun: str) -> str:
    """A number of things.

    >>> plural(1, "finding"), plural(1200, "parameter")
    ('1 finding', '1,200 parameters')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
