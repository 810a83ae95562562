"""Images of later years: deit@1, beit@1, cait@1, dinov2@1, swin@1, dit@1, detr@1, efficientnet@1, adm@1."""

import math
from collections.abc import Mapping

from wellbegun.graph import Analysis, Role, modulates
from wellbegun.graph.walk import ancestors
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Chooser, Recipe, recipe
from wellbegun.planning.recipes.common import ATTENTION, always, sizes, table, within_two, xavier
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES, torch_bias, torch_weight
from wellbegun.planning.recipes.vision import MAE
from wellbegun.schemes import constant, normal, uniform, zeros

# ---------------------------------------------------------------------- deit, beit, cait, dinov2, swin
_DEIT = "Touvron et al. 2021, arXiv:2012.12877, timm code"
_BEIT = "Bao et al. 2021, arXiv:2106.08254, timm code"
_CAIT = "Touvron et al. 2021, arXiv:2103.17239, timm code"
_DINO = "Oquab et al. 2023, arXiv:2304.07193, released code"
_SWIN = "Liu et al. 2021, arXiv:2103.14030, released code"


def _is_kernel(role: Role | None) -> bool:
    return role is not None and role.layout is not None and "k" in role.layout.axes


def _patches(otherwise: Chooser) -> Chooser:
    """Convolutions, and biases beside them, as torch has them: the code fills linear layers only."""

    def choose(role: Role) -> Choice:
        if role.role == "bias":
            return torch_bias(role) if _is_kernel(role.beside) else otherwise(role)
        return torch_weight(role) if _is_kernel(role) else otherwise(role)

    return choose


def _linear(
    name: str, source: str, about: str, *, needs: tuple[str, ...], token: float = 0.02, **own: Chooser
) -> Recipe:
    """0.02 for linear layers and positions, convolutions as torch has them."""
    plain = within_two(0.02)
    choices = table(
        hidden=_patches(always(plain, "linear layer: std 0.02; the cut at +-2 cuts nothing", source)),
        bias=_patches(always(zeros(), "bias of a linear layer: 0", source)),
        embedding=always(plain, "lookup table: std 0.02", source),
        positional=always(plain, "positions: std 0.02", source),
        token=always(normal(std=token), f"class token: std {token:g}", source),
    )
    return recipe(name, 1, choices | own, about=about, optimizer="AdamW", source=source, needs=needs)


def _beit_out(role: Role) -> Choice:
    """0.02 / sqrt(2 l) in block l, counted from 1."""
    if not role.ends_branch:
        return Choice(within_two(0.02), "ends no branch: std 0.02", _BEIT)
    number = role.block + 1
    reason = f"ends a branch of block {number}: std 0.02 / sqrt(2 * {number})"
    return Choice(within_two(0.02 / math.sqrt(2 * number)), reason, _BEIT)


def _beit_scale(role: Role) -> Choice:
    """0.1 in the base model of 12 blocks, 1e-5 in the large one of 24."""
    layers = role.stack.layers if role.stack is not None else 1
    return Choice(constant(0.1 if layers <= 12 else 1e-5), f"layer scale in a stack of {layers} blocks", _BEIT)


def _cait_scale(role: Role) -> Choice:
    """The deeper the smaller: 0.1 up to 18 blocks, 1e-5 up to 24, 1e-6 above."""
    layers = role.stack.layers if role.stack is not None else 1
    value = 0.1 if layers <= 18 else 1e-5 if layers <= 24 else 1e-6
    return Choice(constant(value), f"layer scale in a stack of {layers} blocks: {value:g}", _CAIT)


_TRANSFORMER = ("positional", "attention_out", "residual_out")
DEIT = _linear(
    "deit", _DEIT, "vision transformers as DeiT; timm is the same but for class tokens, of std 1e-6", needs=_TRANSFORMER
)
BEIT = _linear(
    "beit", _BEIT, "vision transformers as BEiT: ends of branches over sqrt(2 l) in block l, relative positions 0",
    needs=("attention_out", "residual_out"), residual_out=_beit_out,
    positional=always(zeros(), "relative positions: 0", _BEIT),
    readout=always(normal(std=2e-5), "readout: 0.02, times 0.001", _BEIT), residual_scale=_beit_scale,
)._replace(by_depth=True)  # fmt: skip
CAIT = _linear(
    "cait", _CAIT, "deep vision transformers with a layer scale, the smaller the more blocks there are",
    needs=("residual_scale", "attention_out"), residual_scale=_cait_scale,
)  # fmt: skip
DINOV2 = _linear(
    "dinov2", _DINO, "vision transformers for self-distillation: layer scale 1e-5, tokens almost 0",
    needs=("residual_scale", *_TRANSFORMER), token=1e-6,
    residual_scale=always(constant(1e-5), "layer scale: 1e-5", _DINO),
)  # fmt: skip
SWIN = _linear("swin", _SWIN, "transformers with windows and relative positions, as Swin", needs=_TRANSFORMER)

# ---------------------------------------------------------------------- dit
_DIT = "Peebles, Xie 2023, arXiv:2212.09748, released code"


def _dit(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """0 for what makes shifts and factors of signals; std 0.02 for what makes its input: steps in time and classes."""
    weights = {name: role for name, role in roles.items() if role.is_weight and role.operation >= 0}
    weights = {name: role for name, role in weights.items() if role.role in ("hidden", "readout", "embedding")}
    makers = {name for name, role in weights.items() if modulates(graph, graph.operations[role.operation])}
    given = {value for name in makers for value in graph.operations[weights[name].operation].inputs}
    above = ancestors(graph, given)
    condition = Choice(normal(std=0.02), "makes what blocks are modulated with: std 0.02", _DIT)
    factor = Choice(zeros(), "makes shifts, scales and gates of branches: 0, so that blocks are identities", _DIT)
    found = dict[str, Choice]()
    for name, role in weights.items():
        if name in makers:
            found[name] = factor
        elif above.intersection(graph.operations[role.operation].outputs):
            found[name] = condition
    return {name: choice for name, choice in found.items() if name not in decided}


DIT = recipe(
    "dit",
    1,
    {**MAE.choices, "readout": always(zeros(), "final layer: 0", _DIT)},
    about="diffusion transformers whose blocks are modulated by a condition and start as identities (adaLN-Zero)",
    optimizer="AdamW",
    source=_DIT,
    needs=("attention_out", "residual_out", "readout"),
    solve=_dit,
)

# ---------------------------------------------------------------------- detr
_DETR = "Carion et al. 2020, arXiv:2005.12872, released code"


def _detr_weight(role: Role) -> Choice:
    if role.branch is None and role.role not in ATTENTION:
        return torch_weight(role)
    return Choice(xavier(role, stacked=True), "matrix of the transformer as stored: Xavier uniform", _DETR)


# its backbone comes trained; biases of linear layers stay as torch has them, those of attentions are 0
DETR = recipe(
    "detr",
    1,
    {**TORCH_CHOICES, "hidden": _detr_weight},
    about="encoder and decoder for sets of objects, behind a trained backbone; queries standard normal",
    optimizer="AdamW",
    source=_DETR,
    needs=("attention_out", "residual_out"),
)

# ---------------------------------------------------------------------- efficientnet
_EFFICIENT = "Tan, Le 2019, arXiv:1905.11946, code of TPU models and timm"


def _efficient_weight(role: Role) -> Choice:
    """He by the fan out of one group; linear layers +-1/sqrt(outputs)."""
    found, groups = sizes(role), role.layout.groups if role.layout is not None else 1
    if not _is_kernel(role):
        reason = f"linear layer: +-1/sqrt({found.outputs})"
        return Choice(uniform(-(found.outputs**-0.5), found.outputs**-0.5), reason, _EFFICIENT)
    fan = found.outputs * found.window // groups
    return Choice(normal(std=math.sqrt(2 / fan)), f"He by the fan out of a group: std sqrt(2 / {fan})", _EFFICIENT)


EFFICIENTNET = recipe(
    "efficientnet",
    1,
    table(hidden=_efficient_weight),
    about="convolutional nets with depthwise layers, as EfficientNet, MobileNet, MnasNet",
    optimizer="RMSProp",
    source=_EFFICIENT,
    needs=("hidden", "norm_scale"),
)

# ---------------------------------------------------------------------- adm
_ADM = "Dhariwal, Nichol 2021, arXiv:2105.05233, zero_module"


def _is_silent(role: Role | None) -> bool:
    return role is not None and (role.ends_branch or role.role == "readout")


def _silent(otherwise: Chooser) -> Chooser:
    def choose(role: Role) -> Choice:
        if _is_silent(role.beside if role.role == "bias" else role):
            return Choice(zeros(), "last layer of a branch, or of all: 0", _ADM)
        return otherwise(role)

    return choose


ADM = recipe(
    "adm",
    1,
    {**TORCH_CHOICES, "hidden": _silent(torch_weight), "bias": _silent(torch_bias)},
    about="diffusion U-nets: what ends branches and the last layer are 0, all else as torch has it",
    optimizer="AdamW",
    source=_ADM,
    needs=("residual_out", "readout"),
)
