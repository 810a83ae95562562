"""Training a model briefly at several sizes: does anything grow or shrink with them?"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from wellbegun._arguments import choice, function, guarded, instance, integer, message, progress_of, real
from wellbegun._typing import Array, Progress
from wellbegun.api.models import apply, plan
from wellbegun.backend import Course, Trainer, default, find, samples_at
from wellbegun.errors import ArgumentError
from wellbegun.measure.coordinates import Activations, activations
from wellbegun.planning import Parametrization
from wellbegun.racing.coordinates import WHAT, CoordinateCheck, coordinate
from wellbegun.racing.data import data_of
from wellbegun.racing.settings import makes, seeds_of

_MEASURED = 64  # samples that activations are compared on
_OWNER = "coordinate_check"
AXES = ("width", "depth")
Found = dict[str, tuple[float, float, tuple[bool, bool]]]  # activation -> start, change, whether either may shrink


def coordinate_check(
    build: Callable[[int], Any],
    sizes: Iterable[SupportsIndex],
    data: Any,
    *,
    parametrization: Parametrization | Callable[[int], Parametrization] | None = None,
    axis: str = "width",
    optimizer: Any = "adamw",
    rate: SupportsFloat = 1e-3,
    steps: SupportsIndex = 4,
    seeds: SupportsIndex | Iterable[SupportsIndex] = 3,
    batch_size: SupportsIndex = 64,
    loss: Callable[[Any, Any], Any] | None = None,
    progress: Progress | None = None,
) -> CoordinateCheck:
    """Train models of several widths, or depths, for a few steps, and look at how large every activation is, and what
    the steps changed of it: under a parametrization that is right, neither depends on the size.

    A missing multiplier shows as a slope of the output, a factor m in place of m^(1/2) as one of an activation at the
    start. Activations are what weights, tables and residual sums give. Over depths those of all blocks count as one.

    Args:
        build: Function of the size that makes a fresh model.
        sizes: Two or more widths or depths, each above 0: 8-fold from the least to the largest tells enough.
        data: As for `wellbegun.race`; what is kept apart to test on is not used.
        parametrization: What `wellbegun.planning.mup` and its like make, or a function of the size that makes one.
            None: models start as they are built, and no rate is multiplied.
        axis: "width" or "depth": what `sizes` are.
        optimizer: "sgd", "momentum", "adam", "adamw" or "muon", whose groups come of the plan; or, without a
            parametrization, a function of (model, rate).
        rate: Learning rate at the base model's sizes, above 0.
        steps: How many, each on `batch_size` samples.
        seeds: How many, or which; intervals need two.
        loss: As for `wellbegun.race`.
        progress: Called as progress(done, all, what) before each training.
    Returns:
        A `CoordinateCheck`: `.flat`, `.verdict`, `.faults`, `.coordinates` with values, slope, interval and what they
        say. Sizes count as flat if the fitted line changes by less than a factor of 1.2 from one end to the other.
    Raises:
        ArgumentError, ArgumentTypeError: a bad argument. Whatever building, planning and training raise.
    Cost: sizes × seeds trainings of `steps` steps, with one thread.
    Source: Yang et al. 2022, arXiv:2203.03466, appendix D.1.

    >>> from torch import nn
    >>> def build(width):
    ...     return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
    >>> coordinate_check(build, [32, 128, 512], "digits", optimizer="sgd", rate=0.5).flat
    False
    """
    makes(_OWNER, build, "lambda size: Model(size)")
    choice(_OWNER, "axis", axis, AXES)
    progress_of(_OWNER, progress)
    function(_OWNER, "loss", loss, "a function")
    if not isinstance(parametrization, Parametrization):
        function(_OWNER, "parametrization", parametrization, "a Parametrization, or a function of the size")
    if callable(optimizer) and parametrization is not None:
        raise ArgumentError(message(_OWNER, "optimizer", "a name, beside a parametrization", optimizer))
    with guarded(_OWNER, (sizes, seeds)):
        asked, numbers = tuple(integer(_OWNER, "sizes", size, minimum=1) for size in sizes), seeds_of(seeds, _OWNER)
    if len(set(asked)) < 2 or len(set(asked)) < len(asked):
        raise ArgumentError(message(_OWNER, "sizes", "two or more different ones", asked))
    length, most = integer(_OWNER, "steps", steps, minimum=1), integer(_OWNER, "batch_size", batch_size, minimum=1)
    speed, found = real(_OWNER, "rate", rate, minimum=0.0, exclusive=True), data_of(data)
    course = Course(found.inputs, found.targets, loss, None, length, most)
    with default().trainer().seeded(numbers[0]):
        trainer = find(build(asked[0])).trainer()
    if not callable(optimizer):
        muon = () if parametrization is None else ("muon",)
        choice(_OWNER, "optimizer", optimizer, (*trainer.optimizers, *muon))
    run = _Run(build, parametrization, optimizer, speed, axis, numbers, course, trainer)
    every: dict[str, dict[int, list[Any]]] = {}
    jobs = [(size, seed) for size in asked for seed in numbers]
    for number, (size, seed) in enumerate(jobs):
        if progress is not None:
            progress(number, len(jobs), f"{axis} {size}, seed {seed}")
        for name, values in run.of(size, seed).items():
            every.setdefault(name, {}).setdefault(size, []).append(values)
    return _summary(run, asked, every)


@dataclass
class _Run:
    """What all trainings have in common."""

    build: Callable[[int], Any]
    given: Parametrization | Callable[[int], Parametrization] | None
    optimizer: Any
    rate: float
    axis: str
    seeds: tuple[int, ...]
    course: Course
    trainer: Trainer
    name: str = "as built"

    def of(self, size: int, seed: int) -> Found:
        """One training: the size of each activation at the start, and of what changed of it."""
        trainer = self.trainer
        with trainer.seeded(seed):
            model = trainer.build(lambda: self.build(size), seed)
            backend, decided = find(model), None
            some = min(len(self.course.targets), _MEASURED)
            batch = trainer.batch(samples_at(self.course.inputs, np.arange(some)))
            if (asked := self._asked(size)) is not None:
                decided = plan(model, batch, recipe=asked, seed=seed)
                model = apply(model, decided).model
            before = activations(backend, model, batch)
            kind = self.optimizer
            if callable(kind):
                kind = lambda _, rate: self.optimizer(model, rate)  # noqa: E731
            model, *_ = trainer.train(model, self.course, kind, self.rate, seed, plan=decided)
            after = activations(backend, model, batch, before.graph)
            return self._compared(before, after)

    def _asked(self, size: int) -> Parametrization | None:
        if self.given is None:
            return None
        given = self.given if isinstance(self.given, Parametrization) else self.given(size)
        self.name = instance(_OWNER, "parametrization", given, Parametrization).full_name
        return given

    def _compared(self, before: Activations, after: Activations) -> Found:
        grouped: dict[str, list[str]] = {}
        for name in before.values:
            grouped.setdefault(re.sub(r"\d+", "*", name) if self.axis == "depth" else name, []).append(name)
        return {
            label: (
                _rms([before.values[name] for name in names]),
                _rms([after.values[name] - before.values[name] for name in names]),
                self._fading(before, names),
            )
            for label, names in grouped.items()
        }

    def _fading(self, seen: Activations, names: list[str]) -> tuple[bool, bool]:
        deep = self.axis == "depth"
        return deep or seen.readouts.issuperset(names), deep and seen.ends.issuperset(names)


def _rms(parts: list[Array]) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.mean([np.square(part).mean() for part in parts])))


def _summary(run: _Run, sizes: tuple[int, ...], found: dict[str, dict[int, list[Any]]]) -> CoordinateCheck:
    every = {name: of_size for name, of_size in found.items() if set(of_size) == set(sizes)}
    coordinates = tuple(
        coordinate(name, what, {size: [v[at] for v in of[size]] for size in sizes}, fades=of[sizes[0]][0][2][at])
        for name, of in every.items()
        for at, what in enumerate(WHAT)
    )
    kind = run.optimizer if isinstance(run.optimizer, str) else getattr(run.optimizer, "__name__", "own")
    return CoordinateCheck(coordinates, run.axis, sizes, run.seeds, run.course.steps, run.name, kind, run.rate)
