"""Language models: gpt2@1, megatron@1, llama@1, olmo@1, bert@1, t5@1, conditioned@1.

Layers are counted by the graph: branches on the stream for gpt2@1, blocks (one self-attention and what follows it) for
the others. Where released code and paper differ, the docstring of the recipe says which one it follows.
"""

import math

from wellbegun.graph import Role
from wellbegun.planning.method import Choice
from wellbegun.planning.recipes.base import Chooser, Recipe, recipe
from wellbegun.planning.recipes.common import (
    always,
    by_part,
    clipped,
    everywhere,
    fan_in,
    table,
    table_width,
    within_two,
)
from wellbegun.planning.recipes.frameworks import TORCH_CHOICES
from wellbegun.schemes import eye, lecun_normal, normal, orthogonal

_STD = 0.02

# ---------------------------------------------------------------------- gpt2, megatron
_GPT2 = "Radford et al. 2019, Language models are unsupervised multitask learners"
_MEGATRON = "Shoeybi et al. 2019, arXiv:1909.08053"


def _small(reason: str, source: str) -> Chooser:
    return always(normal(std=_STD), f"{reason}: std {_STD}", source)


def _gpt2_out(role: Role) -> Choice:
    """0.02 / sqrt(number of branches on the stream)."""
    if not role.ends_branch or role.branch is None:
        return Choice(normal(std=_STD), f"ends no residual branch: std {_STD}", _GPT2)
    count = role.branch.count
    reason = f"ends one of {count} branches on its stream: std {_STD} / sqrt({count})"
    return Choice(normal(std=_STD / math.sqrt(count)), reason, _GPT2)


def _megatron_out(role: Role) -> Choice:
    """0.02 / sqrt(2 layers), whatever else a layer holds."""
    if not role.ends_branch or role.stack is None:
        return Choice(normal(std=_STD), f"ends no residual branch: std {_STD}", _MEGATRON)
    layers = role.stack.layers
    reason = f"ends a branch in a stack of {layers} layers: std {_STD} / sqrt(2 * {layers})"
    return Choice(normal(std=_STD / math.sqrt(2 * layers)), reason, _MEGATRON)


def _gpt(name: str, out: Chooser, source: str, about: str) -> Recipe:
    choices = table(
        hidden=_small("weight", source),
        residual_out=out,
        embedding=_small("lookup table", source),
        positional=_small("positions", source),
        token=_small("token", source),
    )
    needs = ("embedding", "residual_out")
    return recipe(name, 1, choices, about=about, optimizer="AdamW", source=source, needs=needs, by_depth=True)


# positions 0.02 as in nanoGPT and Hugging Face; the code released with the paper has 0.01 and no factor on the outputs
GPT2 = _gpt(
    "gpt2", _gpt2_out, _GPT2, "decoders as GPT-2: std 0.02, ends of branches divided by the root of their number"
)
MEGATRON = _gpt(
    "megatron", _megatron_out, _MEGATRON, "decoders as Megatron-LM: std 0.02, ends of branches over sqrt(2 layers)"
)

# ---------------------------------------------------------------------- llama
_LLAMA = "torchtitan, Llama 3 with depth_init (Zhang et al. 2019, arXiv:1908.11365)"


def _llama_deep(role: Role) -> Choice:
    """0.02 / sqrt(2 l) in block l, counted from 1: outputs of branches, and the up projection."""
    if role.branch is None:
        return Choice(within_two(_STD), f"in no residual branch: std {_STD}", _LLAMA)
    number = role.block + 1
    std = _STD / math.sqrt(2 * number)
    reason = f"{role.role.replace('_', ' ')} of block {number}: std {_STD} / sqrt(2 * {number})"
    return Choice(within_two(std), reason, _LLAMA)


def _llama_readout(role: Role) -> Choice:
    width = table_width(role) if role.role == "embedding" else fan_in(role)
    return Choice(clipped(width**-0.5, 3), f"readout: std 1/sqrt({width}), cut at +-3 std", _LLAMA)


def _llama_embedding(role: Role) -> Choice:
    if role.shared_readout:
        return _llama_readout(role)
    return Choice(normal(std=1.0), "lookup table: standard normal", _LLAMA)


LLAMA = recipe(
    "llama",
    1,
    table(
        hidden=always(within_two(_STD), f"weight: std {_STD}", _LLAMA),
        residual_out=_llama_deep,
        up=_llama_deep,  # w2 and w3 of the reference; w1, the gate, is not scaled, nor is a fused gate_up
        readout=_llama_readout,
        embedding=_llama_embedding,
        positional=always(within_two(_STD), f"positions, which Llama has none of: std {_STD}", _LLAMA),
        token=always(within_two(_STD), f"token: std {_STD}", _LLAMA),
    ),
    about="decoders with gated feed-forward, as Llama",
    optimizer="AdamW",
    source=_LLAMA,
    needs=("embedding", "attention_out", "gate", "up", "down"),
    by_depth=True,
)

# ---------------------------------------------------------------------- olmo, per layer, total depth
_OLMO = "Groeneveld et al. 2024, arXiv:2402.00838, init_fn mitchell"
_OPEN_LM = "open_lm, code of attention and feed-forward"


def _open(name: str, total: bool, source: str, about: str) -> Recipe:
    """1/sqrt(inputs); ends of branches over sqrt(2 l) in block l, counted from 1, or over sqrt(2 L) in all L blocks."""

    def inside(role: Role) -> Choice:
        inputs = fan_in(role)
        return Choice(clipped(inputs**-0.5, 3), f"std 1/sqrt({inputs}), cut at +-3 std", source)

    def out(role: Role) -> Choice:
        if not role.ends_branch or role.stack is None:
            return inside(role)
        inputs, number = fan_in(role), role.stack.layers if total else role.block + 1
        where = f"ends a branch in a stack of {number} blocks" if total else f"ends a branch of block {number}"
        reason = f"{where}: std 1/sqrt(2 * {inputs} * {number}), cut at +-3 std"
        return Choice(clipped((2 * inputs * number) ** -0.5, 3), reason, source)

    def rows(role: Role) -> Choice:
        width = table_width(role)
        return Choice(clipped(width**-0.5, 3), f"table of width {width}: std 1/sqrt({width}), cut at +-3 std", source)

    choices = table(hidden=inside, residual_out=out, embedding=rows, positional=rows, token=rows)
    needs = ("embedding", "residual_out")
    return recipe(name, 1, choices, about=about, optimizer="AdamW", source=source, needs=needs, by_depth=True)


OLMO = _open("olmo", False, _OLMO, "decoders as OLMo")
PER_LAYER = _open(
    "per_layer",
    False,
    _OPEN_LM,
    "decoders: ends of branches divided by sqrt(2 l) in block l, so that the first say most",
)
TOTAL_DEPTH = _open(
    "total_depth", True, _OPEN_LM, "decoders: ends of branches divided by sqrt(2 L), whichever of the L blocks it is"
)

# ---------------------------------------------------------------------- bert
_BERT = "Devlin et al. 2019, arXiv:1810.04805, released code"

# truncated as in the TensorFlow code; Hugging Face draws an uncut normal of std 0.02
BERT = recipe(
    "bert",
    1,
    everywhere(clipped(_STD, 2), f"normal of std {_STD} cut at +-2 std, which leaves 0.0176", _BERT),
    about="encoders as BERT: std 0.02",
    optimizer="AdamW",
    source=_BERT,
    needs=("embedding", "positional", "residual_out"),
)

# ---------------------------------------------------------------------- t5
_T5 = "Raffel et al. 2020, arXiv:1910.10683, Mesh TensorFlow code"


def _t5_weight(role: Role) -> Choice:
    inputs = fan_in(role)
    return Choice(lecun_normal(), f"std 1/sqrt({inputs}) of its inputs", _T5)


def _query_std(role: Role) -> float:
    return float((fan_in(role) * max(role.head_width, 1)) ** -0.5)


def _t5_query(role: Role) -> Choice:
    """1 / sqrt(d_model d_kv): attention of T5 is not divided by sqrt(d_kv), so the weights of queries are."""
    if not role.head_width:
        return Choice(lecun_normal(), "width of a head is unknown: as a key", _T5)
    reason = f"std 1/sqrt({fan_in(role)} * {role.head_width}): scores are not divided by sqrt of the head width"
    return Choice(normal(std=_query_std(role)), reason, _T5)


def _t5_fused(role: Role) -> Choice:
    """Query, key and value in one matrix: by section, if the sections are known."""
    other = lecun_normal()
    scheme = by_part(role, query=normal(std=_query_std(role)), key=other, value=other) if role.head_width else None
    if scheme is None:
        return Choice(other, "fused queries in an unknown order: all as keys", _T5)
    reason = f"queries std 1/sqrt({fan_in(role)} * {role.head_width}), others 1/sqrt({fan_in(role)})"
    return Choice(scheme, reason, _T5)


def _t5_positional(role: Role) -> Choice:
    """Relative positions inside attention; a table of positions outside is one like any other."""
    if role.stack is None or not role.stack.width:
        return Choice(normal(std=1.0), "table of absolute positions: standard normal", _T5)
    width = role.stack.width
    return Choice(normal(std=width**-0.5), f"relative positions: std 1/sqrt({width}) of the stream", _T5)


T5 = recipe(
    "t5",
    1,
    table(
        hidden=_t5_weight,
        query=_t5_query,
        query_key=_t5_fused,
        query_key_value=_t5_fused,
        readout=always(normal(std=1.0), "readout of its own: standard normal", _T5),
        embedding=always(normal(std=1.0), "lookup table: standard normal", _T5),
        positional=_t5_positional,
        token=always(normal(std=1.0), "token, like an entry of the table: standard normal", _T5),
    ),
    about="encoder-decoders as T5",
    optimizer="Adafactor",
    source=_T5,
    needs=("embedding", "query", "attention_out"),
)

# ---------------------------------------------------------------------- conditioned attention
_CONDITIONED = "Conditioned Initialization for Attention, ICLR 2026, openreview cKNOCYPo2W"
_SCORE = always(orthogonal(), "queries and keys: semi-orthogonal, of condition number 1", _CONDITIONED)


def _conditioned(role: Role) -> Choice:
    scheme = by_part(role, query=orthogonal(), key=orthogonal(), value=eye())
    if scheme is None:
        return Choice(orthogonal(), "fused in an unknown order: orthogonal, values too", _CONDITIONED)
    return Choice(scheme, "queries and keys semi-orthogonal, values an identity", _CONDITIONED)


CONDITIONED = recipe(
    "conditioned",
    1,
    {
        **TORCH_CHOICES,
        "query": _SCORE,
        "key": _SCORE,
        "query_key": _conditioned,
        "value": always(eye(), "values: a rectangular identity, of condition number 1", _CONDITIONED),
        "key_value": _conditioned,
        "query_key_value": _conditioned,
    },
    about="transformers whose attention starts with condition numbers of 1; all else as PyTorch has it",
    optimizer="AdamW",
    source=_CONDITIONED,
    needs=("attention_out",),
)
