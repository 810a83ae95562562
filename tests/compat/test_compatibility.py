"""A fixed sample of the compatibility suite: models of transformers, each planned, filled, checked and measured."""

from zlib import crc32

import measure
import pytest
import registry
from rows import ROWS

import wellbegun as wb

SAMPLE = sorted(
    sorted((name for name in ROWS if name.startswith("transformers: ")), key=lambda name: crc32(name.encode() + b"ci"))[
        :60
    ]
)
KNOWN: dict[str, set[str]] = {}
"""What does not hold yet, by model."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SAMPLE)
def test_model(name: str) -> None:
    made, batch = registry.build(name)
    first = measure.values(made)
    purpose = measure.special(first, measure.values(registry.build(name, 1)[0]))
    before = measure.signals(made, batch)
    failed = {"alarms_constructed"} if not wb.check(made, batch).healthy else set()
    model = registry.build(name)[0]
    result = wb.initialize(model, batch, seed=0)
    after = measure.values(model)
    assert {record.name for record in result.ledger.records} >= after.keys()
    assert all(one.isfinite().all() for one in after.values())
    lost = {key for key, why in purpose.items() if why != "zero weight" and not measure.kept(after[key], first[key])}
    failed |= {"lost"} if lost else set()
    failed |= set() if result.health.healthy else {"alarms"}
    now = measure.outside(model, measure.signals(model, batch), before)
    there = measure.outside(made, before, before, first=True)
    failed |= {"unhealthy"} if measure.worse(now, there, measure.gated(purpose, first, after)) else set()
    assert failed <= KNOWN.get(name, set()), (failed, lost, now)
