"""retnet@1, nfnet@1, conditioned@1 and admin@1 against the formulas of their code, at two sizes."""

import math

import numpy as np
import pytest
import torch
from recipe_checks import check, start
from recipe_models import GPT, Llama
from torch import nn
from torch.nn import functional

import wellbegun as wb


# ---------------------------------------------------------------------- retnet
class Retention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.g, self.out = (nn.Linear(width, width, bias=False) for _ in range(5))
        self.norm = nn.RMSNorm(width // heads, elementwise_affine=False)
        self.register_buffer("decay", torch.log(1 - 2.0 ** (-5 - torch.arange(heads))))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = (each(x).view(batch, length, self.heads, -1).transpose(1, 2) for each in (self.q, self.k, self.v))
        place = torch.arange(length)
        mask = torch.exp((place[:, None] - place).clamp(min=0) * self.decay[:, None, None]).tril()
        scores = (q @ (k * (width // self.heads) ** -0.5).transpose(-1, -2)) * mask
        heads = self.norm((scores @ v).transpose(1, 2)).reshape(batch, length, width)
        return self.out(functional.silu(self.g(x)) * heads)


class Gated(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.gate = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.fc2 = nn.Linear(2 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(functional.silu(self.fc1(x)) * self.gate(x))


class RetNet(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.table = nn.Embedding(61, width)
        self.mixers = nn.ModuleList(Retention(width, 4) for _ in range(layers))
        self.perceptrons = nn.ModuleList(Gated(width) for _ in range(layers))
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2 * layers + 1))
        self.head = nn.Linear(width, 61, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens) * math.sqrt(self.table.embedding_dim)
        for index, (mixer, perceptron) in enumerate(zip(self.mixers, self.perceptrons, strict=True)):
            x = x + mixer(self.norms[2 * index](x))
            x = x + perceptron(self.norms[2 * index + 1](x))
        return self.head(self.norms[-1](x))


@pytest.mark.parametrize(("width", "layers"), [(32, 2), (64, 3)])
def test_retnet(width: int, layers: int) -> None:
    stds = {"table.weight": width**-0.5, "head.weight": width**-0.5}
    for index in range(layers):
        stds |= {f"mixers.{index}.{name}.weight": 2**-2.5 * width**-0.5 for name in "qkvg"}
        stds[f"mixers.{index}.out.weight"] = width**-0.5
        stds |= {f"perceptrons.{index}.{name}.weight": (3 * width) ** -0.5 for name in ("fc1", "gate")}
        stds[f"perceptrons.{index}.fc2.weight"] = (6 * width) ** -0.5
    plan = check(RetNet(width, layers), torch.zeros(2, 6, dtype=torch.long), "retnet", stds)
    assert plan["mixers.0.q.weight"].law.support()[1] == pytest.approx(2**-2.5 * math.sqrt(3 / width))


# ---------------------------------------------------------------------- nfnet
class Standardized(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.gain = nn.Parameter(torch.empty(outputs, 1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, centred = self.weight.mean(dim=(1, 2, 3), keepdim=True), self.weight
        variance = centred.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        weight = (centred - mean) * torch.rsqrt(variance * self.weight[0].numel() + 1e-6) * self.gain
        return functional.conv2d(x, weight, self.bias, padding=1)


class Block(nn.Module):
    def __init__(self, width: int, spread: float) -> None:
        super().__init__()
        self.first, self.second = Standardized(width, width), Standardized(width, width)
        self.skip_gain, self.spread = nn.Parameter(torch.empty(())), spread

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu(self.first(functional.relu(x) * 1.7128585 / self.spread)) * 1.7128585
        return x + 0.2 * self.skip_gain * self.second(inner)


class NFNet(nn.Module):
    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.stem, self.fc = Standardized(3, width), nn.Linear(width, 10)
        self.blocks = nn.ModuleList(Block(width, math.sqrt(1 + 0.04 * index)) for index in range(blocks))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.fc(functional.relu(x).mean(dim=(2, 3)))


@pytest.mark.parametrize(("width", "blocks"), [(12, 1), (18, 2)])
def test_nfnet(width: int, blocks: int) -> None:
    model, batch = NFNet(width, blocks), torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    plan = wb.initialize(model, batch, recipe="nfnet", seed=0).plan
    assert not [note for note in plan.notes if "expects a role" in note]
    for name, values in model.named_parameters():
        if name.endswith("gain"):
            assert start(plan, name) == (0.0 if "skip" in name else pytest.approx(1.0)), name
        elif values.ndim == 4:
            std = values[0].numel() ** -0.5
            assert float(values.detach().std()) == pytest.approx(std, rel=5 / math.sqrt(2 * values.numel()))
        elif values.ndim == 1:
            assert not values.any()
    assert float(model.fc.weight.detach().std()) == pytest.approx(0.01, rel=5 / math.sqrt(20 * width))
    x = model.stem(batch)
    assert all(torch.equal(block(x), x) for block in model.blocks)
    assert start(wb.initialize(model, batch, recipe="skipinit", seed=0).plan, "stem.gain") != pytest.approx(1.0)


# ---------------------------------------------------------------------- conditioned attention
@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("fused", [True, False])
def test_conditioned(width: int, fused: bool) -> None:
    """Values an identity, queries and keys orthogonal: of heads too, semi-orthogonal and rectangular."""
    model = GPT(width, 2) if fused else Llama(width, 2)
    plan = wb.initialize(model, torch.zeros(2, 6, dtype=torch.long), recipe="conditioned", seed=0).plan
    assert not [note for note in plan.notes if "expects a role" in note]
    if fused:
        q, k, v = model.qkv[0].weight.detach().double().chunk(3)
    else:
        q, k, v = (getattr(model.attention[1], name).weight.detach().double() for name in "qkv")
    assert torch.equal(v, torch.eye(width, dtype=torch.float64))
    for weight in (q, k):
        for head in (weight, *weight.chunk(4)):
            singular = torch.linalg.svdvals(head)
            assert singular[0] / singular[-1] < 1 + 1e-5
    assert not torch.allclose(q, k)
    plain = wb.initialize(model, torch.zeros(2, 6, dtype=torch.long), recipe="torch", seed=0).plan
    attention = {"query", "key", "value", "query_key_value"}
    changed = {entry.name for entry in plan.entries if entry.law != plain[entry.name].law}
    assert changed == {entry.name for entry in plan.entries if entry.role in attention} != set()


# ---------------------------------------------------------------------- admin
class Rescaled(nn.Module):
    """norm(w x + f(x)), w a parameter: attention, then a perceptron, in the order that Python evaluates them in."""

    def __init__(self, size: int, *, before: bool) -> None:
        super().__init__()
        self.before = before
        self.query, self.key, self.value, self.out = (nn.Linear(16, 16) for _ in range(4))
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)
        self.first, self.second = nn.LayerNorm(16), nn.LayerNorm(16)
        self.w, self.v = nn.Parameter(torch.empty(size)), nn.Parameter(torch.empty(size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.query(x) @ self.key(x).transpose(1, 2) / 4
        mixed = self.out(scores.softmax(-1) @ self.value(x))
        x = self.first(self.w * x + mixed if self.before else mixed + x * self.w)
        return self.second(x * self.v + self.down(torch.relu(self.up(x))))


@pytest.mark.parametrize(("size", "before"), [(16, True), (1, False)])
def test_admin_sets_the_factor_of_a_stream_by_what_was_added_before(size: int, before: bool) -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(nn.Embedding(9, 16), *(Rescaled(size, before=before) for _ in range(3)), nn.Linear(16, 4))

    def sums(model: nn.Sequential) -> tuple[list[float], list[float]]:
        """Each factor, and the root of the variances of both sides of its sum, on the batch."""
        seen = []
        ends = [end for block in list(model)[1:-1] for end in (block.out, block.first, block.down, block.second)]
        hooks = [
            end.register_forward_hook(lambda own, x, y: seen.append(y if isinstance(own, nn.Linear) else x[0]))
            for end in ends
        ]
        with torch.no_grad():
            model(tokens)
        for hook in hooks:
            hook.remove()
        pairs = zip(seen[::2], seen[1::2], strict=True)
        given = [float(added.var(correction=0) + (total - added).var(correction=0)) ** 0.5 for added, total in pairs]
        return [w.mean().item() for block in list(model)[1:-1] for w in (block.w, block.v)], given

    tokens, model = torch.arange(60).reshape(6, 10) % 9, build()
    plan = wb.initialize(model, tokens, recipe="admin", seed=0).plan
    factors, given = sums(model)
    assert factors[0] == 1
    assert np.allclose(factors[1:], given[:-1], rtol=1e-4)
    assert [plan[f"2.{end}.weight"].role for end in ("out", "down")] == ["attention_out", "residual_out"]
    wb.initialize(model, tokens, recipe="admin", seed=0, calibrate=False)
    factors, given = sums(model)
    assert set(factors) == {1.0}
    assert not np.allclose(factors[1:], given[:-1], rtol=0.1)
    own = wb.initialize(model, tokens, recipe="admin", rules=[("2.w", "constant(2.0)")], seed=0).plan
    assert own["2.w"].law == wb.laws.Constant(2.0)
    assert any("a rule decides about it: 2.w" in note for note in own.notes)
    plain = wb.initialize(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (8, 4), recipe="admin").plan
    assert any("nothing was measured" in note for note in plain.notes)
