"""What was constructed on purpose: values that are not what their layer, or the model as a whole, starts with.

A sample of each parameter is compared with the constructor's law of its layer type, never its name with a list. Values
that are all alike, follow a pattern, lie off centre or are far from the usual size were put there by somebody. Where
most of a model looks like memory that nothing was written to, or like trained weights, nothing is evidence.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from types import MappingProxyType
from typing import Literal

import numpy as np

from wellbegun._typing import Array
from wellbegun.graph import WEIGHTED, Analysis, Operation, Parameter, Role
from wellbegun.graph.attention import attentions_of
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import around, forward, weights_before
from wellbegun.layout import Layout
from wellbegun.schemes import Scheme, fan_in_uniform, normal, ones, zeros
from wellbegun.theory.spectrum import EDGE, beyond_chance

INTENTS = ("auto", "keep", "overwrite")
SAMPLE = 4096
"""Values that are looked at of each parameter."""
FAR = 8.0  # ratio of sizes from which a random tensor was scaled on purpose
FLAT = 1e-3  # change of a function over 4 units that is none
_OFF = 2.0  # means beyond so many standard deviations are no accident
_SMOOTH = 0.5  # correlation of neighbours from which values follow a pattern
_ROUNDED = 1e-7  # random values of that size are lost in the rounding of what they are added to
_BEYOND = 3.0  # times the bound of its layer: no bias that was drawn
_ONE_SIDE = 0.8  # mean over RMS of what lies on one side of 0, as phases from 0 to 2 pi do
_JOINED = frozenset({"move", "concat", "split"})  # a token is still itself behind them
_NOTHING_LEFT = "nothing of the signal would be left behind it"
_AUTHOR = "that nobody but its author chose"
_DIVIDED = "where queries hold what logits are not divided by: its author worked sizes out"
_NEAR = 1.25  # ratio of sizes that are meant to be equal
_MOST = 1e12  # what no constructor writes
_LEAST = 8  # values from which chance does not make a pattern
_MANY = 16  # values from which chance does not make them this small

Samples = Mapping[str, tuple[Array, int]]
What = Literal["nothing", "zero", "constant", "pattern", "smooth", "off centre", "random"]

# what layers start with, by what they use a parameter for: the constructor's law
CONSTRUCTED: Mapping[str, Scheme] = MappingProxyType(
    {"weight": fan_in_uniform(), "table": normal(std=1.0), "norm_scale": ones(), "norm_shift": zeros()}
)
_SCALES = frozenset({"norm_scale", "multiplier", "residual_scale", "distance_scale"})
_ADDED = frozenset({"bias", "norm_shift", "recurrent_bias", "recurrent_bias_input", "time_step_bias"})  # 0, or near it


@dataclass(frozen=True)
class Held:
    """What a parameter holds, told from a sample."""

    what: What
    size: float  # RMS
    mean: float

    def __str__(self) -> str:
        if self.what in ("zero", "nothing"):
            return self.what
        number = self.mean if self.what in ("constant", "off centre") else self.size
        return {
            "constant": f"the constant {number:.4g}",
            "pattern": f"a pattern of RMS {number:.2g}",
            "smooth": f"a pattern of RMS {number:.2g}",
            "off centre": f"values around {number:.2g}",
            "random": f"random values of RMS {number:.2g}",
        }[self.what]


def held_of(values: Array) -> Held:
    """What a sample shows: values in order, or rows of a matrix.

    >>> str(held_of(np.full(4, -4.5))), str(held_of(np.linspace(3, 6, 24)))
    ('the constant -4.5', 'a pattern of RMS 4.6')
    >>> held_of(np.random.default_rng(0).uniform(-1, 1, 99)).what
    'random'
    >>> held_of(np.sin(np.arange(32)[:, None] / 10 ** np.linspace(0, 4, 16))).what
    'smooth'
    """
    if not values.size:
        return Held("nothing", 0.0, 0.0)
    width, values = values.shape[-1] if values.ndim > 1 else 1, values.ravel()
    with np.errstate(over="ignore"):
        size = math.sqrt(float(np.square(values).mean()))
    if not size <= _MOST:  # nor where it is nan
        return Held("nothing", 0.0, 0.0)
    mean = float(values.mean())
    return Held(_what(values, mean, size, width), size, mean)


def _what(values: Array, mean: float, size: float, width: int) -> What:
    if size == 0:
        return "zero"
    if np.ptp(values) == 0:
        return "constant"
    spread = float(values.std())
    few = len(values) < _LEAST
    if pattern := _few_pattern(values) if few else _pattern(values, spread, width):
        return pattern
    bound = 10 if few else _OFF * (1 + 4 / math.sqrt(len(values)))
    return "off centre" if abs(mean) > bound * spread else "random"


def _few_pattern(values: Array) -> Literal["", "pattern"]:
    """Whether numbers come back, which drawn ones do not."""
    return "pattern" if len(values) > 3 and len(np.unique(values)) <= len(values) / 2 else ""


def _pattern(values: Array, spread: float, width: int) -> Literal["", "pattern", "smooth"]:
    """Whether there are few numbers, or one of them often, or each is near the one before, or above in a matrix."""
    numbers, counts = np.unique(values, return_counts=True)
    if np.array_equal(numbers, values) or np.array_equal(numbers[::-1], values):
        return "pattern"  # in order
    if len(numbers) <= len(values) / 4 or counts.max() >= max(len(values) / 8, 3):
        return "pattern"
    centred = (values - values.mean()) / spread
    beside = {1, min(width, len(values) - 1)}
    alike = {lag: float((centred[lag:] * centred[:-lag]).mean()) for lag in beside}
    smooth = any(alike[lag] > max(_SMOOTH, 4 / math.sqrt(len(values) - lag)) for lag in beside)
    return "smooth" if smooth else ""


@lru_cache(1024)
def _constructed(slot: str, shape: tuple[int, ...], layout: Layout) -> float:
    """RMS of the constructor's law: layers repeat."""
    return math.sqrt(CONSTRUCTED[slot].law(shape, layout=layout).moments(layout.canonical_shape(shape)).variance)


# ---------------------------------------------------------------------- across the model
@inferred("what was constructed on purpose", lambda *_: ("", ()))
def purposes(
    graph: Analysis, roles: Mapping[str, Role], samples: Samples, every: bool
) -> tuple[str, tuple[tuple[str, str, bool], ...]]:
    """Why nothing in the model is evidence, "" where it is; and of all that was constructed on purpose its name, what
    was there and what is usual, and whether it stays.

    `every`: all stays; else what would leave units equal, or a layer silent, does not.
    """
    evidence = _Evidence(graph, roles, samples)
    return evidence.doubt, () if evidence.doubt else tuple(evidence.purposes(every=every))


class _Evidence:
    """What all parameters of a model hold, and what is usual there."""

    def __init__(self, graph: Analysis, roles: Mapping[str, Role], samples: Samples) -> None:
        self.graph, self.roles, self.samples = graph, roles, samples
        self.held = {name: held_of(values) for name, (values, _) in samples.items() if name in roles}
        self.doubt = self._doubt()
        self.divided = self._divided()
        self._usual: dict[str, list[tuple[float, float]]] = {}  # use in a layer -> sizes, and in units of its law
        for name, held in self.held.items():
            if held.what == "random" and (law := self._law_size(roles[name].parameter)):
                self._usual.setdefault(_slot(roles[name].parameter), []).append((held.size, held.size / law))

    def _doubt(self) -> str:
        """Why nothing in this model is evidence; "" where it is."""
        drawn = [held for name, held in self.held.items() if _slot(self.roles[name].parameter) in ("weight", "table")]
        scales = [held for name, held in self.held.items() if _slot(self.roles[name].parameter) == "norm_scale"]
        empty = [held for held in drawn if held.what != "random" or not 1e-12 < held.size < 1e6]
        if len(drawn) > 1 and len(empty) > len(drawn) / 2:
            return "most of its layers hold what no constructor writes, as memory does that nothing was written to"
        if scales and sum(held.what in ("random", "off centre", "nothing") for held in scales) > len(scales) / 2:
            return "its normalizations are not as constructed: it was trained, or its memory is used a second time"
        return ""

    def _divided(self) -> bool:
        """Whether no attention divides its logits by the root of their terms, and queries are as much smaller instead:
        then sizes were worked out, and those of other weights with them. A single term has no divisor."""
        found = [each for each in attentions_of(self.graph) if each.width > 1]
        sizes = [(self._drawn_size(each.query), self._drawn_size(each.key)) for each in found]
        return bool(found) and all(
            each.scale == 1 and key > 0 and 1 / _NEAR < query / key * math.sqrt(each.width) < _NEAR
            for each, (query, key) in zip(found, sizes, strict=True)
        )

    def _loud(self, role: Role, held: Held) -> bool:
        """Whether a readout, or a table that is one too, gives logits of more than unit size."""
        if role.role != "readout" and not role.shared_readout:
            return False
        shape = role.parameter.shape
        terms = (shape if role.layout is None else role.layout.canonical_shape(shape))[-1]
        return held.size * abs(role.readout_scale) * math.sqrt(terms) > _NEAR

    def _drawn_size(self, value: int | None) -> float:
        """RMS of the weight that gives a value, if it is one of random values; else 0."""
        before = () if value is None else weights_before(self.graph, value)
        names = {use.parameter for made in before for use in made.uses if use.slot == "weight"}
        held = self.held.get(names.pop()) if len(names) == 1 else None
        return held.size if held is not None and held.what == "random" else 0.0

    def _law_size(self, p: Parameter) -> float:
        """RMS of the constructor's law; 0 if it is not known."""
        if p.own is None or p.own.layout is None or p.own.slot not in ("weight", "table"):
            return 0.0
        return _constructed(p.own.slot, self.graph.parameters[p.name].shape, p.own.layout)  # not of what is computed

    def purposes(self, *, every: bool) -> Iterator[tuple[str, str, bool]]:
        """As `purposes` tells them."""
        told = {name: self._deviation(self.roles[name], held) for name, held in self.held.items()}
        # a layer that gives one answer first: zeros beside a bias that somebody chose
        answers = {_module(name) for name in told if told[name] and self.held[name].what in ("constant", "pattern")}
        faults = {name: "" if every else self._fault(self.roles[name], self.held[name]) for name in told if told[name]}
        faults |= {n: "" for n in faults if self.held[n].what == "zero" and _module(n) in answers}
        unset = {_module(name) for name, fault in faults.items() if fault and self.held[name].what == "zero"}
        for name, fault in faults.items():
            held = self.held[name]
            if not fault and not every and held.what == "zero" and _module(name) in unset:
                fault = "other weights beside it were never set"
            yield name, f"{held} {told[name]}{fault and f', but {fault}'}", not fault

    def _deviation(self, role: Role, held: Held) -> str:
        """How a parameter differs from what is usual; "" if it does not."""
        slot, layer = _slot(role.parameter), role.parameter.owner
        if held.what == "nothing" or role.parameter.unasked or role.role in ("unused", "unknown"):
            return ""
        if role.role in _SCALES or slot == "norm_scale":
            one = role.silent + 1 if role.role == "norm_scale" else role.unit  # what comes to mind there
            near = any(abs(held.mean - usual) < 1e-6 * max(abs(usual), 1) for usual in (role.unit, one))
            usual = held.what == "random" or near
            return "" if usual else f"where {role.unit:g} leaves a signal as it is"
        if (held.what == "zero" and role.role in _ADDED) or (role.role == "negative_slope" and held.mean == 0.25):
            return ""
        if self.divided and held.what == "random" and slot in ("weight", "table") and not self._loud(role, held):
            return _DIVIDED
        if held.what == "random" and slot == "table" and self._directed(role.parameter.name):
            return "whose rows resemble each other as drawn ones do not"
        if held.what == "random" and role.role in _ADDED and (bound := self._bound(role, held)) is not None:
            beyond = f"where one starts within {bound:.2g} of 0" if bound else _AUTHOR
            return beyond if held.size > _BEYOND * bound else ""
        if held.what == "random" and slot == "weight" and (designed := self._designed(role.parameter)):
            return designed
        few = slot in ("weight", "table") and held.what == "off centre" and _values(role.parameter) < _LEAST
        if few or held.what == "random" or (held.what == "smooth" and slot == "weight") or self._drawn(role, held):
            return self._smaller(role, held)
        return f"where a {layer} starts otherwise" if slot else _AUTHOR

    def _directed(self, name: str) -> bool:
        """Whether a table has directions that no drawn one has; those of other weights may come of a training."""
        values, _ = self.samples[name]
        return values.ndim == 2 and beyond_chance(values) > EDGE

    def _designed(self, p: Parameter) -> str:
        """What a square weight shows, where all of it is seen, that no drawn one does."""
        values, _ = self.samples[p.name]
        if values.shape != p.shape or values.ndim != 2 or len(set(p.shape)) > 1 or len(values) < 4:
            return ""
        if np.array_equal(values, values.T):
            return "which equals its transpose, as no drawn one does"
        around = values[~np.eye(len(values), dtype=bool)].std() * max(1.0, 6 / math.sqrt(len(values)))
        diagonal = len(values) >= _LEAST and abs(np.diag(values).mean()) > around
        return "around a diagonal, as no drawn one is" if diagonal else ""

    def _drawn(self, role: Role, held: Held) -> bool:
        """Whether one number, or a few near each other, may have been drawn at random."""
        if role.role not in _ADDED:
            single = held.what == "constant" and _values(role.parameter) == 1
            return single and role.layout is not None and role.is_weight and role.met is not None
        bound = self._bound(role, held)
        single = held.what == "off centre" or (held.what == "constant" and _values(role.parameter) == 1)
        return single and bound is not None and abs(held.mean) <= 1.001 * bound

    def _bound(self, role: Role, held: Held) -> float | None:
        """Largest bias that a layer draws, 1 / sqrt(fan in); 0 for one of no layer; None if the fan is not known."""
        if not _slot(role.parameter):
            alone = role.beside is None and role.role == "bias"
            one_sided = abs(held.mean) > _ONE_SIDE * held.size and _values(role.parameter) >= _LEAST
            phases = one_sided and held.size > 1
            return 0.0 if alone or phases or role.role == "time_step_bias" else None
        if _slot(role.parameter) != "bias" or role.beside is None or role.beside.layout is None:
            return None
        shape = role.beside.parameter.shape
        least = min(role.beside.layout.fans(shape).fan_in, math.prod(shape[1:]))  # transposed convolutions take these
        return 1 / math.sqrt(max(least, 1))

    def _smaller(self, role: Role, held: Held) -> str:
        """Random values far below the size of their law, and what is usual for their kind here, in a layer that ends
        the model or a branch; in others, and above, a size like that is a fault."""
        slot, law = _slot(role.parameter), self._law_size(role.parameter)
        sizes = self._usual.get(slot, ())
        if not law or not sizes or _values(role.parameter) < _MANY or not (role.role == "readout" or role.ends_branch):
            return ""
        expected = (law, median(size for size, _ in sizes), law * median(gain for _, gain in sizes))
        small = all(held.size * FAR < one for one in expected)
        return f"where those of a {role.parameter.owner} are of order {expected[2]:.2g} here" if small else ""

    def _fault(self, role: Role, held: Held) -> str:
        """Why values cannot be meant; "" if they can."""
        if role.role == "token" and held.what == "zero" and self._normed(role):
            return "a signal that is zero has no direction"
        if held.what == "random" and held.size < _ROUNDED:
            return "they are lost in rounding"
        itself = all(use.exact for _, use in self.graph.uses_of(role.parameter.name))  # and not the scale of a noise
        if role.role == "bias" and itself and held.what in ("constant", "off centre") and self._flat(role, held.mean):
            return "what follows does not respond there"
        if role.role == "norm_scale" and held.what == "zero" and not role.silent and self._only(role):
            return _NOTHING_LEFT
        if role.operation < 0 or role.layout is None or role.role in (*_ADDED, *_SCALES, "negative_slope"):
            return ""
        matrix = role.is_weight and min(role.layout.canonical_shape(role.parameter.shape)[-2:]) > 1
        if held.what == "constant" and (matrix or _slot(role.parameter) == "weight") and not self._varied(role):
            return "units that are all alike learn alike"
        operation = self.graph.operations[role.operation]
        if held.what != "zero" or operation.kind not in (*WEIGHTED, "lookup"):
            return ""
        if (role.role != "readout" and self._only(role)) or self._silences(operation.outputs[0]):
            return _NOTHING_LEFT
        return ""

    def _only(self, role: Role) -> bool:
        """Whether all of the signal goes through the operation of a parameter."""
        return role.operation >= 0 and not around(self.graph, {role.operation}, self.graph.outputs)

    def _normed(self, role: Role) -> bool:
        """Whether a token is normalized before a weight meets it."""
        given = () if role.operation < 0 else self.graph.operations[role.operation].outputs
        return any(o.kind == "norm" for o in forward(self.graph, given, self._passes))

    def _passes(self, operation: Operation) -> bool:
        """Whether a token of zeros is still that behind an operation, as behind positions that are zeros, too."""
        return operation.kind in _JOINED or (operation.kind == "shift" and self._zeros(operation))

    def _zeros(self, operation: Operation) -> bool:
        """Whether an operation uses parameters, and nothing but zeros."""
        held = [self.held.get(use.parameter) for use in operation.uses]
        return bool(held) and all(one is not None and one.size == 0 for one in held)

    def _varied(self, role: Role) -> bool:
        """Whether a parameter is a part of a weight of which another part differs from unit to unit."""
        uses = self.graph.operations[role.operation].uses
        parts = {use.parameter for use in uses if use.slot == "weight"} - {role.parameter.name}
        return any(name in self.held and self.held[name].what == "random" for name in parts)

    def _flat(self, role: Role, value: float) -> bool:
        """Whether the activation that a bias is before hardly changes around a value."""
        met = role.beside.met if role.beside is not None else None
        if met is None or met.function is None:
            return False
        low, high = np.asarray(met.function(np.array([value - 2, value + 2])), np.float64)
        return bool(abs(high - low) < FLAT)

    def _silences(self, value: int) -> bool:
        """Whether another weight reads nothing but a value that is 0; one of zeros may, where others read it too."""
        found, waiting, shut, elsewhere = set[int](), [value], False, False
        while waiting:
            for reader in self.graph.consumers.get(waiting.pop(), ()):
                if reader.kind in WEIGHTED:
                    if not self._zeros(reader):
                        return True
                    shut = True
                elif not (_keeps_zero(reader) or self._sums_given(reader)):
                    elsewhere = True
                elif reader.index not in found:
                    found.add(reader.index)
                    waiting.extend(reader.outputs)
        return shut and not elsewhere

    def _sums_given(self, operation: Operation) -> bool:
        """Whether an operation sums by what the batch gives, as the neighbours in a graph."""
        return operation.kind == "matmul" and any(self.graph.made(self.graph.plain(v)) < 0 for v in operation.inputs)


def _keeps_zero(operation: Operation) -> bool:
    """Whether what an operation gives says nothing of the signal where one of its inputs is 0."""
    if operation.kind == "shift":
        return bool(operation.uses)
    if operation.kind == "pointwise" and operation.function is not None:
        return bool(np.asarray(operation.function(np.zeros(1))).ravel()[0] == 0)
    return operation.kind in ("move", "scale", "gate", "norm", "pool", "mean", "split")


def _module(name: str) -> str:
    """Path of the module that holds a parameter."""
    return name.rpartition(".")[0]


def _values(p: Parameter) -> int:
    """How many values a parameter holds."""
    return math.prod(p.shape)


def _slot(p: Parameter) -> str:
    """What a layer of the framework's own uses a parameter for; "" for parameters of the user's own."""
    return p.own.slot if p.own is not None else ""
