"""Language models of later years: small_init@1, wang@1, deepseek@1, qwen@1, gemma@1, gamma@1, peri_ln@1, lns@1,
muonh@1, modded_nanogpt@1, retnet@1.

Where an optimizer keeps the norms of weights, as MuonH does, the first scale stays for good.
"""

import math
from collections.abc import Mapping

from wellbegun.graph import Analysis, Role, net_of
from wellbegun.graph.proportional import constant_behind
from wellbegun.graph.walk import forward
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Caution, Recipe, recipe
from wellbegun.planning.recipes.common import (
    ATTENTION,
    always,
    everywhere,
    fan_in,
    stream_width,
    table,
    table_width,
    xavier,
)
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES, torch_weight
from wellbegun.schemes import constant, normal, uniform, zeros

# ---------------------------------------------------------------------- small_init, wang
_SMALL = "Nguyen, Salazar 2019, arXiv:1910.05895"
_WANG = "Wang, Komatsuzaki 2021, GPT-J; GPT-NeoX code, wang_init"


def _small(role: Role) -> Choice:
    """sqrt(2 / 5d) for every matrix: Xavier's of a layer from d to 4d."""
    width = table_width(role) if role.role in ("embedding", "positional", "token") else stream_width(role)
    return Choice(
        normal(std=math.sqrt(2 / (5 * width))), f"stream of width {width}: std sqrt(2 / (5 * {width}))", _SMALL
    )


def _wang_out(role: Role) -> Choice:
    """2 / (L sqrt(d)) in a stack of L blocks."""
    if not role.ends_branch or role.stack is None:
        return _small(role)
    layers, width = role.stack.layers, stream_width(role)
    reason = f"ends a branch in a stack of {layers} blocks: std 2 / ({layers} sqrt({width}))"
    return Choice(normal(std=2 / layers / math.sqrt(width)), reason, _WANG)


_SMALL_CHOICES = table(**dict.fromkeys(("hidden", "embedding", "positional", "token"), _small))
SMALL_INIT = recipe(
    "small_init",
    1,
    _SMALL_CHOICES,
    about="transformers: std sqrt(2 / 5d) by the width d of the stream, at every depth",
    optimizer="Adam",
    source=_SMALL,
    needs=("residual_out",),
)
WANG = recipe(
    "wang",
    1,
    {**_SMALL_CHOICES, "residual_out": _wang_out},
    about="decoders as GPT-J and GPT-NeoX: small_init, ends of branches 2 / (L sqrt(d))",
    optimizer="AdamW",
    source=_WANG,
    needs=("embedding", "residual_out"),
    by_depth=True,
)


# ---------------------------------------------------------------------- one number for all
def _flat(name: str, std: float, about: str, source: str, cautions: tuple[Caution, ...] = ()) -> Recipe:
    choices = everywhere(normal(std=std), f"std {std}, whatever it is", source)
    needs = ("embedding", "residual_out", "norm_scale")
    return recipe(name, 1, choices, about=about, optimizer="AdamW", source=source, needs=needs, cautions=cautions)


DEEPSEEK = _flat(
    "deepseek",
    0.006,
    "decoders as DeepSeek, with experts too: std 0.006 for all",
    "DeepSeek-AI 2024, arXiv:2401.02954, arXiv:2412.19437",
)
QWEN = _flat(
    "qwen", 0.02, "decoders as Qwen: std 0.02 for all, zero biases of q, k, v", "Qwen 2 and 3, code in transformers"
)
# scales of its norms are stored as w and used as 1 + w, so they start at 0: the graph says so
GEMMA = _flat(
    "gemma", 0.02, "decoders as Gemma: std 0.02 for all, norms that add 1 to their scale", "Gemma, code in transformers"
)


def _no_inner_norm(roles: Mapping[str, Role]) -> bool:
    norms = [role for role in roles.values() if role.role == "norm_scale"]
    return bool(norms) and not any(role.ends_branch for role in norms)


PERI_LN = _flat(
    "peri_ln",
    0.02,
    "transformers with a norm before and after each branch: std 0.02 for all, every norm at 1",
    "Kim et al. 2025, arXiv:2502.02732",
    (Caution("it stands on a norm at the end of each branch, and no branch here ends in one", _no_inner_norm),),
)

# ---------------------------------------------------------------------- gamma
_GAMMA = "Zhang et al. 2024, arXiv:2405.05409, where 1/n^gamma is the std"


def _by_inputs(role: Role) -> Choice:
    inputs = table_width(role) if role.role in ("embedding", "positional", "token") else fan_in(role)
    return Choice(normal(std=1 / inputs), f"std {inputs}^-1, with exponent gamma = 1 in place of 1/2", _GAMMA)


GAMMA = recipe(
    "gamma",
    1,
    table(**dict.fromkeys(("hidden", "embedding", "positional", "token"), _by_inputs)),
    about="transformers that are to find rules rather than memorize: std 1 / inputs",
    optimizer="AdamW",
    source=f"{_GAMMA}; Hang et al. 2026, arXiv:2606.17945",
    needs=("residual_out",),
)

# ---------------------------------------------------------------------- lns
_LNS = "Sun et al. 2025, arXiv:2502.05795"


def _lns(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """Scales of the norms that begin branches of block l: 1/sqrt(l), unless the model itself multiplies with that."""
    found = dict[str, Choice]()
    for name, role in roles.items():
        if role.role != "norm_scale" or role.branch is None or role.ends_branch or name in decided:
            continue
        number, own = role.block + 1, constant_behind(graph, graph.operations[role.operation].outputs[0])
        if abs(own * math.sqrt(number) - 1) < 1e-3:
            found[name] = Choice(constant(role.unit), f"the model multiplies with 1/sqrt({number}) by itself", _LNS)
        elif role.unit > 0:
            reason = f"begins a branch of block {number}: 1/sqrt({number}), which the paper keeps fixed"
            found[name] = Choice(constant(role.unit / math.sqrt(number)), reason, _LNS)
    return found


LNS = recipe(
    "lns",
    1,
    everywhere(normal(std=0.02), "std 0.02, at every depth", _LNS),
    about="deep decoders with norms before branches: what norms of block l give is divided by sqrt(l)",
    optimizer="AdamW",
    source=_LNS,
    needs=("embedding", "residual_out", "norm_scale"),
    solve=_lns,
)

# ---------------------------------------------------------------------- muonh
_MUONH = "modded-nanogpt, track 3, MuonH, pull request 267"


def _muonh(role: Role) -> Choice:
    """Times torch's default 1/sqrt(3 n): 1.25 behind attention, 1.5 into and 3 out of a perceptron."""
    if role.branch is None or role.role in ATTENTION - {"attention_out"}:
        return torch_weight(role)
    times = 1.25 if role.role == "attention_out" else 3.0 if role.ends_branch else 1.5
    inputs = fan_in(role)
    return Choice(normal(std=times / math.sqrt(3 * inputs)), f"std {times:g} / sqrt(3 * {inputs}), for good", _MUONH)


MUONH = recipe(
    "muonh",
    1,
    {**TORCH_CHOICES, "hidden": _muonh, "bias": always(zeros(), "biases, which the code has none of: 0", _MUONH)},
    about="decoders under an optimizer that keeps the norm of each matrix: the scale is permanent",
    optimizer="MuonH, Adam",
    source=_MUONH,
    needs=("attention_out", "residual_out"),
)

# ---------------------------------------------------------------------- modded_nanogpt
_MODDED = "modded-nanogpt, train_gpt"


def _modded(role: Role) -> Choice:
    """+-sqrt(3) 0.5/sqrt(d) by the width d of the stream; 0 where a perceptron ends."""
    if role.branch is None:
        return Choice(normal(std=0.005), "outside the branches, as the readout: std 0.005", _MODDED)
    if role.ends_branch and role.role != "attention_out":
        return Choice(zeros(), "ends a perceptron: 0", _MODDED)
    width = stream_width(role)
    bound = 0.5 * math.sqrt(3 / width)
    return Choice(uniform(-bound, bound), f"uniform of std 0.5/sqrt({width})", _MODDED)


def _value_tables(graph: Analysis, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
    """Tables whose rows go into branches and not onto the stream: value embeddings."""
    inside = frozenset[int]().union(*(branch.interior for branch in net_of(roles).branches))
    found = dict[str, Choice]()
    for name, role in roles.items():
        if role.role == "embedding" and name not in decided:
            ways = forward(graph, graph.operations[role.operation].outputs, lambda step: step.kind in ("move", "split"))
            if {step.index for step in ways if step.kind not in ("move", "split")} <= inside:
                found[name] = Choice(normal(std=0.01), "value embedding, added inside a branch: std 0.01", _MODDED)
    return found


MODDED_NANOGPT = recipe(
    "modded_nanogpt",
    1,
    table(
        hidden=_modded,
        embedding=always(normal(std=0.005), "lookup table, which starts as the readout: std 0.005", _MODDED),
        positional=always(normal(std=0.02), "positions, which the code has none of: std 0.02"),
    ),
    about="decoders for fast training with Muon: uniform of std 0.5/sqrt(d), perceptrons that end in 0",
    optimizer="Muon, Adam",
    source=_MODDED,
    needs=("embedding", "attention_out", "residual_out"),
    solve=_value_tables,
)

# ---------------------------------------------------------------------- retnet
_RETNET = "Sun et al. 2023, arXiv:2307.08621, torchscale code, MultiScaleRetention and RetNetDecoder"


def _retention(role: Role) -> Choice:
    """Xavier: with gain 2^(-5/2) into a retention, with gain 1 out of it; outside the branches 1/sqrt(d)."""
    if role.branch is None:
        return _of_stream(role)
    if role.ends_branch:
        return Choice(xavier(role), "ends a retention: Xavier with gain 1", _RETNET)
    return Choice(xavier(role, gain=2**-2.5), "into a retention (queries, keys, values, gates): gain 2^(-5/2)", _RETNET)


def _of_stream(role: Role) -> Choice:
    width = fan_in(role) if role.role in ("hidden", "readout") else table_width(role)
    return Choice(normal(std=width**-0.5), f"of a stream of width {width}: std {width}^(-1/2)", _RETNET)


RETNET = recipe(
    "retnet",
    1,
    table(
        hidden=_retention,
        readout=_of_stream,
        **dict.fromkeys(("gate", "up", "gate_up", "down"), torch_weight),
        **dict.fromkeys(("embedding", "positional", "token"), _of_stream),
    ),
    about="decoders with retention and gated perceptrons, as RetNet",
    optimizer="AdamW",
    source=_RETNET,
    needs=("embedding", "gate", "residual_out"),
)
