"""Vision: vit@1 and vit_nlhb@1, mae@1, convnext@1, resnet@1, dcgan@1."""

import math

from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Chooser, recipe, zero
from wellbegun.planning.recipes.common import ATTENTION, always, everywhere, one, sizes, table, within_two, xavier
from wellbegun.schemes import constant, normal, uniform, variance_scaling, zeros

# ---------------------------------------------------------------------- vit
_VIT = "Dosovitskiy et al. 2021, arXiv:2010.11929, JAX code"


def _vit_weight(role: Role) -> Choice:
    """Xavier in the blocks; patches and anything else outside as Flax does by default."""
    if role.branch is not None:
        return Choice(xavier(role), "weight of a block, each of fused projections by itself: Xavier uniform", _VIT)
    return Choice(variance_scaling(distribution="truncated"), "outside the blocks: LeCun, truncated", _VIT)


def _vit_bias(role: Role) -> Choice:
    beside = role.beside
    if beside is not None and beside.branch is not None and beside.role not in ATTENTION:
        return Choice(normal(std=1e-6), "bias of a perceptron: almost 0", _VIT)
    return zero(role)


def _prior_bias(role: Role) -> Choice:
    """-log K for the readout, so that every class starts at probability 1/K."""
    if role.beside is None or role.beside.role != "readout":
        return _vit_bias(role)
    classes = role.parameter.shape[0]
    return Choice(constant(-math.log(classes)), f"readout of {classes} classes: negative log prior", _VIT)


_VIT_CHOICES = table(
    hidden=_vit_weight,
    readout=always(zeros(), "readout: 0, so that training starts at the prior", _VIT),
    bias=_vit_bias,
    embedding=always(normal(std=0.02), "lookup table, as positions: std 0.02", _VIT),
    positional=always(normal(std=0.02), "positions: std 0.02", _VIT),
    token=always(zeros(), "class token: 0", _VIT),
)
VIT = recipe(
    "vit",
    1,
    _VIT_CHOICES,
    about="vision transformers",
    optimizer="Adam",
    source=_VIT,
    needs=("positional", "attention_out", "readout"),
)
VIT_NLHB = recipe(
    "vit_nlhb",
    1,
    {**_VIT_CHOICES, "bias": _prior_bias},
    about="vision transformers whose readout starts with a bias of -log(classes)",
    optimizer="Adam",
    source=_VIT,
    needs=("positional", "attention_out", "readout"),
)

# ---------------------------------------------------------------------- mae
_MAE = "He et al. 2022, arXiv:2111.06377, released code"


def _mae_weight(role: Role) -> Choice:
    reason = "Xavier uniform of the weight as stored, fused projections and patches as one matrix"
    found = sizes(role)
    if found.window == 1:
        return Choice(xavier(role, stacked=True), reason, _MAE)
    bound = math.sqrt(6 / (found.inputs * found.window + found.outputs))
    return Choice(uniform(-bound, bound), reason, _MAE)


MAE = recipe(
    "mae",
    1,
    table(
        hidden=_mae_weight,
        embedding=always(normal(std=0.02), "lookup table: std 0.02", _MAE),
        positional=always(normal(std=0.02), "trained positions (the paper's are fixed sines): std 0.02", _MAE),
        token=always(normal(std=0.02), "class and mask tokens: std 0.02", _MAE),
    ),
    about="masked autoencoders",
    optimizer="AdamW",
    source=_MAE,
    needs=("token", "attention_out"),
)

# ---------------------------------------------------------------------- convnext
_CONVNEXT = "Liu et al. 2022, arXiv:2201.03545, released code"

CONVNEXT = recipe(
    "convnext",
    1,
    everywhere(
        within_two(0.02),
        "std 0.02; the cut at +-2 cuts nothing",
        _CONVNEXT,
        residual_scale=always(constant(1e-6), "layer scale: branches start almost silent", _CONVNEXT),
    ),
    about="ConvNeXt: std 0.02, branches that start almost silent",
    optimizer="AdamW",
    source=_CONVNEXT,
    needs=("residual_scale",),
)

# ---------------------------------------------------------------------- resnet
_GOYAL = "Goyal et al. 2017, arXiv:1706.02677"
_RESNET = f"{_GOYAL}; He et al. 2015, arXiv:1502.01852"


def he_fan_out(role: Role, factor: float = 1.0) -> float:
    """sqrt(2 / (outputs * window)): neither groups nor strides count, as in the code of the papers."""
    found = sizes(role)
    return factor * math.sqrt(2 / (found.outputs * found.window))


def _resnet_weight(role: Role) -> Choice:
    found = sizes(role)
    reason = f"He by fan out: std sqrt(2 / ({found.outputs} * {found.window}))"
    return Choice(normal(std=he_fan_out(role)), reason, _RESNET)


def _last_scale(otherwise: Chooser) -> Chooser:
    def choose(role: Role) -> Choice:
        if role.ends_branch:
            scheme = zeros() if role.silent == 0 else constant(role.silent)
            return Choice(scheme, "scale of the last norm of a branch: 0: the block starts as identity", _GOYAL)
        return otherwise(role)

    return choose


_RESNET_TABLE = table(
    hidden=_resnet_weight,
    readout=always(normal(std=0.01), "readout: std 0.01", _GOYAL),
    embedding=always(normal(std=0.02), "lookup table: std 0.02"),
    positional=always(normal(std=0.02), "positions: std 0.02"),
)
RESNET = recipe(
    "resnet",
    1,
    {
        **_RESNET_TABLE,
        "norm_scale": _last_scale(one),
    },
    about="residual convolutional nets with batch norm",
    optimizer="SGD with momentum",
    source=_RESNET,
    needs=("residual_out", "norm_scale"),
)

# ---------------------------------------------------------------------- dcgan
_DCGAN = "Radford et al. 2016, arXiv:1511.06434"
_DCGAN_WEIGHT = always(normal(std=0.02), "std 0.02", _DCGAN)


def _dcgan_scale(role: Role) -> Choice:
    return Choice(normal(mean=role.unit, std=0.02), f"scale of a norm: around {role.unit:g}, std 0.02", _DCGAN)


DCGAN = recipe(
    "dcgan",
    1,
    table(
        **dict.fromkeys(("hidden", "embedding", "positional"), _DCGAN_WEIGHT),
        norm_scale=_dcgan_scale,
    ),
    about="convolutional generators and critics",
    optimizer="Adam",
    source=_DCGAN,
    needs=("hidden", "norm_scale"),
)
