"""Remedies are tried, on a copy of the model, before they are printed."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from wellbegun import measure
from wellbegun._arguments import told
from wellbegun._typing import Progress
from wellbegun.backend import Backend, Batch, Model
from wellbegun.errors import WellbegunError
from wellbegun.health import INSTEAD, TRAINED, Finding, Health, Remedy, examine, mends

MOST = 8  # trials for one check: each is a copy of the model, and as long as `initialize`
EACH = 4  # calls for one finding
SEEDS = 2  # a call must help whatever is drawn
LARGEST = 1 << 28  # parameters up to which a model is copied
NOT_TRIED = "  # not tried"
Begun = Callable[[Model, Remedy, int], Health]  # carries a remedy out, with the seed that is so much larger


def tried(backend: Backend, model: Model, health: Health, begun: Begun, progress: Progress | None = None) -> Health:
    """The same findings with remedies that were seen to mend them, or words where none of those tried does.

    The first finding of each code is tried, for at most `MOST` trials in all; the rest, and remarks, keep what is
    proposed, which says that it was not tried. Trained values are never drawn again. `progress` is called before each
    trial.
    """
    calls = [found for found in health.findings if found.candidates]
    bad = [found for found in calls if found.severity == "unhealthy"]
    chosen = {id(found): found.remedy + NOT_TRIED for found in calls}
    if health.statistics.trained:
        return _told(health, {id(found): _words(found, TRAINED) for found in calls}, "")
    size = sum(math.prod(parameter.shape) for parameter in backend.describe(model).values()) if bad else 0
    if size > LARGEST:
        return _told(health, chosen, f"the model has {size:,} parameters, and is not copied above {LARGEST:,}")
    trials = _Trials(backend, model, health, begun, progress)
    first = {found.code: found for found in reversed(bad)}
    for found in bad:
        if first[found.code] is found:
            chosen[id(found)] = trials.remedy(found) or chosen[id(found)]
    return _told(health, chosen, trials.failed)


class Blown(Exception):  # noqa: N818 - no error: it never leaves `initialize`
    """A start with which signals explode or stop being finite."""

    CODES = frozenset({"W102", "W401"})

    def __init__(self, health: Health) -> None:
        super().__init__()
        first = next((found for found in health.findings if found.code in self.CODES), None)
        where = "signals explode in another process" if first is None else f"{first.place} is at fault ({first.code})"
        self.note = f"Everything is kept as constructed, where the model is healthy: with what is planned here {where}."

    @classmethod
    def seen(cls, health: Health) -> bool:
        """Whether a start is one."""
        return not cls.CODES.isdisjoint(health.codes)

    @staticmethod
    def needless(backend: Backend, model: Model, batch: Batch, judged: dict[str, Any]) -> bool:
        """Whether the model is healthy as it was constructed; on memory that holds nothing it may fail to run."""
        try:
            return examined(backend, model, batch, judged).healthy
        except WellbegunError:
            return False


def examined(backend: Backend, model: Model, batch: Batch, judged: dict[str, Any]) -> Health:
    """How healthy a model is as it stands; `judged`: the loss, what chance gives, and who is told of progress."""
    return examine(measure.probe(backend, model, batch, **judged), backend.remedies)


class _Trials:
    """What came of each call so far: findings share some."""

    def __init__(self, backend: Backend, model: Model, health: Health, begun: Begun, progress: Progress | None) -> None:
        self.backend, self.model, self.health, self.begun, self.progress = backend, model, health, begun, progress
        self.left, self.failed = MOST, ""  # why the model cannot be copied
        self._known: dict[tuple[Remedy, int], Health | None] = {}

    def remedy(self, found: Finding) -> str:
        """The first call that mends a finding; words if none does, and nothing where too few were tried to say so."""
        for call in found.candidates[:EACH]:
            helped = [self._helps(call, found, number) for number in range(SEEDS)]
            if self.failed or None in helped:
                return ""
            if all(helped):
                return str(call)
        return _words(found, "")

    def _helps(self, call: Remedy, found: Finding, number: int) -> bool | None:
        """None where nothing more can be tried. Once it has not helped, it does not."""
        if number and not self._helps(call, found, number - 1):
            return False
        if (call, number) not in self._known:
            if not self.left or self.failed:
                return None
            self._known[call, number] = self._after(call, number)
        after = self._known[call, number]
        return after is not None and mends(call, found, self.health, after)

    def _after(self, call: Remedy, number: int) -> Health | None:
        """The health of a copy; None if it cannot be initialized so."""
        if self.progress is not None:
            self.progress(MOST - self.left, MOST, f"try {call}")
        self.left -= 1
        try:
            with self.backend.copied(self.model) as copy:
                try:
                    after = self.begun(copy, call, number)
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
