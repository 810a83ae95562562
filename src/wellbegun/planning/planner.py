"""Roles + recipe + rules -> plan. Names, shapes and operations only; no tensor comes here."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, SupportsIndex

from wellbegun._arguments import DTYPES, choice, message, seed_of
from wellbegun.errors import LayoutError, RuleError, WellbegunError
from wellbegun.fill.parameters import check
from wellbegun.graph import ModelGraph, Role, roles_of
from wellbegun.laws import Law, ZeroRows
from wellbegun.layout import Layout
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.recipes import KEEP, Choice, Recipe, recipe_of
from wellbegun.planning.rules import Rule, check_patterns, rules_of
from wellbegun.schemes import Scheme
from wellbegun.streams import fresh_seed

FROZEN = ("keep", "fill")


def make_plan(
    graph: ModelGraph,
    *,
    recipe: str = "classic",
    rules: Any = (),
    exclude: Iterable[str] = (),
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
) -> Plan:
    """Decide for every parameter; see `wellbegun.plan` for the arguments."""
    chosen, overrides = recipe_of(recipe), rules_of(rules)
    number = fresh_seed() if seed is None else seed_of("plan", seed)
    choice("plan", "frozen", frozen, FROZEN)
    excluded = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    roles = roles_of(graph)
    _check_rules(overrides, excluded, graph, frozen)
    entries: list[Entry] = []
    problems: list[str] = []
    for name, parameter in graph.parameters.items():
        if parameter.tied_to is not None:
            entries.append(_tied(name, graph))
            continue
        role = roles[name]
        reason = _kept(role, excluded, frozen)
        try:
            picked = Choice(KEEP, reason) if reason else _pick(role, overrides, chosen)
            entries.append(_entry(role, picked, _layout(role, overrides)))
        except WellbegunError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise RuleError(_listed(problems))
    return Plan(tuple(entries), chosen.full_name, number, (*graph.notes, *chosen.notes(roles)))


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"plan: {problems[0]} Nothing was changed."
    shown = "\n".join(f"  {problem}" for problem in problems[:10])
    more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
    return f"plan: {len(problems)} parameters cannot be planned; nothing was changed.\n{shown}{more}"


def _check_rules(rules: tuple[Rule, ...], excluded: tuple[str, ...], graph: ModelGraph, frozen: str) -> None:
    """Every pattern must match a parameter it can act on."""
    check_patterns("exclude", excluded, graph.parameters)
    check_patterns("rules", [rule.pattern for rule in rules], graph.parameters)
    for rule in rules:
        matched = [p for p in graph.parameters.values() if rule.matches(p.name)]
        if all(p.tied_to is not None for p in matched):
            remedy = f"Name {matched[0].tied_to!r}, which is the same storage."
            raise RuleError(
                message("plan", "rules", "a pattern that matches more than tied names", rule.pattern, remedy)
            )
        if frozen == "keep" and all(not p.trainable for p in matched):
            remedy = "They are frozen (requires_grad is False); pass frozen='fill' to fill them too."
            raise RuleError(
                message("plan", "rules", "a pattern that matches a trainable parameter", rule.pattern, remedy)
            )


def _tied(name: str, graph: ModelGraph) -> Entry:
    parameter = graph.parameters[name]
    reason = f"the same storage as {parameter.tied_to}, which is filled once"
    return Entry(
        name, parameter.shape, parameter.dtype, "tie", "tied", None, "", None, "", reason, tied_to=parameter.tied_to
    )


def _kept(role: Role, excluded: tuple[str, ...], frozen: str) -> str:
    """Why a parameter is kept whatever the recipe says; "" if it is not."""
    name = role.parameter.name
    matched = next((pattern for pattern in excluded if fnmatchcase(name, pattern)), None)
    if matched is not None:
        return f"excluded by {matched!r}"
    if frozen == "keep" and not role.parameter.trainable:
        return "frozen: requires_grad is False"
    return ""


def _pick(role: Role, rules: tuple[Rule, ...], recipe: Recipe) -> Choice:
    for rule in reversed(rules):
        if rule.matches(role.parameter.name):
            return Choice(rule.scheme, f"rule {rule.pattern!r}", "the user's rule")
    if role.role in recipe.choices:
        return recipe.choices[role.role](role)
    if role.role == "unused":
        raise RuleError(
            "is not used in the forward pass of this batch, so it has no role. "
            f"Give it a rule ({role.parameter.name!r}, scheme), exclude it, or give a batch that uses it."
        )
    where = f" ({role.place})" if role.place else ""
    raise RuleError(
        f"is used in a way {recipe.full_name} has no rule for{where}. "
        f"Give it a rule ({role.parameter.name!r}, scheme) or exclude it."
    )


def _layout(role: Role, rules: tuple[Rule, ...]) -> Layout | None:
    given = next((r.layout for r in reversed(rules) if r.layout is not None and r.matches(role.parameter.name)), None)
    return Layout(given) if isinstance(given, str) else given or role.layout


def _entry(role: Role, picked: Choice, layout: Layout | None) -> Entry:
    parameter = role.parameter
    if not isinstance(picked.scheme, Scheme):
        return Entry(
            parameter.name, parameter.shape, parameter.dtype, "keep", role.role, layout, "keep", None, "", picked.reason
        )
    if parameter.dtype not in DTYPES:
        raise RuleError(f"has dtype {parameter.dtype}; wellbegun fills {', '.join(DTYPES)}. Exclude it.")
    layout = layout or _default_layout(role)
    law: Law = picked.scheme.law(parameter.shape, layout=layout)
    if role.zero_rows:
        law = ZeroRows(law, role.zero_rows)
    check(law, parameter.dtype)
    return Entry(
        parameter.name,
        parameter.shape,
        parameter.dtype,
        "fill",
        role.role,
        layout,
        repr(picked.scheme),
        law,
        parameter.name,
        picked.reason + _padding(role.zero_rows),
        picked.source,
    )


def _default_layout(role: Role) -> Layout:
    """For a rule on a parameter whose axes the graph does not tell."""
    rank = len(role.parameter.shape)
    if rank > 2:
        remedy = "Say which axis is which: Rule(pattern, scheme, layout='oikk')."
        raise LayoutError(f"has {rank} axes and the graph does not tell their roles. {remedy}")
    return Layout("oi"[:rank])


def _padding(rows: tuple[int, ...]) -> str:
    return f"; padding row {', '.join(map(str, rows))} stays 0" if rows else ""
