"""Everything the page shows, as plain data: the playground packed, the chapters' figures, cards and laws."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.explore import lessons, packing, training
from wellbegun.explore.networks import SLOPES, inner, layers
from wellbegun.explore.playground import (
    BINS,
    CHOICES,
    DEPTHS,
    KINDS,
    LAYERS,
    SCALES,
    WIDTHS,
    Choice,
    Measured,
    Progress,
    gains_of,
    groups,
    measure_all,
    range_of,
    theory_of,
)
from wellbegun.health.catalogue import COLLAPSE
from wellbegun.theory import gain, moments

WEIGHT_BINS = 49  # of the histogram of weights, over +-4 of their RMS


def content(progress: Progress | None = None, *, widths: Sequence[int] = WIDTHS) -> dict[str, Any]:
    """All data of the page.

    Args:
        progress: Called with (groups measured, all groups, what was measured).
        widths: Widths of the playground.
    Returns:
        "play" (what can be picked, and where it lies), "packed" (the measurements) and one entry for each chapter.
    Cost: about 20 s on two processors.
    """
    with ThreadPoolExecutor(1) as pool:
        courses = pool.submit(lambda: {key: training.course(scheme) for key, scheme in training.STARTS.items()})
        measured = measure_all(progress, widths=widths)
        trained = courses.result()
    return {
        "play": play(widths),
        "packed": packed(measured, widths),
        "symmetry": {key: training.symmetry(scheme) for key, scheme in training.SYMMETRY.items()},
        "naive": lessons.naive(),
        "balance": lessons.balance(),
        "halves": lessons.halves(),
        "homing": lessons.homing(),
        "tension": lessons.tension(),
        "singular": lessons.singular(),
        "hybrid": lessons.hybrid(),
        "formulas": lessons.formulas(),
        "courses": trained,
    }


# ---------------------------------------------------------------------- the playground
def play(widths: Sequence[int] = WIDTHS) -> dict[str, Any]:
    """What can be picked, and which record of the packed arrays shows it."""
    start, starts = 0, {}
    for kind, activation, width in groups(widths):
        starts[f"{kind} {activation} {width}"] = start
        start += len(gains_of(kind, width))
    choices = []
    for choice in CHOICES:
        rows = {str(width): rows_of(choice, width) for width in widths}
        laws = {str(width): [_scaled_text(choice, width, scale) for scale in SCALES] for width in widths}
        choices.append(
            {
                "key": choice.key,
                "label": choice.label,
                "kind": choice.kind,
                "rows": rows,
                "laws": laws,
                "std": {str(width): _std(choice, width) for width in widths},
            }
        )
    return {
        "choices": choices,
        "activations": [_activation(name) for name in SLOPES],
        "depths": DEPTHS,
        "widths": list(widths),
        "scales": SCALES,
        "layers": LAYERS,
        "bins": BINS,
        "collapse": COLLAPSE,
        "starts": starts,
        "weights": {f"{kind} {width}": weights(kind, width) for kind in KINDS for width in widths},
    }


def rows_of(choice: Choice, width: int) -> list[int]:
    """Which gain of its kind the choice has at each scale."""
    known = gains_of(choice.kind, width)
    return [int(np.argmin(np.abs(known - choice.gain(width) * scale))) for scale in SCALES]


def _std(choice: Choice, width: int) -> float:
    moments_of = inner(choice.scheme, width).law((width, width)).moments((width, width))
    return float(f"{math.sqrt(moments_of.variance + moments_of.mean**2):.6g}")


def _scaled_text(choice: Choice, width: int, scale: float) -> str:
    return inner(choice.scheme, width).law((width, width)).scaled(scale).describe()


def _activation(name: str) -> dict[str, Any]:
    averages = moments(name)
    return {
        "name": name,
        "range": range_of(name),
        "gain": gain(name),
        "second": averages.second,
        "slope": averages.slope,
    }


def packed(measured: Sequence[Measured], widths: Sequence[int] = WIDTHS) -> dict[str, Any]:
    """All measurements and theory's curves, one record for each gain of each group."""
    theory = [
        _theory(kind, activation, each.gains)
        for (kind, activation, _), each in zip(groups(widths), measured, strict=True)
    ]

    def all_of(name: str) -> Array:
        return np.concatenate([getattr(each, name) for each in measured])

    return packing.pack(
        {
            "handed": packing.logs(all_of("handed")),
            "gradient": packing.logs(all_of("gradient")),
            "theory": packing.logs(np.concatenate([each[0] for each in theory])),
            "theory_gradient": packing.logs(np.concatenate([each[1] for each in theory])),
            "extreme": packing.logs(all_of("extreme").transpose(0, 2, 1)),
            "flat": packing.shares(all_of("flat")),
            "dead": packing.shares(all_of("dead")),
            "apart": packing.logs(_apart(all_of("alike"))),
            "shape": packing.histograms(all_of("shape")),
            "gradient_shape": packing.histograms(all_of("gradient_shape")),
            "findings": all_of("findings").astype(np.uint8),
        }
    )


def _apart(cosines: Array) -> Array:
    """log10 of 1 minus the cosine, which says what a cosine near 1 hides."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log10(np.maximum(1 - cosines, 0)))


def _theory(kind: str, activation: str, gains: Array) -> tuple[Array, Array]:
    curves = theory_of(activation, kind, gains, max(DEPTHS))
    nothing = np.full((len(gains), max(DEPTHS)), -np.inf)
    return (nothing, nothing) if curves is None else curves


def weights(kind: str, width: int) -> dict[str, Any]:
    """Histogram of real weights against the shares of their law, over +-4 of their RMS."""
    scheme = KINDS[kind]
    law, shape = inner(scheme, width).law((width, width)), (width, width)
    rms = math.sqrt(law.moments(shape).variance + law.moments(shape).mean ** 2)
    drawn = np.concatenate([weight.ravel() for weight in layers(scheme, 10, width)[1:]]) / rms
    edges = np.linspace(-4, 4, WEIGHT_BINS + 1)
    below = law.distribution(shape)
    expected = [] if below is None else np.diff(below(edges * rms)).round(5).tolist()
    return {"counts": np.histogram(drawn, edges)[0].tolist(), "expected": expected}
