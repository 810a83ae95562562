"""PyTorch: parametrizations, shared memory, lazy layers, compiled models, precisions; what looking leaves behind."""

import copy
import functools
import gc
import random
import warnings

import numpy as np
import pytest
import torch
import torch_models as _models
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import wellbegun as wb
from wellbegun.errors import RuleError, TraceError
from wellbegun.materialize import Ledger
from wellbegun.planning import Plan
from wellbegun.torch.lazy import materialize

classic_plan = functools.partial(wb.plan, recipe="classic")
classic_initialize = functools.partial(wb.initialize, recipe="classic")


Of, drawn, fans, uses = _models.Of, _models.drawn, _models.fans, _models.uses


# ---------------------------------------------------------------------- parametrizations
def planned(layer: nn.Module, batch=(4, 8), **options) -> tuple[nn.Module, Plan, Ledger]:
    model = nn.Sequential(layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    materialize(model, batch)
    plan = classic_plan(model, batch, seed=5, **options)
    return model, plan, wb.apply(model, plan).ledger


def plain_weight(layer: nn.Module, batch=(4, 8), **options) -> torch.Tensor:
    return planned(layer, batch, **options)[0][0].weight.detach()


@pytest.mark.parametrize(
    ("layer", "batch"),
    [
        (lambda: nn.Linear(8, 6), (4, 8)),
        (lambda: nn.Conv2d(3, 6, 3, groups=3), (4, 3, 5, 5)),
        (lambda: nn.ConvTranspose2d(4, 6, 4, stride=2), (4, 4, 5, 5)),
    ],
    ids=["linear", "conv", "transposed"],
)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_holds_the_values_that_were_planned(layer, batch, dim: int | None) -> None:
    model, plan, ledger = planned(parametrizations.weight_norm(layer(), dim=dim), batch)
    entry = plan["0.weight"]
    assert (entry.action, entry.scheme, entry.role) == ("fill", "he_normal()", "hidden")
    assert torch.allclose(model[0].weight, plain_weight(layer(), batch), rtol=1e-5)
    originals = [ledger[f"0.parametrizations.weight.original{i}"] for i in (0, 1)]
    assert [record.outcome for record in originals] == ["tied", "tied"]
    assert "0.weight is computed from" in originals[0].reason
    assert wb.check(model, batch).healthy


def test_spectral_norm_is_the_planned_weight_over_its_largest_singular_value() -> None:
    model, _, ledger = planned(parametrizations.spectral_norm(nn.Linear(8, 6), n_power_iterations=3))
    plain = plain_weight(nn.Linear(8, 6))
    assert torch.equal(model[0].parametrizations.weight.original, plain)
    found = model.eval()[0].weight
    assert torch.allclose(found, plain / torch.linalg.matrix_norm(plain, 2), rtol=0.02)
    assert "the parametrization scaled them by" in ledger["0.weight"].reason
    again = planned(parametrizations.spectral_norm(nn.Linear(8, 6), n_power_iterations=3))[0]
    assert torch.equal(again.eval()[0].weight, found)  # whatever the vectors of the power method were before


@pytest.mark.parametrize("sizes", [(8, 8), (8, 6), (6, 8)])
@pytest.mark.parametrize("way", ["matrix_exp", "cayley", "householder"])
def test_orthogonal_parametrizations(sizes: tuple[int, int], way: str) -> None:
    layer = parametrizations.orthogonal(nn.Linear(*sizes), orthogonal_map=way)
    model, _, ledger = planned(layer, (4, sizes[0]), rules=[("0.weight", "orthogonal")])
    plain = plain_weight(nn.Linear(*sizes), (4, sizes[0]), rules=[("0.weight", "orthogonal")])
    assert torch.allclose(model[0].weight, plain, atol=1e-5)
    assert "cosine" not in ledger["0.weight"].reason
    layer, rules = parametrizations.orthogonal(nn.Linear(*sizes), orthogonal_map=way), [("0.weight", "he_normal")]
    ledger = planned(layer, (4, sizes[0]), rules=rules)[2]
    assert "the parametrization made other values of them" in ledger["0.weight"].reason


def test_a_tall_orthogonal_completion_is_the_same_every_time() -> None:
    one, two = (planned(parametrizations.orthogonal(nn.Linear(6, 8)), (4, 6))[0] for _ in range(2))
    assert torch.equal(one[0].parametrizations.weight[0].base, two[0].parametrizations.weight[0].base)


def old(function, layer: nn.Module, **options) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return function(layer, **options)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_the_older_weight_norm(dim: int | None) -> None:
    model, plan, ledger = planned(old(nn.utils.weight_norm, nn.Linear(8, 6), dim=dim))
    assert plan["0.weight"].scheme == "he_normal()"
    plain = plain_weight(nn.Linear(8, 6))
    model(drawn(4, 8))
    assert torch.allclose(model[0].weight, plain, rtol=1e-5)
    assert torch.equal(model[0].weight_v, plain)
    assert [ledger[f"0.weight_{part}"].outcome for part in "gv"] == ["tied", "tied"]


def test_the_older_spectral_norm() -> None:
    model = planned(old(nn.utils.spectral_norm, nn.Linear(8, 6)))[0].eval()
    plain = plain_weight(nn.Linear(8, 6))
    model(drawn(4, 8))
    assert torch.allclose(model[0].weight, plain / torch.linalg.matrix_norm(plain, 2), rtol=0.02)
    assert not [key for key in vars(next(iter(model[0]._forward_pre_hooks.values()))) if key == "compute_weight"]


class Symmetric(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.triu() + x.triu(1).T


class Doubled(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    def right_inverse(self, x: torch.Tensor) -> torch.Tensor:
        return x / 2


def test_parametrizations_of_ones_own() -> None:
    layer = nn.Linear(8, 6)
    parametrize.register_parametrization(layer, "weight", Doubled())
    model, _, _ = planned(layer)
    assert torch.allclose(model[0].weight, plain_weight(nn.Linear(8, 6)), rtol=1e-6)
    layer = nn.Linear(8, 8)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    model, plan, _ = planned(layer)  # there is no way back, so the values are sized for what becomes of them
    assert "times as large" in plan["0.parametrizations.weight.original"].reason
    assert float(model[0].weight.detach().square().mean().sqrt()) == pytest.approx((2 / 8) ** 0.5, rel=0.25)
    assert (
        planned(layer, rules=[("*.original", "he_normal")])[2]["0.parametrizations.weight.original"].outcome == "filled"
    )


@pytest.mark.parametrize("index", [0, 2, 4])
def test_biases_that_are_computed_hold_what_plain_ones_do(index: int) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4))
    model, batch = copy.deepcopy(plain), torch.randn(64, 8)
    parametrize.register_parametrization(model[index], "bias", Doubled())
    for each in (plain, model):
        wb.initialize(each, batch, seed=0)
    assert torch.allclose(model(batch), plain(batch), atol=1e-6)
    assert bool(plain[index].bias.any()) is (index != 2)
    assert torch.allclose(model[index].parametrizations.bias.original, plain[index].bias / 2, atol=1e-6)


def test_rules_and_exclusions_speak_of_the_computed_tensor() -> None:
    layer = parametrizations.weight_norm(nn.Linear(8, 6))
    before = layer.weight.detach().clone()
    model, _, _ = planned(layer, exclude=["0.weight"])
    assert torch.allclose(model[0].weight, before)
    with pytest.raises(RuleError, match=r"Name '0.weight'"):
        planned(layer, rules=[("0.parametrizations.weight.original1", "zeros")])


def test_parametrized_models_on_meta_and_under_a_cache() -> None:
    with torch.device("meta"):
        model = nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 6)), nn.Linear(6, 2))
    assert classic_plan(model, (4, 8), seed=0)["0.weight"].layout.fans((6, 8)).fan_in == 8
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(8, 6)), nn.Linear(6, 2))
    with parametrize.cached():
        first = model[0].weight
        assert classic_plan(model, (4, 8), seed=0)["0.weight"].action == "fill"
        assert model[0].weight is first


# ---------------------------------------------------------------------- one memory, several names
def tied(model: nn.Module, batch=(4, 8)) -> dict[str, str | None]:
    plan = classic_plan(model, batch, seed=0)
    wb.apply(model, plan)
    return {entry.name: entry.tied_to for entry in plan.entries if entry.tied_to}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_kind_of_shared_memory_is_filled_once(device: str) -> None:
    def chain(change) -> nn.Sequential:
        model = nn.Sequential(nn.Linear(8, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False)).to(device)
        model[2].weight = change(model[0].weight)
        return model

    def names(model: nn.Module) -> dict[str, str | None]:
        return {e.name: e.tied_to for e in classic_plan(model, (4, 8), seed=0).entries if e.tied_to}

    expected = {"2.weight": "0.weight"}
    assert names(chain(lambda w: w)) == expected
    assert names(chain(lambda w: nn.Parameter(w.detach()))) == expected
    assert names(chain(lambda w: nn.Parameter(w.detach().t()))) == expected
    assert names(chain(lambda w: nn.Parameter(w.detach().clone()))) == {}


def test_slices_belong_to_what_holds_them() -> None:
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 6, bias=False))
    table = nn.Parameter(torch.zeros(10, 8))
    model.table = table
    model[0].weight = nn.Parameter(table.detach()[2:6])
    plan = classic_plan(model, (4, 8), seed=0)
    assert plan["0.weight"].tied_to == "table"
    assert (plan["table"].layout.axes, plan["table"].scheme) == ("oi", "he_normal()")
    wb.apply(model, plan)
    assert torch.equal(model[0].weight, table[2:6])


def test_disjoint_parts_of_one_memory_are_parameters_of_their_own() -> None:
    flat = torch.zeros(8 * 4 + 8 * 4)
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 8, bias=False))
    model[0].weight = nn.Parameter(flat[:32].view(4, 8))
    model[2].weight = nn.Parameter(flat[32:].view(8, 4))
    assert tied(model) == {}
    columns = torch.zeros(8, 8)
    model[0].weight = nn.Parameter(columns[:, ::2].t())
    model[2].weight = nn.Parameter(columns[:, 1::2])
    assert tied(model) == {}
    assert float(columns.abs().min()) > 0


def test_half_overlaps_are_refused() -> None:
    model = nn.Sequential(nn.Linear(8, 4, bias=False), nn.ReLU(), nn.Linear(4, 8, bias=False))
    flat = torch.zeros(48)
    model[0].weight = nn.Parameter(flat[:32].view(4, 8))
    model[2].weight = nn.Parameter(flat[16:].view(8, 4))
    with pytest.raises(TraceError, match=r"'0.weight' and '2.weight' share 16 entries of one memory"):
        classic_plan(model, (4, 8), seed=0)


# ---------------------------------------------------------------------- lazy layers
def lazy() -> nn.Sequential:
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))


def test_lazy_layers_get_their_shapes_and_nothing_else_changes() -> None:
    model, batch = lazy(), drawn(2, 3, 5, 5)
    with pytest.raises(TraceError, match=r"'0.weight' is lazy and has no shape yet. Call initialize"):
        classic_plan(model, batch)
    random_state = torch.get_rng_state()
    materialize(model, batch)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert [type(module) for module in model] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Flatten, nn.Linear]
    assert (model[1].num_batches_tracked, float(model[1].running_mean.abs().max())) == (0, 0)
    assert not any(module._forward_pre_hooks for module in model)
    assert (model[4].in_features, tuple(model[4].weight.shape)) == (36, (3, 36))
    materialize(model, batch)
    assert classic_initialize(model, batch, seed=0).plan["0.weight"].law.std == pytest.approx((2 / 27) ** 0.5)


def test_lazy_layers_stay_lazy_if_the_pass_fails() -> None:
    model = lazy()
    with pytest.raises(TraceError, match="forward pass that gives them shapes failed"):
        materialize(model, drawn(2, 3, 2, 2))
    names = [type(module).__name__ for module in model]
    assert names == ["LazyConv2d", "LazyBatchNorm2d", "ReLU", "Flatten", "LazyLinear"]
    assert model[0].has_uninitialized_params()
    materialize(model, drawn(2, 3, 6, 6))
    assert tuple(model[4].weight.shape) == (3, 64)


# ---------------------------------------------------------------------- compiled models, precisions, batches
def test_compiled_models_have_the_names_of_plain_ones() -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    compiled = torch.compile(build(), backend="eager")
    plan = classic_plan(compiled, (2, 8), seed=0)
    assert plan["0.weight"].scheme == "he_normal()"
    wb.apply(compiled, plan)
    assert wb.check(compiled, (2, 8)).codes == wb.check(wb.apply(build(), plan).model, (2, 8)).codes
    inside = build()
    inside[0] = torch.compile(inside[0], backend="eager")
    assert classic_plan(inside, (2, 8), seed=0)["0.weight"].scheme == "he_normal()"
    in_place = build()
    in_place.compile(backend="eager")
    assert classic_plan(in_place, (2, 8), seed=0)["0.weight"].scheme == "he_normal()"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_every_precision_and_meta_gives_the_same_plan(dtype: torch.dtype, device: str) -> None:
    def build() -> nn.Sequential:
        attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        return nn.Sequential(nn.Linear(6, 8), attention, nn.Linear(8, 2))

    expected = [(entry.name, entry.scheme, entry.role) for entry in classic_plan(build(), (2, 3, 6), seed=0).entries]
    found = classic_plan(build().to(device, dtype), (2, 3, 6), seed=0)
    assert [(entry.name, entry.scheme, entry.role) for entry in found.entries] == expected


def test_nested_batches() -> None:
    class Nested(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, inputs: dict, scale: float = 1.0, more: tuple = ()) -> torch.Tensor:
            return self.layer(inputs["x"] * scale + sum(item["y"] for item in more))

    batch = ({"x": torch.ones(3, 4, dtype=torch.float64)}, 2.0, ({"y": torch.ones(3, 4)},))
    assert fans(Nested(), batch) == {"layer.weight": 4}
    assert fans(Nested(), {"inputs": {"x": (3, 4)}, "more": [{"y": np.ones((3, 4))}]}) == {"layer.weight": 4}


def test_a_path_that_depends_on_values_cannot_be_found_on_meta() -> None:
    def forward(m, x: torch.Tensor) -> torch.Tensor:
        return m.a(x) if x.sum() > 0 else m.b(x)

    model = Of(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 4))
    assert uses(model, torch.ones(2, 4))["a.weight"] == ("weight", "oi")
    assert uses(model, -torch.ones(2, 4))["b.weight"] == ("weight", "oi")
    with pytest.raises(TraceError, match="depends on values, and it is on the meta device.*to_empty"):
        classic_plan(model.to("meta"), torch.ones(2, 4))


# ---------------------------------------------------------------------- nothing changes
class Meddler(nn.Module):
    """A forward pass that leaves traces everywhere, and may fail at the end."""

    def __init__(self, fail: bool) -> None:
        super().__init__()
        self.fail = fail
        self.norm = nn.BatchNorm1d(4)
        self.layer = parametrizations.spectral_norm(nn.Linear(4, 4))
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.head = nn.Linear(4, 4)
        self.log: list[torch.Tensor] = []
        self.cache: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layer(self.norm(x)) + torch.rand(4) + random.random() + float(np.random.rand())
        self.log.append(y)
        self.cache["y"] = y
        with torch.no_grad():
            self.weight.mul_(0.5)
        y = y @ self.weight
        self.head.requires_grad_(False)
        self.head.register_forward_hook(lambda *given: None)
        self.eval()
        (self.head(y.detach()).sum() + (y.detach() @ self.weight).sum()).backward()
        if self.fail:
            raise KeyError("deep inside")
        return self.head(y)


@pytest.mark.parametrize("fail", [False, True])
@pytest.mark.parametrize("real", [False, True])
def test_looking_leaves_no_trace(fail: bool, real: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Meddler(fail)
    model.weight.grad = torch.full((4, 4), 7.0)
    model.norm(drawn(8, 4))
    x = drawn(8, 4)
    values = {key: value.clone() for key, value in model.state_dict().items()}
    pointers = {key: value.data_ptr() for key, value in model.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)  # the compiler switches it off
    look = wb.check if real else wb.plan
    options = {} if real else {"exclude": ["*"]}
    if fail:
        with pytest.raises(TraceError, match="deep inside"):
            look(model, x, **options)
    else:
        look(model, x, **options)
    assert all(torch.equal(value, values[key]) for key, value in model.state_dict().items())
    assert {key: value.data_ptr() for key, value in model.state_dict().items()} == pointers
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
    assert (model.log, model.cache, model.training, model.head.training) == ([], {}, True, True)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(model.weight.grad, torch.full((4, 4), 7.0))
    assert model.head.weight.grad is None
    assert gc.isenabled()
    assert torch.distributions.Distribution._validate_args
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_errors_name_the_module_and_the_operation() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 2)))
    with pytest.raises(TraceError, match=r"failed in module '1.1' at the operation 'addmm', after 1.0 \(relu\)"):
        classic_plan(model, (2, 4))

    def forward(m, x: torch.Tensor) -> torch.Tensor:
        raise type("Odd", (Exception,), {})("never seen before")

    with pytest.raises(TraceError, match="in the model itself.*never seen before"):
        classic_plan(Of(forward, l=nn.Linear(4, 4)), (2, 4))
