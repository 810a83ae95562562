"""Losses and gradients of a Keras model with a batch, on whichever backend Keras has."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from wellbegun import backend
from wellbegun._typing import Array
from wellbegun.keras.layers import host

Tensors = Sequence[Any]


class KerasSession(backend.FunctionalSession):
    """See `wellbegun.backend.Session`."""

    def __init__(self, traced: backend.Traced) -> None:
        super().__init__(traced)
        self.channels_last = keras.config.image_data_format() == "channels_last"
        self._loss: backend.Loss | None = None  # of the user's, as judged last
        self._sent: Any = None  # the gradient of a made-up loss, as judged last

    def _host(self, array: Any) -> Array:
        return host(array)

    def _like(self, values: Any, array: Any) -> Any:
        kind = keras.backend.standardize_dtype(array.dtype)
        return keras.ops.cast(keras.ops.convert_to_tensor(values), kind)

    def judge(self, loss: backend.Loss | backend.CrossEntropy | backend.SquaredError) -> backend.Judged:
        """The user's loss in the model's own numbers, others in single precision."""
        if isinstance(loss, (backend.CrossEntropy, backend.SquaredError)):
            one = keras.ops.ones((), "float32")
            value, (gradient,) = _gradients(lambda given: _made_up(loss, given[0]), [self.known[self.end.number]], one)
            self._loss, self._sent = None, gradient
            return backend.Judged(float(self._host(value)), self._shown(gradient))
        found: Any = loss(self.traced.returned(self.known))
        if not keras.ops.is_tensor(found) or int(np.prod(found.shape)) != 1:
            raise backend.no_scalar("check", found, "the output", "tensor")
        self._loss = loss
        return backend.Judged(float(self._host(found).reshape(())), None)

    def backward(
        self,
        start: backend.Start,
        receive: backend.Receive,
        *,
        signal: backend.Signal | None = None,
        until: int | None = None,
        again: bool = False,
    ) -> None:
        """The pass is run once more, with zeros added where gradients are wanted: `again` makes no difference."""
        loss = self._loss if start == "loss" else None
        end = self.shown[start].outputs[0] if isinstance(start, int) else self.end
        leading = self.program.leading([end] if loss is None else self.program.outputs)
        own = self.reached(leading) if until is None else {}
        places = [self.shown[place] for place in (self.places if until is None else [until]) if place != start]
        ends = {shown.last: shown for shown in places if shown.outputs[0].number in leading}

        def run(given: Tensors) -> Any:
            known = {**self.start, **dict(zip(own.values(), given[: len(own)], strict=True))}
            added = {at: (ends[at].outputs[0], zero) for at, zero in zip(ends, given[len(own) :], strict=True)}
            made = self.program.run(known, added)
            value: Any = made[end.number] if loss is None else loss(self.traced.returned(made))
            return value if loss is None else keras.ops.reshape(value, ())

        zeros = [keras.ops.zeros(shown.outputs[0].shape, shown.outputs[0].dtype) for shown in ends.values()]
        sent = self._signal(end, signal) if loss is None else None
        _, found = _gradients(run, [*(self.start[number] for number in own.values()), *zeros], sent)
        if isinstance(start, int) and until is None:
            receive(start, self._shown(sent))
        for at, gradient in reversed(list(zip(ends, found[len(own) :], strict=True))):
            receive(ends[at].operation, self._shown(gradient))
        for name, gradient in zip(own, found, strict=False):
            receive(name, self._shown(gradient))

    def _signal(self, end: backend.Value, signal: backend.Signal | None) -> Any:
        if signal is None:
            return self._sent
        return keras.ops.cast(keras.ops.convert_to_tensor(signal.spread(end.shape)), end.dtype)

    def _shown(self, tensor: Any) -> backend.Handle:
        return backend.HostedHandle(lambda: self._host(tensor))


# ---------------------------------------------------------------------- gradients, by backend
def _gradients(run: Callable[[Tensors], Any], given: Tensors, sent: Any) -> tuple[Any, list[Any]]:
    """What a function gives, and the gradients of its inputs if this is sent back; None: of a scalar, 1."""
    value, found = _BACKWARD[keras.backend.backend()](run, list(given), sent)
    zero = (
        keras.ops.zeros_like(each) if gradient is None else gradient
        for each, gradient in zip(given, found, strict=True)
    )
    return value, list(zero)


def _by_autograd(run: Callable[[Tensors], Any], given: list[Any], sent: Any) -> tuple[Any, Tensors]:
    import torch

    with torch.enable_grad():
        leaves = [each.detach().requires_grad_() for each in given]
        value = run(leaves)
        found = torch.autograd.grad(value, leaves, None if sent is None else sent.to(value.dtype), allow_unused=True)
    return value.detach(), found


def _by_vjp(run: Callable[[Tensors], Any], given: list[Any], sent: Any) -> tuple[Any, Tensors]:
    import jax

    def whole(given: list[Any], sent: Any) -> tuple[Any, Tensors]:
        value, back = jax.vjp(run, given)
        return value, back(keras.ops.ones_like(value) if sent is None else sent)[0]

    made: tuple[Any, Tensors] = jax.jit(whole)(given, sent)  # one by one, operations take several times as long
    return made


def _by_tape(run: Callable[[Tensors], Any], given: list[Any], sent: Any) -> tuple[Any, Tensors]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(given)
        value = run(given)
    return value, tape.gradient(value, given, output_gradients=sent)


_BACKWARD: Mapping[str, Callable[..., tuple[Any, Tensors]]] = {
    "torch": _by_autograd, "jax": _by_vjp, "tensorflow": _by_tape,
}  # fmt: skip


def _made_up(loss: backend.CrossEntropy | backend.SquaredError, output: Any) -> Any:
    if isinstance(loss, backend.SquaredError):
        real = keras.ops.absolute(output) if "complex" in str(output.dtype) else output
        return keras.ops.mean(keras.ops.square(keras.ops.cast(real, "float32") - loss.targets))
    rows = keras.ops.reshape(keras.ops.moveaxis(output, loss.axis, -1), (-1, output.shape[loss.axis]))
    shares = keras.ops.log_softmax(keras.ops.cast(rows, "float32"))
    picked = keras.ops.take_along_axis(
        shares, keras.ops.reshape(keras.ops.convert_to_tensor(loss.labels), (-1, 1)), axis=1
    )
    return -keras.ops.mean(picked)
