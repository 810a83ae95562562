"""What a batch means: arrays, containers of them, and inputs that are made up from a shape, the same everywhere."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from wellbegun._arguments import message
from wellbegun._typing import Array
from wellbegun.engine import fill
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.laws import Normal, Uniform

REAL = ("float16", "bfloat16", "float32", "float64")
MOST = 1 << 36  # numbers of one made-up input
OTHERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


@dataclass(frozen=True)
class InputSpec:
    """A made-up input: standard normal numbers, or integers below `high`, from a fixed stream.

    Text form: "32,1,8,8", "4,16:float16", "8,32:int64<1000" (integers need the bound).

    >>> InputSpec.parse("8,32:int64<1000")
    InputSpec(shape=(8, 32), dtype='int64', high=1000)
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    high: int | None = None

    @staticmethod
    def parse(text: str) -> "InputSpec":
        """From text; ArgumentError if it is none."""
        parts = re.fullmatch(r"\s*(\d+(?:\s*,\s*\d+)*)\s*(?::\s*(\w+)\s*(?:<\s*(\d+))?)?\s*", text)
        allowed = "a shape such as 32,1,8,8 or 4,16:float16 or 8,32:int64<1000, or a .npz or .pt file"
        if not parts:
            raise ArgumentError(message("input", "spec", allowed, text))
        dtype, high = parts.group(2) or "float32", parts.group(3)
        if dtype not in REAL + OTHERS:
            raise ArgumentError(message("input", "dtype", f"one of {', '.join(REAL + OTHERS)}", dtype))
        if (dtype not in REAL) != (high is not None):
            remedy = f"Write {parts.group(1)}:{dtype}<N, with N the number of different values."
            raise ArgumentError(message("input", "spec", "a bound for integers, and only for them", text, remedy))
        shape = tuple(map(_size, parts.group(1).split(",")))
        bound = None if high is None else _size(high)
        if math.prod(shape) > MOST or (bound or 0) > MOST:
            raise ArgumentError(
                message("input", "spec", f"of at most {MOST:,} numbers, and integers up to there", text)
            )
        return InputSpec(shape, dtype, bound)

    def draw(self, name: str) -> Array:
        """The same numbers every time, from the stream (0, name), as float32: to be converted to `dtype`."""
        law = Normal(0, 1) if self.high is None else Uniform(0, self.high)
        drawn = fill(law, self.shape, seed=0, name=name)
        return drawn if self.high is None else np.minimum(np.floor(drawn), self.high - 1)


def _size(text: str) -> int:
    """A number; one of more digits than any size has counts as too large."""
    return int(text.strip()) if len(text.strip()) < 30 else MOST + 1


def holds_data(batch: object) -> bool:
    """Whether a batch holds values of the user's, not only shapes of inputs to be made up."""
    if isinstance(batch, Mapping):
        return any(holds_data(value) for value in batch.values())
    if isinstance(batch, (tuple, list)):
        return any(holds_data(item) for item in batch)
    return hasattr(batch, "shape") and not isinstance(batch, (InputSpec, np.generic))


# ---------------------------------------------------------------------- containers
T = TypeVar("T")


def arrays_in(node: object, kind: type[T], parts: Callable[[Any], Iterable[object]] = lambda _: ()) -> list[T]:
    """Every array of this kind in nested tuples, lists, dicts and dataclasses, in order; `parts`: of anything else."""
    if isinstance(node, kind):
        return [node]
    inside: Iterable[object] = parts(node)
    if isinstance(node, (tuple, list)):
        inside = node
    elif isinstance(node, Mapping):
        inside = node.values()
    elif hasattr(node, "__dataclass_fields__"):
        inside = (getattr(node, key) for key in node.__dataclass_fields__)
    return [array for item in inside for array in arrays_in(item, kind, parts)]


def mapped(node: Any, kind: type[T], function: Callable[[T], object]) -> Any:
    """The same tuples, lists and dicts with a function of every array of this kind."""
    if isinstance(node, kind):
        return function(node)
    if isinstance(node, (tuple, list)):
        return _like(node, [mapped(item, kind, function) for item in node])
    if isinstance(node, Mapping):
        return {key: mapped(item, kind, function) for key, item in node.items()}
    return node


def _like(node: Any, items: list[Any]) -> Any:
    """A tuple, list or named tuple of the same type with other items."""
    return type(node)(*items) if hasattr(node, "_fields") else type(node)(items)


# ---------------------------------------------------------------------- arguments
@dataclass(frozen=True)
class Call:
    """Positional and keyword arguments of one forward pass."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def arrays(self, kind: type[T]) -> list[T]:
        """Every array in it, in order."""
        return arrays_in((self.args, self.kwargs), kind)

    def map(self, kind: type[T], function: Callable[[T], object]) -> "Call":
        """The same call with a function of every array."""
        return Call(*mapped((self.args, self.kwargs), kind, function))


Convert = Callable[[Any, str | None], Any]  # an array and the dtype it is to have; None: its own


def arguments_of(batch: object, arrays: type, convert: Convert) -> Call:
    """Arguments of a model's call: a dict is keyword arguments, a tuple or list positional ones.

    Args:
        batch: Arrays, shapes of arrays to be made up, or containers of them.
        arrays: The framework's own class of arrays; those of NumPy are arrays everywhere.
        convert: Makes an array of the framework.
    Raises:
        ArgumentTypeError: something that is no batch.
    """
    if isinstance(batch, Mapping):
        return Call((), {str(key): _argument(value, str(key), arrays, convert) for key, value in batch.items()})
    if isinstance(batch, (tuple, list)) and not _is_shape(batch):
        return Call(tuple(_argument(item, f"input{i}", arrays, convert) for i, item in enumerate(batch)), {})
    return Call((_argument(batch, "input0", arrays, convert),), {})


def _is_shape(value: Any) -> bool:
    return len(value) > 0 and all(isinstance(size, int) and not isinstance(size, bool) for size in value)


def _argument(value: Any, name: str, arrays: type, convert: Convert) -> Any:
    if isinstance(value, (arrays, np.ndarray)):
        return convert(value, None)
    if isinstance(value, str):
        value = InputSpec.parse(value)
    elif isinstance(value, (tuple, list)) and _is_shape(value):
        value = InputSpec(tuple(value))
    if isinstance(value, InputSpec):
        return convert(value.draw(name), value.dtype)
    if isinstance(value, (tuple, list)):
        return _like(value, [_argument(item, f"{name}.{i}", arrays, convert) for i, item in enumerate(value)])
    if isinstance(value, Mapping):
        return {key: _argument(item, f"{name}.{key}", arrays, convert) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float)):
        return value
    allowed = "a tensor, an array, a shape, a tuple of these or a dict of keyword arguments"
    raise ArgumentTypeError(message("batch", "value", allowed, type(value).__name__))
