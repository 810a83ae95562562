"""Weights that a recipe fills and that their output can be measured of, as a pass meets them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Handle, Session
from wellbegun.graph import Operation, Use
from wellbegun.graph.notes import some_of
from wellbegun.measure.samples import size_of, unit_axis
from wellbegun.planning import Entry, Plan

LAYERS = frozenset({"linear", "conv", "conv_transpose"})


class Layer(NamedTuple):
    """A weighted operation of a pass: its weight, and where its units are in what it gives."""

    entry: Entry
    use: Use
    axis: int
    bias: str | None  # a parameter that its output contains as a summand

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each matrix that is stacked in the weight."""
        layout = self.entry.layout
        if layout is None or not layout.sections or set("el") & {*layout.axes}:
            return (1,)
        return layout.section_sizes(self.entry.shape)

    @property
    def units(self) -> int:
        """Rows of the weight in canonical order; 0 where its first axes are no units."""
        layout, shape = self.entry.layout, self.entry.shape
        if layout is None or set("el") & {*layout.axes} or "o" not in layout.axes:
            return 0
        return layout.size(shape, "o")


class Layers:
    """Which weights the recipe decides about and scaling changes what they give; others are left, and said. `plain`:
    only those that the session can write."""

    def __init__(self, session: Session, plan: Plan, *, plain: bool = False) -> None:
        self.session, self.plain = session, plain
        self.entries = {entry.name: entry for entry in plan.entries if ours(entry)}
        self.left: dict[str, list[str]] = {}  # why -> names
        self.seen = set[str]()
        self.tables = set[str]()  # what was used as a table first

    def leave(self, name: str, why: str) -> None:
        """Remember that a weight is left as it is."""
        names = self.left.setdefault(why, [])
        if name not in names:
            names.append(name)

    def at(self, operation: Operation, output: Handle) -> Layer | None:
        """The layer that an operation is, if it is one that can be scaled."""
        self.tables |= {use.parameter for use in operation.uses if use.slot == "table"} - self.seen
        uses = [use for use in operation.uses if use.slot == "weight" and use.parameter in self.entries]
        if not uses or operation.kind not in LAYERS:
            return None
        use = next(filter(self._leads, uses), uses[0])
        name = use.parameter
        self.seen.add(name)
        if size_of(output) == 0:
            self.leave(name, "its output has no entries")
            return None
        if name in self.tables:
            self.leave(name, "it is a table too, which what comes before depends on")
            return None
        if not self._leads(use):
            self.leave(name, "its size is held, or it is computed in a way that its size does not lead")
            return None
        axis = unit_axis(operation.axis, output) % len(output.shape)
        bias = next((use.parameter for use in operation.uses if use.slot == "bias"), None)
        if bias is not None and self.session.parameter(bias).largest() == 0:
            bias = None
        if bias is not None and size_of(self.session.parameter(bias)) != output.shape[axis]:
            self.leave(name, "its bias does not lie along its units")
            return None
        return Layer(self.entries[name], use, axis, bias)

    def _leads(self, use: Use) -> bool:
        """Whether scaling the parameter scales what the operation gives."""
        if self.session.graph.parameters[use.parameter].bound:
            return False
        if self.plain and (use.computed is not None or use.parameter not in self.session.scalable):
            return False
        part = None if use.computed is None else use.computed.parts.get(use.parameter)
        return use.exact if use.computed is None else part is not None and part.leads

    def offset(self, layer: Layer, inputs: Iterable[Handle], output: Handle) -> int | None:
        """Which matrices of a stack an output comes from: the first of its units; None if it cannot be told."""
        count, layout, first = output.shape[layer.axis], layer.entry.layout, next(iter(inputs), None)
        if count == layer.units:
            return 0
        if (
            layout is None
            or not layout.sections
            or layout.axes != "oi"
            or layer.use.computed is not None
            or first is None
        ):
            return None
        x = first.part(*[slice(0, 1)] * (len(first.shape) - 1)).array().reshape(-1)
        y = output.part(*[slice(0, 1)] * (len(output.shape) - 1)).array().reshape(-1)
        whole = self.session.read(layer.entry.name).astype(np.float64) @ x
        parts = {start: whole[start : start + count] for start in np.cumsum((0, *layer.sizes)).tolist()}
        near = [at for at, part in parts.items() if len(part) == count and np.allclose(part, y, rtol=1e-2, atol=1e-4)]
        return near[0] if len(near) == 1 else None

    def noted(self, plan: Plan) -> Plan:
        """The plan, which says what was left and why."""
        told = f"{plan.recipe}: left as it was filled, because"
        notes = (f"{told} {why}: {some_of(names)}." for why, names in self.left.items())
        return replace(plan, notes=(*plan.notes, *notes))


def ours(entry: Entry) -> bool:
    """Whether the recipe fills it, and no rule of the user's."""
    return entry.action == "fill" and entry.decided_by.startswith("recipe")


def as_factors(found: Mapping[str, Array], sizes: Mapping[str, tuple[int, ...]]) -> dict[str, float | Array]:
    """For `Plan.scaled`: one number, or where the matrices of a stack differ, one for each unit."""
    alike = {name: bool((factors == factors[0]).all()) for name, factors in found.items()}
    return {
        name: float(factors[0]) if alike[name] else np.repeat(factors, sizes[name]) for name, factors in found.items()
    }
