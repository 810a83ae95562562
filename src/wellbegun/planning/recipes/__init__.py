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

__all__ = ["KEEP", "RECIPES", "Choice", "Recipe", "lineage", "recipe_of"]

_LANGUAGE = (GPT2, MEGATRON, LLAMA, OLMO, BERT, T5)
_VISION = (VIT, VIT_NLHB, MAE, CONVNEXT, RESNET, DCGAN)
_RESIDUAL = (FIXUP, SKIPINIT, REZERO, DEEPNORM, TFIXUP)
_ALL = (AUTO, CLASSIC, TORCH, *_LANGUAGE, *_VISION, *_RESIDUAL, SIREN, PPO)
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.full_name: recipe for recipe in _ALL} | {recipe.name: recipe for recipe in _ALL}
)
"""Every recipe by its name, the newest version, and by name@version."""


def recipe_of(recipe: str | Method) -> Method:
    """A recipe by name (newest version) or name@version; any other method as it is.

    >>> recipe_of("classic").full_name
    'classic@1'
    """
    return recipe if isinstance(recipe, Method) else RECIPES[known("plan", "recipe", recipe, RECIPES)]
