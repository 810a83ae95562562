"""Training several initializations briefly."""

import os
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex

from wellbegun.api.models import apply, check, initialize
from wellbegun.backend import default
from wellbegun.racing.results import Race


def race(
    candidates: Any,
    build: Callable[[], Any],
    data: Any,
    *,
    rates: Iterable[float] = (3e-4, 1e-3, 3e-3, 1e-2),
    optimizers: Any = ("adam",),
    seeds: SupportsIndex | Iterable[SupportsIndex] = 3,
    steps: int = 100,
    batch_size: int = 128,
    loss: Callable[[Any, Any], Any] | None = None,
    metric: Callable[[Any, Any], Any] | None = None,
    prune: str | None = None,
    jobs: int | None = None,
    backend: str | None = None,
    resume: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[int, int, str], None] = True,
    chance: float | None = None,
) -> Race:
    """Train several initializations of one model briefly, on your data, and compare them with the spread.

    On one seed all candidates start from the same random state and see the same batches in the same order. Every
    candidate is trained with every optimizer and rate and judged at its best: what is compared is the area under the
    loss curve (`Standing.area`), and differences between candidates come with intervals over the seeds (`Paired`). The
    same call gives the same losses on the same machine, however many workers there are.

    Args:
        candidates: A dict name -> what to race: None (as the framework made it), the name of a recipe, a scheme or its
            text (for every parameter of two axes or more; `classic` decides about the others), a `Plan` (its laws,
            drawn from the seed of the trial), a dict of arguments for `initialize`, or a function of (model), (model,
            batch) or (model, batch, seed) that changes the model or returns another. Or a list of names of recipes and
            schemes, where "default" is None.
        build: Function that makes a fresh model: of PyTorch, of JAX in any style, or of Keras. One that needs an
            argument is given the seed, as a JAX model has no other source of keys.
        data: "digits" (scikit-learn's), (x, y), (train_x, train_y, test_x, test_y), a dict of arrays with "y" (and
            "test_x", "test_y"; other names are keyword arguments of the model), or a function that returns one of
            these. Without test data a fixed fifth of the samples is kept apart.
        rates: Learning rates.
        optimizers: "sgd", "momentum" (0.9), "adam", "adamw", or functions of (parameters, rate) that give an optimizer
            of PyTorch, Optax or Keras. Those that are named follow what a plan says of rates
            (`wellbegun.planning.mup`), functions do not.
        seeds: How many, or which. Intervals need two; three are a start.
        steps, batch_size: Length of a trial.
        loss: Function of the model's output and the targets that gives a scalar. None: cross-entropy for whole
            numbers as targets, of logits or of probabilities that sum to 1, else mean squared error.
        metric: Function of the outputs and targets of all test samples that gives a number. None: share of classes
            named correctly, or R².
        prune: "halving" stops losers early: after 1/8, 1/4 and 1/2 of the steps, the worse half of all pairs of a
            candidate with an optimizer and rate ends, by the median over the seeds of the area so far. About half of
            the work; a candidate that needs long to show its worth may lose.
        jobs: Worker processes; None is what joblib is configured for, else all processors. 1 is this process.
        backend: Of joblib. None is what `joblib.parallel_config` says, else local processes; "dask" runs the same call
            on the cluster of the current Dask client, where the data travels with each task.
        resume: A .parquet or .csv file that keeps what is done. If it exists, the race goes on from there, and must
            have the same settings.
        progress: Whether to show a bar on the terminal, or a line every five seconds where there is none; or a
            function called as (done, all, name).
        chance: Loss of a model that knows nothing. None: the entropy of the training targets or their variance; not
            known with a loss of your own.
    Returns:
        A `Race`: `.winner`, `.standings`, `.paired(a, b)`, `.trials`, `.save(path)`. Ctrl-C returns it too, with what
        is done and `.interrupted` set; with `resume`, the same call goes on from there.
    Raises:
        ArgumentError, ArgumentTypeError: a bad argument, or a model that fails on a first batch; nothing has run then.
        What a trial raises later makes that trial "failed". MissingDependencyError: no joblib. ModelError: a resume
        file that cannot be read or written.
    Cost: candidates × optimizers × rates × seeds trainings, each with one thread; two seconds to start a worker.

    >>> from torch import nn
    >>> def build():
    ...     return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> found = race({"he": "he_normal", "zeros": "zeros"}, build, "digits", steps=20, rates=[1e-2], seeds=3, jobs=1)
    >>> found.winner, found.standings[1].findings
    ('he', ('W101', 'W201', 'W301'))
    """
    from wellbegun.racing.entrants import Tools
    from wellbegun.racing.run import run
    from wellbegun.racing.settings import settings_of

    settings = settings_of(
        candidates,
        build,
        data,
        Tools(initialize, apply, check),
        default(),
        rates=rates,
        optimizers=optimizers,
        seeds=seeds,
        steps=steps,
        batch_size=batch_size,
        loss=loss,
        metric=metric,
        prune=prune,
        chance=chance,
    )
    return run(settings, jobs=jobs, backend=backend, resume=resume, progress=progress)
