"""Maps of signals against closed forms and published tables."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wellbegun as wb
from wellbegun.errors import ArgumentError
from wellbegun.theory import ACTIVATIONS, Signal, Weight, correlation_map, fixed_point
from wellbegun.theory.propagation import affine, normalized, plus, plus_bias, series, through_function, through_weight

C = np.concatenate([np.linspace(-1, 1, 41), [0.99, 0.999, 0.9999, -0.999]])


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def test_relu_is_the_arc_cosine_kernel() -> None:
    angle = np.arccos(C)
    expected = (np.sin(angle) + (np.pi - angle) * C) / np.pi  # Cho, Saul 2009
    assert np.abs(correlation_map("relu")(C) - expected).max() < 2e-6
    inner = np.abs(C) < 0.98
    assert np.abs(correlation_map("relu", q=7)(C[inner]) - expected[inner]).max() < 1e-9
    assert np.abs(correlation_map("relu")(C) - C).max() > 0.1  # the control


def test_erf_is_the_arc_sine_kernel() -> None:
    for q in (0.1, 1.0, 4.0):
        expected = np.arcsin(2 * q * C / (1 + 2 * q)) / np.arcsin(2 * q / (1 + 2 * q))  # Williams 1997
        assert np.abs(correlation_map("erf", q=q)(C) - expected).max() < 1e-10


def test_identity_and_odd_functions() -> None:
    assert np.allclose(correlation_map("linear", q=3)(C), C, atol=1e-12)
    for name in ("tanh", "sin", "erf", "softsign"):
        bent = through_function(Signal(0.7, 0.0, 0.3, normal=True), ACTIVATIONS[name])
        assert abs(bent.signal.mean) < 1e-12
        assert np.allclose(correlation_map(name)(-C), -correlation_map(name)(C), atol=1e-10)


def test_two_dimensional_averages_of_a_smooth_function_with_a_mean() -> None:
    x, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    c, m, s = 0.6, 0.4, 1.3
    first, second = np.meshgrid(x, x, indexing="ij")
    y = c * first + math.sqrt(1 - c * c) * second
    expected = float(w @ (np.tanh(m + s * first) * np.tanh(m + s * y)) @ w)
    assert float(series(np.tanh, m, s)(c)) == pytest.approx(expected, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["relu", "tanh", "gelu", "silu", "abs", "elu", "sigmoid", "cos", "hardtanh"]),
    q=st.floats(0.05, 5),
    c=st.lists(st.floats(-1, 1), min_size=2, max_size=6),
)
def test_correlation_maps_stay_within_bounds_and_rise(name: str, q: float, c: list[float]) -> None:
    found = correlation_map(name, q=q)
    values = found(np.sort(c))
    assert np.all(np.abs(values) <= 1 + 1e-9)
    assert float(found(1.0)) == pytest.approx(1, abs=1e-9)
    rising = found(np.sort(np.abs(c)))  # for c >= 0 every map rises; even functions fall below
    assert np.all(np.diff(rising) >= -1e-12)


def test_mirrored_relus_are_linear() -> None:
    given_signal = Signal(1.0, 0.0, 0.2)
    mirrored = through_weight(given_signal, Weight(64, 1 / 64, outputs_mirrored=True))
    bent = through_function(mirrored, relu)
    assert bent.signal.twin == pytest.approx(0, abs=1e-12)  # relu(a) relu(-a)
    back = through_weight(bent.signal, Weight(128, 1 / 64, inputs_mirrored=True))
    assert back.second == pytest.approx(1, abs=1e-9)
    assert back.overlap == pytest.approx(0.2, abs=1e-6)
    apart = through_weight(bent.signal, Weight(128, 1 / 64))
    assert apart.overlap is not None
    assert apart.overlap / apart.second > 0.35  # independent units see the kernel
    with_offset = through_function(plus_bias(mirrored, 1.0, 0.0), ACTIVATIONS["squared_relu"])
    assert with_offset.signal.twin is not None


def test_gaussian_draws_agree() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 400_000))
    c, m, s = 0.5, 0.3, 1.2
    x, y = m + s * z[0], m + s * (c * z[0] + math.sqrt(1 - c * c) * z[1])
    bent = through_function(Signal(s * s + m * m, m, c * s * s + m * m, normal=True), relu).signal
    for found, drawn in ((bent.second, relu(x) ** 2), (bent.mean, relu(x)), (bent.overlap, relu(x) * relu(y))):
        assert found is not None
        assert abs(found - drawn.mean()) < 5 * drawn.std() / math.sqrt(drawn.size) + 2e-4 * drawn.mean()


def test_unequal_samples_are_averaged() -> None:
    one = through_function(Signal(1.0, normal=True), np.tanh).signal.second
    mixed = through_function(Signal(1.0, normal=True, spread=0.5), np.tanh).signal.second
    expected = (wb.moments("tanh", q=0.5).second + wb.moments("tanh", q=1.5).second) / 2
    assert mixed == pytest.approx(expected, rel=1e-9)
    assert mixed < one - 1e-3


def test_sums_norms_and_biases() -> None:
    x = Signal(5.0, 1.0, 2.0)
    assert normalized(x, centred=True)[:3] == pytest.approx((1, 0, 0.25))
    assert normalized(x, centred=False)[:3] == pytest.approx((1, 5**-0.5, 0.4))
    assert plus(x, x, -1)[:3] == pytest.approx((8, 0, 2))
    assert affine(x, -2, 3)[:3] == pytest.approx((17, 1, 5))
    assert plus_bias(x, 1.0, 0.5)[:3] == pytest.approx((8.5, 2, 5.5))


# (sigma_w, q) at bias std 0.2: made outside this project
EDGE = {
    "tanh": (1.304146, 0.512),
    "elu": (1.229251, 1.107),
    "selu": (0.937476, 0.717),
    "gelu": (1.547009, 0.576),
    "silu": (1.679532, 0.689),
    "mish": (1.463439, 0.746),
    "softsign": (1.729629, 0.358),
    "hardtanh": (1.068609, 0.423),
    "sin": (1.212333, 0.510),
    "erf": (1.152795, 0.466),
    "lecun_tanh": (1.078292, 0.792),
    "hardswish": (1.751320, 0.687),
}


@pytest.mark.parametrize("name", EDGE)
def test_edge_of_chaos(name: str) -> None:
    found = wb.edge_of_chaos(name, bias_std=0.2)
    assert found.weight_std == pytest.approx(EDGE[name][0], abs=1e-5)
    assert found.q == pytest.approx(EDGE[name][1], abs=6e-4)


def test_edges_without_bias_and_where_there_is_none() -> None:
    assert wb.edge_of_chaos("relu").weight_std == pytest.approx(math.sqrt(2), rel=1e-9)
    assert wb.edge_of_chaos("tanh") == pytest.approx((1, 0), abs=1e-6)
    for name in ("relu", "leaky_relu", "abs", "softplus"):
        with pytest.raises(ArgumentError, match="edge of chaos"):
            wb.edge_of_chaos(name, bias_std=0.2)
    with pytest.raises(ArgumentError, match="bias_std"):
        wb.edge_of_chaos("tanh", bias_std=-1)


def test_fixed_points_are_ordered_chaotic_and_between() -> None:
    ordered, chaotic = fixed_point("tanh", 1.0, 0.3), fixed_point("tanh", 2.5, 0.3)
    assert ordered.chi < 1
    assert ordered.c == pytest.approx(1, abs=1e-6)
    assert chaotic.chi > 1
    assert chaotic.c < 0.5
    edge = fixed_point("tanh", EDGE["tanh"][0], 0.2)
    assert edge.depth_scale > 100 > max(ordered.depth_scale, chaotic.depth_scale)
