"""Weights over a basis of functions of a value, beside a weight that reads the value itself: splines on edges."""

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import WEIGHTED, Operation
from wellbegun.graph.walk import backward, weights_before

_MIXES = frozenset({"softmax", "matmul", "mean", "attention", "pool", "concat", "lookup"})


@inferred("whether a weight is one over a basis", lambda *_: False)
def over_basis(graph: Analysis, layer: Operation) -> bool:
    """Whether a layer reads several functions of each entry of a value, and is added to one that reads a single one."""
    plain = _beside(graph, layer)
    if plain is None or not layer.inputs or not plain.inputs:
        return False
    source, root = _root(graph, plain.inputs[0]), _root(graph, layer.inputs[0])
    first = graph.made(source)

    def passes(made: Operation) -> bool:
        return made.kind not in WEIGHTED and made.index > first

    steps = [made for made in backward(graph, [layer.inputs[0]], passes) if passes(made)]
    bent = any(step.kind == "gate" or (step.kind == "pointwise" and not graph.is_linear(step)) for step in steps)
    reads = any(graph.plain(value) == source for step in steps for value in step.inputs)
    return root != source and bent and reads and not any(step.kind in _MIXES for step in steps)


def beside_basis(graph: Analysis, layer: Operation) -> bool:
    """Whether a layer is the plain weight beside one over a basis."""
    other = _beside(graph, layer)
    return other is not None and over_basis(graph, other)


def _beside(graph: Analysis, layer: Operation) -> Operation | None:
    """The only other weight in the sum that a layer's output is added in."""
    value = layer.outputs[0]
    while len(readers := graph.consumers.get(value, ())) == 1 and readers[0].kind in ("move", "shift"):
        value = readers[0].outputs[0] if readers[0].outputs else -1
    if len(readers) != 1 or readers[0].kind != "add" or len(readers[0].inputs) != 2:
        return None
    other = next((given for given in readers[0].inputs if given != value), value)
    found = list(weights_before(graph, other))
    return found[0] if len(found) == 1 and found[0].kind in WEIGHTED and found[0] is not layer else None


def _root(graph: Analysis, value: int) -> int:
    """The value that another is a function of, entry by entry."""
    step = graph.producers.get(graph.plain(value))
    root = step.root if step is not None and step.kind == "pointwise" else None
    return graph.plain(value if root is None else root)
