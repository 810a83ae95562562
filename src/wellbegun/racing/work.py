"""What a worker does: give a model its first values once, then train it with each optimizer and rate."""

import hashlib
import importlib.machinery
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from wellbegun._arguments import said, typed
from wellbegun.backend import Course, Trainer, named, samples_at
from wellbegun.errors import ArgumentError
from wellbegun.planning import Plan
from wellbegun.racing.data import Data
from wellbegun.racing.entrants import Candidate, Tools
from wellbegun.racing.records import Status, Trial

Arm = tuple[str, float]  # optimizer, rate
SAMPLES = 64  # of the first batch, for recipes that measure and for the health check


class Job(NamedTuple):
    """Trials of one candidate from one seed, which start from the same weights."""

    candidate: str
    seed: int
    arms: tuple[Arm, ...]
    steps: int


@dataclass(frozen=True)
class Kit:
    """What all trials have in common, but the data."""

    framework: str
    build: Callable[[], Any]
    candidates: Mapping[str, Candidate]
    optimizers: Mapping[str, Any]  # name -> name or function(parameters, rate)
    tools: Tools
    loss: Callable[[Any, Any], Any] | None
    metric: Callable[[Any, Any], Any] | None
    chance: float | None
    steps: int
    batch_size: int

    @property
    def trainer(self) -> Trainer:
        """What trains in the framework of the models."""
        return named(self.framework).trainer()

    def course(self, data: Data, steps: int) -> Course:
        """Data, loss and length as the training takes them."""
        return Course(data.inputs, data.targets, self.loss, self.chance, steps, self.batch_size)


# ---------------------------------------------------------------------- the way to a worker
def pack(kit: Kit) -> bytes:
    """The kit as bytes that any worker can read: functions of scripts and of loose files travel by value.

    Bytes, so that every task carries what it needs: what a cluster spreads over its workers is lost with one of them.
    """
    import cloudpickle

    loose = [module for module in _modules(kit) if not _importable(module)]
    known = cloudpickle.list_registry_pickle_by_value()
    added = [module for module in loose if module.__name__ not in known]
    for module in added:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(kit))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        remedy = "Open files, locks and connections cannot; make them inside the functions, or use jobs=1."
        raise ArgumentError(
            f"race: build, candidates, loss, metric and optimizers must be such that they can be sent to a worker; "
            f"got {typed(error)} {remedy}"
        ) from error
    finally:
        for module in added:
            cloudpickle.unregister_pickle_by_value(module)


def _modules(kit: Kit) -> list[ModuleType]:
    """Modules that hold the functions the user gave."""
    given = [kit.build, kit.loss, kit.metric, *kit.optimizers.values()]
    given += [candidate.what for candidate in kit.candidates.values() if candidate.kind == "function"]
    names = {getattr(function, "__module__", None) for function in given if callable(function)}
    return [sys.modules[name] for name in names if name in sys.modules and name != "__main__"]


def _importable(module: ModuleType) -> bool:
    """Whether another process finds the same file under the module's name."""
    place: Any = None
    spec, path = None, ""
    for part in module.__name__.split("."):
        path = f"{path}.{part}" if path else part
        spec = importlib.machinery.PathFinder.find_spec(path, place)
        if spec is None:
            return module.__name__ in sys.builtin_module_names
        place = spec.submodule_search_locations
    return spec is not None and spec.origin == getattr(module, "__file__", None)


_KITS: dict[str, Kit] = {}  # the last one a worker has read
_ONE_AT_A_TIME = threading.Lock()  # random states are global: threads of one process take turns


def _unpacked(packed: bytes | Kit) -> Kit:
    if isinstance(packed, Kit):  # this process is the worker
        return packed
    key = hashlib.blake2b(packed, digest_size=16).hexdigest()
    if key not in _KITS:
        _KITS.clear()
        _KITS[key] = pickle.loads(packed)
    return _KITS[key]


def run_job(packed: bytes | Kit, arrays: dict[str, Any], job: Job, parent: int) -> list[Trial]:
    """Every trial of a job. What the user's functions raise makes a trial "failed"."""
    if os.getpid() != parent and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    with _ONE_AT_A_TIME, interrupts_between_steps() as between:
        kit = _unpacked(packed)
        with kit.trainer.seeded(job.seed):
            return list(_trials(kit, Data(**arrays), job, between))


@contextmanager
def interrupts_between_steps() -> Iterator[Callable[[], None]]:
    """Ctrl-C is kept back until the function that is given is called, or the block ends.

    An exception that arises within torch's own code, where hooks and dispatch modes call Python, ends the process. A
    second Ctrl-C does not wait.
    """
    before = signal.getsignal(signal.SIGINT)
    mine = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    pressed: list[int] = []

    def note(number: int, frame: Any) -> None:
        if pressed:
            signal.default_int_handler(number, frame)
        pressed.append(number)

    def between() -> None:
        if pressed:
            raise KeyboardInterrupt

    if mine:
        signal.signal(signal.SIGINT, note)
    try:
        yield between
        between()
    finally:
        if mine:
            signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------------- trials
def _trials(kit: Kit, data: Data, job: Job, between: Callable[[], None]) -> Iterator[Trial]:
    course = kit.course(data, job.steps)
    models = _models(kit, course, job)
    for arm in job.arms:
        start = time.perf_counter()
        try:
            yield _trial(kit, data, course, job, arm, between, *next(models))
        except Exception as error:  # the user's model, candidate, loss or metric: the trial fails, the race goes on
            seconds = time.perf_counter() - start
            yield Trial(job.candidate, *arm, job.seed, (), "failed", None, seconds, _told(error))
            models = _models(kit, course, job)  # what raised is finished


def _told(error: Exception) -> str:
    """What went wrong in the user's part, and where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {said(error)} ({os.path.basename(place.filename)}, line {place.lineno})"


def _trial(
    kit: Kit, data: Data, course: Course, job: Job, arm: Arm, between: Any, model: Any, ready: "_Ready"
) -> Trial:
    """Train this model; the time is that of the training alone, as the first values are the same for every arm."""
    trainer, start, kind = kit.trainer, time.perf_counter(), kit.optimizers[arm[0]]
    plan = ready.plan if isinstance(kind, str) else None
    model, losses, diverged = trainer.train(model, course, kind, arm[1], job.seed, between, plan)
    seconds = time.perf_counter() - start
    metric = None
    if not diverged and data.test_inputs is not None and data.test_targets is not None:
        metric = trainer.evaluate(model, data.test_inputs, data.test_targets, kit.metric)
    status: Status = "diverged" if diverged else "done" if job.steps == kit.steps else "stopped"
    return Trial(job.candidate, *arm, job.seed, tuple(losses), status, metric, seconds, findings=ready.findings)


class _Ready(NamedTuple):
    """What is known of a model before it is trained."""

    findings: tuple[str, ...]
    plan: Plan | None  # where it says what optimizers multiply


def _models(kit: Kit, course: Course, job: Job) -> Iterator[tuple[Any, _Ready]]:
    """The model with its first values, as often as asked: copies, or made again where it cannot be copied."""
    model, ready = _ready(kit, course, job)
    while True:
        spare = kit.trainer.spare(model)
        yield model, ready
        model = _ready(kit, course, job)[0] if spare is None else spare


def _ready(kit: Kit, course: Course, job: Job) -> tuple[Any, _Ready]:
    """A fresh model with its first values, and what is known of it: codes of what its health check found."""
    trainer = kit.trainer
    model: Any = trainer.build(kit.build, job.seed)
    index = next(trainer.order(len(course.targets), course.batch_size, job.seed))[:SAMPLES]
    batch = trainer.batch(samples_at(course.inputs, index))

    def loss(result: object) -> object:
        return trainer.loss(course, result, index)

    model = named(kit.framework).prepare(model, batch)
    judged = {"loss": loss, "chance": course.chance}
    model, health, plan = kit.candidates[job.candidate].prepare(model, batch, job.seed, kit.tools, judged)
    wrong = (finding.code for finding in health.findings if finding.severity != "remark")
    return model, _Ready(tuple(dict.fromkeys(wrong)), plan)
