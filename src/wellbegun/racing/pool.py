"""Jobs over joblib: local processes, or whatever backend is configured. A worker that dies costs time and no result."""

import os
import warnings
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from wellbegun._arguments import message
from wellbegun.errors import ArgumentError
from wellbegun.racing.records import Trial
from wellbegun.racing.work import Job, Kit, pack, run_job

ALONE = 2  # times a job may be under way when a worker dies, before its trials run one at a time
AHEAD = 2  # jobs for each worker of a cluster that are sent ahead, so that none waits for the next


class Pool:
    """Runs jobs with joblib; trials are yielded as they come, in any order.

    Local workers are processes. When one dies (killed, out of memory, crashed in native code), joblib ends them all;
    the jobs that were under way start again in fresh workers. A job that was under way twice runs apart from others,
    one trial at a time, so that the trial which kills its workers is found and fails.

    A Dask cluster starts lost tasks again itself, and says which task it has given up (after four workers, unless it is
    set otherwise). joblib's backend never tells of that and waits for ever, so jobs go to its client directly.
    """

    def __init__(self, kit: Kit, arrays: dict[str, Any], jobs: int | None, backend: str | None) -> None:
        import joblib
        from joblib.parallel import get_active_backend

        configured = get_active_backend()[1]
        # joblib starts a worker again that has stopped for want of work; its warning, where warnings are errors, would
        # end the thread that does so, and the race would wait for ever
        warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
        self.n_jobs = jobs if jobs is not None else -1 if configured is None else configured
        self.backend = backend
        with self._configured():
            self.workers = int(joblib.effective_n_jobs(self.n_jobs))
            self.client: Any = getattr(get_active_backend()[0], "client", None)  # of Dask
        if self.client is not None and self.n_jobs > 0:
            self.workers = min(self.n_jobs, self.workers)
        self._given = (kit if self.n_jobs == 1 and self.client is None else pack(kit)), arrays

    @contextmanager
    def _configured(self) -> Iterator[None]:
        """The backend that was asked for, or that the caller configured."""
        import joblib

        if self.backend is None:
            yield
            return
        try:
            chosen = joblib.parallel_config(backend=self.backend)
        except ValueError as error:  # joblib's word for a backend it does not know, or that has no cluster
            allowed = "a backend that joblib can use here"
            raise ArgumentError(message("race", "backend", allowed, self.backend, f"joblib: {error}")) from error
        with chosen:
            yield

    def run(self, jobs: Iterable[Job]) -> Generator[Trial, None, None]:
        """Every trial of every job."""
        yield from self._local(jobs) if self.client is None else self._clustered(jobs)

    def _local(self, jobs: Iterable[Job]) -> Iterator[Trial]:
        waiting, strikes = list(jobs), Counter[Job]()
        while crowd := [job for job in waiting if strikes[job] < ALONE]:
            done: set[Job] = set()
            begun: list[Job] = []
            try:
                for job, trials in self._results(crowd, begun):
                    done.add(job)
                    yield from trials
            except BrokenProcessPool:
                strikes.update(job for job in begun if job not in done)
            waiting = [job for job in waiting if job not in done]
        for job in waiting:
            for arm in job.arms:
                yield from self._alone(job._replace(arms=(arm,)))

    def _results(self, jobs: Iterable[Job], begun: list[Job]) -> Generator[tuple[Job, list[Trial]], None, None]:
        """Jobs with their trials as they are done; `begun` holds those handed to joblib."""
        import joblib

        def handed() -> Iterator[Any]:
            for job in jobs:
                begun.append(job)
                yield joblib.delayed(_run)(*self._given, job, os.getpid())

        with self._configured():
            parallel = joblib.Parallel(
                self.n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="n_jobs"
            )
            found = parallel(handed())
            try:
                yield from found
            finally:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # joblib warns that work was cancelled: it was meant to be
                    found.close()

    def _alone(self, job: Job) -> Iterator[Trial]:
        """One trial in a worker of its own; "failed" if it kills that worker every time."""
        import joblib

        try:
            with self._configured():
                # two workers, as one would be this process
                found = joblib.Parallel(2)([joblib.delayed(_run)(*self._given, job, os.getpid())])
            yield from found[0][1]
        except BrokenProcessPool:
            yield _given_up(job, f"its worker died {ALONE + 1} times, at last while nothing else ran")

    def _clustered(self, jobs: Iterable[Job]) -> Iterator[Trial]:
        """A few jobs ahead for each worker; a job that the cluster gives up goes again as one job for each trial, and
        a trial while nothing else runs: a scheduler blames what waits at a worker for the death of it too."""
        from distributed import KilledWorker, as_completed

        waiting, blamed = list(jobs)[::-1], list[Job]()
        flying: dict[Any, tuple[Job, bool]] = {}
        done = as_completed()

        def submit(job: Job, alone: bool) -> None:
            future = self.client.submit(_run, *self._given, job, os.getpid(), pure=False)
            flying[future] = job, alone
            done.add(future)

        def send() -> None:
            while waiting and len(flying) < AHEAD * self.workers:
                submit(waiting.pop(), False)
            if blamed and not flying:
                submit(blamed.pop(), True)

        send()
        try:
            for future in done:
                job, alone = flying.pop(future)
                try:
                    yield from future.result()[1]
                except KilledWorker:
                    if alone:
                        yield _given_up(job, "every worker of the cluster that tried it died")
                    elif len(job.arms) == 1:
                        blamed.append(job)
                    else:
                        waiting += [job._replace(arms=(arm,)) for arm in job.arms]
                send()
        finally:
            self.client.cancel(list(flying))


def _given_up(job: Job, reason: str) -> Trial:
    """A job of one trial whose workers die."""
    ((optimizer, rate),) = job.arms
    error = f"{reason} (out of memory, or a crash)"
    return Trial(job.candidate, optimizer, rate, job.seed, (), "failed", None, 0.0, error)


def _run(packed: bytes | Kit, arrays: dict[str, Any], job: Job, parent: int) -> tuple[Job, list[Trial]]:
    return job, run_job(packed, arrays, job, parent)
