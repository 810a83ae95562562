"""Recipes: named, versioned choices of a scheme for each role, with the reason in one sentence and its source."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from wellbegun._arguments import known
from wellbegun._installed import RECIPES as INSTALLED
from wellbegun._installed import installed, loaded
from wellbegun.graph import Role
from wellbegun.planning.method import KEEP, Choice, Method
from wellbegun.planning.recipes.auto import AUTO
from wellbegun.planning.recipes.base import Recipe, lineage
from wellbegun.planning.recipes.classic import CLASSIC
from wellbegun.planning.recipes.frameworks import FLAX, HAIKU, KERAS, TORCH
from wellbegun.planning.recipes.others import PPO, SIREN
from wellbegun.planning.recipes.own import OwnRecipe, own_recipe
from wellbegun.planning.recipes.residual import DEEPNORM, FIXUP, REZERO, SKIPINIT, TFIXUP
from wellbegun.planning.recipes.scaled import COMPLETEP, MUP, SPECTRAL_CONDITION, UMUP
from wellbegun.planning.recipes.transformers import BERT, GPT2, LLAMA, MEGATRON, OLMO, T5
from wellbegun.planning.recipes.vision import CONVNEXT, DCGAN, MAE, RESNET, VIT, VIT_NLHB
from wellbegun.planning.scaling.parametrization import Parametrization

__all__ = ["ABOUT", "KEEP", "RECIPES", "Choice", "Recipe", "lineage", "recipe_names", "recipe_of"]

_LANGUAGE = (GPT2, MEGATRON, LLAMA, OLMO, BERT, T5)
_VISION = (VIT, VIT_NLHB, MAE, CONVNEXT, RESNET, DCGAN)
_RESIDUAL = (FIXUP, SKIPINIT, REZERO, DEEPNORM, TFIXUP)
_SCALED = (MUP, COMPLETEP, SPECTRAL_CONDITION, UMUP)
_ALL = (AUTO, CLASSIC, TORCH, KERAS, FLAX, HAIKU, *_LANGUAGE, *_VISION, *_RESIDUAL, *_SCALED, SIREN, PPO)
RECIPES: Mapping[str, Recipe | Parametrization] = MappingProxyType(
    {recipe.full_name: recipe for recipe in _ALL} | {recipe.name: recipe for recipe in _ALL}
)
"""Every recipe by its name, the newest version, and by name@version."""

ABOUT: Mapping[str, str] = MappingProxyType(
    {
        "auto": "any model; the default: orthogonal weights at a scale found from the whole model",
        "classic": "any model: He before ReLU, Xavier before tanh, LeCun before SELU, and so on",
        "torch": "what PyTorch's layers do by themselves: the baseline",
        "keras": "what Keras's layers do by themselves",
        "flax": "what Flax's layers do by themselves",
        "haiku": "what Haiku's layers do by themselves",
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
        "mup": "decoders whose learning rate holds at any width; against width 256",
        "completep": "the same, at any depth too; against 2 blocks",
        "spectral": "any model, by the largest singular values of weights and of their changes",
        "umup": "unit scaling with its multipliers in values and rates",
        "siren": "coordinate nets with sines",
        "ppo": "policies and value functions of reinforcement learning",
    }
)
"""What each recipe is for, in a line."""


def recipe_names() -> dict[str, str]:
    """Every recipe that can be named, and what it is for: those of installed packages (entry points
    "wellbegun.recipes") follow. "" for names with a version."""
    others = {name: entry.value for name, entry in installed(INSTALLED).items() if name not in RECIPES}
    return {**dict.fromkeys(RECIPES, ""), **ABOUT, **others}


def recipe_of(recipe: str | Method | Callable[[Role], Any]) -> Method:
    """A recipe by name (newest version) or name@version; a function of the role; any other method as it is.

    Raises:
        UnknownNameError: no such recipe. ArgumentTypeError: nothing of the kind.

    >>> recipe_of("classic").full_name, recipe_of(lambda role: "zeros").choose(None, {}, frozenset())
    ('classic@1', {})
    """
    if not isinstance(recipe, str):
        given = own_recipe(recipe)
        if isinstance(given, OwnRecipe) and given.full_name in RECIPES:  # plans are to tell it from ours of that name
            return replace(given, full_name=f"own.{given.full_name}")
        return given
    if recipe in RECIPES:
        return RECIPES[recipe]
    others, name = installed(INSTALLED), recipe.partition("@")[0]
    found = own_recipe(loaded(others[name]), name) if name in others else None
    names = [*RECIPES, *others, *([found.full_name] if found else [])]
    known("plan", "recipe", recipe, names)
    assert found is not None  # `known` knows no other name
    return found
