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

    def _host(self, array: Any) -> Array:
        return host(array)

    def _like(self, values: Any, array: Any) -> Any:
        kind = keras.backend.standardize_dtype(array.dtype)
        return keras.ops.cast(keras.ops.convert_to_tensor(values), kind)

    def _zeros(self, value: backend.Value) -> Any:
        return keras.ops.zeros(value.shape, value.dtype)

    def _mean(self, array: Any) -> Any:
        return keras.ops.mean(array)

    def _scalar(self, found: Any) -> Any:
        if not keras.ops.is_tensor(found) or int(np.prod(found.shape)) != 1:
            raise backend.no_scalar("check", found, "the output", "tensor")
        return keras.ops.reshape(found, ())

    def _made_up(self, loss: backend.MadeUpLoss, output: Any) -> tuple[Any, Any]:
        value, (gradient,) = _gradients(lambda given: _made_up(loss, given[0]), [output], None)
        return value, gradient

    def _gradients(self, run: Any, held: Any, added: Any, sent: Any, key: Any) -> tuple[Any, Any]:
        def flat(given: Tensors) -> Any:
            parts = given[: len(held)], given[len(held) :]
            return run(dict(zip(held, parts[0], strict=True)), dict(zip(added, parts[1], strict=True)), self.start)

        _, found = _gradients(flat, [*held.values(), *added.values()], sent)
        return dict(zip(held, found, strict=False)), dict(zip(added, found[len(held) :], strict=True))


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

    given = [tf.identity(each) for each in given]  # without the logits that Keras notes on probabilities
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = run(given)
    return value, tape.gradient(value, given, output_gradients=sent)


_BACKWARD: Mapping[str, Callable[..., tuple[Any, Tensors]]] = {
    "torch": _by_autograd, "jax": _by_vjp, "tensorflow": _by_tape,
}  # fmt: skip


def _made_up(loss: backend.MadeUpLoss, output: Any) -> Any:
    if isinstance(loss, backend.SquaredError):
        real = keras.ops.absolute(output) if "complex" in str(output.dtype) else output
        targets = keras.ops.convert_to_tensor(loss.targets)
        return keras.ops.mean(keras.ops.square(keras.ops.cast(real, "float32") - targets))
    weights = keras.ops.convert_to_tensor(loss.weights)
    if isinstance(loss, backend.BinaryCrossEntropy):
        targets, given = keras.ops.convert_to_tensor(loss.known), keras.ops.cast(output, "float32")
        return keras.ops.sum(weights * keras.ops.binary_crossentropy(targets, given, from_logits=not loss.shares))
    rows = keras.ops.reshape(keras.ops.moveaxis(output, loss.axis, -1), (-1, output.shape[loss.axis]))
    rows = keras.ops.cast(rows, "float32")
    shares = keras.ops.log_softmax(keras.ops.log(keras.ops.maximum(rows, backend.LEAST_SHARE)) if loss.shares else rows)
    if loss.soft:
        right = keras.ops.sum(keras.ops.convert_to_tensor(loss.labels) * shares, axis=1)
    else:
        right = keras.ops.take_along_axis(shares, keras.ops.convert_to_tensor(loss.classes[:, None]), axis=1)[:, 0]
    return -keras.ops.sum(right * weights)
