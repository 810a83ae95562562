"""One model with one batch: run, looked at, gradients sent back."""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from wellbegun._arguments import message, nearest
from wellbegun._typing import Array, Progress
from wellbegun.backend.losses import MadeUpLoss
from wellbegun.backend.returned import OwnLoss
from wellbegun.backend.values import Attended, Handle, Observer
from wellbegun.errors import ArgumentError, ArgumentTypeError, UnknownNameError
from wellbegun.graph import ModelGraph

Output: TypeAlias = object  # whatever a model returns
Scalar: TypeAlias = object  # what a loss of the user's gives
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


# ---------------------------------------------------------------------- what is judged and sent back
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
