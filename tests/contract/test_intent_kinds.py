"""Kinds of values that people construct on purpose, each with a sibling that is no purpose."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch_models import Of

import wellbegun as wb
from wellbegun.planning.intent import held_of


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def ids(*shape: int, below: int) -> torch.Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(0))


def kept(model: nn.Module, batch: object) -> set[str]:
    """Names that stay because somebody constructed them."""
    return {entry.name for entry in wb.plan(model, batch, seed=0).entries if entry.decided_by == "intent"}


def set_to(layer: nn.Module, **values: torch.Tensor) -> nn.Module:
    with torch.no_grad():
        for name, value in values.items():
            getattr(layer, name).copy_(value)
    return layer


# ---------------------------------------------------------------------- biases
@pytest.mark.parametrize(
    ("bias", "stays"),
    [
        (torch.tensor([-0.7, -3.2, -1.9, -5.1, -2.6, -4.4, -0.9, -3.7, -2.2, -6.0]), True),  # logarithms of shares
        (torch.tensor([22.5, 3.1, -7.0, 0.4, 11.0, -2.0, 9.5, -14.0, 5.5, 1.2]), True),  # means of targets
        (torch.empty(10).uniform_(-1 / 8, 1 / 8, generator=torch.Generator().manual_seed(1)), False),
    ],
)
def test_a_bias_that_no_layer_draws_stays(bias: torch.Tensor, stays: bool) -> None:
    model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 10))
    set_to(model[2], bias=bias)
    assert ("2.bias" in kept(model, drawn(32, 16))) is stays


def test_what_layers_draw_is_never_a_purpose() -> None:
    """Of some thousand vectors and matrices of all small sizes."""
    generator, found = np.random.default_rng(0), list[object]()
    for _ in range(40):
        found += [held_of(generator.uniform(-1, 1, n)).what for n in range(4, 40)]
        found += [held_of(generator.uniform(-1, 1, (n, 2 + n % 5))).what for n in range(8, 40)]
    assert sum(what != "random" for what in found) <= 2  # a few in ten thousand lie in order, or off centre


@pytest.mark.parametrize("n", [8, 16, 48])
def test_square_weights_that_no_law_draws_stay(n: int) -> None:
    noise = drawn(n, n) / math.sqrt(n)
    for design in (noise + noise.T, torch.eye(n) + noise / 10, noise / 10 - torch.eye(n)):
        model = nn.Sequential(nn.Linear(n, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 3))
        set_to(model[2], weight=design)
        assert kept(model, drawn(32, n)) == {"2.weight"}


def test_square_weights_that_layers_draw_are_no_purpose() -> None:
    for seed in range(60):
        n, noise = (8, 16, 24)[seed % 3], drawn(24, 24, seed=seed)
        for design in (noise[:n, :n], torch.linalg.qr(noise[:n, :n])[0], noise[:n, :n].tanh()):
            model = nn.Sequential(nn.Linear(n, n), nn.Tanh(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 3))
            set_to(model[2], weight=design / math.sqrt(n))
            assert not kept(model, drawn(32, n))


def test_biases_that_transposed_convolutions_draw_are_no_purpose() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.ConvTranspose2d(64, 9, 3), nn.ReLU(), nn.Conv2d(9, 9, 3))
    assert kept(model, drawn(8, 3, 12, 12)) == set()


def test_an_addend_of_the_users_own_stays_where_it_is_added_to_no_layer() -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.out(torch.sin(x * m.rate.exp() + m.phase))

    model = Of(forward, out=nn.Linear(12, 4))
    model.rate = nn.Parameter(torch.zeros(12))
    model.phase = nn.Parameter(torch.rand(12, generator=torch.Generator().manual_seed(0)) * 2 * math.pi)
    assert "phase" in kept(model, drawn(32, 12))


@pytest.mark.parametrize(("offsets", "stays"), [("phases", True), ("symmetric", False)])
def test_phases_added_to_a_product_of_the_users_own_stay(offsets: str, stays: bool) -> None:
    model = Of(lambda m, x: m.out(torch.cos(x @ m.rates + m.offsets)), out=nn.Linear(64, 3))
    model.rates, values = nn.Parameter(drawn(6, 64)), torch.rand(64, generator=torch.Generator().manual_seed(0))
    model.offsets = nn.Parameter(2 * math.pi * values if offsets == "phases" else (values - 0.5) / 10)
    assert ("offsets" in kept(model, drawn(32, 6))) is stays


def test_centres_in_order_behind_a_layer_stay() -> None:
    model = Of(
        lambda m, x: m.out(torch.exp(-2 * (m.first(x)[..., None] - m.centres) ** 2).flatten(1)),
        first=nn.Linear(4, 8),
        out=nn.Linear(64, 1),
    )
    model.centres = nn.Parameter(torch.linspace(-2, 2, 8))
    assert "centres" in kept(model, drawn(32, 4))


# ---------------------------------------------------------------------- tables
@pytest.mark.parametrize(("rows", "width"), [(64, 16), (1000, 64), (5000, 300)])
@pytest.mark.parametrize("what", ["few directions", "clusters", "drawn"])
def test_tables_whose_rows_resemble_each_other_stay(rows: int, width: int, what: str) -> None:
    noise = drawn(rows, width)
    made = {
        "few directions": drawn(rows, 3, seed=1) @ drawn(3, width, seed=2) + 0.1 * noise,
        "clusters": drawn(8, width, seed=1)[torch.arange(rows) * 37 % 8] + 0.3 * noise,
        "drawn": noise,
    }
    model = nn.Sequential(nn.Embedding.from_pretrained(made[what], freeze=False), nn.Linear(width, 4))
    assert kept(model, ids(16, below=rows)) == (set() if what == "drawn" else {"0.weight"})


def factors(zero: bool, size: float = 1.0) -> nn.Module:
    """Matrix factorization, with a bias for each row."""

    def forward(m: nn.Module, i: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
        return (m.left(i) * m.right(j)).sum(-1) + m.more(i).squeeze(-1) + m.less(j).squeeze(-1)

    model = Of(
        forward,
        left=nn.Embedding(50, 16),
        right=nn.Embedding(60, 16),
        more=nn.Embedding(50, 1),
        less=nn.Embedding(60, 1),
    )
    if zero:
        set_to(model.more, weight=torch.zeros(50, 1))
        set_to(model.less, weight=torch.zeros(60, 1))
    return model


PAIRS = (ids(64, below=50), ids(64, below=60))


def test_tables_of_zeros_beside_another_way_stay() -> None:
    assert kept(factors(zero=True), PAIRS) == {"more.weight", "less.weight"}
    assert kept(factors(zero=False), PAIRS) == set()


def test_the_only_table_of_a_model_is_not_left_at_zero() -> None:
    model = nn.Sequential(set_to(nn.Embedding(50, 16), weight=torch.zeros(50, 16)), nn.Linear(16, 4))
    assert kept(model, ids(32, below=50)) == set()


def test_weights_of_zeros_that_sums_over_neighbours_follow_are_no_purpose() -> None:
    def forward(m: nn.Module, x: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
        return near @ torch.relu(near @ (x @ m.first) + m.bias) @ m.second

    model = Of(forward, first=(12, 16), bias=(16,), second=(16, 4))
    assert "first" not in kept(model, (drawn(9, 12), torch.softmax(drawn(9, 9), 1)))


@pytest.mark.parametrize("spelling", ["product", "matmul", "einsum"])
def test_rows_that_are_scored_against_each_other_start_with_small_scores(spelling: str) -> None:
    score: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
        "product": lambda u, v: (u * v).sum(-1),
        "matmul": lambda u, v: (u[:, None] @ v[..., None]).squeeze(),
        "einsum": lambda u, v: torch.einsum("bd,bd->b", u, v),
    }
    model = Of(
        lambda m, i, j: score[spelling](m.left(i), m.right(j)), left=nn.Embedding(500, 64), right=nn.Embedding(600, 64)
    )
    batch = (ids(4096, below=500), ids(4096, below=600))
    wb.initialize(model, batch, seed=0)
    with torch.no_grad():
        found = model(*batch).square().mean().sqrt()
    assert 0.008 < float(found) < 0.012  # 8 with unit entries


def test_tables_whose_product_goes_on_keep_unit_entries() -> None:
    model = Of(
        lambda m, i, j: m.out(m.left(i) * m.right(j)),
        left=nn.Embedding(50, 16),
        right=nn.Embedding(60, 16),
        out=nn.Linear(16, 3),
    )
    plan = wb.plan(model, PAIRS, seed=0)
    assert {plan[name].law.std for name in ("left.weight", "right.weight")} == {1.0}  # type: ignore[union-attr]


def waves(rows: int, width: int, halves: bool) -> torch.Tensor:
    """Sines and cosines of positions, in turn or each in a half."""
    angles = torch.arange(rows)[:, None] / 10000 ** (torch.arange(width // 2) / (width // 2))
    parts = torch.stack([angles.sin(), angles.cos()], dim=1 if halves else 2)
    return parts.reshape(rows, width)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize(("rows", "width"), [(16, 8), (128, 32), (512, 768), (5000, 512)])
def test_waves_in_a_table_that_is_trained_stay(rows: int, width: int, halves: bool) -> None:
    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m.out(torch.relu(m.first(m.tokens(x) + m.places(torch.arange(x.shape[1])))))

    parts = {"tokens": nn.Embedding(20, width), "first": nn.Linear(width, 8), "out": nn.Linear(8, 4)}
    model = Of(forward, places=set_to(nn.Embedding(rows, width), weight=waves(rows, width, halves)), **parts)
    batch = ids(4, 12, below=20)
    assert kept(model, batch) == {"places.weight"}
    control = Of(forward, places=nn.Embedding(rows, width), **parts)
    assert kept(control, batch) == set()


# ---------------------------------------------------------------------- states, slopes, slices
def test_a_first_state_of_zeros_stays_and_a_token_of_zeros_in_front_of_a_norm_does_not() -> None:
    def stepped(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        state = m.start.expand(x.shape[0], -1)
        for step in x.unbind(1):
            state = torch.tanh(m.given(step) + m.kept(state))
        return m.out(state)

    model = Of(stepped, given=nn.Linear(6, 16), kept=nn.Linear(16, 16), out=nn.Linear(16, 3))
    model.start = nn.Parameter(torch.zeros(1, 16))
    assert kept(model, drawn(8, 5, 6)) == {"start"}

    def queried(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        queries = m.norm(m.start.expand(x.shape[0], -1, -1))
        return m.out(nn.functional.scaled_dot_product_attention(m.asks(queries), x, x))

    model = Of(queried, norm=nn.LayerNorm(16), asks=nn.Linear(16, 16), out=nn.Linear(16, 3))
    model.start = nn.Parameter(torch.zeros(1, 4, 16))
    assert kept(model, drawn(8, 5, 16)) == set()


@pytest.mark.parametrize(("slope", "stays"), [(0.05, True), (0.25, False)])
@pytest.mark.parametrize("count", [1, 32])
def test_slopes_below_zero_that_somebody_chose_stay(slope: float, stays: bool, count: int) -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.PReLU(count, init=slope), nn.Linear(32, 4))
    assert ("1.weight" in kept(model, drawn(32, 16))) is stays


def test_weights_that_are_computed_with_another_shape_are_no_error() -> None:
    class Widened(nn.Module):
        def forward(self, weight: torch.Tensor) -> torch.Tensor:
            return torch.cat([weight, -weight])

    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(16, 4))
    model[0].bias = None  # the layer gives twice as many units as its own matrix has
    torch.nn.utils.parametrize.register_parametrization(model[0], "weight", Widened(), unsafe=True)
    plan = wb.plan(model, drawn(32, 16), seed=0)
    assert not [note for note in plan.notes if "fault of wellbegun" in note]


@pytest.mark.parametrize("around", [True, False])
def test_a_norm_of_zeros_stays_only_where_something_leads_around_it(around: bool) -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.head = nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)
            nn.init.zeros_(self.norm.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside = self.norm(self.first(x))
            return self.head(x + inside if around else torch.relu(inside))

    model = Normed()
    assert wb.initialize(model, torch.randn(32, 16), seed=0).health.healthy
    assert bool(model.norm.weight.any()) is not around


# ---------------------------------------------------------------------- sizes that were worked out
@pytest.mark.parametrize(
    ("queries", "divides", "stays"), [(16, False, True), (1, False, False), (16, True, False), (4, False, False)]
)
def test_what_holds_the_divisor_of_its_attention_was_worked_out(queries: float, divides: bool, stays: bool) -> None:
    """Queries smaller by the root of the terms, where logits are not divided: all drawn weights stay with them."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (layer(m.norm(x)) for layer in (m.q, m.k, m.v))
        x = x + m.o((q @ k.transpose(1, 2) / (4.0 if divides else 1.0)).softmax(-1) @ v)
        return m.head(m.down(torch.relu(m.up(x))))

    sizes = {"q": (32, 16), "k": (32, 16), "v": (32, 16), "o": (16, 32), "up": (32, 64), "down": (64, 32)}
    model = Of(forward, norm=nn.LayerNorm(32), head=nn.Linear(32, 5), **{n: nn.Linear(*s) for n, s in sizes.items()})
    for seed, (name, (fan, units)) in enumerate(sizes.items()):
        divisor = queries if name == "q" else 1
        set_to(getattr(model, name), weight=drawn(units, fan, seed=seed) / math.sqrt(fan * divisor))
    assert ({f"{name}.weight" for name in sizes} <= kept(model, drawn(8, 7, 32))) is stays
    set_to(model.head, weight=drawn(5, 32))  # logits of size 5
    assert "head.weight" not in kept(model, drawn(8, 7, 32))


@pytest.mark.parametrize("attentions", [1, 2])
def test_an_attention_of_single_terms_shows_no_divisor(attentions: int) -> None:
    """Its root is 1: queries as large as keys are what any constructor draws, and beside others they say nothing."""

    def forward(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        x = x + (m.q(x) @ m.k(x).transpose(1, 2)).softmax(-1) @ m.v(x)
        if attentions > 1:
            x = x + (m.q16(x) @ m.k16(x).transpose(1, 2)).softmax(-1) @ m.v(x)
        return m.head(x)

    widths = {"q": 1, "k": 1, "v": 32, "q16": 16, "k16": 16} if attentions > 1 else {"q": 1, "k": 1, "v": 32}
    model = Of(forward, head=nn.Linear(32, 5), **{name: nn.Linear(32, units) for name, units in widths.items()})
    for seed, (name, units) in enumerate(widths.items()):
        set_to(getattr(model, name), weight=drawn(units, 32, seed=seed) / math.sqrt(32 * (16 if name == "q16" else 1)))
    assert ("v.weight" in kept(model, drawn(8, 7, 32))) is (attentions > 1)
