"""Networks for `trainings.py`, as tutorials and papers construct them, small."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Map(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.forward = function


def mlp(*sizes: int, act: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers with a function between them."""
    layers = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers[:-1])


# ---------------------------------------------------------------------- convolutions
def convolutions(*, norm: bool) -> nn.Module:
    """Five convolutions in one dimension."""
    layers: list[nn.Module] = [Map(lambda x: x.unsqueeze(1))]
    for a, b, stride in ((1, 16, 1), (16, 16, 2), (16, 24, 1), (24, 24, 2), (24, 24, 1)):
        layers += [nn.Conv1d(a, b, 5, stride, 2, bias=not norm), *([nn.BatchNorm1d(b)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(240, 10))


class Residual(nn.Module):
    """x + two convolutions, as ResNets have it."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        self.a, self.b = (nn.Conv2d(width, width, 3, padding=1, bias=not norm) for _ in "ab")
        self.na, self.nb = (nn.BatchNorm2d(width) if norm else nn.Identity() for _ in "ab")

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.nb(self.b(torch.relu(self.na(self.a(x))))))


def resnet(*, norm: bool, width: int = 10, blocks: int = 3) -> nn.Module:
    """A stem of stride 2, and blocks."""
    stem = [nn.Conv2d(1, width, 3, 2, 1, bias=not norm), nn.BatchNorm2d(width) if norm else nn.Identity(), nn.ReLU()]
    body = [Residual(width, norm=norm) for _ in range(blocks)]
    return nn.Sequential(*stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class Dense(nn.Module):
    """A layer that gets everything before it, concatenated."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(width), nn.Conv2d(width, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(torch.relu(self.norm(x)))], 1)


def densenet(width: int = 8, growth: int = 6, layers: int = 3) -> nn.Module:
    """A small densely concatenated net."""
    body = [Dense(width + i * growth, growth) for i in range(layers)]
    last = width + layers * growth
    head = [nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 10)]
    return nn.Sequential(nn.Conv2d(1, width, 3, 2, 1, bias=False), *body, *head)


def discriminator(width: int = 12) -> nn.Module:
    """DCGAN's: leaky ReLU, batch norms, weights of 0.02."""
    layers: list[nn.Module] = [nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.LeakyReLU(0.2)]
    model = nn.Sequential(*layers, nn.Conv2d(2 * width, 1, 3), nn.Flatten(0))
    for module in model:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return model


class UNet(nn.Module):
    """A denoiser with time, group norms, a skip, and a last convolution that starts at zero."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.down, self.middle = nn.Conv2d(width, 2 * width, 3, 2, 1), nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up, self.merge = nn.Conv2d(2 * width, width, 3, padding=1), nn.Conv2d(2 * width, width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(4, c) for c in (width, 2 * width, 2 * width, width))
        self.last = nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        angle = time[:, None] * torch.arange(1, 9)
        x = self.stem(x) + self.time(torch.cat([angle.sin(), angle.cos()], 1))[:, :, None, None]
        y = self.down(functional.silu(self.norms[0](x)))
        y = y + self.middle(functional.silu(self.norms[1](y)))
        y = functional.interpolate(self.up(functional.silu(self.norms[2](y))), scale_factor=2)
        return self.last(functional.silu(self.norms[3](self.merge(torch.cat([x, y], 1)))))


# ---------------------------------------------------------------------- recurrent
class Recurrent(nn.Module):
    """Recurrent layers that classify sequences, or predict characters."""

    def __init__(self, kind: type[nn.RNNBase], inputs: int, width: int, outputs: int, *, table: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, inputs) if table else nn.Identity()
        self.body, self.head, self.last = kind(inputs, width, batch_first=True), nn.Linear(width, outputs), not table

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(self.embed(x))[0]
        return self.head(y[:, -1] if self.last else y)


class Reader(nn.Module):
    """An LSTM that reads, and one that writes from its state."""

    def __init__(self, width: int = 40) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 16)
        self.encoder, self.decoder = nn.LSTM(16, width, batch_first=True), nn.LSTM(16, width, batch_first=True)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        return self.head(self.decoder(self.table(given), self.encoder(self.table(x))[1])[0])


# ---------------------------------------------------------------------- transformers
class Attention(nn.Module):
    """Self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int, *, causal: bool) -> None:
        super().__init__()
        self.qkv, self.out, self.heads = nn.Linear(width, 3 * width), nn.Linear(width, width), heads
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        q, k, v = self.qkv(x).view(rows, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        if self.causal:
            score = score + torch.full((length, length), -math.inf).triu(1)
        return self.out((score.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    """Attention and an MLP with norms on the way in (or behind the sum)."""

    def __init__(self, width: int, heads: int = 4, *, causal: bool = False, post: bool = False) -> None:
        super().__init__()
        self.a, self.b = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.mlp = Attention(width, heads, causal=causal), mlp(width, 4 * width, width, act=nn.GELU)
        self.post = post

    def forward(self, x: Tensor) -> Tensor:
        if self.post:
            x = self.a(x + self.attention(x))
            return self.b(x + self.mlp(x))
        x = x + self.attention(self.a(x))
        return x + self.mlp(self.b(x))


class GPT(nn.Module):
    """A character model, as minGPT constructs it: N(0, 0.02), less at the ends of branches."""

    def __init__(self, width: int = 32, layers: int = 2) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(100, width), nn.Embedding(32, width)
        self.blocks = nn.Sequential(*(Block(width, causal=True) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 100, bias=False)
        for name, p in self.named_parameters():
            if p.ndim == 2:
                ends = name.endswith(("out.weight", "mlp.2.weight"))
                nn.init.normal_(p, 0.0, 0.02 / math.sqrt(2 * layers) if ends else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.token(ids) + self.place(torch.arange(ids.shape[1]))
        return self.head(self.norm(self.blocks(x)))


def pieces(x: Tensor, size: int = 3) -> Tensor:
    """Patches of an image as rows."""
    return functional.unfold(x, size, stride=size).transpose(1, 2)


class ViT(nn.Module):
    """Patches, a class token, positions of 0.02, and torch's own initialization for the rest."""

    def __init__(self, width: int = 24, layers: int = 2) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(9, width), nn.Linear(width, 10)
        self.token, self.place = (nn.Parameter(0.02 * torch.randn(1, n, width)) for n in (1, 17))
        self.blocks, self.norm = nn.Sequential(*(Block(width) for _ in range(layers))), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(pieces(x))
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class Mixing(nn.Module):
    """MLPs over tokens and over channels."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.a, self.b = nn.LayerNorm(width), nn.LayerNorm(width)
        self.tokens = mlp(tokens, 2 * tokens, tokens, act=nn.GELU)
        self.channels = mlp(width, 3 * width, width, act=nn.GELU)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.a(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.b(x))


def mixer(width: int = 24, layers: int = 3) -> nn.Module:
    """MLP-Mixer."""
    body = [Mixing(width, 16) for _ in range(layers)]
    ends = [nn.LayerNorm(width), Map(lambda x: x.mean(1)), nn.Linear(width, 10)]
    return nn.Sequential(Map(pieces), nn.Linear(9, width), *body, *ends)


class Forecast(nn.Module):
    """PatchTST: pieces of a series, positions, an encoder with norms behind sums, and one flat readout."""

    def __init__(self, width: int = 24, layers: int = 2) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, width), nn.Linear(width * 8, 16)
        self.place = nn.Parameter(torch.empty(8, width).uniform_(-0.02, 0.02))
        self.blocks = nn.Sequential(*(Block(width, post=True) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        mean, std = x.mean(1, keepdim=True), x.std(1, keepdim=True)
        y = self.stem(((x - mean) / std).view(-1, 8, 8)) + self.place
        return self.head(self.blocks(y).flatten(1)) * std + mean


# ---------------------------------------------------------------------- others
class Spline(nn.Module):
    """A layer of a KAN: functions on edges, of hats on a grid, beside SiLU."""

    def __init__(self, inputs: int, outputs: int, grid: int = 8) -> None:
        super().__init__()
        self.register_buffer("grid", torch.linspace(-2, 2, grid))
        self.base = nn.Parameter(torch.empty(outputs, inputs))
        self.spline = nn.Parameter(0.1 * (torch.rand(outputs, inputs, grid) - 0.5) / grid)
        nn.init.kaiming_uniform_(self.base, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        hats = torch.relu(1 - (x[..., None] - self.grid).abs() * (len(self.grid) - 1) / 4)
        edges = functional.linear(hats.flatten(-2), self.spline.flatten(1))
        return functional.linear(functional.silu(x), self.base) + edges


class Sines(nn.Module):
    """SIREN, with its own initialization."""

    def __init__(self, width: int = 48, layers: int = 3) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width if i else 2, width) for i in range(layers))
        self.head = nn.Linear(width, 3)
        for i, layer in enumerate((*self.layers, self.head)):
            bound = math.sqrt(6 / width) / 30 if i else 1 / 2
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.sin(30 * layer(x))
        return self.head(x)


class VAE(nn.Module):
    """A variational autoencoder; the noise is given."""

    def __init__(self, width: int = 64, latent: int = 8) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(64, width, width, 2 * latent), mlp(latent, width, width, 64)

    def forward(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log = self.encoder(x).chunk(2, -1)
        return self.decoder(mean + noise * torch.exp(log / 2)), mean, log


class GCN(nn.Module):
    """Three graph convolutions with Xavier's weights and zero biases."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in ((8, width), (width, width), (width, 4)))
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = torch.relu(adjacency @ layer(x))
        return adjacency @ self.layers[-1](x)


class Bag(nn.Module):
    """A bag of words and a readout, as torchtext's tutorial constructs it."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.table, self.head = nn.EmbeddingBag(1000, width), nn.Linear(width, 8)
        for p in (self.table.weight, self.head.weight):
            nn.init.uniform_(p, -0.5, 0.5)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table(ids))


class Experts(nn.Module):
    """Two layers of which the inner one is a choice of two experts of four."""

    def __init__(self, width: int = 32, experts: int = 4) -> None:
        super().__init__()
        self.stem, self.router, self.head = nn.Linear(40, width), nn.Linear(width, experts), nn.Linear(width, 10)
        self.up = nn.Parameter(torch.empty(experts, width, 2 * width))
        self.down = nn.Parameter(torch.empty(experts, 2 * width, width))
        for p in (self.up, self.down):
            nn.init.uniform_(p, -(p.shape[1] ** -0.5), p.shape[1] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        score = self.router(x)
        score = score.masked_fill(score < score.topk(2).values[:, -1:], -math.inf).softmax(-1)
        y = torch.einsum("beh,eho->beo", torch.relu(torch.einsum("bi,eih->beh", x, self.up)), self.down)
        return self.head(x + (y * score[..., None]).sum(1))


class Coupling(nn.Module):
    """RealNVP: one coordinate is moved and stretched by a function of the other, in turn."""

    def __init__(self, width: int = 32, layers: int = 4) -> None:
        super().__init__()
        self.nets = nn.ModuleList(mlp(1, width, width, 2, act=nn.Tanh) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        a, b, total = x[:, :1], x[:, 1:], torch.zeros_like(x[:, :1])
        for net in self.nets:
            scale, shift = net(a).chunk(2, -1)
            a, b, total = b * torch.exp(torch.tanh(scale)) + shift, a, total + torch.tanh(scale)
        return ((a**2 + b**2) / 2 + math.log(2 * math.pi) - total)[:, 0]


class DeepSets(nn.Module):
    """A function of each element, a sum, and a function of that."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.phi, self.rho = mlp(2, width, width), mlp(width, width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.rho(torch.relu(self.phi(x)).sum(1))


def policy(width: int = 48) -> nn.Module:
    """An actor as PPO's implementations construct it: orthogonal, and 0.01 at its head."""
    model = mlp(8, width, width, 4, act=nn.Tanh)
    for layer, gain in zip((model[0], model[2], model[4]), (math.sqrt(2), math.sqrt(2), 0.01), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return model


class Configured(nn.Module):
    """A model of transformers from its config, whose logits are the output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        import transformers

        transformers.logging.set_verbosity_error()
        common = {"vocab_size": 104, "attn_implementation": "eager"}
        if kind == "t5":
            sizes = {"d_model": 32, "d_kv": 8, "d_ff": 96, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
            self.body = transformers.T5ForConditionalGeneration(transformers.T5Config(**common | sizes))
        else:
            sizes = {"hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
            sizes |= {"max_position_embeddings": 32}
            if kind == "llama":
                self.body = transformers.LlamaForCausalLM(transformers.LlamaConfig(**common | sizes))
            else:
                drop = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
                self.body = transformers.BertForMaskedLM(transformers.BertConfig(**common | sizes | drop))

    def forward(self, ids: Tensor, given: Tensor | None = None) -> Tensor:
        if given is None:
            return self.body(input_ids=ids).logits
        return self.body(input_ids=ids, decoder_input_ids=given).logits
