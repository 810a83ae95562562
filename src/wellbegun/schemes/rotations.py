"""Rotations in planes: orthogonal recurrent weights, and skew-symmetric matrices that networks keep in their place."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, integer, message, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError
from wellbegun.laws import Built, Law, Moments, Uniform
from wellbegun.laws.base import shape_needed
from wellbegun.schemes.base import spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.fixed import FixedScheme

ANGLES = {"cayley": (0.0, math.pi / 2), "henaff": (-math.pi, math.pi)}


@dataclass(frozen=True)
class Planes(Built):
    """A block for each pair of coordinates; see `rotation_blocks` and `skew_blocks`."""

    _dense = False
    angles: str = "cayley"
    skew: bool = False
    negative: int = 0
    gain: float = 1.0

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] < self.negative:
            least = f" of {self.negative} columns or more, of which as many change sign" * (self.negative > 0)
            owner = "skew_blocks" if self.skew else "rotation_blocks"
            raise ArgumentError(message(owner, "shape", f"that of a square matrix{least}", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Uniform(*ANGLES[self.angles]), (max(shape[0] // 2, 1),)

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        size, values = shape[0], np.zeros(shape)
        first = np.arange(0, size - 1, 2)
        angle = drawn[: len(first)]
        if self.skew:
            values[first, first + 1] = -np.tan(angle / 2) if self.angles == "cayley" else angle
            return self.gain * (values - values.T)
        np.fill_diagonal(values, 1.0)
        values[first, first] = values[first + 1, first + 1] = np.cos(angle)
        values[first, first + 1], values[first + 1, first] = np.sin(angle), -np.sin(angle)
        values[:, size - self.negative :] *= -1
        return self.gain * values

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Averages over the angle of a plane, on a fine grid; third moments are those around 0."""
        size = shape_needed(self, shape)
        self.fits(size)
        if not size[0]:
            return Moments.of(0.0, 0.0, 0.0, 0.0)
        low, high = ANGLES[self.angles]
        middles = low + (high - low) * (np.arange(4096) + 0.5) / 4096
        block = Planes(angles=self.angles, skew=self.skew, gain=self.gain)
        of_two = np.stack([block.whole(np.array([angle]), (2, 2)).ravel() for angle in middles[::16]])
        planes, share = size[0] // 2, 1 / size[0] ** 2
        last = self.gain if size[0] % 2 and not self.skew else 0.0
        signs = np.ones(size[0])
        signs[size[0] - self.negative :] = -1
        sums = [share * (planes * float((of_two**power).mean(axis=0).sum()) + last**power) for power in (2, 4)]
        pairs = signs[: 2 * planes].reshape(-1, 2).sum(axis=0)
        columns = of_two.mean(axis=0).reshape(2, 2).sum(axis=0)
        mean = share * (float(pairs @ columns) + (last * signs[-1] if last else 0.0))
        return Moments.of(mean, max(sums[0] - mean**2, 0.0), 0.0, sums[1])

    def support(self) -> tuple[float, float]:
        reach = abs(self.gain) * (math.pi if self.skew and self.angles == "henaff" else 1.0)
        return -reach, reach


@scheme(
    formula=(
        "Rotations in planes: [[cos a, sin a], [-sin a, cos a]] for each pair of coordinates, a ~ U(0, pi / 2), or "
        "U(-pi, pi) ('henaff'); the last `negative` columns change sign."
    ),
    shapes="square recurrent matrices; of an odd size the last coordinate stays.",
    strengths="orthogonal with eigenvalues spread over the circle: nothing grows or fades, and memories turn apart.",
    weaknesses="each coordinate meets one other only, until training mixes them; in `orthogonal` they all meet.",
    use="recurrent weights of scoRNN (W = (I + A)^-1 (I - A) D, A from `skew_blocks`), orthogonal RNNs.",
    source="Helfrich et al. 2018, arXiv:1707.09520, and its code; Henaff et al. 2016, arXiv:1602.06662.",
    tensors="recurrent",
    shape=(32, 32),
    example="rotation_blocks(negative=4)",
    invariants={
        "W^T W = I": lambda w: near(w.T @ w, np.eye(len(w))),
        "angles in [0, pi / 2], the last 4 columns of the other sign": lambda w: bool(
            (np.diag(w)[:-4] >= 0).all() and (np.diag(w)[-4:] <= 0).all() and (np.diag(w, 1)[:-4:2] >= 0).all()
        ),
    },
)
def rotation_blocks(*, angles: str = "cayley", negative: int = 0, pair: str = "") -> FixedScheme:
    """Args:
        angles: "cayley": U(0, pi / 2). "henaff": U(-pi, pi).
        negative: Columns whose sign is changed, >= 0: entries -1 of the diagonal matrix D.
        pair: Any text that the skew-symmetric matrix names too, so that both are of one draw.
    Raises: ArgumentError here: arguments; at the draw: no square matrix. LayoutError at the draw: no matrix.

    >>> w, a = (make(pair="p")((4, 4), seed=0, dtype="float64") for make in (rotation_blocks, skew_blocks))
    >>> bool(np.allclose((np.eye(4) + a) @ w, np.eye(4) - a))
    True
    """
    choice("rotation_blocks", "angles", angles, tuple(ANGLES))
    count = integer("rotation_blocks", "negative", negative, minimum=0)
    options = {"angles": angles, "negative": count, "pair": text_of("rotation_blocks", "pair", pair)}
    text = spell("rotation_blocks", options, {"angles": "cayley", "negative": 0, "pair": ""})
    return FixedScheme(text, Planes(pair, angles, False, count), "io")


scornn = rotation_blocks


@scheme(
    formula=(
        "Skew-symmetric blocks: [[0, s], [-s, 0]] for each pair of coordinates, s = -tan(a / 2), a ~ U(0, pi / 2), for "
        "the Cayley transform; s ~ U(-pi, pi) for the exponential ('henaff')."
    ),
    shapes="square matrices; of an odd size the last row and column are 0.",
    strengths="what networks learn in place of an orthogonal matrix starts at known angles.",
    weaknesses="only for layers that make the orthogonal matrix of it; a plain layer would start nilpotent in pairs.",
    use="the parameter A of scoRNN ('cayley') and expRNN ('henaff', or 'cayley').",
    source="Helfrich et al. 2018, arXiv:1707.09520, code; Lezcano-Casado, Martinez-Rubio 2019, arXiv:1901.08428, code.",
    tensors="recurrent",
    shape=(32, 32),
    invariants={
        "A = -A^T": lambda a: near(a, -a.T),
        "(I + A)^-1 (I - A) turns by 0 to pi / 2": lambda a: bool(
            (np.linalg.eigvals(np.linalg.solve(np.eye(len(a)) + a, np.eye(len(a)) - a)).real >= -1e-9).all()
        ),
        "pairs only": lambda a: bool((np.count_nonzero(a, axis=1) == 1).all()),
    },
)
def skew_blocks(*, angles: str = "cayley", pair: str = "") -> FixedScheme:
    """Args:
        angles: "cayley": for W = (I + A)^-1 (I - A). "henaff": for W = e^A.
        pair: Any text that the rotations name too, so that both are of one draw.
    Raises: ArgumentError here: arguments; at the draw: no square matrix. LayoutError at the draw: no matrix.

    >>> a = skew_blocks()((3, 3), seed=0)
    >>> bool((a == -a.T).all()), bool(-1 <= a[0, 1] <= 0)
    (True, True)
    """
    choice("skew_blocks", "angles", angles, tuple(ANGLES))
    options = {"angles": angles, "pair": text_of("skew_blocks", "pair", pair)}
    return FixedScheme(
        spell("skew_blocks", options, {"angles": "cayley", "pair": ""}), Planes(pair, angles, True), "io"
    )


publish(globals())
