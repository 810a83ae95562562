"""Factors beyond [1/4, 4] are told and not applied; what multiplies a branch on its way to the sum is a design."""

import math
from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb


def size(value: torch.Tensor) -> float:
    return float(value.detach().double().square().mean().sqrt())


class Multiplied(nn.Module):
    """Four branches of a stream, each multiplied on its way to the sum."""

    def __init__(self, how: str, width: int = 32) -> None:
        super().__init__()
        self.stem, self.how, self.seen = nn.Linear(12, width), how, list[float]()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(4)
        )
        start = torch.tensor(1e-3) if how == "gate" else torch.full((width,), 1e-5)
        self.scales = nn.ParameterList(nn.Parameter(start.clone()) for _ in range(4 if how != "constant" else 0))
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        self.seen = [size(x)]
        for number, branch in enumerate(self.branches):
            added = branch(x)
            self.seen.append(size(added))
            scale: Any = 0.01 if self.how == "constant" else self.scales[number]
            x = x + added * (torch.tanh(scale) if self.how == "gate" else scale)
        return self.head(x)


def batch(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("how", ["layer scale", "gate", "constant"])
def test_what_multiplies_a_branch_is_no_part_of_its_size(how: str) -> None:
    torch.manual_seed(0)
    model = Multiplied(how)
    held = [scale.detach().clone() for scale in model.scales]
    result = wb.initialize(model, batch(64, 12), seed=0)
    model(batch(64, 12))
    assert model.seen[1:] == pytest.approx([0.5 * model.seen[0]] * 4, rel=0.05)
    assert all(torch.equal(one, two) for one, two in zip(held, model.scales, strict=True))
    assert not any("too much" in entry.reason for entry in result.plan.entries)


@pytest.mark.parametrize("times", [0.01, 30.0])
def test_a_factor_beyond_the_limit_is_told_and_not_applied(times: float) -> None:
    torch.manual_seed(0)
    layers = [m for _ in range(3) for m in (nn.Linear(24, 24), nn.ReLU())]
    model, x = nn.Sequential(*layers, nn.Linear(24, 4)), times * batch(64, 24)
    plain = wb.initialize(model, x, seed=0, calibrate=False).plan
    plan = wb.initialize(model, x, seed=0).plan
    assert all(0.25 <= entry.factor <= 4 for entry in plan.entries if entry.role != "bias")
    first = plan["0.weight"]
    assert first.law == plain["0.weight"].law
    assert "too much" in first.reason
    assert "left at the rule's value" in first.reason
    note = next(note for note in plan.notes if note.startswith("Not corrected"))
    assert "0.weight: gives RMS" in note
    assert f"an input of RMS {size(x):.2g}" in note
    near = wb.initialize(model, 2 * batch(64, 24), seed=0).plan  # the control: within the limit it is corrected
    assert near["0.weight"].factor == pytest.approx(0.5, rel=0.1)
    assert not any(note.startswith("Not corrected") for note in near.notes)


class Queries(nn.Module):
    """Learned queries read a set; `whole` by a layer of the framework's own, with its weights in one."""

    def __init__(self, whole: bool, count: int = 4, width: int = 32) -> None:
        super().__init__()
        self.queries = nn.Parameter(0.02 * torch.randn(1, count, width))
        self.stem, self.head = nn.Linear(6, width), nn.Linear(width, 5)
        self.whole = nn.MultiheadAttention(width, 4, batch_first=True) if whole else None
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, queries = self.stem(x), self.queries.expand(len(x), -1, -1)
        if self.whole is not None:
            read, self.weights = self.whole(queries, x, x)
        else:
            self.weights = (self.q(queries) @ self.k(x).mT / 32**0.5).softmax(dim=-1)
            read = self.weights @ self.v(x)
        return self.head(self.norm(read).mean(dim=1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [False, True])
def test_learned_queries_are_a_signal_and_no_small_addend(whole: bool) -> None:
    torch.manual_seed(0)
    model = Queries(whole)
    rules = [("k.*", "keep"), ("q.*", "keep"), ("v.*", "keep")] if whole else []
    result = wb.initialize(model, batch(16, 20, 6), seed=0, rules=rules)
    assert size(model.queries) == pytest.approx(1, rel=0.2)
    assert "unit entries" in result.plan["queries"].reason
    model(batch(16, 20, 6))
    entropy = -(model.weights * model.weights.log()).sum(dim=-1).mean() / torch.tensor(20.0).log()
    assert 0.5 < float(entropy.detach()) < 0.98  # neither blind nor fixed on one place
    assert result.health.healthy


def test_a_class_token_stays_small_beside_what_it_stands_among() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.token, self.head = nn.Linear(6, 32), nn.Parameter(torch.zeros(1, 1, 32)), nn.Linear(32, 5)
            self.block = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.stem(x)
            return self.head(self.block(torch.cat([self.token.expand(len(x), -1, -1), x], dim=1))[:, 0])

    plan = wb.plan(Tokens(), batch(4, 9, 6), seed=0, intent="overwrite")
    assert "class token" in plan["token"].reason


@pytest.mark.parametrize(("constant", "positions"), [(12.0, False), (32**0.5, True), (1.0, False)])
def test_a_table_gives_unit_entries_with_the_constant_behind_it(constant: float, positions: bool) -> None:
    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(50, 32), nn.Linear(32, 50)
            self.places = nn.Embedding(9, 32) if positions else None

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.table(tokens) * constant
            if self.places is not None:
                x = x + self.places(torch.arange(tokens.shape[1]))
            self.seen = size(x)
            return self.head(torch.tanh(x))

    model = Tables()
    plan = wb.initialize(model, torch.arange(45).reshape(5, 9), seed=0).plan
    model(torch.arange(45).reshape(5, 9))
    assert model.seen == pytest.approx(1, rel=0.1)
    assert ("constant" in plan["table.weight"].reason) == (constant != 1)


@pytest.mark.parametrize(
    ("before", "behind", "cap"),
    [(32**-0.5, 1, None), (1, 0.125, None), (0.25, 0.5, None), (1, 1, None), (1e-4, 1, None), (1, 1, 30.0)],
)
def test_a_shared_readout_counts_the_constants_around_it(before: float, behind: float, cap: float | None) -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.block, self.norm = nn.Embedding(50, 32), nn.Linear(32, 32), nn.LayerNorm(32)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            x = self.table(tokens)
            x = self.norm(x + self.block(x)) * before
            logits = nn.functional.linear(x.contiguous(), self.table.weight) * behind
            return logits if cap is None else cap * torch.tanh(logits / cap)

    model = Shared()
    plan = wb.initialize(model, torch.arange(45).reshape(5, 9), seed=0).plan
    spread = float(model(torch.arange(45).reshape(5, 9)).detach().std())
    if before > 1e-3:
        assert 0.2 < spread < 0.7
    assert model.table.weight.std() <= 1.1  # entries of a stream, however small the constants
    assert ("around it" in plan["table.weight"].reason) == (before * behind != 1)


@pytest.mark.parametrize("how", ["sum", "mean", "by hand"])
def test_rows_that_are_combined_start_small_and_the_next_layer_knows_it(how: str) -> None:
    class Bags(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(60, 24) if how == "by hand" else nn.EmbeddingBag(60, 24, mode=how)
            self.hidden, self.head = nn.Linear(24, 48), nn.Linear(48, 3)

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            bags = self.table(words)
            self.seen = self.hidden(bags.mean(dim=1) if how == "by hand" else bags)
            return self.head(torch.relu(self.seen))

    torch.manual_seed(0)
    model, words = Bags(), torch.randint(0, 60, (64, 16))
    plan = wb.initialize(model, words, seed=0).plan
    model(words)
    assert size(model.table.weight) == pytest.approx(0.25, rel=0.1)
    assert size(model.seen) == pytest.approx(1, rel=0.15)
    assert 0.5 < plan["hidden.weight"].factor < 2  # the control: the rule is right already


LENGTHS: dict[str, Any] = {
    "normalize": lambda x: nn.functional.normalize(x, dim=-1),
    "length": lambda x: x / x.norm(dim=-1, keepdim=True).clamp(min=1e-5),
    "squares": lambda x: x * torch.rsqrt(x.pow(2).sum(dim=-1, keepdim=True) + 1e-6),
    "times 2": lambda x: 2 * x / x.norm(dim=-1, keepdim=True),
    "rms": lambda x: x * torch.rsqrt(x.pow(2).mean(dim=-1, keepdim=True) + 1e-6),
    "root": lambda x: nn.functional.normalize(x, dim=-1) * 48**0.5,
}
UNITS = dict.fromkeys(LENGTHS, 48**0.5) | {"times 2": 48**0.5 / 2, "rms": 1.0, "root": 1.0}


@pytest.mark.parametrize("recipe", ["auto", "classic", "gpt2"])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_gain_behind_a_length_makes_unit_entries(name: str, recipe: str) -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.gain, self.head = nn.Linear(6, 48), nn.Parameter(torch.ones(1)), nn.Linear(48, 5)
            self.wide, self.more = nn.Parameter(torch.ones(48)), nn.Parameter(torch.zeros(48))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = LENGTHS[name](torch.tanh(self.stem(x))) * self.gain
            x = LENGTHS[name](torch.tanh(x)) * self.wide
            return self.head(LENGTHS[name](torch.tanh(x)) * (1 + self.more))

    model = Scaled()
    wb.initialize(model, batch(64, 6), seed=0, recipe=recipe)
    assert size(model.gain) == pytest.approx(UNITS[name], rel=0.02)
    assert size(model.wide) == pytest.approx(UNITS[name], rel=0.02)
    assert size(1 + model.more) == pytest.approx(UNITS[name], rel=0.02)


def test_a_gain_that_was_chosen_behind_a_length_stays() -> None:
    class Chosen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain, self.head = nn.Parameter(torch.full((48,), 20.0)), nn.Linear(48, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(nn.functional.normalize(x, dim=-1) * self.gain)

    model = Chosen()
    wb.initialize(model, batch(64, 48), seed=0)
    assert model.gain.tolist() == [20.0] * 48


def _bound(how: str) -> nn.Module:
    from torch.nn.utils import parametrizations, spectral_norm

    if how == "spectral, convolution":
        layer: nn.Module = nn.Sequential(
            nn.Unflatten(1, (6, 2, 2)), parametrizations.spectral_norm(nn.Conv2d(6, 24, 2))
        )
        return nn.Sequential(layer, nn.Flatten())
    if how == "spectral, older":
        return spectral_norm(nn.Linear(24, 24))
    if how == "spectral":
        return parametrizations.spectral_norm(nn.Linear(24, 24))
    return parametrizations.orthogonal(nn.Linear(24, 16 if how == "cayley" else 24), orthogonal_map=how)


@pytest.mark.parametrize("recipe", ["auto", "classic"])
@pytest.mark.parametrize(
    "how", ["matrix_exp", "cayley", "householder", "spectral", "spectral, older", "spectral, convolution"]
)
def test_a_plan_claims_no_gain_that_a_parametrization_cannot_hold(how: str, recipe: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        _bound(how), nn.Tanh(), nn.LazyLinear(24), nn.Tanh(), _bound(how), nn.ReLU(), nn.LazyLinear(4)
    )
    result = wb.initialize(model, batch(32, 24), seed=0, recipe=recipe)
    names = [entry.name for entry in result.plan.entries if "parametrization holds" in entry.reason]
    assert len(names) == 2 or (recipe == "classic" and "spectral" in how)
    model.eval()
    model(batch(32, 24))
    for name in names:
        path, _, attribute = name.rpartition(".")
        weight = getattr(model.get_submodule(path), attribute)
        largest = float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2))
        assert largest == pytest.approx(1, rel=0.02)
        assert getattr(result.plan[name].law, "gain", None) == 1
        assert result.plan[name].factor == 1


@pytest.mark.parametrize("how", ["dropped", "masked", "normed"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_recurrent_weight_that_is_computed_anew_in_each_pass(kind: str, how: str) -> None:
    class Computed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell: Any = getattr(nn, kind)(12, 12, batch_first=True)
            weight = self.cell.weight_hh_l0.data
            del self.cell._parameters["weight_hh_l0"]
            self.raw, self.cell.weight_hh_l0 = nn.Parameter(weight.clone()), weight
            self.register_buffer("mask", (torch.rand_like(weight) < 0.5).float())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ways: dict[str, Any] = {
                "dropped": lambda w: nn.functional.dropout(w, 0.5, self.training),
                "masked": lambda w: w * self.mask,
                "normed": lambda w: w / w.norm(dim=1, keepdim=True),
            }
            self.cell.weight_hh_l0 = ways[how](self.raw)
            found: torch.Tensor = self.cell(x)[0]
            return found

    torch.manual_seed(0)
    model = nn.Sequential(Computed(), nn.Linear(12, 3))
    result = wb.initialize(model, batch(8, 10, 12), seed=0)
    entry = result.plan["0.raw"]
    assert (entry.role, entry.action) == ("recurrent", "fill")
    model(batch(8, 10, 12))
    used = model[0].cell.weight_hh_l0.detach()
    gain = 0.6 if kind == "LSTM" else 1.0
    assert float(used.square().sum(dim=1).mean()) == pytest.approx(1 if how == "normed" else gain**2, rel=0.3)


FACTORED: dict[str, tuple[tuple[tuple[int, ...], ...], Any]] = {
    "two cores": (((6, 8, 4), (4, 8, 6)), lambda a, b: torch.einsum("ior,rpq->ipoq", a, b).reshape(48, 48)),
    "three cores": (
        ((4, 4, 3), (3, 3, 3, 3), (3, 4, 4)),
        lambda a, b, c: torch.einsum("iar,rjbs,skc->ijkabc", a, b, c).reshape(48, 48),
    ),
    "kronecker": (((6, 6), (8, 8)), torch.kron),
    "terms": (((48, 5), (48, 5), (5,)), lambda a, b, c: torch.einsum("or,ir,r->oi", a, b, c)),
}


@pytest.mark.parametrize("how", FACTORED)
def test_a_weight_made_of_factors_has_the_size_of_a_weight(how: str) -> None:
    class Factored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factors = nn.ParameterList(nn.Parameter(torch.randn(*shape)) for shape in FACTORED[how][0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(x, FACTORED[how][1](*self.factors))

    for measured in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(*(m for _ in range(5) for m in (Factored(), nn.ReLU())), nn.Linear(48, 4))
        result = wb.initialize(model, batch(64, 48), seed=0, calibrate=measured)
        assert {entry.action for entry in result.plan.entries} == {"fill"}
        x = batch(64, 48)
        for index, layer in enumerate(model[:-1]):
            x = layer(x)
            if isinstance(layer, Factored):
                expected = 1.0 if index else math.sqrt(0.5)  # a first layer
                assert size(x) == pytest.approx(expected, rel=0.05 if measured else 0.9)


class Made(nn.Module):
    """Layers whose weights another net makes of a condition."""

    def __init__(self, how: str, width: int = 32) -> None:
        super().__init__()
        self.how, self.width, self.encode = how, width, nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        size = 9 * 8 * 8 if how == "convolution" else width * width
        self.makers = nn.ModuleList(nn.Linear(16, size) for _ in range(4))
        self.head = nn.Linear(8 if how == "convolution" else width, 3)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        z, self.seen = self.encode(condition), []
        for maker in self.makers:
            w = maker(z)
            if self.how == "convolution":
                x = nn.functional.conv2d(x, w[:1].view(8, 8, 3, 3), padding=1)
            elif self.how == "einsum":
                x = torch.einsum("boi,bi->bo", w.unflatten(1, (self.width, self.width)), x)
            else:
                x = torch.bmm(w.view(-1, self.width, self.width), x[..., None]).squeeze(-1)
            self.seen.append(size(x))
            x = torch.relu(x)
        return self.head(x.mean(dim=(2, 3)) if self.how == "convolution" else x)


@pytest.mark.parametrize("how", ["bmm", "einsum", "convolution"])
def test_weights_that_a_layer_makes_have_the_size_of_weights(how: str) -> None:
    torch.manual_seed(0)
    model, x = Made(how), batch(64, 8, 6, 6) if how == "convolution" else batch(64, 32)
    result = wb.initialize(model, (x, batch(64, 6)), seed=0)
    model(x, batch(64, 6))
    assert max(model.seen) < 6 * min(model.seen)  # one sample's weights, four times
    assert "makes the weight of another signal" in result.plan["makers.0.weight"].reason


@pytest.mark.parametrize("shared", [False, True])
def test_kernels_right_behind_a_convolution_and_before_no_other_weight(shared: bool) -> None:
    class Kernels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter, self.codes = nn.Conv2d(3, 8, 3, padding=1), nn.Parameter(torch.randn(5, 16))
            one = nn.Linear(16, 9 * 64, bias=False)
            self.makers = nn.ModuleList([one] * 5 if shared else [nn.Linear(16, 9 * 64, bias=False) for _ in range(5)])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x, self.seen = self.enter(x), []
            for maker, code in zip(self.makers, self.codes, strict=True):
                x = torch.relu(nn.functional.conv2d(x, maker(code).view(8, 8, 3, 3), padding=1))
                self.seen.append(size(x))
            return x.mean(dim=(2, 3))

    torch.manual_seed(0)
    model, x = Kernels(), batch(16, 3, 8, 8)
    wb.initialize(model, x, seed=0)
    model(x)
    assert max(model.seen) < 8 * min(model.seen)  # 25 times, where the first is sized as a readout


def test_a_signal_that_a_graph_or_a_gate_averages_is_no_weight() -> None:
    class Averaged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.gate = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 5)

        def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            x = torch.relu(edges @ self.first(x))
            return self.gate((edges @ self.second(x)).relu())

    plan = wb.plan(Averaged(), (batch(5, 6), torch.full((5, 5), 0.2)), seed=0)
    assert not any("makes the weight" in entry.reason for entry in plan.entries)


class Edges(nn.Module):
    """A plain weight beside one over another view of the same value."""

    def __init__(self, how: str, width: int = 24) -> None:
        super().__init__()
        self.how, self.plain = how, nn.Linear(width, width)
        wide = {"bumps": 8 * width, "hats": 6 * width}.get(how, width)
        self.basis = nn.Linear(wide, width, bias=False)
        self.register_buffer("centres", torch.linspace(-2, 2, 8 if how == "bumps" else 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        views: dict[str, Any] = {
            "bumps": lambda: torch.exp(-(((x[..., None] - self.centres) * 2) ** 2)).flatten(1),
            "hats": lambda: (1 - (x[..., None] - self.centres).abs()).clamp(min=0).flatten(1),
            "same": lambda: x,
            "rolled": lambda: torch.fft.ifft(torch.fft.fft(x)).real,
        }
        found: torch.Tensor = self.plain(nn.functional.silu(x)) + self.basis(views[self.how]())
        return found


@pytest.mark.parametrize("how", ["hats", "same"])
def test_splines_on_edges_are_small_in_a_readout_too(how: str) -> None:
    result = wb.initialize(nn.Sequential(Edges(how), Edges(how)), batch(64, 24), seed=0)
    plain, spline = result.plan["1.plain.weight"], result.plan["1.basis.weight"]
    assert plain.role == spline.role == "readout"
    assert ("over a basis" in spline.reason) == (how == "hats")
    assert ("grids of splines" in result.plan["0.plain.weight"].reason) == (how == "hats")


@pytest.mark.parametrize("how", ["bumps", "hats", "same", "rolled"])
def test_splines_on_edges_start_small_beside_the_plain_weight(how: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*(Edges(how) for _ in range(8)), nn.Linear(24, 5))
    result = wb.initialize(model, batch(64, 24), seed=0)
    assert ("over a basis" in result.plan["0.basis.weight"].reason) == (how in ("bumps", "hats"))
    assert result.health.healthy
    x, sums = batch(64, 24), list[torch.Tensor]()
    for layer in model[:-1]:
        x = layer(x)
        x.retain_grad()
        sums.append(x)
    (torch.randn(x.shape) * x).sum().backward()
    if how in ("bumps", "hats"):
        lengths = [float(one.grad.norm()) for one in sums if one.grad is not None]
        assert max(lengths) < 3 * min(lengths)
        assert all(0.5 < size(one) < 2 for one in sums[1:])
        assert 0.25 < size(sums[0]) < 1  # a first layer


@pytest.mark.parametrize("tied", [False, True])
def test_branches_know_how_large_the_table_is_that_their_stream_starts_from(tied: bool) -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head, self.norm = nn.Embedding(60, 48), nn.Linear(48, 60, bias=False), nn.LayerNorm(48)
            self.blocks = nn.ModuleList(
                nn.Sequential(nn.LayerNorm(48), nn.Linear(48, 96), nn.GELU(), nn.Linear(96, 48)) for _ in range(3)
            )
            if tied:
                self.head.weight = self.table.weight

        def forward(self, words: torch.Tensor) -> torch.Tensor:
            x = self.table(words)
            self.shares = []
            for block in self.blocks:
                added = block(x)
                self.shares.append(size(added) / size(x))
                x = x + added
            return self.head(self.norm(x))

    torch.manual_seed(0)
    model, words = Words(), torch.randint(0, 60, (8, 12))
    for measured in (False, True):
        plan = wb.initialize(model, words, seed=0, calibrate=measured, intent="overwrite").plan
        model(words)
        assert model.shares == pytest.approx([3**-0.5] * 3, rel=0.05 if measured else 0.5)
    assert all(0.5 < plan[f"blocks.{number}.3.weight"].factor < 2 for number in range(3))


class Enlarged(nn.Module):
    """Blocks whose products and sums enlarge what each weight gives."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.ModuleList(nn.Linear(width, width) for _ in range(3)) for _ in range(4))
        self.head, self.seen = nn.Linear(width, 4), list[float]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = []
        for a, b, c in self.blocks:
            x = c(6 * a(x) * b(x))
            self.seen.append(size(x))
        return self.head(x)


def test_what_products_enlarge_is_shrunk_as_far_as_the_limit() -> None:
    torch.manual_seed(0)
    model, x = Enlarged(), batch(64, 24)
    result = wb.initialize(model, x, seed=0)
    model(x)
    assert max(model.seen) < 10
    assert result.health.healthy
    assert result.plan["blocks.0.2.weight"].factor == 0.25
    assert "multiplied by 0.25 only" in result.plan["blocks.0.2.weight"].reason


class Stepped(nn.Module):
    """A readout that is used in every step of time; `how` its outputs become one."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inside, self.out, self.how = nn.Linear(16, 32), nn.Linear(32, 5), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = [self.out(torch.relu(self.inside(step))) for step in x.unbind(1)]
        if self.how == "leaky":
            total = held = torch.zeros(len(x), 5)
            for step in steps:
                held = 0.5 * held + step
                total = total + held
            return total
        joined = torch.stack(steps, 1)
        return joined if self.how == "apart" else joined.mean(1) if self.how == "mean" else joined.sum(1)


@pytest.mark.parametrize(("how", "times"), [("apart", 1), ("mean", 1), ("sum", 6), ("leaky", 2 * 6 - 2 + 2**-5)])
def test_a_readout_whose_outputs_add_up_over_steps_starts_smaller(how: str, times: float) -> None:
    model, x = Stepped(how), batch(32, 1, 16).expand(-1, 6, -1)
    plan = wb.initialize(model, x, seed=0).plan
    usual = wb.plan(Stepped("apart"), x, seed=0)["out.weight"].target
    assert plan["out.weight"].target == pytest.approx(usual / times, rel=1e-3)
    assert size(model(x)) == pytest.approx(usual, rel=0.05)
