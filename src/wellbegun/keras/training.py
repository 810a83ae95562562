"""Short trainings of a Keras model, by `train_on_batch` on whichever backend Keras has."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from wellbegun import backend
from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.inputs import mapped
from wellbegun.keras.layers import host

_SEEDS = ("global_random_seed", "global_seed_generator")  # where Keras keeps what it draws from
_KINDS: Mapping[str, Callable[[float], Any]] = {
    "sgd": keras.optimizers.SGD,
    "momentum": partial(keras.optimizers.SGD, momentum=0.9),
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
}


class KerasTrainer(backend.HostedTrainer):
    """As in `wellbegun.backend`."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of Keras; and its backend."""
        return {"keras": keras.__version__, "keras backend": keras.backend.backend()}

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        kept = {name: global_state.get_global_attribute(name) for name in _SEEDS}
        with ExitStack() as stack:
            if keras.backend.backend() == "torch":
                stack.enter_context(backend.named("torch").trainer().seeded(seed))
            stack.enter_context(super().seeded(seed))
            try:
                yield
            finally:
                for name, value in kept.items():
                    global_state.set_global_attribute(name, value)

    def _restart(self, seed: int) -> None:
        keras.utils.set_random_seed(seed % 2**32)

    def spare(self, model: backend.Model) -> None:
        """None: models of the user's own cannot be copied, and are built again."""

    def parts(self, model: backend.Model) -> Iterable[object]:
        return getattr(model, "variables", ())

    def attempt(
        self, model: backend.Model, course: backend.Course, places: Array, optimizers: Iterable[backend.Optimizer]
    ) -> None:
        self.loss(course, _call(model, self.batch(backend.samples_at(course.inputs, places)), training=None), places)
        if not getattr(model, "trainable_variables", ()):
            raise ArgumentError("race: loss must depend on the model's parameters; it does not.")
        for kind in optimizers:
            _optimizer(kind, model, 1e-3)

    def _begun(
        self, model: backend.Model, course: backend.Course, optimizer: backend.Optimizer, rate: float, seed: int
    ) -> tuple[backend.TrainStep, Callable[[], backend.Model]]:
        """The update of a step is made with its loss."""
        whole = _Course(model, self, course)
        whole.compile(_optimizer(optimizer, model, rate))
        self._restart(seed)

        def step(places: Array) -> tuple[float, Callable[[], None]]:
            whole.reset_metrics()
            inputs = backend.samples_at(course.inputs, places)
            found = whole.train_on_batch(inputs, course.targets[places], return_dict=True)
            return float(found["loss"]), lambda: None

        return step, lambda: model

    def _runs(self, model: backend.Model) -> Callable[[backend.Inputs], Any]:
        return lambda inputs: self._main(_call(model, self.batch(inputs), training=False))

    def batch(self, inputs: backend.Inputs) -> backend.Batch:
        return mapped(inputs, np.ndarray, keras.ops.convert_to_tensor)

    def _array(self, values: Array) -> Any:
        return keras.ops.convert_to_tensor(values)

    def _shaped(self, array: Any, shape: tuple[int, ...]) -> Any:
        return keras.ops.reshape(array, shape)

    def _host(self, array: Any) -> Array:
        return host(array)

    def _real(self, output: Any) -> Iterable[Any]:
        return (one for one in keras.tree.flatten(output) if "float" in keras.backend.standardize_dtype(one.dtype))

    def _squared(self, error: Any) -> Any:
        return keras.ops.mean(keras.ops.square(error))

    def _entropy(self, logits: Any, axis: int, labels: Any) -> Any:
        rows = keras.ops.reshape(keras.ops.moveaxis(logits, axis, -1), (-1, logits.shape[axis]))
        apart = keras.ops.abs(keras.ops.sum(rows, axis=-1) - 1)
        shares = keras.ops.all(rows >= 0) & keras.ops.all(apart < backend.WHOLE)  # of a softmax, and no logits
        rows = keras.ops.where(shares, keras.ops.log(keras.ops.maximum(rows, backend.LEAST_SHARE)), rows)
        logarithms = keras.ops.log_softmax(rows)
        return -keras.ops.mean(keras.ops.take_along_axis(logarithms, keras.ops.reshape(labels, (-1, 1)), axis=1))


class _Course(keras.Model):  # type: ignore[misc]
    """A model with the loss of a race."""

    def __init__(self, model: Any, trainer: KerasTrainer, course: backend.Course) -> None:
        super().__init__(name="course")  # TensorFlow takes no name that begins with an underscore
        self.raced, self._judge = model, partial(trainer._loss, course)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return _call(self.raced, inputs, training=training)

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any) -> Any:
        return self._judge(y_pred, y)


def _call(model: Any, inputs: Any, *, training: bool | None) -> Any:
    """A dict is keyword arguments, a tuple positional ones, where the model was not made of symbols."""
    mode = {} if training is None or not model._call_has_training_arg else {"training": training}
    symbolic = getattr(model, "_inputs_struct", None) is not None
    if isinstance(inputs, Mapping) and not symbolic:
        return model(**inputs, **mode)
    if isinstance(inputs, (tuple, list)):
        return model(list(inputs), **mode) if symbolic else model(*inputs, **mode)
    return model(inputs, **mode)


def _optimizer(kind: Any, model: Any, rate: float) -> Any:
    """By name, or from a function(parameters, rate)."""
    made = _KINDS[kind](rate) if isinstance(kind, str) else kind(model.trainable_variables, rate)
    if not isinstance(made, keras.optimizers.Optimizer):
        allowed = "functions that return a keras.optimizers.Optimizer"
        raise ArgumentTypeError(message("race", "optimizers", allowed, type(made).__name__))
    return made
