"""The quality battery, small: each statistic accepts our streams and rejects, decisively, a generator known to be bad.

`python benchmarks/quality.py` runs it long.
"""

import importlib.util
import json
import math
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from wellbegun import fill
from wellbegun.engine.reference import words as stream_words
from wellbegun.laws import Normal, Rademacher
from wellbegun.streams import stream_key

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
for _name in ("quality_tests", "quality"):  # the script imports its statistics by this name
    _spec = importlib.util.spec_from_file_location(_name, BENCHMARKS / f"{_name}.py")
    sys.modules[_name] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[_name])
qt, quality = sys.modules["quality_tests"], sys.modules["quality"]

N = 1 << 18
RIGHT = 1e-6  # one false alarm in a million for each check; seeds are fixed
WRONG = 1e-12
STANDARD = Normal(0, 1)


def ours(law=STANDARD, n: int = N, dtype: str = "float32", name: str = "quality") -> np.ndarray:
    return fill(law, n, seed=3, name=name, dtype=dtype)


def our_words() -> np.ndarray:
    return stream_words(stream_key(3, "words"), np.arange(N // 4)).ravel()


def over_names(n: int = N // 4) -> np.ndarray:
    keys = np.array([stream_key(3, f"layers.{k}.weight") for k in range(n)], np.uint64)
    return quality.first_blocks(keys)[:, 0]


# ---------------------------------------------------------------------- bad generators
def congruential(multiplier: int, increment: int, modulus: int, n: int = N) -> np.ndarray:
    """x -> (a x + c) mod m, as 32-bit words."""
    x, found = 47594118, np.empty(n, np.uint64)
    for k in range(n):
        x = (multiplier * x + increment) % modulus
        found[k] = x
    return ((found << np.uint64(32)) // np.uint64(modulus)).astype(np.uint32)


def lehmer() -> np.ndarray:
    """The first of its kind (1949): successive pairs lie on 23 lines."""
    return congruential(23, 0, 10**8 + 1)


def randu() -> np.ndarray:
    """IBM's RANDU, seed made odd: successive triples lie on 15 planes."""
    return congruential(65539, 0, 2**31) | np.uint32(2)


def power_of_two() -> np.ndarray:
    """Numerical Recipes' quick generator: its lowest bit alternates."""
    return congruential(1664525, 1013904223, 2**32)


def checksums() -> np.ndarray:
    """First words of streams whose key is a checksum of the name instead of a hash."""
    return np.array([zlib.crc32(f"layers.{k}.weight".encode()) for k in range(N)], np.uint32)


def sums_of_seeds() -> np.ndarray:
    """First words of streams whose key is the seed plus a checksum of the name."""
    return np.arange(N, dtype=np.uint32) + np.uint32(zlib.crc32(b"weight"))


# ---------------------------------------------------------------------- words
WORD_TESTS = {
    "uniformity": (qt.word_uniformity, sums_of_seeds),
    "bit balance": (qt.bit_balance, randu),
    "bit runs": (qt.bit_runs, power_of_two),
    "Hamming weights": (qt.hamming_weights, randu),
    "gaps": (qt.gap_test, lehmer),
    "pairs": (qt.equidistribution, lehmer),
    "pairs of streams": (qt.equidistribution, sums_of_seeds),
    "triples": (lambda words: qt.equidistribution(words, 3, 4), randu),
    "collisions": (qt.collisions, randu),
    "birthday spacings": (lambda words: qt.birthday_spacings(words, 1024, 26), checksums),
    "birthday spacings, low bits": (lambda words: qt.birthday_spacings(words << np.uint32(6), 1024, 26), randu),
}


@pytest.mark.parametrize("name", WORD_TESTS)
def test_words_look_random_within_a_stream_and_over_streams(name: str) -> None:
    test, bad = WORD_TESTS[name]
    assert test(our_words()).p > RIGHT
    assert test(over_names()).p > RIGHT
    assert test(bad()).p < WRONG


def test_too_even_is_wrong_too() -> None:
    even = np.arange(N, dtype=np.uint32) << np.uint32(32 - 18)
    assert qt.word_uniformity(even).p < RIGHT
    assert qt.equidistribution(np.random.default_rng(0).permutation(even), 1, 12).p < WRONG


def test_first_blocks_are_those_of_the_definition() -> None:
    keys = [stream_key(seed, name) for seed in (0, 2**64 - 1) for name in ("", "w", "layers.0.weight")]
    found = quality.first_blocks(np.array(keys, np.uint64))
    assert (found == np.stack([stream_words(key, np.zeros(1, np.int64))[0] for key in keys])).all()


# ---------------------------------------------------------------------- values
@pytest.mark.parametrize("name", quality.CASES)
def test_moments_to_order_8(name: str) -> None:
    case = quality.CASES[name]
    exact, x = qt.exact_moments(case.density, case.low, case.high), ours(case.law)
    assert exact.mean == pytest.approx([case.scipy.moment(k) for k in range(1, 9)], rel=1e-6, abs=1e-9)
    outcome, scores = qt.moments(qt.power_sums(x), N, exact)
    assert outcome.p > RIGHT
    assert np.abs(scores).max() < 5
    assert qt.moments(qt.power_sums(x * np.float32(1.02)), N, exact)[0].p < WRONG
    shifted = x + np.float32(0.02 * case.scipy.std())
    assert qt.moments(qt.power_sums(shifted), N, exact)[0].p < WRONG


def test_moments_see_the_sum_of_twelve_uniforms() -> None:
    """Its first three moments are those of a normal; its kurtosis is 2.9."""
    case = quality.CASES["normal"]
    bad = np.random.default_rng(0).random((12, N)).sum(axis=0) - 6
    outcome, scores = qt.moments(qt.power_sums(bad), N, qt.exact_moments(case.density, case.low, case.high))
    assert outcome.p < WRONG
    assert np.abs(scores[:3]).max() < 4


def test_signs() -> None:
    x = ours(Rademacher())
    assert qt.signs(qt.power_sums(x), N).p > RIGHT
    assert qt.signs(qt.power_sums(x * np.float32(1.5)), N).p == 0
    assert qt.signs(qt.power_sums(np.where(ours() < 0.03, -1, 1)), N).p < WRONG


@pytest.mark.parametrize("name", quality.CASES)
def test_distribution_functions(name: str) -> None:
    case = quality.CASES[name]
    for test, dtype in ((qt.kolmogorov_smirnov, "float32"), (qt.anderson_darling, "float64")):
        x = ours(case.law, n=N // 4, dtype=dtype)
        assert test(x, case.scipy).p > RIGHT
        assert test(case.low + (x - case.low) * 0.9 if case.low > 0 else x * 0.9, case.scipy).p < WRONG


def test_anderson_darling_sees_a_clipped_tail() -> None:
    x = ours(n=1 << 20)
    assert qt.anderson_darling(x, stats.norm).p > RIGHT
    assert qt.anderson_darling(np.clip(x, -2.5, 2.5), stats.norm).p < WRONG


def test_the_limit_law_of_anderson_darling() -> None:
    """Percentage points of Stephens (1974), and no steps where the formulas meet."""
    for point, tail in ((1.933, 0.10), (2.492, 0.05), (3.857, 0.01), (6.0, 0.001)):
        assert qt.AndersonDarlingLimit.sf(point) == pytest.approx(tail, rel=0.04)
    for joint in (2.0, 8.0):
        assert qt.AndersonDarlingLimit.sf(joint - 1e-9) == pytest.approx(
            qt.AndersonDarlingLimit.sf(joint + 1e-9), rel=0.02
        )


def test_tails() -> None:
    n, thresholds = 1 << 23, (3.0, 4.0, 4.5, 5.0)
    table = stats.norm.ppf((np.arange(1 << 16) + 0.5) / (1 << 16)).astype(np.float32)
    coarse = table[np.random.default_rng(0).integers(0, 1 << 16, n)]  # normals from 16-bit words end at 4.17
    for x, right in ((ours(n=n, name="tails"), True), (coarse, False)):
        found = qt.tail_counts(x, thresholds)
        p = [qt.count(int(k), stats.binom(n, qt.normal_tail(t))).p for k, t in zip(found, thresholds, strict=True)]
        assert min(p) > RIGHT if right else p[2] < WRONG
    assert qt.normal_tail(4) == pytest.approx(2 * stats.norm.sf(4), rel=1e-6)
    assert qt.normal_tail(6.77) == 0
    assert qt.normal_tail(6.75) > 0


# ---------------------------------------------------------------------- dependence
def test_serial_correlation() -> None:
    def p(x: np.ndarray) -> float:
        return qt.sum_of_squares(qt.lagged_products(x) / math.sqrt(len(x) - max(qt.LAGS))).p

    assert p(ours()) > RIGHT
    assert p((qt.unit_interval(lehmer()) - 0.5) * math.sqrt(12)) < WRONG


def test_box_muller_pairs() -> None:
    def p(x: np.ndarray) -> list[float]:
        scores = qt.pair_products(x) / math.sqrt(len(x) / 2)
        return [qt.two_sided(z, stats.norm).p for z in scores]

    assert min(p(ours())) > RIGHT
    u = qt.unit_interval(our_words())
    radius = np.sqrt(-2 * np.log(u))  # the control: radius and angle from one word
    assert min(p(np.stack([radius * np.cos(2 * np.pi * u), radius * np.sin(2 * np.pi * u)], axis=1).ravel())) < WRONG


@pytest.mark.parametrize("family", ["names", "one letter", "seeds"])
def test_streams_do_not_correlate(family: str) -> None:
    streams, length = 600, 256
    letters = quality.one_letter_apart()
    where = {
        "names": lambda k: (0, f"layers.{k}.weight"),
        "one letter": lambda k: (0, letters[k]),
        "seeds": lambda k: (k, "weight"),
    }[family]
    rows = np.stack([fill(STANDARD, length, seed=seed, name=name) for seed, name in map(where, range(streams))])
    total, largest = qt.correlations(rows, block=256)
    r = np.corrcoef(np.vstack([rows, -rows]).reshape(2, streams, length).transpose(1, 0, 2).reshape(streams, -1))
    assert total == pytest.approx((np.triu(r, 1) ** 2).sum(), rel=1e-4)  # mean 0 by reflection
    assert qt.independence(total, streams, length).p > RIGHT
    assert qt.largest_correlation(largest, streams, length).p > RIGHT
    assert qt.anderson_darling(rows[:, 0], stats.norm).p > RIGHT
    shared = rows + np.float32(0.3) * rows[0]  # the control: a component that all streams share
    assert qt.independence(qt.correlations(shared)[0], streams, length).p < WRONG
    rows[-1] = rows[0]  # the control: one stream drawn twice
    assert qt.largest_correlation(qt.correlations(rows)[1], streams, length).p < WRONG


def test_names_by_seeds() -> None:
    keys = np.array([stream_key(seed, f"w{k}") for k in range(256) for seed in range(256)], np.uint64)
    table = quality.first_blocks(keys)[:, 0].reshape(256, 256)
    assert qt.equidistribution(table.ravel()).p > RIGHT
    assert qt.equidistribution(table.T.ravel()).p > RIGHT
    crc = np.array([zlib.crc32(f"w{k}".encode()) for k in range(256)], np.uint32)
    bad = (crc[:, None] + np.arange(256, dtype=np.uint32) * np.uint32(0x9E3779B9)).astype(np.uint32)
    assert qt.equidistribution(bad.ravel()).p < WRONG


# ---------------------------------------------------------------------- keys
def test_keys_are_distinct() -> None:
    keys = np.array([stream_key(3, f"layers.{k}.weight") for k in range(1 << 16)], np.uint32)
    for width in (4, 2, 1):
        assert qt.duplicates(keys[:, :width]).p > RIGHT
    assert len(np.unique(keys, axis=0)) == len(keys)
    assert qt.bit_balance(keys.ravel()).p > RIGHT
    assert qt.duplicates(keys[:, :1] & np.uint32(0xFFFFFF)).p < WRONG  # the control: keys of 24 bits


def test_avalanche() -> None:
    trials = 64
    numbers = [k * 0x9E3779B97F4A7C15 % 2**64 for k in range(trials)]

    def p(key_of) -> float:
        """Smallest p-value of the key's bits when one bit of the seed changes."""
        base = np.array([key_of(number) for number in numbers], np.uint32)
        changed = np.array([[key_of(number ^ 1 << bit) for number in numbers] for bit in range(64)], np.uint32)
        return min(outcome.p for outcome in qt.avalanche(changed ^ base))

    assert p(lambda seed: stream_key(seed, "w")) > RIGHT
    crc = zlib.crc32
    assert p(lambda seed: [crc(bytes([part]) + seed.to_bytes(8, "little")) for part in range(4)]) < WRONG


def test_avalanche_of_the_counter_needs_its_rounds() -> None:
    key, counters = stream_key(3, "w"), np.arange(256, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C1)
    bits = np.uint64(1) << np.arange(60, dtype=np.uint64)[:, None]

    def p(rounds: int) -> float:
        flips = stream_words(key, counters ^ bits, rounds) ^ stream_words(key, counters, rounds)
        return min(outcome.p for outcome in qt.avalanche(flips))

    assert p(10) > RIGHT
    assert p(6) > RIGHT
    assert p(5) < WRONG


# ---------------------------------------------------------------------- the script
def test_verdict_counts_the_tests() -> None:
    fair = (np.arange(100) + 0.5) / 100 + 0.004 * np.sin(np.arange(100))
    assert qt.verdict([*np.random.default_rng(0).random(100)]).passed
    assert not qt.verdict([*fair, 1e-6]).passed
    assert not qt.verdict([*fair**3]).passed
    assert qt.verdict([*np.random.default_rng(0).random(100), 1.0]).smallest > 1e-3


def test_the_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    monkeypatch.setattr(sys, "argv", ["quality.py", "--quick", "--json", str(path)])
    monkeypatch.setattr(quality, "QUICK", quality.Sizes(1 << 18, 1 << 14, 1 << 18, 1 << 18, 1 << 14, 256, 128, 16))
    assert quality.main() == 0
    figures, printed = json.loads(path.read_text()), capsys.readouterr().out
    assert len(figures["rows"]) == figures["verdict"]["tests"] > 70
    assert all(row["test"] in printed for row in figures["rows"])
    monkeypatch.setattr(quality, "stream_words", lambda key, blocks: stream_words(key, blocks, rounds=2))
    monkeypatch.setattr(quality, "SECTIONS", (quality.avalanches,))
    assert quality.main() == 1
