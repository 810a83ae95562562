"""timm, torchvision, segmentation-models-pytorch, open_clip, vit-pytorch, MONAI, kornia, lightly."""

from typing import Any

import torch
from rows import Called, Made, add, drawn, load, tokens, torchvision_operators, uniform
from torch import nn


def timm(name: str, side: int = 32, **options: Any) -> Made:
    torchvision_operators()
    return load("timm", "create_model")(name, num_classes=5, **options), drawn(4, 3, side, side)


VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
STAGED = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)}
WINDOWS = {"img_size": 64, "embed_dim": 16, "depths": (1, 2), "num_heads": (2, 4), "window_size": 4}
TIMM: dict[str, dict[str, Any]] = {
    "test_vit": {"side": 160},
    "test_resnet": {"side": 64},
    "test_nfnet": {"side": 64},
    "test_byobnet": {"side": 64},
    "test_mambaout": {"side": 64},
    "test_efficientnet": {"side": 64},
    "vit_tiny_patch16_224": VIT,
    "vit_small_patch16_18x2_224": VIT,
    "deit3_small_patch16_224": VIT,
    "deit_tiny_distilled_patch16_224": VIT,
    "beit_base_patch16_224": VIT,
    "beitv2_base_patch16_224": VIT,
    "eva02_tiny_patch14_224": VIT,
    "cait_xxs24_224": {**VIT, "depth_token_only": 1},
    "xcit_nano_12_p16_224": {"img_size": 64, "patch_size": 16, "embed_dim": 32, "depth": 2, "num_heads": 4, "side": 64},
    "vit_relpos_small_patch16_224": VIT,
    "vit_srelpos_small_patch16_224": VIT,
    "flexivit_small": VIT,
    "swin_tiny_patch4_window7_224": {**WINDOWS, "side": 64},
    "swinv2_tiny_window8_256": {**WINDOWS, "side": 64},
    "convnext_tiny": STAGED,
    "convnextv2_tiny": STAGED,
    "pvt_v2_b0": {"depths": (1, 1, 1, 1), "embed_dims": (8, 16, 24, 32), "num_heads": (1, 2, 2, 4), "side": 64},
    "twins_svt_small": {"img_size": 64, "embed_dims": (8, 16, 24, 32), "depths": (1, 1, 2, 1), "side": 64},
    "resnet18": {"layers": (1, 1, 1, 1), "channels": (8, 16, 24, 32), "zero_init_last": True, "side": 64},
    "seresnet18": {"layers": (1, 1, 1, 1), "side": 64},
    "densenet121": {"growth_rate": 4, "block_config": (2, 2), "side": 64},
    "ghostnet_050": {"side": 64},
    "mobilenetv3_small_050": {"side": 64},
    "mobilenetv4_conv_small_035": {"side": 64},
    "mnasnet_small": {"side": 64},
    "repvgg_a0": {"side": 64},
    "inception_next_atto": {"side": 64},
    "regnety_002": {"side": 64},
    "res2net50_26w_4s": {"layers": (1, 1, 1, 1), "side": 64},
    "skresnet18": {"layers": (1, 1, 1, 1), "side": 64},
    "efficientvit_b0": {"side": 64},
    "edgenext_xx_small": {"side": 64},
    "fastvit_t8": {"side": 64},
    "coatnet_pico_rw_224": {"img_size": 64, "side": 64},
    "levit_128s": {"img_size": 64, "side": 64},
}
MIXER = {"img_size": 32, "patch_size": 8, "num_blocks": 2, "embed_dim": 32, "num_classes": 5}


def mixer(block: str, **options: Any) -> Made:
    torchvision_operators()
    made = load("timm.models.mlp_mixer", "MlpMixer")
    return made(block_layer=load("timm.models.mlp_mixer", block), **MIXER, **options), drawn(4, 3, 32, 32)


def direct(module: str, name: str, side: int, *sizes: Any, **options: Any) -> Made:
    torchvision_operators()
    return load(f"timm.models.{module}", name)(*sizes, num_classes=5, **options), drawn(4, 3, side, side)


def free() -> Made:
    torchvision_operators()
    config = load("timm.models.nfnet", "NfCfg")(
        depths=(1, 1, 1, 1), channels=(32, 64, 64, 64), stem_type="7x7_pool", stem_chs=16, group_size=8
    )
    return direct("nfnet", "NormFreeNet", 64, config)


add(
    "timm",
    {
        "mixer": lambda: mixer("MixerBlock"),
        "gMLP": lambda: mixer("SpatialGatingBlock", mlp_ratio=2, mlp_layer=load("timm.layers", "GatedMlp")),
        "ResMLP": lambda: mixer("ResBlock", mlp_ratio=2, norm_layer=load("timm.models.mlp_mixer", "Affine")),
        "ConvMixer": lambda: direct("convmixer", "ConvMixer", 32, 16, 2, kernel_size=3, patch_size=4),
        "VGG": lambda: direct("vgg", "VGG", 64, [8, "M", 16, "M", 16, "M"]),
        "focal": lambda: direct(
            "focalnet", "FocalNet", 32, embed_dim=16, depths=(1, 1), focal_levels=(2, 2), focal_windows=(3, 3)
        ),
        "normalizer-free": free,
        "ConvNeXt, isotropic": lambda: direct(
            "metaformer", "MetaFormer", 64, depths=(1, 1, 1, 1), dims=(8, 16, 24, 32)
        ),
    },
)
add("timm", {name: lambda name=name, options=options: timm(name, **options) for name, options in TIMM.items()})


def vision(name: str, side: int = 64, **options: Any) -> Made:
    torchvision_operators()
    return load("torchvision.models", name)(num_classes=5, **options), drawn(4, 3, side, side)


add(
    "torchvision",
    {
        "shufflenet": lambda: vision("shufflenet_v2_x0_5"),
        "squeezenet": lambda: vision("squeezenet1_1"),
        "googlenet": lambda: vision("googlenet", init_weights=True, aux_logits=False),
        "wide resnet, zero last": lambda: (
            load("torchvision.models", "ResNet")(
                load("torchvision.models.resnet", "Bottleneck"), [1, 1, 1, 1], num_classes=5, zero_init_residual=True
            ),
            drawn(4, 3, 64, 64),
        ),
        "maxvit": lambda: (
            load("torchvision.models", "MaxVit")((64, 64), 8, 2, [8, 16], [1, 1], 8, 0.0, num_classes=5),
            drawn(2, 3, 64, 64),
        ),
    },
)


def smp(name: str, **options: Any) -> Made:
    torchvision_operators()
    make = load("segmentation_models_pytorch", name)
    return make("resnet18", encoder_weights=None, classes=3, **options), drawn(2, 3, 64, 64)


add(
    "segmentation-models-pytorch",
    {name: lambda name=name: smp(name) for name in ("Unet", "UnetPlusPlus", "FPN", "PSPNet", "DeepLabV3Plus", "MAnet")},
)

TOWERS = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 99, "width": 32, "heads": 4, "layers": 2},
}


def clip(name: str, **more: Any) -> Made:
    torchvision_operators()
    options = {**TOWERS, **more}
    return load("open_clip.model", name)(**options), (drawn(4, 3, 32, 32), tokens(4, 12))


add(
    "open_clip",
    {
        "CLIP": lambda: clip("CLIP"),
        "custom text": lambda: clip("CustomTextCLIP", init_logit_bias=-10.0),
        "attentional pool, LayerScale": lambda: clip(
            "CLIP",
            vision_cfg={
                **TOWERS["vision_cfg"],
                "ls_init_value": 1e-4,
                "attentional_pool": True,
                "attn_pooler_heads": 4,
            },
        ),
        "ResNet tower": lambda: (
            clip(
                "CLIP",
                vision_cfg={"image_size": 64, "layers": (1, 1, 1, 1), "width": 8, "head_width": 8, "patch_size": None},
            )[0],
            (drawn(4, 3, 64, 64), tokens(4, 12)),
        ),
    },
)


def vit(module: str, name: str, *batch: Any, **options: Any) -> Made:
    return load(f"vit_pytorch.{module}", name)(**options), batch if len(batch) != 1 else batch[0]


SIMPLE = {"image_size": 32, "patch_size": 8, "num_classes": 5, "dim": 32, "depth": 2, "heads": 4, "mlp_dim": 48}
PICTURES = drawn(4, 3, 32, 32)
add(
    "vit-pytorch",
    {
        "ViT": lambda: vit("vit", "ViT", PICTURES, **SIMPLE),
        "simple": lambda: vit("simple_vit", "SimpleViT", PICTURES, **SIMPLE),
        "deep": lambda: vit("deepvit", "DeepViT", PICTURES, **SIMPLE),
        "CaiT": lambda: vit("cait", "CaiT", PICTURES, cls_depth=1, **SIMPLE),
        "parallel": lambda: vit("parallel_vit", "ViT", PICTURES, num_parallel_branches=2, **SIMPLE),
        "learned memory": lambda: vit("vit_for_small_dataset", "ViT", PICTURES, **SIMPLE),
        "registers": lambda: vit("simple_vit_with_register_tokens", "SimpleViT", PICTURES, **SIMPLE),
        "norm of queries and keys": lambda: vit("simple_vit_with_qk_norm", "SimpleViT", PICTURES, **SIMPLE),
        "Fourier": lambda: vit("simple_vit_with_fft", "SimpleViT", PICTURES, freq_patch_size=8, **SIMPLE),
        "value residual": lambda: vit("simple_vit_with_value_residual", "SimpleViT", PICTURES, **SIMPLE),
        "hyper-connections": lambda: vit(
            "simple_vit_with_hyper_connections", "SimpleViT", PICTURES, num_residual_streams=2, **SIMPLE
        ),
        "normalized": lambda: vit("normalized_vit", "nViT", PICTURES, **SIMPLE),
        "CCT": lambda: vit(
            "cct",
            "CCT",
            PICTURES,
            img_size=32,
            embedding_dim=32,
            n_conv_layers=1,
            num_layers=2,
            num_heads=4,
            mlp_ratio=2.0,
            num_classes=5,
        ),
        "CvT": lambda: vit(
            "cvt", "CvT", drawn(4, 3, 64, 64), num_classes=5, s1_emb_dim=16, s2_emb_dim=24, s3_emb_dim=32, s3_depth=1
        ),
        "PiT": lambda: vit("pit", "PiT", drawn(4, 3, 64, 64), **{**SIMPLE, "image_size": 64, "depth": (1, 1)}),
        "one dimension": lambda: vit(
            "vit_1d",
            "ViT",
            drawn(4, 3, 64),
            seq_len=64,
            patch_size=8,
            num_classes=5,
            dim=32,
            depth=2,
            heads=4,
            mlp_dim=48,
        ),
        "video": lambda: vit(
            "vit_3d",
            "ViT",
            drawn(2, 3, 4, 16, 16),
            image_size=16,
            image_patch_size=8,
            frames=4,
            frame_patch_size=2,
            num_classes=5,
            dim=32,
            depth=2,
            heads=4,
            mlp_dim=48,
        ),
    },
)


def monai(name: str, side: int, *, dims: int = 3, channels: int = 1, **options: Any) -> Made:
    return load("monai.networks.nets", name)(**options), drawn(2, channels, *(side,) * dims)


PLAIN = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
add(
    "monai",
    {
        "UNet": lambda: (
            load("monai.networks.nets", "UNet")(**PLAIN, channels=(8, 16, 24), strides=(2, 2), num_res_units=1),
            drawn(2, 1, 32, 32),
        ),
        "UNETR": lambda: monai(
            "UNETR", 32, dims=2, **PLAIN, img_size=32, feature_size=4, hidden_size=32, mlp_dim=48, num_heads=4
        ),
        "SwinUNETR": lambda: monai("SwinUNETR", 64, dims=2, **PLAIN, feature_size=12, depths=(1, 1, 1, 1)),
        "SegResNet": lambda: monai(
            "SegResNet", 32, dims=2, **PLAIN, init_filters=8, blocks_down=(1, 1), blocks_up=(1,)
        ),
        "DynUNet": lambda: monai(
            "DynUNet",
            32,
            dims=2,
            **PLAIN,
            kernel_size=(3, 3, 3),
            strides=(1, 2, 2),
            upsample_kernel_size=(2, 2),
            filters=(8, 16, 24),
        ),
        "VNet": lambda: monai("VNet", 32, spatial_dims=3, in_channels=1, out_channels=2),
        "attention U-Net": lambda: (
            load("monai.networks.nets", "AttentionUnet")(**PLAIN, channels=(8, 16, 24), strides=(2, 2)),
            drawn(2, 1, 32, 32),
        ),
        "HighResNet": lambda: monai("HighResNet", 16, dims=2, spatial_dims=2, in_channels=1, out_channels=2),
        "DenseNet": lambda: monai("DenseNet", 32, dims=2, **PLAIN, init_features=8, growth_rate=4, block_config=(2, 2)),
        "BasicUNetPlusPlus": lambda: monai("BasicUNetPlusPlus", 32, dims=2, **PLAIN, features=(8, 8, 16, 16, 24, 8)),
        "FlexibleUNet": lambda: monai(
            "FlexibleUNet", 64, dims=2, in_channels=1, out_channels=2, backbone="resnet10", spatial_dims=2
        ),
        "autoencoder": lambda: (
            load("monai.networks.nets", "AutoEncoder")(
                **{**PLAIN, "out_channels": 1}, channels=(8, 16), strides=(2, 2)
            ),
            drawn(2, 1, 32, 32),
        ),
        "VQ-VAE": lambda: (
            load("monai.networks.nets", "VQVAE")(
                **{**PLAIN, "out_channels": 1},
                channels=(8, 16),
                num_res_channels=8,
                num_res_layers=1,
                num_embeddings=16,
                embedding_dim=8,
                downsample_parameters=((2, 4, 1, 1),) * 2,
                upsample_parameters=((2, 4, 1, 1, 0),) * 2,
            ),
            drawn(2, 1, 32, 32),
        ),
        "diffusion U-Net": lambda: (
            load("monai.networks.nets", "DiffusionModelUNet")(
                **{**PLAIN, "out_channels": 1},
                channels=(8, 16),
                attention_levels=(False, True),
                num_res_blocks=1,
                num_head_channels=8,
                norm_num_groups=4,
            ),
            (drawn(2, 1, 16, 16), torch.tensor([3, 500])),
        ),
        "ControlNet": lambda: (
            load("monai.networks.nets", "ControlNet")(
                spatial_dims=2,
                in_channels=1,
                channels=(8, 16),
                attention_levels=(False, True),
                num_res_blocks=1,
                num_head_channels=8,
                norm_num_groups=4,
                conditioning_embedding_in_channels=1,
                conditioning_embedding_num_channels=(8, 8),
            ),
            {"x": drawn(2, 1, 16, 16), "timesteps": torch.tensor([3, 500]), "controlnet_cond": drawn(2, 1, 32, 32)},
        ),
    },
)
add(
    "kornia",
    {
        "HardNet": lambda: (load("kornia.feature", "HardNet")(False), uniform(8, 1, 32, 32)),
        "SOSNet": lambda: (load("kornia.feature", "SOSNet")(False), uniform(8, 1, 32, 32)),
        "DISK": lambda: (
            Called(load("kornia.feature", "DISK")(), lambda model, x: model.unet(x)),
            uniform(1, 3, 32, 32),
        ),
    },
)


def heads(name: str, *sizes: int) -> nn.Module:
    torchvision_operators()
    head: nn.Module = load("lightly.models.modules.heads", name)(*sizes)
    return head


add(
    "lightly",
    {
        "Barlow Twins head": lambda: (heads("BarlowTwinsProjectionHead", 32, 48, 48), drawn(16, 32)),
        "SimSiam head": lambda: (heads("SimSiamPredictionHead", 32, 16, 32), drawn(16, 32)),
        "DINO head": lambda: (heads("DINOProjectionHead", 32, 48, 16, 64), drawn(16, 32)),
        "SwAV prototypes": lambda: (heads("SwaVPrototypes", 32, 24), drawn(16, 32)),
    },
)
