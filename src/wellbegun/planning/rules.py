"""The user's overrides: a glob over parameter names -> a scheme. Later rules win; an unused rule is an error."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from wellbegun._arguments import message, nearest
from wellbegun.errors import ArgumentTypeError, RuleError
from wellbegun.layout import Layout
from wellbegun.schemes import Scheme, parse_scheme


@dataclass(frozen=True)
class Rule:
    """Parameters whose dotted name matches `pattern` get `scheme`.

    Args:
        pattern: Glob over dotted names: "head.*", "*.bias", "layers.[0-3].weight".
        scheme: A scheme, its text ("he_normal(mode='fan_out')"), or "keep" to leave the values as they are.
        layout: Role of each axis where the graph does not tell, as letters or a Layout.

    >>> Rule("head.*", "zeros").matches("head.weight")
    True
    """

    pattern: str
    scheme: Scheme | str
    layout: Layout | str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise ArgumentTypeError(message("rule", "pattern", "a glob such as 'head.*'", self.pattern))
        if isinstance(self.scheme, str) and self.scheme != "keep":
            object.__setattr__(self, "scheme", parse_scheme(self.scheme))
        if not isinstance(self.scheme, (Scheme, str)):
            raise ArgumentTypeError(message("rule", "scheme", "a scheme, its name, or 'keep'", self.scheme))
        if isinstance(self.layout, str):
            object.__setattr__(self, "layout", Layout(self.layout))

    def matches(self, name: str) -> bool:
        """Whether the rule speaks of this parameter."""
        return fnmatchcase(name, self.pattern)


def rules_of(rules: Any) -> tuple[Rule, ...]:
    """Rules from a list of Rule or (pattern, scheme), or a mapping pattern -> scheme."""
    if isinstance(rules, Mapping):
        rules = list(rules.items())
    if isinstance(rules, (str, bytes)) or not isinstance(rules, Iterable):
        raise ArgumentTypeError(message("plan", "rules", "a list of (pattern, scheme)", rules))
    return tuple(_rule(item) for item in rules)


def _rule(item: Any) -> Rule:
    if isinstance(item, Rule):
        return item
    if isinstance(item, (tuple, list)) and len(item) in (2, 3):
        return Rule(*item)
    raise ArgumentTypeError(message("plan", "rules", "pairs (pattern, scheme) or Rule(...)", item))


def check_patterns(what: str, patterns: Iterable[str], names: Iterable[str]) -> None:
    """RuleError for the first pattern that matches no name."""
    listed = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in listed):
            hint = nearest(pattern.replace("*", ""), listed)
            shown = ", ".join(listed[:6]) + (", ..." if len(listed) > 6 else "")
            remedy = f"{hint}{' ' if hint else ''}The parameters are: {shown}."
            raise RuleError(message("plan", what, "a pattern that matches a parameter", pattern, remedy))
