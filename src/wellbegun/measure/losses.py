"""Which loss is made up for an output: against labels or targets of the batch that fit it, or random ones."""

import math
from collections.abc import Iterator, Mapping
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
    SquaredError,
    classes_of,
    same_entries,
)
from wellbegun.errors import TraceError, WellbegunError
from wellbegun.graph import ModelGraph
from wellbegun.graph.inference import inferred
from wellbegun.graph.model import KEPT
from wellbegun.health import LossStats
from wellbegun.inputs import TARGETS
from wellbegun.laws import Law, Normal, Uniform
from wellbegun.measure.samples import drawn, size_of

_LOOKED = 1 << 20  # about how many entries of an output of odds their mean is taken of
_FEW = 64  # labels, whose mean is left to chance
_TOLD = 8  # least rows whose variance says what is usual
_BENT = 1e-3  # of the slope of log-odds on a line
_RARE, _LEAST = 0.1, 1e-3  # shares of ones between which a bias of the output is a prior
_DIRECTIONS = 3  # least classes whose random labels point in enough directions
_WHOLE = 1e-2  # how near to 1 the sums of targets are that are probabilities, in half precision too
_VOID = 255  # the label of places that do not count, in masks of bytes, where no class is called so


class MadeUp(NamedTuple):
    """A loss that is made up, what it is for a model that knows nothing, and the square of its gradient at the output
    up to which that is random; 0 for never. Where the Jacobian has 64 directions or more, what the output adds makes
    an estimate of its size at most √2 times too large."""

    loss: MadeUpLoss
    chance: float | None
    description: str
    limit: float
    rows: int = 0  # labels
    fits: bool = False  # whether labels or targets are the batch's
    targets_rms: float | None = None  # of a squared error against those

    def stats(self, value: float, output: Handle, size: float, *, told: bool, chance: float | None = None) -> LossStats:
        """What to say of it, for an output of this RMS. `told`: whether weights alone decide on the output's scale;
        `chance`: what the user says of it. Of a few labels that were drawn, two may hit the least likely class: their
        error is what that adds."""
        error = size / math.sqrt(self.rows) if self.rows else 0.0
        loss, few = self.loss, 0 < self.rows < _FEW and size_of(output) <= _LOOKED
        if isinstance(loss, CrossEntropy) and few and not (self.fits or loss.shares):
            logits = np.moveaxis(output.array().astype(np.float64), loss.axis, -1)
            error = max(error, value - float((np.logaddexp.reduce(logits, -1) - logits.mean(-1)).mean()))
        usual = chance or (self.chance if told else None)
        return LossStats(value, usual, self.description, made_up=True, error=error, targets_rms=self.targets_rms)


# ---------------------------------------------------------------------- what the output is
def made_up_of(session: Session, beside: Mapping[str, Array] = MappingProxyType({})) -> MadeUp:
    """What is made up for the output of a session's last pass: of probabilities, where it ends in a softmax over the
    classes, or in a sigmoid, the cross-entropy of their logarithms."""
    found = made_up(session.output, axis=axis_of_classes(session), beside=beside, odds=_odds(session))
    return _of_shares(found, session)


def axis_of_classes(session: Session) -> int:
    """Where classes are: the axis of units, where there are places too."""
    made = None if session.main is None else session.graph.producers.get(session.main)
    known = made is not None and made.axis is not None and len(session.output.shape) > 2
    usual = classes_of(session.output.shape, last=session.channels_last)[1]
    return made.axis if made is not None and made.axis is not None and known else usual


def _odds(session: Session) -> bool:
    return session.main is not None and ends_in_sigmoid(session.graph, session.main)


def _of_shares(found: MadeUp, session: Session) -> MadeUp:
    """The same loss of probabilities, if the output is a softmax over the classes."""
    made = None if session.main is None else session.graph.producers.get(session.main)
    shares = made is not None and made.kind == "softmax" and not made.logarithm
    if not shares or not isinstance(found.loss, CrossEntropy) or made is None or made.axis != found.loss.axis:
        return found
    described = found.description.replace("cross-entropy", "cross-entropy of probabilities", 1)
    return found._replace(loss=replace(found.loss, shares=True), description=described, limit=0.0)


@inferred("whether the output is that of a sigmoid", lambda *_: False)
def ends_in_sigmoid(graph: ModelGraph, value: int) -> bool:
    """Whether a value is a sigmoid, in whatever way it is written, of a multiple of what it starts from."""
    made = graph.producers.get(value)
    while made is not None and made.kind == "move" and made.entries in KEPT and made.inputs:
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
    output: Handle, *, axis: int, beside: Mapping[str, Array] = MappingProxyType({}), odds: bool = False
) -> MadeUp:
    """Cross-entropy if the output has classes, binary if it holds `odds`, probabilities one by one, else a squared
    error: against labels or targets of `beside` that fit, or else random ones."""
    classes = output.shape[axis] if len(output.shape) > 1 else 1
    entries = size_of(output)
    if fitting := next(_fitting(output.shape, beside, usual=axis, odds=odds), None):
        return fitting
    if odds and entries:
        coins = np.floor(_target(Uniform(0, 2), output.shape)).clip(0, 1)
        share = float(output.entries(_LOOKED).astype(np.float64).mean().clip(_LEAST, 1 - _LEAST))
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


def _aimed(directions: int) -> float:
    """Most that the output may add: what random targets make in 64 directions, and no more than an eighth of all."""
    return min(64 / max(directions, 1), 1 / 8)


def _target(law: Law, shape: tuple[int, ...]) -> Array:
    return drawn(law, shape, "probe.target")


# ---------------------------------------------------------------------- what the batch holds
def _fitting(
    shape: tuple[int, ...], beside: Mapping[str, Array], *, usual: int, odds: bool = False
) -> Iterator[MadeUp]:
    """Losses against labels or targets that fit an output of this shape: labels first, and of targets what is called
    so, then real numbers. Whole numbers that have another name may be those of samples."""
    rank = {name: (name not in TARGETS, one.dtype.kind != "f") for name, one in beside.items()}
    named = [(name, _numbers(beside[name])) for name in sorted(beside, key=rank.__getitem__)]
    sound = [(name, one) for name, one in named if one.size and np.isfinite(one).all()]
    for way in (_against_labels, _against_rows):
        yield from filter(None, (way(one, shape, usual=usual, odds=odds) for _, one in sound))
    for name, one in sound:
        counts = name in TARGETS or name.isdigit() or one.dtype.kind == "f"
        if made := _against_entries(one, shape, odds=odds, counts=counts):
            yield made


def _numbers(values: Array) -> Array:
    """In numbers that NumPy knows: bfloat16 of JAX in single precision."""
    return values.astype(np.float32) if values.dtype.kind == "V" else values


def _against_labels(values: Array, shape: tuple[int, ...], *, usual: int, odds: bool) -> MadeUp | None:
    """One label for each row of classes."""
    axis = _class_axis(values, shape, usual=usual)
    if axis is None:
        return None
    classes, labels = shape[axis], _counted(values, shape[axis])
    counted = labels != CrossEntropy.LEFT_OUT
    if not counted.any() or labels[counted].min() < 0 or labels.max() >= classes:
        return None
    if odds:  # each class for itself
        rows = (*shape[:axis], *shape[axis + 1 :])
        single = (labels[:, None] == np.arange(classes)).astype(np.float32)
        single[~counted] = np.nan
        return _binary(np.moveaxis(single.reshape(*rows, classes), -1, axis), odds=True)
    return _classified(labels, axis, classes, int(counted.sum()))


def _against_rows(values: Array, shape: tuple[int, ...], *, usual: int, odds: bool) -> MadeUp | None:
    """A row of probabilities, or of their logarithms, for each row of classes: a single one, smoothed or mixed labels,
    what a teacher gives."""
    if values.shape != shape or values.dtype.kind not in "iufb" or len(shape) < 2:
        return None
    whole = np.exp(values) if values.dtype.kind == "f" and values.max() <= 0 else values
    for axis in _axes(shape, usual=usual) if whole.min() >= 0 else ():
        if shape[axis] < 2 or np.abs(whole.sum(axis, dtype=np.float64) - 1).max() > _WHOLE:
            continue
        if odds:
            return _binary(whole.astype(np.float32), odds=True)
        rows = np.moveaxis(whole, axis, -1).reshape(-1, shape[axis])
        labels = rows.argmax(1) if _only(rows, 0, 1) else rows.astype(np.float32)
        return _classified(labels, axis, shape[axis], len(rows))
    return None


def _against_entries(values: Array, shape: tuple[int, ...], *, odds: bool, counts: bool) -> MadeUp | None:
    """A target for each entry. `counts`: whether whole numbers may be meant as numbers."""
    if not same_entries(values.shape, shape) or values.dtype.kind not in "iufb":
        return None
    void = _uncounted(values, 2) if values.dtype.kind in "iu" else np.zeros((), bool)
    coins = np.where(void, np.nan, values).astype(np.float32) if void.any() else values
    if not void.all() and _are_odds(coins, within=odds, whole=values.dtype.kind != "f"):
        return _binary(coins.astype(np.float32).reshape(shape), odds=odds)
    if values.dtype.kind == "b" or (values.dtype.kind != "f" and (not counts or CrossEntropy.LEFT_OUT in values)):
        return None
    described = "mean squared error against the batch's targets"
    chance, size = variance(values) or None, float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    targets = values if values.dtype.kind == "f" else values.astype(np.float32)
    return MadeUp(SquaredError(targets.reshape(shape)), chance, described, 0.0, fits=True, targets_rms=size)


def _are_odds(values: Array, *, within: bool, whole: bool) -> bool:
    """Whether values are 0 and 1, or as far from either, as where they are smoothed; `within`: or anything between;
    `whole`: or only one of both. Those that are nan do not count."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low < 0 or high > 1 or (low == high and not whole and not within):
        return False
    smoothed = math.isclose(low + high, 1, abs_tol=1e-6)
    return within or _only(values, *((low, high) if smoothed else (0, 1)))


def _only(values: Array, low: float, high: float) -> bool:
    return bool(((values == low) | (values == high) | np.isnan(values)).all())


def _classified(labels: Array, axis: int, classes: int, rows: int) -> MadeUp:
    described = (
        f"cross-entropy of {classes} classes against the batch's {'labels' if labels.ndim == 1 else 'probabilities'}"
    )
    return MadeUp(CrossEntropy(labels, axis), math.log(classes), described, 0.0, rows, fits=True)


def _binary(targets: Array, *, odds: bool) -> MadeUp:
    described = f"binary cross-entropy{' of probabilities' if odds else ''} against the batch's targets"
    return MadeUp(BinaryCrossEntropy(targets, odds), math.log(2), described, 0.0, fits=True)


def _axes(shape: tuple[int, ...], *, usual: int) -> tuple[int, ...]:
    """Where classes may be: the usual place first."""
    return tuple(dict.fromkeys((usual, 1, len(shape) - 1)))


def _class_axis(values: Array, shape: tuple[int, ...], *, usual: int) -> int | None:
    """The axis of classes, where values are a label for each row of them; None if they are no labels."""
    for axis in _axes(shape, usual=usual) if len(shape) > 1 and values.dtype.kind in "iub" else ():
        rows = (*shape[:axis], *shape[axis + 1 :])
        if shape[axis] > 1 and values.shape in (rows, (*rows, 1), (*rows[:1], 1, *rows[1:])):
            return axis
    return None


def _counted(values: Array, classes: int) -> Array:
    """Labels in one row, those that do not count by one number."""
    labels = values.reshape(-1).astype(np.int64)
    return np.where(_uncounted(labels, classes), CrossEntropy.LEFT_OUT, labels)


def _uncounted(labels: Array, classes: int) -> Array:
    """Which labels are those of places that do not count. 255 is, where no class is called so and, of two classes, both
    are beside it: masks of 0 and 255 hold nothing else."""
    left_out, last = labels == CrossEntropy.LEFT_OUT, labels == _VOID
    void = classes > 2 or (0 in labels and 1 in labels)
    found: Array = np.where(void and classes <= _VOID, left_out | last, left_out)
    return found


def variance(targets: Array) -> float:
    """The squared error of their mean; of each column's, where rows are enough to tell."""
    columns = targets.ndim == 2 and len(targets) >= _TOLD
    return float(np.var(targets, axis=0 if columns else None, dtype=np.float64).mean())


# ---------------------------------------------------------------------- what is said of it
def agreeing(session: Session, own: float) -> MadeUp | None:
    """The loss against labels or targets that the model takes, as they are or each the next one's, that a loss of its
    own is; None if it is another."""
    output, axis, odds = session.output, axis_of_classes(session), _odds(session)
    for values in {**session.taken, **session.beside}.values() if math.isfinite(own) else ():
        for one in (values, *_shifted(values)):
            for made in _fitting(output.shape, {TARGETS[0]: one}, usual=axis, odds=odds):
                known = _of_shares(made, session)
                if math.isclose(session.judge(known.loss).value, own, rel_tol=1e-4):
                    return known
    return None


def _shifted(values: Array) -> list[Array]:
    """Each label in the place before its own, where there are places."""
    if values.ndim < 2 or values.dtype.kind not in "iu":
        return []
    found = np.full(values.shape, CrossEntropy.LEFT_OUT, np.int64)
    found[:, :-1] = values[:, 1:]
    return [found]


def misfit(output: Handle, *, usual: int, beside: Mapping[str, Array]) -> str:
    """What is wrong with the only targets of a batch, if no loss can be taken of them; "" if nothing is."""
    called = [name for name in beside if name in TARGETS] or list(beside)
    if len(called) != 1 or not beside[called[0]].size:
        return ""
    values = beside[called[0]]
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return f"{np.count_nonzero(~np.isfinite(values))} of {values.size} targets are nan or inf"
    axis = _class_axis(values, output.shape, usual=usual)
    if axis is None or any(_fitting(output.shape, {called[0]: values}, usual=usual)):
        return ""
    labels, classes = _counted(values, output.shape[axis]), output.shape[axis]
    labels = labels[labels != CrossEntropy.LEFT_OUT]
    if not labels.size:
        return "no label counts: all are those of places that are left out"
    return f"labels go from {labels.min()} to {labels.max()}, and the {classes} classes from 0 to {classes - 1}"


def judged(session: Session, loss: Loss | MadeUpLoss) -> Judged:
    """A loss of the user's, whose errors are told as such."""
    try:
        return session.judge(loss)
    except WellbegunError:
        raise
    except Exception as error:  # whatever a function of the user's raises
        raise TraceError(f"check: the loss failed on the model's output: {told(error)}") from error
