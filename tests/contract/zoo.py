"""Small models written by hand, one for each family, and how real ones are configured small."""

import math

import torch
from torch import nn
from torch.nn import functional


class TimeUNet(nn.Module):
    """Diffusion U-Net: a time embedding made of sines, added in each block; concatenated skips; one attention."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        self.enter = nn.Conv2d(3, width, 3, padding=1)
        self.down = TimeBlock(width, width, 4 * width)
        self.shrink = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.middle = TimeBlock(width, 2 * width, 4 * width)
        self.qkv = nn.Conv1d(2 * width, 6 * width, 1)
        self.proj = nn.Conv1d(2 * width, 2 * width, 1)
        self.up = TimeBlock(3 * width, width, 4 * width)
        self.norm = nn.GroupNorm(4, width)
        self.leave = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        half = self.width // 2
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half, dtype=x.dtype) / half)
        time = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        skip = self.down(self.enter(x), time)
        h = self.middle(self.shrink(skip), time)
        q, k, v = self.qkv(h.flatten(2)).chunk(3, dim=1)
        weights = torch.softmax(torch.einsum("bct,bcs->bts", q, k) * q.shape[1] ** -0.5, dim=-1)
        h = h + self.proj(torch.einsum("bts,bcs->bct", weights, v)).view_as(h)
        h = functional.interpolate(h, scale_factor=2, mode="nearest")
        h = self.up(torch.cat([h, skip], dim=1), time)
        return self.leave(functional.silu(self.norm(h)))


class TimeBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(4, inputs), nn.GroupNorm(4, outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time(functional.silu(time))[:, :, None, None]
        return self.skip(x) + self.conv2(functional.silu(self.norm2(h)))


def generator(width: int = 8) -> nn.Sequential:
    """DCGAN: noise to images by strided transposed convolutions."""
    return nn.Sequential(
        nn.ConvTranspose2d(16, 2 * width, 4, 1, 0, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU(True),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(True),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator(width: int = 8) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2, inplace=True),
        nn.utils.parametrizations.spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False)),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(2 * width, 1, 4, 1, 0, bias=False),
        nn.Flatten(),
    )


class UNet(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.down1, self.down2 = double(1, width), double(width, 2 * width)
        self.bottom = double(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.merge2 = double(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge1 = double(2 * width, width)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.down1(x)
        b = self.down2(functional.max_pool2d(a, 2))
        c = self.bottom(functional.max_pool2d(b, 2))
        b = self.merge2(torch.cat([b, self.up2(c)], dim=1))
        return self.head(self.merge1(torch.cat([a, self.up1(b)], dim=1)))


def double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class GCN(nn.Module):
    """adjacency @ x @ W, with W (in, out) a bare parameter."""

    def __init__(self, inputs: int = 12, width: int = 16, outputs: int = 4) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.zeros(inputs, width))
        self.b1 = nn.Parameter(torch.zeros(width))
        self.w2 = nn.Parameter(torch.zeros(width, outputs))

    def forward(self, x: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        h = torch.relu(adjacency @ (x @ self.w1) + self.b1)
        return adjacency @ h @ self.w2


class Messages(nn.Module):
    """A graph layer with edges: gather, a network on each edge, sums scattered to the nodes, a GRU cell."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.edge = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width))
        self.cell = nn.GRUCell(width, width)
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        messages = self.edge(torch.cat([x[edges[0]], x[edges[1]]], dim=-1))
        h = torch.zeros_like(x).index_add_(0, edges[1], messages)
        return self.head(self.cell(h, x)).mean(0)


class Siren(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(2, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.sin(30 * self.second(torch.sin(30 * self.first(x)))))


class Experts(nn.Module):
    """Mixture of experts with weights (E, in, out), biases (E, out) and a top-2 router; three ways to spell it."""

    def __init__(self, way: str, width: int = 16, hidden: int = 24, experts: int = 4) -> None:
        super().__init__()
        self.way = way
        self.router = nn.Linear(width, experts, bias=False)
        self.up = nn.Parameter(torch.zeros(experts, width, 2 * hidden))
        self.bias = nn.Parameter(torch.zeros(experts, 2 * hidden))
        self.down = nn.Parameter(torch.zeros(experts, width, hidden))  # (E, out, in)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores, chosen = torch.softmax(self.router(x), dim=-1).topk(2, dim=-1)
        return self.head(x + getattr(self, self.way)(x, scores, chosen))

    def gathered(self, x: torch.Tensor, scores: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Weights of the chosen experts, one for each token."""
        index = chosen.reshape(-1)
        rows = x.repeat_interleave(2, dim=0).unsqueeze(1)
        gate, value = (torch.bmm(rows, self.up[index]).squeeze(1) + self.bias[index]).chunk(2, dim=-1)
        out = torch.bmm(self.down[index], (functional.silu(gate) * value).unsqueeze(-1)).squeeze(-1)
        return (out.view(*chosen.shape, -1) * scores[..., None]).sum(1)

    def dense(self, x: torch.Tensor, scores: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Every expert on every token, then the chosen ones."""
        h = torch.einsum("nd,edh->enh", x, self.up) + self.bias[:, None]
        gate, value = h.chunk(2, dim=-1)
        out = torch.einsum("enh,edh->end", functional.silu(gate) * value, self.down)
        full = torch.zeros(len(x), len(self.up), dtype=x.dtype).scatter(1, chosen, scores)
        return torch.einsum("end,ne->nd", out, full)

    def looped(self, x: torch.Tensor, scores: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for expert in range(len(self.up)):
            token, slot = torch.where(chosen == expert)
            gate, value = (x[token] @ self.up[expert] + self.bias[expert]).chunk(2, dim=-1)
            h = functional.linear(functional.silu(gate) * value, self.down[expert])
            out.index_add_(0, token, h * scores[token, slot, None])
        return out


class LanguageModel(nn.Module):
    """LSTM language model."""

    def __init__(self, vocabulary: int = 40, width: int = 16) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, 24, num_layers=2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(24, vocabulary)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(self.embed(tokens))[0])


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(20, 32), nn.ReLU())
        self.mean, self.spread = nn.Linear(32, 6), nn.Linear(32, 6)
        self.decode = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 20))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = self.encode(x)
        mean, spread = self.mean(h), self.spread(h)
        z = mean + torch.exp(0.5 * spread) * torch.randn_like(spread)
        return self.decode(z), mean, spread


class Policy(nn.Module):
    """Two heads on one trunk: a distribution over actions, and a value."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.actor, self.critic = nn.Linear(32, 4), nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        h = self.trunk(x)
        return {"value": self.critic(h), "action": torch.distributions.Categorical(logits=self.actor(h))}
