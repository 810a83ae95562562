"""The stream contract against goldens of outside origin and against a second implementation."""

import hashlib
import importlib.util
import json
from pathlib import Path

import mpmath
import numpy as np
import pytest

from wellbegun.engine import fill
from wellbegun.engine.reference import round_keys, words
from wellbegun.engine.transforms import MASK, philox
from wellbegun.laws import (
    LogUniform,
    Mapped,
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
from wellbegun.streams import STREAM_VERSION, stream_key, substream

_spec = importlib.util.spec_from_file_location("golden_generator", Path(__file__).with_name("generator.py"))
generator = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generator)

# Random123's known-answer vectors for philox4x32-10 (kat_vectors of the distribution by Salmon et al.)
VECTORS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), VECTORS)
def test_random123_vectors(counter: list[int], key: list[int], expected: list[int]) -> None:
    def run(rounds: int) -> list[int]:
        words = philox([np.array([c], np.uint64) for c in counter], round_keys(tuple(key), rounds))
        return [int(word[0]) & MASK for word in words]

    assert run(10) == expected
    assert generator.philox(counter, key) == expected
    assert run(9) != expected


def test_key_of_the_contract() -> None:
    assert stream_key(0, "fc1.weight") == (211828054, 3046040022, 3622697027, 3076129809)


@pytest.mark.parametrize("seed", [0, 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("name", ["", "fc1.weight", "é.Gewicht", "a" * 500])
def test_keys_and_words_match_the_second_implementation(seed: int, name: str) -> None:
    assert stream_key(seed, name) == generator.stream_key(seed, name)
    blocks = np.array([0, 1, 2**32 - 1, 2**32, 2**40 + 3])
    found = words(stream_key(seed, name), blocks)
    assert [list(map(int, row)) for row in found] == [generator.block(seed, name, int(b)) for b in blocks]


def _logit(share: mpmath.mpf) -> mpmath.mpf:
    return mpmath.log(share / (1 - share))


@pytest.mark.parametrize(("dtype", "bits", "tolerance"), [("float32", 32, 1e-6), ("float64", 64, 2e-14)])
def test_values_match_the_second_implementation(dtype: str, bits: int, tolerance: float) -> None:
    mpmath.mp.dps = 40
    count = 400
    cases = {
        Normal(0, 1): lambda e: generator.normal(7, "w", e, bits),
        Uniform(-0.25, 1.5): lambda e: generator.uniform(7, "w", e, -0.25, 1.5, bits),
        TruncatedNormal(0, 1, -2, 2): lambda e: generator.truncated_normal(7, "w", e, -2, 2, bits),
        TruncatedNormal(0, 1, -1, 4): lambda e: generator.truncated_normal(7, "w", e, -1, 4, bits),
        TruncatedNormal(0, 1, 3, 6): lambda e: generator.truncated_normal(7, "w", e, 3, 6, bits),
        Rademacher(): lambda e: generator.rademacher(7, "w", e, bits),
        LogUniform(0.5, 2): lambda e: generator.log_uniform(7, "w", e, 0.5, 2, bits),
        # functions of draws have 64-bit words in every format
        Mapped(Uniform(1, 16), "log"): lambda e: mpmath.log(generator.uniform(7, "w", e, 1, 16, 64)),
        Mapped(Normal(0, 0.5), "exp"): lambda e: mpmath.exp(generator.normal(7, "w", e, 64) / 2),
        Mapped(LogUniform(0.001, 2), "inverse_softplus"): lambda e: mpmath.log(
            mpmath.expm1(generator.log_uniform(7, "w", e, 0.001, 2, 64))
        ),
        Mapped(Uniform(0, 1), "logit"): lambda e: _logit(generator.uniform(7, "w", e, 0, 1, 64)),
        Mapped(Uniform(0.25, 0.81), "log_decay"): lambda e: mpmath.log(
            -mpmath.log(generator.uniform(7, "w", e, 0.25, 0.81, 64)) / 2
        ),
    }
    for law, exact in cases.items():
        drawn = fill(law, count, seed=7, name="w", dtype=dtype)
        expected = np.array([float(exact(element)) for element in range(count)])
        assert np.abs(drawn - expected).max() < tolerance * 2, law
        assert np.abs(np.roll(drawn, 1) - expected).max() > 0.01  # the order of elements matters


@pytest.mark.parametrize("per", ["output", "input"])
def test_sparse_patterns_match_the_second_implementation(per: str) -> None:
    drawn = fill(Sparse(Uniform(1, 2), 5, per), (9, 13), seed=7, name="w")
    units = drawn if per == "output" else drawn.T
    found = [set(np.flatnonzero(unit)) for unit in units]
    assert found == [generator.sparse_places(7, "w", unit, len(units[0]), 5) for unit in range(len(units))]
    assert found != [generator.sparse_places(8, "w", unit, len(units[0]), 5) for unit in range(len(units))]


def test_complex_parts_have_streams_of_their_own() -> None:
    drawn = fill(Normal(0, 1), 50, seed=7, name="w", dtype="complex64")
    for part, values in (("real", drawn.real), ("imag", drawn.imag)):
        exact = [float(generator.normal(7, f"w#{part}", element)) for element in range(50)]
        assert np.abs(values - np.array(exact) / 2**0.5).max() < 2e-6


def test_repeated_rows_are_those_of_the_base() -> None:
    drawn = fill(Repeat(Normal(0, 1), 4), (12, 5), seed=7, name="w")
    assert (drawn == np.repeat(fill(Normal(0, 1), (3, 5), seed=7, name="w"), 4, axis=0)).all()


def test_golden_hashes() -> None:
    """Hashes of (law, shape, dtype), each checked by the second implementation above when it was recorded.

    A change here is a new stream version; see CONTRIBUTING.
    """
    stored = json.loads(Path(__file__).with_name("hashes.json").read_text())
    assert stored["stream_version"] == STREAM_VERSION
    for row in stored["rows"]:
        drawn = fill(law_from_dict(row["law"]), row["shape"], seed=row["seed"], name=row["name"], dtype=row["dtype"])
        assert hashlib.sha256(np.ascontiguousarray(drawn).tobytes()).hexdigest() == row["sha256"], row


def test_parts_have_streams_of_their_own() -> None:
    law = Sections(((3, Normal(0, 1)), (2, Uniform(0, 1))))
    drawn = fill(law, (5, 4), seed=1, name="qkv")
    assert (drawn[:3] == fill(Normal(0, 1), (3, 4), seed=1, name=substream("qkv", 0))).all()
    assert (drawn[3:] == fill(Uniform(0, 1), (2, 4), seed=1, name=substream("qkv", 1))).all()


def test_zero_rows_change_no_other_row() -> None:
    plain, padded = (fill(law, (5, 4), seed=1) for law in (Normal(0, 1), ZeroRows(Normal(0, 1), (2,))))
    assert (padded[2] == 0).all()
    assert (np.delete(padded, 2, axis=0) == np.delete(plain, 2, axis=0)).all()


def test_orthogonal_blocks_are_independent_of_each_other() -> None:
    both = fill(Orthogonal(1.0, 1, 2), (8, 4), seed=1, name="w")
    assert (both[:4] == fill(Orthogonal(), (4, 4), seed=1, name="w")).all()
    assert np.abs(both[:4] - both[4:]).max() > 0.1
