"""Findings from statistics written by hand: each code fires, and only where it should."""

import math
from dataclasses import replace

import pytest

from wellbegun.errors import UnhealthyError, UnknownNameError
from wellbegun.health import (
    CATALOGUE,
    FAMILIES,
    AttentionStats,
    Health,
    LossStats,
    OperationStats,
    ParameterStats,
    Statistics,
    StreamStats,
    examine,
)
from wellbegun.health import catalogue as bounds


def operation(index: int, rms: float, gradient: float | None, role: str = "hidden", **options) -> OperationStats:
    return OperationStats(
        index, f"layer{index} (linear)", "linear", f"layer{index}.weight", role, 1.0, rms, True, gradient, **options
    )


def parameter(name: str, role: str = "hidden", **options) -> ParameterStats:
    return ParameterStats(
        **{
            "name": name,
            "role": role,
            "rms": 0.1,
            "finite": True,
            "gradient": 0.1,
            "units": 8,
            "distinct": 8,
            **options,
        }
    )


GOOD = Statistics(
    (operation(0, 1.2, 0.3), operation(1, 0.8, 0.2), operation(2, 1.0, 0.25), operation(3, 1.0, 0.1, "readout")),
    (parameter("layer0.weight"), parameter("layer3.weight", "readout")),
    LossStats(2.5, math.log(10), "cross-entropy"),
    1.0,
)


def with_operation(index: int, **changes) -> Statistics:
    operations = list(GOOD.operations)
    operations[index] = replace(operations[index], **changes)
    return replace(GOOD, operations=tuple(operations))


def with_parameter(**changes) -> Statistics:
    return replace(GOOD, parameters=(parameter("layer0.weight", **changes),))


def test_a_good_model_is_healthy() -> None:
    assert examine(GOOD).healthy
    assert examine(GOOD).codes == ()


@pytest.mark.parametrize(
    ("statistics", "codes"),
    [
        (with_operation(2, rms=0.009), ("W101",)),
        (with_operation(2, rms=0.011), ()),
        (with_operation(2, rms=101.0), ("W102",)),
        (with_operation(2, rms=99.0), ()),
        (with_operation(3, rms=0.0), ()),  # a silent readout is fine
        (with_operation(0, gradient=0.0024), ("W201",)),
        (with_operation(0, gradient=0.0026), ()),
        (with_operation(0, gradient=26.0), ("W202",)),
        (with_operation(1, gradient=26.0), ("W202",)),
        (with_operation(1, rms=0.0, role="residual_out", ends_branch=True), ()),  # a branch that starts silent
        (with_operation(1, rms=0.0), ("W101",)),
        (with_operation(1, finite=False, rms=math.nan), ("W401",)),
        (with_parameter(finite=False), ("W401",)),
        (with_parameter(gradient_finite=False), ("W401",)),
        (with_parameter(distinct=1), ("W301",)),
        (with_parameter(distinct=1, role="readout"), ()),
        (with_parameter(distinct=1, role="residual_out", ends_branch=True), ()),
        (with_parameter(distinct=1, locked=8, role="readout"), ("W301",)),
        (with_parameter(distinct=4, locked=4), ()),  # half of the units have a twin: not more than half
        (with_parameter(distinct=4, locked=5), ("W301",)),
        (with_parameter(units=1, distinct=1), ()),  # one unit equals nobody
        (replace(GOOD, loss=LossStats(3.4, math.log(10), "")), ()),
        (replace(GOOD, loss=LossStats(3.5, math.log(10), "")), ("W501",)),
        (replace(GOOD, loss=LossStats(99.0, None, "")), ()),
        (replace(GOOD, loss=LossStats(math.inf, None, "")), ("W401",)),
        (replace(GOOD, loss=None), ()),
    ],
)
def test_each_finding_at_its_bound(statistics: Statistics, codes: tuple[str, ...]) -> None:
    assert examine(statistics).codes == codes


def attention(**changes) -> Statistics:
    known = {"index": 2, "place": "attn", "logit_std": 1.0, "entropy": 0.9, "keys": 8, "weights": ("q.weight",)}
    return replace(GOOD, attentions=(AttentionStats(**{**known, **changes}),))


def stream(*sums: dict) -> Statistics:
    known = {"place": "down", "parameter": "down.weight", "rms": 1.0, "share": 0.5, "gradient": 0.2, "start_rms": 1.0}
    found = (StreamStats(**{**known, "index": 10 + i, "normed": False, **one}) for i, one in enumerate(sums))
    return replace(GOOD, streams=tuple(found))


@pytest.mark.parametrize(
    ("statistics", "codes", "remarks"),
    [
        (attention(logit_std=6.1), ("W601",), ()),
        (attention(logit_std=5.9), (), ()),
        (attention(entropy=0.19), ("W602",), ()),
        (attention(entropy=0.21), (), ()),
        (attention(entropy=0.1, keys=3), (), ()),  # of three keys, one may well be picked
        (with_operation(1, dead=0.76, saturated=0.9, flat=0.5, units=1000, entries=64), ("W701",), ()),
        (with_operation(1, dead=0.74, saturated=0.8, flat=0.5, units=1000, entries=64), (), ()),
        (with_operation(1, dead=0.76, flat=0.5, units=1000, entries=64, gates=True), (), ()),
        (with_operation(3, dead=1.0, saturated=1.0, flat=0.0, units=1000, entries=64), (), ()),  # the readout
        (with_operation(1, dead=1.0, saturated=1.0, flat=0.5, units=4, entries=64), ("W701",), ()),
        (with_operation(1, dead=0.0, saturated=0.71, flat=0.0, units=1000, entries=64), ("W702",), ()),
        (with_operation(1, dead=0.0, saturated=0.69, flat=0.0, units=1000, entries=64), (), ()),
        (with_operation(1, role="time_step", dead=0.9, saturated=0.9, flat=0.0, units=1000, entries=64), (), ()),
        (with_operation(1, dead=0.0, saturated=0.84, flat=0.5, units=1000, entries=64), (), ()),  # half by design
        (with_parameter(twin="other.weight"), (), ("W302",)),
        (with_parameter(twin="other.weight", twin_beside=True, weighs=True), ("W302",), ()),
        (with_parameter(largest=65505.0), (), ("W402",)),
        (with_parameter(largest=65503.0), (), ()),
        (with_parameter(weighs=True, underflow=0.51), (), ("W403",)),
        (with_parameter(weighs=True, underflow=0.49), (), ()),
        (stream({"rms": 101.0}), ("W102",), ()),
        (stream({"rms": 101.0, "normed": True}), (), ()),  # scales do not multiply behind a normalization
        (stream({"rms": 0.0099}), ("W101",), ()),
        (stream({"share": 0.9e-4}), (), ("W104",)),
        (stream({"share": 0.0}), (), ()),  # a branch that starts at zero
        (stream({"gradient": 30.0}, {}), ("W202",), ()),
        (replace(GOOD, sensitivity=0.009), (), ("W203",)),
        (replace(GOOD, sensitivity=101.0), (), ("W204",)),
        (replace(GOOD, sensitivity=99.0), (), ()),
        (with_operation(2, correlation=1 - 0.9e-5), (), ()),  # alone, it cannot be compared
    ],
)
def test_each_new_finding_at_its_bound(
    statistics: Statistics, codes: tuple[str, ...], remarks: tuple[str, ...]
) -> None:
    health = examine(statistics)
    assert (health.codes, health.remarks) == (codes, remarks)
    assert health.healthy is (not codes)


def test_collapse_counts_what_the_input_has() -> None:
    def collapsed(last: float, came: float | None, read: float = 1.0) -> Statistics:
        operations = tuple(
            replace(o, correlation=c) for o, c in zip(GOOD.operations, (0.3, 0.9, last, read), strict=True)
        )
        return replace(GOOD, operations=operations, input_correlation=came)

    assert examine(collapsed(1 - 0.9e-5, 0.0)).codes == ("W103",)
    assert examine(collapsed(1 - 1.1e-5, 0.0)).codes == ()
    assert examine(collapsed(1 - 0.9e-5, 0.9)).codes == ()  # the samples are alike themselves
    assert examine(collapsed(1.0, 0.9999)).codes == ()
    assert examine(collapsed(1.0, 0.0, 0.9)).codes == ()  # what came last lies beside what is read out


def test_no_gradient() -> None:
    def without(**changes) -> Health:
        cut = parameter("layer1.weight", **{"gradient": None, "weighs": True, "reaches": True, **changes})
        return examine(replace(GOOD, parameters=(*GOOD.parameters, cut)))

    assert without().codes == ("W801",)
    assert without(reaches=False).remarks == ("W802",)
    assert without(reaches=None).remarks == ("W802",)
    assert without(used=False, reaches=None).remarks == ("W802",)
    assert without(trainable=False).findings == ()


def test_updates_far_apart() -> None:
    def apart(ratio: float, role: str = "hidden") -> tuple[str, ...]:
        parameters = parameter("a", weighs=True, update=1.0), parameter("b", role, weighs=True, update=1 / ratio)
        return examine(replace(GOOD, parameters=parameters)).remarks

    assert apart(1.1e4) == ("W803",)
    assert apart(0.9e4) == ()
    assert apart(1e9, "query") == ()  # attention starts with tiny gradients for queries and keys


@pytest.mark.parametrize("place", [1, 2])
def test_the_place_is_where_it_happens_and_not_where_it_is_worst(place: int) -> None:
    sizes = [1.0] * place + [1e-4] * (6 - place)
    operations = tuple(operation(i, size, 0.2) for i, size in enumerate(sizes))
    (finding,) = examine(replace(GOOD, operations=operations)).findings
    assert (finding.code, finding.place) == ("W101", f"layer{place} (linear)")
    assert "here" in finding.detail
    slow = tuple(operation(i, 0.2 ** (i + 1), 0.2) for i in range(6))
    (finding,) = examine(replace(GOOD, operations=slow)).findings
    assert finding.place == "layer2 (linear)"  # the first below a hundredth
    assert "in every layer" in finding.detail


def test_the_gradient_gets_lost_behind_the_layer_that_loses_it() -> None:
    operations = tuple(operation(i, 1.0, g) for i, g in enumerate((1e-5, 1e-5, 0.2, 0.2)))
    (finding,) = examine(replace(GOOD, operations=operations)).findings
    assert (finding.code, finding.place) == ("W201", "layer2 (linear)")  # its weight carries the gradient to layer 1


def test_gradients_behind_a_normalization_count_in_units_of_the_signal() -> None:
    small = (operation(0, 0.01, 31.0, renormed=True, start_rms=0.01), operation(1, 1.0, 0.3), operation(2, 1.0, 0.3))
    assert examine(replace(GOOD, operations=small)).healthy
    assert examine(replace(GOOD, operations=tuple(replace(o, renormed=False, start_rms=1.0) for o in small))).codes == (
        "W202",
    )


# ---------------------------------------------------------------------- what a user does with it
def test_assert_healthy() -> None:
    examine(GOOD).assert_healthy()
    loud = examine(replace(GOOD, loss=LossStats(9.0, math.log(10), "")))
    with pytest.raises(UnhealthyError, match=r"(?s)W501 first loss.*Why: .*Remedy: wb\.initialize") as caught:
        loud.assert_healthy()
    assert isinstance(caught.value, AssertionError)
    loud.assert_healthy(allow=("W501",))
    loud.assert_healthy(allow="W501")
    with pytest.raises(UnhealthyError):
        loud.assert_healthy(allow=("W201",))
    with pytest.raises(UnknownNameError, match="W50"):
        loud.assert_healthy(allow=("W50",))


def test_notes_make_no_model_unhealthy() -> None:
    health = examine(with_parameter(twin="other.weight"))
    assert health.healthy
    assert health.codes == ()
    assert repr(health) == "<Health: healthy>"
    health.assert_healthy()
    assert health.without(["W302"]).findings == ()


def test_scalars_are_flat_finite_names() -> None:
    found = examine(with_operation(1, mean=0.1, dead=None, correlation=0.2)).scalars()
    assert found["signal/2 (layer1 (linear))/rms"] == 0.8
    assert found["signal/2 (layer1 (linear))/correlation"] == 0.2
    assert "signal/2 (layer1 (linear))/dead" not in found
    assert found["gradient/1 (layer0 (linear))/norm"] == 0.3
    assert found["loss/ratio"] == pytest.approx(2.5 / math.log(10))
    assert (found["healthy"], found["findings"]) == (1.0, 0.0)
    assert all(type(value) is float for value in found.values())
    assert found.keys() == examine(with_operation(1, mean=0.3, correlation=0.1)).scalars().keys()


def test_the_catalogue_is_whole() -> None:
    assert {code[:2] for code in CATALOGUE} == set(FAMILIES)
    for code, check in CATALOGUE.items():
        compile(check.remedy.format(parameter="fc.weight", names="'fc.weight'"), code, "exec")  # it can be pasted
        assert check.severity in ("unhealthy", "remark")
    names = [name for name, value in vars(bounds).items() if name.isupper() and isinstance(value, float)]
    assert len(names) > 15
    assert all(getattr(bounds, name) > 0 for name in names)


def test_gradients_that_all_vanish() -> None:
    dead = replace(GOOD, operations=tuple(replace(o, gradient=0.0) for o in GOOD.operations))
    assert examine(dead).codes == ("W201",)
    untrained = replace(GOOD, operations=tuple(replace(o, gradient=None) for o in GOOD.operations))
    assert examine(untrained).healthy


def test_silent_branches_pass_no_gradient_by_design() -> None:
    operations = (
        operation(0, 1.0, 0.0),  # inside a branch that ends in zeros
        operation(1, 0.0, 0.2, "residual_out", ends_branch=True),
        operation(2, 1.0, 0.2),
        operation(3, 1.0, 0.1, "readout"),
    )
    assert examine(replace(GOOD, operations=operations)).healthy


def test_findings_say_where_how_much_why_and_what_to_do() -> None:
    (finding,) = examine(with_operation(2, rms=1e-5)).findings
    assert (finding.code, finding.place, finding.value, finding.bound) == ("W101", "layer2 (linear)", 1e-5, 0.01)
    assert finding.why
    assert finding.remedy
    assert examine(with_operation(2, rms=1e-5)).to_dict()["findings"][0]["code"] == "W101"
    assert all(all(check) for check in CATALOGUE.values())


def test_a_framework_has_code_where_the_catalogue_has_words() -> None:
    cut = parameter("layer1.weight", gradient=None, weighs=True, used=False, reaches=None)
    statistics = replace(GOOD, parameters=(*GOOD.parameters, cut))
    (plain,) = (found for found in examine(statistics).findings if found.code == "W802")
    (own,) = (f for f in examine(statistics, {"W802": "own({parameter!r})"}).findings if f.code == "W802")
    assert plain.remedy.startswith("# do not train")
    assert own.remedy == f"own({own.parameter!r})"
    assert replace(own, remedy=plain.remedy) == plain
