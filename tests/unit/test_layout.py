"""Fans against hand-derived values and against torch itself; the algebra of layouts."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import wellbegun as wb
from wellbegun.errors import ArgumentTypeError, LayoutError
from wellbegun.layout import Fans, Layout, resolve

# layer, stored shape, layout, true fan_in, true fan_out (derived by counting terms by hand)
TABLE = [
    ("linear", (5, 3), Layout("oi"), 3, 5),
    ("flax dense", (3, 5), Layout("io"), 3, 5),
    ("lookup", (100, 7), Layout("lo"), 1, 7),
    ("conv", (8, 4, 3, 3), Layout("oikk"), 36, 72),
    ("flax conv", (3, 3, 4, 8), Layout("kkio"), 36, 72),
    ("conv stride 2", (8, 4, 3, 3), Layout("oikk", stride=2), 36, 18),
    ("conv strides 1, 2", (8, 4, 3, 3), Layout("oikk", stride=(1, 2)), 36, 36),
    ("conv 2 groups", (8, 2, 3, 3), Layout("oikk", groups=2), 18, 36),
    ("depthwise, multiplier 2", (8, 1, 3, 3), Layout("oikk", groups=4), 9, 18),
    ("conv 1-d", (8, 4, 5), Layout("oik"), 20, 40),
    ("conv 3-d", (8, 4, 2, 2, 2), Layout("oikkk"), 32, 64),
    ("torch transposed", (4, 8, 4, 4), Layout("iokk", stride=2), 16, 128),
    ("keras transposed", (4, 4, 8, 4), Layout("kkoi", stride=2), 16, 128),
    ("keras depthwise, two outputs for each of 8 channels", (3, 3, 8, 2), Layout("kkoo", groups=8), 9, 18),
    ("flax transposed", (4, 4, 4, 8), Layout("kkio", stride=2, transposed=True), 16, 128),
    ("torch transposed, 2 groups", (4, 4, 3, 3), Layout("iokk", groups=2), 18, 36),
    ("experts in, out", (6, 4, 8), Layout("eio"), 4, 8),
    ("experts out, in", (6, 8, 4), Layout("eoi"), 4, 8),
    ("attention heads", (16, 4, 8), Layout("ioo"), 16, 32),
    ("attention out", (4, 8, 16), Layout("iio"), 32, 16),
    ("bilinear", (5, 3, 4), Layout("oii"), 12, 5),
    ("fused qkv", (48, 16), Layout("oi", sections=3), 16, 16),
    ("lstm gates", (32, 5), Layout("oi", sections=4), 5, 8),
]


@pytest.mark.parametrize(
    ("shape", "layout", "fan_in", "fan_out"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE]
)
def test_fans(shape: tuple[int, ...], layout: Layout, fan_in: float, fan_out: float) -> None:
    assert layout.fans(shape) == Fans(fan_in, fan_out)


def _forward_terms(layer: torch.nn.Module, size: int) -> tuple[float, float]:
    """Average number of weights in one interior output, and of outputs one interior input reaches: counted, with
    weights of one."""
    with torch.no_grad():
        layer.weight.fill_(1)
        x = torch.ones(1, layer.in_channels, *(size,) * (layer.weight.ndim - 2))
    x.requires_grad_(True)
    y = layer(x)
    y.sum().backward()

    def interior(values: torch.Tensor) -> float:
        inner = (..., *(slice(length // 4, length - length // 4) for length in values.shape[2:]))
        return float(values[inner].mean())

    return interior(y.detach()), interior(x.grad)


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(6, 8, 3, bias=False),
        torch.nn.Conv2d(6, 12, 3, groups=3, bias=False),
        torch.nn.Conv2d(6, 6, 3, groups=6, bias=False),
        torch.nn.Conv2d(6, 8, 4, stride=2, bias=False),
        torch.nn.Conv1d(4, 8, 6, stride=3, bias=False),
        torch.nn.ConvTranspose2d(6, 8, 4, stride=2, bias=False),
        torch.nn.ConvTranspose2d(6, 9, 4, stride=2, groups=3, bias=False),
        torch.nn.ConvTranspose1d(4, 8, 6, stride=3, bias=False),
    ],
    ids=str,
)
def test_fans_are_the_terms_a_real_layer_sums(layer: torch.nn.Module) -> None:
    transposed = isinstance(layer, (torch.nn.ConvTranspose1d, torch.nn.ConvTranspose2d))
    axes = ("io" if transposed else "oi") + "k" * (layer.weight.ndim - 2)
    fans = Layout(axes, groups=layer.groups, stride=layer.stride).fans(layer.weight.shape)
    counted = _forward_terms(layer, 60)
    assert np.allclose(fans, counted, rtol=0.02)  # the edge of a window that does not divide the interior
    swapped = fans[::-1]
    if not math.isclose(*fans, rel_tol=0.1):
        assert not np.allclose(swapped, counted, rtol=0.02)


@given(st.permutations(list("oikk")), st.lists(st.integers(1, 6), min_size=4, max_size=4))
def test_canonical_order_is_the_same_for_every_stored_order(order: list[str], sizes: list[int]) -> None:
    by_letter = {"o": [sizes[0]], "i": [sizes[1]], "k": sizes[2:]}
    shape = tuple(by_letter[letter].pop(0) for letter in order)
    layout = Layout("".join(order), transposed=False)
    assert layout.canonical_shape(shape) == tuple(sizes)
    assert layout.fans(shape) == Layout("oikk").fans(tuple(sizes))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Layout("oz"), "made of the letters o i k e l"),
        (lambda: Layout("ok"), "window axes 'k' together with 'o' and 'i'"),
        (lambda: Layout("li"), "one 'l' with 'o'"),
        (lambda: Layout("e"), "experts 'e' together"),
        (lambda: Layout("oi", groups=0), "groups must be an integer >= 1"),
        (lambda: Layout("oikk", stride=0), "stride must be an integer >= 1"),
        (lambda: Layout("oikk", stride=(1, 1, 1)).fans((2, 2, 2, 2)), "stride must be one integer or 2 of them"),
        (lambda: Layout("oi").check((2, 2, 2)), r"Shape \(2, 2, 2\) has 3 axes"),
        (lambda: Layout("oikk", groups=3).check((4, 1, 3, 3)), "groups must be a divisor of the 4 channels"),
        (lambda: Layout("oi", sections=3).check((4, 2)), "sections must be a divisor of the 4 output units"),
        (lambda: Layout("oi", sections=(1, 2)).check((4, 2)), "sizes that add up to 4 output units"),
        (lambda: Layout("o").fans((4,)), "one with fans"),
        (lambda: Layout("oi", sections=(1, 3)).fans((4, 2)), "equal sections"),
    ],
)
def test_bad_layouts(make, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        make()


def test_axes_must_be_text() -> None:
    with pytest.raises(ArgumentTypeError, match="Layout: axes must be letters"):
        Layout(3)


def test_bare_arrays_of_rank_above_two_need_a_layout() -> None:
    with pytest.raises(LayoutError, match=r"layout must be given for an array of rank 4; .*'oikk' torch Conv2d"):
        wb.he_normal()((8, 4, 3, 3), seed=0)
    assert resolve("oi", (3,))[0] == Layout("o")
    assert resolve("oi", ())[0] == Layout("")
    assert resolve("oi", (3, 2))[0] == Layout("oi")


def test_layouts_are_values() -> None:
    assert Layout("oikk", stride=[2, 2]) == Layout("oikk", stride=(2, 2))
    assert hash(Layout("oi")) == hash(Layout("oi"))
    with pytest.raises(AttributeError):
        Layout("oi").groups = 3
