"""The one author of messages."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellbegun import _arguments as arguments
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError, WellbegunError


def test_message_pattern() -> None:
    text = arguments.message("he_normal", "mode", "one of 'fan_in', 'fan_out'", "fan_inn", "Did you mean 'fan_in'?")
    assert text == "he_normal: mode must be one of 'fan_in', 'fan_out'; got 'fan_inn'. Did you mean 'fan_in'?"


@pytest.mark.parametrize(
    ("value", "options", "error"),
    [
        (math.nan, {}, ArgumentError),
        (math.inf, {}, ArgumentError),
        (-1, {"minimum": 0}, ArgumentError),
        (0, {"minimum": 0, "exclusive": True}, ArgumentError),
        (True, {}, ArgumentTypeError),
        ("1", {}, ArgumentTypeError),
        (None, {}, ArgumentTypeError),
        ([1.0], {}, ArgumentTypeError),
    ],
)
def test_real_rejects(value: object, options: dict, error: type[Exception]) -> None:
    with pytest.raises(error, match="owner: std must be a finite number"):
        arguments.real("owner", "std", value, **options)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_real_keeps_every_finite_number(value: float) -> None:
    assert arguments.real("owner", "std", value) == value
    assert arguments.real("owner", "std", np.float64(value)) == value


@pytest.mark.parametrize("value", [-1, 2**64, 2**70])
def test_seed_range(value: int) -> None:
    with pytest.raises(ArgumentError, match=r"seed must be an integer in \[0, 2\*\*64\); got"):
        arguments.seed_of("owner", value)


def test_integers_are_those_that_libraries_count_with() -> None:
    assert arguments.integer("owner", "count", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ArgumentError, match=r"owner: count must be an integer in \[1, 2\*\*63\); got"):
        arguments.integer("owner", "count", 2**63, minimum=1)


@pytest.mark.parametrize("value", [1.5, "1", None, True])
def test_seed_type(value: object) -> None:
    with pytest.raises(ArgumentTypeError, match="seed must be an integer"):
        arguments.seed_of("owner", value)


def test_choice_and_known_name_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"one of 'fan_in', 'fan_out'; got 'fan_inn'\. Did you mean 'fan_in'\?"):
        arguments.choice("owner", "mode", "fan_inn", ("fan_in", "fan_out"))
    with pytest.raises(UnknownNameError, match=r"Did you mean 'he_normal'\? Known: he_normal, zeros\.$"):
        arguments.known("scheme", "name", "he_norml", ["zeros", "he_normal"])


def test_of_many_names_one_is_told_or_the_first() -> None:
    with pytest.raises(UnknownNameError, match=r"got 'a990'\. Did you mean 'a99'\?$"):
        arguments.known("scheme", "name", "a990", [f"a{i:02}" for i in range(100)])
    with pytest.raises(UnknownNameError, match=r"Known: a00, .*, a11, and 88 more\.$"):
        arguments.known("scheme", "name", "x", [f"a{i:02}" for i in range(100)])


@pytest.mark.parametrize("shape", ["3", b"3", 2.0, (2, 2.5), (2, None)])
def test_shape_type(shape: object) -> None:
    with pytest.raises(ArgumentTypeError, match="shape must be a tuple of integers >= 0"):
        arguments.shape_of("owner", shape)


def test_shape_accepts_integers_and_numpy() -> None:
    assert arguments.shape_of("owner", 3) == (3,)
    assert arguments.shape_of("owner", np.array([2, 3])) == (2, 3)
    with pytest.raises(ArgumentError):
        arguments.shape_of("owner", (2, -1))


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_dtype_spellings(dtype: object) -> None:
    assert arguments.dtype_of("owner", dtype) == "float32"


@pytest.mark.parametrize("text", ["", "1+1", "f(g())", "a.b", "f(*x)", "lambda: 0", "__import__('os')"])
def test_parse_call_takes_only_plain_calls(text: str) -> None:
    if text == "__import__('os')":  # a plain call: harmless, because names are only looked up in a registry
        assert arguments.parse_call("scheme", text) == ("__import__", ["os"], {})
        return
    with pytest.raises(ArgumentError, match="scheme: name must be a name or a call"):
        arguments.parse_call("scheme", text)


def test_every_error_has_the_one_base() -> None:
    from wellbegun import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) > 8
    assert all(issubclass(value, WellbegunError) for value in classes)
    drawn = errors.__doc__ or ""
    assert all(value.__name__ in drawn for value in classes)


def test_errors_whose_text_cannot_be_written_are_told_by_their_names() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert (arguments.told(Mute()), arguments.typed(Mute())) == ("Mute.", "Mute.")
