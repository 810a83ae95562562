"""Vision: upsampling, patches and factors of branches."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Computed, Constant, Law, Moments, Uniform
from wellbegun.laws.base import shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Blockwise, Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.fixed import FixedScheme


def _tent(size: int) -> Array:
    """Weights of linear interpolation for a window: of size 2 s - s mod 2 they make up 1 for each phase of stride s."""
    half = -(-size // 2)
    centre = (2 * half - 1 - half % 2) / (2 * half)
    return 1 - np.abs(np.arange(size) / half - centre)


@dataclass(frozen=True)
class Interpolation(Computed):
    """Linear interpolation in every axis of the window, from each channel to itself, or between all."""

    _dense = False
    size: tuple[int, ...]
    gain: float = 1.0
    groups: int = 1
    mixing: bool = False

    def rows(self, start: int, stop: int) -> Array:
        outputs, inputs, *window = self.size
        tent = np.ones(())
        for size in window:
            tent = np.multiply.outer(tent, _tent(size))
        each = max(outputs // self.groups, 1)
        own = np.arange(start, stop)[:, None] % each == np.arange(inputs)
        pairs = np.ones_like(own) if self.mixing else own
        values: Array = self.gain * np.multiply.outer(pairs.astype(np.float64), tent)
        return values


@dataclass(frozen=True, repr=False)
class InterpolationScheme(Scheme):
    """One channel of the output for each of the input."""

    gain: float
    channels: str

    def read(self, shape: tuple[int, ...]) -> Layout | None:
        """(channels, 1, window) is depthwise: as many outputs of one input would hold nothing but the first."""
        alone = len(shape) > 2 and shape[1] == 1 < shape[0]
        return Layout("oi" + "k" * (len(shape) - 2), groups=shape[0], transposed=False) if alone else None

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size, axes = layout.canonical_shape(shape), layout.axes
        if axes.count("o") != 1 or axes.count("i") != 1 or not 1 <= axes.count("k") <= 3 or "e" in axes:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution, such as 'iokk'", layout))
        if layout.transposed and layout.groups > 1 and size[0] > 1:
            allowed = "one output channel for each group, where a transposed convolution has groups"
            raise LayoutError(message(self.spelling, "shape", allowed, size))
        mixing = self.channels == "all" or (layout.transposed is True and layout.groups > 1)
        return Interpolation(size, self.gain, 1 if layout.transposed else layout.groups, mixing)


@scheme(
    formula=(
        "Bilinear upsampling: (1 - |x/f - c|) in each axis of the window, f = ceil(k/2), c = (2f - 1 - f mod 2) / 2f, "
        "from each channel to itself, else 0."
    ),
    shapes="transposed convolutions with a window of 1 to 3 axes, also depthwise: k = 2s - s mod 2 for the stride s.",
    strengths="a constant image stays constant, without checkerboards; the layer starts as a sensible upsampling.",
    weaknesses="deterministic; channels beyond min(in, out) are zero; other k than 2s - s mod 2 leave a pattern.",
    use="learned upsampling in segmentation and generators.",
    source="Long, Shelhamer, Darrell 2015, arXiv:1411.4038; MXNet `Bilinear`, which fills every pair of channels.",
    tensors="upsampling",
    shape=(3, 3, 4, 4),
    layout="iokk",
    invariants={
        "a constant stays so: the taps of each phase of stride s add up to gain": lambda w: near(
            w.reshape(3, 3, 2, 2, 2, 2).sum(axis=(2, 4)), np.broadcast_to(np.eye(3)[..., None, None], (3, 3, 2, 2))
        ),
        "of four taps: 1/4, 3/4, 3/4, 1/4": lambda w: near(w[0, 0, 1] / 0.75, np.array([0.25, 0.75, 0.75, 0.25])),
    },
)
def bilinear(*, gain: float = 1.0, channels: str = "own") -> InterpolationScheme:
    """The stride follows from the window: it is the one with k = 2s - s mod 2. In one dimension it is linear, in three
    trilinear. (channels, 1, k, k) is depthwise only if the layout says so, `Layout("iokk", groups=channels)`, as that
    of a layer does; without groups it is one output and all channels but the first are 0. `torch.init.bilinear_` reads
    it as depthwise.

    Args:
        gain: Finite, dimensionless.
        channels: "own": from each channel to itself; "all": every pair of channels, as MXNet does (for depthwise ones).
    Raises: ArgumentError here: arguments. LayoutError at the draw: no convolution.

    >>> bilinear()((1, 1, 4), seed=0, layout="iok").tolist()
    [[[0.25, 0.75, 0.75, 0.25]]]
    >>> [bool(bilinear()((2, 1, 4), seed=0, layout=Layout("iok", groups=g))[1].any()) for g in (1, 2)]
    [False, True]
    """
    number = real("bilinear", "gain", gain)
    choice("bilinear", "channels", channels, ("own", "all"))
    text = spell("bilinear", {"gain": number, "channels": channels}, {"gain": 1.0, "channels": "own"})
    return InterpolationScheme(text, number, channels)


@scheme(
    formula="LayerScale: every factor of a branch is epsilon: 0.1 up to 18 layers, 1e-5 up to 24, 1e-6 beyond.",
    shapes="any.",
    strengths="the deeper the net, the closer to the identity each block starts: deep vision transformers train.",
    weaknesses="a sum with 1e-6 of a branch is lost in half precision; keep it out of weight decay.",
    use="the factor behind each branch of CaiT; ConvNeXt takes 1e-6 at any depth, timm's default is 1e-5.",
    source="Touvron et al. 2021, arXiv:2103.17239.",
    tensors="residual_scale",
    shape=(7,),
    layout="o",
    example="layer_scale(layers=24)",
    invariants={"W = epsilon of that depth": lambda w: bool((w == 1e-5).all())},
)
def layer_scale(*, layers: int) -> FixedScheme:
    """Args:
        layers: Blocks of the network, >= 1.
    Raises: ArgumentError here: layers.

    >>> [layer_scale(layers=layers).law(3).value for layers in (12, 18, 24, 36)]
    [0.1, 0.1, 1e-05, 1e-06]
    """
    count = integer("layer_scale", "layers", layers, minimum=1)
    epsilon = 0.1 if count <= 18 else 1e-5 if count <= 24 else 1e-6
    return FixedScheme(f"layer_scale(layers={count})", Constant(epsilon))


@dataclass(frozen=True, repr=False)
class PatchScheme(Blockwise):
    """Xavier's variance for a kernel taken as the matrix (out, in * window)."""

    def _one(self, size: tuple[int, ...]) -> Law:
        if not (total := size[0] + math.prod(size[1:])):
            raise LayoutError(message(self.spelling, "shape", "that of a tensor with entries", size))
        bound = math.sqrt(6 / total)
        return Uniform(-bound, bound)


@scheme(
    formula="Patch embedding: W ~ U(+-sqrt(6 / (in * window + out))), Xavier's for the kernel taken as a matrix.",
    shapes="matrices and kernels; each section and group is one of its own.",
    strengths="right where windows do not overlap: a patch is then an input of a linear layer.",
    weaknesses="for overlapping windows gradients want n_out * window instead of n_out.",
    use="the convolution that cuts an image into patches (MAE, DiT).",
    source="He et al. 2022, arXiv:2111.06377, and its code (`w.view([w.shape[0], -1])`); DiT: arXiv:2212.09748.",
    tensors="convolution",
    shape=(32, 3, 4, 4),
    layout="oikk",
    invariants={
        "Var W = 2 / (in * window + out)": lambda w: varies(w, 2 / (48 + 32)),
        "|W| <= sqrt(6 / (in * window + out))": lambda w: bool(abs(w).max() <= math.sqrt(6 / 80)),
    },
)
def patch_uniform() -> PatchScheme:
    """Raises: LayoutError at the draw: no matrix or kernel with entries.

    >>> round(patch_uniform().law((4, 2, 2, 2), layout="oikk").high ** 2, 12)
    0.5
    """
    return PatchScheme("patch_uniform()")


# ---------------------------------------------------------------------- Gabor
@dataclass(frozen=True)
class Gabor(Built):
    """A wave under a bell for each pair of channels, of random frequency, direction and phase; see `gabor`."""

    gain: float = 1.0

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 4:
            raise ArgumentError(message("Gabor", "shape", "(out, in, height, width)", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Uniform(0.0, 1.0), (3, *shape[:2])

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        octave, turn = (np.minimum(np.floor(drawn[index] * count), count - 1) for index, count in ((0, 5), (1, 8)))
        bell, along, pace = _waves(octave, turn, shape[2:])
        values: Array = bell * np.cos(pace * along + np.pi * drawn[2][..., None, None])
        return self.gain * values

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Of one simulated tensor, the same each time."""
        size = shape_needed(self, shape)
        self.fits(size)
        values = self.whole(np.random.default_rng(0).random(self.source(size)[1]), size)
        mean = float(values.mean()) if values.size else 0.0
        second, third, fourth = (float(((values - mean) ** power).sum()) / max(values.size, 1) for power in (2, 3, 4))
        return Moments.of(mean, second, third, fourth)

    def support(self) -> tuple[float, float]:
        reach = abs(self.gain) / (8 * math.pi)  # the shortest wave has the narrowest bell, of std 2
        return -reach, reach


def _waves(octave: Array, turn: Array, window: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """The bell, the place along the wave, and the frequency, around the centre of the window."""
    pace = (np.pi / 2 * 2 ** (-octave / 2))[..., None, None]
    angle = (np.pi / 8 * turn)[..., None, None]
    y, x = np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in window), indexing="ij")
    width = np.pi / pace
    bell = np.exp(-(x**2 + y**2) / (2 * width**2)) / (2 * np.pi * width**2)
    return bell, x * np.cos(angle) + y * np.sin(angle), pace


def _are_gabor(w: Array) -> bool:
    """Whether each kernel is a wave of one of 5 frequencies and 8 directions under its bell, whatever its phase."""
    octave, turn = np.divmod(np.arange(40), 8)
    bell, along, pace = _waves(octave, turn, w.shape[2:])
    pairs = np.stack([bell * np.cos(pace * along), bell * np.sin(pace * along)], axis=1).reshape(40, 2, -1)
    flat = w.reshape(-1, pairs.shape[2]).T
    rest = [np.linalg.norm(flat - pair.T @ np.linalg.lstsq(pair.T, flat, rcond=None)[0], axis=0) for pair in pairs]
    return bool((np.min(rest, axis=0) < 1e-9 * np.linalg.norm(flat, axis=0)).all())


@scheme(
    formula=(
        "Gabor: e^(-(x^2 + y^2) / (2 s^2)) cos(f (x cos t + y sin t) + p) / (2 pi s^2), f = (pi / 2) 2^(-n / 2), "
        "n in 0..4, t = m pi / 8, m in 0..7, p ~ U(0, pi), s = pi / f, for each pair of channels."
    ),
    shapes="convolutions over two axes.",
    strengths="first layers start as edges and stripes of all directions and sizes, as trained ones end.",
    weaknesses=(
        "small: a bell sums to 1; bells are wider than windows under 7. Centred here; the code's places are "
        "stretched where the window is odd."
    ),
    use="first layers over images, frozen or learned; followed by a normalization.",
    source="Alekseev, Bobe 2019, arXiv:1904.13204 (GaborNet), and its code.",
    tensors="convolution",
    shape=(8, 3, 7, 7),
    layout="oikk",
    invariants={
        "each is a wave of one of 40 frequencies and directions under its bell": _are_gabor,
        "|W| <= 1 / (8 pi)": lambda w: bool(abs(w).max() <= 1 / (8 * math.pi)),
    },
)
def gabor() -> FixedScheme:
    """Raises: LayoutError at the draw: no convolution over two axes.

    >>> w = gabor()((16, 1, 15, 15), seed=0, layout="oikk", dtype="float64")
    >>> _are_gabor(w), bool(abs(w).max() <= 0.04)
    (True, True)
    """
    return FixedScheme("gabor()", Gabor(), "ikko")


publish(globals())
