"""Families of schemes beyond the classic ones: parts, number formats, plans on disk, tensors that belong together."""

import json
import math

import numpy as np
import pytest

from wellbegun import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError
from wellbegun.laws import Built, Computed, Law, Mapped, law_from_dict
from wellbegun.laws.precision import LARGEST
from wellbegun.layout import Layout
from wellbegun.schemes import Card, Scheme, cards, linear_recurrent, parse_scheme, recurrent, ssm

FAMILIES = ("recurrent", "ssm", "linear_recurrent")
CARDS = [card for card in cards() if card.family in FAMILIES]


def law_of(card: Card) -> tuple[Law, tuple[int, ...]]:
    shape = card.layout.canonical_shape(card.shape)
    return parse_scheme(card.example).law(card.shape, layout=card.layout), shape


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_every_part_in_every_format_and_from_disk(card: Card) -> None:
    law, shape = law_of(card)
    read = law_from_dict(json.loads(json.dumps(law.to_dict(), allow_nan=False)))
    assert read == law
    region = tuple(slice(size // 3, max(size // 3 + 1, size - size // 4)) for size in shape)
    exact = fill(law, shape, seed=1, name="w", dtype="float64")
    for dtype, digits in (("float64", 0.0), ("float32", 1e-6), ("bfloat16", 8e-3), ("float16", 1e-3)):
        if np.abs(exact).max() > LARGEST[dtype]:
            continue
        stored = np.zeros(shape, np.uint16) if dtype == "bfloat16" else None
        whole = fill(read, shape, seed=1, name="w", dtype=dtype, out=stored)
        out = np.zeros(whole[region].shape, np.uint16) if dtype == "bfloat16" else None
        assert (fill(law, shape, seed=1, name="w", dtype=dtype, region=region, out=out) == whole[region]).all()
        if isinstance(law, (Built, Computed, Mapped)):  # others have words of their own for each format
            plain = (whole.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else whole
            assert np.abs(plain - exact).max() <= digits * max(1.0, float(np.abs(exact).max()))


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_moments_and_support_are_those_of_draws(card: Card) -> None:
    law, shape = law_of(card)
    drawn = np.stack([fill(law, shape, seed=seed, name="w", dtype="float64") for seed in range(8)])
    found, (low, high) = law.moments(shape), law.support()
    assert low - 1e-12 <= drawn.min() <= drawn.max() <= high + 1e-12
    error = 6 * math.sqrt(max(found.variance, 0) / math.prod(shape)) * 0.4 + 1e-9
    assert abs(drawn.mean() - found.mean) <= max(error, 0.02 * abs(found.mean))
    assert math.isclose(drawn.var(), found.variance, rel_tol=0.25, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: recurrent.forget_bias(order="iigo"), ArgumentError, "forget_bias: order must be letters of the gates"),
        (lambda: recurrent.forget_bias(order="igo"), ArgumentError, "with one f"),
        (lambda: recurrent.forget_bias(order=4), ArgumentTypeError, "forget_bias: order"),
        (lambda: recurrent.forget_bias()(6, seed=0), LayoutError, "a multiple of 4 entries"),
        (lambda: recurrent.forget_bias()((4, 2), seed=0), LayoutError, "that of a bias"),
        (lambda: recurrent.chrono(max_steps=2), ArgumentError, "max_steps must be a finite number > 2"),
        (lambda: recurrent.irnn(gates=2)((3, 2), seed=0), LayoutError, "a multiple of 2 rows"),
        (lambda: recurrent.np_rnn()((3, 2), seed=0), ArgumentError, "a square matrix"),
        (lambda: recurrent.gate_orthogonal()((6, 2), seed=0), LayoutError, "a divisor of the 6 output units"),
        (lambda: linear_recurrent.lru_nu(r_min=0.9, r_max=0.9), ArgumentError, r"r_max must be in \(0.9, 1\]"),
        (lambda: linear_recurrent.lru_nu(r_max=1.1), ArgumentError, "r_max"),
        (lambda: linear_recurrent.lru_theta(max_phase=7), ArgumentError, r"in \(0, 2 pi\]"),
        (lambda: linear_recurrent.rwkv_decay(layer=3, layers=3), ArgumentError, r"layer must be in \[0, 3\)"),
        (lambda: linear_recurrent.rwkv_mix()((2, 3), seed=0), LayoutError, "a vector of channels"),
        (lambda: ssm.hippo_legs()((3, 2), seed=0), LayoutError, "square in its output and input axes"),
        (lambda: ssm.mamba_dt_bias(dt_min=0.1, dt_max=0.01), ArgumentError, "dt_max must be above dt_min and floor"),
        (lambda: ssm.mamba_dt_bias(floor=1.0), ArgumentError, "dt_max must be above dt_min and floor"),
        (lambda: ssm.mamba2_a(low=3, high=2), ArgumentError, r"Uniform: low must be below high"),
        (lambda: ssm.s4d_real(form="exp"), ArgumentError, "form must be one of 'log', 'value'"),
    ],
)
def test_bad_arguments(make, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_gates_in_the_orders_of_frameworks() -> None:
    torch, haiku = recurrent.forget_bias(), recurrent.forget_bias(order="sonnet")
    assert torch(4, seed=0).tolist() == [0, 1, 0, 0]
    assert haiku(4, seed=0).tolist() == [0, 0, 1, 0]
    assert recurrent.forget_bias(order="keras") == torch
    assert round(1 / (1 + math.exp(-1)), 3) == 0.731
    gru = recurrent.chrono(max_steps=10, order="rzn")(9, seed=0)
    assert (gru[3:6] > 0).all()
    assert not gru[[0, 1, 2, 6, 7, 8]].any()
    drawn = recurrent.chrono(max_steps=10)(64, seed=0, name="b")
    assert len(set(drawn[16:32].tolist())) == 16  # one u for each unit
    assert (recurrent.chrono(max_steps=10)(64, seed=0, name="c") != drawn).any()


def test_an_lru_normalizer_follows_the_poles_that_are_stored() -> None:
    options = {"seed": 3, "dtype": "float32"}
    nu = linear_recurrent.lru_nu(r_min=0.9, r_max=0.999)((257,), name="lru.nu_log", **options)
    gamma = linear_recurrent.lru_gamma("lru.nu_log", r_min=0.9, r_max=0.999)((257,), name="lru.gamma_log", **options)
    other = linear_recurrent.lru_gamma("nu_log", r_min=0.9, r_max=0.999)((257,), name="lru.gamma_log", **options)
    modulus = np.exp(-np.exp(nu.astype(np.float64)))
    assert np.allclose(np.exp(2 * gamma.astype(np.float64)), 1 - modulus**2, rtol=1e-5)
    assert np.abs(np.exp(2 * other.astype(np.float64)) - 1 + modulus**2).max() > 0.01  # the control: another stream
    assert np.isfinite(linear_recurrent.lru_nu()((4096,), seed=0, dtype="float16")).all()


def test_state_matrices_of_stacks_and_the_frequencies_of_published_tables() -> None:
    stack = ssm.hippo_legs()((3, 4, 4), seed=0, layout="eoi")
    assert (stack == ssm.hippo_legs()((4, 4), seed=0)).all()
    stored = ssm.hippo_legs()((4, 4), seed=0, layout="io")
    assert (stored == stack[0].T).all()
    assert np.allclose(sorted(np.linalg.eigvals(stack[0])), [-4, -3, -2, -1])
    a = ssm.hippo_legs()((64, 64), seed=0, dtype="float64")
    p = ssm.hippo_legs_p()(64, seed=0, dtype="float64")
    b = ssm.hippo_legs_b()((64, 1), seed=0, dtype="float64")
    skew = a + np.outer(p, p) + 0.5 * np.eye(64)
    assert np.allclose(skew, -skew.T, atol=1e-12)
    assert np.allclose(b[:, 0] ** 2, 2 * p**2)
    halves = ssm.s4d_inv()((5, 32), seed=0, dtype="float64")  # N = 64
    assert np.allclose(halves[4, 31], 64 / np.pi * (64 / 63 - 1))
    for one in (ssm.s4d_lin, ssm.s4d_inv, ssm.hippo_legs_b, ssm.s4d_real):
        assert one()((3, 0), seed=0).shape == (3, 0)
        assert one()((), seed=0, layout="").shape == ()


def test_steps_and_decays_of_mamba() -> None:
    steps = np.logaddexp(0, ssm.mamba_dt_bias()(4096, seed=0, dtype="float64"))
    assert 1e-3 * (1 - 1e-12) <= steps.min() < 1.05e-3
    assert 0.095 < steps.max() <= 0.1 * (1 + 1e-12)
    floored = np.logaddexp(0, ssm.mamba_dt_bias(dt_min=1e-5)(4096, seed=0, dtype="float64"))
    assert math.isclose(floored.min(), 1e-4)
    share = math.log(10) / math.log(1e4)
    assert abs((floored < 1.0000001e-4).mean() - share) < 6 * math.sqrt(share * (1 - share) / 4096)


def test_schemes_for_gates_do_not_depend_on_what_a_layout_says() -> None:
    plain = recurrent.gate_orthogonal(gates=3)((6, 2), seed=0)
    assert (plain == recurrent.gate_orthogonal(gates=3)((6, 2), seed=0, layout=Layout("oi", sections=3))).all()
    for gate in plain.reshape(3, 2, 2):
        assert np.allclose(gate @ gate.T, np.eye(2), atol=1e-6)


def test_families_are_namespaces() -> None:
    assert isinstance(ssm.hippo_legs(), Scheme)
    assert parse_scheme("hippo_legs") == ssm.hippo_legs()
    assert parse_scheme("unit_forget_bias") == recurrent.forget_bias()
