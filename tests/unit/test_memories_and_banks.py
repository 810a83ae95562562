"""State matrices of windows, rotations, filter banks, graphs and splines, against what they are for."""

from functools import partial

import numpy as np
import pytest

from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Built
from wellbegun.schemes import (
    eye,
    graphs,
    he_normal,
    hippo,
    impulses,
    kan,
    normal,
    parse_scheme,
    rotations,
    signals,
    structured,
    vision,
)

EXACT = {"seed": 0, "dtype": "float64"}


@pytest.mark.parametrize("make", [hippo.hippo_legt, hippo.hippo_fout])
@pytest.mark.parametrize("window", [1.0, 2.5])
def test_parts_of_a_memory_belong_together(make, window: float) -> None:
    a, b = (make(part=part, window=window)((12, 12) if part == "a" else (12, 1), **EXACT) for part in ("a", "b"))
    p = make(part="p", window=window)((2 if make is hippo.hippo_legt else 1, 12), **EXACT)
    rest = a + p.T @ p
    assert np.allclose(rest, -rest.T)
    assert np.linalg.eigvals(a).real.max() < 1e-12
    assert np.allclose(a[:, :1], -b)  # of a constant input, the state is e_0
    assert (make(window=window)((3, 12, 12), layout="eoi", **EXACT) == a).all()
    assert (make(window=window)((12, 12), layout="io", **EXACT) == a.T).all()
    wrong = a + 1.1 * p.T @ p
    assert not np.allclose(wrong, -wrong.T)  # the control


def test_the_state_of_a_ramp_is_the_polynomial_of_its_last_window() -> None:
    """u(t) = t over [t - window, t] has mean t - window / 2 and slope window / (2 sqrt(3)) along the first Legendre."""
    for window in (1.0, 3.0):
        a, b = (
            hippo.hippo_legt(part=part, window=window)((6, 6) if part == "a" else (6,), **EXACT) for part in ("a", "b")
        )
        slope = window / (2 * np.sqrt(3))
        for t in (0.0, 1.7):
            state = (t - window / 2) * np.eye(6)[0] + slope * np.eye(6)[1]
            assert np.allclose(a @ state + b * t, np.eye(6)[0])  # moves on with the ramp
            assert not np.allclose(a @ (state + 0.1 * np.eye(6)[1]) + b * t, np.eye(6)[0])


def test_the_state_of_a_wave_turns_with_it() -> None:
    for window, turns in ((1.0, 1), (2.0, 3)):
        a, b = (
            hippo.hippo_fout(part=part, window=window)((8, 8) if part == "a" else (8,), **EXACT) for part in ("a", "b")
        )
        pace = 2 * np.pi * turns / window
        cosine, sine = np.eye(8)[2 * turns] / np.sqrt(2), np.eye(8)[2 * turns + 1] / np.sqrt(2)
        for t in (0.0, 0.3):
            state, moved = (
                np.cos(pace * t) * cosine + np.sin(pace * t) * sine,
                pace * (np.cos(pace * t) * sine - np.sin(pace * t) * cosine),
            )
            assert np.allclose(a @ state + b * np.cos(pace * t), moved)


@pytest.mark.parametrize("angles", ["cayley", "henaff"])
@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_rotations_are_what_their_skew_matrices_make(angles: str, size: int) -> None:
    from scipy.linalg import expm

    a = rotations.skew_blocks(angles=angles, pair="r")((size, size), **EXACT)
    w = rotations.rotation_blocks(angles=angles, pair="r")((size, size), **EXACT)
    made = np.linalg.solve(np.eye(size) + a, np.eye(size) - a) if angles == "cayley" else expm(a)
    assert np.allclose(made, w)
    turned = rotations.rotation_blocks(angles=angles, negative=1, pair="r")((size, size), **EXACT)
    assert np.allclose(turned, made @ np.diag([*np.ones(size - 1), -1]))
    if size > 2:
        assert not np.allclose(rotations.rotation_blocks(angles=angles, pair="s")((size, size), **EXACT), w)
    for scheme in (rotations.skew_blocks, rotations.rotation_blocks):
        law = scheme(angles=angles).law((size, size))
        assert isinstance(law, Built)
        draws = np.stack([scheme(angles=angles)((size, size), seed=seed, dtype="float64") for seed in range(200)])
        found = law.moments((size, size))
        assert abs(draws.mean() - found.mean) < 0.1 / size
        assert draws.var() == pytest.approx(found.variance, rel=0.15, abs=1e-12)


def test_a_unitary_recurrence_from_its_published_parts() -> None:
    """W = D3 R2 F^-1 D2 P R1 F D1: phases uniform on the circle, reflections that any scale of vector gives."""
    n = 16
    phases = [
        parse_scheme("uniform(low=-3.141592653589793, high=3.141592653589793)")(n, name=f"d{k}", **EXACT)
        for k in range(3)
    ]
    diagonals = [np.diag(np.exp(1j * phase)) for phase in phases]
    parts = [parse_scheme("uniform(low=-1.0, high=1.0)")((2, n), name=f"r{k}", layout="oi", **EXACT) for k in range(2)]
    vectors = [part[0] + 1j * part[1] for part in parts]
    first, second = (np.eye(n) - 2 * np.outer(v, v.conj()) / (v.conj() @ v) for v in vectors)
    fourier = np.fft.fft(np.eye(n)) / np.sqrt(n)
    moved = parse_scheme("invertible(part='permutation')")((n, n), **EXACT)
    w = diagonals[2] @ second @ fourier.conj().T @ diagonals[1] @ moved @ first @ fourier @ diagonals[0]
    assert np.allclose(w.conj().T @ w, np.eye(n))
    start = parse_scheme(f"uniform(low={-np.sqrt(1.5 / n)}, high={np.sqrt(1.5 / n)})")((500, 2 * n), **EXACT)
    assert (start**2).sum(axis=1).mean() == pytest.approx(1.0, abs=0.03)


def test_bands_of_sound_are_those_of_the_layer_that_learns_them() -> None:
    """The published forward pass, by its own steps, on the published start."""
    bands, size, rate = 12, 51, 16000.0
    low, band = (signals.sinc_bands(part=part)((bands, 1), **EXACT) for part in ("low", "band"))
    mel = np.linspace(2595 * np.log10(1 + 30 / 700), 2595 * np.log10(1 + (rate / 2 - 100) / 700), bands + 1)
    assert np.allclose(np.append(low, low[-1] + band[-1]), 700 * (10 ** (mel / 2595) - 1))
    first, last = 50 + low, 50 + low + 50 + band
    time = 2 * np.pi * np.arange(-(size - 1) / 2, 0) / rate
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.linspace(0, size / 2 - 1, size // 2) / size)
    left = (np.sin(last * time) - np.sin(first * time)) / (time / 2) * window
    whole = np.concatenate([left, 2 * (last - first), left[:, ::-1]], axis=1) / (2 * (last - first))
    shape = (bands, 1, size)
    assert np.allclose(signals.sinc_bands()(shape, layout="oik", **EXACT)[:, 0], whole)
    assert not np.allclose(signals.sinc_bands(low=40.0)(shape, layout="oik", **EXACT)[:, 0], whole)  # the control


def test_gabor_filters_see_their_own_direction() -> None:
    w = vision.gabor()((64, 2, 21, 21), layout="oikk", **EXACT)
    spectra = np.abs(np.fft.fftshift(np.fft.fft2(w, s=(64, 64)), axes=(-2, -1)))
    peak = np.array(np.unravel_index(spectra.reshape(128, -1).argmax(axis=1), (64, 64))) - 32
    paces = np.hypot(*peak) * 2 * np.pi / 64
    octaves = -2 * np.log2(paces / (np.pi / 2))
    assert np.abs(octaves - octaves.round()).mean() < 0.25
    assert set(octaves.round()) == {0, 1, 2, 3, 4}
    angles = np.degrees(np.arctan2(*peak)) % 180
    assert np.abs((angles + 11.25) % 22.5 - 11.25).mean() < 3


def test_graphs_keep_the_size_of_signals_over_layers() -> None:
    rng = np.random.default_rng(0)
    edges = (rng.random((60, 60)) < 0.1) | np.eye(60, dtype=bool)
    edges |= edges.T
    degrees = edges.sum(axis=1)
    step = edges / np.sqrt(np.outer(degrees, degrees))
    x = np.abs(rng.normal(size=(60, 128)))
    sums = [(np.linalg.matrix_power(step, power) @ x.mean(axis=1)) ** 2 for power in range(7)]
    ends = {}
    for name in ("virgo", "he"):
        signal, x_layer = [], x
        for layer in range(6):
            kept = sums[layer + 1].sum() / sums[layer].sum() if name == "virgo" else 1.0
            w = graphs.virgo(kept=kept)((128, 128), seed=layer, dtype="float64")
            x_layer = np.maximum(step @ x_layer @ w.T, 0)
            signal.append((x_layer**2).mean())
        ends[name] = signal[-1] / signal[0]
    assert 0.5 < ends["virgo"] < 2
    assert abs(np.log(ends["virgo"])) < abs(np.log(ends["he"]))


def test_a_degree_makes_up_for_what_averaging_takes_away() -> None:
    """A ring in which each node averages itself and a neighbour: He's rule loses half of the square of
    independent signals, and twice its variance keeps it. Without averaging that doubles it."""
    ring = (np.eye(256) + np.roll(np.eye(256), 1, 0)) / 2
    x = np.random.default_rng(0).normal(size=(256, 64))
    ratios = {}
    for name, step in (("averaged", ring), ("alone", np.eye(256))):
        for degree in (1.0, 2.0):
            w = graphs.g_init(degree=degree)((256, 64), seed=1, dtype="float64")
            ratios[name, degree] = float((np.maximum(step @ x @ w.T, 0) ** 2).mean() / (x**2).mean())
    expected = {("averaged", 1.0): 0.5, ("averaged", 2.0): 1.0, ("alone", 1.0): 1.0, ("alone", 2.0): 2.0}
    assert ratios == pytest.approx(expected, rel=0.06)
    assert graphs.g_init(degree=1.0).law((8, 4)) == he_normal().law((8, 4))


def test_splines_start_with_the_variance_that_both_ways_agree_on() -> None:
    """Layers of splines and base functions as wide as they are many, on inputs spread over the grid."""
    from scipy.interpolate import BSpline

    grid, degree, width = 5, 3, 64
    curves = BSpline(np.arange(-degree, grid + degree + 1.0) * 2 / grid - 1, np.eye(grid + degree), degree)
    x = np.random.default_rng(0).uniform(-1, 1, 20000)
    square, slope = kan._spline_squares(grid + degree, degree)
    assert (curves(x) ** 2).mean() == pytest.approx(square, rel=0.02)
    assert (curves.derivative()(x) ** 2).mean() == pytest.approx(slope, rel=0.02)
    gate = 1 / (1 + np.exp(-x))
    found = kan._silu_squares()
    assert found == pytest.approx([((x * gate) ** 2).mean(), ((gate * (1 + x * (1 - gate))) ** 2).mean()], rel=0.02)
    terms = grid + degree + 1
    law = kan.kan_glorot().law((width, 10, grid + degree), layout="oik")
    assert law.std**2 == pytest.approx(2 / 3 / (terms * (10 * square + width * slope)))
    base = kan.kan_glorot(of="base", coefficients=grid + degree).law((width, 10))
    assert base.std**2 == pytest.approx(2 / 3 / (terms * (10 * found[0] + width * found[1])))
    assert kan.kan_power(factor=3.0).law((4, 25, 8), layout="oik").std == pytest.approx(3 / np.sqrt(9 * 25))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 3), (1, 4), (6, 6)])
def test_masks_of_nearest_units_are_the_published_ones(shape: tuple[int, int]) -> None:
    inputs, outputs = shape
    x, y = ((np.arange(n) + 0.5) / n for n in shape)
    apart = np.abs(y[:, None] - x).round(9)
    expected = np.zeros(shape)
    expected[np.arange(inputs), apart.argmin(axis=0)] = 1
    expected[apart.argmin(axis=1), np.arange(outputs)] = 1
    assert (kan.kan_mask()(shape, layout="io", **EXACT) == expected).all()


def test_repeated_identities_lose_no_input() -> None:
    w = structured.repeated_identity()((7, 3), **EXACT)
    assert (w.sum(axis=0).tolist(), w.sum(axis=1).tolist()) == ([3, 2, 2], [1] * 7)
    assert (structured.repeated_identity()((3, 7), **EXACT) == w.T).all()
    assert np.allclose(structured.repeated_identity(gain=1e-6)((7, 3), **EXACT), 1e-6 * w, rtol=1e-12, atol=0)
    assert (
        structured.repeated_identity()((4, 2, 3, 3), layout="oikk", **EXACT).reshape(4, 18).sum(axis=0).tolist()
        == [1] * 18
    )


def test_a_chain_hands_on_and_forgets() -> None:
    chain = structured.shifted_identity(gain=1.02, cyclic=False)((5, 5), **EXACT)
    assert np.allclose(np.linalg.matrix_power(chain, 4)[4, 0], 1.02**4)
    assert not np.linalg.matrix_power(chain, 5).any()
    assert np.allclose(np.linalg.matrix_power(structured.shifted_identity()((5, 5), **EXACT), 5), np.eye(5))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: hippo.hippo_legt(part="c"), "part must be one of 'a', 'b', 'p'"),
        (lambda: hippo.hippo_legt(window=0), "window must be a finite number > 0"),
        (lambda: hippo.hippo_legt()((3, 4), seed=0), r"\(N, N\), or a stack of them"),
        (lambda: hippo.hippo_fout()((3, 3), seed=0), "N even"),
        (lambda: hippo.hippo_fout(part="p")((2, 4), seed=0), r"\(1, N\)"),
        (lambda: rotations.rotation_blocks(angles="all"), "angles must be one of 'cayley', 'henaff'"),
        (lambda: rotations.rotation_blocks(negative=5)((4, 4), seed=0), "5 columns or more"),
        (lambda: rotations.skew_blocks()((4, 3), seed=0), "a square matrix"),
        (lambda: signals.sinc_bands(rate=200.0), "rate must be a finite number > 260"),
        (lambda: signals.sinc_bands()((4, 1, 8), seed=0, layout="oik"), "an odd window"),
        (lambda: signals.sinc_bands(part="low")((4, 2), seed=0), r"\(bands, 1\)"),
        (lambda: vision.gabor()((4, 2, 5), seed=0, layout="oik"), "over two axes"),
        (lambda: graphs.virgo(kept=0), "kept must be a finite number > 0"),
        (lambda: graphs.g_init(degree=0), "degree must be a finite number > 0"),
        (lambda: graphs.virgo(mode="both"), "mode must be one of"),
        (lambda: kan.kan_power(of="spline"), "of must be one of 'basis', 'base'"),
        (lambda: kan.kan_power()((3, 3), seed=0), "'oik'"),
        (lambda: kan.kan_glorot()((3, 3, 3), seed=0, layout="oik"), "more than 3 coefficients"),
        (lambda: kan.kan_mask()((3,), seed=0), "that of a matrix"),
    ],
)
def test_what_does_not_fit_is_told(make, match: str) -> None:
    with pytest.raises((ArgumentError, LayoutError), match=match):
        make()


def test_a_noisy_identity() -> None:
    beta = 0.05
    v, o = (eye(gain=sign * beta**0.5, std=0.01)((256, 256), name=f"{sign}", **EXACT) for sign in (1, -1))
    joint = o @ v  # what attention that looks at its own place adds to the stream
    assert abs(np.diag(joint).mean() + beta) < 0.002
    assert (joint - np.diag(np.diag(joint))).std() < 0.1 * beta
    plain = normal(std=0.01)((256, 256), **EXACT)
    assert abs(np.diag(plain @ plain.T - np.diag(plain @ plain.T)).mean() + beta) > 0.02  # the control
    z, weight = np.polynomial.hermite_e.hermegauss(9)
    values = 2.0 * np.eye(3, 5)[..., None] + 0.5 * z  # of every entry
    share = np.broadcast_to(weight / weight.sum() / 15, values.shape)
    moments = eye(gain=2.0, std=0.5).law((3, 5)).moments((3, 5))
    spread = values - moments.mean
    powers = [float((share * spread**power).sum()) for power in (1, 2, 3, 4)]
    size = moments.variance**0.5
    assert powers == pytest.approx([0, size**2, moments.skewness * size**3, moments.kurtosis * size**4], abs=1e-12)


def test_impulses() -> None:
    for taps in (1, 5):
        w = parse_scheme(f"impulse(taps={taps}, gain=2.0)")((400, 1, 3, 3), layout="oikk", **EXACT).reshape(400, 9)
        assert np.allclose((w**2).sum(axis=1), 4.0)
        assert set(np.count_nonzero(w, axis=1)) == {taps}
        assert abs((w != 0).mean(axis=0) - taps / 9).max() < 0.08  # no place is preferred
    assert np.linalg.matrix_rank(w) == 9  # any kernel is a mixture of them
    with pytest.raises(ArgumentError, match="places"):
        impulses.impulse(taps=10)((4, 1, 3, 3), layout="oikk", **EXACT)
    with pytest.raises(LayoutError, match="convolution"):
        impulses.impulse()((4, 9), **EXACT)


def test_attention_starts_as_shifts() -> None:
    grid, width, heads = (4, 6), 64, 9
    table = np.random.default_rng(0).standard_normal((24, width))
    make = partial(impulses.impulse_attention, positions=table, grid=grid, heads=heads)
    q, k = (make(of, pair="qk")((heads * 20, width), **EXACT).reshape(heads, 20, width) for of in ("query", "key"))
    seen = (table - table.mean(axis=1, keepdims=True)) / table.std(axis=1, keepdims=True)
    looks = (seen @ (q.transpose(0, 2, 1) @ k) @ seen.T).argmax(axis=2).reshape(heads, *grid)
    inside = (slice(1, -1), slice(1, -1))
    moves = [np.subtract(np.divmod(looks[head], 6), np.indices(grid))[:, *inside] for head in range(heads)]
    wanted = [(0, 0), (-1, 0), (0, 1), (0, -1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)]
    right = [
        np.mean((move == np.reshape(want, (2, 1, 1))).all(axis=0)) for move, want in zip(moves, wanted, strict=True)
    ]
    assert min(right) == 1.0
    other = make("key", pair="other")((heads * 20, width), **EXACT).reshape(heads, 20, width)
    assert np.allclose((np.stack([q, k, other]) ** 2).sum(axis=(2, 3)), 49.0)
    plain = normal(std=0.1)((heads * 20, width), **EXACT).reshape(heads, 20, width)
    blind = (seen @ (q.transpose(0, 2, 1) @ plain) @ seen.T).argmax(axis=2).reshape(heads, *grid)
    assert np.mean(blind[0] == np.arange(24).reshape(grid)) < 0.3  # the control
    for bad, text in (({"grid": (5, 5)}, "grid"), ({"positions": np.ones((24, width))}, "positions")):
        with pytest.raises(ArgumentError, match=text):
            impulses.impulse_attention(**{"positions": table, "grid": grid} | bad)
    with pytest.raises(ArgumentError, match="span"):
        make()((heads * 30, width), **EXACT)
    with pytest.raises(LayoutError, match="matrix"):
        make()((heads * 20, width, 3), layout="oik", **EXACT)
