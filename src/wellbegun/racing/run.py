"""The race itself: which trials to run, and when to stop some."""

import os
import statistics
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from wellbegun._arguments import integer, path_of, text_of
from wellbegun.errors import MissingDependencyError
from wellbegun.racing.pool import Pool
from wellbegun.racing.progress import Progress, shown
from wellbegun.racing.results import Race
from wellbegun.racing.settings import Settings
from wellbegun.racing.statistics import area, ceiling_of
from wellbegun.racing.store import Store
from wellbegun.racing.work import Arm, Job

Entry = tuple[str, Arm]  # candidate, and its optimizer and rate
SPLIT = 4  # jobs for each worker, at least: fewer would leave workers idle at the end


def run(
    settings: Settings,
    *,
    jobs: int | None = None,
    backend: str | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | Progress = True,
) -> Race:
    """Every trial of a race, over joblib; see `wellbegun.race`."""
    check_jobs(jobs)
    kit = settings.kit
    entries = [(name, arm) for name in kit.candidates for arm in settings.arms]
    order = [(name, *arm, seed) for name, arm in entries for seed in settings.seeds]
    path = None if resume is None else Path(path_of("race", resume))
    if backend is not None:
        text_of("race", "backend", backend)
    store = Store(order, settings.fingerprint(), settings.description(), kit.chance, path)
    interrupted = False
    pool = Pool(kit, settings.arrays, jobs, backend)
    with shown(progress) as tell:
        try:
            _climb(settings, entries, store, pool, tell)
        except KeyboardInterrupt:
            interrupted = True
    store.save(interrupted=interrupted, now=True)
    return store.race(interrupted=interrupted)


def check_jobs(jobs: Any) -> None:
    """Whether joblib is there, and the number of workers makes sense."""
    try:
        import joblib  # noqa: F401 - the message below is better than the one from inside
    except ImportError as error:
        raise MissingDependencyError("race: joblib runs it. Install it: pip install 'wellbegun[race]'.") from error
    if jobs is not None and jobs != -1:
        integer("race", "jobs", jobs, minimum=1)


def _climb(settings: Settings, alive: list[Entry], store: Store, pool: Pool, tell: Progress) -> None:
    """Train all that is left at each rung, then keep the better half of it.

    A trial that goes on is trained again from its start, which gives the same bits; so no state of a model has to be
    kept or moved. With rungs at 1/8, 1/4 and 1/2 of the steps, half of the work of a full race is left.
    """
    sizes = [len(alive)]
    for _ in settings.rungs[1:]:
        sizes.append(_half(sizes[-1]))
    total, done = sum(sizes) * len(settings.seeds), 0
    for rung, goal in enumerate(settings.rungs):
        waiting = list(_missing(settings, alive, store, goal))
        done += len(alive) * len(settings.seeds) - len(waiting)
        tell(done, total, "")
        jobs = jobs_of(waiting, goal, pool.workers)
        with closing(pool.run(jobs)) as trials:
            for trial in trials:
                store.add([trial])
                store.save()
                done += 1
                tell(done, total, f"{trial.candidate}, {trial.optimizer} {trial.rate:g}, seed {trial.seed}")
        if rung + 1 < len(settings.rungs):
            alive = survivors(alive, store, settings, goal)


def _half(size: int) -> int:
    return (size + 1) // 2


def _missing(settings: Settings, alive: Iterable[Entry], store: Store, goal: int) -> Iterator[tuple[str, int, Arm]]:
    """Trials that have not gone so far yet; seed by seed, so that an interrupt leaves whole comparisons."""
    entries = list(alive)
    for seed in settings.seeds:
        for name, arm in entries:
            known = store.trials.get((name, *arm, seed))
            if known is None or not (known.reaches(goal) or known.status == "failed"):
                yield name, seed, arm


def jobs_of(waiting: Iterable[tuple[str, int, Arm]], goal: int, workers: int) -> list[Job]:
    """Trials that share their first weights together, but enough jobs for all workers."""
    groups: dict[tuple[str, int], list[Arm]] = {}
    for name, seed, arm in waiting:
        groups.setdefault((name, seed), []).append(arm)
    each = max(1, sum(map(len, groups.values())) // (SPLIT * workers))
    return [
        Job(name, seed, tuple(arms[start : start + each]), goal)
        for (name, seed), arms in groups.items()
        for start in range(0, len(arms), each)
    ]


def survivors(alive: list[Entry], store: Store, settings: Settings, goal: int) -> list[Entry]:
    """The better half (rounded up) by the median over seeds of the area so far; ties go to the one named first."""
    ceiling = ceiling_of(store.trials.values(), settings.kit.chance)

    def score(entry: Entry) -> float:
        name, arm = entry
        trials = [store.trials[name, *arm, seed] for seed in settings.seeds if (name, *arm, seed) in store.trials]
        areas = [area(trial, goal, ceiling) for trial in trials if trial.reaches(goal)]
        return statistics.median(areas) if areas else float("inf")

    ranked = sorted(alive, key=score)[: _half(len(alive))]
    return [entry for entry in alive if entry in ranked]
