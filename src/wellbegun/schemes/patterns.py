"""Schemes with a pattern: sparse matrices, repeated rows."""

import math
from dataclasses import dataclass, replace
from typing import Any

from wellbegun._arguments import choice, integer, message, real
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Law, Normal, Repeat, Sparse
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import publish, scheme
from wellbegun.schemes.own import Given, made_scheme


@dataclass(frozen=True, repr=False)
class SparseScheme(Scheme):
    """A fixed number of nonzero weights for each unit."""

    nonzeros: int | None
    sparsity: float
    std: float
    per: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        canonical = layout.canonical_shape(shape)
        if layout.axes.count("o") != 1 or "i" not in layout.axes or "e" in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "one output axis, inputs and no experts", layout.axes))
        places = math.prod(canonical[1:]) if self.per == "output" else canonical[0]
        kept = places - math.ceil(self.sparsity * places) if self.nonzeros is None else min(self.nonzeros, places)
        return Sparse(Normal(0.0, self.std), kept, self.per)


@scheme(
    formula="Sparse normal: each unit has exactly `nonzeros` weights from N(0, std^2), the others are 0.",
    shapes="any with one output axis and inputs.",
    strengths="units start different from each other and unsaturated however wide the layer is.",
    weaknesses="many weights start at zero and learn late; the best number and scale are yours to find.",
    use="wide fully connected and recurrent layers trained without normalization.",
    source='Martens 2010, "Deep learning via Hessian-free optimization" (15 inputs to each unit).',
    tensors="hidden recurrent",
    example="sparse(sparsity=0.5)",
    invariants={"as many nonzeros in every unit": lambda w: bool(((w != 0).sum(axis=1) == w.shape[1] // 2).all())},
)
def sparse(
    *, nonzeros: int | None = None, sparsity: float | None = None, std: float = 0.01, per: str = "output"
) -> SparseScheme:
    """Args:
        nonzeros: Weights kept for each unit (all, if it has fewer); give this or `sparsity`. 15 if neither is given.
        sparsity: Share of each unit's weights that is 0, in [0, 1], rounded up to whole weights.
        std: >= 0, in units of the weight.
        per: "output": a unit is an output and has that many inputs; "input": an input feeds that many outputs.
    Raises: ArgumentError here: arguments. LayoutError at the draw.

    >>> (sparse(nonzeros=3)((5, 20), seed=0) != 0).sum(axis=1).tolist()
    [3, 3, 3, 3, 3]
    """
    owner = "sparse"
    if nonzeros is not None and sparsity is not None:
        raise ArgumentError(message(owner, "nonzeros", "given without sparsity", (nonzeros, sparsity)))
    count = 15 if nonzeros is None and sparsity is None else nonzeros
    count = None if count is None else integer(owner, "nonzeros", count, minimum=0)
    share = 0.0 if sparsity is None else real(owner, "sparsity", sparsity, minimum=0)
    if share > 1:
        raise ArgumentError(message(owner, "sparsity", "in [0, 1]", sparsity))
    spread = real(owner, "std", std, minimum=0)
    choice(owner, "per", per, ("output", "input"))
    options: dict[str, Any] = {"nonzeros": count, "sparsity": sparsity and share, "std": spread, "per": per}
    text = spell(owner, options, {"nonzeros": None, "sparsity": None, "std": 0.01, "per": "output"})
    return SparseScheme(text, count, share, spread, per)


@dataclass(frozen=True, repr=False)
class RepeatScheme(Scheme):
    """Each output row of another scheme several times in a row."""

    scheme: Scheme
    times: int

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if layout.axes.count("o") != 1 or "e" in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "one output axis and no experts", layout.axes))
        units = shape[layout.axes.index("o")]
        if units % self.times:
            raise LayoutError(message(self.spelling, "shape", f"a multiple of {self.times} output units", shape))
        fewer = tuple(
            size // self.times if role == "o" else size for size, role in zip(shape, layout.axes, strict=True)
        )
        return Repeat(self.scheme._law(fewer, replace(layout, sections=None)), self.times)


@scheme(
    formula=(
        "Each output channel of `scheme` repeated `times` times: nearest-neighbour upsampling after a pixel shuffle."
    ),
    shapes="any with one output axis that is a multiple of `times`.",
    strengths="no checkerboard patterns at the start.",
    weaknesses="groups of channels start equal; only the shuffle tells them apart.",
    use="the convolution before a pixel shuffle.",
    source="Aitken et al. 2017, arXiv:1707.02937.",
    tensors="upsampling",
    example="icnr(he_normal(mode='fan_out'), 2)",
    invariants={"channels are equal in groups of `times`": lambda w: bool((w[0::2] == w[1::2]).all())},
)
def icnr(scheme: Given, times: int) -> RepeatScheme:
    """Args:
        scheme: The scheme of the smaller layer with out / times channels.
        times: Channels that the shuffle joins into one, >= 1: r^2 for an upsampling by r in two dimensions.
    Raises: ArgumentTypeError, ArgumentError here.

    >>> from wellbegun.schemes import he_normal
    >>> w = icnr(he_normal(), 4)((8, 3, 1, 1), seed=0, layout="oikk")
    >>> bool((w[:4] == w[0]).all()), bool((w[4] == w[0]).all())
    (True, False)
    """
    scheme = made_scheme("icnr", "scheme", scheme)
    count = integer("icnr", "times", times, minimum=1)
    return RepeatScheme(f"icnr({scheme!r}, {count})", scheme, count)


publish(globals())
