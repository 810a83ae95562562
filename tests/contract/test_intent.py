"""What was constructed on purpose: found by its values, kept where it may be meant, and said."""

import math

import pytest
import torch
from torch import nn

import wellbegun as wb


class Net(nn.Module):
    """Layers in series, with values that somebody put there."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 64), nn.Linear(64, 32)
        self.norm, self.rare = nn.LayerNorm(32), nn.Linear(32, 8)
        self.amplitude = nn.Parameter(torch.full((32,), 0.1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        x = x + self.amplitude * self.down(torch.relu(self.up(self.norm(x))))
        return self.rare(x)


BATCH = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def decided(model: nn.Module, **options: object) -> dict[str, str]:
    """By whom each parameter is decided."""
    return {entry.name: entry.decided_by for entry in wb.plan(model, BATCH, seed=0, **options).entries}  # type: ignore[arg-type]


def test_what_its_layers_constructed_is_no_purpose() -> None:
    kept = [name for name, by in decided(net()).items() if by == "intent"]
    assert kept == ["amplitude"]  # 0.1, where 1 leaves a signal as it is


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rare.bias", torch.full((8,), -math.log(99))),
        ("rare.bias", torch.tensor([-4.0, -4.2, -3.9, -4.1, -4.3, -4.0, -3.8, -4.1])),
        ("first.bias", torch.cat([torch.zeros(16), torch.linspace(3, 6, 16)])),
        ("down.weight", torch.zeros(32, 64)),
        ("rare.weight", torch.zeros(8, 32)),
        ("down.weight", torch.eye(32, 64)),
        ("rare.weight", torch.randn(8, 32, generator=torch.Generator().manual_seed(1)) * 1e-3),
        ("norm.weight", torch.zeros(32)),
        ("norm.weight", torch.full((32,), 32**0.5)),
    ],
)
def test_what_was_put_there_stays_and_the_plan_says_what_it_was(name: str, values: torch.Tensor) -> None:
    model = net()
    model.get_parameter(name).data.copy_(values)
    result = wb.initialize(model, BATCH, seed=0)
    entry = result.plan[name]
    assert (entry.action, entry.decided_by) == ("keep", "intent")
    assert "holds" in entry.reason
    assert torch.equal(model.get_parameter(name).data, values)
    assert any(name in note for note in result.plan.notes)


@pytest.mark.parametrize("recipe", ["classic", "gpt2"])
def test_other_recipes_do_what_they_say_unless_asked(recipe: str) -> None:
    model = net()
    nn.init.constant_(model.rare.bias, -4.6)
    assert decided(model, recipe=recipe)["rare.bias"].startswith("recipe")
    assert decided(model, recipe=recipe, intent="keep")["rare.bias"] == "intent"


def test_rules_names_in_full_and_overwrite_come_first() -> None:
    model = net()
    nn.init.constant_(model.rare.bias, -4.6)
    assert decided(model, intent="overwrite")["rare.bias"].startswith("recipe")
    assert decided(model, rules=[("rare.bias", "zeros")])["rare.bias"].startswith("rule")
    assert decided(model, only=["rare.bias"])["rare.bias"].startswith("recipe")
    assert decided(model, only=["rare.*"])["rare.bias"] == "intent"
    with pytest.raises(wb.errors.ArgumentError, match="intent"):
        decided(model, intent="never")


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_silent_layer_and_equal_units_are_faults(value: float) -> None:
    model = net()
    nn.init.constant_(model.first.weight, value)
    entry = wb.plan(model, BATCH, seed=0)["first.weight"]
    assert entry.action == "fill"
    assert "not kept" in entry.reason
    assert decided(model, intent="keep")["first.weight"] == "intent"


def test_memory_and_trained_weights_are_no_evidence() -> None:
    raw = net()
    for parameter in raw.parameters():
        nn.init.zeros_(parameter)
    trained = net()
    nn.init.constant_(trained.rare.bias, -4.6)
    nn.init.normal_(trained.norm.weight, 1, 0.2)
    for model in (raw, trained):
        assert "intent" not in decided(model).values()
        assert any("counts as put there on purpose" in note for note in wb.plan(model, BATCH, seed=0).notes)
    with torch.device("meta"):
        assert "intent" not in decided(Net()).values()


def test_one_number_drawn_by_its_layer_is_no_constant() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 1), nn.Linear(1, 1))
    assert "intent" not in decided(model).values()
    nn.init.constant_(model[1].bias, -4.6)
    assert decided(model)["1.bias"] == "intent"


def test_a_scale_that_all_layers_share_is_a_default_and_no_purpose() -> None:
    model = net()
    for layer in (model.first, model.up, model.down, model.rare):
        nn.init.normal_(layer.weight, std=1e-3)
        nn.init.zeros_(layer.bias)
    assert "intent" not in {by for name, by in decided(model).items() if name != "amplitude"}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("up.bias", torch.full((64,), -5.0)),
        ("up.weight", torch.full((1,), 30.0)),
        ("up.weight", torch.full((1,), 1e-4)),
    ],
)
def test_dead_units_and_sizes_that_no_design_asks_for_are_filled(name: str, values: torch.Tensor) -> None:
    model = net()
    parameter = model.get_parameter(name)
    parameter.data = parameter.data * values if parameter.ndim > 1 else values
    assert decided(model)[name].startswith("recipe")


def test_planning_again_after_a_fill_gives_the_same() -> None:
    model = net()
    first = wb.initialize(model, BATCH, seed=0).plan
    second = wb.initialize(model, BATCH, seed=0).plan
    assert [(e.name, e.action, e.law) for e in first.entries] == [(e.name, e.action, e.law) for e in second.entries]


def test_zeros_beside_a_bias_that_was_chosen_are_an_answer_of_their_own() -> None:
    class Placed(nn.Module):
        """Pictures are first put straight: by nothing, at the start."""

        def __init__(self) -> None:
            super().__init__()
            self.place, self.read = nn.Linear(3 * 36, 6), nn.Linear(3 * 36, 4)
            nn.init.zeros_(self.place.weight)
            self.place.bias.data.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            at = nn.functional.affine_grid(self.place(x.flatten(1)).view(-1, 2, 3), list(x.shape), align_corners=False)
            return self.read(nn.functional.grid_sample(x, at, align_corners=False).flatten(1))

    model = Placed()
    plan = wb.plan(model, torch.randn(4, 3, 6, 6), seed=0)
    assert {entry.name for entry in plan.entries if entry.decided_by == "intent"} == {"place.weight", "place.bias"}
    alone = nn.Sequential(nn.Linear(16, 6), nn.Tanh(), nn.Linear(6, 4))
    nn.init.zeros_(alone[0].weight)  # nothing of the signal goes around it
    plan = wb.plan(alone, torch.randn(4, 16), seed=0)
    assert not any(entry.decided_by == "intent" for entry in plan.entries)


@pytest.mark.parametrize("noise", [True, False])
def test_a_constant_matrix_is_meant_only_beside_a_part_that_tells_units_apart(noise: bool) -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean, self.spread = nn.Parameter(torch.randn(16, 8) / 3), nn.Parameter(torch.full((16, 8), 0.2))
            self.register_buffer("noise", torch.randn(16, 8))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ (self.mean + self.spread * self.noise if noise else self.spread).T

    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), Own(), nn.ReLU(), nn.Linear(16, 4))
    wb.initialize(model, BATCH, seed=0)
    assert bool((model[2].spread == 0.2).all()) is noise
