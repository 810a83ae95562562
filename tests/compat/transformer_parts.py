"""What the rows of transformers share: sizes, batches and how a model is made of its type and options."""

import os
from typing import Any

import torch
from rows import Made, add, drawn, load, mask, tokens, torchvision_operators

SIZE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
TEXT = {"vocab_size": 99, "max_position_embeddings": 64, **SPECIAL, **SIZE}
HEADS = {**TEXT, "num_key_value_heads": 2, "head_dim": 8}
GPT = {"vocab_size": 99, "n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, **SPECIAL}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "num_local_experts": 4}
ROUTED = {**HEADS, **EXPERTS, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "n_shared_experts": 1}
LATENT = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "first_k_dense_replace": 1,
}
DEEP = {**ROUTED, **LATENT, "num_key_value_heads": 4}
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 4, "mamba_n_groups": 1, "mamba_chunk_size": 8}
PAIR = {
    "vocab_size": 99,
    "d_model": 32,
    "max_position_embeddings": 64,
    "decoder_start_token_id": 1,
    **SPECIAL,
    **{
        f"{s}_{key}": n
        for s in ("encoder", "decoder")
        for key, n in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 48))
    },
}
T5 = {
    "vocab_size": 99,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "decoder_start_token_id": 0,
}
IMAGE = {"image_size": 32, "patch_size": 8, "num_labels": 5, **SIZE}
STAGES = {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8, "num_channels": 3}
FOUR = {"num_labels": 5, "hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}
SWIN = {
    "image_size": 32,
    "patch_size": 4,
    "num_labels": 5,
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 2,
}
SOUND = {
    "conv_dim": (16, 16),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
    "vocab_size": 99,
    **SPECIAL,
    **SIZE,
}
SERIES = {
    "prediction_length": 4,
    "context_length": 12,
    "lags_sequence": [1, 2],
    "num_time_features": 2,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
}
CHANNELS = {"num_input_channels": 2, "context_length": 32, "patch_length": 8, "patch_stride": 8, "prediction_length": 8}

WORDS, SEEN = tokens(3, 12), mask(3, 12)
TEXTS = {"input_ids": WORDS, "attention_mask": SEEN}
LABELLED = {**TEXTS, "labels": torch.where(SEEN == 1, WORDS, -100)}
PAIRS = {**TEXTS, "decoder_input_ids": tokens(3, 7, seed=1)}
PICTURES = {"pixel_values": drawn(4, 3, 32, 32)}
LARGE = {"pixel_values": drawn(2, 3, 64, 64)}
LARGER = {"pixel_values": drawn(2, 3, 128, 128)}
WAVES = {"input_values": drawn(2, 400), "attention_mask": torch.ones(2, 400, dtype=torch.long)}
PAST = {
    "past_values": drawn(2, 14),
    "past_time_features": drawn(2, 14, 2),
    "past_observed_mask": torch.ones(2, 14),
    "future_values": drawn(2, 4),
    "future_time_features": drawn(2, 4, 2),
}
BOTH = {**TEXTS, "pixel_values": drawn(3, 3, 32, 32)}

DETR = {
    **{k: v for k, v in PAIR.items() if k not in ("vocab_size", "max_position_embeddings", "decoder_start_token_id")}
}
DETR = {**DETR, "num_queries": 6, "num_labels": 4, "use_timm_backbone": False, "use_pretrained_backbone": False}


def transformer(kind: str, options: dict[str, Any], head: str, batch: dict[str, torch.Tensor]) -> Made:
    """The model of a type and its batch."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    torchvision_operators()
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.AutoConfig.for_model(kind, **options)
    made = load("transformers", head)
    make = made.from_config if head.startswith("AutoModel") else made._from_config
    return make(config, attn_implementation="eager"), batch


def each(head: str, batch: dict[str, Any], rows: dict[str, Any], kinds: dict[str, str] | None = None) -> None:
    kinds = kinds or {}
    add(
        "transformers",
        {
            name: lambda name=name, options=options: transformer(kinds.get(name, name), options, head, batch)
            for name, options in rows.items()
        },
    )
