"""Models with initializations that are known to be good or bad, for the test of `check` and the benchmark that trains.

Good: defaults of frameworks as people train them, and recipes. Bad: what bug reports are about, with the codes of which
one must be found.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import zoo
from torch import nn
from torch.nn import functional

import wellbegun as wb

Made = tuple[nn.Module, Any]


class Case(NamedTuple):
    """A model and its batch; `expected` is empty for good ones, else the codes of which one must be found."""

    name: str
    make: Callable[[], Made]
    expected: frozenset[str] = frozenset()


CASES: dict[str, Case] = {}


def case(name: str, *expected: str) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        assert name not in CASES
        CASES[name] = Case(name, make, frozenset(expected))
        return make

    return register


def cases(names: dict[str, Callable[[], Made]]) -> None:
    for name, make in names.items():
        case(name)(make)


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tokens(*shape: int, below: int = 50) -> torch.Tensor:
    return torch.randint(2, below, shape, generator=torch.Generator().manual_seed(0))


@functools.cache
def digits() -> torch.Tensor:
    from sklearn.datasets import load_digits

    return torch.tensor(load_digits().data[:64], dtype=torch.float32) / 16


def pictures() -> torch.Tensor:
    return digits().reshape(-1, 1, 8, 8)


def filled(model: nn.Module, batch: Any, recipe: str = "classic", *rules: tuple[str, str]) -> nn.Module:
    wb.apply(model, wb.plan(model, batch, recipe=recipe, rules=list(rules), seed=0))
    return model


# ---------------------------------------------------------------------- models
def mlp(depth: int, activation: type[nn.Module], width: int = 64, *, norm: bool = False, drop: float = 0) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(64 if i == 0 else width, width), *([nn.BatchNorm1d(width)] if norm else []), activation()]
        layers += [nn.Dropout(drop)] if drop else []
    return nn.Sequential(*layers, nn.Linear(width, 10))


class Function(nn.Module):
    """An activation written inline."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def inline(function: Callable[[torch.Tensor], torch.Tensor], depth: int = 4) -> nn.Module:
    return mlp(depth, functools.partial(Function, function))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, norm: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=not norm)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not norm)
        self.norm1, self.norm2 = (nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)) if norm else (nn.Identity(),) * 2
        change = inputs != outputs or stride > 1
        self.short = nn.Conv2d(inputs, outputs, 1, stride) if change else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.short(x) + self.norm2(self.conv2(h)))


def resnet(blocks: int = 3, *, norm: bool = True) -> nn.Module:
    stages = [Block(16, 16, norm=norm) for _ in range(blocks)] + [Block(16, 32, 2, norm=norm)]
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16) if norm else nn.Identity(),
        nn.ReLU(),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class Residual(nn.Module):
    """x + down(relu(up(x))), without normalization."""

    def __init__(self, blocks: int, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.up = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.head = nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(torch.relu(up(x)))
        return self.head(x)


class Tied(nn.Module):
    """A language model whose readout is its embedding."""

    def __init__(self, std: float | None = None, width: int = 64, vocabulary: int = 200) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(32, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.ModuleList([layer, nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.embed.weight
        for table in (self.embed, self.position) if std is not None else ():
            nn.init.normal_(table.weight, std=std)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.position(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


class Attention(nn.Module):
    """Attention written by hand, or the fused one."""

    def __init__(self, *, fused: bool, causal: bool = False, width: int = 32) -> None:
        super().__init__()
        self.fused, self.causal = fused, causal
        self.norm = nn.LayerNorm(width)
        self.q, self.k, self.v = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.out, self.head = nn.Linear(width, width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(x)
        q, k, v = (layer(h).unflatten(-1, (4, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if self.fused:
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        else:
            mixed = torch.softmax(q @ k.mT / q.shape[-1] ** 0.5, dim=-1) @ v
        return self.head(x + self.out(mixed.transpose(1, 2).flatten(2)))


class Language(nn.Module):
    def __init__(self, kind: type[nn.Module] = nn.LSTM) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32)
        self.cell = kind(32, 48, num_layers=2, batch_first=True)
        self.head = nn.Linear(48, 50)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(self.embed(tokens))[0])


class Parallel(nn.Module):
    """Two sides of the same shape whose outputs are added."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.one(x)) + torch.relu(self.two(x)))


class Cut(nn.Module):
    """A layer whose output is detached, or which is never called."""

    def __init__(self, *, detached: bool) -> None:
        super().__init__()
        self.detached = detached
        self.one, self.two, self.head = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.one(x))
        if self.detached:
            x = x.detach()
            return self.head(torch.relu(self.two(x)))
        return self.head(x)


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
        self.decode = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x))


class Scaled(nn.Module):
    """Pre-norm blocks behind scales of 1e-6, as in ConvNeXt and CaiT."""

    def __init__(self, scale: float = 1e-6, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Linear(64, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(3))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(3))
        self.scales = nn.ParameterList(torch.full((width,), scale) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for norm, up, down, scale in zip(self.norms, self.ups, self.downs, self.scales, strict=True):
            x = x + scale * down(functional.gelu(up(norm(x))))
        return self.head(self.norm(x))


def hugging(name: str, width: int = 32, *, training: bool = False, layers: int = 2, **options: Any) -> Made:
    import transformers as hf

    size = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers, "num_attention_heads": 4}
    text = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, **size, **options}
    batch: Any = {"input_ids": tokens(4, 12)}
    if name == "gpt2":
        own = {"vocab_size": 50, "n_positions": 32, "n_embd": width, "n_layer": layers, "n_head": 4, **options}
        model = hf.GPT2LMHeadModel(hf.GPT2Config(bos_token_id=0, eos_token_id=1, **own))
    elif name == "bert":
        model = hf.BertForMaskedLM(hf.BertConfig(max_position_embeddings=32, **text))
    elif name == "llama":
        model = hf.LlamaForCausalLM(hf.LlamaConfig(num_key_value_heads=2, **text))
    elif name == "qwen2":
        model = hf.Qwen2ForCausalLM(hf.Qwen2Config(num_key_value_heads=2, tie_word_embeddings=True, **text))
    elif name == "t5":
        own = {"d_model": width, "d_kv": width // 4, "d_ff": 2 * width, "num_layers": layers, "num_heads": 4, **options}
        model = hf.T5ForConditionalGeneration(hf.T5Config(vocab_size=50, **own))
        batch = {"input_ids": tokens(4, 8), "decoder_input_ids": tokens(4, 6)}
    else:
        image = {"image_size": 16, "patch_size": 4, "num_labels": 10, **size}
        model = hf.ViTForImageClassification(hf.ViTConfig(**image))
        batch = {"pixel_values": drawn(16, 3, 16, 16)}
    return model.train(training), batch


def gan(*, generator: bool, std: float | None = None) -> Made:
    up = [
        nn.ConvTranspose2d(16, 32, 4, 1, 0, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(True),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(True),
        nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    ]
    down = [
        nn.Conv2d(3, 16, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(32, 1, 4, 1, 0, bias=False),
        nn.Flatten(),
    ]
    model = nn.Sequential(*(up if generator else down))
    for layer in model if std is not None else ():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, std)
        elif hasattr(layer, "weight"):
            nn.init.normal_(layer.weight, 0.0, std)
    return model, drawn(16, 16, 1, 1) if generator else drawn(16, 3, 16, 16)


def changed(make: Callable[[], Made], change: Callable[[Any], object]) -> Made:
    model, batch = make()
    with torch.no_grad():
        change(model)
    return model, batch


# ---------------------------------------------------------------------- good
def zero_gamma() -> nn.Module:
    model = resnet()
    for block in model:
        if isinstance(block, Block):
            nn.init.zeros_(block.norm2.weight)
    return model


def unet() -> nn.Module:
    return zoo.UNet()


cases(
    {
        "MLP, 2 layers, ReLU, default": lambda: (mlp(2, nn.ReLU), digits()),
        "MLP, 5 layers, tanh, default": lambda: (mlp(5, nn.Tanh), digits()),
        "MLP, 3 layers, GELU, default, dropout": lambda: (mlp(3, nn.GELU, drop=0.3).train(), digits()),
        "MLP, 2 layers, sigmoid, default": lambda: (mlp(2, nn.Sigmoid), digits()),
        "MLP, 10 layers, ReLU, batch norm, default": lambda: (mlp(10, nn.ReLU, norm=True), digits()),
        "MLP, 4 layers, PReLU, default": lambda: (mlp(4, nn.PReLU), digits()),
        "ResNet, default, train": lambda: (resnet().train(), pictures()),
        "ResNet, default, eval": lambda: (resnet().eval(), pictures()),
        "ResNet, zero gamma": lambda: (zero_gamma(), pictures()),
        "U-Net, default": lambda: (unet(), drawn(4, 1, 16, 16)),
        "LSTM language model, default": lambda: (Language(), tokens(8, 12)),
        "GRU language model, default": lambda: (Language(nn.GRU), tokens(8, 12)),
        "DCGAN generator, its init": lambda: gan(generator=True, std=0.02),
        "DCGAN generator, default": lambda: gan(generator=True),
        "DCGAN discriminator, its init": lambda: gan(generator=False, std=0.02),
        "autoencoder with sigmoid, default": lambda: (Autoencoder(), digits()),
        "layer scales of 1e-6": lambda: (Scaled(), digits()),
        "transformer encoder of torch, default": lambda: (
            nn.Sequential(
                nn.Linear(16, 32),
                nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 3),
                nn.Linear(32, 10),
            ).train(),
            drawn(8, 12, 16),
        ),
        "GPT-2, width 32": lambda: hugging("gpt2"),
        "GPT-2, width 256": lambda: hugging("gpt2", 256, layers=4),
        "GPT-2, dropout": lambda: hugging("gpt2", 64, training=True),
        "BERT": lambda: hugging("bert"),
        "BERT, width 128, dropout": lambda: hugging("bert", 128, training=True),
        "ViT": lambda: hugging("vit"),
        "ViT, width 128": lambda: hugging("vit", 128),
        "Llama": lambda: hugging("llama"),
        "Llama, width 128, 6 layers": lambda: hugging("llama", 128, layers=6),
        "Qwen 2, tied": lambda: hugging("qwen2"),
        "T5": lambda: hugging("t5"),
        "tied transformer, std 0.02": lambda: (Tied(0.02), tokens(8, 12, below=200)),
        "zero readout": lambda: (filled(mlp(4, nn.ReLU), digits(), "classic", ("8.weight", "zeros")), digits()),
        "zero branches": lambda: (filled(Residual(6), digits(), "auto", ("down.*", "zeros")), digits()),
        "He, 20 layers, ReLU": lambda: (filled(mlp(20, nn.ReLU), digits()), digits()),
        "auto, 50 layers, ReLU": lambda: (filled(mlp(50, nn.ReLU), digits(), "auto"), digits()),
        "auto, 30 layers, tanh": lambda: (filled(mlp(30, nn.Tanh), digits(), "auto"), digits()),
        "auto, residual net without norm": lambda: (filled(Residual(24), digits(), "auto"), digits()),
        "auto, ResNet without norm": lambda: (filled(resnet(norm=False), pictures(), "auto"), pictures()),
        "auto, GPT-2": lambda: (filled(hugging("gpt2")[0], hugging("gpt2")[1], "auto"), hugging("gpt2")[1]),
        "attention by hand, default": lambda: (Attention(fused=False), drawn(8, 12, 32)),
        "attention, fused and causal, default": lambda: (Attention(fused=True, causal=True), drawn(8, 12, 32)),
    }
)


# ---------------------------------------------------------------------- bad
def plain(rule: str, depth: int = 10, activation: type[nn.Module] = nn.ReLU) -> Made:
    return filled(mlp(depth, activation), digits(), "classic", ("*.weight", rule)), digits()


def layer(number: int, factor: float, depth: int = 10, activation: type[nn.Module] = nn.ReLU) -> Made:
    return changed(lambda: plain("he_normal", depth, activation), lambda m: m[2 * number].weight.mul_(factor))


def bad(name: str, *expected: str) -> Callable[[Callable[[], Made]], None]:
    def register(make: Callable[[], Made]) -> None:
        case(name, *expected)(make)

    return register


bad("normal of std 0.01, 10 layers", "W101", "W201")(lambda: plain("normal(std=0.01)"))
bad("normal of std 1, 10 layers", "W102", "W202")(lambda: plain("normal(std=1.0)"))
bad("all zeros", "W301")(lambda: (filled(mlp(3, nn.ReLU), digits(), "classic", ("*", "zeros")), digits()))
bad("constant weights", "W301")(lambda: plain("constant(0.1)", 3))
bad("Xavier, 30 layers, ReLU", "W101", "W201")(lambda: plain("xavier_normal", 30))
bad("default of torch, 30 layers, ReLU", "W201")(lambda: (mlp(30, nn.ReLU), digits()))
bad("default of torch, 10 layers, sigmoid", "W201")(lambda: (mlp(10, nn.Sigmoid), digits()))
bad("orthogonal of gain 0.7, 40 layers, tanh", "W101", "W201")(lambda: plain("orthogonal(gain=0.7)", 40, nn.Tanh))
bad("tanh with weights of std 0.6", "W702", "W202")(lambda: plain("normal(std=0.6)", 10, nn.Tanh))
bad("embeddings N(0, 1) tied to the head", "W501")(lambda: (Tied(), tokens(8, 12, below=200)))
bad("GPT-2 with N(0, 1) embeddings", "W501")(
    lambda: changed(lambda: hugging("gpt2", 64), lambda m: m.transformer.wte.weight.normal_())
)
bad("T5 with a head of std 1", "W501")(
    lambda: changed(lambda: hugging("t5", 64, tie_word_embeddings=False), lambda m: m.lm_head.weight.normal_())
)
bad("readout times 100", "W501")(lambda: layer(10, 100.0))
bad("no depth scale, 24 blocks", "W102")(lambda: (filled(Residual(24), digits(), "classic"), digits()))
bad("dead ReLU by biases of -10", "W701")(
    lambda: (filled(mlp(3, nn.ReLU), digits(), "classic", ("2.bias", "constant(-10)")), digits())
)
bad("dead convolution", "W701")(
    lambda: changed(lambda: (resnet(norm=False), pictures()), lambda m: m[3].conv1.bias.fill_(-50.0))
)
bad("saturated tanh", "W702")(lambda: layer(1, 50.0, 4, nn.Tanh))
bad("saturated sigmoid by its biases", "W702", "W701")(
    lambda: changed(lambda: (mlp(3, nn.Sigmoid), digits()), lambda m: m[2].bias.fill_(12.0))
)
bad("saturated hard tanh, inline", "W702", "W701")(
    lambda: changed(lambda: (inline(lambda x: x.clamp(-1, 1)), digits()), lambda m: m[0].weight.mul_(200))
)
bad("saturated softsign, inline", "W702", "W701")(
    lambda: changed(lambda: (inline(lambda x: x / (1 + x.abs())), digits()), lambda m: m[2].weight.mul_(1000))
)
bad("large logits by hand", "W601", "W602")(
    lambda: changed(
        lambda: (Attention(fused=False), drawn(8, 12, 32)), lambda m: (m.q.weight.mul_(10), m.k.weight.mul_(10))
    )
)
bad("large logits, fused and causal", "W601", "W602")(
    lambda: changed(
        lambda: (Attention(fused=True, causal=True), drawn(8, 12, 32)),
        lambda m: (m.q.weight.mul_(10), m.k.weight.mul_(10)),
    )
)
bad("GPT-2 with queries and keys times 50", "W601", "W602")(
    lambda: changed(lambda: hugging("gpt2", 64), lambda m: m.transformer.h[1].attn.c_attn.weight[:, :128].mul_(50))
)
bad("half of the units copied", "W301")(
    lambda: changed(
        lambda: (mlp(3, nn.ReLU), digits()),
        lambda m: [
            m[2].weight[1::2].copy_(m[2].weight[::2]),
            m[2].bias[1::2].copy_(m[2].bias[::2]),
            m[4].weight[:, 1::2].copy_(m[4].weight[:, ::2]),
        ],
    )
)
bad("copied layers, in series", "W302")(
    lambda: changed(lambda: (mlp(4, nn.ReLU), digits()), lambda m: m[4].load_state_dict(m[2].state_dict()))
)
bad("copied layers, side by side", "W302")(
    lambda: changed(lambda: (Parallel(), digits()), lambda m: m.two.load_state_dict(m.one.state_dict()))
)
bad("nan in a weight", "W401")(lambda: layer(2, float("nan"), 4))
bad("inf in a bias", "W401")(
    lambda: changed(lambda: (mlp(3, nn.ReLU), digits()), lambda m: m[2].bias[3:4].fill_(float("inf")))
)
bad("memory never written", "W401", "W102")(lambda: layer(2, 1e37, 4))
bad("a detached layer", "W801")(lambda: (Cut(detached=True), digits()))
bad("a layer never called", "W802")(lambda: (Cut(detached=False), digits()))
bad("layer 5 of 10 times 1e-4", "W101", "W201")(lambda: layer(5, 1e-4))
bad("layer 5 of 10 times 1e4", "W102", "W202")(lambda: layer(5, 1e4))
bad("a convolution of zeros", "W301")(
    lambda: changed(lambda: (resnet(norm=False), pictures()), lambda m: m[0].weight.zero_())
)
bad("ViT with patches of zeros", "W301")(
    lambda: changed(lambda: hugging("vit"), lambda m: m.vit.embeddings.patch_embeddings.projection.weight.zero_())
)
bad("LSTM of zeros", "W301")(
    lambda: changed(lambda: (Language(), tokens(8, 12)), lambda m: [p.zero_() for p in m.cell.parameters()])
)
bad("ResNet without norm, stem times 1e-6", "W103")(
    lambda: changed(lambda: (resnet(norm=False).eval(), pictures()), lambda m: m[0].weight.mul_(1e-6))
)
bad("all samples look the same", "W103", "W702", "W701", "W101")(
    lambda: changed(lambda: (mlp(4, nn.Tanh), digits()), lambda m: (m[2].weight.mul_(1e-7), m[4].weight.mul_(1.0)))
)
bad("residual net without norm, std 0.3", "W102", "W202")(
    lambda: (filled(Residual(12), digits(), "classic", ("*.weight", "normal(std=0.3)")), digits())
)
