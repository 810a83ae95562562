"""What parameters hold and what gradients they get, as plain numbers."""

import math
from collections.abc import Iterable, Mapping

import torch

from wellbegun.graph import WEIGHTED, ModelGraph, Role
from wellbegun.health import ParameterStats
from wellbegun.torch.gradients import Gradients
from wellbegun.torch.tensors import Rows, different, finite, largest, norm, some_entries, twins

HALF_RANGE = 65504.0  # largest float16
_RANDOM = 16  # least entries of which it can be said that they look random


class Contents:
    """What the parameters of a model hold; found before the backward pass, which gives the rest."""

    def __init__(self, roles: Mapping[str, Role], tensors: Mapping[str, torch.Tensor]) -> None:
        self.roles, self.tensors = roles, tensors
        self.rows = {name: rows for name, role in roles.items() if (rows := _units(tensors[name], role)) is not None}
        self.different = {name: different(rows) for name, rows in self.rows.items()}
        self.equal = _equal_tensors(roles, tensors)

    @property
    def compared(self) -> frozenset[str]:
        """Parameters whose gradients tell whether what is equal stays so."""
        units = {name for name, rows in self.rows.items() if self.different[name] < len(rows)}
        return frozenset({*units, *self.equal, *self.equal.values()})

    def stats(
        self, graph: ModelGraph, gradients: Gradients, wanted: frozenset[int] | None
    ) -> tuple[ParameterStats, ...]:
        """One for each parameter that stands for itself. `wanted`: the values a loss is taken of, if that can be
        told."""
        leading = None if wanted is None else _leading(graph, wanted)
        found = []
        for name in self.roles:
            uses = [operation for operation, _ in graph.uses_of(name)]
            own = name in gradients.trained  # not computed from others, and trained
            facts = {
                "trainable": own,
                "used": bool(uses) or not own,
                "reaches": None if leading is None else any(operation.index in leading for operation in uses),
                "weighs": any(o.kind in WEIGHTED and u.slot != "bias" for o, u in graph.uses_of(name)),
            }
            found.append(self._parameter(name, gradients, facts))
        return tuple(found)

    def _parameter(self, name: str, gradients: Gradients, facts: dict[str, bool | None]) -> ParameterStats:
        role, tensor, gradient = self.roles[name], self.tensors[name], gradients.found.get(name)
        rows, distinct = self.rows.get(name), self.different.get(name, 0)
        units, locked = 0 if rows is None else len(rows), 0
        if rows is not None and distinct < units and gradient is not None and gradient.whole is not None:
            arrived = _units(gradient.whole, role)
            locked = 0 if arrived is None else twins(rows, arrived)
        size, slope = norm(tensor.detach()), None if gradient is None else gradient.size
        root = math.sqrt(max(tensor.numel(), 1))
        return ParameterStats(
            role.parameter.name,
            role.role,
            size / root,
            finite(tensor, size),
            slope,
            gradient is None or gradient.finite,
            units,
            distinct,
            locked,
            role.ends_branch,
            gradient_rms=None if slope is None else slope / root,
            update=slope / size if slope is not None and size else None,
            largest=None if size < HALF_RANGE else largest(tensor.detach()),
            underflow=None if gradient is None else gradient.underflow,
            twin=self.equal.get(name, ""),
            twin_beside=name in self.equal and _locked(gradients, name, self.equal[name]),
            **facts,  # type: ignore[arg-type]
        )


def _units(tensor: torch.Tensor, role: Role) -> Rows | None:
    """One row for each output unit, with everything that comes in; None for what has no units."""
    if role.layout is None or not {"i", "o"} <= set(role.layout.axes) or not role.is_weight or not tensor.numel():
        return None
    outputs = sum(role.layout.axes.count(letter) for letter in "eo")
    return Rows(tensor.detach().permute(role.layout.canonical), outputs)


def _leading(graph: ModelGraph, wanted: Iterable[int]) -> frozenset[int]:
    """Operations on which these values depend."""
    needed, found = set(wanted), set()
    for operation in reversed(graph.operations):
        if needed.intersection(operation.outputs):
            found.add(operation.index)
            needed.update(operation.inputs)
    return frozenset(found)


# ---------------------------------------------------------------------- equal tensors
def _equal_tensors(roles: Mapping[str, Role], tensors: Mapping[str, torch.Tensor]) -> dict[str, str]:
    """Parameter -> an earlier one with the same random numbers."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in roles:
        tensor = tensors[name].detach()
        if tensor.numel() >= _RANDOM and not tensor.is_complex() and tensor.is_floating_point():
            key = tuple(some_entries(tensor, 8)[:8].tolist())
            if len(set(key)) > 2:  # no constant
                groups.setdefault((tuple(tensor.shape), key), []).append(name)
    found: dict[str, str] = {}
    for names in groups.values():
        for position, name in enumerate(names[1:], 1):
            for other in names[:position]:
                if torch.equal(tensors[name], tensors[other]) and _looks_random(tensors[name].detach()):
                    found[name] = other
                    break
    return found


def _locked(gradients: Gradients, name: str, other: str) -> bool:
    """Whether two equal tensors will stay so, because they get the same gradient."""
    one, two = (gradients.found.get(each) for each in (name, other))
    if one is None or two is None or one.whole is None or two.whole is None or not one.size:
        return False
    return bool(torch.equal(one.whole, two.whole))


def _looks_random(tensor: torch.Tensor) -> bool:
    """Many different numbers, in no order: constants, ramps, tables of sines and identities are equal on purpose."""
    some = tensor.reshape(-1)[:4096].double()
    if len(torch.unique(some)) < 0.5 * len(some) or not bool(torch.isfinite(some).all()):
        return False
    lines = [some] if tensor.ndim < 2 else [some, tensor.reshape(len(tensor), -1)[:, 0].double()]
    return all(_unordered(line) for line in lines)


def _unordered(line: torch.Tensor) -> bool:
    """Whether it turns as often as random numbers do, to five standard errors."""
    n = len(line)
    steps = line.diff()
    turns = int((steps[1:] * steps[:-1] < 0).sum())
    return n < _RANDOM or abs(turns - 2 * (n - 2) / 3) < 5 * math.sqrt((16 * n - 29) / 90)
