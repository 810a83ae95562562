"""Named recipes reproduce their published stds within 1 % at two sizes.

The expected numbers are written down here from the papers and their code, by the sizes of the models, and not with the
help of the recipes.
"""

import functools
import math
import re

import numpy as np
import pytest
import recipe_models as models
import torch
import torch_models as ordinary
from recipe_checks import blocks, check, compare, law_std, start, traced, xavier
from torch import nn

import wellbegun as wb
from wellbegun.graph import Analysis
from wellbegun.laws import Constant
from wellbegun.planning import make_plan, recipe_of
from wellbegun.planning.recipes import RECIPES

NAMES = sorted(name for name in RECIPES if "@" in name)
CUT_2, CUT_3 = 0.87962566103423978, 0.98657839255825  # std of N(0, 1) cut at +-2 and +-3
SIZES = [(64, 2), (96, 5)]
TEXT, IMAGES = models.tokens(2, 12), torch.zeros(2, 3, 32, 32)


# ---------------------------------------------------------------------- torch
@torch.random.fork_rng()
def fresh() -> list[nn.Module]:
    """Layers with their own defaults; wide enough to measure."""
    torch.manual_seed(0)
    return [
        nn.Linear(40, 500), nn.Conv2d(12, 60, 5), nn.Conv2d(32, 64, 3, groups=4, stride=2), nn.Conv1d(16, 90, 7),
        nn.ConvTranspose2d(16, 48, 4, stride=2), nn.LSTM(40, 60, num_layers=2, bidirectional=True), nn.GRU(30, 50),
        nn.RNN(40, 70), nn.LSTM(30, 60, proj_size=20), nn.GRUCell(30, 60),
        nn.MultiheadAttention(64, 4, batch_first=True),
        nn.MultiheadAttention(64, 4, kdim=32, vdim=48, batch_first=True, add_bias_kv=True),
        nn.TransformerEncoderLayer(64, 4, 200, batch_first=True), nn.Bilinear(30, 20, 40), nn.BatchNorm2d(30),
        nn.LayerNorm(30), nn.GroupNorm(2, 30), nn.RMSNorm(30), nn.InstanceNorm2d(30, affine=True), nn.PReLU(),
        nn.Embedding(80, 50, padding_idx=3), nn.Embedding(80, 70), nn.Linear(160, 100), nn.Conv2d(48, 40, 3),
    ]  # fmt: skip


class Call(nn.Module):
    """A layer that gets what it takes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if isinstance(self.layer, nn.MultiheadAttention):
            key, value = (torch.ones(len(x), 7, size) for size in (self.layer.kdim, self.layer.vdim))
            return self.layer(x, key * x[:, :1, :1], value * x[:, :1, :1])[0]
        if isinstance(self.layer, nn.Bilinear):
            return self.layer(x[..., :30], x[..., 30:])
        return self.layer(x)


def batch_of(layer: nn.Module) -> torch.Tensor:
    if isinstance(layer, nn.Embedding):
        return torch.randint(0, 80, (4, 6))
    if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
        return torch.randn(2, layer.in_channels, 12, 12)
    if isinstance(layer, nn.Conv1d):
        return torch.randn(2, layer.in_channels, 12)
    if isinstance(layer, nn.RNNBase):
        return torch.randn(5, 3, layer.input_size)
    if isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)):
        return torch.randn(4, 30, 6, 6)
    widths = {nn.Linear: "in_features", nn.GRUCell: "input_size", nn.MultiheadAttention: "embed_dim"}
    width = getattr(layer, widths[type(layer)]) if type(layer) in widths else 30
    width = {nn.TransformerEncoderLayer: 64, nn.Bilinear: 50}.get(type(layer), width)
    return torch.randn(3, width) if isinstance(layer, nn.GRUCell) else torch.randn(3, 6, width)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("layer", fresh(), ids=lambda layer: type(layer).__name__)
def test_torch_gives_what_torch_gives(layer: nn.Module) -> None:
    """Law against the layer's own fresh values: std within sampling error, the same bounds, the same constants."""
    own = {name: tensor.detach().double().clone() for name, tensor in layer.named_parameters()}
    plan = wb.plan(Call(layer), batch_of(layer), recipe="torch", seed=0)
    for name, values in own.items():
        entry = plan[f"layer.{name}"]
        moments = entry.law.moments(entry.layout.canonical_shape(entry.shape))
        if isinstance(entry.law, Constant):
            assert (values == entry.law.value).all(), name
            continue
        std, spread = math.sqrt(moments.variance + moments.mean**2), values.square().mean().sqrt()
        kurtosis = 3.0 if np.isinf(entry.law.support()[1]) else 1.8
        assert spread == pytest.approx(std, rel=5 * math.sqrt((kurtosis - 1) / (4 * values.numel()))), name
        assert values.abs().max() <= entry.law.support()[1] * (1 + 1e-6), name


@pytest.mark.parametrize("width", [200, 1000])
def test_torch_is_not_he(width: int) -> None:
    """1/sqrt(3 n) for a linear layer, to 1 %; at these sizes 2 % of fresh values would tell the difference."""
    model = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
    std = 1 / math.sqrt(3 * width)
    check(model, (4, width), "torch", {"0.weight": std, "2.weight": std})
    fresh_std = nn.Linear(width, width).weight.detach().std()
    assert fresh_std == pytest.approx(std, rel=5 * math.sqrt(0.8 / (4 * width**2)))


def test_torch_has_no_default_for_loose_parameters() -> None:
    plan = wb.plan(ordinary.Hybrid(), (4, 1, 8, 8), recipe="torch", seed=0)
    assert plan["inline"].scheme == "fan_in_uniform()"
    assert "-0.176" in plan["shift"].scheme  # a bias behind a matrix of 32 inputs
    plan = wb.plan(ordinary.TiedLM(), {"tokens": TEXT % 30}, recipe="torch", seed=0)
    assert (plan["positions"].action, plan["scale"].scheme) == ("keep", "ones()")


# ---------------------------------------------------------------------- language
def gpt(width: int, out: float, layers: int) -> dict[str, float]:
    small = ("qkv.#", "fc.#", "wte", "wpe", "head")
    named = {**dict.fromkeys(small, 0.02), "proj.#": out, "out.#": out}
    return blocks({f"{name}.weight": std for name, std in named.items()}, layers)


@pytest.mark.parametrize("recipe", ["gpt2", "megatron"])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_gpt2_and_megatron(recipe: str, width: int, layers: int) -> None:
    """N(0, 0.02); outputs of branches 0.02 / sqrt(2 layers)."""
    expected = gpt(width, 0.02 / math.sqrt(2 * layers), layers)
    plan = check(models.GPT(width, layers), TEXT, recipe, expected, control="bert")
    assert (start(plan, "ln1.0.weight"), start(plan, "qkv.0.bias")) == (1, 0)


def test_megatron_counts_layers_and_gpt2_counts_branches() -> None:
    """A decoder layer with cross-attention has three branches."""
    model = models.Translator(32, 2, 3)
    for name, count in (("megatron", 2 * 3), ("gpt2", 3 * 3)):
        entry = wb.plan(model, [TEXT, TEXT], recipe=name, seed=0)["decoder.1.wo.weight"]
        assert entry.law.std == pytest.approx(0.02 / math.sqrt(count))


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_llama(width: int, layers: int) -> None:
    """torchtitan: 0.02 for wq, wk, wv, w1; 0.02 / sqrt(2 (layer_id + 1)) for wo, w2, w3; d^-1/2 at +-3 for the head."""
    expected = {"embed.weight": 1.0, "head.weight": width**-0.5 * CUT_3}
    for i in range(layers):
        deep = 0.02 / math.sqrt(2 * (i + 1))
        expected.update({f"attention.{i}.{part}.weight": 0.02 for part in "qkv"})
        expected.update({f"attention.{i}.o.weight": deep, f"w1.{i}.weight": 0.02})
        expected.update({f"w2.{i}.weight": deep, f"w3.{i}.weight": deep})
    plan = check(models.Llama(width, layers), TEXT, "llama", expected, control="gpt2")
    assert start(plan, "norm1.0.weight") == 1
    tied = wb.plan(models.Llama(width, layers, tied=True), TEXT, recipe="llama", seed=0)
    assert law_std(tied, "embed.weight") == pytest.approx(width**-0.5 * CUT_3, rel=0.01)


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_olmo(width: int, layers: int) -> None:
    """mitchell: 1/sqrt(d), outputs 1/sqrt(2 n l) with l from 1, all cut at +-3 of the uncut std."""
    d = width**-0.5 * CUT_3
    expected = {"embed.weight": d, "head.weight": d}
    for i in range(layers):
        expected.update({f"attention.{i}.{part}.weight": d for part in "qkv"})
        expected.update({f"w1.{i}.weight": d, f"w3.{i}.weight": d})
        expected[f"attention.{i}.o.weight"] = (2 * width * (i + 1)) ** -0.5 * CUT_3
        expected[f"w2.{i}.weight"] = (2 * 2 * width * (i + 1)) ** -0.5 * CUT_3
    check(models.Llama(width, layers), TEXT, "olmo", expected, control="llama")


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_bert(width: int, layers: int) -> None:
    """truncated_normal_initializer(0.02) of TensorFlow: cut at +-2 std, so 0.0176."""
    model = models.Encoder(width, layers)
    expected = {name: 0.02 * CUT_2 for name, p in model.named_parameters() if p.ndim > 1}
    plan = check(model, TEXT, "bert", expected, control="gpt2")
    assert plan["head.weight"].law.support() == (-0.04, 0.04)


@pytest.mark.parametrize(("width", "layers", "head"), [(64, 2, 8), (96, 4, 32)])
def test_t5(width: int, layers: int, head: int) -> None:
    """q (d d_kv)^-1/2, k and v d^-1/2, o (heads d_kv)^-1/2, wi d^-1/2, wo d_ff^-1/2, relative bias d^-1/2, tables 1."""
    d, heads = width**-0.5, 4
    own = {"q": (width * head) ** -0.5, "k": d, "v": d, "o": (heads * head) ** -0.5}
    expected = {"source.weight": 1.0, "target.weight": 1.0, "head.weight": 1.0, "relative.weight": d}
    for side, kinds in (("encoder", ("attention",)), ("decoder", ("attention", "cross"))):
        for i in range(layers):
            expected.update({f"{side}.{i}.{kind}.{part}.weight": own[part] for kind in kinds for part in "qkvo"})
            expected.update({f"{side}.{i}.wi.weight": d, f"{side}.{i}.wo.weight": (2 * width) ** -0.5})
    model = models.Translator(width, layers, layers, norm="pre", head=head, relative=True)
    check(model, [TEXT, TEXT], "t5", expected, control="gpt2")


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_against_the_initialization_of_transformers(name: str) -> None:
    """Its own `_init_weights` is a second source: measured stds of fresh models."""
    transformers = pytest.importorskip("transformers")
    if name == "gpt2":
        special = {"bos_token_id": 0, "eos_token_id": 0}
        config = transformers.GPT2Config(n_layer=3, n_head=4, n_embd=96, vocab_size=300, n_positions=64, **special)
        make, batch = transformers.GPT2LMHeadModel, {"input_ids": TEXT}
    else:
        config = transformers.T5Config(num_layers=2, d_model=96, num_heads=4, d_kv=16, d_ff=128, vocab_size=300)
        make, batch = transformers.T5ForConditionalGeneration, {"input_ids": TEXT, "decoder_input_ids": TEXT}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make(config)
    assert compare(model, batch, name) >= 14


# ---------------------------------------------------------------------- vision
@pytest.mark.parametrize("recipe", ["vit", "vit_nlhb"])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_vit(recipe: str, fused: bool, width: int, layers: int) -> None:
    """Xavier for each of q, k, v; LeCun for the patches; readout and class token 0; biases of the MLP 1e-6."""
    d, mlp = xavier(width, width), xavier(width, 4 * width)
    attention = {"qkv.#": d, "proj.#": d} if fused else {f"attention.#.{part}": d for part in "qkvo"}
    named = {**attention, "fc1.#": mlp, "fc2.#": mlp, "patches": (3 * 8 * 8) ** -0.5, "head": 0.0}
    expected = blocks({f"{name}.weight": std for name, std in named.items()}, layers)
    expected.update({"token": 0.0, "positions": 0.02})
    plan = check(models.ViT(width, layers, fused=fused), IMAGES, recipe, expected, control="mae" if fused else "gpt2")
    assert start(plan, "head.bias") == pytest.approx(-math.log(40) if recipe == "vit_nlhb" else 0.0)
    assert plan["fc1.0.bias"].law.std == plan["fc2.0.bias"].law.std == 1e-6
    assert start(plan, "proj.0.bias" if fused else "attention.0.q.bias") == 0


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_mae(width: int, layers: int) -> None:
    """xavier_uniform_ of whatever is stored: fused projections have fan_out 3d, patches are (out, 3 * 8 * 8)."""
    mlp = xavier(width, 4 * width)
    named = {"qkv.#": xavier(width, 3 * width), "proj.#": xavier(width, width), "fc1.#": mlp, "fc2.#": mlp}
    named.update({"patches": xavier(3 * 8 * 8, width), "head": xavier(width, 40)})
    expected = blocks({f"{name}.weight": std for name, std in named.items()}, layers)
    expected.update({"token": 0.02, "positions": 0.02})
    check(models.ViT(width, layers, fused=True), IMAGES, "mae", expected, control="vit")


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_convnext(width: int, layers: int) -> None:
    """trunc_normal_(std=0.02), which cuts nothing; layer scale 1e-6."""
    names = ("stem", "depthwise.#", "up.#", "down.#", "head")
    expected = blocks({f"{name}.weight": 0.02 for name in names}, layers)
    plan = check(models.ConvNeXt(width, layers), IMAGES, "convnext", expected, control="bert")
    assert [start(plan, f"gamma.{i}") for i in range(layers)] == [1e-6] * layers


def he_out(model: nn.Module, name: str) -> float:
    weight = model.get_parameter(name)
    return math.sqrt(2 / (weight.shape[0] * weight.shape[2:].numel()))


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize(("width", "layers"), [(16, 2), (24, 3)])
def test_resnet(width: int, layers: int, bottleneck: bool) -> None:
    """sqrt(2 / (k^2 out)) for convolutions, also strided ones; 0.01 for the readout; last gamma of a block 0."""
    model = models.ResNet(width, layers, bottleneck=bottleneck)
    kernels = [name for name, p in model.named_parameters() if p.ndim == 4]
    expected = {**{name: he_out(model, name) for name in kernels}, "head.weight": 0.01}
    plan = check(model, IMAGES, "resnet", expected, control="fixup")
    last = 2 if bottleneck else 1
    for block in range(2 * layers):
        gammas = [start(plan, f"blocks.{block}.norms.{i}.weight") for i in range(last + 1)]
        assert gammas == [1] * last + [0]
    with torch.no_grad():  # identity at the start
        x = torch.randn(2, model.head.in_features, 8, 8).relu()
        assert torch.equal(model.blocks[-1](x), x)


@pytest.mark.parametrize("width", [32, 48])
def test_dcgan(width: int) -> None:
    model = models.Generator(width)
    expected = {f"layers.{i}.weight": 0.02 for i in (0, 3, 6)}
    plan = check(model, (2, 32, 1, 1), "dcgan", expected, control="resnet")
    assert [(plan[f"layers.{i}.weight"].law.mean, plan[f"layers.{i}.weight"].law.std) for i in (1, 4)] == [
        (1, 0.02)
    ] * 2


# ---------------------------------------------------------------------- residual nets
@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize(("width", "layers"), [(16, 2), (24, 4)])
def test_fixup(width: int, layers: int, bottleneck: bool) -> None:
    """He * L^(-1/(2m-2)) with L blocks of m layers; last layers and the readout 0; multipliers 1."""
    model = models.ResNet(width, layers, kind="fixup", bottleneck=bottleneck)
    count, last = 2 * layers, 2 if bottleneck else 1
    factor = count ** (-0.25 if bottleneck else -0.5)
    expected = {"stem.weight": he_out(model, "stem.weight"), "head.weight": 0.0}
    for name in (name for name, _ in model.named_parameters() if name.startswith("blocks") and "weight" in name):
        inside = "convs" in name
        expected[name] = he_out(model, name) * (factor if inside else 1.0) * (0 if f"convs.{last}" in name else 1)
    plan = check(model, IMAGES, "fixup", expected, control="resnet")
    assert [start(plan, f"blocks.{i}.scale") for i in range(count)] == [1] * count
    assert start(plan, "blocks.0.biases.1") == start(plan, "head.bias") == 0


@pytest.mark.parametrize("recipe", ["skipinit", "rezero"])
@pytest.mark.parametrize(("width", "layers"), [(16, 2), (24, 3)])
def test_skipinit_and_rezero(recipe: str, width: int, layers: int) -> None:
    """Multipliers 0; He by fan in for SkipInit, the framework's defaults for ReZero."""
    model = models.ResNet(width, layers, kind="skip")
    square = 2.0 if recipe == "skipinit" else 1 / 3
    weights = [(name, p) for name, p in model.named_parameters() if p.ndim > 1]
    expected = {name: math.sqrt(square / p[0].numel()) for name, p in weights}
    plan = check(model, IMAGES, recipe, expected, control="fixup")
    assert [start(plan, f"blocks.{i}.scale") for i in range(2 * layers)] == [0] * 2 * layers


def stacks(width: int, sides: dict[str, tuple[int, float]], head: int) -> dict[str, float]:
    """Xavier for q, k and the readout; times a factor for v, o and the perceptron: side -> (blocks, factor)."""
    d, mlp = xavier(width, width), xavier(width, 2 * width)
    expected = {"head.weight": xavier(width, head)}
    for side, (layers, factor) in sides.items():
        for i in range(layers):
            for kind in ("attention", "cross") if side == "decoder" else ("attention",):
                parts = {"q": d, "k": d, "v": d * factor, "o": d * factor}
                expected.update({f"{side}.{i}.{kind}.{part}.weight": std for part, std in parts.items()})
            expected.update({f"{side}.{i}.{part}.weight": mlp * factor for part in ("wi", "wo")})
    return expected


@pytest.mark.parametrize(("width", "n", "m"), [(64, 2, 3), (96, 6, 2)])
def test_deepnorm_for_encoder_and_decoder(width: int, n: int, m: int) -> None:
    sides = {"encoder": (n, 0.87 * (n**4 * m) ** (-1 / 16)), "decoder": (m, (12 * m) ** -0.25)}
    expected = {**stacks(width, sides, 310), "source.weight": width**-0.5, "target.weight": width**-0.5}
    check(models.Translator(width, n, m), [TEXT, TEXT], "deepnorm", expected, control="tfixup")


@pytest.mark.parametrize(("width", "layers"), [(64, 2), (96, 6)])
def test_deepnorm_for_one_stack(width: int, layers: int) -> None:
    expected = stacks(width, {"blocks": (layers, (8 * layers) ** -0.25)}, 300)
    expected.update({"embed.weight": width**-0.5, "positions.weight": width**-0.5})
    check(models.Encoder(width, layers), TEXT, "deepnorm", expected, control="tfixup")


@pytest.mark.parametrize(("width", "layers"), [(64, 2), (96, 6)])
def test_deepnorm_and_tfixup_scale_the_values_of_a_fused_projection(width: int, layers: int) -> None:
    """torch's own attention: q and k with gain 1, v scaled, each a matrix of its own; also in cross-attention."""
    with torch.random.fork_rng():
        model = nn.Transformer(width, 4, layers, layers, 2 * width, batch_first=True)
    factors = {
        "deepnorm": {"encoder": 0.87 * layers ** (-5 / 16), "decoder": (12 * layers) ** -0.25},
        "tfixup": {"encoder": 0.67 * layers**-0.25, "decoder": (9 * layers) ** -0.25},
    }
    for recipe, by_side in factors.items():
        wb.apply(model, wb.plan(model, [torch.zeros(2, 5, width)] * 2, recipe=recipe, seed=0))
        for side, factor in by_side.items():
            for kind in ("self_attn", "multihead_attn") if side == "decoder" else ("self_attn",):
                weight = model.get_parameter(f"{side}.layers.1.{kind}.in_proj_weight").detach()
                stds = [part.square().mean().sqrt() for part in weight.chunk(3)]
                wanted = [xavier(width, width) * gain for gain in (1, 1, factor)]
                assert stds == pytest.approx(wanted, rel=5 / math.sqrt(2) / width), (recipe, side, kind)


@pytest.mark.parametrize(("width", "n", "m"), [(64, 2, 3), (96, 6, 2)])
def test_tfixup(width: int, n: int, m: int) -> None:
    """(9N)^-1/4 in the decoder and for embeddings, 0.67 N^-1/4 in the encoder; Xavier uniform."""
    sides = {"encoder": (n, 0.67 * n**-0.25), "decoder": (m, (9 * m) ** -0.25)}
    table = width**-0.5 * (9 * m) ** -0.25
    expected = {**stacks(width, sides, 310), "source.weight": table, "target.weight": table}
    check(models.Translator(width, n, m, norm="none"), [TEXT, TEXT], "tfixup", expected, control="deepnorm")


# ---------------------------------------------------------------------- coordinates and policies
@pytest.mark.parametrize(("width", "layers", "omega"), [(64, 2, 30.0), (256, 4, 10.0), (64, 1, 1.0)])
def test_siren(width: int, layers: int, omega: float) -> None:
    """First +-1/n, hidden and last +-sqrt(6/n)/w0, as standard deviations; biases as torch."""
    hidden = math.sqrt(2 / width) / omega
    expected = {"first.weight": 1 / 2 / math.sqrt(3), "last.weight": hidden}
    expected.update({f"hidden.{i}.weight": hidden for i in range(layers)})
    plan = check(models.Siren(width, layers, omega=omega), (8, 2), "siren", expected)
    assert plan["hidden.0.bias"].law.support()[1] == pytest.approx(width**-0.5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("width", "actions"), [(64, 6), (128, 1)])
def test_ppo(width: int, actions: int, shared: bool) -> None:
    """Orthogonal: an entry has std gain / sqrt(larger side). With one action, names tell the heads apart."""
    expected = {"trunk.0.weight": math.sqrt(2 / width), "trunk.2.weight": math.sqrt(2 / width)}
    expected.update({"policy.weight": 0.01 / math.sqrt(width), "value.weight": 1 / math.sqrt(width)})
    if not shared:
        expected["critic_trunk.0.weight"] = math.sqrt(2 / width)
    check(models.ActorCritic(width, actions, shared=shared), (4, 8), "ppo", expected)


# ---------------------------------------------------------------------- all of them
@functools.cache
def everyday() -> dict[str, tuple[nn.Module, Analysis]]:
    """Models and their graphs, traced once."""
    made = {
        "hybrid": (ordinary.Hybrid(), (4, 1, 8, 8)),
        "tied": (ordinary.TiedLM(), {"tokens": TEXT % 30}),
        "plain": (ordinary.plain(4, nn.ReLU), (4, 20)),
        "lstm": (nn.LSTM(5, 6), (7, 3, 5)),
        "gpt": (models.GPT(32, 1), TEXT),
        "translator": (models.Translator(32, 1, 2), [TEXT, TEXT]),
        "resnet": (models.ResNet(8, 1), IMAGES),
        "fixup": (models.ResNet(8, 1, kind="fixup"), IMAGES),
        "vit": (models.ViT(32, 1), IMAGES),
        "generator": (models.Generator(8), (2, 32, 1, 1)),
        "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8)),
    }
    return {label: (model, traced(model, batch)) for label, (model, batch) in made.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_plans_ordinary_models(name: str) -> None:
    for label, (model, graph) in everyday().items():
        plan = make_plan(graph, recipe=name, seed=0)
        assert plan.recipe == name
        assert all(entry.reason for entry in plan.entries), label
        wb.apply(model, plan)
        assert all(torch.isfinite(p).all() for p in model.parameters()), label


@pytest.mark.parametrize("name", NAMES)
def test_what_a_recipe_misses_is_noted(name: str) -> None:
    recipe = recipe_of(name)
    plan = wb.plan(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), (2, 4), recipe=name, seed=0)
    needs = getattr(recipe, "recipe", recipe).needs  # a parametrization's are those of what it scales
    missing = [need for need in needs if need not in ("hidden", "readout")]
    said = tuple(f"{name} expects a role {need}, which this model has none of" for need in missing)
    assert plan.notes == (*said, *getattr(recipe, "said", ()))


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_says_what_it_is_for_and_with_which_optimizer(name: str) -> None:
    facts = RECIPES[name].facts()
    assert facts["about"]
    assert facts["source"]
    one = "(Adam|AdamW|Adafactor|SGD|SGD with momentum|RMSProp|LAMB|Muon|MuonH)"
    named = f"any|{one}(, {one})*"
    assert re.fullmatch(named, facts["optimizer"]), facts["optimizer"]


def test_recipes_by_name() -> None:
    assert recipe_of("gpt2") is recipe_of("gpt2@1")
    published = "torch gpt2 megatron llama olmo bert t5 vit vit_nlhb mae convnext resnet dcgan"
    residual = "fixup skipinit rezero deepnorm tfixup"
    assert {f"{name}@1" for name in f"{published} {residual} siren ppo classic".split()} <= set(NAMES)
    for typo, meant in (("gtp2", "gpt2"), ("deep_norm", "deepnorm"), ("tfixupp", "tfixup")):
        with pytest.raises(wb.errors.UnknownNameError, match=f"Did you mean '{meant}"):
            recipe_of(typo)


def test_a_norm_that_adds_one_to_its_scale_starts_at_zero() -> None:
    """Ones would double it, and zeros would silence it if it did not add one."""

    class OnePlus(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.built_in, self.by_hand = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.layer_norm(self.layer(x), (8,), self.built_in + 1)
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * (1 + self.by_hand)

    for name in NAMES:
        plan = wb.plan(OnePlus(), (4, 8), recipe=name, seed=0)
        for scale in ("built_in", "by_hand"):
            assert plan[scale].role == "norm_scale", name
            assert plan[scale].moments().mean == 0, name
            assert plan[scale].moments().variance == (0.02**2 if name == "dcgan@1" else 0), name


class Norms(nn.Module):
    """Every way to scale what a normalization gives, a multiplier that few recipes know, and a frozen table."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)
        self.norm = nn.LayerNorm(8)
        self.by_hand, self.plus, self.multiplier = (nn.Parameter(torch.ones(8)) for _ in range(3))
        self.frozen = nn.Parameter(torch.ones(8), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x) + self.frozen)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.by_hand
        x = nn.functional.rms_norm(torch.relu(x), (8,)) * (1 + self.plus)
        return self.last(torch.relu(x) * self.multiplier)


@pytest.mark.parametrize("name", NAMES)
def test_memory_that_holds_anything_is_filled_or_named(name: str) -> None:
    """From meta by to_empty: what nobody has set gets a safe value; what is frozen stays, and is named."""
    with torch.device("meta"):
        model = Norms()
    plans = [wb.plan(model, (4, 8), recipe=name, seed=0)]
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(math.nan)  # whatever memory held
    plans.append(wb.plan(model, (4, 8), recipe=name, seed=0))
    assert wb.diff(plans[0], plans[1]).identical
    wb.apply(model, plans[0])
    left = {key for key, parameter in model.named_parameters() if not torch.isfinite(parameter).all()}
    assert left == {entry.name for entry in plans[0].entries if entry.action == "keep"}
    assert left == {"frozen"}
    assert all(key in note for note in plans[0].notes if "without values" in note for key in left)
    assert sum("without values" in note for note in plans[0].notes) == 1
    assert all("multiplier" in next(note for note in plan.notes if "hold nothing" in note) for plan in plans)
    assert [plans[0][key].role for key in ("by_hand", "plus")] == ["norm_scale", "norm_scale"]
