"""DKS and TAT: the published package's numbers, the conditions by another quadrature, and what deep chains do."""

import math

import numpy as np
import pytest
from scipy.special import erf

from wellbegun.errors import ArgumentError
from wellbegun.schemes import orthonormal
from wellbegun.theory import moments, shaped_activation

# dks 0.1.2 for a chain: scale and shift of the input, shift and scale of the output
PUBLISHED = {
    ("tanh", 50, "dks"): (0.128440478716, 0.570779547599, -0.509807241802, 10.6044476273),
    ("softplus", 50, "dks"): (0.326625173513, 0.409373968015, -0.931284302172, 5.09484288510),
    ("gelu", 20, "dks"): (0.194805054688, 0.253568378173, -0.166111042673, 7.35244562569),
    ("silu", 50, "dks"): (0.184428613619, 0.348817921761, -0.212465244726, 8.08139614182),
    ("tanh", 20, "tat"): (0.129712024410, 0.537835860174, -0.493735696768, 10.1358550496),
    ("softplus", 50, "tat"): (0.212101216447, 0.540025075040, -0.997045584875, 7.45573627225),
    ("gelu", 50, "tat"): (0.0817401195890, 0.326832801211, -0.204302957486, 16.2604774202),
}


@pytest.mark.parametrize(("name", "layers", "method"), PUBLISHED)
def test_numbers_of_the_package(name: str, layers: int, method: str) -> None:
    found = shaped_activation(name, layers, method=method)
    numbers = found.input_scale, found.input_shift, found.output_shift, found.output_scale
    assert numbers == pytest.approx(PUBLISHED[name, layers, method], rel=1e-6)


@pytest.mark.parametrize(("layers", "slope"), [(20, 0.18138027), (50, 0.43052295)])
def test_slopes_of_tailored_rectifiers(layers: int, slope: float) -> None:
    found = shaped_activation("relu", layers, method="tat")
    assert found == shaped_activation("leaky_relu", layers, method="tat")
    x = np.array([-2.0, 0.0, 3.0])
    scale = math.sqrt(2 / (1 + slope**2))
    assert found(x) == pytest.approx(scale * np.where(x < 0, slope * x, x), rel=1e-6)


@pytest.mark.parametrize("function", [np.tanh, lambda x: x / 2 * (1 + erf(x / math.sqrt(2))), np.arctan])
def test_conditions_by_another_quadrature(function) -> None:
    nodes, weights = np.polynomial.hermite_e.hermegauss(150)
    weights, step = weights / weights.sum(), 1e-4

    def square(phi, q: float) -> float:
        return float(weights @ phi(math.sqrt(q) * nodes) ** 2)

    for method in ("dks", "tat"):
        phi = shaped_activation(function, 30, method=method)
        first = (phi(nodes + step) - phi(nodes - step)) / (2 * step)
        second = (phi(nodes + step) - 2 * phi(nodes) + phi(nodes - step)) / step**2
        assert square(phi, 1.0) == pytest.approx(1)
        assert (square(phi, 1 + step) - square(phi, 1 - step)) / (2 * step) == pytest.approx(1, rel=1e-5)
        if method == "dks":
            assert weights @ phi(nodes) == pytest.approx(0, abs=1e-7)
            assert (weights @ first**2) ** 30 == pytest.approx(1.5, rel=1e-4)
        else:
            assert weights @ first**2 == pytest.approx(1, rel=1e-6)
            assert 30 * (weights @ second**2) == pytest.approx(0.3, rel=1e-3)


def test_deep_chains_keep_inputs_apart_and_alike() -> None:
    """Cosines of inputs behind 50 layers; of plain ReLU they all become 1, of tanh 0 is held and the rest is lost."""
    width, rng = 128, np.random.default_rng(0)
    start = rng.normal(size=(2, width))
    start[1] = 0.5 * start[0] + math.sqrt(0.75) * start[1]
    start /= np.sqrt((start**2).mean(axis=1, keepdims=True))
    ends = {}
    chains = {
        "dks": shaped_activation("softplus", 50),
        "tat": shaped_activation(np.tanh, 50, method="tat"),
        "leaky": shaped_activation("relu", 50, method="tat"),
        "relu": lambda x: math.sqrt(2) * np.maximum(x, 0),
    }
    for name, phi in chains.items():
        x = start
        for layer in range(50):
            x = phi(x @ orthonormal.scaled_orthogonal()((width, width), seed=layer, dtype="float64").T)
        ends[name] = float(x[0] @ x[1] / np.linalg.norm(x[0]) / np.linalg.norm(x[1]))
        assert 0.3 < (x**2).mean() < 3, name
    assert ends["dks"] == pytest.approx(0.5, abs=0.25)
    assert 0.4 < ends["tat"] < 0.75
    assert 0.85 < ends["leaky"] < 0.975
    assert ends["relu"] > 0.98


def test_it_is_called_like_what_it_is_made_of() -> None:
    torch = pytest.importorskip("torch")
    phi = shaped_activation(torch.tanh, 10)
    x = torch.linspace(-2, 2, 5, dtype=torch.float64, requires_grad=True)
    phi(x).sum().backward()
    assert np.allclose(phi(x).detach().numpy(), shaped_activation("tanh", 10)(x.detach().numpy()))
    assert (x.grad > 0).all()
    assert moments(phi).slope == pytest.approx(1.5**0.1, rel=1e-6)
    leaky = shaped_activation("relu", 10, method="tat")(x)
    assert isinstance(leaky, torch.Tensor)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"activation": "tanh", "layers": 0}, "layers must be an integer >= 1"),
        ({"activation": "tanh", "layers": 5, "method": "mup"}, "method must be one of 'dks', 'tat'"),
        ({"activation": "tanh", "layers": 5, "target": 1.0}, "target must be a finite number > 1"),
        ({"activation": "relu", "layers": 5, "method": "tat", "target": 1.0}, r"in \(0, 1\)"),
        ({"activation": "linear", "layers": 5}, "a shift and a scale"),
    ],
)
def test_what_cannot_be_shaped_is_told(options: dict, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        shaped_activation(**options)
