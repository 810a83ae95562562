"""An elementwise computation as an expression of one value, replayed in float64 on any grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wellbegun._typing import Array
from wellbegun.torch import aten

_CASTS = frozenset({"_to_copy", "clone", "contiguous", "detach", "alias", "lift_fresh", "copy_"})


@dataclass(frozen=True, eq=False)
class Expression:
    """`func(*arguments)`; an argument that is the root is ROOT, a nested expression is itself, the rest is constant."""

    func: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: int = 0  # which output, if there are several


class _Root:
    """Stands for the value the expression starts from."""

    def __repr__(self) -> str:
        return "x"


ROOT = _Root()


@dataclass(frozen=True)
class Number:
    """A constant tensor; made when the expression runs, because it may be recorded under fake tensors."""

    value: float


def function_of(expression: Expression) -> Callable[[Array], Array]:
    """The expression as a NumPy function."""

    def function(x: Array) -> Array:
        with torch.no_grad():
            start = torch.from_numpy(np.array(x, dtype=np.float64))
            found = _evaluate(expression, start)
            return found.to(torch.float64).expand(start.shape).numpy().copy()  # type: ignore[no-any-return]

    return function


def _evaluate(expression: Expression, x: torch.Tensor) -> Any:
    """Innermost first, with a stack of our own: models may chain more functions than Python may nest calls."""
    done: dict[int, Any] = {}
    stack = [expression]
    while stack:
        node = stack[-1]
        waiting = [inner for inner in _inner([*node.arguments, *node.keywords.values()]) if id(inner) not in done]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if id(node) not in done:
            arguments = [_filled(argument, x, done) for argument in node.arguments]
            keywords = {key: _filled(value, x, done) for key, value in node.keywords.items()}
            done[id(node)] = _apply(node, arguments, keywords)
    return done[id(expression)]


def _inner(nodes: Any) -> Iterator[Expression]:
    for node in nodes:
        if isinstance(node, Expression):
            yield node
        elif isinstance(node, (list, tuple)):
            yield from _inner(node)


def _filled(node: Any, x: torch.Tensor, done: dict[int, Any]) -> Any:
    if node is ROOT:
        return x
    if isinstance(node, Number):
        return torch.tensor(node.value, dtype=torch.float64)
    if isinstance(node, (list, tuple)):
        return type(node)(_filled(item, x, done) for item in node)
    return done[id(node)] if isinstance(node, Expression) else node


def _apply(node: Expression, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    name = aten.name_of(node.func)
    if name in _CASTS:  # rounding to a dtype is not part of the function
        return arguments[1] if name == "copy_" else arguments[0]
    keywords.pop("dtype", None)
    for position in aten.writes_to(node.func):
        if position < len(arguments):
            arguments[position] = arguments[position].clone()
    found = node.func(*arguments, **keywords)
    return found[node.output] if isinstance(found, (tuple, list)) else found
