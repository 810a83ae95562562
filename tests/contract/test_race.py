"""Real races on scikit-learn's digits: what is compared is comparable, repeats, and says what went wrong."""

import functools
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError, WellbegunError
from wellbegun.racing.data import data_of


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10))


def deep() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(64, 32), nn.ReLU()]
    for _ in range(14):
        layers += [nn.Linear(32, 32), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(32, 10))


race = functools.partial(wb.race, jobs=1, rates=(3e-3, 1e-2), seeds=2, steps=8, batch_size=32)


def losses(found: wb.Race) -> dict[Any, tuple[float, ...]]:
    return {trial.key: trial.losses for trial in found.trials}


# ---------------------------------------------------------------------- the same for all
def test_the_same_call_gives_the_same_losses_whatever_jobs_is() -> None:
    call = functools.partial(race, ["default", "auto", "he_normal"], dropping, "digits")
    torch.manual_seed(1)
    first = call()
    torch.manual_seed(2)
    again = call()
    two = call(jobs=2)
    assert len(first.trials) == 12
    assert losses(first) == losses(again) == losses(two)
    assert [t.metric for t in first.trials] == [t.metric for t in two.trials]
    assert [t.key for t in first.trials] == [t.key for t in two.trials], "in the order they were asked for"
    assert first.pairs == two.pairs
    other = call(seeds=[5])
    assert not set(losses(other).values()) & set(losses(first).values())


def test_candidates_of_one_seed_see_the_same_batches_models_and_dropout() -> None:
    """Two candidates that do nothing are the same to the bit, and however much randomness one of them uses up."""

    def thirsty(model: nn.Module) -> None:
        torch.rand(17), np.random.rand(3), random.random()

    found = race({"one": None, "two": thirsty, "three": lambda model, batch, seed: None}, dropping, "digits")
    by = {(t.candidate, t.rate, t.seed): t.losses for t in found.trials}
    for rate in (3e-3, 1e-2):
        for seed in (0, 1):
            assert by["one", rate, seed] == by["two", rate, seed] == by["three", rate, seed]
        assert by["one", rate, 0] != by["one", rate, 1]
        assert by["one", 3e-3, 0][0] == by["one", 1e-2, 0][0], "the same first weights at every rate"


def test_global_state_is_as_before() -> None:
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    threads = torch.get_num_threads()
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    race(["auto"], dropping, "digits", steps=2)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]
    assert torch.get_num_threads() == threads


def test_a_candidate_is_what_initialize_makes() -> None:
    """The first loss of a trial is that of the model as `wb.initialize` leaves it, on the first batch."""
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32) / 16
    made = {}

    def keep(model: nn.Module, batch: torch.Tensor, seed: int) -> None:
        wb.initialize(model, batch, recipe="classic", seed=seed)
        made[seed] = batch

    candidates = {
        "name": "classic",
        "dict": {"recipe": "classic"},
        "function": keep,
        "he": "he_normal",
        "he again": wb.he_normal(),
        "he as rules": {"recipe": "classic", "rules": [(r"*.weight", "he_normal")]},
        "zeros": "zeros",
    }
    found = race(candidates, mlp, (x, y), rates=[1e-3], steps=3)
    by = {(t.candidate, t.seed): t.losses for t in found.trials}
    for seed in (0, 1):
        assert by["name", seed] == by["dict", seed] == by["function", seed]
        assert by["he", seed] == by["he again", seed] == by["he as rules", seed] != by["name", seed]
        assert by["zeros", seed][0] == pytest.approx(math.log(10), abs=1e-6)
    assert sorted(made) == [0, 1]
    assert made[0].shape == (32, 64)


def test_a_plan_is_drawn_from_the_seed_of_the_trial() -> None:
    plan = wb.plan(mlp(), (8, 64), recipe="classic", seed=123)
    found = race({"plan": plan, "recipe": "classic"}, mlp, "digits", rates=[1e-3], steps=2)
    by = {(t.candidate, t.seed): t.losses for t in found.trials}
    assert by["plan", 0] == by["recipe", 0] != by["plan", 1] == by["recipe", 1]


def test_a_function_may_return_another_model() -> None:
    found = race({"bigger": lambda model: nn.Sequential(model, nn.Linear(10, 10))}, mlp, "digits", steps=2)
    plain = race({"plain": None}, mlp, "digits", steps=2)
    assert all(t.status == "done" for t in found.trials)
    assert found.trials[0].losses != plain.trials[0].losses


def test_models_that_cannot_be_copied_are_made_again() -> None:
    class Uncopied(nn.Sequential):
        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("only once")

    found = race(["auto"], lambda: Uncopied(*mlp()), "digits", steps=3)
    assert losses(found) == losses(race(["auto"], mlp, "digits", steps=3))


# ---------------------------------------------------------------------- what is found
def test_a_clear_winner_is_found_and_the_losers_are_diagnosed() -> None:
    found = race({"zeros": "zeros", "small": "normal(std=0.001)", "auto": "auto"}, deep, "digits", seeds=3, steps=20)
    assert found.winner == "auto"
    assert found.candidates[0] == "auto"
    assert "auto wins" in found.verdict
    zeros = next(s for s in found.standings if s.candidate == "zeros")
    assert zeros.area == pytest.approx(1.0, abs=0.02), "nothing learned is 1 in units of chance"
    assert set(zeros.findings) >= {"W101", "W301"}
    assert found.standings[0].findings == ()
    assert found.standings[0].metric > 0.5 > zeros.metric
    assert found.chance == pytest.approx(math.log(10), abs=1e-3)


def test_diverged_trials_end_at_once_and_are_counted() -> None:
    found = race(["default"], mlp, "digits", rates=[0.05, 1e6], optimizers="sgd", steps=30)
    lost = [t for t in found.trials if t.rate == 1e6]
    assert all(t.status == "diverged" and len(t.losses) < 30 and t.metric is None for t in lost)
    assert all(not t.losses[-1] <= 10 * max(t.losses[0], found.chance) for t in lost)
    assert all(t.status == "done" and len(t.losses) == 30 for t in found.trials if t.rate == 0.05)
    assert (found.standings[0].converged, found.standings[0].best_rate) == (0.5, 0.05)


def test_what_a_trial_raises_makes_it_failed_and_the_race_goes_on() -> None:
    def broken(model: nn.Module) -> None:
        raise ValueError("no weights today")

    def late(parameters: Any, rate: float) -> torch.optim.Optimizer:
        if rate == 1e-2:
            raise ValueError("too fast for me")
        return torch.optim.SGD(parameters, rate)

    found = race({"broken": broken, "auto": "auto"}, mlp, "digits", optimizers=("adam", late), steps=2)
    failed = [t for t in found.trials if t.status == "failed"]
    assert sum(t.candidate == "broken" for t in failed) == 8
    assert re.match(r"ValueError: no weights today \(test_race.py, line \d+\)", failed[0].error)
    assert [(t.optimizer, t.rate) for t in failed if t.candidate == "auto"] == [("late", 1e-2)] * 2
    assert found.candidates == ("auto", "broken")
    assert found.winner is None
    nothing = race({"broken": broken}, mlp, "digits", steps=2)
    assert nothing.verdict == "no trial was finished"


def test_halving_stops_losers_and_never_the_winner() -> None:
    """The whole race and the pruned one agree on the winner, and on every loss they share."""
    candidates = {"zeros": "zeros", "tiny": "normal(std=0.001)", "auto": "auto"}
    call = functools.partial(race, candidates, deep, "digits", seeds=3, steps=40)
    whole, pruned = call(), call(prune="halving")
    assert whole.candidates[0] == pruned.candidates[0] == "auto"
    assert whole.winner == "auto"
    full = losses(whole)
    assert all(full[key][: len(curve)] == curve for key, curve in losses(pruned).items())
    stopped = [t for t in pruned.trials if t.status == "stopped"]
    assert stopped
    assert {len(t.losses) for t in stopped} <= {5, 10, 20}, "the rungs"
    assert sum(map(len, losses(pruned).values())) < 0.6 * sum(map(len, full.values()))
    best = [t for t in pruned.trials if t.candidate == "auto" and t.status == "done"]
    assert {t.rate for t in best} == {pruned.standings[0].best_rate}
    assert len(best) == 3


# ---------------------------------------------------------------------- data
def test_data_come_in_many_forms(tmp_path: Path) -> None:
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    split = data_of((x, y))
    forms: list[Any] = [
        (torch.tensor(x), torch.tensor(y)),
        {"x": x, "y": y},
        lambda: (x, y),
        (split.inputs, split.targets, split.test_inputs, split.test_targets),
        {
            "inputs": split.inputs,
            "labels": split.targets,
            "test_inputs": split.test_inputs,
            "test_labels": split.test_targets,
        },
    ]
    call = functools.partial(race, ["default"], mlp, rates=[1e-3], seeds=1, steps=2)
    wanted = call((x, y))
    for form in forms:
        found = call(form)
        assert losses(found) == losses(wanted)
        assert found.trials[0].metric == wanted.trials[0].metric
    assert (len(split.targets), len(split.test_targets)) == (1438, 359)
    assert not set(map(bytes, split.inputs)) & set(map(bytes, split.test_inputs))


def test_models_with_named_and_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(32, 16), nn.Linear(32, 16)
            self.head = nn.Linear(32, 10)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, torch.Tensor]:
            both = torch.cat([self.left(left).relu(), self.right(right).relu()], 1)
            return {"logits": self.head(both)}

    x, y = load_digits(return_X_y=True)
    left, right = x[:, :32].astype(np.float32), x[:, 32:].astype(np.float32)
    named = race(["auto"], Two, {"left": left, "right": right, "y": y})
    several = race(["auto"], Two, ((left, right), y))
    assert losses(named) == losses(several)
    assert all(t.status == "done" and t.metric is not None for t in named.trials)


def test_regression_has_squared_error_variance_as_chance_and_r2() -> None:
    x, y = load_diabetes(return_X_y=True)
    y = ((y - y.mean()) / y.std()).astype(np.float32)[:, None]
    data = (x.astype(np.float32) * 20, y)

    def regression() -> nn.Module:
        return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))

    found = race(["default", "auto"], regression, data, steps=60, rates=[1e-2])
    assert found.chance == pytest.approx(float(data_of(data).targets.var()), rel=1e-5)
    assert all(0.2 < t.metric < 1 for t in found.trials)
    assert "squared error" in found.description


def test_a_loss_and_a_metric_of_ones_own() -> None:
    def margin(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.multi_margin_loss(output, targets)

    seen = []

    def errors(output: torch.Tensor, targets: torch.Tensor) -> float:
        seen.append((tuple(output.shape), tuple(targets.shape)))
        return float((output.argmax(1) != targets).float().mean())

    found = race(["auto"], mlp, "digits", loss=margin, metric=errors)
    assert found.chance is None
    assert seen[-1] == ((359, 10), (359,)), "all test samples at once"
    assert 0 < found.standings[0].metric < 1
    assert race(["auto"], mlp, "digits", loss=margin, chance=0.9).chance == 0.9


# ---------------------------------------------------------------------- resume
def test_a_race_that_is_on_disk_is_not_run_again(tmp_path: Path) -> None:
    built = []

    def counted() -> nn.Module:
        built.append(1)
        return mlp()

    path = tmp_path / "race.parquet"
    first = race(["default", "auto"], counted, "digits", resume=path)
    assert len(built) > 1
    built.clear()
    again = race(["default", "auto"], counted, "digits", resume=path)
    assert len(built) == 2, "the first try alone, and whether it is made anew"
    assert again.trials == first.trials
    assert wb.Race.load(path).trials == first.trials


def interrupted_at(number: int) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, name: str) -> None:
        if done == number and name:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("prune", [None, "halving"])
def test_an_interrupted_race_goes_on_where_it_was(tmp_path: Path, prune: str | None) -> None:
    path = tmp_path / "race.csv"
    call = functools.partial(race, ["default", "auto", "zeros"], mlp, "digits", prune=prune, steps=16)
    part = call(resume=path, progress=interrupted_at(5))
    assert part.interrupted
    assert len(part.trials) == len(wb.Race.load(path).trials) == 5
    assert wb.Race.load(path).interrupted
    went = []
    rest = call(resume=path, progress=lambda done, total, name: went.append((done, name)))
    assert went[0] == (5, "")
    whole = call()
    assert losses(rest) == losses(whole)
    assert [t.status for t in rest.trials] == [t.status for t in whole.trials]
    assert not rest.interrupted
    assert not wb.Race.load(path).interrupted


def test_resuming_another_race_tells_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "race.csv"
    race({"a": "auto"}, mlp, "digits", resume=path, steps=2)
    before = path.read_bytes()
    cases: list[tuple[Any, Any, Any, dict[str, Any], str]] = [
        ({"a": "classic"}, mlp, "digits", {}, r"candidates: a \('recipe auto@2' there, 'recipe classic@1' now\)"),
        ({"a": "auto"}, mlp, "digits", {"steps": 3}, "steps: 2 there, 3 now"),
        ({"a": "auto"}, mlp, "digits", {"rates": [1e-3]}, r"rates: \[0.003, 0.01\] there, \[0.001\] now"),
        ({"a": "auto"}, deep, "digits", {}, "model: 'Sequential with 2,410 parameters"),
        ({"a": "auto"}, mlp, (np.ones((50, 64), np.float32), np.arange(50) % 10), {}, "data: 'digits"),
    ]
    for candidates, build, data, options, wanted in cases:
        with pytest.raises(ArgumentError, match=wanted) as caught:
            race(candidates, build, data, **{"steps": 2, **options}, resume=path)
        assert "Give another file" in str(caught.value)
        assert path.read_bytes() == before


def test_what_failed_is_tried_again_on_resume(tmp_path: Path) -> None:
    path, sick = tmp_path / "race.csv", tmp_path / "sick"
    sick.touch()

    def moody(model: nn.Module) -> None:
        if sick.exists():
            raise ValueError("not today")

    assert all(t.status == "failed" for t in race({"m": moody}, mlp, "digits", resume=path).trials)
    sick.unlink()
    assert all(t.status == "done" for t in race({"m": moody}, mlp, "digits", resume=path).trials)


# ---------------------------------------------------------------------- wrong use
X, Y = np.zeros((20, 64), np.float32), np.zeros(20, int)
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"candidates": {}}, "candidates must be at least one candidate"),
    ({"candidates": "auto"}, "candidates must be a dict name -> candidate"),
    ({"candidates": ["auto", "auto"]}, "candidates must be different names"),
    ({"candidates": {"a": "he_norml"}}, r"candidate 'a': value must be the name .* Did you mean 'he_normal'\?"),
    ({"candidates": {"a": "autoo"}}, r"Did you mean 'auto(@1)?'\? Recipes: auto, classic"),
    ({"candidates": {"a": "he_normal(modus=1)"}}, "arguments must be a call of he_normal"),
    ({"candidates": {"a": 3}}, "candidate 'a': value must be None"),
    ({"candidates": {"a": {"recipe": "autoo"}}}, "recipe must be a known name"),
    ({"candidates": {"a": {"seed": 3}}}, "argument must be one of 'recipe', 'rules'"),
    ({"candidates": {"a": lambda: None}}, r"functions of \(model\[, batch, seed\]\)"),
    ({"rates": [math.nan]}, "rates must be a finite number > 0; got nan"),
    ({"rates": [0.1, -1]}, "rates must be a finite number > 0; got -1"),
    ({"rates": []}, "rates must be at least one, all different"),
    ({"rates": [0.1, 0.1]}, "rates must be at least one, all different"),
    ({"rates": "fast"}, "rates must be a finite number > 0; got 'fast'"),
    ({"seeds": 0}, "seeds must be an integer >= 1; got 0"),
    ({"seeds": [1, 1]}, "seeds must be at least one, all different"),
    ({"seeds": [-1]}, r"seed must be an integer in \[0, 2\*\*64\)"),
    ({"steps": 0}, "steps must be an integer >= 1"),
    ({"batch_size": 2.5}, "batch_size must be an integer >= 1"),
    ({"optimizers": "adm"}, r"optimizers must be one of 'sgd', 'momentum', 'adam', 'adamw'; got 'adm'. Did you"),
    ({"optimizers": lambda parameters, rate: 3}, "functions that return a torch optimizer; got 'int'"),
    ({"prune": "half"}, "prune must be one of 'halving'"),
    ({"jobs": 0}, "jobs must be an integer >= 1"),
    ({"chance": 0}, "chance must be a finite number > 0"),
    ({"build": mlp()}, "inputs.*|build"),
    ({"build": 3}, "build must be a function; got 3"),
    ({"build": lambda: 3}, "build must be a function that returns a torch.nn.Module or a JAX model .*; got 'int'"),
    ({"build": lambda: nn.Linear(63, 10)}, r"a first try .* failed: RuntimeError: .*Inputs: float32 \(1438, 64\)"),
    ({"loss": 3}, "loss must be a function"),
    ({"loss": lambda output, targets: output}, "of a floating dtype; got .*32, 10"),
    ({"loss": lambda output, targets: torch.tensor(1.0)}, "loss must depend on the model's parameters"),
    ({"metric": lambda output, targets: "good"}, "a first try .* failed: ValueError"),
    ({"data": "digts"}, "data must be 'digits', "),
    ({"data": 3}, "data must be 'digits', "),
    ({"data": (X, Y[:-1])}, "as many inputs as targets; got 20 and 19"),
    ({"data": (X, Y, X[:3], Y[:2])}, "as many test inputs as test targets; got 3 and 2"),
    ({"data": {"x": X, "a": X[:-1], "y": Y}}, r"as many inputs \(a\) as targets; got 19 and 20"),
    ({"data": {"x": X}}, "x .* and y among its arrays; got .'x'."),
    ({"data": (X[:0], Y[:0])}, "at least one sample"),
    ({"data": (X, np.full(20, math.nan))}, "finite targets"),
    ({"data": (X, np.array(["a"] * 20))}, "an array of numbers; got '<U1 of shape"),
    ({"data": (X, Y + 10)}, r"Target 1\d is out of bounds\. .*, from 10 to 1\d"),
    ({"resume": "race.json"}, "resume: expected a file ending in .parquet or .csv"),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_wrong_use_is_one_message_before_anything_runs(wrong: dict[str, Any], told: str) -> None:
    ran: list[int] = []
    given = {"candidates": {"spy": lambda model: ran.append(1)}, "build": mlp, "data": "digits", **wrong}
    if wrong == {"build": given["build"]} and isinstance(given["build"], nn.Module):
        given["build"] = 4
        told = "build must be a function"
    with pytest.raises(WellbegunError, match=told) as caught:
        race(given.pop("candidates"), given.pop("build"), given.pop("data"), **given)
    assert isinstance(caught.value, (ArgumentError, ArgumentTypeError, ModelError))
    assert str(caught.value).startswith(("race", "plan", "scheme", "resume"))
    assert "\n" not in str(caught.value).split("failed:")[0]
    assert not ran


# ---------------------------------------------------------------------- shown
def test_the_table_says_who_wins_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = race({"zeros": "zeros", "auto": "auto"}, deep, "digits", seeds=3, steps=20)
    printed = capsys.readouterr()
    assert printed.out == "", "nothing is printed unless asked"
    assert all(line.startswith("racing ") for line in printed.err.splitlines())  # a busy machine takes long enough
    wb.show(found)
    text = capsys.readouterr().out
    assert text.startswith("Race: auto wins")
    assert max(map(len, text.splitlines())) <= 80
    for part in ("Standings", "Area of auto, paired", "zeros", "3 of 3 seeds", "better", "W101"):
        assert part in text
    assert text.index("Standings") < text.index("Area of auto, paired")


def test_names_with_brackets_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    wb.show(race({"[red]a[/red]": None, "b": None}, mlp, "digits", steps=1, seeds=1))
    assert "[red]a[/red]" in capsys.readouterr().out


def test_what_cannot_be_sent_to_a_worker_is_told() -> None:
    import threading

    lock = threading.Lock()

    def locked(model: nn.Module) -> None:
        with lock:
            pass

    with pytest.raises(ArgumentError, match=r"sent to a worker; got TypeError: .*lock.* use jobs=1"):
        race({"locked": locked}, mlp, "digits", jobs=2)
    assert race({"locked": locked}, mlp, "digits", steps=1).trials[0].status == "done"
