"""Moments of laws against SciPy's distributions, and laws as data."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.laws import (
    LAWS,
    Constant,
    Copied,
    DeltaOrthogonal,
    Dirac,
    Eye,
    Given,
    Law,
    LogUniform,
    Mapped,
    MappedCopy,
    Mirrored,
    Moments,
    Normal,
    Orthogonal,
    Rademacher,
    Repeat,
    RowSums,
    ScaledRows,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
    law_from_dict,
)
from wellbegun.streams import substream

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
    Mirrored(Uniform(-1, 3), True, (4, 6)),
    RowSums(Uniform(-1, 3), "w", (6, 10), -0.5),
    Copied(Uniform(-1, 3), "w", (6, 10), -0.5),
    Mirrored(Orthogonal(2, 2, 3), False, (4,), leading=1),
    Mapped(Uniform(0.5, 16), "log", factor=-2),
    Mapped(Mapped(LogUniform(1e-3, 1e-1), "at_least", (0.01,)), "inverse_softplus"),
    MappedCopy(Mapped(Uniform(0.81, 0.998), "log_decay"), "nu", (6,), 1.5, "log_gain"),
    ScaledRows(Uniform(-1, 3), (0.5, 2.0, 1.0)),
]
# A shape that each law of ALL fits, in the same order.
SHAPES = [
    (7, 5), (7, 5), (7, 5), (7, 5), (7, 5), (9, 4), (5, 3), (5, 3), (20, 7), (7, 5), (7, 5), (3, 4), (6, 2, 3, 3),
    (4, 3, 3, 3), (8, 3), (6, 4), (2, 2), (8, 10, 3), (6,), (6, 10), (3, 5, 4), (7, 5), (7, 5), (6,), (3, 5),
]  # fmt: skip


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
        (Mirrored(Given.of([[1, 2], [3, -4]]), True, (4,)), (4, 4)),
        (Mirrored(Given.of([[1, 2, 5], [3, -4, 6]]), False, (2, 4)), (2, 6)),
        (Mirrored(Given.of([[1, 2], [3, -4]]), True, ()), (4, 2)),
        (DeltaOrthogonal(0), (4, 4, 3)),
        (Eye(2.0), (3, 5)),
        (Dirac(1.5, groups=2), (6, 2, 3, 3)),
        (Given.of([[1, 2], [3, -4]]), (2, 2)),
        (Sparse(Constant(3), 2), (4, 5)),
        (ZeroRows(Constant(2), (1,)), (4, 3)),
        (Repeat(Sections(((1, Constant(1)), (1, Constant(5)))), 3), (6, 2)),
        (ScaledRows(Constant(-2), (0.5, 1, 3)), (3, 4)),
        (ScaledRows(Given.of([[1, 2], [2, 1], [1, 2], [2, 1]]), (1, 2, 3, 5), 1), (4, 2)),
    ],
    ids=repr,
)
def test_moments_of_fixed_patterns_are_those_of_the_tensor(law: Law, shape: tuple[int, ...]) -> None:
    values = fill(law, shape, seed=0, dtype="float64").ravel()
    expected = values.mean(), values.var(), stats.skew(values), stats.kurtosis(values) + 3
    assert np.allclose(law.moments(shape), expected, rtol=1e-9, equal_nan=True)
    low, high = law.support()
    assert low <= values.min() <= values.max() <= high


@pytest.mark.parametrize(("law", "shape"), list(zip(ALL, SHAPES, strict=True)), ids=repr)
def test_scaled_laws_draw_the_same_values_times_the_factor(law: Law, shape: tuple[int, ...]) -> None:
    scaled, own = law.scaled(2.5), law.moments(shape)
    assert type(scaled) is type(law)
    expected = (2.5 * own.mean, 6.25 * own.variance, own.skewness, own.kurtosis)
    assert np.allclose(scaled.moments(shape), expected, rtol=1e-9, atol=1e-12, equal_nan=True)
    assert scaled.support() == pytest.approx(tuple(2.5 * bound for bound in law.support()))
    drawn, values = (fill(each, shape, seed=3, name="w", dtype="float64") for each in (scaled, law))
    assert np.abs(values).max() > 0
    assert np.allclose(drawn, 2.5 * values, rtol=1e-12, atol=1e-15)
    assert law.scaled(1) == law


def test_every_law_is_tried() -> None:
    assert {type(law) for law in ALL} == set(LAWS.values())


def test_laws_describe_themselves() -> None:
    told = {law.describe() for law in ALL}
    assert len(told) == len(ALL)
    assert (
        ZeroRows(Sections(((2, Constant(1)), (3, Normal(0, 1)))), (0, 4)).describe()
        == "2: 1, 3: N(0, 1²), row 0, 4 = 0"
    )
    assert Mirrored(Orthogonal(2.0), True, (4,)).describe() == "orthogonal, gain 2, outputs and inputs ±"
    assert Repeat(Normal(0, 1), 4).describe() == repr(Repeat(Normal(0, 1), 4))


@pytest.mark.parametrize(("law", "shape"), list(zip(ALL, SHAPES, strict=True)), ids=repr)
def test_pieces_cover_the_rows_and_later_ones_win(law: Law, shape: tuple[int, ...]) -> None:
    drawn = fill(law, shape, seed=3, name="w")
    for piece in law.pieces:
        rows = drawn[piece.start : piece.stop]
        if isinstance(piece.law, Constant):
            assert (rows == piece.law.value).all()
        else:
            name = "w" if piece.stream is None else substream("w", piece.stream)
            own = fill(piece.law, rows.shape, seed=3, name=name)
            same = (own == rows).reshape(len(rows), -1).all(axis=1)
            assert same.sum() == len(rows) - sum(later.stop is not None for later in law.pieces if piece.stop is None)
    assert bool(law.pieces) is isinstance(law, (Sections, ZeroRows))


def test_what_signal_propagation_asks_of_a_law() -> None:
    for law in (Eye(), Dirac(), Sparse(Normal(0, 1), 2), Mirrored(Eye(), True, ()), ZeroRows(Eye(), (0,))):
        assert not law.dense
    assert all(law.dense for law in (Normal(0, 1), Orthogonal(), DeltaOrthogonal(), Mirrored(Normal(0, 1), True, ())))
    assert Mirrored(Normal(0, 1), False, (4,)).mirrored == (False, True)
    assert Mirrored(Orthogonal(1.0, 2, 3), True, (8,), leading=1).block((3, 8, 8)) == (4, 4)
    assert Sections(((2, Orthogonal()), (6, Orthogonal()))).block((8, 4, 3)) == (8, 12)


@pytest.mark.parametrize("factor", [0, -1.0, math.inf, math.nan])
def test_bad_factors(factor: float) -> None:
    for law in ALL:
        match = f"{type(law).__name__}.scaled: factor must be a finite number > 0"
        with pytest.raises(ArgumentError, match=match):
            law.scaled(factor)
    with pytest.raises(ArgumentTypeError, match=r"Normal\.scaled: factor must be"):
        Normal(0, 1).scaled("2")
    with pytest.raises(ArgumentError, match="std must be a finite number"):
        Normal(0, 1e300).scaled(1e300)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda law: law,
        lambda law: Sections(((2, Constant(1)), (3, law))),
        lambda law: ZeroRows(law, (0,)),
        lambda law: Repeat(law, 2),
        lambda law: Sparse(law, 2),
        lambda law: ScaledRows(law, (1.0, 2.0)),
        lambda law: Mirrored(law, True, ()),
        lambda law: Repeat(Mirrored(Sections(((4, law),)), True, ()), 2),
    ],
)
def test_laws_made_of_coupled_laws_are_coupled(wrap) -> None:
    for law, coupled in [
        (Orthogonal(), True),
        (DeltaOrthogonal(), True),
        (Orthogonal(method="structured"), False),
        (Normal(0, 1), False),
        (Eye(), False),
    ]:
        assert wrap(law).couples is coupled


def test_shapes_of_mirrored_laws() -> None:
    base = Normal(0, 1)
    assert Mirrored(base, True, (4, 6)).base_shape((8, 10, 3, 5)) == (4, 5, 3, 5)
    assert Mirrored(base, True, ()).base_shape((8, 3)) == (4, 3)
    assert Mirrored(base, False, (2, 0)).base_shape((3, 2)) == (3, 1)
    assert Mirrored(base, True, (4,), leading=2).base_shape((5, 3, 8, 4, 7)) == (5, 3, 4, 2, 7)
    assert Mirrored(Orthogonal(2.0, method="structured"), True, (8,)).moments((4, 8)).variance == 1.0
    with pytest.raises(ArgumentError, match="a divisor of the 4 rows"):
        Mirrored(Orthogonal(1, 1, 3), True, ()).fits((8, 3))  # what the base needs


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
        (lambda: Mirrored("zeros", True, ()), ArgumentTypeError, "Mirrored: law must be a law"),
        (lambda: Mirrored(Constant(1), 1, ()), ArgumentTypeError, "outputs must be True or False"),
        (lambda: Mirrored(Constant(1), True, 4), ArgumentTypeError, "a tuple of block sizes"),
        (lambda: Mirrored(Constant(1), True, (-2,)), ArgumentError, "inputs must be an integer >= 0"),
        (lambda: Mirrored(Constant(1), True, (), -1), ArgumentError, "leading must be an integer >= 0"),
        (lambda: Mirrored(Constant(1), False, ()), ArgumentError, "sizes of blocks where outputs is False"),
        (lambda: Mirrored(Constant(1), True, ()).fits((4,)), ArgumentError, "0 leading axes, then those of outputs"),
        (lambda: Mirrored(Constant(1), True, (), 1).fits((4, 4)), ArgumentError, "1 leading axes"),
        (lambda: Mirrored(Constant(1), True, ()).fits((3, 4)), ArgumentError, "an even number of outputs"),
        (lambda: Mirrored(Constant(1), False, (3, 3)).fits((3, 6)), ArgumentError, "even sizes"),
        (lambda: Mirrored(Constant(1), False, (2, 2)).fits((3, 6)), ArgumentError, "one with 4 inputs"),
        (lambda: Mapped(Orthogonal(), "exp"), ArgumentTypeError, "draws every entry for itself"),
        (lambda: Mapped(Uniform(0, 1), "ln"), UnknownNameError, "Mapped: function"),
        (lambda: Mapped(Uniform(-1, 1), "log"), ArgumentError, r"within \(0, inf\) for log"),
        (lambda: Mapped(Uniform(0, 1.5), "logit"), ArgumentError, r"within \(0, 1\) for logit"),
        (lambda: Mapped(Constant(0), "log"), ArgumentError, r"within \(0, inf\) for log"),
        (lambda: Mapped(Uniform(1, 2), "log", factor=0), ArgumentError, "factor not 0"),
        (lambda: Mapped(Uniform(1, 2), "at_least"), ArgumentError, "numbers must be 1 of them for at_least"),
        (lambda: Mapped(Uniform(1, 2), "log", factor=math.inf), ArgumentError, "factor must be a finite number"),
        (lambda: MappedCopy(Uniform(1, 2), "w", (3,), 1.0, "log").fits((4,)), ArgumentError, "that of 'w'"),
        (lambda: fill(Mapped(Uniform(1, 2), "log"), (3,), seed=0, dtype="complex64"), ArgumentError, "a complex form"),
        (lambda: fill(Mapped(Uniform(1, 90), "exp"), 3, seed=0), ArgumentError, "within the range of float32"),
        (lambda: Sparse(Constant(1), 9).fits((6, 2)), ArgumentError, "at most the 2 places of a unit"),
        (lambda: Sparse(Constant(1), 1, "rows"), ArgumentError, "per must be one of"),
        (lambda: Given((1.0,), (2, 2)), ArgumentError, "4 numbers for"),
        (lambda: ScaledRows("zeros", (1,)), ArgumentTypeError, "ScaledRows: law must be a law"),
        (lambda: ScaledRows(Constant(1), (1, 0)), ArgumentError, "factors must be a finite number > 0"),
        (lambda: ScaledRows(Constant(1), (1, 2)).fits((3, 2)), ArgumentError, "one with 2 rows"),
        (lambda: fill(ScaledRows(Normal(0, 1), (1, 1e5)), (2, 2), seed=0, dtype="float16"), ArgumentError, "range of"),
        (lambda: Given((math.nan,), (1,)), ArgumentError, "finite numbers"),
        (lambda: Given.of([1]).fits((2,)), ArgumentError, "that of its values"),
        (lambda: law_from_dict({"law": "Norml"}), UnknownNameError, "Did you mean 'Normal'"),
        (
            lambda: law_from_dict({"law": "Normal", "mean": 0}),
            ArgumentTypeError,
            "law_from_dict: arguments must be of the kinds",
        ),
    ],
)
def test_bad_laws(make, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_mapped_moments_against_closed_forms() -> None:
    logistic = Mapped(Uniform(0, 1), "logit").moments()
    assert np.allclose(logistic, [0, math.pi**2 / 3, 0, 4.2], rtol=1e-9, atol=1e-9)
    exponential = Mapped(Uniform(0, 1), "log", factor=-3).moments()
    assert np.allclose(exponential, [3, 9, 2, 9], rtol=1e-9)
    mean, variance, skewness, excess = stats.lognorm(0.5).stats("mvsk")
    assert np.allclose(Mapped(Normal(0, 0.5), "exp").moments(), [mean, variance, skewness, excess + 3], rtol=1e-9)
    half = Mapped(Normal(0, 1), "at_least", (0,)).moments()  # a kink in the middle
    assert math.isclose(half.mean, 1 / math.sqrt(2 * math.pi), rel_tol=1e-12)
    assert math.isclose(half.variance, 0.5 - 1 / (2 * math.pi), rel_tol=1e-12)
    assert np.allclose(Mapped(LogUniform(0.1, 3), "log").moments(), Uniform(math.log(0.1), math.log(3)).moments())
    outer = Mapped(Mapped(Normal(0, 1), "at_least", (-0.5,)), "at_least", (0,)).moments()  # a kink within a kink
    assert np.allclose(outer, half, rtol=1e-12)


def test_mapped_draws_are_finite_at_poles_and_the_function_of_the_float64_draws() -> None:
    worst = Mapped(Uniform(0, 1), "log_decay")
    assert worst.support() == (-math.inf, math.inf)
    assert np.isfinite(worst.values(np.array([0.0, 1.0, 0.5]))).all()
    for dtype, tolerance in (("float64", 1e-14), ("float32", 1e-6), ("float16", 1e-3)):
        base = fill(Uniform(1, 16), (33, 7), seed=5, name="w", dtype="float64")
        drawn = fill(Mapped(Uniform(1, 16), "log"), (33, 7), seed=5, name="w", dtype=dtype)
        assert np.allclose(drawn, np.log(base), rtol=tolerance, atol=tolerance)
        assert drawn.min() >= 0
    assert fill(worst, (0, 3), seed=0).shape == (0, 3)
    assert fill(worst, (), seed=0).shape == ()
    assert fill(Mapped(Constant(2), "log"), 2, seed=0).tolist() == [np.float32(math.log(2))] * 2


def test_a_mapped_copy_fits_what_is_stored() -> None:
    nu = Mapped(Uniform(0.81, 0.998), "log_decay")
    stored = fill(nu, 9, seed=0, name="nu", dtype="float16").astype(np.float64)
    gain = fill(MappedCopy(nu, "nu", (9,), 1.0, "log_gain"), 9, seed=0, name="gamma", dtype="float16")
    assert np.allclose(gain, 0.5 * np.log(1 - np.exp(-2 * np.exp(stored))), rtol=1e-3)
