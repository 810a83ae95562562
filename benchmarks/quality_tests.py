"""Statistics of the quality battery: functions of arrays that return a statistic and its p-value under the exact law.

p-values are two-sided throughout, those of chi-square, Kolmogorov-Smirnov and Anderson-Darling too: a sample that is
more even than chance allows is as wrong as an uneven one. Words are uint32 arrays.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np
from scipy import stats

Array = np.ndarray[Any, np.dtype[Any]]
ORDERS = np.arange(1, 9)
TAILS = (3.0, 4.0, 5.0, 6.0)
LAGS = (*range(1, 17), 32, 64, 128)
_HALF_BITS = np.arange(1 << 16)[:, None] >> np.arange(16) & 1
_HALF_WEIGHTS = _HALF_BITS.sum(axis=1).astype(np.uint8)


class Outcome(NamedTuple):
    """A statistic and the chance of one at least as far out, on either side."""

    statistic: float
    p: float


# ---------------------------------------------------------------------- laws of statistics
def two_sided(statistic: float, law: Any) -> Outcome:
    """By a SciPy distribution with a continuous law."""
    return Outcome(float(statistic), float(min(1.0, 2 * min(law.cdf(statistic), law.sf(statistic)))))


def count(found: int, law: Any) -> Outcome:
    """By a SciPy distribution on the integers; mid-p, which is as close to uniform as a discrete law allows."""
    half = law.pmf(found) / 2
    below, above = law.cdf(found) - half, law.sf(found) + half
    return Outcome(float(found), float(min(1.0, 2 * min(max(below, 0.0), above))))


def sum_of_squares(scores: Array) -> Outcome:
    """Chi-square of independent standard scores."""
    return two_sided(float(np.sum(np.square(scores))), stats.chi2(np.size(scores)))


def chi_square(observed: Array, expected: Array, least: float = 10.0) -> Outcome:
    """Pearson's chi-square of counts with a fixed total; bins at both ends are merged until each expects `least`."""
    keep = np.flatnonzero(expected >= least)
    first, last = keep[0], keep[-1]

    def merged(counts: Array) -> Array:
        middle = counts[first : last + 1].astype(np.float64)
        middle[0] += counts[:first].sum()
        middle[-1] += counts[last + 1 :].sum()
        return middle

    o, e = merged(observed), merged(expected)
    return two_sided(float(((o - e) ** 2 / e).sum()), stats.chi2(len(e) - 1))


# ---------------------------------------------------------------------- values against their law
class ExactMoments(NamedTuple):
    """Raw moments 1 to 8, their standard deviations for one draw, and the matrix that whitens their errors."""

    mean: Array
    deviation: Array
    whiten: Array


@functools.cache
def exact_moments(density: Callable[[Any], Any], low: float, high: float) -> ExactMoments:
    """From a density (any scale), in 50 digits: the covariance of powers is close to singular."""
    with mpmath.workdps(50):
        raw = [mpmath.quad(lambda x, k=k: x**k * density(x), [low, high]) for k in range(17)]
        mu = [moment / raw[0] for moment in raw]
        covariance = mpmath.matrix(8, 8)
        for j in ORDERS:
            for k in ORDERS:
                covariance[j - 1, k - 1] = mu[j + k] - mu[j] * mu[k]
        whiten = mpmath.cholesky(covariance) ** -1
        deviation = [mpmath.sqrt(covariance[k, k]) for k in range(8)]
        return ExactMoments(*(np.array(rows, np.float64) for rows in (mu[1:9], deviation, whiten.tolist())))


def power_sums(x: Array) -> Array:
    """Sums of x^1 ... x^8 in double precision."""
    x = x.astype(np.float64)
    power, sums = np.ones_like(x), []
    for _ in ORDERS:
        power *= x
        sums.append(power.sum())
    return np.array(sums)


def moments(sums: Array, n: int, exact: ExactMoments) -> tuple[Outcome, Array]:
    """Joint test of moments 1 to 8, and z = (m_k - mu_k) / sqrt((mu_2k - mu_k^2) / n) of each.

    Whitening turns the correlated errors of the powers into those of the law's orthonormal polynomials (Neyman's smooth
    test), whose squares add up to chi-square with 8 degrees of freedom.
    """
    error = (sums / n - exact.mean) * math.sqrt(n)
    return sum_of_squares(exact.whiten @ error), error / exact.deviation


def signs(sums: Array, n: int) -> Outcome:
    """Moments 1 to 8 of +-1: even ones are exactly 1, odd ones are one binomial count."""
    if not (sums[1::2] == n).all() or not (sums[0::2] == sums[0]).all():
        return Outcome(math.inf, 0.0)
    return count(int(n + sums[0]) // 2, stats.binom(n, 0.5))


def kolmogorov_smirnov(x: Array, law: Any) -> Outcome:
    """Largest distance between the empirical and the exact distribution function."""
    return two_sided(stats.kstest(x, lambda values: _in_blocks(law.cdf, values)).statistic, stats.kstwo(len(x)))


def anderson_darling(x: Array, law: Any) -> Outcome:
    """Distance of distribution functions weighted by 1 / (F (1 - F)), for a fully specified law and large samples."""
    x, n = np.sort(x.astype(np.float64)), len(x)
    logs = _in_blocks(law.logcdf, x) + _in_blocks(law.logsf, x)[::-1]
    statistic = float(-n - (np.arange(1, 2 * n, 2) / n) @ logs)
    return two_sided(statistic, AndersonDarlingLimit)


def _in_blocks(function: Callable[[Array], Array], x: Array) -> Array:
    """SciPy's distributions make many temporaries: let them stay in cache."""
    return np.concatenate([function(part) for part in np.array_split(x, -(-len(x) // (1 << 16)))])


class AndersonDarlingLimit:
    """Limit law of A^2 (Marsaglia and Marsaglia 2004, doi:10.18637/jss.v009.i02); above 8 the tail's leading term."""

    @staticmethod
    def cdf(z: float) -> float:
        if z < 2:
            series = (2.00012, 0.247105, -0.0649821, 0.0347962, -0.0116720, 0.00168691)
            return float(math.exp(-1.2337141 / z) / math.sqrt(z) * np.polynomial.Polynomial(series)(z))
        return 1 - AndersonDarlingLimit.sf(z)

    @staticmethod
    def sf(z: float) -> float:
        if z < 2:
            return 1 - AndersonDarlingLimit.cdf(z)
        if z > 8:  # A^2 is a sum of chi-squares with weights 1 / (j (j + 1)); the first one makes the tail
            return math.sqrt(3) * float(stats.chi2(1).sf(2 * z))
        series = (1.0776, -2.30695, 0.43424, -0.082433, 0.008056, -0.0003146)
        return -math.expm1(-math.exp(np.polynomial.Polynomial(series)(z)))


def tail_counts(x: Array, thresholds: Sequence[float] = TAILS) -> Array:
    """How many |x| lie beyond each threshold; thresholds ascend."""
    size = np.abs(x)
    size = size[size > thresholds[0]]
    return np.array([np.count_nonzero(size > threshold) for threshold in thresholds])


def normal_tail(threshold: float) -> float:
    """P(|z| > threshold) by Box-Muller from 32-bit words: the radius takes 2^32 values, u = (k + 1/2) / 2^32.

    Beyond 6 only 65 radii are left and beyond 6.76 none, so the law of the words differs from the continuous one.
    """
    if threshold < 4:  # 2^25 radii and more: the difference is below 1e-8
        return float(2 * stats.norm.sf(threshold))
    radii = np.sqrt(-2 * np.log((np.arange(2**32 * math.exp(-(threshold**2) / 2)) + 0.5) / 2**32))
    return float(np.arccos(np.minimum(threshold / radii, 1)).sum() * 2 / math.pi / 2**32)


# ---------------------------------------------------------------------- dependence of values
def lagged_products(x: Array, lags: Sequence[int] = LAGS) -> Array:
    """Sums of x_i x_(i+lag) over the elements that have a neighbour at every lag."""
    x = x.astype(np.float64)
    n = len(x) - max(lags)
    return np.array([_dot(x[:n], x[lag : lag + n]) for lag in lags])


def pair_products(x: Array) -> Array:
    """Sums over the (cos, sin) pairs of Box-Muller, standardized: of values, of squares, of value and square."""
    a, b = x[0::2].astype(np.float64), x[1::2].astype(np.float64)
    c, d = (a * a - 1) / math.sqrt(2), (b * b - 1) / math.sqrt(2)
    return np.array([_dot(a, b), _dot(c, d), _dot(a, d), _dot(c, b)])


def _dot(a: Array, b: Array) -> float:
    """Without BLAS, whose own threads get in the way of the callers'."""
    return float(np.einsum("i,i", a, b))


def correlations(rows: Array, block: int = 2000) -> tuple[float, float]:
    """Sum of r^2 and largest |r| over all pairs of rows, with known mean 0."""
    unit = rows / np.sqrt(np.square(rows, dtype=np.float64).sum(axis=1))[:, None].astype(rows.dtype)
    total, largest = 0.0, 0.0
    for start in range(0, len(unit), block):
        r = unit[start : start + block] @ unit[start:].T
        r[np.tril_indices(len(r))] = 0  # each pair once, no row with itself
        total += float(np.square(r).sum(dtype=np.float64))
        largest = max(largest, float(np.abs(r).max()))
    return total, largest


def independence(total: float, streams: int, length: int) -> Outcome:
    """Schott's test (2005, doi:10.1093/biomet/92.4.951): sum of r^2 over pairs, which are pairwise independent."""
    pairs = streams * (streams - 1) / 2
    variance = 2 * (length - 1) / (length**2 * (length + 2))
    return two_sided((total - pairs / length) / math.sqrt(pairs * variance), stats.norm)


def largest_correlation(largest: float, streams: int, length: int) -> Outcome:
    """The largest of all |r|; each r^2 is Beta(1/2, (n - 1)/2)."""
    log_below = streams * (streams - 1) / 2 * math.log1p(-float(stats.beta(0.5, (length - 1) / 2).sf(largest**2)))
    return Outcome(largest, min(1.0, 2 * min(math.exp(log_below), -math.expm1(log_below))))


# ---------------------------------------------------------------------- words
def unit_interval(words: Array) -> Array:
    """Middles of 2^32 cells of [0, 1]."""
    return (words + 0.5) * 2.0**-32


def word_uniformity(words: Array) -> Outcome:
    """Kolmogorov-Smirnov of words as numbers in [0, 1]."""
    return kolmogorov_smirnov(unit_interval(words), stats.uniform)


def bit_sums(words: Array) -> Array:
    """How many words have each of the 32 bits set, lowest bit first."""
    halves = (np.bincount(half, minlength=1 << 16) for half in (words & 0xFFFF, words >> 16))
    return np.concatenate([counts @ _HALF_BITS for counts in halves])


def weights(words: Array) -> Array:
    """Hamming weight of each word."""
    return _HALF_WEIGHTS[words & 0xFFFF] + _HALF_WEIGHTS[words >> 16]


def bit_balance(words: Array) -> Outcome:
    """Each bit is set half of the time."""
    return sum_of_squares((2 * bit_sums(words) - words.size) / math.sqrt(words.size))


def bit_runs(words: Array) -> Outcome:
    """Number of runs of each bit along the sequence: it changes half of the time."""
    return bit_balance(words[1:] ^ words[:-1])


def hamming_weights(words: Array) -> Outcome:
    """Number of set bits of a word: binomial."""
    expected = stats.binom(32, 0.5).pmf(np.arange(33)) * words.size
    return chi_square(np.bincount(weights(words), minlength=33), expected)


def cells(words: Array, dimensions: int, bits: int) -> Array:
    """Cell of each point of `dimensions` successive words, by the top bits of each."""
    points = words[: len(words) // dimensions * dimensions].reshape(-1, dimensions)
    index = np.zeros(len(points), np.int64)
    for axis in range(dimensions):
        index = index << bits | points[:, axis] >> np.uint32(32 - bits)
    return index


def equidistribution(words: Array, dimensions: int = 2, bits: int = 6) -> Outcome:
    """Serial test: points of successive words over a grid of equal cells."""
    found = np.bincount(cells(words, dimensions, bits), minlength=1 << dimensions * bits)
    return chi_square(found, np.full(len(found), found.sum() / len(found)), least=0)


def gap_test(words: Array, one_in: int = 16) -> Outcome:
    """Gaps between words below 2^32 / one_in: geometric (Knuth, TAOCP 3.3.2)."""
    gaps = np.diff(np.flatnonzero(words < (1 << 32) // one_in)) - 1
    chance, longest = 1 / one_in, 40 * one_in
    lengths = np.arange(longest)
    expected = len(gaps) * np.append(chance * (1 - chance) ** lengths, (1 - chance) ** longest)
    return chi_square(np.bincount(np.minimum(gaps, longest), minlength=longest + 1), expected)


def birthday_spacings(words: Array, birthdays: int, bits: int) -> Outcome:
    """Marsaglia's test: repeated spacings among n birthdays in a year of m = 2^bits days are Poisson.

    The mean is n^3 / 4m to first order. The next order counts pairs of the n - 1 spacings, less triples counted twice;
    2^17 rows of another generator confirm it.
    """
    rows = words[: len(words) // birthdays * birthdays].reshape(-1, birthdays) >> np.uint32(32 - bits)
    spacings = np.sort(np.diff(np.sort(rows, axis=1), axis=1), axis=1)
    repeats = (np.diff(spacings, axis=1) == 0).sum(axis=1)
    n, m = birthdays, 2.0**bits
    law = stats.poisson(n * (n - 1) * (n - 2) / (4 * m) - n**5 / (18 * m**2))
    last = int(law.isf(1e-12))
    expected = len(rows) * np.append(law.pmf(np.arange(last)), law.sf(last - 1))
    return chi_square(np.bincount(np.minimum(repeats, last), minlength=last + 1), expected, least=5)


def collisions(words: Array, points: int = 1 << 14, dimensions: int = 3, bits: int = 8) -> Outcome:
    """Knuth's collision test: points that fall into a cell already taken, over many throws into sparse cells."""
    index = cells(words, dimensions, bits)
    throws, size = index[: len(index) // points * points].reshape(-1, points), 2.0 ** (dimensions * bits)
    found = int((np.diff(np.sort(throws, axis=1), axis=1) == 0).sum())
    mean = points - size * -math.expm1(points * math.log1p(-1 / size))
    return count(found, stats.poisson(mean * len(throws)))


def duplicates(rows: Array) -> Outcome:
    """Equal rows among random rows of 32-bit words."""
    n, bits = len(rows), 32 * rows.shape[1]
    return count(n - len(np.unique(rows, axis=0)), stats.poisson(n * (n - 1) / 2 / 2.0**bits))


def avalanche(flips: Array) -> tuple[Outcome, Outcome]:
    """Differences (inputs, trials, words) of outputs whose inputs differ in one place: half of the bits flip.

    The first outcome counts them by the input that was changed, the second by the bit of the output.
    """
    inputs, trials, width = flips.shape
    by_input = weights(flips).sum(axis=(1, 2), dtype=np.int64)
    by_output = np.concatenate([bit_sums(flips[:, :, word].ravel()) for word in range(width)])
    draws = ((by_input, trials * width * 32), (by_output, inputs * trials))
    first, second = (sum_of_squares((2 * found - n) / math.sqrt(n)) for found, n in draws)
    return first, second


# ---------------------------------------------------------------------- all tests together
class Verdict(NamedTuple):
    """The smallest p-value times the number of tests (Bonferroni), and whether all of them look uniform."""

    tests: int
    smallest: float
    bonferroni: float
    uniformity: float  # p-value of the p-values

    @property
    def passed(self) -> bool:
        """A right generator fails one battery in five hundred."""
        return min(self.bonferroni, self.uniformity) > 1e-3


def verdict(p_values: Sequence[float]) -> Verdict:
    smallest, tests = min(p_values), len(p_values)
    spread = [p for p in p_values if p < 1]  # exactly 1 comes from counts that are 0 almost surely
    return Verdict(tests, smallest, min(1.0, smallest * tests), kolmogorov_smirnov(np.array(spread), stats.uniform).p)
