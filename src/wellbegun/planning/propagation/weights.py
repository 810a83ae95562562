"""From a plan's laws to what an operation does with a signal."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wellbegun.graph import ModelGraph, Operation, Use
from wellbegun.laws import Computed, Given, RowSums
from wellbegun.planning.plan import Entry, Plan
from wellbegun.theory import Weight


class Unpredictable(Exception):  # noqa: N818 - no error: a reason, told in the table
    """Theory does not reach an operation; the argument says why."""


@dataclass(frozen=True)
class Affine:
    """A weight with its bias: `shift` is added to every input, a bias of this mean and variance to every output."""

    weight: Weight
    back: Weight  # as the gradient sees it
    shift: float = 0.0
    bias: tuple[float, float] = (0.0, 0.0)


class Laws:
    """The laws of a plan, found by parameter."""

    def __init__(self, plan: Plan) -> None:
        self._entries = {entry.name: entry for entry in plan.entries}

    def entry(self, name: str) -> Entry:
        """The entry that fills a parameter."""
        entry = self._entries.get(name)
        if entry is not None and entry.tied_to is not None:
            entry = self._entries.get(entry.tied_to)
        if entry is None or entry.law is None or entry.layout is None:
            raise Unpredictable(f"{name} is not filled by the plan")
        return entry

    def average(self, name: str) -> tuple[float, float]:
        """Mean and variance of one entry."""
        found = self.entry(name).moments()
        if found is None:
            raise Unpredictable(f"{name} has no values")
        return found.mean, found.variance


def affine_of(laws: Laws, operation: Operation, share: float = 1.0) -> Affine:
    """What a linear operation or convolution does. `share`: of its terms that are not padding."""
    if len(operation.inputs) != 1:
        raise Unpredictable("product of several values and a parameter")
    uses = {use.slot: use for use in operation.uses}
    use = uses.get("weight")
    if use is None or use.layout is None or use.computed is not None or len(operation.uses) > 1 + ("bias" in uses):
        raise Unpredictable("its weight is computed from parameters")
    if "e" in use.layout.axes:
        raise Unpredictable("experts: the batch decides which")
    entry = laws.entry(use.parameter)
    assert entry.law is not None
    assert entry.layout is not None
    if isinstance(entry.law, Computed):
        raise Unpredictable("its weight is a formula, and theory speaks of random ones")
    mean, variance = laws.average(use.parameter)
    if len({piece.law for piece in entry.law.pieces if piece.stream is not None}) > 1:
        raise Unpredictable("its sections have different laws")
    fans = entry.layout.section_fans(entry.shape)[0]
    (outs, ins), joint = entry.law.mirrored, entry.law.dense
    second = variance + mean**2
    forward = Weight(share * fans.fan_in, second, mean, outs, ins, joint)
    fan_out = fans.fan_out * len(entry.layout.section_sizes(entry.shape))
    back = Weight(share * fan_out, second, mean, ins, outs, joint)
    shift, bias = _bias(laws, uses.get("bias"), use.parameter)
    return Affine(forward, back, shift, bias)


def _bias(laws: Laws, use: Use | None, weight: str) -> tuple[float, tuple[float, float]]:
    """(what it amounts to on every input, mean and variance of what it is beside that)"""
    if use is None:
        return 0.0, (0.0, 0.0)
    law = laws.entry(use.parameter).law
    if isinstance(law, RowSums):
        if law.stream != weight:
            raise Unpredictable("its bias follows from another weight")
        return law.factor, (0.0, 0.0)
    if isinstance(law, Given):
        raise Unpredictable("its bias was measured on a batch")
    return 0.0, laws.average(use.parameter)


def inside(source: tuple[int, ...], output: tuple[int, ...], entry: Entry) -> float:
    """Share of a convolution's terms that are no zeros of a padding, counted from shapes (no dilation)."""
    assert entry.layout is not None
    if entry.layout.axes.count("k") != len(source) - 2:
        raise Unpredictable("a convolution whose weight has other axes than it has windows")
    windows = entry.layout.canonical_shape(entry.shape)[2 - len(source) :]
    stride = entry.layout.stride
    strides = (stride,) * len(windows) if isinstance(stride, int) else stride
    share = 1.0
    for size, made, window, step in zip(
        source[-len(windows) :], output[-len(windows) :], windows, strides, strict=True
    ):
        padding = max(-(-((made - 1) * step + window - size) // 2), 0)
        starts = [index * step - padding for index in range(made)]
        taps = sum(max(min(start + window, size) - max(start, 0), 0) for start in starts)
        share *= taps / max(made * window, 1)
    return share


def origins(graph: ModelGraph) -> Callable[[int], frozenset[int]]:
    """Value -> the weights (and tables) it comes from last: sums of values that share none are of independent signs."""
    found: dict[int, frozenset[int]] = {}
    for operation in graph.operations:
        own = operation.kind in ("linear", "conv", "conv_transpose", "lookup", "recurrent", "attention", "matmul")
        behind: frozenset[int] = frozenset().union(*(found.get(value, frozenset()) for value in operation.inputs))
        found.update(dict.fromkeys(operation.outputs, frozenset((operation.index,)) if own else behind))
    return lambda value: found.get(value, frozenset())


def product(shape: tuple[int, ...]) -> int:
    """Number of entries."""
    return math.prod(shape)


Shapes = Mapping[int, tuple[int, ...]]
