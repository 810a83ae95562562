"""Adapters of trained weights: LoRA and its starts from the weight that it adapts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, integer, message, real, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Given, Law, Normal, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.donor import Donor
from wellbegun.schemes.fixed import FixedScheme
from wellbegun.schemes.orthonormal import haar

PARTS = ("a", "b", "base")
_WEIGHT = [[2.0, 0.0, 1.0], [0.0, 1.0, 0.5], [1.0, 1.0, 3.0], [0.5, -1.0, 0.0]]  # of examples


@dataclass(frozen=True, repr=False)
class LoraScheme(Scheme):
    """The first factor of an adapter."""

    distribution: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        fan_in = layout.fans(shape, owner=self.spelling).fan_in
        rank = layout.canonical_shape(shape)[0]
        if not (fan_in and rank):
            raise LayoutError(message(self.spelling, "shape", "(rank, in), both above 0", shape))
        if self.distribution == "gaussian":
            return Normal(0.0, 1 / rank)
        bound = math.sqrt((6.0 if self.distribution == "he_uniform" else 1.0) / fan_in)
        return Uniform(-bound, bound)


@scheme(
    formula="LoRA A: U(-1 / sqrt(n_in), 1 / sqrt(n_in)), as kaiming_uniform with a = sqrt(5) gives it; B is zeros().",
    shapes="(rank, in), and kernels.",
    strengths="B = 0 makes the adapter add nothing at first; A gives its gradient a direction.",
    weaknesses=(
        "both factors 0 never learn. peft's and torch's scale, Keras' and Flax's (he_uniform: 6 times the "
        "variance) and peft's 'gaussian' differ; adapters of tables have A = 0 and B ~ N(0, 1)."
    ),
    use="lora_A of peft, with lora_B from zeros(); the product is times alpha / r, or alpha / sqrt(r) in rsLoRA.",
    source="Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732 (rsLoRA); peft `LoraLayer`.",
    tensors="adapter_in",
    shape=(8, 64),
    invariants={
        "|A| <= 1 / sqrt(n_in)": lambda a: bool((np.abs(a) <= 1 / 8).all()),
        "Var A = 1 / (3 n_in)": lambda a: varies(a, 1 / (3 * 64)),
    },
)
def lora_a(*, distribution: str = "uniform") -> LoraScheme:
    """Args:
        distribution: "uniform"; "he_uniform": U on +-sqrt(6 / n_in); "gaussian": N(0, 1 / rank^2), as peft has it.
    Raises: ArgumentError here: distribution. LayoutError at the draw: no fans.

    >>> lora_a(distribution="gaussian").law((4, 100))
    Normal(mean=0.0, std=0.25)
    """
    choice("lora_a", "distribution", distribution, ("uniform", "he_uniform", "gaussian"))
    text = spell("lora_a", {"distribution": distribution}, {"distribution": "uniform"})
    return LoraScheme(text, distribution)


# ---------------------------------------------------------------------- both factors at once
@dataclass(frozen=True)
class Disjoint(Built):
    """One of two factors whose ranks do not meet; see `lora_orthogonal`."""

    part: str = "a"
    gain: float = 0.1

    def fits(self, shape: tuple[int, ...]) -> None:
        rank = self._sizes(shape)[0] if len(shape) == 2 else 0
        if not rank or rank % 2:
            allowed = f"{'(rank, in)' if self.part == 'a' else '(out, rank)'} with an even rank"
            raise ArgumentError(message("lora_orthogonal", "shape", allowed, shape))

    def _sizes(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The rank, and the size of the other side."""
        return shape if self.part == "a" else shape[::-1]  # type: ignore[return-value]  # two axes

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        """The basis that both share, then a row for each unit of either."""
        rank, units = self._sizes(shape)
        return Normal(0.0, 1.0), (rank + units, 2, rank // 2)

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        rank, own = self._sizes(shape)[0], PARTS.index(self.part)
        found: Array = self.gain * drawn[rank:, own] @ haar(drawn[:rank].reshape(rank, rank))[own::2]
        return found if own else found.T


@scheme(
    formula="Orthogonal LoRA: A = (Z1 Q1)^T / 10, B = Z2 Q2 / 10; Q1 and Q2 are every other row of a Haar matrix.",
    shapes="A (rank, in), B (out, rank), of an even rank.",
    strengths="the adapter adds nothing at first, B A = 0, though neither factor is 0: both learn from the first step.",
    weaknesses="each factor has half of its rank at first; both have to name one pair.",
    use="LoRA layers of trained weights: two rules, one for each factor.",
    source="datta0, 'Rethinking LoRA initialisation'; peft, `init_lora_weights='orthogonal'`.",
    tensors="adapter_in adapter_out",
    shape=(8, 500),
    invariants={
        "rank of A = rank / 2": lambda a: int(np.linalg.matrix_rank(a)) == 4,
        "Var A = 1 / 200": lambda a: bool(abs((a**2).mean() * 200 - 1) < 6 * (2 / 2000) ** 0.5),
    },
)
def lora_orthogonal(part: str = "a", *, pair: str = "", scale: float = 0.1) -> FixedScheme:
    """Args:
        part: "a" or "b".
        pair: Any text that both factors name, such as "layers.0.q": they are of one draw, where the seed is one, as in
            a plan.
        scale: > 0, of the entries times sqrt(2).
    Raises: ArgumentError here: arguments; at the draw: an odd rank. LayoutError at the draw: no matrix.

    >>> a, b = (lora_orthogonal(part, pair="q")(shape, seed=0, dtype="float64")
    ...         for part, shape in (("a", (4, 6)), ("b", (5, 4))))
    >>> bool(np.allclose(b @ a, 0)), bool(a.any() and b.any())
    (True, True)
    """
    owner = "lora_orthogonal"
    choice(owner, "part", part, PARTS[:2])
    number = real(owner, "scale", scale, minimum=0, exclusive=True)
    options = {"part": part, "pair": text_of(owner, "pair", pair), "scale": number}
    text = spell(owner, options, {"part": "a", "pair": "", "scale": 0.1})
    return FixedScheme(text, Disjoint(pair, part, number), "io")


# ---------------------------------------------------------------------- from the weight
Split = Callable[[Array, int, float], tuple[Array, Array, Array]]
"""(W, rank, scale) -> (A, B, base)"""


@dataclass(frozen=True, repr=False)
class SplitScheme(Scheme):
    """One of the three parts that a trained weight is split into."""

    weight: Donor
    split: Split
    part: str
    rank: int | None
    scale: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        out, inputs = self.weight.shape
        rank = self.rank or (size or (0,))[0 if self.part == "a" else -1]
        expected = {"a": (rank, inputs), "b": (out, rank), "base": (out, inputs)}[self.part]
        if size != expected or not 1 <= rank <= min(out, inputs):
            allowed = f"{expected} with a rank of at most {min(out, inputs)}"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        return Given.of(self.split(self.weight.array, rank, self.scale)[PARTS.index(self.part)])


def _splits(
    name: str, weight: Any, part: str, rank: int | None, scale: float, split: Split, **more: Any
) -> SplitScheme:
    donor = Donor.of(name, "weight", weight)
    if len(donor.shape) != 2:
        raise ArgumentError(message(name, "weight", "a matrix (out, in)", donor.shape))
    choice(name, "part", part, PARTS)
    number = real(name, "scale", scale, minimum=0, exclusive=True)
    count = None if rank is None else integer(name, "rank", rank, minimum=1)
    if part == "base" and count is None:
        raise ArgumentError(message(name, "rank", "given for the base", rank))
    options = {"weight": donor, "part": part, "rank": count, "scale": number, **more}
    text = spell(name, options, {"part": "a", "rank": None, "scale": 1.0, "bits": 4, "steps": 5})
    return SplitScheme(text, donor, split, part, count, number)


def _principal(weight: Array, rank: int, scale: float) -> tuple[Array, Array, Array]:
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    roots = np.sqrt(values[:rank] / scale)
    a, b = roots[:, None] * right[:rank], left[:, :rank] * roots
    return a, b, weight - scale * b @ a


def _qr(weight: Array, rank: int, scale: float) -> tuple[Array, Array, Array]:
    q, r = np.linalg.qr(weight)
    return r[:rank], q[:, :rank], weight - scale * q[:, :rank] @ r[:rank]


@scheme(
    formula=(
        "PiSSA: A = sqrt(S / s) V^T and B = U sqrt(S / s) of the weight's r largest singular values, base W - s B A."
    ),
    shapes="A (rank, in), B (out, rank), base (out, in) of the given weight (out, in).",
    strengths="the adapter trains the principal part of the weight, so losses fall faster than from B = 0.",
    weaknesses="the base changes, so it has to be saved with the adapter; the weight is kept in the plan; O(n^3).",
    use="LoRA layers of trained weights: three rules, with the weight and the scale alpha / r of the layer.",
    source="Meng et al. 2024, arXiv:2404.02948.",
    tensors="adapter_in adapter_out",
    example=f"pissa(weight={_WEIGHT!r}, part='b')",
    shape=(4, 2),
    invariants={
        "B is U sqrt(S)": lambda b: near(b.T @ b, np.diag(np.linalg.svd(np.array(_WEIGHT))[1][:2])),
        "B spans the largest singular vectors": lambda b: near(
            b @ b.T @ np.linalg.svd(np.array(_WEIGHT))[0][:, 2:], np.zeros((4, 2))
        ),
    },
)
def pissa(weight: Any, *, part: str = "a", rank: int | None = None, scale: float = 1.0) -> SplitScheme:
    """Args:
        weight: The trained matrix, (out, in).
        part: "a", "b" or "base".
        rank: Of the adapter; needed for the base, where the shape does not tell it.
        scale: What the product B A is times in the forward pass, > 0: alpha / r.
    Raises: ArgumentError, ArgumentTypeError here: arguments. LayoutError at the draw: shapes that do not fit.

    >>> w = np.arange(6.0).reshape(3, 2)
    >>> a, b, base = (pissa(w, part=p, rank=1, scale=2.0)(s, seed=0, dtype="float64")
    ...               for p, s in (("a", (1, 2)), ("b", (3, 1)), ("base", (3, 2))))
    >>> bool(np.allclose(base + 2 * b @ a, w))
    True
    """
    return _splits("pissa", weight, part, rank, scale, _principal)


@scheme(
    formula="OLoRA: B = Q_r and A = R_r of the weight's QR decomposition, base W - s B A.",
    shapes="A (rank, in), B (out, rank), base (out, in) of the given weight (out, in).",
    strengths="B starts with orthonormal columns; cheaper than an SVD.",
    weaknesses="the first columns of the weight decide what is adapted; the base changes.",
    use="LoRA layers of trained weights, as peft's init_lora_weights='olora'.",
    source="Buyukakyuz 2024, arXiv:2406.01775.",
    tensors="adapter_in adapter_out",
    example=f"olora(weight={_WEIGHT!r}, part='b')",
    shape=(4, 2),
    invariants={
        "B^T B = I": lambda b: near(b.T @ b, np.eye(2)),
        "B spans the first columns of the weight": lambda b: near(
            b @ b.T @ np.array(_WEIGHT)[:, :2], np.array(_WEIGHT)[:, :2]
        ),
    },
)
def olora(weight: Any, *, part: str = "a", rank: int | None = None, scale: float = 1.0) -> SplitScheme:
    """Args:
        weight: The trained matrix, (out, in).
        part: "a", "b" or "base".
        rank: As for `pissa`.
        scale: As for `pissa`.
    Raises: ArgumentError, ArgumentTypeError here: arguments. LayoutError at the draw: shapes that do not fit.

    >>> b = olora(np.eye(3), part="b")((3, 2), seed=0)
    >>> (abs(b) == np.eye(3)[:, :2]).all().item()
    True
    """
    return _splits("olora", weight, part, rank, scale, _qr)


@dataclass(frozen=True)
class _Quantized:
    bits: int
    steps: int

    def __call__(self, weight: Array, rank: int, scale: float) -> tuple[Array, Array, Array]:
        best: tuple[Array, Array, Array] | None = None
        least, rest = math.inf, weight
        for _ in range(self.steps):
            base = self.rounded(rest)
            a, b, remainder = _principal(weight - base, rank, scale)
            error = float(np.linalg.norm(remainder))
            if error < least:
                least, best = error, (a, b, base)
            rest = weight - scale * b @ a
        assert best is not None
        return best

    def rounded(self, weight: Array) -> Array:
        """To 2^bits - 1 levels around 0 in each row."""
        largest = np.abs(weight).max(axis=1, keepdims=True)
        step = np.where(largest > 0, largest, 1.0) / max(2 ** (self.bits - 1) - 1, 1)
        return np.asarray(np.rint(weight / step) * step)


@scheme(
    formula="LoftQ: base = quantized(W - s B A) and s B A = the best rank-r part of W - base, in turn.",
    shapes="A (rank, in), B (out, rank), base (out, in) of the given weight (out, in).",
    strengths="base + s B A is nearer to the weight than the quantized weight alone.",
    weaknesses=(
        "rounds each row to equal steps here; NF4 and its like round differently, so give them W - base yourself."
    ),
    use="LoRA beside weights of few bits.",
    source="Li et al. 2023, arXiv:2310.08659.",
    tensors="adapter_in adapter_out",
    example=f"loftq(weight={_WEIGHT!r}, part='base', rank=1, bits=3)",
    shape=(4, 3),
    invariants={
        "7 levels in each row": lambda q: near(3 * q / abs(q).max(axis=1, keepdims=True) % 1, np.zeros(q.shape)),
        "the rest is nearer to rank 1 than that of plain rounding": lambda q: bool(
            np.linalg.norm(np.linalg.svd(np.array(_WEIGHT) - q)[1][1:])
            <= np.linalg.norm(np.array(_WEIGHT) - _Quantized(3, 1).rounded(np.array(_WEIGHT)))
        ),
    },
)
def loftq(
    weight: Any, *, part: str = "a", rank: int | None = None, scale: float = 1.0, bits: int = 4, steps: int = 5
) -> SplitScheme:
    """Args:
        weight: The trained matrix, (out, in).
        part: "a", "b" or "base".
        rank: As for `pissa`.
        scale: As for `pissa`.
        bits: Of the quantized base, 2 to 32.
        steps: How often both parts are computed in turn, 1 to 1000; the best of them counts.
    Raises: ArgumentError, ArgumentTypeError here: arguments. LayoutError at the draw: shapes that do not fit.

    >>> w = np.random.default_rng(0).standard_normal((8, 6))
    >>> a, b, base = (loftq(w, part=p, rank=2)(s, seed=0, dtype="float64")
    ...               for p, s in (("a", (2, 6)), ("b", (8, 2)), ("base", (8, 6))))
    >>> plain = np.linalg.norm(w - _Quantized(4, 1).rounded(w))
    >>> bool(np.linalg.norm(w - base - b @ a) < plain)
    True
    """
    count = integer("loftq", "bits", bits, minimum=2, limit=33)
    turns = integer("loftq", "steps", steps, minimum=1, limit=1001)
    return _splits("loftq", weight, part, rank, scale, _Quantized(count, turns), bits=count, steps=turns)


publish(globals())
