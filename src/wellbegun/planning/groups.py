"""Groups of parameters for an optimizer, from the multipliers of a plan."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, SupportsFloat

from wellbegun._arguments import choice, message, nearest, real, texts_of
from wellbegun.errors import ArgumentTypeError, RuleError
from wellbegun.planning.multipliers import KINDS

if TYPE_CHECKING:
    from wellbegun.planning.plan import Entry

_OWNER = "param_groups"


def grouped(
    entries: Iterable["Entry"],
    parameters: Any,
    asked: Mapping[str, SupportsFloat],
    optimizer: str,
    no_decay: Iterable[str],
) -> list[dict[str, Any]]:
    """See `Plan.param_groups`."""
    choice(_OWNER, "optimizer", optimizer, KINDS)
    lr, decay, eps = (real(_OWNER, name, value, minimum=0.0, exclusive=name == "lr") for name, value in asked.items())
    globs = texts_of(_OWNER, "no_decay", no_decay)
    found: dict[tuple[object, ...], dict[str, Any]] = {}
    for entry, parameter in _found(list(entries), parameters):
        muon = optimizer == "muon" and _is_matrix(entry)
        kind = "adamw" if optimizer == "muon" and not muon else optimizer
        rates, decayed = entry.rates(kind), not any(fnmatchcase(entry.role, glob) for glob in globs)
        group = {
            "params": [],
            "lr": lr * rates.learning_rate,
            "weight_decay": decay * rates.weight_decay * decayed,
            **({"eps": eps * rates.epsilon} if kind == "adamw" else {}),
            **({"use_muon": muon} if optimizer == "muon" else {}),
        }
        key = tuple(float(f"{value:.10g}") for name, value in group.items() if name != "params")
        kept = found.setdefault(key, {**group, "name": f"{len(found)}: lr x {rates.learning_rate:.6g}"})
        kept["params"].append(parameter)
    return list(found.values())


def _is_matrix(entry: "Entry") -> bool:
    """Whether Muon takes it: a hidden matrix of two axes."""
    letters = "" if entry.layout is None else entry.layout.axes
    return sorted(letters) == ["i", "o"] and entry.role not in ("readout", "router")


def _found(entries: list["Entry"], parameters: Any) -> Iterable[tuple["Entry", object]]:
    """Each entry of a storage with its parameter, or with its name where none are given."""
    own = {entry.name: entry for entry in entries if entry.tied_to is None}
    if parameters is None:
        return [(entry, name) for name, entry in own.items()]
    every = {entry.name: entry for entry in entries}
    try:
        named = dict(parameters)
    except (TypeError, ValueError) as error:
        allowed = "pairs of names and parameters, such as model.named_parameters()"
        raise ArgumentTypeError(message(_OWNER, "parameters", allowed, parameters)) from error
    found: dict[int, tuple[Entry, object]] = {}
    still = True  # whether none is trained
    for name, parameter in named.items():
        if name not in every:
            raise RuleError(message(_OWNER, "a name", "one of the plan's", name, nearest(str(name), every)))
        trained = getattr(parameter, "requires_grad", True) and getattr(parameter, "trainable", True)
        still = still and not trained
        if trained and math.prod(every[name].shape):
            found.setdefault(id(parameter), (_whole(every[name], own), parameter))
    if named and still:
        remedy = "Tensors of a state_dict() are not: give model.named_parameters()."
        raise RuleError(
            message(_OWNER, "parameters", "such that some are trained", f"{len(named)} that are not", remedy)
        )
    return list(found.values())


def _whole(entry: "Entry", own: Mapping[str, "Entry"]) -> "Entry":
    """The entry that speaks of a parameter: of another name its first; of a part that a weight is computed from, and
    that is of another shape, nothing is multiplied."""
    whole = entry if entry.tied_to is None else own[entry.tied_to]
    return whole if whole.shape == entry.shape else replace(whole, training=None, learning_rate=1.0, layout=None)
