"""What a race measured, as plain data: one training, one candidate's standing, two candidates compared."""

import math
from dataclasses import dataclass
from typing import Literal

Status = Literal["done", "diverged", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """One short training: a candidate with an optimizer, a rate and a seed.

    `losses` holds the training loss before each update. Status "done" means all steps were trained; "diverged" that the
    last loss is not finite or more than ten times what it was at first (or by chance, if that is more), and that the
    trial was ended there; "stopped" that pruning or an interrupt ended it; "failed" that `error` happened instead.
    """

    candidate: str
    optimizer: str
    rate: float
    seed: int
    losses: tuple[float, ...]
    status: Status
    metric: float | None
    seconds: float
    error: str = ""
    findings: tuple[str, ...] = ()  # codes of the health check before the first step

    @property
    def key(self) -> tuple[str, str, float, int]:
        """What tells this trial from the others of its race."""
        return self.candidate, self.optimizer, self.rate, self.seed

    @property
    def arm(self) -> tuple[str, float]:
        """Optimizer and rate."""
        return self.optimizer, self.rate

    def reaches(self, steps: int) -> bool:
        """Whether it is known how this trial went up to so many steps; after diverging it is."""
        return self.status == "diverged" or (self.status != "failed" and len(self.losses) >= steps)

    @property
    def final(self) -> float:
        """Mean of the last five losses; infinite if it diverged."""
        last = self.losses[-5:]
        return math.inf if self.status in ("diverged", "failed") or not last else sum(last) / len(last)


@dataclass(frozen=True)
class Standing:
    """How one candidate did, at its best optimizer and rate. nan where nothing is known.

    Args:
        candidate: Its name.
        area: Median over the seeds of the area under the loss curve: the mean over the steps of the training loss, each
            loss capped (see `wellbegun.racing.statistics.area`), in units of chance if chance is known. 1 then means
            that nothing was learned.
        spread: First and third quartile of that area over the seeds.
        best_final: Lowest loss at the end over optimizers and rates: median over the seeds of the mean of the last five
            losses; in the loss's own units.
        converged: Share of its trials, over all optimizers, rates and seeds, that did not diverge.
        metric: Median of the metric at the end.
        seconds: Median time of one trial.
        best_rate, best_optimizer: Where the median area is lowest; among trials stopped early, of those that went
            furthest.
        steps: Steps the area covers.
        findings: Codes of the health check before the first step, of any of its trials.
        failed: Number of trials that failed.
        error: What the first of them said.
    """

    candidate: str
    area: float
    spread: tuple[float, float]
    best_final: float
    converged: float
    metric: float | None
    seconds: float
    best_rate: float
    best_optimizer: str
    steps: int = 0
    findings: tuple[str, ...] = ()
    failed: int = 0
    error: str = ""


@dataclass(frozen=True)
class Paired:
    """Two candidates on the same seeds: mean difference of their areas, first minus second, with its interval.

    Below 0 the first is better. On each seed both candidates had the same batches in the same order, and models built
    from the same random state. Each counts at its own best optimizer and rate.

    Args:
        first, second: The candidates.
        difference: Mean of area(first) - area(second) over the seeds that both have.
        low, high: Interval of that mean, which allows for the choice of the rate (see
            `wellbegun.racing.statistics.paired`); infinite for one seed.
        wins: Seeds on which the first has the smaller area.
        trials: Seeds compared.
        confidence: Of the interval.
        steps: Steps compared: those that both have.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    wins: int
    trials: int
    confidence: float = 0.95
    steps: int = 0

    @property
    def certain(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0
