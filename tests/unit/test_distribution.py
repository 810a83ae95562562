"""Distribution functions against draws, with a control that a law of the wrong size fails."""

import math

import numpy as np
import pytest

from wellbegun import fill
from wellbegun.laws import (
    Constant,
    DeltaOrthogonal,
    Dirac,
    Eye,
    Given,
    Law,
    LogUniform,
    Mapped,
    MappedCopy,
    Mirrored,
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
)

CASES: list[tuple[Law, tuple[int, ...]]] = [
    (Constant(0.5), (4, 4)),
    (Constant(-0.5), (4, 4)),
    (Uniform(-0.3, 0.5), (60, 80)),
    (Normal(0.1, 0.2), (60, 80)),
    (Normal(0.1, 0.0), (60, 80)),
    (Rademacher(0.5, 2.0), (60, 80)),
    (LogUniform(1e-3, 1e-1), (60, 80)),
    (TruncatedNormal(0.0, 1.0, -2.0, 2.0), (60, 80)),
    (TruncatedNormal(0.0, 1.0, 4.0, math.inf), (60, 80)),
    (TruncatedNormal(0.0, 1.0, -math.inf, -4.0), (60, 80)),
    (Orthogonal(2.0), (64, 64)),
    (Orthogonal(1.0, blocks=300), (900, 2)),
    (Orthogonal(1.0, blocks=400), (400, 1)),
    (Orthogonal(1.0, blocks=4), (256, 64)),
    (Eye(2.0), (20, 30)),
    (Dirac(1.0, 2), (8, 4, 3, 3)),
    (DeltaOrthogonal(1.0), (64, 64, 1, 3)),
    (Sections(((20, Normal(0, 1)), (40, Uniform(2, 3)))), (60, 80)),
    (ZeroRows(Normal(0, 1), (0, 3)), (20, 80)),
    (Repeat(Normal(0, 1), 4), (64, 80)),
    (ScaledRows(Normal(0.1, 1), (0.5, 3.0) * 30), (60, 80)),
    (Sparse(Normal(0, 1), 40), (60, 80)),
    (Mirrored(Normal(0.5, 1), True, ()), (60, 80)),
    (Mirrored(Constant(1.0), True, ()), (60, 80)),
    (Mirrored(Orthogonal(1.5), True, (64,)), (64, 64)),
    (Given.of([[1.0, 2.0], [2.0, 4.0]]), (2, 2)),
    (Mapped(Uniform(0.0, 16.0), "log"), (60, 80)),
    (Mapped(Uniform(0.0, 16.0), "log", factor=-2.0), (60, 80)),
    (Mapped(Uniform(0.0, 1.0), "log_decay"), (60, 80)),
    (Mapped(Normal(0.0, 0.5), "exp", factor=-1.0), (60, 80)),
    (Mapped(Mapped(LogUniform(1e-3, 1e-1), "at_least", (0.01,)), "inverse_softplus"), (60, 80)),
    (MappedCopy(Mapped(Uniform(0.5, 0.9), "log_decay"), "nu", (60, 80), 1.0, "log_gain"), (60, 80)),
]


def distance(law: Law, shape: tuple[int, ...], factor: float = 1.0) -> float:
    """Largest difference between the shares of draws, times a factor, and the law's (Kolmogorov's statistic)."""
    drawn = np.sort(fill(law, shape, seed=3, dtype="float64").ravel() * factor)
    shares = law.distribution(shape)
    assert shares is not None
    x = np.unique(drawn)
    above, below = shares(x + 1e-12), shares(x - 1e-12)
    counted = np.searchsorted(drawn, x, side="right") / drawn.size, np.searchsorted(drawn, x, side="left") / drawn.size
    return float(max(np.abs(above - counted[0]).max(), np.abs(below - counted[1]).max()))


@pytest.mark.parametrize(("law", "shape"), CASES, ids=lambda value: repr(value)[:40])
def test_draws_follow_the_distribution(law: Law, shape: tuple[int, ...]) -> None:
    rounding = 0 if isinstance(law, (Constant, Given, Eye, Dirac)) else 1
    size = math.prod(shape) / (4 if isinstance(law, (Repeat, Mirrored)) else 1)  # copies are no new evidence
    limit = 2.2 * rounding / math.sqrt(size) + 1e-9  # exceeded once in 8,000 draws
    assert distance(law, shape) <= limit
    assert distance(law, shape, 1.5) > limit


def test_shares_begin_at_0_end_at_1_and_never_fall() -> None:
    for law, shape in CASES:
        shares = law.distribution(shape)
        assert shares is not None
        found = shares(np.linspace(-50, 50, 20_001))
        assert abs(found[0]) < 1e-12, law
        assert abs(found[-1] - 1) < 1e-12, law
        assert (np.diff(found) >= -1e-15).all(), law


def test_what_has_no_closed_form_says_so() -> None:
    assert Orthogonal(1.0, method="structured").distribution((8, 8)) is None
    assert Mirrored(Orthogonal(1.0, method="structured"), True, ()).distribution((8, 8)) is None
    assert RowSums(Normal(0, 1), "w", (8, 4), -0.5).distribution((8,)) is None
