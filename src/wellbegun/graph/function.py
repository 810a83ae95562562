"""Functions as data: trees of neutral operations on roots and constants, evaluated by NumPy in float64.

A tree is frozen, equal and hashed by value, and saved as JSON. Numbers keep their kind: a boolean stays boolean, an
integer an integer. Rounding to a floating-point type is not part of a function. An operation that NumPy does not have
is asked of the framework that traced it (`ask`); without an answer the value is `UNKNOWN`, never an exception.
"""

import math
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.numeric import OPERATIONS, Interval, domain_of

Scalar = bool | int | float
Option = Scalar | str | None | tuple["Option", ...]
Asked = Callable[[Sequence[Any]], Any]  # arrays and numbers -> an array; may raise

_COMPARED = 4096  # most entries of an array that is told from others by its values, and saved
_SMALL, _GRIDS = 256, 8  # largest grid whose values are kept, and number of such grids
EVERYTHING: Interval = (-np.inf, np.inf)


class Unknown(Enum):
    """A value that nobody knows."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN
Value = Any  # an array or number; UNKNOWN


class Function:
    """A tree, callable as an elementwise function of its root `x`; nan where its values are not known.

    >>> relu = Call("maximum", (ROOT, Number(0)))
    >>> relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    >>> relu == Call("maximum", (Root("x"), Number(0))), relu.domain
    (True, (0.0, inf))
    """

    digest: bytes
    domain: Interval

    def __call__(self, x: Array) -> Array:
        """Values at x; nan where they are unknown."""
        x = np.asarray(x, np.float64)
        return plain(self.values({ROOT.name: x}), x.shape)

    def values(self, roots: Mapping[str, Array], known: dict[bytes, Value] | None = None) -> Value:
        """The value where the roots have these; UNKNOWN if it cannot be told. `known`: values of parts for these roots,
        by digest; it is filled on the way."""
        return _evaluated(self, roots, {} if known is None else known)

    @property
    def by_value(self) -> bool:
        """Whether all that it computes is in the tree: no arrays, and nothing that is asked of a framework."""
        own = lambda node: type(node) in _LEAVES or (isinstance(node, Call) and node.op in OPERATIONS)  # noqa: E731
        return all(map(own, self.nodes()))

    @property
    def roots(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what it starts from."""
        nodes = self.arguments if isinstance(self, Call) and _flat(self) else self.nodes()
        return dict(sorted([(node.name, node.shape) for node in nodes if isinstance(node, Root)]))

    def nodes(self) -> "Iterator[Function]":
        """Every part once, arguments before what uses them."""
        done: set[bytes] = set()
        stack = [self]
        while stack:
            node = stack[-1]
            waiting = [] if node.digest in done else [a for a in arguments_of(node) if a.digest not in done]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if node.digest not in done:
                done.add(node.digest)
                yield node

    def settled(self) -> "Function":
        """The same tree with the arrays that were pending."""
        found = {node.digest: node.read() for node in self.nodes() if isinstance(node, Pending)}
        if not found:
            return self
        arrays = {digest: None if array is None else Constant(np.asarray(array)) for digest, array in found.items()}
        return self._rebuilt(
            lambda node: (arrays[node.digest] or Call("unknown", ())) if node.digest in arrays else node
        )

    def substitute(self, given: "Mapping[str, Function]") -> "Function":
        """The same tree with others in place of some roots."""
        if isinstance(self, Root):
            return given.get(self.name, self)
        if isinstance(self, Call) and _flat(self):
            arguments = tuple([given.get(a.name, a) if isinstance(a, Root) else a for a in self.arguments])
            return Call(self.op, arguments, self.options, self.ask)
        return self._rebuilt(lambda node: given.get(node.name, node) if isinstance(node, Root) else node)

    def _rebuilt(self, leaf: "Callable[[Function], Function]") -> "Function":
        made: dict[bytes, Function] = {}
        for node in self.nodes():
            if isinstance(node, Call):
                arguments = tuple(made[argument.digest] for argument in node.arguments)
                made[node.digest] = Call(node.op, arguments, node.options, node.ask)
            else:
                made[node.digest] = leaf(node)
        return made[self.digest]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def _seal(self, domain: Interval, *parts: bytes) -> None:
        digest = blake2b(b"\0".join((type(self).__name__.encode(), *parts)), digest_size=16).digest()
        object.__setattr__(self, "digest", digest)
        object.__setattr__(self, "domain", domain)


@dataclass(frozen=True, eq=False)
class Root(Function):
    """What a function starts from: a value `x`, or parameters by their names."""

    name: str
    shape: tuple[int, ...] = ()  # of a parameter
    bounds: Interval = EVERYTHING

    def __post_init__(self) -> None:
        self._seal(self.bounds, self.name.encode(errors="surrogatepass"), repr(self.shape).encode())


@dataclass(frozen=True, eq=False)
class Number(Function):
    """A number of its kind, which broadcasts to any shape."""

    value: Scalar

    def __post_init__(self) -> None:
        number = _real(self.value)
        kind = type(self.value).__name__.encode()
        own = struct.pack("d", number) if isinstance(self.value, float) else repr(self.value).encode()
        bounds = EVERYTHING if math.isnan(number) else (number, number)
        self._seal(bounds, kind, own)


@dataclass(frozen=True, eq=False)
class Constant(Function):
    """An array that exists, such as a mask in a buffer: a large one equals itself alone."""

    array: Array = field(repr=False)

    def __post_init__(self) -> None:
        array = self.array
        small = array.size <= _COMPARED
        held = np.ascontiguousarray(array).tobytes() if small else str(id(array)).encode()
        real = small and array.size and array.dtype.kind in "biuf" and not np.isnan(array).any()
        bounds = (float(array.min()), float(array.max())) if real else EVERYTHING
        self._seal(bounds, array.dtype.str.encode(), repr(array.shape).encode(), held)


@dataclass(frozen=True, eq=False)
class Pending(Function):
    """An array that is read when it is needed, and equals itself alone until then: see `settled`."""

    read: Callable[[], Array | None] = field(repr=False)

    def __post_init__(self) -> None:
        self._seal(EVERYTHING, str(id(self.read)).encode())


@dataclass(frozen=True, eq=False)
class Call(Function):
    """An operation on others: one of `OPERATIONS`, or one that `ask` knows (then `op` only tells it from others)."""

    op: str
    arguments: tuple[Function, ...]
    options: tuple[tuple[str, Option], ...] = ()
    ask: Asked | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        parts = [argument.digest for argument in self.arguments]
        known = self.op in OPERATIONS
        domain = domain_of(self.op, self.arguments) if known else EVERYTHING
        self._seal(domain, self.op.encode(), repr(self.options).encode(), *parts)

    def __repr__(self) -> str:
        return f"<{self.op} of {len(self.arguments)}>"  # no recursion: chains may be long


ROOT = Root("x")
_LEAVES = frozenset[type]({Root, Number})


def _flat(node: Call) -> bool:
    """Whether all that it is computed from are roots and numbers, as in most of what frameworks call."""
    return _LEAVES.issuperset(map(type, node.arguments))


def arguments_of(node: Function) -> tuple[Function, ...]:
    """What a node is computed from."""
    return node.arguments if isinstance(node, Call) else ()


def plain(value: Value, shape: tuple[int, ...]) -> Array:
    """A value as real numbers of a shape; nan where it is unknown."""
    if value is UNKNOWN:
        return np.full(shape, np.nan)
    try:
        return np.array(np.broadcast_to(np.asarray(value, np.float64), shape))
    except (ValueError, TypeError):
        return np.full(shape, np.nan)


def _real(value: Scalar) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond any float
        return math.copysign(math.inf, value)


# ---------------------------------------------------------------------- evaluation
def _evaluated(function: Function, roots: Mapping[str, Array], known: dict[bytes, Value]) -> Value:
    """Innermost first, with a stack of our own: models may chain more functions than Python may nest calls."""
    if function.digest not in known:
        with np.errstate(all="ignore"):
            stack = [function]
            while stack:
                node = stack[-1]
                before = len(stack)
                if isinstance(node, Call) and node.digest not in known:
                    for argument in node.arguments:
                        if argument.digest not in known:
                            stack.append(argument)
                if len(stack) == before:
                    stack.pop()
                    if node.digest not in known:
                        known[node.digest] = _value(node, roots, known)
    return known[function.digest]


def _value(node: Function, roots: Mapping[str, Array], known: Mapping[bytes, Value]) -> Value:
    if isinstance(node, Root):
        return roots.get(node.name, UNKNOWN)
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Constant):
        return np.asarray(node.array, np.float64) if node.array.dtype.kind == "f" else node.array
    if isinstance(node, Pending):
        held = node.read()
        return UNKNOWN if held is None else held
    assert isinstance(node, Call)
    given = [known[argument.digest] for argument in node.arguments]
    if any(value is UNKNOWN for value in given):
        return UNKNOWN
    try:
        if node.op in OPERATIONS:
            return OPERATIONS[node.op](*given, **dict(node.options))
        return UNKNOWN if node.ask is None else node.ask(given)
    except Exception:  # an operation that does not take other values than those it was seen with
        return UNKNOWN


class Values:
    """Values of elementwise functions, kept on small grids: every step of a chain is looked at on the same few."""

    def __init__(self) -> None:
        self._known: dict[bytes, dict[bytes, Value]] = {}  # grid -> values by digest

    def __call__(self, function: Callable[[Array], Array], x: Array) -> Array:
        """function(x)."""
        if not isinstance(function, Function) or np.size(x) > _SMALL:
            return np.asarray(function(x), np.float64)
        x = np.array(x, np.float64)
        grid = x.tobytes()
        if grid not in self._known and len(self._known) >= _GRIDS:
            return function(x)
        return plain(function.values({ROOT.name: x}, self._known.setdefault(grid, {})), x.shape)


# ---------------------------------------------------------------------- saved
Saved = list[list[Any]]
_TYPES: dict[str, Callable[[Any], Scalar]] = {"bool": bool, "int": int, "float": float}


def to_list(functions: Iterable[Function]) -> tuple[Saved, dict[bytes, int]]:
    """JSON-ready nodes of some functions, each once, and the place of each in the list. Large arrays, and what is asked
    of a framework, become unknown."""
    saved: Saved = []
    places: dict[bytes, int] = {}
    for function in functions:
        for node in function.nodes() if function.digest not in places else ():
            if node.digest not in places:
                places[node.digest] = len(saved)
                saved.append(_saved(node, places))
    return saved, places


def _saved(node: Function, places: Mapping[bytes, int]) -> list[Any]:
    if isinstance(node, Root):
        return ["root", node.name, list(node.shape), [float(bound).hex() for bound in node.bounds]]
    if isinstance(node, Number):
        kind, value = type(node.value).__name__, node.value
        return ["number", kind, float(value).hex() if kind == "float" else value]
    if isinstance(node, Pending) or (isinstance(node, Constant) and node.array.size > _COMPARED):
        return ["call", "an array", [], []]
    if isinstance(node, Constant):
        data = b64encode(np.ascontiguousarray(node.array).tobytes()).decode()
        return ["array", node.array.dtype.str, list(node.array.shape), data]
    assert isinstance(node, Call)
    return ["call", node.op, [places[argument.digest] for argument in node.arguments], node.options]


def from_list(saved: Saved) -> list[Function]:
    """The functions that `to_list` gave, in the same places."""
    found: list[Function] = []
    for what, one, *rest in saved:
        if what == "root":
            low, high = (float.fromhex(bound) for bound in rest[1])
            found.append(Root(one, tuple(rest[0]), (low, high)))
        elif what == "number":
            found.append(Number(float.fromhex(rest[0]) if one == "float" else _TYPES[one](rest[0])))
        elif what == "array":
            array = np.frombuffer(b64decode(rest[1]), np.dtype(one)).reshape(rest[0])
            found.append(Constant(array))
        else:
            arguments = tuple(found[place] for place in rest[0])
            found.append(Call(one, arguments, tuple((key, _option(value)) for key, value in rest[1])))
    return found


def _option(value: Any) -> Option:
    return tuple(_option(item) for item in value) if isinstance(value, list) else value


def call(op: str, *arguments: "Function | Scalar", **options: Option) -> Call:
    """A node; plain numbers become `Number`s.

    >>> call("add", ROOT, 1)(np.zeros(2))
    array([1., 1.])
    """
    nodes = tuple(argument if isinstance(argument, Function) else Number(argument) for argument in arguments)
    return Call(op, nodes, tuple(sorted(options.items())))


def asked(function: Callable[[Array], Array], name: str = "") -> Call:
    """An elementwise function that only its own code knows, under a name that tells it from others."""
    return Call(name or f"function {id(function)}", (ROOT,), (), lambda given: function(given[0]))
