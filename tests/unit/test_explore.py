"""What the page shows is what networks do: measurements against direct ones, theory, autograd and known results."""

import base64
import gzip
import itertools
import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import wellbegun as wb
from wellbegun.explore import content, packing, playground
from wellbegun.explore import page as explore_page
from wellbegun.explore.expected import curves
from wellbegun.explore.networks import HOMOGENEOUS, SLOPES, backward, forward, inputs, layers, slope_of
from wellbegun.explore.playground import CHOICES, DEPTHS, KINDS, LAYERS, SCALES, Measured, gains_of, measure
from wellbegun.health import OperationStats, ParameterStats, Statistics, examine
from wellbegun.health.catalogue import COLLAPSE
from wellbegun.reports.html import template
from wellbegun.theory import Signal, Weight, activation_of, moments
from wellbegun.theory.propagation import through_function, through_weight

BY_KEY = {choice.key: choice for choice in CHOICES}
ONE = np.ones(1)


def record(
    key: str, activation: str, width: int, scale: int = SCALES.index(1.0), depth: int = 50
) -> tuple[Measured, int]:
    """The measurement the page shows for a choice, and its row."""
    choice = BY_KEY[key]
    return measured_once(choice.kind, activation, width, depth), content.rows_of(choice, width)[scale]


@cache
def measured_once(kind: str, activation: str, width: int, depth: int) -> Measured:
    return measure(kind, activation, width, gains_of(kind, width), depth=depth)


# ---------------------------------------------------------------------- networks
@pytest.mark.parametrize("activation", SLOPES)
def test_slopes_are_derivatives(activation: str) -> None:
    x, step = np.linspace(-6, 6, 4001) + 1e-4, 1e-6
    phi = activation_of(activation)
    assert np.allclose(slope_of(activation)(x), (phi(x + step) - phi(x - step)) / (2 * step), atol=3e-6)
    z = np.random.default_rng(0).normal(size=400_000)
    second = float(np.mean(slope_of(activation)(z).astype(float) ** 2))
    assert second == pytest.approx(moments(activation).slope, rel=0.01)


@pytest.mark.parametrize("activation", ["gelu", "silu", "tanh", "sigmoid", "elu", "selu"])
def test_slopes_hold_far_out(activation: str) -> None:
    found = slope_of(activation)(np.array([-1e90, -50.0, 50.0, 1e90]))
    assert np.isfinite(found).all()
    assert np.allclose(found[[0, 1]], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("key", "activation", "scale"),
    [
        ("he_normal", "relu", 3),
        ("xavier_uniform", "tanh", 6),
        ("small", "gelu", 1),
        ("large", "selu", 0),
        ("fan_in_uniform", "leaky_relu(0.2)", 5),
        ("orthogonal", "sigmoid", 4),
        ("constant", "elu", 2),
        ("lecun_normal", "linear", 5),
    ],
)
def test_a_record_is_what_the_scheme_itself_does(key: str, activation: str, scale: int) -> None:
    """The scheme is drawn by its own call and multiplied out by hand: no kinds, no gains, no shared passes."""
    width, depth = 64, 20
    measured, row = record(key, activation, width, scale, depth=depth)
    handed, expected = inputs(playground.VALUES // width, width), []
    for index in range(depth):
        w = BY_KEY[key].scheme((width, width), seed=0, name=f"layers.{index}.weight", dtype="float64") * SCALES[scale]
        handed = activation_of(activation)(handed @ w.T)
        expected.append(math.log10(float(np.sqrt(np.mean(handed**2)))))
    assert np.allclose(measured.handed[row], expected, atol=1e-6)
    other = measured.handed[row - 1 if row else row + 1]
    assert not np.allclose(other, expected, atol=1e-3)  # the row next to it is not the same


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_gradients_are_those_of_autograd(activation: str) -> None:
    width, depth = 32, 6
    weights = layers(KINDS["normal"], depth, width)
    gains = np.array([0.7, 1.3])
    passed = forward(weights, activation, inputs(16, width), gains)
    found = backward(weights, passed, gains, (2, depth))
    functions = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "tanh": torch.tanh}
    arriving = torch.tensor(
        wb.fill(wb.normal(std=1).law((16, width)), (16, width), seed=0, name="explore.gradient"), dtype=torch.float64
    )
    for number, (end, gain) in enumerate(itertools.product((2, depth), gains)):
        x, sums = torch.tensor(inputs(16, width)), []
        for weight in weights[:end]:
            sums.append((x @ torch.tensor(weight).T * gain).requires_grad_())
            sums[-1].retain_grad()
            x = functions[activation](sums[-1])
        x.backward(arriving)
        for index in range(end):
            row = playground._row((2, depth), end, index)
            grad = sums[index].grad
            assert grad is not None
            shown = found[index].gradient[row, number % 2] * 10 ** found[index].log_rms[row, number % 2]
            assert np.allclose(shown, grad.numpy(), rtol=1e-3, atol=1e-4 * float(grad.abs().max()))


def test_scale_is_exact_where_the_activation_is_homogeneous(monkeypatch: pytest.MonkeyPatch) -> None:
    gains = np.array([0.05, 1.0, 3.0])
    for activation in HOMOGENEOUS:
        derived = measure("normal", activation, 16, gains)
        with monkeypatch.context() as patch:
            patch.setattr(playground, "HOMOGENEOUS", ())
            run = measure("normal", activation, 16, gains)
        for field in ("handed", "gradient", "flat", "dead", "alike", "shape", "gradient_shape", "findings"):
            assert np.allclose(getattr(derived, field), getattr(run, field), atol=1e-5), (activation, field)


# ---------------------------------------------------------------------- known results
def test_he_keeps_relu_and_xavier_halves_it() -> None:
    he, row = record("he_normal", "relu", 256)
    xavier, other = record("xavier_normal", "relu", 256)
    level = np.arange(1, 51)
    # the mean square of a layer scatters by sqrt(5 / width) around its expectation, and the scatter adds up
    noise = 0.5 * np.sqrt(5 * level / 256) / math.log(10)
    assert (np.abs(he.handed[row]) < 3 * noise + 0.02).all()
    halved = -0.5 * math.log10(2) * level
    assert (np.abs(xavier.handed[other] - halved) < 3 * noise + 0.02).all()
    assert abs(halved[-1]) > 5 * noise[-1]  # the control: halving is seen
    assert np.allclose(xavier.handed[other] - he.handed[row], halved, atol=1e-9)  # the same draws, times sqrt(2)


def test_zeros_pass_no_gradient_and_constants_make_copies() -> None:
    found, row = record("zeros", "tanh", 64)
    ends = np.cumsum(DEPTHS)
    firsts = np.concatenate([np.arange(end - depth, end - 1) for end, depth in zip(ends, DEPTHS, strict=True)])
    assert np.isneginf(found.gradient[row, firsts]).all()
    assert np.isneginf(found.handed[row]).all()
    assert (found.findings[row] & playground.W301 > 0).all()
    same = forward(layers(wb.constant(0.01), 3, 16), "gelu", inputs(8, 16), ONE)
    assert all((each.handed == each.handed[..., :1]).all() for each in same)
    mixed = forward(layers(wb.he_normal(), 1, 16), "gelu", inputs(8, 16), ONE)
    assert not (mixed[0].handed == mixed[0].handed[..., :1]).all()


def test_orthogonal_linear_networks_are_isometries() -> None:
    found, row = record("orthogonal", "linear", 64)
    assert np.allclose(found.handed[row], 0, atol=1e-9)
    normal, other = record("lecun_normal", "linear", 64)
    assert not np.allclose(normal.handed[other], 0, atol=1e-2)


def test_mirrored_pairs_make_relu_an_isometry() -> None:
    found, row = record("mirrored", "relu", 64)
    assert np.allclose(found.handed[row], found.handed[row, 0], atol=1e-9)
    assert found.handed[row, 0] == pytest.approx(-0.5 * math.log10(2), abs=0.01)  # half of the entries are 0
    assert np.allclose(found.alike[row], found.alike[row, 0], atol=1e-9)  # nothing becomes more alike
    plain, other = record("he_normal", "relu", 64)
    assert plain.alike[other, -1] > 0.9


# ---------------------------------------------------------------------- theory beside it
def test_theory_is_the_mean_field_of_the_library() -> None:
    """Against `wellbegun.theory.propagation`, which goes another way: Hermite series, signal by signal."""
    gain = 1.3
    for activation in ("tanh", "gelu", "relu"):
        found = curves(activation, np.array([gain]), 6)[0]
        signal = Signal(1.0)
        for layer in range(6):
            bent = through_function(through_weight(signal, Weight(256, gain**2 / 256)), activation_of(activation))
            signal = bent.signal
            assert found.handed[layer] == pytest.approx(0.5 * math.log10(signal.second), abs=2e-3)


@pytest.mark.parametrize("kind", ["normal", "uniform", "orthogonal", "mirrored"])
@pytest.mark.parametrize("activation", SLOPES)
def test_theory_fits_what_is_measured(kind: str, activation: str) -> None:
    gains, depth = np.array([0.8, 1.0, 1.4]), 10
    found = measure(kind, activation, 256, gains, depth=depth)
    handed, gradient = playground.theory_of(activation, kind, gains, depth)
    start = sum(end for end in DEPTHS if end < depth)
    assert handed is not None
    assert np.abs(found.handed - handed).max() < 0.25  # decades, after 10 layers; a factor sqrt(2) a layer is 1.5
    own = gradient - gradient[:, -1:]
    assert np.abs(found.gradient[:, start : start + depth] - own).max() < 0.35


def test_theory_says_nothing_of_equal_weights() -> None:
    assert not playground.has_theory("constant", KINDS["constant"])
    assert all(playground.has_theory(kind, unit) for kind, unit in KINDS.items() if kind != "constant")


# ---------------------------------------------------------------------- the verdict
def mean_cosine(z: np.ndarray) -> float:
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    return float((unit @ unit.T)[~np.eye(len(z), dtype=bool)].mean())


def statistics_of(key: str, activation: str, width: int, scale: float, depth: int) -> Statistics:
    """What the probe of a framework would measure on this network, with a silent readout behind it."""
    weights = [w * scale for w in layers(BY_KEY[key].scheme, depth, width)]
    x = inputs(playground.VALUES // width, width)
    passed = forward(weights, activation, x, ONE)
    kept = max(playground.VALUES // width // 2, 8)
    half = [each._replace(slopes=each.slopes[:, :kept]) for each in passed]
    back = backward(weights, half, ONE, (depth,))
    rms = [1.0, *(float(np.sqrt(np.mean(each.handed**2))) for each in passed)]
    operations, parameters = [], []
    for index, (each, step) in enumerate(zip(passed, back, strict=True)):
        size = float(np.sqrt(np.mean(each.sums**2)))
        norm = float(10 ** step.log_rms[0, 0])
        name = f"layers.{index}.weight"
        usual = moments(activation).slope ** 0.5
        normal = np.random.default_rng(0).normal(size=100_000)
        told = {
            "correlation": mean_cosine(each.sums[0]) if key != "constant" else None,
            "saturated": float(np.mean(np.abs(each.slopes) < 0.05 * usual)),
            "flat": float(np.mean(np.abs(slope_of(activation)(normal)) < 0.05 * usual)),
            "dead": 0.0, "activation": activation, "units": width, "entries": 16,
        }  # fmt: skip
        operations.append(
            OperationStats(index, str(index), "linear", name, "hidden", rms[index], size, True, norm, **told)
        )
        distinct = len(np.unique(weights[index], axis=0))
        parameters.append(
            ParameterStats(name, "hidden", float(np.abs(weights[index]).mean()), True, norm, units=width,
                           distinct=distinct, locked=width if distinct == 1 else 0)
        )  # fmt: skip
    return Statistics(tuple(operations), tuple(parameters), None, rms[-1])


BITS = {code: getattr(playground, code) for code in ("W101", "W102", "W103", "W201", "W202", "W301", "W702")}
CASES = [
    ("he_normal", "relu", 3), ("xavier_normal", "relu", 3), ("xavier_normal", "tanh", 3), ("large", "tanh", 3),
    ("large", "relu", 3), ("small", "gelu", 3), ("constant", "relu", 3), ("orthogonal", "tanh", 5),
    ("lecun_normal", "selu", 3), ("he_uniform", "selu", 6), ("lecun_normal", "sigmoid", 3), ("orthogonal", "linear", 3),
    ("large", "tanh", 6), ("large", "sigmoid", 5), ("he_normal", "relu", 6),
]  # fmt: skip


@pytest.mark.parametrize(("key", "activation", "scale"), CASES)
def test_verdicts_are_those_of_check(key: str, activation: str, scale: int) -> None:
    measured, row = record(key, activation, 64, scale)
    for number, depth in enumerate(DEPTHS):
        asked = set(examine(statistics_of(key, activation, 64, SCALES[scale], depth)).codes) & set(BITS)
        shown = {code for code, bit in BITS.items() if measured.findings[row, number] & bit}
        if key == "constant":  # the page speaks of symmetry alone
            assert "W301" in asked & shown
        else:
            assert shown == asked, depth


def test_the_verdicts_of_the_textbook() -> None:
    last = len(DEPTHS) - 1

    def codes(key: str, activation: str, **options: int) -> int:
        measured, row = record(key, activation, 64, **options)
        return int(measured.findings[row, last])

    assert codes("he_normal", "relu") == 0
    assert codes("xavier_normal", "relu") == playground.W101 | playground.W201
    assert codes("large", "relu") == playground.W102 | playground.W202
    assert codes("lecun_normal", "selu") == 0
    assert codes("orthogonal", "tanh") == 0
    assert codes("small", "tanh") == playground.W101 | playground.W201
    assert codes("large", "tanh") & playground.W202
    assert codes("mirrored", "relu") == 0
    assert codes("xavier_normal", "relu", scale=SCALES.index(2**0.5)) == 0  # Xavier times sqrt(2) is He


def test_histograms_hold_all_values() -> None:
    found, row = record("large", "linear", 64)
    assert np.allclose(found.shape.sum(axis=-1), 1)
    assert np.allclose(found.gradient_shape.sum(axis=-1), 1)
    at = LAYERS.index(50)
    assert found.shape[row, at, 0] + found.shape[row, at, -1] > 0.99  # all beyond the frame
    small, other = record("small", "linear", 64)
    assert small.shape[other, at, playground.BINS // 2] == 1.0  # all in the bin around 0


# ---------------------------------------------------------------------- packing
def unpack(packed: dict) -> dict[str, np.ndarray]:
    """As the page does it."""
    raw = np.frombuffer(gzip.decompress(base64.b64decode(packed["data"])), np.uint8)
    found = {}
    for name, (at, shape, kind) in packed["fields"].items():
        count = int(np.prod(shape))
        part = raw[at : at + count * int(kind[1])].reshape(int(kind[1]), count)
        found[name] = np.ascontiguousarray(part.T).view({"i2": "<i2", "u1": np.uint8}[kind]).reshape(shape)
    return found


def unlogs(packed: np.ndarray) -> np.ndarray:
    whole = np.cumsum(packed, axis=-1, dtype=np.int64).astype(np.int16)
    return np.where(whole == packing.NOTHING, -np.inf, whole / packing.STEP)


def test_packing_keeps_what_it_promises() -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(scale=20, size=(7, 50))
    logs[2, 10:] = -np.inf
    shares = rng.dirichlet(np.ones(25), size=7)
    packed = unpack(packing.pack({"a": packing.logs(logs), "b": packing.histograms(shares)}))
    back = unlogs(packed["a"])
    assert np.isneginf(back[2, 10:]).all()
    assert np.abs(back[:2] - logs[:2]).max() <= 0.5 / packing.STEP + 1e-12
    assert np.abs((packed["b"] / 255) ** 2 - shares).max() < 0.003


def test_without_guides_the_page_names_help_that_exists(tmp_path: Path) -> None:
    chapters = [{"id": key, "short": short, "title": title} for key, short, title in explore_page.CHAPTERS]

    def story(links: dict[str, str | None]) -> str:
        given = {"guides": links, "helps": explore_page.GUIDES, "chapters": chapters}
        return str(template("chapters.html", "wellbegun.explore", **given, **explore_page._chapters()))

    links = explore_page.guides(tmp_path, None)
    assert links == dict.fromkeys(explore_page.GUIDES)
    alone = story(links)
    assert set(re.findall(r"help\(wellbegun\.(\w+)\)", alone)) == set(explore_page.GUIDES.values())
    assert all(len(getattr(wb, public).__doc__) > 200 for public in explore_page.GUIDES.values())
    assert ".md" not in alone
    assert "help(" not in story(explore_page.guides(tmp_path, "https://example.org/{}.html"))


def test_what_is_left_between_inputs_is_kept_where_a_cosine_would_round_to_one() -> None:
    left = np.array([[1.0, 0.5, 3.7e-3, 2e-5, 0.9e-5, 0.0]])
    back = 10 ** unlogs(packing.logs(content._apart(1 - left)))
    assert np.allclose(back, left, rtol=0.01)
    assert ((back < COLLAPSE) == (left < COLLAPSE)).all()


def test_choices_find_their_rows() -> None:
    for choice in CHOICES:
        for width in playground.WIDTHS:
            gains = gains_of(choice.kind, width)[content.rows_of(choice, width)]
            assert np.allclose(gains, choice.gain(width) * np.array(SCALES))
            law = choice.scheme.law((width, width)).moments((width, width))
            assert gains[3] == pytest.approx(
                math.sqrt(
                    (law.variance + law.mean**2)
                    / KINDS[choice.kind].law((width, width)).moments((width, width)).variance
                )
                if choice.kind != "constant"
                else law.mean
            )


def test_an_interrupt_is_answered_before_all_is_measured() -> None:
    seen: list[int] = []

    def interrupted(done: int, total: int, what: str) -> None:
        seen.append(done)
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        playground.measure_all(interrupted, widths=(16,))
    assert len(seen) < len(playground.groups((16,)))  # those that had begun go on
    playground.measure_all(lambda done, *_: seen.append(done), widths=(16,))  # the control
    assert max(seen) == len(playground.groups((16,)))
