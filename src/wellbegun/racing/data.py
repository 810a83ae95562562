"""What the user gives as data -> arrays to train and to test on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wellbegun._arguments import message, users
from wellbegun._typing import Array
from wellbegun.backend import Inputs, host_randomness, samples_at
from wellbegun.errors import ArgumentError, ArgumentTypeError, MissingDependencyError
from wellbegun.inputs import TARGETS

SINGLE = ("x", "input", "inputs")
FORMS = (
    "'digits', (x, y), (train_x, train_y, test_x, test_y), a dict of arrays with 'y' (and test_x, test_y) "
    "or a function that returns one of these"
)


@dataclass(frozen=True)
class Data:
    """Samples on the first axis of every array."""

    inputs: Inputs
    targets: Array
    test_inputs: Inputs | None
    test_targets: Array | None
    name: str

    def digest(self) -> str:
        """A fingerprint of every value."""
        found = hashlib.blake2b(digest_size=8)
        for part in (self.inputs, self.targets, self.test_inputs, self.test_targets):
            for name, array in _parts(part):
                found.update(f"{name} {array.dtype} {array.shape} ".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()


def _parts(inputs: Inputs | None) -> list[tuple[str, Array]]:
    if inputs is None:
        return []
    if isinstance(inputs, dict):
        return list(inputs.items())
    return [(str(i), part) for i, part in enumerate(inputs)] if isinstance(inputs, tuple) else [("", inputs)]


def chance_of(targets: Array) -> float:
    """Loss of the best answer that ignores the input: the entropy of the classes, or the variance.

    >>> round(chance_of(np.array([0, 1, 0, 1])), 4)
    0.6931
    """
    if np.issubdtype(targets.dtype, np.floating):
        return float(np.square(targets - targets.mean(axis=0), dtype=np.float64).mean())
    shares = np.unique(targets, return_counts=True)[1] / targets.size
    return float(-(shares * np.log(shares)).sum())


def data_of(given: Any) -> Data:
    """Arrays from whatever `wellbegun.race` takes as data.

    Without test data, a fixed fifth of the samples is kept apart to measure on.

    Raises:
        ArgumentError, ArgumentTypeError: no data, or arrays of unequal length.
    """
    name = "the given data"
    if callable(given):
        name = getattr(given, "__name__", name)
        with users("race", "data"):
            given = given()
    if isinstance(given, str):
        return _builtin(given)
    if isinstance(given, Mapping):
        return _from_names(given, name)
    if isinstance(given, (tuple, list)) and len(given) in (2, 4):
        train_x, train_y, *test = given
        inputs, targets = _inputs(train_x), _array(train_y, "targets")
        if not test:
            return _split(inputs, targets, name)
        return _checked(Data(inputs, targets, _inputs(test[0]), _array(test[1], "test targets"), name))
    got = f"{len(given)} items" if isinstance(given, (tuple, list)) else given
    raise ArgumentTypeError(message("race", "data", FORMS, got))


def _builtin(name: str) -> Data:
    if name != "digits":
        raise ArgumentError(message("race", "data", FORMS, name))
    try:
        with host_randomness():  # of which its first import draws
            from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependencyError(
            "race: data 'digits' come with scikit-learn. Install it: pip install scikit-learn."
        ) from error
    bunch = load_digits()
    pixels = (bunch.data - bunch.data.mean()) / bunch.data.std()
    return _split(pixels.astype(np.float32), bunch.target, name)


def _split(inputs: Inputs, targets: Array, name: str) -> Data:
    """A fixed fifth apart, at random but always the same."""
    data = _checked(Data(inputs, targets, None, None, name))
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(targets))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]
    if not len(test):
        return data
    return Data(samples_at(inputs, train), targets[train], samples_at(inputs, test), targets[test], name)


def _from_names(given: Mapping[Any, Any], name: str) -> Data:
    """A dict or an .npz file: targets under one of TARGETS, all else inputs; 'test_' before the names of test data."""
    train = {str(key): value for key, value in given.items() if not str(key).startswith("test_")}
    test = {str(key).removeprefix("test_"): value for key, value in given.items() if str(key).startswith("test_")}
    inputs, targets = _named(train, "")
    if not test:
        return _split(inputs, targets, name)
    return _checked(Data(inputs, targets, *_named(test, "test_"), name))


def _named(given: dict[str, Any], prefix: str) -> tuple[Inputs, Array]:
    label = next((key for key in TARGETS if key in given), None)
    if label is None or len(given) < 2:
        allowed = f"{prefix}x (or other inputs) and {prefix}y among its arrays"
        raise ArgumentError(message("race", "data", allowed, [prefix + key for key in given]))
    rest = {key: value for key, value in given.items() if key != label}
    single = len(rest) == 1 and next(iter(rest)) in SINGLE
    return _inputs(next(iter(rest.values())) if single else rest), _array(given[label], f"{prefix}{label}")


def _inputs(given: Any) -> Inputs:
    if isinstance(given, Mapping):
        return {str(name): _array(part, str(name)) for name, part in given.items()}
    if isinstance(given, tuple):
        return tuple(_array(part, f"input {place}") for place, part in enumerate(given))
    return _array(given, "inputs")


def _array(given: Any, what: str) -> Array:
    """A NumPy array of numbers; tensors are read off their device."""
    if hasattr(given, "detach"):
        given = given.detach().cpu()
        given = given.float() if str(given.dtype) == "torch.bfloat16" else given
    try:
        found: Array = np.asarray(given)
    except ValueError as error:
        raise ArgumentError(message("race", f"data ({what})", "an array of numbers", str(error))) from error
    if found.dtype.kind not in "fiub" or found.ndim == 0:
        raise ArgumentTypeError(message("race", f"data ({what})", "an array of numbers", _described(found)))
    return found


def _described(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"


def _checked(data: Data) -> Data:
    """The same data, if every array has as many samples as its targets."""
    for inputs, targets, what in (
        (data.inputs, data.targets, ""),
        (data.test_inputs, data.test_targets, "test "),
    ):
        if inputs is None or targets is None:
            continue
        for name, part in _parts(inputs):
            if len(part) != len(targets):
                label = f" ({name})" if name else ""
                raise ArgumentError(
                    f"race: data must have as many {what}inputs{label} as {what}targets; "
                    f"got {len(part)} and {len(targets)}."
                )
        if not len(targets):
            raise ArgumentError(message("race", "data", f"at least one {what}sample", 0))
        if not np.isfinite(targets).all():
            raise ArgumentError(message("race", "data", f"finite {what}targets", "nan or inf"))
    return data
