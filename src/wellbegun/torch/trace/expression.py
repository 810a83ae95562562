"""A computation as an expression of one value, or of parameters by name, replayed in float64 with any values."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from wellbegun._typing import Array
from wellbegun.torch.trace import aten

_SMALL, _GRIDS = 256, 6  # largest grid whose values are kept, and number of such grids for each step
_CASTS = frozenset({"_to_copy", "clone", "contiguous", "detach", "alias", "lift_fresh", "copy_"})


@dataclass(frozen=True, eq=False)
class Expression:
    """`func(*arguments)`; an argument may be a root, a nested expression, or a constant."""

    func: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    output: int = 0  # which output, if there are several
    known: dict[bytes, Any] = field(default_factory=dict, repr=False)  # its values on small grids, by the grid

    @cached_property
    def function(self) -> Callable[[Array], Array]:
        """The expression as a NumPy function, the same object each time."""

        def function(x: Array) -> Array:
            with torch.no_grad():
                small = np.size(x) <= _SMALL  # values on small grids are kept, so what they start from is copied
                start = torch.from_numpy(np.array(x, np.float64) if small else np.require(x, np.float64, ["C", "W"]))
                grid = start.numpy().tobytes() if small else None
                found = _evaluate(self, {ROOT.name: start}, grid)
                return found.to(torch.float64).expand(start.shape).numpy().copy()  # type: ignore[no-any-return]

        return function


@dataclass(frozen=True)
class Root:
    """Stands for a value that the expression starts from: a parameter by its name, or the one value there is."""

    name: str
    shape: tuple[int, ...] = ()  # of a parameter


ROOT = Root("x")


@dataclass(frozen=True)
class Number:
    """A constant tensor; made when the expression runs, because it may be recorded under fake tensors."""

    value: float


@dataclass(frozen=True, eq=False)
class Held:
    """A constant tensor that exists, such as a mask in a buffer."""

    tensor: torch.Tensor


class Expressions:
    """Makes expressions, and one object of all that are equal: layers with the same activation share what is found out
    about it."""

    def __init__(self) -> None:
        self._made: dict[Any, Expression] = {}

    def make(self, func: Any, arguments: tuple[Any, ...], keywords: dict[str, Any], output: int = 0) -> Expression:
        """The expression `func(*arguments, **keywords)`, or that output of it."""
        found = Expression(func, arguments, keywords, output)
        key = func, output, _key(arguments), _key(tuple(keywords.items()))
        try:
            return self._made.setdefault(key, found)
        except TypeError:  # an argument that cannot be told from others
            return found


def _key(node: Any) -> Any:
    """What tells an argument from others: expressions and tensors by identity, numbers by type and value."""
    if isinstance(node, (list, tuple)):
        return tuple(_key(item) for item in node)
    if isinstance(node, Expression):
        return "expression", id(node)
    if isinstance(node, Held):
        return "tensor", id(node.tensor)
    return type(node), node


def computation_of(expression: Expression) -> Callable[[Mapping[str, Array]], Array]:
    """The expression as a NumPy function of parameters by name. What it draws, like dropout, is the same each time."""

    def function(values: Mapping[str, Array]) -> Array:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            roots = {name: torch.from_numpy(np.array(array, np.float64)) for name, array in values.items()}
            try:
                return _evaluate(expression, roots).to(torch.float64).numpy().copy()  # type: ignore[no-any-return]
            except RuntimeError:  # an operation that does not take other values than those it was seen with
                return np.full(1, np.nan)

    return function


def roots_of(expression: Expression) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters that an expression starts from."""
    found: dict[str, tuple[int, ...]] = {}
    stack: list[Any] = [expression]
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, Root):
            found[node.name] = node.shape
        elif isinstance(node, (list, tuple)):
            stack += node
        elif isinstance(node, Expression) and id(node) not in seen:
            seen.add(id(node))
            stack += [*node.arguments, *node.keywords.values()]
    return dict(sorted(found.items()))


def _evaluate(expression: Expression, roots: Mapping[str, torch.Tensor], grid: bytes | None = None) -> Any:
    """Innermost first, with a stack of our own: models may chain more functions than Python may nest calls.

    `grid`: names a small grid, whose values are kept: every step of a chain is looked at on the same few grids.
    """
    done: dict[int, Any] = {}
    stack = [expression]
    while stack:
        node = stack[-1]
        if grid is not None and grid in node.known:
            done[id(stack.pop())] = node.known[grid]
            continue
        waiting = [inner for inner in _inner([*node.arguments, *node.keywords.values()]) if id(inner) not in done]
        if waiting:
            stack += waiting
            continue
        stack.pop()
        if id(node) not in done:
            arguments = [_filled(argument, roots, done) for argument in node.arguments]
            keywords = {key: _filled(value, roots, done) for key, value in node.keywords.items()}
            done[id(node)] = _apply(node, arguments, keywords)
            if grid is not None and len(node.known) < _GRIDS:
                node.known[grid] = done[id(node)]
    return done[id(expression)]


def _inner(nodes: Any) -> Iterator[Expression]:
    for node in nodes:
        if isinstance(node, Expression):
            yield node
        elif isinstance(node, (list, tuple)):
            yield from _inner(node)


def _filled(node: Any, roots: Mapping[str, torch.Tensor], done: dict[int, Any]) -> Any:
    if isinstance(node, Root):
        return roots[node.name]
    if isinstance(node, Held):
        held = node.tensor.detach().cpu()
        return held.double() if held.is_floating_point() else held
    if isinstance(node, Number):
        return torch.tensor(node.value, dtype=torch.float64)
    if isinstance(node, (list, tuple)):
        return type(node)(_filled(item, roots, done) for item in node)
    return done[id(node)] if isinstance(node, Expression) else node


def _apply(node: Expression, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    name = aten.name_of(node.func)
    if name in _CASTS:  # rounding to a dtype is not part of the function
        found = arguments[1] if name == "copy_" else arguments[0]
        return found.contiguous() if name in ("clone", "contiguous") else found
    keywords.pop("dtype", None)
    for position in aten.writes_to(node.func):
        if position < len(arguments):
            arguments[position] = arguments[position].clone()
    found = node.func(*arguments, **keywords)
    return found[node.output] if isinstance(found, (tuple, list)) else found
