"""A built model back to the kind of values that its constructors gave it, in every framework."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import linen, nnx
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError

BATCH = np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)


def of_torch() -> Any:
    return nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))


def test_torch_has_its_own_laws_and_statistics_again() -> None:
    model = of_torch()
    held = model[3].weight
    with torch.no_grad():
        model(torch.from_numpy(BATCH))  # moves statistics
        for parameter in model.parameters():
            parameter.fill_(7.0)
    assert wb.reset(model, (8, 6), seed=1) is model
    assert model[3].weight is held
    bound = 32**-0.5
    assert bound * 0.8 < float(held.detach().abs().max()) <= bound
    assert float(model[1].weight.detach().min()) == 1.0
    assert float(model[1].running_mean.abs().max()) == 0 == int(model[1].num_batches_tracked)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wb.reset(model, (8, 6), seed=2)
    assert not torch.equal(state["0.weight"], model[0].weight)
    wb.reset(model, (8, 6), seed=1)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


class Normed(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.first, self.norm = nnx.Linear(6, 32, rngs=rngs), nnx.BatchNorm(32, rngs=rngs)
        self.last = nnx.Linear(32, 4, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.last(nnx.relu(self.norm(self.first(x))))


def test_nnx_is_set_in_place() -> None:
    model = Normed()
    model(BATCH)
    model.last.kernel.set_value(model.last.kernel.get_value() * 9)
    assert float(jnp.abs(model.norm.mean.get_value()).max()) > 0
    assert wb.reset(model, BATCH, seed=3) is model
    assert float(jnp.abs(model.norm.mean.get_value()).max()) == 0
    assert float(jnp.abs(model.norm.var.get_value() - 1).max()) == 0
    assert 0.7 < float(model.last.kernel.get_value().std() * 32**0.5) < 1.3


def test_linen_runs_its_own_init_and_leaves_the_old_values() -> None:
    module = linen.Sequential([linen.Dense(5, kernel_init=linen.initializers.constant(2.0)), linen.Dense(3)])
    old = module.init(jax.random.key(0), BATCH)
    _, new = wb.reset((module, jax.tree.map(lambda x: x + 1, old)), BATCH, seed=5)
    assert float(new["params"]["layers_0"]["kernel"].max()) == 2.0
    wanted = module.init(jax.random.key(5), BATCH)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), new, wanted))


def test_equinox_gives_another_module() -> None:
    model = eqx.nn.MLP(6, 3, 32, 1, key=jax.random.key(0))
    zero = jax.tree.map(lambda x: x * 0 if eqx.is_array(x) else x, model)
    made = wb.reset(zero, BATCH, seed=0)
    assert float(jnp.abs(zero.layers[1].weight).max()) == 0
    assert 0.8 < float(jnp.abs(made.layers[1].weight).max()) * 32**0.5 <= 1.0


def test_keras_asks_its_layers() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, kernel_initializer="ones")])
    model.set_weights([values + 1 for values in model.get_weights()])
    assert wb.reset(model, seed=0) is model
    assert (np.asarray(model.get_weights()[0]) == 1).all()


class Loose(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.own = nn.Linear(6, 6), nn.Parameter(torch.full((6,), 3.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.first(x)) * torch.sin(self.own) + torch.outer(x[:, 0], self.own).cumsum(1)


def test_what_has_no_constructor_is_told_and_nothing_changes() -> None:
    tree = {"w": np.ones((6, 3), np.float32)}
    with pytest.raises(ArgumentError, match="a function and its tree have no layers"):
        wb.reset((lambda tree, x: x @ tree["w"], tree), BATCH)
    model = Loose()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ArgumentError, match="'own' has no value to go back to"):
        wb.reset(model, (8, 6), seed=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
