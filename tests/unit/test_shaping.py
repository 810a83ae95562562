"""DKS and TAT: numbers of the published package, every condition by a quadrature of its own, and a control."""

import math
from collections.abc import Callable

import numpy as np
import pytest

import wellbegun as wb
from wellbegun.theory import Shaped, dks, tat, tat_leaky_relu

Z, W = np.polynomial.hermite_e.hermegauss(120)
W = W / W.sum()


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


CLOSED: dict[str, tuple[Callable, Callable, Callable]] = {  # function, first and second derivative
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2, lambda x: -2 * np.tanh(x) * (1 - np.tanh(x) ** 2)),
    "softplus": (lambda x: np.logaddexp(0, x), _sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "sigmoid": (
        _sigmoid,
        lambda x: _sigmoid(x) * _sigmoid(-x),
        lambda x: _sigmoid(x) * _sigmoid(-x) * (1 - 2 * _sigmoid(x)),
    ),
}


PUBLISHED = {  # dks 0.1.2 for a chain: alpha, beta, delta, gamma
    ("tanh", 50, dks): (0.128440478716, 0.570779547599, -0.509807241802, 10.6044476273),
    ("softplus", 50, dks): (0.326625173513, 0.409373968015, -0.931284302172, 5.09484288510),
    ("gelu", 20, dks): (0.194805054688, 0.253568378173, -0.166111042673, 7.35244562569),
    ("tanh", 20, tat): (0.129712024410, 0.537835860174, -0.493735696768, 10.1358550496),
    ("gelu", 50, tat): (0.0817401195890, 0.326832801211, -0.204302957486, 16.2604774202),
}


@pytest.mark.parametrize(("name", "layers", "method"), PUBLISHED)
def test_numbers_of_the_package(name: str, layers: int, method: Callable[[str, int], Shaped]) -> None:
    found = method(name, layers)
    numbers = found.alpha, found.beta, found.delta, found.gamma
    assert numbers == pytest.approx(PUBLISHED[name, layers, method], rel=1e-6)


@pytest.mark.parametrize(("layers", "slope"), [(20, 0.18138027), (50, 0.43052295)])
def test_slopes_of_tailored_rectifiers(layers: int, slope: float) -> None:
    assert tat_leaky_relu(layers)[0] == pytest.approx(slope, rel=1e-6)


def averages(name: str, found: Shaped) -> tuple[float, ...]:
    """E f, E f^2, E f f' z, E f'^2, E f''^2."""
    function, first, second = CLOSED[name]
    x = found.alpha * Z + found.beta
    f = found.gamma * (function(x) + found.delta)
    one, two = found.gamma * found.alpha * first(x), found.gamma * found.alpha**2 * second(x)
    return tuple(float(W @ part) for part in (f, f**2, f * one * Z, one**2, two**2))


@pytest.mark.parametrize("name", sorted(CLOSED))
@pytest.mark.parametrize("depth", [4, 100])
def test_dks_and_tat_meet_their_conditions(name: str, depth: int) -> None:
    shaped = dks(name, depth)
    assert averages(name, shaped)[:4] == pytest.approx((0, 1, 1, 1.5 ** (1 / depth)), abs=1e-7)
    assert averages(name, dks(name, depth, zeta=2.0))[3] ** depth == pytest.approx(2, abs=1e-5)
    tailored = tat(name, depth)
    mean, *rest = averages(name, tailored)
    assert rest == pytest.approx((1, 1, 1, 0.3 / depth), abs=1e-7)
    assert abs(mean) > 1e-3  # TAT gives up what DKS holds
    assert averages(name, shaped._replace(beta=shaped.beta + 0.1))[1] != pytest.approx(1, abs=1e-4)  # the control
    assert float(shaped.of(name)(np.array([0.5]))[0]) == pytest.approx(
        shaped.gamma * (CLOSED[name][0](shaped.alpha * 0.5 + shaped.beta) + shaped.delta)
    )


def test_other_nets_are_told_by_a_function() -> None:
    assert dks("tanh", lambda s: s**20) == pytest.approx(dks("tanh", 20), rel=1e-6)
    assert tat("tanh", lambda k: 20 * k) == pytest.approx(tat("tanh", 20), rel=1e-6)
    half = dks("tanh", lambda s: (0.5 + 0.5 * s) ** 20)  # branches with half of the weight bend less, so they may more
    assert averages("tanh", half)[3] == pytest.approx(2 * 1.5 ** (1 / 20) - 1, abs=1e-7)
    with pytest.raises(wb.errors.ArgumentError, match=r"dks: depth must be a function that rises from below 1\.5 at 1"):
        dks("tanh", lambda s: 1.0)


def test_a_tailored_relu_maps_orthogonal_inputs_to_the_cosine_that_is_asked() -> None:
    for depth, eta in ((20, 0.9), (60, 0.7)):
        slope, gamma = tat_leaky_relu(depth, eta=eta)
        angle, c = np.arange(20_000) * math.pi / 10_000, 0.0
        for _ in range(depth):  # f is homogeneous: E f(x) f(y) is twice its average over the circle
            f, g = (gamma * np.where(x > 0, x, slope * x) for x in (np.cos(angle), np.cos(angle - math.acos(c))))
            c = 2 * float((f * g).mean())
        assert c == pytest.approx(eta, abs=1e-5)
        assert gamma**2 * (1 + slope**2) == pytest.approx(2)
    assert tat_leaky_relu(2)[0] == 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dks("relu", 10), "dks: activation must be one that alpha, beta, gamma and delta can bring"),
        (lambda: tat("relu", 10), "tat: activation must be a smooth one; got 'relu'. See tat_leaky_relu"),
        (lambda: dks("tanh", 0), "dks: depth must be an integer >= 1"),
        (lambda: dks("tanh", 3, zeta=1), "dks: zeta must be a finite number > 1"),
        (lambda: tat_leaky_relu(3, eta=1), "tat_leaky_relu: eta must be between 0 and 1"),
    ],
)
def test_bad_arguments(make: Callable[[], object], words: str) -> None:
    with pytest.raises(wb.errors.ArgumentError, match=words):
        make()
