"""Losses and gradients of a model with a batch, where effects have substituted values."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from wellbegun import backend
from wellbegun.jax.jaxpr import channels_last


class JaxSession(backend.FunctionalSession):
    """See `wellbegun.backend.Session`."""

    def __init__(self, traced: backend.Traced) -> None:
        super().__init__(traced)
        self.channels_last = channels_last(traced.program)
        self._compiled: dict[Any, Any] = {}  # backward passes, by what they start and end with

    def _zeros(self, value: backend.Value) -> Any:
        return jnp.zeros(value.shape, value.dtype)

    def _scalar(self, found: Any) -> Any:
        if not isinstance(found, jax.Array) or found.size != 1:
            raise backend.no_scalar("check", found, "the output", "array")
        return found.reshape(())

    def _made_up(self, loss: backend.MadeUpLoss, output: Any) -> tuple[Any, Any]:
        found = _made_up(loss)
        value, gradient = jax.jit(jax.value_and_grad(lambda output: found(_whole(output))))(output)
        return value, gradient

    def _gradients(self, run: Any, held: Any, added: Any, sent: Any, key: Any) -> tuple[Any, Any]:
        compiled = self._compiled.setdefault(key, jax.jit(partial(_gradients, run)))
        found, came = compiled(held, added, self.start, jnp.ones(()) if sent is None else sent)
        return found, came


def _gradients(run: Any, held: Any, zeros: Any, known: Any, sent: Any) -> Any:
    return jax.vjp(lambda parameters, added: run(parameters, added, known), held, zeros)[1](sent)


def _whole(array: Any) -> Any:
    """On a mesh whose axes are explicit, all of an array on every device, as labels and targets are."""
    sharding: Any = jax.sharding
    explicit = sharding.AxisType.Explicit in jax.typeof(array).sharding.mesh.axis_types
    return sharding.reshard(array, sharding.PartitionSpec()) if explicit else array


def _made_up(loss: backend.MadeUpLoss) -> Callable[[jax.Array], jax.Array]:
    def distance(output: jax.Array) -> jax.Array:
        assert isinstance(loss, backend.SquaredError)
        real = jnp.abs(output) if jnp.iscomplexobj(output) else output
        return jnp.mean(jnp.square(real.astype(jnp.float32) - loss.targets))

    def entropy(output: jax.Array) -> jax.Array:
        assert isinstance(loss, backend.CrossEntropy)
        rows = jnp.moveaxis(output, loss.axis, -1).reshape(-1, output.shape[loss.axis]).astype(jnp.float32)
        rows = jnp.log(jnp.maximum(rows, backend.LEAST_SHARE)) if loss.shares else rows
        logarithms = jax.nn.log_softmax(rows)
        if loss.soft:
            right = (loss.labels * logarithms).sum(1)
        else:
            right = jnp.take_along_axis(logarithms, jnp.asarray(loss.classes)[:, None], axis=1)[:, 0]
        return -jnp.sum(right * loss.weights)

    def binary(output: jax.Array) -> jax.Array:
        assert isinstance(loss, backend.BinaryCrossEntropy)
        given, least = output.astype(jnp.float32), backend.LEAST_SHARE
        logits = jax.scipy.special.logit(jnp.clip(given, least, 1 - least)) if loss.shares else given
        return jnp.sum((jax.nn.softplus(logits) - loss.known * logits) * loss.weights)

    kinds = {backend.CrossEntropy: entropy, backend.BinaryCrossEntropy: binary, backend.SquaredError: distance}
    return kinds[type(loss)]
