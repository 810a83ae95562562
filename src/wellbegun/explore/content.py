"""Everything the page shows, as plain data: the playground packed, the chapters' figures, cards and laws."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.explore import lessons, packing, training
from wellbegun.explore.named import NOTHING, Added
from wellbegun.explore.networks import SLOPES, inner, layers
from wellbegun.explore.playground import (
    BINS,
    CHOICES,
    DEPTHS,
    LAYERS,
    SCALES,
    WIDTHS,
    Choice,
    Measured,
    Progress,
    gains_of,
    groups,
    has_theory,
    kinds_of,
    measure_all,
    range_of,
    stopping,
    theory_of,
)
from wellbegun.health.catalogue import COLLAPSE
from wellbegun.schemes import Scheme
from wellbegun.theory import gain, moments

WEIGHT_BINS = 49  # of the histogram of weights, over +-4 of their RMS


def content(
    progress: Progress | None = None, *, widths: Sequence[int] = WIDTHS, more: Added = NOTHING
) -> dict[str, Any]:
    """All data of the page.

    Args:
        progress: Called with (groups measured, all groups, what was measured).
        widths: Widths of the playground.
        more: What can be picked besides the choices of the page.
    Returns:
        "play" (what can be picked, and where it lies), "packed" (the measurements) and one entry for each chapter.
    Cost: about 20 s on two processors, and 3 s more for each kind of law that the page does not have by itself.
    """
    with stopping(1) as (pool, _):
        courses = {key: pool.submit(training.course, scheme) for key, scheme in training.STARTS.items()}
        measured = measure_all(progress, widths=widths, choices=(*CHOICES, *more.choices))
        trained = {key: course.result() for key, course in courses.items()}
    return {
        "play": play(widths, more),
        "packed": packed(measured, widths, more),
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
def play(widths: Sequence[int] = WIDTHS, more: Added = NOTHING) -> dict[str, Any]:
    """What can be picked, and which record of the packed arrays shows it."""
    start, starts, every = 0, {}, (*CHOICES, *more.choices)
    kinds = kinds_of(every)
    for kind, activation, width in groups(widths, every):
        starts[f"{kind} {activation} {width}"] = start
        start += len(gains_of(kind, width, every))
    choices = []
    for choice in every:
        own = [width for width in widths if width in choice.widths]
        rows = {str(width): rows_of(choice, width, every) for width in own}
        laws = {str(width): [_scaled_text(choice, width, scale) for scale in SCALES] for width in own}
        choices.append(
            {
                "key": choice.key,
                "label": choice.label,
                "kind": choice.kind,
                "rows": rows,
                "laws": laws,
                "std": {str(width): _std(choice, width) for width in own},
                "known": has_theory(choice.kind, kinds[choice.kind]),
            }
        )
    shown = [(choice.key, choice.label) for choice in CHOICES]
    return {
        "choices": [*choices, *({"key": each.key, "by": each.by} for each in more.shown if each.by)],
        "shown": shown + [(each.key, each.label) for each in more.shown if (each.key, each.label) not in shown],
        "activations": [_activation(name) for name in SLOPES],
        "depths": DEPTHS,
        "widths": list(widths),
        "scales": SCALES,
        "layers": LAYERS,
        "bins": BINS,
        "collapse": COLLAPSE,
        "starts": starts,
        "weights": {
            f"{kind} {width}": weights(kinds[kind], width)
            for kind, width in dict.fromkeys((kind, width) for kind, _, width in groups(widths, every))
        },
    }


def rows_of(choice: Choice, width: int, choices: Sequence[Choice] = CHOICES) -> list[int]:
    """Which gain of its kind the choice has at each scale."""
    known = gains_of(choice.kind, width, choices)
    return [int(np.argmin(np.abs(known - choice.gain(width) * scale))) for scale in SCALES]


def _std(choice: Choice, width: int) -> float:
    moments_of = inner(choice.scheme, width).law((width, width)).moments((width, width))
    return float(f"{math.sqrt(moments_of.variance + moments_of.mean**2):.6g}")


def _scaled_text(choice: Choice, width: int, scale: float) -> str:
    law = inner(choice.scheme, width).law((width, width))
    try:
        return law.scaled(scale).describe()
    except ArgumentError:  # what has its size by definition
        return f"{scale:.3g} × {law.describe()}"


def _activation(name: str) -> dict[str, Any]:
    averages = moments(name)
    return {
        "name": name,
        "range": range_of(name),
        "gain": gain(name),
        "second": averages.second,
        "slope": averages.slope,
    }


def packed(measured: Sequence[Measured], widths: Sequence[int] = WIDTHS, more: Added = NOTHING) -> dict[str, Any]:
    """All measurements and theory's curves, one record for each gain of each group."""
    every = (*CHOICES, *more.choices)
    known = {kind: has_theory(kind, unit) for kind, unit in kinds_of(every).items()}
    theory = [
        _theory(kind, activation, each.gains, known[kind])
        for (kind, activation, _), each in zip(groups(widths, every), measured, strict=True)
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


def _theory(kind: str, activation: str, gains: Array, known: bool) -> tuple[Array, Array]:
    if known:
        return theory_of(activation, kind, gains, max(DEPTHS))
    nothing = np.full((len(gains), max(DEPTHS)), -np.inf)
    return nothing, nothing


def weights(scheme: Scheme, width: int) -> dict[str, Any]:
    """Histogram of real weights against the shares of their law, over +-4 of their RMS."""
    law, shape = inner(scheme, width).law((width, width)), (width, width)
    rms = math.sqrt(law.moments(shape).variance + law.moments(shape).mean ** 2)
    drawn = np.concatenate([weight.ravel() for weight in layers(scheme, 10, width)[1:]]) / rms
    edges = np.linspace(-4, 4, WEIGHT_BINS + 1)
    below = law.distribution(shape)
    expected = [] if below is None else np.diff(below(edges * rms)).round(5).tolist()
    return {"counts": np.histogram(drawn, edges)[0].tolist(), "expected": expected}
