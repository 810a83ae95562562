"""The user's overrides: conditions on a parameter -> a scheme. Of rules whose conditions all hold, the last wins."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from wellbegun._arguments import choice, guarded, message
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.graph import Parameter
from wellbegun.layout import Layout
from wellbegun.schemes import scheme_of
from wellbegun.schemes.own import Given

_SHAPES = "one condition for each axis, *, 3, >=1000, <8, or ... for any axes: '>=1000,*' or '...,3,3'"


@dataclass(frozen=True, repr=False)
class Rule:
    """Parameters for which every given condition holds get `scheme`; of several such rules the last one wins.

    Args:
        pattern: Glob over dotted names: "head.*", "*.bias", "layers.[0-3].weight".
        scheme: A scheme, its text ("he_normal(mode='fan_out')"), a law, a function of your own of `shape`, `fans` or
            `layout` that gives a law or a scheme (`wellbegun.schemes.scheme_of`), or "keep" to leave the values.
        layout: Role of each axis where the graph does not tell, as letters or a Layout.
        regex: Regular expression that the whole dotted name matches: r"layers\\.(0|11)\\..*".
        type: Glob over the class name of the module that holds the parameter, or of a class it inherits from:
            "Linear", "Conv*", "*Norm*".
        role: Glob over roles, as the plan shows them: "bias", "readout", "norm_*".
        shape: One condition for each axis of the stored shape, separated by commas: `*`, a size, or a size after
            >=, <=, > or <. One `...` stands for any number of axes. ">=1000,*" is a matrix with at least 1000 rows,
            "...,3,3" ends in a 3×3 window, "*" is a vector.
    Raises:
        ArgumentError, ArgumentTypeError: a condition or scheme that cannot be read.

    >>> weight = Parameter("head.weight", (10, 64), "float32", owners=("Linear",))
    >>> Rule("head.*", "zeros").matches(weight)
    True
    >>> Rule(scheme="zeros", type="Linear", shape=">=100,*").matches(weight)
    False
    """

    pattern: str = "*"
    scheme: Given | str = ""
    layout: Layout | str | None = None
    _: KW_ONLY
    regex: str | None = None
    type: str | None = None
    role: str | None = None
    shape: str | None = None

    def __post_init__(self) -> None:
        for name, allowed in CONDITIONS.items():
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name == "pattern"):
                raise ArgumentTypeError(message("rule", name, allowed, value))
        _check_regex(self.regex)
        if self.shape is not None:
            _axes(self.shape)
        if self.scheme != "keep":
            object.__setattr__(self, "scheme", scheme_of(None if self.scheme == "" else self.scheme, "rule"))
        if isinstance(self.layout, str):
            object.__setattr__(self, "layout", Layout(self.layout))
        if not isinstance(self.layout, (Layout, type(None))):
            raise ArgumentTypeError(message("rule", "layout", "letters such as 'oi', or a Layout", self.layout))

    @property
    def conditions(self) -> dict[str, str]:
        """The conditions that were given; only the pattern if there is nothing else."""
        found = {name: value for name in CONDITIONS if (value := getattr(self, name)) is not None}
        return {name: value for name, value in found.items() if len(found) == 1 or (name, value) != ("pattern", "*")}

    def __str__(self) -> str:
        return _named(self.conditions)

    def __repr__(self) -> str:
        options = {"scheme": self.scheme, "layout": self.layout}
        given = {name: value for name, value in options.items() if value is not None}
        rest = {name: value for name, value in self.conditions.items() if name != "pattern"}
        pattern = [_quoted(self.pattern)] if "pattern" in self.conditions else []
        return f"Rule({', '.join([*pattern, *(f'{name}={_quoted(value)}' for name, value in (given | rest).items())])})"

    def holds(self, condition: str, parameter: Parameter, role: str = "") -> bool:
        """Whether one condition holds, or was not given."""
        value = getattr(self, condition)
        return value is None or _holds(condition, value, parameter, role)

    def matches(self, parameter: Parameter, role: str = "") -> bool:
        """Whether the rule speaks of this parameter, which has this role in its model."""
        return all(self.holds(condition, parameter, role) for condition in CONDITIONS)


def _named(conditions: Mapping[str, str]) -> str:
    quoted = {name: _quoted(value) for name, value in conditions.items()}
    return ", ".join(text if name == "pattern" else f"{name}={text}" for name, text in quoted.items())


def _quoted(value: object) -> str:
    """The literal, raw where that reads better."""
    raw = isinstance(value, str) and "\\" in value and "'" not in value and not value.endswith("\\")
    return f"r'{value}'" if raw else repr(value)


def _check_regex(text: str | None) -> None:
    try:
        re.compile(text or "")
    except re.error as error:
        remedy = f"At position {error.pos}: {error.msg}."
        raise ArgumentError(message("rule", "regex", "a regular expression", text, remedy)) from error


# ---------------------------------------------------------------------- conditions
_AXIS = re.compile(r"\*|(>=|<=|>|<)?\s*(\d+)")
_COMPARE: dict[str | None, Callable[[int, int], bool]] = {
    None: lambda size, bound: size == bound,
    ">=": lambda size, bound: size >= bound,
    "<=": lambda size, bound: size <= bound,
    ">": lambda size, bound: size > bound,
    "<": lambda size, bound: size < bound,
}
Axis = tuple[str | None, int] | None  # comparison and bound; None: any size


@functools.lru_cache(256)
def _axes(text: str) -> tuple[tuple[Axis, ...], tuple[Axis, ...] | None]:
    """Conditions on the first axes, and on the last ones if '...' stands between them."""
    parts: list[list[Axis]] = [[]]
    for item in text.split(","):
        found = _AXIS.fullmatch(item.strip())
        if item.strip() == "...":
            parts.append([])
        elif found is None:
            raise ArgumentError(message("rule", "shape", _SHAPES, text))
        else:
            parts[-1].append(None if found[2] is None else (found[1], int(found[2])))
    if len(parts) > 2:
        raise ArgumentError(message("rule", "shape", _SHAPES, text, "Give '...' once."))
    return tuple(parts[0]), tuple(parts[1]) if len(parts) == 2 else None


def _fits(text: str, shape: tuple[int, ...]) -> bool:
    first, last = _axes(text)
    if len(shape) < len(first) + len(last or ()) or (last is None and len(shape) != len(first)):
        return False
    tail = shape[len(shape) - len(last) :] if last else ()
    pairs = [*zip(first, shape, strict=False), *zip(last or (), tail, strict=True)]
    return all(axis is None or _COMPARE[axis[0]](size, axis[1]) for axis, size in pairs)


CONDITIONS: Mapping[str, str] = {  # and what is allowed
    "pattern": "a glob such as 'head.*'",
    "regex": "a regular expression for the whole name, such as r'layers\\.\\d+\\.weight'",
    "type": "a glob over class names of modules, such as 'Conv*'",
    "role": "a glob over roles, such as 'norm_*'",
    "shape": _SHAPES,
}


def _holds(condition: str, text: str, parameter: Parameter, role: str) -> bool:
    if condition == "regex":
        return re.fullmatch(text, parameter.name) is not None
    if condition == "type":
        return any(fnmatchcase(owner, text) for owner in parameter.owners)
    if condition == "shape":
        return _fits(text, parameter.shape)
    return fnmatchcase(parameter.name if condition == "pattern" else role, text)


# ---------------------------------------------------------------------- lists and tables of rules
@dataclass(frozen=True)
class Overrides:
    """Everything the user said about parameters: rules in order, globs to leave alone, globs to leave nothing but."""

    rules: tuple[Rule, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None

    def then(self, rules: Any = (), exclude: Iterable[str] = (), only: Iterable[str] | None = None) -> "Overrides":
        """These, then more: later rules win, exclusions add up, an `only` takes the place of an earlier one."""
        later = self.only if only is None else globs("only", only)
        if later is not None and not later:
            remedy = "Leave it out to plan every parameter."
            raise ArgumentError(message("plan", "only", "at least one pattern", [], remedy))
        return Overrides((*self.rules, *rules_of(rules)), (*self.exclude, *globs("exclude", exclude)), later)


def overrides_of(rules: Any = (), exclude: Iterable[str] = (), only: Iterable[str] | None = None) -> Overrides:
    """What `plan` was given; `rules` may be `Overrides` read from a file, which the rest is added to."""
    with guarded("plan", (rules, exclude, only)):
        return rules.then((), exclude, only) if isinstance(rules, Overrides) else Overrides().then(rules, exclude, only)


def globs(argument: str, given: Any, owner: str = "plan") -> tuple[str, ...]:
    """Patterns from one text or several."""
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for pattern in found:
        if not isinstance(pattern, str):
            raise ArgumentTypeError(message(owner, argument, "globs such as 'head.*'", pattern))
    return found


def rules_of(rules: Any) -> tuple[Rule, ...]:
    """Rules from a list of Rule, (pattern, scheme) or tables, or from a mapping pattern -> scheme."""
    if isinstance(rules, Mapping):
        rules = list(rules.items())
    if isinstance(rules, (str, bytes)) or not isinstance(rules, Iterable):
        allowed = "a list of (pattern, scheme) or Rule(...), a dict pattern -> scheme, or the path of a .toml file"
        raise ArgumentTypeError(message("plan", "rules", allowed, rules))
    return tuple(_rule(item) for item in rules)


def _rule(item: Any) -> Rule:
    if isinstance(item, Rule):
        return item
    if isinstance(item, Mapping):
        return rule_from_table(item)
    if isinstance(item, (tuple, list)) and len(item) in (2, 3):
        return Rule(*item)
    raise ArgumentTypeError(message("plan", "rules", "pairs (pattern, scheme) or Rule(...)", item))


def rule_from_table(table: Mapping[str, Any]) -> Rule:
    """A rule from a table with the arguments of `Rule`, as a TOML file holds it; a layout may be a table too.

    >>> rule_from_table({"type": "Conv2d", "shape": "...,3,3", "scheme": "he_normal"})
    Rule(scheme=he_normal(), type='Conv2d', shape='...,3,3')
    """
    _check_keys("rule", table, Rule)
    layout = table.get("layout")
    if isinstance(layout, Mapping):
        _check_keys("layout", layout, Layout)
        options: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in layout.items()}
        layout = Layout(**{"axes": None, **options})
    return Rule(**{**table, "layout": layout})


def _check_keys(owner: str, table: Mapping[str, Any], kind: type) -> None:
    for key in table:
        choice(owner, "key", key, [item.name for item in fields(kind) if item.init])
