"""Weights that are computed from parameters: how large each parameter has to be for the weight to have a given size.

The computation is not looked up but tried: it is evaluated with random values, with single parameters at twice their
size and at zero. That tells masks, constant factors and transposes (the weight is in proportion to the parameter),
standardized weights (its size does not matter), products of matrices, a magnitude beside a direction, and sums in
which a product starts at zero.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph.function import UNKNOWN, Function
from wellbegun.graph.inference import inferred

Values = Mapping[str, Array]
Changes = Mapping[str, Array | float]  # values of parameters, or numbers to multiply the usual ones with
LARGEST = 1 << 24  # entries up to which a computation is tried
_SAME = 0.05  # how far a power may be from a whole number
_SMALL = 1e-6  # share of the usual size that counts as nothing
_CENTRED = 0.1  # largest mean in units of the RMS of a weight without one
_FURTHEST = 32.0  # number up to which the mean of a parameter is searched
_PROBES = 3  # entries of a parameter whose reach is looked at


@dataclass(frozen=True)
class Reparametrization:
    """An array computed from parameters alone."""

    function: Function  # a tree over the parameters by name
    shape: tuple[int, ...]  # of what it gives
    outputs: tuple[int, ...] = (0,)  # axes of it that are outputs of the operation

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of the parameters it is computed from, by name."""
        return self.function.roots

    @cached_property
    def parts(self) -> Mapping[str, "Part"]:
        """What each parameter is for; {} if that cannot be told."""
        return _Trial(self).parts() if self._can_be_tried() else {}

    def _can_be_tried(self) -> bool:
        sizes = [math.prod(shape) for shape in (*self.shapes.values(), self.shape)]
        return min(sizes) > 0 and max(sizes) <= LARGEST

    @inferred("where a computed weight has a value", lambda *_: None)
    def where(self, value: float) -> float | None:
        """The number at which one parameter, all of whose entries are equal, makes every entry `value`; None if there
        is none. Of several, 1 and 0 come first, then positive ones."""
        if len(self.shapes) != 1 or not self._can_be_tried():
            return None
        (name, shape), grid = next(iter(self.shapes.items())), np.geomspace(1e-4, 1e4, 65)

        def miss(number: float) -> float:
            found = _evaluated(self.function, {name: np.full(shape, number)}) - value
            return float(found.flat[0]) if found.size and np.ptp(found) <= 1e-9 else math.nan

        for number in (1.0, 0.0, -1.0):
            if abs(miss(number)) <= 1e-9:
                return number
        for side in ([0.0, *grid], [0.0, *-grid]):
            signs = [miss(number) for number in side]
            for low, high, one, two in zip(side, side[1:], signs, signs[1:], strict=False):
                if one * two < 0:
                    return float(f"{_root(miss, float(low), float(high)):.8g}")
        return None


class Part(NamedTuple):
    """What one parameter of a computed weight is for, so that the weight has RMS s.

    `what`: "weight": the scheme's law over `size`. "free": the scheme's law, whose size does not matter. "factor": a
    normal law of std (s / size) ** power. "magnitude": the constant s / size. "one": the constant 1. "zero": zeros.
    "entry": a normal law of std `size`. "bent": a normal law of std `fit(s)`.
    "level": a normal law around `fit(1 / inputs)`, so that a unit averages what comes in.
    """

    what: str
    why: str
    size: float = 1.0
    power: float = 1.0
    leads: bool = False  # whether scaling this parameter scales the weight
    fit: Callable[[float], float] | None = None


class _Trial:
    """One computation, evaluated with random values of unit variance."""

    def __init__(self, given: Reparametrization) -> None:
        rng = np.random.default_rng(0)
        self.function, self.shape, self.shapes, self.outputs = given.function, given.shape, given.shapes, given.outputs
        drawn = {name: rng.standard_normal(shape) for name, shape in given.shapes.items()}
        self.values = {name: values / _rms(values) for name, values in drawn.items()}

    def run(self, changes: Changes) -> Array:
        """The weight, with some parameters replaced, or multiplied by a number."""
        found = dict(self.values)
        for name, change in changes.items():
            found[name] = change if isinstance(change, np.ndarray) else found[name] * change
        return _evaluated(self.function, found)

    def size(self, changes: Changes) -> float:
        """RMS of the weight."""
        return _rms(self.run(changes))

    # ------------------------------------------------------------------ what the parameters are for
    @inferred("what a computed weight is made of", lambda _: {})
    def parts(self) -> dict[str, Part]:
        """See `Reparametrization.parts`."""
        base = self.size({})
        if not 0 < base < math.inf:
            return {}
        names = list(self.shapes)
        if len(names) == 1:
            return self._single(names[0], base)
        terms = [name for name in names if self.size(dict.fromkeys(set(names) - {name}, 0.0)) > _SMALL * base]
        if not terms:
            return self._product(names, {})
        rest = [name for name in names if name not in terms]
        found = self._sum(terms, dict.fromkeys(rest, 0.0))
        return found | self._silent(rest, terms) if found else {}

    def _power(self, name: str, at: Changes) -> float | None:
        """p, if the weight is in proportion to the p-th power of a parameter; None if to no power."""
        one, two, four = (self.size({**at, name: times}) for times in (1.0, 2.0, 4.0))
        if not (one > 0 and two > 0 and four > 0):
            return None
        first, second = math.log2(two / one), math.log2(four / two)
        return first if abs(first - second) <= _SAME else None

    def _single(self, name: str, base: float) -> dict[str, Part]:
        found, power = self.run({}), self._power(name, {})
        if abs(float(found.mean())) > max(_CENTRED, 4 * found.size**-0.5) * base:
            why = "no such weight is of the other sign: its mean is 1 / inputs, so that a unit averages what comes in"
            return {name: Part("level", why, fit=self.level)}
        if power is not None and abs(power) <= _SAME:
            why = f"the computation gives the weight RMS {base:.4g}, whatever the size of this parameter"
            return {name: Part("free", why)}
        if power is not None and abs(power - 1) <= _SAME:
            return {name: Part("weight", _passes(base), base, leads=True)}
        return {name: Part("bent", "the std with which the computed weight has the size of the scheme", fit=self.fit)}

    def fit(self, size: float) -> float:
        """Std of a single parameter that gives the weight this RMS; nan if there is none."""
        name = next(iter(self.shapes))

        def miss(logarithm: float) -> float:
            return self.size({name: math.exp(logarithm)}) - size

        low, high = math.log(1e-8), math.log(1e4)
        return float(f"{math.exp(_root(miss, low, high)):.8g}") if miss(low) * miss(high) < 0 else math.nan

    def level(self, mean: float) -> float:
        """The number that, as every entry of a single parameter, gives the weight this mean, of either sign; nan if
        there is none."""
        ((name, shape),) = self.shapes.items()

        def miss(number: float) -> float:
            return abs(float(self.run({name: np.full(shape, number)}).mean())) - mean

        for side in (-np.linspace(0, _FURTHEST, 33), np.linspace(0, _FURTHEST, 33)):
            missed = [miss(float(number)) for number in side]
            for low, high, one, two in zip(side, side[1:], missed, missed[1:], strict=False):
                if one * two < 0:
                    return float(f"{_root(miss, float(low), float(high)):.8g}")
        return math.nan

    def _product(self, names: list[str], at: Changes) -> dict[str, Part]:
        """Nothing is left where one of them is zero."""
        powers = {name: self._power(name, at) for name in names}
        if any(power is None or min(abs(power), abs(power - 1)) > _SAME for power in powers.values()):
            return {}
        free = [name for name in names if abs(powers[name] or 0.0) <= _SAME]
        scaling = [name for name in names if name not in free]
        if free and not scaling:
            why = f"the computation gives the weight RMS {self.size(at):.4g}, whatever the size of its parameters"
            return {name: Part("free", why) for name in free}
        if free:
            return self._directed(free, scaling, at)
        matrices = [name for name in names if self._terms(name) > 1.5 and _axes(self.shapes[name]) > 1]
        largest = max(names, key=lambda name: math.prod(self.shapes[name]))
        if not matrices and math.prod(self.shapes[largest]) == math.prod(self.shape):
            return self._multiplied(largest, [name for name in names if name != largest], at)
        factors = matrices or names
        ones = [name for name in names if name not in factors]
        size = self.size({**at, **self._ones(ones)})
        why = f"one of {len(factors)} factors, which share the size of their product evenly"
        found = {name: Part("factor", why, size, 1 / len(factors), leads=name == factors[0]) for name in factors}
        return found | _unit(ones)

    def _multiplied(self, weight: str, others: list[str], at: Changes) -> dict[str, Part]:
        """Entry by entry: one parameter is the weight, the others start at 1."""
        size = self.size({**at, **self._ones(others)})
        return {weight: Part("weight", _passes(size), size, leads=True)} | _unit(others)

    def _directed(self, free: list[str], scaling: list[str], at: Changes) -> dict[str, Part]:
        """Some only give the direction, one the magnitude."""
        magnitude, *others = sorted(scaling, key=lambda name: -math.prod(self.shapes[name]))
        size = self.size({**at, **self._ones(scaling)})
        found = {name: Part("free", "a direction, whose size does not matter") for name in free}
        why = "magnitude beside a direction: the size that the scheme gives the weight"
        return found | {magnitude: Part("magnitude", why, size, leads=True)} | _unit(others)

    def _sum(self, terms: list[str], at: Changes) -> dict[str, Part]:
        """Terms that each are a weight by themselves."""
        size = self.size(at)
        if abs(self.size({**at, **dict.fromkeys(terms, 2.0)}) / size - 2) > _SAME:
            return {}
        if len(terms) == 1:
            return {terms[0]: Part("weight", _passes(size), size, leads=True)}
        why = f"one of {len(terms)} terms, which share the variance of their sum evenly"
        return {name: Part("weight", why, size) for name in terms}

    def _silent(self, rest: list[str], terms: list[str]) -> dict[str, Part]:
        """A product beside a whole weight: one factor starts at 0, so that training starts from the weight alone."""
        if not rest:
            return {}
        nothing = dict.fromkeys(terms, 0.0)
        if len(rest) != 2 or self.size(nothing) <= 0 or any(self._power(name, nothing) is None for name in rest):
            return {}
        reach = {name: self._reach(name, nothing) for name in rest}
        last = min(rest, key=lambda name: (reach[name][0], -rest.index(name)))
        first = next(name for name in rest if name != last)
        inputs = max(reach[last][1], 1)
        return {
            last: Part("zero", "output side of a product beside the weight: 0, so that it starts as the weight alone"),
            first: Part("entry", f"input side of a product beside the weight: std 1/sqrt({inputs})", inputs**-0.5),
        }

    # ------------------------------------------------------------------ reach
    def _terms(self, name: str) -> float:
        """Products in one entry of the weight that this parameter takes part in: 1 if it works entry by entry."""
        touched = int(self._touched(name, {}).sum())
        return math.prod(self.shapes[name]) * touched / math.prod(self.shape)

    def _reach(self, name: str, at: Changes) -> tuple[int, int]:
        """Outputs and inputs of the weight that one entry of a parameter reaches."""
        touched = np.moveaxis(self._touched(name, at), self.outputs, range(len(self.outputs)))
        touched = touched.reshape(math.prod(touched.shape[: len(self.outputs)]), -1)
        return int(touched.any(axis=1).sum()), int(touched.any(axis=0).sum())

    def _touched(self, name: str, at: Changes) -> Array:
        """Entries of the weight that one entry of a parameter reaches: the entry that reaches most, of a few."""
        size = math.prod(self.shapes[name])
        found: list[Array] = []
        for place in np.unique(np.linspace(0, size - 1, _PROBES).astype(int)):
            hot = np.zeros(size)
            hot[place] = 1.0
            found.append(self.run({**at, name: hot.reshape(self.shapes[name])}) != 0)
        return max(found, key=lambda touched: int(touched.sum()))

    def _ones(self, names: Iterable[str]) -> dict[str, Array | float]:
        return {name: np.ones(self.shapes[name]) for name in names}


def _evaluated(function: Function, values: Values) -> Array:
    """What is unknown, or undefined, as 0 / 0 in a standardized zero, counts as nothing."""
    found = function.values(values)
    return np.zeros(1) if found is UNKNOWN else np.nan_to_num(np.asarray(found, np.float64), nan=0.0)


def _rms(values: Array) -> float:
    with np.errstate(all="ignore"):
        return math.sqrt(float(np.mean(np.square(values))))


def _axes(shape: tuple[int, ...]) -> int:
    return sum(size > 1 for size in shape)


def _passes(size: float) -> str:
    return "" if abs(size - 1) < 1e-6 else f"what is computed from it is {size:.4g} times as large"


def _unit(names: Iterable[str]) -> dict[str, Part]:
    return {name: Part("one", "multiplies the weight: starts at 1") for name in names}


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function changes its sign."""
    from scipy.optimize import brentq  # loaded on use: SciPy costs more to import than all of wellbegun

    found: float = brentq(function, low, high, xtol=1e-300, rtol=1e-15)
    return found
