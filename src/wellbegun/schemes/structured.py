"""Structured matrices: values that follow from the place in the tensor, without random words."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import choice, instance, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import LayoutError
from wellbegun.laws import Computed, Law
from wellbegun.schemes.base import Blockwise, spell
from wellbegun.schemes.card import near, publish, scheme


@dataclass(frozen=True)
class Sinusoidal(Computed):
    """Rows that are waves along the flattened inputs; see `sinusoidal`."""

    size: tuple[int, ...]
    gain: float = 1.0
    variant: str = "official"

    def waves(self) -> tuple[Array, Array]:
        """Whole periods of each row, and its phase in periods."""
        rows, columns = self.size[0], max(math.prod(self.size[1:]), 1)
        if self.variant == "official":
            index = np.arange(1, rows + 1)
            return index, index % rows / max(rows, 1)
        distinct = max((columns - 1) // 2, 1)
        turns, index = np.divmod(np.arange(rows), distinct)
        return index + 1, turns / (2 * max(-(-rows // distinct), 1))

    def rows(self, start: int, stop: int) -> Array:
        columns = math.prod(self.size[1:])
        periods, phase = (part[start:stop, None] for part in self.waves())
        turns = periods * np.arange(columns) % max(columns, 1) / max(columns, 1)  # whole turns taken off while exact
        return (self.gain * np.sin(2 * np.pi * (turns + phase))).reshape(-1, *self.size[1:])

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)

    def variance(self) -> float:
        """Of the entries where gain is 1, as of a sample; in closed form, as rows are sampled over whole periods."""
        columns, (periods, phase) = math.prod(self.size[1:]), self.waves()
        levels = np.sin(2 * np.pi * phase)
        squares = np.where(2 * periods % columns == 0, columns * levels**2, columns / 2).sum()
        mean = np.where(periods % columns == 0, columns * levels, 0.0).sum() / (len(periods) * columns)
        return float((squares - len(periods) * columns * mean**2) / (len(periods) * columns - 1))


@dataclass(frozen=True, repr=False)
class SinusoidalScheme(Blockwise):
    """A law for each section and group."""

    gain: float
    variant: str

    def _one(self, size: tuple[int, ...]) -> Law:
        plain = Sinusoidal(size, 1.0, self.variant)
        columns = math.prod(size[1:])
        if columns < 3 or not size[0] or not (variance := plain.variance()) > 1e-12:
            allowed = "one with 3 inputs or more, and rows that are not all 0"
            raise LayoutError(message(self.spelling, "shape", allowed, size))
        return Sinusoidal(size, self.gain * math.sqrt(2 / (size[0] + columns) / variance), self.variant)


@scheme(
    formula=(
        "Sinusoidal: W_ij = a sin(i (2 pi j / n + 2 pi / m)) for output i = 1..m and flattened input j = 0..n-1, a "
        "such that entries have the variance 2 gain^2 / (m + n)."
    ),
    shapes="matrices and kernels of 3 flattened inputs or more; each section and group is one of its own.",
    strengths="no random numbers at all, and the scale of Xavier's; rows cover low and high frequencies.",
    weaknesses=(
        "the published rows repeat each other past half of the inputs: (64, 64) has rank 31 and two rows of zeros; "
        "'distinct' does not."
    ),
    use="where a start is to be the same without a seed.",
    source="Fernandez-Hernandez et al. 2025, arXiv:2505.12909; the variant 'distinct' is ours.",
    tensors="hidden convolution",
    example="sinusoidal(variant='distinct')",
    invariants={
        "Var W = 2 gain^2 / (m + n)": lambda w: near(np.array(w.var(ddof=1)), np.array(2 / sum(w.shape))),
        "sum of each row = 0": lambda w: near(w.sum(axis=1), np.zeros(len(w))),
    },
)
def sinusoidal(*, gain: float = 1.0, variant: str = "official") -> SinusoidalScheme:
    """Args:
        gain: > 0, dimensionless.
        variant: "official": as published. "distinct": frequencies stay below half of the inputs, and what is beyond
            starts again with another phase, so that the rank is min(m, 2 ((n - 1) // 2)).
    Raises: ArgumentError here: arguments. LayoutError at the draw: fewer than 3 inputs, experts, rows that are all 0.

    >>> ranks = [np.linalg.matrix_rank(sinusoidal(variant=v)((64, 64), seed=0, dtype="float64"))
    ...          for v in ("official", "distinct")]
    >>> [int(rank) for rank in ranks]
    [31, 62]
    """
    number = real("sinusoidal", "gain", gain, minimum=0, exclusive=True)
    choice("sinusoidal", "variant", variant, ("official", "distinct"))
    options = {"gain": number, "variant": variant}
    text = spell("sinusoidal", options, {"gain": 1.0, "variant": "official"})
    return SinusoidalScheme(text, number, variant)


@dataclass(frozen=True)
class Cosines(Computed):
    """Rows of the orthonormal discrete cosine transform (DCT-II) along the flattened inputs."""

    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        longer = max(self.size[0], math.prod(self.size[1:]), 1)
        place, wave = np.arange(math.prod(self.size[1:])), np.arange(start, stop)[:, None]
        eighths = (2 * place + 1) * wave % (4 * longer) / (4 * longer)  # whole turns taken off while exact
        level = np.where(wave == 0, math.sqrt(1 / longer), math.sqrt(2 / longer))
        return (self.gain * level * np.cos(2 * np.pi * eighths)).reshape(-1, *self.size[1:])

    def support(self) -> tuple[float, float]:
        reach = abs(self.gain) * math.sqrt(2 / max(*self.size[:1], math.prod(self.size[1:]), 1))
        return -reach, reach


@dataclass(frozen=True)
class Signs(Computed):
    """The corner of Sylvester's Hadamard matrix H / sqrt(p), p the power of two that holds both sides."""

    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        columns = math.prod(self.size[1:])
        common = np.arange(start, stop)[:, None] & np.arange(columns)
        for fold in (32, 16, 8, 4, 2, 1):  # the parity of the bits ends up in the last one
            common = common ^ common >> fold
        level = self.gain / math.sqrt(_power_of_two(max(self.size[0], columns)))
        return np.where(common & 1, -level, level).reshape(-1, *self.size[1:])

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)


@dataclass(frozen=True)
class Shifted(Computed):
    """Ones at (i, (i - offset) mod n), the others 0: the identity, turned, or moved without what comes back."""

    _dense = False
    size: tuple[int, ...]
    gain: float = 1.0
    offset: int = 0
    cyclic: bool = True

    def rows(self, start: int, stop: int) -> Array:
        columns = math.prod(self.size[1:])
        longer = max(self.size[0], columns, 1)
        moved = np.arange(columns) + (self.offset % longer if self.cyclic else min(self.offset, longer))
        hit = np.arange(start, stop)[:, None] == (moved % longer if self.cyclic else moved)
        return np.where(hit, self.gain, 0.0).reshape(-1, *self.size[1:])


@dataclass(frozen=True)
class Repeated(Computed):
    """Ones where i = j modulo the shorter side: identities one after the other along the longer one."""

    _dense = False
    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        columns = math.prod(self.size[1:])
        shorter = max(min(self.size[0], columns), 1)
        hit = (np.arange(start, stop) % shorter)[:, None] == np.arange(columns) % shorter
        return np.where(hit, self.gain, 0.0).reshape(-1, *self.size[1:])


@dataclass(frozen=True)
class PartialIdentity(Computed):
    """The identity where outputs are no more than inputs, else the identity spread by Hadamard's matrix; at the centre
    tap of a kernel."""

    _dense = False
    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        outputs, inputs, *window = self.size
        wave, place = np.arange(start, stop)[:, None], np.arange(inputs)
        if outputs <= inputs:
            tap = np.where(wave == place, self.gain, 0.0)
        else:
            tap = Signs((_power_of_two(outputs), inputs), self.gain).rows(start, stop)
        values = np.zeros((stop - start, inputs, *window))
        centre: Any = (slice(None), slice(None), *((each - 1) // 2 for each in window))
        if all(window):
            values[centre] = tap
        return values

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


@dataclass(frozen=True, repr=False)
class FormulaScheme(Blockwise):
    """A computed law for each section and group."""

    kind: type[Computed]
    numbers: tuple[float, ...]

    def _one(self, size: tuple[int, ...]) -> Law:
        return self.kind(size, *self.numbers)  # type: ignore[call-arg]


def _formula(name: str, kind: type[Computed], gain: float, **options: int) -> FormulaScheme:
    number = real(name, "gain", gain)
    text = spell(name, {"gain": number, **options}, {"gain": 1.0, "offset": 1, "cyclic": True})
    return FormulaScheme(text, kind, (number, *options.values()))


@scheme(
    formula="Cosine basis: W_ij = gain sqrt(2/N) cos(pi i (2j + 1) / (2N)), row 0 over sqrt(2); N the longer side.",
    shapes="matrices and kernels, flattened to (out, in * window); each section and group is one of its own.",
    strengths="orthonormal rows from low to high frequencies, without random numbers.",
    weaknesses="takes inputs in their order, which must mean something; one that is not square is a corner.",
    use="first layers over places or time, mixing layers, fixed projections.",
    source="Ahmed, Natarajan, Rao 1974 (DCT-II, orthonormal).",
    tensors="hidden convolution positional",
    shape=(32, 48),
    invariants={"W W^T = gain^2 I if n_out <= n_in, else W^T W": lambda w: near(w @ w.T, np.eye(len(w)))},
)
def cosine_basis(*, gain: float = 1.0) -> FormulaScheme:
    """Args:
        gain: Finite, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> w = cosine_basis()((8, 8), seed=0, dtype="float64")
    >>> bool(np.allclose(w @ w.T, np.eye(8)))
    True
    """
    return _formula("cosine_basis", Cosines, gain)


dct = cosine_basis


@scheme(
    formula="Hadamard: the leading corner of Sylvester's matrix of signs, times gain / sqrt(p), p = 2^ceil(log2 N).",
    shapes="matrices and kernels, flattened to (out, in * window); each section and group is one of its own.",
    strengths="orthogonal with entries of one magnitude, exact in every number format where p is a power of four.",
    weaknesses="orthogonal rows only where the number of columns is the power of two p; deterministic.",
    use="mixing layers, fixed projections, quantized weights.",
    source="Sylvester 1867; Le, Sarlos, Smola 2013, Fastfood.",
    tensors="hidden",
    shape=(24, 32),
    invariants={
        "|W| = gain / sqrt(p)": lambda w: near(abs(w), np.full(w.shape, 1 / math.sqrt(32))),
        "W W^T = gain^2 I where n_in = p": lambda w: near(w @ w.T, np.eye(len(w))),
    },
)
def hadamard(*, gain: float = 1.0) -> FormulaScheme:
    """Args:
        gain: Finite, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> hadamard()((4, 4), seed=0).tolist()[1]
    [0.5, -0.5, 0.5, -0.5]
    """
    return _formula("hadamard", Signs, gain)


@scheme(
    formula=(
        "Turned identity: W_ij = gain where i = (j + offset) mod N, else 0; N the longer side. Not cyclic: a chain, "
        "gain where i = j + offset."
    ),
    shapes="matrices; kernels flattened to (out, in * window).",
    strengths="moves every input on by `offset` places: a delay line that loses nothing.",
    weaknesses="deterministic, and most weights are zero.",
    use="recurrent weights that are to remember the last N inputs in order.",
    source=(
        "White, Lee, Sompolinsky 2004 (delay lines); Orhan, Pitkow 2019, arXiv:1905.13715 (chains, gain near 1.02); "
        "WeightInitializers.jl `identity_init(shift=...)`."
    ),
    tensors="recurrent hidden",
    shape=(32, 32),
    invariants={"W = gain I, rolled by the offset": lambda w: bool((w == np.roll(np.eye(len(w)), 1, axis=0)).all())},
)
def shifted_identity(*, gain: float = 1.0, offset: int = 1, cyclic: bool = True) -> FormulaScheme:
    """Args:
        gain: Finite, dimensionless.
        offset: Places that an input is moved on by, an integer >= 0.
        cyclic: Whether what leaves at the end comes back at the start; else the matrix is nilpotent, a chain.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no matrix or kernel.

    >>> shifted_identity()((3, 3), seed=0).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    places = integer("shifted_identity", "offset", offset, minimum=0)
    turned = instance("shifted_identity", "cyclic", cyclic, bool)
    return _formula("shifted_identity", Shifted, gain, offset=places, cyclic=turned)


@scheme(
    formula="Repeated identity: W_ij = gain where i = j modulo the shorter side, else 0.",
    shapes="matrices; kernels flattened to (out, in * window); each section and group is one of its own.",
    strengths="all inputs reach the outputs and all outputs are reached: no rows or columns of zeros, as in `eye`.",
    weaknesses=(
        "outputs that are copies stay so unless something tells them apart; where the layer narrows, inputs are added "
        "up."
    ),
    use="layers of changing width that are to start as identities.",
    source=(
        "Keras 2.2, `Identity`: 'multiple identity matrices are concatenated along the long side'; Pan et al. 2025, "
        "arXiv:2503.04626 (IDInit: layers that keep, kernels as (out, in * window))."
    ),
    tensors="hidden convolution",
    invariants={
        "W = gain I, repeated": lambda w: bool((w == np.concatenate([np.eye(32), np.eye(32)[:16]])).all()),
    },
)
def repeated_identity(*, gain: float = 1.0) -> FormulaScheme:
    """Args:
        gain: Finite, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> repeated_identity()((2, 5), seed=0).tolist()
    [[1.0, 0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0, 0.0]]
    """
    return _formula("repeated_identity", Repeated, gain)


@scheme(
    formula=(
        "ZerO: the identity where n_out <= n_in, else I H I with Hadamard's H times gain 2^(-ceil(log2 n_out) / 2); at "
        "the centre tap of a kernel."
    ),
    shapes="matrices and kernels; each section and group is one of its own.",
    strengths="only zeros and ones (up to signs): no random numbers, and narrow layers lose no rank on the way up.",
    weaknesses="singular values are 1 only where n_out <= n_in or n_out is a power of two; symmetric units stay so.",
    use="residual networks whose branches end in zeros.",
    source="Zhao et al. 2022, arXiv:2110.12661, algorithm 1.",
    tensors="hidden convolution",
    shape=(64, 24),
    invariants={
        "|W| = gain / sqrt(n_out)": lambda w: near(abs(w), np.full(w.shape, 1 / 8)),
        "W^T W = gain^2 I where n_out is a power of two": lambda w: near(w.T @ w, np.eye(w.shape[1])),
    },
)
def zero_hadamard(*, gain: float = 1.0) -> FormulaScheme:
    """Args:
        gain: Finite, dimensionless.
    Raises: ArgumentError here: gain. LayoutError at the draw: no matrix or kernel.

    >>> zero_hadamard()((2, 3), seed=0).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    >>> singular = np.linalg.svd(zero_hadamard()((12, 8), seed=0, dtype="float64"), compute_uv=False)
    >>> bool(np.allclose(singular[[0, -1]], [1, np.sqrt(1 / 2)]))
    True
    """
    return _formula("zero_hadamard", PartialIdentity, gain)


ZerO = zero_hadamard


publish(globals())
