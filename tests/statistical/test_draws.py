"""Draws match their laws, at sizes from 1x1 to 4096^2, with tolerances from the sample size and controls that fail."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import wellbegun as wb
from wellbegun.engine import fill
from wellbegun.laws import Law, LogUniform, Normal, Orthogonal, TruncatedNormal, Uniform
from wellbegun.schemes import Scheme

SIGMAS = 5.0  # one false alarm in two million for each check


def distribution(law: Law):
    """SciPy's frozen distribution: an independent statement of the law."""
    if isinstance(law, Normal):
        return stats.norm(law.mean, law.std)
    if isinstance(law, Uniform):
        return stats.uniform(law.low, law.high - law.low)
    if isinstance(law, LogUniform):
        return stats.loguniform(law.low, law.high)
    assert isinstance(law, TruncatedNormal)
    return stats.truncnorm(*law.standard_bounds(), loc=law.location, scale=law.scale)


def kurtosis_error(law: Law) -> float:
    """Asymptotic standard deviation of the sample kurtosis times sqrt(n), from the law's moments to order 8."""
    found = distribution(law)
    mean, std = found.mean(), found.std()
    m = [found.expect(lambda x, k=k: ((x - mean) / std) ** k) for k in range(9)]
    return math.sqrt(
        m[8] - 4 * m[4] * m[6] + 4 * m[4] ** 3 - m[4] ** 2 + 16 * m[4] * m[3] ** 2 - 8 * m[3] * m[5] + 16 * m[3] ** 2
    )


def check(values: np.ndarray, law: Law) -> None:
    """Mean, variance, kurtosis, support and distribution of a sample."""
    x = values.ravel().astype(np.float64)
    moments, n = law.moments(values.shape), x.size
    std = math.sqrt(moments.variance)
    low, high = law.support()
    assert low <= x.min(), "support"
    assert x.max() <= high, "support"
    assert abs(x.mean() - moments.mean) < SIGMAS * std / math.sqrt(n), "mean"
    centred = x - x.mean()
    variance = (centred**2).mean()
    assert abs(variance / moments.variance - 1) < SIGMAS * math.sqrt((moments.kurtosis - 1) / n), "variance"
    if n >= 1000:  # the sample kurtosis of few values is not normal yet
        kurtosis = (centred**4).mean() / variance**2
        assert abs(kurtosis - moments.kurtosis) < SIGMAS * kurtosis_error(law) / math.sqrt(n) + 60 / n, "kurtosis"
    some = x if n <= 200_000 else x[:: n // 200_000]
    statistic = stats.kstest(some, distribution(law).cdf).statistic
    assert statistic * math.sqrt(some.size) < 2.7, "distribution"  # p = 1e-6


LAWS = [
    Normal(0, 0.02),
    Normal(1.5, 2),
    Uniform(-0.3, 0.3),
    Uniform(2, 5),
    TruncatedNormal(0, 1, -2, 2),
    TruncatedNormal(0, 0.02, -0.1, 0.1),
    TruncatedNormal(1, 2, 0, 9),
    TruncatedNormal(0, 1, 2, 6),
    LogUniform(1e-3, 1e-1),
]
SIZES = [(1, 7), (7, 1), (3, 5), (64, 48), (257, 129), (2048, 1024)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_draws_match_their_law(law: Law, size: tuple[int, int]) -> None:
    n = math.prod(size)
    repeats = max(1, 4000 // n)  # small tensors: many names, so that there is something to test
    values = np.stack([fill(law, size, seed=11, name=f"layer{k}.weight") for k in range(repeats)])
    check(values, law)
    with pytest.raises(AssertionError, match="mean|variance|support"):
        check(values, wider(law, values.size))


def wider(law: Law, n: int) -> Law:
    """The control: a scale that is wrong by a little more than the tolerance at this sample size."""
    factor = 1 + 6 * math.sqrt((law.moments((1, 1)).kurtosis - 1) / n)
    if isinstance(law, Normal):
        return replace(law, std=law.std * factor)
    if isinstance(law, Uniform):
        middle, half = (law.low + law.high) / 2, (law.high - law.low) / 2 * factor
        return Uniform(middle - half, middle + half)
    if isinstance(law, LogUniform):
        return LogUniform(law.low / factor, law.high * factor)
    assert isinstance(law, TruncatedNormal)
    low, high = (law.location + (bound - law.location) * factor for bound in (law.low, law.high))
    return TruncatedNormal(law.location, law.scale * factor, low, high)


@pytest.mark.parametrize(
    "scheme", [wb.he_normal(), wb.xavier_uniform(), wb.lecun_normal(), wb.fan_in_uniform()], ids=repr
)
def test_one_by_one_tensors(scheme: Scheme) -> None:
    """Each 1x1 weight is a draw of its own: not always +-1, not always the same."""
    values = np.array([scheme((1, 1), seed=5, name=f"w{k}")[0, 0] for k in range(4000)])
    check(values, scheme.law((1, 1)))
    assert len(np.unique(values)) > 3990


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS[:6:2], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_largest_size(law: Law, dtype: str) -> None:
    shape = (4096, 4096)
    values = fill(law, shape, seed=1, name="big", dtype=dtype)
    if dtype == "float16":  # rounding adds spacing^2 / 12 to the variance and makes ties: looser on both counts
        x = values.astype(np.float64)
        assert abs(x.var() / law.moments(shape).variance - 1) < 1e-3
        return
    check(values, law)
    with pytest.raises(AssertionError, match="variance"):
        check(values, wider(law, values.size))


SCHEMES = [
    (wb.he_normal(), "fan_in"),
    (wb.he_uniform(mode="fan_out"), "fan_out"),
    (wb.lecun_normal(), "fan_in"),
    (wb.lecun_uniform(), "fan_in"),
    (wb.fan_in_uniform(), "fan_in"),
    (wb.variance_scaling(scale=0.7, mode="fan_out", distribution="truncated"), "fan_out"),
]


@pytest.mark.parametrize(("scheme", "fan"), SCHEMES, ids=[repr(scheme) for scheme, _ in SCHEMES])
@pytest.mark.parametrize(("shape", "layout"), [((400, 900), "oi"), ((900, 400), "oi"), ((64, 32, 3, 3), "oikk")])
def test_schemes_follow_their_own_fan(scheme: Scheme, fan: str, shape: tuple[int, ...], layout: str) -> None:
    values = scheme(shape, seed=3, name=fan, layout=layout, dtype="float64")
    check(values, scheme.law(shape, layout=layout))
    swapped = scheme.law((shape[1], shape[0], *shape[2:]), layout=layout)
    with pytest.raises(AssertionError):
        check(values, swapped)


def test_streams_of_neighbouring_names_and_seeds_do_not_correlate() -> None:
    n = 1 << 16
    names = [f"layers.{k}.weight" for k in range(24)] + ["layers.0.weighT", "layers.0.bias"]
    rows = [fill(Normal(0, 1), n, seed=0, name=name) for name in names]
    rows += [fill(Normal(0, 1), n, seed=seed, name=names[0]) for seed in (1, 2, 2**32, 2**63)]
    correlation = np.corrcoef(np.stack(rows)) - np.eye(len(rows))
    assert np.abs(correlation).max() < 5.5 / math.sqrt(n)
    serial = [np.corrcoef(rows[0][:-lag], rows[0][lag:])[0, 1] for lag in range(1, 17)]
    assert np.abs(serial).max() < 5 / math.sqrt(n)
    assert np.corrcoef(rows[0], rows[0] + rows[1])[0, 1] > 0.5  # the control


# ---------------------------------------------------------------------- orthogonal
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 7), (7, 3), (129, 64), (64, 129), (300, 300)], ids=str)
def test_orthogonal_is_orthogonal(shape: tuple[int, int], dtype: str) -> None:
    w = fill(Orthogonal(1.5), shape, seed=0, name="w", dtype=dtype).astype(np.float64)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    assert np.abs(gram - 2.25 * np.eye(min(shape))).max() < (1e-5 if dtype == "float32" else 1e-13)


def haar_checks(matrices: np.ndarray) -> None:
    """Facts of the Haar measure on O(n): the trace has mean 0 and variance 1, entries have variance 1/n and fourth
    moment 3 / (n (n + 2)), and the determinant is +1 half of the time."""
    count, n, _ = matrices.shape
    traces = np.trace(matrices, axis1=1, axis2=2)
    assert abs(traces.mean()) < SIGMAS / math.sqrt(count), "trace"
    assert abs(traces.var() - 1) < SIGMAS * math.sqrt(2 / count), "trace variance"
    for row, column in ((0, 0), (0, n - 1), (n - 1, n - 1), (1, 2)):
        entries = matrices[:, row, column]
        assert abs(entries.mean()) < SIGMAS / math.sqrt(n * count), "entry mean"
        assert abs((entries**2).mean() * n - 1) < SIGMAS * math.sqrt(2 / count), "entry variance"
        assert abs((entries**4).mean() * n * (n + 2) / 3 - 1) < SIGMAS * math.sqrt(32 / count), "entry kurtosis"
    assert abs((np.linalg.det(matrices) > 0).mean() - 0.5) < SIGMAS * 0.5 / math.sqrt(count), "determinant"


def test_orthogonal_is_haar() -> None:
    matrices = fill(Orthogonal(1.0, 1, 4000), (16000, 4), seed=2, name="w", dtype="float64").reshape(4000, 4, 4)
    haar_checks(matrices)
    biased = np.linalg.qr(np.random.default_rng(0).standard_normal((4000, 4, 4)))[0]  # QR without the sign fix
    with pytest.raises(AssertionError, match="trace|entry|determinant"):
        haar_checks(biased)


@pytest.mark.parametrize("shape", [(6, 3), (3, 6)])
def test_entries_of_semi_orthogonal_matrices(shape: tuple[int, int]) -> None:
    law = Orthogonal(1.0, 1, 3000)
    w = fill(law, (3000 * shape[0], shape[1]), seed=4, name="w", dtype="float64").reshape(3000, *shape)
    moments = Orthogonal().moments(shape)
    for row in range(shape[0]):
        for column in range(shape[1]):
            entries = w[:, row, column]
            assert abs((entries**2).mean() / moments.variance - 1) < SIGMAS * math.sqrt(2 / 3000)
            assert abs(entries.mean()) < SIGMAS * math.sqrt(moments.variance / 3000)
    # one entry of a Haar column in dimension 6 is a Beta variable in disguise
    squared = stats.kstest(w[:, 0, 0] ** 2, stats.beta(0.5, 2.5).cdf).statistic
    assert squared * math.sqrt(3000) < 2.7
    assert stats.kstest(w[:, 0, 0] ** 2, stats.beta(0.5, 1.5).cdf).statistic * math.sqrt(3000) > 2.7
