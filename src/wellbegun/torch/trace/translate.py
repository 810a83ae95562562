"""A call of an ATen operation -> the fact that the builder is told."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any, cast

import torch

from wellbegun.graph import facts
from wellbegun.graph.function import Function, Number, Root, Scalar, call
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import Entries, Reduction, Slot
from wellbegun.torch.compat import FakeTensor, beneath_modes
from wellbegun.torch.trace import aten
from wellbegun.torch.trace.functions import Arguments, arguments_of, array_tree, asked, tree_of
from wellbegun.torch.trace.tensors import number_of, tensors_in

Tensors = Sequence[torch.Tensor]


def fact_of(func: Any, args: Any, kwargs: Any, tensors: Tensors) -> facts.Fact:
    """What a call does. `tensors` are its operands, in order."""
    name = aten.name_of(func)
    if aten.is_pointwise(func) or name == "copy_":
        return _elementwise(func, args, kwargs)
    if name in aten.PRODUCTS:
        return _product(name, args, tensors)
    if name in aten.CONVOLUTIONS:
        return _convolution(args)
    if name == "_trilinear":
        return facts.Contraction(("ni", "oij", "nj"), "no")  # nn.Bilinear: x1' W x2 sums over both inputs
    if name in aten.LOOKUPS or name in aten.PICKS:
        return _gather(name, args)
    if name in aten.NORMS:
        weight, bias, over, centred = aten.NORMS[name]
        axis = args[0].ndim - 1 if over == "units" else 1
        return facts.Norm(over, centred, axis, _place(args, weight, tensors), _place(args, bias, tensors))
    if name in aten.SOFTMAX:
        axis = args[2] if name == "_masked_softmax" else args[1]
        return facts.Softmax(
            args[0].ndim - 1 if axis is None else int(axis) % max(args[0].ndim, 1), name == "_log_softmax"
        )
    if name.startswith(aten.ATTENTIONS):
        width, scale = int(args[0].shape[-1]), kwargs.get("scale")
        return facts.Attention(width, float(width**-0.5 if scale is None else scale) if width else 1.0)
    if name in ("transpose", "t", "permute") and args[0].ndim:
        return _permuted(name, args[0].ndim, *_order(args))
    fact = _constant(func)
    if isinstance(fact, facts.Split):
        return replace(fact, axis=_along(args, 1 if name == "unbind" else 2))
    return _cut(fact, args) if name in ("slice", "select") and isinstance(fact, facts.Move) else fact


@cache
def _constant(func: Any) -> facts.Fact:
    """Of an operation whose arguments do not matter."""
    name = aten.name_of(func)
    reduction, selects = aten.REDUCTIONS.get(name, ""), aten.SELECTIONS.get(name, "")
    if name in aten.SCATTERED_SUMS:
        return facts.Scatter()
    if name in aten.STATISTICS:
        return facts.Reduce(reduction, selects=selects)
    if name in aten.SCANS | aten.LOSSES | aten.DISTANCES:
        return facts.Reduce(reduction, statistic=False, centre=name in aten.DISTANCES)
    if name in aten.CONCATS:
        return facts.Concat()
    if name in aten.SPLITS:
        return facts.Split(aten.is_view(func))
    if name.startswith(aten.POOLS):
        return facts.Pool()
    if aten.moves(func):
        entries = cast(Entries, aten.ENTRIES.get(name, "picked"))
        pairs = name == "view_as_complex"
        return facts.Move(entries, aten.is_view(func), selects=selects, reshapes=name in aten.RESHAPES, pairs=pairs)
    return facts.Opaque(reduction, selects)


def _place(args: Any, position: int | None, tensors: Tensors) -> int | None:
    """Which operand an argument is."""
    given = args[position] if position is not None and len(args) > position else None
    for place, tensor in enumerate(tensors):
        if tensor is given:
            return place
    return None


def _elementwise(func: Any, args: Any, kwargs: Any) -> facts.Elementwise:
    arguments = arguments_of(args, kwargs)
    try:
        fact = _listed(func, arguments)
    except TypeError:  # an argument that cannot be told from others
        fact = None
    if fact is None:
        return _combined(func, asked(func, args, kwargs), arguments)
    if fact.slope is None:
        return fact
    return replace(fact, function=fact.function.substitute({"1": Number(_slope(args[1]))}))


@lru_cache(4096)
def _listed(func: Any, arguments: Arguments) -> facts.Elementwise | None:
    """Layers repeat: the same call is the same fact."""
    function = Root("0") if aten.name_of(func) == "copy_" else tree_of(aten.name_of(func), arguments)
    return None if function is None else _combined(func, function, arguments)


def _combined(func: Any, function: Function, arguments: Arguments) -> facts.Elementwise:
    name, given = aten.name_of(func), arguments[0]
    mask = _operand(given[aten.MASKED[name]]) if name in aten.MASKED else None
    added = _operand(given[0]) if name.startswith(("addcmul", "addcdiv")) else None
    slope = _operand(given[1]) if name == "_prelu_kernel" else None
    entries = cast(Entries, aten.ENTRIES.get(name, ""))
    combines, arithmetic = aten.COMBINES.get(name, ""), aten.ARITHMETIC.get(name, "")
    return facts.Elementwise(function, combines, arithmetic, mask, added, slope, entries)


def _operand(node: Any) -> int | None:
    return int(node.name) if isinstance(node, Root) else None


def _slope(weight: torch.Tensor) -> float:
    """Mean slope of a PReLU, or torch's initial one where the values do not exist yet."""
    if weight.is_meta or isinstance(weight, FakeTensor):
        return 0.25
    with beneath_modes():
        return float(weight.detach().double().mean())


def _product(name: str, args: Any, tensors: Tensors) -> facts.Contraction:
    first, second, added = aten.PRODUCTS[name]
    left, right = args[first], args[second]
    places = (_place(args, first, tensors) or 0, _place(args, second, tensors) or 0)
    labels, output = facts.letters(left.ndim, right.ndim)
    return facts.Contraction(labels, output, places, _place(args, added, tensors))


def _convolution(args: Any) -> facts.Convolution:
    stride, transposed, groups = args[3], bool(args[6]), int(args[8])
    window = args[1].ndim - 2
    strides = tuple(stride) if len(stride) == window else tuple(stride) * window
    return facts.Convolution(("io" if transposed else "oi") + "k" * window, 1, strides, groups, transposed)


def _gather(name: str, args: Any) -> facts.Gather:
    if name in aten.LOOKUPS:
        padding = aten.LOOKUPS[name]
        row = args[padding] if len(args) > padding else -1
        if name == "embedding":
            return facts.Gather((0,), args[1].ndim, layer=True, padding=int(row))
        how: Reduction = ("sum", "mean", "extremum")[args[4] if len(args) > 4 else 0]
        width = -(-args[1].numel() // max(args[2].numel(), 1))
        return facts.Gather((0,), layer=True, padding=int(row), reduction=how, width=width)
    if name == "index_select":
        return facts.Gather((args[1] % max(args[0].ndim, 1),), args[2].ndim)
    along = tuple(axis for axis, index in enumerate(args[1]) if index is not None)
    index = args[1][along[0]] if len(along) == 1 else None
    if index is None or index.dtype in (torch.bool, torch.uint8):
        return facts.Gather(along)
    return facts.Gather(along, index.ndim)


def _along(args: Any, position: int) -> int:
    """The axis that is an argument; the first one if it is not given."""
    return int(args[position]) % max(args[0].ndim, 1) if len(args) > position else 0


def _cut(fact: facts.Move, args: Any) -> facts.Move:
    """A range along an axis; or one entry, without the axis."""
    rank, axis, start = args[0].ndim, _along(args, 1), args[2] if len(args) > 2 and args[2] is not None else 0
    if len(args) > 4 and args[4] != 1:
        return fact
    size = int(args[0].shape[axis])
    first = min(max(start + size if start < 0 else start, 0), size)
    kept = [place for place in range(rank) if place != axis or fact.entries == "part"]
    starts = tuple(int(first) if place == axis else 0 for place in range(rank))
    return replace(fact, axes=tuple((place,) for place in kept), start=starts)


def _order(args: Any) -> tuple[int, ...]:
    return tuple(args[1]) if len(args) == 2 else tuple(args[1:])


@cache
def _permuted(name: str, rank: int, *axes: int) -> facts.Move:
    order = list(range(rank))
    if name == "permute":
        order = [axis % rank for axis in axes]
    else:
        one, two = axes if name == "transpose" else (0, -1)
        order[one], order[two] = order[two], order[one]
    return facts.Move("same", view=True, axes=tuple((axis,) for axis in order))


@lru_cache(4096)
def _moved(op: str, **options: Any) -> Function:
    """A move of one array: layers repeat."""
    return call(op, _ROOT, **options)


# ---------------------------------------------------------------------- parameters and constants
_ROOT = Root("0")


class Call:
    """One call on parameters and constants, of which the builder may ask how it computes."""

    def __init__(self, func: Any, args: Any, kwargs: Any, outputs: Tensors) -> None:
        self.func, self.args, self.kwargs, self.outputs = func, args, kwargs, outputs

    def number(self, position: int) -> Scalar | None:
        """The value of an output that has one."""
        return number_of(self.outputs[position])

    @inferred("how a value is computed", lambda *_: None)
    def function(self, position: int) -> Function | None:
        """How an output is computed."""
        name, root = aten.name_of(self.func), _ROOT
        shape = tuple(self.outputs[position].shape)
        if name in aten.RESHAPES and not name.startswith("as_strided"):
            return _moved("reshape", shape=shape)
        if name in ("transpose", "t", "permute"):
            moved = _permuted(name, self.args[0].ndim, *_order(self.args)) if self.args[0].ndim else None
            return root if moved is None else _moved("transpose", axes=tuple([a for (a,) in moved.axes or ()]))
        if name == "expand":
            return _moved("broadcast", shape=shape)
        if name in ("mm", "bmm", "mv", "dot", "matmul"):
            return call("matmul", root, Root("1"))
        if name in ("contiguous", "detach", "alias", "lift_fresh", "lift_fresh_copy"):
            return root
        if name == "select":
            axis, index = self.args[1] % self.args[0].ndim, self.args[2] % self.args[0].shape[self.args[1]]
            return call("reshape", call("slice", root, axis=axis, start=index, stop=index + 1, step=1), shape=shape)
        found = array_tree(name, self.args, self.kwargs) if position == 0 else None
        return asked(self.func, self.args, self.kwargs, position) if found is None else found


@inferred("how a value is made", lambda *_: None)
def created(func: Any, args: Any, kwargs: Any) -> Function | None:
    """What an operation makes of nothing: what it writes over does not matter."""
    found = asked(func, args, kwargs)
    if not tensors_in((args, list(kwargs.values()))):
        return found
    return found.substitute({"0": call("full", 0.0, shape=tuple(args[0].shape))})


# ---------------------------------------------------------------------- whole layers
_MATRICES: list[Slot] = ["recurrent_input", "recurrent_hidden"]
_BIASES: list[Slot] = ["recurrent_bias_input", "recurrent_bias_hidden"]
_PROJECTION: Slot = "recurrent_projection"


def recurrent(name: str, args: Any) -> tuple[facts.Recurrent, list[torch.Tensor]]:
    """A recurrent layer or cell, whose argument order is fixed by torch, and its operands."""
    slots: dict[int, Slot] = {}
    if name.endswith("_cell"):
        slots.update((id(t), slot) for t, slot in zip(args[2:6], [*_MATRICES, *_BIASES], strict=False) if t is not None)
        states = args[1]
    else:
        packed = isinstance(args[1], torch.Tensor) and isinstance(args[3], (list, tuple))
        slots.update(_layers(args, 3 if packed else 2))
        states = args[2] if packed else args[1]
    slots.update((id(state), "token") for state in tensors_in(states))  # a first state may be learned
    tensors = tensors_in(args)
    mode, gates = aten.RECURRENT[name]
    return facts.Recurrent(mode, gates, tuple(slots.get(id(tensor)) for tensor in tensors)), tensors


def _layers(args: Any, position: int) -> list[tuple[int, Slot]]:
    """(input, [batch sizes,] state, weights, has_biases, layers, dropout, train, bidirectional, ...)"""
    weights, biases, layers, both = args[position], args[position + 1], args[position + 2], args[position + 5]
    each = len(weights) // (layers * (2 if both else 1))
    slots = _MATRICES + _BIASES * bool(biases)
    slots += [_PROJECTION] * (each - len(slots))
    return [(id(tensor), slots[i % each]) for i, tensor in enumerate(weights)]
