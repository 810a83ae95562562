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
from wellbegun.planning.recipes import (
    auto,
    classic,
    frameworks,
    images,
    language,
    measured,
    others,
    residual,
    scaled,
    sequences,
    transformers,
    vision,
)
from wellbegun.planning.recipes.base import Recipe, Refinement, lineage
from wellbegun.planning.recipes.own import OwnRecipe, own_recipe
from wellbegun.planning.scaling.parametrization import Parametrization

__all__ = ["KEEP", "RECIPES", "Choice", "Recipe", "Refinement", "lineage", "recipe_facts", "recipe_names", "recipe_of"]

_FILES = (
    auto,
    classic,
    frameworks,
    transformers,
    language,
    vision,
    images,
    residual,
    scaled,
    sequences,
    others,
    measured,
)
_KINDS = (Recipe, Parametrization)
_ALL = {item.full_name: item for file in _FILES for item in vars(file).values() if isinstance(item, _KINDS)}
RECIPES: Mapping[str, Recipe | Parametrization] = MappingProxyType(
    _ALL | {recipe.name: recipe for recipe in _ALL.values()}
)
"""Every recipe by its name, the newest version, and by name@version: each is a call of `recipe` in one of the files."""


def recipe_facts() -> list[dict[str, Any]]:
    """What is known of each recipe, ready for JSON: name, version, what it is for, the optimizer that its scale was
    found with ("any" if none), the roles that it needs, its source, and what is known to go wrong.

    >>> next(facts["optimizer"] for facts in recipe_facts() if facts["name"] == "gpt2")
    'AdamW'
    """
    return [recipe.facts() for name, recipe in RECIPES.items() if "@" not in name]


def recipe_names() -> dict[str, str]:
    """Every recipe that can be named, and what it is for: those of installed packages (entry points
    "wellbegun.recipes") follow. "" for names with a version."""
    others = {name: entry.value for name, entry in installed(INSTALLED).items() if name not in RECIPES}
    return {**{name: "" if "@" in name else recipe.facts()["about"] for name, recipe in RECIPES.items()}, **others}


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
