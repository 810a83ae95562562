"""Parametrizations: the papers' tables by hand, the symmetry that folds multipliers away, groups for optimizers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import recipe_models as models
import torch
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, RuleError
from wellbegun.planning import Multipliers, Rates, Training, completep, mup, spectral, standard, umup
from wellbegun.reports.plans import change_rows

TEXT = torch.arange(32).reshape(2, 16)


def mlp(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, 3)
    )


def conv(width: int) -> nn.Sequential:
    body = [nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, groups=width)]
    return nn.Sequential(
        *body, nn.ReLU(), nn.Conv2d(width, 2 * width, 1, groups=2), nn.Flatten(2), Mean(), nn.Linear(2 * width, 5)
    )


class Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(-1)


def std(plan: wb.Plan, name: str) -> float:
    return math.sqrt(plan[name].moments().variance)


def told(plan: wb.Plan, name: str) -> tuple[float, ...]:
    """Rates of Adam, its decay and ε, and rates of SGD and Muon."""
    rates = plan[name].training
    adam = rates.adamw
    found = adam.learning_rate, adam.weight_decay, adam.epsilon, rates.sgd.learning_rate, rates.muon.learning_rate
    return tuple(round(value, 9) for value in found)


# ---------------------------------------------------------------------- tables
def test_mup_of_a_perceptron_by_table_8() -> None:
    model, base = mlp(64), mlp(16)
    plain = wb.plan(base, (2, 8), recipe="classic", seed=0)
    by_model = wb.plan(model, (2, 8), recipe=mup(base=base.state_dict(), fold=False), seed=0)
    by_plan = wb.plan(model, (2, 8), recipe=mup(base=plain, fold=False), seed=0)
    assert by_model == by_plan
    for name in ("0.weight", "0.bias", "2.bias"):
        assert told(by_model, name) == (1, 1, 1 / 4, 4, 1), name
    assert told(by_model, "2.weight") == (1 / 4, 4, 1 / 4, 1, 1)
    assert told(by_model, "4.weight") == (1, 1, 1 / 4, 4, 1)
    assert told(by_model, "4.bias") == (1, 1, 1, 1, 1)
    assert [by_model[f"{i}.weight"].multiplier for i in (0, 2, 4)] == [1, 1, 1 / 4]
    for name, factor in (("0.weight", 1), ("2.weight", 1 / 2), ("4.weight", 1)):
        assert std(by_model, name) == pytest.approx(factor * std(plain, name)), name
    assert any("multiply 4.weight by 0.25" in note for note in by_model.notes)


def test_a_folded_readout_is_that_of_table_3() -> None:
    base = mlp(16)
    plan = wb.plan(mlp(64), (2, 8), recipe=mup(base=base.state_dict()), seed=0)
    plain = wb.plan(base, (2, 8), recipe="classic", seed=0)
    assert told(plan, "4.weight") == (1 / 4, 4, 1, 1 / 4, 1 / 4)
    assert std(plan, "4.weight") == pytest.approx(std(plain, "4.weight") / 4)  # variance 1/n^2
    assert plan["4.weight"].multiplier == 1
    assert plan.notes == ()


def test_a_width_alone_counts_each_axis_by_its_own_size() -> None:
    """Roles tell what grows: 64 / 16 and 128 / 16 in a perceptron without a residual stream."""
    plan = wb.plan(mlp(64), (2, 8), recipe=mup(base=16), seed=0)
    assert told(plan, "0.weight") == (1, 1, 1 / 4, 4, 1)
    assert told(plan, "2.weight")[:4] == (1 / 4, 4, 1 / 8, 2)
    assert told(plan, "2.bias") == (1, 1, 1 / 8, 8, 1)
    assert told(plan, "4.weight")[:4] == (1 / 8, 8, 1, 1 / 8)
    assert told(plan, "4.bias") == (1, 1, 1, 1, 1)


def test_at_the_base_width_nothing_changes() -> None:
    for recipe in ("classic", "gpt2", "torch"):
        plain = wb.plan(models.GPT(32, 2), TEXT, recipe=recipe, seed=0)
        shapes = models.GPT(32, 2).state_dict()
        for same in (mup(base=shapes, recipe=recipe), completep(base=shapes, depth=2, recipe=recipe)):
            found = wb.plan(models.GPT(32, 2), TEXT, recipe=same, seed=0)
            assert [entry.law for entry in found.entries] == [entry.law for entry in plain.entries]
            assert all(entry.training == Training() and entry.multiplier == 1 for entry in found.entries)


@pytest.mark.parametrize("width", [32, 128])
def test_the_recipes_of_a_decoder_by_their_reference(width: int) -> None:
    """nanoGPT-mup: std 0.02 at width 256; blocks / 2 for completep, whose branches end in 1/m_L."""
    m, blocks = width / 256, 8
    for name, deeper in (("mup@1", 1.0), ("completep@1", blocks / 2)):
        plan = wb.plan(models.GPT(width, blocks), TEXT, recipe=name, seed=0)
        for hidden in ("qkv.3.weight", "fc.0.weight"):
            assert std(plan, hidden) == pytest.approx(0.02 / math.sqrt(m))
            assert told(plan, hidden)[:3] == pytest.approx((1 / m, m, 1 / m / deeper))
        for last in ("proj.0.weight", "out.7.weight"):  # x 1/m_L in the forward pass, folded
            assert std(plan, last) == pytest.approx(0.02 / math.sqrt(m) / deeper)
            assert told(plan, last)[:3] == pytest.approx((1 / m / deeper, m * deeper, 1 / m))
        for rows in ("wte.weight", "wpe.weight"):
            assert std(plan, rows) == pytest.approx(0.02)
            assert told(plan, rows)[:3] == pytest.approx((1, 1, 1 / m))
        assert told(plan, "ln1.2.weight")[:3] == pytest.approx((1, 1, 1 / m / deeper))
        assert told(plan, "ln.weight")[:3] == pytest.approx((1, 1, 1 / m))
        assert told(plan, "out.7.bias")[:3] == pytest.approx((1 / deeper, deeper, 1 / m))
        assert std(plan, "head.weight") == pytest.approx(0.02 / m)


@pytest.mark.parametrize("recipe", ["gpt2", "megatron", "wang", "total_depth", "deepnorm", "llama"])
def test_branches_are_divided_by_depth_once(recipe: str) -> None:
    """Of the recipes that divide by depth themselves, what is divided is their value in the base model."""
    plain = wb.plan(models.GPT(32, 2), TEXT, recipe=recipe, seed=0)
    for blocks in (4, 8):
        found = wb.plan(models.GPT(32, blocks), TEXT, recipe=completep(base=32, depth=2, recipe=recipe), seed=0)
        for block, there in ((0, 0), (blocks - 1, 1)):
            last, first = f"out.{block}.weight", f"qkv.{block}.weight"
            assert std(found, last) == pytest.approx(std(plain, f"out.{there}.weight") * 2 / blocks)
            assert std(found, first) == pytest.approx(std(plain, f"qkv.{there}.weight"))
        assert not any("depth twice" in note for note in found.notes)


def test_a_recipe_that_looks_at_the_whole_model_is_told() -> None:
    for recipe, blocks, twice in (("auto", 8, True), ("lns", 8, True), ("auto", 2, False), ("rwkv7", 8, False)):
        plan = wb.plan(models.GPT(32, blocks), TEXT, recipe=completep(base=32, depth=2, recipe=recipe), seed=0)
        assert any("depth twice" in note for note in plan.notes) == twice, recipe


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_completep_by_its_table_1(alpha: float) -> None:
    """Unfolded, m_w = 4 and m_L = 4: branches m_L^-α, rates in branches m_L^(α-1), ε m_w^-1 m_L^-α."""
    recipe = completep(base=models.GPT(16, 8).state_dict(), depth=2, alpha=alpha, fold=False)
    plan = wb.plan(models.GPT(64, 8), TEXT, recipe=recipe, seed=0)
    rate, branch = 4 ** (alpha - 1), 4**-alpha
    assert told(plan, "fc.1.weight") == pytest.approx((rate / 4, 4, branch / 4, 4 ** (2 * alpha - 1), rate))
    assert told(plan, "fc.1.bias")[:3] == pytest.approx((rate, 1, branch / 4))
    assert told(plan, "ln2.0.weight")[:3] == pytest.approx((rate, 1, branch / 4))
    assert [plan[n].multiplier for n in ("out.5.weight", "out.5.bias", "fc.1.weight")] == pytest.approx(
        [branch, branch, 1]
    )
    assert plan["head.weight"].multiplier == 0.25


def test_a_scale_behind_a_branch_takes_its_multiplier() -> None:
    """A norm behind the last weight would undo a smaller weight."""

    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norms = nn.Linear(8, 16), nn.ModuleList(nn.LayerNorm(16) for _ in range(8))
            self.layers, self.head = nn.ModuleList(nn.Linear(16, 16) for _ in range(8)), nn.Linear(16, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for layer, norm in zip(self.layers, self.norms, strict=True):
                x = x + norm(layer(x).relu())
            return self.head(x)

    plan = wb.plan(Inner(), (4, 8), recipe=completep(base=Inner().state_dict(), depth=1), seed=0)
    assert plan["norms.3.weight"].moments().mean == pytest.approx(1 / 4)
    assert [told(plan, f"norms.3.{name}")[0] for name in ("weight", "bias")] == [1 / 4, 1 / 4]
    assert told(plan, "layers.3.weight")[0] == 1
    assert std(plan, "layers.3.weight") == std(wb.plan(Inner(), (4, 8), recipe="classic", seed=0), "layers.3.weight")


def test_a_tied_readout_says_what_the_forward_pass_needs() -> None:
    class Tied(models.GPT):
        def __init__(self, width: int) -> None:
            super().__init__(width, 1)
            self.head.weight = self.wte.weight

    plan = wb.plan(Tied(64), TEXT, recipe=mup(base=Tied(16).state_dict()), seed=0)
    assert told(plan, "wte.weight") == (1, 1, 1 / 4, 4, 1)
    assert plan["head.weight"].training is None
    by_number = wb.plan(Tied(64), TEXT, recipe=mup(base=16), seed=0)  # a table grows, whatever else it is
    assert [entry.training for entry in by_number.entries] == [entry.training for entry in plan.entries]
    assert [note.partition(": ")[2] for note in by_number.notes] == [note.partition(": ")[2] for note in plan.notes]
    assert any("wte.weight is the readout too: multiply the logits by 0.25" in note for note in plan.notes)
    groups = plan.param_groups(Tied(64).named_parameters(), lr=1.0)
    assert sum(len(group["params"]) for group in groups) == len(plan) - 1


def test_convolutions_by_their_channels() -> None:
    plan = wb.plan(conv(32), (2, 3, 8, 8), recipe=mup(base=conv(8).state_dict(), recipe="torch"), seed=0)
    plain = wb.plan(conv(8), (2, 3, 8, 8), recipe="torch", seed=0)
    for name in ("0.weight", "1.weight", "3.weight"):  # of 3 colours, of each channel, depthwise
        assert told(plan, name) == (1, 1, 1 / 4, 4, 1), name
        assert std(plan, name) == pytest.approx(std(plain, name)), name
    assert told(plan, "5.weight") == (1 / 4, 4, 1 / 4, 1, 1)
    assert std(plan, "5.weight") == pytest.approx(std(plain, "5.weight") / 2)
    assert told(plan, "8.weight")[0] == 1 / 4


class Deep(nn.Sequential):
    """Convolutions of one number of channels: whole, depthwise (with two outputs each), grouped, transposed."""

    def __init__(self, width: int) -> None:
        same: dict[str, Any] = {"padding": 1, "groups": width}
        body = [nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, **same)]
        body += [nn.Conv2d(2 * width, width, 1), nn.Conv2d(width, width, 3, groups=4)]
        body += [nn.ConvTranspose2d(width, width, 2, groups=2), nn.ConvTranspose2d(width, width, 2, groups=width)]
        relus = [layer for one in body for layer in (one, nn.ReLU())]
        super().__init__(*relus, nn.Flatten(2), Mean(), nn.Linear(width, 5))


def test_a_width_alone_counts_channels_and_no_window() -> None:
    for width in (16, 64):
        by_number, by_shapes = (
            wb.plan(Deep(width), (2, 3, 8, 8), recipe=mup(base=base, recipe="torch"), seed=0)
            for base in (16, Deep(16).state_dict())
        )
        for name in [entry.name for entry in by_shapes.entries if not entry.name.startswith(("4.", "6."))]:
            assert told(by_number, name) == told(by_shapes, name), (width, name)
            assert by_number[name].law == by_shapes[name].law, (width, name)
        assert told(by_number, "2.weight")[0] == 16 / width
        assert told(by_number, "4.weight") == (1, 1, 8 / width, width / 8, 1)  # outputs over 16; no input grows


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0,)])
def test_parameters_without_entries_are_as_large_at_any_width(shape: tuple[int, ...]) -> None:
    def build(width: int) -> nn.Module:
        model = mlp(width)
        model.register_parameter("empty", nn.Parameter(torch.zeros(shape)))
        return model

    for recipe in (mup(base=16), mup(base=build(16).state_dict()), spectral(), umup()):
        plan = wb.plan(build(64), (2, 8), recipe=recipe, seed=0)
        assert plan["empty"].training == Training()
        assert plan["2.weight"].training != Training()


def test_wider_heads_divide_scores_by_their_width() -> None:
    build = lambda width: nn.Sequential(nn.Linear(8, width), models.Attention(width, 2))  # noqa: E731
    shapes = build(16).state_dict()
    few = wb.plan(build(64), (2, 5, 8), recipe=mup(base=shapes, head_width=8), seed=0)
    many = wb.plan(build(64), (2, 5, 8), recipe=mup(base=shapes), seed=0)
    assert few["1.q.weight"].role == "query"
    assert std(few, "1.q.weight") == pytest.approx(std(many, "1.q.weight") / 2)  # (8 / 32)^(1/2)
    assert told(few, "1.q.weight")[0] == told(many, "1.q.weight")[0] / 2
    assert std(few, "1.k.weight") == std(many, "1.k.weight")
    gpt = wb.plan(models.GPT(64, 1), TEXT, recipe=mup(base=models.GPT(16, 1).state_dict(), head_width=4), seed=0)
    assert any("multiply the scores of its attention by" in note for note in gpt.notes)


class Normed(nn.Module):
    """An attention of two heads whose queries and keys are normalized, or not."""

    def __init__(self, width: int, norm: Any) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.qn, self.kn = norm(width // 2), norm(width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(x).unflatten(-1, (2, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = nn.functional.scaled_dot_product_attention(self.qn(q), self.kn(k), v)
        return x + self.out(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("norm", "folded", "asked"),
    [
        (lambda _: nn.Identity(), {"1.q.weight", "1.q.bias"}, False),
        (nn.RMSNorm, {"1.qn.weight"}, False),
        (nn.LayerNorm, {"1.qn.weight", "1.qn.bias"}, False),
        (lambda n: nn.LayerNorm(n, elementwise_affine=False), set(), True),
    ],
)
def test_the_width_of_heads_is_folded_where_it_still_counts(norm: Any, folded: set[str], asked: bool) -> None:
    build = lambda width: nn.Sequential(nn.Linear(8, width), Normed(width, norm), nn.Linear(width, 3))  # noqa: E731
    plans = [wb.plan(build(64), (2, 5, 8), recipe=mup(base=build(16).state_dict(), head_width=width), seed=0)
             for width in (None, 8)]  # fmt: skip
    rates = [{entry.name: entry.training.adamw.learning_rate for entry in plan.entries} for plan in plans]
    assert {name for name in rates[0] if rates[1][name] == pytest.approx(rates[0][name] / 2)} == folded
    assert {name for name in rates[0] if rates[1][name] != rates[0][name]} == folded
    assert any("multiply its scores by 0.5" in note for note in plans[1].notes) == asked


@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (32, 32), (512, 2)])
def test_the_spectral_condition_holds(shape: tuple[int, int]) -> None:
    """The largest singular value over (n_out/n_in)^(1/2) is 1 + (min / max)^(1/2), for every shape."""
    model = nn.Linear(shape[1], shape[0], bias=False)
    plan = wb.initialize(model, (2, shape[1]), recipe="spectral", seed=0).plan
    largest = torch.linalg.matrix_norm(model.weight.detach(), 2).item() / math.sqrt(shape[0] / shape[1])
    assert largest == pytest.approx(1 + math.sqrt(min(shape) / max(shape)), rel=0.15)
    rates = plan["weight"].training
    assert rates.adamw.learning_rate == 1 / shape[1]
    assert rates.sgd.learning_rate == shape[0] / shape[1]
    assert rates.muon.learning_rate == pytest.approx(min(1, math.sqrt(shape[0] / shape[1])))


def test_umup_by_its_table_2() -> None:
    plan = wb.plan(models.GPT(64, 4), TEXT, recipe=umup(), seed=0)
    assert std(plan, "fc.0.weight") == pytest.approx(1 / 8)
    assert std(plan, "out.0.weight") == pytest.approx(1 / 16 / 2)  # 1 / (n_in blocks)^(1/2)
    assert std(plan, "head.weight") == pytest.approx(1 / 64)
    assert told(plan, "wte.weight")[0] == pytest.approx(1 / 8)  # width^(-1/2)
    assert told(plan, "fc.0.weight")[0] == pytest.approx(1 / 64 / 2)
    assert any("unit scaling" in note for note in plan.notes)


# ---------------------------------------------------------------------- the symmetry
class Twice(nn.Module):
    """One matrix, multiplied in the forward pass."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, factor: float) -> None:
        super().__init__()
        self.first, self.second, self.factor = nn.Parameter(first.clone()), nn.Parameter(second / factor), factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(x @ self.first) @ (self.second * self.factor)


def trained(rates: Rates, factor: float, make: Callable[..., Any], steps: int = 12) -> torch.Tensor:
    """Outputs of one net whose second matrix is multiplied by a factor, after some steps."""
    generator = torch.Generator().manual_seed(0)
    x, y, first, second = (
        torch.randn(size, generator=generator, dtype=torch.float64) for size in ((16, 4), (16, 3), (4, 8), (8, 3))
    )
    model = Twice(first, second, factor)
    rest = {"lr": 0.05, "weight_decay": 0.1, **({"eps": 1e-2} if make is not torch.optim.SGD else {})}
    own = {"lr": 0.05 * rates.learning_rate, "weight_decay": 0.1 * rates.weight_decay}
    own |= {"eps": 1e-2 * rates.epsilon} if "eps" in rest else {}
    optimizer = make([{"params": [model.first], **rest}, {"params": [model.second], **own}])
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - y).square().mean().backward()
        optimizer.step()
    return model(x).detach()


@pytest.mark.parametrize("factor", [0.1, 7.0])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_forms_of_one_symmetry_train_alike(kind: str, factor: float) -> None:
    make = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind]
    moved = Multipliers().moved(factor)
    assert moved.std == 1 / factor
    plain = trained(Rates(), 1.0, make)
    rates = getattr(moved.training, kind)
    assert torch.allclose(trained(rates, factor, make), plain, rtol=1e-9)
    for wrong in ("learning_rate", "weight_decay", *(["epsilon"] if kind == "adamw" else [])):
        other = dataclasses.replace(rates, **{wrong: 1.0})
        assert not torch.allclose(trained(other, factor, make), plain, rtol=1e-4), wrong


def test_moving_there_and_back_changes_nothing() -> None:
    found = Multipliers(0.5, 0.25, Training(adamw=Rates(2.0, 3.0, 4.0)))
    assert found.folded().moved(0.25) == found
    assert found.folded().forward == 1


# ---------------------------------------------------------------------- groups
def test_groups_hold_every_parameter_once() -> None:
    model = mlp(64)
    model[0].bias.requires_grad_(False)
    plan = wb.plan(model, (2, 8), recipe=mup(base=mlp(16).state_dict()), seed=0)
    groups = plan.param_groups(model.named_parameters(), lr=0.1, weight_decay=0.2, no_decay=["bias"])
    optimizer = torch.optim.AdamW(groups)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for name, p in model.named_parameters() if name != "0.bias")
    found = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    hidden, bias = found[id(model[2].weight)], found[id(model[2].bias)]
    assert (hidden["lr"], hidden["weight_decay"], hidden["eps"]) == pytest.approx((0.025, 0.8, 0.25e-8))
    assert (bias["lr"], bias["weight_decay"]) == (0.1, 0.0)
    named = plan.param_groups(lr=0.1, optimizer="sgd")
    assert {name for group in named for name in group["params"]} == {name for name, _ in model.named_parameters()}
    assert all("eps" not in group for group in named)


def test_what_a_weight_is_computed_from_is_in_a_group() -> None:
    """Of a weight-normed weight the direction has its rate, and the length of each row the plain one."""

    def build(width: int) -> nn.Sequential:
        normed = nn.utils.parametrizations.weight_norm(nn.Linear(width, width))
        return nn.Sequential(nn.Linear(8, width), nn.ReLU(), normed, nn.ReLU(), nn.Linear(width, 3))

    model = build(64)
    base = wb.plan(build(16), (2, 8), recipe="classic", seed=0)
    plan = wb.plan(model, (2, 8), recipe=mup(base=base), seed=0)
    groups = plan.param_groups(model.named_parameters(), lr=1.0)
    with pytest.raises(ArgumentError, match="computed from: give a plan of the base model"):
        wb.plan(model, (2, 8), recipe=mup(base=build(16).state_dict()), seed=0)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    length, direction = (model[2].parametrizations.weight.original0, model[2].parametrizations.weight.original1)
    assert (rates[id(length)], rates[id(direction)]) == (1.0, 0.25)


def test_muon_takes_hidden_matrices_and_adamw_the_rest() -> None:
    model = models.GPT(32, 1)
    plan = wb.plan(model, TEXT, recipe=mup(base=models.GPT(8, 1).state_dict()), seed=0)
    groups = plan.param_groups(model.named_parameters(), lr=0.02, optimizer="muon")
    matrices = [group for group in groups if group.pop("use_muon")]
    names = {id(p): name for name, p in model.named_parameters()}
    kept = {names[id(p)] for group in matrices for p in group["params"]}
    assert kept == {"qkv.0.weight", "proj.0.weight", "fc.0.weight", "out.0.weight"}
    torch.optim.Muon(matrices)
    torch.optim.AdamW([group for group in groups if group not in matrices])


def test_plans_keep_their_multipliers(capsys: pytest.CaptureFixture[str]) -> None:
    plan = wb.plan(mlp(64), (2, 8), recipe=mup(base=mlp(16).state_dict(), fold=False), seed=0)
    assert wb.storage.plan_from_json(wb.storage.plan_to_json(plan)) == plan
    plain = wb.plan(mlp(64), (2, 8), recipe="classic", seed=0)
    assert all("training" not in entry for entry in plain.to_dict()["entries"])
    assert "training" in wb.diff(plain, plan)["2.weight"].fields
    said = dict(wb.reports.plans.explained(wb.explain(plan, "2.weight")))
    adam = "learning rate × 0.25, weight decay × 4, ε × 0.25"
    assert said["rates"] == f"sgd: nothing is multiplied; adamw: {adam}; muon: nothing is multiplied"
    changed = {what: (before, after) for what, before, after in change_rows(wb.diff(plain, plan)["2.weight"])}
    assert changed["rates, adamw"] == ("nothing is multiplied", adam)
    assert "training" not in changed
    assert "rates, sgd" not in changed
    wb.show(wb.diff(plain, plan))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_a_rule_keeps_its_law_and_gets_rates() -> None:
    recipe = mup(base=mlp(16).state_dict())
    plan = wb.plan(mlp(64), (2, 8), recipe=recipe, rules={"4.weight": "zeros", "2.weight": "normal(std=0.5)"}, seed=0)
    assert (std(plan, "4.weight"), std(plan, "2.weight")) == (0, 0.5)
    assert told(plan, "2.weight")[0] == told(plan, "4.weight")[0] == 0.25
    assert any("2.weight is not filled by the recipe" in note for note in plan.notes)


def test_bad_bases_are_told() -> None:
    for base, error, text in (
        (0, ArgumentError, "base"),
        ("wide", ArgumentTypeError, "a width, shapes of the base model"),
        ({"0.weight": 3.5}, ArgumentTypeError, "shape of '0.weight'"),
    ):
        with pytest.raises(error, match=text):
            mup(base=base)
    with pytest.raises(ArgumentTypeError, match="says nothing of width"):
        mup(base=8, recipe=spectral())
    with pytest.raises(ArgumentError, match="alpha"):
        completep(base=8, depth=2, alpha=0.3)
    with pytest.raises(ArgumentError, match="differs in width alone"):
        wb.plan(models.GPT(16, 2), TEXT, recipe=mup(base=models.GPT(8, 1).state_dict()), seed=0)
    plan = wb.plan(mlp(16), (2, 8), recipe=standard(), seed=0)
    with pytest.raises(RuleError, match="a name"):
        plan.param_groups(nn.Linear(2, 2).named_parameters(), lr=1.0)
    with pytest.raises(ArgumentTypeError, match="pairs of names"):
        plan.param_groups(mlp(16).parameters(), lr=1.0)
    with pytest.raises(ArgumentError, match="lr"):
        plan.param_groups(lr=0.0)
    with pytest.raises(RuleError, match="named_parameters"):
        plan.param_groups(mlp(16).state_dict(), lr=1.0)
    for bad in (3, [3], None):
        with pytest.raises(ArgumentTypeError, match="no_decay"):
            plan.param_groups(lr=1.0, no_decay=bad)
        with pytest.raises(ArgumentTypeError, match="zero"):
            mup(base=8, zero=bad)


def test_optax_is_given_labels() -> None:
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    linen = pytest.importorskip("flax.linen")
    from wellbegun.jax import labels

    class Net(linen.Module):
        width: int

        @linen.compact
        def __call__(self, x: Any) -> Any:
            x = linen.relu(linen.Dense(self.width)(x))
            return linen.Dense(3)(linen.relu(linen.Dense(self.width)(x)))

    x = jax.numpy.ones((4, 8))
    small = wb.plan((Net(16), Net(16).init(jax.random.key(0), x)), x, recipe="classic", seed=0)
    model = Net(64), Net(64).init(jax.random.key(0), x)
    plan = wb.plan(model, x, recipe=mup(base=small), seed=0)
    names = [entry.name for entry in plan.entries]
    assert [told(plan, name)[0] for name in names if name.endswith("weight")] == [1, 1 / 4, 1 / 4]
    groups = plan.param_groups(lr=0.01)
    found = labels(model, groups)[1]["params"]
    transforms = {group["name"]: optax.adam(group["lr"], eps=group["eps"]) for group in groups}
    optimizer, params = optax.multi_transform(transforms, found), model[1]["params"]
    grads = jax.tree.map(lambda leaf: jax.numpy.ones_like(leaf), params)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    steps = [float(abs(updates[f"Dense_{i}"]["kernel"]).max()) for i in range(3)]
    assert steps == pytest.approx([0.01, 0.0025, 0.0025], rel=1e-3)
