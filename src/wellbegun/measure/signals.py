"""Losses that are made up, and random signals that are sent back."""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from wellbegun._arguments import told
from wellbegun._typing import Array
from wellbegun.backend import (
    BinaryCrossEntropy,
    CrossEntropy,
    Handle,
    Judged,
    Loss,
    MadeUpLoss,
    Session,
    Signal,
    SquaredError,
    classes_of,
)
from wellbegun.engine import fill
from wellbegun.errors import TraceError, WellbegunError
from wellbegun.graph import ModelGraph, Role
from wellbegun.graph.inference import inferred
from wellbegun.graph.walk import backward
from wellbegun.health import LossStats
from wellbegun.inputs import TARGETS
from wellbegun.laws import Law, Normal, Uniform
from wellbegun.measure.forward import ForwardStatistics
from wellbegun.measure.operations import weights
from wellbegun.measure.samples import rms, size_of

_SENT = 1 << 20  # about how many entries a random signal has that is sent back
_TOLD = 8  # least entries of an output whose RMS says what is usual, and rows whose variance does
_BENT = 1e-3  # of the slope of log-odds on a line
_RARE, _LEAST = 0.1, 1e-3  # shares of ones between which a bias of the output is a prior
_DIRECTIONS = 3  # least classes whose random labels point in enough directions


# ---------------------------------------------------------------------- losses
class MadeUp(NamedTuple):
    """A loss that is made up, what it is for a model that knows nothing, and the square of its gradient at the output
    up to which that is random; 0 for never. If what the output adds pointed where the Jacobian is largest, the estimate
    would be too large by a factor of 2."""

    loss: MadeUpLoss
    chance: float | None
    description: str
    limit: float
    rows: int = 0  # labels
    fits: bool = False  # whether labels or targets are the batch's
    targets_rms: float | None = None  # of a squared error against those

    def stats(self, value: float, size: float, *, told: bool) -> LossStats:
        """What to say of it, for an output of this RMS. `told`: whether weights alone decide on the output's scale."""
        error, chance = size / math.sqrt(self.rows) if self.rows else 0.0, self.chance if told else None
        return LossStats(value, chance, self.description, made_up=True, error=error, targets_rms=self.targets_rms)


def made_up_of(session: Session, beside: Mapping[str, Array] = MappingProxyType({})) -> MadeUp:
    """What is made up for the output of a session's last pass: of probabilities, where it ends in a softmax over the
    classes, or in a sigmoid, the cross-entropy of their logarithms."""
    graph, main = session.graph, session.main
    odds = main is not None and ends_in_sigmoid(graph, main)
    found = made_up(session.output, last=session.channels_last, beside=beside, odds=odds)
    made = None if main is None else graph.producers.get(main)
    shares = made is not None and made.kind == "softmax" and not made.logarithm
    if not shares or not isinstance(found.loss, CrossEntropy) or made is None or made.axis != found.loss.axis:
        return found
    described = found.description.replace("cross-entropy", "cross-entropy of probabilities", 1)
    return found._replace(loss=replace(found.loss, shares=True), description=described, limit=0.0)


@inferred("whether the output is that of a sigmoid", lambda *_: False)
def ends_in_sigmoid(graph: ModelGraph, value: int) -> bool:
    """Whether a value is a sigmoid, in whatever way it is written, of a multiple of what it starts from."""
    made = graph.producers.get(value)
    while made is not None and made.kind == "move" and made.entries == "same" and made.inputs:
        made = graph.producers.get(made.inputs[0])
    if made is None or made.kind != "pointwise" or made.function is None:
        return False
    at = np.linspace(-2, 2, 9)
    with np.errstate(all="ignore"):
        odds = made.function(at)
        odds = np.log(odds) - np.log1p(-odds)
    slope, bent = (odds[-1] - odds[0]) / 4, np.abs(np.diff(odds, 2)).max()
    return bool(slope and bent < _BENT * abs(slope))


def made_up(
    output: Handle, *, last: bool, beside: Mapping[str, Array] = MappingProxyType({}), odds: bool = False
) -> MadeUp:
    """Cross-entropy if the output has classes, binary if it holds `odds`, probabilities one by one, else a squared
    error: against labels or targets of `beside` that fit, or else random ones."""
    classes, axis = classes_of(output.shape, last=last)
    entries = size_of(output)
    ways = [(values, units) for units in dict.fromkeys((classes, 1)) for values in beside.values()]
    given = (_against(values, output.shape, units, axis, odds=odds) for values, units in ways)
    if fitting := next(filter(None, given), None):
        return fitting
    if odds and entries:
        coins = np.floor(_target(Uniform(0, 2), output.shape)).clip(0, 1)
        share = float(output.entries(_SENT).astype(np.float64).mean().clip(_LEAST, 1 - _LEAST))
        rare = not _RARE < share < 1 - _RARE  # as the bias says
        chance = -(math.log(share) + math.log1p(-share)) / 2 if rare else math.log(2)
        described = "binary cross-entropy of probabilities against random targets"
        return MadeUp(BinaryCrossEntropy(coins, shares=True), chance, described, 0.0, entries)
    if classes > 1:
        rows = entries // classes
        labels = np.clip(np.floor(_target(Uniform(0, classes), (rows,))), 0, classes - 1).astype(np.int64)
        described = f"cross-entropy of {classes} classes against random labels"
        limit = (1 - 1 / classes) / rows * (1 + _aimed(classes)) if classes >= _DIRECTIONS and rows else 0.0
        return MadeUp(CrossEntropy(labels, axis), math.log(classes), described, limit, rows)
    units = entries // max(output.shape[0], 1) if output.shape else 1
    described = "mean squared error against random standard normal targets"
    limit = 4 / max(entries, 1) * (1 + _aimed(units))
    return MadeUp(SquaredError(_target(Normal(0, 1), output.shape)), None, described, limit)


def _against(values: Array, shape: tuple[int, ...], classes: int, axis: int, *, odds: bool = False) -> MadeUp | None:
    """A loss against labels or targets of the batch, if they fit an output of this shape."""
    if not values.size or not np.isfinite(values).all():
        return None
    labels = _labels(values, shape, classes, axis)
    if labels is not None:
        counted = labels != CrossEntropy.LEFT_OUT
        if not counted.any() or labels[counted].min() < 0 or labels.max() >= classes:
            return None
        if not odds:
            described = f"cross-entropy of {classes} classes against the batch's labels"
            return MadeUp(CrossEntropy(labels, axis), math.log(classes), described, 0.0, int(counted.sum()), fits=True)
        rows = (*shape[:axis], *shape[axis + 1 :])  # each class for itself
        values, classes = np.moveaxis((labels[:, None] == np.arange(classes)).reshape(*rows, classes), -1, axis), 1
    alike = [n for n in values.shape if n != 1] == [n for n in shape if n != 1]
    if classes != 1 or not alike:
        return None
    binary = set(np.unique(values)) <= {0, 1} and (odds or values.dtype.kind != "f" or values.min() < values.max())
    if binary:
        described = f"binary cross-entropy{' of probabilities' if odds else ''} against the batch's targets"
        loss = BinaryCrossEntropy(values.reshape(shape).astype(np.float32), odds)
        return MadeUp(loss, math.log(2), described, 0.0, fits=True)
    if values.dtype.kind == "f":
        described = "mean squared error against the batch's targets"
        chance, size = variance(values) or None, float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
        return MadeUp(SquaredError(values.reshape(shape)), chance, described, 0.0, fits=True, targets_rms=size)
    return None


def variance(targets: Array) -> float:
    """The squared error of their mean; of each column's, where rows are enough to tell."""
    columns = targets.ndim == 2 and len(targets) >= _TOLD
    return float(np.var(targets, axis=0 if columns else None, dtype=np.float64).mean())


def _labels(values: Array, shape: tuple[int, ...], classes: int, axis: int) -> Array | None:
    """One label for each row of classes, of labels or of rows with a single one; None if they are neither."""
    rows = (*shape[:axis], *shape[axis + 1 :])
    if classes > 1 and values.dtype.kind in "iu" and values.shape in (rows, (*rows, 1)):
        return values.reshape(-1).astype(np.int64)
    if classes > 1 and values.shape == shape and set(np.unique(values)) == {0, 1} and (values.sum(axis) == 1).all():
        single: Array = values.argmax(axis)
        return single.reshape(-1)
    return None


def agreeing(session: Session, own: float) -> MadeUp | None:
    """The loss against labels or targets that the model takes, as they are or each the next one's, that a loss of its
    own is; None if it is another."""
    output, last = session.output, session.channels_last
    classes, axis = classes_of(output.shape, last=last)
    for values in session.taken.values():
        shifted = np.full_like(values, CrossEntropy.LEFT_OUT)
        shifted[:, :-1] = values[:, 1:]
        for one, units in ((values, classes), (shifted, classes), (values, 1)):
            made = _against(one, output.shape, units, axis)
            if made is not None and math.isclose(session.judge(made.loss).value, own, rel_tol=1e-4):
                return made
    return None


def misfit(output: Handle, *, last: bool, beside: Mapping[str, Array]) -> str:
    """What is wrong with the only targets of a batch, if no loss can be taken of them; "" if nothing is."""
    called = [name for name in beside if name in TARGETS] or list(beside)
    if len(called) != 1 or not beside[called[0]].size:
        return ""
    values, (classes, axis) = beside[called[0]], classes_of(output.shape, last=last)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return f"{np.count_nonzero(~np.isfinite(values))} of {values.size} targets are nan or inf"
    labels = _labels(values, output.shape, classes, axis)
    if labels is None or _against(values, output.shape, classes, axis):
        return ""
    return f"labels go from {labels.min()} to {labels.max()}, and the {classes} classes from 0 to {classes - 1}"


def _aimed(directions: int) -> float:
    """Most that the output may add: what random targets make in four directions, and no more than an eighth of all."""
    return min(4 / max(directions, 1), 1 / 8)


def _target(law: Law, shape: tuple[int, ...]) -> Array:
    return fill(law, shape, seed=0, name="probe.target")


# ---------------------------------------------------------------------- signals
def random_signal(shape: tuple[int, ...], *, complex: bool = False, most: int = _SENT) -> Signal:
    """Standard normal numbers, the same every time, for some of the rows where there are very many."""
    last = shape[-1] if shape else 1
    rows = math.prod(shape) // max(last, 1)
    every = max(math.prod(shape) // most, 1)
    dtype = "complex64" if complex else "float32"
    return Signal(fill(Normal(0, 1), (-(-rows // every), last), dtype=dtype, seed=0, name="predict.signal"), every)


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

    def relative(self, gain: float | None) -> float | None:
        """The same of relative changes: 1 where both ends have the same size."""
        output = self.session.output
        if gain is None or self.first is None or size_of(output) < _TOLD:
            return None
        size, tables, weighted = rms(output), self.forward.tables, self.forward.weighted.get(self.first)
        if self.first not in tables and weighted is None:
            return None
        start = tables[self.first] if weighted is None else weighted.rms
        return gain * start / size if size else None


def aimless(length: float, limit: float) -> bool:
    """Whether a gradient points in random directions: its square is what random targets make of it, not more, and not
    less, as where numbers of half precision vanish."""
    return limit > 0 and limit / 2 <= length**2 <= limit


def judged(session: Session, loss: Loss | MadeUpLoss) -> Judged:
    """A loss of the user's, whose errors are told as such."""
    try:
        return session.judge(loss)
    except WellbegunError:
        raise
    except Exception as error:  # whatever a function of the user's raises
        raise TraceError(f"check: the loss failed on the model's output: {told(error)}") from error
