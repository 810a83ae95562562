"""Moments of activations against published numbers, closed forms and torch's own functions."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.graph.function import ROOT, asked, call
from wellbegun.planning.recipes.auto import plain
from wellbegun.theory import ACTIVATIONS, activation_of, frequency, identify, moments
from wellbegun.theory.activations import ACTIVATION_ALIASES

# E phi, E phi^2, E phi'^2 to 8 digits: 25-digit quadrature with mpmath, made outside this project
PUBLISHED = {
    "linear": (0, 1, 1),
    "relu": (0.39894228, 0.5, 0.5),
    "leaky_relu": (0.39495286, 0.50005, 0.50005),
    "leaky_relu(0.2)": (0.31915382, 0.52, 0.52),
    "prelu": (0.29920671, 0.53125, 0.53125),
    "relu6": (0.39894228, 0.49999999808, 0.49999999901),
    "elu": (0.16052057, 0.64494542, 0.66810200),
    "celu(2)": (0.09817995, 0.74936249, 0.76157829),
    "selu": (0, 1, 1.07157499),
    "gelu": (0.28209479, 0.42522148, 0.45585087),
    "gelu_tanh": (0.28203859, 0.42519371, 0.45581785),
    "quick_gelu": (0.28233055, 0.42195281, 0.44954920),
    "silu": (0.20662096, 0.35577552, 0.37948235),
    "mish": (0.24040389, 0.45234219, 0.47908376),
    "softplus": (0.80605918, 0.92124591, 0.29337904),
    "logsigmoid": (-0.80605918, 0.92124591, 0.29337904),
    "softsign": (0, 0.18301402, 0.22767134),
    "tanh": (0, 0.39429449, 0.46440290),
    "lecun_tanh": (0, 0.75043028, 0.80398911),
    "erf": (0, 0.46455905, 0.56941003),
    "hardtanh": (0, 0.51605855, 0.68268949),
    "tanhshrink": (0, 0.18288347, 0.25299188),
    "sigmoid": (0.5, 0.29337904, 0.04483624),
    "hardsigmoid": (0.5, 0.27763909, 0.02770278),
    "hardswish": (0.16621670, 0.33156738, 0.35853152),
    "sin": (0, 0.43233236, 0.56766764),
    "cos": (0.60653066, 0.56766764, 0.43233236),
    "gaussian": (0.57735027, 0.44721360, 0.35777088),
    "squared_relu": (0.5, 1.5, 2),
    "abs": (0.79788456, 1, 1),
    "exp": (1.64872127, 7.38905610, 7.38905610),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_moments(name: str) -> None:
    found = wb.moments(name)
    assert np.allclose(found[:3], PUBLISHED[name], rtol=6e-9, atol=6e-9)


def test_closed_forms() -> None:
    relu = wb.moments("relu")
    assert math.isclose(relu.mean, 1 / math.sqrt(2 * math.pi), rel_tol=1e-13)
    assert math.isclose(relu.gain, math.sqrt(2), rel_tol=1e-13)
    assert math.isclose(wb.moments("sin").second, (1 - math.exp(-2)) / 2, rel_tol=1e-13)
    assert math.isclose(wb.moments("exp").second, math.exp(2), rel_tol=1e-12)
    assert math.isclose(wb.moments("selu").second, 1.0, rel_tol=1e-12)
    assert math.isclose(wb.moments("erf").second, 2 / math.pi * math.asin(2 / 3), rel_tol=1e-12)
    assert math.isclose(wb.moments("tanh").edge_bias_variance, 0.15096463, abs_tol=1e-8)
    assert math.isnan(wb.moments("sigmoid").edge_bias_variance)


@pytest.mark.parametrize("kink", [0.0, 0.1234567, -math.pi / 3, 2.5])
def test_kinks_anywhere_cost_no_accuracy(kink: float) -> None:
    """E max(z - k, 0)^2 and E 1[z > k] in closed form."""
    found = wb.moments(lambda x: np.maximum(x - kink, 0))
    tail, density = math.erfc(kink / math.sqrt(2)) / 2, math.exp(-(kink**2) / 2) / math.sqrt(2 * math.pi)
    assert math.isclose(found.second, (1 + kink**2) * tail - kink * density, rel_tol=1e-10)
    assert math.isclose(found.slope, tail, rel_tol=1e-9)


def test_jumps_and_noise() -> None:
    step = wb.moments(np.sign)
    assert math.isclose(step.second, 1.0, rel_tol=1e-9)
    assert step.gain_backward == math.inf  # no gradient passes a step
    single = wb.moments(lambda x: np.tanh(x.astype(np.float32)).astype(np.float64))
    assert math.isclose(single.second, 0.39429449, rel_tol=1e-6)


def test_scaled_input() -> None:
    assert math.isclose(wb.moments("relu", q=4.0).second, 2.0, rel_tol=1e-12)
    assert math.isclose(wb.moments("tanh", q=1e-8).second, 1e-8, rel_tol=1e-6)


TORCH = {
    "relu": torch.nn.ReLU(),
    "leaky_relu": torch.nn.LeakyReLU(),
    "relu6": torch.nn.ReLU6(),
    "elu": torch.nn.ELU(),
    "celu": torch.nn.CELU(),
    "selu": torch.nn.SELU(),
    "gelu": torch.nn.GELU(),
    "gelu_tanh": torch.nn.GELU(approximate="tanh"),
    "silu": torch.nn.SiLU(),
    "mish": torch.nn.Mish(),
    "softplus": torch.nn.Softplus(),
    "logsigmoid": torch.nn.LogSigmoid(),
    "softsign": torch.nn.Softsign(),
    "tanh": torch.nn.Tanh(),
    "tanhshrink": torch.nn.Tanhshrink(),
    "hardtanh": torch.nn.Hardtanh(),
    "sigmoid": torch.nn.Sigmoid(),
    "hardsigmoid": torch.nn.Hardsigmoid(),
    "hardswish": torch.nn.Hardswish(),
}


@pytest.mark.parametrize("name", TORCH)
def test_functions_are_torch_s_and_are_recognized_by_value(name: str) -> None:
    def theirs(x: np.ndarray) -> np.ndarray:
        return TORCH[name](torch.from_numpy(x)).detach().numpy()

    grid = np.linspace(-9, 9, 1001)
    assert np.allclose(ACTIVATIONS[name](grid), theirs(grid), rtol=1e-7, atol=1e-7)
    expected = ("leaky_relu", 0.01) if name == "leaky_relu" else ("elu" if name == "celu" else name, 0.0)
    assert identify(theirs) == expected


def test_unknown_functions_are_not_taken_for_known_ones() -> None:
    assert identify(lambda x: x * np.tanh(x)) is None
    assert identify(lambda x: np.maximum(x, 0) * 1.2) is None  # another gain than relu's
    assert identify(lambda x: np.tanh(1.01 * x)) is None
    assert identify(lambda x: 3 * x) == ("linear", 3.0)
    assert identify(lambda x: x + 1) is None


@pytest.mark.parametrize(
    ("activation", "error", "match"),
    [
        ("rellu", UnknownNameError, "Did you mean 'relu'"),
        ("tanh(2)", UnknownNameError, "a name with parameters"),
        ("leaky_relu(alpha=1)", ArgumentError, "leaky_relu.slope"),
        (3, ArgumentTypeError, "a name or a function of an array"),
        (lambda x: x.sum(), ArgumentTypeError, "an array of the same shape"),
        (lambda x: 1 / x - 1 / x, ArgumentError, None),
        (lambda x: np.log(x), ArgumentError, "must be finite within"),
    ],
)
def test_bad_activations(activation, error: type[Exception], match: str | None) -> None:
    if match is None:  # zero everywhere: has moments, but no gain
        assert wb.moments(activation).second == 0
        with pytest.raises(error, match="not zero everywhere"):
            wb.gain(activation)
        return
    with pytest.raises(error, match=match):
        wb.moments(activation)


def test_names_and_aliases() -> None:
    assert wb.gain("swish") == wb.gain("silu")
    assert set(ACTIVATION_ALIASES.values()) <= set(ACTIVATIONS)
    assert activation_of("leaky_relu(slope=0.5)")(np.array([-2.0]))[0] == -1
    with pytest.raises(ArgumentError, match="moments: q must be"):
        wb.moments("relu", q=0)


def test_frequency_of_a_sine() -> None:
    assert [frequency(lambda x, w=w: np.sin(w * x)) for w in (1.0, 30.0, -0.5)] == [1.0, 30.0, -0.5]
    for other in (np.tanh, np.cos, lambda x: x, lambda x: np.sin(x) + 1, lambda x: 2 * np.sin(x), np.exp):
        assert frequency(other) is None


def test_what_is_found_of_a_function_is_kept_for_functions_that_are_data_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    looked, steep = list[str](), [1.0]
    monkeypatch.setattr(plain, "moments", lambda function, q: looked.append("at") or moments(function, q=q))

    def second(function: Any) -> float:
        return plain.Points().second(function)

    data = call("maximum", call("multiply", call("add", ROOT, 0.0), 0.75), 0)
    assert second(data) == second(data) == pytest.approx(0.75**2 / 2)
    assert len(looked) == 1
    asked_for = asked(lambda x: steep[0] * x, "scaled")  # a framework's: its values may be others the next time
    assert second(asked_for) == pytest.approx(1.0)
    steep[0] = 2.0
    assert second(asked_for) == pytest.approx(4.0)
