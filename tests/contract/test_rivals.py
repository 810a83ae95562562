"""What other initialization packages get wrong, one test for each group: none of it may happen here."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

import wellbegun as wb
from wellbegun.errors import TraceError, WellbegunError


class Of(nn.Module):
    """A model of parameters and a function."""

    def __init__(self, function: Callable, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        return self.function(self, *inputs, **named)


def empty(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.full(shape, 0.5))


def rms(x: torch.Tensor) -> float:
    return float(x.detach().abs().double().pow(2).mean().sqrt())


X = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))


def two(function: Callable, units: int = 64) -> nn.Module:
    torch.manual_seed(0)
    first = nn.Linear(32, 64, bias=False)
    return Of(lambda m, x: m.b(function(m.a(x))), a=first, b=nn.Linear(units, 48, bias=False))


def normed(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@pytest.mark.parametrize(
    ("function", "units"),
    [
        (torch.sin, 64),
        (lambda x: x * torch.sigmoid(x), 64),
        (functional.glu, 32),
        (lambda x: x.clamp(-0.3, 2), 64),
        (lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), 64),
        (normed, 64),
        (lambda x: x.chunk(2, -1)[0] * torch.tanh(x.chunk(2, -1)[1]), 32),
    ],
)
def test_1_no_operation_is_taken_for_the_identity(function: Callable, units: int) -> None:
    """The second layer's gain must make up for what lies between, known by name or not."""
    model = two(function, units)
    wb.initialize(model, X, rules=[("a.weight", "lecun_normal")], calibrate=False, seed=0)
    passed = rms(function(model.a(X)))
    spread = rms(model.b(function(model.a(X)))) / passed
    target = rms(model.b(function(model.a(X))))
    assert abs(passed - 1) > 0.05  # the control: something lies between
    assert 0.7 < target / wb.plan(model, X, seed=0)["b.weight"].target < 1.4, (passed, spread)


def test_1_what_is_not_understood_is_named() -> None:
    model = Of(lambda m, x: m.b(torch.fft.rfft(m.a(x)).abs()), a=nn.Linear(32, 16), b=nn.Linear(9, 4))
    assert any("fft" in note for note in wb.plan(model, X, seed=0).notes)


def deep(function: Callable, layers: int = 50) -> nn.Module:
    torch.manual_seed(0)
    parts = {f"l{i}": nn.Linear(32, 32) for i in range(layers)}

    def run(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        for i in range(layers):
            x = function(getattr(m, f"l{i}")(x))
        return m.head(x)

    return Of(run, **parts, head=nn.Linear(32, 10))


def test_2_nothing_is_called_healthy_on_its_forward_signal_alone() -> None:
    assert "W201" in wb.check(deep(torch.tanh), X).codes
    assert "W201" in wb.check(deep(torch.sigmoid), X).codes
    gated = Of(
        lambda m, x: m.c(functional.silu(m.a(x)) * m.b(x)), a=nn.Linear(32, 32), b=nn.Linear(32, 32), c=nn.Linear(32, 4)
    )
    with torch.no_grad():
        gated.a.weight.fill_(math.inf)
    assert "W401" in wb.check(gated, X).codes
    with pytest.raises(WellbegunError, match="meta device"), torch.device("meta"):
        wb.check(nn.Linear(4, 4), torch.empty(2, 4))


def test_3_a_crash_changes_nothing() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.norm, self.b = nn.Linear(32, 16), nn.BatchNorm1d(16), nn.Linear(15, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(self.norm(self.a(x))))

    model = Broken()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TraceError, match="module 'b'"):
        wb.initialize(model, X, seed=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_3_gpt2_with_its_in_out_linears() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(
        n_layer=2, n_embd=64, n_head=2, vocab_size=99, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    result = wb.initialize(model, {"input_ids": torch.arange(32).reshape(2, 16)}, seed=0)
    assert result.health.healthy
    assert result.plan["transformer.h.0.mlp.c_fc.weight"].layout.axes == "io"


def test_4_batches_by_name_and_tokens() -> None:
    named = Of(lambda m, x, *, scale: m.a(x) * scale, a=nn.Linear(32, 4))
    assert wb.initialize(named, {"x": X, "scale": torch.ones(1)}, seed=0).ledger.counts()["filled"] == 2
    tokens = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 50))
    assert wb.initialize(tokens, torch.arange(20).reshape(2, 10), seed=0).health.healthy
    with pytest.raises(TraceError, match=r"module '0'.*embedding.*Float"):
        wb.plan(tokens, torch.randn(2, 10), seed=0)


FANS = {
    "transposed, stride 2": (nn.ConvTranspose2d(8, 6, 4, 2, bias=False), (4, 8, 16, 16), "weight", 8 * 16 / 4),
    "in-out": (Of(lambda m, x: x @ m.w, w=empty(24, 40)), (64, 24), "w", 24),
    "experts": (Of(lambda m, x: torch.einsum("bi,eio->ebo", x, m.w), w=empty(3, 24, 40)), (64, 24), "w", 24),
    "experts, out first": (Of(lambda m, x: torch.einsum("bi,eoi->ebo", x, m.w), w=empty(3, 40, 24)), (64, 24), "w", 24),
    "grouped": (
        nn.Conv2d(12, 24, 3, groups=4, bias=False, padding=1, padding_mode="circular"),
        (4, 12, 9, 9),
        "weight",
        27,
    ),
    "heads": (Of(lambda m, x: torch.einsum("bd,dhk->bhk", x, m.w), w=empty(24, 4, 10)), (64, 24), "w", 24),
}


@pytest.mark.parametrize("name", FANS)
def test_5_fans_are_what_is_summed(name: str) -> None:
    model, shape, parameter, fan = FANS[name]
    plan = wb.plan(model, shape, recipe="classic", seed=0)
    entry = plan[parameter]
    assert entry.layout.fans(entry.shape).fan_in == fan
    wb.apply(model, plan)
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    assert rms(model(x)) == pytest.approx(1, rel=0.2)  # no zero padding here, so the law is met inside and outside


def test_5_stacked_matrices_are_drawn_apart() -> None:
    attention = nn.MultiheadAttention(32, 4, bias=False)
    wb.initialize(attention, (torch.randn(5, 2, 32),) * 3, seed=0)
    for part in attention.in_proj_weight.detach().chunk(3):
        assert torch.allclose(part @ part.T / rms(part) ** 2 / 32, torch.eye(32), atol=1e-4)
    lstm = nn.LSTM(16, 16)
    wb.initialize(lstm, torch.randn(5, 2, 16), seed=0)
    for gate in lstm.weight_hh_l0.detach().chunk(4):
        assert torch.allclose(gate @ gate.T / rms(gate) ** 2 / 16, torch.eye(16), atol=1e-4)


def test_6_intent_is_kept() -> None:
    table = nn.Embedding(20, 8, padding_idx=3)
    scale = nn.Parameter(torch.full((8,), 1e-5))
    model = Of(
        lambda m, x: m.out(m.table(x) + m.scale * m.inner(m.table(x))),
        table=table,
        scale=scale,
        inner=nn.Linear(8, 8),
        out=nn.Linear(8, 20),
        norm=nn.LayerNorm(8),
    )
    model.norm.requires_grad_(False)
    model.norm.weight.data.fill_(7)
    model.inner.bias.data.fill_(3)
    wb.initialize(model, torch.arange(20).reshape(4, 5), exclude=["inner.bias"], seed=0)
    assert (table.weight[3] == 0).all()
    assert (table.weight[2] != 0).all()
    assert (scale == 1e-5).all()
    assert (model.norm.weight == 7).all()
    assert (model.inner.bias == 3).all()
    assert model.inner.weight.detach().std() > 0.1


def test_6_time_constants_of_state_space_layers_are_kept() -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.MambaForCausalLM(transformers.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=50))
    mixer = model.backbone.layers[0].mixer
    before = [mixer.A_log.clone(), mixer.D.clone(), mixer.dt_proj.weight.clone(), mixer.dt_proj.bias.clone()]
    with torch.no_grad():
        for weight in (mixer.in_proj.weight, mixer.conv1d.weight, mixer.x_proj.weight):
            weight.mul_(0.1)  # a layer that would be silent
    batch = {"input_ids": torch.arange(24).reshape(2, 12)}
    wb.initialize(model, batch, seed=0)
    after = [mixer.A_log, mixer.D, mixer.dt_proj.weight, mixer.dt_proj.bias]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    sizes = list[float]()
    mixer.x_proj.register_forward_hook(lambda _, given, found: sizes.append(found.std().item()))
    model(**batch)
    assert 0.5 < sizes[0] < 2


def test_7_tied_parametrized_complex_and_bare_parameters() -> None:
    table = nn.Embedding(40, 16)
    tied = Of(
        lambda m, x: functional.linear(m.table(x), m.head.weight), table=table, head=nn.Linear(16, 40, bias=False)
    )
    tied.head.weight = table.weight
    found = wb.initialize(tied, torch.arange(20).reshape(4, 5), seed=0)
    assert found.ledger.counts() == {"filled": 1, "kept": 0, "tied": 1} or found.ledger.counts()["tied"] == 1
    for wrap in (weight_norm, spectral_norm):
        torch.manual_seed(0)
        layer = wrap(nn.Linear(32, 32))
        start = layer.weight.detach().clone()
        plan = wb.initialize(layer, X, seed=0).plan
        assert not torch.allclose(layer.weight, start)
        if wrap is weight_norm:
            fresh = nn.Linear(32, 32)
            wb.apply(fresh, wb.plan(fresh, X, seed=0))
            assert torch.allclose(layer.weight / rms(layer.weight), fresh.weight / rms(fresh.weight), atol=1e-4)
        assert plan["weight"].action == "fill"
    wave = nn.Linear(32, 32, dtype=torch.complex64)
    wb.initialize(wave, X.to(torch.complex64), seed=0)
    assert rms(wave.weight.real) == pytest.approx(rms(wave.weight.imag), rel=0.2)
    assert rms(wave.weight.imag) > 0.03
    bare = Of(lambda m, x: torch.tanh(x @ m.w) @ m.v, w=empty(32, 16), v=empty(16, 4))
    wb.initialize(bare, X, seed=0)
    assert bare.w.detach().std() > 0.05
    assert bare.v.detach().std() > 0.05
    for layer in (nn.LSTM(16, 8), nn.GRU(16, 8), nn.RNN(16, 8)):
        counts = wb.initialize(layer, torch.randn(5, 2, 16), seed=0).ledger.counts()
        assert counts["filled"] == 4


def test_8_values_belong_to_names() -> None:
    def net(*, extra: bool) -> nn.Module:
        more = {"extra": nn.Linear(32, 32)} if extra else {}
        return Of(
            lambda m, x: m.b(torch.relu(m.a(m.extra(x) if extra else x))),
            a=nn.Linear(32, 32),
            b=nn.Linear(32, 32),
            **more,
        )

    short, long = net(extra=False), net(extra=True)
    for model in (short, long):
        wb.initialize(model, X, recipe="classic", seed=3)
    assert torch.equal(short.a.weight, long.a.weight)
    assert torch.equal(short.b.weight, long.b.weight)
    assert not torch.equal(short.a.weight, short.b.weight)
    seeds = {wb.plan(short, X).seed for _ in range(4)}
    assert len(seeds) == 4
    assert 0 not in seeds
    ones = [float(wb.he_normal()((1, 1), seed=seed)[0, 0]) for seed in range(400)]
    assert len({abs(value) for value in ones}) == 400  # nothing is rescaled by its own spread
    assert np.mean(np.square(ones)) == pytest.approx(2, rel=0.3)


def test_9_nothing_leaks() -> None:
    model = nn.Sequential(nn.Linear(32, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 4)).eval()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    generator, state = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    wb.initialize(model, X, seed=0)
    wb.check(model, X)
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(buffers[name], buffer) for name, buffer in model.named_buffers())
    assert torch.equal(generator, torch.random.get_rng_state())
    assert (state == np.random.get_state()[1]).all()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


def test_10_meta_and_low_precision() -> None:
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    plan = wb.plan(model, (2, 4), seed=0)
    with pytest.raises(WellbegunError, match="to_empty"):
        wb.apply(model, plan)
    real = model.to_empty(device="cpu")
    wb.apply(real, plan)
    assert torch.isfinite(real.weight).all()
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        half = nn.Linear(32, 16).to(dtype)
        wb.initialize(half, X.to(dtype), seed=0)
        assert half.weight.dtype == dtype
        assert 0.05 < rms(half.weight) < 1


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Linear(32, 16), (8, 32)),
        (nn.Conv2d(3, 8, 3), (2, 3, 8, 8)),
        (nn.TransformerEncoderLayer(32, 4, 64), (5, 2, 32)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64), 2, enable_nested_tensor=False), (5, 2, 32)),
        (nn.GRU(8, 8), (5, 2, 8)),
    ],
)
def test_11_a_layer_is_a_model_too(model: nn.Module, shape: tuple[int, ...]) -> None:
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    result = wb.initialize(model, shape, seed=0)
    assert result.ledger.counts()["filled"] == len(before)
    weights = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    assert not any(torch.equal(before[name], model.get_parameter(name)) for name in weights)


def test_12_what_the_framework_gets_wrong() -> None:
    pattern = [wb.sparse(sparsity=0.5)((20, 30), seed=seed) == 0 for seed in (0, 0, 1)]
    assert (pattern[0] == pattern[1]).all()  # the seed decides the pattern too
    assert (pattern[0] != pattern[2]).any()
    drawn = wb.truncated_normal(std=0.02)((400, 400), seed=0)
    assert np.abs(drawn).max() <= 0.0455  # the cut is in units of the std
    for dtype in ("bfloat16", "float16", "complex64"):
        square = wb.orthogonal()((16, 16), seed=0, dtype=dtype).astype(
            "complex128" if dtype == "complex64" else "float64"
        )
        assert np.abs(square @ square.conj().T - np.eye(16)).max() < (1e-5 if dtype == "complex64" else 0.02)
