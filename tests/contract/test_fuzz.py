"""Hostile arguments, files and plans: only errors of ours leave public functions."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "benchmarks" / "fuzz.py")
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)


@pytest.mark.parametrize(("seed", "slow"), [(0, 0.0), (1, 0.01), (2, 0.05)])
def test_only_errors_of_ours_leave_public_functions(seed: int, slow: float) -> None:
    done = fuzz.run(1_500, seed, slow)
    assert not done.bugs, "\n\n".join(done.bugs.values())
    assert len(done.calls) > 80
