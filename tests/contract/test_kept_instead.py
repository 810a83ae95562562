"""Where signals explode with what `auto` plans and not as constructed, the constructed values stay."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import wellbegun as wb

NOTE = "Everything is kept as constructed"


class Products(nn.Module):
    """x + a function of two linear layers of x, again and again."""

    def __init__(self, step: Callable[[Any, Any, Any], Any], blocks: int) -> None:
        super().__init__()
        self.step, self.stem, self.out = step, nn.Linear(32, 48), nn.Linear(48, 10)
        self.a, self.b = (nn.ModuleList(nn.Linear(48, 48) for _ in range(blocks)) for _ in "ab")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for a, b in zip(self.a, self.b, strict=True):
            x = x + self.step(a(x), b(x), x)
        return self.out(x)


EXPLODING: dict[str, tuple[Callable[[Any, Any, Any], Any], int]] = {
    "cubes of the stream": (lambda a, b, x: a * b * x, 6),
    "cubes of a layer": (lambda a, b, x: a**3, 3),
    "sums of products over samples": (lambda a, b, x: (a.mT @ b @ x.mT).mT / 64, 6),
}


def made(name: str) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = Products(*EXPLODING[name])
    return model, {key: value.detach().clone() for key, value in model.named_parameters()}


def batch() -> torch.Tensor:
    return torch.randn(64, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", EXPLODING)
def test_what_is_healthy_as_constructed_stays_so(name: str) -> None:
    model, before = made(name)
    assert wb.check(model, batch()).healthy  # the control
    found = wb.initialize(model, batch(), seed=0)
    assert found.health.healthy
    assert all(torch.equal(value, before[key]) for key, value in found.model.named_parameters())
    assert [note for note in found.plan.notes if note.startswith(NOTE)]
    assert found.ledger.counts()["filled"] == 0


def test_rules_and_other_recipes_do_what_they_say() -> None:
    model, before = made("cubes of the stream")
    found = wb.initialize(model, batch(), seed=0, rules=[("*.weight", "he_normal"), ("*.bias", "zeros")])
    assert found.ledger.counts()["filled"] == len(before)
    assert not found.health.healthy
    model, before = made("cubes of the stream")
    found = wb.initialize(model, batch(), seed=0, recipe="classic")
    assert not torch.equal(dict(model.named_parameters())["stem.weight"], before["stem.weight"])


def test_what_is_planned_stands_where_signals_hold_or_nothing_better_is_there() -> None:
    torch.manual_seed(0)
    shallow, (broken, _) = Products(lambda a, b, _: a * b, 2), made("cubes of the stream")
    with torch.no_grad():
        broken.stem.weight.fill_(torch.nan)  # type: ignore[union-attr,operator]
    for model in (shallow, broken):
        found = wb.initialize(model, batch(), seed=0)
        assert found.ledger.counts()["filled"] == len(list(model.parameters()))
        assert not [note for note in found.plan.notes if note.startswith(NOTE)]


def test_in_jax_too() -> None:
    class Cubes(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.stem, self.out = nnx.Linear(32, 48, rngs=rngs), nnx.Linear(48, 10, rngs=rngs)
            scale = nnx.initializers.normal(0.3 * 48**-0.5)
            self.inside = nnx.List([nnx.Linear(48, 48, rngs=rngs, kernel_init=scale) for _ in range(12)])

        def __call__(self, x: Any) -> Any:
            x = self.stem(x)
            for a, b in zip(self.inside[::2], self.inside[1::2], strict=True):
                x = x + a(x) * b(x) * x
            return self.out(x)

    model, x = Cubes(nnx.Rngs(0)), jnp.asarray(batch().numpy())
    before = np.asarray(model.stem.kernel[...])
    found = wb.initialize(model, x, seed=0)
    assert found.health.healthy
    assert np.array_equal(before, np.asarray(found.model.stem.kernel[...]))
    assert [note for note in found.plan.notes if note.startswith(NOTE)]
