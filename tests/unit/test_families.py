"""Schemes whose tensors belong together, gates, state spaces, adapters, growth: what no single card can see."""

import json
import math
import pickle

import numpy as np
import pytest

import wellbegun as wb
from wellbegun import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError
from wellbegun.laws import Built, Mapped
from wellbegun.layout import Layout
from wellbegun.schemes import (
    Card,
    Scheme,
    adapters,
    cards,
    complex_valued,
    eye,
    flows,
    he_normal,
    hippo,
    hypernetworks,
    kan,
    linear_recurrent,
    orthogonal,
    parse_scheme,
    recurrent,
    signals,
    ssm,
    transfer,
    transformer,
)

NAMES = ("np_rnn", "mimetic", "quaternion", "invertible", "resized_table", "lru_nu", "lru_theta", "mamba_dt_bias")
CARDS = [card for card in cards() if card.name in NAMES]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_formats_are_roundings_of_one_draw(card: Card) -> None:
    shape = card.layout.canonical_shape(card.shape)
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    assert isinstance(law, (Built, Mapped))
    exact = fill(law, shape, seed=1, name="w", dtype="float64")
    for dtype, digits in (("float32", 1e-6), ("float16", 1e-3)):
        stored = fill(law, shape, seed=1, name="w", dtype=dtype)
        assert np.abs(stored - exact).max() <= digits * max(1.0, float(np.abs(exact).max()))
    assert math.isclose(law.moments(shape).variance, exact.var(), rel_tol=0.35)
    assert law.support()[0] <= exact.min() <= exact.max() <= law.support()[1]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: recurrent.forget_bias(order="iigo"), ArgumentError, "forget_bias: order must be letters of the gates"),
        (lambda: recurrent.forget_bias(order="igo"), ArgumentError, "with one f"),
        (lambda: recurrent.forget_bias(order=4), ArgumentTypeError, "forget_bias: order"),
        (lambda: recurrent.forget_bias()(6, seed=0), LayoutError, "a multiple of 4 entries"),
        (lambda: recurrent.forget_bias()((4, 2), seed=0), LayoutError, "that of a bias"),
        (lambda: recurrent.chrono(max_steps=2), ArgumentError, "max_steps must be a finite number > 2"),
        (lambda: recurrent.irnn(gates=2)((3, 2), seed=0), LayoutError, "2 gates of as many rows"),
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
        (lambda: ssm.mamba2_a(low=3, high=2), ArgumentError, r"mamba2_a: high must be above low"),
        (lambda: hippo.hippo_legt()((6, 4, 3, 3), seed=0, layout="oikk"), LayoutError, r"\(N, N\), or a stack of them"),
        (
            lambda: ssm.hippo_legs()((6, 4, 3, 3), seed=0, layout="oikk"),
            LayoutError,
            "square in its output and input axes",
        ),
        (lambda: adapters.pissa(np.eye(3), part="b")((), seed=0), LayoutError, r"\(3, 0\) with a rank of at most 3"),
        (lambda: complex_valued.quaternion()((0, 0), seed=0), LayoutError, "An axis of size 0 has no scale"),
        (lambda: complex_valued.complex_unitary()((0, 0), seed=0), LayoutError, "An axis of size 0 has no scale"),
        (lambda: kan.kan_glorot(of="base", degree=8), ArgumentError, "coefficients must be an integer >= 9"),
        (lambda: transformer.mimetic(alpha=1e308)((8, 8), seed=0), ArgumentError, "one of moderate numbers"),
        (lambda: transformer.mimetic(alpha=1e90)((8, 8), seed=0), ArgumentError, "within the range of float32"),
        (
            lambda: signals.sinc_bands(rate=1e308)((4, 1, 5), seed=0, layout="oik"),
            ArgumentError,
            "range of float32",
        ),
        (lambda: transformer.wang(layers=0), ArgumentError, "layers must be an integer >= 1"),
        (lambda: transformer.mimetic("value", heads=2), ArgumentError, "heads must be 1 for value"),
        (lambda: transformer.mimetic()((8, 4), seed=0), ArgumentError, "no wider than in"),
        (lambda: transformer.mimetic("out")((2, 4), seed=0), ArgumentError, "square for out"),
        (lambda: adapters.lora_a()((0, 4), seed=0), LayoutError, "both above 0"),
        (lambda: adapters.pissa("w"), ArgumentTypeError, "pissa: weight must be an array of finite real numbers"),
        (lambda: adapters.pissa([[math.nan]]), ArgumentError, "finite real numbers"),
        (lambda: adapters.pissa([1.0, 2.0]), ArgumentError, r"a matrix \(out, in\)"),
        (lambda: adapters.pissa([[1.0]], part="base"), ArgumentError, "rank must be given for the base"),
        (lambda: adapters.olora(np.eye(3))((4, 3), seed=0), LayoutError, "a rank of at most 3"),
        (lambda: adapters.loftq(np.eye(3), bits=1), ArgumentError, "bits must be an integer"),
        (lambda: complex_valued.quaternion()((6, 2), seed=0), LayoutError, "a divisor of the 6 output units"),
        (lambda: complex_valued.complex_normal()((6,), seed=0), LayoutError, "fans"),
        (lambda: hypernetworks.hyperfan_in(0), ArgumentError, "main_in must be a finite number > 0"),
        (lambda: hypernetworks.hyperfan_in(4, relu="yes"), ArgumentTypeError, "relu"),
        (lambda: flows.invertible()((4, 3), seed=0), ArgumentError, "a square matrix"),
        (lambda: transfer.weight_selection(np.eye(3))((4, 3), seed=0), LayoutError, "no longer than"),
        (lambda: transfer.net2wider(np.eye(3))((4, 4), seed=0), LayoutError, "longer on axis 0 only"),
        (lambda: transfer.net2wider(np.eye(3))((2, 3), seed=0), LayoutError, "longer on axis 0 only"),
        (lambda: transfer.resized_table(np.eye(3))((5, 2), seed=0, layout="lo"), ArgumentError, r"\(rows, 3\)"),
        (lambda: transfer.resized_table(np.zeros((0, 3))), ArgumentError, "both above 0"),
        (lambda: ssm.s4d_real(form="exp"), ArgumentError, "form must be one of 'log', 'value'"),
    ],
)
def test_bad_arguments(make, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.name)
def test_laws_take_over_a_factor_and_are_values(card: Card) -> None:
    shape = card.layout.canonical_shape(card.shape)
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    assert pickle.loads(pickle.dumps(law)) == law
    assert hash(law) == hash(pickle.loads(pickle.dumps(law)))
    assert len(law.describe()) < 300
    try:
        scaled = law.scaled(2.5)
    except ArgumentError as error:
        assert "factor must be 1" in str(error)  # noqa: PT017 - what has its size by definition
        return
    drawn = fill(law, shape, seed=0, name="w", dtype="float64")
    assert np.allclose(fill(scaled, shape, seed=0, name="w", dtype="float64"), 2.5 * drawn, rtol=1e-9, atol=1e-12)


def test_gates_in_the_orders_of_frameworks() -> None:
    torch, haiku = recurrent.forget_bias(), recurrent.forget_bias(order="haiku")
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
    one = orthogonal()((4 * 64, 64), seed=0, dtype="float64").reshape(
        4, 64, 64
    )  # the control: one matrix for all gates
    assert abs(np.sqrt((one**2).sum(axis=(1, 2)) / 64).mean() - 0.5) < 0.01


def test_families_are_namespaces() -> None:
    assert isinstance(ssm.hippo_legs(), Scheme)
    assert parse_scheme("hippo_legs") == ssm.hippo_legs()
    assert parse_scheme("unit_forget_bias") == recurrent.forget_bias()


def test_a_mimetic_pair_is_the_product_that_it_is_made_of() -> None:
    q, k = (
        transformer.mimetic(of, pair="qk", heads=3)((3 * 16, 48), seed=0, dtype="float64").reshape(3, 16, 48)
        for of in ("query", "key")
    )
    products = q.transpose(0, 2, 1) @ k
    diagonal = np.diagonal(products, axis1=1, axis2=2)
    assert abs(diagonal.mean() - 0.4) < 0.06  # d_head = d / 3
    others = products - np.stack([np.diag(one) for one in diagonal])
    assert np.sqrt((others**2).mean()) < 0.12
    assert np.abs(q[0] - q[1]).max() > 0.1  # each head its own
    full = [transformer.mimetic(of, pair="qk")((48, 48), seed=0, dtype="float64") for of in ("query", "key")]
    assert abs(np.diag(full[0].T @ full[1]).mean() - 0.7) < 0.1
    v, o = (transformer.mimetic(of, pair="vo")((48, 48), seed=0, dtype="float64") for of in ("value", "out"))
    product = (o @ v).T  # x W_V W_O in the order of the paper
    assert abs(np.trace(product) / 48 + 0.4) < 0.1
    assert abs(np.sqrt(((product + 0.4 * np.eye(48)) ** 2).mean() * 48) - 0.4) < 0.02
    stranger = transformer.mimetic("out", pair="another")((48, 48), seed=0, dtype="float64")
    assert abs(np.trace(stranger @ v) / 48) < 0.2  # the control


def test_transformer_scales_against_published_numbers() -> None:
    assert math.isclose(transformer.small_init().law((64, 1024)).std, math.sqrt(2 / (5 * 1024)))
    assert math.isclose(transformer.wang(24).law((1024, 4096)).std, 2 / (24 * math.sqrt(1024)))
    assert math.isclose(transformer.t5_query().law((512, 512)).std, (512 * 64) ** -0.5)


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("make", [adapters.pissa, adapters.olora, adapters.loftq])
def test_adapters_and_their_base_add_up_to_the_weight(make, scale: float) -> None:
    weight = np.random.default_rng(1).standard_normal((10, 7))
    shapes = {"a": (3, 7), "b": (10, 3), "base": (10, 7)}
    a, b, base = (
        make(weight, part=part, rank=3, scale=scale)(shape, seed=0, dtype="float64") for part, shape in shapes.items()
    )
    rest = weight - base - scale * b @ a
    if make is adapters.loftq:
        plain = weight - adapters._Quantized(4, 1).rounded(weight)
        assert np.linalg.norm(rest) < np.linalg.norm(plain)
        assert all(len(np.unique(np.round(row / np.abs(row).max() * 7, 6))) <= 15 for row in base)
    else:
        assert np.allclose(rest, 0, atol=1e-12)
        assert np.abs(weight - base).max() > 0.1
    stored = make(weight, rank=3, scale=scale)((7, 3), seed=0, layout="io", dtype="float64")
    assert (stored == a.T).all()
    assert "10 x 7 numbers" in repr(make(weight))
    assert make(weight) == make(weight.tolist())


def test_orthogonal_factors_add_nothing_and_both_learn() -> None:
    def both(pair: str, other: str) -> tuple[np.ndarray, np.ndarray]:
        kinds = adapters.lora_orthogonal(pair=pair), adapters.lora_orthogonal("b", pair=other)
        a, b = (kind(shape, seed=0, dtype="float64") for kind, shape in zip(kinds, ((6, 40), (30, 6)), strict=True))
        return a, b

    a, b = both("q", "q")
    assert np.abs(b @ a).max() < 1e-14
    assert [int(np.linalg.matrix_rank(factor)) for factor in (a, b)] == [3, 3]
    assert np.allclose([a.std(), b.std()], 0.1 / 2**0.5, rtol=0.2)
    assert abs(np.corrcoef(np.abs(a[:, :30]).ravel(), np.abs(b.T).ravel())[0, 1]) < 0.3  # other words
    assert np.abs(np.linalg.multi_dot(both("q", "k")[::-1])).max() > 1e-3  # of two draws they meet
    with pytest.raises(ArgumentError, match="an even rank"):
        adapters.lora_orthogonal()((5, 8), seed=0)


def test_weights_of_a_framework_are_given_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2))
    plain = adapters.pissa(weight.tolist())
    assert adapters.pissa(weight) == adapters.pissa(weight.detach()) == plain
    assert adapters.pissa(weight.to(torch.bfloat16)) == plain
    with pytest.raises(ArgumentTypeError, match="pissa: weight must be an array"):
        adapters.pissa(torch.zeros(2, 2, device="meta"))
    with pytest.raises(ArgumentTypeError, match="pissa: weight must be an array"):
        adapters.pissa(weight * 1j)
    with pytest.raises(ArgumentTypeError, match="pissa: weight must be an array"):
        adapters.pissa([[1.0], [2.0, 3.0]])


def test_pissa_takes_the_largest_singular_values() -> None:
    weight = np.random.default_rng(1).standard_normal((10, 7))
    base = adapters.pissa(weight, part="base", rank=3)((10, 7), seed=0, dtype="float64")
    assert np.allclose(np.linalg.norm(base, 2), np.linalg.svd(weight)[1][3])


def test_complex_variances_are_those_of_the_modulus() -> None:
    for criterion, second in (("glorot", 2 / 300), ("he", 2 / 200)):
        scheme = complex_valued.complex_normal(criterion=criterion)
        drawn = scheme((100, 200), seed=0, dtype="complex64")
        assert abs((np.abs(drawn) ** 2).mean() / second - 1) < 0.05
        part = complex_valued.complex_normal(criterion=criterion, stored="real")((100, 200), seed=0)
        assert abs((part**2).mean() / (second / 2) - 1) < 0.06
        unitary = complex_valued.complex_unitary(criterion=criterion)((100, 200), seed=0, dtype="complex128")
        assert np.allclose(unitary @ unitary.conj().T, second * 200 * np.eye(100))
    phase = np.angle(drawn).ravel()
    assert np.abs(np.sort(phase) / (2 * np.pi) + 0.5 - np.arange(phase.size) / phase.size).max() < 2.2 / phase.size**0.5


def test_quaternions_have_chi_4_moduli_and_axes_on_the_sphere() -> None:
    from scipy import stats

    w = complex_valued.quaternion(criterion="he")((400, 50), seed=0, dtype="float64").reshape(4, -1)
    modulus = np.sqrt((w**2).sum(axis=0))
    scale = 1 / math.sqrt(2 * 50)
    assert stats.kstest(modulus / scale, stats.chi(4).cdf).pvalue > 1e-4
    assert stats.kstest(modulus / scale, stats.chi(3).cdf).pvalue < 1e-4  # the control
    angle = np.arccos(np.clip(w[0] / modulus, -1, 1))
    assert stats.kstest(angle / np.pi, "uniform").pvalue > 1e-4
    axis = w[1:] / np.sqrt((w[1:] ** 2).sum(axis=0))
    for direction in axis:  # of a uniform point on a sphere each coordinate is uniform
        assert stats.kstest((direction + 1) / 2, "uniform").pvalue > 1e-4
    kernel = complex_valued.quaternion()((8, 3, 3, 3), seed=0, layout="oikk")
    assert kernel.shape == (8, 3, 3, 3)


def test_hypernetworks_make_weights_of_the_asked_variance() -> None:
    features = np.random.default_rng(0).standard_normal((400, 64))
    head = hypernetworks.hyperfan_in(50)((200, 64), seed=0, dtype="float64")
    made = features @ head.T
    assert abs(made.var() * 50 / 2 - 1) < 0.1
    plain = features @ he_normal()((200, 64), seed=0, dtype="float64").T
    assert abs(plain.var() * 50 / 2 - 1) > 10  # the control
    laws = {
        hypernetworks.hyperfan_in(50, biases=True): 2 / (2 * 50 * 16),
        hypernetworks.hyperfan_in(50, makes="bias", biases=True): 2 / (2 * 16),
        hypernetworks.hyperfan_in(50, relu=False, variance=4.0): 1 / (50 * 16 * 4),
        hypernetworks.hyperfan_out(20, makes="bias", main_in=5.0): 2 * (1 - 5 / 20) / 16,
    }
    for scheme, variance in laws.items():
        assert math.isclose(scheme.law((9, 16)).moments().variance, variance)


def test_a_rotation_and_its_parts() -> None:
    for size, seed in ((1, 0), (5, 1), (8, 2), (8, 3)):
        options = {"seed": seed, "dtype": "float64"}
        p, lower, upper, w = (
            flows.invertible(part=part, pair="mix")((size, size), **options)
            for part in ("permutation", "lower", "upper", "rotation")
        )
        s, sign = (flows.invertible(part=part, pair="mix")((size,), **options) for part in ("log_scale", "sign"))
        assert np.allclose(p @ lower @ (upper + np.diag(sign * np.exp(s))), w, atol=1e-12)
        assert np.isclose(np.linalg.det(w), 1)
        kernel = flows.invertible(pair="mix")((size, size, 1, 1), layout="oikk", **options)
        assert (kernel[:, :, 0, 0] == w).all()


def test_growing_keeps_the_function() -> None:
    generator = np.random.default_rng(0)
    first, bias, second = (generator.standard_normal(shape) for shape in ((4, 3), (4,), (2, 4)))
    x = generator.standard_normal((3, 20))
    old = second @ np.tanh(first @ x + bias[:, None])
    a = transfer.net2wider(first)((7, 3), seed=0, dtype="float64")
    c = transfer.net2wider(bias)((7,), seed=0, layout="o", dtype="float64")
    b = transfer.net2wider(second, side="inputs")((2, 7), seed=0, dtype="float64")
    assert np.allclose(b @ np.tanh(a @ x + c[:, None]), old)
    assert not np.allclose(transfer.net2wider(second.T)((7, 2), seed=0).T @ np.tanh(a @ x + c[:, None]), old)
    kernel = generator.standard_normal((2, 4, 3))
    wider = transfer.net2wider(kernel, side="inputs")((2, 6, 3), seed=0, layout="oik", dtype="float64")
    assert np.allclose(wider[:, :2] + wider[:, 4:], kernel[:, :2])


def test_selected_places_are_spread_evenly() -> None:
    table = np.arange(12.0)
    assert transfer.weight_selection(table)(4, seed=0).tolist() == [0, 3, 6, 9]
    assert transfer.weight_selection(table)(5, seed=0).tolist() == [0, 3, 6, 8, 11]
    assert transfer.weight_selection(table)(0, seed=0).shape == (0,)


def test_new_rows_are_like_the_old_ones() -> None:
    old = np.random.default_rng(0).multivariate_normal([1, -2, 0], [[1, 0.8, 0], [0.8, 1, 0], [0, 0, 0.1]], 50)
    grown = transfer.resized_table(old)((4050, 3), seed=0, layout="lo", dtype="float64")
    assert (grown[:50] == old).all()
    assert np.abs(grown[50:].mean(axis=0) - old.mean(axis=0)).max() < 0.08
    assert np.abs(np.cov(grown[50:].T) - np.cov(old.T, ddof=0)).max() < 0.15
    assert (transfer.resized_table(old)((20, 3), seed=0, layout="lo", dtype="float64") == old[:20]).all()


def test_a_normalizer_follows_the_law_that_a_plan_gives_its_poles() -> None:
    torch = pytest.importorskip("torch")
    import wellbegun as wb

    class Unit(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.nu_log, self.gamma_log = (torch.nn.Parameter(torch.zeros(64)) for _ in range(2))
            self.out = torch.nn.Linear(64, 3)

        def forward(self, x):
            decay = torch.exp(-torch.exp(self.nu_log))
            return self.out(x * decay + x * torch.exp(self.gamma_log))

    rules = [wb.Rule("nu_log", "lru_nu(r_min=0.9, r_max=0.99)"), wb.Rule("gamma_log", "lru_gamma")]
    model = Unit()
    plan = wb.plan(model, batch=torch.ones(2, 64), seed=0, rules=rules)
    read = wb.planning.Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert read == plan
    done = wb.apply(model, read).model
    squared = torch.exp(-2 * torch.exp(done.nu_log))
    assert torch.allclose(torch.exp(2 * done.gamma_log), 1 - squared, rtol=1e-4)
    assert 0.9 <= squared.sqrt().min() <= squared.sqrt().max() <= 0.99
    assert plan["gamma_log"].law.law == plan["nu_log"].law  # not that of the whole disc, which the rule named


def test_mapped_laws_are_drawn_on_the_host() -> None:
    from wellbegun.engine.gpu import kernels

    assert kernels(ssm.mamba_dt_bias().law((8,)), "float32") is None
    assert kernels(recurrent.chrono().law((8,)), "float32") is None
    assert len(kernels(recurrent.forget_bias().law((8,)), "float32")) == 0


@pytest.mark.parametrize(
    ("scheme", "shape"),
    [
        (transformer.mimetic(heads=2), (80, 200)),
        (transformer.mimetic("value"), (200, 200)),
        (recurrent.np_rnn(), (200, 200)),
        (flows.invertible(), (60, 60)),
        (flows.invertible(part="permutation"), (60, 60)),
        (flows.invertible(part="lower"), (150, 150)),
        (transfer.resized_table(np.arange(12.0).reshape(4, 3)), (2000, 3)),
    ],
    ids=repr,
)
def test_moments_of_large_tensors_are_not_simulated_as_a_whole(scheme: Scheme, shape: tuple[int, int]) -> None:
    drawn = scheme(shape, seed=1, dtype="float64")
    law = scheme.law(shape)
    found = law.moments(shape)
    assert abs(drawn.mean() - found.mean) < 6 * math.sqrt(found.variance / drawn.size)
    assert math.isclose(drawn.var(), found.variance, rel_tol=0.06)
    assert law.moments(shape) == found


def test_known_gates_are_looked_at() -> None:
    three, one = Layout("o", sections=3), Layout("o", sections=1)
    for wrong in (
        lambda: recurrent.forget_bias().law((24,), layout=three),
        lambda: recurrent.chrono().law((8,), layout=one),
    ):
        with pytest.raises(LayoutError, match="one for each gate"):
            wrong()
    assert recurrent.forget_bias(order="rzn")((24,), seed=0, layout=three)[8:16].tolist() == [1.0] * 8
    gates = Layout("oi", sections=4)
    blocks = np.tile(np.eye(4), (4, 1))
    assert (recurrent.irnn()((16, 4), seed=0, layout=gates) == blocks).all()
    assert (eye()((16, 4), seed=0, layout=gates) == blocks).all()
    assert (recurrent.forget_bias(order="sonnet")(4, seed=0) == [0, 1, 0, 0]).all()  # i, f, g, o in its code


def test_one_state_in_many_channels_is_no_ladder() -> None:
    assert not ssm.s4d_real()((32, 1), seed=0).any()  # ln 1
    assert ssm.hippo_legs_b()((3, 1), seed=0).ravel()[2] > 2  # a column, as its matrices have it


def test_windows_that_are_zero_are_refused() -> None:
    with pytest.raises(LayoutError, match="is zero"):
        signals.stft_kernel().law((3, 1, 2), layout="oik")
    assert np.isfinite(signals.stft_kernel(window=None)((3, 1, 2), seed=0, layout="oik")).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("text", ["lru_nu()", "lru_gamma()", "mamba2_a()", "delta_net_a()", "ones()"])
def test_scalars_of_few_bits(text: str, dtype: str) -> None:
    exact, stored = (parse_scheme(text)((), seed=3, dtype=each) for each in ("float64", dtype))
    assert stored.shape == ()
    assert math.isclose(float(stored), float(exact), rel_tol=1 / 100)


@pytest.mark.parametrize("text", ["spectral_normal()", "spectral_normal(norm=2.0)", "gabor()", "np_rnn()"])
@pytest.mark.parametrize("size", [5, 16, 72])
def test_moments_of_what_is_built_are_those_of_draws(text: str, size: int) -> None:
    shape, layout = ((size, size, 3, 3), "oikk") if "gabor" in text else ((size, size), "oi")
    law = parse_scheme(text).law(shape, layout=layout)
    drawn = [(fill(law, shape, seed=seed, dtype="float64") ** 2).mean() for seed in range(max(4, 256 // size))]
    found = law.moments(shape)
    spread = 6 * float(np.std(drawn)) / math.sqrt(len(drawn)) * math.sqrt(2)
    assert abs(found.variance + found.mean**2 - float(np.mean(drawn))) <= spread + 0.02 * float(np.mean(drawn))


def test_splines_of_a_high_degree() -> None:
    law = kan.kan_glorot(degree=8).law((5, 4, 12), layout="oik")
    assert law != kan.kan_glorot().law((5, 4, 12), layout="oik")


def test_noise_beside_an_identity_is_complex_in_complex_tensors() -> None:
    noise = wb.eye(std=0.1)((64, 64), seed=0, dtype="complex128") - np.eye(64)
    for part in (noise.real, noise.imag):
        assert math.isclose(part.std(), 0.1 / math.sqrt(2), rel_tol=0.1)
    assert abs(np.corrcoef(noise.real.ravel(), noise.imag.ravel())[0, 1]) < 0.1
