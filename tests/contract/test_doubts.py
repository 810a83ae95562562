"""What plans say of combinations that are known to go wrong, and that they say nothing where it is right."""

import pytest
import recipe_models as models
import torch
from recipe_checks import traced
from torch import nn

import wellbegun as wb
from wellbegun.planning import RECIPES, make_plan


class Block(nn.Module):
    """A stem, a branch with two layers, a norm at its end and a factor, a readout."""

    def __init__(self, function: object = torch.relu, *, bias: bool = True) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.first, self.last = nn.Linear(8, 8, bias=bias), nn.Linear(8, 8)
        self.norm, self.factor, self.function = nn.LayerNorm(8), nn.Parameter(torch.ones(8)), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.factor * self.norm(self.last(self.function(self.first(x))))
        return self.head(x)


def products(model: nn.Module, batch: object, *rules: tuple[str, str], recipe: str = "classic") -> list[str]:
    plan = wb.plan(model, batch, recipe=recipe, rules=list(rules), seed=0)
    return [note for note in plan.notes if note.startswith("0 times 0")]


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (("last.*", "factor"), "last.weight and factor"),
        (("last.*", "norm.weight"), "last.weight and norm.weight"),
        (("norm.weight", "factor"), "factor and norm.weight"),
        (("first.*", "last.*"), "first.weight and last.weight"),
    ],
)
def test_two_zeros_in_series_are_named(rules: tuple[str, ...], named: str) -> None:
    found = products(Block(), (4, 6), *[(rule, "zeros") for rule in rules])
    assert [note for note in found if named in note], found


@pytest.mark.parametrize("zero", ["first.*", "last.*", "factor", "norm.weight", "head.*", "stem.*"])
def test_one_zero_is_no_fault(zero: str) -> None:
    assert products(Block(), (4, 6), (zero, "zeros")) == []


def test_what_lets_something_through_is_no_fault() -> None:
    both = [("first.weight", "zeros"), ("last.*", "zeros")]
    assert products(Block(torch.sigmoid), (4, 6), *both) == []  # 1/2 at 0
    assert products(Block(), (4, 6), *both, ("first.bias", "ones")) == []
    assert products(Block(), (4, 6), ("last.*", "zeros"), ("head.*", "zeros")) == []  # the stream goes past
    assert products(nn.Sequential(nn.Linear(4, 4)), (2, 4), ("*", "zeros")) == []


@pytest.mark.parametrize("zero", [("first.*", "last.*"), ("first.*",), ("last.*", "factor"), ("factor",)])
def test_gradients_vanish_where_the_note_says_so(zero: tuple[str, ...]) -> None:
    """The note against what training sees: the branch gets nothing, or something where there is no note."""
    model, rules = Block(torch.tanh), [(name, "zeros") for name in zero]
    noted = products(model, (4, 6), *rules)
    assert bool(noted) == (len(zero) > 1)
    wb.apply(model, wb.plan(model, (4, 6), recipe="classic", rules=rules, seed=0))
    model(torch.randn(4, 6)).square().sum().backward()
    gradients = [model.get_parameter(name).grad for name in ("first.weight", "last.weight", "factor")]
    assert any(found.abs().max() > 0 for found in gradients) != bool(noted)


def test_a_fixup_net_of_skipinit_and_zero_convolutions_is_named() -> None:
    model = models.ResNet(8, 1, kind="skip")
    assert products(model, (2, 3, 32, 32), recipe="skipinit") == []
    found = products(model, (2, 3, 32, 32), ("blocks.*.convs.1.weight", "zeros"), recipe="skipinit")
    assert len(found) == 2


def test_no_recipe_of_ours_multiplies_zeros() -> None:
    for model, batch in ((models.GPT(16, 1), models.tokens(2, 6)), (models.ResNet(8, 1), torch.zeros(2, 3, 32, 32))):
        graph = traced(model, batch)
        for name in RECIPES:
            notes = make_plan(graph, recipe=name, seed=0).notes
            assert not [note for note in notes if note.startswith("0 times 0")], name


def test_truncation_that_cuts_nothing_is_said_of_rules_only() -> None:
    def said(*rules: tuple[str, str], recipe: str = "classic") -> list[str]:
        plan = wb.plan(Block(), (4, 6), recipe=recipe, rules=list(rules), seed=0)
        return [note for note in plan.notes if "cut nothing" in note]

    absolute = ("stem.weight", "truncated_normal(std=0.02, bounds='absolute')")
    assert "stem.weight" in said(absolute)[0]
    assert said(("stem.weight", "truncated_normal(std=0.02)")) == []
    assert said(("stem.weight", "truncated_normal(std=1.0, bounds='absolute')")) == []
    assert said(recipe="convnext") == []  # its reasons say so


class Divided(nn.Module):
    """Blocks whose norms are followed by 1/sqrt(l), or by one constant."""

    def __init__(self, *, falls: bool) -> None:
        super().__init__()
        self.table, self.head, self.falls = nn.Embedding(30, 16), nn.Linear(16, 30), falls
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(3))
        self.up = nn.ModuleList(nn.Linear(16, 32) for _ in range(3))
        self.down = nn.ModuleList(nn.Linear(32, 16) for _ in range(3))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for number, (norm, up, down) in enumerate(zip(self.norms, self.up, self.down, strict=True), 1):
            x = x + down(torch.relu(up(norm(x) * (number**-0.5 if self.falls else 0.5))))
        return self.head(x)


@pytest.mark.parametrize(("recipe", "falls", "doubted"), [
    ("gpt2", True, True), ("wang", True, True), ("lns", True, False), ("qwen", True, False), ("gpt2", False, False),
])  # fmt: skip
def test_depth_is_counted_once(recipe: str, falls: bool, doubted: bool) -> None:
    plan = wb.plan(Divided(falls=falls), models.tokens(2, 6) % 30, recipe=recipe, seed=0)
    assert bool([note for note in plan.notes if "Depth is counted twice" in note]) == doubted
