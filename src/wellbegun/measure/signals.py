"""Random signals that are sent back, and how they grow on the way."""

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np

from wellbegun.backend import Session, Signal
from wellbegun.graph import ModelGraph, Role
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import backward
from wellbegun.laws import Normal
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.operations import weights
from wellbegun.measure.samples import drawn, size_of

_SENT = 1 << 20  # about how many entries a random signal has that is sent back
_TOLD = 8  # least entries of an output whose RMS says what is usual


def random_signal(shape: tuple[int, ...], *, complex: bool = False, most: int = _SENT) -> Signal:
    """Standard normal numbers, the same every time, for some of the rows where there are very many."""
    last = shape[-1] if shape else 1
    rows = math.prod(shape) // max(last, 1)
    every = max(math.prod(shape) // most, 1)
    dtype = "complex64" if complex else "float32"
    return Signal(drawn(Normal(0, 1), (-(-rows // every), last), "predict.signal", dtype), every)


def length_of(signal: Signal) -> float:
    """Its norm."""
    return float(np.linalg.norm(signal.rows.astype(np.complex128 if np.iscomplexobj(signal.rows) else np.float64)))


@inferred("the last hidden layer", lambda *_: None)
def last_hidden(graph: ModelGraph, roles: Mapping[str, Role], session: Session) -> int | None:
    """The last weighted operation that is no readout and that gradients reach."""
    hidden = [o.index for o, role in weights(graph, roles) if role.role != "readout" and o.index in session.places]
    return hidden[-1] if hidden else None


@inferred("what readouts read", lambda *_: None)
def read_out(
    graph: ModelGraph, roles: Mapping[str, Role], places: Collection[int], seen: ForwardStatistics
) -> int | None:
    """The last weighted operation or sum before the readouts that is not zero, and that gradients reach."""
    known = {**{i: one.rms for i, one in seen.weighted.items()}, **{i: one.rms for i, one in seen.sums.items()}}
    live = {index for index, size in known.items() if size and index in places}
    ends = [value for o, role in weights(graph, roles) if role.role == "readout" for value in o.inputs]
    ways = backward(graph, ends, lambda operation: operation.index not in live)
    return max((operation.index for operation in ways if operation.index in live), default=None)


# ---------------------------------------------------------------------- the growth of signals on the way back
class Way(NamedTuple):
    """From the first weighted output, or table, to the model's output: Hutchinson's estimate of the Jacobian."""

    session: Session
    forward: ForwardStatistics
    first: int | None

    @classmethod
    def of(cls, graph: ModelGraph, roles: Mapping[str, Role], session: Session, forward: ForwardStatistics) -> "Way":
        """The way of this pass; no first where there is none to go."""
        places, output = session.places, session.output
        trunk = [o.index for o, role in weights(graph, roles) if o.index in places and role.branch is None]
        first = min([*trunk, *(index for index in forward.tables if index in places)], default=None)
        open_ = session.differentiable and output.kind == "real" and size_of(output)
        return cls(session, forward, first if open_ else None)

    def of_random(self) -> float | None:
        """Root of the mean squared singular value, from one random signal sent back; another pass back may follow."""
        if self.first is None:
            return None
        signal, came = random_signal(self.session.output.shape), list[float]()
        receive = lambda _, gradient: came.append(gradient.norm())  # noqa: E731
        self.session.backward("output", receive, signal=signal, until=self.first, again=True)
        return came[0] / length_of(signal) if came else None

    def of_loss(self, gradients: dict[int, float], length: float) -> float | None:
        """The same from the gradient of a loss, of this length at the output, which has come back already."""
        came = None if self.first is None else gradients.get(self.first)
        return None if came is None else came / length

    def relative(self, gain: float | None, size: float) -> float | None:
        """The same of relative changes: 1 where both ends have the same size, this one at the output."""
        output = self.session.output
        if gain is None or self.first is None or size_of(output) < _TOLD:
            return None
        tables, weighted = self.forward.tables, self.forward.weighted.get(self.first)
        if self.first not in tables and weighted is None:
            return None
        start = tables[self.first] if weighted is None else weighted.rms
        return gain * start / size if size else None


def aimless(length: float, limit: float) -> bool:
    """Whether a gradient points in random directions: its square is what random targets make of it, not more, and not
    less, as where numbers of half precision vanish."""
    return limit > 0 and limit / 2 <= length**2 <= limit
