"""A sample of starts that are known to be good or bad; `label.py` runs all of them."""

import warnings

import pytest
from label import judged
from labelled_bad import BAD, EXPECTED
from labelled_good import GOOD, build

MISSED = {  # what `check` does not find, or only remarks on
    "first layer, a weight times 0.001",
    "convolutions, a weight times 300",
    "convolutions, a readout of std 10",
    "a table of 1e-5 without a norm",
    "saturated gates of an LSTM",
    "a router whose one weight is always one",
}


@pytest.mark.parametrize("name", sorted(GOOD)[::5])
def test_good_starts_are_healthy(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert judged(build(name)).codes == ()


@pytest.mark.parametrize("name", sorted(set(BAD) - MISSED)[::6])
def test_bad_starts_are_found_for_what_they_are(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        health = judged(build(name, BAD))
    assert not health.healthy
    assert EXPECTED[name] & {*health.codes, *health.remarks}
