"""Impulses: depthwise kernels of single taps, and attention that starts as if it were such kernels."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, integer, message, real, shape_of, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Constant, Given, Law, Normal, Sparse
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.donor import Donor
from wellbegun.schemes.fixed import FixedScheme

_SOURCE = "Zheng, Li, Saratchandran, Lucey 2025, arXiv:2505.19985, and its code"
_MOVES = ((0, 0), (-1, 0), (0, 1), (0, -1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))  # the order of its heads
_PLACES = np.eye(4).tolist()
_SIDES = ("query", "key")


@dataclass(frozen=True, repr=False)
class ImpulseScheme(Scheme):
    """Equal taps at random places."""

    taps: int
    size: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if layout.axes.count("o") != 1 or "k" not in layout.axes or "e" in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution, such as 'oikk'", layout.axes))
        law = Sparse(Constant(self.size), self.taps, "output")
        law.fits(layout.canonical_shape(shape))
        return law


@scheme(
    formula="Impulse: gain / sqrt(taps) at `taps` places of each output's kernel, drawn without repeats, else 0.",
    shapes="convolutions, meant for depthwise ones.",
    strengths="each channel looks one way: with a dense layer behind, any kernel can be mixed from few channels.",
    weaknesses="needs more channels than places; alone it only moves images.",
    use="depthwise convolutions in front of 1 x 1 ones (ConvMixer), also without training them.",
    source="Zheng, Li, Lucey 2024, arXiv:2401.12511, and its code (taps > 1: its boxes).",
    tensors="convolution",
    example="impulse(taps=4, gain=1.0)",
    shape=(16, 1, 3, 3),
    layout="oikk",
    invariants={
        "gain / sqrt(taps) or 0": lambda w: near(w[w != 0], np.full((w != 0).sum(), 0.5)),
        "as many taps in each kernel": lambda w: bool(((w != 0).sum(axis=(1, 2, 3)) == 4).all()),
    },
)
def impulse(*, taps: int = 1, gain: float = 3**-0.5) -> ImpulseScheme:
    """Args:
        taps: Of each output, >= 1.
        gain: > 0: the length of each output's kernel.
    Raises: ArgumentError here: arguments; at the draw: more taps than places. LayoutError at the draw: no kernel.

    >>> w = impulse(gain=1.0)((4, 1, 3, 3), seed=0, layout="oikk")
    >>> w.sum(axis=(1, 2, 3)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    count = integer("impulse", "taps", taps, minimum=1)
    number = real("impulse", "gain", gain, minimum=0, exclusive=True)
    text = spell("impulse", {"taps": count, "gain": number}, {"taps": 1, "gain": 3**-0.5})
    return ImpulseScheme(text, count, number / math.sqrt(count))


@dataclass(frozen=True, kw_only=True)
class ImpulseAttention(Built):
    """Queries or keys whose logits on given positions are shifts; see `impulse_attention`."""

    side: str
    positions: Given
    grid: tuple[int, ...]
    heads: int
    gain: float

    def fits(self, shape: tuple[int, ...]) -> None:
        width = self.positions.size[1]
        if len(shape) != 2 or shape[1] != width or shape[0] % self.heads:
            allowed = f"(out, {width}), out a multiple of {self.heads} heads"
            raise ArgumentError(message("impulse_attention", "shape", allowed, shape))
        values = self._parts()[1]
        rank = int((values > 1e-6 * values[:1]).sum())
        if shape[0] // self.heads > rank:
            allowed = f"heads no wider than the {rank} dimensions that the positions span"
            raise ArgumentError(message("impulse_attention", "shape", allowed, shape))

    def _parts(self) -> tuple[Array, Array, Array]:
        """The decomposition of the positions as attention sees them, behind a layer norm."""
        seen = self.positions.rows(0, self.positions.size[0])
        seen = seen - seen.mean(axis=1, keepdims=True)
        found: tuple[Array, Array, Array] = np.linalg.svd(seen / seen.std(axis=1, keepdims=True), full_matrices=False)
        return found

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        places = self.positions.size[0]
        return Normal(0.0, 1.0), (self.heads, places, places)

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        each = shape[0] // self.heads
        if not each:
            return np.zeros(shape)
        left, values, right = self._parts()
        left, values, right = left[:, :each], values[:each], right[:each].T
        rows = []
        for head, noise in enumerate(drawn):
            shift = _shift(self.grid, _MOVES[head % len(_MOVES)])
            core = left.T @ np.where(shift, 1000.0, 1.8 * noise) @ left / values / values[:, None]
            outer, size, inner = np.linalg.svd(core)
            largest = np.take_along_axis(outer, np.abs(outer).argmax(axis=0)[None], axis=0)
            side = (outer if self.side == "query" else inner.T) * np.where(largest < 0, -1.0, 1.0)
            rows.append(self.gain * (right @ (side * np.sqrt(size / size.sum()))).T)
        return np.concatenate(rows)


def _shift(grid: tuple[int, ...], move: tuple[int, int]) -> Array:
    """Whether a place of the grid looks at another: (places, places); those at the border may look at none."""
    down, along = (np.eye(size, k=step, dtype=bool) for size, step in zip(grid, move, strict=True))
    return np.kron(down, along)


@scheme(
    formula=(
        "Impulse attention: W_Q and W_K are the halves of the SVD of P^+ (1000 S + 1.8 Z (1 - S)) P^+^T in each head, "
        "each to the length `gain`; P the positions behind a layer norm (P^+ of rank d_head), S the shift by one of 9 "
        "places."
    ),
    shapes="queries and keys (heads d_head, d); matrices.",
    strengths="each head starts looking at one neighbour of a patch: a vision transformer starts as a convolution.",
    weaknesses="holds while positions outweigh contents; the table is in the plan; O(heads N^2 d_head).",
    use="vision transformers on little data; values and outputs are `mimetic`.",
    source=f"{_SOURCE} (Z is cut at 3.3 deviations there).",
    tensors="query key",
    example=f"impulse_attention(positions={_PLACES}, grid=(2, 2))",
    shape=(3, 4),
    invariants={"|W| = gain in each head": lambda w: near((w**2).sum(), np.array(49.0))},
)
def impulse_attention(
    of: str = "query", *, positions: Any, grid: Any, pair: str = "", heads: int = 1, gain: float = 7.0
) -> FixedScheme:
    """Args:
        of: "query" or "key".
        positions: The table of positions that is added to the patches, (patches, d), without that of a class token; in
            its code N(0, 0.36^2).
        grid: Patches down and along, row by row in the table.
        pair: Any text that both of a pair name, such as "layers.0.qk"; see `mimetic`.
        heads: >= 1; the 9 shifts in turn.
        gain: > 0, the length (root of the sum of squares) of each head's matrix.
    Raises: ArgumentError here: arguments; at the draw, shapes that do not fit. LayoutError at the draw: no matrix.

    The first head looks at its own place:

    >>> table = np.random.default_rng(0).standard_normal((16, 24))
    >>> q, k = (impulse_attention(of, positions=table, grid=(4, 4))((12, 24), seed=0) for of in ("query", "key"))
    >>> bool(((table @ q.T @ k @ table.T).argmax(axis=1) == np.arange(16)).mean() > 0.9)
    True
    """
    owner = "impulse_attention"
    choice(owner, "of", of, _SIDES)
    table, sides = Donor.of(owner, "positions", positions), shape_of(owner, grid, "grid")
    if len(table.shape) != 2 or len(sides) != 2 or math.prod(sides) != table.shape[0]:
        raise ArgumentError(message(owner, "grid", f"two sizes with as many places as {table.shape} has rows", sides))
    if not table.array.size or not table.array.std(axis=1).all():
        raise ArgumentError(message(owner, "positions", "rows that are not constant", table))
    count, number = integer(owner, "heads", heads, minimum=1), real(owner, "gain", gain, minimum=0, exclusive=True)
    known = text_of(owner, "pair", pair)
    options = {"of": of, "positions": table, "grid": sides, "pair": known, "heads": count, "gain": number}
    text = spell(owner, options, {"of": "query", "pair": "", "heads": 1, "gain": 7.0})
    factor = ImpulseAttention(known, side=of, positions=Given.of(table.array), grid=sides, heads=count, gain=number)
    return FixedScheme(text, factor, "io")


publish(globals())
