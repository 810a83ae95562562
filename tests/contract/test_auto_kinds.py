"""Kinds of networks for which auto takes other sizes, and neighbours of them for which it does not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import wellbegun as wb
from wellbegun.graph import roles_of
from wellbegun.torch.trace.recording import trace


def sizes(model: nn.Module, batch: object) -> dict[str, float]:
    """RMS behind each layer, by hooks."""
    found: dict[str, float] = {}
    for name, module in model.named_modules():
        if next(module.children(), None) is None:

            def note(_: nn.Module, __: object, out: Tensor, name: str = name) -> None:
                found[name] = out.detach().square().mean().sqrt().item()

            module.register_forward_hook(note)
    model(batch)
    return found


# ---------------------------------------------------------------------- a readout with weights for each place
class Encoder(nn.Module):
    """Pieces of a series, positions, blocks of attention, and a readout of all places, or of their mean."""

    def __init__(self, read: Callable[[Tensor], Tensor], inputs: int, *, post: bool = True) -> None:
        super().__init__()
        self.stem, self.place = nn.Linear(8, 32), nn.Parameter(torch.empty(6, 32).uniform_(-0.02, 0.02))
        self.q, self.k, self.v, self.o = (nn.Linear(32, 32) for _ in range(4))
        self.up, self.down, self.norms = (
            nn.Linear(32, 64),
            nn.Linear(64, 32),
            nn.ModuleList(nn.LayerNorm(32) for _ in "ab"),
        )
        self.read, self.post, self.head = read, post, nn.Linear(inputs, 5)

    def attend(self, x: Tensor) -> Tensor:
        scores = self.q(x) @ self.k(x).mT / 32**0.5
        return self.o(scores.softmax(-1) @ self.v(x))

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x.view(-1, 6, 8)) + self.place
        for norm, f in zip(self.norms, (self.attend, lambda z: self.down(torch.relu(self.up(z)))), strict=True):
            y = norm(y + f(y)) if self.post else y + f(norm(y))
        return self.head(self.read(y))


@pytest.mark.parametrize(
    ("read", "inputs", "post", "smaller"),
    [
        (lambda y: y.flatten(1), 192, True, True),
        (lambda y: y.transpose(1, 2).reshape(len(y), -1), 192, True, True),
        (lambda y: torch.tanh(y).reshape(len(y), -1), 192, True, True),
        (lambda y: y.mean(1), 32, True, False),
        (lambda y: y[:, 0], 32, True, False),
        (lambda y: y, 32, True, False),  # each place by the same weights
        (lambda y: y.flatten(1), 192, False, False),
    ],
)
def test_a_readout_of_each_place_needs_smaller_queries_and_positions(
    read: Callable[[Tensor], Tensor], inputs: int, post: bool, smaller: bool
) -> None:
    torch.manual_seed(0)
    model, batch = Encoder(read, inputs, post=post), torch.randn(64, 48)
    wb.initialize(model, batch, seed=0)
    assert model.place.std().item() == pytest.approx(0.25 if smaller else 0.5, rel=0.2)
    found = sizes(model, batch)
    assert found["stem"] == pytest.approx(0.6 if smaller else 1.0, rel=0.15)
    for layer in (model.q, model.k, model.v):
        gain = layer.weight.square().mean().sqrt().item() * 32**0.5
        assert gain == pytest.approx(0.6 if smaller else 1.0, rel=0.15)
    assert found["up"] == pytest.approx(1.0, rel=0.15)


class Begun(nn.Module):
    """A post-norm encoder of torch's own, and a readout of all places, for what a stream may begin as."""

    def __init__(self, stem: nn.Module, places: int, token: bool) -> None:
        super().__init__()
        self.stem, self.head = stem, nn.Linear(32 * places, 5)
        self.token = nn.Parameter(torch.zeros(1, 1, 32)) if token else None
        self.body = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        if self.token is not None:
            y = torch.cat([self.token.expand(len(y), 1, 32), y], 1)
        return self.head(self.body(y).flatten(1))


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize("table", [True, False])
def test_all_that_a_stream_begins_as_is_made_smaller_or_nothing(table: bool, token: bool) -> None:
    batch = torch.randint(20, (16, 6)) if table else torch.randn(16, 6, 8)
    model = Begun(nn.Embedding(20, 32) if table else nn.Linear(8, 32), 6 + token, token)
    entries = {entry.name: entry.reason for entry in wb.initialize(model, batch, seed=0).plan.entries}
    for name in ("stem.weight", "body.self_attn.in_proj_weight"):
        assert ("each place" in entries[name]) is not table, name


# ---------------------------------------------------------------------- a state that is handed on
class Pair(nn.Module):
    """A recurrent layer that reads, and one that writes from its state."""

    def __init__(self, kind: type[nn.RNNBase], *, outputs: bool = False, start: bool = True) -> None:
        super().__init__()
        self.encoder, self.decoder = kind(8, 24, batch_first=True), kind(8, 24, batch_first=True)
        self.head, self.outputs, self.start = nn.Linear(24, 4), outputs, start

    def forward(self, x: Tensor) -> Tensor:
        read, state = self.encoder(x)
        written = self.decoder(x, state)[0] if self.start else self.decoder(x)[0] + 0 * read
        return self.head(written + read if self.outputs else written)


@pytest.mark.parametrize(
    ("kind", "options", "gain"),
    [
        (nn.LSTM, {}, 0.5),
        (nn.LSTM, {"outputs": True}, 1.0),
        (nn.LSTM, {"start": False}, 1.0),
        (nn.GRU, {}, 1.4),
    ],
)
def test_an_lstm_that_only_hands_its_state_on_reads_half_as_much(
    kind: type[nn.RNNBase], options: dict[str, bool], gain: float
) -> None:
    model = Pair(kind, **options)
    wb.initialize(model, torch.randn(4, 5, 8), seed=0)
    for name, asked in (("encoder", gain), ("decoder", {nn.GRU: 1.4}.get(kind, 1.0))):
        weight = getattr(model, name).weight_ih_l0
        assert weight[:24].square().mean().sqrt().item() == pytest.approx(asked / 24**0.5, rel=1e-3), name


class Goes(nn.Module):
    """One recurrent layer that goes on from its own state, or that another one reads as its input."""

    def __init__(self, again: bool) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.LSTM(8, 24, batch_first=True), nn.LSTM(24, 24, batch_first=True)
        self.head, self.again = nn.Linear(24, 4), again

    def forward(self, x: Tensor) -> Tensor:
        _, state = self.encoder(x[:, :3])
        y = self.encoder(x[:, 3:], state)[0] if self.again else state[0][-1][:, None].expand(-1, 4, -1)
        return self.head(self.decoder(y)[0])


@pytest.mark.parametrize("again", [True, False])
def test_a_state_that_starts_no_other_layer_is_not_handed_on(again: bool) -> None:
    model = Goes(again)
    wb.initialize(model, torch.randn(4, 5, 8), seed=0)
    assert model.encoder.weight_ih_l0[:24].square().mean().sqrt().item() == pytest.approx(24**-0.5, rel=1e-3)


# ---------------------------------------------------------------------- heads that talk
class Talking(nn.Module):
    """Attention whose heads are mixed before and behind the softmax."""

    def __init__(self, before: Callable[[], nn.Module], after: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(32, 32) for _ in range(4))
        self.before, self.after, self.head = before(), after(), nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).view(*x.shape[:2], 4, 8).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = self.before((q @ k.mT / 8**0.5).permute(0, 2, 3, 1))
        shares = self.after(scores.softmax(2)).permute(0, 3, 1, 2)
        return self.head(x + self.o((shares @ v[:, : shares.shape[1]]).transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("before", [lambda: nn.Linear(4, 4), nn.Identity])
@pytest.mark.parametrize("after", [lambda: nn.Linear(4, 4, bias=False), nn.Identity])
def test_heads_may_be_mixed_around_the_softmax(before: Callable, after: Callable) -> None:
    model, batch = Talking(before, after), torch.randn(4, 6, 32)
    roles = roles_of(trace(model, batch))
    assert [roles[f"{name}.weight"].role for name in "qkv"] == ["query", "key", "value"]
    wb.initialize(model, batch, seed=0)
    found = sizes(model, batch)
    assert all(found[name] == pytest.approx(1.0, rel=0.1) for name in "qkv")


def test_a_network_on_products_of_pairs_is_no_attention() -> None:
    model, batch = Talking(lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 4)), nn.Identity), None
    batch = torch.randn(4, 6, 32)
    roles = roles_of(trace(model, batch))
    assert [roles[f"{name}.weight"].role for name in "qk"] == ["hidden", "hidden"]


class Pairs(nn.Module):
    """Two towers whose similarities a square weight calibrates, and what a softmax of them picks."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calibrated, self.head = (
            nn.Linear(32, 16),
            nn.Linear(32, 16),
            nn.Linear(6, 6),
            nn.Linear(32, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.calibrated(self.a(x) @ self.b(x).mT).softmax(-1) @ x)


def test_a_square_weight_on_similarities_mixes_no_heads() -> None:
    model, batch = Pairs(), torch.randn(4, 6, 32)
    roles = roles_of(trace(model, batch))
    assert [roles[f"{name}.weight"].role for name in "ab"] == ["hidden", "hidden"]
    with torch.no_grad():
        model.a.weight.mul_(1e-4)
        model.a.bias.zero_()
    assert "W101" in wb.check(model, batch).codes
