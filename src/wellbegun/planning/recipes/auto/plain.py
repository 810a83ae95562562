"""auto@2 for layers in series: which see an odd function of the one before, and how large their signals may be."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, wraps
from typing import Any, TypeVar, cast

import numpy as np

from wellbegun.errors import ArgumentError
from wellbegun.graph import (
    Analysis,
    Layer,
    Role,
    bends_input,
    bundles_of,
    can_mirror,
    layers_of,
    net_of,
    rows_are_shared,
    sources_and_readers,
)
from wellbegun.graph.function import Function as Tree
from wellbegun.graph.inference import inferred
from wellbegun.theory import Function, Operating, centred, frequency, is_odd, moments, odd_part, operating_point

_F = TypeVar("_F", bound=Callable[..., Any])
_Part = Callable[[Function], Function]

_COORDINATES = 1.5  # frequency from which a sine is taken for that of a coordinate net
_FIRST_PHASE = 36.0  # variance of the phase in its first layer: the bandwidth of photographs
_OFFSETS = (0.0, 1.0)  # 1 makes functions of degree above 1 nearly linear
AT_FIRST = "reads the input: half of that variance, and offsets"
FIRST = 0.5  # of the variance in a first layer; offsets within its RMS add a third of it, so that kinks lie apart


@dataclass(frozen=True)
class Series:
    """How one layer of a series works."""

    layer: Layer
    point: Operating
    mirrored: bool
    offset: float  # of both members of a mirrored pair
    mean: float  # of its outputs, which the readers have to cancel; 0 where they need not
    reason: str
    spread: float = 0.0  # largest bias, where biases are random


@inferred("which layers work as a series", lambda *_: {})
def series_of(
    graph: Analysis, roles: Mapping[str, Role], taken: frozenset[str], points: "Points"
) -> Mapping[str, Series]:
    """Every layer whose function can be made odd; none that must agree with a layer somebody else decides."""
    found = {}
    for name, layer in layers_of(graph).items():
        role = roles.get(name)
        if role is None or role.role not in ("hidden", "up") or _in_normed_branch(role):
            continue
        if taken.intersection((name, *layer.readers)) or rows_are_shared(graph, name):
            continue
        series = _series(graph, layer, role, points)
        if series is not None:
            found[name] = series
    return found


def _in_normed_branch(role: Role) -> bool:
    """Transformer branches keep their units independent: what comes in is normalized, and depth does not add up."""
    return role.branch is not None and role.branch.norm in ("pre", "post")


def _series(graph: Analysis, layer: Layer, role: Role, points: "Points") -> Series | None:
    function, depth, first = layer.function, role.net.layers, bends_input(graph, graph.operations[layer.operation])
    if (rate := points.frequency(function)) is not None and rate > _COORDINATES:
        return _sine(layer, role, rate)
    name = role.met.name if role.met is not None and role.met.name else "this function"
    if points.is_odd(function):
        point = points.of(function, depth, None)
        mean = float(np.asarray(function(np.zeros(1)))[0])
        if point is None:
            return None
        reason = f"feeds {name}, odd up to a constant: variance {point.q:.3g} keeps {depth} layers nearly linear"
        odd = Series(layer, point, False, 0.0, mean if abs(mean) > 1e-6 else 0.0, reason)
        return _first(odd, function, centred) if first else odd
    if not can_mirror(graph, layer):
        return None
    for offset in _OFFSETS:
        point = points.of(function, depth, offset)
        if point is not None:
            reason = f"units in mirrored pairs: the next layer sees {name}(a) - {name}(-a), nearly linear in a"
            pairs = Series(layer, point, True, offset, 0.0, reason)
            return _first(pairs, function, odd_part) if first and not offset else pairs
    return None


def _first(found: Series, function: Function, part: _Part) -> Series:
    """A layer that reads the input: less of it, and offsets instead, so that not all units bend at the same place."""
    q = FIRST * found.point.q
    point = found.point._replace(q=q, second=_second(function, q * 4 / 3, part))
    return replace(found, point=point, reason=f"{found.reason}; {AT_FIRST}", spread=math.sqrt(q))


def _sine(layer: Layer, role: Role, rate: float) -> Series:
    """sin(rate a): a coordinate net, whose sines are meant to oscillate.

    The phase has variance 36 in the first layer, with random offsets, and 1 after it.
    """
    q = _FIRST_PHASE if role.depth == 0 else 1.0
    second = (1 - math.exp(-2 * q)) / 2
    point = Operating(q / rate**2, second, q * (1 + math.exp(-2 * q)) / 2 / second)
    reason = f"feeds a sine of frequency {rate:g}: phases of variance {q:g}"
    return Series(layer, point, False, 0.0, 0.0, reason, math.pi / rate if role.depth == 0 else 0.0)


@dataclass(frozen=True)
class Streams:
    """Residual streams in mirrored pairs: the weights that write them, and those that read differences of pairs through
    a function (None: as they are)."""

    sources: frozenset[str] = frozenset()
    readers: Mapping[str, Function | None] = field(default_factory=dict)


@inferred("which streams are kept in pairs", lambda *_: Streams())
def streams_of(graph: Analysis, roles: Mapping[str, Role], taken: frozenset[str]) -> Streams:
    """Every stream whose own functions would let a mean add up, and whose weights nobody else decides. Where a stream
    is only added to, as with functions inside the branches, independent units learn faster."""
    found = tuple(
        bundle
        for bundle in bundles_of(graph, net_of(roles).branches)
        if not taken.intersection((*bundle.sources, *bundle.readers))
        and bundle.bends
        and not any(is_odd(function) for function in bundle.bends)
    )
    return Streams(*sources_and_readers(found))


def difference(function: Function | None) -> float:
    """E (f(z) - f(-z))^2 of a standard normal z."""
    if function is None:
        return 4.0
    return _second(function, 1.0, odd_part)


def _kept(find: _F) -> _F:
    """Kept for all plans, where it is found of a function that is data: quadratures take longer than all else here."""
    known = lru_cache(256)(find)

    @wraps(find)
    def found(function: Function, *more: Any) -> Any:
        return (known if isinstance(function, Tree) and function.by_value else find)(function, *more)

    return cast(_F, found)


@_kept
def _second(function: Function, q: float, part: _Part | None) -> float:
    """E f(sqrt(q) z)^2, of a part of a function; 1 where that is no number above 0, or not known."""
    try:
        found = moments(function if part is None else part(function), q=q).second
    except ArgumentError:
        return 1.0
    return found if 0 < found < math.inf else 1.0


@_kept
def _operating(function: Function, depth: int, offset: float | None) -> Operating | None:
    """The operating point, as `Points.of`; None where there is none, or the function is not known."""
    try:
        psi = centred(function) if offset is None else odd_part(function, offset)
        return operating_point(psi, max(depth, 1))
    except ArgumentError:
        return None


_GRID = np.linspace(-6, 6, 97)


class Points:
    """What is found out about functions, once for each: layers share theirs, and quadratures are done once for all that
    have equal values."""

    def __init__(self) -> None:
        self._points: dict[tuple[bytes, int, float | None], Operating | None] = {}
        self._seconds: dict[tuple[bytes, float], float] = {}
        self.first: dict[int, float] = {}  # operation that reads the input -> RMS of what its weight gives
        self._print = cache(lambda function: np.asarray(function(_GRID), np.float64).tobytes())
        self.frequency, self.is_odd = cache(frequency), cache(is_odd)

    def of(self, function: Function, depth: int, offset: float | None) -> Operating | None:
        """Operating point of the odd part (mirrored with an offset), or of phi - phi(0) where `offset` is None."""
        key = self._print(function), depth, offset
        if key not in self._points:
            self._points[key] = _operating(function, depth, offset)
        return self._points[key]

    def second(self, function: Function, q: float = 1.0) -> float:
        """E f(sqrt(q) z)^2, as `_second` has it."""
        key = self._print(function), q
        if key not in self._seconds:
            self._seconds[key] = _second(function, q, None)
        return self._seconds[key]
