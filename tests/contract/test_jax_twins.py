"""Small twins of torch and Flax models: constants in activations, inputs that depend on no batch, narrow arithmetic."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional as F
from twins import normal, rngs

import wellbegun as wb


class TorchNet(nn.Module):
    def __init__(self, act: Callable[[Any], Any]) -> None:
        super().__init__()
        self.act, self.first, self.second, self.last = act, nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.act(self.second(self.act(self.first(x)))))


class JaxNet(nnx.Module):
    def __init__(self, act: Callable[[Any], Any], dtype: Any = None) -> None:
        self.act, self.first = act, nnx.Linear(8, 16, dtype=dtype, rngs=rngs())
        self.second, self.last = nnx.Linear(16, 16, dtype=dtype, rngs=rngs()), nnx.Linear(16, 3, rngs=rngs())

    def __call__(self, x: Any) -> Any:
        return self.last(self.act(self.second(self.act(self.first(x)))))


def laws(plan: wb.Plan) -> dict[str, tuple[str, str, str]]:
    """Of each parameter; numbers to six digits, as frameworks round constants each in their way."""

    def rounded(text: object) -> str:
        return re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]):.6g}", str(text))

    return {entry.name: (entry.role, rounded(entry.scheme), rounded(entry.reason)) for entry in plan.entries}


ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda x: nnx.leaky_relu(x, 0.2)),
    "elu": (F.elu, nnx.elu),
    "selu": (F.selu, nnx.selu),
    "hard_tanh": (F.hardtanh, nnx.hard_tanh),
    "argument": (
        lambda x: torch.where(x > 0, x, 0.2 * x),
        lambda x: jax.jit(lambda x, slope: jnp.where(x > 0, x, slope * x))(x, 0.2),
    ),
    "arithmetic": (
        lambda x: torch.where(x > 0, x, 0.3 * x),
        lambda x: jnp.where(x > 0, x, (jnp.full((1, 1), 0.1).reshape(1) * 2 + jnp.array(0.1)) * x),
    ),
    "full": (lambda x: F.hardtanh(x), lambda x: jnp.clip(x, jnp.full((16,), -1.0), -jnp.full((16,), -1.0))),
}


@pytest.mark.parametrize("recipe", ["auto", "classic"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_constants_within_activations(name: str, recipe: str) -> None:
    one, other = ACTIVATIONS[name]
    expected = laws(wb.plan(TorchNet(one), (4, 8), recipe=recipe, seed=0))
    assert laws(wb.plan(JaxNet(other), (4, 8), recipe=recipe, seed=0)) == expected
    changed = wb.plan(JaxNet(lambda x: nnx.leaky_relu(x, 0.7)), (4, 8), recipe=recipe, seed=0)
    assert laws(changed) != expected


@pytest.mark.parametrize("recipe", ["auto", "classic"])
def test_constants_between_convolutions(recipe: str) -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Any) -> Any:
            return self.last(F.leaky_relu(self.first(x), 0.2))

    class Other(nnx.Module):
        def __init__(self) -> None:
            self.first = nnx.Conv(3, 8, (3, 3), padding=1, rngs=rngs())
            self.last = nnx.Conv(8, 4, (1, 1), rngs=rngs())

        def __call__(self, x: Any) -> Any:
            return self.last(nnx.leaky_relu(self.first(x), 0.2))

    plans = [wb.plan(One(), (2, 3, 6, 6), recipe=recipe, seed=0), wb.plan(Other(), (2, 6, 6, 3), recipe=recipe, seed=0)]
    assert laws(plans[0]) == laws(plans[1])


@pytest.mark.parametrize("recipe", ["auto", "classic"])
def test_narrow_arithmetic_with_wide_parameters(recipe: str) -> None:
    """A weight that is read through a cast is still one use of it."""

    class Cast(TorchNet):
        def forward(self, x: Any) -> Any:
            x = x.bfloat16()
            for layer in (self.first, self.second):
                x = self.act(F.linear(x, layer.weight.bfloat16(), layer.bias.bfloat16()))
            return self.last(x.float())

    expected = laws(wb.plan(Cast(F.relu), (4, 8), recipe=recipe, seed=0))
    found = wb.plan(JaxNet(nnx.relu, jnp.bfloat16), (4, 8), recipe=recipe, seed=0)
    assert laws(found) == expected == laws(wb.plan(JaxNet(nnx.relu), (4, 8), recipe=recipe, seed=0))
    assert wb.initialize(JaxNet(nnx.relu, jnp.bfloat16), normal(32, 8), seed=0).health.healthy


def test_layers_whose_input_depends_on_no_batch() -> None:
    class Other(nnx.Module):
        def __init__(self) -> None:
            self.place, self.enter = nnx.Linear(1, 8, rngs=rngs()), nnx.Linear(6, 8, rngs=rngs())
            self.last = nnx.Linear(8, 3, rngs=rngs())

        def __call__(self, x: Any) -> Any:
            return self.last(nnx.relu(self.enter(x) + self.place(jnp.linspace(-1, 1, x.shape[1])[:, None])))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.enter, self.last = nn.Linear(1, 8), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            return self.last(F.relu(self.enter(x) + self.place(torch.linspace(-1, 1, x.shape[1])[:, None])))

    found, expected = wb.initialize(Other(), normal(16, 6, 6), seed=0), wb.initialize(Twin(), normal(16, 6, 6), seed=0)
    assert laws(found.plan) == laws(expected.plan)
    assert found.ledger.counts()["filled"] == 6


def test_a_first_state_of_zeros() -> None:
    class Cell(nnx.Module):
        def __init__(self) -> None:
            self.state, self.enter = nnx.Linear(8, 8, rngs=rngs()), nnx.Linear(6, 8, rngs=rngs())
            self.last = nnx.Linear(8, 3, rngs=rngs())

        def __call__(self, x: Any) -> Any:
            carry = jnp.zeros((x.shape[0], 8))
            for step in range(2):
                carry = jnp.tanh(self.enter(x[:, step]) + self.state(carry))
            return self.last(carry)

    assert {entry.role for entry in wb.plan(Cell(), (4, 2, 6), seed=0).entries} >= {
        "recurrent_input",
        "readout",
        "bias",
    }
    assert wb.check(Cell(), normal(8, 2, 6)).statistics is not None


# ---------------------------------------------------------------------- variables in unusual places
@pytest.mark.parametrize("wrapper", [nnx.WeightNorm, nnx.SpectralNorm])
def test_layers_that_keep_state_in_plain_dicts(wrapper: Any) -> None:
    class Wrapped(nnx.Module):
        def __init__(self) -> None:
            self.first, self.last = wrapper(nnx.Linear(8, 8, rngs=rngs()), rngs=rngs()), nnx.Linear(8, 3, rngs=rngs())

        def __call__(self, x: Any) -> Any:
            return self.last(nnx.relu(self.first(x)))

    plan = wb.plan(Wrapped(), (16, 8), seed=0)
    assert [entry.name for entry in plan.entries] == [
        "first.layer_instance.weight", "first.layer_instance.bias", "last.weight", "last.bias",
    ]  # fmt: skip
    assert plan["first.layer_instance.weight"].role == "hidden"
    assert wb.initialize(Wrapped(), normal(32, 8), seed=0).ledger.counts()["filled"] == 4


def test_parameters_in_plain_containers() -> None:
    class Held(nnx.Module):
        def __init__(self) -> None:
            self.layers = nnx.data([nnx.Linear(8, 8, rngs=rngs()), {"last": nnx.Param(jnp.ones((8, 3)))}])
            self.table, self.sizes = jnp.ones(8), [1, {"two": (3, None)}]

        def __call__(self, x: Any) -> Any:
            return nnx.relu(self.layers[0](x * self.table)) @ self.layers[1]["last"].get_value()

    model = Held()
    result = wb.initialize(model, normal(32, 8), seed=0)
    assert [entry.name for entry in result.plan.entries] == ["layers.0.weight", "layers.0.bias", "layers.1.last"]
    assert np.std(model.layers[1]["last"].get_value()) > 0


def test_integer_parameters_are_not_trained() -> None:
    class Counts(nnx.Module):
        def __init__(self) -> None:
            self.first, self.shift = nnx.Linear(8, 3, rngs=rngs()), nnx.Param(jnp.arange(3))

        def __call__(self, x: Any) -> Any:
            return self.first(x) + self.shift.get_value()

    assert wb.check(Counts(), normal(32, 8)).statistics is not None
    assert wb.initialize(Counts(), normal(32, 8), exclude=["shift"], seed=0).ledger["shift"].outcome == "kept"
