"""Combinations that are known to go wrong, whoever chose them: what a plan says of them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from wellbegun.graph import Analysis, Branch, Operation, Role, net_of
from wellbegun.graph.model import WEIGHTED, Use
from wellbegun.graph.proportional import constant_behind
from wellbegun.graph.walk import TRANSPARENT
from wellbegun.laws import Constant, TruncatedNormal
from wellbegun.planning.plan import Entry

_UNCUT = 8.0  # bounds that many standard deviations away cut less than one value in 10^15


def doubts(
    graph: Analysis, roles: Mapping[str, Role], entries: Sequence[Entry], *, by_depth: bool, published: bool
) -> Iterator[str]:
    """Sentences about products of zeros, truncation that cuts nothing, and depth that is counted twice.

    Args:
        by_depth: Whether the recipe divides what ends branches by depth.
        published: Whether the recipe is one of ours, which says in its reasons what is odd about its source.
    """
    filled = {entry.name: entry for entry in entries if entry.law is not None}
    branches = net_of(roles).branches
    yield from _zeros(graph, branches, {name for name, entry in filled.items() if _is_silent(entry, roles.get(name))})
    uncut = [e.name for e in filled.values() if _is_uncut(e) and not (published and e.decided_by.startswith("recipe"))]
    if uncut:
        yield (
            f"The bounds of a truncated normal cut nothing, more than {_UNCUT:g} standard deviations away: "
            f"{', '.join(uncut)}. Bounds in units of the weight are meant for a std near 1; leave them relative."
        )
    if by_depth and _falls_with_depth(graph, branches, roles):
        yield (
            "Depth is counted twice: the model multiplies what norms give with less in each block, and the recipe "
            "divides the ends of branches by depth. The authors of the former use an ordinary initialization: lns."
        )


def _is_silent(entry: Entry, role: Role | None) -> bool:
    """Whether a parameter starts where it silences what it multiplies, or multiplies with 0."""
    silent = role.silent if role is not None and role.role in ("norm_scale", "residual_scale") else 0.0
    return isinstance(entry.law, Constant) and entry.law.value == silent


def _is_uncut(entry: Entry) -> bool:
    return isinstance(entry.law, TruncatedNormal) and min(map(abs, entry.law.standard_bounds())) > _UNCUT


def _falls_with_depth(graph: Analysis, branches: tuple[Branch, ...], roles: Mapping[str, Role]) -> bool:
    """Whether constants behind the norms that begin branches differ, and are at most 1."""
    norms = {role.operation for role in roles.values() if role.role == "norm_scale" and not role.ends_branch}
    inside = norms & frozenset[int]().union(*(branch.interior for branch in branches))
    found = {round(constant_behind(graph, graph.operations[index].outputs[0]), 6) for index in inside}
    return len(found) > 1 and max(found) <= 1


# ---------------------------------------------------------------------- zero times zero
def _zeros(graph: Analysis, branches: tuple[Branch, ...], silent: set[str]) -> Iterator[str]:
    """Factors of one product that are all 0: none of them gets a gradient."""
    pairs = dict[tuple[str, ...], None]()
    for branch in branches:
        ends = [graph.operations[index] for index in branch.ends]
        still = ends and all(silent.issuperset(use.parameter for use in end.uses) for end in ends)
        last = [name for end in ends for name in _weights(end)] if still else []
        factors = [name for name in (*branch.gammas, *branch.scales) if name in silent]
        if len(factors) + bool(last) > 1:
            pairs[(*last, *factors)] = None
    for operation in graph.operations:
        own = _weights(operation)
        if operation.kind in WEIGHTED and own and silent.issuperset(own):
            before = _behind(graph, operation, silent)
            if before:
                pairs[tuple(dict.fromkeys((*before, *own)))] = None
    for names in pairs:
        yield f"0 times 0: {' and '.join(names)} stand one behind the other, and none gets a gradient while all are 0."


def _weights(operation: Operation) -> tuple[str, ...]:
    return tuple(use.parameter for use in operation.uses if use.slot == "weight")


def _behind(graph: Analysis, operation: Operation, silent: set[str]) -> tuple[str, ...]:
    """The silent weights that alone make the input of a weight, 0 for any batch; none if anything else does."""
    found, stack, seen = list[str](), list(operation.inputs[:1]), set[int]()
    while stack:
        value = stack.pop()
        made = graph.producers.get(value)
        if made is None or any(use.parameter not in silent for use in made.uses if _counts(made, use)):
            return ()
        if made.index in seen:
            continue
        seen.add(made.index)
        if made.kind in WEIGHTED:
            found += _weights(made)
        elif made.inputs and (made.kind in TRANSPARENT or _keeps_zero(made)):
            stack += made.inputs
        else:
            return ()
    return tuple(found)


def _counts(made: Operation, use: Use) -> bool:
    """Whether a parameter may turn zeros into something else: all but the scale of what is passed."""
    return made.kind not in TRANSPARENT or use.slot not in ("norm_scale", "scale")


def _keeps_zero(made: Operation) -> bool:
    if made.kind != "pointwise" or made.function is None or len(made.inputs) != 1:
        return False
    return float(np.asarray(made.function(np.zeros(1)))[0]) == 0
