"""Remedies are tried, on a copy of the model, before they are printed."""

import math
from collections.abc import Callable
from dataclasses import replace

from wellbegun._arguments import told
from wellbegun.backend import Backend, Model
from wellbegun.errors import WellbegunError
from wellbegun.health import INSTEAD, TRAINED, Finding, Health, Remedy, mends

MOST = 6  # trials for one check: each is a copy of the model, and as long as `initialize`
EACH = 4  # for one finding
LARGEST = 1 << 28  # parameters up to which a model is copied
Begun = Callable[[Model, Remedy], Health]  # carries a remedy out


def tried(backend: Backend, model: Model, health: Health, begun: Begun) -> Health:
    """The same findings with remedies that were seen to mend them, or words where none of those tried does.

    The first finding of each code is tried, for at most `MOST` trials in all; the rest keep what is proposed. Trained
    values are never drawn again.
    """
    bad = [found for found in health.findings if found.severity == "unhealthy" and found.candidates]
    if not bad:
        return health
    if health.statistics.trained:
        return _told(health, {id(found): _words(found, TRAINED) for found in bad}, "")
    size = sum(math.prod(parameter.shape) for parameter in backend.describe(model).values())
    if size > LARGEST:
        return _told(health, {}, f"the model has {size:,} parameters, and is not copied above {LARGEST:,}")
    trials, chosen = _Trials(backend, model, health, begun), dict[int, str]()
    for found in {found.code: found for found in reversed(bad)}.values():
        chosen[id(found)] = ""
    for found in bad:
        if id(found) in chosen and trials.left and not trials.failed:
            chosen[id(found)] = trials.remedy(found)
    return _told(health, chosen, trials.failed)


class _Trials:
    """What came of each call so far: findings share some."""

    def __init__(self, backend: Backend, model: Model, health: Health, begun: Begun) -> None:
        self.backend, self.model, self.health, self.begun = backend, model, health, begun
        self.left, self.failed = MOST, ""  # why the model cannot be copied
        self._known: dict[Remedy, Health | None] = {}

    def remedy(self, found: Finding) -> str:
        """The first call that mends a finding; words if none does, and nothing where too few were tried to say so."""
        for call in found.candidates[:EACH]:
            if call not in self._known:
                if not self.left or self.failed:
                    return ""
                self._known[call] = self._after(call)
            after = self._known[call]
            if after is not None and mends(call, found, self.health, after):
                return str(call)
        return "" if self.failed else _words(found, "")

    def _after(self, call: Remedy) -> Health | None:
        """The health of a copy; None if it cannot be initialized so."""
        self.left -= 1
        try:
            with self.backend.copied(self.model) as copy:
                try:
                    after = self.begun(copy, call)
                except WellbegunError:
                    return None
        except Exception as error:  # whatever copying the user's objects raises
            self.failed = f"the model cannot be copied: {told(error)}"
            return None
        if _used(after) != _used(self.health):
            self.failed = "a copy of the model does not run on its own parameters"
        return after


def _used(health: Health) -> set[str]:
    """Parameters that a pass has read."""
    return {parameter.name for parameter in health.statistics.parameters if parameter.used}


def _words(found: Finding, before: str) -> str:
    hint = next(text for start, text in INSTEAD.items() if found.code.startswith(start))
    begin = before or "drawing weights again was tried on a copy, and does not mend this"
    return f"# {begin}: {hint.format(place=found.place)}"


def _told(health: Health, chosen: dict[int, str], failed: str) -> Health:
    findings = tuple(
        replace(found, remedy=chosen[id(found)]) if chosen.get(id(found)) else found for found in health.findings
    )
    notes = (*health.statistics.notes, *([f"Remedies were not tried: {failed}."] if failed else []))
    return Health(findings, replace(health.statistics, notes=notes))
