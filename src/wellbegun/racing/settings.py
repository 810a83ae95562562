"""The arguments of a race, checked before anything runs, and what tells one race from another."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from wellbegun import __version__
from wellbegun._arguments import choice, function, guarded, integer, message, real, seed_of, typed
from wellbegun.backend import Backend, belongs, named, samples_at
from wellbegun.errors import ArgumentError, ArgumentTypeError, WellbegunError
from wellbegun.racing.data import Data, chance_of, data_of
from wellbegun.racing.entrants import Tools, candidates_of
from wellbegun.racing.fingerprint import digest, function_text
from wellbegun.racing.work import Arm, Kit

RATES = (3e-4, 1e-3, 3e-3, 1e-2)
PRUNE = ("halving",)
FIRST_RUNG = 5  # steps; before that a loss curve says little


@dataclass(frozen=True)
class Settings:
    """What is raced."""

    kit: Kit
    data: Data
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    prune: str | None
    model: str  # in words
    shape: str  # digest of its parameters' names and shapes

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every optimizer with every rate."""
        return tuple((optimizer, rate) for optimizer in self.kit.optimizers for rate in self.rates)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps after which the worse half of the arms stops, and the last step."""
        last = self.kit.steps
        early = [last // 8, last // 4, last // 2] if self.prune else []
        return (*dict.fromkeys(steps for steps in early if FIRST_RUNG <= steps < last), last)

    @property
    def arrays(self) -> dict[str, Any]:
        """The data as a plain dict, which every task carries."""
        return {name: getattr(self.data, name) for name in self.data.__dataclass_fields__}

    def description(self) -> str:
        """The race in words."""
        kit, chance = self.kit, self.kit.chance
        counts = (
            _count(len(kit.candidates), "candidate"),
            _count(len(self.rates), "rate"),
            _count(len(self.seeds), "seed"),
        )
        loss = "the given loss" if kit.loss is not None else _loss_name(self.data)
        tested = f", {len(self.data.test_targets)} to test on" if self.data.test_targets is not None else ""
        return (
            f"{' × '.join(counts)}, {', '.join(kit.optimizers)}, {_count(kit.steps, 'step')} "
            f"of {kit.batch_size} samples{', halving' if self.prune else ''}; {self.model} on {self.data.name} "
            f"({len(self.data.targets)} samples{tested}); {loss}"
            f"{'' if chance is None else f', by chance {chance:.3g}'}"
        )

    def fingerprint(self) -> dict[str, Any]:
        """Plain data that is equal for equal races, and differs where a setting does."""
        kit = self.kit
        return {
            "candidates": {name: candidate.text for name, candidate in kit.candidates.items()},
            "optimizers": {name: _text(kind) for name, kind in kit.optimizers.items()},
            "rates": list(self.rates),
            "seeds": list(self.seeds),
            "steps": kit.steps,
            "batch_size": kit.batch_size,
            "prune": self.prune,
            "loss": _text(kit.loss),
            "metric": _text(kit.metric),
            "chance": kit.chance,
            "build": _text(kit.build),
            "model": f"{self.model} {self.shape}",
            "data": f"{self.data.name} {self.data.digest()}",
            "versions": {"wellbegun": __version__, **kit.trainer.versions},
        }


def _text(given: Any) -> str | None:
    return given if given is None or isinstance(given, str) else function_text(given)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _loss_name(data: Data) -> str:
    return "squared error" if data.targets.dtype.kind == "f" else "cross-entropy"


def settings_of(
    candidates: Any,
    build: Callable[[], Any],
    data: Any,
    tools: Tools,
    backend: Backend,
    *,
    rates: Iterable[float],
    optimizers: Any,
    seeds: Any,
    steps: int,
    batch_size: int,
    loss: Any,
    metric: Any,
    prune: str | None,
    chance: float | None,
) -> Settings:
    """Check every argument; the model is built once and sees one batch, so that what cannot run is told at once."""
    entrants = candidates_of(candidates)
    for argument, value in (("loss", loss), ("metric", metric)):
        function("race", argument, value, "a function")
    makes("race", build, "lambda: Model(...), or the class")
    with guarded("race", (rates, optimizers, seeds)):
        found_rates = rates_of(rates)
        kinds, numbers = optimizers_of(optimizers, backend.trainer().optimizers), seeds_of(seeds)
    length = integer("race", "steps", steps, minimum=1)
    size = integer("race", "batch_size", batch_size, minimum=1)
    if prune is not None:
        choice("race", "prune", prune, PRUNE)
    known = None if chance is None else real("race", "chance", chance, minimum=0.0, exclusive=True)
    found = data_of(data)
    kit = Kit(
        backend.name,
        build,
        {candidate.name: candidate for candidate in entrants},
        kinds,
        tools,
        loss,
        metric,
        known if known is not None or loss is not None else _chance(found),
        length,
        min(size, len(found.targets)),
    )
    kit, model, shape = _tried(backend, kit, found, numbers[0])
    return Settings(kit, found, found_rates, numbers, prune, model, shape)


def makes(owner: str, build: Any, example: str) -> None:
    """Refuse what makes no model, as a model itself."""
    if not callable(build) or belongs(build):
        remedy = f"Each training begins with a fresh model: give {example}."
        given = type(build).__name__ if belongs(build) else build
        raise ArgumentTypeError(message(owner, "build", "a function", given, remedy))


def rates_of(given: Any) -> tuple[float, ...]:
    """Rates from one number or several."""
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    rates = tuple(real("race", "rates", rate, minimum=0.0, exclusive=True) for rate in several)
    return _different("rates", rates)


def seeds_of(given: Any, owner: str = "race") -> tuple[int, ...]:
    """Seeds from how many, or from several."""
    if isinstance(given, Iterable) and not isinstance(given, str):
        return _different("seeds", tuple(seed_of(owner, seed) for seed in given), owner)
    return tuple(range(integer(owner, "seeds", given, minimum=1)))


def _different(argument: str, values: tuple[Any, ...], owner: str = "race") -> tuple[Any, ...]:
    if not values or len(set(values)) < len(values):
        raise ArgumentError(message(owner, argument, "at least one, all different", list(values)))
    return values


def optimizers_of(given: Any, names: Collection[str]) -> dict[str, Any]:
    """Optimizers by name: names of known ones, functions of (parameters, rate), or a dict of these."""
    if isinstance(given, str) or callable(given):
        given = (given,)
    if not isinstance(given, Iterable):
        allowed = f"names ({', '.join(names)}) or functions of (parameters, rate)"
        raise ArgumentTypeError(message("race", "optimizers", allowed, given))
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        pairs = [(kind if isinstance(kind, str) else getattr(kind, "__name__", repr(kind)), kind) for kind in given]
    for _, kind in pairs:
        if not callable(kind):
            choice("race", "optimizers", kind, tuple(names))
    _different("optimizers", tuple(name for name, _ in pairs))
    return dict(pairs)


def _chance(data: Data) -> float | None:
    found = chance_of(data.targets)
    return found if found > 0 and math.isfinite(found) else None


def _tried(backend: Backend, kit: Kit, data: Data, seed: int) -> tuple[Kit, str, str]:
    """Build the model and send it one batch: the kit with its framework, what the model is in words, and a digest of
    its parameters' shapes."""
    course, trainer = kit.course(data, 1), backend.trainer()
    with trainer.seeded(seed):
        index = next(trainer.order(len(data.targets), kit.batch_size, seed))
        try:
            model = trainer.build(kit.build, seed)
            if (name := belongs(model) or backend.name) != backend.name:
                return _tried(named(name), replace(kit, framework=name), data, seed)
            if not {*map(id, trainer.parts(model))}.isdisjoint(map(id, trainer.parts(trainer.build(kit.build, seed)))):
                remedy = "Each training changes its model: make all of it inside the function."
                raise ArgumentError(message("race", "build", "a function that makes all anew", "parts twice", remedy))
            model = backend.prepare(model, trainer.batch(samples_at(data.inputs, index)))
            trainer.attempt(model, course, index, kit.optimizers.values())
            if data.test_inputs is not None and data.test_targets is not None:
                trainer.evaluate(model, samples_at(data.test_inputs, index[:1] * 0), data.test_targets[:1], kit.metric)
        except WellbegunError:
            raise
        except Exception as error:  # the user's model, loss, optimizer or metric: told with what to look at
            raise ArgumentError(
                f"race: a first try of model, loss, optimizers and metric on one batch failed: "
                f"{typed(error)} Inputs: {_shapes(data.inputs)}; targets: "
                f"{_shapes(data.targets)}{_classes(data.targets)}."
            ) from error
    every = backend.describe(model).values()
    computed = {parameter.set_by for parameter in every}
    stored = [p for p in every if p.name not in computed and (p.tied_to is None or p.set_by is not None)]
    shapes = {parameter.name: list(parameter.shape) for parameter in stored}
    values = sum(math.prod(parameter.shape) for parameter in stored)
    first: Any = model[0] if isinstance(model, tuple) else model
    called = getattr(first, "__name__", type(first).__name__)
    return kit, f"{called} with {values:,} parameters", digest(shapes)


def _classes(targets: Any) -> str:
    """Which classes there are, since a model may have too few outputs for them."""
    return f", from {targets.min()} to {targets.max()}" if targets.dtype.kind in "iu" else ""


def _shapes(inputs: Any) -> str:
    if isinstance(inputs, dict):
        return ", ".join(f"{name} {_shapes(part)}" for name, part in inputs.items())
    if isinstance(inputs, tuple):
        return ", ".join(map(_shapes, inputs))
    return f"{inputs.dtype} {tuple(inputs.shape)}"
