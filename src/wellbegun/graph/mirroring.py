"""Units in mirrored pairs whose difference the next layers see ("looks linear"): layers and streams that can have them.

A layer can give mirrored units if a single nonlinearity acts on each of them alone and everything that reads the result
is linear in it and can take the signs. If every weight that adds to a residual stream without normalization gives pairs
of opposite sign, pairs stay pairs through sums and through any function of one unit, and whoever reads their
differences sees an odd function of the input, without a mean.
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.function import Function
from wellbegun.graph.inference import inferred
from wellbegun.graph.meetings import escapes
from wellbegun.graph.model import ModelGraph, Operation
from wellbegun.graph.residual import Branch

_MATRICES = frozenset({"linear", "conv", "conv_transpose"})
_ORDERLY = frozenset({"move", "scale", "pool", "norm", "mean"})  # keep units apart, or treat them all alike


@dataclass(frozen=True)
class Layer:
    """One weight with what it feeds: `function` of its output, read by `readers` and by nothing else."""

    name: str
    operation: int
    function: Function
    readers: tuple[str, ...]
    averaged: frozenset[str] = frozenset()  # readers that see means over positions only


@inferred("which layers feed which through one function", lambda *_: {})
def layers_of(graph: Analysis) -> Mapping[str, Layer]:
    """Weights followed by exactly one nonlinearity, whose result only weights read."""
    found = {}
    used = used_once(graph)
    for operation in graph.operations:
        name = weight_name(operation)
        if operation.kind not in _MATRICES or name is None or name not in used:
            continue
        step = _single_function(graph, operation.outputs[0])
        if step is None or step.function is None:
            continue
        readers = _readers(graph, step.outputs[0])
        if readers and all(reader in used for reader in readers):
            averaged = frozenset(reader for reader, through in readers.items() if through)
            found[name] = Layer(name, operation.index, step.function, tuple(readers), averaged)
    return found


@inferred("which layers can be mirrored", lambda *_: False)
def can_mirror(graph: ModelGraph, layer: Layer) -> bool:
    """Whether the sizes fit: an even number of units, and readers whose inputs are those units in order."""
    units = size_of(graph, layer.name, "o")
    return (
        units is not None
        and units % 2 == 0
        and all((inputs := size_of(graph, reader, "i")) is not None and inputs % units == 0 for reader in layer.readers)
    )


def used_once(graph: ModelGraph) -> frozenset[str]:
    """Parameters that are one plain matrix or kernel of one operation."""
    count: dict[str, int] = {}
    plain: set[str] = set()
    for _, use in graph.uses():
        count[use.parameter] = count.get(use.parameter, 0) + 1
        layout = use.layout
        if layout is not None and layout.groups == 1 and layout.sections is None and _matrix(layout.axes):
            plain.add(use.parameter)
    return frozenset(name for name in plain if count[name] == 1)


def _matrix(axes: str) -> bool:
    return axes.count("o") == 1 and axes.count("i") == 1 and set(axes) <= set("oik")


def weight_name(operation: Operation) -> str | None:
    """The parameter that is the weight of an operation, if it is one alone."""
    names = [use.parameter for use in operation.uses if use.slot == "weight" and use.computed is None]
    return names[0] if len(names) == 1 else None


def size_of(graph: ModelGraph, name: str, letter: str) -> int | None:
    """Size of the axis of a weight that has a role."""
    for _, use in graph.uses_of(name):
        if use.layout is not None:
            return graph.parameters[name].shape[use.layout.axes.index(letter)]
    return None


def _single_function(graph: Analysis, value: int) -> Operation | None:
    """The one nonlinear function through which everything reads a value; norms and reshapes before it are passed."""
    for _ in range(64):
        steps = list(escapes(graph, value))
        functions = {id(step): step for step, _ in steps if step is not None and not graph.is_linear(step)}
        if functions:
            step = next(iter(functions.values()))
            return step if len(functions) == 1 and all(found is step for found, _ in steps) else None
        readers = {reader.index: reader for _, reader in steps if reader is not None}
        if len(readers) != 1 or any(reader is None for _, reader in steps):
            return None
        reader = next(iter(readers.values()))
        if reader.kind not in ("move", "scale", "norm") or any(use.slot == "shift" for use in reader.uses):
            return None
        value = reader.outputs[0]
    return None


def _readers(graph: Analysis, value: int) -> dict[str, bool] | None:
    """Weights that read a value through reshapes and pools, and whether through a mean; None if anything else does."""
    found: dict[str, bool] = {}
    queue, seen = deque([(value, False)]), {value}
    while queue:
        current, mean = queue.popleft()
        if current in graph.outputs:
            return None
        for step, reader in escapes(graph, current):
            if reader is None or (step is not None and not graph.is_linear(step)):
                return None
            name = weight_name(reader) if reader.kind in _MATRICES and len(reader.inputs) == 1 else None
            if name is not None:
                found[name] = found.get(name, True) and mean
            elif reader.kind in _ORDERLY and len(reader.inputs) == 1:
                new = [output for output in reader.outputs if output not in seen]
                seen.update(new)
                queue.extend((output, mean or reader.kind == "mean") for output in new)
            else:
                return None
    return found


# ---------------------------------------------------------------------- residual streams
_THROUGH = frozenset({"move", "pool", "mean"})  # treat all units alike


@dataclass
class Bundle:
    """One stream: `sources` write it; `readers` see it through the function named here (None: as it is)."""

    sources: list[str] = field(default_factory=list)
    readers: dict[str, Function | None] = field(default_factory=dict)
    averaged: set[str] = field(default_factory=set)  # readers that see means over positions only
    bends: list[Function] = field(default_factory=list)  # functions that the stream itself passes between its sums


@inferred("which streams can be mirrored", lambda *_: ())
def bundles_of(graph: Analysis, branches: tuple[Branch, ...]) -> tuple[Bundle, ...]:
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

    def __init__(self, graph: Analysis) -> None:
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
        before = None if step.root is None else self.graph.producers.get(self.graph.plain(step.root))
        return before is not None and before.kind == "add" and not self.graph.is_linear(step)

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
