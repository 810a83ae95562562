"""The few functions most people need, over the rows below. Frameworks are imported when a function is called."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, SupportsIndex

from wellbegun._arguments import message
from wellbegun._display import Displayed
from wellbegun._typing import Progress, phase
from wellbegun.errors import ArgumentTypeError, MissingDependencyError
from wellbegun.graph import ModelGraph
from wellbegun.health import Health, examine
from wellbegun.planning import Explanation, Ledger, Plan, PlanDiff, Predictions, make_plan, overrides_of
from wellbegun.planning.prediction import predict as predict_graph
from wellbegun.race.results import Race
from wellbegun.storage import load_rules
from wellbegun.streams import fresh_seed


@dataclass(frozen=True)
class Result(Displayed):
    """What `initialize` did: the plan, what happened to each parameter, and how healthy the model is now."""

    plan: Plan
    ledger: Ledger
    health: Health


def _torch() -> Any:
    try:
        import torch  # noqa: F401 - the message below is better than the one from inside
    except ImportError as error:
        raise MissingDependencyError(
            "wellbegun: PyTorch models need torch. Install it: pip install 'wellbegun[torch]'."
        ) from error
    import wellbegun.torch as adapter

    return adapter


def plan(
    model: Any,
    batch: Any = None,
    *,
    recipe: str = "auto",
    rules: Any = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Decide what every parameter of a model gets, before anything is written.

    Runs the model once with fake tensors to find what each weight feeds; no arithmetic, no memory, nothing changes.
    Works on models on the meta device.

    Args:
        model: A torch.nn.Module, in the mode it will be used in.
        batch: A tensor, an array, a tuple of them (positional arguments), a dict (keyword arguments), or a shape such
            as (32, 3, 32, 32). May be left out if the first layer tells the shape.
        recipe: Name of a recipe: "auto" (orthogonal at an operating point found from the graph), "classic" (the
            textbook scheme for each nonlinearity), or a published one such as "gpt2"; "auto@1" names the version.
        rules: What is to differ from the recipe: a list of (pattern, scheme) pairs, `Rule`s or dicts with the arguments
            of `Rule`; or a dict pattern -> scheme; or the path of a .toml file with [[rule]] tables. The pattern is a
            glob over names; a `Rule` can also ask for a regular expression, module type, role or shape. The last rule
            that matches wins; the scheme "keep" leaves values as they are.
        exclude: Globs of parameters to leave as they are, whatever the rules say.
        only: Globs; everything they do not match is left as it is.
        frozen: "keep" leaves parameters without requires_grad as they are, "fill" fills them too.
        seed: Integer in [0, 2**64); None draws one, which the plan records.
        progress: Called as progress(done, all, what) before each module of the traced run.
    Returns:
        A `Plan`: for each parameter its scheme, law, role, reason and source. `plan.explain(name)` tells everything
        about one parameter, `plan.diff(other)` where another plan decides otherwise.
    Raises:
        RuleError: a rule or pattern that decides nothing, or parameters without a rule. ModelError: a rules file that
        cannot be read. TraceError: the model failed on the
        batch. ArgumentError, ArgumentTypeError: a bad argument.
    Cost: one forward pass without arithmetic; the first call in a process takes about a second, in which torch loads.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> plan(model, (2, 8), seed=0)["0.weight"].scheme
    'mirrored(orthogonal())'
    >>> found = plan(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)), (2, 8), recipe="classic", seed=0)
    >>> found["0.weight"].scheme, found["2.weight"].scheme
    ('xavier_normal()', 'lecun_normal()')
    """
    asked = overrides_of(_rules(rules), exclude, only)
    return _decide(model, batch, progress, recipe=recipe, rules=asked, frozen=frozen, seed=seed)[1]


def _decide(model: Any, batch: Any, progress: Progress | None, **asked: Any) -> tuple[ModelGraph, Plan]:
    """Trace and plan. The rules are checked already: a bad one is told before the model is run."""
    adapter = _torch()
    graph = adapter.trace(model, batch, progress=progress)
    return graph, adapter.agreed(model, make_plan(graph, **asked))


def _rules(rules: Any) -> Any:
    if isinstance(rules, os.PathLike) or (isinstance(rules, str) and rules.endswith(".toml")):
        return load_rules(rules)
    return rules


def initialize(
    model: Any,
    batch: Any = None,
    *,
    recipe: str = "auto",
    rules: Any = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
    calibrate: bool = True,
    loss: Callable[[Any], Any] | None = None,
    chance: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Plan, fill and probe: every parameter gets its value exactly once, and the result says how healthy the model is.

    Args:
        model, batch, recipe, rules, exclude, only, frozen, seed: As for `plan`.
        calibrate: Whether recipes that state targets are corrected by measurement on the batch, if it is data and not a
            shape. The corrected laws are in the plan, which needs no batch to be carried out again.
        loss, chance: As for `check`.
        threads: Worker threads of the fill; None uses all processors. The values do not depend on it.
        progress: Called as progress(done, all, what) before each step of a phase, with which `what` starts: "trace" (of
            all modules), "fill" (parameters), "correct" where that takes a pass of its own, "measure", "backward".
    Returns:
        A `Result` with `plan`, `ledger` and `health`.
    Raises:
        As `plan` and `check`. If it raises before the fill, nothing has changed.
    Cost: that of `plan`, one pass over the parameters' memory, and one forward and backward pass on the batch.

    >>> from torch import nn
    >>> initialize(nn.Linear(8, 4), (16, 8), seed=0).ledger.counts()["filled"]
    2
    """
    asked, adapter = overrides_of(_rules(rules), exclude, only), _torch()
    adapter.materialize(model, batch)
    seed = adapter.agreed(model, fresh_seed() if seed is None else seed)
    told = phase(progress, "fill")
    judged: dict[str, Any] = {"loss": loss, "chance": chance, "progress": progress}
    with adapter.gathered(model) as parts:
        graph, decided = _decide(model, batch, progress, recipe=recipe, rules=asked, frozen=frozen, seed=seed)
        ledger = apply(model, decided, threads=threads, progress=told)
        if calibrate:
            decided, ledger, found = adapter.calibrate(model, graph, decided, batch, threads=threads, **judged)
            health = examine(found)
        else:
            health = check(model, batch, **judged)
    if parts:  # so far whole copies were filled
        decided = adapter.agreed(model, decided)
        ledger = apply(model, decided, threads=threads, progress=told)
    return Result(decided, ledger, health)


def apply(
    model: Any,
    plan: Plan,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ledger:
    """Carry out a plan, one just made or one read from disk: the same plan gives the same bits.

    Args:
        model: The model, as the plan describes it.
        plan: What to do.
        threads: Worker threads of the fill; None uses all processors. The values do not depend on it.
        progress: Called as progress(done, all, name) before each parameter is filled.
    Returns:
        A `Ledger` that says what became of each parameter.
    Raises:
        ArgumentError: the plan does not fit the model; nothing is written then.

    >>> import torch
    >>> one, two = torch.nn.Linear(8, 4), torch.nn.Linear(8, 4)
    >>> found = plan(one, (2, 8), seed=0)
    >>> for model in (one, two):
    ...     ledger = apply(model, found)
    >>> bool(torch.equal(one.weight, two.weight))
    True
    """
    if not isinstance(plan, Plan):
        raise ArgumentTypeError(message("apply", "plan", "a Plan", type(plan).__name__))
    ledger: Ledger = _torch().apply_plan(model, plan, threads=threads, progress=progress)
    return ledger


def check(
    model: Any,
    batch: Any = None,
    *,
    loss: Callable[[Any], Any] | None = None,
    chance: float | None = None,
    progress: Progress | None = None,
) -> Health:
    """Measure a model, however it was initialized: signal, gradient, symmetry, range, first loss, attention.

    Nothing about the model changes: weights, buffers, gradients, modes, hooks and random states are as before. It is
    measured in the mode it is in, and under the autocast that is on.

    Args:
        model, batch: As for `plan`; the batch should look like real data.
        loss: Function of the model's output that gives a scalar tensor. None makes one up and says which:
            cross-entropy against random labels if the output has classes, else a squared error.
        chance: What that loss is for a model that knows nothing, if it should be judged.
        progress: Called as progress(done, all, what) before each module runs, and before the backward pass.
    Returns:
        A `Health`: `.healthy`, `.findings` with code, place, value, bound, reason, source and a remedy to paste,
        `.codes`, `.notes`, `.statistics`, `.scalars()` for logging and `.assert_healthy()` for tests. Notes are
        findings that stop no training; they make no model unhealthy.
    Raises:
        TraceError: the model failed on the batch. ArgumentError, ArgumentTypeError: a bad argument.
    Cost: one forward and at most two backward passes on the batch, and statistics of samples of what they compute.
    Source: each finding names its own; `wellbegun.health.CATALOGUE` lists all codes.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    >>> _ = torch.nn.init.zeros_(model[0].weight)
    >>> found = check(model, torch.randn(32, 8)).findings[0]
    >>> found.code, found.title, found.remedy
    ('W301', 'equal units', "wb.initialize(model, batch, only=['0.weight'])")
    """
    adapter = _torch()
    with adapter.gathered(model):
        return examine(adapter.probe(model, batch, loss, chance=chance, progress=progress))


def predict(model: Any, plan: Plan, batch: Any = None) -> Predictions:
    """What theory says about every operation of a model filled by this plan, beside what is measured on the batch.

    Second moment, mean and correlation of two inputs behind every operation, and the second moment of the gradient at
    every weight that a random signal at the last hidden one sends back. Nothing about the model changes.

    Args:
        model: As for `plan`, filled by the plan: a model that holds other values is what the comparison shows.
        plan: The plan that filled it.
        batch: As for `plan`, with two samples or more on the first axis.
    Returns:
        `Predictions`: `.rows`, each with `second`, `correlation` and `gradient` (`.predicted`, `.measured` and
        `.expected`, one step from what was measured before), standard errors from how much units differ, and `reason`
        where theory does not say; `.flagged` are the rows that are more than 5 standard errors off.
    Raises:
        ArgumentTypeError: no plan. ArgumentError: the model holds no values. TraceError: it failed.
    Strengths: tells a weight of the wrong size, or an operation that does something else than it seems to.
    Weaknesses: a theory of many independent units. Attention, pools, recurrent layers and batch normalization are
        measured only, and so is what a plan keeps.
    Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64))
    >>> found = initialize(model, (32, 64), recipe="classic", seed=0).plan
    >>> predict(model, found, torch.randn(32, 64)).flagged
    ()
    >>> _ = torch.nn.init.normal_(model[2].weight)
    >>> [row.place for row in predict(model, found, torch.randn(32, 64)).flagged]
    ['2 (linear)']
    """
    if not isinstance(plan, Plan):
        raise ArgumentTypeError(message("predict", "plan", "a Plan", type(plan).__name__))
    adapter = _torch()
    with adapter.gathered(model):
        graph, measurement = adapter.measure(model, batch)
    return predict_graph(graph, plan, measurement)


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
        build: Function without arguments that makes a fresh model.
        data: "digits" (scikit-learn's), (x, y), (train_x, train_y, test_x, test_y), a dict of arrays with "y" (and
            "test_x", "test_y"; other names are keyword arguments of the model), or a function that returns one of
            these. Without test data a fixed fifth of the samples is kept apart.
        rates: Learning rates.
        optimizers: "sgd", "momentum" (0.9), "adam", "adamw", or functions of (parameters, rate).
        seeds: How many, or which. Intervals need two; three are a start.
        steps, batch_size: Length of a trial.
        loss: Function of the model's output and the targets that gives a scalar tensor. None: cross-entropy for whole
            numbers as targets, else mean squared error.
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
        progress: Whether to show a bar on the terminal, if there is one; or a function called as (done, all, name).
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
    from wellbegun.race.entrants import Tools
    from wellbegun.race.run import run
    from wellbegun.race.settings import settings_of

    _torch()
    settings = settings_of(
        candidates,
        build,
        data,
        Tools(initialize, apply, check),
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


def show(found: Result | Plan | PlanDiff | Explanation | Ledger | Health | Predictions | Race) -> None:
    """Print a plan, what `plan.diff` or `plan.explain` found, a ledger, health, predictions, a race or a result.

    Raises:
        ArgumentTypeError: anything else.

    >>> from torch import nn
    >>> show(initialize(nn.Linear(8, 4), (16, 8), seed=0).ledger)
    2 filled; seed 0.
    """
    from wellbegun.reports import print_tables

    items = (found.plan, found.ledger, found.health) if isinstance(found, Result) else (found,)
    if not all(isinstance(item, (Plan, PlanDiff, Explanation, Ledger, Health, Predictions, Race)) for item in items):
        allowed = "a Plan, PlanDiff, Explanation, Ledger, Health, Predictions, Race or Result"
        raise ArgumentTypeError(message("show", "found", allowed, type(found).__name__))
    print_tables(items)


def report(
    *found: Any,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    before: Health | Result | None = None,
    model: Any = None,
) -> Path | str:
    """One HTML file that says whether a model is ready to train, and shows why: no network, phone, dark, paper.

    Args:
        found: What to show, at most one of each: a Result, a Plan, a Ledger, a Health, Predictions, a Race.
        path: File to write; an existing one is replaced once the new one is complete. None returns the text.
        title: Heading of the page.
        before: Health before initialization, which the charts show beside that of now.
        model: The model that the plan filled: histograms of its weights stand beside their laws.
    Returns:
        The path of the file, or its text if no path was given.
    Raises:
        ArgumentTypeError: something that cannot be shown. ArgumentError: two of a kind, nothing, or a model without its
        plan. OSError: the file cannot be written.
    Cost: 0.6 MB of text, some 100 bytes for each parameter, and a second at most.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> text = report(initialize(model, (16, 8), seed=0), model=model)
    >>> "Ready to train" in text and "http-equiv" in text
    True
    """
    from wellbegun import __version__
    from wellbegun.reports.html import contents_of, document
    from wellbegun.storage import write_text

    items = [
        p for item in found for p in ((item.plan, item.ledger, item.health) if isinstance(item, Result) else (item,))
    ]
    contents = contents_of(items, before.health if isinstance(before, Result) else before, with_model=model is not None)
    if model is not None:
        contents = replace(contents, histograms=_torch().histograms(model, contents.plan))
    text = document(contents, title or "How this model begins", __version__)
    return text if path is None else write_text(path, text)
