"""The first value of every parameter of a neural network: the right law, at the right scale, exactly once."""

import importlib
import typing

from wellbegun import _display
from wellbegun.engine import fill
from wellbegun.layout import Fans, Layout
from wellbegun.schemes import (
    by_section,
    constant,
    delta_orthogonal,
    dirac,
    eye,
    fan_in_uniform,
    he_normal,
    he_uniform,
    icnr,
    lecun_normal,
    lecun_uniform,
    log_uniform,
    mirrored,
    normal,
    ones,
    orthogonal,
    rademacher,
    sparse,
    truncated_normal,
    uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from wellbegun.theory import edge_of_chaos, gain, moments

if typing.TYPE_CHECKING:
    from wellbegun.api import Applied, Result, apply, check, initialize, plan, race, report, show, signal_propagation
    from wellbegun.health import Health
    from wellbegun.planning import Ledger, Plan, Rule, diff, explain
    from wellbegun.racing.results import Race
    from wellbegun.storage import load_plan, save_plan

# imported when first used: planning costs more to import than schemes, laws and fill together
_LATER = dict.fromkeys(("Applied", "Result", "apply", "check", "initialize", "plan", "race"), "wellbegun.api")
_LATER |= dict.fromkeys(("report", "show", "signal_propagation"), "wellbegun.api")
_LATER |= dict.fromkeys(("Ledger", "Plan", "Rule", "diff", "explain"), "wellbegun.planning")
_LATER |= dict.fromkeys(("load_plan", "save_plan"), "wellbegun.storage")
_LATER |= {"Race": "wellbegun.racing.results", "Health": "wellbegun.health"}

glorot_normal = xavier_normal
glorot_uniform = xavier_uniform
kaiming_normal = he_normal
kaiming_uniform = he_uniform

__version__ = "0.1.0"

__all__ = [
    "Applied",
    "Fans",
    "Health",
    "Layout",
    "Ledger",
    "Plan",
    "Race",
    "Result",
    "Rule",
    "apply",
    "by_section",
    "check",
    "constant",
    "delta_orthogonal",
    "diff",
    "dirac",
    "edge_of_chaos",
    "explain",
    "eye",
    "fan_in_uniform",
    "fill",
    "gain",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "icnr",
    "initialize",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "load_plan",
    "log_uniform",
    "mirrored",
    "moments",
    "normal",
    "ones",
    "orthogonal",
    "plan",
    "race",
    "rademacher",
    "report",
    "save_plan",
    "show",
    "signal_propagation",
    "sparse",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def _fragment(item: object) -> str:
    """HTML for notebooks, from a row that is loaded when one asks."""
    found: str = importlib.import_module("wellbegun.reports.html.fragments").fragment(item)
    return found


_display.display_with(_fragment)


def __getattr__(name: str) -> typing.Any:
    if name not in _LATER:
        raise AttributeError(f"module 'wellbegun' has no attribute {name!r}")
    found = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
