"""In JAX, losses that models give themselves, and labels and targets beside the inputs, are those of PyTorch."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from loss_models import LABELS, X, loss_of
from torch import nn
from torch.nn import functional

import wellbegun as wb


class Linears(nnx.Module):
    def __init__(self, function: Any, units: int = 5) -> None:
        self.rngs, self.function = nnx.Rngs(0), function
        self.first, self.last = nnx.Linear(16, 32, rngs=self.rngs), nnx.Linear(32, units, rngs=self.rngs)

    def __call__(self, x: jax.Array, y: jax.Array) -> Any:
        logits = self.last(jax.nn.tanh(self.first(x)))
        losses = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
        return self.function(losses, logits)


ROWS = {"x": X.numpy(), "y": LABELS.numpy()}
KNOWN = [  # what is returned, of losses of samples in a column and logits; the chance; codes
    (lambda e, z: e.mean(), 1, ()),
    (lambda e, z: e, 1, ()),
    (lambda e, z: e[:, 0], 1, ()),
    (lambda e, z: (e.mean(), z), 1, ()),
    (lambda e, z: (e, z), 1, ()),
    (lambda e, z: (e[:, 0], z), 1, ()),
    (lambda e, z: {"loss": 2 * e.mean(), "logits": z}, 2, ()),
    (lambda e, z: (e.mean(), (z**2).mean()), 1, ()),
    (lambda e, z: e.mean() - 9, None, ()),
    (lambda e, z: e - 9, None, ()),
    (lambda e, z: (jax.lax.stop_gradient(e.mean()), z), 1, ("W201", "W801")),
    (lambda e, z: (0 * e.mean(), z), None, ("W801",)),
]


@pytest.mark.parametrize(("function", "chance", "codes"), KNOWN)
@pytest.mark.parametrize("batch", [ROWS, tuple(ROWS.values())])
def test_in_jax_too(function: Any, chance: float | None, codes: Any, batch: Any) -> None:
    model = Linears(function)
    health, given = wb.check(model, batch), model(*ROWS.values())
    parts = given if isinstance(given, tuple) else (given.get("loss"),) if isinstance(given, dict) else (given,)
    several = len(parts) == 2 and parts[1].shape == ()
    wanted = sum(parts) if several else parts[0].mean()
    assert loss_of(health).value == pytest.approx(float(wanted), rel=1e-5)
    assert "model gives" in loss_of(health).description
    assert loss_of(health).chance == (None if chance is None else pytest.approx(chance * math.log(5), rel=1e-5))
    assert health.codes == codes


class Plain(nnx.Module):
    def __init__(self, units: int = 5) -> None:
        self.rngs = nnx.Rngs(0)
        self.first, self.last = nnx.Linear(16, 32, rngs=self.rngs), nnx.Linear(32, units, rngs=self.rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.last(jax.nn.tanh(self.first(x)))


def beside() -> list[Any]:
    single = functional.one_hot(LABELS, 5).float() * 0.9 + 0.02
    some, coins = torch.where(torch.arange(32) < 9, -100, LABELS), torch.where(torch.arange(32) < 9, -100, LABELS % 2)
    return [(LABELS, 5), (LABELS.to(torch.uint8), 5), (single, 5), (some, 5), (coins, 1), (LABELS + 20, 1)]


@pytest.mark.parametrize(("targets", "units"), beside())
def test_labels_and_targets_beside_the_inputs_are_used_in_jax_as_in_torch(targets: Any, units: int) -> None:
    model, twin = Plain(units), nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, units))
    with torch.no_grad():
        for mine, theirs in zip(twin[::2], (model.first, model.last), strict=True):
            mine.weight.copy_(torch.from_numpy(theirs.kernel.get_value().__array__().T.copy()))
            mine.bias.zero_()
    found, wanted = wb.check(model, (X.numpy(), targets.numpy())), wb.check(twin, (X, targets))
    assert (loss_of(found).description, loss_of(found).chance) == (loss_of(wanted).description, loss_of(wanted).chance)
    assert loss_of(found).value == pytest.approx(loss_of(wanted).value, rel=1e-4)
    assert found.codes == wanted.codes
    gradients = [
        next(one.gradient for one in health.statistics.parameters if one.name == name)
        for health, name in ((found, "last.weight"), (wanted, "2.weight"))
    ]
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-3)


def test_a_list_of_layers_in_jax_takes_what_its_first_one_needs() -> None:
    layers = nnx.Sequential(nnx.Linear(16, 5, rngs=nnx.Rngs(0)), jax.nn.log_softmax)
    assert "the batch's labels" in loss_of(wb.check(layers, (X.numpy(), LABELS.numpy()))).description
    odds = nnx.Sequential(nnx.Linear(16, 1, rngs=nnx.Rngs(0)), jax.nn.sigmoid)
    assert loss_of(wb.check(odds, X.numpy())).chance == math.log(2)
