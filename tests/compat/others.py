"""diffusers, PyTorch Geometric, e3nn, flows, sound, tables, series, and the small packages around attention."""

import sys
from collections.abc import Callable
from typing import Any

import torch
from rows import Called, Made, add, drawn, load, tokens, torchvision_operators, uniform
from torch import nn

# ---------------------------------------------------------------------- diffusers
TIME = torch.tensor([10, 500])
UNET = {
    "sample_size": 16,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
}
CROSS = {
    **UNET,
    "cross_attention_dim": 12,
    "attention_head_dim": 4,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
}
UP = {"up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
KL = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}


def diffuser(name: str, batch: Any, **options: Any) -> Made:
    torchvision_operators()
    return load("diffusers", name)(**options), batch


def guided(**more: Any) -> dict[str, Any]:
    return {"sample": drawn(2, 3, 16, 16), "timestep": TIME, "encoder_hidden_states": drawn(2, 5, 12), **more}


LATENT, PROMPT = drawn(2, 4, 8, 8), drawn(2, 5, 12)
HEADS = {"num_attention_heads": 2, "attention_head_dim": 8}
add(
    "diffusers",
    {
        "U-Net": lambda: diffuser(
            "UNet2DModel",
            (drawn(2, 3, 16, 16), TIME),
            **UNET,
            attention_head_dim=4,
            down_block_types=("DownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        ),
        "conditional U-Net": lambda: diffuser("UNet2DConditionModel", guided(), **CROSS, **UP),
        "ControlNet": lambda: diffuser(
            "ControlNetModel",
            guided(controlnet_cond=uniform(2, 3, 64, 64)),
            **{key: value for key, value in CROSS.items() if key not in ("sample_size", "out_channels")},
            conditioning_embedding_out_channels=(4, 8, 8),
        ),
        "KL autoencoder": lambda: diffuser("AutoencoderKL", uniform(2, 3, 16, 16), **KL),
        "VQ model": lambda: diffuser("VQModel", uniform(2, 3, 16, 16), **KL, num_vq_embeddings=16, vq_embed_dim=3),
        "tiny autoencoder": lambda: diffuser(
            "AutoencoderTiny",
            uniform(2, 3, 16, 16),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1),
            num_decoder_blocks=(1, 1),
        ),
        "DiT": lambda: diffuser(
            "DiTTransformer2DModel",
            {"hidden_states": LATENT, "timestep": TIME, "class_labels": torch.tensor([1, 3])},
            **HEADS,
            in_channels=4,
            num_layers=2,
            sample_size=8,
            patch_size=2,
            num_embeds_ada_norm=1000,
            norm_num_groups=4,
        ),
        "PixArt": lambda: diffuser(
            "PixArtTransformer2DModel",
            {
                "hidden_states": LATENT,
                "timestep": TIME,
                "encoder_hidden_states": PROMPT,
                "added_cond_kwargs": {"resolution": None, "aspect_ratio": None},
            },
            **HEADS,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            sample_size=8,
            cross_attention_dim=16,
            caption_channels=12,
            use_additional_conditions=False,
            norm_num_groups=4,
        ),
        "SD3": lambda: diffuser(
            "SD3Transformer2DModel",
            {
                "hidden_states": LATENT,
                "timestep": TIME,
                "encoder_hidden_states": PROMPT,
                "pooled_projections": drawn(2, 6),
            },
            **HEADS,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            sample_size=8,
            joint_attention_dim=12,
            caption_projection_dim=16,
            pooled_projection_dim=6,
            pos_embed_max_size=8,
        ),
        "Flux": lambda: diffuser(
            "FluxTransformer2DModel",
            {
                "hidden_states": drawn(2, 16, 4),
                "timestep": uniform(2),
                "encoder_hidden_states": PROMPT,
                "pooled_projections": drawn(2, 6),
                "img_ids": torch.zeros(16, 3),
                "txt_ids": torch.zeros(5, 3),
            },
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            joint_attention_dim=12,
            pooled_projection_dim=6,
            axes_dims_rope=(4, 4, 8),
        ),
        "AuraFlow": lambda: diffuser(
            "AuraFlowTransformer2DModel",
            {"hidden_states": LATENT, "timestep": uniform(2), "encoder_hidden_states": PROMPT},
            **HEADS,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            joint_attention_dim=12,
            caption_projection_dim=16,
            pos_embed_max_size=64,
        ),
        "Sana": lambda: diffuser(
            "SanaTransformer2DModel",
            {"hidden_states": LATENT, "timestep": TIME, "encoder_hidden_states": PROMPT},
            **HEADS,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            num_cross_attention_heads=2,
            cross_attention_head_dim=8,
            cross_attention_dim=16,
            caption_channels=12,
            sample_size=8,
            patch_size=1,
        ),
        "CogVideoX": lambda: diffuser(
            "CogVideoXTransformer3DModel",
            {"hidden_states": drawn(2, 2, 4, 8, 8), "timestep": TIME, "encoder_hidden_states": drawn(2, 5, 12)},
            **HEADS,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            text_embed_dim=12,
            sample_width=8,
            sample_height=8,
            sample_frames=5,
            max_text_seq_length=5,
            time_embed_dim=8,
        ),
        "prior": lambda: diffuser(
            "PriorTransformer",
            {
                "hidden_states": drawn(2, 12),
                "timestep": TIME,
                "proj_embedding": drawn(2, 12),
                "encoder_hidden_states": drawn(2, 5, 12),
            },
            **HEADS,
            num_layers=2,
            embedding_dim=12,
            num_embeddings=5,
            additional_embeddings=4,
        ),
    },
)

# ---------------------------------------------------------------------- graphs and molecules
NODES, EDGES = 24, tokens(2, 60, below=24)
PEOPLE = drawn(NODES, 12)


def graphs(name: str, batch: Any = (PEOPLE, EDGES), *sizes: Any, **options: Any) -> Made:
    return load("torch_geometric.nn", name)(*sizes, **options), batch


def near(x: torch.Tensor, r: float, batch: torch.Tensor | None = None, loop: bool = False, **_: Any) -> torch.Tensor:
    """Edges between points that lie near each other, in plain torch: `radius_graph` needs a compiled package."""
    apart = torch.cdist(x, x) <= r
    if batch is not None:
        apart &= batch[:, None] == batch
    return (apart if loop else apart & ~torch.eye(len(x), dtype=torch.bool)).nonzero().T.flip(0)


def triplets(edges: torch.Tensor, num_nodes: int) -> tuple[torch.Tensor, ...]:
    """Pairs of edges k -> j -> i, as DimeNet finds them with a compiled package."""
    start, end = edges
    ji, kj = ((start[:, None] == end) & (end[:, None] != start)).nonzero().T
    return end, start, end[ji], start[ji], start[kj], kj, ji


def molecules(name: str, *sizes: Any, **options: Any) -> Made:
    module = sys.modules[load("torch_geometric.nn", name).__module__]
    module.radius_graph, module.triplets = near, triplets
    return graphs(name, ATOMS, *sizes, **options)


ATOMS = tokens(NODES, below=9), drawn(NODES, 3), torch.arange(NODES) // 12


class Heterogeneous(nn.Module):
    """Relational layers whose bases are mixed per relation."""

    def __init__(self) -> None:
        super().__init__()
        layer = load("torch_geometric.nn", "RGCNConv")
        self.first, self.last = layer(12, 16, 3, num_bases=2), layer(16, 4, 3, num_blocks=2)

    def forward(self, x: torch.Tensor, edges: torch.Tensor, kinds: torch.Tensor) -> Any:
        return self.last(self.first(x, edges, kinds).relu(), edges, kinds)


SIZES = (12, 16, 2, 4)
add(
    "torch_geometric",
    {
        **{
            name: lambda name=name: graphs(name, (PEOPLE, EDGES), *SIZES) for name in ("GCN", "GraphSAGE", "GIN", "GAT")
        },
        "GATv2": lambda: graphs("GAT", (PEOPLE, EDGES), *SIZES, v2=True, heads=2, norm="layer"),
        "PNA": lambda: graphs(
            "PNA",
            (PEOPLE, EDGES),
            *SIZES,
            aggregators=["mean", "max"],
            scalers=["identity", "amplification"],
            deg=torch.bincount(EDGES[1]),
        ),
        "EdgeCNN": lambda: graphs("EdgeCNN", (PEOPLE, EDGES), *SIZES),
        "graph U-Net": lambda: graphs("GraphUNet", (PEOPLE, EDGES), 12, 16, 4, 2),
        "RGCN": lambda: (Heterogeneous(), (PEOPLE, EDGES, tokens(60, below=5) - 2)),
        "SchNet": lambda: molecules("SchNet", 16, 16, 2, 10),
        "DimeNet++": lambda: molecules("DimeNetPlusPlus", 16, 1, 2, 8, 8, 8, 3, 4),
        "ViSNet": lambda: molecules("ViSNet", num_heads=2, num_layers=2, hidden_channels=16, num_rbf=8),
        "LightGCN": lambda: graphs("LightGCN", EDGES, NODES, 8, 2),
        "AttentiveFP": lambda: graphs(
            "AttentiveFP", (PEOPLE, EDGES, drawn(60, 5), torch.arange(NODES) // 12), 12, 16, 3, 5, 2, 2
        ),
        "LINKX": lambda: graphs("LINKX", (PEOPLE, EDGES), NODES, *SIZES),
        "transformer": lambda: graphs("TransformerConv", (PEOPLE, EDGES), 12, 8, heads=2, beta=True),
        "SGFormer": lambda: graphs("SGFormer", (PEOPLE, EDGES, torch.zeros(NODES, dtype=torch.long)), 12, 16, 4),
    },
)


def equivariant() -> Made:
    layer, linear = load("e3nn.o3", "FullyConnectedTensorProduct"), load("e3nn.o3", "Linear")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = layer("8x0e + 4x1o", "1x0e + 1x1o", "8x0e + 4x1o")
            self.last = linear("8x0e + 4x1o", "3x0e")

        def forward(self, x: torch.Tensor, where: torch.Tensor) -> Any:
            return self.last(self.product(x, where))

    return Net(), (drawn(32, 20), drawn(32, 4))


add(
    "e3nn",
    {
        "tensor product": equivariant,
        "radial network": lambda: (load("e3nn.nn", "FullyConnectedNet")([8, 32, 16], torch.relu), drawn(32, 8)),
    },
)
add(
    "egnn-pytorch",
    {
        "network": lambda: (
            load("egnn_pytorch", "EGNN_Network")(num_tokens=9, dim=16, depth=2, num_nearest_neighbors=4),
            (tokens(2, 12, below=9), drawn(2, 12, 3)),
        )
    },
)

# ---------------------------------------------------------------------- densities, processes, dynamics
POINTS = drawn(64, 6)


def density(make: Callable[[], nn.Module], call: Callable[[Any, torch.Tensor], Any] | None = None) -> Made:
    return Called(make(), call or (lambda flow, x: flow.log_prob(x))), POINTS


def zuko(name: str, **options: Any) -> Made:
    make = load("zuko.flows", name)
    return density(
        lambda: make(6, transforms=2, hidden_features=(32, 32), **options), lambda flow, x: flow().log_prob(x)
    )


add("zuko", {name: lambda name=name: zuko(name) for name in ("MAF", "NSF", "NICE", "SOSPF")})
add("zuko", {"NAF": lambda: zuko("NAF", network={"hidden_features": (16,)})})


def glow() -> nn.Module:
    blocks: nn.Module = load("normflows", "NormalizingFlow")(
        load("normflows.distributions", "DiagGaussian")(6),
        [
            flow
            for _ in range(2)
            for flow in (
                load("normflows.flows", "ActNorm")(6),
                load("normflows.flows", "InvertibleAffine")(6),
                load("normflows.flows", "AffineCouplingBlock")(
                    load("normflows.nets", "MLP")([3, 32, 6], init_zeros=True)
                ),
            )
        ],
    )
    return blocks


def residual_flow() -> nn.Module:
    net = load("normflows.nets", "LipschitzMLP")([6, 32, 6], init_zeros=True, lipschitz_const=0.9)
    made: nn.Module = load("normflows", "NormalizingFlow")(
        load("normflows.distributions", "DiagGaussian")(6), [load("normflows.flows", "Residual")(net)]
    )
    return made


def splines() -> nn.Module:
    flow = load("normflows.flows", "AutoregressiveRationalQuadraticSpline")
    made: nn.Module = load("normflows", "NormalizingFlow")(
        load("normflows.distributions", "DiagGaussian")(6), [flow(6, 1, 16) for _ in range(2)]
    )
    return made


def planar() -> nn.Module:
    made: nn.Module = load("normflows", "NormalizingFlow")(
        load("normflows.distributions", "DiagGaussian")(6), [load("normflows.flows", "Planar")((6,)) for _ in range(4)]
    )
    return made


add(
    "normflows",
    {
        "Glow": lambda: density(glow),
        "splines": lambda: density(splines),
        "residual": lambda: density(residual_flow),
        "planar": lambda: density(planar, lambda flow, x: flow.forward(x)),
    },
)
add(
    "nflows",
    {
        "MAF": lambda: density(
            lambda: load("nflows.flows", "MaskedAutoregressiveFlow")(6, 32, 2, 1, batch_norm_within_layers=False)
        ),
        "RealNVP": lambda: density(lambda: load("nflows.flows", "SimpleRealNVP")(6, 32, 2, 1)),
    },
)


class Deep(nn.Module):
    """Deep kernel learning: a network in front of an exact Gaussian process."""

    def __init__(self) -> None:
        super().__init__()
        likelihood = load("gpytorch.likelihoods", "GaussianLikelihood")()
        features = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
        kernels, means = "gpytorch.kernels", load("gpytorch.means", "ConstantMean")()
        kernel = load(kernels, "ScaleKernel")(load(kernels, "RBFKernel")(ard_num_dims=2))
        base, normal = load("gpytorch.models", "ExactGP"), load("gpytorch.distributions", "MultivariateNormal")

        class Process(base):  # type: ignore[misc, valid-type]
            def __init__(self) -> None:
                super().__init__(POINTS, POINTS[:, 0].sin(), likelihood)
                self.features, self.kernel, self.mean = features, kernel, means

            def forward(self, x: torch.Tensor) -> Any:
                found = self.features(x)
                return normal(self.mean(found), self.kernel(found))

        self.process = Process()

    def forward(self, x: torch.Tensor) -> Any:
        return self.process(x)


def wired(name: str, **options: Any) -> Made:
    return load("ncps.torch", name)(6, load("ncps.wirings", "AutoNCP")(16, 4), **options), drawn(8, 10, 6)


add("gpytorch", {"deep kernel": lambda: (Deep(), POINTS)})
add("ncps", {"CfC": lambda: wired("CfC"), "LTC": lambda: wired("LTC")})
