"""The few functions most people need, over the rows below. Frameworks are imported when a function is called."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, SupportsIndex

import numpy as np

from wellbegun import measure
from wellbegun._arguments import function, instance, progress_of, real, seed_of, speaking, truth
from wellbegun._collection import uncollected
from wellbegun._display import Displayed
from wellbegun._typing import Progress, phase
from wellbegun.api.trials import Blown, examined, tried
from wellbegun.backend import Backend, find
from wellbegun.engine import Matrices
from wellbegun.graph import Analysis, ModelGraph
from wellbegun.health import Health, Remedy, examine
from wellbegun.materialize import Ledger, fill_targets
from wellbegun.planning import SAMPLE, Method, Plan, SignalPropagation, make_plan, overrides_of, propagation, recipe_of
from wellbegun.storage import load_rules
from wellbegun.streams import fresh_seed

_Told = dict[str, Any]  # arguments by name


@dataclass(frozen=True)
class Applied(Displayed):
    """A plan carried out: the model that holds the values, and what happened to each parameter.

    In torch and Flax nnx it is the model that was given; models without mutable arrays give a new one.
    """

    model: Any = field(repr=False)
    ledger: Ledger


@dataclass(frozen=True)
class Result(Displayed):
    """What `initialize` did: the model, its plan, what happened to each parameter, and how healthy it is now."""

    model: Any = field(repr=False)
    plan: Plan
    ledger: Ledger
    health: Health


@np.errstate(all="ignore")
def plan(
    model: Any,
    batch: Any = None,
    *,
    recipe: str | Method | Callable[[Any], Any] = "auto",
    rules: Any = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
    strict: bool = False,
    intent: str = "auto",
    progress: Progress | None = None,
) -> Plan:
    """Decide what every parameter of a model gets, before anything is written.

    Runs the model once with fake tensors to find what each weight feeds; no arithmetic, no memory, nothing changes.
    Works on models on the meta device.

    Args:
        model: A torch.nn.Module, in the mode it will be used in; or a JAX model: a module of Flax or Equinox, or what
            computes with its arrays, (module, variables), (transformed, params), (function, tree).
        batch: A tensor, an array, a tuple of them (positional arguments), a dict (keyword arguments), or a shape such
            as (32, 3, 32, 32). May be left out if the first layer tells the shape.
        recipe: Name of a recipe: "auto" (orthogonal at an operating point found from the graph), "classic" (the
            textbook scheme for each nonlinearity), or a published one such as "gpt2"; "auto@2" names the version. Or
            your own: a function of the role that gives a scheme, or a `wellbegun.planning.Method`.
        rules: What is to differ from the recipe: a list of (pattern, scheme) pairs, `Rule`s or dicts with the arguments
            of `Rule`; or a dict pattern -> scheme; or the path of a .toml file with [[rule]] tables. The pattern is a
            glob over names; a `Rule` can also ask for a regular expression, module type, role or shape. The last rule
            that matches wins; the scheme "keep" leaves values as they are.
        exclude: Globs of parameters to leave as they are, whatever the rules say.
        only: Globs; everything they do not match is left as it is.
        frozen: "keep" leaves parameters without requires_grad as they are, "fill" fills them too.
        seed: Integer in [0, 2**64); None draws one, which the plan records.
        strict: Whether parameters that nothing can be said of are an error. Otherwise one that the batch does not use
            is planned as its own layer uses it (a Linear on a path that was not taken), or stays as constructed, and
            so does one that is used in a way that is not understood; notes of the plan name them. What was to stay and
            holds nothing (the meta device, or nan after `to_empty`) is filled: factors with 1, vectors with 0, all else
            with N(0, 0.02).
        intent: What becomes of values that were put there on purpose, as a comparison with the constructor's law of the
            layer shows (constants, patterns, zeros where a layer starts random, sizes far from all others): "keep"
            leaves them, "overwrite" does not look; "auto" leaves them, under the recipe "auto", unless they would make
            units equal or silence a layer. The plan says of each what was there. Parameters that a rule decides, or
            that `only` names in full, are filled.
        progress: Called as progress(done, all, what) before each module of the traced run.
    Returns:
        A `Plan`: for each parameter its scheme, law, role, reason and source. `wb.explain(plan, name)` tells everything
        about one parameter, `wb.diff(plan, other)` where another plan decides otherwise.
    Raises:
        RuleError: a rule or pattern that decides nothing, or `strict` and parameters that nothing can be said of.
        ModelError: a rules file that cannot be read. TraceError: the model failed on the batch. ArgumentError,
        ArgumentTypeError: a bad argument.
    Cost: one forward pass without arithmetic; the first call in a process takes about a second, in which torch loads.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> plan(model, (2, 8), seed=0)["0.weight"].scheme
    'mirrored(orthogonal(gain=0.70710678))'
    >>> found = plan(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)), (2, 8), recipe="classic", seed=0)
    >>> found["0.weight"].scheme, found["2.weight"].scheme
    ('xavier_normal()', 'lecun_normal()')
    """
    progress_of("plan", progress)
    asked = overrides_of(_rules(rules), exclude, only)
    told: _Told = {"recipe": recipe, "rules": asked, "frozen": frozen, "seed": seed, "strict": strict}
    told["intent"] = intent
    return _decide(find(model), model, batch, progress, **told)[1]


@uncollected()
def _decide(
    backend: Backend, model: Any, batch: Any, progress: Progress | None, *, gather: bool = False, **asked: Any
) -> tuple[ModelGraph, Plan]:
    """Trace and plan. The rules are checked already: a bad one is told before the model is run."""
    graph = Analysis.of(backend.trace(model, batch, gather=gather, progress=progress))
    samples = partial(backend.parameter_samples, model, most=SAMPLE)
    return graph, backend.agree(model, make_plan(graph, samples=samples, **asked))


def _rules(rules: Any) -> Any:
    if isinstance(rules, os.PathLike) or (isinstance(rules, str) and rules.endswith(".toml")):
        return load_rules(rules)
    return rules


@np.errstate(all="ignore")
def initialize(
    model: Any,
    batch: Any = None,
    *,
    recipe: str | Method | Callable[[Any], Any] = "auto",
    rules: Any = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
    strict: bool = False,
    intent: str = "auto",
    calibrate: bool = True,
    loss: Callable[..., Any] | None = None,
    chance: float | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Plan, fill and probe: every parameter gets its value exactly once, and the result says how healthy the model is.

    Args:
        model, batch, recipe, rules, exclude, only, frozen, seed, strict, intent: As for `plan`.
        calibrate: Whether methods that measure do so on the batch, if it is data and not a shape: recipes that state
            targets, such as "auto", are corrected. What comes of it is in the plan, which needs no batch to be carried
            out again.
        loss, chance: As for `check`.
        threads: Worker threads of the fill; None uses all processors. The values do not depend on it.
        progress: Called as progress(done, all, what) before each step of a phase, with which `what` starts: "trace" (of
            all modules), "fill" (parameters), "correct" where that takes passes of its own, "measure", "backward".
    Returns:
        A `Result` with `model`, `plan`, `ledger` and `health`.
    Raises:
        As `plan` and `check`. Whatever it raises, and if it is interrupted, the model is what it was.
    Cost: that of `plan`, one pass over the parameters' memory, and one forward and at most two backward passes on the
        batch; a copy of the values from before, until it is done (none in JAX, whose arrays are never written into).
        If it is unhealthy, remedies are tried as by `check`. Where signals explode with what "auto" plans and not as
        constructed, as in some models that multiply signals, everything is kept and a note says so, unless rules are
        given.

    >>> from torch import nn
    >>> initialize(nn.Linear(8, 4), (16, 8), seed=0).ledger.counts()["filled"]
    2
    """
    judged = _judged("initialize", loss, chance, progress)
    truth("initialize", "calibrate", calibrate)
    asked, backend, method = overrides_of(_rules(rules), exclude, only), find(model), recipe_of(recipe)
    told: _Told = {"recipe": method, "rules": asked, "frozen": frozen, "strict": strict, "intent": intent}
    told["seed"] = backend.agree(model, fresh_seed() if seed is None else seed)
    begin = partial(_initialized, backend, model, batch, judged=judged, calibrate=calibrate, threads=threads)
    with speaking("initialize"):
        if method != recipe_of("auto") or asked.rules:  # who gives rules decides
            return begin(told)
        try:
            return begin(told, blown=False)
        except Blown as blown:  # and the model is what it was
            if not backend.agree(model, blown.needless(backend, model, batch, judged)):
                return begin(told)
            kept = begin({**told, "rules": asked.then([("*", "keep")])})
            return replace(kept, plan=replace(kept.plan, notes=(*kept.plan.notes, blown.note)))


def _initialized(
    backend: Backend, model: Any, batch: Any, told: _Told, judged: _Told, *, blown: bool = True, **how: Any
) -> Result:
    """Everything or nothing. Raises Blown where signals explode, unless that is to be taken as it is (`blown`)."""
    with backend.undone(model):
        model = backend.prepare(model, batch)
        found = _begin(backend, model, batch, told, judged, **how)
        if not blown and backend.agree(model, Blown.seen(found.health)):
            raise Blown(found.health)
        return replace(found, health=_tried(backend, found.model, batch, found.health, told["seed"], judged))


@uncollected()
def _begin(
    backend: Backend,
    model: Any,
    batch: Any,
    told: _Told,
    judged: _Told,
    *,
    calibrate: bool = True,
    threads: int | None = None,
) -> Result:
    """Plan, fill and probe, with arguments that were checked."""
    progress, refine = judged["progress"], measure.refinement(told["recipe"], judged["loss"], judged["progress"])
    data: bool = getattr(getattr(told["recipe"], "refinement", None), "data", True)
    matrices = Matrices() if calibrate else None  # what the fill draws, the correction scales and draws again
    write = partial(_fill, backend, threads=threads, matrices=matrices)
    graph, decided = _decide(backend, model, batch, progress, gather=True, **told)
    model, ledger = write(model, decided, progress=phase(progress, "fill"))
    if calibrate:
        model, decided, ledger, found = measure.calibrate(
            backend, model, graph, decided, batch, write, refine=refine, data=data, **judged
        )
    else:
        found = measure.probe(backend, model, batch, **judged)
    return Result(model, decided, ledger, examine(found, backend.remedies))


def _tried(
    backend: Backend, model: Any, batch: Any, health: Health, seed: SupportsIndex, judged: dict[str, Any]
) -> Health:
    """With remedies that were tried on copies."""

    def begun(copy: Any, remedy: Remedy, number: int) -> Health:
        asked = overrides_of(remedy.rules, (), remedy.only or None)
        told: _Told = {"recipe": recipe_of("auto"), "rules": asked, "intent": "auto"}
        told["seed"] = (int(seed) + number) % 2**64
        told |= {"frozen": "keep", "strict": False}
        return _begin(backend, copy, batch, told, {**judged, "progress": None}).health

    return tried(backend, model, health, begun, judged["progress"])


def _judged(owner: str, loss: object, chance: float | None, progress: object) -> dict[str, Any]:
    """The arguments of `check`, which are checked before a model is run or filled."""
    function(owner, "loss", loss, "a function of the model's output")
    if chance is not None:
        real(owner, "chance", chance, minimum=0, exclusive=True)
    progress_of(owner, progress)
    return {"loss": loss, "chance": chance, "progress": progress}


def _fill(
    backend: Backend,
    model: Any,
    plan: Plan,
    before: Plan | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[Any, Ledger]:
    """Carry out a plan; a framework without mutable models gives a new one."""
    targets = backend.targets(model)
    ledger = fill_targets(plan, targets, before=before, progress=progress, **options)
    return backend.rebuild(model, targets), ledger


@np.errstate(all="ignore")
def apply(
    model: Any,
    plan: Plan,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Applied:
    """Carry out a plan, one just made or one read from disk: the same plan gives the same bits.

    Args:
        model: The model, as the plan describes it.
        plan: What to do.
        threads: Worker threads of the fill; None uses all processors. The values do not depend on it.
        progress: Called as progress(done, all, name) before each parameter is filled.
    Returns:
        An `Applied`: `.model`, and `.ledger` that says what became of each parameter.
    Raises:
        ArgumentError: the plan does not fit the model; nothing is written then.

    >>> import torch
    >>> one, two = torch.nn.Linear(8, 4), torch.nn.Linear(8, 4)
    >>> found = plan(one, (2, 8), seed=0)
    >>> for model in (one, two):
    ...     ledger = apply(model, found).ledger
    >>> bool(torch.equal(one.weight, two.weight))
    True
    """
    instance("apply", "plan", plan, Plan).check()
    progress_of("apply", progress)
    backend = find(model)
    with backend.undone(model):
        return Applied(*_fill(backend, model, plan, threads=threads, progress=progress))


@uncollected()
@np.errstate(all="ignore")
def check(
    model: Any,
    batch: Any = None,
    *,
    loss: Callable[..., Any] | None = None,
    chance: float | None = None,
    seed: SupportsIndex = 0,
    progress: Progress | None = None,
) -> Health:
    """Measure a model, however it was initialized: signal, gradient, symmetry, range, first loss, attention.

    Nothing about the model changes: weights, buffers, gradients, modes, hooks and random states are as before. It is
    measured in the mode it is in, and under the autocast that is on.

    Remedies of what makes it unhealthy are tried before they are told, on a copy: what is printed removes its finding
    and brings no other, or says that drawing weights again does not help. Models of more than 2^28 parameters, or that
    cannot be copied, are not, and a note says so.

    Args:
        model, batch: As for `plan`; the batch should look like real data.
        loss: Function of the model's output that gives a scalar tensor; one that needs more, as `cross_entropy`, is
            given what the batch holds beside the inputs, by the names of its arguments or as targets, which is said.
            None takes the loss that the model returns, alone or beside what it is computed of (first, called loss, or
            the one that reads targets), or makes one up and says which: cross-entropy if the output has classes, a
            binary one if it is a sigmoid or targets are 0 and 1, else a squared error, against labels, rows of
            probabilities or targets of the batch that fit, or random ones.
        chance: What a given loss, or the model's own, is for a model that knows nothing, if it should be judged. Of the
            model's own it is known where that is a loss that would be made up; else it is what readouts of zero give.
        seed: Of the values with which remedies are tried, in [0, 2**64). What is measured does not depend on it.
        progress: Called as progress(done, all, what) before each module runs, and before the backward pass.
    Returns:
        A `Health`: `.healthy`, `.findings` with code, place, value, bound, reason, source and a remedy to paste,
        `.codes`, `.remarks`, `.notes`, `.statistics`, `.scalars()` and `.assert_healthy()` for tests. Remarks are
        findings that stop no training; they make no model unhealthy.
    Raises:
        TraceError: the model or the loss failed on the batch. ArgumentError, ArgumentTypeError: a bad argument.
    Cost: one forward and at most two backward passes on the batch, and statistics of samples of what they compute;
        another forward pass for a loss of the model's own whose chance is not known. If it is unhealthy, at most 8
        copies, each initialized and measured once.
    Source: each finding names its own; `wellbegun.health.CATALOGUE` lists all codes.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    >>> _ = torch.nn.init.zeros_(model[0].weight)
    >>> found = check(model, torch.randn(32, 8)).findings[0]
    >>> found.code, found.title, found.remedy
    ('W301', 'equal units', "wb.initialize(model, batch, only=['0.weight'])")
    """
    judged, backend = _judged("check", loss, chance, progress), find(model)
    return _tried(backend, model, batch, examined(backend, model, batch, judged), seed_of("check", seed), judged)


@uncollected()
@np.errstate(all="ignore")
def signal_propagation(model: Any, plan: Plan, batch: Any = None) -> SignalPropagation:
    """What theory says about every operation of a model filled by this plan, beside what is measured on the batch.

    Second moment, mean and correlation of two inputs behind every operation, and the second moment of the gradient at
    every weight that a random signal at the last hidden one sends back. Nothing about the model changes.

    Args:
        model: As for `plan`, filled by the plan: a model that holds other values is what the comparison shows.
        plan: The plan that filled it.
        batch: As for `plan`, with two samples or more on the first axis.
    Returns:
        `SignalPropagation`: `.rows`, each with `second`, `correlation` and `gradient` (`.theory`, `.measured` and
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
    >>> signal_propagation(model, found, torch.randn(32, 64)).flagged
    ()
    >>> _ = torch.nn.init.normal_(model[2].weight)
    >>> [row.place for row in signal_propagation(model, found, torch.randn(32, 64)).flagged]
    ['2 (linear)']
    """
    instance("signal_propagation", "plan", plan, Plan)
    graph, measurement = measure.moments(find(model), model, batch)
    return propagation.signal_propagation(graph, plan, measurement)
