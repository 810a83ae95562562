"""Slices of parameters that the batch picks, as a router picks experts: weights and biases, not tables."""

from collections.abc import Callable, Mapping

from wellbegun.graph.model import Operation, Parameter, Use
from wellbegun.graph.provenance import Operand, Signal

Maker = Callable[[int], Operation | None]


def as_weights(operands: list[Operand]) -> list[Operand]:
    """Slices of a parameter that the batch picked, where they meet another signal: the weights of experts."""
    picked = [known.picked is not None for known, _ in operands if isinstance(known, Signal)]
    return [_weight(operand) for operand in operands] if any(picked) and not all(picked) else operands


def _weight(operand: Operand) -> Operand:
    picked = operand.known.picked if isinstance(operand.known, Signal) else None
    return operand if picked is None or len(picked.shape) <= 2 else operand._replace(known=picked)


def routed(lookup: Operation, maker: Maker) -> bool:
    """Whether the indices of a lookup are a choice among what a weight gave."""
    stack, seen = list(lookup.inputs), set(lookup.inputs)
    while stack:
        operation = maker(stack.pop())
        if operation is None:
            continue
        if operation.selects in ("ranked", "drawn"):
            return True
        new = set(operation.inputs) - seen
        seen |= new
        stack += new
    return False


def one_each(use: Use, signal: Signal, parameters: Mapping[str, Parameter], maker: Maker) -> bool:
    """Whether a parameter (E, out) is added to what a weight with an axis for the same E experts gave."""
    shape, operation = parameters[use.parameter].shape, maker(signal.value)
    while operation is not None and operation.kind == "move" and len(operation.inputs) == 1:
        operation = maker(operation.inputs[0])
    weights = () if operation is None else (u.parameter for u in operation.uses if u.slot == "weight")
    shapes = [parameters[name].shape for name in weights]
    return len(shape) == 2 and any(len(s) == 3 and s[0] == shape[0] and shape[1] in s[1:] for s in shapes)
