"""PyTorch: weights computed from parameters. What the operation sees has the size that the scheme asks for."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.errors import RuleError

M, N = 96, 64
MASK = (torch.rand(M, N, generator=torch.Generator().manual_seed(0)) < 0.3).float()
Weight = Callable[["Layer"], torch.Tensor]


class Layer(nn.Module):
    """A linear layer whose weight is a function of its parameters."""

    def __init__(self, weight: Weight, transposed: bool = False, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in (shapes or {"w": (M, N)}).items():
            setattr(self, name, nn.Parameter(torch.full(shape, math.nan)))
        self.bias, self.weight, self.transposed = nn.Parameter(torch.full((M,), math.nan)), weight, transposed
        self.register_buffer("mask", MASK)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight(self)
        return x @ weight + self.bias if self.transposed else functional.linear(x, weight, self.bias)


def standardized(w: torch.Tensor) -> torch.Tensor:
    return (w - w.mean(1, keepdim=True)) / (w.std(1, keepdim=True) + 1e-6)


def built_mask(w: torch.Tensor) -> torch.Tensor:
    return torch.tril(torch.ones_like(w))


LOW = {"a": (M, 8), "b": (8, N)}
COMPUTED: dict[str, tuple[Weight, dict[str, tuple[int, ...]]]] = {
    "masked by a buffer": (lambda m: m.w * m.mask, {}),
    "masked where it is false": (lambda m: m.w.masked_fill(m.mask == 0, 0.0), {}),
    "masked by what forward builds": (lambda m: m.w * built_mask(m.w), {}),
    "divided by a constant": (lambda m: m.w / math.sqrt(N), {}),
    "times a constant": (lambda m: 0.01 * m.w, {}),
    "stored transposed": (lambda m: 3 * m.w.t(), {"w": (N, M)}),
    "low rank": (lambda m: m.a @ m.b, LOW),
    "low rank, three factors": (lambda m: m.a @ m.c @ m.b, {"a": (M, 8), "c": (8, 8), "b": (8, N)}),
    "low rank by einsum": (lambda m: torch.einsum("or,ri->oi", m.a, m.b), LOW),
    "outer product": (lambda m: m.a * m.b, {"a": (M, 1), "b": (1, N)}),
    "a magnitude and a direction": (lambda m: m.g * m.w / m.w.norm(dim=1, keepdim=True), {"g": (M, 1), "w": (M, N)}),
    "standardized with a gain": (lambda m: m.g * standardized(m.w), {"g": (M, 1), "w": (M, N)}),
    "rows scaled": (lambda m: m.g * m.w, {"g": (M, 1), "w": (M, N)}),
    "beside a low rank": (lambda m: m.w + 2.0 * m.a @ m.b, {"w": (M, N), **LOW}),
    "sum of two": (lambda m: m.w - m.v, {"w": (M, N), "v": (M, N)}),
    "bent": (lambda m: torch.tanh(2 * m.w), {}),
    "cubed": (lambda m: m.w**3, {}),
    "kronecker": (lambda m: torch.kron(m.a, m.b), {"a": (12, 8), "b": (8, 8)}),
}


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.parametrize("recipe", ["classic", "auto", "gpt2"])
def test_the_weight_that_the_operation_sees_has_the_size_of_the_scheme(name: str, recipe: str) -> None:
    weight, shapes = COMPUTED[name]
    plain, computed = (
        nn.Sequential(layer, nn.ReLU(), nn.Linear(M, 10)) for layer in (nn.Linear(N, M), Layer(weight, **shapes))
    )
    x = torch.randn(512, N, generator=torch.Generator().manual_seed(1))
    for model in (plain, computed):
        plan = wb.plan(model, (512, N), recipe=recipe, seed=0)
        wb.apply(model, plan)
    spread = 0.25 if name in ("cubed", "outer product", "kronecker", "low rank, three factors") else 0.08  # few terms
    with torch.no_grad():
        found, expected = computed[0].weight(computed[0]), plain[0].weight
        assert float((found.square().mean() / expected.square().mean()).sqrt()) == pytest.approx(1, abs=spread)
        ratio = computed[0](x).square().mean() / plain[0](x).square().mean()
        assert float(ratio.sqrt()) == pytest.approx(1, abs=spread)
    assert all(torch.isfinite(parameter).all() for parameter in computed.parameters())


def test_the_measured_correction_reaches_the_weight() -> None:
    """On inputs of RMS 3 an output of RMS 0.7 needs a fourth of the weight: by the parameter that leads."""
    x = 3 * torch.randn(512, N, generator=torch.Generator().manual_seed(1))
    for name in ("masked by a buffer", "low rank", "a magnitude and a direction", "beside a low rank"):
        weight, shapes = COMPUTED[name]
        model = nn.Sequential(Layer(weight, **shapes), nn.Tanh(), nn.Linear(M, 10))
        result = wb.initialize(model, x, seed=0)
        entries = [entry for entry in result.plan.entries if entry.target is not None and entry.name.startswith("0.")]
        assert len(entries) == 1, name
        given = (model[0](x) - model[0](0 * x)).detach()  # without its offsets
        assert float(given.square().mean().sqrt()) == pytest.approx(entries[0].target, rel=0.03), name
        assert result.health.healthy, name


def test_a_product_beside_a_weight_starts_silent_and_can_learn() -> None:
    """As LoRA: the output side 0, the input side random; either orientation of the weight."""
    for transposed in (False, True):
        shapes = {"w": (M, N), "up": (M, 8), "down": (8, N)}
        model = Layer(lambda m: m.w + m.up @ m.down, **shapes)
        if transposed:
            shapes = {"w": (N, M), "down": (N, 8), "up": (8, M)}
            model = Layer(lambda m: m.w + m.down @ m.up, True, **shapes)
        plan = wb.plan(model, (4, N), recipe="classic", seed=0)
        assert plan["up"].scheme == "zeros()"
        assert plan["down"].law.std == pytest.approx(N**-0.5)
        assert plan["w"].scheme == "lecun_normal()"
        wb.apply(model, plan)
        model(torch.randn(4, N)).square().sum().backward()
        assert float(model.up.grad.abs().max()) > 0
    model.w.requires_grad_(False)
    kept = wb.plan(model, (4, N), recipe="classic", seed=0)
    assert (kept["w"].action, kept["up"].scheme) == ("keep", "zeros()")


def test_a_standardized_weight_keeps_the_size_that_its_computation_gives_it() -> None:
    model = nn.Sequential(Layer(lambda m: standardized(m.w)), nn.BatchNorm1d(M), nn.ReLU(), nn.Linear(M, 10))
    plan = wb.plan(model, (32, N), recipe="classic", seed=0)
    assert "gives the weight RMS 0.99" in plan["0.w"].reason
    result = wb.initialize(model, torch.randn(64, N, generator=torch.Generator().manual_seed(0)), seed=0)
    assert result.plan["0.w"].target is None  # nothing that a measurement could correct
    assert result.health.healthy


class Convolution(nn.Module):
    def __init__(self, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.groups = nn.Parameter(torch.zeros(32, 16 // groups, 5, 5)), groups
        self.register_buffer("mask", torch.tril(torch.ones(5, 5)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(x, self.kernel * self.mask, padding=2, groups=self.groups)


@pytest.mark.parametrize("groups", [1, 4])
def test_masked_kernels_count_what_is_left_of_the_window(groups: int) -> None:
    model = nn.Sequential(Convolution(groups), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 64, 3))
    entry = wb.plan(model, (2, 16, 8, 8), recipe="classic", seed=0)["0.kernel"]
    assert entry.layout.groups == groups
    assert entry.law.std == pytest.approx(math.sqrt(2 / (16 // groups * 15)), rel=0.03)  # 15 of 25 taps are seen


def test_low_rank_tables() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Parameter(torch.zeros(50, 8)), nn.Parameter(torch.zeros(8, 32))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return functional.embedding(ids, self.a @ self.b)

    model = nn.Sequential(Table(), nn.Linear(32, 5))
    batch = torch.arange(50).reshape(1, 50)
    wb.apply(model, wb.plan(model, batch, recipe="classic", seed=0))
    assert float(model[0](batch).detach().square().mean().sqrt()) == pytest.approx(1, abs=0.15)


def test_a_plan_on_meta_is_that_on_memory_where_no_values_are_needed() -> None:
    for name in ("divided by a constant", "low rank", "masked by what forward builds", "beside a low rank"):
        weight, shapes = COMPUTED[name]
        here = Layer(weight, **shapes)
        with torch.device("meta"):
            there = Layer(weight, **shapes)
        there.mask = MASK.to("meta")
        plans = [wb.plan(model, (4, N), seed=0) for model in (here, there)]
        assert wb.diff(plans[0], plans[1]).identical, name


def rewritten(m: Layer) -> torch.Tensor:
    mask = torch.ones(M, N)
    mask[:, ::2] = 0  # through a view: what the whole holds now was not followed
    return m.w * mask


ONE_SIGN: dict[str, tuple[Weight, dict[str, tuple[int, ...]]]] = {"positive": (lambda m: torch.exp(m.w), {})}
UNTOLD: dict[str, tuple[Weight, dict[str, tuple[int, ...]]]] = {
    "gated": (lambda m: m.w * torch.sigmoid(m.v), {"w": (M, N), "v": (M, N)}),
    "rewritten": (rewritten, {}),
    "bounded": (lambda m: 1e-4 * torch.tanh(m.w), {}),
}


@pytest.mark.parametrize("name", ONE_SIGN)
def test_weights_of_one_sign_share_what_comes_in(name: str) -> None:
    model = Layer(ONE_SIGN[name][0])
    wb.initialize(model, torch.randn(64, N, generator=torch.Generator().manual_seed(0)), seed=0)
    assert float(ONE_SIGN[name][0](model).detach().mean()) == pytest.approx(1 / N, rel=0.3)


@pytest.mark.parametrize("name", UNTOLD)
def test_what_cannot_be_told_gets_a_safe_law_where_nothing_is_held(name: str) -> None:
    weight, shapes = UNTOLD[name]
    model = Layer(weight, **shapes)
    with pytest.raises(RuleError, match="nothing can be said") as caught:
        wb.plan(model, (4, N), seed=0, strict=True)
    plan = wb.plan(model, (4, N), seed=0)
    assert "w" in str(caught.value)
    assert any("safe value" in plan[key].reason for key in shapes or ("w",))  # nothing is there to be kept
    rules = [(key, "normal(std=0.1)") for key in shapes or ("w",)]
    assert wb.plan(model, (4, N), seed=0, rules=rules)["w"].law.std == 0.1


def test_a_mask_on_meta_has_no_values_so_a_safe_law_fills() -> None:
    model = Layer(COMPUTED["masked by a buffer"][0]).to("meta")
    with pytest.raises(RuleError, match="Give them rules"):
        wb.plan(model, (4, N), seed=0, strict=True)
    plan = wb.plan(model, (4, N), seed=0)
    assert "safe value" in plan["w"].reason


def test_rules_and_exclusions_speak_of_the_parameters() -> None:
    model = Layer(COMPUTED["low rank"][0], **LOW)
    plan = wb.plan(model, (4, N), rules=[("a", "orthogonal"), ("b", "zeros")], exclude=["bias"], seed=0)
    assert (plan["a"].scheme, plan["b"].scheme, plan["bias"].action) == ("orthogonal()", "zeros()", "keep")


def test_tracing_leaves_the_random_state_alone() -> None:
    model = Layer(lambda m: functional.dropout(m.w, 0.5))
    before = torch.get_rng_state()
    plan = wb.plan(model, (4, N), recipe="classic", seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert plan["w"].law.std == pytest.approx(math.sqrt(1 / N / 2), rel=0.03)  # half of them, twice as large


class Radial(nn.Module):
    """Radial basis functions: exp(-beta d^2), with the distance spelled in several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.centres = way, nn.Parameter(torch.full((40, N), math.nan))
        self.width, self.out = nn.Parameter(torch.full((40,), math.nan)), nn.Linear(40, 5)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        if self.way == "cdist":
            return torch.exp(-self.width * torch.cdist(x, self.centres) ** 2)
        difference = x.unsqueeze(1) - self.centres
        if self.way == "length":
            return torch.exp(-(difference.norm(dim=-1) ** 2) / (2 * self.width**2))
        if self.way == "logarithm":
            return torch.exp(-self.width.exp() * difference.square().sum(-1))
        return torch.exp(-difference.square().mean(-1) * self.width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.features(x))


@pytest.mark.parametrize("way", ["cdist", "length", "logarithm", "mean"])
@pytest.mark.parametrize("recipe", ["classic", "auto", "gpt2"])
def test_radial_basis_functions_are_neither_all_one_nor_all_zero(way: str, recipe: str) -> None:
    model = Radial(way)
    x = torch.randn(128, N, generator=torch.Generator().manual_seed(0))
    result = wb.initialize(model, x, recipe=recipe, seed=0)
    assert (result.plan["centres"].role, result.plan["width"].role) == ("centre", "distance_scale")
    with torch.no_grad():
        found = model.features(x)
    assert float(found.mean()) == pytest.approx(math.exp(-1), abs=0.05)
    assert float(found.std()) > 0.03
    assert "W" not in "".join(code for code in result.health.codes if code.startswith("W1")), result.health.codes


def test_a_table_that_is_added_is_no_centre() -> None:
    class Positions(nn.Module):
        def __init__(self, square: bool) -> None:
            super().__init__()
            self.table, self.out, self.square = nn.Parameter(torch.zeros(6, 8)), nn.Linear(8, 3), square

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shifted = x + self.table
            return self.out((shifted**2 if self.square else torch.tanh(shifted)).mean(1))

    roles = [wb.plan(Positions(square), (2, 6, 8), seed=0)["table"].role for square in (False, True)]
    assert roles == ["positional", "centre"]
