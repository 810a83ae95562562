"""Which parameters an operation uses, in which slot, and the layout each one has there."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from wellbegun.errors import LayoutError
from wellbegun.graph import axes
from wellbegun.graph.axes import Derived, letters
from wellbegun.graph.facts import Array, Contraction, Convolution, Elementwise, Fact, Gather, Norm, Recurrent, Reduce
from wellbegun.graph.model import Kind, Slot, Use
from wellbegun.graph.provenance import Operand, derived_of
from wellbegun.graph.reparametrized import Reparametrization
from wellbegun.layout import Layout

Weighted = tuple[Kind, tuple[Use, ...]]
Sections = Mapping[str, int]  # weights that hold several matrices, told by a layer


def weight_uses(fact: Fact, operands: list[Operand], sections: Sections) -> Weighted | None:
    """(kind, uses) if a parameter is the weight of a product, convolution or lookup here; None otherwise."""
    if isinstance(fact, Contraction):
        return _product(fact, operands, sections)
    if isinstance(fact, Convolution):
        return _convolution(fact, operands)
    if isinstance(fact, Gather) and isinstance(operands[0].known, Derived):
        return "lookup", _table(fact, operands[0].known, operands[0].array.rank)
    return None


def _derived(operands: list[Operand], position: int | None) -> Derived | None:
    known = operands[position].known if position is not None and position < len(operands) else None
    return known if isinstance(known, Derived) else None


def _product(fact: Contraction, operands: list[Operand], sections: Sections) -> Weighted | None:
    factors = range(len(fact.labels))
    weights = [(factor, found) for factor in factors if (found := _derived(operands, fact.operand(factor)))]
    if len(weights) != 1:
        return None
    factor, weight = weights[0]
    uses = _weight(weight, operands[fact.operand(factor)].array, fact.roles(factor), sections)
    return "linear", uses + _added(_derived(operands, fact.bias))


def _convolution(fact: Convolution, operands: list[Operand]) -> Weighted | None:
    weight = _derived(operands, 1)
    if weight is None:
        return None
    options = {"groups": fact.groups, "stride": fact.stride, "transposed": fact.transposed}
    uses = _weight(weight, operands[1].array, fact.letters, {}, **options) + _added(_derived(operands, 2))
    return ("conv_transpose" if fact.transposed else "conv"), uses


def _added(bias: Derived | None) -> tuple[Use, ...]:
    return () if bias is None else tuple(Use(name, "bias", exact=bias.exact) for name in sorted(bias.names))


def _weight(weight: Derived, array: Array, roles: str, sections: Sections, **options: Any) -> tuple[Use, ...]:
    found = letters(weight, roles)
    reshaped = len(weight.names) > 1 and len(weight.shape) != array.rank  # since it was computed from several
    if (found is None or reshaped) and not weight.exact and weight.function is not None:
        weight = axes.computed([weight], array)._replace(function=weight.function)  # axes that came apart: its own
        found = letters(weight, roles)
    layout = None if found is None else _layout(found, sections=sections.get(weight.name or ""), **options)
    computed = computation_of(weight, roles)
    slot: Slot = "weight" if weight.exact or computed is not None else "derived"
    return tuple(
        Use(name, slot, layout, exact=weight.exact, computed=computed, copied=weight.copied)
        for name in sorted(weight.names)
    )


@cache
def _layout(found: str, **options: Any) -> Layout | None:
    """The layout of these letters; None if they contradict: the parameter needs a rule, and the plan says so."""
    windows, stride = found.count("k"), options.get("stride", ())
    if stride and len(stride) != windows:  # axes of the parameter are no windows, one by one: the first has all strides
        options["stride"] = (math.prod(stride), *(1,) * (windows - 1)) if windows else 1
    try:
        return Layout(found, **options)
    except LayoutError:
        return None


def _table(fact: Gather, weight: Derived, rank: int) -> tuple[Use, ...]:
    roles = "".join("l" if axis in fact.axes else "o" for axis in range(rank))
    found = letters(weight, roles) if len(fact.axes) == 1 else None
    computed = computation_of(weight, roles)
    if not weight.exact and (computed is None or found is None):
        return tuple(Use(name, "derived") for name in sorted(weight.names))
    rows = (fact.padding,) if fact.padding >= 0 and computed is None else ()
    use = Use("", "table", Layout(found) if found else None, zero_rows=rows, exact=weight.exact, computed=computed)
    return tuple(replace(use, parameter=name) for name in sorted(weight.names))


def computation_of(derived: Derived, roles: str) -> Reparametrization | None:
    """How an operand with these roles is made of parameters; None if nobody knows, or if it is a parameter itself."""
    if derived.exact or derived.function is None:
        return None
    outputs = tuple(axis for axis, role in enumerate(roles) if role == "o")
    return Reparametrization(derived.function.settled(), derived.shape, outputs)


# ---------------------------------------------------------------------- other than as the weight of a product
_SLOTS: dict[Kind, Slot] = {
    "shift": "shift", "scale": "scale", "concat": "token", "move": "token", "attention": "shift",
    "gate": "scale", "add": "scale", "norm": "scale",
}  # fmt: skip


def other_uses(fact: Fact, operands: list[Operand], kind: Kind) -> tuple[Use, ...]:
    """Parameters that enter other than as the weight of a product."""
    if isinstance(fact, Norm):
        scale, shift = _derived(operands, fact.weight), _derived(operands, fact.bias)
        return _as("norm_scale", scale) + _as("norm_shift", shift)
    slot: Slot = _SLOTS.get(kind, "opaque")
    added = None
    if isinstance(fact, Reduce) and fact.centre:
        slot = "centre"
    elif isinstance(fact, Contraction):
        slot = "shift"  # a bias added to a product of two values
    elif isinstance(fact, Elementwise):
        slot = "negative_slope" if fact.slope is not None else "scale" if fact.combines == "bound" else slot
        added = _derived(operands, fact.added)
    found = dict.fromkeys((id(one), one) for one in derived_of(operands))  # each once
    return tuple(use for _, one in found for use in _as("shift" if one is added else slot, one))


def _as(slot: Slot, derived: Derived | None) -> tuple[Use, ...]:
    if derived is None:
        return ()
    computed = computation_of(derived, "")
    return tuple(Use(name, slot, exact=derived.exact, computed=computed) for name in sorted(derived.names))


def recurrent_uses(fact: Recurrent, operands: list[Operand]) -> tuple[Use, ...]:
    """Weights of a recurrent layer or cell."""
    return tuple(
        use
        for operand, slot in zip(operands, fact.slots, strict=False)
        if slot is not None and isinstance(operand.known, Derived)
        for use in _recurrent(operand.known, slot, fact.letters.get(slot, "oi"[: operand.array.rank]), fact.gates)
    )


def _recurrent(known: Derived, slot: Slot, stored: str, gates: int) -> Iterable[Use]:
    if slot == "token":  # a first state may be learned
        return (Use(name, slot) for name in sorted(known.names))
    layout = Layout(stored, sections=gates if slot != "recurrent_projection" else None)
    computed = computation_of(known, stored)
    own: Slot = slot if known.exact or computed is not None else "derived"
    names = sorted(known.names)
    return (Use(name, own, layout, gates, exact=known.exact, computed=computed) for name in names)
