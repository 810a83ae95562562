"""Schemes that keep lengths: orthogonal matrices and kernels, identities, mirrored pairs."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, SupportsIndex

import numpy as np

from wellbegun._arguments import choice, instance, integer, message, real, shape_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, DeltaOrthogonal, Dirac, Eye, Law, Mirrored, Moments, Normal, Orthogonal, Sections
from wellbegun.laws.base import shape_needed
from wellbegun.laws.matrices import METHODS
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.own import Given, made_scheme


@dataclass(frozen=True, repr=False)
class OrthogonalScheme(Scheme):
    """One matrix per expert, group and section."""

    gain: float
    method: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        axes = layout.axes
        if "o" not in axes or not set(axes) & {"i", "l"}:
            allowed = "one with output and input axes"
            remedy = "A bias or scale is no matrix: give zeros(), ones() or normal(std=...)."
            raise LayoutError(message(self.spelling, "layout", allowed, axes, remedy))
        if "l" in axes:  # canonical order puts the table's rows first
            return Orthogonal(self.gain, method=self.method)
        outputs = axes.count("e") + axes.count("o")
        experts = math.prod(size for size, role in zip(shape, axes, strict=True) if role == "e")
        groups = layout.groups
        if groups > 1 and layout.transposed:  # its groups cut the columns, which are not contiguous
            allowed = "no grouped transposed convolution"
            raise LayoutError(
                message(self.spelling, "layout", allowed, layout, "Use a scheme with independent entries.")
            )
        sizes = layout.section_sizes(shape)
        if len(set(sizes)) == 1:
            return Orthogonal(self.gain, outputs, max(experts, 1) * groups * len(sizes), self.method)
        if outputs > 1 or groups > 1:
            allowed = "one output axis, no experts and no groups, where sections differ in size"
            raise LayoutError(message(self.spelling, "layout", allowed, layout))
        return Sections(tuple((size, Orthogonal(self.gain, method=self.method)) for size in sizes))


@scheme(
    formula="Haar-uniform (semi-)orthogonal matrix: W^T W = gain^2 I if n_out >= n_in, else W W^T = gain^2 I.",
    shapes=(
        "any with output and input axes; (out, in, *window) is one matrix (out, in * prod(window)). Each expert, "
        "group and section (LSTM gate; q, k, v) is a matrix of its own."
    ),
    strengths="keeps the length of every signal, not only the average: best for very deep and recurrent nets.",
    weaknesses=(
        'costly for very large layers ("structured" is not); entries are not independent; a convolution flattened '
        "to a matrix is not an isometry of images."
    ),
    use="recurrent weights, very deep plain nets, policy nets.",
    source="Saxe et al. 2014, arXiv:1312.6120; Haar measure: Mezzadri 2007, arXiv:math-ph/0609050, and Stewart 1980.",
    tensors="recurrent recurrent_projection hidden query key",
    example="orthogonal(gain=2.0)",
    invariants={"W^T W = gain^2 I": lambda w: near(w.T @ w, 4 * np.eye(w.shape[1]))},
)
def orthogonal(*, gain: float = 1.0, method: str = "haar") -> OrthogonalScheme:
    """Args:
        gain: > 0, dimensionless: the value of every singular value.
        method: "haar": exactly uniform, O(n^3), equal across machines to rounding. "structured": signs, permutations
            and Walsh-Hadamard transforms, O(n^2 log n), the same bits everywhere, any rows alone; close to uniform.
    Raises: ArgumentError here: gain, method. LayoutError at the draw: no matrix.

    >>> import numpy as np
    >>> w = orthogonal()((3, 5), seed=0, name="doc")
    >>> bool(np.allclose(w @ w.T, np.eye(3), atol=1e-6))
    True
    >>> w = orthogonal(gain=2)((5, 3), seed=0, name="doc")
    >>> bool(np.allclose(w.T @ w, 4 * np.eye(3), atol=1e-5))
    True
    """
    number = real("orthogonal", "gain", gain, minimum=0, exclusive=True)
    choice("orthogonal", "method", method, METHODS)
    text = spell("orthogonal", {"gain": number, "method": method}, {"gain": 1.0, "method": "haar"})
    return OrthogonalScheme(text, number, method)


@dataclass(frozen=True, repr=False)
class KernelScheme(Scheme):
    """A convolution that is zero except at its centre tap."""

    gain: float
    orthogonal: bool
    later: bool = False

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        letters = layout.axes
        if letters.count("o") != 1 or letters.count("i") != 1 or "k" not in letters or "e" in letters:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution, such as 'oikk'", letters))
        if layout.transposed and layout.groups > 1:
            raise LayoutError(message(self.spelling, "layout", "no grouped transposed convolution", layout))
        groups = layout.groups
        law: Law = DeltaOrthogonal(self.gain, groups) if self.orthogonal else Dirac(self.gain, groups, self.later)
        law.fits(layout.canonical_shape(shape))
        return law


@scheme(
    formula=(
        "Orthogonal convolution: an orthogonal matrix at the centre tap, 0 elsewhere; needs out >= in in each group."
    ),
    shapes="convolutions with a window of 1 to 3 axes.",
    strengths="an isometry of whole images, at any depth: plain nets of thousands of layers train.",
    weaknesses="starts blind to neighbours; strides and dilation break the isometry.",
    use="very deep plain convolutional nets, with an activation gain on the edge of chaos.",
    source="Xiao et al. 2018, arXiv:1806.05393.",
    tensors="convolution",
    shape=(8, 4, 3, 3),
    layout="oikk",
    invariants={
        "W^T W = gain^2 I at the centre tap": lambda w: near(w[:, :, 1, 1].T @ w[:, :, 1, 1], np.eye(w.shape[1])),
        "0 elsewhere": lambda w: bool(abs(w).sum() == abs(w[:, :, 1, 1]).sum()),
    },
)
def delta_orthogonal(*, gain: float = 1.0) -> KernelScheme:
    """Args:
        gain: > 0, dimensionless: |conv(x)| = gain |x| for every x, with "same" padding and stride 1.
    Raises: ArgumentError here: gain; at the draw, if out < in.

    >>> w = delta_orthogonal()((4, 2, 3, 3), seed=0, layout="oikk")
    >>> float(abs(w).sum() - abs(w[:, :, 1, 1]).sum())
    0.0
    """
    number = real("delta_orthogonal", "gain", gain, minimum=0, exclusive=True)
    return KernelScheme(spell("delta_orthogonal", {"gain": number}, {"gain": 1.0}), number, True)


@scheme(
    formula=(
        "Identity convolution: W[i, i, centre] = gain, else 0, in each group; centre = (k - 1) // 2 on each window "
        "axis."
    ),
    shapes="convolutions with a window of 1 to 3 axes.",
    strengths='with "same" padding and stride 1 the channels come through unchanged.',
    weaknesses=(
        "deterministic; channels beyond min(in, out) are zero; torch's dirac_ takes another tap of even windows."
    ),
    use="convolutions added to a trained net, very deep plain convolutional nets.",
    source="Zagoruyko, Komodakis 2017, arXiv:1706.00388 (DiracNets).",
    tensors="convolution",
    example="dirac(gain=0.5)",
    shape=(8, 4, 3, 3),
    layout="oikk",
    invariants={
        "W[i, i, centre] = gain, else 0": lambda w: bool(
            (w[:, :, 1, 1] == 0.5 * np.eye(*w.shape[:2])).all() and w.sum() == 0.5 * w.shape[1]
        )
    },
)
def dirac(*, gain: float = 1.0, later: bool = False) -> KernelScheme:
    """Args:
        gain: Finite, dimensionless.
        later: Whether an even window has its centre at k // 2, as torch's dirac_ has it.
    Raises: ArgumentError, ArgumentTypeError here. LayoutError at the draw.

    >>> dirac()((2, 2, 3), seed=0, layout="oik").tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    number = real("dirac", "gain", gain)
    options: dict[str, object] = {"gain": number, "later": instance("dirac", "later", later, bool)}
    return KernelScheme(spell("dirac", options, {"gain": 1.0, "later": False}), number, False, later)


@dataclass(frozen=True)
class NoisyEye(Built):
    """gain I + N(0, std^2)."""

    gain: float = 1.0
    std: float = 0.01
    in_parts: ClassVar[bool] = True

    def component(self, side: str) -> Law:
        return replace(self, std=self.std / math.sqrt(2), gain=self.gain if side == "real" else 0.0)

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, self.std), shape

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        return drawn + self.gain * np.eye(shape[0], shape[1])

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        size, spread = shape_needed(self, shape), self.std**2
        share = min(size) / max(math.prod(size), 1)
        mixed = self.gain**2 * share * (1 - share)  # the variance of gain I by itself
        third, rest = mixed * self.gain * (1 - 2 * share), self.gain**2 * (1 - 3 * share + 3 * share**2)
        return Moments.of(self.gain * share, spread + mixed, third, 3 * spread**2 + mixed * (6 * spread + rest))


@dataclass(frozen=True, repr=False)
class EyeScheme(Scheme):
    """The identity."""

    gain: float
    std: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        self._check_axes(layout, "io")
        law: Law = NoisyEye(gain=self.gain, std=self.std) if self.std else Eye(self.gain)
        sizes = layout.section_sizes(shape)
        return Sections(tuple((size, law) for size in sizes)) if len(sizes) > 1 else law


@scheme(
    formula="Identity: W = gain * I + N(0, std^2), with a leading identity where W is not square; std is 0.",
    shapes="matrices.",
    strengths="a recurrent ReLU layer starts as a perfect memory; a linear layer passes its input on.",
    weaknesses="no randomness but that of `std`; without it, only min(in, out) units differ from zero.",
    use="recurrent weights of ReLU networks (IRNN), layers added to a trained net.",
    source="Le, Jaitly, Hinton 2015, arXiv:1504.00941.",
    tensors="recurrent",
    invariants={"W = gain I": lambda w: bool((w == np.eye(*w.shape)).all())},
)
def eye(*, gain: float = 1.0, std: float = 0.0) -> EyeScheme:
    """Args:
        gain: Finite, dimensionless. Values and outputs of modded-nanogpt (pull request 214): +-0.05**0.5, std 0.01.
        std: >= 0, of the noise on every weight, in units of the weight.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no matrix.

    >>> eye()((2, 3), seed=0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    >>> eye(std=0.01)((2, 3), seed=0).round().tolist() == eye()((2, 3), seed=0).tolist()
    True
    """
    number, spread = real("eye", "gain", gain), real("eye", "std", std, minimum=0)
    return EyeScheme(spell("eye", {"gain": number, "std": spread}, {"gain": 1.0, "std": 0.0}), number, spread)


identity = eye


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


@scheme(
    formula="Units in pairs that start as each other's negative: [[A], [-A]], [[B, -B], [-B, B]], [C, -C].",
    shapes="matrices and kernels with even sizes where they are mirrored.",
    strengths="signal and gradient keep their length at any depth; no mean shift; no collapse of correlations.",
    weaknesses="neighbours must agree on the pairs; half as many different units at the start.",
    use="deep plain networks without normalization, before any function that is not odd.",
    source="Balduzzi et al. 2017, arXiv:1702.08591.",
    tensors="hidden convolution",
    example="mirrored(orthogonal(gain=2.0))",
    invariants={
        "units j and j + n_out / 2 are each other's negative": lambda w: bool(
            (w[: len(w) // 2] == -w[len(w) // 2 :]).all()
        )
    },
)
def mirrored(scheme: Given, *, outputs: bool = True, inputs: Iterable[SupportsIndex] = ()) -> MirroredScheme:
    """The next layer sees only phi(a) - phi(-a) of each pair, which is exactly linear for ReLU, leaky ReLU, GELU and
    SiLU. A deep plain network so starts as a product of linear maps, an isometry if these are orthogonal, and training
    breaks the pairs.

    Args:
        scheme: The scheme of the block that is repeated, with half the outputs and half the inputs. Sections that the
            layout knows are mirrored as one; `by_section` with one `mirrored` each pairs units within each of them.
        outputs: Whether the output units come in pairs: unit j and unit j + n_out / 2.
        inputs: Sizes of the blocks of inputs that come in pairs, () if they do not; several where the input is a
            concatenation.
    Raises: ArgumentTypeError, ArgumentError here. LayoutError, ArgumentError at the draw: sizes that do not fit.

    >>> import numpy as np
    >>> from wellbegun.schemes import orthogonal
    >>> a = mirrored(orthogonal())((8, 4), seed=0)
    >>> c = mirrored(orthogonal(), outputs=False, inputs=(8,))((4, 8), seed=0)
    >>> x = np.ones(4, np.float32)
    >>> bool(np.allclose(c @ np.maximum(a @ x, 0), -(c @ np.maximum(a @ -x, 0)), atol=1e-6))
    True
    """
    scheme = made_scheme("mirrored", "scheme", scheme)
    blocks = tuple(integer("mirrored", "inputs", size, minimum=2) for size in shape_of("mirrored", inputs, "inputs"))
    if not (outputs or blocks):
        raise ArgumentError(message("mirrored", "inputs", "given where outputs is False", blocks))
    options = [f"outputs={bool(outputs)}"] * (not outputs) + [f"inputs={blocks}"] * bool(blocks)
    text = f"mirrored({', '.join([repr(scheme), *options])})"
    return MirroredScheme(text, scheme, bool(outputs), blocks)


publish(globals())
