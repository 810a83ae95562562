"""What a recipe is: for each role a function that chooses a scheme and says why."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from wellbegun.graph import Analysis, ModelGraph, Role
from wellbegun.planning.method import KEEP, Choice
from wellbegun.schemes import Scheme, by_section, constant, normal, ones, orthogonal, zeros

_RBF = "Broomhead, Lowe 1988"
_HE = "He et al. 2015, arXiv:1502.01852"
_NORM = "Ioffe, Szegedy 2015, arXiv:1502.03167"
_SAXE = "Saxe et al. 2014, arXiv:1312.6120"

# a role a recipe does not mention is treated as a more general one
GENERAL: Mapping[str, str] = MappingProxyType(
    {
        "query": "hidden",
        "key": "hidden",
        "value": "hidden",
        "query_key": "hidden",
        "key_value": "hidden",
        "query_key_value": "hidden",
        "gate": "hidden",
        "up": "hidden",
        "gate_up": "hidden",
        "router": "hidden",
        "time_step": "hidden",
        "attention_out": "residual_out",
        "down": "residual_out",
        "residual_out": "hidden",
        "readout": "hidden",
        "recurrent_projection": "hidden",
        "residual_scale": "multiplier",
        "token": "positional",
    }
)


Chooser = Callable[[Role], Choice]
Solver = Callable[[Analysis, Mapping[str, Role], frozenset[str]], Mapping[str, Choice]]


class Caution(NamedTuple):
    """What is known to go wrong with a recipe, and whether a model with these roles is such a case."""

    text: str
    holds: Callable[[Mapping[str, Role]], bool]


@dataclass(frozen=True)
class Refinement:
    """Settings of what a recipe does on the batch after the fill; the function that does it stands in a row above."""

    data: ClassVar[bool] = True  # whether the batch has to hold data

    def told(self) -> str:
        """What differs from the defaults.

        >>> Refinement().told()
        ''
        """
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        changed = [f"{each.name}={own[each.name]!r}" for each in fields(self) if own[each.name] != each.default]
        return f"({', '.join(changed)})" if changed else ""


class Recipe(NamedTuple):
    """A named, versioned set of role -> choice functions. What no role chooses for is kept, and said."""

    name: str
    version: int
    choices: Mapping[str, Chooser]
    about: str  # what it is for, in a line
    optimizer: str  # that its scale was found with, or "any"
    source: str
    needs: tuple[str, ...] = ()  # roles without which the recipe is not what its name says
    cautions: tuple[Caution, ...] = ()
    by_depth: bool = False  # whether it divides what ends branches by how deep the model or the layer is
    # choices that depend on the whole model, given the parameters somebody else decides; they go before those by role
    solve: Solver | None = None
    minds: bool = False  # whether what was constructed on purpose stays unless the user says otherwise
    refinement: Refinement | None = None  # what is done on the batch after the fill

    @property
    def full_name(self) -> str:
        """name@version, and settings that are not the defaults."""
        return f"{self.name}@{self.version}{self.refinement.told() if self.refinement else ''}"

    def choose(self, graph: ModelGraph, roles: Mapping[str, Role], decided: frozenset[str]) -> Mapping[str, Choice]:
        """See `Method`. Choices by role are made when they are asked for."""
        solved = {} if self.solve is None else self.solve(Analysis.of(graph), roles, decided)
        return _Choices(self.choices, roles, solved)

    def missing(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """Roles the recipe needs and the model does not have."""
        present = {general for role in roles.values() for general in lineage(role.role)}
        return tuple(need for need in self.needs if need not in present)

    def notes(self, roles: Mapping[str, Role]) -> tuple[str, ...]:
        """What to say of the roles that are missing, and of what is known to go wrong."""
        missing = (
            f"{self.full_name} expects a role {need}, which this model has none of" for need in self.missing(roles)
        )
        return (*missing, *(f"{self.full_name}: {text}" for text, holds in self.cautions if holds(roles)), *self.said)

    @property
    def said(self) -> tuple[str, ...]:
        """What plans say until something was measured."""
        text = f"{self.full_name} measures when `initialize` is given a batch: this plan is what it starts from"
        return () if self.refinement is None else (text,)

    def facts(self) -> dict[str, Any]:
        """What people read, ready for JSON."""
        found = {name: getattr(self, name) for name in ("name", "version", "about", "optimizer", "needs", "source")}
        return {**found, "cautions": [caution.text for caution in self.cautions]}


class _Choices(Mapping[str, Choice]):
    """What was solved for the whole model, and choices by role for the rest."""

    def __init__(
        self, choosers: Mapping[str, Chooser], roles: Mapping[str, Role], solved: Mapping[str, Choice]
    ) -> None:
        self._choosers, self._roles, self._solved = choosers, roles, solved

    def __getitem__(self, name: str) -> Choice:
        role = self._roles[name]
        solved = self._solved.get(role.parameter.name)
        return self._choosers[role.role](role) if solved is None else solved

    def __contains__(self, name: object) -> bool:
        role = self._roles.get(name) if isinstance(name, str) else None
        return role is not None and (role.parameter.name in self._solved or role.role in self._choosers)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._roles if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def lineage(role: str) -> tuple[str, ...]:
    """A role and the more general ones it stands under.

    >>> lineage("attention_out")
    ('attention_out', 'residual_out', 'hidden')
    """
    found = [role]
    while found[-1] in GENERAL:
        found.append(GENERAL[found[-1]])
    return tuple(found)


def unit_scale(role: Role) -> Scheme:
    """What leaves the signal of a normalization as it is: ones, or zeros where the model adds the 1 itself."""
    return ones() if role.unit == 1 else zeros() if role.unit == 0 else constant(role.unit)


def scale_reason(role: Role) -> str:
    """Why a scale starts there."""
    if role.unit == 1:
        return "scale of a normalization starts at 1"
    return f"scale of a normalization: what it multiplies has unit entries where it is {role.unit:g}"


def centre(role: Role) -> Choice:
    """Rows that distances are measured from."""
    return Choice(normal(std=1.0), "centres of distances: spread as standardized inputs are", _RBF)


def distance_scale(role: Role) -> Choice:
    """What multiplies distances."""
    reason = f"multiplies distances: {role.unit:.4g} makes those between standardized inputs and centres 1 in size"
    return Choice(constant(role.unit), reason, _RBF)


def forget(role: Role) -> Scheme:
    """The bias of the gates of a recurrent layer: 1 where a gate forgets, 0 elsewhere."""
    each = [ones() if gate == "forget" else zeros() for gate in role.gates]
    return each[0] if len(each) == 1 else by_section(*each)


def recurrent(_: Role) -> Choice:
    """Weights that a state goes through at every step."""
    return Choice(orthogonal(), "recurrent weights, each gate orthogonal: powers keep their length", _SAXE)


def zero(role: Role) -> Choice:
    """Whatever is added."""
    return Choice(zeros(), f"{role.role.replace('_', ' ')} starts at 0")


def norm_scale(role: Role) -> Choice:
    """Scales of normalizations."""
    return Choice(unit_scale(role), scale_reason(role), _NORM)


def slope(_: Role) -> Choice:
    """Slopes below zero that are learned."""
    return Choice(constant(0.25), "slope of a PReLU", _HE)


def multiplier(role: Role) -> Choice:
    """What multiplies a signal and is no scale of a normalization."""
    return Choice(KEEP, f"multiplies a signal outside a norm ({role.place}): kept as constructed")


def _time_step_bias(role: Role) -> Choice:
    return Choice(KEEP, f"bias of a time step, which is a design of its own ({role.place}): kept as constructed")


def has(*names: str) -> Callable[[Mapping[str, Role]], bool]:
    """Whether a model has one of these roles."""
    return lambda roles: any(role.role in names for role in roles.values())


_FUSED = Caution(
    "an optimizer that makes matrices orthogonal takes projections fused in one matrix for one: it has to split them",
    has("query_key_value", "query_key", "key_value", "gate_up"),
)
_DECAYED = Caution("weight decay pulls factors of branches to 0: leave them out of it", has("residual_scale"))


def recipe(
    name: str,
    version: int,
    choices: Mapping[str, Chooser],
    *,
    about: str,
    optimizer: str,
    source: str,
    needs: tuple[str, ...] = (),
    cautions: tuple[Caution, ...] = (),
    by_depth: bool = False,
    solve: Solver | None = None,
    refinement: Refinement | None = None,
) -> Recipe:
    """A recipe, whose missing roles are filled in from more general ones; it is known by being in one of the files."""
    complete: dict[str, Chooser] = {"time_step_bias": _time_step_bias, **choices}
    for role in GENERAL:
        chosen = next((choices[general] for general in lineage(role) if general in choices), None)
        if chosen is not None:
            complete[role] = chosen
    own_scale = choices.get("residual_scale") not in (None, choices.get("multiplier"))
    derived = [caution for caution, meant in ((_FUSED, "Muon" in optimizer), (_DECAYED, own_scale)) if meant]
    texts = about, optimizer, source, needs, (*cautions, *derived)
    return Recipe(name, version, MappingProxyType(complete), *texts, by_depth, solve, refinement=refinement)
