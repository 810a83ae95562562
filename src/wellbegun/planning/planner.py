"""Roles + recipe + rules -> plan. Names, shapes and operations only; no tensor comes here."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, SupportsIndex

from wellbegun._arguments import DTYPES, choice, message, nearest, seed_of, shown, truth, users
from wellbegun.errors import ArgumentTypeError, LayoutError, RuleError, WellbegunError
from wellbegun.graph import Analysis, ModelGraph, Parameter, Role, roles_of
from wellbegun.graph.notes import some_of
from wellbegun.laws import ZeroRows
from wellbegun.layout import Layout
from wellbegun.planning.doubts import doubts
from wellbegun.planning.intent import INTENTS, Samples, purposes
from wellbegun.planning.method import KEEP, Choice, Method
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.recipes import Recipe, recipe_of
from wellbegun.planning.reparametrized import held, share_of
from wellbegun.planning.rules import Overrides, overrides_of
from wellbegun.planning.scaling.parametrization import Parametrization
from wellbegun.planning.selection import Selection, select
from wellbegun.planning.unsaid import Unsaid
from wellbegun.schemes import Scheme
from wellbegun.streams import fresh_seed

FROZEN = ("keep", "fill")
_CHOICES = "a mapping from names of parameters to Choice"


def make_plan(
    graph: ModelGraph,
    *,
    recipe: str | Method | Callable[[Role], Any] = "auto",
    rules: Any = (),
    exclude: Iterable[str] = (),
    only: Iterable[str] | None = None,
    frozen: str = "keep",
    seed: SupportsIndex | None = None,
    strict: bool = False,
    intent: str = "auto",
    samples: Callable[[Iterable[str]], Samples] | None = None,
) -> Plan:
    """Decide for every parameter; see `wellbegun.plan` for the arguments. `samples` tells what parameters hold."""
    truth("plan", "strict", strict)
    chosen, asked = recipe_of(recipe), overrides_of(rules, exclude, only)
    inner = chosen.recipe if isinstance(chosen, Parametrization) else chosen
    published = isinstance(inner, Recipe)
    number = fresh_seed() if seed is None else seed_of("plan", seed)
    choice("plan", "frozen", frozen, FROZEN)
    choice("plan", "intent", intent, INTENTS)
    graph = Analysis.of(graph)
    roles = roles_of(graph)
    selected = select(graph, roles, asked, frozen)
    mind = intent == "keep" or (intent == "auto" and getattr(chosen, "minds", False))
    noted, meant = _intended(graph, roles, selected, asked, samples, intent) if mind and samples else ((), {})
    taken = frozenset(name for name, selection in selected.items() if selection.by)
    choices = _choices(chosen, graph, roles, taken)
    entries: list[Entry] = []
    problems, unsaid = list[str](), Unsaid(named=published)
    for name, parameter in graph.parameters.items():
        if parameter.tied_to is not None:
            entries.append(_tied(name, graph))
            continue
        role, selection = roles[name], selected[name]
        try:
            entry = _decided(parameter, role, selection, chosen.full_name, choices, unsaid)
            entries.append(replace(entry, reason=entry.reason + meant[name]) if name in meant else entry)
        except WellbegunError as error:
            problems.append(f"{shown(name)}: {error}")
    if problems:
        raise RuleError(_listed(problems))
    if strict and unsaid:
        raise RuleError(unsaid.refused())
    kept = _kept_notes(entries, graph, chosen.full_name)
    by_depth = isinstance(inner, Recipe) and inner.by_depth
    doubted = doubts(graph, roles, entries, by_depth=by_depth, published=published)
    notes = (*graph.told, *chosen.notes(roles), *unsaid.notes(), *noted, *kept, *doubted)
    plan = Plan(tuple(entries), chosen.full_name, number, notes).consistent()
    return chosen.adjusted(plan, graph, roles) if isinstance(chosen, Parametrization) else plan


def _intended(
    graph: Analysis,
    roles: Mapping[str, Role],
    selected: dict[str, Selection],
    asked: Overrides,
    samples: Callable[[Iterable[str]], Samples],
    intent: str,
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Let what was constructed on purpose stay, unless the user decides; notes, and what else reasons say of a name."""
    doubt, found = purposes(graph, roles, samples(roles), intent == "keep")
    if doubt:
        return (f"Nothing that the model holds counts as put there on purpose: {doubt}.",), {}
    meant = dict[str, str]()
    for name, what, stays in found:
        if selected[name].by or name in (asked.only or ()):  # what is named in full is asked for
            continue
        if stays:
            selected[name] = Selection("intent", f"holds {what}: kept")
        else:
            meant[name] = f"; held {what}: not kept"
    kept = [name for name, selection in selected.items() if selection.by == "intent"]
    why = "because their values were put there on purpose (intent='overwrite' fills them too)"
    return (f"Kept, {why}: {some_of(kept, 8)}.",) if kept else (), meant


def _decided(
    p: Parameter, role: Role, selection: Selection, recipe: str, choices: Mapping[str, Choice], unsaid: Unsaid
) -> Entry:
    """The entry of one parameter. What the user decides is carried out or refused; where nothing can be said of one, it
    is kept, or gets a safe law if nothing is held there."""
    picked = _pick(p.name, selection, recipe, choices)
    if selection.by and picked is not None:
        return _entry(p, role, selection, recipe, picked)
    reason, decided = "", f"recipe {recipe}"
    if picked is not None and picked.scheme != KEEP:
        try:
            entry = _entry(p, role, selection, recipe, picked)
        except WellbegunError as error:
            if not unsaid.tolerates(p, error):
                raise
            reason, decided = unsaid.kept(role, recipe, str(error).partition(". ")[0].rstrip(".")), "nobody"
        else:
            alone = role.operation < 0
            return replace(entry, reason=f"{entry.reason}; {unsaid.layer(p)}") if alone else entry
    elif picked is None:
        reason, decided = unsaid.kept(role, recipe), "nobody"
    else:
        reason = picked.reason
    if not p.held and p.dtype in DTYPES:
        safe, picked = unsaid.safe(p, role)
        return _entry(p, safe, selection, recipe, picked)
    return replace(_entry(p, role, selection, recipe, Choice(KEEP, reason)), decided_by=decided)


def _choices(
    method: Method, graph: ModelGraph, roles: Mapping[str, Role], taken: frozenset[str]
) -> Mapping[str, Choice]:
    """What a method chooses, which may be one of the user's own."""
    with users(method.full_name, "choose"):
        found: object = method.choose(graph, roles, taken)
    if not isinstance(found, Mapping):
        raise ArgumentTypeError(message(method.full_name, "what choose returns", _CHOICES, type(found).__name__))
    names = roles.keys() | graph.parameters.keys()
    for name in found:
        if name not in names:
            remedy = nearest(name, names) if isinstance(name, str) else ""
            raise RuleError(message(method.full_name, "a name that choose returns", "one of the model's", name, remedy))
    return found


def _kept_notes(entries: Iterable[Entry], graph: ModelGraph, recipe: str) -> Iterator[str]:
    """Which parameters are left as they are though nobody asked for it, and which have no values to be left."""
    kept = [entry for entry in entries if entry.action == "keep"]
    bare = [entry.name for entry in kept if not graph.parameters[entry.name].held]
    chosen = [entry.name for entry in kept if entry.decided_by.startswith("recipe") and entry.name not in bare]
    if chosen:
        yield (
            f"{recipe} keeps what it has no values for, as the model was constructed: {some_of(chosen, 8)}. If the "
            "model was given memory afterwards, they hold whatever was there: load them, or give them a rule."
        )
    if bare:
        yield (
            f"Kept, but without values: {some_of(bare, 8)}. Memory that they are given holds whatever was there: "
            "load them, or give them a rule."
        )


def _listed(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"plan: {problems[0]} Nothing was changed."
    shown = "\n".join(f"  {problem}" for problem in problems[:10])
    more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
    return f"plan: {len(problems)} parameters cannot be planned; nothing was changed.\n{shown}{more}"


def _tied(name: str, graph: ModelGraph) -> Entry:
    p = graph.parameters[name]
    reason = f"the same storage as {p.tied_to}, which is filled once"
    if p.set_by is not None:
        reason = f"what {p.set_by} is computed from: set through its right_inverse"
    known: dict[str, Any] = {"tied_to": p.tied_to, "owner": p.owner, "decided_by": "tied"}
    return Entry(name, p.shape, p.dtype, "tie", "tied", None, "", None, "", reason, **known)


def _pick(name: str, selection: Selection, recipe: str, choices: Mapping[str, Choice]) -> Choice | None:
    """What the user or the recipe says; None if neither says anything."""
    if selection.rule is not None:
        return Choice(selection.rule.scheme, selection.reason, "the user's rule")
    if selection.by:
        return Choice(KEEP, selection.reason)
    if name not in choices:
        return None
    found: object = choices[name]
    if not isinstance(found, Choice):
        remedy = "Choice(scheme, reason) makes one."
        raise ArgumentTypeError(message(recipe, "what choose returns", _CHOICES, found, remedy))
    return found


def _entry(p: Parameter, role: Role, selection: Selection, recipe: str, picked: Choice) -> Entry:
    given = selection.rule.layout if selection.rule is not None else None
    own = role.layout if p.shape == role.parameter.shape else None  # it may speak of what is computed
    layout = Layout(given) if isinstance(given, str) else given or own
    known: dict[str, Any] = {
        "owner": p.owner,
        "place": role.place,
        "meets": _meets(role),
        "decided_by": selection.by or f"recipe {recipe}",
        "overruled": selection.overruled,
    }
    if not isinstance(picked.scheme, Scheme):
        return Entry(p.name, p.shape, p.dtype, "keep", role.role, layout, KEEP, None, "", picked.reason, **known)
    if p.dtype not in DTYPES:
        text = f"has dtype {p.dtype}; wellbegun fills {', '.join(DTYPES)}"
        raise RuleError(f"{text}. Exclude it, or fill it in one of these and convert it then.")
    picked = picked if selection.rule is not None else held(role, picked)
    scheme = picked.scheme
    assert isinstance(scheme, Scheme)
    if role.computed is not None and selection.rule is None:
        law, layout, scheme, reason, leads = share_of(role, picked, p.shape)
        picked = replace(picked, reason=reason, target=picked.target if leads else None)
    else:
        layout = layout or _default_layout(p)
        law = scheme.law(p.shape, layout=layout)
    if role.zero_rows:
        law = ZeroRows(law, role.zero_rows)
    law.check(p.dtype)
    reason, known["source"] = picked.reason + _padding(role.zero_rows), picked.source
    known |= {"target": picked.target, "relative": picked.relative}
    known |= {"learning_rate": picked.learning_rate, "multiplier": picked.multiplier}
    return Entry(p.name, p.shape, p.dtype, "fill", role.role, layout, repr(scheme), law, p.name, reason, **known)


def _meets(role: Role) -> tuple[str, ...]:
    """What the output of a weight meets first, and the other activations it meets."""
    met = role.met
    if met is None:
        return ()
    first = "the output" if met.what == "output" else met.place
    return (met.name or "an unnamed function" if met.what == "activation" else first, *role.also)


def _default_layout(parameter: Parameter) -> Layout:
    """For a rule on a parameter whose axes the graph does not tell."""
    rank = len(parameter.shape)
    if rank > 2:
        remedy = "Say which axis is which: Rule(pattern, scheme, layout='oikk')."
        raise LayoutError(f"has {rank} axes and the graph does not tell their roles. {remedy}")
    return Layout("oi"[:rank])


def _padding(rows: tuple[int, ...]) -> str:
    return f"; padding row {', '.join(map(str, rows))} stays 0" if rows else ""
