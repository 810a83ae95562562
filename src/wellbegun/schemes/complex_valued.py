"""Complex and quaternion weights."""

import math
from dataclasses import dataclass, replace

import numpy as np

from wellbegun._arguments import choice, message, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Law, Moments, Normal
from wellbegun.laws.base import mixture
from wellbegun.layout import Fans, Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.isometries import OrthogonalScheme
from wellbegun.schemes.scaling import VarianceScaling

CRITERIA = ("glorot", "he")
STORED = ("complex", "real")


def _second(owner: str, fans: Fans, criterion: str) -> float:
    """E |w|^2 of a complex weight."""
    count = fans.fan_in + fans.fan_out if criterion == "glorot" else fans.fan_in
    if count == 0:
        raise LayoutError(
            message(owner, "fan", "above 0", fans, "An axis of size 0 has no scale; leave the tensor out.")
        )
    return 2 / count


@dataclass(frozen=True, repr=False)
class ComplexScheme(VarianceScaling):
    """Normal parts."""


@scheme(
    formula=(
        "Complex normal: modulus Rayleigh(sigma), phase uniform, which is N(0, sigma^2) in both parts; sigma^2 = "
        "1 / (n_in + n_out) (glorot) or 1 / n_in (he), E |w|^2 = 2 sigma^2."
    ),
    shapes="any with an input axis, of a complex dtype; or real tensors that hold one of the parts.",
    strengths="independent parts, the variance of Glorot's or He's rule for |w|^2, all phases alike.",
    weaknesses=(
        "published code passes sigma^2 for sigma, which is too small by the fan; torch's uniform initializers "
        "fill both parts with the full variance, twice too much."
    ),
    use="complex-valued networks.",
    source="Trabelsi et al. 2018, arXiv:1705.09792, section 3.6.",
    tensors="hidden convolution",
    example="complex_normal(criterion='he', stored='real')",
    invariants={"variance of a part 1 / n_in": lambda w: varies(w, 1 / w.shape[1])},
)
def complex_normal(*, criterion: str = "glorot", stored: str = "complex") -> ComplexScheme:
    """Args:
        criterion: "glorot" or "he".
        stored: "complex": the tensor has a complex dtype; "real": it is the real or the imaginary part.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> w = complex_normal(criterion="he")((200, 100), seed=0, dtype="complex64")
    >>> bool(abs((abs(w) ** 2).mean() * 100 - 2) < 0.1)
    True
    """
    choice("complex_normal", "criterion", criterion, CRITERIA)
    choice("complex_normal", "stored", stored, STORED)
    options = {"criterion": criterion, "stored": stored}
    text = spell("complex_normal", options, {"criterion": "glorot", "stored": "complex"})
    scale = (1.0 if criterion == "glorot" else 2.0) / (1 if stored == "complex" else 2)
    return ComplexScheme(text, scale, "fan_avg" if criterion == "glorot" else "fan_in", "normal")


rayleigh = complex_normal


@dataclass(frozen=True, repr=False)
class UnitaryScheme(Scheme):
    """A unitary matrix with the variance of a rule."""

    criterion: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        unit = OrthogonalScheme(self.spelling, 1.0, "haar")._law(shape, layout)
        size = max(*unit.block(layout.canonical_shape(shape)), 1)
        second = _second(self.spelling, layout.fans(shape, owner=self.spelling), self.criterion)
        return unit.scaled(math.sqrt(second * size))


@scheme(
    formula=(
        "Complex unitary: a (semi-)unitary matrix times sqrt(E |w|^2 max(out, in)), so that its entries have E |w|^2."
    ),
    shapes="any with output and input axes; of a complex dtype (of a real one: orthogonal).",
    strengths="inputs are mixed without losing any; the variance of `complex_normal`.",
    weaknesses="O(n^3); a convolution flattened to a matrix is not an isometry of images.",
    use="complex-valued networks, as their 'complex_independent' start.",
    source="Trabelsi et al. 2018, arXiv:1705.09792, section 3.6.",
    tensors="hidden convolution",
    shape=(32, 32),
    invariants={"W^H W = 2 max(out, in) / (n_in + n_out) I": lambda w: near(w.T @ w, np.eye(32))},
)
def complex_unitary(*, criterion: str = "glorot") -> UnitaryScheme:
    """Args:
        criterion: "glorot" or "he", as for `complex_normal`.
    Raises: ArgumentError here: criterion. LayoutError at the draw: no matrix.

    >>> w = complex_unitary(criterion="he")((4, 8), seed=0, dtype="complex128")
    >>> bool(np.allclose(w @ w.conj().T, 2 * np.eye(4)))
    True
    """
    choice("complex_unitary", "criterion", criterion, CRITERIA)
    return UnitaryScheme(spell("complex_unitary", {"criterion": criterion}, {"criterion": "glorot"}), criterion)


# ---------------------------------------------------------------------- quaternions
@dataclass(frozen=True)
class Quaternions(Built):
    """Quaternions |w| (cos t, sin t n): |w| ~ scale chi_4, t uniform, n a unit vector; see `quaternion`.

    All from normals by sums, quotients and roots, so the bits are the same everywhere.
    """

    scale: float = 1.0
    part: str = "rijk"

    def fits(self, shape: tuple[int, ...]) -> None:
        if not shape or shape[0] % len(self.part):
            raise ArgumentError(message("quaternion", "shape", f"a multiple of {len(self.part)} rows", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), (9, shape[0] // len(self.part), *shape[1:])

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """Four normals make the modulus, two the phase, three the axis."""
        with np.errstate(all="ignore"):
            modulus = np.sqrt(sum(one * one for one in drawn[:4])) * self.scale
            cosine, sine = drawn[4:6] / np.sqrt(drawn[4] * drawn[4] + drawn[5] * drawn[5])
            axis = drawn[6:] / np.sqrt(sum(one * one for one in drawn[6:]))
        parts = dict(zip("rijk", (modulus * cosine, *(modulus * sine * one for one in axis)), strict=True))
        return np.concatenate([parts[letter] for letter in self.part])

    def _reach(self, dtype: str) -> float:
        return 20 * self.scale  # of four normals below 9.5

    def _scaled(self, factor: float) -> Law:
        return replace(self, scale=factor * self.scale)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """E |w|^2 = 4 scale^2, E |w|^4 = 24 scale^4; half of it real, a sixth in each direction."""
        real = Moments(0.0, 2 * self.scale**2, 0.0, 9 / 4)
        other = Moments(0.0, 2 / 3 * self.scale**2, 0.0, 4.05)
        return mixture([(1 / len(self.part), real if letter == "r" else other) for letter in self.part])


@dataclass(frozen=True, repr=False)
class QuaternionScheme(Scheme):
    """Fans are counted in quaternions."""

    criterion: str
    part: str
    stream: str

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        divided = replace(layout, sections=len(self.part) if len(self.part) > 1 else layout.sections)
        if layout.axes.count("o") != 1 or "e" in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "one output axis and no experts", layout.axes))
        fans = divided.fans(shape, owner=self.spelling)
        scale = math.sqrt(_second(self.spelling, fans, self.criterion) / 4)
        return Quaternions(self.stream, scale, self.part)


@scheme(
    formula=(
        "Quaternion: |w| ~ s chi_4 with s = 1 / sqrt(2 (n_in + n_out)) (glorot) or 1 / sqrt(2 n_in) (he), phase "
        "uniform, axis uniform on the sphere; E |w|^2 = 4 s^2."
    ),
    shapes="real tensors of the four parts one after the other, (4 out, in, *window); or of one part.",
    strengths="the parts of one weight belong together; the variance of Glorot's or He's rule for |w|^2.",
    weaknesses=(
        "several ports draw the axis from one octant, so all parts have one sign; fans count quaternions, a "
        "fourth of the channels."
    ),
    use="quaternion layers; of four parameters give each its part and all one pair.",
    source="Parcollet et al. 2019, arXiv:1806.04418.",
    tensors="hidden convolution recurrent_input",
    shape=(96, 32),
    invariants={
        "E |w|^2 = 2 / (n_in + n_out)": lambda w: (
            abs((w.reshape(4, 24, 32) ** 2).sum(axis=0).mean() * 28 - 1) < 6 / math.sqrt(2 * 24 * 32)
        ),
        "half of it real": lambda w: abs((w[:24] ** 2).mean() * 56 - 1) < 6 * 1.2 / math.sqrt(24 * 32),
        "all octants": lambda w: len(np.unique(np.sign(w.reshape(4, -1)), axis=1).T) == 16,
    },
)
def quaternion(*, criterion: str = "glorot", part: str = "rijk", pair: str = "") -> QuaternionScheme:
    """Args:
        criterion: "glorot" or "he".
        part: "rijk": all four; or one of "r", "i", "j", "k".
        pair: Any text that parts of the same weights name (with one seed, as in a plan); "" is the tensor's own stream.
    Raises: ArgumentError here: arguments. LayoutError, ArgumentError at the draw: shapes that do not fit.

    >>> whole = quaternion(pair="w")((8, 3), seed=0)
    >>> bool((quaternion(part="j", pair="w")((2, 3), seed=0) == whole[4:6]).all())
    True
    """
    choice("quaternion", "criterion", criterion, CRITERIA)
    choice("quaternion", "part", part, ("rijk", "r", "i", "j", "k"))
    options = {"criterion": criterion, "part": part, "pair": text_of("quaternion", "pair", pair)}
    text = spell("quaternion", options, {"criterion": "glorot", "part": "rijk", "pair": ""})
    return QuaternionScheme(text, criterion, part, pair)


publish(globals())
