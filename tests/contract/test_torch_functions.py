"""The trees that stand for ATen's operations give what torch gives, in double precision."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from wellbegun.graph import ModelGraph
from wellbegun.torch.trace.functions import ELEMENTWISE, arguments_of, tree_of
from wellbegun.torch.trace.recording import trace

GRID = np.concatenate([np.linspace(-4, 4, 33), [-0.5, 1e-3, 0.99, 30.0]])
ATEN = torch.ops.aten
ARGUMENTS = {  # of those that take more than one value
    "add": [(2.0,), (2.0, 3.0)], "sub": [(2.0,), (2.0, 3.0)], "rsub": [(2.0,), (2.0, 3.0)],
    "mul": [(2.5,)], "div": [(3.0,)],
    "pow": [(2,), (3,), (0.5,), (-1,)], "leaky_relu": [(), (0.2,)], "elu": [(), (0.5,), (0.5, 2.0, 0.7)],
    "celu": [(), (1.5,)], "softplus": [(), (2.0, 5.0)], "hardtanh": [(), (-2.0, 0.5)], "softshrink": [(), (0.3,)],
    "hardshrink": [(), (0.3,)], "threshold": [(0.5, 2.0)], "clamp": [(-1.0, 1.0), (None, 1.0), (-1.0,)],
    "clamp_min": [(0.3,)], "clamp_max": [(0.3,)], "logit": [(), (1e-3,)], "nan_to_num": [(), (1.0, 2.0, 3.0)],
    "eq": [(0.5,)], "ne": [(0.5,)], "lt": [(0.5,)], "le": [(0.5,)], "gt": [(0.5,)], "ge": [(0.5,)],
    "remainder": [(1.5,)], "fmod": [(1.5,)], "floor_divide": [(1.5,)],
}  # fmt: skip
TENSORS = {"maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "logaddexp", "logaddexp2", "xlogy", "special_xlogy",
           "logical_and", "logical_or", "logical_xor", "true_divide", "lerp", "where", "masked_fill", "addcmul",
           "addcdiv", "_prelu_kernel", "copy_", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}  # fmt: skip
CASES = [(name, given) for name in ELEMENTWISE if name not in TENSORS for given in ARGUMENTS.get(name, [()])]


@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_functions_of_one_value(name: str, given: tuple) -> None:
    x = torch.tensor(GRID)
    function = tree_of(name, arguments_of((x, *given), {}))
    assert function is not None
    found = getattr(ATEN, name)(x, *given)
    expected = (found[0] if isinstance(found, tuple) else found).double().numpy()
    np.testing.assert_allclose(function.substitute({"0": _root()})(GRID), expected, rtol=1e-12, atol=1e-14)


def _root():
    from wellbegun.graph.function import ROOT

    return ROOT


@pytest.mark.parametrize("name", sorted(TENSORS - {"copy_", "bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor"}))
def test_functions_of_several_values(name: str) -> None:
    one, two, three = torch.tensor(GRID).abs() + 0.1, torch.tensor(GRID[::-1].copy()), torch.tensor(GRID) * 0.5
    given = {
        "lerp": (one, two, three), "where": (one > two, one, two), "masked_fill": (one, one > two, 3.0),
        "addcmul": (one, two, three), "addcdiv": (one, two, one),
    }.get(name, (one, two))  # fmt: skip
    function = tree_of(name, arguments_of(given, {}))
    assert function is not None
    tensors = [value.numpy() for value in given if isinstance(value, torch.Tensor)]
    values = function.values({str(place): array for place, array in enumerate(tensors)})
    expected = getattr(ATEN, name)(*given).double().numpy()
    np.testing.assert_allclose(np.asarray(values, np.float64), expected, rtol=1e-12, atol=1e-14)


class Through(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.first, self.last, self.function = nn.Linear(4, 4), nn.Linear(4, 2), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.function(self.first(x)))


def behind(graph: ModelGraph):
    return [operation for operation in graph.operations if operation.kind == "pointwise"][-1].function


@pytest.mark.parametrize(
    "function",
    [
        functional.gelu, lambda x: functional.gelu(x, approximate="tanh"), functional.mish,
        lambda x: x * (x > 0), lambda x: torch.where(x > 1, x, x.exp() * 0),
        lambda x: x.trunc() + 0.5 * x, torch.special.bessel_j0, lambda x: torch.erfinv(torch.tanh(x)),
        lambda x: x.clone().mul_(2),
        functional.hardswish, functional.hardsigmoid, functional.hardtanh, functional.relu6, functional.softsign,
        lambda x: functional.hardswish(x.clone(), inplace=True), lambda x: functional.mish(x.clone(), inplace=True),
        lambda x: x.clone().abs_(), lambda x: functional.threshold(x.clone(), 0.1, 0.0, inplace=True),
        lambda x: x.floor_divide(2.0) + 0.1 * x, torch.special.ndtr,
        nn.PReLU(init=0.3), lambda x: torch.polygamma(1, x.abs() + 1), lambda x: torch.special.erfcx(x),
    ],
)  # fmt: skip
def test_what_stands_between_two_layers(function) -> None:
    found = behind(trace(Through(function), (3, 4)))(GRID)
    with torch.no_grad():
        own = function.double() if isinstance(function, nn.Module) else function
        expected = own(torch.tensor(GRID)).double().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10 if not isinstance(function, nn.PReLU) else 0.2, atol=1e-12)
