"""Losses and gradients of a model with a batch, where effects have substituted values."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wellbegun import backend
from wellbegun.jax.jaxpr import channels_last


class JaxSession(backend.FunctionalSession):
    """See `wellbegun.backend.Session`."""

    def __init__(self, traced: backend.Traced) -> None:
        super().__init__(traced)
        self.channels_last = channels_last(traced.program)
        self._compiled: dict[Any, Any] = {}  # backward passes, by what they start and end with
        self._loss: backend.Loss | None = None  # of the user's, as judged last
        self._sent: Any = None  # the gradient of a made-up loss, as judged last

    def judge(self, loss: backend.Loss | backend.CrossEntropy | backend.SquaredError) -> backend.Judged:
        """The user's loss in the model's own numbers, others in single precision."""
        if isinstance(loss, (backend.CrossEntropy, backend.SquaredError)):
            value, gradient = jax.jit(jax.value_and_grad(_made_up(loss)))(self.known[self.end.number])
            self._loss, self._sent = None, gradient
            return backend.Judged(float(value), _handle(gradient))
        found = loss(self.traced.returned(self.known))
        if not isinstance(found, jax.Array) or found.size != 1:
            raise backend.no_scalar("check", found, "the output", "array")
        self._loss = loss
        return backend.Judged(float(found.reshape(())), None)

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

        def run(parameters: Mapping[str, Any], added: Mapping[int, Any], known: Mapping[int, Any]) -> Any:
            given = {**known, **{own[name]: array for name, array in parameters.items()}}
            made = self.program.run(given, {at: (shown.outputs[0], added[at]) for at, shown in ends.items()})
            value: Any = made[end.number] if loss is None else loss(self.traced.returned(made))
            return value if loss is None else value.reshape(())

        held = {name: self.start[number] for name, number in own.items()}
        zeros = {at: jnp.zeros(shown.outputs[0].shape, shown.outputs[0].dtype) for at, shown in ends.items()}
        sent = self._signal(end, signal) if loss is None else jnp.ones(())
        compiled = self._compiled.setdefault((end, until, id(loss), self.everywhere), jax.jit(partial(_gradients, run)))
        found, came = compiled(held, zeros, self.start, sent)
        if isinstance(start, int) and until is None:
            receive(start, _handle(sent))
        for at in sorted(ends, reverse=True):
            receive(ends[at].operation, _handle(came[at]))
        for name, gradient in found.items():
            receive(name, _handle(gradient))

    def _signal(self, end: backend.Value, signal: backend.Signal | None) -> Any:
        if signal is None:
            return self._sent
        return jnp.asarray(signal.spread(end.shape), end.dtype)


def _gradients(run: Any, held: Any, zeros: Any, known: Any, sent: Any) -> Any:
    return jax.vjp(lambda parameters, added: run(parameters, added, known), held, zeros)[1](sent)


def _handle(array: Any) -> backend.Handle:
    return backend.HostedHandle(lambda: np.asarray(array))


def _made_up(loss: backend.CrossEntropy | backend.SquaredError) -> Callable[[jax.Array], jax.Array]:
    def distance(output: jax.Array) -> jax.Array:
        assert isinstance(loss, backend.SquaredError)
        real = jnp.abs(output) if jnp.iscomplexobj(output) else output
        return jnp.mean(jnp.square(real.astype(jnp.float32) - loss.targets))

    def entropy(output: jax.Array) -> jax.Array:
        assert isinstance(loss, backend.CrossEntropy)
        rows = jnp.moveaxis(output, loss.axis, -1).reshape(-1, output.shape[loss.axis]).astype(jnp.float32)
        return -jnp.take_along_axis(jax.nn.log_softmax(rows), jnp.asarray(loss.labels).reshape(-1, 1), axis=1).mean()

    return entropy if isinstance(loss, backend.CrossEntropy) else distance
