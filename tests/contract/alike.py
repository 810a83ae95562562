"""What is compared of one model in two frameworks: graphs and roles, entries of plans, bits, and numbers of health."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from wellbegun.graph import ModelGraph, Role
from wellbegun.layout import Layout
from wellbegun.planning import Entry, Plan


def letters(layout: Layout | None) -> Any:
    """A layout up to the order of its axes; outputs of several axes (heads) count as one."""
    if layout is None:
        return None
    window = "k" * layout.axes.count("k")
    return "".join(sorted(set(layout.axes) - {"k"})) + window, layout.groups, layout.stride, layout.sections


def weighted(graph: ModelGraph) -> Any:
    """Weighted operations in order, and biases, which are added in the same operation or behind it."""
    kinds, biases = ("linear", "conv", "conv_transpose", "lookup"), ("bias", "shift", "norm_shift")
    known = [
        (o.kind, o.scope, [(u.parameter, u.slot, letters(u.layout), u.exact) for u in o.uses if u.slot not in biases])
        for o in graph.operations
        if o.kind in kinds
    ]
    return known, sorted(use.parameter for _, use in graph.uses() if use.slot in biases)


def told(role: Role) -> Any:
    beside = role.beside and role.beside.parameter.name
    branch = role.branch and (role.branch.index, role.branch.count, role.branch.stream, role.branch.norm)
    met = role.met and (role.met.name, role.met.through_add)
    known = role.role, letters(role.layout), role.depth, role.block, role.head_width, role.ends_branch, role.unit
    return known, beside, branch, met, role.also, role.shared_readout, role.on_table, role.stack


def plain(entry: Entry, texts: bool) -> dict[str, Any]:
    found = {f.name: getattr(entry, f.name) for f in fields(entry)}
    for name in ("shape", "owner", *(() if texts else ("place", "meets", "reason"))):
        del found[name]
    return found | {"layout": letters(entry.layout), "law": re.sub(r"row_axes=\d", "", repr(entry.law))}


def digests_of(values: Mapping[str, np.ndarray], plan: Plan) -> dict[str, str]:
    found = {}
    for name, array in values.items():
        layout = plan[name].layout
        order = layout.canonical if layout is not None else tuple(range(array.ndim))
        found[name] = hashlib.sha256(np.ascontiguousarray(array.transpose(order)).tobytes()).hexdigest()
    return found


def differences(one: Any, other: Any, path: str, skipped: set[str]) -> Iterator[str]:
    if isinstance(one, dict):
        for key in one.keys() - skipped:
            yield from differences(one[key], other[key], f"{path}.{key}", skipped)
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            yield f"{path}: {len(one)} and {len(other)}"
        for position, pair in enumerate(zip(one, other, strict=False)):
            yield from differences(*pair, f"{path}[{position}]", skipped)
    elif isinstance(one, float) and isinstance(other, float):
        if not math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) and not (math.isnan(one) and math.isnan(other)):
            yield f"{path}: {one} and {other}"
    elif one != other:
        yield f"{path}: {one!r} and {other!r}"
