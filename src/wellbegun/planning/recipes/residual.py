"""Deep residual nets: fixup@1, skipinit@1, rezero@1, deepnorm@1, tfixup@1.

Branches, their layers and the blocks of encoder and decoder are counted in the graph. deepnorm@1 chooses the weights;
the factor alpha on the stream is part of the model.
"""

from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Chooser, recipe
from wellbegun.planning.recipes.common import always, parts, sizes, table, table_width, xavier
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES
from wellbegun.planning.recipes.vision import he_fan_out
from wellbegun.schemes import Scheme, by_section, he_normal, normal, ones, xavier_normal, xavier_uniform, zeros

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
# all but the multipliers stays as the framework has it in the code of the paper
REZERO = recipe(
    "rezero",
    1,
    {
        **TORCH_CHOICES,
        "residual_scale": always(zeros(), "multiplier of a branch: 0, so that the block starts as identity", _REZERO),
    },
    about="the same for layers with PyTorch's defaults",
    optimizer="SGD, LAMB",
    source=_REZERO,
    needs=("residual_out", "residual_scale"),
)

# ---------------------------------------------------------------------- deepnorm
_DEEPNORM = "Wang et al. 2022, arXiv:2203.00555"


def deepnorm_gain(role: Role) -> tuple[float, str]:
    """beta, and the formula it is from: by the number of blocks of the encoder and of the decoder."""
    assert role.stack is not None
    own, other = role.stack.layers, role.stack.other
    if role.stack.kind == "encoder" and other:
        return 0.87 * (own**4 * other) ** (-1 / 16), f"0.87 ({own}^4 * {other})^(-1/16)"
    if role.stack.kind == "decoder":
        return (12 * own) ** -0.25, f"(12 * {own})^(-1/4)"
    return (8 * own) ** -0.25, f"(8 * {own})^(-1/4)"


def _deepnorm_weight(role: Role) -> Choice:
    if role.branch is None or role.stack is None:
        return Choice(xavier(role, distribution="normal"), "outside the branches: Xavier", _DEEPNORM)
    gain, formula = deepnorm_gain(role)
    reason = f"{role.stack.kind} of {role.stack.layers} blocks: Xavier with gain {formula}"
    return Choice(xavier(role, gain=gain, distribution="normal"), reason, _DEEPNORM)


def _deepnorm_score(role: Role) -> Choice:
    return Choice(xavier(role, distribution="normal"), "queries and keys: Xavier with gain 1", _DEEPNORM)


def _last_value(role: Role, scheme: Scheme, scaled: Scheme) -> Scheme | None:
    """Sections of a fused projection that ends with the values; None if their order is unknown."""
    layout, count = role.layout, parts(role)
    if layout is None or layout.sections != count or not layout.axes.startswith("o"):
        return None
    return by_section(*[scheme] * (count - 1), scaled)


def _deepnorm_fused(role: Role) -> Choice:
    if role.stack is None:
        return _deepnorm_score(role)
    gain, formula = deepnorm_gain(role)
    sections = _last_value(role, xavier_normal(), xavier_normal(gain=gain))
    if sections is None:
        reason = "values fused in an unknown order: Xavier with gain 1 for all, values too"
        return Choice(xavier(role, distribution="normal"), reason, _DEEPNORM)
    return Choice(sections, f"Xavier, values with gain {formula}", _DEEPNORM)


def _by_width(source: str) -> Chooser:
    def choose(role: Role) -> Choice:
        width = table_width(role)
        return Choice(normal(std=width**-0.5), f"table of width {width}: std 1/sqrt({width})", source)

    return choose


DEEPNORM = recipe(
    "deepnorm",
    1,
    table(
        hidden=_deepnorm_weight,
        query=_deepnorm_score,
        key=_deepnorm_score,
        query_key=_deepnorm_score,
        query_key_value=_deepnorm_fused,
        key_value=_deepnorm_fused,
        embedding=_by_width(f"{_DEEPNORM}, torchscale code"),
        positional=_by_width(f"{_DEEPNORM}, torchscale code"),
    ),
    about="deep transformers with norms on the stream",
    optimizer="Adam",
    source=_DEEPNORM,
    needs=("attention_out", "residual_out"),
)

# ---------------------------------------------------------------------- tfixup
_TFIXUP = "Huang et al. 2020, Improving transformer optimization through better initialization"


def tfixup_factor(role: Role) -> tuple[float, str]:
    """(9N)^(-1/4) in a decoder, 0.67 N^(-1/4) in an encoder; a single stack counts as an encoder."""
    assert role.stack is not None
    layers = role.stack.layers
    if role.stack.kind == "decoder":
        return (9 * layers) ** -0.25, f"(9 * {layers})^(-1/4)"
    return 0.67 * layers**-0.25, f"0.67 * {layers}^(-1/4)"


def _tfixup_weight(role: Role) -> Choice:
    if role.branch is None or role.stack is None:
        return Choice(xavier(role), "outside the branches: Xavier uniform", _TFIXUP)
    factor, formula = tfixup_factor(role)
    reason = f"{role.stack.kind} of {role.stack.layers} blocks: Xavier uniform times {formula}"
    return Choice(xavier(role, gain=factor), reason, _TFIXUP)


def _tfixup_score(role: Role) -> Choice:
    return Choice(xavier(role), "queries and keys: Xavier uniform", _TFIXUP)


def _tfixup_fused(role: Role) -> Choice:
    if role.stack is None:
        return _tfixup_score(role)
    factor, formula = tfixup_factor(role)
    sections = _last_value(role, xavier_uniform(), xavier_uniform(gain=factor))
    if sections is None:
        reason = "values fused in an unknown order: Xavier uniform for all, values too"
        return Choice(xavier(role), reason, _TFIXUP)
    return Choice(sections, f"Xavier uniform, values times {formula}", _TFIXUP)


def _tfixup_table(role: Role) -> Choice:
    """N(0, 1/d), times (9N)^(-1/4) with the blocks of the decoder, or of the only stack."""
    width, blocks = table_width(role), role.net.blocks
    reason = f"table of width {width}: std 1/sqrt({width}) * (9 * {blocks})^(-1/4)"
    return Choice(normal(std=width**-0.5 * (9 * blocks) ** -0.25), reason, _TFIXUP)


TFIXUP = recipe(
    "tfixup",
    1,
    table(
        hidden=_tfixup_weight,
        query=_tfixup_score,
        key=_tfixup_score,
        query_key=_tfixup_score,
        query_key_value=_tfixup_fused,
        key_value=_tfixup_fused,
        embedding=_tfixup_table,
        positional=always(normal(std=0.02), "trained positions (the paper's are fixed sines): std 0.02"),
    ),
    about="transformers without norms",
    optimizer="Adam",
    source=_TFIXUP,
    needs=("embedding", "attention_out", "residual_out"),
)
