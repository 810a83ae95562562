"""x-transformers and its relatives, tables, splines, operators, spikes, series."""

from typing import Any

import torch
from rows import Called, Made, add, drawn, load, mask, tokens, uniform
from torch import nn

WORDS, SEEN = tokens(3, 16), mask(3, 16).bool()


# ---------------------------------------------------------------------- x-transformers
def decoder(name: str = "Decoder", masked: bool = True, **options: Any) -> Made:
    layers = load("x_transformers", name)(dim=32, depth=2, heads=4, attn_dim_head=8, **options)
    model = load("x_transformers", "TransformerWrapper")(num_tokens=99, max_seq_len=16, attn_layers=layers)
    return model, {"x": WORDS, "mask": SEEN} if masked else {"x": WORDS}


VARIANTS: dict[str, dict[str, Any]] = {
    "decoder": {},
    "encoder": {"name": "Encoder"},
    "rotary, SwiGLU, RMSNorm": {"rotary_pos_emb": True, "ff_swish": True, "ff_glu": True, "use_rmsnorm": True},
    "ALiBi": {"alibi_pos_bias": True, "alibi_num_heads": 2},
    "relative bias": {"rel_pos_bias": True},
    "scale norm": {"use_scalenorm": True},
    "gated residual": {"gate_residual": True},
    "talking heads": {"attn_pre_talking_heads": True, "attn_post_talking_heads": True},
    "sandwich norm": {"sandwich_norm": True},
    "memory keys": {"attn_num_mem_kv": 4},
    "norm of queries and keys": {"attn_qk_norm": True},
    "residual gates": {"scale_residual": True, "scale_residual_constant": 0.5},
    "hyper-connections": {"num_residual_streams": 2},
    "head gates": {"attn_gate_values": True, "attn_head_scale": True},
    "macaron": {"macaron": True},
    "LayerScale": {"use_layerscale": True},
    "zero branch ends": {"ff_zero_init_output": True, "attn_zero_init_output": True},
    "dynamic positions": {"dynamic_pos_bias": True, "dynamic_pos_bias_log_distance": True},
    "token shift": {"shift_tokens": 1},
    "value residual": {"add_value_residual": True},
}
add("x-transformers", {name: lambda options=options: decoder(**options) for name, options in VARIANTS.items()})


def both() -> Made:
    side = {"num_tokens": 99, "depth": 2, "heads": 4, "max_seq_len": 16}
    options = {f"{name}_{key}": value for name in ("enc", "dec") for key, value in side.items()}
    return load("x_transformers", "XTransformer")(dim=32, **options), (WORDS, tokens(3, 16, seed=1))


add(
    "x-transformers",
    {
        "encoder and decoder": both,
        "continuous": lambda: (
            load("x_transformers", "ContinuousTransformerWrapper")(
                dim_in=6,
                dim_out=6,
                max_seq_len=16,
                attn_layers=load("x_transformers", "Encoder")(dim=32, depth=2, heads=4),
            ),
            drawn(3, 16, 6),
        ),
        "image": lambda: (
            load("x_transformers", "ViTransformerWrapper")(
                image_size=32,
                patch_size=8,
                num_classes=5,
                attn_layers=load("x_transformers", "Encoder")(dim=32, depth=2, heads=4),
            ),
            drawn(3, 3, 32, 32),
        ),
    },
)


# ---------------------------------------------------------------------- around attention
def small(package: str, name: str, batch: Any, *sizes: Any, **options: Any) -> Made:
    return load(package, name)(*sizes, **options), batch


SENTENCE = drawn(2, 16, 32)
TABLE = tokens(32, 3, below=4) - 2, drawn(32, 5)
add(
    "attention",
    {
        "linear attention": lambda: small(
            "linear_attention_transformer",
            "LinearAttentionTransformerLM",
            WORDS,
            num_tokens=99,
            dim=32,
            heads=4,
            depth=2,
            max_seq_len=16,
            causal=False,
        ),
        "Performer": lambda: small(
            "performer_pytorch",
            "PerformerLM",
            WORDS,
            num_tokens=99,
            max_seq_len=16,
            dim=32,
            depth=2,
            heads=4,
            dim_head=8,
        ),
        "Perceiver": lambda: small(
            "perceiver_pytorch",
            "Perceiver",
            drawn(2, 8, 8, 3),
            num_freq_bands=4,
            depth=2,
            max_freq=8.0,
            num_latents=8,
            latent_dim=32,
            cross_dim_head=8,
            latent_heads=4,
            latent_dim_head=8,
            num_classes=5,
        ),
        "Reformer": lambda: small(
            "reformer_pytorch",
            "ReformerLM",
            WORDS,
            num_tokens=99,
            dim=32,
            depth=2,
            max_seq_len=16,
            heads=4,
            bucket_size=4,
            causal=True,
            use_full_attn=True,
        ),
        "Nystrom": lambda: small(
            "nystrom_attention", "Nystromformer", SENTENCE, dim=32, dim_head=8, heads=4, depth=2, num_landmarks=4
        ),
        "Linformer": lambda: small(
            "linformer", "LinformerLM", WORDS, num_tokens=99, dim=32, seq_len=16, depth=2, heads=4, k=4
        ),
        "Conformer": lambda: small(
            "conformer", "Conformer", SENTENCE, dim=32, depth=2, dim_head=8, heads=4, conv_kernel_size=7
        ),
        "gMLP": lambda: small("g_mlp_pytorch", "gMLP", WORDS, num_tokens=99, dim=32, depth=2, seq_len=16),
        "gMLP, images": lambda: small(
            "g_mlp_pytorch",
            "gMLPVision",
            drawn(4, 3, 32, 32),
            image_size=32,
            patch_size=8,
            num_classes=5,
            dim=32,
            depth=2,
        ),
        "mixer": lambda: small(
            "mlp_mixer_pytorch",
            "MLPMixer",
            drawn(4, 3, 32, 32),
            image_size=32,
            channels=3,
            patch_size=8,
            dim=32,
            depth=2,
            num_classes=5,
        ),
        "soft mixture of experts": lambda: small(
            "soft_moe_pytorch", "SoftMoE", SENTENCE, dim=32, seq_len=16, num_experts=4
        ),
        "mixture of experts": lambda: small("mixture_of_experts", "MoE", SENTENCE, dim=32, num_experts=4),
        "SIREN": lambda: small(
            "siren_pytorch", "SirenNet", drawn(64, 2), dim_in=2, dim_hidden=32, dim_out=3, num_layers=3
        ),
        "local attention": lambda: small(
            "local_attention",
            "LocalTransformer",
            WORDS,
            num_tokens=99,
            dim=32,
            depth=2,
            max_seq_len=16,
            local_attn_window_size=8,
            causal=True,
            heads=4,
            dim_head=8,
        ),
        "routing": lambda: small(
            "routing_transformer",
            "RoutingTransformerLM",
            WORDS,
            num_tokens=99,
            dim=32,
            heads=4,
            depth=2,
            max_seq_len=16,
            window_size=8,
            n_local_attn_heads=4,
            causal=True,
        ),
    },
)
add(
    "tables",
    {
        "TabTransformer": lambda: small(
            "tab_transformer_pytorch",
            "TabTransformer",
            TABLE,
            categories=(3, 3, 3),
            num_continuous=5,
            dim=16,
            depth=2,
            heads=4,
            dim_head=8,
            mlp_act=torch.nn.ReLU(),
        ),
        "FT-Transformer": lambda: small(
            "tab_transformer_pytorch",
            "FTTransformer",
            TABLE,
            categories=(3, 3, 3),
            num_continuous=5,
            dim=16,
            depth=2,
            heads=4,
            dim_head=8,
        ),
        "TabNet": lambda: small(
            "pytorch_tabnet.tab_network",
            "TabNet",
            drawn(64, 8),
            input_dim=8,
            output_dim=3,
            group_attention_matrix=torch.eye(8),
        ),
        "rtdl MLP": lambda: small(
            "rtdl_revisiting_models", "MLP", drawn(64, 8), d_in=8, d_out=3, n_blocks=2, d_block=32, dropout=0.1
        ),
        "rtdl ResNet": lambda: small(
            "rtdl_revisiting_models",
            "ResNet",
            drawn(64, 8),
            d_in=8,
            d_out=3,
            n_blocks=2,
            d_block=32,
            d_hidden=None,
            d_hidden_multiplier=2.0,
            dropout1=0.1,
            dropout2=0.0,
        ),
        "rtdl transformer": lambda: (
            load("rtdl_revisiting_models", "FTTransformer")(
                n_cont_features=5,
                cat_cardinalities=[4, 4, 4],
                d_out=3,
                n_blocks=2,
                d_block=32,
                attention_n_heads=4,
                attention_dropout=0.1,
                ffn_d_hidden=None,
                ffn_d_hidden_multiplier=1.5,
                ffn_dropout=0.1,
                residual_dropout=0.0,
            ),
            (TABLE[1], TABLE[0]),
        ),
        "periodic numbers": lambda: (
            nn.Sequential(
                load("rtdl_num_embeddings", "PeriodicEmbeddings")(5, lite=False), nn.Flatten(), nn.Linear(120, 3)
            ),
            drawn(64, 5),
        ),
    },
)


# ---------------------------------------------------------------------- quantized, generated, splines, operators
class Quantized(nn.Module):
    """An autoencoder with a codebook in its middle: its answer, and what the codebook adds to the loss."""

    def __init__(self, quantizer: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))
        self.quantizer, self.decoder = quantizer, nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, x: torch.Tensor) -> Any:
        found = self.quantizer(self.encoder(x))
        return self.decoder(found[0]), *found[1:]


def codes(name: str, **options: Any) -> Made:
    return Quantized(load("vector_quantize_pytorch", name)(**options)), drawn(4, 12, 8)


add(
    "vector-quantize-pytorch",
    {
        "one codebook": lambda: codes("VectorQuantize", dim=16, codebook_size=32),
        "learned": lambda: codes("VectorQuantize", dim=16, codebook_size=32, learnable_codebook=True, ema_update=False),
        "residual": lambda: codes("ResidualVQ", dim=16, codebook_size=32, num_quantizers=2),
        "finite scalars": lambda: codes("FSQ", levels=[5, 5, 4], dim=16),
        "without lookup": lambda: codes("LFQ", codebook_size=32, dim=16),
        "simple": lambda: codes("SimVQ", dim=16, codebook_size=32),
    },
)
add(
    "denoising-diffusion-pytorch",
    {
        "U-Net": lambda: (
            load("denoising_diffusion_pytorch", "Unet")(dim=16, dim_mults=(1, 2), flash_attn=False),
            (drawn(2, 3, 16, 16), torch.tensor([3, 500])),
        ),
        "one dimension": lambda: (
            load("denoising_diffusion_pytorch", "Unet1D")(dim=16, dim_mults=(1, 2), channels=2),
            (drawn(2, 2, 32), torch.tensor([3, 500])),
        ),
        "whole, with its loss": lambda: (
            load("denoising_diffusion_pytorch", "GaussianDiffusion")(
                load("denoising_diffusion_pytorch", "Unet")(dim=16, dim_mults=(1, 2), flash_attn=False), image_size=16
            ),
            uniform(2, 3, 16, 16),
        ),
    },
)
add(
    "pykan",
    {
        "network": lambda: (
            load("kan.MultKAN", "MultKAN")([4, 5, 3], grid=3, k=3, auto_save=False, seed=torch.initial_seed()),
            2 * uniform(64, 4) - 1,
        ),
        "without symbols": lambda: (
            load("kan.MultKAN", "MultKAN")(
                [4, 6, 6, 3], grid=3, k=3, auto_save=False, seed=torch.initial_seed(), symbolic_enabled=False
            ),
            2 * uniform(64, 4) - 1,
        ),
    },
)
add(
    "neuraloperator",
    {
        "FNO": lambda: (
            load("neuralop.models", "FNO")(
                n_modes=(6, 6), in_channels=1, out_channels=1, hidden_channels=16, n_layers=2
            ),
            drawn(2, 1, 16, 16),
        ),
        "U-shaped": lambda: (
            load("neuralop.models", "UNO")(
                in_channels=1,
                out_channels=1,
                hidden_channels=8,
                uno_out_channels=[8, 8, 8],
                channel_mlp_skip="linear",
                uno_n_modes=[[4, 4]] * 3,
                uno_scalings=[[1.0, 1.0], [0.5, 0.5], [2.0, 2.0]],
                n_layers=3,
            ),
            drawn(2, 1, 16, 16),
        ),
    },
)


# ---------------------------------------------------------------------- spikes and series
class Spiking(nn.Module):
    """Two layers of leaky neurons over a few steps, read by the number of spikes."""

    def __init__(self) -> None:
        super().__init__()
        leaky = load("snntorch", "Leaky")
        self.first, self.last = nn.Linear(16, 64), nn.Linear(64, 5)
        self.fire, self.end = leaky(beta=0.9), leaky(beta=0.9, learn_beta=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two = self.fire.init_leaky(), self.end.init_leaky()
        total = torch.zeros(())
        for step in x:
            spikes, one = self.fire(self.first(step), one)
            spikes, two = self.end(self.last(spikes), two)
            total = total + spikes + two
        return total


add("snntorch", {"leaky": lambda: (Spiking(), 2 * drawn(8, 16, 16))})
add(
    "pytorch-tcn",
    {"TCN": lambda: small("pytorch_tcn", "TCN", drawn(4, 6, 32), num_inputs=6, num_channels=[16, 16], kernel_size=3)},
)


def vae(name: str) -> Made:
    config = load("pythae.models", f"{name}Config")(input_dim=(1, 8, 8), latent_dim=4)
    inputs = load("pythae.data.datasets", "DatasetOutput")(data=uniform(8, 1, 8, 8))
    return Called(load("pythae.models", name)(config), lambda model, data: model({"data": data}).loss), inputs["data"]


add("pythae", {name: lambda name=name: vae(name) for name in ("VAE", "VQVAE", "IWAE", "BetaTCVAE")})
