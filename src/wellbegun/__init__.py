"""The first value of every parameter of a neural network: the right law, at the right scale, exactly once.

Names are exported as type checkers understand it: by `name as name`, and by a star import of all schemes.
"""

import importlib
import importlib.util
import typing

from wellbegun import _display

if typing.TYPE_CHECKING:
    from wellbegun import errors as errors
    from wellbegun import health as health
    from wellbegun import laws as laws
    from wellbegun import planning as planning
    from wellbegun import reports as reports
    from wellbegun import schemes as schemes
    from wellbegun import storage as storage
    from wellbegun import theory as theory
    from wellbegun.api import Applied as Applied
    from wellbegun.api import Result as Result
    from wellbegun.api import apply as apply
    from wellbegun.api import check as check
    from wellbegun.api import compare_models as compare_models
    from wellbegun.api import coordinate_check as coordinate_check
    from wellbegun.api import initialize as initialize
    from wellbegun.api import plan as plan
    from wellbegun.api import race as race
    from wellbegun.api import report as report
    from wellbegun.api import reset as reset
    from wellbegun.api import show as show
    from wellbegun.api import signal_propagation as signal_propagation
    from wellbegun.engine import fill as fill
    from wellbegun.health import Health as Health
    from wellbegun.layout import Fans as Fans
    from wellbegun.layout import Layout as Layout
    from wellbegun.materialize import Ledger as Ledger
    from wellbegun.planning import Plan as Plan
    from wellbegun.planning import Rule as Rule
    from wellbegun.planning import diff as diff
    from wellbegun.planning import explain as explain
    from wellbegun.racing.results import Race as Race
    from wellbegun.schemes.catalogue import *  # noqa: F403
    from wellbegun.storage import load_plan as load_plan
    from wellbegun.storage import save_plan as save_plan
    from wellbegun.theory import edge_of_chaos as edge_of_chaos
    from wellbegun.theory import gain as gain
    from wellbegun.theory import moments as moments
    from wellbegun.theory import operating_point as operating_point

# imported when first used: the command line answers many questions without any of it
_LATER = dict.fromkeys(("Applied", "Result", "apply", "check", "initialize", "plan", "race"), "wellbegun.api")
_LATER |= dict.fromkeys(
    ("compare_models", "coordinate_check", "report", "reset", "show", "signal_propagation"), "wellbegun.api"
)
_LATER |= dict.fromkeys(("Plan", "Rule", "diff", "explain"), "wellbegun.planning")
_LATER |= dict.fromkeys(("load_plan", "save_plan"), "wellbegun.storage")
_LATER |= dict.fromkeys(("edge_of_chaos", "gain", "moments", "operating_point"), "wellbegun.theory")
_LATER |= {"Race": "wellbegun.racing.results", "Health": "wellbegun.health", "Ledger": "wellbegun.materialize"}
_LATER |= {"fill": "wellbegun.engine", "Fans": "wellbegun.layout", "Layout": "wellbegun.layout"}
_SCHEMES = "wellbegun.schemes.catalogue"
_PACKAGES = ("errors", "health", "laws", "planning", "reports", "schemes", "storage", "theory")

__version__ = "0.1.0"


def _rendered(form: str, item: object) -> typing.Any:
    """What notebooks, terminals and data frames show, from a row that is loaded when one asks."""
    return importlib.import_module("wellbegun.reports.shown").rendered(form, item)


_display.display_with(_rendered)


if not typing.TYPE_CHECKING:  # which would take every misspelled name for one that is there

    def __getattr__(name: str) -> typing.Any:
        found = _exported() if name == "__all__" else _found(name)
        globals()[name] = found
        return found


def _found(name: str) -> typing.Any:
    """What a name stands for: of those that are imported later, a scheme, or a package."""
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    if name.isidentifier() and name[0] != "_":
        if importlib.util.find_spec(f"{__name__}.{name}") is not None:
            return _package(name)
        schemes = importlib.import_module(_SCHEMES)
        if name in schemes.NAMES:
            return getattr(schemes, name)
    raise AttributeError(f"module 'wellbegun' has no attribute {name!r}")


def _package(name: str) -> typing.Any:
    """A package of ours; one whose framework is missing is no attribute, and says why."""
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ImportError as error:
        raise AttributeError(f"module 'wellbegun' has no attribute {name!r} here. {error}") from error


def _exported() -> list[str]:
    return sorted({*importlib.import_module(_SCHEMES).NAMES, *_LATER})


def __dir__() -> list[str]:
    return sorted({*_exported(), *_PACKAGES, *(name for name in globals() if name[0] == "_")})
