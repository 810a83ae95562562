"""More starts that are known to train: heads, codebooks, images, graphs, equations; and nets that have been trained."""

import math
from typing import Any

import torch
from labelled_good import GOOD, Net, good, ids, lin, many, mlp, p, several, steps, transformer, x, zero
from torch import nn
from torch.nn import functional as F

conv = lambda i, o, k=3, **kw: nn.Conv2d(i, o, k, padding=k // 2, **kw)  # noqa: E731


# ---------------------------------------------------------------------- heads
def cosine(scale: float, body: int = 1) -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        return scale * F.linear(F.normalize(s.b(v)), F.normalize(s.w))

    net = nn.Sequential(*(m for _ in range(body) for m in (lin(), nn.ReLU())), lin())
    return Net(forward, b=net, w=nn.Parameter(nn.init.xavier_uniform_(torch.empty(10, 32)))), x()


several([("cosine head, scale 16", lambda: cosine(16)), ("cosine head, scale 64", lambda: cosine(64, 2))])


@good("two encoders compared at a temperature")
def _() -> Any:
    def forward(s: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return s.t.exp() * F.normalize(s.a(a)) @ F.normalize(s.b(b)).T

    return Net(forward, a=mlp(1), b=mlp(1), t=nn.Parameter(torch.tensor(math.log(1 / 0.07)))), (x(16, 32), x(16, 32))


@good("policy and value heads, the policy's small")
def _() -> Any:
    net = Net(lambda s, v: (s.p(torch.tanh(s.b(v))), s.v(torch.tanh(s.b(v)))), b=lin(8, 64), p=lin(64, 4), v=lin(64, 1))
    nn.init.orthogonal_(net.p.weight, 0.01)
    return net, x(64, 8)


@good("mixture of densities, by its own loss")
def _() -> Any:
    def loss(o: torch.Tensor) -> torch.Tensor:
        w, m, s = o.chunk(3, -1)
        return -torch.logsumexp(w.log_softmax(-1) - s - 0.5 * ((x(64, 1) - m) / s.exp()) ** 2, -1).mean()

    return nn.Sequential(lin(32, 64), nn.Tanh(), lin(64, 15)), x(), loss


@good("noisy layers of reinforcement learning")
def _() -> Any:
    class Noisy(nn.Module):
        def __init__(self, i: int, o: int) -> None:
            super().__init__()
            self.mu, self.sigma = lin(i, o).weight, nn.Parameter(torch.full((o, i), 0.5 * i**-0.5))
            self.register_buffer("eps", torch.outer(torch.randn(o), torch.randn(i)))

        def forward(self, v: torch.Tensor) -> torch.Tensor:
            return F.linear(v, self.mu + self.sigma * self.eps)

    return nn.Sequential(lin(), nn.ReLU(), Noisy(32, 64), nn.ReLU(), Noisy(64, 4)), x()


@good("weights drawn by a posterior of equal widths")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        w = s.mu + F.softplus(s.rho) * torch.randn_like(s.mu)
        return s.o(F.relu(v @ w))

    return Net(forward, mu=p(32, 64, std=0.2), rho=p(32, 64, std=0, mean=-4), o=lin(64, 10)), x()


# ---------------------------------------------------------------------- discrete
def quantized(kind: str) -> Any:
    def forward(s: Any, v: torch.Tensor) -> Any:
        f = s.enc(v)
        if kind == "rounded":
            q = torch.tanh(f) * 3
            return s.dec(q + (q.round() - q).detach())
        if kind == "gumbel":
            return s.dec(F.softmax(f, -1) @ s.code)
        i = torch.cdist(f, s.code).argmin(-1)
        q = s.code[i]
        loss = F.mse_loss(q, f.detach()) + 0.25 * F.mse_loss(f, q.detach())
        out = s.dec(f + (q - f).detach())
        return (out, loss) if kind == "pair" else {"reconstruction": out, "loss": loss} if kind == "dict" else out

    code = p(64, 16) if kind != "averaged" else torch.randn(64, 16)
    enc, dec = (
        nn.Sequential(lin(i, 64), nn.ReLU(), lin(64, o)) for i, o in ((32, 64 if kind == "gumbel" else 16), (16, 32))
    )
    parts = {} if kind == "rounded" else {"code": code}
    return Net(forward, enc=enc, dec=dec, **parts), x()


several(
    (f"codebook, {kind}", lambda kind=kind: quantized(kind))
    for kind in ("pair", "dict", "averaged", "gumbel", "rounded")
)


def experts(kind: str) -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        weights = s.r(v).softmax(-1)
        top, which = weights.topk(2 if kind == "two" else 1, -1)
        out = torch.stack([e(v) for e in s.e], 1)
        if kind == "soft":
            return s.o(v + (weights[..., None] * out).sum(1))
        return s.o(v + (top[..., None] * out.gather(1, which[..., None].expand(-1, -1, 32))).sum(1))

    expert = lambda: nn.Sequential(lin(32, 64), nn.ReLU(), lin(64, 32))  # noqa: E731
    return Net(forward, r=lin(32, 4), e=many(expert, 4), o=lin(32, 10)), x()


several((f"experts, {kind}", lambda kind=kind: experts(kind)) for kind in ("soft", "one", "two"))


@good("spikes with a surrogate gradient")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        u, out = torch.zeros(len(v), 64), 0
        for _ in range(6):
            u = 0.9 * u + s.a(v)
            soft = torch.sigmoid(4 * (u - 0.3))
            z = soft + ((u > 0.3).float() - soft).detach()
            u = u - z.detach() * 0.3
            out = out + s.o(z)
        return out / 6

    return Net(forward, a=lin(32, 64), o=lin(64, 10)), x()


# ---------------------------------------------------------------------- equations
@good("fixed point of a contraction")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        z, u = torch.zeros(len(v), 32), s.i(v)
        for _ in range(20):
            z = torch.tanh(s.w(z) + u)
        return s.o(z)

    return Net(forward, i=lin(), w=lin(bias=False), o=lin(32, 10)), x()


@good("ordinary differential equation by small steps")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        for _ in range(8):
            v = v + 0.125 * s.b(torch.tanh(s.a(v)))
        return s.o(v)

    return Net(forward, a=lin(32, 64), b=lin(64), o=lin(32, 10)), x()


def scan(apart: bool) -> Any:
    """A state space with step sizes that are softplus of a small product and a bias far below zero."""

    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h, out = v.new_zeros(len(v), 32, 4), []
        dt = F.softplus(s.dt(v) + s.bias if apart else s.dt(v))
        b, c = s.b(v), s.c(v)
        for t in range(v.shape[1]):
            h = h * torch.exp(-dt[:, t, :, None] * s.a.exp()) + (dt[:, t] * v[:, t])[..., None] * b[:, t, None]
            out.append((h * c[:, t, None]).sum(-1))
        return s.o(v + torch.stack(out, 1))

    dt = lin(bias=not apart)
    nn.init.uniform_(dt.weight, -0.02, 0.02)
    bias = torch.log(torch.expm1(torch.empty(32).uniform_(math.log(1e-3), math.log(0.1)).exp()))
    if not apart:
        dt.bias.data.copy_(bias)
    parts = {"bias": nn.Parameter(bias)} if apart else {}
    a = nn.Parameter(torch.log(torch.arange(1, 5).float()).repeat(32, 1))
    return Net(forward, dt=dt, b=lin(32, 4), c=lin(32, 4), a=a, o=lin(32, 10), **parts), x(8, 10, 32)


several([("step sizes with a bias apart", lambda: scan(True)), ("step sizes with their own bias", lambda: scan(False))])


@good("sines of a sine")
def _() -> Any:
    net = Net(lambda s, v: s.o(torch.sin(s.b(torch.sin(30 * s.a(v))))), a=lin(2, 64), b=lin(64, 64), o=lin(64, 3))
    nn.init.uniform_(net.a.weight, -0.5, 0.5)
    nn.init.uniform_(net.b.weight, -((6 / 64) ** 0.5), (6 / 64) ** 0.5)
    return net, x(128, 2).clamp(-1, 1)


# ---------------------------------------------------------------------- images, graphs, tables
class Bottle(nn.Module):
    def __init__(self, i: int, o: int, gamma: float = 1.0) -> None:
        super().__init__()
        self.a, self.b, self.na, self.nb = (
            conv(i, o, bias=False),
            conv(o, o, bias=False),
            nn.BatchNorm2d(o),
            nn.BatchNorm2d(o),
        )
        self.short, self.ns = (
            (conv(i, o, 1, bias=False), nn.BatchNorm2d(o)) if i != o else (nn.Identity(), nn.Identity())
        )
        nn.init.constant_(self.nb.weight, gamma)

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        return F.relu(self.nb(self.b(F.relu(self.na(self.a(v))))) + self.ns(self.short(v)))


def resnet(gamma: float = 1.0) -> nn.Module:
    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), lin(32, 10)
    return nn.Sequential(
        conv(3, 16, bias=False), nn.BatchNorm2d(16), nn.ReLU(), Bottle(16, 16, gamma), Bottle(16, 32, gamma), *ends
    )


PICTURES = (16, 3, 8, 8)
several(
    [
        ("residual net with last gammas of zero", lambda: (resnet(0.0), x(*PICTURES))),
        ("residual net, trained, judged in training", lambda: (steps(resnet(), x(*PICTURES)), x(*PICTURES))),
        ("residual net, trained, judged in evaluation", lambda: (steps(resnet(), x(*PICTURES)).eval(), x(*PICTURES))),
        (
            "depthwise and pointwise convolutions",
            lambda: (
                nn.Sequential(
                    *(
                        m
                        for i in (3, 16, 16)
                        for m in (conv(i, i, groups=i), conv(i, 16, 1), nn.BatchNorm2d(16), nn.Hardswish())
                    ),
                    nn.Flatten(),
                    lin(1024, 10),
                ),
                x(*PICTURES),
            ),
        ),
        (
            "pixels of 0 to 255 behind a norm",
            lambda: (
                nn.Sequential(nn.BatchNorm2d(3), conv(3, 16), nn.ReLU(), nn.Flatten(), lin(1024, 10)),
                x(*PICTURES).abs() * 100,
            ),
        ),
        (
            "pixels of 0 to 255 that the model scales",
            lambda: (
                Net(
                    lambda s, v: s.n(v / 127.5 - 1),
                    n=nn.Sequential(conv(3, 16), nn.ReLU(), nn.Flatten(), lin(1024, 10)),
                ),
                x(*PICTURES).mul(60).add(128).clamp(0, 255),
            ),
        ),
        (
            "autoencoder with a sigmoid at its end",
            lambda: (
                nn.Sequential(lin(), nn.ReLU(), lin(32, 4), nn.ReLU(), lin(4, 32), nn.ReLU(), lin(), nn.Sigmoid()),
                x().sigmoid(),
            ),
        ),
        (
            "images that a generator starts from noise",
            lambda: (
                nn.Sequential(
                    nn.ConvTranspose2d(16, 32, 4),
                    nn.BatchNorm2d(32),
                    nn.ReLU(),
                    nn.ConvTranspose2d(32, 3, 4, 2, 1),
                    nn.Tanh(),
                ),
                x(16, 16, 1, 1),
            ),
        ),
        (
            "critic with leaky units and norms",
            lambda: (
                nn.Sequential(
                    conv(3, 16),
                    nn.LeakyReLU(0.2),
                    conv(16, 32),
                    nn.BatchNorm2d(32),
                    nn.LeakyReLU(0.2),
                    nn.Flatten(),
                    lin(2048, 1),
                ),
                x(*PICTURES),
            ),
        ),
        ("transformer, trained for a while", lambda: (_taught(transformer()), ids(8, 12))),
        ("mixed input sizes, one column constant", lambda: (mlp(2), torch.cat([x(64, 31), torch.ones(64, 1)], 1))),
    ]
)


def _taught(net: nn.Module) -> nn.Module:
    optimizer, t = torch.optim.Adam(net.parameters(), 1e-3), ids(8, 12)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(net(t).flatten(0, 1), t.roll(1, 1).flatten()).backward()
        optimizer.step()
    net.zero_grad()
    return net


@good("denses of concatenated features")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        for layer in s.c:
            v = torch.cat([v, F.relu(layer(v))], 1)
        return s.o(v.mean((2, 3)))

    return Net(forward, c=nn.ModuleList(conv(3 + 8 * i, 8) for i in range(5)), o=lin(43, 10)), x(*PICTURES)


@good("graph convolutions on a ring")
def _() -> Any:
    ring = (torch.eye(20) + torch.eye(20).roll(1, 0) + torch.eye(20).roll(-1, 0)) / 3
    return Net(lambda s, v: s.b(s.ring @ F.relu(s.a(s.ring @ v))), a=lin(), b=lin(32, 5), ring=ring), x(20, 32)


@good("attention over neighbours by -9e15")
def _() -> Any:
    ring = torch.eye(20) + torch.eye(20).roll(1, 0) + torch.eye(20).roll(-1, 0)

    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = s.w(v)
        e = F.leaky_relu(h @ s.l + (h @ s.r).T, 0.2)
        return s.o(F.elu(torch.where(s.ring > 0, e, -9e15).softmax(-1) @ h))

    return Net(forward, w=lin(), l=p(32, 1, std=0.2), r=p(32, 1, std=0.2), o=lin(32, 5), ring=ring), x(20, 32)


@good("sets, pooled")
def _() -> Any:
    return Net(lambda s, v: s.b(s.a(v).mean(1)), a=nn.Sequential(lin(), nn.ReLU(), lin()), b=mlp(1)), x(16, 7, 32)


@good("factors of a matrix")
def _() -> Any:
    small = lambda n: nn.Embedding(n, 16, _weight=0.1 * torch.randn(n, 16))  # noqa: E731
    forward = lambda s, u, i: (s.u(u) * s.i(i)).sum(-1) + s.b(u)[:, 0]  # noqa: E731
    return Net(forward, u=small(50), i=small(50), b=zero(nn.Embedding(50, 1))), (ids(64), ids(64).flip(0))


@good("a variational autoencoder with its loss")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> Any:
        m, r = s.e(v).chunk(2, -1)
        return s.d(m + torch.randn_like(m) * (r / 2).exp()), m, r

    def loss(o: Any) -> torch.Tensor:
        return F.mse_loss(o[0], x()) + 0.01 * (o[1] ** 2 + o[2].exp() - 1 - o[2]).mean()

    make = lambda i, o: nn.Sequential(lin(i, 64), nn.ReLU(), lin(64, o))  # noqa: E731
    return Net(forward, e=make(32, 16), d=make(8, 32)), x(), loss


@good("a layer that is trained by a second output only")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> Any:
        h = F.relu(s.a(v))
        return s.o(h), s.aux(h.detach())

    return Net(forward, a=lin(), o=lin(32, 10), aux=lin(32, 3)), x()


@good("gates of squeeze and excitation")
def _() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = F.relu(s.a(v))
        return s.o((h * torch.sigmoid(s.u(F.relu(s.d(h.mean((2, 3))))))[..., None, None]).mean((2, 3)))

    return Net(forward, a=conv(3, 32), d=lin(32, 4), u=lin(4), o=lin(32, 10)), x(*PICTURES)


assert len(GOOD) >= 100, len(GOOD)
