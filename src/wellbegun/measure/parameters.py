"""What parameters hold and what gradients they get, as plain numbers."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from wellbegun._typing import Array
from wellbegun.backend import Handle, Session
from wellbegun.graph import WEIGHTED, ModelGraph, Operation, Role
from wellbegun.graph.function import UNKNOWN
from wellbegun.graph.walk import ancestors, around, backward, cut_off_by, descendants, forward, of_the_batch
from wellbegun.health import ParameterStats
from wellbegun.measure.forward import HALF_RANGE
from wellbegun.measure.samples import Rows, different, digest, is_finite, outlying, size_of, twins
from wellbegun.theory.spectrum import EDGE

_FACTORS = frozenset({"weight", "derived", "scale", "norm_scale"})  # of zero they pass nothing, either way
_RANDOM = 16  # least entries of which it can be said that they look random
_LEAST = 2.0**-24  # smallest float16 above zero
_FAR = 1e-4  # RMS of a gradient above which few of its entries are that small
_LOOKED_AT = 8  # weights whose singular values are
_ENTRIES = 4096  # of a gradient that are looked at for underflow, or of a factor that is computed
_STEP = 1e-3  # by which zeros are moved


@dataclass(frozen=True)
class Gradient:
    """One gradient in numbers."""

    size: float  # its length as a vector
    finite: bool
    underflow: float | None  # share of its live entries that float16 cannot hold, if it is small at all
    rows: Array | None = None  # hashes of the rows of units, where some units are equal
    digest: int | None = None  # of all of it, where the parameter equals another one


class ParameterStatistics:
    """What the parameters of a model hold; found before the backward pass, which gives the rest."""

    def __init__(self, session: Session, roles: Mapping[str, Role], arrived: Mapping[int, float]) -> None:
        self.roles, self.trained = roles, session.trained
        self.arrived = arrived  # operation -> norm of the gradient at its output, as far as they have come
        self.handles = {name: session.parameter(name) for name in roles}
        self.rows = {name: r for name, role in roles.items() if (r := _units(self.handles[name], role)) is not None}
        self.different = {name: different(rows) for name, rows in self.rows.items()}
        self.equal = _equal_tensors(session, self.handles)
        self.gradients: dict[str, Gradient] = {}
        self.zero = {name for name in self.rows if not self.handles[name].largest()}

    def receive(self, name: str, gradient: Handle) -> None:
        """Take the gradient of a parameter when it arrives."""
        size = gradient.norm()
        far = size > _FAR * max(size_of(gradient), 1) ** 0.5
        finite = is_finite(gradient, size)
        rows = self.rows.get(name)
        arrived = _units(gradient, self.roles[name]) if rows is not None and self.different[name] < len(rows) else None
        same = finite and (name in self.equal or name in self.equal.values())
        self.gradients[name] = Gradient(
            size,
            finite,
            None if far else _underflow(gradient),
            None if arrived is None else arrived.hashes(),
            digest(gradient) if same else None,
        )

    def signs_of_training(self) -> str:
        """What shows that the values were trained, by themselves; "" if nothing does."""
        spread: dict[str, list[bool]] = {}  # of what a norm starts with one number for: scales, and shifts beside them
        for name, role in self.roles.items():
            if role.role in ("norm_scale", "norm_shift") and size_of(self.handles[name]) >= _RANDOM:
                spread.setdefault(role.role, []).append(bool(np.ptp(self.handles[name].entries(_RANDOM))))
        if "norm_scale" in spread:
            all_of_them = all(2 * sum(found) > len(found) for found in spread.values())
            return "its normalizations are not as constructed" if all_of_them else ""
        # a readout has as many directions as units, and training enlarges them all
        drawn = [
            name
            for name, r in self.rows.items()
            if self.different[name] == len(r) > 1 and self.roles[name].role != "readout"
        ]
        looked_at = (outlying(self.rows[name]) for name in drawn[:: -(-len(drawn) // _LOOKED_AT) or 1])
        found = [size > EDGE for size in looked_at if not math.isnan(size)]
        return "its weights have directions that no random ones have" if found and 2 * sum(found) >= len(found) else ""

    def stats(self, graph: ModelGraph, wanted: frozenset[int] | None) -> tuple[ParameterStats, ...]:
        """One for each parameter that stands for itself. `wanted`: the values a loss is taken of, if that can be
        told."""
        leading = None if wanted is None else {o.index for o in backward(graph, wanted)}
        beside = frozenset() if wanted is None else _beside(graph, wanted)
        stats, designed, blind = [], self.by_design(graph), _blind(graph, leading or ())
        stuck = self._stuck(graph)
        for name in self.roles:
            uses = [operation for operation, _ in graph.uses_of(name)]
            own = name in self.trained  # not computed from others, and trained
            facts = {
                "trainable": own,
                "used": bool(uses) or not own or name in graph.returned,
                "elsewhere": name in graph.returned or any(o.index in beside for o in uses),
                "reaches": None
                if leading is None
                else blind or (any(o.index in leading for o in uses) and not any(o.index in beside for o in uses)),
                "by_design": name in designed,
                "stuck": name in stuck,
                "combined": any(u.computed is not None and len(u.computed.shapes) > 1 for _, u in graph.uses_of(name)),
                "weighs": any(o.kind in WEIGHTED and u.slot != "bias" for o, u in graph.uses_of(name)),
            }
            stats.append(self._parameter(name, facts))
        return tuple(stats)

    def by_design(self, graph: ModelGraph) -> set[str]:
        """Weights of zero with a way around them that get a gradient, or will when zeros behind or before them have
        left zero, or another loss is taken."""
        uses = {name: {operation.index for operation, _ in graph.uses_of(name)} for name in self.zero}
        awake = {name for name in self.zero if self._awake(name)}
        designed, dead = set(), self._dead(graph)
        for name in self.zero - dead:
            made = {value for index in uses[name] for value in graph.operations[index].outputs}
            ends = (made | descendants(graph, made)).intersection(graph.outputs)  # others lead around anything
            if not uses[name] or not around(graph, uses[name], ends):
                continue
            unasked = name in self.trained and name not in self.gradients  # by the loss
            if name in awake or unasked or self._woken(graph, uses[name], set().union(*(uses[o] for o in awake))):
                designed.add(name)
        return designed

    def _woken(self, graph: ModelGraph, uses: Collection[int], awake: Collection[int]) -> bool:
        """Whether weights of zero, used here, get a gradient once others of zero have left it: those behind, which send
        one back, or those before, where one arrives already and nothing but zeros come in."""
        own = [graph.operations[index] for index in uses]
        before = backward(graph, [value for o in own for value in o.inputs])
        if any(self.arrived.get(index) for index in uses) and any(o.index in awake for o in before):
            return True
        behind = forward(graph, [value for o in own for value in o.outputs])
        return not self._alike(graph, uses) and any(operation.index in awake for operation in behind)

    def _alike(self, graph: ModelGraph, uses: Collection[int]) -> bool:
        """Whether all units of weights of zero go through functions into weights alone: these see one unit, and so will
        never tell them apart. Biases that differ would."""
        through = frozenset({"move", "pointwise", "norm", "shift"})
        outputs = [value for index in uses for value in graph.operations[index].outputs]
        readers = forward(graph, outputs, lambda reader: reader.kind in through, nearest=True)
        ends = [reader for reader in readers if reader.kind not in through]
        beside = (self.handles.get(use.parameter) for index in uses for use in graph.operations[index].uses)
        differ = any(handle is not None and np.ptp(handle.entries(_RANDOM)) for handle in beside)
        return bool(ends) and all(reader.kind in WEIGHTED for reader in ends) and not differ

    def _stuck(self, graph: ModelGraph) -> set[str]:
        """Parameters of zero from which, with others of zero, something is computed that no step moves: a product of
        them, or a square. A gradient arrives there, and none at them."""
        found = set[str]()
        for operation in graph.operations:
            live = bool(self.arrived.get(operation.index)) or any(self._awake(u.parameter) for u in operation.uses)
            live = live or (operation.index not in self.arrived and self._flat(graph, operation))
            made = [use.parameter for use in operation.uses if use.computed is not None or not use.exact]
            zero = {name for name in made if name in self.trained and not self.handles[name].largest()}
            if live and zero and not any(self._awake(name) or name not in self.gradients for name in zero):
                found |= zero
        return found - {use.parameter for o in graph.operations for use in o.uses if self._awake(use.parameter)}

    def _flat(self, graph: ModelGraph, operation: Operation) -> bool:
        """Whether a factor is computed of zeros so that none of them changes it, where a gradient arrives behind it."""
        computed = next((use.computed for use in operation.uses if use.computed is not None), None)
        if operation.kind != "scale" or computed is None or math.prod(computed.shape) > _ENTRIES:
            return False
        held = {name: self.handles[name].array() for name in computed.shapes if name in self.handles}
        zero = [name for name in held if not self.handles[name].largest()]
        steps = [[{**held, name: held[name] + step} for step in (_STEP, -_STEP)] for name in zero]
        ends = [[computed.function.values(one) for one in both] for both in steps]
        if not ends or any(one is UNKNOWN for both in ends for one in both):
            return False
        ahead = forward(graph, operation.outputs, lambda reader: reader.index not in self.arrived)
        return all(np.array_equal(*both) for both in ends) and any(self.arrived.get(o.index) for o in ahead)

    def _dead(self, graph: ModelGraph) -> set[str]:
        """Weights and factors of zero that get no gradient and never will: each lies behind another, or before it."""
        of_it = {n: {o.index for o, use in graph.uses_of(n) if use.slot in _FACTORS} for n in self.handles}
        silent = {n: own for n, own in of_it.items() if own and not self._awake(n) and not self.handles[n].largest()}
        starts = of_the_batch(graph).union(*(o.outputs for o in graph.operations if not o.inputs))
        wakes = {*silent}
        while wakes:
            shut = frozenset[int]().union(*silent.values())
            open_ = _before(graph, starts, shut) - cut_off_by(graph, shut, graph.outputs)
            wakes = {name for name, own in silent.items() if own & open_ and name in self.trained}
            silent = {name: own for name, own in silent.items() if name not in wakes}
        return {*silent}

    def _awake(self, name: str) -> bool:
        found = self.gradients.get(name)
        return found is not None and bool(found.size)

    def _parameter(self, name: str, facts: dict[str, bool | None]) -> ParameterStats:
        role, handle, gradient = self.roles[name], self.handles[name], self.gradients.get(name)
        rows, distinct = self.rows.get(name), self.different.get(name, 0)
        units, locked = 0 if rows is None else len(rows), 0
        if rows is not None and gradient is not None and gradient.rows is not None:
            locked = twins(rows, gradient.rows)
        size, slope = handle.norm(), None if gradient is None else gradient.size
        root = math.sqrt(max(size_of(handle), 1))
        return ParameterStats(
            role.parameter.name,
            role.role,
            size / root,
            is_finite(handle, size),
            slope,
            gradient is None or gradient.finite,
            units,
            distinct,
            locked,
            role.ends_branch,
            gradient_rms=None if slope is None else slope / root,
            update=slope / size if slope is not None and size else None,
            largest=None if size < HALF_RANGE else handle.largest(),
            underflow=None if gradient is None else gradient.underflow,
            twin=self.equal.get(name, ""),
            twin_beside=name in self.equal and self._locked(name, self.equal[name]),
            **facts,  # type: ignore[arg-type]
        )

    def _locked(self, name: str, other: str) -> bool:
        """Whether two equal tensors will stay so, because they get the same gradient."""
        one, two = self.gradients.get(name), self.gradients.get(other)
        if one is None or two is None or one.digest is None or not one.size:
            return False
        return one.digest == two.digest


def _underflow(gradient: Handle) -> float | None:
    some = np.abs(gradient.entries(_ENTRIES)).astype(np.float64)
    live = np.count_nonzero(some > 0)
    return (live - np.count_nonzero(some >= _LEAST)) / live if live else None


def _units(handle: Handle, role: Role) -> Rows | None:
    """One row for each output unit, with everything that comes in; None for what has no units."""
    if role.layout is None or not {"i", "o"} <= set(role.layout.axes) or not role.is_weight or not size_of(handle):
        return None
    outputs = sum(role.layout.axes.count(letter) for letter in "eo")
    return Rows(handle.transposed(role.layout.canonical), outputs)


def _before(graph: ModelGraph, starts: Iterable[int], shut: Collection[int]) -> set[int]:
    """Operations that values reach, as far as those that are shut."""
    return {operation.index for operation in forward(graph, starts, lambda operation: operation.index not in shut)}


def _blind(graph: ModelGraph, leading: Collection[int]) -> bool:
    """Whether what these operations give depends on nothing of the batch: it was lost, as in other arrays."""
    made = {value for operation in graph.operations for value in operation.outputs}
    used = {value for index in leading for value in graph.operations[index].inputs}
    return bool(leading) and used <= made


def _beside(graph: ModelGraph, wanted: frozenset[int]) -> frozenset[int]:
    """Operations on which other outputs depend that these do not: another loss, such as that of a codebook."""
    others = set(graph.outputs) - ancestors(graph, wanted)
    return frozenset(operation.index for operation in backward(graph, others))


# ---------------------------------------------------------------------- equal tensors
def _equal_tensors(session: Session, handles: Mapping[str, Handle]) -> dict[str, str]:
    """Parameter -> an earlier one with the same random numbers."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, handle in handles.items():
        if size_of(handle) >= _RANDOM and handle.kind == "real":
            key = tuple(handle.entries(8)[:8].tolist())
            if len(set(key)) > 2:  # no constant
                groups.setdefault((handle.shape, key), []).append(name)
    equal: dict[str, str] = {}
    for names in groups.values():
        for position, name in enumerate(names[1:], 1):
            own = session.read(name)
            for other in names[:position]:
                if np.array_equal(own, session.read(other)) and _looks_random(own):
                    equal[name] = other
                    break
    return equal


def _looks_random(values: Array) -> bool:
    """Many different numbers, in no order: constants, ramps, tables of sines and identities are equal on purpose."""
    some = values.reshape(-1)[:4096].astype(np.float64)
    if not len(some) or len(np.unique(some)) < 0.5 * len(some) or not np.isfinite(some).all():
        return False
    lines = [some] if values.ndim < 2 else [some, values.reshape(len(values), -1)[:, 0].astype(np.float64)]
    return all(_unordered(line) for line in lines)


def _unordered(line: Array) -> bool:
    """Whether it turns as often as random numbers do, to five standard errors."""
    n, steps = len(line), np.diff(line)
    turns = np.count_nonzero(steps[1:] * steps[:-1] < 0)
    return bool(n < _RANDOM or abs(turns - 2 * (n - 2) / 3) < 5 * math.sqrt((16 * n - 29) / 90))
