"""The chapters' figures: tiny trainings, fans, halves, fixed points, products, mixed networks, formulas."""

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma

import wellbegun as wb
from wellbegun.explore import content, lessons, training
from wellbegun.explore.playground import KINDS


def test_equal_units_stay_equal_and_random_ones_learn() -> None:
    runs = {key: training.symmetry(scheme) for key, scheme in training.SYMMETRY.items()}
    assert all(np.ptp(frame) == 0 for frame in np.array(runs["zeros"]["hidden"]))
    assert np.abs(runs["zeros"]["gradient"]).max() == 0
    constant = np.array(runs["constant"]["hidden"])
    assert (constant == constant[:, :1]).all()  # the three units
    assert not (constant[0] == constant[-1]).all()  # which do move
    assert runs["random"]["loss"][-1] < 0.05
    assert runs["constant"]["loss"][-1] > 0.4
    assert runs["zeros"]["loss"][-1] == pytest.approx(math.log(2), abs=1e-4)


def test_training_follows_the_gradient() -> None:
    weights = [wb.xavier_normal()((8, 2), seed=0, name="a", dtype="float64"),
               wb.xavier_normal()((2, 8), seed=0, name="b", dtype="float64")]  # fmt: skip
    x, labels = training.spirals(40)
    loss, gradients = training.loss_and_gradients(weights, x, labels)
    tensors = [torch.tensor(w, requires_grad=True) for w in weights]
    out = torch.tanh(torch.tensor(x) @ tensors[0].T) @ tensors[1].T
    expected = torch.nn.functional.cross_entropy(out, torch.tensor(labels))
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert tensor.grad is not None
        assert np.allclose(tensor.grad.numpy(), gradient)


def test_only_fitting_starts_learn_the_spirals() -> None:
    def end(key: str) -> float:
        return training._one_course(training.STARTS[key], 10, 32, 300, training.RATES[-1])["loss"][-1]

    assert end("Xavier normal") < 0.05
    assert end("Naive normal, std 0.01") == pytest.approx(math.log(2), abs=1e-3)


def test_fans_balance_one_direction_each() -> None:
    found = lessons.balance(seeds=8)["curves"]
    sizes = lessons.SHAPES["narrowing"]
    forward_in, backward_in = found["narrowing fan_in linear"]
    forward_out, backward_out = found["narrowing fan_out linear"]
    whole = 50 * math.log10(sizes[0] / sizes[-1])  # hundredths of log10: the root of the ratio of the ends
    assert abs(forward_in[-1]) < 8
    assert forward_out[-1] == pytest.approx(whole, abs=10)
    assert abs(backward_out[0]) < 8
    inner = 50 * math.log10(sizes[1] / sizes[-1])
    assert backward_in[0] == pytest.approx(-inner, abs=10)
    middle_forward, middle_backward = found["narrowing fan_avg linear"]
    assert forward_in[-1] < middle_forward[-1] < forward_out[-1]
    assert backward_in[0] < middle_backward[0] < backward_out[0]
    assert found["equal fan_in tanh"] == found["equal fan_out tanh"] == found["equal fan_avg tanh"]


def test_relu_leaves_half() -> None:
    first, *found = lessons.halves(depth=10)
    assert [each["second"] for each in found] == pytest.approx([(1 + s**2) / 2 for s in lessons.SLOPES_BELOW])
    relu = found[0]
    assert abs(relu["he"][-1]) < 15
    assert relu["xavier"][-1] == pytest.approx(-1505 / 10, abs=15)
    middle = len(relu["after"]) // 2
    assert sum(relu["after"][:middle]) == 0  # nothing below 0
    assert relu["after"][middle] > 0.5
    assert sum(first["before"]) == pytest.approx(1, abs=1e-3)


def test_selu_comes_home_only_with_lecun() -> None:
    found = lessons.homing()
    home = np.array(found["lecun selu"])[:, -1]
    assert np.abs(home - [0, 1]).max() < 0.2
    assert np.array(found["he selu"])[:, -1, 1].min() > 10
    assert np.array(found["lecun relu"])[:, -1].max() < 0.05


def test_tension_moves_sums_from_straight_to_flat() -> None:
    found = lessons.tension()
    assert [each["straight"] for each in found] == sorted((each["straight"] for each in found), reverse=True)
    assert [each["flat"] for each in found] == sorted(each["flat"] for each in found)
    loose, tight = np.array(found[0]["out"]), np.array(found[-1]["out"])
    assert loose[15:26].sum() > 0.95
    assert tight[[0, -1]].sum() > 0.7


def test_mixed_networks_want_mixed_schemes() -> None:
    found = lessons.hybrid()

    def spread(plan: str) -> float:
        both = [*found[plan]["signal"], *found[plan]["gradient"]]
        return max(both) - min(both)

    assert spread("matched") < 1 < min(spread("he"), spread("xavier"))


def test_naive_scales_fit_one_width_only() -> None:
    found = lessons.naive()
    std = min(range(24), key=lambda index: abs(found["stds"][index] - 1 / 16))
    ends = {width: found["rms"]["linear"][width][std][-1] / 100 for width in (16, 64, 256)}
    assert abs(ends[256]) < 2
    assert ends[64] < -10
    assert ends[16] < -20


def test_formulas_give_the_worked_examples() -> None:
    found = lessons.formulas()
    three = found["counts"].index(3)

    def of(table: str, key: str) -> float:
        return found[table][key][three][three]

    assert of("bound", "fan_in_uniform") == pytest.approx(1 / math.sqrt(3), rel=1e-4)
    assert of("std", "xavier_normal") == pytest.approx(math.sqrt(1 / 3), rel=1e-4)
    assert of("bound", "xavier_uniform") == 1
    assert of("std", "he_normal") == pytest.approx(math.sqrt(2 / 3), rel=1e-4)
    assert of("bound", "he_uniform") == pytest.approx(math.sqrt(2), rel=1e-4)
    wide = found["counts"].index(100)
    assert found["std"]["xavier_normal"][wide][three] != found["std"]["lecun_normal"][wide][three]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "constant"])
def test_weights_follow_their_law(kind: str) -> None:
    found = content.weights(KINDS[kind], 64)
    counts, expected = np.array(found["counts"]), np.array(found["expected"])
    total = counts.sum()
    assert np.abs(counts / total - expected).max() < 6 * math.sqrt(expected.max() / total) + 1e-4
    other = np.array(content.weights(KINDS["uniform" if kind != "uniform" else "normal"], 64)["expected"])
    assert np.abs(counts / total - other).max() > 12 * math.sqrt(expected.max() / total)  # the wrong law is seen


def test_orthogonal_keeps_every_length_where_normal_loses_directions() -> None:
    found = lessons.singular(depth=12)
    assert all(value == 0 for row in found["orthogonal"]["values"] for value in row)
    assert np.allclose(found["orthogonal"]["circle"], 1, atol=1e-4)
    # mean log of the singular values of a product of 3 normal matrices: log |det| has a known mean
    n, layers_ = found["width"], 3
    expected = layers_ * np.mean([0.5 * (digamma((n - k) / 2) + math.log(2 / n)) for k in range(n)]) / math.log(10)
    assert np.mean(found["gaussian"]["values"][layers_ - 1]) / 100 == pytest.approx(expected, abs=0.05)
    assert found["gaussian"]["values"][11][-1] < -600
