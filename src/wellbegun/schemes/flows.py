"""Normalizing flows: invertible mixtures of channels."""

from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Eye, Law, Moments, Normal, Orthogonal
from wellbegun.laws.base import shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.orthonormal import haar

PARTS = ("rotation", "lower", "upper", "log_scale", "sign", "permutation")
_VECTORS = PARTS[3:5]


@dataclass(frozen=True)
class Rotation(Built):
    """A random rotation, or a part of its decomposition P L (U + diag(sign e^log_scale)); see `invertible`."""

    part: str = "rotation"
    gain: float = 1.0

    def fits(self, shape: tuple[int, ...]) -> None:
        size = shape[0] if shape else 0
        wanted = (size,) if self.part in _VECTORS else (size, size)
        if not shape or shape[: len(wanted)] != wanted or any(one != 1 for one in shape[len(wanted) :]):
            raise ArgumentError(message("invertible", "shape", "that of a square matrix, or of its diagonal", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), (shape[0], shape[0])

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """A uniform orthogonal matrix, one column turned where it would mirror."""
        from scipy.linalg import lu

        if not drawn.size:
            return np.zeros(shape)
        q = haar(drawn)
        q[:, 0] *= np.where(np.linalg.det(q) < 0, -1.0, 1.0)
        permutation, lower, upper = lu(q)
        diagonal = np.diag(upper)
        parts: tuple[Array, ...] = (
            q, lower, np.triu(upper, 1), np.log(np.abs(diagonal)), np.sign(diagonal), permutation
        )  # fmt: skip
        return self.gain * parts[PARTS.index(self.part)].reshape(shape)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Of parts of the decomposition, from 128 channels on those of 128."""
        size = shape_needed(self, shape)
        self.fits(size)
        if self.part in ("rotation", "permutation") and size[0] > 1:
            whole = Orthogonal(abs(self.gain)) if self.part == "rotation" else Eye(self.gain)
            return whole.moments((size[0], size[0]))
        return self._simulated(tuple(min(one, 128) for one in size))

    def support(self) -> tuple[float, float]:
        if self.part in ("upper", "log_scale"):
            return super().support()
        return -abs(self.gain), abs(self.gain)


@dataclass(frozen=True, repr=False)
class RotationScheme(Scheme):
    """One matrix, or a part of it."""

    rotation: Rotation

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if layout.groups != 1 or "e" in layout.axes:
            raise LayoutError(message(self.spelling, "layout", "one matrix, without groups or experts", layout))
        self.rotation.fits(layout.canonical_shape(shape))
        return self.rotation


@scheme(
    formula=(
        "Invertible 1x1: a uniform random rotation W (det 1), or a part of W = P L (U + diag(s)): L with ones on its "
        "diagonal, U strictly above it, ln |s|, sign s, P."
    ),
    shapes="square matrices and 1x1 kernels; vectors for log_scale and sign.",
    strengths="log-determinant 0 at first, and lengths are kept; the decomposition makes the determinant a sum.",
    weaknesses="published code takes the Q of QR as it comes, which may mirror; parts have to name one pair; O(n^3).",
    use="invertible 1x1 convolutions of flows; their couplings end in zeros().",
    source="Kingma, Dhariwal 2018, arXiv:1807.03039, section 3.2.",
    tensors="mixing",
    shape=(16, 16),
    invariants={
        "W^T W = I": lambda w: near(w.T @ w, np.eye(16)),
        "det W = 1": lambda w: bool(np.isclose(np.linalg.det(w), 1)),
    },
)
def invertible(*, part: str = "rotation", pair: str = "") -> RotationScheme:
    """Args:
        part: "rotation", or "lower", "upper", "log_scale", "sign", "permutation" of its decomposition.
        pair: Any text that all parts of one matrix name (with one seed, as in a plan); "" is the tensor's own stream.
    Raises: ArgumentError here: arguments; at the draw, no square matrix. LayoutError at the draw: groups or experts.

    >>> p, l, u, w = (invertible(part=part, pair="w")((4, 4), seed=0, dtype="float64")
    ...               for part in ("permutation", "lower", "upper", "rotation"))
    >>> s, t = (invertible(part=part, pair="w")((4,), seed=0, dtype="float64") for part in ("log_scale", "sign"))
    >>> bool(np.allclose(p @ l @ (u + np.diag(t * np.exp(s))), w)), bool(abs(s.sum()) < 1e-12)
    (True, True)
    """
    choice("invertible", "part", part, PARTS)
    options = {"part": part, "pair": text_of("invertible", "pair", pair)}
    text = spell("invertible", options, {"part": "rotation", "pair": ""})
    return RotationScheme(text, Rotation(pair, part))


glow_1x1 = invertible
random_rotation = invertible

publish(globals())
