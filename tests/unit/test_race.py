"""Races without training: areas, standings, intervals with their coverage, files, halving."""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wellbegun.errors import ArgumentError, FileError, ModelError, UnknownNameError
from wellbegun.racing.records import Trial
from wellbegun.racing.results import Race
from wellbegun.racing.statistics import CEILING, Table, area, ceiling_of, interval, paired, standings


def trial(candidate: str, losses: Sequence[float], seed: int = 0, rate: float = 0.01, **rest: object) -> Trial:
    known: dict[str, object] = {"optimizer": "adam", "status": "done", "metric": None, "seconds": 0.5, **rest}
    return Trial(candidate, rate=rate, seed=seed, losses=tuple(losses), **known)


# ---------------------------------------------------------------------- areas
def test_area_is_the_mean_of_the_curve_up_to_the_ceiling() -> None:
    assert area(trial("a", [3.0, 2.0, 1.0]), 3, 10.0) == 2.0
    assert area(trial("a", [30.0, 2.0, 1.0]), 3, 6.0) == 3.0
    assert area(trial("a", [3.0, 2.0, 1.0]), 2, 10.0) == 2.5


def test_a_diverged_trial_counts_as_worse_than_one_that_learns_nothing_and_as_no_more() -> None:
    lost = trial("a", [2.0, 50.0, math.inf], status="diverged")
    late = trial("a", [2.0] * 9 + [math.nan], status="diverged")
    chance = 2.0
    ceiling = ceiling_of([lost], chance)
    nothing = area(trial("a", [2.0] * 10), 10, ceiling)
    assert nothing == chance
    assert chance < area(late, 10, ceiling) < area(lost, 10, ceiling) <= CEILING * chance


def test_without_chance_the_ceiling_is_twice_the_usual_first_loss() -> None:
    trials = [trial("a", [4.0]), trial("b", [5.0]), trial("c", [1e9]), trial("d", [math.nan], status="diverged")]
    assert ceiling_of(trials, None) == 10.0
    assert ceiling_of([], None) == math.inf


# ---------------------------------------------------------------------- standings
def test_a_candidate_stands_at_its_best_rate_and_the_best_comes_first() -> None:
    trials = [trial("slow", [2.0, 1.0], seed, rate) for seed in range(3) for rate in (0.01, 0.1)]
    trials += [trial("fast", [2.0, 0.5], seed, 0.01) for seed in range(3)]
    trials += [trial("fast", [2.0, math.inf], seed, 0.1, status="diverged") for seed in range(3)]
    first, second = standings(trials, 2.0)
    assert (first.candidate, first.best_rate, first.area, first.converged) == ("fast", 0.01, 0.625, 0.5)
    assert (second.candidate, second.area, second.converged, second.best_final) == ("slow", 0.75, 1.0, 1.5)


def test_one_lucky_or_lost_seed_does_not_decide() -> None:
    """The median over seeds chooses the rate: a mean would let one divergence outweigh, a minimum one lucky seed."""
    steady = [trial("a", [loss], seed, 0.01) for seed, loss in enumerate((1.0, 1.1, 1.2, 1.1, 4.0))]
    lucky = [trial("a", [loss], seed, 0.1) for seed, loss in enumerate((0.1, 2.0, 2.0, 2.0, 2.0))]
    (found,) = standings([*steady, *lucky], 10.0)
    assert found.best_rate == 0.01
    assert found.spread == (pytest.approx(0.11), pytest.approx(0.12))


def test_stopped_candidates_stand_behind_those_that_went_on_however_they_did() -> None:
    trials = [trial("on", [2.0] * 8, seed) for seed in range(2)]
    trials += [trial("stopped", [1.0] * 4, seed, status="stopped") for seed in range(2)]
    first, second = standings(trials, 2.0)
    assert (first.candidate, second.candidate, second.steps) == ("on", "stopped", 4)
    race = Race.of(tuple(trials), 2.0)
    pair = race.paired("on", "stopped")
    assert (pair.steps, pair.difference) == (4, 0.5), "compared on the steps both have"


def test_failed_trials_are_counted_and_never_the_best() -> None:
    trials = [trial("a", [1.0], seed) for seed in range(3)]
    trials += [trial("a", [0.5], 0, 0.1)]
    trials += [trial("a", [], seed, 0.1, status="failed", error="boom") for seed in (1, 2)]
    trials += [trial("b", [], seed, status="failed", error="no memory") for seed in range(3)]
    first, second = standings(trials, 2.0)
    assert (first.best_rate, first.failed, first.error) == (0.01, 2, "boom"), "one seed of three is not the best rate"
    assert second.failed == 3
    assert math.isnan(second.area)
    assert second.steps == 0
    assert Race.of(tuple(trials), 2.0).winner is None


def test_a_candidate_whose_every_trial_diverged_is_last_of_those_that_ran() -> None:
    trials = [trial("a", [2.0] * 5), trial("b", [2.0, math.inf], status="diverged")]
    first, second = standings(trials, 2.0)
    assert (first.candidate, second.area, second.converged) == ("a", pytest.approx((1 + 4 * CEILING) / 5), 0.0)
    assert math.isnan(second.best_final)


# ---------------------------------------------------------------------- intervals
def simulated(
    seeds: int, means: dict[str, Sequence[float]], rng: np.random.Generator, shared: float = 1.0
) -> list[Trial]:
    """Races whose truth is known: area = 10 + what a seed does to all + the mean of (candidate, rate) + noise."""
    trials = []
    for seed in range(seeds):
        common = shared * rng.normal()
        for name, rates in means.items():
            for rate, mean in enumerate(rates):
                trials.append(trial(name, [10 + common + mean + rng.normal()], seed, rate + 1.0))
    return trials


def share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return sum(found) / len(found)


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    """One rate each, true difference 0.5: exactly 95 %; a bootstrap or z interval of the same data does not."""
    rng = np.random.default_rng(seeds)
    found = [paired(Table(simulated(seeds, {"a": [0.5], "b": [0.0]}, rng), 100.0), "a", "b", 0.95) for _ in range(1000)]
    truth = 0.5 / 100
    assert share(pair.low <= truth <= pair.high for pair in found) == pytest.approx(0.95, abs=4 * 0.0069)
    if seeds > 3:
        return  # there, z is nearly t
    naive = [(pair.high - pair.low) / 2 * 1.96 / {2: 12.706, 3: 4.303, 10: 2.262}[seeds] for pair in found]
    too_narrow = share(abs(pair.difference - truth) <= half for pair, half in zip(found, naive, strict=True))
    assert too_narrow < 0.95 - 4 * 0.0069


@pytest.mark.parametrize(("rates", "seeds"), [(4, 3), (4, 10), (12, 5)])
def test_choosing_among_rates_does_not_flatter(rates: int, seeds: int) -> None:
    """One candidate has one good rate, the other many equal ones; in truth they are equally good.

    The control: each seed at the rate best on the others, without the wider of two intervals, is too sure.
    """
    rng = np.random.default_rng(rates * seeds)
    means = {"flat": [0.0] * rates, "peaked": [0.0] + [20.0] * (rates - 1)}
    tables = [Table(simulated(seeds, means, rng), 100.0) for _ in range(400)]
    held = share(pair.low <= 0 <= pair.high for pair in (paired(t, "flat", "peaked", 0.95) for t in tables))
    assert held >= 0.925
    apart = []
    for table in tables:
        one, two = table.held_out("flat", 1), table.held_out("peaked", 1)
        _, low, high = interval([one[seed] - two[seed] for seed in one], 0.95)
        apart.append(low <= 0 <= high)
    assert share(apart) < held


def test_among_six_equal_candidates_a_winner_is_called_in_at_most_one_race_in_twenty() -> None:
    """The best-looking of several against all others; the control is content with beating any of them."""
    rng = np.random.default_rng(6)
    races = [Race.of(tuple(simulated(4, {n: [0.0, 0.1] for n in "abcdef"}, rng)), 100.0) for _ in range(400)]
    assert share(race.winner is not None for race in races) <= 0.05
    assert share(any(pair.certain for pair in race.pairs[:5]) for race in races) > 0.1


def test_pairing_removes_what_seeds_do_to_all() -> None:
    rng = np.random.default_rng(1)
    wild = simulated(6, {"a": [0.0], "b": [3.0]}, rng, shared=50.0)
    race = Race.of(tuple(wild), 1000.0)
    assert race.winner == "a"
    areas = {name: [t.losses[0] for t in wild if t.candidate == name] for name in "ab"}
    assert np.std(areas["a"]) > 5 * 3.0, "unpaired, the difference is far within the spread"


def test_a_real_difference_is_found_and_wins_are_counted() -> None:
    rng = np.random.default_rng(2)
    race = Race.of(tuple(simulated(5, {"good": [0.0, 9.0], "bad": [9.0, 30.0]}, rng)), 100.0)
    pair = race.paired("good", "bad")
    assert race.winner == "good"
    assert (pair.wins, pair.trials, pair.certain) == (5, 5, True)
    other = race.paired("bad", "good")
    assert (other.low, other.high, other.wins) == (-pair.high, -pair.low, 0)
    wide, narrow = race.paired("good", "bad", 0.99), race.paired("good", "bad", 0.5)
    assert wide.high - wide.low > narrow.high - narrow.low


def test_one_seed_and_equal_candidates_are_not_certain() -> None:
    alone = Race.of((trial("a", [1.0]), trial("b", [2.0])), 2.0)
    assert alone.winner is None
    assert (alone.paired("a", "b").low, alone.paired("a", "b").high) == (-math.inf, math.inf)
    same = Race.of(tuple(trial(name, [1.0], seed) for name in "ab" for seed in range(3)), 2.0)
    assert same.winner is None
    assert (same.paired("a", "b").low, same.paired("a", "b").high) == (0.0, 0.0)
    assert "too little" in same.verdict


def test_asking_for_a_pair_that_is_not_there_is_told() -> None:
    race = Race.of((trial("auto", [1.0]), trial("he", [2.0])), 2.0)
    with pytest.raises(UnknownNameError, match=r"first must be a known name; got 'autp'. Did you mean 'auto'\?"):
        race.paired("autp", "he")
    with pytest.raises(ArgumentError, match="two candidates; got 'he' twice"):
        race.paired("he", "he")
    with pytest.raises(ArgumentError, match=r"confidence must be in \(0, 1\); got 95"):
        race.paired("auto", "he", 95)


# ---------------------------------------------------------------------- files
ODD = (
    trial('a, "quoted"\nname', [0.1 + 0.2, 1e-300, math.pi], 2**64 - 1, findings=("W101", "W201"), metric=0.5),
    trial("ä <b>", [math.inf, math.nan], 1, status="diverged", seconds=1 / 3),
    trial("c", [], 2, status="failed", error="ValueError: a, b\n and 'c'"),
)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_race_on_disk_comes_back_to_the_last_bit(tmp_path: Path, suffix: str) -> None:
    race = Race.of(ODD, 2.3, "odd ones", interrupted=True, settings={"rates": [0.1], "names": {"a": "b"}})
    path = race.save(tmp_path / f"race{suffix}")
    again = Race.load(path)
    assert repr(again.trials) == repr(race.trials), "repr, as nan is unequal to itself"
    assert repr(again.to_dict()) == repr(race.to_dict())
    assert list(tmp_path.iterdir()) == [path]


def test_csv_is_for_other_programs_too(tmp_path: Path) -> None:
    path = Race.of(ODD, 2.3).save(tmp_path / "race.csv")
    with path.open(newline="") as file:
        assert file.readline().startswith("# ")
        rows = list(csv.DictReader(file))
    assert [row["candidate"] for row in rows] == [t.candidate for t in ODD]
    assert rows[0]["losses"].split()[0] == "0.30000000000000004"


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    race = Race.of(ODD, None)
    with pytest.raises(ModelError, match=r"ending in .parquet or .csv; got 'race.json'"):
        race.save("race.json")
    with pytest.raises(ModelError, match="there is no folder"):
        race.save(tmp_path / "nowhere" / "race.csv")
    with pytest.raises(ModelError, match="cannot read"):
        Race.load(tmp_path / "none.csv")
    for name, text in (("bad.csv", "a,b\n1,2\n"), ("bad.parquet", "PAR1 no")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ModelError, match=f"{name}' holds no race"):
            Race.load(tmp_path / name)
    old = (race.save(tmp_path / "old.csv")).read_text().replace('"format": 1', '"format": 9')
    (tmp_path / "old.csv").write_text(old)
    with pytest.raises(ModelError, match="has format 9; this version reads 1"):
        Race.load(tmp_path / "old.csv")


def test_an_existing_file_stays_whole_if_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Race.of(ODD[:1], None).save(tmp_path / "race.csv")
    before = path.read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="No space left"):
        Race.of(ODD, None).save(path)
    assert path.read_bytes() == before


# ---------------------------------------------------------------------- tables
def test_to_dict_holds_the_verdict_and_every_number() -> None:
    race = Race.of(tuple(trial(n, [m], s) for n, m in (("a", 1.0), ("b", 2.0)) for s in range(3)), 4.0, "two")
    data = race.to_dict()
    assert (data["winner"], data["chance"], data["description"]) == ("a", 4.0, "two")
    assert data["standings"][0]["area"] == 0.25
    assert data["pairs"][0]["difference"] == -0.25
    assert len(data["trials"]) == 6
    assert data["verdict"].startswith("a wins")


def test_an_empty_race_has_a_verdict() -> None:
    assert Race.of((), 1.0, interrupted=True).verdict == "no trial was finished"
    assert Race.of((replace(ODD[2]),), 1.0).verdict == "no trial was finished"
    assert Race.of((trial("a", [1.0]),), 1.0).verdict == "a ran alone"
