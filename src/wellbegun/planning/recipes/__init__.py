"""Recipes: named, versioned choices of a scheme for each role, with the reason in one sentence and its source."""

from collections.abc import Mapping
from types import MappingProxyType

from wellbegun._arguments import known
from wellbegun.planning.method import KEEP, Choice, Method
from wellbegun.planning.recipes.auto import AUTO
from wellbegun.planning.recipes.base import Recipe, lineage
from wellbegun.planning.recipes.classic import CLASSIC
from wellbegun.planning.recipes.frameworks import TORCH
from wellbegun.planning.recipes.others import PPO, SIREN
from wellbegun.planning.recipes.residual import DEEPNORM, FIXUP, REZERO, SKIPINIT, TFIXUP
from wellbegun.planning.recipes.transformers import BERT, GPT2, LLAMA, MEGATRON, OLMO, T5
from wellbegun.planning.recipes.vision import CONVNEXT, DCGAN, MAE, RESNET, VIT, VIT_NLHB

__all__ = ["ABOUT", "KEEP", "RECIPES", "Choice", "Recipe", "lineage", "recipe_of"]

_LANGUAGE = (GPT2, MEGATRON, LLAMA, OLMO, BERT, T5)
_VISION = (VIT, VIT_NLHB, MAE, CONVNEXT, RESNET, DCGAN)
_RESIDUAL = (FIXUP, SKIPINIT, REZERO, DEEPNORM, TFIXUP)
_ALL = (AUTO, CLASSIC, TORCH, *_LANGUAGE, *_VISION, *_RESIDUAL, SIREN, PPO)
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.full_name: recipe for recipe in _ALL} | {recipe.name: recipe for recipe in _ALL}
)
"""Every recipe by its name, the newest version, and by name@version."""

ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "auto": "any model; the default: orthogonal weights at a scale found from the whole model",
        "classic": "any model: He before ReLU, Xavier before tanh, LeCun before SELU, and so on",
        "torch": "what PyTorch's layers do by themselves: the baseline",
        "gpt2": "decoders as GPT-2: std 0.02, ends of branches divided by the root of their number",
        "megatron": "decoders as Megatron-LM",
        "llama": "decoders with gated feed-forward, as Llama",
        "olmo": "decoders as OLMo",
        "bert": "encoders as BERT: std 0.02",
        "t5": "encoder-decoders as T5",
        "vit": "vision transformers",
        "vit_nlhb": "vision transformers whose readout starts with a bias of -log(classes)",
        "mae": "masked autoencoders",
        "convnext": "ConvNeXt: std 0.02, branches that start almost silent",
        "resnet": "residual convolutional nets with batch norm",
        "dcgan": "convolutional generators and critics",
        "fixup": "residual nets without norms",
        "skipinit": "residual nets with a multiplier on each branch, which starts at 0",
        "rezero": "the same for layers with PyTorch's defaults",
        "deepnorm": "deep transformers with norms on the stream",
        "tfixup": "transformers without norms",
        "siren": "coordinate nets with sines",
        "ppo": "policies and value functions of reinforcement learning",
    }
)
"""What each recipe is for, in a line."""


def recipe_of(recipe: str | Method) -> Method:
    """A recipe by name (newest version) or name@version; any other method as it is.

    >>> recipe_of("classic").full_name
    'classic@1'
    """
    return recipe if isinstance(recipe, Method) else RECIPES[known("plan", "recipe", recipe, RECIPES)]
