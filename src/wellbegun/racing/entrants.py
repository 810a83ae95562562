"""Candidates of a race: what the user gives -> how a fresh model gets its first values."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from wellbegun._arguments import choice, message, nearest
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.planning import RECIPES, Plan, Rule, recipe_names, recipe_of
from wellbegun.planning.recipes import Recipe
from wellbegun.schemes import ALIASES, SCHEMES, Scheme, parse_scheme

DEFAULT = ("default", "framework default")  # names that stand for None in a list
ALLOWED = (
    "None (as the framework made it), a recipe's name, a scheme or its text, a Plan, "
    "a dict of arguments for wellbegun.initialize, or a function of (model[, batch, seed])"
)
OPTIONS = ("recipe", "rules", "exclude", "only", "frozen", "calibrate")  # seed, loss and chance are the race's
EVERY_WEIGHT = "*,*,..."  # two axes or more


@dataclass(frozen=True)
class Tools:
    """What gives a model its values and looks at them: functions of the rows above, handed down."""

    initialize: Callable[..., Any]
    apply: Callable[..., Any]
    check: Callable[..., Any]


@dataclass(frozen=True)
class Candidate:
    """One way to initialize a model."""

    name: str
    kind: Literal["default", "options", "plan", "function"]
    what: Any = None
    text: str = ""  # what it is, in words: part of the fingerprint

    def prepare(self, model: Any, batch: Any, seed: int, tools: Tools, judged: Mapping[str, Any]) -> tuple[Any, Any]:
        """Give a fresh model its values: the model, or another that the function returned, and its health."""
        if self.kind == "options":
            result = tools.initialize(model, batch, seed=seed, threads=1, **self.what, **judged)
            return result.model, result.health
        if self.kind == "plan":
            model = tools.apply(model, replace(self.what, seed=seed), threads=1).model
        elif self.kind == "function":
            given = (model, batch, seed)
            found = self.what(*given[: _accepted(self.what)])
            model = found if hasattr(found, "parameters") else model
        return model, tools.check(model, batch, **judged)


def candidates_of(given: Any) -> tuple[Candidate, ...]:
    """Candidates from a dict name -> what, or a list of names.

    Raises:
        ArgumentError, ArgumentTypeError: none at all, or something that is no candidate. UnknownNameError: a text that
        is neither a recipe nor a scheme.
    """
    if isinstance(given, str) or not isinstance(given, (Mapping, list, tuple)):
        allowed = "a dict name -> candidate, or a list of names of recipes and schemes"
        raise ArgumentTypeError(message("race", "candidates", allowed, given))
    if not isinstance(given, Mapping):
        for name in given:
            if not isinstance(name, str):
                raise ArgumentTypeError(message("race", "candidates", "names where they are a list", name))
        if len(set(given)) < len(given):
            raise ArgumentError(message("race", "candidates", "different names", list(given)))
        given = {name: None if name in DEFAULT else name for name in given}
    if not given:
        raise ArgumentError(message("race", "candidates", "at least one candidate", given))
    for name in given:
        if not isinstance(name, str) or not name:
            raise ArgumentTypeError(message("race", "candidates", "named by texts", name))
    return tuple(_candidate(name, what) for name, what in given.items())


def _candidate(name: str, what: Any) -> Candidate:
    if what is None:
        return Candidate(name, "default", text="as the framework made it")
    if isinstance(what, str):
        return _named(name, what)
    if isinstance(what, Scheme):
        return _scheme(name, what)
    if isinstance(what, Plan):
        return Candidate(name, "plan", what, f"plan {what.recipe} {digest(what.to_dict())}")
    if isinstance(what, Mapping):
        return Candidate(name, "options", _options(name, what), f"initialize {_told(dict(what))!r}")
    if callable(what):
        _accepted(what)
        return Candidate(name, "function", what, f"function {function_text(what)}")
    raise ArgumentTypeError(message(f"race: candidate {name!r}", "value", ALLOWED, what))


def _named(name: str, text: str) -> Candidate:
    """A recipe's name before a scheme's text."""
    if text in RECIPES or text.partition("@")[0] in recipe_names():
        full = recipe_of(text).full_name
        return Candidate(name, "options", {"recipe": full}, f"recipe {full}")
    try:
        return _scheme(name, parse_scheme(text))
    except UnknownNameError as error:
        names = [*RECIPES, *SCHEMES, *ALIASES]
        remedy = f"{nearest(text, names)} Recipes: {', '.join(r for r in RECIPES if '@' not in r)}. "
        remedy += f"Schemes: {', '.join(SCHEMES)}."
        allowed = "the name of a recipe or the text of a scheme"
        raise UnknownNameError(message(f"race: candidate {name!r}", "value", allowed, text, remedy)) from error


def _scheme(name: str, scheme: Scheme) -> Candidate:
    """One scheme for every parameter of two axes or more; `classic` decides about the others (biases 0, norms 1)."""
    options = {"recipe": "classic@1", "rules": (Rule(shape=EVERY_WEIGHT, scheme=scheme),)}
    return Candidate(name, "options", options, f"scheme {scheme!r}")


def _options(name: str, given: Mapping[Any, Any]) -> dict[str, Any]:
    for key in given:
        choice(f"race: candidate {name!r}", "argument", key, OPTIONS)
    if "recipe" in given:
        recipe_of(given["recipe"])
    return dict(given)


def _accepted(function: Callable[..., Any]) -> int:
    """How many of (model, batch, seed) a function takes."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # built-in functions may not tell
        return 1
    for count in (3, 2, 1):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    name = getattr(function, "__name__", repr(function))
    raise ArgumentTypeError(message("race", "candidates", "functions of (model[, batch, seed])", f"{name}{signature}"))


def function_text(function: Callable[..., Any]) -> str:
    """A function's name and a digest of its code, so that a changed one is told from what it was."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if code is None:
        return name
    return f"{name} {digest([code.co_code.hex(), _constants(code), list(code.co_names)])}"


def _told(value: Any) -> Any:
    """Options with functions as texts, without addresses: what is told of one changes with its code."""
    if isinstance(value, Mapping):
        return {key: _told(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_told, value))
    if isinstance(value, Recipe):
        return value.full_name
    own = getattr(value.scheme if isinstance(value, Rule) else value, "function", None)
    if own is not None:
        return f"{value!r} {function_text(own)}"
    return function_text(value) if " at 0x" in repr(value) else value


def _constants(code: Any) -> list[str]:
    """Constants of a function and of those inside it, without addresses."""
    found = []
    for constant in code.co_consts:
        inner = hasattr(constant, "co_code")
        found.append(f"{constant.co_code.hex()} {_constants(constant)}" if inner else repr(constant))
    return found


def digest(data: Any) -> str:
    """A short fingerprint of plain data."""
    return hashlib.blake2b(json.dumps(data, sort_keys=True, default=repr).encode(), digest_size=6).hexdigest()
