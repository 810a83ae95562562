"""Residual streams without normalization whose units can come in mirrored pairs: who writes them, and who reads them.

If every weight that adds to a stream gives pairs of opposite sign, pairs stay pairs through sums and through any
function of one unit, and whoever reads their differences sees an odd function of the input, without a mean.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from wellbegun.graph.follow import is_linear
from wellbegun.graph.function import Function
from wellbegun.graph.model import ModelGraph, Operation
from wellbegun.graph.pairs import size_of, used_once, weight_name
from wellbegun.graph.residual import Branch, plain

_MATRICES = frozenset({"linear", "conv", "conv_transpose"})
_THROUGH = frozenset({"move", "pool", "mean"})  # treat all units alike


@dataclass
class Bundle:
    """One stream: `sources` write it; `readers` see it through the function named here (None: as it is)."""

    sources: list[str] = field(default_factory=list)
    readers: dict[str, Function | None] = field(default_factory=dict)
    averaged: set[str] = field(default_factory=set)  # readers that see means over positions only
    bends: list[Function] = field(default_factory=list)  # functions that the stream itself passes between its sums


def bundles_of(graph: ModelGraph, branches: tuple[Branch, ...]) -> tuple[Bundle, ...]:
    """Every stream that fits: sizes are even, weights are plain ones used once, and nothing else writes or reads it."""
    used, found, seen = used_once(graph), [], set()
    for branch in branches:
        if branch.stream in seen or branch.norm != "none":
            continue
        seen.add(branch.stream)
        bundle = _Walk(graph).bundle(graph.operations[branch.add].outputs[0])
        if bundle is not None and _fits(graph, bundle, used):
            found.append(bundle)
    return tuple(found)


def _fits(graph: ModelGraph, bundle: Bundle, used: frozenset[str]) -> bool:
    if not bundle.readers or not used.issuperset([*bundle.sources, *bundle.readers]):
        return False
    units = {size_of(graph, name, "o") for name in bundle.sources}
    inputs = {size_of(graph, name, "i") for name in bundle.readers}
    size = next(iter(units))
    even = len(units) == 1 and size is not None and size % 2 == 0
    return even and all(given is not None and size is not None and given % size == 0 for given in inputs)


class _Walk:
    """Everything that is connected to a value through sums and functions of one unit."""

    def __init__(self, graph: ModelGraph) -> None:
        self.graph, self.found = graph, Bundle()
        self.made: set[int] = set()  # values whose maker was looked at
        self.read: set[tuple[int, bool, int | None]] = set()

    def bundle(self, value: int) -> Bundle | None:
        """All of it; None if something is in it that makes no pairs."""
        back: list[int] = [value]
        forward: list[tuple[int, bool, int | None]] = [(value, False, None)]
        while back or forward:
            fits = self._backward(back.pop(), back, forward) if back else self._forward(*forward.pop(), back, forward)
            if not fits:
                return None
        return self.found

    def _backward(self, value: int, back: list[int], forward: list[tuple[int, bool, int | None]]) -> bool:
        """What made a value of the stream."""
        if value in self.made:
            return True
        self.made.add(value)
        forward.append((value, False, None))
        maker = self.graph.producers.get(value)
        if maker is None:
            return False
        if maker.kind in _MATRICES and len(maker.inputs) == 1 and (name := weight_name(maker)) is not None:
            self.found.sources.append(name)
            return True
        if maker.kind == "pointwise" and maker.function is not None and self._bends(maker):
            self.found.bends.append(maker.function)
        if maker.kind in ("add", "move", "pool", "pointwise") or self._neutral(maker):
            back.extend(maker.inputs)
            return bool(maker.inputs) and (maker.kind != "move" or not maker.uses)
        return False

    def _forward(
        self,
        value: int,
        mean: bool,
        step: int | None,
        back: list[int],
        forward: list[tuple[int, bool, int | None]],
    ) -> bool:
        """What reads a value of the stream. `step`: the last function on the way."""
        if (value, mean, step) in self.read:
            return True
        self.read.add((value, mean, step))
        if value in self.graph.outputs:
            return False
        for reader in self.graph.consumers.get(value, ()):
            name = weight_name(reader) if reader.kind in _MATRICES and len(reader.inputs) == 1 else None
            if name is not None:
                self.found.readers[name] = None if step is None else self.graph.operations[step].function
                if mean:
                    self.found.averaged.add(name)
            elif reader.kind == "add":
                back.extend(reader.inputs)
                forward.append((reader.outputs[0], mean, None))
            elif reader.kind == "pointwise":
                forward.append((reader.outputs[0], mean, reader.index))
            elif (reader.kind in _THROUGH and not reader.uses) or self._neutral(reader):
                forward += [(output, mean or reader.kind == "mean", step) for output in reader.outputs]
            else:
                return False
        return True

    def _bends(self, step: Operation) -> bool:
        """Whether a function stands between one sum and the next."""
        before = None if step.root is None else self.graph.producers.get(plain(self.graph, step.root))
        return before is not None and before.kind == "add" and not is_linear(self.graph, step)

    def _neutral(self, operation: Operation) -> bool:
        """A single number that multiplies everything, or a bias, which starts at 0."""
        if operation.kind not in ("scale", "shift") or not operation.uses or len(operation.inputs) != 1:
            return False
        sizes = [math.prod(self.graph.shape_of(use)) for use in operation.uses]
        return max(sizes) == 1 or all(use.slot == "bias" for use in operation.uses)


def sources_and_readers(bundles: tuple[Bundle, ...]) -> tuple[frozenset[str], Mapping[str, Function | None]]:
    """Weights whose outputs come in pairs, and weights that read differences of pairs, with the function before."""
    sources = frozenset(name for bundle in bundles for name in bundle.sources)
    readers = {
        name: function for bundle in bundles for name, function in bundle.readers.items() if name not in bundle.averaged
    }
    return sources, readers
