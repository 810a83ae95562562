"""Where values stop being finite: a second pass, of models in which that happens, with every operation looked at."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from wellbegun.backend import Effect, Handle, Loss, OwnLoss, Place, Session
from wellbegun.graph import ModelGraph, Operation
from wellbegun.health import BufferStats, Origin
from wellbegun.measure.losses import made_up_of

_HUGE = 1e20  # magnitude that memory nobody has written to often holds, and computed constants never
_SOME = 4096  # entries of a buffer that are looked at


class Range(NamedTuple):
    """What a value holds."""

    low: float
    high: float
    zeros: int
    least: int  # entries that are -inf, as masks put them
    bad: bool  # whether any is nan or +inf

    @classmethod
    def of(cls, handle: Handle) -> "Range":
        """Of a value of any kind; complex ones by magnitude."""
        values = handle.array()
        values = np.abs(values) if handle.kind == "complex" else values.astype(np.float64)
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
        bad = bool((np.isnan(values) | (values == np.inf)).any())
        return cls(low, high, int(np.count_nonzero(values == 0)), int(np.count_nonzero(values == -np.inf)), bad)

    def __str__(self) -> str:
        known = [] if math.isnan(self.low) else [f"[{self.low:.3g}, {self.high:.3g}]"]
        rest = [f"{self.zeros} zeros"] * bool(self.zeros) + [f"{self.least} of -inf"] * bool(self.least)
        return " with ".join([*known, " and ".join(rest)] if rest else known)


class _Watch:
    """The first operation that makes nan or inf of what is finite, and what came into each."""

    def __init__(self) -> None:
        self.came: dict[int, tuple[Range, ...]] = {}  # operation -> its inputs
        self.first: Operation | None = None
        self._made: dict[int, Operation] = {}  # value -> the operation whose -inf it holds

    def __call__(self, operation: Operation, inputs: Sequence[Handle], outputs: Sequence[Handle]) -> tuple[Effect, ...]:
        came = tuple(Range.of(handle) for handle in inputs if handle.kind != "integer")
        self.came[operation.index] = came
        made = [Range.of(handle) for handle in outputs if handle.kind != "integer"]
        if self.first is None and any(one.bad for one in made) and not any(one.bad for one in came):
            self.first = self._begun(operation)
        for value, one in zip(operation.outputs, made, strict=False):
            if one.least:
                before = (self._made[v] for v in operation.inputs if v in self._made)
                self._made[value] = next(before, operation)
        return ()

    def _begun(self, operation: Operation) -> Operation:
        """Where -inf came from, if it is no mask: logarithms of zero."""
        found = next((self._made[value] for value in operation.inputs if value in self._made), operation)
        masked = found.kind in ("move", "shift", "add") or operation.kind in ("softmax", "attention")
        return operation if masked else found

    def told(self, operation: Operation) -> str:
        """The numbers of its inputs."""
        return " and ".join(map(str, self.came.get(operation.index, ()))) or "no values of the batch"


def origin_of(session: Session, loss: Loss | OwnLoss | None) -> Origin | None:
    """Where the first value, or the first gradient on the way back, is not finite; None if all are."""
    watch, arrived = _Watch(), dict[int, bool]()
    session.forward(watch, everywhere=True)
    graph = session.graph
    if watch.first is not None:
        scope, buffers = watch.first.scope, session.buffers
        beside = (f", {n} in {Range.of(b)}" for n, b in buffers.items() if n.rpartition(".")[0] == scope)
        return _of(watch.first, f"its input is in {watch.told(watch.first)}{''.join(beside)}")
    output = Range.of(session.output)
    if output.bad:
        return None
    given = made_up_of(session).loss if loss is None else loss
    if not np.isfinite(session.judge(given).value):
        return Origin("loss", f"the model's output is finite, in {output}", operation=False)
    names: dict[str, bool] = {}

    def receive(place: Place, gradient: Handle) -> None:
        if isinstance(place, str):
            names[place] = gradient.finite()
        else:
            arrived[place] = arrived.get(place, True) and gradient.finite()

    session.backward("loss", receive)
    return _backward(graph, watch, arrived, names, output)


def _backward(
    graph: ModelGraph, watch: _Watch, arrived: Mapping[int, bool], names: Mapping[str, bool], output: Range
) -> Origin | None:
    broken = [index for index, finite in arrived.items() if not finite]
    if not broken:
        name = next((name for name, finite in names.items() if not finite), None)
        uses = () if name is None else [operation for operation, _ in graph.uses_of(name)]
        return _of(uses[-1], f"the gradient of {name}; the input is in {watch.told(uses[-1])}") if uses else None
    last = graph.operations[max(broken)]
    readers = {reader.index: reader for value in last.outputs for reader in graph.consumers.get(value, ())}
    culprit = next((reader for index, reader in readers.items() if arrived.get(index)), None)
    if culprit is None and not readers:
        return Origin("loss", f"its gradient at the model's output, which is in {output}", operation=False)
    culprit = culprit or next(iter(readers.values()))
    return _of(culprit, f"the gradient at its input, which is in {watch.told(culprit)}")


def _of(operation: Operation, detail: str) -> Origin:
    return Origin(operation.place, detail, next((use.parameter for use in operation.uses), ""))


# ---------------------------------------------------------------------- buffers
def buffer_stats(buffers: Mapping[str, Handle]) -> tuple[BufferStats, ...]:
    """Of what memory seems to hold that nobody has written to: nan, +inf, or numbers of all sizes up to huge ones."""
    found = []
    for name, handle in buffers.items():
        values = handle.entries(_SOME).astype(np.float64)
        known = values[np.isfinite(values)]
        huge = known[np.abs(known) > _HUGE]
        bound = bool((values == np.inf).all())  # of an interval that is open
        bad = 0 if bound else int(np.count_nonzero(np.isnan(values) | (values == np.inf)))
        if bad or len(np.unique(huge)) > 1 or (huge > 0).any():  # one negative number is a mask
            low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
            found.append(BufferStats(name, low, high, bad))
    return tuple(found)
