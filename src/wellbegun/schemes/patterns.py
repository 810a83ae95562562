"""Schemes with a pattern: identities, sparse matrices, repeated rows."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

from wellbegun._arguments import choice, integer, message, real
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError
from wellbegun.laws import DeltaOrthogonal, Dirac, Eye, Law, Mirrored, Normal, Repeat, Sparse
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell


@dataclass(frozen=True, repr=False)
class EyeScheme(Scheme):
    """The identity."""

    gain: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if sorted(layout.axes) != ["i", "o"]:
            raise LayoutError(message(self.spelling, "layout", "that of a matrix ('oi' or 'io')", layout.axes))
        return Eye(self.gain)


def eye(*, gain: float = 1.0) -> EyeScheme:
    """Identity: W = gain * I, with a leading identity where W is not square.

    Args:
        gain: Finite, dimensionless.
    Shapes: matrices. Raises: ArgumentError here: gain. LayoutError at the draw: no matrix.
    Strengths: a recurrent ReLU layer starts as a perfect memory; a linear layer passes its input on.
    Weaknesses: deterministic: all randomness must come from elsewhere; only min(in, out) units differ from zero.
    Use: recurrent weights of ReLU networks (IRNN), layers added to a trained net.
    Source: Le, Jaitly, Hinton 2015, arXiv:1504.00941.

    >>> eye()((2, 3), seed=0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    number = real("eye", "gain", gain)
    return EyeScheme(spell("eye", {"gain": number}, {"gain": 1.0}), number)


@dataclass(frozen=True, repr=False)
class KernelScheme(Scheme):
    """A convolution that is zero except at its centre tap."""

    gain: float
    orthogonal: bool

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        letters = layout.axes
        if letters.count("o") != 1 or letters.count("i") != 1 or "k" not in letters or "e" in letters:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution, such as 'oikk'", letters))
        if layout.transposed and layout.groups > 1:
            raise LayoutError(message(self.spelling, "layout", "no grouped transposed convolution", layout))
        law: Law = (DeltaOrthogonal if self.orthogonal else Dirac)(self.gain, layout.groups)
        law.fits(layout.canonical_shape(shape))
        return law


def dirac(*, gain: float = 1.0) -> KernelScheme:
    """Identity convolution: W[i, i, centre] = gain, else 0, in each group; centre = (k - 1) // 2 on each window axis.

    Args:
        gain: Finite, dimensionless.
    Shapes: convolutions with a window of 1 to 3 axes. Raises: ArgumentError here: gain. LayoutError at the draw.
    Strengths: with "same" padding and stride 1 the channels come through unchanged.
    Weaknesses: deterministic; channels beyond min(in, out) are zero; torch's dirac_ takes another tap of even windows.
    Use: convolutions added to a trained net, very deep plain convolutional nets.
    Source: Zagoruyko, Komodakis 2017, arXiv:1706.00388 (DiracNets).

    >>> dirac()((2, 2, 3), seed=0, layout="oik").tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    number = real("dirac", "gain", gain)
    return KernelScheme(spell("dirac", {"gain": number}, {"gain": 1.0}), number, False)


def delta_orthogonal(*, gain: float = 1.0) -> KernelScheme:
    """Orthogonal convolution: an orthogonal matrix at the centre tap, 0 elsewhere; needs out >= in in each group.

    Args:
        gain: > 0, dimensionless: |conv(x)| = gain |x| for every x, with "same" padding and stride 1.
    Shapes: convolutions with a window of 1 to 3 axes. Raises: ArgumentError here: gain; at the draw, if out < in.
    Strengths: an isometry of whole images, at any depth: plain nets of thousands of layers train.
    Weaknesses: starts blind to neighbours; strides and dilation break the isometry.
    Use: very deep plain convolutional nets, with an activation gain on the edge of chaos.
    Source: Xiao et al. 2018, arXiv:1806.05393.

    >>> w = delta_orthogonal()((4, 2, 3, 3), seed=0, layout="oikk")
    >>> float(abs(w).sum() - abs(w[:, :, 1, 1]).sum())
    0.0
    """
    number = real("delta_orthogonal", "gain", gain, minimum=0, exclusive=True)
    return KernelScheme(spell("delta_orthogonal", {"gain": number}, {"gain": 1.0}), number, True)


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


def sparse(
    *, nonzeros: int | None = None, sparsity: float | None = None, std: float = 0.01, per: str = "output"
) -> SparseScheme:
    """Sparse normal: each unit has exactly `nonzeros` weights from N(0, std^2), the others are 0.

    Args:
        nonzeros: Weights kept for each unit (all, if it has fewer); give this or `sparsity`. 15 if neither is given.
        sparsity: Share of each unit's weights that is 0, in [0, 1], rounded up to whole weights.
        std: >= 0, in units of the weight.
        per: "output": a unit is an output and has that many inputs; "input": an input feeds that many outputs.
    Shapes: any with one output axis and inputs. Raises: ArgumentError here: arguments. LayoutError at the draw.
    Strengths: units start different from each other and unsaturated however wide the layer is.
    Weaknesses: many weights start at zero and learn late; the best number and scale are yours to find.
    Use: wide fully connected and recurrent layers trained without normalization.
    Source: Martens 2010, "Deep learning via Hessian-free optimization" (15 inputs to each unit).

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


def icnr(scheme: Scheme, times: int) -> RepeatScheme:
    """Each output channel of `scheme` repeated `times` times: nearest-neighbour upsampling after a pixel shuffle.

    Args:
        scheme: The scheme of the smaller layer with out / times channels.
        times: Channels that the shuffle joins into one, >= 1: r^2 for an upsampling by r in two dimensions.
    Shapes: any with one output axis that is a multiple of `times`. Raises: ArgumentTypeError, ArgumentError here.
    Strengths: no checkerboard patterns at the start.
    Weaknesses: groups of channels start equal; only the shuffle tells them apart.
    Use: the convolution before a pixel shuffle.
    Source: Aitken et al. 2017, arXiv:1707.02937.

    >>> from wellbegun.schemes import he_normal
    >>> w = icnr(he_normal(), 4)((8, 3, 1, 1), seed=0, layout="oikk")
    >>> bool((w[:4] == w[0]).all()), bool((w[4] == w[0]).all())
    (True, False)
    """
    if not isinstance(scheme, Scheme):
        raise ArgumentTypeError(message("icnr", "scheme", "a scheme", scheme))
    count = integer("icnr", "times", times, minimum=1)
    return RepeatScheme(f"icnr({scheme!r}, {count})", scheme, count)


@dataclass(frozen=True, repr=False)
class MirroredScheme(Scheme):
    """Halves that are each other's negative."""

    scheme: Scheme
    outputs: bool
    inputs: tuple[int, ...]

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if layout.axes.count("o") != 1 or layout.axes.count("i") != 1 or layout.groups != 1:
            allowed = "one output axis, one input axis and no groups"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        halved = {"o": self.outputs, "i": bool(self.inputs)}
        fewer = tuple(
            size // 2 if halved.get(role, False) else size for size, role in zip(shape, layout.axes, strict=True)
        )
        base = self.scheme._law(fewer, replace(layout, sections=None))
        law = Mirrored(base, self.outputs, self.inputs, layout.axes.count("e"))
        law.fits(layout.canonical_shape(shape))
        return law


def mirrored(scheme: Scheme, *, outputs: bool = True, inputs: Iterable[SupportsIndex] = ()) -> MirroredScheme:
    """Units in pairs that start as each other's negative: [[A], [-A]], [[B, -B], [-B, B]], [C, -C].

    The next layer sees only phi(a) - phi(-a) of each pair, which is exactly linear for ReLU, leaky ReLU, GELU and SiLU.
    A deep plain network so starts as a product of linear maps, an isometry if these are orthogonal, and training breaks
    the pairs.

    Args:
        scheme: The scheme of the block that is repeated, with half the outputs and half the inputs.
        outputs: Whether the output units come in pairs: unit j and unit j + n_out / 2.
        inputs: Sizes of the blocks of inputs that come in pairs, () if they do not; several where the input is a
            concatenation.
    Shapes: matrices and kernels with even sizes where they are mirrored.
    Raises: ArgumentTypeError, ArgumentError here. LayoutError, ArgumentError at the draw: sizes that do not fit.
    Strengths: signal and gradient keep their length at any depth; no mean shift; no collapse of correlations.
    Weaknesses: neighbours must agree on the pairs; half as many different units at the start.
    Use: deep plain networks without normalization, before any function that is not odd.
    Source: Balduzzi et al. 2017, arXiv:1702.08591.

    >>> import numpy as np
    >>> from wellbegun.schemes import orthogonal
    >>> a = mirrored(orthogonal())((8, 4), seed=0)
    >>> c = mirrored(orthogonal(), outputs=False, inputs=(8,))((4, 8), seed=0)
    >>> x = np.ones(4, np.float32)
    >>> bool(np.allclose(c @ np.maximum(a @ x, 0), -(c @ np.maximum(a @ -x, 0)), atol=1e-6))
    True
    """
    if not isinstance(scheme, Scheme):
        raise ArgumentTypeError(message("mirrored", "scheme", "a scheme", scheme))
    blocks = tuple(integer("mirrored", "inputs", size, minimum=2) for size in inputs)
    if not (outputs or blocks):
        raise ArgumentError(message("mirrored", "inputs", "given where outputs is False", blocks))
    options = [f"outputs={bool(outputs)}"] * (not outputs) + [f"inputs={blocks}"] * bool(blocks)
    text = f"mirrored({', '.join([repr(scheme), *options])})"
    return MirroredScheme(text, scheme, bool(outputs), blocks)
