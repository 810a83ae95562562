"""The measured correction: one pass that corrects and checks, branches, attention logits. Measured by hooks alone."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.errors import TraceError

X = torch.randn(32, 12, 64, generator=torch.Generator().manual_seed(0))


class Attention(nn.Module):
    """One head, written by hand; `scaled` divides by sqrt(d), `ready` is torch's own."""

    def __init__(self, *, scaled: bool, ready: bool = False, width: int = 64) -> None:
        super().__init__()
        self.enter = nn.Linear(64, width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.head = nn.Linear(width, 10)
        self.scale, self.ready = width**-0.5 if scaled else 1.0, ready

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        q, k, v = self.query(x), self.key(x), self.value(x)
        if self.ready:
            mixed = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            mixed = torch.softmax(q @ k.mT * self.scale, dim=-1) @ v
        return self.head(x + self.out(mixed))

    def spread(self, x: torch.Tensor) -> float:
        with torch.no_grad():
            x = self.enter(x)
            logits = self.query(x) @ self.key(x).mT * self.scale
            return float(logits.var(dim=-1).mean().sqrt())


class Branches(nn.Module):
    """Residual branches; `how` is the way the branch is added."""

    def __init__(self, how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], blocks: int = 3) -> None:
        super().__init__()
        self.how = how
        self.enter, self.head = nn.Linear(64, 64), nn.Linear(64, 10)
        self.ups = nn.ModuleList(nn.Linear(64, 128) for _ in range(blocks))
        self.downs = nn.ModuleList(nn.Linear(128, 64) for _ in range(blocks))
        self.drop = nn.Dropout(0.2)
        self.shares: list[float] | None = None  # of the stream that each branch adds, if asked for

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        for up, down in zip(self.ups, self.downs, strict=True):
            branch = self.drop(down(functional.gelu(up(x))))
            if self.shares is not None:
                self.shares.append(float(branch.detach().norm() / x.detach().norm()))
            x = self.how(x, branch)
        return self.head(x)


WAYS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "sum": lambda x, branch: x + branch,
    "onto the stream": lambda x, branch: x.clone().add_(branch),
    "onto the branch": lambda x, branch: branch.add_(x),
}


class Copied(nn.Module):
    """A weight that is read from a copy, so that scaling the parameter during the pass would come too late."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(32, 64))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(x @ self.w.t().contiguous()))


MODELS: dict[str, Callable[[], nn.Module]] = {
    **{f"branches, {name}": lambda how=how: Branches(how) for name, how in WAYS.items()},
    "attention": lambda: Attention(scaled=False),
    "attention, ready": lambda: Attention(scaled=False, ready=True),
    "copied": Copied,
    "sigmoids": lambda: nn.Sequential(*(m for _ in range(6) for m in (nn.Linear(64, 64), nn.Sigmoid()))),
    "images": lambda: nn.Sequential(
        nn.Unflatten(2, (8, 8)), nn.Conv2d(12, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
    ),
}


def figures(health: Any) -> list[float | None]:
    found = health.statistics
    operations = [(item.input_rms, item.rms, item.gradient) for item in found.operations]
    parameters = [(item.rms, item.gradient) for item in found.parameters]
    return [found.loss.value, *(value for group in [*operations, *parameters] for value in group)]


@pytest.mark.parametrize("name", MODELS)
def test_what_the_pass_says_is_what_a_check_of_its_own_says(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    torch.manual_seed(1)  # the same dropout masks in both
    result = wb.initialize(model, 3 * X, seed=0)
    torch.manual_seed(1)
    alone = wb.check(model, 3 * X)
    assert any(entry.factor != 1 for entry in result.plan.entries)
    assert result.health.codes == alone.codes
    for one, two in zip(figures(result.health), figures(alone), strict=True):
        assert one == pytest.approx(two, rel=1e-4, abs=1e-6)
    torch.manual_seed(1)
    wb.apply(model, dataclasses.replace(result.plan, seed=1))  # the control: other values, other figures
    assert figures(wb.check(model, 3 * X)) != pytest.approx(figures(alone), rel=1e-4, abs=1e-6)


class Overwritten(nn.Module):
    """A part of a linear layer's output is written over; autograd repeats its views of fake tensors, not of others."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.mix, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        self.mask = nn.Parameter(torch.zeros(64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.enter(x)
        h[:, :3] = self.mask
        return self.head(torch.relu(self.mix(h.transpose(1, 2).transpose(1, 2))))


class Shared(nn.Module):
    """Frequencies of Fourier features: a weight of the batch, and a table of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.randn(64, 32))
        self.register_buffer("grid", torch.rand(12, 64))
        self.head = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        table = torch.sin(self.grid @ self.frequencies)
        return self.head(torch.sin(x @ self.frequencies) + table)


MODELS |= {"overwritten": Overwritten, "shared": Shared}


def passes(model: nn.Module) -> int:
    counted: list[int] = []
    model.register_forward_pre_hook(lambda *_: counted.append(1))
    wb.initialize(model, X, seed=0)
    return len(counted)


def test_one_pass_beside_the_trace_and_two_where_weights_are_read_from_copies() -> None:
    assert passes(MODELS["branches, sum"]()) == 2
    assert passes(MODELS["attention"]()) == 2
    assert passes(MODELS["copied"]()) == 3
    assert passes(MODELS["overwritten"]()) == 2
    assert passes(MODELS["shared"]()) == 2


def test_a_weight_that_is_read_in_other_ways_too_is_not_corrected() -> None:
    plan = wb.initialize(Shared(), 3 * X, seed=0).plan
    assert plan["frequencies"].target is None
    assert plan["frequencies"].factor == 1
    assert "read in other ways too" in plan["frequencies"].reason
    assert plan["head.weight"].factor != 1  # the control: others are


@pytest.mark.parametrize("way", WAYS)
def test_branches_add_their_share_however_they_are_added(way: str) -> None:
    torch.manual_seed(0)
    model = Branches(WAYS[way]).eval()
    wb.initialize(model, X, seed=0)
    model.shares = []
    model(X)
    assert model.shares == pytest.approx([3**-0.5] * 3, rel=0.03)


@pytest.mark.parametrize("name", ["branches, sum", "copied"])
def test_a_failing_loss_leaves_the_model_as_it_was(name: str) -> None:
    def fail(output: torch.Tensor) -> torch.Tensor:
        raise KeyError("no label")

    model = MODELS[name]()
    found = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(TraceError, match="the loss failed on the model.s output: KeyError: .no label"):
        wb.initialize(model, 5 * X, seed=0, loss=fail)
    same = zip(found, model.parameters(), strict=True)
    assert all(torch.equal(one.nan_to_num(), two.nan_to_num()) for one, two in same)  # some of them hold raw memory
    wb.initialize(model, 5 * X, seed=0)
    assert not all(torch.equal(one, two) for one, two in zip(found, model.parameters(), strict=True))


# ---------------------------------------------------------------------- attention logits
@pytest.mark.parametrize("ready", [False, True])
def test_logits_without_a_scale_are_brought_to_unit_order(ready: bool) -> None:
    torch.manual_seed(0)
    model = Attention(scaled=False, ready=ready)
    plan = wb.initialize(model, X, seed=0, calibrate=False).plan
    assert model.spread(X) > 6
    assert "logits" not in plan["query.weight"].reason
    result = wb.initialize(model, X, seed=0)
    assert model.spread(X) == pytest.approx(1, rel=0.05)
    assert result.health.healthy
    for name in ("query.weight", "key.weight"):
        assert "logits" in result.plan[name].reason
        assert result.plan[name].factor == pytest.approx(8**-0.5, rel=0.15)
    assert "logits" not in result.plan["value.weight"].reason
    torch.manual_seed(0)
    again = Attention(scaled=False)
    wb.apply(again, result.plan)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), again.parameters(), strict=True))


def test_logits_of_unit_order_are_left_alone() -> None:
    torch.manual_seed(0)
    model = Attention(scaled=True)
    plan = wb.initialize(model, X, seed=0).plan
    assert 0.5 < model.spread(X) < 2
    assert "logits" not in plan["query.weight"].reason


def test_what_is_kept_is_not_corrected_and_the_other_side_takes_the_whole_factor() -> None:
    torch.manual_seed(0)
    model = Attention(scaled=False)
    before = model.key.weight.detach().clone()
    plan = wb.initialize(model, X, seed=0, rules=[("key.weight", "keep")]).plan
    assert torch.equal(model.key.weight, before)
    too_much = "too much" in plan["query.weight"].reason
    assert model.spread(X) == pytest.approx(1, rel=0.05) or too_much


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["t5", "gpt2"])
def test_logits_in_hugging_face_models(kind: str) -> None:
    hf = pytest.importorskip("transformers")
    hf.logging.set_verbosity_error()
    torch.manual_seed(0)
    tokens = torch.randint(2, 50, (4, 16), generator=torch.Generator().manual_seed(0))
    if kind == "t5":
        sizes = {"d_model": 64, "d_kv": 64, "d_ff": 128, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
        model = hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=50, decoder_start_token_id=0, **sizes))
        batch = {"input_ids": tokens, "decoder_input_ids": tokens}
        places = [block.layer[0].SelfAttention for block in model.encoder.block]
    else:
        drop = dict.fromkeys(("embd_pdrop", "attn_pdrop", "resid_pdrop"), 0.0)
        sizes = {"n_embd": 128, "n_head": 2, "n_layer": 2, "bos_token_id": 0, "eos_token_id": 1}
        model, batch = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=50, **sizes, **drop)), {"input_ids": tokens}
        places = [block.attn.c_attn for block in model.transformer.h]

    def spread() -> list[float]:
        found: dict[nn.Module, torch.Tensor] = {}
        sides = [(place.q, place.k) if kind == "t5" else (place,) for place in places]
        hooks = [
            module.register_forward_hook(lambda m, a, out: found.__setitem__(m, out))
            for side in sides
            for module in side
        ]
        with torch.no_grad():
            model(**batch)
        for hook in hooks:
            hook.remove()
        results = []
        for side in sides:
            q, k = (found[m] for m in side) if kind == "t5" else found[side[0]].split(128, dim=2)[:2]
            q, k = (t.reshape(4, 16, 2, 64).transpose(1, 2) for t in (q, k))
            scale = 1.0 if kind == "t5" else 64**-0.5
            results.append(float((q @ k.mT * scale).var(dim=-1).mean().sqrt()))
        return results

    wb.initialize(model, batch, seed=0, calibrate=False, intent="overwrite")  # T5's own queries hold its divisor
    raw = spread()
    result = wb.initialize(model, batch, seed=0, intent="overwrite")
    assert all(0.5 < value < 2 for value in spread())
    corrected = [entry.name for entry in result.plan.entries if "logits" in entry.reason]
    assert (min(raw) > 4 and len(corrected) == 12) if kind == "t5" else (max(raw) < 2 and not corrected)
    assert math.isfinite(result.health.statistics.loss.value)


def test_a_readout_behind_a_recurrent_layer_is_corrected() -> None:
    """What is measured at a layer that is taken whole is not recorded as what the model does."""

    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(8, 64, num_layers=2, batch_first=True), nn.Linear(64, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    x = torch.randn(64, 8, 8, generator=torch.Generator().manual_seed(0))
    model = Rows()
    plan = wb.initialize(model, x, seed=0).plan
    assert 1.1 < plan["head.weight"].factor < 4  # the rule knows of small states already
    assert float(model(x).detach().std()) > 0.2
    assert plan["head.bias"].scheme == "given"
    assert not any("left the traced way" in note for note in plan.notes)
