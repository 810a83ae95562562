"""What is done so far: in memory, and in the file that lets the same call go on."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wellbegun._arguments import cut
from wellbegun.errors import ArgumentError
from wellbegun.racing.files import check_path
from wellbegun.racing.records import Trial
from wellbegun.racing.results import Race

Key = tuple[str, str, float, int]  # candidate, optimizer, rate, seed
SHARE = 0.05  # of the time that writing may take


class Store:
    """Trials by what tells them apart. The file is replaced as trials come, each time whole."""

    def __init__(
        self,
        order: Iterable[Key],
        fingerprint: Mapping[str, Any],
        description: str,
        chance: float | None,
        path: Path | None,
    ) -> None:
        self.trials: dict[Key, Trial] = {}
        self._order = tuple(order)
        self._settings, self._description = dict(fingerprint), description
        self._chance, self._path = chance, path
        self._next = 0.0
        if path is not None:
            check_path(path, "resume")
            if path.exists():
                self._load(path)

    def _load(self, path: Path) -> None:
        race = Race.load(path)
        wanted = self._settings
        differing = [name for name in {**wanted, **race.settings} if wanted.get(name) != race.settings.get(name)]
        if differing:
            shown = "; ".join(f"{n}: {_change(race.settings.get(n), wanted.get(n))}" for n in differing)
            raise ArgumentError(
                f"race: resume must be the file of a race with the same settings; {cut(str(path))} differs in {shown}. "
                "Give another file for another race."
            )
        self.add(trial for trial in race.trials if trial.status != "failed")  # what failed may do better now

    def add(self, trials: Iterable[Trial]) -> None:
        """Keep these; of the same trial, the one that went furthest."""
        for trial in trials:
            known = self.trials.get(trial.key)
            if known is None or trial.status == "failed" or len(trial.losses) >= len(known.losses):
                self.trials[trial.key] = trial

    def save(self, *, interrupted: bool = True, now: bool = False) -> None:
        """Write the file, unless writing has taken too much of the time lately."""
        if self._path is None or (time.monotonic() < self._next and not now):
            return
        start = time.monotonic()
        self.race(interrupted=interrupted).save(self._path)
        self._next = time.monotonic() + (time.monotonic() - start) / SHARE

    def race(self, *, interrupted: bool) -> Race:
        """The race so far, its trials in the order in which they were asked for."""
        trials = tuple(self.trials[key] for key in self._order if key in self.trials)
        return Race.of(trials, self._chance, self._description, interrupted=interrupted, settings=self._settings)


def _change(old: Any, new: Any) -> str:
    """What differs, and only that."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        return ", ".join(f"{name} ({old.get(name)!r} there, {new.get(name)!r} now)" for name in names)
    return f"{old!r} there, {new!r} now"
