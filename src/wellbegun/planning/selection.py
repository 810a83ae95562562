"""Which rule or option decides each parameter. A rule or pattern that decides nothing is an error, with the reason."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from wellbegun._arguments import message, nearest
from wellbegun.errors import RuleError
from wellbegun.graph import ModelGraph, Parameter, Role
from wellbegun.graph.notes import some_of
from wellbegun.planning.rules import Overrides, Rule


class Selection(NamedTuple):
    """Who decides about one storage."""

    by: str  # "exclude", "only", "frozen", "rule 2 of 3"; "" leaves it to the recipe
    reason: str = ""
    number: int | None = None  # of the rule that decides
    rule: Rule | None = None
    overruled: tuple[str, ...] = ()  # rules that match too

    @property
    def sentence(self) -> str:
        """What follows the name of the parameter in a message."""
        return f"decided by {self.by.partition(' of ')[0]} ({self.rule})" if self.rule else self.reason


def select(graph: ModelGraph, roles: Mapping[str, Role], asked: Overrides, frozen: str) -> dict[str, Selection]:
    """Who decides about each storage, by canonical name.

    Raises:
        RuleError: a rule or pattern that decides nothing.
    """
    selector = _Selector(graph, roles, asked, frozen)
    found = {name: selector.select(name) for name in selector.names}
    selector.check(found)
    return found


class _Selector:
    """One model and what the user said about it."""

    def __init__(self, graph: ModelGraph, roles: Mapping[str, Role], asked: Overrides, frozen: str) -> None:
        self.parameters, self.roles = graph.parameters, roles
        self.asked, self.keep_frozen = asked, frozen == "keep"
        self.names: dict[str, list[str]] = {}  # of each storage
        for name, parameter in graph.parameters.items():
            self.names.setdefault(parameter.tied_to or name, []).append(name)

    def select(self, name: str) -> Selection:
        """The decision about one storage, by its first name."""
        matching = [number for number, rule in enumerate(self.asked.rules) if self._matches(rule, name)]
        kept = self._kept(name)
        winner = matching.pop() if matching and kept is None else None
        overruled = tuple(f"rule {number + 1} ({self.asked.rules[number]})" for number in matching)
        if winner is None:
            return Selection(*(kept or ("", "")), overruled=overruled)
        rule, by = self.asked.rules[winner], f"rule {winner + 1} of {len(self.asked.rules)}"
        return Selection(by, f"rule {rule}", winner, rule, overruled)

    def _matches(self, rule: Rule, name: str) -> bool:
        return rule.matches(self.parameters[name], self._role(name))

    def _role(self, name: str) -> str:
        return self.roles[self.parameters[name].tied_to or name].role

    def _kept(self, name: str) -> tuple[str, str] | None:
        """What keeps a parameter whatever rules and recipe say. A pattern speaks of all names of a storage."""
        excluded = next((glob for glob in self.asked.exclude if self._any(glob, name)), None)
        if excluded is not None:
            return "exclude", f"excluded by {excluded!r}"
        only = self.asked.only
        if only is not None and not any(self._any(glob, name) for glob in only):
            return "only", f"not in only ({', '.join(map(repr, only))})"
        if self.keep_frozen and not self.parameters[name].trainable:
            return "frozen", "frozen: it is not trained"
        parts = (other for other in self.names[name] if self.parameters[other].set_by is not None)
        still = next((part for part in parts if not self.parameters[part].trainable), None)
        if self.keep_frozen and still is not None:
            return "frozen", f"frozen: {still}, which it is computed from, is not trained"
        return None

    def _any(self, glob: str, name: str) -> bool:
        return any(fnmatchcase(other, glob) for other in self.names[name])

    # ------------------------------------------------------------------ what decides nothing
    def check(self, found: Mapping[str, Selection]) -> None:
        """RuleError for the first pattern or rule that has no effect."""
        self._check_globs("exclude", self.asked.exclude)
        self._check_globs("only", self.asked.only or ())
        for glob in self.asked.only or ():
            matched = [name for name in self.names if self._any(glob, name)]
            if all(found[name].by in ("exclude", "frozen") for name in matched):
                raise _without_effect("only", glob, matched, found)
        used = {selection.number for selection in found.values()}
        for number, rule in enumerate(self.asked.rules):
            if number not in used:
                raise self._unused(f"rule {number + 1}", rule, found)

    def _check_globs(self, what: str, globs: Iterable[str]) -> None:
        for glob in globs:
            if not any(fnmatchcase(name, glob) for name in self.parameters):
                allowed = "a pattern that matches a parameter"
                raise RuleError(message("plan", what, allowed, glob, self._offer("pattern", glob)))

    def _unused(self, what: str, rule: Rule, found: Mapping[str, Selection]) -> RuleError:
        matched = [name for name in self.parameters if self._matches(rule, name)]
        own = [name for name in matched if name in self.names]
        if not matched:
            return self._unmatched(what, rule)
        if not own:
            remedy = f"Name {self.parameters[matched[0]].tied_to!r}, which is the same storage."
            return RuleError(message("plan", what, "one that matches more than tied names", rule, remedy))
        return _without_effect(what, rule, own, found)

    def _unmatched(self, what: str, rule: Rule) -> RuleError:
        """Which condition holds for no parameter at all, and what would."""
        for condition, value in rule.conditions.items():
            if not any(rule.holds(condition, p, self._role(name)) for name, p in self.parameters.items()):
                allowed = f"a {condition} that matches a parameter"
                return RuleError(message("plan", what, allowed, value, self._offer(condition, value)))
        remedy = "Each of its conditions holds for some parameter, but no parameter meets them all."
        return RuleError(message("plan", what, "one that matches a parameter", rule, remedy))

    def _offer(self, condition: str, value: str) -> str:
        """What a condition could have said."""
        listed = list(self.parameters)
        what, hint = "parameters", nearest(value.replace("*", ""), listed) if condition == "pattern" else ""
        if condition == "type":
            what, listed = "types of modules", _distinct(p.owner for p in self.parameters.values())
            hint = nearest(value, listed)
        elif condition == "role":
            what, listed = "roles", _distinct(self._role(name) for name in self.parameters)
            hint = nearest(value, listed)
        elif condition == "shape":
            what, listed = "shapes", _distinct(repr(_shape(p)) for p in self.parameters.values())
        elif condition == "regex":
            hint = "It has to match the whole name."
        shown = ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")
        return f"{hint}{' ' if hint else ''}The {what} are: {shown}."


def _distinct(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _shape(parameter: Parameter) -> str:
    return ",".join(map(str, parameter.shape))


def _without_effect(argument: str, got: object, names: list[str], found: Mapping[str, Selection]) -> RuleError:
    """A pattern or rule whose parameters are all decided by something else."""
    if all(found[name].by == "frozen" for name in names):
        remedy = "They are frozen (not trained); pass frozen='fill' to fill them too."
        return RuleError(message("plan", argument, "one that matches a trainable parameter", got, remedy))
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(found[name].sentence, []).append(name)
    shown = "; ".join(f"{_few(group)} {sentence}" for sentence, group in groups.items())
    later = any(found[name].rule for name in names)
    remedy = "Later rules win: remove it, or move it after them." if later else "Remove it, or what keeps them."
    allowed = "a pattern that leaves a parameter open" if argument == "only" else "one that decides a parameter"
    return RuleError(message("plan", argument, allowed, got, f"It decides nothing: {shown}. {remedy}"))


def _few(names: list[str], most: int = 3) -> str:
    """The first names and the number of the others, with a verb."""
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{some_of(names, most)} are"
