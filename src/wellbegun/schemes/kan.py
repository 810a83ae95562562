"""Kolmogorov-Arnold networks: the factors of their splines and bases as three libraries start them."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Computed, Constant, Law, Moments, Normal, Uniform
from wellbegun.laws.base import set_field, shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
from wellbegun.schemes.fixed import FixedScheme
from wellbegun.schemes.iid import FanScaled
from wellbegun.schemes.scaling import VarianceScaling


@scheme(
    formula="pykan, factor of the base function: W ~ U((mean - spread) / sqrt(n_in), (mean + spread) / sqrt(n_in)).",
    shapes="any with an input axis.",
    strengths="the base functions carry the signal while the splines are still noise.",
    weaknesses="its documentation says normal, its code draws uniform: this is the code.",
    use="`scale_base` of pykan's layers, which has the inputs first: layout 'io'.",
    source="Liu et al. 2024, arXiv:2404.19756; pykan 0.2.8, `KANLayer`.",
    tensors="basis",
    invariants={
        "Var W = spread^2 / (3 n_in)": lambda w: varies(w, 1 / (3 * w.shape[1])),
        "|W| <= (|mean| + spread) / sqrt(n_in)": lambda w: bool(abs(w).max() <= 1 / math.sqrt(w.shape[1])),
    },
)
def kan_base(*, mean: float = 0.0, spread: float = 1.0) -> FanScaled:
    """Args:
        mean: Finite, for one input.
        spread: > 0, half the width of the interval for one input.
    Raises: ArgumentError here: arguments. LayoutError at the draw: no fans.

    >>> kan_base(mean=1.0).law((8, 4)).high
    1.0
    """
    middle = real("kan_base", "mean", mean)
    half = real("kan_base", "spread", spread, minimum=0, exclusive=True)
    text = spell("kan_base", {"mean": middle, "spread": half}, {"mean": 0.0, "spread": 1.0})
    return FanScaled(text, Uniform(middle - half, middle + half), 0.5)


@scheme(
    formula="pykan, factor of the splines: W = scale / sqrt(n_in), every one.",
    shapes="any with an input axis.",
    strengths="the sum of n_in splines has the size of one of them.",
    weaknesses="constant: what differs between units are the coefficients of the splines.",
    use="`scale_sp` of pykan's layers, which has the inputs first: layout 'io'.",
    source="Liu et al. 2024, arXiv:2404.19756; pykan 0.2.8, `KANLayer`.",
    tensors="basis",
    invariants={"W = scale / sqrt(n_in)": lambda w: near(w, np.full(w.shape, 1 / math.sqrt(w.shape[1])))},
)
def kan_spline_scale(*, scale: float = 1.0) -> FanScaled:
    """Args:
        scale: Finite.
    Raises: ArgumentError here: scale. LayoutError at the draw: no fans.

    >>> kan_spline_scale()((1, 4), seed=0).tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    number = real("kan_spline_scale", "scale", scale)
    return FanScaled(spell("kan_spline_scale", {"scale": number}, {"scale": 1.0}), Constant(number), 0.5)


@scheme(
    formula="efficient-KAN: W ~ U(+-sqrt(6 / ((1 + 5 scale^2) n_in))), torch's Kaiming uniform with a = sqrt(5) scale.",
    shapes="any with an input axis.",
    strengths="the start of a fast and widely used implementation, with its names.",
    weaknesses="a larger `scale` gives smaller weights, since it stands where torch has a negative slope.",
    use="`base_weight` and `spline_scaler` of efficient-KAN's layers.",
    source="efficient-kan, `KANLinear.reset_parameters`; Liu et al. 2024, arXiv:2404.19756.",
    tensors="basis",
    example="efficient_kan(scale=2.0)",
    invariants={
        "Var W = 2 / ((1 + 5 scale^2) n_in)": lambda w: varies(w, 2 / (21 * w.shape[1])),
        "|W| <= sqrt(3 Var W)": lambda w: bool(abs(w).max() <= math.sqrt(6 / (21 * w.shape[1]))),
    },
)
def efficient_kan(*, scale: float = 1.0) -> VarianceScaling:
    """Args:
        scale: Finite: `scale_base` or `scale_spline`.
    Raises: ArgumentError here: scale. LayoutError at the draw: no fans.

    >>> from wellbegun.schemes import fan_in_uniform
    >>> math.isclose(efficient_kan().law((4, 3)).high, fan_in_uniform().law((4, 3)).high)
    True
    """
    number = real("efficient_kan", "scale", scale)
    text = spell("efficient_kan", {"scale": number}, {"scale": 1.0})
    return VarianceScaling(text, 2 / (1 + 5 * number**2), "fan_in", "uniform")


@dataclass(frozen=True)
class SplineNoise(Built):
    """Coefficients of B-splines that take random values on their grid; see `kan_spline`."""

    _scale = "noise"
    noise: float = 0.5
    degree: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "noise", real("SplineNoise", "noise", self.noise, minimum=0, exclusive=True))
        set_field(self, "degree", integer("SplineNoise", "degree", self.degree, minimum=1))

    def fits(self, shape: tuple[int, ...]) -> None:
        if len(shape) < 2 or shape[-1] <= self.degree:
            allowed = f"(out, in, coefficients) with more than {self.degree} coefficients"
            raise ArgumentError(message("SplineNoise", "shape", allowed, shape))

    def _half(self, shape: tuple[int, ...]) -> float:
        return self.noise / (2 * (shape[-1] - self.degree))

    def source(self, shape: tuple[int, ...]) -> tuple[Law, tuple[int, ...]]:
        return Uniform(-self._half(shape), self._half(shape)), (*shape[:-1], shape[-1] - self.degree + 1)

    def whole(self, drawn: Array, shape: tuple[int, ...]) -> Array:
        return drawn @ _fit(shape[-1], self.degree)

    def _moments(self, shape: tuple[int, ...] | None) -> Moments:
        whole = shape_needed(self, shape)
        fit, variance = _fit(whole[-1], self.degree), self._half(whole) ** 2 / 3
        squares = (fit**2).sum(axis=0)
        second, fourth = squares.mean(), (3 * squares**2 - 1.2 * (fit**4).sum(axis=0)).mean()
        return Moments(0.0, float(variance * second), 0.0, float(fourth / second**2))

    def describe(self) -> str:
        return f"splines of degree {self.degree}, noise {self.noise:.4g}"


def _values(coefficients: int, degree: int) -> Array:
    """Of each B-spline on each point of the grid: (points, coefficients)."""
    from scipy.interpolate import BSpline

    grid = coefficients - degree
    knots = np.arange(-degree, grid + degree + 1.0)
    found: Array = BSpline.design_matrix(np.arange(grid + 1.0), knots, degree).toarray()
    return found


def _fit(coefficients: int, degree: int) -> Array:
    """Values on the grid -> the smallest coefficients that give them: (points, coefficients)."""
    found: Array = np.linalg.pinv(_values(coefficients, degree)).T
    return found


@scheme(
    formula="KAN splines: the least coefficients whose splines are U(+-noise / (2G)) on the G + 1 points of the grid.",
    shapes="(out, in, coefficients), in any order: G + degree coefficients.",
    strengths="functions start as small noise of the same size for every grid, so the base functions lead.",
    weaknesses="on a finer grid the noise is smaller but changes faster.",
    use="`coef` of pykan's layers (layout 'iok', noise 0.5), `spline_weight` of efficient-KAN's (noise 0.1).",
    source="Liu et al. 2024, arXiv:2404.19756; pykan 0.2.8, `KANLayer`; efficient-kan.",
    tensors="basis",
    shape=(9, 12, 8),
    layout="oik",
    invariants={
        "|spline| <= noise / (2G) on the grid": lambda w: bool(abs(w @ _values(8, 3).T).max() <= 0.05 * (1 + 1e-9)),
        "Var spline = noise^2 / (12 G^2) on the grid": lambda w: varies(w @ _values(8, 3).T, 0.01 / 12),
    },
)
def kan_spline(*, noise: float = 0.5, degree: int = 3) -> FixedScheme:
    """Args:
        noise: > 0.
        degree: Of the splines, >= 1.
    Raises: ArgumentError here: arguments; at the draw: too few coefficients. LayoutError at the draw: other axes.

    >>> w = kan_spline(noise=1.0, degree=1)((4, 5, 6), seed=0, layout="oik")  # of degree 1 they are the values
    >>> bool(abs(w).max() <= 0.1)
    True
    """
    number = real("kan_spline", "noise", noise, minimum=0, exclusive=True)
    count = integer("kan_spline", "degree", degree, minimum=1)
    text = spell("kan_spline", {"noise": number, "degree": count}, {"noise": 0.5, "degree": 3})
    return FixedScheme(text, SplineNoise(noise=number, degree=count), "iko")


# ---------------------------------------------------------------------- normal starts by the number of terms
@dataclass(frozen=True, repr=False)
class KanNormal(Scheme):
    """Normal coefficients of splines (out, in, coefficients), or factors of the base (out, in)."""

    rule: str
    of: str
    coefficients: int
    numbers: tuple[float, ...]

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        axes = ["i", "k", "o"] if self.of == "basis" else ["i", "o"]
        if sorted(layout.axes) != axes or not all(shape):
            allowed = "(out, in, coefficients) with entries, 'oik'" if self.of == "basis" else "(out, in) with entries"
            raise LayoutError(message(self.spelling, "layout", allowed, (layout.axes, shape)))
        outputs, inputs, *rest = layout.canonical_shape(shape)
        count = rest[0] if rest else self.coefficients
        if self.rule == "power":
            factor, grid, width = self.numbers
            return Normal(0.0, factor / ((count + 1) ** grid * inputs**width))
        gain, degree = self.numbers[0], int(self.numbers[1])
        if count <= degree:
            raise LayoutError(message(self.spelling, "shape", f"one of more than {degree} coefficients", shape))
        square, slope = _spline_squares(count, degree) if self.of == "basis" else _silu_squares()
        return Normal(0.0, gain * math.sqrt(2 / ((count + 1) * (inputs * square + outputs * slope))))


def _spline_squares(coefficients: int, degree: int) -> tuple[float, float]:
    """E B^2 and E B'^2 of a B-spline picked at random, for inputs uniform in (-1, 1), the grid's range."""
    from scipy.interpolate import BSpline

    grid = coefficients - degree
    nodes, weights = np.polynomial.legendre.leggauss(degree + 1)
    x = (np.arange(grid)[:, None] + (nodes + 1) / 2).ravel()
    curves = BSpline(np.arange(-degree, grid + degree + 1.0), np.eye(coefficients), degree)
    shares = np.tile(weights / 2, grid) / grid
    square, slope = (float(shares @ (curve(x) ** 2).mean(axis=1)) for curve in (curves, curves.derivative()))
    return square, slope * (grid / 2) ** 2  # a step of the grid is 2 / G wide


def _silu_squares() -> tuple[float, float]:
    """E R^2 and E R'^2 of the base function x sigmoid(x), for inputs uniform in (-1, 1)."""
    x, weights = np.polynomial.legendre.leggauss(40)
    gate = 1 / (1 + np.exp(-x))
    slope = gate * (1 + x * (1 - gate))
    return float(weights @ (x * gate) ** 2 / 2), float(weights @ slope**2 / 2)


PARTS = ("basis", "base")


@scheme(
    formula="KAN power law: W ~ N(0, (factor / ((G + k + 1)^grid_power n_in^width_power))^2), G + k coefficients.",
    shapes="splines (out, in, coefficients), 'oik'; factors of the base (out, in), which are told the coefficients.",
    strengths="two exponents that a small search finds; its best beat every other start in the study that proposed it.",
    weaknesses="they are to be found by trying: 1/2 and 1/2, as here, share the variance evenly among all terms.",
    use="`c_basis` and `c_res` of jaxKAN's layers ('power').",
    source="Rigas et al. 2025, arXiv:2509.03417, and jaxKAN, `SplineLayer._initialize_params`.",
    tensors="basis",
    shape=(12, 9, 8),
    layout="oik",
    example="kan_power(grid_power=0.25, width_power=1.75)",
    invariants={"Var W = 1 / (9^0.5 n_in^3.5)": lambda w: varies(w, 1 / (3 * w.shape[1] ** 3.5))},
)
def kan_power(
    *,
    of: str = "basis",
    factor: float = 1.0,
    grid_power: float = 0.5,
    width_power: float = 0.5,
    coefficients: int = 8,
) -> KanNormal:
    """Args:
        of: "basis": coefficients of splines. "base": factors of the base function.
        factor: > 0.
        grid_power: Exponent of the number of terms of one input, G + k + 1.
        width_power: Exponent of the number of inputs.
        coefficients: G + k, >= 1, for "base"; splines have them in their shape.
    Raises: ArgumentError here: arguments. LayoutError at the draw: other axes, or none of some.

    >>> math.isclose(kan_power(of="base", coefficients=8).law((5, 4)).std, 1 / 6)
    True
    """
    owner = "kan_power"
    choice(owner, "of", of, PARTS)
    numbers = (
        real(owner, "factor", factor, minimum=0, exclusive=True),
        *(real(owner, name, value) for name, value in (("grid_power", grid_power), ("width_power", width_power))),
    )
    count = integer(owner, "coefficients", coefficients, minimum=1)
    options = {
        "of": of,
        "factor": numbers[0],
        "grid_power": numbers[1],
        "width_power": numbers[2],
        "coefficients": count,
    }
    defaults = {"of": "basis", "factor": 1.0, "grid_power": 0.5, "width_power": 0.5, "coefficients": 8}
    return KanNormal(spell(owner, options, defaults), "power", of, count, numbers)


@scheme(
    formula=(
        "KAN Glorot: Var W = 2 gain^2 / ((G + k + 1)(n_in E B^2 + n_out E B'^2)), of splines B, or of the base "
        "x sigmoid(x), for inputs uniform on the grid (-1, 1)."
    ),
    shapes="splines (out, in, coefficients), 'oik'; factors of the base (out, in), which are told the coefficients.",
    strengths="keeps signals and gradients at once, and shares the variance evenly among all terms of an input.",
    weaknesses="supposes inputs spread evenly over the grid; later layers leave it unless the gain is right.",
    use="wide and deep KANs: `c_basis` and `c_res` of jaxKAN's layers ('glorot'), there by sampling, here exact.",
    source="Rigas et al. 2025, arXiv:2509.03417, and jaxKAN, `SplineLayer._initialize_params`.",
    tensors="basis",
    shape=(12, 9, 8),
    layout="oik",
    invariants={
        "Var W = (2/3) / (9 (n_in E B^2 + n_out E B'^2))": lambda w: varies(
            w, 2 / 27 / float(np.array(w.shape[1::-1]) @ _spline_squares(8, 3))
        ),
    },
)
def kan_glorot(
    *, of: str = "basis", gain: float = 0.5773502691896257, degree: int = 3, coefficients: int = 8
) -> KanNormal:
    """Args:
        of: "basis": coefficients of splines. "base": factors of the base function.
        gain: > 0, the standard deviation that outputs are to have: 1 / sqrt(3), that of the inputs.
        degree: k, of the splines, >= 1.
        coefficients: G + k, above the degree, for "base"; splines have them in their shape.
    Raises: ArgumentError here: arguments. LayoutError at the draw: other axes, too few coefficients.

    >>> fine, coarse = (kan_glorot().law((3, 3, size), layout="oik").std for size in (40, 8))
    >>> fine < coarse  # slopes grow with the grid
    True
    """
    owner = "kan_glorot"
    choice(owner, "of", of, PARTS)
    number = real(owner, "gain", gain, minimum=0, exclusive=True)
    order = integer(owner, "degree", degree, minimum=1)
    count = integer(owner, "coefficients", coefficients, minimum=order + 1 if of == "base" else 1)
    options = {"of": of, "gain": number, "degree": order, "coefficients": count}
    defaults = {"of": "basis", "gain": 0.5773502691896257, "degree": 3, "coefficients": 8}
    return KanNormal(spell(owner, options, defaults), "glorot", of, count, (number, order))


# ---------------------------------------------------------------------- pykan's mask
@dataclass(frozen=True)
class Nearest(Computed):
    """1 between neighbours, where both layers are spread evenly over (0, 1); see `kan_mask`."""

    _dense = False
    size: tuple[int, ...]
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        outputs, inputs = self.size
        if not outputs or not inputs:
            return np.zeros((stop - start, inputs))
        apart = np.abs(np.subtract.outer((2 * np.arange(outputs) + 1) * inputs, (2 * np.arange(inputs) + 1) * outputs))
        values = np.zeros(self.size)
        values[apart.argmin(axis=0), np.arange(inputs)] = self.gain
        values[np.arange(outputs), apart.argmin(axis=1)] = self.gain
        return values[start:stop]


@dataclass(frozen=True, repr=False)
class NearestScheme(Scheme):
    """One matrix."""

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        self._check_axes(layout, "io")
        return Nearest(layout.canonical_shape(shape))


@scheme(
    formula="KAN mask: 1 between each unit and its nearest on the other side, both sides spread evenly, else 0.",
    shapes="matrices.",
    strengths="as few connections as reach every unit: max(n_in, n_out) of them, local.",
    weaknesses="deterministic; what is 0 is never used. Ties go to the first, as exact integers decide.",
    use="`mask` of pykan's layers with `sparse_init`, which has the inputs first: layout 'io'.",
    source="pykan 0.2.8, `sparse_mask`.",
    tensors="basis",
    shape=(9, 6),
    invariants={
        "every row and column has a 1": lambda w: bool(w.max(axis=0).min() == w.max(axis=1).min() == 1),
        "max(n_in, n_out) of them": lambda w: bool(w.sum() == 9),
    },
)
def kan_mask() -> NearestScheme:
    """Raises: LayoutError at the draw: no matrix.

    >>> kan_mask()((3, 5), seed=0).T.tolist()[:3]
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    return NearestScheme("kan_mask()")


publish(globals())
