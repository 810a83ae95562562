"""What makes a factor of another signal starts near 1; what only looks so is left alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import wellbegun as wb

Factor = Callable[[Tensor], Tensor]
FACTORS: dict[str, Factor] = {
    "exponential": torch.exp,
    "bounded exponential": lambda s: torch.exp(2 * torch.tanh(s / 2)),
    "one more": lambda s: 1 + s,
    "decay": lambda s: torch.exp(-torch.relu(s)),
    "doubled sigmoid": lambda s: 2 * torch.sigmoid(s),
}
OTHERS: dict[str, Factor] = {"gate": torch.sigmoid, "cosine": torch.cos, "gated unit": nn.functional.silu}


class Conditioned(nn.Module):
    """Features that are multiplied with a function of a condition, which also shifts them if `shifted`."""

    def __init__(self, factor: Factor, *, shifted: bool, inner: bool = False) -> None:
        super().__init__()
        self.factor, self.shifted, self.inner = factor, shifted, inner
        self.stem, self.features = nn.Linear(8, 32), nn.Linear(32, 32)
        self.condition, self.head = nn.Linear(8, 64 if shifted or inner else 32), nn.Linear(32, 4)

    def modulation(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = self.condition(x)
        return first.chunk(2, -1) if self.shifted or self.inner else (first, torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        scale, other = self.modulation(x)
        features = other if self.inner else self.features(torch.relu(self.stem(x)))
        made = features * self.factor(scale).unsqueeze(1).squeeze(1)
        return self.head(torch.tanh(made + other if self.shifted else made))


def begun(model: nn.Module) -> wb.Result:
    return wb.initialize(model, torch.randn(64, 8, generator=torch.Generator().manual_seed(0)), seed=0)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("name", FACTORS)
def test_factors_of_a_signal_start_near_one(name: str, shifted: bool) -> None:
    model = Conditioned(FACTORS[name], shifted=shifted)
    found = begun(model)
    assert "makes a factor" in found.plan["condition.weight"].reason
    scale = model.modulation(torch.randn(64, 8))[0].detach()
    assert 0.05 < float(scale.std()) < 0.2
    assert (FACTORS[name](scale) - 1).abs().max() < 1
    assert found.health.healthy


@pytest.mark.parametrize("name", OTHERS)
def test_gates_that_are_not_one_at_zero_have_unit_size(name: str) -> None:
    model = Conditioned(OTHERS[name], shifted=False)
    assert "makes a factor" not in begun(model).plan["condition.weight"].reason
    assert 0.5 < float(model.modulation(torch.randn(64, 8))[0].detach().std()) < 2


def test_a_weight_that_makes_the_signal_too_is_no_factor() -> None:
    model = Conditioned(torch.exp, shifted=False, inner=True)
    assert "makes a factor" not in begun(model).plan["condition.weight"].reason


class Inner(nn.Module):
    """A positive feature map of queries, multiplied with sums over keys, as linear attention normalizes."""

    def __init__(self) -> None:
        super().__init__()
        self.queries, self.keys, self.head = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        keys = (nn.functional.elu(self.keys(x)) + 1).sum(0, keepdim=True)
        return self.head(((nn.functional.elu(self.queries(x)) + 1) * keys).sum(-1, keepdim=True) / 64)


def test_inner_products_are_no_factors() -> None:
    assert "makes a factor" not in begun(Inner()).plan["queries.weight"].reason


class Attending(nn.Module):
    """Two attentions on a stream, with norms behind the sums or before them."""

    def __init__(self, *, post: bool) -> None:
        super().__init__()
        self.post, self.stem, self.last, self.head = post, nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))
        self.qkv, self.out = (nn.ModuleList(nn.Linear(16, width) for _ in range(2)) for width in (48, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.unsqueeze(1) * torch.linspace(-1, 1, 12)[:, None])
        for norm, qkv, out in zip(self.norms, self.qkv, self.out, strict=True):
            q, k, v = qkv(x if self.post else norm(x)).chunk(3, -1)
            x = x + out((q @ k.transpose(-1, -2) / 4).softmax(-1) @ v)
            x = norm(x) if self.post else x
        return self.head((x if self.post else self.last(x)).mean(1))


@pytest.mark.parametrize("post", [True, False])
def test_ends_of_attention_are_not_enlarged_where_a_norm_restores_the_stream(post: bool) -> None:
    for name in ("out.0.weight", "out.1.weight"):
        entry = begun(Attending(post=post)).plan[name]
        assert entry.role == "attention_out"
        assert ("not corrected" in entry.reason) == post
        assert ("measured" in entry.reason) != post


@pytest.mark.parametrize(
    ("before", "after", "unit"), [(1.0, 4.0, 1.0), (4.0, 1.0, 1.0), (1.0, 1.0, 4.0), (2.0, 1.0, 2.0)]
)
def test_a_scale_knows_the_constants_on_both_sides(before: float, after: float, unit: float) -> None:
    """A signal of unit length over 16 entries has RMS 1/4."""

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.scale, self.last = nn.Linear(8, 16), nn.Parameter(torch.ones(1, 16)), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(nn.functional.normalize(self.first(x), dim=-1) * before * self.scale * after)

    entry = wb.plan(Normed(), torch.randn(32, 8), intent="overwrite", seed=0)["scale"]
    assert (entry.role, entry.law) == ("norm_scale", wb.laws.Constant(unit))
