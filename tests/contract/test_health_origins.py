"""What goes wrong beside the weights is named where it begins: routers, values that are not finite, buffers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import wellbegun as wb

X = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))


class Experts(nn.Module):
    """A token goes to the expert that its gate picks; `weighed` says what its output is multiplied with."""

    def __init__(self, weighed: Callable[[torch.Tensor], torch.Tensor], picks: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weighed, self.picks, self.norm, self.head = weighed, picks, nn.LayerNorm(16), nn.Linear(16, 8)
        self.gate = nn.Linear(16, 4, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16)) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, out = self.norm(x), torch.zeros_like(x)
        weights, which = self.gate(h).softmax(-1).topk(self.picks, -1)
        weights = self.weighed(weights)
        for number, expert in enumerate(self.experts):
            rows, places = (which == number).nonzero(as_tuple=True)
            if rows.numel():
                out = out.index_add(0, rows, expert(h[rows]) * weights[rows, places, None])
        return self.head(x + out)


@pytest.mark.parametrize(
    "weighed",
    [
        lambda w: w / w.sum(-1, keepdim=True),
        lambda w: w / (w.sum(-1, keepdim=True) + 1e-20),
        lambda w: torch.exp(w.log() - w.log().logsumexp(-1, keepdim=True)),
    ],
)
def test_a_router_that_cancels_is_found(weighed: Any) -> None:
    found = [f for f in wb.check(Experts(weighed), X).findings if "gate" in f.place]
    assert found
    assert found[0].code in ("W801", "W802", "W201")


@pytest.mark.parametrize(("weighed", "picks"), [(lambda w: w, 1), (lambda w: w / w.sum(-1, keepdim=True), 2)])
def test_a_router_that_learns_is_not(weighed: Any, picks: int) -> None:
    assert wb.check(Experts(weighed, picks), X).healthy


# ---------------------------------------------------------------------- not finite
class Between(nn.Module):
    """A function between two layers, in a module of its own, and perhaps a buffer."""

    def __init__(self, function: Callable[..., torch.Tensor], buffer: torch.Tensor | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(16, 16), nn.Linear(16, 4)
        self.middle = nn.Module()
        self.middle.forward = (lambda x: function(x)) if buffer is None else (lambda x: function(x, self.table))
        self.register_buffer("table", torch.zeros(1) if buffer is None else buffer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.middle(self.first(x)) + 1))


NAN = torch.tensor(float("nan"))
FUNCTIONS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "a logarithm": (torch.log, "log"),
    "a root": (torch.sqrt, "sqrt"),
    "0/0": (lambda t: torch.relu(t) / torch.relu(t), "div"),
    "1/0, then less of it": (lambda t: torch.relu(t).reciprocal() - torch.relu(t).reciprocal(), "reciprocal"),
    "log of zero, times zero": (lambda t: torch.relu(t) * torch.log(torch.relu(t)), "log"),
    "a row that is wholly masked": (lambda t: t.masked_fill(t < torch.inf, -torch.inf).softmax(-1), "softmax"),
    "an overflow": (lambda t: torch.exp(200 * t), "exp"),
    "the gradient of a root at zero": (lambda t: (t - t).sqrt() + t, "sqrt"),
    "the gradient of a power at zero": (lambda t: (t - t).pow(0.3) + t, "pow"),
    "the gradient of a length": (lambda t: (t - t).square().sum(-1, keepdim=True).sqrt() + t, "sqrt"),
}

MENDED = {"an overflow", "a logarithm", "a root", "log of zero, times zero"}  # by smaller weights, or offsets of 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_is_traced_to_where_it_appears(name: str) -> None:
    function, operation = FUNCTIONS[name]
    model = Between(function)
    first = wb.check(model, X).findings[0]
    assert (first.code, first.parameter) == ("W401", "")
    assert operation in first.place
    assert "[" in first.detail or "-inf" in first.detail  # the numbers that came in
    assert first.remedy.startswith("#") or name in MENDED
    assert all(bool(p.isfinite().all()) and p.grad is None for p in model.parameters())


LOSSES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "log of a negative": lambda o: torch.log(-o.abs() - 1).mean(),
    "log of zero": lambda o: torch.log(0 * o.square()).mean(),
    "a mean of nothing": lambda o: o[o > 1e9].mean(),
    "0/0 of a mask": lambda o: (0 * o).sum() / (0 * o).sum(),
    "root at zero": lambda o: (0 * o).sqrt().sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_makes_nan_is_named_and_not_the_model(name: str) -> None:
    first = wb.check(Between(torch.tanh), X, loss=LOSSES[name]).findings[0]
    assert (first.code, first.place, first.parameter) == ("W401", "loss", "")
    assert "output" in first.detail
    assert "wb.initialize" not in first.remedy


@pytest.mark.parametrize(
    "values", [[float("nan")] * 16, [1e30, -3e-41, 2e35, 0.5] * 4, [float("inf")] + [1.0] * 15, [-3e38, 1e25] * 8]
)
@pytest.mark.parametrize("function", [torch.add, torch.mul])
def test_garbage_in_a_buffer_is_named_as_the_buffer(values: list[float], function: Any) -> None:
    health = wb.check(Between(function, torch.tensor(values)), X)
    if not health.healthy:
        assert health.findings[0].place == "buffer table"
        assert "table" in health.findings[0].remedy
    else:
        assert max(values) > 1e20  # which a tanh may swallow


def test_a_mask_in_a_buffer_is_none() -> None:
    mask = torch.full((32, 16), torch.finfo(torch.float32).min).triu(1)
    assert not wb.check(Between(lambda x, m: (x + m).softmax(-1), mask), X).statistics.buffers


@pytest.mark.parametrize(("bounds", "seen"), [([torch.inf], 0), ([torch.inf, torch.inf], 0), ([torch.inf, 1.0], 1)])
def test_a_bound_in_a_buffer_is_none(bounds: list[float], seen: int) -> None:
    health = wb.check(Between(lambda x, m: torch.minimum(x, m.max()), torch.tensor(bounds)), X)
    assert len(health.statistics.buffers) == seen


def test_a_negative_variance_is_told() -> None:
    model = nn.Sequential(nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)).eval()
    model[1].running_var.fill_(-1)
    first = wb.check(model, X).findings[0]
    assert first.place.startswith("1 ")
    assert "1.running_var in [-1, -1]" in first.detail


def test_jax_is_traced_too() -> None:
    nnx, jnp = pytest.importorskip("flax.nnx"), pytest.importorskip("jax.numpy")

    class Net(nnx.Module):
        def __init__(self, function: Any) -> None:
            self.a, self.b, self.function = (
                nnx.Linear(16, 16, rngs=nnx.Rngs(0)),
                nnx.Linear(16, 4, rngs=nnx.Rngs(1)),
                function,
            )

        def __call__(self, x: Any) -> Any:
            return self.b(self.function(self.a(x)))

    for function, operation in ((jnp.log, "log"), (lambda t: jnp.sqrt(t - t) + t, "sqrt")):
        first = wb.check(Net(function), X.numpy()).findings[0]
        assert first.code == "W401"
        assert operation in first.place


# ---------------------------------------------------------------------- codebooks, other arrays, step sizes
class Coded(nn.Module):
    """The nearest row of a codebook, straight through."""

    def __init__(self, far: float, cosine: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encode, self.decode, self.cosine = nn.Linear(16, 8), nn.Linear(8, 4), cosine
        self.codes = nn.Parameter(torch.randn(32, 8) + far * torch.arange(32)[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.encode(x)
        nearest = (h @ self.codes.T).argmax(-1) if self.cosine else torch.cdist(h, self.codes).argmin(-1)
        code = nn.functional.embedding(nearest, self.codes) if self.cosine else self.codes[nearest]
        return self.decode(h + (code - h).detach() + 0.1 * code)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_codebook_of_one_row_is_found(cosine: bool) -> None:
    assert "W703" not in wb.check(Coded(0.0, cosine), X).codes
    model = Coded(30.0 * (not cosine))
    found = [f for f in wb.check(model, X).findings if f.code == "W703"]
    assert bool(found) == (not cosine)
    if found:
        assert found[0].parameter == "codes"
        assert "draw the rows near" in found[0].remedy or "only=['codes']" in found[0].remedy


def test_what_leaves_for_other_arrays_is_cut_off() -> None:
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.from_numpy(self.a(x).detach().numpy() * 2))

    health = wb.check(Left(), X)
    assert "W801" in health.codes
    assert "a." in health.findings[0].parameter


@pytest.mark.parametrize(("start", "flat"), [(-4.0, False), (-30.0, True)])
def test_softplus_far_below_zero_is_small_and_not_flat(start: float, flat: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.Softplus(), nn.Linear(32, 4))
    nn.init.constant_(model[0].bias, start)
    codes = wb.check(model, X).codes
    assert "W702" not in codes
    assert bool({"W701", "W101", "W201"} & set(codes)) == flat
