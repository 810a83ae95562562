"""Which parameters an operation uses, and the layout each one has there."""

from collections.abc import Callable
from typing import Any

import torch

from wellbegun.errors import LayoutError
from wellbegun.graph import Use
from wellbegun.graph.model import Kind, Slot
from wellbegun.layout import Layout
from wellbegun.torch.trace import aten, axes
from wellbegun.torch.trace.reparametrized import made_of
from wellbegun.torch.trace.values import tensors_in

Known = dict[int, Any]
Weighted = tuple[Kind, tuple[Use, ...]]


def weight_uses(func: Any, args: Any, known: Known, sections: dict[str, int]) -> Weighted | None:
    """(kind, uses) if a parameter is the weight of a product, convolution or lookup here; None otherwise."""
    name = aten.name_of(func)
    if name in aten.PRODUCTS:
        return _product(name, args, known, sections)
    if name in aten.CONVOLUTIONS:
        return _convolution(args, known)
    if name == "_trilinear" and (weight := _derived(args[1], known)) is not None:
        return "linear", _weight(weight, "oii", sections)  # nn.Bilinear: x1' W x2 sums over both inputs
    if name in aten.LOOKUPS:
        table, padding = aten.LOOKUPS[name]
        row = args[padding] if padding is not None and len(args) > padding else -1
        return _lookup(args[table], known, (0,), row)
    if name in aten.PICKS:
        return _lookup(args[0], known, _indexed(name, args))
    return None


def _indexed(name: str, args: Any) -> tuple[int, ...]:
    """Axes that `index` or `index_select` picks along."""
    if name == "index_select":
        return (args[1] % max(args[0].ndim, 1),)
    return tuple(axis for axis, index in enumerate(args[1]) if index is not None)


def index_of(func: Any, args: Any) -> tuple[int, int] | None:
    """(axis, rank of the index) of an operation that picks slices along one axis by a tensor of integers."""
    name = aten.name_of(func)
    if name == "embedding":
        return 0, max(args[1].ndim, 2)  # looked up by a layer: rows, whatever the shape of the index
    if name not in aten.PICKS:
        return None
    along = _indexed(name, args)
    index = args[2] if name == "index_select" else args[1][along[0]] if len(along) == 1 else None
    return None if index is None or index.dtype in (torch.bool, torch.uint8) else (along[0], index.ndim)


def _derived(tensor: Any, known: Known) -> axes.Derived | None:
    found = known.get(id(tensor)) if isinstance(tensor, torch.Tensor) else None
    return found if isinstance(found, axes.Derived) else None


def _product(name: str, args: Any, known: Known, sections: dict[str, int]) -> Weighted | None:
    first, second, bias = aten.PRODUCTS[name]
    left, right = _derived(args[first], known), _derived(args[second], known)
    if (left is None) == (right is None):
        return None
    batch = "e" if args[second].ndim == 3 and (name in aten.GROUPED or args[first].ndim == 3) else ""
    if right is not None:
        weight, roles = right, batch + "io"[: args[second].ndim - len(batch)]
    else:
        assert left is not None
        weight, roles = left, batch + "oi"[-(args[first].ndim - len(batch)) :]
    uses = _weight(weight, roles, sections)
    if bias is not None and len(args) > bias and (added := _derived(args[bias], known)) is not None:
        uses += tuple(Use(parameter, "bias") for parameter in sorted(added.names))
    return "linear", uses


def _weight(weight: axes.Derived, roles: str, sections: dict[str, int], **options: Any) -> tuple[Use, ...]:
    found = axes.letters(weight, roles)
    try:
        layout = None if found is None else Layout(found, sections=sections.get(weight.name or ""), **options)
    except LayoutError:
        layout = None  # the letters contradict: the parameter needs a rule, and the plan says so
    made = made_of(weight, roles)
    slot: Slot = "weight" if weight.exact or made is not None else "derived"
    return tuple(
        Use(name, slot, layout, exact=weight.exact, made=made, copied=weight.copied) for name in sorted(weight.names)
    )


def _convolution(args: Any, known: Known) -> Weighted | None:
    weight, bias = _derived(args[1], known), _derived(args[2], known)
    if weight is None:
        return None
    stride, transposed, groups = args[3], bool(args[6]), int(args[8])
    window = args[1].ndim - 2
    strides = tuple(stride) if len(stride) == window else tuple(stride) * window
    roles = ("io" if transposed else "oi") + "k" * window
    uses = _weight(weight, roles, {}, groups=groups, stride=strides, transposed=transposed)
    if bias is not None:
        uses += tuple(Use(parameter, "bias") for parameter in sorted(bias.names))
    return ("conv_transpose" if transposed else "conv"), uses


def _lookup(table: Any, known: Known, indexed: tuple[int, ...], padding: int = -1) -> Weighted | None:
    weight = _derived(table, known)
    if weight is None:
        return None
    roles = "".join("l" if axis in indexed else "o" for axis in range(table.ndim))
    found = axes.letters(weight, roles) if len(indexed) == 1 else None
    made = made_of(weight, roles)
    if not weight.exact and (made is None or found is None):
        return "lookup", tuple(Use(parameter, "derived") for parameter in sorted(weight.names))
    rows = (int(padding),) if padding >= 0 and made is None else ()
    options: Any = {"zero_rows": rows, "exact": weight.exact, "made": made}
    return "lookup", tuple(
        Use(name, "table", Layout(found) if found else None, **options) for name in sorted(weight.names)
    )


def other_uses(name: str, args: Any, known: Known, kind: Kind) -> tuple[Use, ...]:
    """Parameters that enter other than as the weight of a product."""
    if name in aten.NORMS:
        return _norm_uses(aten.NORMS[name], args, known)
    slot: Slot = _SLOTS.get(kind, "opaque")
    if name in aten.DISTANCES:
        slot = "centre"
    elif name == "_prelu_kernel":
        slot = "negative_slope"
    elif name in aten.PRODUCTS:
        slot = "shift"  # a bias added to a product of two values
    elif kind in ("gate", "add", "norm") or name in aten.BOUNDS:
        slot = "scale"
    shifted = _derived(args[0], known) if name.startswith(("addcmul", "addcdiv")) else None
    found = [derived for derived in known.values() if isinstance(derived, axes.Derived)]
    return tuple(
        Use(name, "shift" if derived is shifted else slot, exact=derived.exact, made=made_of(derived, ""))
        for derived in found
        for name in sorted(derived.names)
    )


_SLOTS: dict[Kind, Slot] = {
    "shift": "shift",
    "scale": "scale",
    "concat": "token",
    "move": "token",
    "attention": "shift",
}


_NORM_SLOTS: tuple[Slot, Slot] = ("norm_scale", "norm_shift")


def _norm_uses(slots: tuple[int | None, int | None], args: Any, known: Known) -> tuple[Use, ...]:
    """Scale and shift of a normalization."""
    found, own = [], list[tuple[int | None, Slot]](zip(slots, _NORM_SLOTS, strict=True))
    for position, slot in own:
        derived = _derived(args[position], known) if position is not None and len(args) > position else None
        if derived:
            made = made_of(derived, "")
            found += [Use(parameter, slot, exact=derived.exact, made=made) for parameter in sorted(derived.names)]
    return tuple(found)


_MATRICES: list[Slot] = ["recurrent_input", "recurrent_hidden"]
_BIASES: list[Slot] = ["recurrent_bias_input", "recurrent_bias_hidden"]


_TOKEN: Slot = "token"
_PROJECTION: Slot = "recurrent_projection"


def recurrent_uses(name: str, args: Any, gates: int, of: Callable[[torch.Tensor], Any]) -> tuple[Use, ...]:
    """Weights of a recurrent layer or cell, whose argument order is fixed by torch."""
    if name.endswith("_cell"):
        slots = [*_MATRICES, *_BIASES]
        pairs = [(tensor, slot) for tensor, slot in zip(args[2:6], slots, strict=False) if tensor is not None]
        states = args[1]
    else:
        pairs = _layers(args)
        states = args[2] if isinstance(args[1], torch.Tensor) and isinstance(args[3], (list, tuple)) else args[1]
    pairs += [(state, _TOKEN) for state in tensors_in(states)]  # a first state may be learned
    found = []
    for tensor, slot in pairs:
        known = of(tensor)
        if isinstance(known, axes.Derived) and slot == "token":
            found += [Use(parameter, slot) for parameter in sorted(known.names)]
        elif isinstance(known, axes.Derived):
            layout = Layout("oi"[: tensor.ndim], sections=gates if slot != "recurrent_projection" else None)
            own: Slot = slot if known.exact else "derived"
            found += [Use(parameter, own, layout, gates) for parameter in sorted(known.names)]
    return tuple(found)


def _layers(args: Any) -> list[tuple[torch.Tensor, Slot]]:
    """(input, [batch sizes,] state, weights, has_biases, layers, dropout, train, bidirectional, ...)"""
    packed = isinstance(args[1], torch.Tensor) and isinstance(args[3], (list, tuple))
    position = 3 if packed else 2
    weights, biases, layers, both = args[position], args[position + 1], args[position + 2], args[position + 5]
    each = len(weights) // (layers * (2 if both else 1))
    slots = _MATRICES + _BIASES * bool(biases)
    slots += [_PROJECTION] * (each - len(slots))
    return [(tensor, slots[i % each]) for i, tensor in enumerate(weights)]
