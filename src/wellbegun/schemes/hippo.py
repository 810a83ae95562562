"""HiPPO memories of a window: state-space layers that keep the last stretch of the past, as polynomials or waves."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, real
from wellbegun._typing import Array
from wellbegun.errors import LayoutError
from wellbegun.laws import Computed, Law
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme

PARTS = ("a", "b", "p")


def _root(order: int) -> Array:
    found: Array = np.sqrt(2 * np.arange(order) + 1.0)
    return found


def _sign(order: int) -> Array:
    return np.where(np.arange(order) % 2, -1.0, 1.0)


def _base(order: int) -> Array:
    found = np.where(np.arange(order) % 2, 0.0, math.sqrt(2))
    found[:1] = 1.0
    return found


def _legendre(order: int, part: str) -> Array:
    root, signs = _root(order), _sign(order)
    if part == "a":
        above = np.triu(np.ones((order, order)), 1) > 0
        found: Array = -np.outer(root, root) * np.where(above, np.outer(signs, signs), 1.0)
        return found
    return root if part == "b" else np.stack([root * (signs < 0), root * (signs > 0)])


def _waves(order: int, part: str) -> Array:
    base = _base(order)
    if part == "a":
        between = np.where(np.arange(order - 1) % 2, 0.0, np.pi * np.arange(order - 1))  # 2 pi n, from 2n to 2n + 1
        found: Array = np.diag(between, -1) - np.diag(between, 1) - 2 * np.outer(base, base)
        return found
    return 2 * base if part == "b" else math.sqrt(2) * base[None]


@dataclass(frozen=True)
class Window(Computed):
    """A, B or P of `hippo_legt` and `hippo_fout`; leading axes of A repeat it."""

    size: tuple[int, ...]
    measure: str
    part: str
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        order = self.size[0] if self.part == "b" else self.size[-1]
        values = self.gain * (_legendre if self.measure == "legt" else _waves)(order, self.part)
        if self.part == "b":
            values = values.reshape(self.size)
        if values.ndim == len(self.size):
            return values[start:stop]
        return np.broadcast_to(values, (stop - start, *self.size[1:]))


@dataclass(frozen=True, repr=False)
class WindowScheme(Scheme):
    """A law whose shape says the order."""

    measure: str
    part: str
    window: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        order = size[0] if self.part == "b" and size else size[-1] if size else 0
        ranks = 2 if self.measure == "legt" else 1
        fits = {
            "a": size[-2:] == (order, order) and sorted(layout.axes.replace("e", "")) == ["i", "o"],
            "b": len(size) == 1 or (len(size) == 2 and size[1] == 1),
            "p": size == (ranks, order),
        }[self.part]
        if not fits or not order or (self.measure == "fout" and order % 2):
            even = ", N even" * (self.measure == "fout")
            allowed = {"a": "(N, N), or a stack of them", "b": "(N,) or (N, 1)", "p": f"({ranks}, N)"}[self.part]
            raise LayoutError(message(self.spelling, "shape", allowed + even, shape))
        scale = 1 / self.window if self.part != "p" else 1 / math.sqrt(self.window)
        return Window(size, self.measure, self.part, scale)


def _window(owner: str, measure: str, part: str, window: float) -> WindowScheme:
    number = real(owner, "window", window, minimum=0, exclusive=True)
    choice(owner, "part", part, PARTS)
    text = spell(owner, {"part": part, "window": number}, {"part": "a", "window": 1.0})
    return WindowScheme(text, measure, part, number)


@scheme(
    formula=(
        "HiPPO-LegT: A_nk = -sqrt((2n + 1)(2k + 1)) / window for n >= k, times (-1)^(n - k) above the diagonal; "
        "B_n = sqrt(2n + 1) / window: Legendre polynomials over the last `window` of time."
    ),
    shapes="A (N, N) and stacks of it ('eoi'), B (N,) or (N, 1), P (2, N).",
    strengths="the state is the best polynomial of the last window, and forgets what is older.",
    weaknesses="needs to know how long to look back; S4's code has window = 2, the memory unit of LMU other signs.",
    use="LMU and S4 layers over a window; A + P^T P is skew-symmetric, so A is normal plus rank two.",
    source="Gu et al. 2020, arXiv:2008.07669, theorem 1; S4's `transition('legt', N)`, which is window = 2.",
    tensors="state state_input",
    shape=(16, 16),
    invariants={
        "A + A^T = -(R R^T + S S^T), R_n = sqrt(2n + 1), S_n = (-1)^n R_n": lambda a: near(
            a + a.T, -np.outer(_root(len(a)), _root(len(a))) * (1 + np.outer(_sign(len(a)), _sign(len(a))))
        ),
        "a constant is its own first coefficient: A e_0 = -B": lambda a: near(a[:, 0], -_root(len(a))),
    },
)
def hippo_legt(*, part: str = "a", window: float = 1.0) -> WindowScheme:
    """Args:
        part: "a", "b", or "p" (what makes A normal: A + P^T P is skew-symmetric).
        window: > 0, in units of time.
    Raises: ArgumentError here: arguments. LayoutError at the draw: another shape.

    >>> hippo_legt(window=2.0)((2, 2), seed=0, dtype="float64").round(4).tolist()
    [[-0.5, 0.866], [-0.866, -1.5]]
    """
    return _window("hippo_legt", "legt", part, window)


@scheme(
    formula=(
        "HiPPO-FouT: A = S - 2 b b^T / window, b = (1, 0, sqrt(2), 0, sqrt(2), ...), S turns coordinates 2n and "
        "2n + 1 at 2 pi n / window; B = 2 b / window: waves over the last `window` of time."
    ),
    shapes="A (N, N) with N even and stacks of it ('eoi'), B (N,) or (N, 1), P (1, N).",
    strengths="the state is the Fourier series of the last window; A is normal plus rank one.",
    weaknesses="needs to know how long to look back; a jump over the window rings. S4's code has window = 2.",
    use="S4 layers over a window, next to `hippo_legs` in its default mixture.",
    source="Gu et al. 2022, arXiv:2206.12037; S4's `transition('fout', N)`, which is window = 2.",
    tensors="state state_input",
    shape=(16, 16),
    invariants={
        "A + 2 b b^T is skew-symmetric and turns at 2 pi n": lambda a: near(
            np.sort(np.linalg.eigvals(a + np.outer(_base(len(a)), _base(len(a))) * 2).imag),
            np.pi * 2 * np.sort(np.concatenate([np.arange(len(a) // 2), -np.arange(len(a) // 2)])),
        ),
        "A e_0 = -B": lambda a: near(a[:, 0], -2 * _base(len(a))),
    },
)
def hippo_fout(*, part: str = "a", window: float = 1.0) -> WindowScheme:
    """Args:
        part: "a", "b", or "p" (what makes A normal: A + P^T P is skew-symmetric).
        window: > 0, in units of time.
    Raises: ArgumentError here: arguments. LayoutError at the draw: another shape, or an odd order.

    >>> hippo_fout(part="b", window=2.0)(4, seed=0, dtype="float64").round(4).tolist()
    [1.0, 0.0, 1.4142, 0.0]
    """
    return _window("hippo_fout", "fout", part, window)


publish(globals())
