"""transformers: pictures, depth, segments, boxes, and pictures with texts."""

from typing import Any

import torch
from rows import Made, add, drawn, load, tokens
from transformer_parts import (
    BOTH,
    DETR,
    FOUR,
    HEADS,
    IMAGE,
    LARGE,
    PICTURES,
    STAGES,
    SWIN,
    TEXT,
    WORDS,
    each,
    transformer,
)

each(
    "AutoModelForImageClassification",
    PICTURES,
    {
        **dict.fromkeys(
            ("vit", "dinov2", "dinov2_with_registers", "vit_msn", "data2vec-vision", "beit", "ijepa"), IMAGE
        ),
        "beit": {**IMAGE, "use_relative_position_bias": True, "layer_scale_init_value": 0.1},
        "data2vec-vision": {**IMAGE, "use_relative_position_bias": True},
        "siglip": {"vision_config": IMAGE, "text_config": TEXT, "num_labels": 5},
        "hiera": {
            "image_size": [32, 32],
            "patch_stride": [4, 4],
            "embed_dim": 16,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "masked_unit_size": [4, 4],
            "embed_dim_multiplier": 2.0,
            "num_query_pool": 1,
            "num_labels": 5,
        },
        "swin": SWIN,
        "swinv2": SWIN,
        "focalnet": {**SWIN, "focal_levels": [1, 1], "focal_windows": [3, 3], "use_layerscale": True},
        "resnet": {**STAGES, "layer_type": "basic"},
        "regnet": {**STAGES, "groups_width": 4},
        "bit": {"num_labels": 5, "embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_groups": 4},
        "convnext": {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        "convnextv2": {"num_labels": 5, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        "poolformer": FOUR,
        "pvt": {
            **FOUR,
            "image_size": 32,
            "num_attention_heads": [1, 2, 2, 4],
            "sequence_reduction_ratios": [2, 2, 1, 1],
        },
        "pvt_v2": {**FOUR, "image_size": 32, "num_attention_heads": [1, 2, 2, 4]},
        "efficientnet": {
            "image_size": 32,
            "num_labels": 5,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.25,
            "hidden_dim": 320,
        },
        "mobilenet_v2": {"image_size": 32, "num_labels": 5, "depth_multiplier": 0.25, "min_depth": 4},
        "textnet": {
            "num_labels": 5,
            "stem_out_channels": 8,
            "hidden_sizes": [8, 8, 16, 16, 24],
            "conv_layer_kernel_sizes": [[[3, 3]], [[3, 1]], [[1, 3]], [[3, 3]]],
            "conv_layer_strides": [[1], [2], [1], [2]],
        },
    },
)
each(
    "AutoModelForDepthEstimation",
    LARGE,
    {
        "glpn": {
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 2, 2, 4],
            "decoder_hidden_size": 16,
        },
        "dpt": {
            **IMAGE,
            "image_size": 64,
            "num_hidden_layers": 4,
            "backbone_out_indices": [0, 1, 2, 3],
            "neck_hidden_sizes": [8, 8, 16, 16],
            "fusion_hidden_size": 16,
            "is_hybrid": False,
        },
    },
)
each(
    "AutoModelForSemanticSegmentation",
    LARGE,
    {
        "segformer": {**FOUR, "num_attention_heads": [1, 2, 2, 4], "decoder_hidden_size": 16},
        "mobilevit": {
            "num_labels": 5,
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": 4,
            "neck_hidden_sizes": [8, 8, 16, 16, 16, 16, 32],
            "aspp_out_channels": 16,
        },
    },
)


def backbone() -> dict[str, Any]:
    return {"model_type": "resnet", **STAGES, "layer_type": "basic", "out_features": ["stage1", "stage2"]}


def detector(kind: str, head: str, batch: dict[str, Any], **options: Any) -> Made:
    config = load("transformers", "ResNetConfig")(**{k: v for k, v in backbone().items() if k != "model_type"})
    return transformer(kind, {**DETR, "backbone_config": config, "backbone": None, **options}, head, batch)


POINTS = {"encoder_n_points": 2, "decoder_n_points": 2, "num_feature_levels": 2}
add(
    "transformers",
    {
        "detr": lambda: detector("detr", "DetrForObjectDetection", LARGE),
        "conditional_detr": lambda: detector("conditional_detr", "ConditionalDetrForObjectDetection", LARGE),
        "dab-detr": lambda: detector("dab-detr", "DabDetrForObjectDetection", LARGE, hidden_size=32),
        "deformable_detr": lambda: detector("deformable_detr", "DeformableDetrForObjectDetection", LARGE, **POINTS),
        "yolos": lambda: transformer(
            "yolos", {**IMAGE, "num_detection_tokens": 4, "image_size": [32, 32]}, "YolosForObjectDetection", PICTURES
        ),
        "vit_mae": lambda: transformer(
            "vit_mae",
            {
                **IMAGE,
                "decoder_hidden_size": 16,
                "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2,
                "decoder_intermediate_size": 24,
            },
            "ViTMAEForPreTraining",
            PICTURES,
        ),
        "upernet": lambda: transformer(
            "upernet",
            {
                "backbone_config": load("transformers", "ConvNextConfig")(
                    hidden_sizes=[8, 16, 24, 32],
                    depths=[1, 1, 1, 1],
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                "hidden_size": 16,
                "auxiliary_in_channels": 24,
                "auxiliary_channels": 8,
                "num_labels": 4,
                "pool_scales": [1, 2],
            },
            "UperNetForSemanticSegmentation",
            LARGE,
        ),
        "vitdet": lambda: transformer(
            "vitdet",
            {
                **{k: v for k, v in IMAGE.items() if k != "intermediate_size"},
                "mlp_ratio": 2,
                "use_relative_position_embeddings": True,
                "residual_block_indices": [0],
            },
            "VitDetModel",
            PICTURES,
        ),
        "clip": lambda: transformer(
            "clip", {"text_config": TEXT, "vision_config": IMAGE, "projection_dim": 24}, "CLIPModel", BOTH
        ),
        "siglip, two towers": lambda: transformer(
            "siglip", {"text_config": TEXT, "vision_config": IMAGE}, "SiglipModel", BOTH
        ),
        "chinese_clip": lambda: transformer(
            "chinese_clip",
            {"text_config": TEXT, "vision_config": IMAGE, "projection_dim": 24},
            "ChineseCLIPModel",
            BOTH,
        ),
        "blip": lambda: transformer(
            "blip",
            {"text_config": {**TEXT, "encoder_hidden_size": 32}, "vision_config": IMAGE, "projection_dim": 24},
            "BlipModel",
            BOTH,
        ),
        "blip-2": lambda: transformer(
            "blip-2",
            {
                "vision_config": IMAGE,
                "qformer_config": {**TEXT, "encoder_hidden_size": 32, "cross_attention_frequency": 1},
                "text_config": {"model_type": "opt", **TEXT, "ffn_dim": 48, "word_embed_proj_dim": 32},
                "num_query_tokens": 4,
                "image_token_index": 98,
            },
            "Blip2ForConditionalGeneration",
            {
                "pixel_values": drawn(2, 3, 32, 32),
                "input_ids": torch.cat([torch.full((2, 4), 98), tokens(2, 8, below=97)], 1),
            },
        ),
        "llava": lambda: transformer(
            "llava",
            {
                "vision_config": {"model_type": "clip_vision_model", **IMAGE},
                "text_config": {"model_type": "llama", **HEADS},
                "image_token_index": 98,
                "vision_feature_layer": -1,
            },
            "LlavaForConditionalGeneration",
            {
                "pixel_values": drawn(2, 3, 32, 32),
                "input_ids": torch.cat([torch.full((2, 16), 98), tokens(2, 8, below=97)], 1),
            },
        ),
        "vilt": lambda: transformer(
            "vilt",
            {**TEXT, **IMAGE, "num_labels": 5, "max_image_length": -1},
            "ViltForQuestionAnswering",
            {**BOTH, "token_type_ids": 0 * WORDS},
        ),
    },
)
