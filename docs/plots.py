"""What each plot of the site shows. Every number comes from the engine and from theory; nothing is drawn by hand.

Usage: python docs/plots.py FOLDER [NAME ...]     # writes SVG to look at; the site draws its own
"""

import functools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import signals
from drawing import INK, PLOTS, SERIES, plot, standing_alone

import wellbegun as wb
from wellbegun.theory import correlation_map, fixed_point, moments

HE, XAVIER, LECUN = wb.he_normal(), wb.xavier_normal(), wb.lecun_normal()


def by_layer(axes: Any, title: str, lines: dict[str, Any], *, low: float, high: float, place: str = "best") -> None:
    """Lines over layers on a logarithmic axis; what lies below is drawn at the edge."""
    for name, values in lines.items():
        axes.plot(range(1, len(values) + 1), np.clip(np.nan_to_num(values, nan=high), low, high), label=name)
    axes.set(yscale="log", ylim=(low, high), xlabel="layer", title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc=place)


def theory_line(axes: Any, values: Any, label: str | None = None) -> None:
    """What theory says, as thin dots in the colour of the text."""
    axes.plot(range(1, len(values) + 1), values, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label=label)


# ---------------------------------------------------------------------- home
@functools.cache
def _home(recipe: str) -> signals.Checked:
    options = {"recipe": recipe} if recipe else {}
    return signals.checked(signals.deep("GELU"), signals.digits(), **options)


def _home_panel(axes: Any, title: str, field: str) -> None:
    names = {"PyTorch's default": "", "textbook": "classic", "wellbegun": "auto"}
    lines = {name: getattr(_home(recipe), field)[:-1] for name, recipe in names.items()}
    order = ("wellbegun", "PyTorch's default", "textbook")
    by_layer(axes, title, {name: lines[name] for name in order}, low=1e-30, high=1e4, place="lower right")


@plot("home-signal")
def home_signal(axes: Any) -> None:
    _home_panel(axes, "RMS of the signal", "signal")
    axes.legend(loc="lower left")


@plot("home-gradient")
def home_gradient(axes: Any) -> None:
    _home_panel(axes, "Norm of the gradient", "gradient")
    axes.legend(loc="center left")


# ---------------------------------------------------------------------- zero and constant
@functools.cache
def _trainings() -> dict[str, signals.Training]:
    return {
        "random": signals.train(LECUN, LECUN),
        "constant": signals.train(wb.constant(0.05), wb.constant(0.05)),
        "zeros": signals.train(wb.zeros(), wb.zeros()),
    }


@plot("zero-loss")
def zero_loss(axes: Any) -> None:
    for name, training in _trainings().items():
        axes.plot(training.loss, label=name)
    axes.axhline(math.log(10), color=INK, linestyle=(0, (1, 2)), linewidth=1)
    axes.text(150, math.log(10) + 0.04, "chance", ha="right")
    axes.set(title="Loss on digits", xlabel="step", ylim=(0, 2.6))
    axes.legend(loc="lower left")


@plot("zero-units")
def zero_units(axes: Any) -> None:
    for name, colour, style in (("random", SERIES[0], "-"), ("constant", SERIES[1], "--"), ("zeros", SERIES[2], "-.")):
        traces = _trainings()[name].weights
        lines = axes.plot(traces, color=colour, linestyle=style, linewidth=1.1 if name == "random" else 2.4)
        lines[0].set_label(f"{name}: {len(np.unique(traces[-1].round(9)))} different")
    axes.set(title="One weight of each of 12 units", xlabel="step", ylim=(-0.75, 0.5))
    axes.legend(loc="lower left")


# ---------------------------------------------------------------------- naive and uniform
@plot("naive-depth")
def naive_depth(axes: Any) -> None:
    lines: dict[str, Any] = {
        f"std {std:g}": signals.flow(wb.normal(std=std), "relu", [256] * 25).signal for std in (0.3, 0.1, 0.03, 0.01)
    }
    lines["U(±1/√n)"] = signals.flow(wb.fan_in_uniform(), "relu", [256] * 25).signal
    by_layer(axes, "Signal, 24 ReLU layers of 256", lines, low=1e-14, high=1e14, place="upper left")
    axes.legend(loc="upper left", ncols=2)


@plot("naive-width")
def naive_width(axes: Any) -> None:
    widths = (1024, 256, 64, 16)
    lines = {f"width {n}": signals.flow(wb.normal(std=0.1), "relu", [n] * 25).signal for n in widths}
    by_layer(axes, "The same std 0.1, four widths", lines, low=1e-14, high=1e14, place="upper left")


# ---------------------------------------------------------------------- Xavier
TAPER = [round(1024 * 2 ** (-step / 3)) for step in range(13)]


@functools.cache
def _taper(mode: str) -> signals.Flow:
    return signals.flow(wb.variance_scaling(mode=mode), "linear", TAPER)


def _taper_panel(axes: Any, title: str, field: str) -> None:
    names = {"fan_avg (Xavier)": "fan_avg", "fan_in": "fan_in", "fan_out": "fan_out"}
    lines = {name: getattr(_taper(mode), field) for name, mode in names.items()}
    by_layer(axes, title, lines, low=0.1, high=20)
    axes.legend(loc="upper left")


@plot("xavier-signal")
def xavier_signal(axes: Any) -> None:
    _taper_panel(axes, "Signal, widths 1024 down to 64", "signal")


@plot("xavier-gradient")
def xavier_gradient(axes: Any) -> None:
    _taper_panel(axes, "Gradient, the same nets", "gradient")
    axes.legend(loc="upper right")


# ---------------------------------------------------------------------- He
@plot("he-signal")
def he_signal(axes: Any) -> None:
    widths = [512] * 41
    lines = {name: signals.flow(s, "relu", widths).signal for name, s in (("He", HE), ("Xavier, LeCun", LECUN))}
    lines["U(±1/√n)"] = signals.flow(wb.fan_in_uniform(), "relu", widths).signal
    by_layer(axes, "Signal, 40 ReLU layers of 512", lines, low=1e-16, high=1e2, place="lower left")
    for start, factor in ((1.0, 0.5), (3**-0.5, 1 / 6)):
        theory_line(axes, start * np.sqrt(factor ** np.arange(40)))
    theory_line(axes, np.full(40, math.sqrt(2)), "theory")
    axes.legend(loc="lower left")


@plot("he-correlation")
def he_correlation(axes: Any) -> None:
    found = signals.flow(HE, "relu", [512] * 41).correlation
    axes.plot(range(1, 41), found, label="measured")
    step, c = correlation_map("relu"), [found[0]]
    while len(c) < 40:
        c.append(float(step(c[-1])))
    theory_line(axes, c, "theory")
    axes.set(title="Correlation of two inputs, He", xlabel="layer", ylim=(0.3, 1.02))
    axes.legend(loc="lower right")


# ---------------------------------------------------------------------- LeCun and SELU
@plot("selu-signal")
def selu_signal(axes: Any) -> None:
    schemes = {"LeCun": LECUN, "He": HE, "Xavier ×0.75": wb.xavier_normal(gain=0.75)}
    lines = {name: signals.flow(scheme, "selu", [512] * 41).signal for name, scheme in schemes.items()}
    by_layer(axes, "Signal, 40 SELU layers of 512", lines, low=1e-3, high=1e5, place="upper left")


@plot("selu-fixed")
def selu_fixed(axes: Any) -> None:
    for start in (0.1, 0.5, 1.0, 2.0, 5.0):
        q = [start]
        while len(q) < 41:
            q.append(moments("selu", q=q[-1]).second)
        axes.plot(range(41), q, label=f"from {start:g}")
    axes.set(title="Variance behind SELU, theory", xlabel="layer", yscale="log", ylim=(0.08, 8))
    axes.legend(loc="upper right")


# ---------------------------------------------------------------------- orthogonal
@plot("orthogonal-spectrum")
def orthogonal_spectrum(axes: Any) -> None:
    size = 128
    for count in (1, 4, 16):
        product = np.eye(size)
        for layer in range(count):
            product = LECUN((size, size), seed=0, name=f"w{layer}", dtype="float64") @ product
        values = np.linalg.svd(product, compute_uv=False)
        axes.plot(np.arange(1, size + 1), np.maximum(values, 1e-8), label=f"{count} Gaussian")
    product = np.eye(size)
    for layer in range(16):
        product = wb.orthogonal()((size, size), seed=0, name=f"w{layer}", dtype="float64") @ product
    values = np.linalg.svd(product, compute_uv=False)
    axes.plot(np.arange(1, size + 1), values, color=SERIES[3], linestyle="-", label="16 orthogonal")
    axes.set(title="Singular values of products", xlabel="number, largest first", yscale="log", ylim=(1e-8, 1e2))
    axes.legend(loc="lower left")


@plot("orthogonal-lengths")
def orthogonal_lengths(axes: Any) -> None:
    kinds = ("Gaussian", LECUN, SERIES[1], "--"), ("orthogonal", wb.orthogonal(), SERIES[0], "-")
    for name, scheme, colour, style in kinds:
        lengths = signals.flow(scheme, "linear", [64] * 101, samples=12).lengths
        lines = axes.plot(range(1, 101), lengths / lengths[0], color=colour, linestyle=style, linewidth=1)
        lines[0].set_label(name)
    axes.set(title="Length of 12 inputs, width 64", xlabel="layer", yscale="log", ylim=(0.03, 30))
    axes.legend(loc="upper left")


# ---------------------------------------------------------------------- a scheme for each layer
@functools.cache
def _mixed(name: str) -> signals.Checked:
    options: dict[str, Any] = {"recipe": name}
    if name in ("he_normal", "xavier_normal"):
        options = {"rules": [("*.weight", name), ("*.bias", "zeros")]}
    return signals.checked(signals.hybrid, signals.digits(), **options)


def _mixed_panel(axes: Any, title: str, field: str) -> None:
    names = {"auto": "auto", "classic": "classic", "Xavier everywhere": "xavier_normal", "He everywhere": "he_normal"}
    lines = {name: getattr(_mixed(key), field)[:-1] for name, key in names.items()}
    by_layer(axes, title, lines, low=1e-8, high=1e2)
    axes.legend(loc="lower left", ncols=2, columnspacing=1.0)
    for edge in (6.5, 12.5):
        axes.axvline(edge, color=INK, linewidth=0.8, alpha=0.6)
    for middle, text in ((3.5, "ReLU"), (9.5, "tanh"), (15.5, "sigmoid")):
        axes.text(middle, 22, text, ha="center")


@plot("mixed-signal")
def mixed_signal(axes: Any) -> None:
    _mixed_panel(axes, "RMS of the signal", "signal")


@plot("mixed-gradient")
def mixed_gradient(axes: Any) -> None:
    _mixed_panel(axes, "Norm of the gradient", "gradient")


# ---------------------------------------------------------------------- stable signals and gradients
SCALES = np.linspace(0.5, 2.5, 33)


@functools.cache
def _sweep(activation: str) -> list[signals.Flow]:
    schemes = [wb.variance_scaling(scale=float(scale) ** 2) for scale in SCALES]
    return [signals.flow(scheme, activation, [128] * 51, samples=8) for scheme in schemes]


def _sweep_panel(axes: Any, title: str, pick: Any) -> None:
    for name in ("relu", "tanh", "gelu"):
        axes.plot(SCALES, [np.clip(pick(found), 1e-20, 1e20) for found in _sweep(name)], label=name)
    axes.axhspan(1e-2, 1e2, color=SERIES[0], alpha=0.15, linewidth=0)
    axes.set(title=title, xlabel="std of weights × √n", yscale="log", ylim=(1e-14, 1e14))
    axes.legend(loc="upper left")


@plot("stable-signal")
def stable_signal(axes: Any) -> None:
    _sweep_panel(axes, "Signal: layer 50 / layer 1", lambda found: found.signal[-1] / found.signal[0])


@plot("stable-gradient")
def stable_gradient(axes: Any) -> None:
    _sweep_panel(axes, "Gradient: layer 1 / layer 50", lambda found: found.gradient[0] / found.gradient[-1])


# ---------------------------------------------------------------------- theory
@plot("variance-map")
def variance_map(axes: Any) -> None:
    grid = np.linspace(0.02, 3, 60)
    second = np.array([moments("tanh", q=float(q)).second for q in grid])
    for scale in (2.0, 1.3, 0.8):
        axes.plot(grid, scale**2 * second, label=f"tanh, σ = {scale:g}")
    axes.plot(grid, grid, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label="unchanged")
    axes.set(title="One layer: variance in, variance out", xlabel="in", ylim=(0, 3))
    axes.legend(loc="upper left")


@plot("variance-depth")
def variance_depth(axes: Any) -> None:
    for index, scale in enumerate((2.0, 1.3, 0.8)):
        scheme = wb.variance_scaling(scale=scale**2)
        found = signals.flow(scheme, "tanh", [512] * 21).signal ** 2
        axes.plot(range(1, 21), found, "o", markersize=3.5, color=SERIES[index], label=f"σ = {scale:g}")
        q = [found[0]]
        while len(q) < 20:
            q.append(scale**2 * moments("tanh", q=float(q[-1])).second)
        axes.plot(range(1, 21), q, color=SERIES[index], linestyle="-", linewidth=1.2)
    axes.set(title="Twenty layers: dots measured", xlabel="layer", yscale="log", ylim=(1e-4, 10))
    axes.legend(loc="lower left")


@plot("chaos-maps")
def chaos_maps(axes: Any) -> None:
    grid = np.linspace(0, 1, 101)
    for name in ("relu", "gelu", "tanh", "sin"):
        axes.plot(grid, correlation_map(name)(grid), label=name)
    axes.plot(grid, grid, color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label="unchanged")
    axes.set(title="Correlation: one layer", xlabel="before", ylim=(0, 1.02))
    axes.legend(loc="upper left")


@plot("chaos-depth")
def chaos_depth(axes: Any) -> None:
    edge = wb.edge_of_chaos("tanh", bias_std=0.2).weight_std
    sides = {"ordered": np.linspace(0.9, edge - 0.03, 10), "chaotic": np.linspace(edge + 0.03, 2.0, 12)}
    for label, side in sides.items():
        axes.plot(side, [fixed_point("tanh", float(scale), 0.2).depth_scale for scale in side], label=label)
    axes.axvline(edge, color=INK, linewidth=1)
    axes.text(edge + 0.03, 1.3, f"edge: {edge:.3f}")
    axes.set(
        title="Layers that information crosses",
        xlabel="σ of weights, tanh, σ of biases 0.2",
        yscale="log",
        ylim=(1, 200),
    )
    axes.legend(loc="upper right")


def _paired(layer: int, last: int) -> Any:
    if layer == 0:
        return wb.mirrored(wb.orthogonal())
    return wb.mirrored(wb.orthogonal(), outputs=layer != last, inputs=(256,))


@functools.cache
def _pairs() -> dict[str, signals.Flow]:
    widths = [256] * 51
    return {
        "mirrored, orthogonal": signals.flow(lambda layer: _paired(layer, 49), "gelu", widths),
        "He-like Gaussian": signals.flow(wb.variance_scaling(scale=wb.gain("gelu") ** 2), "gelu", widths),
        "orthogonal": signals.flow(wb.orthogonal(gain=wb.gain("gelu")), "gelu", widths),
    }


@plot("mirror-gradient")
def mirror_gradient(axes: Any) -> None:
    by_layer(axes, "Gradient, 50 GELU layers", {n: f.gradient for n, f in _pairs().items()}, low=1e-3, high=1e5)
    axes.legend(loc="upper right")


@plot("mirror-correlation")
def mirror_correlation(axes: Any) -> None:
    for name, found in _pairs().items():
        axes.plot(range(1, 51), found.correlation, label=name)
    axes.set(title="Correlation of two inputs", xlabel="layer", ylim=(0, 1.05))
    axes.legend(loc="lower right")


@plot("residual-signal")
def residual_signal(axes: Any) -> None:
    count = 16
    for name, factor in (("branches × 1", 1.0), ("× 1/√16", count**-0.5), ("× 1/16", 1 / count)):
        scheme = wb.variance_scaling(scale=2 * factor**2)
        found = signals.flow(scheme, "relu", [256] * (count + 2), skip=1.0).signal
        axes.plot(range(len(found)), found / found[0], label=name)
    axes.axhline(math.sqrt(math.e), color=INK, linestyle=(0, (1, 2)), linewidth=1.2, label="√e")
    axes.set(title="Signal of a residual stream", xlabel="branches", yscale="log", ylim=(0.7, 500))
    axes.legend(loc="upper left")


@plot("correction")
def correction(axes: Any) -> None:
    batch = signals.digits().reshape(-1, 1, 8, 8)
    for name, calibrate in (("after one pass", True), ("by theory alone", False)):
        found = signals.checked(signals.padded, batch, calibrate=calibrate)
        axes.plot(range(1, 21), found.signal[:-1], label=name)
    axes.set(title="Signal, 20 padded convolutions", xlabel="layer", yscale="log", ylim=(0.05, 2))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower left")


def main() -> None:
    """Write plots to a folder: `python docs/plots.py docs/figures home-gradient` is the one of the README."""
    folder, names = Path(sys.argv[1]), sys.argv[2:] or list(PLOTS)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.svg").write_text(standing_alone(name))


if __name__ == "__main__":
    main()
