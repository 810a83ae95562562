"""torch@1: what the framework gives by itself, layer by layer. The baseline that the other recipes are measured by.

Sources are the `reset_parameters` of torch 2.13. The fans are those torch computes from the stored shape, which for
transposed convolutions are not the true ones. Two things are not here: parameters that belong to no layer of torch, for
which it has no default (matrices are taken for linear layers, other values are kept), and `nn.Transformer`, which
gives every matrix of its own Xavier values once more.
"""

import math

from wellbegun.graph import Role
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.base import recipe, zero
from wellbegun.planning.recipes.common import linear_default, multiplier, one, sizes, table, xavier
from wellbegun.schemes import constant, normal, uniform

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
    projects = role.role == "recurrent_projection"
    hidden = role.parameter.shape[1] if projects else role.parameter.shape[0] // sections
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
TORCH = recipe("torch", 1, TORCH_CHOICES)
