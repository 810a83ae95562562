"""Candidates of a race: what the user gives -> how a fresh model gets its first values."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from wellbegun._arguments import choice, message, nearest
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.laws import Law
from wellbegun.planning import RECIPES, Method, Plan, Rule, recipe_names, recipe_of
from wellbegun.racing.fingerprint import digest, function_text, told
from wellbegun.schemes import ALIASES, SCHEMES, Scheme, parse_scheme, scheme_of
from wellbegun.schemes.own import asked_for

DEFAULT = ("default", "framework default")  # names that stand for None in a list
ALLOWED = (
    "None (as the framework made it), a recipe or its name, a scheme, its text or a law, a Plan, a dict of arguments "
    "for wellbegun.initialize, or a function: of fans, shape or layout, of role, or of (model[, batch, seed])"
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

    def prepare(
        self, model: Any, batch: Any, seed: int, tools: Tools, judged: Mapping[str, Any]
    ) -> tuple[Any, Any, Plan | None]:
        """Give a fresh model its values: the model, or another that the function returned, its health, and the plan
        where one says what optimizers multiply."""
        plan = None
        if self.kind == "options":
            result = tools.initialize(model, batch, seed=seed, threads=1, **self.what, **judged)
            return result.model, result.health, _multiplying(result.plan)
        if self.kind == "plan":
            plan = _multiplying(self.what)
            model = tools.apply(model, replace(self.what, seed=seed), threads=1).model
        elif self.kind == "function":
            given = (model, batch, seed)
            found = self.what(*given[: _accepted(self.what)])
            model = found if hasattr(found, "parameters") else model
        return model, tools.check(model, batch, **judged), plan


def _multiplying(plan: Plan) -> Plan | None:
    """A plan that says what optimizers multiply."""
    return plan if any(entry.training is not None for entry in plan.entries) else None


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
    if isinstance(what, (Scheme, Law)) or (callable(what) and asked_for(what)):
        return _scheme(name, scheme_of(what))
    if isinstance(what, Plan):
        return Candidate(name, "plan", what, f"plan {what.recipe} {digest(what.to_dict())}")
    if isinstance(what, Mapping):
        return Candidate(name, "options", _options(name, what), f"initialize {told(dict(what))!r}")
    if isinstance(what, Method) or (callable(what) and asked_for(what, ("role",))):
        return Candidate(name, "options", {"recipe": what}, f"recipe {recipe_of(what).full_name} {function_text(what)}")
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
    return Candidate(name, "options", options, f"scheme {told(scheme)}")


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
