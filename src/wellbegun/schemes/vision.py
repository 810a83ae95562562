"""Vision: upsampling, patches and factors of branches."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import LayoutError
from wellbegun.laws import Computed, Constant, Law, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, blockwise, spell
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

    size: tuple[int, ...]
    gain: float = 1.0
    groups: int = 1
    mixing: bool = False

    @property
    def dense(self) -> bool:
        return False

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
class PatchScheme(Scheme):
    """Xavier's variance for a kernel taken as the matrix (out, in * window)."""

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        def one(size: tuple[int, ...]) -> Law:
            if not (total := size[0] + math.prod(size[1:])):
                raise LayoutError(message(self.spelling, "shape", "that of a tensor with entries", size))
            bound = math.sqrt(6 / total)
            return Uniform(-bound, bound)

        return blockwise(self.spelling, shape, layout, one)


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


publish(globals())
