"""A hundred starts with a fault each, and the codes of which one must be found."""

import math
from collections.abc import Callable
from typing import Any

import labelled_more
import torch
from labelled_good import GOOD, Build, Net, ids, lin, many, mlp, p, transformer, x, zero
from torch import nn
from torch.nn import functional as F

BAD: dict[str, Build] = {}
EXPECTED: dict[str, frozenset[str]] = {}
conv, PICTURES = labelled_more.conv, labelled_more.PICTURES


def bad(codes: str, name: str, make: Build) -> None:
    assert name not in BAD, name
    BAD[name], EXPECTED[name] = make, frozenset(codes.split())


def hurt(make: Callable[[], Any], *damages: Callable[[Any], Any]) -> Build:
    def build() -> Any:
        made = make()
        with torch.no_grad():
            for damage in damages:
                damage(made[0] if isinstance(made, tuple) else made)
        return made if isinstance(made, tuple) else (made, x())

    return build


def cnn() -> Any:
    layers = [m for i in (3, 16, 16, 16) for m in (conv(i, 16), nn.ReLU())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), lin(16, 10)), x(*PICTURES)


def lm() -> Any:
    return transformer(), ids(8, 12)


def deep(act: Any = nn.ReLU, n: int = 6) -> Any:
    net = mlp(n, act)
    for m in net:
        if isinstance(m, nn.Linear):
            nn.init.kaiming_normal_(m.weight) if act is nn.ReLU else nn.init.xavier_normal_(m.weight)
    return net


def skip() -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        h = s.i(v)
        for a, b in zip(s.a, s.b, strict=True):
            h = h + b(F.relu(a(h)))
        return s.o(h)

    return Net(forward, i=lin(), a=many(lin), b=many(lin), o=lin(32, 10)), x()


# ---------------------------------------------------------------------- scales
SCALE = "W101 W102 W201 W202 W501 W702 W701 W203 W103"
for _factor in (1e-3, 3e2):
    for _name, _make, _layer in (
        ("plain net", deep, lambda m: m[4]),
        ("tanh net", lambda: deep(nn.Tanh), lambda m: m[6]),
        ("convolutions", cnn, lambda m: m[4]),
        ("first layer", deep, lambda m: m[0]),
    ):
        bad(
            SCALE,
            f"{_name}, a weight times {_factor:g}",
            hurt(_make, lambda m, layer=_layer, f=_factor: layer(m).weight.mul_(f)),
        )
for _std in (1.0, 1e-3):
    bad(
        SCALE,
        f"every weight of std {_std:g}",
        hurt(deep, lambda m, s=_std: [nn.init.normal_(q, std=s) for q in m.parameters() if q.ndim > 1]),
    )
    bad(
        SCALE,
        f"convolutions of std {_std:g}",
        hurt(cnn, lambda m, s=_std: [nn.init.normal_(q, std=s) for q in m.parameters() if q.ndim > 1]),
    )
bad("W201 W101 W103", "20 layers of sigmoids", lambda: (mlp(20, nn.Sigmoid), x()))
bad("W101 W201 W103 W203", "40 layers by default", lambda: (mlp(40), x()))
bad(
    SCALE,
    "30 layers of tanh, half as large",
    hurt(lambda: deep(nn.Tanh, 30), lambda m: [q.mul_(0.5) for q in m.parameters()]),
)
bad(
    SCALE,
    "30 linear layers, twice as large",
    hurt(lambda: deep(nn.Identity, 30), lambda m: [q.mul_(2) for q in m.parameters()]),
)
bad("W102 W202 W501 W401 W204", "branches ten times too large", hurt(skip, lambda m: [b.weight.mul_(60) for b in m.b]))
bad(
    "W102 W202 W501 W702",
    "recurrence of spectral radius 4",
    hurt(
        lambda: (
            Net(
                lambda s, v: s.o(s.r(v)[0][:, -1]),
                r=nn.RNN(8, 32, batch_first=True, nonlinearity="relu"),
                o=lin(32, 10),
            ),
            x(16, 20, 8),
        ),
        lambda m: nn.init.orthogonal_(m.r.weight_hh_l0, 4.0),
    ),
)
bad(
    "W101 W201",
    "a recurrent layer a thousand times too small",
    hurt(GOOD["GRU read by its last hidden state"], lambda m: [q.mul_(1e-4) for q in m.r.parameters()]),
)
bad("W101 W201 W102", "a table of 1e-5 without a norm", hurt(GOOD["sets, pooled"], lambda m: m.a[0].weight.mul_(1e-5)))
# ---------------------------------------------------------------------- symmetry
for _name, _make, _layer in (
    ("plain net", deep, lambda m: m[4]),
    ("tanh net", lambda: deep(nn.Tanh), lambda m: m[4]),
    ("convolutions", cnn, lambda m: m[2]),
    ("feed-forward part", lm, lambda m: m.blocks[1].up),
):
    bad(
        "W301 W101 W103 W701",
        f"{_name}, a layer of constants",
        hurt(_make, lambda m, la=_layer: nn.init.constant_(la(m).weight, 0.1)),
    )
for _name, _make, _layer in (
    ("plain net", deep, lambda m: m[4]),
    ("tanh net", lambda: deep(nn.Tanh), lambda m: m[4]),
    ("convolutions", cnn, lambda m: m[4]),
):
    bad("W301 W101 W201", f"{_name}, a layer of zeros", hurt(_make, lambda m, la=_layer: zero(la(m))))
bad(
    "W301 W101 W201",
    "both layers of a branch are zero",
    hurt(GOOD["zero branch behind a tanh"], lambda m: [zero(a) for a in m.a]),
)
bad(
    "W301 W201 W101",
    "a zero gate on a zero branch",
    hurt(GOOD["adaptive norms with zero gates"], lambda m: [zero(d) for d in m.down]),
)
bad(
    "W301",
    "all units of a layer are copies",
    hurt(deep, lambda m: m[4].weight.copy_(m[4].weight[:1].expand(64, -1).clone())),
)
bad(
    "W301",
    "a GRU whose units are copies",
    hurt(
        GOOD["encoder and decoder, joined by the hidden state only"], lambda m: [q.fill_(0.1) for q in m.c.parameters()]
    ),
)
bad(
    "W301 W103 W101",
    "low-rank adapters that are both zero",
    hurt(GOOD["low-rank adapters on frozen layers"], lambda m: m.down.zero_()),
)
# ---------------------------------------------------------------------- first loss and attention
bad("W501", "a readout of std 1", hurt(deep, lambda m: nn.init.normal_(m[-1].weight)))
bad("W501", "convolutions, a readout of std 10", hurt(cnn, lambda m: nn.init.normal_(m[-1].weight, std=10)))
bad("W501", "a language model's readout of std 1", hurt(lm, lambda m: nn.init.normal_(m.o.weight)))
bad("W501", "a readout's bias of 20", hurt(deep, lambda m: m[-1].bias[3].fill_(20)))
for _i in range(3):
    bad(
        "W601 W602",
        f"loud queries and keys in block {_i}",
        hurt(lm, lambda m, i=_i: m.blocks[i].qkv.weight[:64].mul_(6)),
    )
bad(
    "W601 W602",
    "loud attention under a mask of -100",
    hurt(GOOD["windows by a mask of -100"], lambda m: [b.qkv.weight[:64].mul_(6) for b in m.blocks]),
)
bad(
    "W601 W602",
    "loud attention under a causal mask",
    hurt(GOOD["causal by the least number"], lambda m: [b.qkv.weight[:64].mul_(6) for b in m.blocks]),
)
bad(
    "W601 W602",
    "loud attention of torch",
    hurt(
        lambda: (
            Net(
                lambda s, v: s.o(s.a(v, v, v)[0].mean(1)),
                a=nn.MultiheadAttention(32, 4, batch_first=True),
                o=lin(32, 10),
            ),
            x(8, 9, 32),
        ),
        lambda m: m.a.in_proj_weight[:64].mul_(8),
    ),
)
bad(
    "W601 W602",
    "loud fused attention",
    hurt(
        lambda: (
            Net(
                lambda s, v: s.o(F.scaled_dot_product_attention(*s.q(v).chunk(3, -1)).mean(1)),
                q=lin(32, 96),
                o=lin(32, 10),
            ),
            x(8, 9, 32),
        ),
        lambda m: m.q.weight[:64].mul_(8),
    ),
)
for _name in ("gpt2", "llama", "bert", "vit"):
    bad(
        "W601 W602",
        f"loud {_name}",
        hurt(
            GOOD[f"transformers: {_name}"],
            lambda m: [
                q.mul_(60)
                for n, q in m.named_parameters()
                if any(k in n for k in ("q_proj.w", "k_proj.w", "query.w", "key.w", "c_attn.w"))
            ],
        ),
    )


def narrow(scale: float, then: float) -> Any:
    def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
        return s.o(torch.relu(s.c((scale * s.b(torch.relu(s.a(v)))).softmax(-1) * then)))

    return Net(forward, a=lin(32, 64), b=lin(64, 64), c=lin(64, 64, bias=False), o=lin(64, 10, bias=False)), x()


bad("W601 W602 W702 W201", "a softmax of features that is nearly one-hot", lambda: narrow(200, 1.0))
bad("W601 W602 W702 W201 W101", "a softmax of features, then a thousandth", lambda: narrow(200, 1e-3))


@lambda make: bad("W601 W602 W702 W201", "experts chosen by huge logits", make)
def _() -> Any:
    made = labelled_more.experts("soft")
    with torch.no_grad():
        made[0].r.weight.mul_(400)
    return made


# ---------------------------------------------------------------------- activations
for _name, _make, _layer in (
    ("plain net", deep, lambda m: m[2]),
    ("convolutions", cnn, lambda m: m[2]),
    ("first layer", deep, lambda m: m[0]),
    ("feed-forward part", lambda: (transformer(), ids(8, 12)), lambda m: m.blocks[0].up),
):
    bad("W701 W101 W201", f"{_name}, units that are dead", hurt(_make, lambda m, la=_layer: la(m).bias.fill_(-20)))
for _name, _act in (("tanh", nn.Tanh), ("sigmoid", nn.Sigmoid), ("hard tanh", nn.Hardtanh), ("softsign", nn.Softsign)):
    bad("W702 W701 W201", f"saturated {_name}", hurt(lambda a=_act: deep(a, 3), lambda m: m[2].weight.mul_(50)))
bad(
    "W702 W701 W201 W203",
    "saturated gates of an LSTM",
    hurt(GOOD["LSTM of two layers, both ways, read by h_n"], lambda m: [q.mul_(300) for q in m.r.parameters()]),
)
# ---------------------------------------------------------------------- not finite
NAN = "W401"
for _name, _value in (("nan", math.nan), ("inf", math.inf)):
    bad(NAN, f"one weight is {_name}", hurt(deep, lambda m, v=_value: m[4].weight[3, 3:4].fill_(v)))
    bad(NAN, f"one bias is {_name}", hurt(cnn, lambda m, v=_value: m[2].bias[3:4].fill_(v)))
for _name, _value in (("nan", math.nan), ("-1", -1.0), ("1e38", 1e38)):
    bad(
        "W401 W404 W101 W103",
        f"running variances that are {_name}",
        hurt(lambda: (mlp(3, nn.ReLU, 64, nn.BatchNorm1d).eval(), x()), lambda m, v=_value: m[4].running_var.fill_(v)),
    )
bad(
    "W401 W404 W102",
    "a buffer of what memory held",
    lambda: (
        Net(
            lambda s, v: s.o(F.relu(s.a(v) * s.g)),
            a=lin(),
            o=lin(32, 10),
            g=torch.tensor([3e20, -1e33, 0.0, 1e-40] * 8),
        ),
        x(),
    ),
)


def through(function: Callable[[torch.Tensor], torch.Tensor], loss: Any = None) -> Build:
    return lambda: (Net(lambda s, v: s.o(function(s.a(v))), a=lin(), o=lin(32, 10)), x(), loss)


for _name, _function in {
    "log of what is negative": torch.log,
    "root of what is negative": torch.sqrt,
    "0/0 of a ReLU": lambda t: F.relu(t) / F.relu(t),
    "overflow of exp": lambda t: torch.exp(400 * t),
    "a row that is wholly masked": lambda t: t.masked_fill(t < math.inf, -math.inf).softmax(-1),
    "inf - inf": lambda t: torch.exp(400 * t.abs() + 90) - torch.exp(400 * t.abs() + 90),
    "arc cosine beyond one": lambda t: torch.acos(9 * t),
    "gradient of a root at zero": lambda t: (t - t).sqrt() + t,
    "gradient of a length of zero": lambda t: (t * 0).square().sum(-1, keepdim=True).sqrt() + t,
}.items():
    bad(NAN, f"not finite: {_name}", through(_function))
for _name, _loss in {
    "log of a zero": lambda o: torch.log(F.relu(o) * 0).mean(),
    "log of a negative": lambda o: torch.log(-o.abs() - 1).mean(),
    "0/0 of a mask of nothing": lambda o: (o * 0).sum() / (o * 0).sum(),
    "root at zero": lambda o: (o * 0).sqrt().sum(),
}.items():
    bad(NAN, f"not finite in the loss: {_name}", through(torch.relu, _loss))
# ---------------------------------------------------------------------- the batch
for _name, _make in (("plain net", mlp), ("convolutions", lambda: cnn()[0])):
    for _what, _change in {
        "nan in the batch": lambda v: v.index_fill(0, torch.tensor([1]), math.nan),
        "inf in the batch": lambda v: v.index_fill(0, torch.tensor([1]), math.inf),
        "pixels of 0 to 255": lambda v: v.mul(60).add(128).clamp(0, 255),
    }.items():
        bad(
            "W901 W902",
            f"{_name}, {_what}",
            lambda mk=_make, ch=_change: ((m := mk()), ch(x(*PICTURES) if isinstance(m[0], nn.Conv2d) else x())),
        )
bad("W902", "a table with columns of 1e5", lambda: (mlp(), x() * torch.logspace(0, 5, 32)))
bad(
    "W902",
    "recurrent net of raw prices",
    lambda: (
        Net(lambda s, v: s.o(s.r(v)[0][:, -1]), r=nn.GRU(4, 16, batch_first=True), o=lin(16, 1)),
        x(16, 9, 4) * 20 + 4000,
    ),
)


# ---------------------------------------------------------------------- cut off
def cut(how: Callable[[torch.Tensor], torch.Tensor]) -> Build:
    return lambda: (Net(lambda s, v: s.o(F.relu(s.b(how(F.relu(s.a(v)))))), a=lin(), b=lin(), o=lin(32, 10)), x())


@torch.no_grad()
def frozen(t: torch.Tensor) -> torch.Tensor:
    return t * 1.0


class Custom(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, t: torch.Tensor) -> torch.Tensor:
        return t * 2

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> None:
        return None


for _name, _how in {
    "detach": torch.Tensor.detach,
    "no_grad": frozen,
    "rounding": lambda t: torch.round(3 * t),
    "sign": torch.sign,
    "a new tensor of its data": lambda t: t.data.clone(),
    "a walk through NumPy": lambda t: torch.from_numpy(t.detach().numpy() * 1.5),
    "a comparison": lambda t: (t > 0).float(),
    "the largest of each row": lambda t: F.one_hot(t.argmax(-1), 32).float(),
    "a custom backward that gives nothing": Custom.apply,
}.items():
    bad("W801 W201", f"cut off by {_name}", cut(_how))


def inferring(context: Any) -> Build:
    def make() -> Any:
        def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
            with context():
                return s.o(F.relu(s.a(v)))

        return Net(forward, a=lin(), o=lin(32, 10)), x()

    return make


bad("W801", "all of it under inference_mode", inferring(torch.inference_mode))
bad("W801", "all of it under no_grad", inferring(torch.no_grad))


def silent(threshold: float, soft: bool) -> Build:
    def make() -> Any:
        def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
            u, out = torch.zeros(len(v), 64), 0.0
            for _ in range(6):
                u = 0.9 * u + s.a(v)
                hard = (u > threshold).float()
                narrow = torch.clamp(1 - (u - threshold).abs(), 0)
                z = narrow + (hard - narrow).detach() if soft else hard
                u, out = u * (1 - hard), out + s.o(z)
            return out / 6

        return Net(forward, a=lin(32, 64), o=lin(64, 10)), x()

    return make


bad("W801 W201", "spikes without a gradient", silent(0.3, soft=False))
bad("W701 W101 W201", "spikes that never come", silent(50.0, soft=True))


def router(kind: str) -> Build:
    def make() -> Any:
        def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
            logits, out = s.r(v), torch.stack([e(v) for e in s.e], 1)
            if kind == "picked":
                return s.o(v + out[torch.arange(len(v)), logits.argmax(-1)])
            if kind == "loop":
                h, which = torch.zeros_like(v), logits.topk(1, -1).indices[:, 0]
                for i, e in enumerate(s.e):
                    h = h.index_add(0, (which == i).nonzero()[:, 0], e(v[which == i]))
                return s.o(v + h)
            top, which = logits.topk(1, -1)
            return s.o(v + (top.softmax(-1)[..., None] * out.gather(1, which[..., None].expand(-1, -1, 32))).sum(1))

        return Net(forward, r=lin(32, 4), e=many(lambda: nn.Sequential(lin(), nn.ReLU(), lin()), 4), o=lin(32, 10)), x()

    return make


bad("W801 W201", "a router that only picks", router("picked"))
bad("W801 W201", "a router that only sorts", router("loop"))
bad("W801 W201", "a router whose one weight is always one", router("of one"))


def codes(far: float, straight: bool) -> Build:
    def make() -> Any:
        def forward(s: Any, v: torch.Tensor) -> Any:
            f = s.enc(v)
            q = s.code[torch.cdist(f, s.code).argmin(-1)]
            loss = F.mse_loss(q, f.detach()) + 0.25 * F.mse_loss(f, q.detach())
            return s.dec(f + (q - f).detach() if straight else q.detach()), loss

        net = Net(forward, enc=mlp(2), dec=lin(10, 32), code=p(64, 10))
        with torch.no_grad():
            net.code.add_(far * torch.arange(64)[:, None])
        return net, x()

    return make


bad("W703", "a codebook of which one code is used", codes(20.0, straight=True))


def fixed(radius: float, n: int, act: Any) -> Build:
    def make() -> Any:
        def forward(s: Any, v: torch.Tensor) -> torch.Tensor:
            z, u = torch.zeros(len(v), 32), s.i(v)
            for _ in range(n):
                z = act(s.w(z) + u)
            return s.o(z)

        net = Net(forward, i=lin(), w=lin(bias=False), o=lin(32, 10))
        nn.init.orthogonal_(net.w.weight, radius)
        return net, x()

    return make


bad("W102 W202 W501 W401", "a fixed point that runs away", fixed(2.0, 30, nn.Identity()))
bad("W102 W202 W501 W401", "a fixed point of ReLUs that runs away", fixed(4.0, 20, torch.relu))
assert len(BAD) >= 100, len(BAD)
