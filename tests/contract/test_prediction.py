"""Theory beside real networks: within the noise of finite width everywhere, and off where something is wrong."""

import dataclasses
from collections.abc import Callable

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.planning import Plan, SignalPropagation
from wellbegun.reports import tables


def mlp(act: Callable[[], nn.Module], layers: int = 20, width: int = 256) -> nn.Sequential:
    return nn.Sequential(
        *(module for _ in range(layers) for module in (nn.Linear(width, width), act())), nn.Linear(width, 10)
    )


def filled(model: nn.Module, x: torch.Tensor, recipe: str, seed: int = 0) -> Plan:
    return wb.initialize(model, x, recipe=recipe, seed=seed, calibrate=False).plan


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def worst(found: SignalPropagation, field: str) -> float:
    return max(abs(off) for row in found if getattr(row, field) for off in getattr(row, field).deviations)


@pytest.mark.parametrize("recipe", ["classic", "auto"])
@pytest.mark.parametrize("act", [nn.ReLU, nn.Tanh, nn.GELU])
def test_deep_plain_nets(act: Callable[[], nn.Module], recipe: str) -> None:
    model, x = mlp(act), batch(64, 256)
    found = wb.signal_propagation(model, filled(model, x, recipe), x)
    assert len(found) == 41
    assert not found.flagged
    for row in found:
        assert row.second.theory is not None
        assert row.correlation.theory is not None
        assert len(row.second.deviations) == len(row.correlation.deviations) == 2
    gradients = [row.gradient for row in found if row.gradient is not None]
    assert len(gradients) == 20  # all but the readout
    assert all(len(quantity.deviations) == 2 for quantity in gradients)
    assert worst(found, "second") > 0.1  # the noise is no excuse for everything
    assert all(row.second.error is not None and row.second.error < 0.3 for row in found.rows[:-1])


def test_a_wrong_scale_is_flagged_where_it_is() -> None:
    model, x = mlp(nn.Tanh), batch(64, 256)
    plan = filled(model, x, "classic")
    with torch.no_grad():
        model[10].weight.mul_(1.3)
    found = wb.signal_propagation(model, plan, x)
    first = next(row for row in found if row.second.flagged)
    assert first.parameter == "10.weight"
    assert abs(first.second.deviations[0]) > 5
    one_step = [row.parameter for row in found if row.second.deviations and abs(row.second.deviations[0]) > 5]
    assert one_step == ["10.weight"]  # what follows agrees with what came in
    entries = tuple(
        dataclasses.replace(entry, law=entry.law.scaled(1.3)) if entry.role == "hidden" and entry.law else entry
        for entry in plan.entries
    )
    for index in range(0, 40, 2):
        with torch.no_grad():
            model[index].weight.mul_(1.0 if index != 10 else 1 / 1.3)
    wrong = wb.signal_propagation(model, dataclasses.replace(plan, entries=entries), x)
    assert len(wrong.flagged) > 10
    assert not wb.signal_propagation(model, plan, x).flagged


@pytest.mark.parametrize("recipe", ["classic", "auto"])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_convolutions(padding: str, recipe: str) -> None:
    layers: list[nn.Module] = []
    for index in range(5):
        layers += [nn.Conv2d(32 if index else 3, 32, 3, padding=1, padding_mode=padding), nn.ReLU()]
    model, x = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 64, 32)), batch(16, 3, 8, 8)
    found = wb.signal_propagation(model, filled(model, x, recipe), x)
    assert not found.flagged
    convs = [row for row in found if row.kind == "conv"]
    assert all(len(row.second.deviations) == 2 for row in convs)
    if padding == "zeros":
        assert all(row.gradient is not None and row.gradient.theory is not None for row in convs)


def test_errors_of_narrow_mirrored_nets_add_up_and_are_counted() -> None:
    """What a function takes from an error in the correlation, a weight that reads mirrored pairs gives back."""
    layers: list[nn.Module] = []
    for index in range(30):
        layers += [nn.Conv2d(16 if index else 1, 16, 3, padding=1), nn.ReLU()]
    images = torch.tensor(load_digits().images[:64, None]).float()
    model, x = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 64, 10)), (images - images.mean()) / images.std()
    found = wb.signal_propagation(model, filled(model, x, "auto"), x)
    assert not found.flagged
    noise = [row.correlation.noise for row in found if row.kind == "conv"]
    assert noise[20] > 1.5 * noise[1]  # a chain that keeps differences keeps errors too


class Residual(nn.Module):
    def __init__(self, blocks: int = 6, width: int = 128) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(width, width), nn.Linear(width, 10)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(blocks)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)


@pytest.mark.parametrize("recipe", ["classic", "auto"])
def test_residual_nets_with_norms(recipe: str) -> None:
    model, x = Residual(), batch(64, 128)
    found = wb.signal_propagation(model, filled(model, x, recipe), x)
    assert not found.flagged
    assert all(row.second.theory is not None for row in found)
    gradients = [row.gradient for row in found if row.kind == "linear"][:-1]
    assert all(quantity is not None and quantity.theory is not None for quantity in gradients)


class Strange(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.tanh(self.a(x))
        x = torch.linalg.qr(x).Q * 8 if x.ndim == 2 else x
        return self.c(functional.tanh(self.b(x)))


def test_what_theory_does_not_know_is_said_and_gone_on_from() -> None:
    model, x = Strange(), batch(64, 64)
    found = wb.signal_propagation(model, filled(model, x, "classic"), x)
    unknown = [row for row in found if row.second.theory is None]
    assert unknown
    assert all(row.reason for row in unknown)
    assert not found.flagged
    after = next(row for row in found if row.parameter == "b.weight")
    assert after.second.theory is not None
    assert after.second.deviations
    kept = wb.signal_propagation(model, wb.plan(model, x, rules=[("b.weight", "keep")], seed=0), x)
    assert "b.weight is not filled" in next(row for row in kept if row.parameter == "b.weight").reason


def test_nothing_changes_and_it_can_be_shown() -> None:
    model, x = mlp(nn.Tanh, 3, 32), batch(16, 32)
    plan = filled(model, x, "auto")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = wb.signal_propagation(model, plan, x)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(state, torch.random.get_rng_state())
    assert len(tables(found)) == 2
    assert "7 of 7" in repr(found)
    wb.show(found)
    with pytest.raises(wb.errors.ArgumentTypeError, match=r"signal_propagation: plan"):
        wb.signal_propagation(model, None, x)  # type: ignore[arg-type]


def test_tokens_gates_and_tables() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(100, 64)
            self.up, self.gate, self.down = (nn.Linear(64, 64) for _ in range(3))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.table(ids)
            return self.down(functional.silu(self.gate(x)) * self.up(x))

    model, ids = Gated(), torch.arange(96).reshape(16, 6)
    found = wb.signal_propagation(model, filled(model, ids, "classic"), ids)
    assert not found.flagged
    assert any(row.kind == "gate" and row.second.theory is not None for row in found)
