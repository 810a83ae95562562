"""Which of what a model returns is a loss of its own: no critic, pool, scale or other head, whatever is beside."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import pytest
import torch
from flax import nnx
from loss_models import LABELS, NAMED, X, entropies, entropy, loss_of
from torch import nn
from torch.nn import functional

import wellbegun as wb

G = torch.Generator().manual_seed(3)
MORE, ROWS, MASK = torch.randn(32, 16, generator=G), torch.randn(32, 6, 16, generator=G), torch.ones(32, 6)
MASK[:, 4:] = 0
PAIR, MASKED, TARGETS = {"x": X, "more": MORE}, {"x": ROWS, "mask": MASK}, {"x": X, "labels": MORE[:, :1]}
ONE = {name: value[:1] for name, value in NAMED.items()}


class Heads(nn.Module):
    """What a function makes of a body, heads and inputs."""

    def __init__(self, function: Callable[..., Any], units: int = 5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.function = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()), function
        self.head, self.critic, self.scale = nn.Linear(16, units), nn.Linear(16, 1), nn.Parameter(torch.tensor(0.5))

    def z(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x))

    def v(self, x: torch.Tensor) -> torch.Tensor:
        return self.critic(self.body(x))[..., 0]

    def forward(self, x: torch.Tensor, labels: Any = None, more: Any = None, mask: Any = None) -> Any:
        others = (one for one in (labels, more, mask) if one is not None)
        return self.function(self, x, *others)


def pooled(m: Heads, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    known = m.z(x).relu()
    return known, (known * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def pair(m: Heads, x: torch.Tensor, more: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    one, other = (functional.normalize(m.z(each), dim=1) for each in (x, more))
    return m.scale.exp() * one @ other.T, one, other


def evidence(z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    shares = 1 + functional.softplus(z)
    return 5 / shares.sum(1), shares / shares.sum(1, keepdim=True)


OTHERS = {  # what is returned, of what batch
    "a critic": (lambda m, x: {"policy": m.z(x), "value": m.v(x)[:, None]}, X),
    "a critic, in order": (lambda m, x: (m.z(x), m.v(x)), X),
    "a critic, first": (lambda m, x: (m.v(x), m.z(x)), X),
    "a critic beside labels": (lambda m, x, y: (m.z(x), m.v(x)), NAMED),
    "a critic of more": (lambda m, x, more: (m.z(x), functional.softplus(m.v(x + more))), PAIR),
    "a critic of one sample": (lambda m, x: (m.z(x), m.v(x)), X[:1]),
    "its mean": (lambda m, x: (m.z(x), m.v(x).mean()), X),
    "its mean over a mask": (lambda m, x, mask: (m.z(x), (m.v(x) * mask).sum() / mask.sum()), MASKED),
    "a distribution": (lambda m, x: (torch.distributions.Categorical(logits=m.z(x)), m.v(x)), X),
    "a critic of the same weight": (lambda m, x: (m.z(x)[:, 1:], m.z(x)[:, 0]), X),
    "a gate": (lambda m, x: (m.z(x), m.v(x).sigmoid()), X),
    "a temperature": (lambda m, x: (m.z(x), m.scale.exp()), X),
    "a temperature, first": (lambda m, x: (m.scale.exp(), m.z(x)), X),
    "a temperature that is used": (lambda m, x: (m.scale.exp(), m.scale.exp() * m.z(x)), X),
    "features and a scale": (lambda m, x, more: (*pair(m, x, more)[1:], m.scale.exp()), PAIR),
    "similarities and a scale": (lambda m, x, more: {"z": pair(m, x, more)[0], "scale": m.scale.exp()}, PAIR),
    "a pool": (lambda m, x: (m.z(x), m.z(x).mean(1)), ROWS),
    "a pool of what is masked": (pooled, MASKED),
    "a pool of what is masked, first": (lambda *a: pooled(*a)[::-1], MASKED),
    "a pool to a number": (lambda m, x, mask: (m.z(x.mean(1)), (m.body(x) * mask[..., None]).mean((1, 2))), MASKED),
    "an energy": (lambda m, x: (m.z(x), m.z(x).logsumexp(1)), X),
    "an uncertainty": (lambda m, x: evidence(m.z(x)), X),
    "a size of features": (lambda m, x: (m.z(x), m.body(x).norm(dim=1)), X),
    "a part of a loss": (lambda m, x: (m.z(x), (m.body(x).square() - 1).mean()), X),
    "labels that it does not read": (lambda m, x, y: m.z(x)[:, 0], NAMED),
    "one label that it does not read": (lambda m, x, y: m.z(x)[:, 0], ONE),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_heads_pools_and_scales_are_no_losses(name: str) -> None:
    function, batch = OTHERS[name]
    model = Heads(function)
    health, given = wb.check(model, batch), model(**batch) if isinstance(batch, dict) else model(batch)
    assert loss_of(health).made_up
    assert "The model gives a loss itself" not in " ".join(health.notes)
    assert not health.codes
    parts = given.values() if isinstance(given, dict) else given if isinstance(given, tuple) else (given,)
    sum(getattr(part, "logits", part).sum() for part in parts).backward()
    assert ("W802" in health.remarks) == any(one.grad is None for one in model.parameters())  # what no output reads


def contrast(m: Heads, x: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(pair(m, x, more)[0], torch.arange(32))


LOSSES = {  # what is returned, its loss, the batch, units
    "beside a critic": (lambda m, x, y: (m.z(x), m.v(x), entropy(m.z(x), x, y)), 2, NAMED, 5),
    "beside a temperature": (lambda m, x, y: (m.scale.exp(), m.z(x), entropy(m.z(x), x, y)), 2, NAMED, 5),
    "behind a penalty": (lambda m, x, y: (m.z(x), m.z(x).square().mean(), entropy(m.z(x), x, y)), 2, NAMED, 5),
    "of probabilities": (lambda m, x, y: (entropies(m.z(x), x, y), m.z(x).softmax(1)), 0, NAMED, 5),
    "of features": (lambda m, x, y: (m.body(x), entropy(m.z(x), x, y)), 1, NAMED, 5),
    "of features, each": (lambda m, x, y: {"all": m.body(x), "losses": entropies(m.z(x), x, y)}, "losses", NAMED, 5),
    "of pairs": (lambda m, x, more: (contrast(m, x, more), pair(m, x, more)[0], m.scale.exp()), 0, PAIR, 5),
    "of one sample": (lambda m, x, y: (m.z(x), entropies(m.z(x), x, y)), 1, ONE, 5),
    "of one sample, in a column": (lambda m, x, y: (entropies(m.z(x), x, y)[:, None],), 0, ONE, 5),
    "of a column": (lambda m, x, y: (m.z(x), (m.z(x) - y).square()[:, 0]), 1, TARGETS, 1),
    "against the input": (lambda m, x: (m.z(x), (m.z(x) - x).square().mean(1)), 1, X, 16),
    "against the input, first": (lambda m, x: ((m.z(x) - x).square().mean(), m.z(x)), 0, X, 16),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_one_whatever_is_beside(name: str) -> None:
    function, place, batch, units = LOSSES[name]
    model = Heads(function, units)
    health, given = wb.check(model, batch), model(**batch) if isinstance(batch, dict) else model(batch)
    assert not loss_of(health).made_up
    assert loss_of(health).value == pytest.approx(given[place].mean().item(), rel=1e-4)


def test_parameters_of_other_outputs_are_told_and_unused_ones_found() -> None:
    model = Heads(lambda m, x: (m.z(x), m.scale.exp()))
    health = wb.check(model, X)
    assert [f.parameter for f in health.findings if f.code == "W802"] == ["critic.weight"]
    assert "No gradient is sent to scale, of which other outputs are made" in " ".join(health.notes)
    given = wb.check(model, X, loss=lambda out: out[0].square().mean())  # which says what it takes
    assert [f.detail for f in given.findings if f.code == "W802"] != []


class Linears(nnx.Module):
    def __init__(self, function: Any) -> None:
        rngs = nnx.Rngs(0)
        self.body, self.head, self.critic = (nnx.Linear(n, m, rngs=rngs) for n, m in ((16, 32), (32, 5), (32, 1)))
        self.scale, self.function = nnx.Param(jnp.array(0.5)), function

    def __call__(self, x: jax.Array, labels: jax.Array | None = None) -> Any:
        return self.function(self, jax.nn.relu(self.body(x)), labels)


def losses(z: jax.Array, y: jax.Array) -> jax.Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1)


@pytest.mark.parametrize(
    ("function", "own"),
    [
        (lambda m, h, _: (m.head(h), m.critic(h)[:, 0], jnp.exp(m.scale.get_value())), False),
        (lambda m, h, _: (m.critic(h), m.head(h) * m.scale.get_value()), False),
        (lambda m, h, y: (m.head(h), m.critic(h)[:, 0], losses(m.head(h), y).mean()), True),
        (lambda m, h, y: (m.head(h), m.critic(h)[:, 0], losses(m.head(h), y)), True),
    ],
)
def test_in_jax_too(function: Any, own: bool) -> None:
    health = wb.check(Linears(function), {"x": X.numpy(), "labels": LABELS.numpy()} if own else X.numpy())
    assert loss_of(health).made_up != own
    assert "The model gives a loss itself" not in " ".join(health.notes)
    assert own or not [f for f in health.findings if f.code == "W802" and f.parameter != "scale"]


@pytest.mark.parametrize("own", [False, True])
def test_in_keras_too(own: bool) -> None:
    x, y = keras.Input((16,), name="x"), keras.Input((), dtype="int32", name="labels")
    hidden = keras.layers.Dense(32, activation="relu")(x)
    logits, value = keras.layers.Dense(5)(hidden), keras.ops.squeeze(keras.layers.Dense(1)(hidden), 1)
    each = keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)
    model = keras.Model({"x": x, "labels": y} if own else x, [logits, value, *([each] if own else [])])
    health = wb.check(model, {"x": X.numpy(), "labels": LABELS.numpy().astype("int32")} if own else X.numpy())
    assert (loss_of(health).made_up, health.remarks) == (not own, ("W802",) if own else ())
    assert "The model gives a loss itself" not in " ".join(health.notes)
