"""What parameters hold and what gradients they get, as plain numbers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch

from wellbegun.graph import WEIGHTED, ModelGraph, Role
from wellbegun.health import ParameterStats
from wellbegun.torch.tensors import Rows, finite, largest, norm, some_entries, twins

HALF_RANGE = 65504.0  # largest float16
_LEAST = 2.0**-24  # smallest float16 above zero
_FAR = 1e-4  # RMS of a gradient above which few of its entries are that small
_ENTRIES = 4096  # of a gradient that are looked at for underflow
_RANDOM = 16  # least entries of which it can be said that they look random
Gradients = Mapping[str, torch.Tensor | None]


def parameter_stats(
    graph: ModelGraph,
    roles: Mapping[str, Role],
    tensors: Mapping[str, torch.Tensor],
    gradients: Gradients,
    wanted: frozenset[int] | None,
) -> tuple[ParameterStats, ...]:
    """One for each parameter that stands for itself. `wanted`: the values a loss is taken of, if that can be told."""
    leading = None if wanted is None else _leading(graph, wanted)
    same = _equal_tensors(roles, tensors, gradients)
    found = []
    for name, role in roles.items():
        uses = [operation for operation, _ in graph.uses_of(name)]
        own = name in gradients  # not computed from others, and trained
        found.append(
            _parameter(
                role,
                tensors[name],
                gradients.get(name),
                trainable=own,
                used=bool(uses) or not own,
                reaches=None if leading is None else any(operation.index in leading for operation in uses),
                weighs=any(o.kind in WEIGHTED and u.slot != "bias" for o, u in graph.uses_of(name)),
                twin=same.get(name, ("", False)),
            )
        )
    return tuple(found)


def _parameter(
    role: Role, tensor: torch.Tensor, gradient: torch.Tensor | None, *, twin: tuple[str, bool], **facts: bool | None
) -> ParameterStats:
    units, distinct, locked = 0, 0, 0
    matrix = role.layout is not None and {"i", "o"} <= set(role.layout.axes) and role.is_weight
    if matrix and tensor.numel():
        rows = _units(tensor, role)
        units = len(rows)
        distinct, locked = twins(rows, None if gradient is None else _units(gradient, role))
    size, slope = norm(tensor.detach()), None if gradient is None else norm(gradient)
    root = math.sqrt(max(tensor.numel(), 1))
    return ParameterStats(
        role.parameter.name,
        role.role,
        size / root,
        finite(tensor, size),
        slope,
        gradient is None or slope is None or finite(gradient, slope),
        units,
        distinct,
        locked,
        role.ends_branch,
        gradient_rms=None if slope is None else slope / root,
        update=slope / size if slope is not None and size else None,
        largest=None if size < HALF_RANGE else largest(tensor.detach()),
        underflow=None if gradient is None or slope is None or slope > _FAR * root else _underflow(gradient),
        twin=twin[0],
        twin_beside=twin[1],
        **facts,  # type: ignore[arg-type]
    )


def _underflow(gradient: torch.Tensor) -> float | None:
    some = some_entries(gradient, _ENTRIES).abs().double().cpu().numpy()
    live = np.count_nonzero(some > 0)
    return (live - np.count_nonzero(some >= _LEAST)) / live if live else None


def _units(tensor: torch.Tensor, role: Role) -> Rows:
    """One row for each output unit, with everything that comes in."""
    assert role.layout is not None
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
def _equal_tensors(
    roles: Mapping[str, Role], tensors: Mapping[str, torch.Tensor], gradients: Gradients
) -> dict[str, tuple[str, bool]]:
    """Parameter -> an earlier one with the same random numbers, and whether the two will stay equal."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name in roles:
        tensor = tensors[name].detach()
        if tensor.numel() >= _RANDOM and not tensor.is_complex() and tensor.is_floating_point():
            key = tuple(some_entries(tensor, 8)[:8].tolist())
            if len(set(key)) > 2:  # no constant
                groups.setdefault((tuple(tensor.shape), key), []).append(name)
    found: dict[str, tuple[str, bool]] = {}
    for names in groups.values():
        for position, name in enumerate(names[1:], 1):
            for other in names[:position]:
                if torch.equal(tensors[name], tensors[other]) and _looks_random(tensors[name].detach()):
                    found[name] = other, _locked(gradients, name, other)
                    break
    return found


def _locked(gradients: Gradients, name: str, other: str) -> bool:
    """Whether two equal tensors will stay so, because they get the same gradient."""
    one, two = gradients.get(name), gradients.get(other)
    if one is None or two is None or not bool(one.any()):
        return False
    return bool(torch.equal(one, two))


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
