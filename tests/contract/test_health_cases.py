"""Known good starts are healthy, known bad ones are found; what `benchmarks/health.py` trains, without the training."""

import json
from pathlib import Path

import pytest
import torch
from health_cases import CASES

import wellbegun as wb
from wellbegun.health import CATALOGUE

HERE = Path(__file__).parent


@pytest.mark.filterwarnings("ignore")  # of transformers, about itself
@pytest.mark.parametrize("name", CASES)
def test_good_starts_are_healthy_and_bad_ones_are_found(name: str) -> None:
    case = CASES[name]
    torch.manual_seed(0)
    model, batch = case.make()
    health = wb.check(model, batch)
    if case.expected:
        assert case.expected & {*health.codes, *health.remarks}
        assert case.expected <= set(CATALOGUE)
        assert not health.healthy or case.expected <= {"W302", "W802"}  # which stop no training
    else:
        assert health.codes == ()


def test_there_are_enough_of_both() -> None:
    good = [case for case in CASES.values() if not case.expected]
    assert len(good) >= 40
    assert len(CASES) - len(good) >= 35
    codes = set().union(*(case.expected for case in CASES.values()))
    assert {code[:2] for code in codes} == {f"W{family}" for family in range(1, 9)}


def test_what_is_called_good_has_been_trained() -> None:
    """The benchmark's record covers every good start, and each was learned."""
    rows = {row["name"]: row for row in json.loads((HERE.parents[1] / "docs/figures/health.json").read_text())["rows"]}
    for case in CASES.values():
        row = rows[case.name]
        assert row["right"], case.name
        if not case.expected:
            assert min(score for score in (row["adam"], row["sgd"]) if score is not None) < 0.8, case.name
