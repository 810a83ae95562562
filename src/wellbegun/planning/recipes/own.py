"""Recipes of one's own: a function of the role, or any method, passed or added by an installed package."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wellbegun._arguments import integer, message, shown, users
from wellbegun.errors import ArgumentTypeError, WellbegunError
from wellbegun.graph import ModelGraph, Role
from wellbegun.planning.method import Choice, Method


@dataclass(frozen=True)
class OwnRecipe:
    """What a function says of each role: a choice, what is a scheme, "keep", or None for what it leaves out."""

    full_name: str
    function: Callable[[Role], Any]

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """See `Method`."""
        found = {name: self._choice(role) for name, role in roles.items() if name not in decided}
        return {name: choice for name, choice in found.items() if choice is not None}

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """Nothing is expected of a model."""
        return ()

    def _choice(self, role: Role) -> Choice | None:
        name = shown(role.parameter.name)
        try:
            with users(self.full_name, f"the recipe, asked for {name},"):
                found = self.function(role)
            if found is None or isinstance(found, Choice):
                return found
            return Choice(found, f"{role.role.replace('_', ' ')}: what {self.full_name} gives it")
        except WellbegunError as error:  # ours say nothing of the recipe
            if self.full_name not in str(error):
                error.args = (f"{self.full_name}, asked for {name}: {error}",)
            raise


def own_recipe(given: Any, name: str = "") -> Method:
    """A method from a function of the role, a class without arguments, or a method.

    Args:
        given: The function may have an attribute `version`, 1 if not.
        name: What the function is called, if not by its own name.
    Raises:
        ArgumentTypeError: anything else. ArgumentError: a class that cannot be made.

    >>> def plain(role):
    ...     return "zeros" if role.role == "bias" else "he_normal"
    >>> own_recipe(plain).full_name
    'plain@1'
    """
    name = name or getattr(given, "__name__", type(given).__name__)
    if isinstance(given, type):
        with users("plan", f"making the recipe {name}"):
            given = given()
    if isinstance(given, Method):
        if not isinstance(given.full_name, str):
            raise ArgumentTypeError(message(f"recipe {name}", "full_name", "a text, such as 'ours@1'", given.full_name))
        return given
    if callable(given):
        return OwnRecipe(f"{name}@{integer(f'recipe {name}', 'version', getattr(given, 'version', 1))}", given)
    allowed = "a name, a function of a role, or an object with full_name, choose and notes"
    raise ArgumentTypeError(message("plan", "recipe", allowed, given))
