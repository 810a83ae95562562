"""The demo's picture, from what it found: signal and gradient of the deep networks by depth, and all losses.

Usage: python examples/demo_figure.py demo-output/demo.json demo.png
"""

import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

CHANCE = math.log(10)
DEEP = 5  # layers from which on depth is worth a panel
LOW, HIGH = 1e-8, 1e2  # what lies below stands at the lower edge, and the figure says so
NOTE = """Signal: its RMS; gradient: its norm; × at the lower edge: 1e-8 or less, down to exactly 0.
Loss: at the best of three learning rates; the dotted line is chance."""
INK, FAINT = "#333333", "#dddddd"
# what the figure calls each candidate, its colour and its dashes; the last is drawn on top
LOOKS: dict[str, tuple[str, str, Any]] = {
    "zeros": ("zeros", "#222222", (0, (1, 1.5))),
    "naive normal(0.01)": ("std 0.01", "#c62828", (0, (4, 1.5))),
    "framework default": ("default", "#6d6d6d", "-"),
    "Xavier everywhere": ("Xavier", "#b35900", (0, (6, 1.5, 1, 1.5))),
    "He everywhere": ("He", "#1565c0", "-"),
    "wellbegun classic": ("classic", "#7b3fa0", (0, (4, 1.5))),
    "wellbegun auto": ("auto", "#1b7a2f", "-"),
}
STYLE = {
    "font.size": 8.5, "axes.titlesize": 8.5, "axes.titlelocation": "left", "axes.spines.top": False,
    "axes.spines.right": False, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": FAINT, "grid.linewidth": 0.6, "text.color": INK,
    "lines.linewidth": 1.3, "axes.axisbelow": True,
}  # fmt: skip
Rows = Sequence[Mapping[str, Any]]


def draw(outcomes: Rows, path: Path) -> None:
    """Write the picture: 700 pixels at least to read it; twice as many are in the file."""
    figure_of(outcomes).savefig(path, dpi=200)


def figure_of(outcomes: Rows) -> Any:
    """A figure of matplotlib, seven inches wide."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    networks: dict[str, list[Mapping[str, Any]]] = {}
    for outcome in outcomes:
        networks.setdefault(outcome["network"], []).append(outcome)
    deep = [rows for rows in networks.values() if len(rows[0]["signal"]) >= DEEP]
    with mpl.rc_context(STYLE):
        height = 2.3 * len(deep) + 2.95
        figure = pyplot.figure(figsize=(7, height))
        upper = figure.add_gridspec(
            len(deep), 2, left=0.06, right=0.94, bottom=3.05 / height, top=1 - 0.3 / height, hspace=0.45, wspace=0.62
        )
        lower = figure.add_gridspec(
            1, len(networks), left=0.06, right=0.9, bottom=0.85 / height, top=2.2 / height, wspace=0.58
        )
        for row, rows in enumerate(deep):
            for column, field in enumerate(("signal", "gradient")):
                depth(figure.add_subplot(upper[row, column]), rows, field)
        for column, rows in enumerate(networks.values()):
            loss(figure.add_subplot(lower[column]), rows)
        figure.text(0.02, 0.014, NOTE, fontsize=8, linespacing=1.35)
    pyplot.close(figure)  # pyplot keeps no hold of it; it can still be written
    return figure


def depth(axes: Any, rows: Rows, field: str) -> None:
    """Signal or gradient at each layer before training; gradients come together in the last layer, so they are named
    in the first."""
    ends = {}
    for outcome, (name, colour, dashes) in looks(rows):
        values = [min(max(value, LOW), HIGH) for value in outcome[field]]
        layers = range(1, len(values) + 1)
        axes.plot(layers, values, color=colour, linestyle=dashes, linewidth=2.4 if name == "auto" else 1.3)
        gone = [layer for layer, value in zip(layers, values, strict=True) if value == LOW]
        axes.plot(gone, [LOW] * len(gone), "x", color=colour, markersize=3.5, clip_on=False)
        ends[name] = values[-1 if field == "signal" else 0], colour
    axes.set(yscale="log", ylim=(LOW, HIGH), title=f"{rows[0]['network']}: {field}", xlabel="layer, before training")
    axes.set_yticks([1e-8, 1e-4, 1], ["1e-8", "1e-4", "1"], minor=False)
    axes.yaxis.minorticks_off()
    axes.set_xlim(1, len(rows[0][field]))
    axes.xaxis.get_major_locator().set_params(integer=True)
    if field == "gradient":
        axes.yaxis.tick_right()
        axes.spines[["left"]].set_visible(False)
        axes.spines[["right"]].set_visible(True)
    name_ends(axes, ends, lambda v: math.log(v / LOW) / math.log(HIGH / LOW), right=field == "signal")


def loss(axes: Any, rows: Rows) -> None:
    """Loss of each step, at the best rate of each."""
    ends, top = {}, 2.8
    for outcome, (name, colour, dashes) in looks(rows):
        best = max(outcome["accuracy"], key=outcome["accuracy"].get)
        values = outcome["losses"][best]
        axes.plot(values, color=colour, linestyle=dashes, linewidth=2.2 if name == "auto" else 1.1)
        ends[name] = sum(values[-5:]) / len(values[-5:]), colour
    axes.set(ylim=(0, top), title=f"{rows[0]['network']}:\nloss", xlabel="step of training")
    axes.set_xlim(0, len(values) - 1)
    axes.axhline(CHANCE, color=INK, linestyle=(0, (1, 2)), linewidth=0.8)
    name_ends(axes, ends, lambda value: min(value / top, 1.0), right=True)


def looks(rows: Rows) -> list[tuple[Mapping[str, Any], tuple[str, str, Any]]]:
    """Outcomes in the order they are drawn in, with their looks."""
    by_name = {outcome["candidate"]: outcome for outcome in rows}
    return [(by_name[candidate], look) for candidate, look in LOOKS.items() if candidate in by_name]


def name_ends(axes: Any, ends: Mapping[str, tuple[float, str]], at: Callable[[float], float], *, right: bool) -> None:
    """Write the name of each line beside its end, with a thin line to it where it had to make room."""
    names = sorted(ends, key=lambda name: at(ends[name][0]))
    wanted = [at(ends[name][0]) for name in names]
    gap = 14 / (axes.get_position().height * axes.figure.get_figheight() * 100)  # pixels, where 700 are the width
    edge, text = (1.0, 1.08) if right else (0.0, -0.08)
    for name, place, height in zip(names, wanted, spread(wanted, gap), strict=True):
        colour = ends[name][1]
        reach = [edge, text + (-0.01 if right else 0.01)]
        axes.plot(reach, [place, height], color=colour, linewidth=0.7, transform=axes.transAxes, clip_on=False)
        weight = "bold" if name == "auto" else "normal"
        align = {"ha": "left" if right else "right", "va": "center"}
        axes.text(text, height, name, color=colour, fontweight=weight, transform=axes.transAxes, **align)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Ascending heights at least `gap` apart, within 0 and 1 and near what is wanted.

    >>> [round(height, 3) for height in spread([0.0, 0.0, 0.5, 0.51, 1.0], 0.1)]
    [0.0, 0.1, 0.5, 0.6, 1.0]
    """
    heights = list(wanted)
    for index in range(1, len(heights)):
        heights[index] = max(heights[index], heights[index - 1] + gap)
    ceiling = 1.0
    for index in reversed(range(len(heights))):
        heights[index] = min(heights[index], ceiling)
        ceiling = heights[index] - gap
    return heights


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
