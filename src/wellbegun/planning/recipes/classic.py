"""classic@1: the textbook scheme for the nonlinearity that follows each weight."""

import functools

from wellbegun.errors import ArgumentError
from wellbegun.graph import Meeting, Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import (
    centre,
    distance_scale,
    forget,
    multiplier,
    norm_scale,
    recipe,
    recurrent,
    slope,
    zero,
)
from wellbegun.schemes import (
    Scheme,
    he_normal,
    lecun_normal,
    normal,
    variance_scaling,
    xavier_normal,
)
from wellbegun.theory import ActivationMoments, moments

_GLOROT = "Glorot, Bengio 2010"
_HE = "He et al. 2015, arXiv:1502.01852"
_LECUN = "LeCun et al. 1998, Efficient BackProp"
_SELU = "Klambauer et al. 2017, arXiv:1706.02515"
_BERT = "Devlin et al. 2019, arXiv:1810.04805"


def _weight(role: Role) -> Choice:
    met = role.met
    if met is None:
        return Choice(lecun_normal(), "its output is not used: LeCun as for a linear layer", _LECUN)
    if met.what != "activation":
        return Choice(lecun_normal(), f"{_destination(met)}: a linear layer keeps the signal at gain 1", _LECUN)
    more = f" (also feeds {', '.join(role.also)})" if role.also else ""
    if met.name in ("relu", "leaky_relu"):
        return Choice(_he(met), f"feeds {_named(met)}, which passes {_passed(met)} of the signal{more}", _HE)
    if met.name in ("tanh", "sigmoid"):
        return Choice(xavier_normal(), f"feeds {met.name}: balance forward and backward{more}", _GLOROT)
    if met.name == "selu":
        return Choice(lecun_normal(), f"feeds selu, whose fixed point needs gain 1{more}", _SELU)
    return _by_quadrature(met, more)


def _he(met: Meeting) -> Scheme:
    return he_normal() if met.name == "relu" else he_normal(negative_slope=met.slope)


def _named(met: Meeting) -> str:
    return "relu" if met.name == "relu" else f"leaky_relu({met.slope:g})"


def _passed(met: Meeting) -> str:
    return "half" if met.name == "relu" else f"{(1 + met.slope**2) / 2:.4g}"


def _by_quadrature(met: Meeting, more: str) -> Choice:
    assert met.function is not None
    try:
        found = _named_moments(met.name) if met.name else moments(met.function)
    except ArgumentError:  # no average, or nobody knows its values
        reason = f"feeds a function that is not finite everywhere, or not known: gain 1{more}"
        return Choice(lecun_normal(), reason, _LECUN)
    if not 0 < found.second < float("inf"):
        return Choice(lecun_normal(), f"feeds a function that is 0 for standard normal inputs{more}", _LECUN)
    name = met.name or "an unnamed function"
    reason = f"feeds {name}: gain {found.gain:.4f} by quadrature keeps E x^2{more}"
    return Choice(variance_scaling(scale=round(found.gain**2, 10)), reason, _HE)


@functools.cache
def _named_moments(name: str) -> ActivationMoments:
    return moments(name)


def _destination(met: Meeting) -> str:
    return {
        "output": "feeds the output",
        "softmax": f"feeds a softmax ({met.place})",
        "matmul": f"feeds a product of two signals ({met.place})",
        "attention": f"feeds attention ({met.place})",
        "gate": f"feeds a product of two signals ({met.place})",
        "opaque": f"feeds an operation wellbegun does not know ({met.place})",
    }.get(met.what, f"feeds {met.place} without a nonlinearity between")


def _embedding(role: Role) -> Choice:
    if role.shared_readout:  # its rows are also the weights of the readout, with fan_in = width
        width = role.layout.canonical_shape(role.parameter.shape)[-1] if role.layout else role.parameter.shape[-1]
        reason = f"lookup table that is also the readout: std 1/sqrt({width}) keeps the outputs of unit order"
        return Choice(normal(std=width**-0.5), reason, _LECUN)
    return Choice(lecun_normal(), "lookup table: one term per output (fan_in 1), so entries of unit variance", _LECUN)


def _recurrent_input(role: Role) -> Choice:
    if role.mode == "rnn_relu":
        return Choice(he_normal(), "input weights of a ReLU recurrent layer", _HE)
    return Choice(xavier_normal(), "input weights of a recurrent layer, each gate a matrix of its own", _GLOROT)


def _recurrent_bias(role: Role) -> Choice:
    if "forget" in role.gates:
        source = "Gers et al. 2000; Jozefowicz et al. 2015"
        which = "gates i, f, g, o" if role.gates == ("", "forget", "", "") else "its gates"
        return Choice(forget(role), f"{which}: forget bias 1 keeps the memory open", source)
    return zero(role)


def _positional(role: Role) -> Choice:
    return Choice(normal(std=0.02), "table of positions added to a signal: small", _BERT)


def _token(role: Role) -> Choice:
    return Choice(normal(std=0.02), "stands among the entries of a signal, like a class token: small", _BERT)


CLASSIC = recipe(
    "classic",
    1,
    {
        "hidden": _weight,
        "recurrent_projection": lambda role: Choice(lecun_normal(), "linear projection of a recurrent state", _LECUN),
        "embedding": _embedding,
        "positional": _positional,
        "token": _token,
        "centre": centre,
        "distance_scale": distance_scale,
        "recurrent_input": _recurrent_input,
        "recurrent": recurrent,
        "recurrent_bias_input": _recurrent_bias,
        "recurrent_bias": zero,
        "bias": zero,
        "norm_scale": norm_scale,
        "norm_shift": zero,
        "negative_slope": slope,
        "multiplier": multiplier,
    },
    about="any model: He before ReLU, Xavier before tanh, LeCun before SELU, and so on",
    optimizer="any",
    source=f"{_GLOROT}; {_HE}",
)
