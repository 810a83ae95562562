"""States and sounds: mamba2@1, rwkv7@1, wav2vec2@1; and alphafold@1."""

import math
from collections.abc import Mapping

from wellbegun.graph import Analysis, Role
from wellbegun.graph.meetings import meetings
from wellbegun.graph.walk import weights_before
from wellbegun.planning.method import KEEP, Choice
from wellbegun.planning.recipes.base import Caution, has, recipe, zero
from wellbegun.planning.recipes.common import ATTENTION, always, fan_in, sizes, table, xavier
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES, torch_bias, torch_weight
from wellbegun.schemes import constant, he_normal, normal, ones, orthogonal, uniform, variance_scaling, zeros
from wellbegun.schemes.ssm import mamba2_a, mamba_dt_bias, s4d_real

# ---------------------------------------------------------------------- mamba2
_MAMBA = "Gu, Dao 2023, arXiv:2312.00752, mamba_ssm code"
_MAMBA2 = "Dao, Gu 2024, arXiv:2405.21060, mamba_ssm code"


def _mamba_out(role: Role) -> Choice:
    """torch's default over sqrt(branches): one for each layer."""
    if not role.ends_branch or role.branch is None:
        return torch_weight(role)
    inputs, count = fan_in(role), role.branch.count
    bound = 1 / math.sqrt(inputs * count)
    return Choice(uniform(-bound, bound), f"ends one of {count} branches: +-1/sqrt({inputs} * {count})", _MAMBA2)


def _mamba2(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """What states are made of: rates -exp(A), skips, and what is added before the softplus of a time step."""
    found = dict[str, Choice]()
    for name, role in roles.items():
        if role.operation < 0 or role.branch is None or name in decided:
            continue
        operation = graph.operations[role.operation]
        computed = next((use.computed for use in operation.uses if use.parameter == name), None)
        if role.role == "multiplier" and computed is None:
            found[name] = Choice(ones(), "skip past the states: 1", _MAMBA2)
        elif role.role == "multiplier" and computed is not None and computed.where(-1.0) == 0:
            by_state = len(role.parameter.shape) > 1  # one for each channel and state, as in Mamba 1
            of_all = Choice(mamba2_a(), "rate of decay, -exp of it: log U(1, 16)", _MAMBA2)
            found[name] = Choice(s4d_real(), "rates of states 1, 2, ...: log of them", _MAMBA) if by_state else of_all
        elif role.role in ("bias", "time_step_bias") and any(
            met.name == "softplus" for met in meetings(graph, operation.outputs[0])
        ):
            found[name] = Choice(mamba_dt_bias(), "time steps: log-uniform in 0.001 ... 0.1", _MAMBA2)
    return found


def _with_states(roles: Mapping[str, Role]) -> bool:
    """Whether a branch has a rate and a skip, each with an entry for every channel or head."""
    several = [role for role in roles.values() if role.role == "multiplier" and math.prod(role.parameter.shape) > 1]
    found = [role.branch.add for role in several if role.branch is not None]
    return len(found) > len({*found})


MAMBA2 = recipe(
    "mamba2",
    1,
    {
        **TORCH_CHOICES,
        "residual_out": _mamba_out,
        "embedding": always(normal(std=0.02), "lookup table: std 0.02", _MAMBA2),
    },
    about="state-space layers as Mamba and Mamba 2: torch's defaults, outputs over the root of the number of layers",
    optimizer="AdamW",
    source=_MAMBA2,
    needs=("embedding", "residual_out"),
    cautions=(Caution("weight decay pulls decay rates and skips to 0: leave them out of it", _with_states),),
    solve=_mamba2,
)

# ---------------------------------------------------------------------- rwkv7
_RWKV7 = "Peng et al. 2025, arXiv:2503.14456, RWKV-LM code of RWKV-7, generate_init_weight"


def _rwkv_weight(role: Role) -> Choice:
    """Orthogonal, keys with a tenth of the gain; 0 where a branch ends."""
    if role.ends_branch:
        return Choice(zeros(), "ends a branch: 0, so that blocks start as identities", _RWKV7)
    gain = 0.1 if role.role == "key" else 1.0
    return Choice(orthogonal(gain=gain), f"matrix of a block: orthogonal with gain {gain:g}", _RWKV7)


def _rwkv_readout(role: Role) -> Choice:
    found = sizes(role)
    gain = 0.5 * math.sqrt(max(found.outputs / found.inputs, 1))
    reason = f"readout: orthogonal with gain 0.5 sqrt({found.outputs}/{found.inputs}), at least 0.5"
    return Choice(orthogonal(gain=gain), reason, _RWKV7)


_DECAY = Choice(KEEP, "a rate or a decay, a design of its own: kept as constructed")


def _rwkv7(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """Of two matrices that lead through few units the first is 0; norms inside branches grow with depth."""
    found, narrow, behind = dict[str, Choice](), set[int](), set[int]()
    for name, role in sorted(roles.items(), key=lambda item: item[1].operation):
        if role.branch is None or role.ends_branch or name in decided:
            continue
        inputs = graph.operations[role.operation].inputs
        before = {made.index for value in inputs for made in weights_before(graph, value, functions=True)}
        if role.role == "norm_scale" and role.stack is not None and role.branch.interior & {*map(graph.made, inputs)}:
            part = (role.block + 1) / role.stack.layers
            found[name] = Choice(constant(part**0.7 * role.unit), f"norm inside a branch: {part:.3g}^0.7", _RWKV7)
        elif role.role == "hidden" and before & narrow:
            behind.add(role.operation)
            found[name] = Choice(orthogonal(gain=0.1), "behind few units: orthogonal with gain 0.1", _RWKV7)
        elif role.role == "hidden" and 2 * sizes(role).outputs <= sizes(role).inputs:
            narrow.add(role.operation)
            found[name] = Choice(zeros(), "leads to few units, whose next matrix is not 0: 0", _RWKV7)
    decays = [n for n, role in roles.items() if role.beside is not None and role.beside.operation in behind]
    return found | dict.fromkeys(decays, _DECAY)


_KEYS = Caution(
    "the graph does not tell its keys, which the code starts at a tenth: give them a rule, orthogonal(gain=0.1)",
    lambda roles: not has("key")(roles) and has("residual_out")(roles),
)
RWKV7 = recipe(
    "rwkv7",
    1,
    table(
        hidden=_rwkv_weight,
        readout=_rwkv_readout,
        embedding=always(uniform(-1e-4, 1e-4), "lookup table before a norm: +-1e-4", _RWKV7),
        positional=lambda _: _DECAY,
        bias=lambda role: zero(role) if role.beside else _DECAY,
    ),
    about="recurrent blocks as RWKV-7: outputs of branches 0, tables almost 0; rates and decays kept as constructed",
    optimizer="AdamW",
    source=_RWKV7,
    needs=("embedding", "residual_out", "readout"),
    cautions=(_KEYS,),
    solve=_rwkv7,
)

# ---------------------------------------------------------------------- wav2vec2
_WAV2VEC2 = "Baevski et al. 2020, arXiv:2006.11477, fairseq and transformers code"


def _wav2vec2_weight(role: Role) -> Choice:
    """He for convolutions of the encoder; 2/sqrt(window * channels) for the one of positions; 0.02 in the blocks."""
    kernel = role.layout is not None and "k" in role.layout.axes
    if role.branch is not None and kernel and role.layout is not None:
        terms = fan_in(role) * role.layout.groups
        return Choice(normal(std=2 / math.sqrt(terms)), f"positions by convolution: std 2/sqrt({terms})", _WAV2VEC2)
    if role.branch is not None or role.role == "readout":
        return Choice(normal(std=0.02), "linear layer: std 0.02", _WAV2VEC2)
    return Choice(he_normal(), "convolution: He by fan in", _WAV2VEC2) if kernel else torch_weight(role)


def _wav2vec2_bias(role: Role) -> Choice:
    beside = role.beside
    outside = beside is not None and beside.branch is None and beside.role != "readout"
    return torch_bias(role) if outside else zero(role)


WAV2VEC2 = recipe(
    "wav2vec2",
    1,
    table(hidden=_wav2vec2_weight, bias=_wav2vec2_bias, token=always(uniform(0.0, 1.0), "mask: U(0, 1)", _WAV2VEC2)),
    about="transformers behind convolutions of a sound, as wav2vec 2.0 and HuBERT",
    optimizer="Adam",
    source=_WAV2VEC2,
    needs=("hidden", "attention_out", "residual_out"),
)

# ---------------------------------------------------------------------- alphafold
_ALPHAFOLD = "Jumper et al. 2021, Highly accurate protein structure prediction with AlphaFold, code"


def _is_gating(role: Role | None) -> bool:
    inside = role is not None and role.branch is not None and role.role in ("hidden", "gate")
    return inside and role is not None and role.met is not None and role.met.name == "sigmoid"


def _alphafold_weight(role: Role) -> Choice:
    """0 at ends and in gates of sigmoids; Xavier for attention, truncated He before ReLU, truncated LeCun elsewhere."""
    if role.ends_branch or role.role == "readout":
        return Choice(zeros(), "final layer: 0", _ALPHAFOLD)
    if _is_gating(role):
        return Choice(zeros(), "gate: 0, its bias 1: open at the start", _ALPHAFOLD)
    if role.role in ATTENTION:
        return Choice(xavier(role), "queries, keys, values: Xavier uniform", _ALPHAFOLD)
    relu = role.met is not None and role.met.name == "relu"
    scheme = variance_scaling(scale=2.0 if relu else 1.0, distribution="truncated")
    return Choice(scheme, "before a ReLU: He, truncated" if relu else "LeCun, truncated", _ALPHAFOLD)


def _alphafold_bias(role: Role) -> Choice:
    return (
        Choice(ones(), "bias of a gate: 1, so that it is open", _ALPHAFOLD) if _is_gating(role.beside) else zero(role)
    )


ALPHAFOLD = recipe(
    "alphafold",
    1,
    table(hidden=_alphafold_weight, bias=_alphafold_bias),
    about="gated attention over pairs, as the Evoformer: branches end in 0, gates start open",
    optimizer="Adam",
    source=_ALPHAFOLD,
    needs=("query", "residual_out"),
)
