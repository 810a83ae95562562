"""Averages of functions of two arguments against nested quadrature between the kinks, given by hand, with analytic
derivatives (made outside this project, to 14 digits)."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from scipy.stats import ncx2

import wellbegun as wb
from wellbegun.errors import ArgumentError
from wellbegun.theory import ACTIVATIONS
from wellbegun.theory.pairs import NEAR, averages, sampled


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


# E phi, E phi^2, E of the squared derivatives
CASES: list[tuple[Callable[..., Any], tuple[float, ...]]] = [
    (np.maximum, (0.5641895835478, 1, 0.5, 0.5)),
    (np.minimum, (-0.5641895835478, 1, 0.5, 0.5)),
    (np.hypot, (1.253314137315, 2, 0.5, 0.5)),
    (lambda a, b: np.abs(a) - np.abs(b), (0, 0.7267604552648, 1, 1)),
    (lambda a, b: np.maximum(a, 2 * b), (0.8920620580764, 2.5, 0.5, 2)),
    (lambda a, b: relu(a + 0.3 * b - 0.2), (0.3241270311149, 0.3973796975891, 0.4240413796441, 0.03816372416797)),
    (lambda a, b: np.tanh(a) * sigmoid(b), (0, 0.1156777374371, 0.13624607577, 0.01767868293453)),
    (lambda a, b: (a + b) * sigmoid(a + b), (0.3631618460316, 0.7991531519628, 0.4268727248983, 0.4268727248983)),
    (lambda a, b: a / (1 + np.exp(b)) + a * a, (1, 3.293379035858, 4.293379035858, 0.04483624135019)),
    (lambda a, b: a * np.exp(-b * b), (0, 0.4472135955, 0.4472135955, 0.3577708764)),
    (lambda a, b: a * np.exp(-((a - b) ** 2)), (0, 0.1851851851852, 0.3827160493827, 0.1975308641975)),
    (lambda a, b: np.exp(a) * b, (0, 7.389056098931, 7.389056098931, 7.389056098931)),
    (lambda a, b: np.exp(a) * (1 + b * b), (3.2974425414, 44.33433659358, 44.33433659358, 29.55622439572)),
    (lambda a, b: np.where(a > b, np.tanh(a), b), (0.4630231703609, 0.6971472451989, 0.2322014512241, 0.5)),
    (lambda a, b: (a > b) * a, (0.2820947917739, 0.5, 0.5, 0)),
    (lambda a, b: np.sign(a) + b, (0, 2, 0, 1)),
    (lambda a, b: relu(np.maximum(a - 0.5, b)), (0.5337964843349, 0.6657510770615, 0.2197317060589, 0.4345370633041)),
    (lambda a, b: ACTIVATIONS["gelu"](a) * np.tanh(b), (0, 0.1676624877763, 0.1797394847686, 0.197474090689)),
    (lambda a, b: relu(a - 0.3) * relu(b + 0.7), (0.224847549513, 0.4071928369888, 0.5150752376974, 0.2289726147403)),
    (lambda a, b: np.clip(a + b, -1, 1), (0, 0.6417172988776, 0.520499877813, 0.520499877813)),
    (lambda a, b: np.maximum(np.abs(a), np.abs(b)), (1.128379167096, 1.636619772368, 0.5, 0.5)),
    (lambda a, b: relu(a) + relu(a + b - 0.4) + np.abs(b - 0.25),
     (1.608239588243, 4.357247786283, 1.514898299979, 1.709204194543)),
    (lambda a, b: sigmoid(5 * a) * b + a, (0, 1.424855145572, 1.324250234658, 0.424855145572)),
    (lambda a, b: np.sin(7 * a + 3 * b), (0, 0.5, 24.5, 4.5)),
    (lambda a, b: np.round(a) + np.round(b), (0, 2.166666644722, 0, 0)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "expected"), CASES)
def test_every_kind_to_nine_digits_with_an_error_that_is_not_too_small(
    function: Callable[..., Any], expected: tuple[float, ...]
) -> None:
    found = averages(function)
    mean, second, *slopes = expected
    whole = sum(slopes) or 1.0
    assert abs(found.second / second - 1) < max(3 * found.errors[0] / second, 2e-10)
    for slope, right, error in zip(found.slopes, slopes, found.errors[1:], strict=True):
        assert abs(slope - right) < max(5 * error, 1e-12 * whole)
        assert error < 3e-9 * whole
    assert abs(found.mean - mean) < 1e-9 * max(second, 1)


def test_few_calls_and_few_values() -> None:
    """Each call has its price in a framework: one of the function on the probes, one for each level of halves."""
    for function, _ in CASES:
        sizes: list[int] = []

        def counted(a: Any, b: Any, function: Any = function, sizes: list[int] = sizes) -> Any:
            sizes.append(a.size)
            return function(a, b)

        averages(counted)
        assert len(sizes) <= 20
        assert sum(sizes) < 450_000


def test_kinks_along_curves_and_cusps_are_told_by_the_error() -> None:
    """Where no line ends the cells: E of (|z| - 1)+ squared and of its slope over the plane, in closed form."""
    found = averages(lambda a, b: np.maximum(a * a + b * b - 1, 0))
    assert found.second == pytest.approx(8 * np.exp(-0.5), rel=1e-9)
    assert sum(found.slopes) == pytest.approx(12 * np.exp(-0.5), rel=1e-4)
    assert abs(sum(found.slopes) - 12 * np.exp(-0.5)) < sum(found.errors[1:])
    cusp = wb.moments(lambda a, b: np.sqrt(np.abs(a - b)))
    assert cusp.second == pytest.approx(2 / np.sqrt(np.pi), rel=1e-7)
    assert cusp.slope == np.inf


def test_tails_are_told() -> None:
    """E exp(2 (a^2 + b^2) / 4.5) = 9, of which a part lies beyond 14 deviations; of a steeper one there is none."""
    heavy = wb.moments(lambda a, b: np.exp((a * a + b * b) / 4.5))
    assert 1e-7 < abs(heavy.second / 9 - 1) < heavy.error < 1e-2
    for function in (
        lambda a, b: np.exp(a * b), lambda a, b: 1 / (a - b), lambda a, b: np.tan(a + b), lambda a, b: np.log(a + b),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match="must (have averages|be finite)"):
            wb.moments(function)


def test_single_precision_ends_where_halves_do_not_help() -> None:
    weight, sizes = torch.tensor(0.75), []

    def function(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        sizes.append(a.numel())
        return torch.tanh(a.float() * weight) * torch.sigmoid(b.float()) + a.float()

    found = wb.moments(function)
    exact = averages(lambda a, b: np.tanh(0.75 * a) * sigmoid(b) + a)
    assert found.second == pytest.approx(exact.second, rel=1e-6)
    assert 1e-12 < abs(found.slope - sum(exact.slopes)) < 10 * found.error * found.slope < 1e-3
    assert sum(sizes) < 180_000


def test_kinks_on_any_line_are_found() -> None:
    """Half planes in any direction: E relu(x - c)^2 with x of unit variance depends on c alone."""
    for angle, offset in itertools.product((0.1, 0.7, 1.2, 2.0, 2.9), (-0.41, 0.0, 0.77)):
        c, s = np.cos(angle), np.sin(angle)
        found = averages(lambda a, b, c=c, s=s, offset=offset: relu(c * a + s * b - offset))
        one = wb.moments(lambda x, offset=offset: relu(x - offset))
        assert found.second == pytest.approx(one.second, rel=1e-9)
        assert sum(found.slopes) == pytest.approx(one.slope, rel=1e-8)


@pytest.mark.parametrize("name", ["tanh", "hardtanh", "sin", "softsign", "erf"])
def test_edges_and_operating_points_of_sums_are_those_of_their_terms(name: str) -> None:
    """Of phi(a) + phi(b) with odd phi both averages are twice as large. No factor is found there, so that few exact
    averages have to do."""
    phi = ACTIVATIONS[name]
    edge = wb.edge_of_chaos(lambda a, b: phi(a) + phi(b), bias_std=0.2)
    one = wb.edge_of_chaos(name, bias_std=0.2)
    assert edge == pytest.approx((one.weight_std / np.sqrt(2), one.q), rel=1e-7)
    found, alone = wb.operating_point(lambda a, b: phi(a) + phi(b), 20), wb.operating_point(name, 20)
    assert found is not None
    assert alone is not None
    assert found == pytest.approx((alone.q, 2 * alone.second, alone.growth), rel=5e-3)  # their grids differ a little


def test_edges_that_are_not_there_are_told() -> None:
    with pytest.raises(ArgumentError, match="one with an edge of chaos"):
        wb.edge_of_chaos(np.maximum, bias_std=0.2)
    with pytest.raises(ArgumentError, match="must be finite within"):
        wb.edge_of_chaos(lambda a, b: np.log(a + b))
    assert wb.edge_of_chaos(np.maximum) == pytest.approx((1, 1))
    assert wb.operating_point(lambda a, b: np.abs(a) - np.abs(b), 20) is None
    steep = wb.edge_of_chaos(lambda a, b: np.sinh(9 * a) + np.exp(5 * b), bias_std=0.1)  # beyond all numbers at q = 100
    assert 0.001 < steep.q < 0.1


def between(x: Any, low: float, high: float) -> Any:
    return ((x > low) & (x < high)) * 1.0


def chance(low: float, high: float) -> float:
    return float(ndtr(high) - ndtr(low))


def disc(u: float, v: float, radius: float) -> tuple[Callable[..., Any], float]:
    """One on a disc, and how likely that is."""
    return lambda a, b: ((a - u) ** 2 + (b - v) ** 2 < radius**2) * 1.0, float(ncx2.cdf(radius**2, 2, u * u + v * v))


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (lambda a, b: between(a + b, 0.3, 0.6), chance(0.3 / 2**0.5, 0.6 / 2**0.5)),
        (lambda a, b: between(a - 2 * b, 0.1, 0.12), chance(0.1 / 5**0.5, 0.12 / 5**0.5)),
        (lambda a, b: between(a, 0.2, 0.21) * np.ones_like(b), chance(0.2, 0.21)),
        (lambda a, b: between(b, -1.31, -1.3) * np.ones_like(a), chance(-1.31, -1.3)),
        (lambda a, b: between(a, 0.75, 0.85) * between(b, -1.25, -1.15), chance(0.75, 0.85) * chance(-1.25, -1.15)),
        (lambda a, b: ((b > 0) & (b < 0.05 * a)) * 1.0, np.arctan(0.05) / 2 / np.pi),
        disc(1, -0.5, 0.1), disc(-2.7, 0.2, 0.04), disc(4, 1, 0.1), disc(0, 0, 1),
    ],
)  # fmt: skip
def test_bands_and_islands_are_seen(function: Callable[..., Any], share: float) -> None:
    """Where the function is 0 at all nodes but a few. It is no gate either, though it is 0 in many places as gates
    of 0 are."""
    found = wb.moments(function)
    assert abs(found.mean / share - 1) < 10 * found.error + 1e-11
    assert abs(found.second / share - 1) < found.error + 1e-11
    assert found.error < 0.02
    on = wb.moments(lambda a, b: np.tanh(a) + 2 * function(a, b))
    assert abs(on.mean / share / 2 - 1) < 10 * on.error / share + 1e-9


def test_errors_of_islands_anywhere_are_not_too_small() -> None:
    """Of the width that is promised, on a constant; many lie across edges of cells, or on probes."""
    at = np.random.default_rng(5).uniform(-2.9, 2.9, (12, 2)).tolist()
    for u, v in [*at, (0.0079, 1.1065), (0.284, -0.272), (-2.142, 0.084), (1.332, 0.143)]:
        island, share = disc(u, v, 1 / 28)
        found = wb.moments(lambda a, b, island=island: 1 + 2 * island(a, b))
        assert abs(found.second / (1 + 8 * share) - 1) < found.error
        assert found.error < 0.02


@pytest.mark.parametrize("exponent", [-12, -6, 3, 6, 8, 10, 12])
def test_variances_of_any_size(exponent: int) -> None:
    """What happens near 0 is narrow for large ones, and hides between nodes: slopes were 0 there."""
    for name in ("tanh", "hardtanh", "softsign"):
        phi, one = ACTIVATIONS[name], wb.moments(name, q=10.0**exponent)
        found = wb.moments(lambda a, b, phi=phi: phi(a) + phi(b), q=10.0**exponent)
        assert (found.second / 2, found.slope / 2) == pytest.approx((one.second, one.slope), rel=1e-9)
        assert found.error < 1e-8


def test_one_set_of_samples_does_for_smaller_variances() -> None:
    for function in (lambda a, b: np.tanh(a) / (1 + np.exp(b)), np.maximum, lambda a, b: np.clip(a + b, -1, 1)):
        large = sampled(function, 3.0, "moments")
        small = sampled(function, 1.0, "moments", large)
        for q, samples in ((3.0, large), (2.0, large), (3.0 / NEAR, large), (1.0, small), (0.5, small)):
            found = wb.moments(function, q=q)
            assert samples.at(q) == pytest.approx((found.second, found.slope / q), rel=1e-9)
