"""float32 transforms against exact mathematics on the same bits, everywhere in their range."""

import mpmath
import numpy as np
import pytest
from scipy.special import ndtri, ndtri_exp

from wellbegun.engine import transforms
from wellbegun.engine.parameters import CentreParameters, TailParameters, parameters_of
from wellbegun.engine.reference import OPS
from wellbegun.laws import TruncatedNormal
from wellbegun.laws.precision import inside

RNG = np.random.default_rng(2)
COUNT = 1 << 20
WORDS = {
    "anywhere": RNG.integers(0, 2**32, COUNT, dtype=np.uint32),
    "far tail": RNG.integers(0, 256, COUNT, dtype=np.uint32),
    "tail": (2.0 ** RNG.uniform(0, 31, COUNT)).astype(np.uint32),
    "near zero": (2**32 - 1 - (2.0 ** RNG.uniform(0, 31, COUNT)).astype(np.int64)).astype(np.uint32),
}


def exact_box_muller(radius_word: np.ndarray, angle_word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    signed = radius_word.view(np.int32)
    y = ((signed ^ (signed >> 31)).astype(np.float64) + 0.5) / 2**32
    radius = np.sqrt(-2 * np.where(signed < 0, np.log1p(-y), np.log(y)))
    angle = 2 * np.pi * angle_word.astype(np.float64) / 2**32
    return radius * np.cos(angle), radius * np.sin(angle)


@pytest.mark.parametrize("where", WORDS)
def test_box_muller_is_within_1e_6_everywhere(where: str) -> None:
    angles = RNG.integers(0, 2**32, COUNT, dtype=np.uint32)
    angles[:8] = [0, 2**29, 2**30, 2**31, 3 * 2**30, 2**32 - 1, 2**29 - 1, 1]
    found = transforms.box_muller(OPS, WORDS[where], angles)
    expected = exact_box_muller(WORDS[where], angles)
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(mine - theirs).max() < 1e-6
    assert np.abs(found[0] - expected[1]).max() > 0.01  # cosine and sine are told apart


def test_normals_reach_six_and_a_half_standard_deviations() -> None:
    extreme, _ = transforms.box_muller(OPS, np.zeros(1, np.uint32), np.zeros(1, np.uint32))
    assert 6.7 < float(extreme[0]) < 6.77


def test_small_radii_keep_their_relative_accuracy() -> None:
    """Near u = 1 a logarithm of the rounded u would lose everything (1e-4 absolute)."""
    words = np.uint32(2**32 - 1) - np.arange(1000, dtype=np.uint32)
    mine, _ = transforms.box_muller(OPS, words, np.zeros(1000, np.uint32))
    exact, _ = exact_box_muller(words, np.zeros(1000, np.uint32))
    assert np.abs(mine / exact - 1).max() < 3e-7
    rounded = np.sqrt(-2 * np.log(np.float32(1) - np.arange(1, 1001, dtype=np.float32) * np.float32(2**-32)))
    assert np.abs(rounded - exact).max() > 1e-4  # the control: what the naive way gives


def test_inverse_normal_in_the_centre() -> None:
    c = np.linspace(-0.48, 0.48, 1_000_001).astype(np.float32)
    c = c[c != 0]
    with mpmath.workdps(30):
        small = [float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(value)))) for value in c[::50_000]]
    found = transforms._centre(c)
    assert np.abs(found[::50_000] / np.array(small) - 1).max() < 1e-6
    sure = np.abs(c) > 1e-3  # scipy's ndtri takes p, whose rounding shows near 1/2
    assert np.abs(found[sure] / ndtri(0.5 + c[sure].astype(np.float64)) - 1).max() < 1e-6


@pytest.mark.parametrize("bounds", [(-3.0, 3.0), (-8.0, 8.0), (-1.0, 5.0), (2.0, 4.0), (-9.0, -7.0), (5.0, np.inf)])
def test_truncated_normal_against_the_exact_inverse(bounds) -> None:
    law = TruncatedNormal(0, 1, *bounds)
    parameters = parameters_of(law, "float32")
    assert isinstance(parameters, TailParameters)
    words = np.concatenate([WORDS["anywhere"][:200_000], np.arange(1000, dtype=np.uint32), WORDS["near zero"][:1000]])
    mine = transforms.truncated_tail(OPS, words, parameters)
    exact = _exact_truncated(law, words)
    error = np.abs(mine - exact) / np.maximum(np.abs(exact), 0.1)
    assert error.max() < 1e-6
    low, high = inside(*bounds, "float32")
    assert low <= mine.min() <= mine.max() <= high


def _exact_truncated(law: TruncatedNormal, words: np.ndarray) -> np.ndarray:
    """From the nearer end, in double precision with logarithms where the tails are tiny."""
    signed = words.view(np.int32).astype(np.float64)
    share = (signed + 2**31 + 0.5) / 2**32
    below, above = law.tails()
    lower, upper = below + share * law.mass(), above + (1 - share) * law.mass()
    return np.where(lower < upper, ndtri_exp(np.log(lower)), -ndtri_exp(np.log(upper)))


def test_both_kernels_of_the_truncated_normal_agree() -> None:
    """Bounds near two sigma take the short way; it must be the same function."""
    centre = parameters_of(TruncatedNormal(0, 1, -2, 2), "float32")
    assert isinstance(centre, CentreParameters)
    law = TruncatedNormal(0, 1, -2, 2)
    tails = TailParameters(*centre, *(np.float32(value) for value in (*law.tails(), law.mass())))
    short = transforms.truncated_centre(OPS, WORDS["anywhere"], centre)
    long = transforms.truncated_tail(OPS, WORDS["anywhere"], tails)
    assert (short == long).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("law", [TruncatedNormal(0, 0.02, -0.04, 0.04), TruncatedNormal(1, 0.3, 0.7, 1.1)], ids=repr)
def test_no_value_leaves_the_bounds_after_rounding(law: TruncatedNormal, dtype: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from wellbegun.engine import fill

    drawn = fill(law, 1 << 20, seed=0, dtype=dtype).astype(np.float64)
    assert law.low <= drawn.min()
    assert drawn.max() <= law.high
    assert np.dtype(ml_dtypes.bfloat16).itemsize == 2


def test_bfloat16_and_float16_are_the_float32_value_rounded_once() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    from wellbegun.engine import fill
    from wellbegun.laws import Normal

    for std in (1e-7, 1e-5, 1e-3, 1.0, 1e3):
        wide = fill(Normal(0, std), 1 << 16, seed=0)
        assert (fill(Normal(0, std), 1 << 16, seed=0, dtype="float16") == wide.astype(np.float16)).all()
        narrow = fill(Normal(0, std), 1 << 16, seed=0, dtype="bfloat16")
        assert (narrow == wide.astype(ml_dtypes.bfloat16)).all()
