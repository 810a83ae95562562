"""PyTorch: what the trace understands, layer by layer; parametrizations, shared memory, lazy layers; what it leaves."""

import functools

import pytest
import torch
import torch_models as _models
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.errors import RuleError
from wellbegun.torch.trace.recording import trace

classic_plan = functools.partial(wb.plan, recipe="classic")


Of, drawn, fans, uses = _models.Of, _models.drawn, _models.fans, _models.uses


# ---------------------------------------------------------------------- layers
LAYERS = {  # model, batch, fan_in counted by hand
    "linear": (nn.Linear(5, 3), (2, 5), {"weight": 5}),
    "conv 1d, groups": (nn.Conv1d(6, 4, 3, groups=2), (2, 6, 9), {"weight": 9}),
    "conv 2d, stride": (nn.Conv2d(3, 4, 5, stride=2), (2, 3, 9, 9), {"weight": 75}),
    "conv 3d": (nn.Conv3d(2, 4, (1, 2, 3)), (1, 2, 4, 4, 4), {"weight": 12}),
    "transposed, groups": (nn.ConvTranspose1d(8, 12, 4, stride=2, groups=2), (2, 8, 5), {"weight": 8}),
    "transposed 3d": (nn.ConvTranspose3d(4, 6, 2, stride=2), (1, 4, 2, 2, 2), {"weight": 4}),
    "depthwise, causal": (nn.Conv1d(6, 6, 4, groups=6, padding=3), (2, 6, 9), {"weight": 4}),
    "bilinear": (nn.Bilinear(3, 4, 5), [drawn(2, 3), drawn(2, 4)], {"weight": 12}),
    "attention": (nn.MultiheadAttention(8, 2), [drawn(3, 2, 8)] * 3, {"in_proj_weight": 8, "out_proj.weight": 8}),
    "attention, other widths": (
        nn.MultiheadAttention(8, 2, kdim=6, vdim=5, add_bias_kv=True),
        [drawn(3, 2, 8), drawn(4, 2, 6), drawn(4, 2, 5)],
        {"q_proj_weight": 8, "k_proj_weight": 6, "v_proj_weight": 5, "out_proj.weight": 8},
    ),
    "lstm cell": (nn.LSTMCell(4, 5), (2, 4), {"weight_ih": 4, "weight_hh": 5}),
    "bare, left": (Of(lambda m, x: m.w @ x, w=(5, 4)), drawn(4, 3), {"w": 4}),
    "bare, a vector": (Of(lambda m, x: x @ m.w, w=(4,)), (3, 4), {"w": 4}),
    "tensordot": (Of(lambda m, x: torch.tensordot(x, m.w, 2), w=(4, 5, 6)), drawn(3, 4, 5), {"w": 20}),
    "heads, in": (Of(lambda m, x: torch.einsum("btd,dhk->bthk", x, m.w), w=(8, 2, 4)), drawn(2, 3, 8), {"w": 8}),
    "heads, out": (Of(lambda m, x: torch.einsum("bthk,hkd->btd", x, m.w), w=(2, 4, 8)), drawn(2, 3, 2, 4), {"w": 8}),
    "experts": (Of(lambda m, x: torch.einsum("ecd,edf->ecf", x, m.w), w=(3, 4, 5)), drawn(3, 2, 4), {"w": 4}),
    "experts, out first": (Of(lambda m, x: torch.bmm(x, m.w.mT), w=(3, 5, 4)), drawn(3, 2, 4), {"w": 4}),
    "experts under vmap": (
        Of(lambda m, x: torch.vmap(lambda w, b: x @ w + b)(m.w, m.b), w=(3, 4, 5), b=(3, 5)),
        (2, 4),
        {"w": 4},
    ),
    "stacked matrices": (Of(lambda m, x: torch.relu(x @ m.w[0]) @ m.w[1], w=(2, 4, 4)), (3, 4), {"w": 4}),
    "a parameter in parts": (
        Of(lambda m, x: torch.cat([x @ part for part in m.w.chunk(2, 1)], 1), w=(4, 6)),
        (3, 4),
        {"w": 4},
    ),
    "convolution by unfolding": (
        Of(lambda m, x: m.w.flatten(1) @ functional.unfold(x, 3), w=(4, 2, 3, 3)),
        drawn(2, 2, 5, 5),
        {"w": 18},
    ),
    "in place": (Of(lambda m, x: x.new_zeros(3, 5).addmm_(x, m.w), w=(4, 5)), (3, 4), {"w": 4}),
    "sparse": (
        Of(lambda m, x, a: torch.sparse.mm(a, x @ m.w), w=(4, 5)),
        [drawn(6, 4), torch.eye(6).to_sparse()],
        {"w": 4},
    ),
    "complex": (nn.Linear(4, 5, dtype=torch.complex64), torch.randn(3, 4, dtype=torch.complex64), {"weight": 4}),
    "complex in pairs": (
        Of(lambda m, x: torch.view_as_real(torch.view_as_complex(x) @ torch.view_as_complex(m.w)), w=(3, 5, 2)),
        drawn(4, 3, 2),
        {"w": 6},  # real and imaginary parts of three inputs
    ),
    "jvp": (
        Of(lambda m, x: torch.func.jvp(m.l, (x,), (torch.ones_like(x),))[0].tanh(), l=nn.Linear(4, 4)),
        drawn(3, 4),
        {"l.weight": 4},
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch.func uses it
@pytest.mark.parametrize("name", LAYERS)
def test_fans_are_those_counted_by_hand(name: str) -> None:
    model, batch, expected = LAYERS[name]
    assert fans(model, batch) == expected


def standardized(w: torch.Tensor) -> torch.Tensor:
    rows = w.reshape(1, w.shape[0], -1)
    return ((rows - rows.mean(2, keepdim=True)) / (rows.std(2, keepdim=True) + 1e-3)).reshape_as(w)


CONVOLUTIONS = [functional.conv1d, functional.conv2d, functional.conv3d]
TRANSPOSED = [functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d]


@pytest.mark.parametrize("shape", [(6, 8), (6, 1), (1, 8)])
@pytest.mark.parametrize("window", [(1,), (3,), (1, 1), (1, 3), (3, 1), (1, 1, 1), (1, 3, 1)], ids=str)
def test_windows_of_one_entry_are_seen_through_a_reshape(shape: tuple[int, int], window: tuple[int, ...]) -> None:
    size, letters = (2, 8, *(4 for _ in window)), "k" * len(window)
    for functions, axes, inputs in ((CONVOLUTIONS, "oi", shape[1]), (TRANSPOSED, "io", shape[0])):
        convolve = functions[len(window) - 1]
        model = Of(lambda m, x, c=convolve, n=inputs: c(x[:, :n], standardized(m.w)), w=(*shape, *window))
        assert uses(model, size)["w"] == ("weight", axes + letters)
    model = Of(lambda m, x: CONVOLUTIONS[len(window) - 1](x, standardized(m.w), groups=8), w=(8, 1, *window))
    assert uses(model, size)["w"] == ("weight", "oi" + letters)


@pytest.mark.parametrize("window", [(1, 1), (1, 3), (3, 3)], ids=str)
def test_filters_that_are_standardized_with_a_gain(window: tuple[int, int]) -> None:
    """As the code of NF-ResNets has it: a batch norm over rows, whose scale is the gain times 1/sqrt(inputs)."""

    def weight(m: nn.Module) -> torch.Tensor:
        rows, scale = m.w.reshape(1, len(m.w), -1), (m.g * m.w[0].numel() ** -0.5).view(-1)
        normed = functional.batch_norm(rows, None, None, weight=scale, training=True, momentum=0.0, eps=1e-6)
        return normed.reshape_as(m.w)

    filters = Of(lambda m, x: functional.conv2d(x, weight(m)), w=(6, 8, *window), g=(6, 1, 1, 1))
    nn.init.normal_(filters.w)
    model = nn.Sequential(filters, nn.ReLU(), nn.Flatten(), nn.Linear(6 * (6 - window[0]) * (6 - window[1]), 3))
    plan = wb.plan(model, (4, 8, 5, 5), recipe="nfnet", seed=0)
    assert (plan["0.w"].layout.axes, plan["0.w"].scheme, plan["0.g"].scheme) == (
        "oikk",
        "lecun_normal()",
        "constant(value=1.0)",
    )


KERNELS = {  # whose axes are not the windows one by one: fans counted by hand, at strides of 2
    "a matrix": (lambda m, x: functional.conv2d(x, m.w[:, :, None, None], stride=2), (6, 8), "oi", (8, 6)),
    "one window": (lambda m, x: functional.conv2d(x, m.w[:, :, None], stride=2), (6, 8, 3), "oik", (24, 4.5)),
    "depthwise": (lambda m, x: functional.conv2d(x, m.w[:, None, None], stride=2, groups=8), (8, 3), "ok", (3, 0.75)),
    "a bank": (lambda m, x: functional.conv2d(x, m.w[1][..., None], stride=2), (2, 6, 8, 3), "eoik", (24, 4.5)),
    "split": (lambda m, x: functional.conv2d(x, m.w.view(6, 8, 3, 3), stride=2), (6, 8, 9), "oik", (72, 13.5)),
    "joined": (lambda m, x: functional.conv1d(x[:, :, 0], m.w.view(6, 8, 4)), (6, 8, 2, 2), "oikk", (32, 24)),
}  # fmt: skip


@pytest.mark.parametrize("recipe", ["torch", "classic", "auto"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_with_other_axes_than_windows(name: str, recipe: str) -> None:
    function, shape, letters, counted = KERNELS[name]
    pooled = Of(lambda m, x: m.l(x.flatten(2).mean(2)), l=nn.Linear(8 if name == "depthwise" else 6, 3))
    model = nn.Sequential(Of(function, w=shape), nn.ReLU(), pooled)
    layout = wb.plan(model, (4, 8, 9, 9), recipe=recipe, seed=0)["0.w"].layout
    assert (layout.axes, tuple(layout.fans(shape))) == (letters, counted)
    assert wb.initialize(model, drawn(32, 8, 9, 9), recipe=recipe, seed=0).ledger["0.w"].outcome == "filled"


GROUPED = torch.tensor([1, 3, 4], dtype=torch.int32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_grouped_products(dtype: torch.dtype, device: str) -> None:
    """Experts (E, in, out) on rows sorted by expert; torch's own rule for meta tensors knows bfloat16 only."""
    model = Of(lambda m, x: functional.grouped_mm(x, m.w.mT, offs=GROUPED.to(x.device)), w=(3, 16, 8)).to(device, dtype)
    assert uses(model, drawn(4, 8)) == {"w": ("weight", "eoi")}


@pytest.mark.parametrize(
    ("model", "batch", "expected"),
    [
        (nn.Embedding(10, 4), torch.zeros(2, 3).long(), {"weight": "table"}),
        (nn.EmbeddingBag(10, 4, mode="max"), torch.zeros(2, 3).long(), {"weight": "table"}),
        (nn.Sequential(nn.Conv1d(4, 8, 3), nn.InstanceNorm1d(8, affine=True)), (2, 4, 6), {"1.weight": "norm_scale"}),
        (nn.Sequential(nn.Linear(4, 8), nn.PReLU(8)), (2, 4), {"1.weight": "negative_slope"}),
        (Of(lambda m, x: x + m.g * m.l(x), l=nn.Linear(4, 4), g=(4,)), (2, 4), {"g": "scale"}),
        (Of(lambda m, x: x + m.g * m.l(x), l=nn.Linear(4, 4), g=()), (2, 4), {"g": "scale"}),
        (
            Of(lambda m, x: torch.addcmul(m.b, m.l(x), m.g), l=nn.Linear(4, 4), g=(4,), b=(4,)),
            (2, 4),
            {"g": "scale", "b": "shift"},
        ),
        (Of(lambda m, x: m.g(x, m.h.expand(1, 3, 5))[0], g=nn.GRU(4, 5), h=(1, 1, 5)), (6, 3, 4), {"h": "token"}),
    ],
    ids=["embedding", "bag", "instance norm", "prelu", "layer scale", "a scalar", "addcmul", "first state"],
)  # fmt: skip
def test_other_parameters_have_their_slots(model: nn.Module, batch, expected: dict[str, str]) -> None:
    found = uses(model, batch)
    assert {name: found[name][0] for name in expected} == expected


@pytest.mark.parametrize("mode", ["train", "eval", "eval, frozen"])
def test_transformer_layers_as_the_model_itself(mode: str) -> None:
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).train(mode == "train")
    model.requires_grad_("frozen" not in mode)
    found = uses(model, (2, 3, 8))
    assert all(found[f"layers.{i}.self_attn.in_proj_weight"] == ("weight", "oi") for i in (0, 1))
    assert all(found[f"layers.{i}.linear2.weight"] == ("weight", "oi") for i in (0, 1))
    whole = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)
    expected = {name: 16 if "linear2" in name else 8 for name, p in whole.named_parameters() if p.ndim == 2}
    assert fans(whole, [drawn(2, 3, 8), drawn(2, 4, 8)]) == expected


# ---------------------------------------------------------------------- parameters that stand for themselves
def test_learned_queries_are_signals_and_their_layers_weights() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    found = uses(Of(lambda m, x: m.a(m.q.expand(len(x), -1, -1), x, x)[0], a=attention, q=(1, 3, 8)), (2, 5, 8))
    assert found["q"] == ("token", "")
    assert found["a.in_proj_weight"] == ("weight", "oi")

    def decoder(m, x: torch.Tensor) -> torch.Tensor:
        q = m.norm(m.q + m.first(m.q)).expand(len(x), -1, -1)
        return functional.scaled_dot_product_attention(m.query(q), m.key(x), x)

    parts = {name: nn.Linear(8, 8) for name in ("first", "query", "key")}
    found = uses(Of(decoder, q=(3, 8), norm=nn.LayerNorm(8), **parts), drawn(2, 5, 8))
    assert found["q"] == ("token", "")
    assert [found[f"{name}.weight"] for name in parts] == [("weight", "oi")] * 3


def test_networks_on_constants() -> None:
    """A network over coordinates that gives a bias of the attention, as in Swin v2."""

    def forward(m, x: torch.Tensor) -> torch.Tensor:
        return x + m.two(torch.relu(m.one(torch.linspace(0, 1, 4)[:, None]))).T

    model = Of(forward, one=nn.Linear(1, 6), two=nn.Linear(6, 1))
    assert classic_plan(model, (3, 4), seed=0)["one.weight"].scheme == "he_normal()"
    assert uses(model, (3, 4))["two.weight"] == ("weight", "oi")


def test_tables_of_relative_positions() -> None:
    distance = torch.arange(5)[:, None] - torch.arange(5)[None] + 4

    def forward(m, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(torch.einsum("btd,tsd->bts", m.l(x), m.t[distance]), -1) @ x

    assert classic_plan(Of(forward, l=nn.Linear(8, 8), t=(9, 8)), drawn(2, 5, 8), seed=0)["t"].role == "positional"


def test_a_token_written_into_a_slice() -> None:
    def forward(m, x: torch.Tensor) -> torch.Tensor:
        y = x.new_zeros(len(x), x.shape[1] + 1, x.shape[2])
        y[:, 0] = m.t
        y[:, 1:] = x
        return m.l(y)

    found = uses(Of(forward, t=(4,), l=nn.Linear(4, 2)), drawn(2, 3, 4))
    assert found["t"][0] == "token"
    assert found["l.weight"] == ("weight", "oi")


# ---------------------------------------------------------------------- activations and norms written by hand
def scheme(function, width: int = 8) -> str:
    model = Of(lambda m, x: m.head(function(m.layer(x))), layer=nn.Linear(8, 8), head=nn.Linear(width, 3))
    return classic_plan(model, (4, 8), seed=0)["layer.weight"].scheme


def quadrature(name: str) -> str:
    return f"variance_scaling(scale={round(wb.gain(name) ** 2, 10)!r})"


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6), "lecun_normal()"),
        (lambda x: torch.relu(x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)), "he_normal()"),
        (lambda x: torch.relu(functional.normalize(x, dim=-1)), "he_normal()"),
        (lambda x: torch.relu((x - x.mean(1, True)) / torch.sqrt(x.var(1, keepdim=True) + 1e-5)), "he_normal()"),
        (lambda x: torch.tanh((x - x.mean(0)) / (x.std(0) + 1e-5)), "xavier_normal()"),
        (lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)), quadrature("gelu")),
        (lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))), quadrature("gelu_tanh")),
        (lambda x: x * torch.sigmoid(x), quadrature("silu")),
        (lambda x: torch.sin(x), quadrature("sin")),
        (lambda x: x.clamp(0, 6), quadrature("relu6")),
        (lambda x: functional.avg_pool1d(x[:, None], 1)[:, 0].relu(), "he_normal()"),
        (lambda x: torch.relu(torch.stack([x, x]).mean(0)), "he_normal()"),
        (lambda x: torch.relu(torch.cat([x[:, :4], x[:, 4:]], 1)), "he_normal()"),
        (lambda x: torch.relu(x - torch.arange(8)), "he_normal()"),
    ],
    ids=["rms norm", "rms norm, relu", "l2 norm, relu", "layer norm, relu", "batch norm, tanh", "gelu", "gelu_tanh",
         "silu", "sin", "relu6", "pool", "mean", "concat", "minus a constant"],
)  # fmt: skip
def test_what_a_weight_feeds_written_by_hand(function, expected: str) -> None:
    assert scheme(function) == expected


def test_a_thousand_functions_in_a_row() -> None:
    def forward(m, x: torch.Tensor) -> torch.Tensor:
        x = m.layer(x)
        for _ in range(1000):
            x = x * 1.0
        return torch.relu(x)

    assert classic_plan(Of(forward, layer=nn.Linear(4, 4)), (2, 4), seed=0)["layer.weight"].scheme == "he_normal()"


def test_gated_units_are_products_of_their_halves() -> None:
    one = trace(nn.Sequential(nn.Linear(4, 8), nn.GLU(), nn.Linear(4, 2)), (2, 4))
    assert [operation.kind for operation in one.operations] == ["linear", "split", "pointwise", "gate", "linear"]
    assert not one.notes


def test_scans_of_state_space_models_take_no_time_that_grows_faster_than_they_do() -> None:
    def forward(m, x: torch.Tensor) -> torch.Tensor:
        state, out = torch.zeros(len(x), 4), torch.zeros_like(x)
        for t in range(x.shape[1]):
            state = torch.exp(-torch.exp(m.a)) * state + m.b * x[:, t]
            out[:, t] = state * m.c
        return m.l(out)

    model = Of(forward, a=(4,), b=(4,), c=(4,), l=nn.Linear(4, 2))
    found = uses(model, drawn(2, 50, 4))
    assert [found[name][0] for name in "abc"] == ["scale"] * 3
    short, long = (len(trace(model, drawn(2, steps, 4)).operations) for steps in (50, 200))
    assert long < 4.5 * short


# ---------------------------------------------------------------------- what is not known is said
def test_unknown_operations_between_weights_are_named_with_their_place() -> None:
    class Spectral(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.irfft(torch.fft.rfft(x) * 2, n=x.shape[-1])

    notes = trace(nn.Sequential(nn.Linear(8, 8), Spectral(), nn.Linear(8, 2)), (2, 8)).notes
    assert "The operation '_fft_r2c' is not known and a weight's signal passes through it, in 1" in notes[0]
    assert not trace(nn.Sequential(Spectral(), nn.Linear(8, 2)), (2, 8)).notes  # nothing of ours passes there
    indices = Of(lambda m, x: m.head(x) + m.head(x).argmax(-1, keepdim=True), head=nn.Linear(8, 2))
    assert not trace(indices, (2, 8)).notes  # integers carry no signal


def test_weights_that_are_made_of_parameters_in_a_way_nobody_understands_keep_their_values() -> None:
    positive = Of(lambda m, x: x @ (m.a.exp() @ m.b.exp()), a=(4, 2), b=(2, 5))
    with pytest.raises(RuleError, match="of 2 parameters nothing can be said"):
        classic_plan(positive, (3, 4), seed=0, strict=True)
    assert {entry.action for entry in classic_plan(positive, (3, 4), seed=0).entries} == {"keep"}
    plan = classic_plan(positive, (3, 4), rules=[("a", "he_normal"), ("b", "zeros")], seed=0)
    assert plan["b"].scheme == "zeros()"


@pytest.mark.parametrize("hidden", ["triangle", "everything", "where"])
def test_a_mask_of_constants_is_no_function_of_the_value(hidden: str) -> None:
    """ones(...).tril() does not hold one number, and a mask that does is no argument of a function."""

    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            if hidden == "triangle":
                return self.b(x * torch.ones(8, 8).tril())
            mask = torch.ones(8, 8, dtype=torch.bool)
            return self.b(x.masked_fill(mask, 0.0) if hidden == "everything" else torch.where(mask, x, 0.5))

    graph = trace(Masked(), (8, 8))
    assert not [operation for operation in graph.operations if operation.kind == "pointwise"]
    wb.plan(Masked(), (8, 8), seed=0)
