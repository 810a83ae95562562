"""PyTorch: what each weight feeds, found by running; the plan of classic@1; nothing changes while looking."""

import functools

import numpy as np
import pytest
import torch
import torch_models as models
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError, RuleError, TraceError
from wellbegun.graph import function
from wellbegun.inputs import InputSpec
from wellbegun.laws import Normal, Orthogonal, Sections, ZeroRows
from wellbegun.torch.trace.recording import trace

classic_plan = functools.partial(wb.plan, recipe="classic")
classic_initialize = functools.partial(wb.initialize, recipe="classic")


def schemes(model: nn.Module, batch=None, **options) -> dict[str, str]:
    plan = classic_plan(model, batch, seed=0, **options)
    return {entry.name: entry.scheme for entry in plan.entries}


def test_a_hybrid_network_is_planned_layer_by_layer() -> None:
    found = schemes(models.Hybrid(), (4, 1, 8, 8))
    silu, gelu = wb.gain("silu") ** 2, wb.gain("gelu") ** 2
    assert found == {
        "inline": f"variance_scaling(scale={round(silu, 10)!r})",
        "shift": "zeros()",
        "conv.weight": "he_normal()",
        "conv.bias": "zeros()",
        "norm.weight": "ones()",
        "norm.bias": "zeros()",
        "wide.weight": "xavier_normal()",
        "wide.bias": "zeros()",
        "selu.weight": "lecun_normal()",
        "selu.bias": "zeros()",
        "gelu.weight": f"variance_scaling(scale={round(gelu, 10)!r})",
        "gelu.bias": "zeros()",
        "leaky.weight": "he_normal(negative_slope=0.2)",
        "leaky.bias": "zeros()",
        "plain.weight": "lecun_normal()",
        "head.weight": "lecun_normal()",
        "head.bias": "zeros()",
    }


def test_the_fan_of_an_in_out_matrix_is_its_first_axis() -> None:
    """`x @ w` with w (in, out): a bare shape would be read as (out, in)."""
    entry = classic_plan(models.Hybrid(), (4, 1, 8, 8), seed=0)["inline"]
    assert entry.layout.axes == "io"
    assert (
        entry.law == Normal(0, wb.gain("silu") / 32**0.5) or abs(entry.law.std * 32**0.5 / wb.gain("silu") - 1) < 1e-9
    )


class Spelled(nn.Module):
    """One linear layer and an activation, spelled in many ways."""

    def __init__(self, function) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.function(self.layer(x)))


HE, XAVIER, LECUN = "he_normal()", "xavier_normal()", "lecun_normal()"
SPELLINGS = {
    "relu": (torch.relu, HE),
    "functional relu": (functional.relu, HE),
    "relu in place": (lambda x: functional.relu(x, inplace=True), HE),
    "clamp": (lambda x: x.clamp(min=0), HE),
    "maximum with zeros": (lambda x: torch.maximum(x, torch.zeros_like(x)), HE),
    "where": (lambda x: torch.where(x > 0, x, 0.0), HE),
    "times its sign": (lambda x: x * (x > 0), HE),
    "leaky by hand": (lambda x: torch.where(x > 0, x, 0.1 * x), "he_normal(negative_slope=0.1)"),
    "prelu": (nn.PReLU(), "he_normal(negative_slope=0.25)"),
    "tanh": (torch.tanh, XAVIER),
    "tanh by hand": (lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1), XAVIER),
    "sigmoid": (torch.sigmoid, XAVIER),
    "sigmoid by hand": (lambda x: 1 / (1 + torch.exp(-x)), XAVIER),
    "nothing": (lambda x: x, LECUN),
    "a scale and a shift": (lambda x: 3 * x - 1, LECUN),
    "dropout": (lambda x: functional.dropout(x, 0.5), LECUN),
    "dropout, then relu": (lambda x: torch.relu(functional.dropout(x, 0.5)), HE),
    "softmax": (lambda x: torch.softmax(x, -1), LECUN),
    "reshapes, then tanh": (lambda x: torch.tanh(x.view(-1, 2, 4).transpose(1, 2)).reshape(-1, 8), XAVIER),
    "a norm, then relu": (lambda x: torch.relu(functional.layer_norm(x, (8,))), HE),
    "written into a view": (lambda x: _relu_of_halves(x), HE),
    "another dtype": (lambda x: torch.relu(x.double()).float(), HE),
}


def _relu_of_halves(x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    y[:, :4] = x[:, :4]
    return torch.relu(y)


@pytest.mark.parametrize("name", SPELLINGS)
def test_activations_are_found_however_they_are_spelled(name: str) -> None:
    function, expected = SPELLINGS[name]
    assert schemes(Spelled(function), (4, 8))["layer.weight"] == expected


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (lambda x: x * torch.tanh(functional.softplus(x)), "mish"),
        (functional.silu, "silu"),
        (functional.elu, "elu"),
        (torch.sin, "sin"),
        (lambda x: torch.relu(x) ** 2, "squared_relu"),
        (lambda x: torch.exp(-x * x), "gaussian"),
    ],
)
def test_other_activations_get_their_gain_by_quadrature(function, reference: str) -> None:
    found = schemes(Spelled(function), (4, 8))["layer.weight"]
    assert found == f"variance_scaling(scale={round(wb.gain(reference) ** 2, 10)!r})"
    entry = classic_plan(Spelled(function), (4, 8), seed=0)["layer.weight"]
    assert f"feeds {reference}" in entry.reason
    assert "by quadrature" in entry.reason


def test_an_activation_nobody_has_named() -> None:
    entry = classic_plan(Spelled(lambda x: x * torch.tanh(x)), (4, 8), seed=0)["layer.weight"]
    expected = wb.gain(lambda x: x * np.tanh(x)) ** 2
    assert entry.scheme == f"variance_scaling(scale={round(expected, 10)!r})"
    assert "an unnamed function" in entry.reason


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layers(kind: str, both: bool) -> None:
    model = getattr(nn, kind)(5, 6, num_layers=2, bidirectional=both)
    plan = classic_plan(model, (7, 3, 5), seed=0)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    for entry in plan.entries:
        if "weight_hh" in entry.name:
            assert entry.law == Orthogonal(1.0, 1, gates)
        elif "weight_ih" in entry.name:
            assert entry.law.std == pytest.approx((2 / (entry.shape[1] + 6)) ** 0.5)
        elif kind == "LSTM" and "bias_ih" in entry.name:
            assert isinstance(entry.law, Sections)
    wb.apply(model, plan)
    if kind == "LSTM":
        bias = (model.bias_ih_l0 + model.bias_hh_l0).detach().reshape(4, 6)
        assert (bias == torch.tensor([0.0, 1, 0, 0])[:, None]).all()  # gates i, f, g, o
    for gate in model.weight_hh_l1.detach().reshape(gates, 6, 6):
        assert torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_recurrent_cells_projections_and_packed_sequences() -> None:
    assert schemes(nn.LSTMCell(4, 6), (3, 4))["weight_hh"] == "orthogonal()"
    assert schemes(nn.LSTM(4, 6, proj_size=2), (5, 3, 4))["weight_hr_l0"] == "lecun_normal()"

    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]))
            return self.gru(packed)[0].data

    assert schemes(Packed(), (5, 2, 4))["gru.weight_hh_l0"] == "orthogonal()"


def test_tied_padding_positions_and_multipliers() -> None:
    model = models.TiedLM()
    plan = classic_plan(model, {"tokens": torch.randint(0, 30, (2, 12))}, seed=0)
    assert plan["embed.weight"].law == ZeroRows(Normal(0, 0.25), (2,))
    assert plan["embed.weight"].layout.axes == "lo"
    assert (plan["head.weight"].action, plan["head.weight"].tied_to) == ("tie", "embed.weight")
    assert plan["positions"].role == "positional"
    assert (plan["scale"].role, plan["scale"].scheme) == ("norm_scale", "ones()")
    assert plan["up.weight"].scheme == "he_normal()"
    assert plan["down.weight"].role == "residual_out"


def test_attention_is_three_matrices_and_transposed_convolutions_know_their_stride() -> None:
    plan = classic_plan(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8), seed=0)
    assert plan["self_attn.in_proj_weight"].layout.sections == 3
    assert plan["linear1.weight"].scheme == "he_normal()"
    deconv = nn.Sequential(nn.ConvTranspose2d(8, 4, 4, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 3))
    assert classic_plan(deconv, (1, 8, 6, 6), seed=0)["0.weight"].law.std == pytest.approx((2 / (8 * 16 / 4)) ** 0.5)


@pytest.mark.parametrize(
    "batch",
    [
        torch.zeros(4, 8),
        np.zeros((4, 8)),
        (4, 8),
        [torch.zeros(4, 8)],
        {"x": torch.zeros(4, 8)},
        InputSpec((4, 8)),
        "4,8",
        None,
    ],
    ids=["tensor", "array", "shape", "list", "dict", "spec", "text", "guess"],
)
def test_batches_of_every_kind(batch) -> None:
    assert schemes(Spelled(torch.relu), batch)["layer.weight"] == HE


def test_tokens_and_bilinear_layers() -> None:
    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 8))
            self.pair = nn.Bilinear(8, 8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
            return self.pair(x[:, 0], x[:, 1])

    plan = classic_plan(Token(), (2, 3, 8), seed=0)
    assert (plan["token"].role, plan["token"].law) == ("token", Normal(0, 0.02))
    assert plan["pair.weight"].law == Normal(0, 1 / 8)  # 8 * 8 terms


def test_what_only_real_tensors_can_do_is_run_with_them() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if type(x).__name__ == "FakeTensor":
                raise RuntimeError("no fakes here")
            return torch.relu(self.layer(x))

    plan = classic_plan(Counting(), torch.ones(2, 4), seed=0)
    assert plan["layer.weight"].scheme == HE
    assert "which refuse it: no fakes here" in plan.notes[0]


def test_models_on_meta_and_in_low_precision_can_be_planned() -> None:
    with torch.device("meta"):
        model = models.Hybrid()
    plan = classic_plan(model, (4, 1, 8, 8), seed=0)
    assert [entry.scheme for entry in plan.entries] == [
        e.scheme for e in classic_plan(models.Hybrid(), (4, 1, 8, 8), seed=0).entries
    ]
    with pytest.raises(ArgumentError, match="is on the meta device, which holds no values.*to_empty"):
        wb.apply(model, plan)
    with pytest.raises(ArgumentError, match="meta device and holds no values"):
        wb.check(model, (4, 1, 8, 8))
    model.to_empty(device="cpu")
    wb.apply(model, plan)
    assert schemes(models.Hybrid().bfloat16(), (4, 1, 8, 8))["conv.weight"] == HE


def test_paths_that_depend_on_values_are_run_with_values() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.a(x)) if x.sum() > 0 else torch.tanh(self.b(x))

    plan = classic_plan(Branching(), torch.ones(2, 4), rules=[("b.*", "keep")], seed=0)
    assert plan["a.weight"].scheme == HE
    assert "depends on values" in plan.notes[0]
    with pytest.raises(RuleError, match=r"b.weight, b.bias: is not used in the forward pass of this batch"):
        classic_plan(Branching(), torch.ones(2, 4), seed=0, strict=True)
    plan = classic_plan(Branching(), torch.ones(2, 4), seed=0)
    assert plan["b.weight"].action == plan["b.bias"].action == "fill"  # a Linear, as its own layer says
    assert "not used by this batch" in plan["b.weight"].reason


class Stateful(nn.Module):
    """Everything a forward pass can leave behind."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.layer = nn.Linear(4, 4)
        self.register_buffer("steps", torch.zeros(()))
        self.cache: torch.Tensor | None = None
        self.calls = 0
        self.fail = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        self.calls += 1
        self.cache = x * 2
        self.extra = x
        x = functional.dropout(self.layer(self.norm(x)))
        if self.fail:
            raise RuntimeError("as asked")
        return x


@pytest.mark.parametrize("look", [wb.plan, wb.check])
@pytest.mark.parametrize("fail", [False, True])
def test_looking_changes_nothing(look, fail: bool) -> None:
    model = Stateful()
    model.fail = fail
    model.layer.weight.grad = torch.ones(4, 4)
    model.layer.bias.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random, attributes = torch.get_rng_state(), set(vars(model))
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    if fail:
        with pytest.raises(TraceError, match="the forward pass failed in the model itself, after .* as asked"):
            look(model, x)
    else:
        look(model, x)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert (model.cache, model.calls, set(vars(model))) == (None, 0, attributes)
    assert torch.equal(model.layer.weight.grad, torch.ones(4, 4))
    assert model.layer.bias.requires_grad is False
    assert model.training
    assert not model._forward_hooks
    assert model(x) is not None if not fail else True


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda: classic_plan("model"),
            ArgumentTypeError,
            "torch.nn.Module or a JAX model .* or a keras.Model; got 'str'",
        ),
        (lambda: classic_plan(nn.Linear(4, 4), torch.zeros(2, 5)), TraceError, r"on inputs of shape \(2, 5\)"),
        (lambda: classic_plan(nn.Conv2d(1, 1, 3)), ArgumentError, "cannot be told from its first layer. Give a batch"),
        (lambda: classic_plan(nn.ReLU(), (2, 4)), ModelError, "has no parameters"),
        (lambda: classic_plan(nn.Linear(4, 4), object()), ArgumentTypeError, "batch: value must be a tensor"),
        (lambda: classic_plan(nn.Linear(4, 4), "2;4"), ArgumentError, "input: spec must be a shape such as"),
        (lambda: classic_plan(nn.LazyLinear(4), torch.zeros(2, 4)), TraceError, "is lazy and has no shape yet"),
        (lambda: wb.apply(nn.Linear(4, 4), "plan"), ArgumentTypeError, "apply: plan must be a Plan"),
        (lambda: InputSpec.parse("4,4:int64"), ArgumentError, "a bound for integers.*Write 4,4:int64<N"),
        (lambda: InputSpec.parse("4,4:floaty"), ArgumentError, "one of float16, .*; got 'floaty'"),
    ],
)
def test_bad_models_and_batches(call, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


class Mixed(nn.Module):
    """Layouts of many kinds, sections, a tie, a padding row."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 6)
        self.up = nn.ConvTranspose1d(6, 8, 3, stride=2, groups=2)
        self.inline = nn.Parameter(torch.zeros(8, 8))
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.up(self.lstm(self.embed(tokens))[0].transpose(1, 2)).transpose(1, 2)
        return self.head(torch.relu(x @ self.inline))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_plan_from_disk_gives_a_fresh_model_the_same_bytes(dtype: torch.dtype, tmp_path) -> None:
    from wellbegun.storage import load_plan, save_plan

    rules = [
        wb.Rule("inline", "orthogonal(gain=0.3)"),
        wb.Rule(scheme="truncated_normal(std=0.7)", type="LSTM", shape="*,8"),
        wb.Rule("lstm.bias_hh*", "constant(0.1)"),
    ]
    tokens = torch.randint(0, 20, (3, 5))
    first, second = Mixed().to(dtype), Mixed().to(dtype)
    plan = classic_plan(first, tokens, rules=rules, seed=2**63 + 1)
    wb.apply(first, plan)
    again = load_plan(save_plan(plan, tmp_path / "plan.json"))
    assert again == plan
    wb.apply(second, again)
    for name, value in first.state_dict().items():
        assert value.view(torch.uint8).equal(second.state_dict()[name].view(torch.uint8)), name
    assert plan["lstm.weight_ih_l0"].decided_by == "rule 2 of 3"
    assert {plan[name].owner for name in ("inline", "up.bias", "head.weight")} == {"Mixed", "ConvTranspose1d", "Linear"}


def test_rules_ask_for_module_types_as_isinstance_does() -> None:
    class Wide(nn.Linear):
        pass

    model = nn.Sequential(Wide(4, 8), nn.LayerNorm(8), nn.Linear(8, 2))
    plan = classic_plan(
        model, (2, 4), rules=[wb.Rule(scheme="keep", type="Linear"), wb.Rule(scheme="ones", type="Wide")]
    )
    assert [entry.scheme for entry in plan.entries] == ["ones()", "ones()", "ones()", "zeros()", "keep", "keep"]
    assert plan["0.weight"].owner == "Wide"


def test_what_was_decided_can_be_shown(capsys) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    plan = classic_plan(model, (2, 4), seed=0)
    other = classic_plan(model, (2, 4), rules={"0.weight": "ones"}, only="0.*", seed=0)
    wb.show(wb.explain(plan, "0.weight"))
    wb.show(wb.diff(plan, other))
    text = capsys.readouterr().out
    assert "fan_in 4, fan_out 8" in text
    assert "3 of 4 parameters differ." in text
    with pytest.raises(ArgumentTypeError, match="show: found must be a Plan, PlanDiff, Explanation, Ledger"):
        wb.show("plan")


def test_the_graph_itself() -> None:
    graph = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), (2, 4))
    assert [operation.kind for operation in graph.operations] == ["linear", "pointwise", "linear"]
    assert [operation.place for operation in graph.operations] == ["0 (linear)", "1 (relu)", "2 (linear)"]
    step = graph.operations[1].function
    assert (step(np.array([-1.0, 2.0])) == [0, 2]).all()


@pytest.mark.parametrize("step", [lambda x: x * 1.01 + 0.1, torch.tanh])
def test_planning_a_chain_of_functions_takes_work_in_proportion_to_its_length(step, monkeypatch) -> None:
    """Counted, not timed: each function of the chain is computed from the one before on the few grids looked at."""
    counted, value = [0], function._value

    def counting(*arguments):
        counted[0] += 1
        return value(*arguments)

    monkeypatch.setattr(function, "_value", counting)

    class Chain(nn.Module):
        def __init__(self, length: int) -> None:
            super().__init__()
            self.first, self.last, self.length = nn.Linear(8, 8), nn.Linear(8, 2), length

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            for _ in range(self.length):
                x = step(x)
            return self.last(x)

    work = []
    for length in (40, 80):
        counted[0] = 0
        wb.plan(Chain(length), (2, 8), seed=0)
        work.append(counted[0])
    assert work[1] < 2.5 * work[0]
