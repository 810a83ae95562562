"""The quality battery: values against the exact moments and distributions of their laws, words against randomness.

Usage: python benchmarks/quality.py [--quick] [--seed 0] [--json docs/figures/quality.json]
Each test draws streams of its own. Exit status 1 if the battery as a whole fails: by the smallest p-value times the
number of tests (Bonferroni), or by the distribution of all p-values.
"""

import argparse
import json
import math
import os
import string
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from scipy import stats

import quality_tests as tests
from wellbegun import fill
from wellbegun.engine import transforms
from wellbegun.engine.reference import words as stream_words
from wellbegun.laws import Law, LogUniform, Normal, Rademacher, TruncatedNormal, Uniform
from wellbegun.streams import stream_key

Array = np.ndarray[Any, np.dtype[Any]]
CHUNK = 1 << 16  # values at once: temporaries stay in cache
ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Sizes:
    """How much of everything is drawn."""

    values: int  # for sums: moments, products
    sorted: int  # for distribution functions
    tails: int
    words: int
    streams: int
    rows: int  # streams that are correlated with each other
    columns: int
    trials: int


FULL = Sizes(1 << 30, 1 << 24, 1 << 33, 1 << 26, 1 << 20, 10_000, 2048, 4096)
QUICK = Sizes(1 << 22, 1 << 18, 1 << 24, 1 << 20, 1 << 16, 2000, 512, 64)


class Row(NamedTuple):
    """One line of the table."""

    test: str
    sample: str
    n: int
    statistic: float
    p: float
    note: str = ""


class Case(NamedTuple):
    """A law of ours and the same law in SciPy and as a density."""

    law: Law
    scipy: Any
    density: Callable[[Any], Any]
    low: float
    high: float


def _gauss(x: Any) -> Any:
    return mpmath.exp(-x * x / 2)


CASES = {
    "normal": Case(Normal(0, 1), stats.norm, _gauss, -math.inf, math.inf),
    "uniform": Case(Uniform(-1, 1), stats.uniform(-1, 2), lambda _: 1, -1, 1),
    "truncated ±2": Case(TruncatedNormal(0, 1, -2, 2), stats.truncnorm(-2, 2), _gauss, -2, 2),
    "truncated [1, 5]": Case(TruncatedNormal(0, 1, 1, 5), stats.truncnorm(1, 5), _gauss, 1, 5),
    "log-uniform": Case(LogUniform(1e-3, 1e-1), stats.loguniform(1e-3, 1e-1), lambda x: 1 / x, 1e-3, 1e-1),
}


class Bench:
    """Draws what the sections ask for, on two threads, and shows how far it is."""

    def __init__(self, sizes: Sizes, seed: int, progress: Progress) -> None:
        self.sizes, self.seed, self.progress = sizes, seed, progress
        self.pool = ThreadPoolExecutor(min(2, os.cpu_count() or 1))
        self.bar = progress.add_task("", total=1)

    def each(self, label: str, task: Callable[[int, int], Any], n: int, chunk: int = CHUNK) -> Iterator[Any]:
        """task(start, stop) for all chunks of n."""
        starts = range(0, n, chunk)
        self.progress.reset(self.bar, total=len(starts), description=label)
        for found in self.pool.map(lambda start: task(start, min(start + chunk, n)), starts):
            self.progress.advance(self.bar)
            yield found

    def values(self, law: Law, name: str, start: int, stop: int, dtype: str = "float32") -> Array:
        return fill(law, (stop,), seed=self.seed, name=name, region=((start, stop),), dtype=dtype, threads=1)

    def sums(self, label: str, law: Law, measure: Callable[[Array], Array], n: int, beyond: int = 0) -> Array:
        """Sum of a measure over chunks of a stream; `beyond` values after each chunk are handed over too."""
        parts = self.each(label, lambda a, b: measure(self.values(law, label, a, b + beyond)), n)
        return np.sum([np.asarray(part) for part in parts], axis=0)

    def sample(self, label: str, law: Law, n: int, dtype: str) -> Array:
        return np.concatenate(list(self.each(label, lambda a, b: self.values(law, label, a, b, dtype), n)))

    def words(self, label: str, n: int) -> Array:
        """The first n words of a stream."""
        key = stream_key(self.seed, label)
        blocks = self.each(label, lambda a, b: stream_words(key, np.arange(a, b)).ravel(), n // 4)
        return np.concatenate(list(blocks))

    def names(self, label: str, n: int) -> Array:
        """Keys of n streams by numbered names."""
        return self._keys(label, n, lambda k: stream_key(self.seed, f"{label}.{k}.weight"))

    def seeds(self, label: str, n: int) -> Array:
        """Keys of n streams by successive seeds."""
        return self._keys(label, n, lambda k: stream_key(self.seed + k, f"{label}.weight"))

    def _keys(self, label: str, n: int, key: Callable[[int], tuple[int, ...]]) -> Array:
        parts = self.each(label, lambda a, b: np.array([key(k) for k in range(a, b)], np.uint64), n, 1 << 14)
        return np.concatenate(list(parts))


def first_blocks(keys: Array) -> Array:
    """First block of each stream: keys (streams, 4) -> words (streams, 4), as `words` gives for one key at a time."""
    a, b, c, d = np.ascontiguousarray(keys.T, np.uint64)
    mask = np.uint64(transforms.MASK)
    keys_of_rounds = [
        tuple((word + np.uint64(number * weyl)) & mask for word, weyl in zip((a, b), transforms.WEYL, strict=True))
        for number in range(10)
    ]
    found = transforms.philox((np.zeros_like(a), np.zeros_like(a), c, d), keys_of_rounds)
    return np.stack([(word & mask).astype(np.uint32) for word in found], axis=1)


def one_letter_apart(base: str = "blocks.0.attention.query.weight") -> list[str]:
    """The base and all names that differ from it in one letter or digit."""
    changed = (base[:at] + letter + base[at + 1 :] for at in range(len(base)) for letter in ALPHABET)
    return list(dict.fromkeys([base, *changed]))


# ---------------------------------------------------------------------- sections
def moments(bench: Bench) -> Iterator[Row]:
    n = bench.sizes.values
    for name, case in CASES.items():
        exact = tests.exact_moments(case.density, case.low, case.high)
        sums = bench.sums(f"moments: {name}", case.law, tests.power_sums, n)
        outcome, scores = tests.moments(sums, n, exact)
        yield Row("moments 1 to 8", name, n, *outcome, "z " + " ".join(f"{z:+.1f}" for z in scores))
    sums = bench.sums("moments: Rademacher", Rademacher(), tests.power_sums, n)
    yield Row("moments 1 to 8", "Rademacher", n, *tests.signs(sums, n), "count of +1; even moments are 1")


def distributions(bench: Bench) -> Iterator[Row]:
    n = bench.sizes.sorted
    for name, case in CASES.items():
        x = bench.sample(f"KS: {name}", case.law, n, "float32")
        yield Row("Kolmogorov-Smirnov", name, n, *tests.kolmogorov_smirnov(x, case.scipy))
    for name, case in CASES.items():  # float32 puts mass on the ends of bounded laws, where A^2 weighs most
        for dtype in ("float32", "float64") if name == "normal" else ("float64",):
            x = bench.sample(f"AD: {name}, {dtype}", case.law, n, dtype)
            yield Row("Anderson-Darling", f"{name}, {dtype}", n, *tests.anderson_darling(x, case.scipy))


def tails(bench: Bench) -> Iterator[Row]:
    n = bench.sizes.tails
    found = bench.sums("tails", CASES["normal"].law, tests.tail_counts, n)
    for threshold, beyond in zip(tests.TAILS, found, strict=True):
        chance, continuous = tests.normal_tail(threshold), 2 * stats.norm.sf(threshold)
        note = f"expected {n * chance:,.2f}; continuous law {n * continuous:,.2f}"
        yield Row(f"tail, |z| > {threshold:g}", "normal", n, *tests.count(int(beyond), stats.binom(n, chance)), note)


def dependence(bench: Bench) -> Iterator[Row]:
    law, n = CASES["normal"].law, bench.sizes.values
    scores = bench.sums("serial correlation", law, tests.lagged_products, n, max(tests.LAGS)) / math.sqrt(n)
    worst = int(np.abs(scores).argmax())
    note = f"largest z {scores[worst]:+.1f} at lag {tests.LAGS[worst]}"
    yield Row("correlation at 19 lags", "normal", n, *tests.sum_of_squares(scores), note)
    scores = bench.sums("Box-Muller pairs", law, tests.pair_products, n) / math.sqrt(n / 2)
    kinds = ("values", "squares", "value and next square", "square and next value")
    for kind, z in zip(kinds, scores, strict=True):
        yield Row("Box-Muller pair", kind, n // 2, *tests.two_sided(z, stats.norm))


def streams_apart(bench: Bench) -> Iterator[Row]:
    n, columns, law = bench.sizes.rows, bench.sizes.columns, CASES["normal"].law
    letters = one_letter_apart()
    families: dict[str, tuple[int, Callable[[int], tuple[int, str]]]] = {
        "numbered names": (n, lambda k: (bench.seed, f"layers.{k}.weight")),
        "names one letter apart": (len(letters), lambda k: (bench.seed, letters[k])),
        "adjacent seeds": (n, lambda k: (bench.seed + k, "weight")),
    }
    for family, (count, stream) in families.items():
        rows = np.empty((count, columns), np.float32)

        def draw(start: int, stop: int, rows: Array = rows, stream: Callable[[int], tuple[int, str]] = stream) -> None:
            for k in range(start, stop):
                seed, name = stream(k)
                fill(law, columns, seed=seed, name=name, out=rows[k], threads=1)

        list(bench.each(f"streams: {family}", draw, count, 256))
        total, largest = tests.correlations(rows)
        note = f"{count:,} streams, first {columns:,} values"
        yield Row(
            "sum of r² of all pairs", family, count * (count - 1) // 2, *tests.independence(total, count, columns), note
        )
        yield Row("largest |r|", family, count * (count - 1) // 2, *tests.largest_correlation(largest, count, columns))
        yield Row("first values, AD", family, count, *tests.anderson_darling(rows[:, 0], stats.norm))


def word_tests(bench: Bench) -> Iterator[Row]:
    """The same tests within one stream, over the first words of many names, and over those of many seeds."""
    small, sizes = bench.sizes.streams, bench.sizes
    days = {True: (4096, 32), False: (512, 23)}  # birthdays and bits of the year, mean 4 both times
    battery: dict[str, Callable[[Array], tests.Outcome]] = {
        "uniformity, KS": tests.word_uniformity,
        "bit balance": tests.bit_balance,
        "bit runs": tests.bit_runs,
        "Hamming weights": tests.hamming_weights,
        "gaps": tests.gap_test,
        "pairs on 64 × 64": tests.equidistribution,
        "triples on 16³": lambda words: tests.equidistribution(words, 3, 4),
        "collisions of triples on 256³": tests.collisions,
        "birthday spacings": lambda words: tests.birthday_spacings(words, *days[len(words) >= 1 << 20]),
    }
    for name, test in battery.items():
        yield Row(name, "one stream", sizes.words, *test(bench.words(f"{name}: one stream", sizes.words)))
        yield Row(name, "names, first words", small, *test(first_blocks(bench.names(name, small))[:, 0]))
        yield Row(name, "seeds, first words", small, *test(first_blocks(bench.seeds(name, small))[:, 0]))


def names_by_seeds(bench: Bench) -> Iterator[Row]:
    side = math.isqrt(bench.sizes.streams)
    keys = [bench.seeds(f"grid.{k}", side) for k in range(side)]
    table = first_blocks(np.concatenate(keys))[:, 0].reshape(side, side)
    for sample, words in (("seeds of one name", table), ("names of one seed", table.T)):
        yield Row("pairs on 64 × 64", f"{side} × {side}, {sample}", table.size, *tests.equidistribution(words.ravel()))


def key_structure(bench: Bench) -> Iterator[Row]:
    n = bench.sizes.streams
    for sample, keys in (("names", bench.names("keys", n)), ("seeds", bench.seeds("keys", n))):
        keys = keys.astype(np.uint32)
        balance = np.concatenate([tests.bit_sums(column) for column in keys.T])
        yield Row("key: balance of 128 bits", sample, n, *tests.sum_of_squares((2 * balance - n) / math.sqrt(n)))
        yield Row("key: equal keys", sample, n, *tests.duplicates(keys))
        yield Row("key: equal Philox keys", sample, n, *tests.duplicates(keys[:, :2]))
        yield Row("key: equal first words", sample, n, *tests.duplicates(keys[:, :1]))


def avalanches(bench: Bench) -> Iterator[Row]:
    trials, full = bench.sizes.trials, (1 << 64) - 1
    numbers = [(k + 1) * 0x9E3779B97F4A7C15 & full for k in range(trials)]
    names = [f"layers.{k:05d}.attention.weight" for k in range(trials)]

    def letter(name: str, at: int, k: int) -> str:
        others = ALPHABET.replace(name[at], "")
        return name[:at] + others[k % len(others)] + name[at + 1 :]

    def blocks(streams: Iterator[tuple[int, str]]) -> Array:
        return first_blocks(np.array([stream_key(*stream) for stream in streams], np.uint64)).reshape(-1, trials, 4)

    seeds = blocks((number ^ 1 << bit, "weight") for bit in range(64) for number in numbers)
    letters = blocks((bench.seed, letter(n, at, k)) for at in range(len(names[0])) for k, n in enumerate(names))
    key, counters = stream_key(bench.seed, "avalanche"), np.array(numbers, np.uint64) >> np.uint64(2)
    bits = np.uint64(1) << np.arange(62, dtype=np.uint64)[:, None]
    changed = {
        "a bit of the seed": seeds ^ blocks((number, "weight") for number in numbers),
        "a letter of the name": letters ^ blocks((bench.seed, name) for name in names),
        "a bit of the counter": stream_words(key, counters ^ bits) ^ stream_words(key, counters)[None],
    }
    for sample, flips in changed.items():
        for by, outcome in zip(("input place", "output bit"), tests.avalanche(flips), strict=True):
            yield Row(f"avalanche by {by}", sample, flips.size * 32, *outcome, f"{_share(flips):.5%} of bits flip")


def _share(flips: Array) -> float:
    return float(tests.weights(flips).mean() / 32)


SECTIONS: Sequence[Callable[[Bench], Iterator[Row]]] = (
    moments,
    distributions,
    tails,
    dependence,
    streams_apart,
    word_tests,
    names_by_seeds,
    key_structure,
    avalanches,
)


# ---------------------------------------------------------------------- output
def run(sizes: Sizes, seed: int) -> list[Row]:
    columns = BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        whole = progress.add_task("all tests", total=len(SECTIONS))
        bench, rows = Bench(sizes, seed, progress), []
        for section in SECTIONS:
            rows.extend(section(bench))
            progress.advance(whole)
        return rows


def table_of(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in Row._fields:
        table.add_column(column, justify="right" if column in ("n", "statistic", "p") else "left", no_wrap=True)
    for row in rows:
        statistic = f"{row.statistic:,.0f}" if row.statistic == int(row.statistic) else f"{row.statistic:.5g}"
        table.add_row(row.test, row.sample, f"{row.n:,}", statistic, f"{row.p:.4g}", row.note)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small part of the sample, in seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    start = time.perf_counter()
    rows = run(QUICK if arguments.quick else FULL, arguments.seed)
    seconds = time.perf_counter() - start
    Console(highlight=False, width=160).print(table_of(rows))
    found = tests.verdict([row.p for row in rows])
    print(f"{found.tests} tests in {seconds:.0f} s, seed {arguments.seed}; smallest p {found.smallest:.3g}, ", end="")
    print(f"with Bonferroni {found.bonferroni:.3g}; uniformity of all p-values {found.uniformity:.3g}.")
    print("Passed." if found.passed else "Failed.")
    if arguments.json:
        settings = {"seed": arguments.seed, "quick": arguments.quick, "seconds": round(seconds)}
        figures = {**settings, "verdict": found._asdict(), "rows": [row._asdict() for row in rows]}
        arguments.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return 0 if found.passed else 1


if __name__ == "__main__":
    sys.exit(main())
