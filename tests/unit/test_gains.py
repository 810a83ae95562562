"""Gains of activations of one and of two arguments, of any framework, against 25-digit quadrature and closed forms."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun.cli import app
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.theory import ACTIVATIONS, GATES, identify, is_odd, odd_part

NAN = math.nan
# E phi, E phi^2, E phi'^2, the three gains, and the bias variance on the edge of chaos at q = 1; for gates the slopes
TABLE: dict[str, tuple[float, ...]] = {
    "linear": (0, 1, 1, 1, 1, 1, 0),
    "relu": (0.39894228, 0.5, 0.5, 1.41421356, 1.71285855, 1.41421356, 0),
    "leaky_relu(0.01)": (0.39495286, 0.50005, 0.50005, 1.41414286, 1.70483163, 1.41414286, 0),
    "leaky_relu(0.1)": (0.35904805, 0.505, 0.505, 1.40719509, 1.63063697, 1.40719509, 0),
    "leaky_relu(0.2)": (0.31915382, 0.52, 0.52, 1.38675049, 1.54646006, 1.38675049, 0),
    "prelu": (0.29920671, 0.53125, 0.53125, 1.37198868, 1.50460964, 1.37198868, 0),
    "rrelu": (0.30751801, 0.52625868, 0.52625868, 1.37847966, 1.52199534, 1.37847966, 0),
    "relu6": (0.39894228, 0.49999999808, 0.49999999901, 1.41421357, 1.71285855, 1.41421356, 1.85e-9),
    "elu": (0.16052057, 0.64494542, 0.66810200, 1.24519830, 1.27084342, 1.22342856, 0.03466025),
    "celu": (0.16052057, 0.64494542, 0.66810200, 1.24519830, 1.27084342, 1.22342856, 0.03466025),
    "celu(2)": (0.09817995, 0.74936249, 0.76157829, 1.15519161, 1.16269387, 1.14588945),
    "selu": (0, 1, 1.07157499, 1, 1, 0.96602578, 0.06679420),
    "gelu": (0.28209479, 0.42522148, 0.45585087, 1.53353044, 1.70092624, 1.48111441, 0.06719167),
    "gelu_tanh": (0.28203859, 0.42519371, 0.45581785, 1.53358052, 1.70091656, 1.48116806),
    "quick_gelu": (0.28233055, 0.42195281, 0.44954920, 1.53945876, 1.70935859, 1.49145923),
    "silu": (0.20662096, 0.35577552, 0.37948235, 1.67653247, 1.78718722, 1.62332026, 0.06247150),
    "mish": (0.24040389, 0.45234219, 0.47908376, 1.48684758, 1.59202538, 1.44475523, 0.05581814),
    "softplus": (0.80605918, 0.92124591, 0.29337904, 1.04186684, 1.91912598, 1.84622855, NAN),
    "logsigmoid": (-0.80605918, 0.92124591, 0.29337904, 1.04186684, 1.91912598, 1.84622855, NAN),
    "softsign": (0, 0.18301402, 0.22767134, 2.33753336, 2.33753336, 2.09578061, 0.19614818),
    "tanh": (0, 0.39429449, 0.46440290, 1.59253742, 1.59253742, 1.46741359, 0.15096463),
    "lecun_tanh": (0, 0.75043028, 0.80398911, 1.15436945, 1.15436945, 1.11525689, 0.06661637),
    "erf": (0, 0.46455905, 0.56941003, 1.46716695, 1.46716695, 1.32521835, 0.18413968),
    "hardtanh": (0, 0.51605855, 0.68268949, 1.39203614, 1.39203614, 1.21028706, 0.24408013),
    "tanhshrink": (0, 0.18288347, 0.25299188, 2.33836753, 2.33836753, 1.98813882),
    "sigmoid": (0.5, 0.29337904, 0.04483624, 1.84622855, 4.80131337, 4.72264609, NAN),
    "hardsigmoid": (0.5, 0.27763909, 0.02770278, 1.89784042, 6.01503449, 6.00811583, NAN),
    "hardswish": (0.16621670, 0.33156738, 0.35853152, 1.73665721, 1.81387147, 1.67007637, 0.07520717),
    "sin": (0, 0.43233236, 0.56766764, 1.52086662, 1.52086662, 1.32725060, 0.23840584),
    "cos": (0.60653066, 0.56766764, 0.43233236, 1.32725060, 2.23725291, 1.52086662, NAN),
    "gaussian": (0.57735027, 0.44721360, 0.35777088, 1.49534878, 2.96330102, 1.67185076, NAN),
    "squared_relu": (0.5, 1.5, 2, 0.81649658, 0.89442719, 0.70710678, 0.25),
    "abs": (0.79788456, 1, 1, 1, 1.65889674, 1, 0),
    "exp": (1.64872127, 7.38905610, 7.38905610, 0.36787944, 0.46270646, 0.36787944, 0),
    "glu": (0, 0.29337904, 0.33821528, 1.84622855, 1.84622855),
    "reglu": (0, 0.5, 1, 1.41421356, 1.41421356),
    "geglu": (0, 0.42522148, 0.88107235, 1.53353044, 1.53353044),
    "swiglu": (0, 0.35577552, 0.73525787, 1.67653247, 1.67653247),
    "bilinear": (0, 1, 2, 1, 1),
}


@pytest.mark.parametrize("name", TABLE)
def test_all_rows_to_eight_digits(name: str) -> None:
    found, expected = wb.moments(name), TABLE[name]
    assert found[: len(expected)] == pytest.approx(expected, rel=2e-8, abs=6e-9, nan_ok=True)
    assert found.error < 1e-9
    assert sum(found.slopes) == found.slope
    assert set(TABLE) >= {*ACTIVATIONS, *GATES} - {"leaky_relu"}


def test_a_gaussian_of_half_the_exponent() -> None:
    expected = (0.70710678, 0.57735027, 0.19245009, 1.31607401, 3.59558107, 2.27950706, NAN)
    assert wb.moments(lambda x: np.exp(-x * x / 2))[:7] == pytest.approx(expected, rel=2e-8, nan_ok=True)


def kinked(k: float) -> tuple[float, float, float]:
    tail, density = math.erfc(k / math.sqrt(2)) / 2, math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
    return density - k * tail, (1 + k * k) * tail - k * density, tail


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("relu", (1 / math.sqrt(2 * math.pi), 0.5, 0.5)),
        ("leaky_relu(0.3)", (0.7 / math.sqrt(2 * math.pi), 1.09 / 2, 1.09 / 2)),
        ("abs", (math.sqrt(2 / math.pi), 1, 1)),
        ("squared_relu", (0.5, 1.5, 2)),
        ("sin", (0, (1 - math.exp(-2)) / 2, (1 + math.exp(-2)) / 2)),
        ("cos", (math.exp(-0.5), (1 + math.exp(-2)) / 2, (1 - math.exp(-2)) / 2)),
        ("exp", (math.exp(0.5), math.exp(2), math.exp(2))),
        ("gaussian", (3**-0.5, 5**-0.5, 4 * 5**-1.5)),
        ("erf", (0, 2 / math.pi * math.asin(2 / 3), 4 / math.pi / math.sqrt(5))),
        ("gelu", (0.5 / math.sqrt(math.pi), 1 / 3 + 3**-0.5 / (2 * math.pi), None)),
        ("hardtanh", (0, 1 - 2 * math.exp(-0.5) / math.sqrt(2 * math.pi), math.erf(0.5**0.5))),
        (lambda x: np.maximum(x - 0.3217, 0), kinked(0.3217)),
        (lambda x: torch.relu(x + 1.234), kinked(-1.234)),
        (lambda x: jax.nn.relu(x - 2.5), kinked(2.5)),
        (lambda x: np.sin(30 * x), (0, 0.5, 450)),
        (lambda x: np.floor(x), (-0.5, None, 0)),
    ],
)  # fmt: skip
def test_closed_forms_to_ten_digits(function: Any, expected: tuple[float | None, ...]) -> None:
    found = wb.moments(function)
    for value, exact in zip(found, expected, strict=False):
        assert exact is None or value == pytest.approx(exact, rel=1e-10, abs=1e-10)
        assert exact is None or value == pytest.approx(exact, rel=max(10 * found.error, 1e-13), abs=1e-13)


def torch_function(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x.expm1())


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (torch.nn.functional.gelu, "gelu"),
        (torch.nn.SiLU(), "silu"),
        (torch_function, lambda x: np.where(x > 0, x, 0.2 * np.expm1(x))),
        (lambda u, v: torch.sigmoid(u) * v, "glu"),
        (torch.mul, "bilinear"),
        (jax.nn.gelu, "gelu_tanh"),
        (jax.jit(jax.nn.mish), "mish"),
        (lambda gate, x: jax.nn.silu(x) * gate, "swiglu"),
        (np.multiply, "bilinear"),
    ],
)
def test_functions_of_any_framework(given: Any, same: Any) -> None:
    found, expected = wb.moments(given), wb.moments(same)
    assert found[:6] == pytest.approx(expected[:6], rel=1e-11, abs=1e-14)
    assert not jax.config.jax_enable_x64  # nothing is left switched on


def test_parameters_in_single_precision_are_told_by_the_error() -> None:
    found = wb.moments(torch.nn.PReLU())  # its slope of 0.25 is a float32, and so are its values
    assert abs(found.second - 0.53125) < 1e-7
    assert 1e-9 < abs(found.slope - 0.53125) < found.error < 1e-3


def test_two_arguments() -> None:
    """Closed forms: a maximum's kink runs along the diagonal, that of a rectified sum across it."""
    found = wb.moments(np.maximum)
    assert found.mean == pytest.approx(math.pi**-0.5, rel=1e-10)
    assert (found.second, *found.slopes) == pytest.approx((1, 0.5, 0.5), rel=1e-10)
    assert wb.moments(lambda u, v: np.maximum(u + v, 0)).second == pytest.approx(1, rel=1e-10)
    assert wb.moments(np.add).slopes == pytest.approx((1, 1), rel=1e-10)
    assert wb.moments(lambda u, v: u * np.maximum(v - 0.3217, 0)).second == pytest.approx(kinked(0.3217)[1], rel=1e-10)
    product = wb.moments(lambda u, v: np.tanh(u) * ACTIVATIONS["sigmoid"](v))
    one, two = wb.moments("tanh"), wb.moments("sigmoid")
    assert product.second == pytest.approx(one.second * two.second, rel=1e-10)
    assert product.slopes == pytest.approx((one.slope * two.second, one.second * two.slope), rel=1e-10)
    assert wb.moments("swiglu", q=4.0).second == pytest.approx(4 * wb.moments("silu", q=4.0).second, rel=1e-12)
    assert wb.gain(lambda u, v: 3 * u * v) == pytest.approx(1 / 3, rel=1e-12)


@pytest.mark.parametrize(
    "function",
    [np.tan, lambda x: 1 / x, lambda x: np.exp(x * x / 3), lambda x: np.exp(x * x), np.log, lambda u, v: u / v],
)
def test_averages_that_do_not_exist_are_told(function: Callable[..., Any]) -> None:
    with pytest.raises(ArgumentError, match="must (have averages|be finite within|be smooth)"):
        wb.moments(function)


def test_heavy_tails_and_steep_places() -> None:
    heavy = wb.moments(lambda x: np.exp(x * x / 4.5))  # E phi^2 = 3, of which 1e-5 lies beyond 14 deviations
    assert 1e-7 < abs(heavy.second / 3 - 1) < heavy.error < 1e-2
    root = wb.moments(lambda x: np.sqrt(np.abs(x)))  # E phi'^2 = E 1 / 4|z|
    assert root.second == pytest.approx(math.sqrt(2 / math.pi), rel=1e-10)
    assert root.slope == math.inf
    assert root.gain_backward == 0
    assert math.isnan(root.edge_bias_variance)


# std of weights and variance of pre-activations on the edge of chaos with bias std 0.2
EDGES = {
    "tanh": (1.304146, 0.512), "elu": (1.229251, 1.107), "selu": (0.937476, 0.717), "gelu": (1.547009, 0.576),
    "silu": (1.679532, 0.689), "mish": (1.463439, 0.746), "softsign": (1.729629, 0.358), "hardtanh": (1.068609, 0.423),
    "sin": (1.212333, 0.510), "erf": (1.152795, 0.466), "lecun_tanh": (1.078292, 0.792), "hardswish": (1.75132, 0.687),
}  # fmt: skip
EDGES_WITHOUT_BIAS = {
    "tanh": (1, 0), "hardtanh": (1, 0), "sin": (1, 0), "softsign": (1, 0), "erf": (0.886227, 0),
    "lecun_tanh": (0.874177, 0), "gelu": (2, 0), "silu": (2, 0), "hardswish": (2, 0), "mish": (5 / 3, 0),
    "relu": (math.sqrt(2), 1), "linear": (1, 1), "abs": (1, 1), "cos": (1.48313, 1.19968),
    "gaussian": (1.70711, 1.20711),
}  # fmt: skip


def test_edges_of_chaos() -> None:
    for name, (std, q) in EDGES.items():
        assert wb.edge_of_chaos(name, bias_std=0.2) == pytest.approx((std, q), abs=6e-4)
        assert wb.edge_of_chaos(name, bias_std=0.2).weight_std == pytest.approx(std, abs=1e-6)
    for name, (std, q) in EDGES_WITHOUT_BIAS.items():
        assert wb.edge_of_chaos(name) == pytest.approx((std, q), abs=1e-5)
    half = wb.edge_of_chaos(lambda x: np.exp(-x * x / 2))
    assert half == pytest.approx((1 + math.sqrt(2), 1 + math.sqrt(2)), rel=1e-10)
    assert wb.edge_of_chaos("sigmoid").weight_std == pytest.approx(10.149, abs=6e-4)
    assert wb.edge_of_chaos("hardsigmoid").weight_std == pytest.approx(10.329, abs=6e-4)
    assert wb.edge_of_chaos(torch.tanh, bias_std=0.2) == pytest.approx(wb.edge_of_chaos("tanh", bias_std=0.2))
    for name in ("softplus", "logsigmoid", "squared_relu"):
        with pytest.raises(ArgumentError, match="one with an edge of chaos"):
            wb.edge_of_chaos(name)


def test_the_edge_of_gates() -> None:
    """Of u v: q = w^2 q^2 + b^2 and w^2 2 q = 1, so q = 2 b^2."""
    for gate in ("bilinear", lambda u, v: u * v * np.ones_like(u)):
        assert wb.edge_of_chaos(gate, bias_std=0.3) == pytest.approx((1 / 0.6, 0.18), rel=1e-9)
    other = wb.edge_of_chaos(lambda u, v: np.tanh(u) + v * 0, bias_std=0.2)
    assert other == pytest.approx(wb.edge_of_chaos("tanh", bias_std=0.2), rel=1e-7)


def test_functions_may_write_into_their_arguments() -> None:
    """As torch's with an underscore and inplace=True do, and NumPy's with out=: the nodes stay what they are."""
    into: list[tuple[Any, Any]] = [
        (torch.nn.SiLU(inplace=True), "silu"),
        (torch.tanh_, "tanh"),
        (lambda x: x.mul_(torch.sigmoid(x.clone())), "silu"),
        (lambda x: np.tanh(x, out=x), "tanh"),
        (lambda u, v: u.mul_(torch.sigmoid(v)), "glu"),
        (lambda u, v: np.maximum(u, v, out=v), np.maximum),
    ]
    for given, same in into:
        assert wb.moments(given)[:4] == pytest.approx(wb.moments(same)[:4], rel=1e-11, abs=1e-15)
        assert wb.operating_point(given, 3) == pytest.approx(wb.operating_point(same, 3), rel=1e-11)
    for given, same in into[:4]:
        edge = wb.edge_of_chaos(given, bias_std=0.1)
        assert edge == pytest.approx(wb.edge_of_chaos(same, bias_std=0.1), rel=1e-9)
    assert is_odd(lambda x: np.tanh(x, out=x))
    assert not is_odd(lambda x: np.abs(x, out=x))
    assert identify(lambda x: np.tanh(x, out=x)) == identify(np.tanh) == ("tanh", 0.0)


def test_operating_points() -> None:
    for given in (np.tanh, torch.tanh, "tanh"):
        found = wb.operating_point(given, 20)
        assert found is not None
        moments = wb.moments("tanh", q=found.q)
        assert found.second == pytest.approx(moments.second, rel=1e-11)
        assert found.growth == pytest.approx(moments.slope / moments.second, rel=1e-11)
        larger = wb.moments("tanh", q=found.q * 10 ** (1 / 3))
        assert found.growth**20 <= 3 < (larger.slope / larger.second) ** 20
    assert wb.operating_point("linear", 1000).q == 1  # type: ignore[union-attr]
    assert wb.operating_point(odd_part(ACTIVATIONS["relu"]), 1000).growth == pytest.approx(1)  # type: ignore[union-attr]
    assert wb.operating_point("bilinear", 1).growth == pytest.approx(2)  # type: ignore[union-attr]
    assert wb.operating_point("bilinear", 2) is None  # a product of two doubles the gradient at any variance
    with pytest.raises(ArgumentTypeError):
        wb.operating_point(3, 2)  # type: ignore[arg-type]
    bent = wb.moments("softplus", q=16.0)  # its mean is large: E psi^2 and not its variance is what is held constant
    assert bent.slope < bent.second
    assert wb.operating_point("softplus", 10**9).growth == 1  # type: ignore[union-attr]
    assert wb.operating_point("tanh", 10**9).growth - 1 < 2e-9  # type: ignore[union-attr]
    for layers, error in (
        (0, ArgumentError),
        (-3, ArgumentError),
        *((bad, ArgumentTypeError) for bad in (1.5, True, "5")),
    ):
        with pytest.raises(error, match="layers"):
            wb.operating_point("tanh", layers)  # type: ignore[arg-type]


MIXING = [
    torch.nn.Softmax(-1), torch.nn.LayerNorm(4, elementwise_affine=False), jax.nn.softmax, np.sort, np.cumsum,
    lambda x: x[::-1], lambda x: x - x.mean(), lambda x, y: x * torch.softmax(y, -1), lambda x: x / np.abs(x).max(),
]  # fmt: skip


@pytest.mark.parametrize("function", MIXING)
def test_functions_that_mix_their_inputs_have_no_gain(function: Any) -> None:
    for ask in (wb.gain, wb.moments):
        with pytest.raises(ArgumentTypeError, match="must be elementwise"):
            ask(function)


def test_jumps_have_no_slope() -> None:
    found = wb.moments(np.round)
    assert (found.slope, found.gain_backward) == (0, math.inf)
    assert wb.moments(lambda x: x + np.round(x)).slope == pytest.approx(1)
    for name, told in (("numpy:round", True), ("numpy:tanh", False)):
        assert ("no slope" in CliRunner().invoke(app, ["gain", name]).stdout) == told


@pytest.mark.parametrize("edge", [0.0, 1.0, -2.75])
def test_kinks_and_jumps_beside_the_edges_of_panels_are_seen(edge: float) -> None:
    for at in edge + np.array([-0.0013, -3e-4, -1e-6, 2e-5, 1e-3]):
        tail, density = 0.5 * math.erfc(at / 2**0.5), math.exp(-at * at / 2) / (2 * math.pi) ** 0.5
        assert wb.moments(lambda x, at=at: (x > at) * 1.0).mean == pytest.approx(tail, abs=1e-9)
        bent = wb.moments(lambda x, at=at: np.maximum(x - at, 0))
        assert bent.second == pytest.approx((1 + at * at) * tail - at * density, abs=1e-10)
        assert bent.slope == pytest.approx(tail, abs=1e-9)
        gate = wb.moments(lambda a, b, at=at: np.where(a > at, b, 0.0))
        assert gate.second == pytest.approx(tail, abs=1e-9)


@pytest.mark.parametrize(
    "function", [np.sign, lambda x: x + np.sign(x), lambda x: np.sign(x) * np.sqrt(np.abs(x)), np.sqrt]
)
def test_a_function_without_a_slope_at_zero_has_no_edge_there(function: Callable[[Any], Any]) -> None:
    with pytest.raises(ArgumentError, match="one with an edge of chaos"):
        wb.edge_of_chaos(function)


def share(low: float, high: float) -> float:
    """P(low < z < high)"""
    if low < 0:
        return (math.erf(high / 2**0.5) - math.erf(low / 2**0.5)) / 2
    return (math.erfc(low / 2**0.5) - math.erfc(high / 2**0.5)) / 2


@pytest.mark.parametrize("at", [-4.1303, -0.5031, 0.0, 0.2407, 1.234, 5.3])
@pytest.mark.parametrize("width", [0.007, 0.00196])
def test_what_is_as_wide_as_a_512th_is_seen(at: float, width: float) -> None:
    """Windows, alone and on a smooth function, and hats: all are missed by nodes that stand 1/40 from each other."""
    window = wb.moments(lambda x: (x > at) & (x < at + width))
    assert window[:3] == pytest.approx((share(at, at + width),) * 2 + (0,), rel=1e-10)
    on, plain = wb.moments(lambda x: np.cos(x) + 5 * ((x > at) & (x < at + width))), wb.moments("cos")
    assert on.mean - plain.mean == pytest.approx(5 * window.mean, rel=1e-9, abs=1e-13)
    assert on.slope == pytest.approx(plain.slope, rel=1e-9)
    hat = wb.moments(lambda x: np.maximum(1 - np.abs(x - at) / width, 0))
    assert hat.slope == pytest.approx(share(at - width, at + width) / width**2, rel=1e-9)


@pytest.mark.parametrize("exponent", [-12, -8, -3, 0, 2, 5, 6, 8, 10, 12])
def test_variances_of_any_size(exponent: int) -> None:
    q = 10.0**exponent
    clipped = q * math.erf((2 * q) ** -0.5)  # of hardtanh
    beyond = math.erfc((2 * q) ** -0.5) - 2 * math.sqrt(q / (2 * math.pi)) * math.exp(-0.5 / q)
    for name, second, slope in (
        ("relu", q / 2, q / 2),
        ("erf", 2 / math.pi * math.atan2(2 * q, math.sqrt(1 + 4 * q)), 4 * q / math.pi / math.sqrt(1 + 4 * q)),
        ("hardtanh", clipped + beyond, clipped),
        ("gaussian", (1 + 4 * q) ** -0.5, 4 * q * q * (1 + 4 * q) ** -1.5),
        (lambda x: np.tanh(1e3 * x), None, None),
    ):
        found = wb.moments(name, q=q)
        tolerance = max(10 * found.error, 1e-10)
        blur = 1e-15 * math.sqrt(q)  # of what is expected of hardtanh, a difference of terms of size sqrt(q)
        assert second is None or found.second == pytest.approx(second, rel=tolerance, abs=blur)
        assert slope is None or found.slope == pytest.approx(slope, rel=tolerance) or found.slope == math.inf
        assert found.slope > 0
        assert found.error < 0.05  # in 1 - 1e-12 z^2 few digits of the slope are left


def test_what_lies_beyond_the_reach_is_told() -> None:
    """E exp(2 x^2 / p) = (1 - 4 / p)^-1/2: ever more of it in the tails."""
    for power in (6.0, 5.0, 4.5):
        found = wb.moments(lambda x, power=power: np.exp(x * x / power))
        assert abs(found.second * (1 - 4 / power) ** 0.5 - 1) < found.error
    for power in (4.1, 4.001, 4.0):
        with pytest.raises(ArgumentError, match="lies in tails"):
            wb.moments(lambda x, power=power: np.exp(x * x / power))


def remembering() -> Callable[[Any], Any]:
    calls: list[int] = []

    def function(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    return function


CHANCE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: x + 1j * x, "real numbers"),
        (lambda a, b: a + 1j * b, "real numbers"),
        (lambda x: torch.complex(x, x), "real numbers"),
        (lambda x: np.emath.sqrt(x), "real numbers"),
        (lambda x: x + CHANCE.normal(size=x.shape), "same each time"),
        (lambda a, b: a * (CHANCE.random(b.shape) < 0.9), "same each time"),
        (torch.nn.Dropout(0.05), "same each time"),
        (torch.nn.RReLU(), "same each time"),
        (remembering(), "same each time"),
    ],
)
def test_complex_and_random_functions_are_refused(function: Callable[..., Any], told: str) -> None:
    for ask in (wb.moments, wb.edge_of_chaos, lambda given: wb.operating_point(given, 5)):
        with pytest.raises(ArgumentTypeError, match=told):
            ask(function)
