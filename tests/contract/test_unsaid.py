"""No rule is needed for a model that runs: what nothing can be said of stays as constructed, or gets a safe law."""

import pytest
import torch
from torch import nn

import wellbegun as wb


class Branches(nn.Module):
    """Layers that this batch does not reach, and a parameter of no layer that nothing reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, 16), nn.Linear(16, 3)
        self.spare = nn.ModuleDict(
            {
                "linear": nn.Linear(16, 16),
                "conv": nn.Conv2d(4, 8, 3, groups=2),
                "up": nn.ConvTranspose1d(4, 8, 3, stride=2),
                "table": nn.Embedding(9, 4, padding_idx=2),
                "norm": nn.LayerNorm(4),
                "batch": nn.BatchNorm2d(4),
                "lstm": nn.LSTM(4, 5, proj_size=3),
                "cell": nn.GRUCell(4, 5),
                "attention": nn.MultiheadAttention(8, 2, kdim=4),
            }
        )
        self.mask_token = nn.Parameter(torch.full((1, 16), 0.3))
        self.lonely = nn.Parameter(torch.randn(4, 3, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.stem(x)))


X = torch.randn(16, 8)


@pytest.mark.parametrize("recipe", ["auto", "classic", "torch", "gpt2", "resnet"])
def test_layers_that_are_not_reached_are_planned_as_their_own_layers_use_them(recipe: str) -> None:
    model = Branches()
    plan = wb.plan(model, X, recipe=recipe, seed=0)
    kept = {entry.name for entry in plan.entries if entry.decided_by == "nobody"}
    assert kept == {"mask_token", "lonely"}
    weights = [entry for entry in plan.entries if entry.name.startswith("spare.") and "weight" in entry.name]
    assert all(entry.layout is not None for entry in weights)
    assert plan["spare.conv.weight"].layout.groups == 2
    assert plan["spare.up.weight"].layout.transposed
    assert plan["spare.lstm.weight_hh_l0"].layout.sections == 4
    named = " ".join(plan.notes)
    assert all(entry.name in named for entry in plan.entries if entry.name.startswith("spare.") and entry.law)
    assert "mask_token, lonely" in named


def test_what_stays_holds_what_was_constructed_and_strict_names_all_at_once() -> None:
    model = Branches()
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    with pytest.raises(wb.errors.RuleError) as caught:
        wb.initialize(model, X, seed=0, strict=True)
    assert all(name in str(caught.value) for name in before if name.partition(".")[0] not in ("stem", "head"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_parameters())
    wb.initialize(model, X, seed=0)
    assert torch.equal(model.mask_token, before["mask_token"])
    assert torch.equal(model.lonely, before["lonely"])
    assert not model.spare["table"].weight[2].any()


@pytest.mark.parametrize("memory", ["meta", "nan"])
def test_raw_memory_is_filled_whole_and_buffers_are_named(memory: str) -> None:
    with torch.device("meta"):
        model = Branches()
    if memory == "meta":
        plan = wb.plan(model, (16, 8), seed=0)
    model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(float("nan") if tensor.is_floating_point() else 0)
    if memory == "nan":
        plan = wb.plan(model, X, seed=0)
    wb.apply(model, plan)
    assert all(torch.isfinite(tensor).all() for tensor in model.parameters())
    assert any("spare.batch.running_mean" in note for note in plan.notes)
    assert any("mask_token" in note and "N(0, 0.02)" in note for note in plan.notes)


def test_a_user_decides_what_nothing_can_be_said_of() -> None:
    rules = [wb.Rule("lonely", "normal(std=0.5)", layout="ooo"), ("mask_token", "ones")]
    plan = wb.plan(Branches(), X, rules=rules, exclude=["spare.*"], seed=0, strict=True)
    assert plan["lonely"].law.std == 0.5
