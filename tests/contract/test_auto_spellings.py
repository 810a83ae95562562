"""The same network written in other ways, for which auto must see the same, and neighbours of which it must not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_models import Of

import wellbegun as wb

Forward = Callable[..., Any]


def batch(count: int = 1, width: int = 32) -> Any:
    drawn = torch.randn(count, 64, width, generator=torch.Generator().manual_seed(count))
    return drawn[0] if count == 1 else tuple(drawn)


def rms(found: Tensor) -> float:
    return float(found.detach().square().mean().sqrt())


# ---------------------------------------------------------------------- errors, and streams
def net(m: Any, x: Tensor) -> Tensor:
    given: Tensor = m.read(F.relu(m.mid(F.relu(m.first(x)))))
    return given


def autoencoder(forward: Forward) -> nn.Module:
    torch.manual_seed(0)
    return Of(
        forward,
        first=nn.Linear(32, 64),
        mid=nn.Linear(64, 64),
        read=nn.Linear(64, 32),
        other=nn.Linear(32, 32),
        deviation=nn.Parameter(torch.zeros(32)),
    )


def huber(d: Tensor) -> Tensor:
    return torch.where(d.abs() < 1, 0.5 * d**2, d.abs() - 0.5)


ERRORS: dict[str, tuple[int, Forward]] = {
    "squares": (1, lambda m, x: ((net(m, x) - x) ** 2).mean()),
    "sizes": (1, lambda m, x: (x - net(m, x)).abs().mean()),
    "of neighbours": (1, lambda m, x: ((net(m, x) - x.roll(1, 1)) ** 2).mean()),
    "of some": (1, lambda m, x: (((net(m, x) - x) ** 2) * (x > 0)).sum() / (x > 0).sum()),
    "masked before": (1, lambda m, x: (((net(m, x) - x) * (x > 0)) ** 2).mean()),
    "picked": (1, lambda m, x: ((net(m, x) - x)[:, ::3] ** 2).mean()),
    "roots": (1, lambda m, x: ((net(m, x) - x) ** 2 + 1e-6).sqrt().mean()),
    "huber": (1, lambda m, x: huber(net(m, x) - x).mean()),
    "length": (1, lambda m, x: torch.linalg.vector_norm(net(m, x) - x, dim=1).mean()),
    "distance": (1, lambda m, x: F.pairwise_distance(net(m, x), x).mean()),
    "product": (1, lambda m, x: torch.einsum("bi,bi->b", d := net(m, x) - x, d).mean()),
    "quantile": (1, lambda m, x: torch.maximum(0.9 * (d := x - net(m, x)), -0.1 * d).mean()),
    "likelihood": (1, lambda m, x: (0.5 * ((x - net(m, x)) * (-m.deviation).exp()) ** 2 + m.deviation).mean()),
    "with outputs": (1, lambda m, x: (((p := net(m, x)) - x).pow(2).mean(), p)),
    "of entries": (1, lambda m, x: (net(m, x) - x).abs()),
    "score": (1, lambda m, x: torch.exp(-((net(m, x) - x) ** 2).mean(1))),
    "noise": (2, lambda m, x, z: ((net(m, 0.8 * x + 0.6 * z) - z) ** 2).mean()),
    "sum with noise": (2, lambda m, x, z: ((0.5 * net(m, x + 0.5 * z) + z) ** 2).mean()),
    "another net": (1, lambda m, x: ((net(m, x) - m.other(x)) ** 2).mean()),
}
STREAMS: dict[str, tuple[int, Forward]] = {
    "sum": (1, lambda m, x: x + net(m, x)),
    "difference": (1, lambda m, x: x - net(m, x)),
    "and its error": (2, lambda m, x, y: ((x - net(m, x) - y) ** 2).mean()),
    "and its error, noise within": (2, lambda m, x, z: (((a := x + 0.1 * z) - net(m, a) - x) ** 2).mean()),
    "and its size": (1, lambda m, x: (y := x - net(m, x), (y**2).mean())),
    "normalized by hand": (1, lambda m, x: (y := x + net(m, x)) * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)),
    "bent": (1, lambda m, x: F.relu(x + net(m, x)).mean(1)),
    "read again": (1, lambda m, x: m.other((x - net(m, x)).abs())),
}


@pytest.mark.parametrize("spelling", ERRORS)
def test_what_is_compared_is_a_readout_and_no_end_of_a_branch(spelling: str) -> None:
    count, forward = ERRORS[spelling]
    entry = wb.plan(autoencoder(forward), batch(count), seed=0)["read.weight"]
    assert entry.role == "readout", entry.reason


@pytest.mark.parametrize("spelling", STREAMS)
def test_what_a_stream_goes_on_with_ends_a_branch(spelling: str) -> None:
    count, forward = STREAMS[spelling]
    entry = wb.plan(autoencoder(forward), batch(count), seed=0)["read.weight"]
    assert entry.role == "residual_out", entry.reason


def test_a_reconstruction_that_is_compared_starts_as_one_that_is_returned() -> None:
    def outputs(forward: Forward) -> Tensor:
        model = autoencoder(forward)
        wb.initialize(model, batch(), seed=0)
        return net(model, batch())

    compared, returned = outputs(lambda m, x: ((net(m, x) - x) ** 2).mean()), outputs(net)
    assert rms(compared) == pytest.approx(rms(returned), rel=0.05)
    assert rms(outputs(STREAMS["difference"][1])) > 1.5 * rms(compared)


def test_the_size_of_a_stream_says_nothing_against_its_last_branch() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        for end in (m.mid, m.read):
            x = x + end(F.relu(m.first(x)))
        return (x**2).mean()

    model = Of(forward, first=nn.Linear(32, 64), mid=nn.Linear(64, 32), read=nn.Linear(64, 32))
    roles = {entry.name: entry.role for entry in wb.plan(model, batch(), seed=0).entries}
    assert roles["mid.weight"] == roles["read.weight"] == "residual_out"


# ---------------------------------------------------------------------- log-scales of couplings
MASK = (torch.arange(32) % 2).float()
REST = 1 - MASK
FACTORS: dict[str, Forward] = {  # of a signal x, by what a head gives
    "plain": lambda m, x, k: x * k.exp(),
    "bounded": lambda m, x, k: x * torch.tanh(k).exp(),
    "times the exponent of a parameter": lambda m, x, k: x * (torch.tanh(k) * m.zeros.exp()).exp(),
    "masked": lambda m, x, k: x * (torch.tanh(k) * m.zeros.exp() * REST).exp(),
    "times a parameter": lambda m, x, k: x * (m.ones * torch.tanh(k)).exp(),
    "and a shift": lambda m, x, k: x * (m.ones * torch.tanh(k) + m.zeros).exp(),
    "cut": lambda m, x, k: x * (k.clamp(-2, 2) * REST).exp(),
    "soft": lambda m, x, k: x * (1.2 * torch.atan(k / 1.2) * REST).exp(),
    "masked behind": lambda m, x, k: x * (MASK + REST * k.exp()),
    "undone": lambda m, x, k: (x - m.zeros) * (-torch.tanh(k) * m.ones).exp(),
    "divided": lambda m, x, k: x / (m.ones * k).exp(),
    "one plus": lambda m, x, k: x * (1 + m.ones * torch.tanh(k)),
    "beside zeros": lambda m, x, k: x * torch.cat([0 * k[:, :16], k[:, 16:] * m.ones[16:]], 1).exp(),
}
OTHERS: dict[str, Forward] = {  # what is no factor that is 1 where the head gives 0
    "gate": lambda m, x, k: x * (torch.sigmoid(k) * m.ones),
    "odd": lambda m, x, k: x * (torch.tanh(k) * m.ones),
    "decay": lambda m, x, k: x * (-F.softplus(k) * m.ones).exp(),
    "hidden": lambda m, x, k: torch.tanh(k) * m.ones,
    "positive": lambda m, x, k: F.softplus(k * m.ones) * x,
    "shares": lambda m, x, k: (e := (k * m.ones).exp()) / e.sum(1, keepdim=True) * x,
}


def coupling(factor: Forward) -> nn.Module:
    def forward(m: Any, x: Tensor) -> Tensor:
        inside = torch.tanh(m.first(x[:, :32]))
        done: Tensor = m.read(factor(m, x[:, 32:], m.head(inside)))
        return done

    torch.manual_seed(0)
    sizes = {"first": (32, 64), "head": (64, 32), "read": (32, 4), "move": (32, 32)}
    layers = {name: nn.Linear(*size) for name, size in sizes.items()}
    return Of(forward, **layers, zeros=nn.Parameter(torch.zeros(32)), ones=nn.Parameter(torch.ones(32)))


def head_of(model: nn.Module) -> float:
    wb.initialize(model, batch(1, 64), seed=0)
    made: list[float] = []
    model.get_submodule("head").register_forward_hook(lambda _, __, out: made.append(rms(out)))
    model(batch(1, 64))
    return made[0]


@pytest.mark.parametrize("spelling", FACTORS)
def test_a_factor_that_begins_at_1_leaves_the_signal_as_it_is(spelling: str) -> None:
    assert head_of(coupling(FACTORS[spelling])) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("spelling", OTHERS)
def test_what_is_no_such_factor_has_unit_size(spelling: str) -> None:
    assert head_of(coupling(OTHERS[spelling])) == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("factor", ["times a parameter", "one plus"])
def test_a_factor_that_begins_at_1_is_no_gate_of_what_it_multiplies(factor: str) -> None:
    def forward(m: Any, x: Tensor, k: Tensor) -> Tensor:
        made: Tensor = FACTORS[factor](m, m.move(x), k)
        return made

    model = coupling(forward)
    assert head_of(model) == pytest.approx(0.1, rel=0.1)
    roles = {entry.name: entry.role for entry in wb.plan(model, batch(1, 64), seed=0).entries}
    assert {roles["head.weight"], roles["move.weight"]} == {"hidden"}
    gated = coupling(lambda m, x, k: m.move(x) * F.silu(k * m.ones))
    roles = {entry.name: entry.role for entry in wb.plan(gated, batch(1, 64), seed=0).entries}
    assert (roles["head.weight"], roles["move.weight"]) == ("gate", "up")


# ---------------------------------------------------------------------- deviations of noise
def drawn(mean: Tensor, deviation: Tensor) -> Tensor:
    return torch.distributions.Normal(mean, deviation).rsample()


def bounded(k: Tensor) -> Tensor:
    return (-5 + 3.5 * (torch.tanh(k) + 1)).exp()


DEVIATIONS: dict[str, Forward] = {  # what is drawn, by what one layer gives for its middle and another for its width
    "like": lambda mean, k: mean + torch.randn_like(mean) * (0.5 * k).exp(),
    "of a shape": lambda mean, k: mean + torch.randn(mean.shape) * (0.5 * k).exp(),
    "distribution": lambda mean, k: drawn(mean, k.exp()),
    "smaller": lambda mean, k: drawn(mean, (k - 2).exp()),
    "cut": lambda mean, k: drawn(mean, k.clamp(-20, 2).exp()),
    "bounded": lambda mean, k: drawn(mean, bounded(k)),
    "squashed": lambda mean, k: torch.tanh(drawn(mean, bounded(k))),
    "likelihood": lambda mean, k: mean**2 / (2 * (k - 1).exp()) + k,
}
WIDTHS: dict[str, Forward] = {  # no exponentials of a log-scale
    "softplus": lambda mean, k: mean + torch.randn_like(mean) * F.softplus(k),
    "decay": lambda mean, k: mean * (-k.exp()).exp(),
    "gate": lambda mean, k: mean * torch.sigmoid(k + 2),
    "bump": lambda mean, k: mean * (-(k**2)).exp(),
    "masked": lambda mean, k: mean + MASK * torch.tanh(k),
}


@pytest.mark.parametrize("spelling", DEVIATIONS)
def test_a_deviation_of_noise_begins_as_it_is_without_a_signal(spelling: str) -> None:
    assert head_of(coupling(lambda m, x, k: DEVIATIONS[spelling](m.move(x), k))) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("spelling", WIDTHS)
def test_other_positive_factors_have_unit_size(spelling: str) -> None:
    assert head_of(coupling(lambda m, x, k: WIDTHS[spelling](m.move(x), k))) == pytest.approx(1.0, rel=0.15)


# ---------------------------------------------------------------------- choices, and signals that are chosen from
def neighbours(near: Forward) -> Forward:
    """A convolution over edges to the points whose features are nearest, which are read as well."""

    def forward(m: Any, h: Tensor) -> Tensor:
        x = F.leaky_relu(m.features(h))
        places, (samples, _, width) = near(x), x.shape
        rows = (places + torch.arange(samples)[:, None, None] * x.shape[1]).reshape(-1)
        beside = x.reshape(-1, width)[rows].view(*places.shape, width)
        edges = torch.cat([beside - x[:, :, None], x[:, :, None].expand_as(beside)], -1)
        read: Tensor = m.read(F.relu(m.edge(edges)).max(2)[0].mean(1))
        return read

    return forward


def nearness(x: Tensor) -> Tensor:
    sizes = x.square().sum(-1)
    return 2 * x @ x.mT - sizes[:, :, None] - sizes[:, None]


def some(m: Any, h: Tensor) -> Tensor:
    values, places = m.features(h).topk(4, -1)
    read: Tensor = m.wide(torch.zeros(*h.shape[:2], 16).scatter(-1, places, values))
    return read


SIGNALS: dict[str, Forward] = {
    "neighbours": neighbours(lambda x: nearness(x).topk(4, -1)[1]),
    "neighbours by distance": neighbours(lambda x: torch.cdist(x, x).topk(4, -1, largest=False)[1]),
    "neighbours in order": neighbours(lambda x: nearness(x).argsort(-1)[..., :4]),
    "places in order": lambda m, h: m.flat(
        (x := m.features(h)).gather(1, x[..., -1].argsort(1)[:, :4, None].expand(-1, -1, 16)).flatten(1)
    ),
    "largest": lambda m, h: m.flat(m.features(h).topk(4, 1)[0].flatten(1)),
    "some units": some,
    "units above": lambda m, h: m.wide((z := m.features(h)) * (z >= z.topk(4, -1)[0][..., -1:]).float()),
    "median": lambda m, h: m.wide(m.features(h).sort(1)[0][:, 4]),
}


def experts(shares: Forward) -> Forward:
    def forward(m: Any, h: Tensor) -> Tensor:
        share = shares(m, h)
        read: Tensor = m.read(sum(share[..., i : i + 1] * F.relu(expert(h)) for i, expert in enumerate(m.experts)))
        return read

    return forward


def spread(values: Tensor, places: Tensor) -> Tensor:
    return torch.zeros(*values.shape[:-1], 4).scatter(-1, places, values)


def above(m: Any, h: Tensor) -> Tensor:
    share = m.scores(h).softmax(-1)
    kept: Tensor = share * (share >= share.topk(2, -1)[0][..., -1:]).float()
    return kept / kept.sum(-1, keepdim=True)


def switched(m: Any, h: Tensor) -> Tensor:
    share = m.scores(h).softmax(-1)
    place = share.argmax(-1, keepdim=True)
    return spread(share.gather(-1, place), place)


CHOICES: dict[str, Forward] = {
    "largest shares": experts(lambda m, h: spread(*m.scores(h).softmax(-1).topk(2, -1))),
    "shares of the largest": experts(lambda m, h: spread((t := m.scores(h).topk(2, -1))[0].softmax(-1), t[1])),
    "one": experts(switched),
    "above": experts(above),
    "with a balance": lambda m, h: (experts(switched)(m, h), m.scores(h).softmax(-1).mean((0, 1)).square().sum()),
}


def chosen_from(forward: Forward) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"first": (16, 32), "features": (32, 16), "edge": (32, 32), "read": (32, 5), "flat": (64, 5)}
    layers: dict[str, nn.Module] = {name: nn.Linear(*size) for name, size in sizes.items()}
    layers |= {"wide": nn.Linear(16, 5), "scores": nn.Linear(32, 4)}
    layers["experts"] = nn.ModuleList(nn.Linear(32, 32) for _ in range(4))
    return Of(lambda m, x: forward(m, F.relu(m.first(x))), **layers)


def role_in(forward: Forward, name: str) -> str:
    points = torch.randn(16, 12, 16, generator=torch.Generator().manual_seed(0))
    return wb.plan(chosen_from(forward), points, seed=0)[name].role


@pytest.mark.parametrize("spelling", SIGNALS)
def test_what_is_read_as_well_as_chosen_from_is_no_router(spelling: str) -> None:
    assert role_in(SIGNALS[spelling], "features.weight") == "hidden"


@pytest.mark.parametrize("spelling", CHOICES)
def test_what_only_chooses_and_weighs_is_a_router(spelling: str) -> None:
    assert role_in(CHOICES[spelling], "scores.weight") == "router"


# ---------------------------------------------------------------------- rows that are averaged by shares
MIXTURES: dict[str, Forward] = {  # of the rows of a memory, by what a layer gives
    "layer": lambda m, k: m.layer(k.softmax(-1)),
    "product": lambda m, k: torch.einsum("bnk,kd->bnd", k.softmax(-1), m.rows),
    "warm": lambda m, k: (k / 0.5).softmax(-1) @ m.rows,
    "soft codes": lambda m, k: F.gumbel_softmax(k, dim=-1) @ m.rows,
    "hard codes": lambda m, k: F.gumbel_softmax(k, dim=-1, hard=True) @ m.rows,
    "some left out": lambda m, k: F.dropout(k.softmax(-1), 0.1) @ m.rows,
    "made one again": lambda m, k: (p := k.softmax(-1)) / (1e-9 + p.sum(-1, keepdim=True)) @ m.rows,
    "twice": lambda m, k: ((k.softmax(-1) @ m.rows) @ m.rows.T).softmax(-1) @ m.rows,
}
NO_MIXTURES: dict[str, Forward] = {
    "over samples": lambda m, k: k.softmax(1) @ m.rows,
    "logarithms": lambda m, k: k.log_softmax(-1) @ m.rows,
    "gates": lambda m, k: k.sigmoid() @ m.rows,
    "shares times a signal": lambda m, k: (k.softmax(-1) * k) @ m.rows,
    "attention": lambda m, k: (k @ k.mT).softmax(-1) @ k @ m.rows,
}


def memory(mixture: Forward) -> float:
    """RMS of its entries."""
    torch.manual_seed(0)
    sizes = {"first": (16, 32), "shares": (32, 24), "layer": (24, 32), "read": (32, 5)}
    layers = {name: nn.Linear(*size) for name, size in sizes.items()}
    rows = nn.Parameter(torch.randn(24, 32) / 24**0.5)
    model = Of(lambda m, x: m.read(F.relu(mixture(m, m.shares(F.relu(m.first(x)))))), rows=rows, **layers)
    wb.initialize(model, torch.randn(32, 6, 16, generator=torch.Generator().manual_seed(0)), seed=0)
    return max(rms(rows), rms(layers["layer"].weight))  # one of them is not used, and kept as it is


@pytest.mark.parametrize("spelling", MIXTURES)
def test_rows_that_are_averaged_by_shares_have_unit_entries(spelling: str) -> None:
    assert memory(MIXTURES[spelling]) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("spelling", NO_MIXTURES)
def test_other_weights_behind_a_softmax_keep_the_length_of_what_comes_in(spelling: str) -> None:
    assert memory(NO_MIXTURES[spelling]) < 0.5


def test_kernels_that_are_averaged_by_shares_are_no_rows() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        made = torch.einsum("bne,eio->bnio", m.shares(x).softmax(-1), m.kernels)
        read: Tensor = m.read(F.relu(torch.einsum("bni,bnio->bno", x, made)))
        return read

    torch.manual_seed(0)
    kernels = nn.Parameter(torch.randn(24, 16, 8) / 4)
    model = Of(forward, shares=nn.Linear(16, 24), kernels=kernels, read=nn.Linear(8, 5))
    points = torch.randn(32, 6, 16, generator=torch.Generator().manual_seed(0))
    assert "shares" not in wb.plan(model, points, seed=0)["kernels"].reason
