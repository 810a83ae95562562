"""Plans carried out without a framework: arrays, shards, flat ranges, sinks and files hold the same bits."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellbegun.engine import Job, fill
from wellbegun.engine.regions import Region, size_of
from wellbegun.errors import ArgumentError, LayoutError, TraceError
from wellbegun.laws import (
    Constant,
    Given,
    Law,
    Mirrored,
    Normal,
    Orthogonal,
    RowSums,
    Sections,
    Sparse,
    TruncatedNormal,
    Uniform,
    ZeroRows,
)
from wellbegun.layout import Layout
from wellbegun.materialize import Target, fill_targets, filling, target
from wellbegun.materialize.ledger import settle
from wellbegun.materialize.target import boxes, storage_of
from wellbegun.planning import Entry, Plan
from wellbegun.storage import fill_file, plan_from_json


def entry(name: str, shape: tuple[int, ...], axes: str, law: Law | None, dtype: str = "float32") -> Entry:
    action = "keep" if law is None else "fill"
    return Entry(name, shape, dtype, action, "hidden", Layout(axes), "", law, name, "said")


WEIGHT = TruncatedNormal(0, 0.1, -0.2, 0.2)
PLAN = Plan(
    (
        entry("conv", (3, 3, 4, 6), "kkio", Normal(0, 0.5)),
        entry("square", (8, 6), "io", Orthogonal(gain=1.5)),
        entry("gates", (8, 3), "oi", Sections(((4, Uniform(-1, 1)), (4, Constant(2.0))))),
        entry("table", (7, 5), "lo", ZeroRows(Normal(0, 1), (2,))),
        entry("half", (5, 9), "io", Normal(0, 1), "bfloat16"),
        entry("waves", (4, 3), "oi", Uniform(-1, 1), "complex64"),
        entry("pairs", (6, 4), "io", Mirrored(Orthogonal(), True, (6,))),
        entry("few", (6, 5), "io", Sparse(Normal(0, 1), 2, "input")),
        entry("weight", (4, 6), "oi", WEIGHT),
        entry("bias", (4,), "o", RowSums(WEIGHT, "weight", (4, 6), -0.5)),
        entry("given", (2, 2), "oi", Given.of([[1, 2], [3, 4]]), "float64"),
        entry("scalar", (), "", Normal(1, 1)),
        entry("none", (0, 3), "oi", Normal(0, 1)),
        entry("kept", (2, 2), "oi", None),
        replace(entry("tied", (4, 6), "oi", None), action="tie", tied_to="weight"),
    ),
    "classic@1",
    7,
)
FILLED = [one for one in PLAN.entries if one.action == "fill"]


def whole(one: Entry) -> Any:
    """What `fill` gives, in stored axes."""
    assert one.layout is not None
    assert one.law is not None
    shape = one.layout.canonical_shape(one.shape)
    out = np.zeros(shape, storage_of(one.dtype))
    drawn = fill(one.law, shape, seed=PLAN.seed, name=one.stream, dtype=one.dtype, out=out)
    return drawn.transpose([one.layout.canonical.index(axis) for axis in range(len(shape))])


EXPECTED = {one.name: whole(one) for one in FILLED}


def bits(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()


def targets(**memory: Any) -> dict[str, Target]:
    """Arrays for every parameter, other memory for some."""
    arrays = {one.name: np.full(one.shape, 9, storage_of(one.dtype)) for one in PLAN.entries}
    return {one.name: Target(one.shape, one.dtype, memory.get(one.name, arrays[one.name])) for one in PLAN.entries}


class Remembered:
    """A sink with memory of its own."""

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.values = np.full(shape, 9, storage_of(dtype))
        self.pieces = 0

    def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
        return False

    def put(self, region: Region, values: Any) -> None:
        assert values.shape == size_of(region)
        self.values[tuple(slice(*bounds) for bounds in region)] = values
        self.pieces += 1


# ---------------------------------------------------------------------- arrays
@pytest.mark.parametrize("threads", [1, 3])
def test_arrays_hold_the_whole(threads: int) -> None:
    into = targets()
    ledger = fill_targets(PLAN, into, threads=threads)
    assert ledger.counts() == {"filled": 13, "kept": 1, "tied": 1}
    for name, expected in EXPECTED.items():
        assert bits(into[name].memory) == bits(expected), name
    assert (into["kept"].memory == 9).all()  # type: ignore[union-attr]
    changed = targets()
    fill_targets(replace(PLAN, seed=8), changed)  # the control: another seed gives other bits
    assert bits(changed["conv"].memory) != bits(EXPECTED["conv"])


def test_any_strides() -> None:
    backing = np.zeros((12, 18), np.float32)
    into = targets(weight=backing[1:9:2, 17:5:-2], square=np.zeros((6, 8), np.float32).T)
    fill_targets(PLAN, into)
    assert bits(into["weight"].memory) == bits(EXPECTED["weight"])
    assert bits(into["square"].memory) == bits(EXPECTED["square"])
    assert np.count_nonzero(backing) == 24


def test_without_a_framework() -> None:
    code = (
        "import sys, wellbegun as wb; from wellbegun.materialize import fill_targets; "
        "from wellbegun.storage import fill_file; assert not {'torch', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------- parts
@pytest.mark.parametrize("one", FILLED, ids=lambda one: one.name)
def test_shards_are_parts_of_the_whole(one: Entry) -> None:
    for axis, size in enumerate(one.shape):
        for start, stop in ((0, size // 3), (size // 3, size)):
            region = tuple((start, stop) if a == axis else (0, n) for a, n in enumerate(one.shape))
            part = EXPECTED[one.name][tuple(slice(*bounds) for bounds in region)]
            for memory in (np.zeros(part.shape, part.dtype), Remembered(part.shape, one.dtype)):
                plan = replace(PLAN, entries=(one,))
                fill_targets(plan, {one.name: Target(one.shape, one.dtype, memory, region)})
                assert bits(getattr(memory, "values", memory)) == bits(part)


@pytest.mark.parametrize("piece", [5, 1 << 24])
@pytest.mark.parametrize("one", FILLED, ids=lambda one: one.name)
def test_flat_ranges_are_parts_of_the_whole(one: Entry, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "PIECE", piece)
    flat, size = EXPECTED[one.name].reshape(-1), math.prod(one.shape)
    for start, stop in {(0, size), (0, size // 3), (size // 3, size - size // 5), (size // 2, size // 2)}:
        for memory in (np.zeros(stop - start, flat.dtype), Remembered((stop - start,), one.dtype)):
            plan = replace(PLAN, entries=(one,))
            fill_targets(plan, {one.name: Target(one.shape, one.dtype, memory, elements=(start, stop))})
            assert bits(getattr(memory, "values", memory)) == bits(flat[start:stop]), (start, stop)


@given(st.lists(st.integers(1, 4), max_size=4), st.data())
def test_boxes_are_a_range_in_order(shape: list[int], data: st.DataObject) -> None:
    size = math.prod(shape)
    stop = data.draw(st.integers(0, size))
    start = data.draw(st.integers(0, stop))
    numbers = np.arange(size).reshape(shape)
    parts = [numbers[tuple(slice(*bounds) for bounds in box)].reshape(-1) for box in boxes(start, stop, tuple(shape))]
    assert [*np.concatenate([np.arange(0), *parts])] == [*range(start, stop)]
    assert len(parts) <= max(2 * len(shape) - 1, 1)


# ---------------------------------------------------------------------- sinks
def test_sinks_get_bounded_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "PIECE", 20)
    sinks = {one.name: Remembered(one.shape, one.dtype) for one in FILLED}
    fill_targets(PLAN, targets(**sinks))
    for name, sink in sinks.items():
        assert bits(sink.values) == bits(EXPECTED[name]), name
    assert sinks["conv"].pieces == 6  # rows of 36 elements
    assert sinks["square"].pieces == 1  # any part of it costs as much as all


def test_a_sink_may_draw_by_itself_and_say_what_became_of_the_values() -> None:
    class Own(Remembered):
        def draw(self, law: Law, job: Job, axes: tuple[int, ...]) -> bool:
            self.asked = law, job.name, job.shape, axes
            return True

    sink, numbers = Own((4, 6), "float32"), []

    def close(number: int) -> str:
        numbers.append(number)
        return "scaled by 2"

    into = targets() | {"weight": Target((4, 6), "float32", sink, close=close)}
    ledger = fill_targets(PLAN, into)
    assert sink.asked == (WEIGHT, "weight", (4, 6), (0, 1))
    assert sink.pieces == 0
    assert len(numbers) == 1
    assert ledger["weight"].reason == "said; scaled by 2"
    assert ledger["conv"].reason == "said"


# ---------------------------------------------------------------------- what is checked first
def read_only() -> Any:
    memory = np.zeros((4, 6), np.float32)
    memory.flags.writeable = False
    return memory


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"weight": Target((4, 5), "float32", np.zeros((4, 5)))}, ArgumentError, "shape of 'weight'"),
        ({"weight": Target((4, 6), "float16", np.zeros((4, 6)))}, ArgumentError, "dtype of 'weight'"),
        ({"weight": Target((4, 6), "float32", None)}, ArgumentError, "'weight' has no memory"),
        ({"weight": Target((4, 6), "float32", np.zeros((4, 6)))}, ArgumentError, "of dtype float32; got 'float64'"),
        ({"weight": Target((4, 6), "float32", np.zeros((6, 4), "f4"))}, ArgumentError, r"of shape \(4, 6\)"),
        ({"weight": Target((4, 6), "float32", read_only())}, ArgumentError, "writable"),
        ({"weight": Target((4, 6), "float32", None, problem=TraceError("lost"))}, TraceError, "lost"),
        ({"more": Target((2,), "float32", np.zeros(2, "f4"))}, ArgumentError, r"none for \['more'\]"),
    ],
)
def test_nothing_is_written_where_something_is_wrong(change: dict[str, Target], error: Any, text: str) -> None:
    into = targets() | change
    with pytest.raises(error, match=text):
        fill_targets(PLAN, into)
    assert (into["conv"].memory == 9).all()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (entry("weight", (4, 6), "oi", Normal(0, 1e5), "float16"), ArgumentError, "within the range of float16"),
        (entry("weight", (4, 6), "oi", Given.of([1.0])), ArgumentError, "Given: shape"),
        (entry("weight", (4, 6), "o", Normal(0, 1)), LayoutError, "letters"),
        (replace(entry("weight", (4, 6), "oi", None), action="fill"), ArgumentError, "law of 'weight'"),
    ],
)
def test_laws_that_do_not_fit_are_noticed_before(wrong: Entry, error: Any, text: str) -> None:
    plan = replace(PLAN, entries=tuple(wrong if one.name == "weight" else one for one in PLAN.entries))
    into = targets() | {"weight": Target((4, 6), wrong.dtype, np.zeros((4, 6), wrong.dtype))}
    with pytest.raises(error, match=text):
        fill_targets(plan, into)
    assert (into["conv"].memory == 9).all()  # type: ignore[union-attr]


def test_an_interrupted_fill_is_completed_by_the_same_call() -> None:
    class Broken(Remembered):
        def put(self, region: Region, values: Any) -> None:
            raise OSError("full")

    into = targets() | {"waves": Target((4, 3), "complex64", Broken((4, 3), "complex64"))}
    with pytest.raises(OSError, match="full"):
        fill_targets(PLAN, into)
    into |= {"waves": Target((4, 3), "complex64", np.zeros((4, 3), "complex64"))}
    fill_targets(PLAN, into)
    assert all(bits(into[name].memory) == bits(expected) for name, expected in EXPECTED.items())


# ---------------------------------------------------------------------- plans in turn, order, ledger
def test_only_what_differs_from_an_earlier_plan_is_written() -> None:
    into = targets()
    fill_targets(PLAN, into)
    into["gates"].memory[...] = 5  # type: ignore[index]
    other = tuple(replace(one, law=Constant(3.0)) if one.name == "conv" else one for one in PLAN.entries)
    seen: list[str] = []
    fill_targets(replace(PLAN, entries=other), into, before=PLAN, progress=lambda done, total, name: seen.append(name))
    assert seen == ["conv"]
    assert (into["conv"].memory == 3).all()  # type: ignore[union-attr]
    assert (into["gates"].memory == 5).all()  # type: ignore[union-attr]


def test_small_ones_are_filled_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "SMALL", 30)
    groups = [[one.name for one in some] for some in filling._together(FILLED, targets())]
    assert groups[:4] == [["conv"], ["square"], ["gates"], ["table"]]
    assert [name for group in groups for name in group] == [one.name for one in FILLED]
    assert max(map(len, groups)) > 1


def test_a_ledger_settles_once() -> None:
    names = [one.name for one in FILLED]
    assert settle(PLAN, names)["tied"].outcome == "tied"
    for wrong in (names[1:], [*names, names[0]], [*names, "kept"]):
        with pytest.raises(Exception, match="ledger: written twice"):
            settle(PLAN, wrong)


# ---------------------------------------------------------------------- files
def test_a_file_holds_the_same_bits(tmp_path: Path) -> None:
    from safetensors import safe_open

    path = tmp_path / "model.safetensors"
    path.write_text("old")
    ledger = fill_file(PLAN, path)
    assert ledger.counts()["filled"] == 13
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head = json.loads(content[8 : 8 + length])
    for name, expected in EXPECTED.items():
        start, stop = head[name]["data_offsets"]
        assert content[8 + length + start : 8 + length + stop] == bits(expected), name
    with safe_open(path, "np") as file:
        assert set(file.keys()) == set(EXPECTED)
        assert plan_from_json(file.metadata()["wellbegun.plan"]) == PLAN
        for name in ("conv", "square", "given", "scalar", "none"):
            assert bits(file.get_tensor(name)) == bits(EXPECTED[name])


def test_a_file_that_cannot_be_filled_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("old")
    with pytest.raises(ArgumentError, match="fill_file: dtype of 'w' must be one of"):
        fill_file(Plan((entry("w", (2, 2), "oi", Normal(0, 1), "complex128"),), "classic@1", 0), path)
    with pytest.raises(ArgumentError, match="Given: shape"):
        fill_file(Plan((entry("w", (2, 2), "oi", Given.of([1.0])),), "classic@1", 0), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]
    empty = fill_file(Plan((), "classic@1", 0), path)
    assert empty.counts()["filled"] == 0
