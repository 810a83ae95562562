"""Batches, losses and methods that are not what they should be: said in one sentence, or reported as what they are."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import wellbegun as wb
from wellbegun import backend as backends
from wellbegun.errors import ArgumentError, ArgumentTypeError, RuleError, TraceError
from wellbegun.planning import Choice, recipe_of


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))


# ---------------------------------------------------------------------- batches
@pytest.mark.parametrize("batch", [torch.randn(0, 8), torch.full((32, 8), torch.nan), torch.full((32, 8), torch.inf)])
@pytest.mark.parametrize("call", [wb.check, lambda model, batch: wb.initialize(model, batch, seed=0).health])
def test_without_finite_samples(call, batch):
    """They are reported, by `initialize` as by `check`: no correction can come of them."""
    assert {"W401", "W901"} & {*call(net(), batch).codes}


LOADER = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(8, 8)), batch_size=4)


@pytest.mark.parametrize("batch", [LOADER, iter(LOADER), (x for x in torch.randn(2, 4, 8))])
@pytest.mark.parametrize("call", [wb.check, wb.plan, wb.initialize])
def test_a_loader_is_no_batch(call, batch):
    with pytest.raises(ArgumentTypeError, match=r"value must be one batch; got .*next\(iter\(loader\)\)"):
        call(net(), batch)


@pytest.mark.parametrize("made", [torch.jit.script, lambda model: torch.jit.trace(model, torch.randn(2, 8))])
@pytest.mark.parametrize("call", [wb.check, wb.plan, wb.initialize])
def test_compiled_scripts_are_refused_and_their_layers_are_not(call, made):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = made(net())
        layer = torch.jit.script(nn.Linear(4, 4))
    with pytest.raises(ArgumentTypeError, match="Give the model that it was made from"):
        call(script, torch.randn(16, 8))
    call(nn.Sequential(net(), layer), torch.randn(16, 8))


def test_a_race_wants_a_function_that_makes_models():
    with pytest.raises(ArgumentTypeError, match=r"build must be a function; got 'Sequential'.*lambda"):
        wb.race(["auto"], net(), (torch.randn(64, 8), torch.randint(0, 4, (64,))))


def test_what_is_not_finite_corrects_nothing():
    model = net()
    found = wb.initialize(model, torch.full((32, 8), torch.nan), seed=0)
    again = wb.apply(net(), wb.plan(net(), (32, 8), seed=0)).model
    assert all(entry.factor == 1 for entry in found.plan.entries)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True))


# ---------------------------------------------------------------------- computed weights
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_layers_are_measured(way):
    """Their buffer is read by the backward pass: looking at the weight in between must not touch it."""
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(16, 16), orthogonal_map=way)
    model = nn.Sequential(layer, nn.Tanh(), nn.Linear(16, 3))
    batch = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
    assert wb.check(model, batch).healthy
    assert wb.initialize(model, batch, seed=0).health.healthy


# ---------------------------------------------------------------------- arguments
@pytest.mark.parametrize("argument", ["loss", "progress", "chance", "calibrate"])
def test_arguments_are_refused_before_anything_runs(argument):
    given = {argument: "none of them"}
    model = net()
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ArgumentTypeError, match=f"initialize: {argument} must be"):
        wb.initialize(model, (4, 8), **given)
    assert all(torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))
    if argument != "calibrate":
        with pytest.raises(ArgumentTypeError, match=f"check: {argument} must be"):
            wb.check(model, (4, 8), **given)


@pytest.mark.parametrize(
    "call", [wb.plan, lambda model, batch, progress: wb.apply(model, wb.plan(model, batch), progress=progress)]
)
def test_progress_is_a_function(call):
    with pytest.raises(ArgumentTypeError, match="progress must be a function"):
        call(net(), (4, 8), progress=3)


@pytest.mark.parametrize("name", [None, 3])
def test_parameters_have_names(name):
    plan = wb.plan(net(), (4, 8), seed=0)
    for call in (plan.__getitem__, lambda given: wb.explain(plan, given)):
        with pytest.raises(ArgumentTypeError, match="parameter must be the name of one.*plan.entries"):
            call(name)


def test_a_loss_that_fails():
    with pytest.raises(TraceError, match="the loss failed") as error:
        wb.check(net(), torch.randn(4, 8), loss=lambda output: 1 / 0)
    assert isinstance(error.value.__cause__, ZeroDivisionError)


# ---------------------------------------------------------------------- methods of one's own
class Own:
    """classic@1, but for one choice or what a refinement does."""

    full_name = "own@1"

    def __init__(self, change=None, refine=None):
        self.change = change
        if refine is not None:
            self.refine = refine

    def choose(self, graph, roles, decided):
        choices = dict(recipe_of("classic").choose(graph, roles, decided))
        return choices if self.change is None else self.change(choices)

    def notes(self, roles):
        return ()


def _with(**more):
    return lambda choices: {**choices, "0.weight": Choice("orthogonal", "own", **more)}


def test_a_choice_reads_the_text_of_a_scheme():
    assert wb.plan(net(), (4, 8), recipe=Own(_with()), seed=0)["0.weight"].scheme == "orthogonal()"
    with pytest.raises(ArgumentError, match="no_such"):
        Choice("no_such", "own")
    with pytest.raises(ArgumentTypeError, match="Choice: scheme must be"):
        Choice(3, "own")


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize("argument", ["learning_rate", "multiplier", "target"])
def test_numbers_of_a_choice(argument, value):
    with pytest.raises(ArgumentError, match=f"Choice: {argument} must be a finite number > 0"):
        Choice("orthogonal", "own", **{argument: value})


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda choices: None, ArgumentTypeError, "what choose returns must be a mapping"),
        (lambda choices: {**choices, "0.weight": "zeros"}, RuleError, "what choose returns must be a mapping"),
        (lambda choices: {**choices, "0.wieght": choices["0.weight"]}, RuleError, "Did you mean '0.weight'"),
        (lambda choices: {**choices, 3: choices["0.weight"]}, RuleError, "one of the model's; got 3"),
    ],
)
def test_what_choose_returns(change, error, text):
    with pytest.raises(error, match=text):
        wb.plan(net(), (4, 8), recipe=Own(change), seed=0)


def _writes(session, plan):
    session.write("0.weight", np.zeros((3, 8), np.float32))
    return plan


@pytest.mark.parametrize(
    ("refine", "error", "text"),
    [
        (lambda session, plan: None, ArgumentTypeError, "what refine returns must be a Plan"),
        (lambda session, plan: plan.scaled({"0.wieght": 2.0}), RuleError, "Did you mean '0.weight'"),
        (lambda session, plan: plan.scaled({"0.weight": np.nan}), ArgumentError, "a finite number > 0"),
        (lambda session, plan: plan.scaled({"0.weight": 0.0}), ArgumentError, "a finite number > 0"),
        (_writes, ArgumentError, r"0.weight must be an array of shape \(16, 8\); got \(3, 8\)"),
    ],
)
def test_what_refine_does(refine, error, text):
    """Whatever fails there, the model is what it was."""
    model, method = net(), Own(refine=refine)
    before = [tensor.clone() for tensor in model.parameters()]
    with pytest.raises(error, match=text):
        wb.initialize(model, torch.randn(4, 8), recipe=method, seed=0)
    assert all(map(torch.equal, model.parameters(), before))


def test_a_session_of_jax_refuses_what_one_of_torch_refuses() -> None:
    nnx = pytest.importorskip("flax.nnx")
    for model in (torch.nn.Linear(4, 3), nnx.Linear(4, 3, rngs=nnx.Rngs(0))):
        with backends.find(model).session(model, (2, 4)) as session:
            with pytest.raises(wb.errors.UnknownNameError, match="Did you mean 'weight'"):
                session.write("weigth", np.zeros((4, 3), np.float32))
            with pytest.raises(wb.errors.ArgumentError, match=r"an array of shape \(3,\); got \(2,\)"):
                session.write("bias", np.zeros(2, np.float32))
