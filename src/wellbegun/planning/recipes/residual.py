"""Deep residual nets: fixup@1, skipinit@1, nfnet@1, rezero@1, deepnorm@1, sub_ln@1, admin@1, tfixup@1, ds_init@1.

Branches, their layers and the blocks of encoder and decoder are counted in the graph. deepnorm@1 chooses the weights;
the factor alpha on the stream is part of the model.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wellbegun.graph import Analysis, Role, Stack, net_of
from wellbegun.graph.residual import Branch, branches_of, factor_on
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Caution, Chooser, Recipe, Refinement, recipe
from wellbegun.planning.recipes.common import always, by_part, sizes, table, table_width, xavier
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES
from wellbegun.planning.recipes.vision import he_fan_out
from wellbegun.schemes import constant, he_normal, lecun_normal, normal, ones, xavier_normal, xavier_uniform, zeros

# ---------------------------------------------------------------------- fixup
_FIXUP = "Zhang et al. 2019, arXiv:1901.09321"


def _fixup_weight(role: Role) -> Choice:
    """He, times L^(-1/(2m-2)) in a branch of m layers, of L in all; 0 where the branch ends."""
    found = sizes(role)
    base = f"He by fan out, sqrt(2 / ({found.outputs} * {found.window}))"
    if role.branch is None:
        return Choice(normal(std=he_fan_out(role)), f"outside the branches: {base}", _FIXUP)
    if role.ends_branch:
        return Choice(zeros(), "last weight of a branch: 0", _FIXUP)
    branches, layers = len(role.net.branches), max(role.branch.layers, 2)
    power = 1 / (2 * layers - 2)
    reason = f"{base}, times {branches}^(-1/{2 * layers - 2}): {branches} branches of {layers} layers"
    return Choice(normal(std=he_fan_out(role, branches**-power)), reason, _FIXUP)


_FIXUP_TABLE = always(normal(std=0.02), "table, which the paper does not speak of: std 0.02")
FIXUP = recipe(
    "fixup",
    1,
    table(
        hidden=_fixup_weight,
        readout=always(zeros(), "readout: 0", _FIXUP),
        residual_scale=always(ones(), "multiplier of a branch: 1", _FIXUP),
        embedding=_FIXUP_TABLE,
        positional=_FIXUP_TABLE,
    ),
    about="residual nets without norms",
    optimizer="SGD with momentum",
    source=_FIXUP,
    needs=("residual_out", "residual_scale"),
)

# ---------------------------------------------------------------------- skipinit, rezero
_SKIPINIT = "De, Smith 2020, arXiv:2002.10444"
_NFNET = "Brock et al. 2021, arXiv:2101.08692, arXiv:2102.06171, code of NFNets"
_REZERO = "Bachlechner et al. 2020, arXiv:2003.04887"

SKIPINIT = recipe(
    "skipinit",
    1,
    table(
        hidden=always(he_normal(), "He by fan in", _SKIPINIT),
        embedding=_FIXUP_TABLE,
        positional=_FIXUP_TABLE,
        residual_scale=always(zeros(), "multiplier of a branch: 0, so that the block starts as identity", _SKIPINIT),
    ),
    about="residual nets with a multiplier on each branch, which starts at 0",
    optimizer="SGD with momentum",
    source=_SKIPINIT,
    needs=("residual_out", "residual_scale"),
)
# what weights are standardized to is theirs: beside a direction of any size, the gain of a filter is 1
NFNET = recipe(
    "nfnet",
    1,
    table(
        hidden=always(lecun_normal(), "LeCun, as standardized filters have it with a gain of 1", _NFNET),
        readout=always(normal(std=0.01), "readout: std 0.01", _NFNET),
        embedding=_FIXUP_TABLE,
        positional=_FIXUP_TABLE,
        residual_scale=always(zeros(), "skip gain of a branch: 0, so that the block starts as identity", _NFNET),
    ),
    about="residual nets without norms whose weights are standardized (NF-ResNet, NFNet)",
    optimizer="SGD with momentum",
    source=_NFNET,
    needs=("residual_out", "residual_scale"),
)
# all but the multipliers stays as the framework has it in the code of the paper
REZERO = recipe(
    "rezero",
    1,
    {
        **TORCH_CHOICES,
        "residual_scale": always(zeros(), "multiplier of a branch: 0, so that the block starts as identity", _REZERO),
    },
    about="residual nets with a multiplier that starts at 0, and layers with PyTorch's defaults",
    optimizer="SGD, LAMB",
    source=_REZERO,
    needs=("residual_out", "residual_scale"),
)

# ---------------------------------------------------------------------- deepnorm, sub_ln
_DEEPNORM = "Wang et al. 2022, arXiv:2203.00555"
_SUB_LN = "Wang et al. 2022, arXiv:2210.06423"
_TFIXUP = "Huang et al. 2020, Improving transformer optimization through better initialization"
Gain = Callable[[Stack], tuple[float, str]]


def deepnorm_gain(stack: Stack) -> tuple[float, str]:
    """beta, and the formula it is from: by the number of blocks of the encoder and of the decoder."""
    own, other = stack.layers, stack.other
    if stack.kind == "encoder" and other:
        return 0.87 * (own**4 * other) ** (-1 / 16), f"0.87 ({own}^4 * {other})^(-1/16)"
    if stack.kind == "decoder":
        return (12 * own) ** -0.25, f"(12 * {own})^(-1/4)"
    return (8 * own) ** -0.25, f"(8 * {own})^(-1/4)"


def sub_ln_gain(stack: Stack) -> tuple[float, str]:
    """sqrt(log(2N)) of one stack; of a decoder and its encoder by the blocks of both."""
    own, other = stack.layers, stack.other
    if stack.kind == "encoder" and other:
        return math.sqrt(math.log(3 * other) * math.log(2 * own) / 3), f"sqrt(log(3 * {other}) log(2 * {own}) / 3)"
    terms = 3 if stack.kind == "decoder" else 2
    return math.sqrt(math.log(terms * own)), f"sqrt(log({terms} * {own}))"


def tfixup_factor(stack: Stack) -> tuple[float, str]:
    """(9N)^(-1/4) in a decoder, 0.67 N^(-1/4) in an encoder; a single stack counts as an encoder."""
    if stack.kind == "decoder":
        return (9 * stack.layers) ** -0.25, f"(9 * {stack.layers})^(-1/4)"
    return 0.67 * stack.layers**-0.25, f"0.67 * {stack.layers}^(-1/4)"


def _gained(gain: Gain, distribution: str, source: str) -> dict[str, Chooser]:
    """Xavier; values and what follows them in the branches times a gain, queries and keys not."""

    def weight(role: Role) -> Choice:
        if role.branch is None or role.stack is None:
            return Choice(xavier(role, distribution=distribution), "outside the branches: Xavier", source)
        factor, formula = gain(role.stack)
        reason = f"{role.stack.kind} of {role.stack.layers} blocks: Xavier with gain {formula}"
        return Choice(xavier(role, gain=factor, distribution=distribution), reason, source)

    def score(role: Role) -> Choice:
        return Choice(xavier(role, distribution=distribution), "queries and keys: Xavier with gain 1", source)

    def fused(role: Role) -> Choice:
        if role.stack is None:
            return score(role)
        named, (factor, formula) = {"uniform": xavier_uniform, "normal": xavier_normal}[distribution], gain(role.stack)
        scheme = by_part(role, query=named(), key=named(), value=named(gain=factor))
        if scheme is None:
            reason = "values fused in an unknown order: Xavier with gain 1 for all, values too"
            return Choice(xavier(role, distribution=distribution), reason, source)
        return Choice(scheme, f"Xavier, values with gain {formula}", source)

    alike = {"query": score, "key": score, "query_key": score, "query_key_value": fused, "key_value": fused}
    return {"hidden": weight, **alike}


def _by_width(source: str) -> Chooser:
    def choose(role: Role) -> Choice:
        width = table_width(role)
        return Choice(normal(std=width**-0.5), f"table of width {width}: std 1/sqrt({width})", source)

    return choose


def _not_post(roles: Mapping[str, Role]) -> bool:
    branches = net_of(roles).branches
    return bool(branches) and not any(branch.norm == "post" for branch in branches)


def _no_second_norm(roles: Mapping[str, Role]) -> bool:
    """Whether norms are known and none in a branch is behind a weight of it and before its end."""
    norms = [role for role in roles.values() if role.role == "norm_scale"]
    first = dict[int, int]()  # weight of each branch
    for role in roles.values():
        if role.branch is not None and role.layout is not None and "i" in role.layout.axes:
            first[role.branch.add] = min(role.operation, first.get(role.branch.add, role.operation))
    inside = (role for role in norms if role.branch is not None and not role.ends_branch)
    second = any(role.operation > first.get(role.branch.add, role.operation) for role in inside if role.branch)
    return bool(first) and (bool(norms) or not net_of(roles).normed) and not second


def _post_norm(name: str, gain: Gain, source: str, about: str, caution: Caution) -> Recipe:
    rows = _by_width(f"{source}, torchscale code")
    choices = table(**_gained(gain, "normal", source), embedding=rows, positional=rows)
    needs = ("attention_out", "residual_out")
    return recipe(
        name, 1, choices, about=about, optimizer="Adam", source=source, needs=needs, cautions=(caution,), by_depth=True
    )


DEEPNORM = _post_norm(
    "deepnorm", deepnorm_gain, _DEEPNORM, "deep transformers with norms on the stream",
    Caution("it stands on norms on the stream, behind each sum, and no branch here is followed by one", _not_post),
)  # fmt: skip
SUB_LN = _post_norm(
    "sub_ln", sub_ln_gain, _SUB_LN, "transformers with a second norm inside each branch (Magneto)",
    Caution("it stands on a second norm inside each branch, and no branch here has one", _no_second_norm),
)  # fmt: skip


# ---------------------------------------------------------------------- admin
_ADMIN = "Liu et al. 2020, arXiv:2004.08249"


class Rescaled(NamedTuple):
    """A sum w x + f(x) on a stream whose factor w is a parameter."""

    branch: Branch
    stream: int  # the value w x
    name: str  # of the parameter
    operation: int  # that multiplies


@dataclass(frozen=True)
class Shares(Refinement):
    """Factors of the stream are set by the variances of the branches before them."""


def rescaled(graph: Analysis) -> tuple[Rescaled, ...]:
    """Every sum whose stream has a learned factor, in order of execution."""
    found = []
    for branch in branches_of(graph):
        stream = next(value for value in graph.operations[branch.add].inputs if value != branch.value)
        if (factor := factor_on(graph, stream)) is not None:
            found.append(Rescaled(branch, stream, factor[0], factor[1].index))
    return tuple(found)


def _ones_on_streams(graph: Analysis, _: Mapping[str, Role], __: frozenset[str]) -> Mapping[str, Choice]:
    """What is multiplied when the batch is measured."""
    one = Choice(constant(1.0), "factor of the stream: 1 before the branches are measured", _ADMIN)
    return {each.name: one for each in rescaled(graph)}


ADMIN = recipe(
    "admin",
    1,
    table(
        hidden=lambda role: Choice(xavier(role), "Xavier uniform", _ADMIN),
        embedding=_by_width(_ADMIN),
        positional=_by_width(_ADMIN),
    ),
    about="deep transformers with norms on the stream and a learned factor on it: w x + f(x), w by measured variances",
    optimizer="Adam",
    source=f"{_ADMIN}, and its code",
    needs=("attention_out", "residual_out"),
    cautions=(Caution("it stands on norms on the stream, and no branch here is followed by one", _not_post),),
    solve=_ones_on_streams,
    refinement=Shares(),
)


# ---------------------------------------------------------------------- tfixup
def _tfixup_table(role: Role) -> Choice:
    """N(0, 1/d), times (9N)^(-1/4) with the blocks of the decoder, or of the only stack."""
    width, blocks = table_width(role), role.net.blocks
    reason = f"table of width {width}: std 1/sqrt({width}) * (9 * {blocks})^(-1/4)"
    return Choice(normal(std=width**-0.5 * (9 * blocks) ** -0.25), reason, _TFIXUP)


TFIXUP = recipe(
    "tfixup",
    1,
    table(
        **_gained(tfixup_factor, "uniform", _TFIXUP),
        embedding=_tfixup_table,
        positional=always(normal(std=0.02), "trained positions (the paper's are fixed sines): std 0.02"),
    ),
    about="transformers without norms",
    optimizer="Adam",
    source=_TFIXUP,
    needs=("embedding", "attention_out", "residual_out"),
    cautions=(Caution("it is for models without norms, and this one has some", lambda roles: net_of(roles).normed),),
    by_depth=True,
)

# ---------------------------------------------------------------------- ds_init
_DS_INIT = "Zhang et al. 2019, arXiv:1908.11365"


def _ds_init_weight(role: Role) -> Choice:
    """Xavier uniform over sqrt(l) in block l, counted from 1; the zero toolkit takes the fourth root instead."""
    if role.branch is None:
        return Choice(xavier(role), "outside the branches: Xavier uniform", _DS_INIT)
    number = role.block + 1
    return Choice(xavier(role, gain=number**-0.5), f"block {number}: Xavier uniform over sqrt({number})", _DS_INIT)


DS_INIT = recipe(
    "ds_init",
    1,
    table(hidden=_ds_init_weight, embedding=_by_width(_DS_INIT), positional=_by_width(_DS_INIT)),
    about="transformers whose blocks start the smaller the deeper they are",
    optimizer="Adam",
    source=_DS_INIT,
    needs=("residual_out",),
    by_depth=True,
)
