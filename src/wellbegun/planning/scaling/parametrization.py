"""A parametrization: a recipe at the base model's sizes, and what changes with width and depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from wellbegun.graph import Analysis, ModelGraph, Role
from wellbegun.graph.walk import forward
from wellbegun.planning.method import Choice, Method
from wellbegun.planning.multipliers import Multipliers
from wellbegun.planning.plan import Entry, Plan
from wellbegun.planning.recipes.base import Recipe
from wellbegun.planning.scaling import rules
from wellbegun.planning.scaling.axes import Axes, Base, at_base, at_depth, axes_of
from wellbegun.schemes import Scheme, zeros

_RULES: Mapping[str, rules.Rule] = MappingProxyType({"mup": rules.mup, "spectral": rules.spectral, "umup": rules.umup})
_SILENT = Choice(zeros(), "starts at 0: what is drawn would only fade with the width", "arXiv:2203.03466, D.2")


@dataclass(frozen=True)
class Parametrization:
    """How first values, rates and multipliers change with width and depth: what `wellbegun.plan` takes as `recipe`.

    `mup`, `completep`, `spectral`, `umup` and `standard` make one. Plans that come of it hold the multipliers:
    `Entry.training` and `Entry.multiplier`, which `Plan.param_groups` makes groups of.
    """

    full_name: str
    rule: str
    recipe: Method
    base: Base = field(default=None, repr=False)
    depth: float | None = None
    alpha: float = 1.0
    head_width: int | None = None
    fold: bool = True
    zero: tuple[str, ...] = ()  # roles whose weights start at 0
    said: tuple[str, ...] = ()  # what it cannot do by itself

    @property
    def name(self) -> str:
        """Its name without the version."""
        return self.full_name.partition("@")[0]

    def facts(self) -> dict[str, Any]:
        """What people read of one of ours, ready for JSON."""
        assert isinstance(self.recipe, Recipe)
        return self.recipe.facts()

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """What the recipe chooses; `adjusted` does the rest. See `Method`."""
        found = self.recipe.choose(graph, roles, decided)
        silent = {name: _SILENT for name, role in roles.items() if role.role in self.zero}
        return {**found, **silent} if silent else found

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """What the recipe misses, and what is left to whoever writes the model."""
        behind = self.depth is not None and any(
            r.branch is not None and r.branch.norm == "post" for r in roles.values()
        )
        norms = (f"{self.full_name}: its depth is for norms before branches, and here they are behind",) * behind
        return (*self.recipe.notes(roles), *self.said, *norms)

    def adjusted(self, plan: Plan, graph: ModelGraph, roles: Mapping[str, Role]) -> Plan:
        """The plan with laws as the base model's sizes ask for, and with multipliers. Laws of rules stay as they are.

        Raises:
            ArgumentError: a base of another model.
        """
        if self.rule == "standard":
            return plan
        at = axes_of(Analysis.of(graph), roles, self.base, self.depth)
        small, chosen, doubt = self._at_base(graph, roles, at)
        heads, scores = self._heads(graph, roles)
        told, entries = [*doubt, *scores], list[Entry]()
        for entry in plan.entries:
            if (role := roles.get(entry.name)) is not None:
                found = self._multipliers(at[entry.name], heads.get(entry.name, 1.0))
                own = entry.action == "fill" and entry.decided_by.startswith("recipe") and role.computed is None
                if own:
                    entry = _scaled(entry, found.std, chosen[entry.name], small[entry.name])
                told += self._asked(entry, role, at[entry.name], found, own=own)
                entry = _changed(entry, found, self._why(at[entry.name]))
            entries.append(entry)
        notes = (*plan.notes, *(f"{self.full_name}: {text}" for text in told))
        return replace(plan, entries=tuple(entries), notes=notes).consistent()

    def _at_base(
        self, graph: ModelGraph, roles: Mapping[str, Role], at: Mapping[str, Axes]
    ) -> tuple[Mapping[str, Role], Mapping[str, Choice], tuple[str, ...]]:
        """Roles of the base model, what the recipe chooses for them, and what it cannot be asked at that depth."""
        small = {name: at_base(role, at[name], self.base) for name, role in roles.items()}
        chosen = self.choose(graph, small, frozenset())
        if self.depth is None or all(axes.deeper == 1 for axes in at.values()):
            return small, chosen, ()
        shallow = {name: at_depth(role, self.depth) for name, role in small.items()}
        there = self.choose(graph, shallow, frozenset())
        if not isinstance(self.recipe, Recipe) or self.recipe.solve is None:
            return shallow, there, ()
        if all(there[name].scheme == choice.scheme for name, choice in chosen.items()):
            return small, chosen, ()
        text = "looks at how deep this model is, not the base model: what it divides by depth is divided by depth twice"
        return small, chosen, (f"{self.recipe.full_name} {text}",)

    def _multipliers(self, at: Axes, heads: float) -> Multipliers:
        found = _RULES[self.rule](at, self.alpha)
        found = found if heads == 1 else replace(found, forward=found.forward * heads)
        return found.folded() if self.fold else found

    def _heads(self, graph: ModelGraph, roles: Mapping[str, Role]) -> tuple[dict[str, float], list[str]]:
        """What queries are multiplied with, so that scores are divided by the width of heads and not by its root: their
        weights and biases, or gains and shifts of a norm behind them; and what is left to the forward pass."""
        found, told = dict[str, float](), list[str]()
        for name, role in roles.items():
            if role.role != "query" or not self.head_width or role.head_width in (0, self.head_width):
                continue
            factor = (self.head_width / role.head_width) ** 0.5
            biases = [n for n, one in roles.items() if one.beside is not None and one.beside.parameter.name == name]
            own = [name, *biases] if (norm := _norm_of(graph, role)) is None else norm
            found |= dict.fromkeys(own, factor)
            if not own:
                told.append(f"{name} is normalized: multiply its scores by {factor:.4g} in the forward pass")
        return found, told

    def _asked(self, entry: Entry, role: Role, at: Axes, found: Multipliers, *, own: bool) -> Iterator[str]:
        """What is left to whoever writes the model, or fills one of its parameters."""
        name = entry.name
        if not own and abs(found.std - 1) > 1e-9 and entry.decided_by != "frozen":
            yield f"{name} is not filled by the recipe: its values have to be {found.std:.4g} times the base model's"
        if found.forward != 1:
            yield f"multiply {name} by {found.forward:.4g} in the forward pass"
        if at.shared and at.wider_out != 1:
            now = f"; it multiplies them by {role.readout_scale:.4g} now" if role.readout_scale != 1 else ""
            yield f"{name} is the readout too: multiply the logits by {1 / at.wider_out:.4g} in the forward pass{now}"
        fused = role.role in ("query_key", "query_key_value")
        if self.head_width and fused and role.head_width not in (0, self.head_width):
            factor = (self.head_width / role.head_width) ** 0.5
            yield f"{name} holds keys too: multiply the scores of its attention by {factor:.4g} in the forward pass"

    def _why(self, at: Axes) -> str:
        """What reasons say of it."""
        if at.kind in ("matrix", "table") and self.base is None:
            text = f"n_in {at.inputs:g}, n_out {at.outputs:g}"
        else:
            wider = {"vector": at.wider_out, "matrix": at.wider_in, "readout": at.wider_in}.get(at.kind)
            text = "as large at any width" if wider is None else f"{at.kind}, {wider:.4g} times as wide"
        return f"; {self.rule}: {text}" + (f", {at.deeper:.4g} times as deep" if at.deeper != 1 else "")


def _norm_of(graph: ModelGraph, role: Role) -> list[str] | None:
    """Gains and shifts of a norm that is directly behind a query, and no other value's; None without a norm."""
    passed = ("move", "shift", "split")
    behind = forward(graph, graph.operations[role.operation].outputs, lambda o: o.kind in passed, nearest=True)
    norm = next((operation for operation in behind if operation.kind == "norm"), None)
    if norm is None:
        return None
    after = [o for o in graph.consumers.get(norm.outputs[0], ()) if o.kind in ("scale", "shift")]
    names = [use.parameter for operation in (norm, *after) for use in operation.uses]
    return names if all(len(graph.uses_of(name)) == 1 for name in names) else []


def _changed(entry: Entry, found: Multipliers, why: str) -> Entry:
    """With multipliers; a measured correction would undo them."""
    told = {"multiplier": found.forward, "training": found.training, "reason": entry.reason + why}
    return replace(entry, **told, target=None, relative=False)  # type: ignore[arg-type]  # three fields, three types


def _scaled(entry: Entry, std: float, chosen: Choice, base: Role) -> Entry:
    """With the law whose size is `std` times what the recipe gives in the base model."""
    if entry.law is None or base.layout is None or not isinstance(chosen.scheme, Scheme):  # a safe law of last resort
        return entry
    shape = base.parameter.shape
    before = chosen.scheme.law(shape, layout=base.layout).moments(base.layout.canonical_shape(shape))
    now = entry.moments()
    sizes = [0.0 if found is None else found.variance + found.mean**2 for found in (before, now)]
    if 0.0 in sizes:
        return entry
    factor = std * (sizes[0] / sizes[1]) ** 0.5
    return entry if abs(factor - 1) < 1e-9 else replace(entry, law=entry.law.scaled(factor))
