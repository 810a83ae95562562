"""How the plots of the site look: SVG, the same on every build, in the colours of the page."""

import html
import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

SERIES = ("#10a001", "#10a002", "#10a003", "#10a004", "#10a005", "#10a006")  # stand for --plot-1 ... --plot-6
INK, FAINT = "#10b001", "#10b002"  # text and axes; grid
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "wellbegun",
    "mathtext.fontset": "stix",
    "font.size": 11.5,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": mpl.cycler(color=SERIES) + mpl.cycler(linestyle=["-", "--", "-.", ":", "-", "--"]),
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "text.color": INK,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "legend.labelspacing": 0.25,
    "legend.handlelength": 2.2,
    "figure.figsize": (4.7, 3.7),
    "figure.constrained_layout.use": True,
}
Panel = Callable[[Any], None]
PLOTS: dict[str, Panel] = {}


def plot(name: str) -> Callable[[Panel], Panel]:
    """Register a function that draws on axes."""

    def add(draw: Panel) -> Panel:
        PLOTS[name] = draw
        return draw

    return add


def svg(name: str) -> str:
    """One plot as SVG with stand-in colours."""
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots()
        PLOTS[name](axes)
        target = io.StringIO()
        figure.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    return target.getvalue()


def drawn(name: str, alt: str) -> str:
    """One plot as part of a page: colours from its style sheet, names of its own, the description for readers."""
    text = svg(name)
    text = re.sub(r"^.*?(?=<svg)", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    for number, colour in enumerate(SERIES, 1):
        text = text.replace(colour, f"var(--plot-{number})")
    text = text.replace(INK, "currentColor").replace(FAINT, "var(--plot-grid)")
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r'(id="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    view = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg class="plot" role="img" aria-label="{html.escape(alt)}" {view[0] if view else ""} '
    head += 'xmlns:xlink="http://www.w3.org/1999/xlink">'
    text = re.sub(r"<svg[^>]*>", head, text, count=1)
    return re.sub(r"\s*\n\s*", " ", text)


def standing_alone(name: str) -> str:
    """One plot on white, to look at it."""
    text = svg(name)
    palette = dict(zip(SERIES, ("#00796b", "#d84315", "#5e35b1", "#1565c0", "#8a6400", "#ad1457"), strict=True))
    for stand_in, colour in {**palette, INK: "#222222", FAINT: "#dddddd"}.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return re.sub(r"(<svg[^>]*>)", r'\1<rect width="100%" height="100%" fill="#ffffff"/>', text, count=1)
