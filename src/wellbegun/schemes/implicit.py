"""Networks of coordinates: layers whose activation is a wave, and features of coordinates."""

import math

from wellbegun._arguments import real
from wellbegun.laws import Normal, Uniform
from wellbegun.schemes.base import spell
from wellbegun.schemes.card import publish, scheme, varies
from wellbegun.schemes.fixed import FixedScheme
from wellbegun.schemes.iid import FanScaled


@scheme(
    formula="SIREN, first layer: W ~ U(-1 / n_in, 1 / n_in), before sin(omega (W x + b)).",
    shapes="any with an input axis.",
    strengths="with coordinates in [-1, 1] and omega = 30 the waves cover the domain in a few periods.",
    weaknesses="the frequencies that come out are those of omega; images with finer detail need a larger one.",
    use="the first layer of a SIREN; `siren` is for the others.",
    source="Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.",
    tensors="coordinates",
    shape=(256, 3),
    invariants={
        "|W| <= 1 / n_in": lambda w: bool(abs(w).max() <= 1 / w.shape[1]),
        "Var W = 1 / (3 n_in^2)": lambda w: varies(w, 1 / (3 * w.shape[1] ** 2)),
    },
)
def siren_first() -> FanScaled:
    """Raises: LayoutError at the draw: no fans.

    >>> siren_first().law((256, 2)).high
    0.5
    """
    return FanScaled("siren_first()", Uniform(-1.0, 1.0), 1.0)


@scheme(
    formula="SIREN: W ~ U(+-sqrt(6 / n_in) / omega), before sin(omega (W x + b)).",
    shapes="any with an input axis.",
    strengths="what goes into each sine is nearly standard normal at any depth; derivatives are waves again.",
    weaknesses="only with the factor omega in the layer; the last, linear layer is divided by it too.",
    use="hidden and last layers of a SIREN, FINER; WIRE and Gaussian nets take `fan_in_uniform`.",
    source="Sitzmann et al. 2020, arXiv:2006.09661, section 3.2.",
    tensors="periodic",
    invariants={
        "|W| <= sqrt(6 / n_in) / omega": lambda w: bool(abs(w).max() <= math.sqrt(6 / w.shape[1]) / 30),
        "Var W = 2 / (n_in omega^2)": lambda w: varies(w, 2 / (w.shape[1] * 900)),
    },
)
def siren(*, omega: float = 30.0) -> FanScaled:
    """Args:
        omega: > 0: the factor inside the sine.
    Raises: ArgumentError here: omega. LayoutError at the draw: no fans.

    >>> math.isclose(siren(omega=2.0).law((8, 6)).high, 0.5)
    True
    """
    number = real("siren", "omega", omega, minimum=0, exclusive=True)
    bound = math.sqrt(6) / number
    return FanScaled(spell("siren", {"omega": number}, {"omega": 30.0}), Uniform(-bound, bound), 0.5)


@scheme(
    formula="FINER bias: b ~ U(-k, k), before sin(omega (|x| + 1) x).",
    shapes="any.",
    strengths="k chooses the band of frequencies that the network can reach, beyond SIREN's.",
    weaknesses="too large a k lets the fit follow noise.",
    use="biases of the first layer of a FINER; its weights are those of `siren_first` and `siren`.",
    source="Liu et al. 2024, arXiv:2312.02434.",
    tensors="coordinates bias",
    shape=(256,),
    layout="o",
    example="finer_bias(k=10.0)",
    invariants={
        "|b| <= k": lambda w: bool(abs(w).max() <= 10),
        "Var b = k^2 / 3": lambda w: varies(w, 100 / 3),
    },
)
def finer_bias(*, k: float = 1.0) -> FixedScheme:
    """Args:
        k: > 0, in units of the bias.
    Raises: ArgumentError here: k.

    >>> finer_bias(k=2.0).law(4).low
    -2.0
    """
    number = real("finer_bias", "k", k, minimum=0, exclusive=True)
    return FixedScheme(spell("finer_bias", {"k": number}, {"k": 1.0}), Uniform(-number, number))


@scheme(
    formula="Fourier features: B ~ N(0, std^2), for the features cos 2 pi B x and sin 2 pi B x.",
    shapes="any.",
    strengths="a plain ReLU net then learns detail; `std` sets the bandwidth, in periods per unit of the coordinate.",
    weaknesses="too small a std blurs, too large a one gives grain; the best is found by trying 1 to 100.",
    use="the frozen matrix of frequencies before a network of coordinates.",
    source="Tancik et al. 2020, arXiv:2006.10739; Rahimi, Recht 2007.",
    tensors="coordinates",
    shape=(256, 3),
    invariants={"Var B = std^2": lambda w: varies(w, 100.0)},
)
def fourier_features(*, std: float = 10.0) -> FixedScheme:
    """Args:
        std: > 0, in periods per unit of the coordinates.
    Raises: ArgumentError here: std.

    >>> fourier_features(std=2.0).law((256, 2)).std
    2.0
    """
    number = real("fourier_features", "std", std, minimum=0, exclusive=True)
    return FixedScheme(spell("fourier_features", {"std": number}, {"std": 10.0}), Normal(0.0, number))


@scheme(
    formula="Random phase: b ~ U(0, 2 pi), for the features sqrt(2 / D) cos(W x + b).",
    shapes="any.",
    strengths="one cosine with a random phase stands for a cosine and a sine: unbiased kernels with half the features.",
    weaknesses="a larger variance than pairs of sines and cosines.",
    use="biases of random features for kernels.",
    source="Rahimi, Recht 2007, Random features for large-scale kernel machines.",
    tensors="coordinates bias",
    shape=(256,),
    layout="o",
    invariants={
        "0 <= b <= 2 pi": lambda w: bool(w.min() >= 0 and w.max() <= 2 * math.pi),
        "Var b = pi^2 / 3": lambda w: varies(w - math.pi, math.pi**2 / 3),
    },
)
def fourier_phase() -> FixedScheme:
    """Raises: nothing.

    >>> fourier_phase().law(8).low
    0.0
    """
    return FixedScheme("fourier_phase()", Uniform(0.0, 2 * math.pi))


publish(globals())
