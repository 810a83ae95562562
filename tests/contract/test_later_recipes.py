"""Recipes of later models reproduce their published stds within 1 % at two sizes.

Where the package that published them is at hand, the values that it gives a small model are the reference; elsewhere
the numbers are written down from its formula.
"""

import math

import pytest
import recipe_models as models
import torch
from recipe_checks import blocks, check, compare, law_std, start, traced, xavier
from torch import nn
from torch.nn import functional

import wellbegun as wb
from wellbegun.planning import make_plan

SIZES = [(64, 2), (96, 5)]
TEXT, IMAGES = models.tokens(2, 12), torch.zeros(2, 3, 32, 32)
CUT_2, CUT_3 = 0.87962566103423978, 0.98657839255825  # std of N(0, 1) cut at +-2 and +-3


def llama(inside: dict[str, float], layers: int, **outside: float) -> dict[str, float]:
    """Stds of `recipe_models.Llama`: q, k, v, o of attention, w1 (gate), w3 (up), w2 (down)."""
    named = {f"{'attention.#.' if len(name) == 1 else ''}{name}{'' if len(name) == 1 else '.#'}": std
             for name, std in inside.items()}  # fmt: skip
    return blocks({f"{name}.weight": std for name, std in (named | outside).items()}, layers)


# ---------------------------------------------------------------------- language
@pytest.mark.parametrize("recipe", ["small_init", "wang"])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_small_init_and_wang(recipe: str, width: int, layers: int) -> None:
    """GPT-NeoX: sqrt(2 / 5d) for all; wang_init 2 / L / sqrt(d) for the outputs of branches."""
    small = math.sqrt(2 / (5 * width))
    out = small if recipe == "small_init" else 2 / layers / math.sqrt(width)
    named = {**dict.fromkeys(("qkv.#", "fc.#", "wte", "wpe", "head"), small), "proj.#": out, "out.#": out}
    expected = blocks({f"{name}.weight": std for name, std in named.items()}, layers)
    check(models.GPT(width, layers), TEXT, recipe, expected, control="wang" if recipe == "small_init" else "small_init")


@pytest.mark.parametrize(("recipe", "std"), [("deepseek", 0.006), ("qwen", 0.02), ("gemma", 0.02)])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_one_number_for_all(recipe: str, std: float, width: int, layers: int) -> None:
    expected = llama(dict.fromkeys(("q", "k", "v", "o", "w1", "w2", "w3"), std), layers, embed=std, head=std)
    check(models.Llama(width, layers), TEXT, recipe, expected, control="llama")


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_gamma(width: int, layers: int) -> None:
    """n^-1 for n inputs, and for the length of a row."""
    one = 1 / width
    inside = {**dict.fromkeys(("q", "k", "v", "o", "w1", "w3"), one), "w2": one / 2}
    check(models.Llama(width, layers), TEXT, "gamma", llama(inside, layers, embed=one, head=one), control="olmo")


@pytest.mark.parametrize("recipe", ["per_layer", "total_depth"])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_depth_is_counted_by_layer_or_in_all(recipe: str, width: int, layers: int) -> None:
    """open_lm: 1/sqrt(n), outputs over sqrt(2 l) or sqrt(2 L), cut at +-3 of the uncut std."""
    d = width**-0.5 * CUT_3
    expected = {"embed.weight": d, "head.weight": d}
    for i in range(layers):
        deep = math.sqrt(2 * (i + 1 if recipe == "per_layer" else layers))
        expected.update({f"attention.{i}.{part}.weight": d for part in "qkv"})
        expected.update({f"w1.{i}.weight": d, f"w3.{i}.weight": d, f"attention.{i}.o.weight": d / deep})
        expected[f"w2.{i}.weight"] = d / math.sqrt(2) / deep
    control = "total_depth" if recipe == "per_layer" else "per_layer"
    check(models.Llama(width, layers), TEXT, recipe, expected, control=control)


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_muonh(width: int, layers: int) -> None:
    """torch's default 1/sqrt(3n), times 1.25 behind attention, 1.5 into and 3 out of the perceptron."""
    plain = 1 / math.sqrt(3 * width)
    inside = {**dict.fromkeys("qkv", plain), "o": 1.25 * plain, "w1": 1.5 * plain, "w3": 1.5 * plain}
    inside["w2"] = 3 / math.sqrt(3 * 2 * width)
    plan = check(models.Llama(width, layers), TEXT, "muonh", llama(inside, layers, embed=1.0, head=plain), "torch")
    assert not [note for note in plan.notes if "orthogonal" in note]
    fused = wb.plan(models.GPT(32, 1), TEXT, recipe="muonh", seed=0)
    assert [note for note in fused.notes if "makes matrices orthogonal takes projections fused" in note]


class ValueEmbeddings(models.Llama):
    """Rows of a second table are added to the stream inside the first branch."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__(width, layers)
        self.values = nn.Embedding(300, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        x = x + self.attention[0](self.norm1[0](x) + self.values(tokens))
        y = self.norm2[0](x)
        x = x + self.w2[0](functional.silu(self.w1[0](y)) * self.w3[0](y))
        return self.head(self.norm(x))


@pytest.mark.parametrize("width", [64, 96])
def test_modded_nanogpt(width: int) -> None:
    """Uniform of std 0.5/sqrt(d), 0 out of the perceptron, N(0, 0.005) for the readout, N(0, 0.01) for values."""
    inside = {**dict.fromkeys(("q", "k", "v", "o", "w1", "w3"), 0.5 / math.sqrt(width)), "w2": 0.0}
    expected = llama(inside, 1, embed=0.005, head=0.005, values=0.01)
    plan = check(ValueEmbeddings(width, 1), TEXT, "modded_nanogpt", expected, control="muonh")
    assert plan["attention.0.o.weight"].law.support()[1] == pytest.approx(0.5 * math.sqrt(3 / width))


class Scaled(models.GPT):
    """Norms before branches, with a constant behind them, and with norms at the end of branches if asked."""

    def __init__(self, width: int, layers: int, *, by_depth: bool = True, peri: bool = False) -> None:
        super().__init__(width, layers)
        self.by_depth = by_depth
        self.after = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * layers)) if peri else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for number, qkv in enumerate(self.qkv):
            factor = (number + 1) ** -0.5 if self.by_depth else 1.0
            y = self.ln1[number](x) * factor if self.by_depth else self.ln1[number](x)
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in qkv(y).chunk(3, -1))
            y = self.proj[number](
                functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
            )
            x = x + (y if self.after is None else self.after[2 * number](y))
            y = self.ln2[number](x) * factor if self.by_depth else self.ln2[number](x)
            y = self.out[number](functional.gelu(self.fc[number](y)))
            x = x + (y if self.after is None else self.after[2 * number + 1](y))
        return self.head(self.ln(x))


def flat(layers: int) -> dict[str, float]:
    names = ("qkv.#", "fc.#", "proj.#", "out.#", "wte", "wpe", "head")
    return blocks({f"{name}.weight": 0.02 for name in names}, layers)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_lns(own: bool, width: int, layers: int) -> None:
    """Norms of block l start at 1/sqrt(l), the last one at 1; where the model has the factor itself, all at 1."""
    plan = check(Scaled(width, layers, by_depth=own), TEXT, "lns", flat(layers), control="gpt2")
    wanted = [1.0 if own else (i + 1) ** -0.5 for i in range(layers)]
    for name in ("ln1", "ln2"):
        assert [start(plan, f"{name}.{i}.weight") for i in range(layers)] == pytest.approx(wanted)
    assert start(plan, "ln.weight") == 1


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_peri_ln(width: int, layers: int) -> None:
    plan = check(Scaled(width, layers, by_depth=False, peri=True), TEXT, "peri_ln", flat(layers), control="gpt2")
    assert {start(plan, f"after.{i}.weight") for i in range(2 * layers)} == {1.0}
    assert not [note for note in plan.notes if "stands on a norm" in note]
    plain = wb.plan(models.GPT(32, 1), TEXT, recipe="peri_ln", seed=0)
    assert [note for note in plain.notes if "no branch here ends in one" in note]


def stacks(width: int, sides: dict[str, list[float]], head: int, *, score: bool = False) -> dict[str, float]:
    """Xavier; v, o and the perceptron of each block times its factor, q and k too if asked."""
    d, mlp = xavier(width, width), xavier(width, 2 * width)
    expected = {"head.weight": xavier(width, head)}
    for side, factors in sides.items():
        for i, factor in enumerate(factors):
            kinds = ("attention", "cross") if side == "decoder" else ("attention",)
            parts = {**dict.fromkeys("qk", d * factor if score else d), **dict.fromkeys("vo", d * factor)}
            expected.update({f"{side}.{i}.{kind}.{part}.weight": std for kind in kinds for part, std in parts.items()})
            expected.update({f"{side}.{i}.{part}.weight": mlp * factor for part in ("wi", "wo")})
    return expected


@pytest.mark.parametrize(("width", "n", "m"), [(64, 2, 3), (96, 4, 2)])
def test_sub_ln(width: int, n: int, m: int) -> None:
    """sqrt(log 3M) in the decoder, sqrt(log 3M log 2N / 3) in the encoder, sqrt(log 2N) alone."""
    sides = {
        "encoder": [math.sqrt(math.log(3 * m) * math.log(2 * n) / 3)] * n,
        "decoder": [math.sqrt(math.log(3 * m))] * m,
    }
    expected = {**stacks(width, sides, 310), "source.weight": width**-0.5, "target.weight": width**-0.5}
    check(models.Translator(width, n, m), [TEXT, TEXT], "sub_ln", expected, control="deepnorm")
    expected = stacks(width, {"blocks": [math.sqrt(math.log(2 * n))] * n}, 300)
    expected.update({"embed.weight": width**-0.5, "positions.weight": width**-0.5})
    check(models.Encoder(width, n), TEXT, "sub_ln", expected, control="deepnorm")


class Normed(nn.Module):
    """Perceptrons on a stream, with a norm before, behind a weight inside, or behind the sum; or a temperature."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.table, self.head = where, nn.Embedding(50, 16), nn.Linear(16, 50)
        self.up = nn.ModuleList(nn.Linear(16, 32) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(32, 16) for _ in range(2))
        self.first = nn.ModuleList(nn.LayerNorm(16) for _ in range(2)) if where != "none" else None
        self.second = nn.ModuleList(nn.LayerNorm(32) for _ in range(2)) if where == "inside" else None
        self.last = nn.LayerNorm(16) if where in ("before", "inside") else None
        self.temperature = nn.Parameter(torch.tensor(2.0))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            y = functional.gelu(up(self.first[i](x) if self.last is not None else x))
            x = x + down(y if self.second is None else self.second[i](y))
            x = self.first[i](x) if self.where == "behind" else x
        return self.head(x if self.last is None else self.last(x)) * self.temperature


@pytest.mark.parametrize(
    ("recipe", "text", "silent"),
    [
        ("sub_ln", "stands on a second norm", {"inside"}),
        ("deepnorm", "stands on norms on the stream", {"behind"}),
        ("tfixup", "for models without norms", {"none"}),
        ("mamba2", "decay rates and skips", {"before", "inside", "behind", "none"}),
    ],
)
def test_recipes_say_where_norms_are_missing(recipe: str, text: str, silent: set[str]) -> None:
    for where in ("before", "inside", "behind", "none"):
        plan = wb.plan(Normed(where), TEXT % 50, recipe=recipe, seed=0)
        assert any(text in note for note in plan.notes) == (where not in silent), where


@pytest.mark.parametrize(("width", "n", "m"), [(64, 2, 3), (96, 4, 2)])
def test_ds_init(width: int, n: int, m: int) -> None:
    """Everything in block l over sqrt(l), counted in encoder and decoder by themselves."""
    sides = {side: [(i + 1) ** -0.5 for i in range(count)] for side, count in (("encoder", n), ("decoder", m))}
    expected = stacks(width, sides, 310, score=True)
    expected.update({"source.weight": width**-0.5, "target.weight": width**-0.5})
    check(models.Translator(width, n, m), [TEXT, TEXT], "ds_init", expected, control="deepnorm")


@pytest.mark.parametrize("name", ["qwen", "gemma", "peri_ln", "deepseek", "mamba2", "wav2vec2"])
def test_against_the_initialization_of_transformers(name: str) -> None:
    """Measured stds of fresh models: where its code departs from what was published, the tensors are left out."""
    t = pytest.importorskip("transformers")
    common = {
        "hidden_size": 96,
        "num_hidden_layers": 2,
        "vocab_size": 300,
        "pad_token_id": 0,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128}
    skip: tuple[str, ...] = ()
    if name == "qwen":
        made, config = t.Qwen2ForCausalLM, t.Qwen2Config(**common, **heads, tie_word_embeddings=False)
    elif name == "gemma":
        made, config = t.GemmaForCausalLM, t.GemmaConfig(**common, **heads, head_dim=24)
    elif name == "peri_ln":  # Gemma 2 has norms on both sides of its branches
        made, config = t.Gemma2ForCausalLM, t.Gemma2Config(**common, **heads, head_dim=24)
    elif name == "deepseek":
        made, sizes = t.DeepseekV3ForCausalLM, {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8}
        sizes |= {"v_head_dim": 16, "qk_nope_head_dim": 16, "n_routed_experts": 8, "n_group": 2, "topk_group": 2}
        sizes |= {"moe_intermediate_size": 32, "first_k_dense_replace": 1, "num_experts_per_tok": 2}
        config = t.DeepseekV3Config(**common, **{**heads, "num_key_value_heads": 4}, **sizes, initializer_range=0.006)
        skip = ("layers.1.mlp",)  # experts that no token of this batch goes to
    elif name == "mamba2":
        sizes = {"num_heads": 8, "head_dim": 24, "state_size": 16, "n_groups": 1, "chunk_size": 8}
        made, config = (
            t.Mamba2ForCausalLM,
            t.Mamba2Config(**common, **sizes, rescale_prenorm_residual=True, initializer_range=0.02),
        )
        skip = ("in_proj", "A_log", "dt_bias", "lm_head", "conv1d.bias")  # a normal in its port; kept here
    else:
        sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
        sizes |= {"conv_dim": (32, 48), "conv_stride": (5, 2), "conv_kernel": (10, 3), "num_conv_pos_embeddings": 16}
        made, config = t.Wav2Vec2ForCTC, t.Wav2Vec2Config(**sizes, num_conv_pos_embedding_groups=4, vocab_size=40)
        skip = ("pos_conv_embed", "masked_spec_embed")  # filled through a parametrization, which leaves torch's values
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = made(config)
    batch = {"input_values": torch.zeros(2, 400)} if name == "wav2vec2" else {"input_ids": TEXT}
    assert compare(model, batch, name, skip=skip) >= 5
    with pytest.raises(AssertionError):
        compare(model, batch, "classic", skip=skip)


def test_states_of_mamba2() -> None:
    """A = log U(1, 16), where its port counts heads; time steps log-uniform in 0.001 ... 0.1; skips 1."""
    t = pytest.importorskip("transformers")
    sizes = {"num_heads": 64, "head_dim": 2, "hidden_size": 64, "state_size": 16, "n_groups": 1, "chunk_size": 8}
    config = t.Mamba2Config(**sizes, num_hidden_layers=1, vocab_size=50, pad_token_id=0, bos_token_id=0, eos_token_id=0)
    model = t.Mamba2ForCausalLM(config)
    wb.apply(model, wb.plan(model, {"input_ids": TEXT % 50}, recipe="mamba2", seed=0))
    mixer = model.backbone.layers[0].mixer
    rates, steps = mixer.A_log.detach().exp(), functional.softplus(mixer.dt_bias.detach())
    assert 1 <= rates.min() < 3
    assert 12 < rates.max() <= 16
    assert 0.001 * 0.999 <= steps.min() < 0.01
    assert 0.03 < steps.max() <= 0.1 * 1.001
    assert rates.mean() == pytest.approx(8.5, abs=5 * 15 / math.sqrt(12 * 64))
    assert steps.log().mean() == pytest.approx(math.log(0.01), abs=5 * math.log(100) / math.sqrt(12 * 64))
    assert (mixer.D == 1).all()
    assert any(
        "decay rates" in note for note in wb.plan(model, {"input_ids": TEXT % 50}, recipe="mamba2", seed=0).notes
    )
    config = t.MambaConfig(
        hidden_size=32, state_size=8, num_hidden_layers=1, vocab_size=50, pad_token_id=0, bos_token_id=0
    )
    plan = wb.plan(model := t.MambaForCausalLM(config), {"input_ids": TEXT % 50}, recipe="mamba2", seed=0)
    own = model.backbone.layers[0].mixer.A_log.detach().clone()  # one rate for each channel and state
    wb.apply(model, plan)
    assert torch.allclose(model.backbone.layers[0].mixer.A_log, own, atol=1e-6)


# ---------------------------------------------------------------------- images
class Layered(models.ViT):
    """Branches with a layer scale, without the class token of the other."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__(width, layers, fused=True)
        self.gamma = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(2 * layers))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for i, (ln1, ln2, fc1, fc2) in enumerate(zip(self.ln1, self.ln2, self.fc1, self.fc2, strict=True)):
            x = x + self.gamma[2 * i] * self.attend(i, ln1(x))
            x = x + self.gamma[2 * i + 1] * fc2(functional.gelu(fc1(ln2(x))))
        return self.head(self.ln(x)[:, 0])


def vit(layers: int, *, positions: float = 0.02, token: float = 0.02) -> dict[str, float]:
    """0.02 for linear layers; the patches, a convolution, stay as torch has them."""
    names = ("qkv.#", "proj.#", "fc1.#", "fc2.#", "head")
    expected = blocks({f"{name}.weight": 0.02 for name in names}, layers)
    return {**expected, "patches.weight": 1 / math.sqrt(3 * 3 * 64), "positions": positions, "token": token}


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_vision_transformers_of_timm(width: int, layers: int) -> None:
    plan = check(models.ViT(width, layers, fused=True), IMAGES, "deit", vit(layers), control="mae")
    assert start(plan, "fc1.0.bias") == start(plan, "head.bias") == 0
    assert plan["patches.bias"].law.support()[1] == pytest.approx(1 / math.sqrt(3 * 64))
    deep = {f"{name}.{i}.weight": 0.02 / math.sqrt(2 * (i + 1)) for name in ("proj", "fc2") for i in range(layers)}
    expected = {**vit(layers, positions=0.0), **deep, "head.weight": 2e-5}
    check(models.ViT(width, layers, fused=True), IMAGES, "beit", expected, control="deit")


@pytest.mark.parametrize(("width", "layers"), SIZES)
def test_layer_scales(width: int, layers: int) -> None:
    """DINOv2: 1e-5, tokens 1e-6; CaiT: 0.1 up to 18 blocks, 1e-5 up to 24, 1e-6 above."""
    plan = check(Layered(width, layers), IMAGES, "dinov2", vit(layers, token=1e-6), control="deit")
    assert {start(plan, f"gamma.{i}") for i in range(2 * layers)} == {1e-5}
    assert [note for note in plan.notes if "weight decay" in note]
    beit = wb.plan(Layered(width, layers), IMAGES, recipe="beit", seed=0)
    assert start(beit, "gamma.0") == 0.1
    plan = check(Layered(width, layers), IMAGES, "cait", vit(layers), control="dinov2")
    assert {start(plan, f"gamma.{i}") for i in range(2 * layers)} == {0.1}


@pytest.mark.parametrize(("layers", "size"), [(18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6)])
def test_the_layer_scale_of_cait_falls_with_depth(layers: int, size: float) -> None:
    assert start(wb.plan(Layered(8, layers), IMAGES, recipe="cait", seed=0), "gamma.0") == size


class Window(nn.Module):
    """A block of Swin: scores of a window get relative positions from a table."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, width, 8, stride=8), nn.Linear(width, 10)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.table = nn.Parameter(torch.zeros(7 * 7, heads))
        places = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        apart = places[:, None] - places[None] + 3
        self.register_buffer("index", apart[..., 0] * 7 + apart[..., 1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.ln1(x)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index.view(-1)].view(16, 16, -1).permute(2, 0, 1)
        scores = (q * k.shape[-1] ** -0.5) @ k.transpose(-1, -2) + bias
        x = x + self.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + self.fc2(functional.gelu(self.fc1(self.ln2(x))))
        return self.head(x.mean(1))


@pytest.mark.parametrize("width", [64, 96])
def test_swin(width: int) -> None:
    names = ("qkv", "proj", "fc1", "fc2", "head")
    expected = {**{f"{name}.weight": 0.02 for name in names}, "table": 0.02, "patches.weight": 1 / 24}
    check(Window(width), IMAGES, "swin", expected, control="mae")


class DiT(nn.Module):
    """Blocks whose norms are shifted and scaled, and whose branches are gated, by a condition."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.patches, self.labels = nn.Conv2d(4, width, 2, stride=2), nn.Embedding(11, width)
        self.time1, self.time2 = nn.Linear(32, width), nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.ada, self.qkv, self.proj, self.fc1, self.fc2 = (
            nn.ModuleList(nn.Linear(i * width, o * width) for _ in range(layers))
            for i, o in ((1, 6), (1, 3), (1, 1), (1, 4), (4, 1))
        )
        self.last, self.final = nn.Linear(width, 2 * width), nn.Linear(width, 16)

    def forward(self, images: torch.Tensor, steps: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        waves = steps[:, None] * torch.exp(-torch.arange(16) / 4)
        c = self.time2(functional.silu(self.time1(torch.cat([waves.cos(), waves.sin()], -1)))) + self.labels(classes)
        c = functional.silu(c)
        for ada, qkv, proj, fc1, fc2 in zip(self.ada, self.qkv, self.proj, self.fc1, self.fc2, strict=True):
            a, b, g, d, e, h = (part[:, None] for part in ada(c).chunk(6, -1))
            q, k, v = qkv(self.norm(x) * (1 + b) + a).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4).unbind(0)
            x = x + g * proj(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
            x = x + h * fc2(functional.gelu(fc1(self.norm(x) * (1 + e) + d)))
        shift, scale = (part[:, None] for part in self.last(c).chunk(2, -1))
        return self.final(self.norm(x) * (1 + scale) + shift)


@pytest.mark.parametrize(("width", "layers"), [(64, 1), (96, 3)])
def test_dit(width: int, layers: int) -> None:
    """Xavier of what is stored; 0.02 for steps and labels; 0 for modulations and the last layer."""
    mlp = xavier(width, 4 * width)
    named = {
        "qkv.#": xavier(width, 3 * width),
        "proj.#": xavier(width, width),
        "fc1.#": mlp,
        "fc2.#": mlp,
        "ada.#": 0.0,
    }
    named |= {"patches": xavier(16, width), "labels": 0.02, "time1": 0.02, "time2": 0.02, "last": 0.0, "final": 0.0}
    expected = blocks({f"{name}.weight": std for name, std in named.items()}, layers)
    model, batch = DiT(width, layers), [torch.randn(2, 4, 8, 8), torch.ones(2), torch.tensor([1, 2])]
    plan = check(model, batch, "dit", expected, control="mae")
    assert start(plan, "ada.0.bias") == 0
    assert not [note for note in plan.notes if "0 times 0" in note]
    with torch.no_grad():
        assert (model(*batch) == 0).all()


class Detector(nn.Module):
    """Queries and a transformer of torch's own, whose `_reset_parameters` is that of the paper's code."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(32, width, 1)
        self.queries = nn.Embedding(10, width)
        self.transformer = nn.Transformer(width, 4, layers, layers, 2 * width, batch_first=True)
        self.classes, self.boxes = nn.Linear(width, 12), nn.Linear(width, 4)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        memory = self.project(features).flatten(2).transpose(1, 2)
        found = self.transformer(memory, self.queries.weight.expand(len(memory), -1, -1))
        return self.classes(found), self.boxes(found)


@pytest.mark.parametrize(("width", "layers"), [(64, 1), (96, 2)])
def test_detr(width: int, layers: int) -> None:
    """The reference is what torch gives the model: Xavier of each matrix of the transformer as stored."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Detector(width, layers)
    assert compare(model, (2, 32, 6, 6), "detr") >= 12
    with pytest.raises(AssertionError):
        compare(model, (2, 32, 6, 6), "torch")


class Inverted(nn.Module):
    """A block of EfficientNet: wide, depthwise, squeezed, narrow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.Linear(width, 50)
        self.up, self.down = nn.Conv2d(width, 4 * width, 1, bias=False), nn.Conv2d(4 * width, width, 1, bias=False)
        self.depthwise = nn.Conv2d(4 * width, 4 * width, 5, padding=2, groups=4 * width, bias=False)
        self.reduce, self.expand = nn.Conv2d(4 * width, 8, 1), nn.Conv2d(8, 4 * width, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (width, 4 * width, 4 * width, width))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = functional.silu(self.norms[0](self.stem(images)))
        y = functional.silu(self.norms[2](self.depthwise(functional.silu(self.norms[1](self.up(x))))))
        y = y * torch.sigmoid(self.expand(functional.silu(self.reduce(y.mean((2, 3), keepdim=True)))))
        x = x + self.norms[3](self.down(y))
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize("width", [16, 24])
def test_efficientnet(width: int) -> None:
    """sqrt(2 / fan out), of one group where there are several; linear layers U(+-1/sqrt(outputs))."""
    fans = {"stem": 9 * width, "up": 4 * width, "down": width, "depthwise": 25, "reduce": 8, "expand": 4 * width}
    expected = {f"{name}.weight": math.sqrt(2 / fan) for name, fan in fans.items()}
    expected["head.weight"] = 1 / math.sqrt(3 * 50)
    plan = check(Inverted(width), IMAGES, "efficientnet", expected, control="resnet")
    assert plan["head.weight"].law.support()[1] == pytest.approx(50**-0.5)


@pytest.mark.parametrize("width", [16, 24])
def test_adm(width: int) -> None:
    """torch's defaults; the last convolution of each branch and of all is 0, biases too: the output is 0."""
    model = models.ResNet(width, 1, kind="bn")
    weights = {name: p for name, p in model.named_parameters() if p.ndim > 1}
    expected = {name: 1 / math.sqrt(3 * p[0].numel()) for name, p in weights.items()}
    expected |= {"blocks.0.convs.1.weight": 0.0, "blocks.1.convs.1.weight": 0.0, "head.weight": 0.0}
    plan = check(model, IMAGES, "adm", expected, control="torch")
    assert start(plan, "head.bias") == 0


# ---------------------------------------------------------------------- states
class Rwkv(nn.Module):
    """RWKV-7 in its shape: mixing over time with a decay of low rank and a gate, then a perceptron of squares."""

    def __init__(self, width: int, layers: int, *, rank: int = 16, vocabulary: int = 300) -> None:
        super().__init__()

        def line(i: int, o: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Linear(i, o, bias=False) for _ in range(layers))

        self.emb, self.head = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary, bias=False)
        self.r, self.k, self.v, self.o = (line(width, width) for _ in range(4))
        self.w1, self.w2, self.g1, self.g2 = (line(*s) for s in ((width, rank), (rank, width)) * 2)
        self.fk, self.fv = line(width, 3 * width), line(3 * width, width)
        self.w0 = nn.ParameterList(nn.Parameter(torch.linspace(-6, 0, width)) for _ in range(layers))
        self.x_k = nn.ParameterList(nn.Parameter(torch.linspace(0, 1, width)) for _ in range(layers))
        self.ln1, self.ln2 = (nn.ModuleList(nn.LayerNorm(width) for _ in range(layers)) for _ in range(2))
        self.ln_x = nn.ModuleList(nn.GroupNorm(4, width) for _ in range(layers))
        self.ln_out = nn.LayerNorm(width)

    def mix(self, i: int, x: torch.Tensor) -> torch.Tensor:
        xx = functional.pad(x, (0, 0, 1, -1)) - x
        r, k, v = self.r[i](x), self.k[i](x + xx * self.x_k[i]), self.v[i](x)
        decay = torch.exp(-torch.exp(self.w0[i] + self.w2[i](torch.tanh(self.w1[i](x)))))
        state, found = torch.zeros_like(x[:, 0]), []
        for step in range(x.shape[1]):
            state = state * decay[:, step] + k[:, step] * v[:, step]
            found.append(r[:, step] * state)
        y = torch.stack(found, 1)
        y = self.ln_x[i](y.flatten(0, 1)).view_as(y)
        return self.o[i](y * self.g2[i](torch.sigmoid(self.g1[i](x))))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.emb(tokens)
        for i in range(len(self.r)):
            x = x + self.mix(i, self.ln1[i](x))
            x = x + self.fv[i](torch.relu(self.fk[i](self.ln2[i](x))) ** 2)
        return self.head(self.ln_out(x))


@pytest.mark.parametrize(("width", "layers"), [(64, 2), (96, 3)])
def test_rwkv7(width: int, layers: int) -> None:
    """An orthogonal matrix of gain g has entries of std g / sqrt(longer side); keys by a rule, as the note asks."""
    one = width**-0.5
    named = {"r.#": one, "k.#": 0.1 * one, "v.#": one, "o.#": 0.0, "fk.#": (3 * width) ** -0.5, "fv.#": 0.0}
    named |= {"w1.#": 0.0, "g1.#": 0.0, "w2.#": 0.1 * one, "g2.#": 0.1 * one, "emb": 1e-4 / math.sqrt(3)}
    named["head"] = 0.5 * math.sqrt(300 / width) / math.sqrt(300)
    expected = blocks({f"{name}.weight": std for name, std in named.items()}, layers)
    graph = traced(Rwkv(width, layers), models.tokens(2, 4))
    plan = make_plan(graph, recipe="rwkv7", rules=[("k.*", "orthogonal(gain=0.1)")], seed=0)
    for name, std in expected.items():
        assert law_std(plan, name) == pytest.approx(std, rel=0.01), name
    assert [start(plan, f"ln_x.{i}.weight") for i in range(layers)] == pytest.approx(
        [((i + 1) / layers) ** 0.7 for i in range(layers)]
    )
    assert {plan[f"{name}.0"].action for name in ("w0", "x_k")} == {"keep"}
    assert [note for note in plan.notes if "does not tell its keys" in note]
    other = make_plan(graph, recipe="qwen", seed=0)  # the control
    assert law_std(other, "r.0.weight") != pytest.approx(one, rel=0.1)


class Evoformer(nn.Module):
    """Gated attention and a transition, as in AlphaFold."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.head = nn.Linear(20, width), nn.Linear(width, 6)
        self.q, self.k, self.v = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.g, self.o = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.enter(x)
        y = self.ln1(x)
        q, k, v = (part(y).unflatten(-1, (4, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.o(torch.sigmoid(self.g(y)) * mixed)
        x = x + self.down(torch.relu(self.up(self.ln2(x))))
        return self.head(x)


@pytest.mark.parametrize("width", [64, 96])
def test_alphafold(width: int) -> None:
    d = xavier(width, width)
    named = {
        "enter": 20**-0.5,
        "q": d,
        "k": d,
        "v": d,
        "g": 0.0,
        "o": 0.0,
        "up": math.sqrt(2 / width),
        "down": 0.0,
        "head": 0.0,
    }
    expected = {f"{name}.weight": std for name, std in named.items()}
    plan = check(Evoformer(width), (2, 7, 20), "alphafold", expected)
    assert (start(plan, "g.bias"), start(plan, "up.bias")) == (1, 0)


# ---------------------------------------------------------------------- policies and frameworks
@pytest.mark.parametrize(("width", "actions"), [(64, 6), (128, 3)])
def test_stable_baselines(width: int, actions: int) -> None:
    """Orthogonal: an entry has std gain / sqrt(larger side)."""
    expected = {"trunk.0.weight": math.sqrt(2 / width), "trunk.2.weight": math.sqrt(2 / width)}
    expected.update({"policy.weight": 0.01 / math.sqrt(width), "value.weight": 1 / math.sqrt(width)})
    check(models.ActorCritic(width, actions), (4, 8), "stable_baselines", expected)


@pytest.mark.parametrize("width", [32, 48])
def test_sonnet_and_mxnet(width: int) -> None:
    """Sonnet: 1/sqrt(n) before a cut at +-2, tables of std 1 before it, forget bias 1; MXNet: U(-0.07, 0.07)."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.memory = nn.Embedding(50, 24), nn.LSTM(24, width, batch_first=True)
            self.out = nn.Linear(width, 10)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.out(self.memory(self.table(tokens))[0][:, -1])

    names = {
        "table": "table.weight",
        "input": "memory.weight_ih_l0",
        "state": "memory.weight_hh_l0",
        "out": "out.weight",
    }
    by_row = {"table": 1.0, "input": 24**-0.5, "state": width**-0.5, "out": width**-0.5}
    plan = check(Reader(), TEXT % 50, "sonnet", {names[key]: std * CUT_2 for key, std in by_row.items()}, "haiku")
    mean = plan["memory.bias_ih_l0"].moments().mean
    assert mean == pytest.approx(0.25)
    check(Reader(), TEXT % 50, "mxnet", {name: 0.07 / math.sqrt(3) for name in names.values()}, "sonnet")
