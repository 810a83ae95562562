"""Every model of the net: name -> what builds it and its batch, the same each time."""

import copy
import functools
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import architectures
import numpy as np
import torch
from sources import definitions
from torch import nn
from unusual import UNUSUAL

Made = tuple[nn.Module, Any]
MODELS: dict[str, Callable[[], Made]] = {}


def add(group: str, made: dict[str, Callable[[], Made]]) -> None:
    for name, make in made.items():
        full = f"{group}: {name}"
        assert full not in MODELS, full
        MODELS[full] = make


def seeded(seed: int) -> None:
    """The same random numbers ahead: of torch, of NumPy (SpecAugment of transformers draws there) and of Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def build(name: str) -> Made:
    """A model and its batch, as wellbegun takes it. Memory that nobody writes holds nan, and not what was there."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    seeded(0)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        return MODELS[name]()
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def tokens(*shape: int, below: int = 30) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(0))


Makes = Callable[[ModuleType], Made]


def each(group: str, source: str, made: dict[str, Makes]) -> None:
    """Models made of the definitions of a file of tests, which is read when the first is asked for."""
    add(group, {name: functools.partial(_of, source, make) for name, make in made.items()})


def _of(source: str, make: Makes) -> Made:
    return make(definitions(source))


# ---------------------------------------------------------------------- test_real_models, health_cases, broken_models
real = definitions("test_real_models")
add("hand", {name: lambda row=row: (row[0](), row[1]) for name, row in real.HAND.items()})
add("real", {name: functools.partial(architectures.of_tests, row[0]) for name, row in real.REAL.items()})

cases = definitions("health_cases")
LARGE = {"GPT-2, width 256", "Llama, width 128, 6 layers", "ViT, width 128", "BERT, width 128, dropout"}
add("case", {name: case.make for name, case in cases.CASES.items() if name not in LARGE})

broken = definitions("broken_models")
BROKEN = (
    "typed_std_one", "extra_zero", "zeroed_layer", "constant_layer", "dead_units", "saturated_units", "uninitialized",
    "copied_layer", "loud_readout", "tied_normal_table", "sharp_attention", "cut_off",
)  # fmt: skip


def with_batch(name: str) -> Made:
    model = getattr(broken, name)()
    return model, tokens(8, 16, below=500) if hasattr(model, "table") else drawn(32, 32)


add("broken", {name: functools.partial(with_batch, name) for name in BROKEN})

# ---------------------------------------------------------------------- recipe_models
TEXT, PICTURES = torch.arange(24).reshape(2, 12) % 300, drawn(2, 3, 32, 32)
each(
    "recipe",
    "recipe_models",
    {
        "GPT": lambda m: (m.GPT(32, 2), TEXT),
        "Llama": lambda m: (m.Llama(32, 2), TEXT),
        "Llama, tied": lambda m: (m.Llama(32, 2, tied=True), TEXT),
        "encoder, post-norm": lambda m: (m.Encoder(32, 2), TEXT),
        "encoder, pre-norm": lambda m: (m.Encoder(32, 3, norm="pre"), TEXT),
        "encoder, no norm": lambda m: (m.Encoder(32, 2, norm="none", hidden=48), TEXT),
        "translator": lambda m: (m.Translator(32, 2, 3), (TEXT, TEXT)),
        "translator, relative": lambda m: (m.Translator(32, 2, 2, norm="pre", head=16, relative=True), (TEXT, TEXT)),
        "ViT": lambda m: (m.ViT(32, 2), PICTURES),
        "ViT, fused": lambda m: (m.ViT(32, 2, fused=True), PICTURES),
        "ConvNeXt": lambda m: (m.ConvNeXt(16, 2), PICTURES),
        "ResNet": lambda m: (m.ResNet(8, 2), PICTURES),
        "ResNet, bottleneck": lambda m: (m.ResNet(8, 2, bottleneck=True), PICTURES),
        "ResNet, fixup": lambda m: (m.ResNet(8, 2, kind="fixup"), PICTURES),
        "ResNet, skip": lambda m: (m.ResNet(8, 2, kind="skip", bottleneck=True), PICTURES),
        "Siren": lambda m: (m.Siren(32, 3), drawn(64, 2)),
        "Siren, slow": lambda m: (m.Siren(32, 2, omega=1.0), drawn(64, 2)),
        "generator": lambda m: (m.Generator(16), drawn(4, 32, 1, 1)),
        "actor and critic": lambda m: (m.ActorCritic(32, 4), drawn(32, 8)),
        "actor and critic, two trunks": lambda m: (m.ActorCritic(32, 4, shared=False), drawn(32, 8)),
    },
)

# ---------------------------------------------------------------------- torch_models, test_torch_plan, test_recipes
each(
    "torch",
    "torch_models",
    {
        "hybrid": lambda m: (m.Hybrid(), drawn(8, 1, 8, 8)),
        "hybrid, bfloat16": lambda m: (m.Hybrid().bfloat16(), drawn(8, 1, 8, 8).bfloat16()),
        "hybrid, double": lambda m: (m.Hybrid().double(), drawn(8, 1, 8, 8).double()),
        "hybrid, a shape": lambda m: (m.Hybrid(), (8, 1, 8, 8)),
        "named": lambda m: (m.Named("a", "b", "c"), drawn(8, 16)),
        "tied": lambda m: (m.TiedLM(), {"tokens": tokens(4, 12)}),
        "tied, with a mask": lambda m: (m.TiedLM(), {"tokens": tokens(4, 12), "mask": torch.ones(4, 12)}),
        "plain, ReLU": lambda m: (m.plain(8, nn.ReLU), drawn(32, 20)),
        "plain, Tanh": lambda m: (m.plain(8, nn.Tanh, 32), drawn(32, 20)),
    },
)

plans = definitions("test_torch_plan")
add(
    "spelled",
    {name: lambda f=f: (plans.Spelled(copy.deepcopy(f)), drawn(16, 8)) for name, (f, _) in plans.SPELLINGS.items()},
)


def recurrent(kind: str, both: bool) -> Made:
    return getattr(nn, kind)(5, 6, num_layers=2, bidirectional=both), drawn(7, 3, 5)


add(
    "layers",
    {
        f"{kind}{', both ways' * both}": functools.partial(recurrent, kind, both)
        for kind in ("LSTM", "GRU", "RNN")
        for both in (False, True)
    },
)
add(
    "layers",
    {
        "LSTM cell": lambda: (nn.LSTMCell(4, 6), drawn(3, 4)),
        "LSTM, projected": lambda: (nn.LSTM(4, 6, proj_size=2), drawn(5, 3, 4)),
        "mixed": lambda: (plans.Mixed(), tokens(3, 5, below=20)),
        "stateful": lambda: (plans.Stateful(), drawn(8, 4)),
        "encoder layer": lambda: (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), drawn(4, 5, 8)),
        "decoder layer": lambda: (
            nn.TransformerDecoderLayer(8, 2, 16, batch_first=True),
            (drawn(4, 5, 8), drawn(4, 3, 8)),
        ),
        "transposed": lambda: (
            nn.Sequential(nn.ConvTranspose2d(8, 4, 4, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 3)),
            drawn(4, 8, 6, 6),
        ),
        "bag": lambda: (nn.Sequential(nn.EmbeddingBag(30, 8), nn.ReLU(), nn.Linear(8, 3)), tokens(4, 6)),
        "no parameters": lambda: (nn.ReLU(), drawn(2, 4)),
        "wrong batch": lambda: (nn.Linear(4, 4), drawn(2, 5)),
        "lazy": lambda: (nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 2)), drawn(8, 4)),
        "on meta": lambda: (nn.Linear(4, 4, device="meta"), (2, 4)),
        "frozen": lambda: (nn.Sequential(nn.Linear(4, 8).requires_grad_(False), nn.Tanh(), nn.Linear(8, 2)), (8, 4)),
    },
)
ready = definitions("test_recipes")


def called(number: int) -> Made:
    layer = ready.fresh()[number]
    return ready.Call(layer), ready.batch_of(layer)


add(
    "called",
    {
        f"{number} {type(layer).__name__}": functools.partial(called, number)
        for number, layer in enumerate(ready.fresh())
    },
)

# ---------------------------------------------------------------------- test_auto
autos = definitions("test_auto")
DEPTH = 12
add("auto", {name: lambda f=f: (autos.plain(f, DEPTH), autos.X) for name, (f, _) in autos.FUNCTIONS.items()})
each(
    "auto",
    "test_auto",
    {
        "tanh, 50 layers": lambda m: (m.plain(torch.tanh, 50, 32), m.X),
        "residual, norm": lambda m: (m.Residual(4, True), m.X),
        "residual, no norm": lambda m: (m.Residual(8, False), m.X),
        "post-activation": lambda m: (m.PostActivation(), drawn(64, 16)),
        "relative, multiplied": lambda m: (m.Relative(multiplied=True, width=64), drawn(4, 16, 64)),
        "relative, added": lambda m: (m.Relative(multiplied=False, width=64), drawn(4, 16, 64)),
        "odd widths": lambda m: (
            nn.Sequential(nn.Linear(64, 33), nn.ReLU(), nn.Linear(33, 35), nn.ReLU(), nn.Linear(35, 10)),
            3 * m.X,
        ),
        "convolutions": lambda m: (
            nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.GELU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 16, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(256, 10),
            ),
            m.X.reshape(-1, 1, 8, 8),
        ),
    },
)  # fmt: skip

# ---------------------------------------------------------------------- test_torch_made
made = definitions("test_torch_made")


def computed(name: str) -> Made:
    weight, shapes = {**made.COMPUTED, **made.UNTOLD, **made.ONE_SIGN}[name]
    return nn.Sequential(made.Layer(weight, **shapes), nn.ReLU(), nn.Linear(made.M, 10)), drawn(64, made.N)


add("computed", {name: functools.partial(computed, name) for name in (*made.COMPUTED, *made.UNTOLD, *made.ONE_SIGN)})
each(
    "computed",
    "test_torch_made",
    {
        "kernel": lambda m: (
            nn.Sequential(m.Convolution(), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 3)),
            drawn(8, 16, 8, 8),
        ),
        "kernel, groups": lambda m: (
            nn.Sequential(m.Convolution(4), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 3)),
            drawn(8, 16, 8, 8),
        ),
        "standardized, then a norm": lambda m: (
            nn.Sequential(m.Layer(lambda p: m.standardized(p.w)), nn.BatchNorm1d(m.M), nn.ReLU(), nn.Linear(m.M, 10)),
            drawn(64, m.N),
        ),
        **{f"radial, {way}": lambda m, w=way: (m.Radial(w), drawn(64, m.N)) for way in ("cdist", "length", "mean")},
    },
)

# ---------------------------------------------------------------------- test_correction, test_prediction
corrected = definitions("test_correction")
add("corrected", {name: lambda make=make: (make(), 3 * corrected.X) for name, make in corrected.MODELS.items()})
each(
    "predicted",
    "test_prediction",
    {
        "mlp": lambda m: (m.mlp(nn.GELU, 6, 64), m.batch(64, 64)),
        "residual": lambda m: (m.Residual(3, 64), m.batch(64, 64)),
        "strange": lambda m: (m.Strange(), m.batch(64, 64)),
    },
)

add("unusual", UNUSUAL)
add("hf", architectures.ARCHITECTURES)
