"""PyTorch: what is written is the plan, exactly once, whatever the dtype, strides and storage."""

import functools
import math

import numpy as np
import pytest
import torch
import torch_models as models
from torch import nn

import wellbegun as wb
from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, RuleError
from wellbegun.materialize import Target, fill_targets, target
from wellbegun.planning import Plan
from wellbegun.storage import plan_from_json, plan_to_json
from wellbegun.torch.device import DeviceMemory

classic_plan = functools.partial(wb.plan, recipe="classic")
classic_initialize = functools.partial(wb.initialize, recipe="classic")


def poison(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    return model


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_parameter_is_written_with_the_stream_of_its_name(dtype: torch.dtype) -> None:
    model = poison(models.Hybrid().to(dtype))
    result = classic_initialize(model, (4, 1, 8, 8), seed=7, rules=[("conv.bias", "normal(std=0.1)")])
    assert set(result.ledger.counts().items()) == {("filled", 17), ("kept", 0), ("tied", 0)}
    name = str(dtype).removeprefix("torch.")
    for parameter_name, parameter in model.named_parameters():
        entry = result.plan[parameter_name]
        order = entry.layout.canonical
        expected = fill(entry.law, [entry.shape[axis] for axis in order], seed=7, name=parameter_name, dtype=name)
        mine = parameter.detach().permute(order).to(torch.float64).numpy()
        assert (mine == expected.astype(np.float64)).all(), parameter_name
    assert torch.isfinite(torch.cat([p.detach().double().flatten() for p in model.parameters()])).all()


def test_the_same_seed_gives_the_same_model_and_another_does_not() -> None:
    first, second, third = (models.Hybrid() for _ in range(3))
    plan = classic_initialize(first, (4, 1, 8, 8), seed=1).plan
    classic_initialize(second, (2, 1, 8, 8), seed=1, threads=1)
    assert equal(state(first), state(second))
    classic_initialize(third, (4, 1, 8, 8), seed=2)
    assert not equal(state(first), state(third))
    wb.apply(third, plan_from_json(plan_to_json(plan)))  # a plan from disk replays bit for bit
    assert equal({k: v for k, v in state(first).items() if "running" not in k and "num" not in k},
                 {k: v for k, v in state(third).items() if "running" not in k and "num" not in k})  # fmt: skip
    wb.apply(third, plan)  # idempotent
    assert torch.equal(first.gelu.weight, third.gelu.weight)


def test_inserting_a_layer_changes_no_other_layer() -> None:
    short, long = models.Named("first", "last"), models.Named("first", "extra", "middle", "last")
    for model in (short, long):
        classic_initialize(model, (4, 16), seed=3)
    for name in ("first.weight", "first.bias"):
        assert torch.equal(short.get_parameter(name), long.get_parameter(name))
    # `last` changed its role from neither: both are readouts before a relu
    assert torch.equal(short.last.weight, long.last.weight)
    assert not torch.equal(long.extra.weight, long.middle.weight)


def test_strided_and_shared_storage() -> None:
    class Strided(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
            self.w = nn.Parameter(torch.empty(16, 288).t())
            self.register_parameter("alias", None)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.conv(x)).flatten(1) @ self.w

    model, plain = poison(Strided()), poison(Strided())
    plain.conv.weight = nn.Parameter(plain.conv.weight.detach().contiguous())
    plain.w = nn.Parameter(plain.w.detach().contiguous())
    assert model.w.stride() != plain.w.stride()
    for one in (model, plain):
        classic_initialize(one, (2, 4, 8, 8), seed=0)
    assert torch.equal(model.conv.weight, plain.conv.weight)
    assert torch.equal(model.w, plain.w)
    assert model.conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_tied_weights_once_padding_zero_frozen_and_excluded_untouched() -> None:
    model = poison(models.TiedLM())
    with torch.no_grad():
        model.scale.fill_(1)
    model.up.weight.requires_grad_(False)
    with torch.no_grad():
        model.up.weight.fill_(0.5)
        model.down.bias.fill_(0.25)
    tokens = {"tokens": torch.randint(0, 30, (2, 12))}
    result = classic_initialize(model, tokens, exclude=["down.bias"], seed=0)
    outcomes = {record.name: record.outcome for record in result.ledger.records}
    assert outcomes["head.weight"] == "tied"
    assert outcomes["embed.weight"] == "filled"
    assert (outcomes["up.weight"], outcomes["down.bias"], outcomes["scale"]) == ("kept", "kept", "filled")
    assert model.head.weight is model.embed.weight
    assert (model.embed.weight[2] == 0).all()
    assert (model.embed.weight[[0, 1, 3]] != 0).all()
    assert abs(float(model.embed.weight.detach()[3:].std()) * 4 - 1) < 5 / (2 * 27 * 16) ** 0.5  # once: std 1/sqrt(16)
    assert (model.up.weight == 0.5).all()
    assert (model.down.bias == 0.25).all()
    assert result.ledger["up.weight"].reason == "frozen: it is not trained"


def test_storage_shared_without_being_the_same_object_is_tied() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(4, 4, bias=False)
            self.b = nn.Linear(4, 4, bias=False)
            self.b.weight = nn.Parameter(self.a.weight.detach())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(self.a(x)))

    model = Shared()
    assert model.a.weight is not model.b.weight
    assert classic_plan(model, (2, 4), seed=0)["b.weight"].action == "tie"


def test_a_model_that_fails_is_left_as_it_was() -> None:
    model = models.Hybrid()
    before = state(model)
    with pytest.raises(RuleError, match="matches a parameter"):
        classic_initialize(model, (4, 1, 8, 8), rules=[("nothing.*", "zeros")], seed=0)
    with pytest.raises(RuleError, match="conv.bias: he_normal"):
        classic_initialize(model, (4, 1, 8, 8), rules=[("*.bias", "he_normal")], seed=0)
    with pytest.raises(ArgumentError, match="shape of 'fc.weight'|one for each parameter"):
        wb.apply(model, classic_plan(nn.Linear(4, 4), (2, 4), seed=0))
    plan = classic_plan(model, (4, 1, 8, 8), seed=0)
    with pytest.raises(ArgumentError, match="parameters of this model"):
        wb.apply(model, Plan((*plan.entries, *classic_plan(nn.Linear(4, 4), (2, 4), seed=0).entries), "classic@1", 0))
    with pytest.raises(ArgumentError, match=r"dtype of 'inline' must be float64; got 'float32'"):
        wb.apply(models.Hybrid().double(), plan)
    assert equal(state(model), before)


def test_other_devices_are_filled_in_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to a device that cannot be written directly, walked on the CPU with tiny pieces."""
    direct, pieces = models.Hybrid(), poison(models.Hybrid())
    plan = classic_plan(direct, (4, 1, 8, 8), rules=[("wide.weight", "orthogonal")], seed=0)
    wb.apply(direct, plan)
    monkeypatch.setattr(target, "PIECE", 50)
    sinks = {
        name: Target(tuple(p.shape), str(p.dtype).removeprefix("torch."), DeviceMemory(p.detach()))
        for name, p in pieces.named_parameters()
    }
    assert fill_targets(plan, sinks).counts() == {"filled": len(plan), "kept": 0, "tied": 0}
    assert all(torch.equal(a, b) for a, b in zip(direct.parameters(), pieces.parameters(), strict=True))


def test_reprs_are_short_and_show_prints_everything(capsys: pytest.CaptureFixture[str]) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    result = classic_initialize(model, (2, 4), seed=0)
    assert repr(result.plan) == "<Plan classic@1, seed 0: 4 to fill, 0 to keep, 0 to tie>"
    assert repr(result.ledger) == "<Ledger, seed 0: 4 filled, 0 kept, 0 tied>"
    assert repr(result.health) == "<Health: healthy>"
    wb.show(result)
    shown = capsys.readouterr().out
    assert "he_normal" in shown
    assert "4 filled; seed 0." in shown
    assert "Health: healthy" in shown
    with pytest.raises(TypeError, match="SignalPropagation, Race, ModelComparison, CoordinateCheck, Applied or Result"):
        wb.show(model)


def test_autograd_notices_and_optimizers_go_on() -> None:
    model = nn.Linear(4, 4)
    version = model.weight._version
    classic_initialize(model, (2, 4), seed=0)
    assert model.weight._version > version
    assert model.weight.requires_grad
    assert model.weight.grad is None
    assert model.weight.is_leaf


def test_progress_is_reported_for_each_module_and_parameter_in_every_phase() -> None:
    seen: list[tuple[int, int, str]] = []
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    result = classic_initialize(model, (2, 4), seed=0, progress=lambda *step: seen.append(step))
    modules = [(0, 3, ""), (1, 3, " 0"), (2, 3, " 1")]
    traced = [(done, total, f"trace{name}") for done, total, name in modules]
    filled = [(0, 2, "fill 0.weight"), (1, 2, "fill 0.bias")]
    measured = [(done, total, f"measure{name}") for done, total, name in modules]
    assert seen == [*traced, *filled, *measured, (0, 1, "backward")]
    seen.clear()
    wb.apply(model, result.plan, progress=lambda *step: seen.append(step))
    assert seen == [(0, 2, "0.weight"), (1, 2, "0.bias")]


def test_matrices_that_are_filled_side_by_side_have_the_same_bits() -> None:
    layers = [layer for _ in range(40) for layer in (nn.Linear(300, 300), nn.Tanh())]
    model = nn.Sequential(*layers, nn.Linear(300, 1500), nn.Linear(1500, 1000), nn.Linear(1000, 3))
    plan = wb.plan(model, (4, 300), seed=0, rules=[("*.weight", "orthogonal"), ("*.bias", "normal(std=1)")])
    found, seen = [], []
    for threads in (1, 2, 3):
        for parameter in model.parameters():
            nn.init.constant_(parameter, math.nan)
        wb.apply(model, plan, threads=threads, progress=lambda *step: seen.append(step))
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[1], strict=True))
    assert all(torch.equal(a, b) for a, b in zip(found[0], found[2], strict=True))
    names = [name for name, _ in model.named_parameters()]
    assert seen == [(i, len(names), name) for i, name in enumerate(names)] * 3


def test_a_seed_is_drawn_and_recorded_if_none_is_given() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    result = classic_initialize(first, (2, 4))
    assert 0 <= result.plan.seed < 2**64
    assert result.ledger.seed == result.plan.seed
    classic_initialize(second, (2, 4), seed=result.plan.seed)
    assert torch.equal(first.weight, second.weight)
