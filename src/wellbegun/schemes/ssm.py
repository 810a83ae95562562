"""State-space layers and linear attention: state matrices, time steps, decays."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Computed, Law, LogUniform, Mapped, Uniform
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme
from wellbegun.schemes.fixed import FixedScheme


@dataclass(frozen=True)
class HippoLegS(Computed):
    """The state matrix of `hippo_legs`, of the last two axes; others repeat it."""

    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        *outer, order, _ = self.size
        n = np.arange(order)
        lower = -np.sqrt(np.multiply.outer(2 * n + 1, 2 * n + 1))
        matrix = self.gain * np.where(n[:, None] > n, lower, np.where(n[:, None] == n, -(n[:, None] + 1.0), 0.0))
        if not outer:
            return matrix[start:stop]
        return np.broadcast_to(matrix, (stop - start, *self.size[1:]))


def _is_nplr(matrix: Array) -> bool:
    p = np.sqrt(np.arange(len(matrix)) + 0.5)
    normal = matrix + np.outer(p, p)
    eigenvalues = np.linalg.eigvals(normal)
    return near(normal @ normal.T, normal.T @ normal) and bool(np.allclose(eigenvalues.real, -0.5, atol=1e-9))


@dataclass(frozen=True, repr=False)
class HippoScheme(Scheme):
    """The same matrix for each leading index."""

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        if len(size) < 2 or size[-1] != size[-2] or sorted(layout.axes.replace("e", "")) != ["i", "o"]:
            allowed = "square in its output and input axes"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        return HippoLegS(size)


@scheme(
    formula=(
        "HiPPO-LegS: A_nk = -sqrt((2 n + 1)(2 k + 1)) for n > k, -(n + 1) for n = k, 0 for n < k: coefficients of "
        "Legendre polynomials over all of the past."
    ),
    shapes="square state matrices (N, N), and stacks of them with the layout 'eoi'.",
    strengths="the state is the best polynomial memory of the whole past, at every scale of time.",
    weaknesses="dense and not normal; layers store it as normal plus rank one (`hippo_legs_p`) or its diagonal (S4D).",
    use="S4 and LSSL layers, with B from `hippo_legs_b`.",
    source="Gu et al. 2020, arXiv:2008.07669, theorem 2; as normal plus low rank: Gu et al. 2022, arXiv:2111.00396.",
    tensors="state",
    shape=(16, 16),
    invariants={
        "A + P P^T is normal, its eigenvalues have real part -1/2": _is_nplr,
        "A_nn = -(n + 1)": lambda a: bool((np.diag(a) == -np.arange(1, len(a) + 1)).all()),
    },
)
def hippo_legs() -> HippoScheme:
    """Raises: LayoutError at the draw: no square matrix.

    >>> hippo_legs()((2, 2), seed=0, dtype="float64").round(4).tolist()
    [[-1.0, 0.0], [-1.7321, -2.0]]
    """
    return HippoScheme("hippo_legs()")


hippo = hippo_legs


# ---------------------------------------------------------------------- ladders: a formula of the state's index
_LADDERS: dict[str, Callable[[Array, int], Array]] = {
    "legs_b": lambda n, _: np.sqrt(2 * n + 1),
    "legs_p": lambda n, _: np.sqrt(n + 0.5),
    "linear": lambda n, _: np.pi * n,
    "inverse": lambda n, count: count / np.pi * (count / (2 * n + 1) - 1),
    "real": lambda n, _: -(n + 1.0),
    "log_real": lambda n, _: np.log(n + 1.0),
    "log_half": lambda n, _: np.full(len(n), math.log(0.5)),
}


@dataclass(frozen=True)
class Ladder(Computed):
    """A formula of the index n along the last axis (the first, of columns), alike along the others."""

    size: tuple[int, ...]
    formula: str
    count: int  # N of the formula
    gain: float = 1.0
    column: bool = True  # whether of (N, 1) the first axis is meant

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("Ladder", "formula", self.formula, tuple(_LADDERS))

    def rows(self, start: int, stop: int) -> Array:
        size = self.size or (1,)
        first = len(size) == 1 or (self.column and size[-1] == 1)
        n = np.arange(start, stop) if first else np.arange(size[-1])
        values = self.gain * _LADDERS[self.formula](n, self.count)
        return np.broadcast_to(
            values.reshape(-1, *[1] * (len(size) - 1)) if first else values, (stop - start, *size[1:])
        )


@dataclass(frozen=True, repr=False)
class LadderScheme(Scheme):
    """A ladder along the states."""

    formula: str
    pairs: bool = False
    column: bool = True

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        first = len(size) == 1 or (self.column and size and size[-1] == 1)
        states = size[0] if first else size[-1] if size else 1
        return Ladder(size, self.formula, states * (2 if self.pairs else 1), column=self.column)


_VECTORS = (
    "any; states run along the last axis, along the first where the last has size 1: (N,), (N, 1), (channels, N)."
)


@scheme(
    formula="HiPPO-LegS input: B_n = sqrt(2 n + 1).",
    shapes=_VECTORS,
    strengths="belongs to `hippo_legs`: new inputs enter all polynomials so that they stay the best ones.",
    weaknesses="of no meaning beside another A.",
    use="the input vector of S4 layers.",
    source="Gu et al. 2020, arXiv:2008.07669.",
    tensors="state_input",
    shape=(16,),
    layout="o",
    invariants={"B_n^2 = 2 n + 1": lambda b: near(b**2, 2 * np.arange(len(b)) + 1.0) and bool((b > 0).all())},
)
def hippo_legs_b() -> LadderScheme:
    """Raises: nothing.

    >>> (hippo_legs_b()((3, 1), seed=0, dtype="float64") ** 2).round(9).ravel().tolist()
    [1.0, 3.0, 5.0]
    """
    return LadderScheme("hippo_legs_b()", "legs_b")


@scheme(
    formula="HiPPO-LegS rank-one part: P_n = sqrt(n + 1/2); A + P P^T is normal.",
    shapes=_VECTORS,
    strengths="what S4 needs to compute with A in linear time.",
    weaknesses="of no meaning beside another A.",
    use="the vector P of S4 layers.",
    source="Gu et al. 2022, arXiv:2111.00396, appendix C.",
    tensors="state",
    shape=(16,),
    layout="o",
    invariants={"P_n^2 = n + 1/2": lambda p: near(p**2, np.arange(len(p)) + 0.5) and bool((p > 0).all())},
)
def hippo_legs_p() -> LadderScheme:
    """Raises: nothing.

    >>> (hippo_legs_p()((2,), seed=0, dtype="float64") ** 2).round(9).tolist()
    [0.5, 1.5]
    """
    return LadderScheme("hippo_legs_p()", "legs_p")


def _part(name: str, part: str, formula: str) -> LadderScheme:
    choice(name, "part", part, ("imaginary", "log_real"))
    text = spell(name, {"part": part}, {"part": "imaginary"})
    return LadderScheme(text, formula if part == "imaginary" else "log_half", True)


@scheme(
    formula="S4D-Lin: poles -1/2 + i pi n; the imaginary part pi n, or ln 1/2 for log_real.",
    shapes=f"{_VECTORS} Conjugate pairs are stored once.",
    strengths="frequencies of a Fourier basis, evenly spaced; as good as the diagonal of HiPPO.",
    weaknesses="several copies name S4D-Inv so.",
    use="diagonal state-space layers (log_A_real, A_imag); B = 1, C random normal, steps from `log_uniform`.",
    source="Gu et al. 2022, arXiv:2206.11893.",
    tensors="state",
    shape=(4, 16),
    invariants={"A_n = pi n in each channel": lambda a: near(a, np.tile(np.pi * np.arange(16), (4, 1)))},
)
def s4d_lin(*, part: str = "imaginary") -> LadderScheme:
    """Args:
        part: "imaginary", or "log_real": ln 1/2 everywhere, as layers store minus the real part.
    Raises: ArgumentError here: part.

    >>> s4d_lin()((3,), seed=0, dtype="float64").round(4).tolist(), s4d_lin(part="log_real")((1,), seed=0).tolist()
    ([0.0, 3.1416, 6.2832], [-0.6931471824645996])
    """
    return _part("s4d_lin", part, "linear")


@scheme(
    formula="S4D-Inv: poles -1/2 + i (N / pi) (N / (2 n + 1) - 1), N twice as many states as are stored.",
    shapes=f"{_VECTORS} Conjugate pairs are stored once, so N is twice their number.",
    strengths="closest to the spectrum of HiPPO-LegS; long and short scales of time.",
    weaknesses="N counts both of a pair: with the stored number the frequencies are wrong by a factor near 4.",
    use="diagonal state-space layers (log_A_real, A_imag).",
    source="Gu et al. 2022, arXiv:2206.11893.",
    tensors="state",
    shape=(4, 16),
    invariants={
        "A_0 = N (N - 1) / pi": lambda a: near(a[:, 0], np.full(4, 32 * 31 / np.pi)),
        "A_n = (N / pi) (N / (2 n + 1) - 1)": lambda a: near(
            a, np.tile(32 / np.pi * (32 / (2 * np.arange(16) + 1) - 1), (4, 1))
        ),
    },
)
def s4d_inv(*, part: str = "imaginary") -> LadderScheme:
    """Args:
        part: As for `s4d_lin`.
    Raises: ArgumentError here: part.

    >>> (s4d_inv()((2,), seed=0, dtype="float64") * math.pi).round(4).tolist()
    [12.0, 1.3333]
    """
    return _part("s4d_inv", part, "inverse")


@scheme(
    formula="S4D-Real: A_n = -(n + 1), stored as ln(n + 1); Mamba's A_log.",
    shapes="any; states run along the last axis: (N,), (channels, N), also with N = 1.",
    strengths="each state forgets at its own rate; real, so layers need no complex numbers.",
    weaknesses="no oscillations; keep it in float32 and out of weight decay.",
    use="Mamba (A_log of (channels, states)), diagonal state-space layers with real states.",
    source="Gu et al. 2022, arXiv:2206.11893; Gu, Dao 2023, arXiv:2312.00752.",
    tensors="state",
    shape=(4, 16),
    invariants={"e^A_log = 1 ... N in each channel": lambda a: near(np.exp(a), np.tile(np.arange(1.0, 17), (4, 1)))},
)
def s4d_real(*, form: str = "log") -> LadderScheme:
    """Args:
        form: "log": ln(n + 1), as layers store it; "value": -(n + 1).
    Raises: ArgumentError here: form.

    >>> s4d_real(form="value")((2, 3), seed=0).tolist()
    [[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]]
    """
    choice("s4d_real", "form", form, ("log", "value"))
    text = spell("s4d_real", {"form": form}, {"form": "log"})
    return LadderScheme(text, "log_real" if form == "log" else "real", column=False)


mamba_a_log = s4d_real


# ---------------------------------------------------------------------- drawn rates and steps
@scheme(
    formula="Mamba time step: b = softplus^-1(dt), dt = max(e^u, floor), u ~ U(ln dt_min, ln dt_max).",
    shapes="any.",
    strengths="softplus(b) is log-uniform: every scale of time is served; the inverse is exact where dt is small.",
    weaknesses="'all biases 0' undoes it; keep it in float32 and out of weight decay.",
    use="the bias of dt_proj (Mamba), dt_bias of heads (Mamba-2); dt_proj.weight from `fan_in_uniform`.",
    source="Gu, Dao 2023, arXiv:2312.00752; mamba-ssm `Mamba.__init__`.",
    tensors="time_step_bias",
    shape=(1024,),
    layout="o",
    invariants={
        "dt_min <= softplus(b) <= dt_max": lambda b: bool(
            (np.logaddexp(0, b) >= 1e-3 * (1 - 1e-9)).all() and (np.logaddexp(0, b) <= 0.1 * (1 + 1e-9)).all()
        ),
        "E ln softplus(b) is in the middle": lambda b: (
            abs(np.log(np.logaddexp(0, b)).mean() - math.log(1e-2)) < 6 * math.log(100) / math.sqrt(12 * b.size)
        ),
    },
)
def mamba_dt_bias(*, dt_min: float = 1e-3, dt_max: float = 0.1, floor: float = 1e-4) -> FixedScheme:
    """Args:
        dt_min: The smallest step that is drawn, > 0.
        dt_max: The largest, above dt_min and floor.
        floor: No step is below it, >= 0.
    Raises: ArgumentError here: arguments.

    >>> b = mamba_dt_bias(floor=0.01)((1000,), seed=0, dtype="float64")
    >>> bool(np.logaddexp(0, b).min() > 0.00999)
    True
    """
    owner = "mamba_dt_bias"
    low, high = real(owner, "dt_min", dt_min, minimum=0, exclusive=True), real(owner, "dt_max", dt_max)
    least = real(owner, "floor", floor, minimum=0)
    if not max(low, least) < high:
        raise ArgumentError(message(owner, "dt_max", f"above dt_min and floor ({max(low, least):g})", dt_max))
    steps: Law = LogUniform(low, high)
    steps = Mapped(steps, "at_least", (least,)) if least > low else steps
    text = spell(
        owner,
        {"dt_min": low, "dt_max": high, "floor": least},
        {"dt_min": 1e-3, "dt_max": 0.1, "floor": 1e-4},
    )
    return FixedScheme(text, Mapped(steps, "inverse_softplus"))


@scheme(
    formula="Mamba-2 decay: A_log = ln a, a ~ U(low, high), for each head.",
    shapes="any.",
    strengths="heads forget at different rates; -e^A_log is negative by construction.",
    weaknesses="transformers' port takes ln 1 ... ln heads instead; keep it in float32 and out of weight decay.",
    use="A_log of Mamba-2 heads.",
    source="Dao, Gu 2024, arXiv:2405.21060; mamba-ssm `Mamba2.__init__` (A_init_range).",
    tensors="state",
    shape=(1024,),
    layout="o",
    invariants={
        "low <= e^A_log <= high": lambda a: bool((np.exp(a) >= 1 - 1e-9).all() and (np.exp(a) <= 16 + 1e-9).all()),
        "E e^A_log = (low + high) / 2": lambda a: abs(np.exp(a).mean() - 8.5) < 6 * 15 / math.sqrt(12 * a.size),
    },
)
def mamba2_a(*, low: float = 1.0, high: float = 16.0) -> FixedScheme:
    """Args:
        low: The slowest decay, >= 0.
        high: The fastest, above low.
    Raises: ArgumentError here: arguments.

    >>> round(float(mamba2_a().law((8,)).support()[1]), 4)
    2.7726
    """
    return _decay("mamba2_a", low, high, 1.0)


mamba2_a_log = mamba2_a


@scheme(
    formula="Gated delta decay: A_log = ln a, a ~ U(low, high) with low near 0, for each head.",
    shapes="any.",
    strengths="some heads forget almost nothing.",
    weaknesses="with low = 0, as one library draws, ln 0 has to be avoided: here words keep half a step away from it.",
    use="A_log of Gated DeltaNet and KDA heads, beside a dt_bias of 1 or `mamba_dt_bias`.",
    source="Yang et al. 2025, arXiv:2412.06464; transformers' Qwen3-Next (low 0.01).",
    tensors="state",
    shape=(1024,),
    layout="o",
    invariants={
        "low <= e^A_log <= high": lambda a: bool((np.exp(a) >= 0.01 - 1e-9).all() and (np.exp(a) <= 16 + 1e-9).all()),
        "E e^A_log = (low + high) / 2": lambda a: abs(np.exp(a).mean() - 8.005) < 6 * 16 / math.sqrt(12 * a.size),
        "some below 1": lambda a: bool((np.exp(a) < 1).any()),
    },
)
def delta_net_a(*, low: float = 0.01, high: float = 16.0) -> FixedScheme:
    """Args:
        low: The slowest decay, >= 0.
        high: The fastest, above low.
    Raises: ArgumentError here: arguments.

    >>> bool(np.isfinite(delta_net_a(low=0.0)((1000,), seed=0)).all())
    True
    """
    return _decay("delta_net_a", low, high, 0.01)


def _decay(owner: str, low: float, high: float, default: float) -> FixedScheme:
    least, most = real(owner, "low", low, minimum=0), real(owner, "high", high)
    if not least < most:
        raise ArgumentError(message(owner, "high", f"above low ({least:g})", high))
    text = spell(owner, {"low": least, "high": most}, {"low": default, "high": 16.0})
    return FixedScheme(text, Mapped(Uniform(least, most), "log"))


publish(globals())
