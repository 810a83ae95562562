"""Recurrent layers: biases of gates, matrices for states, poles of linear recurrences."""

from dataclasses import dataclass, replace

import numpy as np

from wellbegun._arguments import integer, message, real, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Constant, Eye, Law, Mapped, Moments, Normal, Sections, Uniform
from wellbegun.laws.base import Piece, set_field, shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.isometries import OrthogonalScheme

ORDERS = {"torch": "ifgo", "keras": "ifgo", "mxnet": "ifgo", "haiku": "igfo", "sonnet": "ifgo"}
"""Of an LSTM's gates, by frameworks: i input, f forget, g (or c) cell, o output."""


@dataclass(frozen=True)
class Gates(Sections):
    """Sections that say which sub-stream each is drawn from: two with one number share their random words."""

    streams: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "streams", tuple(integer("Gates", "streams", number) for number in self.streams))
        if len(self.streams) != len(self.parts):
            raise ArgumentError(message("Gates", "streams", f"{len(self.parts)} numbers", self.streams))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(piece._replace(stream=stream) for piece, stream in zip(super().pieces, self.streams, strict=True))

    def _scaled(self, factor: float) -> "Gates":
        return Gates(super()._scaled(factor).parts, self.streams)


@dataclass(frozen=True, repr=False)
class GateScheme(Scheme):
    """A law for each gate along the first axis, by its letter; those with one number share random words."""

    order: str
    laws: tuple[tuple[str, Law], ...]
    shared: int | None = None

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        gates = len(self.order)
        if layout.axes != "o" or shape[0] % gates:
            allowed = f"that of a bias ('o') with a multiple of {gates} entries, one gate after the other"
            raise LayoutError(message(self.spelling, "layout", allowed, (layout.axes, shape)))
        if layout.sections is not None and layout.section_sizes(shape) != (shape[0] // gates,) * gates:
            allowed = f"{len(layout.section_sizes(shape))} letters, one for each gate"
            remedy = "Give the order of the gates that it has: order='rzn' for a GRU of torch."
            raise LayoutError(message(self.spelling, "order", allowed, self.order, remedy))
        laws = dict(self.laws)
        parts = tuple((shape[0] // gates, laws.get(gate, Constant(0.0))) for gate in self.order)
        if self.shared is None:
            return Sections(parts)
        streams = (self.shared if gate in laws else index for index, gate in enumerate(self.order))
        return Gates(parts, tuple(streams))


def _order(owner: str, order: str) -> str:
    letters = ORDERS.get(text_of(owner, "order", order), order)
    if len(set(letters)) != len(letters) or not set(letters) <= set("ifgorznhc") or not set(letters) & {"f", "z"}:
        allowed = "letters of the gates with one f (LSTM) or z (GRU), such as 'ifgo' or 'rzn', or one of " + ", ".join(
            map(repr, ORDERS)
        )
        raise ArgumentError(message(owner, "order", allowed, order))
    return letters


def _keeps(order: str) -> str:
    return "f" if "f" in order else "z"


@scheme(
    formula="Forget bias: b = bias in the section of the gate that keeps the old state, 0 in the others.",
    shapes="biases of LSTMs and GRUs, all gates one after the other.",
    strengths="the state is kept at first (sigmoid(1) = 0.731 of it a step), so gradients reach back in time.",
    weaknesses=(
        "orders of gates differ: i f g o in torch, Keras, MXNet and Sonnet, i g f o in Haiku; torch adds two bias "
        "vectors, so the other one is to be 0; Haiku adds 1 in the forward pass already."
    ),
    use="one bias vector of an LSTM; of a GRU with order='rzn' (torch) or 'zrh' (Keras), where z keeps the state.",
    source="Gers et al. 2000; Jozefowicz et al. 2015; Keras `unit_forget_bias`, MXNet `LSTMBias`.",
    tensors="recurrent_bias_input recurrent_bias",
    shape=(32,),
    layout="o",
    invariants={
        "1 in the second of four gates": lambda b: bool((b.reshape(4, -1)[1] == 1).all()),
        "0 in the others": lambda b: b.sum() == b.size / 4,
    },
)
def forget_bias(*, bias: float = 1.0, order: str = "ifgo") -> GateScheme:
    """Args:
        bias: Finite, before the sigmoid.
        order: A letter for each gate, or a framework's name ("torch", "keras", "mxnet", "haiku", "sonnet": LSTM).
    Raises: ArgumentError here: arguments. LayoutError at the draw: no bias, or sizes that do not fit.

    >>> forget_bias(order="haiku")(4, seed=0).tolist(), forget_bias(bias=2.0, order="rzn")(3, seed=0).tolist()
    ([0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0])
    """
    number, letters = real("forget_bias", "bias", bias), _order("forget_bias", order)
    text = spell("forget_bias", {"bias": number, "order": letters}, {"bias": 1.0, "order": "ifgo"})
    return GateScheme(text, letters, ((_keeps(letters), Constant(number)),))


unit_forget_bias = forget_bias
lstm_bias = forget_bias


@scheme(
    formula="Chrono: b_f = ln u, u ~ U(1, max_steps - 1), and b_i = -b_f with the same u; 0 in the other gates.",
    shapes="biases of LSTMs and GRUs, all gates one after the other.",
    strengths="each unit forgets over its own time, between 2 and max_steps steps, and takes in as much as it forgets.",
    weaknesses="max_steps is how far dependencies reach, which is yours to know; not the size of the input.",
    use="long dependencies; of a GRU only the gate z has a bias; the second bias vector of torch is to be 0.",
    source="Tallec, Ollivier 2018, arXiv:1804.11188.",
    tensors="recurrent_bias_input",
    example="chrono(max_steps=100.0)",
    shape=(64,),
    layout="o",
    invariants={
        "e^b_f + 1 in [2, max_steps]": lambda b: bool(
            ((np.exp(b[16:32]) + 1 >= 2 - 1e-9) & (np.exp(b[16:32]) + 1 <= 100 + 1e-9)).all()
        ),
        "b_i = -b_f": lambda b: bool((b[:16] == -b[16:32]).all()),
        "0 elsewhere": lambda b: not b[32:].any(),
    },
)
def chrono(*, max_steps: float = 1000.0, order: str = "ifgo") -> GateScheme:
    """Args:
        max_steps: The longest dependency in steps, > 2.
        order: As for `forget_bias`.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no bias, or sizes that do not fit.

    >>> b = chrono(max_steps=50, order="haiku")(8, seed=0)
    >>> bool((b[:2] == -b[4:6]).all()), bool((np.exp(b[4:6]) <= 49.001).all())
    (True, True)
    """
    number, letters = real("chrono", "max_steps", max_steps, minimum=2, exclusive=True), _order("chrono", order)
    text = spell("chrono", {"max_steps": number, "order": letters}, {"max_steps": 1000.0, "order": "ifgo"})
    if number - 1 == 1:
        raise ArgumentError(message("chrono", "max_steps", "above 2 by more than rounding", max_steps))
    keep = _keeps(letters)
    drawn = Uniform(1.0, number - 1)
    laws = [(keep, Mapped(drawn, "log"))] + [("i", Mapped(drawn, "log", factor=-1.0))] * ("i" in letters)
    return GateScheme(text, letters, tuple(laws), letters.index(keep))


@dataclass(frozen=True, repr=False)
class BlockScheme(Scheme):
    """The same law for each of `gates` blocks of rows."""

    law_of_one: Law
    gates: int

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size, known = layout.canonical_shape(shape), len(layout.section_sizes(shape))
        gates = known if self.gates == 1 else self.gates
        if sorted(layout.axes) != ["i", "o"] or size[0] % gates or known not in (1, gates):
            allowed = f"that of a matrix ('oi' or 'io') of {gates} gates of as many rows"
            raise LayoutError(message(self.spelling, "layout", allowed, (layout.axes, shape)))
        one = size[0] // gates, self.law_of_one
        law = Sections((one,) * gates) if gates > 1 else self.law_of_one
        law.fits(size)
        return law


@scheme(
    formula="IRNN: the identity in every gate's block, W_hh = gain I.",
    shapes="recurrent matrices (gates h, h).",
    strengths="a ReLU layer starts as a memory that neither grows nor fades; gradients reach back unchanged.",
    weaknesses="states that only add up may explode; gain 0.01 where dependencies are short.",
    use="recurrent ReLU layers; W_xh from normal(std=0.001), biases 0.",
    source="Le, Jaitly, Hinton 2015, arXiv:1504.00941.",
    tensors="recurrent",
    example="irnn(gates=2)",
    shape=(64, 32),
    invariants={"W = I in each block": lambda w: bool((w.reshape(2, 32, 32) == np.eye(32)).all())},
)
def irnn(*, gain: float = 1.0, gates: int = 1) -> BlockScheme:
    """Args:
        gain: Finite, dimensionless; 0.01 for short dependencies.
        gates: Blocks of rows, >= 1; 1: as many as the layout says.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no matrix of as many blocks.

    >>> irnn(gates=2)((4, 2), seed=0).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    number, count = real("irnn", "gain", gain), integer("irnn", "gates", gates, minimum=1)
    text = spell("irnn", {"gain": number, "gates": count}, {"gain": 1.0, "gates": 1})
    return BlockScheme(text, Eye(number), count)


@dataclass(frozen=True)
class PositiveDefinite(Built):
    """(A + I) / lambda_max(A + I), A = R^T R / h with standard normal R; see `np_rnn`."""

    gain: float = 1.0

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ArgumentError(message("PositiveDefinite", "shape", "a square matrix", shape))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Normal(0.0, 1.0), shape

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        """The matrix."""
        if not drawn.size:
            return drawn
        added: Array = drawn.T @ drawn / len(drawn) + np.eye(len(drawn))
        largest = float(np.linalg.eigvalsh(added)[-1])
        return added * (self.gain / largest)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        """Of many units in the limit: 2/5 on the diagonal (A is I on average, up to 4), others N(0, 1/(25 h))."""
        size = shape_needed(self, shape)
        if not size[0] > 64:
            return self._simulated(size)
        mean, square = 0.4 / size[0], 0.2 / size[0]
        return Moments(self.gain * mean, self.gain**2 * (square - mean**2), 0.0, 3.0)

    def support(self) -> tuple[float, float]:
        return -abs(self.gain), abs(self.gain)


@scheme(
    formula="np-RNN: W_hh = (A + I) / lambda_max(A + I), A = R^T R / h, R standard normal (h, h).",
    shapes="square recurrent matrices.",
    strengths="symmetric and positive definite: one direction is kept, all others fade, so ReLU states stay bounded.",
    weaknesses="O(h^3); agrees between machines to rounding. One port draws a vector R, which gives rank 1.",
    use="recurrent ReLU layers; W_xh with standard deviation sqrt(2) e^(1.2 / (max(n, 6) - 2.4)) / sqrt(n).",
    source="Talathi, Vartak 2015, arXiv:1511.03771.",
    tensors="recurrent",
    shape=(32, 32),
    invariants={
        "W = W^T": lambda w: near(w, w.T),
        "largest eigenvalue 1, all positive": lambda w: (
            near(np.linalg.eigvalsh(w)[-1:], np.ones(1)) and bool(np.linalg.eigvalsh(w)[0] > 0)
        ),
        "full rank without the identity": lambda w: bool(
            np.linalg.eigvalsh(w)[-2] < 1 and np.linalg.eigvalsh(w)[16] > 1.2 * np.linalg.eigvalsh(w)[0]
        ),
    },
)
def np_rnn() -> BlockScheme:
    """Raises: LayoutError, ArgumentError at the draw: no square matrix.

    >>> w = np_rnn()((8, 8), seed=0, dtype="float64")
    >>> bool(np.allclose(np.linalg.eigvalsh(w)[-1], 1))
    True
    """
    return BlockScheme("np_rnn()", PositiveDefinite(), 1)


@scheme(
    formula="Orthogonal gates: each gate's block of rows is a (semi-)orthogonal matrix of its own.",
    shapes="recurrent and input matrices (gates h, n), and kernels, in layouts with or without sections.",
    strengths="every gate keeps lengths; complex dtypes give unitary matrices.",
    weaknesses="one matrix for all gates, as Keras draws it, has blocks of RMS gain 1/2; Flax draws each alone.",
    use="recurrent weights of LSTMs (4 gates) and GRUs (3) where the layout does not know its sections.",
    source="Saxe et al. 2014, arXiv:1312.6120; Arjovsky et al. 2016, arXiv:1511.06464 (unitary).",
    tensors="recurrent",
    shape=(64, 16),
    invariants={
        "W^T W = I in each block": lambda w: all(near(gate.T @ gate, np.eye(16)) for gate in w.reshape(4, 16, 16))
    },
)
def gate_orthogonal(*, gates: int = 4, gain: float = 1.0) -> "GateOrthogonal":
    """Args:
        gates: Blocks of rows, >= 1.
        gain: > 0, dimensionless.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no matrix of as many blocks.

    >>> w = gate_orthogonal()((8, 2), seed=0, dtype="complex128")
    >>> bool(np.allclose(w[2:4].conj().T @ w[2:4], np.eye(2)))
    True
    """
    count = integer("gate_orthogonal", "gates", gates, minimum=1)
    number = real("gate_orthogonal", "gain", gain, minimum=0, exclusive=True)
    text = spell("gate_orthogonal", {"gates": count, "gain": number}, {"gates": 4, "gain": 1.0})
    return GateOrthogonal(text, number, "haar", count)


gate_unitary = gate_orthogonal


@dataclass(frozen=True, repr=False)
class GateOrthogonal(OrthogonalScheme):
    """One matrix for each of `gates` blocks, whatever the layout says."""

    gates: int

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        divided = replace(layout, sections=self.gates)
        divided.section_sizes(shape, owner=self.spelling)
        return super()._law(shape, divided)


publish(globals())
