"""Time of `wellbegun.initialize` against training steps and fills.

Usage: python benchmarks/initialize_time.py [--only TEXT] [--repeats 5] [--json docs/figures/initialize_time.json]

For each model: seconds of initialize (trace, plan, fill, measured correction, check), of planning and of filling alone,
of `kaiming_normal_` on every matrix, which is what many do instead, and of one training step (forward, backward, Adam);
and initialize in units of two steps and a fill. A forward pass of torch's own fake tensors, with nothing of ours, is
what a trace of this kind starts from. Medians of runs that take turns, after a first call that loads what torch loads
on first use. Models are of one family each, of a size at which a step takes about half a second on a small machine; the
last ones are as small as they are in practice or in tests.
"""

import argparse
import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import Distribution
from torch.utils._pytree import tree_map_only

import wellbegun as wb
from timing import machine, seconds
from wellbegun.torch.batch import outputs_of
from wellbegun.torch.trace.recording import trace

Case = tuple[nn.Module, Any]
CASES: dict[str, Callable[[], Case]] = {}


def case(name: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    return lambda build: CASES.setdefault(name, build)


def hf() -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def zoo() -> Any:
    """Models that the tests take, too."""
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "contract"))
    import zoo

    return zoo


def tokens(*shape: int, below: int = 1000) -> torch.Tensor:
    return torch.randint(2, below, shape, generator=torch.Generator().manual_seed(0))


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


# ---------------------------------------------------------------------- layers in series
@case("MLP, 50 layers of 512")
def perceptron() -> Case:
    layers: list[nn.Module] = [nn.Linear(784, 512), nn.ReLU()]
    for _ in range(48):
        layers += [nn.Linear(512, 512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, 10)), drawn(256, 784)


@case("convolutions, 24 layers of 64")
def convolutional() -> Case:
    layers: list[nn.Module] = []
    for index in range(24):
        layers += [nn.Conv2d(64 if index else 3, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)), drawn(32, 3, 32, 32)


@case("DCGAN generator, 64 wide, 2,048 images")
def dcgan() -> Case:
    return zoo().generator(64), drawn(2048, 16, 1, 1)


@case("U-Net, 32 wide, 128²")
def unet() -> Case:
    return zoo().UNet(32), drawn(4, 1, 128, 128)


@case("diffusion U-Net, 64 wide, 32²")
def diffusion() -> Case:
    return zoo().TimeUNet(64), (drawn(8, 3, 32, 32), torch.linspace(1, 900, 8))


@case("SIREN, 256 wide, 16,384 points")
def siren() -> Case:
    return zoo().Siren(256), drawn(16384, 2)


@case("graph convolution, 2,708 nodes")
def graph() -> Case:
    nodes = 2708
    return zoo().GCN(1433, 64, 7), (drawn(nodes, 1433), torch.eye(nodes) / 2 + torch.ones(nodes, nodes) / 2 / nodes)


@case("experts, 8 of 512 x 1024")
def experts() -> Case:
    return zoo().Experts("dense", 512, 1024, 8), drawn(512, 512)


# ---------------------------------------------------------------------- transformers
def text(width: int, layers: int) -> dict[str, Any]:
    return {
        "vocab_size": 32000,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": width // 64,
    }


def gpt2(layers: int, width: int) -> Case:
    config = hf().GPT2Config(n_layer=layers, n_embd=width, n_head=width // 64, bos_token_id=0, eos_token_id=0)
    return hf().GPT2LMHeadModel(config), {"input_ids": tokens(4, 128)}


CASES["GPT-2, 4 layers of 256"] = lambda: gpt2(4, 256)
CASES["GPT-2, 12 layers of 768"] = lambda: gpt2(12, 768)


@case("Llama, 8 layers of 512")
def llama() -> Case:
    return hf().LlamaForCausalLM(hf().LlamaConfig(num_key_value_heads=4, **text(512, 8))), {"input_ids": tokens(4, 128)}


@case("Qwen2, 8 layers of 512, tied")
def qwen2() -> Case:
    config = hf().Qwen2Config(num_key_value_heads=2, tie_word_embeddings=True, **text(512, 8))
    return hf().Qwen2ForCausalLM(config), {"input_ids": tokens(4, 128)}


@case("Mixtral, 4 layers of 256, 4 experts")
def mixtral() -> Case:
    config = hf().MixtralConfig(num_key_value_heads=2, num_local_experts=4, **text(256, 4))
    return hf().MixtralForCausalLM(config), {"input_ids": tokens(4, 128)}


@case("BERT, 4 layers of 512")
def bert() -> Case:
    return hf().BertForMaskedLM(hf().BertConfig(**text(512, 4))), {"input_ids": tokens(8, 128)}


@case("T5, 6 + 6 layers of 512")
def t5() -> Case:
    batch = {"input_ids": tokens(4, 128), "decoder_input_ids": tokens(4, 64)}
    return hf().T5ForConditionalGeneration(hf().T5Config()), batch


@case("ViT, 12 layers of 384, 224²")
def vit() -> Case:
    config = hf().ViTConfig(
        hidden_size=384, intermediate_size=1536, num_hidden_layers=12, num_attention_heads=6, num_labels=100
    )
    return hf().ViTForImageClassification(config), {"pixel_values": drawn(4, 3, 224, 224)}


@case("CLIP, 6 + 6 layers of 512")
def clip() -> Case:
    vision = {**text(512, 6), "image_size": 224, "patch_size": 32}
    vision.pop("vocab_size")
    config = hf().CLIPConfig(text_config=text(512, 6), vision_config=vision)
    return hf().CLIPModel(config), {"input_ids": tokens(8, 64), "pixel_values": drawn(8, 3, 224, 224)}


@case("Whisper tiny")
def whisper() -> Case:
    sides = {f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in SIDE.items()}
    model = hf().WhisperForConditionalGeneration(hf().WhisperConfig(d_model=384, **sides))
    return model, {"input_features": drawn(1, 80, 3000), "decoder_input_ids": tokens(1, 64)}


SIDE = {"layers": 4, "attention_heads": 6, "ffn_dim": 1536}


@case("wav2vec 2, 4 layers of 384, 3 s")
def wav2vec2() -> Case:
    return hf().Wav2Vec2ForCTC(hf().Wav2Vec2Config(**{**text(384, 4), "vocab_size": 32, "layerdrop": 0.0})), {
        "input_values": drawn(2, 48000)
    }


@case("DETR, 3 + 3 layers of 256, 512²")
def detr() -> Case:
    own = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None}
    backbone = hf().ResNetConfig(layer_type="basic", depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512])
    backbone.out_features = ["stage4"]
    config = hf().DetrConfig(encoder_layers=3, decoder_layers=3, backbone_config=backbone, **own)
    return hf().DetrForObjectDetection(config), {"pixel_values": drawn(2, 3, 512, 512)}


@case("SAM, 4 layers of 192, 256², 8 images")
def sam() -> Case:
    vision = {"hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 3, "image_size": 256, "mlp_dim": 768}
    sizes = {"image_size": 256, "image_embedding_size": 16}
    config = hf().SamConfig(vision_config=vision, prompt_encoder_config=sizes)
    points = {"input_points": 256 * drawn(8, 1, 2, 2).sigmoid(), "input_labels": torch.tensor([[[1, 0]]] * 8)}
    return hf().SamModel(config), {"pixel_values": drawn(8, 3, 256, 256), **points}


@case("Mamba, 4 layers of 256, 32 steps")
def mamba() -> Case:
    config = hf().MambaConfig(vocab_size=32000, hidden_size=256, num_hidden_layers=4)
    return hf().MambaForCausalLM(config), {"input_ids": tokens(8, 32)}


# ---------------------------------------------------------------------- small ones
@case("Segformer-b0, 512²")
def segformer() -> Case:
    return hf().SegformerForSemanticSegmentation(hf().SegformerConfig(num_labels=150)), drawn(1, 3, 512, 512)


@case("EfficientNet-b0, 224²")
def efficientnet() -> Case:
    sizes: dict[str, Any] = {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280, "image_size": 224}
    return hf().EfficientNetForImageClassification(hf().EfficientNetConfig(**sizes)), drawn(4, 3, 224, 224)


@case("RecurrentGemma, 3 layers of 256")
def recurrent_gemma() -> Case:
    sizes = {"num_hidden_layers": 3, "hidden_size": 256, "lru_width": 256, "intermediate_size": 1024}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 1, "attention_window_size": 64, "vocab_size": 8192}
    config = hf().RecurrentGemmaConfig(**sizes, **heads, use_cache=False)
    return hf().RecurrentGemmaForCausalLM(config), tokens(4, 128)


@case("Qwen3-Next, 4 layers of 256, 8 experts")
def qwen_next() -> Case:
    sizes = {"num_hidden_layers": 4, "hidden_size": 256, "vocab_size": 8192, "head_dim": 64, "use_cache": False}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "linear_num_key_heads": 4, "linear_num_value_heads": 8}
    experts = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 256}
    more = {"linear_key_head_dim": 32, "linear_value_head_dim": 32, "shared_expert_intermediate_size": 256}
    return hf().Qwen3NextForCausalLM(hf().Qwen3NextConfig(**sizes, **heads, **experts, **more)), tokens(4, 128)


@case("LSTM language model, 24 wide")
def recurrent() -> Case:
    return zoo().LanguageModel(10000, 256), tokens(20, 35, below=10000)


@case("VAE, 32 wide")
def vae() -> Case:
    return zoo().VAE(), drawn(128, 20)


@case("policy, 32 wide")
def policy() -> Case:
    return zoo().Policy(), drawn(2048, 8)


@case("GPT-2, 2 layers of 64")
def tiny() -> Case:
    return gpt2(2, 64)


# ---------------------------------------------------------------------- measuring
def run(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, dict):
        return model(**batch)
    return model(*batch) if isinstance(batch, tuple) else model(batch)


def fake(model: nn.Module, batch: Any) -> bool:
    """The forward pass without arithmetic that a trace starts from; whether torch can do it by itself."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    some = tree_map_only(torch.Tensor, mode.from_tensor, batch)
    checks = Distribution._validate_args
    Distribution._validate_args = False
    try:
        with mode:
            run(model, some)
        return True
    except Exception:  # of any kind: the path depends on values (DETR), or there is no rule for an operation (Mixtral)
        return False
    finally:
        Distribution._validate_args = checks


def kaiming(model: nn.Module) -> None:
    """torch's He on every matrix."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)


def row(name: str, repeats: int, console: Console) -> dict[str, Any]:
    torch.manual_seed(0)
    model, batch = CASES[name]()
    graph = trace(model, batch)
    unused = (n for n, found in graph.parameters.items() if found.tied_to is None and not graph.uses_of(n))
    exclude = list(unused)  # SAM has some for inputs that it did not get
    plan = wb.plan(model, batch, seed=0, exclude=exclude)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    other = copy.deepcopy(model)  # it overwrites what a plan keeps, like the time constants of Mamba

    def step() -> None:
        optimizer.zero_grad()
        real = [tensor for tensor in outputs_of(run(model, batch)) if tensor.requires_grad]
        torch.stack([tensor.float().square().mean() for tensor in real]).sum().backward()
        optimizer.step()

    tasks: dict[str, Callable[[], Any]] = {
        "initialize": lambda: wb.initialize(model, batch, seed=0, exclude=exclude),
        "plan": lambda: wb.plan(model, batch, seed=0, exclude=exclude),
        "fill": lambda: wb.apply(model, plan),
        "kaiming_normal_": lambda: kaiming(other),
        "step": step,
    }
    if fake(model, batch):
        tasks["fake pass"] = lambda: fake(model, batch)
    with console.status(name) as status:
        times = seconds(tasks, repeats, lambda text: status.update(f"{name}: {text}"))
    healthy = wb.initialize(model, batch, seed=0, exclude=exclude).health
    count = sum(parameter.numel() for parameter in model.parameters())
    ratio = times["initialize"] / (2 * times["step"] + times["fill"])
    return {"model": name, "parameters": count, "seconds": times, "ratio": ratio, "codes": healthy.codes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, kept = Console(), {}
    if options.json is not None and options.json.exists() and options.only:  # the other rows stay
        kept = {row["model"]: row for row in json.loads(options.json.read_text())["rows"]}
    names = "initialize", "plan", "fill", "kaiming_normal_", "fake pass", "step"
    table = Table("model", "M parameters", *(f"{name}, s" for name in names), "÷ (2 steps + fill)", "codes", box=None)
    for name in (name for name in CASES if options.only.lower() in name.lower()):
        found = row(name, options.repeats, console)
        kept[name] = found
        if options.json is not None:
            rows = [kept[known] for known in CASES if known in kept]
            options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        cells = (f"{found['seconds'][key]:.3f}" if key in found["seconds"] else "-" for key in names)
        table.add_row(
            name, f"{found['parameters'] / 1e6:.2f}", *cells, f"{found['ratio']:.2f}", " ".join(found["codes"])
        )
    console.print(table)


if __name__ == "__main__":
    main()
