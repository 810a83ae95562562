"""One model with one batch: run, looked at, gradients sent back."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from wellbegun._arguments import message, nearest
from wellbegun._typing import Array, Progress
from wellbegun.backend.values import Attended, Handle, Observer
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.graph import WEIGHTED, ModelGraph
from wellbegun.graph.walk import ancestors, around, of_the_batch

Output: TypeAlias = object  # whatever a model returns
Scalar: TypeAlias = object  # what a loss of the user's gives
T = TypeVar("T")
Loss: TypeAlias = Callable[..., Scalar]  # of the model's output, and targets, in the framework's own arithmetic


def check_write(name: str, values: Array, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """What every session looks at before it gives a parameter other values."""
    if name not in shapes:
        raise UnknownNameError(message("session.write", "name", "one of the model's", name, nearest(name, shapes)))
    if tuple(values.shape) != shapes[name]:
        raise ArgumentError(message("session.write", name, f"an array of shape {shapes[name]}", tuple(values.shape)))


def no_scalar(owner: str, value: object, arguments: str, array: str) -> ArgumentTypeError:
    """The error for a loss of the user's that gives no single number. `arguments`: what it is a function of."""
    kind, shape = getattr(value, "dtype", type(value).__name__), tuple(getattr(value, "shape", ()))
    allowed = f"a function of {arguments} that gives a scalar {array} of a floating dtype"
    return ArgumentTypeError(message(owner, "loss", allowed, f"{kind}{shape or ''}"))


# ---------------------------------------------------------------------- losses and signals
LEAST_SHARE = 1e-7  # probabilities below count as this, as Keras has it
WHOLE = 1e-3  # how near to 1 the sums of outputs are that are probabilities


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Mean cross-entropy of logits, whose classes are along `axis`, against labels, one for each row of classes."""

    LEFT_OUT: ClassVar[int] = -100  # the label of rows that do not count

    labels: Array  # int64
    axis: int
    shares: bool = False  # whether the output holds probabilities, and no logits


def classes_of(shape: tuple[int, ...], *, last: bool = False) -> tuple[int, int]:
    """Number of classes of an output and their axis: (N, K), (N, T, K) or (N, K, H, W, ...), where channels are not the
    `last` axis."""
    if len(shape) < 2:
        return 1, 0
    axis = 1 if len(shape) == 2 or (len(shape) > 3 and not last) else len(shape) - 1
    return shape[axis], axis


def main_of(result: object, kind: type[T], real: Iterable[T]) -> T | None:
    """What losses are taken of: the logits, if a model calls something so, or the first of its `real` outputs."""
    logits = result.get("logits") if isinstance(result, Mapping) else getattr(result, "logits", None)
    return logits if isinstance(logits, kind) else next(iter(real), None)


@dataclass(frozen=True, eq=False)
class SquaredError:
    """Mean squared error against targets in the shape of the output; of complex outputs, their magnitudes."""

    targets: Array


@dataclass(frozen=True, eq=False)
class BinaryCrossEntropy:
    """Mean cross-entropy of single logits against targets in [0, 1] in the shape of the output."""

    targets: Array  # float32
    shares: bool = False  # whether the output holds probabilities, and no logits


MadeUpLoss: TypeAlias = CrossEntropy | BinaryCrossEntropy | SquaredError


class Returned(NamedTuple):
    """A real or complex array that a model returns."""

    shape: tuple[int, ...]
    learns: bool  # whether gradients go on from it
    value: int | None  # of the graph; None if they cannot be matched

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return math.prod(self.shape) == 1 and len(self.shape) < 2

    def each(self, of: tuple[int, ...]) -> bool:
        """Whether it has one number for each row of classes of another."""
        return bool(self.shape) and self.shape in (of[:-1], (*of[:1], *of[2:])) and len(of) > 1

    def before(self, graph: ModelGraph) -> set[int]:
        """The values that it is computed of."""
        return set() if self.value is None else ancestors(graph, self.value)

    def direct(self, graph: ModelGraph, some: Collection[int] | None = None) -> bool:
        """Whether it reads something of the batch, or `some` values of it, that no weight has seen."""
        weights = [operation.index for operation in graph.operations if operation.kind in (*WEIGHTED, "lookup")]
        return self.value is not None and around(graph, weights, [self.value], some)

    def beyond(self, other: "Returned", graph: ModelGraph) -> bool:
        """Whether it reads something of the batch that another does not, as targets."""
        known = self.value is not None and other.value is not None
        return known and bool((self.before(graph) - other.before(graph)) & of_the_batch(graph))


@dataclass(frozen=True)
class OwnLoss:
    """A loss that a model gives itself: the sum of the means of what it returns at places among its `Returned`."""

    places: tuple[int, ...]
    value: float
    each: bool  # whether it gives one for each sample
    evident: bool  # whether it is what the model learns from, and no part of it
    ends: frozenset[int] | None  # of the graph


def main_place(graph: ModelGraph, found: Sequence[Returned], main: int) -> int:
    """Where that is which losses are taken of: no losses of samples, if what they are computed of is returned too."""
    own = found[main]
    ways = (i for i, one in enumerate(found) if own.each(one.shape))
    return next((i for i in ways if found[i].value in own.before(graph) or own.beyond(found[i], graph)), main)


def own_loss(
    graph: ModelGraph,
    found: Sequence[Returned],
    main: int,
    *,
    named: int | None,
    targets: Collection[int],
    given: Collection[tuple[int, ...]],
    values: Callable[[int], Array],
) -> OwnLoss | None:
    """A loss of the model's own, of which it is evident that it learns from it where it is called so, it reads what the
    main output does not, compares it with the input, or where nothing but numbers, or losses of samples, is returned.

    Args:
        named: Place of what the model calls its loss.
        targets: Values of the graph that the model is given as what is called as targets are.
        given: Shapes of the batch.
        values: What is returned at a place.
    """
    places, evident = _loss_places(graph, found, main, named, targets, given, values)
    numbers = [float(np.mean(values(i), dtype=np.float64)) for i in places]
    if not places:
        return None
    if len(places) > 1 and math.isclose(numbers[0], sum(numbers[1:]), rel_tol=1e-4):
        places, numbers = places[:1], numbers[:1]  # which is the sum of the others
    ends = frozenset(value for i in places if (value := found[i].value) is not None)
    known = ends if len(ends) == len(places) else None
    return OwnLoss(places, sum(numbers), found[places[0]].shape != (), evident, known)


def _loss_places(
    graph: ModelGraph,
    found: Sequence[Returned],
    main: int,
    named: int | None,
    targets: Collection[int],
    given: Collection[tuple[int, ...]],
    values: Callable[[int], Array],
) -> tuple[tuple[int, ...], bool]:
    """The places of `own_loss`, and whether it is evident; none if there is none."""
    samples = max((shape[0] for shape in given if len(shape) > 1), default=1)
    own, others = found[main], [i for i, one in enumerate(found) if i != main and one.learns]
    learning = [i for i in range(len(found)) if i in others or (i == main and own.learns)]
    if learning and all(one.single for one in (own, *(found[i] for i in others))):
        places = tuple(learning) if named not in learning else (named,)
        return (places, True) if named in learning or targets or samples > 1 else ((), False)
    if not others:
        each = len(own.shape) == 1 or (len(own.shape) == 2 and own.direct(graph, targets) and (values(main) >= 0).all())
        sure = own.learns and (named == main or (targets and each))
        return ((main,), True) if sure else ((), False)
    place = next((i for i in others if not found[i].shape or found[i].each(own.shape)), None)
    if place is None:
        return (), False
    compares = own.shape in given and found[place].direct(graph) and not own.direct(graph)
    return (place,), place == named or compares or found[place].beyond(own, graph)


def loss_named(result: object) -> object:
    """What a model calls its loss, or its losses."""
    for name in ("loss", "losses"):
        found = result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)
        if found is not None:
            return found
    return None


class Judged(NamedTuple):
    """A loss of the output."""

    value: float
    gradient: Handle | None  # at the output; None for a loss of the user's, whose gradient is not known beforehand


class Signal(NamedTuple):
    """What is sent back: rows of entries for every k-th row of a value of (rows, last axis), and zeros for the rest."""

    rows: Array
    every: int = 1

    def spread(self, shape: tuple[int, ...]) -> Array:
        """All of it, in the shape of the value.

        >>> Signal(np.array([[1.0, 2.0]]), 2).spread((2, 2))
        array([[1., 2.],
               [0., 0.]])
        """
        whole = np.zeros((math.prod(shape[:-1]), shape[-1] if shape else 1), self.rows.dtype)
        whole[:: self.every] = self.rows
        return whole.reshape(shape)


Place: TypeAlias = int | str  # an operation of the graph, by its index, or a parameter, by its name
Start: TypeAlias = int | Literal["loss", "output"]
Receive: TypeAlias = Callable[[Place, Handle], None]


class Session(Protocol):
    """One model with one batch, ready to be run and looked at; the context manager puts everything back.

    Only what effects have done to parameters may remain: whoever sent a `Scale` or `Shift` of parameters writes the
    plan again afterwards, whatever happened.
    """

    @property
    def graph(self) -> ModelGraph:
        """The graph whose operations observers see: the one that was given; without one, that of the pass so far.

        Functions, constants and kinds in it are those of the last pass, which may know more than a trace.
        """

    @property
    def made(self) -> tuple[str, ...]:
        """Inputs that were made up, in words."""

    @property
    def beside(self) -> Mapping[str, Array]:
        """Arrays of the batch that are no inputs, such as labels, by their names or places there."""

    @property
    def own_loss(self) -> OwnLoss | None:
        """A loss that the model takes itself."""

    @property
    def taken(self) -> Mapping[str, Array]:
        """What the model takes that is called as targets are, with more than one axis: it may shift them."""

    @property
    def given(self) -> Mapping[str, str]:
        """What of that the loss judged last was given: its arguments, and what each is called in the batch."""

    @property
    def attended(self) -> Attended | None:
        """While an observer is shown a built-in attention: what it was asked to compute, if that can be told."""

    @property
    def channels_last(self) -> bool:
        """Whether images have their channels on the last axis, and not on the second."""

    def forward(self, observer: Observer, *, everywhere: bool = False, progress: Progress | None = None) -> None:
        """Run the model once; each operation of the graph that runs is shown, and no other. `everywhere`: gradients can
        arrive at all of them.

        Every pass starts from the same random states and buffers. `progress` is called as progress(done, all, place)
        before each module.

        Raises:
            Strayed: the model takes another path than the graph. What was shown before has happened.
            TraceError: the model failed.
        """

    def retrace(self, *, progress: Progress | None = None) -> ModelGraph:
        """The graph of the path that the model takes on this batch: from now on that of the session."""

    @property
    def output(self) -> Handle:
        """The value that losses are taken of: what the model calls logits, or the first real or complex output.

        Raises:
            TraceError: the model returns no such value.
        """

    @property
    def main(self) -> int | None:
        """The value of the graph that `output` is; None where outputs and values of the graph cannot be matched."""

    @property
    def differentiable(self) -> bool:
        """Whether the output depends on anything that gradients are sent back to."""

    @property
    def places(self) -> Collection[int]:
        """Weighted operations, lookups and sums of the last pass at whose first output a gradient can arrive."""

    @property
    def buffers(self) -> Mapping[str, Handle]:
        """Real arrays that the model holds beside its parameters, by name."""

    @property
    def scalable(self) -> Collection[str]:
        """Names of the parameters that effects can change: plain tensors, which operations read as they are."""

    @property
    def trained(self) -> Collection[str]:
        """Names of the parameters whose gradients can be received: stored and trained ones, each by one name."""

    def judge(self, loss: Loss | MadeUpLoss | OwnLoss) -> Judged:
        """The loss of the last pass; `backward("loss", ...)` then starts from it.

        Raises:
            ArgumentTypeError: a loss of the user's that gives no scalar.
        """

    def backward(
        self,
        start: Start,
        receive: Receive,
        *,
        signal: Signal | None = None,
        until: int | None = None,
        again: bool = False,
    ) -> None:
        """Send a signal back, and hand on each gradient as it arrives: it is not kept. Nothing if nothing is trained.

        Args:
            start: The loss that was judged last, the output, or an operation among `places` (its first output).
            receive: Called with each of `places` and `trained` that a gradient reaches, and a handle of the gradient.
            signal: What is sent; none for a loss.
            until: One of `places`: only the gradient there is wanted.
            again: Whether there will be another backward pass after this one.
        """

    def parameter(self, name: str) -> Handle:
        """A parameter as it is now, or a tensor that is computed from parameters, by its name in the graph."""

    def read(self, name: str) -> Array:
        """All values of a parameter; not to be written into."""

    def write(self, name: str, values: Array) -> None:
        """Give one of the `scalable` parameters other values from the next pass on, until the plan is written again.

        Raises:
            UnknownNameError: the model has no such parameter. ArgumentError: it has another shape.
        """
