"""Moments of laws against SciPy's distributions, and laws as data."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.fill import fill
from wellbegun.laws import (
    Constant,
    DeltaOrthogonal,
    Dirac,
    Eye,
    Given,
    Law,
    LogUniform,
    Moments,
    Normal,
    Orthogonal,
    Rademacher,
    Repeat,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
    law_from_dict,
)

ALL = [
    Constant(0.5),
    Uniform(-1, 2),
    Normal(0.1, 3),
    TruncatedNormal(0, 1, -2, 2),
    TruncatedNormal(0, 1, -math.inf, 2),
    Orthogonal(2.0, 1, 3),
    Sections(((2, Constant(1)), (3, Normal(0, 1)))),
    ZeroRows(Sections(((2, Constant(1)), (3, Normal(0, 1)))), (0, 4)),
    Orthogonal(2.0, method="structured"),
    Rademacher(0.5, 2),
    LogUniform(0.01, 3),
    Eye(2),
    Dirac(1, groups=2),
    DeltaOrthogonal(2),
    Repeat(Normal(0, 1), 4),
    Sparse(Uniform(1, 2), 3, "input"),
    Given.of([[1, 2], [3, -4]]),
]


@pytest.mark.parametrize("bounds", [(-2, 2), (-1, 3), (2, 5), (-0.5, 0.1), (0, math.inf), (-3, 3)])
def test_truncated_moments_against_scipy(bounds: tuple[float, float]) -> None:
    found = TruncatedNormal(1.0, 2.0, 1 + 2 * bounds[0], 1 + 2 * bounds[1]).moments()
    mean, variance, skewness, excess = stats.truncnorm(*bounds, loc=1, scale=2).stats("mvsk")
    assert np.allclose(found, [mean, variance, skewness, excess + 3], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sigmas", [1e-3, 1e-2])
def test_narrow_bounds_are_almost_uniform(sigmas: float) -> None:
    """Where SciPy's recursion cancels (its kurtosis is -52 there), the limit is the uniform."""
    found = TruncatedNormal(0, 1, 0.3, 0.3 + sigmas).moments()
    assert math.isclose(found.variance, sigmas**2 / 12, rel_tol=1e-3)
    assert math.isclose(found.kurtosis, 1.8, rel_tol=1e-3)


def test_published_constants_of_the_two_sigma_cut() -> None:
    """Std and kurtosis of N(0, 1) cut at +-1, +-2, +-3, as the literature gives them."""
    for bound, std in [(1, 0.53956009375489697), (2, 0.87962566103423975), (3, 0.98657839255810862)]:
        assert math.isclose(TruncatedNormal(0, 1, -bound, bound).moments().variance ** 0.5, std, rel_tol=1e-12)
    assert round(TruncatedNormal(0, 1, -2, 2).moments().kurtosis, 5) == 2.36554


def test_moments_of_mixtures_against_numbers() -> None:
    """Sections and zero rows, against the moments of an explicit sample with exact frequencies."""
    law = Sections(((1, Uniform(0, 6)), (3, Constant(1))))
    grid = (np.arange(600_000) + 0.5) / 100_000
    sample = np.concatenate([grid, np.ones(3 * grid.size)])
    expected = Moments(sample.mean(), sample.var(), stats.skew(sample), stats.kurtosis(sample) + 3)
    assert np.allclose(law.moments((4, 2)), expected, rtol=1e-6)
    assert ZeroRows(Normal(0, 1), (1,)).moments((4, 2)).kurtosis == pytest.approx(3 / 0.75)


@pytest.mark.parametrize("law", ALL, ids=repr)
def test_laws_are_data(law: Law) -> None:
    assert law_from_dict(json.loads(json.dumps(law.to_dict(), allow_nan=False))) == law
    assert pickle.loads(pickle.dumps(law)) == law
    assert hash(law) == hash(law_from_dict(law.to_dict()))
    assert eval(repr(law), {**globals(), "inf": math.inf}) == law  # repr is the call that makes it
    low, high = law.support()
    assert low <= high
    with pytest.raises(AttributeError):
        law.gain = 3


def test_log_uniform_moments_against_scipy() -> None:
    for low, high in [(1e-3, 0.1), (0.5, 0.6), (1e-6, 1e3)]:
        found = LogUniform(low, high).moments()
        mean, variance, skewness, excess = stats.loguniform(low, high).stats("mvsk")
        assert np.allclose(found, [mean, variance, skewness, excess + 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("law", "shape"),
    [
        (Eye(2.0), (3, 5)),
        (Dirac(1.5, groups=2), (6, 2, 3, 3)),
        (Given.of([[1, 2], [3, -4]]), (2, 2)),
        (Sparse(Constant(3), 2), (4, 5)),
        (ZeroRows(Constant(2), (1,)), (4, 3)),
        (Repeat(Sections(((1, Constant(1)), (1, Constant(5)))), 3), (6, 2)),
    ],
    ids=repr,
)
def test_moments_of_fixed_patterns_are_those_of_the_tensor(law: Law, shape: tuple[int, ...]) -> None:
    values = fill(law, shape, seed=0, dtype="float64").ravel()
    expected = values.mean(), values.var(), stats.skew(values), stats.kurtosis(values) + 3
    assert np.allclose(law.moments(shape), expected, rtol=1e-9)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_uniform_moments_scale(low: float, width: float) -> None:
    found = Uniform(low, low + width).moments()
    assert math.isclose(found.mean, low + width / 2, rel_tol=1e-9, abs_tol=1e-9)
    assert found.variance > 0


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Constant(math.nan), ArgumentError, "Constant: value must be a finite number; got nan"),
        (lambda: Uniform(1, 1), ArgumentError, r"Uniform: low must be below high \(1\); got 1.0"),
        (lambda: Uniform(-math.inf, 0), ArgumentError, "Uniform: low must be a finite number"),
        (lambda: Normal(0, -1), ArgumentError, "Normal: std must be a finite number >= 0; got -1"),
        (lambda: Normal(0, math.nan), ArgumentError, "Normal: std must be a finite number >= 0; got nan"),
        (lambda: Normal("0", 1), ArgumentTypeError, "Normal: mean must be a finite number; got '0'"),
        (lambda: TruncatedNormal(0, 0, -1, 1), ArgumentError, "scale must be a finite number > 0"),
        (lambda: TruncatedNormal(0, 1, 2, 1), ArgumentError, "low must be below high"),
        (lambda: TruncatedNormal(0, 1, 40, 41), ArgumentError, "hold at least 1e-27 of the normal"),
        (lambda: Orthogonal(0), ArgumentError, "gain must be a finite number > 0"),
        (lambda: Orthogonal(1, blocks=0), ArgumentError, "blocks must be an integer >= 1"),
        (lambda: Orthogonal().moments((4,)), ArgumentError, "more than 1 axes"),
        (lambda: Orthogonal(1, 1, 3).moments((4, 4)), ArgumentError, "a divisor of the 4 rows"),
        (lambda: Sections(()), ArgumentError, "at least one"),
        (lambda: Sections(((1, "zeros"),)), ArgumentTypeError, "pairs"),
        (lambda: ZeroRows("zeros", (0,)), ArgumentTypeError, "a law"),
        (lambda: LogUniform(0, 1), ArgumentError, "low must be a finite number > 0"),
        (lambda: Rademacher(0, 0), ArgumentError, "scale must be a finite number > 0"),
        (lambda: Eye().moments((2, 2, 2)), ArgumentError, "a matrix"),
        (lambda: Dirac().fits((3, 3)), ArgumentError, "a window of 1 to 3 axes"),
        (lambda: Dirac(groups=2).fits((3, 3, 3)), ArgumentError, "a divisor of the 3 output channels"),
        (lambda: DeltaOrthogonal().fits((2, 3, 3)), ArgumentError, "at least as many output"),
        (lambda: Repeat(Constant(1), 4).fits((6, 2)), ArgumentError, "a multiple of 4"),
        (lambda: Sparse(Constant(1), 9).fits((6, 2)), ArgumentError, "at most the 2 places of a unit"),
        (lambda: Sparse(Constant(1), 1, "rows"), ArgumentError, "per must be one of"),
        (lambda: Given((1.0,), (2, 2)), ArgumentError, "4 numbers for"),
        (lambda: Given((math.nan,), (1,)), ArgumentError, "finite numbers"),
        (lambda: Given.of([1]).fits((2,)), ArgumentError, "that of its values"),
        (lambda: law_from_dict({"law": "Norml"}), UnknownNameError, "Did you mean 'Normal'"),
        (lambda: law_from_dict({"law": "Normal", "mean": 0}), ArgumentTypeError, "Normal does not take"),
    ],
)
def test_bad_laws(make, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()
