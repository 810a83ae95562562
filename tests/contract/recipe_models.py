"""Small models with the architectures that recipes were published for."""

import math

import torch
from torch import nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """Written by hand, as language models do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    """Projections of their own; heads may be narrower than width / heads. `scaled`: divide scores by sqrt(head)."""

    def __init__(self, width: int, heads: int, *, head: int = 0, bias: bool = True, scaled: bool = True) -> None:
        super().__init__()
        self.heads, self.head, self.scaled = heads, head or width // heads, scaled
        inner = heads * self.head
        self.q, self.k, self.v = (nn.Linear(width, inner, bias=bias) for _ in range(3))
        self.o = nn.Linear(inner, width, bias=bias)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], self.heads, self.head).transpose(1, 2)

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        source = x if memory is None else memory
        q, k, v = self.split(self.q(x)), self.split(self.k(source)), self.split(self.v(source))
        scores = q @ k.transpose(-1, -2) * (self.head**-0.5 if self.scaled else 1.0)
        mixed = (scores if bias is None else scores + bias).softmax(-1) @ v
        return self.o(mixed.transpose(1, 2).flatten(2))


class GPT(nn.Module):
    """Pre-norm, fused projections, trained positions."""

    def __init__(self, width: int, layers: int, *, vocabulary: int = 300) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        self.ln1, self.ln2 = (nn.ModuleList(nn.LayerNorm(width) for _ in range(layers)) for _ in range(2))
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(layers))
        self.proj = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.fc = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(layers))
        self.out = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for ln1, qkv, proj, ln2, fc, out in zip(
            self.ln1, self.qkv, self.proj, self.ln2, self.fc, self.out, strict=True
        ):
            q, k, v = (part.unflatten(-1, (4, -1)).transpose(1, 2) for part in qkv(ln1(x)).chunk(3, -1))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + proj(mixed.transpose(1, 2).flatten(2))
            x = x + out(functional.gelu(fc(ln2(x))))
        return self.head(self.ln(x))


class Llama(nn.Module):
    """RMS norms, a gated unit, nothing with biases."""

    def __init__(self, width: int, layers: int, *, vocabulary: int = 300, tied: bool = False) -> None:
        super().__init__()
        hidden = 2 * width
        self.embed = nn.Embedding(vocabulary, width)
        self.norm1, self.norm2 = (nn.ModuleList(RMSNorm(width) for _ in range(layers)) for _ in range(2))
        self.attention = nn.ModuleList(Attention(width, 4, bias=False) for _ in range(layers))
        self.w1, self.w3 = (
            nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(layers)) for _ in range(2)
        )
        self.w2 = nn.ModuleList(nn.Linear(hidden, width, bias=False) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        parts = zip(self.norm1, self.attention, self.norm2, self.w1, self.w2, self.w3, strict=True)
        for norm1, attention, norm2, w1, w2, w3 in parts:
            x = x + attention(norm1(x))
            y = norm2(x)
            x = x + w2(functional.silu(w1(y)) * w3(y))
        return self.head(self.norm(x))


class Block(nn.Module):
    """Self-attention, cross-attention for a decoder, a perceptron; norms "pre", "post" or "none"."""

    def __init__(self, width: int, hidden: int, *, cross: bool, norm: str, head: int, scaled: bool) -> None:
        super().__init__()
        self.norm, self.alpha = norm, 1.5 if norm == "post" else 1.0
        options = {"head": head, "bias": norm != "pre", "scaled": scaled}
        self.attention = Attention(width, 4, **options)
        self.cross = Attention(width, 4, **options) if cross else None
        self.wi, self.wo = nn.Linear(width, hidden), nn.Linear(hidden, width)
        make = RMSNorm if norm == "pre" else nn.LayerNorm
        self.norms = nn.ModuleList(make(width) for _ in range(3 if cross else 2)) if norm != "none" else None

    def add(self, x: torch.Tensor, number: int, function) -> torch.Tensor:
        if self.norms is None:
            return x + function(x)
        if self.norm == "pre":
            return x + function(self.norms[number](x))
        return self.norms[number](self.alpha * x + function(x))

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor | None = None, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = self.add(x, 0, lambda y: self.attention(y, bias=bias))
        if self.cross is not None:
            x = self.add(x, 1, lambda y: self.cross(y, memory))
        return self.add(x, -1, lambda y: self.wo(torch.relu(self.wi(y))))


class Encoder(nn.Module):
    """Tokens -> blocks -> logits."""

    def __init__(self, width: int, layers: int, *, norm: str = "post", hidden: int = 0, vocabulary: int = 300) -> None:
        super().__init__()
        self.embed, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(64, width)
        options = {"cross": False, "norm": norm, "head": 0, "scaled": True}
        self.blocks = nn.ModuleList(Block(width, hidden or 2 * width, **options) for _ in range(layers))
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Translator(nn.Module):
    """Encoder and decoder with cross-attention; relative positions if asked."""

    def __init__(
        self, width: int, encoder: int, decoder: int, *, norm: str = "post", head: int = 0, relative: bool = False
    ) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(300, width), nn.Embedding(310, width)
        options = {"norm": norm, "head": head, "scaled": not relative}
        self.encoder = nn.ModuleList(Block(width, 2 * width, cross=False, **options) for _ in range(encoder))
        self.decoder = nn.ModuleList(Block(width, 2 * width, cross=True, **options) for _ in range(decoder))
        self.relative = nn.Embedding(300, 4) if relative else None
        self.head = nn.Linear(width, 310, bias=False)

    def bias(self, length: int) -> torch.Tensor | None:
        if self.relative is None:
            return None
        steps = torch.arange(length)
        return self.relative((steps[:, None] - steps).abs()).permute(2, 0, 1)

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        x, y = self.source(source), self.target(target)
        for block in self.encoder:
            x = block(x, bias=self.bias(x.shape[1]))
        for block in self.decoder:
            y = block(y, x)
        return self.head(y)


class ViT(nn.Module):
    """Patches, a class token, positions, pre-norm blocks with fused projections if asked."""

    def __init__(self, width: int, layers: int, *, fused: bool = False, classes: int = 40) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.token, self.positions = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 17, width))
        self.ln1, self.ln2 = (nn.ModuleList(nn.LayerNorm(width) for _ in range(layers)) for _ in range(2))
        self.attention = nn.ModuleList(Attention(width, 4) for _ in range(0 if fused else layers))
        self.qkv, self.proj = (
            nn.ModuleList(nn.Linear(width, out) for _ in range(layers if fused else 0)) for out in (3 * width, width)
        )
        self.fc1 = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(layers))
        self.fc2 = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(layers))
        self.ln = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def attend(self, number: int, x: torch.Tensor) -> torch.Tensor:
        if len(self.attention):
            return self.attention[number](x)
        q, k, v = self.qkv[number](x).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.proj[number](mixed.transpose(1, 2).flatten(2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for number, (ln1, ln2, fc1, fc2) in enumerate(zip(self.ln1, self.ln2, self.fc1, self.fc2, strict=True)):
            x = x + self.attend(number, ln1(x))
            x = x + fc2(functional.gelu(fc1(ln2(x))))
        return self.head(self.ln(x)[:, 0])


class ConvNeXt(nn.Module):
    """One stage of depthwise blocks with layer scale."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.depthwise = nn.ModuleList(nn.Conv2d(width, width, 7, padding=3, groups=width) for _ in range(layers))
        self.ln = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(width, 4 * width) for _ in range(layers))
        self.down = nn.ModuleList(nn.Linear(4 * width, width) for _ in range(layers))
        self.gamma = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(layers))
        self.head = nn.Linear(width, 40)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for depthwise, ln, up, down, gamma in zip(self.depthwise, self.ln, self.up, self.down, self.gamma, strict=True):
            y = depthwise(x).permute(0, 2, 3, 1)
            y = gamma * down(functional.gelu(up(ln(y))))
            x = x + y.permute(0, 3, 1, 2)
        return self.head(x.mean((2, 3)))


class Residual(nn.Module):
    """One block of a residual net: `kind` is "bn", "fixup" or "skip" (a scalar multiplier); bottleneck or not."""

    def __init__(self, inputs: int, width: int, stride: int, *, kind: str, bottleneck: bool) -> None:
        super().__init__()
        self.kind, outputs = kind, width * (4 if bottleneck else 1)
        shapes = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        if not bottleneck:
            shapes = [(inputs, width, 3, stride), (width, outputs, 3, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, s, padding=k // 2, bias=False) for i, o, k, s in shapes)
        norms = [nn.BatchNorm2d(conv.out_channels) for conv in self.convs] if kind == "bn" else []
        self.norms = nn.ModuleList(norms)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in self.convs)
        self.scale = nn.Parameter(torch.ones(1)) if kind != "bn" else None
        changes = inputs != outputs or stride != 1
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for number, conv in enumerate(self.convs):
            y = torch.relu(y) if number else y
            y = conv(y + self.biases[number])
            y = self.norms[number](y) if self.kind == "bn" else y
        y = y if self.scale is None else y * self.scale
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet(nn.Module):
    """A stem, two stages, a linear readout."""

    def __init__(self, width: int, layers: int, *, kind: str = "bn", bottleneck: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        blocks, inputs = [], width
        for stage in range(2):
            for number in range(layers):
                inner, stride = width * 2**stage, 2 if stage and not number else 1
                blocks.append(Residual(inputs, inner, stride, kind=kind, bottleneck=bottleneck))
                inputs = inner * (4 if bottleneck else 1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, 40)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(torch.relu(self.stem(images))).mean((2, 3)))


class Siren(nn.Module):
    """Sines of frequency `omega`."""

    def __init__(self, width: int, layers: int, *, omega: float = 30.0) -> None:
        super().__init__()
        self.omega = omega
        self.first = nn.Linear(2, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.last = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.sin(self.omega * self.first(x))
        for layer in self.hidden:
            x = torch.sin(self.omega * layer(x))
        return self.last(x)


class Generator(nn.Module):
    """Of a DCGAN."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(32, 2 * width, 4, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.layers(z)


class ActorCritic(nn.Module):
    """A trunk with two heads, or two trunks."""

    def __init__(self, width: int, actions: int, *, shared: bool = True) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.critic_trunk = None if shared else nn.Sequential(nn.Linear(8, width), nn.Tanh())
        self.policy, self.value = nn.Linear(width, actions), nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.trunk(x) if self.critic_trunk is None else self.critic_trunk(x)
        return self.policy(self.trunk(x)), self.value(seen)


def tokens(*sizes: int) -> torch.Tensor:
    """A batch of tokens."""
    return torch.arange(math.prod(sizes)).reshape(sizes) % 300
