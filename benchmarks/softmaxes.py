"""How sharp a softmax may be before training suffers: attention, shares of experts, and features that pass through one.

Usage: python benchmarks/softmaxes.py [--only GLOB]

Each network is trained with Adam (the better of two rates, 60 steps, two seeds), with the weights before its softmax
multiplied until the logits of one row have a standard deviation of 1, 3, 8, 25 and 100. Printed is the mean loss of the
steps, in units of that at 1, and what `wellbegun.check` says.
"""

import argparse
import fnmatch
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "net"))

from labelled_good import Net, lin, many, p, x  # noqa: E402

import wellbegun as wb  # noqa: E402

SPREADS = (3.0, 8.0, 25.0, 100.0)
Forward = Callable[[Any, torch.Tensor], torch.Tensor]


def net(forward: Forward, **parts: Any) -> nn.Module:
    """Whose weights before the softmax are called `scores`; it notes the logits as `seen`."""
    return Net(forward, o=lin(32, 10), **parts)


def softmax(net: Any, logits: torch.Tensor, axis: int = -1) -> torch.Tensor:
    net.seen = logits.detach().movedim(axis, -1)
    return logits.softmax(axis)


def experts() -> nn.ModuleList:
    return many(lambda: nn.Sequential(lin(32, 64), nn.ReLU(), lin(64, 32)), 8)


def all_of(s: Any, v: torch.Tensor) -> torch.Tensor:
    return torch.stack([expert(v) for expert in s.e], -2)


def best(s: Any, v: torch.Tensor) -> torch.Tensor:
    share, which = softmax(s, s.scores(v)).max(-1)
    return share[:, None] * all_of(s, v)[torch.arange(len(v)), which]


def attention(s: Any, v: torch.Tensor) -> torch.Tensor:
    query, key = s.scores(v).chunk(2, -1)
    return softmax(s, query @ key.mT / 32**0.5) @ s.v(v)


def slots(s: Any, v: torch.Tensor) -> torch.Tensor:
    logits = s.scores(v)
    given = logits.softmax(1).mT @ v
    made = torch.stack([expert(given[:, i]) for i, expert in enumerate(s.e)], 1)
    return softmax(s, logits) @ made


KINDS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "soft experts": (lambda: net(lambda s, v: s.o((softmax(s, s.scores(v))[..., None] * all_of(s, v)).sum(1)),
                                 scores=lin(32, 8), e=experts()), (64, 32)),
    "soft experts beside a stream": (lambda: net(
        lambda s, v: s.o(v + (softmax(s, s.scores(v))[..., None] * all_of(s, v)).sum(1)),
        scores=lin(32, 8), e=experts()), (64, 32)),
    "the best expert times its share": (lambda: net(lambda s, v: s.o(v + best(s, v)), scores=lin(32, 8), e=experts()),
                                        (64, 32)),
    "slots of experts": (lambda: net(lambda s, v: s.o(slots(s, v).mean(1)), scores=lin(32, 8), e=experts()),
                         (32, 12, 32)),
    "pooling": (lambda: net(lambda s, v: s.o((softmax(s, s.scores(v), 1) * v).sum(1)), scores=lin(32, 1)),
                (64, 12, 32)),
    "attention": (lambda: net(lambda s, v: s.o(attention(s, v).mean(1)), scores=lin(32, 64), v=lin()), (32, 9, 32)),
    "attention beside a stream": (lambda: net(lambda s, v: s.o((v + attention(s, v)).mean(1)), scores=lin(32, 64),
                                              v=lin()), (32, 9, 32)),
    "features": (lambda: net(lambda s, v: s.o(functional.relu(s.c(softmax(s, s.scores(functional.relu(s.a(v))))))),
                             a=lin(), scores=lin(32, 64), c=lin(64, 32)), (64, 32)),
    "a code read softly": (lambda: net(lambda s, v: s.o(softmax(s, s.scores(functional.relu(s.a(v)))) @ s.code),
                                       a=lin(), scores=lin(32, 64), code=p(64, 32)), (64, 32)),
}  # fmt: skip


def made(kind: str, spread: float, seed: int) -> tuple[Any, torch.Tensor]:
    torch.manual_seed(seed)
    build, shape = KINDS[kind]
    model, batch = build(), x(*shape)
    power = 2 if "attention" in kind else 1  # of queries and keys
    with torch.no_grad():
        for _ in range(8):
            model(batch)
            model.scores.weight.mul_((spread / model.seen.std(-1).mean()) ** (1 / power))
    return model, batch


def trained(kind: str, spread: float, seed: int) -> float:
    """The mean loss of the steps at the better rate."""
    means = []
    for rate in (1e-2, 3e-3):
        model, batch = made(kind, spread, seed)
        labels = torch.randint(0, 10, (len(batch),), generator=torch.Generator().manual_seed(3))
        optimizer, losses = torch.optim.Adam(model.parameters(), rate), []
        for _ in range(60):
            optimizer.zero_grad()
            losses.append(functional.cross_entropy(model(batch), labels))
            losses[-1].backward()
            optimizer.step()
        means.append(sum(loss.item() for loss in losses) / len(losses))
    return min(means)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="networks whose names match")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for kind in fnmatch.filter(KINDS, chosen.only):
        usual = [trained(kind, 1.0, seed) for seed in (0, 1)]
        told = []
        for spread in SPREADS:
            times = [trained(kind, spread, seed) / one for seed, one in enumerate(usual)]
            codes = " ".join(wb.check(*made(kind, spread, 0)).codes) or "healthy"
            told.append(f"{spread:g}: {math.prod(times) ** 0.5:.2f} {codes}")
        print(f"{kind}: {'; '.join(told)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
