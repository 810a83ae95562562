"""Isometries beyond the orthogonal matrix: scaled for widening layers, to a spectral norm, and as convolutions."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wellbegun._arguments import instance, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Law, Moments, Normal
from wellbegun.laws.base import set_field, shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Blockwise, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.isometries import OrthogonalScheme


@dataclass(frozen=True, repr=False)
class ScaledOrthogonal(Blockwise):
    """An orthogonal matrix for each section and group, times sqrt(out / in) where it widens."""

    gain: float

    def _one(self, size: tuple[int, ...]) -> Law:
        columns = max(math.prod(size[1:]), 1)
        plain = OrthogonalScheme("", self.gain * math.sqrt(max(size[0] / columns, 1.0)), "haar")
        return plain._law(size, Layout("oi" + "k" * (len(size) - 2)))


@scheme(
    formula="Scaled uniform orthogonal: a Haar-uniform matrix times gain max(sqrt(n_out / n_in), 1).",
    shapes="matrices and kernels, flattened to (out, in * window); each section and group is one of its own.",
    strengths="mean squares pass unchanged in every shape, also where a layer widens: |Wx|^2 / n_out = |x|^2 / n_in.",
    weaknesses="where a layer narrows that holds on average only; costly for very large layers.",
    use="networks whose activations are shaped for it (DKS, TAT); plain nets with changing widths.",
    source="Martens et al. 2021, arXiv:2110.01765, section on SUO; Saxe et al. 2014, arXiv:1312.6120.",
    tensors="hidden",
    invariants={
        "W^T W = gain^2 max(n_out / n_in, 1) I": lambda w: near(w.T @ w, len(w) / w.shape[1] * np.eye(w.shape[1]))
    },
)
def scaled_orthogonal(*, gain: float = 1.0) -> ScaledOrthogonal:
    """Args:
        gain: > 0, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> w = scaled_orthogonal()((64, 16), seed=0, dtype="float64")
    >>> bool(np.allclose(w.T @ w, 4 * np.eye(16)))
    True
    """
    number = real("scaled_orthogonal", "gain", gain, minimum=0, exclusive=True)
    return ScaledOrthogonal(spell("scaled_orthogonal", {"gain": number}, {"gain": 1.0}), number)


suo = scaled_orthogonal


@dataclass(frozen=True)
class SpectralNormal(Built):
    """Standard normal entries, divided by the largest singular value of the matrix (out, rest), times `norm`."""

    _scale = "norm"
    norm: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "norm", real("SpectralNormal", "norm", self.norm, minimum=0, exclusive=True))

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or not math.prod(shape):
            raise ArgumentError(message("SpectralNormal", "shape", "that of a matrix or kernel with entries", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), shape

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        matrix = drawn.reshape(shape[0], -1)
        gram = matrix @ matrix.T if len(matrix) <= matrix.shape[1] else matrix.T @ matrix  # half the work of an SVD
        return drawn * (self.norm / math.sqrt(np.linalg.eigvalsh(gram)[-1]))

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Of large matrices by the mean of the largest singular value's limit law (Johnstone 2001)."""
        size = shape_needed(self, shape)
        self.fits(size)
        if math.prod(size) <= 4096:
            return self._simulated(size)
        one, other = math.sqrt(size[0]), math.sqrt(math.prod(size[1:]))
        largest = (one + other) ** 2 - 1.2065 * (one + other) * (1 / one + 1 / other) ** (1 / 3)  # its square
        return Moments(0.0, self.norm**2 / largest, 0.0, 3.0)

    def support(self) -> tuple[float, float]:
        return -self.norm, self.norm

    def describe(self) -> str:
        return f"normal, spectral norm {self.norm:.4g}"


@dataclass(frozen=True, repr=False)
class SpectralScheme(Blockwise):
    """A norm for each section and group: fixed, or sqrt(n_out / n_in) times a factor."""

    norm: float
    relative: bool

    def _one(self, size: tuple[int, ...]) -> Law:
        law = SpectralNormal(norm=self.norm)
        law.fits(size)
        return replace(law, norm=self.norm * math.sqrt(size[0] / math.prod(size[1:]))) if self.relative else law


@scheme(
    formula="Spectral normal: normal entries scaled so that the largest singular value is `norm`, exactly.",
    shapes="matrices and kernels, flattened to (out, in * window); each section and group is one of its own.",
    strengths="bounds what a layer can do to any input; relative to the shape it is the spectral condition.",
    weaknesses="needs a decomposition, O(n^3); most directions are passed on with less than the norm.",
    use="Lipschitz-bounded nets, spectral parametrizations, optimizers that keep spectral norms.",
    source="Yang, Simon, Bernstein 2023, arXiv:2310.17813 (the condition); Miyato et al. 2018, arXiv:1802.05957.",
    tensors="hidden readout",
    example="spectral_normal(norm=2.0)",
    invariants={"largest singular value = norm": lambda w: near(np.array(np.linalg.norm(w, 2)), np.array(2.0))},
)
def spectral_normal(*, norm: float = 1.0, relative: bool = False) -> SpectralScheme:
    """Args:
        norm: > 0: the largest singular value.
        relative: Whether `norm` counts in sqrt(n_out / n_in), the size that keeps mean squares.
    Raises: ArgumentError here: norm. LayoutError, ArgumentError at the draw: no matrix or kernel with entries.

    >>> w = spectral_normal(relative=True)((4, 16), seed=0, dtype="float64")
    >>> math.isclose(np.linalg.norm(w, 2), 0.5)
    True
    """
    number = real("spectral_normal", "norm", norm, minimum=0, exclusive=True)
    instance("spectral_normal", "relative", relative, bool)
    text = spell("spectral_normal", {"norm": number, "relative": relative}, {"norm": 1.0, "relative": False})
    return SpectralScheme(text, number, relative)


@dataclass(frozen=True)
class BlockConvolution(Built):
    """An orthogonal kernel with full support: a convolution of kernels of two taps, P and I - P, for each axis in turn,
    times an orthogonal matrix; P projects on half of the channels."""

    _scale = "gain"
    gain: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "gain", real("BlockConvolution", "gain", self.gain, minimum=0, exclusive=True))

    def fits(self, shape: tuple[int, ...]) -> None:
        if not 3 <= len(shape) <= 5 or not math.prod(shape) or shape[0] < shape[1]:
            allowed = "(out, in, *window) with out >= in and a window of 1 to 3 axes"
            raise ArgumentError(message("BlockConvolution", "shape", allowed, shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), (1 + sum(size - 1 for size in shape[2:]), shape[0], shape[0])

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        outputs, inputs, *window = shape
        first, *rest = (haar(matrix) for matrix in drawn)
        kernel = (self.gain * first[:, :inputs]).reshape(outputs, inputs, *[1] * len(window))
        for axis, basis in zip(_axes(window), rest, strict=True):
            half = basis[:, : outputs // 2]
            projector = half @ half.T
            kept, moved = (np.tensordot(each, kernel, 1) for each in (projector, np.eye(outputs) - projector))
            before, behind = ([(0, 0)] * kernel.ndim for _ in range(2))
            before[axis], behind[axis] = (0, 1), (1, 0)
            kernel = np.pad(kept, before) + np.pad(moved, behind)
        return kernel

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """The squares of all entries add up to gain^2 n_in; kurtosis as for normal ones."""
        outputs, _, *window = shape_needed(self, shape)
        return Moments(0.0, self.gain**2 / math.prod((outputs, *window)), 0.0, 3.0)

    def support(self) -> tuple[float, float]:
        return -self.gain, self.gain

    def describe(self) -> str:
        return f"orthogonal convolution, gain {self.gain:.4g}"


def _axes(window: list[int]) -> Iterator[int]:
    return (axis + 2 for axis, size in enumerate(window) for _ in range(size - 1))


def haar(normals: Array) -> Array:
    """Haar-uniform: QR with the signs of the diagonal taken out (Mezzadri 2007)."""
    q, r = np.linalg.qr(normals)
    return q * np.where(np.diagonal(r) < 0, -1.0, 1.0)


@dataclass(frozen=True, repr=False)
class BlockConvolutionScheme(Blockwise):
    """A kernel for each section and group."""

    gain: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if "k" not in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution, such as 'oikk'", layout))
        return super()._law(shape, layout)

    def _one(self, size: tuple[int, ...]) -> Law:
        law = BlockConvolution(gain=self.gain)
        law.fits(size)
        return law


def _spectrum(w: Array) -> Array:
    """Singular values of the convolution with circular padding on places of 8 in each axis: all of them."""
    spectra = np.fft.fftn(w, s=[8] * (w.ndim - 2), axes=range(2, w.ndim))
    found: Array = np.linalg.svd(np.moveaxis(spectra, (0, 1), (-2, -1)), compute_uv=False)
    return found


@scheme(
    formula=(
        "Orthogonal convolution with full support: two taps P and I - P for each step along each axis, convolved one "
        "after the other, times an orthogonal matrix; P projects on a random half of the channels. Needs out >= in."
    ),
    shapes="convolutions with a window of 1 to 3 axes and no fewer outputs than inputs in each group.",
    strengths="an exact isometry of images with circular padding that mixes neighbours from the start.",
    weaknesses="at edges with zero padding it loses a little; strides break it; the taps thin out towards corners.",
    use="very deep convolutional nets, invertible and Lipschitz-bounded nets.",
    source="Xiao et al. 2018, arXiv:1806.05393, algorithm 1; Li et al. 2019, arXiv:1911.00937 (BCOP).",
    tensors="convolution",
    shape=(6, 4, 3, 3),
    layout="oikk",
    example="block_orthogonal(gain=2.0)",
    invariants={"every singular value of the circular convolution = gain": lambda w: near(_spectrum(w), np.array(2.0))},
)
def block_orthogonal(*, gain: float = 1.0) -> BlockConvolutionScheme:
    """Args:
        gain: > 0, dimensionless: |conv(x)| = gain |x| for every x, with circular padding and stride 1.
    Raises: ArgumentError here: gain; at the draw: fewer outputs than inputs. LayoutError at the draw: no convolution.

    >>> w = block_orthogonal()((4, 4, 2), seed=0, layout="oik", dtype="float64")
    >>> bool(np.allclose(_spectrum(w), 1))
    True
    """
    number = real("block_orthogonal", "gain", gain, minimum=0, exclusive=True)
    return BlockConvolutionScheme(spell("block_orthogonal", {"gain": number}, {"gain": 1.0}), number)


convolutional_orthogonal = block_orthogonal


publish(globals())
