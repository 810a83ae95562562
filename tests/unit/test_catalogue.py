"""What holds for every scheme of every family: number formats, parts, odd shapes; and figures that sources print."""

import json
from itertools import product

import numpy as np
import pytest

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError, LayoutError
from wellbegun.laws import law_from_dict
from wellbegun.layout import Layout
from wellbegun.schemes import ELSEWHERE, TENSORS, Card, cards, parse_scheme
from wellbegun.schemes.catalogue import CLASSIC

CARDS = cards()
ADDED = [card for card in CARDS if card.family not in {family.__name__.rpartition(".")[2] for family in CLASSIC}]
STEP = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22}  # relative, with room for rounding twice


def values(card: Card, dtype: str = "float64", region=None) -> np.ndarray:
    """Of the card's example, in canonical order."""
    shape = card.layout.canonical_shape(card.shape)
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    stored = wb.fill(law, shape, seed=3, name="w", dtype=dtype, region=region)
    return stored.astype(np.float64)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_any_part_is_that_of_the_whole(card: Card) -> None:
    whole = values(card)
    for cut in product(*[[(0, size), (size // 3, size - 1 if size > 2 else size)] for size in whole.shape]):
        part = values(card, region=cut)
        assert (part == whole[tuple(slice(*bounds) for bounds in cut)]).all()


@pytest.mark.parametrize("dtype", STEP)
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_number_formats_hold_the_same_values(card: Card, dtype: str) -> None:
    """To rounding, where no random words are used; random ones have words of another size."""
    whole = values(card)
    try:
        stored = values(card, dtype)
    except ArgumentError as error:
        assert (card.name, "within the range of float16" in str(error)) == ("convex_lognormal", True)  # noqa: PT017
        return
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    low, high = law.support()
    computed = isinstance(law, (wb.laws.Computed, wb.laws.Constant))  # rounded to nearest
    room = STEP[dtype] * max(abs(low), abs(high)) + 6e-8 if computed else 0.0
    assert low - room <= stored.min() <= stored.max() <= high + room
    if computed:
        assert np.allclose(stored, whole, rtol=STEP[dtype], atol=6e-8)


@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_moments_and_plans(card: Card) -> None:
    law = parse_scheme(card.example).law(card.shape, layout=card.layout)
    assert law_from_dict(json.loads(json.dumps(law.to_dict(), allow_nan=False))) == law
    shape, whole = card.layout.canonical_shape(card.shape), values(card)
    found = law.moments(shape)
    if isinstance(law, wb.laws.Computed):
        assert np.allclose(found[:2], [whole.mean(), whole.var()], rtol=1e-9, atol=1e-15)
        assert law.distribution(shape)([whole.max()])[0] == pytest.approx(1.0)
    else:
        assert abs(whole.mean() - found.mean) < 6 * (found.variance / whole.size) ** 0.5 + 1e-15


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 3), (3, 5), (0, 4), (4, 0), (5,), (1,), (5, 3, 2, 1)])
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_odd_shapes_are_filled_or_refused(card: Card, shape: tuple[int, ...]) -> None:
    scheme = parse_scheme(card.example)
    for layout in {1: ("o", "l"), 2: ("oi", "io", "lo"), 4: ("oikk", "iokk")}[len(shape)]:
        try:
            drawn = scheme(shape, seed=0, layout=layout, dtype="float64")
        except (LayoutError, ArgumentError) as error:
            assert len(str(error)) < 600  # noqa: PT017 - one message that says what fits
        else:
            assert drawn.shape == shape
            assert np.isfinite(drawn).all()


@np.errstate(all="ignore")  # wrong values may be outside of what an invariant computes with
@pytest.mark.parametrize("card", ADDED, ids=lambda card: card.name)
def test_other_schemes_and_scales_fail_the_invariants(card: Card) -> None:
    whole = values(card)
    wrong = [1.2 * whole, np.roll(whole, 1, -1) + 0.7 * abs(whole).max()]
    if not isinstance(parse_scheme(card.example).law(card.shape, layout=card.layout), wb.laws.Normal):
        wrong.append(np.random.default_rng(0).normal(size=whole.shape) * whole.std())
    for other in wrong:
        assert not all(holds(other) for holds in card.invariants.values())


def test_every_word_for_a_tensor_has_schemes() -> None:
    assert {word for card in CARDS for word in card.tensors} == {*TENSORS}


BAD = [
    ("sinusoidal(gain=0)", (4, 4), "sinusoidal: gain must be a finite number > 0"),
    ("sinusoidal(variant='new')", (4, 4), "variant must be one of 'official', 'distinct'"),
    ("sinusoidal", (4, 2), "3 inputs or more"),
    ("zero_hadamard", (2, 3, 4), "one output axis and one input axis, without experts"),
    ("shifted_identity(offset=-1)", (4, 4), "offset must be an integer >= 0"),
    ("sincos_positions(base=1)", (4, 4), "base must be a finite number > 1"),
    ("sincos_positions(last=1)", (4, 4), "last must be"),
    ("sincos_positions", (4, 3), "an even number of units"),
    ("rotary_frequencies", (4, 3), "that of a vector"),
    ("bilinear(channels='some')", (4, 4), "channels must be one of 'own', 'all'"),
    ("bilinear", (4, 4), "that of a convolution, such as 'iokk'"),
    ("block_orthogonal", (4, 4), "that of a convolution, such as 'oikk'"),
    ("spectral_normal(norm=-1)", (4, 4), "norm must be a finite number > 0"),
    ("spectral_normal", (4, 0), "that of a matrix or kernel with entries"),
    ("siren(omega=0)", (4, 4), "omega must be a finite number > 0"),
    ("power_normal", (4, 0), "An axis of size 0 has no scale"),
    ("random_walk(activation='tanh')", (4, 4), "activation must be one of 'relu', 'linear'"),
    ("log_prior(prior=(1, 0))", (2,), "prior must be a finite number > 0"),
    ("log_prior(prior=(1, 2))", (3,), r"\(2,\), one entry for each class"),
    ("focal_prior(prior=1)", (3,), "prior must be below 1"),
    ("inverse_softplus(value=0)", (3,), "value must be a finite number > 0"),
    ("convex_lognormal(correlation=1)", (3, 3), "correlation must be below 1"),
    ("convex_bias(inputs=0)", (3,), "inputs must be an integer >= 1"),
    ("kan_spline(degree=0)", (3, 3), "degree must be an integer >= 1"),
    ("kan_spline", (3, 3), "'oik', or 'iok' in pykan"),
    ("normc", (3,), "one output axis, inputs"),
    ("stft_kernel(window='hamn')", (3, 3), "window must be the name of a window"),
    ("stft_kernel(window=3)", (3, 3), "stft_kernel: window must be a text"),
    ("stft_kernel", (3, 3), "a convolution over one axis"),
    ("loftq([[1.0]], steps=1001)", (1, 1), r"steps must be an integer in \[1, 1001\)"),
    ("net2wider(1.0)", (3,), "net2wider: weight must be an array"),
    ("net2wider(['1', '2'])", (3,), "net2wider: weight must be an array"),
    ("spectral_normal(norm=1e300)", (4, 4), "within the range of float32"),
    ("hyperfan_in(3)", (4, 0), "An axis of size 0 has no scale"),
    ("icnr(normal(), 2, tiled='no')", (4, 4), "tiled must be"),
]


@pytest.mark.parametrize(("text", "shape", "match"), BAD, ids=[row[0] for row in BAD])
def test_bad_arguments_are_one_clear_message(text: str, shape: tuple[int, ...], match: str) -> None:
    layout = {1: "o", 2: "oi", 3: "eio"}[len(shape)]
    with pytest.raises((ArgumentError, LayoutError, ArgumentTypeError), match=match):
        parse_scheme(text)(shape, seed=0, layout=layout)


def test_what_is_known_elsewhere_is_a_call_here() -> None:
    assert len({there for there, *_ in ELSEWHERE}) == len(ELSEWHERE)
    for _, call, _ in ELSEWHERE:
        assert parse_scheme(repr(parse_scheme(call))) == parse_scheme(call)
    calls = {there: parse_scheme(call) for there, call, _ in ELSEWHERE}
    assert calls["XavierFill of Caffe2"].law((5, 12)).high == 0.5
    assert np.isclose(calls["CLIP's logit scale"].law(1).value, np.log(1 / 0.07))
    assert np.isclose(calls["RetNet's queries, keys, values and gates"].law((3, 3)).high, 2**-2.5)
    assert calls["RetinaNet's heads"].law((3, 3)).std == 0.01


# ---------------------------------------------------------------------- figures of sources
def singular(scheme: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.linalg.svd(parse_scheme(scheme)(shape, seed=0, dtype="float64"), compute_uv=False)


def test_sinusoidal_ranks_and_the_remedy() -> None:
    for shape, rank in (((64, 64), 31), ((128, 64), 32), ((64, 63), 63)):
        assert np.linalg.matrix_rank(parse_scheme("sinusoidal")(shape, seed=0, dtype="float64")) == rank
    w = parse_scheme("sinusoidal")((64, 64), seed=0, dtype="float64")
    assert (np.abs(w).max(axis=1) < 1e-12).sum() == 2
    assert singular("sinusoidal(variant='distinct')", (128, 64))[61] > 0.1
    fused = parse_scheme("sinusoidal")((192, 64), seed=0, layout=Layout("oi", sections=3), dtype="float64")
    assert (fused.reshape(3, 64, 64) == w).all()


def test_zero_hadamard_keeps_lengths_where_the_source_says() -> None:
    for shape, least in (((12, 8), 0.5**0.5), ((100, 30), 0.75**0.5), ((64, 24), 1.0), ((5, 9), 1.0)):
        assert np.allclose(singular("zero_hadamard", shape)[[0, -1]], [1.0, least])


def test_bilinear_upsampling_by_the_operation_itself() -> None:
    torch = pytest.importorskip("torch")
    for stride, channels in ((2, 3), (3, 2), (4, 1)):
        size = 2 * stride - stride % 2
        w = parse_scheme("bilinear")((channels, channels, size, size), seed=0, layout="iokk", dtype="float64")
        image = torch.arange(49.0, dtype=torch.float64).reshape(1, 1, 7, 7).expand(1, channels, 7, 7)
        padding = {"stride": stride, "padding": (size - stride + 1) // 2}
        made = torch.nn.functional.conv_transpose2d(torch.ones_like(image), torch.from_numpy(w), **padding)
        assert torch.allclose(made[..., stride:-stride, stride:-stride], torch.ones(()).double())


def test_a_convex_layer_passes_mean_variance_and_correlation_on() -> None:
    """On correlated Gaussian inputs behind ReLU, averaged over weights by their moments, and with power."""
    n, rho, rng = 40, 0.5, np.random.default_rng(0)
    weight, bias = (parse_scheme(text) for text in ("convex_lognormal", f"convex_bias(inputs={n})"))
    mean, variance, *_ = weight.law((3, n)).moments()
    x = np.sqrt(rho) * rng.normal(size=(100_000, 1)) + np.sqrt(1 - rho) * rng.normal(size=(100_000, n))
    sums, squares = np.maximum(x, 0).sum(axis=1), (np.maximum(x, 0) ** 2).sum(axis=1)
    centred = mean * sums + bias.law(3).value
    assert abs(centred.mean()) < 0.02
    assert abs((centred**2 + variance * squares).mean() - 1) < 0.02
    assert abs((centred**2).mean() - rho) < 0.02  # what two units share
    assert abs((centred**2 + 1.2 * variance * squares).mean() - 1) > 0.05


def test_kan_splines_have_the_published_values_on_the_grid() -> None:
    from scipy.interpolate import BSpline

    scheme = parse_scheme("kan_spline(noise=0.3)")
    w = scheme((15, 17, 8), seed=0, layout="iok", dtype="float64")
    for coefficients in w.reshape(-1, 8)[:4]:
        found = BSpline(np.arange(-3, 9) / 5, coefficients, 3)(np.arange(6) / 5)
        assert np.abs(found).max() <= 0.3 / 10 * (1 + 1e-9)
        assert np.abs(found).max() > 0.005
    assert w.var() == pytest.approx(scheme.law((15, 17, 8), layout="iok").moments((17, 15, 8)).variance, rel=0.1)


def test_siren_keeps_the_input_of_its_sines() -> None:
    """As measured: 1.00 at first, then 0.93 to 0.89."""
    x = np.random.default_rng(0).uniform(-1, 1, (512, 2))
    stds = []
    for depth, name in enumerate(["siren_first", *["siren"] * 4]):
        w = parse_scheme(name)((256, x.shape[1]), seed=depth, dtype="float64")
        before = 30 * x @ w.T
        stds.append(before.std())
        x = np.sin(before)
    assert all(0.85 < std < 1.05 for std in stds[1:])
    assert stds[-1] > 0.85


def test_scaled_orthogonal_keeps_mean_squares_in_every_shape() -> None:
    x = np.random.default_rng(0).normal(size=(96, 2000))
    for outputs in (256, 96, 24):
        w = parse_scheme("scaled_orthogonal")((outputs, 96), seed=0, dtype="float64")
        assert (w @ x).var() == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", ["block_orthogonal", "delta_orthogonal"])
def test_orthogonal_convolutions_keep_lengths_of_images(name: str) -> None:
    torch = pytest.importorskip("torch")
    image = torch.randn(1, 4, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for scheme, length in ((name, 1.0), ("orthogonal", None)):
        w = torch.from_numpy(parse_scheme(scheme)((6, 4, 3, 3), seed=0, layout="oikk", dtype="float64"))
        out = torch.nn.functional.conv2d(torch.nn.functional.pad(image, (1, 1, 1, 1), mode="circular"), w)
        assert (abs(float(out.norm() / image.norm()) - 1) < 1e-12) == (length is not None)


def test_conventions_of_other_libraries_have_names() -> None:
    cut = wb.he_normal(truncated=True)
    assert cut == wb.variance_scaling(scale=2, distribution="truncated_normal") != wb.he_normal()
    assert repr(cut) == "he_normal(truncated=True)"
    assert wb.lecun_normal(truncated=True).law((4, 16)).moments().variance == pytest.approx(1 / 16)
    w = wb.dirac(later=True)((2, 2, 4), seed=0, layout="oik")
    assert (w[0, 0].tolist(), wb.dirac()((2, 2, 4), seed=0, layout="oik")[0, 0].tolist()) == (
        [0, 0, 1, 0],
        [0, 1, 0, 0],
    )
    torch = pytest.importorskip("torch")
    assert (torch.nn.init.dirac_(torch.empty(2, 2, 4)).numpy() == w).all()


def test_repeated_channels_are_nearest_upsampling_after_the_shuffle_they_are_for() -> None:
    torch = pytest.importorskip("torch")
    image = torch.arange(18.0, dtype=torch.float64).reshape(1, 2, 3, 3)
    plain, tiled = (parse_scheme(f"icnr(normal(), 4{told})") for told in ("", ", tiled=True"))
    blocks = []
    for scheme in (plain, tiled):
        w = torch.from_numpy(scheme((12, 2, 1, 1), seed=0, layout="oikk", dtype="float64"))
        made = torch.nn.functional.conv2d(image, w)
        if scheme is tiled:  # channels of depth_to_space: the place in the block, then the channel
            made = made.reshape(1, 4, 3, 3, 3).transpose(1, 2).reshape(1, 12, 3, 3)
        shuffled = torch.nn.functional.pixel_shuffle(made, 2)
        assert torch.equal(shuffled[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2), shuffled)
        blocks.append(w)
    assert torch.equal(blocks[0][::4], blocks[1][:3])
    assert not torch.equal(*blocks)
    part = wb.fill(tiled.law((12, 2)), (12, 2), seed=0, region=((2, 8), (0, 2)))
    assert (part == tiled((12, 2), seed=0)[2:8]).all()


def test_the_prior_is_the_first_loss() -> None:
    shares = np.array([0.6, 0.3, 0.1])
    b = parse_scheme("log_prior(prior=(6, 3, 1))")(3, seed=0, dtype="float64")
    assert np.isclose(-(shares * (b - np.log(np.exp(b).sum()))).sum(), -(shares * np.log(shares)).sum())
    assert parse_scheme("log_prior")(10, seed=0, dtype="float64").tolist() == [-np.log(10)] * 10


def test_theory_of_random_weights_does_not_speak_of_formulas() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64))
    batch = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    for rule, told in (("sinusoidal", True), ("he_normal", False)):
        plan = wb.initialize(model, batch, rules=[("0.weight", rule)], seed=0).plan
        reasons = " ".join(row.reason for row in wb.signal_propagation(model, plan, batch).rows)
        assert ("its weight is a formula" in reasons) == told
