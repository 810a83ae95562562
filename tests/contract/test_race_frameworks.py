"""Races of models of JAX in each style and of Keras: the same honesty, the same files, from one call."""

import functools
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import linen, nnx

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((96, 6)).astype(np.float32)
Y = (X @ RNG.standard_normal((6, 3))).argmax(1)
DATA = X[:64], Y[:64], X[64:], Y[64:]
race = functools.partial(wb.race, jobs=1, rates=[0.03], seeds=[0], steps=6, batch_size=16, progress=False)


def of_function(seed: int) -> Any:
    first, second = jax.random.split(jax.random.key(seed))
    tree = {"a": jax.random.normal(first, (6, 8)) * 0.3, "b": jax.random.normal(second, (8, 3)) * 0.3}
    return (lambda tree, x: jnp.tanh(x @ tree["a"]) @ tree["b"]), tree


def of_linen(seed: int) -> Any:
    module = linen.Sequential([linen.Dense(8), linen.tanh, linen.Dense(3)])
    return module, module.init(jax.random.key(seed), X[:1])


def of_equinox(seed: int) -> Any:
    return eqx.nn.MLP(6, 3, 8, 1, key=jax.random.key(seed))


def of_nnx() -> Any:
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(6, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs))


def of_keras() -> Any:
    layers = [keras.Input((6,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(3)]
    return keras.Sequential(layers)


def of_torch() -> Any:
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def ended(build: Any, function: Any) -> Any:
    """A model, with a softmax or the like at its end."""

    def built() -> Any:
        model = build()
        if isinstance(model, keras.Sequential):
            model.layers[-1].activation = function
        elif isinstance(model, torch.nn.Module):
            model.append(function)
        else:
            model.layers.append(function)
        return model

    return built


@pytest.mark.parametrize(
    ("build", "softmax", "twice"),
    [
        (of_torch, torch.nn.Softmax(-1), torch.nn.Tanh()),
        (of_nnx, jax.nn.softmax, jnp.tanh),
        (of_keras, keras.activations.softmax, keras.activations.tanh),
    ],
)
def test_probabilities_are_no_logits(build: Any, softmax: Any, twice: Any) -> None:
    plain, shares, other = (race({"made": None}, make, DATA).trials[0].losses
                            for make in (build, ended(build, softmax), ended(build, twice)))  # fmt: skip
    assert len(plain) == 6
    assert plain == pytest.approx(shares, rel=1e-4)
    assert plain != pytest.approx(other, rel=1e-2)


def losses(found: wb.Race) -> dict[Any, Any]:
    return {trial.key: trial.losses for trial in found.trials}


@pytest.mark.parametrize("build", [of_function, of_linen, of_equinox, of_nnx, of_keras])
def test_models_of_every_framework_race(build: Any) -> None:
    (trial,) = race({"made": None}, build, DATA).trials
    assert trial.error == ""
    assert len(trial.losses) == 6
    assert trial.losses[-1] < trial.losses[0]
    assert 0 <= (trial.metric or 0) <= 1


def test_the_seed_decides_values_and_batches() -> None:
    first, other = race({"made": None}, of_function, DATA, seeds=2).trials
    assert first.losses[0] != other.losses[0]


def test_races_repeat_and_resume(tmp_path: Path) -> None:
    whole = race({"made": None}, of_function, DATA, resume=tmp_path / "race.csv")
    state = np.random.get_state()[1].copy()
    again = race({"made": None}, of_function, DATA)
    assert losses(whole) == losses(again)
    assert (np.random.get_state()[1] == state).all()
    kept = (tmp_path / "race.csv").read_text()
    assert losses(race({"made": None}, of_function, DATA, resume=tmp_path / "race.csv")) == losses(whole)
    assert (tmp_path / "race.csv").read_text() == kept


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam", "adamw"])
def test_optimizers_take_the_steps_of_pytorch(kind: str) -> None:
    """Three steps on one batch, beside torch's own optimizer."""
    from wellbegun.jax.training import _optimizer
    from wellbegun.torch.training import _KINDS

    start = RNG.standard_normal((4, 3)).astype(np.float32)
    weight, x = torch.nn.Parameter(torch.from_numpy(start.copy())), torch.from_numpy(X[:8, :4].copy())
    theirs, ours = _KINDS[kind]([weight], 0.1), _optimizer(kind, 0.1)
    held = {"w": jnp.asarray(start)}
    state = ours.init(held)
    for _ in range(3):
        theirs.zero_grad()
        (x @ weight).square().mean().backward()
        theirs.step()
        gradients = jax.grad(lambda held: jnp.mean(jnp.square(X[:8, :4] @ held["w"])))(held)
        added, state = ours.update(gradients, state, held)
        held = jax.tree.map(jnp.add, held, added)
    np.testing.assert_allclose(held["w"], weight.detach().numpy(), rtol=2e-5, atol=1e-6)


def test_bring_your_own_loss_metric_and_optimizer() -> None:
    class Descent:
        def init(self, held: Any) -> Any:
            return ()

        def update(self, gradients: Any, state: Any, held: Any) -> Any:
            return jax.tree.map(lambda gradient: -0.1 * gradient, gradients), state

    def loss(output: Any, targets: Any) -> Any:
        return jnp.square(output - jax.nn.one_hot(targets, 3)).mean()

    def descent(_: Any, rate: float) -> Any:
        return Descent()

    own = race({"made": None}, of_function, DATA, loss=loss, metric=lambda o, y: (o.argmax(-1) != y).mean(),
               optimizers=[descent])  # fmt: skip
    assert own.trials[0].error == ""
    assert own.trials[0].losses[-1] < own.trials[0].losses[0] < 2


WHOLE, BODY = torch.nn.Linear(64, 10), torch.nn.Linear(64, 8)
ONCE: dict[str, Any] = {
    "torch": lambda: WHOLE,
    "torch, a part": lambda: torch.nn.Sequential(BODY, torch.nn.ReLU(), torch.nn.Linear(8, 10)),
    "nnx": functools.cache(lambda: nnx.Linear(64, 10, rngs=nnx.Rngs(0))),
    "keras": functools.cache(lambda: keras.Sequential([keras.Input((64,)), keras.layers.Dense(10)])),
}


@pytest.mark.parametrize("name", ONCE)
def test_a_model_that_is_not_made_anew_would_be_trained_again(name: str) -> None:
    """Later trials started where earlier ones had ended, and the first candidate lost."""
    before = WHOLE.weight.detach().clone(), BODY.weight.detach().clone()
    with pytest.raises(ArgumentError, match="build must be a function that makes all anew; got 'parts twice'"):
        wb.race(["default", "auto"], ONCE[name], "digits", rates=[1e-2], seeds=2, steps=2, jobs=1)
    assert torch.equal(before[0], WHOLE.weight)
    assert torch.equal(before[1], BODY.weight)


def test_what_cannot_run_is_told_before_anything_runs() -> None:
    with pytest.raises(ArgumentError, match="must depend on the model's parameters"):
        race({"made": None}, of_function, DATA, loss=lambda _, y: jnp.mean(jnp.square(jnp.asarray(y, float))))
    with pytest.raises(ArgumentTypeError, match="loss must be a function of output and targets that gives a scalar"):
        race({"made": None}, of_function, DATA, loss=lambda o, _: o)
    with pytest.raises(ArgumentTypeError, match="init and update"):
        race({"made": None}, of_function, DATA, optimizers=[lambda p, rate: None])
    with pytest.raises(ArgumentTypeError, match=r"optimizers must be functions that return a keras\.optimizers"):
        race({"made": None}, of_keras, DATA, optimizers=[lambda p, rate: None])
    with pytest.raises(ArgumentTypeError, match="build must be a function"):
        race({"made": None}, lambda: {"a": 1}, DATA)
