"""A finished race: every trial, the standings, and how certain they are."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from wellbegun._arguments import known, real
from wellbegun._display import Displayed
from wellbegun.errors import ArgumentError
from wellbegun.racing.files import read, write
from wellbegun.racing.records import Paired, Standing, Trial
from wellbegun.racing.statistics import Table, paired, standings

__all__ = ["Paired", "Race", "Standing", "Trial"]


@dataclass(frozen=True, repr=False)
class Race(Displayed):
    """Candidates trained briefly from several seeds: who learns fastest, and how certain that is.

    `wellbegun.show(race)` prints it.

    Args:
        trials: Every training with its loss curve.
        standings: One for each candidate, best first.
        chance: Loss of a model that knows nothing, or None if it cannot be told. Areas are in units of it.
        description: What was raced, in words.
        interrupted: Whether Ctrl-C ended the race before all trials were done.
        settings: What the race was asked for, with fingerprints of model and data.
    """

    trials: tuple[Trial, ...]
    standings: tuple[Standing, ...]
    chance: float | None
    description: str
    interrupted: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(
        trials: tuple[Trial, ...],
        chance: float | None,
        description: str = "",
        *,
        interrupted: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> "Race":
        """The race with these trials; the standings follow from them."""
        return Race(trials, standings(trials, chance), chance, description, interrupted, settings or {})

    def __repr__(self) -> str:
        return f"<Race: {self.verdict}>"

    @cached_property
    def _table(self) -> Table:
        return Table(self.trials, self.chance)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names, best first."""
        return tuple(standing.candidate for standing in self.standings)

    def paired(self, first: str, second: str, confidence: float = 0.95) -> Paired:
        """Compare two candidates on the same seeds; see `Paired`.

        Raises:
            UnknownNameError: no such candidate. ArgumentError: a confidence outside (0, 1), or one candidate twice.

        >>> curves = {"a": (1.0, 1.1, 0.9), "b": (2.0, 2.1, 2.2)}
        >>> trials = [
        ...     Trial(name, "adam", 1e-3, seed, (loss,), "done", None, 0.0)
        ...     for name, losses in curves.items() for seed, loss in enumerate(losses)
        ... ]
        >>> race = Race.of(tuple(trials), chance=2.0)
        >>> race.paired("a", "b").wins, race.winner
        (3, 'a')
        """
        for argument, name in (("first", first), ("second", second)):
            known("race.paired", argument, name, self.candidates)
        share = real("race.paired", "confidence", confidence)
        if not 0 < share < 1:
            raise ArgumentError(f"race.paired: confidence must be in (0, 1); got {confidence!r}. Usual: 0.95.")
        if first == second:
            raise ArgumentError(f"race.paired: first and second must be two candidates; got {first!r} twice.")
        return paired(self._table, first, second, share)

    @cached_property
    def pairs(self) -> tuple[Paired, ...]:
        """Every two candidates, the better placed first."""
        names = self.candidates
        return tuple(self.paired(one, two) for place, one in enumerate(names) for two in names[place + 1 :])

    @property
    def winner(self) -> str | None:
        """The first candidate, if its interval against every other one lies below 0; else None.

        Comparing the best of several with the rest needs no wider intervals than comparing two, as the worst case is
        two candidates with the same mean (Gutmann and Maymin 1987, Annals of Statistics 15(1)).
        """
        rivals = [pair for pair in self.pairs if pair.first == self.candidates[0]]
        return self.candidates[0] if rivals and all(pair.high < 0 for pair in rivals) else None

    @property
    def verdict(self) -> str:
        """Who wins, with what certainty, in one sentence."""
        if not self.standings or self.standings[0].steps == 0:
            return "no trial was finished"
        first = self.standings[0]
        if len(self.standings) == 1:
            return f"{first.candidate} ran alone"
        if self.winner is not None:
            return f"{first.candidate} wins: the 95 % interval of its lead over every other candidate leaves 0 out"
        rivals = [pair for pair in self.pairs if pair.first == first.candidate and not pair.high < 0]
        close = ", ".join(pair.second for pair in rivals)
        return f"no certain winner: {first.candidate} is ahead, but by too little to be sure against {close}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "verdict": self.verdict,
            "winner": self.winner,
            "chance": self.chance,
            "description": self.description,
            "interrupted": self.interrupted,
            "standings": [asdict(standing) for standing in self.standings],
            "pairs": [asdict(pair) for pair in self.pairs],
            "trials": [asdict(trial) for trial in self.trials],
            "settings": dict(self.settings),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the trials to a .parquet (needs pyarrow) or .csv file, one row each; whole or not at all.

        Raises:
            ModelError: another kind of file, or one that cannot be written. MissingDependencyError: no pyarrow.
        """
        head = {"chance": self.chance, "description": self.description, "interrupted": self.interrupted}
        return write(self.trials, {**head, "settings": dict(self.settings)}, Path(path))

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "Race":
        """Read what `save` or `resume=` wrote; the standings are computed again.

        Raises:
            ModelError: no such file, or one that holds no race.
        """
        trials, head = read(Path(path))
        return Race.of(
            trials,
            head["chance"],
            head["description"],
            interrupted=head["interrupted"],
            settings=head["settings"],
        )
