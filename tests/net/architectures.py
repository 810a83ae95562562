"""Architectures of transformers, built small from their configurations; nothing is downloaded."""

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Made = tuple[torch.nn.Module, Any]

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
TEXT = {"vocab_size": 99, "max_position_embeddings": 64, **SPECIAL, **SIZE}
GROUPED = {**TEXT, "num_key_value_heads": 2}
HEADS = {**GROUPED, "head_dim": 8}
GPT = {"vocab_size": 99, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, **SPECIAL}
IMAGE = {"image_size": 16, "patch_size": 4, "num_labels": 5, **SIZE}
SIDES = {
    f"{side}_{what}": number
    for side in ("encoder", "decoder")
    for what, number in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
}
PAIR = {"vocab_size": 99, "d_model": 32, "max_position_embeddings": 64, "decoder_start_token_id": 1, **SPECIAL, **SIDES}
T5 = {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, **SPECIAL}
STAGES = {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "num_channels": 3}
WAVE = {
    "conv_dim": (16, 16),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_length": 2,
    "vocab_size": 99,
    **SPECIAL,
    **SIZE,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


class Spec(NamedTuple):
    """Which automatic class makes it, of which configuration, and what it takes."""

    head: str
    options: dict[str, Any]
    batch: str
    kind: str = ""  # model_type, where it is not the name


CAUSAL: dict[str, dict[str, Any]] = {
    "gpt2": GPT,
    "gptj": {**GPT, "rotary_dim": 4},
    "codegen": {**GPT, "rotary_dim": 4, "n_ctx": 64},
    "gpt_bigcode": GPT,
    "openai-gpt": GPT,
    "ctrl": {**GPT, "dff": 48},
    "gpt_neo": {
        "vocab_size": 99,
        "max_position_embeddings": 64,
        "hidden_size": 32,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        **SPECIAL,
    },
    "gpt_neox": TEXT,
    "llama": GROUPED,
    "mistral": GROUPED,
    "mixtral": {**GROUPED, "num_local_experts": 4},
    "qwen2": GROUPED,
    "qwen3": HEADS,
    "qwen2_moe": {**GROUPED, **EXPERTS, "shared_expert_intermediate_size": 16},
    "olmoe": {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2},
    "gemma": HEADS,
    "gemma2": {**HEADS, "query_pre_attn_scalar": 8},
    "gemma3_text": {**HEADS, "query_pre_attn_scalar": 8},
    "phi": TEXT,
    "phi3": GROUPED,
    "falcon": {**TEXT, "new_decoder_architecture": False},
    "opt": {**TEXT, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "bloom": {"vocab_size": 99, "hidden_size": 32, "n_layer": 2, "n_head": 4, **SPECIAL},
    "mpt": {"vocab_size": 99, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64, **SPECIAL},
    "olmo": GROUPED,
    "olmo2": GROUPED,
    "stablelm": GROUPED,
    "cohere": GROUPED,
    "granite": GROUPED,
    "starcoder2": GROUPED,
    "persimmon": TEXT,
    "nemotron": GROUPED,
    "biogpt": TEXT,
    "glm": HEADS,
    "smollm3": GROUPED,
    "mamba": {"vocab_size": 99, "hidden_size": 32, "state_size": 4, "num_hidden_layers": 2, "time_step_rank": 3},
}
MASKED: dict[str, dict[str, Any]] = {
    "bert": TEXT,
    "roberta": TEXT,
    "camembert": TEXT,
    "albert": {**TEXT, "embedding_size": 16},
    "distilbert": {
        "vocab_size": 99,
        "max_position_embeddings": 64,
        "dim": 32,
        "hidden_dim": 48,
        "n_layers": 2,
        "n_heads": 4,
        **SPECIAL,
    },
    "electra": {**TEXT, "embedding_size": 16},
    "deberta-v2": {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "max_relative_positions": 8},
    "mpnet": TEXT,
    "xlm": {"vocab_size": 99, "max_position_embeddings": 64, "emb_dim": 32, "n_layers": 2, "n_heads": 4, **SPECIAL},
    "squeezebert": {**TEXT, "embedding_size": 32},
    "funnel": {
        "vocab_size": 99,
        "block_sizes": [1, 1],
        "num_decoder_layers": 1,
        "d_model": 32,
        "n_head": 4,
        "d_head": 8,
        "d_inner": 48,
        **SPECIAL,
    },
    "big_bird": {**TEXT, "attention_type": "original_full"},
    "nystromformer": {**TEXT, "num_landmarks": 4, "segment_means_seq_len": 12},
    "convbert": {**TEXT, "embedding_size": 16, "conv_kernel_size": 3},
    "roformer": TEXT,
    "fnet": TEXT,
    "layoutlm": TEXT,
    "megatron-bert": TEXT,
}
PAIRED: dict[str, dict[str, Any]] = {
    "t5": T5,
    "mt5": {**T5, "feed_forward_proj": "gated-gelu"},
    "bart": PAIR,
    "pegasus": PAIR,
    "mbart": PAIR,
    "blenderbot": PAIR,
    "marian": {**PAIR, "pad_token_id": 98},
    "m2m_100": PAIR,
}
SEEN: dict[str, dict[str, Any]] = {
    "vit": IMAGE,
    "beit": IMAGE,
    "dinov2": IMAGE,
    "vit_mae": {
        **IMAGE,
        "decoder_hidden_size": 16,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "decoder_intermediate_size": 24,
    },
    "swin": {
        "image_size": 16,
        "patch_size": 4,
        "num_labels": 5,
        "embed_dim": 16,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 2,
    },
    "convnext": {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 4},
    "convnextv2": {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 4},
    "resnet": {**STAGES, "layer_type": "basic"},
    "regnet": {**STAGES, "groups_width": 4},
    "poolformer": {
        "num_labels": 5,
        "hidden_sizes": [8, 16, 16, 16],
        "depths": [1, 1, 1, 1],
    },
    "segformer": {
        "num_labels": 5,
        "hidden_sizes": [8, 16, 16, 16],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 2, 2, 2],
        "decoder_hidden_size": 16,
    },
    "mobilevit": {
        "num_labels": 5,
        "image_size": 32,
        "hidden_sizes": [16, 24, 32],
        "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32],
        "num_attention_heads": 4,
    },
    "mobilenet_v1": {"num_labels": 5, "depth_multiplier": 0.25, "min_depth": 4},
    "levit": {
        "num_labels": 5,
        "image_size": 64,
        "hidden_sizes": [16, 16, 24],
        "num_attention_heads": [2, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
}
WHISPER = {
    "vocab_size": 99,
    "d_model": 32,
    "num_mel_bins": 8,
    "max_source_positions": 16,
    "max_target_positions": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    **SIDES,
}
SPECS: dict[str, Spec] = {
    **{name: Spec("AutoModelForCausalLM", options, "tokens") for name, options in CAUSAL.items()},
    **{name: Spec("AutoModelForMaskedLM", options, "tokens") for name, options in MASKED.items()},
    **{name: Spec("AutoModelForSeq2SeqLM", options, "pair") for name, options in PAIRED.items()},
    **{name: Spec("AutoModelForImageClassification", options, "image") for name, options in SEEN.items()},
    "vit_mae": Spec("AutoModelForPreTraining", SEEN["vit_mae"], "image"),
    "segformer": Spec("AutoModelForSemanticSegmentation", SEEN["segformer"], "image of 32"),
    "poolformer": Spec("AutoModelForImageClassification", SEEN["poolformer"], "image of 32"),
    "mobilevit": Spec("AutoModelForImageClassification", SEEN["mobilevit"], "image of 32"),
    "mobilenet_v1": Spec("AutoModelForImageClassification", SEEN["mobilenet_v1"], "image of 32"),
    "deit": Spec("DeiTForImageClassification", IMAGE, "image"),
    "levit": Spec("LevitForImageClassification", SEEN["levit"], "image of 64"),
    "clip": Spec("AutoModel", {"text_config": TEXT, "vision_config": IMAGE, "projection_dim": 24}, "both"),
    "whisper": Spec("AutoModelForSpeechSeq2Seq", WHISPER, "speech"),
    "wav2vec2": Spec("AutoModelForCTC", WAVE, "wave"),
    "hubert": Spec("AutoModelForCTC", WAVE, "wave"),
    "gpt2, no head": Spec("AutoModel", GPT, "tokens", "gpt2"),
    "bert, no head": Spec("AutoModel", TEXT, "tokens", "bert"),
    "llama, tied": Spec("AutoModelForCausalLM", {**GROUPED, "tie_word_embeddings": True}, "tokens", "llama"),
}


def batch_of(kind: str) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(2, 98, (3, 12), generator=random)
    if kind.startswith("image"):
        side = int(kind.rpartition(" ")[2]) if " " in kind else 16
        return {"pixel_values": torch.randn(4, 3, side, side, generator=random)}
    if kind == "pair":
        return {"input_ids": tokens, "decoder_input_ids": tokens[:, :7]}
    if kind == "both":
        return {"input_ids": tokens, "pixel_values": torch.randn(3, 3, 16, 16, generator=random)}
    if kind == "speech":
        return {"input_features": torch.randn(2, 8, 32, generator=random), "decoder_input_ids": tokens[:2, :6]}
    if kind == "wave":
        return {"input_values": torch.randn(2, 400, generator=random)}
    return {"input_ids": tokens}


def _quiet() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def build(name: str) -> Made:
    """A model in evaluation mode and its batch."""
    transformers, spec = _quiet(), SPECS[name]
    config = transformers.AutoConfig.for_model(spec.kind or name, **spec.options)
    head = getattr(transformers, spec.head)
    make = head.from_config if spec.head.startswith("Auto") else head._from_config
    model = make(config, attn_implementation="eager")
    return model.eval(), batch_of(spec.batch)


def of_tests(builder: Callable[[Any], Made]) -> Made:
    """One of the models that other tests build when given the package."""
    return builder(_quiet())


ARCHITECTURES: dict[str, Callable[[], Made]] = {name: functools.partial(build, name) for name in SPECS}
