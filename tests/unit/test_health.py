"""Findings from statistics written by hand: each code fires, and only where it should."""

import math
from dataclasses import replace

import pytest

from wellbegun.health import CATALOGUE, LossStats, OperationStats, ParameterStats, Statistics, examine


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
