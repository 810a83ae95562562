"""A hundred constructed starts that train: `check` has nothing against them. Name -> model, batch, loss."""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import architectures
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

Loss = Callable[[Any], torch.Tensor]
Build = Callable[[], tuple[Any, ...]]


class Case(NamedTuple):
    model: nn.Module
    batch: Any
    loss: Loss | None = None


GOOD: dict[str, Build] = {}


def good(name: str) -> Callable[[Build], Build]:
    def register(build: Build) -> Build:
        GOOD[name] = build
        return build

    return register


def build(name: str, among: dict[str, Build] = GOOD) -> Case:
    torch.manual_seed(0)
    return Case(*among[name]())


def x(*shape: int) -> torch.Tensor:
    return torch.randn(*(shape or (64, 32)), generator=torch.Generator().manual_seed(1))


def ids(*shape: int, below: int = 50) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Named parts, and a forward pass that is a function of them."""

    def __init__(self, forward: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self._forward = forward
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._forward(self, *args, **kwargs)


def lin(i: int = 32, o: int = 32, **kw: Any) -> nn.Linear:
    return nn.Linear(i, o, **kw)


def zero(layer: Any) -> Any:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def mlp(depth: int = 3, act: Any = nn.ReLU, width: int = 64, *between: Any) -> nn.Sequential:
    parts: list[nn.Module] = []
    for i in range(depth):
        parts += [lin(32 if i == 0 else width, width), *(make(width) for make in between), act()]
    return nn.Sequential(*parts, lin(width, 10))


def many(make: Callable[[], nn.Module], n: int = 3) -> nn.ModuleList:
    return nn.ModuleList(make() for _ in range(n))


def p(*shape: int, std: float = 1.0, mean: float = 0.0) -> nn.Parameter:
    return nn.Parameter(mean + std * torch.randn(*shape))


def steps(model: nn.Module, batch: torch.Tensor, n: int = 30, rate: float = 0.05) -> nn.Module:
    """Trained a little."""
    labels, optimizer = ids(len(batch), below=10), torch.optim.SGD(model.parameters(), rate, momentum=0.9)
    for _ in range(n):
        optimizer.zero_grad()
        F.cross_entropy(model(batch), labels).backward()
        optimizer.step()
    model.zero_grad()
    return model


def heads(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: Any = None, n: int = 4) -> torch.Tensor:
    q, k, v = (t.unflatten(-1, (n, -1)).transpose(1, 2) for t in (q, k, v))
    logits = q @ k.mT / q.shape[-1] ** 0.5
    return ((logits if mask is None else logits + mask).softmax(-1) @ v).transpose(1, 2).flatten(2)


class Block(nn.Module):
    """A block of a transformer: `mask` is added to its logits, `where` its norms are."""

    def __init__(self, d: int = 32, mask: Any = None, where: str = "pre", scale: float | None = None) -> None:
        super().__init__()
        self.qkv, self.out, self.up, self.down = lin(d, 3 * d), lin(d, d), lin(d, 4 * d), lin(4 * d, d)
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.where, self.mask = where, mask
        self.s1, self.s2 = (p(d, std=0, mean=scale), p(d, std=0, mean=scale)) if scale is not None else (1.0, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attend = lambda t: self.out(heads(*self.qkv(t).chunk(3, -1), self.mask))  # noqa: E731
        feed = lambda t: self.down(F.gelu(self.up(t)))  # noqa: E731
        for branch, norm, scale in ((attend, self.n1, self.s1), (feed, self.n2, self.s2)):
            if self.where == "pre":
                x = x + scale * branch(norm(x))
            elif self.where == "post":
                x = norm(x + branch(x))
            else:
                x = x + norm(branch(x))
        return x


def transformer(n: int = 3, **kw: Any) -> Net:
    def forward(s: Any, t: torch.Tensor) -> torch.Tensor:
        h = s.e(t) + s.pos[: t.shape[1]]
        for b in s.blocks:
            h = b(h)
        return s.o(s.norm(h))

    return Net(
        forward,
        e=nn.Embedding(50, 32),
        pos=p(12, 32, std=0.02),
        blocks=many(lambda: Block(**kw), n),
        norm=nn.LayerNorm(32),
        o=lin(32, 50),
    )


# ---------------------------------------------------------------------- 40 of transformers, from config
for _name in [
    "gpt2",
    "gptj",
    "gpt_neo",
    "gpt_neox",
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "gemma3_text",
    "phi",
    "phi3",
    "falcon",
    "opt",
    "bloom",
    "mpt",
    "olmo",
    "olmo2",
    "cohere",
    "granite",
    "glm",
    "bert",
    "roberta",
    "albert",
    "electra",
    "mpnet",
    "fnet",
    "roformer",
    "t5",
    "bart",
    "vit",
    "beit",
    "swin",
    "convnext",
    "convnextv2",
    "resnet",
    "dinov2",
    "clip",
]:
    GOOD[f"transformers: {_name}"] = lambda name=_name: architectures.build(name)


# ---------------------------------------------------------------------- recurrent
def last_hidden(kind: Any, **kw: Any) -> Build:
    def make() -> tuple[Any, ...]:
        def forward(s: Any, t: torch.Tensor) -> torch.Tensor:
            h = s.r(s.e(t))[1]
            h = h[0] if isinstance(h, tuple) else h
            return s.o(torch.cat([h[-2], h[-1]], -1) if s.r.bidirectional else h[-1])

        r = kind(16, 32, batch_first=True, **kw)
        return Net(forward, e=nn.Embedding(50, 16), r=r, o=lin(32 * (1 + r.bidirectional), 10)), ids(32, 10)

    return make


good("GRU read by its last hidden state")(last_hidden(nn.GRU))
good("LSTM of two layers, both ways, read by h_n")(last_hidden(nn.LSTM, num_layers=2, bidirectional=True))


@good("LSTM read by its last cell state")
def _() -> Any:
    return Net(lambda s, v: s.o(s.r(v)[1][1][-1]), r=nn.LSTM(32, 48, batch_first=True), o=lin(48, 10)), x(16, 9, 32)


@good("encoder and decoder, joined by the hidden state only")
def _() -> Any:
    def forward(s: Any, t: torch.Tensor) -> torch.Tensor:
        return s.o(s.d(s.e(t), s.c(s.e(t))[1])[0])

    gru = lambda: nn.GRU(16, 32, batch_first=True)  # noqa: E731
    return Net(forward, e=nn.Embedding(50, 16), c=gru(), d=gru(), o=lin(32, 50)), ids(16, 8)


@good("recurrent cell by hand, identity recurrence")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = v.new_zeros(len(v), 32)
        for t in v.unbind(1):
            h = torch.relu(s.i(t) + h @ s.w)
        return s.o(h)

    return Net(forward, i=lin(8, 32), w=nn.Parameter(torch.eye(32)), o=lin(32, 10)), x(32, 6, 8)


# ---------------------------------------------------------------------- zeros, gates and small addends by design
@good("coupling flow that starts as the identity")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        for n in s.n:
            a, b = v.chunk(2, -1)
            scale, shift = n(a).chunk(2, -1)
            v = torch.cat([b * torch.exp(torch.tanh(scale)) + shift, a], -1)
        return v

    return Net(forward, n=many(lambda: nn.Sequential(lin(16, 64), nn.ReLU(), zero(lin(64, 32))), 4)), x()


@good("additive coupling, zero last layers, dense head")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        a, b = v.chunk(2, -1)
        for n in s.n:
            a, b = b + n(a), a
        return s.o(torch.cat([a, b], -1))

    return Net(forward, n=many(lambda: nn.Sequential(lin(16, 64), nn.SiLU(), zero(lin(64, 16)))), o=lin(32, 10)), x()


@good("zero branch behind a tanh")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = F.relu(s.f(v))
        for a, b in zip(s.a, s.b, strict=True):
            h = h + torch.tanh(b(F.gelu(a(h))))
        return s.o(h)

    return Net(forward, f=lin(), a=many(lin, 2), b=many(lambda: zero(lin()), 2), o=lin(32, 10)), x()


@good("zero convolutions of a control branch")
def _() -> Any:
    conv = lambda i, o=16: nn.Conv2d(i, o, 3, padding=1)  # noqa: E731

    def forward(s: Any, v: torch.Tensor, hint: torch.Tensor) -> torch.Tensor:
        h, c = s.stem(v), s.stem(v) + s.zin(s.hint(hint))
        for a, b, z in zip(s.main, s.copy, s.zero, strict=True):
            h, c = F.silu(a(h)), F.silu(b(c))
            h = h + z(c)
        return s.o(h.mean((2, 3)))

    return Net(
        forward,
        stem=conv(3),
        hint=conv(1),
        zin=zero(conv(16)),
        main=many(lambda: conv(16)),
        copy=many(lambda: conv(16)),
        zero=many(lambda: zero(conv(16))),
        o=lin(16, 10),
    ), (x(8, 3, 8, 8), x(8, 1, 8, 8))


def adaptive(last: bool) -> Build:
    def make() -> tuple[Any, ...]:
        def forward(s: Any, v: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
            h, c = s.i(v), F.silu(s.c(c))
            for ada, up, down in zip(s.ada, s.up, s.down, strict=True):
                shift, scale, gate = ada(c).chunk(3, -1)
                h = h + gate * down(F.gelu(up(F.layer_norm(h, (32,)) * (1 + scale) + shift)))
            return s.o(F.layer_norm(h, (32,)))

        o = lin(32, 10)
        return Net(
            forward,
            i=lin(),
            c=lin(8),
            ada=many(lambda: zero(lin(32, 96))),
            up=many(lambda: lin(32, 64)),
            down=many(lambda: lin(64)),
            o=zero(o) if last else o,
        ), (x(), x(64, 8))

    return make


good("adaptive norms with zero gates")(adaptive(False))
good("adaptive norms with zero gates and a zero last layer")(adaptive(True))


@good("cross-attention behind zero tanh gates")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        h = s.i(v)
        for b, q, kv, o, g in zip(s.b, s.q, s.kv, s.p, s.g, strict=True):
            h = b(h + torch.tanh(g) * o(heads(q(h), *kv(c).chunk(2, -1))))
        return s.o(h.mean(1))

    gates = nn.ParameterList(p(1, std=0) for _ in range(2))
    return Net(
        forward,
        i=lin(),
        b=many(Block, 2),
        q=many(lin, 2),
        kv=many(lambda: lin(32, 64), 2),
        p=many(lin, 2),
        g=gates,
        o=lin(32, 10),
    ), (x(8, 6, 32), x(8, 5, 32))


@good("low-rank adapters on frozen layers")
def _() -> Any:
    net = Net(
        lambda s, v: s.o(F.relu(s.b(v) + v @ s.down.T @ s.up.T)),
        b=lin(32, 64),
        o=lin(64, 10),
        down=p(4, 32, std=0.2),
        up=p(64, 4, std=0),
    )
    net.b.requires_grad_(False)
    return net, x()


@good("zero adapters behind each layer")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = s.i(v)
        for layer, down, up in zip(s.l, s.d, s.u, strict=True):
            h = F.gelu(layer(h))
            h = h + up(F.relu(down(h)))
        return s.o(h)

    return Net(
        forward, i=lin(), l=many(lin), d=many(lambda: lin(32, 8)), u=many(lambda: zero(lin(8))), o=lin(32, 10)
    ), x()


good("layer scales of 1e-5")(lambda: (transformer(scale=1e-5), ids(8, 12)))
good("layer scales of zero")(lambda: (transformer(scale=0.0), ids(8, 12)))


@good("two parallel branches with layer scales")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = s.i(v)
        for a, b, n, g in zip(s.a, s.b, s.n, s.g, strict=True):
            h = h + g[0] * a(n(h)) + g[1] * b(n(h))
        return s.o(h)

    branch = lambda: nn.Sequential(lin(), nn.GELU(), lin())  # noqa: E731
    return Net(
        forward,
        i=lin(),
        a=many(branch, 4),
        b=many(branch, 4),
        n=many(lambda: nn.LayerNorm(32), 4),
        g=nn.ParameterList(p(2, 32, std=0, mean=1e-4) for _ in range(4)),
        o=lin(32, 10),
    ), x()


@good("modulation of features that starts at one and zero")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        g, b = s.m(c).chunk(2, -1)
        return s.o(F.relu(s.b(F.relu(s.a(v))) * (1 + g) + b))

    return Net(forward, a=lin(), b=lin(), m=zero(lin(8, 64)), o=lin(32, 10)), (x(), x(64, 8))


@good("highway layers with shut gates")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = s.i(v)
        for a, g in zip(s.a, s.g, strict=True):
            t = torch.sigmoid(g(h))
            h = t * torch.relu(a(h)) + (1 - t) * h
        return s.o(h)

    net = Net(forward, i=lin(), a=many(lin, 6), g=many(lin, 6), o=lin(32, 10))
    for gate in net.g:
        nn.init.constant_(gate.bias, -3)
    return net, x()


def spline(o: int, i: int = 32) -> Net:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        b = torch.exp(-((v[..., None] - s.grid) ** 2) * 4)
        return F.linear(F.silu(v), s.base) + F.linear(b.flatten(1), s.spline.flatten(1))

    return Net(forward, grid=torch.linspace(-2, 2, 8), base=lin(i, o).weight, spline=p(o, i, 8, std=2e-4))


good("small splines beside a base path")(lambda: (nn.Sequential(spline(32), spline(32), spline(10)), x()))


@good("a quiet second branch beside each layer")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        for a, b in zip(s.a, s.b, strict=True):
            v = F.relu(a(v) + b(v))
        return s.o(v)

    net = Net(forward, a=many(lambda: lin(32, 32)), b=many(lambda: lin(32, 32)), o=lin(32, 10))
    for b in net.b:
        nn.init.normal_(b.weight, std=3e-4)
        nn.init.zeros_(b.bias)
    return net, x()


@good("gating by a spatial layer of zeros and ones")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        for up, mix, down, n in zip(s.up, s.mix, s.down, s.n, strict=True):
            a, b = F.gelu(up(v)).chunk(2, -1)
            v = v + down(a * mix(n(b).mT).mT)
        return s.o(v.mean(1))

    def mix() -> nn.Module:
        layer = lin(6, 6)
        nn.init.zeros_(layer.weight)
        nn.init.ones_(layer.bias)
        return layer

    return Net(
        forward,
        up=many(lambda: lin(32, 64)),
        mix=many(mix),
        down=many(lin),
        n=many(lambda: nn.LayerNorm(32)),
        o=lin(32, 10),
    ), x(8, 6, 32)


def several(cases: Iterable[tuple[str, Build]]) -> None:
    GOOD.update(cases)


_BIG = torch.finfo(torch.float32).min
_CAUSAL = torch.ones(12, 12).tril().bool()
_WINDOW = torch.arange(12)[:, None] // 4 == torch.arange(12) // 4
several(
    [
        ("windows by a mask of -100", lambda: (transformer(mask=torch.where(_WINDOW, 0.0, -100.0)), ids(8, 12))),
        ("causal by the least number", lambda: (transformer(mask=torch.where(_CAUSAL, 0.0, _BIG)), ids(8, 12))),
        ("causal by -inf", lambda: (transformer(mask=torch.where(_CAUSAL, 0.0, -math.inf)), ids(8, 12))),
        ("norms behind each sum", lambda: (transformer(where="post"), ids(8, 12))),
        ("norms at the ends of branches", lambda: (transformer(where="end"), ids(8, 12))),
        (
            "spectral norms",
            lambda: (
                nn.Sequential(
                    *(m for _ in range(3) for m in (parametrizations.spectral_norm(lin()), nn.LeakyReLU(0.1))),
                    lin(32, 1),
                ),
                x(),
            ),
        ),
        (
            "orthogonal parametrization",
            lambda: (nn.Sequential(parametrizations.orthogonal(lin()), nn.ReLU(), lin(32, 10)), x()),
        ),
        ("weight norm", lambda: (nn.Sequential(parametrizations.weight_norm(lin()), nn.ReLU(), lin(32, 10)), x())),
        ("deep tanh net by default", lambda: (mlp(4, nn.Tanh), x())),
        ("batch norms, deep", lambda: (mlp(12, nn.ReLU, 48, nn.BatchNorm1d), x())),
        ("self-normalizing net", lambda: (_lecun(mlp(8, nn.SELU)), x())),
        ("trained for a while", lambda: (steps(mlp(), x()), x())),
    ]
)


def _lecun(net: nn.Module) -> nn.Module:
    for m in net:
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.weight, std=m.in_features**-0.5)
            nn.init.zeros_(m.bias)
    return net
