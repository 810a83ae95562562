"""Rules on disk: a TOML file with [[rule]] tables, and globs to exclude or to restrict a plan to."""

import os
import tomllib
from typing import Any

from wellbegun._arguments import choice, cut, message
from wellbegun.errors import ArgumentError, ArgumentTypeError, ModelError
from wellbegun.planning import Overrides, Rule, rule_from_table
from wellbegun.storage.files import read_text

KEYS = ("rule", "exclude", "only")


def load_rules(path: str | os.PathLike[str]) -> Overrides:
    """Read rules from a TOML file.

    Each [[rule]] table has the arguments of `wellbegun.Rule`; `exclude` and `only` are lists of globs, before the first
    table. The last rule whose conditions all hold wins, as in a list::

        exclude = ["encoder.*"]

        [[rule]]
        type = "Conv2d"
        shape = "...,3,3"
        scheme = "delta_orthogonal"

        [[rule]]
        pattern = "head.*"
        scheme = "zeros"

    Raises:
        ModelError: no such file, or no TOML. ArgumentError, ArgumentTypeError: an unknown key or a bad value; the
        message names the file and the rule.
    """
    try:
        data = tomllib.loads(read_text("rules", path, "TOML"))
    except (RecursionError, ValueError) as error:  # no TOML, or nested too deeply
        raise ModelError(f"rules: {cut(str(path))} is not TOML: {error}.") from error
    owner = str(path)
    for key in data:
        choice(owner, "key", key, KEYS)
    tables = data.get("rule", [])
    if not isinstance(tables, list):
        raise ArgumentTypeError(message(owner, "rule", "tables, each under a line [[rule]]", tables))
    rules = [_rule(table, f"{owner}, rule {number}") for number, table in enumerate(tables, 1)]
    return Overrides().then(rules, _globs(owner, data, "exclude") or (), _globs(owner, data, "only"))


def _rule(table: Any, owner: str) -> Rule:
    if not isinstance(table, dict):
        raise ArgumentTypeError(
            message(owner, "value", "a table such as {pattern = 'head.*', scheme = 'zeros'}", table)
        )
    try:
        return rule_from_table(table)
    except (ArgumentError, ArgumentTypeError) as error:
        raise type(error)(f"{owner}: {str(error).removeprefix('rule: ')}") from error


def _globs(owner: str, data: dict[str, Any], key: str) -> list[str] | None:
    found = data.get(key)
    if found is not None and not (isinstance(found, list) and all(isinstance(glob, str) for glob in found)):
        raise ArgumentTypeError(message(owner, key, "a list of globs such as ['head.*']", found))
    return found
