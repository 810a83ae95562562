"""Theory beside measurement for every operation of a planned model."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from wellbegun._display import Displayed
from wellbegun.graph import WEIGHTED, Analysis, ModelGraph, Operation, roles_of
from wellbegun.planning.plan import Plan
from wellbegun.planning.propagation.backward import Backward, Sent
from wellbegun.planning.propagation.forward import Forward, Step
from wellbegun.planning.propagation.measured import Measured, Measurement
from wellbegun.planning.propagation.weights import Laws, Unpredictable
from wellbegun.theory import Signal

LIMIT = 5.0  # standard errors
_ROUNDING = 1e-3  # relative, of single precision over many terms
_UNITS = 8  # fewer than these are no sample


@dataclass(frozen=True)
class Quantity:
    """One number three ways. `theory` counts from the batch, or from the last operation that theory does not reach;
    `expected` from what was measured just before; `noise` and `error` are their standard errors (relative ones for
    second moments)."""

    theory: float | None = None
    measured: float | None = None
    expected: float | None = None
    noise: float | None = None
    error: float | None = None
    relative: bool = True

    @property
    def deviations(self) -> tuple[float, ...]:
        """Standard errors that the measured value is off, for each value of theory that can be judged."""
        pairs = (self.expected, self.error), (self.theory, self.noise)
        return tuple(
            _off(self.measured, value, error, self.relative)
            for value, error in pairs
            if self.measured is not None and value is not None and error is not None
        )

    @property
    def flagged(self) -> bool:
        """Whether a deviation is beyond 5 standard errors."""
        return any(not abs(off) <= LIMIT for off in self.deviations)


@dataclass(frozen=True)
class OperationSignal:
    """One operation: `second` (E x^2 of its output), `correlation` of two inputs there, and for weights `gradient`,
    its second moment in units of that at the last hidden weight. `reason`: why theory does not say something."""

    index: int
    place: str
    kind: str
    parameter: str
    second: Quantity
    correlation: Quantity
    mean: float | None
    gradient: Quantity | None = None
    reason: str = ""

    @property
    def flagged(self) -> bool:
        """Whether anything is off by more than its noise explains."""
        quantities = (self.second, self.correlation, self.gradient)
        return any(quantity is not None and quantity.flagged for quantity in quantities)


@dataclass(frozen=True, repr=False)
class SignalPropagation(Displayed):
    """A row for every operation, in order of execution. `wellbegun.show` prints them."""

    rows: tuple[OperationSignal, ...]
    recipe: str

    def __iter__(self) -> Iterator[OperationSignal]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        known = sum(row.second.theory is not None for row in self.rows)
        return f"<SignalPropagation of {self.recipe}: {known} of {len(self)} operations, {len(self.flagged)} off>"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {"recipe": self.recipe, "rows": [{**asdict(row), "flagged": row.flagged} for row in self.rows]}

    @property
    def flagged(self) -> tuple[OperationSignal, ...]:
        """Rows where measurement and theory differ by more than 5 standard errors."""
        return tuple(row for row in self.rows if row.flagged)


def signal_propagation(
    graph: ModelGraph, plan: Plan, measurement: Measurement | None = None, *, start: Signal | None = None
) -> SignalPropagation:
    """What theory says about every operation of a model filled by a plan, beside what was measured.

    Args:
        graph, plan: Of the same model.
        measurement: What was measured; without it every value counts from the batch, and nothing is known after
            an operation that theory does not reach. With it, theory goes on from what was measured there.
        start: Moments of the batch where none were measured: E x^2 = 1, mean and overlap 0 by default.
    """
    return _Walk(Analysis.of(graph), plan, measurement or Measurement(), start or Signal()).run()


class _Walk:
    def __init__(self, graph: Analysis, plan: Plan, measurement: Measurement, start: Signal) -> None:
        self.graph, self.plan, self.measurement = graph, plan, measurement
        shapes = {value: seen.shape for value, seen in measurement.values.items()}
        self.forward = Forward(graph, Laws(plan), shapes)
        self.chain: dict[int, Signal] = {}  # counted from the batch
        self.known: dict[int, Signal] = {}  # as measured where it was
        self.noise: dict[int, tuple[float, float]] = {}  # variances of the chain: relative, of the correlation
        self.error: dict[int, tuple[float, float]] = {}  # of the measured value itself
        self.steps: dict[int, Step] = {}
        produced = graph.producers
        for value in {v for o in graph.operations for v in o.inputs if v not in produced}:
            self._restart(value, start)

    def _restart(self, value: int, fallback: Signal | None) -> None:
        """Go on from what was measured."""
        seen = self.measurement.values.get(value)
        signal = seen.signal._replace(twin=None, cross=None) if seen is not None else fallback
        if signal is not None:
            self.chain[value] = self.known[value] = signal
            self.noise[value] = self.error[value] = (0.0, 0.0)

    def run(self) -> SignalPropagation:
        rows = [self._row(operation) for operation in self.graph.operations]
        shown = [row for row in rows if row.kind != "statistic"]
        sent = self._backward()
        weights = {index: self._gradient(index, found) for index, found in sent.items()}
        final = [_with(row, weights.get(row.index)) for row in shown]
        return SignalPropagation(tuple(final), self.plan.recipe)

    # ------------------------------------------------------------------ forward
    def _row(self, operation: Operation) -> OperationSignal:
        reason, value = "", operation.outputs[0] if operation.outputs else -1
        seen = self.measurement.values.get(value)
        far = near = None
        try:
            far = self.forward.step(operation, self.chain)
            near = self._near(operation, far)
        except Unpredictable as why:
            reason = str(why)
            for output in operation.outputs:
                self._restart(output, None)
        if far is None or near is None:
            second = Quantity(measured=seen.signal.second if seen else None)
            correlation = Quantity(measured=seen.signal.correlation if seen else None, relative=False)
        else:
            self.steps[operation.index] = near
            second, correlation = self._advance(operation, value, far, near, seen)
            if far.signal.overlap is None and not reason:
                reason = "correlation: what the samples are changes here"
        names = [use.parameter for use in operation.uses if use.slot in ("weight", "table")]
        mean = far.signal.mean if far is not None else None
        return OperationSignal(
            operation.index, operation.place, operation.kind, names[0] if names else "", second, correlation, mean,
            None, reason,
        )  # fmt: skip

    def _near(self, operation: Operation, far: Step) -> Step:
        """A step from what was measured."""
        if not self.measurement.values:
            return far
        try:
            return self.forward.step(operation, self.known)
        except Unpredictable:
            if operation.kind != "move":
                raise
            return replace(far, judged=False)  # parts that are alike in theory differ a little

    def _advance(
        self, operation: Operation, value: int, far: Step, near: Step, seen: Measured | None
    ) -> tuple[Quantity, Quantity]:
        """Write down a step, and compare it."""
        sources = [operation.root] if operation.kind == "pointwise" and operation.root else [*operation.inputs]
        noise = _worst(self.noise[source] for source in sources if source in self.noise)
        before = _worst(self.error[source] for source in sources if source in self.error)
        own = _own(seen) if seen is not None and near.judged else (0.0, 0.0)
        if near.judged and not near.exact:
            scale = max(abs(near.growth), 0.0) ** 2, near.contrast**2
            own = own[0] + scale[0] * before[0], own[1] + scale[1] * before[1]
        total = noise[0] * far.growth**2 + own[0], noise[1] * far.contrast**2 + own[1]
        self.chain[value], self.noise[value] = far.signal, total
        self.known[value], self.error[value] = (
            near.signal,
            _worst([before] if operation.kind == "move" and near.judged else []),
        )
        if seen is None:
            return Quantity(far.signal.second), Quantity(far.signal.correlation, relative=False)
        self._take(value, far, near, seen)
        judged = near.judged and seen.units >= _UNITS
        one, two = (own, total) if judged else ((None, None), (None, None))
        second = Quantity(
            far.signal.second, seen.signal.second, near.signal.second, _root(two[0], True), _root(one[0], True)
        )
        correlation = Quantity(
            far.signal.correlation, seen.signal.correlation, near.signal.correlation, _root(two[1], False),
            _root(one[1], False), relative=False,
        )  # fmt: skip
        return second, correlation

    def _take(self, value: int, far: Step, near: Step, seen: Measured) -> None:
        """What follows one step counts from what was measured; pairs stay pairs."""
        paired = near.signal.twin is not None
        twin, cross = (seen.signal.twin, seen.signal.cross) if paired else (None, None)
        self.known[value] = seen.signal._replace(
            normal=near.signal.normal, twin=twin, cross=cross, apart=near.signal.apart
        )
        self.error[value] = _worst([_own(seen), self.error[value]]) if near.judged else (0.0, 0.0)
        if far.signal.overlap is None:  # nothing to count on from: begin anew
            self.chain[value] = self.chain[value]._replace(
                overlap=seen.signal.overlap, cross=cross, scatter=seen.signal.scatter
            )
            self.noise[value] = self.noise[value][0], 0.0

    # ------------------------------------------------------------------ backward
    def _backward(self) -> dict[int, Sent]:
        start = self.measurement.sent if self.measurement.sent is not None else self._last_hidden()
        if start is None:
            return {}
        return Backward(self.graph, self.forward, self.steps, self.known, self.measurement.gradients).run(start)

    def _last_hidden(self) -> int | None:
        """The last weight that is no readout."""
        roles = roles_of(self.graph)
        found = [
            operation.index
            for operation in self.graph.operations
            if operation.kind in WEIGHTED
            and any(use.parameter in roles and roles[use.parameter].role != "readout" for use in operation.uses)
            and not any(use.parameter in roles and roles[use.parameter].role == "readout" for use in operation.uses)
        ]
        return found[-1] if found else None

    def _gradient(self, index: int, sent: Sent) -> tuple[Quantity, str]:
        seen = self.measurement.gradients.get(index)
        chain = sent.chain.second if sent.chain is not None else None
        if seen is None:
            return Quantity(chain), sent.reason
        own = seen.error**2
        one = sent.one.second if sent.one is not None else None
        errors = [
            None if side is None or seen.units < _UNITS else _root(side.noise + own, True)
            for side in (sent.chain, sent.one)
        ]
        return Quantity(chain, seen.signal.second, one, errors[0], errors[1]), sent.reason


def _with(row: OperationSignal, gradient: tuple[Quantity, str] | None) -> OperationSignal:
    if gradient is None:
        return row
    return replace(row, gradient=gradient[0], reason=row.reason or (gradient[1] and f"gradient: {gradient[1]}"))


def _own(seen: Measured) -> tuple[float, float]:
    return seen.error**2, seen.contrast_error**2


def _worst(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    found = list(pairs)
    return max((pair[0] for pair in found), default=0.0), max((pair[1] for pair in found), default=0.0)


def _root(variance: float | None, relative: bool) -> float | None:
    """Standard error, never below rounding."""
    return None if variance is None else math.sqrt(variance + (_ROUNDING**2 if relative else 1e-8))


def _off(measured: float, theory: float, error: float, relative: bool) -> float:
    if not relative:
        return (measured - theory) / error
    if measured <= 0 or theory <= 0:
        return 0.0 if max(measured, theory) < 1e-30 else math.inf
    return math.log(measured / theory) / error
