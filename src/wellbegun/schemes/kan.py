"""Kolmogorov-Arnold networks: the factors of their splines and bases as three libraries start them."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import integer, message, real
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built, Constant, Law, Moments, Uniform
from wellbegun.laws.base import set_field, shape_needed
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme, varies
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


@dataclass(frozen=True, repr=False)
class SplineScheme(Scheme):
    """Coefficients for each pair of an output and an input."""

    noise: float
    degree: int

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        if sorted(layout.axes) != ["i", "k", "o"]:
            allowed = "an output, an input and one window axis for the coefficients: 'oik', or 'iok' in pykan"
            raise LayoutError(message(self.spelling, "layout", allowed, layout.axes))
        law = SplineNoise(noise=self.noise, degree=self.degree)
        law.fits(layout.canonical_shape(shape))
        return law


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
def kan_spline(*, noise: float = 0.5, degree: int = 3) -> SplineScheme:
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
    return SplineScheme(text, number, count)


publish(globals())
