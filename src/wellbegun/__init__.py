"""The first value of every parameter of a neural network: the right law, at the right scale, exactly once.

Names are exported as type checkers understand it: by `name as name`, and by a star import of all schemes.
"""

import importlib
import types
import typing

from wellbegun import _display
from wellbegun.engine import fill as fill
from wellbegun.layout import Fans as Fans
from wellbegun.layout import Layout as Layout
from wellbegun.schemes.catalogue import *  # noqa: F403

if typing.TYPE_CHECKING:
    from wellbegun.api import Applied as Applied
    from wellbegun.api import Result as Result
    from wellbegun.api import apply as apply
    from wellbegun.api import check as check
    from wellbegun.api import initialize as initialize
    from wellbegun.api import plan as plan
    from wellbegun.api import race as race
    from wellbegun.api import report as report
    from wellbegun.api import show as show
    from wellbegun.api import signal_propagation as signal_propagation
    from wellbegun.health import Health as Health
    from wellbegun.materialize import Ledger as Ledger
    from wellbegun.planning import Plan as Plan
    from wellbegun.planning import Rule as Rule
    from wellbegun.planning import diff as diff
    from wellbegun.planning import explain as explain
    from wellbegun.racing.results import Race as Race
    from wellbegun.storage import load_plan as load_plan
    from wellbegun.storage import save_plan as save_plan
    from wellbegun.theory import edge_of_chaos as edge_of_chaos
    from wellbegun.theory import gain as gain
    from wellbegun.theory import moments as moments

# imported when first used: planning costs more to import than schemes, laws and fill together
_LATER = dict.fromkeys(("Applied", "Result", "apply", "check", "initialize", "plan", "race"), "wellbegun.api")
_LATER |= dict.fromkeys(("report", "show", "signal_propagation"), "wellbegun.api")
_LATER |= dict.fromkeys(("Plan", "Rule", "diff", "explain"), "wellbegun.planning")
_LATER |= dict.fromkeys(("load_plan", "save_plan"), "wellbegun.storage")
_LATER |= dict.fromkeys(("edge_of_chaos", "gain", "moments"), "wellbegun.theory")
_LATER |= {"Race": "wellbegun.racing.results", "Health": "wellbegun.health"}
_LATER |= {"Ledger": "wellbegun.materialize"}

__version__ = "0.1.0"
globals()["__all__"] = sorted(
    {name for name, item in globals().items() if name[0] != "_" and not isinstance(item, types.ModuleType)} | {*_LATER}
)


def _rendered(form: str, item: object) -> typing.Any:
    """What notebooks, terminals and data frames show, from a row that is loaded when one asks."""
    return importlib.import_module("wellbegun.reports.shown").rendered(form, item)


_display.display_with(_rendered)


def __getattr__(name: str) -> typing.Any:
    if name == "keras":
        return importlib.import_module("wellbegun.keras")  # wb.keras.reset, wb.keras.initializers
    if name not in _LATER:
        raise AttributeError(f"module 'wellbegun' has no attribute {name!r}")
    found = getattr(importlib.import_module(_LATER[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
