"""Short trainings of a JAX model of any style: its parameters alone change; keys and statistics stay as they are."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from wellbegun import backend
from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.jax.call import arguments
from wellbegun.jax.described import Described
from wellbegun.jax.styles import copied, described, lacking

Arrays = Mapping[str, Any]


class Optimizer(NamedTuple):
    """How parameters change, in the form that Optax has: `update(gradients, state, parameters)` gives what is added
    to them, and the next state."""

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


class JaxTrainer(backend.HostedTrainer):
    """As in `wellbegun.backend`."""

    versions: Mapping[str, str] = {"jax": jax.__version__}

    def build(self, make: Callable[..., backend.Model], seed: int) -> backend.Model:
        model = super().build(make, seed)
        if lacking(model):
            allowed = "a function that returns a model with its variables"
            remedy = "Give lambda seed: (module, module.init(jax.random.key(seed), x)), for an x as the data has."
            raise ArgumentTypeError(message("race", "build", allowed, f"{type(model).__name__} without any", remedy))
        return model

    def spare(self, model: backend.Model) -> backend.Model:
        return copied(model)

    def attempt(
        self, model: backend.Model, course: backend.Course, places: Array, optimizers: Iterable[backend.Optimizer]
    ) -> None:
        known = described(model)
        held, loss = _parameters(known), self._objective(course, known)
        inputs, targets = self._samples(course, places)
        body = jax.make_jaxpr(loss)(held, inputs, targets).jaxpr
        needed = set(map(id, body.outvars))
        for equation in reversed(body.eqns):
            if not needed.isdisjoint(map(id, equation.outvars)):
                needed.update(map(id, equation.invars))
        if needed.isdisjoint(map(id, body.invars[: len(held)])):
            raise ArgumentError("race: loss must depend on the model's parameters; it does not.")
        for kind in optimizers:
            _optimizer(kind, 1e-3).init(held)

    def _begun(
        self, model: backend.Model, course: backend.Course, optimizer: backend.Optimizer, rate: float, seed: int
    ) -> tuple[backend.TrainStep, Callable[[], backend.Model]]:
        known, method = described(model), _optimizer(optimizer, rate)
        held = _parameters(known)
        state = method.init(held)
        judged = jax.value_and_grad(self._objective(course, known))

        @jax.jit
        def stepped(held: Any, state: Any, inputs: Any, targets: Any) -> Any:
            loss, gradients = judged(held, inputs, targets)
            added, state = method.update(jax.tree.map(jnp.conj, gradients), state, held)
            return loss, jax.tree.map(lambda array, step: (array + step).astype(array.dtype), held, added), state

        def step(places: Array) -> tuple[float, Callable[[], None]]:
            loss, *after = stepped(held, state, *self._samples(course, places))

            def update() -> None:
                nonlocal held, state
                held, state = after

            return float(loss), update

        return step, lambda: known.put(held)

    def _objective(self, course: backend.Course, known: Described) -> Callable[[Arrays, Any, Any], Any]:
        def objective(held: Arrays, inputs: Any, targets: Any) -> Any:
            return self._loss(course, _called(known, held, inputs), targets)

        return objective

    def _samples(self, course: backend.Course, places: Array) -> tuple[Any, Any]:
        inputs = jax.tree.map(jnp.asarray, backend.samples_at(course.inputs, places))
        return inputs, self._array(course.targets[places])

    def _runs(self, model: backend.Model) -> Callable[[backend.Inputs], Any]:
        known = described(model)
        held = _parameters(known)
        run = jax.jit(lambda held, inputs: self._main(_called(known, held, inputs)))
        return lambda inputs: run(held, jax.tree.map(jnp.asarray, inputs))

    def _array(self, values: Array) -> Any:
        return jnp.asarray(values)

    def _real(self, output: Any) -> Iterable[Any]:
        return (leaf for leaf in jax.tree.leaves(output) if jnp.issubdtype(leaf.dtype, jnp.inexact))

    def _squared(self, error: Any) -> Any:
        return jnp.mean(jnp.square(jnp.abs(error)))

    def _entropy(self, logits: Any, axis: int, labels: Any) -> Any:
        rows = jnp.moveaxis(logits, axis, -1).reshape(-1, logits.shape[axis])
        shares = (rows >= 0).all() & (jnp.abs(rows.sum(-1) - 1) < backend.WHOLE).all()  # of a softmax, and no logits
        rows = jnp.where(shares, jnp.log(jnp.maximum(rows, backend.LEAST_SHARE)), rows)
        return -jnp.take_along_axis(jax.nn.log_softmax(rows), labels.reshape(-1, 1), axis=1).mean()


def _parameters(known: Described) -> dict[str, Any]:
    return {slot.name: slot.array for slot in known.slots if slot.parameter}


def _called(known: Described, held: Arrays, inputs: Any) -> Any:
    """What a model returns with these parameters."""
    kinds = (slot.array.dtype for slot in known.slots if slot.parameter)
    call = arguments(known.kind, inputs, next((kind for kind in kinds if jnp.issubdtype(kind, jnp.floating)), None))
    return known.function([held.get(slot.name, slot.array) for slot in known.slots], call.args, call.kwargs)


# ---------------------------------------------------------------------- optimizers
def _optimizer(kind: Any, rate: float) -> Optimizer:
    """By name, or from a function(parameters, rate), which may be one of Optax: lambda _, rate: optax.lion(rate)."""
    if isinstance(kind, str):
        return _KINDS[kind](rate)
    if str(getattr(kind, "__module__", "")).startswith("optax"):  # whose first argument is the rate
        remedy = f"Give lambda parameters, rate: optax.{kind.__name__}(rate)."
        raise ArgumentError(message("race", "optimizers", "functions of (parameters, rate)", kind.__name__, remedy))
    made = kind(None, rate)
    if not callable(getattr(made, "init", None)) or not callable(getattr(made, "update", None)):
        allowed = "functions that return an optimizer with init and update, as Optax has them"
        raise ArgumentTypeError(message("race", "optimizers", allowed, type(made).__name__))
    return Optimizer(made.init, made.update)


def _descent(rate: float, kept: float = 0.0) -> Optimizer:
    """The gradient, and `kept` of the last step's."""

    def update(gradients: Any, state: Any, _: Any) -> tuple[Any, Any]:
        state = jax.tree.map(lambda old, new: kept * old + new, state, gradients)
        return jax.tree.map(lambda step: -rate * step, state), state

    return Optimizer(lambda held: jax.tree.map(jnp.zeros_like, held), update)


def _adam(rate: float, decay: float = 0.0) -> Optimizer:
    """Kingma, Ba 2015, arXiv:1412.6980; `decay`: Loshchilov, Hutter 2019, arXiv:1711.05101."""

    def init(held: Any) -> Any:
        zeros = jax.tree.map(jnp.zeros_like, held)
        return 0, zeros, jax.tree.map(jnp.real, zeros)

    def update(gradients: Any, state: Any, held: Any) -> tuple[Any, Any]:
        step, (_, mean, square) = state[0] + 1, state
        mean = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, mean, gradients)
        square = jax.tree.map(lambda old, new: 0.999 * old + 0.001 * jnp.square(jnp.abs(new)), square, gradients)

        def added(mean: Any, square: Any, array: Any) -> Any:
            size = jnp.sqrt(square / (1 - 0.999**step)) + 1e-8
            return -rate * (mean / (1 - 0.9**step) / size + decay * array)

        return jax.tree.map(added, mean, square, held), (step, mean, square)

    return Optimizer(init, update)


_KINDS: Mapping[str, Callable[[float], Optimizer]] = {
    "sgd": _descent,
    "momentum": lambda rate: _descent(rate, 0.9),
    "adam": _adam,
    "adamw": lambda rate: _adam(rate, 0.01),
}
