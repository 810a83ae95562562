"""torch@1, keras@1, flax@1, haiku@1, sonnet@1, mxnet@1: what frameworks give by themselves, layer by layer.

Sources of torch@1, the baseline that the other recipes are measured by, are the `reset_parameters` of torch 2.13. The
fans are those torch computes from the stored shape, which for transposed convolutions are not the true ones. Two things
are not here: parameters that belong to no layer of torch, for which it has no default (matrices are taken for linear
layers, other values are kept), and `nn.Transformer`, which gives every matrix of its own Xavier values once more.
The others give the layers of any model what the layers of that name in those frameworks start with.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping

from wellbegun.graph import Analysis, Role
from wellbegun.graph.cells import cells_of
from wellbegun.laws import Orthogonal
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.base import Chooser, forget, recipe, zero
from wellbegun.planning.recipes.common import fan_in, linear_default, multiplier, one, sizes, table, table_width, xavier
from wellbegun.schemes import (
    Scheme,
    constant,
    he_uniform,
    normal,
    scheme_of,
    truncated_normal,
    uniform,
    zeros,
)

_SOURCE = "torch 2.13, reset_parameters"
_ATTENTION = "MultiheadAttention"
_ZERO_BIASES = frozenset({_ATTENTION, "NonDynamicallyQuantizableLinear"})  # the latter is its output projection
_TABLES = frozenset({"Embedding", "EmbeddingBag"})


def torch_fan_in(role: Role) -> int:
    """fan_in as torch computes it: entries of one row, whatever the layer does with them."""
    found = sizes(role)
    if role.parameter.layer == "Bilinear":
        return role.parameter.shape[1]
    transposed = role.layout is not None and role.layout.transposed
    return (found.outputs if transposed else found.inputs) * found.window


def torch_weight(role: Role) -> Choice:
    """The default of linear layers and convolutions."""
    if role.parameter.layer in _TABLES:
        return torch_table(role)
    if role.parameter.layer == _ATTENTION:
        reason = "projections of an attention layer: Xavier for the stack as stored"
        return Choice(xavier(role, stacked=True), reason, _SOURCE)
    fan = torch_fan_in(role)
    return Choice(linear_default(role, fan), f"default of the layer: +-1/sqrt({fan})", _SOURCE)


def torch_bias(role: Role) -> Choice:
    """The same bounds as the weight beside it."""
    if role.parameter.layer in _ZERO_BIASES:
        return Choice(zero(role).scheme, "biases of an attention layer start at 0", _SOURCE)
    if role.beside is None or role.beside.layout is None:
        return Choice(KEEP, "a bias of no layer: torch has no default for it; kept")
    fan = torch_fan_in(role.beside)
    return Choice(uniform(-(fan**-0.5), fan**-0.5), f"default of the layer: +-1/sqrt({fan}), as its weight", _SOURCE)


def torch_table(role: Role) -> Choice:
    """Lookup tables, and weights that are one under another name."""
    if role.role == "embedding" and role.parameter.layer == "Linear":
        width = role.parameter.shape[1]
        return Choice(linear_default(role, width), f"first of all a linear layer: +-1/sqrt({width})", _SOURCE)
    return Choice(normal(std=1.0), "lookup table: standard normal", _SOURCE)


def torch_loose(role: Role) -> Choice:
    """Positions and tokens: tables if torch made them, else parameters that it has no default for."""
    if role.parameter.layer in _TABLES:
        return torch_table(role)
    if role.parameter.layer == _ATTENTION:  # bias_k, bias_v
        width = role.parameter.shape[-1]
        return Choice(normal(std=width**-0.5), "an added key or value of an attention layer: Xavier", _SOURCE)
    return Choice(KEEP, "a parameter of no layer: torch has no default for it; kept")


def torch_recurrent(role: Role) -> Choice:
    """Every weight and bias of a recurrent layer: bounds by its hidden size."""
    sections = role.layout.sections if role.layout and isinstance(role.layout.sections, int) else 1
    found = sizes(role)
    hidden = found.inputs if role.role == "recurrent_projection" else found.outputs // sections
    bound = 1 / math.sqrt(hidden)
    return Choice(uniform(-bound, bound), f"recurrent layer: +-1/sqrt({hidden}), its hidden size", _SOURCE)


RECURRENT = dict.fromkeys(
    ("recurrent_input", "recurrent", "recurrent_bias_input", "recurrent_bias", "recurrent_projection"), torch_recurrent
)
TORCH_CHOICES = table(
    **RECURRENT,
    hidden=torch_weight,
    embedding=torch_table,
    positional=torch_loose,
    token=torch_loose,
    bias=torch_bias,
    norm_scale=one,
    norm_shift=zero,
    multiplier=multiplier,
    negative_slope=lambda role: Choice(constant(0.25), "slope of a PReLU", _SOURCE),
)
TORCH = recipe(
    "torch",
    1,
    TORCH_CHOICES,
    about="what PyTorch's layers do by themselves: the baseline",
    optimizer="any",
    source=_SOURCE,
)


# ---------------------------------------------------------------------- other frameworks
_KERAS = "Keras 3, initializers and layers"
_FLAX = "Flax 0.12, nnx layers"
_HAIKU = "Haiku 0.0, modules"
_SONNET, _MXNET = "Sonnet 2.0, modules", "MXNet 1, Gluon and its initializer Uniform"


def _keras_weight(role: Role) -> Choice:
    reason = "Glorot uniform, as a layer of Keras has it"
    if role.layout is None or "i" in role.layout.axes or role.layout.axes.count("o") < 2:
        return Choice(xavier(role, stacked=True), reason, _KERAS)
    ends = [size for size, axis in zip(role.parameter.shape, role.layout.axes, strict=True) if axis == "o"]
    bound = math.sqrt(6 / (sizes(role).window * sum(ends)))  # depthwise: channels stand where inputs do elsewhere
    return Choice(uniform(-bound, bound), f"{reason}, which takes channels of a depthwise kernel for inputs", _KERAS)


def _whole(source: str) -> Chooser:
    reason = "recurrent kernel: one orthogonal matrix for all gates stored in it"
    return lambda _: Choice(scheme_of(Orthogonal()), reason, source)


def _keras_recurrent_bias(role: Role) -> Choice:
    if "forget" not in role.gates:
        return zero(role)
    return Choice(forget(role), "bias of a forget gate is 1, all others 0", _KERAS)


def _truncated(source: str, std_is: str) -> Chooser:
    """A truncated normal of 1/sqrt(inputs), which is the standard deviation before or after the cut."""

    def choose(role: Role) -> Choice:
        fan = fan_in(role)
        scheme = truncated_normal(std=fan**-0.5, std_is=std_is)
        return Choice(scheme, f"truncated normal, std 1/sqrt({fan}) {std_is} the cut", source)

    return choose


def _haiku_recurrent(role: Role) -> Choice:
    """Matrices with fans of their own: a GRU's have their std after the cut, a plain cell's are linear layers."""
    return _truncated(_HAIKU, "after" if role.mode == "gru" else "before")(role)


def _haiku_lstm(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """One linear layer of an LSTM of Haiku reads the input and the state together; its convolutions stay two."""
    layers, written = dict[tuple[str, int], list[str]](), graph.once(cells_of).number
    counts = Counter[tuple[int, str]]()
    for name, role in roles.items():
        if role.mode == "lstm" and role.role in ("recurrent_input", "recurrent") and "k" not in _axes(role):
            place = counts[role.operation, role.role]  # layers and directions of one operation come in order
            counts[role.operation, role.role] += 1
            key = ("cell", written[name]) if name in written else (f"layer {place}", role.operation)
            layers.setdefault(key, []).append(name)
    found = dict[str, Choice]()
    for both in layers.values():
        fans = {roles[name].role: fan_in(roles[name]) for name in both}
        if len(fans) == 2:
            fan = sum(fans.values())
            reason = f"one linear layer of input and state, {fan} wide, std 1/sqrt({fan}) before the cut"
            found |= dict.fromkeys(both, Choice(truncated_normal(std=fan**-0.5), reason, _HAIKU))
    return {name: choice for name, choice in found.items() if name not in decided}


def _axes(role: Role) -> str:
    return role.layout.axes if role.layout is not None else ""


def _others(source: str, weight: Chooser, rows: Callable[[int], Scheme], **own: Chooser) -> dict[str, Chooser]:
    """Zero biases and unit norms; what no layer holds is kept."""

    def row(role: Role) -> Choice:
        return Choice(rows(table_width(role)), "a layer of lookups", source)

    def loose(role: Role) -> Choice:
        if role.layout is not None and "l" in role.layout.axes:
            return row(role)
        return Choice(KEEP, "a parameter of no layer, for which there is no default; kept")

    zeroed = dict.fromkeys(("bias", "recurrent_bias_input", "recurrent_bias", "norm_shift"), zero)
    more = {"recurrent_projection": weight, "recurrent_input": weight, "recurrent": weight}
    given = {"hidden": weight, "embedding": row, "positional": loose, "token": loose, "norm_scale": one}
    return table(**zeroed, **more, **given, multiplier=multiplier) | own


KERAS = recipe("keras", 1, _others(
    _KERAS, _keras_weight, lambda _: uniform(-0.05, 0.05), recurrent=_whole(_KERAS),
    recurrent_bias_input=_keras_recurrent_bias, negative_slope=lambda _: Choice(zeros(), "slope of a PReLU", _KERAS),
), about="what Keras's layers do by themselves", optimizer="any", source=_KERAS)  # fmt: skip


def _flax_weight(role: Role) -> Choice:
    """The default of linear layers; pairs of LoRA have their own."""
    if role.parameter.layer != "LoRA":
        return _truncated(_FLAX, "after")(role)
    if role.parameter.name.rpartition(".")[2] == "lora_b":
        return Choice(zeros(), "second of a low-rank pair: what it adds starts at 0", _FLAX)
    return Choice(he_uniform(), "first of a low-rank pair: He uniform", _FLAX)


FLAX = recipe("flax", 1, _others(
    _FLAX, _flax_weight, lambda width: normal(std=width**-0.5), recurrent=_whole(_FLAX),
    negative_slope=lambda _: Choice(constant(0.01), "slope of a PReLU", _FLAX),
), about="what Flax's layers do by themselves", optimizer="any", source=_FLAX)  # fmt: skip
HAIKU = recipe("haiku", 1, _others(
    _HAIKU, _truncated(_HAIKU, "before"), lambda _: truncated_normal(std=1.0),
    recurrent_input=_haiku_recurrent, recurrent=_haiku_recurrent,
), about="what Haiku's layers do by themselves", optimizer="any", source=_HAIKU, solve=_haiku_lstm)  # fmt: skip
# the forget gate's 1 is part of the bias in Sonnet, and added in the forward pass in Haiku
SONNET = recipe("sonnet", 1, _others(
    _SONNET, _truncated(_SONNET, "before"), lambda _: truncated_normal(std=1.0),
    recurrent_bias_input=_keras_recurrent_bias,
), about="what Sonnet's layers do by themselves", optimizer="any", source=_SONNET)  # fmt: skip
MXNET = recipe("mxnet", 1, _others(
    _MXNET, lambda _: Choice(uniform(-0.07, 0.07), "uniform within 0.07, whatever the layer", _MXNET),
    lambda _: uniform(-0.07, 0.07), negative_slope=lambda _: Choice(constant(0.25), "slope of a PReLU", _MXNET),
), about="what layers of MXNet Gluon do by themselves", optimizer="any", source=_MXNET)  # fmt: skip
