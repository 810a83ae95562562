"""Recipes: named, versioned choices of a scheme for each role, with the reason in one sentence and its source."""

from collections.abc import Mapping
from types import MappingProxyType

from wellbegun._arguments import known
from wellbegun.planning.recipes.auto import AUTO
from wellbegun.planning.recipes.base import KEEP, Choice, Recipe, lineage
from wellbegun.planning.recipes.classic import CLASSIC

__all__ = ["KEEP", "RECIPES", "Choice", "Recipe", "lineage", "recipe_of"]

_ALL = (AUTO, CLASSIC)
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.full_name: recipe for recipe in _ALL} | {recipe.name: recipe for recipe in _ALL}
)


def recipe_of(name: str) -> Recipe:
    """A recipe by name (newest version) or name@version.

    >>> recipe_of("classic").full_name
    'classic@1'
    """
    return RECIPES[known("plan", "recipe", name, RECIPES)]
